/* SPDX-License-Identifier: MIT
 *
 * The store: maps with undo, against a model that is too plain to be wrong.
 */
#include "tests/lib/unit.h"
#include "tests/lib/scarce.h"

#include "owner/core/store.h"

#include <string.h>

enum { PLENTY = 1 << 30 };

static struct store *new_store(uint64_t hash_seed)
{
	struct store *store = store_new(hash_seed, PLENTY, (uint64_t)PLENTY << 10);

	assert_non_null(store);
	return store;
}

static enum code put_integer(struct map *map, const char *key, int64_t integer)
{
	struct value value = value_integer(integer);
	return map_put(map, key, strlen(key), &value);
}

static enum code put_bytes(struct map *map, const char *key, const void *bytes, size_t size)
{
	struct value value = value_bytes(bytes, size);
	return map_put(map, key, strlen(key), &value);
}

static void assert_integer(struct map *map, const char *key, int64_t integer)
{
	const struct value *found = map_get(map, key, strlen(key));

	assert_non_null(found);
	assert_int_equal(found->type, VALUE_INTEGER);
	assert_int_equal(found->integer, integer);
}

static void assert_bytes(struct map *map, const char *key, const void *bytes, size_t size)
{
	const struct value *found = map_get(map, key, strlen(key)), expected = value_bytes(bytes, size);

	assert_non_null(found);
	assert_true(value_equal(found, &expected));
}

static void assert_absent(struct map *map, const char *key)
{
	assert_null(map_get(map, key, strlen(key)));
}

/* What an entry takes beside its key and its bytes. */
static uint64_t entry_overhead(void)
{
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");

	assert_int_equal(put_integer(map, "k", 1), CODE_OK);
	uint64_t bytes = store_bytes(store) - 1;
	store_destroy(&store);
	return bytes;
}

/* ---- by hand ---- */

static void what_is_put_is_there_until_it_is_removed(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");
	bool existed = true;

	assert_absent(map, "a");
	assert_int_equal(map_remove(map, "a", 1, &existed), CODE_OK);
	assert_false(existed);
	assert_int_equal(store_mark(store), 0); /* nothing changed: nothing to record */
	assert_int_equal(put_integer(map, "a", -5), CODE_OK);
	assert_integer(map, "a", -5);
	assert_int_equal(put_bytes(map, "a", "xyz", 3), CODE_OK);
	assert_bytes(map, "a", "xyz", 3);
	assert_int_equal(map_count(map), 1);
	assert_int_equal(map_remove(map, "a", 1, &existed), CODE_OK);
	assert_true(existed);
	assert_absent(map, "a");
	assert_int_equal(map_count(map), 0);
	store_commit(store);
	assert_absent(map, "a");
	assert_int_equal(map_remove(map, "a", 1, NULL), CODE_OK);
	store_destroy(&store);
	assert_null(store);
	store_destroy(&store);
}

static void keys_are_bytes_and_may_be_empty(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
	} keys[] = { { "", 0 },	   { "\0", 1 },	  { "\0\0", 2 }, { "a", 1 },
		     { "a\0", 2 }, { "a\0b", 3 }, { "a\0c", 3 }, { "\xff", 1 } };
	enum { COUNT = sizeof keys / sizeof *keys };
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");

	for (size_t i = 0; i < COUNT; i++) {
		struct value value = value_integer((int64_t)i);
		assert_int_equal(map_put(map, keys[i].bytes, keys[i].size, &value), CODE_OK);
	}
	assert_int_equal(map_count(map), COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(map_get(map, keys[i].bytes, keys[i].size)->integer, i);
	assert_int_equal(map_get(map, NULL, 0)->integer, 0);
	assert_int_equal(map_remove(map, NULL, 0, NULL), CODE_OK);
	assert_null(map_get(map, "", 0));
	assert_int_equal(map_count(map), COUNT - 1);
	store_destroy(&store);
}

static void empty_bytes_are_a_value(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");

	assert_int_equal(put_bytes(map, "a", NULL, 0), CODE_OK);
	assert_bytes(map, "a", "", 0);
	uint64_t digest = store_digest(store);
	assert_int_not_equal(digest, 0);
	assert_int_equal(put_integer(map, "a", 0), CODE_OK);
	assert_true(store_digest(store) != digest);
	store_undo(store, 1);
	assert_bytes(map, "a", "", 0);
	assert_true(store_digest(store) == digest);
	store_destroy(&store);
}

static void a_key_has_a_limit(void **state)
{
	(void)state;
	static char key[STORE_KEY_MAX_BYTES + 1];
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");
	struct value value = value_integer(1);
	bool existed = true;

	assert_int_equal(map_put(map, key, sizeof key, &value), CODE_TOO_LARGE);
	assert_null(map_get(map, key, sizeof key));
	assert_int_equal(map_remove(map, key, sizeof key, &existed), CODE_OK);
	assert_false(existed);
	assert_int_equal(map_put(map, key, sizeof key - 1, &value), CODE_OK);
	assert_int_equal(map_get(map, key, sizeof key - 1)->integer, 1);
	store_destroy(&store);
}

static void a_value_may_be_put_in_the_place_it_came_from(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");

	assert_int_equal(put_bytes(map, "a", "self", 4), CODE_OK);
	store_commit(store);
	assert_int_equal(map_put(map, "a", 1, map_get(map, "a", 1)), CODE_OK);
	assert_int_equal(map_put(map, "b", 1, map_get(map, "a", 1)), CODE_OK);
	store_commit(store);
	assert_bytes(map, "a", "self", 4);
	assert_bytes(map, "b", "self", 4);
	store_destroy(&store);
}

