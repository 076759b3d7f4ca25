/* SPDX-License-Identifier: MIT
 *
 * call.h - one operation being run: what stands behind `struct call` of
 * behaviour.h. Made by the core, seen by nobody else.
 */
#ifndef SOLE_OWNER_CALL_H
#define SOLE_OWNER_CALL_H

#include "owner/behaviour.h"

enum { REFUSAL_TEXT_MAX = 200 };

struct call {
	void *context;
	const struct caller *caller;
	const struct value *arguments;
	int64_t now_us;
	struct buffer *out; /* results are appended here, behind their count */
	size_t answered;
	/* set by call_refuse */
	char text[REFUSAL_TEXT_MAX];
	struct value detail;
};

#endif
