/* SPDX-License-Identifier: MIT
 *
 * control.c - the control socket: status, restart, stop, start.
 *
 * A client's slot holds all there is about it, and every step is one that does
 * not block. Children are named afresh each time, so that an answer may wait
 * over a reload.
 */
#include "supervisor/control.h"
#include "common/clock.h"
#include "common/lockfile.h"
#include "common/log.h"
#include "common/quantity.h"
#include "supervisor/listen.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const int64_t ask_within_ns = 10 * NS_PER_S, read_within_ns = 30 * NS_PER_S;
static const int64_t accept_pause_ns = NS_PER_S / 2;
enum { NO_SUCH_CHILD = 1, BACKLOG = 64 };

/* ---- the connection ---- */

static void client_drop(struct control_client *client)
{
	source_close(&client->source);
	free(client->table);
	*client = (struct control_client){ .supervisor = client->supervisor, .source = SOURCE_CLOSED };
}

/* Sends what the socket takes; closes after the last of it. */
static void client_flush(struct control_client *client)
{
	const char *answer = client->table != NULL ? client->table : client->line;

	while (client->answered < client->answer_bytes) {
		ssize_t sent = send(client->source.fd, answer + client->answered,
				    client->answer_bytes - client->answered, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) {
			source_watch(&client->source, EPOLLOUT);
			return;
		}
		if (sent < 0) {
			client_drop(client);
			return;
		}
		client->answered += (size_t)sent;
	}
	if (client->final)
		client_drop(client);
	else
		source_watch(&client->source, client->eof ? 0 : EPOLLIN);
}

/* Nothing comes after this answer. */
static void answer_final(struct control_client *client)
{
	client->final = true;
	client->goal = GOAL_NONE;
	client->limit_ns = client->supervisor->now_ns + read_within_ns;
	client_flush(client);
}

/* The last line of an answer, "ok" or "error ...". Behind "wait", if that was said. */
static void answer_last(struct control_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void answer_last(struct control_client *client, const char *format, ...)
{
	size_t room = sizeof client->line - client->answer_bytes - 1;
	va_list arguments;

	va_start(arguments, format);
	int size = vsnprintf(client->line + client->answer_bytes, room, format, arguments);
	va_end(arguments);
	if (size > 0)
		client->answer_bytes += (size_t)size < room ? (size_t)size : room - 1;
	client->line[client->answer_bytes++] = '\n';
	answer_final(client);
}

/* ---- the verbs ---- */

static bool is_target(const struct child *child, const char *target)
{
	return !child->removed && (strcmp(child->spec->name, target) == 0 ||
				   strcmp(child->name, target) == 0);
}

static size_t count_targets(const struct supervisor *s, const char *target)
{
	size_t count = 0;

	for (size_t i = 0; i < s->count; i++)
		count += is_target(s->children[i], target);
	return count;
}

static void print_child(const struct supervisor *s, const struct child *child, int width, FILE *stream)
{
	char pid[16] = "-", up[24] = "-", rate[24] = "-";
	bool runs = child_state_runs(child_state(child));

	if (child->pid > 0)
		snprintf(pid, sizeof pid, "%d", (int)child->pid);
	if (runs)
		quantity_format_duration(s->now_ns - child->started_ns, up, sizeof up);
	if (child->operations_ns != 0 && runs)
		snprintf(rate, sizeof rate, "%.0f", child_rate(child, s->now_ns));
	fprintf(stream, "+%-*s %7s %-8s %7s %8u %9s %s\n", width, child->name, pid,
		child_state_name(child_state(child)), up, child->restarts, rate, runs ? child->status : "");
}

static void do_status(struct supervisor *s, struct control_client *client, const char *target)
{
	size_t size = 0;
	int width = (int)strlen("CHILD");
	FILE *stream = open_memstream(&client->table, &size);

	for (size_t i = 0; i < s->count; i++)
		if ((int)strlen(s->children[i]->name) > width)
			width = (int)strlen(s->children[i]->name);
	if (stream != NULL) {
		fprintf(stream, "+%-*s %7s %-8s %7s %8s %9s %s\n", width, "CHILD", "PID", "STATE", "UP",
			"RESTARTS", "OPS/S", "STATUS");
		for (size_t i = 0; i < s->count; i++)
			if (*target == '\0' || is_target(s->children[i], target))
				print_child(s, s->children[i], width, stream);
		fprintf(stream, "ok\n");
	}
	if (stream != NULL && fclose(stream) == 0) {
		client->answer_bytes = size;
		answer_final(client);
		return;
	}
	free(client->table);
	client->table = NULL;
	answer_last(client, "error %d the supervisor is out of memory: try again", EX_TEMPFAIL);
}

static void restart_child(struct supervisor *s, struct child *child)
{
	child->failures = 0;
	child->not_before_ns = s->now_ns;
	order_down(s, child, AFTER_RESTART);
}

static void start_child(struct supervisor *s, struct child *child)
{
	if (!child_state_runs(child_state(child)))
		child_event(s, child, EVENT_RELEASE);
	else if (child->after == AFTER_HOLD || child->after == AFTER_END)
		restart_child(s, child); /* on its way down: it comes back from there */
}

static void stop_child(struct supervisor *s, struct child *child)
{
	order_down(s, child, AFTER_HOLD);
}

static const struct verb {
	const char *name;
	void (*act)(struct supervisor *s, struct child *child);
	enum control_goal goal;
} verbs[] = {
	{ "restart", restart_child, GOAL_RESTARTED },
	{ "start", start_child, GOAL_READY },
	{ "stop", stop_child, GOAL_DOWN },
};

static void do_order(struct supervisor *s, struct control_client *client, const struct verb *verb,
		     const char *target)
{
	if (*target == '\0') {
		answer_last(client, "error %d %s needs the name of a child", EX_USAGE, verb->name);
		return;
	}
	if (s->stopping) {
		answer_last(client, "error %d the supervisor is stopping", EX_TEMPFAIL);
		return;
	}
	s->batch++;
	for (size_t i = 0; i < s->count; i++)
		if (is_target(s->children[i], target))
			verb->act(s, s->children[i]);
	log_info("told to %s %s", verb->name, target);
	client->goal = verb->goal;
	client->asked_ns = s->now_ns;
	client->limit_ns = INT64_MAX;
	snprintf(client->target, sizeof client->target, "%s", target);
	client->answer_bytes = (size_t)snprintf(client->line, sizeof client->line, "wait\n");
	client_flush(client);
}

static void do_request(struct supervisor *s, struct control_client *client)
{
	char *line = client->request, *target = strchr(line, ' ');

	if (target != NULL)
		*target++ = '\0';
	else
		target = line + strlen(line);
	if (*target != '\0' && rundir_name_problem(target) != NULL) {
		answer_last(client, "error %d that is not the name of a child", EX_USAGE);
		return;
	}
	if (*target != '\0' && count_targets(s, target) == 0) {
		answer_last(client, "error %d there is no child called %s", NO_SUCH_CHILD, target);
		return;
	}
	if (strcmp(line, "status") == 0) {
		do_status(s, client, target);
		return;
	}
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(line, verbs[i].name) == 0) {
			do_order(s, client, &verbs[i], target);
			return;
		}
	answer_last(client, "error %d a request is status, restart, stop or start, and a child", EX_USAGE);
}

