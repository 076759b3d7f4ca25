/* SPDX-License-Identifier: MIT
 *
 * core_parts.h - what the files of the core share: core.c (admission and replies), endings.c (what
 * nobody asks for: ends, withdrawals, ticks), recording.c (what is noted of it) and replay.c (doing it
 * again). Nobody else includes it.
 */
#ifndef SOLE_OWNER_CORE_PARTS_H
#define SOLE_OWNER_CORE_PARTS_H

#include "owner/core/core.h"
#include "owner/core/crashed.h"

struct core {
	struct core_settings settings;
	struct machine machine;
	int64_t ticks_from_us; /* not before: a tick has failed */
	struct crashed crashed; /* what is not run again */

	struct buffer *records; /* NULL: nothing is recorded */
	uint32_t record_count;  /* since they were last taken */
	size_t late_recorded;   /* of the machine's late answers: those that are in records */
	struct buffer scratch;  /* a reply that replay brings about */
};

/* ---- endings.c ---- */

/* Takes a waiting request out of its line and gives it `code` as its answer. CODE_NO_MEMORY: it
 * waits as before. `hooked` false: without asking the behaviour. */
enum code withdraw(struct core *core, struct session *session, uint64_t sequence, enum code code,
		   bool hooked);

/* Ends a session of which nothing waits: CODE_NO_MEMORY, and it goes on. */
enum code finish_session(struct core *core, struct session **session, bool hooked);

void count_refusal(struct counters *counters, enum code code);

/* ---- recording.c ----
 *
 * First room is made, then the thing is done, then it is recorded: so what is done is always recorded. */

/* False: no memory for a record with as many bytes of request and reply; nothing is to be done. */
bool records_reserve(struct core *core, size_t bytes);

/* Each takes what records_reserve made room for; does nothing where nothing is recorded. */
void record_open(struct core *core, const struct session *session);
void record_end(struct core *core, uint64_t session, bool hooked);
void record_withdrawn(struct core *core, uint64_t session, uint64_t sequence, enum code code, bool hooked);
void record_received(struct core *core, uint64_t session, uint64_t sequence);
void record_tick(struct core *core);
void record_migrated(struct core *core, unsigned from_version);

/* Of the command that is next in its session. */
void record_refused(struct core *core, const struct session *session, enum code code, const uint8_t *reply,
		    size_t size);

/* The request as it ran, with its reply. `acknowledged`: of its session. */
struct ran {
	const struct caller *caller;
	uint64_t session, sequence, acknowledged;
	bool has_otherwise;
	struct wire_reader request;
	size_t reply_max;
	enum code code;
	const uint8_t *reply;
	size_t reply_size;
};
void record_run(struct core *core, const struct ran *ran);

/* An incarnation begins, now or in a record. Ids of sessions that an earlier one gave out and did not record
 * (of durability interval, when the power failed) are not given out again. */
void begin_incarnation(struct core *core, int64_t token);

#endif
