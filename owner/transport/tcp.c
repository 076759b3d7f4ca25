/* SPDX-License-Identifier: MIT
 *
 * tcp.c - a ROUTER socket of libzmq's, read in batches.
 *
 * How the socket is set up is door.c's, frames are envelope.c's, which connections there are is
 * connections.c's, what waits to leave is outboxes.c's.
 */
#include "owner/transport/tcp.h"
#include "owner/transport/accept_gate.h"
#include "owner/transport/door.h"
#include "owner/transport/outboxes.h"
#include "owner/transport/zap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

enum { SOCKETS_MAX = 16 };

struct tcp {
	void *context;
	struct door door;
	struct zap *zap; /* NULL: nobody is asked for keys */
	const struct limits *limits;
	struct counters *counters;
	struct outboxes *outboxes;
	struct envelope *batch;
	uint64_t *connections; /* that each message of it came by */
	size_t batch_count;
	uint64_t gate_refused; /* as far as it is counted */
	int64_t now_ns;
};

/* ---- opening and closing ---- */

/* Everything that is not libzmq's. */
static int make_room(struct tcp *tcp)
{
	size_t room = (size_t)tcp->limits->round_messages;

	tcp->batch = calloc(room, sizeof *tcp->batch);
	tcp->connections = calloc(room, sizeof *tcp->connections);
	tcp->outboxes = outboxes_new(tcp->limits, tcp->counters);
	return tcp->batch == NULL || tcp->connections == NULL || tcp->outboxes == NULL ? -1 : 0;
}

int tcp_open(struct tcp **tcp, const struct tcp_settings *settings, char *error, size_t error_size)
{
	struct tcp *t = calloc(1, sizeof *t);
	const char *step = "cannot start ZeroMQ for";
	const struct door_settings door = { .kind = settings->keyring != NULL ? DOOR_CURVE : DOOR_CLEAR,
					    .endpoint = settings->endpoint, .certificate = settings->certificate,
					    .keyring = settings->keyring, .counters = settings->counters };

	if (t == NULL)
		goto fail;
	t->limits = settings->limits;
	t->counters = settings->counters;
	if (make_room(t) != 0)
		goto fail;
	t->context = zmq_ctx_new();
	if (t->context == NULL || zmq_ctx_set(t->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX) != 0)
		goto fail;
	/* Who answers for keys is there before anybody can ask. */
	step = "cannot answer for client keys at";
	if (settings->keyring != NULL && (t->zap = zap_open(t->context, settings->keyring, t->counters)) == NULL)
		goto fail;
	if (door_open(&t->door, t->context, &door, connections_new(settings->most, t->counters), &step) != 0)
		goto fail;
	*tcp = t;
	return 0;
fail:
	snprintf(error, error_size, "%s %.100s: %s", step, settings->endpoint, zmq_strerror(errno));
	tcp_close(&t, 0);
	*tcp = NULL;
	return -1;
}

void tcp_close(struct tcp **tcp, int linger_ms)
{
	struct tcp *t = *tcp;

	if (t == NULL)
		return;
	tcp_release(t);
	outboxes_destroy(&t->outboxes);
	door_close(&t->door, linger_ms);
	zap_close(&t->zap);
	if (t->context != NULL)
		while (zmq_ctx_term(t->context) != 0 && errno == EINTR)
			;
	door_clear(&t->door);
	free(t->batch);
	free(t->connections);
	free(t);
	*tcp = NULL;
}

void tcp_endpoint(const struct tcp *tcp, char *endpoint, size_t size)
{
	door_endpoint(&tcp->door, endpoint, size);
}

/* ---- waiting, and the monitor ---- */

/* Answers for keys come first: who waits for one has no message yet. */
static void take_events(struct tcp *tcp)
{
	while (tcp->zap != NULL && zap_serve(tcp->zap, tcp->now_ns))
		;
	door_take_events(&tcp->door, tcp->now_ns);
	/* The gate refuses in the I/O thread, where no event tells of it. */
	uint64_t refused = accept_gate_refused();
	tcp->counters->connections_refused += refused - tcp->gate_refused;
	tcp->gate_refused = refused;
}

bool tcp_watch(const struct tcp *tcp, int epoll, uint64_t data)
{
	const int descriptors[] = { tcp->door.router_descriptor, tcp->door.monitor_descriptor,
				    tcp->zap != NULL ? zap_descriptor(tcp->zap) : -1 };

	for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u64 = data };
		if (descriptors[i] >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, descriptors[i], &event) != 0)
			return false;
	}
	return true;
}

bool tcp_has_input(const struct tcp *tcp)
{
	return door_has_input(&tcp->door);
}

/* ---- a batch ---- */

