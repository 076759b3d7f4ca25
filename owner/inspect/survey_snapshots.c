/* SPDX-License-Identifier: MIT
 *
 * survey_snapshots.c - the snapshots of a folder, each read to its end.
 */
#include "owner/inspect/survey.h"

#include <inttypes.h>
#include <string.h>

static void progress(void *context, uint64_t done, uint64_t all)
{
	inspect_progress(context, "a snapshot", done, all);
}

static bool read_head(const struct disk *disk, uint64_t round, bool whole, struct snapshot_head *head,
		      uint64_t *bytes, char *why, size_t why_size)
{
	char name[SNAPSHOT_NAME_BYTES];
	struct snapshot_file file = { .disk = disk };

	snapshot_name(name, round);
	file.file = disk->open(disk->context, name, DISK_READ);
	if (file.file < 0) {
		*head = (struct snapshot_head){ .error = -file.file };
		snprintf(why, why_size, "%s", strerror(-file.file));
		return false;
	}
	const struct snapshot_source source = snapshot_file_source(&file);
	bool sound = whole ? snapshot_read(&source, head, NULL, progress, NULL, why, why_size) :
			     snapshot_read_head(&source, head, why, why_size);
	int64_t size = disk->size(disk->context, file.file);
	*bytes = size > 0 ? (uint64_t)size : 0;
	disk->close(disk->context, file.file);
	if (sound && head->round != round) {
		snprintf(why, why_size, "it is of round %" PRIu64 ", which its name does not tell",
			 head->round);
		return false;
	}
	return sound;
}

bool survey_oldest_head(const struct disk *disk, struct snapshot_head *head)
{
	uint64_t rounds[SURVEY_SNAPSHOTS_MAX], bytes;
	char why[SURVEY_WHY_BYTES];
	int count = snapshots_list(disk, rounds, SURVEY_SNAPSHOTS_MAX);

	for (int i = count < SURVEY_SNAPSHOTS_MAX ? count : SURVEY_SNAPSHOTS_MAX; i-- > 0;)
		if (read_head(disk, rounds[i], false, head, &bytes, why, sizeof why))
			return true;
	return false;
}

void survey_snapshots(struct survey *survey, const struct disk *disk)
{
	uint64_t rounds[SURVEY_SNAPSHOTS_MAX];
	int count = snapshots_list(disk, rounds, SURVEY_SNAPSHOTS_MAX);

	if (count < 0) {
		survey->error = -count;
		snprintf(survey->why, sizeof survey->why, "the folder cannot be listed: %s",
			 strerror(-count));
		return;
	}
	survey->snapshot_count = count < SURVEY_SNAPSHOTS_MAX ? (size_t)count : SURVEY_SNAPSHOTS_MAX;
	for (size_t i = 0; i < survey->snapshot_count; i++) {
		struct survey_snapshot *s = &survey->snapshots[i];
		s->round = rounds[i];
		snapshot_name(s->name, s->round);
		s->sound = read_head(disk, s->round, true, &s->head, &s->bytes, s->why, sizeof s->why);
		/* What cannot be looked at is not said to be damaged. */
		if (!s->sound && s->head.error != 0) {
			survey->error = s->head.error;
			snprintf(survey->why, sizeof survey->why, "%s: %.300s", s->name, s->why);
			return;
		}
		survey->damaged_snapshots += !s->sound;
		if (s->sound && survey->base == NULL)
			survey->base = s;
	}
}
