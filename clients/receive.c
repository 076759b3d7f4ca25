/* SPDX-License-Identifier: MIT
 *
 * receive.c - reads what an owner answers.
 *
 * An answer finds its request by session and sequence (a command) or by the id it
 * was given (anything else), never by the message it came in: a late answer to an
 * earlier copy is as good. The message's tag tells which message need not be
 * waited for any more. Bytes that cannot be read cost the message that they are
 * in; what it should have answered is asked again, later.
 */
#include "clients/engine_parts.h"

#include <stdlib.h>
#include <string.h>

/* One item of a reply. */
struct item {
	struct reply_header header;
	bool durable; /* what it shows is on the owner's disk */
	struct wire_reader payload;
	int64_t now_ns;
};

/* Takes the next item out of `reader`. The flag, which only answers to RUN can have, is not part of the outcome. */
static bool read_item(struct wire_reader *reader, struct item *item)
{
	if (!wire_read_reply_header(reader, &item->header) ||
	    !wire_read_payload(reader, item->header.size, &item->payload))
		return false;
	item->durable = item->header.kind == ITEM_RUN && (item->header.outcome & REPLY_FLAG_DURABLE) != 0;
	if (item->durable)
		item->header.outcome &= (uint8_t)~REPLY_FLAG_DURABLE;
	return true;
}

static struct request *find(struct engine *engine, const struct item *item)
{
	const struct reply_header *header = &item->header;
	struct request *request;

	if (header->session != 0)
		request = header->session == engine->session ? engine_command(engine, header->sequence) :
							       NULL;
	else
		request = request_find(&engine->pool, header->sequence);
	/* Only commands have a session, and an id names no command to the owner. */
	if (request != NULL &&
	    ((request->state != REQUEST_UNDER_WAY && request->state != REQUEST_PARKED) ||
	     request->kind != ITEM_RUN || request_is_command(request) != (header->session != 0)))
		request = NULL;
	if (request == NULL)
		engine->counters.strays++;
	return request;
}

/* ---- results ---- */

static bool list_room(struct engine *engine, size_t count)
{
	if (count < engine->list_room)
		return true;
	size_t room = engine->list_room > 0 ? engine->list_room * 2 : 16;
	struct sole_list *grown = realloc(engine->lists, room * sizeof *grown);
	if (grown == NULL)
		return false;
	engine->lists = grown;
	engine->list_room = room;
	return true;
}

static bool value_room(struct engine *engine, size_t count)
{
	if (count < engine->value_room)
		return true;
	size_t room = engine->value_room > 0 ? engine->value_room * 2 : 16;
	struct sole_value *grown = realloc(engine->values, room * sizeof *grown);
	if (grown == NULL)
		return false;
	engine->values = grown;
	engine->value_room = room;
	return true;
}

/* Reads lists up to the end of the payload into engine->lists. The values move while they
 * grow, so the lists are pointed at them in the end. False: not lists, or no memory for them. */
static bool read_lists(struct engine *engine, const struct wire_reader *item_payload, size_t *list_count)
{
	struct wire_reader payload = wire_reader(item_payload->at, item_payload->left);
	size_t lists = 0, values = 0;
	uint8_t length;

	while (payload.left > 0) {
		if (!wire_read_u8(&payload, &length))
			return false;
		if (!list_room(engine, lists))
			return false;
		engine->lists[lists++].count = length;
		for (size_t i = 0; i < length; i++) {
			struct value value;
			if (!wire_read_value(&payload, &value) || !value_room(engine, values))
				return false;
			engine->values[values++] = value_to_sole(&value);
		}
	}
	values = 0;
	for (size_t i = 0; i < lists; i++) {
		/* There may be no room for values yet, when all lists are empty. */
		engine->lists[i].values = engine->values != NULL ? engine->values + values : NULL;
		values += engine->lists[i].count;
	}
	*list_count = lists;
	return true;
}

/* A refusal's payload: [failed operation or -1, text, details ...]. Leaves the reply's own
 * words where it cannot be read: that it was refused is certain all the same. */
