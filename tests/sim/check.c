/* SPDX-License-Identifier: MIT
 *
 * check.c - the records through the model, and callers' answers beside it.
 */
#include "tests/sim/check.h"
#include "tests/sim/model.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The judging of one era. */
struct judge {
	struct world *world;
	struct era *era;
	struct model model;
	struct model_answer answer;
	struct operation **queries; /* of the era, in order of their revisions */
	size_t query_count, query_next;
};

static void print_lists(const struct buffer *results, char *text, size_t size)
{
	struct wire_reader reader = wire_reader(results->data, results->size);
	struct value values[WIRE_LIST_MAX];
	size_t count, at = 0;

	text[0] = '\0';
	while (at < size && reader.left > 0 && wire_read_list(&reader, values, WIRE_LIST_MAX, &count)) {
		at += (size_t)snprintf(text + at, size - at, "[");
		for (size_t i = 0; i < count && at < size; i++) {
			const struct value *v = &values[i];
			if (v->type == VALUE_INTEGER)
				at += (size_t)snprintf(text + at, size - at, " %" PRId64, v->integer);
			else if (v->type == VALUE_BYTES)
				at += (size_t)snprintf(text + at, size - at, " '%.*s'", v->size > 24 ? 24 : (int)v->size, v->bytes);
			else
				at += (size_t)snprintf(text + at, size - at, v->type == VALUE_NONE ? " none" : " list of %u bytes",
						       v->size);
		}
		at += at < size ? (size_t)snprintf(text + at, size - at, " ]") : 0;
	}
}

/* What the caller heard is what the model says, at that revision. */
static void compare(struct judge *judge, const struct operation *operation, const struct buffer *results, uint64_t revision)
{
	char asked[200], heard[160], right[160];

	if (!operation->answered)
		return;
	bool same = operation->results.size == results->size &&
		    (results->size == 0 || memcmp(operation->results.data, results->data, results->size) == 0);
	if (same && operation->revision == revision)
		return;
	operation_print(operation, asked, sizeof asked);
	print_lists(&operation->results, heard, sizeof heard);
	print_lists(results, right, sizeof right);
	world_violated(judge->world, "operation %u (%s) of client %u was answered%s at revision %" PRIu64
		       ", and at revision %" PRIu64 " it is%s", operation->id, asked, operation->process, heard,
		       operation->revision, revision, right);
}

/* ---- queries ---- */

