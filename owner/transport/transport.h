/* SPDX-License-Identifier: MIT
 *
 * transport.h - the doors by which messages come, together: whole messages in, replies out, and which
 * connections there are.
 *
 * One door is the Unix socket's (local.h), the other, where there is one, tcp's (tcp.h); behind that is all
 * of libzmq in the owner. Nothing blocks but transport_wait. A peer
 * that does not read has its replies kept, in bytes that are bounded for it and for
 * all, and dropped beyond; a peer that sends without end is cut by
 * transport_cut_silent. Receive a batch, answer it, release it: one batch at a time.
 *
 * A connection is named by a handle, a uint64_t that is never used for another one;
 * 0 is none. It ends with the connection, which transport_ended tells.
 */
#ifndef SOLE_OWNER_TRANSPORT_H
#define SOLE_OWNER_TRANSPORT_H

#include "common/buffer.h"
#include "owner/core/counters.h"
#include "owner/core/limits.h"
#include "owner/transport/keyring.h"
#include "owner/transport/message.h"

struct transport;

struct transport_settings {
	int listener;     /* a listening Unix socket; taken over on success */
	const char *tcp;  /* where to listen beside it, "tcp://HOST:PORT"; the port may be '*'. NULL: nowhere */
	const struct certificate *certificate; /* with `tcp`: the owner's pair of keys, and */
	const struct keyring *keyring;         /* who may come; NULL: everybody, in the clear. Must outlive the transport */
	const struct limits *limits;
	struct counters *counters;
};

/* 0, or -1 with a sentence in `error`. With `tcp` libzmq's I/O thread is started: block signals before. */
int transport_open(struct transport **transport, const struct transport_settings *settings, char *error,
		   size_t error_size);

/* Where it listens on tcp, with the port that the system chose; "" when it does not. */
void transport_tcp_endpoint(const struct transport *transport, char *endpoint, size_t size);

/* Gives what was sent up to `linger_ms` to leave, then frees everything. */
void transport_close(struct transport **transport, int linger_ms);

enum { TRANSPORT_INPUT = 1, TRANSPORT_DESCRIPTOR = 2 };

/* Blocks until there is input or an event of a connection (TRANSPORT_INPUT), `descriptor` is
 * readable (TRANSPORT_DESCRIPTOR), or `timeout_ms` (-1: for ever). Returns which, or 0. */
int transport_wait(struct transport *transport, int descriptor, int timeout_ms);

/* Takes what has arrived, within the limits of a round and `most` (at least 1) messages; the return
 * value is how many stand in *messages. What is not framed as a message is dropped and counted. */
size_t transport_receive(struct transport *transport, int64_t now_ns, size_t most,
			 const struct transport_message **messages);

/* Sends a reply to message `index` of the batch. Never blocks and never fails: see above. */
void transport_reply(struct transport *transport, size_t index, const struct buffer *body);

/* Whether the connection of message `index` takes messages that it did not ask for. */
void transport_subscribe(struct transport *transport, size_t index, bool wanted);

void transport_release(struct transport *transport);

/* Whether what is sent to a connection would not have to wait behind what it has not read: it is
 * open, subscribed, and nothing is in its outbox. */
bool transport_ready(const struct transport *transport, uint64_t connection);

/* Sends what was not asked for, as transport_reply does. To a connection that has ended, or is not
 * subscribed, it is not sent, and counted as unroutable. False: dropped, and could be sent again
 * when the peer has read. */
bool transport_send(struct transport *transport, uint64_t connection, const struct buffer *body);

/* To every connection that is subscribed. */
void transport_broadcast(struct transport *transport, const struct buffer *body);

/* Retries replies that wait, takes in what became of connections, refuses those over the limit.
 * *next_ns: when to call again at the latest. */
void transport_tend(struct transport *transport, int64_t now_ns, int64_t *next_ns);

/* Gives the handles of connections that have ended, each once; false when there is none (any more).
 * Ask until then after each round and each tending. Also told are connections of which no message
 * ever came. What is not asked for takes no memory. */
bool transport_ended(struct transport *transport, uint64_t *connection);

/* Cuts every connection that delivered no whole message since `since_ns`; when `filling`, only those
 * whose bytes are waiting to be read at this moment. Returns how many. */
unsigned transport_cut_silent(struct transport *transport, int64_t since_ns, bool filling);

/* After the keyring has changed: cuts connections whose key may not come any more, and who has not shown one yet. Returns
 * how many. */
unsigned transport_cut_revoked(struct transport *transport);

uint64_t transport_connections(const struct transport *transport);
uint64_t transport_outbox_bytes(const struct transport *transport);

#endif
