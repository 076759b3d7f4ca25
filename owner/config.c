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
	.brief = "config behaviour state durability access check-config drain verify repair dump restore",
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

	if (strcmp(item->name, "$") == 0)
		return; /* told already */
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
 * systemd, it need not be there. */
static void read_file(const char *path)
{
	static struct mistakes mistakes;

	if (*path == '-' && access(++path, F_OK) != 0 && errno == ENOENT)
		return;
	zpl_load(&told.settings, path, &mistakes);
	for (size_t i = 0; i < told.settings.count; i++)
		set(&told.settings.items[i], &mistakes);
	mistakes_tell(&mistakes, path);
	if (mistakes.count > 0)
		exit(EX_CONFIG);
}

static void read_durability(void)
{
	const char *word = told.durability_word;

	told.durability = told.state == NULL ? DURABILITY_MEMORY : DURABILITY_SYNC;
	if (word == NULL)
		return;
	bool memory = strcmp(word, "memory") == 0, sync = strcmp(word, "sync") == 0;
	if (!memory && !sync && strcmp(word, "interval") != 0)
		fatal(EX_CONFIG, "durability '%.40s': it is one of memory, sync and interval", word);
	if (!memory && told.state == NULL)
		fatal(EX_CONFIG, "durability %s needs a folder to keep the state in: give --state DIR", word);
	if (memory && told.state != NULL)
		fatal(EX_CONFIG, "durability memory keeps nothing in %.200s: leave --state out, or choose sync or interval",
		      told.state);
	told.durability = memory ? DURABILITY_MEMORY : sync ? DURABILITY_SYNC : DURABILITY_INTERVAL;
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

void config_read(struct config *config, int argc, char **argv)
{
	struct config start = { .socket_mode = 0600, .drain_ns = 1000000000, .metrics_port = -1, .slow_after_ns = 1000000, .sync_interval_ns = 100000000,
				.snapshot_after = 64 << 20, .segment_bytes = 32 << 20, .snapshots_kept = 2, .limits = limits_default() };
	static char **again; /* static: an exit below leaves it reachable */
	again = malloc(((size_t)argc + 1) * sizeof *again);

	if (again == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	memcpy(again, argv, ((size_t)argc + 1) * sizeof *again);
	told = start;
	int operand = options_parse(&program, argc, argv, 0);
	take_operands(argc - operand, argv + operand);
	if (told.file != NULL) {
		const char *name = told.name, *folder = told.inspection.folder, *file = told.file;
		told = start;
		read_file(file);
		options_parse(&program, argc, again, 0);
		told.name = name;
		told.inspection.folder = folder;
	}
	free(again);
	if (told.state != NULL && *told.state == '\0')
		fatal(EX_USAGE, "--state needs the name of a folder");
	read_durability();
	told.segment_bytes &= ~(int64_t)511; /* whole sectors */
	*config = told;
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
	if (config->metrics_port >= 0)
		printf("metrics = %lld\n", (long long)config->metrics_port);
	printf("slow-after = %lldus\n", (long long)config->slow_after_ns / 1000);
	printf("socket-mode = 0%llo\n", (unsigned long long)config->socket_mode);
#define LIMIT(field, option, kind, value, least, most, help)                                                 \
	printf("%s = %lld\n", option, (long long)l->field);
#include "owner/core/limits.def"
#undef LIMIT
	double gib = 1024.0 * 1024 * 1024;
	printf("# memory at the worst, GiB: state %.2f, stored replies %.2f, outboxes %.2f, beside it %.2f\n",
	       (double)l->state_bytes / gib, (double)l->sessions * (double)l->session_replies_bytes / gib,
	       (double)l->outbox_total_bytes / gib, (double)l->memory_mark_bytes / gib);
}
