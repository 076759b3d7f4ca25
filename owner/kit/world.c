/* SPDX-License-Identifier: MIT
 *
 * world.c - the steps of a made-up history, and what is compared after each.
 */
#include "owner/kit/world.h"
#include "owner/core/core.h"
#include "owner/kit/input.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CLIENTS = 6,
	OPERATIONS_MOST = 4, /* in a request; as many again behind `otherwise` */
	WAITS_MOST = 64,
	JUNK = 64,
	WHERE_BYTES = 1024,
	/* Accesses of maps that an operation may make without sole_checkpoint, and for each one. */
	WORK_FREE = 256,
	WORK_EACH = 16,
};

/* One of the three that must not differ. */
struct side {
	const char *name;
	struct core *core;
	struct counters counters;
	uint64_t events_next;
	/* of the step being run */
	struct buffer reply, late, events;
	struct late given[WAITS_MOST];
	size_t given_count;
	int64_t due_us;
};

/* What is said of a side after a step. */
struct trace {
	uint64_t digest, revision;
};

struct wait {
	uint64_t sequence;
	const struct sole_operation_entry *entry;
};

struct client {
	uint64_t session, sequence; /* 0: not open; the next one */
	struct caller caller;
	struct wait waits[WAITS_MOST];
	size_t wait_count;
};

enum { LEFT, RIGHT, REPLAY, SIDES };

struct world {
	const struct sole_behaviour *behaviour;
	struct side sides[SIDES];
	struct limits limits;
	struct input input;
	struct client clients[CLIENTS];
	uint64_t nonces, favour; /* four bits an operation */
	int64_t now_us;
	void *junk[JUNK];
	struct tally *tally;
	struct finding *finding;
	char *where;
	/* the request being run */
	struct buffer payload;
	const struct sole_operation_entry *entries[2 * OPERATIONS_MOST + 1]; /* NULL: unknown, or `otherwise` */
	unsigned entry_count, otherwise;                                     /* place of it; 0: none */
	size_t arguments;
};

static bool fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fail(struct world *world, const char *format, ...)
{
	va_list arguments;
	char what[512];

	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	snprintf(world->finding->text, sizeof world->finding->text, "%.480s: %s", world->where, what);
	return false;
}

/* ---- what a step has done to a side ---- */

static void write_events(struct side *side)
{
	const struct events *events = core_events(side->core);

	if (side->events_next < events_first(events))
		side->events_next = events_first(events);
	while (side->events_next < events_next(events)) {
		const struct event event = events_get(events, side->events_next);
		side->events_next = event.next;
		const struct value list[] = { value_integer((int64_t)event.revision), value_integer(event.index),
					      event.kind, event.key, event.value };
		wire_write_list(&side->events, list, 5);
	}
}

/* Late answers, and that their clients have them. */
static void write_late(struct side *side)
{
	uint8_t space[CORE_REPLY_RESERVE];
	size_t count;
	const struct late *late = core_take_late(side->core, &count);

	side->given_count = 0;
	for (size_t i = 0; i < count; i++) {
		core_write_late(side->core, &late[i], PROTOCOL_MESSAGE_MAX_BYTES, &side->late);
		if (side->given_count < WAITS_MOST)
			side->given[side->given_count++] = late[i];
	}
	for (size_t i = 0; i < side->given_count; i++) {
		struct buffer ignored = { .data = space, .capacity = sizeof space };
		struct session *session = sessions_find(core_sessions(side->core), side->given[i].session);
		const struct request_header header = { .kind = ITEM_RECEIVED, .session = side->given[i].session,
						       .sequence = side->given[i].sequence };
		if (session != NULL)
			core_received(side->core, &session->opener, &header, &ignored);
	}
}

static struct trace trace_of(const struct side *side)
{
	return (struct trace){ .digest = store_digest(core_store(side->core)), .revision = core_revision(side->core) };
}

static void begin_step(struct side *side)
{
	buffer_reset(&side->reply);
	buffer_reset(&side->late);
	buffer_reset(&side->events);
	side->given_count = 0;
}

