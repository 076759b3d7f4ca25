/* SPDX-License-Identifier: MIT
 *
 * crew.c - the seed's clients as processes: a common start, one loop, totals.
 *
 * Three pipes join the parent and its clients:
 *
 *     ready   client -> parent   one byte from each client that is connected
 *     start   parent -> client   the time to stop at, once for each client
 *     totals  client -> parent   what the client counted
 *
 * and a fourth holds one byte, which the first client to fail takes: it speaks.
 * A client that fails closes its ends, so the parent reads an early end of the
 * pipe rather than wait for ever. The parent has no server, connection or loop
 * of its own: while the clients run it sleeps in poll(). Where times of answers are
 * asked for, each client keeps them in memory that the parent shares.
 */
#include "tests/bench/crew.h"

#include "common/clock.h"
#include "common/histogram.h"
#include "common/log.h"
#include "common/options.h"
#include "common/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { CLIENTS_MOST = 10000, ACTORS_MOST = 100000 };

struct pipe_ends {
	int out, in; /* read from `out`, write to `in` */
};

struct wires {
	struct pipe_ends ready, start, totals, voice;
};

struct totals {
	int64_t reads, writes;
};

static int voice = -1; /* where a client finds the byte that lets it speak */

/* The parent's side. */
struct run {
	const struct crew *crew;
	const struct crew_link *link;
	struct wires wires;
	int64_t count, started; /* clients wanted, and forked */
	struct histogram *latencies; /* one for each client; NULL where nobody asked for them */
	pid_t *pids;
	sigset_t held; /* signals that ask to stop: read from `signals` */
	int signals;
	bool stopped;
};

void crew_parse(struct crew *crew, const char *name, const char *about, int argc, char **argv)
{
	*crew = (struct crew){ .readers = 100, .writers = 10, .actors = 1, .keys = 5, .pause_ns = NS_PER_MS,
			       .duration_ns = NS_PER_S };
	const struct option_spec options[] = {
		{ "socket", 's', OPTION_TEXT, &crew->socket, 0, 0, "PATH", "the server's Unix socket" },
		{ "readers", 'r', OPTION_INTEGER, &crew->readers, 0, CLIENTS_MOST, "N",
		  "processes that read [100]" },
		{ "writers", 'w', OPTION_INTEGER, &crew->writers, 0, CLIENTS_MOST, "N",
		  "processes that write [10]" },
		{ "actors", 'a', OPTION_INTEGER, &crew->actors, 1, ACTORS_MOST, "N",
		  "of each process, which share its connection and do not pause [1]" },
		{ "keys", 'k', OPTION_INTEGER, &crew->keys, 1, 1 << 30, "N", "how many keys there are [5]" },
		{ "pause", 'p', OPTION_DURATION, &crew->pause_ns, 0, 0, "TIME",
		  "after each request; 0 is none [1ms]" },
		{ "duration", 'd', OPTION_DURATION, &crew->duration_ns, 0, 0, "TIME",
		  "from start to stop [1s]" },
		{ "settle", 'S', OPTION_DURATION, &crew->settle_ns, 0, 0, "TIME",
		  "before the start, in which clients ask and nothing counts; not with --actors [0]" },
		{ "latency", 'l', OPTION_FLAG, &crew->latency, 0, 0, NULL, "print p50 p99 p99.9 max as well" },
	};
	char example[128];
	const struct program program = {
		.name = name, .usage = "--socket PATH [option ...]", .about = about, .example = example,
		.options = options, .option_count = sizeof options / sizeof options[0],
	};

	snprintf(example, sizeof example, "%s --socket /tmp/%s.sock --duration 1s", name, name);
	log_init(name);
	int operand = options_parse(&program, argc, argv, 0);
	if (operand < argc)
		fatal(EX_USAGE, "'%s' is not an option; see %s --help", argv[operand], name);
	if (crew->socket == NULL)
		fatal(EX_USAGE, "say where the server's socket is: --socket PATH");
	if (crew->settle_ns > 0 && crew->actors > 1)
		fatal(EX_USAGE, "--settle goes with clients of one request at a time: not with --actors");
	if (crew->readers + crew->writers == 0)
		fatal(EX_USAGE, "there is nobody to run: give --readers or --writers");
}

/* Pipes carry records far below PIPE_BUF here, which the kernel never splits;
 * a short read is therefore the end of the pipe. */
static bool read_record(int fd, void *record, size_t size)
{
	ssize_t n;

	do
		n = read(fd, record, size);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)size;
}

