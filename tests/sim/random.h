/* SPDX-License-Identifier: MIT
 *
 * random.h - the one source of chance of a simulated run: the same seed draws the same numbers.
 */
#ifndef SOLE_TESTS_SIM_RANDOM_H
#define SOLE_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

/* splitmix64: any seed will do, 0 too. */
static inline uint64_t random_draw(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* 0 to limit - 1; 0 when the limit is 0. */
static inline uint32_t random_below(struct random *random, uint32_t limit)
{
	return (uint32_t)(((random_draw(random) >> 32) * limit) >> 32);
}

static inline bool random_chance(struct random *random, uint32_t per_mille)
{
	return random_below(random, 1000) < per_mille;
}

#endif
