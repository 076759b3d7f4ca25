/* SPDX-License-Identifier: MIT
 *
 * model.c - a table and its locks, as plainly as can be.
 */
#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>

/* What runs: the state, and who asks. */
struct turn {
	struct model *model;
	struct model_state *state;
	uint64_t session, sequence, revision;
	int64_t now_us;
	bool last; /* of the request: it may wait */
	struct model_answer *answer;
	struct datum detail;
};

static void emit(struct model *model, uint64_t revision, const char *kind, const struct datum *key, struct datum value)
{
	size_t count = model->state.event_count;

	model->events = grow(model->events, count, &model->event_room, sizeof *model->events);
	model->events[model->state.event_count++] = (struct heard_event){
		.revision = revision, .index = model->index++, .kind = datum_text("%s", kind), .key = *key, .value = value
	};
}

static void answer_values(struct turn *turn, const struct datum *values, size_t count)
{
	uint8_t space[ARGUMENTS_MAX][DATUM_BYTES];
	struct value list[ARGUMENTS_MAX] = { { 0 } };

	for (size_t i = 0; i < count; i++)
		list[i] = datum_value(&values[i], space[i]);
	wire_write_list(&turn->answer->results, list, count);
}

static int answer_one(struct turn *turn, struct datum value)
{
	answer_values(turn, &value, 1);
	return SOLE_OK;
}

static int answer_nothing(struct turn *turn)
{
	answer_values(turn, NULL, 0);
	return SOLE_OK;
}

static int conflict(struct turn *turn, struct datum found)
{
	turn->detail = found;
	return SOLE_CONFLICT;
}

/* ---- entries ---- */

static struct model_entry *find(struct model_state *state, const struct datum *key)
{
	for (size_t i = 0; i < state->entry_count; i++)
		if (datum_equal(&state->entries[i].key, key))
			return &state->entries[i];
	return NULL;
}

static struct datum value_of(struct turn *turn, const struct datum *key)
{
	const struct model_entry *entry = find(turn->state, key);

	return entry != NULL ? entry->value : datum_none();
}

static struct model_entry *set_value(struct turn *turn, const struct datum *key, struct datum value)
{
	struct model_state *state = turn->state;
	struct model_entry *entry = find(state, key);

	if (entry == NULL) {
		size_t at = 0;
		if (state->entry_count == MODEL_ENTRIES) {
			turn->model->overflow = true;
			return &state->entries[0];
		}
		while (at < state->entry_count && datum_compare(&state->entries[at].key, key) < 0)
			at++;
		entry = &state->entries[at];
		memmove(entry + 1, entry, (state->entry_count++ - at) * sizeof *entry);
		*entry = (struct model_entry){ .key = *key };
	}
	entry->value = value;
	entry->revision = turn->revision;
	emit(turn->model, turn->revision, "put", key, value);
	return entry;
}

/* Neither expires nor goes with a session. */
static struct model_entry *put(struct turn *turn, const struct datum *key, struct datum value)
{
	struct model_entry *entry = set_value(turn, key, value);

	entry->expires_us = 0;
	entry->bound = 0;
	return entry;
}

static void drop(struct model *model, const char *kind, const struct datum *key, uint64_t revision)
{
	struct model_state *state = &model->state;
	struct model_entry *entry = find(state, key);
	struct datum copy = *key;

	if (entry == NULL)
		return;
	size_t at = (size_t)(entry - state->entries);
	memmove(entry, entry + 1, (--state->entry_count - at) * sizeof *entry);
	emit(model, revision, kind, &copy, datum_none());
}

static int put_or_drop(struct turn *turn, const struct datum *key, const struct datum *value)
{
	if (value->type == VALUE_NONE)
		drop(turn->model, "delete", key, turn->revision);
	else
		put(turn, key, *value);
	return answer_nothing(turn);
}

static int add(struct turn *turn, const struct datum *key, int64_t delta)
{
	struct datum found = value_of(turn, key);
	int64_t sum = delta;

	if (found.type == VALUE_BYTES)
		return SOLE_WRONG_TYPE;
	if (found.type == VALUE_INTEGER)
		sum += found.integer;
	set_value(turn, key, datum_integer(sum));
	return answer_one(turn, datum_integer(sum));
}

