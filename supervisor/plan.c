/* SPDX-License-Identifier: MIT
 *
 * plan.c - from the items of a ZPL file to a checked plan.
 *
 * Every setting stands in one of two tables: name, kind, where it goes, range.
 * Reading goes on after a mistake, so that all of them are told at once.
 */
#include "supervisor/plan.h"
#include "common/clock.h"
#include "common/quantity.h"
#include "common/rundir.h"
#include "common/zpl.h"
#include "supervisor/words.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

enum setting_kind { KIND_DURATION, KIND_INTEGER, KIND_MODE, KIND_CHOICE, KIND_SPECIAL };

struct setting {
	const char *name;
	enum setting_kind kind;
	size_t offset;
	int64_t least, most;
	const char *const *choices;
};

const char *const strategy_names[] = { "one_for_one", "one_for_all", "rest_for_one", NULL };
const char *const restart_names[] = { "permanent", "transient", "temporary", NULL };
const char *const output_names[] = { "prefixed", "plain", "errors", NULL };
static const char *const ready_names[] = { "none", "notify", NULL };
static const char *const no_yes[] = { "no", "yes", NULL };

#define YEAR_NS (365 * 86400 * NS_PER_S)
#define OF_PLAN(field) offsetof(struct plan, field)
#define OF_CHILD(field) offsetof(struct child_spec, field)

static const struct setting plan_settings[] = {
	{ "name", KIND_SPECIAL, 0, 0, 0, NULL },
	{ "strategy", KIND_CHOICE, OF_PLAN(strategy), 0, 0, strategy_names },
	{ "intensity", KIND_INTEGER, OF_PLAN(intensity), 0, INTENSITY_MAX, NULL },
	{ "period", KIND_DURATION, OF_PLAN(period_ns), NS_PER_MS, YEAR_NS, NULL },
	{ "backoff", KIND_DURATION, OF_PLAN(backoff_first_ns), 0, YEAR_NS, NULL },
	{ "backoff-max", KIND_DURATION, OF_PLAN(backoff_most_ns), 0, YEAR_NS, NULL },
	{ "stable", KIND_DURATION, OF_PLAN(stable_ns), NS_PER_MS, YEAR_NS, NULL },
	{ "duration", KIND_DURATION, OF_PLAN(duration_ns), 0, YEAR_NS, NULL },
};

static const struct setting child_settings[] = {
	{ "command", KIND_SPECIAL, 0, 0, 0, NULL },
	{ "restart", KIND_CHOICE, OF_CHILD(restart), 0, 0, restart_names },
	{ "instances", KIND_INTEGER, OF_CHILD(instances), 1, 1000, NULL },
	{ "ready", KIND_CHOICE, OF_CHILD(ready), 0, 0, ready_names },
	{ "start-timeout", KIND_DURATION, OF_CHILD(start_limit_ns), 0, YEAR_NS, NULL },
	{ "stop-timeout", KIND_DURATION, OF_CHILD(stop_limit_ns), 0, YEAR_NS, NULL },
	{ "watchdog", KIND_DURATION, OF_CHILD(watchdog_ns), 0, YEAR_NS, NULL },
	{ "significant", KIND_CHOICE, OF_CHILD(significant), 0, 0, no_yes },
	{ "output", KIND_CHOICE, OF_CHILD(output), 0, 0, output_names },
	{ "go", KIND_CHOICE, OF_CHILD(go), 0, 0, no_yes },
	{ "listen", KIND_SPECIAL, 0, 0, 0, NULL },
	{ "listen-mode", KIND_MODE, OF_CHILD(listen_mode), 0, 0777, NULL },
	{ "directory", KIND_SPECIAL, 0, 0, 0, NULL },
	{ "environment", KIND_SPECIAL, 0, 0, 0, NULL },
};

enum { SETTINGS_MAX = 16 };
#define COUNT(table) (sizeof(table) / sizeof *(table))
_Static_assert(COUNT(plan_settings) <= SETTINGS_MAX && COUNT(child_settings) <= SETTINGS_MAX,
	       "the lines of settings seen are kept in arrays of this size");

