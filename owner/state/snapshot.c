/* SPDX-License-Identifier: MIT
 *
 * snapshot.c - the stream of a snapshot, written and read.
 *
 * Numbers are little-endian. The stream is a row of blocks, each a header of 16 bytes
 *	u32 magic "SNAP", u16 kind, u16 size of what follows, u32 number from 0, u32 CRC-32C
 * and 1 to 65520 bytes. The checksum is of the 12 bytes before it and of what follows, and goes on from
 * that of the block before: so no block can be changed, left out, doubled or taken from another snapshot.
 *
 * The first block is the head: u32 format, the numbers of HEAD_FIELDS (8 bytes each), u8 size and the
 * behaviour's name. The last is the end: the numbers of struct totals. Those between are one row of bytes,
 * the body:
 *	u8 maps, and for each, in order of names:
 *		u8 size and name, u64 entries (not 0), and for each, in order of keys:
 *			u16 size and key, u64 revision, u8 type, and i64, or u32 size and bytes
 *	u32 sessions, and for each, in order of slots:
 *		u64 id, nonce, u32 uid, u32 gid, u32 pid, u8 known, u64 born, u32 silence_ms, u64 oldest,
 *		u64 last,
 *		a reply for each sequence from oldest to last,
 *		u16 parked, and for each, in order: u64 sequence, u8 whether it waits, and if not, a reply
 *	u64 revision and u32 index of the last event that is gone, u64 events, and for each:
 *		u64 revision, u32 index, u32 size and the three values
 * A reply is u16 code, u64 revision, u8 whether it is kept, and if so, u32 size and payload.
 */
#include "owner/state/snapshot.h"

#include <isa-l/crc.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	BLOCK_MAGIC = 0x50414e53, /* the bytes "SNAP" */
	BLOCK_BYTES = 65536,
	BLOCK_HEADER_BYTES = 16,
	BLOCK_CRC_AT = 12,
	PROGRESS_ENTRIES = 65536,
};

enum block_kind { BLOCK_HEAD = 1, BLOCK_BODY = 2, BLOCK_END = 3 };

/* FIELD(type, name): each takes 8 bytes. */
#define HEAD_FIELDS(FIELD)                                                                                     \
	FIELD(uint64_t, history)                                                                               \
	FIELD(uint64_t, incarnation)                                                                           \
	FIELD(uint64_t, round)                                                                                 \
	FIELD(uint64_t, revision)                                                                              \
	FIELD(int64_t, time_us)                                                                                \
	FIELD(int64_t, written_us)                                                                             \
	FIELD(int64_t, token)                                                                                  \
	FIELD(uint32_t, version)                                                                               \
	FIELD(uint64_t, entries)                                                                               \
	FIELD(uint64_t, sessions)                                                                              \
	FIELD(uint64_t, digest)                                                                                \
	FIELD(uint64_t, segment_bytes)                                                                         \
	FIELD(uint64_t, next_id)

struct totals {
	uint64_t entries, sessions, events, body_bytes;
};

static uint32_t checksum(uint32_t before, const uint8_t *bytes, size_t size)
{
	return ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)size, ~before);
}

static uint32_t block_checksum(uint32_t before, const uint8_t *block, size_t size)
{
	return checksum(checksum(before, block, BLOCK_CRC_AT), block + BLOCK_HEADER_BYTES, size);
}

static void store_number(uint8_t *at, uint64_t number, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t load_number(const uint8_t *at, size_t bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < bytes; i++)
		number |= (uint64_t)at[i] << (8 * i);
	return number;
}

/* ---- writing ---- */

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
	for (place = events_first(events); place < events_next(events); place = events_get(events, place).next)
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

/* ---- reading ---- */

struct reader {
	const struct snapshot_source *source;
	struct core *core; /* NULL: nothing is restored */
	struct snapshot_head *head;
	char *why;
	size_t why_size;
	void (*progress)(void *context, uint64_t done, uint64_t all);
	void *progress_context;

