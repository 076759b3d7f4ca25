/* SPDX-License-Identifier: MIT
 *
 * transport.c - the doors by which messages come, waited for together and read in batches.
 *
 * How a socket is set up is door.c's, frames are envelope.c's, which connections
 * there are is connections.c's, what waits to leave is outboxes.c's.
 */
#include "owner/transport/transport.h"
#include "owner/transport/accept_gate.h"
#include "owner/transport/door.h"
#include "owner/transport/outboxes.h"
#include "owner/transport/zap.h"
#include "common/protocol.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DOORS_MAX = 2, SOCKETS_MAX = 16 };

struct transport {
	void *context;
	struct door doors[DOORS_MAX]; /* the first is the Unix socket's */
	size_t door_count;
	size_t turn;                  /* whose messages are taken first */
	struct zap *zap;              /* NULL: there is no door that asks */
	const struct limits *limits;
	struct counters *counters;
	struct outboxes *outboxes;
	struct envelope *batch;
	struct transport_message *messages;
	struct door **came_by;        /* each message of the batch */
	size_t batch_count, batch_room;
	uint64_t gate_refused; /* as far as it is counted */
	int64_t now_ns;
};

/* ---- opening and closing ---- */

/* Everything of the transport that is not libzmq's. *most: connections that there may be. */
static int make_room(struct transport *t, uint64_t *most)
{
	int room = accept_gate_init();

	if (room < 0)
		return -1;
	*most = (uint64_t)t->limits->connections < (uint64_t)room ? (uint64_t)t->limits->connections : (uint64_t)room;
	t->batch_room = (size_t)t->limits->round_messages;
	t->batch = calloc(t->batch_room, sizeof *t->batch);
	t->messages = calloc(t->batch_room, sizeof *t->messages);
	t->came_by = calloc(t->batch_room, sizeof *t->came_by);
	t->outboxes = outboxes_new(t->limits, t->counters);
	return t->batch == NULL || t->messages == NULL || t->came_by == NULL || t->outboxes == NULL ? -1 : 0;
}

static int open_door(struct transport *t, const struct door_settings *settings, struct connections *connections,
		     const char **step)
{
	return door_open(&t->doors[t->door_count++], t->context, settings, connections, step);
}

static int open_local(struct transport *t, const struct transport_settings *settings, uint64_t most, const char **step)
{
	char endpoint[128];
	const struct door_settings door = { .kind = DOOR_LOCAL, .listener = settings->listener, .endpoint = endpoint,
					    .counters = t->counters };

	snprintf(endpoint, sizeof endpoint, "ipc://%s", settings->path);
	return open_door(t, &door, connections_new(most, t->counters), step);
}

/* Who answers for keys is there before anybody can ask. */
static int open_tcp(struct transport *t, const struct transport_settings *settings, const char **step)
{
	const struct door_settings door = { .kind = settings->keyring != NULL ? DOOR_CURVE : DOOR_CLEAR,
					    .endpoint = settings->tcp, .certificate = settings->certificate,
					    .keyring = settings->keyring, .counters = t->counters };

	if (settings->keyring != NULL) {
		*step = "cannot answer for client keys";
		t->zap = zap_open(t->context, settings->keyring, t->counters);
		if (t->zap == NULL)
			return -1;
	}
	return open_door(t, &door, connections_new_beside(t->doors[0].connections), step);
}

int transport_open(struct transport **transport, const struct transport_settings *settings, char *error,
		   size_t error_size)
{
	struct transport *t = calloc(1, sizeof *t);
	const char *step = "cannot make room for connections (an owner needs 64 descriptors: see ulimit -n)";
	const char *where = "";
	uint64_t most;

	if (t == NULL)
		goto fail;
	t->limits = settings->limits;
	t->counters = settings->counters;
	if (make_room(t, &most) != 0)
		goto fail;
	step = "cannot start ZeroMQ";
	t->context = zmq_ctx_new();
	if (t->context == NULL || zmq_ctx_set(t->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX) != 0)
		goto fail;
	if (open_local(t, settings, most, &step) != 0)
		goto fail;
	if (settings->tcp != NULL && open_tcp(t, settings, &step) != 0) {
		where = settings->tcp;
		goto fail;
	}
	*transport = t;
	return 0;
fail:
	snprintf(error, error_size, "%s%s%.100s: %s", step, *where != '\0' ? " " : "", where, zmq_strerror(errno));
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
	for (size_t i = 0; i < t->door_count; i++)
		door_close(&t->doors[i], linger_ms);
	zap_close(&t->zap);
	if (t->context != NULL)
		while (zmq_ctx_term(t->context) != 0 && errno == EINTR)
			;
	for (size_t i = t->door_count; i-- > 0;)
		door_clear(&t->doors[i]);
	free(t->batch);
	free(t->messages);
	free(t->came_by);
	free(t);
	*transport = NULL;
}

