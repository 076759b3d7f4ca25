/* SPDX-License-Identifier: MIT
 *
 * connection.c - the way to one owner.
 */
#include "clients/connection.h"

#include "clients/context.h"
#include "clients/sole.h"
#include "common/protocol.h"
#include "common/rundir.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

enum {
	HIGH_WATER = 64,           /* messages; the engine keeps less than ten under way, except to an
	                              owner that does not read */
	RECONNECT_MS = 10,         /* an owner that is restarted is back within some of these */
	RECONNECT_MAX_MS = 200,    /* while nobody listens */
	HANDSHAKE_MS = 10000,      /* an owner that was stopped accepts and says nothing */
	HEARTBEAT_MS = 5000,       /* tcp only: a host that died says nothing either */
	HEARTBEAT_TIMEOUT_MS = 15000,
};

#define LOOK_EVERY_NS (200 * NS_PER_MS)

static const char ipc_scheme[] = "ipc://", tcp_scheme[] = "tcp://";

static bool is_tcp(const char *endpoint)
{
	return strncmp(endpoint, tcp_scheme, sizeof tcp_scheme - 1) == 0;
}

static int set(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof value);
}

/* Every option of the socket, and why. The routing id stays anonymous: one that is fixed mutes
 * a client that reconnects. */
static int set_options(void *dealer, bool tcp)
{
	int64_t largest = PROTOCOL_MESSAGE_MAX_BYTES;

	/* Goodbye has its own 100 ms; nothing else is worth waiting for at the end. */
	if (set(dealer, ZMQ_LINGER, 0) != 0)
		return -1;
	/* No message goes into the pipe of a connection that is not there: what was sent before an
	 * owner's death does not turn up at its successor. (A connection may still be replaced
	 * between two looks at the monitor; the engine is safe against that, see engine.h.) */
	if (set(dealer, ZMQ_IMMEDIATE, 1) != 0)
		return -1;
	if (set(dealer, ZMQ_SNDHWM, HIGH_WATER) != 0 || set(dealer, ZMQ_RCVHWM, HIGH_WATER) != 0)
		return -1;
	if (zmq_setsockopt(dealer, ZMQ_MAXMSGSIZE, &largest, sizeof largest) != 0)
		return -1;
	if (set(dealer, ZMQ_RECONNECT_IVL, RECONNECT_MS) != 0 ||
	    set(dealer, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) != 0)
		return -1;
	if (set(dealer, ZMQ_RCVTIMEO, (int)(CONNECTION_WAIT_NS / NS_PER_MS)) != 0)
		return -1;
	if (set(dealer, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) != 0)
		return -1;
	if (!tcp)
		return 0;
	if (set(dealer, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) != 0 ||
	    set(dealer, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS) != 0)
		return -1;
	return set(dealer, ZMQ_IPV6, 1);
}

/* The monitor is a pair of sockets. libzmq's I/O thread blocks when it is full, so its end here
 * takes without limit: two events a reconnection. */
static int open_monitor(struct connection *connection)
{
	static _Atomic unsigned long number;
	const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
	char name[64];

	snprintf(name, sizeof name, "inproc://sole-monitor-%lu", atomic_fetch_add(&number, 1));
	if (zmq_socket_monitor(connection->dealer, name, events) != 0)
		return -1;
	connection->monitor = context_extra_socket(ZMQ_PAIR);
	if (connection->monitor == NULL)
		return -1;
	if (set(connection->monitor, ZMQ_LINGER, 0) != 0 || set(connection->monitor, ZMQ_RCVHWM, 0) != 0)
		return -1;
	return zmq_connect(connection->monitor, name);
}

static int get_descriptor(void *socket, int *descriptor)
{
	size_t size = sizeof *descriptor;

	return zmq_getsockopt(socket, ZMQ_FD, descriptor, &size);
}

