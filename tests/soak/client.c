/* SPDX-License-Identifier: MIT
 *
 * client.c - one of the many that load an owner in tests/78-soak.t, and check what they are told.
 *
 *	client OWNER NUMBER ROLE PAUSE_MS [FILE]
 *
 *	probe      asks at fixed times, whatever became of what it asked before; writes down how long each took
 *	machine    the same of a sync to the disk and a turn to another process and back: no owner has a part in it
 *	transfer   moves amounts between accounts, and reads them all at once: nothing is lost on the way
 *	churn      sessions that come and go, with locks, bound entries and entries that expire
 *	watch      counts, and hears of each count exactly once and in order
 *
 * FILE has a line "NS US" for each answer: when it was asked for, by the monotonic clock, and how long it took. A client
 * that is told what is not true says WRONG and ends with status 1. It may be killed at any time; SIGTERM ends it in
 * good order. Its entries begin with x/.
 */
#include "clients/sole.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { ACCOUNTS = 16, PROBE_KEYS = 1000, LOCKS = 3, REWATCH_AFTER = 300, READ_EVERY = 8 };

/* Longer than any restart: nobody is to hear of one. */
static const int64_t limit_ns = 120 * NS_PER_S;

static volatile sig_atomic_t stopping;

struct client {
	const char *owner;
	unsigned number;
	int64_t pause_ns;
	FILE *times;
	uint64_t random;
	struct sole *handle;
};

static void stop(int number)
{
	(void)number;
	stopping = 1;
}

/* splitmix64 */
static uint64_t draw(struct client *client, uint64_t limit)
{
	uint64_t z = client->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % limit;
}

__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fatal(1, "WRONG: %s", text);
}

static struct sole *open_handle(const struct client *client)
{
	const struct sole_options options = { .owner = client->owner, .program = "soak", .timeout_ns = limit_ns };
	struct sole *handle;
	const char *why;

	if (sole_open_why(&handle, &options, &why) != SOLE_OK)
		fatal(EX_UNAVAILABLE, "%s", why);
	return handle;
}

