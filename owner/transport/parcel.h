/* SPDX-License-Identifier: MIT
 *
 * parcel.h - one message among the bytes of a connection: return path, empty delimiter, body (28/REQREP).
 *
 * Bytes in, a message in place out. Pure: no socket, no memory of its own.
 */
#ifndef SOLE_OWNER_PARCEL_H
#define SOLE_OWNER_PARCEL_H

#include "common/zmtp.h"

enum parcel_found {
	PARCEL_MESSAGE,
	PARCEL_GARBAGE, /* a message that is not framed so */
	PARCEL_COMMAND, /* ZMTP's, no message */
	PARCEL_PARTIAL, /* more is to be read */
	PARCEL_WRONG,   /* no ZMTP, or a message that has no end: the connection is of no use */
};

struct parcel {
	size_t whole;           /* bytes that it takes; PARTIAL: that it takes at least, as far as can be told */
	const uint8_t *path;    /* MESSAGE: the frames before the body, as they are to stand before a reply's */
	size_t path_size;
	bool relayed;           /* there are frames before the delimiter: a broker stands between */
	const uint8_t *body;
	size_t size;
	bool overlong;          /* frames followed the body */
	struct zmtp_frame command; /* COMMAND */
};

/* What stands at `bytes`, where a message begins. A command that stands amid a message's frames is moved before
 * them. Pointers go into `bytes`. */
enum parcel_found parcel_find(uint8_t *bytes, size_t size, struct parcel *parcel);

#endif
