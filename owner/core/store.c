/* SPDX-License-Identifier: MIT
 *
 * store.c - maps with undo: each entry (entry.h) stands in an index by hash, for access by key,
 * and in one by order.
 *
 * Removing only marks an entry absent; the indexes forget it at commit. So undo never has to
 * insert, and cannot fail.
 */
#include "owner/core/store.h"

#include "owner/core/by_hash.h"
#include "owner/core/by_order.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct change {
	struct map *map;
	uint64_t head_before;
	union entry_value value_before; /* its block, if it has one, is the change's */
	uint32_t number;                /* of the entry */
	bool inserted;                  /* the change that brought the entry into the map */
};

struct map {
	struct store *store;
	struct by_hash by_hash;
	struct by_order by_order;
	uint64_t count; /* entries that are not absent */
	uint64_t seed;  /* of its part of the digest */
	char name[];
};

struct store {
	struct map *maps[STORE_MAPS_ROOM];
	size_t map_count, made; /* made: by store_map */
	struct pool pool;
	struct change *changes;
	size_t change_count, change_room;
	uint64_t hash_seed, entries_max, bytes_max, entries, bytes, revision;
	uint64_t entries_before, bytes_before; /* the first of the changes */
	uint64_t work;       /* accesses so far */
	bool digesting;
	uint64_t digest;     /* while `digesting` */
	enum code failure;   /* the first since the last commit or undo to the start */
	struct value shown;  /* the value that was last asked for */
	struct map *asked;   /* the map of the last look-up, or NULL */
	/* What the last look-up found, for the next one of the same key: one who writes has read as
	 * a rule. NULL when the entry may be another since. */
	struct map *found_map;
	uint32_t found; /* ENTRY_NONE: it was not there, which says nothing of another key of this hash */
	uint64_t found_hash;
};

struct store *store_new(uint64_t hash_seed, uint64_t entries_max, uint64_t bytes_max)
{
	struct store *store = calloc(1, sizeof *store);

	if (store == NULL)
		return NULL;
	store->hash_seed = hash_seed;
	store->pool.downwards = hash_seed & 1;
	store->entries_max = entries_max;
	store->bytes_max = bytes_max;
	return store;
}

static struct entry *entry_of(const struct store *store, uint32_t number)
{
	return pool_entry(&store->pool, number);
}

static struct value value_of(const struct entry *entry)
{
	return entry_read(entry_kind(entry), &entry->value);
}

static bool is_there(const struct store *store, uint32_t number)
{
	return number != ENTRY_NONE && entry_kind(entry_of(store, number)) != ENTRY_ABSENT;
}

static void entry_free(struct store *store, uint32_t number)
{
	const struct entry *entry = entry_of(store, number);

	entry_unpack(entry_kind(entry), entry->value);
	pool_give(&store->pool, number);
}

