/* SPDX-License-Identifier: MIT
 *
 * engine.c - the life of a request and of a connection, and time.
 *
 *	           sent                answered
 *	WAITING ---------> UNDER_WAY ------------> told
 *	   |   <---------      |  \
 *	   |     session       |   `-- time is up, cancelled: a ghost may stay
 *	   |     ended         v       behind until the owner has resolved
 *	   `-------------> DECIDED     its sequence
 *
 * A request under way that the owner has admitted and cannot answer yet is PARKED:
 * its place in the window is free again, its time limit, its withdrawal and its
 * ghost are as before.
 *
 * The owner runs a session's commands in sequence without gaps. So a command
 * whose caller has been answered without the owner's word (TIMED_OUT) cannot
 * just be forgotten: its ghost keeps the place in the window and is resolved by a
 * CANCEL in place of the command, wherever the command would have been sent again.
 *
 * Walks over what is under way happen when something went wrong and are
 * bounded by the window; everything else here is independent of their number,
 * the heap of time limits apart, in which those stand that are due before earlier ones.
 */
#include "clients/engine_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- small parts ---- */

struct request *engine_command(const struct engine *engine, uint64_t sequence)
{
	struct request *request = engine->commands[sequence % PROTOCOL_WINDOW];

	if (request != NULL && request->sequence == sequence)
		return request;
	for (request = engine->parked.head; request != NULL; request = request->next)
		if (request->sequence == sequence)
			return request;
	return NULL;
}

/* Does the owner have its sequence, or must it still get it? */
static bool holds_sequence(const struct request *request)
{
	return (request->state == REQUEST_UNDER_WAY || request->state == REQUEST_PARKED) &&
	       request->sequence != 0;
}

static void not_again(struct engine *engine, struct request *request)
{
	if (request->again)
		engine->again_count--;
	request->again = false;
}

static void leave_window(struct engine *engine, struct request *request)
{
	if (request->sequence == 0)
		return;
	engine->commands[request->sequence % PROTOCOL_WINDOW] = NULL;
	while (engine->oldest_sequence < engine->next_sequence &&
	       engine->commands[engine->oldest_sequence % PROTOCOL_WINDOW] == NULL)
		engine->oldest_sequence++;
}

void engine_again(struct engine *engine, struct request *request)
{
	if (!request->again) {
		request->again = true;
		engine->again_count++;
	}
	request->tag = 0;
}

static bool told_hindrance(const struct engine *engine, int code)
{
	return code == SOLE_UNREACHABLE && engine->options.hindrance != NULL && *engine->options.hindrance != '\0';
}

struct sole_reply engine_reply(const struct engine *engine, int code)
{
	return (struct sole_reply){
		.outcome = (enum sole_outcome)code_outcome((unsigned)code),
		.code = code,
		.text = told_hindrance(engine, code) ? engine->options.hindrance : code_text((unsigned)code),
		.incarnation = engine->incarnation,
		.history = engine->history,
		.failed_operation = -1,
	};
}

/* Takes the request out of its queue, and out of the sequence of the session. */
static void unlink_request(struct engine *engine, struct request *request)
{
	switch ((enum request_state)request->state) {
	case REQUEST_WAITING:
		request_remove(request->kind == ITEM_RUN ? &engine->waiting : &engine->urgent, request);
		break;
	case REQUEST_UNDER_WAY:
		request_remove(&engine->under_way, request);
		not_again(engine, request);
		leave_window(engine, request);
		break;
	case REQUEST_PARKED:
		request_remove(&engine->parked, request);
		not_again(engine, request);
		break;
	case REQUEST_DECIDED:
	case REQUEST_FREE:
		break;
	}
	request->state = REQUEST_DECIDED;
	request->sequence = 0;
}

