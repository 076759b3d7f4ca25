/* SPDX-License-Identifier: MIT
 *
 * The owner without a socket: what messages come to, told by the bodies of the replies.
 */
#include "tests/lib/rig.h"

enum { KIB = 1024 };

static int set_up(void **state)
{
	struct rig *rig = rig_new();

	*state = rig;
	return rig_start(rig, &table_behaviour, 1) ? 0 : -1;
}

static int tear_down(void **state)
{
	rig_free(*state);
	return 0;
}

/* Begins again with limits that the test has changed. */
static void restart(struct rig *rig)
{
	service_destroy(&rig->service);
	memset(&rig->counters, 0, sizeof rig->counters);
	assert_true(rig_start(rig, &table_behaviour, 1));
}

static const struct value *big(size_t size)
{
	static uint8_t bytes[600 * KIB];
	static struct value value;

	assert_true(size <= sizeof bytes);
	memset(bytes, 'b', sizeof bytes);
	value = value_bytes(bytes, size);
	return &value;
}

/* ---- once, in order, all or none ---- */

static void a_command_runs_once_and_its_retry_hears_the_same(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);
	uint8_t first[256];

	for (int retry = 0; retry < 3; retry++) {
		rig_message(rig, retry == 2 ? &alice_again : &alice,
			    true); /* another process of the same user */
		rig_command(rig, session, 1);
		rig_add(rig, "k", 5);
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_OK);
		assert_int_equal(rig_integer(rig, 0, 0, 0), 5);
		assert_true(rig->answers[0].header.session == session);
		assert_int_equal(rig->answers[0].header.sequence, 1);
		assert_int_equal(rig->answers[0].header.revision, 2);
		assert_true(rig->answers[0].payload.left < sizeof first);
		if (retry > 0)
			assert_memory_equal(first, rig->answers[0].payload.at, rig->answers[0].payload.left);
		memcpy(first, rig->answers[0].payload.at, rig->answers[0].payload.left);
		assert_int_equal(rig->counters.requests_repeated, retry);
	}
	/* The same sequence once more in the message that carries it first. */
	rig_message(rig, &alice, true);
	for (int twice = 0; twice < 2; twice++) {
		rig_command(rig, session, 2);
		rig_add(rig, "k", 1);
	}
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 6);
	assert_int_equal(rig_integer(rig, 1, 0, 0), 6);
	assert_int_equal(rig_look(rig, "k"), 6);
	assert_int_equal(rig->counters.writes, 2);
	assert_int_equal(rig->counters.requests, 5);
}

static void a_refusal_is_stored_and_repeated_though_it_would_do_now(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	for (int retry = 0; retry < 2; retry++) {
		rig_message(rig, &alice, true);
		rig_command(rig, session, 1);
		rig_cas(rig, "k", value_integer(7), value_integer(8));
		rig_round(rig);
		rig_refused(rig, 0, CODE_CONFLICT, 0, "not the expected one");
		/* Now its condition holds, and it hears the old answer still. */
		rig_message(rig, &bob, true);
		rig_item(rig, &(struct request_header){ .kind = ITEM_RUN });
		rig_put(rig, "k", value_integer(7));
		rig_round(rig);
	}
	assert_int_equal(rig_look(rig, "k"), 7);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 2);
	rig_cas(rig, "k", value_integer(7), value_integer(8));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_look(rig, "k"), 8);
}

static void a_sequence_that_comes_too_early_is_not_run(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);
	static const uint64_t early[] = { 2, 3, 300, UINT64_MAX, 0 };

	for (size_t i = 0; i < sizeof early / sizeof *early; i++) {
		rig_message(rig, &alice, true);
		rig_command(rig, session, early[i]);
		rig_add(rig, "k", 1);
		rig_round(rig);
		rig_refused(rig, 0, CODE_OUT_OF_ORDER, -1, "before 1");
		assert_int_equal(rig_integer(rig, 0, 0, 2), 1); /* resend from there */
	}
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
	rig_message(rig, &alice, true);
	for (uint64_t sequence = 1; sequence <= 3; sequence++) {
		rig_command(rig, session, sequence);
		rig_add(rig, "k", 1);
	}
	rig_round(rig);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(rig_integer(rig, i, 0, 0), i + 1);
}

static void a_request_takes_effect_whole_or_not_at_all(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_put(rig, "a", value_integer(1));
	rig_put(rig, "b", value_text("bytes"));
	rig_delete(rig, "nothing");
	rig_add(rig, "a", 10);
	rig_get(rig, "a");
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 0);
	assert_int_equal(rig_integer(rig, 0, 3, 0), 11);
	assert_int_equal(rig_integer(rig, 0, 4, 0), 11); /* an operation sees those before it */
	assert_int_equal(rig->answers[0].header.revision, 2);
	uint64_t digest = rig_digest(rig), revision = rig_revision(rig);
	uint64_t reads = rig->counters.reads, writes = rig->counters.writes;

	rig_message(rig, &alice, true);
	rig_command(rig, session, 2);
	rig_put(rig, "a", value_text("changed"));
	rig_delete(rig, "b");
	rig_put(rig, "c", value_integer(3));
	rig_get(rig, "c");
	rig_add(rig, "a", 1); /* bytes by now */
	rig_put(rig, "d", value_integer(4));
	rig_round(rig);
	rig_refused(rig, 0, CODE_WRONG_TYPE, 4, "add");
	assert_true(rig_digest(rig) == digest);
	assert_true(rig_revision(rig) == revision);
	assert_true(rig->counters.reads == reads && rig->counters.writes == writes);
	assert_int_equal(rig->counters.requests_refused, 1);
}

static void the_detail_of_a_conflict_is_the_value_that_undo_takes_back(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_put(rig, "k", *big(5000));
	rig_cas(rig, "k", value_integer(1), value_none());
	rig_round(rig);
	rig_refused(rig, 0, CODE_CONFLICT, 1, "cas");
	struct value detail = rig_value(rig, 0, 0, 2);
	assert_true(value_equal(&detail, big(5000)));
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 0);
	assert_int_equal(store_bytes(core_store(service_core(rig->service))), 0);
	/* An absent value is no detail. */
	rig_message(rig, &alice, true);
	rig_command(rig, session, 2);
	rig_cas(rig, "k", value_integer(1), value_none());
	rig_round(rig);
	struct wire_reader payload = rig->answers[0].payload;
	struct value values[4];
	size_t count;
	assert_true(wire_read_list(&payload, values, 4, &count));
	assert_int_equal(count, 2);
}

