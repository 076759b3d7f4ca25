/* SPDX-License-Identifier: MIT
 *
 * entry.c - memory of entries: slabs of 32 KiB, each for entries of one size. A slab that
 * holds nothing any more goes back to the allocator.
 */
#include "owner/core/entry.h"

#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

enum { NOWHERE = UINT16_MAX, SLABS_MOST = 1 << (32 - POOL_SLAB_BITS) };

bool entry_pack_bytes(const struct value *value, enum entry_kind *kind, union entry_value *packed)
{
	*packed = (union entry_value){ .integer = 0 };
	*kind = value->type != VALUE_BYTES ? ENTRY_ABSENT : value->size <= ENTRY_SHORT_MOST ? ENTRY_SHORT : ENTRY_LONG;
	if (*kind == ENTRY_SHORT) {
		if (value->size > 0)
			memcpy(packed->small, value->bytes, value->size);
		packed->small[ENTRY_SHORT_SIZE_AT] = (uint8_t)value->size;
	} else if (*kind == ENTRY_LONG) {
		packed->block = malloc(sizeof *packed->block + value->size);
		if (packed->block == NULL)
			return false;
		packed->block->size = value->size;
		memcpy(packed->block->bytes, value->bytes, value->size);
	}
	return true;
}

void entry_unpack(enum entry_kind kind, union entry_value value)
{
	if (kind == ENTRY_LONG)
		free(value.block);
}

/* ---- slabs ---- */

static size_t entry_units(size_t key_size)
{
	size_t size = sizeof(struct entry) + key_size + (key_size >= ENTRY_KEY_LONG ? 2 : 0);

	return (size + POOL_UNIT - 1) / POOL_UNIT;
}

static void list_in(struct pool *pool, uint32_t number)
{
	struct slab *slab = &pool->slabs[number];
	uint32_t *first = &pool->with_room[slab->units];

	slab->previous = 0;
	slab->next = *first;
	if (*first != 0)
		pool->slabs[*first].previous = number;
	*first = number;
}

static void list_out(struct pool *pool, uint32_t number)
{
	struct slab *slab = &pool->slabs[number];

	if (slab->previous != 0)
		pool->slabs[slab->previous].next = slab->next;
	else
		pool->with_room[slab->units] = slab->next;
	if (slab->next != 0)
		pool->slabs[slab->next].previous = slab->previous;
}

static bool more_numbers(struct pool *pool)
{
	enum { FIRST_ROOM = 16 };
	uint32_t room = pool->room > 0 ? pool->room * 2 : FIRST_ROOM;

	if (pool->count < pool->room)
		return true;
	if (room > SLABS_MOST)
		return false;
	uint8_t **memory = realloc(pool->memory, room * sizeof(uint8_t *));
	if (memory == NULL)
		return false;
	pool->memory = memory;
	struct slab *slabs = realloc(pool->slabs, room * sizeof *slabs);
	if (slabs == NULL)
		return false;
	pool->slabs = slabs;
	pool->room = room;
	if (pool->count == 0)
		pool->memory[pool->count++] = NULL; /* nobody's, so that no entry has the number 0 */
	return true;
}

/* A number of a slab that was given back, or a new one. */
static uint32_t new_slab(struct pool *pool, size_t units)
{
	uint32_t number = pool->unused;

	if (number == 0 && !more_numbers(pool))
		return 0;
	uint8_t *memory = malloc((size_t)POOL_SLAB_UNITS * POOL_UNIT);
	if (memory == NULL)
		return 0;
	if (number == 0)
		number = pool->count++;
	else
		pool->unused = pool->slabs[number].next;
	ASAN_POISON_MEMORY_REGION(memory, (size_t)POOL_SLAB_UNITS * POOL_UNIT);
	pool->memory[number] = memory;
	pool->slabs[number] = (struct slab){ .units = (uint16_t)units, .free = NOWHERE };
	list_in(pool, number);
	return number;
}

static bool is_full(const struct slab *slab)
{
	return slab->free == NOWHERE && slab->used + slab->units > POOL_SLAB_UNITS;
}

uint32_t pool_take(struct pool *pool, const uint8_t *key, size_t key_size)
{
	size_t units = entry_units(key_size);
	uint32_t number = pool->with_room[units];

	if (number == 0)
		number = new_slab(pool, units);
	if (number == 0)
		return ENTRY_NONE;
	struct slab *slab = &pool->slabs[number];
	size_t fresh = pool->downwards ? POOL_SLAB_UNITS - slab->used - units : slab->used;
	uint32_t at = slab->free != NOWHERE ? slab->free : (uint32_t)fresh;
	struct entry *entry = pool_entry(pool, number << POOL_SLAB_BITS | at);
	ASAN_UNPOISON_MEMORY_REGION(entry, units * POOL_UNIT);
	if (slab->free != NOWHERE)
		slab->free = (uint16_t)entry->head;
	else
		slab->used = (uint16_t)(slab->used + units);
	slab->live++;
	if (is_full(slab))
		list_out(pool, number);

	uint8_t *place = entry->key;
	*entry = (struct entry){ .head = (uint64_t)key_size << ENTRY_KEY_SHIFT };
	if (key_size >= ENTRY_KEY_LONG) {
		entry->head = (uint64_t)ENTRY_KEY_LONG << ENTRY_KEY_SHIFT;
		*place++ = (uint8_t)key_size;
		*place++ = (uint8_t)(key_size >> 8);
	}
	if (key_size > 0)
		memcpy(place, key, key_size);
	return number << POOL_SLAB_BITS | at;
}

void pool_give(struct pool *pool, uint32_t entry_number)
{
	uint32_t number = entry_number >> POOL_SLAB_BITS;
	struct slab *slab = &pool->slabs[number];
	struct entry *entry = pool_entry(pool, entry_number);

	if (is_full(slab))
		list_in(pool, number);
	entry->head = slab->free;
	slab->free = (uint16_t)(entry_number & (POOL_SLAB_UNITS - 1));
	ASAN_POISON_MEMORY_REGION(entry, (size_t)slab->units * POOL_UNIT);
	if (--slab->live > 0)
		return;
	list_out(pool, number);
	ASAN_UNPOISON_MEMORY_REGION(pool->memory[number], (size_t)POOL_SLAB_UNITS * POOL_UNIT);
	free(pool->memory[number]);
	pool->memory[number] = NULL;
	slab->next = pool->unused;
	pool->unused = number;
}

void pool_clear(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->count; i++) {
		if (pool->memory[i] != NULL)
			ASAN_UNPOISON_MEMORY_REGION(pool->memory[i], (size_t)POOL_SLAB_UNITS * POOL_UNIT);
		free(pool->memory[i]);
	}
	free(pool->memory);
	free(pool->slabs);
	*pool = (struct pool){ .memory = NULL };
}
