/* SPDX-License-Identifier: MIT
 *
 * watch.c - what leaves an owner without being asked for: events, to those who watch, and the
 * answers of requests that waited.
 *
 * A watch is a place in the ring of events and nothing else: a watcher that does not read costs
 * no memory. When the ring has moved past its place it is told so, and where to start again.
 *
 * Who hears nothing, because nothing happens to what it watches, is told now and then how far the owner
 * has looked for it: else it would come back from a cut with a place that the ring has long left.
 */
#include "owner/service/service_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
	NOTICE_BYTES = 65536,       /* of events in one message, or one event */
	NOTICES_AT_ONCE = 8,        /* to one watch, before the others have their turn */
	LOOKS_AT_ONCE = 4096,       /* events looked at for one watch, matching or not */
	LOOKS_IN_ALL = 65536,       /* for all of them, before the next round has its turn */
	PROGRESS_PARTS = 4,         /* of the ring: after each a watch is told where it stands */
};

/* ---- asking ---- */

static struct watch *find(const struct service *service, uint64_t connection, uint64_t id)
{
	for (size_t i = 0; i < service->watch_count; i++)
		if (service->watches[i].connection == connection && service->watches[i].id == id)
			return &service->watches[i];
	return NULL;
}

static void end(struct service *service, struct watch *watch)
{
	free(watch->prefix);
	*watch = service->watches[--service->watch_count];
}

void watches_end(struct service *service, uint64_t connection)
{
	for (size_t i = service->watch_count; i-- > 0;)
		if (service->watches[i].connection == connection)
			end(service, &service->watches[i]);
}

size_t watches_revoke(struct service *service)
{
	size_t count = 0;

	for (size_t i = 0; i < service->watch_count; i++) {
		struct watch *watch = &service->watches[i];
		watch->revoked = !access_allows(access_find(service->access, &watch->caller), ACCESS_WATCH, true);
		count += watch->revoked;
	}
	service->watches_behind |= count > 0;
	return count;
}

static bool grow(struct service *service)
{
	enum { FIRST_ROOM = 16 };

	if (service->watch_count < service->watch_room)
		return true;
	size_t room = service->watch_room ? service->watch_room * 2 : FIRST_ROOM;
	struct watch *grown = realloc(service->watches, room * sizeof *grown);
	if (grown == NULL)
		return false;
	service->watches = grown;
	service->watch_room = room;
	return true;
}

/* Where a watch begins: CODE_OK; CODE_TOO_OLD and where to start again; or CODE_INVALID. */
static enum code begin_at(const struct service *service, const struct value *list, uint64_t *next, uint64_t *start)
{
	const struct events *events = core_events(service->core);
	uint64_t history = (uint64_t)list[1].integer, revision = (uint64_t)list[2].integer;

	uint64_t now = core_revision(service->core);

	*start = now + 1;
	*next = events_next(events);
	if (revision == 0)
		return CODE_OK;
	if (history != service->settings.identity.history)
		return CODE_TOO_OLD;
	/* A loss of power has taken what had left already. */
	if (revision > now + 1 && service->settings.durability == DURABILITY_INTERVAL)
		return CODE_TOO_OLD;
	if (revision > now + 1 || (revision == now + 1 && list[3].integer > 0))
		return CODE_INVALID;
	*start = revision;
	return events_seek(events, start, (uint32_t)list[3].integer, next) ? CODE_OK : CODE_TOO_OLD;
}

