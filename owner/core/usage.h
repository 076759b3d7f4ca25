/* SPDX-License-Identifier: MIT
 *
 * usage.h - how often each operation has run since it was last taken.
 *
 * Operations are named by their place in the behaviour's table. Those of a request that is
 * being run are noted apart and count when all of it is done, as its changes do. It costs a
 * few instructions an operation and reads no clock: whoever takes it knows how long it was.
 */
#ifndef SOLE_OWNER_USAGE_H
#define SOLE_OWNER_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { USAGE_REQUEST_MAX = 4096 }; /* operations of a request: the most that max-operations allows */

struct usage {
	uint32_t *counts;       /* by place */
	uint16_t *touched;      /* the places that have a count, in the order of their first */
	size_t touched_count;
	size_t places;
	size_t noted;           /* of the request being run */
	uint16_t request[USAGE_REQUEST_MAX];
};

/* False when there is no memory. */
bool usage_init(struct usage *usage, size_t places);
void usage_clear(struct usage *usage);

/* A request begins, or its second half: what was noted does not count. */
static inline void usage_begin(struct usage *usage)
{
	usage->noted = 0;
}

/* An operation has run. */
static inline void usage_note(struct usage *usage, size_t place)
{
	if (usage->noted < USAGE_REQUEST_MAX)
		usage->request[usage->noted++] = (uint16_t)place;
}

/* All of the request is done: what was noted counts. */
static inline void usage_commit(struct usage *usage)
{
	size_t noted = usage->noted;

	for (size_t i = 0; i < noted; i++) {
		uint16_t place = usage->request[i];
		if (usage->counts[place]++ == 0)
			usage->touched[usage->touched_count++] = place;
	}
	usage->noted = 0;
}

/* Everything counts from nothing again. */
void usage_reset(struct usage *usage);

#endif
