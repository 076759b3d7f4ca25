/* SPDX-License-Identifier: MIT
 *
 * outcomes.c - the questions, and the thread that looks through the journal for them.
 *
 *	           a pass begins          it ends
 *	WANTED -------------------> SOUGHT -------> TOLD
 *	   ^                           |
 *	   `------ not to be told yet -'
 *
 * The thread has questions of its own, copies, until it says that it is done: there is nothing that both
 * sides touch at once but the two flags. What it reads is being written and shortened meanwhile: it
 * keeps to the rounds that were whole when it began, and begins anew where the oldest have gone.
 */
#include "owner/state/outcomes.h"
#include "owner/state/journal.h"
#include "owner/core/record.h"
#include "common/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
	QUESTIONS_MAX = 64,
	REMEMBERED_MS = 10000,
	PASSES_MAX = 2, /* for one question that a pass could not tell */
	TRIES = 3,      /* to read a journal that is being shortened */
};

enum question_state { WANTED = 1, SOUGHT, TOLD };

struct question {
	uint64_t session, sequence;
	enum question_state state;
	unsigned passes;
	int64_t told_ns;
	int error;       /* not 0: the journal could not be read */
	struct fate fate;
	uint8_t reply[RECORD_REPLY_MAX];
	/* what was seen of the session */
	bool found, waits, opened, ended;
	uint64_t highest; /* sequence; 0: none */
};

struct outcomes {
	struct outcomes_settings settings;
	int event;
	uint64_t last_round;
	size_t count;
	struct question questions[QUESTIONS_MAX];

	/* the thread's, while there is one */
	bool running;
	pthread_t thread;
	atomic_bool done, stop;
	uint64_t until;
	size_t sought_count;
	struct question sought[QUESTIONS_MAX];
};

/* ---- in the thread: a record and a question ---- */

static void keep_reply(struct question *q, const struct record *record)
{
	bool kept = (record->flags & RECORD_FLAG_CUT) == 0 && record->reply_size > 0 &&
		    record->reply_size <= sizeof q->reply;

	if (kept)
		memcpy(q->reply, record->reply, record->reply_size);
	q->fate.reply_size = kept ? record->reply_size : 0;
}

static void note_reply(struct question *q, const struct record *record)
{
	q->found = true;
	q->waits = record->code == CODE_WAITING;
	q->fate.code = (enum code)record->code;
	q->fate.revision = record->revision;
	q->fate.fate = code_outcome(record->code) == OUTCOME_DONE ? FATE_RAN : FATE_REFUSED;
	if (q->waits)
		q->fate.fate = FATE_WAITING;
	keep_reply(q, record);
}

static void note_opener(struct question *q, const struct caller *caller)
{
	q->fate.opener = *caller;
	q->fate.opener_told = true;
}

static void match(struct question *q, const struct record *record)
{
	if (record->session != q->session)
		return;
	switch (record->kind) {
	case RECORD_OPEN:
		q->opened = true;
		note_opener(q, &record->caller);
		return;
	case RECORD_END:
		q->ended = true;
		return;
	case RECORD_RUN:
	case RECORD_REFUSED:
		if (record->sequence > q->highest)
			q->highest = record->sequence;
		if (record->kind == RECORD_RUN)
			note_opener(q, &record->caller);
		if (record->sequence == q->sequence)
			note_reply(q, record);
		return;
	case RECORD_WITHDRAWN:
	case RECORD_ANSWERED: /* also behind a withdrawal, which came too late then */
		if (record->sequence == q->sequence)
			note_reply(q, record);
		return;
	case RECORD_START:
	case RECORD_RECEIVED:
	case RECORD_TICK:
	case RECORD_MIGRATED:
		return;
	}
}

/* Can nothing that comes behind change the answer? A withdrawal can be taken back by what follows it at
 * once. */
static bool is_settled(const struct question *q)
{
	return q->ended || (q->found && q->fate.fate == FATE_RAN && q->fate.opener_told);
}

