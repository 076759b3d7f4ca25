/* SPDX-License-Identifier: MIT
 *
 * service.c - from message bodies to reply bodies.
 *
 * A message is read twice. First only its frames of items, all of them: when one
 * is broken nothing of the message runs. Then item by item. Cancels of the whole
 * round are noted in the first reading, so that a cancel overtakes the request that it
 * is meant for.
 */
#include "owner/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CANCELS_MAX = 1024,            /* noted ahead in one round; further ones are answered in turn */
	SILENCE_DEFAULT_MS = 30000,
	SILENCE_LEAST_MS = 1000,
	SILENCE_MOST_MS = 24 * 3600 * 1000,
	EXPIRE_EVERY_MS = 500,
	REPLY_KEEP_BYTES = 65536,      /* a reply's memory is kept for the next round up to this */
	REFUSAL_MAX_BYTES = 256,       /* of a refusal without detail */
	CANCEL_REPLY_BYTES = 64,       /* of what stands before the reply that a cancel repeats */
};

struct noted_cancel {
	uint64_t session, sequence;
	const struct service_message *message;
	bool query, withdrew;
};

struct service {
	struct service_settings settings;
	struct core *core;
	struct service_reply *replies;
	size_t reply_count, reply_room;
	struct noted_cancel cancels[CANCELS_MAX];
	size_t cancel_count;
	uint64_t reply_bytes; /* of the items of this round */
	int64_t now_ns;
	bool leaving;
};

/* One message while it is being answered. */
struct exchange {
	struct service *service;
	struct service_message *message;
	size_t index;
	struct message_header header;
	uint64_t opened;      /* the session of the last OPEN in this message, or 0 and why there is none */
	enum code open_code;
	unsigned items_left;  /* behind the one being answered */
	struct buffer *out;   /* the reply message being written */
	unsigned items;       /* in it */
};

struct service *service_new(const struct service_settings *settings, const char **why)
{
	struct service *service = calloc(1, sizeof *service);

	*why = "no memory for the service";
	if (service == NULL)
		return NULL;
	service->settings = *settings;
	service->core = core_new(&settings->core, why);
	if (service->core == NULL)
		service_destroy(&service);
	return service;
}

void service_destroy(struct service **service)
{
	struct service *s = *service;

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->reply_room; i++)
		buffer_clear(&s->replies[i].body);
	free(s->replies);
	core_destroy(&s->core);
	free(s);
	*service = NULL;
}

struct core *service_core(struct service *service)
{
	return service->core;
}

static struct counters *counters_of(const struct service *service)
{
	return service->settings.core.counters;
}

/* ---- reply messages ---- */

static void write_head(const struct service *service, enum message_kind kind, uint64_t tag, struct buffer *out)
{
	const struct message_header header = {
		.magic = PROTOCOL_MAGIC,
		.version = PROTOCOL_VERSION,
		.kind = (uint8_t)kind,
		.tag = tag,
		.incarnation = service->settings.identity.incarnation,
		.history = service->settings.identity.history,
	};
	wire_write_message_header(out, &header);
}

/* A place for one more reply message of the round; NULL: no memory. */
static struct buffer *next_reply(struct service *service, size_t message)
{
	enum { FIRST_ROOM = 64 };

	if (service->reply_count == service->reply_room) {
		size_t room = service->reply_room ? service->reply_room * 2 : FIRST_ROOM;
		struct service_reply *grown = realloc(service->replies, room * sizeof *grown);
		if (grown == NULL)
			return NULL;
		memset(grown + service->reply_room, 0, (room - service->reply_room) * sizeof *grown);
		service->replies = grown;
		service->reply_room = room;
	}
	struct service_reply *reply = &service->replies[service->reply_count];
	if (reply->body.capacity > REPLY_KEEP_BYTES)
		buffer_clear(&reply->body);
	buffer_reset(&reply->body);
	if (!buffer_reserve(&reply->body, PROTOCOL_MESSAGE_HEADER_BYTES + CORE_REPLY_RESERVE))
		return NULL;
	reply->message = message;
	service->reply_count++;
	return &reply->body;
}

