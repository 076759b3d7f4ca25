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
#include <sys/syscall.h>
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

/* Has it been killed, or is it leaving? What /proc tells of it is of its first thread. */
static bool is_dying(pid_t pid)
{
	enum { EXITING = 0x4 }; /* PF_EXITING of the kernel, in the ninth field */
	char path[64], line[512], state = 0;
	unsigned long flags = 0, pending = 0, part;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	file = fopen(path, "re");
	if (file != NULL && fgets(line, sizeof line, file) != NULL && strrchr(line, ')') != NULL)
		if (sscanf(strrchr(line, ')'), ") %c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2)
			state = 0;
	if (file != NULL)
		fclose(file);
	snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "SigPnd: %lx", &part) == 1 || sscanf(line, "ShdPnd: %lx", &part) == 1)
			pending |= part;
	if (file != NULL)
		fclose(file);
	return state == 'Z' || state == 'X' || (flags & EXITING) != 0 || (pending >> (SIGKILL - 1) & 1) != 0;
}

bool lockfile_outwait(pid_t holder)
{
	enum { LOOKS = 3, PATIENCE_MS = 10000 };
	bool dying = false;

	/* Between hearing of its end and going there it looks as if it lived. */
	for (int i = 0; i < LOOKS && !dying; i++) {
		if (i > 0)
			poll(NULL, 0, 1);
		dying = is_dying(holder);
	}
	if (!dying)
		return kill(holder, 0) != 0 && errno == ESRCH;
	int process = (int)syscall(SYS_pidfd_open, holder, 0);
	if (process < 0)
		return errno == ESRCH;
	struct pollfd gone = { .fd = process, .events = POLLIN };
	int rc = poll(&gone, 1, PATIENCE_MS);
	close(process);
	/* A child of it may hold the lock a moment longer. */
	poll(NULL, 0, 1);
	return rc > 0;
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
	for (int waits = LOCKFILE_WAITS, tries = LOCKFILE_TRIES;;) {
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
			if (*holder != 0 && waits-- > 0 && lockfile_outwait(*holder))
				continue;
			if (*holder == 0 && status == EX_UNAVAILABLE && --tries > 0)
				continue; /* nobody who lives */
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
