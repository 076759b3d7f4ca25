/* SPDX-License-Identifier: MIT
 *
 * sole.h - ask an owner of state, from C or C++.
 *
 *	struct sole *s;
 *	struct sole_value v;
 *	struct sole_options options = { .owner = "inventory" };
 *	if (sole_open(&s, &options) == SOLE_OK &&
 *	    sole_put(s, sole_text("apples"), sole_integer(12)) == SOLE_OK &&
 *	    sole_get(s, sole_text("apples"), &v) == SOLE_OK)
 *		printf("%lld\n", (long long)v.integer);
 *	sole_close(&s);
 *
 * A handle is one connection to one owner and, from its first command on, one
 * session with it. It connects, reconnects and retries by itself until the time
 * limit, also when the owner is busy or leaving: a command is run once however
 * often it had to be sent. Every answer says whether the operation ran: see enum
 * sole_outcome. sole(3) has all of this at more length, with an example.
 *
 * Two ways to use a handle, freely mixed:
 *   - blocking: sole_get, sole_put ... sole_call return when the answer is there
 *     or the time is up;
 *   - non-blocking: sole_submit returns at once and calls back from
 *     sole_dispatch. Many logical clients ("actors") can share a handle: what
 *     they submit while a message is under way travels together in the next.
 *     Put sole_descriptor into a poll loop, or let sole_run wait.
 *
 * Threads: a handle serves one thread at a time, any thread; a call that finds
 * another thread inside returns SOLE_THREAD and does nothing. Different handles
 * are independent. After fork(2) the child's calls return SOLE_FORKED: the child
 * opens its own handle (sole_close of an inherited one frees its memory and what
 * it has of the connection; of one to another host, ZeroMQ's descriptors stay open
 * until the child ends or calls exec).
 * Only for owners on other hosts does the library start threads, ZeroMQ's (one for I/O
 * in the process), which block all signals; it installs no signal handler. A blocking call goes on after a
 * signal; to stop at one, use sole_run with a descriptor or sole_interrupt.
 *
 * Everything that a function hands out stays valid until the next call on the
 * same handle unless it says otherwise. Nothing here is freed by the caller.
 */
#ifndef SOLE_H
#define SOLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined __GNUC__
#define SOLE_API __attribute__((visibility("default")))
#else
#define SOLE_API
#endif

struct sole; /* opaque */

/* Did it run? */
enum sole_outcome {
	SOLE_DONE = 0,    /* ran, once */
	SOLE_REFUSED = 1, /* did not run and will not */
	SOLE_UNKNOWN = 2, /* cannot be known; the code says why */
};

/* Every function that can fail returns one of these; sole_text_of words it and
 * sole_outcome_of tells whether the operation ran. */
enum sole_code {
	SOLE_OK = 0,

	/* the owner's refusals */
	SOLE_MALFORMED = 1,
	SOLE_VERSION = 2,
	SOLE_NO_OPERATION = 3,
	SOLE_INVALID = 4,
	SOLE_DENIED = 5,
	SOLE_BUSY = 6,
	SOLE_EXPIRED = 7,
	SOLE_CANCELLED = 8,
	SOLE_CONFLICT = 9,
	SOLE_TOO_LARGE = 10,
	SOLE_OUT_OF_ORDER = 11,
	SOLE_LEAVING = 12,
	SOLE_OVERFLOW = 13,
	SOLE_WRONG_TYPE = 14,
	SOLE_NO_MEMORY = 15,
	SOLE_FULL = 16,
	SOLE_WAITING = 17, /* between owner and library: no reply has it */
	SOLE_TOO_OLD = 18,
	SOLE_DISK = 19,
	SOLE_READ_ONLY = 20,
	SOLE_CRASHED = 21,

	/* the owner does not know */
	SOLE_SESSION_FORGOTTEN = 100,
	SOLE_REPLY_FORGOTTEN = 101,

	/* this side's own */
	SOLE_OWNER_DIED = 200,
	SOLE_TIMED_OUT = 201,
	SOLE_UNREACHABLE = 202,
	SOLE_FORKED = 203,
	SOLE_THREAD = 204,
	SOLE_USAGE = 205,
	SOLE_LOCAL_MEMORY = 206,
	SOLE_CLOSED = 207,
	SOLE_PROTOCOL = 208,
	SOLE_SYSTEM = 209,
};

