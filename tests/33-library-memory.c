/* SPDX-License-Identifier: MIT
 *
 * libsole while memory runs out, at any one allocation or for good from there on: every call returns a code, a command is
 * done once or not at all as the code's outcome says, a callback that was promised comes once, and what was
 * allocated is freed. Allocations of libzmq are its own, and it ends the process where it gets none.
 */
#include "tests/lib/owner_kit.h"
#include "tests/lib/scarce.h"

/* Where memory is gone for good, most calls come to their limit. */
enum { RUNS_MAX = 400, KEY_BYTES = 32, LIMIT_MS = 5000, LIMIT_FOR_GOOD_MS = 10 };

static int64_t limit_ns;

struct tally {
	int done, unknown; /* increments */
	unsigned promised, called, events;
};

static void count(struct tally *tally, int code)
{
	tally->done += sole_outcome_of(code) == SOLE_DONE;
	tally->unknown += sole_outcome_of(code) == SOLE_UNKNOWN;
}

static void on_reply(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct tally *tally = context;

	(void)handle;
	assert_non_null(reply->text);
	assert_int_equal(reply->outcome, sole_outcome_of(reply->code));
	count(tally, reply->code);
	tally->called++;
}

static void on_event(struct sole *handle, const struct sole_event *event, void *context)
{
	struct tally *tally = context;

	(void)handle, (void)event;
	tally->events++;
}

static void submit(struct sole *s, struct tally *tally, const char *key, uint64_t *request)
{
	const struct sole_value arguments[] = { sole_text(key), sole_integer(1) };
	const struct sole_operation operation = { SOLE_TABLE_ADD, 2, arguments };

	*request = 0;
	if (sole_submit(s, &operation, 1, 0, 0, on_reply, tally, request) == SOLE_OK)
		tally->promised++;
}

static void transfer(struct sole *s, struct tally *tally, const char *key)
{
	const struct sole_value name = sole_text(key), large = sole_text("large"),
				add[] = { name, sole_integer(1) }, check[] = { name, sole_integer(-1) },
				scan[] = { sole_bytes("", 0), sole_none(), sole_integer(0) };
	const struct sole_operation operations[] = {
		{ SOLE_TABLE_CHECK, 2, check }, /* never so: the other half runs */
		{ SOLE_OPERATION_OTHERWISE, 0, NULL },
		{ SOLE_TABLE_ADD, 2, add },
		{ SOLE_TABLE_GET, 1, &large },
		{ SOLE_TABLE_SCAN, 3, scan },
	};
	struct sole_reply reply;
	int code = sole_call(s, operations, 5, SOLE_OTHERWISE, 0, &reply);

	assert_int_equal(reply.code, code);
	if (code == SOLE_OK)
		assert_int_equal(reply.result_count, 4);
	count(tally, code);
}

/* Everything once. Every code is fine, as long as it is true. */
static void use(struct sole *s, struct tally *tally, const char *key, bool brief)
{
	static char bytes[5000];
	struct sole_value value = sole_none();
	struct sole_reply reply;
	uint64_t watch = 0, first, second;
	int64_t sum = 0, token = 0;
	int code, existed;

	memset(bytes, 'x', sizeof bytes);
	bool watches = sole_watch(s, sole_text(key), 0, 0, 0, on_event, tally, &watch) == SOLE_OK;
	sole_put(s, sole_text("large"), sole_bytes(bytes, sizeof bytes));
	code = sole_add(s, sole_text(key), 1, &sum);
	count(tally, code);
	assert_true(code != SOLE_OK || sum >= 1);
	code = sole_get(s, sole_text(key), &value);
	if (code == SOLE_OK)
		assert_true(value.type == SOLE_NONE ||
			    (value.integer >= tally->done && value.integer <= tally->done + tally->unknown));
	if (sole_get(s, sole_text("large"), &value) == SOLE_OK && value.type == SOLE_BYTES)
		assert_memory_equal(value.bytes, bytes, sizeof bytes);
	transfer(s, tally, key);
	submit(s, tally, key, &first);
	submit(s, tally, key, &second);
	if (second != 0)
		sole_cancel(s, second);
	sole_run(s, limit_ns, -1);
	if (sole_lock(s, sole_text("gate"), limit_ns, &token) == SOLE_OK) {
		assert_true(token > 0);
		sole_unlock(s, sole_text("gate"));
	}
	if (!brief) {
		sole_describe(s, limit_ns, &reply);
		sole_stats(s, limit_ns, &reply);
		sole_cas(s, sole_text("large"), sole_integer(1), sole_integer(2), &value);
		sole_delete(s, sole_text("large"), &existed);
	}
	sole_descriptor(s);
	sole_dispatch(s);
	if (watches)
		assert_int_equal(sole_unwatch(s, watch), SOLE_OK);
}

static int64_t look(struct sole *s, const char *key)
{
	struct sole_value value = sole_none();

	assert_int_equal(sole_get(s, sole_text(key), &value), SOLE_OK);
	return value.type == SOLE_INTEGER ? value.integer : 0;
}

static void run_out(bool for_good)
{
	struct sole *witness;
	bool complete = false;
	long succeed;

	limit_ns = kit_ns(for_good ? LIMIT_FOR_GOOD_MS : LIMIT_MS);
	kit_start("memory");
	witness = kit_open("memory");
	assert_int_equal(sole_ping(witness, kit_ns(5000), NULL), SOLE_OK);
	for (succeed = 0; !complete && succeed < RUNS_MAX; succeed += for_good ? 2 : 1) {
		struct tally tally = { 0 };
		const struct sole_options options = { .owner = "memory", .program = "test", .timeout_ns = limit_ns };
		struct sole *s = NULL;
		const char *why = NULL;
		char key[KEY_BYTES];
		long live = scarce_live;

		snprintf(key, sizeof key, "n%d-%ld", for_good, succeed);
		scarce_begin(succeed, for_good);
		int code = sole_open_why(&s, &options, &why);
		assert_true((code == SOLE_OK) == (s != NULL));
		assert_non_null(why);
		if (code != SOLE_OK)
			assert_int_equal(code, SOLE_LOCAL_MEMORY);
		else
			use(s, &tally, key, for_good);
		sole_close(&s);
		complete = scarce_end() == 0;
		assert_int_equal(tally.called, tally.promised);
		assert_int_equal(scarce_live, live);
		int64_t found = look(witness, key);
		if (found < tally.done || found > tally.done + tally.unknown)
			fail_msg("at allocation %ld: %d done, %d unknown, and %lld there", succeed, tally.done, tally.unknown,
				 (long long)found);
		if (complete) {
			assert_int_equal(tally.promised, 2);
			assert_true(for_good || (tally.events > 0 && tally.done >= 3 && tally.unknown == 0));
		}
	}
	printf("# %ld allocations\n", succeed);
	assert_true(complete && succeed > 10);
	sole_close(&witness);
	kit_stop(SIGTERM);
}

static void a_failed_allocation_is_told_and_loses_nothing(void **state)
{
	(void)state;
	run_out(false);
}

static void memory_that_is_gone_for_good_is_told_and_loses_nothing(void **state)
{
	(void)state;
	run_out(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_failed_allocation_is_told_and_loses_nothing, kit_clean),
		cmocka_unit_test_teardown(memory_that_is_gone_for_good_is_told_and_loses_nothing, kit_clean),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("library: memory", tests, kit_folder_make, kit_folder_remove);
}
