/* SPDX-License-Identifier: MIT
 *
 * items.c - what each item of a request does.
 *
 * Each function reads its payload, asks the core, and appends its reply items. What refuses here
 * (leaving, a round that is spent) uses no sequence; what the core refuses may.
 */
#include "owner/service/service_parts.h"

#include <stdlib.h>

enum {
	SILENCE_DEFAULT_MS = 30000,
	SILENCE_LEAST_MS = 1000,
	SILENCE_MOST_MS = 24 * 3600 * 1000,
};

void refuse(struct exchange *x, const struct request_header *header, enum code code, const char *text)
{
	core_refuse(x->service->core, header, code, -1, text, NULL, x->out);
	x->items++;
}

/* May the sender of `a` withdraw a request of the sender of `b`? Requests without a session bear
 * numbers that other connections use too. */
bool same_sender(const struct service_message *a, const struct service_message *b, uint64_t session)
{
	if (!caller_same(&a->caller, &b->caller))
		return false;
	return session != 0 || (a->caller.pid == b->caller.pid && a->peer == b->peer);
}

static bool cancel_noted(struct exchange *x, const struct request_header *header)
{
	bool query = (header->flags & REQUEST_FLAG_QUERY) != 0;

	for (size_t i = 0; i < x->service->cancel_count; i++) {
		struct noted_cancel *cancel = &x->service->cancels[i];
		if (cancel->session == header->session && cancel->sequence == header->sequence &&
		    cancel->query == query && same_sender(cancel->message, x->message, header->session)) {
			cancel->withdrew = true;
			return true;
		}
	}
	return false;
}

static bool deadline_passed(const struct service *service, const struct request_header *header)
{
	/* A relative deadline counts from here, so it can only have passed when it is none at all. */
	if (header->deadline == 0 || (header->flags & REQUEST_FLAG_RELATIVE) != 0)
		return false;
	return header->deadline <= (uint64_t)service->now_ns;
}

/* A small round can ask for a great deal; what clients may leave unread is the bound. */
bool round_is_spent(const struct service *service)
{
	return service->reply_bytes >= (uint64_t)service->settings.core.limits->outbox_total_bytes;
}

void refuse_spent(struct exchange *x, const struct request_header *header)
{
	counters_of(x->service)->limit_outboxes++;
	refuse(x, header, CODE_BUSY, "the replies of this round take as much as max-outboxes allows");
}

/* What the reply items being written may take. A peer that takes parts has a whole message for
 * each; any other must find room in the one message for a refusal of every later item. */
size_t room_left(const struct exchange *x)
{
	enum { MOST = PROTOCOL_MESSAGE_MAX_BYTES - CANCEL_REPLY_BYTES };

	if (round_is_spent(x->service))
		return REFUSAL_MAX_BYTES;
	if (x->message->notices)
		return MOST - PROTOCOL_MESSAGE_HEADER_BYTES;
	size_t used = x->out->size + (size_t)x->items_left * REFUSAL_MAX_BYTES;
	return used < MOST ? MOST - used : 0;
}

/* Until when the request may wait, if its client has set a limit. */
static void limit_wait(struct service *service, const struct request_header *header)
{
	struct session *session = sessions_find(core_sessions(service->core), header->session);
	bool relative = (header->flags & REQUEST_FLAG_RELATIVE) != 0;
	int64_t until_ns = header->deadline > INT64_MAX ? INT64_MAX : (int64_t)header->deadline;

	if (relative && __builtin_add_overflow(until_ns, service->now_ns, &until_ns))
		return;
	session_limit_wait(session, header->sequence, until_ns);
	if (until_ns < service->waits_ns)
		service->waits_ns = until_ns > service->waits_from_ns ? until_ns : service->waits_from_ns;
}

