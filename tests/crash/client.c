/* SPDX-License-Identifier: MIT
 *
 * client.c - asks the owner named by its first argument at random, and writes down what it asked, when,
 * and what it was told, for tests/lib/Sole/History.pm to judge.
 *
 *	client OWNER NUMBER SEED FILE writer|reader PAUSE_US SILENCE_MS
 *
 * A writer has up to four requests under way; now and then it counts under a lock. A reader asks for
 * single values, and for all accounts at once. It goes on whatever it is told, opens anew when its session
 * is gone, and ends with what is under way answered when SIGTERM comes. FILE has a line for each thing:
 *
 *	i ID NS command|query OPERATIONS           invoked
 *	a ID NS CODE SESSION SEQUENCE REVISION DURABLE RESULTS
 *
 * ID counts from 1, NS is the monotonic clock; operations are NAME(ARGUMENT,...) joined by ';', results as in
 * the lines of sole-owner --log --json.
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
#include <sys/prctl.h>
#include <sysexits.h>
#include <time.h>

enum { DEPTH = 4, OPERATIONS = 8, ARGUMENTS = 3, NAME_BYTES = 16 };
enum { KEYS = 8, ACCOUNTS = 8, SECTION_EVERY = 40 };

static const int64_t limit_ns = 120 * NS_PER_S;

static volatile sig_atomic_t stopping;
static char long_value[12000];

struct client {
	struct sole *handle;
	const char *owner;
	FILE *history;
	uint64_t random, asked;
	unsigned number, pending;
	uint32_t silence_ms;
	bool lost;              /* the session: what is under way goes with it */
	struct sole_value last; /* of the last answer, its first */
};

/* What one request is made of. */
struct asking {
	struct sole_operation operations[OPERATIONS];
	struct sole_value arguments[OPERATIONS][ARGUMENTS];
	char names[OPERATIONS][NAME_BYTES];
	size_t count;
	bool query;
};

static const char *const words[] = {
	[SOLE_TABLE_GET] = "get",       [SOLE_TABLE_PUT] = "put", [SOLE_TABLE_DELETE] = "delete",
	[SOLE_TABLE_ADD] = "add",       [SOLE_TABLE_CAS] = "cas", [SOLE_TABLE_LOCK] = "lock",
	[SOLE_TABLE_UNLOCK] = "unlock",
};

static void stop(int number)
{
	(void)number;
	stopping = 1;
}

/* splitmix64 */
static uint64_t draw(struct client *client, uint64_t limit)
{
	uint64_t z = client->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (z ^ (z >> 31)) % limit;
}

/* ---- what is written down ---- */

static void write_value(FILE *file, const struct sole_value *value)
{
	switch (value->type) {
	case SOLE_INTEGER:
		fprintf(file, "%" PRId64, value->integer);
		break;
	case SOLE_BYTES:
		fprintf(file, "\"%.*s\"", (int)value->size, (const char *)value->bytes);
		break;
	case SOLE_NONE:
	case SOLE_LIST:
		fputs("null", file);
	}
}

static void write_asked(FILE *file, const struct asking *asking)
{
	for (size_t i = 0; i < asking->count; i++) {
		const struct sole_operation *operation = &asking->operations[i];
		fprintf(file, "%s%s(", i > 0 ? ";" : "", words[operation->number]);
		for (size_t j = 0; j < operation->argument_count; j++) {
			if (j > 0)
				fputc(',', file);
			write_value(file, &operation->arguments[j]);
		}
		fputc(')', file);
	}
}

static void write_results(FILE *file, const struct sole_reply *reply)
{
	fputc('[', file);
	for (size_t i = 0; i < reply->result_count; i++) {
		fputs(i > 0 ? ",[" : "[", file);
		for (size_t j = 0; j < reply->results[i].count; j++) {
			if (j > 0)
				fputc(',', file);
			write_value(file, &reply->results[i].values[j]);
		}
		fputc(']', file);
	}
	fputs("]\n", file);
}

/* ---- asking ---- */

struct request {
	struct client *client;
	uint64_t id;
	bool answered;
	int code;
};

