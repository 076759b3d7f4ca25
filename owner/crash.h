/* SPDX-License-Identifier: MIT
 *
 * crash.h - when the owner crashes, its last line says in which of the behaviour's functions: the request is in
 * no journal, and nobody else knows.
 */
#ifndef SOLE_OWNER_CRASH_H
#define SOLE_OWNER_CRASH_H

#include "owner/core/core.h"

/* From now on. The signal does what it did before: a core file, if there are to be any. */
void crash_watch(const struct core *core);

/* The state has been read: what crashes from now on was asked for anew. */
void crash_serving(bool durable);

#endif
