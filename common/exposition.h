/* SPDX-License-Identifier: MIT
 *
 * exposition.h - an owner's numbers in Prometheus' text format, version 0.0.4, see
 * https://prometheus.io/docs/instrumenting/exposition_formats/.
 *
 * Names begin with sole_. Times are in seconds and bytes in bytes, as is the custom: a counter ends in _total, what has
 * a time in _seconds. Memory that runs out shows in out->failed.
 */
#ifndef SOLE_COMMON_EXPOSITION_H
#define SOLE_COMMON_EXPOSITION_H

#include "common/buffer.h"

#include <stdbool.h>

struct exposition_number {
	const char *name;      /* "outbox-bytes", "round_longest" */
	const char *unit;      /* "ns" and "ms" become seconds */
	const char *sentence;
	const char *kind;      /* "counter", "longest", "gauge" */
	const char *group;
	uint64_t value;
};

/* Its HELP, TYPE and value. */
void exposition_number(struct buffer *out, const struct exposition_number *number);

/* What was refused, by code: any number of exposition_refusal behind one exposition_refusals. True: this number is one of them,
 * and not one for exposition_number. */
void exposition_refusals(struct buffer *out);
bool exposition_refusal(struct buffer *out, const struct exposition_number *number);

/* One series, of the value 1, that says in labels what does not change while the owner lives. */
struct exposition_about {
	const char *name, *behaviour, *durability;
};
void exposition_about(struct buffer *out, const struct exposition_about *about);

/* A histogram. First HELP and TYPE, once for all series of the name; then for each series the buckets that are not empty, from
 * small to large, then its end. The unit is "ns" or "messages". */
enum { EXPOSITION_BOUNDS_MAX = 32 };
struct exposition_histogram {
	const char *name, *unit;
	uint64_t counts[EXPOSITION_BOUNDS_MAX];
};
void exposition_histogram(struct buffer *out, const char *name, const char *unit, const char *sentence);
void exposition_begin(struct exposition_histogram *histogram, const char *name, const char *unit);
void exposition_bucket(struct exposition_histogram *histogram, uint64_t top, uint64_t count);
/* `operation` and `kind` become labels; NULL: none. */
void exposition_end(struct buffer *out, const struct exposition_histogram *histogram, const char *operation, const char *kind,
		    uint64_t count, uint64_t sum);

/* What the histograms of an owner are called. */
#define EXPOSITION_OPERATIONS "operation"
#define EXPOSITION_ROUNDS     "round"
#define EXPOSITION_SYNCS      "sync"
#define EXPOSITION_ARRIVALS   "arrivals"

/* The sentence to one of them. */
const char *exposition_sentence(const char *name);

#endif