static void the_table_does_what_its_operations_say(void **state)
{
	struct rig *rig = *state;

	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN });
	rig_cas(rig, "k", value_none(), value_integer(1)); /* 0 */
	rig_cas(rig, "k", value_integer(1), value_text("x"));
	rig_cas(rig, "k", value_text("x"), value_none());
	rig_get(rig, "k"); /* 3 */
	rig_put(rig, "k", value_text(""));
	rig_delete(rig, "k");
	rig_delete(rig, "k");
	rig_add(rig, "k", -3); /* 7 */
	rig_put(rig, "k", value_integer(INT64_MAX));
	rig_put(rig, "", value_integer(9));
	rig_operation(rig, 6, NULL, 0); /* 10: count */
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_value(rig, 0, 3, 0).type, VALUE_NONE);
	assert_int_equal(rig_integer(rig, 0, 4, 0), 0);
	assert_int_equal(rig_integer(rig, 0, 5, 0), 1);
	assert_int_equal(rig_integer(rig, 0, 6, 0), 0);
	assert_int_equal(rig_integer(rig, 0, 7, 0), -3);
	assert_int_equal(rig_integer(rig, 0, 8, 0), 1);
	assert_int_equal(rig_integer(rig, 0, 10, 0), 2);
	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN });
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_refused(rig, 0, CODE_OVERFLOW, 0, "9223372036854775807 plus 1");
	assert_true(rig_integer(rig, 0, 0, 2) == INT64_MAX);
}

/* ---- who may ---- */

static void a_session_is_of_its_user_and_of_this_owner(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &bob, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_query(rig, session, 1);
	rig_get(rig, "k");
	rig_cancel(rig, session, 1, false);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = session });
	rig_open(rig, 1, 0); /* a nonce seen on somebody else's wire */
	rig_round(rig);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(rig_answer(rig, i)->header.code, CODE_DENIED);
	assert_int_equal(rig->counters.sessions_denied, 4);
	rig_message(rig, &alice, true);
	rig_command(rig, session ^ (1ULL << 30), 1);
	rig_add(rig, "k", 1);
	rig_query(rig, 77, 1);
	rig_get(rig, "k");
	rig_cancel(rig, 77, 1, false);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = 77 });
	rig_round(rig);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(rig_answer(rig, i)->header.code, CODE_SESSION_FORGOTTEN);
		assert_int_equal(rig_answer(rig, i)->header.outcome, OUTCOME_UNKNOWN);
	}
	assert_int_equal(rig->counters.requests_unknown, 4);
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
	assert_int_equal(sessions_count(core_sessions(service_core(rig->service))), 1);
}

static void a_query_runs_no_command(void **state)
{
	struct rig *rig = *state;

	rig_message(rig, &alice, true);
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_refused(rig, 0, CODE_INVALID, 1, "marked as query");
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
	uint64_t session = rig_session(rig, &alice, 1);
	rig_message(rig, &alice, true);
	rig_query(rig, session, 99); /* takes no sequence of the session */
	rig_get(rig, "k");
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
}

/* ---- limits, by name, each with its counter ---- */

static void each_limit_is_told_by_name_and_counted(void **state)
{
	struct rig *rig = *state;
	uint8_t nonce = 1;

	rig->limits.operations = 3;
	rig->limits.key_bytes = 4;
	rig->limits.value_bytes = 10;
	rig->limits.entries = 2;
	rig->limits.sessions = 2;
	restart(rig);
	uint64_t session = rig_session(rig, &alice, nonce++);

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	for (int i = 0; i < 4; i++)
		rig_add(rig, "k", 1);
	rig_command(rig, session, 2);
	rig_put(rig, "five5", value_integer(1));
	rig_command(rig, session, 3);
	rig_put(rig, "k", value_text("eleven byte"));
	rig_command(rig, session, 4);
	rig_put(rig, "a", value_integer(1));
	rig_put(rig, "b", value_integer(1));
	rig_put(rig, "c", value_integer(1));
	rig_command(rig, session, 5);
	rig_put(rig, "four", value_text("ten bytes."));
	rig_open(rig, nonce++, 0);
	rig_open(rig, nonce++, 0);
	rig_round(rig);
	rig_refused(rig, 0, CODE_TOO_LARGE, 3, "max-operations");
	rig_refused(rig, 1, CODE_TOO_LARGE, 0, "max-key");
	rig_refused(rig, 2, CODE_TOO_LARGE, 0, "max-value");
	rig_refused(rig, 3, CODE_FULL, 2, "as many entries");
	rig_is(rig, 4, ITEM_RUN, CODE_OK);
	rig_is(rig, 5, ITEM_OPEN, CODE_OK);
	rig_refused(rig, 6, CODE_BUSY, -1, "max-sessions");
	assert_int_equal(rig->counters.limit_operations, 1);
	assert_int_equal(rig->counters.limit_key, 1);
	assert_int_equal(rig->counters.limit_value, 1);
	assert_int_equal(rig->counters.limit_state, 1);
	assert_int_equal(rig->counters.limit_sessions, 1);
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 1);
}

static void arguments_that_do_not_fit_are_named(void **state)
{
	struct rig *rig = *state;
	const struct value three[] = { value_text("k"), value_integer(1), value_integer(1) };
	struct value nine[9];

	for (size_t i = 0; i < 9; i++)
		nine[i] = value_integer(1);
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_RUN); /* nothing to do */
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 99, three, 1);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, UINT16_MAX, three, 1);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 2, three, 1);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 2, three, 3);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 1, nine, 9);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 1, nine, 1); /* a key that is a number */
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, "k", value_none());
	rig_simple(rig, ITEM_RUN);
	rig_add(rig, "k", 1);
	buffer_u8(rig_body(rig), 7); /* half a number of an operation */
	rig_end_item(rig);
	rig_simple(rig, ITEM_RUN);
	buffer_append(rig_body(rig), "\1\0\1\x07", 4); /* a value of no type */
	rig_end_item(rig);
	rig_round(rig);
	rig_refused(rig, 0, CODE_INVALID, 0, "at least one operation");
	rig_refused(rig, 1, CODE_NO_OPERATION, 0, "number 99");
	rig_refused(rig, 2, CODE_NO_OPERATION, 0, "number 65535");
	rig_refused(rig, 3, CODE_INVALID, 0, "takes 2 arguments, not 1");
	rig_refused(rig, 4, CODE_INVALID, 0, "takes 2 arguments, not 3");
	rig_refused(rig, 5, CODE_INVALID, 0, "takes 1 arguments, not 9");
	rig_refused(rig, 6, CODE_INVALID, 0, "key must be key");
	rig_refused(rig, 7, CODE_INVALID, 0, "value must be integer or bytes");
	rig_refused(rig, 8, CODE_MALFORMED, 1, "operation 1 ends in the middle");
	rig_refused(rig, 9, CODE_MALFORMED, 0, "operation 0");
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 0);
}

