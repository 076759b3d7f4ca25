/* SPDX-License-Identifier: MIT
 *
 * Requests that wait for their turn: locks with their line and their tokens, late answers, and
 * the ways in which waiting ends.
 */
#include "tests/lib/outlet.h"
#include "tests/lib/scarce.h"

enum { A = 1, B = 2, C = 3, D = 4 }; /* connections, and the sessions of them */

struct bench {
	struct rig *rig;
	struct bench_outlet *outlet;
	uint64_t sessions[5], next[5];
};

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof *bench);

	assert_non_null(bench);
	bench->rig = rig_new();
	bench->outlet = outlet_new();
	assert_true(rig_start(bench->rig, &table_behaviour, 1));
	for (uint64_t c = A; c <= D; c++)
		bench->sessions[c] = rig_session_by(bench->rig, &alice, c);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	assert_sound(bench->rig);
	outlet_free(bench->outlet);
	rig_free(bench->rig);
	free(bench);
	return 0;
}

/* The next command of a session: operations follow. All before it is acknowledged. */
static uint64_t command_until(struct bench *bench, int who, uint64_t deadline, uint8_t flags)
{
	uint64_t sequence = ++bench->next[who];

	rig_item(bench->rig, &(struct request_header){ .kind = ITEM_RUN,
						       .flags = flags,
						       .session = bench->sessions[who],
						       .sequence = sequence,
						       .deadline = deadline });
	return sequence;
}

static uint64_t command(struct bench *bench, int who)
{
	return command_until(bench, who, 0, 0);
}

/* A round of one command. */
static const struct answer *lock(struct bench *bench, int who, const char *name)
{
	rig_by(bench->rig, &alice, (uint64_t)who);
	command(bench, who);
	rig_lock(bench->rig, name);
	rig_round(bench->rig);
	return rig_answer(bench->rig, 0);
}

static const struct answer *unlock(struct bench *bench, int who, const char *name)
{
	rig_by(bench->rig, &alice, (uint64_t)who);
	command(bench, who);
	rig_unlock(bench->rig, name);
	rig_round(bench->rig);
	return rig_answer(bench->rig, 0);
}

static int64_t take(struct bench *bench, int who, const char *name)
{
	assert_int_equal(lock(bench, who, name)->header.code, CODE_OK);
	return rig_integer(bench->rig, 0, 0, 0);
}

static void wait_for(struct bench *bench, int who, const char *name)
{
	const struct answer *answer = lock(bench, who, name);

	assert_int_equal(answer->header.code, CODE_WAITING);
	assert_int_equal(answer->header.outcome, OUTCOME_WAITING);
	assert_int_equal(answer->payload.left, 0);
}

/* Session of the holder, or 0. */
static uint64_t holder(struct bench *bench, const char *name, int64_t *token, int64_t *waiting)
{
	const struct value argument = value_text(name);

	rig_message(bench->rig, &alice, true);
	rig_query(bench->rig, 0, 1);
	rig_operation(bench->rig, 23, &argument, 1);
	rig_round(bench->rig);
	rig_is(bench->rig, 0, ITEM_RUN, CODE_OK);
	struct value session = rig_value(bench->rig, 0, 0, 0), held = rig_value(bench->rig, 0, 0, 1);
	if (token != NULL)
		*token = held.type == VALUE_INTEGER ? held.integer : 0;
	if (waiting != NULL)
		*waiting = rig_integer(bench->rig, 0, 0, 2);
	return session.type == VALUE_INTEGER ? (uint64_t)session.integer : 0;
}

static void assert_line(struct bench *bench, const char *name, int who, int64_t waiting)
{
	int64_t in_line;

	assert_true(holder(bench, name, NULL, &in_line) == (who != 0 ? bench->sessions[who] : 0));
	assert_int_equal(in_line, waiting);
}

static const struct answer *retry(struct bench *bench, int who, uint64_t connection, uint64_t sequence,
				  const char *name)
{
	rig_by(bench->rig, &alice, connection);
	rig_item(bench->rig, &(struct request_header){ .kind = ITEM_RUN,
						       .session = bench->sessions[who],
						       .sequence = sequence });
	rig_lock(bench->rig, name);
	rig_round(bench->rig);
	return rig_answer(bench->rig, 0);
}

/* Exactly one notice: the late answer to (who, sequence). Returns its first value. */
static struct value late_answer(struct bench *bench, int who, uint64_t sequence, enum code code)
{
	outlet_deliver(bench->outlet, bench->rig);
	assert_int_equal(bench->outlet->count, 1);
	const struct notice *notice = &bench->outlet->notices[0];
	assert_int_equal(notice->header.kind, ITEM_RUN);
	assert_true(notice->header.session == bench->sessions[who]);
	assert_true(notice->header.sequence == sequence);
	assert_string_equal(code_name(notice->header.code), code_name(code));
	struct value value = notice_value(notice, 0);
	bench->outlet->count = 0;
	free(notice->body);
	return value;
}

static void forget_notices(struct bench *bench)
{
	outlet_deliver(bench->outlet, bench->rig);
	outlet_clear(bench->outlet);
}

static int64_t tend(struct bench *bench)
{
	int64_t next_ns;

	service_tend(bench->rig->service, bench->rig->now_ns, bench->rig->wall_us, &next_ns);
	return next_ns;
}

/* ---- locks ---- */

static void a_lock_goes_from_hand_to_hand_with_growing_tokens(void **state)
{
	struct bench *bench = *state;
	int64_t waiting, held, token = take(bench, A, "l");

	assert_true(holder(bench, "l", &held, &waiting) == bench->sessions[A]);
	assert_true(held == token && waiting == 0);
	for (int turn = 0; turn < 4; turn++) {
		int mine = turn % 2 ? B : A, other = turn % 2 ? A : B;
		wait_for(bench, other, "l");
		assert_line(bench, "l", mine, 1);
		assert_int_equal(unlock(bench, mine, "l")->header.code, CODE_OK);
		assert_int_equal(bench->outlet->count, 0); /* nothing before the round has ended */
		struct value next = late_answer(bench, other, bench->next[other], CODE_OK);
		assert_true(next.integer > token);
		token = next.integer;
		assert_true(holder(bench, "l", &held, &waiting) == bench->sessions[other]);
		assert_true(held == token && waiting == 0);
	}
	assert_int_equal(unlock(bench, A, "l")->header.code, CODE_OK);
	assert_line(bench, "l", 0, 0);
	assert_int_equal(bench->rig->counters.answers_late, 4);
	assert_int_equal(store_entries(core_store(service_core(bench->rig->service))), 0);
}

