/* SPDX-License-Identifier: MIT
 *
 * folder.c - the folder of a state on a real disk.
 *
 * The descriptor of the folder is what counts, not its path: who replaces the folder while it is open
 * finds a new one, and we go on in the old.
 */
#include "owner/state/folder.h"
#include "common/lockfile.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define LOCK_NAME "lock"

/* No link is followed; and without waiting, for what is no file (a pipe) would be waited for. */
enum { ALWAYS = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY };

/* ---- the disk ---- */

static int descriptor_of(void *context)
{
	const struct folder *folder = context;

	return folder->descriptor;
}

static int do_list(void *context, void (*found)(void *argument, const char *name), void *argument)
{
	/* A description of its own: the place in the listing is not shared. */
	int fd = openat(descriptor_of(context), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *listing = fdopendir(fd);
	if (listing == NULL) {
		int problem = errno;
		close(fd);
		return -problem;
	}
	struct dirent *entry;
	/* cppcheck-suppress readdirCalled ; one reader to a stream, and readdir_r is obsolete */
	while (errno = 0, (entry = readdir(listing)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			found(argument, entry->d_name);
	int problem = errno;
	closedir(listing);
	return -problem;
}

static int do_open(void *context, const char *name, enum disk_mode mode)
{
	static const int flags[] = {
		[DISK_READ] = O_RDONLY,
		[DISK_WRITE] = O_RDWR,
		[DISK_CREATE] = O_RDWR | O_CREAT | O_EXCL,
	};
	struct stat st;
	int fd;

	do
		fd = openat(descriptor_of(context), name, flags[mode] | ALWAYS, 0600);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	int problem = 0;
	if (fstat(fd, &st) != 0)
		problem = errno;
	else if (!S_ISREG(st.st_mode))
		problem = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	if (problem == 0)
		return fd;
	close(fd);
	return -problem;
}

static void do_close(void *context, int file)
{
	(void)context;
	/* Nothing is lost that was synced, and Linux closes it even when it was interrupted. */
	close(file);
}

static int64_t do_size(void *context, int file)
{
	struct stat st;

	(void)context;
	return fstat(file, &st) == 0 ? (int64_t)st.st_size : -errno;
}

static ssize_t do_read(void *context, int file, void *bytes, size_t size, uint64_t offset)
{
	ssize_t got;

	(void)context;
	if (offset > INT64_MAX)
		return -EOVERFLOW;
	do
		got = pread(file, bytes, size, (off_t)offset);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static ssize_t do_write(void *context, int file, const void *bytes, size_t size, uint64_t offset)
{
	ssize_t put;

	(void)context;
	if (offset > INT64_MAX)
		return -EFBIG;
	do
		put = pwrite(file, bytes, size, (off_t)offset);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

/* Not tried again for anything but a signal that came before it was begun. */
static int do_sync(void *context, int file)
{
	int rc;

	(void)context;
	do
		rc = fdatasync(file);
	while (rc != 0 && errno == EINTR);
	return rc != 0 ? -errno : 0;
}

static int do_rename(void *context, const char *from, const char *to)
{
	int fd = descriptor_of(context);

	return renameat(fd, from, fd, to) != 0 ? -errno : 0;
}

static int do_remove(void *context, const char *name)
{
	return unlinkat(descriptor_of(context), name, 0) != 0 ? -errno : 0;
}

static int do_sync_folder(void *context)
{
	int rc;

	do
		rc = fsync(descriptor_of(context));
	while (rc != 0 && errno == EINTR);
	return rc != 0 ? -errno : 0;
}

/* ---- opening it ---- */

static int status_of(int problem)
{
	return problem == EACCES || problem == EPERM || problem == EROFS ? EX_NOPERM : EX_CANTCREAT;
}

/* The folder's own name must survive a loss of power too. */
static int make(const char *path, char error[FOLDER_ERROR_MAX])
{
	char above[PATH_MAX];
	size_t length = strlen(path);

	if (mkdir(path, 0700) != 0) {
		int problem = errno;
		struct stat st;
		if (problem == EEXIST || stat(path, &st) == 0)
			return 0;
		snprintf(error, FOLDER_ERROR_MAX, "cannot make the folder %.200s: %s%s", path,
			 strerror(problem), problem == ENOENT ? ": make the one above it first" : "");
		return status_of(problem);
	}
	while (length > 1 && path[length - 1] == '/')
		length--;
	while (length > 0 && path[length - 1] != '/')
		length--;
	if (length == 0)
		snprintf(above, sizeof above, ".");
	else
		snprintf(above, sizeof above, "%.*s", (int)length, path);
	int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* One that may be written and not read: what can be done has been. */
	if (fd < 0 && errno == EACCES)
		return 0;
	if (fd < 0 || fsync(fd) != 0) {
		snprintf(error, FOLDER_ERROR_MAX, "cannot sync %.200s: %s", above, strerror(errno));
		if (fd >= 0)
			close(fd);
		return EX_OSERR;
	}
	close(fd);
	return 0;
}

/* A folder that others can write is one where they can put a journal in place of ours. */
static int check(const struct folder *folder, const char *path, unsigned use, char error[FOLDER_ERROR_MAX])
{
	struct stat st;

	if (fstat(folder->descriptor, &st) != 0) {
		snprintf(error, FOLDER_ERROR_MAX, "cannot look at %.200s: %s", path, strerror(errno));
		return EX_OSERR;
	}
	if (!(use & FOLDER_WRITE))
		return 0;
	if (st.st_uid != geteuid()) {
		snprintf(error, FOLDER_ERROR_MAX,
			 "the folder %.200s belongs to user %u and not to this one (%u): its owner must run "
			 "as that user", path, (unsigned)st.st_uid, (unsigned)geteuid());
		return EX_NOPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		snprintf(error, FOLDER_ERROR_MAX,
			 "the folder %.200s can be written by others (mode %04o): chmod go-w it", path,
			 (unsigned)st.st_mode & 07777);
		return EX_NOPERM;
	}
	return 0;
}

/* An owner that was killed, and a child that was writing a snapshot for it and has not heard of it yet, hold
 * the lock a moment longer: nobody who lives is waited for. False: *holder has it, or nobody who tells. */
static bool try_lock(int lock, pid_t *holder)
{
	*holder = 0;
	for (int i = 0, waits = LOCKFILE_WAITS; i < LOCKFILE_TRIES;) {
		if (flock(lock, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK)
			return false;
		*holder = lockfile_holder(lock);
		if (*holder == 0)
			i++;
		else if (waits-- == 0 || !lockfile_outwait(*holder))
			break;
	}
	errno = EWOULDBLOCK;
	return false;
}

/* The file is never removed, so what is locked is what the name leads to. */
static int take_lock(struct folder *folder, const char *path, unsigned use, char error[FOLDER_ERROR_MAX])
{
	bool writes = use & FOLDER_WRITE;
	pid_t holder;

	folder->lock = openat(folder->descriptor, LOCK_NAME, (writes ? O_RDWR | O_CREAT : O_RDONLY) | ALWAYS,
			      0600);
	/* No owner has ever been here, and who only reads leaves nothing behind. */
	if (folder->lock < 0 && errno == ENOENT && !writes)
		return 0;
	if (folder->lock < 0) {
		int problem = errno;
		snprintf(error, FOLDER_ERROR_MAX, "cannot open %.200s/" LOCK_NAME ": %s", path,
			 strerror(problem));
		return status_of(problem);
	}
	if (!try_lock(folder->lock, &holder)) {
		if (errno == EWOULDBLOCK)
			snprintf(error, FOLDER_ERROR_MAX,
				 "the state in %.200s is in use by process %ld: stop it first", path,
				 (long)holder);
		else
			snprintf(error, FOLDER_ERROR_MAX, "cannot lock %.200s/" LOCK_NAME ": %s", path,
				 strerror(errno));
		return EX_UNAVAILABLE;
	}
	if (writes && (ftruncate(folder->lock, 0) != 0 ||
		       dprintf(folder->lock, "%ld\n", (long)getpid()) < 0)) {
		int problem = errno;
		snprintf(error, FOLDER_ERROR_MAX, "cannot write %.200s/" LOCK_NAME ": %s", path,
			 strerror(problem));
		return status_of(problem);
	}
	return 0;
}

int folder_open(struct folder *folder, const char *path, unsigned use, char error[FOLDER_ERROR_MAX])
{
	*folder = (struct folder){ .descriptor = -1, .lock = -1 };
	int status = use & FOLDER_MAKE ? make(path, error) : 0;
	if (status != 0)
		return status;
	/* The last part of the path may be a link: whose the folder behind it is gets checked. */
	folder->descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->descriptor < 0) {
		int problem = errno;
		snprintf(error, FOLDER_ERROR_MAX, "cannot open the folder %.200s: %s", path,
			 log_cause(problem));
		return problem == ENOENT    ? EX_NOINPUT
		       : problem == ENOTDIR ? EX_DATAERR
		       : problem == EACCES  ? EX_NOPERM
					    : EX_OSERR;
	}
	status = check(folder, path, use, error);
	if (status == 0 && use & FOLDER_LOCK)
		status = take_lock(folder, path, use, error);
	if (status != 0) {
		folder_close(folder);
		return status;
	}
	folder->disk = (struct disk){ .context = folder,
				      .list = do_list,
				      .open = do_open,
				      .close = do_close,
				      .size = do_size,
				      .read = do_read,
				      .write = do_write,
				      .sync = do_sync,
				      .rename = do_rename,
				      .remove = do_remove,
				      .sync_folder = do_sync_folder };
	return 0;
}

void folder_close(struct folder *folder)
{
	if (folder->descriptor >= 0)
		close(folder->descriptor);
	/* Last: from here on another may have it. */
	if (folder->lock >= 0)
		close(folder->lock);
	folder->descriptor = folder->lock = -1;
}
