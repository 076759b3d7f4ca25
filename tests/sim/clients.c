/* SPDX-License-Identifier: MIT
 *
 * clients.c - client processes: what their actors ask for, and the shell around their engines.
 */
#include "tests/sim/clients.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The engine asks for randomness without saying who it is; one run at a time goes on in a process. */
static struct world *running;

static void draw_bytes(void *bytes, size_t size)
{
	uint8_t *at = bytes;

	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)random_draw(&running->random);
}

static struct client *client_of(struct world *world, uint32_t process)
{
	for (size_t i = 0; i < world->clients.count; i++)
		if (world->clients.clients[i].alive && world->clients.clients[i].process == process)
			return &world->clients.clients[i];
	return NULL;
}

/* ---- what is heard ---- */

/* Revisions that somebody was told of: whatever is begun from now on is not older. */
static void note_heard(struct world *world, uint64_t history, uint64_t revision)
{
	struct era *era = history_find_era(&world->history, history);

	if (era == NULL)
		world_violated(world, "a client was told of history %" PRIx64 ", which no owner has", history);
	else if (revision > era->heard)
		era->heard = revision;
}

static void note_floor(struct world *world, uint64_t *history, uint64_t *revision)
{
	const struct history *seen = &world->history;

	*history = *revision = 0;
	for (size_t i = seen->era_count; i-- > 0 && *history == 0;)
		if (seen->eras[i].heard > 0) {
			*history = seen->eras[i].history;
			*revision = seen->eras[i].heard;
		}
}

/* Lists as on the wire. */
static void keep_results(struct operation *operation, const struct sole_reply *reply)
{
	buffer_reset(&operation->results);
	for (size_t i = 0; i < reply->result_count; i++) {
		const struct sole_list *list = &reply->results[i];
		buffer_u8(&operation->results, (uint8_t)list->count);
		for (size_t k = 0; k < list->count; k++) {
			const struct sole_value *from = &list->values[k];
			struct value value = { .type = (enum value_type)from->type, .size = from->size };
			if (from->type == SOLE_INTEGER)
				value = value_integer(from->integer);
			else if (from->type != SOLE_NONE)
				value.bytes = from->bytes;
			wire_write_value(&operation->results, &value);
		}
	}
}

/* What its actor learns for what it does next. */
static void learn(struct client *client, const struct operation *operation, const struct sole_reply *reply)
{
	const struct step *step = &operation->steps[0];

	if (reply->code == SOLE_OK && operation->step_count == 1 && reply->result_count == 1 &&
	    (step->number == SOLE_TABLE_LOCK || step->number == SOLE_TABLE_TRY_LOCK))
		client->tokens[step->arguments[0].text[1] - '0'] = reply->results[0].values[0].integer;
	if (step->number == SOLE_TABLE_ADD && operation->step_count == 1 && step->arguments[0].text[0] == 'c')
		client->added += reply->outcome == SOLE_DONE;
}

static void operation_answered(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct operation *operation = context;
	struct world *world = running;
	struct client *client = client_of(world, operation->process);

	(void)handle;
	if (operation->answered) {
		world_violated(world, "operation %u was answered twice", operation->id);
		return;
	}
	operation->answered = true;
	operation->answered_ns = world->now_ns;
	operation->outcome = reply->outcome;
	operation->code = reply->code;
	operation->failed = reply->failed_operation;
	operation->revision = reply->revision;
	operation->history = reply->history;
	if (reply->sequence != 0) {
		operation->session = reply->session;
		operation->sequence = reply->sequence;
	}
	keep_results(operation, reply);
	if (client != NULL) {
		client->pending--;
		learn(client, operation, reply);
	}
	if (reply->revision != 0)
		note_heard(world, reply->history, reply->revision);
	world->tally.done += reply->outcome == SOLE_DONE;
	world->tally.refused += reply->outcome == SOLE_REFUSED;
	world->tally.unknown += reply->outcome == SOLE_UNKNOWN;
	world_digest(world, &operation->id, sizeof operation->id);
	world_digest(world, operation->results.data, operation->results.size);
	world_say(world, "client %u: operation %u is answered '%s' at revision %" PRIu64, operation->process,
		  operation->id, code_name((unsigned)reply->code), reply->revision);
}