	uint64_t offset;    /* in the stream, behind the block being read */
	uint64_t block_at;  /* where that begins */
	enum block_kind kind;
	uint32_t number, crc;
	size_t size, at;    /* of what the block carries: how much, and how much was taken */
	struct totals totals;
	uint64_t digest;
	struct buffer pieces; /* what was taken from several blocks */
	uint8_t block[BLOCK_BYTES];
	/* The key of the entry before, and the one being read. */
	uint8_t keys[2][STORE_KEY_MAX_BYTES];
};

static uint64_t position(const struct reader *r)
{
	return r->block_at + BLOCK_HEADER_BYTES + r->at;
}

/* Always false. */
__attribute__((format(printf, 3, 4)))
static bool refuse(struct reader *r, uint64_t offset, const char *format, ...)
{
	va_list arguments;
	int size = snprintf(r->why, r->why_size, "byte %llu: ", (unsigned long long)offset);

	if (size < 0 || (size_t)size >= r->why_size)
		return false;
	va_start(arguments, format);
	vsnprintf(r->why + size, r->why_size - (size_t)size, format, arguments);
	va_end(arguments);
	return false;
}

static bool refuse_memory(struct reader *r)
{
	r->head->error = ENOMEM;
	snprintf(r->why, r->why_size, "no memory for the state");
	return false;
}

/* Reads `size` bytes, or what there is up to the end of the stream. */
static bool read_some(struct reader *r, uint8_t *to, size_t size, size_t *got)
{
	*got = 0;
	while (*got < size) {
		ssize_t part = r->source->read(r->source->context, to + *got, size - *got);
		if (part < 0) {
			r->head->error = (int)-part;
			return refuse(r, r->offset, "cannot be read: %s", strerror((int)-part));
		}
		if (part == 0)
			break;
		*got += (size_t)part;
		r->offset += (uint64_t)part;
	}
	return true;
}

static bool read_block(struct reader *r, uint8_t *to, size_t size)
{
	size_t got;

	if (!read_some(r, to, size, &got))
		return false;
	return got == size || refuse(r, r->offset, "the snapshot ends here, and is not complete");
}

static bool next_block(struct reader *r)
{
	r->block_at = r->offset;
	r->size = r->at = 0;
	if (!read_block(r, r->block, BLOCK_HEADER_BYTES))
		return false;
	if (load_number(r->block, 4) != BLOCK_MAGIC)
		return refuse(r, r->block_at, r->number == 0 ? "this is no snapshot" :
							       "a block begins with the wrong bytes");
	size_t size = (size_t)load_number(r->block + 6, 2);
	if (size > BLOCK_BYTES - BLOCK_HEADER_BYTES)
		return refuse(r, r->block_at, "a block is longer than any can be");
	if (!read_block(r, r->block + BLOCK_HEADER_BYTES, size))
		return false;
	r->crc = block_checksum(r->crc, r->block, size);
	if (load_number(r->block + BLOCK_CRC_AT, 4) != r->crc)
		return refuse(r, r->block_at, "the checksum of the block that begins here is wrong");
	r->kind = (enum block_kind)load_number(r->block + 4, 2);
	if (load_number(r->block + 8, 4) != r->number++)
		return refuse(r, r->block_at, "the block that begins here is not the next one");
	if (size == 0)
		return refuse(r, r->block_at, "the block that begins here is empty");
	r->size = size;
	r->totals.body_bytes += r->kind == BLOCK_BODY ? size : 0;
	return true;
}

/* The next `size` bytes: valid until more are taken. NULL: they are not there. What the bytes claim to be
 * is not believed: memory grows only with what has been read. */
static const uint8_t *take(struct reader *r, size_t size)
{
	if (size <= r->size - r->at) {
		r->at += size;
		return r->block + BLOCK_HEADER_BYTES + r->at - size;
	}
	buffer_reset(&r->pieces);
	while (r->pieces.size < size) {
		if (r->at == r->size) {
			uint64_t here = position(r);
			if (r->kind == BLOCK_BODY && !next_block(r))
				return NULL;
			if (r->kind != BLOCK_BODY) {
				refuse(r, here, "more should follow here");
				return NULL;
			}
		}
		size_t left = r->size - r->at, wanted = size - r->pieces.size, part = wanted < left ? wanted : left;
		buffer_append(&r->pieces, r->block + BLOCK_HEADER_BYTES + r->at, part);
		r->at += part;
		if (r->pieces.failed) {
			refuse_memory(r);
			return NULL;
		}
	}
	return r->pieces.data;
}

