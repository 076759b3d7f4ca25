/* SPDX-License-Identifier: MIT
 *
 * death.c - the end of one child: told to stop, killed, mourned, and cleared away.
 *
 * A child is more than its main process: it is gone when its process group, its
 * session and whatever carries its mark is gone. Until then it is not restarted,
 * so that two generations never run side by side.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/quantity.h"
#include "supervisor/stray.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* SIGKILL is repeated: a process may fork while its group is being killed. */
static const int64_t kill_again_ns = NS_PER_S;
enum { KILLS_TOLD = 5, KILLS_MAX = 10 };

/* Sends `signal`, or 0 for none, to what has left the child's process group but is
 * the child's; returns how many there are. */
static size_t signal_strays(struct child *child, int signal)
{
	static pid_t pids[STRAYS_MAX];
	size_t count = our_processes(pids, STRAYS_MAX), found = 0;

	for (size_t i = 0; i < count; i++) {
		if (getpgid(pids[i]) == child->group || !stray_is_of(pids[i], child->group, child->mark))
			continue;
		found++;
		if (signal != 0)
			kill(pids[i], signal);
	}
	return found;
}

void child_signal(struct child *child, int signal)
{
	/* Between fork and setsid there is no such group yet. */
	if (kill(-child->group, signal) != 0 && child->pid > 0)
		kill(child->pid, signal);
	/* One that is stopped would not see it. */
	kill(-child->group, SIGCONT);
}

void child_kill(struct supervisor *s, struct child *child)
{
	child_signal(child, SIGKILL);
	signal_strays(child, SIGKILL);
	child->limit_ns = s->now_ns + kill_again_ns;
	if (++child->kills == KILLS_TOLD)
		log_warn("%s: pid %d does not go away after SIGKILL: it hangs inside the kernel", child->name,
			 (int)child->group);
	if (!s->stopping || child->kills < KILLS_MAX)
		return;
	log_error("%s: pid %d: left behind: it cannot be killed", child->name, (int)child->group);
	s->status = EX_OSERR;
	child->pid = 0;
	child_event(s, child, EVENT_GONE_HOLD);
}

/* The time a child has to stop, from now. */
int64_t child_stop_limit_ns(const struct supervisor *s, const struct child *child)
{
	int64_t limit = child->spec->stop_limit_ns;

	if (s->hurries > 0 && limit > NS_PER_S)
		limit = NS_PER_S;
	return s->hurries > 1 ? s->now_ns : s->now_ns + limit;
}

void child_stop_now(struct supervisor *s, struct child *child)
{
	if (!child_event(s, child, EVENT_TURN))
		return;
	if (child->cause == CAUSE_ITSELF)
		child->cause = CAUSE_ORDER;
	child_signal(child, SIGTERM);
	child->limit_ns = child_stop_limit_ns(s, child);
}

static void word_cause(const struct child *child, int wait_status, char *text, size_t size)
{
	const char *why = child->cause == CAUSE_WATCHDOG    ? " (no watchdog beat)" :
			  child->cause == CAUSE_START_LIMIT ? " (not ready in time)" : "";
	const char *abbreviation = WIFSIGNALED(wait_status) ? sigabbrev_np(WTERMSIG(wait_status)) : NULL;

	if (child->cause == CAUSE_NOT_RUN)
		snprintf(text, size, "could not be run: %s: %s: %s", child->failure.stage,
			 child->spec->words[0], strerror(child->failure.error));
	else if (WIFSIGNALED(wait_status))
		snprintf(text, size, "killed by SIG%s%s%s", abbreviation != NULL ? abbreviation : "RT",
			 WCOREDUMP(wait_status) ? " (core dumped)" : "", why);
	else
		snprintf(text, size, "exited with status %d%s", WEXITSTATUS(wait_status), why);
}

/* One line for each death: name, pid, cause, age, restarts left, what is next. */
static void obituary(struct supervisor *s, struct child *child, int wait_status, bool gives_up)
{
	char cause[160], age[24], next[64], delay[24];
	bool ordered = child->cause == CAUSE_ORDER || child->after == AFTER_HOLD;

	word_cause(child, wait_status, cause, sizeof cause);
	quantity_format_duration(s->now_ns - child->started_ns, age, sizeof age);
	unsigned left = restarts_left(&s->history, (unsigned)s->plan->intensity, s->plan->period_ns,
				      s->now_ns);
	if (gives_up)
		snprintf(next, sizeof next, "giving up");
	else if (child->after == AFTER_RESTART && child->not_before_ns > s->now_ns) {
		quantity_format_duration(child->not_before_ns - s->now_ns, delay, sizeof delay);
		snprintf(next, sizeof next, "restarting it in %s", delay);
	} else
		snprintf(next, sizeof next, "%s", child->after == AFTER_RESTART ? "restarting it" :
			 child->after == AFTER_END ? "it is not restarted" : "stopped as ordered");
	if (ordered && death_is_normal(child->cause, wait_status) && !s->verbose)
		return; /* what was ordered and went well needs no line */
	(ordered ? log_info : log_warn)("%s: pid %d: %s after %s; %u restarts left; %s", child->name,
					(int)child->group, cause, age, left, next);
}

