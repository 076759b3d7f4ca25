/* SPDX-License-Identifier: MIT
 *
 * What a core records and what replay makes of it, with a behaviour that fails where the test says: long and lost
 * late answers, withdrawals, ends and ticks that fail or find no memory, records that are not of this state, and
 * acknowledgements that come with what is not admitted.
 */
#include "tests/lib/scarce.h"
#include "tests/lib/unit.h"

#include "owner/core/core.h"

#include <string.h>

/* ---- a behaviour with moods ---- */

static int mood_of_hooks; /* what withdrawn, session_ended and tick return, having done their work */

enum { WAIT = 1, ANSWER = 2, PUT = 3 };

static int op_wait(struct sole_call *call)
{
	return sole_later(call);
}

/* Answers a request that waits with so many bytes. */
static int op_answer(struct sole_call *call)
{
	static unsigned char bytes[5000];
	int64_t size = sole_argument(call, 2).integer;
	const struct sole_value result = sole_bytes(bytes, (uint32_t)size);

	memset(bytes, 'a', sizeof bytes);
	sole_answer_later(call, (uint64_t)sole_argument(call, 0).integer, (uint64_t)sole_argument(call, 1).integer, &result, 1);
	return sole_map_put(sole_call_context(call), sole_text("answered"), sole_argument(call, 1));
}

static int op_put(struct sole_call *call)
{
	return sole_map_put(sole_call_context(call), sole_argument(call, 0), sole_argument(call, 1));
}

static int change(struct sole_call *call)
{
	const struct sole_value value = sole_integer((int64_t)sole_call_revision(call));
	int code = sole_map_put(sole_call_context(call), sole_text("changed"), value);

	return code != SOLE_OK ? code : mood_of_hooks;
}

static int64_t due(void *context)
{
	struct sole_value value;

	return sole_map_get(context, sole_text("due"), &value) ? value.integer : 0;
}

static int tick(struct sole_call *call)
{
	int code = change(call);

	return code != SOLE_OK ? code : sole_map_remove(sole_call_context(call), sole_text("due"));
}

static void *create(struct sole_store *store)
{
	return sole_store_map(store, "m");
}

#define NUMBER(name) { name, SOLE_FIELD_INTEGER }

static const struct sole_operation_entry operations[] = {
	{ WAIT, SOLE_IS_COMMAND, "wait", "waits", { { 0 } }, { { "bytes", SOLE_FIELD_VALUE } }, op_wait },
	{ ANSWER, SOLE_IS_COMMAND, "answer", "answers who waits", { NUMBER("session"), NUMBER("sequence"), NUMBER("size") },
	  { { 0 } }, op_answer },
	{ PUT, SOLE_IS_COMMAND, "put", "sets a key", { { "key", SOLE_FIELD_KEY }, { "value", SOLE_FIELD_VALUE } }, { { 0 } },
	  op_put },
};

static int migrate(struct sole_call *call, unsigned from_version)
{
	(void)from_version;
	return change(call);
}

static const struct sole_behaviour moody = {
	.abi = SOLE_BEHAVIOUR_ABI,
	.name = "moody",
	.version = 3,
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.create = create,
	.due = due,
	.tick = tick,
	.session_ended = change,
	.withdrawn = change,
	.migrate = migrate,
};

/* ---- a core, and what it records ---- */

struct bench {
	struct limits limits;
	struct counters counters;
	struct core *core;
	struct buffer records, out;
	uint64_t session, next;
};

static const struct caller alice = { .uid = 1000, .gid = 1000, .pid = 10, .known = true };

static struct core *core_of(struct bench *bench, const struct sole_behaviour *behaviour)
{
	const struct core_settings settings = { .behaviour = behaviour,
						.limits = &bench->limits,
						.counters = &bench->counters,
						.hash_seed = 1,
						.session_seed = 0x5eed5eed5eed };
	const char *why;
	struct core *core = core_new(&settings, &why);

	assert_non_null(core);
	store_keep_digest(core_store(core));
	return core;
}

static uint64_t open_session(struct bench *bench, uint8_t nonce)
{
	const uint8_t bytes[PROTOCOL_NONCE_BYTES] = { nonce };
	struct session *session;

	assert_int_equal(core_open_session(bench->core, &alice, bytes, 0, &session), CODE_OK);
	return session->id;
}