/* Where reading is in the file. */
struct reader {
	struct plan *plan;
	struct mistakes *mistakes;
	struct child_spec *child;             /* whose settings come, or NULL */
	unsigned plan_lines[SETTINGS_MAX];    /* where each setting was given, or 0 */
	unsigned child_lines[SETTINGS_MAX];
	const char *parent, *grandparent;     /* the items of levels 0 and 1 above */
	unsigned ignored_below;               /* levels deeper than this belong to a mistake */
	bool unreadable;                      /* a line of this child could not be read */
	bool out_of_memory;
};

/* A copy is never longer than the line it comes from, so there is room for all. */
enum { STRINGS_BYTES = ZPL_BYTES_MAX + PATH_MAX + 1 };

static char *copy(struct reader *reader, const char *text)
{
	struct plan *plan = reader->plan;
	size_t size = strlen(text) + 1;
	char *result = plan->strings + plan->strings_used;

	assert(size <= STRINGS_BYTES - plan->strings_used);
	memcpy(result, text, size);
	plan->strings_used += size;
	return result;
}

static const char *number_problem(const struct setting *setting, const char *value, int64_t *number)
{
	static char text[MISTAKE_BYTES];
	const char *expected = NULL;
	char *end;

	switch (setting->kind) {
	case KIND_DURATION:
		expected = quantity_duration(value, number);
		if (expected != NULL || (*number >= setting->least && *number <= setting->most))
			return expected;
		return setting->least > 0 ? "from 1ms to 365d" : "at most 365d";
	case KIND_INTEGER:
		return quantity_integer(value, setting->least, setting->most, number);
	case KIND_MODE:
		*number = strtol(value, &end, 8);
		if (*value < '0' || *value > '7' || *end != '\0' || *number > setting->most)
			expected = "octal permission bits such as 0600";
		return expected;
	case KIND_CHOICE:
		for (*number = 0; setting->choices[*number] != NULL; ++*number)
			if (strcmp(setting->choices[*number], value) == 0)
				return NULL;
		snprintf(text, sizeof text, "%s or %s%s%s", setting->choices[0], setting->choices[1],
			 *number > 2 ? " or " : "", *number > 2 ? setting->choices[2] : "");
		return text;
	case KIND_SPECIAL:
		break;
	}
	return "possible";
}

static void take_command(struct reader *reader, const struct zpl_item *item)
{
	struct child_spec *child = reader->child;
	char **words;
	const char *problem = words_split(item->value, &words);

	if (problem != NULL) {
		mistakes_add(reader->mistakes, item->line, "the command %s", problem);
		return;
	}
	child->words = words;
	child->command = copy(reader, item->value);
}

static const char *socket_path_problem(const char *path)
{
	if (strlen(path) >= RUNDIR_PATH_MAX)
		return "the path of a socket has at most 107 bytes";
	return NULL;
}

static void take_listen(struct reader *reader, const struct zpl_item *item)
{
	struct child_spec *child = reader->child;
	const char *value = item->value, *problem;

	if (strncmp(value, "ipc://", 6) == 0)
		value += 6;
	problem = *value == '/' ? socket_path_problem(value) : rundir_name_problem(value);
	if (problem != NULL) {
		mistakes_add(reader->mistakes, item->line,
			     "listen: '%.60s' is not an absolute path or the name of an owner: %s", value,
			     problem);
		return;
	}
	if (child->listen_count == LISTENS_MAX) {
		mistakes_add(reader->mistakes, item->line, "more than %d listen lines in a child",
			     LISTENS_MAX);
		return;
	}
	for (size_t i = 0; i < reader->plan->child_count; i++)
		for (size_t k = 0; k < reader->plan->children[i].listen_count; k++)
			if (strcmp(reader->plan->children[i].listens[k], value) == 0)
				mistakes_add(reader->mistakes, item->line,
					     "listen: '%.60s' is given to %s already",
					     value, reader->plan->children[i].name);
	child->listens[child->listen_count++] = copy(reader, value);
}

static void take_directory(struct reader *reader, const struct zpl_item *item)
{
	struct stat st;

	if (stat(item->value, &st) != 0 || !S_ISDIR(st.st_mode)) {
		mistakes_add(reader->mistakes, item->line, "directory: '%.100s' is not a folder",
			     item->value);
		return;
	}
	reader->child->directory = copy(reader, item->value);
}

