/* SPDX-License-Identifier: MIT
 *
 * journal.h - the rounds of a state's life on disk, in order, each with one sync.
 *
 * A journal is a chain of segments, files of a size that their header tells, filled with zeros
 * before use and never used again. A round begins at a sector of 512 bytes, and each of its
 * sectors begins with a mark that is not zero and bears the round's number, and how many rounds
 * were not yet known to be synced when it was written. So what a crash left unfinished (sectors
 * of the last rounds that are wholly zero, and nothing behind them that was written after they
 * had been synced) is told from what was damaged later (all sectors there and a checksum that
 * is wrong, or anything at all in a round that had been synced): the first is cut off, said,
 * and overwritten; for the second nothing is begun. What cannot be told: damage that turned
 * whole sectors at the end of the last round into zeros. sole-state(5) describes the bytes; the
 * checksums are CRC-32C (RFC 3720).
 *
 * Files: journal-NNNNNNNNNNNNNNNN, by the number of its first round in hexadecimal, `spare`, a
 * segment to come, and `segment.tmp`, one that is being made. A segment that is full ends with
 * a seal, which promises that the next one exists: so one that is missing is missed, the last
 * one too.
 *
 * No clock, no logging, and no thread of its own; the disk comes in. Allocation failure is
 * -ENOMEM.
 */
#ifndef SOLE_OWNER_JOURNAL_H
#define SOLE_OWNER_JOURNAL_H

#include "common/buffer.h"
#include "owner/state/disk.h"

#include <stdbool.h>

enum {
	JOURNAL_SECTOR_BYTES = 512,
	JOURNAL_NAME_BYTES = 32,
	JOURNAL_SEGMENT_LEAST = 65536,
};

/* What a round is on disk: what journal_append is given and journal_read gives back. */
struct round {
	uint64_t number;   /* 1, 2, ... of the history */
	int64_t time_us;   /* of the core's clock, at which its records were made */
	uint64_t revision; /* after it */
	uint32_t count;    /* of records */
	const uint8_t *records;
	size_t size;       /* of them */
};

/* Where and what is wrong. `text` is one line for a person: the file, the byte, what was found there and
 * what it means. */
struct journal_fault {
	char name[JOURNAL_NAME_BYTES]; /* file; empty: the folder as a whole */
	uint64_t offset, round; /* the byte; the first round that cannot be had */
	uint64_t cut; /* for journal_cut: where what is sound of the file ends; 0: nothing of it is */
	bool alone;   /* for journal_cut: no round is lost, later segments can stay */
	int error;    /* errno of what failed; 0: the disk gave everything, and it is wrong */
	char text[512];
};

/* The end of the sound rounds. */
struct journal_end {
	char name[JOURNAL_NAME_BYTES]; /* segment; empty: there is none at all */
	uint64_t offset;  /* in it, of the next round */
	uint64_t round;   /* number of the next round */
	uint64_t revision; /* after the last round; where there is no segment: 0, for the caller to set */
	uint64_t torn;    /* bytes of unfinished rounds behind it, which is no part of the journal; 0: none */
	uint64_t settled; /* in it: rounds that begin before this are known to have been synced once */
	uint64_t first;   /* the first round that is still there; 0: none */
	uint64_t bytes;   /* of all segments */
	uint64_t history;
};

enum journal_result {
	JOURNAL_ROUND,   /* *round is the next one; valid until the reader is next used */
	JOURNAL_ENDED,   /* *end tells where */
	JOURNAL_DAMAGED, /* *fault tells where */
	JOURNAL_FAILED,  /* the disk or memory failed: fault->error */
};

struct journal_reader;

/* Reads rounds from number `from` on (0: the first that is there). A journal that begins later or ends before
 * from - 1 is damaged. An owner may be writing meanwhile: what it had written when reading came there is
 * read. `history` 0: whatever it is. NULL: *fault. */
struct journal_reader *journal_reader_new(const struct disk *disk, uint64_t history, uint64_t from,
					  struct journal_fault *fault);
enum journal_result journal_read(struct journal_reader *reader, struct round *round, struct journal_end *end,
				 struct journal_fault *fault);
/* Bytes looked at so far, and in all: how far reading has come. */
void journal_progress(const struct journal_reader *reader, uint64_t *done, uint64_t *all);
/* Of what has been read; 0: nothing yet. */
uint64_t journal_history(const struct journal_reader *reader);
void journal_reader_destroy(struct journal_reader **reader);

/* What a damaged journal loses when it is cut before the fault: moves the segment's content from there on,
 * and all later segments, to files of the same names with ".cut" appended (with ".cut2" and so on where there
 * are such), so that the journal ends before it. A fault of the folder as a whole (no name): all segments. 0
 * or a negative errno, and *problem says what failed; may be called again with what is then found. Only for
 * faults without an `error`. */
int journal_cut(const struct disk *disk, const struct journal_fault *fault, struct journal_fault *problem);

struct journal;

struct journal_settings {
	const struct disk *disk;
	uint64_t history;
	uint64_t segment_bytes; /* of new segments: whole sectors, JOURNAL_SEGMENT_LEAST at least */
};

/* Goes on at `end`, as journal_read told it: overwrites what is torn, makes the first segment where there is
 * none (from round end->round and end->revision on), and syncs what was read: a round that was found is
 * durable from here on, though a process that died may not have synced it. NULL: *fault. */
struct journal *journal_open(const struct journal_settings *settings, const struct journal_end *end,
			     struct journal_fault *fault);
void journal_close(struct journal **journal);

/* Writes the round, whose number is the next one; goes to a new segment where it does not fit. It is durable
 * when journal_sync has returned 0, not before. Not 0 (*fault): nothing can be added any more, and whether
 * the round is there is known only to who reads the journal again. */
int journal_append(struct journal *journal, const struct round *round, struct journal_fault *fault);
int journal_sync(struct journal *journal, struct journal_fault *fault);

/* Makes the segment to come, so that journal_append finds it; may be called from another thread, at any time,
 * one call at a time, and blocks as long as the disk takes. 0 also when it is there. journal_spare_wanted
 * tells cheaply whether to. */
bool journal_spare_wanted(const struct journal *journal);
int journal_make_spare(struct journal *journal);

/* Bytes appended since it was opened; size of all segments now. */
uint64_t journal_appended(const struct journal *journal);
uint64_t journal_bytes(const struct journal *journal);

/* The oldest segments whose rounds are all below `round` go, oldest first; the one being written stays. 0 or
 * a negative errno. */
int journal_forget(struct journal *journal, uint64_t round);

#endif
