/* SPDX-License-Identifier: MIT
 *
 * control.h - the control socket, DIR/NAME.supervisor: one request line, one
 * answer, over a stream. The conversation is written down in clients/children.h.
 *
 * Several clients at once; none is waited for. A client that does not read or
 * does not ask is dropped after a while.
 */
#ifndef SOLE_SUPERVISOR_CONTROL_H
#define SOLE_SUPERVISOR_CONTROL_H

#include "common/rundir.h"
#include "supervisor/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct supervisor;

enum { CONTROL_CLIENTS_MAX = 16, REQUEST_MAX = 128, ANSWER_MAX = 384 };

enum control_goal { GOAL_NONE, GOAL_READY, GOAL_RESTARTED, GOAL_DOWN };

struct control_client {
	struct supervisor *supervisor;
	struct source source;
	int64_t limit_ns;          /* when it is dropped, or INT64_MAX */
	char request[REQUEST_MAX];
	size_t used;
	char *table;               /* the answer to status, or NULL */
	char line[ANSWER_MAX];     /* all other answers */
	size_t answer_bytes, answered; /* of the one or the other: how long, how much is sent */
	bool final, eof;           /* the last line is in the answer; it sends no more */
	enum control_goal goal;    /* what its answer waits for */
	char target[REQUEST_MAX];
	int64_t asked_ns;
};

struct control {
	char path[RUNDIR_PATH_MAX], lock_path[RUNDIR_PATH_MAX];
	int lock_fd;
	struct source listener;
	int64_t accept_again_ns;   /* accept() failed: not before this */
	struct control_client clients[CONTROL_CLIENTS_MAX];
};

/* Takes the lock of the supervisor's name, with our pid in it, then binds the
 * socket. For start-up: ends the process with a line and a status on failure. */
void control_open(struct supervisor *s);
/* Closes all and removes the files. */
void control_close(struct supervisor *s);

/* Once a turn: answers clients whose goal is reached, drops those that are late,
 * accepts again after a failure. Returns when to call it next. */
int64_t control_update(struct supervisor *s);

#endif
