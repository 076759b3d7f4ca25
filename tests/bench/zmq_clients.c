/* SPDX-License-Identifier: MIT
 *
 * zmq_clients.c - what libzmq alone costs: the crew's clients, each with a DEALER, against a
 * ROUTER in a process of its own that sends back what a client is owed.
 *
 * A request and an answer are the two frames that sole's are, of the same sizes: an empty one and
 * a body, as an owner of the table and its library exchange them for a get of a short key. Nothing
 * is written into the body but a number, and nothing is looked up.
 */
#include "common/log.h"
#include "tests/bench/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include <zmq.h>

/* 80-bench.t looks whether these still are what sole sends. */
enum { REQUEST_BYTES = 73, ANSWER_BYTES = 74, ROUTE_MOST = 256, BACKLOG = 4096 };

struct connection {
	void *context, *socket;
};

static void make_endpoint(const char *path, char *endpoint, size_t size)
{
	snprintf(endpoint, size, "ipc://%s", path);
}

/* ---- the server ---- */

/* Takes one message and answers it; false: the socket is gone. */
static bool serve_one(void *router)
{
	char route[ROUTE_MOST], body[REQUEST_BYTES], answer[ANSWER_BYTES] = { 0 };
	int size = zmq_recv(router, route, sizeof route, 0);

	if (size < 0)
		return errno == EINTR;
	if (zmq_recv(router, body, 0, 0) < 0 || zmq_recv(router, body, sizeof body, 0) != REQUEST_BYTES)
		return false;
	memcpy(answer, body, sizeof(int64_t));
	return zmq_send(router, route, (size_t)size, ZMQ_SNDMORE) == size &&
	       zmq_send(router, "", 0, ZMQ_SNDMORE) == 0 && zmq_send(router, answer, sizeof answer, 0) == ANSWER_BYTES;
}

/* `bound` is told when clients may connect. The end is a signal. */
static void serve(const char *path, int bound)
{
	char endpoint[256];
	int backlog = BACKLOG;
	void *context = zmq_ctx_new(), *router;

	zmq_ctx_set(context, ZMQ_MAX_SOCKETS, BACKLOG);
	router = zmq_socket(context, ZMQ_ROUTER);
	make_endpoint(path, endpoint, sizeof endpoint);
	if (router == NULL || zmq_setsockopt(router, ZMQ_BACKLOG, &backlog, sizeof backlog) != 0 ||
	    zmq_bind(router, endpoint) != 0)
		fatal(EX_CANTCREAT, "cannot listen at %s: %s", endpoint, zmq_strerror(zmq_errno()));
	if (write(bound, "b", 1) != 1)
		_exit(EX_OSERR);
	while (serve_one(router))
		;
	fatal(EX_OSERR, "cannot serve: %s", zmq_strerror(zmq_errno()));
}

static pid_t server_start(const struct crew *crew)
{
	int ends[2];
	pid_t parent = getpid();
	char byte;

	if (pipe(ends) != 0)
		fatal(EX_OSERR, "cannot make a pipe: %s", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		fatal(EX_OSERR, "cannot start the server: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EX_OSERR);
		close(ends[0]);
		serve(crew->socket, ends[1]);
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1) {
		waitpid(pid, NULL, 0);
		exit(EX_CANTCREAT); /* it said why */
	}
	close(ends[0]);
	return pid;
}

/* ---- a client ---- */

static int zmq_ask(void *link, int64_t number, int64_t *answered)
{
	struct connection *connection = link;
	char body[REQUEST_BYTES] = { 0 }, answer[ANSWER_BYTES];

	memcpy(body, &number, sizeof number);
	if (zmq_send(connection->socket, "", 0, ZMQ_SNDMORE) == 0 &&
	    zmq_send(connection->socket, body, sizeof body, 0) == REQUEST_BYTES &&
	    zmq_recv(connection->socket, answer, 0, 0) == 0 &&
	    zmq_recv(connection->socket, answer, sizeof answer, 0) == ANSWER_BYTES) {
		memcpy(answered, answer, sizeof *answered);
		return 0;
	}
	crew_error("the server is gone: %s", zmq_strerror(zmq_errno()));
	return -1;
}

static int zmq_get(void *connection, int64_t key, int64_t *value)
{
	return zmq_ask(connection, key, value) == 0 ? 1 : -1;
}

static int zmq_set(void *connection, int64_t key, int64_t value)
{
	int64_t ignored;

	(void)key;
	return zmq_ask(connection, value, &ignored);
}

static void zmq_leave(void *link)
{
	struct connection *connection = link;

	zmq_close(connection->socket);
	zmq_ctx_term(connection->context);
	free(connection);
}

/* A request goes round before a client counts as connected, as it does for the other peers. */
static void *zmq_open(const char *path)
{
	struct connection *connection = calloc(1, sizeof *connection);
	int64_t ignored;
	char endpoint[256];

	make_endpoint(path, endpoint, sizeof endpoint);
	if (connection == NULL)
		return NULL;
	connection->context = zmq_ctx_new();
	connection->socket = zmq_socket(connection->context, ZMQ_DEALER);
	if (connection->socket == NULL || zmq_connect(connection->socket, endpoint) != 0) {
		crew_error("cannot connect to %s: %s", endpoint, zmq_strerror(zmq_errno()));
		return NULL; /* the process ends with it */
	}
	return zmq_ask(connection, 0, &ignored) == 0 ? connection : NULL;
}

int main(int argc, char **argv)
{
	static const struct crew_link link = { zmq_open, zmq_get, zmq_set, zmq_leave, NULL };
	struct crew crew;

	crew_parse(&crew, "zmq_clients", "Runs the crew's clients on DEALER and ROUTER and prints their totals.",
		   argc, argv);
	pid_t server = server_start(&crew);
	int status = crew_run(&crew, &link);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	unlink(crew.socket);
	return status;
}
