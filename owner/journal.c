/* SPDX-License-Identifier: MIT
 *
 * journal.c - adds rounds to a journal, and segments to it, and takes the oldest away.
 *
 * What holds at every moment, whatever is lost from the disk that was not synced:
 *
 *   1. What bears a segment's name is a whole segment, zeros where there is no round (segment_begin).
 *   2. A segment with a seal is followed by its next one: the seal is written when that is on the disk.
 *   3. A segment with a round in it is preceded by a seal: the round is written when that is on the disk.
 *   4. All rounds before a seal are on the disk: they are synced before anything of a rotation is done.
 *   5. Behind the last round there are zeros, or what one run of an owner wrote and had not synced: what is
 *      found at the start is overwritten, and that synced, before anything else is written.
 *
 * Rotation, and what a crash before each step leaves (R rounds so far):
 *
 *   sync of the old segment          an end as any other, unfinished maybe
 *   first sector, sync               the same; `spare` with something in it, which is removed at the start
 *   rename to journal-R+1            the same
 *   sync of the folder               the same, or the next line's
 *   seal                             the old segment has no seal, the new one is empty: removed at the start
 *   sync of the old segment          the same, or the next line's
 *   round R+1 into the new segment   the old one has its seal, the new one is empty: goes on there
 *
 * A sync that failed may have dropped what it should have written, while reads still show it. So at the start
 * what is not known to have been synced is written again, not only synced again (settle).
 */
#include "owner/frame.h"
#include "owner/segment.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The first allocation: rounds that are not larger are written without another. */
enum { ROUND_USUAL = 1 << 18 };

struct journal {
	const struct disk *disk;
	uint64_t history, segment_bytes;
	int file;
	char name[JOURNAL_NAME_BYTES];
	struct segment segment; /* that is written to */
	uint64_t offset, next, revision;
	uint64_t synced;	/* the last round that is known to be */
	int failed;		/* errno: nothing can be added any more */
	uint8_t *sectors;	/* of the round that is written */
	size_t room;
	uint64_t appended, bytes;

	pthread_mutex_t making; /* held while a spare is made, and taken */
	atomic_bool spare;	/* it is there, and spare_file is open */
	int spare_file;
};

static int fail(struct journal *journal, int rc, const char *what, struct journal_fault *fault)
{
	journal->failed = -rc;
	journal_blame(fault, journal->name, journal->offset, journal->next, rc, "%s", what);
	return rc;
}

static bool make_room(struct journal *journal, uint64_t bytes)
{
	if (bytes <= journal->room)
		return true;
	if (bytes > SIZE_MAX / 2)
		return false;
	size_t room = journal->room ? journal->room : ROUND_USUAL;
	while (room < bytes)
		room *= 2;
	uint8_t *grown = realloc(journal->sectors, room);
	if (grown == NULL)
		return false;
	journal->sectors = grown;
	journal->room = room;
	return true;
}

/* ---- the start ---- */

/* Writes the end of the segment again as it was read: rounds that nothing says were synced, and zeros over an unfinished
 * one. Cut off anywhere in between, the same is found again: the sectors of rounds are the same before and after,
 * and of an unfinished round at least the sector that was zero stays zero.
 *
 * If the sync fails, the zeros may be what is read from now on, and still not be on the disk. Nobody would see that they
 * must be written again. So the last sector of what was to be overwritten is put back. */
static int settle(struct journal *journal, const struct journal_end *end)
{
	const struct disk *disk = journal->disk;
	uint8_t last[FRAME_SECTOR];
	int rc = 0;

	for (uint64_t at = end->settled; at < end->offset && rc == 0;) {
		size_t size = end->offset - at < journal->room ? (size_t)(end->offset - at) : journal->room;
		rc = disk_read_all(disk, journal->file, journal->sectors, size, at);
		if (rc == 0)
			rc = disk_write_all(disk, journal->file, journal->sectors, size, at);
		at += size;
	}
	if (rc == 0 && end->torn > 0)
		rc = disk_read_all(disk, journal->file, last, sizeof last, end->offset + end->torn - sizeof last);
	if (rc != 0)
		return rc;
	if (end->torn > 0)
		rc = segment_wipe(disk, journal->file, end->offset, end->offset + end->torn);
	if (rc == 0)
		rc = disk->sync(disk->context, journal->file);
	if (rc != 0 && end->torn > 0)
		disk_write_all(disk, journal->file, last, sizeof last, end->offset + end->torn - sizeof last);
	return rc;
}

