/* SPDX-License-Identifier: MIT
 *
 * core.c - admission and execution.
 *
 * The order of the checks is the contract: session, then sequence, then verdict,
 * then the operations. What comes before the sequence check uses no sequence; what
 * comes after it is stored, refusals too, so that a retry hears the same again.
 */
#include "owner/core/core_parts.h"

#include <stdio.h>
#include <stdlib.h>

struct core *core_new(const struct core_settings *settings, const char **why)
{
	struct core *core = calloc(1, sizeof *core);
	const struct limits *limits = settings->limits;

	*why = "no memory for the state";
	if (core == NULL)
		return NULL;
	core->settings = *settings;
	struct machine *machine = &core->machine;
	machine->behaviour = settings->behaviour;
	machine->limits = limits;
	machine->counters = settings->counters;
	machine->effects.token = settings->token_base;
	machine->store = store_new(settings->hash_seed, (uint64_t)limits->entries, (uint64_t)limits->state_bytes);
	machine->sessions = sessions_new(settings->session_seed, (size_t)limits->sessions,
					 (uint64_t)limits->session_replies_bytes);
	machine->events = events_new((uint64_t)limits->events_bytes);
	const char *problem = behaviour_problem(settings->behaviour);
	if (problem != NULL)
		*why = problem;
	else if (machine->store != NULL && machine->sessions != NULL && machine->events != NULL)
		machine->index = operation_index_new(settings->behaviour);
	if (machine->index != NULL && !usage_init(&machine->usage, settings->behaviour->operation_count))
		operation_index_destroy(&machine->index);
	if (machine->index != NULL) {
		machine->context = settings->behaviour->create((struct sole_store *)machine->store);
		if (machine->context == NULL || store_failure(machine->store) != CODE_OK) {
			*why = "the behaviour cannot be made: no memory, more maps than a behaviour may have, or a name too long for one";
			core_destroy(&core);
		}
	} else {
		core_destroy(&core);
	}
	return core;
}

void core_destroy(struct core **core)
{
	struct core *c = *core;

	if (c == NULL)
		return;
	struct machine *machine = &c->machine;
	if (machine->context != NULL && machine->behaviour->destroy != NULL)
		machine->behaviour->destroy(machine->context);
	operation_index_destroy(&machine->index);
	usage_clear(&machine->usage);
	sessions_destroy(&machine->sessions);
	events_destroy(&machine->events);
	store_destroy(&machine->store);
	buffer_clear(&machine->effects.events);
	buffer_clear(&machine->effects.answers);
	buffer_clear(&machine->effects.detail);
	buffer_clear(&c->scratch);
	free(machine->late);
	free(c);
	*core = NULL;
}

void core_set_clock(struct core *core, int64_t wall_us)
{
	/* A round has one time: what is recorded and not yet taken was done at this one, and will be done again at it. */
	if (wall_us > core->machine.now_us && core->record_count == 0)
		core->machine.now_us = wall_us;
}

struct core_scalars core_scalars(const struct core *core)
{
	return (struct core_scalars){ .revision = core->machine.revision,
				      .now_us = core->machine.now_us,
				      .token = core->machine.effects.token };
}

void core_set_scalars(struct core *core, const struct core_scalars *scalars)
{
	core->machine.revision = scalars->revision;
	core->machine.now_us = scalars->now_us;
	core->machine.effects.token = scalars->token;
}

uint64_t core_revision(const struct core *core)
{
	return core->machine.revision;
}

struct usage *core_usage(struct core *core)
{
	return &core->machine.usage;
}

const struct sole_operation_entry *core_operation(const struct core *core, uint16_t number)
{
	return operation_find(core->machine.index, number);
}

const struct running *core_running(const struct core *core)
{
	return &core->machine.running;
}

struct sessions *core_sessions(struct core *core)
{
	return core->machine.sessions;
}

struct store *core_store(struct core *core)
{
	return core->machine.store;
}

struct events *core_events(struct core *core)
{
	return core->machine.events;
}

const struct sole_behaviour *core_behaviour(const struct core *core)
{
	return core->settings.behaviour;
}

void core_take_limits(struct core *core)
{
	const struct limits *limits = core->settings.limits;

	store_set_limits(core->machine.store, (uint64_t)limits->entries, (uint64_t)limits->state_bytes);
	sessions_set_limits(core->machine.sessions, (size_t)limits->sessions, (uint64_t)limits->session_replies_bytes);
}

