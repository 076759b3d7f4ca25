/* SPDX-License-Identifier: MIT
 *
 * command_run.c - a command as a child process. Between fork and exec there is nothing but
 * system calls: the library's threads are not in the child, and what they locked stays locked.
 */
#include "clients/command_run.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_NOT_FOUND = 127, STATUS_NOT_RUN = 126, STATUS_SIGNAL = 128 };

static sigset_t mask, ignored;
static char **remembered;

void run_remember_signals(void)
{
	static const int changed[] = { SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2 };
	struct sigaction action;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	sigemptyset(&ignored);
	for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
		if (sigaction(changed[i], NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			sigaddset(&ignored, changed[i]);
}

int run_is_ignored(int signal_number)
{
	return sigismember(&ignored, signal_number);
}

/* Copies: getopt(3) and others move the words about. */
void run_remember_arguments(int argc, char **argv)
{
	remembered = calloc((size_t)argc + 1, sizeof *remembered);
	for (int i = 0; remembered != NULL && i < argc; i++)
		remembered[i] = argv[i];
}

pid_t run_again(const char *instead_of, char *const words[], int count)
{
	static char program[PATH_MAX];
	int used = 0, room = count + 2;

	/* By its name, which lists of processes show; where that is gone, by what it is. */
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
	program[length > 0 ? length : 0] = '\0';
	if (access(program, X_OK) != 0)
		snprintf(program, sizeof program, "/proc/self/exe");

	for (char **at = remembered; at != NULL && *at != NULL; at++)
		room++;
	char **argv = calloc((size_t)room, sizeof *argv);
	if (argv == NULL)
		return -1;
	argv[used++] = program;
	for (char **at = remembered; at != NULL && *at != NULL; at++)
		if (at != remembered && strcmp(*at, instead_of) != 0)
			argv[used++] = *at;
	for (int i = 0; i < count; i++)
		argv[used++] = words[i];
	pid_t pid = run_start(argv, SIGTERM, -1);
	free(argv);
	return pid;
}

/* A single write: two lines at once stay two lines. */
static void tell_not_run(const char *name, int error)
{
	char line[256];
	int size = snprintf(line, sizeof line, "sole: cannot run '%.120s': %s\n", name, strerror(error));

	if (write(STDERR_FILENO, line, (size_t)size) < 0)
		return;
}

static _Noreturn void become(char *const argv[], int death_signal, int input, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, death_signal);
	if (getppid() != parent)
		_exit(STATUS_NOT_RUN); /* it died before the line above */
	if (input >= 0)
		dup2(input, STDIN_FILENO);
	if (!sigismember(&ignored, SIGPIPE))
		signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	execvp(argv[0], argv);
	int error = errno;
	tell_not_run(argv[0], error);
	_exit(error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN);
}

pid_t run_start(char *const argv[], int death_signal, int input)
{
	pid_t parent = getpid();

	/* What stands in stdio's buffer is this process's to write. */
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		become(argv, death_signal, input, parent);
	return pid;
}

int run_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? STATUS_SIGNAL + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}
