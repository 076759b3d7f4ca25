/* SPDX-License-Identifier: MIT
 *
 * counters.h - what an owner counts since its start. One writer, the owner's
 * thread.
 */
#ifndef SOLE_OWNER_COUNTERS_H
#define SOLE_OWNER_COUNTERS_H

#include <stdint.h>

enum { COUNTED_CODES = 128 }; /* those of codes.def that an owner gives are below */

struct counters {
#define COUNTER(field, unit, sentence) uint64_t field;
#include "owner/core/counters.def"
#undef COUNTER
	uint64_t answers[COUNTED_CODES]; /* items answered, by code */
};

/* What goes up and down. Each module writes its own; they are up to date when somebody asks. */
struct gauges {
#define GAUGE(field, name, unit, sentence) uint64_t field;
#include "owner/core/gauges.def"
#undef GAUGE
};

#endif
