/* SPDX-License-Identifier: MIT
 *
 * disk.c - whole reads and whole writes over a disk that may cut either short.
 */
#include "owner/state/disk.h"

#include <errno.h>

int disk_read_all(const struct disk *disk, int file, void *bytes, size_t size, uint64_t offset)
{
	uint8_t *at = bytes;

	while (size > 0) {
		ssize_t got = disk->read(disk->context, file, at, size, offset);
		if (got <= 0)
			return got < 0 ? (int)got : -EIO;
		at += got;
		size -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

int disk_write_all(const struct disk *disk, int file, const void *bytes, size_t size, uint64_t offset)
{
	const uint8_t *at = bytes;

	while (size > 0) {
		ssize_t put = disk->write(disk->context, file, at, size, offset);
		/* A disk that takes nothing and gives no reason would be asked for ever. */
		if (put <= 0)
			return put < 0 ? (int)put : -EIO;
		at += put;
		size -= (size_t)put;
		offset += (uint64_t)put;
	}
	return 0;
}