void transport_tcp_endpoint(const struct transport *transport, char *endpoint, size_t size)
{
	endpoint[0] = '\0';
	if (transport->door_count > 1)
		door_endpoint(&transport->doors[1], endpoint, size);
}

/* ---- waiting, and the monitors ---- */

/* Answers for keys come first: who waits for one has no message yet. */
static void take_events(struct transport *t)
{
	while (t->zap != NULL && zap_serve(t->zap, t->now_ns))
		;
	for (size_t i = 0; i < t->door_count; i++)
		door_take_events(&t->doors[i], t->now_ns);
	/* The gate refuses in the I/O thread, where no event tells of it. */
	uint64_t refused = accept_gate_refused();
	t->counters->connections_refused += refused - t->gate_refused;
	t->gate_refused = refused;
}

/* ZMQ_FD tells of changes only, so the sockets are asked before each wait. (zmq_poll does the
 * same with one more system call.) */
int transport_wait(struct transport *transport, int descriptor, int timeout_ms)
{
	enum { DESCRIPTOR, KEYS, FIRST_DOOR };
	struct pollfd fds[FIRST_DOOR + 2 * DOORS_MAX];
	nfds_t count = FIRST_DOOR;
	bool input = false;

	fds[DESCRIPTOR] = (struct pollfd){ .fd = descriptor, .events = POLLIN };
	fds[KEYS] = (struct pollfd){ .fd = transport->zap != NULL ? zap_descriptor(transport->zap) : -1, .events = POLLIN };
	for (size_t i = 0; i < transport->door_count; i++) {
		const struct door *door = &transport->doors[i];
		fds[count++] = (struct pollfd){ .fd = door->router_descriptor, .events = POLLIN };
		fds[count++] = (struct pollfd){ .fd = door->monitor_descriptor, .events = POLLIN };
		input = input || door_has_input(door);
	}
	if (poll(fds, count, input ? 0 : timeout_ms) < 0)
		return 0;
	for (nfds_t i = KEYS; i < count; i++)
		input = input || fds[i].revents != 0;
	return (input ? TRANSPORT_INPUT : 0) | (fds[DESCRIPTOR].revents != 0 ? TRANSPORT_DESCRIPTOR : 0);
}

/* ---- a batch ---- */

/* A relayed message tells that its connection is alive, but what is sent there unasked would not
 * find the client behind it. */
static void place(struct transport *t, size_t index)
{
	struct transport_message *message = &t->messages[index];
	struct envelope *envelope = &t->batch[index];
	struct door *door = t->came_by[index];
	uint64_t connection = door_heard(door, envelope, t->now_ns);

	message->connection = envelope->path.count == 1 ? connection : 0;
	message->subscribed = connections_subscribed(door->connections, message->connection) != NULL;
}

/* What is being taken in: no more than fits, and not more garbage than that. */
struct intake {
	size_t room, bytes, bytes_max, garbage;
};

static bool is_full(const struct transport *t, const struct intake *intake)
{
	return t->batch_count >= intake->room || intake->bytes >= intake->bytes_max || intake->garbage >= t->batch_room;
}

static void take_messages(struct transport *t, struct door *door, struct intake *intake)
{
	while (!is_full(t, intake)) {
		struct envelope *envelope = &t->batch[t->batch_count];
		struct transport_message *message = &t->messages[t->batch_count];
		enum envelope_taken taken = envelope_receive(envelope, door->router);
		if (taken == ENVELOPE_NOTHING)
			return;
		if (taken == ENVELOPE_GARBAGE) {
			t->counters->messages++;
			t->counters->messages_malformed++;
			intake->garbage++;
			continue;
		}
		*message = (struct transport_message){
			.peer = envelope_peer(envelope),
			.overlong = envelope->overlong,
			.body = zmq_msg_data(&envelope->body),
			.size = zmq_msg_size(&envelope->body),
		};
		if (!door_caller(door, envelope, &message->caller)) {
			door_refuse(door, envelope, t->now_ns);
			envelope_clear(envelope);
			intake->garbage++;
			continue;
		}
		t->came_by[t->batch_count++] = door;
		intake->bytes += message->size;
	}
}

