/* SPDX-License-Identifier: MIT
 *
 * buffer.h - bytes that grow at the end.
 *
 * Appending never fails at once: when memory runs out the buffer is marked
 * `failed`, keeps what it has, and drops what follows; the caller looks at the
 * mark once, where the whole is used.
 */
#ifndef SOLE_COMMON_BUFFER_H
#define SOLE_COMMON_BUFFER_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buffer {
	uint8_t *data;
	size_t size, capacity;
	bool failed;
};

/* {0} is an empty buffer. Frees the memory and leaves an empty one. */
void buffer_clear(struct buffer *buffer);

/* Forgets the contents and the failure; keeps the memory. */
void buffer_reset(struct buffer *buffer);

/* buffer_reserve where there is no room yet. */
bool buffer_grow(struct buffer *buffer, size_t extra);

/* Makes room for `extra` more bytes. False (and failed) when there is none. Here, for speed, as is what follows:
 * every number of every message passes it, and a constant size becomes an instruction instead of a call of memcpy. */
static inline bool buffer_reserve(struct buffer *buffer, size_t extra)
{
	if (__builtin_expect(!buffer->failed && extra <= buffer->capacity - buffer->size, true))
		return true;
	return buffer_grow(buffer, extra);
}

static inline void buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
	if (size == 0 || !buffer_reserve(buffer, size))
		return;
	memcpy(buffer->data + buffer->size, bytes, size);
	buffer->size += size;
}

/* Little-endian whatever the machine. */
static inline void buffer_u8(struct buffer *buffer, uint8_t v)
{
	buffer_append(buffer, &v, sizeof v);
}

static inline void buffer_u16(struct buffer *buffer, uint16_t v)
{
	v = htole16(v);
	buffer_append(buffer, &v, sizeof v);
}

static inline void buffer_u32(struct buffer *buffer, uint32_t v)
{
	v = htole32(v);
	buffer_append(buffer, &v, sizeof v);
}

static inline void buffer_u64(struct buffer *buffer, uint64_t v)
{
	v = htole64(v);
	buffer_append(buffer, &v, sizeof v);
}

/* Overwrites four bytes at `offset`, which must have been written. */
static inline void buffer_patch_u32(struct buffer *buffer, size_t offset, uint32_t v)
{
	if (buffer->failed)
		return;
	v = htole32(v);
	memcpy(buffer->data + offset, &v, sizeof v);
}

#endif
