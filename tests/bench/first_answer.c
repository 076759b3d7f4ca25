/* SPDX-License-Identifier: MIT
 *
 * first_answer.c - how long a program takes from its start to its end, over and over for a
 * while: `sole get`, say, whose whole life is one answer.
 *
 * It is made as a shell would make it, by vfork and exec, and nothing is done between two of
 * them. What it prints goes nowhere; one that fails ends all.
 */
#include "common/clock.h"
#include "common/histogram.h"
#include "common/log.h"
#include "common/options.h"
#include "common/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

extern char **environ;

static void run_once(char **command, const posix_spawn_file_actions_t *actions)
{
	int status;
	pid_t pid;
	int code = posix_spawnp(&pid, command[0], actions, NULL, command, environ);

	if (code != 0)
		fatal(EX_UNAVAILABLE, "cannot run %s: %s", command[0], strerror(code));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fatal(EX_OSERR, "cannot wait for %s: %s", command[0], strerror(errno));
	if (status != 0)
		fatal(EX_UNAVAILABLE, "%s ended with %s %d", command[0], WIFSIGNALED(status) ? "signal" : "exit status",
		      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void tell(const struct histogram *times)
{
	static const uint32_t per_million[] = { 500000, 990000, 999000 };
	char text[4][32];

	for (size_t i = 0; i < 3; i++)
		quantity_format_duration((int64_t)histogram_quantile(times, per_million[i]), text[i], sizeof text[i]);
	quantity_format_duration((int64_t)times->maximum, text[3], sizeof text[3]);
	printf("reads: %llu, writes: 0\nlatency: p50 %s p99 %s p99.9 %s max %s\n", (unsigned long long)times->total,
	       text[0], text[1], text[2], text[3]);
}

int main(int argc, char **argv)
{
	static struct histogram times;
	int64_t duration_ns = NS_PER_S;
	const struct option_spec options[] = {
		{ "duration", 'd', OPTION_DURATION, &duration_ns, 0, 0, "TIME", "stop after it [1s]" },
	};
	const struct program program = {
		.name = "first_answer", .usage = "[option ...] -- PROGRAM [argument ...]",
		.about = "Runs a program over and over, and how long it took.",
		.example = "first_answer --duration 1s -- sole get -o inventory apples",
		.options = options, .option_count = sizeof options / sizeof options[0],
	};
	posix_spawn_file_actions_t actions;

	log_init("first_answer");
	int operand = options_parse(&program, argc, argv, 0);
	if (operand == argc)
		fatal(EX_USAGE, "say what to run; see first_answer --help");
	if (posix_spawn_file_actions_init(&actions) != 0 ||
	    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) != 0)
		fatal(EX_OSERR, "no memory");
	int64_t end_ns = clock_monotonic_ns() + duration_ns, begun_ns;
	while ((begun_ns = clock_monotonic_ns()) < end_ns) {
		run_once(&argv[operand], &actions);
		histogram_add(&times, (uint64_t)(clock_monotonic_ns() - begun_ns));
	}
	posix_spawn_file_actions_destroy(&actions);
	if (times.total == 0)
		fatal(EX_USAGE, "--duration: give a longer one");
	tell(&times);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
