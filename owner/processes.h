/* SPDX-License-Identifier: MIT
 *
 * processes.h - hears of the end of client processes, from the kernel: one pidfd each.
 */
#ifndef SOLE_OWNER_PROCESSES_H
#define SOLE_OWNER_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct processes;

/* NULL: no descriptors or no memory. At most `most` processes are watched at once. */
struct processes *processes_new(size_t most);
void processes_destroy(struct processes **processes);

/* Readable when one has ended; the same descriptor for as long as this lives. */
int processes_descriptor(const struct processes *processes);

/* Begins to watch; one that is watched already is not watched twice. False: it has ended already. When
 * the system gives no descriptor it is true and nothing will be heard: sessions then end by silence. */
bool processes_watch(struct processes *processes, pid_t pid);

/* A process that has ended since; false: none (any more). */
bool processes_next_ended(struct processes *processes, pid_t *pid);

/* Which of the processes that have had this pid, ever, on whatever boot of the machine, it is: a number that no other has (in
 * all likelihood). 0: there is none, or the system does not tell. */
uint64_t process_born(pid_t pid);

#endif
