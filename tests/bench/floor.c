/* SPDX-License-Identifier: MIT
 *
 * floor.c - what the machine itself costs: the seed's clients as processes on
 * bare Unix stream sockets, against one thread with epoll and an array.
 *
 * Nothing is left to take away: requests of 16 bytes, answers of 8, no parsing,
 * no hash table, no allocation, no error that is not fatal. What is left is one
 * system call and one wake-up each way, which every server for one process a
 * client pays. It is a measure and not a server: it trusts its clients.
 *
 * With $FLOOR_JOURNAL, a path, what was set is written there and synced before it is
 * answered, once for all requests that had come: what durability costs beside that.
 */
#include "common/log.h"
#include "tests/bench/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { EVENTS_MOST = 256, NONE = -1, JOURNAL_BYTES = 64 << 20 };

enum operation { OPERATION_GET = 1, OPERATION_SET = 2 };

/* Both ends are one program on one machine: structs go as they are. */
struct request {
	uint32_t operation;
	uint32_t key;
	int64_t value;
};

struct answer {
	int64_t value; /* NONE where the key has no value yet */
};

_Static_assert(sizeof(struct request) == 16 && sizeof(struct answer) == 8, "as README.md says");

struct peer {
	int fd;
	size_t have; /* bytes of `request` that have arrived */
	struct request request;
};

struct server {
	int listener, epoll;
	int64_t clients;        /* that will connect, each once */
	int64_t accepted, gone; /* of them */
	int64_t keys;
	struct peer *peers;     /* one for each client */
	int64_t *values;        /* one for each key */
	int journal;            /* -1: there is none */
	off_t journal_end;
	struct peer *asked[EVENTS_MOST]; /* those that wait for an answer */
	size_t asked_count;
};

static void socket_address(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address->sun_path)
		fatal(EX_USAGE, "the socket's path is longer than %zu bytes: give a shorter --socket",
		      sizeof address->sun_path - 1);
	strcpy(address->sun_path, path);
}

/* The server. */

static void server_watch(struct server *server, int fd, struct peer *peer)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = peer } };

	if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		fatal(EX_OSERR, "epoll_ctl: %s", strerror(errno));
}

static void server_accept(struct server *server)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return;
		fatal(EX_OSERR, "accept: %s", strerror(errno));
	}
	if (server->accepted == server->clients)
		fatal(EX_UNAVAILABLE, "somebody else has connected");
	struct peer *peer = &server->peers[server->accepted++];
	peer->fd = fd;
	server_watch(server, fd, peer);
}

static void server_drop(struct server *server, struct peer *peer)
{
	close(peer->fd);
	server->gone++;
}

static void server_answer(struct server *server, struct peer *peer)
{
	struct request *request = &peer->request;
	struct answer answer = { NONE };

	if (request->key < server->keys) {
		int64_t *value = &server->values[request->key];
		if (request->operation == OPERATION_SET)
			*value = request->value;
		answer.value = *value;
	}
	/* A client has one request under way, so eight bytes always fit; and
	 * if it has gone, the next recv() says so. */
	if (send(peer->fd, &answer, sizeof answer, MSG_NOSIGNAL) != (ssize_t)sizeof answer)
		shutdown(peer->fd, SHUT_RDWR);
}

static void server_receive(struct server *server, struct peer *peer)
{
	ssize_t n = recv(peer->fd, (char *)&peer->request + peer->have, sizeof peer->request - peer->have, 0);

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			server_drop(server, peer);
		return;
	}
	peer->have += (size_t)n;
	if (peer->have == sizeof peer->request) {
		peer->have = 0;
		server->asked[server->asked_count++] = peer;
	}
}

/* One write and one sync for all of them, into a file that is there already, as a journal should be. */
static void server_record(struct server *server)
{
	static struct request records[EVENTS_MOST];
	size_t count = 0;

	for (size_t i = 0; i < server->asked_count; i++)
		if (server->asked[i]->request.operation == OPERATION_SET)
			records[count++] = server->asked[i]->request;
	if (count == 0)
		return;
	if (server->journal_end + (off_t)sizeof records > JOURNAL_BYTES)
		server->journal_end = 0;
	if (pwrite(server->journal, records, count * sizeof *records, server->journal_end) < 0 ||
	    fdatasync(server->journal) != 0)
		fatal(EX_IOERR, "cannot write the journal: %s", strerror(errno));
	server->journal_end += (off_t)(count * sizeof *records);
}

static void server_answer_all(struct server *server)
{
	if (server->journal >= 0)
		server_record(server);
	for (size_t i = 0; i < server->asked_count; i++)
		server_answer(server, server->asked[i]);
	server->asked_count = 0;
}

