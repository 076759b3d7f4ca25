/* SPDX-License-Identifier: MIT
 *
 * window.c - a file that is read from its beginning to its end.
 */
#include "owner/state/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 1 << 20 };

void window_begin(struct window *window, const struct disk *disk, int file, uint64_t end)
{
	window->disk = disk;
	window->file = file;
	window->end = end;
	window->offset = window->size = 0;
}

void window_clear(struct window *window)
{
	free(window->bytes);
	*window = (struct window){ 0 };
}

int window_move(struct window *window, uint64_t offset, size_t size)
{
	uint64_t skip = offset - window->offset, left = window->end - offset;
	size_t wanted = size > AHEAD ? size : AHEAD;

	if (offset >= window->offset && skip <= window->size && size <= window->size - skip)
		return 0;
	if (wanted > left)
		wanted = (size_t)left;
	if (wanted > window->room) {
		uint8_t *grown = realloc(window->bytes, wanted);
		if (grown == NULL)
			return -ENOMEM;
		window->bytes = grown;
		window->room = wanted;
	}
	window->size = 0;
	int rc = disk_read_all(window->disk, window->file, window->bytes, wanted, offset);
	if (rc != 0)
		return rc;
	window->offset = offset;
	window->size = wanted;
	return 0;
}

bool window_changed(struct window *window, uint64_t offset, uint64_t size, uint8_t *piece, size_t piece_size)
{
	const uint8_t *seen = window_at(window, offset);

	for (uint64_t done = 0; done < size;) {
		size_t part = size - done < piece_size ? (size_t)(size - done) : piece_size;
		if (disk_read_all(window->disk, window->file, piece, part, offset + done) != 0)
			return false;
		if (memcmp(piece, seen + done, part) != 0) {
			window->size = 0;
			return true;
		}
		done += part;
	}
	return false;
}
