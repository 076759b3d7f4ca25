/* SPDX-License-Identifier: MIT
 *
 * command_lock.c - `sole lock NAME -- COMMAND`: holds a lock while COMMAND runs.
 *
 *	wait ──▶ hold: COMMAND runs ──▶ it ended: let go
 *	               └─ lost: SIGTERM to COMMAND, wait for its end
 *
 * The lock is the session's, so it ends with this process whatever ends it; the kernel ends COMMAND
 * with it (PR_SET_PDEATHSIG). Signals arrive as a descriptor beside the handle's: nothing happens
 * between two looks.
 */
#include "clients/command.h"
#include "clients/command_run.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/quantity.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* Handed on to COMMAND, unless they came ignored. */
static const int passed_on[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

struct holder {
	struct sole *handle;
	int signals;         /* signalfd */
	const char *name;    /* of the lock */
	int64_t until_ns;    /* CLOCK_MONOTONIC */
	bool answered;
	int code;            /* of the answer */
	char text[256];
	int64_t token;
	bool held, lost;
	bool stopped;        /* in the shell: ^C came before it was held */
	sigset_t mask;       /* as it was before */
	pid_t pid;           /* of COMMAND; 0: none */
	bool ended;
	int wait_status;
};

/* ---- taking it ---- */

static void on_answer(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct holder *h = context;

	(void)handle;
	h->answered = true;
	h->code = reply->code;
	snprintf(h->text, sizeof h->text, "%s", reply->text);
	if (reply->code != SOLE_OK)
		return;
	const struct sole_list *list = reply->results;
	if (reply->result_count != 1 || list->count != 1 || list->values[0].type != SOLE_INTEGER) {
		h->code = SOLE_PROTOCOL;
		return;
	}
	h->token = list->values[0].integer;
	h->held = true;
}

static void on_session(struct sole *handle, uint64_t session, void *context)
{
	struct holder *h = context;

	(void)handle;
	if (session != 0 || !h->held || h->lost)
		return;
	h->lost = true;
	if (h->pid == 0 || h->ended)
		return;
	log_error("the lock '%.200s' is lost: its owner died, or took this process for dead: "
		  "the command gets SIGTERM", h->name);
	kill(h->pid, SIGTERM);
}

static int open_signals(sigset_t *mask)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
		if (!run_is_ignored(passed_on[i]))
			sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, mask);
	signal(SIGCHLD, SIG_DFL);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		fatal(EX_OSERR, "cannot make a descriptor: %s", log_cause(errno));
	return fd;
}

/* A signal before COMMAND runs ends this process as it would have without the descriptor. */
static _Noreturn void die_of(struct holder *h, int number)
{
	sigset_t set;

	sole_close(&h->handle);
	sigemptyset(&set);
	sigaddset(&set, number);
	signal(number, SIG_DFL);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	_exit(128 + number);
}

/* For the answer: without waiting in line that is the handle's own limit. */
static int64_t time_left(const struct holder *h)
{
	if (settings.try)
		return 0;
	if (h->until_ns == INT64_MAX)
		return SOLE_FOREVER;
	int64_t left_ns = h->until_ns - clock_monotonic_ns();
	return left_ns > 0 ? left_ns : 1;
}

/* One question, and its answer. */
static void ask_for_lock(struct holder *h)
{
	const struct sole_value name = sole_text(h->name);
	const struct sole_operation operation = { settings.try ? SOLE_TABLE_TRY_LOCK : SOLE_TABLE_LOCK, 1,
						  &name };
	struct signalfd_siginfo got;
	uint64_t request = 0;

	h->answered = h->held = h->lost = false;
	h->code = sole_submit(h->handle, &operation, 1, SOLE_TABLE, time_left(h), on_answer, h, &request);
	while (h->code == SOLE_OK && !h->answered) {
		sole_run(h->handle, SOLE_FOREVER, h->signals);
		while (!h->answered && read(h->signals, &got, sizeof got) == (ssize_t)sizeof got)
			if (got.ssi_signo == SIGINT && in_shell())
				h->stopped = sole_cancel(h->handle, request) == SOLE_OK;
			else if (got.ssi_signo != SIGCHLD)
				die_of(h, (int)got.ssi_signo);
	}
	if (!h->answered)
		snprintf(h->text, sizeof h->text, "%s", sole_text_of(h->code));
}