/* gcc 12 loses sight of what hangs in an array, and takes it for leaked. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

static bool begin_message(struct exchange *x)
{
	x->items = 0;
	x->out = next_reply(x->service, x->index);
	if (x->out == NULL)
		return false;
	write_head(x->service, MESSAGE_REPLY, x->header.tag, x->out);
	return true;
}

/* The items from `start` on made the message too long: they move to a message of their own,
 * and the one before becomes a part. Without memory for it they are dropped: false. */
static bool split_message(struct exchange *x, size_t start, unsigned items)
{
	enum { KIND_OFFSET = 5 };
	size_t part = x->service->reply_count - 1;
	unsigned items_before = x->items - items;

	bool begun = begin_message(x);
	struct buffer *before = &x->service->replies[part].body; /* realloc may have moved it */
	if (begun)
		buffer_append(x->out, before->data + start, before->size - start);
	before->size = start;
	if (!begun || x->out->failed) {
		x->service->reply_count = part + 1;
		x->out = before;
		x->items = items_before;
		return false;
	}
	wire_finish_message(before, (uint16_t)items_before);
	before->data[KIND_OFFSET] = MESSAGE_REPLY_PART;
	x->items = items;
	return true;
}

static void refuse(struct exchange *x, const struct request_header *header, enum code code, const char *text)
{
	core_refuse(x->service->core, header, code, -1, text, NULL, x->out);
	x->items++;
}

/* ---- the first reading ---- */

/* May the sender of `a` withdraw a request of the sender of `b`? Requests without a session bear
 * numbers that other connections use too. */
static bool same_sender(const struct service_message *a, const struct service_message *b, uint64_t session)
{
	if (a->caller.known != b->caller.known || a->caller.uid != b->caller.uid)
		return false;
	return session != 0 || (a->caller.pid == b->caller.pid && a->peer == b->peer);
}

static void note_cancel(struct service *service, const struct service_message *message,
			const struct request_header *header)
{
	bool query = (header->flags & REQUEST_FLAG_QUERY) != 0;

	/* A command without a session cannot be named, and core_cancel says so. */
	if (service->cancel_count == CANCELS_MAX || (header->session == 0 && !query))
		return;
	service->cancels[service->cancel_count++] = (struct noted_cancel){
		.session = header->session,
		.sequence = header->sequence,
		.message = message,
		.query = query,
	};
}

/* The frames of all items: do they fill the message? Notes cancels only when all is well. */
static bool frames_are_sound(struct service *service, const struct service_message *message,
			     struct wire_reader reader, unsigned count)
{
	struct wire_reader payload;
	struct request_header request;
	size_t noted = service->cancel_count;

	for (unsigned i = 0; i < count; i++) {
		if (!wire_read_request_header(&reader, &request) ||
		    !wire_read_payload(&reader, request.size, &payload))
			break;
		if (request.kind == ITEM_CANCEL)
			note_cancel(service, message, &request);
	}
	if (!reader.bad && reader.left == 0 && count > 0 && count <= PROTOCOL_ITEMS_MAX)
		return true;
	service->cancel_count = noted;
	return false;
}

static enum service_verdict judge(struct service *service, const struct service_message *message)
{
	struct wire_reader reader = wire_reader(message->body, message->size);
	struct message_header header;

	if (!wire_read_message_header(&reader, &header) || header.magic != PROTOCOL_MAGIC)
		return MESSAGE_UNREADABLE;
	if (header.version < PROTOCOL_VERSION_LEAST || header.version > PROTOCOL_VERSION)
		return MESSAGE_VERSION;
	if (message->overlong || header.kind != MESSAGE_REQUEST || !frames_are_sound(service, message, reader, header.count))
		return MESSAGE_BROKEN;
	return MESSAGE_SOUND;
}

/* ---- items ---- */

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
static bool round_is_spent(const struct service *service)
{
	return service->reply_bytes >= (uint64_t)service->settings.core.limits->outbox_total_bytes;
}

static void refuse_spent(struct exchange *x, const struct request_header *header)
{
	counters_of(x->service)->limit_outboxes++;
	refuse(x, header, CODE_BUSY, "the replies of this round take as much as max-outboxes allows");
}