void engine_park(struct engine *engine, struct request *request, int64_t now_ns)
{
	if (request->state != REQUEST_UNDER_WAY)
		return;
	request_remove(&engine->under_way, request);
	leave_window(engine, request);
	if (!request->cancelling)
		not_again(engine, request);
	if (engine->parked.count == 0)
		engine->parked_ns = now_ns + ENGINE_PARKED_NS;
	request->state = REQUEST_PARKED;
	request->refusal = 0;
	request_push(&engine->parked, request);
}

/* One that finds no place is not said: the owner makes room by itself when it must. */
void engine_received(struct engine *engine, uint64_t sequence, int64_t now_ns)
{
	for (size_t i = 0; i < engine->received_count; i++)
		if (engine->received[i] == sequence)
			return;
	if (engine->received_count == ENGINE_RECEIVED_MAX)
		return;
	if (engine->received_count == 0)
		engine->received_ns = now_ns + ENGINE_RECEIVED_NS;
	engine->received[engine->received_count++] = sequence;
}

void engine_release(struct engine *engine, struct request *request)
{
	unlink_request(engine, request);
	request_give_back(&engine->pool, request);
}

/* The request is gone before the callback runs, which may do what it likes. */
static void tell(struct engine *engine, struct request *request, struct sole_reply *reply)
{
	sole_callback *callback = request->callback;
	void *context = request->context;
	bool ghost = request->ghost;

	engine_release(engine, request);
	if (ghost)
		return;
	engine->pending--;
	callback(engine->options.handle, reply, context);
}

void engine_answer(struct engine *engine, struct request *request, struct sole_reply *reply)
{
	tell(engine, request, reply);
}

void engine_decide(struct engine *engine, struct request *request, enum sole_code code)
{
	request->decided = (uint16_t)code;
	request_set_timer(&engine->pool, request, engine->decided_timer++);
	if (holds_sequence(request)) {
		if (!request->cancelling)
			engine_again(engine, request);
		request->cancelling = true;
		return;
	}
	unlink_request(engine, request);
}

/* Answers a decided request. If it still holds a sequence, its ghost stays. */
static void tell_decided(struct engine *engine, struct request *request)
{
	struct sole_reply reply = engine_reply(engine, request->decided);
	sole_callback *callback = request->callback;
	void *context = request->context;

	if (!holds_sequence(request)) {
		tell(engine, request, &reply);
		return;
	}
	reply.session = engine->session;
	reply.sequence = request->sequence;
	request->ghost = true;
	request->decided = 0;
	request_set_timer(&engine->pool, request, INT64_MAX);
	request_drop_payload(&engine->pool, request);
	engine->pending--;
	callback(engine->options.handle, &reply, context);
}

/* ---- submitting and cancelling ---- */

bool engine_init(struct engine *engine, const struct engine_options *options)
{
	*engine = (struct engine){
		.options = *options,
		.decided_timer = INT64_MIN,
		.heard_ns = INT64_MIN,
		.message_max = PROTOCOL_MESSAGE_MAX_BYTES,
		.window = options->window,
		.next_sequence = 1,
		.oldest_sequence = 1,
		.resend_ns = ENGINE_RESEND_NS,
		.busy_ns = ENGINE_BUSY_NS,
		.search_ns = ENGINE_SEARCH_NS,
		.received_ns = INT64_MAX,
	};
	return buffer_reserve(&engine->scratch, 1);
}

static bool value_convert(const struct sole_value *from, struct value *to)
{
	switch (from->type) {
	case SOLE_NONE:
		*to = value_none();
		return true;
	case SOLE_INTEGER:
		*to = value_integer(from->integer);
		return true;
	case SOLE_BYTES:
		*to = value_bytes(from->bytes, from->size);
		return from->bytes != NULL || from->size == 0;
	case SOLE_LIST: /* only owners make them */
		break;
	}
	*to = value_none();
	return false;
}

/* How many bytes the operations take as the payload of a RUN. *first_half: where they divide; `count` when they
 * do not. */
