/* SPDX-License-Identifier: MIT
 *
 * The supervisor's decisions, without a process, a clock or a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above before it. */
#include <cmocka.h>

#include "supervisor/decide.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { S = 1000000000 };
#define EXITED(status) ((status) << 8)
#define KILLED(signal) (signal)

static enum child_state walk(enum child_state state, const enum child_event *events, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum child_state next = child_move(state, events[i]);
		assert_int_not_equal(next, CHILD_STATES);
		state = next;
	}
	return state;
}
#define WALK(from, ...) \
	walk(from, (const enum child_event[]){ __VA_ARGS__ }, \
	     sizeof((const enum child_event[]){ __VA_ARGS__ }) / sizeof(enum child_event))

static void a_child_lives_from_waiting_to_held(void **state)
{
	(void)state;
	assert_int_equal(WALK(CHILD_WAITING, EVENT_START, EVENT_READY), CHILD_READY);
	assert_int_equal(WALK(CHILD_READY, EVENT_STOP, EVENT_TURN), CHILD_STOPPING);
	assert_int_equal(WALK(CHILD_STOPPING, EVENT_DIED, EVENT_GONE_HOLD), CHILD_HELD);
	assert_int_equal(WALK(CHILD_STOPPING, EVENT_LIMIT), CHILD_KILLING);
	assert_int_equal(WALK(CHILD_KILLING, EVENT_DIED, EVENT_LIMIT, EVENT_GONE_HOLD), CHILD_HELD);
	assert_int_equal(WALK(CHILD_HELD, EVENT_RELEASE, EVENT_START), CHILD_STARTING);
}

static void a_child_that_dies_comes_back_after_its_delay(void **state)
{
	(void)state;
	assert_int_equal(WALK(CHILD_READY, EVENT_DIED, EVENT_GONE_RESTART), CHILD_DELAYED);
	assert_int_equal(WALK(CHILD_DELAYED, EVENT_LIMIT, EVENT_START), CHILD_STARTING);
	assert_int_equal(WALK(CHILD_STARTING, EVENT_LIMIT), CHILD_STOPPING);
	assert_int_equal(WALK(CHILD_READY, EVENT_OVERDUE, EVENT_LIMIT), CHILD_KILLING);
	assert_int_equal(WALK(CHILD_READY, EVENT_DIED, EVENT_LIMIT, EVENT_GONE_END), CHILD_ENDED);
}

static void what_has_no_process_never_dies_and_what_has_one_never_starts(void **state)
{
	(void)state;
	for (int i = 0; i < CHILD_STATES; i++) {
		enum child_state from = (enum child_state)i;
		bool runs = child_state_runs(from);
		if (runs)
			assert_int_equal(child_move(from, EVENT_START), CHILD_STATES);
		else
			assert_int_equal(child_move(from, EVENT_DIED), CHILD_STATES);
		for (int k = 0; k < CHILD_EVENTS; k++) {
			enum child_state to = child_move(from, (enum child_event)k);
			if (to == CHILD_STATES)
				continue;
			assert_true(to < CHILD_STATES);
			/* Only a start makes a process, only GONE takes the last of it away. */
			if (!runs && child_state_runs(to))
				assert_int_equal(k, EVENT_START);
			if (runs && !child_state_runs(to))
				assert_true(k == EVENT_GONE_RESTART || k == EVENT_GONE_END ||
					    k == EVENT_GONE_HOLD);
		}
	}
}

static void every_running_state_can_be_left_by_stopping(void **state)
{
	(void)state;
	assert_int_equal(child_move(CHILD_STARTING, EVENT_STOP), CHILD_LEAVING);
	assert_int_equal(child_move(CHILD_READY, EVENT_STOP), CHILD_LEAVING);
	for (int i = CHILD_LEAVING; i <= CHILD_KILLING; i++)
		assert_int_equal(child_move((enum child_state)i, EVENT_STOP), i);
	assert_int_equal(child_move(CHILD_WAITING, EVENT_HOLD), CHILD_HELD);
	assert_int_equal(child_move(CHILD_DELAYED, EVENT_HOLD), CHILD_HELD);
	/* A sibling's restart does not start what an order keeps down. */
	assert_int_equal(child_move(CHILD_HELD, EVENT_DELAY), CHILD_STATES);
}

