/* SPDX-License-Identifier: MIT
 *
 * clients.h - who is connected, and how much each asks for. For `sole top`; nothing else goes by it.
 *
 * Found by the connection's handle, which is the transport's. A client is here from its first message
 * to the end of its connection; those behind a broker are not.
 */
#ifndef SOLE_OWNER_CLIENTS_H
#define SOLE_OWNER_CLIENTS_H

#include "owner/core/operations.h"

enum { CLIENT_NAME_MAX = 31 };

struct client {
	uint64_t connection;
	struct caller caller;
	int64_t since_ns, heard_ns;
	uint64_t messages, requests;
	uint32_t sessions;              /* counted when somebody asks */
	char name[CLIENT_NAME_MAX + 1]; /* as its hello says, made printable */
};

struct clients {
	struct client *list; /* one behind the other, in no order */
	size_t count, room;
	uint32_t *index;     /* by hash: place in the list, from 1; a power of two, never more than half full */
	size_t index_size;
};

void clients_clear(struct clients *clients);

/* Makes one where there is none. NULL: no memory, and it is not counted. Valid until one is made or ends. */
struct client *clients_heard(struct clients *clients, uint64_t connection, const struct caller *caller, int64_t now_ns);

/* NULL: there is none. */
struct client *clients_find(const struct clients *clients, uint64_t connection);

void clients_ended(struct clients *clients, uint64_t connection);

void client_set_name(struct client *client, const void *name, size_t size);

#endif
