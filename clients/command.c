/* SPDX-License-Identifier: MIT
 *
 * sole - ask an owner, or a supervisor, from the shell.
 *
 * One table of subcommands; each is a function that asks once, prints what it
 * got to standard output, and returns the exit status. Talk goes to standard
 * error. The statuses are those of sole(1) and never change.
 */
#include "clients/children.h"
#include "clients/sole.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/options.h"
#include "common/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	STATUS_DONE = 0,    /* and found, where something was looked for */
	STATUS_NO = 1,      /* not found; the condition does not hold */
	STATUS_REFUSED = 2, /* did not run and will not */
	STATUS_UNKNOWN = 3, /* may have run */
	VALUE_MAX_BYTES = 1 << 20,
	OPERANDS_MOST = 3,
};

/* Which options a command takes. */
enum {
	FOR_OWNER = 1, /* --owner --endpoint --timeout --verbose */
	FOR_QUIET = 2,
	FOR_VALUE = 4, /* --bytes */
	FOR_GET = 8,
	FOR_CAS = 16,
	FOR_SUPERVISOR = 32,
};

struct command {
	const char *name, *operands, *about, *example;
	unsigned options;
	int least, most; /* operands */
	int (*run)(int count, char **operands);
};

static struct {
	const char *owner, *endpoint, *supervisor;
	int64_t timeout_ns;
	bool verbose, quiet, bytes, no_newline, absent, remove;
} settings = { .timeout_ns = 5 * NS_PER_S };

static const struct command *current;

static const struct {
	unsigned commands;
	struct option_spec spec;
} options[] = {
	{ FOR_OWNER, { "owner", 'o', OPTION_TEXT, &settings.owner, 0, 0, "NAME", "the owner to ask" } },
	{ FOR_OWNER, { "endpoint", 'e', OPTION_TEXT, &settings.endpoint, 0, 0, "ENDPOINT",
		       "where it listens; beats --owner, which beats $SOLE_ENDPOINT" } },
	{ FOR_OWNER, { "timeout", 't', OPTION_DURATION, &settings.timeout_ns, 0, 0, "TIME",
		       "how long to wait for the answer (5s); 0: for ever" } },
	{ FOR_OWNER, { "verbose", 'v', OPTION_FLAG, &settings.verbose, 0, 0, NULL,
		       "tell endpoint and revision, on standard error" } },
	{ FOR_QUIET, { "quiet", 'q', OPTION_FLAG, &settings.quiet, 0, 0, NULL,
		       "say nothing where the answer is no (status 1)" } },
	{ FOR_VALUE, { "bytes", 'b', OPTION_FLAG, &settings.bytes, 0, 0, NULL,
		       "values are bytes even where they look like integers" } },
	{ FOR_GET, { "no-newline", 'n', OPTION_FLAG, &settings.no_newline, 0, 0, NULL,
		     "print the value and nothing behind it" } },
	{ FOR_CAS, { "absent", 0, OPTION_FLAG, &settings.absent, 0, 0, NULL,
		     "in place of OLD: the key must not be there" } },
	{ FOR_CAS, { "remove", 0, OPTION_FLAG, &settings.remove, 0, 0, NULL,
		     "in place of NEW: remove the key" } },
	{ FOR_SUPERVISOR, { "supervisor", 's', OPTION_TEXT, &settings.supervisor, 0, 0, "NAME",
			    "the supervisor to ask, where several run" } },
};
enum { OPTION_COUNT = sizeof options / sizeof *options };

/* Ends with one line that says what the command takes. */
static _Noreturn void usage_error(const char *what)
{
	fatal(EX_USAGE, "%s: usage: sole %s %s; see sole %s --help", what, current->name,
	      current->operands, current->name);
}

/* ---- values ---- */

/* A value that is wholly an integer's canonical decimal is that integer, so that what
 * was put is what get prints: 007 and +7 stay bytes. */
static bool is_integer(const char *text, int64_t *integer)
{
	char canonical[24];

	if (quantity_integer(text, INT64_MIN, INT64_MAX, integer) != NULL)
		return false;
	snprintf(canonical, sizeof canonical, "%lld", (long long)*integer);
	return strcmp(canonical, text) == 0;
}

static struct sole_value read_standard_input(void)
{
	static char bytes[VALUE_MAX_BYTES + 1];
	static bool done;
	size_t size = 0;

