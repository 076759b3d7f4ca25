/* SPDX-License-Identifier: MIT
 *
 * lookback.c - backups and outcomes behind one seam, one descriptor and one tending.
 */
#include "owner/state/lookback.h"
#include "owner/state/backups.h"
#include "owner/state/outcomes.h"
#include "common/clock.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct lookback {
	struct counters *counters;
	struct storage storage;
	struct backups *backups;
	struct outcomes *outcomes; /* NULL: there is no journal */
	int epoll;
};

static enum storage_result find_outcome(void *context, uint64_t session, uint64_t sequence, struct fate *fate,
					int *error)
{
	struct lookback *lookback = context;

	return outcomes_find(lookback->outcomes, session, sequence, clock_monotonic_ns(), fate, error);
}

static enum storage_result read_backup(void *context, struct core *core, uint64_t connection, uint64_t id,
				       uint64_t offset, uint8_t *bytes, size_t room, struct backup_part *part,
				       int *error)
{
	struct lookback *lookback = context;
	bool began;
	enum storage_result result = backups_read(lookback->backups, core, connection, id, offset, bytes,
						  room, clock_monotonic_ns(), part, &began, error);

	lookback->counters->backups += began;
	return result;
}

static bool watch(const struct lookback *lookback, int descriptor)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(lookback->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

struct lookback *lookback_new(const struct lookback_settings *settings)
{
	struct lookback *lookback = calloc(1, sizeof *lookback);
	const struct backups_settings backups = { .folder = settings->folder,
						  .most = &settings->limits->backups,
						  .history = settings->history,
						  .incarnation = settings->incarnation };
	const struct outcomes_settings outcomes = { .disk = settings->disk, .history = settings->history };

	if (lookback == NULL)
		return NULL;
	lookback->counters = settings->counters;
	lookback->storage = (struct storage){ .context = lookback, .backup = read_backup,
					      .outcome = settings->disk != NULL ? find_outcome : NULL };
	lookback->epoll = epoll_create1(EPOLL_CLOEXEC);
	lookback->backups = backups_new(&backups);
	lookback->outcomes = settings->disk != NULL ? outcomes_new(&outcomes) : NULL;
	if (lookback->epoll < 0 || lookback->backups == NULL ||
	    !watch(lookback, backups_descriptor(lookback->backups)) ||
	    (settings->disk != NULL &&
	     (lookback->outcomes == NULL || !watch(lookback, outcomes_descriptor(lookback->outcomes)))))
		lookback_destroy(&lookback);
	return lookback;
}

void lookback_destroy(struct lookback **lookback)
{
	struct lookback *l = *lookback;

	if (l == NULL)
		return;
	outcomes_destroy(&l->outcomes);
	backups_destroy(&l->backups);
	if (l->epoll >= 0)
		close(l->epoll);
	free(l);
	*lookback = NULL;
}

const struct storage *lookback_storage(const struct lookback *lookback)
{
	return &lookback->storage;
}

int lookback_descriptor(const struct lookback *lookback)
{
	return lookback->epoll;
}

void lookback_recorded(struct lookback *lookback, uint64_t round)
{
	if (lookback->outcomes != NULL)
		outcomes_set_end(lookback->outcomes, round);
}

void lookback_connection_ended(struct lookback *lookback, uint64_t connection)
{
	backups_connection_ended(lookback->backups, connection);
}

void lookback_tend(struct lookback *lookback, int64_t now_ns, int64_t *next_ns)
{
	if (lookback->outcomes != NULL)
		outcomes_tend(lookback->outcomes, now_ns);
	backups_tend(lookback->backups, now_ns, next_ns);
}
