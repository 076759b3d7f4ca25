/* SPDX-License-Identifier: MIT
 *
 * protocol.h - the wire protocol, declared once; sole-protocol(7) describes it.
 *
 * A message is [return path ...][empty delimiter][body] (ZeroMQ RFC 28/REQREP).
 * The body is a message header and `count` items behind it, each an item header
 * and its payload. Integers are little-endian; nothing is aligned. The tables
 * below are the layout: structs, encoders and decoders in wire.c come from them.
 */
#ifndef SOLE_COMMON_PROTOCOL_H
#define SOLE_COMMON_PROTOCOL_H

#include <stdint.h>

enum {
	PROTOCOL_MAGIC = 0x454c4f53, /* the bytes "SOLE" */
	PROTOCOL_VERSION_LEAST = 1,
	PROTOCOL_VERSION = 1,

	PROTOCOL_MESSAGE_HEADER_BYTES = 32,
	PROTOCOL_ITEM_HEADER_BYTES = 32,
	PROTOCOL_MESSAGE_MAX_BYTES = 1 << 20, /* each way; the whole body */
	PROTOCOL_ITEMS_MAX = 1024,            /* in one message */
	PROTOCOL_WINDOW = 256,                /* requests of a session under way */
	PROTOCOL_NONCE_BYTES = 16,
	PROTOCOL_RETURN_PATH_MAX = 8,         /* frames before the delimiter */
	PROTOCOL_BACKUP_BYTES = 1 << 19,      /* of a snapshot in one reply, at the most */
};

/* Field(type, name). The header of a message, in either direction. */
#define PROTOCOL_MESSAGE_FIELDS(FIELD)                                                             \
	FIELD(u32, magic)       /* PROTOCOL_MAGIC */                                               \
	FIELD(u8, version)      /* of everything behind this header */                             \
	FIELD(u8, kind)         /* enum message_kind */                                            \
	FIELD(u16, count)       /* items that follow */                                            \
	FIELD(u64, tag)         /* chosen by the asker, repeated in the reply */                   \
	FIELD(u64, incarnation) /* which start of the owner; 0 in a request */                     \
	FIELD(u64, history)     /* which life of the state; 0 in a request */

/* The header of an item of a request message. */
#define PROTOCOL_REQUEST_FIELDS(FIELD)                                                             \
	FIELD(u32, size)     /* bytes of the item, this header included */                         \
	FIELD(u8, kind)      /* enum item_kind */                                                  \
	FIELD(u8, flags)     /* REQUEST_FLAG_... */                                                \
	FIELD(u16, window)   /* sequence minus the oldest one still unanswered */                  \
	FIELD(u64, session)  /* 0: none; SESSION_OPENED: that of the OPEN before it */             \
	FIELD(u64, sequence) /* of the session's commands, from 1; else the asker's choice */      \
	FIELD(u64, deadline) /* CLOCK_MONOTONIC nanoseconds, 0: none */

/* The header of an item of a reply message. */
#define PROTOCOL_REPLY_FIELDS(FIELD)                                                               \
	FIELD(u32, size)                                                                           \
	FIELD(u8, kind)      /* that of the request */                                             \
	FIELD(u8, outcome)   /* enum outcome, and REPLY_FLAG_... */                                \
	FIELD(u16, code)     /* codes.def */                                                       \
	FIELD(u64, session)                                                                        \
	FIELD(u64, sequence)                                                                       \
	FIELD(u64, revision) /* of the state when it was answered */

enum message_kind {
	MESSAGE_REQUEST = 1,
	MESSAGE_REPLY = 2,      /* the last, and nearly always the only, reply message of its tag */
	MESSAGE_NOTICE = 3,     /* not asked for; only to peers whose HELLO takes them */
	MESSAGE_REPLY_PART = 4, /* more replies of this tag follow; only to the same peers */
};

