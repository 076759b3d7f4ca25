/* SPDX-License-Identifier: MIT
 *
 * service.c - rounds: message bodies in, reply bodies out.
 *
 * A message is read twice. First only its frames of items, all of them: when one
 * is broken nothing of the message runs. Then item by item (items.c). Cancels of the whole
 * round are noted in the first reading, so that a cancel overtakes the request that it
 * is meant for.
 */
#include "owner/service/service_parts.h"
#include "common/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
	SESSIONS_EVERY_MS = 500, /* looking for silent sessions */
	WAITS_EVERY_MS = 5,      /* looking for requests that have waited long enough, at the most */
	REPLY_KEEP_BYTES = 65536, /* a reply's memory is kept for the next round up to this */
};

struct service *service_new(const struct service_settings *settings, const char **why)
{
	struct service *service = calloc(1, sizeof *service);

	*why = "no memory for the service";
	if (service == NULL)
		return NULL;
	service->settings = *settings;
	service->waits_ns = INT64_MAX;
	access_init(&service->no_rules, settings->identity.uid);
	service->access = settings->access != NULL ? settings->access : &service->no_rules;
	service->read_only = settings->read_only;
	service->core = core_new(&settings->core, why);
	if (service->core == NULL || !numbers_init(service))
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
	free(s->processes);
	for (size_t i = 0; i < s->watch_count; i++)
		free(s->watches[i].prefix);
	free(s->watches);
	buffer_clear(&s->notice);
	numbers_clear(s);
	core_destroy(&s->core);
	free(s);
	*service = NULL;
}

/* Of whom a session is, is known in part where an owner before this one has opened it: then it is judged when it is next
 * heard of. */
static size_t revoke_sessions(struct service *service)
{
	struct session *session;
	size_t cursor = 0, count = 0;

	while ((session = sessions_next(core_sessions(service->core), &cursor)) != NULL) {
		const struct caller *opener = &session->opener;
		bool judged = opener->known && (opener->key_name[0] != '\0' || !caller_is_keyed(opener));
		session->revoked = judged && access_right(service->access, opener) < RIGHT_COMMAND;
		count += session->revoked;
	}
	if (count > 0)
		service->sessions_ns = service->now_ns;
	return count;
}

struct revoked service_set_access(struct service *service, const struct access *access)
{
	service->access = access != NULL ? access : &service->no_rules;
	return (struct revoked){ .sessions = revoke_sessions(service), .watches = watches_revoke(service) + traces_revoke(service) };
}

size_t service_end_keys(struct service *service, bool (*known)(const void *context, uint64_t number), const void *context)
{
	struct session *session;
	size_t cursor = 0, count = 0;

	while ((session = sessions_next(core_sessions(service->core), &cursor)) != NULL) {
		const struct caller *opener = &session->opener;
		if (!caller_is_keyed(opener) || known(context, opener->born))
			continue;
		session->revoked = true;
		count++;
	}
	if (count > 0)
		service->sessions_ns = service->now_ns;
	return count;
}

struct denials *service_denials(struct service *service)
{
	return &service->denials;
}

bool service_is_read_only(const struct service *service, const struct caller **by)
{
	*by = service->read_only_told ? &service->read_only_by : NULL;
	return service->read_only;
}

struct core *service_core(struct service *service)
{
	return service->core;
}

void service_set_storage(struct service *service, const struct storage *storage)
{
	service->storage = storage;
}

void service_set_synced(struct service *service, uint64_t revision)
{
	service->synced = revision;
}

/* ---- reply messages ---- */

void write_head(const struct service *service, enum message_kind kind, uint64_t tag, struct buffer *out)
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

/* ---- the first reading ---- */

static void note_cancel(struct service *service, const struct service_message *message,
			const struct request_header *header)
{
	bool query = (header->flags & REQUEST_FLAG_QUERY) != 0;

	/* A command without a session cannot be named, and core_cancel says so. Who may not cancel takes nobody's place. */
	if (service->cancel_count == CANCELS_MAX || (header->session == 0 && !query) ||
	    !access_gives(access_find(service->access, &message->caller), RIGHT_QUERY))
		return;
	service->cancels[service->cancel_count++] = (struct noted_cancel){
		.session = header->session,
		.sequence = header->sequence,
		.message = message,
		.query = query,
	};
}

/* Notes the keys that a request will ask for. What is wrong with it is for later to find out. */
static void expect_keys(struct service *service, struct wire_reader payload)
{
	enum { ONE_OPERATION = 28 }; /* bytes beside the key: behind it is a number at the most, and not worth looking at */
	struct core *core = service->core;
	struct value key, ignored;
	uint16_t number;
	size_t count;

	while (service->expected_count < EXPECTED_MOST) {
		if (wire_peek_key(&payload, &number, &key)) {
			const struct sole_operation_entry *operation = core_operation(core, number);
			if (operation != NULL && operation_begins_with_key(operation))
				service->expected[service->expected_count++] = store_expect(core_store(core), key.bytes, key.size);
			if (payload.left < key.size + ONE_OPERATION)
				return;
		}
		if (payload.left == 0 || !wire_read_u16(&payload, &number) || !wire_read_list(&payload, &ignored, 1, &count))
			return;
	}
}