/* What the reply items being written may take. A peer that takes parts has a whole message for
 * each; any other must find room in the one message for a refusal of every later item. */
static size_t room_left(const struct exchange *x)
{
	enum { MOST = PROTOCOL_MESSAGE_MAX_BYTES - CANCEL_REPLY_BYTES };

	if (round_is_spent(x->service))
		return REFUSAL_MAX_BYTES;
	if (x->message->notices)
		return MOST - PROTOCOL_MESSAGE_HEADER_BYTES;
	size_t used = x->out->size + (size_t)x->items_left * REFUSAL_MAX_BYTES;
	return used < MOST ? MOST - used : 0;
}

static void item_run(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct service *service = x->service;
	enum code verdict = CODE_OK;

	/* These two use no sequence, and so are no answer to what was admitted before. */
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
	if (service->cancel_count > 0 && cancel_noted(x, header))
		verdict = CODE_CANCELLED;
	else if (deadline_passed(service, header))
		verdict = CODE_EXPIRED;
	core_run(service->core, &x->message->caller, header, payload, verdict, room_left(x), x->out);
	x->items++;
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

static void answer_list(struct exchange *x, const struct request_header *header, const struct value *list, size_t count)
{
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);

	wire_write_list(x->out, list, count);
	wire_finish_item(x->out, start);
	x->items++;
}

static void item_hello(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	const struct service *service = x->service;
	const struct behaviour *behaviour = core_behaviour(service->core);
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
	const struct value answer[] = {
		value_integer(PROTOCOL_VERSION),
		value_text(service->settings.identity.name),
		value_text(behaviour->name),
		value_integer(behaviour->version),
		value_integer(PROTOCOL_MESSAGE_MAX_BYTES),
		value_integer(limits->operations),
		value_integer(PROTOCOL_WINDOW),
		value_integer(0), /* durable */
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
	enum code code = x->open_code = core_open_session(service->core, &x->message->caller, list[0].bytes, &session);
	if (code != CODE_OK) {
		refuse(x, header, code, code == CODE_BUSY ? "as many sessions are open as max-sessions allows" : NULL);
		return;
	}
	int64_t silence_ms = list[1].integer == 0 ? SILENCE_DEFAULT_MS : list[1].integer;
	silence_ms = silence_ms < SILENCE_LEAST_MS ? SILENCE_LEAST_MS : silence_ms;
	silence_ms = silence_ms > SILENCE_MOST_MS ? SILENCE_MOST_MS : silence_ms;
	session->silence_ms = (uint32_t)silence_ms;
	session->heard_ns = service->now_ns;
	x->opened = session->id;
	struct request_header named = *header;
	named.session = session->id;
	const struct value answer = value_integer(silence_ms);
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
	core_end_session(x->service->core, &session);
	counters_of(x->service)->sessions_goodbye++;
	answer_list(x, header, NULL, 0);
}

static void item_ping(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	(void)payload;
	answer_list(x, header, NULL, 0);
}

static void item_status(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	const struct service *service = x->service;
	const struct identity *identity = &service->settings.identity;
	const struct gauges *gauges = service->settings.gauges;
	struct core *core = service->core;
	char history[17];
	snprintf(history, sizeof history, "%016llx", (unsigned long long)identity->history);
	const struct value list[] = {
		value_text("name"), value_text(identity->name),
		value_text("state"), value_text(service->leaving ? "leaving" : "serving"),
		value_text("pid"), value_integer(identity->pid),
		value_text("behaviour"), value_text(core_behaviour(core)->name),
		value_text("behaviour-version"), value_integer(core_behaviour(core)->version),
		value_text("protocol"), value_integer(PROTOCOL_VERSION),
		value_text("durability"), value_text("memory"),
		value_text("incarnation"), value_integer((int64_t)identity->incarnation),
		value_text("history"), value_text(history),
		value_text("revision"), value_integer((int64_t)core_revision(core)),
		value_text("uptime-ms"), value_integer((service->now_ns - service->settings.started_ns) / 1000000),
		value_text("sessions"), value_integer((int64_t)sessions_count(core_sessions(core))),
		value_text("connections"), value_integer((int64_t)gauges->connections),
		value_text("entries"), value_integer((int64_t)store_entries(core_store(core))),
		value_text("state-bytes"), value_integer((int64_t)store_bytes(core_store(core))),
		value_text("outbox-bytes"), value_integer((int64_t)gauges->outbox_bytes),
		value_text("resident-bytes"), value_integer((int64_t)gauges->resident_bytes),
	};

	(void)payload;
	answer_list(x, header, list, sizeof list / sizeof *list);
}

static void item_stats(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	const struct counters *counters = counters_of(x->service);
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);

	(void)payload;
#define COUNTER(field, unit, sentence)                                                             \
	wire_write_list(x->out,                                                                    \
			(const struct value[]){ value_text(#field), value_integer((int64_t)counters->field), \
						value_text(unit), value_text(sentence) },          \
			4);
#include "owner/counters.def"
#undef COUNTER
	wire_finish_item(x->out, start);
	x->items++;
}

/* "key:key value:integer or bytes", as a person writes a signature. */
static void write_fields(const struct field *fields, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (; fields->type != FIELD_END && used < size; fields++)
		used += (size_t)snprintf(text + used, size - used, "%s%s:%s", used ? ", " : "", fields->name,
					 field_type_name(fields->type));
}

static void item_describe(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	const struct behaviour *behaviour = core_behaviour(x->service->core);
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);

	(void)payload;
	for (size_t i = 0; i < behaviour->operation_count; i++) {
		const struct operation *operation = &behaviour->operations[i];
		char arguments[256], results[256];
		write_fields(operation->arguments, arguments, sizeof arguments);
		write_fields(operation->results, results, sizeof results);
		const struct value list[] = {
			value_integer(operation->number), value_text(operation->name),
			value_text(operation->kind == OPERATION_QUERY ? "query" : "command"),
			value_text(arguments), value_text(results), value_text(operation->help),
		};
		wire_write_list(x->out, list, sizeof list / sizeof *list);
	}
	wire_finish_item(x->out, start);
	x->items++;
}

