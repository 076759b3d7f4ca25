/* SPDX-License-Identifier: MIT
 *
 * compose.c - writes the next message of an engine.
 *
 * In this order: hello; watches; what is asked about the owner; what is to be sent
 * again, or withdrawn, in the order of its submission; what is new, as far as the
 * window, the message and the number of messages under way allow; a PING,
 * as a sign of life or to find out what is lost; acknowledgements. Each item is begun only when there is
 * memory for all of it, so a message is never half-made.
 */
#include "clients/engine_parts.h"

#include <string.h>

struct composing {
	struct engine *engine;
	struct buffer *out;
	int64_t now_ns;
	struct engine_message message;
	size_t limit;     /* bytes */
	bool full;        /* the next item did not fit: nothing may overtake it */
	bool runs_allowed;
};

enum { LARGEST_CONTROL_BYTES = 512 }; /* payload of a HELLO */

/* Begins an item of that many payload bytes, if there is room for all of it. */
static bool begin(struct composing *c, size_t payload_bytes)
{
	size_t bytes = PROTOCOL_ITEM_HEADER_BYTES + payload_bytes;

	if (c->full || c->message.items >= PROTOCOL_ITEMS_MAX || bytes > c->limit - c->out->size ||
	    !buffer_reserve(c->out, bytes))
		c->full = true;
	else
		c->message.items++;
	return !c->full;
}

static bool write_hello_item(struct composing *c)
{
	const char *program = c->engine->options.program;
	size_t length = strnlen(program, LARGEST_CONTROL_BYTES / 2);

	if (!begin(c, LARGEST_CONTROL_BYTES))
		return false;
	size_t start = c->out->size;
	const struct value list[] = { value_integer(PROTOCOL_VERSION_LEAST), value_integer(PROTOCOL_VERSION),
				      value_bytes(program, length) };
	wire_write_request_header(c->out, &(struct request_header){ .kind = ITEM_HELLO,
								   .flags = REQUEST_FLAG_NOTICES });
	wire_write_list(c->out, list, sizeof list / sizeof *list);
	wire_finish_item(c->out, start);
	return true;
}

static bool write_hello(struct composing *c)
{
	if (!write_hello_item(c))
		return false;
	c->engine->hello = HELLO_SENT;
	c->message.hello = true;
	return true;
}

/* The same nonce until it was answered: whichever copy arrives, it is one session. */
static void write_open(struct composing *c)
{
	struct engine *engine = c->engine;

	if (!begin(c, LARGEST_CONTROL_BYTES))
		return;
	if (!engine->nonce_used)
		engine->options.random(engine->nonce, sizeof engine->nonce);
	engine->nonce_used = true;
	size_t start = c->out->size;
	const struct value list[] = { value_bytes(engine->nonce, sizeof engine->nonce),
				      value_integer(engine->options.silence_ms) };
	wire_write_request_header(c->out, &(struct request_header){ .kind = ITEM_OPEN });
	wire_write_list(c->out, list, sizeof list / sizeof *list);
	wire_finish_item(c->out, start);
	engine->session_state = SESSION_OPENING;
	c->message.open = true;
}

static void set_deadline(const struct composing *c, const struct request *request,
			 struct request_header *header)
{
	if (request->deadline_ns == INT64_MAX)
		return;
	if (!c->engine->options.relative) {
		header->deadline = (uint64_t)request->deadline_ns;
		return;
	}
	int64_t left = request->deadline_ns - c->now_ns;
	header->deadline = left > 0 ? (uint64_t)left : 1;
	header->flags |= REQUEST_FLAG_RELATIVE;
}

static void name_request(const struct composing *c, const struct request *request,
			 struct request_header *header)
{
	struct engine *engine = c->engine;

	if (!request_is_command(request)) {
		header->sequence = request->id;
		return;
	}
	header->session = engine->session;
	header->sequence = request->sequence;
	if (request->sequence > engine->oldest_sequence) /* a parked one is not */
		header->window = (uint16_t)(request->sequence - engine->oldest_sequence);
	engine->named_ns = c->now_ns;
}

