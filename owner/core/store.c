/* SPDX-License-Identifier: MIT
 *
 * store.c - maps with undo: each entry stands in Concurrency Kit's open-addressing hash
 * set, for access by key, and in a red-black tree (BSD's tree.h), for order.
 *
 * Removing only marks an entry absent (type none); the hash set forgets it at
 * commit. So undo never has to insert, and cannot fail.
 */
#include "owner/core/store.h"

#ifndef __unused
#define __unused __attribute__((unused)) /* tree.h needs it, and glibc has none */
#endif
#include <bsd/sys/tree.h>
#include <ck_hs.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct entry {
	struct value value; /* bytes are malloc'ed; none: absent until commit */
	RB_ENTRY(entry) order;
	uint64_t revision;
	uint16_t key_size;
	bool dying;         /* used within commit */
	uint8_t key[];
};

struct change {
	struct map *map;
	struct entry *entry;
	struct value before; /* owns its bytes */
	uint64_t revision_before;
	bool inserted;       /* the change that brought the entry into the set */
};

RB_HEAD(entries, entry);

struct map {
	struct store *store;
	struct entries order;
	ck_hs_t set;
	uint64_t count; /* entries that are not absent */
	uint64_t seed;  /* of its part of the digest */
	char name[];
};

struct store {
	struct map *maps[STORE_MAPS_ROOM];
	size_t map_count, made; /* made: by store_map */
	struct change *changes;
	size_t change_count, change_room;
	uint64_t hash_seed, entries_max, bytes_max, entries, bytes, revision;
	uint64_t entries_before, bytes_before; /* the first of the changes */
	uint64_t work;       /* accesses so far */
	bool digesting;
	uint64_t digest;     /* while `digesting` */
	enum code failure;   /* the first since the last commit or undo to the start */
	struct entry *probe; /* a key being looked up, in the form the set compares */
	/* What the last look-up found, for the next one of the same key: one who writes has read as
	 * a rule. NULL when the probe or the entry may have changed since. */
	struct map *found_map;
	struct entry *found;
	unsigned long found_hash;
};

static unsigned long hash_entry(const void *object, unsigned long seed)
{
	const struct entry *entry = object;
	return (unsigned long)XXH3_64bits_withSeed(entry->key, entry->key_size, seed);
}

static bool same_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->key_size == y->key_size && memcmp(x->key, y->key, x->key_size) == 0;
}