static void maps_are_found_by_name_and_kept_apart(void **state)
{
	(void)state;
	static const char *const names[] = { "0", "1", "2", "3", "4", "5", "6", "7",
					     "8", "9", "a", "b", "c", "d", "e", "f" };
	struct store *store = new_store(1);

	assert_int_equal(sizeof names / sizeof *names, STORE_MAPS_MAX);
	for (size_t i = 0; i < STORE_MAPS_MAX; i++)
		assert_int_equal(put_integer(store_map(store, names[i]), "key", (int64_t)i), CODE_OK);
	for (size_t i = 0; i < STORE_MAPS_MAX; i++)
		assert_integer(store_map(store, names[i]), "key", (int64_t)i);
	assert_null(store_map(store, "one more"));
	assert_int_equal(store_entries(store), STORE_MAPS_MAX);
	store_undo(store, 3);
	assert_int_equal(store_entries(store), 3);
	assert_absent(store_map(store, "3"), "key");
	store_destroy(&store);
}

/* The first key at or above `from` (above it, if `after`): one letter, or 0. */
static char seek(struct map *map, const char *from, bool after)
{
	struct map_entry entry;

	if (!map_seek(map, from, strlen(from), after, &entry))
		return 0;
	assert_true(entry.key_size >= 1);
	return *(const char *)entry.key;
}

static void a_seek_finds_the_next_key_that_is_there(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m"), *other = store_map(store, "o");
	struct map_entry entry;

	assert_int_equal(seek(map, "", false), 0);
	put_integer(map, "c", 3);
	put_integer(map, "a", 1);
	put_integer(map, "e", 5);
	put_integer(other, "b", 2);
	assert_int_equal(seek(map, "", false), 'a');
	assert_int_equal(seek(map, "a", false), 'a');
	assert_int_equal(seek(map, "a", true), 'c');
	assert_int_equal(seek(map, "b", false), 'c');
	assert_int_equal(seek(map, "b", true), 'c');
	assert_int_equal(seek(map, "e", true), 0);
	assert_int_equal(seek(map, "ee", false), 0);
	store_commit(store);
	/* What is removed is stepped over before it is forgotten, and comes back with undo. */
	assert_int_equal(map_remove(map, "c", 1, NULL), CODE_OK);
	assert_int_equal(seek(map, "a", true), 'e');
	assert_int_equal(map_remove(map, "e", 1, NULL), CODE_OK);
	assert_int_equal(seek(map, "a", true), 0);
	put_integer(map, "d", 4);
	assert_int_equal(seek(map, "a", true), 'd');
	store_undo(store, 0);
	assert_int_equal(seek(map, "a", true), 'c');
	assert_int_equal(seek(map, "c", true), 'e');
	assert_true(map_seek(map, "c", 1, false, &entry));
	assert_int_equal(entry.value->integer, 3);
	store_destroy(&store);
}

static void keys_are_in_order_of_their_bytes_a_shorter_one_first(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
	} keys[] = { { "", 0 },	    { "\0", 1 },   { "\0\0", 2 },    { "\0\1", 2 }, { "a", 1 },
		     { "a\0", 2 },  { "a\0b", 3 }, { "ab", 2 },	     { "b", 1 },    { "\x7f", 1 },
		     { "\x80", 1 }, { "\xff", 1 }, { "\xff\xff", 2 } };
	enum { COUNT = sizeof keys / sizeof *keys };
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");
	struct map_entry entry;

	for (size_t i = 0; i < COUNT; i++) { /* put in another order */
		struct value value = value_integer((int64_t)(i * 5 % COUNT));
		assert_int_equal(map_put(map, keys[i * 5 % COUNT].bytes, keys[i * 5 % COUNT].size, &value),
				 CODE_OK);
	}
	assert_true(map_seek(map, NULL, 0, false, &entry));
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(entry.value->integer, i);
		assert_int_equal(entry.key_size, keys[i].size);
		assert_int_equal(map_seek(map, entry.key, entry.key_size, true, &entry), i + 1 < COUNT);
	}
	store_destroy(&store);
}

static void a_seek_from_beyond_the_longest_key(void **state)
{
	(void)state;
	static char key[STORE_KEY_MAX_BYTES + 10];
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");
	struct value value = value_integer(1);
	struct map_entry entry;

	memset(key, 'k', sizeof key);
	assert_int_equal(map_put(map, key, STORE_KEY_MAX_BYTES, &value), CODE_OK);
	assert_true(map_seek(map, key, STORE_KEY_MAX_BYTES, false, &entry));
	assert_false(map_seek(map, key, STORE_KEY_MAX_BYTES, true, &entry));
	assert_false(map_seek(map, key, sizeof key, false, &entry)); /* it is longer, and so behind */
	assert_int_equal(put_integer(map, "l", 2), CODE_OK);
	assert_true(map_seek(map, key, sizeof key, false, &entry));
	assert_int_equal(entry.value->integer, 2);
	store_destroy(&store);
}

