/* SPDX-License-Identifier: MIT
 *
 * call.h - what stands behind `struct sole_call` of sole/behaviour.h: one operation, tick
 * or end of a session being run. Made by the core, seen by nobody else but behaviour.c.
 */
#ifndef SOLE_OWNER_CALL_H
#define SOLE_OWNER_CALL_H

#include "owner/core/operations.h"

enum {
	REFUSAL_TEXT_MAX = 200,
	LATE_ANSWER_MAX = PROTOCOL_MESSAGE_MAX_BYTES - PROTOCOL_MESSAGE_HEADER_BYTES - PROTOCOL_ITEM_HEADER_BYTES,
};

/* What a call has caused beside changes of the store; kept or dropped with them. */
struct effects {
	struct buffer events;  /* as events_encode writes them */
	size_t event_count;
	struct buffer answers; /* each u64 session, u64 sequence, u32 size, and a payload: a list */
	struct buffer detail;  /* the bytes of sole_refuse_detail */
	size_t missed;         /* late answers to who does not wait */
	int64_t token;         /* the last one given out */
	bool failed;           /* no memory for them */
	bool too_large;        /* a late answer or an event does not fit into a message */
};

struct sole_call {
	void *context;
	const struct caller *caller; /* NULL: nobody asks */
	uint16_t operation; /* 0: none */
	const struct value *arguments;
	size_t argument_count;
	int64_t now_us;
	uint64_t revision, session, sequence;
	struct buffer *out; /* results are appended here, behind their count */
	size_t answered;    /* results of the operation being run */
	size_t list_start;  /* of the list being answered; 0: none */
	size_t reply_end;   /* the largest size that `out` may reach */
	uint64_t checkpoints_left;
	bool overran;       /* sole_checkpoint has refused */
	bool may_wait;
	struct effects *effects;
	/* Whether (session, sequence) waits: of the core's sessions. */
	bool (*is_waiting)(const void *sessions, uint64_t session, uint64_t sequence);
	const void *sessions;
	struct sole_store *store;
	/* set by sole_refuse and sole_refuse_detail */
	char text[REFUSAL_TEXT_MAX];
	struct value detail;
};

#endif
