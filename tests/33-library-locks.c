/* SPDX-License-Identifier: MIT
 *
 * The client library against a real owner: what waits for its turn, sessions that come
 * and go, requests with an `otherwise`, and results that are lists.
 */
#include "tests/lib/owner_kit.h"
#include "tests/lib/cut.h"

#include "common/protocol.h"

static struct sole_value text(const char *words)
{
	return sole_text(words);
}

struct outcome_of {
	int times, code;
	int64_t token;
};

static void note(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct outcome_of *outcome = context;

	(void)handle;
	outcome->times++;
	outcome->code = reply->code;
	if (reply->code == SOLE_OK && reply->results[0].count == 1)
		outcome->token = reply->results[0].values[0].integer;
}

static uint64_t submit_lock(struct sole *s, const char *name, int64_t timeout_ns, struct outcome_of *outcome)
{
	const struct sole_value argument = text(name);
	const struct sole_operation lock = { SOLE_TABLE_LOCK, 1, &argument };
	uint64_t id;

	assert_code(sole_submit(s, &lock, 1, 0, timeout_ns, note, outcome, &id), SOLE_OK);
	return id;
}

/* Session that holds the lock, 0 for none; and how many wait for it. */
static int64_t holder(struct sole *s, const char *name, int64_t *waiting)
{
	const struct sole_value argument = text(name);
	const struct sole_operation ask = { SOLE_TABLE_HOLDER, 1, &argument };
	struct sole_reply reply;

	assert_code(sole_call(s, &ask, 1, SOLE_QUERY, 0, &reply), SOLE_OK);
	assert_int_equal(reply.results[0].count, 3);
	*waiting = reply.results[0].values[2].integer;
	return reply.results[0].values[0].type == SOLE_INTEGER ? reply.results[0].values[0].integer : 0;
}

/* Until `count` requests wait for the lock, by the word of the owner. */
static void until_waiting(struct sole *other, struct sole *waiter, const char *name, int64_t count)
{
	int64_t until_ns = clock_monotonic_ns() + kit_ns(10000), waiting;

	do {
		assert_true(clock_monotonic_ns() < until_ns);
		sole_dispatch(waiter);
		holder(other, name, &waiting);
	} while (waiting != count);
	sole_dispatch(waiter);
}

static void a_lock_waits_until_its_holder_lets_go_and_tokens_grow(void **state)
{
	struct sole *a = kit_open("locks"), *b = kit_open("locks");
	struct outcome_of second = { 0 };
	int64_t first, waiting, sum = 0;

	(void)state;
	kit_start("locks");
	assert_code(sole_lock(a, text("door"), 0, &first), SOLE_OK);
	submit_lock(b, "door", SOLE_FOREVER, &second);
	until_waiting(a, b, "door", 1);
	/* What waits stands beside the window: more commands than that go past it. */
	for (int i = 0; i < 2 * PROTOCOL_WINDOW; i++)
		assert_code(sole_add(b, text("n"), 1, &sum), SOLE_OK);
	assert_int_equal(sum, 2 * PROTOCOL_WINDOW);
	assert_int_equal(second.times, 0);
	assert_int_equal(sole_pending(b), 1);
	assert_code(sole_unlock(a, text("door")), SOLE_OK);
	assert_code(sole_run(b, 0, -1), SOLE_OK);
	assert_int_equal(second.times, 1);
	assert_code(second.code, SOLE_OK);
	assert_true(second.token > first);
	assert_code(sole_unlock(a, text("door")), SOLE_CONFLICT);
	assert_code(sole_unlock(b, text("door")), SOLE_OK);
	assert_int_equal(holder(a, "door", &waiting), 0);
	sole_close(&a);
	sole_close(&b);
}

static void a_lock_that_is_not_free_in_time_is_refused_and_never_held(void **state)
{
	struct sole *a = kit_open("locks"), *b = kit_open("locks");
	int64_t token = -1, waiting, began;

	(void)state;
	kit_start("locks");
	assert_code(sole_lock(a, text("door"), 0, NULL), SOLE_OK);
	began = clock_monotonic_ns();
	assert_code(sole_lock(b, text("door"), 100 * NS_PER_MS, &token), SOLE_EXPIRED);
	assert_in_range(clock_monotonic_ns() - began, 100 * NS_PER_MS, kit_ns(5000));
	assert_int_equal(token, -1);
	assert_code(sole_unlock(a, text("door")), SOLE_OK);
	assert_int_equal(holder(a, "door", &waiting), 0);
	assert_int_equal(waiting, 0);
	sole_close(&a);
	sole_close(&b);
}