static int measure(const struct sole_operation *operations, size_t count, size_t *bytes, size_t *first_half)
{
	*bytes = 0;
	*first_half = count;
	if (count == 0 || operations == NULL)
		return SOLE_USAGE;
	for (size_t i = 0; i < count; i++) {
		const struct sole_operation *operation = &operations[i];
		if (operation->number == SOLE_OPERATION_OTHERWISE) {
			if (*first_half < count || operation->argument_count > 0)
				return SOLE_USAGE;
			*first_half = i;
		}
		if (operation->argument_count > WIRE_LIST_MAX ||
		    (operation->arguments == NULL && operation->argument_count > 0))
			return SOLE_USAGE;
		*bytes += sizeof(wire_u16) + sizeof(wire_u8);
		for (size_t k = 0; k < operation->argument_count; k++) {
			struct value value;
			if (!value_convert(&operation->arguments[k], &value))
				return SOLE_USAGE;
			if (value.type == VALUE_BYTES && value.size > PROTOCOL_MESSAGE_MAX_BYTES)
				return SOLE_TOO_LARGE;
			*bytes += wire_value_bytes(&value);
		}
		if (*bytes > PROTOCOL_MESSAGE_MAX_BYTES)
			return SOLE_TOO_LARGE;
	}
	return SOLE_OK;
}

static void encode(struct request *request, const struct sole_operation *operations, size_t count)
{
	struct buffer out = request_room(request);
	struct value value;

	for (size_t i = 0; i < count; i++) {
		buffer_u16(&out, operations[i].number);
		buffer_u8(&out, (uint8_t)operations[i].argument_count);
		for (size_t k = 0; k < operations[i].argument_count; k++) {
			value_convert(&operations[i].arguments[k], &value);
			wire_write_value(&out, &value);
		}
	}
}

/* The payload is to be written then. */
static int add(struct engine *engine, enum item_kind kind, size_t payload_bytes, int64_t now_ns,
	       int64_t deadline_ns, sole_callback *callback, void *context, struct request **request)
{
	if (engine->closing)
		return SOLE_CLOSED;
	if (callback == NULL)
		return SOLE_USAGE;
	if (PROTOCOL_MESSAGE_HEADER_BYTES + PROTOCOL_ITEM_HEADER_BYTES + payload_bytes > engine->message_max)
		return SOLE_TOO_LARGE;
	if (engine->pending >= ENGINE_PENDING_MAX ||
	    payload_bytes > ENGINE_PENDING_BYTES_MAX - engine->pool.bytes)
		return SOLE_BUSY;
	struct request *new = request_take(&engine->pool, payload_bytes);
	if (new == NULL)
		return SOLE_LOCAL_MEMORY;
	new->kind = (uint8_t)kind;
	new->callback = callback;
	new->context = context;
	new->submitted_ns = now_ns;
	new->deadline_ns = deadline_ns;
	new->state = REQUEST_WAITING;
	request_set_timer(&engine->pool, new, deadline_ns);
	request_push(kind == ITEM_RUN ? &engine->waiting : &engine->urgent, new);
	engine->pending++;
	*request = new;
	return SOLE_OK;
}

int engine_submit(struct engine *engine, const struct sole_operation *operations, size_t count, int flags,
		  int64_t now_ns, int64_t deadline_ns, sole_callback *callback, void *context, uint64_t *id)
{
	struct request *request;
	bool otherwise = (flags & SOLE_OTHERWISE) != 0;
	size_t bytes, first_half;

	if ((flags & ~(SOLE_QUERY | SOLE_OTHERWISE | SOLE_TABLE)) != 0 || count > UINT16_MAX)
		return SOLE_USAGE;
	int code = measure(operations, count, &bytes, &first_half);
	if (code != SOLE_OK)
		return code;
	if (otherwise != (first_half < count))
		return SOLE_USAGE;
	code = add(engine, ITEM_RUN, bytes, now_ns, deadline_ns, callback, context, &request);
	if (code != SOLE_OK)
		return code;
	encode(request, operations, count);
	request->query = (flags & SOLE_QUERY) != 0;
	request->table = (flags & SOLE_TABLE) != 0;
	request->otherwise = otherwise;
	request->operation_count = (uint16_t)first_half;
	request->otherwise_count = otherwise ? (uint16_t)(count - first_half - 1) : 0;
	if (id != NULL)
		*id = request->id;
	return SOLE_OK;
}

