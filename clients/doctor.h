/* SPDX-License-Identifier: MIT
 *
 * doctor.h - what the parts of `sole doctor` share; for nobody else.
 *
 *	doctor.c          the command, and what it prints
 *	doctor_sockets.c  folders, sockets, locks: who listens where
 *	doctor_owner.c    an owner that answers: its process, its limits, its clock, its disk
 *	doctor_service.c  systemd and supervisors: who keeps it up
 *
 * Each finding says what is the matter and, unless it is well, what to do. Nothing is changed by looking;
 * only --disk writes, to a file without a name.
 */
#ifndef SOLE_CLIENTS_DOCTOR_H
#define SOLE_CLIENTS_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum finding { FINDING_OK, FINDING_NOTE, FINDING_WARNING, FINDING_WRONG };

/* What was found of `subject` ("socket", "clock" ...): a sentence. */
void found(enum finding finding, const char *subject, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What to do about the finding before it. */
void advise(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- the parts ---- */

/* Of the folders in which clients look. */
void doctor_folders(void);

/* Sockets called `name`, or all where it is NULL: calls doctor_owner for each that has an owner behind it. Returns how
 * many sockets there are. */
unsigned doctor_sockets(const char *name);

/* Asks the owner at the socket `path`, whose lock `holder` has. */
void doctor_owner(const char *name, const char *path, pid_t holder);

/* Which process has locked a file; 0: none. */
pid_t lock_holder(const char *path);

/* This process's own limits and the system's clock. */
void doctor_system(void);

/* The systemd unit of the owner called `name`. False: there is none, or no systemd. */
bool doctor_unit(const char *name);
void doctor_supervisors(void);

/* ---- /proc ---- */

/* The first line of /proc/PID/FILE that begins with `key`, without it; NULL: none. Valid until the next call. */
const char *proc_line(pid_t pid, const char *file, const char *key);

/* "sole-owner (pid 412)"; valid until the next call. */
const char *name_of_process(pid_t pid);

#endif