static void a_session_has_a_window_of_unacknowledged_replies(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &alice, true);
	for (uint64_t sequence = 1; sequence <= PROTOCOL_WINDOW + 1; sequence++) {
		rig_command(rig, session, sequence);
		rig_add(rig, "k", 1);
	}
	rig_round(rig);
	rig_is(rig, PROTOCOL_WINDOW - 1, ITEM_RUN, CODE_OK);
	rig_refused(rig, PROTOCOL_WINDOW, CODE_BUSY, -1, "unanswered");
	assert_int_equal(rig->counters.limit_window, 1);
	/* It used no sequence: with what is acknowledged it runs. */
	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN,
						.session = session,
						.window = 100,
						.sequence = PROTOCOL_WINDOW + 1 });
	rig_add(rig, "k", 1);
	rig_command(rig, session, 1); /* acknowledged: nobody should ask, and nothing runs */
	rig_add(rig, "k", 1);
	rig_command(rig, session, PROTOCOL_WINDOW - 50);
	rig_add(rig, "k", 1);
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), PROTOCOL_WINDOW + 1);
	rig_is(rig, 1, ITEM_RUN, CODE_REPLY_FORGOTTEN);
	assert_int_equal(rig->answers[1].header.outcome, OUTCOME_UNKNOWN);
	assert_int_equal(rig_integer(rig, 2, 0, 0), PROTOCOL_WINDOW - 50);
	assert_int_equal(rig_look(rig, "k"), PROTOCOL_WINDOW + 1);
}

static void replies_beyond_the_bytes_of_a_session_are_forgotten_and_counted(void **state)
{
	struct rig *rig = *state;

	rig->limits.session_replies_bytes = 8 * KIB;
	restart(rig);
	uint64_t session = rig_session(rig, &alice, 1);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_put(rig, "k", *big(5 * KIB));
	rig_command(rig, session, 2);
	rig_get(rig, "k");
	rig_command(rig, session, 3);
	rig_get(rig, "k");
	rig_round(rig);
	assert_int_equal(rig->counters.replies_trimmed, 2); /* the put's small one is the oldest */
	rig_message(rig, &alice, true);
	for (uint64_t sequence = 1; sequence <= 3; sequence++) {
		rig_command(rig, session, sequence);
		rig_get(rig, "k");
	}
	rig_round(rig);
	rig_refused(rig, 0, CODE_REPLY_FORGOTTEN, -1, "no longer kept");
	rig_refused(rig, 1, CODE_REPLY_FORGOTTEN, -1, "no longer kept");
	struct value value = rig_value(rig, 2, 0, 0);
	assert_true(value_equal(&value, big(5 * KIB)));
	assert_int_equal(rig->counters.requests_unknown, 2);
}

/* ---- deadlines and cancels ---- */

static void what_is_late_does_not_run_and_says_so_again(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1), now = (uint64_t)rig->now_ns;
	struct request_header header = {
		.kind = ITEM_RUN, .session = session, .sequence = 1, .deadline = now
	};

	rig_message(rig, &alice, true);
	rig_item(rig, &header);
	rig_add(rig, "k", 1);
	header.sequence = 2, header.window = 1, header.deadline = now + 1;
	rig_item(rig, &header);
	rig_add(rig, "k", 1);
	header.sequence = 3, header.window = 2, header.deadline = 1, header.flags = REQUEST_FLAG_RELATIVE;
	rig_item(rig, &header);
	rig_add(rig, "k", 1);
	rig_item(rig,
		 &(struct request_header){ .kind = ITEM_RUN, .flags = REQUEST_FLAG_QUERY, .deadline = 1 });
	rig_get(rig, "k");
	rig_round(rig);
	rig_refused(rig, 0, CODE_EXPIRED, -1, "deadline");
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	rig_is(rig, 2, ITEM_RUN, CODE_OK);
	rig_refused(rig, 3, CODE_EXPIRED, -1, "deadline");
	assert_int_equal(rig_look(rig, "k"), 2);
	assert_int_equal(rig->counters.requests_expired, 2);
	/* Retries, now the other way round: the one that was late without one, the one that ran late. */
	rig->now_ns += NS_PER_S;
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	header.sequence = 2, header.window = 1, header.deadline = now, header.flags = 0;
	rig_item(rig, &header);
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_EXPIRED);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_look(rig, "k"), 2);
}

static void a_cancel_overtakes_the_request_within_a_round(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_command(rig, session, 2);
	rig_add(rig, "k", 10);
	rig_query(rig, session, 9);
	rig_get(rig, "k");
	rig_message(rig, &alice, true);
	rig_cancel(rig, session, 1, false);
	rig_cancel(rig, session, 9, true);
	rig_round(rig);
	rig_refused(rig, 0, CODE_CANCELLED, -1, "withdrawn");
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	rig_refused(rig, 2, CODE_CANCELLED, -1, "withdrawn");
	rig_is(rig, 3, ITEM_CANCEL, CODE_OK);
	assert_int_equal(rig_integer(rig, 3, 0, 0), CANCEL_WITHDRAWN);
	rig_is(rig, 4, ITEM_CANCEL, CODE_OK);
	assert_int_equal(rig_integer(rig, 4, 0, 0), CANCEL_WITHDRAWN);
	assert_int_equal(rig->answer_count, 5);
	assert_int_equal(rig_look(rig, "k"), 10);
	assert_int_equal(rig->counters.requests_cancelled, 2);
}

static void a_cancel_of_what_ran_brings_its_reply(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 42);
	rig_round(rig);
	rig_message(rig, &alice, true);
	rig_cancel(rig, session, 1, false);
	rig_simple(rig, ITEM_PING);
	rig_round(rig);
	rig_is(rig, 0, ITEM_CANCEL, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 0, 0), CANCEL_ANSWERED);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	assert_int_equal(rig->answers[1].header.sequence, 1);
	assert_int_equal(rig_integer(rig, 1, 0, 0), 42);
	rig_is(rig, 2, ITEM_PING, CODE_OK);
	assert_int_equal(rig_look(rig, "k"), 42);
	rig_message(rig, &alice, true);
	rig_cancel(rig, 0, 7, true); /* a query that is not in this round was answered */
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), CANCEL_ANSWERED);
	assert_int_equal(rig->answer_count, 1);
}

