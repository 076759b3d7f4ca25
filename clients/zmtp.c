/* SPDX-License-Identifier: MIT
 *
 * zmtp.c - ZMTP's bytes: greeting, READY, frames.
 *
 * A frame is taken when all of it is there, so the memory is bounded by the largest
 * frame, and a body is handed out where it was read to, without a copy.
 */
#include "clients/zmtp.h"

#include "common/protocol.h"

#include <stdlib.h>
#include <string.h>

/* RFC 37: greeting = signature version mechanism as-server filler. */
enum {
	GREETING_BYTES = 64,
	MAJOR_AT = 10,
	MECHANISM_AT = 12,
	MECHANISM_BYTES = 20,

	FLAG_MORE = 1,
	FLAG_LONG = 2,
	FLAG_COMMAND = 4,

	PING_TTL_BYTES = 2,
	CONTEXT_MAX = 16, /* of a ping */
	COMMAND_MAX = 512, /* bytes of READY and its like; libzmq's has 40 */

	READ_BYTES = 65536,      /* room for this much is offered, and more to a frame that is larger */
	KEEP_BYTES = 256 * 1024, /* memory above it goes when it is not needed */
};

static const char mechanism[MECHANISM_BYTES] = "NULL";

void zmtp_clear(struct zmtp *zmtp)
{
	free(zmtp->bytes);
	*zmtp = (struct zmtp){ 0 };
}

void zmtp_reset(struct zmtp *zmtp)
{
	*zmtp = (struct zmtp){ .bytes = zmtp->bytes, .room = zmtp->room };
}

void zmtp_opening(uint8_t bytes[ZMTP_OPENING_BYTES])
{
	/* READY: name, then properties, each with the size of its name in one byte and of its value in four. */
	static const char ready[] = "\x04\x29\x05READY"
				    "\x0bSocket-Type\0\0\0\x06" "DEALER"
				    "\x08Identity\0\0\0\0";

	_Static_assert(sizeof ready - 1 == ZMTP_OPENING_BYTES - GREETING_BYTES, "READY and its size differ");
	memset(bytes, 0, GREETING_BYTES);
	bytes[0] = 0xff;
	bytes[8] = 1; /* what libzmq sends: its end reads as a frame of version 1 */
	bytes[9] = 0x7f;
	bytes[MAJOR_AT] = 3;
	bytes[MAJOR_AT + 1] = 1;
	memcpy(bytes + MECHANISM_AT, mechanism, MECHANISM_BYTES);
	memcpy(bytes + GREETING_BYTES, ready, sizeof ready - 1);
}

size_t zmtp_head(uint8_t bytes[ZMTP_HEAD_BYTES], size_t size)
{
	bytes[0] = FLAG_MORE; /* the delimiter: a short frame without a byte */
	bytes[1] = 0;
	if (size <= UINT8_MAX) {
		bytes[2] = 0;
		bytes[3] = (uint8_t)size;
		return 4;
	}
	bytes[2] = FLAG_LONG;
	for (int i = 0; i < 8; i++)
		bytes[3 + i] = (uint8_t)(size >> (56 - 8 * i));
	return ZMTP_HEAD_BYTES;
}

size_t zmtp_pong(uint8_t bytes[ZMTP_PONG_BYTES], const uint8_t *context, size_t size)
{
	static const char name[] = "\x04PONG";

	size = size <= CONTEXT_MAX ? size : CONTEXT_MAX;
	bytes[0] = FLAG_COMMAND;
	bytes[1] = (uint8_t)(sizeof name - 1 + size);
	memcpy(bytes + 2, name, sizeof name - 1);
	memcpy(bytes + 2 + sizeof name - 1, context, size);
	return 2 + sizeof name - 1 + size;
}

/* ---- reading ---- */

/* The frame at `taken`, as far as it is there. */
struct frame {
	uint8_t flags;
	const uint8_t *bytes;
	size_t head, size;
};

/* False: more is to be read, or (ZMTP_BROKEN) it cannot be one. */
static bool frame_head(struct zmtp *zmtp, struct frame *frame)
{
	const uint8_t *at = zmtp->bytes + zmtp->taken;
	size_t left = zmtp->filled - zmtp->taken;
	uint64_t size = 0;

	if (left < 2)
		return false;
	frame->flags = at[0];
	frame->head = (at[0] & FLAG_LONG) != 0 ? 9 : 2;
	if ((at[0] & ~(FLAG_MORE | FLAG_LONG | FLAG_COMMAND)) != 0 ||
	    (at[0] & (FLAG_COMMAND | FLAG_MORE)) == (FLAG_COMMAND | FLAG_MORE)) {
		zmtp->phase = ZMTP_BROKEN;
		return false;
	}
	if (left < frame->head)
		return false;
	for (size_t i = 1; i < frame->head; i++)
		size = size << 8 | at[i];
	if (size > ((at[0] & FLAG_COMMAND) != 0 ? COMMAND_MAX : PROTOCOL_MESSAGE_MAX_BYTES)) {
		zmtp->phase = ZMTP_BROKEN;
		return false;
	}
	frame->size = (size_t)size;
	frame->bytes = at + frame->head;
	return true;
}

