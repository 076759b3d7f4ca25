/* SPDX-License-Identifier: MIT
 *
 * owner.c - the shell around a real service: rounds, replies, notices, ends, and crashes between all of them.
 */
#include "tests/sim/owner.h"
#include "tests/sim/world.h"
#include "tests/lib/open_access.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROUND_MOST = 8, OUTBOX_MOST = 16 };

static const struct world *running; /* for process_born, which does not say of which run */

/* ---- processes ---- */

static bool is_alive(const struct world *world, uint32_t process, uint64_t *born)
{
	for (size_t i = 0; i < world->clients.count; i++) {
		const struct client *client = &world->clients.clients[i];
		if (client->alive && client->process == process) {
			*born = client->caller.born;
			return true;
		}
	}
	return false;
}

static uint64_t process_born(pid_t pid)
{
	uint64_t born = 0;

	is_alive(running, (uint32_t)pid - PID_FIRST, &born);
	return born;
}

void owner_process_ended(struct world *world, uint32_t process)
{
	struct sim_owner *owner = &world->owner;

	if (owner->service != NULL && owner->dead_count < sizeof owner->dead / sizeof *owner->dead)
		owner->dead[owner->dead_count++] = process;
}

/* ---- what its records tell ---- */

/* Who opened it? The nonce is the client's own. */
static uint32_t opener_of(const struct world *world, const struct record *record)
{
	for (size_t i = 0; i < world->clients.count; i++) {
		const struct client *client = &world->clients.clients[i];
		if (client->alive && memcmp(client->engine.nonce, record->nonce, PROTOCOL_NONCE_BYTES) == 0)
			return client->process;
	}
	return 0;
}

static void session_ended(struct world *world, const struct record *record)
{
	struct seen_session *session = history_find_session(&world->history, record->session);
	uint64_t born;

	if (session == NULL) {
		world_violated(world, "a session ends that was never opened");
		return;
	}
	session->ended = true;
	bool dead = !is_alive(world, session->process, &born);
	if (!dead && !session->goodbye && world->now_ns - session->heard_ns <= session->silence_ms * NS_PER_MS)
		world_violated(world, "the session of client %u was ended, heard of %lld ms ago, and it may be silent for %u",
			       session->process, (long long)((world->now_ns - session->heard_ns) / NS_PER_MS),
			       session->silence_ms);
}

static void look_at_records(struct world *world, const struct buffer *records)
{
	struct wire_reader reader = wire_reader(records->data, records->size);
	struct record record;

	while (record_read(&reader, &record)) {
		world->tally.records++;
		if (record.kind == RECORD_OPEN) {
			struct seen_session *session = history_session(&world->history, record.session);
			session->process = opener_of(world, &record);
			session->silence_ms = record.silence_ms;
			session->heard_ns = world->now_ns;
		} else if (record.kind == RECORD_END) {
			session_ended(world, &record);
		}
	}
	if (reader.bad)
		world_violated(world, "records cannot be read that were just written");
}

/* Makes durable what was done. False: the owner has ended. */
static bool commit(struct world *world)
{
	struct sim_owner *owner = &world->owner;
	const struct buffer *records = owner->durable ? durability_pending(world->storage.durability) : &owner->records;

	if (records->size == 0)
		return true;
	look_at_records(world, records);
	if (owner->durable) {
		if (storage_commit(world))
			return true;
		owner_crash(world, "in the middle of a commit");
		return false;
	}
	struct era *era = history_era(&world->history, owner->identity.history);
	const struct core_scalars scalars = core_scalars(service_core(owner->service));
	core_take_record_count(service_core(owner->service));
	history_round(era, owner->round++, scalars.now_us, scalars.revision, &owner->records);
	world_digest(world, owner->records.data, owner->records.size);
	world->tally.rounds++;
	buffer_reset(&owner->records);
	return true;
}

/* ---- life and death ---- */

