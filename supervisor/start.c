/* SPDX-License-Identifier: MIT
 *
 * start.c - the start of one child: its environment, its pipes, its process.
 *
 * A lack of resources (descriptors, memory, processes) is the machine's state and
 * no failure of the child: it is told, tried again with its own back-off, and not
 * counted as a restart.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/quantity.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static const int64_t resources_first_ns = 100 * NS_PER_MS, resources_most_ns = 5 * NS_PER_S;

extern char **environ;

/* Variables of ours that a child must not see: they are not meant for it. */
static bool kept_from_child(const char *variable)
{
	static const char *const names[] = {
		"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "LISTEN_FDS=", "LISTEN_PID=",
		"LISTEN_FDNAMES=", "JOURNAL_STREAM=", "SOLE_CHILD=", "SOLE_SUPERVISOR=",
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static bool overridden(const struct child_spec *spec, const char *variable)
{
	size_t length = strcspn(variable, "=") + 1;

	for (size_t i = 0; i < spec->environment_count; i++)
		if (strncmp(spec->environment[i], variable, length) == 0)
			return true;
	return false;
}

/* The mark by which strays of this start are known. */
static void make_mark(struct child *child)
{
	const char *outer = getenv("SOLE_CHILD");

	snprintf(child->mark, sizeof child->mark, "%s%s%s", outer == NULL ? "" : outer,
		 outer == NULL ? "" : "/", child->name);
}

enum { STRINGS = 4, STRING_BYTES = 2048 };
_Static_assert(STRING_BYTES > LISTENS_MAX * RUNDIR_PATH_MAX + 64, "the names of all sockets fit");

/* "LISTEN_FDNAMES=A:B": the name of an endpoint, or the last part of a path. */
static void name_listens(const struct child_spec *spec, char text[STRING_BYTES])
{
	size_t used = (size_t)snprintf(text, STRING_BYTES, "LISTEN_FDNAMES=");

	for (size_t i = 0; i < spec->listen_count; i++) {
		const char *slash = strrchr(spec->listens[i], '/');
		const char *name = slash == NULL ? spec->listens[i] : slash + 1;
		used += (size_t)snprintf(text + used, STRING_BYTES - used, "%s%s", i > 0 ? ":" : "",
					 strchr(name, ':') == NULL ? name : "unknown");
	}
}

/* One allocation holds the pointers and the four strings made here. */
static char **make_environment(const struct supervisor *s, const struct child *child, size_t *count)
{
	size_t most = child->spec->environment_count + STRINGS + SPAWN_OWN_VARIABLES + 1, n = 0;
	for (char **variable = environ; *variable != NULL; variable++)
		most++;
	char **list = malloc(most * sizeof *list + STRINGS * STRING_BYTES);
	if (list == NULL)
		return NULL;
	char *text = (char *)&list[most];
	for (char **variable = environ; *variable != NULL; variable++)
		if (!kept_from_child(*variable) && !overridden(child->spec, *variable))
			list[n++] = *variable;
	for (size_t i = 0; i < child->spec->environment_count; i++)
		list[n++] = child->spec->environment[i];
	snprintf(text, STRING_BYTES, "SOLE_CHILD=%s", child->mark);
	list[n++] = text;
	snprintf(text += STRING_BYTES, STRING_BYTES, "SOLE_SUPERVISOR=%s", s->plan->name);
	list[n++] = text;
	snprintf(text += STRING_BYTES, STRING_BYTES, "NOTIFY_SOCKET=%s", s->notify_path);
	list[n++] = text;
	if (child->spec->listen_count > 0) {
		name_listens(child->spec, text += STRING_BYTES);
		list[n++] = text;
	}
	*count = n;
	return list;
}

/* The pipes of one start; every end that is open is closed by pipes_close(). */
struct pipes {
	int out[2], err[2], report[2];
};

static void pair_close(int pair[2])
{
	for (int end = 0; end < 2; end++) {
		if (pair[end] >= 0)
			close(pair[end]);
		pair[end] = -1;
	}
}

static void pipes_close(struct pipes *p)
{
	pair_close(p->out);
	pair_close(p->err);
	pair_close(p->report);
}

/* Only our ends do not block; theirs are as any program expects. */
static int pair_open(int pair[2])
{
	if (pipe2(pair, O_CLOEXEC) != 0)
		return -1;
	return fcntl(pair[0], F_SETFL, O_NONBLOCK);
}

static bool has_out_pipe(const struct supervisor *s, const struct child *child)
{
	return child->spec->output == OUTPUT_PLAIN || (child->spec->output == OUTPUT_ERRORS && s->verbose);
}

/* Opens the pipes and our ends of them. Returns NULL, or what failed, with errno. */
static const char *pipes_open(const struct supervisor *s, struct child *child, struct pipes *p)
{
	bool plain = child->spec->output == OUTPUT_PLAIN;

	if (pair_open(p->report) != 0 || pair_open(p->err) != 0 ||
	    (has_out_pipe(s, child) && pair_open(p->out) != 0))
		return "cannot make a pipe";
	if (source_open(&child->report, p->report[0], EPOLLIN, child_take_report, child) != 0)
		return "cannot watch a pipe";
	p->report[0] = -1;
	if (stream_open(&child->err, p->err[0], child->name, false) != 0)
		return "cannot watch a pipe";
	p->err[0] = -1;
	if (p->out[0] >= 0 && stream_open(&child->out, p->out[0], child->name, plain) != 0)
		return "cannot watch a pipe";
	p->out[0] = -1;
	return NULL;
}

/* Returns NULL with child->pid set, or what failed, with errno. */
static const char *make_process(struct supervisor *s, struct child *child, struct pipes *p)
{
	const struct child_spec *spec = child->spec;
	char path[PATH_MAX];
	int listens[LISTENS_MAX];
	size_t count;

	/* A program that is missing is for exec to say: it counts as a failure of
	 * the child, not as a lack of resources. */
	if (program_find(spec, path) != NULL)
		snprintf(path, sizeof path, "%s", spec->words[0]);
	for (size_t i = 0; i < spec->listen_count; i++) {
		const struct listener *listener = listener_find(s, spec->listens[i]);
		listens[i] = listener == NULL ? s->null_fd : listener->fd;
	}
	make_mark(child);
	const char *failed = pipes_open(s, child, p);
	if (failed != NULL)
		return failed;
	char **environment = make_environment(s, child, &count);
	if (environment == NULL)
		return "cannot hold its environment";
	int input = spec->go && s->go_pipe[0] >= 0 ? s->go_pipe[0] : s->null_fd;
	pid_t pid = spawn(&(struct spawn){
		.path = path,
		.words = spec->words,
		.environment = environment,
		.environment_count = count,
		.directory = spec->directory,
		.input = input,
		.output = p->out[1] >= 0 ? p->out[1] : spec->output == OUTPUT_ERRORS ? s->null_fd : p->err[1],
		.error = p->err[1],
		.listens = listens,
		.listen_count = spec->listen_count,
		.watchdog_us = spec->watchdog_ns / NS_PER_US,
		.report = p->report[1],
	});
	int saved = errno;
	free(environment);
	errno = saved;
	if (pid < 0)
		return "cannot make a process";
	child->pid = child->group = pid;
	return NULL;
}

int64_t child_resource_delay_ns(struct supervisor *s, struct child *child)
{
	child->resource_failures = failures_after(child->resource_failures, 0, INT64_MAX);
	return backoff_delay_ns(child->resource_failures, resources_first_ns, resources_most_ns,
				supervisor_random(s));
}

void child_start(struct supervisor *s, struct child *child)
{
	struct pipes pipes = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	char delay_text[24];

	const char *failed = make_process(s, child, &pipes);
	int error = errno;
	pipes_close(&pipes);
	if (failed != NULL) {
		source_close(&child->report);
		stream_close(&child->err);
		stream_close(&child->out);
		int64_t delay = child_resource_delay_ns(s, child);
		quantity_format_duration(delay, delay_text, sizeof delay_text);
		log_error("%s cannot be started: %s: %s; trying again in %s", child->name, failed,
			  strerror(error), delay_text);
		child_event(s, child, EVENT_DELAY);
		child->limit_ns = s->now_ns + delay;
		return;
	}
	child->started_ns = s->now_ns;
	child->beat_limit_ns = INT64_MAX;
	child->after = AFTER_DECIDE;
	child->cause = CAUSE_ITSELF;
	child->came_up = child->ended_well = child->clearing_told = false;
	child->kills = 0;
	child->failure.error = 0;
	child->status[0] = '\0';
	child->operations_ns = 0;
	child->rate = 0;
	child_event(s, child, EVENT_START);
	child->limit_ns = child_deadline(s->now_ns, child->spec->start_limit_ns);
	log_debug("%s: pid %d: started", child->name, (int)child->pid);
}