static void a_cancel_of_what_was_not_seen_keeps_it_from_running(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &alice, true);
	rig_cancel(rig, session, 2, false);
	rig_cancel(rig, session, 1, false);
	rig_cancel(rig, session, 1, false);
	rig_cancel(rig, session, 0, false);
	rig_round(rig);
	rig_is(rig, 0, ITEM_CANCEL, CODE_OUT_OF_ORDER); /* what is before it may come still */
	rig_is(rig, 1, ITEM_CANCEL, CODE_OK);
	assert_int_equal(rig_integer(rig, 1, 0, 0), CANCEL_WITHDRAWN);
	assert_int_equal(rig_integer(rig, 2, 0, 0), CANCEL_WITHDRAWN);
	rig_is(rig, 3, ITEM_CANCEL, CODE_OUT_OF_ORDER);
	assert_int_equal(rig->counters.requests_cancelled, 1);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_command(rig, session, 2);
	rig_add(rig, "k", 2);
	rig_round(rig);
	rig_refused(rig, 0, CODE_CANCELLED, -1, "withdrawn");
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_look(rig, "k"), 2);
}

static void nobody_cancels_for_somebody_else(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &bob, true);
	rig_cancel(rig, session, 1, false);
	rig_cancel(rig, session, 9, true);
	rig_cancel(rig, 0, 5, true);
	rig_message(rig, &alice_again, true);
	rig_cancel(rig, 0, 5, true); /* every process numbers its queries from the same number */
	rig_cancel(rig, 0, 6, false);
	rig_message(rig, &alice, true);
	rig->messages[2].peer = 7; /* and every handle within a process */
	rig_cancel(rig, 0, 5, true);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_query(rig, session, 9);
	rig_get(rig, "k");
	rig_query(rig, 0, 5);
	rig_get(rig, "k");
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN, .sequence = 6 });
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_is(rig, 0, ITEM_CANCEL, CODE_DENIED);
	assert_int_equal(rig_integer(rig, 2, 0, 0), CANCEL_ANSWERED);
	assert_int_equal(rig_integer(rig, 3, 0, 0), CANCEL_ANSWERED);
	rig_is(rig, 4, ITEM_CANCEL, CODE_SESSION_FORGOTTEN); /* a command without a session has no name */
	assert_int_equal(rig_integer(rig, 5, 0, 0), CANCEL_ANSWERED);
	for (size_t i = 6; i < 10; i++)
		rig_is(rig, i, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_look(rig, "k"), 2);
}

/* ---- sessions ---- */

static void opening_and_the_first_requests_share_a_message(void **state)
{
	struct rig *rig = *state;
	uint64_t session = 0;

	for (int retry = 0; retry < 2; retry++) {
		rig_message(rig, &alice, true);
		rig_open(rig, 5, 0);
		rig_command(rig, SESSION_OPENED, 1);
		rig_add(rig, "k", 1);
		rig_command(rig, SESSION_OPENED, 2);
		rig_add(rig, "k", 1);
		rig_round(rig);
		rig_is(rig, 0, ITEM_OPEN, CODE_OK);
		assert_int_equal(rig_integer(rig, 0, 0, 0), 30000); /* the silence it was given */
		assert_true(retry == 0 || rig->answers[0].header.session == session);
		session = rig->answers[0].header.session;
		for (size_t i = 1; i < 3; i++) {
			rig_is(rig, i, ITEM_RUN, CODE_OK);
			assert_true(rig->answers[i].header.session == session);
			assert_int_equal(rig_integer(rig, i, 0, 0), i);
		}
	}
	assert_int_equal(rig->counters.sessions_opened, 1);
	assert_int_equal(rig_look(rig, "k"), 2);
	assert_int_equal(rig_revision(rig), 3);
}

static void without_an_opened_session_its_requests_do_not_run(void **state)
{
	struct rig *rig = *state;

	rig->limits.sessions = 1;
	restart(rig);
	rig_session(rig, &bob, 1);
	rig_message(rig, &alice, true);
	rig_command(rig, SESSION_OPENED, 1); /* before any OPEN */
	rig_add(rig, "k", 1);
	rig_open(rig, 2, 0);
	rig_command(rig, SESSION_OPENED, 1);
	rig_add(rig, "k", 1);
	rig_simple(rig, ITEM_OPEN); /* without a nonce */
	rig_command(rig, SESSION_OPENED, 1);
	rig_add(rig, "k", 1);
	rig_open(rig, 1, 0); /* bob's nonce */
	rig_command(rig, SESSION_OPENED, 1);
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_refused(rig, 0, CODE_INVALID, -1, "not opened in this message");
	rig_refused(rig, 1, CODE_BUSY, -1, "max-sessions");
	rig_refused(rig, 2, CODE_BUSY, -1, "not opened in this message");
	rig_refused(rig, 3, CODE_INVALID, -1, "nonce");
	rig_is(rig, 4, ITEM_RUN, CODE_INVALID);
	rig_is(rig, 5, ITEM_OPEN, CODE_DENIED);
	rig_is(rig, 6, ITEM_RUN, CODE_DENIED);
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

static void after_goodbye_a_session_is_forgotten(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = session });
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_is(rig, 1, ITEM_GOODBYE, CODE_OK);
	rig_is(rig, 2, ITEM_RUN, CODE_SESSION_FORGOTTEN);
	assert_int_equal(rig->counters.sessions_goodbye, 1);
	assert_int_equal(rig_look(rig, "k"), 1);
	assert_int_equal(rig_revision(rig), 3); /* open, add, goodbye */
}

