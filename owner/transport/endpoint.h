/* SPDX-License-Identifier: MIT
 *
 * endpoint.h - the one place where an owner listens, and the lock that makes it the
 * only owner there.
 *
 * The lock (flock on PATH.lock, which holds our pid) is taken before the socket is
 * touched. A socket file left by a dead owner is removed only under the lock and
 * after a connect was refused.
 */
#ifndef SOLE_OWNER_ENDPOINT_H
#define SOLE_OWNER_ENDPOINT_H

#include "common/rundir.h"

#include <stdbool.h>
#include <sys/types.h>

struct endpoint {
	char path[RUNDIR_PATH_MAX];
	char lock_path[RUNDIR_PATH_MAX + 8];
	int listener; /* until the transport takes it over */
	int lock;
	bool inherited; /* the listener was handed over: its file is not ours to remove */
};

/* Takes the lock and listens at `path` (of a socket's size at most), mode `mode`. When
 * `inherited_fd` is not -1 it is a listener for that very path, and used instead. 0, or a
 * status of <sysexits.h> and a sentence in `error`. Does not block. */
int endpoint_open(struct endpoint *endpoint, const char *path, mode_t mode, int inherited_fd,
		  char error[RUNDIR_ERROR_MAX]);

/* Removes the socket's file if it is ours, then the lock's, then lets go of the lock. */
void endpoint_close(struct endpoint *endpoint);

#endif