static bool take_number(struct reader *r, size_t bytes, uint64_t *number)
{
	const uint8_t *at = take(r, bytes);

	if (at == NULL)
		return false;
	*number = load_number(at, bytes);
	return true;
}

static bool take_flag(struct reader *r, bool *flag)
{
	uint64_t number, here = position(r);

	if (!take_number(r, 1, &number))
		return false;
	*flag = number != 0;
	return number <= 1 || refuse(r, here, "neither yes nor no");
}

/* CODE_OK, or what else a function of restoring says. */
static bool restored(struct reader *r, uint64_t offset, enum code code, const char *what)
{
	if (code == CODE_NO_MEMORY)
		return refuse_memory(r);
	return code == CODE_OK || refuse(r, offset, "%s that cannot be", what);
}

static bool read_head(struct reader *r)
{
	struct snapshot_head *head = r->head;
	uint64_t format, size;
	bool sound = true;

	memset(head, 0, sizeof *head);
	if (!next_block(r))
		return false;
	if (r->kind != BLOCK_HEAD)
		return refuse(r, r->block_at, "the snapshot does not begin with its head");
	if (!take_number(r, 4, &format))
		return false;
	if (format != SNAPSHOT_FORMAT)
		return refuse(r, r->block_at, "the snapshot is of format %llu, and this program reads format %d: use the "
			      "version that wrote it, or a later one", (unsigned long long)format, SNAPSHOT_FORMAT);
#define FIELD(type, name)                                                                  \
	{                                                                                  \
		uint64_t number;                                                           \
		if (!take_number(r, 8, &number))                                           \
			return false;                                                      \
		head->name = (type)number;                                                 \
		sound = sound && (sizeof(type) == sizeof number || (type)number == number); \
	}
	HEAD_FIELDS(FIELD)
#undef FIELD
	uint64_t here = position(r);
	if (!take_number(r, 1, &size))
		return false;
	const uint8_t *name = size <= SNAPSHOT_BEHAVIOUR_MAX ? take(r, (size_t)size) : NULL;
	if (name == NULL || r->at != r->size || memchr(name, '\0', (size_t)size) != NULL)
		return refuse(r, here, "the name of a behaviour that cannot be");
	memcpy(head->behaviour, name, (size_t)size);
	/* They are counted on from: there must be room above. */
	sound = sound && head->revision <= INT64_MAX / 2 && head->time_us >= 0 && head->time_us <= INT64_MAX / 2 &&
		head->token >= 0 && head->token <= INT64_MAX / 2 && head->next_id > 0 &&
		head->next_id < UINT64_MAX >> SESSION_SLOT_BITS;
	return sound || refuse(r, r->block_at, "the head of the snapshot has a number that cannot be");
}

static bool read_value(struct reader *r, struct value *value)
{
	uint64_t type, number, here = position(r);

	if (!take_number(r, 1, &type))
		return false;
	if (type == VALUE_INTEGER) {
		if (!take_number(r, 8, &number))
			return false;
		*value = value_integer((int64_t)number);
		return true;
	}
	if (type != VALUE_BYTES)
		return refuse(r, here, "a value of a type that cannot be");
	if (!take_number(r, 4, &number))
		return false;
	const uint8_t *bytes = take(r, (size_t)number);
	if (bytes == NULL)
		return false;
	*value = value_bytes(bytes, (size_t)number);
	return true;
}

static bool is_above(const uint8_t *key, size_t size, const uint8_t *before, size_t before_size)
{
	size_t shorter = size < before_size ? size : before_size;
	int difference = shorter > 0 ? memcmp(key, before, shorter) : 0;

	return difference != 0 ? difference > 0 : size > before_size;
}

