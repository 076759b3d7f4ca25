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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *data;
	size_t size, capacity;
	bool failed;
};

/* {0} is an empty buffer. Frees the memory and leaves an empty one. */
void buffer_clear(struct buffer *buffer);

/* Forgets the contents and the failure; keeps the memory. */
void buffer_reset(struct buffer *buffer);

/* Makes room for `extra` more bytes. False (and failed) when there is none. */
bool buffer_reserve(struct buffer *buffer, size_t extra);

void buffer_append(struct buffer *buffer, const void *bytes, size_t size);

/* Little-endian whatever the machine. */
void buffer_u8(struct buffer *buffer, uint8_t v);
void buffer_u16(struct buffer *buffer, uint16_t v);
void buffer_u32(struct buffer *buffer, uint32_t v);
void buffer_u64(struct buffer *buffer, uint64_t v);

/* Overwrites four bytes at `offset`, which must have been written. */
void buffer_patch_u32(struct buffer *buffer, size_t offset, uint32_t v);

#endif