static void an_entry_has_the_revision_at_which_it_was_put(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");

	assert_int_equal(map_revision(map, "a", 1), 0);
	store_set_revision(store, 7);
	put_integer(map, "a", 1);
	put_integer(map, "b", 1);
	store_commit(store);
	store_set_revision(store, 8);
	assert_int_equal(map_revision(map, "a", 1), 7);
	put_integer(map, "a", 1); /* the same value is a change, too */
	assert_int_equal(map_revision(map, "a", 1), 8);
	map_remove(map, "b", 1, NULL);
	assert_int_equal(map_revision(map, "b", 1), 0);
	store_undo(store, 0);
	assert_int_equal(map_revision(map, "a", 1), 7);
	assert_int_equal(map_revision(map, "b", 1), 7);
	store_set_revision(store, 9);
	map_remove(map, "b", 1, NULL);
	size_t mark = store_mark(store);
	put_integer(map, "b", 2);
	store_undo(store, mark);
	assert_int_equal(map_revision(map, "b", 1), 0);
	store_commit(store);
	put_integer(map, "b", 2);
	struct map_entry entry;
	assert_true(map_seek(map, "b", 1, false, &entry));
	assert_int_equal(entry.revision, 9);
	store_destroy(&store);
}

/* The store looks a key up once for a read and the write behind it: whatever comes between. */
static void a_key_is_found_again_whatever_came_between(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m"), *other = store_map(store, "o");

	assert_absent(map, "k");
	assert_absent(other, "k");
	put_integer(map, "k", 1);
	assert_absent(other, "k");
	put_integer(other, "k", 2);
	assert_integer(map, "k", 1);
	assert_integer(other, "k", 2);
	store_undo(store, 1);
	assert_absent(other, "k");
	assert_integer(map, "k", 1);
	map_remove(map, "k", 1, NULL);
	store_commit(store);
	assert_absent(map, "k");
	put_integer(map, "k", 3);
	assert_int_equal(seek(map, "k", false), 'k');
	assert_integer(map, "k", 3);
	assert_int_equal(seek(map, "j", false), 'k');
	assert_absent(map, "j");
	store_undo(store, 0);
	assert_absent(map, "k");
	store_destroy(&store);
}

static void undo_goes_back_to_a_mark_and_no_further(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");

	assert_int_equal(put_bytes(map, "kept", "before", 6), CODE_OK);
	assert_int_equal(put_integer(map, "gone", 1), CODE_OK);
	store_commit(store);
	uint64_t first = store_digest(store), bytes = store_bytes(store);

	assert_int_equal(put_bytes(map, "kept", "after that", 10), CODE_OK);
	assert_int_equal(map_remove(map, "gone", 4, NULL), CODE_OK);
	assert_int_equal(put_integer(map, "new", 2), CODE_OK);
	size_t mark = store_mark(store);
	uint64_t second = store_digest(store);
	assert_int_equal(put_integer(map, "gone", 3), CODE_OK); /* comes again in the same request */
	assert_int_equal(map_remove(map, "new", 3, NULL), CODE_OK);
	assert_int_equal(put_integer(map, "new", 4), CODE_OK); /* removed and inserted again */
	assert_int_equal(map_remove(map, "kept", 4, NULL), CODE_OK);
	store_undo(store, mark);
	assert_true(store_digest(store) == second);
	assert_bytes(map, "kept", "after that", 10);
	assert_absent(map, "gone");
	assert_integer(map, "new", 2);
	store_undo(store, mark);
	assert_true(store_digest(store) == second);
	store_undo(store, 0);
	assert_true(store_digest(store) == first);
	assert_true(store_bytes(store) == bytes);
	assert_bytes(map, "kept", "before", 6);
	assert_integer(map, "gone", 1);
	assert_absent(map, "new");
	store_destroy(&store);
}

static void an_entry_that_stands_in_many_changes_dies_once(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");

	assert_int_equal(put_bytes(map, "old", "x", 1), CODE_OK);
	store_commit(store);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(put_bytes(map, "old", "y", 1), CODE_OK);
		assert_int_equal(map_remove(map, "old", 3, NULL), CODE_OK);
		assert_int_equal(put_bytes(map, "new", "z", 1), CODE_OK);
		assert_int_equal(map_remove(map, "new", 3, NULL), CODE_OK);
	}
	store_commit(store);
	assert_int_equal(store_entries(store), 0);
	assert_int_equal(store_bytes(store), 0);
	assert_true(store_digest(store) == 0);
	assert_int_equal(put_bytes(map, "old", "again", 5), CODE_OK);
	store_commit(store);
	assert_bytes(map, "old", "again", 5);
	store_destroy(&store);
}

/* Each way a key can go in three steps, with undo to each mark or commit. */
static void every_way_of_three_steps_can_be_undone(void **state)
{
	(void)state;
	enum { STEPS = 3, KINDS = 4 }; /* nothing, integer, bytes, remove */

	for (unsigned begin = 0; begin < 3; begin++)
		for (unsigned ways = 0; ways < KINDS * KINDS * KINDS; ways++)
			for (int back = -1; back <= STEPS; back++) {
				struct store *store = new_store(ways);
				struct map *map = store_map(store, "m");
				size_t marks[STEPS + 1];
				uint64_t digests[STEPS + 1], bytes[STEPS + 1];
				unsigned rest = ways;
				if (begin == 1)
					assert_int_equal(put_integer(map, "k", 1), CODE_OK);
				if (begin == 2)
					assert_int_equal(put_bytes(map, "k", "start", 5), CODE_OK);
				store_commit(store);
				for (int step = 0; step <= STEPS; step++) {
					marks[step] = store_mark(store);
					digests[step] = store_digest(store);
					bytes[step] = store_bytes(store);
					if (step == STEPS)
						break;
					if (rest % KINDS == 1)
						assert_int_equal(put_integer(map, "k", step + 10), CODE_OK);
					if (rest % KINDS == 2)
						assert_int_equal(put_bytes(map, "k", "longer than it",
									   (size_t)(step + 8)),
								 CODE_OK);
					if (rest % KINDS == 3)
						assert_int_equal(map_remove(map, "k", 1, NULL), CODE_OK);
					rest /= KINDS;
				}
				if (back >= 0)
					store_undo(store, marks[back]);
				int expected = back >= 0 ? back : STEPS;
				for (int again = 0; again < 2; again++) {
					assert_true(store_digest(store) == digests[expected]);
					assert_true(store_bytes(store) == bytes[expected]);
					assert_true(map_count(map) == store_entries(store));
					store_commit(store);
				}
				assert_int_equal(store_mark(store), 0);
				store_destroy(&store);
			}
}