/* Where the owner called `name` listens, or would if nothing was `found`. */
static int find(const char *name, char endpoint[CONNECTION_ENDPOINT_MAX], bool *found,
		char why[CONNECTION_WHY_MAX])
{
	char path[RUNDIR_PATH_MAX] = "", error[RUNDIR_ERROR_MAX] = "";
	const char *problem = rundir_name_problem(name);

	if (problem != NULL) {
		snprintf(why, CONNECTION_WHY_MAX, "'%.64s' is not the name of an owner: %s", name, problem);
		return SOLE_USAGE;
	}
	*found = rundir_find(name, ".sock", path, error) == 0;
	if (!*found && path[0] == '\0') {
		snprintf(why, CONNECTION_WHY_MAX, "%s", error);
		return SOLE_USAGE;
	}
	snprintf(endpoint, CONNECTION_ENDPOINT_MAX, "%s%s", ipc_scheme, path);
	return SOLE_OK;
}

static int check(const char *endpoint, char why[CONNECTION_WHY_MAX])
{
	const size_t scheme = sizeof ipc_scheme - 1; /* both have it */
	const size_t path_max = sizeof ((struct sockaddr_un *)0)->sun_path - 1;
	bool tcp = is_tcp(endpoint);

	if (!tcp && strncmp(endpoint, ipc_scheme, scheme) != 0) {
		snprintf(why, CONNECTION_WHY_MAX, "the endpoint '%.200s' must begin with ipc:// or tcp://",
			 endpoint);
		return SOLE_USAGE;
	}
	if (endpoint[scheme] == '\0' || strlen(endpoint) >= CONNECTION_ENDPOINT_MAX) {
		snprintf(why, CONNECTION_WHY_MAX, "the endpoint '%.200s' must name a %s", endpoint,
			 tcp ? "host and a port, as in tcp://host:5555"
			     : "socket, as in ipc:///run/sole/name.sock");
		return SOLE_USAGE;
	}
	if (!tcp && strlen(endpoint + scheme) > path_max) {
		snprintf(why, CONNECTION_WHY_MAX,
			 "the path of the endpoint '%.200s' has %zu bytes and the limit is %zu", endpoint,
			 strlen(endpoint + scheme), path_max);
		return SOLE_USAGE;
	}
	return SOLE_OK;
}

int connection_open(struct connection *connection, const char *endpoint, const char *name,
		    char why[CONNECTION_WHY_MAX])
{
	bool found;
	int code;

	*connection = (struct connection){ .look_ns = INT64_MAX };
	if (endpoint != NULL) {
		code = check(endpoint, why);
		if (code == SOLE_OK)
			snprintf(connection->endpoint, sizeof connection->endpoint, "%s", endpoint);
	} else {
		code = find(name, connection->endpoint, &found, why);
		snprintf(connection->name, sizeof connection->name, "%.64s", name);
		connection->look_ns = INT64_MIN;
	}
	if (code != SOLE_OK)
		return code;
	connection->dealer = context_socket(ZMQ_DEALER);
	if (connection->dealer == NULL) {
		snprintf(why, CONNECTION_WHY_MAX, "cannot make a socket: %s", zmq_strerror(errno));
		return SOLE_SYSTEM;
	}
	if (set_options(connection->dealer, is_tcp(connection->endpoint)) != 0 ||
	    open_monitor(connection) != 0 ||
	    get_descriptor(connection->dealer, &connection->dealer_descriptor) != 0 ||
	    get_descriptor(connection->monitor, &connection->monitor_descriptor) != 0) {
		snprintf(why, CONNECTION_WHY_MAX, "cannot set up a socket: %s", zmq_strerror(errno));
		connection_close(connection);
		return SOLE_SYSTEM;
	}
	if (zmq_connect(connection->dealer, connection->endpoint) != 0) {
		int error = errno;
		snprintf(why, CONNECTION_WHY_MAX, "cannot use the endpoint '%.200s': %s",
			 connection->endpoint, zmq_strerror(error));
		connection_close(connection);
		return error == EMFILE || error == ENFILE || error == EMTHREAD ? SOLE_SYSTEM : SOLE_USAGE;
	}
	connection->recheck = connection->recheck_monitor = true;
	return SOLE_OK;
}

