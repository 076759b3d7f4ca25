/* SPDX-License-Identifier: MIT
 *
 * The owner without a socket: what requests, cancels and sessions come to, told by the
 * bodies of the replies.
 */
#include "tests/lib/rig.h"
#include "owner/core/crashed.h"

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
	rig_put(rig, "k", *rig_big(5000));
	rig_cas(rig, "k", value_integer(1), value_none());
	rig_round(rig);
	rig_refused(rig, 0, CODE_CONFLICT, 1, "cas");
	struct value detail = rig_value(rig, 0, 0, 2);
	assert_true(value_equal(&detail, rig_big(5000)));
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
	rig_restart(rig);
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
	rig_refused(rig, 3, CODE_FULL, 2, "max-entries");
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
	rig_restart(rig);
	uint64_t session = rig_session(rig, &alice, 1);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_put(rig, "k", *rig_big(5 * KIB));
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
	assert_true(value_equal(&value, rig_big(5 * KIB)));
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

/* What the last item of the round to be would be known by, of a request that is a query or has no session. */
static struct crashed_request known_by(struct rig *rig, const struct caller *caller)
{
	const struct buffer *body = rig_body(rig);
	size_t start = rig->item_start + PROTOCOL_ITEM_HEADER_BYTES;
	const struct execution_request request = { .caller = caller,
						   .query_only = true,
						   .payload = wire_reader(body->data + start, body->size - start) };

	return crashed_request_of(&request);
}

static void what_crashed_an_owner_is_refused_and_not_run_again(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);
	const struct request_header query = { .kind = ITEM_RUN, .flags = REQUEST_FLAG_QUERY };
	const struct crashed_request command = { .session = session, .sequence = 2, .pid = 10 };
	struct crashed crashed = { .count = 0 };

	rig_message(rig, &alice, true);
	rig_item(rig, &query);
	rig_get(rig, "k");
	const struct crashed_request asked = known_by(rig, &alice);
	assert_int_equal(asked.session, 0);
	assert_int_equal(asked.pid, 10);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	crashed_add(&crashed, &command);
	crashed_add(&crashed, &asked);
	core_avoid(service_core(rig->service), &crashed);

	rig_message(rig, &alice, true);
	for (uint64_t sequence = 1; sequence <= 3; sequence++) {
		rig_command(rig, session, sequence);
		rig_add(rig, "k", 1);
	}
	rig_item(rig, &query);
	rig_get(rig, "k");
	rig_item(rig, &query);
	rig_get(rig, "l");
	rig_message(rig, &bob, true);
	rig_item(rig, &query);
	rig_get(rig, "k");
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_refused(rig, 1, CODE_CRASHED, -1, "crashed the owner");
	rig_is(rig, 2, ITEM_RUN, CODE_OK);
	rig_refused(rig, 3, CODE_CRASHED, -1, "crashed the owner");
	rig_is(rig, 4, ITEM_RUN, CODE_OK); /* another question */
	rig_is(rig, 5, ITEM_RUN, CODE_OK); /* another process */
	assert_int_equal(rig_look(rig, "k"), 2);
	assert_int_equal(rig->counters.requests_crashed, 2);
	/* It was answered, and hears the same again, also where nobody remembers why. */
	core_avoid(service_core(rig->service), &(struct crashed){ .count = 0 });
	rig_message(rig, &alice_again, true);
	rig_command(rig, session, 2);
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_refused(rig, 0, CODE_CRASHED, -1, "crashed the owner");
	assert_int_equal(rig_look(rig, "k"), 2);
}