/* "refused: its deadline passed before it ran" is text_of(SOLE_EXPIRED) behind
 * the outcome's name. Static strings; never NULL. */
SOLE_API const char *sole_name_of(int code);
SOLE_API const char *sole_text_of(int code);
SOLE_API enum sole_outcome sole_outcome_of(int code);

/* ---- values ---- */

enum sole_type {
	SOLE_NONE = 0,
	SOLE_INTEGER = 1,
	SOLE_BYTES = 2,
	SOLE_LIST = 3, /* of the other three: walk it with sole_next; in results only */
};

struct sole_value {
	enum sole_type type;
	uint32_t size; /* of bytes */
	union {
		int64_t integer;
		const void *bytes; /* not terminated */
	};
};

SOLE_API struct sole_value sole_none(void);
SOLE_API struct sole_value sole_integer(int64_t integer);
SOLE_API struct sole_value sole_bytes(const void *bytes, uint32_t size); /* not copied */
SOLE_API struct sole_value sole_text(const char *text);                  /* not copied */

/* Takes the first item off a list (of type SOLE_LIST): 1 and the item, 0 at its end or when it is no
 * list. The item lives as long as what the list is in.
 *	while (sole_next(&list, &item)) ... */
SOLE_API int sole_next(struct sole_value *list, struct sole_value *item);

/* ---- a handle ---- */

struct sole_options {
	const char *owner;    /* its name; the endpoint is found as sole(1) says */
	const char *endpoint; /* "ipc://..." or "tcp://..."; beats owner. With neither:
	                         $SOLE_ENDPOINT */
	const char *program;  /* told to the owner, for its lists; NULL: this program's name */
	int64_t timeout_ns;   /* limit of each call that gives none; 0: 5 s; SOLE_FOREVER */
	uint32_t window;      /* requests under way at once, 1 to 256; 0: 256 */
	uint32_t silence_ms;  /* the owner ends the session when it hears nothing for so
	                         long; 0: 30 s. The library pings while it is dispatched. */
	const char *server_key; /* for tcp://, with CURVE: the file of the owner's public key, and */
	const char *client_key; /* that of a pair of one's own, as `sole keygen` makes them. NULL:
	                           $SOLE_SERVER_KEY and $SOLE_CLIENT_KEY; neither: in the clear */
};

#define SOLE_FOREVER INT64_MAX

/* Stores a new handle. Connects in the background: SOLE_OK does not mean that an
 * owner is there, and one that starts later is found. SOLE_USAGE: no name and no
 * endpoint, or a bad one; SOLE_SYSTEM: no descriptors left; SOLE_LOCAL_MEMORY.
 * On failure *handle is NULL and, if `why` is not NULL, *why tells more in a
 * sentence (thread-local, until the next call of this function in this thread). */
SOLE_API int sole_open(struct sole **handle, const struct sole_options *options);
SOLE_API int sole_open_why(struct sole **handle, const struct sole_options *options, const char **why);

/* Says goodbye, so that the owner ends the session now, waits for at most 100 ms
 * for that to arrive, frees everything and stores NULL. Requests under way are
 * called back: SOLE_CLOSED if they may have run, else SOLE_CANCELLED. NULL and
 * handles that are NULL are fine. While another thread is inside, and in a
 * callback, it does nothing. */
SOLE_API void sole_close(struct sole **handle);

/* The endpoint in use; "" for NULL. Valid as long as the handle. While an owner known by name is not
 * there, the library looks for it in every folder of sole(1), and this changes with what it finds. */
SOLE_API const char *sole_endpoint(const struct sole *handle);

/* ---- asking ---- */

struct sole_operation {
	uint16_t number; /* SOLE_TABLE_... or one that the owner describes */
	uint16_t argument_count;
	const struct sole_value *arguments;
};

struct sole_list {
	const struct sole_value *values;
	size_t count;
};

