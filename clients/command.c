/* SPDX-License-Identifier: MIT
 *
 * sole - ask an owner, or a supervisor, from the shell.
 *
 * One table of subcommands and one of their options; command.h tells which file has which.
 */
#include "clients/command.h"

#include "clients/children.h"
#include "clients/command_run.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/options.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Which options a command takes. */
enum {
	FOR_NOTHING = 0,
	FOR_OWNER = 1, /* --owner --endpoint --timeout --verbose */
	FOR_QUIET = 2,
	FOR_VALUE = 4, /* --bytes */
	FOR_GET = 8,
	FOR_CAS = 16,
	FOR_SUPERVISOR = 32,
	FOR_JSON = 64,
	FOR_PUT = 128,
	FOR_SCAN = 256,
	FOR_LOCK = 512,
	FOR_WATCH = 1024,
	FOR_NONE = 2048, /* an operand may be --none */
	FOR_STATS = 8192,
	FOR_TRACE = 16384,
	FOR_SLOW = 32768,
	FOR_TOP = 65536,
	FOR_APART = 1 << 28, /* no option: in the shell it runs as a process of its own */
	FOR_DOCTOR = 1 << 29,
	FOR_FEW = 1 << 30, /* of an option: only --help-all lists it */
	FOR_SESSION = 4096, /* no option: --help says what becomes of the session */
};

enum { OPERANDS_MOST = 65535 };

struct settings settings = {
	.timeout_ns = -1, .every_ns = 1000000000, .for_ns = -1, .revision = -1, .conflict_status = STATUS_NO,
};

char none_operand[] = "--none";

static const struct command *current;

