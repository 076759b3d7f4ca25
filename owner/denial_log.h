/* SPDX-License-Identifier: MIT
 *
 * denial_log.h - tells in the log who was refused what: at once while that is rare, and else a line every ten seconds.
 */
#ifndef SOLE_OWNER_DENIAL_LOG_H
#define SOLE_OWNER_DENIAL_LOG_H

#include "owner/service/denials.h"

struct denial_log {
	int64_t next_ns;   /* no line before */
	int64_t earned_ns; /* when the last line was earned */
	unsigned lines;    /* that may be written */
};

void denial_log_init(struct denial_log *log, int64_t now_ns);

/* Returns when to call again at the latest; INT64_MAX: when there are more. */
int64_t denial_log_tell(struct denial_log *log, struct denials *denials, int64_t now_ns);

/* What has not been told yet. */
void denial_log_end(struct denials *denials);

#endif
