/* SPDX-License-Identifier: MIT
 *
 * transport.c - the two doors: waited for in one epoll set, read into one batch.
 *
 * A batch has the messages of the Unix socket first and tcp's behind them. Which of the two is asked first
 * changes from round to round, so that one from which there is no end of messages leaves room for the other.
 */
#include "owner/transport/transport.h"
#include "owner/transport/accept_gate.h"
#include "owner/transport/local.h"
#include "owner/transport/tcp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_AT_ONCE = 512 };

/* The data of epoll events that are no connection's of the Unix socket: those have LOCAL_HANDLE. */
enum { DATA_DESCRIPTOR = 1, DATA_TCP = 2 };

struct transport {
	int epoll, descriptor; /* the caller's, which is in the set; -1: none is yet */
	uint64_t most;         /* connections, of both doors */
	struct local *local;
	struct tcp *tcp;       /* NULL: there is none */
	const struct limits *limits;
	struct counters *counters;
	struct transport_message *messages;
	size_t batch_count, local_count;
	bool tcp_first;
};

/* ---- opening and closing ---- */

static int open_local(struct transport *t, const struct transport_settings *settings, char *error, size_t error_size)
{
	int room = accept_gate_init();

	if (room >= 0) {
		uint64_t most = (uint64_t)t->limits->connections;
		t->most = most < (uint64_t)room ? most : (uint64_t)room;
		const struct local_settings local = { settings->listener, t->epoll, t->most, t->limits, t->counters };
		t->local = local_new(&local);
	}
	if (t->local != NULL)
		return 0;
	snprintf(error, error_size, "cannot make room for connections (an owner needs 64 descriptors: see ulimit -n): %s",
		 strerror(errno));
	return -1;
}

static int open_tcp(struct transport *t, const struct transport_settings *settings, char *error, size_t error_size)
{
	const struct tcp_settings tcp = { settings->tcp, settings->certificate, settings->keyring, t->most, t->limits,
					  t->counters };

	if (tcp_open(&t->tcp, &tcp, error, error_size) != 0)
		return -1;
	if (tcp_watch(t->tcp, t->epoll, DATA_TCP))
		return 0;
	snprintf(error, error_size, "cannot wait for tcp: %s", strerror(errno));
	return -1;
}

int transport_open(struct transport **transport, const struct transport_settings *settings, char *error,
		   size_t error_size)
{
	struct transport *t = calloc(1, sizeof *t);

	*transport = NULL;
	if (t != NULL) {
		t->limits = settings->limits;
		t->counters = settings->counters;
		t->descriptor = -1;
		t->epoll = epoll_create1(EPOLL_CLOEXEC);
		t->messages = calloc((size_t)t->limits->round_messages, sizeof *t->messages);
	}
	if (t == NULL || t->epoll < 0 || t->messages == NULL) {
		snprintf(error, error_size, "cannot wait for connections: %s", strerror(errno));
		transport_close(&t, 0);
		return -1;
	}
	if (open_local(t, settings, error, error_size) != 0 ||
	    (settings->tcp != NULL && open_tcp(t, settings, error, error_size) != 0)) {
		transport_close(&t, 0);
		return -1;
	}
	*transport = t;
	return 0;
}

void transport_close(struct transport **transport, int linger_ms)
{
	struct transport *t = *transport;

	if (t == NULL)
		return;
	tcp_close(&t->tcp, linger_ms);
	local_destroy(&t->local, linger_ms);
	if (t->epoll >= 0)
		close(t->epoll);
	free(t->messages);
	free(t);
	*transport = NULL;
}

void transport_tcp_endpoint(const struct transport *transport, char *endpoint, size_t size)
{
	endpoint[0] = '\0';
	if (transport->tcp != NULL)
		tcp_endpoint(transport->tcp, endpoint, size);
}

/* ---- waiting ---- */

static void watch_descriptor(struct transport *t, int descriptor)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = DATA_DESCRIPTOR };

	if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0)
		t->descriptor = descriptor;
}

int transport_wait(struct transport *transport, int descriptor, int timeout_ms)
{
	struct transport *t = transport;
	struct epoll_event events[EVENTS_AT_ONCE];
	int found = 0;

	if (t->descriptor != descriptor)
		watch_descriptor(t, descriptor);
	bool input = local_has_input(t->local) || (t->tcp != NULL && tcp_has_input(t->tcp));
	int count = epoll_wait(t->epoll, events, EVENTS_AT_ONCE, input ? 0 : timeout_ms);
	for (int i = 0; i < count; i++) {
		uint64_t data = events[i].data.u64;
		found |= data == DATA_DESCRIPTOR ? TRANSPORT_DESCRIPTOR : TRANSPORT_INPUT;
		if ((data & LOCAL_HANDLE) != 0)
			local_event(t->local, data, events[i].events);
	}
	return found | (input ? TRANSPORT_INPUT : 0);
}