static void read_refusal(struct engine *engine, struct item *item, struct sole_reply *reply)
{
	size_t count = 0;

	if (!read_lists(engine, &item->payload, &count) || count != 1 || engine->lists[0].count < 2) {
		engine->counters.malformed += item->header.size > PROTOCOL_ITEM_HEADER_BYTES;
		return;
	}
	struct sole_list *list = &engine->lists[0];
	const struct sole_value *failed = &list->values[0], *text = &list->values[1];
	if (failed->type == SOLE_INTEGER && failed->integer >= 0 && failed->integer <= UINT16_MAX)
		reply->failed_operation = (int)failed->integer;
	if (text->type == SOLE_BYTES && text->size > 0) {
		buffer_reset(&engine->scratch);
		buffer_append(&engine->scratch, text->bytes, text->size);
		buffer_u8(&engine->scratch, 0);
		if (!engine->scratch.failed)
			reply->text = (const char *)engine->scratch.data;
	}
	list->values += 2;
	list->count -= 2;
	if (list->count > 0) {
		reply->result_count = 1;
		reply->results = list;
	}
}

/* Are these the results of that request? One list for each operation that ran. */
static bool results_fit(const struct engine *engine, const struct request *request, size_t count)
{
	if (request->kind != ITEM_RUN)
		return true;
	if (!request->otherwise)
		return count == request->operation_count;
	const struct sole_list *half = engine->lists;
	if (count == 0 || half->count != 1 || half->values[0].type != SOLE_INTEGER)
		return false;
	return (half->values[0].integer == 1 && count - 1 == request->operation_count) ||
	       (half->values[0].integer == 2 && count - 1 == request->otherwise_count);
}

/* Tells the request's answer as the item has it. */
static void answer(struct engine *engine, struct request *request, struct item *item)
{
	const struct reply_header *header = &item->header;
	struct sole_reply reply = engine_reply(engine, header->code);

	reply.outcome = (enum sole_outcome)header->outcome; /* also of codes that came later */
	reply.session = header->session;
	reply.sequence = header->session != 0 ? header->sequence : 0;
	reply.revision = header->revision;
	reply.durable = item->durable;
	if (header->outcome != OUTCOME_DONE) {
		read_refusal(engine, item, &reply);
	} else if (read_lists(engine, &item->payload, &reply.result_count) &&
		   results_fit(engine, request, reply.result_count)) {
		reply.results = engine->lists;
	} else {
		/* It ran; what came of it is lost on the last inch. */
		engine->counters.malformed++;
		reply.outcome = SOLE_UNKNOWN;
		reply.code = SOLE_PROTOCOL;
		reply.text = code_text(CODE_PROTOCOL);
		reply.result_count = 0;
	}
	engine_answer(engine, request, &reply);
}

/* Answers with a code of this side about a request that the owner has resolved. */
static void answer_with(struct engine *engine, struct request *request, const struct item *item,
			enum sole_code code)
{
	struct sole_reply reply = engine_reply(engine, (int)code);

	reply.session = item->header.session;
	reply.sequence = request->sequence;
	reply.revision = item->header.revision;
	engine_answer(engine, request, &reply);
}

/* ---- requests ---- */

static void session_lost(struct engine *engine)
{
	if (engine->session_state == SESSION_OPEN)
		engine->session_state = SESSION_LOST;
}

/* "Unknown: session forgotten" means that this copy did not run. Was it the only one, nothing ran. */
static void forgotten(struct engine *engine, struct request *request, struct item *item)
{
	session_lost(engine);
	if (request->ghost)
		engine_release(engine, request);
	else if (request->copies > 0 && item->header.outcome == OUTCOME_UNKNOWN)
		answer(engine, request, item);
	else if (request->copies > 0)
		answer_with(engine, request, item, SOLE_SESSION_FORGOTTEN);
}