/* The frames of all items: do they fill the message? Notes cancels only when all is well. */
static bool frames_are_sound(struct service *service, const struct service_message *message,
			     struct wire_reader reader, unsigned count)
{
	struct request_header request;
	size_t noted = service->cancel_count;
	struct wire_reader payload;
	uint8_t kind;

	for (unsigned i = 0; i < count; i++) {
		struct wire_reader item = reader;
		if (!wire_skip_item(&reader, &kind, &payload))
			break;
		if (kind == ITEM_RUN && service->expects)
			expect_keys(service, payload);
		else if (kind == ITEM_CANCEL && wire_read_request_header(&item, &request))
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
	service->expects |= header.count > 1;
	if (message->overlong || header.kind != MESSAGE_REQUEST || !frames_are_sound(service, message, reader, header.count))
		return MESSAGE_BROKEN;
	return MESSAGE_SOUND;
}

/* Anything that names a session is a sign of life of its client. Who may not command (any more) has none. */
static void hear(struct exchange *x, const struct request_header *header)
{
	struct session *session = header->session == 0 ? NULL :
				  sessions_find(core_sessions(x->service->core), header->session);

	if (session == NULL)
		return;
	if (!session_belongs(session, &x->message->caller)) {
		note_denial(x, "a session of somebody else");
		return;
	}
	if (!service_may(x, RIGHT_COMMAND)) {
		session->revoked = true;
		x->service->sessions_ns = x->service->now_ns;
	}
	session->heard_ns = x->service->now_ns;
	if (x->message->connection != 0)
		session->connection = x->message->connection;
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
	if (header->kind != ITEM_RUN && !item_allowed(x, header))
		return;
	item_answer(x, header, payload);
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

/* Is it a command that was not admitted before? Asked only where the answer makes a difference. */
static bool is_fresh(const struct exchange *x, const struct request_header *header)
{
	return x->service->settings.durability == DURABILITY_INTERVAL && header->kind == ITEM_RUN &&
	       (header->flags & REQUEST_FLAG_QUERY) == 0 &&
	       !core_admitted(x->service->core, &x->message->caller, header);
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
		bool fresh = is_fresh(x, &header);
		answer_item(x, &header, payload);
		mark_durable(x->service, fresh, start, x->out);
		x->service->reply_bytes += x->out->size - start;
		if (x->out->size > PROTOCOL_MESSAGE_MAX_BYTES && items > 0 &&
		    !split_message(x, start, x->items - items))
			return;
	}
}

static void answer(struct service *service, struct service_message *message, size_t index)
{
	static const struct request_header no_item = { 0 };
	struct exchange x = { .service = service, .message = message, .index = index,
			      .rule = access_find(service->access, &message->caller) };
	struct wire_reader reader = wire_reader(message->body, message->size);

	wire_read_message_header(&reader, &x.header);
	if (!begin_message(&x))
		return;
	if (message->verdict == MESSAGE_SOUND) {
		numbers_message(&x);
		answer_items(&x);
		numbers_message_over(&x);
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

/* Brings the keys of the next messages into the cache, of as many as its fastest part has room for. Returns the message
 * behind them; `*keys`: of how many keys that has been done. */
static size_t read_ahead(const struct service *service, const struct service_message *messages, size_t from, size_t count,
			 size_t *keys)
{
	size_t more = 0;

	while (from < count && more < AHEAD_KEYS)
		more += messages[from++].expected;
	store_read_ahead(core_store(service->core), service->expected + *keys, more);
	*keys += more;
	return from;
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
	core_tick(service->core);
	/* One after the other, each key would be waited for; of one alone nothing is to be had. */
	service->expects = count > 1;
	service->expected_count = 0;
	for (size_t i = 0; i < count; i++) {
		size_t expected = service->expected_count;
		messages[i].verdict = judge(service, &messages[i]);
		messages[i].expected = service->expected_count - expected;
		counters->messages++;
		counters->messages_malformed += messages[i].verdict != MESSAGE_SOUND;
	}
	numbers_round(service, count, wall_us);
	for (size_t i = 0, ahead = 0, keys = 0; i < count; i++) {
		if (i == ahead)
			ahead = read_ahead(service, messages, ahead, count, &keys);
		if (messages[i].verdict != MESSAGE_UNREADABLE)
			answer(service, &messages[i], i);
	}
}

const struct service_reply *service_replies(const struct service *service, size_t *count)
{
	*count = service->reply_count;
	return service->replies;
}

/* ---- what is due by the clock ---- */

static void end_silent_sessions(struct service *service, int64_t now_ns)
{
	struct sessions *sessions = core_sessions(service->core);
	struct session *session;
	size_t cursor = 0;

	service->sessions_ns = now_ns + SESSIONS_EVERY_MS * NS_PER_MS;
	while ((session = sessions_next(sessions, &cursor)) != NULL) {
		bool dead = session->dead, revoked = session->revoked;
		if ((!dead && !revoked && now_ns - session->heard_ns <= session->silence_ms * NS_PER_MS) ||
		    core_end_session(service->core, &session) != CODE_OK)
			continue;
		if (revoked)
			counters_of(service)->sessions_ended++;
		else if (dead)
			counters_of(service)->sessions_died++;
		else
			counters_of(service)->sessions_silent++;
	}
}

void service_spare_silent(struct service *service, int64_t until_ns)
{
	if (service->sessions_ns < until_ns)
		service->sessions_ns = until_ns;
}

/* Which requests are due is looked for among all that wait, and so not more often than their
 * clients will notice. */
static void end_waits(struct service *service, int64_t now_ns)
{
	struct sessions *sessions = core_sessions(service->core);
	struct session *session;
	size_t cursor = 0;
	uint64_t sequence;

	service->waits_ns = INT64_MAX;
	while ((session = sessions_next(sessions, &cursor)) != NULL)
		while ((sequence = session_overdue(session, now_ns, &service->waits_ns)) != 0)
			if (!core_expire(service->core, session->id, sequence)) {
				service->waits_ns = now_ns;
				break;
			}
	service->waits_from_ns = now_ns + WAITS_EVERY_MS * NS_PER_MS;
	if (service->waits_ns < service->waits_from_ns)
		service->waits_ns = service->waits_from_ns;
}

void service_tend(struct service *service, int64_t now_ns, int64_t wall_us, int64_t *next_ns)
{
	service->now_ns = now_ns;
	core_set_clock(service->core, wall_us);
	if (now_ns >= service->sessions_ns)
		end_silent_sessions(service, now_ns);
	if (now_ns >= service->waits_ns)
		end_waits(service, now_ns);
	int64_t due_us = core_tick(service->core);
	*next_ns = sessions_count(core_sessions(service->core)) > 0 ? service->sessions_ns : INT64_MAX;
	if (service->waits_ns < *next_ns)
		*next_ns = service->waits_ns;
	if (due_us == INT64_MAX)
		return;
	/* A wall clock that was set back, or a time far off: asked again within the hour. */
	int64_t wait_us = due_us > wall_us ? due_us - wall_us : 0;
	if (wait_us > 3600 * 1000000LL)
		wait_us = 3600 * 1000000LL;
	if (now_ns + wait_us * 1000 < *next_ns)
		*next_ns = now_ns + wait_us * 1000;
}

/* ---- ends of processes and connections ---- */

void note_process(struct service *service, const struct caller *caller)
{
	enum { FIRST_ROOM = 64 };

	if (!caller->known || caller_is_keyed(caller))
		return;
	if (service->process_count == service->process_room) {
		size_t room = service->process_room ? service->process_room * 2 : FIRST_ROOM;
		pid_t *grown = realloc(service->processes, room * sizeof *grown);
		if (grown == NULL)
			return;
		service->processes = grown;
		service->process_room = room;
	}
	service->processes[service->process_count++] = caller->pid;
}

void service_resume(struct service *service, const struct identity *identity, int64_t now_ns)
{
	uint64_t (*born)(pid_t) = service->settings.process_born;
	struct session *session;
	size_t cursor = 0;

	service->settings.identity = *identity;
	service->sessions_ns = now_ns;
	service->watches_at = events_next(core_events(service->core));
	usage_reset(core_usage(service->core)); /* of what was replayed */
	while ((session = sessions_next(core_sessions(service->core), &cursor)) != NULL) {
		const struct caller *opener = &session->opener;
		session->heard_ns = now_ns;
		session->dead = opener->known && !caller_is_keyed(opener) && born != NULL && opener->born != 0 &&
				born(opener->pid) != opener->born;
		if (!session->dead)
			note_process(service, opener);
	}
	revoke_sessions(service);
}

bool service_next_process(struct service *service, pid_t *pid)
{
	if (service->process_count == 0)
		return false;
	*pid = service->processes[--service->process_count];
	return true;
}

void service_process_ended(struct service *service, pid_t pid)
{
	struct session *session;
	size_t cursor = 0;

	while ((session = sessions_next(core_sessions(service->core), &cursor)) != NULL)
		if (session->opener.known && session->opener.pid == pid) {
			if (core_end_session(service->core, &session) == CODE_OK)
				counters_of(service)->sessions_died++;
			else
				session->dead = true; /* tried again with the silent ones */
		}
}

void service_connection_ended(struct service *service, uint64_t connection)
{
	watches_end(service, connection);
	traces_end(service, connection);
	clients_ended(&service->numbers.clients, connection);
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