static bool same_bytes(const struct buffer *a, const struct buffer *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* ---- judging ---- */

static bool compare(struct world *world, const struct side *other, bool replied)
{
	const struct side *left = &world->sides[LEFT];
	struct trace a = trace_of(left), b = trace_of(other);
	const char *with = other->name;

	if (replied && !same_bytes(&left->reply, &other->reply))
		return fail(world, "the reply differs %s", with);
	if (!same_bytes(&left->late, &other->late))
		return fail(world, "the late answers differ %s", with);
	if (!same_bytes(&left->events, &other->events))
		return fail(world, "the events differ %s", with);
	if (a.digest != b.digest)
		return fail(world, "the state differs %s", with);
	if (a.revision != b.revision)
		return fail(world, "the revision differs %s (%" PRIu64 ", %" PRIu64 ")", with, a.revision, b.revision);
	return true;
}

static bool check_invariant(struct world *world, const struct side *side)
{
	struct trace before = trace_of(side);
	const char *broken = core_invariant(side->core);

	if (broken != NULL)
		return fail(world, "the invariant does not hold: %s", broken);
	if (store_mark(core_store(side->core)) > 0 || trace_of(side).digest != before.digest)
		return fail(world, "the invariant changes the state, or 'due' does");
	return true;
}

/* Nothing of the contract was seen to be broken by the owner itself. */
static bool check_counters(struct world *world, uint64_t faults, uint64_t hooks_failed)
{
	const struct counters *counters = &world->sides[LEFT].counters;

	if (counters->answers_missed > 0)
		return fail(world, "it answers a request that does not wait any more: 'withdrawn' has to take it out of its line");
	if (counters->hooks_failed != hooks_failed)
		return fail(world, "a tick, a withdrawal or the end of a session was refused by the behaviour, which nobody hears");
	return counters->behaviour_faults == faults || fail(world, "the owner found a fault of the behaviour");
}

static void learn(struct world *world, const struct value *value)
{
	struct wire_reader inside = wire_reader(value->bytes, value->type == VALUE_LIST ? value->size : 0);
	struct value item;

	input_learn(&world->input, value);
	while (inside.left > 0 && wire_read_value(&inside, &item))
		input_learn(&world->input, &item);
}

/* One list of results, against the table. */
static bool check_results(struct world *world, const struct sole_operation_entry *entry, struct wire_reader *reader)
{
	struct value values[WIRE_LIST_MAX];
	size_t count, fields = 0, arguments = 0;

	if (!wire_read_list(reader, values, WIRE_LIST_MAX, &count))
		return fail(world, "the reply cannot be read");
	while (fields < SOLE_FIELDS_MAX && entry->results[fields].type != SOLE_FIELD_END)
		fields++;
	while (arguments < SOLE_FIELDS_MAX && entry->arguments[arguments].type != SOLE_FIELD_END)
		arguments++;
	bool open_ended = arguments > 0 && entry->arguments[arguments - 1].type == SOLE_FIELD_KEYS;
	if (open_ended ? count < fields : count != fields)
		return fail(world, "%s answers %zu results, and its table says %zu", entry->name, count, fields);
	for (size_t i = 0; i < count; i++) {
		const struct sole_field *field = &entry->results[i < fields ? i : fields - 1];
		if (!field_fits(field->type, &values[i]))
			return fail(world, "%s answers something else than %s for '%s'", entry->name,
				    field_type_name(field->type), field->name);
		learn(world, &values[i]);
	}
	return true;
}

/* ---- late answers ---- */

static struct client *client_of(struct world *world, uint64_t session)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (session != 0 && world->clients[i].session == session)
			return &world->clients[i];
	return NULL;
}

static bool check_late(struct world *world)
{
	struct side *left = &world->sides[LEFT];
	struct wire_reader reader = wire_reader(left->late.data, left->late.size), payload;
	struct reply_header reply;

	while (reader.left > 0 && wire_read_reply_header(&reader, &reply) &&
	       wire_read_payload(&reader, reply.size, &payload)) {
		struct client *client = client_of(world, reply.session);
		const struct sole_operation_entry *entry = NULL;
		for (size_t i = 0; client != NULL && i < client->wait_count; i++)
			if (client->waits[i].sequence == reply.sequence) {
				entry = client->waits[i].entry;
				client->waits[i] = client->waits[--client->wait_count];
			}
		world->tally->late += reply.code == CODE_OK;
		if (entry != NULL && reply.code == CODE_OK && !check_results(world, entry, &payload))
			return false;
	}
	return true;
}

/* ---- the end of each step ---- */

