/* SPDX-License-Identifier: MIT
 *
 * world.h - one simulated run: an owner, its clients, the network and the disk between them, and the time,
 * all of it driven by one seed.
 *
 * A run is a few hundred steps of chaos, each drawn by chance, and then peace: no more faults, and everything
 * that is under way must come to its end. Then the history is checked (check.h).
 */
#ifndef SOLE_TESTS_SIM_WORLD_H
#define SOLE_TESTS_SIM_WORLD_H

#include "tests/sim/clients.h"
#include "tests/sim/history.h"
#include "tests/sim/network.h"
#include "tests/sim/owner.h"
#include "tests/sim/random.h"
#include "tests/sim/storage.h"

#include <stdio.h>

enum { TRACE_LINES = 80, TRACE_BYTES = 240, VIOLATION_BYTES = 1024 };

/* What happened how often, over one run; main.c adds them up. */
struct tally {
	uint64_t steps, messages, lost, rounds, records, operations, done, refused, unknown, events;
	uint64_t owner_crashes, power_losses, sync_failures, clean_stops, client_crashes, cuts, snapshots, segments;
	uint64_t damages;
};

struct world {
	uint64_t seed;
	struct random random;
	int64_t now_ns;
	int64_t wall_us; /* minus now: the wall clock may be set */
	struct network network;
	struct sim_owner owner;
	struct medium storage;
	struct clients clients;
	struct history history;
	struct tally tally;
	uint64_t digest; /* of all that was sent and done: the same for the same seed */
	bool chaos; /* things still go wrong */
	bool failed;
	char violation[VIOLATION_BYTES];

	FILE *trace_to;  /* each step goes there; NULL */
	bool tracing;    /* the last lines are kept */
	char (*trace)[TRACE_BYTES];
	size_t trace_count;
};

/* Runs it. True: nothing was violated; else world->violation says what. The caller clears it. */
bool world_run(struct world *world, uint64_t seed);
void world_clear(struct world *world);

/* One line about this step; nothing when nobody looks. */
__attribute__((format(printf, 2, 3))) void world_say(struct world *world, const char *format, ...);

/* What must not be. The first counts. */
__attribute__((format(printf, 2, 3))) void world_violated(struct world *world, const char *format, ...);

/* Takes something that was done into the run's digest. */
void world_digest(struct world *world, const void *bytes, size_t size);

int64_t world_wall_us(const struct world *world);

#endif