static int scan(struct turn *turn, const struct datum *prefix)
{
	struct buffer *out = &turn->answer->results;
	uint8_t space[DATUM_BYTES];

	buffer_u8(out, 2);
	size_t list = wire_begin_value_list(out);
	for (size_t i = 0; i < turn->state->entry_count; i++) {
		const struct model_entry *entry = &turn->state->entries[i];
		if (!datum_begins(&entry->key, prefix))
			continue;
		struct value value = datum_value(&entry->key, space);
		wire_write_value(out, &value);
		value = datum_value(&entry->value, space);
		wire_write_value(out, &value);
		value = value_integer((int64_t)entry->revision);
		wire_write_value(out, &value);
	}
	wire_finish_value_list(out, list);
	struct value none = value_none();
	wire_write_value(out, &none);
	return SOLE_OK;
}

/* ---- locks ---- */

static struct model_lock *lock_of(struct model_state *state, const struct datum *name)
{
	for (size_t i = 0; i < state->lock_count; i++)
		if (datum_equal(&state->locks[i].name, name))
			return &state->locks[i];
	return NULL;
}

static void give(struct model *model, const struct datum *name, uint64_t session, int64_t token, uint64_t revision)
{
	struct model_state *state = &model->state;
	size_t at = 0;

	if (state->lock_count == MODEL_LOCKS) {
		model->overflow = true;
		return;
	}
	while (at < state->lock_count && datum_compare(&state->locks[at].name, name) < 0)
		at++;
	memmove(&state->locks[at + 1], &state->locks[at], (state->lock_count++ - at) * sizeof state->locks[0]);
	state->locks[at] = (struct model_lock){ *name, session, token };
	emit(model, revision, "lock", name, datum_integer(token));
}

static void leave_line(struct model_state *state, size_t at)
{
	memmove(&state->line[at], &state->line[at + 1], (--state->line_count - at) * sizeof state->line[0]);
}

static void grant(struct model *model, uint64_t session, uint64_t sequence, int64_t token)
{
	if (model->grant_count < MODEL_LINE)
		model->grants[model->grant_count++] = (struct model_grant){ session, sequence, token };
}

static void pass_on(struct model *model, struct datum name, uint64_t revision)
{
	struct model_state *state = &model->state;
	struct model_lock *lock = lock_of(state, &name);
	size_t next = 0;

	size_t at = (size_t)(lock - state->locks);
	memmove(lock, lock + 1, (--state->lock_count - at) * sizeof *lock);
	while (next < state->line_count && !datum_equal(&state->line[next].name, &name))
		next++;
	if (next == state->line_count) {
		emit(model, revision, "unlock", &name, datum_none());
		return;
	}
	uint64_t session = state->line[next].session;
	int64_t token = ++state->token;
	give(model, &name, session, token, revision);
	/* The lock is the session's: all its requests that wait for it have it. */
	for (size_t i = 0; i < state->line_count;) {
		struct model_waiter *waiter = &state->line[i];
		if (waiter->session != session || !datum_equal(&waiter->name, &name)) {
			i++;
			continue;
		}
		grant(model, session, waiter->sequence, token);
		leave_line(state, i);
	}
}

static int take(struct turn *turn, const struct datum *name, bool wait)
{
	struct model_state *state = turn->state;
	const struct model_lock *lock = lock_of(state, name);

	if (lock == NULL) {
		int64_t token = ++state->token;
		give(turn->model, name, turn->session, token, turn->revision);
		return answer_one(turn, datum_integer(token));
	}
	if (lock->session == turn->session)
		return answer_one(turn, datum_integer(lock->token));
	if (!wait)
		return conflict(turn, datum_integer(lock->token));
	if (!turn->last || state->line_count == MODEL_LINE) {
		turn->model->overflow = true;
		return SOLE_INVALID;
	}
	state->line[state->line_count++] = (struct model_waiter){ *name, ++state->token, turn->session, turn->sequence };
	return SOLE_WAITING;
}

static int unlock(struct turn *turn, const struct datum *name)
{
	const struct model_lock *lock = lock_of(turn->state, name);

	if (lock == NULL || lock->session != turn->session)
		return conflict(turn, datum_none());
	pass_on(turn->model, *name, turn->revision);
	return answer_nothing(turn);
}

static int holder(struct turn *turn, const struct datum *name)
{
	const struct model_lock *lock = lock_of(turn->state, name);
	struct datum values[3] = { datum_none(), datum_none(), datum_integer(0) };

	if (lock != NULL) {
		values[0] = datum_integer((int64_t)lock->session);
		values[1] = datum_integer(lock->token);
		for (size_t i = 0; i < turn->state->line_count; i++)
			values[2].integer += datum_equal(&turn->state->line[i].name, name);
	}
	answer_values(turn, values, 3);
	return SOLE_OK;
}

