/* SPDX-License-Identifier: MIT
 *
 * backups.c - which backups there are, their files and children.
 *
 * What a child has written can be fetched while it writes on: the file only grows.
 */
#include "owner/state/backups.h"
#include "owner/state/snapshot_child.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BACKUPS_MAX = 64,  /* the most that max-backups allows, with those whose child is yet to be reaped */
	IDLE_MS = 60000,
	TRIES = 16,        /* for a name that is free */
};

struct backup {
	uint64_t connection, id; /* 0 and 0: it is over, and waits for its child to be reaped */
	int file;
	struct snapshot_child child; /* none: it is written */
	int error;                   /* of the child */
	int64_t asked_ns;
};

struct backups {
	struct backups_settings settings;
	int epoll;
	size_t count;
	struct backup list[BACKUPS_MAX];
};

struct backups *backups_new(const struct backups_settings *settings)
{
	struct backups *backups = calloc(1, sizeof *backups);

	if (backups == NULL)
		return NULL;
	backups->settings = *settings;
	backups->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (backups->epoll < 0)
		backups_destroy(&backups);
	return backups;
}

void backups_destroy(struct backups **backups)
{
	struct backups *b = *backups;

	if (b == NULL)
		return;
	for (size_t i = 0; i < b->count; i++) {
		snapshot_child_kill(&b->list[i].child);
		if (b->list[i].file >= 0)
			close(b->list[i].file);
	}
	if (b->epoll >= 0)
		close(b->epoll);
	free(b);
	*backups = NULL;
}

int backups_descriptor(const struct backups *backups)
{
	return backups->epoll;
}

static struct backup *find(struct backups *backups, uint64_t connection, uint64_t id)
{
	for (size_t i = 0; i < backups->count; i++)
		if (backups->list[i].connection == connection && backups->list[i].id == id)
			return &backups->list[i];
	return NULL;
}

static void forget(struct backups *backups, struct backup *backup)
{
	*backup = backups->list[--backups->count];
}

/* A child that is killed may need a while to be gone: what is left of it is reaped when it is. */
static void end(struct backups *backups, struct backup *backup)
{
	if (backup->file >= 0)
		close(backup->file);
	backup->file = -1;
	backup->connection = backup->id = 0;
	if (backup->child.pid != 0)
		kill(backup->child.pid, SIGKILL);
	else
		forget(backups, backup);
}

/* ---- beginning ---- */

/* Where the file system knows no files without a name: one whose name is taken away at once. The name
 * ends so that an owner that finds it, after dying between the two, removes it. */
static int open_nameless(int folder)
{
	for (unsigned n = 0; n < TRIES; n++) {
		char name[64];
		snprintf(name, sizeof name, "backup-%ld-%u.tmp", (long)getpid(), n);
		int file = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (file < 0 && errno == EEXIST)
			continue;
		if (file >= 0)
			unlinkat(folder, name, 0);
		return file;
	}
	return -1;
}

static int open_file(int folder)
{
	int file = folder >= 0 ? openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) :
				 open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (file >= 0)
		return file;
	return folder >= 0 ? open_nameless(folder) : memfd_create("sole-backup", MFD_CLOEXEC);
}

/* 0, or an errno. */
static int start(struct backups *backups, struct backup *backup, struct core *core)
{
	const struct snapshot_head head = { .history = backups->settings.history,
					    .incarnation = backups->settings.incarnation,
					    .written_us = clock_wall_us() };
	struct epoll_event event = { .events = EPOLLIN };
	int error = errno = 0;

	backup->file = open_file(backups->settings.folder);
	if (backup->file < 0)
		return errno != 0 ? errno : EEXIST;
	const struct snapshot_job job = { .core = core, .head = &head, .file = backup->file, .folder = -1 };
	error = snapshot_child_start(&backup->child, &job);
	if (error == 0 && epoll_ctl(backups->epoll, EPOLL_CTL_ADD, backup->child.pidfd, &event) != 0) {
		error = errno;
		snapshot_child_kill(&backup->child);
	}
	if (error != 0)
		close(backup->file);
	return error;
}

