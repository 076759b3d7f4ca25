/* SPDX-License-Identifier: MIT
 *
 * actors.c - many actors, one connection, one place to wait.
 *
 * The process goes through phases, in this order and never back:
 *
 *	connect -> wait (for the go) -> ask -> finish -> over
 *
 * A signal or the end of the duration leads from any of them to `finish`, where
 * nothing new is asked and what is under way is waited for and counted. Only an
 * answer that says "done" counts; the others are told by their code at the end.
 */
#include "clients/actors.h"
#include "common/clock.h"
#include "common/histogram.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/options.h"
#include "common/quantity.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	ACTORS_MAX = 100000,
	CODES = 256,   /* of answers; what lies above is counted as the last */
	KEY_BYTES = 20 /* of a uint64_t in decimal */
};

static const int64_t backoff_ns = 10 * NS_PER_MS;      /* after an error, where there is no pause */
static const int64_t connect_slice_ns = 100 * NS_PER_MS; /* how late a signal is seen while connecting */
static const int64_t hurry_limit_ns = NS_PER_S;        /* for cancels to be answered */
static const int64_t status_interval_ns = NS_PER_S;

enum phase { PHASE_CONNECT, PHASE_WAIT, PHASE_ASK, PHASE_FINISH, PHASE_OVER };

struct settings {
	const char *owner, *endpoint, *server_key, *client_key;
	int64_t count, keys;
	int64_t pause_ns, duration_ns, timeout_ns, connect_timeout_ns;
	bool latency, wait;
};

struct actor {
	struct actors *all;
	struct actor *next;   /* the one that pauses behind it */
	uint64_t round;       /* i */
	uint64_t request;     /* that is under way, for sole_cancel */
	int64_t asked_ns, due_ns;
	bool under_way;
};

struct actors {
	const struct actor_kind *kind;
	struct settings settings;
	struct sole *handle;
	struct actor *list;
	int descriptor; /* of the handle */
	int signals;    /* signalfd */
	enum phase phase;
	int signals_seen;

	/* Those that pause, the first due first. One line is enough because every
	 * pause is equally long: who comes last is due last. */
	struct actor *pausing, **pausing_end;
	int64_t rest_ns;

	int64_t end_ns, hurry_ns, status_ns, beat_ns; /* when each is due; INT64_MAX: never */
	int64_t beat_interval_ns;

	uint64_t done, not_done[CODES];
	struct histogram latency;
};

/* INT64_MAX, which is never, when the sum does not fit. */
static int64_t later(int64_t now_ns, int64_t by_ns)
{
	int64_t sum;

	return __builtin_add_overflow(now_ns, by_ns, &sum) ? INT64_MAX : sum;
}

/* ---- asking ---- */

static struct sole_value key_text(uint64_t number, char text[KEY_BYTES])
{
	uint32_t at = KEY_BYTES;

