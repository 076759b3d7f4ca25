/* SPDX-License-Identifier: MIT
 *
 * crash_notes.h - the file "crashed" in a state's folder: a line for each request that crashed its owner. The
 * owner's last act (crash.c) adds one, the next owner reads it.
 *
 * A line is "SESSION SEQUENCE PID DIGEST", decimal numbers, see struct crashed_request.
 */
#ifndef SOLE_OWNER_CRASH_NOTES_H
#define SOLE_OWNER_CRASH_NOTES_H

#include "owner/core/core.h"

#define CRASH_NOTES_NAME "crashed"

/* Has the core, which has been recovered, refuse what is noted in the folder and may be asked for again; says so,
 * and takes the rest out of the file. What cannot be read or written is told, and no reason not to serve. */
void crash_notes_take(int folder, struct core *core);

/* The owner ends well: only commands stay noted, until they have been answered. */
void crash_notes_leave(int folder, struct core *core);

#endif