static bool match_all(struct outcomes *o, const struct round *round)
{
	struct wire_reader reader = wire_reader(round->records, round->size);
	struct record record;
	bool settled = true;

	while (record_read(&reader, &record))
		for (size_t i = 0; i < o->sought_count; i++)
			match(&o->sought[i], &record);
	for (size_t i = 0; i < o->sought_count; i++)
		settled = settled && is_settled(&o->sought[i]);
	return settled;
}

/* ---- in the thread: the pass ---- */

static void begin_anew(struct outcomes *o)
{
	for (size_t i = 0; i < o->sought_count; i++) {
		struct question *q = &o->sought[i];
		*q = (struct question){ .session = q->session, .sequence = q->sequence };
	}
}

/* 0, or why the journal could not be read up to where it was whole. */
static int read_journal(struct outcomes *o)
{
	struct journal_fault fault = { .error = 0 };
	struct journal_end end;
	struct round round;
	enum journal_result result = JOURNAL_ENDED;
	bool settled = false;

	struct journal_reader *reader = journal_reader_new(o->settings.disk, o->settings.history, 0, &fault);
	if (reader == NULL)
		return fault.error != 0 ? fault.error : EBADMSG;
	for (uint64_t at = 0; at < o->until && !settled && !atomic_load(&o->stop); at = round.number) {
		result = journal_read(reader, &round, &end, &fault);
		if (result != JOURNAL_ROUND)
			break;
		if (round.number > o->until)
			break;
		settled = match_all(o, &round);
	}
	journal_reader_destroy(&reader);
	if (result == JOURNAL_ROUND || result == JOURNAL_ENDED)
		return 0;
	return fault.error != 0 ? fault.error : EBADMSG;
}

static void *look(void *argument)
{
	const uint64_t one = 1;
	struct outcomes *o = argument;
	int error = 0;

	for (int i = 0; i < TRIES; i++) {
		begin_anew(o);
		error = o->until > 0 ? read_journal(o) : 0;
		if (error == 0 || error == ENOMEM || atomic_load(&o->stop))
			break;
	}
	for (size_t i = 0; i < o->sought_count; i++)
		o->sought[i].error = error < 0 ? -error : error;
	atomic_store(&o->done, true);
	if (write(o->event, &one, sizeof one) < 0)
		return NULL; /* it is full, and so readable */
	return NULL;
}

/* ---- in the owner ---- */

struct outcomes *outcomes_new(const struct outcomes_settings *settings)
{
	struct outcomes *o = calloc(1, sizeof *o);

	if (o == NULL)
		return NULL;
	o->settings = *settings;
	o->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (o->event < 0)
		outcomes_destroy(&o);
	return o;
}

void outcomes_destroy(struct outcomes **outcomes)
{
	struct outcomes *o = *outcomes;

	if (o == NULL)
		return;
	atomic_store(&o->stop, true);
	if (o->running)
		pthread_join(o->thread, NULL);
	if (o->event >= 0)
		close(o->event);
	free(o);
	*outcomes = NULL;
}

int outcomes_descriptor(const struct outcomes *outcomes)
{
	return outcomes->event;
}

void outcomes_set_end(struct outcomes *outcomes, uint64_t round)
{
	outcomes->last_round = round;
}

static struct question *find(struct outcomes *o, uint64_t session, uint64_t sequence)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->questions[i].session == session && o->questions[i].sequence == sequence)
			return &o->questions[i];
	return NULL;
}

/* What a pass says when it did not find the command. False: nothing yet, for the session had not ended when
 * the pass began, and what is asked for may have been recorded since. */
