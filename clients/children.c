/* SPDX-License-Identifier: MIT
 *
 * children.c - asks a supervisor, over its control socket, and prints its answer.
 *
 * One connection, one request, one answer; a poll with a deadline guards the
 * wait for the first line. What the supervisor sends is checked line by line and
 * never trusted to be short, printable or complete.
 */
#include "clients/children.h"
#include "clients/command.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/quantity.h"
#include "common/rundir.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, REQUEST_BYTES = 256, NOT_OVER = -1 };
static const int64_t answer_limit_ns = 5 * NS_PER_S;

struct conversation {
	int fd;
	int64_t deadline_ns; /* INT64_MAX once the supervisor has said "wait" */
	char line[LINE_BYTES];
	size_t used;
	char path[RUNDIR_PATH_MAX];
	children_line *take; /* NULL: lines go to standard output */
	void *context;
};

static bool verb_is(const char *verb, const char *name)
{
	return strcmp(verb, name) == 0;
}

/* Returns 0 with the socket's path, or an exit status after telling why. */
static int find_socket(const char *supervisor, char path[RUNDIR_PATH_MAX])
{
	char error[RUNDIR_ERROR_MAX], only[RUNDIR_NAME_MAX + 1];
	int status;

	if (supervisor == NULL || *supervisor == '\0')
		supervisor = getenv("SOLE_SUPERVISOR");
	if (supervisor == NULL || *supervisor == '\0') {
		status = rundir_single(".supervisor", only, error);
		if (status == EX_UNAVAILABLE)
			log_error("no supervisor is running: start one with sole-supervisor FILE");
		else if (status != 0)
			log_error("%s: name one in SOLE_SUPERVISOR", error);
		if (status != 0)
			return status;
		supervisor = only;
	}
	const char *problem = rundir_name_problem(supervisor);
	if (problem != NULL) {
		log_error("'%.64s' is not a supervisor's name: %s", supervisor, problem);
		return EX_USAGE;
	}
	status = rundir_find(supervisor, ".supervisor", path, error);
	if (status != 0)
		log_error("no supervisor called %s is running: %s", supervisor, error);
	return status;
}

static int connect_to(const char *path, int64_t limit_ns)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	/* A full backlog must not hang the command. */
	struct timeval limit = { .tv_sec = limit_ns / NS_PER_S, .tv_usec = limit_ns % NS_PER_S / 1000 };
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int connect_problem(const char *path)
{
	switch (errno) {
	case ECONNREFUSED:
	case ENOENT:
		log_error("the supervisor at %s is gone: start it again", path);
		return EX_UNAVAILABLE;
	case EACCES:
	case EPERM:
		log_error("%s belongs to somebody else: ask as the user who runs the supervisor", path);
		return EX_NOPERM;
	case EAGAIN:
		log_error("the supervisor at %s is busy: try again", path);
		return EX_TEMPFAIL;
	default:
		log_error("cannot connect to %s: %s", path, strerror(errno));
		return EX_UNAVAILABLE;
	}
}

static int protocol_problem(const struct conversation *c, const char *what)
{
	log_error("what listens at %s %s: is it a sole-supervisor of this version?", c->path, what);
	return EX_PROTOCOL;
}

/* "STATUS TEXT". */
static int error_line(const struct conversation *c, char *rest)
{
	char *text = strchr(rest, ' ');
	int64_t status;

	if (text == NULL)
		return protocol_problem(c, "sent an error without a text");
	*text++ = '\0';
	if (quantity_integer(rest, 1, 255, &status) != NULL)
		return protocol_problem(c, "sent an error without a status");
	log_error("%s", text);
	return (int)status;
}

/* Returns NOT_OVER, or the exit status when this was the last line. */
static int answer_line(struct conversation *c, char *line)
{
	if (line[0] == '+') {
		for (char *at = line + 1; *at != '\0'; at++)
			if (iscntrl((unsigned char)*at))
				*at = '?';
		if (c->take != NULL)
			c->take(line + 1, c->context);
		else if (puts(line + 1) == EOF) {
			log_error("cannot write to standard output: %s", strerror(errno));
			return EX_IOERR;
		}
		return NOT_OVER;
	}
	if (strcmp(line, "wait") == 0) {
		c->deadline_ns = INT64_MAX;
		return NOT_OVER;
	}
	if (strcmp(line, "ok") == 0)
		return 0;
	if (strncmp(line, "error ", 6) == 0)
		return error_line(c, line + 6);
	return protocol_problem(c, "sent a line that means nothing");
}

