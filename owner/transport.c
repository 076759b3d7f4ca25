/* SPDX-License-Identifier: MIT
 *
 * transport.c - ROUTER, its monitor, and the outboxes of peers that do not read.
 *
 * ROUTER drops silently by default: it is made mandatory, so that a full peer is
 * EAGAIN and a gone one EHOSTUNREACH. Who calls is read from each body frame: a
 * connection's number may stand for another one a moment later, the words that
 * libzmq puts on the frame cannot.
 */
#include "owner/transport.h"
#include "owner/accept_gate.h"
#include "common/clock.h"
#include "common/protocol.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>
#include <zmq.h>

#define uthash_malloc(size) malloc(size)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum {
	HIGH_WATER_MESSAGES = 16,    /* per peer and direction; replies beyond it wait in its outbox */
	BACKLOG = 128,
	MONITOR_BATCH = 4096,        /* events taken in at once */
	OUTBOX_RETRY_LEAST_NS = 100000, /* a client that reads takes a pipeful at each */
	OUTBOX_RETRY_MOST_NS = 50000000,
	ROUTING_ID_MAX = 255,
	WAITING_OVERHEAD_BYTES = 512, /* what a waiting reply takes beside its body */
};

struct inbound {
	zmq_msg_t path[PROTOCOL_RETURN_PATH_MAX];
	int path_count;
	zmq_msg_t body;
	bool overlong;  /* frames followed the body */
	int descriptor; /* -1: not told */
};

/* A reply that could not leave. */
struct waiting {
	zmq_msg_t path[PROTOCOL_RETURN_PATH_MAX];
	int path_count;
	zmq_msg_t body;
	struct waiting *next;
};

struct outbox {
	uint8_t id[ROUTING_ID_MAX];
	struct waiting *first, **last;
	uint64_t bytes;
	UT_hash_handle hh;
};

struct connection {
	bool open, subscribed, cut;
	uint8_t id_size;
	uint8_t id[ROUTING_ID_MAX]; /* when subscribed */
	int64_t whole_ns;           /* when it last delivered a whole message, or was accepted */
};

struct transport {
	void *context, *router, *monitor;
	int router_fd, monitor_fd;
	const struct limits *limits;
	struct counters *counters;
	struct inbound *batch;
	struct transport_message *messages;
	size_t batch_count, batch_room;
	struct connection **connections; /* by descriptor */
	size_t connection_room;
	uint64_t open_count, most;
	uint64_t gate_refused; /* as far as it is counted */
	struct outbox *outboxes;
	uint64_t outbox_bytes;
	int64_t retry_ns, retry_delay_ns;
	int64_t now_ns;
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
	       set(router, ZMQ_SNDHWM, HIGH_WATER_MESSAGES) ||   /* what a peer does not read is ours to bound */
	       set(router, ZMQ_RCVHWM, HIGH_WATER_MESSAGES) ||   /* a fast peer waits in its own socket */
	       set(router, ZMQ_LINGER, 0) ||                     /* set anew at close */
	       set(router, ZMQ_BACKLOG, BACKLOG) ||
	       set(router, ZMQ_HANDSHAKE_IVL, 5000) ||           /* a silent connection is no client */
	       set(router, ZMQ_USE_FD, settings->listener) ||    /* never unlinked by libzmq */
	       zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
}

