/* SPDX-License-Identifier: MIT
 *
 * replay.c - does again what records say was done.
 *
 * Limits are no part of what is replayed: what was within them then is done, whatever they are now.
 * What the record says came out must come out again.
 */
#include "owner/core/core_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct replay {
	struct core *core;
	const struct record *record;
	enum code code; /* what core_replay says */
	char *why;
	size_t why_size;
};

/* Always false. */
__attribute__((format(printf, 2, 3))) static bool differs(struct replay *replay, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(replay->why, replay->why_size, format, arguments);
	va_end(arguments);
	replay->code = CODE_CONFLICT;
	return false;
}

/* Without memory nothing is said about the record. Always false. */
static bool starved(struct replay *replay)
{
	differs(replay, "no memory to do it again");
	replay->code = CODE_NO_MEMORY;
	return false;
}

static struct limits limits_none(void)
{
	return (struct limits){
#define LIMIT(field, option, kind, value, least, most, help) .field = most,
#include "owner/core/limits.def"
#undef LIMIT
	};
}

static struct session *find_session(struct replay *replay)
{
	struct session *session = sessions_find(replay->core->machine.sessions, replay->record->session);

	if (session == NULL)
		differs(replay, "there is no session %" PRIu64, replay->record->session);
	return session;
}

/* The session of a command that is the next one of it, with a place for its reply. NULL: differs. */
static struct session *next_of_session(struct replay *replay)
{
	const struct record *record = replay->record;
	struct session *session = find_session(replay);

	if (session == NULL)
		return NULL;
	if (record->sequence != session->last + 1) {
		differs(replay, "sequence %" PRIu64 " of session %" PRIu64 " follows %" PRIu64,
			record->sequence, record->session, session->last);
		return NULL;
	}
	enum code code = session_reserve(session, record->acknowledged);
	if (code == CODE_OK)
		return session;
	if (code == CODE_NO_MEMORY)
		starved(replay);
	else
		differs(replay, "no place for a reply: %s", code_text(code));
	return NULL;
}

static bool replay_start(struct replay *replay)
{
	const struct record *record = replay->record;
	const char *name = replay->core->settings.behaviour->name;

	if (record->behaviour_size != strlen(name) ||
	    memcmp(record->behaviour, name, record->behaviour_size) != 0)
		return differs(replay, "the behaviour was %.*s, and this one is %s",
			       (int)record->behaviour_size, (const char *)record->behaviour, name);
	begin_incarnation(replay->core, record->token);
	return true;
}

static bool replay_open(struct replay *replay)
{
	const struct record *record = replay->record;
	struct machine *machine = &replay->core->machine;
	struct session *session;
	enum code code = sessions_restore(machine->sessions, record->session, &record->caller, record->nonce,
					  &session);

	if (code == CODE_NO_MEMORY)
		return starved(replay);
	if (code != CODE_OK)
		return differs(replay, "session %" PRIu64
				       " cannot be opened: there is one of that id or nonce",
				       record->session);
	session->silence_ms = record->silence_ms;
	machine->revision++;
	return true;
}

/* A request that finds no place to wait is BUSY: for want of memory, unless its session has as many waiting
 * as may be. */
static bool lacked_memory(const struct session *session, enum code code)
{
	return code == CODE_NO_MEMORY ||
	       (code == CODE_BUSY && session != NULL && session->waiting_count < SESSION_PARKED_MAX);
}

