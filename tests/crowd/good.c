/* SPDX-License-Identifier: MIT
 *
 * good.c - many clients of an owner in one process, each with a connection of its own and one request under way.
 *
 *	good PATH COUNT RATE
 *
 * Says "connected" when all are. Asks RATE times a second, at fixed times, through whichever comes next; a request
 * that has to wait because nobody is free waits, and that counts. For each line on standard input it prints
 * "COUNT P50 P99 MAX LATE" of the time since the line before: answers, microseconds from when one was to be asked for to
 * its answer, and how many are not answered yet; those count with the time that they have waited. Ends with its input.
 */
#include "tests/crowd/zmtp.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sysexits.h>

enum { KEYS = 1000, TIMES_MAX = 1 << 20, BATCH = 64 };

struct client {
	int fd;
	bool greeted;     /* it has had READY */
	int64_t asked_ns; /* 0: nothing is under way */
	struct zmtp_reader reader;
};

static struct client *clients;
static unsigned client_count, next_client;
static int64_t times_us[TIMES_MAX];
static size_t time_count;
static int64_t phase_ns;
static uint64_t drawn = 88172645463325252;

static uint64_t draw(uint64_t limit)
{
	drawn ^= drawn << 13;
	drawn ^= drawn >> 7;
	drawn ^= drawn << 17;
	return drawn % limit;
}

/* What was to be asked before the phase began is none of its. */
static void note(int64_t asked_ns, int64_t now_ns)
{
	if (asked_ns >= phase_ns && time_count < TIMES_MAX)
		times_us[time_count++] = (now_ns - asked_ns) / NS_PER_US;
}

static int order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void report(void)
{
	int64_t now_ns = clock_monotonic_ns();
	size_t answered = time_count, late = 0;

	for (unsigned i = 0; i < client_count; i++)
		if (clients[i].asked_ns != 0) {
			note(clients[i].asked_ns, now_ns);
			late++;
		}
	qsort(times_us, time_count, sizeof *times_us, order);
	printf("%zu %" PRId64 " %" PRId64 " %" PRId64 " %zu\n", answered, time_count > 0 ? times_us[time_count / 2] : 0,
	       time_count > 0 ? times_us[time_count * 99 / 100] : 0, time_count > 0 ? times_us[time_count - 1] : 0, late);
	fflush(stdout);
	time_count = 0;
	phase_ns = now_ns;
}

static void take_answers(struct client *client)
{
	static uint8_t bytes[65536];

	for (;;) {
		ssize_t got = read(client->fd, bytes, sizeof bytes);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0)
			fatal(EX_PROTOCOL, "a connection was cut that did no harm");
		if (!client->greeted) {
			client->greeted = true;
		}
		if (zmtp_read(&client->reader, bytes, (size_t)got) > 0 && client->asked_ns != 0) {
			note(client->asked_ns, clock_monotonic_ns());
			client->asked_ns = 0;
		}
	}
}

/* False: all have one under way. */
static bool ask(int64_t at_ns)
{
	struct frames frames;
	char key[16];

	for (unsigned tried = 0; clients[next_client].asked_ns != 0; next_client = (next_client + 1) % client_count)
		if (++tried > client_count)
			return false;
	struct client *client = &clients[next_client];
	next_client = (next_client + 1) % client_count;
	snprintf(key, sizeof key, "good%u", (unsigned)draw(KEYS));
	frames_begin(&frames);
	if (draw(4) == 0)
		frames_run(&frames, 0, 0, 2, key, at_ns);
	else
		frames_run(&frames, REQUEST_FLAG_QUERY, 0, 1, key, 0);
	frames_end(&frames);
	if (write(client->fd, frames.bytes, frames.size) != (ssize_t)frames.size)
		fatal(EX_IOERR, "cannot ask: %s", strerror(errno));
	client->asked_ns = at_ns;
	return true;
}

/* False at its end. */
static bool take_order(void)
{
	char bytes[256];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);

	for (ssize_t i = 0; i < got; i++)
		if (bytes[i] == '\n')
			report();
	return got > 0;
}

static void connect_all(const char *path, int epoll)
{
	uint8_t handshake[HANDSHAKE_BYTES];

	zmtp_handshake(handshake);
	for (unsigned i = 0; i < client_count; i++) {
		struct client *client = &clients[i];
		int64_t until_ns = clock_monotonic_ns() + 10 * NS_PER_S;
		/* The backlog is full while the owner has not accepted so many. */
		while ((client->fd = zmtp_connect(path)) < 0 && errno == EAGAIN && clock_monotonic_ns() < until_ns)
			poll(NULL, 0, 1);
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
		if (client->fd < 0 || write(client->fd, handshake, sizeof handshake) != sizeof handshake ||
		    epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
			fatal(EX_UNAVAILABLE, "cannot connect to %s: %s", path, strerror(errno));
	}
}

static bool serve(int epoll, int timeout_ms)
{
	struct epoll_event events[BATCH];
	int count = epoll_wait(epoll, events, BATCH, timeout_ms);

	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr != NULL)
			take_answers(events[i].data.ptr);
		else if (!take_order())
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct rlimit limit;

	log_init("crowd-good");
	if (argc != 4)
		fatal(EX_USAGE, "PATH COUNT RATE");
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	client_count = (unsigned)strtoul(argv[2], NULL, 10);
	int64_t pause_ns = NS_PER_S / strtol(argv[3], NULL, 10);
	clients = calloc(client_count, sizeof *clients);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event input = { .events = EPOLLIN };
	if (clients == NULL || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0)
		fatal(EX_OSERR, "no resources: %s", strerror(errno));
	connect_all(argv[1], epoll);
	for (unsigned greeted = 0; greeted < client_count;) {
		if (!serve(epoll, 1000))
			return EX_OK;
		greeted = 0;
		for (unsigned i = 0; i < client_count; i++)
			greeted += clients[i].greeted;
	}
	printf("connected\n");
	fflush(stdout);
	int64_t next_ns = clock_monotonic_ns();
	for (;;) {
		int64_t now_ns = clock_monotonic_ns();
		while (next_ns <= now_ns && ask(next_ns))
			next_ns += pause_ns;
		/* To the millisecond: what is asked a little late counts from when it was to be. */
		struct timespec wait = { .tv_nsec = next_ns > now_ns ? (next_ns - now_ns) % NS_PER_S : NS_PER_MS };
		struct pollfd ready = { .fd = epoll, .events = POLLIN };
		ppoll(&ready, 1, &wait, NULL);
		if (!serve(epoll, 0))
			return EX_OK;
	}
}