static void what_waits_can_be_withdrawn(void **state)
{
	struct sole *a = kit_open("locks"), *b = kit_open("locks");
	struct outcome_of second = { 0 };
	int64_t waiting;

	(void)state;
	kit_start("locks");
	assert_code(sole_lock(a, text("door"), 0, NULL), SOLE_OK);
	uint64_t id = submit_lock(b, "door", SOLE_FOREVER, &second);
	until_waiting(a, b, "door", 1);
	assert_code(sole_cancel(b, id), SOLE_OK);
	assert_code(sole_run(b, 0, -1), SOLE_OK);
	assert_code(second.code, SOLE_CANCELLED);
	assert_code(sole_cancel(b, id), SOLE_USAGE);
	assert_code(sole_unlock(a, text("door")), SOLE_OK);
	assert_int_equal(holder(a, "door", &waiting), 0);
	sole_close(&a);
	sole_close(&b);
}

static void an_answer_that_comes_while_the_connection_is_cut_is_found_again(void **state)
{
	struct sole *a = kit_open("locks"), *b = kit_open("locks");
	struct outcome_of second = { 0 };

	(void)state;
	kit_start("locks");
	for (int i = 0; i < 20; i++) {
		second = (struct outcome_of){ 0 };
		assert_code(sole_lock(a, text("door"), 0, NULL), SOLE_OK);
		submit_lock(b, "door", SOLE_FOREVER, &second);
		until_waiting(a, b, "door", 1);
		/* That of `a` too: its unlock runs once all the same. */
		assert_true(cut_connections(sole_endpoint(b)) >= 2);
		assert_code(sole_unlock(a, text("door")), SOLE_OK);
		assert_code(sole_run(b, 0, -1), SOLE_OK);
		assert_int_equal(second.times, 1);
		assert_code(second.code, SOLE_OK);
		assert_code(sole_unlock(b, text("door")), SOLE_OK);
	}
	sole_close(&a);
	sole_close(&b);
}

static void a_lock_goes_on_when_its_holder_closes(void **state)
{
	struct sole *a = kit_open("locks"), *b = kit_open("locks"), *c = kit_open("locks");
	struct outcome_of second = { 0 };

	(void)state;
	kit_start("locks");
	assert_code(sole_lock(a, text("door"), 0, NULL), SOLE_OK);
	submit_lock(b, "door", SOLE_FOREVER, &second);
	until_waiting(c, b, "door", 1);
	sole_close(&a);
	assert_code(sole_run(b, 0, -1), SOLE_OK);
	assert_code(second.code, SOLE_OK);
	sole_close(&b);
	sole_close(&c);
}

static void what_is_more_than_an_owner_parks_waits_here_and_goes_on_when_there_is_room(void **state)
{
	enum { MANY = 300 };
	const struct sole_value put[] = { text("k"), text("v") };
	const struct sole_operation behind = { SOLE_TABLE_PUT, 2, put };
	struct sole *a = kit_open("locks"), *b = kit_open("locks");
	static struct outcome_of waits[MANY];
	struct sole_reply reply;
	int held = 0;

	(void)state;
	memset(waits, 0, sizeof waits);
	kit_start("locks");
	assert_code(sole_lock(a, text("door"), 0, NULL), SOLE_OK);
	for (int i = 0; i < MANY; i++)
		submit_lock(b, "door", SOLE_FOREVER, &waits[i]);
	until_waiting(a, b, "door", PROTOCOL_WINDOW);
	sole_call(b, &behind, 1, 0, 100 * NS_PER_MS, &reply);
	assert_int_equal(reply.outcome, SOLE_REFUSED);
	assert_int_equal(sole_pending(b), MANY);
	assert_code(sole_unlock(a, text("door")), SOLE_OK);
	assert_code(sole_call(b, &behind, 1, 0, 0, NULL), SOLE_OK);
	/* It is the session that holds a lock: all its requests are told so. */
	for (int i = 0; i < MANY; i++)
		held += waits[i].times == 1 && waits[i].code == SOLE_OK;
	assert_int_equal(held, MANY);
	sole_close(&b);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(waits[i].times, 1);
	sole_close(&a);
}

/* ---- sessions ---- */

struct session_news {
	int times;
	uint64_t ids[8];
};