static void limits_are_told_and_change_nothing(void **state)
{
	(void)state;
	uint64_t overhead = entry_overhead();
	struct store *store = store_new(1, 2, 2 * (overhead + 1) + 10);
	struct map *map = store_map(store, "m"), *other = store_map(store, "o");

	assert_int_equal(put_integer(map, "a", 1), CODE_OK);
	assert_int_equal(put_integer(other, "b", 1), CODE_OK);
	uint64_t digest = store_digest(store);
	assert_int_equal(put_integer(map, "c", 1), CODE_FULL); /* entries of all maps together */
	assert_int_equal(put_bytes(map, "a", "0123456789.", 11), CODE_FULL);
	assert_true(store_digest(store) == digest);
	assert_int_equal(store_mark(store), 2);
	assert_int_equal(put_bytes(map, "a", "0123456789", 10), CODE_OK);
	assert_int_equal(put_bytes(other, "b", "1", 1), CODE_FULL);
	assert_int_equal(put_integer(other, "b", 2), CODE_OK); /* at the limit what does not grow goes on */
	assert_int_equal(put_bytes(map, "a", "9876543210", 10), CODE_OK);
	assert_int_equal(map_remove(other, "b", 1, NULL), CODE_OK);
	assert_int_equal(put_integer(map, "c", 1), CODE_OK);
	assert_int_equal(put_integer(other, "b", 1),
			 CODE_FULL); /* its place is taken, although undo would bring it back */
	store_undo(store, 2);
	assert_true(store_digest(store) == digest);
	store_destroy(&store);

	store = store_new(1, 1, PLENTY);
	map = store_map(store, "m");
	assert_int_equal(put_integer(map, "a", 1), CODE_OK);
	assert_int_equal(put_integer(map, "b", 1), CODE_FULL);
	assert_int_equal(put_integer(map, "a", 2), CODE_OK);
	store_destroy(&store);

	store = store_new(1, 10, overhead + 3);
	map = store_map(store, "m");
	assert_int_equal(put_integer(map, "four", 1), CODE_FULL); /* the key counts */
	assert_int_equal(put_integer(map, "key", 1), CODE_OK);
	store_destroy(&store);
}

static void what_is_undone_or_removed_takes_no_memory(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m");

	for (int turn = 0; turn < 2; turn++) { /* the first brings room for the record of changes */
		long live = scarce_live;
		for (int i = 0; i < 20; i++) {
			char key[8];
			snprintf(key, sizeof key, "%d.%d", turn, i); /* nobody's grave */
			assert_int_equal(put_bytes(map, key, "some bytes", 10), CODE_OK);
			assert_int_equal(put_bytes(map, key, "others", 6), CODE_OK);
			if (turn == 1 && i % 2)
				assert_int_equal(map_remove(map, key, strlen(key), NULL), CODE_OK);
		}
		store_undo(store, 0);
		assert_true(turn == 0 || scarce_live == live);
		assert_int_equal(put_bytes(map, "k", "some bytes", 10), CODE_OK);
		store_commit(store);
		assert_int_equal(put_bytes(map, "k", "others", 6), CODE_OK);
		assert_int_equal(map_remove(map, "k", 1, NULL), CODE_OK);
		store_commit(store);
		assert_true(turn == 0 || scarce_live == live);
	}
	store_destroy(&store);
}

static void a_digest_tells_contents_apart(void **state)
{
	(void)state;
	struct store *store = new_store(1);
	struct map *map = store_map(store, "m"), *other = store_map(store, "o");
	uint64_t digests[8];
	size_t count = 0;

#define NOTE(what)                                      \
	do {                                            \
		assert_int_equal(what, CODE_OK);        \
		digests[count++] = store_digest(store); \
		store_undo(store, 0);                   \
	} while (0)
	NOTE(put_integer(map, "a", 1));
	NOTE(put_integer(map, "a", 2));
	NOTE(put_integer(map, "b", 1));
	NOTE(put_integer(other, "a", 1));
	NOTE(put_bytes(map, "a", "\1\0\0\0\0\0\0\0", 8)); /* the same bytes as the integer */
	NOTE(put_bytes(map, "a", "", 0));
	NOTE(put_bytes(map, "", "a", 1));
#undef NOTE
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert_true(digests[i] != digests[j]);
	store_destroy(&store);
}

/* ---- against a model ---- */

enum { MODEL_MAPS = 2, MODEL_KEYS = 40, MODEL_MARKS = 8 };

struct model {
	struct {
		enum value_type type;
		int64_t integer;
		uint8_t bytes[48];
		size_t size;
		uint64_t revision;
	} at[MODEL_MAPS][MODEL_KEYS];
};

static const char *const map_names[MODEL_MAPS] = { "first", "second" };

/* Keys of many lengths, some with zeroes inside, all different. */
static size_t model_key(size_t index, uint8_t key[64])
{
	memset(key, index % 3 == 0 ? 0 : 'k', 64);
	key[0] = (uint8_t)index;
	return 1 + index % 50;
}

