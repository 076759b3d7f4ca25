/* SPDX-License-Identifier: MIT
 *
 * local_in.c - from a socket's bytes to the messages of a round.
 *
 * Bytes are read into an arena that all connections share, and messages stay where they were read until
 * the round is over; only what is no whole message yet is kept with its connection. So a thousand
 * clients that ask one thing each go through the same few warm pages. A message too long for that is read
 * to where it is kept.
 */
#include "owner/transport/local_parts.h"

#include "common/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <xxhash.h>

enum {
	DIRECT_BYTES = LOCAL_READ_BYTES / 2, /* a message longer than that is not for the arena */
	KEEP_BYTES = 4096,  /* of a connection that has nothing to keep */
};

/* What stands at `bytes` and is to be taken; what is taken is counted off. */
struct span {
	uint8_t *bytes;
	size_t size;
	size_t needed; /* bytes that the first message needs, when it is not whole */
};

static void skip(struct span *span, size_t size)
{
	span->bytes += size;
	span->size -= size;
}

/* ---- the handshake ---- */

/* Whoever a ROUTER talks to; WRONG: the peer is none of these. */
static enum zmtp_parsed shake_hands(struct local *local, struct link *link, struct span *span)
{
	enum zmtp_parsed parsed = ZMTP_WHOLE;
	struct zmtp_frame frame;

	if (link->phase == LINK_GREETING) {
		parsed = zmtp_greeting(span->bytes, span->size);
		if (parsed != ZMTP_WHOLE)
			return parsed;
		skip(span, ZMTP_GREETING_BYTES);
		link->phase = LINK_HANDSHAKE;
	}
	parsed = zmtp_frame(span->bytes, span->size, &frame);
	if (parsed != ZMTP_WHOLE)
		return parsed;
	if (!zmtp_is_ready(&frame, "DEALER") && !zmtp_is_ready(&frame, "REQ") && !zmtp_is_ready(&frame, "ROUTER"))
		return ZMTP_WRONG;
	skip(span, frame.whole);
	link_end_handshake(local, link);
	link->phase = LINK_TRAFFIC;
	return ZMTP_WHOLE;
}

/* ---- messages ---- */

static void answer_command(struct local *local, struct link *link, const struct zmtp_frame *command)
{
	uint8_t pong[ZMTP_PONG_BYTES];
	const uint8_t *context;
	size_t size;

	if (zmtp_is_ping(command, &context, &size))
		link_write(local, link, pong, zmtp_pong(pong, context, size));
}

static void take_message(struct local *local, struct link *link, const struct parcel *parcel,
			 struct intake *left, struct transport_message *messages)
{
	static const struct caller nobody = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
	uint64_t handle = link_handle(link);

	messages[local->round_count] = (struct transport_message){
		.caller = parcel->relayed ? nobody : link->caller,
		.peer = parcel->relayed ? XXH3_64bits_withSeed(parcel->path, parcel->path_size, handle) : handle,
		.connection = parcel->relayed ? 0 : handle,
		.subscribed = !parcel->relayed && link->subscribed,
		.body = parcel->body,
		.size = parcel->size,
		.overlong = parcel->overlong,
	};
	local->round[local->round_count++] = (struct local_message){
		.link = link, .generation = link->generation, .path = parcel->path, .path_size = parcel->path_size,
	};
	link->in_round++;
	left->messages--;
	left->bytes -= parcel->size < left->bytes ? parcel->size : left->bytes;
}

/* Takes messages up to a turn's, or up to a command: amid a long message it moves all that is there of that, and
 * a peer may send no end of them. False: the peer is not to be listened to. *more: it has not been all. */
static bool take_span(struct local *local, struct link *link, struct span *span, struct intake *left,
		      struct transport_message *messages, bool *more)
{
	struct parcel parcel;
	unsigned taken = 0;

	*more = false;
	span->needed = 0;
	enum zmtp_parsed shaken = link->phase == LINK_TRAFFIC ? ZMTP_WHOLE : shake_hands(local, link, span);
	if (shaken != ZMTP_WHOLE)
		return shaken == ZMTP_PARTIAL;
	for (;;) {
		enum parcel_found found = parcel_find(span->bytes, span->size, &parcel);
		if (found == PARCEL_WRONG)
			return false;
		if (found == PARCEL_PARTIAL) {
			span->needed = parcel.whole;
			return true;
		}
		if (taken == link->turn || left->messages == 0 || left->bytes == 0) {
			*more = true;
			return true;
		}
		skip(span, parcel.whole);
		if (found == PARCEL_COMMAND) {
			answer_command(local, link, &parcel.command);
			taken = link->turn;
			continue;
		}
		taken++;
		link->whole_ns = local->now_ns;
		if (found == PARCEL_MESSAGE) {
			take_message(local, link, &parcel, left, messages);
		} else {
			local->counters->messages++;
			local->counters->messages_malformed++;
		}
	}
}