void owner_init(struct world *world)
{
	struct random *random = &world->random;
	struct sim_owner *owner = &world->owner;

	running = world;
	owner->durable = random_chance(random, 800);
	owner->limits = limits_default();
	owner->limits.events_bytes = random_chance(random, 200) ? 4096 : EVENTS_AMPLE;
	owner->limits.sessions = 64;
	owner->identity = (struct identity){ .name = "sim", .pid = 1 };
}

void owner_clear(struct world *world)
{
	service_destroy(&world->owner.service);
	buffer_clear(&world->owner.records);
}

void owner_start(struct world *world)
{
	struct random *random = &world->random;
	struct sim_owner *owner = &world->owner;
	struct recovery recovery = { 0 };
	const char *why;

	owner->starts++;
	owner->session_seed = random_draw(random);
	owner->counters = (struct counters){ 0 };
	owner->more = owner->leaving = false;
	owner->next_ns = world->now_ns;
	owner->dead_count = 0;
	owner->round = 1;
	if (!owner->durable) {
		owner->identity.history = random_draw(random) | 1;
		owner->identity.incarnation = (uint64_t)world_wall_us(world);
	}
	const struct service_settings settings = {
		.core = { .behaviour = &table_behaviour, .limits = &owner->limits, .counters = &owner->counters,
			  .hash_seed = random_draw(random), .session_seed = owner->session_seed,
			  .token_base = owner->durable ? 0 : world_wall_us(world) },
		.identity = owner->identity,
		.gauges = &owner->gauges,
		.started_ns = world->now_ns,
		.process_born = process_born,
		.access = open_access(0),
	};
	owner->service = service_new(&settings, &why);
	if (owner->service == NULL) {
		world_violated(world, "%s", why);
		return;
	}
	struct core *core = service_core(owner->service);
	if (owner->durable) {
		if (!storage_start(world, core, &recovery)) {
			storage_crash(world, false);
			service_destroy(&owner->service);
			return;
		}
		owner->identity.history = recovery.history;
		owner->identity.incarnation = recovery.incarnation;
		service_resume(owner->service, &owner->identity, world->now_ns);
		for (size_t i = 0; i < world->history.session_count; i++)
			world->history.sessions[i].heard_ns = world->now_ns;
	} else {
		core_record_to(core, &owner->records);
		core_start(core, owner->identity.incarnation, world_wall_us(world));
		history_era(&world->history, owner->identity.history);
	}
	world_say(world, "owner: starts, incarnation %" PRIu64 ", revision %" PRIu64, owner->identity.incarnation,
		  core_revision(core));
}

static void gone(struct world *world)
{
	struct sim_owner *owner = &world->owner;

	service_destroy(&owner->service);
	network_owner_gone(&world->network, &world->random);
	for (size_t i = 0; i < world->clients.count; i++) {
		struct client *client = &world->clients.clients[i];
		if (client->alive && client->connection != 0)
			client_was_cut(world, client);
	}
	buffer_reset(&owner->records);
	owner->back_ns = world->now_ns +
			 (int64_t)random_below(&world->random, random_chance(&world->random, 900) ? 300 : 3000) * NS_PER_MS;
}

void owner_crash(struct world *world, const char *where)
{
	bool power = random_chance(&world->random, 500);

	world_say(world, "owner: dies %s%s", where, power && world->owner.durable ? ", and power is lost" : "");
	world->tally.owner_crashes++;
	if (world->owner.durable)
		storage_crash(world, power);
	gone(world);
}

void owner_leave(struct world *world)
{
	struct sim_owner *owner = &world->owner;
	struct buffer notice = { 0 };

	world_say(world, "owner: is told to leave");
	service_leave(owner->service, &notice);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = &world->network.connections[i];
		if (connection->id != 0 && connection->up && connection->subscribed)
			network_to_client(&world->network, connection, &notice);
	}
	buffer_clear(&notice);
	owner->leaving = true;
	owner->next_ns = world->now_ns;
	owner->leave_ns = world->now_ns + (int64_t)random_below(&world->random, 50) * NS_PER_MS;
}

