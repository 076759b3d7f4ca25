/* SPDX-License-Identifier: MIT
 *
 * redis_actors.c - many actors in one process against Redis, each with one SET under way:
 * what sole-writer is for an owner.
 *
 * The actors share the connections evenly. With as many connections as actors each has its
 * own, as threads or coroutines with a pool would; with one connection all that is asked
 * meanwhile travels together, which Redis calls pipelining. One thread, epoll, hiredis for
 * the protocol, nothing allocated for a request but its reply.
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/options.h"

#include <hiredis/hiredis.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>

enum { ACTORS_MOST = 10000, EVENTS_MOST = 256, CONNECT_MS = 5000 };

struct settings {
	const char *socket;
	int64_t actors, connections, keys, width, duration_ns, count;
};

struct connection {
	redisContext *redis;
	int64_t under_way;
};

struct many {
	struct settings settings;
	struct connection *connections;
	int epoll;
	int64_t asked, answered; /* also what the next actor puts: all count on */
	bool over;
};

static void settings_read(struct settings *settings, int argc, char **argv)
{
	*settings = (struct settings){ .actors = 64, .connections = 64, .keys = 1000, .width = 1,
				       .duration_ns = NS_PER_S };
	const struct option_spec options[] = {
		{ "socket", 's', OPTION_TEXT, &settings->socket, 0, 0, "PATH", "the server's Unix socket" },
		{ "actors", 'a', OPTION_INTEGER, &settings->actors, 1, ACTORS_MOST, "N", "how many ask [64]" },
		{ "connections", 'c', OPTION_INTEGER, &settings->connections, 1, ACTORS_MOST, "N",
		  "that they share [64]" },
		{ "keys", 'k', OPTION_INTEGER, &settings->keys, 1, 1 << 30, "N", "how many keys there are [1000]" },
		{ "width", 'w', OPTION_INTEGER, &settings->width, 1, 64, "N",
		  "bytes that a key has at the least, of zeros in front [1]" },
		{ "duration", 'd', OPTION_DURATION, &settings->duration_ns, 0, 0, "TIME", "stop after it [1s]" },
		{ "count", 'n', OPTION_INTEGER, &settings->count, 0, 1 << 30, "N",
		  "stop after so many writes instead" },
	};
	const struct program program = {
		.name = "redis_actors", .usage = "--socket PATH [option ...]",
		.about = "Actors of one process that write to Redis in a loop, and how many writes were done.",
		.example = "redis_actors --socket /tmp/redis.sock --actors 64 --connections 1",
		.options = options, .option_count = sizeof options / sizeof options[0],
	};

	log_init("redis_actors");
	int operand = options_parse(&program, argc, argv, 0);
	if (operand < argc)
		fatal(EX_USAGE, "'%s' is not an option; see redis_actors --help", argv[operand]);
	if (settings->socket == NULL)
		fatal(EX_USAGE, "say where the server's socket is: --socket PATH");
	if (settings->connections > settings->actors)
		fatal(EX_USAGE, "there are more connections than actors: give at most %lld",
		      (long long)settings->actors);
}

static void ask(struct many *many, struct connection *connection)
{
	int64_t i = many->asked++;

	char key[80];

	snprintf(key, sizeof key, "%0*lld", (int)many->settings.width, (long long)(i % many->settings.keys));
	if (redisAppendCommand(connection->redis, "SET %s %lld", key, (long long)i) != REDIS_OK)
		fatal(EX_OSERR, "cannot ask Redis: %s", connection->redis->errstr);
	connection->under_way++;
}

/* What is asked is small beside a socket's buffer, so that a write never has to wait. */
static void flush(struct connection *connection)
{
	int done = 0;

	while (!done)
		if (redisBufferWrite(connection->redis, &done) != REDIS_OK)
			fatal(EX_UNAVAILABLE, "Redis is gone: %s", connection->redis->errstr);
}

static void connect_all(struct many *many)
{
	const struct settings *settings = &many->settings;

	many->epoll = epoll_create1(EPOLL_CLOEXEC);
	many->connections = calloc((size_t)settings->connections, sizeof *many->connections);
	if (many->epoll < 0 || many->connections == NULL)
		fatal(EX_OSERR, "cannot make %lld connections: %s", (long long)settings->connections, strerror(errno));
	for (int64_t i = 0; i < settings->connections; i++) {
		struct connection *connection = &many->connections[i];
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
		connection->redis = redisConnectUnix(settings->socket);
		if (connection->redis == NULL || connection->redis->err != 0)
			fatal(EX_UNAVAILABLE, "cannot connect to Redis at %s: %s", settings->socket,
			      connection->redis != NULL ? connection->redis->errstr : "no memory");
		if (epoll_ctl(many->epoll, EPOLL_CTL_ADD, connection->redis->fd, &event) != 0)
			fatal(EX_OSERR, "epoll_ctl: %s", strerror(errno));
	}
}

/* Takes the answers that have come, and lets their actors ask again. */
static void take(struct many *many, struct connection *connection)
{
	void *reply;

	if (redisBufferRead(connection->redis) != REDIS_OK)
		fatal(EX_UNAVAILABLE, "Redis is gone: %s", connection->redis->errstr);
	for (;;) {
		if (redisGetReplyFromReader(connection->redis, &reply) != REDIS_OK)
			fatal(EX_UNAVAILABLE, "Redis answered nonsense: %s", connection->redis->errstr);
		if (reply == NULL)
			break;
		if (((redisReply *)reply)->type != REDIS_REPLY_STATUS)
			fatal(EX_UNAVAILABLE, "Redis refused: %s", ((redisReply *)reply)->str);
		freeReplyObject(reply);
		many->answered++;
		connection->under_way--;
		if (!many->over && (many->settings.count == 0 || many->asked < many->settings.count))
			ask(many, connection);
	}
	flush(connection);
}

static void run(struct many *many)
{
	const struct settings *settings = &many->settings;
	struct epoll_event events[EVENTS_MOST];
	int64_t end_ns = settings->count > 0 ? INT64_MAX : clock_monotonic_ns() + settings->duration_ns;

	for (int64_t i = 0; i < settings->actors; i++)
		ask(many, &many->connections[i % settings->connections]);
	for (int64_t i = 0; i < settings->connections; i++)
		flush(&many->connections[i]);
	while (many->answered < many->asked) {
		int count = epoll_wait(many->epoll, events, EVENTS_MOST, CONNECT_MS);
		if (count == 0)
			fatal(EX_UNAVAILABLE, "Redis does not answer");
		many->over = many->over || clock_monotonic_ns() >= end_ns;
		for (int i = 0; i < count; i++)
			take(many, events[i].data.ptr);
	}
}

int main(int argc, char **argv)
{
	struct many many = { .asked = 0 };

	settings_read(&many.settings, argc, argv);
	connect_all(&many);
	run(&many);
	for (int64_t i = 0; i < many.settings.connections; i++)
		redisFree(many.connections[i].redis);
	free(many.connections);
	printf("writes: %lld\n", (long long)many.answered);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
