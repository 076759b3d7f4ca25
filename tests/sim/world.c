/* SPDX-License-Identifier: MIT
 *
 * world.c - the steps of a run.
 */
#include "tests/sim/world.h"
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { CHAOS_LEAST = 200, CHAOS_MORE = 600, PEACE_MOST = 20000, STEP_MOST_NS = 200000 };

int64_t world_wall_us(const struct world *world)
{
	return world->wall_us + world->now_ns / 1000;
}

void world_say(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (!world->tracing)
		return;
	char *line = world->trace[world->trace_count++ % TRACE_LINES];
	int at = snprintf(line, TRACE_BYTES, "%5" PRIu64 " %9.3f ms  ", world->tally.steps,
			  (double)world->now_ns / (double)NS_PER_MS);
	va_start(arguments, format);
	vsnprintf(line + at, TRACE_BYTES - (size_t)at, format, arguments);
	va_end(arguments);
	if (world->trace_to != NULL)
		fprintf(world->trace_to, "%s\n", line);
}

void world_violated(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (world->failed)
		return;
	world->failed = true;
	va_start(arguments, format);
	vsnprintf(world->violation, sizeof world->violation, format, arguments);
	va_end(arguments);
	world_say(world, "VIOLATED: %.200s", world->violation);
}

void world_digest(struct world *world, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	uint64_t digest = world->digest, word;

	for (; size >= 8; size -= 8, at += 8) {
		memcpy(&word, at, 8);
		digest = (digest ^ word) * 0x9e3779b97f4a7c15;
		digest ^= digest >> 29;
	}
	for (; size > 0; size--, at++)
		digest = (digest ^ *at) * 0x100000001b3;
	world->digest = digest;
}

/* ---- what can happen in a step; false: it cannot, now ---- */

static struct client *some_client(struct world *world)
{
	return &world->clients.clients[random_below(&world->random, world->clients.count)];
}

/* The first alive from a random one on; NULL. */
static struct client *some_living(struct world *world)
{
	uint32_t from = random_below(&world->random, world->clients.count);

	for (uint32_t i = 0; i < world->clients.count; i++) {
		struct client *client = &world->clients.clients[(from + i) % world->clients.count];
		if (client->alive)
			return client;
	}
	return NULL;
}

static bool step_round(struct world *world)
{
	return world->owner.service != NULL && owner_round(world);
}

static bool step_receive(struct world *world)
{
	struct client *client = some_client(world);

	return client->alive && client_receive(world, client);
}

static bool step_submit(struct world *world)
{
	struct client *client = some_client(world);

	if (!client->alive || client->pending >= client->actors)
		return false;
	client_submit(world, client);
	if (random_chance(&world->random, 700))
		client_work(world, client);
	return true;
}

static bool step_hear(struct world *world)
{
	struct client *client = some_client(world);

	return client->alive && client_hear(world, client);
}

static bool step_connect(struct world *world)
{
	struct client *client = some_client(world);

	if (!client->alive || client->connection != 0 || world->owner.service == NULL)
		return false;
	client_connect(world, client);
	return true;
}

static bool step_cancel(struct world *world)
{
	struct client *client = some_client(world);

	if (!client->alive || client->pending == 0)
		return false;
	client_cancel(world, client);
	client_work(world, client);
	return true;
}

static bool step_watch(struct world *world)
{
	struct client *client = some_client(world);

	if (!client->alive)
		return false;
	if (random_chance(&world->random, 700))
		client_watch(world, client);
	else
		client_unwatch(world, client);
	client_work(world, client);
	return true;
}

static int64_t next_event(const struct world *world)
{
	int64_t next_ns = world->owner.service != NULL ? world->owner.next_ns : world->owner.back_ns;

	for (size_t i = 0; i < world->clients.count; i++) {
		const struct client *client = &world->clients.clients[i];
		if (client->alive && client_deadline(client) < next_ns)
			next_ns = client_deadline(client);
	}
	return next_ns;
}

/* Whatever is due is done. */
static void do_what_is_due(struct world *world)
{
	if (world->owner.service == NULL && world->now_ns >= world->owner.back_ns)
		owner_start(world);
	if (world->owner.service != NULL && world->now_ns >= world->owner.next_ns)
		owner_tend(world);
	for (size_t i = 0; i < world->clients.count; i++) {
		struct client *client = &world->clients.clients[i];
		if (client->alive && client_deadline(client) <= world->now_ns)
			client_work(world, client);
	}
}