/* `before_size` is that of the key in r->keys[index ^ 1], and negative where there is none. */
static bool read_entry(struct reader *r, const char *name, struct map *map, unsigned index, int *before_size)
{
	uint64_t size, here = position(r);
	struct value value;
	struct map_entry entry = { .key = r->keys[index], .value = &value };

	if (!take_number(r, 2, &size))
		return false;
	if (size > STORE_KEY_MAX_BYTES)
		return refuse(r, here, "a key is longer than any can be");
	const uint8_t *key = take(r, (size_t)size);
	if (key == NULL)
		return false;
	entry.key_size = (size_t)size;
	memcpy(r->keys[index], key, entry.key_size);
	if (*before_size >= 0 && !is_above(r->keys[index], entry.key_size, r->keys[index ^ 1], (size_t)*before_size))
		return refuse(r, here, "a key is not above the one before it");
	*before_size = (int)size;
	if (!take_number(r, 8, &entry.revision))
		return false;
	if (entry.revision > r->head->revision)
		return refuse(r, here, "an entry is of a revision that has not been");
	if (!read_value(r, &value))
		return false;
	r->digest += store_digest_entry(name, entry.key, entry.key_size, &value);
	r->totals.entries++;
	return map == NULL || restored(r, here, map_restore(map, &entry), "an entry");
}

static bool read_map(struct reader *r, char name[STORE_NAME_MAX_BYTES + 1], bool first)
{
	char before[STORE_NAME_MAX_BYTES + 1];
	uint64_t size, count, here = position(r);
	struct map *map = NULL;
	int before_size = -1;

	memcpy(before, name, sizeof before);
	if (!take_number(r, 1, &size))
		return false;
	const uint8_t *bytes = take(r, (size_t)size);
	if (bytes == NULL)
		return false;
	memcpy(name, bytes, (size_t)size);
	name[size] = '\0';
	if (strlen(name) != size || (!first && strcmp(name, before) <= 0))
		return refuse(r, here, "the name of a map is none, or not above the one before it");
	if (!take_number(r, 8, &count))
		return false;
	if (count == 0 || count > r->head->entries - r->totals.entries)
		return refuse(r, here, "a map with a number of entries that cannot be");
	if (r->core != NULL) {
		map = store_restore_map(core_store(r->core), name);
		if (map == NULL)
			return refuse(r, here, "there is no memory for the map '%s', or there are too many maps", name);
		map_expect(map, count);
	}
	for (uint64_t i = 0; i < count; i++) {
		if (!read_entry(r, name, map, (unsigned)(i & 1), &before_size))
			return false;
		if (r->progress != NULL && r->totals.entries % PROGRESS_ENTRIES == 0)
			r->progress(r->progress_context, r->totals.entries, r->head->entries);
	}
	return true;
}

static bool read_maps(struct reader *r)
{
	char name[STORE_NAME_MAX_BYTES + 1] = "";
	uint64_t count, here = position(r);

	if (!take_number(r, 1, &count))
		return false;
	if (count > STORE_MAPS_ROOM)
		return refuse(r, here, "more maps than a store can have");
	for (uint64_t i = 0; i < count; i++)
		if (!read_map(r, name, i == 0))
			return false;
	if (r->totals.entries != r->head->entries || r->digest != r->head->digest)
		return refuse(r, position(r), "the entries are not those that the head tells of: the memory of the process "
			      "that wrote them may be faulty");
	return true;
}

static bool read_reply(struct reader *r, struct stored_reply *reply, const uint8_t **payload)
{
	uint64_t code, size, here = position(r);

	memset(reply, 0, sizeof *reply);
	if (!take_number(r, 2, &code) || !take_number(r, 8, &reply->revision) || !take_flag(r, &reply->kept))
		return false;
	reply->code = (uint16_t)code;
	if (reply->revision > r->head->revision)
		return refuse(r, here, "a reply is of a revision that has not been");
	if (!reply->kept)
		return true;
	if (!take_number(r, 4, &size))
		return false;
	if (size > PROTOCOL_MESSAGE_MAX_BYTES)
		return refuse(r, here, "a reply is longer than any can be");
	*payload = take(r, (size_t)size);
	reply->size = (uint32_t)size;
	return *payload != NULL;
}