static void a_line_is_fair(void **state)
{
	struct bench *bench = *state;
	int64_t token = take(bench, A, "l");

	for (int who = B; who <= D; who++)
		wait_for(bench, who, "l");
	for (int who = A; who < D; who++) {
		assert_line(bench, "l", who, D - who);
		assert_int_equal(unlock(bench, who, "l")->header.code, CODE_OK);
		struct value next = late_answer(bench, who + 1, 1, CODE_OK);
		assert_true(next.integer > token);
		token = next.integer;
	}
}

static void whoever_holds_a_lock_hears_its_token_again(void **state)
{
	struct bench *bench = *state;
	int64_t token = take(bench, A, "l");

	assert_true(take(bench, A, "l") == token);
	assert_int_equal(unlock(bench, A, "l")->header.code, CODE_OK);
	assert_line(bench, "l", 0, 0); /* once is enough */
	assert_int_equal(unlock(bench, A, "l")->header.code, CODE_CONFLICT);
	assert_true(take(bench, A, "l") > token);
}

static void a_session_that_waits_twice_gets_it_for_both(void **state)
{
	struct bench *bench = *state;

	take(bench, A, "l");
	take(bench, A, "m");
	wait_for(bench, B, "l");
	wait_for(bench, B, "m");
	wait_for(bench, C, "l");
	wait_for(bench, B, "l");
	unlock(bench, A, "l");
	outlet_deliver(bench->outlet, bench->rig);
	assert_int_equal(bench->outlet->count, 2);
	const struct notice *one = &bench->outlet->notices[0], *two = &bench->outlet->notices[1];
	assert_true(one->header.sequence == 1 && two->header.sequence == 3);
	assert_true(notice_value(one, 0).integer == notice_value(two, 0).integer);
	assert_line(bench, "l", B, 1);
	assert_line(bench, "m", A, 1);
}

static void what_a_lock_is_not_given_for_is_said(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	static const char name[513] = { [0 ... 511] = 'n' };

	rig_by(rig, &alice, A);
	rig_simple(rig, ITEM_RUN); /* no session */
	rig_lock(rig, "l");
	command(bench, A);
	rig_lock(rig, "");
	command(bench, A);
	const struct value zero = value_bytes("a\0b", 3), longest = value_bytes(name, 512),
			   longer = value_bytes("n\0nnnnnnnnn", 11);
	rig_operation(rig, 20, &zero, 1);
	command(bench, A);
	rig_operation(rig, 20, &longest, 1);
	command(bench, A);
	rig_operation(rig, 22, &longer, 1);
	command(bench, A);
	rig_unlock(rig, "free");
	rig_round(rig);
	rig_refused(rig, 0, CODE_INVALID, 0, "held by a session");
	rig_refused(rig, 1, CODE_INVALID, 0, "1 to 512 bytes");
	rig_refused(rig, 2, CODE_INVALID, 0, "none of them zero");
	rig_is(rig, 3, ITEM_RUN, CODE_OK);
	rig_refused(rig, 4, CODE_INVALID, 0, "none of them zero");
	rig_refused(rig, 5, CODE_CONFLICT, 0, "does not hold");
	/* The longest name, in line and all. */
	rig_by(rig, &alice, B);
	command(bench, B);
	rig_operation(rig, 20, &longest, 1);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_WAITING);
	rig_by(rig, &alice, A);
	command(bench, A);
	rig_operation(rig, 22, &longest, 1);
	rig_round(rig);
	late_answer(bench, B, 1, CODE_OK);
}

static void names_that_begin_alike_are_other_locks(void **state)
{
	struct bench *bench = *state;

	take(bench, A, "l");
	take(bench, A, "l2");
	wait_for(bench, B, "l2");
	wait_for(bench, C, "l");
	assert_line(bench, "l", A, 1);
	unlock(bench, A, "l");
	late_answer(bench, C, 1, CODE_OK);
	assert_line(bench, "l2", A, 1);
}

static void try_lock_does_not_wait_and_check_lock_fences(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	const struct value name = value_text("l");
	int64_t token = take(bench, A, "l");

	rig_by(rig, &alice, B);
	command(bench, B);
	rig_operation(rig, 21, &name, 1);
	const struct value mine[] = { name, value_integer(token) },
			   old[] = { name, value_integer(token - 1) };
	rig_simple(rig, ITEM_RUN); /* a server that is told the token needs no session */
	rig_operation(rig, 24, mine, 2);
	rig_put(rig, "k", value_integer(1));
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, "k", value_integer(2));
	rig_operation(rig, 24, old, 2);
	rig_round(rig);
	rig_refused(rig, 0, CODE_CONFLICT, 0, "held");
	assert_int_equal(rig_integer(rig, 0, 0, 2), token);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	rig_refused(rig, 2, CODE_CONFLICT, 1, "not held with this token");
	assert_int_equal(rig_look(rig, "k"), 1);
	unlock(bench, A, "l");
	rig_by(rig, &alice, B);
	command(bench, B);
	rig_operation(rig, 21, &name, 1);
	rig_round(rig);
	assert_true(rig_integer(rig, 0, 0, 0) > token);
}

