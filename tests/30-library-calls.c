/* SPDX-License-Identifier: MIT
 *
 * The client library against a real owner: blocking calls, reconnecting,
 * poll loops, threads, forks, signals, and bytes that no owner would send.
 */
#include "tests/lib/owner_kit.h"

#include "common/protocol.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <zmq.h>

static int64_t now(void)
{
	return clock_monotonic_ns();
}

/* ---- blocking calls ---- */

static void the_operations_of_the_table_do_what_sole_h_says(void **state)
{
	struct sole *s = kit_open("calls");
	struct sole_value value;
	int existed;
	int64_t sum;

	(void)state;
	kit_start("calls");
	assert_code(sole_get(s, sole_text("apples"), &value),
		    SOLE_OK); /* opened before the owner was there */
	assert_int_equal(value.type, SOLE_NONE);
	assert_code(sole_put(s, sole_text("apples"), sole_integer(12)), SOLE_OK);
	assert_code(sole_get(s, sole_text("apples"), &value), SOLE_OK);
	assert_int_equal(value.integer, 12);
	assert_code(sole_add(s, sole_text("apples"), -2, &sum), SOLE_OK);
	assert_int_equal(sum, 10);
	assert_code(sole_cas(s, sole_text("apples"), sole_integer(3), sole_integer(4), &value),
		    SOLE_CONFLICT);
	assert_int_equal(value.integer, 10);
	assert_code(sole_cas(s, sole_text("apples"), sole_integer(10), sole_text("ten"), &value), SOLE_OK);
	assert_code(sole_get(s, sole_text("apples"), &value), SOLE_OK);
	assert_int_equal(value.type, SOLE_BYTES);
	assert_int_equal(value.size, 3);
	assert_memory_equal(value.bytes, "ten", 3);
	assert_code(sole_add(s, sole_text("apples"), 1, NULL), SOLE_WRONG_TYPE);
	assert_code(sole_delete(s, sole_text("apples"), &existed), SOLE_OK);
	assert_int_equal(existed, 1);
	assert_code(sole_delete(s, sole_text("apples"), &existed), SOLE_OK);
	assert_int_equal(existed, 0);
	sole_close(&s);
	assert_null(s);
}

static void a_reply_says_what_became_of_it_and_whose_state_it_is(void **state)
{
	struct sole *s = kit_open("calls");
	const struct sole_value put[] = { sole_text("k"), sole_text("v") }, key = sole_text("k");
	const struct sole_operation both[] = { { SOLE_TABLE_PUT, 2, put }, { SOLE_TABLE_GET, 1, &key } };
	const struct sole_operation bad[] = { { SOLE_TABLE_PUT, 2, put }, { 999, 0, NULL } };
	struct sole_reply reply;

	(void)state;
	kit_start("calls");
	assert_code(sole_call(s, both, 2, 0, 0, &reply), SOLE_OK);
	assert_int_equal(reply.outcome, SOLE_DONE);
	assert_int_equal(reply.result_count, 2);
	assert_int_equal(reply.results[0].values[0].integer, 0);
	assert_int_equal(reply.results[1].values[0].size, 1);
	assert_int_equal(reply.sequence, 1);
	assert_true(reply.session != 0 && reply.revision != 0 && reply.incarnation != 0 &&
		    reply.history != 0);
	assert_code(sole_call(s, bad, 2, 0, 0, &reply), SOLE_NO_OPERATION);
	assert_int_equal(reply.outcome, SOLE_REFUSED);
	assert_int_equal(reply.failed_operation, 1);
	assert_true(strlen(reply.text) > 10);
	assert_code(sole_call(s, both, 0, 0, 0, &reply), SOLE_USAGE);
	assert_code(sole_call(s, both, 2, 0, -1, &reply), SOLE_USAGE);
	assert_int_equal(reply.outcome, SOLE_REFUSED);
	assert_code(sole_ping(s, 0, &reply), SOLE_OK);
	assert_code(sole_status(s, 0, &reply), SOLE_OK);
	assert_int_equal(reply.results[0].count % 2, 0);
	assert_memory_equal(reply.results[0].values[0].bytes, "name", 4);
	assert_memory_equal(reply.results[0].values[1].bytes, "calls", 5);
	assert_code(sole_stats(s, 0, &reply), SOLE_OK);
	assert_true(reply.result_count > 5);
	assert_int_equal(reply.results[0].count, 6);
	sole_close(&s);
}

