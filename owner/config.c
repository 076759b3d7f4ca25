/* SPDX-License-Identifier: MIT
 *
 * config.c - options and configuration file of an owner.
 *
 * All mistakes of the file are told at once, each with its line.
 */
#include "owner/config.h"
#include "common/log.h"
#include "common/options.h"
#include "common/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static struct config told; /* the options' targets; copied out when all is read */

static const struct option_spec options[] = {
	{ "endpoint", 'e', OPTION_TEXT, &told.endpoint, 0, 0, "ipc://PATH", "listen there instead of DIR/NAME.sock" },
	{ "listen", 'l', OPTION_TEXT, &told.listen, 0, 0, "tcp://HOST:PORT", "listen there, too, for other hosts" },
	{ "key", 'k', OPTION_TEXT, &told.key, 0, 0, "FILE", "with --listen: the owner's own keys (sole keygen FILE)" },
	{ "client-keys", 'K', OPTION_TEXT, &told.client_keys, 0, 0, "DIR", "with --listen: who may come, a public key a file" },
	{ "in-the-clear", 0, OPTION_FLAG, &told.in_the_clear, 0, 0, NULL, "with --listen: no keys, and no secrets" },
	{ "config", 'c', OPTION_TEXT, &told.file, 0, 0, "FILE", "read settings, named like these options, from FILE; -FILE: if it is there" },
	{ "behaviour", 'b', OPTION_TEXT, &told.behaviour, 0, 0, "FILE.so", "run this behaviour instead of the table" },
	{ "state", 's', OPTION_TEXT, &told.state, 0, 0, "DIR", "keep the state in this folder: it outlives the owner" },
	{ "durability", 0, OPTION_TEXT, &told.durability_word, 0, 0, "WORD",
	  "with --state: sync (the default) answers what is on disk; interval syncs now and then" },
	{ "sync-interval", 0, OPTION_DURATION, &told.sync_interval_ns, 1000000, 60000000000, "TIME",
	  "of durability interval: what a loss of power may take (100ms)" },
	{ "snapshot-after", 0, OPTION_SIZE, &told.snapshot_after, 65536, 1099511627776, "SIZE",
	  "of journal, after which the state is written as a whole (64MiB), or its own size if that is more" },
	{ "keep-snapshots", 0, OPTION_INTEGER, &told.snapshots_kept, 1, 1000, "N",
	  "of them, and the journal since the oldest, to look back (2)" },
	{ "journal-segment", 0, OPTION_SIZE, &told.segment_bytes, 65536, 1073741824, "SIZE", "of a file of the journal (32MiB)" },
	{ "access", 0, OPTION_TEXT, &told.access, 0, 0, "FILE", "who may do what: rules, as sole-owner(8) has them" },
	{ "read-only", 0, OPTION_FLAG, &told.read_only, 0, 0, NULL, "refuse commands until told otherwise" },
	{ "disk-warning", 0, OPTION_SIZE, &told.disk_warning_bytes, 0, 1099511627776, "SIZE",
	  "with --state: warn when less is left on its disk (256MiB)" },
	{ "check-config", 0, OPTION_FLAG, &told.check, 0, 0, NULL, "print the settings and the worst case of memory" },
	{ "socket-mode", 0, OPTION_MODE, &told.socket_mode, 0, 0777, "MODE", "permissions of the socket (0600)" },
	{ "drain", 0, OPTION_DURATION, &told.drain_ns, 0, 3600000000000, "TIME", "how long stopping may wait for clients (1s)" },
	{ "metrics", 0, OPTION_INTEGER, &told.metrics_port, 0, 65535, "PORT",
	  "answer GET /metrics on this port of 127.0.0.1, as Prometheus reads it; 0: any" },
	{ "slow-after", 0, OPTION_DURATION, &told.slow_after_ns, 0, 3600000000000, "TIME",
	  "requests that run for longer are kept for `sole slow` (1ms)" },
	{ "quiet", 'q', OPTION_FLAG, &told.quiet, 0, 0, NULL, "print no totals at the end" },
	/* Instead of owning: see inspect.h. */
	{ "verify", 0, OPTION_TEXT, &told.inspection.verify, 0, 0, "DIR", "read all of a state's folder: is it sound?" },
	{ "repair", 0, OPTION_TEXT, &told.inspection.repair, 0, 0, "DIR", "set aside what is damaged; --yes where that loses something" },
	{ "dump", 0, OPTION_TEXT, &told.inspection.dump, 0, 0, "DIR", "print the state as text; --at REVISION: as it was" },
	{ "log", 0, OPTION_TEXT, &told.inspection.log, 0, 0, "DIR", "print who did what, when; --from, --to REVISION, --json" },
	{ "replay", 0, OPTION_TEXT, &told.inspection.replay, 0, 0, "DIR", "run what is recorded through --behaviour: does it agree?" },
	{ "restore", 0, OPTION_TEXT, &told.inspection.restore, 0, 0, "FILE", "make the folder behind it from a backup" },
	{ "export", 0, OPTION_TEXT, &told.inspection.export_as_text, 0, 0, "DIR", "the same as --dump: text that --import takes" },
	{ "import", 0, OPTION_TEXT, &told.inspection.import, 0, 0, "FILE", "make the folder behind it from a text" },
	{ "at", 0, OPTION_INTEGER, &told.inspection.at, 1, INT64_MAX, NULL, NULL },
	{ "from", 0, OPTION_INTEGER, &told.inspection.from, 1, INT64_MAX, NULL, NULL },
	{ "to", 0, OPTION_INTEGER, &told.inspection.to, 1, INT64_MAX, NULL, NULL },
	{ "json", 0, OPTION_FLAG, &told.inspection.json, 0, 0, NULL, NULL },
	{ "yes", 0, OPTION_FLAG, &told.inspection.yes, 0, 0, NULL, NULL },
#define LIMIT(field, option, kind, value, least, most, help)                                       \
	{ option, 0, OPTION_##kind, &told.limits.field, least, most, "N", help },
#include "owner/core/limits.def"
#undef LIMIT
};

static const struct program program = {
	.name = "sole-owner",
	.usage = "[option ...] NAME",
	.about = "Owns the state called NAME and runs its operations, one at a time.",
	.example = "  sole-owner inventory &\n  sole -o inventory put apples 12",
	.options = options,
	.option_count = sizeof options / sizeof *options,
	.brief = "config behaviour state durability access check-config verify repair dump restore",
};

/* The option of that name, or NULL. */
static const struct option_spec *option_of(const char *name)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* Is this something to do now, and no setting? */
static bool not_for_a_file(const struct option_spec *option)
{
	const char *first = (const char *)&told.inspection, *target = option->target;
	bool inspects = target >= first && target < first + sizeof told.inspection;

	return inspects || strcmp(option->name, "config") == 0 || strcmp(option->name, "check-config") == 0;
}

static void set(const struct zpl_item *item, struct mistakes *mistakes)
{
	const struct option_spec *option = option_of(item->name);
	const char *problem;

	static bool in_access; /* below a line 'access': rules, which are read when it is known what they are about */

	if (strcmp(item->name, "$") == 0)
		return; /* told already */
	if (item->level == 0)
		in_access = strcmp(item->name, "access") == 0;
	if (in_access && item->level > 0 && told.access != NULL)
		mistakes_add(mistakes, item->line, "'access' names a file already: rules stand there, or here");
	if (in_access && (item->level > 0 || *item->value == '\0')) {
		told.access_section = true;
		return;
	}
	if (item->level > 0)
		mistakes_add(mistakes, item->line, "'%.64s' is indented, and no setting belongs to another", item->name);
	else if (option != NULL && not_for_a_file(option))
		mistakes_add(mistakes, item->line, "'%.64s' is an option, and no setting for a file", item->name);
	else if (option != NULL && option->kind == OPTION_TEXT && *item->value == '\0')
		mistakes_add(mistakes, item->line, "'%s' has no value: %s = %s", item->name, item->name,
			     option->argument);
	else if ((problem = options_set(&program, item->name, item->value)) != NULL)
		mistakes_add(mistakes, item->line, "%s", problem);
}

/* Settings of the file; those on the command line come after and win. With a '-' before its name, as in units of
 * systemd, it need not be there. False: there were mistakes, and they have been told. */
static bool read_file(const char *path)
{
	static struct mistakes mistakes;

	if (*path == '-' && access(++path, F_OK) != 0 && errno == ENOENT)
		return true;
	mistakes.count = mistakes.untold = 0;
	zpl_load(&told.settings, path, &mistakes);
	for (size_t i = 0; i < told.settings.count; i++)
		set(&told.settings.items[i], &mistakes);
	mistakes_tell(&mistakes, path);
	return mistakes.count == 0;
}

/* What is wrong with the settings taken together, and the exit status that goes with it; or NULL. */
static const char *problem_of_state(int *status)
{
	static char text[256];
	const char *word = told.durability_word;

	*status = EX_USAGE;
	if (told.state != NULL && *told.state == '\0')
		return "--state needs the name of a folder";
	*status = EX_CONFIG;
	told.durability = told.state == NULL ? DURABILITY_MEMORY : DURABILITY_SYNC;
	if (word == NULL)
		return NULL;
	bool memory = strcmp(word, "memory") == 0, sync = strcmp(word, "sync") == 0;
	text[0] = '\0';
	if (!memory && !sync && strcmp(word, "interval") != 0)
		snprintf(text, sizeof text, "durability '%.40s': it is one of memory, sync and interval", word);
	else if (!memory && told.state == NULL)
		snprintf(text, sizeof text, "durability %s needs a folder to keep the state in: give --state DIR", word);
	else if (memory && told.state != NULL)
		snprintf(text, sizeof text, "durability memory keeps nothing in %.150s: leave --state out, or choose sync or interval",
			 told.state);
	told.durability = memory ? DURABILITY_MEMORY : sync ? DURABILITY_SYNC : DURABILITY_INTERVAL;
	return text[0] != '\0' ? text : NULL;
}

/* Host and port, which libzmq takes apart; `*` lets the system choose the port. */
static bool is_tcp_endpoint(const char *text)
{
	static const char scheme[] = "tcp://";
	const char *colon = strrchr(text, ':');

	if (strncmp(text, scheme, sizeof scheme - 1) != 0 || colon <= text + sizeof scheme - 1)
		return false;
	return strcmp(colon, ":*") == 0 || (colon[1] != '\0' && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
					   strlen(colon + 1) <= 5 && atoi(colon + 1) >= 1 && atoi(colon + 1) <= 65535);
}

/* Never in the clear by leaving something out. */
static void check_listen(void)
{
	if (told.listen == NULL && (told.key != NULL || told.client_keys != NULL || told.in_the_clear))
		fatal(EX_CONFIG, "--key, --client-keys and --in-the-clear say how to listen on tcp: give --listen tcp://HOST:PORT, too");
	if (told.listen == NULL)
		return;
	if (!is_tcp_endpoint(told.listen))
		fatal(EX_CONFIG, "'%.120s' is no place to listen: give tcp://HOST:PORT, as in tcp://192.0.2.7:5555 or tcp://*:5555",
		      told.listen);
	if (told.in_the_clear && (told.key != NULL || told.client_keys != NULL))
		fatal(EX_CONFIG, "--in-the-clear uses no keys: leave it out, or --key and --client-keys");
	if (!told.in_the_clear && (told.key == NULL || told.client_keys == NULL))
		fatal(EX_CONFIG, "--listen needs --key FILE (sole keygen makes one) and --client-keys DIR; what is not to be "
		      "encrypted must be told so: --in-the-clear");
}

static void take_operands(int count, char **operands)
{
	const char *problem;

	if (inspect_asked(&told.inspection)) {
		problem = inspect_operands(&told.inspection, count, operands);
		if (problem != NULL)
			fatal(EX_USAGE, "%s; see sole-owner --help", problem);
		return;
	}
	if (count != 1)
		fatal(EX_USAGE, "%s; see sole-owner --help",
		      count == 0 ? "give the name of the state" : "only one name can be given");
	told.name = operands[0];
	problem = rundir_name_problem(told.name);
	if (problem != NULL)
		fatal(EX_USAGE, "'%.80s' is not a name: %s", told.name, problem);
}

/* ---- all of it ---- */

static struct config defaults(void)
{
	return (struct config){ .socket_mode = 0600, .drain_ns = 1000000000, .metrics_port = -1, .slow_after_ns = 1000000,
				.sync_interval_ns = 100000000,
				.snapshot_after = 64 << 20, .segment_bytes = 32 << 20, .snapshots_kept = 2,
				.disk_warning_bytes = 256 << 20, .limits = limits_default() };
}

/* The command line, to be read again: parsing permutes it. */
static struct {
	int count;
	char **words;
	const char *name, *folder, *file;
} line;

static char **copy_of_line(void)
{
	char **copy = malloc(((size_t)line.count + 1) * sizeof *copy);

	if (copy != NULL)
		memcpy(copy, line.words, ((size_t)line.count + 1) * sizeof *copy);
	return copy;
}

/* From nothing to all settings: the file's, then those of the command line. */
static bool read_all(void)
{
	char **words = copy_of_line();

	if (words == NULL) {
		log_error("there is no memory to read the settings");
		return false;
	}
	told = defaults();
	bool sound = line.file == NULL || read_file(line.file);
	if (sound)
		options_parse(&program, line.count, words, 0);
	free(words);
	told.name = line.name;
	told.file = line.file;
	told.inspection.folder = line.folder;
	told.segment_bytes &= ~(int64_t)511; /* whole sectors */
	return sound;
}

void config_read(struct config *config, int argc, char **argv)
{
	const char *problem;
	int status;

	line.count = argc;
	line.words = argv;
	line.words = copy_of_line();
	if (line.words == NULL)
		fatal(EX_OSERR, "no memory");
	told = defaults();
	int operand = options_parse(&program, argc, argv, 0);
	take_operands(argc - operand, argv + operand);
	line.name = told.name;
	line.folder = told.inspection.folder;
	line.file = told.file;
	if (!read_all())
		exit(EX_CONFIG);
	problem = problem_of_state(&status);
	if (problem != NULL)
		fatal(status, "%s", problem);
	check_listen();
	*config = told;
}

bool config_read_again(struct config *fresh)
{
	int status;
	bool sound = read_all();
	const char *problem = sound ? problem_of_state(&status) : NULL;

	if (problem != NULL)
		log_error("%s: %s", config_file(&told), problem);
	*fresh = told;
	if (!sound || problem != NULL)
		config_clear(fresh);
	return sound && problem == NULL;
}

const char *config_file(const struct config *config)
{
	return config->file != NULL && *config->file == '-' ? config->file + 1 : config->file;
}

void config_clear(struct config *config)
{
	zpl_clear(&config->settings);
}

/* ---- taking over ---- */

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* Is it a limit that is looked at when it is used? Of the others room was made at the start. */
static bool is_taken_while_running(const struct option_spec *option)
{
	static const char *const at_start[] = { "max-connections", "round-messages", "max-events", NULL };
	static const char *const beside[] = { "drain", "disk-warning", NULL };
	const char *first = (const char *)&told.limits, *target = option->target;
	bool limit = target >= first && target < first + sizeof told.limits;

	return limit ? !is_one_of(option->name, at_start) : is_one_of(option->name, beside);
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool differs(const struct option_spec *option, const void *a, const void *b)
{
	switch (option->kind) {
	case OPTION_FLAG:
		return *(const bool *)a != *(const bool *)b;
	case OPTION_TEXT:
		return !same_text(*(const char *const *)a, *(const char *const *)b);
	case OPTION_DURATION:
	case OPTION_SIZE:
	case OPTION_INTEGER:
	case OPTION_MODE:
		break;
	}
	return *(const int64_t *)a != *(const int64_t *)b;
}

void config_take(struct config *config, const struct config *fresh)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		const struct option_spec *option = &options[i];
		size_t offset = (size_t)((const char *)option->target - (const char *)&told);
		char *now = (char *)config + offset;
		const char *then = (const char *)fresh + offset;
		if (strcmp(option->name, "access") == 0 || !differs(option, now, then))
			continue;
		if (is_taken_while_running(option))
			memcpy(now, then, sizeof(int64_t));
		else
			log_warn("%s is another now: it is taken at the next start", option->name);
	}
}