int engine_ask(struct engine *engine, enum item_kind kind, const struct value *list, size_t count, int64_t now_ns,
	       int64_t deadline_ns, sole_callback *callback, void *context, uint64_t *id)
{
	struct request *request;
	size_t bytes = count > 0 ? sizeof(wire_u8) : 0;

	for (size_t i = 0; i < count; i++)
		bytes += wire_value_bytes(&list[i]);
	int code = add(engine, kind, bytes, now_ns, deadline_ns, callback, context, &request);
	if (code != SOLE_OK)
		return code;
	struct buffer payload = request_room(request);
	if (count > 0)
		wire_write_list(&payload, list, count);
	if (id != NULL)
		*id = request->id;
	return SOLE_OK;
}

int engine_cancel(struct engine *engine, uint64_t id)
{
	struct request *request = request_find(&engine->pool, id);

	if (request == NULL || request->ghost || engine->closing)
		return SOLE_USAGE;
	if (request->decided != 0 || request->cancelling)
		return SOLE_OK;
	/* A query that was on a connection that is gone: nobody is there to be asked, and
	 * nobody will be told its result. */
	bool lost_query = request->query && !engine->connected;
	if (request->state == REQUEST_WAITING || request->kind != ITEM_RUN || request->copies == 0 ||
	    lost_query) {
		engine_decide(engine, request, SOLE_CANCELLED);
		return SOLE_OK;
	}
	request->cancelling = true;
	engine_again(engine, request);
	return SOLE_OK;
}

/* ---- the session and the connection ---- */

void engine_on_session(struct engine *engine, sole_session_callback *callback, void *context)
{
	engine->session_callback = callback;
	engine->session_context = context;
	engine->session_told = 0;
}

static uint64_t open_session(const struct engine *engine)
{
	return engine->session_state == SESSION_OPEN ? engine->session : 0;
}

void engine_tell_session(struct engine *engine)
{
	uint64_t now = open_session(engine), before = engine->session_told;

	if (engine->session_callback == NULL || now == before)
		return;
	engine->session_told = before != 0 ? 0 : now;
	engine->session_callback(engine->options.handle, engine->session_told, engine->session_context);
	if (before != 0 && now != 0) /* one was lost and another one opened */
		engine_tell_session(engine);
}

/* Whether they had their turn in the last moment, nobody can say. */
static void end_parked(struct engine *engine, enum sole_code code)
{
	struct request *request;

	while ((request = engine->parked.head) != NULL) {
		if (request->ghost) {
			engine_release(engine, request);
			continue;
		}
		unlink_request(engine, request);
		if (request->decided == 0)
			engine_decide(engine, request, code);
	}
}

/* Is there a message of which only a later answer can tell whether it is lost? */
static bool awaits_proof(const struct engine *engine)
{
	for (size_t i = 0; i < ENGINE_MESSAGES; i++)
		if (engine->messages[i].proof != 0)
			return true;
	return false;
}

