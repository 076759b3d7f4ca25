/* SPDX-License-Identifier: MIT
 *
 * histogram.h - latencies in log-linear buckets: 32 for each power of two, so a
 * quantile is told within 1/32 (3 %). Fixed size, no allocation, adding is a
 * few instructions. (Debian ships no C library for it.)
 */
#ifndef SOLE_COMMON_HISTOGRAM_H
#define SOLE_COMMON_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_SUB_BITS = 5, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS };

struct histogram {
	uint64_t total, maximum;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t times);

/* Adds all of `other` into `histogram`. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The largest value that a bucket takes. */
uint64_t histogram_top(size_t bucket);

/* The value below or at which `per_million` of 1 000 000 values lie (500000 is the
 * median): the upper edge of its bucket, never above the maximum. 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_million);

#endif
