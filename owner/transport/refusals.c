/* SPDX-License-Identifier: MIT
 *
 * refusals.c - a bucket of ten lines that fills by one a second.
 */
#include "owner/transport/refusals.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static void fill(struct refusals *refusals, int64_t now_ns)
{
	if (refusals->filled_ns == 0) {
		refusals->filled_ns = now_ns;
		refusals->left = REFUSALS_AT_ONCE;
	}
	int64_t seconds = (now_ns - refusals->filled_ns) / NS_PER_S;
	if (seconds <= 0)
		return;
	refusals->filled_ns += seconds * NS_PER_S;
	refusals->left = seconds < REFUSALS_AT_ONCE - refusals->left ? refusals->left + seconds : REFUSALS_AT_ONCE;
}

int64_t refusals_tend(struct refusals *refusals, int64_t now_ns)
{
	if (refusals->untold == 0)
		return INT64_MAX;
	fill(refusals, now_ns);
	if (refusals->left == 0)
		return refusals->filled_ns + NS_PER_S;
	refusals->left--;
	log_warn("refused %" PRIu64 " more connections on tcp, for reasons like those told before", refusals->untold);
	refusals->untold = 0;
	return INT64_MAX;
}

void refusals_tell(struct refusals *refusals, int64_t now_ns, const char *format, ...)
{
	char text[384];
	va_list arguments;

	fill(refusals, now_ns);
	if (refusals->left == 0) {
		refusals->untold++;
		return;
	}
	refusals->left--;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (refusals->untold > 0)
		log_warn("%s (and %" PRIu64 " more before, not told)", text, refusals->untold);
	else
		log_warn("%s", text);
	refusals->untold = 0;
}