/* The seal of the segment before an empty one: the process that wrote it may not have synced it. */
static int settle_seal(struct journal *journal, uint64_t first)
{
	const struct disk *disk = journal->disk;
	char name[JOURNAL_NAME_BYTES];
	uint8_t sector[FRAME_SECTOR];
	struct frame frame;

	segment_name(name, first);
	int file = disk->open(disk->context, name, DISK_WRITE);
	if (file < 0)
		return file;
	int64_t at = segment_last(disk, file, sector);
	int rc = at < 0 ? (int)at : 0;
	if (rc == 0 && (at == 0 || frame_read(sector, &frame) != NULL || frame.kind != FRAME_SEAL ||
			frame.number != journal->segment.first))
		rc = -EUCLEAN;
	if (rc == 0)
		rc = disk_write_all(disk, file, sector, sizeof sector, (uint64_t)at);
	if (rc == 0)
		rc = disk->sync(disk->context, file);
	disk->close(disk->context, file);
	return rc;
}

/* Segments behind the end are empty, of a rotation that was cut off. */
static int settle_others(struct journal *journal, const struct segment_list *list)
{
	const struct disk *disk = journal->disk;
	uint64_t before = 0;
	int rc = 0;

	for (size_t i = 0; i < list->count && rc == 0; i++) {
		char name[JOURNAL_NAME_BYTES];
		int64_t size = segment_size(disk, list->firsts[i]);
		if (size < 0)
			return (int)size;
		if (list->firsts[i] < journal->segment.first)
			before = list->firsts[i];
		if (list->firsts[i] > journal->segment.first) {
			segment_name(name, list->firsts[i]);
			rc = segment_remove(disk, name);
		} else {
			journal->bytes += (uint64_t)size;
		}
	}
	if (rc == 0 && before != 0 && journal->offset == SEGMENT_HEAD)
		rc = settle_seal(journal, before);
	/* Also for this segment's own name, of which a process that died may not have waited for it. */
	return rc != 0 ? rc : disk->sync_folder(disk->context);
}

static int go_on(struct journal *journal, const struct journal_end *end, const struct segment_list *list)
{
	const struct disk *disk = journal->disk;
	uint8_t sector[SEGMENT_HEAD];

	memcpy(journal->name, end->name, sizeof journal->name);
	journal->file = disk->open(disk->context, end->name, DISK_WRITE);
	if (journal->file < 0)
		return journal->file;
	int rc = disk_read_all(disk, journal->file, sector, sizeof sector, 0);
	if (rc != 0)
		return rc;
	/* It was sound when it was read, just now. */
	if (segment_read(sector, &journal->segment) != NULL || journal->segment.history != journal->history ||
	    end->offset + end->torn > journal->segment.bytes)
		return -EUCLEAN;
	rc = settle(journal, end);
	return rc != 0 ? rc : settle_others(journal, list);
}

static int begin(struct journal *journal, const struct segment_list *list)
{
	const struct disk *disk = journal->disk;

	journal->segment = (struct segment){
		.bytes = journal->segment_bytes,
		.first = journal->next,
		.revision = journal->revision,
		.history = journal->history,
	};
	segment_name(journal->name, journal->next);
	if (list->count > 0)
		return -EEXIST;
	journal->file = segment_make(disk, SEGMENT_TMP, journal->segment_bytes);
	if (journal->file < 0)
		return journal->file;
	journal->offset = SEGMENT_HEAD;
	journal->bytes = journal->segment_bytes;
	return segment_begin(disk, journal->file, SEGMENT_TMP, &journal->segment);
}

static int start(struct journal *journal, const struct journal_end *end)
{
	const struct disk *disk = journal->disk;
	struct segment_list list;
	int rc = make_room(journal, ROUND_USUAL) ? segment_list(disk, &list) : -ENOMEM;

	if (rc != 0)
		return rc;
	/* What is in them is not known: they were cut off, or their first sector was written. */
	rc = segment_remove(disk, SEGMENT_SPARE);
	if (rc == 0)
		rc = segment_remove(disk, SEGMENT_TMP);
	if (rc == 0)
		rc = end->name[0] != '\0' ? go_on(journal, end, &list) : begin(journal, &list);
	segment_list_clear(&list);
	return rc;
}

