/* SPDX-License-Identifier: MIT
 *
 * snapshot.h - a whole state at one revision, as a stream of bytes: maps, sessions with
 * what they were answered and wait for, the ring of events, clock, tokens and counts.
 *
 * The same stream is the snapshot file of a state's folder, a backup, and what a simulator compares. It is
 * cut into blocks, each with a CRC-32C, and ends with a block that tells how many there were: one that
 * is short, or of which a bit is wrong, is refused. Nothing in it depends on the process that wrote it (hash
 * seeds, addresses, the machine's byte order), so that two equal states give equal bytes. sole-state(5)
 * describes the bytes.
 *
 * Pure. Writing allocates nothing, so that a forked child can do it.
 */
#ifndef SOLE_OWNER_SNAPSHOT_H
#define SOLE_OWNER_SNAPSHOT_H

#include "owner/core/core.h"

enum { SNAPSHOT_FORMAT = 1, SNAPSHOT_BEHAVIOUR_MAX = 64 };

/* What stands before the state. */
struct snapshot_head {
	uint64_t history, incarnation;
	uint64_t round;      /* the last one that is in it */
	uint64_t revision;
	int64_t time_us;     /* the core's clock */
	int64_t written_us;  /* the wall clock when it was begun */
	int64_t token;       /* the last one given out */
	uint32_t version;    /* of the behaviour */
	char behaviour[SNAPSHOT_BEHAVIOUR_MAX + 1];
	uint64_t entries, sessions; /* to come */
	uint64_t digest;     /* store_digest */
	uint64_t segment_bytes; /* of the round's journal; 0: not told */
	uint64_t next_id;    /* sessions_next_id */
	int error;           /* when reading fails: errno of source or memory; 0: what is there is wrong */
};

struct snapshot_sink {
	void *context;
	bool (*write)(void *context, const void *bytes, size_t size);
};

struct snapshot_source {
	void *context;
	/* Bytes read, fewer than asked for only at the end; negative errno. */
	ssize_t (*read)(void *context, void *bytes, size_t size);
};

/* False: the sink said so, and is not asked again; or the entries are not those that the store's digest
 * tells of: memory is faulty. The core must not be in the middle of a request. `head` brings history,
 * incarnation, round, written_us and segment_bytes; the rest is the core's. Takes 66 KiB of stack. */
bool snapshot_write(struct core *core, const struct snapshot_head *head, const struct snapshot_sink *sink);

/* Reads the head, and then the whole into a core that is new (core NULL: only looks whether the bytes are
 * sound); each from the beginning of the bytes. The behaviour's name must be that of the snapshot; its
 * version is for the caller to judge. A map that the behaviour did not fetch is restored all the same, for
 * `migrate` to find; one that holds nothing is in no snapshot, and so is gone from the next when it was
 * emptied. No limit is asked; of the events, the newest are kept that the core's ring has room for.
 * `progress` (may be NULL) is told entries done and all, now and then. False: *why, of `why_size` bytes, says
 * what is wrong and at which byte; the core is in no known state, and fit to be destroyed. */
bool snapshot_read_head(const struct snapshot_source *source, struct snapshot_head *head, char *why,
			size_t why_size);
bool snapshot_read(const struct snapshot_source *source, struct snapshot_head *head, struct core *core,
		   void (*progress)(void *context, uint64_t done, uint64_t all), void *progress_context,
		   char *why, size_t why_size);

#endif
