/* SPDX-License-Identifier: MIT
 *
 * world.h - a behaviour lives through a made-up history, three times at once.
 *
 * Two cores get every input: the same, with another hash seed and another order of memory. A third
 * gets, from a copy of the code with variables of its own, only what an owner would have recorded: no
 * queries, nothing that was refused. All three must answer, emit and store the same; after each step
 * the invariant holds, and what was refused or only asked has left no trace.
 */
#ifndef SOLE_OWNER_KIT_WORLD_H
#define SOLE_OWNER_KIT_WORLD_H

#include <sole/behaviour.h>
#include <stdbool.h>

struct tally {
	uint64_t requests, done, refused, waiting, late, overruns;
	uint64_t ticks, sessions, sessions_ended, withdrawn, events;
	uint64_t entries_most;
};

/* What failed, and in which step of the run. */
struct finding {
	unsigned step;
	char text[1024];
};

/* `copy` is the same behaviour from another copy of its code, or the same again. `where` (of 1024
 * bytes) always tells what is being done, for whoever has to report a crash. Adds to `tally`. False: *finding. */
bool world_run(const struct sole_behaviour *behaviour, const struct sole_behaviour *copy, uint64_t seed,
	       unsigned steps, struct tally *tally, struct finding *finding, char *where);

#endif
