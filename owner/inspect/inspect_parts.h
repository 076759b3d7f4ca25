/* SPDX-License-Identifier: MIT
 *
 * inspect_parts.h - what the files behind inspect.h share. Nobody else includes it.
 */
#ifndef SOLE_OWNER_INSPECT_PARTS_H
#define SOLE_OWNER_INSPECT_PARTS_H

#include "owner/state/folder.h"
#include "owner/inspect/inspect.h"
#include "owner/state/recovery.h"

#include <stdio.h>

/* ---- the options, a file each ---- */

int inspect_verify(const struct inspection *inspection);
int inspect_repair(const struct inspection *inspection);
int inspect_dump(const struct inspection *inspection, const char *folder);
int inspect_log(const struct inspection *inspection);
int inspect_replay(const struct inspection *inspection);
int inspect_restore(const struct inspection *inspection);
int inspect_import(const struct inspection *inspection);

/* ---- what they share ---- */

/* A folder that is looked at. */
struct place {
	const char *path;
	struct folder folder; /* not to be moved while open */
	const struct disk *disk;
	pid_t owner; /* the process that holds its lock; 0: none */
};

enum place_use {
	PLACE_LOOK,  /* changes nothing, not even by a lock */
	PLACE_WRITE, /* takes the lock of a folder that holds a state */
	PLACE_NEW,   /* makes it, or takes one that is empty, and its lock */
};

/* 0, or the exit status with the line said. */
int place_open(struct place *place, const char *path, enum place_use use);
void place_close(struct place *place);

/* A new core without limits, whose behaviour is the inspection's; NULL: said. */
struct core *inspect_core(const struct inspection *inspection, struct counters *counters);

/* As recovery_run, into a new core, which is to be destroyed whatever the result; again where an owner that
 * runs may be the reason why it fails. */
enum recovery_result inspect_recover(const struct inspection *inspection, const struct place *place,
			     const struct recovery_options *options, struct core **core,
			     struct recovery *recovery);

/* The exit status for a result. */
int inspect_status(enum recovery_result result, const struct recovery *recovery);

/* Writes out what was printed. EX_OK also when nobody reads it any more; else EX_IOERR, and said. */
int inspect_flush(void);

/* Whether to print on: what was printed went somewhere so far. */
bool inspect_printing(void);

/* Tells how far something long has come, once a second, where a person watches standard error. */
void inspect_progress(void *context, const char *what, uint64_t done, uint64_t all);

/* "1.2 MiB". Valid until called four times more. */
const char *inspect_size(uint64_t bytes);

#endif
