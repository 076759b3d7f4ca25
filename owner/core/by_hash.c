/* SPDX-License-Identifier: MIT
 *
 * by_hash.c - extendible hashing over parts of open addressing, a cache line at a time.
 *
 * An entry belongs into the chunk that its hash names. Where that is full it goes on to another,
 * in steps that its hash gives, too, and each chunk counts those that have passed it by: a search
 * goes on only behind a chunk that some have passed, and removing leaves no graves.
 */
#include "owner/core/by_hash.h"

#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	PLACES = 12,          /* of a chunk */
	CHUNKS_MOST = 256,    /* of a part */
	LINE = 64,
	DEPTH_MOST = 26,
};

struct chunk {
	uint8_t tags[PLACES]; /* 0: free */
	uint16_t passed;
	uint16_t unused;
	uint32_t numbers[PLACES];
};

struct hash_part {
	void *block; /* what was allocated: this begins at a line */
	uint32_t count, chunk_count;
	unsigned depth;
	char rest[LINE - sizeof(void *) - 3 * sizeof(uint32_t)];
	struct chunk chunks[];
};

_Static_assert(sizeof(struct chunk) == LINE, "a chunk is a cache line");
_Static_assert(sizeof(struct hash_part) == LINE, "chunks begin at a cache line");

uint64_t hash_key(const struct by_hash *index, const uint8_t *key, size_t size)
{
	return XXH3_64bits_withSeed(key, size, index->seed);
}

static uint8_t tag_of(uint64_t hash)
{
	uint8_t tag = (uint8_t)(hash >> 8);

	return tag != 0 ? tag : 1;
}

/* Odd, so that all chunks are met. */
static size_t step_of(uint64_t hash)
{
	return (hash >> 16 & 0xff) | 1;
}

static size_t place_in_directory(uint64_t hash, unsigned depth)
{
	return (size_t)((hash >> 1) >> (63 - depth));
}

static struct chunk *chunk_at(struct hash_part *part, size_t at)
{
	return &part->chunks[at & (part->chunk_count - 1)];
}

/* A bit for each place of this tag. */
static unsigned places_of(const struct chunk *chunk, uint8_t tag)
{
#ifdef __SSE2__
	__m128i tags = _mm_load_si128((const __m128i *)(const void *)chunk);
	__m128i same = _mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag));
	return (unsigned)_mm_movemask_epi8(same) & ((1u << PLACES) - 1);
#else
	unsigned places = 0;
	for (unsigned i = 0; i < PLACES; i++)
		places |= (unsigned)(chunk->tags[i] == tag) << i;
	return places;
#endif
}

uint32_t by_hash_find(const struct by_hash *index, const struct pool *pool, uint64_t hash, const uint8_t *key,
		      size_t size)
{
	const uint8_t tag = tag_of(hash);
	size_t at = (size_t)hash;

	if (index->parts == NULL)
		return ENTRY_NONE;
	struct hash_part *part = index->parts[place_in_directory(hash, index->depth)];
	for (uint32_t tries = part->chunk_count; tries > 0; tries--, at += step_of(hash)) {
		const struct chunk *chunk = chunk_at(part, at);
		for (unsigned places = places_of(chunk, tag); places != 0; places &= places - 1) {
			uint32_t number = chunk->numbers[__builtin_ctz(places)];
			if (entry_has_key(pool_entry(pool, number), key, size))
				return number;
		}
		if (chunk->passed == 0)
			break;
	}
	return ENTRY_NONE;
}

/* Only the first chunk: few go on to another. */
static const struct chunk *first_chunk(const struct by_hash *index, uint64_t hash)
{
	return chunk_at(index->parts[place_in_directory(hash, index->depth)], (size_t)hash);
}

/* A load that nobody waits for. A prefetch would do, if processors did not drop some: those of many misses at once. */
static void touch(const void *address)
{
	(void)*(const volatile uint8_t *)address;
}

