/* SPDX-License-Identifier: MIT
 *
 * histogram.c - log-linear buckets.
 */
#include "common/histogram.h"

#include <stddef.h>

enum { SUB = 1 << HISTOGRAM_SUB_BITS };

/* Values below SUB have a bucket each; above, the bits below the leading one pick
 * among SUB buckets of its power of two. */
static size_t bucket_of(uint64_t value)
{
	if (value < SUB)
		return (size_t)value;
	unsigned power = 63 - (unsigned)__builtin_clzll(value);
	unsigned shift = power - HISTOGRAM_SUB_BITS;
	return ((size_t)(shift + 1) << HISTOGRAM_SUB_BITS) + (size_t)((value >> shift) - SUB);
}

uint64_t histogram_top(size_t bucket)
{
	if (bucket < SUB)
		return bucket;
	unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
	uint64_t low = (SUB + (bucket & (SUB - 1))) << shift;
	return low + ((1ULL << shift) - 1);
}

void histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t times)
{
	histogram->total += times;
	if (value > histogram->maximum)
		histogram->maximum = value;
	histogram->buckets[bucket_of(value)] += times;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram_add_many(histogram, value, 1);
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	histogram->total += other->total;
	if (other->maximum > histogram->maximum)
		histogram->maximum = other->maximum;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += other->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_million)
{
	if (histogram->total == 0)
		return 0;
	/* The rank is at least one and rounds up: p100 is the last value. */
	uint64_t rank = (uint64_t)(((unsigned __int128)histogram->total * per_million + 999999) / 1000000);
	uint64_t seen = 0;
	if (rank == 0)
		rank = 1;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= rank) {
			uint64_t top = histogram_top(i);
			return top < histogram->maximum ? top : histogram->maximum;
		}
	}
	return histogram->maximum;
}
