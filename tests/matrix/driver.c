/* SPDX-License-Identifier: MIT
 *
 * driver.c - libsole at the end of a pipe: each line of standard input is asked of the owner
 * named by the one argument, and answered with a line. tests/39-operations.t speaks to it, and
 * in the same language to driver.py; the command line is told what is said here by that test.
 *
 *	run NAME VALUE ... ; NAME VALUE ...   a request of these operations, or of `otherwise`
 *	own NAME VALUE ...                    the function that sole.h has for the operation
 *	begin NAME VALUE ...                  submits it; `finish` waits for its answer, `cancel` withdraws
 *	watch PREFIX, hear, unwatch           `hear` waits for the next event
 *	outcome SESSION SEQUENCE              the fate of a command, and the results of one that ran
 *	backup FILE                           the whole state
 *	sessions                              each: its number, its pid, how many commands it has sent
 *	end_session SESSION, read_only [1|0]
 *	trace PREFIX, traced, untrace         `traced` waits for the next request, and tells pid, operation and key
 *	ping, status, stats, describe, latencies, clients, hot, slow    what sole.h calls so
 *	close                                 the session ends; another handle begins
 *
 * A value is i5, b and bytes in hexadecimal, or n; a list stands in parentheses. What is done is
 * answered "ok" and the results, those of an operation in brackets; else there is the name of
 * the code and, of a conflict, what was found.
 */
#include "clients/sole.h"
#include "common/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { LINE_BYTES = 65536, OPERATIONS_MOST = 16, VALUES_MOST = 64, EVENTS_MOST = 16, EVENT_BYTES = 128 };

struct driver {
	struct sole *handle;
	const char *owner;
	struct sole_value values[VALUES_MOST];
	size_t value_count;
	unsigned char bytes[LINE_BYTES]; /* of the values */
	size_t bytes_used;
	uint64_t request; /* begun */
	bool answered;
	uint64_t watch;
	char events[EVENTS_MOST][EVENT_BYTES];
	unsigned heard, told; /* of them */
	bool tracing;
	char traced[EVENTS_MOST][EVENT_BYTES];
	unsigned traces, traces_told;
};

/* ---- what is asked ---- */

static void open_handle(struct driver *driver)
{
	const struct sole_options options = {
		.owner = driver->owner,
		.program = "matrix",
		.silence_ms = 600000
	}; /* it pings only while it is asked something */
	const char *why;

	if (sole_open_why(&driver->handle, &options, &why) != SOLE_OK)
		fatal(EX_UNAVAILABLE, "%s", why);
}

static struct sole_value read_bytes(struct driver *driver, const char *hex)
{
	unsigned char *bytes = driver->bytes + driver->bytes_used;
	uint32_t size = (uint32_t)strlen(hex) / 2;
	unsigned byte;

	for (uint32_t i = 0; i < size && sscanf(hex + 2 * (size_t)i, "%2x", &byte) == 1; i++)
		bytes[i] = (unsigned char)byte;
	driver->bytes_used += size;
	return sole_bytes(bytes, size);
}

static struct sole_value read_value(struct driver *driver, const char *word)
{
	switch (word[0]) {
	case 'i':
		return sole_integer(strtoll(word + 1, NULL, 10));
	case 'b':
		return read_bytes(driver, word + 1);
	case 'n':
		return sole_none();
	default:
		fatal(EX_DATAERR, "no value: %s", word);
	}
}

/* Number and kind of an operation, as the owner tells them. */
static uint16_t find(struct driver *driver, const char *name, bool *query)
{
	struct sole_reply reply;

	if (strcmp(name, "otherwise") == 0)
		return SOLE_OPERATION_OTHERWISE;
	if (sole_describe(driver->handle, 0, &reply) != SOLE_OK)
		fatal(EX_UNAVAILABLE, "describe: %s", reply.text);
	for (size_t i = 0; i < reply.result_count; i++) {
		const struct sole_value *told = reply.results[i].values;
		if (told[1].size != strlen(name) || memcmp(told[1].bytes, name, told[1].size) != 0)
			continue;
		*query = *query && told[2].size == 5; /* "query" */
		return (uint16_t)told[0].integer;
	}
	fatal(EX_DATAERR, "no operation: %s", name);
}