static void without_an_owner_a_call_ends_at_its_limit(void **state)
{
	struct sole *s = kit_open("nobody");
	struct sole_reply reply;
	int64_t began = now();

	(void)state;
	const struct sole_value key = sole_text("k");
	const struct sole_operation get = { SOLE_TABLE_GET, 1, &key };
	assert_code(sole_call(s, &get, 1, SOLE_QUERY, 50 * NS_PER_MS, &reply), SOLE_UNREACHABLE);
	assert_int_equal(reply.outcome, SOLE_REFUSED);
	assert_in_range(now() - began, 50 * NS_PER_MS, kit_ns(5000));
	assert_code(sole_ping(s, 20 * NS_PER_MS, NULL), SOLE_UNREACHABLE);
	sole_close(&s);
}

static void a_bad_owner_or_endpoint_is_told_in_a_sentence(void **state)
{
	static const struct {
		const char *owner, *endpoint, *says;
	} cases[] = {
		{ NULL, NULL, "SOLE_ENDPOINT" },
		{ "../etc", NULL, "name" },
		{ "", NULL, "1 to 64" },
		{ NULL, "inproc://x", "ipc://" },
		{ NULL, "ipc://", "must name" },
		{ NULL, "tcp://nowhere", "cannot use" },
		{ NULL,
		  "ipc:///xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		  "xxxxxxxxxxxxxxxxxxxxxxxxxx",
		  "limit is 107" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct sole_options options = { .owner = cases[i].owner,
						      .endpoint = cases[i].endpoint };
		struct sole *s = (struct sole *)(uintptr_t)1;
		const char *why = NULL;
		assert_code(sole_open_why(&s, &options, &why), SOLE_USAGE);
		assert_null(s);
		if (strstr(why, cases[i].says) == NULL)
			fail_msg("case %zu says: %s", i, why);
	}
	assert_code(sole_open(NULL, NULL), SOLE_USAGE);
	sole_close(NULL);
}

/* ---- owners that go and come ---- */

static void a_command_held_back_by_a_leaving_owner_runs_at_the_next(void **state)
{
	struct sole *s = kit_open("calls");
	struct sole_value value;
	int64_t sum;

	(void)state;
	kit_start("calls");
	assert_code(sole_add(s, sole_text("n"), 5, &sum), SOLE_OK);
	kit_kill(SIGTERM); /* it may still answer that it is leaving, or be gone */
	pid_t old = kit_owner;
	kit_owner = 0;
	assert_int_equal(waitpid(old, NULL, 0), old);
	kit_start("calls");
	assert_code(sole_add(s, sole_text("n"), 1, &sum), SOLE_OK);
	assert_int_equal(sum, 1); /* a memory-only owner forgets */
	assert_code(sole_get(s, sole_text("n"), &value), SOLE_OK);
	assert_int_equal(value.integer, 1);
	sole_close(&s);
}

/* That the one which was asked before has gone is found out by asking. */
static void a_call_after_its_owner_was_killed_runs_at_the_next(void **state)
{
	struct sole *s = kit_open("calls");
	int64_t sum;

	(void)state;
	for (int i = 0; i < 10; i++) {
		kit_start("calls");
		for (int k = 1; k <= 3; k++) {
			assert_code(sole_add(s, sole_text("n"), 1, &sum), SOLE_OK);
			assert_int_equal(sum, k);
		}
		kit_stop(SIGKILL);
	}
	sole_close(&s);
}

struct tally {
	int answers, done, refused, unknown;
	int died;
};

static void count(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct tally *tally = context;

	(void)handle;
	tally->answers++;
	tally->done += reply->outcome == SOLE_DONE;
	tally->refused += reply->outcome == SOLE_REFUSED;
	tally->unknown += reply->outcome == SOLE_UNKNOWN;
	tally->died += reply->code == SOLE_OWNER_DIED;
}

static int submit_add(struct sole *s, struct tally *tally, int64_t timeout_ns)
{
	const struct sole_value arguments[] = { sole_text("n"), sole_integer(1) };
	const struct sole_operation add = { SOLE_TABLE_ADD, 2, arguments };

	return sole_submit(s, &add, 1, 0, timeout_ns, count, tally, NULL);
}

static int submit_get(struct sole *s, struct tally *tally, int64_t timeout_ns)
{
	const struct sole_value key = sole_text("n");
	const struct sole_operation get = { SOLE_TABLE_GET, 1, &key };

	return sole_submit(s, &get, 1, SOLE_QUERY, timeout_ns, count, tally, NULL);
}

static void when_the_owner_is_killed_sent_commands_are_unknown_and_queries_are_answered(void **state)
{
	struct sole *s = kit_open("calls");
	struct tally commands = { 0 }, queries = { 0 };
	int64_t sum;

	(void)state;
	kit_start("calls");
	assert_code(sole_add(s, sole_text("n"), 1, &sum), SOLE_OK);
	kit_kill(SIGSTOP);
	for (int i = 0; i < 10; i++) {
		assert_code(submit_add(s, &commands, kit_ns(20000)), SOLE_OK);
		assert_code(submit_get(s, &queries, kit_ns(20000)), SOLE_OK);
	}
	sole_dispatch(s);
	kit_stop(SIGKILL);
	kit_start("calls");
	assert_code(sole_run(s, kit_ns(20000), -1), SOLE_OK);
	assert_int_equal(queries.done, 10);
	assert_int_equal(commands.answers, 10);
	assert_int_equal(commands.unknown, commands.died);
	assert_int_equal(commands.died, 10);
	assert_code(sole_add(s, sole_text("n"), 1, &sum), SOLE_OK);
	assert_int_equal(sum, 1); /* none of them ran at the new one */
	sole_close(&s);
}

/* What the owner has counted. */
static int64_t counter(struct sole *s, const char *name)
{
	struct sole_reply reply;

	assert_code(sole_stats(s, kit_ns(10000), &reply), SOLE_OK);
	for (size_t i = 0; i < reply.result_count; i++) {
		const struct sole_value *told = reply.results[i].values;
		if (told[0].size == strlen(name) && memcmp(told[0].bytes, name, told[0].size) == 0)
			return told[1].integer;
	}
	fail_msg("no counter %s", name);
	return -1;
}

static void a_stopped_owner_costs_the_limit_and_a_little_and_nothing_is_lost(void **state)
{
	struct sole *s = kit_open("calls");
	const struct sole_value arguments[] = { sole_text("n"), sole_integer(1) };
	const struct sole_operation add = { SOLE_TABLE_ADD, 2, arguments };
	struct sole_reply reply;
	int64_t sum;

	(void)state;
	kit_start("calls");
	assert_code(sole_add(s, sole_text("n"), 1, &sum), SOLE_OK);
	kit_kill(SIGSTOP);
	int64_t began = now();
	assert_code(sole_call(s, &add, 1, 0, 50 * NS_PER_MS, &reply), SOLE_TIMED_OUT);
	assert_int_equal(reply.outcome, SOLE_UNKNOWN);
	assert_in_range(now() - began, 150 * NS_PER_MS, kit_ns(5000));
	kit_kill(SIGCONT);
	assert_code(sole_add(s, sole_text("n"), 1, &sum), SOLE_OK);
	assert_int_equal(sum, 2); /* it did not run, by the owner's word too: its deadline had */
	assert_int_equal(counter(s, "writes"), 2); /* passed, or its withdrawal came with it */
	assert_int_equal(counter(s, "requests_expired") + counter(s, "requests_cancelled"), 1);
	sole_close(&s);
}

static void wake_up(int signal)
{
	(void)signal;
}

/* In the short wait of a call in a row, in the long one behind it, and whatever signals come meanwhile. */
static void a_limit_is_kept_whatever_interrupts_the_wait(void **state)
{
	static const int limits_ms[] = { 5, 50, 99, 101, 150, 250 };
	const struct itimerval often = { { 0, 3000 }, { 0, 3000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sole *s = kit_open("calls");
	const struct sole_value key = sole_text("n");
	const struct sole_operation get = { SOLE_TABLE_GET, 1, &key };
	struct sole_reply reply;

	(void)state;
	kit_start("calls");
	signal(SIGALRM, wake_up);
	for (int interrupted = 0; interrupted < 2; interrupted++) {
		assert_int_equal(setitimer(ITIMER_REAL, interrupted ? &often : &never, NULL), 0);
		for (size_t i = 0; i < sizeof limits_ms / sizeof *limits_ms; i++) {
			int64_t limit_ns = limits_ms[i] * NS_PER_MS, least_ns = INT64_MAX;
			for (int k = 0; k < 3 && least_ns > limit_ns + 140 * NS_PER_MS; k++) {
				assert_code(sole_ping(s, 0, NULL), SOLE_OK);
				kit_kill(SIGSTOP);
				int64_t began = now();
				assert_code(sole_call(s, &get, 1, SOLE_QUERY, limit_ns, &reply),
					    SOLE_TIMED_OUT);
				int64_t took_ns = now() - began;
				kit_kill(SIGCONT);
				assert_true(took_ns >= limit_ns);
				least_ns = took_ns < least_ns ? took_ns : least_ns;
			}
			/* The withdrawal has its 100 ms. */
			assert_in_range(least_ns, limit_ns, limit_ns + kit_ns(140));
		}
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	sole_close(&s);
}

/* ---- poll loops ---- */

static bool readable(int descriptor, int64_t ms)
{
	struct pollfd p = { .fd = descriptor, .events = POLLIN };

	return poll(&p, 1, (int)ms) == 1;
}

static void the_descriptor_alone_brings_every_answer(void **state)
{
	struct sole *s = kit_open("calls");
	struct tally tally = { 0 };
	int descriptor = sole_descriptor(s);
	int64_t until = now() + kit_ns(20000);

	(void)state;
	kit_start("calls");
	for (int i = 0; i < 3000; i++)
		assert_code(i % 3 == 0 ? submit_add(s, &tally, 0) : submit_get(s, &tally, 0), SOLE_OK);
	assert_true(readable(descriptor, 0)); /* there is something to send */
	while (tally.answers < 3000 && now() < until)
		if (readable(descriptor, 1000))
			assert_code(sole_dispatch(s), SOLE_OK);
	assert_int_equal(tally.done, 3000);
	assert_int_equal(sole_pending(s), 0);
	for (int i = 0; i < 10 && readable(descriptor, 0); i++)
		sole_dispatch(s);
	assert_false(readable(descriptor, 0));
	/* Mixed with a blocking call in between, nothing is overlooked. */
	assert_code(submit_get(s, &tally, 0), SOLE_OK);
	assert_true(readable(descriptor, 0));
	assert_code(submit_get(s, &tally, 0), SOLE_OK);
	assert_code(sole_ping(s, 0, NULL), SOLE_OK);
	while (tally.answers < 3002 && now() < until)
		if (readable(descriptor, 1000))
			sole_dispatch(s);
	assert_int_equal(tally.done, 3002);
	sole_close(&s);
}

static void the_descriptor_covers_time_limits(void **state)
{
	struct sole *s = kit_open("nobody");
	struct tally tally = { 0 };
	int descriptor = sole_descriptor(s);
	int64_t began = now();

	(void)state;
	assert_code(submit_get(s, &tally, 3000 * NS_PER_MS), SOLE_OK);
	assert_code(submit_get(s, &tally, 50 * NS_PER_MS), SOLE_OK); /* an earlier one comes later */
	while (tally.answers < 1 && readable(descriptor, 2000))
		sole_dispatch(s);
	assert_int_equal(tally.refused, 1);
	assert_in_range(now() - began, 50 * NS_PER_MS, 2000 * NS_PER_MS);
	sole_close(&s);
	assert_int_equal(tally.answers, 2);
	assert_int_equal(tally.refused, 2);
}

static void what_is_submitted_together_travels_in_few_messages(void **state)
{
	struct sole *s = kit_open("calls");
	struct tally tally = { 0 };
	struct sole_reply reply;
	int64_t messages[2] = { 0 };

	(void)state;
	kit_start("calls");
	for (int round = 0; round < 2; round++) {
		assert_code(sole_stats(s, 0, &reply), SOLE_OK);
		for (size_t i = 0; i < reply.result_count; i++)
			if (reply.results[i].values[0].size == 8 &&
			    memcmp(reply.results[i].values[0].bytes, "messages", 8) == 0)
				messages[round] = reply.results[i].values[1].integer;
		for (int i = 0; i < 200 && round == 0; i++)
			submit_get(s, &tally, 0);
		assert_code(sole_run(s, kit_ns(10000), -1), SOLE_OK);
	}
	assert_int_equal(tally.done, 200);
	assert_in_range(messages[1] - messages[0], 1, 10);
	sole_close(&s);
}

/* Interrupts the handle once the thread that made this one, the first, sleeps: in sole_run. */
static void *interrupt_sleeper(void *context)
{
	char path[64], state = 0;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
	while (state != 'S') {
		FILE *file = fopen(path, "r");
		if (file == NULL || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			break;
		fclose(file);
		sched_yield();
	}
	sole_interrupt(context);
	return NULL;
}

static void run_returns_when_interrupted_or_woken(void **state)
{
	struct sole *s = kit_open("nobody");
	struct tally tally = { 0 };
	pthread_t thread;
	int wake = eventfd(1, EFD_CLOEXEC);

	(void)state;
	assert_code(sole_run(s, kit_ns(5000), -1), SOLE_OK); /* nothing is pending */
	assert_code(submit_get(s, &tally, SOLE_FOREVER), SOLE_OK);
	assert_code(sole_run(s, 30 * NS_PER_MS, -1), SOLE_TIMED_OUT);
	assert_int_equal(pthread_create(&thread, NULL, interrupt_sleeper, s), 0);
	assert_code(sole_run(s, kit_ns(60000), -1), SOLE_CANCELLED);
	pthread_join(thread, NULL);
	assert_code(sole_run(s, kit_ns(60000), wake), SOLE_CANCELLED);
	assert_code(sole_run(s, 10 * NS_PER_MS, -1), SOLE_TIMED_OUT); /* once each */
	assert_int_equal(sole_pending(s), 1);
	close(wake);
	sole_close(&s);
	assert_int_equal(tally.answers, 1);
}

static void cancelled(struct sole *handle, const struct sole_reply *reply, void *context)
{
	(void)handle;
	*(int *)context = reply->code;
}

static void cancel_tells_the_truth(void **state)
{
	struct sole *s = kit_open("calls");
	const struct sole_value arguments[] = { sole_text("n"), sole_integer(1) };
	const struct sole_operation add = { SOLE_TABLE_ADD, 2, arguments };
	int first = -1, second = -1;
	uint64_t ids[2];
	struct sole_value value;

	(void)state;
	kit_start("calls");
	assert_code(sole_put(s, sole_text("n"), sole_integer(0)), SOLE_OK);
	kit_kill(SIGSTOP);
	assert_code(sole_submit(s, &add, 1, 0, 0, cancelled, &first, &ids[0]), SOLE_OK);
	sole_dispatch(s); /* sent */
	assert_code(sole_submit(s, &add, 1, 0, 0, cancelled, &second, &ids[1]), SOLE_OK);
	assert_code(sole_cancel(s, ids[0]), SOLE_OK);
	assert_code(sole_cancel(s, ids[1]), SOLE_OK); /* never sent */
	sole_dispatch(s);
	assert_code(second, SOLE_CANCELLED);
	assert_int_equal(first, -1);
	kit_kill(SIGCONT);
	assert_code(sole_run(s, 0, -1), SOLE_OK);
	assert_code(sole_get(s, sole_text("n"), &value), SOLE_OK);
	/* Both are true, and which depends on how the owner's round fell. */
	assert_int_equal(value.integer, first == SOLE_CANCELLED ? 0 : 1);
	assert_int_equal(counter(s, "requests_cancelled"), first == SOLE_CANCELLED ? 1 : 0);
	assert_int_equal(counter(s, "writes"), first == SOLE_CANCELLED ? 1 : 2);
	assert_true(first == SOLE_CANCELLED || first == SOLE_OK);
	assert_code(sole_cancel(s, ids[0]), SOLE_USAGE);
	sole_close(&s);
}

/* ---- rules ---- */

struct rules {
	int call, run, dispatch, submit, close_left;
	struct tally tally;
};

static void break_rules(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct rules *rules = context;
	struct sole *mine = handle;

	(void)reply;
	rules->call = sole_ping(handle, 0, NULL);
	rules->run = sole_run(handle, 0, -1);
	rules->dispatch = sole_dispatch(handle);
	sole_close(&mine);
	rules->close_left = mine == handle;
	rules->submit = submit_get(handle, &rules->tally, 0);
	sole_interrupt(handle);
}

static void a_callback_may_submit_but_not_block_or_close(void **state)
{
	struct sole *s = kit_open("calls");
	struct rules rules = { 0 };
	const struct sole_value key = sole_text("n");
	const struct sole_operation get = { SOLE_TABLE_GET, 1, &key };

	(void)state;
	kit_start("calls");
	assert_code(sole_submit(s, &get, 1, SOLE_QUERY, 0, break_rules, &rules, NULL), SOLE_OK);
	assert_code(sole_run(s, 0, -1), SOLE_CANCELLED);
	assert_code(sole_run(s, 0, -1), SOLE_OK);
	assert_code(rules.call, SOLE_USAGE);
	assert_code(rules.run, SOLE_USAGE);
	assert_code(rules.dispatch, SOLE_USAGE);
	assert_code(rules.submit, SOLE_OK);
	assert_int_equal(rules.close_left, 1);
	assert_int_equal(rules.tally.done, 1);
	sole_close(&s);
}

static void *wait_inside(void *context)
{
	int code;

	do
		code = sole_run(context, kit_ns(30000), -1);
	while (code == SOLE_THREAD);
	return (void *)(intptr_t)code;
}

static void a_second_thread_is_kept_out(void **state)
{
	struct sole *s = kit_open("nobody");
	struct tally tally = { 0 };
	int64_t until = now() + kit_ns(10000);
	pthread_t thread;
	void *result;
	int code;

	(void)state;
	assert_code(submit_get(s, &tally, SOLE_FOREVER), SOLE_OK);
	assert_int_equal(pthread_create(&thread, NULL, wait_inside, s), 0);
	while ((code = sole_dispatch(s)) == SOLE_OK && now() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); /* its turn to get in */
	assert_code(code, SOLE_THREAD);
	assert_code(sole_ping(s, 0, NULL), SOLE_THREAD);
	assert_code(submit_get(s, &tally, 0), SOLE_THREAD);
	struct sole *same = s;
	sole_close(&same);
	assert_ptr_equal(same, s);
	sole_interrupt(s);
	pthread_join(thread, &result);
	assert_code((int)(intptr_t)result, SOLE_CANCELLED);
	assert_code(sole_dispatch(s), SOLE_OK); /* and now it is this one's turn */
	sole_close(&s);
}

/* Returns 0, or the number of the expectation that failed. */
static int as_child(struct sole *s)
{
	struct tally tally = { 0 };
	struct sole_value value;
	const struct sole_options options = { .owner = "calls", .timeout_ns = kit_ns(10000) };
	struct sole *own;

	if (sole_get(s, sole_text("n"), &value) != SOLE_FORKED)
		return 1;
	if (submit_get(s, &tally, 0) != SOLE_FORKED || sole_dispatch(s) != SOLE_FORKED ||
	    sole_run(s, 0, -1) != SOLE_FORKED || sole_descriptor(s) != -1)
		return 2;
	sole_interrupt(s);
	if (sole_open(&own, &options) != SOLE_OK)
		return 3;
	if (sole_add(own, sole_text("n"), 1, NULL) != SOLE_OK)
		return 4;
	sole_close(&s);
	if (s != NULL)
		return 5;
	sole_close(&own);
	return tally.answers == 0 ? 0 : 6;
}

static void a_forked_child_opens_its_own_and_leaves_the_parent_alone(void **state)
{
	struct sole *s = kit_open("calls");
	struct tally tally = { 0 };
	struct sole_value value;
	int failed = -1, channel[2];

	(void)state;
	kit_start("calls");
	assert_code(sole_put(s, sole_text("n"), sole_integer(1)), SOLE_OK);
	sole_descriptor(s);
	submit_get(s, &tally, 0);
	assert_int_equal(pipe(channel), 0);
	pid_t child = fork();
	if (child == 0) {
		failed = as_child(s);
		if (write(channel[1], &failed, sizeof failed) < 0)
			_exit(1);
		/* Not by exit: a leak checker would find what ZeroMQ has in the parent. */
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(read(channel[0], &failed, sizeof failed), sizeof failed);
	assert_int_equal(failed, 0);
	close(channel[0]);
	close(channel[1]);
	assert_code(sole_run(s, 0, -1), SOLE_OK);
	assert_int_equal(tally.done, 1);
	assert_code(sole_get(s, sole_text("n"), &value), SOLE_OK);
	assert_int_equal(value.integer, 2);
	sole_close(&s);
}

static void no_thread_of_the_library_takes_signals(void **state)
{
	const struct sole_options options = { .endpoint = "tcp://127.0.0.1:1" };
	struct sole *s = NULL;
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	int others = 0;

	(void)state;
	assert_non_null(tasks);
	assert_code(sole_open(&s, &options), SOLE_OK);
	rewinddir(tasks);
	while ((entry = readdir(tasks)) != NULL) {
		char path[300], line[256];
		if (entry->d_name[0] == '.' || (pid_t)strtol(entry->d_name, NULL, 10) == getpid())
			continue;
		snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
		FILE *status = fopen(path, "r");
		if (status == NULL)
			continue;
		while (fgets(line, sizeof line, status) != NULL)
			if (strncmp(line, "SigBlk:", 7) == 0) {
				uint64_t blocked = strtoull(line + 7, NULL, 16);
				others++;
				for (int signal = SIGHUP; signal <= SIGTERM; signal++)
					if (signal != SIGKILL &&
					    (blocked & ((uint64_t)1 << (signal - 1))) == 0)
						fail_msg("signal %d reaches thread %s", signal,
							 entry->d_name);
			}
		fclose(status);
	}
	closedir(tasks);
	assert_true(others >= 1);
	sole_close(&s);
}

static int descriptors(void)
{
	DIR *list = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(list);
	while (readdir(list) != NULL)
		n++;
	closedir(list);
	return n;
}

static int64_t sessions_of(struct sole *s)
{
	struct sole_reply reply;

	assert_code(sole_status(s, 0, &reply), SOLE_OK);
	const struct sole_list *list = &reply.results[0];
	for (size_t i = 0; i + 1 < list->count; i += 2)
		if (list->values[i].size == 8 && memcmp(list->values[i].bytes, "sessions", 8) == 0)
			return list->values[i + 1].integer;
	return -1;
}

static void closing_ends_the_session_and_leaves_nothing_open(void **state)
{
	struct sole *watcher;
	int before = descriptors();

	(void)state;
	kit_start("calls");
	watcher = kit_open("calls");
	assert_int_equal(sessions_of(watcher), 0);
	for (int i = 0; i < 20; i++) {
		struct sole *s = kit_open("calls");
		assert_code(sole_put(s, sole_text("n"), sole_integer(i)), SOLE_OK);
		sole_descriptor(s);
		assert_int_equal(sessions_of(watcher), 1);
		sole_close(&s);
		assert_int_equal(sessions_of(watcher), 0);
	}
	sole_close(&watcher);
	assert_int_equal(descriptors(), before);
}

static void what_is_under_way_at_close_is_called_back(void **state)
{
	struct sole *s = kit_open("calls");
	struct tally sent = { 0 }, unsent = { 0 };

	(void)state;
	kit_start("calls");
	assert_code(sole_put(s, sole_text("n"), sole_integer(0)), SOLE_OK);
	kit_kill(SIGSTOP);
	submit_add(s, &sent, 0);
	sole_dispatch(s);
	submit_add(s, &unsent, 0);
	int64_t began = now();
	sole_close(&s);
	assert_in_range(now() - began, 90 * NS_PER_MS, kit_ns(5000)); /* goodbye is given 100 ms */
	assert_int_equal(sent.unknown, 1);
	assert_int_equal(unsent.refused, 1);
	kit_kill(SIGCONT);
}

/* ---- bytes that no owner would send ---- */

/* Answers everything with rubbish of several shapes until told to end. */
static void *talk_rubbish(void *context)
{
	void *router = context;
	static const char garbage[200] = "SOLE\x01\x02\xff\xff these are not items";
	char peer[256], rest[4096];

	for (int i = 0;; i++) {
		int more = 1, size = zmq_recv(router, peer, sizeof peer, 0);
		size_t more_size = sizeof more;
		if (size < 0)
			return NULL;
		while (zmq_getsockopt(router, ZMQ_RCVMORE, &more, &more_size) == 0 && more)
			zmq_recv(router, rest, sizeof rest, 0);
		zmq_send(router, peer, (size_t)size, ZMQ_SNDMORE);
		if (i % 4 == 1)
			zmq_send(router, "x", 1, ZMQ_SNDMORE);
		if (i % 4 != 2)
			zmq_send(router, "", 0, i % 4 == 3 ? 0 : ZMQ_SNDMORE);
		if (i % 4 != 3)
			zmq_send(router, garbage, sizeof garbage, 0);
	}
}

static void rubbish_from_the_other_side_is_outlived(void **state)
{
	char endpoint[128];
	void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
	pthread_t thread;
	struct sole *s;

	(void)state;
	snprintf(endpoint, sizeof endpoint, "ipc://%s/rubbish.sock", kit_folder);
	assert_int_equal(zmq_bind(router, endpoint), 0);
	int wait_ms = 50;
	zmq_setsockopt(router, ZMQ_LINGER, &(int){ 0 }, sizeof(int));
	zmq_setsockopt(router, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
	s = kit_open("rubbish");
	for (int i = 0; i < 6; i++) {
		assert_int_equal(pthread_create(&thread, NULL, talk_rubbish, router), 0);
		int code = sole_ping(s, 100 * NS_PER_MS, NULL);
		assert_true(code == SOLE_TIMED_OUT || code == SOLE_UNREACHABLE);
		pthread_join(thread, NULL);
	}
	zmq_close(router);
	zmq_ctx_term(context);
	kit_start("rubbish"); /* a sound one takes its place */
	assert_code(sole_ping(s, 0, NULL), SOLE_OK);
	sole_close(&s);
}

int main(void)
{
#define T(test) cmocka_unit_test_teardown(test, kit_clean)
	const struct CMUnitTest tests[] = {
		T(the_operations_of_the_table_do_what_sole_h_says),
		T(a_reply_says_what_became_of_it_and_whose_state_it_is),
		T(without_an_owner_a_call_ends_at_its_limit),
		T(a_bad_owner_or_endpoint_is_told_in_a_sentence),
		T(a_command_held_back_by_a_leaving_owner_runs_at_the_next),
		T(a_call_after_its_owner_was_killed_runs_at_the_next),
		T(when_the_owner_is_killed_sent_commands_are_unknown_and_queries_are_answered),
		T(a_stopped_owner_costs_the_limit_and_a_little_and_nothing_is_lost),
		T(a_limit_is_kept_whatever_interrupts_the_wait),
		T(the_descriptor_alone_brings_every_answer),
		T(the_descriptor_covers_time_limits),
		T(what_is_submitted_together_travels_in_few_messages),
		T(run_returns_when_interrupted_or_woken),
		T(cancel_tells_the_truth),
		T(a_callback_may_submit_but_not_block_or_close),
		T(a_second_thread_is_kept_out),
		T(a_forked_child_opens_its_own_and_leaves_the_parent_alone),
		T(no_thread_of_the_library_takes_signals),
		T(closing_ends_the_session_and_leaves_nothing_open),
		T(what_is_under_way_at_close_is_called_back),
		T(rubbish_from_the_other_side_is_outlived),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("library", tests, kit_folder_make, kit_folder_remove);
}
