/* SPDX-License-Identifier: MIT
 *
 * founding.c - a state becomes the beginning of a history.
 *
 * The journal's first segment is made before the snapshot: a journal that does not begin with round 1 is
 * refused without the snapshot before it, so what is interrupted here is never taken for a state.
 */
#include "owner/inspect/founding.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

static int take_version(struct core *core, uint32_t from)
{
	const struct sole_behaviour *behaviour = core_behaviour(core);
	char why[256];

	if (from == behaviour->version)
		return EX_OK;
	if (from > behaviour->version) {
		log_error("the state is of version %" PRIu32
			  " of %s, and this is version %u: give the newer one with --behaviour", from,
			  behaviour->name, behaviour->version);
		return EX_CONFIG;
	}
	enum code code = core_migrate(core, from, why, sizeof why);
	if (code == CODE_OK)
		return EX_OK;
	log_error("version %u of %s does not take over the state of version %" PRIu32 ": %s",
		  behaviour->version, behaviour->name, from, why);
	return code == CODE_NO_MEMORY ? EX_OSERR : EX_CONFIG;
}

/* What they held is let go of, as when a client goes. */
static int end_sessions(struct core *core, size_t *ended)
{
	struct session *session;

	for (size_t cursor = 0; (session = sessions_next(core_sessions(core), &cursor)) != NULL; (*ended)++) {
		if (core_end_session(core, &session) != CODE_OK) {
			log_error("no memory");
			return EX_OSERR;
		}
	}
	return EX_OK;
}

static int write_state(const struct inspection *inspection, struct core *core, struct snapshot_head *head,
		       const struct place *place)
{
	const struct journal_settings settings = { .disk = place->disk, .history = head->history,
						   .segment_bytes = head->segment_bytes };
	const struct journal_end end = { .round = head->round + 1, .revision = core_revision(core),
					 .history = head->history };
	struct journal_fault fault = { 0 };

	struct journal *journal = journal_open(&settings, &end, &fault);
	if (journal == NULL) {
		log_error("%s: %s", inspection->folder, fault.text);
		return fault.error == ENOMEM ? EX_OSERR : EX_IOERR;
	}
	journal_close(&journal);
	int error = snapshot_save(place->disk, core, head);
	if (error == 0)
		return EX_OK;
	log_error("%s: the snapshot cannot be written: %s", inspection->folder, strerror(-error));
	return EX_IOERR;
}

int found_history(const struct inspection *inspection, struct core *core, const struct origin *origin)
{
	int64_t now_us = clock_wall_us();
	struct snapshot_head head = { .incarnation = origin->incarnation, .written_us = now_us };
	size_t ended = 0;
	struct place place;

	core_set_clock(core, now_us);
	int status = take_version(core, origin->version);
	if (status == EX_OK)
		status = end_sessions(core, &ended);
	if (status != EX_OK)
		return status;
	const char *broken = core_invariant(core);
	if (broken != NULL) {
		log_error("the state breaks the invariant of %s: %s", inspection->behaviour->name, broken);
		return EX_DATAERR;
	}
	struct core_scalars scalars = core_scalars(core);
	if (scalars.token < now_us)
		scalars.token = now_us;
	core_set_scalars(core, &scalars);
	if (getrandom(&head.history, sizeof head.history, 0) != (ssize_t)sizeof head.history) {
		log_error("the system gives no random numbers: %s", strerror(errno));
		return EX_OSERR;
	}
	head.history |= 1; /* 0 is none */
	head.round = origin->round > 0 ? origin->round : 1;
	head.segment_bytes = inspection->segment_bytes;
	status = place_open(&place, inspection->folder, PLACE_NEW);
	if (status != EX_OK)
		return status;
	status = write_state(inspection, core, &head, &place);
	place_close(&place);
	if (status != EX_OK)
		return status;
	printf("%s: a new history %016" PRIx64 ", at revision %" PRIu64 ": %" PRIu64
	       " entries; %zu session%s ended\n", inspection->folder, head.history, core_revision(core),
	       store_entries(core_store(core)), ended, ended == 1 ? "" : "s");
	return inspect_flush();
}