/* Reads the rest of a line. Returns how many operations it has; *flags gets what the request needs. */
static size_t read_operations(struct driver *driver, struct sole_operation *operations, int *flags)
{
	size_t count = 0;
	bool named = false, query = true, otherwise = false;

	driver->value_count = driver->bytes_used = 0;
	for (const char *word; (word = strtok(NULL, " ")) != NULL;) {
		if (strcmp(word, ";") == 0) {
			named = false;
		} else if (!named) {
			if (count == OPERATIONS_MOST)
				fatal(EX_DATAERR, "too many operations");
			uint16_t number = find(driver, word, &query);
			operations[count++] =
				(struct sole_operation){ number, 0, driver->values + driver->value_count };
			otherwise = otherwise || number == SOLE_OPERATION_OTHERWISE;
			named = true;
		} else {
			if (driver->value_count == VALUES_MOST)
				fatal(EX_DATAERR, "too many values");
			driver->values[driver->value_count++] = read_value(driver, word);
			operations[count - 1].argument_count++;
		}
	}
	*flags = (query ? SOLE_QUERY : 0) | (otherwise ? SOLE_OTHERWISE : 0);
	return count;
}

/* ---- what is answered ---- */

static void write_value(struct sole_value value)
{
	struct sole_value item;

	switch (value.type) {
	case SOLE_NONE:
		printf(" n");
		break;
	case SOLE_INTEGER:
		printf(" i%lld", (long long)value.integer);
		break;
	case SOLE_BYTES:
		printf(" b");
		for (uint32_t i = 0; i < value.size; i++)
			printf("%02x", ((const unsigned char *)value.bytes)[i]);
		break;
	case SOLE_LIST:
		printf(" (");
		while (sole_next(&value, &item))
			write_value(item);
		printf(" )");
		break;
	}
}

static void write_lists(size_t count, const struct sole_list *lists)
{
	for (size_t i = 0; i < count; i++) {
		printf(" [");
		for (size_t j = 0; j < lists[i].count; j++)
			write_value(lists[i].values[j]);
		printf(" ]");
	}
}

static void write_reply(const struct sole_reply *reply)
{
	printf("%s", sole_name_of(reply->code));
	if (reply->code == SOLE_CONFLICT)
		write_value(reply->result_count > 0 && reply->results[0].count > 0 ?
				    reply->results[0].values[0] :
				    sole_none());
	write_lists(reply->code == SOLE_OK ? reply->result_count : 0, reply->results);
	printf("\n");
}

static void answer(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct driver *driver = context;

	(void)handle;
	driver->answered = true;
	write_reply(reply);
}

static void hear(struct sole *handle, const struct sole_event *event, void *context)
{
	struct driver *driver = context;

	(void)handle;
	char *text = driver->events[driver->heard++ % EVENTS_MOST];
	if (event->code != SOLE_OK)
		snprintf(text, EVENT_BYTES, "%s", sole_name_of(event->code));
	else if (event->kind.type == SOLE_NONE)
		snprintf(text, EVENT_BYTES, "ok");
	else
		snprintf(text, EVENT_BYTES, "%.*s %.*s", (int)event->kind.size,
			 (const char *)event->kind.bytes, (int)event->key.size,
			 (const char *)event->key.bytes);
	sole_interrupt(driver->handle);
}

/* ---- the words ---- */

static void run(struct driver *driver)
{
	struct sole_operation operations[OPERATIONS_MOST];
	struct sole_reply reply;
	int flags;
	size_t count = read_operations(driver, operations, &flags);

	sole_call(driver->handle, operations, count, flags, 0, &reply);
	write_reply(&reply);
}

static void begin(struct driver *driver)
{
	struct sole_operation operations[OPERATIONS_MOST];
	int flags;
	size_t count = read_operations(driver, operations, &flags);

	driver->answered = false;
	int code = sole_submit(driver->handle, operations, count, flags, 0, answer, driver, &driver->request);
	sole_dispatch(driver->handle);
	printf("%s\n", sole_name_of(code));
}

static void finish(struct driver *driver)
{
	while (!driver->answered)
		sole_run(driver->handle, 0, -1);
}

static void cancel(struct driver *driver)
{
	int code = sole_cancel(driver->handle, driver->request);

	if (code != SOLE_OK)
		printf("%s\n", sole_name_of(code));
	else
		finish(driver);
}