void engine_end_session(struct engine *engine, enum sole_code code)
{
	struct request *request, *other;

	engine->session_state = SESSION_NONE;
	engine->session = 0;
	engine->nonce_used = false;
	engine->ping_wanted = awaits_proof(engine);
	engine->received_count = 0;
	engine->received_ns = INT64_MAX;
	engine->received_due = false;
	end_parked(engine, code);
	for (request = engine->under_way.head; request != NULL; request = other) {
		other = request->next;
		if (!request_is_command(request))
			continue;
		bool unrun = request->copies == 0;
		if (request->ghost) {
			engine_release(engine, request);
		} else if (request->decided != 0 || !unrun || request->cancelling) {
			unlink_request(engine, request);
			if (request->decided == 0)
				engine_decide(engine, request, !unrun             ? code
							       : request->expired ? SOLE_EXPIRED
										  : SOLE_CANCELLED);
		}
	}
	/* From the last to the first, so that they stand before the rest in their order. */
	for (request = engine->under_way.tail; request != NULL; request = other) {
		other = request->previous;
		if (!request_is_command(request))
			continue;
		unlink_request(engine, request);
		request->state = REQUEST_WAITING;
		request->tag = 0;
		request_push_front(&engine->waiting, request);
	}
	engine->next_sequence = engine->oldest_sequence = 1;
}

void engine_bury_session(struct engine *engine)
{
	if (engine->session_state != SESSION_LOST)
		return;
	for (struct request *request = engine->under_way.head; request != NULL; request = request->next)
		if (request_is_command(request) && !request->ghost && request->copies > 0 &&
		    request->decided == 0)
			return;
	engine_end_session(engine, SOLE_SESSION_FORGOTTEN);
}

struct engine_message *engine_message(struct engine *engine, uint64_t tag)
{
	for (size_t i = 0; i < ENGINE_MESSAGES; i++)
		if (engine->messages[i].tag == tag)
			return &engine->messages[i];
	return NULL;
}

void engine_message_done(struct engine *engine, struct engine_message *message)
{
	if (message->runs)
		engine->run_messages--;
	*message = (struct engine_message){ 0 };
}

static void unsent(const struct request_queue *queue, uint64_t tag)
{
	for (struct request *request = queue->head; request != NULL; request = request->next)
		if (request->tag == tag && !request->cancelling && request->copies > 0)
			request->copies--;
}

void engine_unsent(struct engine *engine)
{
	unsent(&engine->under_way, engine->tag);
	unsent(&engine->parked, engine->tag);
}

void engine_hold(struct engine *engine, int64_t now_ns)
{
	if (engine->hold_until_ns > now_ns)
		return;
	engine->hold_until_ns = now_ns + engine->busy_ns;
	engine->busy_ns = engine->busy_ns * 2 < ENGINE_BUSY_MAX_NS ? engine->busy_ns * 2 : ENGINE_BUSY_MAX_NS;
}

void engine_hold_search(struct engine *engine, int64_t now_ns)
{
	if (engine->search_hold_ns > now_ns)
		return;
	engine->search_hold_ns = now_ns + engine->search_ns;
	engine->search_ns = engine->search_ns * 2 < ENGINE_SEARCH_MAX_NS ? engine->search_ns * 2 : ENGINE_SEARCH_MAX_NS;
}

void engine_disconnected(struct engine *engine)
{
	engine->connected = false;
	engine->hello = HELLO_NEEDED;
	engine->leaving = false;
	engine->ping_wanted = false;
	memset(engine->messages, 0, sizeof engine->messages);
	engine->run_messages = 0;
	watches_disconnected(engine);
	if (engine->session_state == SESSION_OPENING)
		engine->session_state = SESSION_NONE;
}

static void ask_for_parked(struct engine *engine, int64_t now_ns)
{
	for (struct request *request = engine->parked.head; request != NULL; request = request->next)
		engine_again(engine, request);
	engine->parked_ns = now_ns + ENGINE_PARKED_NS;
}

