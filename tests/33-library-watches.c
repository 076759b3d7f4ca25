/* SPDX-License-Identifier: MIT
 *
 * Watches of the client library against a real owner: every event once and in order,
 * over cuts of the connection, and a plain word when that cannot be.
 */
#include "tests/lib/owner_kit.h"
#include "tests/lib/cut.h"

#include <poll.h>

/* What a watch has told. Values of the events are expected to be 1, 2, 3 ... */
struct heard {
	struct sole *handle;
	uint64_t watch;
	int begun, events, over, wrong;
	int code;
	uint64_t begun_revision, revision, history;
	char text[256];
	int stop_after; /* unwatch after so many events; 0: never */
};

static void hear(struct sole *handle, const struct sole_event *event, void *context)
{
	struct heard *heard = context;

	assert_ptr_equal(handle, heard->handle);
	if (event->code != SOLE_OK) {
		heard->over++;
		heard->code = event->code;
		heard->revision = event->revision;
		heard->history = event->history;
		return;
	}
	if (event->kind.type == SOLE_NONE) {
		heard->begun++;
		heard->begun_revision = event->revision;
		heard->history = event->history;
		return;
	}
	heard->events++;
	heard->wrong += heard->begun != 1 || event->revision < heard->revision ||
			(event->value.type == SOLE_INTEGER && event->value.integer != heard->events);
	heard->revision = event->revision;
	size_t used = strlen(heard->text);
	snprintf(heard->text + used, sizeof heard->text - used, "%.*s %.*s, ", (int)event->kind.size,
		 (const char *)event->kind.bytes, (int)event->key.size, (const char *)event->key.bytes);
	if (heard->stop_after == heard->events)
		assert_code(sole_unwatch(handle, heard->watch), SOLE_OK);
}

static void begin(struct heard *heard, struct sole *s, const char *prefix, uint64_t history,
		  uint64_t revision)
{
	*heard = (struct heard){ .handle = s };
	assert_code(sole_watch(s, sole_text(prefix), history, revision, 0, hear, heard, &heard->watch),
		    SOLE_OK);
}

/* Dispatches until *count is that much, by the descriptor. */
static void until(struct sole *s, const int *count, int wanted)
{
	int64_t until_ns = clock_monotonic_ns() + kit_ns(30000);
	struct pollfd ready = { .fd = sole_descriptor(s), .events = POLLIN };

	while (*count < wanted) {
		if (clock_monotonic_ns() >= until_ns)
			fail_msg("%d of %d came in time", *count, wanted);
		poll(&ready, 1, 100);
		assert_code(sole_dispatch(s), SOLE_OK);
	}
	assert_int_equal(*count, wanted);
}

static void a_watch_hears_what_begins_with_its_prefix_and_nothing_else(void **state)
{
	struct sole *s = kit_open("watches"), *writer = kit_open("watches");
	struct heard fruit, all;

	(void)state;
	kit_start("watches");
	begin(&fruit, s, "fruit/", 0, 0); /* before there was a connection */
	begin(&all, s, "", 0, 0);
	until(s, &fruit.begun, 1);
	until(s, &all.begun, 1);
	assert_code(sole_put(writer, sole_text("fruit/apple"), sole_text("x")), SOLE_OK);
	assert_code(sole_put(writer, sole_text("stone"), sole_text("x")), SOLE_OK);
	assert_code(sole_delete(writer, sole_text("fruit/apple"), NULL), SOLE_OK);
	until(s, &all.events, 3);
	until(s, &fruit.events, 2);
	assert_string_equal(fruit.text, "put fruit/apple, delete fruit/apple, ");
	assert_string_equal(all.text, "put fruit/apple, put stone, delete fruit/apple, ");
	assert_true(fruit.revision > fruit.begun_revision);
	assert_int_equal(sole_pending(s), 0);
	sole_close(&s);
	sole_close(&writer);
}

static void a_watch_can_begin_in_the_past(void **state)
{
	struct sole *s = kit_open("watches");
	const struct sole_value put[] = { sole_text("k"), sole_integer(1) };
	const struct sole_operation first = { SOLE_TABLE_PUT, 2, put };
	struct sole_reply reply;
	struct heard heard;

	(void)state;
	kit_start("watches");
	assert_code(sole_put(s, sole_text("k"), sole_integer(0)), SOLE_OK);
	assert_code(sole_call(s, &first, 1, 0, 0, &reply), SOLE_OK);
	uint64_t revision = reply.revision, history = reply.history;
	assert_code(sole_put(s, sole_text("k"), sole_integer(2)), SOLE_OK);
	begin(&heard, s, "k", history, revision);
	assert_code(sole_put(s, sole_text("k"), sole_integer(3)), SOLE_OK);
	until(s, &heard.events, 3);
	assert_int_equal(heard.wrong, 0);
	assert_true(heard.history == history && heard.begun_revision > revision);
	sole_close(&s);
}