static struct value model_value(const struct model *model, size_t map, size_t key)
{
	switch (model->at[map][key].type) {
	case VALUE_INTEGER:
		return value_integer(model->at[map][key].integer);
	case VALUE_BYTES:
		return value_bytes(model->at[map][key].bytes, model->at[map][key].size);
	case VALUE_NONE:
	case VALUE_LIST:
		break;
	}
	return value_none();
}

static int compare_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
	int difference = memcmp(a, b, a_size < b_size ? a_size : b_size);

	return difference != 0 ? difference : (a_size > b_size) - (a_size < b_size);
}

/* The first key of the model at or above `from` (above it, if `after`), or MODEL_KEYS. */
static size_t model_seek(const struct model *model, size_t map, const uint8_t *from, size_t from_size,
			 bool after)
{
	uint8_t best[64], key[64];
	size_t found = MODEL_KEYS, best_size = 0;

	for (size_t k = 0; k < MODEL_KEYS; k++) {
		size_t size = model_key(k, key);
		int difference = compare_bytes(key, size, from, from_size);
		if (model->at[map][k].type == VALUE_NONE || difference < 0 || (difference == 0 && after))
			continue;
		if (found == MODEL_KEYS || compare_bytes(key, size, best, best_size) < 0) {
			memcpy(best, key, size);
			best_size = size;
			found = k;
		}
	}
	return found;
}

/* From the key of a place, or bytes of chance. */
static void assert_seek_as_model(struct unit_random *random, struct store *store, const struct model *model)
{
	size_t m = unit_below(random, MODEL_MAPS), size = 1 + unit_below(random, 5);
	struct map *map = store_map(store, map_names[m]);
	bool after = unit_below(random, 2);
	struct map_entry entry;
	uint8_t from[64], key[64];

	if (unit_below(random, 3))
		size = model_key(unit_below(random, MODEL_KEYS), from);
	else
		for (size_t i = 0; i < size; i++)
			from[i] = (uint8_t)unit_below(random, MODEL_KEYS + 5);
	size_t expected = model_seek(model, m, from, size, after);
	assert_int_equal(map_seek(map, from, size, after, &entry), expected < MODEL_KEYS);
	if (expected == MODEL_KEYS)
		return;
	struct value value = model_value(model, m, expected);
	assert_int_equal(entry.key_size, model_key(expected, key));
	assert_memory_equal(entry.key, key, entry.key_size);
	assert_true(value_equal(entry.value, &value));
	assert_true(entry.revision == model->at[m][expected].revision);
}

static void assert_as_model(struct store *store, const struct model *model, uint64_t overhead)
{
	struct store *fresh = new_store((uint64_t)(uintptr_t)model ^ store_entries(store));
	uint64_t bytes = 0, entries = 0;

	for (size_t m = MODEL_MAPS; m-- > 0;) {
		struct map *map = store_map(store, map_names[m]), *copy = store_map(fresh, map_names[m]);
		uint64_t here = 0;
		for (size_t k = 0; k < MODEL_KEYS; k++) {
			uint8_t key[64];
			size_t key_size = model_key(k, key);
			struct value expected = model_value(model, m, k);
			const struct value *found = map_get(map, key, key_size);
			assert_int_equal(found != NULL, expected.type != VALUE_NONE);
			if (found == NULL)
				continue;
			assert_true(value_equal(found, &expected));
			assert_true(map_revision(map, key, key_size) == model->at[m][k].revision);
			assert_int_equal(map_put(copy, key, key_size, &expected), CODE_OK);
			here++;
			bytes += overhead + key_size + (expected.type == VALUE_BYTES ? expected.size : 0);
		}
		assert_true(map_count(map) == here);
		entries += here;
	}
	assert_true(store_entries(store) == entries);
	assert_true(store_bytes(store) == bytes);
	assert_true(store_digest(store) == store_digest(fresh));
	store_destroy(&fresh);
}

static void change_both(struct unit_random *random, struct store *store, struct model *model,
			uint64_t revision)
{
	size_t m = unit_below(random, MODEL_MAPS), k = unit_below(random, MODEL_KEYS);
	struct map *map = store_map(store, map_names[m]);
	uint8_t key[64];
	size_t key_size = model_key(k, key);
	bool existed;

	switch (unit_below(random, 3)) {
	case 0:
		model->at[m][k].type = VALUE_INTEGER;
		model->at[m][k].integer = (int64_t)unit_draw(random);
		break;
	case 1:
		model->at[m][k].type = VALUE_BYTES;
		model->at[m][k].size = unit_below(random, sizeof model->at[m][k].bytes + 1);
		for (size_t i = 0; i < model->at[m][k].size; i++)
			model->at[m][k].bytes[i] = (uint8_t)unit_draw(random);
		break;
	default:
		assert_int_equal(map_remove(map, key, key_size, &existed), CODE_OK);
		assert_int_equal(existed, model->at[m][k].type != VALUE_NONE);
		model->at[m][k].type = VALUE_NONE;
		return;
	}
	model->at[m][k].revision = revision;
	struct value value = model_value(model, m, k);
	assert_int_equal(map_put(map, key, key_size, &value), CODE_OK);
}

