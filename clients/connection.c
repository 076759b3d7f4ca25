/* SPDX-License-Identifier: MIT
 *
 * connection.c - the way to one owner.
 */
#include "clients/connection.h"

#include "clients/sole.h"
#include "common/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>

#define LOOK_EVERY_NS (200 * NS_PER_MS)

static const char ipc_scheme[] = "ipc://", tcp_scheme[] = "tcp://";

static bool is_tcp(const char *endpoint)
{
	return strncmp(endpoint, tcp_scheme, sizeof tcp_scheme - 1) == 0;
}

static const char *path_of(const char *endpoint)
{
	return endpoint + sizeof ipc_scheme - 1;
}

/* Where the owner called `name` listens, or would if nothing was `found`. */
static int find(const char *name, char endpoint[CONNECTION_ENDPOINT_MAX], bool *found,
		char why[CONNECTION_WHY_MAX])
{
	char path[RUNDIR_PATH_MAX] = "", error[RUNDIR_ERROR_MAX] = "";
	const char *problem = rundir_name_problem(name);

	if (problem != NULL) {
		snprintf(why, CONNECTION_WHY_MAX, "'%.64s' is not the name of an owner: %s", name, problem);
		return SOLE_USAGE;
	}
	*found = rundir_find(name, ".sock", path, error) == 0;
	if (!*found && path[0] == '\0') {
		snprintf(why, CONNECTION_WHY_MAX, "%s", error);
		return SOLE_USAGE;
	}
	snprintf(endpoint, CONNECTION_ENDPOINT_MAX, "%s%s", ipc_scheme, path);
	return SOLE_OK;
}

static int check(const char *endpoint, char why[CONNECTION_WHY_MAX])
{
	const size_t scheme = sizeof ipc_scheme - 1; /* both have it */
	const size_t path_max = sizeof ((struct sockaddr_un *)0)->sun_path - 1;
	bool tcp = is_tcp(endpoint);

	if (!tcp && strncmp(endpoint, ipc_scheme, scheme) != 0) {
		snprintf(why, CONNECTION_WHY_MAX, "the endpoint '%.200s' must begin with ipc:// or tcp://",
			 endpoint);
		return SOLE_USAGE;
	}
	if (endpoint[scheme] == '\0' || strlen(endpoint) >= CONNECTION_ENDPOINT_MAX) {
		snprintf(why, CONNECTION_WHY_MAX, "the endpoint '%.200s' must name a %s", endpoint,
			 tcp ? "host and a port, as in tcp://host:5555"
			     : "socket, as in ipc:///run/sole/name.sock");
		return SOLE_USAGE;
	}
	if (!tcp && strlen(endpoint + scheme) > path_max) {
		snprintf(why, CONNECTION_WHY_MAX,
			 "the path of the endpoint '%.200s' has %zu bytes and the limit is %zu", endpoint,
			 strlen(endpoint + scheme), path_max);
		return SOLE_USAGE;
	}
	return SOLE_OK;
}

static int open_way(struct connection *connection, const struct sole_options *options, char why[CONNECTION_WHY_MAX])
{
	connection->remote = is_tcp(connection->endpoint);
	if (!connection->remote) {
		stream_open(&connection->stream, path_of(connection->endpoint), clock_monotonic_ns());
		return SOLE_OK;
	}
	return dealer_open(&connection->dealer, connection->endpoint, options, why, CONNECTION_WHY_MAX);
}

int connection_open(struct connection *connection, const char *endpoint, const struct sole_options *options,
		    char why[CONNECTION_WHY_MAX])
{
	const char *name = options->owner;
	bool found;
	int code;

	*connection = (struct connection){ .look_ns = INT64_MAX };
	if (endpoint != NULL) {
		code = check(endpoint, why);
		if (code == SOLE_OK)
			snprintf(connection->endpoint, sizeof connection->endpoint, "%s", endpoint);
	} else {
		code = find(name, connection->endpoint, &found, why);
		snprintf(connection->name, sizeof connection->name, "%.64s", name);
		connection->look_ns = INT64_MIN;
	}
	if (code == SOLE_OK)
		code = open_way(connection, options, why);
	connection->open = code == SOLE_OK;
	return code;
}

void connection_close(struct connection *connection)
{
	if (!connection->open)
		return;
	connection->open = false;
	if (connection->remote)
		dealer_close(&connection->dealer);
	else
		stream_close(&connection->stream);
}

void connection_abandon(struct connection *connection)
{
	if (connection->open && !connection->remote)
		stream_close(&connection->stream);
	connection->open = false;
}

/* ---- waiting ---- */

void connection_poll(const struct connection *connection, struct pollfd list[CONNECTION_POLLED])
{
	const struct stream *stream = &connection->stream;
	const struct dealer *dealer = &connection->dealer;

	list[0] = connection->remote ? (struct pollfd){ .fd = dealer->descriptor, .events = POLLIN }
				     : (struct pollfd){ .fd = stream->descriptor, .events = stream_poll_events(stream) };
	list[1] = (struct pollfd){ .fd = connection->remote ? dealer->monitor_descriptor : -1, .events = POLLIN };
}

unsigned connection_polled(const struct pollfd list[CONNECTION_POLLED])
{
	return (list[0].revents != 0 ? CONNECTION_INPUT : 0) | (list[1].revents != 0 ? CONNECTION_EVENT : 0);
}

static bool add(int epoll, int descriptor)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

bool connection_watch(struct connection *connection, int epoll)
{
	if (!connection->remote)
		return stream_watch(&connection->stream, epoll);
	return add(epoll, connection->dealer.descriptor) && add(epoll, connection->dealer.monitor_descriptor);
}

int64_t connection_deadline(const struct connection *connection)
{
	int64_t look_ns = connection_is_up(connection) || connection->name[0] == '\0' ? INT64_MAX : connection->look_ns;
	int64_t way_ns = connection->remote ? connection->dealer.again_ns : stream_deadline(&connection->stream);

	return look_ns < way_ns ? look_ns : way_ns;
}

/* Is the file of an owner known by name elsewhere by now? Only one that is not connected looks. */
static void look(struct connection *connection, int64_t now_ns)
{
	char endpoint[CONNECTION_ENDPOINT_MAX], why[CONNECTION_WHY_MAX];
	bool found;

	if (connection->name[0] == '\0' || connection_is_up(connection) || connection->look_ns > now_ns)
		return;
	connection->look_ns = now_ns + LOOK_EVERY_NS;
	if (find(connection->name, endpoint, &found, why) != SOLE_OK || !found ||
	    strcmp(endpoint, connection->endpoint) == 0)
		return;
	memcpy(connection->endpoint, endpoint, sizeof endpoint);
	stream_move(&connection->stream, path_of(endpoint), now_ns);
}

void connection_tend(struct connection *connection, int64_t now_ns)
{
	look(connection, now_ns);
	if (connection->remote)
		dealer_tend(&connection->dealer, connection->endpoint, now_ns);
	else
		stream_tend(&connection->stream, now_ns);
}
