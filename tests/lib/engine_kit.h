/* SPDX-License-Identifier: MIT
 *
 * engine_kit.h - an engine, a small owner for it to talk to, and the time, all in
 * one thread and under the test's hand.
 *
 * The owner answers as sole-protocol(7) says: sessions by nonce, commands in
 * sequence, stored replies, cancel, waiting, events. What it does beyond is what tests
 * look at: it counts how often each numbered command ran, and keeps every event of
 * every history. Header-only: a test is one file.
 */
#ifndef TESTS_ENGINE_KIT_H
#define TESTS_ENGINE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above before it. */
#include <cmocka.h>

#include "clients/engine.h"

#include <stdlib.h>
#include <string.h>

enum { KIT_NUMBERS = 4096, KIT_SESSIONS = 512, KIT_STORED = 4096 };
enum { KIT_PUT = 2, KIT_GET = 1 };
enum { KIT_WAIT_EACH = 7 }; /* when the owner parks, commands with such numbers wait */
enum { KIT_EVENTS = 2 * KIT_NUMBERS, KIT_WATCHES = 16, KIT_EVENTS_AT_ONCE = 3 };

struct kit_session {
	uint64_t id, last;
	uint8_t nonce[PROTOCOL_NONCE_BYTES];
	uint16_t stored[KIT_STORED]; /* code by sequence */
	int64_t value[KIT_STORED];
	bool received[KIT_STORED];
};

struct kit_parked {
	uint64_t session, sequence, deadline;
	int64_t number;
};

/* Numbers that can be divided by three make two events of one revision. */
struct kit_event {
	uint64_t history, revision;
	uint32_t index;
	int64_t number;
};

/* Of the connection; gone with it. */
struct kit_watch {
	uint64_t id;
	size_t next; /* in the owner's events */
};

struct kit_owner {
	uint64_t incarnation, history, next_session;
	struct kit_session sessions[KIT_SESSIONS];
	size_t session_count;
	unsigned runs[KIT_NUMBERS]; /* by number, over all histories */
	unsigned reads;
	bool leaving, busy, deny_open, deny, drop;
	bool parks, watch_busy;
	bool durable;         /* marks what it answers to RUN */
	unsigned search_busy; /* so often it has not found yet what it is asked */
	size_t searches;
	bool lies; /* the test spoils what it says: a client's words are not held against it */
	struct kit_parked parked[KIT_NUMBERS];
	size_t parked_count;
	uint64_t revision;
	struct kit_event events[KIT_EVENTS];
	size_t event_count, events_first; /* those before are not kept, for those who ask */
	struct kit_watch watches[KIT_WATCHES];
	size_t watch_count, received, watch_items, unwatch_items;
	int64_t window, message_max;
	int64_t now_ns;
	size_t messages, items, opens, hellos, cancels, pings;
};

struct told {
	unsigned times;
	int code;
	enum sole_outcome outcome;
	int64_t value;
	uint64_t sequence;
	int durable;
	char text[64];
};

struct kit {
	struct engine engine;
	struct kit_owner owner;
	struct told told[KIT_NUMBERS];
	int64_t now_ns;
	struct buffer out, in;
	unsigned told_count;
	uint16_t order[KIT_NUMBERS]; /* numbers in the order of being told */
	void (*on_told)(struct kit *kit, unsigned number);
};

static inline void kit_random(void *bytes, size_t size)
{
	static uint8_t n;
	uint8_t *at = bytes;

	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(rand() >> 4);
	at[0] = ++n;
}

static struct kit *kit_now; /* of the test that runs */

static inline void kit_told(struct sole *handle, const struct sole_reply *reply, void *context)
{
	size_t number = (size_t)(uintptr_t)context;
	struct told *told = &kit_now->told[number];

	(void)handle;
	told->times++;
	told->code = reply->code;
	told->outcome = reply->outcome;
	told->sequence = reply->sequence;
	told->durable = reply->durable;
	told->value = -1;
	if (reply->result_count == 1 && reply->results[0].count > 0 &&
	    reply->results[0].values[0].type == SOLE_INTEGER)
		told->value = reply->results[0].values[0].integer;
	strncpy(told->text, reply->text, sizeof told->text - 1);
	kit_now->order[kit_now->told_count++ % KIT_NUMBERS] = (uint16_t)number;
	if (kit_now->on_told != NULL)
		kit_now->on_told(kit_now, (unsigned)number);
}

/* ---- the owner ---- */