/* Mostly little of it: what takes seconds must not hide what happens in between. */
static bool step_time(struct world *world)
{
	uint32_t kind = random_below(&world->random, 100);
	int64_t most_ns = world->now_ns + (kind < 70 ? 3 : kind < 95 ? 60 : 2500) * NS_PER_MS;
	int64_t next_ns = next_event(world);

	if (next_ns > most_ns)
		next_ns = most_ns;
	if (next_ns > world->now_ns)
		world->now_ns = next_ns;
	do_what_is_due(world);
	return true;
}

static bool step_cut(struct world *world)
{
	struct client *client = some_client(world);
	struct connection *connection = client->alive ? network_find(&world->network, client->connection) : NULL;

	if (connection == NULL)
		return false;
	world_say(world, "client %u: connection %" PRIu64 " is cut", client->process, connection->id);
	world->tally.cuts++;
	network_cut(&world->network, connection, &world->random);
	client_was_cut(world, client);
	/* Now and then the next one is there before anybody is told of the end of this one. */
	if (random_chance(&world->random, 300) && world->owner.service != NULL)
		client_connect(world, client);
	return true;
}

static bool step_slow(struct world *world)
{
	struct client *client = some_client(world);
	struct connection *connection = network_find(&world->network, client->connection);

	if (!client->alive || connection == NULL)
		return false;
	connection->slow = !connection->slow && random_chance(&world->random, 400);
	return true;
}

static bool step_client(struct world *world)
{
	struct client *client = some_client(world);

	if (!client->alive)
		client_start(world, client);
	else if (random_chance(&world->random, 300))
		client_leave(world, client);
	else if (random_chance(&world->random, 500))
		client_crash(world, client);
	return true;
}

static bool step_owner(struct world *world)
{
	if (world->owner.service == NULL)
		return false;
	if (!world->owner.leaving && random_chance(&world->random, 350))
		owner_leave(world);
	else
		owner_crash(world, "between rounds");
	return true;
}

static bool step_snapshot(struct world *world)
{
	if (world->owner.service == NULL || !world->owner.durable)
		return false;
	if (!storage_snapshot(world))
		owner_crash(world, "while its child writes a snapshot");
	return true;
}

static bool step_wall(struct world *world)
{
	world->wall_us += (int64_t)random_below(&world->random, 4000000) - 2000000;
	world_say(world, "the wall clock is set");
	return true;
}

/* ---- chaos ---- */

static const struct {
	uint32_t weight;
	bool (*step)(struct world *world);
} steps[] = {
	{ 230, step_round },  { 250, step_receive }, { 300, step_submit }, { 90, step_hear },  { 90, step_connect },
	{ 60, step_time },    { 14, step_cancel },   { 14, step_watch },   { 8, step_cut },    { 8, step_slow },
	{ 6, step_client },   { 4, step_owner },     { 10, step_snapshot }, { 1, step_wall },
};

static void chaos_step(struct world *world)
{
	enum { STEPS = sizeof steps / sizeof *steps, TRIES = 4 };
	uint32_t all = 0;
	bool done = false;

	for (size_t i = 0; i < STEPS; i++)
		all += steps[i].weight;
	for (int tries = 0; !done && tries < TRIES; tries++) {
		uint32_t at = random_below(&world->random, all);
		size_t i = 0;
		while (at >= steps[i].weight)
			at -= steps[i++].weight;
		done = steps[i].step(world);
	}
	world->now_ns += random_below(&world->random, STEP_MOST_NS);
	do_what_is_due(world);
	network_tidy(&world->network);
	world->tally.steps++;
}

/* ---- peace ---- */

static bool all_quiet(const struct world *world)
{
	const struct history *history = &world->history;

	for (size_t i = 0; i < history->operation_count; i++)
		if (!history->operations[i]->answered && !history->operations[i]->closed)
			return false;
	for (size_t i = 0; i < history->watching_count; i++)
		if (!history->watchings[i]->ended && !history->watchings[i]->begun)
			return false;
	return !world->owner.more && world->owner.service != NULL && !world->owner.leaving;
}