/* ---- reading ---- */

/* Keeps what is left of the arena's bytes, or makes room for `needed` behind what is kept. */
static bool make_room(struct link *link, size_t needed)
{
	if (needed <= link->held.room)
		return true;
	uint8_t *grown = realloc(link->held.bytes, needed);
	if (grown == NULL)
		return false;
	link->held.bytes = grown;
	link->held.room = needed;
	return true;
}

static bool keep(struct link *link, const struct span *span)
{
	link->held.taken = link->held.size = 0;
	if (span->size == 0) {
		if (link->held.room > KEEP_BYTES) {
			free(link->held.bytes);
			link->held.bytes = NULL;
			link->held.room = 0;
		}
		return true;
	}
	if (!make_room(link, span->size))
		return false;
	memcpy(link->held.bytes, span->bytes, span->size);
	link->held.size = span->size;
	return true;
}

enum read { READ_SOME, READ_NOTHING, READ_END };

static enum read read_socket(const struct link *link, uint8_t *to, size_t room, size_t *got)
{
	ssize_t size;

	do
		size = recv(link->descriptor, to, room, MSG_DONTWAIT);
	while (size < 0 && errno == EINTR);
	if (size < 0 && errno == EAGAIN)
		return READ_NOTHING;
	*got = size > 0 ? (size_t)size : 0;
	return size > 0 ? READ_SOME : READ_END;
}

/* A long message: to where it is kept, as much as it needs. */
static enum read read_long(struct link *link, size_t needed, struct span *span)
{
	size_t left = link->held.size - link->held.taken, got;

	if (link->held.taken > 0)
		memmove(link->held.bytes, link->held.bytes + link->held.taken, left);
	link->held.taken = 0;
	link->held.size = left;
	if (!make_room(link, needed))
		return READ_END;
	enum read read = read_socket(link, link->held.bytes + left, link->held.room - left, &got);
	if (read != READ_SOME)
		return read;
	link->held.size += got;
	*span = (struct span){ .bytes = link->held.bytes, .size = link->held.size };
	return READ_SOME;
}

/* What is kept, and what comes behind it, in the arena. */
static enum read read_short(struct local *local, struct link *link, struct span *span)
{
	uint8_t *to = local->arena + local->arena_used;
	size_t kept = link->held.size - link->held.taken, got;

	if (kept > 0)
		memcpy(to, link->held.bytes + link->held.taken, kept);
	enum read read = read_socket(link, to + kept, LOCAL_READ_BYTES - kept, &got);
	if (read != READ_SOME)
		return read;
	local->arena_used += kept + got;
	*span = (struct span){ .bytes = to, .size = kept + got };
	return READ_SOME;
}

bool link_take(struct local *local, struct link *link, struct intake *left, struct transport_message *messages)
{
	struct span span = { .bytes = link->held.bytes + link->held.taken, .size = link->held.size - link->held.taken };
	bool more = false, sound = true;

	/* Who does not read its answers is not listened to: what it asks waits in its own socket. */
	if (!link_is_clear(link))
		return false;
	/* What was read before comes first; and when something of it is taken, what is kept must stay where it is. */
	if (span.size > 0) {
		sound = take_span(local, link, &span, left, messages, &more);
		link->held.taken = link->held.size - span.size;
		if (!sound)
			goto wrong;
		if (more || link->in_round > 0 || left->messages == 0 || left->bytes == 0)
			return more || link->readable;
	}
	if (!link->readable)
		return false;
	bool is_long = span.needed > DIRECT_BYTES;
	if (!is_long && LOCAL_ARENA_BYTES - local->arena_used < LOCAL_READ_BYTES) {
		left->bytes = 0; /* the round is full */
		return true;
	}
	link->readable = false; /* if there is more, epoll says so again */
	switch (is_long ? read_long(link, span.needed, &span) : read_short(local, link, &span)) {
	case READ_NOTHING:
		return false;
	case READ_END:
		link_end(local, link);
		return false;
	case READ_SOME:
		break;
	}
	sound = take_span(local, link, &span, left, messages, &more);
	if (!sound)
		goto wrong;
	if (is_long) {
		link->held.taken = link->held.size - span.size;
	} else if (!keep(link, &span)) {
		link_end(local, link); /* no memory: it asks again */
		return false;
	}
	return more;
wrong:
	local->counters->connections_wrong++;
	link_end(local, link);
	return false;
}
