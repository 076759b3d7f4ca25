/* SPDX-License-Identifier: MIT
 *
 * options.h - a program's options, declared once: parsing, --help and the keys
 * of its configuration file all come from one table.
 *
 * getopt_long(3) does the splitting; this module binds each option to a
 * variable, checks its range and words the error. `--help`, `--help-all` and `--version` are
 * added to every table. A bad option ends the program with EX_USAGE and one line.
 *
 * --help is for a screen of 24 lines by 80 columns, with a line left to type on, and begins with an
 * example; what does not fit stands in --help-all and in the manual.
 */
#ifndef SOLE_COMMON_OPTIONS_H
#define SOLE_COMMON_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PROGRAM_VERSION "0.1.0"

enum option_kind {
	OPTION_FLAG,     /* bool: set to true when given */
	OPTION_TEXT,     /* const char *: points into argv */
	OPTION_DURATION, /* int64_t, nanoseconds */
	OPTION_SIZE,     /* int64_t, bytes */
	OPTION_INTEGER,  /* int64_t */
	OPTION_MODE,     /* int64_t, octal permission bits up to 0777 */
};

struct option_spec {
	const char *name;  /* long name, without dashes */
	char letter;       /* short form, or 0 */
	enum option_kind kind;
	void *target;      /* the variable, which holds the default beforehand */
	int64_t least, most; /* inclusive; used where kind is a number and most > 0 */
	const char *argument; /* how --help calls the value, e.g. "TIME" */
	const char *help;     /* one line; NULL: --help does not list it */
};

struct program {
	const char *name;    /* "sole-owner" */
	const char *usage;   /* "NAME [option ...]" */
	const char *about;   /* one sentence, or more lines */
	const char *example; /* one or more commands, each on its line */
	const struct option_spec *options;
	size_t option_count;
	const char *brief;   /* names, a blank between, of the options that --help lists; NULL: all */
	const char *about_all; /* `about` of --help-all; NULL: the same */
};

/* Parses argv up to the end; operands may stand between options unless
 * `stop_at_operand`. Returns the index of the first operand in argv (which is
 * permuted). Prints help or version and exits 0, or exits EX_USAGE. */
int options_parse(const struct program *program, int argc, char **argv, int stop_at_operand);

/* Writes `text` behind `column` columns that are filled already: broken at blanks so that no line is wider than
 * 79 columns, lines behind the first indented by `indent`. `out` gets no newline at the end. */
void options_wrap(FILE *out, int column, int indent, const char *text);

/* Sets one option by its long name, as a configuration file does. Returns NULL,
 * or a sentence that says what is wrong, valid until the next call. For
 * OPTION_TEXT the value must outlive the options. */
const char *options_set(const struct program *program, const char *name, const char *value);

#endif
