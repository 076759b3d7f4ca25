/* SPDX-License-Identifier: MIT
 *
 * engine.h - what a client says and when: requests, the session, sequences,
 * gathering, retries, cancelling, time limits, watches. See sole-protocol(7).
 *
 * It is pure: no socket, no clock, no randomness and no libzmq. Whoever drives
 * it (library.c; a simulator) tells what happened and what time it is:
 *
 *	engine_connected, engine_disconnected   the connection
 *	engine_receive                          a body that arrived
 *	engine_expire                           time went by: at engine_deadline at the latest
 *	engine_next_message                     after each of them, until it has no more:
 *	                                        a body to send on this connection
 *
 * Callers' callbacks run inside engine_receive, engine_expire and engine_clear.
 * They may submit and cancel; they must not call anything else here.
 *
 * What makes a command run once. It is only ever sent with the id of a session
 * that the owner gave, and a session belongs to one history of one state. An
 * owner that does not know the session does not run the command, so wherever a
 * copy ends up (a connection that was replaced unnoticed, an owner started anew)
 * it runs in that history or nowhere. That is why no command travels in one
 * message with the OPEN of its session, although the protocol would allow it: its
 * second copy, sent because the first answer did not come, could open a session
 * with another owner and run there too. The price is one round trip more before
 * the first command of a handle; queries need no session and pay nothing.
 *
 * What makes each event come once. A watch is a place: the (revision, index) of the
 * event that it wants next. Each time it is asked for, from that place on, it has a new
 * number, and an owner sends the events of one number in order without a gap. So only
 * those of the latest number count; what they repeat lies before the place.
 */
#ifndef SOLE_CLIENTS_ENGINE_H
#define SOLE_CLIENTS_ENGINE_H

#include "clients/request.h"
#include "clients/sole.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/protocol.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* Messages with requests under way at once. One would leave the owner idle for a
	 * round trip; with two the next is there when it looks, and what comes meanwhile is
	 * gathered. More would only make each of them smaller. */
	ENGINE_RUN_MESSAGES = 2,
	ENGINE_MESSAGES = 8,              /* ... with the ones that carry no requests */
	ENGINE_FIRST_BYTES = 64 << 10,    /* of a message before the owner told its limit */
	ENGINE_SMALLEST_MAXIMUM = 4096,   /* an owner that says less is not believed */
	ENGINE_PENDING_MAX = 1000000,     /* requests submitted and not yet answered */
	ENGINE_WATCHES_MAX = 4096,
	ENGINE_PREFIX_MAX = 2048,         /* of a watch: more than any owner takes */
	ENGINE_RECEIVED_MAX = 256,        /* late answers not yet acknowledged: what an owner parks */
	ENGINE_UNWATCH_MAX = 64,          /* the rest is said when their events come */
};

#define ENGINE_PENDING_BYTES_MAX ((size_t)256 << 20) /* of their payloads */

/* How long to wait for the truth about a request whose deadline is over. */
#define ENGINE_GRACE_NS (100 * NS_PER_MS)

/* No answer for so long: find out. Doubles up to the second. A round takes milliseconds, so this
 * is for answers that the owner dropped and for owners that were stopped. Requests are not just
 * sent again, since a query runs, and is counted, each time it arrives: a PING goes out, and
 * because answers of a connection come in order, its answer shows that an earlier one is lost. */
#define ENGINE_RESEND_NS     (1 * NS_PER_S)
#define ENGINE_RESEND_MAX_NS (8 * NS_PER_S)

/* The owner was busy: wait so long. Doubles up to the second. */
#define ENGINE_BUSY_NS     (1 * NS_PER_MS)
#define ENGINE_BUSY_MAX_NS (256 * NS_PER_MS)

/* A parked request is answered without being asked for. Its answer may be lost on the way all
 * the same: look so often. */
#define ENGINE_PARKED_NS   (10 * NS_PER_S)

/* The acknowledgement of a late answer goes along with the next message, and alone after this. */
#define ENGINE_RECEIVED_NS (100 * NS_PER_MS)

/* What is asked of the owner's disk is not there yet: ask again after this. Doubles up to the second. */
#define ENGINE_SEARCH_NS     (2 * NS_PER_MS)
#define ENGINE_SEARCH_MAX_NS (256 * NS_PER_MS)

/* The owner has no room for a watch: ask again after this. */
#define ENGINE_WATCH_NS    (250 * NS_PER_MS)

struct engine_options {
	struct sole *handle;  /* given to the callbacks; never looked at */
	const char *program;  /* told to the owner; must outlive the engine */
	uint32_t window;      /* 1 to PROTOCOL_WINDOW */
	uint32_t silence_ms;
	bool relative;        /* the owner's clock is another host's */
	void (*random)(void *bytes, size_t size);
	const char *hindrance; /* why no owner is reached, "" when that is not known: read when that is to be told; or NULL */
};