static void a_watch_of_another_history_is_too_old_and_over(void **state)
{
	struct sole *s = kit_open("watches");
	struct heard heard;

	(void)state;
	kit_start("watches");
	begin(&heard, s, "", 12345, 1);
	assert_code(sole_run(s, SOLE_FOREVER, -1), SOLE_OK); /* as long as there is a watch */
	assert_int_equal(heard.over, 1);
	assert_int_equal(heard.begun, 0);
	assert_code(heard.code, SOLE_TOO_OLD);
	assert_true(heard.revision > 0 && heard.history != 0 && heard.history != 12345);
	assert_code(sole_unwatch(s, heard.watch), SOLE_USAGE);
	/* ... and where it says, one can begin. */
	begin(&heard, s, "", heard.history, heard.revision);
	until(s, &heard.begun, 1);
	sole_close(&s);
}

static void when_the_state_dies_its_watches_are_over_and_say_where_to_begin(void **state)
{
	struct sole *s = kit_open("watches");
	struct heard heard, again;

	(void)state;
	kit_start("watches");
	begin(&heard, s, "", 0, 0);
	until(s, &heard.begun, 1);
	uint64_t before = heard.history;
	kit_stop(SIGKILL);
	kit_start("watches");
	assert_code(sole_run(s, SOLE_FOREVER, -1), SOLE_OK);
	assert_int_equal(heard.over, 1);
	assert_code(heard.code, SOLE_TOO_OLD);
	assert_int_equal(heard.revision, 1);
	assert_true(heard.history != before);
	begin(&again, s, "", heard.history, heard.revision);
	assert_code(sole_put(s, sole_text("k"), sole_integer(1)), SOLE_OK);
	until(s, &again.events, 1);
	assert_int_equal(again.wrong, 0);
	sole_close(&s);
}

static void nothing_is_heard_behind_an_unwatch_not_even_of_the_same_message(void **state)
{
	struct sole *s = kit_open("watches"), *writer = kit_open("watches");
	struct sole_value puts[10][2];
	struct sole_operation operations[10];
	struct heard heard, other;

	(void)state;
	kit_start("watches");
	begin(&heard, s, "k", 0, 0);
	begin(&other, s, "k", 0, 0);
	heard.stop_after = 3;
	until(s, &other.begun, 1);
	for (int i = 0; i < 10; i++) {
		puts[i][0] = sole_text("k");
		puts[i][1] = sole_integer(i + 1);
		operations[i] = (struct sole_operation){ SOLE_TABLE_PUT, 2, puts[i] };
	}
	assert_code(sole_call(writer, operations, 10, 0, 0, NULL), SOLE_OK);
	until(s, &heard.events, 3);
	until(s, &other.events, 10);
	assert_int_equal(heard.events, 3);
	assert_int_equal(other.wrong + heard.wrong, 0);
	assert_code(sole_unwatch(s, heard.watch), SOLE_USAGE);
	sole_close(&s);
	sole_close(&writer);
}

static void each_event_comes_once_and_in_order_over_cuts(void **state)
{
	enum { CHANGES = 20000, CUTS = 5, BATCH = 20 };
	struct sole *s = kit_open("watches"), *writer = kit_open("watches");
	struct sole_value puts[BATCH][2];
	struct sole_operation operations[BATCH];
	struct heard heard;
	int written = 0, cuts = 0;

	(void)state;
	kit_start("watches");
	begin(&heard, s, "k", 0, 0);
	until(s, &heard.begun, 1);
	while (written < CHANGES) {
		for (int i = 0; i < BATCH; i++) {
			puts[i][0] = sole_text("k");
			puts[i][1] = sole_integer(++written);
			operations[i] = (struct sole_operation){ SOLE_TABLE_PUT, 2, puts[i] };
		}
		assert_code(sole_call(writer, operations, BATCH, 0, 0, NULL), SOLE_OK);
		if (written % 200 == 0)
			sole_dispatch(s);
		/* In the middle of things: what was sent is heard or not, half a message at the worst. */
		if (cuts < CUTS && written >= CHANGES / (CUTS + 1) * (cuts + 1) && heard.events < written) {
			assert_true(cut_connections(sole_endpoint(s)) >= 1);
			cuts++;
		}
	}
	until(s, &heard.events, CHANGES);
	assert_int_equal(cuts, CUTS);
	assert_int_equal(heard.wrong, 0);
	assert_int_equal(heard.begun, 1);
	assert_int_equal(heard.over, 0);
	sole_close(&s);
	sole_close(&writer);
}

