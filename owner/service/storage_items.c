/* SPDX-License-Identifier: MIT
 *
 * storage_items.c - the items that are about what is kept of a state: what became of a command,
 * backups; and the mark of replies that a crash cannot take back.
 *
 * A command's fate is looked up in its session while that lives and has the answer, and else in the
 * storage, which may need time: until then the asker is told to ask again. Nothing here changes the
 * state, and nothing is recorded.
 */
#include "owner/service/service_parts.h"

#include <stdio.h>
#include <string.h>

enum {
	BACKUP_LEAST_BYTES = 4096, /* a part is not made smaller than that for want of room */
	BACKUP_HEAD_BYTES = PROTOCOL_ITEM_HEADER_BYTES + 1 + 9 + 9 + 5, /* of a part's item, before its bytes */
	FATE_BYTES = PROTOCOL_ITEM_HEADER_BYTES + 1 + 3 * 9,
};

/* ---- the mark ---- */

/* A query shows a state, a repeated reply the one that the command made; whether that is on disk goes by its
 * revision. Not so a refusal, nor a command that has just run: replaying to that revision does not bring back
 * that they were admitted. */
static bool is_durable(const struct service *service, bool fresh, const struct reply_header *reply)
{
	if (service->settings.durability == DURABILITY_SYNC)
		return true;
	return !fresh && reply->outcome == OUTCOME_DONE && reply->revision <= service->synced;
}

void write_durable_marks(const struct service *service, bool fresh, size_t start, struct buffer *out)
{
	enum { OUTCOME_OFFSET = 5 };
	struct reply_header reply;

	if (out->failed)
		return;
	while (start < out->size) {
		struct wire_reader reader = wire_reader(out->data + start, out->size - start);
		if (!wire_read_reply_header(&reader, &reply) || reply.size < PROTOCOL_ITEM_HEADER_BYTES)
			return;
		if (reply.kind == ITEM_RUN && is_durable(service, fresh, &reply))
			out->data[start + OUTCOME_OFFSET] |= REPLY_FLAG_DURABLE;
		start += reply.size;
	}
}

/* ---- what became of a command ---- */

static struct fate unknown(enum code why)
{
	return (struct fate){ .fate = FATE_UNKNOWN, .code = why };
}

/* What a living session knows of it. FATE_UNKNOWN: that it was admitted, and no more. */
static struct fate of_session(const struct session *session, uint64_t sequence)
{
	const struct stored_reply *stored = session_stored(session, sequence);
	struct fate fate = unknown(CODE_REPLY_FORGOTTEN);

	if (sequence > session->last) {
		fate.fate = FATE_NOT_COME;
		fate.code = CODE_OK;
	} else if (session_waits(session, sequence)) {
		fate.fate = FATE_WAITING;
		fate.code = CODE_WAITING;
	} else if (stored != NULL) {
		fate.code = (enum code)stored->code;
		fate.fate = code_outcome(stored->code) == OUTCOME_DONE ? FATE_RAN : FATE_REFUSED;
		fate.revision = stored->revision;
		fate.reply = stored->size > 0 ? stored_payload(stored) : NULL;
		fate.reply_size = stored->size;
	}
	fate.opener = session->opener;
	fate.opener_told = true;
	return fate;
}

/* Asks the storage. CODE_OK: *fate is what it knows, or as it was where it knows nothing. */
static enum code of_storage(struct exchange *x, uint64_t session, uint64_t sequence, bool lives, struct fate *fate,
			    int *error)
{
	const struct storage *storage = x->service->storage;
	struct fate found;

	if (storage == NULL || storage->outcome == NULL)
		return CODE_OK;
	switch (storage->outcome(storage->context, session, sequence, &found, error)) {
	case STORAGE_DONE:
		/* Of a session that lives the record may be younger than what was looked through. */
		if (!lives || found.fate == FATE_RAN || found.fate == FATE_REFUSED)
			*fate = found;
		return CODE_OK;
	case STORAGE_NONE:
		return CODE_OK;
	case STORAGE_NOT_YET:
	case STORAGE_FULL:
		return CODE_BUSY;
	case STORAGE_FAILED:
		break;
	}
	return CODE_DISK;
}

static void write_fate(struct exchange *x, const struct request_header *header, const struct fate *fate)
{
	const struct value list[] = { value_integer(fate->fate), value_integer(fate->code),
				      value_integer((int64_t)fate->revision) };
	bool fits = fate->reply_size <= room_left(x) && FATE_BYTES <= room_left(x) - fate->reply_size;
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);

	wire_write_list(x->out, list, sizeof list / sizeof *list);
	if (fate->reply != NULL && fits)
		buffer_append(x->out, fate->reply, fate->reply_size);
	else if (fate->fate == FATE_REFUSED)
		write_refusal(-1, code_text(fate->code), NULL, x->out);
	wire_finish_item(x->out, start);
	x->items++;
	counters_of(x->service)->outcomes++;
}

static void refuse_search(struct exchange *x, const struct request_header *header, enum code code, int error)
{
	char text[128];

	snprintf(text, sizeof text, "the journal cannot be searched: %s", strerror(error));
	refuse(x, header, code, code == CODE_BUSY ? "the journal is being searched: ask again" : text);
}

