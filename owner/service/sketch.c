/* SPDX-License-Identifier: MIT
 *
 * sketch.c - Space-Saving over an array that is walked: with 128 counts that is as quick as a list
 * kept in order, and it is done for few requests.
 */
#include "owner/service/sketch.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a; 0 stands for nothing. */
static uint32_t tag_of(const uint8_t *bytes, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325u ^ size;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	uint32_t tag = (uint32_t)(hash ^ hash >> 32);
	return tag != 0 ? tag : 1;
}

/* xorshift: the gap to the next one, SKETCH_EVERY on average. */
static void choose_next(struct sketch *sketch)
{
	uint32_t x = sketch->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	sketch->random = x;
	sketch->left = x % (2 * SKETCH_EVERY - 1);
}

void sketch_init(struct sketch *sketch, int64_t now_ns)
{
	memset(sketch, 0, sizeof *sketch);
	sketch->random = 0x9e3779b9;
	sketch->halved_ns = now_ns;
	choose_next(sketch);
}

static void halve(struct sketch *sketch)
{
	sketch->total /= 2;
	for (size_t i = 0; i < SKETCH_KEYS; i++) {
		sketch->counts[i] /= 2;
		sketch->keys[i].error /= 2;
		if (sketch->counts[i] == 0)
			sketch->tags[i] = 0;
	}
}

void sketch_look(struct sketch *sketch, int64_t now_ns)
{
	const int64_t every_ns = SKETCH_HALVE_S * 1000000000LL;
	enum { TIMES_MOST = 32 };

	choose_next(sketch);
	for (int times = 0; now_ns - sketch->halved_ns >= every_ns && times < TIMES_MOST; times++) {
		halve(sketch);
		sketch->halved_ns += every_ns;
	}
	if (now_ns - sketch->halved_ns >= every_ns) /* long ago: nothing is left */
		sketch->halved_ns = now_ns;
	if (sketch->total > INT32_MAX / 2)
		halve(sketch);
}

/* Both go through all of them: without a way out in the middle the compiler looks at four at once. No two have one tag. */
static size_t place_of(const struct sketch *sketch, uint32_t tag)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < SKETCH_KEYS; i++)
		found |= sketch->tags[i] == tag ? i + 1 : 0;
	return found != 0 ? found - 1 : SKETCH_KEYS;
}

static size_t least_of(const struct sketch *sketch)
{
	int32_t least = INT32_MAX;
	size_t i = 0;

	for (size_t at = 0; at < SKETCH_KEYS; at++)
		least = sketch->counts[at] < least ? sketch->counts[at] : least;
	while (sketch->counts[i] != least)
		i++;
	return i;
}

void sketch_add(struct sketch *sketch, const void *key, size_t size, uint16_t place)
{
	uint32_t tag = tag_of(key, size);
	size_t at = place_of(sketch, tag);

	sketch->total++;
	if (at == SKETCH_KEYS) {
		at = least_of(sketch);
		sketch->tags[at] = tag;
		sketch->keys[at].error = sketch->counts[at];
		sketch->keys[at].size = (uint32_t)size;
		memcpy(sketch->keys[at].bytes, key, size < SKETCH_KEY_BYTES ? size : SKETCH_KEY_BYTES);
	}
	sketch->counts[at]++;
	sketch->keys[at].place = place;
}

static const struct sketch *sorting; /* of qsort's comparison */

static int by_count(const void *a, const void *b)
{
	size_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;

	if (sorting->counts[x] != sorting->counts[y])
		return sorting->counts[x] < sorting->counts[y] ? 1 : -1;
	return x < y ? -1 : x > y;
}

size_t sketch_sorted(const struct sketch *sketch, uint16_t sorted[SKETCH_KEYS])
{
	size_t count = 0;

	for (size_t i = 0; i < SKETCH_KEYS; i++)
		if (sketch->tags[i] != 0)
			sorted[count++] = (uint16_t)i;
	sorting = sketch;
	qsort(sorted, count, sizeof *sorted, by_count);
	return count;
}
