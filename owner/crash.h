/* SPDX-License-Identifier: MIT
 *
 * crash.h - when the owner crashes, its last line says in which of the behaviour's functions: the request is in
 * no journal, and nobody else knows. Where there is a folder it is noted there, so that it does not crash the next owner.
 */
#ifndef SOLE_OWNER_CRASH_H
#define SOLE_OWNER_CRASH_H

#include "owner/core/core.h"

/* From now on. The signal does what it did before: a core file, if there are to be any. */
void crash_watch(const struct core *core);

/* The state has been read: what crashes from now on was asked for anew, and is noted in the state's folder (a descriptor
 * that stays open; -1: there is none), for the next owner. */
void crash_serving(int folder);

#endif
