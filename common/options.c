/* SPDX-License-Identifier: MIT
 *
 * options.c - one table of options: parsing, help and configuration keys.
 */
#include "common/options.h"
#include "common/log.h"
#include "common/quantity.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { OPTIONS_MAX = 64, HELP_CODE = 1000, HELP_ALL_CODE, VERSION_CODE, FIRST_CODE };
enum { WIDTH = 79, HELP_COLUMN = 29 };

static const char *set(const struct option_spec *option, const char *value)
{
	static _Thread_local char text[256];
	int64_t number = 0;
	const char *expected = NULL;

	switch (option->kind) {
	case OPTION_FLAG:
		if (value == NULL || strcmp(value, "1") == 0 || strcmp(value, "yes") == 0 ||
		    strcmp(value, "true") == 0)
			*(bool *)option->target = true;
		else if (strcmp(value, "0") == 0 || strcmp(value, "no") == 0 ||
			 strcmp(value, "false") == 0)
			*(bool *)option->target = false;
		else
			expected = "yes or no";
		break;
	case OPTION_TEXT:
		*(const char **)option->target = value;
		break;
	case OPTION_DURATION:
		expected = quantity_duration(value, &number);
		break;
	case OPTION_SIZE:
		expected = quantity_size(value, &number);
		break;
	case OPTION_INTEGER:
		expected = quantity_integer(value, INT64_MIN, INT64_MAX, &number);
		break;
	case OPTION_MODE: {
		char *end;
		unsigned long mode = strtoul(value, &end, 8);
		if (*value < '0' || *value > '7' || *end != '\0' || mode > 0777)
			expected = "octal permission bits such as 0600";
		number = (int64_t)mode;
		break;
	}
	}
	if (expected == NULL && option->kind >= OPTION_DURATION) {
		if (option->most > 0 && (number < option->least || number > option->most)) {
			snprintf(text, sizeof text, "%s: '%.60s' is out of range: give %lld to %lld%s",
				 option->name, value, (long long)option->least,
				 (long long)option->most,
				 option->kind == OPTION_DURATION ? " nanoseconds" :
				 option->kind == OPTION_SIZE     ? " bytes" : "");
			return text;
		}
		*(int64_t *)option->target = number;
	}
	if (expected != NULL) {
		snprintf(text, sizeof text, "%s: '%.60s' is not %s", option->name, value, expected);
		return text;
	}
	return NULL;
}

const char *options_set(const struct program *program, const char *name, const char *value)
{
	static _Thread_local char text[192];

	for (size_t i = 0; i < program->option_count; i++)
		if (strcmp(program->options[i].name, name) == 0)
			return set(&program->options[i], value);
	snprintf(text, sizeof text, "'%.60s' is not a setting of %s: its --help-all lists them", name, program->name);
	return text;
}

void options_wrap(FILE *out, int column, int indent, const char *text)
{
	bool first = true;

	for (const char *at = text + strspn(text, " "); *at != '\0'; first = false) {
		int length = (int)strcspn(at, " ");
		if (!first && column + 1 + length > WIDTH) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
		} else if (!first) {
			putc(' ', out);
			column++;
		}
		fwrite(at, 1, (size_t)length, out);
		column += length;
		at += length;
		at += strspn(at, " ");
	}
}

static bool is_listed(const struct program *program, const struct option_spec *option, bool all)
{
	size_t length = strlen(option->name);

	if (option->help == NULL)
		return false;
	if (all || program->brief == NULL)
		return true;
	for (const char *at = program->brief; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " "))
		if (strcspn(at, " ") == length && strncmp(at, option->name, length) == 0)
			return true;
	return false;
}

static void print_option(const struct option_spec *o)
{
	char left[64], letter[8] = "    ";

	if (o->letter)
		snprintf(letter, sizeof letter, "-%c, ", o->letter);
	snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "", o->argument ? o->argument : "");
	int used = printf("  %-26s ", left);
	options_wrap(stdout, used, HELP_COLUMN, o->help);
	putchar('\n');
}

