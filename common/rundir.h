/* SPDX-License-Identifier: MIT
 *
 * rundir.h - where an owner called NAME listens: DIR/NAME.sock, and which DIR.
 *
 * Candidates, in this order: $SOLE_RUNTIME_DIR (alone, if set),
 * $XDG_RUNTIME_DIR/sole, /run/user/UID/sole, /run/sole, /tmp/sole-UID.
 * Clients take the first that holds the file they look for; owners the first
 * that they can write (root: /run/sole). A folder made here has mode 0700; one
 * in /tmp must be ours, 0700, and no symbolic link.
 *
 * Each function returns 0, or a status of <sysexits.h> with a sentence in
 * `error`. Paths that do not fit into a sockaddr_un are errors.
 */
#ifndef SOLE_COMMON_RUNDIR_H
#define SOLE_COMMON_RUNDIR_H

#include <stddef.h>

enum { RUNDIR_PATH_MAX = 108, RUNDIR_ERROR_MAX = 256, RUNDIR_NAME_MAX = 64 }; /* 108: sizeof sun_path */

/* For clients: DIR/NAME+suffix of the first folder that holds it. When none
 * does: the path an owner of this user would have, and EX_UNAVAILABLE. */
int rundir_find(const char *name, const char *suffix, char path[RUNDIR_PATH_MAX],
		char error[RUNDIR_ERROR_MAX]);

/* For owners and supervisors: makes the folder where needed and stores DIR/NAME+suffix. */
int rundir_claim(const char *name, const char *suffix, char path[RUNDIR_PATH_MAX],
		 char error[RUNDIR_ERROR_MAX]);

/* For clients that were given no name: stores the NAME of the only NAME+suffix in
 * those folders. EX_UNAVAILABLE when there is none, EX_USAGE when there are several. */
int rundir_single(const char *suffix, char name[RUNDIR_NAME_MAX + 1], char error[RUNDIR_ERROR_MAX]);

/* The folders in which clients look, from 0 on. 0 with its path; EX_NOPERM: clients refuse it, and why; -1: there
 * are no more. A folder need not be there. */
enum { RUNDIR_FOLDER_MAX = 4096 };
int rundir_folder(unsigned index, char folder[RUNDIR_FOLDER_MAX], char error[RUNDIR_ERROR_MAX]);

/* Calls back for each NAME+suffix in those folders, with the folder that holds it. */
typedef void rundir_found(const char *name, const char *folder, void *context);
void rundir_each(const char *suffix, rundir_found *found, void *context);

/* A name is 1 to 64 of letters, digits, '-', '_' and '.', not starting with '.'
 * or '-'. Returns NULL or what is wrong. */
const char *rundir_name_problem(const char *name);

#endif