/* ---- what arrives ---- */

static void client_serve(void *owner)
{
	struct control_client *client = owner;
	char rest[256];

	if (client->answered < client->answer_bytes) {
		client_flush(client);
		return;
	}
	if (client->eof) { /* woken without reading or writing: the other end is gone */
		client_drop(client);
		return;
	}
	bool asking = client->goal == GOAL_NONE;
	size_t room = sizeof client->request - 1 - client->used;
	ssize_t got = recv(client->source.fd, asking ? client->request + client->used : rest,
			   asking ? room : sizeof rest, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got < 0 || (got == 0 && asking)) {
		client_drop(client);
		return;
	}
	if (got == 0) { /* it waits for its answer and sends no more */
		client->eof = true;
		source_watch(&client->source, 0);
		return;
	}
	if (!asking)
		return; /* one request a connection: the rest is not looked at */
	client->used += (size_t)got;
	char *newline = memchr(client->request, '\n', client->used);
	if (newline == NULL && client->used < sizeof client->request - 1)
		return;
	if (newline == NULL || memchr(client->request, '\0', (size_t)(newline - client->request)) != NULL) {
		answer_last(client, "error %d a request is one short line", EX_USAGE);
		return;
	}
	*newline = '\0';
	do_request(client->supervisor, client);
}

static void refuse(int fd)
{
	static const char text[] = "error 75 the supervisor has too many clients at once: try again\n";

	/* A fresh socket has room for one line; if not, the client sees the end. */
	if (send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("a client too many could not be told so");
	close(fd);
}

static void accept_one(struct supervisor *s, int fd)
{
	struct control_client *client = NULL;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX && client == NULL; i++)
		if (s->control.clients[i].source.fd < 0)
			client = &s->control.clients[i];
	if (client == NULL) {
		refuse(fd);
		return;
	}
	client->limit_ns = s->now_ns + ask_within_ns;
	if (source_open(&client->source, fd, EPOLLIN, client_serve, client) != 0)
		refuse(fd);
}

static void listener_serve(void *owner)
{
	struct supervisor *s = owner;
	struct control *control = &s->control;

	for (int turns = 0; turns < CONTROL_CLIENTS_MAX; turns++) {
		int fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			accept_one(s, fd);
			continue;
		}
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return;
		/* Out of descriptors or memory: the client waits in the backlog. */
		log_warn("cannot accept on the control socket: %s", strerror(errno));
		source_watch(&control->listener, 0);
		control->accept_again_ns = s->now_ns + accept_pause_ns;
		return;
	}
}

