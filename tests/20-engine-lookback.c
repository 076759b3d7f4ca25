/* SPDX-License-Identifier: MIT
 *
 * The client's engine, step by step: replies that say that they are on disk, and questions that the
 * owner has to look for the answer of. No socket and no clock; libzmq is not on the link line.
 */
#include "tests/lib/engine_kit.h"

static int setup(void **state)
{
	*state = kit_new();
	return 0;
}

static int teardown(void **state)
{
	kit_destroy(*state);
	return 0;
}

static uint64_t ask(struct kit *kit, enum item_kind kind, unsigned number, int64_t limit_ms)
{
	const struct value list[] = { value_integer(50), value_integer(1) };
	uint64_t id = 0;

	assert_int_equal(engine_ask(&kit->engine, kind, list, 2, kit->now_ns,
				    limit_ms > 0 ? kit->now_ns + limit_ms * NS_PER_MS : INT64_MAX, kit_told,
				    (void *)(uintptr_t)number, &id), SOLE_OK);
	return id;
}

static void a_reply_tells_whether_it_is_on_disk(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_submit(kit, 2, true, 0);
	kit_pump(kit);
	assert_told(kit, 1, CODE_OK);
	assert_int_equal(kit->told[1].durable, 0);
	assert_int_equal(kit->told[2].durable, 0);
	kit->owner.durable = true;
	kit_submit(kit, 3, false, 0);
	kit_submit(kit, 4, true, 0);
	kit_pump(kit);
	for (unsigned i = 3; i <= 4; i++) {
		assert_told(kit, i, CODE_OK);
		assert_int_equal(kit->told[i].outcome, SOLE_DONE);
		assert_int_equal(kit->told[i].durable, 1);
	}
	assert_int_equal(kit->engine.counters.malformed, 0);
}

static void so_does_a_refusal(void **state)
{
	struct kit *kit = *state;

	kit->owner.durable = true;
	kit_connect(kit);
	kit_pump(kit);
	uint64_t id = kit_submit(kit, 1, false, 0);
	assert_true(kit_next(kit)); /* the session's */
	kit_serve(kit);
	kit_hear(kit);
	assert_true(kit_next(kit)); /* and is lost */
	engine_cancel(&kit->engine, id);
	engine_disconnected(&kit->engine);
	kit_connect(kit);
	kit_pump(kit);
	assert_told(kit, 1, CODE_CANCELLED);
	kit_submit(kit, 2, false, 50);
	assert_true(kit_next(kit));
	kit->now_ns += 60 * NS_PER_MS;
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 2, CODE_EXPIRED);
	assert_int_equal(kit->told[2].outcome, SOLE_REFUSED);
	assert_int_equal(kit->told[2].durable, 1);
}

static void the_mark_on_anything_but_run_is_no_outcome(void **state)
{
	enum { OUTCOME_OFFSET = PROTOCOL_MESSAGE_HEADER_BYTES + 5 };
	struct kit *kit = *state;

	kit_connect(kit);
	kit_pump(kit);
	engine_ask(&kit->engine, ITEM_STATUS, NULL, 0, kit->now_ns, INT64_MAX, kit_told, (void *)(uintptr_t)1, NULL);
	assert_true(kit_next(kit));
	kit_serve(kit);
	kit->in.data[OUTCOME_OFFSET] |= REPLY_FLAG_DURABLE;
	kit_hear(kit);
	assert_untold(kit, 1);
	assert_int_equal(kit->engine.counters.malformed, 1);
}

static void a_question_is_answered_with_all_lists(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	ask(kit, ITEM_OUTCOME, 1, 0);
	kit_pump(kit);
	assert_told(kit, 1, CODE_OK);
	assert_int_equal(kit->owner.searches, 1);
	assert_int_equal(kit->owner.opens, 0); /* it needs no session */
	assert_int_equal(kit->told[1].value, -1); /* two lists */
}

