/* SPDX-License-Identifier: MIT
 *
 * complete.c - how the last word of a command line may go on.
 *
 * The line is split as the shell's own are. Which words may stand where comes from the table of
 * subcommands (their operands' names: KEY, CHILD, FILE ...) and from what the owner says that its operations take.
 */
#include "clients/complete.h"

#include "clients/children.h"
#include "clients/command.h"
#include "clients/command_script.h"
#include "clients/signature.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/rundir.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MOST = 500, WORDS_MOST = 300, LIST_MOST = 2000 };
#define LIMIT_NS (300 * NS_PER_MS)

/* The line so far. */
struct line {
	size_t count;             /* of whole words */
	const char *words[WORDS_MOST];
	const struct command *command;
	size_t operand_count;     /* of whole ones, behind the command */
	const char *operands[WORDS_MOST];
	bool behind_dashes;
	const struct option_spec *wants; /* the option whose value the last word is */
	const char *supervisor;
};

/* ---- the list ---- */

static void add(struct candidates *c, const char *text)
{
	if (strncmp(text, c->word, strlen(c->word)) != 0)
		return;
	for (const char *at = text; *at != '\0'; at++)
		if (iscntrl((unsigned char)*at))
			return; /* nobody types these */
	if (c->list == NULL || c->count == LIST_MOST)
		return;
	c->list[c->count] = strdup(text);
	c->count += c->list[c->count] != NULL;
}

static int compare(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static void sort(struct candidates *c)
{
	size_t kept = 0;

	if (c->count > 0)
		qsort(c->list, c->count, sizeof *c->list, compare);
	for (size_t i = 0; i < c->count; i++) {
		if (kept > 0 && strcmp(c->list[kept - 1], c->list[i]) == 0)
			free(c->list[i]);
		else
			c->list[kept++] = c->list[i];
	}
	c->count = kept;
}

void candidates_clear(struct candidates *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->list[i]);
	free(c->list);
	free(c->word);
	*c = (struct candidates){ 0 };
}

size_t candidates_common(const struct candidates *c)
{
	size_t common = c->count > 0 ? strlen(c->list[0]) : 0;

	for (size_t i = 1; i < c->count; i++)
		for (size_t k = 0; k < common; k++)
			if (c->list[i][k] != c->list[0][k])
				common = k;
	return common;
}

/* ---- what stands in the folders ---- */

static void add_found(const char *name, const char *folder, void *context)
{
	(void)folder;
	add(context, name);
}

static void add_owners(struct candidates *c)
{
	rundir_each(".sock", add_found, c);
}

/* A line of `sole status`: the child's name is its first word. */
static void add_child(const char *text, void *context)
{
	char name[RUNDIR_NAME_MAX + 1];
	size_t length = strcspn(text, " ");

	if (length > RUNDIR_NAME_MAX)
		return;
	snprintf(name, sizeof name, "%.*s", (int)length, text);
	if (strcmp(name, "CHILD") == 0)
		return; /* the heading */
	add(context, name);
	/* All instances go by the name before the dot. */
	char *dot = strrchr(name, '.');
	if (dot != NULL && dot[1] != '\0' && strspn(dot + 1, "0123456789") == strlen(dot + 1)) {
		*dot = '\0';
		add(context, name);
	}
}

/* ---- what the owner says ---- */

/* NULL where no owner is named, or nothing listens. */
static struct sole *open_to_ask(void)
{
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX];
	const struct sole_options wanted = { .owner = settings.owner, .endpoint = settings.endpoint, .program = "sole",
					     .timeout_ns = LIMIT_NS };
	struct sole *handle = shared_handle();

	if (handle != NULL)
		return handle;
	if (settings.endpoint == NULL && settings.owner != NULL &&
	    (rundir_name_problem(settings.owner) != NULL || rundir_find(settings.owner, ".sock", path, error) != 0))
		return NULL;
	return sole_open(&handle, &wanted) == SOLE_OK ? handle : NULL;
}