static bool take_frame(struct zmtp *zmtp, struct frame *frame)
{
	if (!frame_head(zmtp, frame) || zmtp->filled - zmtp->taken - frame->head < frame->size)
		return false;
	zmtp->taken += frame->head + frame->size;
	return true;
}

uint8_t *zmtp_room(struct zmtp *zmtp, size_t *room)
{
	size_t left = zmtp->filled - zmtp->taken, needed = left + READ_BYTES;
	struct frame frame;

	if (zmtp->taken > 0 && left > 0)
		memmove(zmtp->bytes, zmtp->bytes + zmtp->taken, left);
	zmtp->taken = 0;
	zmtp->filled = left;
	if (zmtp->phase == ZMTP_TRAFFIC && frame_head(zmtp, &frame) && frame.head + frame.size > needed)
		needed = frame.head + frame.size;
	if (needed > zmtp->room || (left == 0 && zmtp->room > KEEP_BYTES)) {
		uint8_t *grown = realloc(zmtp->bytes, needed);
		if (grown == NULL)
			return NULL;
		zmtp->bytes = grown;
		zmtp->room = needed;
	}
	*room = zmtp->room - left;
	return zmtp->bytes + left;
}

void zmtp_filled(struct zmtp *zmtp, size_t size)
{
	zmtp->filled += size;
}

static enum zmtp_found broken(struct zmtp *zmtp)
{
	zmtp->phase = ZMTP_BROKEN;
	return ZMTP_FAULT;
}

static enum zmtp_found next_greeting(struct zmtp *zmtp)
{
	const uint8_t *at = zmtp->bytes + zmtp->taken;
	size_t left = zmtp->filled - zmtp->taken;

	/* As soon as it can be told, or a peer of another kind would be waited for. */
	if (left > 0 && at[0] != 0xff)
		return broken(zmtp);
	if (left > 9 && (at[9] & 1) == 0)
		return broken(zmtp);
	if (left > MAJOR_AT && at[MAJOR_AT] < 3)
		return broken(zmtp);
	if (left < GREETING_BYTES)
		return ZMTP_NOTHING;
	if (memcmp(at + MECHANISM_AT, mechanism, MECHANISM_BYTES) != 0)
		return broken(zmtp);
	zmtp->taken += GREETING_BYTES;
	zmtp->phase = ZMTP_HANDSHAKE;
	return ZMTP_NOTHING;
}

static bool is_command(const struct frame *frame, const char *name)
{
	size_t size = strlen(name);

	return (frame->flags & FLAG_COMMAND) != 0 && frame->size > size && frame->bytes[0] == size &&
	       memcmp(frame->bytes + 1, name, size) == 0;
}

static enum zmtp_found next_ready(struct zmtp *zmtp)
{
	struct frame frame;

	if (!take_frame(zmtp, &frame))
		return zmtp->phase == ZMTP_BROKEN ? ZMTP_FAULT : ZMTP_NOTHING;
	if (!is_command(&frame, "READY")) /* ERROR, or no peer of ours */
		return broken(zmtp);
	zmtp->phase = ZMTP_TRAFFIC;
	return ZMTP_READY;
}

/* A frame of a message. ZMTP_NOTHING: the message goes on. */
static enum zmtp_found take_part(struct zmtp *zmtp, const struct frame *frame)
{
	bool more = (frame->flags & FLAG_MORE) != 0, delimiter = zmtp->frames == 0;

	if (delimiter ? !more || frame->size > 0 : more)
		zmtp->misshapen = true;
	zmtp->frames = 1;
	if (more)
		return ZMTP_NOTHING;
	enum zmtp_found found = zmtp->misshapen ? ZMTP_MISSHAPEN : ZMTP_BODY;
	zmtp->frames = 0;
	zmtp->misshapen = false;
	return found;
}

static enum zmtp_found next_message(struct zmtp *zmtp, const uint8_t **bytes, size_t *size)
{
	struct frame frame;

	while (take_frame(zmtp, &frame)) {
		enum zmtp_found found = ZMTP_NOTHING;
		size_t skipped = 0;
		if ((frame.flags & FLAG_COMMAND) == 0)
			found = take_part(zmtp, &frame);
		else if (is_command(&frame, "PING") && frame.size >= 5 + PING_TTL_BYTES)
			found = ZMTP_PING, skipped = 5 + PING_TTL_BYTES;
		if (found == ZMTP_NOTHING)
			continue;
		*bytes = frame.bytes + skipped;
		*size = frame.size - skipped;
		return found;
	}
	return zmtp->phase == ZMTP_BROKEN ? ZMTP_FAULT : ZMTP_NOTHING;
}

enum zmtp_found zmtp_next(struct zmtp *zmtp, const uint8_t **bytes, size_t *size)
{
	enum zmtp_found found = ZMTP_NOTHING;

	if (zmtp->phase == ZMTP_GREETING)
		found = next_greeting(zmtp);
	if (zmtp->phase == ZMTP_HANDSHAKE)
		found = next_ready(zmtp);
	else if (zmtp->phase == ZMTP_TRAFFIC)
		found = next_message(zmtp, bytes, size);
	return zmtp->phase == ZMTP_BROKEN ? ZMTP_FAULT : found;
}