static int journal_open(const char *path)
{
	static const char zeros[1 << 16];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	for (off_t at = 0; fd >= 0 && at < JOURNAL_BYTES; at += (off_t)sizeof zeros)
		if (pwrite(fd, zeros, sizeof zeros, at) != (ssize_t)sizeof zeros)
			fatal(EX_IOERR, "cannot write %s: %s", path, strerror(errno));
	if (fd < 0 || fsync(fd) != 0)
		fatal(EX_CANTCREAT, "cannot make %s: %s", path, strerror(errno));
	unlink(path);
	return fd;
}

/* Serves until every client has come and gone. */
static void server_run(struct server *server)
{
	struct epoll_event events[EVENTS_MOST];

	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->peers = calloc((size_t)server->clients, sizeof *server->peers);
	server->values = calloc((size_t)server->keys, sizeof *server->values);
	if (server->epoll < 0 || server->peers == NULL || server->values == NULL)
		fatal(EX_OSERR, "cannot set the server up: %s", strerror(errno));
	for (int64_t i = 0; i < server->keys; i++)
		server->values[i] = NONE;
	server_watch(server, server->listener, NULL);
	while (server->gone < server->clients) {
		int count = epoll_wait(server->epoll, events, EVENTS_MOST, -1);
		if (count < 0 && errno != EINTR)
			fatal(EX_OSERR, "epoll_wait: %s", strerror(errno));
		for (int i = 0; i < count; i++) {
			struct peer *peer = events[i].data.ptr;
			if (peer == NULL)
				server_accept(server);
			else
				server_receive(server, peer);
		}
		server_answer_all(server);
	}
	free(server->values);
	free(server->peers);
	close(server->epoll);
}

static int listen_at(const char *path, int64_t clients)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	socket_address(path, &address);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
		fatal(EX_CANTCREAT, "cannot make the socket %s: %s%s", path, strerror(errno),
		      errno == EADDRINUSE ? ": remove it, or give another --socket" : "");
	if (listen(fd, (int)clients) != 0)
		fatal(EX_OSERR, "cannot listen at %s: %s", path, strerror(errno));
	return fd;
}

/* Listens before it forks, so that a client may connect as soon as this returns. */
static pid_t server_start(const struct crew *crew)
{
	struct server server = { .keys = crew->keys, .clients = crew->readers + crew->writers, .journal = -1 };
	const char *journal = getenv("FLOOR_JOURNAL");
	struct rlimit files;
	pid_t parent = getpid();

	if (journal != NULL)
		server.journal = journal_open(journal);
	server.listener = listen_at(crew->socket, server.clients);
	pid_t pid = fork();
	if (pid < 0)
		fatal(EX_OSERR, "cannot start the server: %s", strerror(errno));
	if (pid > 0) {
		close(server.listener);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EX_OSERR);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	server_run(&server);
	_exit(EX_OK);
}

/* One client's end. */

struct floor_connection {
	int fd;
};

static void *floor_open(const char *path)
{
	struct floor_connection *connection = calloc(1, sizeof *connection);
	struct sockaddr_un address;

	socket_address(path, &address);
	if (connection == NULL)
		return NULL;
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0 ||
	    connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0) {
		crew_error("cannot connect to %s: %s", path, strerror(errno));
		free(connection);
		return NULL;
	}
	return connection;
}

static bool floor_ask(struct floor_connection *connection, const struct request *request,
		      struct answer *answer)
{
	if (send(connection->fd, request, sizeof *request, MSG_NOSIGNAL) == (ssize_t)sizeof *request &&
	    recv(connection->fd, answer, sizeof *answer, MSG_WAITALL) == (ssize_t)sizeof *answer)
		return true;
	crew_error("the server is gone: %s", strerror(errno));
	return false;
}

static int floor_get(void *connection, int64_t key, int64_t *value)
{
	struct request request = { .operation = OPERATION_GET, .key = (uint32_t)key };
	struct answer answer;

	if (!floor_ask(connection, &request, &answer))
		return -1;
	*value = answer.value;
	return answer.value != NONE;
}

static int floor_set(void *connection, int64_t key, int64_t value)
{
	struct request request = { .operation = OPERATION_SET, .key = (uint32_t)key, .value = value };
	struct answer answer;

	return floor_ask(connection, &request, &answer) ? 0 : -1;
}

static void floor_close(void *link)
{
	struct floor_connection *connection = link;

	close(connection->fd);
	free(connection);
}

int main(int argc, char **argv)
{
	static const struct crew_link link = { floor_open, floor_get, floor_set, floor_close, NULL };
	struct crew crew;

	crew_parse(&crew, "floor", "Runs the seed's clients on bare Unix sockets and prints their totals.",
		   argc, argv);
	pid_t server = server_start(&crew);
	int status = crew_run(&crew, &link);
	/* After a failure some client may never have come: do not wait for it. */
	if (status != EX_OK)
		kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	unlink(crew.socket);
	return status;
}