static const struct {
	unsigned commands;
	struct option_spec spec;
} options[] = {
	{ FOR_OWNER, { "owner", 'o', OPTION_TEXT, &settings.owner, 0, 0, "NAME", "the owner to ask" } },
	{ FOR_OWNER | FOR_FEW, { "endpoint", 'e', OPTION_TEXT, &settings.endpoint, 0, 0, "ENDPOINT",
		       "where it listens; beats --owner, which beats $SOLE_ENDPOINT" } },
	{ FOR_OWNER | FOR_FEW, { "server-key", 0, OPTION_TEXT, &settings.server_key, 0, 0, "FILE",
		       "the owner's public key, for tcp://; else $SOLE_SERVER_KEY" } },
	{ FOR_OWNER | FOR_FEW, { "client-key", 0, OPTION_TEXT, &settings.client_key, 0, 0, "FILE",
		       "one's own keys (sole keygen); else $SOLE_CLIENT_KEY" } },
	{ FOR_OWNER, { "timeout", 't', OPTION_DURATION, &settings.timeout_ns, 0, 0, "TIME",
		       "how long to wait for the answer (5s); 0: for ever" } },
	{ FOR_OWNER | FOR_FEW, { "verbose", 'v', OPTION_FLAG, &settings.verbose, 0, 0, NULL,
		       "tell endpoint, session and revision, on standard error" } },
	{ FOR_QUIET, { "quiet", 'q', OPTION_FLAG, &settings.quiet, 0, 0, NULL,
		       "say nothing where the answer is no (status 1)" } },
	{ FOR_JSON, { "json", 'j', OPTION_FLAG, &settings.json, 0, 0, NULL, "print JSON" } },
	{ FOR_VALUE, { "bytes", 'b', OPTION_FLAG, &settings.bytes, 0, 0, NULL,
		       "values are bytes even where they look like integers" } },
	{ FOR_GET, { "no-newline", 'n', OPTION_FLAG, &settings.no_newline, 0, 0, NULL,
		     "print the value and nothing behind it" } },
	{ FOR_GET | FOR_SCAN, { "with-revision", 'r', OPTION_FLAG, &settings.with_revision, 0, 0, NULL,
				"print the revision of the entry's last change, too" } },
	{ FOR_CAS, { "absent", 0, OPTION_FLAG, &settings.absent, 0, 0, NULL,
		     "in place of OLD: the key must not be there" } },
	{ FOR_CAS, { "remove", 0, OPTION_FLAG, &settings.remove, 0, 0, NULL,
		     "in place of NEW: remove the key" } },
	{ FOR_PUT, { "if-absent", 0, OPTION_FLAG, &settings.if_absent, 0, 0, NULL,
		     "only if the key is not there" } },
	{ FOR_PUT, { "if-present", 0, OPTION_FLAG, &settings.if_present, 0, 0, NULL,
		     "only if the key is there" } },
	{ FOR_PUT, { "revision", 0, OPTION_INTEGER, &settings.revision, 0, INT64_MAX, "N",
		     "only if the entry's last change had this revision; 0: it is not there" } },
	{ FOR_PUT, { "for", 0, OPTION_DURATION, &settings.for_ns, 0, 0, "TIME", "the key goes after this time" } },
	{ FOR_SCAN | FOR_SLOW, { "limit", 0, OPTION_INTEGER, &settings.limit, 1, INT64_MAX, "N", "stop after so many" } },
	{ FOR_DOCTOR, { "disk", 0, OPTION_FLAG, &settings.disk, 0, 0, NULL,
			"time syncs on the state's disk, too: writes there for a moment" } },
	{ FOR_LOCK, { "try", 0, OPTION_FLAG, &settings.try, 0, 0, NULL, "do not wait for the lock" } },
	{ FOR_LOCK, { "conflict-status", 'E', OPTION_INTEGER, &settings.conflict_status, 0, 255, "N",
		      "exit status where the lock could not be had (1)" } },
	{ FOR_WATCH, { "from", 0, OPTION_TEXT, &settings.from, 0, 0, "PLACE",
		       "begin there, HISTORY:REVISION, and not now" } },
	{ FOR_WATCH | FOR_TRACE, { "count", 0, OPTION_INTEGER, &settings.event_count, 1, INT64_MAX, "N",
				   "end after so many" } },
	{ FOR_STATS, { "prometheus", 0, OPTION_FLAG, &settings.prometheus, 0, 0, NULL, "print them as Prometheus reads them" } },
	{ FOR_TRACE, { "operation", 0, OPTION_TEXT, &settings.operation, 0, 0, "NAME",
		       "only requests whose first operation is this one" } },
	{ FOR_TRACE, { "key", 'k', OPTION_TEXT, &settings.key, 0, 0, "PREFIX", "only those whose first key begins so" } },
	{ FOR_TRACE, { "pid", 'p', OPTION_INTEGER, &settings.pid, 1, INT32_MAX, "PID", "only those of this process" } },
	{ FOR_TRACE, { "slower", 0, OPTION_DURATION, &settings.slower_ns, 0, 0, "TIME",
		       "only those that took at least so long" } },
	{ FOR_SLOW, { "reset", 0, OPTION_FLAG, &settings.reset, 0, 0, NULL, "and empty the list" } },
	{ FOR_TOP, { "once", 0, OPTION_FLAG, &settings.once, 0, 0, NULL, "print one table and end" } },
	{ FOR_TOP, { "every", 0, OPTION_DURATION, &settings.every_ns, 100000000, 3600000000000, "TIME",
		     "how often to look (1s)" } },
	{ FOR_WATCH, { "exec", 0, OPTION_TEXT, &settings.exec, 0, 0, "COMMAND",
		       "run this for each event, one after the other" } },
	{ FOR_SUPERVISOR | FOR_TOP, { "supervisor", 's', OPTION_TEXT, &settings.supervisor, 0, 0, "NAME",
			    "the supervisor to ask, where several run" } },
};
enum { OPTION_COUNT = sizeof options / sizeof *options };

/* Ends with one line that says what the command takes. */
_Noreturn void usage_error(const char *what)
{
	fatal(EX_USAGE, "%s: usage: sole %s %s; see sole %s --help", what, current->name,
	      current->operands, current->name);
}

const char *current_name(void)
{
	return current->name;
}

/* ---- the supervisor's children ---- */

static int command_child(int count, char **operands)
{
	(void)count;
	return children_command(current->name, operands[0], settings.supervisor);
}

/* ---- the table of commands ---- */

