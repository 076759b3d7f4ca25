/* SPDX-License-Identifier: MIT
 *
 * child.c - one child while it lives: its state, what it says about itself, and
 * the time limits it is under.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/quantity.h"
#include "supervisor/notify_socket.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a rate that was told is believed. */
static const int64_t rate_believed_ns = 3 * NS_PER_S;

struct child *child_new(const struct child_spec *spec, int64_t instance)
{
	struct child *child = calloc(1, sizeof *child);

	if (child == NULL)
		return NULL;
	child->spec = spec;
	child->instance = instance;
	child->limit_ns = child->beat_limit_ns = INT64_MAX;
	child->report = child->out.source = child->err.source = SOURCE_CLOSED;
	plan_process_name(spec, instance, child->name, sizeof child->name);
	return child;
}

void child_free(struct child *child)
{
	if (child == NULL)
		return;
	source_close(&child->report);
	stream_close(&child->out);
	stream_close(&child->err);
	free(child);
}

enum child_state child_state(const struct child *child)
{
	return child->view->state;
}

bool child_event(struct supervisor *s, struct child *child, enum child_event event)
{
	enum child_state to = child_move(child->view->state, event);

	if (to == CHILD_STATES) {
		log_debug("%s: event %d means nothing while %s", child->name, (int)event,
			  child_state_name(child->view->state));
		return false;
	}
	if (to != child->view->state)
		child->changed_ns = s->now_ns;
	child->view->state = to;
	child->limit_ns = INT64_MAX;
	return true;
}

int64_t child_deadline(int64_t now_ns, int64_t limit_ns)
{
	int64_t at;

	return limit_ns == 0 || __builtin_add_overflow(now_ns, limit_ns, &at) ? INT64_MAX : at;
}

static void child_ready(struct supervisor *s, struct child *child)
{
	if (child_state(child) != CHILD_STARTING || !child_event(s, child, EVENT_READY))
		return;
	child->came_up = true;
	child->resource_failures = 0;
	child->beat_limit_ns = child_deadline(s->now_ns, child->spec->watchdog_ns);
	log_debug("%s: pid %d: ready", child->name, (int)child->pid);
}

/* Reads whether the program runs: end-of-file says yes. */
void child_take_report(void *owner)
{
	struct child *child = owner;
	struct spawn_failure failure;

	ssize_t got = read(child->report.fd, &failure, sizeof failure);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	source_close(&child->report);
	if (got != sizeof failure)
		return;
	child->failure = failure;
	child->failure.stage[sizeof child->failure.stage - 1] = '\0';
}

static void take_status(struct child *child, const char *value)
{
	size_t used = 0;

	for (; *value != '\0' && used < sizeof child->status - 1; value++)
		child->status[used++] = iscntrl((unsigned char)*value) ? '?' : *value;
	child->status[used] = '\0';
}

static void take_operations(struct child *child, const char *value, int64_t now_ns)
{
	int64_t count;

	if (quantity_integer(value, 0, INT64_MAX, &count) != NULL)
		return;
	int64_t since = child->operations_ns == 0 ? child->started_ns : child->operations_ns;
	int64_t before = child->operations_ns == 0 ? 0 : child->operations;
	if (now_ns > since && count >= before)
		child->rate = (double)(count - before) * 1e9 / (double)(now_ns - since);
	child->operations = count;
	child->operations_ns = now_ns;
}

static void take_watchdog(struct supervisor *s, struct child *child, const char *value)
{
	if (child_state(child) != CHILD_READY || child->spec->watchdog_ns == 0)
		return;
	if (strcmp(value, "1") == 0)
		child->beat_limit_ns = child_deadline(s->now_ns, child->spec->watchdog_ns);
	else if (strcmp(value, "trigger") == 0)
		child->beat_limit_ns = s->now_ns;
}

/* EXTEND_TIMEOUT_USEC=: a start or stop that is known to take longer. */
static void take_extension(struct supervisor *s, struct child *child, const char *value)
{
	int64_t us;

	if (child->limit_ns == INT64_MAX || s->hurries > 0 ||
	    (child_state(child) != CHILD_STARTING && child_state(child) != CHILD_STOPPING) ||
	    quantity_integer(value, 1, 3600 * (NS_PER_S / NS_PER_US), &us) != NULL)
		return;
	int64_t extended = s->now_ns + us * NS_PER_US;
	if (extended > child->limit_ns)
		child->limit_ns = extended;
}

void child_notice(struct supervisor *s, struct child *child, char *text)
{
	char *name, *value;

	while ((name = notice_next(&text, &value)) != NULL) {
		if (strcmp(name, "READY") == 0 && strcmp(value, "1") == 0 &&
		    child->spec->ready == READY_NOTIFY)
			child_ready(s, child);
		else if (strcmp(name, "STATUS") == 0)
			take_status(child, value);
		else if (strcmp(name, "WATCHDOG") == 0)
			take_watchdog(s, child, value);
		else if (strcmp(name, "X_SOLE_OPS") == 0)
			take_operations(child, value, s->now_ns);
		else if (strcmp(name, "EXTEND_TIMEOUT_USEC") == 0)
			take_extension(s, child, value);
		else if (strcmp(name, "STOPPING") == 0)
			child->beat_limit_ns = INT64_MAX; /* who leaves no longer beats */
	}
}

double child_rate(const struct child *child, int64_t now_ns)
{
	bool told = child_state_runs(child_state(child)) && child->operations_ns != 0;

	return told && now_ns - child->operations_ns < rate_believed_ns ? child->rate : 0;
}

void child_expire(struct supervisor *s, struct child *child)
{
	char text[24];

	if (child_state(child) == CHILD_STARTING && child->report.fd < 0 && child->failure.error == 0 &&
	    child->spec->ready == READY_NONE)
		child_ready(s, child);
	if (child_state(child) == CHILD_READY && child->beat_limit_ns <= s->now_ns) {
		quantity_format_duration(child->spec->watchdog_ns, text, sizeof text);
		log_error("%s: pid %d: no watchdog beat for %s: aborting it", child->name, (int)child->pid,
			  text);
		child->cause = CAUSE_WATCHDOG;
		child_event(s, child, EVENT_OVERDUE);
		child_signal(child, SIGABRT);
		child->limit_ns = child_stop_limit_ns(s, child);
	}
	if (child->limit_ns > s->now_ns)
		return;
	enum child_state from = child_state(child);
	quantity_format_duration(s->now_ns - child->changed_ns, text, sizeof text);
	child_event(s, child, EVENT_LIMIT);
	switch (from) {
	case CHILD_STARTING:
		log_error("%s: pid %d: not ready after %s: stopping it", child->name, (int)child->pid, text);
		child->cause = CAUSE_START_LIMIT;
		child_signal(child, SIGTERM);
		child->limit_ns = child_stop_limit_ns(s, child);
		break;
	case CHILD_STOPPING:
		log_warn("%s: pid %d: not gone after %s: killing it", child->name, (int)child->pid, text);
		child_kill(s, child);
		break;
	case CHILD_CLEARING:
		log_warn("%s: what it left behind is not gone after %s: killing it", child->name, text);
		child_kill(s, child);
		break;
	case CHILD_KILLING:
		child_kill(s, child);
		child_check_gone(s, child);
		break;
	default:
		break; /* DELAYED: it waits for its turn now */
	}
}

int64_t child_next_limit_ns(const struct child *child)
{
	bool beats = child_state(child) == CHILD_READY && child->beat_limit_ns < child->limit_ns;

	return beats ? child->beat_limit_ns : child->limit_ns;
}