static void of_the_requests_that_crashed_owners_the_last_are_known(void **state)
{
	struct crashed crashed = { .count = 0 };
	struct crashed_request request = { .session = 1 };
	struct session session = { .id = 1 };
	struct execution_request asked = { .session = &session };

	(void)state;
	for (request.sequence = 1; request.sequence <= CRASHED_MAX + 1; request.sequence++)
		crashed_add(&crashed, &request);
	assert_int_equal(crashed.count, CRASHED_MAX);
	for (asked.sequence = 1; asked.sequence <= CRASHED_MAX + 2; asked.sequence++)
		assert_int_equal(crashed_has(&crashed, &asked), asked.sequence > 1 && asked.sequence < CRASHED_MAX + 2);
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
	rig_cancel(rig, 0, 6, false);
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
	rig_is(rig, 6, ITEM_CANCEL, CODE_SESSION_FORGOTTEN);
	for (size_t i = 7; i < 11; i++)
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
	rig_restart(rig);
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
	/* Nor those of the one before it in the message. */
	rig_message(rig, &bob, true);
	rig_open(rig, 1, 0);
	rig_simple(rig, ITEM_OPEN);
	rig_command(rig, SESSION_OPENED, 1);
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_is(rig, 0, ITEM_OPEN, CODE_OK);
	rig_is(rig, 2, ITEM_RUN, CODE_INVALID);
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
	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	assert_int_equal(sessions_count(sessions), 3); /* just not yet */
	assert_true(next_ns > rig->now_ns && next_ns <= rig->now_ns + NS_PER_S);
	service_tend(rig->service, next_ns, rig->wall_us, &next_ns);
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
	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	assert_non_null(sessions_find(sessions, first));
	rig->now_ns += NS_PER_S + 1;
	uint64_t revision = rig_revision(rig);
	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
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
static int probe_clock(struct sole_call *call)
{
	sole_answer(call, sole_integer(sole_call_now(call)));
	return SOLE_OK;
}

static int probe_flood(struct sole_call *call)
{
	for (int64_t i = 0; i < sole_argument(call, 0).integer; i++)
		sole_answer(call, sole_integer(i));
	return SOLE_OK;
}

static int probe_fail(struct sole_call *call)
{
	assert_int_equal(sole_map_put(sole_call_context(call), sole_text("k"), sole_integer(1)), SOLE_OK);
	sole_answer(call, sole_integer(1));
	return (int)sole_argument(call, 0).integer; /* without a word */
}

static int probe_whoami(struct sole_call *call)
{
	sole_answer(call, sole_integer(sole_call_uid(call)));
	return SOLE_OK;
}

static const struct sole_operation_entry probe_operations[] = {
	{ 1, SOLE_IS_QUERY, "clock", "", { { 0 } }, { { 0 } }, probe_clock },
	{ 2, SOLE_IS_QUERY, "flood", "", { { "n", SOLE_FIELD_INTEGER } }, { { 0 } }, probe_flood },
	{ 7, SOLE_IS_COMMAND, "fail", "", { { "code", SOLE_FIELD_INTEGER } }, { { 0 } }, probe_fail },
	{ 9, SOLE_IS_QUERY, "whoami", "", { { 0 } }, { { 0 } }, probe_whoami },
};

static void *probe_create(struct sole_store *store)
{
	return sole_store_map(store, "probe");
}

static const struct sole_behaviour probe = { .abi = SOLE_BEHAVIOUR_ABI,
					     .name = "probe",
					     .version = 3,
					     .operations = probe_operations,
					     .operation_count = 4,
					     .create = probe_create };

static void a_behaviour_sees_caller_and_clock_and_answers_within_bounds(void **state)
{
	struct rig *rig = *state;
	struct value count = value_integer(255), more = value_integer(256), many = value_integer(200000);
	struct value full = value_integer(SOLE_FULL), busy = value_integer(SOLE_BUSY);

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
	rig_operation(rig, 7, &full, 1);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 3, NULL, 0);
	rig_simple(rig, ITEM_RUN);
	rig_operation(rig, 7, &busy, 1); /* the owner's to say */
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 5000000);
	assert_int_equal(rig_integer(rig, 0, 1, 0), bob.uid);
	assert_int_equal(rig_integer(rig, 0, 2, 254), 254);
	rig_refused(rig, 1, CODE_TOO_LARGE, 0, "would not fit");
	rig_refused(rig, 2, CODE_TOO_LARGE, 0, "would not fit");
	rig_refused(rig, 3, CODE_FULL, 0, code_text(CODE_FULL));
	rig_refused(rig, 4, CODE_NO_OPERATION, 0, "probe has no operation number 3");
	rig_refused(rig, 5, CODE_INVALID, 0, "a fault of probe");
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
	static const struct sole_operation_entry twice[] = {
		{ 1, SOLE_IS_QUERY, "a", "", { { 0 } }, { { 0 } }, probe_clock },
		{ 1, SOLE_IS_QUERY, "b", "", { { 0 } }, { { 0 } }, probe_clock },
	};
	static const struct sole_behaviour bad = {
		.abi = SOLE_BEHAVIOUR_ABI,
		.name = "bad", .operations = twice, .operation_count = 2, .create = probe_create
	};

	service_destroy(&rig->service);
	assert_false(rig_start(rig, &bad, 1));
}

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
	ON_A_RIG(what_crashed_an_owner_is_refused_and_not_run_again),
	cmocka_unit_test(of_the_requests_that_crashed_owners_the_last_are_known),
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
};

UNIT_MAIN(tests)