static void print_help(const struct program *program, bool all)
{
	bool listed = false, left_out = !all && program->about_all != NULL;

	printf("%s\n\nUsage: %s %s\n\n%s\n", program->example, program->name, program->usage,
	       all && program->about_all != NULL ? program->about_all : program->about);
	for (size_t i = 0; i < program->option_count; i++) {
		const struct option_spec *o = &program->options[i];
		if (is_listed(program, o, all)) {
			if (!listed)
				putchar('\n');
			listed = true;
			print_option(o);
		} else if (o->help != NULL) {
			left_out = true;
		}
	}
	/* "sole get" is described in sole(1). */
	printf("\n");
	if (left_out)
		printf("More: %s --help-all. ", program->name);
	printf("Manual: man %.*s\n", (int)strcspn(program->name, " "), program->name);
}

static _Noreturn void exit_printed(void)
{
	if (fflush(stdout) != 0)
		fatal(EX_IOERR, "cannot write to standard output: %s", log_cause(errno));
	leave_program(EX_OK);
}

/* After getopt_long(3) said '?': optopt tells what it stumbled over. */
static _Noreturn void refuse_option(const struct program *program, const char *argument)
{
	if (optopt >= HELP_CODE)
		fatal(EX_USAGE, "option '%.60s' takes no value; see %s --help", argument, program->name);
	if (optopt != 0)
		fatal(EX_USAGE, "option '-%c' is not known; see %s --help", optopt, program->name);
	fatal(EX_USAGE, "option '%.60s' is not known; see %s --help", argument, program->name);
}

int options_parse(const struct program *program, int argc, char **argv, int stop_at_operand)
{
	struct option longs[OPTIONS_MAX + 4] = { 0 };
	char letters[2 * OPTIONS_MAX + 3];
	size_t used = 0, count = program->option_count;

	if (count > OPTIONS_MAX)
		abort();
	letters[used++] = stop_at_operand ? '+' : '-';
	if (!stop_at_operand)
		used = 0; /* GNU getopt permutes by default */
	letters[used++] = ':';
	for (size_t i = 0; i < count; i++) {
		const struct option_spec *o = &program->options[i];
		longs[i] = (struct option){ o->name, o->kind != OPTION_FLAG, NULL, FIRST_CODE + (int)i };
		if (o->letter) {
			letters[used++] = o->letter;
			if (o->kind != OPTION_FLAG)
				letters[used++] = ':';
		}
	}
	letters[used] = '\0';
	longs[count] = (struct option){ "help", no_argument, NULL, HELP_CODE };
	longs[count + 1] = (struct option){ "help-all", no_argument, NULL, HELP_ALL_CODE };
	longs[count + 2] = (struct option){ "version", no_argument, NULL, VERSION_CODE };

	opterr = 0;
	optind = 0;
	for (;;) {
		int code = getopt_long(argc, argv, letters, longs, NULL);
		if (code == -1)
			return optind;
		if (code == HELP_CODE || code == HELP_ALL_CODE) {
			print_help(program, code == HELP_ALL_CODE);
			exit_printed();
		}
		if (code == VERSION_CODE) {
			printf("%.*s %s\n", (int)strcspn(program->name, " "), program->name,
			       PROGRAM_VERSION);
			exit_printed();
		}
		const struct option_spec *option = NULL;
		if (code >= FIRST_CODE)
			option = &program->options[code - FIRST_CODE];
		for (size_t i = 0; option == NULL && i < count; i++)
			if (program->options[i].letter == code)
				option = &program->options[i];
		if (code == ':')
			fatal(EX_USAGE, "option '%s' needs a value; see %s --help", argv[optind - 1],
			      program->name);
		if (option == NULL)
			refuse_option(program, argv[optind - 1]);
		const char *problem = set(option, optarg);
		if (problem != NULL)
			fatal(EX_USAGE, "--%s; see %s --help", problem, program->name);
	}
}
