/* SPDX-License-Identifier: MIT
 *
 * network.h - what lies between clients and an owner: connections that keep the order of what they carry, and lose
 * whole tails of it when they are cut, as ZeroMQ's do.
 *
 * A connection that was cut may still hold what had arrived before: the owner takes that in after it has heard
 * from the next connection, or before; the client always before.
 */
#ifndef SOLE_TESTS_SIM_NETWORK_H
#define SOLE_TESTS_SIM_NETWORK_H

#include "common/buffer.h"
#include "owner/core/operations.h"
#include "tests/sim/random.h"

enum { CONNECTIONS_MAX = 32, QUEUE_MAX = 64 };

struct packet {
	uint8_t *data;
	size_t size;
};

/* First in, first out. */
struct queue {
	struct packet packets[QUEUE_MAX];
	uint32_t head, count;
};

struct connection {
	uint64_t id; /* 0: this place is free */
	uint32_t process;
	struct caller caller;
	bool up, end_told;  /* told: the owner knows that it has ended */
	bool subscribed, slow; /* slow: its client does not read */
	struct queue to_owner, to_client;
};

struct network {
	struct connection connections[CONNECTIONS_MAX];
	uint64_t last_id;
	uint64_t carried, lost; /* messages */
};

void network_clear(struct network *network);

/* NULL: as many as there can be. */
struct connection *network_connect(struct network *network, uint32_t process, const struct caller *caller);
struct connection *network_find(struct network *network, uint64_t id);

/* Takes a copy. False: the queue is full, nothing was taken. */
bool network_to_owner(struct network *network, struct connection *connection, const struct buffer *body);
bool network_to_client(struct network *network, struct connection *connection, const struct buffer *body);

/* Takes the first out of a queue: its data is the caller's to free. */
bool queue_pop(struct queue *queue, struct packet *packet);
void queue_clear(struct queue *queue);

/* Loses a random tail of each direction; what is left is still to be had. */
void network_cut(struct network *network, struct connection *connection, struct random *random);

/* The owner is no more: nothing that was on the way to it arrives, its end of every connection is gone. */
void network_owner_gone(struct network *network, struct random *random);

/* Frees connections that are down, empty, and of which the owner knows that. */
void network_tidy(struct network *network);

#endif