static void watch_told(struct sole *handle, const struct sole_event *event, void *context)
{
	struct watching *watching = context;
	struct world *world = running;
	struct heard_event heard = { .revision = event->revision, .index = event->index };

	(void)handle;
	if (watching->ended) {
		world_violated(world, "a watch was told something after its end");
		return;
	}
	if (event->code != SOLE_OK) {
		watching->ended = true;
		watching->end_code = event->code;
		watching->end_revision = event->revision;
		world_say(world, "client %u: its watch ends: %s, start at %" PRIu64, watching->process,
			  code_name((unsigned)event->code), event->revision);
		return;
	}
	note_heard(world, event->history, event->revision);
	if (event->kind.type == SOLE_NONE) {
		watching->begun = true;
		watching->history = event->history;
		if (watching->from == 0)
			watching->from = event->revision + 1;
		return;
	}
	if (!datum_read(&event->kind, &heard.kind) || !datum_read(&event->key, &heard.key) ||
	    !datum_read(&event->value, &heard.value))
		world_violated(world, "an event of values that nobody wrote, at revision %" PRIu64, event->revision);
	history_event(watching, &heard);
	world->tally.events++;
	world_digest(world, &heard, sizeof heard);
}

/* ---- what is asked ---- */

static struct step *step_add(struct operation *operation, uint16_t number, size_t count, struct datum first,
			     struct datum second, struct datum third)
{
	struct step *step = &operation->steps[operation->step_count++];

	*step = (struct step){ .number = number, .count = (uint8_t)count, .arguments = { first, second, third } };
	return step;
}

static void step_on(struct operation *operation, uint16_t number, struct datum key)
{
	step_add(operation, number, 1, key, datum_none(), datum_none());
}

static void step_with(struct operation *operation, uint16_t number, struct datum key, struct datum value)
{
	step_add(operation, number, 2, key, value, datum_none());
}

static struct datum some_key(struct random *random)
{
	return datum_text("k%u", random_below(random, 8));
}

static struct datum account(struct random *random)
{
	return datum_text("account/%u", random_below(random, 4));
}

/* Text that nobody else writes, now and then a long one. */
static struct datum new_value(struct random *random, const struct operation *operation)
{
	struct datum value = datum_text("v%u", operation->id);

	if (random_chance(random, running->clients.long_values))
		value.pad = (uint16_t)random_below(random, 1800);
	return random_chance(random, 200) ? datum_integer((int64_t)operation->id) : value;
}

/* A guess at what a key holds: sometimes right. */
static struct datum a_guess(struct random *random, const struct operation *operation)
{
	uint32_t id = operation->id > 8 ? operation->id - 1 - random_below(random, 8) : 1;

	return random_chance(random, 400) ? datum_none() : datum_text("v%u", id);
}

static void transfer(struct random *random, struct operation *operation)
{
	int64_t amount = 1 + random_below(random, 100);

	step_with(operation, SOLE_TABLE_ADD, account(random), datum_integer(-amount));
	step_with(operation, SOLE_TABLE_ADD, account(random), datum_integer(amount));
}

/* Either all of a transfer, or another one. */
static void conditional_transfer(struct random *random, struct operation *operation)
{
	operation->otherwise = true;
	if (random_chance(random, 500))
		transfer(random, operation);
	step_with(operation, SOLE_TABLE_CHECK, some_key(random), a_guess(random, operation));
	operation->steps[operation->step_count++] = (struct step){ .number = SOLE_OPERATION_OTHERWISE };
	transfer(random, operation);
}

