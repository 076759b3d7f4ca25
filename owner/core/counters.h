/* SPDX-License-Identifier: MIT
 *
 * counters.h - what an owner counts since its start. One writer, the owner's
 * thread.
 */
#ifndef SOLE_OWNER_COUNTERS_H
#define SOLE_OWNER_COUNTERS_H

#include <stdint.h>

struct counters {
#define COUNTER(field, unit, sentence) uint64_t field;
#include "owner/core/counters.def"
#undef COUNTER
};

#endif