	do
		text[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	return sole_bytes(&text[at], KEY_BYTES - at);
}

static void actor_pause(struct actor *actor, int64_t now_ns)
{
	struct actors *all = actor->all;

	actor->due_ns = later(now_ns, all->rest_ns);
	actor->next = NULL;
	*all->pausing_end = actor;
	all->pausing_end = &actor->next;
}

static void count_not_done(struct actors *all, int code)
{
	all->not_done[code >= 0 && code < CODES ? code : CODES - 1]++;
}

static void on_reply(struct sole *handle, const struct sole_reply *reply, void *context);

static void actor_ask(struct actor *actor, int64_t now_ns)
{
	struct actors *all = actor->all;
	const struct actor_kind *kind = all->kind;
	struct sole_value arguments[ACTOR_ARGUMENTS_MAX];
	char text[KEY_BYTES];

	arguments[0] = key_text(actor->round % (uint64_t)all->settings.keys, text);
	if (kind->arguments != NULL)
		kind->arguments(actor->round, arguments);
	struct sole_operation operation = { kind->operation, kind->argument_count, arguments };

	actor->asked_ns = now_ns;
	actor->round++;
	int code = sole_submit(all->handle, &operation, 1, kind->flags | SOLE_TABLE | SOLE_GATHER, 0, on_reply, actor,
			       &actor->request);
	actor->under_way = code == SOLE_OK;
	if (code != SOLE_OK) {
		count_not_done(all, code);
		actor_pause(actor, clock_monotonic_ns());
	}
}

static void on_reply(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct actor *actor = context;
	struct actors *all = actor->all;
	bool done = reply->outcome == SOLE_DONE;
	/* A look at the clock is a tenth of all this costs: only where the time is asked for. */
	int64_t now_ns = done && all->settings.pause_ns == 0 && !all->settings.latency ? 0 : clock_monotonic_ns();

	(void)handle;
	actor->under_way = false;
	if (done) {
		all->done++;
		if (all->settings.latency)
			histogram_add(&all->latency, (uint64_t)(now_ns - actor->asked_ns));
	} else {
		count_not_done(all, reply->code);
	}
	if (all->phase != PHASE_ASK)
		return;
	if (done && all->settings.pause_ns == 0)
		actor_ask(actor, now_ns);
	else
		actor_pause(actor, now_ns);
}

/* Lets everybody ask whose pause is over. */
static void ask_due(struct actors *all, int64_t now_ns)
{
	while (all->phase == PHASE_ASK && all->pausing != NULL && all->pausing->due_ns <= now_ns) {
		struct actor *actor = all->pausing;
		all->pausing = actor->next;
		if (all->pausing == NULL)
			all->pausing_end = &all->pausing;
		actor_ask(actor, now_ns);
	}
}

/* ---- from phase to phase ---- */

static void begin(struct actors *all, int64_t now_ns)
{
	all->phase = PHASE_ASK;
	all->status_ns = now_ns + status_interval_ns;
	notify("STATUS=asking");
	if (all->settings.duration_ns > 0)
		all->end_ns = later(now_ns, all->settings.duration_ns);
	for (int64_t i = 0; i < all->settings.count; i++)
		actor_ask(&all->list[i], now_ns);
	sole_dispatch(all->handle); /* what was gathered goes out before anybody waits */
}

static void finish(struct actors *all)
{
	if (all->phase >= PHASE_FINISH)
		return;
	all->phase = PHASE_FINISH;
	all->end_ns = INT64_MAX;
	notify("STOPPING=1\nSTATUS=waiting for %zu answers", sole_pending(all->handle));
}

/* Withdraws what is under way. Not everybody may answer that, so there is a limit. */
static void hurry(struct actors *all, int64_t now_ns)
{
	if (all->hurry_ns != INT64_MAX)
		return;
	all->hurry_ns = now_ns + hurry_limit_ns;
	for (int64_t i = 0; i < all->settings.count; i++)
		if (all->list[i].under_way)
			sole_cancel(all->handle, all->list[i].request);
}

static void take_signals(struct actors *all, int64_t now_ns)
{
	struct signalfd_siginfo info;
	bool any = false;

	/* SIGTERM and SIGINT that came together are one wish. */
	while (read(all->signals, &info, sizeof info) == sizeof info)
		any = true;
	if (!any)
		return;
	if (++all->signals_seen == 1)
		finish(all);
	else
		hurry(all, now_ns);
}

/* The go is the end of standard input; what is written to it before does not matter. */
static void take_go(struct actors *all, int64_t now_ns)
{
	char ignored[4096];
	ssize_t got = read(STDIN_FILENO, ignored, sizeof ignored);

	if (got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN)))
		return;
	begin(all, now_ns);
}

static void beat(struct actors *all, int64_t now_ns)
{
	if (all->beat_interval_ns > 0 && now_ns >= all->beat_ns) {
		notify("WATCHDOG=1");
		all->beat_ns = now_ns + all->beat_interval_ns;
	}
}

static uint64_t count_of_not_done(const struct actors *all)
{
	uint64_t sum = 0;

	for (int code = 0; code < CODES; code++)
		sum += all->not_done[code];
	return sum;
}

