/* SPDX-License-Identifier: MIT
 *
 * network.c - connections and the messages on them.
 */
#include "tests/sim/network.h"

#include <stdlib.h>
#include <string.h>

bool queue_pop(struct queue *queue, struct packet *packet)
{
	if (queue->count == 0)
		return false;
	*packet = queue->packets[queue->head];
	queue->head = (queue->head + 1) % QUEUE_MAX;
	queue->count--;
	return true;
}

static bool push(struct queue *queue, const struct buffer *body)
{
	if (queue->count == QUEUE_MAX)
		return false;
	struct packet packet = { malloc(body->size > 0 ? body->size : 1), body->size };
	if (packet.data == NULL)
		return false;
	memcpy(packet.data, body->data, body->size);
	queue->packets[(queue->head + queue->count++) % QUEUE_MAX] = packet;
	return true;
}

/* The last ones go until `count` are left. */
static uint32_t shorten(struct queue *queue, uint32_t count)
{
	uint32_t lost = 0;

	for (; queue->count > count; lost++) {
		queue->count--;
		free(queue->packets[(queue->head + queue->count) % QUEUE_MAX].data);
	}
	return lost;
}

void queue_clear(struct queue *queue)
{
	shorten(queue, 0);
}

void network_clear(struct network *network)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		queue_clear(&network->connections[i].to_owner);
		queue_clear(&network->connections[i].to_client);
	}
	memset(network, 0, sizeof *network);
}

struct connection *network_connect(struct network *network, uint32_t process, const struct caller *caller)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = &network->connections[i];
		if (connection->id != 0)
			continue;
		connection->id = ++network->last_id;
		connection->process = process;
		connection->caller = *caller;
		connection->up = true;
		connection->end_told = connection->subscribed = connection->slow = false;
		return connection;
	}
	return NULL;
}

struct connection *network_find(struct network *network, uint64_t id)
{
	for (size_t i = 0; id != 0 && i < CONNECTIONS_MAX; i++)
		if (network->connections[i].id == id)
			return &network->connections[i];
	return NULL;
}

bool network_to_owner(struct network *network, struct connection *connection, const struct buffer *body)
{
	bool taken = push(&connection->to_owner, body);

	network->carried += taken;
	return taken;
}

bool network_to_client(struct network *network, struct connection *connection, const struct buffer *body)
{
	bool taken = push(&connection->to_client, body);

	network->carried += taken;
	return taken;
}

void network_cut(struct network *network, struct connection *connection, struct random *random)
{
	connection->up = connection->subscribed = connection->slow = false;
	network->lost += shorten(&connection->to_owner, random_below(random, connection->to_owner.count + 1));
	network->lost += shorten(&connection->to_client, random_below(random, connection->to_client.count + 1));
}

void network_owner_gone(struct network *network, struct random *random)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = &network->connections[i];
		if (connection->id == 0)
			continue;
		network_cut(network, connection, random);
		network->lost += shorten(&connection->to_owner, 0);
		connection->end_told = true;
	}
}

void network_tidy(struct network *network)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = &network->connections[i];
		if (connection->id != 0 && !connection->up && connection->end_told && connection->to_owner.count == 0 &&
		    connection->to_client.count == 0)
			connection->id = 0;
	}
}
