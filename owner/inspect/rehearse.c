/* SPDX-License-Identifier: MIT
 *
 * rehearse.c - `sole-owner --replay`: runs all that is still known of a state's life through another build of
 * its behaviour, and tells where that comes to something else: an upgrade, rehearsed.
 */
#include "owner/inspect/inspect_parts.h"
#include "owner/inspect/record_print.h"
#include "owner/inspect/rounds.h"
#include "owner/inspect/survey.h"
#include "common/log.h"

#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

enum { STATUS_DIFFERS = 1 };

struct rehearsal {
	const struct inspection *inspection;
	struct place place;
};

/* ---- the record that differs ---- */

struct search {
	struct record_printer *printer;
	uint64_t left; /* records to pass over */
};

static bool search_record(void *context, const struct round *round, const struct record *record)
{
	struct search *search = context;

	record_printer_follow(search->printer, record);
	if (search->left-- > 0)
		return true;
	record_print(search->printer, stdout, round, record);
	return false;
}

static bool search_round(void *context, const struct round *round)
{
	return records_walk(round, search_record, context, NULL);
}

/* Prints the record behind those that agreed, as --log does. */
static void print_differing(const struct rehearsal *rehearsal, const struct recovery *recovery)
{
	const struct sole_behaviour *behaviour = rehearsal->inspection->behaviour;
	struct search search = { .printer = record_printer_new(behaviour, false), .left = recovery->records };
	struct journal_fault fault;
	struct journal_end end;

	if (search.printer == NULL)
		return;
	record_printer_set_name(search.printer, behaviour->name, strlen(behaviour->name));
	rounds_walk(&rehearsal->place, recovery->snapshot_round + 1, search_round, &search, &end, &fault);
	record_printer_destroy(&search.printer);
}

/* ---- from one version to another ---- */

/* What a start of this build would do with the state as it is now. */
static int rehearse_migration(struct rehearsal *rehearsal)
{
	const struct sole_behaviour *behaviour = rehearsal->inspection->behaviour;
	const struct recovery_options options = { .progress = inspect_progress };
	struct recovery recovery;
	struct core *core = NULL;
	char why[256];

	enum recovery_result result = inspect_recover(rehearsal->inspection, &rehearsal->place, &options,
						      &core, &recovery);
	int status = STATUS_DIFFERS;
	if (result == RECOVERED && recovery.version == behaviour->version) {
		status = EX_OK;
	} else if (result != RECOVERED) {
		printf("a start would be refused: %s\n", recovery.why);
	} else if (core_migrate(core, recovery.version, why, sizeof why) != CODE_OK) {
		printf("a start would be refused: version %u does not take over the state of version %" PRIu32
		       ": %s\n",
		       behaviour->version, recovery.version, why);
	} else if (core_invariant(core) != NULL) {
		printf("a start would be refused: behind the migration from version %" PRIu32 " to %u: %s\n",
		       recovery.version, behaviour->version, core_invariant(core));
	} else {
		printf("a start would bring the state of revision %" PRIu64 " from version %" PRIu32
		       " to version %u: %" PRIu64 " entries, and the invariant holds\n",
		       recovery.snapshot_revision > core_revision(core) ? recovery.snapshot_revision :
									   core_revision(core) - 1,
		       recovery.version, behaviour->version, store_entries(core_store(core)));
		status = EX_OK;
	}
	core_destroy(&core);
	return status;
}

/* ---- all of it ---- */

static int tell(struct rehearsal *rehearsal, enum recovery_result result, const struct recovery *recovery,
		struct core *core)
{
	const struct sole_behaviour *behaviour = rehearsal->inspection->behaviour;
	bool other_version = recovery->version != 0 && recovery->version != behaviour->version;
	int status = STATUS_DIFFERS;

	if (result == RECOVERED && core_invariant(core) != NULL) {
		printf("the state of revision %" PRIu64 " breaks the invariant: %s\n", core_revision(core),
		       core_invariant(core));
	} else if (result == RECOVERED) {
		printf("all %" PRIu64 " records agree, from revision %" PRIu64 " to %" PRIu64 "\n",
		       recovery->records, recovery->snapshot_revision, core_revision(core));
		status = EX_OK;
	} else if (recovery->diverged != 0) {
		printf("differs, behind %" PRIu64 " records that agree: %s\n", recovery->records,
		       recovery->why);
		print_differing(rehearsal, recovery);
	} else {
		log_error("%s: %s", rehearsal->place.path, recovery->why);
		return inspect_status(result, recovery);
	}
	if (!other_version)
		return status;
	/* Another version may do otherwise what an older one did, if it takes over what that has left. */
	return rehearse_migration(rehearsal);
}

int inspect_replay(const struct inspection *inspection)
{
	struct rehearsal rehearsal = { .inspection = inspection };
	const struct recovery_options options = { .from_oldest = true, .any_version = true,
						  .progress = inspect_progress };
	struct recovery recovery;
	struct core *core = NULL;

	int status = place_open(&rehearsal.place, inspection->replay, PLACE_LOOK);
	if (status != EX_OK)
		return status;
	enum recovery_result result = inspect_recover(inspection, &rehearsal.place, &options, &core,
						      &recovery);
	if (result == RECOVERY_EMPTY) {
		log_error("%s holds no state: name the folder that --state was given", rehearsal.place.path);
		status = EX_NOINPUT;
	} else {
		status = tell(&rehearsal, result, &recovery, core);
	}
	core_destroy(&core);
	place_close(&rehearsal.place);
	int flushed = inspect_flush();
	return status != EX_OK ? status : flushed;
}