/* Whatever can move moves. False: nothing could. */
static bool peace_step(struct world *world)
{
	uint64_t before = world->network.carried, digest = world->digest;
	bool moved = false;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		world->network.connections[i].slow = false;
	for (size_t i = 0; i < world->clients.count; i++) {
		struct client *client = &world->clients.clients[i];
		if (!client->alive)
			continue;
		if (client->connection == 0 && world->owner.service != NULL) {
			client_connect(world, client);
			moved = true;
		}
		moved |= client_hear(world, client);
		while (client_receive(world, client))
			moved = true;
		client_work(world, client);
	}
	if (world->owner.service != NULL)
		owner_round(world);
	do_what_is_due(world);
	network_tidy(&world->network);
	world->now_ns += 50000;
	world->tally.steps++;
	return moved || before != world->network.carried || digest != world->digest || world->owner.more;
}

/* Who waits for a lock whose holder will not let go waits in vain. */
static void cancel_all(struct world *world)
{
	const struct history *history = &world->history;

	for (size_t i = 0; i < history->operation_count; i++) {
		struct operation *operation = history->operations[i];
		for (size_t k = 0; k < world->clients.count && !operation->answered && !operation->closed; k++) {
			struct client *client = &world->clients.clients[k];
			if (!client->alive || client->process != operation->process)
				continue;
			operation->cancelled = true;
			engine_cancel(&client->engine, operation->request);
		}
	}
}

/* `cancelled`: nobody waits in vain any more. */
static void peace(struct world *world, bool cancelled)
{

	world_say(world, "peace");
	for (int i = 0; i < PEACE_MOST && !world->failed; i++) {
		if (peace_step(world))
			continue;
		if (all_quiet(world))
			return;
		if (!cancelled)
			cancel_all(world);
		cancelled = true;
		step_time(world);
	}
	world_violated(world, "things do not come to rest");
}

/* The whole state is read by a client like any other, until nothing happens behind it any more. */
static void look_at_state(struct world *world)
{
	enum { LOOKS = 8 };
	struct client *client = some_living(world);
	const struct operation *operation = NULL;

	if (client == NULL) {
		client = &world->clients.clients[0];
		client_start(world, client);
	}
	for (int i = 0; i < LOOKS; i++) {
		operation = client_read_all(world, client);
		peace(world, true);
		if (world->failed || operation->outcome != SOLE_DONE ||
		    operation->revision == core_revision(service_core(world->owner.service)))
			break;
	}
	if (world->failed)
		return;
	if (operation->outcome != SOLE_DONE)
		world_violated(world, "the state cannot be read at the end: %s", code_text((unsigned)operation->code));
	else if (operation->revision != core_revision(service_core(world->owner.service)))
		world_violated(world, "the state changes without an end");
}

/* ---- the run ---- */

bool world_run(struct world *world, uint64_t seed)
{
	world->seed = seed;
	world->random.state = seed * 0x2545f4914f6cdd1d + 1;
	random_draw(&world->random);
	world->now_ns = NS_PER_S;
	world->wall_us = 1700000000000000;
	world->chaos = true;
	owner_init(world);
	storage_init(world);
	sim_clients_init(world);
	owner_start(world);
	int count = CHAOS_LEAST + (int)random_below(&world->random, CHAOS_MORE);
	for (int i = 0; i < count && !world->failed; i++)
		chaos_step(world);
	world->chaos = false;
	if (!world->failed)
		peace(world, false);
	if (!world->failed)
		look_at_state(world);
	if (!world->failed) {
		const char *problem = core_invariant(service_core(world->owner.service));
		if (problem != NULL)
			world_violated(world, "the behaviour's invariant does not hold: %s", problem);
	}
	if (!world->failed && world->owner.durable)
		storage_check(world);
	if (!world->failed)
		check_history(world);
	world->tally.messages = world->network.carried;
	world->tally.lost = world->network.lost;
	return !world->failed;
}

void world_clear(struct world *world)
{
	sim_clients_clear(world);
	storage_clear(world);
	owner_clear(world);
	network_clear(&world->network);
	history_clear(&world->history);
	free(world->trace);
	memset(world, 0, sizeof *world);
}