static inline size_t kit_reply(struct buffer *out, const struct request_header *to, enum item_kind kind,
			       enum code code, uint64_t session)
{
	size_t start = out->size;

	wire_write_reply_header(out, &(struct reply_header){ .kind = (uint8_t)kind,
							     .outcome = (uint8_t)code_outcome(code),
							     .code = (uint16_t)code,
							     .session = session,
							     .sequence = to->sequence,
							     .revision = 7 });
	return start;
}

static inline void kit_list(struct buffer *out, size_t start, const struct value *list, size_t count)
{
	wire_write_list(out, list, count);
	wire_finish_item(out, start);
}

static inline void kit_refuse(struct buffer *out, const struct request_header *to, enum item_kind kind,
			      enum code code, const struct value *detail)
{
	const struct value list[] = { value_integer(-1), value_text(code_text(code)),
				      detail != NULL ? *detail : value_none() };

	kit_list(out, kit_reply(out, to, kind, code, to->session), list, detail != NULL ? 3 : 2);
}

static inline struct kit_session *kit_session(struct kit_owner *owner, uint64_t id)
{
	for (size_t i = 0; i < owner->session_count; i++)
		if (owner->sessions[i].id == id)
			return &owner->sessions[i];
	return NULL;
}

static inline void kit_open(struct kit_owner *owner, struct request_header *header,
			    struct wire_reader payload, struct buffer *out)
{
	struct value list[2];
	struct kit_session *session = NULL;
	size_t count;

	owner->opens++;
	if (owner->leaving || owner->busy || owner->deny_open || owner->deny) {
		kit_refuse(out, header, ITEM_OPEN,
			   owner->leaving ? CODE_LEAVING
			   : owner->busy  ? CODE_BUSY
					  : CODE_DENIED,
			   NULL);
		return;
	}
	assert_true(wire_read_list(&payload, list, 2, &count));
	assert_int_equal(count, 2);
	assert_int_equal(list[0].size, PROTOCOL_NONCE_BYTES);
	for (size_t i = 0; i < owner->session_count; i++)
		if (memcmp(owner->sessions[i].nonce, list[0].bytes, PROTOCOL_NONCE_BYTES) == 0)
			session = &owner->sessions[i];
	if (session == NULL) {
		assert_true(owner->session_count < KIT_SESSIONS);
		session = &owner->sessions[owner->session_count++];
		memset(session, 0, sizeof *session);
		session->id = owner->next_session++;
		memcpy(session->nonce, list[0].bytes, PROTOCOL_NONCE_BYTES);
	}
	kit_list(out, kit_reply(out, header, ITEM_OPEN, CODE_OK, session->id), &list[1], 1);
}

static inline void kit_stored(struct kit_session *session, const struct request_header *header,
			      struct buffer *out)
{
	uint16_t code = session->stored[header->sequence % KIT_STORED];
	const struct value value = value_integer(session->value[header->sequence % KIT_STORED]);

	/* Who has it does not ask. */
	assert_false(session->received[header->sequence % KIT_STORED]);
	if (code == CODE_WAITING)
		wire_finish_item(out, kit_reply(out, header, ITEM_RUN, CODE_WAITING, header->session));
	else if (code != CODE_OK)
		kit_refuse(out, header, ITEM_RUN, (enum code)code, NULL);
	else
		kit_list(out, kit_reply(out, header, ITEM_RUN, CODE_OK, header->session), &value, 1);
}

static inline bool kit_admit(struct kit_session *session, struct request_header *header, enum item_kind kind,
			     struct buffer *out)
{
	if (header->sequence == session->last + 1) {
		session->last++;
		return true;
	}
	const struct value next = value_integer((int64_t)session->last + 1);
	kit_refuse(out, header, kind, CODE_OUT_OF_ORDER, &next);
	return false;
}

static inline bool kit_late(const struct kit_owner *owner, const struct request_header *header)
{
	return header->deadline != 0 && !(header->flags & REQUEST_FLAG_RELATIVE) &&
	       (int64_t)header->deadline <= owner->now_ns;
}

/* The numbered command takes effect. */
static inline void kit_effect(struct kit_owner *owner, int64_t number)
{
	owner->runs[number]++;
	owner->revision++;
	for (uint32_t index = 0; index < (number % 3 == 0 ? 2 : 1); index++)
		owner->events[owner->event_count++] =
			(struct kit_event){ owner->history, owner->revision, index, number };
}

