/* SPDX-License-Identifier: MIT
 *
 * owner.h - the owner of a run: the real service, with the simulated network and disk where a shell has sockets
 * and files.
 *
 * What owner.c does in a round is done here in the same order. A crash may come at every place between.
 */
#ifndef SOLE_TESTS_SIM_OWNER_H
#define SOLE_TESTS_SIM_OWNER_H

#include "owner/core/counters.h"
#include "owner/service/service.h"

enum { PID_FIRST = 1000, EVENTS_AMPLE = 1 << 18 };

struct sim_owner {
	bool durable;
	struct service *service; /* NULL: it does not run */
	struct limits limits;
	struct counters counters;
	struct gauges gauges;
	struct identity identity;
	struct buffer records;   /* of the round, as the core wrote them */
	uint64_t round;          /* number of the next one that has records */
	uint64_t starts, session_seed;
	int64_t next_ns;         /* when it has something to do without being asked */
	int64_t back_ns;         /* not running: when it starts again */
	bool more, leaving;
	int64_t leave_ns;        /* leaving: when it is gone */
	uint32_t dead[32];       /* processes that have ended, of which it was not told yet */
	size_t dead_count;
};

struct world;

void owner_init(struct world *world);
void owner_clear(struct world *world);

void owner_start(struct world *world);
/* Takes up some of what has arrived. False: nothing has. */
bool owner_round(struct world *world);
/* What is due by the clock. */
void owner_tend(struct world *world);
/* It is told of the end of connections and processes. */
void owner_follow(struct world *world);
void owner_crash(struct world *world, const char *where);
/* SIGTERM: refuses from now on, and is gone a little later. */
void owner_leave(struct world *world);

void owner_process_ended(struct world *world, uint32_t process);

#endif
