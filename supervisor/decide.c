/* SPDX-License-Identifier: MIT
 *
 * decide.c - the supervisor's decisions. See decide.h for the picture.
 *
 * Pure: tests/15-supervisor-decide.c runs all of it without a process.
 */
#include "supervisor/decide.h"

#include <sys/wait.h>

/* A cell holds the next state plus one, so that what is not listed is 0: nothing. */
#define TO(state) ((unsigned char)(CHILD_##state + 1))

static const unsigned char moves[CHILD_STATES][CHILD_EVENTS] = {
	[CHILD_WAITING] = {
		[EVENT_START] = TO(STARTING),
		[EVENT_HOLD] = TO(HELD),
		[EVENT_RELEASE] = TO(WAITING),
		[EVENT_DELAY] = TO(DELAYED),
	},
	[CHILD_DELAYED] = {
		[EVENT_LIMIT] = TO(WAITING),
		[EVENT_HOLD] = TO(HELD),
		[EVENT_RELEASE] = TO(WAITING),
		[EVENT_DELAY] = TO(DELAYED),
	},
	[CHILD_STARTING] = {
		[EVENT_READY] = TO(READY),
		[EVENT_STOP] = TO(LEAVING),
		[EVENT_LIMIT] = TO(STOPPING),
		[EVENT_DIED] = TO(CLEARING),
	},
	[CHILD_READY] = {
		[EVENT_STOP] = TO(LEAVING),
		[EVENT_OVERDUE] = TO(STOPPING),
		[EVENT_DIED] = TO(CLEARING),
	},
	[CHILD_LEAVING] = {
		[EVENT_STOP] = TO(LEAVING),
		[EVENT_TURN] = TO(STOPPING),
		[EVENT_DIED] = TO(CLEARING),
	},
	[CHILD_STOPPING] = {
		[EVENT_STOP] = TO(STOPPING),
		[EVENT_LIMIT] = TO(KILLING),
		[EVENT_DIED] = TO(CLEARING),
	},
	[CHILD_CLEARING] = {
		[EVENT_STOP] = TO(CLEARING),
		[EVENT_LIMIT] = TO(KILLING),
		[EVENT_GONE_RESTART] = TO(DELAYED),
		[EVENT_GONE_END] = TO(ENDED),
		[EVENT_GONE_HOLD] = TO(HELD),
	},
	[CHILD_KILLING] = {
		[EVENT_STOP] = TO(KILLING),
		[EVENT_LIMIT] = TO(KILLING),
		[EVENT_DIED] = TO(KILLING),
		[EVENT_GONE_RESTART] = TO(DELAYED),
		[EVENT_GONE_END] = TO(ENDED),
		[EVENT_GONE_HOLD] = TO(HELD),
	},
	[CHILD_ENDED] = {
		[EVENT_HOLD] = TO(HELD),
		[EVENT_RELEASE] = TO(WAITING),
		[EVENT_DELAY] = TO(DELAYED),
	},
	[CHILD_HELD] = {
		[EVENT_HOLD] = TO(HELD),
		[EVENT_RELEASE] = TO(WAITING),
	},
};

/* What people read in `sole status`. */
static const char *const state_names[CHILD_STATES] = {
	[CHILD_WAITING] = "waiting",   [CHILD_DELAYED] = "delayed",   [CHILD_STARTING] = "starting",
	[CHILD_READY] = "ready",       [CHILD_LEAVING] = "leaving",   [CHILD_STOPPING] = "stopping",
	[CHILD_CLEARING] = "clearing", [CHILD_KILLING] = "killing",   [CHILD_ENDED] = "ended",
	[CHILD_HELD] = "stopped",
};

_Static_assert(sizeof moves == CHILD_STATES * CHILD_EVENTS, "one row a state, one cell an event");
_Static_assert(sizeof state_names / sizeof *state_names == CHILD_STATES, "one name a state");

enum child_state child_move(enum child_state from, enum child_event event)
{
	unsigned char to = moves[from][event];