static void only_a_request_of_one_operation_waits(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	take(bench, A, "l");
	rig_by(rig, &alice, B);
	command(bench, B);
	rig_put(rig, "k", value_integer(1));
	rig_lock(rig, "l");
	command(bench, B);
	rig_lock(rig, "l");
	rig_put(rig, "k", value_integer(1));
	command_until(bench, B, 0, REQUEST_FLAG_OTHERWISE);
	rig_lock(rig, "l");
	rig_operation(rig, OPERATION_OTHERWISE, NULL, 0);
	rig_put(rig, "k", value_integer(1));
	command(bench, B); /* what is free may be taken in company */
	rig_lock(rig, "free");
	rig_put(rig, "j", value_integer(1));
	rig_unlock(rig, "free");
	rig_round(rig);
	rig_refused(rig, 0, CODE_INVALID, 1, "other operations");
	rig_refused(rig, 1, CODE_INVALID, 0, "other operations");
	rig_refused(rig, 2, CODE_INVALID, 0, "other operations");
	rig_is(rig, 3, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
	assert_int_equal(rig_look(rig, "j"), 1);
	assert_line(bench, "l", A, 0);
}

/* ---- retries ---- */

static void a_retry_of_what_waits_waits_and_later_hears_the_answer(void **state)
{
	struct bench *bench = *state;

	take(bench, A, "l");
	wait_for(bench, B, "l");
	assert_int_equal(retry(bench, B, B, 1, "l")->header.code, CODE_WAITING);
	assert_line(bench, "l", A, 1); /* once in the line */
	unlock(bench, A, "l");
	int64_t token = late_answer(bench, B, 1, CODE_OK).integer;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(retry(bench, B, B, 1, "l")->header.code, CODE_OK);
		assert_true(rig_integer(bench->rig, 0, 0, 0) == token);
	}
	rig_by(bench->rig, &alice, B);
	rig_item(bench->rig, &(struct request_header){
				     .kind = ITEM_RECEIVED, .session = bench->sessions[B], .sequence = 1 });
	rig_round(bench->rig);
	rig_is(bench->rig, 0, ITEM_RECEIVED, CODE_OK);
	assert_int_equal(retry(bench, B, B, 1, "l")->header.code, CODE_REPLY_FORGOTTEN);
	forget_notices(bench);
	assert_line(bench, "l", B, 0);
}

static void received_drops_nothing_that_waits_and_is_of_ones_own_session(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	take(bench, A, "l");
	wait_for(bench, B, "l");
	rig_by(rig, &alice, B);
	for (uint64_t sequence = 0; sequence < 4; sequence++)
		rig_item(rig, &(struct request_header){ .kind = ITEM_RECEIVED,
							.session = bench->sessions[B],
							.sequence = sequence });
	rig_item(rig, &(struct request_header){ .kind = ITEM_RECEIVED, .session = 12345, .sequence = 1 });
	rig_item(rig, &(struct request_header){ .kind = ITEM_RECEIVED, .sequence = 1 });
	rig_message(rig, &bob, true);
	rig_item(rig, &(struct request_header){
			      .kind = ITEM_RECEIVED, .session = bench->sessions[B], .sequence = 1 });
	rig_round(rig);
	for (size_t i = 0; i < 4; i++)
		rig_is(rig, i, ITEM_RECEIVED, CODE_OK);
	rig_is(rig, 4, ITEM_RECEIVED, CODE_SESSION_FORGOTTEN);
	rig_is(rig, 5, ITEM_RECEIVED, CODE_SESSION_FORGOTTEN);
	rig_is(rig, 6, ITEM_RECEIVED, CODE_DENIED);
	unlock(bench, A, "l");
	late_answer(bench, B, 1, CODE_OK);
}

static void a_late_answer_goes_to_where_the_session_was_heard_last(void **state)
{
	struct bench *bench = *state;

	take(bench, A, "l");
	wait_for(bench, B, "l");
	service_connection_ended(bench->rig->service, B);
	retry(bench, B, 77, 1, "l");
	unlock(bench, A, "l");
	outlet_deliver(bench->outlet, bench->rig);
	assert_int_equal(bench->outlet->count, 1);
	assert_int_equal(bench->outlet->notices[0].connection, 77);
}

static void what_waits_does_not_stand_in_the_window(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	take(bench, A, "l");
	wait_for(bench, B, "l");
	for (int i = 0; i < 3 * PROTOCOL_WINDOW; i++) {
		rig_by(rig, &alice, B);
		command(bench, B);
		rig_add(rig, "k", 1);
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_OK);
	}
	assert_int_equal(retry(bench, B, B, 1, "l")->header.code, CODE_WAITING);
	unlock(bench, A, "l");
	late_answer(bench, B, 1, CODE_OK);
	assert_int_equal(retry(bench, B, B, 1, "l")->header.code, CODE_OK);
}

static void a_session_has_so_many_places_to_wait(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	char name[16];

	for (int i = 0; i <= SESSION_PARKED_MAX; i++) {
		snprintf(name, sizeof name, "l%d", i);
		take(bench, A, name);
	}
	for (int i = 0; i < SESSION_PARKED_MAX; i++) {
		snprintf(name, sizeof name, "l%d", i);
		wait_for(bench, B, name);
	}
	snprintf(name, sizeof name, "l%d", SESSION_PARKED_MAX);
	assert_int_equal(lock(bench, B, name)->header.code, CODE_BUSY);
	rig_refused(rig, 0, CODE_BUSY, 0, "256 requests of the session wait");
	assert_int_equal(rig->counters.limit_window, 1);
	assert_line(bench, name, A, 0); /* it left no trace */
	bench->next[B]--;		/* and used no sequence */
	rig_by(rig, &alice, B);
	command(bench, B); /* what does not wait goes on */
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	wait_for(bench, C, "l0"); /* and so do others */

	/* An answer that its client has not acknowledged makes room, the oldest first, when it must. */
	unlock(bench, A, "l7");
	unlock(bench, A, "l3");
	forget_notices(bench);
	assert_int_equal(retry(bench, B, B, 4, "l3")->header.code, CODE_OK);
	wait_for(bench, B, name);
	assert_int_equal(retry(bench, B, B, 4, "l3")->header.code, CODE_REPLY_FORGOTTEN);
	assert_int_equal(retry(bench, B, B, 8, "l7")->header.code, CODE_OK);
	assert_line(bench, name, A, 1);
}

/* ---- ways to end ---- */

