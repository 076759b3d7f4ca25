/* SPDX-License-Identifier: MIT
 *
 * processes.c - pidfds in an epoll set.
 *
 * A pidfd names one process for good: when the number is used again, it is for another
 * process and the descriptor still tells of the first.
 */
#include "owner/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define uthash_malloc(size) malloc(size)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct process {
	pid_t pid;
	int fd;
	UT_hash_handle hh;
};

struct processes {
	int epoll;
	size_t count, most;
	struct process *by_pid;
};

struct processes *processes_new(size_t most)
{
	struct processes *processes = calloc(1, sizeof *processes);

	if (processes == NULL)
		return NULL;
	processes->most = most;
	processes->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (processes->epoll < 0)
		processes_destroy(&processes);
	return processes;
}

static void forget(struct processes *processes, struct process *process)
{
	/* Closing alone would do only where no forked child has the descriptor, too, if only for a moment: the set
	 * would go on telling of a process that is forgotten. */
	epoll_ctl(processes->epoll, EPOLL_CTL_DEL, process->fd, NULL);
	close(process->fd);
	HASH_DEL(processes->by_pid, process);
	processes->count--;
	free(process);
}

void processes_destroy(struct processes **processes)
{
	struct processes *p = *processes;

	if (p == NULL)
		return;
	while (p->by_pid != NULL)
		forget(p, p->by_pid);
	if (p->epoll >= 0)
		close(p->epoll);
	free(p);
	*processes = NULL;
}

int processes_descriptor(const struct processes *processes)
{
	return processes->epoll;
}

bool processes_watch(struct processes *processes, pid_t pid)
{
	struct process *process = NULL;

	if (processes->by_pid != NULL)
		HASH_FIND(hh, processes->by_pid, &pid, sizeof pid, process);
	if (process != NULL || processes->count >= processes->most)
		return true;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno != ESRCH;
	process = calloc(1, sizeof *process);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = process };
	if (process == NULL || epoll_ctl(processes->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		free(process);
		close(fd);
		return true;
	}
	process->pid = pid;
	process->fd = fd;
	HASH_ADD(hh, processes->by_pid, pid, sizeof process->pid, process);
	if (process->hh.tbl == NULL) {
		close(fd);
		free(process);
		return true;
	}
	processes->count++;
	return true;
}

bool processes_next_ended(struct processes *processes, pid_t *pid)
{
	struct epoll_event event;

	if (epoll_wait(processes->epoll, &event, 1, 0) != 1)
		return false;
	struct process *process = event.data.ptr;
	*pid = process->pid;
	forget(processes, process);
	return true;
}

/* ---- which process ---- */

/* The beginning of a small file, as text; false: it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? -1 : read(file, text, size - 1);

	if (file >= 0)
		close(file);
	if (got <= 0)
		return false;
	text[got] = '\0';
	return true;
}

/* See proc(5): the start time, in ticks since the boot, is the 22nd field; the second, the name in
 * brackets, may hold anything. */
uint64_t process_born(pid_t pid)
{
	enum { FIELDS_BEHIND_NAME = 20 };
	static char boot[64];
	char path[64], text[1024];

	if (boot[0] == '\0' && !read_text("/proc/sys/kernel/random/boot_id", boot, sizeof boot))
		return 0;
	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	if (!read_text(path, text, sizeof text))
		return 0;
	const char *field = strrchr(text, ')');
	for (int i = 0; field != NULL && i < FIELDS_BEHIND_NAME; i++)
		field = strchr(field + 1, ' ');
	if (field == NULL)
		return 0;
	uint64_t started = strtoull(field, NULL, 10);
	return XXH3_64bits_withSeed(boot, strlen(boot), started) | 1;
}