	return to == 0 ? CHILD_STATES : (enum child_state)(to - 1);
}

const char *child_state_name(enum child_state state)
{
	return state < CHILD_STATES ? state_names[state] : "unknown";
}

bool child_state_runs(enum child_state state)
{
	return state >= CHILD_STARTING && state <= CHILD_KILLING;
}

bool death_is_normal(enum death_cause cause, int wait_status)
{
	return (cause == CAUSE_ITSELF || cause == CAUSE_ORDER) && WIFEXITED(wait_status) &&
	       WEXITSTATUS(wait_status) == 0;
}

bool death_restarts(enum restart_kind kind, bool normal)
{
	return kind == PERMANENT || (kind == TRANSIENT && !normal);
}

bool death_affects(enum strategy strategy, unsigned dead, unsigned other)
{
	switch (strategy) {
	case ONE_FOR_ALL:
		return true;
	case REST_FOR_ONE:
		return other > dead;
	case ONE_FOR_ONE:
		break;
	}
	return false;
}

static unsigned restarts_within(const struct restart_history *history, int64_t period_ns, int64_t now_ns)
{
	unsigned within = 0;

	for (unsigned i = 0; i < history->count; i++)
		if (now_ns - history->at_ns[i] <= period_ns)
			within++;
	return within;
}

bool restart_allowed(struct restart_history *history, unsigned intensity, int64_t period_ns, int64_t now_ns)
{
	/* The ring holds one more than the highest intensity, so what it
	 * overwrites could not have changed the answer. */
	history->at_ns[history->next] = now_ns;
	history->next = (history->next + 1) % (INTENSITY_MAX + 1);
	if (history->count <= INTENSITY_MAX)
		history->count++;
	return restarts_within(history, period_ns, now_ns) <= intensity;
}

unsigned restarts_left(const struct restart_history *history, unsigned intensity, int64_t period_ns,
		       int64_t now_ns)
{
	unsigned within = restarts_within(history, period_ns, now_ns);

	return within >= intensity ? 0 : intensity - within;
}

unsigned failures_after(unsigned failures, int64_t lived_ns, int64_t stable_ns)
{
	if (lived_ns >= stable_ns)
		return 1;
	return failures == UINT32_MAX ? failures : failures + 1;
}

int64_t backoff_delay_ns(unsigned failures, int64_t first_ns, int64_t most_ns, uint32_t random_bits)
{
	int64_t delay = first_ns < most_ns ? first_ns : most_ns;

	for (unsigned n = 1; n < failures && delay < most_ns && delay > 0; n++)
		delay = delay > most_ns / 2 ? most_ns : delay * 2;
	/* __int128: half of a delay of years times 32 bits does not fit into 64. */
	int64_t off = (int64_t)((__int128)(delay / 2) * random_bits >> 32);
	return delay - off;
}

static bool settled(enum child_state state)
{
	return state == CHILD_READY || state == CHILD_ENDED || state == CHILD_HELD;
}

unsigned start_frontier(const struct child_view *views, size_t count)
{
	unsigned frontier = ORDER_REMOVED;

	for (size_t i = 0; i < count; i++)
		if (!settled(views[i].state) && views[i].order < frontier)
			frontier = views[i].order;
	return frontier;
}

unsigned stop_frontier(const struct child_view *views, size_t count, unsigned batch)
{
	unsigned frontier = 0;

	for (size_t i = 0; i < count; i++)
		if (views[i].batch == batch && child_state_runs(views[i].state) &&
		    views[i].order > frontier)
			frontier = views[i].order;
	return frontier;
}

bool all_gone(const struct child_view *views, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (child_state_runs(views[i].state))
			return false;
	return true;
}

bool significant_over(const struct child_view *views, size_t count)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		if (!views[i].significant)
			continue;
		any = true;
		if (views[i].state != CHILD_ENDED && views[i].state != CHILD_HELD)
			return false;
	}
	return any;
}