static void keep_time(struct actors *all, int64_t now_ns)
{
	beat(all, now_ns);
	if (now_ns >= all->end_ns)
		finish(all);
	if (all->phase == PHASE_ASK && now_ns >= all->status_ns) {
		notify("STATUS=%s: %llu, not done: %llu", all->kind->total,
		       (unsigned long long)all->done, (unsigned long long)count_of_not_done(all));
		all->status_ns = now_ns + status_interval_ns;
	}
	if (all->phase == PHASE_FINISH &&
	    (sole_pending(all->handle) == 0 || now_ns >= all->hurry_ns))
		all->phase = PHASE_OVER;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_wake_ns(const struct actors *all)
{
	int64_t wake_ns = earlier(earlier(all->end_ns, all->hurry_ns), all->beat_ns);

	if (all->phase == PHASE_ASK)
		wake_ns = earlier(wake_ns, all->status_ns);
	if (all->phase == PHASE_ASK && all->pausing != NULL)
		wake_ns = earlier(wake_ns, all->pausing->due_ns);
	return wake_ns;
}

/* Everything the process does after it is ready, in order. */
static void run(struct actors *all)
{
	enum { HANDLE, SIGNALS, GO };

	while (all->phase != PHASE_OVER) {
		struct pollfd polled[] = {
			[HANDLE] = { .fd = all->descriptor, .events = POLLIN },
			[SIGNALS] = { .fd = all->signals, .events = POLLIN },
			[GO] = { .fd = STDIN_FILENO, .events = POLLIN },
		};
		int64_t wake_ns = next_wake_ns(all), left_ns = wake_ns - clock_monotonic_ns();
		left_ns = left_ns < 0 ? 0 : left_ns;
		/* Not poll(2): its milliseconds would double a pause of one. */
		struct timespec left = { left_ns / NS_PER_S, left_ns % NS_PER_S };

		if (ppoll(polled, all->phase == PHASE_WAIT ? 3 : 2, wake_ns == INT64_MAX ? NULL : &left,
			  NULL) < 0)
			for (int i = HANDLE; i <= GO; i++)
				polled[i].revents = 0;

		int64_t now_ns = clock_monotonic_ns();
		if (polled[SIGNALS].revents != 0)
			take_signals(all, now_ns);
		if (all->phase == PHASE_WAIT && polled[GO].revents != 0)
			take_go(all, now_ns);
		ask_due(all, now_ns);
		sole_dispatch(all->handle);
		keep_time(all, now_ns);
	}
}

/* ---- connecting ---- */

/* An answer that no patience will change. */
static int connect_problem(const struct actors *all, const struct sole_reply *reply)
{
	const char *endpoint = sole_endpoint(all->handle);

	switch (reply->code) {
	case SOLE_DENIED:
		log_error("the owner at %s refused: %s: ask as a user that it serves", endpoint, reply->text);
		return EX_NOPERM;
	case SOLE_VERSION:
	case SOLE_PROTOCOL:
	case SOLE_MALFORMED:
		log_error("what listens at %s cannot be talked to: %s: use programs of one version", endpoint,
			  reply->text);
		return EX_PROTOCOL;
	case SOLE_LOCAL_MEMORY:
	case SOLE_SYSTEM:
		log_error("cannot ask the owner at %s: %s", endpoint, reply->text);
		return EX_OSERR;
	default:
		return EX_OK;
	}
}

/* Waits until the owner answers. It may be started later, so this asks again
 * until the limit; in slices, so that signals and the watchdog have their turn. */
static int connect_to_owner(struct actors *all)
{
	int64_t wait_ns = all->settings.connect_timeout_ns;
	int64_t limit_ns = wait_ns == 0 ? INT64_MAX : later(clock_monotonic_ns(), wait_ns), now_ns;
	int64_t slice_ns = all->beat_interval_ns > 0 ? earlier(connect_slice_ns, all->beat_interval_ns)
						      : connect_slice_ns;
	struct sole_reply reply;

	notify("STATUS=looking for the owner at %s", sole_endpoint(all->handle));
	while (all->phase == PHASE_CONNECT) {
		if (sole_ping(all->handle, slice_ns, &reply) == SOLE_OK)
			all->phase = PHASE_WAIT;
		now_ns = clock_monotonic_ns();
		take_signals(all, now_ns);
		beat(all, now_ns);
		if (all->phase != PHASE_CONNECT)
			break;
		int status = connect_problem(all, &reply);
		if (status != EX_OK)
			return status;
		if (now_ns >= limit_ns) {
			char limit[32];
			quantity_format_duration(wait_ns, limit, sizeof limit);
			bool told = reply.code == SOLE_UNREACHABLE && strcmp(reply.text, sole_text_of(reply.code)) != 0;
			log_error("no owner answered at %s within %s: %s", sole_endpoint(all->handle), limit,
				  told ? reply.text : "start one with sole-owner, or see --connect-timeout");
			return EX_UNAVAILABLE;
		}
		if (reply.code != SOLE_TIMED_OUT && reply.code != SOLE_UNREACHABLE) {
			/* Refused at once, busy or leaving: the same pace as when nobody answers. */
			struct pollfd polled = { .fd = all->signals, .events = POLLIN };
			poll(&polled, 1, (int)(slice_ns / NS_PER_MS));
		}
	}
	return EX_OK;
}

/* ---- the totals ---- */

/* "refused: 3 busy, 1 expired; unknown: 2 owner-died", on one line. */
static void tell_not_done(const struct actors *all)
{
	static const char *const names[] = { [SOLE_REFUSED] = "refused", [SOLE_UNKNOWN] = "unknown" };
	char line[1024] = "";
	size_t used = 0;

	for (int outcome = SOLE_REFUSED; outcome <= SOLE_UNKNOWN; outcome++) {
		bool first = true;
		for (int code = 0; code < CODES && used < sizeof line; code++) {
			if (all->not_done[code] == 0 || (int)sole_outcome_of(code) != outcome)
				continue;
			int more = snprintf(line + used, sizeof line - used, "%s%s%s%llu %s",
					    !first || used == 0 ? "" : "; ", first ? names[outcome] : "",
					    first ? ": " : ", ", (unsigned long long)all->not_done[code],
					    sole_name_of(code));
			used += (size_t)more;
			first = false;
		}
	}
	if (used > 0)
		log_warn("%s", line);
}

static void latency_line(const struct histogram *latency, char *line, size_t size)
{
	static const uint32_t per_million[] = { 500000, 990000, 999000 };
	char text[4][32];

	if (latency->total == 0) {
		snprintf(line, size, "latency: none\n");
		return;
	}
	for (size_t i = 0; i < 3; i++)
		quantity_format_duration((int64_t)histogram_quantile(latency, per_million[i]), text[i],
					 sizeof text[i]);
	quantity_format_duration((int64_t)latency->maximum, text[3], sizeof text[3]);
	snprintf(line, size, "latency: p50 %s p99 %s p99.9 %s max %s\n", text[0], text[1], text[2],
		 text[3]);
}

static int tell_totals(const struct actors *all)
{
	char text[512];
	int used = snprintf(text, sizeof text, "%s: %llu\n", all->kind->total,
			    (unsigned long long)all->done);

	tell_not_done(all);
	if (all->settings.latency)
		latency_line(&all->latency, text + used, sizeof text - (size_t)used);
	if (fputs(text, stdout) != EOF && fflush(stdout) == 0)
		return EX_OK;
	log_error("cannot write the totals to standard output: %s: %s were %llu", strerror(errno),
		  all->kind->total, (unsigned long long)all->done);
	return EX_IOERR;
}

/* ---- beginning and end ---- */

static void read_settings(const struct actor_kind *kind, int argc, char **argv, struct settings *s)
{
	*s = (struct settings){ .count = 1, .keys = 5, .pause_ns = NS_PER_MS, .timeout_ns = 5 * NS_PER_S,
				.connect_timeout_ns = 10 * NS_PER_S };
	const struct option_spec options[] = {
		{ "owner", 'o', OPTION_TEXT, &s->owner, 0, 0, "NAME", "the owner to ask" },
		{ "endpoint", 'e', OPTION_TEXT, &s->endpoint, 0, 0, "ENDPOINT",
		  "where it listens, ipc://PATH or tcp://HOST:PORT; beats --owner" },
		{ "server-key", 0, OPTION_TEXT, &s->server_key, 0, 0, "FILE",
		  "the owner's public key, for tcp://; else $SOLE_SERVER_KEY" },
		{ "client-key", 0, OPTION_TEXT, &s->client_key, 0, 0, "FILE",
		  "one's own keys (sole keygen); else $SOLE_CLIENT_KEY" },
		{ "actors", 'a', OPTION_INTEGER, &s->count, 1, ACTORS_MAX, "N", "how many ask (1)" },
		{ "pause", 'p', OPTION_DURATION, &s->pause_ns, 0, 0, "TIME",
		  "between an answer and the next request (1ms); 0: none" },
		{ "duration", 'd', OPTION_DURATION, &s->duration_ns, 0, 0, "TIME",
		  "stop after it (0: at SIGTERM or SIGINT)" },
		{ "keys", 'k', OPTION_INTEGER, &s->keys, 1, INT64_MAX, "N", "keys to go through (5)" },
		{ "timeout", 't', OPTION_DURATION, &s->timeout_ns, 0, 0, "TIME",
		  "limit of each request (5s); 0: none" },
		{ "connect-timeout", 0, OPTION_DURATION, &s->connect_timeout_ns, 0, 0, "TIME",
		  "limit of the wait for the owner (10s); 0: none" },
		{ "latency", 'l', OPTION_FLAG, &s->latency, 0, 0, NULL, "print p50 p99 p99.9 max as well" },
		{ "wait", 'w', OPTION_FLAG, &s->wait, 0, 0, NULL,
		  "begin when standard input has ended" },
	};
	const struct program program = { .name = kind->program, .usage = "--owner NAME [option ...]",
					 .about = kind->about, .example = kind->example, .options = options,
					 .option_count = sizeof options / sizeof *options,
					 .brief = "owner endpoint actors pause duration keys timeout connect-timeout latency wait" };

	int operand = options_parse(&program, argc, argv, 0);
	if (operand < argc)
		fatal(EX_USAGE, "'%s' is not expected: the owner's name goes with --owner; see %s --help",
		      argv[operand], kind->program);
}

/* As a descriptor, in the one poll of the process. Before the library starts a thread. */
static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		fatal(EX_OSERR, "cannot get a descriptor for signals: %s", log_cause(errno));
	return fd;
}

