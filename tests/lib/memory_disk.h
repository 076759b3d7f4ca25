/* SPDX-License-Identifier: MIT
 *
 * memory_disk.h - a disk in memory (owner/state/disk.h) that can be crashed, cut off and made to fail.
 *
 * Each file has what programs see (the system's cache) and what is on the disk. A sync brings
 * the first to the second; a loss of power leaves each sector of 512 bytes that was written
 * since as it was after any number of the writes to it, one sector independent of the other:
 * lost, kept, or reordered. Names likewise: of the creations, renames and removals since the
 * folder was last synced a beginning is kept, or a choice of those that do not build on one
 * that was lost. One rename is whole or not at all.
 *
 * All of it follows from what was called and from the seeds that were given. Not for more than
 * one thread. Ends the program where memory runs out.
 */
#ifndef SOLE_TESTS_MEMORY_DISK_H
#define SOLE_TESTS_MEMORY_DISK_H

#include "owner/state/disk.h"

#include <stdbool.h>

enum memory_call {
	MEMORY_LIST,
	MEMORY_OPEN,
	MEMORY_SIZE,
	MEMORY_READ,
	MEMORY_WRITE,
	MEMORY_SYNC,
	MEMORY_RENAME,
	MEMORY_REMOVE,
	MEMORY_SYNC_FOLDER,
	MEMORY_CALLS,
	MEMORY_ANY = MEMORY_CALLS, /* for faults: whichever comes */
	MEMORY_CHANGE,		   /* for faults: those from MEMORY_WRITE on, and creations */
};

/* What of a call that fails was done nevertheless. */
enum memory_effect {
	MEMORY_NOTHING,
	MEMORY_PART, /* write: a beginning of it, in whole sectors; else nothing */
	MEMORY_ALL,
};

struct memory_fault {
	enum memory_call call;
	uint64_t nth;  /* the nth such call from now on, from 1; 0: no fault */
	int error;     /* errno; 0 (reads and writes): cut short and no error, at least something is done */
	bool for_ever; /* all later ones of these calls too */
	bool dead;     /* all later calls of any kind too: the machine or the process has died */
	bool drops;    /* a sync that fails forgets what it did not write: a later one will not write it, and it
			* may be gone at once */
	enum memory_effect effect;
};

struct memory_disk;

struct memory_disk *memory_disk_new(uint64_t seed);
void memory_disk_free(struct memory_disk *disk);
/* The same files, on disk and in the cache, nothing open, no fault, all counts 0. */
struct memory_disk *memory_disk_clone(const struct memory_disk *disk, uint64_t seed);
/* Valid as long as the disk. */
const struct disk *memory_disk_seam(struct memory_disk *disk);

/* Replaces the fault that was there; NULL: none. */
void memory_disk_fail(struct memory_disk *disk, const struct memory_fault *fault);
/* Whether it has struck. */
bool memory_disk_failed(const struct memory_disk *disk);
/* The process has died: nothing is open any more, the cache is as it was. The fault goes. */
void memory_disk_crash(struct memory_disk *disk);
/* The same and power is lost: what was not synced may be. */
void memory_disk_lose_power(struct memory_disk *disk, uint64_t seed);
/* Everything that was written is on the disk now, as after a while without a crash. */
void memory_disk_settle(struct memory_disk *disk);

uint64_t memory_disk_calls(const struct memory_disk *disk, enum memory_call call); /* MEMORY_ANY, MEMORY_CHANGE: the sums */
uint64_t memory_disk_open_files(const struct memory_disk *disk);

/* Files behind the programs' back; in the cache and on the disk. A file that is not there ends the program. */
bool memory_disk_has(const struct memory_disk *disk, const char *name);
uint64_t memory_disk_size(const struct memory_disk *disk, const char *name);
/* What programs see; valid until the file is next changed. */
const uint8_t *memory_disk_bytes(const struct memory_disk *disk, const char *name);
void memory_disk_poke(struct memory_disk *disk, const char *name, uint64_t offset, uint8_t byte);
/* Longer: with zeros. */
void memory_disk_resize(struct memory_disk *disk, const char *name, uint64_t size);
void memory_disk_remove(struct memory_disk *disk, const char *name);
void memory_disk_put(struct memory_disk *disk, const char *name, const void *bytes, size_t size);

#endif
