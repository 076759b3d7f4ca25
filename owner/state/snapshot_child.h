/* SPDX-License-Identifier: MIT
 *
 * snapshot_child.h - a forked child that writes a snapshot of the state as it is now, while the owner
 * goes on.
 *
 * The child holds nothing of the owner's but the file (and folder) that it is for: it dies with the
 * owner, and keeps no lock, socket or connection alive. The owner waits for nothing: a pidfd becomes
 * readable when the child has ended.
 */
#ifndef SOLE_OWNER_SNAPSHOT_CHILD_H
#define SOLE_OWNER_SNAPSHOT_CHILD_H

#include "owner/state/snapshot.h"

#include <sys/types.h>

struct snapshot_job {
	struct core *core;                /* not in the middle of a request */
	const struct snapshot_head *head; /* see snapshot_write */
	int file;         /* open for writing, at its beginning; stays the caller's */
	bool sync;        /* the file, before it counts as written */
	int folder;       /* with `to`: where the file is, open; else -1 */
	const char *from; /* with `to`: the file's name */
	const char *to;   /* renamed to this when it is synced, then the folder synced; NULL: not renamed */
};

struct snapshot_child {
	pid_t pid;  /* 0: there is none */
	int pidfd;  /* for an epoll set; -1: there is none */
};

/* 0, or an errno: there is no child. The files may be closed then and there: the child has its own. */
int snapshot_child_start(struct snapshot_child *child, const struct snapshot_job *job);

/* Has it ended? Then it is reaped, its pidfd closed, and *error tells how: 0, an errno of what failed,
 * EBADMSG when the state breaks the behaviour's invariant, or ECANCELED when it was killed. Never blocks. */
bool snapshot_child_ended(struct snapshot_child *child, int *error);

/* Kills and reaps it, if there is one; blocks for as long as the kernel needs for that. */
void snapshot_child_kill(struct snapshot_child *child);

#endif