static void silence_ends_a_session_and_a_word_of_its_user_keeps_it(void **state)
{
	struct rig *rig = *state;
	int64_t next_ns;

	rig_message(rig, &alice, true);
	rig_open(rig, 1, 5000);
	rig_open(rig, 2, 1);	     /* at least a second */
	rig_open(rig, 3, INT64_MAX); /* at most a day */
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 5000);
	assert_int_equal(rig_integer(rig, 1, 0, 0), 1000);
	assert_int_equal(rig_integer(rig, 2, 0, 0), 86400000);
	uint64_t first = rig->answers[0].header.session, second = rig->answers[1].header.session;
	struct sessions *sessions = core_sessions(service_core(rig->service));

	rig->now_ns += NS_PER_S;
	service_expire(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	assert_int_equal(sessions_count(sessions), 3); /* just not yet */
	assert_true(next_ns > rig->now_ns && next_ns <= rig->now_ns + NS_PER_S);
	service_expire(rig->service, rig->now_ns + 1, rig->wall_us, &next_ns);
	assert_null(sessions_find(sessions, second));
	rig->now_ns += 3 * NS_PER_S;
	rig_message(rig, &alice_again, true);
	rig_query(rig, first, 1);
	rig_get(rig, "k");
	rig_round(rig);
	rig->now_ns += 4 * NS_PER_S;
	rig_message(rig, &bob, true); /* somebody else's word is none */
	rig_query(rig, first, 1);
	rig_get(rig, "k");
	rig_round(rig);
	service_expire(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	assert_non_null(sessions_find(sessions, first));
	rig->now_ns += NS_PER_S + 1;
	uint64_t revision = rig_revision(rig);
	service_expire(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	assert_null(sessions_find(sessions, first));
	assert_int_equal(sessions_count(sessions), 1);
	assert_int_equal(rig->counters.sessions_silent, 2);
	assert_true(rig_revision(rig) == revision + 1);
}

/* ---- revisions and the clock ---- */

static void only_what_changes_state_takes_a_revision(void **state)
{
	struct rig *rig = *state;
	static const uint64_t expected[] = { 1, 2, 2, 2, 2, 3, 3, 3, 3 };

	rig_message(rig, &alice, true);
	rig_open(rig, 1, 0); /* 1 */
	rig_command(rig, SESSION_OPENED, 1);
	rig_put(rig, "k", value_integer(1));
	rig_add(rig, "k", 1); /* 2: one for a request */
	rig_command(rig, SESSION_OPENED, 2);
	rig_get(rig, "k");
	rig_command(rig, SESSION_OPENED, 3);
	rig_delete(rig, "absent");
	rig_command(rig, SESSION_OPENED, 4);
	rig_cas(rig, "k", value_none(), value_none());
	rig_command(rig, SESSION_OPENED, 5);
	rig_put(rig, "k", value_integer(2)); /* 3, though it was so before */
	rig_open(rig, 1, 0);
	rig_simple(rig, ITEM_PING);
	rig_simple(rig, ITEM_STATUS);
	rig_round(rig);
	assert_int_equal(rig->answer_count, sizeof expected / sizeof *expected);
	for (size_t i = 0; i < rig->answer_count; i++)
		assert_int_equal(rig->answers[i].header.revision, expected[i]);
}

/* A behaviour that does what the table never does. */
static enum code probe_clock(struct call *call)
{
	call_answer_integer(call, call_now_us(call));
	return CODE_OK;
}

static enum code probe_flood(struct call *call)
{
	for (int64_t i = 0; i < call_argument(call, 0)->integer; i++)
		call_answer_integer(call, i);
	return CODE_OK;
}

static enum code probe_fail(struct call *call)
{
	struct value value = value_integer(1);

	assert_int_equal(map_put(call_context(call), "k", 1, &value), CODE_OK);
	call_answer_integer(call, 1);
	return CODE_BUSY; /* without a word */
}

static enum code probe_whoami(struct call *call)
{
	call_answer_integer(call, call_caller(call)->uid);
	return CODE_OK;
}

static const struct operation probe_operations[] = {
	{ 1, OPERATION_QUERY, "clock", "", { { 0 } }, { { 0 } }, probe_clock },
	{ 2, OPERATION_QUERY, "flood", "", { { "n", FIELD_INTEGER } }, { { 0 } }, probe_flood },
	{ 7, OPERATION_COMMAND, "fail", "", { { 0 } }, { { 0 } }, probe_fail },
	{ 9, OPERATION_QUERY, "whoami", "", { { 0 } }, { { 0 } }, probe_whoami },
};

static void *probe_create(struct store *store)
{
	return store_map(store, "probe");
}

static const struct behaviour probe = { .name = "probe",
					.version = 3,
					.operations = probe_operations,
					.operation_count = 4,
					.create = probe_create };

static void a_behaviour_sees_caller_and_clock_and_answers_within_bounds(void **state)
{
	struct rig *rig = *state;
	struct value count = value_integer(255), more = value_integer(256), many = value_integer(200000);

	service_destroy(&rig->service);
	assert_true(rig_start(rig, &probe, 1));
	rig_message(rig, &bob, true);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 1, NULL, 0);
	rig_operation(rig, 9, NULL, 0);
	rig_operation(rig, 2, &count, 1);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 2, &more, 1);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 2, &many, 1);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 7, NULL, 0);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 3, NULL, 0);
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 5000000);
	assert_int_equal(rig_integer(rig, 0, 1, 0), bob.uid);
	assert_int_equal(rig_integer(rig, 0, 2, 254), 254);
	rig_refused(rig, 1, CODE_TOO_LARGE, 0, "would not fit");
	rig_refused(rig, 2, CODE_TOO_LARGE, 0, "would not fit");
	rig_refused(rig, 3, CODE_BUSY, 0, "a limit of the owner");
	rig_refused(rig, 4, CODE_NO_OPERATION, 0, "probe has no operation number 3");
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 0);
	assert_int_equal(rig->counters.limit_reply, 2);
	/* Wall time that goes back is the same time still. */
	static const int64_t walls[] = { 4000000, -1, 5000000, 5000001, 0 };
	static const int64_t seen[] = { 5000000, 5000000, 5000000, 5000001, 5000001 };
	for (size_t i = 0; i < 5; i++) {
		rig->wall_us = walls[i];
		rig_message(rig, &bob, true);
		rig_simple(rig, ITEM_RUN);
		rig_operation(rig, 1, NULL, 0);
		rig_round(rig);
		assert_int_equal(rig_integer(rig, 0, 0, 0), seen[i]);
	}
}

static void a_behaviour_with_one_number_twice_does_not_start(void **state)
{
	struct rig *rig = *state;
	static const struct operation twice[] = {
		{ 1, OPERATION_QUERY, "a", "", { { 0 } }, { { 0 } }, probe_clock },
		{ 1, OPERATION_QUERY, "b", "", { { 0 } }, { { 0 } }, probe_clock },
	};
	static const struct behaviour bad = {
		.name = "bad", .operations = twice, .operation_count = 2, .create = probe_create
	};

	service_destroy(&rig->service);
	assert_false(rig_start(rig, &bad, 1));
}

/* ---- messages that are none ---- */

static void a_broken_message_runs_nothing_and_is_answered(void **state)
{
	struct rig *rig = *state;

	/* Every way to cut it, and every lie about its count. */
	rig_message(rig, &alice, false);
	rig_simple(rig, ITEM_RUN);
	rig_add(rig, "k", 1);
	rig_simple(rig, ITEM_PING);
	rig_cancel(rig, 0, 1, true);
	rig_finish(rig);
	struct buffer whole = { 0 };
	buffer_append(&whole, rig->bodies[0].data, rig->bodies[0].size);
	rig->ran = true; /* as far as the rig is concerned */
	for (size_t size = 0; size < whole.size; size++) {
		rig_message(rig, &alice, false);
		buffer_reset(rig_body(rig));
		buffer_append(rig_body(rig), whole.data, size);
		rig_raw_round(rig);
		bool header = size >= PROTOCOL_MESSAGE_HEADER_BYTES;
		assert_int_equal(rig->messages[0].verdict, header ? MESSAGE_BROKEN : MESSAGE_UNREADABLE);
		assert_int_equal(rig->answer_count, header);
		if (header)
			rig_refused(rig, 0, CODE_MALFORMED, -1, "nothing of it was run");
	}
	static const uint16_t counts[] = { 0, 1, 2, 4, 1024, 1025, 65535 };
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		rig_message(rig, &alice, false);
		buffer_reset(rig_body(rig));
		buffer_append(rig_body(rig), whole.data, whole.size);
		wire_finish_message(rig_body(rig), counts[i]);
		rig_raw_round(rig);
		rig_refused(rig, 0, CODE_MALFORMED, -1, "");
	}
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
	assert_int_equal(rig->counters.messages, whole.size + 7);
	assert_int_equal(rig->counters.messages_malformed, whole.size + 7);
	buffer_clear(&whole);
}

