/* SPDX-License-Identifier: MIT
 *
 * journal_cut.c - ends a damaged journal before the damage, and keeps what is cut off.
 *
 * Later segments are set aside first. Until the damaged one is mended the damage is found there
 * again, so whatever of this was done when it is cut off, it can be begun again. The damaged
 * one is never changed in place: what is sound of it is copied to a new file, which takes its
 * name when it is on the disk, as is what was cut. A segment of which nothing is sound goes as
 * a whole, and then the seal before it, which promised that it is there.
 */
#include "owner/state/frame.h"
#include "owner/state/segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 16, CUTS_MAX = 999, CUT_NAME_BYTES = JOURNAL_NAME_BYTES + 16 };

/* A name for what is cut off of `name`, that no file has. */
static int cut_name(const struct disk *disk, const char *name, char cut[CUT_NAME_BYTES])
{
	for (int n = 1; n <= CUTS_MAX; n++) {
		snprintf(cut, CUT_NAME_BYTES, n == 1 ? "%s.cut" : "%s.cut%d", name, n);
		int file = disk->open(disk->context, cut, DISK_READ);
		if (file == -ENOENT)
			return 0;
		if (file < 0)
			return file;
		disk->close(disk->context, file);
	}
	return -EEXIST;
}

static int set_aside(const struct disk *disk, const char *name)
{
	char cut[CUT_NAME_BYTES];
	int rc = cut_name(disk, name, cut);

	return rc != 0 ? rc : disk->rename(disk->context, name, cut);
}

static int copy(const struct disk *disk, int from, uint64_t at, uint64_t end, int to, uint64_t to_at)
{
	uint8_t *piece = malloc(PIECE);
	int rc = piece != NULL ? 0 : -ENOMEM;

	while (rc == 0 && at < end) {
		size_t size = end - at < PIECE ? (size_t)(end - at) : PIECE;
		rc = disk_read_all(disk, from, piece, size, at);
		if (rc == 0)
			rc = disk_write_all(disk, to, piece, size, to_at);
		at += size;
		to_at += size;
	}
	free(piece);
	return rc;
}

/* Bytes from `from` to the end go to a file of their own. */
static int keep(const struct disk *disk, int file, const char *name, uint64_t from, uint64_t end)
{
	char cut[CUT_NAME_BYTES];
	int rc = cut_name(disk, name, cut);

	if (rc != 0 || from >= end)
		return rc;
	int to = disk->open(disk->context, cut, DISK_CREATE);
	if (to < 0)
		return to;
	rc = copy(disk, file, from, end, to, 0);
	if (rc == 0)
		rc = disk->sync(disk->context, to);
	disk->close(disk->context, to);
	return rc != 0 ? rc : disk->sync_folder(disk->context);
}

/* The size of what takes the place of a segment that is sound up to `cut`, with room for the seal behind
 * that. What its first sector tells is believed only as far as the file bears it out: it could tell of more
 * than there is disk. */
static uint64_t size_after(const struct segment *segment, uint64_t cut, uint64_t size)
{
	uint64_t whole = (size + JOURNAL_SECTOR_BYTES - 1) / JOURNAL_SECTOR_BYTES * JOURNAL_SECTOR_BYTES;

	if (whole < cut + SEGMENT_SEAL)
		whole = cut + SEGMENT_SEAL;
	return whole < segment->bytes ? whole : segment->bytes;
}

static int shorten(const struct disk *disk, int file, const char *name, uint64_t cut)
{
	uint8_t sector[SEGMENT_HEAD];
	struct segment segment;
	int64_t size = disk->size(disk->context, file);
	int rc = size < 0 ? (int)size : disk_read_all(disk, file, sector, sizeof sector, 0);

	if (rc != 0)
		return rc;
	if (segment_read(sector, &segment) != NULL || cut > segment.bytes)
		return -EUCLEAN;
	rc = keep(disk, file, name, cut, (uint64_t)size);
	if (rc != 0)
		return rc;
	segment.bytes = size_after(&segment, cut, (uint64_t)size);
	int sound = segment_make(disk, SEGMENT_TMP, segment.bytes);
	if (sound < 0)
		return sound;
	rc = copy(disk, file, SEGMENT_HEAD, cut, sound, SEGMENT_HEAD);
	if (rc == 0)
		rc = segment_begin(disk, sound, SEGMENT_TMP, &segment);
	disk->close(disk->context, sound);
	return rc;
}

/* Takes back what the segment before `next` promises. One sector: it is there or it is not. */
static int unseal(const struct disk *disk, uint64_t first, uint64_t next)
{
	char name[JOURNAL_NAME_BYTES];
	uint8_t sector[FRAME_SECTOR];
	struct frame frame;

	segment_name(name, first);
	int file = disk->open(disk->context, name, DISK_WRITE);
	if (file < 0)
		return file;
	int64_t at = segment_last(disk, file, sector);
	int rc = at < 0 ? (int)at : 0;
	if (at > 0 && frame_read(sector, &frame) == NULL && frame.kind == FRAME_SEAL &&
	    frame.number == next) {
		rc = segment_wipe(disk, file, (uint64_t)at, (uint64_t)at + FRAME_SECTOR);
		if (rc == 0)
			rc = disk->sync(disk->context, file);
	}
	disk->close(disk->context, file);
	return rc;
}

static int drop(const struct disk *disk, const char *name, uint64_t before, uint64_t first)
{
	int rc = set_aside(disk, name);

	if (rc == -ENOENT) /* it is the one that is missing */
		rc = 0;
	if (rc == 0)
		rc = disk->sync_folder(disk->context);
	return rc == 0 && before != 0 ? unseal(disk, before, first) : rc;
}

static int cut(const struct disk *disk, const struct journal_fault *fault, const struct segment_list *list)
{
	char name[JOURNAL_NAME_BYTES];
	uint64_t before = 0, first = 0;
	size_t later = 0;
	int rc = 0;

	/* Names of segments sort as their rounds do. The one that is meant may be missing. */
	for (; later < list->count; later++) {
		segment_name(name, list->firsts[later]);
		if (strcmp(name, fault->name) > 0)
			break;
		before = first;
		first = list->firsts[later];
	}
	for (size_t i = list->count; i > later && rc == 0 && !fault->alone; i--) {
		segment_name(name, list->firsts[i - 1]);
		rc = set_aside(disk, name);
	}
	if (rc == 0)
		rc = disk->sync_folder(disk->context);
	if (rc != 0 || fault->name[0] == '\0')
		return rc;
	if (fault->cut == 0) {
		segment_name(name, first);
		if (first == 0 || strcmp(name, fault->name) != 0)
			before = first;
		return drop(disk, fault->name, before, fault->round);
	}
	int file = disk->open(disk->context, fault->name, DISK_READ);
	if (file < 0)
		return file;
	rc = shorten(disk, file, fault->name, fault->cut);
	disk->close(disk->context, file);
	return rc;
}

int journal_cut(const struct disk *disk, const struct journal_fault *fault, struct journal_fault *problem)
{
	struct segment_list list;
	int rc = fault->error != 0 ? -fault->error : segment_list(disk, &list);

	if (rc == 0) {
		rc = cut(disk, fault, &list);
		segment_list_clear(&list);
	}
	if (rc != 0)
		journal_blame(problem, fault->name, fault->offset, fault->round, rc,
			      "the damage cannot be cut off");
	return rc;
}
