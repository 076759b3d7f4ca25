/* SPDX-License-Identifier: MIT
 *
 * store.h - where all state of a behaviour lives: maps from bytes to values, in
 * order of keys, with undo.
 *
 * Because the store and not the behaviour holds the state, undo to a mark,
 * digest and size are written once, here, and are right for every behaviour.
 * No I/O, no clock, no randomness: the hash seed comes in. Allocation failure is
 * an answer (CODE_NO_MEMORY) and leaves the store as it was.
 */
#ifndef SOLE_OWNER_STORE_H
#define SOLE_OWNER_STORE_H

#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct map;
struct order_leaf;

enum {
	STORE_KEY_MAX_BYTES = 1024,
	STORE_NAME_MAX_BYTES = 255,
	STORE_MAPS_MAX = 16,  /* that are made by store_map */
	STORE_MAPS_ROOM = 32, /* with those that were restored, and nobody has asked for */
};

/* NULL when there is no memory. `entries_max` bounds the entries of all maps
 * together, `bytes_max` what they take (store_bytes). */
struct store *store_new(uint64_t hash_seed, uint64_t entries_max, uint64_t bytes_max);
void store_destroy(struct store **store);

/* The map called `name` (copied), made if it is not there. NULL: no memory, a name of more than
 * STORE_NAME_MAX_BYTES, or more than STORE_MAPS_MAX maps. */
struct map *store_map(struct store *store, const char *name);

/* The value at `key`, or NULL. Valid until the store is next asked or changed; the bytes it leads to, until
 * the map is next changed. */
const struct value *map_get(struct map *map, const void *key, size_t key_size);

/* A key that will be asked for soon, most likely of the map that was asked last: what it returns is for store_read_ahead,
 * which brings what the look-ups of so many would wait for into the cache, all at once. Both only cost or save time,
 * whatever is asked for then. */
uint64_t store_expect(const struct store *store, const void *key, size_t key_size);
void store_read_ahead(const struct store *store, const uint64_t *expected, size_t count);

/* Sets `key` to an integer or bytes (copied). CODE_OK, CODE_TOO_LARGE (the key),
 * CODE_FULL or CODE_NO_MEMORY; unless CODE_OK nothing has changed. */
enum code map_put(struct map *map, const void *key, size_t key_size, const struct value *value);

/* Removes `key`. CODE_OK also when it was not there (`*existed` tells, may be
 * NULL); CODE_NO_MEMORY and nothing changed. */
enum code map_remove(struct map *map, const void *key, size_t key_size, bool *existed);

uint64_t map_count(const struct map *map);

/* The revision at which `key` was last put (store_set_revision); 0 when it is not there. */
uint64_t map_revision(struct map *map, const void *key, size_t key_size);

struct map_entry {
	const void *key;
	size_t key_size;
	const struct value *value;
	uint64_t revision;
	const struct order_leaf *leaf; /* where it stands: the store's own, for map_next */
	unsigned at;
};

/* The first entry, by bytes, whose key is at or above `key` (above it, if `after`). False: there
 * is none. The entry is valid as what map_get gives. */
bool map_seek(struct map *map, const void *key, size_t key_size, bool after, struct map_entry *entry);

/* What map_put notes as revision from now on: below 2^56, or all it says is CODE_FULL. */
void store_set_revision(struct store *store, uint64_t revision);

/* Everything put or removed since the last store_commit can be undone, to the
 * start or to a mark taken in between. Undoing never fails. */
size_t store_mark(const struct store *store);
void store_undo(struct store *store, size_t mark);
void store_commit(struct store *store);

/* What a behaviour has been refused, and may have overlooked: the first since the last commit or undo to
 * the start. CODE_OK: nothing. */
void store_note_failure(struct store *store, enum code code);
void map_note_failure(struct map *map, enum code code);
enum code store_failure(const struct store *store);

/* Bytes that the entries take with their places in the indexes, about; an allocator's overhead not counted. */
uint64_t store_bytes(const struct store *store);
uint64_t store_entries(const struct store *store);

/* How often maps have been read or written so far: what operations have cost. */
uint64_t store_work(const struct store *store);

/* A number that is the same for two stores of the same contents, whatever the order in
 * which they came about and whatever the hash seed. Walks everything, unless it is kept. */
uint64_t store_digest(const struct store *store);

/* Keeps the digest from now on: each change pays for it, and asking is free. */
void store_keep_digest(struct store *store);

/* Is the digest that is kept that of the contents? Walks everything. */
bool store_digest_is_true(const struct store *store);

/* As store_new. Lower ones than what is there only keep it from growing: what is removed can be put in its place until the
 * next store_commit. */
void store_set_limits(struct store *store, uint64_t entries_max, uint64_t bytes_max);

/* What one entry adds to the digest (modulo 2^64). */
uint64_t store_digest_entry(const char *map_name, const void *key, size_t key_size, const struct value *value);

/* ---- for snapshots: all of it, in an order that does not depend on how it came about ---- */

const char *map_name(const struct map *map);

/* The maps that hold anything, in order of their names. Returns how many were stored. Allocates nothing. */
size_t store_maps(const struct store *store, const struct map *maps[STORE_MAPS_ROOM]);

/* The entry behind *entry, in order of keys; the first of all when its key is NULL. False: there is none.
 * Allocates nothing and changes nothing. */
bool map_next(const struct map *map, struct map_entry *entry);

/* As store_map, for a map of which nobody knows yet whether the behaviour asks for it. */
struct map *store_restore_map(struct store *store, const char *name);

/* So many entries will be put back: makes room at once, where there is memory for it. */
void map_expect(struct map *map, uint64_t count);

/* Puts back an entry, with its revision. No limit is asked, and it cannot be undone. CODE_OK, CODE_NO_MEMORY;
 * CODE_INVALID: its key is not above all that the map holds, or too long, or its revision 2^56 or more. */
enum code map_restore(struct map *map, const struct map_entry *entry);

#endif