static struct bench *bench_new(uint64_t replies_bytes)
{
	struct bench *bench = calloc(1, sizeof *bench);

	assert_non_null(bench);
	mood_of_hooks = SOLE_OK;
	bench->limits = limits_default();
	bench->limits.session_replies_bytes = (int64_t)replies_bytes;
	bench->core = core_of(bench, &moody);
	core_record_to(bench->core, &bench->records);
	core_start(bench->core, 1, 0);
	bench->session = open_session(bench, 1);
	return bench;
}

static void bench_free(struct bench *bench)
{
	core_destroy(&bench->core);
	buffer_clear(&bench->records);
	buffer_clear(&bench->out);
	free(bench);
}

/* A command of the session, which acknowledges all but `window` before it. */
static enum code run_as(struct bench *bench, uint64_t session, uint64_t sequence, uint16_t window, uint16_t operation,
			const struct value *arguments, size_t count)
{
	const struct request_header header = { .kind = ITEM_RUN, .session = session, .sequence = sequence, .window = window };
	struct buffer payload = { 0 };
	size_t late;

	buffer_u16(&payload, operation);
	wire_write_list(&payload, arguments, count);
	buffer_reset(&bench->out);
	assert_true(buffer_reserve(&bench->out, 1 << 16) && !payload.failed);
	enum code code = core_run(bench->core, &alice, &header, wire_reader(payload.data, payload.size), CODE_OK, 1 << 15,
				  &bench->out);
	buffer_clear(&payload);
	core_take_late(bench->core, &late);
	return code;
}

static enum code run(struct bench *bench, uint16_t operation, const struct value *arguments, size_t count)
{
	enum code code = run_as(bench, bench->session, bench->next + 1, (uint16_t)bench->next, operation, arguments, count);

	bench->next += code != CODE_BUSY;
	return code;
}

/* Returns its sequence. */
static uint64_t wait_for_answer(struct bench *bench)
{
	assert_int_equal(run(bench, WAIT, NULL, 0), CODE_WAITING);
	return bench->next;
}

static enum code answer(struct bench *bench, uint64_t sequence, int64_t size)
{
	const struct value list[] = { value_integer((int64_t)bench->session), value_integer((int64_t)sequence),
				      value_integer(size) };

	return run(bench, ANSWER, list, 3);
}

static enum code put(struct bench *bench, const char *key, int64_t number)
{
	const struct value list[] = { value_text(key), value_integer(number) };

	return run(bench, PUT, list, 2);
}

/* The last record of that kind. */
static struct record last_of(const struct bench *bench, enum record_kind kind)
{
	struct wire_reader reader = wire_reader(bench->records.data, bench->records.size);
	struct record record, found = { .kind = 0 };

	while (record_read(&reader, &record))
		if (record.kind == kind)
			found = record;
	assert_false(reader.bad);
	assert_int_equal(found.kind, kind);
	return found;
}

static unsigned count_of(const struct bench *bench, enum record_kind kind)
{
	struct wire_reader reader = wire_reader(bench->records.data, bench->records.size);
	struct record record;
	unsigned count = 0;

	while (record_read(&reader, &record))
		count += record.kind == kind;
	return count;
}

/* A new core that has done everything before the record, or everything there is (NULL). */
static struct core *replayed(struct bench *bench, const struct sole_behaviour *behaviour, const struct record *end)
{
	struct wire_reader reader = wire_reader(bench->records.data, bench->records.size);
	struct core *core = core_of(bench, behaviour);
	struct record record;
	char why[256];
	size_t late;

	while (record_read(&reader, &record)) {
		if (end != NULL && record.kind == end->kind && record.revision == end->revision &&
		    record.sequence == end->sequence)
			return core;
		if (core_replay(core, &record, 0, true, why, sizeof why) != CODE_OK)
			fail_msg("%s: %s", record_name(record.kind), why);
		core_take_late(core, &late);
	}
	assert_null(end);
	return core;
}

