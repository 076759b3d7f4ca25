/* SPDX-License-Identifier: MIT
 *
 * log.c - `sole-owner --log`: the records of a journal as a trail of who did what, when, and what
 * came of it. Nothing is run: what is printed is what was written when it happened.
 */
#include "owner/inspect/inspect_parts.h"
#include "owner/inspect/record_print.h"
#include "owner/inspect/rounds.h"
#include "owner/inspect/survey.h"
#include "common/log.h"

#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

struct log {
	const struct inspection *inspection;
	struct record_printer *printer;
	uint64_t from, to;
	uint64_t round; /* the last that was read, or 0 */
};

/* False: no more of them is wanted. */
static bool print_record(void *context, const struct round *round, const struct record *record)
{
	struct log *log = context;

	record_printer_follow(log->printer, record);
	if (record->revision >= log->from && record->revision <= log->to)
		record_print(log->printer, stdout, round, record);
	return inspect_printing();
}

static bool print_round(void *context, const struct round *round)
{
	struct log *log = context;

	if (round->number <= log->round)
		return true; /* read again, behind a gap */
	if (log->round > 0 && round->number > log->round + 1)
		log_warn("rounds %" PRIu64 " to %" PRIu64 " are not shown: the owner forgot them, with a snapshot, before they could be read",
			    log->round + 1, round->number - 1);
	log->round = round->number;
	/* A round's records have revisions up to its own, and the next round's are not below that. */
	return records_walk(round, print_record, log, NULL) && round->revision <= log->to;
}

/* A living owner may forget segments faster than they are printed: then what is left is read from its beginning. Damage
 * is where that goes no further. */
static enum journal_result print_all(struct log *log, const struct place *place, struct journal_fault *fault)
{
	enum journal_result result;
	struct journal_end end;
	uint64_t before;

	do {
		before = log->round;
		result = rounds_walk(place, 0, print_round, log, &end, fault);
	} while (result == JOURNAL_DAMAGED && place->owner != 0 && log->round > before);
	return result;
}

/* Which behaviour the records before the first START are of: the oldest snapshot tells. */
static void set_name(struct log *log, const struct disk *disk)
{
	struct snapshot_head head;

	if (survey_oldest_head(disk, &head))
		record_printer_set_name(log->printer, head.behaviour, strlen(head.behaviour));
}

int inspect_log(const struct inspection *inspection)
{
	struct log log = { .inspection = inspection, .from = (uint64_t)inspection->from,
			   .to = inspection->to != 0 ? (uint64_t)inspection->to : UINT64_MAX };
	struct journal_fault fault;
	struct place place;

	int status = place_open(&place, inspection->log, PLACE_LOOK);
	if (status != EX_OK)
		return status;
	log.printer = record_printer_new(inspection->behaviour, inspection->json);
	if (log.printer == NULL) {
		log_error("no memory");
		place_close(&place);
		return EX_OSERR;
	}
	set_name(&log, place.disk);
	enum journal_result result = print_all(&log, &place, &fault);
	status = inspect_flush();
	if (result == JOURNAL_DAMAGED || result == JOURNAL_FAILED) {
		log_error("%s", fault.text);
		status = result == JOURNAL_DAMAGED ? EX_DATAERR : EX_IOERR;
	}
	record_printer_destroy(&log.printer);
	place_close(&place);
	return status;
}