static void news(struct sole *handle, uint64_t session, void *context)
{
	struct session_news *told = context;

	(void)handle;
	if (told->times < 8)
		told->ids[told->times] = session;
	told->times++;
}

static void a_waiting_lock_is_unknown_when_its_owner_dies_and_the_session_is_lost(void **state)
{
	struct sole *a = kit_open("locks"), *b = kit_open("locks");
	struct session_news told = { 0 };
	struct outcome_of second = { 0 };
	int64_t waiting;

	(void)state;
	kit_start("locks");
	assert_code(sole_on_session(b, news, &told), SOLE_OK);
	assert_code(sole_lock(a, text("door"), 0, NULL), SOLE_OK);
	assert_code(sole_put(b, text("k"), text("v")), SOLE_OK);
	assert_int_equal(told.times, 1);
	assert_true(told.ids[0] != 0);
	submit_lock(b, "door", SOLE_FOREVER, &second);
	until_waiting(a, b, "door", 1);
	kit_stop(SIGKILL);
	kit_start("locks");
	assert_code(sole_run(b, 0, -1), SOLE_OK);
	assert_code(second.code, SOLE_OWNER_DIED);
	assert_int_equal(told.times, 2);
	assert_int_equal(told.ids[1], 0);
	assert_code(sole_put(b, text("k"), text("v")), SOLE_OK);
	assert_int_equal(told.times, 3);
	assert_true(told.ids[2] != 0 && told.ids[2] != told.ids[0]);
	assert_int_equal(holder(a, "door", &waiting), 0);
	assert_int_equal(waiting, 0);
	sole_close(&a);
	sole_close(&b);
	assert_int_equal(told.times, 3);
}

static void whoever_asks_late_for_news_of_the_session_hears_of_the_one_that_is_open(void **state)
{
	struct sole *s = kit_open("locks");
	struct session_news told = { 0 };

	(void)state;
	kit_start("locks");
	assert_code(sole_put(s, text("k"), text("v")), SOLE_OK);
	assert_code(sole_on_session(s, news, &told), SOLE_OK);
	assert_int_equal(told.times, 0);
	assert_code(sole_dispatch(s), SOLE_OK);
	assert_int_equal(told.times, 1);
	assert_int_equal(cut_connections(sole_endpoint(s)), 1); /* a cut loses no session */
	assert_code(sole_put(s, text("k"), text("v")), SOLE_OK);
	assert_code(sole_on_session(s, NULL, NULL), SOLE_OK);
	sole_close(&s);
	assert_int_equal(told.times, 1);
	assert_code(sole_on_session(NULL, news, &told), SOLE_USAGE);
}

/* ---- otherwise, lists, descriptions ---- */

static void the_second_half_runs_when_the_first_does_not_hold(void **state)
{
	struct sole *s = kit_open("locks");
	const struct sole_value absent[] = { text("seat"), sole_none() },
				put[] = { text("seat"), text("me") }, key = text("seat");
	const struct sole_operation take[] = {
		{ SOLE_TABLE_PUT, 2, (const struct sole_value[]){ text("trace"), sole_integer(1) } },
		{ SOLE_TABLE_CHECK, 2, absent },
		{ SOLE_TABLE_PUT, 2, put },
		{ SOLE_OPERATION_OTHERWISE, 0, NULL },
		{ SOLE_TABLE_GET, 1, &key },
	};
	struct sole_value value;
	struct sole_reply reply;
	int existed;

	(void)state;
	kit_start("locks");
	assert_code(sole_call(s, take, 5, SOLE_OTHERWISE, 0, &reply), SOLE_OK);
	assert_int_equal(reply.result_count, 4);
	assert_int_equal(reply.results[0].values[0].integer, 1);
	assert_code(sole_delete(s, text("trace"), &existed), SOLE_OK);
	assert_int_equal(existed, 1);
	assert_code(sole_call(s, take, 5, SOLE_OTHERWISE, 0, &reply), SOLE_OK);
	assert_int_equal(reply.result_count, 2);
	assert_int_equal(reply.results[0].values[0].integer, 2);
	assert_int_equal(reply.results[1].values[0].size, 2);
	assert_memory_equal(reply.results[1].values[0].bytes, "me", 2);
	assert_code(sole_get(s, text("trace"), &value), SOLE_OK); /* the half that did not hold left none */
	assert_int_equal(value.type, SOLE_NONE);
	assert_code(sole_call(s, take, 5, 0, 0, NULL), SOLE_USAGE); /* the flag says what is there */
	assert_code(sole_call(s, take, 3, SOLE_OTHERWISE, 0, NULL), SOLE_USAGE);
	const struct sole_operation two[] = { take[3], take[4], take[3] };
	assert_code(sole_call(s, two, 3, SOLE_OTHERWISE, 0, NULL), SOLE_USAGE);
	sole_close(&s);
}

