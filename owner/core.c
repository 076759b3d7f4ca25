/* SPDX-License-Identifier: MIT
 *
 * core.c - admission and execution.
 *
 * The order of the checks is the contract: session, then sequence, then verdict,
 * then the operations. What comes before the sequence check uses no sequence; what
 * comes after it is stored, refusals too, so that a retry hears the same again.
 */
#include "owner/core.h"
#include "owner/call.h"

#include <stdio.h>
#include <stdlib.h>

struct core {
	struct core_settings settings;
	struct store *store;
	struct sessions *sessions;
	struct operation_index *index;
	void *context;
	uint64_t revision;
	int64_t now_us;
};

struct core *core_new(const struct core_settings *settings, const char **why)
{
	struct core *core = calloc(1, sizeof *core);
	const struct limits *limits = settings->limits;

	*why = "no memory for the state";
	if (core == NULL)
		return NULL;
	core->settings = *settings;
	core->store = store_new(settings->hash_seed, (uint64_t)limits->entries, (uint64_t)limits->state_bytes);
	core->sessions = sessions_new(settings->session_seed, (size_t)limits->sessions,
				      (uint64_t)limits->session_replies_bytes);
	core->index = operation_index_new(settings->behaviour);
	if (core->index == NULL)
		*why = "two operations of the behaviour have one number";
	if (core->store != NULL && core->sessions != NULL && core->index != NULL)
		core->context = settings->behaviour->create(core->store);
	if (core->context == NULL)
		core_destroy(&core);
	return core;
}

void core_destroy(struct core **core)
{
	struct core *c = *core;

	if (c == NULL)
		return;
	if (c->context != NULL && c->settings.behaviour->destroy != NULL)
		c->settings.behaviour->destroy(c->context);
	operation_index_destroy(&c->index);
	sessions_destroy(&c->sessions);
	store_destroy(&c->store);
	free(c);
	*core = NULL;
}

void core_set_clock(struct core *core, int64_t wall_us)
{
	if (wall_us > core->now_us)
		core->now_us = wall_us;
}

uint64_t core_revision(const struct core *core)
{
	return core->revision;
}

struct sessions *core_sessions(struct core *core)
{
	return core->sessions;
}

struct store *core_store(struct core *core)
{
	return core->store;
}

const struct behaviour *core_behaviour(const struct core *core)
{
	return core->settings.behaviour;
}

enum code core_open_session(struct core *core, const struct caller *caller,
			    const uint8_t nonce[PROTOCOL_NONCE_BYTES], struct session **session)
{
	bool new = false;
	enum code code = sessions_open(core->sessions, caller, nonce, session, &new);

	if (code == CODE_OK && new) {
		core->revision++;
		core->settings.counters->sessions_opened++;
	} else if (code == CODE_BUSY) {
		core->settings.counters->limit_sessions++;
	}
	return code;
}

void core_end_session(struct core *core, struct session **session)
{
	sessions_end(core->sessions, session);
	core->revision++;
}

enum code core_session(struct core *core, const struct caller *caller, uint64_t id, struct session **session)
{
	*session = sessions_find(core->sessions, id);
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

size_t core_begin_reply(const struct core *core, const struct request_header *header, enum code code,
			struct buffer *out)
{
	size_t start = out->size;
	const struct reply_header reply = {
		.kind = header->kind,
		.outcome = (uint8_t)code_outcome(code),
		.code = (uint16_t)code,
		.session = header->session,
		.sequence = header->sequence,
		.revision = core->revision,
	};

	wire_write_reply_header(out, &reply);
	return start;
}

static void write_refusal(int failed, const char *text, const struct value *detail, struct buffer *out)
{
	const struct value list[] = { value_integer(failed), value_text(text),
				      detail != NULL ? *detail : value_none() };
	wire_write_list(out, list, detail != NULL && detail->type != VALUE_NONE ? 3 : 2);
}

void core_refuse(const struct core *core, const struct request_header *header, enum code code, int failed,
		 const char *text, const struct value *detail, struct buffer *out)
{
	size_t start = core_begin_reply(core, header, code, out);

	write_refusal(failed, text != NULL ? text : code_text(code), detail, out);
	wire_finish_item(out, start);
}

static void count_refusal(struct counters *counters, enum code code)
{
	counters->requests_refused++;
	if (code == CODE_EXPIRED)
		counters->requests_expired++;
	if (code == CODE_CANCELLED)
		counters->requests_cancelled++;
	if (code == CODE_FULL)
		counters->limit_state++;
	if (code == CODE_NO_MEMORY)
		counters->limit_memory++;
}

/* Which of the limits that operation_check knows was it? */
static void count_too_large(struct counters *counters, const struct operation *operation,
			    const struct value *arguments, size_t count, const struct limits *limits)
{
	for (size_t i = 0; i < count; i++) {
		if (arguments[i].type != VALUE_BYTES)
			continue;
		if (operation->arguments[i].type == FIELD_KEY) {
			if (arguments[i].size > limits->key_bytes) {
				counters->limit_key++;
				return;
			}
		} else if (arguments[i].size > limits->value_bytes) {
			counters->limit_value++;
			return;
		}
	}
}

/* What a request has come to while it runs. */
struct execution {
	struct core *core;
	struct call call;
	bool query_only;
	int position;            /* of the operation being run */
	uint64_t reads, writes;
	size_t reply_end;        /* the largest size that `out` may reach */
};

static enum code run_operation(struct execution *x, struct wire_reader *payload)
{
	struct core *core = x->core;
	const struct limits *limits = core->settings.limits;
	struct value arguments[OPERATION_ARGUMENTS_MAX];
	uint16_t number;
	size_t count;