static bool write_record(int fd, const void *record, size_t size)
{
	ssize_t n;

	do
		n = write(fd, record, size);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)size;
}

void crew_error(const char *format, ...)
{
	char text[256], byte;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (read_record(voice, &byte, sizeof byte))
		log_error("%s", text);
}

static void pause_for(int64_t ns)
{
	struct timespec left = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

/* A writer puts i under i mod keys, so every value there betrays its key: a
 * server that answers something else is not worth measuring. */
static bool read_once(const struct crew *crew, const struct crew_link *link, void *connection, int64_t i)
{
	int64_t key = i % crew->keys, value = 0;
	int found = link->get(connection, key, &value);

	if (found == 1 && value % crew->keys != key) {
		crew_error("key %lld holds %lld, which nobody put there", (long long)key, (long long)value);
		return false;
	}
	return found >= 0;
}

static bool client_many(const struct crew *crew, const struct crew_link *link, void *connection,
			bool writes, int64_t stop_ns, struct totals *totals)
{
	return link->many(connection, crew, writes, stop_ns, writes ? &totals->writes : &totals->reads) == 0;
}

static bool client_loop(const struct crew *crew, const struct crew_link *link, void *connection,
			bool writes, int64_t stop_ns, struct totals *totals, struct histogram *latency)
{
	int64_t begun_ns = clock_monotonic_ns(), now_ns = begun_ns;

	for (int64_t i = 0; now_ns < stop_ns; i++) {
		bool counts = begun_ns >= stop_ns - crew->duration_ns;
		if (!(writes ? link->set(connection, i % crew->keys, i) == 0 : read_once(crew, link, connection, i)))
			return false;
		totals->reads += counts && !writes;
		totals->writes += counts && writes;
		now_ns = clock_monotonic_ns();
		if (latency != NULL && counts)
			histogram_add(latency, (uint64_t)(now_ns - begun_ns));
		if (crew->pause_ns > 0) {
			pause_for(crew->pause_ns);
			now_ns = clock_monotonic_ns();
		}
		begun_ns = now_ns;
	}
	return true;
}

/* The whole life of one client; the result is its exit status. */
static int client_run(const struct crew *crew, const struct crew_link *link, const struct wires *wires,
		      bool writes, struct histogram *latency)
{
	struct totals totals = { 0, 0 };
	int64_t stop_ns;
	void *connection = link->open(crew->socket);

	if (connection == NULL)
		return EX_UNAVAILABLE;
	bool good = write_record(wires->ready.in, "r", 1);
	/* While any client holds this end, the parent waits for that one's byte. */
	close(wires->ready.in);
	good = good && read_record(wires->start.out, &stop_ns, sizeof stop_ns) &&
	       (crew->actors > 1 ? client_many(crew, link, connection, writes, stop_ns, &totals)
				 : client_loop(crew, link, connection, writes, stop_ns, &totals, latency)) &&
	       write_record(wires->totals.in, &totals, sizeof totals);
	link->close(connection);
	return good ? EX_OK : EX_UNAVAILABLE;
}

static pid_t client_start(const struct run *run, bool writes)
{
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	sigprocmask(SIG_UNBLOCK, &run->held, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EX_OSERR); /* it went before the line above */
	close(run->wires.ready.out);
	close(run->wires.start.in);
	close(run->wires.totals.out);
	_exit(client_run(run->crew, run->link, &run->wires, writes,
			 run->latencies != NULL ? &run->latencies[run->started] : NULL));
}

static bool wires_open(struct wires *wires)
{
	struct pipe_ends *all[] = { &wires->ready, &wires->start, &wires->totals, &wires->voice };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		int ends[2];
		if (pipe(ends) != 0)
			return false;
		*all[i] = (struct pipe_ends){ .out = ends[0], .in = ends[1] };
	}
	voice = wires->voice.out;
	return fcntl(voice, F_SETFL, O_NONBLOCK) == 0 && write_record(wires->voice.in, "v", 1);
}

/* The parent lives on after a signal to see its clients end: an init that never
 * collects the dead, as in a container, would keep a hundred of them. */