static enum storage_result begin(struct backups *backups, struct core *core, uint64_t connection, uint64_t id,
				 struct backup **backup, int *error)
{
	size_t most = *backups->settings.most < BACKUPS_MAX ? (size_t)*backups->settings.most : BACKUPS_MAX;

	if (backups->count >= most)
		return STORAGE_FULL;
	struct backup *new = &backups->list[backups->count];
	*new = (struct backup){ .connection = connection, .id = id, .child.pidfd = -1 };
	*error = start(backups, new, core);
	if (*error != 0)
		return STORAGE_FAILED;
	backups->count++;
	*backup = new;
	return STORAGE_DONE;
}

/* ---- fetching ---- */

static void look_at_child(struct backup *backup)
{
	if (backup->child.pid != 0)
		snapshot_child_ended(&backup->child, &backup->error);
}

static enum storage_result read_part(struct backup *backup, uint64_t offset, uint8_t *bytes, size_t room,
				     struct backup_part *part, int *error)
{
	struct stat st;

	look_at_child(backup);
	bool written = backup->child.pid == 0;
	*error = backup->error;
	if (written && backup->error != 0)
		return STORAGE_FAILED;
	if (fstat(backup->file, &st) != 0) {
		*error = errno;
		return STORAGE_FAILED;
	}
	if (offset > (uint64_t)st.st_size)
		return STORAGE_NONE;
	if (offset == (uint64_t)st.st_size && !written)
		return STORAGE_NOT_YET;
	ssize_t got;
	while ((got = pread(backup->file, bytes, room, (off_t)offset)) < 0 && errno == EINTR)
		;
	if (got < 0) {
		*error = errno;
		return STORAGE_FAILED;
	}
	*part = (struct backup_part){ .size = written ? (int64_t)st.st_size : -1, .bytes = (size_t)got };
	return STORAGE_DONE;
}

enum storage_result backups_read(struct backups *backups, struct core *core, uint64_t connection, uint64_t id,
				 uint64_t offset, uint8_t *bytes, size_t room, int64_t now_ns,
				 struct backup_part *part, bool *began, int *error)
{
	struct backup *backup = find(backups, connection, id);
	enum storage_result result = STORAGE_DONE;

	*began = false;
	if (backup == NULL) {
		result = offset == 0 ? begin(backups, core, connection, id, &backup, error) : STORAGE_NONE;
		*began = result == STORAGE_DONE;
	}
	if (result != STORAGE_DONE)
		return result;
	backup->asked_ns = now_ns;
	result = read_part(backup, offset, bytes, room, part, error);
	/* Who asks for what is behind the end has everything. */
	bool fetched = result == STORAGE_DONE && part->size >= 0 && offset == (uint64_t)part->size;
	if (result == STORAGE_FAILED || fetched)
		end(backups, backup);
	return result;
}

/* ---- ending ---- */

void backups_connection_ended(struct backups *backups, uint64_t connection)
{
	for (size_t i = backups->count; i-- > 0;)
		if (backups->list[i].connection == connection)
			end(backups, &backups->list[i]);
}

void backups_tend(struct backups *backups, int64_t now_ns, int64_t *next_ns)
{
	*next_ns = INT64_MAX;
	for (size_t i = backups->count; i-- > 0;) {
		struct backup *backup = &backups->list[i];
		look_at_child(backup);
		if (backup->id == 0 && backup->child.pid == 0) {
			forget(backups, backup);
			continue;
		}
		int64_t idle_ns = backup->asked_ns + IDLE_MS * NS_PER_MS;
		if (backup->id != 0 && idle_ns <= now_ns)
			end(backups, backup);
		else if (backup->id != 0 && idle_ns < *next_ns)
			*next_ns = idle_ns;
	}
}
