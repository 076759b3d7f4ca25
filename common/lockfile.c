/* SPDX-License-Identifier: MIT
 *
 * lockfile.c - take the lock, make sure that it is still the one at the path, tell who holds it.
 */
#include "common/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* One that has only just taken it has yet to write its number: until then the file is empty or holds
 * that of a process that was killed. */
pid_t lockfile_holder(int fd)
{
	for (int patience_ms = 100; patience_ms > 0; patience_ms--) {
		char text[32] = "";
		long pid = pread(fd, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
		if (pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM))
			return (pid_t)pid;
		poll(NULL, 0, 1);
	}
	return 0;
}

/* The file may be removed by a holder that leaves between our open and our flock. */
static bool is_at(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	       ours.st_dev == named.st_dev;
}

static int failed(char error[LOCKFILE_ERROR_MAX], const char *what, const char *path, int status)
{
	snprintf(error, LOCKFILE_ERROR_MAX, "cannot %s %.120s: %s", what, path, strerror(errno));
	return status;
}

int lockfile_take(const char *path, int *fd, pid_t *holder, char error[LOCKFILE_ERROR_MAX])
{
	*holder = 0;
	for (;;) {
		*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (*fd < 0) {
			bool denied = errno == EACCES || errno == EPERM || errno == EROFS;
			snprintf(error, LOCKFILE_ERROR_MAX,
				 "cannot make the lock %.120s: %s: does the folder exist, and may this user "
				 "write to it?", path, strerror(errno));
			return denied ? EX_NOPERM : EX_CANTCREAT;
		}
		if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
			int status = errno == EWOULDBLOCK ? EX_UNAVAILABLE : EX_OSERR;
			failed(error, "lock", path, status);
			if (status == EX_UNAVAILABLE)
				*holder = lockfile_holder(*fd);
			close(*fd);
			return status;
		}
		if (is_at(*fd, path))
			break;
		close(*fd);
	}
	if (ftruncate(*fd, 0) == 0 && dprintf(*fd, "%ld\n", (long)getpid()) > 0)
		return 0;
	int status = failed(error, "write", path, EX_IOERR);
	unlink(path); /* under the lock: nobody else has it */
	close(*fd);
	return status;
}
