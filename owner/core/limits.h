/* SPDX-License-Identifier: MIT
 *
 * limits.h - the bounds of limits.def as a struct.
 */
#ifndef SOLE_OWNER_LIMITS_H
#define SOLE_OWNER_LIMITS_H

#include <stdint.h>

struct limits {
#define LIMIT(field, option, kind, value, least, most, help) int64_t field;
#include "owner/core/limits.def"
#undef LIMIT
};

static inline struct limits limits_default(void)
{
	return (struct limits){
#define LIMIT(field, option, kind, value, least, most, help) .field = value,
#include "owner/core/limits.def"
#undef LIMIT
	};
}

#endif