void config_print(const struct config *config)
{
	const struct limits *l = &config->limits;

	printf("name = %s\n", config->name);
	if (config->behaviour != NULL)
		printf("behaviour = %s\n", config->behaviour);
	static const char *const words[] = { "memory", "sync", "interval" };
	printf("durability = %s\n", words[config->durability]);
	if (config->state != NULL) {
		printf("state = %s\n", config->state);
		printf("sync-interval = %lldus\nsnapshot-after = %lld\nkeep-snapshots = %lld\njournal-segment = %lld\n",
		       (long long)config->sync_interval_ns / 1000, (long long)config->snapshot_after,
		       (long long)config->snapshots_kept, (long long)config->segment_bytes);
	}
	if (config->listen != NULL)
		printf("listen = %s\n", config->listen);
	if (config->key != NULL)
		printf("key = %s\nclient-keys = %s\n", config->key, config->client_keys);
	if (config->in_the_clear)
		printf("in-the-clear = yes\n");
	if (config->metrics_port >= 0)
		printf("metrics = %lld\n", (long long)config->metrics_port);
	printf("slow-after = %lldus\n", (long long)config->slow_after_ns / 1000);
	printf("socket-mode = 0%llo\n", (unsigned long long)config->socket_mode);
	if (config->access != NULL)
		printf("access = %s\n", config->access);
	if (config->read_only)
		printf("read-only = yes\n");
	if (config->state != NULL)
		printf("disk-warning = %lld\n", (long long)config->disk_warning_bytes);
#define LIMIT(field, option, kind, value, least, most, help)                                                 \
	printf("%s = %lld\n", option, (long long)l->field);
#include "owner/core/limits.def"
#undef LIMIT
	double gib = 1024.0 * 1024 * 1024;
	printf("# memory at the worst, GiB: state %.2f, stored replies %.2f, outboxes %.2f, beside it %.2f\n",
	       (double)l->state_bytes / gib, (double)l->sessions * (double)l->session_replies_bytes / gib,
	       (double)l->outbox_total_bytes / gib, (double)l->memory_mark_bytes / gib);
}
