/* SPDX-License-Identifier: MIT
 *
 * execution.c - all of a request or none of it.
 */
#include "owner/core/execution.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- effects: kept or dropped with the changes of the store ---- */

static void effects_drop(struct effects *effects, int64_t token)
{
	buffer_reset(&effects->events);
	buffer_reset(&effects->answers);
	effects->event_count = effects->missed = 0;
	effects->token = token;
	effects->failed = effects->too_large = false;
}

void execution_note_late(struct machine *machine, uint64_t session, uint64_t sequence)
{
	enum { FIRST_ROOM = 64 };

	if (machine->late_count == machine->late_room) {
		size_t room = machine->late_room ? machine->late_room * 2 : FIRST_ROOM;
		struct late *grown = realloc(machine->late, room * sizeof *grown);
		if (grown == NULL)
			return;
		machine->late = grown;
		machine->late_room = room;
	}
	machine->late[machine->late_count++] = (struct late){ session, sequence };
}

static uint64_t read_number(const uint8_t *at, size_t bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < bytes; i++)
		number |= (uint64_t)at[i] << (8 * i);
	return number;
}

static void deliver_answers(struct machine *machine)
{
	const struct buffer *answers = &machine->effects.answers;

	for (size_t at = 0; at < answers->size;) {
		const uint8_t *answer = answers->data + at;
		uint64_t id = read_number(answer, 8), sequence = read_number(answer + 8, 8);
		size_t size = (size_t)read_number(answer + 16, 4);
		struct session *session = sessions_find(machine->sessions, id);
		at += 20 + size;
		/* Answered twice by one call: the first counts. */
		if (session == NULL || !session_waits(session, sequence))
			continue;
		machine->counters->replies_trimmed += session_answer(machine->sessions, session, sequence, CODE_OK,
								     machine->revision, answer + 20, size);
		execution_note_late(machine, id, sequence);
		machine->counters->writes++;
		machine->counters->answers_late++;
	}
}

static void commit(struct machine *machine, int64_t token_before)
{
	struct effects *effects = &machine->effects;

	machine->counters->answers_missed += effects->missed;
	if (store_mark(machine->store) > 0 || effects->event_count > 0 || effects->answers.size > 0 ||
	    effects->token != token_before) {
		store_commit(machine->store);
		machine->revision++;
		events_append(machine->events, machine->revision, &effects->events, effects->event_count);
		machine->counters->events += effects->event_count;
		deliver_answers(machine);
	}
	effects_drop(effects, effects->token);
}

static bool call_is_waiting(const void *sessions, uint64_t session, uint64_t sequence)
{
	const struct session *found = sessions_find(sessions, session);

	return found != NULL && session_waits(found, sequence);
}

/* Field by field: this is done for every request, and the text need not be cleared. */
static void call_init(struct sole_call *call, struct machine *machine)
{
	store_set_revision(machine->store, machine->revision + 1);
	call->context = machine->context;
	call->caller = NULL;
	call->operation = 0;
	call->arguments = NULL;
	call->argument_count = 0;
	call->now_us = machine->now_us;
	call->revision = machine->revision + 1;
	call->session = call->sequence = 0;
	call->out = NULL;
	call->answered = call->list_start = call->reply_end = 0;
	call->checkpoints_left = (uint64_t)machine->limits->checkpoints;
	call->overran = call->may_wait = false;
	call->effects = &machine->effects;
	call->is_waiting = call_is_waiting;
	call->sessions = machine->sessions;
	call->store = (struct sole_store *)machine->store;
	call->text[0] = '\0';
	call->detail = value_none();
}

/* `request`: NULL where the owner calls by itself. */
static void running_begin(struct machine *machine, const char *what, const struct sole_call *call,
			  const struct execution_request *request)
{
	machine->running.request = request;
	machine->running.caller = call->caller;
	machine->running.session = call->session;
	machine->running.sequence = call->sequence;
	machine->running.what = what;
}

/* ---- requests ---- */

void write_refusal(int failed, const char *text, const struct value *detail, struct buffer *out)
{
	const struct value list[] = { value_integer(failed), value_text(text),
				      detail != NULL ? *detail : value_none() };
	wire_write_list(out, list, detail != NULL && detail->type != VALUE_NONE ? 3 : 2);
}

/* What a request has come to while it runs. */
struct execution {
	struct machine *machine;
	const struct execution_request *request;
	struct sole_call call;
	struct wire_reader payload;
	int position;     /* of the operation being run */
	struct wire_reader otherwise; /* the second half, and the position of its first operation */
	int otherwise_position;
	bool second_half; /* is being run */
	uint64_t reads, writes;
};

