/* SPDX-License-Identifier: MIT
 *
 * window.h - a file that is read from its beginning to its end, some megabyte at a time, in
 * pieces of any size.
 */
#ifndef SOLE_OWNER_WINDOW_H
#define SOLE_OWNER_WINDOW_H

#include "owner/state/disk.h"

#include <stdbool.h>

struct window {
	const struct disk *disk;
	int file;
	uint64_t end;	 /* of the file */
	uint64_t offset; /* of the bytes that are here */
	size_t size, room;
	uint8_t *bytes;
};

/* Looks at another file from now on; keeps the memory. {0} is a window that never looked at any. */
void window_begin(struct window *window, const struct disk *disk, int file, uint64_t end);
void window_clear(struct window *window);

/* Brings [offset, offset + size), which the file must have, into the window: 0 or a negative errno. */
int window_move(struct window *window, uint64_t offset, size_t size);

/* Bytes that the last window_move brought; valid until the next. */
static inline const uint8_t *window_at(const struct window *window, uint64_t offset)
{
	return window->bytes + (offset - window->offset);
}

/* Whether the file has other bytes now than the window has; if so it is emptied. `piece` is memory to compare
 * in. A file that cannot be read has the same. */
bool window_changed(struct window *window, uint64_t offset, uint64_t size, uint8_t *piece, size_t piece_size);

#endif