static void any_sequence_of_changes_marks_and_undos_is_as_the_model(void **state)
{
	(void)state;
	static struct model model, marked[MODEL_MARKS];
	size_t marks[MODEL_MARKS], depth = 0;
	struct unit_random random = { unit_seed() };
	uint64_t overhead = entry_overhead();
	struct store *store = new_store(unit_draw(&random));

	memset(&model, 0, sizeof model);
	marks[0] = 0; /* the bottom is what was committed */
	marked[0] = model;
	for (int step = 0; step < 60000; step++) {
		size_t draw = unit_below(&random, 20);
		if (draw == 0 && depth + 1 < MODEL_MARKS) {
			marks[++depth] = store_mark(store);
			marked[depth] = model;
		} else if (draw == 1) {
			depth = unit_below(&random, depth + 1);
			store_undo(store, marks[depth]);
			model = marked[depth];
		} else if (draw == 2) {
			store_commit(store);
			depth = 0;
			marked[0] = model;
		} else {
			store_set_revision(store, (uint64_t)step + 1);
			change_both(&random, store, &model, (uint64_t)step + 1);
		}
		assert_seek_as_model(&random, store, &model);
		if (step % 100 == 0)
			assert_as_model(store, &model, overhead);
	}
	store_undo(store, 0);
	assert_as_model(store, &marked[0], overhead);
	/* The books close at nothing. */
	for (size_t m = 0; m < MODEL_MAPS; m++)
		for (size_t k = 0; k < MODEL_KEYS; k++) {
			uint8_t key[64];
			size_t key_size = model_key(k, key);
			assert_int_equal(map_remove(store_map(store, map_names[m]), key, key_size, NULL),
					 CODE_OK);
		}
	assert_int_equal(store_bytes(store), 0);
	store_commit(store);
	assert_int_equal(store_bytes(store), 0);
	assert_int_equal(store_entries(store), 0);
	assert_true(store_digest(store) == 0);
	store_destroy(&store);
}

/* ---- many keys: the indexes grow by several levels, and shrink to nothing ---- */

enum { MANY_KEYS = 9000, MANY_SIZE = 48 };

struct many {
	struct many_key {
		uint8_t bytes[MANY_SIZE];
		size_t size;
	} keys[MANY_KEYS]; /* in order */
	int64_t at[MANY_KEYS], committed[MANY_KEYS]; /* 0: not there */
	uint64_t count;
};

static int compare_many(const void *a, const void *b)
{
	const struct many_key *x = a, *y = b;

	return compare_bytes(x->bytes, x->size, y->bytes, y->size);
}

/* Some that differ early, some behind a long beginning of all, some in zeroes at their end only. */
static void make_many(struct many *many, struct unit_random *random)
{
	memset(many, 0, sizeof *many);
	for (size_t i = 0; i < MANY_KEYS; i++) {
		struct many_key *key = &many->keys[i];
		uint8_t *at = key->bytes + (i % 3 == 0 ? 0 : i % 3 == 1 ? 14 : 38);
		uint64_t chance = unit_draw(random);
		memset(key->bytes, 'a', (size_t)(at - key->bytes));
		memcpy(at, &chance, sizeof chance);
		key->size = (size_t)(at - key->bytes) + sizeof chance;
		if (i % 5 == 0 && i > 0) {
			*key = many->keys[i - 1];
			key->size = key->size < MANY_SIZE ? key->size + 1 : key->size;
		}
	}
	qsort(many->keys, MANY_KEYS, sizeof many->keys[0], compare_many);
}

static void assert_as_many(struct store *store, struct map *map, const struct many *many)
{
	struct map_entry entry = { .key = NULL };

	for (size_t i = 0; i < MANY_KEYS; i++) {
		const struct many_key *key = &many->keys[i];
		const struct value *found = map_get(map, key->bytes, key->size);
		assert_int_equal(found != NULL, many->at[i] != 0);
		if (many->at[i] == 0)
			continue;
		assert_true(found->integer == many->at[i]);
		assert_true(map_next(map, &entry));
		assert_int_equal(entry.key_size, key->size);
		assert_memory_equal(entry.key, key->bytes, key->size);
		assert_true(entry.value->integer == many->at[i]);
	}
	assert_false(map_next(map, &entry));
	assert_true(map_count(map) == many->count);
	assert_true(store_digest_is_true(store));
}

static void assert_seeks_as_many(struct map *map, const struct many *many, size_t from)
{
	struct map_entry entry;
	const struct many_key *key = &many->keys[from];

	for (int after = 0; after < 2; after++) {
		size_t at = from + (size_t)after;
		while (at < MANY_KEYS && many->at[at] == 0)
			at++;
		assert_int_equal(map_seek(map, key->bytes, key->size, after, &entry), at < MANY_KEYS);
		if (at < MANY_KEYS)
			assert_true(entry.key_size == many->keys[at].size &&
				    memcmp(entry.key, many->keys[at].bytes, entry.key_size) == 0);
	}
}

/* One of chance is put or removed; now and then there is no memory for it. */
static void change_many(struct unit_random *random, struct map *map, struct many *many, bool put, bool in_order)
{
	static size_t next;
	size_t i = in_order ? next++ % MANY_KEYS : unit_below(random, MANY_KEYS);
	const struct many_key *key = &many->keys[i];
	struct value value = value_integer((int64_t)(unit_draw(random) >> 2) + 1);

	if (i + 1 < MANY_KEYS && compare_many(key, key + 1) == 0)
		return; /* twice the same: the last one counts */
	scarce_begin(unit_below(random, 4) == 0 ? (long)unit_below(random, 3) : -1, true);
	enum code code = put ? map_put(map, key->bytes, key->size, &value) : map_remove(map, key->bytes, key->size, NULL);
	bool denied = scarce_end() > 0;
	assert_int_equal(code, denied ? CODE_NO_MEMORY : CODE_OK);
	if (denied)
		return;
	many->count += (uint64_t)(put && many->at[i] == 0) - (uint64_t)(!put && many->at[i] != 0);
	many->at[i] = put ? value.integer : 0;
}

