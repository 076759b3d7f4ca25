/* SPDX-License-Identifier: MIT
 *
 * by_hash.h - finds the entry of a key by the key's hash.
 *
 * Twelve entries share a cache line, with a byte of each one's hash: a key that is there costs
 * two lines, its place and its entry. The table is made of parts of at most 16 KiB, which are
 * split one at a time (extendible hashing): growing never stops the owner for long, and does not
 * need the old and the new table at once. 5.3 bytes a place, of which 42 to 83 % are taken.
 */
#ifndef SOLE_OWNER_BY_HASH_H
#define SOLE_OWNER_BY_HASH_H

#include "owner/core/entry.h"

struct hash_part;

struct by_hash {
	struct hash_part **parts; /* by the highest `depth` bits of the hash; a part may stand in many places */
	unsigned depth;
	uint64_t seed, count;
};

uint64_t hash_key(const struct by_hash *index, const uint8_t *key, size_t size);

/* ENTRY_NONE: it is not there. */
uint32_t by_hash_find(const struct by_hash *index, const struct pool *pool, uint64_t hash, const uint8_t *key,
		      size_t size);

/* Brings into the cache what by_hash_find will wait for, of so many hashes. */
void by_hash_read_ahead(const struct by_hash *index, const struct pool *pool, const uint64_t *hashes, size_t count);

/* Room for one more entry of this hash. False: there is no memory, and nothing has changed. */
bool by_hash_reserve(struct by_hash *index, const struct pool *pool, uint64_t hash);

/* After by_hash_reserve of the same hash. */
void by_hash_add(struct by_hash *index, uint64_t hash, uint32_t number);

/* One that is there. Never fails; an index that is empty holds no memory. */
void by_hash_remove(struct by_hash *index, uint64_t hash, uint32_t number);

/* Makes room for so many, if it is empty and there is memory. */
void by_hash_expect(struct by_hash *index, uint64_t count);

void by_hash_clear(struct by_hash *index);

#endif