static void ends_well(struct world *world)
{
	world_say(world, "owner: ends");
	world->tally.clean_stops++;
	if (world->owner.durable) {
		storage_finish(world);
		storage_crash(world, random_chance(&world->random, 500));
	}
	gone(world);
}

/* A crash at this place, now and then. */
static bool dies(struct world *world, const char *where)
{
	if (!world->chaos || !random_chance(&world->random, 3))
		return false;
	owner_crash(world, where);
	return true;
}

/* ---- notices ---- */

static bool outlet_ready(const void *context, uint64_t id)
{
	const struct connection *connection = network_find((struct network *)(uintptr_t)context, id);

	return connection != NULL && connection->up && connection->subscribed && !connection->slow &&
	       connection->to_client.count < OUTBOX_MOST;
}

static bool outlet_send(void *context, uint64_t id, const struct buffer *body)
{
	struct connection *connection = network_find(context, id);

	if (connection == NULL || !connection->up || !connection->subscribed)
		return true; /* nobody is there: it is not to be sent again */
	return connection->to_client.count < QUEUE_MAX / 2 && network_to_client(context, connection, body);
}

static void deliver(struct world *world)
{
	const struct outlet outlet = { .context = &world->network, .ready = outlet_ready, .send = outlet_send };

	world->owner.more = service_deliver(world->owner.service, &outlet);
}

void owner_follow(struct world *world)
{
	struct sim_owner *owner = &world->owner;
	uint64_t born;
	pid_t pid;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = &world->network.connections[i];
		if (connection->id == 0 || connection->up || connection->end_told)
			continue;
		service_connection_ended(owner->service, connection->id);
		connection->end_told = true;
	}
	while (service_next_process(owner->service, &pid))
		if (!is_alive(world, (uint32_t)pid - PID_FIRST, &born))
			service_process_ended(owner->service, pid);
	while (owner->dead_count > 0)
		service_process_ended(owner->service, (pid_t)(PID_FIRST + owner->dead[--owner->dead_count]));
}

/* ---- rounds ---- */

/* A message that names a session is a sign of life of it. */
static void note_sessions(struct world *world, const struct connection *connection, const struct packet *packet)
{
	struct wire_reader reader = wire_reader(packet->data, packet->size), payload;
	struct message_header header;
	struct request_header item;

	if (!wire_read_message_header(&reader, &header))
		return;
	while (wire_read_request_header(&reader, &item) && wire_read_payload(&reader, item.size, &payload)) {
		struct seen_session *session = history_find_session(&world->history, item.session);
		if (session == NULL || session->process != connection->process)
			continue;
		session->heard_ns = world->now_ns;
		session->goodbye |= item.kind == ITEM_GOODBYE;
	}
}

/* What the owner takes up in one round, and by which connections it came. */
struct taken {
	struct service_message messages[ROUND_MOST];
	struct packet packets[ROUND_MOST];
	uint64_t connections[ROUND_MOST];
	bool subscribed[ROUND_MOST];
	size_t count;
};

/* One connection's messages stay in their order; whose is next is chance. */
static void take_messages(struct world *world, struct taken *taken)
{
	size_t most = 1 + random_below(&world->random, ROUND_MOST);

	taken->count = 0;
	for (uint32_t i = random_below(&world->random, CONNECTIONS_MAX), empty = 0;
	     empty < CONNECTIONS_MAX && taken->count < most; i = (i + 1) % CONNECTIONS_MAX) {
		struct connection *connection = &world->network.connections[i];
		struct packet packet;
		if (connection->id == 0 || !queue_pop(&connection->to_owner, &packet)) {
			empty++;
			continue;
		}
		empty = 0;
		note_sessions(world, connection, &packet);
		taken->connections[taken->count] = connection->id;
		taken->subscribed[taken->count] = connection->subscribed;
		taken->packets[taken->count] = packet;
		taken->messages[taken->count++] = (struct service_message){
			.caller = connection->caller, .connection = connection->up ? connection->id : 0,
			.peer = connection->id, .body = packet.data, .size = packet.size,
			.notices = connection->subscribed,
		};
	}
}