static void open_handle(struct actors *all)
{
	const struct settings *s = &all->settings;
	const char *why = NULL;
	struct sole_options options = {
		.owner = s->owner,
		.endpoint = s->endpoint,
		.server_key = s->server_key,
		.client_key = s->client_key,
		.program = all->kind->program,
		.timeout_ns = s->timeout_ns == 0 ? SOLE_FOREVER : s->timeout_ns,
	};

	int code = sole_open_why(&all->handle, &options, &why);
	if (code == SOLE_OK) {
		all->descriptor = sole_descriptor(all->handle);
		if (all->descriptor >= 0)
			return;
		fatal(EX_OSERR, "cannot get a descriptor for the connection: %s", log_cause(errno));
	}
	fatal(code == SOLE_USAGE ? EX_USAGE : EX_OSERR, "%s; see %s --help",
	      why != NULL ? why : sole_text_of(code), all->kind->program);
}

static void actors_open(struct actors *all)
{
	all->end_ns = all->hurry_ns = all->beat_ns = INT64_MAX;
	all->pausing_end = &all->pausing;
	all->rest_ns = all->settings.pause_ns > 0 ? all->settings.pause_ns : backoff_ns;
	all->beat_interval_ns = notify_watchdog_ns() / 2;
	if (all->beat_interval_ns > 0)
		all->beat_ns = 0;
	all->list = calloc((size_t)all->settings.count, sizeof *all->list);
	if (all->list == NULL)
		fatal(EX_OSERR, "no memory for %lld actors", (long long)all->settings.count);
	for (int64_t i = 0; i < all->settings.count; i++)
		all->list[i].all = all;
	all->signals = open_signals();
	open_handle(all);
}

static void actors_close(struct actors *all)
{
	sole_close(&all->handle); /* calls back for what is still under way */
	close(all->signals);
	free(all->list);
}

int actors_main(const struct actor_kind *kind, int argc, char **argv)
{
	static struct actors all;

	log_init(kind->program);
	all.kind = kind;
	read_settings(kind, argc, argv, &all.settings);
	actors_open(&all);
	int status = connect_to_owner(&all);
	if (status == EX_OK) {
		if (all.phase == PHASE_WAIT) {
			notify("READY=1\nSTATUS=waiting for the go");
			if (!all.settings.wait)
				begin(&all, clock_monotonic_ns());
		}
		run(&all);
	}
	actors_close(&all);
	return status == EX_OK ? tell_totals(&all) : status;
}