static void a_list_in_the_results_is_walked_item_by_item(void **state)
{
	struct sole *s = kit_open("locks");
	const struct sole_value range[] = { text("fruit/"), sole_none(), sole_integer(2) };
	const struct sole_operation scan = { SOLE_TABLE_SCAN, 3, range };
	struct sole_value list, item;
	struct sole_reply reply;
	char seen[256] = "";

	(void)state;
	kit_start("locks");
	assert_code(sole_put(s, text("fruit/apple"), sole_integer(1)), SOLE_OK);
	assert_code(sole_put(s, text("fruit/pear"), text("two")), SOLE_OK);
	assert_code(sole_put(s, text("fruit/plum"), sole_integer(3)), SOLE_OK);
	assert_code(sole_call(s, &scan, 1, SOLE_QUERY, 0, &reply), SOLE_OK);
	assert_int_equal(reply.results[0].count, 2);
	list = reply.results[0].values[0];
	assert_int_equal(list.type, SOLE_LIST);
	while (sole_next(&list, &item)) {
		size_t used = strlen(seen);
		if (item.type == SOLE_BYTES)
			snprintf(seen + used, sizeof seen - used, "%.*s ", (int)item.size,
				 (const char *)item.bytes);
		else
			snprintf(seen + used, sizeof seen - used, "%s ",
				 item.integer == 1 ? "one" : "revision");
	}
	assert_string_equal(seen, "fruit/apple one revision fruit/pear two revision ");
	assert_int_equal(sole_next(&list, &item), 0);
	assert_int_equal(item.type, SOLE_NONE);
	list = text("no list");
	assert_int_equal(sole_next(&list, &item), 0);
	assert_int_equal(reply.results[0].values[1].type, SOLE_BYTES); /* the cursor */
	const struct sole_value put[] = { text("k"), reply.results[0].values[0] };
	const struct sole_operation bad = { SOLE_TABLE_PUT, 2, put };
	assert_code(sole_call(s, &bad, 1, 0, 0, NULL), SOLE_USAGE); /* lists are for results only */
	sole_close(&s);
}

static void an_owner_describes_its_operations(void **state)
{
	struct sole *s = kit_open("locks");
	struct sole_reply reply;
	int found = 0;

	(void)state;
	kit_start("locks");
	assert_code(sole_describe(s, 0, &reply), SOLE_OK);
	for (size_t i = 0; i < reply.result_count; i++) {
		const struct sole_value *v = reply.results[i].values;
		assert_int_equal(reply.results[i].count, 6);
		found += v[0].integer == SOLE_TABLE_LOCK && v[1].size == 4 &&
			 memcmp(v[1].bytes, "lock", 4) == 0 && memcmp(v[2].bytes, "command", 7) == 0;
	}
	assert_int_equal(found, 1);
	sole_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_lock_waits_until_its_holder_lets_go_and_tokens_grow, kit_clean),
		cmocka_unit_test_teardown(a_lock_that_is_not_free_in_time_is_refused_and_never_held,
					  kit_clean),
		cmocka_unit_test_teardown(what_waits_can_be_withdrawn, kit_clean),
		cmocka_unit_test_teardown(an_answer_that_comes_while_the_connection_is_cut_is_found_again,
					  kit_clean),
		cmocka_unit_test_teardown(a_lock_goes_on_when_its_holder_closes, kit_clean),
		cmocka_unit_test_teardown(
			what_is_more_than_an_owner_parks_waits_here_and_goes_on_when_there_is_room,
			kit_clean),
		cmocka_unit_test_teardown(a_waiting_lock_is_unknown_when_its_owner_dies_and_the_session_is_lost,
					  kit_clean),
		cmocka_unit_test_teardown(whoever_asks_late_for_news_of_the_session_hears_of_the_one_that_is_open,
					  kit_clean),
		cmocka_unit_test_teardown(the_second_half_runs_when_the_first_does_not_hold, kit_clean),
		cmocka_unit_test_teardown(a_list_in_the_results_is_walked_item_by_item, kit_clean),
		cmocka_unit_test_teardown(an_owner_describes_its_operations, kit_clean),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("library: locks", tests, kit_folder_make, kit_folder_remove);
}
