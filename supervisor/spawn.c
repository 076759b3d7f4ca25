/* SPDX-License-Identifier: MIT
 *
 * spawn.c - fork, clean up, exec.
 *
 * Between fork and exec there is one thread and nothing of ours is locked, but
 * only plain system calls are made even so: no allocation, no stdio, no logging.
 */
#include "supervisor/spawn.h"
#include "supervisor/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FIRST_LISTEN = 3, PARKING = FIRST_LISTEN + LISTENS_MAX + 1, EXIT_NOT_RUN = 127 };

static struct rlimit given_limit = { .rlim_cur = 1024, .rlim_max = 4096 };

void spawn_raise_limit(void)
{
	struct rlimit raised;

	if (getrlimit(RLIMIT_NOFILE, &given_limit) != 0)
		return;
	raised = given_limit;
	raised.rlim_cur = raised.rlim_max;
	setrlimit(RLIMIT_NOFILE, &raised);
}

static _Noreturn void give_up(int report, const char *stage)
{
	struct spawn_failure failure = { .error = errno };

	strncpy(failure.stage, stage, sizeof failure.stage - 1);
	/* If even this fails, the exit status tells a little. */
	if (write(report, &failure, sizeof failure) < 0)
		_exit(EXIT_NOT_RUN);
	_exit(EXIT_NOT_RUN);
}

static void reset_signals(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &standard, NULL); /* fails for SIGKILL and SIGSTOP, as it should */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Closes all descriptors but those in `kept`, and sorts it. */
static void close_others(int *kept, int count)
{
	unsigned from = 0;

	for (int i = 1; i < count; i++)
		for (int k = i; k > 0 && kept[k] < kept[k - 1]; k--) {
			int swap = kept[k];
			kept[k] = kept[k - 1];
			kept[k - 1] = swap;
		}
	for (int i = 0; i < count; i++) {
		if ((unsigned)kept[i] > from)
			close_range(from, (unsigned)kept[i] - 1, 0);
		from = (unsigned)kept[i] + 1;
	}
	close_range(from, ~0U, 0);
}

/* Room is made first, then every descriptor is parked above all targets, so that
 * none is overwritten before it has been moved. Returns the report's new place. */
static int arrange_descriptors(const struct spawn *spawn)
{
	int count = FIRST_LISTEN + (int)spawn->listen_count;
	int given[FIRST_LISTEN + LISTENS_MAX] = { spawn->input, spawn->output, spawn->error };
	int kept[FIRST_LISTEN + LISTENS_MAX + 1], parked[FIRST_LISTEN + LISTENS_MAX];

	memcpy(given + FIRST_LISTEN, spawn->listens, spawn->listen_count * sizeof *given);
	memcpy(kept, given, (size_t)count * sizeof *kept);
	kept[count] = spawn->report;
	close_others(kept, count + 1);
	int report = fcntl(spawn->report, F_DUPFD_CLOEXEC, PARKING);
	if (report < 0)
		give_up(spawn->report, "keeping a descriptor");
	for (int i = 0; i < count; i++) {
		parked[i] = fcntl(given[i], F_DUPFD_CLOEXEC, PARKING);
		if (parked[i] < 0)
			give_up(report, "keeping a descriptor");
	}
	for (int i = 0; i < count; i++)
		if (dup2(parked[i], i) < 0)
			give_up(report, "placing a descriptor");
	if (dup3(report, count, O_CLOEXEC) < 0)
		give_up(report, "placing a descriptor");
	close_range((unsigned)count + 1, ~0U, 0);
	return count;
}

/* Only the process itself knows its pid, which two protocols ask for. */
static void add_own_variables(const struct spawn *spawn)
{
	static char text[SPAWN_OWN_VARIABLES][48];
	size_t n = 0;
	int pid = (int)getpid();

	if (spawn->watchdog_us > 0) {
		snprintf(text[n++], sizeof *text, "WATCHDOG_USEC=%lld", (long long)spawn->watchdog_us);
		snprintf(text[n++], sizeof *text, "WATCHDOG_PID=%d", pid);
	}
	if (spawn->listen_count > 0) {
		snprintf(text[n++], sizeof *text, "LISTEN_FDS=%zu", spawn->listen_count);
		snprintf(text[n++], sizeof *text, "LISTEN_PID=%d", pid);
	}
	for (size_t i = 0; i < n; i++)
		spawn->environment[spawn->environment_count + i] = text[i];
	spawn->environment[spawn->environment_count + n] = NULL;
}

static _Noreturn void become(const struct spawn *spawn, pid_t supervisor)
{
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != supervisor)
		_exit(EXIT_NOT_RUN); /* it died before the line above */
	int report = arrange_descriptors(spawn);
	add_own_variables(spawn);
	setrlimit(RLIMIT_NOFILE, &given_limit);
	if (spawn->directory != NULL && chdir(spawn->directory) != 0)
		give_up(report, "entering its directory");
	reset_signals();
	execve(spawn->path, spawn->words, spawn->environment);
	give_up(report, "running the program");
}

pid_t spawn(const struct spawn *spawn)
{
	pid_t supervisor = getpid(), pid = fork();

	if (pid == 0)
		become(spawn, supervisor);
	return pid;
}