static void take_environment(struct reader *reader, const struct zpl_item *item)
{
	struct child_spec *child = reader->child;
	size_t length = strlen(item->name);

	if (strspn(item->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != length ||
	    (*item->name >= '0' && *item->name <= '9')) {
		mistakes_add(reader->mistakes, item->line, "'%.60s' is not the name of a variable",
			     item->name);
		return;
	}
	for (size_t i = 0; i < child->environment_count; i++)
		if (strncmp(child->environment[i], item->name, length) == 0 &&
		    child->environment[i][length] == '=') {
			mistakes_add(reader->mistakes, item->line, "the variable %.60s is given twice",
				     item->name);
			return;
		}
	if (child->environment_count == VARIABLES_MAX) {
		mistakes_add(reader->mistakes, item->line, "more than %d variables in a child",
			     VARIABLES_MAX);
		return;
	}
	char *pair = copy(reader, item->name);
	pair[length] = '='; /* the value goes behind it */
	copy(reader, item->value);
	child->environment[child->environment_count++] = pair;
}

static void take_special(struct reader *reader, const struct setting *setting, const struct zpl_item *item)
{
	if (strcmp(setting->name, "command") == 0) {
		take_command(reader, item);
	} else if (strcmp(setting->name, "listen") == 0) {
		take_listen(reader, item);
	} else if (strcmp(setting->name, "directory") == 0) {
		take_directory(reader, item);
	} else if (strcmp(setting->name, "environment") == 0) {
		if (*item->value != '\0')
			mistakes_add(reader->mistakes, item->line,
				     "environment: give each variable on a line below it, as NAME = VALUE");
	} else if (strcmp(setting->name, "name") == 0) {
		const char *problem = rundir_name_problem(item->value);
		if (problem != NULL)
			mistakes_add(reader->mistakes, item->line, "name: '%.64s': %s", item->value, problem);
		else
			reader->plan->name = copy(reader, item->value);
	}
}

static void unknown_setting(struct reader *reader, const struct setting *table, size_t count, const char *of,
			    const struct zpl_item *item)
{
	char known[160] = "";

	for (size_t i = 0, used = 0; i < count && used < sizeof known; i++)
		used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? " " : "",
					 table[i].name);
	mistakes_add(reader->mistakes, item->line, "'%.40s' is not a setting of %s: %s", item->name, of,
		     known);
}

/* Takes one item by its table. `target` is the structure the offsets are of. */
static void take_setting(struct reader *reader, const struct setting *table, size_t count,
			 unsigned lines[SETTINGS_MAX], void *target, const char *of,
			 const struct zpl_item *item)
{
	size_t i = 0;

	while (i < count && strcmp(table[i].name, item->name) != 0)
		i++;
	if (i == count) {
		unknown_setting(reader, table, count, of, item);
		reader->ignored_below = item->level;
		return;
	}
	if (lines[i] != 0 && strcmp(item->name, "listen") != 0) {
		mistakes_add(reader->mistakes, item->line, "%s is given in line %u already", item->name,
			     lines[i]);
		return;
	}
	lines[i] = item->line;
	if (table[i].kind == KIND_SPECIAL) {
		take_special(reader, &table[i], item);
		return;
	}
	int64_t number;
	const char *expected = number_problem(&table[i], item->value, &number);
	if (expected != NULL)
		mistakes_add(reader->mistakes, item->line, "%s: '%.60s' is not %s", item->name, item->value,
			     expected);
	else
		*(int64_t *)((char *)target + table[i].offset) = number;
}

/* What can only be judged when all of a child has been read. */
static void finish_child(struct reader *reader)
{
	struct child_spec *child = reader->child;
	char path[PATH_MAX];

	if (child == NULL)
		return;
	if (reader->child_lines[0] == 0 && !reader->unreadable)
		mistakes_add(reader->mistakes, child->line, "child %s has no command", child->name);
	const char *problem = child->words == NULL ? NULL : program_find(child, path);
	if (problem != NULL)
		mistakes_add(reader->mistakes, reader->child_lines[0], "command: '%.100s' %s",
			     child->words[0],
			     problem);
	if (child->significant && child->restart == PERMANENT)
		mistakes_add(reader->mistakes, child->line,
			     "child %s is significant and permanent: it would never end; "
			     "make it transient or temporary", child->name);
	reader->child = NULL;
}

