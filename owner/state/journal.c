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
#include "owner/state/journal_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int journal_fail(struct journal *journal, int rc, const char *what, struct journal_fault *fault)
{
	journal->failed = -rc;
	journal_blame(fault, journal->name, journal->offset, journal->next, rc, "%s", what);
	return rc;
}

bool journal_make_room(struct journal *journal, uint64_t bytes)
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

/* Gives a new segment its place: the spare, or one that is made now. Its file, or a negative errno. */
static int begin_next(struct journal *journal, const struct segment *segment)
{
	const struct disk *disk = journal->disk;
	const char *made = SEGMENT_TMP;
	int file = -1;

	/* Until the spare has lost that name none may be made in its place. One that is being made is waited
	 * for: that is nearer than to begin another. */
	pthread_mutex_lock(&journal->making);
	if (segment->bytes == journal->segment_bytes && atomic_load(&journal->spare)) {
		made = SEGMENT_SPARE;
		file = journal->spare_file;
		journal->spare_file = -1;
		atomic_store(&journal->spare, false);
	}
	if (file < 0)
		file = segment_make(disk, SEGMENT_TMP, segment->bytes);
	int rc = file >= 0 ? segment_begin(disk, file, made, segment) : file;
	pthread_mutex_unlock(&journal->making);
	if (rc == 0)
		return file;
	if (file >= 0)
		disk->close(disk->context, file);
	return rc;
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
	int file = begin_next(journal, &segment);
	if (file < 0)
		return file;
	rc = empty ? 0 : write_seal(journal);
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
#ifdef PLANT_DROP_ON_ROTATION
	struct round less = *round;
	if (bytes > journal->segment.bytes - journal->offset - SEGMENT_SEAL && round->count > 1) {
		for (size_t at = 0, record = 0; at < round->size; at += record) {
			record = round->records[at] | (size_t)round->records[at + 1] << 8 |
				 (size_t)round->records[at + 2] << 16;
			less.size = at;
		}
		less.count--;
		bytes = frame_bytes(less.size);
		round = &less;
	}
#endif

	assert(round->number == journal->next && round->revision >= journal->revision);
	if (journal->failed != 0)
		return journal_fail(journal, -journal->failed,
				    "nothing can be added since an earlier failure", fault);
	if (!journal_make_room(journal, bytes))
		return journal_fail(journal, -ENOMEM, "a round cannot be added", fault);
	if (bytes > journal->segment.bytes - journal->offset - SEGMENT_SEAL) {
		rc = rotate(journal, bytes);
		if (rc != 0)
			return journal_fail(journal, rc, "the next segment cannot be begun", fault);
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
		return journal_fail(journal, rc, "a round cannot be written", fault);
	journal->offset += bytes;
	journal->appended += bytes;
	journal->revision = round->revision;
	journal->next++;
	return 0;
}

int journal_sync(struct journal *journal, struct journal_fault *fault)
{
	if (journal->failed != 0)
		return journal_fail(journal, -journal->failed,
				    "nothing can be synced since an earlier failure", fault);
	if (journal->synced == journal->next - 1)
		return 0;
#ifdef PLANT_SKIP_SYNC
	journal->synced = journal->next - 1;
	return 0;
#endif
	int rc = journal->disk->sync(journal->disk->context, journal->file);
	if (rc != 0)
		return journal_fail(journal, rc, "what was written cannot be synced", fault);
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
