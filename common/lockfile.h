/* SPDX-License-Identifier: MIT
 *
 * lockfile.h - one process at a time: a file that its holder has locked (flock), and in which its
 * process id stands. The kernel lets go of the lock however its holder ends.
 */
#ifndef SOLE_COMMON_LOCKFILE_H
#define SOLE_COMMON_LOCKFILE_H

#include <stdbool.h>
#include <sys/types.h>

enum {
	LOCKFILE_ERROR_MAX = 256,
	LOCKFILE_WAITS = 100,
	/* Of a tenth of a second: for the child of an owner that was killed, which holds its lock until it has heard of
	 * it, and on a busy machine that takes a while. */
	LOCKFILE_TRIES = 30,
};

/* Makes the file if it is not there, locks it, and writes our process id. Returns 0 and the
 * descriptor, which holds the lock until it is closed; the holder may remove the file before that.
 * Otherwise a status of <sysexits.h> and a sentence in `error`; with EX_UNAVAILABLE another process
 * has the lock, and *holder is who, as far as its file tells; else it is 0.
 * Does not wait for one that lives; for up to 100 ms for the number of one that has only just taken it, and for
 * one that was killed (lockfile_outwait). */
int lockfile_take(const char *path, int *fd, pid_t *holder, char error[LOCKFILE_ERROR_MAX]);

/* Whose number stands in a lock file that somebody has: 0 when it is nobody's that lives. Waits up to 100 ms
 * for one that has only just taken it. */
pid_t lockfile_holder(int fd);

/* A process that was killed keeps its locks until it is gone, which takes a while where it has much memory or waits for its disk.
 * True: it was dying, and is gone: try again. False at once: it lives; after 10 s: it does not come to its end. */
bool lockfile_outwait(pid_t holder);

#endif