/* The parked request is answered: its turn has come, or it is withdrawn. `out`, if it is not NULL, gets
 * the notice. False: its session is gone. */
static inline bool kit_resolve(struct kit_owner *owner, size_t place, enum code code, struct buffer *out)
{
	struct kit_parked parked = owner->parked[place];
	struct kit_session *session = kit_session(owner, parked.session);

	owner->parked[place] = owner->parked[--owner->parked_count];
	if (session == NULL)
		return false;
	session->stored[parked.sequence % KIT_STORED] = (uint16_t)code;
	if (code == CODE_OK)
		kit_effect(owner, parked.number);
	if (out == NULL)
		return true;
	const struct request_header header = { .session = parked.session, .sequence = parked.sequence };
	buffer_reset(out);
	wire_write_message_header(out, &(struct message_header){ .magic = PROTOCOL_MAGIC,
								.version = PROTOCOL_VERSION,
								.kind = MESSAGE_NOTICE,
								.incarnation = owner->incarnation,
								.history = owner->history });
	kit_stored(session, &header, out);
	wire_finish_message(out, 1);
	return true;
}

static inline size_t kit_parked_place(const struct kit_owner *owner, const struct request_header *header)
{
	size_t place = 0;

	while (place < owner->parked_count && (owner->parked[place].session != header->session ||
					       owner->parked[place].sequence != header->sequence))
		place++;
	return place;
}

/* ---- watches ---- */

static inline void kit_watch(struct kit_owner *owner, struct request_header *header,
			     struct wire_reader payload, struct buffer *out)
{
	struct value list[4];
	size_t count, next = owner->event_count, place = 0;

	owner->watch_items++;
	assert_true(wire_read_list(&payload, list, 4, &count));
	assert_int_equal(count, 4);
	if (owner->watch_busy || owner->leaving) {
		kit_refuse(out, header, ITEM_WATCH, owner->leaving ? CODE_LEAVING : CODE_BUSY, NULL);
		return;
	}
	if (list[2].integer != 0) {
		uint64_t revision = (uint64_t)list[2].integer;
		next = owner->event_count;
		while (next > 0 && owner->events[next - 1].history == owner->history &&
		       (owner->events[next - 1].revision > revision ||
			(owner->events[next - 1].revision == revision &&
			 owner->events[next - 1].index >= list[3].integer)))
			next--;
		if ((uint64_t)list[1].integer != owner->history || next < owner->events_first) {
			const struct value start = value_integer((int64_t)owner->revision + 1);
			kit_refuse(out, header, ITEM_WATCH, CODE_TOO_OLD, &start);
			return;
		}
	}
	while (place < owner->watch_count && owner->watches[place].id != header->sequence)
		place++;
	if (place == KIT_WATCHES) {
		kit_refuse(out, header, ITEM_WATCH, CODE_BUSY, NULL);
		return;
	}
	owner->watch_count += place == owner->watch_count;
	owner->watches[place] = (struct kit_watch){ header->sequence, next };
	const struct value revision = value_integer((int64_t)owner->revision);
	kit_list(out, kit_reply(out, header, ITEM_WATCH, CODE_OK, 0), &revision, 1);
}

static inline void kit_unwatch(struct kit_owner *owner, struct request_header *header, struct buffer *out)
{
	owner->unwatch_items++;
	for (size_t i = 0; i < owner->watch_count; i++)
		if (owner->watches[i].id == header->sequence)
			owner->watches[i--] = owner->watches[--owner->watch_count];
	kit_list(out, kit_reply(out, header, ITEM_UNWATCH, CODE_OK, 0), NULL, 0);
}

/* Where the watch stands, without an event: the next one's place, or that behind all. */
static inline void kit_place(const struct kit_owner *owner, const struct kit_watch *watch, struct buffer *out)
{
	bool last = watch->next >= owner->event_count;
	const struct value list[] = {
		value_integer((int64_t)(last ? owner->revision + 1 : owner->events[watch->next].revision)),
		value_integer(last ? 0 : owner->events[watch->next].index),
	};

	wire_write_list(out, list, 2);
}

/* A notice with the next few events for the watch in that place, and now and then with the place itself.
 * False: there are none. */
