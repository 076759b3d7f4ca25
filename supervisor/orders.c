/* SPDX-License-Identifier: MIT
 *
 * orders.c - what concerns several children: the strategies, stopping in reverse
 * order, starting in order, and the go.
 *
 * Nothing here waits. An order marks the children; order_turns() then moves
 * whoever's turn it is, again and again, so that one slow stop delays only what
 * has to come after it.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"
#include "supervisor/supervisor.h"

#include <signal.h>
#include <unistd.h>

void order_down(struct supervisor *s, struct child *child, enum after after)
{
	child->view->batch = s->batch;
	if (!child_state_runs(child_state(child))) {
		child_event(s, child, after == AFTER_RESTART ? EVENT_RELEASE : EVENT_HOLD);
		return;
	}
	int64_t limit = child->limit_ns;
	child->after = after;
	child_event(s, child, EVENT_STOP);
	/* One that is being stopped already keeps the time it was given. */
	if (child_state(child) != CHILD_LEAVING)
		child->limit_ns = limit;
}

/* A sibling's restart takes `child` along, not before `not_before_ns`. */
static void take_along(struct supervisor *s, struct child *child, int64_t not_before_ns)
{
	bool temporary = child->spec->restart == TEMPORARY;

	if (!child_state_runs(child_state(child))) {
		int64_t limit = child_state(child) == CHILD_DELAYED ? child->limit_ns : not_before_ns;
		if (!temporary && child_event(s, child, EVENT_DELAY))
			child->limit_ns = limit > not_before_ns ? limit : not_before_ns;
		return;
	}
	if (child->after == AFTER_HOLD)
		return; /* ordered down before: that stands */
	child->not_before_ns = not_before_ns;
	order_down(s, child, temporary ? AFTER_HOLD : AFTER_RESTART);
}

void order_after_death(struct supervisor *s, struct child *dead, bool restarts)
{
	enum strategy strategy = (enum strategy)s->plan->strategy;

	if (!restarts || strategy == ONE_FOR_ONE || s->stopping)
		return;
	s->batch++;
	for (size_t i = 0; i < s->count; i++) {
		struct child *other = s->children[i];
		if (other != dead && !other->removed &&
		    death_affects(strategy, dead->view->order, other->view->order))
			take_along(s, other, dead->not_before_ns);
	}
}

void order_stop_all(struct supervisor *s, int status)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->status = status;
	s->batch++;
	notify("STOPPING=1\nSTATUS=stopping the children");
	for (size_t i = 0; i < s->count; i++)
		order_down(s, s->children[i], AFTER_HOLD);
}

void order_hurry(struct supervisor *s, unsigned level)
{
	int64_t limit = s->now_ns + (level > 1 ? 0 : NS_PER_S);

	s->hurries = level;
	log_warn(level > 1 ? "told to stop once more: killing what is left"
			   : "told to stop again: children have one second each");
	for (size_t i = 0; i < s->count; i++) {
		struct child *child = s->children[i];
		enum child_state state = child_state(child);
		if ((state == CHILD_STOPPING || state == CHILD_CLEARING) && child->limit_ns > limit)
			child->limit_ns = limit;
	}
}

int64_t order_stop_time(const struct supervisor *s, int64_t go_ns)
{
	int64_t duration = s->duration_option_ns >= 0 ? s->duration_option_ns : s->plan->duration_ns;
	int64_t at;

	return duration == 0 || __builtin_add_overflow(go_ns, duration, &at) ? INT64_MAX : at;
}

/* All are ready: the clients' standard input ends, and the time runs. */
static void give_go(struct supervisor *s)
{
	s->went = true;
	for (int end = 0; end < 2; end++) {
		if (s->go_pipe[end] >= 0)
			close(s->go_pipe[end]);
		s->go_pipe[end] = -1;
	}
	s->go_ns = clock_monotonic_ns();
	s->stop_ns = order_stop_time(s, s->go_ns);
	notify("READY=1\nSTATUS=all %zu children are ready", s->count);
	log_info("all %zu children are ready", s->count);
}

static void turns_to_start(struct supervisor *s)
{
	unsigned frontier = start_frontier(s->views, s->count);

	for (size_t i = 0; i < s->count; i++)
		if (s->views[i].state == CHILD_WAITING && s->views[i].order <= frontier)
			child_start(s, s->children[i]);
	if (!s->went && frontier == ORDER_REMOVED)
		give_go(s);
}

static void turns_to_stop(struct supervisor *s)
{
	unsigned batch = 0, frontier = 0;

	for (size_t i = s->count; i-- > 0;) {
		const struct child_view *view = &s->views[i];
		if (view->state != CHILD_LEAVING)
			continue;
		if (view->batch != batch) {
			batch = view->batch;
			frontier = stop_frontier(s->views, s->count, batch);
		}
		if (view->order >= frontier || s->hurries > 1)
			child_stop_now(s, s->children[i]);
	}
}

void order_turns(struct supervisor *s)
{
	turns_to_stop(s);
	if (!s->stopping)
		turns_to_start(s);
}