/* `recorded`: the third side has had it, too. */
static bool end_step(struct world *world, bool replied, bool recorded)
{
	for (int i = 0; i < (recorded ? SIDES : REPLAY); i++) {
		write_late(&world->sides[i]);
		write_events(&world->sides[i]);
	}
	struct side *left = &world->sides[LEFT];
	uint64_t entries = store_entries(core_store(left->core));
	if (entries > world->tally->entries_most)
		world->tally->entries_most = entries;
	if (!compare(world, &world->sides[RIGHT], replied) || (recorded && !compare(world, &world->sides[REPLAY], replied)))
		return false;
	/* What was not recorded must not be missed there. */
	if (!recorded && trace_of(left).digest != trace_of(&world->sides[REPLAY]).digest)
		return fail(world, "the state has changed, and nothing was recorded");
	return check_invariant(world, left) && check_invariant(world, &world->sides[RIGHT]) && check_late(world);
}

/* Another order of memory for one side than for the other. */
static void disturb_memory(struct world *world)
{
	for (int i = 0; i < 3; i++) {
		void **junk = &world->junk[input_below(&world->input, JUNK)];
		free(*junk);
		*junk = malloc(1 + input_below(&world->input, 400));
	}
}

/* ---- time ---- */

static void draw_time(struct world *world)
{
	static const int64_t most_us[] = { 1, 50, 3000, 3000, 200000, 3000000, 100000000, 90000000000 };

	world->now_us += (int64_t)input_below(&world->input, (uint64_t)most_us[input_below(&world->input, 8)]);
}

static bool pass_time(struct world *world)
{
	struct side *left = &world->sides[LEFT], *right = &world->sides[RIGHT], *replay = &world->sides[REPLAY];
	uint64_t revision = core_revision(left->core), ticks = left->counters.ticks;
	uint64_t faults = left->counters.behaviour_faults, hooks_failed = left->counters.hooks_failed;

	draw_time(world);
	snprintf(world->where, WHERE_BYTES, "a tick at %" PRId64 " us", world->now_us);
	for (int i = 0; i < SIDES; i++)
		begin_step(&world->sides[i]);
	core_set_clock(left->core, world->now_us);
	left->due_us = core_tick(left->core);
	disturb_memory(world);
	core_set_clock(right->core, world->now_us);
	right->due_us = core_tick(right->core);
	if (left->due_us != right->due_us)
		return fail(world, "'due' differs %s", right->name);
	world->tally->ticks += left->counters.ticks - ticks;
	bool recorded = core_revision(left->core) != revision;
	if (recorded) {
		core_set_clock(replay->core, world->now_us);
		core_tick(replay->core);
	}
	return end_step(world, false, recorded) && check_counters(world, faults, hooks_failed);
}

/* ---- requests ---- */

static const struct sole_operation_entry *draw_operation(struct world *world, bool query)
{
	const struct sole_behaviour *behaviour = world->behaviour;

	/* Each world has its own favourites: some grow, in some much waits for little. */
	for (int tries = 0; tries < 50; tries++) {
		uint64_t place = input_below(&world->input, behaviour->operation_count);
		const struct sole_operation_entry *entry = &behaviour->operations[place];
		uint64_t favour = 1 + (world->favour >> (4 * (place % 16))) % 16;
		if (input_below(&world->input, 16) < favour &&
		    (!query || entry->kind == SOLE_IS_QUERY || input_once_in(&world->input, 30)))
			return entry;
	}
	return &behaviour->operations[0];
}

static void draw_half(struct world *world, bool query)
{
	uint64_t count = input_once_in(&world->input, 3) ? 1 + input_below(&world->input, OPERATIONS_MOST) : 1;

	for (uint64_t i = 0; i < count; i++) {
		const struct sole_operation_entry *entry = draw_operation(world, query);
		world->entries[world->entry_count++] = entry;
		input_operation(&world->input, entry, &world->payload);
	}
}

