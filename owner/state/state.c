/* SPDX-License-Identifier: MIT
 *
 * state.c - lock, recover, commit, snapshot, finish.
 */
#include "owner/state/state.h"
#include "owner/state/snapshot_child.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	TELL_AFTER_MS = 1000,    /* of a start that takes long; and so often again */
	SLOW_SYNC_MS = 250,      /* is worth a line in the log ... */
	SLOW_SYNC_EVERY_S = 10,  /* ... now and then */
	SPARE_AGAIN_S = 5,       /* when making a segment has failed */
	FORGET_AGAIN_S = 60,
};

struct state {
	struct folder folder;
	struct durable *durable;
	struct core *core;
	struct counters *counters;
	const struct config *config;
	int wake;
	int64_t slow_ns;

	struct snapshot_child child;
	struct snapshot_head head; /* of what the child writes */
	int64_t snapshot_started_ns;

	/* The thread that makes segments; everything else is the owner's thread. */
	pthread_t maker;
	bool maker_runs;
	sem_t maker_wanted;
	atomic_bool maker_stops, maker_busy;
	atomic_int maker_error;
	int64_t maker_again_ns;
};

/* ---- starting ---- */

struct starting {
	bool (*stop)(void *context);
	void *context;
	int64_t tell_ns, look_ns;
};

static void progress(void *context, const char *what, uint64_t done, uint64_t all)
{
	struct starting *starting = context;
	int64_t now_ns = clock_monotonic_ns();

	if (now_ns < starting->look_ns)
		return;
	starting->look_ns = now_ns + TELL_AFTER_MS / 10 * NS_PER_MS;
	if (starting->stop(starting->context))
		fatal(EX_OK, "told to stop while the state was being read: nothing was changed");
	if (now_ns < starting->tell_ns)
		return;
	starting->tell_ns = now_ns + TELL_AFTER_MS * NS_PER_MS;
	unsigned percent = all > 0 ? (unsigned)(done * 100 / all) : 100;
	/* A start that goes on is not one that hangs. */
	notify("EXTEND_TIMEOUT_USEC=%d\nSTATUS=reading the state: %u %% of %" PRIu64 " %s",
	       10 * TELL_AFTER_MS * 1000, percent, all, what);
	log_info("reading the state: %u %% of %" PRIu64 " %s", percent, all, what);
}

static int exit_status(enum recovery_result result)
{
	return result == RECOVERY_FAILED ? EX_IOERR : result == RECOVERY_VERSION ? EX_CONFIG : EX_DATAERR;
}

static const char *advice(enum recovery_result result)
{
	switch (result) {
	case RECOVERY_DAMAGED:
		return "; nothing was changed: sole-owner --verify tells all that is wrong, --repair what "
		       "can be saved";
	case RECOVERY_DIVERGED:
		return "; the behaviour is not the one that wrote it, or does not depend on its inputs "
		       "alone: --log shows what was asked for, sole-check tries it";
	case RECOVERY_EMPTY:
	case RECOVERY_VERSION:
	case RECOVERY_FAILED:
	case RECOVERED:
		break;
	}
	return "";
}

/* Nothing expires, and no job is due, while the state's clock waits for the machine's. */
static void look_at_clock(const struct state *state)
{
	enum { TOLD_FROM_S = 60 };
	int64_t ahead_s = (core_scalars(state->core).now_us - clock_wall_us()) / 1000000;

	if (ahead_s >= TOLD_FROM_S)
		log_warn("%s: the clock of this machine is %" PRId64
			 " s behind the time that the state has seen: until it has caught up the state's "
			 "time stands still, and nothing in it expires; set the clock right",
			 state->config->state, ahead_s);
}

static void recover(struct state *state, bool (*stop)(void *), void *context, struct recovery *recovery)
{
	int64_t began_ns = clock_monotonic_ns();
	struct starting starting = { .stop = stop, .context = context,
				     .tell_ns = began_ns + TELL_AFTER_MS * NS_PER_MS };
	const struct recovery_options options = { .context = &starting, .progress = progress };
	enum recovery_result result =
		durability_start(state->durable, state->core, clock_wall_us(), &options, recovery);

	if (result != RECOVERED)
		fatal(exit_status(result), "the state in %s cannot be taken up: %s%s", state->config->state,
		      recovery->why, advice(result));
	/* What recovery did is no work of this incarnation. */
	memset(state->counters, 0, sizeof *state->counters);
	if (recovery->end.torn > 0)
		log_warn("%s: cut off %" PRIu64 " bytes at byte %" PRIu64 " of %s: round %" PRIu64
			 " was being written when the owner or the machine died, and was not answered",
			 state->config->state, recovery->end.torn, recovery->end.offset, recovery->end.name,
			 recovery->end.round);
	if (recovery->snapshot_round == 0 && recovery->rounds == 0)
		log_info("%s: nothing was there: a new state, history %016" PRIx64, state->config->state,
			 recovery->history);
	else
		log_info("%s: history %016" PRIx64 ", incarnation %" PRIu64 ", revision %" PRIu64
			 " (snapshot of revision %" PRIu64 " and %" PRIu64 " rounds) in %.3f s",
			 state->config->state, recovery->history, recovery->incarnation,
			 core_revision(state->core), recovery->snapshot_revision, recovery->rounds,
			 (double)(clock_monotonic_ns() - began_ns) / (double)NS_PER_S);
	look_at_clock(state);
}

