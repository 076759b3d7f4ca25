/* SPDX-License-Identifier: MIT
 *
 * snapshot_file.h - snapshots as files of a state's folder: which there are, reading one, writing one.
 */
#ifndef SOLE_OWNER_SNAPSHOT_FILE_H
#define SOLE_OWNER_SNAPSHOT_FILE_H

#include "owner/state/disk.h"
#include "owner/state/snapshot.h"

/* snapshot-RRRRRRRRRRRRRRRR, by the last round in it, in hexadecimal. */
enum { SNAPSHOT_NAME_BYTES = 32 };
void snapshot_name(char name[SNAPSHOT_NAME_BYTES], uint64_t round);

/* The rounds of the folder's snapshots, newest first: at most `room` are stored; returns how many there
 * are, or a negative errno. */
int snapshots_list(const struct disk *disk, uint64_t *rounds, size_t room);

/* A snapshot file as a source; keeps the place in it. */
struct snapshot_file {
	const struct disk *disk;
	int file;
	uint64_t offset;
};
struct snapshot_source snapshot_file_source(struct snapshot_file *file);

/* Writes the core's state under a temporary name, syncs it, gives it its name and syncs the folder: whatever
 * interrupts it, there is a whole file of that name or none. 0 or a negative errno; -EBADMSG: the state
 * breaks its behaviour's invariant, and nothing was written. Allocates nothing. */
int snapshot_save(const struct disk *disk, struct core *core, const struct snapshot_head *head);

/* Removes what an interrupted snapshot_save left. */
int snapshots_clear(const struct disk *disk);

/* Keeps the newest `keep` (1 at least), removes the others, and stores the round of the oldest that is kept;
 * 0 where there are fewer than that. 0 or a negative errno. */
int snapshots_forget(const struct disk *disk, size_t keep, uint64_t *oldest);

#endif
