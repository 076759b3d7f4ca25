/* SPDX-License-Identifier: MIT
 *
 * child.c - a child for tests/76-crashes.t: each time it is started it ends in another way.
 *
 *	child FILE [WAY]
 *
 * Appends "NAME PID WAY" to FILE first; the names of the ways are at the end of this file. Without WAY it
 * draws one.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static void for_ever(void)
{
	for (;;)
		pause();
}

static void die(int number)
{
	signal(number, SIG_DFL);
	raise(number);
	for_ever();
}

static void exit_0(void)
{
	_exit(0);
}

static void exit_3(void)
{
	_exit(3);
}

static void exit_255(void)
{
	_exit(255);
}

static void segv(void)
{
	die(SIGSEGV);
}

static void abrt(void)
{
	die(SIGABRT);
}

static void killed(void)
{
	die(SIGKILL);
}

static void termed(void)
{
	die(SIGTERM);
}

/* A real-time signal has no name. */
static void realtime(void)
{
	die(SIGRTMIN + 3);
}

static void after_ready(void)
{
	notify("READY=1\nSTATUS=ready, for a moment");
	nanosleep(&(struct timespec){ .tv_nsec = 3 * NS_PER_MS }, NULL);
	die(SIGSEGV);
}

/* The notice and the death arrive together. */
static void with_ready(void)
{
	notify("READY=1");
	_exit(1);
}

static void trigger(void)
{
	notify("READY=1");
	notify("WATCHDOG=trigger");
	for_ever();
}

static void leave_helpers(int count, bool stubborn, bool daemon)
{
	for (int i = 0; i < count; i++) {
		int ready[2];
		char byte;
		if (pipe2(ready, O_CLOEXEC) != 0)
			_exit(EX_OSERR);
		if (fork() == 0) {
			if (stubborn)
				signal(SIGTERM, SIG_IGN);
			if (daemon) {
				setsid();
				if (fork() != 0)
					_exit(0);
			}
			(void)!write(ready[1], "r", 1);
			for_ever();
		}
		close(ready[1]);
		(void)!read(ready[0], &byte, 1);
		close(ready[0]);
	}
}

static void with_helpers(void)
{
	leave_helpers(3, false, false);
	die(SIGSEGV);
}

static void with_stubborn_helper(void)
{
	leave_helpers(1, true, false);
	_exit(1);
}

static void with_daemon(void)
{
	leave_helpers(1, false, true);
	die(SIGABRT);
}

/* Those children it did not wait for are zombies of whoever adopts them. */
static void with_dead_children(void)
{
	for (int i = 0; i < 5; i++)
		if (fork() == 0)
			_exit(i);
	die(SIGKILL);
}

/* As much as a pipe holds, the last line without its end; the reader gets what it can. */
static void full_pipes(void)
{
	static char line[128];

	memset(line, 'x', sizeof line);
	line[sizeof line - 1] = '\n';
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		for (int i = 0; i < 700 && write(fd, line, sizeof line) == (ssize_t)sizeof line; i++)
			;
		(void)!write(fd, "half a line", 11);
	}
	die(SIGBUS);
}

/* Somebody else holds the pipes open, and writes into them when the child is gone. */
static void pipes_of_helper(void)
{
	pid_t parent = getpid();

	if (fork() == 0) {
		while (getppid() == parent)
			nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS / 2 }, NULL);
		full_pipes();
	}
	_exit(2);
}

static void stopped(void)
{
	raise(SIGSTOP);
	for_ever();
}

static void never_ready(void)
{
	for_ever();
}

static void never_ready_and_stubborn(void)
{
	signal(SIGTERM, SIG_IGN);
	for_ever();
}

static void silent(void)
{
	notify("READY=1");
	for_ever();
}

/* At the moment of the stop: SIGTERM is answered by a crash. */
static void crash_on_term(int number)
{
	(void)number;
	die(SIGSEGV);
}

static void at_stop(void)
{
	signal(SIGTERM, crash_on_term);
	notify("READY=1");
	nanosleep(&(struct timespec){ .tv_nsec = 20 * NS_PER_MS }, NULL);
	_exit(1);
}

static const struct {
	const char *name;
	void (*end)(void);
	bool drawn;
} ways[] = {
	{ "exit-0", exit_0, true },
	{ "exit-3", exit_3, true },
	{ "exit-255", exit_255, true },
	{ "segv", segv, true },
	{ "abrt", abrt, true },
	{ "kill", killed, true },
	{ "term", termed, true },
	{ "realtime", realtime, true },
	{ "after-ready", after_ready, true },
	{ "with-ready", with_ready, true },
	{ "helpers", with_helpers, true },
	{ "stubborn-helper", with_stubborn_helper, true },
	{ "daemon", with_daemon, true },
	{ "dead-children", with_dead_children, true },
	{ "full-pipes", full_pipes, true },
	{ "pipes-of-helper", pipes_of_helper, true },
	{ "at-stop", at_stop, true },
	{ "trigger", trigger, false },
	{ "silent", silent, false },
	{ "stopped", stopped, false },
	{ "never-ready", never_ready, false },
	{ "never-ready-stubborn", never_ready_and_stubborn, false },
	{ "for-ever", silent, false },
};

enum { WAYS = sizeof ways / sizeof *ways };

static size_t choose(const char *wanted)
{
	uint64_t z = (uint64_t)clock_monotonic_ns() ^ ((uint64_t)getpid() << 32);

	for (size_t i = 0; wanted != NULL && i < WAYS; i++)
		if (strcmp(ways[i].name, wanted) == 0)
			return i;
	if (wanted != NULL)
		fatal(EX_USAGE, "no such way: %s", wanted);
	for (;;) {
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
		z ^= z >> 31;
		if (ways[z % WAYS].drawn)
			return z % WAYS;
		z += 0x9e3779b97f4a7c15;
	}
}

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };
	const char *name = getenv("SOLE_CHILD");
	char line[256];

	log_init("crash-child");
	if (argc != 2 && argc != 3)
		fatal(EX_USAGE, "FILE [WAY]");
	setrlimit(RLIMIT_CORE, &none);
	size_t way = choose(argc == 3 ? argv[2] : NULL);
	int fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int size = snprintf(line, sizeof line, "%s %d %s\n", name != NULL ? name : "?", (int)getpid(), ways[way].name);
	if (fd < 0 || write(fd, line, (size_t)size) != size)
		fatal(EX_CANTCREAT, "cannot write %s: %s", argv[1], strerror(errno));
	close(fd);
	ways[way].end();
	return EX_SOFTWARE;
}