static const struct command commands[] = {
	{ "get", "KEY", "Prints the value of a key.", "  sole get -o inventory apples",
	  FOR_OWNER | FOR_QUIET | FOR_JSON | FOR_GET, 1, 1, command_get, GROUP_KEYS },
	{ "put", "KEY VALUE", "Gives a key a value; '-' reads it from standard input.",
	  "  sole put -o inventory apples 12\n  sole put -o inventory host-a up --for 30s",
	  FOR_OWNER | FOR_QUIET | FOR_JSON | FOR_VALUE | FOR_PUT, 2, 2, command_put, GROUP_KEYS },
	{ "del", "KEY", "Removes a key.", "  sole del -o inventory apples", FOR_OWNER | FOR_QUIET, 1, 1,
	  command_del, GROUP_KEYS },
	{ "add", "KEY [DELTA]", "Adds to an integer (1 if not said) and prints the sum.",
	  "  sole add -o inventory apples -5", FOR_OWNER | FOR_JSON, 1, 2, command_add, GROUP_KEYS },
	{ "cas", "KEY OLD NEW", "Replaces a value if it is OLD; prints what it is if not.",
	  "  sole cas -o inventory apples 12 7\n  sole cas -o inventory leader --absent \"$HOSTNAME\"",
	  FOR_OWNER | FOR_QUIET | FOR_JSON | FOR_VALUE | FOR_CAS, 1, 3, command_cas, GROUP_KEYS },
	{ "mget", "KEY...", "Prints keys and their values.", "  sole mget -o inventory apples pears",
	  FOR_OWNER | FOR_JSON, 1, 255, command_mget, GROUP_KEYS },
	{ "scan", "[PREFIX]", "Prints keys and values in order.", "  sole scan -o inventory user/ --limit 10",
	  FOR_OWNER | FOR_JSON | FOR_SCAN, 0, 1, command_scan, GROUP_KEYS },
	{ "count", "", "Prints how many keys there are.", "  sole count -o inventory", FOR_OWNER | FOR_JSON, 0, 0,
	  command_count, GROUP_KEYS },
	{ "ttl", "KEY", "Prints how long until a key goes.", "  sole ttl -o inventory host-a",
	  FOR_OWNER | FOR_QUIET | FOR_JSON, 1, 1, command_ttl, GROUP_KEYS },
	{ "expire", "KEY TIME", "Lets a key go after a time, or 'never'.", "  sole expire -o inventory host-a 30s",
	  FOR_OWNER | FOR_QUIET, 2, 2, command_expire, GROUP_KEYS },
	{ "txn", "[LINE...]", "Runs operations, all or none, from arguments or standard input.",
	  "  sole txn -o inventory 'check apples 7' 'put apples 8' otherwise 'get apples'",
	  FOR_OWNER | FOR_QUIET | FOR_JSON | FOR_VALUE | FOR_SESSION, 0, OPERANDS_MOST, command_txn, GROUP_OPERATIONS },
	{ "ops", "[NAME]", "Lists the owner's operations.", "  sole ops -o inventory",
	  FOR_OWNER | FOR_QUIET | FOR_JSON, 0, 1, command_ops, GROUP_OPERATIONS },
	{ "call", "NAME [ARG...]", "Runs any of them.",
	  "  sole call -o bank transfer alice bob 10\n  sole call -o inventory cas apples --none 12",
	  FOR_OWNER | FOR_QUIET | FOR_JSON | FOR_VALUE | FOR_NONE | FOR_SESSION, 1, 256,
	  command_call, GROUP_OPERATIONS },
	{ "lock", "NAME -- COMMAND [ARG...]", "Holds a lock while COMMAND runs.",
	  "  sole lock -o inventory nightly -- backup --full\n  sole lock -o inventory nightly --try -- backup",
	  FOR_OWNER | FOR_QUIET | FOR_LOCK, 1, OPERANDS_MOST, command_lock, GROUP_OPERATIONS },
	{ "watch", "[PREFIX]", "Prints what happens to keys, or runs a command for it.",
	  "  sole watch -o inventory user/\n  sole watch -o inventory --exec 'echo \"$SOLE_KEY is $SOLE_VALUE\"'",
	  FOR_OWNER | FOR_QUIET | FOR_JSON | FOR_WATCH, 0, 1, command_watch, GROUP_OPERATIONS },
	{ "outcome", "SESSION SEQUENCE", "Tells what became of a command.",
	  "  sole outcome -o inventory 1152921504606846976 1", FOR_OWNER | FOR_JSON, 2, 2, command_outcome, GROUP_OWNER },
	{ "backup", "FILE", "Writes the whole state to a file, or to standard output ('-').",
	  "  sole backup -o inventory inventory.backup", FOR_OWNER, 1, 1, command_backup, GROUP_OWNER },
	{ "keygen", "FILE", "Makes a pair of keys: FILE is public, FILE_secret is not.",
	  "  sole keygen laptop\n  sole get apples -e tcp://host:5555 --server-key owner --client-key laptop",
	  FOR_JSON, 1, 1, command_keygen, GROUP_TERMINAL },
	{ "sessions", "[end SESSION]", "Lists the owner's sessions, or ends one.",
	  "  sole sessions -o inventory\n  sole sessions -o inventory end 1152921504606846976", FOR_OWNER | FOR_QUIET | FOR_JSON, 0, 2,
	  command_sessions, GROUP_OWNER },
	{ "read-only", "[on|off]", "Tells whether commands are refused, or has them so.",
	  "  sole read-only -o inventory on", FOR_OWNER | FOR_JSON, 0, 1, command_read_only, GROUP_OWNER },
	{ "ping", "", "Tells whether the owner answers, and how soon.", "  sole ping -v -o inventory",
	  FOR_OWNER | FOR_JSON, 0, 0, command_ping, GROUP_OWNER },
	{ "stats", "", "Prints every number that the owner keeps.",
	  "  sole stats -o inventory\n  sole stats -o inventory --prometheus", FOR_OWNER | FOR_JSON | FOR_STATS, 0, 0,
	  command_stats, GROUP_OWNER },
	{ "top", "", "Shows what the owner does, who asks, and for what.", "  sole top -o inventory",
	  FOR_OWNER | FOR_APART | FOR_TOP, 0, 0, command_top, GROUP_OWNER },
	{ "trace", "", "Prints requests as they run.",
	  "  sole trace -o inventory\n  sole trace -o inventory --operation put --key user/ --slower 1ms",
	  FOR_OWNER | FOR_APART | FOR_JSON | FOR_TRACE, 0, 0, command_trace, GROUP_OWNER },
	{ "slow", "", "Prints the slowest requests.", "  sole slow -o inventory\n  sole slow -o inventory --reset",
	  FOR_OWNER | FOR_JSON | FOR_SLOW, 0, 0, command_slow, GROUP_OWNER },
	{ "status", "[CHILD]", "Of an owner (-o), or of a supervisor's children.",
	  "  sole status -o inventory\n  sole status", FOR_OWNER | FOR_JSON | FOR_SUPERVISOR, 0, 1, command_status, GROUP_OWNER },
	{ "start", "CHILD", "Has the supervisor start a child and waits until it is ready.",
	  "  sole start reader.3", FOR_SUPERVISOR, 1, 1, command_child, GROUP_SUPERVISOR },
	{ "stop", "CHILD", "Has the supervisor stop a child and waits until it is gone.",
	  "  sole stop reader", FOR_SUPERVISOR, 1, 1, command_child, GROUP_SUPERVISOR },
	{ "restart", "CHILD", "Has the supervisor restart a child.", "  sole restart reader.3",
	  FOR_SUPERVISOR, 1, 1, command_child, GROUP_SUPERVISOR },
	{ "shell", "", "Asks line by line: ^C ends a request, ^D the shell.",
	  "  sole shell -o inventory\n  printf 'put apples 12\\nget apples\\n' | sole shell -o inventory",
	  FOR_OWNER | FOR_QUIET | FOR_JSON, 0, 0, command_shell, GROUP_TERMINAL },
	{ "doctor", "[OWNER]", "Looks for what is wrong with owners, and says what to do.",
	  "  sole doctor\n  sole doctor inventory --disk", FOR_JSON | FOR_DOCTOR, 0, 1, command_doctor, GROUP_TERMINAL },
	{ "help", "[COMMAND]", "Tells more of a command.", "  sole help put", FOR_NOTHING, 0, 1, command_help, GROUP_TERMINAL },
	{ "complete", "LINE", "Prints how the last word of a command line may go on.", "  sole complete 'sole get -o inventory app'",
	  FOR_NOTHING, 1, 1, command_complete, GROUP_HIDDEN },
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

const struct command *command_at(size_t index)
{
	return index < COMMAND_COUNT ? &commands[index] : NULL;
}

const struct command *command_named(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

bool command_is_apart(const struct command *command)
{
	return (command->options & FOR_APART) != 0;
}

const struct option_spec *command_option(const struct command *command, size_t index)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if ((options[i].commands & command->options) != 0 && index-- == 0)
			return &options[i].spec;
	return NULL;
}

/* ---- the command line ---- */

/* "-5" and "-" are operands, so that `sole add k -5` needs no "--"; so is --none. */
static bool is_operand(const char *argument)
{
	return argument[0] != '-' || argument[1] == '\0' || isdigit((unsigned char)argument[1]) ||
	       strcmp(argument, none_operand) == 0;
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

/* The first operand, or NULL. Hides the dashes of operands from getopt(3), which would take
 * them for options: each such argument then points to what follows its dashes. */
static char *prepare_arguments(int argc, char **argv)
{
	char *first = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			settings.behind_dashes = argc - i - 1;
			return first != NULL || i + 1 == argc ? first : argv[i + 1];
		}
		if (!is_operand(argv[i])) {
			i += takes_next(argv[i]);
			continue;
		}
		if (first == NULL)
			first = argv[i];
		if (argv[i][0] == '-' && argv[i][1] != '\0')
			argv[i] += strspn(argv[i], "-");
	}
	return first;
}

