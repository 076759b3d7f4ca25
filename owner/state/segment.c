/* SPDX-License-Identifier: MIT
 *
 * segment.c - the files of a journal.
 *
 * A segment's zeros are written and synced, not asked of the file system as a hole or an
 * unwritten extent: a sync of a round then has no metadata to write, and a full disk is met
 * when the segment is made and not when a round is written.
 */
#include "owner/state/segment.h"

#include "owner/state/crc32c.h"
#include "owner/state/frame.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CRC_AT = 8, FORMAT_AT = 12, PIECE = 1 << 16 };

static const char magic[8] = "SOLEJRNL";
static const char prefix[] = "journal-";

/* Never written: not const, so that it takes no room in the program's file. */
static uint8_t zeros[PIECE];

void segment_name(char name[JOURNAL_NAME_BYTES], uint64_t first)
{
	snprintf(name, JOURNAL_NAME_BYTES, "%s%016" PRIx64, prefix, first);
}

/* Only the names that segment_name makes, and no other spelling of the number. */
static bool named(const char *name, uint64_t *first)
{
	char again[JOURNAL_NAME_BYTES];

	if (strncmp(name, prefix, sizeof prefix - 1) != 0)
		return false;
	*first = strtoull(name + sizeof prefix - 1, NULL, 16);
	segment_name(again, *first);
	return strcmp(name, again) == 0 && *first != 0;
}

static void put(uint8_t *sector, size_t at, uint64_t v)
{
	v = htole64(v);
	memcpy(sector + at, &v, sizeof v);
}

static uint64_t get(const uint8_t *sector, size_t at)
{
	uint64_t v;

	memcpy(&v, sector + at, sizeof v);
	return le64toh(v);
}

static uint32_t get_u32(const uint8_t *sector, size_t at)
{
	uint32_t v;

	memcpy(&v, sector + at, sizeof v);
	return le32toh(v);
}

static void head_write(uint8_t sector[SEGMENT_HEAD], const struct segment *segment)
{
	uint32_t format = htole32(SEGMENT_FORMAT), crc;

	memset(sector, 0, SEGMENT_HEAD);
	memcpy(sector, magic, sizeof magic);
	memcpy(sector + FORMAT_AT, &format, sizeof format);
	put(sector, 16, segment->bytes);
	put(sector, 24, segment->first);
	put(sector, 32, segment->revision);
	put(sector, 40, segment->history);
	crc = htole32(crc32c(0, sector + FORMAT_AT, SEGMENT_HEAD - FORMAT_AT));
	memcpy(sector + CRC_AT, &crc, sizeof crc);
}

const char *segment_read(const uint8_t *sector, struct segment *segment)
{
	if (memcmp(sector, magic, sizeof magic) != 0)
		return "it does not begin as a journal does";
	if (get_u32(sector, CRC_AT) != crc32c(0, sector + FORMAT_AT, SEGMENT_HEAD - FORMAT_AT))
		return "the checksum of its first sector is wrong";
	if (get_u32(sector, FORMAT_AT) != SEGMENT_FORMAT)
		return "it is of a format that this version does not know";
	*segment = (struct segment){
		.bytes = get(sector, 16),
		.first = get(sector, 24),
		.revision = get(sector, 32),
		.history = get(sector, 40),
	};
	if (segment->bytes % JOURNAL_SECTOR_BYTES != 0 || segment->bytes < SEGMENT_HEAD + SEGMENT_SEAL ||
	    segment->bytes > INT64_MAX)
		return "its first sector tells a size that no segment has";
	return NULL;
}

static void found(void *argument, const char *name)
{
	struct segment_list *list = argument;
	uint64_t first;

	if (!named(name, &first))
		return;
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		uint64_t *grown = realloc(list->firsts, room * sizeof *grown);
		if (grown == NULL) {
			list->failed = true;
			return;
		}
		list->firsts = grown;
		list->room = room;
	}
	list->firsts[list->count++] = first;
}

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int segment_list(const struct disk *disk, struct segment_list *list)
{
	*list = (struct segment_list){ 0 };
	int rc = disk->list(disk->context, found, list);
	if (rc == 0 && list->failed)
		rc = -ENOMEM;
	if (rc < 0)
		segment_list_clear(list);
	else if (list->count > 1)
		qsort(list->firsts, list->count, sizeof *list->firsts, ascending);
	return rc;
}

