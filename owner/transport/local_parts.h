/* SPDX-License-Identifier: MIT
 *
 * local_parts.h - what the files of the Unix socket's door share; for nobody else.
 *
 *	local.c       newcomers, ends, handles, what is due
 *	local_in.c    reading, and the messages of a round
 *	local_out.c   writing, and what waits for peers that do not read
 */
#ifndef SOLE_OWNER_LOCAL_PARTS_H
#define SOLE_OWNER_LOCAL_PARTS_H

#include "owner/transport/local.h"
#include "owner/transport/parcel.h"

/* A connection, or the place for one. */
struct link {
	int descriptor;           /* -1: it has ended */
	uint32_t slot, generation; /* of the connection that is open, or was last */
	enum { LINK_GREETING, LINK_HANDSHAKE, LINK_TRAFFIC } phase;
	struct caller caller;
	bool subscribed;
	int64_t whole_ns;         /* when it last delivered a whole message, or was accepted */

	/* What was read and not taken: from `taken` to `size`. Of a round's messages nothing here is moved before its end. */
	struct {
		uint8_t *bytes;
		size_t taken, size, room;
	} held;
	bool readable, pending;   /* there is, or may be, something to read; it is in the line of those with something to take */
	unsigned in_round;        /* messages of the present round */
	unsigned turn;            /* how many it may have in one: few until it is seen to read its answers */

	struct buffer out;        /* what its socket did not take yet, from `sent` on */
	size_t sent;
	int64_t moved_ns;         /* when some of it left last, or it came */
	bool watched_for_room;    /* epoll tells when it takes more, and not when there is more to read */
	bool corked;              /* `out` is written at the end of the round */
	bool broken;              /* nothing can be written; its end is still to be read */

	struct link *next;        /* in the line, or among the ended, or among the free */
	struct link *handshake_next, *handshake_before;
};

/* One message of the round. */
struct local_message {
	struct link *link;
	uint32_t generation;
	const uint8_t *path;
	size_t path_size;
};

struct local {
	int listener, epoll, spare;
	uint64_t most, open;
	const struct limits *limits;
	struct counters *counters;
	bool knocked; /* somebody wants to connect */
	int64_t now_ns;

	struct link **slots;
	size_t slot_count, slot_room;
	struct link *free, *ended;
	struct link *pending, **pending_end; /* the line: who has something to take, in turn */
	struct link *handshakes, *handshakes_last; /* the oldest first */

	uint8_t *arena; /* what is read in a round, as far as it is small */
	size_t arena_used;
	struct local_message *round;
	size_t round_count, round_room;
	struct link **corked;
	size_t corked_count;
	uint64_t out_bytes;
};

enum { LOCAL_ARENA_BYTES = 2 << 20, LOCAL_READ_BYTES = 65536 };

/* ---- local.c ---- */

uint64_t link_handle(const struct link *link);

/* The open connection of that handle, or NULL. */
struct link *link_find(const struct local *local, uint64_t handle);

/* Puts it into the line, if it is not there. */
void link_line_up(struct local *local, struct link *link);

void link_end_handshake(struct local *local, struct link *link);

/* Closes it. What it had sent and was taken stays until the end of the round. */
void link_end(struct local *local, struct link *link);

/* ---- local_in.c ---- */

/* Takes from one connection what it may take of a round. True: there is more, for another round. */
bool link_take(struct local *local, struct link *link, struct intake *left, struct transport_message *messages);

/* ---- local_out.c ---- */

/* Writes what waits, as far as it goes. */
void link_flush(struct local *local, struct link *link);

/* Sends a few bytes that are no message, if there is room. */
void link_write(struct local *local, struct link *link, const uint8_t *bytes, size_t size);

/* Does nothing wait in it? */
static inline bool link_is_clear(const struct link *link)
{
	return link->sent == link->out.size;
}

/* Forgets what waits. */
void link_drop_out(struct local *local, struct link *link);

#endif
