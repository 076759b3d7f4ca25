/* SPDX-License-Identifier: MIT
 *
 * verify.c - `sole-owner --verify`: what a folder holds, to the last byte, and whether it is sound.
 */
#include "owner/inspect/survey.h"
#include "owner/state/text.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static void print_snapshot(const struct survey_snapshot *s)
{
	char when[TEXT_TIME_BYTES];

	if (!s->sound) {
		printf("%s: damaged: %s\n", s->name, s->why);
		return;
	}
	text_format_time(when, s->head.written_us);
	printf("%s: sound: revision %" PRIu64 ", round %" PRIu64 ", %" PRIu64 " entries, %" PRIu64
	       " sessions, %s, of %s\n", s->name, s->head.revision, s->round, s->head.entries,
	       s->head.sessions, inspect_size(s->bytes), when);
}

static void print_journal(const struct survey *survey)
{
	const struct survey_span *span = &survey->span;
	char first[TEXT_TIME_BYTES], last[TEXT_TIME_BYTES];

	printf("journal: %zu segment%s", survey->segments, survey->segments == 1 ? "" : "s");
	if (survey->segment_bytes > 0)
		printf(", %s", inspect_size(survey->segment_bytes));
	if (span->rounds > 0) {
		text_format_time(first, span->first_us);
		text_format_time(last, span->last_us);
		printf("; rounds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " records, revisions %" PRIu64
		       " to %" PRIu64
		       ", %s to %s",
		       span->first, span->last, span->records, span->first_revision, span->last_revision,
		       first, last);
	} else {
		printf("; no rounds");
	}
	printf("\n");
	if (survey->faulty)
		printf("journal: damaged: %s\n", survey->fault.text);
}

static void print_torn(const struct survey *survey, const struct place *place)
{
	if (survey->faulty || survey->end.torn == 0)
		return;
	if (place->owner != 0)
		printf("%s: process %d writes at byte %" PRIu64 "\n", survey->end.name, place->owner,
		       survey->end.offset);
	else
		printf("%s: an unfinished round at byte %" PRIu64
		       ", %s: no one was told of it, and the next start overwrites it\n",
		       survey->end.name, survey->end.offset, inspect_size(survey->end.torn));
}

void survey_print(const struct survey *survey, const struct place *place)
{
	if (survey->behaviour[0] != '\0')
		printf("behaviour %s, version %" PRIu32 ", incarnation %" PRIu64 "\n", survey->behaviour,
		       survey->version, survey->incarnation);
	if (survey->history != 0)
		printf("history %016" PRIx64 "\n", survey->history);
	for (size_t i = survey->snapshot_count; i-- > 0;)
		print_snapshot(&survey->snapshots[i]);
	print_journal(survey);
	print_torn(survey, place);
	if (survey->why[0] != '\0')
		printf("damaged: %s\n", survey->why);
}

int inspect_verify(const struct inspection *inspection)
{
	struct survey *survey = calloc(1, sizeof *survey);
	struct place place;

	if (survey == NULL) {
		log_error("no memory");
		return EX_OSERR;
	}
	int status = place_open(&place, inspection->verify, PLACE_LOOK);
	if (status != EX_OK) {
		free(survey);
		return status;
	}
	survey_take(survey, &place);
	if (survey->empty) {
		log_error("%s holds no state: name the folder that --state was given", place.path);
		status = EX_NOINPUT;
	} else {
		survey_print(survey, &place);
		if (survey_sound(survey))
			printf("OK\n");
		status = inspect_flush();
	}
	if (survey->error != 0) {
		log_error("%s: %s", place.path, survey->fault.error != 0 ? survey->fault.text : survey->why);
		status = EX_IOERR;
	} else if (!survey->empty && !survey_sound(survey)) {
		log_error("%s is damaged; sole-owner --repair tells what can be brought back, and changes "
			  "nothing where something would be lost",
			  place.path);
		status = EX_DATAERR;
	}
	place_close(&place);
	free(survey);
	return status;
}