struct journal *journal_open(const struct journal_settings *settings, const struct journal_end *end,
			     struct journal_fault *fault)
{
	struct journal *journal = calloc(1, sizeof *journal);

	assert(settings->segment_bytes % JOURNAL_SECTOR_BYTES == 0 && settings->segment_bytes >= JOURNAL_SEGMENT_LEAST);
	assert(end->round > 0);
	if (journal == NULL) {
		journal_blame(fault, end->name, end->offset, end->round, ENOMEM, "cannot be opened");
		return NULL;
	}
	journal->disk = settings->disk;
	journal->history = settings->history;
	journal->segment_bytes = settings->segment_bytes;
	journal->file = journal->spare_file = -1;
	journal->offset = end->offset;
	journal->next = end->round;
	journal->synced = end->round - 1;
	journal->revision = end->revision;
	pthread_mutex_init(&journal->making, NULL);
	int rc = start(journal, end);
	if (rc == 0)
		return journal;
	fail(journal, rc, end->name[0] != '\0' ? "cannot be gone on with" : "cannot be made", fault);
	journal_close(&journal);
	return NULL;
}

void journal_close(struct journal **journal)
{
	struct journal *it = *journal;

	*journal = NULL;
	if (it == NULL)
		return;
	if (it->file >= 0)
		it->disk->close(it->disk->context, it->file);
	if (it->spare_file >= 0) {
		it->disk->close(it->disk->context, it->spare_file);
		/* Nobody would trust it at the next start. */
		if (it->failed == 0)
			segment_remove(it->disk, SEGMENT_SPARE);
	}
	pthread_mutex_destroy(&it->making);
	free(it->sectors);
	free(it);
}

/* ---- segments ---- */

bool journal_spare_wanted(const struct journal *journal)
{
	/* Not at once: a small state would take twice its room. */
	return !atomic_load_explicit(&journal->spare, memory_order_relaxed) && journal->failed == 0 &&
	       journal->offset >= journal->segment.bytes / 4;
}

int journal_make_spare(struct journal *journal)
{
	int rc = 0;

	pthread_mutex_lock(&journal->making);
	if (!atomic_load(&journal->spare)) {
		rc = segment_make(journal->disk, SEGMENT_SPARE, journal->segment_bytes);
		if (rc >= 0) {
			journal->spare_file = rc;
			atomic_store(&journal->spare, true);
			rc = 0;
		}
	}
	pthread_mutex_unlock(&journal->making);
	return rc;
}

/* A file of zeros for a segment of `bytes`: the spare, or one that is made now. *made tells its name. */
static int take_file(struct journal *journal, uint64_t bytes, const char **made)
{
	int file = -1;

	if (bytes == journal->segment_bytes) {
		/* Waits for one that is being made: that is nearer than to begin another. */
		pthread_mutex_lock(&journal->making);
		if (atomic_load(&journal->spare)) {
			file = journal->spare_file;
			journal->spare_file = -1;
			atomic_store(&journal->spare, false);
		}
		pthread_mutex_unlock(&journal->making);
	}
	*made = file >= 0 ? SEGMENT_SPARE : SEGMENT_TMP;
	return file >= 0 ? file : segment_make(journal->disk, SEGMENT_TMP, bytes);
}

static int write_seal(struct journal *journal)
{
	const struct frame seal = {
		.kind = FRAME_SEAL, .lag = 1, .number = journal->next, .revision = journal->revision
	};
	uint8_t sector[FRAME_SECTOR];

	frame_write(sector, &seal, NULL);
	int rc = disk_write_all(journal->disk, journal->file, sector, sizeof sector, journal->offset);
	return rc != 0 ? rc : journal->disk->sync(journal->disk->context, journal->file);
}