const char *core_invariant(const struct core *core)
{
	const struct machine *machine = &core->machine;

	return machine->behaviour->invariant != NULL ? machine->behaviour->invariant(machine->context) : NULL;
}

/* ---- sessions ---- */

enum code core_open_session(struct core *core, const struct caller *caller,
			    const uint8_t nonce[PROTOCOL_NONCE_BYTES], uint32_t silence_ms, struct session **session)
{
	bool new = false;

	if (!records_reserve(core, 0))
		return CODE_NO_MEMORY;
	enum code code = sessions_open(core->machine.sessions, caller, nonce, session, &new);
	if (code == CODE_OK && new) {
		core->machine.revision++;
		(*session)->silence_ms = silence_ms;
		record_open(core, *session);
		core->settings.counters->sessions_opened++;
	} else if (code == CODE_BUSY) {
		core->settings.counters->limit_sessions++;
	}
	return code;
}

enum code core_session(struct core *core, const struct caller *caller, uint64_t id, struct session **session)
{
	*session = sessions_find(core->machine.sessions, id);
	if (*session == NULL) {
		core->settings.counters->requests_unknown++;
		return CODE_SESSION_FORGOTTEN;
	}
	if (!session_belongs(*session, caller)) {
		core->settings.counters->sessions_denied++;
		return CODE_DENIED;
	}
	return CODE_OK;
}

/* ---- replies ---- */

size_t core_begin_reply(const struct core *core, const struct request_header *header, enum code code,
			struct buffer *out)
{
	size_t start = out->size;
	core->settings.counters->answers[code]++;
	const struct reply_header reply = {
		.kind = header->kind,
		.outcome = (uint8_t)code_outcome(code),
		.code = (uint16_t)code,
		.session = header->session,
		.sequence = header->sequence,
		.revision = core->machine.revision,
	};

	wire_write_reply_header(out, &reply);
	return start;
}

void core_refuse(const struct core *core, const struct request_header *header, enum code code, int failed,
		 const char *text, const struct value *detail, struct buffer *out)
{
	size_t start = core_begin_reply(core, header, code, out);

	write_refusal(failed, text != NULL ? text : code_text(code), detail, out);
	wire_finish_item(out, start);
}

/* Leaves a place for the header, which finish_reply writes. */
static size_t skip_header(struct buffer *out)
{
	size_t start = out->size;

	if (buffer_reserve(out, PROTOCOL_ITEM_HEADER_BYTES))
		out->size += PROTOCOL_ITEM_HEADER_BYTES;
	return start;
}

static void finish_reply(const struct core *core, const struct request_header *header, enum code code,
			 size_t start, struct buffer *out)
{
	struct buffer head = { .data = out->data + start, .capacity = PROTOCOL_ITEM_HEADER_BYTES };

	core_begin_reply(core, header, code, &head);
	wire_finish_item(out, start);
	if (code_outcome(code) == OUTCOME_REFUSED)
		count_refusal(core->settings.counters, code);
}

static void write_stored(uint64_t session, uint64_t sequence, const struct stored_reply *stored,
			 struct buffer *out)
{
	const struct reply_header reply = {
		.kind = ITEM_RUN,
		.outcome = (uint8_t)code_outcome(stored->code),
		.code = stored->code,
		.session = session,
		.sequence = sequence,
		.revision = stored->revision,
	};
	size_t start = out->size;

	wire_write_reply_header(out, &reply);
	if (stored->size == 0) /* withdrawn while it waited */
		write_refusal(-1, code_text(stored->code), NULL, out);
	else
		buffer_append(out, stored_payload(stored), stored->size);
	wire_finish_item(out, start);
}

static size_t stored_item_bytes(const struct stored_reply *stored)
{
	return PROTOCOL_ITEM_HEADER_BYTES + (stored->size > 0 ? (size_t)stored->size : REFUSAL_TEXT_MAX);
}

/* The reply to a sequence that was admitted before, as it was given then. It cannot be refused
 * for want of room: that would say that the command did not run. */
