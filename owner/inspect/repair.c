/* SPDX-License-Identifier: MIT
 *
 * repair.c - `sole-owner --repair`: makes a damaged folder one that an owner starts from, with all that can
 * still be had. Nothing is deleted: what cannot be used is set aside under its name with ".cut" behind it.
 * Where something that may have been acknowledged is lost, it is said first, and done with --yes only.
 */
#include "owner/inspect/repair_parts.h"
#include "owner/state/text.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { STEPS_MAX = 100 };

enum step {
	STEP_NONE,      /* it is sound */
	STEP_SNAPSHOTS, /* damaged snapshots go */
	STEP_OLDER,     /* snapshots go from which the journal leads nowhere */
	STEP_ALONE,     /* something that is no round goes */
	STEP_EARLY,     /* segments go that the newest sound snapshot makes unnecessary */
	STEP_CUT,       /* the journal ends before the damage */
	STEP_ANEW,      /* the journal begins anew behind the newest sound snapshot */
	STEP_HOPELESS,
};

/* What is to be done first. */
static enum step next_step(const struct survey *survey)
{
	const struct journal_fault *fault = &survey->fault;

	if (survey_sound(survey))
		return STEP_NONE;
	if (!survey->based)
		return STEP_HOPELESS;
	if (survey->damaged_snapshots > 0)
		return STEP_SNAPSHOTS;
	if (survey->unlinked)
		return STEP_OLDER;
	if (survey->faulty && fault->alone)
		return STEP_ALONE;
	if (survey->faulty && survey->past_fault && survey_segments_before(survey) > 0)
		return STEP_EARLY;
	if (survey->faulty && fault->name[0] != '\0' && fault->round == survey->reach + 1)
		return STEP_CUT;
	return survey->base != NULL ? STEP_ANEW : STEP_HOPELESS;
}

/* ---- saying ---- */

/* The last round that is known to have been there. */
static uint64_t last_known(const struct survey *survey)
{
	uint64_t last = survey->seen.seen_round;

	for (size_t i = 0; i < survey->snapshot_count; i++)
		if (survey->snapshots[i].round > last)
			last = survey->snapshots[i].round;
	if (!survey->faulty && survey->segments > 0 && survey->end.round - 1 > last)
		last = survey->end.round - 1;
	return last;
}

/* Rounds may have been there that are not in the state any more. */
static bool loses(const struct survey *survey)
{
	if (last_known(survey) > survey->reach)
		return true;
	/* A round of which nothing can be read, or files that are gone: who knows. */
	if (survey->salvaged && !survey->past_fault)
		return !survey->seen.ended;
	return (survey->faulty && !survey->fault.alone && !survey->past_fault &&
		survey->fault.round > survey->reach) ||
	       (!survey->faulty && survey->why[0] != '\0' && !survey->unlinked);
}

static void say_loss(const struct survey *survey)
{
	char from[TEXT_TIME_BYTES], to[TEXT_TIME_BYTES];
	uint64_t last = last_known(survey);

	text_format_time(from, survey->reach_us);
	printf("the state will be that of revision %" PRIu64 ", round %" PRIu64 ", of %s\n",
	       survey->reach_revision, survey->reach, from);
	if (!loses(survey)) {
		printf("nothing is lost\n");
		return;
	}
	if (last <= survey->reach) {
		printf("lost: whatever came behind that, of which nothing can be read\n");
		return;
	}
	printf("lost: round%s %" PRIu64, last > survey->reach + 1 ? "s" : "", survey->reach + 1);
	if (last > survey->reach + 1)
		printf(" to %" PRIu64, last);
	if (survey->seen.seen_round == last) {
		text_format_time(to, survey->seen.seen_us);
		if (survey->seen.seen_revision > survey->reach_revision)
			printf(", revisions %" PRIu64 " to %" PRIu64, survey->reach_revision + 1,
			       survey->seen.seen_revision);
		printf(", up to %s", to);
	}
	printf(": who was told that they were done was told the truth, and the state will not know of it\n");
}

