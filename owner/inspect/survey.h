/* SPDX-License-Identifier: MIT
 *
 * survey.h - everything that a folder holds, looked at to the last byte: which of it is sound, how far the
 * state can be brought back from it, and what is in the way.
 */
#ifndef SOLE_OWNER_SURVEY_H
#define SOLE_OWNER_SURVEY_H

#include "owner/inspect/inspect_parts.h"
#include "owner/state/journal_salvage.h"

enum { SURVEY_SNAPSHOTS_MAX = 64, SURVEY_SEGMENTS_MAX = 4096, SURVEY_WHY_BYTES = 400 };

struct survey_snapshot {
	char name[SNAPSHOT_NAME_BYTES];
	uint64_t round, bytes;
	struct snapshot_head head; /* where sound */
	bool sound;
	char why[SURVEY_WHY_BYTES]; /* where not */
};

/* Rounds that were read one behind the other. */
struct survey_span {
	uint64_t first, last; /* rounds; 0: none */
	uint64_t rounds, records;
	uint64_t first_revision, last_revision; /* behind the first and the last round */
	int64_t first_us, last_us;
};

struct survey {
	struct survey_snapshot snapshots[SURVEY_SNAPSHOTS_MAX]; /* newest first */
	size_t snapshot_count;
	size_t damaged_snapshots;

	size_t segments;
	uint64_t segment_firsts[SURVEY_SEGMENTS_MAX]; /* their first rounds, ascending */
	uint64_t segment_bytes;    /* of all of them */
	struct survey_span span;   /* from the first round on, up to the first fault */
	struct journal_end end;    /* where there is no fault */
	bool faulty;
	struct journal_fault fault;

	const struct survey_snapshot *base; /* the newest that is sound; NULL: none */
	bool based;        /* the state can be brought back: from the base, or from the beginning */
	uint64_t reach;    /* the last round that it can be brought back to */
	uint64_t reach_revision;
	int64_t reach_us;
	bool past_fault;   /* the journal behind the base is sound to its end, whatever the fault before it */
	bool salvaged;     /* the reach is what journal_salvage found behind the base */
	struct journal_salvage seen; /* of a faulty journal */

	uint64_t history;
	char behaviour[SNAPSHOT_BEHAVIOUR_MAX + 1]; /* "": not told */
	uint32_t version;
	uint64_t incarnation;

	bool unlinked;                 /* older snapshots are there, not the journal from them to the base */
	bool empty;                    /* it holds no state at all */
	int error;                     /* the errno of a disk that failed, or 0; `why` says more */
	char why[SURVEY_WHY_BYTES];    /* what does not fit together though each part is sound; or "" */
};

/* Looks at everything again and again until it is sound or an owner that runs cannot be the reason. */
void survey_take(struct survey *survey, const struct place *place);

/* How many segments, the oldest first, hold only rounds that the base has. */
size_t survey_segments_before(const struct survey *survey);

/* Prints it, as --verify does. */
void survey_print(const struct survey *survey, const struct place *place);

/* The part of it that is about snapshots. */
void survey_snapshots(struct survey *survey, const struct disk *disk);

/* Is there nothing to repair? */
bool survey_sound(const struct survey *survey);

/* The head of the oldest snapshot. False: there is none that can be read. */
bool survey_oldest_head(const struct disk *disk, struct snapshot_head *head);

#endif
