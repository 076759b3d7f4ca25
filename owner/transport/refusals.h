/* SPDX-License-Identifier: MIT
 *
 * refusals.h - a log line for who was turned away, as often as a log can bear.
 *
 * What a stranger can cause any number of times is told ten times at once and then
 * once a second, with how many were not told in between, or, when no more come, a second later.
 */
#ifndef SOLE_OWNER_REFUSALS_H
#define SOLE_OWNER_REFUSALS_H

#include <stdint.h>

enum { REFUSALS_AT_ONCE = 10 };

struct refusals {
	int64_t filled_ns; /* up to when; 0: never yet */
	int64_t left;      /* lines that may be written at once */
	uint64_t untold;   /* since the last one */
};

/* A warning, unless there were too many. */
void refusals_tell(struct refusals *refusals, int64_t now_ns, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Tells how many were not, when that is due. Returns when it will be; INT64_MAX: all were told. */
int64_t refusals_tend(struct refusals *refusals, int64_t now_ns);

#endif
