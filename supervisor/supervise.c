/* SPDX-License-Identifier: MIT
 *
 * supervise.c - the loop. After main() has called supervise() the process must
 * not end but by an order, a duration, a significant end or giving up: every
 * error from here on is told, and what failed is tried again.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"
#include "supervisor/notify_socket.h"
#include "supervisor/stray.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* More notices than this wait for the next turn, unless a child has ended. */
enum { NOTICES_A_TURN = 1024 };
static const int64_t tell_drops_ns = NS_PER_S, last_words_ns = NS_PER_S, clean_within_ns = 5 * NS_PER_S;

uint32_t supervisor_random(struct supervisor *s)
{
	s->random ^= s->random << 13; /* xorshift: plenty for jitter */
	s->random ^= s->random >> 17;
	s->random ^= s->random << 5;
	return s->random;
}

double supervisor_rate(const struct supervisor *s)
{
	double total = 0;

	for (size_t i = 0; i < s->count; i++)
		total += child_rate(s->children[i], s->now_ns);
	return total;
}

/* ---- what arrives ---- */

static void signals_serve(void *owner)
{
	struct supervisor *s = owner;
	struct signalfd_siginfo signal;

	while (read(s->signals.fd, &signal, sizeof signal) == sizeof signal) {
		switch (signal.ssi_signo) {
		case SIGCHLD:
			s->child_ended = true;
			break;
		case SIGHUP:
			s->reload_asked = true;
			break;
		case SIGTERM:
		case SIGINT:
			s->stops_asked++;
			break;
		}
	}
}

/* The child that a message of `sender` counts for. A process that has ended is
 * still known until it is reaped, which happens after this. */
static struct child *find_sender(struct supervisor *s, pid_t sender)
{
	if (sender <= 0)
		return NULL;
	for (size_t i = 0; i < s->count; i++)
		if (s->children[i]->pid == sender)
			return s->children[i];
	pid_t session = getsid(sender);
	for (size_t i = 0; session > 0 && i < s->count; i++)
		if (s->children[i]->group == session)
			return s->children[i];
	return NULL;
}

static void take_notices(struct supervisor *s, unsigned most)
{
	char text[NOTICE_BYTES + 1];
	pid_t sender;

	while (most-- > 0 && notify_socket_receive(s->notices.fd, text, &sender) > 0) {
		struct child *child = find_sender(s, sender);
		if (child != NULL) {
			child_notice(s, child, text);
		} else {
			s->notices_dropped++;
			log_debug("a notice of pid %d, which is no child's, was dropped", (int)sender);
		}
	}
}

static void notices_serve(void *owner)
{
	take_notices(owner, NOTICES_A_TURN);
}

static void reap(struct supervisor *s)
{
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		size_t i = 0;
		while (i < s->count && s->children[i]->pid != pid)
			i++;
		if (i < s->count)
			child_died(s, s->children[i], status);
		/* else: it was left by a child, and we are its reaper */
	}
	for (size_t i = 0; i < s->count; i++)
		child_check_gone(s, s->children[i]);
}

/* ---- the duties of a turn ---- */

static void obey_signals(struct supervisor *s)
{
	if (s->child_ended) {
		/* Their last words first: READY=1 and then the end is not "never ready". */
		s->child_ended = false;
		take_notices(s, UINT32_MAX);
		reap(s);
	}
	if (s->reload_asked) {
		s->reload_asked = false;
		reload(s);
	}
	if (s->stops_asked > 0 && !s->stopping) {
		log_info("told to stop: stopping the children in reverse order");
		order_stop_all(s, EXIT_SUCCESS);
	}
	if (s->stops_asked > s->hurries + 1)
		order_hurry(s, s->stops_asked - 1);
}

static void keep_time(struct supervisor *s)
{
	for (size_t i = 0; i < s->count; i++)
		child_expire(s, s->children[i]);
	if (s->stop_ns <= s->now_ns && !s->stopping) {
		log_info("the duration is over: stopping the children in reverse order");
		order_stop_all(s, EXIT_SUCCESS);
	}
	if (s->watchdog_ns > 0 && s->watchdog_at_ns <= s->now_ns) {
		s->watchdog_at_ns = s->now_ns + s->watchdog_ns / 2;
		notify("WATCHDOG=1");
	}
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_limit(const struct supervisor *s)
{
	int64_t next = s->stopping ? INT64_MAX : s->stop_ns;

	for (size_t i = 0; i < s->count; i++)
		next = earliest(next, child_next_limit_ns(s->children[i]));
	return s->watchdog_ns > 0 ? earliest(next, s->watchdog_at_ns) : next;
}

/* Whatever is still a child of ours belongs to no child any more. */
static void clean_up(struct supervisor *s)
{
	static pid_t pids[STRAYS_MAX];
	int64_t until = clock_monotonic_ns() + clean_within_ns;
	bool told = false;

	while (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD) {
		size_t count = our_processes(pids, STRAYS_MAX);
		if (count > 0 && !told)
			log_warn("%zu processes that children left behind are killed", count);
		told = told || count > 0;
		for (size_t i = 0; i < count; i++)
			kill(pids[i], SIGKILL);
		if (clock_monotonic_ns() > until) {
			log_error("%zu processes are left behind: they cannot be killed", count);
			return;
		}
		struct pollfd p = { .fd = s->signals.fd, .events = POLLIN };
		poll(&p, 1, 10);
		signals_serve(s);
	}
}

int supervise(struct supervisor *s)
{
	s->signals.serve = signals_serve;
	s->notices.serve = notices_serve;
	s->now_ns = clock_monotonic_ns();
	for (;;) {
		order_turns(s);
		if (s->stopping && all_gone(s->views, s->count))
			break;
		int64_t until = earliest(next_limit(s), earliest(control_update(s), earliest(live_update(s), live_tell(s))));
		if (output_tell_drops())
			until = earliest(until, s->now_ns + tell_drops_ns);
		loop_wait(clock_poll_ms(clock_monotonic_ns(), until), &s->now_ns);
		obey_signals(s);
		keep_time(s);
		children_sweep(s);
	}
	clean_up(s);
	control_update(s); /* those who waited for a stop hear of it */
	output_close(last_words_ns);
	return s->status;
}
