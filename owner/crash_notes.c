/* SPDX-License-Identifier: MIT
 *
 * crash_notes.c - reads what the last owners noted when they crashed.
 */
#include "owner/crash_notes.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY CRASH_NOTES_NAME ".tmp"

/* A command that has been answered since is not asked for again, nor is what a process wanted that is gone. Other requests
 * come in many copies, and whoever stops an owner may be about to mend it: the next one tries them. */
static bool may_come_again(struct core *core, bool leaving, const struct crashed_request *request)
{
	if (request->session != 0) {
		const struct session *session = sessions_find(core_sessions(core), request->session);
		return session != NULL && session->last < request->sequence;
	}
	return !leaving && (request->pid == 0 || kill((pid_t)request->pid, 0) == 0 || errno != ESRCH);
}

/* What is no such line was being written when the machine died. */
static bool read_line(const char *line, struct crashed_request *request)
{
	int end = 0;

	return sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNu64 "%n", &request->session, &request->sequence,
		      &request->pid, &request->digest, &end) == 4 && strcmp(line + end, "\n") == 0;
}

static void tell(const struct crashed_request *request)
{
	if (request->session != 0)
		log_warn("request %" PRIu64 " of session %" PRIu64 " crashed the owner: it is refused when it is asked for again",
			 request->sequence, request->session);
	else
		log_warn("what process %" PRId64 " asked for crashed the owner: it is refused when that asks for it again",
			 request->pid);
}

/* Each line that still matters. Returns how many others there were, or -1 with errno. */
static long read_notes(int file, struct core *core, bool leaving, struct crashed *crashed)
{
	struct crashed_request request;
	char line[128];
	long dropped = 0;

	FILE *stream = fdopen(file, "r");
	if (stream == NULL)
		return -1;
	while (fgets(line, sizeof line, stream) != NULL) {
		if (read_line(line, &request) && may_come_again(core, leaving, &request)) {
			dropped += crashed->count == CRASHED_MAX;
			crashed_add(crashed, &request);
		} else {
			dropped++;
		}
	}
	bool failed = ferror(stream) != 0;
	fclose(stream);
	return failed ? -1 : dropped;
}

/* 0, or -1 with errno. */
static int write_notes(int folder, const struct crashed *crashed)
{
	if (crashed->count == 0)
		return unlinkat(folder, CRASH_NOTES_NAME, 0);
	int file = openat(folder, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return -1;
	bool written = true;
	for (size_t i = 0; i < crashed->count && written; i++) {
		const struct crashed_request *r = &crashed->list[i];
		written = dprintf(file, "%" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64 "\n", r->session, r->sequence,
				  r->pid, r->digest) > 0;
	}
	written = close(file) == 0 && written;
	if (written && renameat(folder, TEMPORARY, folder, CRASH_NOTES_NAME) == 0)
		return 0;
	int error = errno;
	unlinkat(folder, TEMPORARY, 0);
	errno = error;
	return -1;
}

/* Stores what still matters, in the file too. False: there is nothing, or it cannot be read. */
static bool sift(int folder, struct core *core, bool leaving, struct crashed *crashed)
{
	long dropped = -1;
	struct stat st;

	crashed->count = 0;

	int file = openat(folder, CRASH_NOTES_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (file < 0 && errno == ENOENT)
		return false;
	if (file >= 0 && fstat(file, &st) == 0 && !S_ISREG(st.st_mode)) {
		errno = EINVAL;
		close(file);
	} else if (file >= 0) {
		dropped = read_notes(file, core, leaving, crashed);
	}
	if (dropped < 0) {
		log_warn("the file " CRASH_NOTES_NAME " of the state cannot be read: %s; what crashed the owner is run again if "
			 "it is asked for again", strerror(errno));
		return false;
	}
	if (dropped > 0 && write_notes(folder, crashed) != 0)
		log_warn("the file " CRASH_NOTES_NAME " of the state cannot be written: %s", strerror(errno));
	return true;
}

void crash_notes_take(int folder, struct core *core)
{
	struct crashed crashed;

	if (!sift(folder, core, false, &crashed))
		return;
	for (size_t i = 0; i < crashed.count; i++)
		tell(&crashed.list[i]);
	core_avoid(core, &crashed);
}

void crash_notes_leave(int folder, struct core *core)
{
	struct crashed crashed;

	sift(folder, core, true, &crashed);
}
