/* SPDX-License-Identifier: MIT
 *
 * snapshot_child.c - fork, write, sync, rename, _exit.
 *
 * The child comes from a process with threads: until _exit it may call only what a signal handler may. It
 * allocates nothing, logs nothing, and knows no stdio and no libzmq. What failed it tells by its exit
 * status: an errno, all of which fit.
 */
#include "owner/state/snapshot_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	OUTPUT_BYTES = 1 << 18, /* gathered for one write */
	NICER = 5,              /* than the owner, which has clients waiting */
	STATUS_UNKNOWN = 255,
};

/* ---- in the child ---- */

/* Made before the fork, used behind it. */
static struct output {
	int file, error;
	size_t size;
	uint8_t bytes[OUTPUT_BYTES];
} output;

static bool write_out(struct output *out, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t written = write(out->file, bytes, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			out->error = written < 0 ? errno : EIO;
			return false;
		}
		bytes += written;
		size -= (size_t)written;
	}
	return true;
}

static bool flush(struct output *out)
{
	size_t size = out->size;

	out->size = 0;
	return write_out(out, out->bytes, size);
}

static bool gather(void *context, const void *bytes, size_t size)
{
	struct output *out = context;

	if (size > sizeof out->bytes - out->size && !flush(out))
		return false;
	if (size > sizeof out->bytes)
		return write_out(out, bytes, size);
	memcpy(out->bytes + out->size, bytes, size);
	out->size += size;
	return true;
}

static void close_between(int first, int last)
{
	if (first <= last)
		close_range((unsigned)first, (unsigned)last, 0);
}

/* All but two of them. */
static void close_others(int one, int other)
{
	int low = one < other ? one : other, high = one < other ? other : one;

	close_between(0, low - 1);
	close_between(low < 0 ? 0 : low + 1, high - 1);
	close_range((unsigned)high + 1, ~0U, 0);
}

/* Of the two the owner is the one to be kept when memory runs out. */
static void offer_for_killing(void)
{
	int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (file < 0)
		return;
	if (write(file, "800", 3) < 0)
		errno = 0;
	close(file);
}

static int finish(const struct snapshot_job *job)
{
	if (job->sync && fsync(job->file) != 0)
		return errno;
	if (job->to == NULL)
		return 0;
	if (renameat(job->folder, job->from, job->folder, job->to) != 0 || fsync(job->folder) != 0)
		return errno;
	return 0;
}

static _Noreturn void live(const struct snapshot_job *job, pid_t parent)
{
	const struct snapshot_sink sink = { .context = &output, .write = gather };
	int error = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ECANCELED); /* it died before the line above */
	close_others(job->file, job->to != NULL ? job->folder : -1);
	prctl(PR_SET_NAME, "sole-snapshot");
	offer_for_killing();
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICER);
	/* The older snapshot, and the journal, are of more use than one of a state that is wrong. */
	if (core_invariant(job->core) != NULL)
		_exit(EBADMSG);
	if (!snapshot_write(job->core, job->head, &sink) || !flush(&output))
		error = output.error != 0 ? output.error : EIO;
	if (error == 0)
		error = finish(job);
	_exit(error < STATUS_UNKNOWN ? error : STATUS_UNKNOWN);
}

/* ---- in the owner ---- */

int snapshot_child_start(struct snapshot_child *child, const struct snapshot_job *job)
{
	pid_t parent = getpid();

	*child = (struct snapshot_child){ .pidfd = -1 };
	/* Ignored (it may have been inherited so), there would be no status to wait for. */
	signal(SIGCHLD, SIG_DFL);
	output.file = job->file;
	output.error = 0;
	output.size = 0;
	pid_t pid = fork();
	if (pid == 0)
		live(job, parent);
	if (pid < 0)
		return errno;
	child->pid = pid;
	child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (child->pidfd >= 0)
		return 0;
	int error = errno;
	snapshot_child_kill(child);
	return error;
}

static int error_of(int status)
{
	if (!WIFEXITED(status))
		return ECANCELED;
	return WEXITSTATUS(status) == STATUS_UNKNOWN ? EIO : WEXITSTATUS(status);
}

static bool reap(struct snapshot_child *child, int flags, int *error)
{
	int status;
	pid_t ended;

	if (child->pid == 0)
		return false;
	while ((ended = waitpid(child->pid, &status, flags)) < 0 && errno == EINTR)
		;
	if (ended == 0)
		return false;
	*error = ended > 0 ? error_of(status) : errno;
	if (child->pidfd >= 0)
		close(child->pidfd);
	*child = (struct snapshot_child){ .pidfd = -1 };
	return true;
}

bool snapshot_child_ended(struct snapshot_child *child, int *error)
{
	return reap(child, WNOHANG, error);
}

void snapshot_child_kill(struct snapshot_child *child)
{
	int error;

	if (child->pid == 0)
		return;
	kill(child->pid, SIGKILL);
	reap(child, 0, &error);
}