static inline bool kit_events(struct kit_owner *owner, size_t place, struct buffer *out)
{
	struct kit_watch *watch = &owner->watches[place];
	const struct request_header header = { .sequence = watch->id };

	if (watch->next >= owner->event_count)
		return false;
	buffer_reset(out);
	wire_write_message_header(out, &(struct message_header){ .magic = PROTOCOL_MAGIC,
								.version = PROTOCOL_VERSION,
								.kind = MESSAGE_NOTICE,
								.incarnation = owner->incarnation,
								.history = owner->history });
	size_t start = kit_reply(out, &header, ITEM_EVENTS, CODE_OK, 0);
	if (watch->next % 3 == 0)
		kit_place(owner, watch, out);
	for (int i = 0; i < KIT_EVENTS_AT_ONCE && watch->next < owner->event_count; i++) {
		const struct kit_event *event = &owner->events[watch->next++];
		const struct value list[] = { value_integer((int64_t)event->revision),
					      value_integer(event->index), value_text("put"), value_text("k"),
					      value_integer(event->number) };
		wire_write_list(out, list, 5);
	}
	if (watch->next % 5 == 0)
		kit_place(owner, watch, out);
	wire_finish_item(out, start);
	wire_finish_message(out, 1);
	return true;
}

static inline void kit_run(struct kit_owner *owner, struct request_header *header, struct wire_reader payload,
			   struct buffer *out)
{
	struct kit_session *session = kit_session(owner, header->session);
	struct value argument;
	uint16_t operation = 0;
	size_t count;

	if (owner->leaving || owner->busy) {
		kit_refuse(out, header, ITEM_RUN, owner->leaving ? CODE_LEAVING : CODE_BUSY, NULL);
		return;
	}
	bool query = (header->flags & REQUEST_FLAG_QUERY) != 0;
	assert_true(wire_read_u16(&payload, &operation) && wire_read_list(&payload, &argument, 1, &count));
	if (!query && session == NULL) {
		kit_refuse(out, header, ITEM_RUN, CODE_SESSION_FORGOTTEN, NULL);
		return;
	}
	if (query) {
		if (kit_late(owner, header)) {
			kit_refuse(out, header, ITEM_RUN, CODE_EXPIRED, NULL);
			return;
		}
		const struct value value = value_integer(argument.integer * 2);
		owner->reads++;
		kit_list(out, kit_reply(out, header, ITEM_RUN, CODE_OK, header->session), &value, 1);
		return;
	}
	if (header->sequence <= session->last) {
		kit_stored(session, header, out);
		return;
	}
	if (!kit_admit(session, header, ITEM_RUN, out))
		return;
	size_t slot = header->sequence % KIT_STORED;
	session->stored[slot] = kit_late(owner, header) ? CODE_EXPIRED : CODE_OK;
	session->value[slot] = argument.integer + 1;
	session->received[slot] = false;
	if (session->stored[slot] == CODE_OK && owner->parks && argument.integer % KIT_WAIT_EACH == 0) {
		session->stored[slot] = CODE_WAITING;
		assert_true(owner->parked_count < KIT_NUMBERS);
		owner->parked[owner->parked_count++] =
			(struct kit_parked){ header->session, header->sequence, header->deadline,
					     argument.integer };
	}
	if (session->stored[slot] == CODE_OK)
		kit_effect(owner, argument.integer);
	kit_stored(session, header, out);
}

static inline unsigned kit_cancel(struct kit_owner *owner, struct request_header *header, struct buffer *out)
{
	struct kit_session *session = kit_session(owner, header->session);
	bool answered = false;

	owner->cancels++;
	if ((header->flags & REQUEST_FLAG_QUERY) == 0) {
		if (session == NULL) {
			kit_refuse(out, header, ITEM_CANCEL, CODE_SESSION_FORGOTTEN, NULL);
			return 1;
		}
		if (header->sequence > session->last) {
			if (!kit_admit(session, header, ITEM_CANCEL, out))
				return 1;
			session->stored[header->sequence % KIT_STORED] = CODE_CANCELLED;
			session->received[header->sequence % KIT_STORED] = false;
		}
		if (session->stored[header->sequence % KIT_STORED] == CODE_WAITING)
			kit_resolve(owner, kit_parked_place(owner, header), CODE_CANCELLED, NULL);
		answered = session->stored[header->sequence % KIT_STORED] != CODE_CANCELLED;
	}
	const struct value fate = value_integer(answered ? CANCEL_ANSWERED : CANCEL_WITHDRAWN);
	kit_list(out, kit_reply(out, header, ITEM_CANCEL, CODE_OK, header->session), &fate, 1);
	if (answered)
		kit_stored(session, header, out);
	return answered ? 2 : 1;
}

