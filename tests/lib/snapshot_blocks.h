/* SPDX-License-Identifier: MIT
 *
 * snapshot_blocks.h - the stream of a snapshot taken out of its blocks, and put into blocks again: what is changed
 * between has checksums and totals that are right.
 */
#ifndef SOLE_TESTS_SNAPSHOT_BLOCKS_H
#define SOLE_TESTS_SNAPSHOT_BLOCKS_H

#include "common/buffer.h"
#include "owner/state/crc32c.h"
#include "owner/state/snapshot.h"

#include <assert.h>
#include <string.h>

/* Of the behaviour `table`. */
enum { HEAD_BYTES = 4 + 13 * 8 + 1 + 5, DIGEST_AT = 4 + 10 * 8, BLOCK_HEADER_BYTES = 16 };

static inline void put_block(struct buffer *out, uint16_t kind, const void *bytes, size_t size, uint32_t *number, uint32_t *crc)
{
	size_t start = out->size;

	buffer_u32(out, 0x50414e53);
	buffer_u16(out, kind);
	buffer_u16(out, (uint16_t)size);
	buffer_u32(out, (*number)++);
	buffer_u32(out, 0);
	buffer_append(out, bytes, size);
	assert(!out->failed);
	*crc = crc32c(*crc, out->data + start, 12);
	*crc = crc32c(*crc, out->data + start + BLOCK_HEADER_BYTES, size);
	buffer_patch_u32(out, start + 12, *crc);
}

/* Splits what was composed into blocks: `cut` body bytes each. */
static inline void put_blocks(struct buffer *out, const struct buffer *from, size_t cut, uint64_t event_count)
{
	uint32_t number = 0, crc = 0;
	size_t head = from->size < HEAD_BYTES ? from->size : HEAD_BYTES;
	uint64_t totals[4] = { 0 };

	put_block(out, 1, from->data, head, &number, &crc);
	for (size_t at = head; at < from->size;) {
		size_t size = from->size - at < cut ? from->size - at : cut;
		put_block(out, 2, from->data + at, size, &number, &crc);
		at += size;
	}
	if (head == HEAD_BYTES) {
		memcpy(&totals[0], from->data + 4 + 8 * 8, 8);
		memcpy(&totals[1], from->data + 4 + 9 * 8, 8);
	}
	totals[2] = event_count;
	totals[3] = from->size - head;
	put_block(out, 3, totals, sizeof totals, &number, &crc);
}

static inline bool snapshot_to_buffer(void *context, const void *bytes, size_t size)
{
	buffer_append(context, bytes, size);
	return true;
}

/* The core's snapshot, head and body, without blocks; returns how many events the end tells of. */
static inline uint64_t take_blocks(struct core *core, struct buffer *whole)
{
	const struct snapshot_head head = { .history = 1, .incarnation = 2, .round = 3 };
	struct buffer stream = { 0 };
	const struct snapshot_sink sink = { .context = &stream, .write = snapshot_to_buffer };
	uint64_t events = 0;

	bool written = snapshot_write(core, &head, &sink);
	assert(written && !stream.failed);
	for (size_t at = 0; at < stream.size;) {
		size_t size = stream.data[at + 6] | (size_t)stream.data[at + 7] << 8;
		const uint8_t *bytes = stream.data + at + BLOCK_HEADER_BYTES;
		at += BLOCK_HEADER_BYTES + size;
		if (at < stream.size)
			buffer_append(whole, bytes, size);
		else
			memcpy(&events, bytes + 16, sizeof events);
	}
	assert(!whole->failed && whole->size > HEAD_BYTES && memcmp(whole->data + HEAD_BYTES - 5, "table", 5) == 0);
	buffer_clear(&stream);
	return events;
}

#endif
