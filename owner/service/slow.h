/* SPDX-License-Identifier: MIT
 *
 * slow.h - the slowest requests since the list was last emptied.
 *
 * What counts is how long a request ran: while it runs everybody waits. The list has a bound; when it
 * is full the least slow makes room. A heap keeps that one at hand.
 */
#ifndef SOLE_OWNER_SLOW_H
#define SOLE_OWNER_SLOW_H

#include "owner/core/operations.h"

enum { SEEN_KEY_BYTES = 64 }; /* of a key that are kept */

/* What is told of a request that was looked at: of slow ones, and of traced ones. */
struct seen {
	int64_t wall_us;
	uint64_t run_ns;       /* that it ran, with those counted in `together` */
	uint64_t took_ns;      /* from the beginning of its round until the replies left */
	uint32_t together;     /* requests that the clock was read once for, this one the heaviest of them */
	struct caller caller;
	uint64_t session, sequence, revision;
	uint32_t operations;   /* of the request */
	const struct sole_operation_entry *first; /* NULL: the owner has none of that number */
	uint16_t code;
	bool has_key;          /* the first operation takes one */
	uint32_t key_size;     /* of the whole key */
	uint8_t key[SEEN_KEY_BYTES];
};

struct slow {
	struct seen *kept;     /* a heap: the least slow first */
	size_t count, room;
	uint64_t total;        /* that were slow, kept or not */
	size_t unfinished;     /* of this round: what the whole took is not known yet */
};

/* False when there is no memory. */
bool slow_init(struct slow *slow, size_t room);
void slow_clear(struct slow *slow);

/* Would it be kept? */
bool slow_takes(const struct slow *slow, uint64_t run_ns);

/* Its took_ns is 0 until slow_finish. */
void slow_add(struct slow *slow, const struct seen *seen);

/* The round of those added since is over, and took so long. */
void slow_finish(struct slow *slow, uint64_t took_ns);

void slow_reset(struct slow *slow);

/* Sorts slow->kept[0 .. slow->count - 1], the slowest last. */
void slow_sort(struct slow *slow);

#endif