static bool is_withdrawal(const struct request *request)
{
	return request->kind == ITEM_RUN && request->cancelling;
}

/* Writes the request, or its withdrawal: the item that was begun for it. */
static void put_request(struct composing *c, struct request *request)
{
	struct engine *engine = c->engine;
	bool withdrawal = is_withdrawal(request);
	size_t payload_bytes = withdrawal ? 0 : request->payload_bytes;
	struct request_header header = {
		.size = (uint32_t)(PROTOCOL_ITEM_HEADER_BYTES + payload_bytes),
		.kind = withdrawal ? ITEM_CANCEL : request->kind,
	};
	name_request(c, request, &header);
	header.flags |= request->query ? REQUEST_FLAG_QUERY : 0;
	if (!withdrawal) {
		header.flags |= request->otherwise ? REQUEST_FLAG_OTHERWISE : 0;
		set_deadline(c, request, &header);
		if (request->copies < UINT32_MAX)
			request->copies++;
		c->message.runs |= request->kind == ITEM_RUN;
	}
	wire_write_request_header(c->out, &header);
	buffer_append(c->out, request_payload(request), payload_bytes);
	request->tag = engine->tag;
	engine->counters.requests_sent++;
	if (request->again) {
		request->again = false;
		engine->again_count--;
		engine->counters.sent_again++;
	}
}

/* The same for one that stands among those under way already, if there is room. */
static bool write_request(struct composing *c, struct request *request)
{
	if (!begin(c, is_withdrawal(request) ? 0 : request->payload_bytes))
		return false;
	put_request(c, request);
	return true;
}

static void write_urgent(struct composing *c)
{
	struct engine *engine = c->engine;
	struct request *request;

	while ((request = engine->urgent.head) != NULL && !c->full) {
		request_remove(&engine->urgent, request);
		if (write_request(c, request)) {
			request->state = REQUEST_UNDER_WAY;
			request_push(&engine->under_way, request);
		} else {
			request_push_front(&engine->urgent, request);
		}
	}
}

static void write_watch(struct composing *c, struct engine_watch *watch)
{
	struct engine *engine = c->engine;

	if (!begin(c, LARGEST_CONTROL_BYTES + watch->prefix_bytes))
		return;
	watches_renumber(engine, watch);
	size_t start = c->out->size;
	const struct value list[] = { value_bytes(watch->prefix, watch->prefix_bytes),
				      value_integer((int64_t)watch->history),
				      value_integer((int64_t)watch->revision), value_integer(watch->index) };
	wire_write_request_header(c->out, &(struct request_header){ .kind = ITEM_WATCH,
								   .sequence = watch->number });
	wire_write_list(c->out, list, sizeof list / sizeof *list);
	wire_finish_item(c->out, start);
	watch->state = WATCH_ASKED;
	watch->tag = engine->tag;
	engine->watches_wanted--;
}

/* Items that are nothing but a header. */
static bool write_bare(struct composing *c, enum item_kind kind, uint64_t session, uint64_t sequence)
{
	if (!begin(c, 0))
		return false;
	wire_write_request_header(c->out, &(struct request_header){ .size = PROTOCOL_ITEM_HEADER_BYTES,
								   .kind = (uint8_t)kind,
								   .session = session,
								   .sequence = sequence });
	return true;
}

static bool watches_allowed(const struct engine *engine)
{
	return engine->watches_wanted > 0 && engine->watch_hold_ns == 0 && !engine->leaving;
}

static void write_watches(struct composing *c)
{
	struct engine *engine = c->engine;

	while (engine->unwatch_count > 0 &&
	       write_bare(c, ITEM_UNWATCH, 0, engine->unwatch[engine->unwatch_count - 1]))
		engine->unwatch_count--;
	if (!watches_allowed(engine))
		return;
	/* An owner refuses watches to whom it does not know, and the connection may have been replaced
	 * unnoticed. */
	if (!c->message.hello && !write_hello_item(c))
		return;
	for (size_t i = 0; i < engine->watch_room && engine->watches_wanted > 0 && !c->full; i++)
		if (engine->watches[i] != NULL && engine->watches[i]->state == WATCH_WANTED)
			write_watch(c, engine->watches[i]);
}