static void item_run(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct service *service = x->service;
	enum code verdict = CODE_OK;

	/* These two use no sequence, and so are no answer to what was admitted before, here or (a
	 * session that is not known) elsewhere. */
	if (service->leaving && !core_admitted(service->core, &x->message->caller, header)) {
		counters_of(service)->requests_refused++;
		refuse(x, header, CODE_LEAVING, NULL);
		return;
	}
	if (round_is_spent(service) && !core_admitted(service->core, &x->message->caller, header)) {
		counters_of(service)->requests_refused++;
		refuse_spent(x, header);
		return;
	}
	if (!run_is_free(x, header))
		verdict = run_verdict(x, header, payload);
	if (verdict != CODE_OK)
		;
	else if (service->cancel_count > 0 && cancel_noted(x, header))
		verdict = CODE_CANCELLED;
	else if (deadline_passed(service, header))
		verdict = CODE_EXPIRED;
	bool traced = numbers_begin(x, payload);
	uint64_t checkpoints = counters_of(service)->checkpoints;
	size_t bytes = x->out->size;
	enum code code =
		core_run(service->core, &x->message->caller, header, payload, verdict, room_left(x), x->out);
	x->items++;
	numbers_request(x, header, payload, code, counters_of(service)->checkpoints - checkpoints, x->out->size - bytes, traced);
	if (code == CODE_WAITING && header->deadline != 0)
		limit_wait(service, header);
}

static void item_cancel(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	(void)payload;
	if ((header->flags & REQUEST_FLAG_QUERY) == 0) {
		x->items += core_cancel(x->service->core, &x->message->caller, header,
					room_left(x) + CANCEL_REPLY_BYTES, x->out);
		return;
	}
	/* A query leaves no trace: it was withdrawn in this round, or it was answered already. */
	bool withdrew = false;
	for (size_t i = 0; i < x->service->cancel_count; i++) {
		const struct noted_cancel *cancel = &x->service->cancels[i];
		withdrew |= cancel->withdrew && cancel->query && cancel->session == header->session &&
			    cancel->sequence == header->sequence &&
			    same_sender(cancel->message, x->message, header->session);
	}
	const struct value fate = value_integer(withdrew ? CANCEL_WITHDRAWN : CANCEL_ANSWERED);
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);
	wire_write_list(x->out, &fate, 1);
	wire_finish_item(x->out, start);
	x->items++;
}

void answer_list(struct exchange *x, const struct request_header *header, const struct value *list, size_t count)
{
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);

	wire_write_list(x->out, list, count);
	wire_finish_item(x->out, start);
	x->items++;
}

static void item_hello(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	const struct service *service = x->service;
	const struct sole_behaviour *behaviour = core_behaviour(service->core);
	const struct limits *limits = service->settings.core.limits;
	struct value list[3];
	size_t count;

	if (!wire_read_list(&payload, list, 3, &count) || count < 2 || list[0].type != VALUE_INTEGER ||
	    list[1].type != VALUE_INTEGER || list[0].integer > list[1].integer) {
		refuse(x, header, CODE_INVALID, "hello takes the lowest and the highest version, and a name");
		return;
	}
	if (list[0].integer > PROTOCOL_VERSION || list[1].integer < PROTOCOL_VERSION_LEAST) {
		refuse(x, header, CODE_VERSION, NULL);
		return;
	}
	x->message->notices = (header->flags & REQUEST_FLAG_NOTICES) != 0;
	if (x->client != NULL && count > 2 && list[2].type == VALUE_BYTES)
		client_set_name(x->client, list[2].bytes, list[2].size);
	const struct value answer[] = {
		value_integer(PROTOCOL_VERSION),
		value_text(service->settings.identity.name),
		value_text(behaviour->name),
		value_integer(behaviour->version),
		value_integer(PROTOCOL_MESSAGE_MAX_BYTES),
		value_integer(limits->operations),
		value_integer(PROTOCOL_WINDOW),
		value_integer(service->settings.durability),
		value_integer(service->settings.identity.pid),
	};
	answer_list(x, header, answer, sizeof answer / sizeof *answer);
}

