/* SPDX-License-Identifier: MIT
 *
 * snapshot_file.c - snapshots by name.
 */
#include "owner/state/snapshot_file.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SNAPSHOTS_KEPT_MAX = 1024 };

void snapshot_name(char name[SNAPSHOT_NAME_BYTES], uint64_t round)
{
	snprintf(name, SNAPSHOT_NAME_BYTES, "snapshot-%016" PRIx64, round);
}

struct listing {
	uint64_t *rounds;
	size_t room, count;
};

static void found(void *argument, const char *name)
{
	struct listing *listing = argument;
	char again[SNAPSHOT_NAME_BYTES];
	uint64_t round;

	if (sscanf(name, "snapshot-%16" SCNx64, &round) != 1)
		return;
	snapshot_name(again, round);
	if (strcmp(name, again) != 0) /* one that was set aside, or is being written */
		return;
	/* Kept in order; of too many the newest. */
	size_t at = listing->count < listing->room ? listing->count : listing->room;
	while (at > 0 && listing->rounds[at - 1] < round) {
		if (at < listing->room)
			listing->rounds[at] = listing->rounds[at - 1];
		at--;
	}
	if (at < listing->room)
		listing->rounds[at] = round;
	listing->count++;
}

int snapshots_list(const struct disk *disk, uint64_t *rounds, size_t room)
{
	struct listing listing = { .rounds = rounds, .room = room };
	int error = disk->list(disk->context, found, &listing);

	return error != 0 ? error : (int)listing.count;
}

static ssize_t read_file(void *context, void *bytes, size_t size)
{
	struct snapshot_file *file = context;
	size_t done = 0;

	while (done < size) {
		ssize_t got = file->disk->read(file->disk->context, file->file, (uint8_t *)bytes + done,
					       size - done, file->offset);
		if (got < 0)
			return got;
		if (got == 0)
			break;
		done += (size_t)got;
		file->offset += (uint64_t)got;
	}
	return (ssize_t)done;
}

struct snapshot_source snapshot_file_source(struct snapshot_file *file)
{
	return (struct snapshot_source){ .context = file, .read = read_file };
}

/* ---- writing ---- */

struct writing {
	const struct disk *disk;
	int file, error;
	uint64_t offset;
};

static bool write_file(void *context, const void *bytes, size_t size)
{
	struct writing *writing = context;

	writing->error = disk_write_all(writing->disk, writing->file, bytes, size, writing->offset);
	writing->offset += size;
	return writing->error == 0;
}

static int write_synced(const struct disk *disk, const char *name, struct core *core,
			const struct snapshot_head *head)
{
	struct writing writing = { .disk = disk, .file = disk->open(disk->context, name, DISK_CREATE) };
	const struct snapshot_sink sink = { .context = &writing, .write = write_file };

	if (writing.file < 0)
		return writing.file;
	if (!snapshot_write(core, head, &sink) && writing.error == 0)
		writing.error = -EIO;
	if (writing.error == 0)
		writing.error = disk->sync(disk->context, writing.file);
	disk->close(disk->context, writing.file);
	return writing.error;
}

int snapshot_save(const struct disk *disk, struct core *core, const struct snapshot_head *head)
{
	char name[SNAPSHOT_NAME_BYTES], temporary[SNAPSHOT_NAME_BYTES + 4];
	int error;

	/* The older one, and the journal, are of more use than one of a state that is wrong. */
	if (core_invariant(core) != NULL)
		return -EBADMSG;
	snapshot_name(name, head->round);
	snprintf(temporary, sizeof temporary, "%s.tmp", name);
	error = disk->remove(disk->context, temporary);
	if (error == 0 || error == -ENOENT)
		error = write_synced(disk, temporary, core, head);
	if (error == 0)
		error = disk->rename(disk->context, temporary, name);
	if (error == 0)
		error = disk->sync_folder(disk->context);
	else
		disk->remove(disk->context, temporary);
	return error;
}

static void found_temporary(void *argument, const char *name)
{
	size_t size = strlen(name);

	if (strncmp(name, "snapshot-", 9) == 0 && size < SNAPSHOT_NAME_BYTES &&
	    strcmp(name + size - 4, ".tmp") == 0)
		memcpy(argument, name, size + 1);
}

int snapshots_clear(const struct disk *disk)
{
	char name[SNAPSHOT_NAME_BYTES];

	for (;;) {
		name[0] = '\0';
		int error = disk->list(disk->context, found_temporary, name);
		if (error != 0 || name[0] == '\0')
			return error;
		error = disk->remove(disk->context, name);
		if (error != 0)
			return error;
	}
}

int snapshots_forget(const struct disk *disk, size_t keep, uint64_t *oldest)
{
	uint64_t rounds[SNAPSHOTS_KEPT_MAX];
	char name[SNAPSHOT_NAME_BYTES];
	assert(keep > 0);
	int count = snapshots_list(disk, rounds, SNAPSHOTS_KEPT_MAX), error;

	*oldest = 0;
	if (count < 0)
		return count;
	if (count > SNAPSHOTS_KEPT_MAX)
		count = SNAPSHOTS_KEPT_MAX;
	/* The oldest first: what is left is always the newest ones without a gap. */
	while ((size_t)count > keep) {
		snapshot_name(name, rounds[count - 1]);
		error = disk->remove(disk->context, name);
		if (error != 0)
			return error;
		count--;
	}
	/* As long as there are fewer, the journal reaches back to the beginning. */
	if ((size_t)count >= keep)
		*oldest = rounds[count - 1];
	return 0;
}
