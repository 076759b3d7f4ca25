/* SPDX-License-Identifier: MIT
 *
 * outcomes.h - what became of commands whose sessions do not tell (any more): looked for in the journal,
 * by a thread, while rounds go on.
 *
 * Several questions are answered by one pass. Answers are remembered for a while, so that who asks again
 * gets them.
 */
#ifndef SOLE_OWNER_OUTCOMES_H
#define SOLE_OWNER_OUTCOMES_H

#include "owner/state/disk.h"
#include "owner/service/storage.h"

struct outcomes;

struct outcomes_settings {
	const struct disk *disk; /* the journal's folder; the thread only reads */
	uint64_t history;
};

/* NULL: no memory or descriptors. */
struct outcomes *outcomes_new(const struct outcomes_settings *settings);

/* Waits for the thread, which leaves off at its next round. */
void outcomes_destroy(struct outcomes **outcomes);

/* Readable when a pass has ended: for an epoll set, and then outcomes_tend. */
int outcomes_descriptor(const struct outcomes *outcomes);

/* The journal has all rounds up to this one: a pass reads no further. */
void outcomes_set_end(struct outcomes *outcomes, uint64_t round);

/* As storage.outcome. */
enum storage_result outcomes_find(struct outcomes *outcomes, uint64_t session, uint64_t sequence,
				  int64_t now_ns, struct fate *fate, int *error);

/* Takes in what the thread has found, and begins the next pass where there are questions. */
void outcomes_tend(struct outcomes *outcomes, int64_t now_ns);

#endif