/* A kind of item that is not here is a request nobody answers: the switch has no default,
 * so that a new one fails to build. */
static void item(struct exchange *x, const struct request_header *header, struct wire_reader payload)
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
		item_ping(x, header, payload);
		return;
	case ITEM_STATUS:
		item_status(x, header, payload);
		return;
	case ITEM_STATS:
		item_stats(x, header, payload);
		return;
	case ITEM_DESCRIBE:
		item_describe(x, header, payload);
		return;
	case ITEM_LEAVING:
		break;
	}
	refuse(x, header, CODE_MALFORMED, "there is no item of this kind in a request");
}

/* Anything that names a session is a sign of life of its client. */
static void hear(struct exchange *x, const struct request_header *header)
{
	struct session *session = header->session == 0 ? NULL :
				  sessions_find(core_sessions(x->service->core), header->session);

	if (session != NULL && session_belongs(session, &x->message->caller))
		session->heard_ns = x->service->now_ns;
}

/* ---- a message ---- */

static void answer_item(struct exchange *x, struct request_header *header, struct wire_reader payload)
{
	size_t start = x->out->size;
	unsigned items = x->items;

	if (header->session == SESSION_OPENED) {
		header->session = x->opened;
		if (x->opened == 0) {
			refuse(x, header, x->open_code, "the session that it names was not opened in this message");
			return;
		}
	}
	hear(x, header);
	size_t room = room_left(x);
	item(x, header, payload);
	/* RUN and CANCEL keep to the room themselves, and the answers of whatever else changes
	 * anything are small. */
	bool too_large = x->out->size - start > room && header->kind != ITEM_RUN && header->kind != ITEM_CANCEL;
	if (x->out->failed || too_large) {
		bool failed = x->out->failed;
		x->out->size = start;
		x->out->failed = false;
		x->items = items;
		if (failed)
			refuse(x, header, CODE_NO_MEMORY, NULL);
		else if (round_is_spent(x->service))
			refuse_spent(x, header);
		else
			refuse(x, header, CODE_TOO_LARGE, "the reply would not fit into a message: ask for less at a time");
	}
}

