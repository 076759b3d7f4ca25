/* SPDX-License-Identifier: MIT
 *
 * clients.h - the client processes of a run: each has the real engine, and actors that ask for things.
 *
 * What library.c does around an engine is done here in the same order, with the simulated network in place of a
 * socket and its monitor.
 */
#ifndef SOLE_TESTS_SIM_CLIENTS_H
#define SOLE_TESTS_SIM_CLIENTS_H

#include "clients/engine.h"
#include "owner/core/operations.h"
#include "tests/sim/history.h"

enum { CLIENTS_MAX = 6, NEWS_MAX = 8, WATCHES_OF_CLIENT = 2, LOCKS = 3 };

struct client {
	bool alive;
	uint32_t process; /* 1, 2, ...: never used again */
	struct caller caller;
	struct engine engine;
	uint64_t connection;    /* where what it sends goes now; 0: nowhere */
	uint64_t old_connection; /* one that was cut, of which it may still read */
	bool news[NEWS_MAX];    /* true: up; what its monitor has not told yet */
	size_t news_count;
	struct buffer outgoing;
	bool outgoing_waits;
	uint32_t actors, pending;
	uint32_t added;         /* how often it counted, without being refused */
	struct watching *watches[WATCHES_OF_CLIENT];
	/* What it last saw of each lock: its fencing token. */
	int64_t tokens[LOCKS];
};

struct clients {
	struct client clients[CLIENTS_MAX];
	uint32_t count;     /* places in use */
	uint32_t processes; /* so far */
	uint32_t long_values; /* of a thousand */
};

struct world;

void sim_clients_init(struct world *world);
void sim_clients_clear(struct world *world);

/* A new process in that place. */
void client_start(struct world *world, struct client *client);
/* Without a word. Its connection is cut. */
void client_crash(struct world *world, struct client *client);
/* With a goodbye, if there is a way. */
void client_leave(struct world *world, struct client *client);

void client_submit(struct world *world, struct client *client);
/* Asks for all there is: valid as long as the history. */
struct operation *client_read_all(struct world *world, struct client *client);
void client_cancel(struct world *world, struct client *client);
void client_watch(struct world *world, struct client *client);
void client_unwatch(struct world *world, struct client *client);

/* A connection is made. */
void client_connect(struct world *world, struct client *client);
/* Takes in one message, if there is one. */
bool client_receive(struct world *world, struct client *client);
/* Takes in what its monitor tells, if it does. */
bool client_hear(struct world *world, struct client *client);
/* What is due, and what is to be sent. */
void client_work(struct world *world, struct client *client);

/* Its connection was cut: its monitor will tell. */
void client_was_cut(struct world *world, struct client *client);

/* When it has something to do; INT64_MAX: never. */
int64_t client_deadline(const struct client *client);

#endif