static void every_state_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < CHILD_STATES; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(child_state_name((enum child_state)i),
						child_state_name((enum child_state)k));
	assert_string_equal(child_state_name(CHILD_STATES), "unknown");
}

static void normal_is_status_0_and_nothing_else(void **state)
{
	(void)state;
	assert_true(death_is_normal(CAUSE_ITSELF, EXITED(0)));
	assert_true(death_is_normal(CAUSE_ORDER, EXITED(0)));
	assert_false(death_is_normal(CAUSE_ITSELF, EXITED(1)));
	assert_false(death_is_normal(CAUSE_ITSELF, KILLED(15)));
	assert_false(death_is_normal(CAUSE_ITSELF, KILLED(9)));
	assert_false(death_is_normal(CAUSE_WATCHDOG, EXITED(0)));
	assert_false(death_is_normal(CAUSE_START_LIMIT, EXITED(0)));
	assert_false(death_is_normal(CAUSE_NOT_RUN, EXITED(0)));
}

static void the_restart_kind_decides_as_in_otp(void **state)
{
	(void)state;
	assert_true(death_restarts(PERMANENT, true));
	assert_true(death_restarts(PERMANENT, false));
	assert_false(death_restarts(TRANSIENT, true));
	assert_true(death_restarts(TRANSIENT, false));
	assert_false(death_restarts(TEMPORARY, true));
	assert_false(death_restarts(TEMPORARY, false));
}

static void each_strategy_affects_whom_it_should(void **state)
{
	(void)state;
	for (unsigned dead = 0; dead < 4; dead++)
		for (unsigned other = 0; other < 4; other++) {
			assert_false(death_affects(ONE_FOR_ONE, dead, other));
			assert_true(death_affects(ONE_FOR_ALL, dead, other));
			assert_int_equal(death_affects(REST_FOR_ONE, dead, other), other > dead);
		}
}

static void intensity_restarts_are_allowed_and_one_more_is_not(void **state)
{
	(void)state;
	struct restart_history history = { 0 };
	for (int i = 0; i < 3; i++)
		assert_true(restart_allowed(&history, 3, 10LL * S, i));
	assert_false(restart_allowed(&history, 3, 10LL * S, 3));
}

static void intensity_0_allows_none(void **state)
{
	(void)state;
	struct restart_history history = { 0 };
	assert_false(restart_allowed(&history, 0, S, 0));
}

static void a_restart_exactly_a_period_ago_still_counts(void **state)
{
	(void)state;
	struct restart_history a = { 0 }, b = { 0 };
	assert_true(restart_allowed(&a, 1, 5LL * S, 100));
	assert_false(restart_allowed(&a, 1, 5LL * S, 100 + 5LL * S));
	assert_true(restart_allowed(&b, 1, 5LL * S, 100));
	assert_true(restart_allowed(&b, 1, 5LL * S, 101 + 5LL * S));
}

static void the_period_slides(void **state)
{
	(void)state;
	struct restart_history history = { 0 };
	for (int64_t t = 0; t < 2000; t++) /* one a second, of which 10 are within 9.5 s */
		assert_true(restart_allowed(&history, 10, 19LL * S / 2, t * S));
	assert_false(restart_allowed(&history, 9, 19LL * S / 2, 2000LL * S));
}

static void the_highest_intensity_is_counted_exactly(void **state)
{
	(void)state;
	static struct restart_history history;
	for (int i = 0; i < INTENSITY_MAX; i++)
		assert_true(restart_allowed(&history, INTENSITY_MAX, S, i));
	assert_false(restart_allowed(&history, INTENSITY_MAX, S, INTENSITY_MAX));
	assert_false(restart_allowed(&history, INTENSITY_MAX, S, INTENSITY_MAX + 1));
}

