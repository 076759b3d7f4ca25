/* SPDX-License-Identifier: MIT
 *
 * denial_log.h - tells in the log who was refused what: the first time at once, then a line a sender every ten seconds.
 */
#ifndef SOLE_OWNER_DENIAL_LOG_H
#define SOLE_OWNER_DENIAL_LOG_H

#include "owner/service/denials.h"

struct denial_log {
	int64_t next_ns; /* no line before */
};

/* Returns when to call again at the latest; INT64_MAX: when there are more. */
int64_t denial_log_tell(struct denial_log *log, struct denials *denials, int64_t now_ns);

#endif