static int compare_keys(const struct entry *a, const struct entry *b)
{
	size_t shorter = a->key_size < b->key_size ? a->key_size : b->key_size;
	int difference = memcmp(a->key, b->key, shorter);

	return difference != 0 ? difference : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

/* cppcheck-suppress unknownMacro ; of tree.h */
RB_GENERATE_STATIC(entries, entry, order, compare_keys)

static void *ck_allocate(size_t size)
{
	return malloc(size);
}

static void *ck_reallocate(void *old, size_t old_size, size_t size, bool deferred)
{
	(void)old_size, (void)deferred;
	return realloc(old, size);
}

static void ck_release(void *old, size_t size, bool deferred)
{
	(void)size, (void)deferred;
	free(old);
}

static struct ck_malloc ck_allocator = { .malloc = ck_allocate, .realloc = ck_reallocate, .free = ck_release };

struct store *store_new(uint64_t hash_seed, uint64_t entries_max, uint64_t bytes_max)
{
	struct store *store = calloc(1, sizeof *store);

	if (store == NULL)
		return NULL;
	store->hash_seed = hash_seed;
	store->entries_max = entries_max;
	store->bytes_max = bytes_max;
	store->probe = calloc(1, sizeof *store->probe + STORE_KEY_MAX_BYTES);
	if (store->probe == NULL)
		store_destroy(&store);
	return store;
}

static void value_free(struct value *value)
{
	if (value->type == VALUE_BYTES)
		free((void *)(uintptr_t)value->bytes);
	*value = value_none();
}

static void entry_free(struct entry *entry)
{
	value_free(&entry->value);
	free(entry);
}

static void map_destroy(struct map *map)
{
	ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
	void *object;

	while (ck_hs_next(&map->set, &at, &object))
		entry_free(object);
	ck_hs_destroy(&map->set);
	free(map);
}

void store_destroy(struct store **store)
{
	struct store *s = *store;

	if (s == NULL)
		return;
	store_undo(s, 0);
	for (size_t i = 0; i < s->map_count; i++)
		map_destroy(s->maps[i]);
	free(s->changes);
	free(s->probe);
	free(s);
	*store = NULL;
}

static struct map *find_map(struct store *store, const char *name)
{
	for (size_t i = 0; i < store->map_count; i++)
		if (strcmp(store->maps[i]->name, name) == 0)
			return store->maps[i];
	return NULL;
}

static uint64_t digest_seed(const char *name)
{
	return XXH3_64bits(name, strlen(name));
}

static struct map *make_map(struct store *store, const char *name)
{
	enum { FIRST_CAPACITY = 64 };
	size_t size = strlen(name);

	if (store->map_count == STORE_MAPS_ROOM || size > STORE_NAME_MAX_BYTES)
		return NULL;
	struct map *map = calloc(1, sizeof *map + size + 1);
	if (map == NULL)
		return NULL;
	if (!ck_hs_init(&map->set, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, hash_entry, same_key, &ck_allocator,
			FIRST_CAPACITY, store->hash_seed)) {
		free(map);
		return NULL;
	}
	RB_INIT(&map->order);
	map->store = store;
	memcpy(map->name, name, size);
	map->seed = digest_seed(name);
	store->maps[store->map_count++] = map;
	return map;
}

struct map *store_map(struct store *store, const char *name)
{
	struct map *map = find_map(store, name);

	if (map != NULL || store->made == STORE_MAPS_MAX)
		return map;
	map = make_map(store, name);
	store->made += map != NULL;
	return map;
}

static struct entry *find(struct map *map, const void *key, size_t key_size, unsigned long *hash)
{
	struct store *store = map->store;
	struct entry *probe = store->probe;

	store->work++;
	if (store->found_map != map || probe->key_size != key_size ||
	    (key_size > 0 && memcmp(probe->key, key, key_size) != 0)) {
		probe->key_size = (uint16_t)key_size;
		if (key_size > 0)
			memcpy(probe->key, key, key_size);
		store->found_hash = hash_entry(probe, map->set.seed);
		store->found = ck_hs_get(&map->set, store->found_hash, probe);
		store->found_map = map;
	}
	*hash = store->found_hash;
	return store->found;
}

const struct value *map_get(struct map *map, const void *key, size_t key_size)
{
	unsigned long hash;

	if (key_size > STORE_KEY_MAX_BYTES)
		return NULL;
	const struct entry *entry = find(map, key, key_size, &hash);
	return entry == NULL || entry->value.type == VALUE_NONE ? NULL : &entry->value;
}

static uint64_t value_extra_bytes(const struct value *value)
{
	return value->type == VALUE_BYTES ? value->size : 0;
}

static uint64_t entry_bytes(const struct entry *entry)
{
	return sizeof *entry + entry->key_size;
}

/* What an entry of this value adds to the digest. */
static uint64_t value_digest(uint64_t key, const struct value *value)
{
	uint64_t integer;

	switch (value->type) {
	case VALUE_INTEGER:
		integer = htole64((uint64_t)value->integer);
		return XXH3_64bits_withSeed(&integer, sizeof integer, key);
	case VALUE_BYTES:
		return XXH3_64bits_withSeed(value->bytes, value->size, ~key);
	case VALUE_NONE:
	case VALUE_LIST:
		break;
	}
	return 0;
}

static uint64_t key_digest(const struct map *map, const struct entry *entry)
{
	return XXH3_64bits_withSeed(entry->key, entry->key_size, map->seed);
}

/* Keeps the books when an entry's value goes from one to another. */
static void account(struct map *map, const struct entry *entry, const struct value *from, const struct value *to)
{
	struct store *store = map->store;

	if (store->digesting) {
		uint64_t key = key_digest(map, entry);
		store->digest += value_digest(key, to) - value_digest(key, from);
	}
	store->bytes += value_extra_bytes(to);
	store->bytes -= value_extra_bytes(from);
	if (from->type == VALUE_NONE && to->type != VALUE_NONE) {
		store->bytes += entry_bytes(entry);
		store->entries++;
		map->count++;
	} else if (from->type != VALUE_NONE && to->type == VALUE_NONE) {
		store->bytes -= entry_bytes(entry);
		store->entries--;
		map->count--;
	}
}

/* Room for one more change, got before anything is touched. */
static bool change_reserve(struct store *store)
{
	enum { FIRST_ROOM = 64 };

	if (store->change_count < store->change_room)
		return true;
	size_t room = store->change_room ? store->change_room * 2 : FIRST_ROOM;
	struct change *grown = realloc(store->changes, room * sizeof *grown);
	if (grown == NULL)
		return false;
	store->changes = grown;
	store->change_room = room;
	return true;
}

/* Gives the entry a new value and keeps the one before for undo. */
static void change(struct map *map, struct entry *entry, struct value value, bool inserted)
{
	struct store *store = map->store;

	if (store->change_count == 0) {
		store->entries_before = store->entries;
		store->bytes_before = store->bytes;
	}
	account(map, entry, &entry->value, &value);
	store->changes[store->change_count++] =
		(struct change){ .map = map, .entry = entry, .before = entry->value,
				   .revision_before = entry->revision, .inserted = inserted };
	entry->value = value;
	entry->revision = store->revision;
}

/* False: no memory, and the copy is none. */
static bool copy_value(struct value *copy, const struct value *value)
{
	*copy = *value;
	if (value->type != VALUE_BYTES)
		return true;
	uint8_t *bytes = malloc(value->size > 0 ? value->size : 1);
	*copy = value_none();
	if (bytes == NULL)
		return false;
	*copy = *value;
	if (value->size > 0)
		memcpy(bytes, value->bytes, value->size);
	copy->bytes = bytes;
	return true;
}

static enum code insert(struct map *map, unsigned long hash, const struct value *value)
{
	const struct entry *probe = map->store->probe;
	struct entry *entry = malloc(sizeof *entry + probe->key_size);
	struct value copy;

	if (entry == NULL)
		return CODE_NO_MEMORY;
	memcpy(entry, probe, sizeof *probe + probe->key_size);
	entry->value = value_none();
	entry->dying = false;
	if (!copy_value(&copy, value)) {
		free(entry);
		return CODE_NO_MEMORY;
	}
	if (!ck_hs_put_unique(&map->set, hash, entry)) {
		value_free(&copy);
		free(entry);
		return CODE_NO_MEMORY;
	}
	RB_INSERT(entries, &map->order, entry);
	map->store->found = entry; /* its key is the probe's */
	change(map, entry, copy, true);
	return CODE_OK;
}

/* A state may be larger than limits that were lowered since: then what is given back can be taken, and no more. */
static uint64_t most(const struct store *store, uint64_t limit, uint64_t now, uint64_t before)
{
	uint64_t had = store->change_count > 0 ? before : now;

	return had > limit ? had : limit;
}

enum code map_put(struct map *map, const void *key, size_t key_size, const struct value *value)
{
	struct store *store = map->store;
	unsigned long hash;
	struct value copy;

	if (key_size > STORE_KEY_MAX_BYTES)
		return CODE_TOO_LARGE;
	if (!change_reserve(store))
		return CODE_NO_MEMORY;
	struct entry *entry = find(map, key, key_size, &hash);
	bool new = entry == NULL || entry->value.type == VALUE_NONE;
	uint64_t grows = value_extra_bytes(value) + (new ? sizeof *entry + key_size : 0);
	uint64_t shrinks = new ? 0 : value_extra_bytes(&entry->value);
	if ((new && store->entries >= most(store, store->entries_max, store->entries, store->entries_before)) ||
	    (grows > shrinks && store->bytes + (grows - shrinks) >
					most(store, store->bytes_max, store->bytes, store->bytes_before)))
		return CODE_FULL;
	if (entry == NULL)
		return insert(map, hash, value);
	if (!copy_value(&copy, value))
		return CODE_NO_MEMORY;
	change(map, entry, copy, false);
	return CODE_OK;
}

enum code map_remove(struct map *map, const void *key, size_t key_size, bool *existed)
{
	unsigned long hash;
	struct entry *entry = key_size > STORE_KEY_MAX_BYTES ? NULL : find(map, key, key_size, &hash);
	bool there = entry != NULL && entry->value.type != VALUE_NONE;

	if (there) {
		if (!change_reserve(map->store))
			return CODE_NO_MEMORY;
		change(map, entry, value_none(), false);
	}
	if (existed != NULL)
		*existed = there;
	return CODE_OK;
}

uint64_t map_count(const struct map *map)
{
	return map->count;
}

uint64_t map_revision(struct map *map, const void *key, size_t key_size)
{
	unsigned long hash;
	const struct entry *entry = key_size > STORE_KEY_MAX_BYTES ? NULL : find(map, key, key_size, &hash);

	return entry == NULL || entry->value.type == VALUE_NONE ? 0 : entry->revision;
}

bool map_seek(struct map *map, const void *key, size_t key_size, bool after, struct map_entry *found)
{
	struct entry *probe = map->store->probe;
	bool cut = key_size > STORE_KEY_MAX_BYTES;

	map->store->work++;
	map->store->found_map = NULL;
	/* No key is longer: those at or above a longer one are those above its beginning. */
	probe->key_size = (uint16_t)(cut ? STORE_KEY_MAX_BYTES : key_size);
	if (probe->key_size > 0)
		memcpy(probe->key, key, probe->key_size);
	struct entry *entry = RB_NFIND(entries, &map->order, probe);
	if (entry != NULL && (after || cut) && compare_keys(entry, probe) == 0)
		entry = RB_NEXT(entries, &map->order, entry);
	while (entry != NULL && entry->value.type == VALUE_NONE)
		entry = RB_NEXT(entries, &map->order, entry);
	if (entry == NULL)
		return false;
	*found = (struct map_entry){ .key = entry->key, .key_size = entry->key_size, .value = &entry->value,
				     .revision = entry->revision };
	return true;
}

void store_set_revision(struct store *store, uint64_t revision)
{
	store->revision = revision;
}

size_t store_mark(const struct store *store)
{
	return store->change_count;
}

static void forget(struct map *map, struct entry *entry)
{
	map->store->found_map = NULL;
	ck_hs_remove(&map->set, hash_entry(entry, map->set.seed), entry);
	RB_REMOVE(entries, &map->order, entry);
	entry_free(entry);
}

void store_undo(struct store *store, size_t mark)
{
	if (mark == 0)
		store->failure = CODE_OK;
	while (store->change_count > mark) {
		struct change *c = &store->changes[--store->change_count];
		account(c->map, c->entry, &c->entry->value, &c->before);
		value_free(&c->entry->value);
		c->entry->value = c->before;
		c->entry->revision = c->revision_before;
		if (c->inserted)
			forget(c->map, c->entry);
	}
}

void store_commit(struct store *store)
{
	/* An entry may stand in several changes: the first that finds it absent keeps it. */
	for (size_t i = 0; i < store->change_count; i++) {
		struct change *c = &store->changes[i];
		value_free(&c->before);
		if (c->entry->value.type != VALUE_NONE || c->entry->dying)
			c->entry = NULL;
		else
			c->entry->dying = true;
	}
	for (size_t i = 0; i < store->change_count; i++)
		if (store->changes[i].entry != NULL)
			forget(store->changes[i].map, store->changes[i].entry);
	store->change_count = 0;
	store->failure = CODE_OK;
}

void store_note_failure(struct store *store, enum code code)
{
	if (store->failure == CODE_OK)
		store->failure = code;
}

void map_note_failure(struct map *map, enum code code)
{
	store_note_failure(map->store, code);
}

enum code store_failure(const struct store *store)
{
	return store->failure;
}

uint64_t store_bytes(const struct store *store)
{
	return store->bytes;
}

uint64_t store_work(const struct store *store)
{
	return store->work;
}

uint64_t store_entries(const struct store *store)
{
	return store->entries;
}

static uint64_t digest_of_all(const struct store *store)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < store->map_count; i++) {
		struct map *map = store->maps[i];
		ck_hs_iterator_t at = CK_HS_ITERATOR_INITIALIZER;
		void *object;
		while (ck_hs_next(&map->set, &at, &object)) {
			const struct entry *entry = object;
			sum += value_digest(key_digest(map, entry), &entry->value);
		}
	}
	return sum;
}

