/* SPDX-License-Identifier: MIT
 *
 * durability.h - a state that outlives its owner: starts it from its folder, makes each round
 * durable, and takes snapshots.
 *
 * The order is the promise. A round runs; durability_commit; only when that has returned 0 may anything of
 * the round leave (replies, refusals, notices, events): what a client has heard is on disk. In the level
 * `interval` what has left may be lost with the machine's power, or by a disk that fails at a sync, never
 * with the owner alone, and replies tell. When commit fails the owner ends: nothing of the round leaves, and
 * whether the round is on disk is found out at the next start.
 *
 * No clock, no threads, no logging: times and the disk come in. All of it blocks as long as the disk does.
 */
#ifndef SOLE_OWNER_DURABILITY_H
#define SOLE_OWNER_DURABILITY_H

#include "owner/state/recovery.h"

struct durable;

struct durability_settings {
	const struct disk *disk;
	enum durability level;   /* DURABILITY_SYNC or DURABILITY_INTERVAL */
	int64_t interval_ns;     /* how long a round may wait for its sync */
	uint64_t segment_bytes;
	uint64_t snapshot_after; /* bytes of the journal, after which a snapshot is wanted */
	size_t snapshots_kept;
	uint64_t history;        /* for a state that is new: random, not 0 */
};

/* NULL: no memory. */
struct durable *durability_new(const struct durability_settings *settings);
void durability_destroy(struct durable **durability);

/* Recovers the state into `core`, which is new, brings it to this version of the behaviour, and records that
 * a new incarnation begins: recovery->incarnation and history are what this owner is called from now on.
 * `options` are of recovery: context and progress are used. Anything but RECOVERED: recovery->why says why
 * in one line, and the folder is as it was. */
enum recovery_result durability_start(struct durable *durability, struct core *core, int64_t wall_us,
				      const struct recovery_options *options, struct recovery *recovery);

/* Makes durable what the core has recorded since, if anything: one round. 0, or a negative errno, and
 * durability_problem says what failed. */
int durability_commit(struct durable *durability, int64_t now_ns);
const char *durability_problem(const struct durable *durability);

/* The records that the next commit makes durable; valid until the core is next used. */
const struct buffer *durability_pending(const struct durable *durability);

/* Syncs when the interval is over: 0 or a negative errno. *next_ns: when to call again at the latest;
 * INT64_MAX: not needed. */
int durability_tend(struct durable *durability, int64_t now_ns, int64_t *next_ns);

/* Syncs what is not, now. */
int durability_sync(struct durable *durability);

/* ---- snapshots ---- */

/* Is it time for one? */
bool durability_snapshot_wanted(const struct durable *durability);

/* Syncs what is not, and tells what to write: for a forked child, or for snapshot_save at once. 0 or a
 * negative errno. */
int durability_snapshot_begin(struct durable *durability, int64_t wall_us, struct snapshot_head *head);

/* It is there under its name (or, `error` not 0, it is not, and will be wanted again later): what is older
 * than the snapshots that are kept goes. 0 or a negative errno: that did not work, nothing is lost. */
int durability_snapshot_done(struct durable *durability, const struct snapshot_head *head, int error);

/* The owner ends well: writes what is not synced, and a snapshot unless nothing has happened since the
 * last. */
int durability_finish(struct durable *durability, int64_t wall_us);

/* ---- figures ---- */

struct durability_figures {
	uint64_t rounds, records, bytes, syncs; /* since the start */
	uint64_t journal_bytes;                 /* on disk now */
	uint64_t snapshot_round;                /* of the newest snapshot; 0: none */
	uint64_t round;                         /* the last one */
	uint64_t synced_revision;               /* everything up to it is on disk */
};
struct durability_figures durability_figures(const struct durable *durability);

/* For the thread that makes segments ahead of need. */
struct journal *durability_journal(struct durable *durability);

#endif