/* One operation by itself. */
static void single(struct random *random, struct operation *operation)
{
	struct datum key = some_key(random);

	switch (random_below(random, 12)) {
	case 0:
		step_with(operation, SOLE_TABLE_PUT, key, new_value(random, operation));
		return;
	case 1:
		step_on(operation, SOLE_TABLE_DELETE, key);
		return;
	case 2:
		step_add(operation, SOLE_TABLE_CAS, 3, key, a_guess(random, operation), new_value(random, operation));
		return;
	case 3:
		step_with(operation, SOLE_TABLE_INSERT, key, new_value(random, operation));
		return;
	case 4:
		step_with(operation, SOLE_TABLE_REPLACE, key, new_value(random, operation));
		return;
	case 5:
		step_add(operation, SOLE_TABLE_CAS_REVISION, 3, key, datum_integer(random_below(random, 60)),
			 random_chance(random, 300) ? datum_none() : new_value(random, operation));
		return;
	case 6:
		step_add(operation, SOLE_TABLE_PUT_FOR, 3, datum_text("due/%u", random_below(random, 4)),
			 new_value(random, operation), datum_integer(1 + random_below(random, 400)));
		return;
	case 7:
		step_with(operation, SOLE_TABLE_BIND, datum_text("own/%u.%u", operation->process, random_below(random, 2)),
			  new_value(random, operation));
		return;
	case 8:
	case 9:
		transfer(random, operation);
		return;
	default:
		step_with(operation, SOLE_TABLE_ADD, datum_text("count/%u", operation->process), datum_integer(1));
		return;
	}
}

static void locking(struct random *random, const struct client *client, struct operation *operation)
{
	uint32_t which = random_below(random, LOCKS);
	struct datum name = datum_text("l%u", which);

	switch (random_below(random, 5)) {
	case 0:
		step_on(operation, SOLE_TABLE_TRY_LOCK, name);
		return;
	case 1:
		step_with(operation, SOLE_TABLE_CHECK_LOCK, name, datum_integer(client->tokens[which]));
		step_with(operation, SOLE_TABLE_PUT, datum_text("guarded/%u", which), new_value(random, operation));
		return;
	case 2:
		step_on(operation, SOLE_TABLE_LOCK, name);
		return;
	default:
		step_on(operation, SOLE_TABLE_UNLOCK, name);
		return;
	}
}

static void asking(struct random *random, struct operation *operation)
{
	operation->query = true;
	switch (random_below(random, 7)) {
	case 0:
	case 1:
		step_on(operation, SOLE_TABLE_GET, some_key(random));
		return;
	case 2:
		step_on(operation, SOLE_TABLE_REVISION, some_key(random));
		step_on(operation, SOLE_TABLE_HOLDER, datum_text("l%u", random_below(random, LOCKS)));
		return;
	case 3:
		operation->steps[operation->step_count++] = (struct step){ .number = SOLE_TABLE_COUNT };
		return;
	case 4:
		step_on(operation, SOLE_TABLE_GET, datum_text("count/%u", operation->process));
		return;
	default:
		step_add(operation, SOLE_TABLE_SCAN, 3, datum_text("%s", random_chance(random, 500) ? "account/" : "k"),
			 datum_none(), datum_integer(0));
		return;
	}
}

/* Several in one, where an operation in the middle may undo the others. */
static void transaction(struct random *random, struct operation *operation)
{
	transfer(random, operation);
	single(random, operation);
	if (random_chance(random, 300))
		step_with(operation, SOLE_TABLE_CHECK, some_key(random), a_guess(random, operation));
}

/* Segments of a journal fill soon. */
static void fill(struct random *random, struct operation *operation)
{
	for (int i = 0; i < 2; i++) {
		struct datum value = datum_text("v%u", operation->id);
		value.pad = (uint16_t)random_below(random, 1900);
		step_with(operation, SOLE_TABLE_PUT, datum_text("long/%u", random_below(random, 4)), value);
	}
}

static int64_t some_deadline(struct world *world)
{
	uint32_t kind = random_below(&world->random, 10);

	if (kind < 3)
		return INT64_MAX;
	if (kind < 5)
		return world->now_ns + (int64_t)random_below(&world->random, 20) * NS_PER_MS;
	return world->now_ns + (500 + (int64_t)random_below(&world->random, 5000)) * NS_PER_MS;
}