static enum code repeat_reply(struct core *core, const struct session *session,
			      const struct request_header *header, size_t reply_max, struct buffer *out)
{
	const struct stored_reply *stored = session_stored(session, header->sequence);
	struct request_header run = *header;

	run.kind = ITEM_RUN;
	if (session_waits(session, header->sequence)) {
		wire_finish_item(out, core_begin_reply(core, &run, CODE_WAITING, out));
		return CODE_WAITING;
	}
	if (stored == NULL) {
		core->settings.counters->requests_unknown++;
		core_refuse(core, &run, CODE_REPLY_FORGOTTEN, -1, NULL, NULL, out);
		return CODE_REPLY_FORGOTTEN;
	}
	if (stored_item_bytes(stored) > reply_max) {
		core->settings.counters->requests_unknown++;
		core->settings.counters->limit_reply++;
		core_refuse(core, &run, CODE_REPLY_FORGOTTEN, -1,
			    "it was answered before; there is no room to repeat the answer here", NULL, out);
		return CODE_REPLY_FORGOTTEN;
	}
	if (!buffer_reserve(out, stored_item_bytes(stored))) {
		out->failed = false;
		core->settings.counters->requests_unknown++;
		core->settings.counters->limit_memory++;
		core_refuse(core, &run, CODE_REPLY_FORGOTTEN, -1,
			    "it was answered before; there is no memory to repeat the answer", NULL, out);
		return CODE_REPLY_FORGOTTEN;
	}
	core->settings.counters->requests_repeated++;
	write_stored(header->session, header->sequence, stored, out);
	return stored->code;
}

/* Is `sequence` the next of the session? CODE_OK: it is, and its reply has a place once what is below `acknowledged` has
 * gone. */
static enum code admit(struct core *core, struct session *session, const struct request_header *header,
		       uint64_t acknowledged, struct buffer *out)
{
	struct counters *counters = core->settings.counters;
	enum code code;

	if (header->sequence != session->last + 1) {
		const struct value next = value_integer((int64_t)(session->last + 1));
		char text[REFUSAL_TEXT_MAX];
		snprintf(text, sizeof text, "sequence %llu came before %llu: resend from there",
			 (unsigned long long)header->sequence, (unsigned long long)(session->last + 1));
		counters->requests_refused++;
		core_refuse(core, header, CODE_OUT_OF_ORDER, -1, text, &next, out);
		return CODE_OUT_OF_ORDER;
	}
	/* What is refused here uses no sequence and is sent again: only BUSY says so. */
	code = session_reserve(session, acknowledged);
	if (code != CODE_OK) {
		if (code == CODE_BUSY)
			counters->limit_window++;
		else
			counters->limit_memory++;
		count_refusal(counters, CODE_BUSY);
		core_refuse(core, header, CODE_BUSY, -1,
			    code == CODE_BUSY ? "too many requests of the session are unanswered" :
						"no memory for the session's replies", NULL, out);
	}
	return code;
}

static enum code execute(struct core *core, const struct caller *caller, struct session *session,
			 const struct request_header *header, struct wire_reader payload, enum code verdict,
			 size_t reply_end, struct buffer *out)
{
	const struct execution_request request = {
		.caller = caller,
		.session = session,
		.sequence = header->sequence,
		.query_only = (header->flags & REQUEST_FLAG_QUERY) != 0,
		.has_otherwise = (header->flags & REQUEST_FLAG_OTHERWISE) != 0,
		.payload = payload,
		.reply_end = reply_end,
	};

	if (verdict == CODE_OK && core->crashed.count > 0 && crashed_has(&core->crashed, &request))
		verdict = CODE_CRASHED;
	if (verdict == CODE_OK)
		return execution_run(&core->machine, &request, out);
	write_refusal(-1, code_text(verdict), NULL, out);
	return verdict;
}

/* The record of what ran; there is room for it. `reply` is where the payload of the reply begins. */
static void note_run(struct core *core, const struct caller *caller, const struct session *session,
		     const struct request_header *header, struct wire_reader request, size_t reply_max, enum code code,
		     size_t reply, const struct buffer *out)
{
	const struct ran ran = {
		.caller = caller,
		.session = header->session,
		.sequence = header->sequence,
		.acknowledged = session != NULL ? session->oldest : 0,
		.has_otherwise = (header->flags & REQUEST_FLAG_OTHERWISE) != 0,
		.request = request,
		.reply_max = reply_max,
		.code = code,
		.reply = out->data + reply,
		.reply_size = out->size - reply,
	};

	record_run(core, &ran);
}