static bool wants_earlier(struct engine *engine, struct item *item, uint64_t *next)
{
	size_t count;

	if (!read_lists(engine, &item->payload, &count) || count != 1)
		return false;
	const struct sole_list *list = &engine->lists[0];
	if (list->count < 3 || list->values[2].type != SOLE_INTEGER)
		return false;
	*next = (uint64_t)list->values[2].integer;
	return true;
}

/* The owner lacks commands before this one. Those that this side still has go out again; if it
 * asks for one that was answered, it has lost the session's past, and with it the session. */
static void out_of_order(struct engine *engine, struct request *request, struct item *item)
{
	uint64_t next;

	if (!wants_earlier(engine, item, &next))
		next = engine->oldest_sequence;
	if (next < engine->oldest_sequence || next > request->sequence) {
		forgotten(engine, request, item);
		return;
	}
	for (; next <= request->sequence; next++) {
		struct request *missing = engine_command(engine, next);
		if (missing != NULL)
			engine_again(engine, missing);
	}
	engine_hold(engine, item->now_ns);
}

/* The owner keeps the answer of what was parked until it hears that it has arrived. */
static void acknowledge(struct engine *engine, const struct request *request, const struct item *item)
{
	if (request->state == REQUEST_PARKED)
		engine_received(engine, request->sequence, item->now_ns);
}

/* Did not run and takes no sequence: to be sent again when the cause is gone. */
static bool refused_for_now(struct engine *engine, struct request *request, struct item *item)
{
	switch (item->header.code) {
	case CODE_BUSY:
		engine_hold(engine, item->now_ns);
		break;
	case CODE_LEAVING:
		engine->leaving = true;
		break;
	case CODE_OUT_OF_ORDER:
		if (!request_is_command(request))
			return false;
		break;
	default:
		return false;
	}
	if (request->kind != ITEM_RUN)
		return false;
	request->refusal = item->header.code;
	engine_again(engine, request);
	if (item->header.code == CODE_OUT_OF_ORDER)
		out_of_order(engine, request, item);
	return true;
}

static void take_run(struct engine *engine, struct item *item)
{
	struct request *request = find(engine, item);

	if (request == NULL)
		return;
	if (item->header.outcome == OUTCOME_WAITING) {
		engine->busy_ns = ENGINE_BUSY_NS;
		engine_park(engine, request, item->now_ns);
		return;
	}
	/* The first query travels beside HELLO: what it asked was another behaviour's. */
	if (request->table && request->query && engine->other_behaviour) {
		engine_decide(engine, request, SOLE_NO_OPERATION);
		return;
	}
	if (item->header.outcome == OUTCOME_DONE) {
		engine->busy_ns = ENGINE_BUSY_NS;
		acknowledge(engine, request, item);
		answer(engine, request, item);
		return;
	}
	/* Of one that is parked a copy has been admitted, whatever becomes of the others. */
	bool not_run = item->header.outcome == OUTCOME_REFUSED || item->header.code == CODE_SESSION_FORGOTTEN;
	if (not_run && request->copies > 0 && request->state != REQUEST_PARKED)
		request->copies--;
	if (item->header.outcome == OUTCOME_REFUSED && refused_for_now(engine, request, item)) {
		/* Nobody wants it any more, and now it is certain that it did not run. */
		if (request->state == REQUEST_UNDER_WAY && request->cancelling && !request->ghost &&
		    request->copies == 0 && request->decided == 0)
			engine_decide(engine, request, request->expired ? SOLE_EXPIRED : SOLE_CANCELLED);
		return;
	}
	if (item->header.outcome == OUTCOME_UNKNOWN && item->header.code == CODE_SESSION_FORGOTTEN &&
	    request_is_command(request)) {
		forgotten(engine, request, item);
		return;
	}
	acknowledge(engine, request, item);
	/* Withdrawn because its time was up, in the same breath as it arrived. */
	if (item->header.outcome == OUTCOME_REFUSED && item->header.code == CODE_CANCELLED && request->expired)
		answer_with(engine, request, item, SOLE_EXPIRED);
	else
		answer(engine, request, item);
}