void engine_connected(struct engine *engine, int64_t now_ns)
{
	struct request *other;

	engine_disconnected(engine);
	engine->connected = true;
	engine->counters.reconnects += engine->incarnation != 0;
	engine->hold_until_ns = 0;
	engine->busy_ns = ENGINE_BUSY_NS;
	engine->search_hold_ns = 0;
	engine->search_ns = ENGINE_SEARCH_NS;
	engine->resend_ns = ENGINE_RESEND_NS;
	engine->named_ns = now_ns;
	ask_for_parked(engine, now_ns);
	for (struct request *request = engine->under_way.head; request != NULL; request = other) {
		other = request->next;
		if (!request->query || !request->cancelling)
			engine_again(engine, request);
		else if (request->decided == 0 && !request->expired)
			engine_decide(engine, request, SOLE_CANCELLED);
	}
	traces_connected(engine, now_ns);
}

/* ---- time ---- */

/* The answer to a message does not come: what it carried goes out again. */
static void give_up(struct engine *engine, struct engine_message *message)
{
	for (struct request *request = engine->under_way.head; request != NULL; request = request->next)
		if (request->tag == message->tag)
			engine_again(engine, request);
	for (struct request *request = engine->parked.head; request != NULL; request = request->next)
		if (request->tag == message->tag)
			engine_again(engine, request);
	watches_give_up(engine, message->tag);
	if (message->hello && engine->hello == HELLO_SENT)
		engine->hello = HELLO_NEEDED;
	if (message->open && engine->session_state == SESSION_OPENING)
		engine->session_state = SESSION_NONE;
	engine_message_done(engine, message);
}

void engine_prove(struct engine *engine, uint64_t answered_tag)
{
	for (size_t i = 0; i < ENGINE_MESSAGES; i++) {
		struct engine_message *message = &engine->messages[i];
		if (message->proof != 0 && message->proof <= answered_tag)
			give_up(engine, message);
	}
}

static bool is_timed(const struct engine_message *message)
{
	return message->tag != 0 && message->proof == 0;
}

/* HELLO, OPEN and what is asked about the owner may be said twice; requests must not run twice. */
static void overdue(struct engine *engine, struct engine_message *message)
{
	if (message->runs)
		message->proof = engine->tag + 1;
	else
		give_up(engine, message);
	engine->ping_wanted |= awaits_proof(engine);
}

/* What to answer when the time is up for a request that cannot have run. */
static enum sole_code unrun_code(const struct engine *engine, const struct request *request)
{
	if (request->refusal == SOLE_BUSY || request->refusal == SOLE_LEAVING)
		return (enum sole_code)request->refusal;
	if (request->state == REQUEST_WAITING && engine->heard_ns < request->submitted_ns)
		return SOLE_UNREACHABLE;
	return SOLE_EXPIRED;
}

static void time_is_up(struct engine *engine, struct request *request, int64_t now_ns)
{
	if (request->decided != 0) {
		tell_decided(engine, request);
		return;
	}
	if (request->state == REQUEST_WAITING || (request->kind == ITEM_RUN && request->copies == 0)) {
		engine_decide(engine, request, unrun_code(engine, request));
		tell_decided(engine, request);
		return;
	}
	if (request->kind != ITEM_RUN || request->expired) {
		/* Only a search can tell by "busy" that nothing was done: of what else was sent a copy may have run. */
		bool busy = request_is_search(request) && request->refusal == SOLE_BUSY && request->again;
		engine_decide(engine, request, busy ? SOLE_BUSY : SOLE_TIMED_OUT);
		tell_decided(engine, request);
		return;
	}
	request->expired = true;
	request_set_timer(&engine->pool, request, now_ns + ENGINE_GRACE_NS);
	if (!request->cancelling)
		engine_again(engine, request);
	request->cancelling = true;
}

static bool keeps_alive(const struct engine *engine)
{
	return engine->connected && engine->hello == HELLO_ANSWERED &&
	       engine->session_state == SESSION_OPEN && !engine->ping_wanted;
}