/* sole.h's own function for an operation; what it stores. */
static void own(struct driver *driver)
{
	struct sole_operation operation = { 0 };
	const struct sole_value *value = driver->values;
	struct sole_value found = sole_none();
	int64_t number = 0;
	int code, flags, existed = 0;

	read_operations(driver, &operation, &flags);
	switch (operation.number) {
	case SOLE_TABLE_GET:
		code = sole_get(driver->handle, value[0], &found);
		break;
	case SOLE_TABLE_PUT:
		code = sole_put(driver->handle, value[0], value[1]);
		break;
	case SOLE_TABLE_DELETE:
		code = sole_delete(driver->handle, value[0], &existed);
		found = sole_integer(existed);
		break;
	case SOLE_TABLE_ADD:
		code = sole_add(driver->handle, value[0], value[1].integer, &number);
		found = sole_integer(number);
		break;
	case SOLE_TABLE_CAS:
		code = sole_cas(driver->handle, value[0], value[1], value[2], &found);
		break;
	case SOLE_TABLE_LOCK:
		code = sole_lock(driver->handle, value[0], 0, &number);
		found = sole_integer(number);
		break;
	case SOLE_TABLE_UNLOCK:
		code = sole_unlock(driver->handle, value[0]);
		break;
	default:
		printf("none\n");
		return;
	}
	printf("%s", sole_name_of(code));
	if (code == SOLE_OK || code == SOLE_CONFLICT)
		write_value(found);
	printf("\n");
}

static void wait_event(struct driver *driver)
{
	while (driver->told == driver->heard)
		sole_run(driver->handle, SOLE_FOREVER, -1);
	printf("%s\n", driver->events[driver->told++ % EVENTS_MOST]);
}

static void watch(struct driver *driver)
{
	char *prefix = strtok(NULL, " ");
	int code = sole_watch(driver->handle, sole_text(prefix), 0, 0, 0, hear, driver, &driver->watch);

	if (code != SOLE_OK)
		printf("%s\n", sole_name_of(code));
	else
		wait_event(driver);
}

static void unwatch(struct driver *driver)
{
	int code = sole_unwatch(driver->handle, driver->watch);

	sole_dispatch(driver->handle);
	printf("%s\n", sole_name_of(code));
}

static void outcome(struct driver *driver)
{
	static const char *const names[] = { "ran", "refused", "waiting", "not-come", "never-came", "unknown" };
	const char *session = strtok(NULL, " "), *sequence = strtok(NULL, " ");
	struct sole_fate fate;
	int code = sole_outcome(driver->handle, strtoull(session, NULL, 10), strtoull(sequence, NULL, 10), 0, &fate);

	if (code != SOLE_OK) {
		printf("%s\n", sole_name_of(code));
		return;
	}
	printf("%s", names[fate.fate]);
	write_lists(fate.fate == SOLE_FATE_RAN ? fate.result_count : 0, fate.results);
	printf("\n");
}

static int write_part(void *context, const void *bytes, size_t size)
{
	return fwrite(bytes, 1, size, context) == size ? 0 : -1;
}

static void backup(struct driver *driver)
{
	const char *path = strtok(NULL, " ");
	FILE *file = fopen(path, "w");

	if (file == NULL)
		fatal(EX_CANTCREAT, "%s cannot be made", path);
	int code = sole_backup(driver->handle, write_part, file, 0, NULL);
	fclose(file);
	printf("%s\n", sole_name_of(code));
}

static int write_session(void *context, const struct sole_session *session)
{
	(void)context;
	printf(" [ i%llu i%lld i%llu ]", (unsigned long long)session->session, (long long)session->pid,
	       (unsigned long long)session->commands);
	return 0;
}

static void sessions(struct driver *driver)
{
	printf("ok");
	int code = sole_sessions(driver->handle, write_session, NULL, 0, NULL);
	printf("%s%s\n", code == SOLE_OK ? "" : " and then ", code == SOLE_OK ? "" : sole_name_of(code));
}

static void end_session(struct driver *driver)
{
	printf("%s\n", sole_name_of(sole_end_session(driver->handle, strtoull(strtok(NULL, " "), NULL, 10), 0, NULL)));
}

static void read_only(struct driver *driver)
{
	const char *wanted = strtok(NULL, " ");
	int now = -1, code = sole_read_only(driver->handle, wanted != NULL ? atoi(wanted) : -1, &now, 0, NULL);

	if (code == SOLE_OK)
		printf("ok %d\n", now);
	else
		printf("%s\n", sole_name_of(code));
}

