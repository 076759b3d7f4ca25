/* SPDX-License-Identifier: MIT
 *
 * The table of connections: what a handle stands for while descriptors are used again.
 */
#include "tests/lib/unit.h"

#include "owner/transport/connections.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DESCRIPTORS = 200, FIRST = 10000 }; /* numbers that nothing here has open */

static struct counters counters;

static struct connections *new_connections(uint64_t most)
{
	struct connections *connections = connections_new(most, &counters);

	assert_non_null(connections);
	return connections;
}

/* As libzmq numbers them. */
static uint64_t heard(struct connections *connections, int descriptor, uint32_t number, int64_t now_ns)
{
	const uint8_t id[] = { 0, (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
			       (uint8_t)number };

	return connections_heard(connections, descriptor, id, sizeof id, now_ns);
}

static void assert_ended(struct connections *connections, uint64_t expected)
{
	uint64_t connection = 0;

	assert_true(connections_ended(connections, &connection));
	assert_int_equal(connection, expected);
}

static void assert_none_ended(struct connections *connections)
{
	uint64_t connection;

	assert_false(connections_ended(connections, &connection));
}

static void a_handle_lasts_as_long_as_its_connection(void **state)
{
	struct connections *connections = new_connections(10);
	(void)state;

	assert_int_equal(heard(connections, 7, 1, 0), 0);
	assert_int_equal(heard(connections, -1, 1, 0), 0);
	connections_accepted(connections, 7, 0);
	uint64_t first = heard(connections, 7, 1, 0);
	assert_true(first != 0 && heard(connections, 7, 1, 5) == first);
	assert_null(connections_subscribed(connections, first));
	connections_subscribe(connections, first, true);
	assert_true(routing_id_is(connections_subscribed(connections, first), "\0\0\0\0\1", 5));
	assert_none_ended(connections);

	connections_disconnected(connections, 7);
	assert_null(connections_subscribed(connections, first));
	assert_int_equal(heard(connections, 7, 1, 0), 0);
	assert_ended(connections, first);
	assert_none_ended(connections);

	connections_accepted(connections, 7, 0);
	uint64_t second = heard(connections, 7, 2, 0);
	assert_true(second != 0 && second != first);
	connections_subscribe(connections, first, true);
	assert_null(connections_subscribed(connections, first));
	assert_null(connections_subscribed(connections, second));
	connections_disconnected(connections, 7);
	connections_disconnected(connections, 7);
	assert_int_equal(connections_count(connections), 0);
	assert_ended(connections, second);
	assert_none_ended(connections);
	connections_destroy(&connections);
	assert_null(connections);
}

static void an_end_that_was_not_told_is_one_all_the_same(void **state)
{
	struct connections *connections = new_connections(10);
	(void)state;

	connections_accepted(connections, 0, 0);
	uint64_t first = heard(connections, 0, 1, 0);
	connections_subscribe(connections, first, true);
	connections_accepted(connections, 0, 0);
	assert_int_equal(connections_count(connections), 1);
	assert_ended(connections, first);
	assert_none_ended(connections);
	uint64_t second = heard(connections, 0, 2, 0);
	assert_true(second != first);
	assert_null(connections_subscribed(connections, second));
	connections_destroy(&connections);
}

static void a_late_message_of_a_predecessor_is_not_the_successors(void **state)
{
	struct connections *connections = new_connections(10);
	(void)state;

	/* Before the successor is heard: nothing tells yet. */
	connections_accepted(connections, 3, 0);
	uint64_t late = heard(connections, 3, UINT32_MAX, 0);
	connections_subscribe(connections, late, true);
	uint64_t own = heard(connections, 3, 0, 0);
	assert_true(own != 0 && own != late);
	assert_null(connections_subscribed(connections, own));
	assert_ended(connections, late);
	connections_subscribe(connections, own, true);
	/* And after it. */
	assert_int_equal(heard(connections, 3, UINT32_MAX, 0), 0);
	assert_int_equal(heard(connections, 3, 0, 0), own);
	assert_non_null(connections_subscribed(connections, own));
	assert_none_ended(connections);
	/* Names of the peer's own have no order: the last one heard has it. */
	uint64_t named = connections_heard(connections, 3, "name", 4, 0);
	assert_true(named != 0 && named != own);
	assert_ended(connections, own);
	assert_int_equal(connections_count(connections), 1);
	connections_destroy(&connections);
}

static void those_who_take_notices_are_walked_once_each(void **state)
{
	struct connections *connections = new_connections(DESCRIPTORS);
	uint64_t last = 0;
	unsigned walked = 0;
	(void)state;

	assert_int_equal(connections_next_subscribed(connections, 0), 0);
	for (int i = 0; i < DESCRIPTORS; i++) {
		connections_accepted(connections, i, 0);
		connections_subscribe(connections, heard(connections, i, (uint32_t)i, 0), i % 3 == 0);
	}
	for (uint64_t at = 0; (at = connections_next_subscribed(connections, at)) != 0; walked++) {
		assert_true(at != last);
		assert_int_equal(connections_subscribed(connections, at)->bytes[4], 3 * walked);
		last = at;
	}
	assert_int_equal(walked, (DESCRIPTORS + 2) / 3);
	connections_destroy(&connections);
}

static bool was_shut(int descriptor)
{
	char byte;

	return recv(descriptor, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

static void one_over_the_limit_is_shut_down_and_a_silent_one_cut(void **state)
{
	int pairs[3][2];
	(void)state;

	for (int i = 0; i < 3; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
	counters = (struct counters){ 0 };
	struct connections *connections = new_connections(2);
	for (int i = 0; i < 3; i++)
		connections_accepted(connections, pairs[i][0], i);
	assert_int_equal(counters.connections_opened, 3);
	assert_int_equal(counters.connections_refused, 1);
	assert_true(!was_shut(pairs[0][1]) && !was_shut(pairs[1][1]) && was_shut(pairs[2][1]));
	connections_disconnected(connections, pairs[2][0]);
	assert_int_equal(connections_count(connections), 2);

	heard(connections, pairs[0][0], 1, 50);
	assert_int_equal(connections_cut_silent(connections, 20, true), 0);
	assert_int_equal(write(pairs[1][1], "x", 1), 1);
	assert_int_equal(connections_cut_silent(connections, 0, true), 0);
	assert_int_equal(connections_cut_silent(connections, 20, true), 1);
	assert_true(!was_shut(pairs[0][1]) && was_shut(pairs[1][1]));
	assert_int_equal(connections_cut_silent(connections, 20, false), 0);
	assert_int_equal(connections_cut_silent(connections, 50, false), 1);
	assert_int_equal(counters.connections_cut, 2);
	connections_destroy(&connections);
	for (int i = 0; i < 3; i++) {
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
}

/* Beside a list of handles that must end, in whatever order ends are told. */
static void any_coming_and_going_ends_each_handle_once(void **state)
{
	struct unit_random random = { unit_seed() };
	struct connections *connections = new_connections(DESCRIPTORS);
	uint64_t open[DESCRIPTORS] = { 0 }, expected = 0, told = 0, sum = 0, told_sum = 0, at;
	uint32_t number = (uint32_t)unit_draw(&random);
	(void)state;

	for (int step = 0; step < 200000; step++) {
		size_t i = unit_below(&random, DESCRIPTORS);
		switch (unit_below(&random, 8)) {
		case 0:
		case 1:
		case 2:
			if (open[i] != 0) {
				expected++;
				sum += open[i];
			}
			connections_accepted(connections, FIRST + (int)i, step);
			open[i] = heard(connections, FIRST + (int)i, number++, step);
			assert_true(open[i] != 0);
			break;
		case 3:
		case 4:
		case 5:
			if (open[i] != 0) {
				expected++;
				sum += open[i];
			}
			connections_disconnected(connections, FIRST + (int)i);
			open[i] = 0;
			break;
		case 6:
			connections_subscribe(connections, open[i], true);
			assert_true((connections_subscribed(connections, open[i]) != NULL) == (open[i] != 0));
			break;
		case 7:
			for (size_t n = unit_below(&random, 5); n > 0 && connections_ended(connections, &at);
			     n--) {
				told++;
				told_sum += at;
				assert_null(connections_subscribed(connections, at));
			}
			break;
		}
	}
	while (connections_ended(connections, &at)) {
		told++;
		told_sum += at;
	}
	assert_int_equal(told, expected);
	assert_true(told_sum == sum);
	connections_destroy(&connections);
}

static void the_limit_may_change(void **state)
{
	struct connections *connections = new_connections(1);
	uint64_t refused = counters.connections_refused;
	(void)state;

	connections_accepted(connections, FIRST, 0);
	connections_set_most(connections, 2);
	connections_accepted(connections, FIRST + 1, 0);
	assert_int_equal(counters.connections_refused, refused);
	connections_set_most(connections, 0);
	connections_accepted(connections, FIRST + 2, 0);
	assert_int_equal(counters.connections_refused, refused + 1);
	connections_destroy(&connections);
}

static bool is_other_than(const void *context, const char *kept)
{
	return strcmp(kept, context) != 0;
}

static void a_key_is_of_one_connection_and_cuts_it(void **state)
{
	struct connections *connections = new_connections(10);
	int ends[2], others[2];
	(void)state;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, others), 0);
	connections_accepted(connections, ends[0], 0);
	connections_accepted(connections, others[0], 0);
	connections_set_origin(connections, ends[0], "192.0.2.7:5555");
	assert_string_equal(connections_origin(connections, ends[0]), "192.0.2.7:5555");
	assert_string_equal(connections_origin(connections, others[0]), "");
	connections_set_key(connections, heard(connections, ends[0], 1, 0), "gone");
	connections_set_key(connections, heard(connections, others[0], 2, 0), "kept");
	assert_int_equal(connections_cut_keys(connections, is_other_than, "gone"), 1);
	assert_int_equal(connections_cut_keys(connections, is_other_than, "gone"), 0); /* once */
	char byte;
	assert_int_equal(recv(ends[1], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(others[1], &byte, 1, MSG_DONTWAIT), -1);
	/* The number's next connection has no key yet, and comes from elsewhere. */
	connections_disconnected(connections, ends[0]);
	connections_accepted(connections, ends[0], 0);
	assert_string_equal(connections_origin(connections, ends[0]), "");
	assert_int_equal(connections_cut_keys(connections, is_other_than, "gone"), 0);
	assert_int_equal(connections_cut_keys(connections, is_other_than, ""), 1);
	uint64_t left = heard(connections, others[0], 2, 0);
	connections_cut(connections, left);
	assert_int_equal(recv(others[1], &byte, 1, MSG_DONTWAIT), 0);
	for (int i = 0; i < 2; i++) {
		close(ends[i]);
		close(others[i]);
	}
	connections_destroy(&connections);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_handle_lasts_as_long_as_its_connection),
	cmocka_unit_test(an_end_that_was_not_told_is_one_all_the_same),
	cmocka_unit_test(a_late_message_of_a_predecessor_is_not_the_successors),
	cmocka_unit_test(those_who_take_notices_are_walked_once_each),
	cmocka_unit_test(one_over_the_limit_is_shut_down_and_a_silent_one_cut),
	cmocka_unit_test(any_coming_and_going_ends_each_handle_once),
	cmocka_unit_test(the_limit_may_change),
	cmocka_unit_test(a_key_is_of_one_connection_and_cuts_it),
};

UNIT_MAIN(tests)