/* The program could not be run, and not because of what it is. */
static bool lacked_resources(const struct child *child)
{
	int error = child->failure.error;

	return child->cause == CAUSE_NOT_RUN &&
	       (error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE);
}

/* Nobody ordered this end: what now? */
static void decide_after_death(struct supervisor *s, struct child *child, int wait_status)
{
	bool restarts = death_restarts((enum restart_kind)child->spec->restart,
				       death_is_normal(child->cause, wait_status));
	bool allowed = true;

	if (lacked_resources(child)) {
		child->after = AFTER_RESTART;
		child->not_before_ns = s->now_ns + child_resource_delay_ns(s, child);
		obituary(s, child, wait_status, false);
		return;
	}
	child->after = restarts ? AFTER_RESTART : AFTER_END;
	if (restarts) {
		child->failures = failures_after(child->failures, s->now_ns - child->started_ns,
						 s->plan->stable_ns);
		int64_t delay = backoff_delay_ns(child->failures, s->plan->backoff_first_ns,
						 s->plan->backoff_most_ns, supervisor_random(s));
		child->not_before_ns = s->now_ns + delay;
		allowed = restart_allowed(&s->history, (unsigned)s->plan->intensity, s->plan->period_ns,
					  s->now_ns);
	}
	obituary(s, child, wait_status, !allowed);
	if (allowed) {
		order_after_death(s, child, restarts);
		return;
	}
	char period[24];
	quantity_format_duration(s->plan->period_ns, period, sizeof period);
	log_error("giving up: more than %lld restarts in %s: stopping the children in reverse order",
		  (long long)s->plan->intensity, period);
	order_stop_all(s, EX_SOFTWARE);
}

void child_died(struct supervisor *s, struct child *child, int wait_status)
{
	if (child->report.fd >= 0)
		child_take_report(child);
	source_close(&child->report);
	if (child->failure.error != 0)
		child->cause = CAUSE_NOT_RUN;
	stream_drain(&child->out);
	stream_drain(&child->err);
	child->pid = 0;
	int64_t limit = child->limit_ns;
	bool told = child_state(child) == CHILD_STOPPING || child_state(child) == CHILD_KILLING;
	child->ended_well = death_is_normal(child->cause, wait_status);
	child_event(s, child, EVENT_DIED);
	bool by_itself = child->after == AFTER_DECIDE;
	if (by_itself)
		decide_after_death(s, child, wait_status);
	else
		obituary(s, child, wait_status, false);
	if (by_itself && child->after == AFTER_END && child->spec->significant && !child->ended_well &&
	    s->status == 0)
		s->status = EXIT_FAILURE;
	if (by_itself && !child->ended_well)
		child->failed_ns = s->now_ns;
	if (told) {
		/* The group has been told already and has what is left of the time. */
		child->clearing_told = true;
		child->limit_ns = limit;
		signal_strays(child, SIGTERM);
	}
	child_check_gone(s, child);
}

void child_check_gone(struct supervisor *s, struct child *child)
{
	if (child->pid != 0 ||
	    (child_state(child) != CHILD_CLEARING && child_state(child) != CHILD_KILLING))
		return;
	bool group = kill(-child->group, 0) == 0 || errno == EPERM;
	if (signal_strays(child, 0) > 0 || group) {
		if (!child->clearing_told) {
			child_signal(child, SIGTERM);
			signal_strays(child, SIGTERM);
			child->limit_ns = child_stop_limit_ns(s, child);
			child->clearing_told = true;
		}
		return;
	}
	child->group = 0;
	stream_drain(&child->out);
	stream_drain(&child->err);
	stream_close(&child->out);
	stream_close(&child->err);
	switch (child->after) {
	case AFTER_RESTART:
		child_event(s, child, EVENT_GONE_RESTART);
		child->limit_ns = child->not_before_ns > s->now_ns ? child->not_before_ns : s->now_ns;
		child->restarts++;
		s->restarts++;
		break;
	case AFTER_END:
		child_event(s, child, EVENT_GONE_END);
		if (child->spec->significant && !s->stopping && significant_over(s->views, s->count)) {
			log_info("the last significant child has ended: stopping");
			order_stop_all(s, s->status);
		}
		break;
	case AFTER_DECIDE:
	case AFTER_HOLD:
		child_event(s, child, EVENT_GONE_HOLD);
		break;
	}
}
