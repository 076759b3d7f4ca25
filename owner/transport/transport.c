/* SPDX-License-Identifier: MIT
 *
 * transport.c - the ROUTER socket and its monitor, opened, waited for, read in batches.
 *
 * ROUTER drops silently by default: it is made mandatory, so that a full peer is
 * EAGAIN and a gone one EHOSTUNREACH. Frames are envelope.c's, which connections
 * there are is connections.c's, what waits to leave is outboxes.c's.
 */
#include "owner/transport/transport.h"
#include "owner/transport/accept_gate.h"
#include "owner/transport/connections.h"
#include "owner/transport/envelope.h"
#include "owner/transport/outboxes.h"
#include "common/clock.h"
#include "common/protocol.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HIGH_WATER_MESSAGES = 16, /* per peer and direction; replies beyond it wait in its outbox */
	BACKLOG = 128,
	MONITOR_BATCH = 4096,     /* events taken in at once */
	EVENTS_EVERY_MS = 2,      /* connections that come and go do not wake us more often */
};

struct transport {
	void *context, *router, *monitor;
	int router_fd, monitor_fd;
	const struct limits *limits;
	struct counters *counters;
	struct connections *connections;
	struct outboxes *outboxes;
	struct envelope *batch;
	struct transport_message *messages;
	size_t batch_count, batch_room;
	uint64_t gate_refused; /* as far as it is counted */
	int64_t now_ns;
	int64_t events_ns;     /* when events are looked at again, unless a message comes before */
};

/* ---- opening and closing ---- */

static int set(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof value);
}

/* Every option of the socket, with its reason. */
static int configure(const struct transport *t, const struct transport_settings *settings)
{
	const int64_t message_max = PROTOCOL_MESSAGE_MAX_BYTES;
	void *router = t->router;

	return set(router, ZMQ_ROUTER_MANDATORY, 1) ||           /* be told instead of dropping */
	       set(router, ZMQ_SNDHWM, HIGH_WATER_MESSAGES) ||   /* what is not read is ours to bound */
	       set(router, ZMQ_RCVHWM, HIGH_WATER_MESSAGES) ||   /* a fast peer waits in its own socket */
	       set(router, ZMQ_LINGER, 0) ||                     /* set anew at close */
	       set(router, ZMQ_BACKLOG, BACKLOG) ||
	       set(router, ZMQ_HANDSHAKE_IVL, 5000) ||           /* a silent connection is no client */
	       set(router, ZMQ_USE_FD, settings->listener) ||    /* never unlinked by libzmq */
	       zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
}

