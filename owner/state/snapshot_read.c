/* SPDX-License-Identifier: MIT
 *
 * snapshot_read.c - makes a state out of a snapshot, or only looks whether one could be made.
 *
 * No number is believed that the rest does not bear out: sizes, orders and counts are those that
 * snapshot_write.c writes, or it is refused.
 */
#include "owner/state/snapshot_parts.h"

#include <stdio.h>
#include <string.h>

enum { PROGRESS_ENTRIES = 65536 };

/* CODE_OK, or what else a function of restoring says. */
static bool restored(struct snapshot_reader *r, uint64_t offset, enum code code, const char *what)
{
	if (code == CODE_NO_MEMORY)
		return refuse_memory(r);
	return code == CODE_OK || refuse_at(r, offset, "%s that cannot be", what);
}

static bool read_head(struct snapshot_reader *r)
{
	struct snapshot_head *head = r->head;
	uint64_t format, size;
	bool sound = true;

	memset(head, 0, sizeof *head);
	if (!next_block(r))
		return false;
	if (r->kind != BLOCK_HEAD)
		return refuse_at(r, r->block_at, "the snapshot does not begin with its head");
	if (!take_number(r, 4, &format))
		return false;
	if (format != SNAPSHOT_FORMAT)
		return refuse_at(r, r->block_at, "the snapshot is of format %llu, and this program reads "
						 "format %d: use the version that wrote it, or a later one",
						 (unsigned long long)format, SNAPSHOT_FORMAT);
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
	uint64_t here = stream_position(r);
	if (!take_number(r, 1, &size))
		return false;
	const uint8_t *name = size <= SNAPSHOT_BEHAVIOUR_MAX ? take_bytes(r, (size_t)size) : NULL;
	if (name == NULL || r->at != r->size || memchr(name, '\0', (size_t)size) != NULL)
		return refuse_at(r, here, "the name of a behaviour that cannot be");
	memcpy(head->behaviour, name, (size_t)size);
	/* They are counted on from: there must be room above. */
	sound = sound && head->revision <= INT64_MAX / 2 && head->time_us >= 0 &&
		head->time_us <= INT64_MAX / 2 &&
		head->token >= 0 && head->token <= INT64_MAX / 2 && head->next_id > 0 &&
		head->next_id < UINT64_MAX >> SESSION_SLOT_BITS;
	return sound || refuse_at(r, r->block_at, "the head of the snapshot has a number that cannot be");
}