/* In order of the keys, as many as a person can look through. */
static void add_keys(struct candidates *c)
{
	struct sole *handle = open_to_ask();
	const struct sole_value arguments[] = { sole_text(c->word), sole_none(), sole_integer(KEYS_MOST) };
	const struct sole_operation scan = { SOLE_TABLE_SCAN, 3, arguments };
	struct sole_reply reply;
	struct sole_value key, skipped;
	char text[1024];

	if (handle == NULL)
		return;
	if (sole_call(handle, &scan, 1, SOLE_QUERY | SOLE_TABLE, LIMIT_NS, &reply) == SOLE_OK && reply.result_count == 1 &&
	    reply.results[0].count > 0) {
		struct sole_value entries = reply.results[0].values[0];
		while (sole_next(&entries, &key) && sole_next(&entries, &skipped) && sole_next(&entries, &skipped)) {
			if (key.type != SOLE_BYTES || key.size >= sizeof text || memchr(key.bytes, 0, key.size) != NULL)
				continue;
			snprintf(text, sizeof text, "%.*s", (int)key.size, (const char *)key.bytes);
			add(c, text);
		}
	}
	close_handle(&handle);
}

static bool takes_keys(const struct fields *fields, size_t position)
{
	const struct field *field = position < fields->count ? &fields->list[position]
				    : fields->count > 0	     ? &fields->list[fields->count - 1]
							     : NULL;

	return field != NULL && (strcmp(field->type, "keys") == 0 ||
				 (position < fields->count && strcmp(field->type, "key") == 0));
}

/* The owner's operations where `name` is NULL; else the keys that this one takes at `position`. */
static void add_from_operations(struct candidates *c, const char *name, size_t position)
{
	struct sole *handle = open_to_ask();
	struct signature signature;
	struct sole_reply reply;
	bool keys = false;

	if (handle == NULL)
		return;
	if (sole_describe(handle, LIMIT_NS, &reply) == SOLE_OK) {
		for (size_t i = 0; i < reply.result_count; i++) {
			if (!signature_read(&signature, &reply.results[i]))
				continue;
			if (name == NULL)
				add(c, signature.name);
			else if (strcmp(name, signature.name) == 0)
				keys = takes_keys(&signature.arguments, position);
		}
	}
	close_handle(&handle);
	if (keys)
		add_keys(c);
}

/* ---- what may stand where ---- */

static void add_commands(struct candidates *c)
{
	for (size_t i = 0; command_at(i) != NULL; i++)
		if (command_at(i)->group != GROUP_HIDDEN)
			add(c, command_at(i)->name);
}

static void add_options(struct candidates *c, const struct command *command)
{
	const struct option_spec *option;
	char text[64];

	for (size_t i = 0; (option = command_option(command, i)) != NULL; i++) {
		/* The shell has its owner. */
		if (in_shell() && (strcmp(option->name, "owner") == 0 || strcmp(option->name, "endpoint") == 0))
			continue;
		snprintf(text, sizeof text, "--%s", option->name);
		add(c, text);
	}
	add(c, "--help");
}

static void add_values(struct candidates *c, const struct option_spec *option)
{
	const char *takes = option->argument != NULL ? option->argument : "";

	if (strcmp(option->name, "owner") == 0)
		add_owners(c);
	else if (strcmp(option->name, "supervisor") == 0)
		rundir_each(".supervisor", add_found, c);
	else if (strcmp(takes, "COMMAND") == 0)
		c->kind = CANDIDATE_COMMANDS;
	else if (strcmp(takes, "FILE") == 0 || strcmp(takes, "DIR") == 0)
		c->kind = CANDIDATE_FILES;
}

/* How the table of commands calls the operand at `position`: the last one stands for all behind it where dots
 * follow it. */
