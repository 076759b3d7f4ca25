/* SPDX-License-Identifier: MIT
 *
 * by_order.c - a B+tree of numbers of entries.
 *
 * What a fork names as the first below a child is exactly that, other than below the tree's left
 * edge, where nobody asks for it: what goes as the first of a leaf is renamed above, and what
 * comes as the first of all comes at the left edge. So no name outlives its entry.
 *
 * A leaf that is full gives one to the leaf behind it or is cut in two, at its end where
 * the new one belongs there: keys that come in order leave full leaves. Two beside each other
 * that have become small are made one.
 */
#include "owner/core/by_order.h"

#include <endian.h>
#include <stdlib.h>

enum {
	LEAF_MOST = 121, /* with an allocator's header, 512 bytes */
	FORK_MOST = 63,
	HEIGHT_MOST = 16,
};

struct order_leaf {
	struct order_leaf *previous, *next;
	uint32_t count;
	uint32_t numbers[LEAF_MOST];
};

/* How a key begins, as numbers that compare as its bytes do; what it lacks is zero. */
struct beginning {
	uint64_t high, low;
};

/* The lowest entry below a child, and how its key begins: most searches need not look at the entry. */
struct order_first {
	struct beginning begins;
	uint32_t number;
};

struct order_fork {
	uint32_t count;
	struct order_first firsts[FORK_MOST];
	void *children[FORK_MOST];
};

/* The way from the root to a leaf: `at` is which child was taken. */
struct path {
	struct order_fork *forks[HEIGHT_MOST]; /* from the root */
	unsigned at[HEIGHT_MOST];
	unsigned height;
};

/* ---- looking ---- */

static struct beginning beginning_of(const uint8_t *key, size_t size)
{
	uint64_t words[2] = { 0, 0 };

	if (size > 0)
		memcpy(words, key, size < sizeof words ? size : sizeof words);
	return (struct beginning){ be64toh(words[0]), be64toh(words[1]) };
}

static struct order_first first_of(const struct pool *pool, uint32_t number)
{
	size_t size;
	const uint8_t *key = entry_key(pool_entry(pool, number), &size);

	return (struct order_first){ beginning_of(key, size), number };
}

/* Is the key at or above the first? */
static bool reaches(const uint8_t *key, size_t size, struct beginning begins, const struct pool *pool,
		    const struct order_first *first)
{
	if (begins.high != first->begins.high)
		return begins.high > first->begins.high;
	if (begins.low != first->begins.low)
		return begins.low > first->begins.low;
	return entry_compare(key, size, pool_entry(pool, first->number)) >= 0;
}

uint32_t order_entry(struct order_place place)
{
	return place.leaf != NULL ? place.leaf->numbers[place.at] : (uint32_t)ENTRY_NONE;
}

static struct order_place stepped(struct order_place place)
{
	if (place.leaf != NULL && place.at >= place.leaf->count)
		return (struct order_place){ .leaf = place.leaf->next };
	return place;
}

struct order_place order_next(struct order_place place)
{
	place.at++;
	return stepped(place);
}

struct order_place by_order_first(const struct by_order *index)
{
	void *node = index->root;

	for (unsigned level = index->height; level > 0; level--)
		node = ((struct order_fork *)node)->children[0];
	return (struct order_place){ .leaf = node };
}