uint64_t store_digest(const struct store *store)
{
	return store->digesting ? store->digest : digest_of_all(store);
}

void store_keep_digest(struct store *store)
{
	if (store->digesting)
		return;
	store->digest = digest_of_all(store);
	store->digesting = true;
}

bool store_digest_is_true(const struct store *store)
{
	return !store->digesting || store->digest == digest_of_all(store);
}

void store_set_limits(struct store *store, uint64_t entries_max, uint64_t bytes_max)
{
	store->entries_max = entries_max;
	store->bytes_max = bytes_max;
}

uint64_t store_digest_entry(const char *name, const void *key, size_t key_size, const struct value *value)
{
	return value_digest(XXH3_64bits_withSeed(key, key_size, digest_seed(name)), value);
}

/* ---- for snapshots ---- */

const char *map_name(const struct map *map)
{
	return map->name;
}

size_t store_maps(const struct store *store, const struct map *maps[STORE_MAPS_ROOM])
{
	size_t count = 0;

	for (size_t i = 0; i < store->map_count; i++) {
		const struct map *map = store->maps[i];
		if (map->count == 0)
			continue;
		size_t place = count++;
		for (; place > 0 && strcmp(maps[place - 1]->name, map->name) > 0; place--)
			maps[place] = maps[place - 1];
		maps[place] = map;
	}
	return count;
}

