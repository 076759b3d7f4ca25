/* SPDX-License-Identifier: MIT
 *
 * repair_parts.c - setting aside, and beginning anew.
 *
 * The new journal is written under names of its own, beside the old one, and takes its place when it is
 * whole on disk: until then the old one is there and damaged, and the same is begun again.
 */
#include "owner/inspect/repair_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CUTS_MAX = 999, NAME_BYTES = 64, ANEW_MAX = 64 };

static bool is_there(const struct disk *disk, const char *name)
{
	int file = disk->open(disk->context, name, DISK_READ);

	if (file >= 0)
		disk->close(disk->context, file);
	return file != -ENOENT;
}

static int set_aside(const struct disk *disk, const char *name)
{
	char cut[NAME_BYTES];

	for (int n = 1; n <= CUTS_MAX; n++) {
		snprintf(cut, sizeof cut, n == 1 ? "%s.cut" : "%s.cut%d", name, n);
		if (is_there(disk, cut))
			continue;
		int error = disk->rename(disk->context, name, cut);
		if (error == 0)
			error = disk->sync_folder(disk->context);
		if (error == 0)
			printf("%s is now %s\n", name, cut);
		return error;
	}
	return -EEXIST;
}

int snapshots_set_aside(const struct survey *survey, const struct disk *disk, bool older)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < survey->snapshot_count; i++) {
		const struct survey_snapshot *s = &survey->snapshots[i];
		if (!s->sound || (older && s->round < survey->base->round))
			error = set_aside(disk, s->name);
	}
	return error;
}

int segments_set_aside(const struct survey *survey, const struct disk *disk, size_t count)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++) {
		char name[JOURNAL_NAME_BYTES];
		snprintf(name, sizeof name, "journal-%016" PRIx64, survey->segment_firsts[i]);
		error = set_aside(disk, name);
	}
	return error;
}

/* ---- a journal beside the journal ---- */

#define BESIDE "anew-"

/* The disk, of which only the names that begin so are seen, without it. */
struct beside {
	const struct disk *disk;
	void (*found)(void *argument, const char *name);
	void *argument;
};

static void name_beside(char beside[NAME_BYTES], const char *name)
{
	snprintf(beside, NAME_BYTES, BESIDE "%s", name);
}

static void found_beside(void *argument, const char *name)
{
	const struct beside *it = argument;

	if (strncmp(name, BESIDE, sizeof BESIDE - 1) == 0)
		it->found(it->argument, name + sizeof BESIDE - 1);
}

static int beside_list(void *context, void (*found)(void *argument, const char *name), void *argument)
{
	struct beside it = *(struct beside *)context;

	it.found = found;
	it.argument = argument;
	return it.disk->list(it.disk->context, found_beside, &it);
}

static int beside_open(void *context, const char *name, enum disk_mode mode)
{
	const struct beside *it = context;
	char beside[NAME_BYTES];

	name_beside(beside, name);
	return it->disk->open(it->disk->context, beside, mode);
}

static void beside_close(void *context, int file)
{
	const struct beside *it = context;

	it->disk->close(it->disk->context, file);
}

static int64_t beside_size(void *context, int file)
{
	const struct beside *it = context;

	return it->disk->size(it->disk->context, file);
}

static ssize_t beside_read(void *context, int file, void *bytes, size_t size, uint64_t offset)
{
	const struct beside *it = context;

	return it->disk->read(it->disk->context, file, bytes, size, offset);
}

static ssize_t beside_write(void *context, int file, const void *bytes, size_t size, uint64_t offset)
{
	const struct beside *it = context;

	return it->disk->write(it->disk->context, file, bytes, size, offset);
}

static int beside_sync(void *context, int file)
{
	const struct beside *it = context;

	return it->disk->sync(it->disk->context, file);
}

static int beside_rename(void *context, const char *from, const char *to)
{
	const struct beside *it = context;
	char beside_from[NAME_BYTES], beside_to[NAME_BYTES];

	name_beside(beside_from, from);
	name_beside(beside_to, to);
	return it->disk->rename(it->disk->context, beside_from, beside_to);
}