/* Gives the dashes back. `originals` are the arguments as they came. */
static void restore_operands(char **operands, int count, char **originals)
{
	for (int i = 0; i < count; i++)
		for (char **original = originals; *original != NULL; original++)
			if (**original == '-' && operands[i] == *original + strspn(*original, "-") &&
			    operands[i] != *original)
				operands[i] = strcmp(*original, none_operand) == 0 ? none_operand : *original;
}

/* --none only where it means something. */
static void refuse_none(char **operands, int count)
{
	for (int i = 0; i < count; i++)
		if (operands[i] == none_operand)
			fatal(EX_USAGE, "option '%s' is not known; see sole %s --help", none_operand, current->name);
}

static const char session_note[] =
	"\n\nThe session ends with the command, and what it took for the session goes back\n"
	"with it: a lock is let go, a bound key is gone, a job returns to its queue.\n"
	"`sole lock` holds a lock, and `sole shell` a session.";

static const char statuses[] =
	"Status: 0 done, 1 no, 2 refused, 3 unknown, 4 events missing, 5 not decided,\n"
	"64 usage, 65 bad input, 69 nobody answered, 70 child not started, 71 no memory\n"
	"or descriptor, 73 no file made, 74 input or output failed, 75 ask again,\n"
	"76 another version, 77 somebody else's socket";