static int submit(struct client *client, struct operation *operation, int64_t now_ns)
{
	struct sole_operation list[STEPS_MAX];
	struct sole_value values[STEPS_MAX][ARGUMENTS_MAX];
	static uint8_t space[STEPS_MAX][ARGUMENTS_MAX][DATUM_BYTES];

	for (size_t i = 0; i < operation->step_count; i++) {
		const struct step *step = &operation->steps[i];
		list[i] = (struct sole_operation){ step->number, step->count, values[i] };
		for (size_t k = 0; k < step->count; k++)
			values[i][k] = datum_sole(&step->arguments[k], space[i][k]);
	}
	return engine_submit(&client->engine, list, operation->step_count,
			     (operation->query ? SOLE_QUERY : 0) | (operation->otherwise ? SOLE_OTHERWISE : 0) | SOLE_TABLE,
			     now_ns, operation->deadline_ns, operation_answered, operation, &operation->request);
}

static struct operation *begin(struct world *world, const struct client *client, int64_t deadline_ns)
{
	struct operation *operation = history_operation(&world->history);

	operation->process = client->process;
	operation->begun_ns = world->now_ns;
	operation->deadline_ns = deadline_ns;
	note_floor(world, &operation->floor_era, &operation->floor_revision);
	return operation;
}

static void finish(struct world *world, struct client *client, struct operation *operation)
{
	char text[160];
	int code = submit(client, operation, world->now_ns);

	client->pending++;
	world->tally.operations++;
	if (code != SOLE_OK)
		world_violated(world, "operation %u was not taken: %s", operation->id, code_text((unsigned)code));
	if (world->tracing) {
		operation_print(operation, text, sizeof text);
		world_say(world, "client %u: operation %u: %s", client->process, operation->id, text);
	}
}

void client_submit(struct world *world, struct client *client)
{
	struct random *random = &world->random;
	struct operation *operation = begin(world, client, some_deadline(world));

	uint32_t kind = random_below(random, 10);
	if (kind < 3)
		asking(random, operation);
	else if (kind < 5)
		locking(random, client, operation);
	else if (kind < 6)
		conditional_transfer(random, operation);
	else if (kind < 7)
		transaction(random, operation);
	else
		single(random, operation);
	if (kind >= 6 && world->clients.long_values > 500)
		fill(random, operation);
	finish(world, client, operation);
}

struct operation *client_read_all(struct world *world, struct client *client)
{
	struct operation *operation = begin(world, client, INT64_MAX);

	operation->query = true;
	step_add(operation, SOLE_TABLE_SCAN, 3, datum_text("%s", ""), datum_none(), datum_integer(0));
	for (unsigned i = 0; i < LOCKS; i++)
		step_on(operation, SOLE_TABLE_HOLDER, datum_text("l%u", i));
	finish(world, client, operation);
	client_work(world, client);
	return operation;
}

void client_cancel(struct world *world, struct client *client)
{
	const struct history *history = &world->history;
	size_t from = history->operation_count > 12 ? history->operation_count - 12 : 0;

	for (size_t i = from; i < history->operation_count; i++) {
		struct operation *operation = history->operations[i];
		if (operation->process != client->process || operation->answered || random_chance(&world->random, 500))
			continue;
		operation->cancelled = true;
		engine_cancel(&client->engine, operation->request);
		world_say(world, "client %u: withdraws operation %u", client->process, operation->id);
		return;
	}
}

void client_watch(struct world *world, struct client *client)
{
	static const char *const prefixes[] = { "", "k", "account/", "l", "count/" };
	uint32_t place = random_below(&world->random, WATCHES_OF_CLIENT);
	struct watching *watching = client->watches[place];
	uint8_t space[DATUM_BYTES];
	uint64_t history, heard;

	if (watching != NULL && !watching->ended)
		return;
	watching = client->watches[place] = history_watching(&world->history);
	watching->process = client->process;
	watching->prefix = datum_text("%s", prefixes[random_below(&world->random, 5)]);
	note_floor(world, &history, &heard);
	if (heard > 0 && random_chance(&world->random, 600))
		watching->from = heard + 1 - random_below(&world->random, heard < 30 ? (uint32_t)heard + 1 : 30);
	watching->end_revision = heard; /* until it ends: it begins no earlier than this */
	watching->history = history;
	engine_watch(&client->engine, datum_sole(&watching->prefix, space), history, watching->from, 0, watch_told, watching,
		     &watching->id);
	world_say(world, "client %u: watches '%s' from %" PRIu64 " on", client->process, watching->prefix.text,
		  watching->from);
}

