/* SPDX-License-Identifier: MIT
 *
 * client.c - asks an owner without a pause until SIGTERM, while 71-restart starts that owner again and again.
 *
 *	client OWNER KEY add|get TIMEOUT_S
 *
 * One that adds counts at KEY, which is its own, and at "all": the owner must come to the number that it has
 * come to itself, else a request was lost or ran twice. At the end it prints one line:
 *
 *	done=N failed=N wrong=N longest_us=N why=CODE
 */
#include "clients/sole.h"
#include "common/clock.h"
#include "common/log.h"

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
	(void)signal_number;
	stopping = 1;
}

struct told {
	uint64_t done, failed, wrong;
	int64_t longest_ns;
	int why; /* the first failure's code */
};

static void ask(struct sole *handle, const char *key, bool adds, struct told *told)
{
	const struct sole_value own[] = { sole_text(key), sole_integer(1) }, all[] = { sole_text("all"), sole_integer(1) };
	const struct sole_operation adding[] = { { SOLE_TABLE_ADD, 2, own }, { SOLE_TABLE_ADD, 2, all } };
	const struct sole_operation getting = { SOLE_TABLE_GET, 1, own };
	struct sole_reply reply;
	int64_t start_ns = clock_monotonic_ns();
	int code = adds ? sole_call(handle, adding, 2, 0, 0, &reply) : sole_call(handle, &getting, 1, SOLE_QUERY, 0, &reply);
	int64_t took_ns = clock_monotonic_ns() - start_ns;

	if (took_ns > told->longest_ns)
		told->longest_ns = took_ns;
	if (code != SOLE_OK) {
		told->failed++;
		told->why = told->why != 0 ? told->why : code;
		return;
	}
	told->done++;
	if (adds && (reply.result_count != 2 || reply.results[0].count != 1 ||
		     reply.results[0].values[0].integer != (int64_t)told->done))
		told->wrong++;
}

int main(int argc, char **argv)
{
	struct sole *handle;
	struct told told = { 0 };

	log_init("client");
	if (argc != 5)
		fatal(EX_USAGE, "client OWNER KEY add|get TIMEOUT_S");
	const struct sole_options options = { .owner = argv[1], .timeout_ns = atoll(argv[4]) * NS_PER_S };
	signal(SIGTERM, stop);
	if (sole_open(&handle, &options) != SOLE_OK)
		fatal(EX_UNAVAILABLE, "cannot open %s", argv[1]);
	bool adds = strcmp(argv[3], "add") == 0;
	while (!stopping)
		ask(handle, argv[2], adds, &told);
	sole_close(&handle);
	printf("done=%" PRIu64 " failed=%" PRIu64 " wrong=%" PRIu64 " longest_us=%" PRId64 " why=%s\n", told.done, told.failed,
	       told.wrong, told.longest_ns / 1000, told.why != 0 ? sole_name_of(told.why) : "-");
	return EX_OK;
}