	if (done)
		fatal(EX_USAGE, "'-' stands twice: standard input can be read once");
	done = true;
	while (size < sizeof bytes) {
		ssize_t got = read(STDIN_FILENO, bytes + size, sizeof bytes - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			fatal(EX_IOERR, "cannot read standard input: %s", strerror(errno));
		if (got == 0)
			return sole_bytes(bytes, (uint32_t)size);
		size += (size_t)got;
	}
	fatal(EX_DATAERR, "standard input is larger than %d bytes, the most a message can carry",
	      VALUE_MAX_BYTES);
}

static struct sole_value value_of(const char *text)
{
	int64_t integer;

	if (strcmp(text, "-") == 0)
		return read_standard_input();
	if (!settings.bytes && is_integer(text, &integer))
		return sole_integer(integer);
	return sole_text(text);
}

static void print_value(const struct sole_value *value)
{
	switch (value->type) {
	case SOLE_INTEGER:
		printf("%lld", (long long)value->integer);
		break;
	case SOLE_BYTES:
		fwrite(value->bytes, 1, value->size, stdout);
		break;
	case SOLE_NONE:
		break;
	}
}

/* ---- asking ---- */

/* What to do about a code; NULL where its text says enough. */
static const char *advice(int code)
{
	switch (code) {
	case SOLE_NO_OPERATION:
		return "the owner holds another kind of state, or is of another version";
	case SOLE_VERSION:
	case SOLE_PROTOCOL:
		return "use programs of one version";
	case SOLE_DENIED:
		return "ask as a user that the owner serves";
	case SOLE_BUSY:
		return "ask again";
	case SOLE_EXPIRED:
		return "allow more time with --timeout";
	case SOLE_TOO_LARGE:
		return "`sole status` lists the owner's limits";
	case SOLE_LEAVING:
		return "ask again when it is back";
	case SOLE_WRONG_TYPE:
		return "`sole get` shows it; put replaces it";
	case SOLE_FULL:
		return "delete keys, or raise the owner's limit";
	case SOLE_SESSION_FORGOTTEN:
	case SOLE_REPLY_FORGOTTEN:
	case SOLE_OWNER_DIED:
	case SOLE_TIMED_OUT:
	case SOLE_CLOSED:
		return "look at the state before asking again";
	default:
		return NULL;
	}
}

static int status_of(int code)
{
	switch (code) {
	case SOLE_UNREACHABLE:
		return EX_UNAVAILABLE;
	case SOLE_USAGE:
		return EX_USAGE;
	case SOLE_LOCAL_MEMORY:
	case SOLE_SYSTEM:
		return EX_OSERR;
	default:
		break;
	}
	switch (sole_outcome_of(code)) {
	case SOLE_DONE:
		return STATUS_DONE;
	case SOLE_REFUSED:
		return STATUS_REFUSED;
	case SOLE_UNKNOWN:
		break;
	}
	return STATUS_UNKNOWN;
}

/* One line: did it run, the code's name, the sentence, what to do. */
static int tell_failure(const struct sole *handle, const struct sole_reply *reply)
{
	const char *what_to_do = advice(reply->code);

	if (reply->code == SOLE_UNREACHABLE) {
		char limit[32] = "any time";
		if (settings.timeout_ns > 0)
			quantity_format_duration(settings.timeout_ns, limit, sizeof limit);
		log_error("refused: %s: no owner answered at %s within %s: start one with sole-owner, or allow "
			  "more time with --timeout", sole_name_of(reply->code), sole_endpoint(handle), limit);
	} else {
		log_error("%s: %s: %s%s%s", reply->outcome == SOLE_UNKNOWN ? "unknown" : "refused",
			  sole_name_of(reply->code), reply->text, what_to_do ? ": " : "",
			  what_to_do ? what_to_do : "");
	}
	return status_of(reply->code);
}

static struct sole *open_handle(void)
{
	struct sole *handle;
	const char *why = NULL;
	struct sole_options wanted = {
		.owner = settings.owner,
		.endpoint = settings.endpoint,
		.program = "sole",
		.timeout_ns = settings.timeout_ns == 0 ? SOLE_FOREVER : settings.timeout_ns,
	};