/* A refusal is recorded with its words; where there is no memory for them, without those that are its own. */
static void note_refusal(struct core *core, const struct session *session, enum code code, size_t reply, struct buffer *out)
{
	if (!records_reserve(core, out->size - reply)) {
		out->size = reply;
		write_refusal(-1, code_text(code), NULL, out);
	}
	record_refused(core, session, code, out->data + reply, out->size - reply);
}

/* There is no memory to record it: not admitted, so that it is sent again. */
static enum code refuse_unrecorded(struct core *core, const struct request_header *header, enum code code,
				   struct buffer *out)
{
	core->settings.counters->limit_memory++;
	count_refusal(core->settings.counters, code);
	core_refuse(core, header, code, -1, "no memory to record it", NULL, out);
	return code;
}

static enum code run_command(struct core *core, struct session *session, const struct caller *caller,
			     const struct request_header *header, struct wire_reader payload,
			     enum code verdict, size_t reply_max, struct buffer *out)
{
	struct machine *machine = &core->machine;

	if (header->sequence != 0 && header->sequence <= session->last)
		return repeat_reply(core, session, header, reply_max, out);
	uint64_t acknowledged = header->sequence > header->window ? header->sequence - header->window : 1;
	enum code code = admit(core, session, header, acknowledged, out);
	if (code != CODE_OK)
		return code;
	if (!records_reserve(core, payload.left + RECORD_REPLY_MAX))
		return refuse_unrecorded(core, header, CODE_BUSY, out);
	size_t start = skip_header(out), payload_start = out->size;
	code = execute(core, caller, session, header, payload, verdict, start + reply_max, out);
	/* Only with what uses a sequence and is recorded, and behind what it did: replay does the same. */
	if (code != CODE_BUSY)
		session_acknowledge(session, acknowledged);
	if (code == CODE_OK || code == CODE_WAITING)
		note_run(core, caller, session, header, payload, reply_max, code, payload_start, out);
	else if (code != CODE_BUSY) /* which uses no sequence */
		note_refusal(core, session, code, payload_start, out);
	finish_reply(core, header, code, start, out);
	if (code == CODE_WAITING)
		session_park(session);
	else if (code != CODE_BUSY)
		machine->counters->replies_trimmed +=
			session_store(machine->sessions, session, (uint16_t)code, machine->revision,
				      out->data + payload_start, out->size - payload_start);
	return code;
}

/* A query, or a request without a session. */
static enum code run_once(struct core *core, struct session *session, const struct caller *caller,
			  const struct request_header *header, struct wire_reader payload, enum code verdict,
			  size_t reply_max, struct buffer *out)
{
	uint64_t revision = core->machine.revision;

	if ((header->flags & REQUEST_FLAG_QUERY) == 0 && !records_reserve(core, payload.left + RECORD_REPLY_MAX))
		return refuse_unrecorded(core, header, CODE_NO_MEMORY, out);
	size_t start = skip_header(out), payload_start = out->size;
	enum code code = execute(core, caller, session, header, payload, verdict, start + reply_max, out);
	if (core->machine.revision != revision)
		note_run(core, caller, NULL, header, payload, reply_max, code, payload_start, out);
	finish_reply(core, header, code, start, out);
	return code;
}

void core_avoid(struct core *core, const struct crashed *crashed)
{
	core->crashed = *crashed;
}

enum code core_run(struct core *core, const struct caller *caller, const struct request_header *header,
		   struct wire_reader payload, enum code verdict, size_t reply_max, struct buffer *out)
{
	bool query = (header->flags & REQUEST_FLAG_QUERY) != 0;
	struct session *session = NULL;
	enum code code;

	core->settings.counters->requests++;
	if (header->session != 0) {
		code = core_session(core, caller, header->session, &session);
		if (code != CODE_OK) {
			core->settings.counters->requests_refused += code_outcome(code) == OUTCOME_REFUSED;
			core_refuse(core, header, code, -1, NULL, NULL, out);
			return code;
		}
	}
	if (session != NULL && !query)
		return run_command(core, session, caller, header, payload, verdict, reply_max, out);
	return run_once(core, session, caller, header, payload, verdict, reply_max, out);
}

