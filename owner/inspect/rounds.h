/* SPDX-License-Identifier: MIT
 *
 * rounds.h - walks a journal and its records, also while an owner writes it.
 */
#ifndef SOLE_OWNER_ROUNDS_H
#define SOLE_OWNER_ROUNDS_H

#include "owner/inspect/inspect_parts.h"

/* Calls `visit` for each round from number `from` on (0: the first that is there), until it returns false:
 * the result is JOURNAL_ROUND then. What looks damaged while an owner runs is looked at again, since it may
 * be in the middle of writing it; each round is visited once. */
enum journal_result rounds_walk(const struct place *place, uint64_t from,
				bool (*visit)(void *context, const struct round *round), void *context,
				struct journal_end *end, struct journal_fault *fault);

/* Calls `visit` for each record of a round. False: `visit` returned false, or (*bad, which may be NULL) what
 * the round holds is not as many records as it says. */
bool records_walk(const struct round *round,
		  bool (*visit)(void *context, const struct round *round, const struct record *record),
		  void *context, bool *bad);

#endif