/* Replay comes to the same sessions, reply by reply. */
static void assert_replays(struct bench *bench)
{
	struct core *core = replayed(bench, &moody, NULL);
	size_t cursor = 0;
	const struct session *session;

	assert_true(core_revision(core) == core_revision(bench->core));
	assert_true(store_digest(core_store(core)) == store_digest(core_store(bench->core)));
	assert_int_equal(sessions_count(core_sessions(core)), sessions_count(core_sessions(bench->core)));
	while ((session = sessions_next(core_sessions(bench->core), &cursor)) != NULL) {
		const struct session *other = sessions_find(core_sessions(core), session->id);
		assert_non_null(other);
		assert_true(other->last == session->last && other->oldest == session->oldest);
		assert_int_equal(other->replies_bytes, session->replies_bytes);
		assert_int_equal(other->parked_count, session->parked_count);
		for (uint64_t sequence = 1; sequence <= session->last; sequence++)
			assert_int_equal(session_stored(session, sequence) == NULL, session_stored(other, sequence) == NULL);
	}
	core_destroy(&core);
}

/* The record, with a core that has done all before it: what replay says, and in which words. */
static void replays_as(struct bench *bench, const struct sole_behaviour *behaviour, const struct record *before,
		       const struct record *record, enum code code, const char *words)
{
	struct core *core = replayed(bench, behaviour, before);
	char why[256];

	assert_int_equal(core_replay(core, record, 0, true, why, sizeof why), code);
	if (strstr(why, words) == NULL)
		fail_msg("'%s' is not in '%s'", words, why);
	core_destroy(&core);
}

/* ---- late answers ---- */

static void a_late_answer_is_told_of_and_a_long_one_without_its_bytes(void **state)
{
	struct bench *bench = bench_new(1 << 20);

	(void)state;
	uint64_t small = wait_for_answer(bench), large = wait_for_answer(bench);
	assert_int_equal(answer(bench, small, 100), CODE_OK);
	struct record record = last_of(bench, RECORD_ANSWERED);
	assert_true(record.sequence == small && record.flags == 0 && record.reply_size > 100);
	assert_int_equal(answer(bench, large, 2000), CODE_OK);
	record = last_of(bench, RECORD_ANSWERED);
	assert_true(record.sequence == large && record.flags == RECORD_FLAG_CUT && record.reply_size == 0);
	assert_replays(bench);
	bench_free(bench);
}

static void a_late_answer_that_is_not_kept_is_not_told_of(void **state)
{
	struct bench *bench = bench_new(1000);

	(void)state;
	uint64_t sequence = wait_for_answer(bench);
	assert_int_equal(answer(bench, sequence, 2000), CODE_OK);
	assert_int_equal(count_of(bench, RECORD_ANSWERED), 0);
	assert_replays(bench);
	bench_free(bench);
}

static void without_memory_for_it_a_late_answer_is_given_and_not_told_of(void **state)
{
	unsigned told = 0, untold = 0, denied = 1;

	(void)state;
	for (long succeed = 0; denied > 0; succeed++) {
		struct bench *bench = bench_new(1 << 20);
		enum { WAITING = 8 };
		uint64_t waiting[WAITING];
		for (size_t i = 0; i < WAITING; i++)
			waiting[i] = wait_for_answer(bench);
		/* What an answer needs beside its record is there from the first on. */
		assert_int_equal(answer(bench, waiting[0], 900), CODE_OK);
		scarce_begin(-1, false);
		for (size_t i = 1; i < WAITING; i++) {
			scarce_begin(i == 1 ? succeed : scarce_left, true);
			if (i == 1)
				denied = 0;
			const struct value list[] = { value_integer((int64_t)bench->session),
						      value_integer((int64_t)waiting[i]), value_integer(900) };
			const struct request_header header = { .kind = ITEM_RUN, .session = bench->session,
							       .sequence = bench->next + 1, .window = (uint16_t)bench->next };
			uint8_t space[256];
			struct buffer payload = { .data = space, .capacity = sizeof space };
			size_t late;
			buffer_u16(&payload, ANSWER);
			wire_write_list(&payload, list, 3);
			buffer_reset(&bench->out);
			enum code code = core_run(bench->core, &alice, &header, wire_reader(payload.data, payload.size),
						  CODE_OK, 1 << 15, &bench->out);
			denied += (unsigned)scarce_end();
			core_take_late(bench->core, &late);
			bench->next += code != CODE_BUSY;
			assert_true(code == CODE_OK || code == CODE_BUSY || code == CODE_NO_MEMORY);
		}
		unsigned records = count_of(bench, RECORD_ANSWERED);
		told += records == WAITING;
		untold += records < WAITING;
		bench_free(bench);
		assert_true(succeed < 1000);
	}
	assert_true(told > 0 && untold > 0);
}