struct sole_reply {
	enum sole_outcome outcome;
	int code;              /* enum sole_code */
	const char *text;      /* a sentence: the owner's own, or sole_text_of(code) */
	uint64_t session, sequence; /* of a command that was sent; else 0 */
	uint64_t revision;     /* of the state when it was answered; 0: not answered by an owner */
	uint64_t incarnation;  /* which start of the owner answered */
	uint64_t history;      /* revisions compare within one history */
	size_t result_count;   /* when done: one list for each operation (see SOLE_OTHERWISE). When */
	const struct sole_list *results; /* refused: 0, or 1 list with what the owner adds to that */
	int failed_operation;  /* index of the operation that was refused, or -1 */
	int durable;           /* 1: all that it shows was on the owner's disk when it left, and no loss of
	                          power takes it back; 0: it is in memory, on its way there at the best */
};

enum {
	SOLE_QUERY = 1, /* every operation only reads: may be retried freely, needs no session */

	/* One operation is SOLE_OPERATION_OTHERWISE, without arguments, and divides the request. If an
	 * operation before it is refused with SOLE_CONFLICT, all before it is undone and those behind
	 * it run in its place; else those behind it do not run. The reply has one more list in front,
	 * of one integer: 1 or 2, the half whose results follow. Nothing in it may wait. */
	SOLE_OTHERWISE = 2,
	/* The numbers are those of the behaviour `table`: with an owner of another one the request is
	 * refused with SOLE_NO_OPERATION, whatever these numbers mean there. sole_get and its like say so. */
	SOLE_TABLE = 4,
	/* sole_submit: the program calls sole_dispatch before it waits again, so that the descriptor need
	 * not tell of this request: two system calls less. */
	SOLE_GATHER = 8,
};

enum { SOLE_OPERATION_OTHERWISE = 0xffff };

/* Blocking: sends, waits, stores the reply if `reply` is not NULL. The operations take
 * effect all or none, uninterrupted. `timeout_ns`: 0 for the handle's; SOLE_FOREVER.
 * Returns reply->code. When the time is up for what was sent, it is withdrawn; the answer
 * to that is waited for, 100 ms at most, since it can turn "unknown" into plain words. */
SOLE_API int sole_call(struct sole *handle, const struct sole_operation *operations, size_t count,
                       int flags, int64_t timeout_ns, struct sole_reply *reply);

/* Called from sole_dispatch (or from any blocking call on the handle, or from
 * sole_close), once for every submitted request. `reply` lives until it returns. It may
 * submit, cancel and call sole_interrupt; no blocking call, no sole_dispatch, and not
 * sole_close (those return SOLE_USAGE; sole_close then does nothing). */
typedef void sole_callback(struct sole *handle, const struct sole_reply *reply, void *context);

/* Non-blocking: copies everything and returns. SOLE_OK: `callback` will be called once, and
 * *request (if not NULL) names it for sole_cancel. Otherwise it will not be called: SOLE_USAGE,
 * SOLE_TOO_LARGE, SOLE_BUSY (a million requests or 256 MiB of them wait in this handle),
 * SOLE_LOCAL_MEMORY, SOLE_CLOSED (from a callback of sole_close), SOLE_THREAD, SOLE_FORKED.
 *
 * It goes out at the next sole_dispatch, sole_run or blocking call, together with whatever else was
 * submitted by then; until that the descriptor is readable. From a callback: when the
 * callbacks are through. Requests are run in the order of their submission. */
SOLE_API int sole_submit(struct sole *handle, const struct sole_operation *operations, size_t count,
                         int flags, int64_t timeout_ns, sole_callback *callback, void *context,
                         uint64_t *request);

/* Asks for the request's withdrawal. Its callback tells the truth: SOLE_CANCELLED when it
 * was withdrawn before it ran, its ordinary reply when it had run. Not yet sent: called
 * back at the next dispatch, without asking anybody. Returns SOLE_OK, or SOLE_USAGE when no such
 * request is under way (any more). */
SOLE_API int sole_cancel(struct sole *handle, uint64_t request);

/* Requests that have been submitted and not yet called back. */
SOLE_API size_t sole_pending(const struct sole *handle);

/* ---- inside a poll loop ---- */

/* One descriptor to poll for reading, for as long as the handle lives. Readable: call
 * sole_dispatch. It covers time limits too: no other timer is needed. -1: no descriptors are
 * left (or the handle is not this process's or thread's). */
SOLE_API int sole_descriptor(struct sole *handle);