static bool replay_run(struct replay *replay)
{
	const struct record *record = replay->record;
	struct machine *machine = &replay->core->machine;
	struct buffer *out = &replay->core->scratch;
	struct session *session = record->session != 0 ? next_of_session(replay) : NULL;

	if (record->session != 0 && session == NULL)
		return false;
	buffer_reset(out);
	if (!buffer_reserve(out, PROTOCOL_ITEM_HEADER_BYTES + CORE_REPLY_RESERVE))
		return starved(replay);
	out->size = PROTOCOL_ITEM_HEADER_BYTES; /* where the live one had the header of its reply */
	const struct execution_request request = {
		.caller = &record->caller,
		.session = session,
		.sequence = record->sequence,
		.has_otherwise = (record->flags & RECORD_FLAG_OTHERWISE) != 0,
		.payload = wire_reader(record->request, record->request_size),
		.reply_end = record->reply_max,
	};
	enum code code = execution_run(machine, &request, out);
	const uint8_t *reply = out->data + PROTOCOL_ITEM_HEADER_BYTES;
	size_t size = out->size - PROTOCOL_ITEM_HEADER_BYTES;
	if (lacked_memory(session, code))
		return starved(replay);
	if (code != record->code)
		return differs(replay, "it came to '%s' then and to '%s' now", code_text(record->code),
			       code_text(code));
	if ((record->flags & RECORD_FLAG_CUT) == 0 &&
	    (size != record->reply_size || (size > 0 && memcmp(reply, record->reply, size) != 0)))
		return differs(replay, "it is answered otherwise now");
	if (session != NULL)
		session_acknowledge(session, record->acknowledged);
	if (session != NULL && code == CODE_WAITING)
		session_park(session);
	else if (session != NULL)
		session_store(machine->sessions, session, (uint16_t)code, machine->revision, reply, size);
	return true;
}

static bool replay_refused(struct replay *replay)
{
	const struct record *record = replay->record;
	struct machine *machine = &replay->core->machine;
	struct session *session = next_of_session(replay);

	if (session == NULL)
		return false;
	session_acknowledge(session, record->acknowledged);
	session_store(machine->sessions, session, record->code, machine->revision, record->reply,
		      record->reply_size);
	return true;
}

static bool replay_withdrawn(struct replay *replay)
{
	const struct record *record = replay->record;
	struct session *session = find_session(replay);

	if (session == NULL)
		return false;
	if (!session_waits(session, record->sequence))
		return differs(replay, "sequence %" PRIu64 " of session %" PRIu64 " does not wait",
			       record->sequence, record->session);
	bool hooked = (record->flags & RECORD_FLAG_UNHOOKED) == 0;
	if (withdraw(replay->core, session, record->sequence, (enum code)record->code, hooked) != CODE_OK)
		return starved(replay);
	return true;
}

static bool replay_end(struct replay *replay)
{
	struct session *session = find_session(replay);

	if (session == NULL)
		return false;
	if (session_first_waiting(session) != 0)
		return differs(replay, "a request of the session waits");
	if (finish_session(replay->core, &session,
			   (replay->record->flags & RECORD_FLAG_UNHOOKED) == 0) != CODE_OK)
		return starved(replay);
	return true;
}

static bool replay_received(struct replay *replay)
{
	struct session *session = find_session(replay);

	if (session == NULL)
		return false;
	if (!session_received(session, replay->record->sequence))
		return differs(replay, "there is no late answer to sequence %" PRIu64,
			       replay->record->sequence);
	return true;
}

static bool replay_tick(struct replay *replay)
{
	struct machine *machine = &replay->core->machine;

	if (machine->behaviour->tick == NULL)
		return differs(replay, "the behaviour has no tick");
	enum code code = execution_hook(machine, machine->behaviour->tick, 0, 0);
	if (code == CODE_NO_MEMORY)
		return starved(replay);
	return code == CODE_OK || differs(replay, "the tick failed: %s", code_text(code));
}

static bool replay_answered(struct replay *replay)
{
	const struct record *record = replay->record;
	const struct session *session = find_session(replay);
	const struct stored_reply *stored =
		session != NULL ? session_stored(session, record->sequence) : NULL;

	if (session == NULL)
		return false;
	if (session_waits(session, record->sequence))
		return differs(replay, "sequence %" PRIu64 " still waits", record->sequence);
	/* Kept or not is a matter of memory then and now. */
	if (stored != NULL && (stored->code != record->code ||
			       ((record->flags & RECORD_FLAG_CUT) == 0 &&
				(stored->size != record->reply_size ||
				 (stored->size > 0 &&
				  memcmp(stored_payload(stored), record->reply, stored->size) != 0)))))
		return differs(replay, "sequence %" PRIu64 " is answered otherwise now", record->sequence);
	return true;
}