static void restarts_left_counts_down_and_recovers(void **state)
{
	(void)state;
	struct restart_history history = { 0 };
	assert_int_equal(restarts_left(&history, 2, S, 0), 2);
	restart_allowed(&history, 2, S, 10);
	assert_int_equal(restarts_left(&history, 2, S, 10), 1);
	restart_allowed(&history, 2, S, 20);
	restart_allowed(&history, 2, S, 30);
	assert_int_equal(restarts_left(&history, 2, S, 30), 0);
	assert_int_equal(restarts_left(&history, 2, S, 31 + 1LL * S), 2);
}

static void failures_count_up_and_begin_anew_after_a_stable_while(void **state)
{
	(void)state;
	assert_int_equal(failures_after(0, 5, 10), 1);
	assert_int_equal(failures_after(1, 9, 10), 2);
	assert_int_equal(failures_after(7, 10, 10), 1);
	assert_int_equal(failures_after(UINT32_MAX, 0, 10), UINT32_MAX);
}

static void back_off_doubles_up_to_its_cap(void **state)
{
	(void)state;
	assert_int_equal(backoff_delay_ns(1, 50, 1000, 0), 50);
	assert_int_equal(backoff_delay_ns(2, 50, 1000, 0), 100);
	assert_int_equal(backoff_delay_ns(5, 50, 1000, 0), 800);
	assert_int_equal(backoff_delay_ns(6, 50, 1000, 0), 1000);
	assert_int_equal(backoff_delay_ns(UINT32_MAX, 50, 1000, 0), 1000);
	assert_int_equal(backoff_delay_ns(1, 5000, 1000, 0), 1000);
	assert_int_equal(backoff_delay_ns(9, 0, 1000, UINT32_MAX), 0);
	/* Near the end of 64 bits nothing overflows. */
	assert_int_equal(backoff_delay_ns(99, INT64_MAX / 3, INT64_MAX, 0), INT64_MAX);
}

static void jitter_takes_off_at_most_a_half(void **state)
{
	(void)state;
	int64_t least = INT64_MAX, most = 0;
	for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 65537) {
		int64_t delay = backoff_delay_ns(3, 50LL * S, 1000LL * S, (uint32_t)bits);
		least = delay < least ? delay : least;
		most = delay > most ? delay : most;
	}
	assert_int_equal(most, 200LL * S);
	assert_true(least >= 100LL * S && least < 101LL * S);
	assert_true(backoff_delay_ns(1, INT64_MAX, INT64_MAX, UINT32_MAX) >= INT64_MAX / 2);
}

static struct child_view view(enum child_state state, unsigned order)
{
	return (struct child_view){ .state = state, .order = order };
}

static void a_child_starts_when_all_before_it_are_settled(void **state)
{
	(void)state;
	struct child_view v[] = { view(CHILD_READY, 0), view(CHILD_STARTING, 1), view(CHILD_READY, 1),
				  view(CHILD_WAITING, 2) };
	assert_int_equal(start_frontier(v, 4), 1);
	v[1].state = CHILD_READY;
	assert_int_equal(start_frontier(v, 4), 2);
	v[3].state = CHILD_READY;
	assert_int_equal(start_frontier(v, 4), ORDER_REMOVED);
	v[0].state = CHILD_DELAYED;
	assert_int_equal(start_frontier(v, 4), 0);
	v[0].state = CHILD_ENDED;
	assert_int_equal(start_frontier(v, 4), ORDER_REMOVED);
	v[0].state = CHILD_HELD;
	assert_int_equal(start_frontier(v, 4), ORDER_REMOVED);
	/* One that the file no longer has holds up nobody. */
	struct child_view removed = view(CHILD_STOPPING, ORDER_REMOVED);
	assert_int_equal(start_frontier(&removed, 1), ORDER_REMOVED);
}

