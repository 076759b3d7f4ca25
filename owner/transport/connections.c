/* SPDX-License-Identifier: MIT
 *
 * connections.c - one record for each descriptor that was ever a connection.
 *
 * A generation begins with each accept, and ends with it when the disconnect was
 * not told. As all generations before the present one have ended, which ends are
 * still to be told is one number in each record: no list of them can overflow.
 *
 * A message may be read after its connection has ended and another one has its
 * descriptor. What tells them apart is the routing id, which a connection keeps.
 */
#include "owner/transport/connections.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	ROOM_LEAST = 64,
	FILLING_LOOKS = 8,  /* for unread bytes, of one who may be sending */
};

struct connection {
	bool open, subscribed, cut;
	bool in_ended;        /* is in the list of those with ends to tell */
	uint32_t generation;  /* of the connection that is open, or was last */
	uint32_t ends_told;   /* up to this generation */
	struct routing_id id; /* of this generation; none before its first message */
	int64_t whole_ns;     /* when it last delivered a whole message, or was accepted */
	int descriptor;
	char origin[CONNECTION_TEXT_MAX], key[CONNECTION_TEXT_MAX]; /* or "" */
	struct connection *next_ended;
};

struct connections {
	struct connection **by_descriptor;
	size_t room;
	uint64_t open, most;
	struct connection *ended;
	struct counters *counters;
};

struct connections *connections_new(uint64_t most, struct counters *counters)
{
	struct connections *connections = calloc(1, sizeof *connections);

	if (connections == NULL)
		return NULL;
	connections->most = most;
	connections->counters = counters;
	return connections;
}

void connections_set_most(struct connections *connections, uint64_t most)
{
	connections->most = most;
}

void connections_destroy(struct connections **connections)
{
	if (*connections == NULL)
		return;
	for (size_t i = 0; i < (*connections)->room; i++)
		free((*connections)->by_descriptor[i]);
	free((*connections)->by_descriptor);
	free(*connections);
	*connections = NULL;
}

/* ---- records and handles ---- */

static struct connection *record(const struct connections *connections, int descriptor)
{
	if (descriptor < 0 || (size_t)descriptor >= connections->room)
		return NULL;
	return connections->by_descriptor[descriptor];
}

/* NULL when there is no memory for one. */
static struct connection *record_make(struct connections *connections, int descriptor)
{
	size_t index = (size_t)descriptor, room = connections->room ? connections->room : ROOM_LEAST;

	if (descriptor < 0)
		return NULL;
	while (room <= index)
		room *= 2;
	if (room > connections->room) {
		struct connection **grown = realloc(connections->by_descriptor, room * sizeof *grown);
		if (grown == NULL)
			return NULL;
		for (size_t i = connections->room; i < room; i++)
			grown[i] = NULL;
		connections->by_descriptor = grown;
		connections->room = room;
	}
	if (connections->by_descriptor[index] == NULL) {
		connections->by_descriptor[index] = calloc(1, sizeof(struct connection));
		if (connections->by_descriptor[index] != NULL)
			connections->by_descriptor[index]->descriptor = descriptor;
	}
	return connections->by_descriptor[index];
}

/* Generations wrap after 2^32 connections of one descriptor; one more keeps 0 for none even then. */
static uint64_t handle(const struct connection *connection, uint32_t generation)
{
	return ((uint64_t)generation << 32 | (uint32_t)connection->descriptor) + 1;
}

static int handle_descriptor(uint64_t handle)
{
	return (int)(uint32_t)(handle - 1);
}

/* The record when it is open and the handle stands for it. */
static struct connection *find(const struct connections *connections, uint64_t wanted)
{
	struct connection *connection = wanted != 0 ? record(connections, handle_descriptor(wanted)) : NULL;

	if (connection == NULL || !connection->open || handle(connection, connection->generation) != wanted)
		return NULL;
	return connection;
}

/* ---- beginnings and ends ---- */

static uint32_t last_ended(const struct connection *connection)
{
	return connection->open ? connection->generation - 1 : connection->generation;
}

static void note_end(struct connections *connections, struct connection *connection)
{
	if (connection->in_ended || connection->ends_told == last_ended(connection))
		return;
	connection->in_ended = true;
	connection->next_ended = connections->ended;
	connections->ended = connection;
}

static void begin_generation(struct connections *connections, struct connection *connection)
{
	connections->open += !connection->open;
	connection->open = true;
	connection->generation++;
	connection->subscribed = connection->cut = false;
	connection->id.size = 0;
	connection->key[0] = '\0';
	note_end(connections, connection);
}

/* Without memory for a record it could be neither counted nor cut. */
void connections_accepted(struct connections *connections, int descriptor, int64_t now_ns)
{
	struct connection *connection = record_make(connections, descriptor);

	connections->counters->connections_opened++;
	if (connection == NULL || connections->open >= connections->most) {
		connections->counters->connections_refused++;
		shutdown(descriptor, SHUT_RDWR);
	}
	if (connection == NULL)
		return;
	begin_generation(connections, connection);
	connection->origin[0] = '\0';
	connection->whole_ns = now_ns;
}

void connections_disconnected(struct connections *connections, int descriptor)
{
	struct connection *connection = record(connections, descriptor);

	if (connection == NULL || !connection->open)
		return;
	connections->open--;
	connection->open = connection->subscribed = false;
	note_end(connections, connection);
}

