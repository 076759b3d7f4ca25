/* SPDX-License-Identifier: MIT
 *
 * Owners that die under load: fifty clients pipeline increments, each on a key of its
 * own, while their owner is stopped and killed again and again. Nobody is ever told
 * anything wrong: within one history the nth increment that is done says n, so none was
 * lost and none ran twice; and in the end the key holds what was done.
 */
#include "tests/lib/owner_kit.h"

#include <poll.h>

enum {
	CLIENTS = 50,
	UNDER_WAY = 16, /* of each client, at any time */
	OWNERS = 12,    /* one after another */
	DONE_EACH = 40, /* increments on average that a client gets done with each of them */
};

struct client {
	struct sole *handle;
	char key[16];
	uint64_t history;
	int64_t done;    /* in that history */
	int64_t asked;   /* the latest value that a query was answered */
	unsigned under_way, submitted;
};

static struct {
	struct client clients[CLIENTS];
	uint64_t done, unknown, queries;
	bool stopping;
} crowd;

static void ask(struct client *client);

/* A history that was left never comes back: the first answer of another one starts anew. */
static void follow_history(struct client *client, const struct sole_reply *reply)
{
	if (reply->history == client->history)
		return;
	client->history = reply->history;
	client->done = 0;
	client->asked = 0;
}

static void on_sum(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct client *client = context;

	(void)handle;
	client->under_way--;
	if (reply->outcome == SOLE_DONE) {
		follow_history(client, reply);
		client->done++;
		crowd.done++;
		assert_int_equal(reply->results[0].values[0].integer, client->done);
	} else {
		/* Nothing is refused: who leaves or is busy is asked again by the library. */
		assert_code(reply->code, SOLE_OWNER_DIED);
		crowd.unknown++;
	}
	ask(client);
}

/* Between what was done when it was asked and what can have run since; of whichever history answers. */
static void on_value(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct client *client = context;
	const struct sole_value *value;

	(void)handle;
	client->under_way--;
	crowd.queries++;
	assert_code(reply->code, SOLE_OK);
	value = &reply->results[0].values[0];
	assert_int_not_equal(value->type, SOLE_BYTES);
	int64_t sum = value->type == SOLE_INTEGER ? value->integer : 0;
	follow_history(client, reply);
	assert_in_range(sum, client->asked, client->done + UNDER_WAY);
	client->asked = sum;
	ask(client);
}

static void ask(struct client *client)
{
	const struct sole_value arguments[] = { sole_text(client->key), sole_integer(1) };
	const struct sole_operation add = { SOLE_TABLE_ADD, 2, arguments },
				    get = { SOLE_TABLE_GET, 1, arguments };

	while (!crowd.stopping && client->under_way < UNDER_WAY) {
		bool query = client->submitted++ % 8 == 7;
		assert_code(sole_submit(client->handle, query ? &get : &add, 1, query ? SOLE_QUERY : 0, 0,
					query ? on_value : on_sum, client, NULL),
			    SOLE_OK);
		client->under_way++;
	}
}

/* Serves all clients until so many increments are done. */
static void serve_until(uint64_t done)
{
	struct pollfd polled[CLIENTS];
	int64_t limit_ns = clock_monotonic_ns() + kit_ns(30000);

	for (size_t i = 0; i < CLIENTS; i++)
		polled[i] =
			(struct pollfd){ .fd = sole_descriptor(crowd.clients[i].handle), .events = POLLIN };
	while (crowd.done < done) {
		assert_true(clock_monotonic_ns() < limit_ns);
		assert_true(poll(polled, CLIENTS, 1000) >= 0);
		for (size_t i = 0; i < CLIENTS; i++)
			if (polled[i].revents != 0)
				assert_code(sole_dispatch(crowd.clients[i].handle), SOLE_OK);
	}
}

static void clients_are_told_the_truth_while_owners_come_and_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *client = &crowd.clients[i];
		client->handle = kit_open("mortal");
		snprintf(client->key, sizeof client->key, "client %zu", i);
		ask(client);
	}
	for (int owner = 0; owner < OWNERS; owner++) {
		kit_start("mortal");
		serve_until(crowd.done + CLIENTS * DONE_EACH);
		if (owner < OWNERS - 1)
			kit_stop(owner % 3 == 2 ? SIGTERM : SIGKILL);
	}
	crowd.stopping = true;
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *client = &crowd.clients[i];
		const struct sole_value key = sole_text(client->key);
		const struct sole_operation get = { SOLE_TABLE_GET, 1, &key };
		struct sole_reply reply;
		assert_code(sole_run(client->handle, 0, -1), SOLE_OK);
		assert_code(sole_call(client->handle, &get, 1, SOLE_QUERY, 0, &reply), SOLE_OK);
		follow_history(client, &reply);
		assert_int_equal(reply.results[0].values[0].type == SOLE_INTEGER ?
					 reply.results[0].values[0].integer : 0, client->done);
		sole_close(&client->handle);
	}
	print_message("# %llu done, %llu unknown, %llu queries\n", (unsigned long long)crowd.done,
		      (unsigned long long)crowd.unknown, (unsigned long long)crowd.queries);
	kit_stop(SIGTERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(clients_are_told_the_truth_while_owners_come_and_go, kit_clean),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("restarts", tests, kit_folder_make, kit_folder_remove);
}
