/* SPDX-License-Identifier: MIT
 *
 * recovery.c - snapshot, then journal, then the state is what it was.
 */
#include "owner/state/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_EVERY_ROUNDS = 256, SNAPSHOTS_LOOKED_AT = 1024 };

/* What is being done, while it is. */
struct run {
	const struct disk *disk;
	struct core *core;
	const struct recovery_options *options;
	struct recovery *recovery;
	uint64_t snapshots[SNAPSHOTS_LOOKED_AT]; /* newest first */
	int snapshot_count;
	bool stopped;
};

__attribute__((format(printf, 3, 4))) static enum recovery_result say(struct run *run,
								      enum recovery_result result,
								       const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(run->recovery->why, sizeof run->recovery->why, format, arguments);
	va_end(arguments);
	return result;
}

static enum recovery_result say_error(struct run *run, int error, const char *what)
{
	run->recovery->error = error;
	return say(run, RECOVERY_FAILED, "%s: %s", what, strerror(error));
}

/* ---- snapshots ---- */

static void snapshot_progress(void *context, uint64_t done, uint64_t all)
{
	const struct run *run = context;

	if (run->options->progress != NULL)
		run->options->progress(run->options->context, "entries", done, all);
}

/* Reads the head of a snapshot or, with `core` or `whole`, all of it. */
static enum recovery_result read_snapshot(struct run *run, uint64_t round, struct snapshot_head *head,
					  bool whole, struct core *core)
{
	char name[SNAPSHOT_NAME_BYTES], why[384];
	struct snapshot_file file = { .disk = run->disk };

	snapshot_name(name, round);
	file.file = run->disk->open(run->disk->context, name, DISK_READ);
	if (file.file < 0)
		return say_error(run, -file.file, name);
	const struct snapshot_source source = snapshot_file_source(&file);
	bool sound = whole ? snapshot_read(&source, head, core, snapshot_progress, run, why, sizeof why) :
			     snapshot_read_head(&source, head, why, sizeof why);
	run->disk->close(run->disk->context, file.file);
	if (!sound) {
		run->recovery->error = head->error;
		return say(run, head->error != 0 ? RECOVERY_FAILED : RECOVERY_DAMAGED, "%s: %s", name, why);
	}
	if (head->round != round)
		return say(run, RECOVERY_DAMAGED, "%s: it is of round %" PRIu64
						  ", which its name does not tell", name,
			   head->round);
	return RECOVERED;
}

/* Does the journal still begin where the history does? */
static bool is_whole(const struct run *run)
{
	struct journal_fault fault;
	struct journal_end end;
	struct round round;
	struct journal_reader *reader = journal_reader_new(run->disk, 0, 0, &fault);
	bool whole = reader != NULL && journal_read(reader, &round, &end, &fault) == JOURNAL_ROUND &&
		     round.number == 1;

	journal_reader_destroy(&reader);
	return whole;
}

/* Which snapshot is to be begun with: its place in the list, or -1 for none. */
static enum recovery_result choose_snapshot(struct run *run, int *chosen)
{
	*chosen = run->snapshot_count > 0 ? 0 : -1;
	if (run->options->from_oldest)
		*chosen = is_whole(run) ? -1 : run->snapshot_count - 1;
	if (run->options->at_revision == 0)
		return RECOVERED;
	for (int i = 0; i < run->snapshot_count; i++) {
		struct snapshot_head head;
		enum recovery_result result = read_snapshot(run, run->snapshots[i], &head, false, NULL);
		if (result != RECOVERED)
			return result;
		*chosen = i;
		if (head.revision <= run->options->at_revision)
			return RECOVERED;
	}
	*chosen = -1; /* from the beginning, if that is still there */
	return RECOVERED;
}

static enum recovery_result load_snapshot(struct run *run, uint64_t round)
{
	struct recovery *recovery = run->recovery;
	struct snapshot_head head;
	enum recovery_result result = read_snapshot(run, round, &head, false, NULL);

	if (result != RECOVERED)
		return result;
	const char *behaviour = core_behaviour(run->core)->name;
	if (strcmp(head.behaviour, behaviour) != 0)
		return say(run, RECOVERY_VERSION, "the state is of the behaviour %s, and this one is %s",
			   head.behaviour, behaviour);
	result = read_snapshot(run, round, &head, true, run->core);
	if (result != RECOVERED)
		return result;
	if (store_digest(core_store(run->core)) != head.digest)
		return say(run, RECOVERY_DAMAGED, "snapshot-%016" PRIx64
						  ": the state in it has another digest than it says",
			   round);
	recovery->history = head.history;
	recovery->incarnation = head.incarnation;
	recovery->version = head.version;
	recovery->snapshot_round = head.round;
	recovery->snapshot_revision = head.revision;
	return RECOVERED;
}

/* ---- rounds ---- */

static void note_start(struct recovery *recovery, const struct record *record)
{
	if (record->kind != RECORD_START)
		return;
	recovery->incarnation = record->incarnation;
	recovery->version = record->version;
}