void client_unwatch(struct world *world, struct client *client)
{
	struct watching *watching = client->watches[random_below(&world->random, WATCHES_OF_CLIENT)];

	if (watching == NULL || watching->ended)
		return;
	watching->ended = true;
	engine_unwatch(&client->engine, watching->id);
	world_say(world, "client %u: does not watch '%s' any more", client->process, watching->prefix.text);
}

/* ---- the shell around the engine ---- */

static void news(struct world *world, struct client *client, bool up)
{
	if (client->news_count < NEWS_MAX)
		client->news[client->news_count++] = up;
	else
		world_violated(world, "client %u hears of no end of connections", client->process);
}

void client_connect(struct world *world, struct client *client)
{
	struct connection *connection;

	if (client->news_count + 2 > NEWS_MAX) /* there must be room for its end as well */
		return;
	connection = network_connect(&world->network, client->process, &client->caller);
	if (connection == NULL)
		return;
	client->connection = connection->id;
	news(world, client, true);
	world_say(world, "client %u: connection %" PRIu64, client->process, connection->id);
}

void client_was_cut(struct world *world, struct client *client)
{
	struct connection *old = network_find(&world->network, client->old_connection);

	if (old != NULL)
		queue_clear(&old->to_client);
	client->old_connection = client->connection;
	client->connection = 0;
	news(world, client, false);
}

/* Which of what went out is which command. */
static void note_sent(struct world *world, const struct client *client)
{
	const struct request_queue *queues[] = { &client->engine.under_way, &client->engine.parked };

	for (size_t i = 0; i < 2; i++)
		for (const struct request *request = queues[i]->head; request != NULL; request = request->next) {
			struct operation *operation = request->context;
			if (request->kind != ITEM_RUN || request->sequence == 0 ||
			    (operation->session == client->engine.session && operation->sequence == request->sequence))
				continue;
			operation->session = client->engine.session;
			operation->sequence = request->sequence;
			history_sent(&world->history, operation->session, operation->sequence, operation);
		}
}

/* False: there is no way out at the moment. */
static bool send(struct world *world, struct client *client, const struct buffer *body)
{
	struct connection *connection = network_find(&world->network, client->connection);

	if (connection == NULL) /* its pipe is gone, and this with it, or libzmq knows already */
		return random_chance(&world->random, 500);
	world_digest(world, body->data, body->size);
	return network_to_owner(&world->network, connection, body);
}

static void flush(struct world *world, struct client *client)
{
	for (;;) {
		if (!client->outgoing_waits &&
		    !engine_next_message(&client->engine, world->now_ns, &client->outgoing))
			return;
		note_sent(world, client);
		client->outgoing_waits = !send(world, client, &client->outgoing);
		if (client->outgoing_waits)
			return;
		world_say(world, "client %u: sends message %" PRIu64, client->process, client->engine.tag);
	}
}

static bool receive_one(struct world *world, struct client *client)
{
	struct connection *old = network_find(&world->network, client->old_connection);
	struct connection *connection = network_find(&world->network, client->connection);
	struct packet packet;

	if ((old == NULL || !queue_pop(&old->to_client, &packet)) &&
	    (connection == NULL || connection->slow || !queue_pop(&connection->to_client, &packet)))
		return false;
	engine_receive(&client->engine, packet.data, packet.size, world->now_ns);
	world_say(world, "client %u: receives %zu bytes", client->process, packet.size);
	free(packet.data);
	return true;
}

bool client_receive(struct world *world, struct client *client)
{
	if (!receive_one(world, client))
		return false;
	client_work(world, client);
	return true;
}

