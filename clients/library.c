/* SPDX-License-Identifier: MIT
 *
 * library.c - sole.h over an engine and a connection: waiting, descriptors,
 * threads and forks. What is said to the owner is the engine's business.
 *
 * One place waits: look(). It polls the connection's own descriptors, so a blocking call
 * needs no epoll set and no timer; these exist only for a program that asks for
 * sole_descriptor. libzmq's descriptors tell edges: where one may have been taken in
 * (by a send, by a call that returned early) connection_recheck says so, and nobody waits
 * before that has been followed up. leave() sees to it that the program's own
 * poll loop can rely on that too.
 */
#include "clients/sole.h"

#include "clients/connection.h"
#include "clients/context.h"
#include "clients/engine.h"
#include "clients/library.h"
#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CODE(number, NAME, outcome, name, text)                                                    \
	_Static_assert((int)SOLE_##NAME == (int)CODE_##NAME, "sole.h and codes.def differ: " name);
#include "common/codes.def"
#undef CODE
_Static_assert((int)SOLE_DONE == (int)OUTCOME_DONE && (int)SOLE_REFUSED == (int)OUTCOME_REFUSED &&
	       (int)SOLE_UNKNOWN == (int)OUTCOME_UNKNOWN, "sole.h and protocol.h differ");

#define TIMEOUT_DEFAULT_NS (5 * NS_PER_S)
#define GOODBYE_NS         (100 * NS_PER_MS)

/* A blocking call that comes later than this after the one before it looks before it sends: the owner may have
 * said that it leaves, or be another by now. In a row of calls each has just looked. */
#define STALE_NS           (1 * NS_PER_MS)

enum {
	SILENCE_DEFAULT_MS = 30000,
	BODIES_AT_ONCE = 64,     /* received before anything else gets its turn */
	ROUNDS_AT_ONCE = 64,     /* of receiving and sending in one sole_dispatch */
};

/* What look() found beside what connection_ready has. */
enum { READY_EVENT = 4, READY_WAKE = 8 };

/* A reply that outlives its message: everything in one piece of memory. */
struct kept_reply {
	struct sole_reply reply;
	void *memory;
	size_t room;
	bool there;
};

struct sole {
	struct engine engine;
	struct connection connection;
	struct buffer outgoing;       /* the body to send next, while there is no way out */
	bool outgoing_waits;
	struct kept_reply kept;       /* what the latest blocking call handed out */
	char *program;
	int64_t timeout_ns;
	int64_t looked_ns;            /* when look() last did */

	uint64_t generation;          /* of the process that opened it */
	_Atomic(const void *) inside; /* which thread is in here; NULL: none */

	int event;                    /* eventfd: something to do, or sole_interrupt */
	bool event_raised;            /* by this side */
	atomic_bool interrupted;
	int epoll, timer;             /* for sole_descriptor; -1 before it was asked for */
	int64_t timer_ns;             /* when `timer` goes off; INT64_MAX: not set */
};

/* ---- who may call ---- */

static _Thread_local char this_thread; /* its address is the thread's identity */

static bool forked(const struct sole *s)
{
	return s->generation != context_generation();
}

/* SOLE_OK: this thread is in, *nested tells whether it was before. Only who was not leaves. */
static int enter(struct sole *s, bool *nested)
{
	const void *nobody = NULL;

	if (s == NULL)
		return SOLE_USAGE;
	if (forked(s))
		return SOLE_FORKED;
	*nested = atomic_load_explicit(&s->inside, memory_order_relaxed) == &this_thread;
	if (*nested || atomic_compare_exchange_strong(&s->inside, &nobody, &this_thread))
		return SOLE_OK;
	return SOLE_THREAD;
}

static void raise_event(struct sole *s)
{
	const uint64_t one = 1;

	if (s->event_raised)
		return;
	s->event_raised = true;
	while (write(s->event, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void lower_event(struct sole *s)
{
	uint64_t count;

	s->event_raised = false;
	while (read(s->event, &count, sizeof count) < 0 && errno == EINTR)
		;
}

/* When something is to be done though nothing arrives. */
static int64_t next_deadline(const struct sole *s)
{
	int64_t engine = engine_deadline(&s->engine), connection = connection_deadline(&s->connection);

	return engine < connection ? engine : connection;
}

/* Sets the timer behind sole_descriptor. One that goes off too early only costs an empty
 * dispatch, so it is moved forward in time but never back: a call with a later limit than
 * the one before it costs no system call. */
static void set_timer(struct sole *s)
{
	int64_t at_ns = next_deadline(s);

	if (at_ns >= s->timer_ns)
		return;
	s->timer_ns = at_ns;
	at_ns = at_ns > 0 ? at_ns : 1; /* 0 would disarm it */
	const struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at_ns / NS_PER_S),
						       .tv_nsec = (long)(at_ns % NS_PER_S) } };
	timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void leave(struct sole *s, bool work_left)
{
	if (s->epoll >= 0) {
		if (work_left || connection_recheck(&s->connection))
			raise_event(s);
		set_timer(s);
	}
	atomic_store_explicit(&s->inside, NULL, memory_order_release);
}

/* ---- waiting ---- */

/* Waits for a descriptor until `until_ns`; 0 only looks. */
static unsigned look(struct sole *s, int64_t until_ns, int wake_descriptor)
{
	struct pollfd list[CONNECTION_POLLED + 2] = {
		[CONNECTION_POLLED] = { .fd = s->event, .events = POLLIN },
		[CONNECTION_POLLED + 1] = { .fd = wake_descriptor, .events = POLLIN },
	};
	struct timespec limit = { 0 };

	connection_poll(&s->connection, list);
	if (until_ns != 0 && until_ns != INT64_MAX) {
		int64_t left = until_ns - clock_monotonic_ns();
		left = left > 0 ? left : 0;
		limit.tv_sec = (time_t)(left / NS_PER_S);
		limit.tv_nsec = (long)(left % NS_PER_S);
	}
	/* EINTR: the caller looks again, by the clock. */
	int found = ppoll(list, CONNECTION_POLLED + (wake_descriptor >= 0 ? 2 : 1), until_ns == INT64_MAX ? NULL : &limit, NULL);
	s->looked_ns = clock_monotonic_ns();
	if (found <= 0)
		return 0;
	unsigned ready = connection_polled(list);
	ready |= list[CONNECTION_POLLED].revents != 0 ? READY_EVENT : 0;
	ready |= list[CONNECTION_POLLED + 1].revents != 0 ? READY_WAKE : 0;
	if (ready & READY_EVENT)
		lower_event(s);
	return ready;
}

/* The program's own poll(2) has just looked: on this host reading tells the rest. */
static unsigned look_again(struct sole *s)
{
	if (connection_is_remote(&s->connection))
		return look(s, 0, -1) | (connection_recheck(&s->connection) ? CONNECTION_INPUT : 0);
	if (s->event_raised || atomic_load(&s->interrupted))
		lower_event(s);
	return CONNECTION_INPUT;
}

/* ---- working ---- */

/* Returns whether there may be more. Stops as soon as a blocking call has what it waits for. */
static bool receive(struct sole *s, const bool *enough)
{
	const uint8_t *body;
	size_t size;

	for (int i = 0; i < BODIES_AT_ONCE; i++) {
		if (*enough)
			return connection_recheck(&s->connection);
		if (!connection_receive(&s->connection, &body, &size))
			return false;
		engine_receive(&s->engine, body, size, clock_monotonic_ns());
	}
	return true;
}

/* Sends what the engine has. Returns whether anything went out. */
static bool flush(struct sole *s, int64_t now_ns)
{
	bool sent = false;

	for (;;) {
		if (!s->outgoing_waits && !engine_next_message(&s->engine, now_ns, &s->outgoing))
			return sent;
		s->outgoing_waits = !connection_send(&s->connection, &s->outgoing);
		if (s->outgoing_waits)
			return sent;
		sent = true;
	}
}

static void drop_outgoing(struct sole *s)
{
	if (s->outgoing_waits)
		engine_unsent(&s->engine);
	s->outgoing_waits = false;
}

/* Answers that came over the old connection are taken in before its end is. */
static void take_events(struct sole *s)
{
	static const bool never;
	enum connection_event event;

	while (receive(s, &never))
		;
	while ((event = connection_event(&s->connection)) != CONNECTION_NOTHING) {
		drop_outgoing(s);
		if (event == CONNECTION_UP)
			engine_connected(&s->engine, clock_monotonic_ns());
		else
			engine_disconnected(&s->engine);
	}
}

/* All there is to do now, in turns until nothing is left. Returns whether something is. */
static bool work(struct sole *s, unsigned ready, const bool *enough)
{
	bool more = (ready & CONNECTION_INPUT) != 0;

	if (more)
		connection_look_again(&s->connection);
	if ((ready & CONNECTION_EVENT) != 0)
		take_events(s);
	for (int i = 0; i < ROUNDS_AT_ONCE; i++) {
		if (more)
			more = receive(s, enough);
		if (connection_eventful(&s->connection))
			take_events(s);
		int64_t now_ns = clock_monotonic_ns();
		if (next_deadline(s) <= now_ns) {
			connection_tend(&s->connection, now_ns);
			engine_expire(&s->engine, now_ns);
		}
		flush(s, now_ns);
		if (*enough)
			return more;
		more = more || connection_recheck(&s->connection);
		if (!more && next_deadline(s) > now_ns)
			return false;
	}
	return true;
}

static int64_t deadline_after(int64_t now_ns, int64_t timeout_ns)
{
	return timeout_ns < INT64_MAX - now_ns ? now_ns + timeout_ns : INT64_MAX;
}

/* ---- opening and closing ---- */

void library_random(void *bytes, size_t size)
{
	uint8_t *at = bytes;

	while (size > 0) {
		ssize_t got = getrandom(at, size, 0);
		if (got > 0) {
			at += got;
			size -= (size_t)got;
		}
	}
}

static void free_handle(struct sole *s)
{
	engine_abandon(&s->engine);
	buffer_clear(&s->outgoing);
	free(s->kept.memory);
	free(s->program);
	if (s->event >= 0)
		close(s->event);
	if (s->timer >= 0)
		close(s->timer);
	if (s->epoll >= 0)
		close(s->epoll);
	free(s);
}

static int check_options(const struct sole_options *options, char why[CONNECTION_WHY_MAX])
{
	if (options->window > PROTOCOL_WINDOW) {
		snprintf(why, CONNECTION_WHY_MAX, "the window is %u and must lie between 1 and %d",
			 (unsigned)options->window, PROTOCOL_WINDOW);
		return SOLE_USAGE;
	}
	if (options->timeout_ns < 0) {
		snprintf(why, CONNECTION_WHY_MAX, "the time limit is negative");
		return SOLE_USAGE;
	}
	return SOLE_OK;
}

static int open_handle(struct sole *s, const struct sole_options *options, char why[CONNECTION_WHY_MAX])
{
	const char *endpoint = options->endpoint;

	if (endpoint == NULL && options->owner == NULL)
		endpoint = getenv("SOLE_ENDPOINT");
	if (endpoint == NULL && options->owner == NULL) {
		snprintf(why, CONNECTION_WHY_MAX,
			 "no owner and no endpoint is given, and SOLE_ENDPOINT is not set");
		return SOLE_USAGE;
	}
	s->program = strdup(options->program != NULL ? options->program : program_invocation_short_name);
	if (s->program == NULL)
		return SOLE_LOCAL_MEMORY;
	s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event < 0) {
		snprintf(why, CONNECTION_WHY_MAX, "cannot make a descriptor: %s", strerror(errno));
		return SOLE_SYSTEM;
	}
	int code = connection_open(&s->connection, endpoint, options, why);
	if (code != SOLE_OK)
		return code;
	s->timeout_ns = options->timeout_ns > 0 ? options->timeout_ns : TIMEOUT_DEFAULT_NS;
	s->generation = context_generation();
	const struct engine_options engine = {
		.handle = s,
		.program = s->program,
		.window = options->window > 0 ? options->window : PROTOCOL_WINDOW,
		.silence_ms = options->silence_ms > 0 ? options->silence_ms : SILENCE_DEFAULT_MS,
		.relative = connection_is_remote(&s->connection),
		.random = library_random,
		.hindrance = connection_hindrance(&s->connection),
	};
	if (!engine_init(&s->engine, &engine)) {
		connection_close(&s->connection);
		return SOLE_LOCAL_MEMORY;
	}
	return SOLE_OK;
}

int sole_open_why(struct sole **handle, const struct sole_options *options, const char **why)
{
	static const struct sole_options none = { 0 };
	static _Thread_local char sentence[CONNECTION_WHY_MAX];

	if (handle == NULL)
		return SOLE_USAGE;
	*handle = NULL;
	options = options != NULL ? options : &none;
	sentence[0] = '\0';
	struct sole *s = calloc(1, sizeof *s);
	int code = s == NULL ? SOLE_LOCAL_MEMORY : check_options(options, sentence);
	if (s != NULL) {
		s->event = s->epoll = s->timer = -1;
		s->timer_ns = INT64_MAX;
		if (code == SOLE_OK)
			code = open_handle(s, options, sentence);
		if (code == SOLE_OK)
			*handle = s;
		else
			free_handle(s);
	}
	if (why != NULL)
		*why = sentence[0] != '\0' ? sentence : sole_text_of(code);
	return code;
}

int sole_open(struct sole **handle, const struct sole_options *options)
{
	return sole_open_why(handle, options, NULL);
}

/* The owner's answer to goodbye is what shows that it has left this process. */
static void say_goodbye(struct sole *s)
{
	const bool *answered = &s->engine.goodbye_answered;
	int64_t until_ns = clock_monotonic_ns() + GOODBYE_NS;

	if (s->outgoing_waits || !engine_goodbye(&s->engine, &s->outgoing) ||
	    !connection_send(&s->connection, &s->outgoing))
		return;
	bool more = true;
	while (!*answered && connection_is_up(&s->connection) && clock_monotonic_ns() < until_ns) {
		if (!more && look(s, until_ns, -1) & CONNECTION_EVENT)
			take_events(s);
		more = receive(s, answered);
	}
}

void sole_close(struct sole **handle)
{
	struct sole *s = handle != NULL ? *handle : NULL;
	bool nested;

	if (s == NULL)
		return;
	if (forked(s)) {
		connection_abandon(&s->connection);
		*handle = NULL;
		free_handle(s);
		return;
	}
	if (enter(s, &nested) != SOLE_OK || nested)
		return;
	say_goodbye(s);
	drop_outgoing(s);
	engine_clear(&s->engine);
	connection_close(&s->connection);
	*handle = NULL;
	free_handle(s);
}

const char *sole_endpoint(const struct sole *handle)
{
	return handle != NULL ? handle->connection.endpoint : "";
}

/* ---- blocking calls ---- */

static bool has_content(const struct sole_value *value)
{
	return value->type == SOLE_BYTES || value->type == SOLE_LIST;
}

/* Copies a reply and all that it points to. */
static bool keep(struct kept_reply *kept, const struct sole_reply *reply)
{
	size_t list_bytes = reply->result_count * sizeof(struct sole_list);
	size_t text_bytes = strlen(reply->text) + 1;
	size_t value_count = 0, content_bytes = 0;

	for (size_t i = 0; i < reply->result_count; i++) {
		value_count += reply->results[i].count;
		for (size_t k = 0; k < reply->results[i].count; k++)
			if (has_content(&reply->results[i].values[k]))
				content_bytes += reply->results[i].values[k].size;
	}
	size_t needed = list_bytes + value_count * sizeof(struct sole_value) + content_bytes + text_bytes;
	if (needed > kept->room) {
		void *grown = realloc(kept->memory, needed);
		if (grown == NULL)
			return false;
		kept->memory = grown;
		kept->room = needed;
	}
	struct sole_list *lists = kept->memory;
	struct sole_value *values = (struct sole_value *)(void *)((char *)kept->memory + list_bytes);
	char *content = (char *)(values + value_count);
	kept->reply = *reply;
	kept->reply.results = reply->result_count > 0 ? lists : NULL;
	for (size_t i = 0; i < reply->result_count; i++) {
		lists[i] = (struct sole_list){ .values = values, .count = reply->results[i].count };
		for (size_t k = 0; k < lists[i].count; k++, values++) {
			*values = reply->results[i].values[k];
			if (!has_content(values))
				continue;
			if (values->size > 0)
				memcpy(content, values->bytes, values->size);
			values->bytes = content;
			content += values->size;
		}
	}
	memcpy(content, reply->text, text_bytes);
	kept->reply.text = content;
	return true;
}

struct sole_reply library_reply(int code)
{
	return (struct sole_reply){ .outcome = sole_outcome_of(code),
				    .code = code,
				    .text = sole_text_of(code),
				    .failed_operation = -1 };
}

static void keep_reply(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct kept_reply *kept = context;

	(void)handle;
	if (!keep(kept, reply)) /* it may have run: no code may say that it did not */
		kept->reply = library_reply(SOLE_PROTOCOL);
	kept->there = true;
}

/* What a blocking call asks: a RUN of operations, or something about the owner. */
struct question {
	enum item_kind kind;
	const struct sole_operation *operations;
	size_t count;
	int flags;
	const struct value *list; /* of OUTCOME and BACKUP; NULL: none */
	size_t list_count;
};

static int64_t limit_of(const struct sole *s, int64_t timeout_ns)
{
	return timeout_ns != 0 ? timeout_ns : s->timeout_ns;
}

static int submit(struct sole *s, const struct question *question, int64_t now_ns, int64_t timeout_ns,
		  sole_callback *callback, void *context, uint64_t *request)
{
	int64_t deadline_ns = deadline_after(now_ns, limit_of(s, timeout_ns));

	if (timeout_ns < 0)
		return SOLE_USAGE;
	if (question->kind != ITEM_RUN)
		return engine_ask(&s->engine, question->kind, question->list, question->list_count, now_ns,
				  deadline_ns, callback, context, request);
	return engine_submit(&s->engine, question->operations, question->count, question->flags & ~SOLE_GATHER, now_ns,
			     deadline_ns, callback, context, request);
}

/* In a row of blocking calls each has just looked at everything else. So where nothing is due soon this one
 * sends, and waits for its answer right where it arrives: three system calls. What does not come that way, ask()
 * waits for as usual. */
static void ask_at_once(struct sole *s, int64_t now_ns)
{
	const uint8_t *body;
	size_t size;

	if (now_ns - s->looked_ns > STALE_NS || !connection_is_up(&s->connection) ||
	    next_deadline(s) <= now_ns + connection_patience(&s->connection))
		return;
	if (flush(s, now_ns) && !s->outgoing_waits && connection_wait(&s->connection, &body, &size))
		engine_receive(&s->engine, body, size, s->looked_ns = clock_monotonic_ns());
}

static int ask(struct sole *s, const struct question *question, int64_t timeout_ns, struct sole_reply *reply)
{
	bool nested = false, more = false;
	int code = enter(s, &nested);

	if (code == SOLE_OK && nested)
		code = SOLE_USAGE;
	if (code == SOLE_OK) {
		int64_t now_ns = clock_monotonic_ns();
		s->kept.there = false;
		code = submit(s, question, now_ns, timeout_ns, keep_reply, &s->kept, NULL);
		if (code == SOLE_OK)
			ask_at_once(s, now_ns);
		unsigned ready = s->kept.there ? 0 : look(s, 0, -1);
		while (code == SOLE_OK && !s->kept.there) {
			more = work(s, ready, &s->kept.there);
			if (s->kept.there)
				break;
			ready = look(s, more ? 0 : next_deadline(s), -1) | (more ? CONNECTION_INPUT : 0);
		}
		leave(s, more);
	}
	const struct sole_reply local = library_reply(code);
	const struct sole_reply *told = code == SOLE_OK ? &s->kept.reply : &local;
	if (reply != NULL)
		*reply = *told;
	return told->code;
}

int sole_call(struct sole *handle, const struct sole_operation *operations, size_t count, int flags,
	      int64_t timeout_ns, struct sole_reply *reply)
{
	return ask(handle, &(struct question){ ITEM_RUN, operations, count, flags, NULL, 0 }, timeout_ns, reply);
}

int sole_ping(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply)
{
	return ask(handle, &(struct question){ .kind = ITEM_PING }, timeout_ns, reply);
}

int sole_status(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply)
{
	return ask(handle, &(struct question){ .kind = ITEM_STATUS }, timeout_ns, reply);
}

int sole_stats(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply)
{
	return ask(handle, &(struct question){ .kind = ITEM_STATS }, timeout_ns, reply);
}

int sole_describe(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply)
{
	return ask(handle, &(struct question){ .kind = ITEM_DESCRIBE }, timeout_ns, reply);
}

int library_ask(struct sole *handle, enum item_kind kind, const struct value *list, size_t count, int64_t timeout_ns,
		struct sole_reply *reply)
{
	return ask(handle, &(struct question){ .kind = kind, .list = list, .list_count = count }, timeout_ns, reply);
}

/* ---- calls that return at once ---- */

static int submit_question(struct sole *handle, const struct question *question, int64_t timeout_ns,
			   sole_callback *callback, void *context, uint64_t *request)
{
	bool nested;
	int code = enter(handle, &nested);

	if (code != SOLE_OK)
		return code;
	/* Where no limit begins nobody need look at the clock, which is a tenth of what a request costs. */
	int64_t now_ns = limit_of(handle, timeout_ns) == SOLE_FOREVER ? 0 : clock_monotonic_ns();
	code = submit(handle, question, now_ns, timeout_ns, callback, context, request);
	if (!nested)
		leave(handle, code == SOLE_OK && (question->flags & SOLE_GATHER) == 0);
	return code;
}

int sole_submit(struct sole *handle, const struct sole_operation *operations, size_t count, int flags,
		int64_t timeout_ns, sole_callback *callback, void *context, uint64_t *request)
{
	const struct question question = { ITEM_RUN, operations, count, flags, NULL, 0 };

	return submit_question(handle, &question, timeout_ns, callback, context, request);
}

int library_submit(struct sole *handle, enum item_kind kind, const struct value *list, size_t count,
		   int64_t timeout_ns, sole_callback *callback, void *context, uint64_t *request)
{
	const struct question question = { .kind = kind, .list = list, .list_count = count };

	return submit_question(handle, &question, timeout_ns, callback, context, request);
}

int sole_cancel(struct sole *handle, uint64_t request)
{
	bool nested;
	int code = enter(handle, &nested);

	if (code != SOLE_OK)
		return code;
	code = engine_cancel(&handle->engine, request);
	if (!nested)
		leave(handle, code == SOLE_OK);
	return code;
}

int sole_on_session(struct sole *handle, sole_session_callback *callback, void *context)
{
	bool nested;
	int code = enter(handle, &nested);

	if (code != SOLE_OK)
		return code;
	engine_on_session(&handle->engine, callback, context);
	if (!nested)
		leave(handle, true);
	return SOLE_OK;
}

int sole_watch(struct sole *handle, struct sole_value prefix, uint64_t history, uint64_t revision,
	       uint32_t index, sole_watch_callback *callback, void *context, uint64_t *watch)
{
	bool nested;
	int code = enter(handle, &nested);

	if (code != SOLE_OK)
		return code;
	code = engine_watch(&handle->engine, prefix, history, revision, index, callback, context, watch);
	if (!nested)
		leave(handle, code == SOLE_OK);
	return code;
}

int sole_unwatch(struct sole *handle, uint64_t watch)
{
	bool nested;
	int code = enter(handle, &nested);

	if (code != SOLE_OK)
		return code;
	code = engine_unwatch(&handle->engine, watch);
	if (!nested)
		leave(handle, code == SOLE_OK);
	return code;
}

int sole_trace(struct sole *handle, const struct sole_trace_filter *filter, sole_trace_callback *callback,
	       void *context)
{
	bool nested;
	int code = enter(handle, &nested);

	if (code != SOLE_OK)
		return code;
	code = engine_trace(&handle->engine, filter, callback, context, clock_monotonic_ns());
	if (!nested)
		leave(handle, code == SOLE_OK);
	return code;
}

size_t sole_pending(const struct sole *handle)
{
	return handle != NULL ? handle->engine.pending : 0;
}

/* ---- inside a poll loop ---- */

static bool add_descriptor(int epoll, int descriptor)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

int sole_descriptor(struct sole *handle)
{
	bool nested;

	if (enter(handle, &nested) != SOLE_OK)
		return -1;
	bool first = handle->epoll < 0;
	if (first) {
		int epoll = epoll_create1(EPOLL_CLOEXEC);
		int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		if (epoll >= 0 && timer >= 0 && connection_watch(&handle->connection, epoll) &&
		    add_descriptor(epoll, handle->event) && add_descriptor(epoll, timer)) {
			handle->epoll = epoll;
			handle->timer = timer;
		} else {
			if (epoll >= 0)
				close(epoll);
			if (timer >= 0)
				close(timer);
		}
	}
	int descriptor = handle->epoll;
	if (!nested)
		leave(handle, first); /* whatever was submitted before anybody watched */
	return descriptor;
}

int sole_dispatch(struct sole *handle)
{
	static const bool never;
	bool nested;
	int code = enter(handle, &nested);

	if (code != SOLE_OK)
		return code;
	if (nested)
		return SOLE_USAGE;
	if (handle->timer_ns <= clock_monotonic_ns()) {
		uint64_t count;
		if (read(handle->timer, &count, sizeof count) == sizeof count)
			handle->timer_ns = INT64_MAX;
	}
	unsigned ready = look_again(handle);
	bool more = work(handle, ready, &never);
	leave(handle, more);
	return SOLE_OK;
}

int sole_run(struct sole *handle, int64_t timeout_ns, int wake_descriptor)
{
	static const bool never;
	bool nested, more = false;
	int code = enter(handle, &nested);

	if (code != SOLE_OK)
		return code;
	if (nested)
		return SOLE_USAGE;
	if (timeout_ns < 0) {
		leave(handle, true);
		return SOLE_USAGE;
	}
	timeout_ns = timeout_ns > 0 ? timeout_ns : handle->timeout_ns;
	int64_t until_ns = deadline_after(clock_monotonic_ns(), timeout_ns);
	for (unsigned ready = look(handle, 0, wake_descriptor) | CONNECTION_INPUT;;) {
		more = work(handle, ready, &never);
		if ((ready & READY_WAKE) != 0 || atomic_exchange(&handle->interrupted, false)) {
			code = SOLE_CANCELLED;
			break;
		}
		if (handle->engine.pending == 0 &&
		    (until_ns != INT64_MAX || handle->engine.watch_count == 0))
			break;
		if (clock_monotonic_ns() >= until_ns) {
			code = SOLE_TIMED_OUT;
			break;
		}
		int64_t next_ns = next_deadline(handle);
		next_ns = more ? 0 : next_ns < until_ns ? next_ns : until_ns;
		ready = look(handle, next_ns, wake_descriptor) | (more ? CONNECTION_INPUT : 0);
	}
	leave(handle, more);
	return code;
}

/* Only what a signal handler may do. The order matters: whoever is woken finds the mark. */
void sole_interrupt(struct sole *handle)
{
	const uint64_t one = 1;
	int saved = errno;

	if (handle == NULL || forked(handle))
		return;
	atomic_store(&handle->interrupted, true);
	while (write(handle->event, &one, sizeof one) < 0 && errno == EINTR)
		;
	errno = saved;
}