static void name_operand(const char *operands, size_t position, char name[32])
{
	const char *at = operands;

	name[0] = '\0';
	for (size_t i = 0;; i++) {
		at += strspn(at, " [");
		size_t length = strcspn(at, " ].");
		bool repeats = strncmp(at + length, "...", 3) == 0;
		if (length == 0)
			return;
		if (i == position || repeats) {
			snprintf(name, 32, "%.*s", (int)length, at);
			return;
		}
		at += length + strspn(at + length, "].");
	}
}

static void add_operands(struct candidates *c, const struct line *line)
{
	size_t position = line->operand_count;
	char name[32];

	name_operand(line->command->operands, position, name);
	if (line->command->run == command_lock)
		c->kind = line->behind_dashes && position > 0 ? CANDIDATE_COMMANDS : CANDIDATE_WORDS;
	else if (line->command->run == command_help)
		add_commands(c);
	else if (line->command->run == command_call && position > 0)
		add_from_operations(c, line->operands[0], position - 1);
	else if (line->command->run == command_call || line->command->run == command_ops)
		position == 0 ? add_from_operations(c, NULL, 0) : (void)0;
	else if (strcmp(name, "KEY") == 0 || strcmp(name, "PREFIX") == 0)
		add_keys(c);
	else if (strcmp(name, "CHILD") == 0)
		children_list(line->supervisor, LIMIT_NS, add_child, c);
	else if (strcmp(name, "OWNER") == 0)
		add_owners(c);
	else if (strcmp(name, "FILE") == 0)
		c->kind = CANDIDATE_FILES;
}

/* ---- reading the line ---- */

/* An option of this command, or of any where that is not known yet. */
static const struct option_spec *option_named(const struct command *command, const char *name, size_t length)
{
	const struct option_spec *option;

	for (size_t k = 0; command_at(k) != NULL; k++)
		for (size_t i = 0; (command == NULL || command == command_at(k)) &&
				   (option = command_option(command_at(k), i)) != NULL; i++)
			if ((length == 1 && option->letter == *name) ||
			    (length > 1 && strncmp(option->name, name, length) == 0))
				return option;
	return NULL;
}

static void take_value(struct line *line, const struct option_spec *option, const char *value)
{
	if (strcmp(option->name, "owner") == 0)
		settings.owner = value;
	else if (strcmp(option->name, "endpoint") == 0)
		settings.endpoint = value;
	else if (strcmp(option->name, "supervisor") == 0)
		line->supervisor = value;
}

/* A word that begins with a dash: "--owner=x", "-ox", or its value is the word behind it. */
static void take_option(struct line *line, const char *word)
{
	bool is_long = word[1] == '-';
	const char *name = word + 1 + is_long;
	size_t length = is_long ? strcspn(name, "=") : 1;
	const struct option_spec *option = option_named(line->command, name, length);

	if (option == NULL || option->kind == OPTION_FLAG)
		return;
	if (is_long ? name[length] == '=' : name[1] != '\0')
		take_value(line, option, name + length + is_long);
	else
		line->wants = option;
}

static void take_word(struct line *line, const char *word)
{
	if (line->wants != NULL) {
		take_value(line, line->wants, word);
		line->wants = NULL;
	} else if (!line->behind_dashes && strcmp(word, "--") == 0) {
		line->behind_dashes = true;
	} else if (!line->behind_dashes && word[0] == '-' && word[1] != '\0' && !isdigit((unsigned char)word[1])) {
		take_option(line, word);
	} else if (line->count++ == 0) {
		line->words[0] = word;
		line->command = command_named(word);
	} else {
		line->operands[line->operand_count++] = word;
	}
}

/* The shell's lines may begin with the name of an operation. */
static void settle_operation(struct line *line)
{
	bool takes_lock = line->command != NULL && line->command->run == command_lock && !line->behind_dashes;

	if (!in_shell() || line->count == 0 || (line->command != NULL && !takes_lock))
		return;
	memmove(line->operands + 1, line->operands, line->operand_count * sizeof *line->operands);
	line->operands[0] = line->words[0];
	line->operand_count++;
	line->command = command_named("call");
}

