/* SPDX-License-Identifier: MIT
 *
 * crashed.h - requests that crashed an owner while they ran, and are refused when they are asked for again:
 * a client that retries would crash one owner after the other, until the supervisor gives up.
 *
 * A command is known by its session and sequence, which no other has. A query, and a request without a session, by the
 * process that asks and what it asks for.
 */
#ifndef SOLE_OWNER_CRASHED_H
#define SOLE_OWNER_CRASHED_H

#include "owner/core/execution.h"

enum { CRASHED_MAX = 32 }; /* the newest are kept */

struct crashed_request {
	uint64_t session, sequence; /* of a command; else 0 */
	int64_t pid;                /* of who asked; 0: not known */
	uint64_t digest;            /* of the operations and their arguments */
};

/* Zeroed to begin with. */
struct crashed {
	struct crashed_request list[CRASHED_MAX];
	size_t count;
};

/* What it would be known by. Async-signal-safe: the request is being run when it is asked for. */
struct crashed_request crashed_request_of(const struct execution_request *request);

void crashed_add(struct crashed *crashed, const struct crashed_request *request);

bool crashed_has(const struct crashed *crashed, const struct execution_request *request);

#endif
