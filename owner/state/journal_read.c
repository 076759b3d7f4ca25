/* SPDX-License-Identifier: MIT
 *
 * journal_read.c - reads the rounds of a journal, and tells its end from damage.
 *
 * At each place there are five things that can be found. A sound round; a seal, behind which
 * the next segment must exist; zeros to the end of the file, which is the end of the journal;
 * an unfinished round, which is the end too; and everything else, which is damage. The last
 * three are told apart by looking at every sector to the end of the file (at_end), so that no
 * byte of a segment goes unlooked at.
 *
 * Only the last segment has an end without a seal, with one exception: the next segment is made
 * before the seal is written, so that a crash between the two leaves an empty segment behind
 * one without a seal. No round is written to it before the seal is synced (journal.c), so one
 * with a round in it means that the seal was lost.
 *
 * An owner may be writing at the same time. It writes in order, so nothing wrong can be seen at
 * a place that was read after what lies behind it: before damage or an end is told, the place
 * is read once more (moved_on).
 */
#include "owner/state/frame.h"
#include "owner/state/segment.h"
#include "owner/state/window.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 16 };

enum step {
	STEP_ROUND,
	STEP_SEGMENT, /* goes on in the next one */
	STEP_END,
	STEP_DAMAGED,
	STEP_FAILED,
};

struct journal_reader {
	const struct disk *disk;
	uint64_t history, from;
	uint64_t begin; /* first round of the segment to begin with; 0: there is none */
	uint64_t oldest;
	uint64_t done, all;

	int file; /* the segment that is read; negative: none yet */
	char name[JOURNAL_NAME_BYTES];
	struct segment segment; /* its size should be the file's, window.end */
	uint64_t offset, next, revision;
	uint64_t seen; /* bytes at `offset` on which the verdict rests */
	/* Rounds that begin before `settled` were synced: a later one's mark says so. The next that will be
	 * known. */
	uint64_t settled, settling, settling_round;

	struct window window;
	uint8_t *piece; /* PIECE bytes, for looking ahead */
	uint8_t *records;
	size_t records_room;

	enum journal_result result; /* what is told from now on, unless JOURNAL_ROUND */
	struct journal_end end;
	struct journal_fault fault;
};

static enum step fail(struct journal_reader *reader, int error, uint64_t offset)
{
	journal_blame(&reader->fault, reader->name, offset, reader->next, error, "cannot be read");
	return STEP_FAILED;
}