	int code = sole_open_why(&handle, &wanted, &why);
	if (code != SOLE_OK)
		fatal(status_of(code), "%s", why != NULL ? why : sole_text_of(code));
	if (settings.verbose)
		log_info("endpoint %s", sole_endpoint(handle));
	return handle;
}

static void tell_revision(const struct sole_reply *reply)
{
	if (settings.verbose && reply->incarnation != 0)
		log_info("revision %llu, incarnation %016llx, history %016llx",
			 (unsigned long long)reply->revision, (unsigned long long)reply->incarnation,
			 (unsigned long long)reply->history);
}

static void no_line(const char *format, const char *text)
{
	if (!settings.quiet)
		log_error(format, text);
}

/* An answer that lacks the result which the protocol promises. */
static int bad_answer(void)
{
	log_error("the owner's answer is not one that `%s` gives: use programs of one version", current->name);
	return EX_PROTOCOL;
}

/* What to make of the answer. `value` is its first value, NULL when there is none. */
typedef int answer_function(const struct sole_reply *reply, const struct sole_value *value,
			    const char *key);

/* Asks one operation of the table and hands the answer on. */
static int ask(uint16_t number, uint16_t count, const struct sole_value *arguments, int flags,
	       const char *key, answer_function *answer)
{
	struct sole *handle = open_handle();
	struct sole_operation operation = { number, count, arguments };
	struct sole_reply reply;
	int status;

	sole_call(handle, &operation, 1, flags, 0, &reply);
	const struct sole_value *value = NULL;
	if (reply.result_count > 0 && reply.results[0].count > 0)
		value = &reply.results[0].values[0];
	tell_revision(&reply);
	if (reply.outcome == SOLE_DONE || (reply.code == SOLE_CONFLICT && number == SOLE_TABLE_CAS))
		status = answer(&reply, value, key);
	else
		status = tell_failure(handle, &reply);
	sole_close(&handle);
	return status;
}

/* ---- the table's commands ---- */

static int got(const struct sole_reply *reply, const struct sole_value *value, const char *key)
{
	(void)reply;
	if (value == NULL)
		return bad_answer();
	if (value->type == SOLE_NONE) {
		no_line("not found: there is no key '%.200s'", key);
		return STATUS_NO;
	}
	print_value(value);
	if (!settings.no_newline)
		putchar('\n');
	return STATUS_DONE;
}

static int command_get(int count, char **operands)
{
	struct sole_value key = sole_text(operands[0]);

	(void)count;
	return ask(SOLE_TABLE_GET, 1, &key, SOLE_QUERY, operands[0], got);
}

static int was_put(const struct sole_reply *reply, const struct sole_value *value, const char *key)
{
	(void)reply;
	if (value == NULL || value->type != SOLE_INTEGER)
		return bad_answer();
	if (settings.verbose)
		log_info("'%.200s' %s", key, value->integer ? "was there and has a new value" : "is new");
	return STATUS_DONE;
}

static int command_put(int count, char **operands)
{
	struct sole_value arguments[] = { sole_text(operands[0]), value_of(operands[1]) };

	(void)count;
	return ask(SOLE_TABLE_PUT, 2, arguments, 0, operands[0], was_put);
}

static int was_deleted(const struct sole_reply *reply, const struct sole_value *value, const char *key)
{
	(void)reply;
	if (value == NULL || value->type != SOLE_INTEGER)
		return bad_answer();
	if (value->integer != 0)
		return STATUS_DONE;
	no_line("not found: there is no key '%.200s'", key);
	return STATUS_NO;
}

static int command_del(int count, char **operands)
{
	struct sole_value key = sole_text(operands[0]);

	(void)count;
	return ask(SOLE_TABLE_DELETE, 1, &key, 0, operands[0], was_deleted);
}

static int print_number(const struct sole_reply *reply, const struct sole_value *value, const char *key)
{
	(void)reply, (void)key;
	if (value == NULL || value->type != SOLE_INTEGER)
		return bad_answer();
	printf("%lld\n", (long long)value->integer);
	return STATUS_DONE;
}

static int command_add(int count, char **operands)
{
	int64_t delta = 1;
	const char *expected = count < 2 ? NULL
					 : quantity_integer(operands[1], INT64_MIN, INT64_MAX, &delta);

	if (expected != NULL)
		fatal(EX_USAGE, "'%.60s' cannot be added: give %s", operands[1], expected);
	struct sole_value arguments[] = { sole_text(operands[0]), sole_integer(delta) };
	return ask(SOLE_TABLE_ADD, 2, arguments, 0, operands[0], print_number);
}

/* On a conflict, what was found instead goes to standard output: the next try's OLD. */
static int was_compared(const struct sole_reply *reply, const struct sole_value *value, const char *key)
{
	if (reply->code != SOLE_CONFLICT)
		return STATUS_DONE;
	if (value == NULL || value->type == SOLE_NONE) {
		no_line("conflict: there is no key '%.200s'", key);
		return STATUS_NO;
	}
	no_line(settings.absent ? "conflict: the key '%.200s' is there"
				: "conflict: the key '%.200s' has another value", key);
	print_value(value);
	putchar('\n');
	return STATUS_NO;
}

static int command_cas(int count, char **operands)
{
	if (count != 3 - settings.absent - settings.remove)
		usage_error(count < 3 ? "cas needs OLD or --absent, and NEW or --remove"
				      : "--absent stands in place of OLD, --remove in place of NEW");
	struct sole_value arguments[] = {
		sole_text(operands[0]),
		settings.absent ? sole_none() : value_of(operands[1]),
		settings.remove ? sole_none() : value_of(operands[settings.absent ? 1 : 2]),
	};
	return ask(SOLE_TABLE_CAS, 3, arguments, 0, operands[0], was_compared);
}

static int command_count(int count, char **operands)
{
	(void)count, (void)operands;
	return ask(SOLE_TABLE_COUNT, 0, NULL, SOLE_QUERY, "", print_number);
}

/* ---- about the owner ---- */

static int command_ping(int count, char **operands)
{
	struct sole *handle = open_handle();
	struct sole_reply reply;
	int64_t start_ns = clock_monotonic_ns();
	int status;

	(void)count, (void)operands;
	if (sole_ping(handle, 0, &reply) == SOLE_OK) {
		char took[32];
		quantity_format_duration(clock_monotonic_ns() - start_ns, took, sizeof took);
		if (settings.verbose)
			printf("%s answered in %s\n", sole_endpoint(handle), took);
		else
			printf("answered in %s\n", took);
		tell_revision(&reply);
		status = STATUS_DONE;
	} else {
		status = tell_failure(handle, &reply);
	}
	sole_close(&handle);
	return status;
}

/* Of a value as it will be printed, control characters replaced: these are words for people. */
static int text_of_value(const struct sole_value *value, char *text, size_t size)
{
	int length = 0;

	if (value->type == SOLE_INTEGER)
		length = snprintf(text, size, "%lld", (long long)value->integer);
	else
		length = snprintf(text, size, "%.*s", value->type == SOLE_BYTES ? (int)value->size : 0,
				  value->type == SOLE_BYTES ? (const char *)value->bytes : "");
	for (char *at = text; *at != '\0'; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	return length >= (int)size ? (int)size - 1 : length;
}

enum { CELL_BYTES = 256 };

/* The widest of every `step`th value from `first` on. */
static int widest(const struct sole_list *list, size_t first, size_t step, int width)
{
	char text[CELL_BYTES];

	for (size_t i = first; i < list->count; i += step) {
		int length = text_of_value(&list->values[i], text, sizeof text);
		width = length > width ? length : width;
	}
	return width;
}

static int owner_status(void)
{
	struct sole *handle = open_handle();
	struct sole_reply reply;
	int status = STATUS_DONE;

	if (sole_status(handle, 0, &reply) != SOLE_OK) {
		status = tell_failure(handle, &reply);
	} else if (reply.result_count != 1 || reply.results[0].count % 2 != 0) {
		status = bad_answer();
	} else {
		const struct sole_list *list = &reply.results[0];
		int width = widest(list, 0, 2, 0);
		for (size_t i = 0; i < list->count; i += 2) {
			char name[CELL_BYTES + 1], value[CELL_BYTES];
			int length = text_of_value(&list->values[i], name, CELL_BYTES);
			text_of_value(&list->values[i + 1], value, sizeof value);
			printf("%.*s:%*s %s\n", length, name, width - length, "", value);
		}
	}
	sole_close(&handle);
	return status;
}

/* Columns: name, value to the right, unit, sentence. */
static int print_stats(const struct sole_reply *reply)
{
	enum { NAME, VALUE, UNIT, SENTENCE, COLUMNS };
	int width[COLUMNS] = { 0 };

	for (size_t row = 0; row < reply->result_count; row++) {
		if (reply->results[row].count != COLUMNS)
			return bad_answer();
		for (size_t column = NAME; column < SENTENCE; column++)
			width[column] = widest(&reply->results[row], column, COLUMNS, width[column]);
	}
	for (size_t row = 0; row < reply->result_count; row++) {
		char cell[COLUMNS][CELL_BYTES];
		for (size_t column = NAME; column < COLUMNS; column++)
			text_of_value(&reply->results[row].values[column], cell[column], CELL_BYTES);
		printf("%-*s  %*s  %-*s  %s\n", width[NAME], cell[NAME], width[VALUE], cell[VALUE],
		       width[UNIT], cell[UNIT], cell[SENTENCE]);
	}
	return STATUS_DONE;
}

static int command_stats(int count, char **operands)
{
	struct sole *handle = open_handle();
	struct sole_reply reply;

	(void)count, (void)operands;
	int status = sole_stats(handle, 0, &reply) == SOLE_OK ? print_stats(&reply)
							       : tell_failure(handle, &reply);
	sole_close(&handle);
	return status;
}

/* ---- the supervisor's children ---- */

static bool owner_is_named(void)
{
	const char *environment = getenv("SOLE_ENDPOINT");

	return settings.owner != NULL || settings.endpoint != NULL ||
	       (environment != NULL && *environment != '\0');
}

/* The owner's where one is named, else the supervisor's. */
static int command_status(int count, char **operands)
{
	bool supervisor = settings.supervisor != NULL || count > 0;

	if (supervisor && (settings.owner != NULL || settings.endpoint != NULL))
		usage_error("an owner has no children: leave out --owner and --endpoint, or the rest");
	if (!supervisor && owner_is_named())
		return owner_status();
	return children_command("status", count > 0 ? operands[0] : NULL, settings.supervisor);
}

static int command_child(int count, char **operands)
{
	(void)count;
	return children_command(current->name, operands[0], settings.supervisor);
}

/* ---- the table of commands ---- */

static const struct command commands[] = {
	{ "get", "KEY", "Prints the value of a key.", "  sole get -o inventory apples",
	  FOR_OWNER | FOR_QUIET | FOR_GET, 1, 1, command_get },
	{ "put", "KEY VALUE", "Gives a key a value; '-' reads it from standard input.",
	  "  sole put -o inventory apples 12", FOR_OWNER | FOR_VALUE, 2, 2, command_put },
	{ "del", "KEY", "Removes a key.", "  sole del -o inventory apples", FOR_OWNER | FOR_QUIET, 1, 1,
	  command_del },
	{ "add", "KEY [DELTA]", "Adds to an integer (1 if not said) and prints the sum.",
	  "  sole add -o inventory apples -5", FOR_OWNER, 1, 2, command_add },
	{ "cas", "KEY OLD NEW", "Replaces a value if it is OLD; prints what it is if not.",
	  "  sole cas -o inventory apples 12 7\n  sole cas -o inventory leader --absent \"$HOSTNAME\"",
	  FOR_OWNER | FOR_QUIET | FOR_VALUE | FOR_CAS, 1, 3, command_cas },
	{ "count", "", "Prints how many keys there are.", "  sole count -o inventory", FOR_OWNER, 0, 0,
	  command_count },
	{ "ping", "", "Tells whether the owner answers, and how soon.", "  sole ping -v -o inventory",
	  FOR_OWNER, 0, 0, command_ping },
	{ "stats", "", "Prints the owner's counters.", "  sole stats -o inventory", FOR_OWNER, 0, 0,
	  command_stats },
	{ "status", "[CHILD]", "Of an owner (-o), or of a supervisor's children.",
	  "  sole status -o inventory\n  sole status", FOR_OWNER | FOR_SUPERVISOR, 0, 1, command_status },
	{ "start", "CHILD", "Has the supervisor start a child and waits until it is ready.",
	  "  sole start reader.3", FOR_SUPERVISOR, 1, 1, command_child },
	{ "stop", "CHILD", "Has the supervisor stop a child and waits until it is gone.",
	  "  sole stop reader", FOR_SUPERVISOR, 1, 1, command_child },
	{ "restart", "CHILD", "Has the supervisor restart a child.", "  sole restart reader.3",
	  FOR_SUPERVISOR, 1, 1, command_child },
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const struct command *command_named(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* ---- the command line ---- */

/* "-5" and "-" are operands, so that `sole add k -5` needs no "--". */
static bool is_operand(const char *argument)
{
	return argument[0] != '-' || argument[1] == '\0' || isdigit((unsigned char)argument[1]);
}

/* Does the next argument belong to this option? `argument` is one. */
static bool takes_next(const char *argument)
{
	bool is_long = argument[1] == '-';

	for (const char *at = is_long ? NULL : argument + 1; !is_long && *at != '\0'; at++)
		for (size_t i = 0; i < OPTION_COUNT; i++)
			if (options[i].spec.letter == *at && options[i].spec.kind != OPTION_FLAG)
				return at[1] == '\0';
	for (size_t i = 0; is_long && i < OPTION_COUNT; i++)
		if (strncmp(options[i].spec.name, argument + 2, strlen(argument + 2)) == 0)
			return options[i].spec.kind != OPTION_FLAG;
	return false;
}

/* The first operand, or NULL. Hides the '-' of negative numbers from getopt(3),
 * which would take them for options: each such argument then points to its first digit. */
static char *prepare_arguments(int argc, char **argv)
{
	char *first = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return first != NULL || i + 1 == argc ? first : argv[i + 1];
		if (!is_operand(argv[i])) {
			i += takes_next(argv[i]);
			continue;
		}
		if (first == NULL)
			first = argv[i];
		if (argv[i][0] == '-' && argv[i][1] != '\0')
			argv[i]++;
	}
	return first;
}

/* Gives the '-' back. `originals` are the arguments as they came. */
static void restore_operands(char **operands, int count, char **originals)
{
	for (int i = 0; i < count; i++)
		for (char **original = originals; *original != NULL; original++)
			if (operands[i] == *original + 1 && **original == '-')
				operands[i] = *original;
}

/* "sole --help": the commands, then the options that most of them take. */
static const char *list_of_commands(void)
{
	static char text[2048];
	size_t used = (size_t)snprintf(text, sizeof text,
				       "Asks an owner of state, or the supervisor that keeps it up.\n\n");

	for (size_t i = 0; i < COMMAND_COUNT && used < sizeof text; i++) {
		char left[32];
		snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].operands);
		used += (size_t)snprintf(text + used, sizeof text - used, "  %-17s %s\n", left,
					 commands[i].about);
	}
	if (used < sizeof text)
		snprintf(text + used, sizeof text - used,
			 "\nStatus: 0 done, 1 no, 2 refused, 3 unknown, 64 usage, 69 no owner there");
	return text;
}

static struct program describe(const struct command *command, struct option_spec list[OPTION_COUNT])
{
	static char name[32], usage[64];
	unsigned wanted = command != NULL ? command->options : FOR_OWNER | FOR_SUPERVISOR;
	struct program program = { "sole", "COMMAND [operand ...] [option ...]", list_of_commands(),
				   "  sole put -o inventory apples 12\n  sole get -o inventory apples", list, 0 };

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (options[i].commands & wanted)
			list[program.option_count++] = options[i].spec;
	if (command != NULL) {
		snprintf(name, sizeof name, "sole %s", command->name);
		snprintf(usage, sizeof usage, "%s%s[option ...]", command->operands,
			 *command->operands ? " " : "");
		program.name = name;
		program.usage = usage;
		program.about = command->about;
		program.example = command->example;
	}
	return program;
}

/* What was printed has to have arrived. */
static int flush_output(int status)
{
	bool failed = ferror(stdout) != 0;

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return status;
	log_error("cannot write to standard output: %s", errno != 0 ? strerror(errno) : "it failed before");
	return EX_IOERR;
}

int main(int argc, char **argv)
{
	struct option_spec list[OPTION_COUNT];
	char **originals = calloc((size_t)argc + 1, sizeof *originals);

	log_init("sole");
	signal(SIGPIPE, SIG_IGN);
	if (originals == NULL)
		fatal(EX_OSERR, "no memory");
	memcpy(originals, argv, (size_t)argc * sizeof *originals);

	const char *name = prepare_arguments(argc, argv);
	current = name != NULL ? command_named(name) : NULL;
	struct program program = describe(current, list);
	if (name != NULL && current == NULL)
		fatal(EX_USAGE, "'%.60s' is not a command; see sole --help", name);
	int first = options_parse(&program, argc, argv, 0);
	if (current == NULL)
		fatal(EX_USAGE, "say what to do, e.g. sole get KEY; see sole --help");

	char **operands = argv + first + 1;
	int count = argc - first - 1;
	restore_operands(operands, count, originals);
	free(originals);
	if (count < current->least)
		usage_error("something is missing");
	if (count > current->most)
		usage_error("that is too much");
	return flush_output(current->run(count, operands));
}
