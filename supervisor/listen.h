/* SPDX-License-Identifier: MIT
 *
 * listen.h - listening sockets that the supervisor makes for its children and
 * keeps while they come and go, so that nobody who connects is refused meanwhile.
 */
#ifndef SOLE_SUPERVISOR_LISTEN_H
#define SOLE_SUPERVISOR_LISTEN_H

#include "common/rundir.h"

#include <sys/types.h>

enum { LISTEN_ERROR_MAX = 384 };

/* Makes, binds and listens. `target` is an absolute path, or a NAME for the
 * endpoint of an owner, DIR/NAME.sock. Stores the path in `path`. A socket file
 * that nobody listens on is replaced. Returns the descriptor, or -1 with a
 * sentence in `error`. Does not block. */
int listen_open(const char *target, mode_t mode, char path[RUNDIR_PATH_MAX], char error[LISTEN_ERROR_MAX]);

/* Binds `fd` to `path` with `mode`, replacing a stale socket file. Returns 0, or
 * -1 with a sentence in `error`. Used for the control socket too. */
int listen_bind(int fd, const char *path, mode_t mode, char error[LISTEN_ERROR_MAX]);

#endif