/* Is it about a session of the asker's, as far as is known whose it was? */
static bool may_ask(const struct exchange *x, const struct fate *fate)
{
	return service_may(x, RIGHT_ADMIN) || !fate->opener_told || caller_same(&fate->opener, &x->message->caller);
}

void item_outcome(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct value list[2];
	enum code code = CODE_OK;
	size_t count;
	int error = 0;

	if (!wire_read_list(&payload, list, 2, &count) || count != 2 || list[0].type != VALUE_INTEGER ||
	    list[0].integer == 0 || list[1].type != VALUE_INTEGER || list[1].integer == 0) {
		refuse(x, header, CODE_INVALID, "outcome takes a session and the sequence of one of its commands, from 1 on");
		return;
	}
	uint64_t id = (uint64_t)list[0].integer, sequence = (uint64_t)list[1].integer;
	const struct session *session = sessions_find(core_sessions(x->service->core), id);
	struct fate fate = session != NULL ? of_session(session, sequence) : unknown(CODE_SESSION_FORGOTTEN);
	if (fate.fate == FATE_UNKNOWN && may_ask(x, &fate))
		code = of_storage(x, id, sequence, session != NULL, &fate, &error);
	if (code != CODE_OK) {
		refuse_search(x, header, code, error);
	} else if (!may_ask(x, &fate)) {
		note_denial(x, "what became of a command of somebody else");
		refuse(x, header, CODE_DENIED, "it is a command of another user's session");
	} else {
		if (!service_may(x, RIGHT_ADMIN) && !fate.opener_told)
			fate = unknown(CODE_SESSION_FORGOTTEN);
		write_fate(x, header, &fate);
	}
}

/* ---- backups ---- */

static void refuse_part(struct exchange *x, const struct request_header *header, enum storage_result result, int error)
{
	char text[128];

	switch (result) {
	case STORAGE_DONE:
		return;
	case STORAGE_NOT_YET:
		refuse(x, header, CODE_BUSY, "the backup is being written: ask again");
		return;
	case STORAGE_FULL:
		counters_of(x->service)->limit_backups++;
		refuse(x, header, CODE_BUSY, "as many backups are under way as max-backups allows");
		return;
	case STORAGE_NONE:
		refuse(x, header, CODE_CONFLICT, "there is no such backup on this connection (any more), or it ends before: begin again");
		return;
	case STORAGE_FAILED:
		snprintf(text, sizeof text, "the owner cannot write the backup: %s", strerror(error));
		refuse(x, header, CODE_DISK, text);
		return;
	}
}

/* The bytes are read to where they will stand in the reply, and what stands before them is written then. */
static void write_part(struct exchange *x, const struct request_header *header, uint64_t id, uint64_t offset, size_t room)
{
	const struct storage *storage = x->service->storage;
	struct backup_part part;
	int error = 0;

	if (!buffer_reserve(x->out, BACKUP_HEAD_BYTES + room))
		return; /* answered as no-memory */
	uint8_t *bytes = x->out->data + x->out->size + BACKUP_HEAD_BYTES;
	enum storage_result result = storage->backup(storage->context, x->service->core, x->message->connection, id, offset,
						     bytes, room, &part, &error);
	if (result != STORAGE_DONE) {
		refuse_part(x, header, result, error);
		return;
	}
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);
	const struct value identifier = value_integer((int64_t)id), size = value_integer(part.size);
	buffer_u8(x->out, 3);
	wire_write_value(x->out, &identifier);
	wire_write_value(x->out, &size);
	buffer_u8(x->out, VALUE_BYTES);
	buffer_u32(x->out, (uint32_t)part.bytes);
	x->out->size += part.bytes;
	wire_finish_item(x->out, start);
	x->items++;
}

void item_backup(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	const struct storage *storage = x->service->storage;
	struct value list[2];
	size_t count;

	if (!wire_read_list(&payload, list, 2, &count) || count != 2 || list[0].type != VALUE_INTEGER ||
	    list[0].integer == 0 || list[1].type != VALUE_INTEGER || list[1].integer < 0) {
		refuse(x, header, CODE_INVALID, "backup takes the number of a backup, not 0, and how many bytes of it are there");
		return;
	}
	if (storage == NULL || storage->backup == NULL || x->message->connection == 0) {
		refuse(x, header, CODE_INVALID, "a backup needs a connection to the owner without a broker in between");
		return;
	}
	if (x->service->leaving && list[1].integer == 0) {
		refuse(x, header, CODE_LEAVING, NULL);
		return;
	}
	size_t room = room_left(x);
	if (room < BACKUP_HEAD_BYTES + BACKUP_LEAST_BYTES) {
		refuse_spent(x, header);
		return;
	}
	room -= BACKUP_HEAD_BYTES;
	write_part(x, header, (uint64_t)list[0].integer, (uint64_t)list[1].integer,
		   room < PROTOCOL_BACKUP_BYTES ? room : PROTOCOL_BACKUP_BYTES);
}
