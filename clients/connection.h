/* SPDX-License-Identifier: MIT
 *
 * connection.h - the way to one owner, and where the owner is to be found.
 *
 * On this host it is a Unix socket that this module's caller reads and writes itself (stream.h), on
 * another one a socket of libzmq's (dealer.h). Frames are those of ZeroMQ's 28/REQREP, an empty delimiter and
 * one body, in both. An owner that is known by name may come up in another folder: it is looked for.
 */
#ifndef SOLE_CLIENTS_CONNECTION_H
#define SOLE_CLIENTS_CONNECTION_H

#include "clients/dealer.h"
#include "clients/stream.h"
#include "common/clock.h"

#include <poll.h>

enum {
	CONNECTION_ENDPOINT_MAX = 512,
	CONNECTION_WHY_MAX = 512,
	CONNECTION_POLLED = 2, /* descriptors to poll */
};

struct connection {
	bool open, remote;
	union {
		struct stream stream; /* not remote */
		struct dealer dealer;
	};
	int64_t look_ns;          /* when to look for the owner's file again */
	char name[65];            /* of the owner, or "" */
	char endpoint[CONNECTION_ENDPOINT_MAX];
};

/* Begins to connect to `endpoint`, or to the owner that the options name if it is NULL; with their keys. Returns SOLE_OK, or a code with
 * a sentence in `why`; nothing is left open then. */
int connection_open(struct connection *connection, const char *endpoint, const struct sole_options *options,
		    char why[CONNECTION_WHY_MAX]);
void connection_close(struct connection *connection);

/* In a forked child: leaves to the parent what is the parent's. */
void connection_abandon(struct connection *connection);

/* Is the owner on another host, with another clock? */
static inline bool connection_is_remote(const struct connection *connection)
{
	return connection->remote;
}

static inline bool connection_is_up(const struct connection *connection)
{
	return connection->remote ? connection->dealer.up : connection->stream.up;
}

/* Why the owner is not reached, in a sentence; "" when nothing is known. Valid as long as the connection, and may change. */
static inline const char *connection_hindrance(const struct connection *connection)
{
	return connection->remote ? connection->dealer.hindrance : "";
}

/* ---- waiting ---- */

enum connection_ready { CONNECTION_INPUT = 1, CONNECTION_EVENT = 2 };

/* What poll(2) is to wait for; and what it found, as connection_ready. Unused ones have no descriptor. */
void connection_poll(const struct connection *connection, struct pollfd list[CONNECTION_POLLED]);
unsigned connection_polled(const struct pollfd list[CONNECTION_POLLED]);

/* Adds to an epoll set what tells that there is something to do. False: it cannot. */
bool connection_watch(struct connection *connection, int epoll);

/* There may be something to receive, or to hear of, though no descriptor says so. */
static inline bool connection_recheck(const struct connection *connection)
{
	return connection->remote ? connection->dealer.recheck : stream_recheck(&connection->stream);
}

/* Is there, or may there be, an event to take? */
static inline bool connection_eventful(const struct connection *connection)
{
	return connection->remote ? connection->dealer.recheck_monitor : stream_eventful(&connection->stream);
}

/* When connection_tend is due; INT64_MAX: not at all. */
int64_t connection_deadline(const struct connection *connection);

/* Connects again, or looks for the owner's file, if it is time for that. */
void connection_tend(struct connection *connection, int64_t now_ns);

/* ---- events and messages: stream.h and dealer.h say more ---- */

static inline enum connection_event connection_event(struct connection *connection)
{
	return connection->remote ? dealer_event(&connection->dealer) : stream_event(&connection->stream);
}

/* poll(2) has found input, or may have. */
static inline void connection_look_again(struct connection *connection)
{
	if (!connection->remote)
		stream_look_again(&connection->stream);
}

/* False: there is no way out at the moment; it does not arrive. On this host that is also what one hears of
 * a peer that has gone. */
static inline bool connection_send(struct connection *connection, const struct buffer *body)
{
	return connection->remote ? dealer_send(&connection->dealer, body) : stream_send(&connection->stream, body);
}

/* A body that has arrived, valid until the next call of either. False: none has. */
static inline bool connection_receive(struct connection *connection, const uint8_t **body, size_t *size)
{
	return connection->remote ? dealer_receive(&connection->dealer, body, size)
				  : stream_receive(&connection->stream, body, size);
}

/* How long connection_wait waits, in nanoseconds. */
static inline int64_t connection_patience(const struct connection *connection)
{
	return (connection->remote ? (int)DEALER_WAIT_MS : (int)STREAM_WAIT_MS) * NS_PER_MS;
}

/* As connection_receive, but waits up to connection_patience for one, and is deaf to everything else meanwhile. The one
 * function here that blocks. */
static inline bool connection_wait(struct connection *connection, const uint8_t **body, size_t *size)
{
	return connection->remote ? dealer_wait(&connection->dealer, body, size)
				  : stream_wait(&connection->stream, body, size);
}

#endif
