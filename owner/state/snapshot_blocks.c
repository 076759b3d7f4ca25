/* SPDX-License-Identifier: MIT
 *
 * snapshot_blocks.c - takes the bytes of a snapshot out of its blocks, which it looks at as it comes to them:
 * what is given out has a checksum that is right. What it says is for who reads it.
 */
#include "owner/state/snapshot_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static uint64_t load_number(const uint8_t *at, size_t bytes)
{
	uint64_t number = 0;

	for (size_t i = 0; i < bytes; i++)
		number |= (uint64_t)at[i] << (8 * i);
	return number;
}

uint64_t stream_position(const struct snapshot_reader *r)
{
	return r->block_at + BLOCK_HEADER_BYTES + r->at;
}

bool refuse_at(struct snapshot_reader *r, uint64_t offset, const char *format, ...)
{
	va_list arguments;
	int size = snprintf(r->why, r->why_size, "byte %llu: ", (unsigned long long)offset);

	if (size < 0 || (size_t)size >= r->why_size)
		return false;
	va_start(arguments, format);
	vsnprintf(r->why + size, r->why_size - (size_t)size, format, arguments);
	va_end(arguments);
	return false;
}

bool refuse_memory(struct snapshot_reader *r)
{
	r->head->error = ENOMEM;
	snprintf(r->why, r->why_size, "no memory for the state");
	return false;
}

bool read_some(struct snapshot_reader *r, uint8_t *to, size_t size, size_t *got)
{
	*got = 0;
	while (*got < size) {
		ssize_t part = r->source->read(r->source->context, to + *got, size - *got);
		if (part < 0) {
			r->head->error = (int)-part;
			return refuse_at(r, r->offset, "cannot be read: %s", strerror((int)-part));
		}
		if (part == 0)
			break;
		*got += (size_t)part;
		r->offset += (uint64_t)part;
	}
	return true;
}

static bool read_block(struct snapshot_reader *r, uint8_t *to, size_t size)
{
	size_t got;

	if (!read_some(r, to, size, &got))
		return false;
	return got == size || refuse_at(r, r->offset, "the snapshot ends here, and is not complete");
}

bool next_block(struct snapshot_reader *r)
{
	r->block_at = r->offset;
	r->size = r->at = 0;
	if (!read_block(r, r->block, BLOCK_HEADER_BYTES))
		return false;
	if (load_number(r->block, 4) != BLOCK_MAGIC)
		return refuse_at(r, r->block_at, r->number == 0 ? "this is no snapshot" :
							       "a block begins with the wrong bytes");
	size_t size = (size_t)load_number(r->block + 6, 2);
	if (size > BLOCK_BYTES - BLOCK_HEADER_BYTES)
		return refuse_at(r, r->block_at, "a block is longer than any can be");
	if (!read_block(r, r->block + BLOCK_HEADER_BYTES, size))
		return false;
	r->crc = block_checksum(r->crc, r->block, size);
	if (load_number(r->block + BLOCK_CRC_AT, 4) != r->crc)
		return refuse_at(r, r->block_at, "the checksum of the block that begins here is wrong");
	r->kind = (enum block_kind)load_number(r->block + 4, 2);
	if (load_number(r->block + 8, 4) != r->number++)
		return refuse_at(r, r->block_at, "the block that begins here is not the next one");
	if (size == 0)
		return refuse_at(r, r->block_at, "the block that begins here is empty");
	r->size = size;
	r->totals.body_bytes += r->kind == BLOCK_BODY ? size : 0;
	return true;
}

/* What the bytes claim to be is not believed: memory grows only with what has been read. */
const uint8_t *take_bytes(struct snapshot_reader *r, size_t size)
{
	if (size <= r->size - r->at) {
		r->at += size;
		return r->block + BLOCK_HEADER_BYTES + r->at - size;
	}
	buffer_reset(&r->pieces);
	while (r->pieces.size < size) {
		if (r->at == r->size) {
			uint64_t here = stream_position(r);
			if (r->kind == BLOCK_BODY && !next_block(r))
				return NULL;
			if (r->kind != BLOCK_BODY) {
				refuse_at(r, here, "more should follow here");
				return NULL;
			}
		}
		size_t left = r->size - r->at, wanted = size - r->pieces.size;
		size_t part = wanted < left ? wanted : left;
		buffer_append(&r->pieces, r->block + BLOCK_HEADER_BYTES + r->at, part);
		r->at += part;
		if (r->pieces.failed) {
			refuse_memory(r);
			return NULL;
		}
	}
	return r->pieces.data;
}

bool take_number(struct snapshot_reader *r, size_t bytes, uint64_t *number)
{
	const uint8_t *at = take_bytes(r, bytes);

	if (at == NULL)
		return false;
	*number = load_number(at, bytes);
	return true;
}

bool take_flag(struct snapshot_reader *r, bool *flag)
{
	uint64_t number, here = stream_position(r);

	if (!take_number(r, 1, &number))
		return false;
	*flag = number != 0;
	return number <= 1 || refuse_at(r, here, "neither yes nor no");
}