static void many_keys_come_and_go_and_stay_in_order(void **state)
{
	(void)state;
	enum { PHASES = 12, ROUNDS = 400, A_ROUND = 60 };
	struct unit_random random = { unit_seed() };
	struct many *many = malloc(sizeof *many);
	struct store *store = new_store(unit_draw(&random));
	struct map *map = store_map(store, "m");
	long live = scarce_live;

	make_many(many, &random);
	store_keep_digest(store);
	for (int phase = 0; phase < PHASES; phase++) { /* that fill, and that empty */
		for (int round = 0; round < ROUNDS; round++) {
			uint64_t count = many->count;
			for (int i = 0; i < A_ROUND; i++)
				change_many(&random, map, many, unit_below(&random, 10) < (phase % 2 ? 1 : 9),
					    phase % 4 >= 2);
			if (unit_below(&random, 4) == 0) {
				store_undo(store, 0);
				memcpy(many->at, many->committed, sizeof many->at);
				many->count = count;
			} else {
				store_commit(store);
				memcpy(many->committed, many->at, sizeof many->at);
			}
			assert_seeks_as_many(map, many, unit_below(&random, MANY_KEYS));
		}
		assert_as_many(store, map, many);
	}
	for (size_t i = 0; i < MANY_KEYS; i++)
		assert_int_equal(map_remove(map, many->keys[i].bytes, many->keys[i].size, NULL), CODE_OK);
	store_commit(store);
	assert_int_equal(store_entries(store), 0);
	assert_int_equal(store_bytes(store), 0);
	assert_in_range(scarce_live - live, 0, 3); /* the record of changes and two lists of slabs */
	store_destroy(&store);
	free(many);
}

static void a_hundred_thousand_keys_and_their_successors_fit(void **state)
{
	(void)state;
	enum { KEYS = 100000 };
	struct store *store = new_store(5), *backwards = new_store(6);
	struct map *map = store_map(store, "m"), *other = store_map(backwards, "m");

	for (int64_t i = 0; i < KEYS; i++) {
		struct value value = value_integer(i);
		assert_int_equal(map_put(map, &i, sizeof i, &value), CODE_OK);
		if (i % 1000 == 0)
			store_commit(store);
	}
	for (int64_t i = KEYS; i-- > 0;) {
		struct value value = value_integer(i);
		assert_int_equal(map_put(other, &i, sizeof i, &value), CODE_OK);
	}
	assert_int_equal(map_count(map), KEYS);
	for (int64_t i = 0; i < KEYS; i++)
		assert_int_equal(map_get(map, &i, sizeof i)->integer, i);
	assert_true(store_digest(store) == store_digest(backwards));
	store_undo(backwards, 0);
	assert_int_equal(map_count(other), 0);
	assert_int_equal(store_bytes(backwards), 0);
	store_commit(store);

	/* Old keys go, new ones come: the set is full of graves and finds everything still. */
	for (int64_t i = KEYS; i < 4 * KEYS; i++) {
		struct value value = value_integer(i);
		int64_t old = i - KEYS;
		bool existed;
		assert_int_equal(map_put(map, &i, sizeof i, &value), CODE_OK);
		assert_int_equal(map_remove(map, &old, sizeof old, &existed), CODE_OK);
		assert_true(existed);
		store_commit(store);
	}
	assert_int_equal(map_count(map), KEYS);
	for (int64_t i = 0; i < 4 * KEYS; i++)
		assert_int_equal(map_get(map, &i, sizeof i) != NULL, i >= 3 * KEYS);
	store_destroy(&store);
	store_destroy(&backwards);
}

/* ---- without memory ---- */

enum { BASE_KEYS = 30, NEW_KEYS = 120 }; /* so many that the set and the record of changes grow */

static void fill_base(struct store *store, struct map *map)
{
	for (int i = 0; i < BASE_KEYS; i++) {
		char key[16];
		snprintf(key, sizeof key, "base%d", i);
		assert_int_equal(i % 2 ? put_integer(map, key, i) : put_bytes(map, key, "base value", 10),
				 CODE_OK);
	}
	store_commit(store);
}

/* One step of a request; the number of steps is fixed. */
enum { REQUEST_STEPS = NEW_KEYS + 3 * BASE_KEYS };
static enum code request_step(struct map *map, int step)
{
	char key[16];

	if (step < NEW_KEYS) {
		snprintf(key, sizeof key, "new%d", step);
		return put_bytes(map, key, "new value", 9);
	}
	step -= NEW_KEYS;
	snprintf(key, sizeof key, "base%d", step / 3);
	switch (step % 3) {
	case 0:
		return put_bytes(map, key, "another one", 11);
	case 1:
		return map_remove(map, key, strlen(key), NULL);
	default:
		return put_bytes(map, key, "once more", 9);
	}
}

static void run_out_of_memory(bool for_good)
{
	uint64_t done_digest = 0;
	long succeed = 0;

	for (bool complete = false; !complete; succeed++) {
		struct store *store = new_store(7);
		struct map *map = store_map(store, "m");
		fill_base(store, map);
		uint64_t base_digest = store_digest(store), base_bytes = store_bytes(store);

		enum code code = CODE_OK;
		uint64_t before = base_digest;
		int step = 0;
		scarce_begin(succeed, for_good);
		while (step < REQUEST_STEPS && code == CODE_OK) {
			before = store_digest(store);
			code = request_step(map, step);
			step += code == CODE_OK;
		}
		bool denied = scarce_end() > 0;
		if (code != CODE_OK) {
			assert_int_equal(code, CODE_NO_MEMORY);
			assert_true(denied);
			assert_true(store_digest(store) == before);
			store_undo(store, 0);
			assert_true(store_digest(store) == base_digest);
			assert_true(store_bytes(store) == base_bytes);
			for (step = 0; step < REQUEST_STEPS; step++)
				assert_int_equal(request_step(map, step), CODE_OK);
		} else {
			complete = !denied;
		}
		store_commit(store);
		if (done_digest == 0)
			done_digest = store_digest(store);
		assert_true(store_digest(store) == done_digest);
		assert_int_equal(store_entries(store), BASE_KEYS + NEW_KEYS);
		store_destroy(&store);
	}
	assert_true(succeed > NEW_KEYS + 2 * BASE_KEYS);
}

