/* SPDX-License-Identifier: MIT
 *
 * snapshot_write.c - a state as the bytes of a snapshot. Allocates nothing: a forked child runs it.
 */
#include "owner/state/snapshot_parts.h"

#include <string.h>

static void store_number(uint8_t *at, uint64_t number, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(number >> (8 * i));
}

struct writer {
	const struct snapshot_sink *sink;
	bool failed;
	uint32_t number, crc;
	size_t size; /* of the block so far, without its header */
	struct totals totals;
	uint64_t digest;
	uint8_t block[BLOCK_BYTES];
};

static void finish_block(struct writer *w, enum block_kind kind)
{
	store_number(w->block, BLOCK_MAGIC, 4);
	store_number(w->block + 4, kind, 2);
	store_number(w->block + 6, w->size, 2);
	store_number(w->block + 8, w->number++, 4);
	w->crc = block_checksum(w->crc, w->block, w->size);
	store_number(w->block + BLOCK_CRC_AT, w->crc, 4);
	w->failed = w->failed || !w->sink->write(w->sink->context, w->block, BLOCK_HEADER_BYTES + w->size);
	w->totals.body_bytes += kind == BLOCK_BODY ? w->size : 0;
	w->size = 0;
}

/* Only the body is larger than a block. */
static void put(struct writer *w, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;

	while (size > 0) {
		size_t room = BLOCK_BYTES - BLOCK_HEADER_BYTES - w->size, part = size < room ? size : room;
		memcpy(w->block + BLOCK_HEADER_BYTES + w->size, from, part);
		w->size += part;
		from += part;
		size -= part;
		if (w->size == BLOCK_BYTES - BLOCK_HEADER_BYTES)
			finish_block(w, BLOCK_BODY);
	}
}

static void put_number(struct writer *w, uint64_t number, size_t bytes)
{
	uint8_t encoded[8];

	store_number(encoded, number, bytes);
	put(w, encoded, bytes);
}

static void write_head(struct writer *w, const struct snapshot_head *head)
{
	put_number(w, SNAPSHOT_FORMAT, 4);
#define FIELD(type, name) put_number(w, (uint64_t)head->name, 8);
	HEAD_FIELDS(FIELD)
#undef FIELD
	put_number(w, strlen(head->behaviour), 1);
	put(w, head->behaviour, strlen(head->behaviour));
	finish_block(w, BLOCK_HEAD);
}

static void write_entry(struct writer *w, const char *map, const struct map_entry *entry)
{
	w->digest += store_digest_entry(map, entry->key, entry->key_size, entry->value);
	put_number(w, entry->key_size, 2);
	put(w, entry->key, entry->key_size);
	put_number(w, entry->revision, 8);
	put_number(w, entry->value->type, 1);
	if (entry->value->type == VALUE_INTEGER) {
		put_number(w, (uint64_t)entry->value->integer, 8);
	} else {
		put_number(w, entry->value->size, 4);
		put(w, entry->value->bytes, entry->value->size);
	}
	w->totals.entries++;
}

static void write_maps(struct writer *w, const struct store *store)
{
	const struct map *maps[STORE_MAPS_ROOM];
	size_t count = store_maps(store, maps);

	put_number(w, count, 1);
	for (size_t i = 0; i < count && !w->failed; i++) {
		struct map_entry entry = { .key = NULL };
		put_number(w, strlen(map_name(maps[i])), 1);
		put(w, map_name(maps[i]), strlen(map_name(maps[i])));
		put_number(w, map_count(maps[i]), 8);
		while (!w->failed && map_next(maps[i], &entry))
			write_entry(w, map_name(maps[i]), &entry);
	}
}

static void write_reply(struct writer *w, const struct stored_reply *reply)
{
	put_number(w, reply->code, 2);
	put_number(w, reply->revision, 8);
	put_number(w, reply->kept, 1);
	if (reply->kept) {
		put_number(w, reply->size, 4);
		put(w, stored_payload(reply), reply->size);
	}
}