/* Does what can be done now without blocking: sends, receives, retries, calls back.
 * Returns SOLE_OK (nothing wrong with the handle), or SOLE_FORKED, SOLE_THREAD, SOLE_USAGE. */
SOLE_API int sole_dispatch(struct sole *handle);

/* Dispatches until nothing is pending (SOLE_OK), `timeout_ns` (as for sole_call) is over
 * (SOLE_TIMED_OUT), or sole_interrupt was called or `wake_descriptor` (-1: none) is readable
 * (SOLE_CANCELLED). Requests go on. With SOLE_FOREVER it also goes on while there is a watch. */
SOLE_API int sole_run(struct sole *handle, int64_t timeout_ns, int wake_descriptor);

/* Makes sole_run return: the one under way or, if none is, the next. The one function that any
 * thread and any signal handler may call. */
SOLE_API void sole_interrupt(struct sole *handle);

/* ---- the session ---- */

/* Called from where callbacks are called, when this handle's session with the owner has been opened
 * (`session`), and when it is lost (0): forgotten, or its owner died. What was bound to it, locks above all,
 * is gone then. A connection that is cut loses nothing: the session goes on over the next one. Not called by
 * sole_close. The rules of sole_callback hold. One callback a handle; NULL: none any more; of a session that
 * is open already the next dispatch tells. SOLE_OK, SOLE_USAGE, SOLE_FORKED, SOLE_THREAD. */
typedef void sole_session_callback(struct sole *handle, uint64_t session, void *context);
SOLE_API int sole_on_session(struct sole *handle, sole_session_callback *callback, void *context);

/* ---- watching ---- */

struct sole_event {
	int code;             /* SOLE_OK; SOLE_TOO_OLD: the watch is over, start anew from `revision`;
	                         or why it could not begin, and it is over */
	uint64_t history;     /* revisions compare within one */
	uint64_t revision;
	uint32_t index;       /* of the event within the revision */
	struct sole_value kind, key, value; /* kind none: the watch has begun; the state was at `revision` */
};

/* `event` lives until it returns; the rules of sole_callback hold. It may call sole_unwatch, of this watch
 * too. When the code is not SOLE_OK the watch is gone already. */
typedef void sole_watch_callback(struct sole *handle, const struct sole_event *event, void *context);

/* Calls back for each event whose key begins with `prefix` (bytes, none for all; copied), once and in
 * order: from now on (`revision` 0), or from (revision, index) of `history` on. First it is told once
 * that the watch has begun. "Now" is when the owner says so: what is changed before that may or may not be
 * heard. Goes on over reconnects without a gap or a repeat; while the owner has no room for it, or is not
 * there, it waits. When the owner no longer keeps what came in between, or another history begins, it is
 * called with SOLE_TOO_OLD, and where to start again, and is over; so it is with a refusal to begin.
 *
 * SOLE_OK and *watch (may be NULL), which sole_unwatch takes; else it will not be called: SOLE_USAGE,
 * SOLE_TOO_LARGE (a prefix of more than 2048 bytes), SOLE_BUSY (4096 watches of this handle),
 * SOLE_LOCAL_MEMORY, SOLE_CLOSED, SOLE_THREAD, SOLE_FORKED. A watch needs no session and is not pending;
 * sole_run with SOLE_FOREVER goes on while there is one. */
SOLE_API int sole_watch(struct sole *handle, struct sole_value prefix, uint64_t history, uint64_t revision,
                        uint32_t index, sole_watch_callback *callback, void *context, uint64_t *watch);

/* It is not called any more from here on. SOLE_OK, or SOLE_USAGE: no such watch (any more). */
SOLE_API int sole_unwatch(struct sole *handle, uint64_t watch);

/* ---- about the owner ---- */

/* Blocking. PING: SOLE_OK when the owner answers. STATUS: one list of names and values,
 * alternating. STATS: one list a number: name, value, unit, sentence, "counter", "longest" (so far) or "gauge",
 * and the title that it belongs under. */
SOLE_API int sole_ping(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply);
SOLE_API int sole_status(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply);
SOLE_API int sole_stats(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply);

/* One list an operation: number, name, "query" or "command", arguments and results as text
 * ("key:key, value:integer or bytes"), one line of help. */
SOLE_API int sole_describe(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply);

/* ---- what an owner measures ---- */