static bool conclude_missing(struct question *q)
{
	bool seen = q->opened || q->ended || q->highest > 0;

	q->fate.fate = FATE_UNKNOWN;
	q->fate.code = seen ? CODE_REPLY_FORGOTTEN : CODE_SESSION_FORGOTTEN;
	/* The journal's beginning is gone, but not what came behind it: sequences grow. */
	if (q->ended && (q->opened || (q->highest > 0 && q->sequence > q->highest))) {
		q->fate.fate = FATE_NEVER_CAME;
		q->fate.code = CODE_OK;
	}
	return !seen || q->ended;
}

static bool conclude(struct question *q)
{
	if (!q->found)
		return conclude_missing(q);
	if (!q->waits)
		return true;
	/* Who still waits when a session ends is withdrawn; the answer to this one was not recorded. */
	if (q->ended) {
		q->fate.fate = FATE_UNKNOWN;
		q->fate.code = CODE_REPLY_FORGOTTEN;
	}
	return q->ended;
}

static void take_answers(struct outcomes *o, int64_t now_ns)
{
	pthread_join(o->thread, NULL);
	o->running = false;
	for (size_t i = 0; i < o->sought_count; i++) {
		struct question *found = &o->sought[i], *q = find(o, found->session, found->sequence);
		if (q == NULL)
			continue;
		found->passes = q->passes + 1;
		bool over = found->error != 0 || conclude(found) || found->passes >= PASSES_MAX;
		found->state = over ? TOLD : WANTED;
		found->told_ns = now_ns;
		*q = *found;
	}
}

/* Wanted ones go to the thread, as copies. */
static void begin_pass(struct outcomes *o, int64_t now_ns)
{
	o->sought_count = 0;
	for (size_t i = 0; i < o->count; i++)
		if (o->questions[i].state == WANTED)
			o->sought[o->sought_count++] = o->questions[i];
	if (o->sought_count == 0)
		return;
	o->until = o->last_round;
	atomic_store(&o->done, false);
	int error = pthread_create(&o->thread, NULL, look, o);
	o->running = error == 0;
	for (size_t i = 0; i < o->count; i++) {
		struct question *q = &o->questions[i];
		if (q->state != WANTED)
			continue;
		q->state = error == 0 ? SOUGHT : TOLD;
		q->error = error;
		q->told_ns = now_ns;
	}
}

static void forget_old(struct outcomes *o, int64_t now_ns)
{
	for (size_t i = o->count; i-- > 0;)
		if (o->questions[i].state == TOLD &&
		    o->questions[i].told_ns + REMEMBERED_MS * NS_PER_MS <= now_ns)
			o->questions[i] = o->questions[--o->count];
}

void outcomes_tend(struct outcomes *outcomes, int64_t now_ns)
{
	uint64_t count;

	if (outcomes->running && atomic_load(&outcomes->done)) {
		if (read(outcomes->event, &count, sizeof count) < 0)
			count = 0;
		take_answers(outcomes, now_ns);
	}
	forget_old(outcomes, now_ns);
	if (!outcomes->running)
		begin_pass(outcomes, now_ns);
}

enum storage_result outcomes_find(struct outcomes *outcomes, uint64_t session, uint64_t sequence,
				  int64_t now_ns, struct fate *fate, int *error)
{
	outcomes_tend(outcomes, now_ns);
	struct question *q = find(outcomes, session, sequence);
	if (q == NULL) {
		if (outcomes->count == QUESTIONS_MAX)
			return STORAGE_FULL;
		q = &outcomes->questions[outcomes->count++];
		*q = (struct question){ .session = session, .sequence = sequence, .state = WANTED };
		if (!outcomes->running)
			begin_pass(outcomes, now_ns);
	}
	if (q->state != TOLD)
		return STORAGE_NOT_YET;
	*error = q->error;
	if (q->error != 0) {
		*q = outcomes->questions[--outcomes->count]; /* asked again, it is tried again */
		return STORAGE_FAILED;
	}
	*fate = q->fate;
	fate->reply = q->fate.reply_size > 0 ? q->reply : NULL;
	return STORAGE_DONE;
}
