/* SPDX-License-Identifier: MIT
 *
 * denial_log.c - tells in the log who was refused what.
 */
#include "owner/denial_log.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>

enum { LINES_EVERY_MS = 10000 };

int64_t denial_log_tell(struct denial_log *log, struct denials *denials, int64_t now_ns)
{
	char who[96];

	if (denials->count == 0)
		return INT64_MAX;
	if (now_ns < log->next_ns)
		return log->next_ns;
	for (size_t i = 0; i < denials->count; i++) {
		const struct denial *denial = &denials->list[i];
		caller_words(&denial->caller, who, sizeof who);
		if (denial->times == 1)
			log_warn("access: refused %s: %s", who, denial->what);
		else
			log_warn("access: refused %s: %s, and %" PRIu64 " times more", who, denial->what, denial->times - 1);
	}
	if (denials->others > 0)
		log_warn("access: refused others %" PRIu64 " times", denials->others);
	denials_forget(denials);
	log->next_ns = now_ns + LINES_EVERY_MS * NS_PER_MS;
	return INT64_MAX;
}