/* What is to be said once more to requests that the owner has parked: no new one need wait for it. */
static bool write_parked_again(struct composing *c)
{
	struct engine *engine = c->engine;

	for (struct request *request = engine->parked.head; request != NULL && engine->again_count > 0;
	     request = request->next)
		if (request->again && (request->cancelling || c->runs_allowed) && !write_request(c, request))
			return false;
	return true;
}

/* What is to be said once more. Returns false when a request had to stay behind, so
 * that no new one may overtake it. */
static bool write_again(struct composing *c)
{
	struct engine *engine = c->engine;
	bool held = engine->leaving || engine->hold_until_ns > c->now_ns;
	bool all = true;

	if (engine->again_count == 0)
		return true;
	if (!write_parked_again(c))
		return false;
	for (struct request *request = engine->under_way.head; request != NULL && engine->again_count > 0;
	     request = request->next) {
		if (!request->again || (request_is_search(request) && engine->search_hold_ns > c->now_ns))
			continue;
		bool run = request->kind == ITEM_RUN && !request->cancelling;
		/* The withdrawal of what the owner never admitted would only be out of order; and what
		 * cannot have run in a session that is lost waits for the next one. */
		bool unseen = request->copies == 0 || request->refusal == SOLE_OUT_OF_ORDER;
		bool early = request->kind == ITEM_RUN &&
			     ((unseen && request->cancelling && held) ||
			      (request->copies == 0 && request_is_command(request) && engine->session_state == SESSION_LOST));
		if ((run && !c->runs_allowed) || early)
			all = false;
		else if (!write_request(c, request))
			return false;
	}
	return all;
}

static bool in_window(const struct engine *engine)
{
	return engine->under_way.count < engine->window &&
	       engine->next_sequence - engine->oldest_sequence < engine->window;
}

static void write_new(struct composing *c)
{
	struct engine *engine = c->engine;
	struct request *request;

	while ((request = engine->waiting.head) != NULL && !c->full && in_window(engine)) {
		size_t alone = PROTOCOL_MESSAGE_HEADER_BYTES + PROTOCOL_ITEM_HEADER_BYTES +
			       (size_t)request->payload_bytes;
		if (engine->hello == HELLO_ANSWERED && alone > engine->message_max) {
			engine_decide(engine, request, SOLE_TOO_LARGE);
			continue;
		}
		if (request->table && engine->hello == HELLO_ANSWERED && engine->other_behaviour) {
			engine_decide(engine, request, SOLE_NO_OPERATION);
			continue;
		}
		bool command = request_is_command(request);
		if (command && engine->session_state != SESSION_OPEN) {
			if (engine->session_state == SESSION_NONE)
				write_open(c);
			return;
		}
		if (!begin(c, request->payload_bytes))
			return;
		request_remove(&engine->waiting, request);
		request->state = REQUEST_UNDER_WAY;
		request_push(&engine->under_way, request);
		if (command) {
			request->sequence = engine->next_sequence++;
			engine->commands[request->sequence % PROTOCOL_WINDOW] = request;
		}
		put_request(c, request);
	}
}

static void write_ping(struct composing *c)
{
	struct engine *engine = c->engine;
	bool named = engine->session_state == SESSION_OPEN;

	if (!engine->ping_wanted || !write_bare(c, ITEM_PING, named ? engine->session : 0, 0))
		return;
	engine->ping_wanted = false;
	if (named)
		engine->named_ns = c->now_ns;
}