/* What the record is of, for the author of a behaviour. */
static const char *subject(const struct run *run, const struct record *record)
{
	const struct sole_behaviour *behaviour = core_behaviour(run->core);
	struct wire_reader reader = wire_reader(record->request, record->request_size);
	uint16_t number;

	if (record->kind != RECORD_RUN || !wire_read_u16(&reader, &number))
		return "";
	for (size_t i = 0; i < behaviour->operation_count; i++)
		if (behaviour->operations[i].number == number)
			return behaviour->operations[i].name;
	return "an operation that is not there any more";
}

static enum recovery_result replay_record(struct run *run, const struct round *round,
					  const struct record *record)
{
	const struct recovery_options *options = run->options;
	struct recovery *recovery = run->recovery;
	char why[384];

#ifdef PLANT_REPLAY_TWICE
	if (record->kind == RECORD_RUN)
		core_replay(run->core, record, round->time_us, false, why, sizeof why);
#endif
	enum code code = core_replay(run->core, record, round->time_us, !options->no_digests, why,
				     sizeof why);
	if (code != CODE_OK) {
		if (code == CODE_NO_MEMORY)
			recovery->error = ENOMEM;
		else if (recovery->diverged == 0)
			recovery->diverged = record->revision;
		return say(run, code == CODE_NO_MEMORY ? RECOVERY_FAILED : RECOVERY_DIVERGED,
			   "revision %" PRIu64 " (round %" PRIu64 ", %s%s%s): %s", record->revision,
			   round->number, record_name(record->kind), record->kind == RECORD_RUN ? " of " : "",
			   subject(run, record), why);
	}
	if (options->no_digests && recovery->diverged == 0 &&
	    store_digest(core_store(run->core)) != record->digest)
		recovery->diverged = record->revision;
	return RECOVERED;
}

/* Before anything is run on the state of a snapshot: behaviours rely on what they call their invariant, and
 * a file with checksums that are right need not be one that an owner wrote. The older version of a behaviour
 * may have had another one, and a rehearsal is of what ran. */
static enum recovery_result judge_snapshot(struct run *run)
{
	const struct recovery *recovery = run->recovery;
	const struct sole_behaviour *behaviour = core_behaviour(run->core);

	if (recovery->snapshot_round == 0 || recovery->version != behaviour->version ||
	    run->options->any_version)
		return RECOVERED;
	const char *broken = core_invariant(run->core);
	if (broken == NULL)
		return RECOVERED;
	return say(run, RECOVERY_DAMAGED, "snapshot-%016" PRIx64
					  ": the state in it breaks the invariant of %s: %.300s",
		   recovery->snapshot_round, behaviour->name, broken);
}

static enum recovery_result take_round(struct run *run, const struct round *round)
{
	const struct recovery_options *options = run->options;
	struct wire_reader reader = wire_reader(round->records, round->size);
	struct recovery *recovery = run->recovery;
	struct record record;
	uint32_t count = 0;
	size_t late;

	while (!run->stopped && record_read(&reader, &record)) {
		if (options->at_revision != 0 && record.revision > options->at_revision) {
			run->stopped = true;
			return RECOVERED;
		}
		count++;
		enum recovery_result result = RECOVERED;
		if (!options->sound_only && recovery->records == 0)
			result = judge_snapshot(run);
		if (!options->sound_only && result == RECOVERED)
			result = replay_record(run, round, &record);
		if (result != RECOVERED)
			return result;
		note_start(recovery, &record);
		recovery->records++;
		if (options->record != NULL && !options->record(options->context, round, &record))
			run->stopped = true;
	}
	if (reader.bad || (!run->stopped && count != round->count))
		return say(run, RECOVERY_DAMAGED,
			   "round %" PRIu64 ": its checksum is right and its record %" PRIu32 " of %" PRIu32
			   " cannot be read: it was written wrong",
			   round->number, count + 1, round->count);
	if (!options->sound_only)
		core_take_late(run->core, &late);
	recovery->rounds++;
	return RECOVERED;
}

static void round_progress(const struct run *run, const struct journal_reader *reader)
{
	uint64_t done, all;

	if (run->options->progress == NULL || run->recovery->rounds % PROGRESS_EVERY_ROUNDS != 0)
		return;
	journal_progress(reader, &done, &all);
	run->options->progress(run->options->context, "bytes of the journal", done, all);
}

static enum recovery_result say_fault(struct run *run, const struct journal_fault *fault)
{
	run->recovery->error = fault->error;
	return say(run, fault->error != 0 ? RECOVERY_FAILED : RECOVERY_DAMAGED, "%s", fault->text);
}

static enum recovery_result read_journal(struct run *run, uint64_t from)
{
	struct recovery *recovery = run->recovery;
	enum recovery_result result = RECOVERED;
	struct journal_fault fault = { 0 };
	struct round round;
	struct journal_reader *reader = journal_reader_new(run->disk, recovery->history, from, &fault);

