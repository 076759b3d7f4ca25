/* SPDX-License-Identifier: MIT
 *
 * plan.h - what FILE asks for: the supervisor's settings and its children in
 * their order, read and checked. sole-supervisor(8) describes each setting.
 *
 * A plan is made once and not changed. Reading the file again makes another one.
 */
#ifndef SOLE_SUPERVISOR_PLAN_H
#define SOLE_SUPERVISOR_PLAN_H

#include "common/mistakes.h"
#include "supervisor/decide.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>

enum { CHILDREN_MAX = 4096, LISTENS_MAX = 16, VARIABLES_MAX = 64 };

enum ready_kind { READY_NONE, READY_NOTIFY };
enum output_kind { OUTPUT_PREFIXED, OUTPUT_PLAIN, OUTPUT_ERRORS };

struct child_spec {
	char *name;
	unsigned line;
	char *command; /* as written */
	char **words;  /* the command's words, NULL at the end */
	int64_t restart;   /* enum restart_kind */
	int64_t ready;     /* enum ready_kind */
	int64_t output;    /* enum output_kind */
	int64_t instances;
	int64_t start_limit_ns, stop_limit_ns, watchdog_ns; /* 0: none */
	int64_t significant, go; /* 0 or 1 */
	int64_t listen_mode;
	char *directory;     /* NULL: the supervisor's own */
	char *environment[VARIABLES_MAX]; /* "NAME=VALUE", beside the supervisor's own */
	size_t environment_count;
	char *listens[LISTENS_MAX]; /* each a path, or the NAME of an endpoint */
	size_t listen_count;
	char *text; /* all settings in one form, but `instances`: two specs are alike when it is equal */
};

struct plan {
	struct plan *next; /* free for whoever keeps several */
	char *name;
	int64_t strategy; /* enum strategy */
	int64_t intensity, period_ns;
	int64_t backoff_first_ns, backoff_most_ns, stable_ns;
	int64_t duration_ns; /* from go to stop; 0: until told to stop */
	struct child_spec *children;
	size_t child_count;
	size_t process_count; /* all instances */
	char *strings;        /* holds the names and values above */
	size_t strings_used;
};

/* Reads and checks `file`. Returns the plan, or NULL when there are mistakes, all
 * of which are in `mistakes` then, with *status the exit status they call for. */
struct plan *plan_load(const char *file, struct mistakes *mistakes, int *status);
void plan_destroy(struct plan **plan);

/* The words of the file for each enum. */
extern const char *const strategy_names[], *const restart_names[], *const output_names[];

/* Writes a child's settings, all but the number of instances, one a line. */
void child_spec_print(const struct child_spec *spec, FILE *stream);

/* Writes the plan for people: `--check`. */
void plan_print(const struct plan *plan, FILE *stream);

/* The name of one process of a child: "reader.3", or "table" where there is one. */
void plan_process_name(const struct child_spec *spec, int64_t instance, char *name, size_t size);

/* Finds the program that `words[0]` names: beside our own executable, then in
 * PATH, when it has no slash; else as it is, from `directory`. Stores its path
 * and returns NULL, or returns what is wrong. */
const char *program_find(const struct child_spec *spec, char path[PATH_MAX]);

#endif
