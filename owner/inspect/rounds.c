/* SPDX-License-Identifier: MIT
 *
 * rounds.c - rounds and records, one after the other.
 */
#include "owner/inspect/rounds.h"

#include <poll.h>
#include <string.h>

enum { LOOKS_AGAIN = 20, LOOK_AGAIN_MS = 25 };

enum journal_result rounds_walk(const struct place *place, uint64_t from,
				bool (*visit)(void *context, const struct round *round), void *context,
				struct journal_end *end, struct journal_fault *fault)
{
	enum journal_result result;
	int looks = 0;

	for (;;) {
		struct journal_reader *reader = journal_reader_new(place->disk, 0, from, fault);
		struct round round;
		uint64_t done, all;
		result = reader == NULL ? (fault->error != 0 ? JOURNAL_FAILED : JOURNAL_DAMAGED) :
					  JOURNAL_ROUND;
		while (result == JOURNAL_ROUND) {
			result = journal_read(reader, &round, end, fault);
			if (result != JOURNAL_ROUND)
				break;
			looks = 0;
			from = round.number + 1;
			if (!visit(context, &round))
				break;
			journal_progress(reader, &done, &all);
			inspect_progress(NULL, "the journal", done, all);
		}
		journal_reader_destroy(&reader);
		/* A write that is under way is seen in part, and a segment may go when a snapshot is
		 * there. */
		bool again = (result == JOURNAL_DAMAGED || result == JOURNAL_FAILED) && place->owner != 0;
		if (!again || looks++ == LOOKS_AGAIN)
			return result;
		poll(NULL, 0, LOOK_AGAIN_MS);
	}
}

bool records_walk(const struct round *round,
		  bool (*visit)(void *context, const struct round *round, const struct record *record),
		  void *context, bool *bad)
{
	struct wire_reader reader = wire_reader(round->records, round->size);
	struct record record;
	uint32_t count = 0;

	if (bad != NULL)
		*bad = false;
	for (; record_read(&reader, &record); count++)
		if (!visit(context, round, &record))
			return false;
	if (!reader.bad && count == round->count)
		return true;
	if (bad != NULL)
		*bad = true;
	return false;
}
