/* SPDX-License-Identifier: MIT
 *
 * sole_clients.c - the crew's clients against an owner of the table, each a process with
 * its own handle: what redis_clients.c is for Redis.
 *
 * sole_get and sole_put, one at a time, as a program would write them. The owner is
 * somebody else's to start and stop.
 */
#include "clients/sole.h"
#include "common/log.h"
#include "tests/bench/crew.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEY_BYTES = 24 };

static struct sole_value key_text(int64_t key, char text[KEY_BYTES])
{
	return sole_bytes(text, (uint32_t)snprintf(text, KEY_BYTES, "%lld", (long long)key));
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

static void close_handle(void *handle)
{
	struct sole *one = handle;

	sole_close(&one);
}

int main(int argc, char **argv)
{
	static const struct crew_link link = { open_handle, get, set, close_handle };
	struct crew crew;

	crew_parse(&crew, "sole_clients", "Runs the crew's clients against an owner and prints their totals.",
		   argc, argv);
	return crew_run(&crew, &link);
}
