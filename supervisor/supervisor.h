/* SPDX-License-Identifier: MIT
 *
 * supervisor.h - the supervisor's state, shared by the files that act on it:
 *
 *   supervise.c  the loop, in which everything happens in one order
 *   child.c      one child while it lives: what it says, its time limits
 *   start.c      its start
 *   death.c      its end
 *   orders.c     many children: strategies, stopping, giving up, commands
 *   reload.c     SIGHUP: from one plan to another
 *   control.c    the control socket
 *   live.c       the terminal's live line
 *
 * One thread owns all of it. What is decided stands in decide.h.
 */
#ifndef SOLE_SUPERVISOR_SUPERVISOR_H
#define SOLE_SUPERVISOR_SUPERVISOR_H

#include "common/rundir.h"
#include "supervisor/control.h"
#include "supervisor/decide.h"
#include "supervisor/loop.h"
#include "supervisor/output.h"
#include "supervisor/plan.h"
#include "supervisor/spawn.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_NAME_MAX = 72, STATUS_BYTES = 160, MARK_BYTES = 480 };

/* What becomes of a child when nothing of it is left. */
enum after {
	AFTER_DECIDE,  /* nobody ordered anything: its restart kind decides */
	AFTER_RESTART,
	AFTER_END,
	AFTER_HOLD,
};

struct child {
	const struct child_spec *spec; /* the current plan's */
	int64_t instance;              /* from 1 */
	char name[PROCESS_NAME_MAX];
	char mark[MARK_BYTES];         /* SOLE_CHILD of its last start */
	struct child_view *view;       /* its state, in the supervisor's array */
	bool removed;                  /* no longer in the plan; freed when it is gone */

	pid_t pid;                     /* the main process, or 0 when there is none */
	pid_t group;                   /* its process group and session, until all of it is gone */
	int64_t started_ns, changed_ns; /* changed: when it came into its state */
	int64_t limit_ns;              /* when the time limit of its state passes, or INT64_MAX */
	int64_t beat_limit_ns;         /* when a watchdog beat is overdue, or INT64_MAX */
	int64_t not_before_ns;         /* when its back-off is over */
	int64_t failed_ns;             /* when it last ended abnormally, by itself */
	bool came_up, ended_well;      /* of its last start: was ready; ended normally */
	bool clearing_told;            /* what its main process left has had its SIGTERM */
	unsigned kills;

	enum after after;
	enum death_cause cause;
	struct spawn_failure failure;  /* CAUSE_NOT_RUN: why */
	unsigned failures;             /* in a row, for the back-off */
	unsigned resource_failures;    /* in a row: fork, pipe and the like */
	unsigned restarts;             /* in all */

	struct source report;          /* tells whether the program could be run */
	struct stream out, err;
	char status[STATUS_BYTES];     /* STATUS= */
	int64_t operations, operations_ns; /* the last X_SOLE_OPS= and when */
	double rate;                   /* operations a second between the last two */
};

/* A socket made for `listen`, kept over reloads and restarts. */
struct listener {
	char target[RUNDIR_PATH_MAX];
	mode_t mode;
	char path[RUNDIR_PATH_MAX];
	int fd;
};

struct supervisor {
	const char *file;
	bool verbose;
	int64_t duration_option_ns;    /* -1: not given */
	struct plan *plan, *retired;   /* retired: still looked at by removed children */
	struct child **children;       /* in the order of the plan; removed ones at the end */
	struct child_view *views;      /* of the same child at the same place */
	size_t count;
	struct listener *listeners;
	size_t listener_count;

	char notify_path[RUNDIR_PATH_MAX];
	struct source signals, notices;
	struct control control;
	int go_pipe[2];                /* shared by all children with `go`; -1 after the go */
	int null_fd;                   /* /dev/null, kept open so that it cannot fail later */

	int64_t now_ns;                /* the time of this turn of the loop */
	bool went;                     /* the go has been given */
	int64_t go_ns, stop_ns;        /* stop_ns: when `duration` is over, or INT64_MAX */
	bool stopping;
	unsigned hurries;              /* signals to stop, after the first */
	int status;                    /* exit status */
	bool child_ended, reload_asked; /* signals that arrived in this turn */
	unsigned stops_asked;          /* SIGTERM and SIGINT, in all */
	unsigned batch;                /* number of the last order to stop */
	struct restart_history history;
	uint64_t restarts, notices_dropped;
	uint32_t random;
	int64_t watchdog_ns, watchdog_at_ns; /* our own, under systemd */
};

