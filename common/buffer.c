/* SPDX-License-Identifier: MIT
 *
 * buffer.c - bytes that grow at the end.
 */
#include "common/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

void buffer_clear(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}

void buffer_reset(struct buffer *buffer)
{
	buffer->size = 0;
	buffer->failed = false;
}

bool buffer_reserve(struct buffer *buffer, size_t extra)
{
	if (buffer->failed)
		return false;
	if (extra <= buffer->capacity - buffer->size)
		return true;
	size_t wanted = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
	while (wanted - buffer->size < extra) {
		if (wanted > SIZE_MAX / 2) {
			buffer->failed = true;
			return false;
		}
		wanted *= 2;
	}
	uint8_t *grown = realloc(buffer->data, wanted);
	if (grown == NULL) {
		buffer->failed = true;
		return false;
	}
	buffer->data = grown;
	buffer->capacity = wanted;
	return true;
}

/* Inline, so that a constant size becomes an instruction instead of a call of memcpy. */
static inline void append(struct buffer *buffer, const void *bytes, size_t size)
{
	if (size == 0 || !buffer_reserve(buffer, size))
		return;
	memcpy(buffer->data + buffer->size, bytes, size);
	buffer->size += size;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
	append(buffer, bytes, size);
}

void buffer_u8(struct buffer *buffer, uint8_t v)
{
	append(buffer, &v, 1);
}

void buffer_u16(struct buffer *buffer, uint16_t v)
{
	const uint8_t b[2] = { (uint8_t)v, (uint8_t)(v >> 8) };
	append(buffer, b, sizeof b);
}

void buffer_u32(struct buffer *buffer, uint32_t v)
{
	const uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };
	append(buffer, b, sizeof b);
}

void buffer_u64(struct buffer *buffer, uint64_t v)
{
	buffer_u32(buffer, (uint32_t)v);
	buffer_u32(buffer, (uint32_t)(v >> 32));
}

void buffer_patch_u32(struct buffer *buffer, size_t offset, uint32_t v)
{
	if (buffer->failed)
		return;
	uint8_t *at = buffer->data + offset;
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
	at[2] = (uint8_t)(v >> 16);
	at[3] = (uint8_t)(v >> 24);
}
