/* SPDX-License-Identifier: MIT
 *
 * durability.c - rounds to the journal, snapshots when it has grown.
 */
#include "owner/state/durability.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS_KEEP_BYTES = 4 << 20 }; /* of memory, from round to round */

struct durable {
	struct durability_settings settings;
	struct core *core;
	struct journal *journal;
	struct buffer records;
	struct durability_figures figures;
	struct journal_fault fault;
	uint64_t history, incarnation;
	uint64_t next_round;
	uint64_t synced_revision;
	bool dirty;              /* something is written and not synced */
	int64_t dirty_ns;        /* since when */
	uint64_t snapshot_bytes; /* of the journal, when the last snapshot was begun or failed */
	uint64_t snapshot_next;  /* round at which the last one ended, and what came then was not worth one */
	bool snapshot_due;       /* whatever the size */
};

struct durable *durability_new(const struct durability_settings *settings)
{
	struct durable *durability = calloc(1, sizeof *durability);

	if (durability != NULL)
		durability->settings = *settings;
	return durability;
}

void durability_destroy(struct durable **durability)
{
	struct durable *d = *durability;

	if (d == NULL)
		return;
	if (d->core != NULL)
		core_record_to(d->core, NULL);
	journal_close(&d->journal);
	buffer_clear(&d->records);
	free(d);
	*durability = NULL;
}

const char *durability_problem(const struct durable *durability)
{
	return durability->fault.text;
}

const struct buffer *durability_pending(const struct durable *durability)
{
	return &durability->records;
}

static int sync_now(struct durable *d)
{
	int error = journal_sync(d->journal, &d->fault);

	if (error != 0)
		return error;
	d->figures.syncs++;
	d->dirty = false;
	d->synced_revision = core_revision(d->core);
	return 0;
}

int durability_commit(struct durable *d, int64_t now_ns)
{
	const struct core_scalars scalars = core_scalars(d->core);
	const struct round round = { .number = d->next_round,
				     .time_us = scalars.now_us,
				     .revision = scalars.revision,
				     .count = core_take_record_count(d->core),
				     .records = d->records.data,
				     .size = d->records.size };

	if (round.count == 0)
		return 0;
	if (d->records.failed) {
		snprintf(d->fault.text, sizeof d->fault.text, "no memory for the records of a round");
		return -ENOMEM;
	}
	int error = journal_append(d->journal, &round, &d->fault);
	if (error != 0)
		return error;
	d->next_round++;
	d->figures.rounds++;
	d->figures.records += round.count;
	d->figures.bytes += round.size;
	if (d->records.capacity > RECORDS_KEEP_BYTES)
		buffer_clear(&d->records);
	buffer_reset(&d->records);
#ifndef PLANT_REPLY_BEFORE_SYNC
	if (d->settings.level == DURABILITY_SYNC)
		return sync_now(d);
#endif
	if (!d->dirty)
		d->dirty_ns = now_ns;
	d->dirty = true;
	return 0;
}

int durability_tend(struct durable *d, int64_t now_ns, int64_t *next_ns)
{
	int error = 0;

	if (d->dirty && now_ns >= d->dirty_ns + d->settings.interval_ns)
		error = sync_now(d);
	*next_ns = d->dirty ? d->dirty_ns + d->settings.interval_ns : INT64_MAX;
	return error;
}

int durability_sync(struct durable *d)
{
	int error = durability_commit(d, 0);

	return error == 0 && d->dirty ? sync_now(d) : error;
}

/* ---- starting ---- */

static enum recovery_result failed(struct recovery *recovery, int error, const char *why)
{
	recovery->error = -error;
	snprintf(recovery->why, sizeof recovery->why, "%s", why[0] != '\0' ? why : strerror(-error));
	return RECOVERY_FAILED;
}

/* The state is there: from now on it is this owner's, and the folder may be changed. */
static enum recovery_result take_over(struct durable *d, int64_t wall_us, bool new, struct recovery *recovery)
{
	const struct sole_behaviour *behaviour = core_behaviour(d->core);
	const char *broken = core_invariant(d->core);

	if (broken != NULL) {
		snprintf(recovery->why, sizeof recovery->why,
			 "the state of revision %llu breaks the invariant of %s: %.300s; look at it with "
			 "--dump, and rehearse a mended behaviour with --replay",
			 (unsigned long long)core_revision(d->core), behaviour->name, broken);
		return RECOVERY_DAMAGED;
	}
#ifdef PLANT_FORGET_SESSIONS
	size_t cursor = 0;
	for (struct session *session; (session = sessions_next(core_sessions(d->core), &cursor)) != NULL;)
		sessions_end(core_sessions(d->core), &session);
#endif
	core_set_clock(d->core, wall_us);
	core_record_to(d->core, &d->records);
	if (!new && recovery->version != behaviour->version) {
		char why[256];
		enum code code = core_migrate(d->core, recovery->version, why, sizeof why);
		if (code == CODE_NO_MEMORY)
			return failed(recovery, -ENOMEM, "");
		if (code != CODE_OK) {
			snprintf(recovery->why, sizeof recovery->why,
				 "version %u of %s does not take over the state of version %u: %s",
				 behaviour->version, behaviour->name, recovery->version, why);
			return RECOVERY_VERSION;
		}
		/* From here on the old version's records need not be run any more. */
		d->snapshot_due = true;
	}
	d->incarnation = recovery->incarnation = recovery->incarnation + 1;
	recovery->version = behaviour->version;
	/* Tokens of a state that is made anew are larger than those of one of the same name that was there
	 * before. */
	core_start(d->core, d->incarnation, new ? wall_us : 0);
	return RECOVERED;
}