/* All before the offset is sound. */
__attribute__((format(printf, 3, 4))) static enum step damaged(struct journal_reader *reader, uint64_t byte,
								const char *format, ...)
{
	char what[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	journal_blame(&reader->fault, reader->name, byte, reader->next, 0, "%s", what);
	reader->fault.cut = reader->offset;
	return STEP_DAMAGED;
}

/* `size` bytes at `offset` of the file, which has them; NULL: *step. Valid until the next call. */
static const uint8_t *bytes_at(struct journal_reader *reader, uint64_t offset, size_t size, enum step *step)
{
	int rc = window_move(&reader->window, offset, size);

	if (rc == 0)
		return window_at(&reader->window, offset);
	*step = fail(reader, rc, offset);
	return NULL;
}

/* Whether the bytes on which a verdict rests are others by now: then the file was being written. */
static bool moved_on(struct journal_reader *reader)
{
	return reader->seen > 0 && window_changed(&reader->window, reader->offset, reader->seen,
						  reader->piece, PIECE);
}

/* ---- segments ---- */

static enum step open_segment(struct journal_reader *reader, uint64_t first)
{
	const struct disk *disk = reader->disk;
	char before[JOURNAL_NAME_BYTES];
	struct segment segment;
	enum step step = STEP_FAILED;
	bool chained = reader->file >= 0;

	snprintf(before, sizeof before, "%s", reader->name);
	segment_name(reader->name, first);
	int file = disk->open(disk->context, reader->name, DISK_READ);
	if (file == -ENOENT && chained) {
		reader->offset = reader->seen = 0;
		/* An owner that lives may have forgotten both. */
		if (segment_size(disk, reader->segment.first) == -ENOENT)
			return fail(reader, ESTALE, 0);
		return damaged(reader, 0, "it is missing: %s ends with the promise that it is there", before);
	}
	if (file < 0)
		return fail(reader, file, 0);
	if (chained)
		disk->close(disk->context, reader->file);
	reader->file = file;
	reader->offset = reader->seen = 0;
	reader->next = first;
	int64_t size = disk->size(disk->context, file);
	if (size < 0)
		return fail(reader, (int)size, 0);
	window_begin(&reader->window, disk, file, (uint64_t)size);
	if (size < SEGMENT_HEAD)
		return damaged(reader, (uint64_t)size, "the file ends here: it was cut short");
	const uint8_t *sector = bytes_at(reader, 0, SEGMENT_HEAD, &step);
	if (sector == NULL)
		return step;
	const char *wrong = segment_read(sector, &segment);
	if (wrong != NULL)
		return damaged(reader, 0, "%s", wrong);
	if (segment.first != first)
		return damaged(reader, 24, "it begins with round %" PRIu64 " and should be called otherwise",
			       segment.first);
	if (reader->history != 0 && segment.history != reader->history)
		return damaged(reader, 40, "it is of another history, %016" PRIx64 " and not %016" PRIx64,
			       segment.history, reader->history);
	if (chained && segment.revision != reader->revision)
		return damaged(reader, 32, "it begins at revision %" PRIu64
					   ", and the one before it ends at %" PRIu64,
			       segment.revision, reader->revision);
	reader->history = segment.history;
	reader->revision = segment.revision;
	reader->segment = segment;
	reader->offset = reader->settled = reader->settling = SEGMENT_HEAD;
	reader->settling_round = 0;
	return STEP_SEGMENT;
}

static enum step wrong_size(struct journal_reader *reader)
{
	uint64_t at = reader->window.end < reader->segment.bytes ? reader->window.end : reader->segment.bytes;

	return damaged(reader, at, "the file has %" PRIu64 " bytes and should have %" PRIu64 ": it was %s",
		       reader->window.end, reader->segment.bytes,
		       reader->window.end < reader->segment.bytes ? "cut short" : "added to");
}

static enum step does_not_fit(struct journal_reader *reader, const char *what)
{
	if (reader->window.end != reader->segment.bytes)
		return wrong_size(reader);
	return damaged(reader, reader->offset, "there is no room for %s that should be here", what);
}

/* The first round of the first segment behind this one; 0: there is none. False: *step. */
static bool later_segment(struct journal_reader *reader, uint64_t *first, enum step *step)
{
	struct segment_list list;
	int rc = segment_list(reader->disk, &list);

	*first = 0;
	if (rc != 0) {
		journal_blame(&reader->fault, "", 0, reader->next, rc, "the folder cannot be listed");
		*step = STEP_FAILED;
		return false;
	}
	for (size_t i = 0; i < list.count && *first == 0; i++)
		if (list.firsts[i] > reader->segment.first)
			*first = list.firsts[i];
	segment_list_clear(&list);
	return true;
}

/* ---- ends ---- */

/* From `from` to the end of the file: *last is behind the last sector that is not zero (`from`: none), all of
 * which may be of unfinished rounds. STEP_END, or what is wrong. */
static enum step look_ahead(struct journal_reader *reader, uint64_t from, bool unfinished, uint64_t *last)
{
	*last = from;
	for (uint64_t at = from; at < reader->window.end;) {
		uint64_t left = reader->window.end - at;
		size_t size = left < PIECE ? (size_t)left : PIECE;
		int rc = disk_read_all(reader->disk, reader->file, reader->piece, size, at);
		if (rc != 0)
			return fail(reader, rc, at);
		/* wrong_size has seen to it that there are whole sectors only. */
		for (size_t in = 0; in < size; in += FRAME_SECTOR) {
			const uint8_t *sector = reader->piece + in;
			if (frame_zero(sector))
				continue;
			if (!frame_marked(sector) || !unfinished) {
				uint64_t byte = 0;
				while (sector[byte] == 0)
					byte++;
				return damaged(reader, at + in + byte,
					       "there should be nothing but zeros behind round %" PRIu64,
					       reader->next - 1);
			}
			if (!frame_unsynced(sector, reader->next))
				return damaged(reader, at + in,
					       "round %" PRIu64 " is gone from byte %" PRIu64
					       ", and this was written after it had been synced",
					       reader->next, reader->offset);
			*last = at + in + FRAME_SECTOR;
		}
		at += size;
	}
	return STEP_END;
}

/* Whether the segment `first`, behind the end of this one, is what a crash before the seal was written
 * leaves: its first sector and nothing. */
static enum step look_into(struct journal_reader *next, uint64_t first, uint64_t revision, bool *used)
{
	enum step step = open_segment(next, first);
	uint64_t last;

	*used = false;
	if (step != STEP_SEGMENT)
		return step;
	if (next->segment.revision != revision) {
		next->offset = 0;
		return damaged(next, 32, "it begins at revision %" PRIu64
					 ", and the one before it ends at %" PRIu64,
			       next->segment.revision, revision);
	}
	if (next->window.end != next->segment.bytes)
		return wrong_size(next);
	const uint8_t *sector = bytes_at(next, SEGMENT_HEAD, FRAME_SECTOR, &step);
	if (sector == NULL)
		return step;
	*used = frame_marked(sector);
	return *used ? STEP_DAMAGED : look_ahead(next, SEGMENT_HEAD, false, &last);
}

static enum step look_at_next(struct journal_reader *reader, uint64_t first)
{
	struct journal_reader next = {
		.disk = reader->disk, .history = reader->history, .file = -1, .piece = reader->piece
	};
	bool used;

	enum step step = look_into(&next, first, reader->revision, &used);
	if (used)
		step = damaged(reader, reader->offset,
			       "the seal behind round %" PRIu64 " is gone: %s follows and is in use",
			       reader->next - 1, next.name);
	else
		reader->fault = next.fault;
	if (next.file >= 0)
		reader->disk->close(reader->disk->context, next.file);
	window_clear(&next.window);
	return step;
}

/* There is no sound round at the offset, nor anything that is wrong by itself. */
static enum step at_end(struct journal_reader *reader)
{
	uint64_t last, first;
	enum step step;

	if (reader->window.end != reader->segment.bytes)
		return wrong_size(reader);
	step = look_ahead(reader, reader->offset, true, &last);
	if (step != STEP_END || !later_segment(reader, &first, &step))
		return step;
	if (first != 0 && last != reader->offset)
		return damaged(reader, reader->offset,
			       "round %" PRIu64 " is unfinished, and a later segment was begun after it",
			       reader->next);
	if (first != 0 && first != reader->next)
		return damaged(reader, reader->offset,
			       "rounds %" PRIu64 " to %" PRIu64
			       " are gone: the next segment begins behind them", reader->next, first - 1);
	if (first != 0)
		step = look_at_next(reader, first);
	if (step != STEP_END)
		return step;
	reader->end = (struct journal_end){
		.offset = reader->offset,
		.round = reader->next,
		.revision = reader->revision,
		.torn = last - reader->offset,
		.settled = reader->settled,
		.first = reader->oldest < reader->next ? reader->oldest : 0,
		.bytes = reader->all,
		.history = reader->history,
	};
	memcpy(reader->end.name, reader->name, sizeof reader->name);
	return STEP_END;
}

/* The seal is sound. What lies behind it was never written; what is wrong there costs no round. */
static enum step at_seal(struct journal_reader *reader)
{
	uint64_t last;
	enum step step;

	reader->offset += FRAME_SECTOR;
	reader->seen = 0;
	if (reader->window.end != reader->segment.bytes)
		step = wrong_size(reader);
	else
		step = look_ahead(reader, reader->offset, false, &last);
	if (step != STEP_END) {
		reader->fault.alone = step == STEP_DAMAGED;
		return step;
	}
	uint64_t size = reader->window.end;
	step = open_segment(reader, reader->next);
	if (step == STEP_SEGMENT)
		reader->done += size;
	return step;
}

/* ---- rounds ---- */

static enum step at_round(struct journal_reader *reader, const struct frame *frame, const uint8_t *sectors,
			  uint64_t bytes, struct round *round)
{
	if (frame->size > reader->records_room) {
		uint8_t *grown = realloc(reader->records, (size_t)frame->size);
		if (grown == NULL)
			return fail(reader, ENOMEM, reader->offset);
		reader->records = grown;
		reader->records_room = (size_t)frame->size;
	}
	/* Records that nobody asked for are looked at, for they may be damaged, and not taken out. */
	if (frame->number >= reader->from)
		frame_records(sectors, frame, reader->records);
	*round = (struct round){
		.number = frame->number,
		.time_us = frame->time_us,
		.revision = frame->revision,
		.count = frame->count,
		.records = reader->records,
		.size = (size_t)frame->size,
	};
	if (reader->settling_round != 0 && frame->number >= reader->settling_round + frame->lag) {
		reader->settled = reader->settling;
		reader->settling_round = 0;
	}
	reader->offset += bytes;
	reader->next++;
	reader->revision = frame->revision;
	if (reader->settling_round == 0) {
		reader->settling = reader->offset;
		reader->settling_round = frame->number;
	}
	return STEP_ROUND;
}

static enum step look(struct journal_reader *reader, struct round *round)
{
	uint64_t told = reader->segment.bytes, usable = reader->window.end < told ? reader->window.end : told;
	struct frame frame;
	enum step step = STEP_FAILED;
	uint64_t at;

	reader->seen = 0;
	if (usable - reader->offset < FRAME_SECTOR)
		return does_not_fit(reader, "the seal");
	reader->seen = FRAME_SECTOR;
	const uint8_t *sectors = bytes_at(reader, reader->offset, FRAME_SECTOR, &step);
	if (sectors == NULL)
		return step;
	if (frame_zero(sectors))
		return at_end(reader);
	const char *wrong = frame_read(sectors, &frame);
	if (wrong != NULL)
		return damaged(reader, reader->offset, "where round %" PRIu64 " should be, %s", reader->next,
			       wrong);
	if (frame.number != reader->next)
		return damaged(reader, reader->offset, "here is round %" PRIu64 ", and %" PRIu64 " should be",
			       frame.number, reader->next);
	uint64_t bytes = frame_bytes(frame.size);
	if (frame.kind == FRAME_ROUND && bytes > usable - reader->offset - SEGMENT_SEAL)
		return does_not_fit(reader, "the round");
	sectors = bytes_at(reader, reader->offset, (size_t)bytes, &step);
	if (sectors == NULL)
		return step;
	reader->seen = bytes;
	switch (frame_check(sectors, &frame, &at)) {
	case FRAME_UNFINISHED:
		return at_end(reader);
	case FRAME_WRONG:
		return damaged(reader, reader->offset + at,
			       "%s of round %" PRIu64 " is wrong: not the bytes that were written",
			       at == 0 ? "the checksum" : "a sector", reader->next);
	case FRAME_SOUND:
		break;
	}
	if (frame.kind == FRAME_SEAL && frame.revision == reader->revision)
		return at_seal(reader);
	if (frame.kind == FRAME_SEAL || frame.revision < reader->revision)
		return damaged(reader, reader->offset, "revision %" PRIu64 " follows revision %" PRIu64,
			       frame.revision, reader->revision);
	return at_round(reader, &frame, sectors, bytes, round);
}

/* ---- the whole ---- */

/* Chooses the segment to begin with, and sums up the sizes of those that there are. */
static int survey(struct journal_reader *reader)
{
	struct segment_list list;
	int rc = segment_list(reader->disk, &list);

	if (rc != 0)
		return rc;
	reader->begin = reader->oldest = reader->all = reader->done = 0;
	for (size_t i = 0; i < list.count; i++) {
		int64_t size = segment_size(reader->disk, list.firsts[i]);
		if (size == -ENOENT) /* forgotten by a living owner since it was listed */
			continue;
		if (size < 0) {
			rc = (int)size;
			break;
		}
		if (reader->oldest == 0)
			reader->oldest = list.firsts[i];
		if (reader->begin == 0 || list.firsts[i] <= reader->from) {
			reader->begin = list.firsts[i];
			reader->done = reader->all;
		}
		reader->all += (uint64_t)size;
	}
	segment_list_clear(&list);
	return rc;
}

struct journal_reader *journal_reader_new(const struct disk *disk, uint64_t history, uint64_t from,
					  struct journal_fault *fault)
{
	struct journal_reader *reader = calloc(1, sizeof *reader);
	int rc = -ENOMEM;

	if (reader != NULL) {
		*reader = (struct journal_reader){ .disk = disk, .history = history, .from = from,
						   .file = -1 };
		reader->piece = malloc(PIECE);
		if (reader->piece != NULL)
			rc = survey(reader);
	}
	if (rc == 0)
		return reader;
	journal_blame(fault, "", 0, from, rc, "it cannot be looked for");
	journal_reader_destroy(&reader);
	return NULL;
}

static enum step begin(struct journal_reader *reader)
{
	uint64_t from = reader->from;

	if (reader->begin == 0) {
		reader->end = (struct journal_end){ .round = from > 0 ? from : 1,
						    .history = reader->history };
		return STEP_END;
	}
	if (from != 0 && reader->begin > from) {
		journal_blame(&reader->fault, "", 0, from, 0,
			      "it begins with round %" PRIu64 ", rounds from %" PRIu64
			      " on are needed and gone", reader->begin, from);
		return STEP_DAMAGED;
	}
	return open_segment(reader, reader->begin);
}

static enum step next(struct journal_reader *reader, struct round *round)
{
	enum step step = reader->file < 0 ? begin(reader) : STEP_SEGMENT;

	while (step == STEP_SEGMENT || (step == STEP_ROUND && round->number < reader->from)) {
		do {
			reader->fault.text[0] = '\0';
			step = look(reader, round);
		} while ((step == STEP_END || step == STEP_DAMAGED) && moved_on(reader));
	}
	if (step == STEP_END && reader->from > reader->end.round) {
		journal_blame(&reader->fault, "", 0, reader->end.round, 0,
			      "it ends before round %" PRIu64 ", and should go to %" PRIu64 " at least",
			      reader->end.round, reader->from - 1);
		return STEP_DAMAGED;
	}
	return step;
}

enum journal_result journal_read(struct journal_reader *reader, struct round *round, struct journal_end *end,
				 struct journal_fault *fault)
{
	static const enum journal_result results[] = {
		[STEP_ROUND] = JOURNAL_ROUND,	  [STEP_SEGMENT] = JOURNAL_ROUND, [STEP_END] = JOURNAL_ENDED,
		[STEP_DAMAGED] = JOURNAL_DAMAGED, [STEP_FAILED] = JOURNAL_FAILED,
	};

	if (reader->result == JOURNAL_ROUND)
		reader->result = results[next(reader, round)];
	if (reader->result == JOURNAL_ENDED)
		*end = reader->end;
	else if (reader->result != JOURNAL_ROUND)
		*fault = reader->fault;
	return reader->result;
}

uint64_t journal_history(const struct journal_reader *reader)
{
	return reader->history;
}

void journal_progress(const struct journal_reader *reader, uint64_t *done, uint64_t *all)
{
	*all = reader->all;
	*done = reader->result == JOURNAL_ENDED ? reader->all : reader->done + reader->offset;
}

void journal_reader_destroy(struct journal_reader **reader)
{
	struct journal_reader *it = *reader;

	*reader = NULL;
	if (it == NULL)
		return;
	if (it->file >= 0)
		it->disk->close(it->disk->context, it->file);
	window_clear(&it->window);
	free(it->piece);
	free(it->records);
	free(it);
}