static bool read_parked(struct reader *r, struct session *session, uint64_t last)
{
	uint64_t count, sequence, before = 0, here = position(r);

	if (!take_number(r, 2, &count))
		return false;
	if (count > SESSION_PARKED_MAX)
		return refuse(r, here, "more parked requests than a session can have");
	for (uint64_t i = 0; i < count; i++) {
		struct stored_reply reply;
		const uint8_t *payload = NULL;
		bool waiting;
		here = position(r);
		if (!take_number(r, 8, &sequence) || !take_flag(r, &waiting) ||
		    (!waiting && !read_reply(r, &reply, &payload)))
			return false;
		if (sequence <= before || sequence > last)
			return refuse(r, here, "a parked request with a sequence that cannot be");
		before = sequence;
		if (session != NULL &&
		    !restored(r, here, session_restore_parked(session, sequence, waiting ? NULL : &reply, payload),
			      "a parked request"))
			return false;
	}
	return true;
}

static bool read_opener(struct reader *r, struct caller *caller)
{
	uint64_t uid, gid, pid;

	*caller = (struct caller){ 0 };
	if (!take_number(r, 4, &uid) || !take_number(r, 4, &gid) || !take_number(r, 4, &pid) ||
	    !take_flag(r, &caller->known) || !take_number(r, 8, &caller->born))
		return false;
	caller->uid = (uid_t)uid;
	caller->gid = (gid_t)gid;
	caller->pid = (pid_t)(uint32_t)pid;
	return true;
}

static bool read_replies(struct reader *r, struct session *session, uint64_t oldest, uint64_t last)
{
	for (uint64_t sequence = oldest; sequence <= last; sequence++) {
		struct stored_reply reply;
		const uint8_t *payload = NULL;
		uint64_t here = position(r);
		if (!read_reply(r, &reply, &payload))
			return false;
		if (session != NULL &&
		    !restored(r, here, session_restore_reply(session, sequence, &reply, payload), "a reply"))
			return false;
	}
	return true;
}

/* *slot: at or above it, and then behind it. */
static bool read_session(struct reader *r, uint64_t *slot)
{
	uint8_t nonce[PROTOCOL_NONCE_BYTES];
	uint64_t id, silence_ms, oldest, last, here = position(r);
	struct session *session = NULL;
	struct caller opener;

	if (!take_number(r, 8, &id))
		return false;
	uint64_t own_slot = id & (((uint64_t)1 << SESSION_SLOT_BITS) - 1);
	if (own_slot < *slot || id >> SESSION_SLOT_BITS == 0 || id >> SESSION_SLOT_BITS >= r->head->next_id)
		return refuse(r, here, "a session with an id that cannot be");
	*slot = own_slot + 1;
	const uint8_t *bytes = take(r, sizeof nonce);
	if (bytes == NULL)
		return false;
	memcpy(nonce, bytes, sizeof nonce);
	if (!read_opener(r, &opener) || !take_number(r, 4, &silence_ms) || !take_number(r, 8, &oldest) ||
	    !take_number(r, 8, &last))
		return false;
	if (oldest == 0 || last > INT64_MAX || oldest > last + 1 || last + 1 - oldest > PROTOCOL_WINDOW)
		return refuse(r, here, "a session with sequences that cannot be");
	if (r->core != NULL) {
		if (!restored(r, here, sessions_restore(core_sessions(r->core), id, &opener, nonce, &session),
			      "a session with an id or a nonce") ||
		    !restored(r, here, session_restore_window(session, oldest, last), "a session with sequences"))
			return false;
		session->silence_ms = (uint32_t)silence_ms;
	}
	r->totals.sessions++;
	return read_replies(r, session, oldest, last) && read_parked(r, session, last);
}

static bool read_sessions(struct reader *r)
{
	uint64_t count, slot = 0, here = position(r);

	if (!take_number(r, 4, &count))
		return false;
	if (count != r->head->sessions)
		return refuse(r, here, "the sessions are not as many as the head tells of");
	for (uint64_t i = 0; i < count; i++)
		if (!read_session(r, &slot))
			return false;
	return true;
}