/* With whatever goes out; alone when it is time. */
static void write_received(struct composing *c)
{
	struct engine *engine = c->engine;

	if (engine->received_count == 0 || engine->session_state != SESSION_OPEN ||
	    (c->message.items == 0 && !engine->received_due))
		return;
	while (engine->received_count > 0 &&
	       write_bare(c, ITEM_RECEIVED, engine->session, engine->received[engine->received_count - 1]))
		engine->received_count--;
	engine->named_ns = c->now_ns;
	if (engine->received_count == 0) {
		engine->received_due = false;
		engine->received_ns = INT64_MAX;
	}
}

static void begin_message(struct buffer *out, uint64_t tag)
{
	buffer_reset(out);
	wire_write_message_header(out, &(struct message_header){
		.magic = PROTOCOL_MAGIC,
		.version = PROTOCOL_VERSION,
		.kind = MESSAGE_REQUEST,
		.tag = tag,
	});
}

/* An owner of another version on this connection: there is nothing to wait for. */
static void refuse_all(struct engine *engine)
{
	while (engine->waiting.head != NULL)
		engine_decide(engine, engine->waiting.head, (enum sole_code)engine->hello_code);
	while (engine->urgent.head != NULL)
		engine_decide(engine, engine->urgent.head, (enum sole_code)engine->hello_code);
}

static bool anything_to_say(const struct engine *engine)
{
	return engine->hello == HELLO_NEEDED || engine->again_count > 0 || engine->urgent.head != NULL ||
	       engine->waiting.head != NULL || engine->ping_wanted || engine->received_due ||
	       engine->unwatch_count > 0 || watches_allowed(engine);
}

bool engine_next_message(struct engine *engine, int64_t now_ns, struct buffer *out)
{
	struct engine_message *record = engine_message(engine, 0);

	if (engine->hello == HELLO_REFUSED) {
		refuse_all(engine);
		if (engine->hello_code == CODE_DENIED)
			engine->hello = HELLO_DENIED;
	}
	if (!engine->connected || engine->hello == HELLO_REFUSED || record == NULL ||
	    !anything_to_say(engine))
		return false;
	bool hello = engine->hello == HELLO_NEEDED || engine->hello == HELLO_DENIED;
	if (hello && engine->hold_until_ns > now_ns)
		return false;

	begin_message(out, ++engine->tag);
	struct composing c = {
		.engine = engine,
		.out = out,
		.now_ns = now_ns,
		.message = { .tag = engine->tag, .sent_ns = now_ns },
		.limit = engine->hello == HELLO_ANSWERED ? engine->message_max : ENGINE_FIRST_BYTES,
		.runs_allowed = engine->run_messages < ENGINE_RUN_MESSAGES && !engine->leaving &&
				engine->hold_until_ns <= now_ns,
	};
	if (out->failed)
		return false;
	if (hello && !write_hello(&c))
		return false;
	/* A session that was there before this connection may belong to another history:
	 * wait for the word. Without one, everything may follow the hello at once. */
	bool settled = engine->hello == HELLO_ANSWERED || engine->session_state == SESSION_NONE ||
		       engine->session_state == SESSION_OPENING;
	if (settled) {
		write_watches(&c);
		write_urgent(&c);
		if (write_again(&c) && c.runs_allowed)
			write_new(&c);
		write_ping(&c);
		write_received(&c);
	}
	if (c.message.items == 0)
		return false;
	wire_finish_message(out, (uint16_t)c.message.items);
	*record = c.message;
	engine->run_messages += c.message.runs;
	engine->counters.messages_sent++;
	return true;
}

bool engine_goodbye(struct engine *engine, struct buffer *out)
{
	if (!engine->connected || engine->session_state != SESSION_OPEN || engine->hello != HELLO_ANSWERED)
		return false;
	begin_message(out, ++engine->tag);
	wire_write_request_header(out, &(struct request_header){ .size = PROTOCOL_ITEM_HEADER_BYTES,
								.kind = ITEM_GOODBYE,
								.session = engine->session });
	wire_finish_message(out, 1);
	return !out->failed;
}
