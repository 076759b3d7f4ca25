/* SPDX-License-Identifier: MIT
 *
 * inspect.h - what sole-owner does beside owning: looks at a state's folder, repairs it when told to, shows
 * what it held and who did what, rehearses an upgrade, makes a folder from a backup or a text.
 *
 * Each is one option and one file, and returns an exit status. Standard output is the answer; what is wrong
 * is one line on standard error. Only --repair, --restore and --import write, and take the folder's lock;
 * the others may look while an owner runs.
 */
#ifndef SOLE_OWNER_INSPECT_H
#define SOLE_OWNER_INSPECT_H

#include "owner/core/limits.h"

#include <sole/behaviour.h>
#include <stdbool.h>

/* What is asked for: targets of the options. One of the first eight is given, or nothing is asked for. */
struct inspection {
	const char *verify, *repair, *dump, *log, *replay; /* folders */
	const char *export_as_text;                        /* a folder */
	const char *restore, *import;                      /* files, into `folder` */
	const char *folder;                                /* the operand behind restore and import */
	int64_t at, from, to;                              /* revisions; 0: not given */
	bool yes, json;
	const struct sole_behaviour *behaviour;
	const struct limits *limits;
	uint64_t segment_bytes; /* of a journal that is begun */
};

/* Is anything of this asked for? Then the arguments are not those of an owner. */
bool inspect_asked(const struct inspection *inspection);

/* Takes the operands: NULL, or a sentence that says what is wrong with the options together. */
const char *inspect_operands(struct inspection *inspection, int count, char **operands);

/* Does it. Returns an exit status. */
int inspect_run(const struct inspection *inspection);

#endif