static void note(struct request *request, const struct sole_reply *reply)
{
	struct client *client = request->client;

	fprintf(client->history, "a %" PRIu64 " %" PRId64 " %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %d ",
		request->id, clock_monotonic_ns(), sole_name_of(reply->code), reply->session, reply->sequence,
		reply->revision, reply->durable);
	write_results(client->history, reply);
	client->pending--;
	client->last = sole_none();
	if (reply->result_count > 0 && reply->results[0].count > 0)
		client->last = reply->results[0].values[0];
	if (reply->outcome == SOLE_UNKNOWN)
		client->lost = true;
	request->answered = true;
	request->code = reply->code;
}

static void answered(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct request *request = context;

	(void)handle;
	note(request, reply);
	free(request);
}

static struct sole_value key(struct asking *asking, char kind, uint64_t number)
{
	char *name = asking->names[asking->count];

	snprintf(name, NAME_BYTES, "%c%" PRIu64, kind, number);
	return sole_text(name);
}

static void add_operation(struct asking *asking, uint16_t number, uint16_t count,
			  struct sole_value first, struct sole_value second, struct sole_value third)
{
	struct sole_value *arguments = asking->arguments[asking->count];

	arguments[0] = first;
	arguments[1] = second;
	arguments[2] = third;
	asking->operations[asking->count++] = (struct sole_operation){ number, count, arguments };
}

static void begin(struct client *client, const struct asking *asking)
{
	fprintf(client->history, "i %" PRIu64 " %" PRId64 " %s ", ++client->asked, clock_monotonic_ns(),
		asking->query ? "query" : "command");
	write_asked(client->history, asking);
	fputc('\n', client->history);
	client->pending++;
}

static void submit(struct client *client, const struct asking *asking)
{
	struct request *request = malloc(sizeof *request);

	if (request == NULL)
		fatal(EX_OSERR, "no memory");
	*request = (struct request){ .client = client, .id = client->asked + 1 };
	begin(client, asking);
	int code = sole_submit(client->handle, asking->operations, asking->count,
			       asking->query ? SOLE_QUERY : 0, limit_ns, answered, request, NULL);
	if (code != SOLE_OK)
		fatal(EX_SOFTWARE, "cannot ask: %s", sole_text_of(code));
}

/* Waits for the answer. */
static int call(struct client *client, const struct asking *asking)
{
	struct request request = { .client = client, .id = client->asked + 1 };
	struct sole_reply reply;

	begin(client, asking);
	fflush(client->history);
	sole_call(client->handle, asking->operations, asking->count, asking->query ? SOLE_QUERY : 0, limit_ns,
		  &reply);
	note(&request, &reply);
	return request.code;
}

/* ---- what is asked ---- */

static void ask_command(struct client *client, struct asking *asking)
{
	uint64_t from = draw(client, ACCOUNTS), number = draw(client, KEYS);
	int64_t amount = 1 + (int64_t)draw(client, 100);

	switch (draw(client, 8)) {
	case 0:
	case 1:
		add_operation(asking, SOLE_TABLE_ADD, 2, key(asking, 'c', number), sole_integer(amount),
			      sole_none());
		break;
	case 2:
	case 3: /* no other put in the whole run has this value */
		add_operation(asking, SOLE_TABLE_PUT, 2, key(asking, 'v', number),
			      sole_integer((int64_t)client->number << 32 | (int64_t)client->asked),
			      sole_none());
		break;
	case 4:
		if (draw(client, 4) == 0) { /* so long that a disk writes it in parts */
			add_operation(asking, SOLE_TABLE_PUT, 2, key(asking, 'b', number),
				      sole_bytes(long_value, 1 + (uint32_t)draw(client, sizeof long_value)),
				      sole_none());
			break;
		}
		add_operation(asking, SOLE_TABLE_CAS, 3, key(asking, 'k', number),
			      sole_integer((int64_t)draw(client, 2)), sole_integer((int64_t)draw(client, 2)));
		break;
	case 5:
		add_operation(asking, SOLE_TABLE_DELETE, 1, key(asking, 'v', number), sole_none(),
			      sole_none());
		break;
	default: /* what all accounts hold together stays nothing */
		add_operation(asking, SOLE_TABLE_ADD, 2, key(asking, 'a', from), sole_integer(-amount),
			      sole_none());
		add_operation(asking, SOLE_TABLE_ADD, 2, key(asking, 'a', (from + 1 + number) % ACCOUNTS),
			      sole_integer(amount), sole_none());
	}
}