static void find(struct candidates *c, struct line *line)
{
	const char *equals = strncmp(c->word, "--", 2) == 0 ? strchr(c->word, '=') : NULL;

	settle_operation(line);
	if (line->wants != NULL) {
		add_values(c, line->wants);
	} else if (equals != NULL) {
		const struct option_spec *option = option_named(line->command, c->word + 2, (size_t)(equals - c->word - 2));
		size_t skipped = (size_t)(equals + 1 - c->word);
		memmove(c->word, equals + 1, strlen(equals));
		c->start += skipped;
		if (option != NULL)
			add_values(c, option);
	} else if (line->command != NULL && c->word[0] == '-' && !line->behind_dashes) {
		add_options(c, line->command);
	} else if (line->count == 0 && c->word[0] != '-') {
		add_commands(c);
		if (in_shell()) {
			add_from_operations(c, NULL, 0);
			add(c, "exit");
		}
	} else if (line->command != NULL) {
		add_operands(c, line);
	}
}

/* Where the word at the end of the line begins. */
static size_t last_word(const char *text)
{
	size_t start = 0;
	char quote = '\0';

	for (size_t i = 0; text[i] != '\0'; i++) {
		if (quote != '\0' ? text[i] == quote : text[i] == '"' || text[i] == '\'')
			quote = quote != '\0' ? '\0' : text[i];
		else if (text[i] == '\\' && quote != '\'' && text[i + 1] != '\0')
			i++;
		else if (quote == '\0' && (text[i] == ' ' || text[i] == '\t'))
			start = i + 1;
	}
	return start;
}

/* The word without its quotes, of which the last may be missing. NULL: no memory, or it is no word yet. */
static char *unquote(const char *text)
{
	static const char *const ends[] = { "", "'", "\"" };
	struct script script;
	char closed[4096], *word = NULL;

	if (*text == '\0')
		return strdup("");
	for (size_t i = 0; i < sizeof ends / sizeof *ends && word == NULL; i++) {
		snprintf(closed, sizeof closed, "%s%s", text, ends[i]);
		if (script_read(&script, closed, strlen(closed)) != NULL)
			continue;
		word = strdup(script.line_count > 0 && script.words[0].text[0] != '\0' ? script.words[0].text : "");
		script_clear(&script);
	}
	return word;
}

static void nothing(const char *line, size_t bytes)
{
	(void)line, (void)bytes;
}

void candidates_find(struct candidates *c, const char *text)
{
	struct settings before = settings;
	struct line line = { 0 };
	struct script script = { 0 };

	*c = (struct candidates){ .start = last_word(text), .list = calloc(LIST_MOST, sizeof *c->list) };
	c->word = unquote(text + c->start);
	if (c->word == NULL || script_read(&script, text, c->start) != NULL)
		return;
	size_t first = in_shell() ? 0 : 1, count = script.line_count > 0 ? script.lines[0].word_count : 0;
	for (size_t i = first; i < count && i < WORDS_MOST; i++)
		take_word(&line, script.words[i].text);
	log_redirect(nothing); /* a person who types is told nothing */
	if (count >= first && count < WORDS_MOST)
		find(c, &line);
	log_redirect(NULL);
	sort(c);
	script_clear(&script);
	settings = before;
}

/* ---- sole complete ---- */

/* The kind and the word so far, then the candidates, each on a line. */
int command_complete(int count, char **operands)
{
	static const char *const kinds[] = { [CANDIDATE_WORDS] = "words", [CANDIDATE_FILES] = "files",
					     [CANDIDATE_COMMANDS] = "commands" };
	struct candidates c;

	(void)count;
	candidates_find(&c, operands[0]);
	printf("%s %s\n", kinds[c.kind], c.word != NULL ? c.word : "");
	for (size_t i = 0; i < c.count; i++)
		puts(c.list[i]);
	candidates_clear(&c);
	return STATUS_DONE;
}