static const char *const groups[] = {
	[GROUP_KEYS] = "keys", [GROUP_OPERATIONS] = "operations", [GROUP_OWNER] = "an owner",
	[GROUP_SUPERVISOR] = "a supervisor", [GROUP_TERMINAL] = "yourself",
};

/* "sole --help": which commands there are. */
static void list_names(FILE *out)
{
	fputs("Asks an owner of state, or the supervisor that keeps it up. About ...\n", out);
	for (enum command_group group = GROUP_KEYS; group < GROUP_HIDDEN; group++) {
		char names[512] = "";
		for (size_t i = 0; i < COMMAND_COUNT; i++)
			if (commands[i].group == group)
				snprintf(names + strlen(names), sizeof names - strlen(names), " %s", commands[i].name);
		int used = fprintf(out, "\n  %-13s", groups[group]);
		options_wrap(out, used - 1, 15, names);
	}
	fprintf(out, "\n\n`sole help COMMAND` tells what one does and takes: mostly -o NAME, the owner.\n\n%s", statuses);
}

/* "sole --help-all": what they do. */
static void list_commands(FILE *out)
{
	fputs("Asks an owner of state, or the supervisor that keeps it up.\n", out);
	for (enum command_group group = GROUP_KEYS; group < GROUP_HIDDEN; group++) {
		fprintf(out, "\nAbout %s:\n", groups[group]);
		for (size_t i = 0; i < COMMAND_COUNT; i++) {
			char left[48];
			if (commands[i].group != group)
				continue;
			snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].operands);
			int used = fprintf(out, "  %-29s ", left);
			options_wrap(out, used, 32, commands[i].about);
			putc('\n', out);
		}
	}
	fprintf(out, "\n%s\n\nOptions that most of them take; `sole help COMMAND` has the others:", statuses);
}

