/* SPDX-License-Identifier: MIT
 *
 * entry.h - an entry of the store as it lies in memory: 16 bytes and its key.
 *
 * Entries stand in slabs of one size each and are called by a number of 32 bits, which is what
 * the two indexes hold (by_hash.h, by_order.h): half a pointer, and an allocator's header is
 * paid once for a slab. An entry never moves. A pool holds up to 32 GiB of entries; bytes of
 * values that do not fit into the entry lie outside of it, a block each.
 */
#ifndef SOLE_OWNER_ENTRY_H
#define SOLE_OWNER_ENTRY_H

#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum entry_kind {
	ENTRY_ABSENT, /* removed, until commit */
	ENTRY_INTEGER,
	ENTRY_SHORT, /* bytes that stand in the entry */
	ENTRY_LONG,  /* bytes in a block */
};

/* Bytes of a value outside of its entry. */
struct entry_block {
	uint32_t size;
	uint8_t bytes[];
};

enum { ENTRY_SHORT_MOST = 7, ENTRY_SHORT_SIZE_AT = 7 };

union entry_value {
	int64_t integer;
	struct entry_block *block;
	uint8_t small[8]; /* the last is how many */
};

/* The head, from its lowest bit: kind (2), dying (1), size of the key (5; all set: two bytes before
 * the key tell it), revision (56). */
struct entry {
	uint64_t head;
	union entry_value value;
	uint8_t key[];
};

enum {
	ENTRY_KIND_MASK = 3,
	ENTRY_DYING = 4, /* used within commit */
	ENTRY_KEY_SHIFT = 3,
	ENTRY_KEY_LONG = 31,
	ENTRY_REVISION_SHIFT = 8,
	ENTRY_NONE = 0, /* the number of no entry */
};

#define ENTRY_REVISION_MAX ((UINT64_C(1) << 56) - 1)

static inline enum entry_kind entry_kind(const struct entry *entry)
{
	return (enum entry_kind)(entry->head & ENTRY_KIND_MASK);
}

static inline uint64_t entry_revision(const struct entry *entry)
{
	return entry->head >> ENTRY_REVISION_SHIFT;
}

static inline void entry_set(struct entry *entry, enum entry_kind kind, union entry_value value, uint64_t revision)
{
	const uint64_t kept = entry->head & (ENTRY_KEY_LONG << ENTRY_KEY_SHIFT);

	entry->head = revision << ENTRY_REVISION_SHIFT | kept | kind;
	entry->value = value;
}

static inline const uint8_t *entry_key(const struct entry *entry, size_t *size)
{
	*size = entry->head >> ENTRY_KEY_SHIFT & ENTRY_KEY_LONG;
	if (*size < ENTRY_KEY_LONG)
		return entry->key;
	*size = (size_t)entry->key[0] | (size_t)entry->key[1] << 8;
	return entry->key + 2;
}

/* As memcmp of the key with that of the entry; a shorter one comes first. */
static inline int entry_compare(const uint8_t *key, size_t size, const struct entry *entry)
{
	size_t other_size;
	const uint8_t *other = entry_key(entry, &other_size);
	int difference = memcmp(key, other, size < other_size ? size : other_size);

	return difference != 0 ? difference : (size > other_size) - (size < other_size);
}

static inline bool same_eight(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, 8) == 0;
}

static inline bool same_four(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, 4) == 0;
}

/* Without a call for short keys, by their first and their last bytes, which overlap: memcmp reads 32 bytes at once, and
 * waits for the cache line behind the key, too. */
static inline bool same_key(const uint8_t *a, const uint8_t *b, size_t size)
{
	if (size > 16 || size < 4)
		return memcmp(a, b, size) == 0;
	if (size >= 8)
		return same_eight(a, b) && same_eight(a + size - 8, b + size - 8);
	return same_four(a, b) && same_four(a + size - 4, b + size - 4);
}

static inline bool entry_has_key(const struct entry *entry, const uint8_t *key, size_t size)
{
	size_t other_size;
	const uint8_t *other = entry_key(entry, &other_size);

	return size == other_size && same_key(key, other, size);
}

/* What the value is, without a copy: bytes are the entry's own. */
static inline struct value entry_read(enum entry_kind kind, const union entry_value *value)
{
	switch (kind) {
	case ENTRY_INTEGER:
		return value_integer(value->integer);
	case ENTRY_SHORT:
		return value_bytes(value->small, value->small[ENTRY_SHORT_SIZE_AT]);
	case ENTRY_LONG:
		return value_bytes(value->block->bytes, value->block->size);
	case ENTRY_ABSENT:
		break;
	}
	return value_none();
}

bool entry_pack_bytes(const struct value *value, enum entry_kind *kind, union entry_value *packed);

/* The value as an entry holds it, bytes copied. False: there is no memory. */
static inline bool entry_pack(const struct value *value, enum entry_kind *kind, union entry_value *packed)
{
	if (value->type != VALUE_INTEGER)
		return entry_pack_bytes(value, kind, packed);
	packed->integer = value->integer;
	*kind = ENTRY_INTEGER;
	return true;
}

/* Gives back what entry_pack took. */
void entry_unpack(enum entry_kind kind, union entry_value value);

/* ---- where entries are ---- */

enum {
	POOL_UNIT = 8,
	POOL_SLAB_BITS = 12,
	POOL_SLAB_UNITS = 1 << POOL_SLAB_BITS, /* 32 KiB */
	POOL_CLASSES = 132,                    /* sizes of entries, in units, up to the longest key's */
};

struct slab {
	uint32_t next, previous; /* of the slabs of its size that have room */
	uint16_t units, live;
	uint16_t used; /* units that entries have been in */
	uint16_t free; /* the entry that was given back last */
};

struct pool {
	uint8_t **memory; /* by number of slab; 0 is none */
	struct slab *slabs;
	uint32_t count, room, unused;
	uint32_t with_room[POOL_CLASSES];
	bool downwards; /* new entries lie below older ones: nobody may depend on addresses, and tests have both */
};

static inline struct entry *pool_entry(const struct pool *pool, uint32_t number)
{
	uint8_t *memory = pool->memory[number >> POOL_SLAB_BITS];

	return (struct entry *)(void *)(memory + (size_t)(number & (POOL_SLAB_UNITS - 1)) * POOL_UNIT);
}

/* A new entry of this key, absent, revision 0. ENTRY_NONE: no memory, or no numbers left. */
uint32_t pool_take(struct pool *pool, const uint8_t *key, size_t key_size);

/* Gives back an entry; its value is the caller's to free. */
void pool_give(struct pool *pool, uint32_t number);

/* All entries are gone; the pool is empty and can be used again. */
void pool_clear(struct pool *pool);

#endif