/* Blocking. What may be long comes page by page: the first list of the reply is where the next page begins, 0 when
 * there is none, and how many there are in all; `from` is 0 or that.
 *
 * sole_latencies: a list each for "round", "sync", "arrivals" and every operation that has run: name; "owner", "query"
 *   or "command"; unit ("ns", or "messages" of arrivals); how many; sum; maximum; and a list of buckets: the largest
 *   value of one, how many there were, and so on. An operation's time is its round's, from when the owner took what
 *   had arrived until its reply left.
 * The others show what everybody does, and need the right admin: SOLE_DENIED.
 * sole_clients: a list each: connection, pid, uid (-1: not by the kernel's word), name of its key or none, program,
 *   messages, requests, sessions, milliseconds since it came, and since it was last heard.
 * sole_hot: first one list: requests looked at, of how many on average one is, nanoseconds after which they count half.
 *   Then the keys most asked for, those first: at most 64 bytes of it, its length, operation, count, and by how much
 *   that may be too high.
 * sole_slow: first one list: nanoseconds from which on a request is slow, how many are kept, how many there were. Then
 *   those kept, the slowest first: as struct sole_traced has it, from wall_us to key_bytes. `reset`: and forgets them. */
SOLE_API int sole_latencies(struct sole *handle, uint64_t from, int64_t timeout_ns, struct sole_reply *reply);
SOLE_API int sole_clients(struct sole *handle, uint64_t from, int64_t timeout_ns, struct sole_reply *reply);
SOLE_API int sole_hot(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply);
SOLE_API int sole_slow(struct sole *handle, int reset, int64_t timeout_ns, struct sole_reply *reply);

struct sole_trace_filter {
	const char *operation;  /* of requests whose first is this one; NULL: of all */
	struct sole_value key;  /* whose first key begins so (bytes, at most 64); none: of all */
	int pid;                /* of this process; 0: of all */
	int64_t slower_ns;      /* that took at least so long */
};

struct sole_traced {
	int code;               /* SOLE_OK; else the trace could not begin, or begin again, and is over */
	const char *text;
	int begun;              /* 1: it has begun, here or on another connection; nothing below is set */
	uint64_t dropped;       /* not 0: so many are missing here, as they came faster than they were read */
	int64_t wall_us;        /* when its round began, in microseconds since 1970 */
	int64_t took_ns;        /* from then until its reply left */
	int64_t run_ns;         /* of that it ran */
	uint32_t together;      /* ... it, and what was measured with it: so many requests */
	int pid;
	int64_t uid;
	uint64_t session, sequence;
	uint64_t revision;
	int answered;           /* enum sole_code */
	struct sole_value operation; /* the name of the first; none: the owner has no such operation */
	uint32_t operation_count;
	struct sole_value key;  /* the first, at most 64 bytes of it; none: it takes none */
	uint32_t key_bytes;     /* how long it is */
};

/* `traced` lives until it returns; the rules of sole_callback hold. */
typedef void sole_trace_callback(struct sole *handle, const struct sole_traced *traced, void *context);

/* Calls back for each request that the owner runs, of whatever client, and that the filter lets through (copied). A
 * handle has one trace, which a second call replaces; NULL for `callback` ends it. Goes on over reconnects, each told as
 * begun. It holds nobody up: what this handle does not read in time is dropped, and told how much. Not pending, as
 * a watch is not. SOLE_OK, and the owner's refusal (it takes the right admin) comes to the callback; else SOLE_USAGE,
 * SOLE_TOO_LARGE, SOLE_CLOSED, SOLE_LOCAL_MEMORY, SOLE_THREAD, SOLE_FORKED. */
SOLE_API int sole_trace(struct sole *handle, const struct sole_trace_filter *filter, sole_trace_callback *callback,
                        void *context);

/* ---- looking back ---- */

/* What became of a command, of whatever session: of this handle's, of a handle that was closed, of a process
 * that died. Its session and sequence stand in its reply. */
enum sole_fate_kind {
	SOLE_FATE_RAN = 0,        /* once */
	SOLE_FATE_REFUSED = 1,    /* it came, did not run, and will not: refused, expired or withdrawn */
	SOLE_FATE_WAITING = 2,    /* it waits at the owner for its turn */
	SOLE_FATE_NOT_COME = 3,   /* it has not run so far: it has not come, and may still */
	SOLE_FATE_NEVER_CAME = 4, /* it did not run and will not: its session has ended without it */
	SOLE_FATE_UNKNOWN = 5,    /* the owner does not know the session, or the answer, (any more) */
};

