/* SPDX-License-Identifier: MIT
 *
 * sketch.h - which keys are asked for most, in bounded memory and at a bounded cost.
 *
 * Space-Saving (Metwally, Agrawal, El Abbadi, 2005): of all keys SKETCH_KEYS have a count; one that has
 * none takes the place of the smallest, and its count as the error it may have. A key that is asked
 * for more often than total / SKETCH_KEYS is always there. Only every SKETCH_EVERYth request is looked
 * at, and counts are halved now and then: the sketch shows what is hot now.
 */
#ifndef SOLE_OWNER_SKETCH_H
#define SOLE_OWNER_SKETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SKETCH_KEYS = 128,
	SKETCH_EVERY = 32,     /* on average: the gaps differ, so that no rhythm of a client hides a key */
	SKETCH_KEY_BYTES = 64, /* of a key that are kept; longer ones are told apart all the same */
	SKETCH_HALVE_S = 5,
};

struct sketch_key {
	int32_t error;     /* by which its count may be too high */
	uint32_t size;     /* of the whole key */
	uint16_t place;    /* of the operation that asked for it last, in the behaviour's table */
	uint8_t bytes[SKETCH_KEY_BYTES];
};

struct sketch {
	uint64_t total;    /* looked at, halved as the counts are */
	uint32_t left;     /* until the next is looked at */
	uint32_t random;
	int64_t halved_ns;
	/* Apart from the keys, and small, to be looked through quickly. */
	uint32_t tags[SKETCH_KEYS];   /* a hash of the whole key; 0: nothing is here */
	int32_t counts[SKETCH_KEYS];
	struct sketch_key keys[SKETCH_KEYS];
};

void sketch_init(struct sketch *sketch, int64_t now_ns);

/* Is this request one to look at? */
static inline bool sketch_due(struct sketch *sketch)
{
	return sketch->left-- == 0;
}

/* Begins to look at one: halves what is old, and says when the next is due. */
void sketch_look(struct sketch *sketch, int64_t now_ns);
void sketch_add(struct sketch *sketch, const void *key, size_t size, uint16_t place);

/* The places of those that are there into `sorted`, the most asked for first. Returns how many. */
size_t sketch_sorted(const struct sketch *sketch, uint16_t sorted[SKETCH_KEYS]);

#endif