static bool read_value(struct snapshot_reader *r, struct value *value)
{
	uint64_t type, number, here = stream_position(r);

	if (!take_number(r, 1, &type))
		return false;
	if (type == VALUE_INTEGER) {
		if (!take_number(r, 8, &number))
			return false;
		*value = value_integer((int64_t)number);
		return true;
	}
	if (type != VALUE_BYTES)
		return refuse_at(r, here, "a value of a type that cannot be");
	if (!take_number(r, 4, &number))
		return false;
	const uint8_t *bytes = take_bytes(r, (size_t)number);
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
static bool read_entry(struct snapshot_reader *r, const char *name, struct map *map, unsigned index,
		       int *before_size)
{
	uint64_t size, here = stream_position(r);
	struct value value;
	struct map_entry entry = { .key = r->keys[index], .value = &value };

	if (!take_number(r, 2, &size))
		return false;
	if (size > STORE_KEY_MAX_BYTES)
		return refuse_at(r, here, "a key is longer than any can be");
	const uint8_t *key = take_bytes(r, (size_t)size);
	if (key == NULL)
		return false;
	entry.key_size = (size_t)size;
	memcpy(r->keys[index], key, entry.key_size);
	if (*before_size >= 0 && !is_above(r->keys[index], entry.key_size, r->keys[index ^ 1],
					   (size_t)*before_size))
		return refuse_at(r, here, "a key is not above the one before it");
	*before_size = (int)size;
	if (!take_number(r, 8, &entry.revision))
		return false;
	if (entry.revision > r->head->revision)
		return refuse_at(r, here, "an entry is of a revision that has not been");
	if (!read_value(r, &value))
		return false;
	r->digest += store_digest_entry(name, entry.key, entry.key_size, &value);
	r->totals.entries++;
	return map == NULL || restored(r, here, map_restore(map, &entry), "an entry");
}

static bool read_map(struct snapshot_reader *r, char name[STORE_NAME_MAX_BYTES + 1], bool first)
{
	char before[STORE_NAME_MAX_BYTES + 1];
	uint64_t size, count, here = stream_position(r);
	struct map *map = NULL;
	int before_size = -1;

	memcpy(before, name, sizeof before);
	if (!take_number(r, 1, &size))
		return false;
	const uint8_t *bytes = take_bytes(r, (size_t)size);
	if (bytes == NULL)
		return false;
	memcpy(name, bytes, (size_t)size);
	name[size] = '\0';
	if (strlen(name) != size || (!first && strcmp(name, before) <= 0))
		return refuse_at(r, here, "the name of a map is none, or not above the one before it");
	if (!take_number(r, 8, &count))
		return false;
	if (count == 0 || count > r->head->entries - r->totals.entries)
		return refuse_at(r, here, "a map with a number of entries that cannot be");
	if (r->core != NULL) {
		map = store_restore_map(core_store(r->core), name);
		if (map == NULL)
			return refuse_at(r, here,
					 "there is no memory for the map '%s', or there are too many maps",
					 name);
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

static bool read_maps(struct snapshot_reader *r)
{
	char name[STORE_NAME_MAX_BYTES + 1] = "";
	uint64_t count, here = stream_position(r);

	if (!take_number(r, 1, &count))
		return false;
	if (count > STORE_MAPS_ROOM)
		return refuse_at(r, here, "more maps than a store can have");
	for (uint64_t i = 0; i < count; i++)
		if (!read_map(r, name, i == 0))
			return false;
	if (r->totals.entries != r->head->entries || r->digest != r->head->digest)
		return refuse_at(r, stream_position(r),
				 "the entries are not those that the head tells of: the memory of the "
				 "process that wrote them may be faulty");
	return true;
}

static bool read_reply(struct snapshot_reader *r, struct stored_reply *reply, const uint8_t **payload)
{
	uint64_t code, size, here = stream_position(r);

	memset(reply, 0, sizeof *reply);
	if (!take_number(r, 2, &code) || !take_number(r, 8, &reply->revision) || !take_flag(r, &reply->kept))
		return false;
	reply->code = (uint16_t)code;
	if (reply->revision > r->head->revision)
		return refuse_at(r, here, "a reply is of a revision that has not been");
	if (!reply->kept)
		return true;
	if (!take_number(r, 4, &size))
		return false;
	if (size > PROTOCOL_MESSAGE_MAX_BYTES)
		return refuse_at(r, here, "a reply is longer than any can be");
	*payload = take_bytes(r, (size_t)size);
	reply->size = (uint32_t)size;
	return *payload != NULL;
}

static bool read_parked(struct snapshot_reader *r, struct session *session, uint64_t last)
{
	uint64_t count, sequence, before = 0, here = stream_position(r);

	if (!take_number(r, 2, &count))
		return false;
	if (count > SESSION_PARKED_MAX)
		return refuse_at(r, here, "more parked requests than a session can have");
	for (uint64_t i = 0; i < count; i++) {
		struct stored_reply reply;
		const uint8_t *payload = NULL;
		bool waiting;
		here = stream_position(r);
		if (!take_number(r, 8, &sequence) || !take_flag(r, &waiting) ||
		    (!waiting && !read_reply(r, &reply, &payload)))
			return false;
		if (sequence <= before || sequence > last)
			return refuse_at(r, here, "a parked request with a sequence that cannot be");
		before = sequence;
		if (session != NULL &&
		    !restored(r, here,
			      session_restore_parked(session, sequence, waiting ? NULL : &reply, payload),
			      "a parked request"))
			return false;
	}
	return true;
}

static bool read_opener(struct snapshot_reader *r, struct caller *caller)
{
	uint64_t uid, gid, pid;

	*caller = (struct caller){ 0 };
	if (!take_number(r, 4, &uid) || !take_number(r, 4, &gid) || !take_number(r, 4, &pid) ||
	    !take_flag(r, &caller->known) || !take_number(r, 8, &caller->born))
		return false;
	caller->uid = (uid_t)uid;
	caller->gid = (gid_t)gid;
	caller->pid = (pid_t)(uint32_t)pid;
	caller->keyed = caller_is_keyed(caller);
	return true;
}

static bool read_replies(struct snapshot_reader *r, struct session *session, uint64_t oldest, uint64_t last)
{
	for (uint64_t sequence = oldest; sequence <= last; sequence++) {
		struct stored_reply reply;
		const uint8_t *payload = NULL;
		uint64_t here = stream_position(r);
		if (!read_reply(r, &reply, &payload))
			return false;
		if (session != NULL &&
		    !restored(r, here, session_restore_reply(session, sequence, &reply, payload), "a reply"))
			return false;
	}
	return true;
}

/* *slot: at or above it, and then behind it. */
static bool read_session(struct snapshot_reader *r, uint64_t *slot)
{
	uint8_t nonce[PROTOCOL_NONCE_BYTES];
	uint64_t id, silence_ms, oldest, last, here = stream_position(r);
	struct session *session = NULL;
	struct caller opener;

	if (!take_number(r, 8, &id))
		return false;
	uint64_t own_slot = id & (((uint64_t)1 << SESSION_SLOT_BITS) - 1);
	if (own_slot < *slot || id >> SESSION_SLOT_BITS == 0 || id >> SESSION_SLOT_BITS >= r->head->next_id)
		return refuse_at(r, here, "a session with an id that cannot be");
	*slot = own_slot + 1;
	const uint8_t *bytes = take_bytes(r, sizeof nonce);
	if (bytes == NULL)
		return false;
	memcpy(nonce, bytes, sizeof nonce);
	if (!read_opener(r, &opener) || !take_number(r, 4, &silence_ms) || !take_number(r, 8, &oldest) ||
	    !take_number(r, 8, &last))
		return false;
	if (oldest == 0 || last > INT64_MAX || oldest > last + 1 || last + 1 - oldest > PROTOCOL_WINDOW)
		return refuse_at(r, here, "a session with sequences that cannot be");
	if (r->core != NULL) {
		if (!restored(r, here, sessions_restore(core_sessions(r->core), id, &opener, nonce, &session),
			      "a session with an id or a nonce") ||
		    !restored(r, here, session_restore_window(session, oldest, last),
			      "a session with sequences"))
			return false;
		session->silence_ms = (uint32_t)silence_ms;
	}
	r->totals.sessions++;
	return read_replies(r, session, oldest, last) && read_parked(r, session, last);
}

static bool read_sessions(struct snapshot_reader *r)
{
	uint64_t count, slot = 0, here = stream_position(r);

	if (!take_number(r, 4, &count))
		return false;
	if (count != r->head->sessions)
		return refuse_at(r, here, "the sessions are not as many as the head tells of");
	for (uint64_t i = 0; i < count; i++)
		if (!read_session(r, &slot))
			return false;
	return true;
}

static bool read_events(struct snapshot_reader *r)
{
	uint64_t revision, index, count, size;

	if (!take_number(r, 8, &revision) || !take_number(r, 4, &index) || !take_number(r, 8, &count))
		return false;
	if (r->core != NULL)
		events_restore_gone(core_events(r->core), revision, (uint32_t)index);
	for (; r->totals.events < count; r->totals.events++) {
		uint64_t before = revision, index_before = index, here = stream_position(r);
		if (!take_number(r, 8, &revision) || !take_number(r, 4, &index) || !take_number(r, 4, &size))
			return false;
		if (revision < before || (revision == before && index <= index_before) ||
		    revision > r->head->revision)
			return refuse_at(r, here, "an event is not behind the one before it");
		const uint8_t *values = size <= EVENT_MAX_BYTES ? take_bytes(r, (size_t)size) : NULL;
		if (size > EVENT_MAX_BYTES || (values != NULL && !events_sound(values, (size_t)size)))
			return refuse_at(r, here, "an event that cannot be");
		if (values == NULL)
			return false;
		if (r->core != NULL)
			events_restore(core_events(r->core), revision, (uint32_t)index, values, (size_t)size);
	}
	if (revision > r->head->revision)
		return refuse_at(r, stream_position(r), "an event of a revision that has not been");
	return true;
}

static bool read_end(struct snapshot_reader *r)
{
	struct totals told;
	uint8_t behind;
	size_t more;

	if (r->at != r->size)
		return refuse_at(r, stream_position(r), "more follows than the snapshot tells of");
	if (!next_block(r))
		return false;
	if (r->kind != BLOCK_END)
		return refuse_at(r, r->block_at, "the end of the snapshot should be here");
	if (!take_number(r, 8, &told.entries) || !take_number(r, 8, &told.sessions) ||
	    !take_number(r, 8, &told.events) || !take_number(r, 8, &told.body_bytes))
		return false;
	if (r->at != r->size || told.entries != r->totals.entries || told.sessions != r->totals.sessions ||
	    told.events != r->totals.events || told.body_bytes != r->totals.body_bytes)
		return refuse_at(r, r->block_at, "the end of the snapshot does not tell what was in it");
	if (!read_some(r, &behind, 1, &more))
		return false;
	return more == 0 || refuse_at(r, r->offset - 1, "bytes follow behind the end of the snapshot");
}

/* The body begins with the block behind the head, and must go on to the last of its blocks. */
static bool read_body(struct snapshot_reader *r)
{
	if (!next_block(r))
		return false;
	if (r->kind != BLOCK_BODY)
		return refuse_at(r, r->block_at, "the body of the snapshot should begin here");
	return read_maps(r) && read_sessions(r) && read_events(r) && read_end(r);
}

static void reader_init(struct snapshot_reader *r, const struct snapshot_source *source,
			struct snapshot_head *head, char *why, size_t why_size)
{
	/* Not the block, nor the keys. */
	memset(r, 0, offsetof(struct snapshot_reader, block));
	r->source = source;
	r->head = head;
	r->why = why;
	r->why_size = why_size;
}

bool snapshot_read_head(const struct snapshot_source *source, struct snapshot_head *head, char *why,
			size_t why_size)
{
	struct snapshot_reader r;

	reader_init(&r, source, head, why, why_size);
	bool sound = read_head(&r);
	buffer_clear(&r.pieces);
	return sound;
}

static bool is_ours(struct snapshot_reader *r)
{
	const char *name = core_behaviour(r->core)->name;

	if (strcmp(name, r->head->behaviour) == 0)
		return true;
	snprintf(r->why, r->why_size, "the state is of the behaviour '%s', and this is '%s'",
		 r->head->behaviour, name);
	return false;
}

bool snapshot_read(const struct snapshot_source *source, struct snapshot_head *head, struct core *core,
		   void (*progress)(void *context, uint64_t done, uint64_t all), void *progress_context,
		   char *why, size_t why_size)
{
	struct snapshot_reader r;

	reader_init(&r, source, head, why, why_size);
	r.core = core;
	r.progress = progress;
	r.progress_context = progress_context;
	bool sound = read_head(&r) && (core == NULL || is_ours(&r)) && read_body(&r);
	buffer_clear(&r.pieces);
	if (sound && core != NULL) {
		core_set_scalars(core, &(struct core_scalars){ .revision = head->revision,
							       .now_us = head->time_us,
							       .token = head->token });
		sessions_set_next_id(core_sessions(core), head->next_id);
	}
	if (sound && progress != NULL)
		progress(progress_context, head->entries, head->entries);
	return sound;
}