static void cancel(struct bench *bench, int who, uint64_t sequence)
{
	rig_by(bench->rig, &alice, (uint64_t)who);
	rig_cancel(bench->rig, bench->sessions[who], sequence, false);
	rig_round(bench->rig);
}

static void a_cancel_takes_it_out_of_the_line(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	take(bench, A, "l");
	wait_for(bench, B, "l");
	wait_for(bench, C, "l");
	uint64_t revision = rig_revision(rig);
	cancel(bench, B, 1);
	rig_is(rig, 0, ITEM_CANCEL, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 0, 0), CANCEL_WITHDRAWN);
	assert_int_equal(rig->answer_count, 1);
	assert_true(rig_revision(rig) == revision + 1);
	late_answer(bench, B, 1, CODE_CANCELLED);
	assert_line(bench, "l", A, 1);
	assert_int_equal(rig->counters.requests_cancelled, 1);
	assert_int_equal(rig->counters.waits_withdrawn, 1);
	retry(bench, B, B, 1, "l");
	rig_refused(rig, 0, CODE_CANCELLED, -1, code_text(CODE_CANCELLED));
	cancel(bench, B, 1); /* the cancel's retry */
	assert_int_equal(rig_integer(rig, 0, 0, 0), CANCEL_WITHDRAWN);
	unlock(bench, A, "l");
	late_answer(bench, C, 1, CODE_OK);
}

static void a_cancel_that_comes_too_late_brings_the_answer(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	take(bench, A, "l");
	wait_for(bench, B, "l");
	unlock(bench, A, "l");
	cancel(bench, B, 1);
	assert_int_equal(rig_integer(rig, 0, 0, 0), CANCEL_ANSWERED);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	assert_line(bench, "l", B, 0);
	late_answer(bench, B, 1, CODE_OK);
}

static void a_cancel_overtakes_a_lock_of_the_same_round(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	take(bench, A, "l");
	rig_by(rig, &alice, B);
	command(bench, B);
	rig_lock(rig, "l");
	rig_cancel(rig, bench->sessions[B], 1, false);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_CANCELLED);
	assert_int_equal(rig_integer(rig, 1, 0, 0), CANCEL_WITHDRAWN);
	assert_line(bench, "l", A, 0);
}

static void nobody_else_takes_one_out_of_the_line(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	take(bench, A, "l");
	wait_for(bench, B, "l");
	rig_message(rig, &bob, true);
	rig_cancel(rig, bench->sessions[B], 1, false);
	rig_round(rig);
	rig_is(rig, 0, ITEM_CANCEL, CODE_DENIED);
	assert_line(bench, "l", A, 1);
}

static void waiting_ends_with_the_deadline(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	int64_t second = NS_PER_S;

	take(bench, A, "l");
	rig_by(rig, &alice, B);
	command_until(bench, B, (uint64_t)(rig->now_ns + 3 * second), 0);
	rig_lock(rig, "l");
	rig_by(rig, &alice, C);
	command_until(bench, C, (uint64_t)(2 * second), REQUEST_FLAG_RELATIVE);
	rig_lock(rig, "l");
	rig_by(rig, &alice, D);
	command(bench, D); /* for ever */
	rig_lock(rig, "l");
	rig_round(rig);
	for (size_t i = 0; i < 3; i++)
		rig_is(rig, i, ITEM_RUN, CODE_WAITING);
	int64_t start = rig->now_ns;
	tend(bench);
	rig->now_ns = start + 2 * second - 1;
	assert_true(tend(bench) == start + 2 * second);
	outlet_deliver(bench->outlet, rig);
	assert_int_equal(bench->outlet->count, 0);
	assert_line(bench, "l", A, 3);
	rig->now_ns = start + 2 * second;
	assert_true(tend(bench) <= start + 3 * second);
	late_answer(bench, C, 1, CODE_EXPIRED);
	assert_line(bench, "l", A, 2);
	retry(bench, C, C, 1, "l");
	rig_refused(rig, 0, CODE_EXPIRED, -1, code_text(CODE_EXPIRED));
	rig->now_ns = start + 3 * second + 7;
	tend(bench);
	late_answer(bench, B, 1, CODE_EXPIRED);
	assert_int_equal(rig->counters.requests_expired, 2);
	rig->now_ns += 20 * second;
	tend(bench);
	assert_line(bench, "l", A, 1);
	unlock(bench, A, "l");
	late_answer(bench, D, 1, CODE_OK);
}

static void a_deadline_that_is_over_before_is_not_waited_for(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	take(bench, A, "l");
	rig_by(rig, &alice, B);
	command_until(bench, B, (uint64_t)rig->now_ns, 0);
	rig_lock(rig, "l");
	command_until(bench, B, UINT64_MAX, 0); /* any number is a time */
	rig_lock(rig, "l");
	command_until(bench, B, UINT64_MAX, REQUEST_FLAG_RELATIVE);
	rig_lock(rig, "l");
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_EXPIRED);
	rig_is(rig, 1, ITEM_RUN, CODE_WAITING);
	rig_is(rig, 2, ITEM_RUN, CODE_WAITING);
	rig->now_ns += 10 * NS_PER_S;
	tend(bench);
	assert_line(bench, "l", A, 2);
}

static void deadlines_of_many_are_looked_at_in_one_go(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	int64_t start = rig->now_ns;

	take(bench, A, "l");
	for (int i = 0; i < 100; i++) {
		rig_by(rig, &alice, B);
		command_until(bench, B, (uint64_t)(start + NS_PER_S + i * 100000), 0);
		rig_lock(rig, "l");
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_WAITING);
	}
	tend(bench);
	int looks = 0;
	for (rig->now_ns = start + NS_PER_S; looks < 20; looks++) {
		int64_t next_ns = tend(bench);
		if (rig->counters.requests_expired == 100)
			break;
		assert_true(next_ns > rig->now_ns);
		rig->now_ns = next_ns;
	}
	assert_int_equal(rig->counters.requests_expired, 100);
	assert_true(looks < 5); /* ten milliseconds of deadlines */
	assert_true(rig->now_ns < start + NS_PER_S + 20 * NS_PER_MS);
	outlet_deliver(bench->outlet, rig);
	assert_int_equal(bench->outlet->count, 100);
}