int transport_open(struct transport **transport, const struct transport_settings *settings, char *error,
		   size_t error_size)
{
	static const char monitor_name[] = "inproc://transport-monitor";
	struct transport *t = calloc(1, sizeof *t);
	const char *step = "no memory";
	char uri[128];

	if (t == NULL)
		goto fail;
	t->limits = settings->limits;
	t->counters = settings->counters;
	t->batch_room = (size_t)settings->limits->round_messages;
	t->batch = calloc(t->batch_room, sizeof *t->batch);
	t->messages = calloc(t->batch_room, sizeof *t->messages);
	if (t->batch == NULL || t->messages == NULL)
		goto fail;
	int room = accept_gate_init();
	t->most = (uint64_t)settings->limits->connections;
	if (t->most > (uint64_t)room)
		t->most = (uint64_t)room;

	step = "cannot start ZeroMQ";
	t->context = zmq_ctx_new();
	if (t->context == NULL || zmq_ctx_set(t->context, ZMQ_MAX_SOCKETS, 16) != 0)
		goto fail;
	t->router = zmq_socket(t->context, ZMQ_ROUTER);
	if (t->router == NULL || configure(t, settings) != 0)
		goto fail;
	step = "cannot watch connections";
	if (zmq_socket_monitor(t->router, monitor_name, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0)
		goto fail;
	t->monitor = zmq_socket(t->context, ZMQ_PAIR);
	/* No high-water mark: the I/O thread must never wait for us with an event. */
	if (t->monitor == NULL || set(t->monitor, ZMQ_RCVHWM, 0) != 0 || set(t->monitor, ZMQ_LINGER, 0) != 0 ||
	    zmq_connect(t->monitor, monitor_name) != 0)
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

static void waiting_free(struct waiting *waiting)
{
	for (int i = 0; i < waiting->path_count; i++)
		zmq_msg_close(&waiting->path[i]);
	zmq_msg_close(&waiting->body);
	free(waiting);
}

static void outbox_free(struct transport *t, struct outbox *outbox)
{
	while (outbox->first != NULL) {
		struct waiting *next = outbox->first->next;
		waiting_free(outbox->first);
		outbox->first = next;
	}
	t->outbox_bytes -= outbox->bytes;
	HASH_DEL(t->outboxes, outbox);
	free(outbox);
}

void transport_close(struct transport **transport, int linger_ms)
{
	struct transport *t = *transport;
	struct outbox *outbox, *next;

	if (t == NULL)
		return;
	transport_release(t);
	HASH_ITER(hh, t->outboxes, outbox, next)
		outbox_free(t, outbox);
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
	for (size_t i = 0; i < t->connection_room; i++)
		free(t->connections[i]);
	free(t->connections);
	free(t->batch);
	free(t->messages);
	free(t);
	*transport = NULL;
}

/* ---- connections ---- */

/* The record of a descriptor; NULL when there is no memory for one, which only costs
 * that connection its notices. */
static struct connection *connection_at(struct transport *t, int descriptor, bool make)
{
	size_t index = (size_t)descriptor;

	if (descriptor < 0)
		return NULL;
	if (index >= t->connection_room) {
		size_t room = t->connection_room ? t->connection_room : 64;
		if (!make)
			return NULL;
		while (room <= index)
			room *= 2;
		struct connection **grown = realloc(t->connections, room * sizeof(struct connection *));
		if (grown == NULL)
			return NULL;
		for (size_t i = t->connection_room; i < room; i++)
			grown[i] = NULL;
		t->connections = grown;
		t->connection_room = room;
	}
	if (t->connections[index] == NULL && make)
		t->connections[index] = calloc(1, sizeof(struct connection));
	return t->connections[index];
}

static void connection_accepted(struct transport *t, int descriptor)
{
	struct connection *connection = connection_at(t, descriptor, true);

	t->counters->connections_opened++;
	if (connection == NULL || t->open_count >= t->most) {
		t->counters->connections_refused++;
		shutdown(descriptor, SHUT_RDWR);
	}
	if (connection == NULL)
		return;
	t->open_count += !connection->open;
	connection->open = true;
	connection->subscribed = connection->cut = false;
	connection->whole_ns = t->now_ns;
}

static void connection_ended(struct transport *t, int descriptor)
{
	struct connection *connection = connection_at(t, descriptor, false);

	if (connection == NULL || !connection->open)
		return;
	t->open_count--;
	connection->open = connection->subscribed = false;
}

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
		connection_accepted(t, (int)value);
	else if (event == ZMQ_EVENT_DISCONNECTED)
		connection_ended(t, (int)value);
	return true;
}

static void take_events(struct transport *t)
{
	for (int i = 0; i < MONITOR_BATCH && take_event(t); i++)
		;
	/* The gate refuses in the I/O thread, where no event tells of it. */
	uint64_t refused = accept_gate_refused();
	t->counters->connections_refused += refused - t->gate_refused;
	t->gate_refused = refused;
}

/* ---- receiving ---- */

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
	bool input = has_input(transport->router) || has_input(transport->monitor);

	if (poll(fds, 3, input ? 0 : timeout_ms) < 0)
		return 0;
	input = input || fds[0].revents != 0 || fds[1].revents != 0;
	return (input ? TRANSPORT_INPUT : 0) | (fds[2].revents != 0 ? TRANSPORT_DESCRIPTOR : 0);
}