/* Returns whether the answer to the request itself must follow. */
static bool take_cancel(struct engine *engine, struct item *item)
{
	const struct reply_header *header = &item->header;
	struct request *request;
	size_t count;

	bool answered = header->outcome == OUTCOME_DONE && read_lists(engine, &item->payload, &count) &&
			count == 1 && engine->lists[0].count >= 1 &&
			engine->lists[0].values[0].type == SOLE_INTEGER &&
			engine->lists[0].values[0].integer == CANCEL_ANSWERED;
	request = find(engine, item);
	if (request == NULL)
		return false;
	if (header->outcome == OUTCOME_DONE) {
		if (answered && request_is_command(request))
			return true;
		if (answered) { /* a query that ran, its result lost: ask for it again */
			request->cancelling = false;
			engine_again(engine, request);
		} else {
			acknowledge(engine, request, item);
			answer_with(engine, request, item, request->expired ? SOLE_EXPIRED : SOLE_CANCELLED);
		}
		return false;
	}
	if (header->outcome == OUTCOME_UNKNOWN && header->code == CODE_SESSION_FORGOTTEN) {
		forgotten(engine, request, item);
	} else if (header->outcome == OUTCOME_REFUSED && refused_for_now(engine, request, item)) {
		/* asked again, as it stands */
	} else if (request->ghost) {
		engine_release(engine, request);
	} else {
		request->cancelling = false; /* may not be withdrawn: it takes its course */
		request->tag = 0; /* no message carries it any more */
	}
	return false;
}

static void take_control(struct engine *engine, struct item *item)
{
	/* Our own: no request is behind it. */
	if (item->header.kind == ITEM_PING && item->header.sequence == 0) {
		if (item->header.code == CODE_SESSION_FORGOTTEN && item->header.session == engine->session)
			session_lost(engine);
		return;
	}
	struct request *request = request_find(&engine->pool, item->header.sequence);
	if (request == NULL || request->state != REQUEST_UNDER_WAY || request->kind != item->header.kind) {
		engine->counters.strays++;
		return;
	}
	if (request_is_search(request) && item->header.code == CODE_BUSY) {
		request->refusal = CODE_BUSY;
		engine_again(engine, request);
		engine_hold_search(engine, item->now_ns);
		return;
	}
	if (request_is_search(request))
		engine->search_ns = ENGINE_SEARCH_NS;
	answer(engine, request, item);
}

/* ---- the session ---- */

static void hello_refused(struct engine *engine, uint16_t code)
{
	engine->hello = HELLO_REFUSED;
	engine->hello_code = code;
	/* What the session held is lost with the right to it. */
	if (code == CODE_DENIED && engine->session_state == SESSION_OPEN)
		engine_end_session(engine, SOLE_SESSION_FORGOTTEN);
	watches_refuse(engine, (enum sole_code)code);
}

static bool take_hello(struct engine *engine, const struct message_header *message, struct item *item)
{
	size_t count;

	if (engine->hello != HELLO_SENT)
		return true;
	if (item->header.code == CODE_BUSY || item->header.code == CODE_LEAVING) {
		engine->hello = HELLO_NEEDED;
		engine_hold(engine, item->now_ns);
		return true;
	}
	if (item->header.outcome != OUTCOME_DONE) {
		hello_refused(engine, item->header.code);
		return true;
	}
	if (!read_lists(engine, &item->payload, &count) || count != 1 || engine->lists[0].count < 7)
		return false;
	const struct sole_value *v = engine->lists[0].values;
	if (v[0].type != SOLE_INTEGER || v[4].type != SOLE_INTEGER || v[6].type != SOLE_INTEGER ||
	    v[0].integer < PROTOCOL_VERSION_LEAST || v[0].integer > PROTOCOL_VERSION ||
	    v[4].integer < ENGINE_SMALLEST_MAXIMUM || v[6].integer < 1)
		return false;
	engine->message_max = v[4].integer < PROTOCOL_MESSAGE_MAX_BYTES ? (size_t)v[4].integer
									: PROTOCOL_MESSAGE_MAX_BYTES;
	engine->window = v[6].integer < engine->options.window ? (uint32_t)v[6].integer
								 : engine->options.window;
	engine->other_behaviour = v[2].type != SOLE_BYTES || v[2].size != 5 ||
				  memcmp(v[2].bytes, "table", 5) != 0;
	engine->incarnation = message->incarnation;
	if (engine->history != message->history && engine->session != 0)
		engine_end_session(engine, SOLE_OWNER_DIED);
	engine->history = message->history;
	engine->hello = HELLO_ANSWERED;
	watches_history(engine, message->history);
	return true;
}