/* A holds two locks for which others wait, waits itself, and has bound entries. */
static void tangle(struct bench *bench)
{
	const struct value entry[] = { value_text("bound"), value_integer(1) };

	take(bench, A, "l");
	take(bench, A, "m");
	take(bench, A, "n");
	take(bench, D, "d");
	wait_for(bench, A, "d");
	wait_for(bench, A, "d");
	wait_for(bench, B, "d");
	wait_for(bench, B, "l");
	wait_for(bench, C, "l");
	wait_for(bench, C, "m");
	rig_by(bench->rig, &alice, A);
	command(bench, A);
	rig_operation(bench->rig, 15, entry, 2);
	rig_round(bench->rig);
	rig_is(bench->rig, 0, ITEM_RUN, CODE_OK);
}

static void assert_untangled(struct bench *bench)
{
	outlet_deliver(bench->outlet, bench->rig);
	assert_int_equal(bench->outlet->count, 2); /* one that has ended hears nothing */
	const struct notice *l = &bench->outlet->notices[0], *m = &bench->outlet->notices[1];
	assert_true(l->header.session == bench->sessions[B] && l->header.sequence == 2);
	assert_true(m->header.session == bench->sessions[C] && m->header.sequence == 2);
	assert_true(notice_value(m, 0).integer > notice_value(l, 0).integer);
	assert_line(bench, "l", B, 1);
	assert_line(bench, "m", C, 0);
	assert_line(bench, "n", 0, 0);
	assert_line(bench, "d", D, 1);
	assert_int_equal(rig_look(bench->rig, "bound"), INT64_MIN);
	assert_null(sessions_find(core_sessions(service_core(bench->rig->service)), bench->sessions[A]));
}

static void goodbye_lets_go_of_everything(void **state)
{
	struct bench *bench = *state;

	tangle(bench);
	rig_by(bench->rig, &alice, A);
	rig_item(bench->rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = bench->sessions[A] });
	rig_round(bench->rig);
	rig_is(bench->rig, 0, ITEM_GOODBYE, CODE_OK);
	assert_untangled(bench);
}

static void so_does_silence(void **state)
{
	struct bench *bench = *state;

	tangle(bench);
	bench->rig->now_ns += 20 * NS_PER_S;
	for (int who = B; who <= D; who++) {
		rig_by(bench->rig, &alice, (uint64_t)who);
		rig_item(bench->rig,
			 &(struct request_header){ .kind = ITEM_PING, .session = bench->sessions[who] });
		rig_round(bench->rig);
	}
	bench->rig->now_ns += 11 * NS_PER_S;
	tend(bench);
	assert_untangled(bench);
	assert_int_equal(bench->rig->counters.sessions_silent, 1);
}

static void so_does_the_end_of_its_process(void **state)
{
	struct bench *bench = *state;
	struct service *service = bench->rig->service;
	pid_t pid;
	int told = 0;

	service_destroy(&bench->rig->service);
	assert_true(rig_start(bench->rig, &table_behaviour, 1));
	for (uint64_t c = A; c <= D; c++)
		bench->sessions[c] = rig_session_by(bench->rig, c == A ? &alice_again : &alice, c);
	service = bench->rig->service;
	while (service_next_process(service, &pid)) {
		told++;
		assert_true(pid == alice.pid || pid == alice_again.pid);
	}
	assert_int_equal(told, 4);
	tangle(bench);
	service_process_ended(service, 4711);
	service_process_ended(service, alice_again.pid);
	assert_untangled(bench);
	assert_int_equal(bench->rig->counters.sessions_died, 1);
	service_process_ended(service, alice_again.pid); /* and once more is nothing */
	assert_int_equal(bench->rig->counters.sessions_died, 1);
	assert_int_equal(sessions_count(core_sessions(service_core(service))), 3);
}

static void the_end_of_a_process_nobody_knows_ends_nothing(void **state)
{
	struct bench *bench = *state;
	static const struct caller relayed = { 0 };
	pid_t pid;

	while (service_next_process(bench->rig->service, &pid))
		;
	rig_session(bench->rig, &relayed, 9);
	assert_false(service_next_process(bench->rig->service, &pid));
	service_process_ended(bench->rig->service, 0);
	assert_int_equal(bench->rig->counters.sessions_died, 0);
}

static void one_session_holds_ten_thousand_and_lets_go_in_no_time(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	enum { MANY = 20000, AT_ONCE = 500 };
	char name[16];

	for (int i = 0; i < MANY; i += AT_ONCE) {
		rig_by(rig, &alice, A);
		command(bench, A);
		for (int j = i; j < i + AT_ONCE; j++) {
			snprintf(name, sizeof name, "%d", j);
			if (j % 2) {
				rig_lock(rig, name);
				continue;
			}
			const struct value entry[] = { value_text(name), value_integer(1) };
			rig_operation(rig, 15, entry, 2);
		}
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_OK);
	}
	assert_sound(rig);
	int64_t start = clock_monotonic_ns();
	service_process_ended(rig->service, alice.pid);
	int64_t took = clock_monotonic_ns() - start;
	printf("# %lld us\n", (long long)took / 1000);
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 0);
	assert_true(took < 2 * NS_PER_S); /* stepping over what is gone would take ten */
}

static void an_owner_that_leaves_has_the_waiting_wait(void **state)
{
	struct bench *bench = *state;
	struct buffer notice = { 0 };

	take(bench, A, "l");
	wait_for(bench, B, "l");
	service_leave(bench->rig->service, &notice);
	buffer_clear(&notice);
	assert_int_equal(retry(bench, B, B, 1, "l")->header.code, CODE_WAITING);
	assert_int_equal(lock(bench, C, "l")->header.code, CODE_LEAVING);
	cancel(bench, B, 1);
	assert_int_equal(rig_integer(bench->rig, 0, 0, 0), CANCEL_WITHDRAWN);
	forget_notices(bench);
}

/* ---- a behaviour of one's own with a line, whose hooks fail when they are told to ---- */

static struct {
	int withdrawn, ended, tick;
	int64_t due_us;
	bool idle;
} fails;

