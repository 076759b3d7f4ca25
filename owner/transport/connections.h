/* SPDX-License-Identifier: MIT
 *
 * connections.h - the table of connections: which are open, who takes notices, who is silent.
 *
 * Filled from what libzmq's monitor tells of descriptors, and from the messages that
 * come by them. A descriptor's number comes back with the next connection, so what
 * is given out is a handle: the number with its *generation*, which stands for one
 * connection and, once that has ended, for none. 0 is no connection. Nothing here
 * blocks or knows of libzmq; of the descriptors, which are libzmq's, nothing is
 * done but to shut them down.
 */
#ifndef SOLE_OWNER_CONNECTIONS_H
#define SOLE_OWNER_CONNECTIONS_H

#include "owner/core/counters.h"
#include "owner/transport/routing_id.h"

struct connections;

/* At most `most` may be open. NULL when there is no memory. */
struct connections *connections_new(uint64_t most, struct counters *counters);
void connections_destroy(struct connections **connections);

/* From now on so many may be open. */
void connections_set_most(struct connections *connections, uint64_t most);

/* ---- what the monitor tells ---- */

/* A newcomer over the limit is shut down, and open until its end is told. */
void connections_accepted(struct connections *connections, int descriptor, int64_t now_ns);
void connections_disconnected(struct connections *connections, int descriptor);

/* ---- what messages tell ---- */

/* A whole message came by `descriptor` (-1: not told) with that routing id. Returns the handle of
 * its connection, or 0 when that is not open any more, or not known. */
uint64_t connections_heard(struct connections *connections, int descriptor, const void *id, size_t id_size,
			   int64_t now_ns);

enum { CONNECTION_TEXT_MAX = 56 };

/* Where the connection that was accepted last with this descriptor comes from, and with which key; either is
 * known when it is told, and "" before. Valid until the next call that is not for asking. */
void connections_set_origin(struct connections *connections, int descriptor, const char *origin);
const char *connections_origin(const struct connections *connections, int descriptor);
void connections_set_key(struct connections *connections, uint64_t connection, const char *key);

/* Whether the connection takes what it did not ask for. Nothing happens when it is gone. */
void connections_subscribe(struct connections *connections, uint64_t connection, bool wanted);

/* ---- asking ---- */

/* The routing id of a connection that is open and subscribed, else NULL. Valid until the next
 * call that is not for asking. */
const struct routing_id *connections_subscribed(const struct connections *connections, uint64_t connection);

/* The open and subscribed connection behind `connection` in the order of descriptors (0: the
 * first); 0 when there is none. */
uint64_t connections_next_subscribed(const struct connections *connections, uint64_t connection);

uint64_t connections_count(const struct connections *connections);

/* When the connection that was accepted last with this descriptor was heard last, or accepted; 0: there is none. */
int64_t connections_heard_ns(const struct connections *connections, int descriptor);

/* Gives the handles of ended connections, each once; false when there is none (any more). What was
 * not asked for takes no memory, however many have ended. */
bool connections_ended(struct connections *connections, uint64_t *connection);

/* Shuts down every connection that delivered no whole message since `since_ns`; when `filling`,
 * only those whose bytes are waiting to be read at this moment. Returns how many. */
unsigned connections_cut_silent(struct connections *connections, int64_t since_ns, bool filling);

/* Shuts down every connection of whose key `may_stay` is false; it is called with "" for one of which no key is known
 * yet. Returns how many. */
unsigned connections_cut_keys(struct connections *connections,
			      bool (*may_stay)(const void *context, const char *key), const void *context);

/* Shuts down the connection. Nothing happens when it is gone. */
void connections_cut(struct connections *connections, uint64_t connection);

#endif
