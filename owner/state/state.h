/* SPDX-License-Identifier: MIT
 *
 * state.h - the folder of a durable state while its owner serves: what durability.h decides is
 * carried out here, with a thread that makes segments ahead of need and children that write snapshots.
 *
 * Logs what an operator should know: recovery, what was cut off, slow syncs, snapshots that failed.
 */
#ifndef SOLE_OWNER_STATE_H
#define SOLE_OWNER_STATE_H

#include "owner/config.h"
#include "owner/state/durability.h"
#include "owner/state/folder.h"

struct state;

/* Locks the folder, recovers the state into `core` (new), and begins an incarnation: `recovery` tells which.
 * `stop` is asked while that takes long: true, and the program ends well, with nothing changed. `wake` is an
 * epoll set, which becomes readable when state_tend has something to do. Ends the program with one line when
 * it cannot be. */
struct state *state_open(const struct config *config, struct core *core, struct counters *counters, int wake,
			 bool (*stop)(void *context), void *context, struct recovery *recovery);

/* What the core has recorded since is on disk (or, of durability interval, will be soon) when it has
 * returned true. False: it is not, that was logged, and the owner must end without telling anybody anything
 * of it. */
bool state_commit(struct state *state, int64_t now_ns);

/* Syncs that are due, snapshots. As above; *next_ns: when to call again at the latest. */
bool state_tend(struct state *state, int64_t now_ns, int64_t *next_ns);

struct durability_figures state_figures(const struct state *state);

/* For backups and for looking things up; stays the state's. */
const struct folder *state_folder(const struct state *state);

/* The owner ends well: everything is written, and a snapshot where there is something new. False: that
 * failed, and was logged (the journal has everything that was answered). `in_haste`: no snapshot. */
bool state_close(struct state **state, bool in_haste);

#endif
