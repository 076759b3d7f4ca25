/* SPDX-License-Identifier: MIT
 *
 * redis_clients.c - the seed's clients as processes, each with its own hiredis
 * connection to a Redis server on a Unix socket.
 *
 * Plain GET and SET, one at a time, as a program that shares state through
 * Redis would write them. The server is somebody else's to start and stop.
 */
#include "tests/bench/crew.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

static void *redis_open(const char *socket)
{
	redisContext *context = redisConnectUnix(socket);

	if (context == NULL || context->err != 0) {
		crew_error("cannot connect to Redis at %s: %s", socket,
			  context != NULL ? context->errstr : "no memory");
		if (context != NULL)
			redisFree(context);
		return NULL;
	}
	return context;
}

/* Logs what is wrong with `reply` and frees it. */
static int redis_failed(const redisContext *context, redisReply *reply)
{
	if (reply == NULL)
		crew_error("Redis is gone: %s", context->errstr);
	else if (reply->type == REDIS_REPLY_ERROR)
		crew_error("Redis refused: %s", reply->str);
	else
		crew_error("Redis answered with a reply of type %d", reply->type);
	freeReplyObject(reply);
	return -1;
}

static int redis_get(void *connection, int64_t key, int64_t *value)
{
	redisReply *reply = redisCommand(connection, "GET %lld", (long long)key);

	if (reply == NULL || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL))
		return redis_failed(connection, reply);
	int found = reply->type == REDIS_REPLY_STRING;
	if (found)
		*value = strtoll(reply->str, NULL, 10);
	freeReplyObject(reply);
	return found;
}

static int redis_set(void *connection, int64_t key, int64_t value)
{
	redisReply *reply = redisCommand(connection, "SET %lld %lld", (long long)key, (long long)value);

	if (reply == NULL || reply->type != REDIS_REPLY_STATUS)
		return redis_failed(connection, reply);
	freeReplyObject(reply);
	return 0;
}

static void redis_close(void *connection)
{
	redisFree(connection);
}

int main(int argc, char **argv)
{
	static const struct crew_link link = { redis_open, redis_get, redis_set, redis_close, NULL };
	struct crew crew;

	crew_parse(&crew, "redis_clients", "Runs the seed's clients against Redis and prints their totals.",
		   argc, argv);
	return crew_run(&crew, &link);
}