size_t transport_receive(struct transport *transport, int64_t now_ns, size_t most,
			 const struct transport_message **messages)
{
	struct transport *t = transport;
	struct intake intake = { .room = most < t->batch_room ? most : t->batch_room,
				 .bytes_max = (size_t)t->limits->round_bytes };

	t->now_ns = now_ns;
	transport_release(t);
	/* Where round follows on round, transport_tend would come too late for a client that reads fast. */
	outboxes_retry(t->outboxes, now_ns);
	/* Each door is first in its turn, so that one from which there is no end of messages leaves room for the other. */
	t->turn = (t->turn + 1) % t->door_count;
	for (size_t i = 0; i < t->door_count; i++)
		take_messages(t, &t->doors[(t->turn + i) % t->door_count], &intake);
	if (t->batch_count == intake.room || intake.bytes >= intake.bytes_max)
		t->counters->round_full++;
	/* Events came before the messages of the connections that they tell of. */
	take_events(t);
	for (size_t i = 0; i < t->batch_count; i++)
		place(t, i);
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
	connections_subscribe(transport->came_by[index]->connections, transport->messages[index].connection, wanted);
}

/* ---- unasked messages ---- */

/* The door that a connection came by. */
static const struct door *door_of(const struct transport *t, uint64_t connection)
{
	for (size_t i = 1; i < t->door_count; i++)
		if (connections_names(t->doors[i].connections, connection))
			return &t->doors[i];
	return &t->doors[0];
}

bool transport_ready(const struct transport *transport, uint64_t connection)
{
	const struct door *door = door_of(transport, connection);
	const struct routing_id *id = connections_subscribed(door->connections, connection);

	return id != NULL && !outboxes_waiting(transport->outboxes, door->router, id->bytes, id->size);
}

bool transport_send(struct transport *transport, uint64_t connection, const struct buffer *body)
{
	const struct door *door = door_of(transport, connection);
	const struct routing_id *id = connections_subscribed(door->connections, connection);
	struct return_path path;

	if (id == NULL) {
		transport->counters->unroutable++;
		return true;
	}
	if (!return_path_init(&path, door->router, id->bytes, id->size)) {
		transport->counters->outbox_drops++;
		return false;
	}
	bool sent = outboxes_send(transport->outboxes, &path, body, transport->now_ns);
	return_path_clear(&path);
	return sent;
}

void transport_broadcast(struct transport *transport, const struct buffer *body)
{
	for (size_t i = 0; i < transport->door_count; i++) {
		const struct connections *connections = transport->doors[i].connections;
		uint64_t connection = 0;
		while ((connection = connections_next_subscribed(connections, connection)) != 0)
			transport_send(transport, connection, body);
	}
}

/* ---- all connections ---- */

void transport_tend(struct transport *transport, int64_t now_ns, int64_t *next_ns)
{
	transport->now_ns = now_ns;
	take_events(transport);
	*next_ns = outboxes_retry(transport->outboxes, now_ns);
}

bool transport_ended(struct transport *transport, uint64_t *connection)
{
	for (size_t i = 0; i < transport->door_count; i++)
		if (connections_ended(transport->doors[i].connections, connection))
			return true;
	return false;
}

unsigned transport_cut_silent(struct transport *transport, int64_t since_ns, bool filling)
{
	unsigned cut = 0;

	for (size_t i = 0; i < transport->door_count; i++)
		cut += connections_cut_silent(transport->doors[i].connections, since_ns, filling);
	return cut;
}

unsigned transport_cut_revoked(struct transport *transport)
{
	unsigned cut = 0;

	for (size_t i = 0; i < transport->door_count; i++)
		cut += door_cut_revoked(&transport->doors[i]);
	return cut;
}

uint64_t transport_connections(const struct transport *transport)
{
	uint64_t count = 0;

	for (size_t i = 0; i < transport->door_count; i++)
		count += connections_count(transport->doors[i].connections);
	return count;
}

uint64_t transport_outbox_bytes(const struct transport *transport)
{
	return outboxes_bytes(transport->outboxes);
}