bool map_next(const struct map *map, struct map_entry *at)
{
	struct entries *order = (struct entries *)(uintptr_t)&map->order;
	struct entry *entry;

	if (at->key == NULL)
		entry = RB_MIN(entries, order);
	else
		entry = RB_NEXT(entries, order, (struct entry *)((uintptr_t)at->key - offsetof(struct entry, key)));
	while (entry != NULL && entry->value.type == VALUE_NONE)
		entry = RB_NEXT(entries, order, entry);
	if (entry == NULL)
		return false;
	*at = (struct map_entry){ .key = entry->key, .key_size = entry->key_size, .value = &entry->value,
				  .revision = entry->revision };
	return true;
}

struct map *store_restore_map(struct store *store, const char *name)
{
	struct map *map = find_map(store, name);

	return map != NULL ? map : make_map(store, name);
}

void map_expect(struct map *map, uint64_t count)
{
	enum { MOST = 1 << 22, PLACES_AN_ENTRY = 2 };

	/* No more than grows within the first seconds anyway: the number may be wrong. */
	uint64_t places = (count < MOST ? count : MOST) * PLACES_AN_ENTRY;
	ck_hs_grow(&map->set, (unsigned long)places);
}

/* An entry whose key is above all others: the tree need not be searched for its place. */
static void append_in_order(struct map *map, struct entry *entry, struct entry *last)
{
	RB_SET(entry, last, order);
	if (last == NULL)
		RB_ROOT(&map->order) = entry;
	else
		RB_RIGHT(last, order) = entry;
	entries_RB_INSERT_COLOR(&map->order, entry);
}

enum code map_restore(struct map *map, const struct map_entry *from)
{
	if (from->key_size > STORE_KEY_MAX_BYTES)
		return CODE_INVALID;
	struct entry *last = RB_MAX(entries, &map->order), *entry = malloc(sizeof *entry + from->key_size);
	const struct value none = value_none();
	if (entry == NULL)
		return CODE_NO_MEMORY;
	*entry = (struct entry){ .value = none, .revision = from->revision, .key_size = (uint16_t)from->key_size };
	if (from->key_size > 0)
		memcpy(entry->key, from->key, from->key_size);
	if (last != NULL && compare_keys(last, entry) >= 0) {
		entry_free(entry);
		return CODE_INVALID;
	}
	if (!copy_value(&entry->value, from->value) ||
	    !ck_hs_put_unique(&map->set, hash_entry(entry, map->set.seed), entry)) {
		entry_free(entry);
		return CODE_NO_MEMORY;
	}
	append_in_order(map, entry, last);
	account(map, entry, &none, &entry->value);
	map->store->found_map = NULL;
	return CODE_OK;
}