/* The payload, and in `where` what it is. */
static void draw_request(struct world *world, bool query, bool otherwise)
{
	size_t used = (size_t)snprintf(world->where, WHERE_BYTES, query ? "asked" : "told");

	buffer_reset(&world->payload);
	world->entry_count = world->otherwise = 0;
	world->arguments = 0;
	draw_half(world, query);
	if (otherwise) {
		world->otherwise = world->entry_count;
		world->entries[world->entry_count++] = NULL;
		buffer_u16(&world->payload, OPERATION_OTHERWISE);
		buffer_u8(&world->payload, 0);
		draw_half(world, query);
	}
	struct wire_reader reader = wire_reader(world->payload.data, world->payload.size);
	for (unsigned i = 0; i < world->entry_count && used + 400 < WHERE_BYTES; i++) {
		used += (size_t)snprintf(world->where + used, WHERE_BYTES - used, i > 0 ? ", " : " ");
		operation_describe(world->behaviour, &reader, world->where + used, 300);
		used += strlen(world->where + used);
	}
	world->arguments = world->payload.size / 8;
}

static enum code run_on(struct world *world, struct side *side, const struct caller *caller,
			const struct request_header *header, enum code verdict)
{
	struct reply_header reply = { 0 };

	buffer_reset(&side->reply);
	buffer_reserve(&side->reply, CORE_REPLY_RESERVE);
	core_set_clock(side->core, world->now_us);
	core_run(side->core, caller, header, wire_reader(world->payload.data, world->payload.size), verdict,
		 PROTOCOL_MESSAGE_MAX_BYTES - PROTOCOL_MESSAGE_HEADER_BYTES, &side->reply);
	struct wire_reader reader = wire_reader(side->reply.data, side->reply.size);
	wire_read_reply_header(&reader, &reply);
	return (enum code)reply.code;
}

/* The results that `done` stands for; which half they are of comes first, where there are two. */
static bool check_reply(struct world *world)
{
	struct side *left = &world->sides[LEFT];
	struct wire_reader reader = wire_reader(left->reply.data + PROTOCOL_ITEM_HEADER_BYTES,
						left->reply.size - PROTOCOL_ITEM_HEADER_BYTES);
	unsigned from = 0, to = world->entry_count;
	struct value half;
	size_t count;

	if (world->otherwise > 0) {
		wire_read_list(&reader, &half, 1, &count);
		from = half.integer == 2 ? world->otherwise + 1 : 0;
		to = half.integer == 2 ? world->entry_count : world->otherwise;
	}
	for (unsigned i = from; i < to; i++)
		if (!check_results(world, world->entries[i], &reader))
			return false;
	return reader.left == 0 || fail(world, "the reply has more results than operations");
}

/* What a fault of the behaviour was: the text of the refusal. */
static bool tell_fault(struct world *world)
{
	const struct side *left = &world->sides[LEFT];
	struct wire_reader reader = wire_reader(left->reply.data + PROTOCOL_ITEM_HEADER_BYTES,
						left->reply.size - PROTOCOL_ITEM_HEADER_BYTES);
	struct value list[3];
	size_t count;

	if (wire_read_list(&reader, list, 3, &count) && count >= 2 && list[1].type == VALUE_BYTES)
		return fail(world, "%.*s", (int)list[1].size, (const char *)list[1].bytes);
	return fail(world, "the owner found a fault of the behaviour");
}

static bool check_work(struct world *world, uint64_t work, uint64_t checkpoints)
{
	uint64_t allowed = WORK_FREE + WORK_EACH * (checkpoints + world->arguments);

	return work <= allowed || fail(world, "maps were used %" PRIu64 " times and sole_checkpoint called %" PRIu64
					      " times: a loop does not count its work", work, checkpoints);
}

static void count_code(struct tally *tally, enum code code)
{
	tally->requests++;
	tally->done += code == CODE_OK;
	tally->waiting += code == CODE_WAITING;
	tally->refused += code_outcome(code) == OUTCOME_REFUSED;
	tally->overruns += code == CODE_TOO_LARGE;
}

static bool judge_request(struct world *world, const struct request_header *header, enum code code,
			  const struct trace *before)
{
	struct side *left = &world->sides[LEFT];
	bool query = (header->flags & REQUEST_FLAG_QUERY) != 0;
	struct trace after = trace_of(left);
	bool traceless = after.digest == before->digest && after.revision == before->revision &&
			 left->late.size == 0 && left->events.size == 0;

	if (code_outcome(code) == OUTCOME_REFUSED && !traceless)
		return fail(world, "it was refused (%s) and has left a trace", code_name(code));
	if (query && !traceless)
		return fail(world, "a query has left a trace");
	if (code_outcome(code) == OUTCOME_UNKNOWN)
		return fail(world, "the outcome is unknown: %s", code_text(code));
	return code != CODE_OK || check_reply(world);
}