static int not_held(const struct holder *h)
{
	const struct sole_reply reply = { .outcome = sole_outcome_of(h->code),
					  .code = h->code,
					  .text = h->text };
	char limit[32];

	if (h->code == SOLE_CONFLICT) {
		no_line("conflict: the lock '%.200s' is held", h->name);
		return (int)settings.conflict_status;
	}
	if (settings.try || h->stopped || (h->code != SOLE_EXPIRED && h->code != SOLE_CANCELLED))
		return tell_failure(h->handle, &reply);
	quantity_format_duration(settings.timeout_ns, limit, sizeof limit);
	if (!settings.quiet)
		log_error("conflict: the lock '%.200s' was not free within %s", h->name, limit);
	return (int)settings.conflict_status;
}

/* The owner that it waited at is gone, and the line with it, or the lock was lost at once: it
 * stands in the next line. */
static bool stands_again(const struct holder *h)
{
	return h->lost || h->code == SOLE_OWNER_DIED || h->code == SOLE_SESSION_FORGOTTEN ||
	       h->code == SOLE_REPLY_FORGOTTEN;
}

/* STATUS_DONE, or the exit status. */
static int take(struct holder *h)
{
	int status = reach_owner(h->handle);

	if (status != STATUS_DONE)
		return status;
	do
		ask_for_lock(h);
	while (stands_again(h) && clock_monotonic_ns() < h->until_ns);
	return h->held && !h->lost ? STATUS_DONE : not_held(h);
}

/* ---- holding it ---- */

static void start(struct holder *h, char **argv)
{
	char token[24];

	snprintf(token, sizeof token, "%lld", (long long)h->token);
	if (setenv("SOLE_TOKEN", token, 1) != 0)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	h->pid = run_start(argv, SIGKILL, -1);
	if (h->pid < 0)
		fatal(EX_OSERR, "cannot start the command: %s", log_cause(errno));
}

static void take_signals(struct holder *h)
{
	struct signalfd_siginfo got;

	while (read(h->signals, &got, sizeof got) == (ssize_t)sizeof got) {
		if (got.ssi_signo == SIGCHLD)
			h->ended = h->ended || waitpid(h->pid, &h->wait_status, WNOHANG) == h->pid;
		/* A terminal's signals went to COMMAND, too. */
		else if (got.ssi_code != SI_KERNEL && !h->ended)
			kill(h->pid, (int)got.ssi_signo);
	}
}

static int hold(struct holder *h)
{
	/* The shell's own session lives on meanwhile. */
	struct pollfd list[] = { { .fd = sole_descriptor(h->handle), .events = POLLIN },
				 { .fd = h->signals, .events = POLLIN },
				 { .fd = in_shell() ? sole_descriptor(shared_handle()) : -1, .events = POLLIN } };

	while (!h->ended) {
		if (poll(list, 3, -1) < 0 && errno != EINTR)
			fatal(EX_OSERR, "cannot wait: %s", log_cause(errno));
		if (list[0].revents != 0)
			sole_dispatch(h->handle);
		if (list[2].revents != 0)
			sole_dispatch(shared_handle());
		take_signals(h);
	}
	int status = run_status(h->wait_status);
	return h->lost && status == STATUS_DONE ? STATUS_UNKNOWN : status;
}

int command_lock(int count, char **operands)
{
	struct holder h = { .name = operands[0], .until_ns = INT64_MAX };

	if (settings.behind_dashes == 0 || count - settings.behind_dashes != 1)
		usage_error("write the lock's name, --, and the command");
	if (settings.timeout_given && settings.timeout_ns > 0)
		h.until_ns = clock_monotonic_ns() + settings.timeout_ns;
	h.signals = open_signals(&h.mask);
	h.handle = open_own_handle(); /* the lock is one of this command, in the shell, too */
	if (sole_descriptor(h.handle) < 0)
		fatal(EX_OSERR, "no descriptors are left: raise the limit (ulimit -n)");
	sole_on_session(h.handle, on_session, &h);
	int status = take(&h);
	if (status == STATUS_DONE) {
		if (settings.verbose)
			log_info("the lock '%.200s' is held with token %lld", h.name, (long long)h.token);
		start(&h, operands + 1);
		status = hold(&h);
	}
	sole_close(&h.handle);
	close(h.signals);
	sigprocmask(SIG_SETMASK, &h.mask, NULL);
	return status;
}