static void say_step(const struct survey *survey, enum step step)
{
	switch (step) {
	case STEP_SNAPSHOTS:
		for (size_t i = 0; i < survey->snapshot_count; i++)
			if (!survey->snapshots[i].sound)
				printf("to be set aside: %s\n", survey->snapshots[i].name);
		break;
	case STEP_OLDER:
		printf("to be set aside: the snapshots before %s, from which the journal does not go on\n",
		       survey->base->name);
		break;
	case STEP_ALONE:
		printf("to be set aside: what stands behind the last round of %s, which is no round\n",
		       survey->fault.name);
		break;
	case STEP_EARLY:
		printf("to be set aside: the segments before %s, which has all that is in them\n",
		       survey->base->name);
		break;
	case STEP_CUT:
		printf("to be set aside: the journal from byte %" PRIu64 " of %s on\n", survey->fault.cut,
		       survey->fault.name);
		break;
	case STEP_ANEW:
		printf("to be set aside: all segments; the journal begins anew behind %s, with the rounds "
		       "behind it that can be read\n",
		       survey->base->name);
		break;
	case STEP_NONE:
	case STEP_HOPELESS:
		break;
	}
}

/* ---- doing ---- */

static int do_step(const struct survey *survey, enum step step, const struct disk *disk,
		   uint64_t segment_bytes)
{
	struct journal_fault problem;
	int error;

	switch (step) {
	case STEP_SNAPSHOTS:
		return snapshots_set_aside(survey, disk, false);
	case STEP_OLDER:
		return snapshots_set_aside(survey, disk, true);
	case STEP_ALONE:
	case STEP_CUT:
		error = journal_cut(disk, &survey->fault, &problem);
		if (error == 0)
			printf("%s is cut; what was behind is in files whose names end in .cut\n",
			       survey->fault.name);
		return error;
	case STEP_EARLY:
		error = segments_set_aside(survey, disk, survey_segments_before(survey));
		return error != 0 ? error : snapshots_set_aside(survey, disk, true);
	case STEP_ANEW:
		return journal_begin_anew(survey, disk, segment_bytes);
	case STEP_NONE:
	case STEP_HOPELESS:
		break;
	}
	return 0;
}

/* ---- all of it ---- */

static int do_all(struct survey *survey, const struct place *place, uint64_t segment_bytes)
{
	enum step step;
	int error = 0;

	for (int steps = 0;
	     (step = next_step(survey)) != STEP_NONE && step != STEP_HOPELESS && steps < STEPS_MAX; steps++) {
		error = do_step(survey, step, place->disk, segment_bytes);
		if (error != 0)
			break;
		survey_take(survey, place);
	}
	if (error != 0)
		log_error("%s: %s; nothing is lost by that: try again", place->path, strerror(-error));
	else if (!survey_sound(survey))
		log_error("%s: it could not be mended", place->path);
	else
		printf("OK\n");
	return error != 0 ? EX_IOERR : survey_sound(survey) ? EX_OK : EX_DATAERR;
}

static int repair(const struct inspection *inspection, struct survey *survey, const struct place *place)
{
	survey_take(survey, place);
	if (survey->empty) {
		log_error("%s holds no state: name the folder that --state was given", place->path);
		return EX_NOINPUT;
	}
	if (survey->error != 0) {
		log_error("%s: %s", place->path,
			  survey->fault.text[0] != '\0' ? survey->fault.text : strerror(survey->error));
		return EX_IOERR;
	}
	enum step step = next_step(survey);
	if (step == STEP_NONE) {
		printf("nothing is wrong, and nothing was changed\n");
		return EX_OK;
	}
	survey_print(survey, place);
	if (step == STEP_HOPELESS) {
		log_error("%s: no state can be brought back from what is there: restore a backup, with "
			  "--restore", place->path);
		return EX_DATAERR;
	}
	for (enum step s = step; s != STEP_NONE;
	     s = step == STEP_SNAPSHOTS && s == step ? next_step(survey) : STEP_NONE) {
		say_step(survey, s);
		survey->damaged_snapshots = 0; /* said: what else? */
	}
	say_loss(survey);
	if (loses(survey) && !inspection->yes) {
		log_error("%s: nothing was changed; with --yes it is", place->path);
		return EX_TEMPFAIL;
	}
	survey_take(survey, place);
	return do_all(survey, place, inspection->segment_bytes);
}

int inspect_repair(const struct inspection *inspection)
{
	struct survey *survey = calloc(1, sizeof *survey);
	struct place place;

	if (survey == NULL) {
		log_error("no memory");
		return EX_OSERR;
	}
	int status = place_open(&place, inspection->repair, PLACE_WRITE);
	if (status == EX_OK) {
		status = repair(inspection, survey, &place);
		place_close(&place);
		int flushed = inspect_flush();
		status = status != EX_OK ? status : flushed;
	}
	free(survey);
	return status;
}
