/* SPDX-License-Identifier: MIT
 *
 * crew.h - the seed's clients as processes, for the peers that sole is measured
 * against: N readers and M writers, each a process with its own connection.
 *
 * The loop, the pause, the common start, the counting and the times of answers are
 * the same for every peer and stand here; a peer adds only how one request is asked,
 * as a `struct crew_link`. A program is crew_parse(), then whatever server it needs,
 * then crew_run().
 */
#ifndef SOLE_TESTS_BENCH_CREW_H
#define SOLE_TESTS_BENCH_CREW_H

#include <stdbool.h>
#include <stdint.h>

struct crew {
	int64_t readers, writers;
	int64_t actors;      /* of each process, each with a request under way */
	int64_t keys;
	int64_t pause_ns;    /* after each request; 0 is none */
	int64_t settle_ns;   /* before the start: what is asked then does not count */
	int64_t duration_ns; /* from the start, common to all, to the last request */
	bool latency;        /* also print how long answers took */
	const char *socket;  /* path of the server's socket */
};

/* One client's connection. Each call blocks until the answer is there; those
 * that can fail have then told crew_error() why. */
struct crew_link {
	/* The connection, or NULL; crew_run() gives it to close(). */
	void *(*open)(const char *socket);
	/* 1: there is a value; 0: the key has none; -1: failed. */
	int (*get)(void *connection, int64_t key, int64_t *value);
	/* 0: acknowledged; -1: failed. */
	int (*set)(void *connection, int64_t key, int64_t value);
	void (*close)(void *connection);
	/* The loop of crew->actors that share a connection, without a pause, each asking for keys
	 * at random, until `stop_ns`. 0, and how many were answered; -1: failed. NULL: this peer has
	 * one request at a time. */
	int (*many)(void *connection, const struct crew *crew, bool writes, int64_t stop_ns, int64_t *done);
};

/* Fills `crew` from the command line. Exits 0 after --help and --version, or
 * EX_USAGE with one line. `name` and `about` are those of the program. */
void crew_parse(struct crew *crew, const char *name, const char *about, int argc, char **argv);

/* Forks the clients, starts them together when all are connected, waits for
 * them and prints `reads: N, writes: M` to standard output, and with `latency`
 * a line as sole-reader(1) has it. Blocks for a little more than the duration. Returns 0, or an exit status after one line on
 * standard error: EX_UNAVAILABLE where a client failed, EX_OSERR where the
 * clients could not be made, EX_TEMPFAIL where SIGINT, SIGTERM or SIGHUP came.
 * These stay blocked afterwards, and no client is left; clients also die with
 * a caller that is killed. Call it once. */
int crew_run(const struct crew *crew, const struct crew_link *link);

/* Logs what went wrong in a client, once for the whole crew: a server that goes
 * away is news to a hundred clients and one line to the reader. */
void crew_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
