/* SPDX-License-Identifier: MIT
 *
 * connection.h - the way to one owner: a DEALER socket, its monitor, and where
 * the owner is to be found.
 *
 * Frames are those of ZeroMQ's 28/REQREP: an empty delimiter and one body. libzmq
 * reconnects; this module tells when, and looks again for an owner that is known
 * by name and may have come up in another folder.
 */
#ifndef SOLE_CLIENTS_CONNECTION_H
#define SOLE_CLIENTS_CONNECTION_H

#include "common/buffer.h"
#include "common/clock.h"

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#define CONNECTION_WAIT_NS (20 * NS_PER_MS)

enum { CONNECTION_ENDPOINT_MAX = 512, CONNECTION_WHY_MAX = 512 };

struct connection {
	void *dealer, *monitor;
	int dealer_descriptor, monitor_descriptor; /* readable: see what has happened. Edges, not levels */
	bool up;
	/* There may be something to receive, or an event, although no descriptor says so: libzmq
	 * writes to one only when its reader has looked and found nothing. */
	bool recheck, recheck_monitor;
	int64_t look_ns;          /* when to look for the owner's file again */
	char name[65];            /* of the owner, or "" */
	char endpoint[CONNECTION_ENDPOINT_MAX];
	uint64_t malformed;       /* messages that were not a delimiter and a body */
};

/* Connects to `endpoint`, or to the owner called `name` if it is NULL. Returns SOLE_OK, or a code with
 * a sentence in `why`; nothing is left open then. */
int connection_open(struct connection *connection, const char *endpoint, const char *name,
		    char why[CONNECTION_WHY_MAX]);
void connection_close(struct connection *connection);

/* Is the owner on another host, with another clock? */
bool connection_is_remote(const struct connection *connection);

enum connection_event { CONNECTION_NOTHING, CONNECTION_UP, CONNECTION_DOWN };

/* What has happened to the connection since; call until NOTHING. */
enum connection_event connection_event(struct connection *connection);

/* False: there is no way out at the moment; nothing was sent. */
bool connection_send(struct connection *connection, const struct buffer *body);

/* Receives a body into the initialised `body`. False: none is there. */
bool connection_receive(struct connection *connection, zmq_msg_t *body);

/* The same, but waits up to CONNECTION_WAIT_NS for one: cheaper by two system calls than to poll
 * first, and deaf to everything else meanwhile. The one function here that blocks. */
bool connection_wait(struct connection *connection, zmq_msg_t *body);

/* Looks for the file of an owner known by name, if it is time for that; moves there if it is elsewhere. */
void connection_look(struct connection *connection, int64_t now_ns);

/* When connection_look is due; INT64_MAX: not at all. */
int64_t connection_look_deadline(const struct connection *connection);

#endif