void segment_list_clear(struct segment_list *list)
{
	free(list->firsts);
	*list = (struct segment_list){ 0 };
}

int64_t segment_size(const struct disk *disk, uint64_t first)
{
	char name[JOURNAL_NAME_BYTES];

	segment_name(name, first);
	int file = disk->open(disk->context, name, DISK_READ);
	if (file < 0)
		return file;
	int64_t size = disk->size(disk->context, file);
	disk->close(disk->context, file);
	return size;
}

int segment_wipe(const struct disk *disk, int file, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t left = to - from;
		size_t piece = left < PIECE ? (size_t)left : PIECE;
		int rc = disk_write_all(disk, file, zeros, piece, from);
		if (rc != 0)
			return rc;
		from += piece;
	}
	return 0;
}

int segment_remove(const struct disk *disk, const char *name)
{
	int rc = disk->remove(disk->context, name);

	return rc == -ENOENT ? 0 : rc;
}

int segment_make(const struct disk *disk, const char *name, uint64_t bytes)
{
	int rc = segment_remove(disk, name);

	if (rc != 0)
		return rc;
	int file = disk->open(disk->context, name, DISK_CREATE);
	if (file < 0)
		return file;
	rc = segment_wipe(disk, file, 0, bytes);
	if (rc == 0)
		rc = disk->sync(disk->context, file);
	if (rc == 0)
		return file;
	disk->close(disk->context, file);
	disk->remove(disk->context, name);
	return rc;
}

/* The first sector and the zeros are on the disk before the name is, so that whatever bears a segment's name
 * is a whole segment. */
int segment_begin(const struct disk *disk, int file, const char *made, const struct segment *segment)
{
	uint8_t sector[SEGMENT_HEAD];
	char name[JOURNAL_NAME_BYTES];

	head_write(sector, segment);
	segment_name(name, segment->first);
	int rc = disk_write_all(disk, file, sector, sizeof sector, 0);
	if (rc == 0)
		rc = disk->sync(disk->context, file);
	if (rc == 0)
		rc = disk->rename(disk->context, made, name);
	if (rc == 0)
		rc = disk->sync_folder(disk->context);
	return rc;
}

int64_t segment_last(const struct disk *disk, int file, uint8_t sector[JOURNAL_SECTOR_BYTES])
{
	uint8_t *piece = malloc(PIECE);
	int64_t size = disk->size(disk->context, file), at = 0;

	if (piece == NULL)
		return -ENOMEM;
	for (int64_t end = size / FRAME_SECTOR * FRAME_SECTOR; end > SEGMENT_HEAD && at == 0;) {
		int64_t begin = end - SEGMENT_HEAD > PIECE ? end - PIECE : SEGMENT_HEAD;
		int rc = disk_read_all(disk, file, piece, (size_t)(end - begin), (uint64_t)begin);
		if (rc != 0) {
			size = rc;
			break;
		}
		for (int64_t in = end - begin - FRAME_SECTOR; in >= 0 && at == 0; in -= FRAME_SECTOR)
			if (!frame_zero(piece + in)) {
				memcpy(sector, piece + in, FRAME_SECTOR);
				at = begin + in;
			}
		end = begin;
	}
	free(piece);
	return size < 0 ? size : at;
}

void journal_blame(struct journal_fault *fault, const char *name, uint64_t offset, uint64_t round, int error,
		   const char *format, ...)
{
	char what[320];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	*fault = (struct journal_fault){ .offset = offset, .round = round,
					 .error = error < 0 ? -error : error };
	snprintf(fault->name, sizeof fault->name, "%s", name);
	if (*name == '\0')
		snprintf(fault->text, sizeof fault->text, "the journal: %s%s%s", what, error != 0 ? ": " : "",
			 error != 0 ? strerror(fault->error) : "");
	else
		snprintf(fault->text, sizeof fault->text, "%s: byte %" PRIu64 ": %s%s%s", fault->name, offset,
			 what, error != 0 ? ": " : "", error != 0 ? strerror(fault->error) : "");
}
