/* SPDX-License-Identifier: MIT
 *
 * execution.h - running a behaviour's code: a request's operations, all of them or none, and
 * what the owner calls by itself (ticks, ends of sessions, withdrawals).
 *
 * A successful execution is committed here: store, events and late answers together, at one
 * revision. A failed one leaves no trace of any of them.
 */
#ifndef SOLE_OWNER_EXECUTION_H
#define SOLE_OWNER_EXECUTION_H

#include "owner/core/call.h"
#include "owner/core/counters.h"
#include "owner/core/events.h"
#include "owner/core/session.h"
#include "owner/core/store.h"
#include "owner/core/usage.h"

/* A late answer that has been given to its session, for the shell to deliver. */
struct late {
	uint64_t session, sequence;
};

struct execution_request;

/* The behaviour's code that is being run, for who has to tell where it crashed. */
struct running {
	const char *volatile what;   /* an operation, or what the owner calls; NULL: none */
	const struct caller *caller; /* NULL: nobody asked */
	uint64_t session, sequence;
	const struct execution_request *request; /* NULL: it is none */
};

/* What behaviours run on. Part of struct core. */
struct machine {
	const struct sole_behaviour *behaviour;
	const struct limits *limits;
	struct counters *counters;
	struct operation_index *index;
	struct store *store;
	struct sessions *sessions;
	struct events *events;
	void *context;
	struct effects effects;
	struct late *late;
	size_t late_count, late_room;
	uint64_t revision;
	int64_t now_us;
	struct running running;
	struct usage usage;
};

struct execution_request {
	const struct caller *caller;
	struct session *session; /* NULL: none */
	uint64_t sequence;
	bool query_only, has_otherwise;
	struct wire_reader payload;
	size_t reply_end; /* the largest size that `out` may reach */
};

/* Runs every operation of the payload and appends their results to `out`; when one fails, the list
 * of the refusal instead. CODE_WAITING: committed, and the caller parks the request, for which
 * there is a place; nothing is appended. CODE_BUSY: there is no place for one more that waits. */
enum code execution_run(struct machine *machine, const struct execution_request *request, struct buffer *out);

/* Runs `hook` for (session, sequence) with nobody asking. Not CODE_OK: nothing was changed. */
enum code execution_hook(struct machine *machine, int (*hook)(struct sole_call *), uint64_t session, uint64_t sequence);

/* The behaviour brings the state from that version to its own: as execution_hook, with the words of a refusal. */
enum code execution_migrate(struct machine *machine, unsigned from_version, char *why, size_t why_size);

/* Notes a late answer for delivery. Without memory it is not noted: its client asks again. */
void execution_note_late(struct machine *machine, uint64_t session, uint64_t sequence);

/* The list of a refusal: failed operation or -1, text, and what the owner adds. */
void write_refusal(int failed, const char *text, const struct value *detail, struct buffer *out);

#endif
