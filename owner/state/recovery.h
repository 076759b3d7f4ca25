/* SPDX-License-Identifier: MIT
 *
 * recovery.h - a folder's snapshot and journal become a state again: what an owner does when it starts,
 * and what looks back at a state does.
 *
 * The newest snapshot is read, and the rounds behind it are replayed; each record must bring about
 * what it says (code, revision, digest of the state), so that a behaviour that is not the one that ran, or
 * memory that failed, is found at the first record that differs and not later. Changes nothing on the disk.
 */
#ifndef SOLE_OWNER_RECOVERY_H
#define SOLE_OWNER_RECOVERY_H

#include "owner/core/core.h"
#include "owner/state/disk.h"
#include "owner/state/journal.h"
#include "owner/core/record.h"
#include "owner/state/snapshot_file.h"

enum recovery_result {
	RECOVERED,
	RECOVERY_EMPTY,    /* the folder holds no state: the core is as it was */
	RECOVERY_DAMAGED,  /* what is on the disk is not what was written: `why` tells file and byte */
	RECOVERY_DIVERGED, /* this behaviour does not bring about what the record says: `why` tells where */
	RECOVERY_VERSION,  /* the state is of a behaviour that this one does not take over: `why` */
	RECOVERY_FAILED,   /* the disk or memory failed; `error` is the errno */
};

struct recovery_options {
	uint64_t at_revision; /* stop before the first record of a later revision; 0: go to the end. The
				 newest snapshot that is not later is taken */
	bool from_oldest;     /* take the oldest snapshot, or none: all that is still known is replayed */
	bool any_version;     /* replay whatever version of the behaviour the records are of */
	bool sound_only;      /* do not replay: only look whether snapshots and journal can be read */
	bool no_digests;      /* go on when only the digest differs, and note the first: recovery.diverged */
	void *context;
	/* After a record was replayed (may be NULL). False: stop here. */
	bool (*record)(void *context, const struct round *round, const struct record *record);
	/* Bytes or entries done and all, now and then (may be NULL). */
	void (*progress)(void *context, const char *what, uint64_t done, uint64_t all);
};

struct recovery {
	uint64_t history, incarnation; /* of the last start that is recorded */
	uint64_t snapshot_round, snapshot_revision; /* where replay began; 0: where the history does */
	uint64_t rounds, records;      /* replayed */
	struct journal_end end;
	uint32_t version;              /* of the behaviour that made the state as it is */
	uint64_t diverged;             /* revision of the first record that differed; 0: none */
	int error;
	char why[640];
};

/* There is a journal and nothing in it: its owner died before it had recorded that it began. RECOVERED, and
 * as new as RECOVERY_EMPTY, but for its history. */
static inline bool recovery_never_began(const struct recovery *recovery)
{
	return recovery->incarnation == 0 && recovery->version == 0 && recovery->records == 0;
}

/* `core` is new (with the limits, seeds and counters to be used); after anything but RECOVERED and
 * RECOVERY_EMPTY it is in no known state. With sound_only it is not looked at and may be NULL. */
enum recovery_result recovery_run(const struct disk *disk, struct core *core,
				  const struct recovery_options *options, struct recovery *recovery);

#endif
