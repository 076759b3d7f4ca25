/* SPDX-License-Identifier: MIT
 *
 * table.h - what table.c and lock.c share: the maps of the behaviour `table`, and the
 * operations of locks.
 */
#ifndef SOLE_OWNER_TABLE_H
#define SOLE_OWNER_TABLE_H

#include <sole/behaviour.h>

struct table {
	struct sole_map *map, *due, *expiry, *bound, *binding;
	struct sole_map *locks, *held, *line, *waiting;
};

int lock_lock(struct sole_call *call);
int lock_try(struct sole_call *call);
int lock_unlock(struct sole_call *call);
int lock_holder(struct sole_call *call);
int lock_check(struct sole_call *call);

/* Lets go of every lock of the session that has ended. */
int lock_session_ended(struct sole_call *call);

/* Takes a waiting request out of its line. */
int lock_withdrawn(struct sole_call *call);

const char *lock_invariant(struct table *table);

#endif