/* A message that was sent and has not been answered. */
struct engine_message {
	uint64_t tag;   /* 0: free */
	int64_t sent_ns;
	uint32_t items; /* answers that are still to come */
	uint64_t proof; /* not 0: it is overdue, and an answer to this tag or a later one shows that its own
			   is lost */
	bool runs, hello, open;
};

/*
 *              it is written             "done"
 *    WANTED ----------------> ASKED -----------------> SET
 *       ^                       |                       |
 *       `--- no answer, busy, the connection is gone ---'
 */
enum watch_state { WATCH_WANTED, WATCH_ASKED, WATCH_SET };

struct engine_watch {
	uint64_t id;          /* what the caller has: generation << 32 | place + 1 */
	uint64_t number;      /* what the owner has: the same, of a later generation each time */
	enum watch_state state;
	uint64_t tag;         /* of the message that asked last */
	bool begun;           /* its caller was told so; the place below is known */
	uint64_t history;
	uint64_t revision;    /* of the event wanted next, with its index; 0: from now on */
	uint32_t index;
	sole_watch_callback *callback;
	void *context;
	uint32_t prefix_bytes;
	uint8_t prefix[];
};

/* See sole_trace. */
struct engine_trace {
	sole_trace_callback *callback; /* NULL: there is none */
	void *context;
	uint64_t number;      /* of the latest TRACE, which what is told bears */
	bool wanted;          /* to be asked for */
	bool asked;           /* and not answered yet */
	bool again;           /* what was asked for was another one */
	bool any_operation, any_key;
	int pid;
	int64_t slower_ns;
	uint32_t prefix_bytes;
	uint8_t prefix[64];
	char operation[64];
};

/* Counted for sole(1) and tests. */
struct engine_counters {
	uint64_t messages_sent, messages_received, requests_sent;
	uint64_t sent_again;      /* requests that were written once more */
	uint64_t malformed;       /* messages or items from the owner that could not be read */
	uint64_t strays;          /* answers to nothing that is under way */
	uint64_t sessions, reconnects;
};

/*
 *         a command waits           an id was given          "forgotten"
 *    NONE ---------------> OPENING ----------------> OPEN ----------------> LOST
 *     ^                       |                       |                      |
 *     |     refused, cut      |    another history    |   every command was  |
 *     `-----------------------+-----------------------+---- heard of --------'
 */
enum session_state { SESSION_NONE, SESSION_OPENING, SESSION_OPEN, SESSION_LOST };

enum hello_state {
	HELLO_NEEDED,
	HELLO_SENT,
	HELLO_ANSWERED,
	HELLO_REFUSED, /* nothing can be said on this connection */
	HELLO_DENIED,  /* to be said again with the next request: the owner's rules may be others by then */
};

struct engine {
	struct engine_options options;
	struct engine_counters counters;

	struct request_pool pool;
	struct request_queue waiting;   /* commands and queries, in the order of their submission */
	struct request_queue urgent;    /* PING, STATUS, STATS ...: not held back by anything */
	struct request_queue under_way; /* in the order of their submission; ghosts included */
	struct request_queue parked;    /* out of the window: the owner will answer. Ghosts included */
	size_t pending;                 /* without ghosts */
	size_t again_count;             /* of those two: how many are to be written once more */
	int64_t parked_ns;              /* when to ask for them again */
	int64_t decided_timer;          /* orders the decided before everything that has a time */

	bool connected, closing;
	bool leaving;                   /* the owner said so on this connection */
	enum hello_state hello;
	uint16_t hello_code;            /* why it was refused */
	uint64_t incarnation, history;  /* of the owner that answered the latest HELLO; 0: none did */
	int64_t heard_ns;               /* latest answer of an owner; INT64_MIN: none */
	size_t message_max;             /* bytes the owner takes */
	uint32_t window;                /* requests under way: the lesser of both sides' */

	enum session_state session_state;
	bool other_behaviour;           /* the owner's is not the table */
	uint64_t session;
	uint8_t nonce[PROTOCOL_NONCE_BYTES];
	bool nonce_used;                /* it may have reached an owner: open with the same again */
	bool ping_wanted;               /* as a sign of life, or to find out what is lost */
	int64_t silence_ns;             /* granted */
	int64_t named_ns;               /* when a message last named the session */
	uint64_t next_sequence;         /* of the next new command */
	uint64_t oldest_sequence;       /* not resolved yet; equal to next when all are */
	struct request *commands[PROTOCOL_WINDOW]; /* by sequence modulo its size */
	uint64_t received[ENGINE_RECEIVED_MAX];    /* late answers to acknowledge: sequences */
	size_t received_count;
	int64_t received_ns;            /* when they go alone; INT64_MAX: now, or there are none */
	bool received_due;
	sole_session_callback *session_callback;
	void *session_context;
	uint64_t session_told;          /* what it was last told */

