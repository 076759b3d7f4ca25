/* SPDX-License-Identifier: MIT
 *
 * journal_salvage.h - what can still be read of a journal that is damaged: for telling what is lost, and for
 * going on behind a damage that a snapshot covers. Nothing that recovers a state by itself uses this.
 */
#ifndef SOLE_OWNER_JOURNAL_SALVAGE_H
#define SOLE_OWNER_JOURNAL_SALVAGE_H

#include "owner/state/journal.h"

struct journal_salvage {
	uint64_t rounds;   /* that were given to `visit` */
	bool ended;        /* behind the last of them the journal ends as one does: nothing more was there */
	/* The highest round whose head can be read anywhere, whether or not the rest of it can. 0: none. */
	uint64_t seen_round, seen_revision;
	int64_t seen_us;
};

/* Looks at every sector of every segment, and calls `visit` (may be NULL) for the sound rounds from number
 * `from` on, as long as none is missing between them; until it returns false. Reads a segment at a time into
 * memory. 0 or a negative errno. */
int journal_salvage(const struct disk *disk, uint64_t from,
		    bool (*visit)(void *context, const struct round *round), void *context,
		    struct journal_salvage *salvage);

#endif
