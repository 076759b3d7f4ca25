/* SPDX-License-Identifier: MIT
 *
 * denial_log.c - tells in the log who was refused what.
 */
#include "owner/denial_log.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>

enum {
	LINES_MOST = 16,       /* at once; and then */
	LINE_EVERY_MS = 10000, /* one each time that this has passed */
	TELL_EVERY_MS = 1000,  /* what comes within it is one line a sender */
};

void denial_log_init(struct denial_log *log, int64_t now_ns)
{
	*log = (struct denial_log){ .next_ns = now_ns, .earned_ns = now_ns, .lines = LINES_MOST };
}

static void earn(struct denial_log *log, int64_t now_ns)
{
	int64_t earned = (now_ns - log->earned_ns) / (LINE_EVERY_MS * NS_PER_MS);

	log->earned_ns += earned * LINE_EVERY_MS * NS_PER_MS;
	log->lines = earned >= LINES_MOST - (int64_t)log->lines ? LINES_MOST : log->lines + (unsigned)earned;
}

static void tell(const struct denial *denial)
{
	char who[96];

	caller_words(&denial->caller, who, sizeof who);
	if (denial->times == 1)
		log_warn("access: refused %s: %s", who, denial->what);
	else
		log_warn("access: refused %s: %s, and %" PRIu64 " times more", who, denial->what, denial->times - 1);
}

int64_t denial_log_tell(struct denial_log *log, struct denials *denials, int64_t now_ns)
{
	if (denials->count == 0)
		return INT64_MAX;
	if (now_ns < log->next_ns)
		return log->next_ns;
	earn(log, now_ns);
	for (; denials->count > 0 && log->lines > 0; log->lines--) {
		tell(&denials->list[0]);
		denials_forget_first(denials);
	}
	if (denials->count == 0 && denials->others > 0) {
		log_warn("access: refused others %" PRIu64 " times", denials->others);
		denials->others = 0;
	}
	log->next_ns = log->lines > 0 ? now_ns + TELL_EVERY_MS * NS_PER_MS : log->earned_ns + LINE_EVERY_MS * NS_PER_MS;
	return denials->count > 0 ? log->next_ns : INT64_MAX;
}

void denial_log_end(struct denials *denials)
{
	for (; denials->count > 0; denials_forget_first(denials))
		tell(&denials->list[0]);
}