/* ITEM(number, NAME, "name"): what a message can carry. Never reused. */
#define PROTOCOL_ITEMS(ITEM)                                                                       \
	ITEM(1, HELLO, "hello")      /* versions; answered with the owner's name and limits */     \
	ITEM(2, OPEN, "open")        /* a session */                                               \
	ITEM(3, GOODBYE, "goodbye")  /* ends the session */                                        \
	ITEM(4, RUN, "run")          /* one or more operations, all or none */                     \
	ITEM(5, CANCEL, "cancel")    /* withdraws (session, sequence) */                           \
	ITEM(6, PING, "ping")                                                                      \
	ITEM(7, STATUS, "status")    /* names and values about the owner */                        \
	ITEM(8, STATS, "stats")      /* counters: name, value, unit, sentence */                   \
	ITEM(9, DESCRIBE, "describe") /* the operations of the behaviour */                        \
	ITEM(10, WATCH, "watch")     /* asks for events from a revision on */                      \
	ITEM(11, UNWATCH, "unwatch") /* no more of them */                                         \
	ITEM(12, RECEIVED, "received") /* the late answer to (session, sequence) need not be kept */ \
	ITEM(13, OUTCOME, "outcome") /* what became of a command of any session */                 \
	ITEM(14, BACKUP, "backup")   /* a part of the whole state as a snapshot */                 \
	ITEM(15, SESSIONS, "sessions") /* those that are open, a page at a time */                   \
	ITEM(16, END_SESSION, "end-session") /* of anybody */                                     \
	ITEM(17, READ_ONLY, "read-only") /* commands are refused from now on, or no more */       \
	ITEM(18, LATENCIES, "latencies") /* how long operations, rounds and syncs took */             \
	ITEM(19, CLIENTS, "clients") /* who is connected */                                        \
	ITEM(20, HOT, "hot")         /* which keys are asked for most */                           \
	ITEM(21, SLOW, "slow")       /* the slowest requests */                                    \
	ITEM(22, TRACE, "trace")     /* asks to be told of requests as they run */                 \
	ITEM(23, UNTRACE, "untrace") /* no more of them */                                         \
	ITEM(32, LEAVING, "leaving") /* notice: the owner is about to end */                       \
	ITEM(33, EVENTS, "events")   /* notice: what a watch asked for */                          \
	ITEM(34, TRACED, "traced")   /* notice: what a trace asked for */

enum item_kind {
#define ITEM(number, NAME, name) ITEM_##NAME = number,
	PROTOCOL_ITEMS(ITEM)
#undef ITEM
};

enum {
	REQUEST_FLAG_QUERY = 1,    /* RUN: every operation is a query; it takes no sequence */
	REQUEST_FLAG_RELATIVE = 2, /* deadline is nanoseconds from arrival, for other hosts */
	REQUEST_FLAG_OTHERWISE = 8, /* RUN: has an OPERATION_OTHERWISE; the half that ran comes first */
	REQUEST_FLAG_NOTICES = 4,  /* HELLO: this peer takes messages it did not ask for */
};

#define SESSION_OPENED UINT64_MAX

enum outcome {
	OUTCOME_DONE = 0,
	OUTCOME_REFUSED = 1,
	OUTCOME_UNKNOWN = 2,
	OUTCOME_WAITING = 3, /* admitted, not answered yet: the answer comes as a notice */
};

/* Added to the outcome of a RUN: all that the reply shows was on disk when it left. */
enum { REPLY_FLAG_DURABLE = 0x80 };

/* What an owner's state survives: told by HELLO. */
enum durability {
	DURABILITY_MEMORY = 0,   /* not the owner */
	DURABILITY_SYNC = 1,     /* everything: replies leave when they are on disk */
	DURABILITY_INTERVAL = 2, /* the owner; of a loss of power all but what came last */
};

/* Not a behaviour's operation: divides a request in two. When an operation before it refuses
 * with CODE_CONFLICT, all before it is undone and those behind it run in its place. */
enum { OPERATION_OTHERWISE = 0xffff };

enum code {
#define CODE(number, NAME, outcome, name, text) CODE_##NAME = number,
#include "common/codes.def"
#undef CODE
};

/* What became of a request that is being cancelled: first result of CANCEL. */
enum cancel_fate {
	CANCEL_WITHDRAWN = 0, /* it did not run and will not */
	CANCEL_ANSWERED = 1,  /* it was answered before; its reply follows as an item of its own */
};

/* What became of a command that somebody asks about: first result of OUTCOME. */
enum command_fate {
	FATE_RAN = 0,       /* once */
	FATE_REFUSED = 1,   /* admitted and refused, or withdrawn: it did not run and will not */
	FATE_WAITING = 2,   /* admitted: it waits for its turn */
	FATE_NOT_COME = 3,  /* has not come: it has not run, and will only if it still comes */
	FATE_NEVER_CAME = 4, /* its session ended without it: it did not run and will not */
	FATE_UNKNOWN = 5,   /* the session, or the reply, is not known (any more) */
};

#endif