static inline void kit_hello(struct kit_owner *owner, struct request_header *header, struct buffer *out)
{
	const struct value list[] = { value_integer(1),
				      value_text("kit"),
				      value_text("table"),
				      value_integer(1),
				      value_integer(owner->message_max),
				      value_integer(64),
				      value_integer(owner->window),
				      value_integer(0),
				      value_integer(1) };

	owner->hellos++;
	if (owner->deny) {
		kit_refuse(out, header, ITEM_HELLO, CODE_DENIED, NULL);
		return;
	}
	kit_list(out, kit_reply(out, header, ITEM_HELLO, CODE_OK, 0), list, 9);
}

/* What an owner answers that had to look for it. */
static inline void kit_search(struct kit_owner *owner, const struct request_header *header, struct wire_reader payload,
			      struct buffer *out)
{
	const struct value fate[] = { value_integer(FATE_RAN), value_integer(CODE_OK), value_integer(3) };
	const struct value result = value_integer(9);
	struct value list[2];
	size_t count;

	owner->searches++;
	assert_true(wire_read_list(&payload, list, 2, &count));
	assert_int_equal(count, 2);
	assert_int_equal(header->session, 0);
	if (owner->search_busy > 0) {
		owner->search_busy--;
		kit_refuse(out, header, (enum item_kind)header->kind, CODE_BUSY, NULL);
		return;
	}
	size_t start = kit_reply(out, header, (enum item_kind)header->kind, CODE_OK, 0);
	wire_write_list(out, fate, 3);
	kit_list(out, start, &result, 1);
}

/* Marks the answers to RUN from the first item on. */
static inline void kit_mark_durable(struct buffer *out)
{
	enum { KIND_OFFSET = 4, OUTCOME_OFFSET = 5 };

	for (size_t at = PROTOCOL_MESSAGE_HEADER_BYTES; at < out->size;) {
		uint32_t size;
		memcpy(&size, out->data + at, sizeof size);
		if (out->data[at + KIND_OFFSET] == ITEM_RUN)
			out->data[at + OUTCOME_OFFSET] |= REPLY_FLAG_DURABLE;
		at += size;
	}
}

/* Takes one body and writes the reply to it. */
static inline void kit_take(struct kit_owner *owner, const void *body, size_t size, struct buffer *out)
{
	struct wire_reader reader = wire_reader(body, size), payload;
	struct message_header message;
	struct request_header header;
	unsigned items = 0;

	owner->messages++;
	assert_true(wire_read_message_header(&reader, &message));
	assert_int_equal(message.magic, PROTOCOL_MAGIC);
	assert_int_equal(message.kind, MESSAGE_REQUEST);
	assert_true(message.count > 0);
	message.kind = MESSAGE_REPLY;
	message.incarnation = owner->incarnation;
	message.history = owner->history;
	buffer_reset(out);
	wire_write_message_header(out, &message);
	for (unsigned i = 0; i < message.count; i++) {
		assert_true(wire_read_request_header(&reader, &header));
		assert_true(wire_read_payload(&reader, header.size, &payload));
		owner->items++;
		items++;
		switch (header.kind) {
		case ITEM_HELLO:
			kit_hello(owner, &header, out);
			break;
		case ITEM_OPEN:
			kit_open(owner, &header, payload, out);
			break;
		case ITEM_RUN:
			kit_run(owner, &header, payload, out);
			break;
		case ITEM_CANCEL:
			items += kit_cancel(owner, &header, out) - 1;
			break;
		case ITEM_WATCH:
			kit_watch(owner, &header, payload, out);
			break;
		case ITEM_UNWATCH:
			kit_unwatch(owner, &header, out);
			break;
		case ITEM_RECEIVED: {
			struct kit_session *session = kit_session(owner, header.session);
			owner->received++;
			if (session != NULL && !owner->lies) {
				assert_int_not_equal(session->stored[header.sequence % KIT_STORED],
						     CODE_WAITING);
				session->received[header.sequence % KIT_STORED] = true;
			}
			kit_list(out, kit_reply(out, &header, ITEM_RECEIVED, CODE_OK, header.session), NULL,
				 0);
			break;
		}
		case ITEM_OUTCOME:
		case ITEM_BACKUP:
			kit_search(owner, &header, payload, out);
			break;
		case ITEM_PING:
			owner->pings++;
			/* fall through */
		default:
			kit_list(
				out,
				kit_reply(out, &header, (enum item_kind)header.kind, CODE_OK, header.session),
				NULL, 0);
		}
	}
	assert_int_equal(reader.left, 0);
	wire_finish_message(out, (uint16_t)items);
	if (owner->durable)
		kit_mark_durable(out);
}