bool client_hear(struct world *world, struct client *client)
{
	if (client->news_count == 0)
		return false;
	/* Answers that came over the old connection are taken in before its end is. */
	while (receive_one(world, client))
		;
	for (size_t i = 0; i < client->news_count; i++) {
		if (client->outgoing_waits)
			engine_unsent(&client->engine);
		client->outgoing_waits = false;
		world_say(world, "client %u: hears that its connection is %s", client->process,
			  client->news[i] ? "up" : "down");
		if (client->news[i])
			engine_connected(&client->engine, world->now_ns);
		else
			engine_disconnected(&client->engine);
	}
	client->news_count = 0;
	client_work(world, client);
	return true;
}

void client_work(struct world *world, struct client *client)
{
	for (int i = 0; i < 64; i++) {
		if (engine_deadline(&client->engine) <= world->now_ns)
			engine_expire(&client->engine, world->now_ns);
		flush(world, client);
		if (engine_deadline(&client->engine) > world->now_ns)
			return;
	}
	world_violated(world, "the engine of client %u does not come to rest", client->process);
}

int64_t client_deadline(const struct client *client)
{
	return engine_deadline(&client->engine);
}

/* ---- processes ---- */

void client_start(struct world *world, struct client *client)
{
	struct random *random = &world->random;
	uint32_t process = ++world->clients.processes;

	memset(client, 0, sizeof *client);
	client->process = process;
	client->alive = true;
	client->actors = 1 + random_below(random, 8);
	client->caller = (struct caller){ .uid = 1000, .gid = 1000, .pid = (pid_t)(PID_FIRST + process), .known = true,
					  .born = random_draw(random) | 1 };
	if (random_chance(random, 100))
		client->caller = (struct caller){ .known = false };
	const struct engine_options options = {
		.program = "sim",
		.window = random_chance(random, 500) ? PROTOCOL_WINDOW : 1 + random_below(random, 8),
		.silence_ms = 1000 + random_below(random, 20000),
		.relative = random_chance(random, 200),
		.random = draw_bytes,
	};
	engine_init(&client->engine, &options);
	world_say(world, "client %u: starts, %u actors%s", process, client->actors,
		  client->caller.known ? "" : ", behind a relay");
}

/* Nobody is there any more who must be answered. */
static void close_operations(struct world *world, const struct client *client)
{
	const struct history *history = &world->history;

	for (size_t i = 0; i < history->operation_count; i++)
		if (history->operations[i]->process == client->process && !history->operations[i]->answered)
			history->operations[i]->closed = true;
}

static void let_go(struct world *world, struct client *client)
{
	struct connection *connection = network_find(&world->network, client->connection);
	struct connection *old = network_find(&world->network, client->old_connection);

	for (size_t i = 0; i < WATCHES_OF_CLIENT; i++)
		if (client->watches[i] != NULL)
			client->watches[i]->ended = true;
	if (connection != NULL)
		network_cut(&world->network, connection, &world->random);
	if (connection != NULL)
		queue_clear(&connection->to_client);
	if (old != NULL)
		queue_clear(&old->to_client);
	buffer_clear(&client->outgoing);
	client->alive = false;
	owner_process_ended(world, client->process);
}

void client_crash(struct world *world, struct client *client)
{
	world_say(world, "client %u: dies", client->process);
	world->tally.client_crashes++;
	close_operations(world, client);
	engine_abandon(&client->engine);
	let_go(world, client);
}

void client_leave(struct world *world, struct client *client)
{
	world_say(world, "client %u: closes", client->process);
	if (!client->outgoing_waits && engine_goodbye(&client->engine, &client->outgoing))
		send(world, client, &client->outgoing);
	close_operations(world, client);
	engine_clear(&client->engine);
	let_go(world, client);
}

void sim_clients_init(struct world *world)
{
	running = world;
	/* In some runs so many that segments fill. */
	world->clients.long_values = random_chance(&world->random, 250) ? 900 : 50;
	world->clients.count = 3 + random_below(&world->random, CLIENTS_MAX - 2);
	for (size_t i = 0; i < world->clients.count; i++)
		client_start(world, &world->clients.clients[i]);
}

void sim_clients_clear(struct world *world)
{
	for (size_t i = 0; i < world->clients.count; i++) {
		struct client *client = &world->clients.clients[i];
		if (!client->alive)
			continue;
		engine_abandon(&client->engine);
		buffer_clear(&client->outgoing);
	}
}