struct sole_fate {
	enum sole_fate_kind fate;
	int code;              /* that of its reply; when unknown: why */
	const char *text;      /* sole_text_of(code) */
	uint64_t revision;     /* that of its reply; 0: it had none */
	uint64_t history;
	size_t result_count;   /* as in struct sole_reply, where the owner still has it; of one that was */
	const struct sole_list *results; /* refused: a list of the operation's index, text, and what else there was */
};

/* Blocking: asks, and stores the answer. Returns SOLE_OK when there is one, SOLE_FATE_UNKNOWN included; else why
 * asking failed, and says nothing of the command: SOLE_DENIED (only administrators may ask about other
 * users' sessions), SOLE_DISK, SOLE_BUSY (the journal was being searched until the time was up), SOLE_USAGE, ... */
SOLE_API int sole_outcome(struct sole *handle, uint64_t session, uint64_t sequence, int64_t timeout_ns,
                          struct sole_fate *fate);

/* The same as sole_submit does it; the callback makes a fate of its reply with sole_fate_of, which points into the
 * reply and returns what sole_outcome would have. */
SOLE_API int sole_submit_outcome(struct sole *handle, uint64_t session, uint64_t sequence, int64_t timeout_ns,
                                 sole_callback *callback, void *context, uint64_t *request);
SOLE_API int sole_fate_of(const struct sole_reply *reply, struct sole_fate *fate);

/* Takes a part of a backup. Not 0: no more. It must not use the handle. */
typedef int sole_write(void *context, const void *bytes, size_t size);

/* Blocking: the whole state at one moment, as a snapshot that sole-owner(8) restores, while the owner goes on.
 * `timeout_ns` is the limit of each part. It takes the right to administer. SOLE_OK: `write` had all of it, in
 * order. Else what it had is worth nothing: SOLE_CANCELLED (`write` did not return 0), SOLE_CONFLICT (the
 * connection was lost in the middle: begin again), SOLE_DISK, SOLE_DENIED ... */
SOLE_API int sole_backup(struct sole *handle, sole_write *write, void *context, int64_t timeout_ns,
                         struct sole_reply *reply);

/* ---- for administrators ---- */

/* These take the right to administer, which root and the owner's own user have unless the owner's rules of access say
 * otherwise: SOLE_DENIED else. `reply` may be NULL; of a reply they bring no results. */

struct sole_session {
	uint64_t session;
	int64_t uid, gid, pid; /* of the process that opened it, by the kernel's word; -1: not known */
	struct sole_value key; /* the name of the CURVE key that opened it, or none; valid during the call */
	uint64_t commands;     /* that it has sent */
	uint64_t waiting;      /* of them: at the owner, for their turn */
	int64_t silent_ms;     /* since it was last heard of */
	int64_t silence_ms;    /* after so much of that it ends */
	uint64_t replies_bytes; /* kept for it */
};

/* Not 0: no more. It must not use the handle. */
typedef int sole_session_visit(void *context, const struct sole_session *session);

/* Blocking: calls `visit` for each session that is open, once; which of those that begin or end meanwhile is left open.
 * `timeout_ns` is the limit of each part. SOLE_CANCELLED: `visit` did not return 0. */
SOLE_API int sole_sessions(struct sole *handle, sole_session_visit *visit, void *context, int64_t timeout_ns,
                           struct sole_reply *reply);

/* Blocking: the session ends now, whosever it is, with what it holds; its client hears SOLE_SESSION_FORGOTTEN.
 * SOLE_CONFLICT: there is none of that id (any more). */
SOLE_API int sole_end_session(struct sole *handle, uint64_t session, int64_t timeout_ns, struct sole_reply *reply);

/* Blocking: with 1 commands are refused from now on (SOLE_READ_ONLY), with 0 taken again, with -1 all stays as it is.
 * *now (may be NULL) is which it is. An owner that starts anew is what its settings say. */
SOLE_API int sole_read_only(struct sole *handle, int wanted, int *now, int64_t timeout_ns, struct sole_reply *reply);

