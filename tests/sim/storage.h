/* SPDX-License-Identifier: MIT
 *
 * storage.h - the disk of a run, and the owner's dealings with it: the real durability.c over a disk in memory
 * that dies, lies and forgets as real ones do.
 *
 * A snapshot's child is an image of the state as it was when it was forked: what it does to the disk it does in
 * one piece some time later, or in part, or never.
 */
#ifndef SOLE_TESTS_SIM_STORAGE_H
#define SOLE_TESTS_SIM_STORAGE_H

#include "owner/state/durability.h"
#include "tests/lib/memory_disk.h"

struct medium {
	struct memory_disk *disk;
	struct durable *durability; /* NULL: no owner runs */
	enum durability level;
	uint64_t segment_bytes;
	size_t snapshots_kept;
	uint64_t committed;   /* the last round that was promised to be on disk; of the level interval, to outlive the owner */
	uint64_t next_round;
	bool forked;          /* a child has `image` */
	struct buffer image;
	struct snapshot_head head;
};

struct world;

void storage_init(struct world *world);
void storage_clear(struct world *world);

/* Recovers the state into the core of the owner's new service. False: violated, it does not start. */
bool storage_start(struct world *world, struct core *core, struct recovery *recovery);

/* Makes the round durable, unless something breaks: then the owner is to end, and nothing may leave. */
bool storage_commit(struct world *world);
bool storage_tend(struct world *world, int64_t *next_ns);

/* The owner's process is gone, and with `power` the machine's memory too. */
void storage_crash(struct world *world, bool power);

/* A snapshot's child: begun, or come to its end one way or the other. False: the owner is to end. */
bool storage_snapshot(struct world *world);

/* It ends well. False: it could not be written; nothing is lost. */
bool storage_finish(struct world *world);

/* At the end of a run, with the owner still there: what is on the disk is what the owner has, and a byte that is
 * changed does not go unseen. */
void storage_check(struct world *world);

#endif