static void touch_entry(const struct entry *entry)
{
	size_t size;
	const uint8_t *key = entry_key(entry, &size);

	if (size > 0)
		touch(key + size - 1); /* which may lie in another line than its head */
}

/* Loops of few instructions, so that the processor has many of the misses under way. */
void by_hash_read_ahead(const struct by_hash *index, const struct pool *pool, const uint64_t *hashes, size_t count)
{
	if (index->parts == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		touch(first_chunk(index, hashes[i]));
	for (size_t i = 0; i < count; i++) {
		const struct chunk *chunk = first_chunk(index, hashes[i]);
		for (unsigned places = places_of(chunk, tag_of(hashes[i])); places != 0; places &= places - 1)
			touch_entry(pool_entry(pool, chunk->numbers[__builtin_ctz(places)]));
	}
}

/* ---- parts ---- */

/* gcc 12 loses sight of a block whose address is rounded up, and takes it for leaked. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

static struct hash_part *part_new(uint32_t chunk_count, unsigned depth)
{
	size_t size = sizeof(struct hash_part) + chunk_count * sizeof(struct chunk);
	void *block = malloc(size + LINE - 1);

	if (block == NULL)
		return NULL;
	struct hash_part *part = (void *)(((uintptr_t)block + LINE - 1) & ~(uintptr_t)(LINE - 1));
	memset(part, 0, size);
	part->block = block;
	part->chunk_count = chunk_count;
	part->depth = depth;
	return part;
}

static void part_free(struct hash_part *part)
{
	if (part != NULL)
		free(part->block);
}

/* There is room. */
static void part_add(struct hash_part *part, uint64_t hash, uint32_t number)
{
	size_t at = (size_t)hash;
	unsigned places;

	while ((places = places_of(chunk_at(part, at), 0)) == 0) {
		chunk_at(part, at)->passed++;
		at += step_of(hash);
	}
	chunk_at(part, at)->tags[__builtin_ctz(places)] = tag_of(hash);
	chunk_at(part, at)->numbers[__builtin_ctz(places)] = number;
	part->count++;
}

static bool part_is_full(const struct hash_part *part)
{
	enum { FILL = 10 }; /* of twelve, on the average */

	return part->count >= part->chunk_count * FILL;
}

/* Into one part, or into two by the bit of the hash at their depth. */
static void part_move(const struct by_hash *index, const struct pool *pool, struct hash_part *from,
		      struct hash_part *low, struct hash_part *high)
{
	for (uint32_t i = 0; i < from->chunk_count; i++)
		for (unsigned p = 0; p < PLACES; p++) {
			const struct chunk *chunk = &from->chunks[i];
			size_t size;
			if (chunk->tags[p] == 0)
				continue;
			const uint8_t *key = entry_key(pool_entry(pool, chunk->numbers[p]), &size);
			uint64_t hash = hash_key(index, key, size);
			part_add(place_in_directory(hash, low->depth) & 1 ? high : low, hash, chunk->numbers[p]);
		}
}

/* Names `with` in the places of the directory that it stands for. */
static void part_enter(struct by_hash *index, struct hash_part *with, size_t prefix)
{
	size_t places = (size_t)1 << (index->depth - with->depth);

	for (size_t i = 0; i < places; i++)
		index->parts[prefix * places + i] = with;
}

static bool directory_double(struct by_hash *index)
{
	size_t places = (size_t)1 << index->depth;

	if (index->depth == DEPTH_MOST)
		return false;
	struct hash_part **parts = realloc(index->parts, 2 * places * sizeof(struct hash_part *));
	if (parts == NULL)
		return false;
	for (size_t i = places; i-- > 0;)
		parts[2 * i] = parts[2 * i + 1] = parts[i];
	index->parts = parts;
	index->depth++;
	return true;
}

static bool part_split(struct by_hash *index, const struct pool *pool, struct hash_part *part, uint64_t hash)
{
	if (part->depth == index->depth && !directory_double(index))
		return false;
	struct hash_part *low = part_new(part->chunk_count, part->depth + 1);
	struct hash_part *high = part_new(part->chunk_count, part->depth + 1);
	if (low == NULL || high == NULL) {
		part_free(low);
		part_free(high);
		return false;
	}
	size_t prefix = place_in_directory(hash, part->depth) * 2;
	part_move(index, pool, part, low, high);
	part_enter(index, low, prefix);
	part_enter(index, high, prefix + 1);
	part_free(part);
	return true;
}

static bool part_widen(struct by_hash *index, const struct pool *pool, struct hash_part *part, uint64_t hash)
{
	struct hash_part *wide = part_new(part->chunk_count * 2, part->depth);

	if (wide == NULL)
		return false;
	part_move(index, pool, part, wide, wide);
	part_enter(index, wide, place_in_directory(hash, part->depth));
	part_free(part);
	return true;
}

static bool first_parts(struct by_hash *index, unsigned depth, uint32_t chunk_count)
{
	size_t count = (size_t)1 << depth;

	index->parts = calloc(count, sizeof(struct hash_part *));
	if (index->parts == NULL)
		return false;
	index->depth = depth;
	for (size_t i = 0; i < count; i++) {
		index->parts[i] = part_new(chunk_count, depth);
		if (index->parts[i] == NULL) {
			by_hash_clear(index);
			return false;
		}
	}
	return true;
}

bool by_hash_reserve(struct by_hash *index, const struct pool *pool, uint64_t hash)
{
	if (index->parts == NULL)
		return first_parts(index, 0, 1);
	for (;;) {
		struct hash_part *part = index->parts[place_in_directory(hash, index->depth)];
		if (!part_is_full(part))
			return true;
		if (!(part->chunk_count < CHUNKS_MOST ? part_widen(index, pool, part, hash) :
							part_split(index, pool, part, hash)))
			return false;
	}
}

void by_hash_add(struct by_hash *index, uint64_t hash, uint32_t number)
{
	part_add(index->parts[place_in_directory(hash, index->depth)], hash, number);
	index->count++;
}

/* The place of the number in the chunk, or PLACES. */
static unsigned place_of(const struct chunk *chunk, uint8_t tag, uint32_t number)
{
	for (unsigned places = places_of(chunk, tag); places != 0; places &= places - 1)
		if (chunk->numbers[__builtin_ctz(places)] == number)
			return (unsigned)__builtin_ctz(places);
	return PLACES;
}

void by_hash_remove(struct by_hash *index, uint64_t hash, uint32_t number)
{
	struct hash_part *part = index->parts[place_in_directory(hash, index->depth)];
	size_t at = (size_t)hash;
	unsigned place;

	while ((place = place_of(chunk_at(part, at), tag_of(hash), number)) == PLACES) {
		chunk_at(part, at)->passed--;
		at += step_of(hash);
	}
	chunk_at(part, at)->tags[place] = 0;
	part->count--;
	if (--index->count == 0)
		by_hash_clear(index);
}

void by_hash_expect(struct by_hash *index, uint64_t count)
{
	enum { EXPECTED_FILL = 9 };
	const uint64_t a_part = (uint64_t)CHUNKS_MOST * EXPECTED_FILL;
	unsigned depth = 0;

	if (index->parts != NULL || count < a_part)
		return;
	while (depth < DEPTH_MOST && a_part << depth < count)
		depth++;
	first_parts(index, depth, CHUNKS_MOST);
}

void by_hash_clear(struct by_hash *index)
{
	size_t places = index->parts != NULL ? (size_t)1 << index->depth : 0;

	for (size_t i = 0; i < places;) {
		struct hash_part *part = index->parts[i];
		i += part != NULL ? (size_t)1 << (index->depth - part->depth) : 1;
		part_free(part);
	}
	free(index->parts);
	index->parts = NULL;
	index->depth = 0;
	index->count = 0;
}