/* The answer and the event leave the owner together, and are read together. */
static void an_event_that_comes_with_an_answer_wakes_the_programs_loop(void **state)
{
	struct sole *s = kit_open("watches");
	struct pollfd ready = { .events = POLLIN };
	struct heard heard;

	(void)state;
	kit_start("watches");
	begin(&heard, s, "k", 0, 0);
	until(s, &heard.begun, 1);
	ready.fd = sole_descriptor(s);
	for (int i = 1; i <= 200; i++) {
		assert_code(sole_put(s, sole_text("k"), sole_integer(i)), SOLE_OK);
		while (heard.events < i) {
			assert_int_equal(poll(&ready, 1, (int)(kit_ns(2000) / NS_PER_MS)), 1);
			assert_code(sole_dispatch(s), SOLE_OK);
		}
	}
	assert_int_equal(heard.wrong, 0);
	sole_close(&s);
}

static void what_no_owner_takes_is_refused_here_or_there(void **state)
{
	static char prefix[4096];
	struct sole *s = kit_open("watches");
	struct heard heard = { .handle = s };

	(void)state;
	kit_start("watches");
	assert_code(sole_watch(s, sole_bytes(prefix, 4096), 0, 0, 0, hear, &heard, NULL), SOLE_TOO_LARGE);
	assert_code(sole_watch(s, sole_integer(1), 0, 0, 0, hear, &heard, NULL), SOLE_USAGE);
	assert_code(sole_watch(s, sole_text(""), 0, 0, 0, NULL, &heard, NULL), SOLE_USAGE);
	assert_code(sole_watch(NULL, sole_text(""), 0, 0, 0, hear, &heard, NULL), SOLE_USAGE);
	assert_code(sole_unwatch(s, 77), SOLE_USAGE);
	assert_code(sole_watch(s, sole_bytes(prefix, 1500), 0, 0, 0, hear, &heard, NULL), SOLE_OK);
	assert_code(sole_run(s, SOLE_FOREVER, -1), SOLE_OK);
	assert_int_equal(heard.over, 1);
	assert_code(heard.code, SOLE_TOO_LARGE);
	sole_close(&s);
}

static void run_for_ever_goes_on_while_there_is_a_watch(void **state)
{
	struct sole *s = kit_open("watches"), *writer = kit_open("watches");
	struct heard heard;

	(void)state;
	kit_start("watches");
	begin(&heard, s, "", 0, 0);
	heard.stop_after = 2;
	assert_code(sole_run(s, NS_PER_S, -1), SOLE_OK); /* with a limit it waits for requests only */
	until(s, &heard.begun, 1);
	assert_code(sole_put(writer, sole_text("k"), sole_integer(1)), SOLE_OK);
	assert_code(sole_put(writer, sole_text("k"), sole_integer(2)), SOLE_OK);
	assert_code(sole_run(s, SOLE_FOREVER, -1), SOLE_OK);
	assert_int_equal(heard.events, 2);
	begin(&heard, s, "", 0, 0);
	sole_interrupt(s);
	assert_code(sole_run(s, SOLE_FOREVER, -1), SOLE_CANCELLED);
	sole_close(&s);
	sole_close(&writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_watch_hears_what_begins_with_its_prefix_and_nothing_else,
					  kit_clean),
		cmocka_unit_test_teardown(a_watch_can_begin_in_the_past, kit_clean),
		cmocka_unit_test_teardown(a_watch_of_another_history_is_too_old_and_over, kit_clean),
		cmocka_unit_test_teardown(when_the_state_dies_its_watches_are_over_and_say_where_to_begin,
					  kit_clean),
		cmocka_unit_test_teardown(nothing_is_heard_behind_an_unwatch_not_even_of_the_same_message,
					  kit_clean),
		cmocka_unit_test_teardown(each_event_comes_once_and_in_order_over_cuts, kit_clean),
		cmocka_unit_test_teardown(an_event_that_comes_with_an_answer_wakes_the_programs_loop, kit_clean),
		cmocka_unit_test_teardown(what_no_owner_takes_is_refused_here_or_there, kit_clean),
		cmocka_unit_test_teardown(run_for_ever_goes_on_while_there_is_a_watch, kit_clean),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("library: watches", tests, kit_folder_make, kit_folder_remove);
}