enum recovery_result durability_start(struct durable *d, struct core *core, int64_t wall_us,
				      const struct recovery_options *options, struct recovery *recovery)
{
	const struct recovery_options plain = { .context = options->context, .progress = options->progress };
	enum recovery_result result = recovery_run(d->settings.disk, core, &plain, recovery);
	bool empty = result == RECOVERY_EMPTY;

	if (result != RECOVERED && !empty)
		return result;
	d->core = core;
	if (empty) {
		recovery->history = d->settings.history;
		recovery->end = (struct journal_end){ .round = 1 };
	}
	d->history = recovery->history;
	result = take_over(d, wall_us, empty || recovery_never_began(recovery), recovery);
	if (result != RECOVERED)
		return result;
	int error = snapshots_clear(d->settings.disk);
	if (error != 0) {
		snprintf(d->fault.text, sizeof d->fault.text,
			 "an unfinished snapshot cannot be looked for and removed: %s", strerror(-error));
		return failed(recovery, error, d->fault.text);
	}
	const struct journal_settings settings = { .disk = d->settings.disk,
						   .history = d->history,
						   .segment_bytes = d->settings.segment_bytes };
	d->journal = journal_open(&settings, &recovery->end, &d->fault);
	if (d->journal == NULL)
		return failed(recovery, -d->fault.error, d->fault.text);
	d->next_round = recovery->end.round;
	d->figures.snapshot_round = recovery->snapshot_round;
	error = durability_sync(d);
	/* What is replayed at each start counts as not yet in a snapshot. */
	d->snapshot_next = recovery->rounds > 1 ? 0 : d->next_round;
	return error == 0 ? RECOVERED : failed(recovery, error, d->fault.text);
}

/* ---- snapshots ---- */

bool durability_snapshot_wanted(const struct durable *d)
{
	uint64_t grown = journal_appended(d->journal) - d->snapshot_bytes;
	uint64_t state = store_bytes(core_store(d->core)), least = d->settings.snapshot_after;

	/* A large state is not written again for a small change. */
	return d->snapshot_due || grown >= (least > state ? least : state);
}

int durability_snapshot_begin(struct durable *d, int64_t wall_us, struct snapshot_head *head)
{
	/* A snapshot must not know of rounds that the journal could lose. */
	int error = d->dirty ? sync_now(d) : 0;

	*head = (struct snapshot_head){ .history = d->history,
					.incarnation = d->incarnation,
					.round = d->next_round - 1,
					.written_us = wall_us };
	d->snapshot_bytes = journal_appended(d->journal);
	d->snapshot_due = false;
	return error;
}

int durability_snapshot_done(struct durable *d, const struct snapshot_head *head, int error)
{
	uint64_t oldest;

	if (error != 0)
		return 0; /* wanted again when the journal has grown as much again */
	d->figures.snapshot_round = head->round;
	error = snapshots_forget(d->settings.disk, d->settings.snapshots_kept, &oldest);
	if (error == 0 && oldest > 0)
		error = journal_forget(d->journal, oldest + 1);
	return error;
}

int durability_finish(struct durable *d, int64_t wall_us)
{
	struct snapshot_head head;
	int error = durability_sync(d);

	if (error != 0 || d->next_round == d->snapshot_next || d->figures.snapshot_round == d->next_round - 1)
		return error;
	error = durability_snapshot_begin(d, wall_us, &head);
	if (error == 0)
		error = snapshot_save(d->settings.disk, d->core, &head);
	if (error != 0) {
		snprintf(d->fault.text, sizeof d->fault.text,
			 "no snapshot could be written, the journal has everything: %s",
			 error == -EBADMSG ? "the state breaks the behaviour's invariant" : strerror(-error));
		return error;
	}
	error = durability_snapshot_done(d, &head, 0);
	if (error != 0)
		snprintf(d->fault.text, sizeof d->fault.text,
			 "what is not needed any more cannot be removed, all else is done: %s",
			 strerror(-error));
	return error;
}

struct durability_figures durability_figures(const struct durable *d)
{
	struct durability_figures figures = d->figures;

	figures.journal_bytes = journal_bytes(d->journal);
	figures.round = d->next_round - 1;
	figures.synced_revision = d->synced_revision;
	return figures;
}

struct journal *durability_journal(struct durable *d)
{
	return d->journal;
}