static enum code refuse_malformed(struct execution *x)
{
	return (enum code)sole_refuse(&x->call, CODE_MALFORMED,
				      "operation %d ends in the middle, or has a value of an unknown type", x->position);
}

/* Which of the limits that operation_check knows was it? */
static void count_too_large(struct counters *counters, const struct value *arguments, size_t count,
			    const struct sole_operation_entry *operation, const struct limits *limits)
{
	for (size_t i = 0; i < count; i++) {
		if (arguments[i].type != VALUE_BYTES)
			continue;
		bool key = operation_takes_key(operation, i);
		if (arguments[i].size > (key ? limits->key_bytes : limits->value_bytes)) {
			key ? counters->limit_key++ : counters->limit_value++;
			return;
		}
	}
}

/* What a behaviour may answer. The others say something about the request or its session, which are
 * the owner's: a client told "busy" would send the request again, and "cancelled" means that it was asked to be. */
static bool may_return(int code)
{
	switch (code) {
	case CODE_OK:
	case CODE_WAITING:
	case CODE_INVALID:
	case CODE_DENIED:
	case CODE_CONFLICT:
	case CODE_TOO_LARGE:
	case CODE_OVERFLOW:
	case CODE_WRONG_TYPE:
	case CODE_NO_MEMORY:
	case CODE_FULL:
		return true;
	default:
		return false;
	}
}

/* How far what a request causes has come. */
struct caused {
	size_t changes, events, answers;
	int64_t token;
};

static struct caused caused_so_far(const struct machine *machine)
{
	return (struct caused){ store_mark(machine->store), machine->effects.event_count, machine->effects.answers.size,
				machine->effects.token };
}

static bool caused_nothing(const struct machine *machine, const struct caused *before)
{
	const struct caused now = caused_so_far(machine);

	return now.changes == before->changes && now.events == before->events && now.answers == before->answers &&
	       now.token == before->token;
}