/* ---- requests ---- */

static int put_answered(struct turn *turn, const struct step *step, struct model_entry **entry)
{
	struct datum there = datum_integer(value_of(turn, &step->arguments[0]).type != VALUE_NONE);

	*entry = put(turn, &step->arguments[0], step->arguments[1]);
	return answer_one(turn, there);
}

static int run_step(struct turn *turn, const struct step *step)
{
	const struct datum *key = &step->arguments[0], *second = &step->arguments[1], *third = &step->arguments[2];
	struct model_entry *entry = find(turn->state, key);
	struct datum found = value_of(turn, key), pair[2];
	int code;

	switch (step->number) {
	case SOLE_TABLE_GET:
		return answer_one(turn, found);
	case SOLE_TABLE_REVISION:
		pair[0] = found;
		pair[1] = datum_integer(entry != NULL ? (int64_t)entry->revision : 0);
		answer_values(turn, pair, 2);
		return SOLE_OK;
	case SOLE_TABLE_COUNT:
		return answer_one(turn, datum_integer((int64_t)turn->state->entry_count));
	case SOLE_TABLE_SCAN:
		return scan(turn, key);
	case SOLE_TABLE_PUT:
		return put_answered(turn, step, &entry);
	case SOLE_TABLE_PUT_FOR:
		code = put_answered(turn, step, &entry);
		entry->expires_us = turn->now_us + third->integer * 1000;
		return code;
	case SOLE_TABLE_BIND:
		code = put_answered(turn, step, &entry);
		entry->bound = turn->session;
		return code;
	case SOLE_TABLE_DELETE:
		drop(turn->model, "delete", key, turn->revision);
		return answer_one(turn, datum_integer(found.type != VALUE_NONE));
	case SOLE_TABLE_ADD:
		return add(turn, key, second->integer);
	case SOLE_TABLE_INSERT:
		return found.type != VALUE_NONE ? conflict(turn, found) : put_or_drop(turn, key, second);
	case SOLE_TABLE_REPLACE:
		return found.type == VALUE_NONE ? conflict(turn, found) : put_or_drop(turn, key, second);
	case SOLE_TABLE_CAS:
		return !datum_equal(&found, second) ? conflict(turn, found) : put_or_drop(turn, key, third);
	case SOLE_TABLE_CAS_REVISION:
		pair[0] = datum_integer(entry != NULL ? (int64_t)entry->revision : 0);
		return !datum_equal(&pair[0], second) ? conflict(turn, pair[0]) : put_or_drop(turn, key, third);
	case SOLE_TABLE_CHECK:
		return !datum_equal(&found, second) ? conflict(turn, found) : answer_nothing(turn);
	case SOLE_TABLE_LOCK:
		return take(turn, key, true);
	case SOLE_TABLE_TRY_LOCK:
		return take(turn, key, false);
	case SOLE_TABLE_UNLOCK:
		return unlock(turn, key);
	case SOLE_TABLE_HOLDER:
		return holder(turn, key);
	case SOLE_TABLE_CHECK_LOCK: {
		const struct model_lock *lock = lock_of(turn->state, key);
		return lock != NULL && lock->token == second->integer ? answer_nothing(turn) : conflict(turn, datum_none());
	}
	default:
		turn->model->overflow = true;
		return SOLE_INVALID;
	}
}

/* From a position to the end, or to the OTHERWISE. */
static int run_steps(struct turn *turn, const struct operation *operation, int *position)
{
	for (; *position < operation->step_count; (*position)++) {
		const struct step *step = &operation->steps[*position];
		if (step->number == SOLE_OPERATION_OTHERWISE)
			return SOLE_OK;
		turn->last = *position == operation->step_count - 1 && !operation->otherwise;
		int code = run_step(turn, step);
		if (code != SOLE_OK)
			return code;
	}
	return SOLE_OK;
}

/* As if nothing had been; the events behind event_count are overwritten by the next. */
static void undo(struct turn *turn)
{
	*turn->state = turn->model->before;
	turn->model->index = 0;
	turn->model->grant_count = 0;
	turn->detail = datum_none();
	buffer_reset(&turn->answer->results);
}