/* No high-water mark: the I/O thread must never wait for us with an event. */
static int monitor_open(struct transport *t)
{
	static const char name[] = "inproc://transport-monitor";

	if (zmq_socket_monitor(t->router, name, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0)
		return -1;
	t->monitor = zmq_socket(t->context, ZMQ_PAIR);
	if (t->monitor == NULL || set(t->monitor, ZMQ_RCVHWM, 0) != 0 || set(t->monitor, ZMQ_LINGER, 0) != 0)
		return -1;
	return zmq_connect(t->monitor, name);
}

/* Everything of the transport that is not libzmq's. */
static int make_room(struct transport *t)
{
	int room = accept_gate_init();
	uint64_t most = (uint64_t)t->limits->connections;

	if (room < 0)
		return -1;
	if (most > (uint64_t)room)
		most = (uint64_t)room;
	t->connections = connections_new(most, t->counters);
	t->batch_room = (size_t)t->limits->round_messages;
	t->batch = calloc(t->batch_room, sizeof *t->batch);
	t->messages = calloc(t->batch_room, sizeof *t->messages);
	return t->connections == NULL || t->batch == NULL || t->messages == NULL ? -1 : 0;
}

int transport_open(struct transport **transport, const struct transport_settings *settings, char *error,
		   size_t error_size)
{
	struct transport *t = calloc(1, sizeof *t);
	const char *step = "cannot make room for connections (an owner needs 64 descriptors: see ulimit -n)";
	char uri[128];

	if (t == NULL)
		goto fail;
	t->limits = settings->limits;
	t->counters = settings->counters;
	if (make_room(t) != 0)
		goto fail;
	step = "cannot start ZeroMQ";
	t->context = zmq_ctx_new();
	if (t->context == NULL || zmq_ctx_set(t->context, ZMQ_MAX_SOCKETS, 16) != 0)
		goto fail;
	t->router = zmq_socket(t->context, ZMQ_ROUTER);
	if (t->router == NULL || configure(t, settings) != 0)
		goto fail;
	t->outboxes = outboxes_new(t->router, t->limits, t->counters);
	if (t->outboxes == NULL)
		goto fail;
	step = "cannot watch connections";
	if (monitor_open(t) != 0)
		goto fail;
	size_t fd_size = sizeof t->router_fd;
	if (zmq_getsockopt(t->router, ZMQ_FD, &t->router_fd, &fd_size) != 0 ||
	    zmq_getsockopt(t->monitor, ZMQ_FD, &t->monitor_fd, &fd_size) != 0)
		goto fail;
	step = "cannot serve the socket";
	snprintf(uri, sizeof uri, "ipc://%s", settings->path);
	if (zmq_bind(t->router, uri) != 0)
		goto fail;
	*transport = t;
	return 0;
fail:
	snprintf(error, error_size, "%s: %s", step, zmq_strerror(errno));
	transport_close(&t, 0);
	*transport = NULL;
	return -1;
}

void transport_close(struct transport **transport, int linger_ms)
{
	struct transport *t = *transport;

	if (t == NULL)
		return;
	transport_release(t);
	outboxes_destroy(&t->outboxes);
	if (t->router != NULL) {
		zmq_socket_monitor(t->router, NULL, 0);
		set(t->router, ZMQ_LINGER, linger_ms);
		zmq_close(t->router);
	}
	if (t->monitor != NULL)
		zmq_close(t->monitor);
	if (t->context != NULL)
		while (zmq_ctx_term(t->context) != 0 && errno == EINTR)
			;
	connections_destroy(&t->connections);
	free(t->batch);
	free(t->messages);
	free(t);
	*transport = NULL;
}

/* ---- waiting, and the monitor ---- */

/* Each event is a frame of u16 number and u32 value in the machine's order, and a frame with
 * the address; the value of both kinds we asked for is the descriptor. */
static bool take_event(struct transport *t)
{
	uint8_t frame[6], address[256];
	uint16_t event;
	uint32_t value;

	int size = zmq_recv(t->monitor, frame, sizeof frame, ZMQ_DONTWAIT);
	if (size < 0)
		return false;
	zmq_recv(t->monitor, address, sizeof address, ZMQ_DONTWAIT);
	if (size != (int)sizeof frame)
		return true;
	memcpy(&event, frame, sizeof event);
	memcpy(&value, frame + sizeof event, sizeof value);
	if (event == ZMQ_EVENT_ACCEPTED)
		connections_accepted(t->connections, (int)value, t->now_ns);
	else if (event == ZMQ_EVENT_DISCONNECTED)
		connections_disconnected(t->connections, (int)value);
	return true;
}

static void take_events(struct transport *t)
{
	int taken = 0;

	while (taken < MONITOR_BATCH && take_event(t))
		taken++;
	/* The first is taken at once, and those that follow on it together: for a thousand a second it takes
	 * the I/O thread as long to wake us as to serve them. */
	t->events_ns = taken > 0 ? t->now_ns + EVENTS_EVERY_MS * NS_PER_MS : 0;
	/* The gate refuses in the I/O thread, where no event tells of it. */
	uint64_t refused = accept_gate_refused();
	t->counters->connections_refused += refused - t->gate_refused;
	t->gate_refused = refused;
}

static bool has_input(void *socket)
{
	int events = 0;
	size_t size = sizeof events;

	return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

/* ZMQ_FD tells of changes only, so the sockets are asked before each wait. (zmq_poll does the
 * same with one more system call.) */
int transport_wait(struct transport *transport, int descriptor, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = transport->router_fd, .events = POLLIN },
		{ .fd = transport->monitor_fd, .events = POLLIN },
		{ .fd = descriptor, .events = POLLIN },
	};
	bool later = transport->now_ns < transport->events_ns;
	bool input = has_input(transport->router) || (!later && has_input(transport->monitor));

	if (later) {
		fds[1].fd = -1;
		if (timeout_ms < 0 || timeout_ms > EVENTS_EVERY_MS)
			timeout_ms = EVENTS_EVERY_MS;
	}
	if (poll(fds, 3, input ? 0 : timeout_ms) < 0)
		return 0;
	input = input || fds[0].revents != 0 || fds[1].revents != 0;
	return (input ? TRANSPORT_INPUT : 0) | (fds[2].revents != 0 ? TRANSPORT_DESCRIPTOR : 0);
}

/* ---- a batch ---- */

/* A relayed message tells that its connection is alive, but what is sent there unasked would not
 * find the client behind it. */