/* ---- the built-in behaviour `table`: keys are bytes, values integers or bytes ---- */

enum {
	SOLE_TABLE_GET = 1,    /* key                -> value or none */
	SOLE_TABLE_PUT = 2,    /* key, value         -> 1 if the key was there, else 0 */
	SOLE_TABLE_DELETE = 3, /* key                -> 1 if the key was there, else 0 */
	SOLE_TABLE_ADD = 4,    /* key, integer       -> the sum; an absent key counts as 0 */
	SOLE_TABLE_CAS = 5,    /* key, old, new      -> nothing; none stands for absent. Conflict:
	                          refused, with the value found */
	SOLE_TABLE_COUNT = 6,  /*                    -> how many keys there are */
	SOLE_TABLE_INSERT = 7, /* key, value         -> nothing; refused (conflict) if it is there */
	SOLE_TABLE_REPLACE = 8, /* key, value        -> nothing; refused (conflict) if it is not there */
	SOLE_TABLE_GET_MANY = 9, /* key ...          -> value or none, for each */
	SOLE_TABLE_SCAN = 10,  /* prefix, after, limit -> list of key, value, revision ...; cursor or none.
	                          after: none, or the cursor of the scan before; limit 0: 1000 */
	SOLE_TABLE_CAS_REVISION = 11, /* key, revision, new -> nothing; revision 0 stands for absent */
	SOLE_TABLE_PUT_FOR = 12, /* key, value, ms   -> 1 if it was there; goes in so many milliseconds */
	SOLE_TABLE_EXPIRE = 13, /* key, ms or none   -> 1 if it is there */
	SOLE_TABLE_TTL = 14,   /* key                -> milliseconds left, or none */
	SOLE_TABLE_BIND = 15,  /* key, value         -> 1 if it was there; goes with this session */
	SOLE_TABLE_CHECK = 16, /* key, expected      -> nothing; refuses the request unless it is so */
	SOLE_TABLE_CHECK_REVISION = 17, /* key, revision -> the same for the entry's revision */
	SOLE_TABLE_REVISION = 18, /* key             -> value or none, revision or 0 */
	SOLE_TABLE_LOCK = 20,  /* name               -> fencing token; waits until it is free */
	SOLE_TABLE_TRY_LOCK = 21, /* name            -> fencing token; refused (conflict) if it is held */
	SOLE_TABLE_UNLOCK = 22, /* name              -> nothing */
	SOLE_TABLE_HOLDER = 23, /* name              -> session and token or none, how many wait */
	SOLE_TABLE_CHECK_LOCK = 24, /* name, token   -> nothing; refuses the request unless it is held so */
};

/* Blocking, each one operation with the handle's time limit. Return a code. */
SOLE_API int sole_get(struct sole *handle, struct sole_value key, struct sole_value *value);
SOLE_API int sole_put(struct sole *handle, struct sole_value key, struct sole_value value);
SOLE_API int sole_delete(struct sole *handle, struct sole_value key, int *existed);
SOLE_API int sole_add(struct sole *handle, struct sole_value key, int64_t delta, int64_t *sum);

/* Waits, `timeout_ns` as for sole_call, until the lock is this session's; *token (may be NULL) is the
 * fencing token, larger than all before it. Held already: at once, with the same token. The lock is fair,
 * and ends with the session: sole_unlock, sole_close, the end of this process; see sole_on_session. It is
 * held when this returned SOLE_OK, and not when it was refused or the session was lost (SOLE_OWNER_DIED,
 * SOLE_SESSION_FORGOTTEN); with any other code of outcome unknown (SOLE_TIMED_OUT) it may be: sole_unlock
 * settles that. sole_unlock of what this session does not hold is SOLE_CONFLICT. */
SOLE_API int sole_lock(struct sole *handle, struct sole_value name, int64_t timeout_ns, int64_t *token);
SOLE_API int sole_unlock(struct sole *handle, struct sole_value name);

/* *found (may be NULL): with SOLE_CONFLICT, the value that was there. */
SOLE_API int sole_cas(struct sole *handle, struct sole_value key, struct sole_value old_value,
                      struct sole_value new_value, struct sole_value *found);

#ifdef __cplusplus
}
#endif

#endif
