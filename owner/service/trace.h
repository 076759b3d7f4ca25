/* SPDX-License-Identifier: MIT
 *
 * trace.h - requests as they run, for those who asked to be told of them.
 *
 * A trace is a filter and a ring of bounded size that holds what its client has not read yet. What
 * does not fit is dropped, and how much that was is told. What a request took is known when its
 * round is over: until then its line is *staged*. Nothing here blocks or sends.
 */
#ifndef SOLE_OWNER_TRACE_H
#define SOLE_OWNER_TRACE_H

#include "common/buffer.h"
#include "owner/service/slow.h"

enum {
	TRACE_BYTES = 256 << 10,  /* of lines, in each trace */
	TRACE_PREFIX_BYTES = SEEN_KEY_BYTES,
};

struct trace_filter {
	const struct sole_operation_entry *operation; /* the first of a request; NULL: any */
	bool keyed;             /* only requests whose first key begins with the prefix */
	size_t prefix_size;
	uint8_t prefix[TRACE_PREFIX_BYTES];
	pid_t pid;              /* 0: any */
	uint64_t slower_ns;     /* that took at least so long, from its round's beginning until the replies left */
};

struct trace {
	uint64_t connection, id;
	struct trace_filter filter;
	struct caller caller;   /* who asked for it */
	bool revoked;           /* may not have it any more: hears so, and it ends */
	struct buffer lines;    /* as lists of the protocol */
	size_t head;            /* where the first that was not sent begins */
	size_t staged;          /* where the first of this round begins */
	uint64_t staged_count;
	uint64_t dropped;       /* since that was last told */
};

/* Everything but slower_ns, which only the end of the round can judge. */
bool trace_wants(const struct trace_filter *filter, const struct seen *seen);

/* Stages a line. False: there is no room, and it counts as dropped. */
bool trace_add(struct trace *trace, const struct seen *seen);

/* The round is over: its lines can be sent, or are let go where it was not slow enough. Returns how many can be sent. */
uint64_t trace_finish(struct trace *trace, uint64_t took_ns);

/* What can be sent now, as whole lines of at most `most` bytes; nothing: *size is 0. Valid until the trace is used again. */
const uint8_t *trace_next(const struct trace *trace, size_t most, size_t *size);

/* It was sent. */
void trace_sent(struct trace *trace, size_t size);

void trace_clear(struct trace *trace);

/* One request as a list: what SLOW tells, and TRACED. */
void seen_write(const struct seen *seen, struct buffer *out);

#endif
