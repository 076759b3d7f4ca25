/* SPDX-License-Identifier: MIT
 *
 * decide.h - what the supervisor decides, as pure functions: the states of a
 * child, when to restart and after which delay, when to give up, whom a death
 * affects, who may start now and who may be stopped now.
 *
 * Nothing here knows a clock, a process, a file or chance: time, wait status and
 * random bits come in as arguments. The rules are those of OTP's supervisor
 * where OTP has a rule; back-off and Unix's wait status are ours.
 */
#ifndef SOLE_SUPERVISOR_DECIDE_H
#define SOLE_SUPERVISOR_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum strategy { ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE };
enum restart_kind { PERMANENT, TRANSIENT, TEMPORARY };

/*
 *            START            READY
 *  WAITING ─────────▶ STARTING ─────▶ READY          a process runs
 *   ▲   ▲                │ │           │ │
 *   │   │RELEASE    STOP │ │DIED  STOP │ │ DIED (by itself)
 *   │   │                ▼ │           ▼ │
 *   │  HELD           LEAVING ─────────┐ │           to be stopped, in its turn
 *   │  ENDED             │ TURN   DIED │ │
 *   │   ▲                ▼             ▼ ▼
 *   │   │GONE_…       STOPPING ─DIED─▶ CLEARING      the main process is gone, its
 *   │   │                │ LIMIT         │  │ LIMIT   group is not yet
 *   │   │                ▼               │  │
 *   │   ├──────────── KILLING ◀──────────┼──┘
 *   │   └────────────────────────────────┤
 *  DELAYED ◀────────GONE_RESTART─────────┘
 *
 * LIMIT in STARTING, and OVERDUE (no watchdog beat) in READY, lead to STOPPING.
 */
enum child_state {
	CHILD_WAITING,  /* not running; starts when its turn comes */
	CHILD_DELAYED,  /* not running; waits out its back-off */
	CHILD_STARTING, /* runs, has not said that it is ready */
	CHILD_READY,    /* runs */
	CHILD_LEAVING,  /* runs, and is to stop when its turn comes */
	CHILD_STOPPING, /* has been told to stop */
	CHILD_CLEARING, /* its main process is gone; the rest of it has been told to stop */
	CHILD_KILLING,  /* has been killed, and is not gone yet */
	CHILD_ENDED,    /* not running: ended, and is not restarted */
	CHILD_HELD,     /* not running: stopped by an order */
	CHILD_STATES
};

enum child_event {
	EVENT_START,        /* its process was made */
	EVENT_READY,        /* it says that it is ready */
	EVENT_STOP,         /* an order to stop a running child */
	EVENT_TURN,         /* those that stop before it are gone */
	EVENT_LIMIT,        /* the time limit of its state has passed */
	EVENT_OVERDUE,      /* its watchdog beat is missing */
	EVENT_DIED,         /* its main process has ended */
	EVENT_GONE_RESTART, /* nothing of it is left, and it comes back */
	EVENT_GONE_END,     /* nothing of it is left, and it has ended for good */
	EVENT_GONE_HOLD,    /* nothing of it is left, as ordered */
	EVENT_HOLD,         /* an order to keep down a child that does not run */
	EVENT_RELEASE,      /* an order to start a child that does not run */
	EVENT_DELAY,        /* a child that does not run is to start after a delay */
	CHILD_EVENTS
};

/* The state after `event`, or CHILD_STATES when the event means nothing in `from`. */
enum child_state child_move(enum child_state from, enum child_event event);

/* One word for people; never NULL. */
const char *child_state_name(enum child_state state);

/* True while there is a process, or a group, of the child. */
bool child_state_runs(enum child_state state);

/* Why a main process ended: by itself, or by what the supervisor did to it. */
enum death_cause { CAUSE_ITSELF, CAUSE_ORDER, CAUSE_START_LIMIT, CAUSE_WATCHDOG, CAUSE_NOT_RUN };

/* Normal is: by itself (or in time by order), with exit status 0.
 * `wait_status` as from waitpid(2). */
bool death_is_normal(enum death_cause cause, int wait_status);

/* Whether a child that ended without an order comes back: permanent always,
 * transient after an abnormal end, temporary never. */
bool death_restarts(enum restart_kind kind, bool normal);

/* Whether the restart of a child of order `dead` stops and starts one of order
 * `other` too. Instances of one child have one order. */
bool death_affects(enum strategy strategy, unsigned dead, unsigned other);

/* The times of the last restarts, for the intensity. Zeroed to begin with. */
enum { INTENSITY_MAX = 1000 };
struct restart_history {
	int64_t at_ns[INTENSITY_MAX + 1];
	unsigned next, count;
};

/* Records a restart at `now_ns` and says whether it may be done: false when more
 * than `intensity` restarts, this one included, lie within `period_ns`. A restart
 * exactly `period_ns` ago is within it, as in OTP. `intensity` <= INTENSITY_MAX. */
bool restart_allowed(struct restart_history *history, unsigned intensity, int64_t period_ns, int64_t now_ns);

/* How many more restarts are allowed at `now_ns`. */
unsigned restarts_left(const struct restart_history *history, unsigned intensity, int64_t period_ns,
		       int64_t now_ns);

/* Failures in a row, after one more end of a child that lived `lived_ns`: begins
 * anew when that was `stable_ns` or more. The result is at least 1. */
unsigned failures_after(unsigned failures, int64_t lived_ns, int64_t stable_ns);

/* The delay before restart number `failures` (from 1) in a row: `first_ns`
 * doubled each time up to `most_ns`, of which `random_bits` take off up to a
 * half, so that many that died together do not come back together. */
int64_t backoff_delay_ns(unsigned failures, int64_t first_ns, int64_t most_ns, uint32_t random_bits);

/* What the order of start and stop depends on. */
enum { ORDER_REMOVED = 1 << 30 };
struct child_view {
	enum child_state state;
	unsigned order;   /* position in the file, or ORDER_REMOVED */
	unsigned batch;   /* which order to stop it belongs to */
	bool significant;
};

/* The first order that has a child which is neither ready nor down for good:
 * children up to it may start. ORDER_REMOVED when all children are settled. */
unsigned start_frontier(const struct child_view *views, size_t count);

/* The highest order of which something of `batch` still runs: its children may
 * be told to stop. 0 when nothing of the batch runs. */
unsigned stop_frontier(const struct child_view *views, size_t count, unsigned batch);

/* True when nothing runs any more. */
bool all_gone(const struct child_view *views, size_t count);

/* To ask when a significant child has ended by itself: true when no significant
 * child is left that runs or will. */
bool significant_over(const struct child_view *views, size_t count);

#endif
