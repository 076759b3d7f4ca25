/* SPDX-License-Identifier: MIT
 *
 * journal_start.c - goes on with a journal at the end that was read, or begins one.
 *
 * Makes true again what journal.c says holds at every moment, wherever the process before was
 * cut off. Until all of it is done nothing new is written, and each step leaves a journal that
 * is read as it was before, so that it can itself be cut off anywhere.
 */
#include "owner/state/journal_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Writes the end of the segment again as it was read: rounds that nothing says were synced, and zeros over an
 * unfinished one. Cut off anywhere in between, the same is found again: the sectors of rounds are the same
 * before and after, and of an unfinished round at least the sector that was zero stays zero.  If the sync
 * fails, the zeros may be what is read from now on, and still not be on the disk. Nobody would see that they
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
		rc = disk_read_all(disk, journal->file, last, sizeof last,
				   end->offset + end->torn - sizeof last);
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

/* The seal of the segment before an empty one: the process that wrote it may not have synced it; or it died
 * just before it wrote it, and who began to read at the empty one, because a snapshot reaches so far, has
 * not seen that. */
static int settle_seal(struct journal *journal, uint64_t first)
{
	const struct disk *disk = journal->disk;
	const struct frame seal = {
		.kind = FRAME_SEAL,
		.lag = 1,
		.number = journal->segment.first,
		.revision = journal->segment.revision,
	};
	char name[JOURNAL_NAME_BYTES];
	uint8_t sector[FRAME_SECTOR];
	struct frame frame;

	segment_name(name, first);
	int file = disk->open(disk->context, name, DISK_WRITE);
	if (file < 0)
		return file;
	int64_t at = segment_last(disk, file, sector);
	int rc = at < 0 ? (int)at : 0;
	if (rc == 0 && at > 0 && frame_is_of(sector, seal.number - 1)) {
		at += FRAME_SECTOR;
		frame_write(sector, &seal, NULL);
	} else if (rc == 0 && (at == 0 || frame_read(sector, &frame) != NULL || frame.kind != FRAME_SEAL ||
			       frame.number != seal.number)) {
		rc = -EUCLEAN;
	}
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
	int rc = journal_make_room(journal, ROUND_USUAL) ? segment_list(disk, &list) : -ENOMEM;

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

	assert(settings->segment_bytes % JOURNAL_SECTOR_BYTES == 0 &&
	       settings->segment_bytes >= JOURNAL_SEGMENT_LEAST);
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
	journal_fail(journal, rc, end->name[0] != '\0' ? "cannot be gone on with" : "cannot be made", fault);
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