/* One request, to all who get it. `client` is NULL for one without a session. */
static bool send_request(struct world *world, struct client *client, const struct caller *caller)
{
	bool query = input_once_in(&world->input, 4), otherwise = input_once_in(&world->input, 10);
	struct side *left = &world->sides[LEFT], *replay = &world->sides[REPLAY];
	struct trace before = trace_of(left);
	const struct request_header header = {
		.kind = ITEM_RUN,
		.flags = (uint8_t)((query ? REQUEST_FLAG_QUERY : 0) | (otherwise ? REQUEST_FLAG_OTHERWISE : 0)),
		.session = client != NULL ? client->session : 0,
		.sequence = client != NULL && !query ? client->sequence : 0,
	};
	uint64_t work = store_work(core_store(left->core)), checkpoints = left->counters.checkpoints;
	uint64_t faults = left->counters.behaviour_faults;

	draw_request(world, query, otherwise);
	for (int i = 0; i < SIDES; i++)
		begin_step(&world->sides[i]);
	enum code code = run_on(world, left, caller, &header, CODE_OK);
	work = store_work(core_store(left->core)) - work;
	count_code(world->tally, code);
	disturb_memory(world);
	run_on(world, &world->sides[RIGHT], caller, &header, CODE_OK);
	if (left->counters.behaviour_faults != faults)
		return tell_fault(world);
	if (!check_counters(world, faults, left->counters.hooks_failed))
		return false;
	bool recorded = !query && (code == CODE_OK || code == CODE_WAITING);
	if (recorded)
		run_on(world, replay, caller, &header, CODE_OK);
	else if (client != NULL && !query && code != CODE_BUSY)
		run_on(world, replay, caller, &header, CODE_CANCELLED); /* uses the sequence, runs nothing */
	if (client != NULL && !query && code != CODE_BUSY)
		client->sequence++;
	if (code == CODE_WAITING && client->wait_count < WAITS_MOST)
		client->waits[client->wait_count++] = (struct wait){ header.sequence, world->entries[0] };
	if (!end_step(world, true, recorded) || !judge_request(world, &header, code, &before))
		return false;
	return check_work(world, work, left->counters.checkpoints - checkpoints);
}

/* ---- sessions ---- */

static bool open_session(struct world *world, struct client *client)
{
	uint8_t nonce[PROTOCOL_NONCE_BYTES] = { 0 };

	memcpy(nonce, &world->nonces, sizeof world->nonces);
	world->nonces++;
	snprintf(world->where, WHERE_BYTES, "a session opens");
	*client = (struct client){ .sequence = 1 };
	client->caller = (struct caller){ .uid = 1000 + (uid_t)input_below(&world->input, 2), .gid = 100, .pid = 7,
					  .known = !input_once_in(&world->input, 5) };
	for (int i = 0; i < SIDES; i++) {
		struct session *session;
		begin_step(&world->sides[i]);
		if (core_open_session(world->sides[i].core, &client->caller, nonce, 1000, &session) != CODE_OK)
			return fail(world, "no session can be opened");
		client->session = session->id;
	}
	world->tally->sessions++;
	return end_step(world, false, true);
}

static bool end_session(struct world *world, struct client *client)
{
	uint64_t hooks_failed = world->sides[LEFT].counters.hooks_failed;
	uint64_t faults = world->sides[LEFT].counters.behaviour_faults;

	snprintf(world->where, WHERE_BYTES, "a session ends, of which %zu requests wait", client->wait_count);
	for (int i = 0; i < SIDES; i++) {
		struct side *side = &world->sides[i];
		begin_step(side);
		core_set_clock(side->core, world->now_us);
		struct session *session = sessions_find(core_sessions(side->core), client->session);
		core_end_session(side->core, &session);
	}
	client->session = 0;
	world->tally->sessions_ended++;
	return end_step(world, false, true) && check_counters(world, faults, hooks_failed);
}