void item_watch(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct service *service = x->service;
	struct counters *counters = counters_of(service);
	struct value list[4];
	uint64_t next, start;
	size_t count;

	if (!wire_read_list(&payload, list, 4, &count) || count != 4 || list[0].type != VALUE_BYTES ||
	    list[1].type != VALUE_INTEGER || list[2].type != VALUE_INTEGER || list[3].type != VALUE_INTEGER ||
	    list[3].integer < 0 || list[3].integer > UINT32_MAX) {
		refuse(x, header, CODE_INVALID, "watch takes a prefix, a history, a revision and an index");
		return;
	}
	if (!x->message->notices || x->message->connection == 0) {
		refuse(x, header, CODE_INVALID, "a watch needs a connection whose hello takes notices");
		return;
	}
	if (list[0].size > service->settings.core.limits->key_bytes) {
		counters->limit_key++;
		refuse(x, header, CODE_TOO_LARGE, "a prefix is no longer than max-key");
		return;
	}
	/* One of that number is replaced, whatever becomes of this one. */
	struct watch *watch = find(service, x->message->connection, header->sequence);
	if (watch != NULL)
		end(service, watch);
	enum code code = begin_at(service, list, &next, &start);
	if (code == CODE_INVALID) {
		refuse(x, header, code, "the revision asked for is beyond the next one");
		return;
	}
	if (code != CODE_OK) {
		const struct value detail = value_integer((int64_t)start);
		counters->watches_behind++;
		core_refuse(service->core, header, code, -1, NULL, &detail, x->out);
		x->items++;
		return;
	}
	if (service->watch_count >= (size_t)service->settings.core.limits->watches) {
		counters->limit_watches++;
		refuse(x, header, CODE_BUSY, "as many watches are open as max-watches allows");
		return;
	}
	uint8_t *prefix = malloc(list[0].size > 0 ? list[0].size : 1);
	if (prefix == NULL || !grow(service)) {
		free(prefix);
		refuse(x, header, CODE_NO_MEMORY, NULL);
		return;
	}
	memcpy(prefix, list[0].bytes, list[0].size);
	service->watches[service->watch_count++] =
		(struct watch){ .connection = x->message->connection, .id = header->sequence, .next = next, .told = next,
				.prefix = prefix, .prefix_size = list[0].size, .caller = x->message->caller };
	service->watches_behind = true;
	counters->watches_opened++;
	const struct value answer = value_integer((int64_t)core_revision(service->core));
	answer_list(x, header, &answer, 1);
}

void item_unwatch(struct exchange *x, const struct request_header *header)
{
	struct watch *watch = find(x->service, x->message->connection, header->sequence);

	if (watch != NULL)
		end(x->service, watch);
	answer_list(x, header, NULL, 0);
}

/* ---- delivering ---- */

size_t begin_notice(struct service *service, enum item_kind kind, uint64_t id, enum code code)
{
	const struct request_header header = { .kind = (uint8_t)kind, .sequence = id };
	struct buffer *out = &service->notice;

	buffer_reset(out);
	write_head(service, MESSAGE_NOTICE, 0, out);
	return core_begin_reply(service->core, &header, code, out);
}

bool send_notice(struct service *service, const struct outlet *outlet, uint64_t connection, size_t item)
{
	struct buffer *out = &service->notice;

	wire_finish_item(out, item);
	wire_finish_message(out, 1);
	bool sent = outlet->send(outlet->context, connection, out);
	if (out->capacity > 4 * NOTICE_BYTES)
		buffer_clear(out);
	return sent;
}

static bool matches(const struct watch *watch, const struct event *event)
{
	return event->key.type == VALUE_BYTES && event->key.size >= watch->prefix_size &&
	       memcmp(event->key.bytes, watch->prefix, watch->prefix_size) == 0;
}

/* Sends the next events that match, as many as go into one message. False: there were none, or they
 * could not be sent (*stuck) and it keeps its place. */
static bool send_events(struct service *service, struct watch *watch, const struct outlet *outlet, unsigned *looks,
			bool *stuck)
{
	const struct events *events = core_events(service->core);
	struct buffer *out = &service->notice;
	uint64_t sent = 0, next = watch->next, told = watch->told;
	size_t item = begin_notice(service, ITEM_EVENTS, watch->id, CODE_OK);

	for (; next < events_next(events) && out->size < NOTICE_BYTES && *looks > 0; --*looks) {
		const struct event event = events_get(events, next);
		next = event.next;
		if (!matches(watch, &event))
			continue;
		/* [revision, index, kind, key, value], the last three as they are kept. */
		const struct value name[] = { value_integer((int64_t)event.revision), value_integer(event.index) };
		buffer_u8(out, 5);
		wire_write_value(out, &name[0]);
		wire_write_value(out, &name[1]);
		buffer_append(out, event.values.at, event.values.left);
		sent++;
		told = next;
	}
	*stuck = out->failed || (sent > 0 && !send_notice(service, outlet, watch->connection, item));
	if (*stuck)
		return false;
	watch->next = next;
	watch->told = told;
	counters_of(service)->events_sent += sent;
	return sent > 0;
}

/* Its user has lost the right to it. */
static bool tell_revoked(struct service *service, const struct watch *watch, const struct outlet *outlet)
{
	size_t item = begin_notice(service, ITEM_EVENTS, watch->id, CODE_DENIED);

	write_refusal(-1, code_text(CODE_DENIED), NULL, &service->notice);
	return send_notice(service, outlet, watch->connection, item);
}

static bool tell_behind(struct service *service, const struct watch *watch, const struct outlet *outlet)
{
	uint64_t start = 1, number;
	size_t item = begin_notice(service, ITEM_EVENTS, watch->id, CODE_TOO_OLD);

	events_seek(core_events(service->core), &start, 0, &number);
	const struct value detail = value_integer((int64_t)start);
	write_refusal(-1, code_text(CODE_TOO_OLD), &detail, &service->notice);
	if (!send_notice(service, outlet, watch->connection, item))
		return false;
	counters_of(service)->watches_behind++;
	return true;
}

