/* SPDX-License-Identifier: MIT
 *
 * segment.h - the files of a journal: their names, their first sector, and how one comes to be.
 *
 * The first sector tells, little-endian, and with zeros to its end:
 *
 *	 0  8 bytes  "SOLEJRNL"
 *	 8  u32      CRC of byte 12 to the end of the sector
 *	12  u32      format, 1
 *	16  u64      size of the file
 *	24  u64      number of the first round
 *	32  u64      revision before it
 *	40  u64      history
 *
 * Shared by the parts of the journal (journal.c, journal_read.c, journal_cut.c) and by nobody else.
 */
#ifndef SOLE_OWNER_SEGMENT_H
#define SOLE_OWNER_SEGMENT_H

#include "owner/state/journal.h"

enum {
	SEGMENT_FORMAT = 1,
	SEGMENT_HEAD = JOURNAL_SECTOR_BYTES, /* the first round begins behind it */
	SEGMENT_SEAL = JOURNAL_SECTOR_BYTES, /* kept free for the seal by every round */
};

#define SEGMENT_SPARE "spare"
#define SEGMENT_TMP   "segment.tmp"

struct segment {
	uint64_t bytes, first, revision, history;
};

void segment_name(char name[JOURNAL_NAME_BYTES], uint64_t first);

/* What a first sector tells: NULL, or what is wrong. */
const char *segment_read(const uint8_t *sector, struct segment *segment);

/* First rounds of all segments of the folder, ascending. 0 or a negative errno; free `firsts`. */
struct segment_list {
	uint64_t *firsts;
	size_t count, room;
	bool failed;
};
int segment_list(const struct disk *disk, struct segment_list *list);
void segment_list_clear(struct segment_list *list);

/* Size of a segment's file, or a negative errno. */
int64_t segment_size(const struct disk *disk, uint64_t first);

/* Makes a file of `bytes` zeros, in place of one of that name; synced. Its number, open for writing, or a
 * negative errno, and then there is no such file. */
int segment_make(const struct disk *disk, const char *name, uint64_t bytes);
/* Writes the first sector of what segment_make made, and gives it its place in the journal: all of that
 * survives when this returns 0. Otherwise a negative errno. */
int segment_begin(const struct disk *disk, int file, const char *made, const struct segment *segment);

/* The last sector of a file that is not zero: its offset, and its bytes; 0: there is none behind the first
 * sector. A negative errno. */
int64_t segment_last(const struct disk *disk, int file, uint8_t sector[JOURNAL_SECTOR_BYTES]);

/* Zeros over [from, to). */
int segment_wipe(const struct disk *disk, int file, uint64_t from, uint64_t to);

/* Removes it; 0 also when there is none. */
int segment_remove(const struct disk *disk, const char *name);

/* Fills *fault: `error` 0 or an errno. Text is "NAME: byte OFFSET: ..." and the errno's. */
__attribute__((format(printf, 6, 7))) void journal_blame(struct journal_fault *fault, const char *name,
							 uint64_t offset,
							  uint64_t round, int error, const char *format, ...);

#endif
