/* SPDX-License-Identifier: MIT
 *
 * zmtp.h - the bytes of ZMTP 3.1 (ZeroMQ RFC 37) with the NULL mechanism: greeting, READY, frames.
 *
 * Both ends of a Unix socket speak it from here: what is written is made, what was read is taken apart where it
 * stands. Pure: no socket, no clock, no memory of its own.
 */
#ifndef SOLE_COMMON_ZMTP_H
#define SOLE_COMMON_ZMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ZMTP_GREETING_BYTES = 64,
	ZMTP_OPENING_BYTES = ZMTP_GREETING_BYTES + 43, /* the greeting, and READY behind it */
	ZMTP_HEAD_BYTES = 9,                           /* the most that stands before what a frame carries */
	ZMTP_PONG_BYTES = 2 + 5 + 16,

	ZMTP_MORE = 1,
	ZMTP_LONG = 2,
	ZMTP_COMMAND = 4,
};

enum zmtp_type { ZMTP_DEALER, ZMTP_ROUTER };

/* All that an end says before its first message. */
void zmtp_opening(uint8_t bytes[ZMTP_OPENING_BYTES], enum zmtp_type type);

/* What goes before `size` bytes of a message's frame, behind which others follow or none; returns how many bytes that are. */
size_t zmtp_head(uint8_t bytes[ZMTP_HEAD_BYTES], bool more, size_t size);

/* The answer to a PING with that context; returns its size. */
size_t zmtp_pong(uint8_t bytes[ZMTP_PONG_BYTES], const uint8_t *context, size_t size);

enum zmtp_parsed {
	ZMTP_WHOLE,
	ZMTP_PARTIAL, /* what is there can be the beginning of one */
	ZMTP_WRONG,   /* and this cannot: the connection is of no use */
};

/* A peer's greeting: ZMTP_GREETING_BYTES at the beginning. WRONG at the first byte that tells. */
enum zmtp_parsed zmtp_greeting(const uint8_t *bytes, size_t size);

struct zmtp_frame {
	uint8_t flags;
	const uint8_t *bytes; /* what it carries */
	size_t size;
	size_t whole;         /* bytes of all of it, its head included */
};

/* The frame at `bytes`. WRONG also for one that is larger than any of ours can be: nothing need be kept for it. PARTIAL:
 * frame->whole is known already, or 0. */
enum zmtp_parsed zmtp_frame(const uint8_t *bytes, size_t size, struct zmtp_frame *frame);

/* Is it that command? What it carries begins with the command's name. */
bool zmtp_is_command(const struct zmtp_frame *frame, const char *name);

/* READY of a peer of that type? */
bool zmtp_is_ready(const struct zmtp_frame *frame, const char *socket_type);

/* A PING's context, which is to be sent back; false: it is none. */
bool zmtp_is_ping(const struct zmtp_frame *frame, const uint8_t **context, size_t *size);

#endif
