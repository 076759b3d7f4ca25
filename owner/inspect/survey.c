/* SPDX-License-Identifier: MIT
 *
 * survey.c - snapshots, then the journal, then whether they belong together.
 */
#include "owner/inspect/survey.h"
#include "owner/inspect/rounds.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

enum { SURVEYS_AGAIN = 5, SURVEY_AGAIN_MS = 100 };

/* ---- the journal ---- */

struct walk {
	struct survey *survey;
	struct survey_span *span;
	uint64_t revision; /* behind the last record */
	bool bad;
	char why[200];
};

static bool take_record(void *context, const struct round *round, const struct record *record)
{
	struct walk *walk = context;
	struct survey *survey = walk->survey;

	if (record->revision < walk->revision || record->revision > round->revision) {
		snprintf(walk->why, sizeof walk->why,
			 "a record of revision %" PRIu64 " stands behind %" PRIu64,
			 record->revision, walk->revision);
		return false;
	}
	walk->revision = record->revision;
	walk->span->records++;
	if (record->kind == RECORD_START) {
		size_t size = record->behaviour_size < SNAPSHOT_BEHAVIOUR_MAX ? record->behaviour_size :
										SNAPSHOT_BEHAVIOUR_MAX;
		memcpy(survey->behaviour, record->behaviour, size);
		survey->behaviour[size] = '\0';
		survey->version = record->version;
		survey->incarnation = record->incarnation;
	}
	return true;
}

static bool take_round(void *context, const struct round *round)
{
	struct walk *walk = context;
	struct survey_span *span = walk->span;
	bool unreadable;

	if (!records_walk(round, take_record, walk, &unreadable)) {
		walk->bad = true;
		if (unreadable)
			snprintf(walk->why, sizeof walk->why, "its records cannot be read");
		return false;
	}
	if (span->rounds++ == 0) {
		span->first = round->number;
		span->first_revision = round->revision;
		span->first_us = round->time_us;
	}
	span->last = round->number;
	span->last_revision = round->revision;
	span->last_us = round->time_us;
	return true;
}

/* Reads from a round on. True: to the end of the journal. */
static bool read_span(struct survey *survey, const struct place *place, uint64_t from,
		      struct survey_span *span, struct journal_fault *fault)
{
	struct walk walk = { .survey = survey, .span = span };
	enum journal_result result = rounds_walk(place, from, take_round, &walk, &survey->end, fault);

	if (walk.bad) {
		*fault = (struct journal_fault){ .round = span->last + 1 };
		snprintf(fault->text, sizeof fault->text,
			 "round %" PRIu64 ": its checksum is right, and %s: it was written wrong",
			 span->last + 1, walk.why);
	}
	return result == JOURNAL_ENDED;
}

static void note_segment(void *argument, const char *name)
{
	struct survey *survey = argument;
	unsigned long long first;
	char again[JOURNAL_NAME_BYTES];

	if (sscanf(name, "journal-%16llx", &first) != 1 || survey->segments == SURVEY_SEGMENTS_MAX)
		return;
	snprintf(again, sizeof again, "journal-%016llx", first);
	if (strcmp(again, name) != 0)
		return;
	size_t at = survey->segments++;
	for (; at > 0 && survey->segment_firsts[at - 1] > first; at--)
		survey->segment_firsts[at] = survey->segment_firsts[at - 1];
	survey->segment_firsts[at] = first;
}

size_t survey_segments_before(const struct survey *survey)
{
	size_t count = 0;

	while (survey->base != NULL && count + 1 < survey->segments &&
	       survey->segment_firsts[count + 1] <= survey->base->round + 1)
		count++;
	return count;
}

static void look_at_journal(struct survey *survey, const struct place *place)
{
	int error = place->disk->list(place->disk->context, note_segment, survey);

	if (error != 0 || survey->segments == 0)
		return;
	survey->faulty = !read_span(survey, place, 0, &survey->span, &survey->fault);
	if (!survey->faulty) {
		survey->history = survey->end.history;
		survey->segment_bytes = survey->end.bytes;
	} else if (survey->fault.error != 0) {
		survey->error = survey->fault.error;
	}
}

/* ---- together ---- */

__attribute__((format(printf, 2, 3))) static void mismatch(struct survey *survey, const char *format, ...)
{
	va_list arguments;

	if (survey->why[0] != '\0')
		return;
	va_start(arguments, format);
	vsnprintf(survey->why, sizeof survey->why, format, arguments);
	va_end(arguments);
}

/* Reads from a round on whatever stands before it. */
static void salvage_span(struct survey *survey, const struct place *place, uint64_t from,
			 struct survey_span *span)
{
	struct walk walk = { .survey = survey, .span = span };