/* ---- segments to come ---- */

static void *make_segments(void *argument)
{
	struct state *state = argument;

	for (;;) {
		while (sem_wait(&state->maker_wanted) != 0)
			;
		if (atomic_load(&state->maker_stops))
			return NULL;
		atomic_store(&state->maker_error, journal_make_spare(durability_journal(state->durable)));
		atomic_store(&state->maker_busy, false);
	}
}

static void maker_start(struct state *state)
{
	sem_init(&state->maker_wanted, 0, 0);
	int error = pthread_create(&state->maker, NULL, make_segments, state);

	state->maker_runs = error == 0;
	if (error != 0)
		log_warn("no thread to make segments of the journal ahead of need (%s): rounds will wait for "
			 "it now and then", strerror(error));
}

static void maker_stop(struct state *state)
{
	if (!state->maker_runs)
		return;
	atomic_store(&state->maker_stops, true);
	sem_post(&state->maker_wanted);
	pthread_join(state->maker, NULL);
	sem_destroy(&state->maker_wanted);
}

static void want_segment(struct state *state, int64_t now_ns)
{
	if (!state->maker_runs || atomic_load(&state->maker_busy))
		return;
	int error = atomic_exchange(&state->maker_error, 0);
	if (error != 0) {
		log_warn("%s: no segment of the journal could be made ahead of need: %s: the owner has to "
			 "end when the one in use is full", state->config->state, strerror(-error));
		state->maker_again_ns = now_ns + SPARE_AGAIN_S * NS_PER_S;
	}
	if (now_ns < state->maker_again_ns || !journal_spare_wanted(durability_journal(state->durable)))
		return;
	atomic_store(&state->maker_busy, true);
	sem_post(&state->maker_wanted);
}

/* ---- opening ---- */