static bool take_open(struct engine *engine, struct item *item)
{
	size_t count;

	if (engine->session_state != SESSION_OPENING)
		return true;
	if (item->header.outcome == OUTCOME_DONE) {
		if (!read_lists(engine, &item->payload, &count) || count != 1 ||
		    engine->lists[0].count < 1 || engine->lists[0].values[0].type != SOLE_INTEGER ||
		    engine->lists[0].values[0].integer < 1 || item->header.session == 0 ||
		    item->header.session == SESSION_OPENED)
			return false;
		int64_t silence_ms = engine->lists[0].values[0].integer;
		engine->silence_ns = (silence_ms < 86400000 ? silence_ms : 86400000) * NS_PER_MS;
		engine->session = item->header.session;
		engine->session_state = SESSION_OPEN;
		engine->nonce_used = false;
		engine->named_ns = item->now_ns;
		engine->next_sequence = engine->oldest_sequence = 1;
		engine->counters.sessions++;
		return true;
	}
	engine->session_state = SESSION_NONE;
	if (item->header.code == CODE_BUSY) {
		engine_hold(engine, item->now_ns);
	} else if (item->header.code == CODE_LEAVING) {
		engine->leaving = true;
	} else {
		/* The command that the session was for. The next one asks anew. */
		struct request *request = engine->waiting.head;
		while (request != NULL && !request_is_command(request))
			request = request->next;
		if (request != NULL)
			answer(engine, request, item);
	}
	return true;
}

/* ---- messages ---- */

/* Only a command can wait, and "waiting" is never the last word. */
static bool outcome_is_sound(const struct reply_header *header)
{
	bool waits = header->outcome == OUTCOME_WAITING;

	if (header->outcome == OUTCOME_DONE)
		return header->code == CODE_OK;
	if (header->outcome > OUTCOME_WAITING || header->code == CODE_OK ||
	    waits != (header->code == CODE_WAITING))
		return false;
	return !waits || (header->kind == ITEM_RUN && header->session != 0);
}

/* False when the item cannot be read. `more` counts items that must follow beside those asked for. */
static bool take_item(struct engine *engine, const struct message_header *message, struct item *item,
		      uint32_t *more)
{
	if (!outcome_is_sound(&item->header))
		return false;
	switch (item->header.kind) {
	case ITEM_HELLO:
		return take_hello(engine, message, item);
	case ITEM_OPEN:
		return take_open(engine, item);
	case ITEM_RUN:
		take_run(engine, item);
		return true;
	case ITEM_CANCEL:
		*more += take_cancel(engine, item);
		return true;
	case ITEM_PING:
	case ITEM_STATUS:
	case ITEM_STATS:
	case ITEM_DESCRIBE:
	case ITEM_OUTCOME:
	case ITEM_BACKUP:
	case ITEM_SESSIONS:
	case ITEM_END_SESSION:
	case ITEM_READ_ONLY:
	case ITEM_LATENCIES:
	case ITEM_CLIENTS:
	case ITEM_HOT:
	case ITEM_SLOW:
	case ITEM_TRACE:
	case ITEM_UNTRACE:
		take_control(engine, item);
		return true;
	case ITEM_WATCH:
		return watches_answered(engine, message, &item->header, item->payload, item->now_ns);
	case ITEM_GOODBYE:
		engine->goodbye_answered = true;
		return true;
	case 0: /* about the message as a whole */
		if (item->header.code == CODE_VERSION && engine->hello == HELLO_SENT)
			hello_refused(engine, CODE_VERSION);
		return item->header.code == CODE_VERSION;
	default:
		return true; /* of a later version: skipped */
	}
}

