/* SPDX-License-Identifier: MIT
 *
 * inbound.h - what comes in over a client's ZMTP connection (common/zmtp.h): bytes in, messages out.
 *
 * No socket, no clock. A message is an empty delimiter and a body (RFC 28); of anything else
 * it is only known that it was there. A peer that breaks the framing, or announces a frame
 * larger than a body can be, is not to be listened to any more.
 */
#ifndef SOLE_CLIENTS_INBOUND_H
#define SOLE_CLIENTS_INBOUND_H

#include "common/zmtp.h"

struct inbound {
	enum inbound_phase { INBOUND_GREETING, INBOUND_HANDSHAKE, INBOUND_TRAFFIC, INBOUND_BROKEN } phase;
	uint8_t *bytes;          /* those from `taken` to `filled` are to be looked at */
	size_t taken, filled, room;
	unsigned frames;         /* of the message under way that have been taken */
	bool misshapen;          /* that message is not a delimiter and a body */
};

/* {0} is one before anything was read. Frees the memory and leaves such a one. */
void inbound_clear(struct inbound *inbound);

/* A new connection: forgets what was read; keeps the memory. */
void inbound_reset(struct inbound *inbound);

/* Where to read to, and how much. NULL: there is no memory. What inbound_next gave ends here. */
uint8_t *inbound_room(struct inbound *inbound, size_t *room);

/* So many bytes were read to there. */
void inbound_filled(struct inbound *inbound, size_t size);

enum inbound_found {
	INBOUND_NOTHING,   /* until more is read */
	INBOUND_READY,     /* the peer is one: messages may be sent */
	INBOUND_BODY,      /* a message */
	INBOUND_MISSHAPEN, /* a message of another shape, skipped */
	INBOUND_PING,      /* to be answered with zmtp_pong */
	INBOUND_FAULT,     /* the connection is of no use */
};

/* What was read, one after the other. *bytes and *size: the body, or the context of a ping; they stay until inbound_room,
 * inbound_reset or inbound_clear. */
enum inbound_found inbound_next(struct inbound *inbound, const uint8_t **bytes, size_t *size);

#endif