static bool receive_frame(struct transport *t, zmq_msg_t *frame, int flags)
{
	int rc;

	/* The frames of one message are all there once the first is; EINTR can still come. */
	do
		rc = zmq_msg_recv(frame, t->router, flags);
	while (rc < 0 && errno == EINTR);
	return rc >= 0;
}

static void drop_rest(struct transport *t, bool more)
{
	while (more) {
		zmq_msg_t frame;
		zmq_msg_init(&frame);
		more = receive_frame(t, &frame, ZMQ_DONTWAIT) && zmq_msg_more(&frame);
		zmq_msg_close(&frame);
	}
}

static void inbound_close(struct inbound *in)
{
	for (int i = 0; i < in->path_count; i++)
		zmq_msg_close(&in->path[i]);
	in->path_count = 0;
	zmq_msg_close(&in->body);
}

enum taken { TAKEN_NOTHING, TAKEN_MESSAGE, TAKEN_GARBAGE };

/* Return path, empty delimiter, one body frame (28/REQREP); anything else is garbage. With frames
 * behind the body it is no sound message either, but its sender may be a REQ that waits for an
 * answer: the first of them is kept for the header that may be in it. */
static enum taken receive_message(struct transport *t, struct inbound *in)
{
	zmq_msg_t frame;

	in->path_count = 0;
	in->overlong = false;
	zmq_msg_init(&in->body);
	zmq_msg_init(&frame);
	if (!receive_frame(t, &frame, ZMQ_DONTWAIT)) {
		zmq_msg_close(&frame);
		return TAKEN_NOTHING;
	}
	bool more = zmq_msg_more(&frame);
	while (more && (in->path_count == 0 || zmq_msg_size(&frame) > 0) &&
	       in->path_count < PROTOCOL_RETURN_PATH_MAX) {
		zmq_msg_init(&in->path[in->path_count]);
		zmq_msg_move(&in->path[in->path_count++], &frame);
		if (!receive_frame(t, &frame, ZMQ_DONTWAIT))
			break;
		more = zmq_msg_more(&frame);
	}
	bool delimited = more && zmq_msg_size(&frame) == 0;
	zmq_msg_close(&frame);
	if (delimited && receive_frame(t, &in->body, ZMQ_DONTWAIT)) {
		in->overlong = zmq_msg_more(&in->body);
		drop_rest(t, in->overlong);
		return TAKEN_MESSAGE;
	}
	drop_rest(t, more);
	inbound_close(in);
	return TAKEN_GARBAGE;
}

static uint64_t peer_number(struct inbound *in)
{
	uint64_t number = 0;

	for (int i = 0; i < in->path_count; i++)
		number = XXH3_64bits_withSeed(zmq_msg_data(&in->path[i]), zmq_msg_size(&in->path[i]), number);
	return number;
}