static void a_failed_allocation_leaves_all_as_it_was(void **state)
{
	(void)state;
	run_out_of_memory(false);
}

static void memory_that_is_gone_for_good_leaves_all_as_it_was(void **state)
{
	(void)state;
	run_out_of_memory(true);
}

static void a_store_without_memory_is_none(void **state)
{
	(void)state;
	long succeed = 0;

	for (bool complete = false; !complete; succeed++) {
		scarce_begin(succeed, true);
		struct store *store = store_new(1, 10, 10000);
		struct map *map = store != NULL ? store_map(store, "m") : NULL;
		complete = scarce_end() == 0;
		assert_int_equal(map != NULL, complete);
		if (store != NULL)
			assert_int_equal(put_integer(store_map(store, "m"), "a", 1), CODE_OK);
		store_destroy(&store);
	}
	assert_true(succeed > 2);
}

static void a_map_is_walked_and_restored_in_order_of_keys(void **state)
{
	struct store *store = new_store(1), *again = new_store(2);
	struct map *map = store_map(store, "m"), *copy = store_restore_map(again, "m");
	struct map_entry entry = { .key = NULL };
	char name[STORE_NAME_MAX_BYTES + 2];
	(void)state;

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "%02d", i * 37 % 100);
		store_set_revision(store, (uint64_t)i);
		assert_int_equal(put_integer(map, name, i), CODE_OK);
	}
	store_commit(store);
	assert_int_equal(map_remove(map, "50", 2, NULL), CODE_OK); /* absent, and still undone */
	assert_null(map_get(copy, "00", 2)); /* what was looked for before is found when it is there */
	for (int i = 0; map_next(map, &entry); i++) {
		snprintf(name, sizeof name, "%02d", i < 50 ? i : i + 1);
		assert_memory_equal(entry.key, name, 2);
		assert_int_equal(map_restore(copy, &entry), CODE_OK);
		assert_int_equal(map_restore(copy, &entry), CODE_INVALID);
	}
	assert_int_equal(map_count(copy), 99);
	assert_int_equal(store_digest(again), store_digest(store));
	assert_int_equal(store_bytes(again), store_bytes(store));
	assert_int_equal(map_revision(copy, "74", 2), 2);
	assert_integer(copy, "00", 0);
	struct value value = value_integer(1);
	assert_int_equal(map_restore(copy, &(struct map_entry){ .key = "05", .key_size = 2, .value = &value }), CODE_INVALID);
	/* What was restored is as if it had been put. */
	assert_int_equal(map_remove(copy, "00", 2, NULL), CODE_OK);
	assert_int_equal(put_integer(copy, "new", 1), CODE_OK);
	store_undo(again, 0);
	assert_int_equal(store_digest(again), store_digest(store));
	/* The name is the store's own, and has an end. */
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_null(store_map(store, name));
	name[sizeof name - 2] = '\0';
	struct map *named = store_map(store, name);
	name[0] = 'x';
	assert_int_equal(map_name(named)[0], 'n');
	assert_int_equal(strlen(map_name(named)), STORE_NAME_MAX_BYTES);
	store_destroy(&store);
	store_destroy(&again);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_map_is_walked_and_restored_in_order_of_keys),
	cmocka_unit_test(what_is_put_is_there_until_it_is_removed),
	cmocka_unit_test(keys_are_bytes_and_may_be_empty),
	cmocka_unit_test(empty_bytes_are_a_value),
	cmocka_unit_test(a_key_has_a_limit),
	cmocka_unit_test(a_value_may_be_put_in_the_place_it_came_from),
	cmocka_unit_test(maps_are_found_by_name_and_kept_apart),
	cmocka_unit_test(a_seek_finds_the_next_key_that_is_there),
	cmocka_unit_test(keys_are_in_order_of_their_bytes_a_shorter_one_first),
	cmocka_unit_test(a_seek_from_beyond_the_longest_key),
	cmocka_unit_test(an_entry_has_the_revision_at_which_it_was_put),
	cmocka_unit_test(a_key_is_found_again_whatever_came_between),
	cmocka_unit_test(undo_goes_back_to_a_mark_and_no_further),
	cmocka_unit_test(an_entry_that_stands_in_many_changes_dies_once),
	cmocka_unit_test(every_way_of_three_steps_can_be_undone),
	cmocka_unit_test(limits_are_told_and_change_nothing),
	cmocka_unit_test(what_is_undone_or_removed_takes_no_memory),
	cmocka_unit_test(a_digest_tells_contents_apart),
	cmocka_unit_test(any_sequence_of_changes_marks_and_undos_is_as_the_model),
	cmocka_unit_test(many_keys_come_and_go_and_stay_in_order),
	cmocka_unit_test(a_hundred_thousand_keys_and_their_successors_fit),
	cmocka_unit_test(a_failed_allocation_leaves_all_as_it_was),
	cmocka_unit_test(memory_that_is_gone_for_good_leaves_all_as_it_was),
	cmocka_unit_test(a_store_without_memory_is_none),
};

UNIT_MAIN(tests)