static void place(struct transport *t, struct transport_message *message, struct envelope *envelope)
{
	zmq_msg_t *id = &envelope->path.frames[0];
	int descriptor = envelope_descriptor(envelope);
	uint64_t connection = connections_heard(t->connections, descriptor, zmq_msg_data(id),
						zmq_msg_size(id), t->now_ns);

	message->connection = envelope->path.count == 1 ? connection : 0;
	message->subscribed = connections_subscribed(t->connections, message->connection) != NULL;
}

size_t transport_receive(struct transport *transport, int64_t now_ns, size_t most,
			 const struct transport_message **messages)
{
	struct transport *t = transport;
	size_t bytes = 0, bytes_max = (size_t)t->limits->round_bytes, garbage = 0;
	size_t room = most < t->batch_room ? most : t->batch_room;

	t->now_ns = now_ns;
	transport_release(t);
	/* Where round follows on round, transport_tend would come too late for a client that reads fast. */
	outboxes_retry(t->outboxes, now_ns);
	while (t->batch_count < room && bytes < bytes_max && garbage < t->batch_room) {
		struct envelope *envelope = &t->batch[t->batch_count];
		enum envelope_taken taken = envelope_receive(envelope, t->router);
		if (taken == ENVELOPE_NOTHING)
			break;
		if (taken == ENVELOPE_GARBAGE) {
			t->counters->messages++;
			t->counters->messages_malformed++;
			garbage++;
			continue;
		}
		t->messages[t->batch_count++] = (struct transport_message){
			.caller = envelope_caller(envelope),
			.peer = envelope_peer(envelope),
			.overlong = envelope->overlong,
			.body = zmq_msg_data(&envelope->body),
			.size = zmq_msg_size(&envelope->body),
		};
		bytes += zmq_msg_size(&envelope->body);
	}
	if (t->batch_count == room || bytes >= bytes_max)
		t->counters->round_full++;
	/* Events came before the messages of the connections that they tell of. */
	if (t->batch_count > 0)
		take_events(t);
	for (size_t i = 0; i < t->batch_count; i++)
		place(t, &t->messages[i], &t->batch[i]);
	*messages = t->messages;
	return t->batch_count;
}

void transport_release(struct transport *transport)
{
	for (size_t i = 0; i < transport->batch_count; i++)
		envelope_clear(&transport->batch[i]);
	transport->batch_count = 0;
}

void transport_reply(struct transport *transport, size_t index, const struct buffer *body)
{
	outboxes_send(transport->outboxes, &transport->batch[index].path, body, transport->now_ns);
}

void transport_subscribe(struct transport *transport, size_t index, bool wanted)
{
	connections_subscribe(transport->connections, transport->messages[index].connection, wanted);
}

/* ---- unasked messages ---- */

bool transport_ready(const struct transport *transport, uint64_t connection)
{
	const struct routing_id *id = connections_subscribed(transport->connections, connection);

	return id != NULL && !outboxes_waiting(transport->outboxes, id->bytes, id->size);
}

bool transport_send(struct transport *transport, uint64_t connection, const struct buffer *body)
{
	const struct routing_id *id = connections_subscribed(transport->connections, connection);
	struct return_path path;

	if (id == NULL) {
		transport->counters->unroutable++;
		return true;
	}
	if (!return_path_init(&path, id->bytes, id->size)) {
		transport->counters->outbox_drops++;
		return false;
	}
	bool sent = outboxes_send(transport->outboxes, &path, body, transport->now_ns);
	return_path_clear(&path);
	return sent;
}

void transport_broadcast(struct transport *transport, const struct buffer *body)
{
	uint64_t connection = 0;

	while ((connection = connections_next_subscribed(transport->connections, connection)) != 0)
		transport_send(transport, connection, body);
}

/* ---- all connections ---- */

void transport_tend(struct transport *transport, int64_t now_ns, int64_t *next_ns)
{
	transport->now_ns = now_ns;
	if (now_ns >= transport->events_ns)
		take_events(transport);
	*next_ns = outboxes_retry(transport->outboxes, now_ns);
}

bool transport_ended(struct transport *transport, uint64_t *connection)
{
	return connections_ended(transport->connections, connection);
}

unsigned transport_cut_silent(struct transport *transport, int64_t since_ns, bool filling)
{
	return connections_cut_silent(transport->connections, since_ns, filling);
}

uint64_t transport_connections(const struct transport *transport)
{
	return connections_count(transport->connections);
}

uint64_t transport_outbox_bytes(const struct transport *transport)
{
	return outboxes_bytes(transport->outboxes);
}