bool core_admitted(const struct core *core, const struct caller *caller, const struct request_header *header)
{
	const struct session *session = sessions_find(core->machine.sessions, header->session);

	return session != NULL && session_belongs(session, caller) &&
	       (header->flags & REQUEST_FLAG_QUERY) == 0 && header->sequence != 0 &&
	       header->sequence <= session->last;
}

unsigned core_cancel(struct core *core, const struct caller *caller, const struct request_header *header,
		     size_t reply_max, struct buffer *out)
{
	struct session *session;
	enum code code = core_session(core, caller, header->session, &session);

	if (code != CODE_OK) {
		core_refuse(core, header, code, -1, NULL, NULL, out);
		return 1;
	}
	if (header->sequence == 0 || header->sequence > session->last) {
		/* Not seen yet: it is withdrawn before it comes, and will be told so when it does. */
		if (admit(core, session, header, 0, out) != CODE_OK)
			return 1;
		if (!records_reserve(core, CORE_REPLY_RESERVE)) {
			refuse_unrecorded(core, header, CODE_BUSY, out);
			return 1;
		}
		uint8_t space[CORE_REPLY_RESERVE];
		struct buffer refusal = { .data = space, .capacity = sizeof space };
		write_refusal(-1, code_text(CODE_CANCELLED), NULL, &refusal);
		record_refused(core, session, CODE_CANCELLED, refusal.data, refusal.size);
		core->settings.counters->replies_trimmed += session_store(
			core->machine.sessions, session, CODE_CANCELLED, core->machine.revision, refusal.data,
			refusal.size);
		count_refusal(core->settings.counters, CODE_CANCELLED);
	} else if (session_waits(session, header->sequence) &&
		   withdraw(core, session, header->sequence, CODE_CANCELLED, true) != CODE_OK) {
		core->settings.counters->limit_memory++;
		core_refuse(core, header, CODE_NO_MEMORY, -1,
			    "it goes on waiting: the owner has no memory to withdraw it", NULL, out);
		return 1;
	}
	const struct stored_reply *stored = session_stored(session, header->sequence);
	bool withdrawn = stored != NULL && stored->code == CODE_CANCELLED;
	const struct value fate = value_integer(withdrawn ? CANCEL_WITHDRAWN : CANCEL_ANSWERED);
	size_t start = core_begin_reply(core, header, CODE_OK, out);
	wire_write_list(out, &fate, 1);
	wire_finish_item(out, start);
	if (withdrawn)
		return 1;
	size_t used = out->size - start;
	repeat_reply(core, session, header, reply_max > used ? reply_max - used : 0, out);
	return 2;
}

void core_received(struct core *core, const struct caller *caller, const struct request_header *header,
		   struct buffer *out)
{
	struct session *session;
	enum code code = core_session(core, caller, header->session, &session);

	if (code != CODE_OK) {
		core_refuse(core, header, code, -1, NULL, NULL, out);
		return;
	}
	/* Without memory to record it, the answer is kept a while longer. */
	if (records_reserve(core, 0) && session_received(session, header->sequence))
		record_received(core, session->id, header->sequence);
	size_t start = core_begin_reply(core, header, CODE_OK, out);
	wire_write_list(out, NULL, 0);
	wire_finish_item(out, start);
}

const struct late *core_take_late(struct core *core, size_t *count)
{
	*count = core->machine.late_count;
	core->machine.late_count = core->late_recorded = 0;
	return core->machine.late;
}

bool core_write_late(struct core *core, const struct late *late, size_t reply_max, struct buffer *out)
{
	const struct session *session = sessions_find(core->machine.sessions, late->session);
	const struct stored_reply *stored = session != NULL ? session_stored(session, late->sequence) : NULL;
	const struct request_header run = { .kind = ITEM_RUN,
					    .session = late->session,
					    .sequence = late->sequence };

	if (stored != NULL && stored_item_bytes(stored) <= reply_max) {
		write_stored(late->session, late->sequence, stored, out);
		return true;
	}
	if (session == NULL || (stored == NULL && !session_lost_answer(session, late->sequence)))
		return false;
	core->settings.counters->requests_unknown++;
	core_refuse(core, &run, CODE_REPLY_FORGOTTEN, -1, NULL, NULL, out);
	return true;
}