/* The pool goes after it, as a whole. */
static void map_destroy(struct map *map)
{
	for (struct order_place at = by_order_first(&map->by_order); at.leaf != NULL; at = order_next(at)) {
		const struct entry *entry = entry_of(map->store, order_entry(at));
		entry_unpack(entry_kind(entry), entry->value);
	}
	by_hash_clear(&map->by_hash);
	by_order_clear(&map->by_order);
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
	pool_clear(&s->pool);
	free(s->changes);
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
	size_t size = strlen(name);

	if (store->map_count == STORE_MAPS_ROOM || size > STORE_NAME_MAX_BYTES)
		return NULL;
	struct map *map = calloc(1, sizeof *map + size + 1);
	if (map == NULL)
		return NULL;
	map->by_hash.seed = store->hash_seed;
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

/* ENTRY_NONE: it is not there. What is found may be absent until commit. */
static uint32_t find(struct map *map, const void *key, size_t key_size)
{
	struct store *store = map->store;

	const uint8_t *bytes = key_size > 0 ? key : (const uint8_t *)"";
	uint64_t hash = hash_key(&map->by_hash, bytes, key_size);

	store->work++;
	if (store->found_hash != hash || store->found_map != map || store->found == ENTRY_NONE ||
	    !entry_has_key(entry_of(store, store->found), bytes, key_size)) {
		store->found = by_hash_find(&map->by_hash, &store->pool, hash, bytes, key_size);
		store->found_hash = hash;
		store->found_map = store->asked = map;
	}
	return store->found;
}

uint64_t store_expect(const struct store *store, const void *key, size_t key_size)
{
	return store->asked != NULL && key_size > 0 && key_size <= STORE_KEY_MAX_BYTES ?
		       hash_key(&store->asked->by_hash, key, key_size) : 0;
}

void store_read_ahead(const struct store *store, const uint64_t *expected, size_t count)
{
	if (store->asked != NULL)
		by_hash_read_ahead(&store->asked->by_hash, &store->pool, expected, count);
}

/* NULL: it is not there. */
static const struct entry *find_present(struct map *map, const void *key, size_t key_size)
{
	uint32_t number = key_size > STORE_KEY_MAX_BYTES ? (uint32_t)ENTRY_NONE : find(map, key, key_size);

	return is_there(map->store, number) ? entry_of(map->store, number) : NULL;
}

const struct value *map_get(struct map *map, const void *key, size_t key_size)
{
	const struct entry *entry = find_present(map, key, key_size);

	if (entry == NULL)
		return NULL;
	map->store->shown = value_of(entry);
	return &map->store->shown;
}

static uint64_t value_extra_bytes(const struct value *value)
{
	return value->type == VALUE_BYTES ? value->size : 0;
}

/* With its places in the two indexes, about. */
static uint64_t entry_bytes(size_t key_size)
{
	enum { PLACES_BYTES = 16 };

	return sizeof(struct entry) + PLACES_BYTES + key_size;
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
	size_t size;
	const uint8_t *key = entry_key(entry, &size);

	return XXH3_64bits_withSeed(key, size, map->seed);
}

/* Keeps the books when an entry's value goes from one to another. */
static void account(struct map *map, const struct entry *entry, const struct value *from, const struct value *to)
{
	struct store *store = map->store;
	size_t key_size;

	if (store->digesting) {
		uint64_t key = key_digest(map, entry);
		store->digest += value_digest(key, to) - value_digest(key, from);
	}
	store->bytes += value_extra_bytes(to);
	store->bytes -= value_extra_bytes(from);
	entry_key(entry, &key_size);
	if (from->type == VALUE_NONE && to->type != VALUE_NONE) {
		store->bytes += entry_bytes(key_size);
		store->entries++;
		map->count++;
	} else if (from->type != VALUE_NONE && to->type == VALUE_NONE) {
		store->bytes -= entry_bytes(key_size);
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

/* Gives the entry a new value, packed, and keeps the one before for undo. */
static void change(struct map *map, uint32_t number, enum entry_kind kind, union entry_value packed, bool inserted)
{
	struct store *store = map->store;
	struct entry *entry = entry_of(store, number);
	const struct value before = value_of(entry), after = entry_read(kind, &packed);

	if (store->change_count == 0) {
		store->entries_before = store->entries;
		store->bytes_before = store->bytes;
	}
	account(map, entry, &before, &after);
	store->changes[store->change_count++] = (struct change){ .map = map, .head_before = entry->head,
								 .value_before = entry->value, .number = number,
								 .inserted = inserted };
	entry_set(entry, kind, packed, store->revision);
}

/* A new entry of the key, absent, that find has just not found. ENTRY_NONE: no memory, and nothing changed. */
static uint32_t insert(struct map *map, const void *key, size_t key_size)
{
	struct store *store = map->store;
	uint32_t number = pool_take(&store->pool, key, key_size);

	if (number == ENTRY_NONE)
		return ENTRY_NONE;
	if (!by_hash_reserve(&map->by_hash, &store->pool, store->found_hash) ||
	    !by_order_add(&map->by_order, &store->pool, number)) {
		pool_give(&store->pool, number);
		return ENTRY_NONE;
	}
	by_hash_add(&map->by_hash, store->found_hash, number);
	store->found = number;
	return number;
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
	union entry_value packed;
	enum entry_kind kind;

	if (key_size > STORE_KEY_MAX_BYTES)
		return CODE_TOO_LARGE;
	if (!change_reserve(store))
		return CODE_NO_MEMORY;
	uint32_t number = find(map, key, key_size);
	bool new = !is_there(store, number);
	struct value before = new ? value_none() : value_of(entry_of(store, number));
	uint64_t grows = value_extra_bytes(value) + (new ? entry_bytes(key_size) : 0);
	uint64_t shrinks = value_extra_bytes(&before);
	if (store->revision > ENTRY_REVISION_MAX ||
	    (new && store->entries >= most(store, store->entries_max, store->entries, store->entries_before)) ||
	    (grows > shrinks && store->bytes + (grows - shrinks) >
					most(store, store->bytes_max, store->bytes, store->bytes_before)))
		return CODE_FULL;
	if (!entry_pack(value, &kind, &packed))
		return CODE_NO_MEMORY;
	bool inserted = number == ENTRY_NONE;
	if (inserted)
		number = insert(map, key, key_size);
	if (number == ENTRY_NONE) {
		entry_unpack(kind, packed);
		return CODE_NO_MEMORY;
	}
	change(map, number, kind, packed, inserted);
	return CODE_OK;
}

enum code map_remove(struct map *map, const void *key, size_t key_size, bool *existed)
{
	const bool there = find_present(map, key, key_size) != NULL;

	if (there) {
		if (!change_reserve(map->store))
			return CODE_NO_MEMORY;
		change(map, map->store->found, ENTRY_ABSENT, (union entry_value){ .integer = 0 }, false);
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
	const struct entry *entry = find_present(map, key, key_size);

	return entry == NULL ? 0 : entry_revision(entry);
}

/* The entry at a place, or the first behind it that is not absent. False: there is none. */
static bool show(const struct map *map, struct order_place at, struct map_entry *shown)
{
	struct store *store = map->store;

	while (at.leaf != NULL && !is_there(store, order_entry(at)))
		at = order_next(at);
	if (at.leaf == NULL)
		return false;
	const struct entry *entry = entry_of(store, order_entry(at));
	store->shown = value_of(entry);
	*shown = (struct map_entry){ .value = &store->shown, .revision = entry_revision(entry),
				     .leaf = at.leaf, .at = at.at };
	shown->key = entry_key(entry, &shown->key_size);
	return true;
}

bool map_seek(struct map *map, const void *key, size_t key_size, bool after, struct map_entry *found)
{
	const bool cut = key_size > STORE_KEY_MAX_BYTES;
	const uint8_t *from = key_size > 0 ? key : (const uint8_t *)"";

	map->store->work++;
	/* No key is longer: those at or above a longer one are those above its beginning. */
	return show(map,
		    by_order_seek(&map->by_order, &map->store->pool, from, cut ? STORE_KEY_MAX_BYTES : key_size,
				  after || cut),
		    found);
}

void store_set_revision(struct store *store, uint64_t revision)
{
	store->revision = revision;
}

size_t store_mark(const struct store *store)
{
	return store->change_count;
}

static void forget(struct map *map, uint32_t number)
{
	struct store *store = map->store;
	size_t size;
	const uint8_t *key = entry_key(entry_of(store, number), &size);

	store->found_map = NULL;
	by_hash_remove(&map->by_hash, hash_key(&map->by_hash, key, size), number);
	by_order_remove(&map->by_order, &store->pool, number);
	entry_free(store, number);
}

void store_undo(struct store *store, size_t mark)
{
	if (mark == 0)
		store->failure = CODE_OK;
	while (store->change_count > mark) {
		const struct change *c = &store->changes[--store->change_count];
		struct entry *entry = entry_of(store, c->number);
		const enum entry_kind kind = entry_kind(entry);
		const union entry_value undone = entry->value;
		const struct value from = entry_read(kind, &undone);
		entry->head = c->head_before;
		entry->value = c->value_before;
		const struct value to = value_of(entry);
		account(c->map, entry, &from, &to);
		entry_unpack(kind, undone);
		if (c->inserted)
			forget(c->map, c->number);
	}
}

void store_commit(struct store *store)
{
	/* An entry may stand in several changes: the first that finds it absent keeps it. */
	for (size_t i = 0; i < store->change_count; i++) {
		struct change *c = &store->changes[i];
		struct entry *entry = entry_of(store, c->number);
		entry_unpack((enum entry_kind)(c->head_before & ENTRY_KIND_MASK), c->value_before);
		if (entry_kind(entry) != ENTRY_ABSENT || (entry->head & ENTRY_DYING) != 0)
			c->number = ENTRY_NONE;
		else
			entry->head |= ENTRY_DYING;
	}
	for (size_t i = 0; i < store->change_count; i++)
		if (store->changes[i].number != ENTRY_NONE)
			forget(store->changes[i].map, store->changes[i].number);
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
		const struct map *map = store->maps[i];
		for (struct order_place at = by_order_first(&map->by_order); at.leaf != NULL; at = order_next(at)) {
			const struct entry *entry = entry_of(store, order_entry(at));
			const struct value value = value_of(entry);
			sum += value_digest(key_digest(map, entry), &value);
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
	return show(map,
		    at->key == NULL ? by_order_first(&map->by_order) :
				      order_next((struct order_place){ .leaf = at->leaf, .at = at->at }),
		    at);
}

struct map *store_restore_map(struct store *store, const char *name)
{
	struct map *map = find_map(store, name);

	return map != NULL ? map : make_map(store, name);
}

void map_expect(struct map *map, uint64_t count)
{
	enum { MOST = 1 << 22 };

	/* No more than grows within the first seconds anyway: the number may be wrong. */
	by_hash_expect(&map->by_hash, count < MOST ? count : MOST);
}

/* Is the key above all that the map holds? */
static bool is_last(const struct map *map, const void *key, size_t key_size)
{
	uint32_t last = by_order_last(&map->by_order);

	return last == ENTRY_NONE ||
	       entry_compare(key_size > 0 ? key : (const uint8_t *)"", key_size, entry_of(map->store, last)) > 0;
}

enum code map_restore(struct map *map, const struct map_entry *from)
{
	struct store *store = map->store;
	const struct value none = value_none();
	union entry_value packed;
	enum entry_kind kind;

	if (from->key_size > STORE_KEY_MAX_BYTES || from->revision > ENTRY_REVISION_MAX ||
	    !is_last(map, from->key, from->key_size))
		return CODE_INVALID;
	if (!entry_pack(from->value, &kind, &packed))
		return CODE_NO_MEMORY;
	uint32_t number = pool_take(&store->pool, from->key, from->key_size);
	uint64_t hash = hash_key(&map->by_hash, from->key, from->key_size);
	if (number == ENTRY_NONE || !by_hash_reserve(&map->by_hash, &store->pool, hash) ||
	    !by_order_append(&map->by_order, &store->pool, number)) {
		if (number != ENTRY_NONE)
			pool_give(&store->pool, number);
		entry_unpack(kind, packed);
		return CODE_NO_MEMORY;
	}
	by_hash_add(&map->by_hash, hash, number);
	entry_set(entry_of(store, number), kind, packed, from->revision);
	const struct value value = value_of(entry_of(store, number));
	account(map, entry_of(store, number), &none, &value);
	store->found_map = NULL;
	return CODE_OK;
}
