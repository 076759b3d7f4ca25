/* SPDX-License-Identifier: MIT
 *
 * record.c - the bytes of records: a header that all share, and behind it what the kind needs.
 */
#include "owner/core/record.h"

#include <string.h>

const char *record_name(enum record_kind kind)
{
	switch (kind) {
#define RECORD(number, NAME, name)                                                                  \
	case RECORD_##NAME:                                                                         \
		return name;
		RECORD_KINDS(RECORD)
#undef RECORD
	}
	return "unknown";
}

/* ---- writing ---- */

/* Of a key its number stands where otherwise the gid and the pid do. */
static void write_caller(struct buffer *out, const struct caller *caller)
{
	buffer_u32(out, caller->uid);
	if (caller_is_keyed(caller)) {
		buffer_u64(out, caller->born);
		return;
	}
	buffer_u32(out, caller->gid);
	buffer_u32(out, (uint32_t)caller->pid);
}

static void write_bytes(struct buffer *out, const uint8_t *bytes, size_t size)
{
	buffer_u32(out, (uint32_t)size);
	if (size > 0)
		buffer_append(out, bytes, size);
}

void record_write(struct buffer *out, const struct record *record)
{
	size_t start = out->size;
	uint8_t flags = record->flags;

	if (record->caller.known)
		flags |= RECORD_FLAG_KNOWN;
	buffer_u32(out, 0);
	buffer_u8(out, (uint8_t)record->kind);
	buffer_u8(out, flags);
	buffer_u16(out, record->code);
	buffer_u64(out, record->session);
	buffer_u64(out, record->sequence);
	buffer_u64(out, record->revision);
	buffer_u64(out, record->digest);
	switch (record->kind) {
	case RECORD_START:
		buffer_u64(out, record->incarnation);
		buffer_u64(out, (uint64_t)record->token);
		buffer_u32(out, record->version);
		write_bytes(out, record->behaviour, record->behaviour_size);
		break;
	case RECORD_OPEN:
		write_caller(out, &record->caller);
		buffer_u64(out, record->caller.born);
		buffer_u32(out, record->silence_ms);
		buffer_append(out, record->nonce, PROTOCOL_NONCE_BYTES);
		break;
	case RECORD_RUN:
		write_caller(out, &record->caller);
		buffer_u32(out, record->reply_max);
		buffer_u64(out, record->acknowledged);
		write_bytes(out, record->request, record->request_size);
		write_bytes(out, record->reply, record->reply_size);
		break;
	case RECORD_REFUSED:
		buffer_u64(out, record->acknowledged);
		write_bytes(out, record->reply, record->reply_size);
		break;
	case RECORD_ANSWERED:
		write_bytes(out, record->reply, record->reply_size);
		break;
	case RECORD_MIGRATED:
		buffer_u32(out, record->version);
		break;
	case RECORD_END:
	case RECORD_WITHDRAWN:
	case RECORD_RECEIVED:
	case RECORD_TICK:
		break;
	}
	if (!out->failed)
		buffer_patch_u32(out, start, (uint32_t)(out->size - start));
}

/* ---- reading ---- */

/* What is left of one record; `bad` when more was asked for. */
struct cut {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static uint64_t take(struct cut *cut, size_t bytes)
{
	uint64_t number = 0;

	if (cut->left < bytes) {
		cut->bad = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		number |= (uint64_t)cut->at[i] << (8 * i);
	cut->at += bytes;
	cut->left -= bytes;
	return number;
}

static const uint8_t *take_bytes(struct cut *cut, size_t size)
{
	const uint8_t *at = cut->at;

	if (cut->left < size) {
		cut->bad = true;
		return NULL;
	}
	cut->at += size;
	cut->left -= size;
	return at;
}

static void read_sized(struct cut *cut, const uint8_t **bytes, size_t *size)
{
	*size = take(cut, 4);
	*bytes = take_bytes(cut, *size);
	if (*bytes == NULL)
		*size = 0;
}

static void read_caller(struct cut *cut, struct record *record)
{
	struct caller *caller = &record->caller;

	caller->uid = (uid_t)take(cut, 4);
	caller->known = (record->flags & RECORD_FLAG_KNOWN) != 0;
	caller->keyed = caller_is_keyed(caller);
	if (caller->keyed) {
		caller->gid = (gid_t)-1;
		caller->born = take(cut, 8);
	} else {
		caller->gid = (gid_t)take(cut, 4);
		caller->pid = (pid_t)take(cut, 4);
	}
}

static void read_body(struct cut *cut, struct record *record)
{
	switch (record->kind) {
	case RECORD_START:
		record->incarnation = take(cut, 8);
		record->token = (int64_t)take(cut, 8);
		record->version = (uint32_t)take(cut, 4);
		read_sized(cut, &record->behaviour, &record->behaviour_size);
		return;
	case RECORD_OPEN:
		read_caller(cut, record);
		record->caller.born = take(cut, 8);
		record->silence_ms = (uint32_t)take(cut, 4);
		record->nonce = take_bytes(cut, PROTOCOL_NONCE_BYTES);
		return;
	case RECORD_RUN:
		read_caller(cut, record);
		record->reply_max = (uint32_t)take(cut, 4);
		record->acknowledged = take(cut, 8);
		read_sized(cut, &record->request, &record->request_size);
		read_sized(cut, &record->reply, &record->reply_size);
		return;
	case RECORD_REFUSED:
		record->acknowledged = take(cut, 8);
		read_sized(cut, &record->reply, &record->reply_size);
		return;
	case RECORD_ANSWERED:
		read_sized(cut, &record->reply, &record->reply_size);
		return;
	case RECORD_MIGRATED:
		record->version = (uint32_t)take(cut, 4);
		return;
	case RECORD_END:
	case RECORD_WITHDRAWN:
	case RECORD_RECEIVED:
	case RECORD_TICK:
		return;
	}
	cut->bad = true; /* a kind that is not known */
}

bool record_read(struct wire_reader *reader, struct record *record)
{
	struct cut cut = { .at = reader->at, .left = reader->left };

	if (reader->bad || reader->left == 0)
		return false;
	memset(record, 0, sizeof *record);
	size_t size = take(&cut, 4);
	if (cut.bad || size < RECORD_HEADER_BYTES || size > reader->left) {
		reader->bad = true;
		return false;
	}
	cut.left = size - 4;
	record->kind = (enum record_kind)take(&cut, 1);
	record->flags = (uint8_t)take(&cut, 1);
	record->code = (uint16_t)take(&cut, 2);
	record->session = take(&cut, 8);
	record->sequence = take(&cut, 8);
	record->revision = take(&cut, 8);
	record->digest = take(&cut, 8);
	read_body(&cut, record);
	reader->bad = cut.bad || cut.left != 0;
	if (reader->bad)
		return false;
	reader->at += size;
	reader->left -= size;
	return true;
}