/* The pause; never a wait for something to happen. */
static void sleep_until(int64_t until_ns)
{
	const struct timespec at = { .tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S };

	while (!stopping && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* One request of one operation; its first result, none if it has none. */
static struct sole_value ask(struct sole *handle, uint16_t number, int flags, uint16_t count, struct sole_value first,
			     struct sole_value second, struct sole_value third)
{
	const struct sole_value arguments[] = { first, second, third };
	const struct sole_operation operation = { number, count, arguments };
	struct sole_reply reply;

	int code = sole_call(handle, &operation, 1, flags, limit_ns, &reply);
	if (code != SOLE_OK)
		wrong("operation %u: %s", number, reply.text);
	return reply.results[0].count > 0 ? reply.results[0].values[0] : sole_none();
}

/* ---- probe ---- */

struct asked {
	struct client *client;
	int64_t at_ns;
};

static void note_time(struct client *client, int64_t at_ns)
{
	int64_t took_us = (clock_monotonic_ns() - at_ns) / NS_PER_US;

	fprintf(client->times, "%" PRId64 " %" PRId64 "\n", at_ns, took_us);
	fflush(client->times);
}

static void probed(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct asked *asked = context;

	(void)handle;
	if (reply->code != SOLE_OK)
		wrong("a probe: %s", reply->text);
	note_time(asked->client, asked->at_ns);
	free(asked);
}

static void submit_probe(struct client *client, int64_t at_ns)
{
	char name[32];
	struct asked *asked = malloc(sizeof *asked);

	if (asked == NULL)
		fatal(EX_OSERR, "no memory");
	*asked = (struct asked){ client, at_ns };
	snprintf(name, sizeof name, "x/p/%u", (unsigned)draw(client, PROBE_KEYS));
	const struct sole_value key = sole_text(name);
	const struct sole_value get[] = { key }, put[] = { key, sole_integer(at_ns) };
	const struct sole_value scan[] = { sole_text("x/p/"), sole_none(), sole_integer(20) };
	const struct sole_operation operations[][2] = {
		{ { SOLE_TABLE_GET, 1, get } },
		{ { SOLE_TABLE_SCAN, 3, scan } },
		{ { SOLE_TABLE_PUT, 2, put } },
		{ { SOLE_TABLE_PUT, 2, put }, { SOLE_TABLE_GET, 1, get } },
	};
	size_t kind = draw(client, 4);
	int code = sole_submit(client->handle, operations[kind], kind == 3 ? 2 : 1, kind < 2 ? SOLE_QUERY : 0, limit_ns,
			       probed, asked, NULL);
	if (code != SOLE_OK)
		wrong("cannot ask: %s", sole_text_of(code));
}

static void run_probe(struct client *client)
{
	int64_t next_ns = clock_monotonic_ns();

	while (!stopping) {
		submit_probe(client, next_ns);
		next_ns += client->pause_ns;
		for (int64_t left; !stopping && (left = next_ns - clock_monotonic_ns()) > 0;) {
			sole_run(client->handle, left, -1);
			if (sole_pending(client->handle) == 0)
				sleep_until(next_ns);
		}
	}
	sole_run(client->handle, limit_ns, -1);
}

/* ---- machine ---- */

static void run_machine(struct client *client)
{
	int pair[2];
	char byte = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		fatal(EX_OSERR, "cannot make a pair of sockets");
	pid_t parent = getpid();
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent && read(pair[1], &byte, 1) == 1 && write(pair[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	close(pair[1]);
	/* Of a journal's kind: written before, so that a sync need not allocate. */
	int disk = open(client->owner, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	static const char zeros[1 << 20];
	if (disk < 0 || pwrite(disk, zeros, sizeof zeros, 0) != sizeof zeros || fsync(disk) != 0)
		fatal(EX_CANTCREAT, "cannot write %s", client->owner);
	int64_t next_ns = clock_monotonic_ns();
	for (off_t at = 0; !stopping; at = (at + 512) % (off_t)sizeof zeros) {
		if (pwrite(disk, &next_ns, sizeof next_ns, at) != sizeof next_ns || fdatasync(disk) != 0 ||
		    write(pair[0], &byte, 1) != 1 || read(pair[0], &byte, 1) != 1)
			break;
		note_time(client, next_ns);
		next_ns += client->pause_ns;
		sleep_until(next_ns);
	}
	close(disk);
	close(pair[0]);
}

/* ---- transfer ---- */

static void check_accounts(struct client *client)
{
	char names[ACCOUNTS][16];
	struct sole_value keys[ACCOUNTS];
	struct sole_reply reply;
	int64_t sum = 0;

	for (int i = 0; i < ACCOUNTS; i++) {
		snprintf(names[i], sizeof names[i], "x/a/%d", i);
		keys[i] = sole_text(names[i]);
	}
	const struct sole_operation all = { SOLE_TABLE_GET_MANY, ACCOUNTS, keys };
	if (sole_call(client->handle, &all, 1, SOLE_QUERY, limit_ns, &reply) != SOLE_OK)
		wrong("reading the accounts: %s", reply.text);
	for (size_t i = 0; i < reply.results[0].count; i++)
		sum += reply.results[0].values[i].type == SOLE_INTEGER ? reply.results[0].values[i].integer : 0;
	if (sum != 0)
		wrong("the accounts hold %" PRId64 " at revision %" PRIu64, sum, reply.revision);
}

static void transfer(struct client *client)
{
	char from[16], to[16];
	uint64_t first = draw(client, ACCOUNTS), second = (first + 1 + draw(client, ACCOUNTS - 1)) % ACCOUNTS;
	int64_t amount = 1 + (int64_t)draw(client, 1000);
	struct sole_reply reply;

	snprintf(from, sizeof from, "x/a/%" PRIu64, first);
	snprintf(to, sizeof to, "x/a/%" PRIu64, second);
	const struct sole_value take[] = { sole_text(from), sole_integer(-amount) };
	const struct sole_value give[] = { sole_text(to), sole_integer(amount) };
	const struct sole_operation both[] = { { SOLE_TABLE_ADD, 2, take }, { SOLE_TABLE_ADD, 2, give } };
	if (sole_call(client->handle, both, 2, 0, limit_ns, &reply) != SOLE_OK)
		wrong("a transfer: %s", reply.text);
}

static void run_transfer(struct client *client)
{
	for (int64_t next_ns = clock_monotonic_ns(); !stopping; sleep_until(next_ns += client->pause_ns)) {
		if (draw(client, READ_EVERY) == 0)
			check_accounts(client);
		else
			transfer(client);
	}
}

/* ---- churn ---- */

static bool is_integer(struct sole_value value, int64_t integer)
{
	return value.type == SOLE_INTEGER && value.integer == integer;
}

/* Gone within the limit, which begins now: expiry and the end of a session may take a round or a restart. */
static void await_gone(struct client *client, const char *name, int64_t most_ns)
{
	int64_t until_ns = clock_monotonic_ns() + most_ns;

	while (ask(client->handle, SOLE_TABLE_GET, SOLE_QUERY, 1, sole_text(name), sole_none(), sole_none()).type != SOLE_NONE) {
		if (clock_monotonic_ns() > until_ns)
			wrong("%s is still there", name);
		sleep_until(clock_monotonic_ns() + 20 * NS_PER_MS);
		if (stopping)
			return;
	}
}

static void run_churn(struct client *client)
{
	char bound[32], expiring[32], lock[32];
	int64_t tokens[LOCKS] = { 0 };

	snprintf(bound, sizeof bound, "x/b/%u", client->number);
	snprintf(expiring, sizeof expiring, "x/e/%u", client->number);
	for (int64_t turn = 1, next_ns = clock_monotonic_ns(); !stopping; turn++, sleep_until(next_ns += client->pause_ns)) {
		struct sole *guest = open_handle(client);
		int64_t ms = 200 + (int64_t)draw(client, 800), token;
		uint64_t which = draw(client, LOCKS);
		snprintf(lock, sizeof lock, "x/l/%" PRIu64, which);
		if (sole_lock(guest, sole_text(lock), limit_ns, &token) != SOLE_OK)
			wrong("a lock was not given");
		if (token <= tokens[which])
			wrong("token %" PRId64 " of %s is not above %" PRId64, token, lock, tokens[which]);
		tokens[which] = token;
		ask(guest, SOLE_TABLE_BIND, 0, 2, sole_text(bound), sole_integer(turn), sole_none());
		int64_t before_ns = clock_monotonic_ns();
		ask(guest, SOLE_TABLE_PUT_FOR, 0, 3, sole_text(expiring), sole_integer(turn), sole_integer(ms));
		struct sole_value found = ask(guest, SOLE_TABLE_GET, SOLE_QUERY, 1, sole_text(expiring), sole_none(), sole_none());
		if (!is_integer(found, turn) && clock_monotonic_ns() - before_ns < ms * NS_PER_MS)
			wrong("%s went before its time", expiring);
		found = ask(guest, SOLE_TABLE_GET, SOLE_QUERY, 1, sole_text(bound), sole_none(), sole_none());
		if (!is_integer(found, turn))
			wrong("%s is gone, and its session is not", bound);
		if (draw(client, 4) != 0 && sole_unlock(guest, sole_text(lock)) != SOLE_OK)
			wrong("a lock that is held was not taken back");
		sole_close(&guest);
		await_gone(client, bound, 30 * NS_PER_S);
		await_gone(client, expiring, 30 * NS_PER_S);
	}
}

/* ---- watch ---- */

struct watching {
	struct client *client;
	uint64_t watch, history, revision;
	uint32_t index;
	int64_t counted; /* the last that was heard */
	uint64_t heard;
	bool begun;
};

static void hear(struct sole *handle, const struct sole_event *event, void *context)
{
	struct watching *watching = context;

	(void)handle;
	if (event->code != SOLE_OK)
		wrong("the watch of revision %" PRIu64 ": %s", watching->revision, sole_text_of(event->code));
	watching->history = event->history;
	if (event->kind.type == SOLE_NONE) {
		if (!watching->begun)
			watching->revision = event->revision;
		watching->begun = true;
		return;
	}
	/* What the one before, of this name, asked for last may be done while this one begins. */
	if (watching->heard == 0 && event->value.type == SOLE_INTEGER && event->value.integer > watching->counted)
		watching->counted = event->value.integer - 1;
	if (!is_integer(event->value, watching->counted + 1))
		wrong("heard %" PRId64 " behind %" PRId64 ", at revision %" PRIu64, event->value.integer,
		      watching->counted, event->revision);
	watching->counted++;
	watching->heard++;
	watching->revision = event->revision;
	watching->index = event->index + 1;
}

static void rewatch(struct watching *watching, const char *name, bool from_now)
{
	struct sole *handle = watching->client->handle;

	if (!from_now)
		sole_unwatch(handle, watching->watch);
	int code = sole_watch(handle, sole_text(name), from_now ? 0 : watching->history, from_now ? 0 : watching->revision,
			      from_now ? 0 : watching->index, hear, watching, &watching->watch);
	if (code != SOLE_OK)
		wrong("cannot watch: %s", sole_text_of(code));
}

static void counted(struct sole *handle, const struct sole_reply *reply, void *context)
{
	(void)handle, (void)context;
	if (reply->code != SOLE_OK)
		wrong("a count: %s", reply->text);
}

static void run_watch(struct client *client)
{
	struct watching watching = { .client = client };
	char name[32];

	snprintf(name, sizeof name, "x/w/%u", client->number);
	struct sole_value was = ask(client->handle, SOLE_TABLE_ADD, 0, 2, sole_text(name), sole_integer(0), sole_none());
	watching.counted = was.integer;
	rewatch(&watching, name, true);
	for (int64_t until_ns = clock_monotonic_ns() + limit_ns; !watching.begun && clock_monotonic_ns() < until_ns;) {
		ask(client->handle, SOLE_TABLE_GET, SOLE_QUERY, 1, sole_text(name), sole_none(), sole_none());
		sole_dispatch(client->handle);
	}
	uint64_t next_rewatch = REWATCH_AFTER;
	for (int64_t next_ns = clock_monotonic_ns(); !stopping; sleep_until(next_ns += client->pause_ns)) {
		const struct sole_value arguments[] = { sole_text(name), sole_integer(1) };
		const struct sole_operation add = { SOLE_TABLE_ADD, 2, arguments };
		if (sole_submit(client->handle, &add, 1, 0, limit_ns, counted, NULL, NULL) != SOLE_OK)
			wrong("cannot count");
		sole_run(client->handle, limit_ns, -1);
		if (watching.heard >= next_rewatch) {
			rewatch(&watching, name, false);
			next_rewatch = watching.heard + REWATCH_AFTER;
		}
	}
	/* All that was counted is heard. */
	int64_t last = ask(client->handle, SOLE_TABLE_GET, SOLE_QUERY, 1, sole_text(name), sole_none(), sole_none()).integer;
	for (int64_t until_ns = clock_monotonic_ns() + limit_ns; watching.counted < last; sole_dispatch(client->handle))
		if (clock_monotonic_ns() > until_ns)
			wrong("counted to %" PRId64 " and heard of %" PRId64, last, watching.counted);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct client *client);
		bool asks;
	} roles[] = { { "probe", run_probe, true },	  { "machine", run_machine, false },
		      { "transfer", run_transfer, true }, { "churn", run_churn, true },
		      { "watch", run_watch, true } };
	struct client client = { 0 };

	log_init("soak-client");
	if (argc != 5 && argc != 6)
		fatal(EX_USAGE, "OWNER NUMBER ROLE PAUSE_MS [FILE]");
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	client.owner = argv[1];
	client.number = (unsigned)strtoul(argv[2], NULL, 10);
	client.random = (uint64_t)clock_monotonic_ns() + client.number;
	client.pause_ns = strtol(argv[4], NULL, 10) * NS_PER_MS;
	client.times = fopen(argc == 6 ? argv[5] : "/dev/null", "a");
	if (client.times == NULL)
		fatal(EX_CANTCREAT, "cannot write %s", argv[5]);
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		if (strcmp(argv[3], roles[i].name) != 0)
			continue;
		if (roles[i].asks)
			client.handle = open_handle(&client);
		roles[i].run(&client);
		sole_close(&client.handle);
		return EX_OK;
	}
	fatal(EX_USAGE, "no such role: %s", argv[3]);
}