/* ---- child.c ---- */

struct child *child_new(const struct child_spec *spec, int64_t instance);
void child_free(struct child *child);
enum child_state child_state(const struct child *child);
/* Moves the child's state and clears its limit; an event that means nothing there
 * is told, changes nothing, and gives false. */
bool child_event(struct supervisor *s, struct child *child, enum child_event event);
/* `limit_ns` from now; INT64_MAX where it is 0, which means none. */
int64_t child_deadline(int64_t now_ns, int64_t limit_ns);
/* Serves child->report: learns whether the program could be run. */
void child_take_report(void *child);
/* What it said about itself; cuts `text` up. */
void child_notice(struct supervisor *s, struct child *child, char *text);
/* Operations a second as last told, 0 when that is long ago. */
double child_rate(const struct child *child, int64_t now_ns);
/* Acts on limits that have passed. */
void child_expire(struct supervisor *s, struct child *child);
/* The earliest limit. */
int64_t child_next_limit_ns(const struct child *child);

/* ---- start.c ---- */

/* Makes its process. A lack of resources is told and tried again later. */
void child_start(struct supervisor *s, struct child *child);
/* The delay before the next attempt after a lack of resources, one more in a row. */
int64_t child_resource_delay_ns(struct supervisor *s, struct child *child);

/* ---- death.c ---- */

/* Sends `signal` to its process group, and to its main process for sure. */
void child_signal(struct child *child, int signal);
/* Kills all of it, strays too; repeated until it is gone. */
void child_kill(struct supervisor *s, struct child *child);
/* When the time is over that a child told to stop now would have. */
int64_t child_stop_limit_ns(const struct supervisor *s, const struct child *child);
/* A child in its turn to stop is told to. */
void child_stop_now(struct supervisor *s, struct child *child);
/* Its main process has ended; it was reaped with `wait_status`. */
void child_died(struct supervisor *s, struct child *child, int wait_status);
/* Looks whether anything of a child without main process is left. */
void child_check_gone(struct supervisor *s, struct child *child);

/* ---- orders.c ---- */

/* Orders a child down, now or in its turn, and says what comes after. */
void order_down(struct supervisor *s, struct child *child, enum after after);
/* A child ended without an order, for good or to be restarted: acts on the others. */
void order_after_death(struct supervisor *s, struct child *child, bool restarts);
/* Stops everything in reverse order; the supervisor ends with `status` then. */
void order_stop_all(struct supervisor *s, int status);
/* Shortens the limits of what still runs: level 1 to a second, 2 to nothing. */
void order_hurry(struct supervisor *s, unsigned level);
/* Starts and stops whoever's turn it is, and gives the go. */
void order_turns(struct supervisor *s);
/* The time this supervisor stops by itself from a go at `go_ns`. */
int64_t order_stop_time(const struct supervisor *s, int64_t go_ns);

/* ---- reload.c ---- */

/* The listening sockets of a plan: opens what is new. Returns 0, or -1 with a
 * sentence in `error`; nothing has changed then. */
int listeners_open(struct supervisor *s, const struct plan *plan, char *error, size_t size);
/* Closes and removes those that the current plan does not name; all, if there is none. */
void listeners_prune(struct supervisor *s);
/* Finds the socket for `target`; NULL if there is none. */
const struct listener *listener_find(const struct supervisor *s, const char *target);
/* Makes the children of the first plan. Returns 0, or -1 when out of memory. */
int children_make(struct supervisor *s, struct plan *plan);
/* Reads the file again. With mistakes in it, nothing changes and they are told. */
void reload(struct supervisor *s);
/* Frees removed children that are gone. */
void children_sweep(struct supervisor *s);

/* ---- live.c ---- */

/* Redraws the live line when it is time, and when something was put in its place.
 * Returns when it is time next. */
int64_t live_update(struct supervisor *s);

/* Tells our own supervisor, at most once a second, what has changed. Returns when there may be more. */
int64_t live_tell(struct supervisor *s);

/* ---- supervise.c ---- */

/* Runs until all is stopped and returns the exit status. */
int supervise(struct supervisor *s);
/* Total of the children's operations a second. */
double supervisor_rate(const struct supervisor *s);
/* 32 random bits, for jitter. */
uint32_t supervisor_random(struct supervisor *s);

#endif
