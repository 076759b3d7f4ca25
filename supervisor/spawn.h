/* SPDX-License-Identifier: MIT
 *
 * spawn.h - makes a process: from the list of what it shall have, and nothing else.
 *
 * The new process has its own session and process group, default dispositions
 * and an empty mask of signals, the descriptors listed here and no other, and
 * gets SIGTERM should the supervisor be killed.
 */
#ifndef SOLE_SUPERVISOR_SPAWN_H
#define SOLE_SUPERVISOR_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn {
	const char *path;
	char **words;
	char **environment;    /* with SPAWN_OWN_VARIABLES + 1 free places after its end */
	size_t environment_count;
	const char *directory; /* NULL: ours */
	int input, output, error; /* become 0, 1, 2 */
	const int *listens;       /* become 3 and up */
	size_t listen_count;
	int64_t watchdog_us;      /* 0: none; sets WATCHDOG_USEC and WATCHDOG_PID */
	int report;               /* the writing end of a pipe, see below */
};

enum { SPAWN_OWN_VARIABLES = 4 }; /* beyond `environment`: the pids are known only inside */

/* What arrives through `report` when the program could not be run; end-of-file
 * without it means that it runs. */
struct spawn_failure {
	int error; /* errno */
	char stage[28];
};

/* Returns the pid, or -1 with errno set. Does not wait for the program to run. */
pid_t spawn(const struct spawn *spawn);

/* Raises our own limit of descriptors to the hard one; children get back the
 * limit that we were given. */
void spawn_raise_limit(void);

#endif