/* The owner dies and another one takes its place; its state survives or not. */
static inline void kit_restart(struct kit_owner *owner, bool durable)
{
	owner->incarnation++;
	owner->leaving = owner->busy = false;
	owner->watch_count = 0;
	if (durable)
		return;
	owner->history++;
	owner->session_count = 0;
	owner->parked_count = 0;
	owner->revision = 0;
}

/* ---- the kit ---- */

static inline struct kit *kit_new(void)
{
	const struct engine_options options = {
		.program = "test", .window = PROTOCOL_WINDOW, .silence_ms = 30000, .random = kit_random
	};
	struct kit *kit = calloc(1, sizeof *kit);

	assert_non_null(kit);
	/* One by one: a whole struct kit_owner is too large for the stack of a build without optimization. */
	kit->owner.incarnation = 100;
	kit->owner.history = 900;
	kit->owner.next_session = 50;
	kit->owner.window = PROTOCOL_WINDOW;
	kit->owner.message_max = PROTOCOL_MESSAGE_MAX_BYTES;
	kit->now_ns = 1000 * NS_PER_S;
	assert_true(engine_init(&kit->engine, &options));
	kit_now = kit;
	return kit;
}

static inline void kit_destroy(struct kit *kit)
{
	engine_clear(&kit->engine);
	buffer_clear(&kit->out);
	buffer_clear(&kit->in);
	free(kit);
}

/* Submits the numbered request; limit in ms, 0 for none. Returns its id. */
static inline uint64_t kit_submit(struct kit *kit, unsigned number, bool query, int64_t limit_ms)
{
	const struct sole_value argument = { .type = SOLE_INTEGER, .integer = number };
	const struct sole_operation operation = { query ? KIT_GET : KIT_PUT, 1, &argument };
	uint64_t id = 0;

	assert_int_equal(engine_submit(&kit->engine, &operation, 1, query ? SOLE_QUERY : 0, kit->now_ns,
				       limit_ms > 0 ? kit->now_ns + limit_ms * NS_PER_MS : INT64_MAX,
				       kit_told, (void *)(uintptr_t)number, &id),
			 SOLE_OK);
	return id;
}

static inline bool kit_next(struct kit *kit)
{
	return engine_next_message(&kit->engine, kit->now_ns, &kit->out);
}

/* The owner takes what kit_next left in kit->out; its reply is in kit->in. */
static inline void kit_serve(struct kit *kit)
{
	kit->owner.now_ns = kit->now_ns;
	kit_take(&kit->owner, kit->out.data, kit->out.size, &kit->in);
}

static inline void kit_hear(struct kit *kit)
{
	engine_receive(&kit->engine, kit->in.data, kit->in.size, kit->now_ns);
}

/* Messages go to and fro until there are none. */
static inline void kit_pump(struct kit *kit)
{
	for (int i = 0; i < 10000; i++) {
		while (engine_deadline(&kit->engine) <= kit->now_ns)
			engine_expire(&kit->engine, kit->now_ns);
		if (!kit_next(kit)) {
			if (engine_deadline(&kit->engine) > kit->now_ns)
				return;
			continue;
		}
		kit_serve(kit);
		if (!kit->owner.drop)
			kit_hear(kit);
	}
	fail_msg("the engine does not come to rest");
}

static inline void kit_wait(struct kit *kit, int64_t ms)
{
	int64_t until_ns = kit->now_ns + ms * NS_PER_MS;

	kit_pump(kit);
	for (;;) {
		int64_t next_ns = engine_deadline(&kit->engine);
		if (next_ns > until_ns)
			break;
		if (next_ns > kit->now_ns)
			kit->now_ns = next_ns;
		kit_pump(kit);
	}
	kit->now_ns = until_ns;
	kit_pump(kit);
}

static inline void kit_connect(struct kit *kit)
{
	kit->owner.watch_count = 0;
	engine_connected(&kit->engine, kit->now_ns);
}

#define assert_told(kit, number, expected)                                                               \
	do {                                                                                             \
		assert_int_equal((kit)->told[number].times, 1);                                          \
		assert_string_equal(code_name((unsigned)(kit)->told[number].code), code_name(expected)); \
	} while (0)
#define assert_untold(kit, number) assert_int_equal((kit)->told[number].times, 0)

#endif