static int probe_wait(struct sole_call *call)
{
	unsigned char key[16];

	sole_key_number(sole_call_session(call), key);
	sole_key_number(sole_call_sequence(call), key + 8);
	int code = sole_map_put(sole_call_context(call), sole_bytes(key, 16), sole_integer(1));
	return code != SOLE_OK ? code : sole_later(call);
}

/* Answers the first with so many bytes. */
static int probe_give(struct sole_call *call)
{
	static const char bytes[200000];
	struct sole_value key, value, answer = sole_bytes(bytes, (uint32_t)sole_argument(call, 0).integer);
	unsigned char copy[16];

	if (!sole_map_seek(sole_call_context(call), sole_none(), 0, &key, &value))
		return sole_refuse(call, SOLE_CONFLICT, "nobody waits");
	memcpy(copy, key.bytes, 16);
	sole_answer(call, sole_integer(sole_answer_later(call, sole_number_of_key(copy),
							 sole_number_of_key(copy + 8), &answer, 1)));
	sole_answer_later(call, sole_number_of_key(copy), sole_number_of_key(copy + 8), NULL,
			  0); /* the first counts */
	return sole_map_remove(sole_call_context(call), sole_bytes(copy, 16));
}

static int probe_withdrawn(struct sole_call *call)
{
	unsigned char key[16];

	sole_key_number(sole_call_session(call), key);
	sole_key_number(sole_call_sequence(call), key + 8);
	int code = sole_map_remove(sole_call_context(call), sole_bytes(key, 16));
	return code != SOLE_OK ? code : fails.withdrawn;
}

static int probe_ended(struct sole_call *call)
{
	sole_map_put(sole_call_context(call), sole_text("ended"), sole_integer(1));
	return fails.ended;
}

static int64_t probe_due(void *context)
{
	(void)context;
	return fails.due_us;
}

static int probe_tick(struct sole_call *call)
{
	if (fails.tick != SOLE_OK || fails.idle)
		return fails.tick;
	fails.due_us = 0;
	return sole_map_put(sole_call_context(call), sole_text("ticked"), sole_integer(sole_call_now(call)));
}

static void *probe_create(struct sole_store *store)
{
	return sole_store_map(store, "probe");
}

static const struct sole_operation_entry probe_operations[] = {
	{ 1, SOLE_IS_COMMAND, "wait", "", { { 0 } }, { { 0 } }, probe_wait },
	{ 2, SOLE_IS_COMMAND, "give", "", { { "bytes", SOLE_FIELD_INTEGER } }, { { 0 } }, probe_give },
	{ 3, SOLE_IS_QUERY, "wait-reading", "", { { 0 } }, { { 0 } }, probe_wait },
};

static const struct sole_behaviour probe = { .abi = SOLE_BEHAVIOUR_ABI,
					     .name = "probe",
					     .version = 1,
					     .operations = probe_operations,
					     .operation_count = 3,
					     .create = probe_create,
					     .withdrawn = probe_withdrawn,
					     .session_ended = probe_ended,
					     .due = probe_due,
					     .tick = probe_tick };

static void begin_probe(struct bench *bench)
{
	memset(&fails, 0, sizeof fails);
	service_destroy(&bench->rig->service);
	assert_true(rig_start(bench->rig, &probe, 1));
	for (uint64_t c = A; c <= D; c++)
		bench->sessions[c] = rig_session_by(bench->rig, &alice, c);
}

static uint64_t entries(const struct bench *bench)
{
	return store_entries(core_store(service_core(bench->rig->service)));
}

static void probe_waits(struct bench *bench, int who, uint64_t deadline)
{
	rig_by(bench->rig, &alice, (uint64_t)who);
	command_until(bench, who, deadline, 0);
	rig_operation(bench->rig, 1, NULL, 0);
	rig_round(bench->rig);
	rig_is(bench->rig, 0, ITEM_RUN, CODE_WAITING);
}

static void probe_gives(struct bench *bench, int64_t bytes)
{
	const struct value value = value_integer(bytes);

	rig_by(bench->rig, &alice, A);
	command(bench, A);
	rig_operation(bench->rig, 2, &value, 1);
	rig_round(bench->rig);
	rig_is(bench->rig, 0, ITEM_RUN, CODE_OK);
}

static void a_withdrawal_for_which_there_is_no_memory_is_tried_again(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	begin_probe(bench);
	probe_waits(bench, B, (uint64_t)(rig->now_ns + NS_PER_S));
	fails.withdrawn = SOLE_NO_MEMORY;
	cancel(bench, B, 1);
	rig_refused(rig, 0, CODE_NO_MEMORY, -1, "goes on waiting");
	assert_int_equal(entries(bench), 1);
	rig->now_ns += NS_PER_S;
	assert_true(tend(bench) <= rig->now_ns + 10 * NS_PER_MS); /* soon again */
	outlet_deliver(bench->outlet, rig);
	assert_int_equal(bench->outlet->count, 0);
	assert_int_equal(entries(bench), 1);
	rig->now_ns += 10 * NS_PER_MS;
	fails.withdrawn = SOLE_OK;
	tend(bench);
	late_answer(bench, B, 1, CODE_EXPIRED);
	assert_int_equal(entries(bench), 0);
}

static void a_withdrawal_that_fails_otherwise_is_one_all_the_same(void **state)
{
	struct bench *bench = *state;

	begin_probe(bench);
	probe_waits(bench, B, 0);
	probe_waits(bench, C, 0);
	fails.withdrawn = SOLE_CONFLICT;
	cancel(bench, B, 1);
	assert_int_equal(rig_integer(bench->rig, 0, 0, 0), CANCEL_WITHDRAWN);
	late_answer(bench, B, 1, CODE_CANCELLED);
	assert_int_equal(bench->rig->counters.hooks_failed, 1);
	assert_int_equal(entries(bench), 2);
	probe_gives(bench, 1); /* it stands in the line and is found not to wait */
	assert_int_equal(rig_integer(bench->rig, 0, 0, 0), 0);
	probe_gives(bench, 1);
	assert_int_equal(rig_integer(bench->rig, 0, 0, 0), 1);
	late_answer(bench, C, 1, CODE_OK);
}

