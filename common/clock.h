/* SPDX-License-Identifier: MIT
 *
 * clock.h - the two clocks, each with its unit in its name.
 *
 * Waits and deadlines use the monotonic clock, which is one clock for every
 * process of a host. Wall time is only for people and for the record of a
 * state; it never decides how long something waits.
 */
#ifndef SOLE_COMMON_CLOCK_H
#define SOLE_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US 1000LL
#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

/* Nanoseconds of CLOCK_MONOTONIC. Never fails, never goes back. */
static inline int64_t clock_monotonic_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Microseconds since 1970 by the wall clock. May go back. */
static inline int64_t clock_wall_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Milliseconds to give to poll(2) so that it returns no earlier than
 * `until_ns`: 0 when that has passed, -1 (for ever) when it is INT64_MAX. */
static inline int clock_poll_ms(int64_t now_ns, int64_t until_ns)
{
	if (until_ns == INT64_MAX)
		return -1;
	if (until_ns <= now_ns)
		return 0;
	int64_t ms = (until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms > 3600000 ? 3600000 : (int)ms;
}

#endif