	if (!wire_read_u16(payload, &number) ||
	    !wire_read_list(payload, arguments, OPERATION_ARGUMENTS_MAX, &count))
		return call_refuse(&x->call, CODE_MALFORMED, NULL, "operation %d ends in the middle, or has a value of an unknown type",
				   x->position);
	const struct operation *operation = operation_find(core->index, number);
	if (operation == NULL)
		return call_refuse(&x->call, CODE_NO_OPERATION, NULL, "%s has no operation number %u",
				   core->settings.behaviour->name, number);
	if (x->query_only && operation->kind != OPERATION_QUERY)
		return call_refuse(&x->call, CODE_INVALID, NULL, "%s is a command: a request marked as query cannot run it",
				   operation->name);
	enum code code = operation_check(operation, arguments, count, limits, x->call.text, sizeof x->call.text);
	if (code == CODE_TOO_LARGE)
		count_too_large(core->settings.counters, operation, arguments, count, limits);
	if (code != CODE_OK)
		return code;

	struct buffer *out = x->call.out;
	size_t list = out->size;
	buffer_u8(out, 0);
	x->call.arguments = arguments;
	x->call.answered = 0;
	code = operation->run(&x->call);
	if (code != CODE_OK)
		return code;
	if (out->failed)
		return CODE_NO_MEMORY;
	if (out->size > x->reply_end || x->call.answered > WIRE_LIST_MAX) {
		core->settings.counters->limit_reply++;
		return call_refuse(&x->call, CODE_TOO_LARGE, NULL, "the reply would not fit into a message: ask for less at a time");
	}
	out->data[list] = (uint8_t)x->call.answered;
	if (operation->kind == OPERATION_QUERY)
		x->reads++;
	else
		x->writes++;
	return CODE_OK;
}

/* Runs every operation of the payload and appends their results; when one fails, appends
 * the refusal instead and leaves no trace in the store. */
static enum code execute(struct core *core, const struct caller *caller, bool query_only,
			 struct wire_reader payload, size_t reply_end, struct buffer *out)
{
	struct execution x = {
		.core = core,
		.call = { .context = core->context, .caller = caller, .now_us = core->now_us, .out = out },
		.query_only = query_only,
		.reply_end = reply_end,
	};
	struct counters *counters = core->settings.counters;
	size_t start = out->size;
	enum code code = CODE_OK;

