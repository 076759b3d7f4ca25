/* SPDX-License-Identifier: MIT
 *
 * record.h - what is recorded of a state's life: one record for each input that changed it,
 * and for each command that was admitted and did not.
 *
 * The core writes records as it works; replaying them, in order, on what the state was before
 * brings about the same state (core_replay). A round's records go to disk together (journal.h),
 * and share its time. Fields that a kind does not use are 0 and are not written. sole-state(5)
 * describes the bytes.
 */
#ifndef SOLE_OWNER_RECORD_H
#define SOLE_OWNER_RECORD_H

#include "owner/core/operations.h"

/* RECORD(number, NAME, "name"): never reused. */
#define RECORD_KINDS(RECORD)                                                                                    \
	RECORD(1, START, "start")         /* the owner began to serve: incarnation, behaviour and its version */ \
	RECORD(2, OPEN, "open")           /* a session was opened */                                             \
	RECORD(3, END, "end")             /* a session ended */                                                  \
	RECORD(4, RUN, "run")             /* a request ran, or waits: it is run again by replay */               \
	RECORD(5, REFUSED, "refused")     /* a command was admitted and refused: its reply is kept, it is not run */ \
	RECORD(6, WITHDRAWN, "withdrawn") /* a request that waited does so no more */                            \
	RECORD(7, RECEIVED, "received")   /* a late answer has arrived */                                        \
	RECORD(8, TICK, "tick")           /* the behaviour did what was due */                                   \
	RECORD(9, ANSWERED, "answered")   /* told of the record before it: a request that waited was answered */ \
	RECORD(10, MIGRATED, "migrated")  /* the state was brought from an older version of the behaviour to the one that starts next */

enum record_kind {
#define RECORD(number, NAME, name) RECORD_##NAME = number,
	RECORD_KINDS(RECORD)
#undef RECORD
};

enum {
	RECORD_FLAG_OTHERWISE = 1, /* RUN: the request has an OPERATION_OTHERWISE */
	RECORD_FLAG_UNHOOKED = 2,  /* END, WITHDRAWN: the behaviour's function for it failed, and was undone */
	RECORD_FLAG_KNOWN = 4,     /* OPEN, RUN: the kernel said who called */
	RECORD_FLAG_CUT = 8,       /* RUN, ANSWERED: the reply was longer than RECORD_REPLY_MAX and is not here */
	RECORD_REPLY_MAX = 1024,   /* bytes of a reply that is recorded beside what replay brings about again */
	RECORD_HEADER_BYTES = 40,
	RECORD_ROOM = 128,         /* what a record takes at most beside its request, reply or text */
};

/* A record as it is read: pointers go into the bytes that it was read from. */
struct record {
	enum record_kind kind;
	uint8_t flags;
	uint16_t code;     /* of the reply */
	uint64_t session, sequence;
	uint64_t revision; /* after it */
	uint64_t digest;   /* of the store, after it (store_digest) */

	struct caller caller;      /* OPEN, RUN */
	uint64_t acknowledged;     /* RUN, REFUSED of a session: replies below this sequence are dropped first */
	uint32_t reply_max;        /* RUN: what its reply might take, which an operation can ask */
	const uint8_t *request;    /* RUN: the operations */
	size_t request_size;
	const uint8_t *reply;      /* RUN, REFUSED, ANSWERED: the payload */
	size_t reply_size;
	const uint8_t *nonce;      /* OPEN: PROTOCOL_NONCE_BYTES of them */
	uint32_t silence_ms;       /* OPEN */
	uint64_t incarnation;      /* START */
	int64_t token;             /* START: tokens are larger from now on */
	uint32_t version;          /* of the behaviour; START: that serves from now on, MIGRATED: that the state was of */
	const uint8_t *behaviour;  /* START: its name */
	size_t behaviour_size;
};

/* Appends a record. Nothing is allocated when buffer_reserve was asked for RECORD_ROOM and the sizes. */
void record_write(struct buffer *out, const struct record *record);

/* The next record of `reader`. False: there is none, or (reader->bad) it cannot be read. */
bool record_read(struct wire_reader *reader, struct record *record);

const char *record_name(enum record_kind kind);

#endif