static void ask_query(struct client *client, struct asking *asking)
{
	static const char kinds[] = "cvk";

	asking->query = true;
	if (draw(client, 2) == 0) {
		add_operation(asking, SOLE_TABLE_GET, 1, key(asking, kinds[draw(client, 3)], draw(client, KEYS)),
			      sole_none(), sole_none());
		return;
	}
	for (uint64_t i = 0; i < ACCOUNTS; i++)
		add_operation(asking, SOLE_TABLE_GET, 1, key(asking, 'a', i), sole_none(), sole_none());
}

static int one(struct client *client, uint16_t number, uint16_t count, struct sole_value first,
	       struct sole_value second, bool query)
{
	struct asking asking = { .query = query };

	add_operation(&asking, number, count, first, second, sole_none());
	return call(client, &asking);
}

/* Reads a number and writes its successor, which only the lock makes one step. */
static void count_under_lock(struct client *client)
{
	struct sole_value lock = sole_text("turn"), counted = sole_text("counted");

	if (one(client, SOLE_TABLE_LOCK, 1, lock, sole_none(), false) != SOLE_OK)
		return;
	if (one(client, SOLE_TABLE_GET, 1, counted, sole_none(), true) == SOLE_OK) {
		int64_t value = client->last.type == SOLE_INTEGER ? client->last.integer : 0;
		one(client, SOLE_TABLE_PUT, 2, counted, sole_integer(value + 1), false);
	}
	one(client, SOLE_TABLE_UNLOCK, 1, lock, sole_none(), false);
}

static void open_handle(struct client *client)
{
	const struct sole_options options = { .owner = client->owner,
					      .program = "crash",
					      .silence_ms = client->silence_ms };
	const char *why;

	if (sole_open_why(&client->handle, &options, &why) != SOLE_OK)
		fatal(EX_UNAVAILABLE, "%s", why);
	client->lost = false;
}

static void run(struct client *client, bool writes, int64_t pause_ns)
{
	while (!stopping) {
		struct asking asking = { 0 };
		if (client->lost) {
			sole_run(client->handle, NS_PER_S, -1);
			sole_close(&client->handle);
			open_handle(client);
		}
		if (writes && draw(client, SECTION_EVERY) == 0) {
			count_under_lock(client);
			continue;
		}
		if (writes && draw(client, 8) != 0)
			ask_command(client, &asking);
		else
			ask_query(client, &asking);
		submit(client, &asking);
		uint64_t depth = 1 + draw(client, DEPTH);
		do {
			fflush(client->history);
			sole_run(client->handle, NS_PER_MS, -1);
		} while (client->pending >= depth && !client->lost);
		if (pause_ns > 0)
			nanosleep(&(struct timespec){ .tv_nsec = (long)draw(client, (uint64_t)pause_ns) },
				  NULL);
	}
	sole_run(client->handle, limit_ns, -1);
}

int main(int argc, char **argv)
{
	struct client client = { 0 };

	log_init("crash-client");
	if (argc != 8)
		fatal(EX_USAGE, "OWNER NUMBER SEED FILE writer|reader PAUSE_US SILENCE_MS");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, stop);
	memset(long_value, 'x', sizeof long_value);
	client.owner = argv[1];
	client.number = (unsigned)strtoul(argv[2], NULL, 10);
	client.random = strtoull(argv[3], NULL, 10) * 1000 + client.number;
	client.silence_ms = (uint32_t)strtoul(argv[7], NULL, 10);
	client.history = fopen(argv[4], "w");
	if (client.history == NULL)
		fatal(EX_CANTCREAT, "cannot write %s", argv[4]);
	open_handle(&client);
	run(&client, strcmp(argv[5], "writer") == 0, strtol(argv[6], NULL, 10) * NS_PER_US);
	sole_close(&client.handle);
	return fclose(client.history) == 0 ? EX_OK : EX_IOERR;
}