static void item_open(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct service *service = x->service;
	struct value list[2];
	struct session *session;
	size_t count;

	x->opened = 0;
	x->open_code = CODE_INVALID;
	if (!wire_read_list(&payload, list, 2, &count) || count != 2 || list[0].type != VALUE_BYTES ||
	    list[0].size != PROTOCOL_NONCE_BYTES || list[1].type != VALUE_INTEGER || list[1].integer < 0) {
		refuse(x, header, CODE_INVALID, "open takes a nonce of 16 bytes and the silence in milliseconds");
		return;
	}
	if (service->leaving) {
		x->open_code = CODE_LEAVING;
		refuse(x, header, CODE_LEAVING, NULL);
		return;
	}
	int64_t silence_ms = list[1].integer == 0 ? SILENCE_DEFAULT_MS : list[1].integer;
	silence_ms = silence_ms < SILENCE_LEAST_MS ? SILENCE_LEAST_MS : silence_ms;
	silence_ms = silence_ms > SILENCE_MOST_MS ? SILENCE_MOST_MS : silence_ms;
	struct caller caller = x->message->caller;
	if (caller.known && !caller_is_keyed(&caller) && service->settings.process_born != NULL)
		caller.born = service->settings.process_born(caller.pid);
	enum code code = x->open_code =
		core_open_session(service->core, &caller, list[0].bytes, (uint32_t)silence_ms, &session);
	if (code != CODE_OK) {
		refuse(x, header, code, code == CODE_BUSY ? "as many sessions are open as max-sessions allows" : NULL);
		return;
	}
	session->heard_ns = service->now_ns;
	session->connection = x->message->connection;
	note_process(service, &x->message->caller);
	x->opened = session->id;
	struct request_header named = *header;
	named.session = session->id;
	const struct value answer = value_integer(session->silence_ms);
	answer_list(x, &named, &answer, 1);
}

static void item_goodbye(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct session *session;
	enum code code = core_session(x->service->core, &x->message->caller, header->session, &session);

	(void)payload;
	if (code != CODE_OK) {
		refuse(x, header, code, NULL);
		return;
	}
	code = core_end_session(x->service->core, &session);
	if (code != CODE_OK) {
		refuse(x, header, code, "the session goes on: the owner has no memory to end it");
		return;
	}
	counters_of(x->service)->sessions_goodbye++;
	answer_list(x, header, NULL, 0);
}

/* With a session it is a sign of life, and tells its client when the session is gone. */
static void item_ping(struct exchange *x, const struct request_header *header)
{
	struct session *session;
	enum code code = header->session == 0 ? CODE_OK :
			 core_session(x->service->core, &x->message->caller, header->session, &session);

	if (code != CODE_OK)
		refuse(x, header, code, NULL);
	else
		answer_list(x, header, NULL, 0);
}

/* A kind of item that is not here is a request nobody answers: the switch has no default,
 * so that a new one fails to build. */
void item_answer(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	switch ((enum item_kind)header->kind) {
	case ITEM_HELLO:
		item_hello(x, header, payload);
		return;
	case ITEM_OPEN:
		item_open(x, header, payload);
		return;
	case ITEM_GOODBYE:
		item_goodbye(x, header, payload);
		return;
	case ITEM_RUN:
		item_run(x, header, payload);
		return;
	case ITEM_CANCEL:
		item_cancel(x, header, payload);
		return;
	case ITEM_PING:
		item_ping(x, header);
		return;
	case ITEM_STATUS:
		item_status(x, header);
		return;
	case ITEM_STATS:
		item_stats(x, header);
		return;
	case ITEM_DESCRIBE:
		item_describe(x, header);
		return;
	case ITEM_WATCH:
		item_watch(x, header, payload);
		return;
	case ITEM_UNWATCH:
		item_unwatch(x, header);
		return;
	case ITEM_RECEIVED:
		core_received(x->service->core, &x->message->caller, header, x->out);
		x->items++;
		return;
	case ITEM_OUTCOME:
		item_outcome(x, header, payload);
		return;
	case ITEM_BACKUP:
		item_backup(x, header, payload);
		return;
	case ITEM_SESSIONS:
		item_sessions(x, header, payload);
		return;
	case ITEM_END_SESSION:
		item_end_session(x, header, payload);
		return;
	case ITEM_READ_ONLY:
		item_read_only(x, header, payload);
		return;
	case ITEM_LATENCIES:
		item_latencies(x, header, payload);
		return;
	case ITEM_CLIENTS:
		item_clients(x, header, payload);
		return;
	case ITEM_HOT:
		item_hot(x, header);
		return;
	case ITEM_SLOW:
		item_slow(x, header, payload);
		return;
	case ITEM_TRACE:
		item_trace(x, header, payload);
		return;
	case ITEM_UNTRACE:
		item_untrace(x, header);
		return;
	case ITEM_LEAVING:
	case ITEM_EVENTS:
	case ITEM_TRACED:
		break;
	}
	refuse(x, header, CODE_MALFORMED, "there is no item of this kind in a request");
}