static void look_at_messages(struct world *world, const struct taken *taken)
{
	for (size_t i = 0; i < taken->count; i++) {
		struct connection *connection = network_find(&world->network, taken->connections[i]);
		if (taken->messages[i].verdict != MESSAGE_SOUND)
			world_violated(world, "a client wrote a message that the owner cannot read");
		if (connection != NULL && connection->up && taken->messages[i].notices != taken->subscribed[i])
			connection->subscribed = taken->messages[i].notices;
	}
}

/* False: it died on the way. */
static bool send_replies(struct world *world, const struct taken *taken)
{
	size_t count;
	const struct service_reply *replies = service_replies(world->owner.service, &count);

	for (size_t i = 0; i < count; i++) {
		struct connection *connection = network_find(&world->network, taken->connections[replies[i].message]);
		if (i > 0 && dies(world, "with some replies on their way"))
			return false;
		if (connection == NULL || !connection->up)
			continue;
		world_digest(world, replies[i].body.data, replies[i].body.size);
		network_to_client(&world->network, connection, &replies[i].body);
	}
	return true;
}

#ifdef PLANT_READ_BEFORE_SYNC
/* Replies to messages of nothing but queries leave at once. */
static void send_reads(struct world *world, const struct taken *taken)
{
	size_t count;
	const struct service_reply *replies = service_replies(world->owner.service, &count);

	for (size_t i = 0; i < count; i++) {
		struct wire_reader reader = wire_reader(replies[i].body.data, replies[i].body.size), payload;
		struct connection *connection = network_find(&world->network, taken->connections[replies[i].message]);
		struct message_header header;
		struct reply_header item;
		bool reads = connection != NULL && connection->up && wire_read_message_header(&reader, &header);
		while (reads && wire_read_reply_header(&reader, &item) && wire_read_payload(&reader, item.size, &payload))
			reads = item.session == 0;
		if (reads)
			network_to_client(&world->network, connection, &replies[i].body);
	}
}
#endif

static void serve(struct world *world, struct taken *taken)
{
	struct sim_owner *owner = &world->owner;

	service_round(owner->service, taken->messages, taken->count, world->now_ns, world_wall_us(world));
	look_at_messages(world, taken);
#ifdef PLANT_READ_BEFORE_SYNC
	send_reads(world, taken);
#endif
	if (dies(world, "before a commit") || !commit(world) || dies(world, "after a commit") || !send_replies(world, taken))
		return;
	owner_follow(world);
	/* Ends of processes have made records: nothing of them leaves before they are durable. */
	if (commit(world))
		deliver(world);
}

bool owner_round(struct world *world)
{
	struct taken taken;

	take_messages(world, &taken);
	if (taken.count == 0)
		return false;
	world_say(world, "owner: takes up %zu messages", taken.count);
	serve(world, &taken);
	for (size_t i = 0; i < taken.count; i++)
		free(taken.packets[i].data);
	if (world->owner.service != NULL)
		owner_tend(world);
	return true;
}

void owner_tend(struct world *world)
{
	struct sim_owner *owner = &world->owner;
	int64_t durable_ns = INT64_MAX;

	owner_follow(world);
	service_tend(owner->service, world->now_ns, world_wall_us(world), &owner->next_ns);
	if (!commit(world))
		return;
	if (owner->durable && !storage_tend(world, &durable_ns)) {
		owner_crash(world, "when it cannot sync");
		return;
	}
	if (durable_ns < owner->next_ns)
		owner->next_ns = durable_ns;
	deliver(world);
	if (owner->more)
		owner->next_ns = world->now_ns;
	if (owner->leaving && world->now_ns >= owner->leave_ns)
		ends_well(world);
	else if (owner->leaving && owner->leave_ns < owner->next_ns)
		owner->next_ns = owner->leave_ns;
}