void connection_close(struct connection *connection)
{
	if (connection->dealer == NULL)
		return;
	zmq_socket_monitor(connection->dealer, NULL, 0);
	if (connection->monitor != NULL)
		zmq_close(connection->monitor);
	zmq_close(connection->dealer);
	connection->dealer = connection->monitor = NULL;
	context_release();
}

static int receive(void *socket, zmq_msg_t *frame)
{
	int size;

	do
		size = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
	while (size < 0 && errno == EINTR);
	return size;
}

/* Reads the rest of a message that nobody wants. */
static void skip(void *socket, zmq_msg_t *frame)
{
	while (zmq_msg_more(frame) && receive(socket, frame) >= 0)
		;
}

bool connection_is_remote(const struct connection *connection)
{
	return is_tcp(connection->endpoint);
}

enum connection_event connection_event(struct connection *connection)
{
	enum connection_event event = CONNECTION_NOTHING;
	zmq_msg_t frame;

	zmq_msg_init(&frame);
	while (event == CONNECTION_NOTHING && receive(connection->monitor, &frame) >= 0) {
		uint16_t number = 0;
		if (zmq_msg_size(&frame) >= sizeof number)
			memcpy(&number, zmq_msg_data(&frame), sizeof number);
		skip(connection->monitor, &frame);
		if (number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
			event = CONNECTION_UP;
		else if (number == ZMQ_EVENT_DISCONNECTED && connection->up)
			event = CONNECTION_DOWN;
	}
	zmq_msg_close(&frame);
	connection->recheck_monitor = event != CONNECTION_NOTHING;
	if (event != CONNECTION_NOTHING)
		connection->up = event == CONNECTION_UP;
	return event;
}

bool connection_send(struct connection *connection, const struct buffer *body)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		if (zmq_send(connection->dealer, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) == 0) {
			/* The rest follows its first part, or falls with its pipe: the engine asks again. */
			while (zmq_send(connection->dealer, body->data, body->size, ZMQ_DONTWAIT) < 0 &&
			       errno == EINTR)
				;
			/* Sending may have taken in what the descriptor would have told. */
			connection->recheck = true;
			return true;
		}
		/* The news of a new connection waits in the socket; asking for its state takes it in. */
		int state = 0;
		size_t size = sizeof state;
		connection->recheck = true;
		zmq_getsockopt(connection->dealer, ZMQ_EVENTS, &state, &size);
		if ((state & ZMQ_POLLOUT) == 0)
			return false;
	}
	return false;
}

/* The first frame is there: takes the body behind it. Whatever has another shape is skipped. */
static bool take_body(struct connection *connection, zmq_msg_t *body)
{
	connection->recheck = true;
	if (zmq_msg_size(body) == 0 && zmq_msg_more(body) && receive(connection->dealer, body) >= 0 &&
	    !zmq_msg_more(body))
		return true;
	connection->malformed++;
	skip(connection->dealer, body);
	return false;
}

bool connection_receive(struct connection *connection, zmq_msg_t *body)
{
	while (receive(connection->dealer, body) >= 0)
		if (take_body(connection, body))
			return true;
	connection->recheck = false;
	return false;
}

bool connection_wait(struct connection *connection, zmq_msg_t *body)
{
	return zmq_msg_recv(body, connection->dealer, 0) >= 0 && take_body(connection, body);
}

int64_t connection_look_deadline(const struct connection *connection)
{
	return connection->up || connection->name[0] == '\0' ? INT64_MAX : connection->look_ns;
}

void connection_look(struct connection *connection, int64_t now_ns)
{
	char endpoint[CONNECTION_ENDPOINT_MAX], why[CONNECTION_WHY_MAX];
	bool found;

	if (connection_look_deadline(connection) > now_ns)
		return;
	connection->look_ns = now_ns + LOOK_EVERY_NS;
	if (find(connection->name, endpoint, &found, why) != SOLE_OK || !found ||
	    strcmp(endpoint, connection->endpoint) == 0)
		return;
	if (zmq_connect(connection->dealer, endpoint) != 0)
		return;
	zmq_disconnect(connection->dealer, connection->endpoint);
	memcpy(connection->endpoint, endpoint, sizeof endpoint);
}
