/* SPDX-License-Identifier: MIT
 *
 * sketch.c - Space-Saving over an array that is walked: with 128 counts that is as quick as a list
 * kept in order, and it is done for one request of sixteen.
 */
#include "owner/service/sketch.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a; 0 stands for nothing. */
static uint64_t hash_of(const uint8_t *bytes, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325u ^ size;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	return hash != 0 ? hash : 1;
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
		struct sketch_key *key = &sketch->keys[i];
		key->count /= 2;
		key->error /= 2;
		if (key->count == 0)
			key->hash = 0;
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
	if (sketch->total > UINT32_MAX / 2)
		halve(sketch);
}

void sketch_add(struct sketch *sketch, const void *key, size_t size, uint16_t place)
{
	uint64_t hash = hash_of(key, size);
	struct sketch_key *least = &sketch->keys[0];

	sketch->total++;
	for (size_t i = 0; i < SKETCH_KEYS; i++) {
		struct sketch_key *at = &sketch->keys[i];
		if (at->hash == hash) {
			at->count++;
			at->place = place;
			return;
		}
		if (at->count < least->count)
			least = at;
	}
	least->error = least->count;
	least->count++;
	least->hash = hash;
	least->size = (uint32_t)size;
	least->place = place;
	memcpy(least->bytes, key, size < SKETCH_KEY_BYTES ? size : SKETCH_KEY_BYTES);
}

static int by_count(const void *a, const void *b)
{
	const struct sketch_key *x = *(const struct sketch_key *const *)a, *y = *(const struct sketch_key *const *)b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

size_t sketch_sorted(const struct sketch *sketch, const struct sketch_key *sorted[SKETCH_KEYS])
{
	size_t count = 0;

	for (size_t i = 0; i < SKETCH_KEYS; i++)
		if (sketch->keys[i].hash != 0)
			sorted[count++] = &sketch->keys[i];
	qsort(sorted, count, sizeof *sorted, by_count);
	return count;
}
