/* SPDX-License-Identifier: MIT
 *
 * inbound.c - a client's half of ZMTP that reads.
 *
 * A frame is taken when all of it is there, so the memory is bounded by the largest
 * frame, and a body is handed out where it was read to, without a copy.
 */
#include "clients/inbound.h"

#include <stdlib.h>
#include <string.h>

enum {
	READ_BYTES = 65536,      /* room for this much is offered, and more to a frame that is larger */
	KEEP_BYTES = 256 * 1024, /* memory above it goes when it is not needed */
};

void inbound_clear(struct inbound *inbound)
{
	free(inbound->bytes);
	*inbound = (struct inbound){ 0 };
}

void inbound_reset(struct inbound *inbound)
{
	*inbound = (struct inbound){ .bytes = inbound->bytes, .room = inbound->room };
}

static enum zmtp_parsed peek(const struct inbound *inbound, struct zmtp_frame *frame)
{
	return zmtp_frame(inbound->bytes + inbound->taken, inbound->filled - inbound->taken, frame);
}

uint8_t *inbound_room(struct inbound *inbound, size_t *room)
{
	size_t left = inbound->filled - inbound->taken, needed = left + READ_BYTES;
	struct zmtp_frame frame;

	if (inbound->taken > 0 && left > 0)
		memmove(inbound->bytes, inbound->bytes + inbound->taken, left);
	inbound->taken = 0;
	inbound->filled = left;
	if (inbound->phase == INBOUND_TRAFFIC && peek(inbound, &frame) == ZMTP_PARTIAL && frame.whole > needed)
		needed = frame.whole;
	if (needed > inbound->room || (left == 0 && inbound->room > KEEP_BYTES)) {
		uint8_t *grown = realloc(inbound->bytes, needed);
		if (grown == NULL)
			return NULL;
		inbound->bytes = grown;
		inbound->room = needed;
	}
	*room = inbound->room - left;
	return inbound->bytes + left;
}

void inbound_filled(struct inbound *inbound, size_t size)
{
	inbound->filled += size;
}

static bool take_frame(struct inbound *inbound, struct zmtp_frame *frame)
{
	enum zmtp_parsed parsed = peek(inbound, frame);

	if (parsed == ZMTP_WRONG)
		inbound->phase = INBOUND_BROKEN;
	if (parsed != ZMTP_WHOLE)
		return false;
	inbound->taken += frame->whole;
	return true;
}

static void take_greeting(struct inbound *inbound)
{
	enum zmtp_parsed parsed = zmtp_greeting(inbound->bytes + inbound->taken, inbound->filled - inbound->taken);

	if (parsed == ZMTP_WRONG)
		inbound->phase = INBOUND_BROKEN;
	if (parsed != ZMTP_WHOLE)
		return;
	inbound->taken += ZMTP_GREETING_BYTES;
	inbound->phase = INBOUND_HANDSHAKE;
}

static enum inbound_found take_ready(struct inbound *inbound)
{
	struct zmtp_frame frame;

	if (!take_frame(inbound, &frame))
		return INBOUND_NOTHING;
	inbound->phase = zmtp_is_ready(&frame, "ROUTER") ? INBOUND_TRAFFIC : INBOUND_BROKEN; /* ERROR, or no owner */
	return INBOUND_READY;
}

/* A frame of a message. INBOUND_NOTHING: the message goes on. */
static enum inbound_found take_part(struct inbound *inbound, const struct zmtp_frame *frame)
{
	bool more = (frame->flags & ZMTP_MORE) != 0, delimiter = inbound->frames == 0;

	if (delimiter ? !more || frame->size > 0 : more)
		inbound->misshapen = true;
	inbound->frames = 1;
	if (more)
		return INBOUND_NOTHING;
	enum inbound_found found = inbound->misshapen ? INBOUND_MISSHAPEN : INBOUND_BODY;
	inbound->frames = 0;
	inbound->misshapen = false;
	return found;
}

static enum inbound_found take_message(struct inbound *inbound, const uint8_t **bytes, size_t *size)
{
	struct zmtp_frame frame;

	while (take_frame(inbound, &frame)) {
		if (zmtp_is_ping(&frame, bytes, size))
			return INBOUND_PING;
		if ((frame.flags & ZMTP_COMMAND) != 0)
			continue;
		enum inbound_found found = take_part(inbound, &frame);
		if (found == INBOUND_NOTHING)
			continue;
		*bytes = frame.bytes;
		*size = frame.size;
		return found;
	}
	return INBOUND_NOTHING;
}

enum inbound_found inbound_next(struct inbound *inbound, const uint8_t **bytes, size_t *size)
{
	enum inbound_found found = INBOUND_NOTHING;

	if (inbound->phase == INBOUND_GREETING)
		take_greeting(inbound);
	if (inbound->phase == INBOUND_HANDSHAKE)
		found = take_ready(inbound);
	else if (inbound->phase == INBOUND_TRAFFIC)
		found = take_message(inbound, bytes, size);
	return inbound->phase == INBOUND_BROKEN ? INBOUND_FAULT : found;
}