static void write_session(struct writer *w, const struct session *session)
{
	put_number(w, session->id, 8);
	put(w, session->nonce, PROTOCOL_NONCE_BYTES);
	put_number(w, session->opener.uid, 4);
	put_number(w, session->opener.gid, 4);
	put_number(w, (uint32_t)session->opener.pid, 4);
	put_number(w, session->opener.known, 1);
	put_number(w, session->opener.born, 8);
	put_number(w, session->silence_ms, 4);
	put_number(w, session->oldest, 8);
	put_number(w, session->last, 8);
	for (uint64_t sequence = session->oldest; sequence <= session->last; sequence++)
		write_reply(w, session_reply(session, sequence));
	put_number(w, session->parked_count, 2);
	for (uint32_t i = 0; i < session->parked_count; i++) {
		put_number(w, session->parked[i].sequence, 8);
		put_number(w, session->parked[i].waiting, 1);
		if (!session->parked[i].waiting)
			write_reply(w, &session->parked[i].reply);
	}
	w->totals.sessions++;
}

static void write_sessions(struct writer *w, const struct sessions *sessions)
{
	const struct session *session;
	size_t cursor = 0;

	put_number(w, sessions_count(sessions), 4);
	while (!w->failed && (session = sessions_next(sessions, &cursor)) != NULL)
		write_session(w, session);
}

static void write_events(struct writer *w, const struct events *events)
{
	uint64_t place, revision, count = 0;
	uint32_t index;

	events_gone(events, &revision, &index);
	put_number(w, revision, 8);
	put_number(w, index, 4);
	for (place = events_first(events); place < events_next(events);
	     place = events_get(events, place).next)
		count++;
	put_number(w, count, 8);
	for (place = events_first(events); place < events_next(events) && !w->failed;) {
		const struct event event = events_get(events, place);
		put_number(w, event.revision, 8);
		put_number(w, event.index, 4);
		put_number(w, event.values.left, 4);
		put(w, event.values.at, event.values.left);
		place = event.next;
	}
	w->totals.events = count;
}

static void write_end(struct writer *w)
{
	const struct totals totals = w->totals;

	put_number(w, totals.entries, 8);
	put_number(w, totals.sessions, 8);
	put_number(w, totals.events, 8);
	put_number(w, totals.body_bytes, 8);
	finish_block(w, BLOCK_END);
}

bool snapshot_write(struct core *core, const struct snapshot_head *given, const struct snapshot_sink *sink)
{
	const struct core_scalars scalars = core_scalars(core);
	const struct sole_behaviour *behaviour = core_behaviour(core);
	struct snapshot_head head = *given;
	struct writer w;

	head.revision = scalars.revision;
	head.time_us = scalars.now_us;
	head.token = scalars.token;
	head.version = behaviour->version;
	head.entries = store_entries(core_store(core));
	head.sessions = sessions_count(core_sessions(core));
	head.digest = store_digest(core_store(core));
	head.next_id = sessions_next_id(core_sessions(core));
	strncpy(head.behaviour, behaviour->name, SNAPSHOT_BEHAVIOUR_MAX);
	head.behaviour[SNAPSHOT_BEHAVIOUR_MAX] = '\0';
	w.sink = sink;
	w.failed = false;
	w.number = w.crc = 0;
	w.size = 0;
	w.totals = (struct totals){ 0 };
	w.digest = 0;
	write_head(&w, &head);
	write_maps(&w, core_store(core));
	/* Else it would be refused when it is read, and a sound one may go for it. */
	w.failed = w.failed || w.digest != head.digest;
	write_sessions(&w, core_sessions(core));
	write_events(&w, core_events(core));
	if (w.size > 0)
		finish_block(&w, BLOCK_BODY);
	write_end(&w);
	return !w.failed;
}
