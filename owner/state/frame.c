/* SPDX-License-Identifier: MIT
 *
 * frame.c - a round as the sectors of a journal.
 *
 * Every byte of a frame is under a checksum: the first mark, the head and with it the size by the head's, all
 * behind byte 12 by the other; the two checksums themselves by what they must be equal to.
 */
#include "owner/state/frame.h"

#include "owner/state/crc32c.h"

#include <endian.h>
#include <string.h>

enum {
	MAGIC = 0xa53c,
	CRC_AT = 8,
	HEAD_CRC_AT = 12,
	FIELDS_AT = 16,
	FIRST_ROOM = FRAME_SECTOR - FRAME_HEAD,
	ROOM = FRAME_SECTOR - FRAME_MARK,
};

static void put_u32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof v);
}

static void put_u64(uint8_t *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof v);
}

static uint32_t get_u32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof v);
	return le32toh(v);
}

static uint64_t get_u64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof v);
	return le64toh(v);
}

static uint64_t mark_of(const struct frame *frame)
{
	return MAGIC | (uint64_t)frame->lag << 16 | frame->number << 32;
}

static uint32_t head_crc(const uint8_t *sector)
{
	return crc32c(crc32c(0, sector, FRAME_MARK), sector + FIELDS_AT, FRAME_HEAD - FIELDS_AT);
}

uint64_t frame_bytes(uint64_t size)
{
	if (size <= FIRST_ROOM)
		return FRAME_SECTOR;
	if (size > UINT64_MAX / 4)
		return UINT64_MAX;
	return FRAME_SECTOR + (size - FIRST_ROOM + ROOM - 1) / ROOM * FRAME_SECTOR;
}

void frame_write(uint8_t *sectors, const struct frame *frame, const uint8_t *records)
{
	uint64_t bytes = frame_bytes(frame->size), left = frame->size, mark = mark_of(frame);
	uint8_t *at = sectors, *end = sectors + bytes;

	put_u64(at + FIELDS_AT, frame->number);
	put_u64(at + 24, frame->revision);
	put_u64(at + 32, (uint64_t)frame->time_us);
	put_u64(at + 40, frame->size);
	put_u32(at + 48, frame->count);
	put_u32(at + 52, (uint32_t)frame->kind);
	for (size_t used = FRAME_HEAD; at < end; at += FRAME_SECTOR, used = FRAME_MARK) {
		size_t room = FRAME_SECTOR - used, piece = left < room ? (size_t)left : room;
		put_u64(at, mark);
		if (piece > 0)
			memcpy(at + used, records, piece);
		if (piece < room)
			memset(at + used + piece, 0, room - piece);
		records = piece > 0 ? records + piece : records;
		left -= piece;
	}
	put_u32(sectors + HEAD_CRC_AT, head_crc(sectors));
	put_u32(sectors + CRC_AT, crc32c(0, sectors + HEAD_CRC_AT, (size_t)bytes - HEAD_CRC_AT));
}

const char *frame_read(const uint8_t *sector, struct frame *frame)
{
	uint32_t kind = get_u32(sector + 52);

	if (!frame_marked(sector))
		return "there is something that is no round";
	if (get_u32(sector + HEAD_CRC_AT) != head_crc(sector))
		return "the checksum of the round's head is wrong";
	*frame = (struct frame){
		.kind = kind == FRAME_SEAL ? FRAME_SEAL : FRAME_ROUND,
		.lag = get_u32(sector) >> 16,
		.number = get_u64(sector + FIELDS_AT),
		.revision = get_u64(sector + 24),
		.time_us = (int64_t)get_u64(sector + 32),
		.size = get_u64(sector + 40),
		.count = get_u32(sector + 48),
	};
	/* A checksum that is right for nonsense: written by something else. */
	if ((kind != FRAME_ROUND && kind != FRAME_SEAL) || frame->lag == 0 ||
	    get_u64(sector) != mark_of(frame) ||
	    (kind == FRAME_SEAL && (frame->size != 0 || frame->count != 0)))
		return "the round's head is none that this version writes";
	return NULL;
}

enum frame_state frame_check(const uint8_t *sectors, const struct frame *frame, uint64_t *at)
{
	uint64_t bytes = frame_bytes(frame->size), mark = mark_of(frame);
	bool unfinished = false;

	*at = 0;
#ifdef PLANT_IGNORE_CHECKSUM
	return FRAME_SOUND;
#endif
	if (get_u32(sectors + CRC_AT) == crc32c(0, sectors + HEAD_CRC_AT, (size_t)bytes - HEAD_CRC_AT)) {
		/* The marks behind the first are under the checksum, and still: they must say the same. */
		for (*at = FRAME_SECTOR; *at < bytes; *at += FRAME_SECTOR)
			if (get_u64(sectors + *at) != mark)
				return FRAME_WRONG;
		return FRAME_SOUND;
	}
	for (uint64_t offset = FRAME_SECTOR; offset < bytes; offset += FRAME_SECTOR) {
		if (frame_zero(sectors + offset)) {
			unfinished = true;
		} else if (get_u64(sectors + offset) != mark) {
			*at = offset;
			return FRAME_WRONG;
		}
	}
	return unfinished ? FRAME_UNFINISHED : FRAME_WRONG;
}

void frame_records(const uint8_t *sectors, const struct frame *frame, uint8_t *records)
{
	uint64_t left = frame->size;

	for (size_t used = FRAME_HEAD; left > 0; sectors += FRAME_SECTOR, used = FRAME_MARK) {
		size_t room = FRAME_SECTOR - used, piece = left < room ? (size_t)left : room;
		memcpy(records, sectors + used, piece);
		records += piece;
		left -= piece;
	}
}

bool frame_zero(const uint8_t *sector)
{
	static const uint8_t zeros[FRAME_SECTOR];

	return memcmp(sector, zeros, FRAME_SECTOR) == 0;
}

bool frame_marked(const uint8_t *sector)
{
	return (get_u32(sector) & 0xffff) == MAGIC;
}

bool frame_is_of(const uint8_t *sector, uint64_t number)
{
	return frame_marked(sector) && get_u32(sector + 4) == (uint32_t)number;
}

bool frame_unsynced(const uint8_t *sector, uint64_t next)
{
	uint32_t ahead = get_u32(sector + 4) - (uint32_t)next;

	return get_u32(sector) >> 16 > ahead;
}
