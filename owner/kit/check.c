/* SPDX-License-Identifier: MIT
 *
 * check.c - sole-check: does a behaviour keep its contract?
 *
 * Looks at what its shared object calls, then lives through many short made-up histories (world.h).
 * What is found is told with the seed that finds it again. A behaviour that crashes or does not come back is
 * told the same way.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/options.h"
#include "owner/kit/symbols.h"
#include "owner/kit/world.h"
#include "owner/loader.h"
#include "owner/core/operations.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

enum { STATUS_FOUND = 1 };

static int64_t seed = -1, runs = 60, steps = 1000, limit_ns = 60 * NS_PER_S;
static uint64_t run_seed;
static char where[1024];

static const struct option_spec options[] = {
	{ "seed", 's', OPTION_INTEGER, &seed, 0, INT64_MAX, "N", "begin with this run, to see again what it has found" },
	{ "runs", 'r', OPTION_INTEGER, &runs, 1, 1000000, "N", "how many histories (60)" },
	{ "steps", 'n', OPTION_INTEGER, &steps, 1, 1000000, "N", "how many steps in each (1000)" },
	{ "limit", 0, OPTION_DURATION, &limit_ns, NS_PER_S, 3600 * NS_PER_S, "TIME", "what a run takes longer than does not come back (60s)" },
};

static const struct program program = {
	.name = "sole-check",
	.usage = "[option ...] FILE.so | table",
	.about = "Tries a behaviour against its contract, sole-behaviour(3), with random input.",
	.example = "  sole-check ./ledger.so\n  sole-check --seed 4711 ./ledger.so",
	.options = options,
	.option_count = sizeof options / sizeof *options,
};

/* ---- loading ---- */

/* A second copy of the code has variables of its own: the loader takes another file for another object. */
static const struct sole_behaviour *load_copy(const char *file, const char **why)
{
	char path[64], bytes[65536];
	int from = open(file, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("behaviour", MFD_CLOEXEC);
	ssize_t size = 0;

	*why = "it cannot be copied";
	while (from >= 0 && to >= 0 && (size = read(from, bytes, sizeof bytes)) > 0)
		if (write(to, bytes, (size_t)size) != size) {
			size = -1;
			break;
		}
	if (from >= 0)
		close(from);
	if (from < 0 || to < 0 || size < 0)
		return NULL;
	/* Stays open: the loader's name for it. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", to);
	return loader_open(path, why);
}

static void tell_symbol(void *context, const char *symbol, const char *what)
{
	unsigned *found = context;

	log_error("it calls %s: %s", symbol, what);
	++*found;
}

/* ---- what ends a run from without ---- */

static void crashed(int number)
{
	char line[1400];
	int size = snprintf(line, sizeof line, "sole-check: seed %" PRIu64 ": %s: %s\n", run_seed, where,
			    number == SIGALRM ? "it does not come back" :
			    number == SIGFPE  ? "it crashes (SIGFPE)" :
			    number == SIGABRT ? "it aborts" :
						"it crashes (a bad address)");

	if (size > 0 && write(STDERR_FILENO, line, (size_t)size) < 0)
		_exit(EX_OSERR);
	_exit(STATUS_FOUND);
}

static void watch_for_crashes(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM };
	static char stack[65536]; /* a behaviour may have used up the other */
	const stack_t other = { .ss_sp = stack, .ss_size = sizeof stack };
	struct sigaction action = { .sa_handler = crashed, .sa_flags = SA_ONSTACK };

	sigaltstack(&other, NULL);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaction(signals[i], &action, NULL);
}

/* ---- the runs ---- */

static void tell_result(const struct sole_behaviour *behaviour, const struct tally *tally)
{
	printf("%s: %" PRId64 " runs of %" PRId64 " steps from seed %" PRId64 " on, and nothing found\n", behaviour->name, runs,
	       steps, seed);
	printf("  requests: %" PRIu64 " done, %" PRIu64 " refused, %" PRIu64 " waited (%" PRIu64 " answered late, %" PRIu64
	       " withdrawn)\n", tally->done, tally->refused, tally->waiting, tally->late, tally->withdrawn);
	printf("  ticks: %" PRIu64 ", sessions: %" PRIu64 ", of which ended: %" PRIu64 ", events: %" PRIu64
	       ", entries at the most: %" PRIu64 "\n", tally->ticks, tally->sessions, tally->sessions_ended, tally->events,
	       tally->entries_most);
	/* What was never done has not been tried. */
	if (tally->done == 0)
		log_warn("no request was ever done: random input does not reach what this behaviour does");
}

static int run_all(const struct sole_behaviour *behaviour, const struct sole_behaviour *copy)
{
	struct tally tally = { 0 };
	struct finding finding;

	for (int64_t run = 0; run < runs; run++) {
		run_seed = (uint64_t)(seed + run);
		alarm((unsigned)(limit_ns / NS_PER_S));
		if (world_run(behaviour, copy, run_seed, (unsigned)steps, &tally, &finding, where))
			continue;
		log_error("seed %" PRIu64 ", step %u: %s", run_seed, finding.step, finding.text);
		return STATUS_FOUND;
	}
	alarm(0);
	tell_result(behaviour, &tally);
	if (fflush(stdout) != 0)
		fatal(EX_IOERR, "cannot write: %s", log_cause(errno));
	return EX_OK;
}

int main(int argc, char **argv)
{
	const struct sole_behaviour *behaviour = &table_behaviour, *copy = &table_behaviour;
	const char *why = NULL;
	unsigned found = 0;

	log_init("sole-check");
	int operand = options_parse(&program, argc, argv, 0);
	if (operand != argc - 1)
		fatal(EX_USAGE, "%s; see sole-check --help", operand == argc ? "give a shared object" : "only one can be given");
	const char *file = argv[operand];
	if (seed < 0)
		seed = clock_wall_us() % 1000000000;
	if (strcmp(file, "table") != 0) {
		behaviour = loader_open(file, &why);
		if (behaviour == NULL)
			fatal(EX_CONFIG, "%s", why);
		copy = load_copy(file, &why);
		if (copy == NULL)
			fatal(EX_CONFIG, "%s: %s", file, why);
		if (!symbols_forbidden(file, tell_symbol, &found, &why))
			fatal(EX_CONFIG, "%s: %s", file, why);
	}
	if (found > 0)
		return STATUS_FOUND;
	watch_for_crashes();
	return run_all(behaviour, copy);
}
