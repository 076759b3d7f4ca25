/* SPDX-License-Identifier: MIT
 *
 * processes.c - pidfds in an epoll set.
 *
 * A pidfd names one process for good: when the number is used again, it is for another
 * process and the descriptor still tells of the first.
 */
#include "owner/processes.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define uthash_malloc(size) malloc(size)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

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
	close(process->fd); /* leaves the epoll set by itself */
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