static const char *text_of(void (*list)(FILE *), char **text)
{
	size_t size;
	FILE *out;

	free(*text);
	*text = NULL;
	out = open_memstream(text, &size);
	if (out == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	list(out);
	if (fclose(out) != 0)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	return *text;
}

/* The options of a command that its --help lists: without those that nearly nobody needs to see again. */
static const char *brief_of(const struct command *command)
{
	static char names[512];

	names[0] = '\0';
	for (size_t i = 0; command != NULL && i < OPTION_COUNT; i++)
		if ((options[i].commands & command->options) != 0 && (options[i].commands & FOR_FEW) == 0)
			snprintf(names + strlen(names), sizeof names - strlen(names), "%s ", options[i].spec.name);
	return names;
}

static struct program describe(const struct command *command, struct option_spec list[OPTION_COUNT])
{
	static char name[32], usage[64], about[512], *texts[2];
	unsigned wanted = command != NULL ? command->options : FOR_OWNER | FOR_SUPERVISOR;
	struct program program = { .name = "sole", .usage = "COMMAND [operand ...] [option ...]", .options = list,
				   .example = "  sole put -o inventory apples 12\n  sole get -o inventory apples",
				   .brief = brief_of(command) };

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if ((options[i].commands & wanted) != 0)
			list[program.option_count++] = options[i].spec;
	if (command == NULL) {
		program.about = text_of(list_names, &texts[0]);
		program.about_all = text_of(list_commands, &texts[1]);
		return program;
	}
	snprintf(name, sizeof name, "sole %s", command->name);
	snprintf(usage, sizeof usage, "%s%s[option ...]", command->operands, *command->operands ? " " : "");
	snprintf(about, sizeof about, "%s%s", command->about, command->options & FOR_SESSION ? session_note : "");
	program.name = name;
	program.usage = usage;
	program.about = about;
	program.example = command->example;
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

/* What was not given. */
static void settle(void)
{
	settings.timeout_given = settings.timeout_ns >= 0;
	if (!settings.timeout_given)
		settings.timeout_ns = 5 * NS_PER_S;
}

/* The shell has its owner. */
static void refuse_other_owner(const struct settings *before)
{
	if (in_shell() && (settings.owner != before->owner || settings.endpoint != before->endpoint))
		fatal(EX_USAGE, "a shell asks one owner: leave out --owner and --endpoint, or start another shell");
}

/* What the operands were before prepare_arguments: kept until the next command, since fatal may leave from
 * anywhere. */
static char **copy_arguments(int argc, char **argv)
{
	static char **copy;

	free(copy);
	copy = calloc((size_t)argc + 1, sizeof *copy);
	if (copy == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	memcpy(copy, argv, (size_t)argc * sizeof *copy);
	return copy;
}

int run_command(int argc, char **argv)
{
	struct option_spec list[OPTION_COUNT];
	char **originals = copy_arguments(argc, argv);
	const struct settings before = settings;

	const char *name = prepare_arguments(argc, argv);
	current = name != NULL ? command_named(name) : NULL;
	struct program program = describe(current, list);
	if (name != NULL && current == NULL)
		fatal(EX_USAGE, "'%.60s' is not a command; see sole --help", name);
	int first = options_parse(&program, argc, argv, 0);
	if (current == NULL)
		fatal(EX_USAGE, "say what to do, e.g. sole get KEY; see sole --help");
	settle();
	refuse_other_owner(&before);

	char **operands = argv + first + 1;
	int count = argc - first - 1;
	restore_operands(operands, count, originals);
	if ((current->options & FOR_NONE) == 0)
		refuse_none(operands, count);
	if (count < current->least)
		usage_error("something is missing");
	if (count > current->most)
		usage_error("that is too much");
	return flush_output(current->run(count, operands));
}

int main(int argc, char **argv)
{
	log_init("sole");
	run_remember_signals();
	signal(SIGPIPE, SIG_IGN);
	run_remember_arguments(argc, argv);
	return run_command(argc, argv);
}