static void a_message_of_another_kind_or_version_is_told_apart(void **state)
{
	struct rig *rig = *state;
	static const struct {
		size_t offset;
		uint8_t byte;
		enum service_verdict verdict;
	} cases[] = {
		{ 0, 'X', MESSAGE_UNREADABLE },
		{ 3, 'e', MESSAGE_UNREADABLE },
		{ 4, 0, MESSAGE_VERSION },
		{ 4, 2, MESSAGE_VERSION },
		{ 4, 255, MESSAGE_VERSION },
		{ 5, 0, MESSAGE_BROKEN },
		{ 5, MESSAGE_REPLY, MESSAGE_BROKEN },
		{ 5, 255, MESSAGE_BROKEN },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		rig_message(rig, &alice, false);
		rig_simple(rig, ITEM_RUN);
		rig_add(rig, "k", 1);
		rig_finish(rig);
		rig->bodies[0].data[cases[i].offset] = cases[i].byte;
		rig_raw_round(rig);
		assert_int_equal(rig->messages[0].verdict, cases[i].verdict);
		assert_int_equal(rig->answer_count, cases[i].verdict != MESSAGE_UNREADABLE);
		if (cases[i].verdict == MESSAGE_VERSION) {
			rig_refused(rig, 0, CODE_VERSION, -1, "version");
			assert_int_equal(rig_integer(rig, 0, 0, 2), PROTOCOL_VERSION_LEAST);
			assert_int_equal(rig_integer(rig, 0, 0, 3), PROTOCOL_VERSION);
		}
	}
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

static void frames_behind_the_body_make_it_broken(void **state)
{
	struct rig *rig = *state;

	rig_message(rig, &alice, false);
	rig->messages[0].overlong = true;
	rig_simple(rig, ITEM_RUN);
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_refused(rig, 0, CODE_MALFORMED, -1, "frames follow the body");
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

static void a_cancel_in_a_broken_message_withdraws_nothing(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &alice, false);
	rig_cancel(rig, session, 1, false);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_finish(rig);
	wire_finish_message(&rig->bodies[0], 2);
	rig_raw_round(rig);
	rig_is(rig, 0, ITEM_HELLO - 1, CODE_MALFORMED); /* it names no item */
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
}

static void items_of_no_kind_and_notices_are_refused_by_themselves(void **state)
{
	struct rig *rig = *state;
	static const uint8_t kinds[] = { 0, 10, ITEM_LEAVING, 255 };

	rig_message(rig, &alice, true);
	for (size_t i = 0; i < 4; i++)
		rig_item(rig, &(struct request_header){ .kind = kinds[i], .sequence = i });
	rig_simple(rig, ITEM_PING);
	rig_round(rig);
	for (size_t i = 0; i < 4; i++) {
		rig_is(rig, i, kinds[i], CODE_MALFORMED);
		assert_int_equal(rig->answers[i].header.sequence, i);
	}
	rig_is(rig, 4, ITEM_PING, CODE_OK);
}

/* ---- who it is ---- */

static void hello_agrees_on_a_version_or_says_why_not(void **state)
{
	struct rig *rig = *state;

	rig_message(rig, &alice, false);
	rig_hello(rig, 1, 1, true);
	rig_round(rig);
	rig_is(rig, 0, ITEM_HELLO, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 0, 0), PROTOCOL_VERSION);
	assert_int_equal(rig_value(rig, 0, 0, 1).size, 4);
	assert_int_equal(rig_integer(rig, 0, 0, 8), 42);
	assert_true(rig->messages[0].notices);
	rig_message(rig, &alice, true);
	rig_hello(rig, 0, 9, false);
	rig_round(rig);
	assert_false(rig->messages[0].notices);
	rig_message(rig, &alice, false);
	rig_hello(rig, 2, 9, true);
	rig_hello(rig, -5, 0, true);
	rig_hello(rig, 9, 1, true);
	rig_simple(rig, ITEM_HELLO);
	rig_round(rig);
	rig_is(rig, 0, ITEM_HELLO, CODE_VERSION);
	rig_is(rig, 1, ITEM_HELLO, CODE_VERSION);
	rig_refused(rig, 2, CODE_INVALID, -1, "lowest and the highest");
	rig_refused(rig, 3, CODE_INVALID, -1, "lowest and the highest");
	assert_false(rig->messages[0].notices);
}

static void status_stats_and_describe_are_lists_that_can_be_read(void **state)
{
	struct rig *rig = *state;
	static const struct {
		enum item_kind kind;
		size_t values; /* in each list; 0: pairs in one */
	} items[] = { { ITEM_STATUS, 0 }, { ITEM_STATS, 4 }, { ITEM_DESCRIBE, 6 } };

	rig_message(rig, &alice, false);
	for (size_t i = 0; i < 3; i++)
		rig_simple(rig, items[i].kind);
	rig_round(rig);
	for (size_t i = 0; i < 3; i++) {
		struct wire_reader payload = rig_answer(rig, i)->payload;
		rig_is(rig, i, items[i].kind, CODE_OK);
		size_t lists = 0;
		for (; payload.left > 0; lists++) {
			struct value values[WIRE_LIST_MAX];
			size_t count;
			assert_true(wire_read_list(&payload, values, WIRE_LIST_MAX, &count));
			assert_int_equal(items[i].values == 0 ? count % 2 : count - items[i].values, 0);
		}
		assert_int_equal(lists, i == 0	 ? 1
					: i == 1 ? sizeof(struct counters) / 8
						 : table_behaviour.operation_count);
	}
	struct value first = rig_value(rig, 2, 0, 3), text = value_text("key:key");
	assert_true(value_equal(&first, &text));
}

/* ---- room ---- */

static void put_big(struct rig *rig, const char *key, size_t size)
{
	rig_message(rig, &bob, true);
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, key, *big(size));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
}