int64_t engine_deadline(const struct engine *engine)
{
	const struct request *first = request_earliest(&engine->pool);
	int64_t earliest = first != NULL ? first->timer_ns : INT64_MAX;

	for (size_t i = 0; i < ENGINE_MESSAGES; i++) {
		const struct engine_message *message = &engine->messages[i];
		if (is_timed(message) && message->sent_ns + engine->resend_ns < earliest)
			earliest = message->sent_ns + engine->resend_ns;
	}
	if (engine->hold_until_ns != 0 && engine->hold_until_ns < earliest)
		earliest = engine->hold_until_ns;
	if (engine->search_hold_ns != 0 && engine->search_hold_ns < earliest)
		earliest = engine->search_hold_ns;
	if (engine->watch_hold_ns != 0 && engine->watch_hold_ns < earliest)
		earliest = engine->watch_hold_ns;
	if (engine->received_count > 0 && engine->received_ns < earliest)
		earliest = engine->received_ns;
	if (engine->connected && engine->parked.count > 0 && engine->parked_ns < earliest)
		earliest = engine->parked_ns;
	if (keeps_alive(engine) && engine->named_ns + engine->silence_ns / 3 < earliest)
		earliest = engine->named_ns + engine->silence_ns / 3;
	if (engine->session_callback != NULL && open_session(engine) != engine->session_told)
		earliest = INT64_MIN;
	return earliest;
}

void engine_expire(struct engine *engine, int64_t now_ns)
{
	struct request *request;
	bool late = false;

	for (size_t i = 0; i < ENGINE_MESSAGES; i++) {
		struct engine_message *message = &engine->messages[i];
		if (is_timed(message) && message->sent_ns + engine->resend_ns <= now_ns) {
			overdue(engine, message);
			late = true;
		}
	}
	if (late)
		engine->resend_ns = engine->resend_ns * 2 < ENGINE_RESEND_MAX_NS ? engine->resend_ns * 2
										 : ENGINE_RESEND_MAX_NS;
	if (engine->hold_until_ns != 0 && engine->hold_until_ns <= now_ns)
		engine->hold_until_ns = 0;
	if (engine->search_hold_ns != 0 && engine->search_hold_ns <= now_ns)
		engine->search_hold_ns = 0;
	if (engine->watch_hold_ns != 0 && engine->watch_hold_ns <= now_ns)
		engine->watch_hold_ns = 0;
	if (engine->received_count > 0 && engine->received_ns <= now_ns) {
		engine->received_due = true;
		engine->received_ns = INT64_MAX;
	}
	if (engine->connected && engine->parked.count > 0 && engine->parked_ns <= now_ns)
		ask_for_parked(engine, now_ns);
	if (keeps_alive(engine) && engine->named_ns + engine->silence_ns / 3 <= now_ns)
		engine->ping_wanted = true;
	while ((request = request_earliest(&engine->pool)) != NULL && request->timer_ns <= now_ns)
		time_is_up(engine, request, now_ns);
	engine_bury_session(engine);
	engine_tell_session(engine);
}

/* ---- the end ---- */

void engine_clear(struct engine *engine)
{
	struct request *request;

	engine->closing = true;
	for (size_t place = 0; (request = request_at(&engine->pool, place)) != NULL; place++) {
		if (request->state == REQUEST_FREE || request->ghost)
			continue;
		bool unrun = request->state == REQUEST_WAITING || request->copies == 0;
		int code = request->decided != 0 ? request->decided : unrun ? SOLE_CANCELLED : SOLE_CLOSED;
		struct sole_reply reply = engine_reply(engine, code);
		reply.sequence = request->sequence;
		reply.session = request->sequence != 0 ? engine->session : 0;
		tell(engine, request, &reply);
	}
	engine_abandon(engine);
}

void engine_abandon(struct engine *engine)
{
	request_pool_clear(&engine->pool);
	watches_free(engine);
	buffer_clear(&engine->scratch);
	free(engine->values);
	free(engine->lists);
	*engine = (struct engine){ .closing = true };
}
