/* SPDX-License-Identifier: MIT
 *
 * unit.h - what the unit tests share: cmocka, and random numbers that can be had again.
 *
 * A test that draws numbers prints its seed; SEED=n in the environment replays it.
 */
#ifndef SOLE_TESTS_UNIT_H
#define SOLE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above before it. */
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct unit_random {
	uint64_t state;
};

/* splitmix64: any seed will do, 0 too. */
static inline uint64_t unit_draw(struct unit_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static inline size_t unit_below(struct unit_random *random, size_t limit)
{
	return (size_t)(unit_draw(random) % limit);
}

static inline uint64_t unit_seed(void)
{
	const char *given = getenv("SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)now.tv_nsec;
	printf("# SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* A function of the group with a name that reads as a sentence. */
#define UNIT_MAIN(group)                                          \
	int main(void)                                            \
	{                                                         \
		cmocka_set_message_output(CM_OUTPUT_TAP);         \
		return cmocka_run_group_tests(group, NULL, NULL); \
	}

#endif
