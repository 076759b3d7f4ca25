/* SPDX-License-Identifier: MIT
 *
 * latency.c - histograms in one piece of memory, zero until it is touched.
 */
#include "owner/service/latency.h"

#include <stdlib.h>

struct latencies *latencies_new(size_t operation_count)
{
	struct latencies *latencies = calloc(1, sizeof *latencies);

	if (latencies == NULL)
		return NULL;
	latencies->operation_count = operation_count < LATENCY_OPERATIONS_MAX ? operation_count : LATENCY_OPERATIONS_MAX;
	latencies->operations = calloc(latencies->operation_count + 1, sizeof *latencies->operations);
	if (latencies->operations == NULL)
		latencies_destroy(&latencies);
	return latencies;
}

void latencies_destroy(struct latencies **latencies)
{
	struct latencies *l = *latencies;

	if (l == NULL)
		return;
	free(l->operations);
	free(l);
	*latencies = NULL;
}

void latency_add(struct latency *latency, uint64_t value, uint64_t times)
{
	latency->sum += value * times;
	histogram_add_many(&latency->values, value, times);
}

void latencies_take(struct latencies *latencies, struct usage *usage, uint64_t took_ns)
{
	for (size_t i = 0; i < usage->touched_count; i++) {
		size_t place = usage->touched[i];
		size_t at = place < latencies->operation_count ? place : latencies->operation_count - 1;
		latency_add(&latencies->operations[at], took_ns, usage->counts[place]);
	}
	usage_reset(usage);
}

void latency_each(const struct latency *latency, void (*each)(void *context, uint64_t top, uint64_t count), void *context)
{
	enum { TOGETHER = 2 };
	const struct histogram *values = &latency->values;
	uint64_t told = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS && told < values->total; i += TOGETHER) {
		uint64_t count = values->buckets[i] + values->buckets[i + 1];
		if (count > 0)
			each(context, histogram_top(i + TOGETHER - 1), count);
		told += count;
	}
}
