/* SPDX-License-Identifier: MIT
 *
 * stray.h - processes that a child left behind: members of its process group, and
 * descendants that left the group and the session (a double fork, setsid).
 *
 * The supervisor is the reaper of all of them (PR_SET_CHILD_SUBREAPER), so every
 * descendant whose parent is gone becomes a child of ours. Whose it was is told by
 * its session, or by SOLE_CHILD in its environment.
 */
#ifndef SOLE_SUPERVISOR_STRAY_H
#define SOLE_SUPERVISOR_STRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { STRAYS_MAX = 8192 };

/* Lists the pids whose parent we are: children's main processes and strays.
 * Returns how many, at most `most`. */
size_t our_processes(pid_t *pids, size_t most);

/* True when `pid`, a child of ours, was left by the child whose main process was
 * `group` and whose SOLE_CHILD is `mark`. */
bool stray_is_of(pid_t pid, pid_t group, const char *mark);

#endif