/* ---- a batch ---- */

/* The limit is for both doors together. */
static void share_most(struct transport *t)
{
	uint64_t local = local_connections(t->local), tcp = tcp_connections(t->tcp);

	local_set_most(t->local, tcp < t->most ? t->most - tcp : 0);
	tcp_set_most(t->tcp, local < t->most ? t->most - local : 0);
}

/* Half of the room at the most where both doors have messages: tcp's turn is with all of it, or with what is left. */
static void receive_both(struct transport *t, int64_t now_ns, struct intake *left)
{
	struct intake reserved = { 0 };

	share_most(t);
	if (t->tcp_first && tcp_has_input(t->tcp)) {
		reserved = (struct intake){ left->messages / 2, left->bytes / 2 };
		left->messages -= reserved.messages;
		left->bytes -= reserved.bytes;
	}
	t->tcp_first = !t->tcp_first;
	t->local_count = local_receive(t->local, now_ns, left, t->messages);
	left->messages += reserved.messages;
	left->bytes += reserved.bytes;
	t->batch_count = t->local_count + tcp_receive(t->tcp, now_ns, left, t->messages + t->local_count);
}

size_t transport_receive(struct transport *transport, int64_t now_ns, size_t most,
			 const struct transport_message **messages)
{
	struct transport *t = transport;
	size_t room = (size_t)t->limits->round_messages;
	struct intake left = { .messages = most < room ? most : room, .bytes = (size_t)t->limits->round_bytes };

	transport_release(t);
	if (t->tcp != NULL)
		receive_both(t, now_ns, &left);
	else
		t->batch_count = t->local_count = local_receive(t->local, now_ns, &left, t->messages);
	if (left.messages == 0 || left.bytes == 0)
		t->counters->round_full++;
	*messages = t->messages;
	return t->batch_count;
}

void transport_release(struct transport *transport)
{
	local_release(transport->local);
	if (transport->tcp != NULL)
		tcp_release(transport->tcp);
	transport->batch_count = transport->local_count = 0;
}

void transport_reply(struct transport *transport, size_t index, const struct buffer *body)
{
	if (index < transport->local_count)
		local_reply(transport->local, index, body);
	else
		tcp_reply(transport->tcp, index - transport->local_count, body);
}

/* ---- by connection ---- */

static bool is_local(uint64_t connection)
{
	return (connection & LOCAL_HANDLE) != 0;
}

void transport_subscribe(struct transport *transport, size_t index, bool wanted)
{
	uint64_t connection = transport->messages[index].connection;

	if (index < transport->local_count)
		local_subscribe(transport->local, connection, wanted);
	else
		tcp_subscribe(transport->tcp, connection, wanted);
}

bool transport_ready(const struct transport *transport, uint64_t connection)
{
	if (is_local(connection))
		return local_ready(transport->local, connection);
	return transport->tcp != NULL && tcp_ready(transport->tcp, connection);
}

bool transport_send(struct transport *transport, uint64_t connection, const struct buffer *body)
{
	if (is_local(connection) || transport->tcp == NULL)
		return local_send(transport->local, connection, body);
	return tcp_send(transport->tcp, connection, body);
}

void transport_broadcast(struct transport *transport, const struct buffer *body)
{
	local_broadcast(transport->local, body);
	if (transport->tcp != NULL)
		tcp_broadcast(transport->tcp, body);
}

/* ---- all connections ---- */

void transport_tend(struct transport *transport, int64_t now_ns, int64_t *next_ns)
{
	int64_t tcp_ns = INT64_MAX;

	local_tend(transport->local, now_ns, next_ns);
	if (transport->tcp != NULL)
		tcp_tend(transport->tcp, now_ns, &tcp_ns);
	if (tcp_ns < *next_ns)
		*next_ns = tcp_ns;
}

bool transport_ended(struct transport *transport, uint64_t *connection)
{
	return local_ended(transport->local, connection) ||
	       (transport->tcp != NULL && tcp_ended(transport->tcp, connection));
}

unsigned transport_cut_silent(struct transport *transport, int64_t since_ns, bool filling)
{
	unsigned cut = local_cut_silent(transport->local, since_ns, filling);

	return cut + (transport->tcp != NULL ? tcp_cut_silent(transport->tcp, since_ns, filling) : 0);
}

unsigned transport_cut_revoked(struct transport *transport)
{
	return transport->tcp != NULL ? tcp_cut_revoked(transport->tcp) : 0;
}

uint64_t transport_connections(const struct transport *transport)
{
	return local_connections(transport->local) + (transport->tcp != NULL ? tcp_connections(transport->tcp) : 0);
}

uint64_t transport_outbox_bytes(const struct transport *transport)
{
	return local_outbox_bytes(transport->local) + (transport->tcp != NULL ? tcp_outbox_bytes(transport->tcp) : 0);
}
