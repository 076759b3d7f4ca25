/* SPDX-License-Identifier: MIT
 *
 * main.c - runs seeds: many, on all processors, until one is violated; or one, step by step.
 *
 *	SEEDS=100000 sim     so many, from seed FROM (1) on, by JOBS processes
 *	SEED=17 sim          that one, each step printed
 *
 * Each hundredth seed is run twice, and must do the same both times, byte for byte. Exit status 1: a violation; its
 * seed, what it is, and the last steps were printed.
 */
#include "tests/sim/world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MOST = 64, TWICE_EVERY = 100 };

/* There in a build for `make coverage`: what a job counted is else lost with it. */
#ifdef COVERAGE
void __gcov_dump(void);
#endif

static struct world world; /* large, and one at a time */

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;

	if (text == NULL || *text == '\0')
		return otherwise;
	errno = 0;
	uint64_t number = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || *text < '0' || *text > '9') {
		fprintf(stderr, "sim: %s is a number, and '%s' is none\n", name, text);
		exit(64);
	}
	return number;
}

static void add(struct tally *sum, const struct tally *tally)
{
	const uint64_t *from = (const uint64_t *)tally;
	uint64_t *to = (uint64_t *)sum;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

static void trace(FILE *to)
{
	world.tracing = true;
	world.trace_to = to;
	world.trace = calloc(TRACE_LINES, sizeof *world.trace);
	if (world.trace == NULL)
		exit(71);
}

static void tell_violation(uint64_t seed, const char *what)
{
	printf("# seed %" PRIu64 ": %s\n", seed, what);
	printf("# again, step by step: SEED=%" PRIu64 "\n", seed);
}

/* The same again, to see the last steps. */
static void show_last_steps(uint64_t seed)
{
	trace(NULL);
	world_run(&world, seed);
	size_t from = world.trace_count > TRACE_LINES ? world.trace_count - TRACE_LINES : 0;
	for (size_t i = from; i < world.trace_count; i++)
		printf("#  %s\n", world.trace[i % TRACE_LINES]);
	world_clear(&world);
}

/* False: violated. */
static bool run_seed(uint64_t seed, struct tally *sum)
{
	bool well = world_run(&world, seed);
	uint64_t digest = world.digest;
	char what[VIOLATION_BYTES];

	memcpy(what, world.violation, sizeof what);
	add(sum, &world.tally);
	world_clear(&world);
	if (well && seed % TWICE_EVERY == 0) {
		well = world_run(&world, seed);
		if (world.digest != digest || !well) {
			snprintf(what, sizeof what, "it does not do the same twice");
			well = false;
		}
		world_clear(&world);
	}
	if (well)
		return true;
	tell_violation(seed, what);
	show_last_steps(seed);
	fflush(stdout);
	return false;
}

static int show_seed(uint64_t seed)
{
	trace(stdout);
	bool well = world_run(&world, seed);
	printf("# seed %" PRIu64 ": digest %016" PRIx64 ", %s\n", seed, world.digest, well ? "nothing violated" : world.violation);
	world_clear(&world);
	return well ? 0 : 1;
}

/* What a job tells when it has ended. */
struct report {
	struct tally tally;
	uint64_t seeds, violated_seed; /* 0: none */
};

/* `now`: the seed that runs, for whoever finds this process dead. */
static void job(int to, uint64_t *now, uint64_t from, uint64_t count, uint64_t stride)
{
	struct report report = { .seeds = 0 };

	for (uint64_t seed = from; seed < from + count && report.violated_seed == 0; seed += stride) {
		*now = seed;
		report.seeds++;
		if (!run_seed(seed, &report.tally))
			report.violated_seed = seed;
	}
#ifdef COVERAGE
	__gcov_dump();
#endif
	_exit(write(to, &report, sizeof report) == (ssize_t)sizeof report ? 0 : 71);
}

static void print_tally(const struct report *sum, double seconds, uint64_t jobs)
{
	const struct tally *t = &sum->tally;

	printf("# %" PRIu64 " seeds, %" PRIu64 " steps in %.1f s: %.0f seeds/s for each of %" PRIu64 " processes\n", sum->seeds,
	       t->steps, seconds, (double)sum->seeds / seconds / (double)jobs, jobs);
	printf("# operations: %" PRIu64 " (done %" PRIu64 ", refused %" PRIu64 ", unknown %" PRIu64 "); events heard: %" PRIu64 "\n",
	       t->operations, t->done, t->refused, t->unknown, t->events);
	printf("# messages: %" PRIu64 " (lost %" PRIu64 "), connections cut: %" PRIu64 ", clients killed: %" PRIu64 "\n",
	       t->messages, t->lost, t->cuts, t->client_crashes);
	printf("# rounds: %" PRIu64 " with %" PRIu64 " records; owner killed: %" PRIu64 " (with loss of power %" PRIu64
	       "), failed by its disk: %" PRIu64 ", stopped: %" PRIu64 "\n",
	       t->rounds, t->records, t->owner_crashes, t->power_losses, t->sync_failures, t->clean_stops);
	printf("# snapshots: %" PRIu64 ", segments left at the end: %" PRIu64 ", bytes damaged: %" PRIu64 "\n", t->snapshots,
	       t->segments, t->damages);
}

/* False: one of them crashed, or could not tell. */
static bool wait_for_jobs(const pid_t *pids, const uint64_t *now, uint64_t jobs)
{
	bool well = true;

	for (uint64_t i = 0; i < jobs; i++) {
		int status;
		if (waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		well = false;
		tell_violation(now[i], WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "the run ended the program");
	}
	return well;
}

static int run_seeds(uint64_t from, uint64_t count, uint64_t jobs)
{
	struct report sum = { .seeds = 0 }, report;
	struct timespec begin, end;
	static pid_t pids[JOBS_MOST];
	int ends[2];
	bool well = true;
	uint64_t *now = mmap(NULL, JOBS_MOST * sizeof *now, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (now == MAP_FAILED)
		return 71;
	if (jobs < 1 || jobs > JOBS_MOST)
		jobs = 1;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (pipe(ends) != 0)
		return 71;
	fflush(stdout);
	for (uint64_t i = 0; i < jobs; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			return 71;
		if (pids[i] == 0)
			job(ends[1], &now[i], from + i, i < count ? count - i : 0, jobs);
	}
	close(ends[1]);
	while (read(ends[0], &report, sizeof report) == (ssize_t)sizeof report) {
		add(&sum.tally, &report.tally);
		sum.seeds += report.seeds;
		well &= report.violated_seed == 0;
	}
	well &= wait_for_jobs(pids, now, jobs);
	clock_gettime(CLOCK_MONOTONIC, &end);
	print_tally(&sum, (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9, jobs);
	return well ? 0 : 1;
}

int main(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t seed = number_of("SEED", UINT64_MAX);

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	if (seed != UINT64_MAX)
		return show_seed(seed);
	return run_seeds(number_of("FROM", 1), number_of("SEEDS", 1000),
			 number_of("JOBS", processors > 0 ? (uint64_t)processors : 1));
}
