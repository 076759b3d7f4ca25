/* SPDX-License-Identifier: MIT
 *
 * plenty.h - the disk in memory for tests in which memory runs out: its own does not.
 */
#ifndef SOLE_TESTS_PLENTY_H
#define SOLE_TESTS_PLENTY_H

#include "tests/lib/scarce.h"

#include "owner/state/disk.h"

/* The disk's own memory does not run out. */
#define PLENTY(call)                                  \
	({                                            \
		long plenty_left = scarce_left;       \
		scarce_left = -1;                     \
		__typeof__(call) plenty_is = (call);  \
		scarce_left = plenty_left;            \
		plenty_is;                            \
	})

static const struct disk *behind;

static int plenty_list(void *context, void (*found)(void *argument, const char *name), void *argument)
{
	return behind->list(context, found, argument);
}

static int plenty_open(void *context, const char *name, enum disk_mode mode)
{
	return PLENTY(behind->open(context, name, mode));
}

static void plenty_close(void *context, int file)
{
	behind->close(context, file);
}

static ssize_t plenty_write(void *context, int file, const void *from, size_t size, uint64_t offset)
{
	return PLENTY(behind->write(context, file, from, size, offset));
}

static int plenty_sync(void *context, int file)
{
	return PLENTY(behind->sync(context, file));
}

static int plenty_rename(void *context, const char *from, const char *to)
{
	return PLENTY(behind->rename(context, from, to));
}

static int plenty_remove(void *context, const char *name)
{
	return PLENTY(behind->remove(context, name));
}

static int plenty_sync_folder(void *context)
{
	return PLENTY(behind->sync_folder(context));
}

static struct disk plenty(const struct disk *disk)
{
	struct disk it = *disk;

	behind = disk;
	it.list = plenty_list;
	it.open = plenty_open;
	it.close = plenty_close;
	it.write = plenty_write;
	it.sync = plenty_sync;
	it.rename = plenty_rename;
	it.remove = plenty_remove;
	it.sync_folder = plenty_sync_folder;
	return it;
}

#endif