static void start_child(struct reader *reader, const struct zpl_item *item)
{
	struct plan *plan = reader->plan;
	const char *problem = rundir_name_problem(item->value);

	if (problem == NULL && strlen(item->value) > RUNDIR_NAME_MAX - 5)
		problem = "a child's name has at most 59 characters";
	/* Its settings are looked at even so. */
	if (problem != NULL)
		mistakes_add(reader->mistakes, item->line, "child: '%.64s': %s", item->value, problem);
	reader->child = &plan->children[plan->child_count++];
	*reader->child = (struct child_spec){
		.name = copy(reader, item->value),
		.line = item->line,
		.instances = 1,
		.start_limit_ns = 10 * NS_PER_S,
		.stop_limit_ns = 5 * NS_PER_S,
		.listen_mode = 0600,
	};
	reader->unreadable = false;
	memset(reader->child_lines, 0, sizeof reader->child_lines);
}

static void take_item(struct reader *reader, const struct zpl_item *item)
{
	if (item->level > reader->ignored_below)
		return;
	reader->ignored_below = UINT_MAX;
	if (strcmp(item->name, "$") == 0) { /* told as a mistake already */
		reader->unreadable = true;
		reader->ignored_below = item->level;
		return;
	}
	if (item->level == 0) {
		finish_child(reader);
		reader->parent = item->name;
		if (strcmp(item->name, "child") == 0)
			start_child(reader, item);
		else
			take_setting(reader, plan_settings, COUNT(plan_settings), reader->plan_lines,
				     reader->plan, "the supervisor (a child begins with 'child = NAME')",
				     item);
	} else if (item->level == 1 && reader->child != NULL) {
		reader->grandparent = item->name;
		take_setting(reader, child_settings, COUNT(child_settings), reader->child_lines,
			     reader->child, "a child", item);
	} else if (item->level == 2 && reader->child != NULL &&
		   strcmp(reader->grandparent, "environment") == 0) {
		take_environment(reader, item);
	} else {
		mistakes_add(reader->mistakes, item->line,
			     "'%.60s' stands below %s, which has nothing below it",
			     item->name, item->level == 1 ? reader->parent :
				 item->level == 2 && reader->child != NULL ? reader->grandparent : "a value");
		reader->ignored_below = item->level;
	}
}

/* True when process name `name` is one of `spec`. */
static bool makes_name(const struct child_spec *spec, const char *name)
{
	size_t length = strlen(spec->name);
	int64_t number;

	if (strncmp(spec->name, name, length) != 0)
		return false;
	if (name[length] == '\0')
		return true;
	return spec->instances > 1 && name[length] == '.' && name[length + 1] != '0' &&
	       quantity_integer(name + length + 1, 1, spec->instances, &number) == NULL &&
	       name[length + 1] != '+';
}

static void check_whole(struct reader *reader)
{
	struct plan *plan = reader->plan;

	for (size_t i = 0; i < plan->child_count; i++) {
		plan->process_count += (size_t)plan->children[i].instances;
		for (size_t k = 0; k < plan->child_count && plan->child_count <= CHILDREN_MAX; k++) {
			const struct child_spec *a = &plan->children[i], *b = &plan->children[k];
			bool same = strcmp(a->name, b->name) == 0;
			if (k != i && makes_name(b, a->name) && (!same || k < i))
				mistakes_add(reader->mistakes, a->line,
					     "the name %.64s is taken by child %.64s of line %u",
					     a->name, b->name, b->line);
		}
	}
	if (plan->child_count == 0)
		mistakes_add(reader->mistakes, 0,
			     "has no child: add a line 'child = NAME' with a command below it");
	if (plan->process_count > CHILDREN_MAX)
		mistakes_add(reader->mistakes, 0, "asks for %zu processes: the limit is %d",
			     plan->process_count,
			     CHILDREN_MAX);
	if (plan->backoff_most_ns < plan->backoff_first_ns) {
		if (reader->plan_lines[5] != 0)
			mistakes_add(reader->mistakes, reader->plan_lines[5],
				     "backoff-max is less than backoff");
		else
			plan->backoff_most_ns = plan->backoff_first_ns;
	}
}

