/* SPDX-License-Identifier: MIT
 *
 * zpl.h - a ZPL file (ZeroMQ RFC 4) as a list of its items, each with its line.
 *
 * CZMQ's zconfig does the parsing. It keeps no line numbers and stops at the
 * first mistake; this module gives both back. It is the only file that uses CZMQ,
 * and uses nothing of it that opens a context, starts a thread or sets a signal
 * handler.
 */
#ifndef SOLE_COMMON_ZPL_H
#define SOLE_COMMON_ZPL_H

#include "common/mistakes.h"

#include <stddef.h>

struct zpl_item {
	unsigned line;     /* from 1 */
	unsigned level;    /* 0: not indented */
	const char *name;  /* never empty; "$" stands for a line that could not be read */
	const char *value; /* "" when there is none */
};

struct zpl {
	struct zpl_item *items; /* in the order of the lines */
	size_t count;
	void *tree; /* owns the names and values */
};

enum { ZPL_BYTES_MAX = 64 * 1024 };

/* Reads the file. Every line that ZPL does not allow is added to `mistakes` and
 * stands in the list as an item called "$". Returns 0, or a status of
 * <sysexits.h> when the file cannot be read at all, also told in `mistakes`.
 * zpl_clear() in both cases. */
int zpl_load(struct zpl *zpl, const char *path, struct mistakes *mistakes);
void zpl_clear(struct zpl *zpl);

#endif