static void a_session_that_cannot_let_go_for_want_of_memory_ends_later(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	struct sessions *sessions;

	begin_probe(bench);
	sessions = core_sessions(service_core(rig->service));
	fails.ended = SOLE_NO_MEMORY;
	rig_by(rig, &alice, B);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = bench->sessions[B] });
	rig_round(rig);
	rig_refused(rig, 0, CODE_NO_MEMORY, -1, "the session goes on");
	assert_int_equal(sessions_count(sessions), 4);
	service_process_ended(rig->service, alice.pid);
	assert_int_equal(sessions_count(sessions), 4);
	assert_int_equal(rig->counters.sessions_died, 0);
	assert_int_equal(entries(bench), 0);
	fails.ended = SOLE_OK;
	rig->now_ns += NS_PER_S; /* long before their silence is over */
	tend(bench);
	assert_int_equal(sessions_count(sessions), 0);
	assert_int_equal(rig->counters.sessions_died, 4);
	assert_int_equal(rig->counters.sessions_silent, 0);
}

static void a_session_of_which_the_behaviour_cannot_let_go_ends_all_the_same(void **state)
{
	struct bench *bench = *state;

	begin_probe(bench);
	fails.ended = SOLE_WRONG_TYPE;
	service_process_ended(bench->rig->service, alice.pid);
	assert_int_equal(bench->rig->counters.sessions_died, 4);
	assert_int_equal(bench->rig->counters.hooks_failed, 4);
	assert_int_equal(entries(bench), 0);
}

static void a_tick_that_fails_or_does_nothing_is_not_tried_at_once(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	begin_probe(bench);
	for (int idle = 0; idle < 2; idle++) {
		uint64_t ticks = rig->counters.ticks;
		fails.idle = idle;
		fails.tick = idle ? SOLE_OK : SOLE_FULL;
		fails.due_us = rig->wall_us - 1;
		for (int i = 0; i < 5; i++) {
			rig_message(rig, &alice, true);
			rig_simple(rig, ITEM_PING);
			rig_round(rig);
			assert_true(tend(bench) > rig->now_ns);
			rig->wall_us += 100000;
		}
		assert_int_equal(rig->counters.ticks, ticks + 1);
		rig->wall_us += 600000;
		tend(bench);
		assert_int_equal(rig->counters.ticks, ticks + 2);
		rig->wall_us += 1000001;
	}
	fails.idle = false;
	tend(bench);
	assert_int_equal(entries(bench), 1);
	assert_int_equal(fails.due_us, 0);
}

static void a_query_does_not_wait(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	begin_probe(bench);
	rig_by(rig, &alice, B);
	command(bench, B);
	rig_operation(rig, 3, NULL, 0);
	rig_query(rig, bench->sessions[B], 99);
	rig_operation(rig, 3, NULL, 0);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_INVALID);
	rig_is(rig, 1, ITEM_RUN, CODE_INVALID);
	assert_int_equal(entries(bench), 0);
}

static void late_answers_are_kept_within_the_bytes_of_the_session(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	rig->limits.session_replies_bytes = 300000;
	begin_probe(bench);
	probe_waits(bench, B, 0);
	probe_waits(bench, B, 0);
	probe_waits(bench, B, 0);
	probe_gives(bench, 200000);
	assert_int_equal(late_answer(bench, B, 1, CODE_OK).size, 200000);
	probe_gives(bench, 10);
	assert_int_equal(late_answer(bench, B, 2, CODE_OK).size, 10);
	probe_gives(bench, 150000);
	assert_int_equal(late_answer(bench, B, 3, CODE_OK).size, 150000);
	assert_int_equal(rig->counters.replies_trimmed, 1);
	retry(bench, B, B, 1, "");
	rig_is(rig, 0, ITEM_RUN, CODE_REPLY_FORGOTTEN);
	retry(bench, B, B, 3, "");
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	/* One that is not kept at all is told to be lost: its client would wait for ever. */
	rig->limits.session_replies_bytes = 100000;
	begin_probe(bench);
	bench->next[B] = bench->next[A] = 0;
	probe_waits(bench, B, 0);
	probe_gives(bench, 200000);
	late_answer(bench, B, 1, CODE_REPLY_FORGOTTEN);
}

/* ---- without memory ---- */

/* A lets go of what B waits for, D waits anew, C says goodbye, and somebody watches all of it. */
static void compose_scarce(struct bench *bench)
{
	struct rig *rig = bench->rig;
	const struct value watch[] = { value_bytes("", 0), value_integer(0), value_integer(0),
				       value_integer(0) };
	const struct value entry[] = { value_text("bound"), value_integer(1) },
			   brief[] = { value_text("brief"), value_integer(1), value_integer(5) };

	rig_by(rig, &alice, 9);
	rig_item(rig, &(struct request_header){ .kind = ITEM_WATCH, .sequence = 1 });
	rig_list(rig, watch, 4);
	rig_by(rig, &alice, A);
	rig_item(rig,
		 &(struct request_header){ .kind = ITEM_RUN, .session = bench->sessions[A], .sequence = 3 });
	rig_unlock(rig, "l");
	rig_item(rig,
		 &(struct request_header){ .kind = ITEM_RUN, .session = bench->sessions[A], .sequence = 4 });
	rig_operation(rig, 12, brief, 3);
	rig_add(rig, "n", 1);
	rig_by(rig, &alice, D);
	rig_item(rig,
		 &(struct request_header){ .kind = ITEM_RUN, .session = bench->sessions[D], .sequence = 1 });
	rig_lock(rig, "m");
	rig_item(rig,
		 &(struct request_header){ .kind = ITEM_RUN, .session = bench->sessions[D], .sequence = 2 });
	rig_operation(rig, 15, entry, 2);
	rig_lock(rig, "q");
	rig_by(rig, &alice, C);
	rig_cancel(rig, bench->sessions[C], 2, false);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = bench->sessions[C] });
}