/* The child below which a key at or above those of all firsts up to it belongs. */
static unsigned child_of(const struct order_fork *fork, const struct pool *pool, const uint8_t *key, size_t size)
{
	const struct beginning begins = beginning_of(key, size);
	unsigned low = 0, high = fork->count;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;
		if (reaches(key, size, begins, pool, &fork->firsts[middle]))
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Where the key is, or would be. `*is_there` tells, may be NULL. */
static unsigned place_in_leaf(const struct order_leaf *leaf, const struct pool *pool, const uint8_t *key,
			      size_t size, bool *is_there)
{
	unsigned low = 0, high = leaf->count;

	if (is_there != NULL)
		*is_there = false;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		/* One of these two comes next: it is on its way while this one is looked at. */
		__builtin_prefetch(pool_entry(pool, leaf->numbers[(low + middle) / 2]));
		__builtin_prefetch(pool_entry(pool, leaf->numbers[(middle + high) / 2]));
		int difference = entry_compare(key, size, pool_entry(pool, leaf->numbers[middle]));
		if (difference == 0 && is_there != NULL)
			*is_there = true;
		if (difference > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct order_leaf *descend(const struct by_order *index, const struct pool *pool, const uint8_t *key,
				  size_t size, struct path *path)
{
	void *node = index->root;

	path->height = index->height;
	for (unsigned level = 0; level < index->height; level++) {
		struct order_fork *fork = node;
		path->forks[level] = fork;
		path->at[level] = child_of(fork, pool, key, size);
		node = fork->children[path->at[level]];
	}
	return node;
}

static struct order_leaf *descend_to_last(const struct by_order *index, struct path *path)
{
	void *node = index->root;

	path->height = index->height;
	for (unsigned level = 0; level < index->height; level++) {
		struct order_fork *fork = node;
		path->forks[level] = fork;
		path->at[level] = fork->count - 1;
		node = fork->children[fork->count - 1];
	}
	return node;
}

struct order_place by_order_seek(const struct by_order *index, const struct pool *pool, const uint8_t *key,
				 size_t size, bool after)
{
	struct path path;
	bool there;

	if (index->root == NULL)
		return (struct order_place){ .leaf = NULL };
	struct order_leaf *leaf = descend(index, pool, key, size, &path);
	unsigned at = place_in_leaf(leaf, pool, key, size, &there);
	return stepped((struct order_place){ .leaf = leaf, .at = at + (there && after) });
}

uint32_t by_order_last(const struct by_order *index)
{
	struct path path;

	if (index->root == NULL)
		return ENTRY_NONE;
	const struct order_leaf *leaf = descend_to_last(index, &path);
	return leaf->numbers[leaf->count - 1];
}

/* ---- putting in ---- */

static void leaf_put(struct order_leaf *leaf, unsigned at, uint32_t number)
{
	memmove(leaf->numbers + at + 1, leaf->numbers + at, (leaf->count - at) * sizeof leaf->numbers[0]);
	leaf->numbers[at] = number;
	leaf->count++;
}

static void fork_put(struct order_fork *fork, unsigned at, struct order_first first, void *child)
{
	memmove(fork->firsts + at + 1, fork->firsts + at, (fork->count - at) * sizeof fork->firsts[0]);
	memmove(fork->children + at + 1, fork->children + at, (fork->count - at) * sizeof fork->children[0]);
	fork->firsts[at] = first;
	fork->children[at] = child;
	fork->count++;
}

/* What cutting a leaf may need, got before anything is touched. */
struct spares {
	struct order_leaf *leaf;
	struct order_fork *forks[HEIGHT_MOST + 1];
	unsigned count;
};

static bool get_spares(struct spares *spares, const struct path *path)
{
	unsigned full = 0;

	while (full < path->height && path->forks[path->height - 1 - full]->count == FORK_MOST)
		full++;
	spares->count = 0;
	const unsigned needed = full + (full == path->height); /* a new root on top */
	if (path->height == HEIGHT_MOST && needed > full)
		return false;
	spares->leaf = malloc(sizeof *spares->leaf);
	if (spares->leaf == NULL)
		return false;
	while (spares->count < needed) {
		struct order_fork *fork = malloc(sizeof *fork);
		if (fork == NULL)
			break;
		fork->count = 0;
		spares->forks[spares->count++] = fork;
	}
	if (spares->count == needed)
		return true;
	while (spares->count > 0)
		free(spares->forks[--spares->count]);
	free(spares->leaf);
	return false;
}

/* Moves what is behind `cut` into a fork that is empty. */
static void fork_cut(struct order_fork *fork, unsigned cut, struct order_fork *into)
{
	into->count = fork->count - cut;
	memcpy(into->firsts, fork->firsts + cut, into->count * sizeof fork->firsts[0]);
	memcpy(into->children, fork->children + cut, into->count * sizeof fork->children[0]);
	fork->count = cut;
}

/* Enters a child right of the one the path took, at each level that is full a new fork with it. */
static void enter_child(struct by_order *index, struct path *path, struct spares *spares,
			struct order_first first, void *child)
{
	for (unsigned level = path->height; level-- > 0;) {
		struct order_fork *fork = path->forks[level];
		unsigned at = path->at[level] + 1;
		if (fork->count < FORK_MOST) {
			fork_put(fork, at, first, child);
			return;
		}
		struct order_fork *right = spares->forks[--spares->count];
		unsigned cut = at == FORK_MOST ? FORK_MOST : FORK_MOST / 2;
		fork_cut(fork, cut, right);
		if (at < cut || (at == cut && cut < FORK_MOST))
			fork_put(fork, at, first, child);
		else
			fork_put(right, at - cut, first, child);
		first = right->firsts[0];
		child = right;
	}
	struct order_fork *root = spares->forks[--spares->count];
	fork_put(root, 0, (struct order_first){ .number = ENTRY_NONE }, index->root);
	fork_put(root, 1, first, child);
	index->root = root;
	index->height++;
}

/* The leaf behind, if the same fork has it and it has room. */
static struct order_leaf *roomy_neighbour(const struct path *path)
{
	if (path->height == 0)
		return NULL;
	const struct order_fork *fork = path->forks[path->height - 1];
	unsigned at = path->at[path->height - 1] + 1;
	if (at >= fork->count)
		return NULL;
	struct order_leaf *leaf = fork->children[at];
	return leaf->count < LEAF_MOST ? leaf : NULL;
}

static void leaf_cut(struct order_leaf *leaf, unsigned cut, struct order_leaf *into)
{
	into->count = leaf->count - cut;
	memcpy(into->numbers, leaf->numbers + cut, into->count * sizeof leaf->numbers[0]);
	leaf->count = cut;
	into->previous = leaf;
	into->next = leaf->next;
	if (leaf->next != NULL)
		leaf->next->previous = into;
	leaf->next = into;
}

static bool put_at(struct by_order *index, const struct pool *pool, struct path *path, struct order_leaf *leaf,
		   unsigned at, uint32_t number)
{
	struct spares spares;

	if (leaf->count < LEAF_MOST) {
		leaf_put(leaf, at, number);
		return true;
	}
	struct order_leaf *neighbour = at == LEAF_MOST ? roomy_neighbour(path) : NULL;
	if (neighbour != NULL) {
		leaf_put(neighbour, 0, number);
		path->forks[path->height - 1]->firsts[path->at[path->height - 1] + 1] = first_of(pool, number);
		return true;
	}
	if (!get_spares(&spares, path))
		return false;
	unsigned cut = at == LEAF_MOST ? LEAF_MOST : at == 0 && leaf->previous == NULL ? 0 : LEAF_MOST / 2;
	leaf_cut(leaf, cut, spares.leaf);
	if (at < cut || (at == cut && cut < LEAF_MOST))
		leaf_put(leaf, at, number);
	else
		leaf_put(spares.leaf, at - cut, number);
	enter_child(index, path, &spares, first_of(pool, spares.leaf->numbers[0]), spares.leaf);
	return true;
}

static bool put_first(struct by_order *index, uint32_t number)
{
	struct order_leaf *leaf = malloc(sizeof *leaf);

	if (leaf == NULL)
		return false;
	leaf->previous = leaf->next = NULL;
	leaf->count = 1;
	leaf->numbers[0] = number;
	index->root = leaf;
	index->height = 0;
	return true;
}

bool by_order_add(struct by_order *index, const struct pool *pool, uint32_t number)
{
	struct path path;
	size_t size;
	const uint8_t *key = entry_key(pool_entry(pool, number), &size);

	if (index->root == NULL)
		return put_first(index, number);
	struct order_leaf *leaf = descend(index, pool, key, size, &path);
	return put_at(index, pool, &path, leaf, place_in_leaf(leaf, pool, key, size, NULL), number);
}

bool by_order_append(struct by_order *index, const struct pool *pool, uint32_t number)
{
	struct path path;

	if (index->root == NULL)
		return put_first(index, number);
	struct order_leaf *leaf = descend_to_last(index, &path);
	return put_at(index, pool, &path, leaf, leaf->count, number);
}

/* ---- taking out ---- */

/* The first below a child has changed: says so in all forks that name it. */
static void rename_first(const struct path *path, unsigned levels, struct order_first first)
{
	while (levels-- > 0) {
		path->forks[levels]->firsts[path->at[levels]] = first;
		if (path->at[levels] > 0)
			return;
	}
}

static void fork_drop(struct order_fork *fork, unsigned at)
{
	fork->count--;
	memmove(fork->firsts + at, fork->firsts + at + 1, (fork->count - at) * sizeof fork->firsts[0]);
	memmove(fork->children + at, fork->children + at + 1, (fork->count - at) * sizeof fork->children[0]);
}

/* Makes one of the child at `at` and the one behind it, if that leaves room. */
static bool merge_forks(struct order_fork *above, unsigned at)
{
	if (at + 1 >= above->count)
		return false;
	struct order_fork *left = above->children[at], *right = above->children[at + 1];
	if (left->count + right->count > FORK_MOST * 3 / 4)
		return false;
	memcpy(left->firsts + left->count, right->firsts, right->count * sizeof right->firsts[0]);
	memcpy(left->children + left->count, right->children, right->count * sizeof right->children[0]);
	left->count += right->count;
	fork_drop(above, at + 1);
	free(right);
	return true;
}

static void leaf_unlink(struct order_leaf *leaf)
{
	if (leaf->previous != NULL)
		leaf->previous->next = leaf->next;
	if (leaf->next != NULL)
		leaf->next->previous = leaf->previous;
	free(leaf);
}

static bool merge_leaves(struct order_fork *above, unsigned at)
{
	if (at + 1 >= above->count)
		return false;
	struct order_leaf *left = above->children[at], *right = above->children[at + 1];
	if (left->count + right->count > LEAF_MOST * 3 / 4)
		return false;
	memcpy(left->numbers + left->count, right->numbers, right->count * sizeof right->numbers[0]);
	left->count += right->count;
	fork_drop(above, at + 1);
	leaf_unlink(right);
	return true;
}

/* The forks of the path may have become small, from the lowest on. */
static void tidy(struct by_order *index, const struct path *path)
{
	for (unsigned level = path->height; level-- > 1;) {
		struct order_fork *above = path->forks[level - 1];
		unsigned at = path->at[level - 1];
		if (!merge_forks(above, at) && at > 0)
			merge_forks(above, at - 1);
	}
	while (index->height > 0 && ((struct order_fork *)index->root)->count == 1) {
		struct order_fork *root = index->root;
		index->root = root->children[0];
		index->height--;
		free(root);
	}
}

/* The leaf at the end of the path is empty, and gone: so is its fork, if it was the only child. */
static void drop_child(struct by_order *index, struct path *path)
{
	while (path->height > 0) {
		unsigned level = path->height - 1, at = path->at[level];
		struct order_fork *fork = path->forks[level];
		fork_drop(fork, at);
		if (fork->count > 0) {
			if (at == 0)
				rename_first(path, level, fork->firsts[0]);
			tidy(index, path);
			return;
		}
		free(fork);
		path->height--;
	}
	index->root = NULL;
	index->height = 0;
}

void by_order_remove(struct by_order *index, const struct pool *pool, uint32_t number)
{
	struct path path;
	size_t size;
	const uint8_t *key = entry_key(pool_entry(pool, number), &size);
	struct order_leaf *leaf = descend(index, pool, key, size, &path);
	unsigned at = place_in_leaf(leaf, pool, key, size, NULL);

	leaf->count--;
	memmove(leaf->numbers + at, leaf->numbers + at + 1, (leaf->count - at) * sizeof leaf->numbers[0]);
	if (leaf->count == 0) {
		leaf_unlink(leaf);
		drop_child(index, &path);
		return;
	}
	if (at == 0)
		rename_first(&path, path.height, first_of(pool, leaf->numbers[0]));
	if (path.height == 0 || leaf->count > LEAF_MOST / 3)
		return;
	struct order_fork *above = path.forks[path.height - 1];
	unsigned child = path.at[path.height - 1];
	if (merge_leaves(above, child) || (child > 0 && merge_leaves(above, child - 1)))
		tidy(index, &path);
}

static void clear_below(void *node, unsigned height)
{
	if (node == NULL)
		return;
	if (height > 0) {
		struct order_fork *fork = node;
		for (unsigned i = 0; i < fork->count; i++)
			clear_below(fork->children[i], height - 1);
	}
	free(node);
}

void by_order_clear(struct by_order *index)
{
	clear_below(index->root, index->height);
	*index = (struct by_order){ .root = NULL };
}