/* The place of the next event to look at, where the client has heard nothing for long: one list of its
 * revision and index. One that cannot be sent is sent the next time that there are events. */
static void tell_progress(struct service *service, struct watch *watch, const struct outlet *outlet)
{
	const struct events *events = core_events(service->core);
	struct value place[] = { value_integer((int64_t)core_revision(service->core) + 1), value_integer(0) };

	if (watch->next - watch->told < (uint64_t)service->settings.core.limits->events_bytes / PROGRESS_PARTS ||
	    !outlet->ready(outlet->context, watch->connection))
		return;
	if (watch->next < events_next(events)) {
		const struct event event = events_get(events, watch->next);
		place[0] = value_integer((int64_t)event.revision);
		place[1] = value_integer(event.index);
	}
	size_t item = begin_notice(service, ITEM_EVENTS, watch->id, CODE_OK);
	wire_write_list(&service->notice, place, 2);
	if (!service->notice.failed && send_notice(service, outlet, watch->connection, item))
		watch->told = watch->next;
}

/* True: this watch has more that could leave at once. */
static bool serve(struct service *service, struct watch *watch, const struct outlet *outlet, unsigned *looks)
{
	const struct events *events = core_events(service->core);
	bool stuck = false;
	unsigned allowed = *looks < LOOKS_AT_ONCE ? *looks : LOOKS_AT_ONCE, left = allowed;

	for (int i = 0; i < NOTICES_AT_ONCE && watch->next < events_next(events); i++)
		if (!outlet->ready(outlet->context, watch->connection) || 
		    !send_events(service, watch, outlet, &left, &stuck))
			break;
	*looks -= allowed - left;
	if (!stuck)
		tell_progress(service, watch, outlet);
	return !stuck && watch->next < events_next(events) && outlet->ready(outlet->context, watch->connection);
}

static void deliver_late(struct service *service, const struct outlet *outlet)
{
	struct buffer *out = &service->notice;
	size_t count;
	const struct late *late = core_take_late(service->core, &count);

	for (size_t i = 0; i < count; i++) {
		const struct session *session = sessions_find(core_sessions(service->core), late[i].session);
		if (session == NULL || session->connection == 0)
			continue;
		buffer_reset(out);
		write_head(service, MESSAGE_NOTICE, 0, out);
		size_t start = out->size;
		if (!core_write_late(service->core, &late[i], PROTOCOL_MESSAGE_MAX_BYTES - out->size, out))
			continue;
		mark_durable(service, false, start, out);
		wire_finish_message(out, 1);
		outlet->send(outlet->context, session->connection, out);
	}
}

/* What a watch hears next. True: it has more that could leave at once, or it has ended. */
static bool deliver_events(struct service *service, struct watch *watch, const struct outlet *outlet, unsigned *looks)
{
	const struct events *events = core_events(service->core);
	bool more = false;

	if (watch->revoked) {
		if (outlet->ready(outlet->context, watch->connection) && tell_revoked(service, watch, outlet)) {
			end(service, watch);
			return true;
		}
		service->watches_behind = true;
		return false;
	}
	if (watch->next < events_first(events)) {
		if (outlet->ready(outlet->context, watch->connection) && tell_behind(service, watch, outlet)) {
			end(service, watch);
			return true;
		}
	} else if (watch->next < events_next(events)) {
		more = serve(service, watch, outlet, looks);
	}
	service->watches_behind |= watch->next < events_next(events);
	return more;
}

bool service_deliver(struct service *service, const struct outlet *outlet)
{
	uint64_t next = events_next(core_events(service->core));
	unsigned looks = LOOKS_IN_ALL;
	bool more = false;

	deliver_late(service, outlet);
	if (service->numbers.trace_count > 0)
		more = traces_deliver(service, outlet);
	if (service->watches_at == next && !service->watches_behind)
		return more;
	service->watches_at = next;
	service->watches_behind = false;
	/* Downwards from where the last time ended: one that ends has its place taken by the last. */
	for (size_t left = service->watch_count; left > 0; left--) {
		if (looks == 0) {
			service->watches_behind = true;
			return true;
		}
		if (service->watch_turn == 0 || service->watch_turn > service->watch_count)
			service->watch_turn = service->watch_count;
		more |= deliver_events(service, &service->watches[--service->watch_turn], outlet, &looks);
	}
	service->watches_behind |= more;
	return more;
}