/* From one version to another: a revision, whether or not there was anything to change. */
static enum code migrate(struct core *core, unsigned from_version, char *why, size_t why_size)
{
	struct machine *machine = &core->machine;
	uint64_t revision = machine->revision;

	if (machine->behaviour->migrate == NULL || from_version >= machine->behaviour->version) {
		snprintf(why, why_size, "the state is of version %u of %s, and this is version %u, which "
					"does not say how to take it over",
			 from_version, machine->behaviour->name, machine->behaviour->version);
		return CODE_INVALID;
	}
	enum code code = execution_migrate(machine, from_version, why, why_size);
	if (code == CODE_OK)
		machine->revision = revision + 1;
	return code;
}

enum code core_migrate(struct core *core, unsigned from_version, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s", code_text(CODE_NO_MEMORY));
	enum code code = records_reserve(core, 0) ? migrate(core, from_version, why, why_size) :
						    CODE_NO_MEMORY;
	if (code == CODE_OK)
		record_migrated(core, from_version);
	return code;
}

static bool replay_migrated(struct replay *replay)
{
	char why[REFUSAL_TEXT_MAX];
	enum code code = migrate(replay->core, replay->record->version, why, sizeof why);

	if (code == CODE_NO_MEMORY)
		return starved(replay);
	return code == CODE_OK || differs(replay, "%s", why);
}

static bool replay_one(struct replay *replay)
{
	switch (replay->record->kind) {
	case RECORD_START:
		return replay_start(replay);
	case RECORD_OPEN:
		return replay_open(replay);
	case RECORD_END:
		return replay_end(replay);
	case RECORD_RUN:
		return replay_run(replay);
	case RECORD_REFUSED:
		return replay_refused(replay);
	case RECORD_WITHDRAWN:
		return replay_withdrawn(replay);
	case RECORD_RECEIVED:
		return replay_received(replay);
	case RECORD_TICK:
		return replay_tick(replay);
	case RECORD_ANSWERED:
		return replay_answered(replay);
	case RECORD_MIGRATED:
		return replay_migrated(replay);
	}
	return differs(replay, "it is of a kind that is not known");
}

/* What the record says came out of it. */
static bool compare(struct replay *replay, bool digest)
{
	const struct machine *machine = &replay->core->machine;
	const struct record *record = replay->record;

	if (machine->revision != record->revision)
		return differs(replay, "it made revision %" PRIu64 " then and %" PRIu64 " now",
			       record->revision, machine->revision);
	if (digest && store_digest(machine->store) != record->digest)
		return differs(replay, "the state behind it had the digest %016" PRIx64
				       " then and has %016" PRIx64 " now",
			       record->digest, store_digest(machine->store));
	return true;
}

enum code core_replay(struct core *core, const struct record *record, int64_t time_us, bool digest, char *why,
		      size_t why_size)
{
	struct replay replay = { .core = core, .record = record, .code = CODE_OK, .why = why,
				 .why_size = why_size };
	struct machine *machine = &core->machine;
	const struct limits *limits = machine->limits, lifted = limits_none();

	why[0] = '\0';
	core_set_clock(core, time_us);
	machine->limits = &lifted;
	store_set_limits(machine->store, UINT64_MAX, UINT64_MAX);
	bool done = replay_one(&replay);
	machine->limits = limits;
	store_set_limits(machine->store, (uint64_t)limits->entries, (uint64_t)limits->state_bytes);
	if (done)
		compare(&replay, digest);
	return replay.code;
}
