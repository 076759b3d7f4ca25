/* SPDX-License-Identifier: MIT
 *
 * sole_fill.c - puts as many keys as asked for into an owner of the table, each by a command of
 * its own: 0 at key 0, 1 at key 1, and so on.
 *
 * What is measured is how long the owner then takes to start again, or how much memory it takes;
 * this only has to be there soon, so many commands are under way at once.
 */
#include "clients/sole.h"
#include "common/log.h"
#include "common/options.h"

#include <stdio.h>
#include <sysexits.h>

enum { UNDER_WAY = 20000, KEY_BYTES = 24 };

struct fill {
	int64_t done;
	int64_t width;
	int failed; /* the code of what was not done */
};

static void on_reply(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct fill *fill = context;

	(void)handle;
	fill->done++;
	if (reply->outcome != SOLE_DONE)
		fill->failed = reply->code;
}

static int submit(struct sole *handle, struct fill *fill, int64_t number)
{
	char text[KEY_BYTES];
	int length = snprintf(text, sizeof text, "%0*lld", (int)fill->width, (long long)number);
	const struct sole_value arguments[] = { sole_bytes(text, (uint32_t)length), sole_integer(number) };
	const struct sole_operation put = { SOLE_TABLE_PUT, 2, arguments };

	return sole_submit(handle, &put, 1, SOLE_TABLE, SOLE_FOREVER, on_reply, fill, NULL);
}

int main(int argc, char **argv)
{
	struct sole_options options = { .program = "sole_fill" };
	struct fill fill = { .width = 1 };
	int64_t count = 1000000;
	struct sole_reply reply;
	struct sole *handle;
	const struct option_spec known[] = {
		{ "endpoint", 'e', OPTION_TEXT, &options.endpoint, 0, 0, "ENDPOINT", "where the owner listens" },
		{ "count", 'c', OPTION_INTEGER, &count, 1, 1 << 30, "N", "how many keys [1000000]" },
		{ "width", 'w', OPTION_INTEGER, &fill.width, 1, KEY_BYTES - 1, "N",
		  "bytes that a key has at the least, of zeros in front [1]" },
	};
	const struct program program = {
		.name = "sole_fill", .usage = "--endpoint ENDPOINT [option ...]",
		.about = "Puts keys into an owner's table.",
		.example = "sole_fill --endpoint ipc:///tmp/a.sock --count 1000",
		.options = known, .option_count = sizeof known / sizeof known[0],
	};

	log_init("sole_fill");
	int operand = options_parse(&program, argc, argv, 0);
	if (operand < argc)
		fatal(EX_USAGE, "'%s' is not an option; see sole_fill --help", argv[operand]);
	int code = sole_open(&handle, &options);
	if (code != SOLE_OK)
		fatal(EX_USAGE, "say where the owner listens, --endpoint ipc://PATH: %s", sole_text_of(code));
	fill.failed = sole_ping(handle, 0, &reply);
	for (int64_t i = 0; i < count && fill.failed == 0; i++) {
		code = submit(handle, &fill, i);
		if (code == SOLE_OK && sole_pending(handle) >= UNDER_WAY)
			code = sole_run(handle, SOLE_FOREVER, -1);
		if (code != SOLE_OK)
			fill.failed = code;
	}
	if (fill.failed == 0)
		sole_run(handle, SOLE_FOREVER, -1);
	sole_close(&handle);
	if (fill.failed != 0)
		fatal(EX_UNAVAILABLE, "the owner did not do a put: %s", sole_text_of(fill.failed));
	printf("writes: %lld\n", (long long)fill.done);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