static void what_is_not_recorded_is_not_told_of_later(void **state)
{
	struct bench *bench = bench_new(1 << 20);

	(void)state;
	uint64_t sequence = wait_for_answer(bench);
	core_record_to(bench->core, NULL);
	core_start(bench->core, 2, 100);
	assert_int_equal(answer(bench, sequence, 10), CODE_OK);
	core_record_to(bench->core, &bench->records);
	assert_int_equal(put(bench, "a", 1), CODE_OK);
	assert_int_equal(count_of(bench, RECORD_ANSWERED), 0);
	assert_int_equal(count_of(bench, RECORD_START), 1);
	bench_free(bench);
}

/* Recording begins behind a replay of which nobody has taken the late answers. */
static void what_was_answered_in_a_replay_is_not_told_of_again(void **state)
{
	struct bench *bench = bench_new(1 << 20);

	(void)state;
	uint64_t sequence = wait_for_answer(bench);
	assert_int_equal(answer(bench, sequence, 10), CODE_OK);
	const struct record run = last_of(bench, RECORD_RUN);
	struct core *core = replayed(bench, &moody, &run);
	char why[128];
	assert_int_equal(core_replay(core, &run, 0, true, why, sizeof why), CODE_OK);
	core_destroy(&bench->core);
	bench->core = core;
	struct buffer before = bench->records;
	bench->records = (struct buffer){ 0 };
	core_record_to(core, &bench->records);
	assert_int_equal(put(bench, "a", 1), CODE_OK);
	assert_int_equal(count_of(bench, RECORD_RUN), 1);
	assert_int_equal(count_of(bench, RECORD_ANSWERED), 0);
	buffer_clear(&before);
	bench_free(bench);
}

/* A round in which a request is answered and its session ends, replayed as a whole. */
static void a_session_that_ends_behind_its_late_answer_is_replayed(void **state)
{
	struct bench *bench = bench_new(1 << 20);
	uint64_t other = open_session(bench, 2);

	(void)state;
	assert_int_equal(run_as(bench, other, 1, 0, WAIT, NULL, 0), CODE_WAITING);
	const struct value list[] = { value_integer((int64_t)other), value_integer(1), value_integer(10) };
	assert_int_equal(run(bench, ANSWER, list, 3), CODE_OK);
	struct session *session = sessions_find(core_sessions(bench->core), other);
	assert_int_equal(core_end_session(bench->core, &session), CODE_OK);
	assert_replays(bench);
	struct wire_reader reader = wire_reader(bench->records.data, bench->records.size);
	struct core *core = core_of(bench, &moody);
	struct record record;
	char why[256];
	while (record_read(&reader, &record))
		if (core_replay(core, &record, 0, true, why, sizeof why) != CODE_OK)
			fail_msg("%s", why);
	assert_null(sessions_find(core_sessions(core), other));
	core_destroy(&core);
	bench_free(bench);
}