static void an_owner_that_still_looks_is_asked_again_and_nothing_else_waits(void **state)
{
	struct kit *kit = *state;

	kit->owner.search_busy = 4;
	kit_connect(kit);
	ask(kit, ITEM_OUTCOME, 1, 0);
	kit_pump(kit);
	assert_untold(kit, 1);
	assert_int_equal(kit->owner.searches, 1);
	int64_t first_ns = kit->now_ns;
	kit_submit(kit, 2, false, 0);
	kit_submit(kit, 3, true, 0);
	kit_pump(kit);
	assert_told(kit, 2, CODE_OK);
	assert_told(kit, 3, CODE_OK);
	assert_int_equal(kit->now_ns, first_ns);
	assert_int_equal(kit->owner.searches, 1);
	kit_wait(kit, 1000);
	assert_told(kit, 1, CODE_OK);
	assert_int_equal(kit->owner.searches, 5);
}

static void asking_again_is_rarer_each_time(void **state)
{
	struct kit *kit = *state;

	kit->owner.search_busy = UINT32_MAX;
	kit_connect(kit);
	ask(kit, ITEM_BACKUP, 1, 0);
	kit_wait(kit, 10000);
	assert_untold(kit, 1);
	assert_in_range(kit->owner.searches, 30, 60);
	kit->owner.search_busy = 0;
	kit_wait(kit, 300);
	assert_told(kit, 1, CODE_OK);
	/* The next one begins quickly again. */
	kit->owner.search_busy = 1;
	ask(kit, ITEM_BACKUP, 2, 0);
	kit_wait(kit, 3);
	assert_told(kit, 2, CODE_OK);
}

static void at_its_limit_a_question_is_told_that_the_owner_was_busy(void **state)
{
	struct kit *kit = *state;

	kit->owner.search_busy = UINT32_MAX;
	kit_connect(kit);
	ask(kit, ITEM_OUTCOME, 1, 500);
	kit_wait(kit, 1000);
	assert_told(kit, 1, CODE_BUSY);
	kit->owner.drop = true;
	ask(kit, ITEM_OUTCOME, 2, 500);
	kit_wait(kit, 1000);
	assert_told(kit, 2, CODE_TIMED_OUT);
	assert_int_equal(kit->engine.pending, 0);
}

static void a_question_goes_on_over_a_new_connection(void **state)
{
	struct kit *kit = *state;

	kit->owner.search_busy = 1;
	kit_connect(kit);
	ask(kit, ITEM_OUTCOME, 1, 0);
	kit_pump(kit);
	engine_disconnected(&kit->engine);
	kit_restart(&kit->owner, true);
	kit_connect(kit);
	kit_pump(kit);
	assert_told(kit, 1, CODE_OK);
}

static void a_question_can_be_cancelled(void **state)
{
	struct kit *kit = *state;

	kit->owner.search_busy = 1;
	kit_connect(kit);
	uint64_t id = ask(kit, ITEM_OUTCOME, 1, 0);
	kit_pump(kit);
	assert_int_equal(engine_cancel(&kit->engine, id), SOLE_OK);
	kit_pump(kit);
	assert_told(kit, 1, CODE_CANCELLED);
	kit_wait(kit, 1000);
	assert_int_equal(kit->engine.pending, 0);
	assert_int_equal(kit->owner.searches, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_reply_tells_whether_it_is_on_disk),
		TEST(so_does_a_refusal),
		TEST(the_mark_on_anything_but_run_is_no_outcome),
		TEST(a_question_is_answered_with_all_lists),
		TEST(an_owner_that_still_looks_is_asked_again_and_nothing_else_waits),
		TEST(asking_again_is_rarer_each_time),
		TEST(at_its_limit_a_question_is_told_that_the_owner_was_busy),
		TEST(a_question_goes_on_over_a_new_connection),
		TEST(a_question_can_be_cancelled),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("engine: looking back", tests, NULL, NULL);
}