static bool run_open(struct run *run)
{
	/* A client that dies must cost an error here, not the parent's life. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&run->held);
	sigaddset(&run->held, SIGINT);
	sigaddset(&run->held, SIGTERM);
	sigaddset(&run->held, SIGHUP);
	sigprocmask(SIG_BLOCK, &run->held, NULL);
	run->signals = signalfd(-1, &run->held, SFD_CLOEXEC);
	run->pids = calloc((size_t)run->count, sizeof *run->pids);
	if (run->crew->latency) {
		void *shared = mmap(NULL, (size_t)run->count * sizeof *run->latencies, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared == MAP_FAILED)
			return false;
		run->latencies = shared;
	}
	return run->signals >= 0 && run->pids != NULL && wires_open(&run->wires);
}

/* Waits for a record of a client. False at the end of the pipe, and after a
 * signal, which ends the clients too. */
static bool run_read(struct run *run, int fd, void *record, size_t size)
{
	struct pollfd wait[] = { { .fd = run->signals, .events = POLLIN }, { .fd = fd, .events = POLLIN } };

	if (run->stopped)
		return false;
	while (poll(wait, 2, -1) < 0)
		if (errno != EINTR)
			return false;
	if (wait[0].revents == 0)
		return read_record(fd, record, size);
	run->stopped = true;
	for (int64_t i = 0; i < run->started; i++)
		kill(run->pids[i], SIGKILL);
	return false;
}

static bool run_fork(struct run *run)
{
	for (; run->started < run->count; run->started++) {
		pid_t pid = client_start(run, run->started >= run->crew->readers);
		if (pid < 0) {
			log_error("cannot start client %lld: %s", (long long)run->started + 1,
				  strerror(errno));
			break;
		}
		run->pids[run->started] = pid;
	}
	close(run->wires.ready.in);
	close(run->wires.start.out);
	close(run->wires.totals.in);
	return run->started == run->count;
}

/* Lets all clients go, or, where one of them is missing, none. */
static bool run_start(struct run *run)
{
	char byte;

	for (int64_t i = 0; i < run->count; i++)
		if (!run_read(run, run->wires.ready.out, &byte, sizeof byte))
			return false;
	int64_t stop_ns = clock_monotonic_ns() + run->crew->settle_ns + run->crew->duration_ns;
	for (int64_t i = 0; i < run->count; i++)
		if (!write_record(run->wires.start.in, &stop_ns, sizeof stop_ns))
			return false;
	return true;
}

/* How many clients ended well. */
static int64_t run_wait(struct run *run)
{
	int64_t good = 0;

	for (int64_t i = 0; i < run->started; i++) {
		int status;
		if (waitpid(run->pids[i], &status, 0) == run->pids[i] && WIFEXITED(status) &&
		    WEXITSTATUS(status) == 0)
			good++;
	}
	free(run->pids);
	return good;
}

static void tell_latency(const struct run *run)
{
	static const uint32_t per_million[] = { 500000, 990000, 999000 };
	static struct histogram sum;
	char text[4][32];

	for (int64_t i = 0; i < run->count; i++)
		histogram_merge(&sum, &run->latencies[i]);
	if (sum.total == 0) {
		printf("latency: none\n");
		return;
	}
	for (size_t i = 0; i < 3; i++)
		quantity_format_duration((int64_t)histogram_quantile(&sum, per_million[i]), text[i], sizeof text[i]);
	quantity_format_duration((int64_t)sum.maximum, text[3], sizeof text[3]);
	printf("latency: p50 %s p99 %s p99.9 %s max %s\n", text[0], text[1], text[2], text[3]);
}

int crew_run(const struct crew *crew, const struct crew_link *link)
{
	struct run run = { .crew = crew, .link = link, .count = crew->readers + crew->writers };
	struct totals sum = { 0, 0 }, one;

	if (crew->actors > 1 && (link->many == NULL || crew->latency || crew->pause_ns > 0)) {
		log_error("%s: leave --actors at 1", link->many == NULL ? "this peer has one request at a time"
						     : "many actors have no pause, and keep no times");
		return EX_USAGE;
	}
	if (!run_open(&run)) {
		log_error("cannot prepare %lld clients: %s", (long long)run.count, strerror(errno));
		return EX_OSERR;
	}
	bool forked = run_fork(&run);
	if (forked)
		run_start(&run);
	close(run.wires.start.in); /* those who still wait for the start give up */
	while (run_read(&run, run.wires.totals.out, &one, sizeof one)) {
		sum.reads += one.reads;
		sum.writes += one.writes;
	}
	int64_t failed = run.count - run_wait(&run);
	if (!forked)
		return EX_OSERR;
	if (run.stopped) {
		log_error("stopped by a signal before the end");
		return EX_TEMPFAIL;
	}
	if (failed > 0) {
		log_error("%lld of %lld clients failed", (long long)failed, (long long)run.count);
		return EX_UNAVAILABLE;
	}
	printf("reads: %lld, writes: %lld\n", (long long)sum.reads, (long long)sum.writes);
	if (crew->latency)
		tell_latency(&run);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