struct state *state_open(const struct config *config, struct core *core, struct counters *counters, int wake,
			 bool (*stop)(void *context), void *context, struct recovery *recovery)
{
	struct state *state = calloc(1, sizeof *state);
	char error[FOLDER_ERROR_MAX];
	uint64_t history;

	if (state == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	*state = (struct state){ .core = core, .counters = counters, .config = config, .wake = wake };
	int status = folder_open(&state->folder, config->state, FOLDER_LOCK | FOLDER_WRITE | FOLDER_MAKE,
				 error);
	if (status != 0)
		fatal(status, "%s", error);
	if (getrandom(&history, sizeof history, 0) != (ssize_t)sizeof history)
		fatal(EX_OSERR, "the system gives no random numbers: %s", log_cause(errno));
	const struct durability_settings settings = {
		.disk = &state->folder.disk,
		.level = config->durability,
		.interval_ns = config->sync_interval_ns,
		.segment_bytes = (uint64_t)config->segment_bytes,
		.snapshot_after = (uint64_t)config->snapshot_after,
		.snapshots_kept = (size_t)config->snapshots_kept,
		.history = history | 1,
	};
	state->durable = durability_new(&settings);
	if (state->durable == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	recover(state, stop, context, recovery);
	maker_start(state);
	return state;
}

/* ---- serving ---- */

static void note_sync(struct state *state, int64_t took_ns, int64_t now_ns)
{
	if ((uint64_t)took_ns > state->counters->commit_longest)
		state->counters->commit_longest = (uint64_t)took_ns;
	if (took_ns < SLOW_SYNC_MS * NS_PER_MS)
		return;
	state->counters->commits_slow++;
	if (now_ns < state->slow_ns)
		return;
	state->slow_ns = now_ns + SLOW_SYNC_EVERY_S * NS_PER_S;
	log_warn("%s: the disk took %.3f s to sync a round; everybody waits for that", state->config->state,
		 (double)took_ns / (double)NS_PER_S);
}

static bool failed(const struct state *state, int error)
{
	const char *problem = durability_problem(state->durable);

	log_error("%s: %s: ending, since what was not written must not be answered; what was answered is "
		  "safe", state->config->state, problem[0] != '\0' ? problem : strerror(-error));
	return false;
}

static void note_figures(struct state *state)
{
	const struct durability_figures figures = durability_figures(state->durable);

	state->counters->commits = figures.rounds;
	state->counters->records = figures.records;
	state->counters->record_bytes = figures.bytes;
	state->counters->syncs = figures.syncs;
}

bool state_commit(struct state *state, int64_t now_ns)
{
	uint64_t commits = state->counters->commits;
	int error = durability_commit(state->durable, now_ns);

	if (error != 0)
		return failed(state, error);
	note_figures(state);
	if (state->counters->commits == commits)
		return true;
	int64_t done_ns = clock_monotonic_ns();
	note_sync(state, done_ns - now_ns, done_ns);
	want_segment(state, done_ns);
	return true;
}

static void snapshot_start(struct state *state, int64_t now_ns)
{
	char name[SNAPSHOT_NAME_BYTES], temporary[SNAPSHOT_NAME_BYTES + 4];

	snapshot_name(name, state->head.round);
	snprintf(temporary, sizeof temporary, "%s.tmp", name);
	int folder = state->folder.descriptor, error = 0;
	int file = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	const struct snapshot_job job = { .core = state->core, .head = &state->head, .file = file,
					  .sync = true,
					  .folder = folder, .from = temporary, .to = name };
	if (file < 0)
		error = errno;
	else
		error = snapshot_child_start(&state->child, &job);
	if (file >= 0)
		close(file);
	if (error != 0) {
		unlinkat(folder, temporary, 0);
		state->counters->snapshots_failed++;
		log_warn("%s: no snapshot can be begun: %s; the journal grows until one can",
			 state->config->state, strerror(error));
		return;
	}
	struct epoll_event event = { .events = EPOLLIN, .data.fd = state->child.pidfd };
	epoll_ctl(state->wake, EPOLL_CTL_ADD, state->child.pidfd, &event);
	state->snapshot_started_ns = now_ns;
	int64_t pause_ns = clock_monotonic_ns() - now_ns;
	if ((uint64_t)pause_ns > state->counters->snapshot_pause)
		state->counters->snapshot_pause = (uint64_t)pause_ns;
}

static void remove_temporary(const struct state *state)
{
	char temporary[SNAPSHOT_NAME_BYTES + 4];

	snapshot_name(temporary, state->head.round);
	strcat(temporary, ".tmp");
	unlinkat(state->folder.descriptor, temporary, 0);
}

static void snapshot_end(struct state *state, int error, int64_t now_ns)
{
	if (error == 0) {
		state->counters->snapshots++;
		log_info("%s: snapshot of round %" PRIu64 " written in %.3f s", state->config->state,
			 state->head.round, (double)(now_ns - state->snapshot_started_ns) / (double)NS_PER_S);
	} else {
		remove_temporary(state);
		state->counters->snapshots_failed++;
		log_warn("%s: the snapshot failed: %s; the journal grows until one succeeds",
			 state->config->state,
			 error == EBADMSG ? "the state breaks the behaviour's invariant" : strerror(error));
	}
	error = durability_snapshot_done(state->durable, &state->head, error);
	if (error != 0)
		log_warn("%s: what is not needed any more cannot be removed: %s", state->config->state,
			 strerror(-error));
}

bool state_tend(struct state *state, int64_t now_ns, int64_t *next_ns)
{
	int child_error, error = durability_tend(state->durable, now_ns, next_ns);

	if (error != 0)
		return failed(state, error);
	note_figures(state);
	if (state->child.pid != 0) {
		if (snapshot_child_ended(&state->child, &child_error))
			snapshot_end(state, child_error, now_ns);
	} else if (durability_snapshot_wanted(state->durable)) {
		error = durability_snapshot_begin(state->durable, clock_wall_us(), &state->head);
		if (error != 0)
			return failed(state, error);
		snapshot_start(state, now_ns);
	}
	want_segment(state, now_ns);
	return true;
}

struct durability_figures state_figures(const struct state *state)
{
	return durability_figures(state->durable);
}

const struct folder *state_folder(const struct state *state)
{
	return &state->folder;
}

bool state_close(struct state **state, bool in_haste)
{
	struct state *s = *state;

	if (s->child.pid != 0) {
		snapshot_child_kill(&s->child);
		remove_temporary(s);
	}
	maker_stop(s);
	int error = in_haste ? durability_sync(s->durable) : durability_finish(s->durable, clock_wall_us());
	if (error != 0)
		log_error("%s: %s", s->config->state, durability_problem(s->durable));
	durability_destroy(&s->durable);
	folder_close(&s->folder);
	free(s);
	*state = NULL;
	return error == 0;
}
