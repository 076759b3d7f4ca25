/* SPDX-License-Identifier: MIT
 *
 * zmtp.h - one end of a ZMTP 3.1 connection (ZeroMQ RFC 37): a DEALER without
 * security, as bytes in and bytes out.
 *
 * What was read goes in, messages come out; what is to be written is given as bytes. No
 * socket, no clock. A message is an empty delimiter and a body (RFC 28); of anything else
 * it is only known that it was there. A peer that breaks the framing, or announces a frame
 * larger than a body can be, is not to be listened to any more.
 */
#ifndef SOLE_CLIENTS_ZMTP_H
#define SOLE_CLIENTS_ZMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ZMTP_OPENING_BYTES = 64 + 43, /* the greeting, and READY behind it */
	ZMTP_HEAD_BYTES = 11,         /* the most that stands before a body */
	ZMTP_PONG_BYTES = 2 + 5 + 16,
};

struct zmtp {
	enum zmtp_phase { ZMTP_GREETING, ZMTP_HANDSHAKE, ZMTP_TRAFFIC, ZMTP_BROKEN } phase;
	uint8_t *bytes;          /* those from `taken` to `filled` are to be looked at */
	size_t taken, filled, room;
	unsigned frames;         /* of the message under way that have been taken */
	bool misshapen;          /* that message is not a delimiter and a body */
};

/* {0} is one end before anything was read. Frees the memory and leaves such an end. */
void zmtp_clear(struct zmtp *zmtp);

/* A new connection: forgets what was read; keeps the memory. */
void zmtp_reset(struct zmtp *zmtp);

/* All that this end says before its first message. */
void zmtp_opening(uint8_t bytes[ZMTP_OPENING_BYTES]);

/* What goes before a body of `size` bytes; returns how many bytes that are. */
size_t zmtp_head(uint8_t bytes[ZMTP_HEAD_BYTES], size_t size);

/* Where to read to, and how much. NULL: there is no memory. What zmtp_next gave ends here. */
uint8_t *zmtp_room(struct zmtp *zmtp, size_t *room);

/* So many bytes were read to there. */
void zmtp_filled(struct zmtp *zmtp, size_t size);

enum zmtp_found {
	ZMTP_NOTHING,   /* until more is read */
	ZMTP_READY,     /* the peer is one: messages may be sent */
	ZMTP_BODY,      /* a message */
	ZMTP_MISSHAPEN, /* a message of another shape, skipped */
	ZMTP_PING,      /* to be answered with zmtp_pong */
	ZMTP_FAULT,     /* the connection is of no use */
};

/* What was read, one after the other. *bytes and *size: the body, or the context of a ping; they stay until zmtp_room,
 * zmtp_reset or zmtp_clear. */
enum zmtp_found zmtp_next(struct zmtp *zmtp, const uint8_t **bytes, size_t *size);

/* The answer to a ping with that context; returns its size. */
size_t zmtp_pong(uint8_t bytes[ZMTP_PONG_BYTES], const uint8_t *context, size_t size);

#endif