	survey->salvaged = true;
	survey->error = -journal_salvage(place->disk, from, take_round, &walk, &survey->seen);
}

/* How far the state can be brought back. */
static void find_reach(struct survey *survey, const struct place *place)
{
	const struct survey_snapshot *base = survey->base;
	struct journal_fault fault = survey->fault;
	struct survey_span behind = { 0 };
	uint64_t from = base != NULL ? base->round + 1 : 1;

	survey->based = base != NULL || survey->span.first == 1;
	if (base != NULL) {
		survey->reach = base->round;
		survey->reach_revision = base->head.revision;
		survey->reach_us = base->head.time_us;
		survey->past_fault = survey->segments > 0 && read_span(survey, place, from, &behind, &fault);
	} else if (survey->based) {
		behind = survey->span;
	}
	/* The chain may be broken before the base, where that does no harm, or by what is no round at all. */
	if (survey->segments > 0 && survey->based && survey->error == 0 && !survey->past_fault &&
	    ((base != NULL && behind.rounds == 0) || (survey->faulty && fault.alone)))
		salvage_span(survey, place, from + behind.rounds, &behind);
	else if (survey->faulty && survey->error == 0)
		survey->error = -journal_salvage(place->disk, 0, NULL, NULL, &survey->seen);
	if (behind.rounds > 0) {
		survey->reach = behind.last;
		survey->reach_revision = behind.last_revision;
		survey->reach_us = behind.last_us;
	}
}

static void compare(struct survey *survey)
{
	const struct survey_snapshot *base = survey->base;

	if (survey->segments == 0 && survey->snapshot_count > 0)
		mismatch(survey, "there is a snapshot and no journal: its files are missing");
	for (size_t i = 0; i < survey->snapshot_count; i++) {
		const struct survey_snapshot *s = &survey->snapshots[i];
		if (s->sound && survey->history != 0 && s->head.history != survey->history)
			mismatch(survey, "%s is of history %016" PRIx64 ", and the journal of %016" PRIx64,
				 s->name, s->head.history, survey->history);
	}
	if (survey->faulty || survey->segments == 0)
		return;
	uint64_t ends = survey->end.round - 1;
	uint64_t begins = survey->end.first != 0 ? survey->end.first : survey->end.round;
	if (base == NULL && begins > 1)
		mismatch(survey,
			 "the journal begins with round %" PRIu64
			 " and no snapshot that is sound comes before it", begins);
	if (base != NULL && base->round + 1 < begins)
		mismatch(survey, "%s ends with round %" PRIu64 " and the journal begins with round %" PRIu64
			 ": files of the journal are missing", base->name, base->round, begins);
	for (size_t i = 0; i < survey->snapshot_count && survey->why[0] == '\0'; i++) {
		const struct survey_snapshot *s = &survey->snapshots[i];
		survey->unlinked = s->sound && s->round + 1 < begins;
		if (survey->unlinked)
			mismatch(survey,
				 "%s ends with round %" PRIu64 " and the journal begins with round %" PRIu64
				 ": files of the journal are missing",
				 s->name, s->round, begins);
	}
	if (survey->snapshot_count > 0 && ends < survey->snapshots[0].round)
		mismatch(survey,
			 "the journal ends with round %" PRIu64
			 " and %s is of a later one: files of the journal are missing", ends,
			 survey->snapshots[0].name);
}

static void take_once(struct survey *survey, const struct place *place)
{
	*survey = (struct survey){ 0 };
	survey_snapshots(survey, place->disk);
	if (survey->error != 0)
		return;
	look_at_journal(survey, place);
	find_reach(survey, place);
	compare(survey);
	survey->empty = survey->segments == 0 && survey->snapshot_count == 0;
	if (survey->base != NULL && survey->behaviour[0] == '\0') {
		memcpy(survey->behaviour, survey->base->head.behaviour, sizeof survey->behaviour);
		survey->version = survey->base->head.version;
		survey->incarnation = survey->base->head.incarnation;
	}
	if (survey->base != NULL && survey->history == 0)
		survey->history = survey->base->head.history;
}

bool survey_sound(const struct survey *survey)
{
	return survey->error == 0 && !survey->faulty && survey->damaged_snapshots == 0 &&
	       survey->why[0] == '\0';
}

void survey_take(struct survey *survey, const struct place *place)
{
	take_once(survey, place);
	for (int again = 0; !survey_sound(survey) && place->owner != 0 && again < SURVEYS_AGAIN; again++) {
		poll(NULL, 0, SURVEY_AGAIN_MS);
		take_once(survey, place);
	}
}