	if (payload.left == 0)
		code = call_refuse(&x.call, CODE_INVALID, NULL, "a request has at least one operation");
	for (; code == CODE_OK && payload.left > 0; x.position++) {
		if (x.position >= core->settings.limits->operations) {
			counters->limit_operations++;
			code = call_refuse(&x.call, CODE_TOO_LARGE, NULL, "more than %lld operations in a request: the limit is max-operations",
					   (long long)core->settings.limits->operations);
			break;
		}
		code = run_operation(&x, &payload);
		if (code != CODE_OK)
			break;
	}
	if (code != CODE_OK) {
		/* The detail may point into what undo takes back: written first. */
		out->size = start;
		out->failed = false;
		const char *text = x.call.text[0] != '\0' ? x.call.text : code_text(code);
		write_refusal(x.position, text, &x.call.detail, out);
		if (out->failed || out->size > reply_end) {
			out->size = start;
			out->failed = false;
			write_refusal(x.position, text, NULL, out);
		}
		store_undo(core->store, 0);
		return code;
	}
	if (store_mark(core->store) > 0) {
		store_commit(core->store);
		core->revision++;
	}
	counters->reads += x.reads;
	counters->writes += x.writes;
	return CODE_OK;
}

/* Fills in what is known only after the run. */
static void finish_reply(const struct core *core, const struct request_header *header, enum code code,
			 size_t start, struct buffer *out)
{
	struct buffer head = { .data = out->data + start, .capacity = PROTOCOL_ITEM_HEADER_BYTES };

	core_begin_reply(core, header, code, &head);
	wire_finish_item(out, start);
	if (code != CODE_OK)
		count_refusal(core->settings.counters, code);
}

/* The reply to a sequence that was admitted before, as it was given then. It cannot be refused
 * for want of room: that would say that the command did not run. */
static void repeat_reply(struct core *core, const struct session *session, const struct request_header *header,
			 size_t reply_max, struct buffer *out)
{
	const struct stored_reply *stored = session_stored(session, header->sequence);
	struct request_header run = *header;

	run.kind = ITEM_RUN;
	if (stored == NULL) {
		core->settings.counters->requests_unknown++;
		core_refuse(core, &run, CODE_REPLY_FORGOTTEN, -1, NULL, NULL, out);
		return;
	}
	if (PROTOCOL_ITEM_HEADER_BYTES + (size_t)stored->size > reply_max) {
		core->settings.counters->requests_unknown++;
		core->settings.counters->limit_reply++;
		core_refuse(core, &run, CODE_REPLY_FORGOTTEN, -1,
			    "it was answered before; there is no room to repeat the answer here", NULL, out);
		return;
	}
	if (!buffer_reserve(out, PROTOCOL_ITEM_HEADER_BYTES + (size_t)stored->size)) {
		out->failed = false;
		core->settings.counters->requests_unknown++;
		core->settings.counters->limit_memory++;
		core_refuse(core, &run, CODE_REPLY_FORGOTTEN, -1,
			    "it was answered before; there is no memory to repeat the answer", NULL, out);
		return;
	}
	core->settings.counters->requests_repeated++;
	const struct reply_header reply = {
		.kind = ITEM_RUN,
		.outcome = (uint8_t)code_outcome(stored->code),
		.code = stored->code,
		.session = header->session,
		.sequence = header->sequence,
		.revision = stored->revision,
	};
	size_t start = out->size;
	wire_write_reply_header(out, &reply);
	buffer_append(out, stored->payload, stored->size);
	wire_finish_item(out, start);
}

/* Is `sequence` the next of the session? CODE_OK: it is, and its reply has a place. */
static enum code admit(struct core *core, struct session *session, const struct request_header *header,
		       struct buffer *out)
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
	code = session_reserve(session);
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

static void run_command(struct core *core, struct session *session, const struct caller *caller,
			const struct request_header *header, struct wire_reader payload, enum code verdict,
			size_t reply_max, struct buffer *out)
{
	uint64_t oldest = header->sequence > header->window ? header->sequence - header->window : 1;

	session_acknowledge(session, oldest);
	if (header->sequence != 0 && header->sequence <= session->last) {
		repeat_reply(core, session, header, reply_max, out);
		return;
	}
	if (admit(core, session, header, out) != CODE_OK)
		return;
	size_t start = core_begin_reply(core, header, CODE_OK, out), payload_start = out->size;
	if (verdict == CODE_OK)
		verdict = execute(core, caller, false, payload, start + reply_max, out);
	else
		write_refusal(-1, code_text(verdict), NULL, out);
	finish_reply(core, header, verdict, start, out);
	core->settings.counters->replies_trimmed +=
		session_store(core->sessions, session, (uint16_t)verdict, core->revision, out->data + payload_start,
			      out->size - payload_start);
}

void core_run(struct core *core, const struct caller *caller, const struct request_header *header,
	      struct wire_reader payload, enum code verdict, size_t reply_max, struct buffer *out)
{
	bool query = (header->flags & REQUEST_FLAG_QUERY) != 0;
	struct session *session = NULL;

	core->settings.counters->requests++;
	if (header->session != 0) {
		enum code code = core_session(core, caller, header->session, &session);
		if (code != CODE_OK) {
			core->settings.counters->requests_refused += code_outcome(code) == OUTCOME_REFUSED;
			core_refuse(core, header, code, -1, NULL, NULL, out);
			return;
		}
	}
	if (session != NULL && !query) {
		run_command(core, session, caller, header, payload, verdict, reply_max, out);
		return;
	}
	size_t start = core_begin_reply(core, header, CODE_OK, out);
	if (verdict == CODE_OK)
		verdict = execute(core, caller, query, payload, start + reply_max, out);
	else
		write_refusal(-1, code_text(verdict), NULL, out);
	finish_reply(core, header, verdict, start, out);
}

bool core_admitted(const struct core *core, const struct caller *caller, const struct request_header *header)
{
	const struct session *session = sessions_find(core->sessions, header->session);

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
		if (admit(core, session, header, out) != CODE_OK)
			return 1;
		uint8_t space[CORE_REPLY_RESERVE];
		struct buffer refusal = { .data = space, .capacity = sizeof space };
		write_refusal(-1, code_text(CODE_CANCELLED), NULL, &refusal);
		core->settings.counters->replies_trimmed += session_store(
			core->sessions, session, CODE_CANCELLED, core->revision, refusal.data, refusal.size);
		count_refusal(core->settings.counters, CODE_CANCELLED);
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
