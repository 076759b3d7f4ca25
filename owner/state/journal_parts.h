/* SPDX-License-Identifier: MIT
 *
 * journal_parts.h - a journal that is written to, as the two files that make it up see it: how it is
 * begun or gone on with (journal_start.c), and how it grows (journal.c). For nobody else.
 */
#ifndef SOLE_OWNER_JOURNAL_PARTS_H
#define SOLE_OWNER_JOURNAL_PARTS_H

#include "owner/state/frame.h"
#include "owner/state/segment.h"

#include <pthread.h>
#include <stdatomic.h>

/* The first allocation: rounds that are not larger are written without another. */
enum { ROUND_USUAL = 1 << 18 };

struct journal {
	const struct disk *disk;
	uint64_t history, segment_bytes;
	int file;
	char name[JOURNAL_NAME_BYTES];
	struct segment segment; /* that is written to */
	uint64_t offset, next, revision;
	uint64_t synced;	/* the last round that is known to be */
	int failed;		/* errno: nothing can be added any more */
	uint8_t *sectors;	/* of the round that is written */
	size_t room;
	uint64_t appended, bytes;

	pthread_mutex_t making; /* held while a spare is made, and until one has become a segment */
	atomic_bool spare;	/* it is there, and spare_file is open */
	int spare_file;
};

/* Nothing can be added from now on; fills *fault and returns rc. */
int journal_fail(struct journal *journal, int rc, const char *what, struct journal_fault *fault);

/* Makes `sectors` large enough. False: there is no memory. */
bool journal_make_room(struct journal *journal, uint64_t bytes);

#endif
