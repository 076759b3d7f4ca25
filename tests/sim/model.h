/* SPDX-License-Identifier: MIT
 *
 * model.h - what the behaviour `table` is, said once more and plainly: entries in an array, locks in
 * another, one thing after the other. It shares no code with the owner.
 *
 * check.c does to it what the records say was done, in their order; what it answers, and the events that it
 * makes, must be what callers heard.
 */
#ifndef SOLE_TESTS_SIM_MODEL_H
#define SOLE_TESTS_SIM_MODEL_H

#include "tests/sim/history.h"

enum { MODEL_ENTRIES = 96, MODEL_LOCKS = 8, MODEL_LINE = 64, MODEL_SESSIONS = 256 };

struct model_entry {
	struct datum key, value;
	uint64_t revision; /* of its last change */
	int64_t expires_us; /* 0: never */
	uint64_t bound;    /* session; 0: none */
};

struct model_lock {
	struct datum name;
	uint64_t session;
	int64_t token;
};

struct model_waiter {
	struct datum name;
	int64_t ticket;
	uint64_t session, sequence;
};

struct model_session {
	uint64_t id, last; /* highest sequence admitted */
};

struct model_state {
	struct model_entry entries[MODEL_ENTRIES]; /* in order of their keys */
	struct model_lock locks[MODEL_LOCKS];      /* in order of their names */
	struct model_waiter line[MODEL_LINE];      /* in order of their tickets */
	size_t entry_count, lock_count, line_count;
	int64_t token;
	size_t event_count;
};

/* A request that waited has its turn: the lock is its session's. */
struct model_grant {
	uint64_t session, sequence;
	int64_t token;
};

struct model {
	struct model_state state, before; /* before: to go back to */
	struct model_session sessions[MODEL_SESSIONS];
	size_t session_count;
	uint64_t revision;
	struct heard_event *events; /* of the whole history */
	size_t event_room;
	uint32_t index;             /* of the next event in its revision */
	struct model_grant grants[MODEL_LINE]; /* of the last thing done */
	size_t grant_count;
	bool overflow;              /* more than the arrays take: a fault of the simulation */
};

/* What came out of a request. */
struct model_answer {
	int code; /* SOLE_OK, SOLE_CONFLICT ..., SOLE_WAITING */
	int failed; /* the operation that was refused, or -1 */
	struct buffer results; /* lists as on the wire; of a refusal: its details */
};

void model_init(struct model *model);
void model_clear(struct model *model);

/* Runs the operations at `now_us` for a command (session, sequence), or a query (0, 0), to make `revision`. All of
 * them or none. `answer` is overwritten; its buffer is the caller's to clear. */
void model_run(struct model *model, const struct operation *operation, uint64_t session, uint64_t sequence,
	       int64_t now_us, uint64_t revision, struct model_answer *answer);

void model_open(struct model *model, uint64_t session);
struct model_session *model_session(struct model *model, uint64_t id);
bool model_waits(const struct model *model, uint64_t session, uint64_t sequence);
void model_withdraw(struct model *model, uint64_t session, uint64_t sequence);
/* What it held goes to the next. */
void model_end(struct model *model, uint64_t session, uint64_t revision);
/* What is due by then goes. */
void model_tick(struct model *model, int64_t now_us, uint64_t revision);

/* The sum of the accounts, which is always 0: NULL, or what is wrong. */
const char *model_problem(const struct model *model);

#endif