/* Goes to a new segment with room for a round of `bytes`. For the order of its steps see the top. */
static int rotate(struct journal *journal, uint64_t bytes)
{
	const struct disk *disk = journal->disk;
	uint64_t size = bytes + SEGMENT_HEAD + SEGMENT_SEAL;
	const char *made;

	const struct segment segment = {
		.bytes = size > journal->segment_bytes ? size : journal->segment_bytes,
		.first = journal->next,
		.revision = journal->revision,
		.history = journal->history,
	};
	/* One that holds nothing gives its name, and its place behind a seal, to the larger one. */
	bool empty = journal->offset == SEGMENT_HEAD;
	int rc = journal->synced < journal->next - 1 ? disk->sync(disk->context, journal->file) : 0;
	if (rc != 0)
		return rc;
	journal->synced = journal->next - 1;
	int file = take_file(journal, segment.bytes, &made);
	if (file < 0)
		return file;
	rc = segment_begin(disk, file, made, &segment);
	if (rc == 0 && !empty)
		rc = write_seal(journal);
	if (rc != 0) {
		disk->close(disk->context, file);
		return rc;
	}
	disk->close(disk->context, journal->file);
	journal->bytes += segment.bytes - (empty ? journal->segment.bytes : 0);
	journal->file = file;
	journal->segment = segment;
	journal->offset = SEGMENT_HEAD;
	segment_name(journal->name, segment.first);
	return 0;
}

/* One after the other, each removal waited for: a gap between segments would be taken for damage. */
int journal_forget(struct journal *journal, uint64_t round)
{
	const struct disk *disk = journal->disk;
	struct segment_list list;
	int rc = segment_list(disk, &list);

	for (size_t i = 0; rc == 0 && i + 1 < list.count && list.firsts[i + 1] <= round &&
			   list.firsts[i] < journal->segment.first; i++) {
		char name[JOURNAL_NAME_BYTES];
		int64_t size = segment_size(disk, list.firsts[i]);
		segment_name(name, list.firsts[i]);
		rc = size < 0 ? (int)size : disk->remove(disk->context, name);
		if (rc == 0)
			journal->bytes -= (uint64_t)size;
		if (rc == 0)
			rc = disk->sync_folder(disk->context);
	}
	segment_list_clear(&list);
	return rc;
}

/* ---- rounds ---- */

int journal_append(struct journal *journal, const struct round *round, struct journal_fault *fault)
{
	uint64_t bytes = frame_bytes(round->size);
	int rc;

	assert(round->number == journal->next && round->revision >= journal->revision);
	if (journal->failed != 0)
		return fail(journal, -journal->failed, "nothing can be added since an earlier failure", fault);
	if (!make_room(journal, bytes))
		return fail(journal, -ENOMEM, "a round cannot be added", fault);
	if (bytes > journal->segment.bytes - journal->offset - SEGMENT_SEAL) {
		rc = rotate(journal, bytes);
		if (rc != 0)
			return fail(journal, rc, "the next segment cannot be begun", fault);
	}
	/* A mark can tell so much, and no more. */
	if (round->number - journal->synced > FRAME_LAG_MAX && journal_sync(journal, fault) != 0)
		return -journal->failed;
	const struct frame frame = {
		.kind = FRAME_ROUND,
		.lag = (uint32_t)(round->number - journal->synced),
		.number = round->number,
		.revision = round->revision,
		.time_us = round->time_us,
		.size = round->size,
		.count = round->count,
	};
	frame_write(journal->sectors, &frame, round->records);
	rc = disk_write_all(journal->disk, journal->file, journal->sectors, (size_t)bytes, journal->offset);
	if (rc != 0)
		return fail(journal, rc, "a round cannot be written", fault);
	journal->offset += bytes;
	journal->appended += bytes;
	journal->revision = round->revision;
	journal->next++;
	return 0;
}

int journal_sync(struct journal *journal, struct journal_fault *fault)
{
	if (journal->failed != 0)
		return fail(journal, -journal->failed, "nothing can be synced since an earlier failure", fault);
	if (journal->synced == journal->next - 1)
		return 0;
	int rc = journal->disk->sync(journal->disk->context, journal->file);
	if (rc != 0)
		return fail(journal, rc, "what was written cannot be synced", fault);
	journal->synced = journal->next - 1;
	return 0;
}

uint64_t journal_appended(const struct journal *journal)
{
	return journal->appended;
}

uint64_t journal_bytes(const struct journal *journal)
{
	return journal->bytes;
}