/* The kernel's word on who connected, as libzmq passes it on: "path:uid:gid:pid". */
static struct caller read_caller(zmq_msg_t *body, int path_count)
{
	const struct caller nobody = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
	const char *text = path_count == 1 ? zmq_msg_gets(body, "Peer-Address") : NULL;
	uint64_t numbers[3] = { 0 };

	if (text == NULL)
		return nobody;
	const char *end = text + strlen(text);
	for (int i = 2; i >= 0; i--) {
		uint64_t scale = 1;
		const char *digits = end;
		while (digits > text && digits[-1] >= '0' && digits[-1] <= '9' && end - digits < 10) {
			numbers[i] += (uint64_t)(*--digits - '0') * scale;
			scale *= 10;
		}
		if (digits == end || digits == text || digits[-1] != ':')
			return nobody;
		end = digits - 1;
	}
	if (numbers[2] == 0)
		return nobody;
	return (struct caller){ .uid = (uid_t)numbers[0], .gid = (gid_t)numbers[1], .pid = (pid_t)numbers[2],
				.known = true };
}

size_t transport_receive(struct transport *transport, int64_t now_ns, const struct transport_message **messages)
{
	struct transport *t = transport;
	size_t bytes = 0, garbage = 0;

	t->now_ns = now_ns;
	transport_release(t);
	while (t->batch_count < t->batch_room && bytes < (size_t)t->limits->round_bytes && garbage < t->batch_room) {
		struct inbound *in = &t->batch[t->batch_count];
		enum taken taken = receive_message(t, in);
		if (taken == TAKEN_NOTHING)
			break;
		if (taken == TAKEN_GARBAGE) {
			t->counters->messages++;
			t->counters->messages_malformed++;
			garbage++;
			continue;
		}
		in->descriptor = zmq_msg_get(&in->body, ZMQ_SRCFD);
		t->messages[t->batch_count++] = (struct transport_message){
			.caller = read_caller(&in->body, in->path_count),
			.peer = peer_number(in),
			.overlong = in->overlong,
			.body = zmq_msg_data(&in->body),
			.size = zmq_msg_size(&in->body),
		};
		bytes += zmq_msg_size(&in->body);
	}
	if (t->batch_count == t->batch_room || bytes >= (size_t)t->limits->round_bytes)
		t->counters->round_full++;
	/* Events came before the messages of the connections that they tell of. */
	take_events(t);
	for (size_t i = 0; i < t->batch_count; i++) {
		struct connection *connection = connection_at(t, t->batch[i].descriptor, false);
		if (connection == NULL || !connection->open)
			continue;
		connection->whole_ns = now_ns;
		t->messages[i].subscribed = connection->subscribed && t->batch[i].path_count == 1 &&
					    connection->id_size == zmq_msg_size(&t->batch[i].path[0]) &&
					    memcmp(connection->id, zmq_msg_data(&t->batch[i].path[0]),
						   connection->id_size) == 0;
	}
	*messages = t->messages;
	return t->batch_count;
}

void transport_release(struct transport *transport)
{
	for (size_t i = 0; i < transport->batch_count; i++)
		inbound_close(&transport->batch[i]);
	transport->batch_count = 0;
}

/* ---- sending ---- */

enum sent { SENT, SENT_FULL, SENT_GONE };

