/* SPDX-License-Identifier: MIT
 *
 * sole_clients.c - the crew's clients against an owner of the table, each a process with
 * its own handle: what redis_clients.c is for Redis.
 *
 * sole_get and sole_put, one at a time, as a program would write them; with --actors, that
 * many sole_submit under way, whose answers ask anew. The owner is somebody else's to start
 * and stop.
 */
#include "clients/sole.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/bench/crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEY_BYTES = 24 };

static struct sole_value key_text(int64_t key, char text[KEY_BYTES])
{
	uint32_t at = KEY_BYTES;

	do
		text[--at] = (char)('0' + key % 10);
	while ((key /= 10) > 0);
	return sole_bytes(&text[at], KEY_BYTES - at);
}

static void *open_handle(const char *socket)
{
	char endpoint[256];
	struct sole_options options = { .endpoint = endpoint };
	struct sole_reply reply;
	struct sole *handle;

	snprintf(endpoint, sizeof endpoint, "ipc://%s", socket);
	int code = sole_open(&handle, &options);
	if (code == SOLE_OK)
		code = sole_ping(handle, 0, &reply);
	if (code == SOLE_OK)
		return handle;
	crew_error("cannot ask the owner at %s: %s", endpoint, sole_text_of(code));
	sole_close(&handle);
	return NULL;
}

static int get(void *handle, int64_t key, int64_t *value)
{
	char text[KEY_BYTES];
	struct sole_value found;
	int code = sole_get(handle, key_text(key, text), &found);

	if (code != SOLE_OK) {
		crew_error("the owner did not answer a get: %s", sole_text_of(code));
		return -1;
	}
	*value = found.type == SOLE_INTEGER ? found.integer : 0;
	return found.type == SOLE_INTEGER;
}

static int set(void *handle, int64_t key, int64_t value)
{
	char text[KEY_BYTES];
	int code = sole_put(handle, key_text(key, text), sole_integer(value));

	if (code != SOLE_OK)
		crew_error("the owner did not do a put: %s", sole_text_of(code));
	return code == SOLE_OK ? 0 : -1;
}

/* Many actors on a handle. */
struct many {
	const struct crew *crew;
	bool writes, over;
	int64_t done;
	int failed; /* the code of what was not done */
	uint64_t dice;
};

/* xorshift64: keys at random, as redis-benchmark asks for them. */
static int64_t any_key(struct many *many)
{
	many->dice ^= many->dice << 13;
	many->dice ^= many->dice >> 7;
	many->dice ^= many->dice << 17;
	return (int64_t)(many->dice % (uint64_t)many->crew->keys);
}

static void answered(struct sole *handle, const struct sole_reply *reply, void *context);

static void ask(struct sole *handle, struct many *many)
{
	char text[KEY_BYTES];
	int64_t key = any_key(many);
	const struct sole_value arguments[] = { key_text(key, text), sole_integer(key) };
	const struct sole_operation operation = { many->writes ? SOLE_TABLE_PUT : SOLE_TABLE_GET,
						  many->writes ? 2 : 1, arguments };

	int code = sole_submit(handle, &operation, 1, SOLE_TABLE | (many->writes ? 0 : SOLE_QUERY), SOLE_FOREVER,
			       answered, many, NULL);
	if (code != SOLE_OK)
		many->failed = code;
}

static void answered(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct many *many = context;

	if (reply->outcome != SOLE_DONE)
		many->failed = reply->code;
	many->done++;
	if (many->failed == SOLE_OK && !many->over)
		ask(handle, many);
}

static int many_run(void *handle, const struct crew *crew, bool writes, int64_t stop_ns, int64_t *done)
{
	struct many many = { .crew = crew, .writes = writes,
			     .dice = (uint64_t)clock_monotonic_ns() ^ (uint64_t)getpid() << 40 };

	for (int64_t i = 0; i < crew->actors && many.failed == SOLE_OK; i++)
		ask(handle, &many);
	int64_t left_ns = stop_ns - clock_monotonic_ns();
	sole_run(handle, left_ns > 0 ? left_ns : 1, -1);
	many.over = true;
	int code = sole_run(handle, SOLE_FOREVER, -1);
	if (many.failed == SOLE_OK)
		many.failed = code;
	*done = many.done;
	if (many.failed == SOLE_OK)
		return 0;
	crew_error("the owner did not do what an actor asked: %s", sole_text_of(many.failed));
	return -1;
}

static void close_handle(void *handle)
{
	struct sole *one = handle;

	sole_close(&one);
}

int main(int argc, char **argv)
{
	static const struct crew_link link = { open_handle, get, set, close_handle, many_run };
	struct crew crew;

	crew_parse(&crew, "sole_clients", "Runs the crew's clients against an owner and prints their totals.",
		   argc, argv);
	return crew_run(&crew, &link);
}
