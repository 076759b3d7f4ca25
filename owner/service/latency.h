/* SPDX-License-Identifier: MIT
 *
 * latency.h - how long things took: operations, by name; rounds; syncs. And how much had arrived
 * for each round.
 *
 * What a client has to wait for in the owner is its round: from its beginning, when the owner
 * takes what has arrived, to the end, when the replies leave. So all operations of a round took as
 * long, and measuring them takes two looks at the clock a round, however many they are.
 */
#ifndef SOLE_OWNER_LATENCY_H
#define SOLE_OWNER_LATENCY_H

#include "common/histogram.h"
#include "owner/core/usage.h"

enum { LATENCY_OPERATIONS_MAX = 512 }; /* of a behaviour; those behind are measured together, as the last */

struct latency {
	uint64_t sum;
	struct histogram values;
};

struct latencies {
	struct latency *operations; /* by place in the behaviour's table. Memory of those that have not run is never touched */
	size_t operation_count;
	struct latency rounds;   /* ns */
	struct latency syncs;    /* ns: writing a round and syncing it */
	struct latency arrivals; /* messages in a round */
};

/* NULL when there is no memory. */
struct latencies *latencies_new(size_t operation_count);
void latencies_destroy(struct latencies **latencies);

void latency_add(struct latency *latency, uint64_t value, uint64_t times);

/* What ran took so long; resets the count. */
void latencies_take(struct latencies *latencies, struct usage *usage, uint64_t took_ns);

/* A histogram's buckets made fewer: `each` is called for those that are not empty, from small to large, with the largest
 * value of the bucket and how many it has. They are as wide as a sixteenth of their values. */
void latency_each(const struct latency *latency, void (*each)(void *context, uint64_t top, uint64_t count), void *context);

#endif