/* The first frame decides: once ROUTER has taken it, the rest goes too. */
static enum sent send_message(struct transport *t, zmq_msg_t *path, int path_count, zmq_msg_t *body)
{
	for (int i = 0; i < path_count; i++) {
		zmq_msg_t copy;
		zmq_msg_init(&copy);
		if (zmq_msg_copy(&copy, &path[i]) != 0 ||
		    zmq_msg_send(&copy, t->router, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0) {
			int saved = errno;
			zmq_msg_close(&copy);
			return saved == EAGAIN || saved == EINTR ? SENT_FULL : SENT_GONE;
		}
	}
	if (zmq_send(t->router, "", 0, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
	    zmq_msg_send(body, t->router, ZMQ_DONTWAIT) < 0)
		return SENT_GONE;
	t->counters->messages_sent++;
	return SENT;
}

static struct outbox *outbox_of(struct transport *t, zmq_msg_t *id)
{
	struct outbox *outbox = NULL;

	if (t->outboxes != NULL)
		HASH_FIND(hh, t->outboxes, zmq_msg_data(id), zmq_msg_size(id), outbox);
	return outbox;
}

static struct outbox *outbox_make(struct transport *t, zmq_msg_t *id)
{
	struct outbox *outbox = outbox_of(t, id);

	if (outbox != NULL)
		return outbox;
	outbox = calloc(1, sizeof *outbox);
	if (outbox == NULL || zmq_msg_size(id) > sizeof outbox->id) {
		free(outbox);
		return NULL;
	}
	memcpy(outbox->id, zmq_msg_data(id), zmq_msg_size(id));
	outbox->last = &outbox->first;
	HASH_ADD(hh, t->outboxes, id, zmq_msg_size(id), outbox);
	if (outbox->hh.tbl == NULL) { /* no memory for the hash */
		free(outbox);
		return NULL;
	}
	return outbox;
}

/* Takes the body. Beyond the bounds it is dropped: a command's reply is stored in its
 * session and a query is asked again. */
static void keep_waiting(struct transport *t, zmq_msg_t *path, int path_count, zmq_msg_t *body)
{
	uint64_t bytes = zmq_msg_size(body) + WAITING_OVERHEAD_BYTES;
	struct outbox *outbox = outbox_make(t, &path[0]);
	struct waiting *waiting = NULL;

	if (outbox != NULL && outbox->bytes + bytes <= (uint64_t)t->limits->outbox_bytes &&
	    t->outbox_bytes + bytes <= (uint64_t)t->limits->outbox_total_bytes)
		waiting = calloc(1, sizeof *waiting);
	if (waiting == NULL) {
		t->counters->outbox_drops++;
		zmq_msg_close(body);
		if (outbox != NULL && outbox->first == NULL)
			outbox_free(t, outbox);
		return;
	}
	for (int i = 0; i < path_count; i++) {
		zmq_msg_init(&waiting->path[i]);
		zmq_msg_copy(&waiting->path[i], &path[i]);
	}
	waiting->path_count = path_count;
	zmq_msg_init(&waiting->body);
	zmq_msg_move(&waiting->body, body);
	zmq_msg_close(body);
	*outbox->last = waiting;
	outbox->last = &waiting->next;
	outbox->bytes += bytes;
	t->outbox_bytes += bytes;
	t->counters->outbox_waits++;
	if (t->retry_ns == 0) {
		t->retry_delay_ns = OUTBOX_RETRY_LEAST_NS;
		t->retry_ns = t->now_ns + t->retry_delay_ns;
	}
}

static void send_or_keep(struct transport *t, zmq_msg_t *path, int path_count, const struct buffer *bytes)
{
	zmq_msg_t body;

	if (bytes->failed || zmq_msg_init_size(&body, bytes->size) != 0) {
		t->counters->outbox_drops++;
		return;
	}
	memcpy(zmq_msg_data(&body), bytes->data, bytes->size);
	/* What waits goes first. */
	enum sent sent = outbox_of(t, &path[0]) != NULL ? SENT_FULL : send_message(t, path, path_count, &body);
	switch (sent) {
	case SENT:
		break;
	case SENT_FULL:
		keep_waiting(t, path, path_count, &body);
		break;
	case SENT_GONE:
		t->counters->unroutable++;
		zmq_msg_close(&body);
		break;
	}
}

void transport_reply(struct transport *transport, size_t index, const struct buffer *body)
{
	struct inbound *in = &transport->batch[index];

	send_or_keep(transport, in->path, in->path_count, body);
}

/* Sends what waits for one peer, as far as it goes; *moved when anything did. True when the
 * outbox is done with. */
static bool flush(struct transport *t, struct outbox *outbox, bool *moved)
{
	while (outbox->first != NULL) {
		struct waiting *waiting = outbox->first;
		uint64_t bytes = zmq_msg_size(&waiting->body) + WAITING_OVERHEAD_BYTES;
		switch (send_message(t, waiting->path, waiting->path_count, &waiting->body)) {
		case SENT:
			break;
		case SENT_FULL:
			return false;
		case SENT_GONE:
			t->counters->unroutable++;
			return true;
		}
		*moved = true;
		outbox->first = waiting->next;
		if (outbox->first == NULL)
			outbox->last = &outbox->first;
		outbox->bytes -= bytes;
		t->outbox_bytes -= bytes;
		waiting_free(waiting);
	}
	return true;
}

void transport_tend(struct transport *transport, int64_t now_ns, int64_t *next_ns)
{
	struct transport *t = transport;
	struct outbox *outbox, *next;
	bool moved = false;

	t->now_ns = now_ns;
	take_events(t);
	*next_ns = INT64_MAX;
	if (t->retry_ns == 0)
		return;
	if (now_ns >= t->retry_ns) {
		HASH_ITER(hh, t->outboxes, outbox, next)
			if (flush(t, outbox, &moved))
				outbox_free(t, outbox);
		t->retry_delay_ns = moved ? OUTBOX_RETRY_LEAST_NS : t->retry_delay_ns * 2;
		if (t->retry_delay_ns > OUTBOX_RETRY_MOST_NS)
			t->retry_delay_ns = OUTBOX_RETRY_MOST_NS;
		t->retry_ns = t->outboxes != NULL ? now_ns + t->retry_delay_ns : 0;
	}
	if (t->retry_ns != 0)
		*next_ns = t->retry_ns;
}

/* ---- all connections ---- */

void transport_subscribe(struct transport *transport, size_t index, bool wanted)
{
	struct inbound *in = &transport->batch[index];
	struct connection *connection = connection_at(transport, in->descriptor, false);

	if (connection == NULL || !connection->open || in->path_count != 1 ||
	    zmq_msg_size(&in->path[0]) > sizeof connection->id)
		return;
	connection->subscribed = wanted;
	connection->id_size = (uint8_t)zmq_msg_size(&in->path[0]);
	memcpy(connection->id, zmq_msg_data(&in->path[0]), connection->id_size);
}

void transport_broadcast(struct transport *transport, const struct buffer *body)
{
	for (size_t i = 0; i < transport->connection_room; i++) {
		const struct connection *connection = transport->connections[i];
		zmq_msg_t id;
		if (connection == NULL || !connection->subscribed || zmq_msg_init_size(&id, connection->id_size) != 0)
			continue;
		memcpy(zmq_msg_data(&id), connection->id, connection->id_size);
		send_or_keep(transport, &id, 1, body);
		zmq_msg_close(&id);
	}
}

unsigned transport_cut_silent(struct transport *transport, int64_t since_ns, bool filling)
{
	unsigned cut = 0;

	for (size_t i = 0; i < transport->connection_room; i++) {
		struct connection *connection = transport->connections[i];
		int unread = 0;
		if (connection == NULL || !connection->open || connection->cut || connection->whole_ns > since_ns)
			continue;
		if (filling && (ioctl((int)i, FIONREAD, &unread) != 0 || unread == 0))
			continue;
		/* At worst the number is a newcomer's by now, which connects again. */
		shutdown((int)i, SHUT_RDWR);
		connection->cut = true;
		cut++;
	}
	transport->counters->connections_cut += cut;
	return cut;
}

uint64_t transport_connections(const struct transport *transport)
{
	return transport->open_count;
}

uint64_t transport_outbox_bytes(const struct transport *transport)
{
	return transport->outbox_bytes;
}