/* An answer is told of: not of this session, too early, or another one. */
static void an_answer_that_was_another_is_told_apart(void **state)
{
	struct bench *bench = bench_new(1 << 20);

	(void)state;
	uint64_t sequence = wait_for_answer(bench);
	assert_int_equal(answer(bench, sequence, 100), CODE_OK);
	const struct record right = last_of(bench, RECORD_ANSWERED), run = last_of(bench, RECORD_RUN);
	uint8_t bytes[RECORD_REPLY_MAX];
	memcpy(bytes, right.reply, right.reply_size);
	bytes[right.reply_size - 1] ^= 1;
	replays_as(bench, &moody, &right, &right, CODE_OK, "");
	struct record other = right;
	other.session ^= 1;
	replays_as(bench, &moody, &right, &other, CODE_CONFLICT, "no session");
	replays_as(bench, &moody, &run, &right, CODE_CONFLICT, "still waits");
	other = right;
	other.code = CODE_EXPIRED;
	replays_as(bench, &moody, &right, &other, CODE_CONFLICT, "answered otherwise");
	other = right;
	other.reply_size--;
	replays_as(bench, &moody, &right, &other, CODE_CONFLICT, "answered otherwise");
	other = right;
	other.reply = bytes;
	replays_as(bench, &moody, &right, &other, CODE_CONFLICT, "answered otherwise");
	other.flags = RECORD_FLAG_CUT; /* its bytes are not there to be compared */
	replays_as(bench, &moody, &right, &other, CODE_OK, "");
	bench_free(bench);
	/* Withdrawn, without bytes; and none of it kept. */
	bench = bench_new(100);
	sequence = wait_for_answer(bench);
	uint64_t long_one = wait_for_answer(bench);
	assert_true(core_expire(bench->core, bench->session, sequence));
	assert_int_equal(answer(bench, long_one, 500), CODE_OK);
	struct core *core = replayed(bench, &moody, NULL);
	struct record withdrawn = { .kind = RECORD_ANSWERED, .code = CODE_EXPIRED, .session = bench->session,
				    .sequence = sequence, .revision = core_revision(core),
				    .digest = store_digest(core_store(core)) };
	char why[128];
	assert_int_equal(core_replay(core, &withdrawn, 0, true, why, sizeof why), CODE_OK);
	withdrawn.sequence = long_one;
	assert_int_equal(core_replay(core, &withdrawn, 0, true, why, sizeof why), CODE_OK);
	core_destroy(&core);
	bench_free(bench);
}

/* ---- hooks that fail ---- */

static void a_hook_that_failed_is_recorded_so_and_not_asked_again(void **state)
{
	struct bench *bench = bench_new(1 << 20);

	(void)state;
	uint64_t sequence = wait_for_answer(bench);
	mood_of_hooks = SOLE_INVALID;
	assert_true(core_expire(bench->core, bench->session, sequence));
	assert_int_equal(last_of(bench, RECORD_WITHDRAWN).flags, RECORD_FLAG_UNHOOKED);
	struct session *session = sessions_find(core_sessions(bench->core), bench->session);
	assert_int_equal(core_end_session(bench->core, &session), CODE_OK);
	assert_int_equal(last_of(bench, RECORD_END).flags, RECORD_FLAG_UNHOOKED);
	mood_of_hooks = SOLE_OK; /* asked again it would change something */
	assert_replays(bench);
	bench_free(bench);
}

static void what_finds_no_memory_is_put_off_and_in_replay_said(void **state)
{
	struct bench *bench = bench_new(1 << 20);

	(void)state;
	uint64_t sequence = wait_for_answer(bench);
	assert_int_equal(put(bench, "due", 1000), CODE_OK);
	core_take_record_count(bench->core);
	core_set_clock(bench->core, 2000);
	struct session *session = sessions_find(core_sessions(bench->core), bench->session);
	uint64_t revision = core_revision(bench->core);
	mood_of_hooks = SOLE_NO_MEMORY;
	assert_false(core_expire(bench->core, bench->session, sequence));
	assert_int_equal(core_end_session(bench->core, &session), CODE_NO_MEMORY);
	assert_true(core_tick(bench->core) > 2000);
	assert_true(core_revision(bench->core) == revision && session_waits(session, sequence));
	mood_of_hooks = SOLE_OK;
	core_set_clock(bench->core, 3000000);
	assert_true(core_tick(bench->core) == INT64_MAX);
	assert_int_equal(core_end_session(bench->core, &session), CODE_OK);
	const struct record ticked = last_of(bench, RECORD_TICK), withdrawn = last_of(bench, RECORD_WITHDRAWN),
			    ended = last_of(bench, RECORD_END);
	assert_replays(bench);
	struct core *cores[] = { replayed(bench, &moody, &ticked), replayed(bench, &moody, &withdrawn),
				 replayed(bench, &moody, &ended) };
	const struct record *records[] = { &ticked, &withdrawn, &ended };
	mood_of_hooks = SOLE_NO_MEMORY;
	for (size_t i = 0; i < 3; i++) {
		char why[128];
		assert_int_equal(core_replay(cores[i], records[i], 0, true, why, sizeof why), CODE_NO_MEMORY);
		assert_non_null(strstr(why, "memory"));
		core_destroy(&cores[i]);
	}
	mood_of_hooks = SOLE_OK;
	bench_free(bench);
}

