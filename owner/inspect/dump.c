/* SPDX-License-Identifier: MIT
 *
 * dump.c - `sole-owner --dump` and `--export`: a state at one of its revisions, as text.
 */
#include "owner/inspect/inspect_parts.h"
#include "owner/inspect/survey.h"
#include "owner/state/text.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { FLUSH_BYTES = 65536, LOOKS_AGAIN = 5, LOOK_AGAIN_MS = 100 };

int inspect_status(enum recovery_result result, const struct recovery *recovery)
{
	switch (result) {
	case RECOVERED:
		return EX_OK;
	case RECOVERY_EMPTY:
		return EX_NOINPUT;
	case RECOVERY_DAMAGED:
		return EX_DATAERR;
	case RECOVERY_DIVERGED:
	case RECOVERY_VERSION:
		return EX_CONFIG;
	case RECOVERY_FAILED:
		break;
	}
	return recovery->error == ENOMEM ? EX_OSERR : EX_IOERR;
}

enum recovery_result inspect_recover(const struct inspection *inspection, const struct place *place,
			     const struct recovery_options *options, struct core **core,
			     struct recovery *recovery)
{
	static struct counters counters;

	for (int looks = 0;; looks++) {
		*core = inspect_core(inspection, &counters);
		if (*core == NULL) {
			*recovery = (struct recovery){ .error = ENOMEM, .why = "no memory" };
			return RECOVERY_FAILED;
		}
		enum recovery_result result = recovery_run(place->disk, *core, options, recovery);
		/* What looks damaged may be in the middle of being written, or have gone since the folder
		 * was listed. */
		bool again = (result == RECOVERY_DAMAGED || result == RECOVERY_FAILED) && place->owner != 0;
		if (!again || looks == LOOKS_AGAIN)
			return result;
		core_destroy(core);
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
}

/* ---- the text ---- */

static void print_full(struct buffer *out, size_t from_bytes)
{
	if (out->size < from_bytes)
		return;
	fwrite(out->data, 1, out->size, stdout);
	buffer_reset(out);
}

static int by_id(const void *a, const void *b)
{
	const struct session *const *x = a, *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

/* False: no memory. */
static bool print_sessions(struct core *core, struct buffer *out)
{
	size_t count = sessions_count(core_sessions(core)), cursor = 0;
	struct session **all = calloc(count + 1, sizeof *all);
	struct text_session *line = calloc(1, sizeof *line);
	bool done = all != NULL && line != NULL;

	for (size_t i = 0; done && i < count; i++)
		all[i] = sessions_next(core_sessions(core), &cursor);
	if (done)
		qsort(all, count, sizeof *all, by_id);
	for (size_t i = 0; done && i < count; i++) {
		*line = (struct text_session){ .id = all[i]->id, .last = all[i]->last,
					       .caller = all[i]->opener };
		for (uint32_t k = 0;
		     k < all[i]->parked_count && line->waiting_count < SESSION_PARKED_MAX; k++)
			if (all[i]->parked[k].waiting)
				line->waiting[line->waiting_count++] = all[i]->parked[k].sequence;
		text_write_session(out, line);
		print_full(out, FLUSH_BYTES);
	}
	free(line);
	free(all);
	return done;
}

static void print_map(const struct map *map, struct buffer *out)
{
	struct map_entry entry = { 0 };

	text_write_map(out, map_name(map));
	while (inspect_printing() && map_next(map, &entry)) {
		const struct text_entry line = { .key = value_bytes(entry.key, entry.key_size),
						 .value = *entry.value, .revision = entry.revision };
		text_write_entry(out, &line);
		print_full(out, FLUSH_BYTES);
	}
}

static int print_state(struct core *core, const struct recovery *recovery)
{
	const struct map *maps[STORE_MAPS_ROOM];
	struct core_scalars scalars = core_scalars(core);
	struct text_head head = { .version = recovery->version, .history = recovery->history,
				  .revision = scalars.revision, .time_us = scalars.now_us,
				  .token = scalars.token };
	struct buffer out = { 0 };

	snprintf(head.behaviour, sizeof head.behaviour, "%s", core_behaviour(core)->name);
	text_write_head(&out, &head);
	bool done = print_sessions(core, &out);
	size_t count = store_maps(core_store(core), maps);
	for (size_t i = 0; i < count; i++)
		print_map(maps[i], &out);
	text_write_end(&out);
	done = done && !out.failed;
	print_full(&out, 0);
	buffer_clear(&out);
	if (!done) {
		log_error("no memory");
		return EX_OSERR;
	}
	return inspect_flush();
}

/* ---- the revision ---- */

/* Is this revision still known? Else it says so. */
static bool is_known(uint64_t revision, const struct place *place)
{
	struct snapshot_head oldest;
	struct journal_end end;
	struct journal_fault fault;
	struct round round;

	struct journal_reader *reader = journal_reader_new(place->disk, 0, 0, &fault);
	bool from_start = reader != NULL && journal_read(reader, &round, &end, &fault) == JOURNAL_ROUND &&
			  round.number == 1;
	journal_reader_destroy(&reader);
	if (from_start || !survey_oldest_head(place->disk, &oldest) || oldest.revision <= revision)
		return true;
	log_error("revision %" PRIu64 " is no longer known: the oldest snapshot of %s is of revision "
		  "%" PRIu64,
		  revision, place->path, oldest.revision);
	return false;
}

int inspect_dump(const struct inspection *inspection, const char *folder)
{
	const struct recovery_options options = { .at_revision = (uint64_t)inspection->at,
						  .any_version = true,
						  .progress = inspect_progress };
	struct recovery recovery;
	struct core *core = NULL;
	struct place place;

	int status = place_open(&place, folder, PLACE_LOOK);
	if (status != EX_OK)
		return status;
	if (options.at_revision != 0 && !is_known(options.at_revision, &place)) {
		place_close(&place);
		return EX_DATAERR;
	}
	enum recovery_result result = inspect_recover(inspection, &place, &options, &core, &recovery);
	status = inspect_status(result, &recovery);
	if (result == RECOVERY_EMPTY) {
		log_error("%s holds no state: name the folder that --state was given", place.path);
	} else if (result != RECOVERED) {
		log_error("%s: %s", place.path, recovery.why);
	} else if (options.at_revision > core_revision(core)) {
		log_error("the state has not come to revision %" PRIu64 ": it is at %" PRIu64,
			  options.at_revision, core_revision(core));
		status = EX_DATAERR;
	} else {
		status = print_state(core, &recovery);
	}
	core_destroy(&core);
	place_close(&place);
	return status;
}