static void a_child_stops_when_all_after_it_are_gone(void **state)
{
	(void)state;
	struct child_view v[] = { view(CHILD_LEAVING, 0), view(CHILD_LEAVING, 1), view(CHILD_STOPPING, 2) };
	for (int i = 0; i < 3; i++)
		v[i].batch = 7;
	assert_int_equal(stop_frontier(v, 3, 7), 2);
	v[2].state = CHILD_CLEARING;
	assert_int_equal(stop_frontier(v, 3, 7), 2);
	v[2].state = CHILD_HELD;
	assert_int_equal(stop_frontier(v, 3, 7), 1);
	v[1].state = CHILD_HELD;
	assert_int_equal(stop_frontier(v, 3, 7), 0);
}

static void a_slow_stop_of_another_order_holds_up_nobody(void **state)
{
	(void)state;
	struct child_view v[] = { view(CHILD_LEAVING, 0), view(CHILD_STOPPING, 5) };
	v[0].batch = 2;
	v[1].batch = 1;
	assert_int_equal(stop_frontier(v, 2, 2), 0);
}

static void all_gone_means_that_nothing_runs(void **state)
{
	(void)state;
	struct child_view v[] = { view(CHILD_HELD, 0), view(CHILD_ENDED, 1), view(CHILD_DELAYED, 2) };
	assert_true(all_gone(v, 3));
	v[1].state = CHILD_CLEARING;
	assert_false(all_gone(v, 3));
	assert_true(all_gone(v, 0));
}

static void significant_is_over_with_the_last_of_them(void **state)
{
	(void)state;
	struct child_view v[] = { view(CHILD_READY, 0), view(CHILD_ENDED, 1), view(CHILD_READY, 1) };
	assert_false(significant_over(v, 3));
	v[1].significant = v[2].significant = true;
	assert_false(significant_over(v, 3));
	v[2].state = CHILD_DELAYED;
	assert_false(significant_over(v, 3));
	v[2].state = CHILD_ENDED;
	assert_true(significant_over(v, 3));
	v[1].state = CHILD_HELD;
	assert_true(significant_over(v, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_lives_from_waiting_to_held),
		cmocka_unit_test(a_child_that_dies_comes_back_after_its_delay),
		cmocka_unit_test(what_has_no_process_never_dies_and_what_has_one_never_starts),
		cmocka_unit_test(every_running_state_can_be_left_by_stopping),
		cmocka_unit_test(every_state_has_a_name_of_its_own),
		cmocka_unit_test(normal_is_status_0_and_nothing_else),
		cmocka_unit_test(the_restart_kind_decides_as_in_otp),
		cmocka_unit_test(each_strategy_affects_whom_it_should),
		cmocka_unit_test(intensity_restarts_are_allowed_and_one_more_is_not),
		cmocka_unit_test(intensity_0_allows_none),
		cmocka_unit_test(a_restart_exactly_a_period_ago_still_counts),
		cmocka_unit_test(the_period_slides),
		cmocka_unit_test(the_highest_intensity_is_counted_exactly),
		cmocka_unit_test(restarts_left_counts_down_and_recovers),
		cmocka_unit_test(failures_count_up_and_begin_anew_after_a_stable_while),
		cmocka_unit_test(back_off_doubles_up_to_its_cap),
		cmocka_unit_test(jitter_takes_off_at_most_a_half),
		cmocka_unit_test(a_child_starts_when_all_before_it_are_settled),
		cmocka_unit_test(a_child_stops_when_all_after_it_are_gone),
		cmocka_unit_test(a_slow_stop_of_another_order_holds_up_nobody),
		cmocka_unit_test(all_gone_means_that_nothing_runs),
		cmocka_unit_test(significant_is_over_with_the_last_of_them),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("supervisor: decisions", tests, NULL, NULL);
}