bool connections_ended(struct connections *connections, uint64_t *connection)
{
	struct connection *first = connections->ended;

	if (first == NULL)
		return false;
	*connection = handle(first, ++first->ends_told);
	if (first->ends_told == last_ended(first)) {
		first->in_ended = false;
		connections->ended = first->next_ended;
	}
	return true;
}

/* ---- messages ---- */

/* Whether libzmq made both ids, and the first before the second. It counts up, and may wrap. */
static bool made_before(const uint8_t *first, size_t first_size, const struct routing_id *second)
{
	uint32_t numbers[2] = { 0, 0 };

	if (first_size != 5 || second->size != 5 || first[0] != 0 || second->bytes[0] != 0)
		return false;
	for (int i = 1; i < 5; i++) {
		numbers[0] = numbers[0] << 8 | first[i];
		numbers[1] = numbers[1] << 8 | second->bytes[i];
	}
	return (int32_t)(numbers[0] - numbers[1]) < 0;
}

uint64_t connections_heard(struct connections *connections, int descriptor, const void *id, size_t id_size,
			   int64_t now_ns)
{
	struct connection *connection = record(connections, descriptor);

	if (connection == NULL || !connection->open || id_size == 0 || id_size > ROUTING_ID_MAX)
		return 0;
	if (!routing_id_is(&connection->id, id, id_size)) {
		/* The late message of a predecessor, now or at the first one: then this one's
		 * generation begins here. */
		if (connection->id.size != 0 && made_before(id, id_size, &connection->id))
			return 0;
		if (connection->id.size != 0)
			begin_generation(connections, connection);
		connection->id.size = (uint8_t)id_size;
		memcpy(connection->id.bytes, id, id_size);
	}
	connection->whole_ns = now_ns;
	return handle(connection, connection->generation);
}

void connections_set_origin(struct connections *connections, int descriptor, const char *origin)
{
	struct connection *connection = record(connections, descriptor);

	if (connection != NULL)
		snprintf(connection->origin, sizeof connection->origin, "%s", origin);
}

void connections_set_key(struct connections *connections, uint64_t connection, const char *key)
{
	struct connection *found = find(connections, connection);

	if (found != NULL && found->key[0] == '\0')
		snprintf(found->key, sizeof found->key, "%s", key);
}

void connections_subscribe(struct connections *connections, uint64_t connection, bool wanted)
{
	struct connection *found = find(connections, connection);

	if (found != NULL)
		found->subscribed = wanted;
}

/* ---- asking ---- */

const struct routing_id *connections_subscribed(const struct connections *connections, uint64_t connection)
{
	const struct connection *found = find(connections, connection);

	return found != NULL && found->subscribed ? &found->id : NULL;
}

uint64_t connections_next_subscribed(const struct connections *connections, uint64_t connection)
{
	size_t first = connection != 0 ? (size_t)handle_descriptor(connection) + 1 : 0;

	for (size_t i = first; i < connections->room; i++) {
		const struct connection *next = connections->by_descriptor[i];
		if (next != NULL && next->subscribed)
			return handle(next, next->generation);
	}
	return 0;
}

const char *connections_origin(const struct connections *connections, int descriptor)
{
	const struct connection *connection = record(connections, descriptor);

	return connection != NULL ? connection->origin : "";
}

int64_t connections_heard_ns(const struct connections *connections, int descriptor)
{
	const struct connection *connection = record(connections, descriptor);

	return connection != NULL ? connection->whole_ns : 0;
}

uint64_t connections_count(const struct connections *connections)
{
	return connections->open;
}

static unsigned cut_silent(struct connections *connections, int64_t since_ns, bool filling)
{
	unsigned cut = 0;

	for (size_t i = 0; i < connections->room; i++) {
		struct connection *connection = connections->by_descriptor[i];
		int unread = 0;
		if (connection == NULL || !connection->open || connection->cut)
			continue;
		if (connection->whole_ns > since_ns)
			continue;
		if (filling && (ioctl((int)i, FIONREAD, &unread) != 0 || unread == 0))
			continue;
		/* At worst the number is a newcomer's by now, which connects again. */
		shutdown((int)i, SHUT_RDWR);
		connection->cut = true;
		cut++;
	}
	connections->counters->connections_cut += cut;
	return cut;
}

unsigned connections_cut_silent(struct connections *connections, int64_t since_ns, bool filling)
{
	unsigned cut = cut_silent(connections, since_ns, filling);

	/* The I/O thread may just have emptied the socket of one that never stops sending. */
	for (int look = 1; filling && cut == 0 && look < FILLING_LOOKS; look++) {
		sched_yield();
		cut = cut_silent(connections, since_ns, true);
	}
	return cut;
}

/* ---- cutting by key ---- */

unsigned connections_cut_keys(struct connections *connections,
			      bool (*may_stay)(const void *context, const char *key), const void *context)
{
	unsigned cut = 0;

	for (size_t i = 0; i < connections->room; i++) {
		struct connection *connection = connections->by_descriptor[i];
		if (connection == NULL || !connection->open || connection->cut || may_stay(context, connection->key))
			continue;
		shutdown((int)i, SHUT_RDWR);
		connection->cut = true;
		cut++;
	}
	return cut;
}

void connections_cut(struct connections *connections, uint64_t connection)
{
	struct connection *found = find(connections, connection);

	if (found == NULL || found->cut)
		return;
	shutdown(found->descriptor, SHUT_RDWR);
	found->cut = true;
}