static void answer_items(struct exchange *x)
{
	struct wire_reader reader = wire_reader(x->message->body, x->message->size), payload;
	struct message_header again;
	struct request_header header;

	wire_read_message_header(&reader, &again);
	x->open_code = CODE_INVALID;
	for (x->items_left = x->header.count; x->items_left-- > 0;) {
		wire_read_request_header(&reader, &header);
		wire_read_payload(&reader, header.size, &payload);
		/* Room for a refusal before anything runs: what ran is always answered. */
		if (!buffer_reserve(x->out, CORE_REPLY_RESERVE))
			return;
		size_t start = x->out->size;
		unsigned items = x->items;
		answer_item(x, &header, payload);
		x->service->reply_bytes += x->out->size - start;
		if (x->out->size > PROTOCOL_MESSAGE_MAX_BYTES && items > 0 &&
		    !split_message(x, start, x->items - items))
			return;
	}
}

static void answer(struct service *service, struct service_message *message, size_t index)
{
	static const struct request_header no_item = { 0 };
	struct exchange x = { .service = service, .message = message, .index = index };
	struct wire_reader reader = wire_reader(message->body, message->size);

	wire_read_message_header(&reader, &x.header);
	if (!begin_message(&x))
		return;
	if (message->verdict == MESSAGE_SOUND) {
		answer_items(&x);
	} else if (message->verdict == MESSAGE_BROKEN) {
		refuse(&x, &no_item, CODE_MALFORMED,
		       message->overlong ? "frames follow the body: nothing of it was run" :
					   "the items do not fill the message: nothing of it was run");
	} else {
		const struct value list[] = { value_integer(-1), value_text(code_text(CODE_VERSION)),
					      value_integer(PROTOCOL_VERSION_LEAST), value_integer(PROTOCOL_VERSION) };
		size_t start = core_begin_reply(service->core, &no_item, CODE_VERSION, x.out);
		wire_write_list(x.out, list, sizeof list / sizeof *list);
		wire_finish_item(x.out, start);
		x.items++;
	}
	/* When memory ran out the last items have no answer; the others go. */
	x.out->failed = false;
	wire_finish_message(x.out, (uint16_t)x.items);
}

void service_round(struct service *service, struct service_message *messages, size_t count, int64_t now_ns,
		   int64_t wall_us)
{
	struct counters *counters = counters_of(service);

	service->now_ns = now_ns;
	service->reply_count = 0;
	service->cancel_count = 0;
	service->reply_bytes = 0;
	core_set_clock(service->core, wall_us);
	for (size_t i = 0; i < count; i++) {
		messages[i].verdict = judge(service, &messages[i]);
		counters->messages++;
		counters->messages_malformed += messages[i].verdict != MESSAGE_SOUND;
	}
	for (size_t i = 0; i < count; i++)
		if (messages[i].verdict != MESSAGE_UNREADABLE)
			answer(service, &messages[i], i);
}

const struct service_reply *service_replies(const struct service *service, size_t *count)
{
	*count = service->reply_count;
	return service->replies;
}

void service_expire(struct service *service, int64_t now_ns, int64_t wall_us, int64_t *next_ns)
{
	struct sessions *sessions = core_sessions(service->core);
	struct session *session;
	size_t cursor = 0;

	core_set_clock(service->core, wall_us);
	while ((session = sessions_next(sessions, &cursor)) != NULL)
		if (now_ns - session->heard_ns > (int64_t)session->silence_ms * 1000000) {
			core_end_session(service->core, &session);
			counters_of(service)->sessions_silent++;
		}
	*next_ns = now_ns + EXPIRE_EVERY_MS * 1000000LL;
}

void service_leave(struct service *service, struct buffer *notice)
{
	const struct request_header header = { .kind = ITEM_LEAVING };

	service->leaving = true;
	buffer_reset(notice);
	write_head(service, MESSAGE_NOTICE, 0, notice);
	size_t start = core_begin_reply(service->core, &header, CODE_LEAVING, notice);
	wire_write_list(notice, NULL, 0);
	wire_finish_item(notice, start);
	wire_finish_message(notice, 1);
}
