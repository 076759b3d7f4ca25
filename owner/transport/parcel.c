/* SPDX-License-Identifier: MIT
 *
 * parcel.c - frames in place.
 */
#include "owner/transport/parcel.h"

#include "common/protocol.h"

#include <string.h>

enum {
	FRAMES_MAX = 64,                                    /* of one message, whatever it is */
	WHOLE_MAX = PROTOCOL_MESSAGE_MAX_BYTES + 64 * 1024, /* bytes of one message, its path included */
	COMMAND_WHOLE_MAX = 1024,
};

/* Brings the command at bytes[at] to the front, before the frames of the message that it interrupts. */
static void to_front(uint8_t *bytes, size_t at, const struct zmtp_frame *command)
{
	uint8_t copy[COMMAND_WHOLE_MAX];

	memcpy(copy, bytes + at, command->whole);
	memmove(bytes + command->whole, bytes, at);
	memcpy(bytes, copy, command->whole);
}

/* What the frames up to here are. */
struct framing {
	unsigned frames, path_frames;
	bool delimited, has_body;
};

/* Anything else than a return path, an empty delimiter and one body frame is garbage. With frames
 * behind the body it is no sound message either, but its sender may be a REQ that waits for an
 * answer: the first of them is kept for the header that may be in it. */
static void take(struct framing *framing, const struct zmtp_frame *frame, struct parcel *parcel)
{
	bool more = (frame->flags & ZMTP_MORE) != 0;

	framing->frames++;
	if (framing->has_body) {
		parcel->overlong = true;
	} else if (framing->delimited) {
		framing->has_body = true;
		parcel->body = frame->bytes;
		parcel->size = frame->size;
	} else if (more && frame->size == 0) {
		framing->delimited = true;
		parcel->path_size = (size_t)(frame->bytes - parcel->path);
	} else {
		framing->path_frames++;
		parcel->relayed = true;
	}
}

enum parcel_found parcel_find(uint8_t *bytes, size_t size, struct parcel *parcel)
{
	struct framing framing = { 0 };
	struct zmtp_frame frame;
	size_t at = 0;

	*parcel = (struct parcel){ .path = bytes };
	for (;;) {
		enum zmtp_parsed parsed = zmtp_frame(bytes + at, size - at, &frame);
		parcel->whole = at + (frame.whole > 0 ? frame.whole : ZMTP_HEAD_BYTES);
		if (parsed == ZMTP_WRONG || parcel->whole > WHOLE_MAX)
			return PARCEL_WRONG;
		if (parsed == ZMTP_PARTIAL)
			return PARCEL_PARTIAL;
		if ((frame.flags & ZMTP_COMMAND) != 0) {
			if (at > 0)
				to_front(bytes, at, &frame);
			parcel->whole = frame.whole;
			zmtp_frame(bytes, frame.whole, &parcel->command);
			return PARCEL_COMMAND;
		}
		take(&framing, &frame, parcel);
		if (framing.frames > FRAMES_MAX)
			return PARCEL_WRONG;
		at += frame.whole;
		if ((frame.flags & ZMTP_MORE) == 0)
			break;
	}
	/* libzmq's routing id counts as one frame of a path, here there is none. */
	return framing.has_body && framing.path_frames < PROTOCOL_RETURN_PATH_MAX ? PARCEL_MESSAGE : PARCEL_GARBAGE;
}