/* A waiting request's client has lost patience, or its deadline has passed. */
static bool withdraw(struct world *world, struct client *client)
{
	uint64_t hooks_failed = world->sides[LEFT].counters.hooks_failed;
	uint64_t faults = world->sides[LEFT].counters.behaviour_faults;
	uint64_t sequence = client->waits[input_below(&world->input, client->wait_count)].sequence;
	bool cancel = input_once_in(&world->input, 2);
	const struct request_header header = { .kind = ITEM_CANCEL, .session = client->session, .sequence = sequence };

	snprintf(world->where, WHERE_BYTES, "a waiting request %s", cancel ? "is cancelled" : "expires");
	for (int i = 0; i < SIDES; i++) {
		struct side *side = &world->sides[i];
		begin_step(side);
		core_set_clock(side->core, world->now_us);
		buffer_reserve(&side->reply, CORE_REPLY_RESERVE);
		if (cancel)
			core_cancel(side->core, &client->caller, &header, PROTOCOL_MESSAGE_MAX_BYTES, &side->reply);
		else
			core_expire(side->core, client->session, sequence);
	}
	world->tally->withdrawn++;
	return end_step(world, cancel, true) && check_counters(world, faults, hooks_failed);
}

/* ---- the whole ---- */

static bool step(struct world *world)
{
	static const struct caller script = { .uid = 1000, .gid = 100, .pid = 8, .known = true };
	struct client *client = &world->clients[input_below(&world->input, CLIENTS)];

	if (!pass_time(world))
		return false;
	if (input_once_in(&world->input, 12))
		return send_request(world, NULL, &script);
	if (client->session == 0)
		return open_session(world, client);
	if (input_once_in(&world->input, 40))
		return end_session(world, client);
	if (client->wait_count > 0 && input_once_in(&world->input, 6))
		return withdraw(world, client);
	return send_request(world, client, &client->caller);
}

/* Small limits now and then, so that budgets and maps run out. */
static void draw_limits(struct world *world)
{
	static const int64_t checkpoints[] = { 1000000, 1000000, 1000000, 100, 10, 2 };
	static const int64_t entries[] = { 1000000, 1000000, 1000000, 200, 40 };

	world->limits = limits_default();
	world->limits.checkpoints = checkpoints[input_below(&world->input, sizeof checkpoints / sizeof *checkpoints)];
	world->limits.entries = entries[input_below(&world->input, sizeof entries / sizeof *entries)];
}

static bool world_begin(struct world *world, const struct sole_behaviour *copy, uint64_t seed)
{
	static const char *const names[SIDES] = { "", "between two runs of the same input",
						  "when only what was recorded is run, by another process" };
	const char *why = NULL;

	input_init(&world->input, seed);
	draw_limits(world);
	for (int i = 0; i < 16; i++)
		world->favour = world->favour << 4 | (input_once_in(&world->input, 2) ? input_below(&world->input, 16) : 0);
	world->now_us = 1700000000000000;
	snprintf(world->where, WHERE_BYTES, "the state is created");
	for (int i = 0; i < SIDES; i++) {
		struct side *side = &world->sides[i];
		const struct core_settings settings = {
			.behaviour = i == REPLAY ? copy : world->behaviour, .limits = &world->limits,
			.counters = &side->counters, .hash_seed = seed + (uint64_t)i * 0x9e3779b97f4a7c15,
			.session_seed = seed, .token_base = world->now_us,
		};
		side->name = names[i];
		side->core = core_new(&settings, &why);
		if (side->core == NULL)
			return fail(world, "%s", why);
		disturb_memory(world);
	}
	return end_step(world, false, true);
}

static void world_end(struct world *world)
{
	for (int i = 0; i < SIDES; i++) {
		struct side *side = &world->sides[i];
		world->tally->events += i == LEFT ? side->counters.events : 0;
		core_destroy(&side->core);
		buffer_clear(&side->reply);
		buffer_clear(&side->late);
		buffer_clear(&side->events);
	}
	for (int i = 0; i < JUNK; i++)
		free(world->junk[i]);
	buffer_clear(&world->payload);
	free(world);
}

bool world_run(const struct sole_behaviour *behaviour, const struct sole_behaviour *copy, uint64_t seed,
	       unsigned steps, struct tally *tally, struct finding *finding, char *where)
{
	struct world *world = calloc(1, sizeof *world);

	*finding = (struct finding){ 0 };
	if (world == NULL) {
		snprintf(finding->text, sizeof finding->text, "no memory");
		return false;
	}
	world->behaviour = behaviour;
	world->tally = tally;
	world->finding = finding;
	world->where = where;
	bool sound = world_begin(world, copy, seed);
	for (finding->step = 1; sound && finding->step <= steps; finding->step++)
		sound = step(world);
	if (!sound)
		finding->step--;
	world_end(world);
	return sound;
}