/* One message, if there is one. False: there is none. */
static bool take_message(struct tcp *tcp, struct intake *left, size_t *garbage, struct transport_message *messages)
{
	struct envelope *envelope = &tcp->batch[tcp->batch_count];
	struct transport_message *message = &messages[tcp->batch_count];
	enum envelope_taken taken = envelope_receive(envelope, tcp->door.router);

	if (taken == ENVELOPE_NOTHING)
		return false;
	if (taken == ENVELOPE_GARBAGE) {
		tcp->counters->messages++;
		tcp->counters->messages_malformed++;
		++*garbage;
		return true;
	}
	*message = (struct transport_message){
		.peer = envelope_peer(envelope),
		.overlong = envelope->overlong,
		.body = zmq_msg_data(&envelope->body),
		.size = zmq_msg_size(&envelope->body),
	};
	if (!door_caller(&tcp->door, envelope, &message->caller)) {
		door_refuse(&tcp->door, envelope, tcp->now_ns);
		envelope_clear(envelope);
		++*garbage;
		return true;
	}
	tcp->batch_count++;
	left->messages--;
	left->bytes -= message->size < left->bytes ? message->size : left->bytes;
	return true;
}

/* A relayed message tells that its connection is alive, but what is sent there unasked would not
 * find the client behind it. */
static void place(struct tcp *tcp, size_t index, struct transport_message *message)
{
	struct envelope *envelope = &tcp->batch[index];
	uint64_t connection = door_heard(&tcp->door, envelope, tcp->now_ns);

	message->connection = envelope->path.count == 1 ? connection : 0;
	message->subscribed = connections_subscribed(tcp->door.connections, message->connection) != NULL;
}

size_t tcp_receive(struct tcp *tcp, int64_t now_ns, struct intake *left, struct transport_message *messages)
{
	size_t garbage = 0;

	tcp->now_ns = now_ns;
	/* Where round follows on round, tcp_tend would come too late for a client that reads fast. */
	outboxes_retry(tcp->outboxes, now_ns);
	while (left->messages > 0 && left->bytes > 0 && garbage < (size_t)tcp->limits->round_messages &&
	       take_message(tcp, left, &garbage, messages))
		;
	/* Events came before the messages of the connections that they tell of. */
	take_events(tcp);
	for (size_t i = 0; i < tcp->batch_count; i++)
		place(tcp, i, &messages[i]);
	return tcp->batch_count;
}

void tcp_release(struct tcp *tcp)
{
	for (size_t i = 0; i < tcp->batch_count; i++)
		envelope_clear(&tcp->batch[i]);
	tcp->batch_count = 0;
}

void tcp_reply(struct tcp *tcp, size_t index, const struct buffer *body)
{
	outboxes_send(tcp->outboxes, &tcp->batch[index].path, body, tcp->now_ns);
}

void tcp_subscribe(struct tcp *tcp, uint64_t connection, bool wanted)
{
	connections_subscribe(tcp->door.connections, connection, wanted);
}

/* ---- unasked messages ---- */

bool tcp_ready(const struct tcp *tcp, uint64_t connection)
{
	const struct routing_id *id = connections_subscribed(tcp->door.connections, connection);

	return id != NULL && !outboxes_waiting(tcp->outboxes, tcp->door.router, id->bytes, id->size);
}

bool tcp_send(struct tcp *tcp, uint64_t connection, const struct buffer *body)
{
	const struct routing_id *id = connections_subscribed(tcp->door.connections, connection);
	struct return_path path;

	if (id == NULL) {
		tcp->counters->unroutable++;
		return true;
	}
	if (!return_path_init(&path, tcp->door.router, id->bytes, id->size)) {
		tcp->counters->outbox_drops++;
		return false;
	}
	bool sent = outboxes_send(tcp->outboxes, &path, body, tcp->now_ns);
	return_path_clear(&path);
	return sent;
}

void tcp_broadcast(struct tcp *tcp, const struct buffer *body)
{
	uint64_t connection = 0;

	while ((connection = connections_next_subscribed(tcp->door.connections, connection)) != 0)
		tcp_send(tcp, connection, body);
}

/* ---- all connections ---- */

void tcp_tend(struct tcp *tcp, int64_t now_ns, int64_t *next_ns)
{
	tcp->now_ns = now_ns;
	take_events(tcp);
	const int64_t due[] = { door_tend(&tcp->door, now_ns), tcp->zap != NULL ? zap_tend(tcp->zap, now_ns) : INT64_MAX };
	*next_ns = outboxes_retry(tcp->outboxes, now_ns);
	for (size_t i = 0; i < sizeof due / sizeof *due; i++)
		if (due[i] < *next_ns)
			*next_ns = due[i];
}

bool tcp_ended(struct tcp *tcp, uint64_t *connection)
{
	return connections_ended(tcp->door.connections, connection);
}

unsigned tcp_cut_silent(struct tcp *tcp, int64_t since_ns, bool filling)
{
	return connections_cut_silent(tcp->door.connections, since_ns, filling);
}

unsigned tcp_cut_revoked(struct tcp *tcp)
{
	return door_cut_revoked(&tcp->door);
}

void tcp_set_most(struct tcp *tcp, uint64_t most)
{
	connections_set_most(tcp->door.connections, most);
}

uint64_t tcp_connections(const struct tcp *tcp)
{
	return connections_count(tcp->door.connections);
}

uint64_t tcp_outbox_bytes(const struct tcp *tcp)
{
	return outboxes_bytes(tcp->outboxes);
}
