/* SPDX-License-Identifier: MIT
 *
 * command_watch.c - `sole watch [PREFIX]`: prints what happens, or runs a command for each event.
 *
 * A slow reader or command holds the owner's events back, and they wait in its ring; a watch that
 * falls out of it ends with the place where to start again, never with a gap that nobody sees.
 */
#include "clients/command.h"
#include "clients/command_run.h"
#include "clients/print.h"

#include "common/log.h"
#include "common/quantity.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

struct watcher {
	struct sole *handle;
	bool over;
	int status;     /* when it is over */
	int64_t events;
};

static void end(struct watcher *w, int status)
{
	w->over = true;
	w->status = status;
}

/* ---- printing ---- */

static void print_event_json(const struct sole_event *event)
{
	fputs("{\"kind\":", stdout);
	print_json(event->kind);
	fputs(",\"key\":", stdout);
	print_json(event->key);
	fputs(",\"value\":", stdout);
	print_json(event->value);
	printf(",\"history\":\"%016llx\",\"revision\":%llu,\"index\":%u}\n",
	       (unsigned long long)event->history, (unsigned long long)event->revision, event->index);
}

static void print_event(const struct sole_event *event)
{
	print_field(event->kind);
	putchar('\t');
	print_field(event->key);
	putchar('\t');
	print_field(event->value);
	putchar('\n');
}

/* Nobody reads any more: that is how a pipeline's reader ends a watch, so it is no error. */
static void flush_event(struct watcher *w)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return;
	if (errno == EPIPE) {
		end(w, STATUS_DONE);
		clearerr(stdout);
		/* What is still in the buffer has nowhere to go. */
		if (freopen("/dev/null", "w", stdout) == NULL)
			_exit(STATUS_DONE);
		return;
	}
	end(w, EX_IOERR);
}

/* ---- running ---- */

/* Most bytes of one variable of the environment, see execve(2): longer ones are left out. */
enum { VARIABLE_MAX = 131072 - 32 };

/* Sets a variable, or takes it away where there is no value or the environment cannot hold it. */
static void set_variable(const char *name, struct sole_value value)
{
	static char text[VARIABLE_MAX + 1];

	unsetenv(name);
	if (value.type == SOLE_INTEGER) {
		snprintf(text, sizeof text, "%lld", (long long)value.integer);
	} else {
		if (value.type != SOLE_BYTES || value.size > VARIABLE_MAX)
			return;
		memcpy(text, value.bytes, value.size);
		text[value.size] = '\0';
		if (strlen(text) != value.size)
			return;
	}
	if (setenv(name, text, 1) != 0)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
}

/* A descriptor to read the value from, byte for byte. */
static int value_input(struct sole_value value)
{
	char number[24];
	int fd = memfd_create("value", MFD_CLOEXEC);

	if (value.type == SOLE_INTEGER) {
		snprintf(number, sizeof number, "%lld", (long long)value.integer);
		value = sole_text(number);
	}
	if (fd < 0)
		return -1;
	if (value.type != SOLE_BYTES || (write(fd, value.bytes, value.size) == (ssize_t)value.size &&
					 lseek(fd, 0, SEEK_SET) == 0))
		return fd;
	close(fd);
	return -1;
}

/* One after the other: the next event waits until the command has ended. */
static void run_for(const struct sole_event *event)
{
	char *const argv[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, strdup(settings.exec), NULL };
	int input = value_input(event->value), wait_status = 0;
	char history[17];

	snprintf(history, sizeof history, "%016llx", (unsigned long long)event->history);
	set_variable("SOLE_KIND", event->kind);
	set_variable("SOLE_KEY", event->key);
	set_variable("SOLE_VALUE", event->value);
	set_variable("SOLE_HISTORY", sole_text(history));
	set_variable("SOLE_REVISION", sole_integer((int64_t)event->revision));
	set_variable("SOLE_INDEX", sole_integer(event->index));
	pid_t pid = argv[2] != NULL && input >= 0 ? run_start(argv, SIGTERM, input) : -1;
	if (pid < 0)
		fatal(EX_OSERR, "cannot start the command: %s", log_cause(errno));
	close(input);
	free(argv[2]);
	while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
		;
	if (run_status(wait_status) != 0 && !settings.quiet)
		log_warn("the command ended with status %d for revision %llu, index %u", run_status(wait_status),
			 (unsigned long long)event->revision, event->index);
}

/* ---- events ---- */