static void what_is_not_of_this_state_is_told_apart(void **state)
{
	struct bench *bench = bench_new(1 << 20);
	struct sole_behaviour calm = moody;
	char why[256];

	(void)state;
	uint64_t sequence = wait_for_answer(bench);
	assert_int_equal(put(bench, "due", 1), CODE_OK);
	core_take_record_count(bench->core);
	core_set_clock(bench->core, 10);
	core_tick(bench->core);
	const struct record ticked = last_of(bench, RECORD_TICK);
	calm.tick = NULL;
	calm.due = NULL;
	replays_as(bench, &calm, &ticked, &ticked, CODE_CONFLICT, "no tick");
	struct core *core = replayed(bench, &moody, &ticked);
	mood_of_hooks = SOLE_INVALID;
	assert_int_equal(core_replay(core, &ticked, 0, true, why, sizeof why), CODE_CONFLICT);
	assert_non_null(strstr(why, "the tick failed"));
	mood_of_hooks = SOLE_OK;
	core_destroy(&core);

	struct record record = { .kind = RECORD_WITHDRAWN, .session = bench->session, .sequence = sequence + 1 };
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "does not wait");
	record.session++;
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "no session");
	record.kind = RECORD_END;
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "no session");
	record.session--;
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "waits");
	record.kind = RECORD_RECEIVED;
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "no late answer");
	record.session++;
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "no session");
	record.kind = RECORD_REFUSED;
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "no session");
	record.kind = (enum record_kind)99;
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "not known");
	const struct record start = last_of(bench, RECORD_START);
	record = start;
	record.behaviour = (const uint8_t *)"mooDy";
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "the behaviour was mooDy");
	bench_free(bench);
}

static void a_window_that_was_never_so_full_is_told_apart(void **state)
{
	struct bench *bench = bench_new(1 << 20);

	(void)state;
	for (int i = 0; i < PROTOCOL_WINDOW; i++)
		assert_int_equal(put(bench, "k", i), CODE_OK);
	struct record record = last_of(bench, RECORD_RUN);
	record.sequence++;
	record.revision++;
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "no place for a reply");
	bench_free(bench);
}

static void one_more_that_waits_than_may_is_told_apart(void **state)
{
	struct bench *bench = bench_new(1 << 20);

	(void)state;
	for (int i = 0; i < SESSION_PARKED_MAX; i++)
		assert_int_equal(run_as(bench, bench->session, ++bench->next, 1, WAIT, NULL, 0), CODE_WAITING);
	struct record record = last_of(bench, RECORD_RUN);
	record.sequence++;
	record.acknowledged++;
	replays_as(bench, &moody, NULL, &record, CODE_CONFLICT, "it came to");
	assert_replays(bench);
	bench_free(bench);
}

static void migrations_are_done_again_or_told_apart(void **state)
{
	struct bench *bench = bench_new(1 << 20);
	struct sole_behaviour rigid = moody;
	char why[256];

	(void)state;
	rigid.migrate = NULL;
	assert_int_equal(core_migrate(bench->core, 3, why, sizeof why), CODE_INVALID);
	assert_int_equal(core_migrate(bench->core, 2, why, sizeof why), CODE_OK);
	const struct record record = last_of(bench, RECORD_MIGRATED);
	assert_int_equal(record.version, 2);
	assert_replays(bench);
	replays_as(bench, &rigid, &record, &record, CODE_CONFLICT, "take it over");
	struct core *cores[] = { replayed(bench, &moody, &record), replayed(bench, &moody, &record) };
	static const int moods[] = { SOLE_NO_MEMORY, SOLE_INVALID };
	static const enum code codes[] = { CODE_NO_MEMORY, CODE_CONFLICT };
	for (size_t i = 0; i < 2; i++) {
		mood_of_hooks = moods[i];
		assert_int_equal(core_replay(cores[i], &record, 0, true, why, sizeof why), codes[i]);
		core_destroy(&cores[i]);
	}
	mood_of_hooks = SOLE_OK;
	bench_free(bench);
	/* Nothing is done that cannot be recorded. */
	bench = bench_new(1 << 20);
	buffer_clear(&bench->records);
	scarce_begin(0, true);
	assert_int_equal(core_migrate(bench->core, 2, why, sizeof why), CODE_NO_MEMORY);
	scarce_end();
	assert_non_null(strstr(why, "memory"));
	bench_free(bench);
}