static bool read_events(struct reader *r)
{
	uint64_t revision, index, count, size;

	if (!take_number(r, 8, &revision) || !take_number(r, 4, &index) || !take_number(r, 8, &count))
		return false;
	if (r->core != NULL)
		events_restore_gone(core_events(r->core), revision, (uint32_t)index);
	for (; r->totals.events < count; r->totals.events++) {
		uint64_t before = revision, index_before = index, here = position(r);
		if (!take_number(r, 8, &revision) || !take_number(r, 4, &index) || !take_number(r, 4, &size))
			return false;
		if (revision < before || (revision == before && index <= index_before) || revision > r->head->revision)
			return refuse(r, here, "an event is not behind the one before it");
		const uint8_t *values = size <= EVENT_MAX_BYTES ? take(r, (size_t)size) : NULL;
		if (size > EVENT_MAX_BYTES || (values != NULL && !events_sound(values, (size_t)size)))
			return refuse(r, here, "an event that cannot be");
		if (values == NULL)
			return false;
		if (r->core != NULL)
			events_restore(core_events(r->core), revision, (uint32_t)index, values, (size_t)size);
	}
	return revision <= r->head->revision || refuse(r, position(r), "an event of a revision that has not been");
}

static bool read_end(struct reader *r)
{
	struct totals told;
	uint8_t behind;
	size_t more;

	if (r->at != r->size)
		return refuse(r, position(r), "more follows than the snapshot tells of");
	if (!next_block(r))
		return false;
	if (r->kind != BLOCK_END)
		return refuse(r, r->block_at, "the end of the snapshot should be here");
	if (!take_number(r, 8, &told.entries) || !take_number(r, 8, &told.sessions) ||
	    !take_number(r, 8, &told.events) || !take_number(r, 8, &told.body_bytes))
		return false;
	if (r->at != r->size || told.entries != r->totals.entries || told.sessions != r->totals.sessions ||
	    told.events != r->totals.events || told.body_bytes != r->totals.body_bytes)
		return refuse(r, r->block_at, "the end of the snapshot does not tell what was in it");
	if (!read_some(r, &behind, 1, &more))
		return false;
	return more == 0 || refuse(r, r->offset - 1, "bytes follow behind the end of the snapshot");
}

/* The body begins with the block behind the head, and must go on to the last of its blocks. */
static bool read_body(struct reader *r)
{
	if (!next_block(r))
		return false;
	if (r->kind != BLOCK_BODY)
		return refuse(r, r->block_at, "the body of the snapshot should begin here");
	return read_maps(r) && read_sessions(r) && read_events(r) && read_end(r);
}

static void reader_init(struct reader *r, const struct snapshot_source *source, struct snapshot_head *head, char *why,
			size_t why_size)
{
	/* Not the block, nor the keys. */
	memset(r, 0, offsetof(struct reader, block));
	r->source = source;
	r->head = head;
	r->why = why;
	r->why_size = why_size;
}

bool snapshot_read_head(const struct snapshot_source *source, struct snapshot_head *head, char *why, size_t why_size)
{
	struct reader r;

	reader_init(&r, source, head, why, why_size);
	bool sound = read_head(&r);
	buffer_clear(&r.pieces);
	return sound;
}

static bool is_ours(struct reader *r)
{
	const char *name = core_behaviour(r->core)->name;

	if (strcmp(name, r->head->behaviour) == 0)
		return true;
	snprintf(r->why, r->why_size, "the state is of the behaviour '%s', and this is '%s'", r->head->behaviour, name);
	return false;
}

bool snapshot_read(const struct snapshot_source *source, struct snapshot_head *head, struct core *core,
		   void (*progress)(void *context, uint64_t done, uint64_t all), void *progress_context, char *why,
		   size_t why_size)
{
	struct reader r;

	reader_init(&r, source, head, why, why_size);
	r.core = core;
	r.progress = progress;
	r.progress_context = progress_context;
	bool sound = read_head(&r) && (core == NULL || is_ours(&r)) && read_body(&r);
	buffer_clear(&r.pieces);
	if (sound && core != NULL) {
		core_set_scalars(core, &(struct core_scalars){ .revision = head->revision, .now_us = head->time_us,
							       .token = head->token });
		sessions_set_next_id(core_sessions(core), head->next_id);
	}
	if (sound && progress != NULL)
		progress(progress_context, head->entries, head->entries);
	return sound;
}
