/* SPDX-License-Identifier: MIT
 *
 * buffer.c - bytes that grow at the end.
 */
#include "common/buffer.h"

#include <stdlib.h>

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

bool buffer_grow(struct buffer *buffer, size_t extra)
{
	if (buffer->failed)
		return false;
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