static int beside_remove(void *context, const char *name)
{
	const struct beside *it = context;
	char beside[NAME_BYTES];

	name_beside(beside, name);
	return it->disk->remove(it->disk->context, beside);
}

static int beside_sync_folder(void *context)
{
	const struct beside *it = context;

	return it->disk->sync_folder(it->disk->context);
}

static struct disk disk_beside(struct beside *beside)
{
	return (struct disk){ .context = beside,
			      .list = beside_list,
			      .open = beside_open,
			      .close = beside_close,
			      .size = beside_size,
			      .read = beside_read,
			      .write = beside_write,
			      .sync = beside_sync,
			      .rename = beside_rename,
			      .remove = beside_remove,
			      .sync_folder = beside_sync_folder };
}

/* ---- beginning anew ---- */

struct names {
	char names[ANEW_MAX][NAME_BYTES];
	size_t count;
	bool more;
};

static void note_name(void *argument, const char *name)
{
	struct names *names = argument;

	if (names->count == ANEW_MAX || strlen(name) >= NAME_BYTES)
		names->more = true;
	else
		strcpy(names->names[names->count++], name);
}

/* What an earlier try has left. */
static int clear(const struct disk *disk)
{
	struct names names;
	int error = 0;

	do {
		names.count = 0;
		names.more = false;
		error = disk->list(disk->context, note_name, &names);
		for (size_t i = 0; error == 0 && i < names.count; i++)
			error = disk->remove(disk->context, names.names[i]);
	} while (error == 0 && names.more && names.count > 0);
	return error;
}

struct rewrite {
	struct journal *journal;
	struct journal_fault fault;
	int error;
};

static bool rewrite_round(void *context, const struct round *round)
{
	struct rewrite *rewrite = context;

	rewrite->error = journal_append(rewrite->journal, round, &rewrite->fault);
	return rewrite->error == 0;
}

static int write_anew(const struct survey *survey, const struct disk *disk, const struct disk *beside,
		      uint64_t segment_bytes)
{
	const struct survey_snapshot *base = survey->base;
	const struct journal_end end = { .round = base->round + 1, .revision = base->head.revision,
					 .history = base->head.history };
	const struct journal_settings settings = { .disk = beside, .history = base->head.history,
						   .segment_bytes = segment_bytes };
	struct journal_salvage salvage;
	struct rewrite rewrite = { 0 };

	rewrite.journal = journal_open(&settings, &end, &rewrite.fault);
	if (rewrite.journal == NULL)
		return rewrite.fault.error != 0 ? -rewrite.fault.error : -EIO;
	int error = 0;
	if (survey->salvaged)
		error = journal_salvage(disk, end.round, rewrite_round, &rewrite, &salvage);
	if (error == 0)
		error = rewrite.error;
	if (error == 0)
		error = journal_sync(rewrite.journal, &rewrite.fault);
	journal_close(&rewrite.journal);
	return error;
}

int journal_begin_anew(const struct survey *survey, const struct disk *disk, uint64_t segment_bytes)
{
	struct beside context = { .disk = disk };
	const struct disk beside = disk_beside(&context);
	struct names names = { .count = 0 };

	/* Without a journal, what stands beside is one that was whole before the old one went. */
	bool whole = survey->segments == 0;
	int error = whole ? 0 : clear(&beside);
	if (error == 0)
		error = beside.list(beside.context, note_name, &names);
	if (error == 0 && names.count == 0) {
		error = write_anew(survey, disk, &beside, segment_bytes);
		if (error == 0)
			error = beside.list(beside.context, note_name, &names);
	}
	if (error == 0 && names.more)
		error = -EFBIG; /* larger segments make it fit: --journal-segment */
	if (error == 0)
		error = segments_set_aside(survey, disk, survey->segments);
	for (size_t i = 0; error == 0 && i < names.count; i++) {
		char name[NAME_BYTES];
		name_beside(name, names.names[i]);
		error = disk->rename(disk->context, name, names.names[i]);
	}
	if (error == 0)
		error = disk->sync_folder(disk->context);
	return error != 0 ? error : snapshots_set_aside(survey, disk, true);
}