static void replies_come_in_parts_to_those_who_take_parts(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	restart(rig);
	put_big(rig, "k", 400 * KIB);
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_PING);
	for (uint64_t i = 1; i <= 5; i++) {
		rig_query(rig, 0, i);
		rig_get(rig, "k");
	}
	rig_simple(rig, ITEM_PING);
	rig_message(rig, &bob, true);
	rig_simple(rig, ITEM_PING);
	rig_round(rig);
	static const unsigned parts[] = { 0, 0, 0, 1, 1, 2, 2, 0 };
	assert_int_equal(rig->answer_count, 8);
	assert_int_equal(rig->reply_counts[0], 3);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(rig->answers[i].header.code, CODE_OK);
		assert_int_equal(rig->answers[i].part, parts[i]);
	}
	for (size_t i = 1; i <= 5; i++) {
		struct value value = rig_value(rig, i, 0, 0);
		assert_int_equal(rig->answers[i].header.sequence, i);
		assert_true(value_equal(&value, big(400 * KIB)));
	}
	/* A single reply that fits into no message is refused, and what it did is undone. */
	uint64_t digest = rig_digest(rig);
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, "other", value_integer(1));
	for (int i = 0; i < 3; i++)
		rig_get(rig, "k");
	rig_round(rig);
	rig_refused(rig, 0, CODE_TOO_LARGE, 3, "would not fit");
	assert_true(rig_digest(rig) == digest);
	assert_int_equal(rig->counters.limit_reply, 1);
}

static void others_get_one_message_whatever_they_ask_for(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	restart(rig);
	put_big(rig, "k", 400 * KIB);
	rig_message(rig, &alice, false);
	for (uint64_t i = 1; i <= 5; i++) {
		rig_query(rig, 0, i);
		rig_get(rig, "k");
	}
	rig_simple(rig, ITEM_STATS);
	rig_round(rig);
	assert_int_equal(rig->reply_counts[0], 1);
	assert_int_equal(rig->answer_count, 6);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(rig->answers[i].header.code, i < 2 || i == 5 ? CODE_OK : CODE_TOO_LARGE);
	/* As many items as a message may have, the first taking what it can. */
	rig_message(rig, &alice, false);
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	for (unsigned i = 2; i < PROTOCOL_ITEMS_MAX; i++)
		rig_simple(rig, i % 2 ? ITEM_STATS : ITEM_DESCRIBE);
	rig_round(rig);
	assert_int_equal(rig->answer_count, PROTOCOL_ITEMS_MAX);
	assert_int_equal(rig->reply_counts[0], 1);
	assert_int_equal(rig->answers[PROTOCOL_ITEMS_MAX - 1].header.code, CODE_TOO_LARGE);
}

static void a_repeated_reply_has_room_or_is_asked_for_by_itself(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	rig->limits.session_replies_bytes = 8 << 20;
	restart(rig);
	put_big(rig, "k", 500 * KIB);
	uint64_t session = rig_session(rig, &alice, 1);
	/* The largest reply there is, and two that do not fit into one message. */
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_get(rig, "k");
	rig_get(rig, "k");
	rig_command(rig, session, 2);
	rig_get(rig, "k");
	rig_command(rig, session, 3);
	rig_get(rig, "k");
	rig_command(rig, session, 4);
	rig_get(rig, "k");
	rig_round(rig);
	for (size_t i = 0; i < 4; i++)
		rig_is(rig, i, ITEM_RUN, CODE_OK);
	/* A peer that takes no parts asks again. */
	rig_message(rig, &alice, false);
	for (uint64_t sequence = 2; sequence <= 4; sequence++) {
		rig_command(rig, session, sequence);
		rig_get(rig, "k");
	}
	rig_cancel(rig, session, 4, false);
	rig_round(rig);
	assert_int_equal(rig->reply_counts[0], 1);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	rig_refused(rig, 2, CODE_REPLY_FORGOTTEN, -1, "no room to repeat");
	rig_is(rig, 3, ITEM_CANCEL, CODE_OK);
	assert_int_equal(rig_integer(rig, 3, 0, 0), CANCEL_ANSWERED);
	rig_is(rig, 4, ITEM_RUN, CODE_REPLY_FORGOTTEN);
	for (uint64_t sequence = 1; sequence <= 4; sequence++) {
		rig_message(rig, &alice, false);
		rig_command(rig, session, sequence);
		rig_get(rig, "k");
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_OK);
		rig_message(rig, &alice, false);
		rig_cancel(rig, session, sequence, false);
		rig_round(rig);
		rig_is(rig, 1, ITEM_RUN, CODE_OK);
	}
	/* One that does splits where a message is full. */
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_PING);
	for (uint64_t sequence = 1; sequence <= 4; sequence++)
		rig_cancel(rig, session, sequence, false);
	rig_round(rig);
	assert_int_equal(rig->answer_count, 9);
	for (size_t i = 2; i < 9; i += 2)
		rig_is(rig, i, ITEM_RUN, CODE_OK);
}

static void the_largest_reply_and_its_cancel_fit_into_a_message(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	rig->limits.session_replies_bytes = 8 << 20;
	restart(rig);
	uint64_t session = rig_session(rig, &alice, 1), sequence = 0;
	unsigned fit = 0, too_large = 0;

	/* Two values, growing byte by byte over the edge. */
	put_big(rig, "half", 512 * KIB);
	for (size_t size = 512 * KIB - 200; size < 512 * KIB; size++) {
		put_big(rig, "rest", size);
		rig_message(rig, &alice, true);
		rig_item(rig, &(struct request_header){
				      .kind = ITEM_RUN, .session = session, .sequence = ++sequence });
		rig_get(rig, "half");
		rig_get(rig, "rest");
		rig_round(rig);
		if (rig->answers[0].header.code == CODE_TOO_LARGE) {
			too_large++;
			continue;
		}
		fit++;
		for (int ping = 0; ping < 2; ping++) {
			rig_message(rig, &alice, true);
			if (ping)
				rig_simple(rig, ITEM_PING);
			rig_cancel(rig, session, sequence, false);
			rig_round(rig); /* judges the size */
			rig_is(rig, rig->answer_count - 1, ITEM_RUN, CODE_OK);
		}
	}
	assert_true(fit > 0 && too_large > 0);
}

