/* SPDX-License-Identifier: MIT
 *
 * frame.h - a round as the sectors of a journal: pure bytes.
 *
 * A frame is one or more sectors of 512 bytes, each with a mark of 8 bytes:
 *
 *	 0  u16  magic, neither byte zero
 *	 2  u16  lag: rounds up to number - lag were known to be synced when this was written
 *	 4  u32  the low bits of the round's number
 *
 * In the first sector follow
 *
 *	 8  u32  CRC of byte 12 to the end of the last sector
 *	12  u32  CRC of the mark and of bytes 16 to 55: what makes the size below believed
 *	16  u64  number
 *	24  u64  revision
 *	32  i64  time
 *	40  u64  size of the records
 *	48  u32  count of the records
 *	52  u32  kind
 *
 * and then the records, around the marks, with zeros to the end of the last sector. Numbers are
 * little-endian.
 */
#ifndef SOLE_OWNER_FRAME_H
#define SOLE_OWNER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_SECTOR = 512,
	FRAME_MARK = 8,
	FRAME_HEAD = 56, /* mark included */
	FRAME_LAG_MAX = 65535,
};

enum frame_kind {
	FRAME_ROUND = 1,
	FRAME_SEAL = 2, /* the next segment begins with this number: one sector, no records */
};

struct frame {
	enum frame_kind kind;
	uint32_t lag; /* 1 to FRAME_LAG_MAX */
	uint64_t number, revision;
	int64_t time_us;
	uint64_t size;
	uint32_t count;
};

/* Bytes of the sectors that records of `size` bytes take; UINT64_MAX when that is beyond any disk. */
uint64_t frame_bytes(uint64_t size);

/* Writes frame_bytes(frame->size) bytes. */
void frame_write(uint8_t *sectors, const struct frame *frame, const uint8_t *records);

/* The head in a first sector, of which the rest is not looked at. NULL, or what is wrong: nothing is to be
 * believed then. */
const char *frame_read(const uint8_t *sector, struct frame *frame);

enum frame_state {
	FRAME_SOUND,
	FRAME_UNFINISHED, /* sectors are wholly zero; the others bear the frame's mark */
	FRAME_WRONG,
};
/* All sectors of the frame whose head was read; *at tells the sector that is wrong, where one is. */
enum frame_state frame_check(const uint8_t *sectors, const struct frame *frame, uint64_t *at);

/* The records of a sound frame, frame->size bytes. */
void frame_records(const uint8_t *sectors, const struct frame *frame, uint8_t *records);

bool frame_zero(const uint8_t *sector);

/* Of a marked sector behind the last sound round, where round `next` would begin: true, it can have been
 * written when `next` was not yet known to be synced, so that it is part of an unfinished end. */
bool frame_unsynced(const uint8_t *sector, uint64_t next);
/* Whether a sector bears the mark of that round. */
bool frame_is_of(const uint8_t *sector, uint64_t number);
/* Whether a sector begins as one of a frame does at all. */
bool frame_marked(const uint8_t *sector);

#endif
