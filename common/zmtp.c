/* SPDX-License-Identifier: MIT
 *
 * zmtp.c - ZMTP's bytes.
 */
#include "common/zmtp.h"

#include "common/protocol.h"

#include <string.h>

/* RFC 37: greeting = signature version mechanism as-server filler. */
enum {
	SIGNATURE_END_AT = 9,
	MAJOR_AT = 10,
	MECHANISM_AT = 12,
	MECHANISM_BYTES = 20,

	PING_TTL_BYTES = 2,
	CONTEXT_MAX = 16,  /* of a ping */
	COMMAND_MAX = 512, /* bytes of READY and its like; libzmq's has about 40 */
};

static const char mechanism[MECHANISM_BYTES] = "NULL";

void zmtp_opening(uint8_t bytes[ZMTP_OPENING_BYTES], enum zmtp_type type)
{
	/* READY: name, then properties, each with the size of its name in one byte and of its value in four. */
	static const char ready[] = "\x04\x29\x05READY"
				    "\x0bSocket-Type\0\0\0\x06" "DEALER"
				    "\x08Identity\0\0\0\0";
	enum { TYPE_AT = ZMTP_GREETING_BYTES + 24 };

	_Static_assert(sizeof ready - 1 == ZMTP_OPENING_BYTES - ZMTP_GREETING_BYTES, "READY and its size differ");
	memset(bytes, 0, ZMTP_GREETING_BYTES);
	bytes[0] = 0xff;
	bytes[8] = 1; /* what libzmq sends: its end reads as a frame of version 1 */
	bytes[SIGNATURE_END_AT] = 0x7f;
	bytes[MAJOR_AT] = 3;
	bytes[MAJOR_AT + 1] = 1;
	memcpy(bytes + MECHANISM_AT, mechanism, MECHANISM_BYTES);
	memcpy(bytes + ZMTP_GREETING_BYTES, ready, sizeof ready - 1);
	if (type == ZMTP_ROUTER)
		memcpy(bytes + TYPE_AT, "ROUTER", 6);
}

size_t zmtp_head(uint8_t bytes[ZMTP_HEAD_BYTES], bool more, size_t size)
{
	bytes[0] = more ? ZMTP_MORE : 0;
	if (size <= UINT8_MAX) {
		bytes[1] = (uint8_t)size;
		return 2;
	}
	bytes[0] |= ZMTP_LONG;
	for (int i = 0; i < 8; i++)
		bytes[1 + i] = (uint8_t)((uint64_t)size >> (56 - 8 * i));
	return ZMTP_HEAD_BYTES;
}

size_t zmtp_pong(uint8_t bytes[ZMTP_PONG_BYTES], const uint8_t *context, size_t size)
{
	static const char name[] = "\x04PONG";

	size = size <= CONTEXT_MAX ? size : CONTEXT_MAX;
	bytes[0] = ZMTP_COMMAND;
	bytes[1] = (uint8_t)(sizeof name - 1 + size);
	memcpy(bytes + 2, name, sizeof name - 1);
	memcpy(bytes + 2 + sizeof name - 1, context, size);
	return 2 + sizeof name - 1 + size;
}

enum zmtp_parsed zmtp_greeting(const uint8_t *bytes, size_t size)
{
	if (size > 0 && bytes[0] != 0xff)
		return ZMTP_WRONG;
	if (size > SIGNATURE_END_AT && (bytes[SIGNATURE_END_AT] & 1) == 0)
		return ZMTP_WRONG;
	if (size > MAJOR_AT && bytes[MAJOR_AT] < 3)
		return ZMTP_WRONG;
	if (size < ZMTP_GREETING_BYTES)
		return ZMTP_PARTIAL;
	return memcmp(bytes + MECHANISM_AT, mechanism, MECHANISM_BYTES) == 0 ? ZMTP_WHOLE : ZMTP_WRONG;
}

enum zmtp_parsed zmtp_frame(const uint8_t *bytes, size_t size, struct zmtp_frame *frame)
{
	uint64_t carried = 0;

	*frame = (struct zmtp_frame){ 0 };
	if (size < 1)
		return ZMTP_PARTIAL;
	frame->flags = bytes[0];
	if ((bytes[0] & ~(ZMTP_MORE | ZMTP_LONG | ZMTP_COMMAND)) != 0 ||
	    (bytes[0] & (ZMTP_COMMAND | ZMTP_MORE)) == (ZMTP_COMMAND | ZMTP_MORE))
		return ZMTP_WRONG;
	size_t head = (bytes[0] & ZMTP_LONG) != 0 ? ZMTP_HEAD_BYTES : 2;
	if (size < head)
		return ZMTP_PARTIAL;
	for (size_t i = 1; i < head; i++)
		carried = carried << 8 | bytes[i];
	if (carried > ((bytes[0] & ZMTP_COMMAND) != 0 ? COMMAND_MAX : PROTOCOL_MESSAGE_MAX_BYTES))
		return ZMTP_WRONG;
	frame->bytes = bytes + head;
	frame->size = (size_t)carried;
	frame->whole = head + frame->size;
	return size < frame->whole ? ZMTP_PARTIAL : ZMTP_WHOLE;
}

bool zmtp_is_command(const struct zmtp_frame *frame, const char *name)
{
	size_t size = strlen(name);

	return (frame->flags & ZMTP_COMMAND) != 0 && frame->size > size && frame->bytes[0] == size &&
	       memcmp(frame->bytes + 1, name, size) == 0;
}

/* Property names are to be compared without regard to case; libzmq, and everybody, writes this one so. */
bool zmtp_is_ready(const struct zmtp_frame *frame, const char *socket_type)
{
	static const char name[] = "Socket-Type";
	size_t at = sizeof "READY", type_size = strlen(socket_type);

	if (!zmtp_is_command(frame, "READY"))
		return false;
	while (at < frame->size) {
		size_t name_size = frame->bytes[at++];
		if (frame->size - at < name_size + 4)
			return false;
		const uint8_t *size_at = frame->bytes + at + name_size;
		size_t size = (size_t)size_at[0] << 24 | (size_t)size_at[1] << 16 | (size_t)size_at[2] << 8 | size_at[3];
		if (frame->size - at - name_size - 4 < size)
			return false;
		if (name_size == sizeof name - 1 && memcmp(frame->bytes + at, name, name_size) == 0)
			return size == type_size && memcmp(size_at + 4, socket_type, size) == 0;
		at += name_size + 4 + size;
	}
	return false;
}

bool zmtp_is_ping(const struct zmtp_frame *frame, const uint8_t **context, size_t *size)
{
	const size_t before = sizeof "PING" + PING_TTL_BYTES;

	if (!zmtp_is_command(frame, "PING") || frame->size < before)
		return false;
	*context = frame->bytes + before;
	*size = frame->size - before;
	return true;
}
