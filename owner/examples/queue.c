/* SPDX-License-Identifier: MIT
 *
 * queue.c - jobs, as a behaviour. Who takes one must be done with it in time; else, and when it fails or
 * dies, the job goes back, until its attempts are used up: then it is a dead letter. Who finds none waits.
 * A receipt names one taking, and is refused when old. Where sole_map_put finds no room the owner undoes all.
 *
 *	jobs   id -> what to do           taken  session, receipt      -> due (microseconds), id, attempts left
 *	ready  id -> attempts left        due    due, session, receipt -> 1     those taken, in order of time
 *	dead   id -> 0                    line   ticket                -> session, sequence, milliseconds
 */
#include <sole/behaviour.h>
#include <stdlib.h>

enum { ATTEMPTS_MOST = 1000, MS_MOST = 24 * 3600 * 1000 };
enum { JOBS, DUE, READY, TAKEN, DEAD, LINE, MAPS };
enum { PUSH = 1, TAKE, DONE, FAIL, COUNT, TAKE_DEAD };

/* The first job of READY or DEAD becomes the session's. The answer to it: receipt, id, job. */
static void hand_out(struct sole_call *call, int from, uint64_t session, uint64_t ms, struct sole_value *out)
{
	struct sole_map **map = sole_call_context(call);
	uint64_t receipt = (uint64_t)sole_call_token(call), due = (uint64_t)sole_call_now(call) + ms * 1000;
	struct sole_value key, left;

	sole_map_seek(map[from], sole_none(), 0, &key, &left);
	uint64_t id = sole_number(key, 0), attempts = from == READY ? (uint64_t)left.integer - 1 : 0;
	sole_map_put(map[TAKEN], SOLE_NUMBERS(session, receipt), SOLE_NUMBERS(due, id, attempts));
	sole_map_put(map[DUE], SOLE_NUMBERS(due, session, receipt), sole_integer(1));
	sole_map_remove(map[from], SOLE_NUMBERS(id));
	out[0] = sole_integer((int64_t)receipt);
	out[1] = sole_integer((int64_t)id);
	sole_map_get(map[JOBS], SOLE_NUMBERS(id), &out[2]);
}

/* A job is ready. If somebody waits it is theirs; were they gone, it would come back when due. */
static int ready(struct sole_call *call, uint64_t id, int64_t attempts)
{
	struct sole_map **map = sole_call_context(call);
	struct sole_value ticket, who, answer[3];

	if (attempts < 1 || attempts > ATTEMPTS_MOST)
		return sole_refuse(call, SOLE_INVALID, "a job has 1 to %d attempts", ATTEMPTS_MOST);
	sole_map_put(map[READY], SOLE_NUMBERS(id), sole_integer(attempts));
	sole_emit(call, "ready", SOLE_NUMBERS(id), sole_integer((int64_t)id));
	if (sole_map_seek(map[LINE], sole_none(), 0, &ticket, &who)) {
		uint64_t session = sole_number(who, 0), sequence = sole_number(who, 1), ms = sole_number(who, 2);
		sole_map_remove(map[LINE], ticket);
		hand_out(call, READY, session, ms, answer);
		sole_answer_later(call, session, sequence, answer, 3);
	}
	return SOLE_OK;
}

/* The taking of a job is over: it is done, or goes back. */
static int settle(struct sole_call *call, uint64_t session, uint64_t receipt, int done)
{
	struct sole_map **map = sole_call_context(call);
	struct sole_value taken;

	if (!sole_map_get(map[TAKEN], SOLE_NUMBERS(session, receipt), &taken))
		return sole_refuse(call, SOLE_CONFLICT, "this session has no job of that receipt, or not any more");
	uint64_t due = sole_number(taken, 0), id = sole_number(taken, 1), left = sole_number(taken, 2);
	sole_map_remove(map[TAKEN], SOLE_NUMBERS(session, receipt));
	sole_map_remove(map[DUE], SOLE_NUMBERS(due, session, receipt));
	if (!done && left > 0)
		return ready(call, id, (int64_t)left);
	sole_emit(call, done ? "done" : "dead", SOLE_NUMBERS(id), sole_integer((int64_t)id));
	return done ? sole_map_remove(map[JOBS], SOLE_NUMBERS(id)) :
		      sole_map_put(map[DEAD], SOLE_NUMBERS(id), sole_integer(0));
}

static int queue_push(struct sole_call *call)
{
	struct sole_map **map = sole_call_context(call);
	uint64_t id = (uint64_t)sole_call_token(call);

	sole_answer(call, sole_integer((int64_t)id));
	sole_map_put(map[JOBS], SOLE_NUMBERS(id), sole_argument(call, 0));
	return ready(call, id, sole_argument(call, 1).integer);
}