/* ---- memory ---- */

static void memory_that_runs_out_in_a_replay_is_not_taken_for_another_outcome(void **state)
{
	struct bench *bench = bench_new(1 << 20);
	unsigned starved = 0;
	bool complete = false;

	(void)state;
	for (int i = 0; i < 20; i++)
		wait_for_answer(bench);
	for (int i = 1; i < 20; i++)
		assert_int_equal(answer(bench, (uint64_t)i, i % 4 == 0 ? 3000 : 10), CODE_OK);
	open_session(bench, 2);
	for (long succeed = 0; !complete; succeed++) {
		struct wire_reader reader = wire_reader(bench->records.data, bench->records.size);
		struct core *core = core_of(bench, &moody);
		struct record record;
		char why[256] = "";
		enum code code = CODE_OK;
		scarce_begin(succeed, succeed % 2 == 0);
		while (code == CODE_OK && record_read(&reader, &record))
			code = core_replay(core, &record, 0, true, why, sizeof why);
		complete = scarce_end() == 0;
		if (code != CODE_OK && code != CODE_NO_MEMORY)
			fail_msg("%s", why);
		starved += code == CODE_NO_MEMORY;
		core_destroy(&core);
	}
	assert_true(starved > 10);
	bench_free(bench);
}

/* ---- acknowledgements ---- */

static void an_acknowledgement_counts_with_what_is_recorded_and_only_then(void **state)
{
	struct bench *bench = bench_new(1 << 20);
	struct session *session = sessions_find(core_sessions(bench->core), bench->session);

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(put(bench, "k", i), CODE_OK);
	assert_true(session->oldest == 1);
	/* No memory to record it: it is sent again, and what it acknowledged is still there. */
	struct buffer kept = bench->records;
	bench->records = (struct buffer){ 0 };
	const struct value list[] = { value_text("k"), value_integer(10) };
	const struct request_header header = { .kind = ITEM_RUN, .session = bench->session, .sequence = 11, .window = 2 };
	uint8_t space[256];
	struct buffer payload = { .data = space, .capacity = sizeof space };
	buffer_u16(&payload, PUT);
	wire_write_list(&payload, list, 2);
	buffer_reset(&bench->out);
	scarce_begin(0, true);
	assert_int_equal(core_run(bench->core, &alice, &header, wire_reader(payload.data, payload.size), CODE_OK, 1 << 15,
				  &bench->out), CODE_BUSY);
	scarce_end();
	buffer_clear(&bench->records);
	bench->records = kept;
	assert_true(session->oldest == 1 && session->last == 10);
	assert_non_null(session_stored(session, 1));
	assert_replays(bench);
	assert_int_equal(run_as(bench, bench->session, 11, 2, PUT, list, 2), CODE_OK);
	assert_true(session->oldest == 9 && session_stored(session, 8) == NULL);
	assert_replays(bench);
	/* Out of order, and answered already. */
	assert_int_equal(run_as(bench, bench->session, 13, 1, PUT, list, 2), CODE_OUT_OF_ORDER);
	assert_int_equal(run_as(bench, bench->session, 11, 1, PUT, list, 2), CODE_OK);
	assert_true(session->oldest == 9);
	assert_replays(bench);
	bench_free(bench);
}

static void a_full_window_has_room_for_what_acknowledges(void **state)
{
	struct bench *bench = bench_new(1 << 20);
	struct session *session = sessions_find(core_sessions(bench->core), bench->session);
	const struct value list[] = { value_text("k"), value_integer(1) };

	(void)state;
	for (int i = 0; i < PROTOCOL_WINDOW; i++)
		assert_int_equal(put(bench, "k", i), CODE_OK);
	assert_int_equal(run(bench, PUT, list, 2), CODE_BUSY);
	assert_true(session->oldest == 1);
	assert_int_equal(run_as(bench, bench->session, bench->next + 1, PROTOCOL_WINDOW - 1, PUT, list, 2), CODE_OK);
	assert_true(session->oldest == 2 && session->last == PROTOCOL_WINDOW + 1);
	/* More than there is to acknowledge. */
	assert_int_equal(run_as(bench, bench->session, bench->next + 2, 0, PUT, list, 2), CODE_OK);
	assert_true(session->oldest == session->last);
	assert_replays(bench);
	bench_free(bench);
}