static void run_out_of_memory(bool for_good)
{
	long succeed = 0;

	for (bool complete = false; !complete; succeed++) {
		void *state;
		set_up(&state);
		struct bench *bench = state;
		struct rig *rig = bench->rig;
		take(bench, A, "l");
		take(bench, A, "m");
		take(bench, C, "c");
		wait_for(bench, B, "l");
		wait_for(bench, C, "m");
		wait_for(bench, B, "c");
		assert_int_equal(bench->next[A], 2);
		compose_scarce(bench);
		rig_finish(rig);
		rig_lay_out(rig);
		scarce_begin(succeed, for_good);
		service_round(rig->service, rig->messages, rig->count, rig->now_ns, rig->wall_us);
		rig->wall_us += 6000;
		tend(bench);
		complete = scarce_end() == 0;
		rig_take_replies(rig);
		assert_sound(rig);
		forget_notices(bench);

		/* With memory again everything is asked again, and what had been done is not done twice. */
		for (int again = 0; again < 2; again++) {
			compose_scarce(bench);
			rig_round(rig);
			assert_sound(rig);
		}
		/* Those without memory were dropped unrun or refused, and a refusal is final: then A goes. */
		if (holder(bench, "l", NULL, NULL) == bench->sessions[A]) {
			bench->next[A] = 4;
			assert_int_equal(unlock(bench, A, "l")->header.code, CODE_OK);
		}
		assert_null(sessions_find(core_sessions(service_core(rig->service)), bench->sessions[C]));
		assert_line(bench, "l", B, 0); /* nobody has lost what they waited for */
		assert_line(bench, "c", B, 0);
		assert_int_equal(retry(bench, B, B, 1, "l")->header.code, CODE_OK);
		assert_int_equal(retry(bench, B, B, 2, "c")->header.code, CODE_OK);
		int64_t waiting;
		assert_true(holder(bench, "m", NULL, &waiting) == bench->sessions[A]);
		enum code code = (enum code)retry(bench, D, D, 1, "m")->header.code;
		assert_int_equal(waiting, code == CODE_WAITING);
		assert_true(code == CODE_WAITING ||
			    code == CODE_REPLY_FORGOTTEN); /* refused, and that acknowledged */
		bool bound = rig_look(rig, "bound") == 1;  /* all of a request or nothing */
		assert_true(holder(bench, "q", NULL, NULL) == (bound ? bench->sessions[D] : 0));
		rig->wall_us += 6000;
		tend(bench);
		assert_true(rig_look(rig, "brief") == INT64_MIN);
		assert_true(rig_look(rig, "n") == 1 || rig_look(rig, "n") == INT64_MIN);
		service_process_ended(rig->service, alice.pid);
		assert_true(store_entries(core_store(service_core(rig->service))) ==
			    (rig_look(rig, "n") == 1));
		tear_down(&state);
	}
	printf("# %ld allocations\n", succeed - 1);
	assert_true(succeed > 10);
}

static void a_failed_allocation_loses_no_lock(void **state)
{
	(void)state;
	run_out_of_memory(false);
}

static void memory_that_is_gone_for_good_loses_no_lock(void **state)
{
	(void)state;
	run_out_of_memory(true);
}

#define ON_A_BENCH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	ON_A_BENCH(a_lock_goes_from_hand_to_hand_with_growing_tokens),
	ON_A_BENCH(a_line_is_fair),
	ON_A_BENCH(whoever_holds_a_lock_hears_its_token_again),
	ON_A_BENCH(a_session_that_waits_twice_gets_it_for_both),
	ON_A_BENCH(what_a_lock_is_not_given_for_is_said),
	ON_A_BENCH(names_that_begin_alike_are_other_locks),
	ON_A_BENCH(try_lock_does_not_wait_and_check_lock_fences),
	ON_A_BENCH(only_a_request_of_one_operation_waits),
	ON_A_BENCH(a_retry_of_what_waits_waits_and_later_hears_the_answer),
	ON_A_BENCH(received_drops_nothing_that_waits_and_is_of_ones_own_session),
	ON_A_BENCH(a_late_answer_goes_to_where_the_session_was_heard_last),
	ON_A_BENCH(what_waits_does_not_stand_in_the_window),
	ON_A_BENCH(a_session_has_so_many_places_to_wait),
	ON_A_BENCH(a_cancel_takes_it_out_of_the_line),
	ON_A_BENCH(a_cancel_that_comes_too_late_brings_the_answer),
	ON_A_BENCH(a_cancel_overtakes_a_lock_of_the_same_round),
	ON_A_BENCH(nobody_else_takes_one_out_of_the_line),
	ON_A_BENCH(waiting_ends_with_the_deadline),
	ON_A_BENCH(a_deadline_that_is_over_before_is_not_waited_for),
	ON_A_BENCH(deadlines_of_many_are_looked_at_in_one_go),
	ON_A_BENCH(goodbye_lets_go_of_everything),
	ON_A_BENCH(so_does_silence),
	ON_A_BENCH(so_does_the_end_of_its_process),
	ON_A_BENCH(the_end_of_a_process_nobody_knows_ends_nothing),
	ON_A_BENCH(one_session_holds_ten_thousand_and_lets_go_in_no_time),
	ON_A_BENCH(an_owner_that_leaves_has_the_waiting_wait),
	ON_A_BENCH(a_withdrawal_for_which_there_is_no_memory_is_tried_again),
	ON_A_BENCH(a_withdrawal_that_fails_otherwise_is_one_all_the_same),
	ON_A_BENCH(a_session_that_cannot_let_go_for_want_of_memory_ends_later),
	ON_A_BENCH(a_session_of_which_the_behaviour_cannot_let_go_ends_all_the_same),
	ON_A_BENCH(a_tick_that_fails_or_does_nothing_is_not_tried_at_once),
	ON_A_BENCH(a_query_does_not_wait),
	ON_A_BENCH(late_answers_are_kept_within_the_bytes_of_the_session),
	cmocka_unit_test(a_failed_allocation_loses_no_lock),
	cmocka_unit_test(memory_that_is_gone_for_good_loses_no_lock),
};

UNIT_MAIN(tests)