static void tell_too_old(struct watcher *w, const struct sole_event *event)
{
	log_error("too-old: events are missing here: look at the state with `sole scan`, and go on with "
		  "--from %016llx:%llu", (unsigned long long)event->history, (unsigned long long)event->revision);
	if (json_failure(SOLE_TOO_OLD, sole_text_of(SOLE_TOO_OLD), 0))
		printf(",\"history\":\"%016llx\",\"revision\":%llu}\n", (unsigned long long)event->history,
		       (unsigned long long)event->revision);
	end(w, STATUS_TOO_OLD);
}

static void on_event(struct sole *handle, const struct sole_event *event, void *context)
{
	struct watcher *w = context;

	if (w->over)
		return;
	if (event->code == SOLE_TOO_OLD) {
		tell_too_old(w, event);
	} else if (event->code != SOLE_OK) {
		const struct sole_reply reply = { .outcome = sole_outcome_of(event->code), .code = event->code,
						  .text = sole_text_of(event->code) };
		end(w, tell_failure(handle, &reply));
	} else if (event->kind.type == SOLE_NONE) {
		if (settings.verbose)
			log_info("watching from %016llx:%llu on", (unsigned long long)event->history,
				 (unsigned long long)event->revision + 1);
	} else {
		if (settings.exec != NULL)
			run_for(event);
		else if (settings.json)
			print_event_json(event);
		else
			print_event(event);
		flush_event(w);
		if (!w->over && ++w->events == settings.event_count)
			end(w, STATUS_DONE);
	}
}

/* ---- the command ---- */

struct place {
	uint64_t history, revision;
	uint32_t index;
};

/* HISTORY:REVISION[:INDEX] */
static struct place place_of(const char *text)
{
	struct place place = { 0 };
	char history[20] = "", revision[24] = "", index[16] = "", rest;
	int64_t number;

	int parts = sscanf(text, "%16[0-9a-f]:%20[0-9]:%10[0-9]%c", history, revision, index, &rest);
	if ((parts == 2 || parts == 3) && quantity_integer(revision, 1, INT64_MAX, &number) == NULL &&
	    text[strlen(history) + 1 + strlen(revision)] == (parts == 3 ? ':' : '\0')) {
		place.history = strtoull(history, NULL, 16);
		place.revision = (uint64_t)number;
		if (parts == 2 || quantity_integer(index, 0, UINT32_MAX, &number) == NULL) {
			place.index = parts == 3 ? (uint32_t)number : 0;
			return place;
		}
	}
	fatal(EX_USAGE, "--from takes HISTORY:REVISION or HISTORY:REVISION:INDEX as `sole watch --json` prints "
			"them, such as 00c0ffee00c0ffee:17, and not '%.60s'", text);
}

/* Until the watch is over. A pipe whose reader goes ends it, too, even when nothing happens. */
static void listen_on(struct watcher *w)
{
	struct stat stat;
	bool pipe = fstat(STDOUT_FILENO, &stat) == 0 && S_ISFIFO(stat.st_mode) && settings.exec == NULL;
	struct pollfd list[] = { { .fd = sole_descriptor(w->handle), .events = POLLIN },
				 { .fd = pipe ? STDOUT_FILENO : -1 } };

	if (list[0].fd < 0)
		fatal(EX_OSERR, "no descriptors are left: raise the limit (ulimit -n)");
	while (!w->over) {
		if (poll(list, 2, -1) < 0 && errno != EINTR)
			fatal(EX_OSERR, "cannot wait: %s", log_cause(errno));
		if (interrupted())
			end(w, STATUS_DONE);
		if (list[0].revents != 0)
			sole_dispatch(w->handle);
		if (list[1].revents != 0 && !w->over)
			end(w, STATUS_DONE);
	}
}

int command_watch(int count, char **operands)
{
	struct watcher w = { 0 };
	struct place from = { 0 };
	uint64_t watch = 0;

	if (settings.from != NULL)
		from = place_of(settings.from);
	if (settings.exec != NULL && settings.json)
		usage_error("--exec prints nothing, so it takes no --json");
	signal(SIGCHLD, SIG_DFL);
	w.handle = open_handle();
	int status = reach_owner(w.handle);
	if (status == STATUS_DONE) {
		int code = sole_watch(w.handle, sole_text(count > 0 ? operands[0] : ""), from.history, from.revision,
				      from.index, on_event, &w, &watch);
		if (code == SOLE_OK) {
			listen_on(&w);
			status = w.status;
		} else {
			const struct sole_reply reply = { .outcome = sole_outcome_of(code), .code = code,
							  .text = sole_text_of(code) };
			status = tell_failure(w.handle, &reply);
		}
	}
	if (in_shell())
		sole_unwatch(w.handle, watch);
	close_handle(&w.handle);
	return status;
}