/* ---- answers that wait ---- */

/* How one target stands to the goal: 1 reached, 0 not yet, -1 will not be. */
static int progress(const struct control_client *client, const struct child *child)
{
	enum child_state state = child_state(child);
	bool fresh = child->started_ns >= client->asked_ns;
	bool runs = child_state_runs(state);

	switch (client->goal) {
	case GOAL_DOWN:
		return !runs ? 1 : fresh && child->after != AFTER_HOLD ? -1 : 0;
	case GOAL_READY:
	case GOAL_RESTARTED:
		if (state == CHILD_ENDED && fresh)
			return child->came_up || child->ended_well ? 1 : -1;
		if (state == CHILD_HELD || child->failed_ns >= client->asked_ns)
			return -1;
		return state == CHILD_READY && (fresh || client->goal == GOAL_READY);
	case GOAL_NONE:
		break;
	}
	return 1;
}

static void client_check(struct supervisor *s, struct control_client *client)
{
	size_t targets = 0, reached = 0;
	const struct child *failed = NULL;

	if (s->stopping && client->goal != GOAL_DOWN) {
		answer_last(client, "error %d the supervisor is stopping", EX_TEMPFAIL);
		return;
	}
	for (size_t i = 0; i < s->count; i++) {
		if (!is_target(s->children[i], client->target))
			continue;
		int step = progress(client, s->children[i]);
		targets++;
		reached += step > 0;
		if (step < 0)
			failed = s->children[i];
	}
	if (targets == 0)
		answer_last(client, "error %d %s is no longer in the file", NO_SUCH_CHILD, client->target);
	else if (failed != NULL && client->goal == GOAL_DOWN)
		answer_last(client, "error %d %s was started again meanwhile", EX_TEMPFAIL, failed->name);
	else if (failed != NULL)
		answer_last(client, "error %d %s ended before it was ready: see the supervisor's log",
			    EX_SOFTWARE,
			    failed->name);
	else if (reached == targets)
		answer_last(client, "ok");
}

int64_t control_update(struct supervisor *s)
{
	struct control *control = &s->control;
	int64_t next = INT64_MAX;

	if (control->accept_again_ns != 0 && control->accept_again_ns <= s->now_ns &&
	    source_watch(&control->listener, EPOLLIN) == 0)
		control->accept_again_ns = 0;
	if (control->accept_again_ns != 0)
		next = s->now_ns + accept_pause_ns;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &control->clients[i];
		if (client->source.fd >= 0 && client->goal != GOAL_NONE)
			client_check(s, client);
		if (client->source.fd >= 0 && client->limit_ns <= s->now_ns)
			client_drop(client);
		if (client->source.fd >= 0 && client->limit_ns < next)
			next = client->limit_ns;
	}
	return next;
}

/* ---- begin and end ---- */

static int take_lock(const char *path, const char *name)
{
	char error[LOCKFILE_ERROR_MAX], pid[24] = "unknown";
	pid_t holder;
	int fd, status = lockfile_take(path, &fd, &holder, error);

	if (status == 0)
		return fd;
	if (status != EX_UNAVAILABLE)
		fatal(status, "%s", error);
	if (holder > 0)
		snprintf(pid, sizeof pid, "%d", (int)holder);
	fatal(status,
	      "a supervisor called %s is running already, pid %s: stop it, or give this one another name",
	      name, pid);
}

void control_open(struct supervisor *s)
{
	struct control *control = &s->control;
	char error[LISTEN_ERROR_MAX];

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		control->clients[i] = (struct control_client){ .supervisor = s, .source = SOURCE_CLOSED };
	int status = rundir_claim(s->plan->name, ".supervisor.lock", control->lock_path, error);
	if (status == 0)
		status = rundir_claim(s->plan->name, ".supervisor", control->path, error);
	if (status == 0)
		status = rundir_claim(s->plan->name, ".notify", s->notify_path, error);
	if (status != 0)
		fatal(status, "%s", error);
	control->lock_fd = take_lock(control->lock_path, s->plan->name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		fatal(EX_OSERR, "cannot make a socket: %s", log_cause(errno));
	if (listen_bind(fd, control->path, 0600, error) != 0) {
		control->path[0] = '\0'; /* it is not ours to remove */
		fatal(EX_CANTCREAT, "%s", error);
	}
	if (listen(fd, BACKLOG) != 0 || source_open(&control->listener, fd, EPOLLIN, listener_serve, s) != 0)
		fatal(EX_OSERR, "cannot listen on %s: %s", control->path, log_cause(errno));
}

void control_close(struct supervisor *s)
{
	struct control *control = &s->control;

	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		client_drop(&control->clients[i]);
	source_close(&control->listener);
	unlink(control->path);
	unlink(control->lock_path); /* while it is held: nobody else's is removed */
	close(control->lock_fd);
}
