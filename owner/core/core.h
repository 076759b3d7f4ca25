/* SPDX-License-Identifier: MIT
 *
 * core.h - the state and its sessions: admits commands, runs operations, all of a
 * request or none, each command once.
 *
 * Pure: (state, request, clock) -> (state, reply). No socket, clock, file,
 * randomness or logging; the wall clock and the seeds come in as arguments. Request
 * deadlines and cancels are judged by the caller and come in as a verdict.
 */
#ifndef SOLE_OWNER_CORE_H
#define SOLE_OWNER_CORE_H

#include "owner/core/crashed.h"
#include "owner/core/execution.h"
#include "owner/core/record.h"

struct core;

struct core_settings {
	const struct sole_behaviour *behaviour;
	const struct limits *limits; /* read at each use: may be changed between rounds */
	struct counters *counters;
	uint64_t hash_seed, session_seed;
	int64_t token_base; /* fencing tokens are larger */
};

enum { CORE_REPLY_RESERVE = 1024 }; /* bytes that any refusal fits into */

/* NULL with a sentence in *why: no memory, or a behaviour whose table is not sound. */
struct core *core_new(const struct core_settings *settings, const char **why);
void core_destroy(struct core **core);

/* What is neither maps, nor sessions, nor events: for snapshots. */
struct core_scalars {
	uint64_t revision;
	int64_t now_us; /* the clock; never goes back */
	int64_t token;  /* the last one given out */
};
struct core_scalars core_scalars(const struct core *core);
void core_set_scalars(struct core *core, const struct core_scalars *scalars);

/* Wall time in microseconds for what follows; a clock that goes back is ignored, and so is one that goes on
 * while something is recorded that nobody has taken: a round has one time. */
void core_set_clock(struct core *core, int64_t wall_us);

uint64_t core_revision(const struct core *core);

/* What the behaviour is at, now. */
struct running;
const struct running *core_running(const struct core *core);

/* Which operations have run; for whoever takes it and resets it. */
struct usage *core_usage(struct core *core);

struct sessions *core_sessions(struct core *core);
struct store *core_store(struct core *core);
struct events *core_events(struct core *core);
const struct sole_behaviour *core_behaviour(const struct core *core);

/* The operation of that number, or NULL. */
const struct sole_operation_entry *core_operation(const struct core *core, uint16_t number);

/* The limits have been changed: those that are kept elsewhere are taken from them. Not for events_bytes. */
void core_take_limits(struct core *core);

/* NULL, or what the behaviour says is wrong with its state. May walk everything. */
const char *core_invariant(const struct core *core);

/* As sessions_open; a new session takes a revision. */
enum code core_open_session(struct core *core, const struct caller *caller,
			    const uint8_t nonce[PROTOCOL_NONCE_BYTES], uint32_t silence_ms,
			    struct session **session);

/* Withdraws what waits, lets the behaviour let go of what the session held, then ends it and stores
 * NULL. CODE_NO_MEMORY: it is not ended; to be tried again. */
enum code core_end_session(struct core *core, struct session **session);

/* Does what the behaviour says is due, a bounded part of it. Returns when something is due next, in
 * microseconds since 1970; INT64_MAX: nothing. Not after now: call again soon. */
int64_t core_tick(struct core *core);

/* A waiting request's deadline has passed: withdrawn, answered with CODE_EXPIRED. False: no memory, and
 * it waits on; to be tried again. */
bool core_expire(struct core *core, uint64_t session, uint64_t sequence);

/* RECEIVED: the client has the late answer. Appends the reply item. */
void core_received(struct core *core, const struct caller *caller, const struct request_header *header,
		   struct buffer *out);

/* The late answers since the last call, oldest first; valid until the core is next used. */
const struct late *core_take_late(struct core *core, size_t *count);

/* Appends the RUN reply item of a late answer: what it was or, when that is not kept or is larger than
 * `reply_max`, CODE_REPLY_FORGOTTEN. False: nobody needs it any more. */
bool core_write_late(struct core *core, const struct late *late, size_t reply_max, struct buffer *out);

/* The session that a request names, if the caller may use it: CODE_OK, CODE_DENIED or
 * CODE_SESSION_FORGOTTEN. */
enum code core_session(struct core *core, const struct caller *caller, uint64_t id, struct session **session);

/* RUN: admits the request, runs its operations unless `verdict` (CODE_OK) is
 * CODE_EXPIRED or CODE_CANCELLED, and appends exactly one reply item to `out`, which has
 * CORE_REPLY_RESERVE bytes to spare, of at most `reply_max` bytes. Returns its code. */
enum code core_run(struct core *core, const struct caller *caller, const struct request_header *header,
		   struct wire_reader payload, enum code verdict, size_t reply_max, struct buffer *out);

/* From now on these are refused with CODE_CRASHED, and not run. */
void core_avoid(struct core *core, const struct crashed *crashed);

/* Was this command admitted before? Then core_run repeats its reply, whatever the verdict. */
bool core_admitted(const struct core *core, const struct caller *caller, const struct request_header *header);

/* CANCEL of a command: appends the reply item, and behind it the repeated reply when the
 * command had been answered; both together take at most `reply_max` bytes. Returns the number
 * of items. */
unsigned core_cancel(struct core *core, const struct caller *caller, const struct request_header *header,
		     size_t reply_max, struct buffer *out);

/* Reply items, for the caller's own answers. core_begin_reply returns where the item starts;
 * append lists, then wire_finish_item. */
size_t core_begin_reply(const struct core *core, const struct request_header *header, enum code code,
			struct buffer *out);
void core_refuse(const struct core *core, const struct request_header *header, enum code code, int failed,
		 const char *text, const struct value *detail, struct buffer *out);

/* ---- records ---- */

/* From now on each input that changes the state, and each command that is admitted, is written to `out` as a
 * record (NULL: no more). What cannot be recorded is refused for want of memory, and not done. */
void core_record_to(struct core *core, struct buffer *out);

/* How many records were written since the last call. */
uint32_t core_take_record_count(struct core *core);

/* The owner begins to serve: recorded, where records are. Tokens are larger than `token` from now on. */
void core_start(struct core *core, uint64_t incarnation, int64_t token);

/* Does what the record says, on the state that was before it. `digest`: compare that too. CODE_OK;
 * CODE_CONFLICT: *why says what came out otherwise, or why it cannot be; CODE_NO_MEMORY: the record may be
 * right. Then the core is in no known state. */
enum code core_replay(struct core *core, const struct record *record, int64_t time_us, bool digest, char *why,
		      size_t why_size);

/* Brings the state from an older version of the behaviour to this one, and records it. CODE_OK,
 * CODE_INVALID: the behaviour does not say how; else what it answered, CODE_NO_MEMORY too; in words in
 * *why. */
enum code core_migrate(struct core *core, unsigned from_version, char *why, size_t why_size);

#endif