static int queue_take(struct sole_call *call)
{
	struct sole_map **map = sole_call_context(call);
	uint64_t session = sole_call_session(call), ms = (uint64_t)sole_argument(call, 0).integer;
	int from = sole_call_operation(call) == TAKE ? READY : DEAD;
	struct sole_value answer[3];

	if (session == 0)
		return sole_refuse(call, SOLE_INVALID, "a job is taken by a session: open one");
	if (ms < 1 || ms > MS_MOST)
		return sole_refuse(call, SOLE_INVALID, "a job is taken for 1 to %d milliseconds", MS_MOST);
	if (sole_map_count(map[from]) == 0) {
		uint64_t ticket = (uint64_t)sole_call_token(call);
		sole_map_put(map[LINE], SOLE_NUMBERS(ticket), SOLE_NUMBERS(session, sole_call_sequence(call), ms));
		return from == READY ? sole_later(call) : sole_refuse(call, SOLE_CONFLICT, "there are no dead letters");
	}
	hand_out(call, from, session, ms, answer);
	for (int i = 0; i < 3; i++)
		sole_answer(call, answer[i]);
	return SOLE_OK;
}

static int queue_settle(struct sole_call *call)
{
	return settle(call, sole_call_session(call), (uint64_t)sole_argument(call, 0).integer,
		      sole_call_operation(call) == DONE);
}

static int queue_count(struct sole_call *call)
{
	struct sole_map **map = sole_call_context(call);

	for (int i = READY; i <= LINE; i++)
		sole_answer(call, sole_integer((int64_t)sole_map_count(map[i])));
	return SOLE_OK;
}

static int64_t queue_due(void *context)
{
	struct sole_map **map = context;
	struct sole_value key, value;

	return sole_map_seek(map[DUE], sole_none(), 0, &key, &value) ? (int64_t)sole_number(key, 0) : 0;
}

static int queue_tick(struct sole_call *call)
{
	struct sole_map **map = sole_call_context(call);
	struct sole_value key, value;

	sole_map_seek(map[DUE], sole_none(), 0, &key, &value);
	return settle(call, sole_number(key, 1), sole_number(key, 2), 0);
}

static int queue_session_ended(struct sole_call *call)
{
	struct sole_map **map = sole_call_context(call);
	uint64_t who = sole_call_session(call), receipt = 0;
	struct sole_value key, value;

	while (sole_map_seek(map[TAKEN], SOLE_NUMBERS(who, receipt), 1, &key, &value) && sole_number(key, 0) == who)
		settle(call, who, receipt = sole_number(key, 1), 0);
	return SOLE_OK;
}

static int queue_withdrawn(struct sole_call *call)
{
	struct sole_map **map = sole_call_context(call);
	struct sole_value ticket = sole_none(), who;

	while (sole_map_seek(map[LINE], ticket, 1, &ticket, &who))
		if (sole_number(who, 0) == sole_call_session(call) && sole_number(who, 1) == sole_call_sequence(call))
			return sole_map_remove(map[LINE], ticket);
	return SOLE_OK;
}

static const char *queue_invariant(void *context)
{
	struct sole_map **map = context;
	uint64_t count[MAPS];

	for (int i = 0; i < MAPS; i++)
		count[i] = sole_map_count(map[i]);
	return count[JOBS] != count[READY] + count[TAKEN] + count[DEAD] || count[TAKEN] != count[DUE] ?
		       "a job is not in one place" :
	       count[READY] > 0 && count[LINE] > 0 ? "somebody waits though a job is ready" : NULL;
}

static void *queue_create(struct sole_store *store)
{
	static const char *const names[] = { "jobs", "due", "ready", "taken", "dead", "line" };
	struct sole_map **map = malloc(MAPS * sizeof *map);

	for (int i = 0; map != NULL && i < MAPS; i++)
		map[i] = sole_store_map(store, names[i]);
	return map;
}

#define INTEGER(name) { name, SOLE_FIELD_INTEGER }
#define JOB { "job", SOLE_FIELD_BYTES }
#define TAKING { INTEGER("receipt"), INTEGER("id"), JOB }

static const struct sole_operation_entry operations[] = {
	{ PUSH, SOLE_IS_COMMAND, "push", "adds a job", { JOB, INTEGER("attempts") }, { INTEGER("id") }, queue_push },
	{ TAKE, SOLE_IS_COMMAND, "take", "takes a job, or waits for one", { INTEGER("ms") }, TAKING, queue_take },
	{ DONE, SOLE_IS_COMMAND, "done", "a taken job is done", { INTEGER("receipt") }, { { 0 } }, queue_settle },
	{ FAIL, SOLE_IS_COMMAND, "fail", "a taken job goes back", { INTEGER("receipt") }, { { 0 } }, queue_settle },
	{ COUNT, SOLE_IS_QUERY, "count", "jobs that are ready, taken and dead, and who waits",
	  { { 0 } }, { INTEGER("ready"), INTEGER("taken"), INTEGER("dead"), INTEGER("waiting") }, queue_count },
	{ TAKE_DEAD, SOLE_IS_COMMAND, "take-dead", "takes a dead letter", { INTEGER("ms") }, TAKING, queue_take },
};

const struct sole_behaviour sole_behaviour = {
	.abi = SOLE_BEHAVIOUR_ABI, .name = "queue", .version = 1,
	.operations = operations, .operation_count = sizeof operations / sizeof *operations,
	.create = queue_create, .destroy = free, .invariant = queue_invariant,
	.due = queue_due, .tick = queue_tick, .session_ended = queue_session_ended, .withdrawn = queue_withdrawn,
};