static int run_otherwise(struct turn *turn, const struct operation *operation, int *position)
{
	undo(turn);
	*position = 0;
	while (operation->steps[*position].number != SOLE_OPERATION_OTHERWISE)
		(*position)++;
	(*position)++;
	answer_one(turn, datum_integer(2));
	return run_steps(turn, operation, position);
}

void model_run(struct model *model, const struct operation *operation, uint64_t session, uint64_t sequence,
	       int64_t now_us, uint64_t revision, struct model_answer *answer)
{
	struct turn turn = { .model = model, .state = &model->state, .session = session, .sequence = sequence,
			     .revision = revision, .now_us = now_us, .answer = answer };
	int position = 0;

	if (!operation->query)
		model->before = model->state;
	model->index = 0;
	model->grant_count = 0;
	buffer_reset(&answer->results);
	answer->failed = -1;
	if (operation->otherwise)
		answer_one(&turn, datum_integer(1));
	answer->code = run_steps(&turn, operation, &position);
	if (answer->code == SOLE_CONFLICT && operation->otherwise)
		answer->code = run_otherwise(&turn, operation, &position);
	if (answer->code == SOLE_OK)
		return;
	if (answer->code == SOLE_WAITING) {
		buffer_reset(&answer->results);
		return;
	}
	struct datum detail = turn.detail;
	answer->failed = position;
	if (operation->query)
		buffer_reset(&answer->results);
	else
		undo(&turn);
	if (detail.type != VALUE_NONE)
		answer_one(&turn, detail);
}

/* ---- sessions and time ---- */

void model_open(struct model *model, uint64_t session)
{
	if (model->session_count < MODEL_SESSIONS)
		model->sessions[model->session_count++] = (struct model_session){ session, 0 };
	else
		model->overflow = true;
}

struct model_session *model_session(struct model *model, uint64_t id)
{
	for (size_t i = 0; i < model->session_count; i++)
		if (model->sessions[i].id == id)
			return &model->sessions[i];
	return NULL;
}

bool model_waits(const struct model *model, uint64_t session, uint64_t sequence)
{
	for (size_t i = 0; i < model->state.line_count; i++)
		if (model->state.line[i].session == session && model->state.line[i].sequence == sequence)
			return true;
	return false;
}

void model_withdraw(struct model *model, uint64_t session, uint64_t sequence)
{
	for (size_t i = 0; i < model->state.line_count; i++)
		if (model->state.line[i].session == session && model->state.line[i].sequence == sequence) {
			leave_line(&model->state, i);
			return;
		}
}

void model_end(struct model *model, uint64_t id, uint64_t revision)
{
	struct model_state *state = &model->state;
	struct model_session *session = model_session(model, id);

	model->index = 0;
	model->grant_count = 0;
	for (size_t i = 0; i < state->entry_count;)
		if (state->entries[i].bound == id) {
			struct datum key = state->entries[i].key;
			drop(model, "end", &key, revision);
		} else {
			i++;
		}
	for (size_t i = 0; i < state->lock_count;)
		if (state->locks[i].session == id) {
			pass_on(model, state->locks[i].name, revision);
			i = 0;
		} else {
			i++;
		}
	if (session != NULL)
		*session = model->sessions[--model->session_count];
}

void model_tick(struct model *model, int64_t now_us, uint64_t revision)
{
	struct model_state *state = &model->state;

	model->index = 0;
	model->grant_count = 0;
	for (;;) {
		const struct model_entry *first = NULL;
		for (size_t i = 0; i < state->entry_count; i++) {
			const struct model_entry *entry = &state->entries[i];
			if (entry->expires_us != 0 && entry->expires_us <= now_us &&
			    (first == NULL || entry->expires_us < first->expires_us))
				first = entry;
		}
		if (first == NULL)
			return;
		struct datum key = first->key;
		drop(model, "expire", &key, revision);
	}
}

void model_init(struct model *model)
{
	memset(model, 0, sizeof *model);
}

void model_clear(struct model *model)
{
	free(model->events);
	model_init(model);
}

const char *model_problem(const struct model *model)
{
	const struct datum account = datum_text("account/");
	int64_t sum = 0;

	if (model->overflow)
		return "the simulation asks for more than its model holds";
	for (size_t i = 0; i < model->state.entry_count; i++)
		if (datum_begins(&model->state.entries[i].key, &account))
			sum += model->state.entries[i].value.integer;
	return sum == 0 ? NULL : "the accounts do not sum up to 0";
}