static int by_revision(const void *a, const void *b)
{
	const struct operation *x = *(struct operation *const *)a, *y = *(struct operation *const *)b;

	if (x->revision != y->revision)
		return x->revision < y->revision ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void find_queries(struct judge *judge)
{
	const struct history *history = &judge->world->history;

	judge->queries = calloc(history->operation_count + 1, sizeof(struct operation *));
	for (size_t i = 0; judge->queries != NULL && i < history->operation_count; i++) {
		struct operation *operation = history->operations[i];
		if (operation->query && operation->answered && operation->outcome == SOLE_DONE &&
		    operation->history == judge->era->history)
			judge->queries[judge->query_count++] = operation;
	}
	qsort(judge->queries, judge->query_count, sizeof(struct operation *), by_revision);
}

/* The model is at its revision, and about to leave it. */
static void ask_queries(struct judge *judge)
{
	while (judge->query_next < judge->query_count) {
		const struct operation *query = judge->queries[judge->query_next];
		if (query->revision > judge->model.revision)
			return;
		judge->query_next++;
		model_run(&judge->model, query, 0, 0, 0, judge->model.revision, &judge->answer);
		compare(judge, query, &judge->answer.results, judge->model.revision);
	}
}

/* ---- records ---- */

static struct operation *operation_of(struct judge *judge, const struct record *record)
{
	struct operation *operation = history_sent_as(&judge->world->history, record->session, record->sequence);

	if (operation == NULL)
		world_violated(judge->world, "revision %" PRIu64 ": command %" PRIu64 " of session %" PRIx64
			       " is recorded, and nobody sent it", record->revision, record->sequence, record->session);
	return operation;
}

/* Commands of a session are admitted one after the other, each once. */
static bool next_of_session(struct judge *judge, const struct record *record)
{
	struct model_session *session = model_session(&judge->model, record->session);

	if (session == NULL || record->sequence != session->last + 1) {
		world_violated(judge->world, "revision %" PRIu64 ": command %" PRIu64 " of session %" PRIx64 " follows %" PRId64,
			       record->revision, record->sequence, record->session,
			       session != NULL ? (int64_t)session->last : -1);
		return false;
	}
	session->last = record->sequence;
	return true;
}

static bool heard_as(const struct operation *operation, const struct record *record)
{
	return operation->answered && operation->session == record->session && operation->sequence == record->sequence;
}

static void has_run(struct judge *judge, struct operation *operation, uint64_t revision, const struct buffer *results)
{
	if (operation->runs > 1)
		world_violated(judge->world, "operation %u took effect twice, at revision %" PRIu64 " and at %" PRIu64,
			       operation->id, operation->ran_revision, revision);
	operation->ran_revision = revision;
	operation->ran_history = judge->era->history;
	if (operation->outcome == SOLE_DONE)
		compare(judge, operation, results, revision);
}

static void judge_grants(struct judge *judge, uint64_t revision)
{
	struct buffer results = { 0 };

	for (size_t i = 0; i < judge->model.grant_count; i++) {
		const struct model_grant *grant = &judge->model.grants[i];
		struct operation *operation = history_sent_as(&judge->world->history, grant->session, grant->sequence);
		const struct value token = value_integer(grant->token);
		if (operation == NULL)
			continue;
		buffer_reset(&results);
		wire_write_list(&results, &token, 1);
		operation->waits = false;
		has_run(judge, operation, revision, &results);
	}
	buffer_clear(&results);
}

static void judge_run(struct judge *judge, const struct record *record, int64_t time_us)
{
	struct operation *operation = operation_of(judge, record);

	if (operation == NULL || !next_of_session(judge, record))
		return;
	model_run(&judge->model, operation, record->session, record->sequence, time_us, record->revision, &judge->answer);
	if (judge->answer.code != record->code) {
		world_violated(judge->world, "revision %" PRIu64 ": operation %u came to '%s', and should to '%s'",
			       record->revision, operation->id, code_name(record->code),
			       code_name((unsigned)judge->answer.code));
		return;
	}
	operation->runs++;
	operation->waits = record->code == CODE_WAITING;
	if (!operation->waits)
		has_run(judge, operation, record->revision, &judge->answer.results);
	judge_grants(judge, record->revision);
}

static void judge_refused(struct judge *judge, const struct record *record, int64_t time_us)
{
	struct operation *operation = operation_of(judge, record);

	if (operation == NULL || !next_of_session(judge, record))
		return;
	operation->refusals++;
	if (record->code == CODE_CANCELLED || record->code == CODE_EXPIRED)
		return;
	model_run(&judge->model, operation, record->session, record->sequence, time_us, record->revision + 1, &judge->answer);
	if (judge->answer.code != record->code)
		world_violated(judge->world, "after revision %" PRIu64 ": operation %u was refused '%s', and should be '%s'",
			       record->revision, operation->id, code_name(record->code),
			       code_name((unsigned)judge->answer.code));
	else if (heard_as(operation, record) && operation->outcome == SOLE_REFUSED && operation->code == record->code)
		compare(judge, operation, &judge->answer.results, record->revision);
}

static void judge_withdrawn(struct judge *judge, const struct record *record)
{
	struct operation *operation = operation_of(judge, record);

	if (operation == NULL)
		return;
	if (!model_waits(&judge->model, record->session, record->sequence))
		world_violated(judge->world, "revision %" PRIu64 ": operation %u is withdrawn, and does not wait",
			       record->revision, operation->id);
	model_withdraw(&judge->model, record->session, record->sequence);
	operation->waits = false;
	operation->refusals++;
}

static void judge_record(struct judge *judge, const struct record *record, int64_t time_us)
{
	struct model *model = &judge->model;

	if (record->revision != model->revision && record->revision != model->revision + 1) {
		world_violated(judge->world, "revision %" PRIu64 " is followed by %" PRIu64, model->revision,
			       record->revision);
		return;
	}
	if (record->revision > model->revision)
		ask_queries(judge);
	switch (record->kind) {
	case RECORD_START:
		if (record->token > model->state.token)
			model->state.token = record->token;
		break;
	case RECORD_OPEN:
		model_open(model, record->session);
		break;
	case RECORD_END:
		model_end(model, record->session, record->revision);
		judge_grants(judge, record->revision);
		break;
	case RECORD_RUN:
		judge_run(judge, record, time_us);
		break;
	case RECORD_REFUSED:
		judge_refused(judge, record, time_us);
		break;
	case RECORD_WITHDRAWN:
		judge_withdrawn(judge, record);
		break;
	case RECORD_TICK:
		model_tick(model, time_us, record->revision);
		break;
	case RECORD_RECEIVED:
	case RECORD_ANSWERED:
		break;
	case RECORD_MIGRATED:
		world_violated(judge->world, "a state is migrated, and its version is the same");
		break;
	}
	model->revision = record->revision;
}

static void judge_rounds(struct judge *judge)
{
	struct record record;

	for (size_t i = 0; i < judge->era->count && !judge->world->failed; i++) {
		const struct seen_round *round = &judge->era->rounds[i];
		struct wire_reader reader = wire_reader(round->records.data, round->records.size);
		while (!judge->world->failed && record_read(&reader, &record))
			judge_record(judge, &record, round->time_us);
	}
	ask_queries(judge);
	const char *problem = model_problem(&judge->model);
	if (problem != NULL)
		world_violated(judge->world, "%s", problem);
	if (judge->query_next < judge->query_count)
		world_violated(judge->world, "operation %u was answered at revision %" PRIu64 ", and the last is %" PRIu64,
			       judge->queries[judge->query_next]->id, judge->queries[judge->query_next]->revision,
			       judge->model.revision);
}

/* ---- watches ---- */

static bool same_event(const struct heard_event *a, const struct heard_event *b)
{
	return a->revision == b->revision && a->index == b->index && datum_equal(&a->kind, &b->kind) &&
	       datum_equal(&a->key, &b->key) && datum_equal(&a->value, &b->value);
}

static void judge_watch(struct judge *judge, const struct watching *watching, bool last_era)
{
	const struct model *model = &judge->model;
	size_t heard = 0;

	for (size_t i = 0; i < model->state.event_count; i++) {
		const struct heard_event *event = &model->events[i];
		char key[64];
		if (event->revision < watching->from || !datum_begins(&event->key, &watching->prefix))
			continue;
		if (heard == watching->count) {
			if (!watching->ended && last_era)
				world_violated(judge->world, "client %u watches '%s' from %" PRIu64
					       " on and has not heard of revision %" PRIu64 " (%s %s)", watching->process,
					       watching->prefix.text, watching->from, event->revision, event->kind.text,
					       datum_print(&event->key, key));
			return;
		}
		const struct heard_event *told = &watching->events[heard++];
		if (!same_event(told, event)) {
			world_violated(judge->world, "client %u watches '%s' and heard of revision %" PRIu64 ".%u, where %" PRIu64
				       ".%u (%s %s) comes", watching->process, watching->prefix.text, told->revision,
				       told->index, event->revision, event->index, event->kind.text,
				       datum_print(&event->key, key));
			return;
		}
	}
	if (heard < watching->count)
		world_violated(judge->world, "client %u watches '%s' and heard of revision %" PRIu64 ".%u, which never was",
			       watching->process, watching->prefix.text, watching->events[heard].revision,
			       watching->events[heard].index);
}

static void judge_watches(struct judge *judge, bool last_era)
{
	const struct world *world = judge->world;

	for (size_t i = 0; i < world->history.watching_count && !world->failed; i++) {
		const struct watching *watching = world->history.watchings[i];
		if (watching->begun && watching->history == judge->era->history)
			judge_watch(judge, watching, last_era);
		if (watching->end_code == SOLE_OK || !last_era)
			continue;
		bool ample = world->owner.limits.events_bytes == EVENTS_AMPLE && world->owner.durable;
		if (watching->end_code != SOLE_TOO_OLD || ample)
			world_violated(judge->world, "a watch of client %u ended: %s", watching->process,
				       code_text((unsigned)watching->end_code));
	}
}

/* ---- callers ---- */

static size_t era_index(const struct history *history, uint64_t id)
{
	size_t i = 0;

	while (i < history->era_count && history->eras[i].history != id)
		i++;
	return i;
}

/* What it was told of must not be older than what anybody was told of before it was begun. */
static void judge_time(struct world *world, const struct operation *operation)
{
	const struct history *history = &world->history;

	if (operation->revision == 0 || operation->floor_era == 0)
		return;
	size_t era = era_index(history, operation->history), floor = era_index(history, operation->floor_era);
	if (era < floor || (era == floor && operation->revision < operation->floor_revision))
		world_violated(world, "operation %u was begun when revision %" PRIu64 " was known, and was answered at %" PRIu64,
			       operation->id, operation->floor_revision, operation->revision);
}

/* May a caller be told that nobody knows? */
static void judge_unknown(struct world *world, const struct operation *operation)
{
	const struct seen_session *session = history_find_session(&world->history, operation->session);
	bool late = operation->answered_ns >= operation->deadline_ns;
	bool ended = session == NULL || session->ended;
	bool died = !world->owner.durable && world->history.era_count > 1;

	if ((operation->code == SOLE_TIMED_OUT && late) || (operation->code == SOLE_CLOSED && operation->closed) ||
	    (operation->code == SOLE_SESSION_FORGOTTEN && (ended || died)) || (operation->code == SOLE_OWNER_DIED && died))
		return;
	world_violated(world, "operation %u of client %u was answered '%s'", operation->id, operation->process,
		       code_name((unsigned)operation->code));
}

static void judge_refusal(struct world *world, const struct operation *operation)
{
	bool late = operation->answered_ns >= operation->deadline_ns;

	switch (operation->code) {
	case SOLE_CONFLICT:
	case SOLE_WRONG_TYPE:
		break;
	case SOLE_CANCELLED:
		if (!operation->cancelled && !operation->closed)
			world_violated(world, "operation %u was withdrawn, and nobody asked for that", operation->id);
		break;
	case SOLE_EXPIRED:
	case SOLE_UNREACHABLE:
	case SOLE_BUSY:
	case SOLE_LEAVING:
		if (!late)
			world_violated(world, "operation %u was refused '%s' before its time was up", operation->id,
				       code_name((unsigned)operation->code));
		break;
	default:
		world_violated(world, "operation %u was refused '%s'", operation->id, code_name((unsigned)operation->code));
	}
	if (operation->ran_revision != 0)
		world_violated(world, "operation %u was refused '%s', and took effect at revision %" PRIu64, operation->id,
			       code_name((unsigned)operation->code), operation->ran_revision);
}

static void judge_operation(struct world *world, const struct operation *operation)
{
	if (!operation->answered) {
		if (!operation->closed)
			world_violated(world, "operation %u of client %u is not answered", operation->id, operation->process);
		return;
	}
	judge_time(world, operation);
	if (operation->outcome == SOLE_UNKNOWN)
		judge_unknown(world, operation);
	else if (operation->outcome == SOLE_REFUSED)
		judge_refusal(world, operation);
	else if (!operation->query && (operation->ran_revision == 0 || operation->ran_history != operation->history))
		world_violated(world, "operation %u was acknowledged at revision %" PRIu64 ", and is not there", operation->id,
			       operation->revision);
}

/* Without the records' word: what was counted is at least what was acknowledged, and at most what was not refused. */
static void judge_counters(struct judge *judge, uint32_t process)
{
	const struct datum key = datum_text("count/%u", process);
	const struct history *history = &judge->world->history;
	int64_t least = 0, most = 0, found = 0;

	for (size_t i = 0; i < history->operation_count; i++) {
		const struct operation *operation = history->operations[i];
		if (operation->process != process || operation->query)
			continue;
		for (size_t k = 0; k < operation->step_count; k++) {
			if (!datum_equal(&operation->steps[k].arguments[0], &key))
				continue;
			bool done = operation->answered && operation->outcome == SOLE_DONE;
			least += done;
			most += done || !operation->answered || operation->outcome == SOLE_UNKNOWN;
		}
	}
	for (size_t i = 0; i < judge->model.state.entry_count; i++)
		if (datum_equal(&judge->model.state.entries[i].key, &key))
			found = judge->model.state.entries[i].value.integer;
	if (found < least || found > most)
		world_violated(judge->world, "client %u counted %" PRId64 " to %" PRId64 " times, and the count is %" PRId64,
			       process, least, most, found);
}

static void judge_era(struct world *world, struct era *era, bool last)
{
	struct judge *judge = calloc(1, sizeof *judge);

	if (judge == NULL)
		return;
	judge->world = world;
	judge->era = era;
	model_init(&judge->model);
	find_queries(judge);
	judge_rounds(judge);
	if (!world->failed)
		judge_watches(judge, last);
	for (uint32_t process = 1; last && world->owner.durable && process <= world->clients.processes && !world->failed; process++)
		judge_counters(judge, process);
	model_clear(&judge->model);
	buffer_clear(&judge->answer.results);
	free(judge->queries);
	free(judge);
}

void check_history(struct world *world)
{
	const struct history *history = &world->history;

	for (size_t i = 0; i < history->era_count && !world->failed; i++)
		judge_era(world, &history->eras[i], i == history->era_count - 1);
	for (size_t i = 0; i < history->operation_count && !world->failed; i++)
		judge_operation(world, history->operations[i]);
}