	struct engine_watch **watches;  /* by place; NULL where there is none */
	size_t watch_room, watch_count, watches_wanted;
	uint64_t watch_generation;
	struct engine_watch *telling;   /* whose callback runs; NULL: it has been ended meanwhile */
	int64_t watch_hold_ns;          /* asking waits until then; 0: not held */
	uint64_t unwatch[ENGINE_UNWATCH_MAX];
	size_t unwatch_count;

	struct engine_trace trace;

	uint64_t tag;                   /* the latest used */
	struct engine_message messages[ENGINE_MESSAGES];
	unsigned run_messages;          /* of them: with requests */
	int64_t resend_ns;              /* patience now */
	int64_t hold_until_ns, busy_ns; /* 0: not held; what the next "busy" costs */
	int64_t search_hold_ns, search_ns; /* the same for OUTCOME and BACKUP, and for them alone */
	bool goodbye_answered;

	struct buffer scratch;          /* a reply's text */
	struct sole_value *values;      /* of the reply being told */
	struct sole_list *lists;
	size_t value_room, list_room;
};

/* False when memory runs out. */
bool engine_init(struct engine *engine, const struct engine_options *options);

/* Calls back everything pending, SOLE_CLOSED or SOLE_CANCELLED by whether it can have run,
 * and frees the rest. */
void engine_clear(struct engine *engine);

/* Frees everything, calls nobody back. */
void engine_abandon(struct engine *engine);

/* Copies everything. `deadline_ns`: INT64_MAX for none; `now_ns` means nothing then. Returns SOLE_OK and stores
 * the id, or the reason why nothing was submitted: USAGE, TOO_LARGE, BUSY (a limit of this side),
 * LOCAL_MEMORY, CLOSED. For engine_ask: kind is PING, STATUS, STATS, DESCRIBE, HOT or UNTRACE,
 * without a list (count 0); OUTCOME, BACKUP or TRACE with one; LATENCIES, CLIENTS or SLOW with or without. */
int engine_submit(struct engine *engine, const struct sole_operation *operations, size_t count, int flags,
		  int64_t now_ns, int64_t deadline_ns, sole_callback *callback, void *context, uint64_t *id);
int engine_ask(struct engine *engine, enum item_kind kind, const struct value *list, size_t count, int64_t now_ns,
	       int64_t deadline_ns, sole_callback *callback, void *context, uint64_t *id);

/* SOLE_OK or SOLE_USAGE: see sole_cancel. */
int engine_cancel(struct engine *engine, uint64_t id);

/* See sole_watch and sole_unwatch. Copies the prefix. */
int engine_watch(struct engine *engine, struct sole_value prefix, uint64_t history, uint64_t revision,
		 uint32_t index, sole_watch_callback *callback, void *context, uint64_t *id);
int engine_unwatch(struct engine *engine, uint64_t id);

/* See sole_trace. */
int engine_trace(struct engine *engine, const struct sole_trace_filter *filter, sole_trace_callback *callback,
		 void *context, int64_t now_ns);

/* See sole_on_session. A session that is open is told at the next engine_expire. */
void engine_on_session(struct engine *engine, sole_session_callback *callback, void *context);

void engine_connected(struct engine *engine, int64_t now_ns);
void engine_disconnected(struct engine *engine);

/* One body from the owner; it need not be well-formed. Replies point into it while they are told. */
void engine_receive(struct engine *engine, const void *body, size_t size, int64_t now_ns);

/* Replaces `out` by the next body to send on the connection. False: nothing to send now, and what is
 * in `out` is nothing. */
bool engine_next_message(struct engine *engine, int64_t now_ns, struct buffer *out);

/* What that made last has not been sent, and will not be: of its requests nothing can run. */
void engine_unsent(struct engine *engine);

/* Ends the session: replaces `out` by the body that says so. False: no session, or nobody to tell.
 * engine->goodbye_answered tells when it has arrived. */
bool engine_goodbye(struct engine *engine, struct buffer *out);

static inline struct sole_value value_to_sole(const struct value *from)
{
	switch (from->type) {
	case VALUE_INTEGER:
		return (struct sole_value){ .type = SOLE_INTEGER, .integer = from->integer };
	case VALUE_BYTES:
		return (struct sole_value){ .type = SOLE_BYTES, .size = from->size, .bytes = from->bytes };
	case VALUE_LIST:
		return (struct sole_value){ .type = SOLE_LIST, .size = from->size, .bytes = from->bytes };
	case VALUE_NONE:
		break;
	}
	return (struct sole_value){ .type = SOLE_NONE };
}

/* The time at which engine_expire has something to do (it may be past); INT64_MAX: never. */
int64_t engine_deadline(const struct engine *engine);
void engine_expire(struct engine *engine, int64_t now_ns);

#endif