/* Who finds no place to wait has not acknowledged anything either. */
static void what_finds_no_place_to_wait_acknowledges_nothing(void **state)
{
	struct bench *bench = bench_new(1 << 20);
	struct session *session = sessions_find(core_sessions(bench->core), bench->session);

	(void)state;
	for (int i = 0; i < SESSION_PARKED_MAX; i++)
		assert_int_equal(run_as(bench, bench->session, ++bench->next, 1, WAIT, NULL, 0), CODE_WAITING);
	uint64_t oldest = session->oldest;
	assert_int_equal(run_as(bench, bench->session, bench->next + 1, 0, WAIT, NULL, 0), CODE_BUSY);
	assert_true(session->oldest == oldest && session->last == SESSION_PARKED_MAX);
	assert_replays(bench);
	bench_free(bench);
}

/* Who came with a key is recorded by its number; whom nobody knows, as nobody. */
static void callers_of_every_kind_are_read_as_they_were_written(void **state)
{
	const struct caller callers[] = {
		{ .uid = 1000, .gid = 100, .pid = 4711, .known = true },
		{ .uid = (uid_t)-1, .gid = (gid_t)-1, .known = true, .keyed = true, .born = 0x0123456789abcdef },
		{ .uid = (uid_t)-1, .gid = (gid_t)-1 },
	};
	static const uint8_t nonce[PROTOCOL_NONCE_BYTES] = { 1, 2, 3 };

	(void)state;
	for (size_t i = 0; i < sizeof callers / sizeof *callers; i++) {
		const struct caller *caller = &callers[i];
		struct record record = { .kind = RECORD_OPEN, .flags = caller->known ? RECORD_FLAG_KNOWN : 0, .caller = *caller,
					 .nonce = nonce, .session = 7, .silence_ms = 1000 }, found;
		struct buffer bytes = { 0 };
		record_write(&bytes, &record);
		for (size_t size = 1; size < bytes.size; size++) {
			struct wire_reader part = wire_reader(bytes.data, size);
			assert_false(record_read(&part, &found));
			assert_true(part.bad);
		}
		struct wire_reader reader = wire_reader(bytes.data, bytes.size);
		assert_true(record_read(&reader, &found));
		assert_true(found.caller.uid == caller->uid && found.caller.gid == caller->gid && found.caller.pid == caller->pid);
		assert_int_equal(found.caller.known, caller->known);
		assert_int_equal(found.caller.keyed, caller->keyed);
		assert_true(found.caller.born == caller->born);
		assert_int_equal(reader.left, 0);
		buffer_clear(&bytes);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(callers_of_every_kind_are_read_as_they_were_written),
	cmocka_unit_test(a_late_answer_is_told_of_and_a_long_one_without_its_bytes),
	cmocka_unit_test(a_late_answer_that_is_not_kept_is_not_told_of),
	cmocka_unit_test(without_memory_for_it_a_late_answer_is_given_and_not_told_of),
	cmocka_unit_test(what_is_not_recorded_is_not_told_of_later),
	cmocka_unit_test(what_was_answered_in_a_replay_is_not_told_of_again),
	cmocka_unit_test(a_session_that_ends_behind_its_late_answer_is_replayed),
	cmocka_unit_test(an_answer_that_was_another_is_told_apart),
	cmocka_unit_test(a_hook_that_failed_is_recorded_so_and_not_asked_again),
	cmocka_unit_test(what_finds_no_memory_is_put_off_and_in_replay_said),
	cmocka_unit_test(what_is_not_of_this_state_is_told_apart),
	cmocka_unit_test(a_window_that_was_never_so_full_is_told_apart),
	cmocka_unit_test(one_more_that_waits_than_may_is_told_apart),
	cmocka_unit_test(migrations_are_done_again_or_told_apart),
	cmocka_unit_test(memory_that_runs_out_in_a_replay_is_not_taken_for_another_outcome),
	cmocka_unit_test(an_acknowledgement_counts_with_what_is_recorded_and_only_then),
	cmocka_unit_test(a_full_window_has_room_for_what_acknowledges),
	cmocka_unit_test(what_finds_no_place_to_wait_acknowledges_nothing),
};

UNIT_MAIN(tests)