/* The answer of a request that was parked. It may be here before the word that it was, and after
 * the request has been answered otherwise. */
static void take_late(struct engine *engine, struct item *item)
{
	const struct reply_header *header = &item->header;

	if (header->session == 0 || header->session != engine->session ||
	    header->outcome == OUTCOME_WAITING) {
		engine->counters.strays++;
		return;
	}
	engine_received(engine, header->sequence, item->now_ns);
	take_run(engine, item);
}

static bool take_notice(struct engine *engine, const struct message_header *message, struct item *item)
{
	switch (item->header.kind) {
	case ITEM_LEAVING:
		engine->leaving = true;
		return true;
	case ITEM_RUN:
		if (!outcome_is_sound(&item->header))
			return false;
		take_late(engine, item);
		return true;
	case ITEM_EVENTS:
		return outcome_is_sound(&item->header) &&
		       watches_events(engine, message, &item->header, item->payload);
	case ITEM_TRACED:
		return outcome_is_sound(&item->header) && traces_told(engine, &item->header, item->payload);
	default:
		return true; /* of a later version: skipped */
	}
}

static void receive_notice(struct engine *engine, const struct message_header *header,
			   struct wire_reader *reader, int64_t now_ns)
{
	struct item item = { .now_ns = now_ns };

	if (header->incarnation != engine->incarnation || header->history != engine->history ||
	    !engine->connected)
		return;
	engine->heard_ns = now_ns;
	for (size_t i = 0; i < header->count; i++) {
		if (!read_item(reader, &item) || !take_notice(engine, header, &item)) {
			engine->counters.malformed++;
			break;
		}
	}
	engine_bury_session(engine);
}

static void receive_reply(struct engine *engine, const struct message_header *header,
			  struct wire_reader *reader, int64_t now_ns)
{
	struct engine_message *message = header->tag != 0 ? engine_message(engine, header->tag) : NULL;
	struct item item = { .now_ns = now_ns };
	uint32_t items = 0, more = 0;
	bool whole = true;

	if (header->incarnation != engine->incarnation && (message == NULL || !message->hello)) {
		/* Late from an owner that is gone: nothing. But if it answers what was sent on this
		 * connection, the connection was replaced and we were not told yet. */
		engine->counters.strays++;
		if (message != NULL)
			engine_connected(engine, now_ns);
		return;
	}
	if (message != NULL)
		engine->resend_ns = ENGINE_RESEND_NS;
	engine->heard_ns = now_ns;
	for (; items < header->count && whole; items++) {
		whole = read_item(reader, &item) && take_item(engine, header, &item, &more);
		engine->counters.malformed += !whole;
	}
	/* An incomplete answer leaves the message under way: what is missing is asked for again. */
	message = header->tag != 0 ? engine_message(engine, header->tag) : NULL;
	if (message != NULL) {
		message->items += more;
		message->items -= items < message->items ? items : message->items;
		if (message->items == 0 && whole && header->kind == MESSAGE_REPLY)
			engine_message_done(engine, message);
	}
	engine_prove(engine, header->tag);
	engine_bury_session(engine);
}

void engine_receive(struct engine *engine, const void *body, size_t size, int64_t now_ns)
{
	struct wire_reader reader = wire_reader(body, size);
	struct message_header header;

	engine->counters.messages_received++;
	if (!wire_read_message_header(&reader, &header) || header.magic != PROTOCOL_MAGIC ||
	    header.version < PROTOCOL_VERSION_LEAST || header.version > PROTOCOL_VERSION) {
		engine->counters.malformed++;
		return;
	}
	if (header.kind == MESSAGE_NOTICE)
		receive_notice(engine, &header, &reader, now_ns);
	else if (header.kind == MESSAGE_REPLY || header.kind == MESSAGE_REPLY_PART)
		receive_reply(engine, &header, &reader, now_ns);
	else
		engine->counters.malformed++;
	engine_tell_session(engine);
}