static void hello_and_parts_may_share_a_message(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	restart(rig);
	put_big(rig, "k", 500 * KIB);
	rig_message(rig, &alice, false);
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	rig_hello(rig, 1, 1, true);
	for (uint64_t i = 2; i <= 4; i++) {
		rig_query(rig, 0, i);
		rig_get(rig, "k");
	}
	rig_round(rig);
	assert_int_equal(rig->answer_count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(rig->answers[i].header.code, CODE_OK);
	assert_int_equal(rig->reply_counts[0], 2);
}

static void a_round_gives_no_more_replies_than_clients_may_leave_unread(void **state)
{
	struct rig *rig = *state;

	rig->limits.outbox_total_bytes = 64 * KIB;
	restart(rig);
	put_big(rig, "k", 40 * KIB);
	uint64_t session = rig_session(rig, &alice, 1);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "n", 1);
	rig_command(rig, session, 2);
	rig_get(rig, "k");
	rig_round(rig);

	rig_message(rig, &alice, true);
	for (uint64_t i = 1; i <= 3; i++) {
		rig_query(rig, 0, i);
		rig_get(rig, "k");
	}
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1); /* ran already: BUSY would say that it did not */
	rig_add(rig, "n", 1);
	rig_command(rig, session, 2);
	rig_get(rig, "k");
	rig_command(rig, session, 3);
	rig_add(rig, "n", 1);
	rig_cancel(rig, session, 2, false);
	rig_simple(rig, ITEM_PING);
	rig_simple(rig, ITEM_STATS);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	rig_refused(rig, 2, CODE_BUSY, -1, "max-outboxes");
	rig_is(rig, 3, ITEM_RUN, CODE_OK);
	rig_is(rig, 4, ITEM_RUN, CODE_REPLY_FORGOTTEN);
	rig_refused(rig, 5, CODE_BUSY, -1, "max-outboxes");
	rig_is(rig, 6, ITEM_CANCEL, CODE_OK);
	rig_is(rig, 7, ITEM_RUN, CODE_REPLY_FORGOTTEN);
	rig_is(rig, 8, ITEM_PING, CODE_OK);
	rig_refused(rig, 9, CODE_BUSY, -1, "max-outboxes");
	assert_int_equal(rig->counters.limit_outboxes, 3);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 3); /* it used no sequence; the next round is another */
	rig_add(rig, "n", 1);
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 2);
}

/* ---- leaving ---- */

static void an_owner_that_leaves_runs_nothing_new_and_tells_what_ran(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);
	struct buffer notice = { 0 };

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_round(rig);
	service_leave(rig->service, &notice);
	struct wire_reader reader = wire_reader(notice.data, notice.size), payload;
	struct message_header header;
	struct reply_header item;
	assert_true(wire_read_message_header(&reader, &header));
	assert_int_equal(header.kind, MESSAGE_NOTICE);
	assert_int_equal(header.count, 1);
	assert_true(wire_read_reply_header(&reader, &item) &&
		    wire_read_payload(&reader, item.size, &payload));
	assert_int_equal(item.kind, ITEM_LEAVING);
	assert_int_equal(reader.left, 0);
	buffer_clear(&notice);

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1); /* its answer was lost on the way: it did run */
	rig_add(rig, "k", 1);
	rig_command(rig, session, 2);
	rig_add(rig, "k", 1);
	rig_query(rig, 0, 5);
	rig_get(rig, "k");
	rig_open(rig, 9, 0);
	rig_command(rig, SESSION_OPENED, 1);
	rig_add(rig, "k", 1);
	rig_simple(rig, ITEM_PING);
	rig_cancel(rig, session, 1, false);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = session });
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	for (size_t i = 1; i < 5; i++)
		assert_int_equal(rig_answer(rig, i)->header.code, CODE_LEAVING);
	rig_is(rig, 5, ITEM_PING, CODE_OK);
	rig_is(rig, 6, ITEM_CANCEL, CODE_OK);
	rig_is(rig, 7, ITEM_RUN, CODE_OK);
	rig_is(rig, 8, ITEM_GOODBYE, CODE_OK);
	assert_int_equal(rig_look(rig, "k"), 1);
}

#define ON_A_RIG(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	ON_A_RIG(a_command_runs_once_and_its_retry_hears_the_same),
	ON_A_RIG(a_refusal_is_stored_and_repeated_though_it_would_do_now),
	ON_A_RIG(a_sequence_that_comes_too_early_is_not_run),
	ON_A_RIG(a_request_takes_effect_whole_or_not_at_all),
	ON_A_RIG(the_detail_of_a_conflict_is_the_value_that_undo_takes_back),
	ON_A_RIG(the_table_does_what_its_operations_say),
	ON_A_RIG(a_session_is_of_its_user_and_of_this_owner),
	ON_A_RIG(a_query_runs_no_command),
	ON_A_RIG(each_limit_is_told_by_name_and_counted),
	ON_A_RIG(arguments_that_do_not_fit_are_named),
	ON_A_RIG(a_session_has_a_window_of_unacknowledged_replies),
	ON_A_RIG(replies_beyond_the_bytes_of_a_session_are_forgotten_and_counted),
	ON_A_RIG(what_is_late_does_not_run_and_says_so_again),
	ON_A_RIG(a_cancel_overtakes_the_request_within_a_round),
	ON_A_RIG(a_cancel_of_what_ran_brings_its_reply),
	ON_A_RIG(a_cancel_of_what_was_not_seen_keeps_it_from_running),
	ON_A_RIG(nobody_cancels_for_somebody_else),
	ON_A_RIG(opening_and_the_first_requests_share_a_message),
	ON_A_RIG(without_an_opened_session_its_requests_do_not_run),
	ON_A_RIG(after_goodbye_a_session_is_forgotten),
	ON_A_RIG(silence_ends_a_session_and_a_word_of_its_user_keeps_it),
	ON_A_RIG(only_what_changes_state_takes_a_revision),
	ON_A_RIG(a_behaviour_sees_caller_and_clock_and_answers_within_bounds),
	ON_A_RIG(a_behaviour_with_one_number_twice_does_not_start),
	ON_A_RIG(a_broken_message_runs_nothing_and_is_answered),
	ON_A_RIG(a_message_of_another_kind_or_version_is_told_apart),
	ON_A_RIG(frames_behind_the_body_make_it_broken),
	ON_A_RIG(a_cancel_in_a_broken_message_withdraws_nothing),
	ON_A_RIG(items_of_no_kind_and_notices_are_refused_by_themselves),
	ON_A_RIG(hello_agrees_on_a_version_or_says_why_not),
	ON_A_RIG(status_stats_and_describe_are_lists_that_can_be_read),
	ON_A_RIG(replies_come_in_parts_to_those_who_take_parts),
	ON_A_RIG(others_get_one_message_whatever_they_ask_for),
	ON_A_RIG(a_repeated_reply_has_room_or_is_asked_for_by_itself),
	ON_A_RIG(the_largest_reply_and_its_cancel_fit_into_a_message),
	ON_A_RIG(hello_and_parts_may_share_a_message),
	ON_A_RIG(a_round_gives_no_more_replies_than_clients_may_leave_unread),
	ON_A_RIG(an_owner_that_leaves_runs_nothing_new_and_tells_what_ran),
};

UNIT_MAIN(tests)