/* The behaviour broke its contract: told to the client, since it is its author who sees it first. */
__attribute__((format(printf, 2, 3))) static enum code fault(struct execution *x, const char *format, ...)
{
	char what[REFUSAL_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	x->machine->counters->behaviour_faults++;
	x->call.detail = value_none();
	return (enum code)sole_refuse(&x->call, CODE_INVALID, "a fault of %.40s: %.150s", x->machine->behaviour->name, what);
}

static enum code run_entry(struct execution *x, const struct sole_operation_entry *entry)
{
	struct machine *machine = x->machine;
	struct sole_call *call = &x->call;
	struct buffer *out = call->out;
	const struct caused before = caused_so_far(machine);
	size_t list = out->size;

	buffer_u8(out, 0);
	call->answered = 0;
	call->list_start = 0;
	call->may_wait = call->may_wait && x->payload.left == 0;
	uint64_t checkpoints = call->checkpoints_left;
	running_begin(machine, entry->name, call, x->request);
	int returned = entry->run(call);
	machine->running.what = NULL;
	machine->counters->checkpoints += checkpoints - call->checkpoints_left;
	machine->counters->limit_checkpoints += call->overran;
	if (!may_return(returned))
		return fault(x, "%s returned the code %d, which is none that an operation may return", entry->name, returned);
	enum code code = (enum code)returned;
	/* A change that the store refused was meant to be made: without it the others are not to be, either. Nor is
	 * what the operation answers to it another condition that `otherwise` could go by: limits are no part of the state. */
	if ((code == CODE_OK || code == CODE_WAITING || code == CODE_CONFLICT) && store_failure(machine->store) != CODE_OK)
		return store_failure(machine->store);
	if (code == CODE_CONFLICT && call->overran)
		return CODE_TOO_LARGE;
	if (code != CODE_OK && code != CODE_WAITING)
		return code;
	if (call->overran)
		return fault(x, "%s went on when sole_checkpoint had refused", entry->name);
	if (code == CODE_WAITING && !call->may_wait)
		return fault(x, "%s waits and sole_later had refused", entry->name);
	if (entry->kind == SOLE_IS_QUERY && (code == CODE_WAITING || !caused_nothing(machine, &before)))
		return fault(x, "%s is a query and changed something", entry->name);
	if (out->failed || machine->effects.failed)
		return CODE_NO_MEMORY;
	if (code == CODE_WAITING)
		return code;
	if (call->list_start != 0)
		return fault(x, "%s began a list and did not end it", entry->name);
	if (out->size > call->reply_end || call->answered > WIRE_LIST_MAX) {
		machine->counters->limit_reply++;
		return (enum code)sole_refuse(call, CODE_TOO_LARGE,
					      "the reply would not fit into a message: ask for less at a time");
	}
	if (machine->effects.too_large)
		return fault(x, "%s gave a late answer or an event that does not fit into a message", entry->name);
	out->data[list] = (uint8_t)call->answered;
	usage_note(&machine->usage, (size_t)(entry - machine->behaviour->operations));
	if (entry->kind == SOLE_IS_QUERY)
		x->reads++;
	else
		x->writes++;
	return CODE_OK;
}

static enum code run_operation(struct execution *x, uint16_t number)
{
	struct machine *machine = x->machine;
	struct value arguments[WIRE_LIST_MAX];
	size_t count;

	if (!wire_read_list(&x->payload, arguments, WIRE_LIST_MAX, &count))
		return refuse_malformed(x);
	if (x->position >= machine->limits->operations) {
		machine->counters->limit_operations++;
		return (enum code)sole_refuse(&x->call, CODE_TOO_LARGE,
					      "more than %lld operations in a request: the limit is max-operations",
					      (long long)machine->limits->operations);
	}
	const struct sole_operation_entry *entry = operation_find(machine->index, number);
	if (entry == NULL)
		return (enum code)sole_refuse(&x->call, CODE_NO_OPERATION, "%s has no operation number %u",
					      machine->behaviour->name, number);
	if (x->request->query_only && entry->kind != SOLE_IS_QUERY)
		return (enum code)sole_refuse(&x->call, CODE_INVALID,
					      "%s is a command: a request marked as query cannot run it", entry->name);
	enum code code = operation_check(entry, arguments, count, machine->limits, x->call.text, sizeof x->call.text);
	if (code == CODE_TOO_LARGE)
		count_too_large(machine->counters, arguments, count, entry, machine->limits);
	if (code != CODE_OK)
		return code;
	x->call.operation = number;
	x->call.arguments = arguments;
	x->call.argument_count = count;
	return run_entry(x, entry);
}

/* Finds the marker before anything runs. What stands behind it is read, too: a request is malformed
 * or not, whichever half holds. */
static enum code find_otherwise(struct execution *x)
{
	struct wire_reader reader = x->payload;
	struct value ignored;
	uint16_t number;
	size_t count;

	for (; reader.left > 0; x->position++) {
		if (!wire_read_u16(&reader, &number) || !wire_read_list(&reader, &ignored, 1, &count))
			return refuse_malformed(x);
		if (number == OPERATION_OTHERWISE && x->otherwise.at == NULL) {
			x->otherwise = reader;
			x->otherwise_position = x->position + 1;
		}
	}
	x->position = 0;
	if (x->otherwise.at != NULL)
		return CODE_OK;
	x->position = -1;
	return (enum code)sole_refuse(&x->call, CODE_INVALID, "the request is marked to have an 'otherwise' and has none");
}

/* Runs what is left of the half: to the end, or to `otherwise`. */
static enum code run_half(struct execution *x)
{
	for (; x->payload.left > 0; x->position++) {
		uint16_t number;
		if (!wire_read_u16(&x->payload, &number))
			return refuse_malformed(x);
		if (number == OPERATION_OTHERWISE && x->request->has_otherwise && !x->second_half)
			return CODE_OK;
		enum code code = run_operation(x, number);
		if (code != CODE_OK)
			return code;
	}
	return CODE_OK;
}

/* The list that tells which half the results are of. */
static void write_half(struct buffer *out, int half)
{
	const struct value value = value_integer(half);

	wire_write_list(out, &value, 1);
}

/* The first half did not hold: the second runs, as if nothing had been. */
static enum code run_otherwise(struct execution *x, size_t start, int64_t token)
{
	struct buffer *out = x->call.out;

	store_undo(x->machine->store, 0);
	effects_drop(&x->machine->effects, token);
	out->size = start;
	out->failed = false;
	x->reads = x->writes = 0;
	usage_begin(&x->machine->usage);
	x->call.text[0] = '\0';
	x->call.overran = false;
	x->call.detail = value_none();
	x->second_half = true;
	x->payload = x->otherwise;
	x->position = x->otherwise_position;
	write_half(out, 2);
	return run_half(x);
}

static enum code run_all(struct execution *x, size_t start, int64_t token)
{
	/* cppcheck-suppress ctuuninitvar ; execution_run fills it field by field */
	if (x->payload.left == 0)
		return (enum code)sole_refuse(&x->call, CODE_INVALID, "a request has at least one operation");
	if (!x->request->has_otherwise)
		return run_half(x);
	enum code code = find_otherwise(x);
	if (code != CODE_OK)
		return code;
	write_half(x->call.out, 1);
	code = run_half(x);
	return code == CODE_CONFLICT ? run_otherwise(x, start, token) : code;
}

/* A request is about to wait: CODE_WAITING, or CODE_BUSY when its session has no place for it. That
 * uses no sequence, so that it is sent again. */
static enum code find_place_to_wait(struct execution *x)
{
	enum code code = session_reserve_parking(x->request->session);

	if (code == CODE_OK)
		return CODE_WAITING;
	if (code == CODE_NO_MEMORY) {
		x->machine->counters->limit_memory++;
		return (enum code)sole_refuse(&x->call, CODE_BUSY, "no memory for a request that waits");
	}
	x->machine->counters->limit_window++;
	return (enum code)sole_refuse(&x->call, CODE_BUSY, "%d requests of the session wait already", SESSION_PARKED_MAX);
}

enum code execution_run(struct machine *machine, const struct execution_request *request, struct buffer *out)
{
	struct execution x;
	size_t start = out->size;
	int64_t token = machine->effects.token;

	x.machine = machine;
	x.request = request;
	x.payload = request->payload;
	x.position = 0;
	x.otherwise.at = NULL;
	x.second_half = false;
	x.reads = x.writes = 0;
	usage_begin(&machine->usage);
	call_init(&x.call, machine);
	x.call.caller = request->caller;
	x.call.session = request->session != NULL ? request->session->id : 0;
	x.call.sequence = request->session != NULL && !request->query_only ? request->sequence : 0;
	x.call.out = out;
	x.call.reply_end = request->reply_end;
	x.call.may_wait = request->session != NULL && !request->query_only && !request->has_otherwise;
	enum code code = run_all(&x, start, token);
	if (code == CODE_WAITING)
		code = find_place_to_wait(&x);
	if (code == CODE_OK || code == CODE_WAITING) {
		if (code == CODE_WAITING)
			out->size = start;
		commit(machine, token);
		machine->counters->reads += x.reads;
		machine->counters->writes += x.writes;
		usage_commit(&machine->usage);
		return code;
	}
	out->size = start;
	out->failed = false;
	const char *text = x.call.text[0] != '\0' ? x.call.text : code_text(code);
	write_refusal(x.position, text, &x.call.detail, out);
	if (out->failed || out->size > request->reply_end) {
		out->size = start;
		out->failed = false;
		write_refusal(x.position, text, NULL, out);
	}
	store_undo(machine->store, 0);
	effects_drop(&machine->effects, token);
	return code;
}

static void hook_init(struct sole_call *call, struct machine *machine, uint64_t session, uint64_t sequence)
{
	call_init(call, machine);
	call->session = session;
	call->sequence = sequence;
	/* Nobody decides how long it takes but the behaviour, and what ends must be let go. */
	call->checkpoints_left = UINT64_MAX;
}

/* What has become of a hook that returned `code`: committed, or undone. */
static enum code hook_done(struct machine *machine, int code, int64_t token)
{
	if (code == CODE_OK && machine->effects.failed)
		code = CODE_NO_MEMORY;
	if (code == CODE_OK)
		code = (int)store_failure(machine->store);
	if (code == CODE_OK && !machine->effects.too_large) {
		commit(machine, token);
		return CODE_OK;
	}
	if (code == CODE_OK || code == CODE_WAITING || !may_return(code)) {
		machine->counters->behaviour_faults++;
		code = CODE_INVALID;
	}
	machine->counters->hooks_failed++;
	store_undo(machine->store, 0);
	effects_drop(&machine->effects, token);
	return (enum code)code;
}

enum code execution_hook(struct machine *machine, int (*hook)(struct sole_call *), uint64_t session, uint64_t sequence)
{
	struct sole_call call;
	int64_t token = machine->effects.token;

	if (hook == NULL)
		return CODE_OK;
	hook_init(&call, machine, session, sequence);
	running_begin(machine, hook == machine->behaviour->tick          ? "tick"
			       : hook == machine->behaviour->withdrawn ? "withdrawn"
								       : "session_ended", &call, NULL);
	int code = hook(&call);
	machine->running.what = NULL;
	return hook_done(machine, code, token);
}

enum code execution_migrate(struct machine *machine, unsigned from_version, char *why, size_t why_size)
{
	struct sole_call call;
	int64_t token = machine->effects.token;

	hook_init(&call, machine, 0, 0);
	running_begin(machine, "migrate", &call, NULL);
	int returned = machine->behaviour->migrate(&call, from_version);
	machine->running.what = NULL;
	enum code code = hook_done(machine, returned, token);
	if (code != CODE_OK)
		snprintf(why, why_size, "%s", call.text[0] != '\0' ? call.text : code_text(code));
	return code;
}
