/* SPDX-License-Identifier: MIT
 *
 * symbols.h - what a shared object calls that a behaviour must not: clocks, randomness, input
 * and output, the environment, threads and processes.
 */
#ifndef SOLE_OWNER_KIT_SYMBOLS_H
#define SOLE_OWNER_KIT_SYMBOLS_H

#include <stdbool.h>

/* Calls `tell` for each forbidden function among the undefined symbols of FILE, with what it is. False,
 * and a sentence in *why: FILE cannot be read as a shared object of this machine. */
bool symbols_forbidden(const char *file, void (*tell)(void *context, const char *symbol, const char *what),
		       void *context, const char **why);

/* What `name` is, by the table of forbidden functions; NULL: it may be called. */
const char *symbol_is(const char *name);

#endif
