/* SPDX-License-Identifier: MIT
 *
 * clients.c - a list, and an index with open addressing to it.
 */
#include "owner/service/clients.h"

#include <stdlib.h>
#include <string.h>

static size_t home_of(const struct clients *clients, uint64_t connection)
{
	return (size_t)((connection * 0x9e3779b97f4a7c15u) >> 32) & (clients->index_size - 1);
}

/* Where the connection stands in the index, or the empty place where it would. */
static size_t slot_of(const struct clients *clients, uint64_t connection)
{
	size_t slot = home_of(clients, connection);

	while (clients->index[slot] != 0 && clients->list[clients->index[slot] - 1].connection != connection)
		slot = (slot + 1) & (clients->index_size - 1);
	return slot;
}

void clients_clear(struct clients *clients)
{
	free(clients->list);
	free(clients->index);
	*clients = (struct clients){ 0 };
}

static bool grow(struct clients *clients)
{
	enum { FIRST_ROOM = 64 };

	if (clients->count < clients->room)
		return true;
	size_t room = clients->room ? clients->room * 2 : FIRST_ROOM;
	uint32_t *index = calloc(room * 2, sizeof *index);
	struct client *list = index != NULL ? realloc(clients->list, room * sizeof *list) : NULL;
	if (list == NULL) {
		free(index);
		return false;
	}
	free(clients->index);
	clients->list = list;
	clients->index = index;
	clients->room = room;
	clients->index_size = room * 2;
	for (size_t i = 0; i < clients->count; i++)
		index[slot_of(clients, list[i].connection)] = (uint32_t)(i + 1);
	return true;
}

struct client *clients_find(const struct clients *clients, uint64_t connection)
{
	if (clients->count == 0)
		return NULL;
	uint32_t place = clients->index[slot_of(clients, connection)];
	return place != 0 ? &clients->list[place - 1] : NULL;
}

struct client *clients_heard(struct clients *clients, uint64_t connection, const struct caller *caller, int64_t now_ns)
{
	struct client *client = clients_find(clients, connection);

	if (client == NULL) {
		if (!grow(clients))
			return NULL;
		client = &clients->list[clients->count++];
		*client = (struct client){ .connection = connection, .caller = *caller, .since_ns = now_ns };
		clients->index[slot_of(clients, connection)] = (uint32_t)clients->count;
	}
	client->heard_ns = now_ns;
	client->messages++;
	return client;
}

/* What stands behind an emptied place in the index, and would not be found any more, moves up. */
static void empty(struct clients *clients, size_t slot)
{
	size_t mask = clients->index_size - 1;

	clients->index[slot] = 0;
	for (size_t next = (slot + 1) & mask; clients->index[next] != 0; next = (next + 1) & mask) {
		size_t home = home_of(clients, clients->list[clients->index[next] - 1].connection);
		if (((next - home) & mask) < ((next - slot) & mask))
			continue;
		clients->index[slot] = clients->index[next];
		clients->index[next] = 0;
		slot = next;
	}
}

void clients_ended(struct clients *clients, uint64_t connection)
{
	struct client *client = clients_find(clients, connection);

	if (client == NULL)
		return;
	size_t slot = slot_of(clients, connection);
	struct client *last = &clients->list[clients->count - 1];
	if (client != last)
		clients->index[slot_of(clients, last->connection)] = (uint32_t)(client - clients->list) + 1;
	*client = *last;
	clients->count--;
	empty(clients, slot);
}

void client_set_name(struct client *client, const void *name, size_t size)
{
	size_t kept = size < CLIENT_NAME_MAX ? size : CLIENT_NAME_MAX;

	for (size_t i = 0; i < kept; i++) {
		unsigned char byte = ((const unsigned char *)name)[i];
		client->name[i] = byte > 0x20 && byte < 0x7f ? (char)byte : '?';
	}
	client->name[kept] = '\0';
}
