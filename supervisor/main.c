/* SPDX-License-Identifier: MIT
 *
 * main.c - sole-supervisor: starts the children that FILE lists, keeps them up,
 * stops them in order. The life of the process from its options to its end; what
 * it does meanwhile is in supervise.c.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/options.h"
#include "supervisor/notify_socket.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

static struct supervisor supervisor = {
	.duration_option_ns = -1,
	.go_pipe = { -1, -1 },
	.signals = { .fd = -1 },
	.notices = { .fd = -1 },
	.control = { .lock_fd = -1, .listener = { .fd = -1 } },
	.stop_ns = INT64_MAX,
};
static bool check_only;

static const struct option_spec options[] = {
	{ "check", 'c', OPTION_FLAG, &check_only, 0, 0, NULL,
	 "print the plan, or every mistake in FILE, and exit" },
	{ "duration", 'd', OPTION_DURATION, &supervisor.duration_option_ns, 0, INT64_MAX, "TIME",
	  "stop after TIME, counted from when all are ready; 0: never" },
	{ "verbose", 'v', OPTION_FLAG, &supervisor.verbose, 0, 0, NULL,
	  "tell every step, and show what output = errors hides" },
};

static const struct program program = {
	.name = "sole-supervisor",
	.usage = "[option ...] FILE",
	.about = "Starts the children that FILE lists, keeps them up, stops them in order.",
	.example = "  sole-supervisor --check app.zpl\n  sole-supervisor app.zpl",
	.options = options,
	.option_count = sizeof options / sizeof *options,
};

static struct plan *load_or_exit(const char *file)
{
	static struct mistakes mistakes;
	int status;
	struct plan *plan = plan_load(file, &mistakes, &status);

	if (plan != NULL)
		return plan;
	mistakes_tell(&mistakes, file);
	exit(status);
}

static int print_plan(struct plan *plan)
{
	plan_print(plan, stdout);
	plan_destroy(&plan);
	if (fflush(stdout) != 0)
		fatal(EX_IOERR, "cannot write to standard output: %s", log_cause(errno));
	return EX_OK;
}

/* What children get as standard input, opened once so that it cannot fail later. */
static void open_null(void)
{
	supervisor.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (supervisor.null_fd < 0)
		fatal(EX_OSFILE, "cannot open /dev/null: %s", log_cause(errno));
}

/* Signals arrive in the loop; a full pipe or a stopped terminal does not matter. */
static int open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void open_sources(void)
{
	struct supervisor *s = &supervisor;
	int signals = open_signals(), notices = notify_socket_open(s->notify_path);

	if (notices < 0)
		fatal(EX_CANTCREAT, "cannot bind %s: %s", s->notify_path, log_cause(errno));
	if (signals < 0 || source_open(&s->signals, signals, EPOLLIN, NULL, s) != 0 ||
	    source_open(&s->notices, notices, EPOLLIN, NULL, s) != 0)
		fatal(EX_OSERR, "cannot watch for signals: %s", log_cause(errno));
	if (pipe2(s->go_pipe, O_CLOEXEC) != 0)
		fatal(EX_OSERR, "cannot make a pipe: %s", log_cause(errno));
}

/* Runs at any end of the process, so that a start that fails leaves no file. */
static void release(void)
{
	struct supervisor *s = &supervisor;

	for (size_t i = 0; i < s->count; i++)
		child_free(s->children[i]);
	free(s->children);
	free(s->views);
	for (int end = 0; end < 2; end++)
		if (s->go_pipe[end] >= 0)
			close(s->go_pipe[end]);
	plan_destroy(&s->plan);
	while (s->retired != NULL) {
		struct plan *next = s->retired->next;
		plan_destroy(&s->retired);
		s->retired = next;
	}
	listeners_prune(s); /* there is no plan that names them any more */
	source_close(&s->signals);
	source_close(&s->notices);
	if (s->control.lock_fd >= 0) {
		unlink(s->notify_path);
		control_close(s);
	}
	close(s->null_fd);
	loop_close();
}

static void prepare(const char *file)
{
	struct supervisor *s = &supervisor;
	char error[512];

	s->file = file;
	s->random = (uint32_t)clock_wall_us() ^ (uint32_t)getpid() * 2654435761U;
	s->random |= 1; /* xorshift has no way out of zero */
	open_null();
	atexit(release);
	s->watchdog_ns = notify_watchdog_ns();
	spawn_raise_limit();
	if (loop_open() != 0)
		fatal(EX_OSERR, "cannot make an epoll: %s", log_cause(errno));
	control_open(s);
	open_sources();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		fatal(EX_OSERR, "cannot become the reaper of the children: %s", log_cause(errno));
	if (children_make(s, s->plan) != 0)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	if (listeners_open(s, s->plan, error, sizeof error) != 0)
		fatal(EX_CANTCREAT, "%s", error);
	if (output_open() != 0)
		fatal(EX_OSERR, "cannot open the output: %s", log_cause(errno));
}

int main(int argc, char **argv)
{
	log_init("sole-supervisor");
	int operand = options_parse(&program, argc, argv, 0);
	if (argc - operand != 1)
		fatal(EX_USAGE, "give one FILE; see sole-supervisor --help");
	if (supervisor.verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	supervisor.plan = load_or_exit(argv[operand]);
	if (check_only)
		return print_plan(supervisor.plan);
	prepare(argv[operand]);
	return supervise(&supervisor);
}
