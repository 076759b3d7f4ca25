/* SPDX-License-Identifier: MIT
 *
 * disk.h - the one folder that holds a state, as the journal and the snapshots use it: a seam. A
 * real folder is behind it (folder.h), or a simulator's.
 *
 * Names are file names without a slash. What fails returns a negative errno; a failed sync is never
 * tried again by anybody (the kernel may have dropped what it could not write). All of these block.
 */
#ifndef SOLE_OWNER_DISK_H
#define SOLE_OWNER_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_mode {
	DISK_READ,
	DISK_WRITE,  /* and read; the file is there */
	DISK_CREATE, /* and read; there is none of that name: -EEXIST */
};

struct disk {
	void *context;
	/* Calls `found` for each file, in no order. */
	int (*list)(void *context, void (*found)(void *argument, const char *name), void *argument);
	/* A number for the others to name the file by, or a negative errno. */
	int (*open)(void *context, const char *name, enum disk_mode mode);
	void (*close)(void *context, int file);
	int64_t (*size)(void *context, int file);
	/* Bytes read or written: fewer than asked for at the end of the file, or when cut short. */
	ssize_t (*read)(void *context, int file, void *bytes, size_t size, uint64_t offset);
	ssize_t (*write)(void *context, int file, const void *bytes, size_t size, uint64_t offset);
	/* What was written to the file so far survives a loss of power from now on. */
	int (*sync)(void *context, int file);
	/* Atomically, over one of that name. Survives a loss of power after sync_folder. */
	int (*rename)(void *context, const char *from, const char *to);
	int (*remove)(void *context, const char *name);
	int (*sync_folder)(void *context);
};

/* All of it, however often the disk cuts short: 0 or a negative errno (-EIO: the file ends before). */
int disk_read_all(const struct disk *disk, int file, void *bytes, size_t size, uint64_t offset);
int disk_write_all(const struct disk *disk, int file, const void *bytes, size_t size, uint64_t offset);

#endif