/* Takes the whole lines out of the buffer, in order. */
static int answer_lines(struct conversation *c)
{
	char *start = c->line, *end = c->line + c->used, *newline;
	int status = NOT_OVER;

	while (status == NOT_OVER && (newline = memchr(start, '\n', (size_t)(end - start))) != NULL) {
		*newline = '\0';
		status = answer_line(c, start);
		start = newline + 1;
	}
	c->used = (size_t)(end - start);
	memmove(c->line, start, c->used);
	if (status == NOT_OVER && c->used == sizeof c->line)
		return protocol_problem(c, "sent a line without an end");
	return status;
}

static int read_answer(struct conversation *c)
{
	for (;;) {
		int ready = wait_readable(c->fd, c->deadline_ns);
		if (ready < 0 && errno == EINTR && interrupted()) {
			log_error("no longer waiting: the supervisor goes on with it, and `sole status` shows how far");
			return EX_TEMPFAIL;
		}
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready == 0 && clock_monotonic_ns() < c->deadline_ns)
			continue;
		if (ready == 0) {
			log_error("the supervisor at %s did not answer in time: try again", c->path);
			return EX_TEMPFAIL;
		}
		ssize_t got = recv(c->fd, c->line + c->used, sizeof c->line - c->used, MSG_DONTWAIT);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0) {
			log_error("the supervisor at %s went away before it answered: see its log", c->path);
			return EX_TEMPFAIL;
		}
		c->used += (size_t)got;
		int status = answer_lines(c);
		if (status != NOT_OVER)
			return status;
	}
}

/* Returns 0 with the request in `text`, or an exit status after telling why. */
static int word_request(const char *verb, const char *child, char text[REQUEST_BYTES])
{
	bool known = verb_is(verb, "status") || verb_is(verb, "restart") || verb_is(verb, "stop") ||
		     verb_is(verb, "start");

	if (!known) {
		log_error("'%.32s' is not status, restart, stop or start", verb);
		return EX_USAGE;
	}
	if (child == NULL && !verb_is(verb, "status")) {
		log_error("%s needs the name of a child: `sole status` lists them", verb);
		return EX_USAGE;
	}
	const char *problem = child == NULL ? NULL : rundir_name_problem(child);
	if (problem != NULL) {
		log_error("'%.64s' is not a child's name: %s", child, problem);
		return EX_USAGE;
	}
	snprintf(text, REQUEST_BYTES, "%s%s%s\n", verb, child == NULL ? "" : " ",
		 child == NULL ? "" : child);
	return 0;
}

/* Finds the supervisor, asks and takes the answer: the exit status. */
static int converse(struct conversation *c, const char *request, const char *supervisor, int64_t limit_ns)
{
	int status = find_socket(supervisor, c->path);

	if (status != 0)
		return status;
	c->fd = connect_to(c->path, limit_ns);
	if (c->fd < 0)
		return connect_problem(c->path);
	c->deadline_ns = clock_monotonic_ns() + limit_ns;
	if (send(c->fd, request, strlen(request), MSG_NOSIGNAL) < 0 && errno != EPIPE) {
		log_error("cannot ask the supervisor at %s: %s", c->path, strerror(errno));
		status = EX_TEMPFAIL;
	} else {
		/* After EPIPE the reason may still be waiting to be read. */
		status = read_answer(c);
	}
	close(c->fd);
	return status;
}

int children_command(const char *verb, const char *child_or_null, const char *supervisor_or_null)
{
	struct conversation c = { .fd = -1 };
	char request[REQUEST_BYTES];

	int status = word_request(verb, child_or_null, request);
	if (status == 0)
		status = converse(&c, request, supervisor_or_null, answer_limit_ns);
	if (fflush(stdout) != 0 && status == 0) {
		log_error("cannot write to standard output: %s", strerror(errno));
		status = EX_IOERR;
	}
	return status;
}

int children_list(const char *supervisor_or_null, int64_t limit_ns, children_line *line, void *context)
{
	struct conversation c = { .fd = -1, .take = line, .context = context };

	return converse(&c, "status\n", supervisor_or_null, limit_ns);
}
