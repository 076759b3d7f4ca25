/* SPDX-License-Identifier: MIT
 *
 * folder.h - the folder of a state on a real disk, behind the seam of disk.h.
 *
 * The folder is ours and nobody else writes to it; one owner at a time has it, by a lock on the
 * file `lock` in it, which tells its process. Names lead to plain files in it and never out of
 * it.
 *
 * All of the disk's functions block; they may be called from several threads.
 */
#ifndef SOLE_OWNER_FOLDER_H
#define SOLE_OWNER_FOLDER_H

#include "owner/state/disk.h"

enum { FOLDER_ERROR_MAX = 512 };

/* What it is opened for; any of them together. */
enum folder_use {
	FOLDER_LOOK = 0,  /* read only, whoever has it: an owner may be writing */
	FOLDER_LOCK = 1,  /* nobody else has it meanwhile */
	FOLDER_WRITE = 2, /* files may be changed */
	FOLDER_MAKE = 4,  /* made (0700) where it is not there; what stands above it must be */
};

struct folder {
	int descriptor, lock; /* negative: none */
	struct disk disk;     /* its context is the folder, which must not be moved while open */
};

/* 0, or a status of <sysexits.h> and a sentence: EX_NOINPUT where there is no such folder, EX_UNAVAILABLE
 * where another process has it, EX_NOPERM, EX_CANTCREAT, EX_OSERR, and EX_DATAERR for what is no folder. */
int folder_open(struct folder *folder, const char *path, unsigned use, char error[FOLDER_ERROR_MAX]);
/* {-1, -1} is a folder that is not open. */
void folder_close(struct folder *folder);

#endif