	if (reader == NULL)
		return say_fault(run, &fault);
	while (result == RECOVERED && !run->stopped) {
		enum journal_result read = journal_read(reader, &round, &recovery->end, &fault);
		if (read == JOURNAL_ENDED)
			break;
		result = read == JOURNAL_ROUND ? take_round(run, &round) : say_fault(run, &fault);
		round_progress(run, reader);
	}
	if (result == RECOVERED && journal_history(reader) != 0)
		recovery->history = journal_history(reader);
	journal_reader_destroy(&reader);
	return result;
}

/* ---- all of it ---- */

static enum recovery_result look_at_all(struct run *run)
{
	for (int i = 0; i < run->snapshot_count; i++) {
		struct snapshot_head head;
		enum recovery_result result = read_snapshot(run, run->snapshots[i], &head, true, NULL);
		if (result != RECOVERED)
			return result;
		if (i > 0)
			continue;
		run->recovery->history = head.history;
		run->recovery->incarnation = head.incarnation;
		run->recovery->version = head.version;
		run->recovery->snapshot_round = head.round;
		run->recovery->snapshot_revision = head.revision;
	}
	return read_journal(run, 0);
}

static enum recovery_result restore(struct run *run)
{
	uint64_t from = 1;
	int chosen;
	enum recovery_result result = choose_snapshot(run, &chosen);

	/* Counted up while it fills, the digest costs less than a walk through all of it. */
	store_keep_digest(core_store(run->core));
	if (result == RECOVERED && chosen >= 0) {
		from = run->snapshots[chosen] + 1;
		result = load_snapshot(run, run->snapshots[chosen]);
	}
	if (result != RECOVERED)
		return result;
	return read_journal(run, from);
}

/* Does the journal go on where the snapshot ends? */
static enum recovery_result judge_end(struct run *run)
{
	const struct recovery *recovery = run->recovery;

	if (recovery->end.name[0] == '\0' && run->snapshot_count == 0)
		return RECOVERY_EMPTY;
	if (recovery->end.name[0] == '\0')
		return say(run, RECOVERY_DAMAGED,
			   "there is a snapshot and no journal: its files are missing");
	if (run->snapshot_count > 0 && recovery->end.round <= run->snapshots[0])
		return say(run, RECOVERY_DAMAGED,
			   "the journal ends before round %" PRIu64 ", and the snapshot is of round %" PRIu64
			   ": files of the journal are missing",
			   recovery->end.round, run->snapshots[0]);
	return RECOVERED;
}

static enum recovery_result judge_version(struct run *run)
{
	const struct sole_behaviour *behaviour = core_behaviour(run->core);
	uint32_t version = run->recovery->version;

	if (version == behaviour->version || run->options->any_version || recovery_never_began(run->recovery))
		return RECOVERED;
	if (version > behaviour->version)
		return say(run, RECOVERY_VERSION,
			   "the state is of version %u of %s, and this is version %u: run the newer one",
			   version, behaviour->name, behaviour->version);
	if (behaviour->migrate == NULL)
		return say(run, RECOVERY_VERSION,
			   "the state is of version %u of %s, and this is version %u, which does not say how "
			   "to take it over: run the older one, or write 'migrate' (sole-behaviour(3))",
			   version, behaviour->name, behaviour->version);
	return RECOVERED;
}

enum recovery_result recovery_run(const struct disk *disk, struct core *core,
				  const struct recovery_options *options, struct recovery *recovery)
{
	struct run *run = calloc(1, sizeof *run);
	enum recovery_result result;

	*recovery = (struct recovery){ 0 };
	if (run == NULL) {
		recovery->error = ENOMEM;
		snprintf(recovery->why, sizeof recovery->why, "no memory");
		return RECOVERY_FAILED;
	}
	*run = (struct run){ .disk = disk, .core = core, .options = options, .recovery = recovery };
	run->snapshot_count = snapshots_list(disk, run->snapshots, SNAPSHOTS_LOOKED_AT);
	if (run->snapshot_count < 0) {
		result = say_error(run, -run->snapshot_count, "the folder cannot be listed");
	} else {
		if (run->snapshot_count > SNAPSHOTS_LOOKED_AT)
			run->snapshot_count = SNAPSHOTS_LOOKED_AT;
		result = options->sound_only ? look_at_all(run) : restore(run);
	}
	if (result == RECOVERED && !run->stopped)
		result = judge_end(run);
	if (result == RECOVERED && !options->sound_only)
		result = judge_version(run);
	/* An older version's commands that come out otherwise are no damage. */
	if (result == RECOVERY_DIVERGED && recovery->version != 0 &&
	    recovery->version != core_behaviour(core)->version) {
		char what[sizeof recovery->why];
		memcpy(what, recovery->why, sizeof what);
		result = say(run, RECOVERY_VERSION,
			     "%.400s; it was written by version %u, and this is version %u: start and stop "
			     "the older one cleanly, which leaves nothing to replay",
			     what, recovery->version, core_behaviour(core)->version);
	}
	free(run);
	return result;
}