/* The name of the file, without its folder and ".zpl". */
static void default_name(struct reader *reader, const char *file)
{
	const char *slash = strrchr(file, '/');
	char *name = copy(reader, slash == NULL ? file : slash + 1);

	size_t length = strlen(name);
	if (length > 4 && strcmp(name + length - 4, ".zpl") == 0)
		name[length - 4] = '\0';
	const char *problem = rundir_name_problem(name);
	if (problem != NULL)
		mistakes_add(reader->mistakes, 0,
			     "'%.64s' cannot name the supervisor, %s: add a line 'name = NAME'", name,
			     problem);
	reader->plan->name = name;
}

/* Exact, unlike what people read: durations that print alike may differ. */
static void make_texts(struct reader *reader)
{
	for (size_t i = 0; i < reader->plan->child_count; i++) {
		struct child_spec *child = &reader->plan->children[i];
		size_t size = 0;
		FILE *stream = open_memstream(&child->text, &size);
		if (stream == NULL) {
			reader->out_of_memory = true;
			return;
		}
		child_spec_print(child, stream);
		fprintf(stream, "%lld %lld %lld\n", (long long)child->start_limit_ns,
			(long long)child->stop_limit_ns, (long long)child->watchdog_ns);
		if (fclose(stream) != 0)
			reader->out_of_memory = true;
	}
}

static size_t count_children(const struct zpl *zpl)
{
	size_t count = 0;

	for (size_t i = 0; i < zpl->count; i++)
		count += zpl->items[i].level == 0 && strcmp(zpl->items[i].name, "child") == 0;
	return count;
}

static void read_items(struct reader *reader, const struct zpl *zpl, const char *file)
{
	for (size_t i = 0; i < zpl->count; i++)
		take_item(reader, &zpl->items[i]);
	finish_child(reader);
	check_whole(reader);
	if (reader->plan->name == NULL && reader->plan_lines[0] == 0)
		default_name(reader, file);
	if (reader->mistakes->count == 0)
		make_texts(reader);
}

struct plan *plan_load(const char *file, struct mistakes *mistakes, int *status)
{
	struct plan *plan = calloc(1, sizeof *plan);
	struct reader reader = { .plan = plan, .mistakes = mistakes, .ignored_below = UINT_MAX };
	struct zpl zpl;

	if (plan == NULL) {
		mistakes_add(mistakes, 0, "cannot be read: out of memory");
		*status = EX_OSERR;
		return NULL;
	}
	*plan = (struct plan){
		.intensity = 5,
		.period_ns = 10 * NS_PER_S,
		.backoff_first_ns = 50 * NS_PER_MS,
		.backoff_most_ns = 5 * NS_PER_S,
		.stable_ns = 10 * NS_PER_S,
	};
	*status = zpl_load(&zpl, file, mistakes);
	if (*status == 0) {
		plan->children = calloc(count_children(&zpl) + 1, sizeof *plan->children);
		plan->strings = malloc(STRINGS_BYTES);
		if (plan->children != NULL && plan->strings != NULL)
			read_items(&reader, &zpl, file);
		else
			reader.out_of_memory = true;
		if (reader.out_of_memory)
			mistakes_add(mistakes, 0, "cannot be read: out of memory");
		if (mistakes->count > 0)
			*status = reader.out_of_memory ? EX_OSERR : EX_CONFIG;
	}
	zpl_clear(&zpl);
	if (*status != 0)
		plan_destroy(&plan);
	return plan;
}

void plan_destroy(struct plan **plan)
{
	if (*plan == NULL)
		return;
	for (size_t i = 0; i < (*plan)->child_count; i++) {
		struct child_spec *child = &(*plan)->children[i];
		free(child->words);
		free(child->text);
	}
	free((*plan)->children);
	free((*plan)->strings);
	free(*plan);
	*plan = NULL;
}