static void on_traced(struct sole *handle, const struct sole_traced *t, void *context)
{
	struct driver *driver = context;

	(void)handle;
	if (t->code != SOLE_OK)
		fatal(EX_SOFTWARE, "the trace is over: %s", t->text);
	driver->tracing |= t->begun != 0;
	if (t->begun || t->dropped > 0)
		return;
	snprintf(driver->traced[driver->traces++ % EVENTS_MOST], EVENT_BYTES, "%d %.*s %.*s", t->pid, (int)t->operation.size,
		 (const char *)t->operation.bytes, (int)t->key.size, (const char *)t->key.bytes);
}

static void trace(struct driver *driver)
{
	const struct sole_trace_filter filter = { .key = sole_text(strtok(NULL, " ")) };

	driver->tracing = false;
	int code = sole_trace(driver->handle, &filter, on_traced, driver);
	while (code == SOLE_OK && !driver->tracing)
		code = sole_ping(driver->handle, 0, NULL);
	printf("%s\n", sole_name_of(code));
}

static void wait_traced(struct driver *driver)
{
	while (driver->traces_told == driver->traces && sole_ping(driver->handle, 0, NULL) == SOLE_OK)
		;
	printf("%s\n", driver->traces_told < driver->traces ? driver->traced[driver->traces_told++ % EVENTS_MOST] : "nothing");
}

static void untrace(struct driver *driver)
{
	printf("%s\n", sole_name_of(sole_trace(driver->handle, NULL, NULL, NULL)));
	sole_ping(driver->handle, 0, NULL);
}

static int ask_latencies(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply)
{
	return sole_latencies(handle, 0, timeout_ns, reply);
}

static int ask_clients(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply)
{
	return sole_clients(handle, 0, timeout_ns, reply);
}

static int ask_slow(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply)
{
	return sole_slow(handle, 1, timeout_ns, reply);
}

static void begin_anew(struct driver *driver)
{
	sole_close(&driver->handle);
	open_handle(driver);
	printf("ok\n");
}

static const struct word {
	const char *name;
	void (*obey)(struct driver *driver);
	/* or what is asked of the owner itself */
	int (*about)(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply);
} words[] = {
	{ "run", run, NULL },
	{ "own", own, NULL },
	{ "begin", begin, NULL },
	{ "finish", finish, NULL },
	{ "cancel", cancel, NULL },
	{ "watch", watch, NULL },
	{ "hear", wait_event, NULL },
	{ "unwatch", unwatch, NULL },
	{ "outcome", outcome, NULL },
	{ "backup", backup, NULL },
	{ "sessions", sessions, NULL },
	{ "end_session", end_session, NULL },
	{ "read_only", read_only, NULL },
	{ "close", begin_anew, NULL },
	{ "ping", NULL, sole_ping },
	{ "status", NULL, sole_status },
	{ "stats", NULL, sole_stats },
	{ "describe", NULL, sole_describe },
	{ "latencies", NULL, ask_latencies },
	{ "clients", NULL, ask_clients },
	{ "hot", NULL, sole_hot },
	{ "slow", NULL, ask_slow },
	{ "trace", trace, NULL },
	{ "traced", wait_traced, NULL },
	{ "untrace", untrace, NULL },
};

static void obey(struct driver *driver, const char *name)
{
	struct sole_reply reply;

	for (const struct word *word = words; word < words + sizeof words / sizeof *words; word++) {
		if (strcmp(word->name, name) != 0)
			continue;
		if (word->obey != NULL) {
			word->obey(driver);
		} else {
			word->about(driver->handle, 0, &reply);
			write_reply(&reply);
		}
		return;
	}
	fatal(EX_DATAERR, "no such word: %s", name);
}

int main(int argc, char **argv)
{
	static struct driver driver;
	static char line[LINE_BYTES];

	log_init("driver");
	if (argc != 2)
		fatal(EX_USAGE, "usage: driver OWNER");
	driver.owner = argv[1];
	open_handle(&driver);
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		const char *word = strtok(line, " ");
		obey(&driver, word != NULL ? word : "");
		fflush(stdout);
	}
	sole_close(&driver.handle);
	return 0;
}
