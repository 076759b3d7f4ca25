/* SPDX-License-Identifier: MIT
 *
 * Rounds of chance: the same messages make the same state and the same replies, a command
 * is answered once and for all, and memory that runs out leaves nothing half done.
 */
#include "tests/lib/outlet.h"
#include "tests/lib/scarce.h"

/* ---- chance ---- */

enum { CLIENTS = 6, CONNECTIONS = 4, RECORDS = 1 << 16 };
static const uint64_t query_sequences = 1ULL << 40; /* tells queries of a session from its commands */

struct chance {
	struct unit_random random;
	uint64_t sessions[CLIENTS], next[CLIENTS];
	/* The first answer to each command, by session and sequence. */
	struct noted {
		uint64_t session, sequence, answer;
	} * records;
	size_t answered, repeated;
	uint64_t unready; /* the connection that does not read at the moment */
};

static size_t draw(struct chance *chance, size_t limit)
{
	return unit_below(&chance->random, limit);
}

/* The operations beyond the first six. */
static void compose_further(struct chance *chance, struct rig *rig, const char *key, struct value value)
{
	static const char *const locks[] = { "l", "m", "n" };
	const struct value name = value_text(locks[draw(chance, 3)]), at = value_text(key);
	const struct value number = value_integer((int64_t)draw(chance, 4)), none = value_none();
	const struct value ms = value_integer((int64_t)draw(chance, 40) - 1);

	switch (draw(chance, 16)) {
	case 0:
		rig_operation(rig, 7, (const struct value[]){ at, value }, 2); /* insert */
		return;
	case 1:
		rig_operation(rig, 8, (const struct value[]){ at, value }, 2); /* replace */
		return;
	case 2:
		rig_operation(rig, 9, (const struct value[]){ at, name, at }, 3); /* get-many */
		return;
	case 3:
		rig_operation(rig, 10,
			      (const struct value[]){ value_text(""), draw(chance, 2) ? none : at, number },
			      3);
		return;
	case 4:
		rig_operation(rig, 11, (const struct value[]){ at, number, draw(chance, 2) ? none : value },
			      3);
		return;
	case 5:
		rig_operation(rig, 12, (const struct value[]){ at, value, ms }, 3); /* put-for */
		return;
	case 6:
		rig_operation(rig, 13, (const struct value[]){ at, draw(chance, 2) ? none : ms },
			      2); /* expire */
		return;
	case 7:
		rig_operation(rig, 15, (const struct value[]){ at, value }, 2); /* bind */
		return;
	case 8:
		rig_operation(rig, 16, (const struct value[]){ at, draw(chance, 2) ? none : number },
			      2); /* check */
		return;
	case 9:
		rig_operation(rig, draw(chance, 2) ? 14 : 18, &at, 1); /* ttl, revision */
		return;
	case 10:
		rig_operation(rig, draw(chance, 2) ? 21 : 23, &name, 1); /* try-lock, holder */
		return;
	case 11:
		rig_operation(rig, OPERATION_OTHERWISE, NULL, 0);
		return;
	case 12:
	case 13:
		rig_operation(rig, 22, &name, 1); /* unlock */
		return;
	default:
		rig_operation(rig, 20, &name, 1); /* lock */
		return;
	}
}

static void compose_operations(struct chance *chance, struct rig *rig, bool query)
{
	static uint8_t bytes[300];
	char key[8];

	for (size_t count = draw(chance, 4) + (draw(chance, 30) > 0); count > 0; count--) {
		snprintf(key, sizeof key, "%zu", draw(chance, 30));
		struct value value = draw(chance, 2)
					     ? value_integer((int64_t)draw(chance, 3))
					     : value_bytes(bytes, draw(chance, draw(chance, 9) ? 50 : 300));
		switch (draw(chance, query && draw(chance, 20) ? 2 : 12)) {
		case 0:
		case 1:
			rig_get(rig, key);
			break;
		case 2:
			rig_put(rig, key, value);
			break;
		case 3:
			rig_delete(rig, key);
			break;
		case 4:
			rig_add(rig, key, draw(chance, 10) ? 1 : INT64_MAX);
			break;
		case 5:
			rig_cas(rig, key, draw(chance, 2) ? value_none() : value_integer(1), value);
			break;
		case 6:
			rig_operation(rig, (uint16_t)draw(chance, 26), &value, draw(chance, 2));
			break;
		default:
			compose_further(chance, rig, key, value);
			break;
		}
	}
	if (draw(chance, 50) == 0) {
		buffer_u8(rig_body(rig), (uint8_t)draw(chance, 256));
		rig_end_item(rig);
	}
}

static void compose_command(struct chance *chance, struct rig *rig)
{
	size_t client = draw(chance, CLIENTS);
	uint64_t sequence = chance->next[client];

	switch (draw(chance, 12)) {
	case 0:
		sequence += draw(chance, 3); /* a gap, perhaps */
		break;
	case 1:
	case 2:
		sequence -= sequence > 6 ? draw(chance, 6) : 0; /* a retry, perhaps */
		break;
	default:
		chance->next[client]++;
		break;
	}
	struct request_header header = { .kind = ITEM_RUN,
					 .session = chance->sessions[client],
					 .sequence = sequence };
	if (sequence > 0)
		header.window = (uint16_t)draw(chance, sequence < 20 ? (size_t)sequence : 20);
	if (draw(chance, 10) == 0)
		header.deadline = (uint64_t)rig->now_ns + draw(chance, 2);
	else if (draw(chance, 4) == 0)
		header.deadline = (uint64_t)rig->now_ns + draw(chance, 1000) * NS_PER_MS;
	if (draw(chance, 10) == 0)
		header.flags = REQUEST_FLAG_OTHERWISE;
	rig_item(rig, &header);
	if (draw(chance, 3) > 0) {
		compose_operations(chance, rig, false);
		return;
	}
	const struct value name = value_text(draw(chance, 2) ? "l" : "m");
	rig_operation(rig, draw(chance, 2) ? 20 : 22, &name, 1); /* alone it may wait */
}

static void compose_watch(struct chance *chance, struct rig *rig)
{
	static const char *const prefixes[] = { "", "1", "2", "l" };
	const struct value list[] = {
		value_text(prefixes[draw(chance, 4)]), value_integer(0x5678 + !draw(chance, 9)),
		value_integer(draw(chance, 2) ? 0 : (int64_t)rig_revision(rig) - (int64_t)draw(chance, 30)),
		value_integer((int64_t)draw(chance, 2))
	};

	rig_item(rig, &(struct request_header){ .kind = draw(chance, 4) ? ITEM_WATCH : ITEM_UNWATCH,
						.sequence = draw(chance, 3) });
	rig_list(rig, list, 4);
}

static void compose_item(struct chance *chance, struct rig *rig)
{
	uint64_t session = chance->sessions[draw(chance, CLIENTS)];

	switch (draw(chance, 22)) {
	case 20:
		if (draw(chance, 10) == 0) /* long enough to fall behind */
			compose_watch(chance, rig);
		else
			compose_command(chance, rig);
		break;
	case 21:
		rig_item(rig, &(struct request_header){ .kind = ITEM_RECEIVED,
							.session = session,
							.sequence = chance->next[draw(chance, CLIENTS)] -
								    draw(chance, 9) });
		break;
	case 0:
		rig_open(rig, (uint8_t)draw(chance, 8), (int64_t)draw(chance, 4000));
		break;
	case 1:
		rig_cancel(rig, session, chance->next[draw(chance, CLIENTS)] + draw(chance, 3) - 1, false);
		break;
	case 2:
		rig_cancel(rig, draw(chance, 2) ? session : 0, query_sequences + draw(chance, 3), true);
		break;
	case 3:
	case 4:
		rig_query(rig, draw(chance, 2) ? session : 0, query_sequences + draw(chance, 3));
		compose_operations(chance, rig, true);
		break;
	case 5:
		rig_item(rig, &(struct request_header){ .kind = ITEM_RUN });
		compose_operations(chance, rig, false);
		break;
	case 6:
		rig_simple(rig, (enum item_kind)(ITEM_PING + draw(chance, 6)));
		break;
	case 7:
		if (draw(chance, 10) == 0)
			rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = session });
		else
			rig_hello(rig, (int64_t)draw(chance, 3), 1, draw(chance, 2));
		break;
	case 8:
		rig_command(rig, SESSION_OPENED, 1);
		compose_operations(chance, rig, false);
		break;
	default:
		compose_command(chance, rig);
		break;
	}
}

static void compose_round(struct chance *chance, struct rig *rig)
{
	static const struct caller *const callers[] = { &alice,	      &alice,	    &alice,
							&alice_again, &alice_again, &bob };

	for (size_t messages = 1 + draw(chance, 6); messages > 0; messages--) {
		rig_message(rig, callers[draw(chance, 6)], draw(chance, 2));
		rig->messages[rig->count - 1].connection = draw(chance, CONNECTIONS + 1);
		for (size_t items = 1 + draw(chance, 8); items > 0; items--)
			compose_item(chance, rig);
	}
	rig_finish(rig);
	if (draw(chance, 20) == 0) {
		struct buffer *body = &rig->bodies[draw(chance, rig->count)];
		body->size = draw(chance, body->size);
	}
}

static uint64_t mix(uint64_t sum, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

/* What is answered twice is answered the same. */
static void judge_command(struct chance *chance, const struct answer *answer)
{
	uint64_t sum = mix(answer->header.code, answer->payload.at, answer->payload.left);
	const uint64_t name[] = { answer->header.session, answer->header.sequence };
	size_t at = mix(1, (const uint8_t *)name, sizeof name) % RECORDS;

	sum = mix(sum, (const uint8_t *)&answer->header.revision, sizeof answer->header.revision);
	while (chance->records[at].session != 0 &&
	       (chance->records[at].session != name[0] || chance->records[at].sequence != name[1]))
		at = (at + 1) % RECORDS;
	struct noted *record = &chance->records[at];
	if (record->session == 0) {
		*record = (struct noted){ name[0], name[1], sum };
		chance->answered++;
		return;
	}
	assert_true(record->answer == sum);
	chance->repeated++;
}

static void learn(struct chance *chance, const struct rig *rig)
{
	for (size_t i = 0; i < rig->answer_count; i++) {
		const struct answer *answer = &rig->answers[i];
		const struct reply_header *header = &answer->header;
		size_t client = 0;
		while (client < CLIENTS &&
		       (chance->sessions[client] != header->session || header->session == 0))
			client++;
		if (header->kind == ITEM_OPEN && header->code == CODE_OK && client == CLIENTS) {
			client = draw(chance, CLIENTS);
			chance->sessions[client] = header->session;
			chance->next[client] = 1;
		}
		if (header->kind != ITEM_RUN || header->session == 0 || header->sequence >= query_sequences)
			continue;
		switch (header->code) {
		case CODE_OUT_OF_ORDER:
			if (client < CLIENTS)
				chance->next[client] = (uint64_t)rig_integer(rig, i, 0, 2);
			break;
		case CODE_BUSY:
		case CODE_DENIED:
		case CODE_SESSION_FORGOTTEN:
		case CODE_REPLY_FORGOTTEN:
		case CODE_LEAVING:
		case CODE_WAITING:
			break;
		default:
			judge_command(chance, answer);
			break;
		}
	}
}

static struct rig *small_rig(uint64_t hash_seed)
{
	struct rig *rig = rig_new();

	rig->limits.operations = 3;
	rig->limits.entries = 60;
	rig->limits.value_bytes = 200;
	rig->limits.sessions = 5;
	rig->limits.session_replies_bytes = 500;
	rig->limits.outbox_total_bytes = 65536;
	rig->limits.watches = 4;
	rig->limits.events_bytes = 2048;
	assert_true(rig_start(rig, &table_behaviour, hash_seed));
	return rig;
}

/* The same bodies for the other one. */
static void copy_round(struct rig *copy, const struct rig *rig)
{
	copy->now_ns = rig->now_ns;
	copy->wall_us = rig->wall_us;
	copy->count = rig->count;
	for (size_t i = 0; i < rig->count; i++) {
		copy->messages[i] = rig->messages[i];
		buffer_reset(&copy->bodies[i]);
		buffer_append(&copy->bodies[i], rig->bodies[i].data, rig->bodies[i].size);
	}
}

static void assert_same_replies(const struct rig *a, const struct rig *b)
{
	size_t counts[2];
	const struct service_reply *x = service_replies(a->service, &counts[0]),
				   *y = service_replies(b->service, &counts[1]);

	assert_int_equal(counts[0], counts[1]);
	for (size_t i = 0; i < counts[0]; i++) {
		assert_int_equal(x[i].message, y[i].message);
		assert_int_equal(x[i].body.size, y[i].body.size);
		assert_memory_equal(x[i].body.data, y[i].body.data, x[i].body.size);
	}
}

/* What leaves unasked is the same as well. Connections come and go, and do not always read. */
static void assert_same_notices(struct chance *chance, struct rig *rigs[2], struct bench_outlet *outlets[2])
{
	bool ended = draw(chance, 200) == 0;
	uint64_t connection = 1 + draw(chance, CONNECTIONS);

	if (draw(chance, 200) == 0)
		chance->unready = draw(chance, CONNECTIONS + 1);
	for (int i = 0; i < 2; i++) {
		if (ended)
			service_connection_ended(rigs[i]->service, connection);
		outlets[i]->unready = chance->unready;
		outlet_deliver(outlets[i], rigs[i]);
	}
	assert_int_equal(outlets[0]->count, outlets[1]->count);
	for (size_t i = 0; i < outlets[0]->count; i++) {
		const struct notice *a = &outlets[0]->notices[i], *b = &outlets[1]->notices[i];
		assert_true(a->connection == b->connection && a->connection != 0);
		assert_memory_equal(&a->header, &b->header, sizeof a->header);
		assert_int_equal(a->payload.left, b->payload.left);
		assert_memory_equal(a->payload.at, b->payload.at, a->payload.left);
	}
	outlet_clear(outlets[0]);
	outlet_clear(outlets[1]);
}

/* Time goes by, and the owner does what it does by itself. */
static void go_on(struct chance *chance, struct rig *rigs[2])
{
	bool tended = draw(chance, 10) == 0, died = draw(chance, 100) == 0;
	int64_t next_ns[2];

	rigs[0]->now_ns += (int64_t)draw(chance, 200) * NS_PER_MS;
	rigs[0]->wall_us += (int64_t)draw(chance, 8000) - 2000;
	for (int i = 0; i < 2; i++) {
		if (tended)
			service_tend(rigs[i]->service, rigs[0]->now_ns, rigs[0]->wall_us, &next_ns[i]);
		if (died)
			service_process_ended(rigs[i]->service, alice_again.pid);
	}
	if (tended)
		assert_true(next_ns[0] == next_ns[1]);
}

static void the_same_messages_make_the_same_state_and_replies(void **state)
{
	(void)state;
	struct chance *chance = calloc(1, sizeof *chance);
	assert_non_null(chance);
	chance->records = calloc(RECORDS, sizeof *chance->records);
	assert_non_null(chance->records);
	chance->random.state = unit_seed();
	struct rig *one = small_rig(unit_draw(&chance->random)), *two = small_rig(unit_draw(&chance->random));
	struct rig *rigs[2] = { one, two };
	struct bench_outlet *outlets[2] = { outlet_new(), outlet_new() };

	for (int round = 0; round < 4000; round++) {
		compose_round(chance, one);
		copy_round(two, one);
		rig_raw_round(one);
		rig_raw_round(two);
		assert_same_replies(one, two);
		assert_true(rig_digest(one) == rig_digest(two));
		assert_true(rig_revision(one) == rig_revision(two));
		assert_memory_equal(&one->counters, &two->counters, sizeof one->counters);
		assert_sound(one);
		assert_sound(two);
		learn(chance, one);
		if (draw(chance, 5) > 0)
			assert_same_notices(chance, rigs, outlets);
		go_on(chance, rigs);
	}
	/* It was worth the while: each of these came about. */
	printf("# %zu commands, %zu repeated, %llu events sent, %llu watches behind\n", chance->answered,
	       chance->repeated, (unsigned long long)one->counters.events_sent,
	       (unsigned long long)one->counters.watches_behind);
	assert_true(chance->answered > 1000 && chance->repeated > 100);
	assert_true(one->counters.requests_cancelled > 0 && one->counters.requests_expired > 0);
	assert_true(one->counters.limit_state > 0 && one->counters.limit_value > 0);
	assert_true(one->counters.limit_operations > 0 && one->counters.limit_sessions > 0);
	assert_true(one->counters.sessions_silent > 0 && one->counters.sessions_denied > 0);
	assert_true(one->counters.requests_unknown > 0 && one->counters.replies_trimmed > 0);
	assert_true(one->counters.answers_late > 0 && one->counters.waits_withdrawn > 0);
	assert_true(one->counters.ticks > 0 && one->counters.sessions_died > 0 &&
		    one->counters.hooks_failed == 0);
	assert_true(one->counters.events_sent > 0 && one->counters.watches_opened > 0);
	outlet_free(outlets[0]);
	outlet_free(outlets[1]);
	rig_free(one);
	rig_free(two);
	free(chance->records);
	free(chance);
}

/* ---- without memory ---- */

enum { COMMANDS = 12, LARGE_BYTES = 3000, HUGE_BYTES = 250000 };

static struct rig *filled_rig(uint64_t *session, uint64_t *old)
{
	static uint8_t bytes[HUGE_BYTES];
	struct rig *rig = rig_new();

	assert_true(rig_start(rig, &table_behaviour, 1));
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, "large", value_bytes(bytes, LARGE_BYTES));
	rig_put(rig, "huge", value_bytes(bytes, HUGE_BYTES));
	rig_round(rig);
	*session = rig_session(rig, &alice, 1);
	*old = rig_session(rig, &alice, 2);
	rig_message(rig, &alice, true);
	rig_command(rig, *old, 1);
	rig_get(rig, "huge");
	rig_round(rig);
	return rig;
}

/* Each command has two effects; some have a large reply, some a conflict behind the effects. */
static void compose_commands(struct rig *rig, uint64_t session)
{
	rig_message(rig, &alice, true);
	for (uint64_t i = 1; i <= COMMANDS; i++) {
		char key[16];
		rig_command(rig, session, i);
		snprintf(key, sizeof key, "n%d", (int)i);
		rig_add(rig, key, 1);
		if (i % 3 == 0)
			rig_get(rig, "large");
		if (i % 4 == 0)
			rig_cas(rig, "huge", value_none(), value_none());
		snprintf(key, sizeof key, "m%d", (int)i);
		rig_add(rig, key, 1);
	}
}

static void compose_the_rest(struct rig *rig, uint64_t session, uint64_t old)
{
	rig_message(rig, &bob, false);
	rig_simple(rig, ITEM_STATS);
	rig_simple(rig, ITEM_DESCRIBE);
	rig_simple(rig, ITEM_PING);
	rig_query(rig, 0, 1);
	rig_get(rig, "large");
	rig_simple(rig, ITEM_STATUS);
	rig_hello(rig, 1, 1, false);
	rig_message(rig, &alice, true);
	rig_open(rig, 9, 0);
	rig_command(rig, SESSION_OPENED, 1);
	rig_add(rig, "opened", 1);
	rig_message(rig, &alice, true);
	rig_cancel(rig, session, 3, false);
	rig_cancel(rig, session, COMMANDS + 1, false);
	rig_command(rig, old, 1); /* a reply to be repeated */
	rig_get(rig, "huge");
	rig_message(rig, &bob, true);
	rig_simple(rig, ITEM_PING);
	for (uint64_t i = 1; i <= 6; i++) {
		rig_query(rig, 0, i);
		rig_get(rig, "huge");
	}
	rig_message(rig, &bob, false);
}

/* `first` is what a command was told in the round without memory (0: nothing). */
static void judge_effects(const struct rig *rig, const int *first, const int *then, bool done_only)
{
	for (int i = 1; i <= COMMANDS; i++) {
		char key[16];
		snprintf(key, sizeof key, "n%d", i);
		int64_t n = rig_look(rig, key);
		snprintf(key, sizeof key, "m%d", i);
		int64_t m = rig_look(rig, key);
		assert_true(n == m); /* whole or not at all */
		assert_true(n == 1 || n == INT64_MIN);
		bool done = first[i] == CODE_OK || then[i] == CODE_OK;
		bool refused = code_outcome((unsigned)then[i]) == OUTCOME_REFUSED;
		if (done)
			assert_int_equal(n, 1);
		else if (refused && !done_only)
			assert_true(n == INT64_MIN);
	}
}

static void take_codes(const struct rig *rig, uint64_t session, int codes[COMMANDS + 1])
{
	for (int i = 0; i <= COMMANDS; i++)
		codes[i] = -1;
	for (size_t i = 0; i < rig->answer_count; i++) {
		const struct answer *answer = &rig->answers[i];
		if (answer->message == 0 && answer->header.kind == ITEM_RUN &&
		    answer->header.session == session)
			codes[answer->header.sequence] = answer->header.code;
		/* Whatever is answered can be read: a refusal has its text, a list its values. */
		struct wire_reader payload = answer->payload;
		while (payload.left > 0) {
			struct value values[WIRE_LIST_MAX];
			size_t count;
			assert_true(wire_read_list(&payload, values, WIRE_LIST_MAX, &count));
		}
		if (answer->header.outcome != OUTCOME_DONE)
			rig_refused(rig, i, (enum code)answer->header.code, rig_integer(rig, i, 0, 0), "");
	}
}

static void run_rounds_out_of_memory(bool for_good)
{
	int first[COMMANDS + 1], then[COMMANDS + 1], again[COMMANDS + 1];
	long succeed = 0;

	for (bool complete = false; !complete; succeed++) {
		uint64_t session, old;
		struct rig *rig = filled_rig(&session, &old);
		compose_commands(rig, session);
		compose_the_rest(rig, session, old);
		rig_finish(rig);
		rig_lay_out(rig);
		scarce_begin(succeed, for_good);
		service_round(rig->service, rig->messages, rig->count, rig->now_ns, rig->wall_us);
		complete = scarce_end() == 0;
		rig_take_replies(rig);
		take_codes(rig, session, first);
		for (size_t i = 0; i < rig->answer_count; i++)
			if (rig->answers[i].header.session == old) /* it did run: no memory is no refusal */
				assert_int_not_equal(rig->answers[i].header.outcome, OUTCOME_REFUSED);
		static const int nothing[COMMANDS + 1] = { [0 ... COMMANDS] = CODE_BUSY };
		judge_effects(rig, first, nothing, true);

		/* With memory again, everything is asked again. */
		compose_commands(rig, session);
		compose_the_rest(rig, session, old);
		rig_round(rig);
		take_codes(rig, session, then);
		for (int i = 1; i <= COMMANDS; i++) {
			assert_int_not_equal(then[i], -1);
			bool final = first[i] != -1 && first[i] != CODE_BUSY && first[i] != CODE_OUT_OF_ORDER;
			if (final && then[i] != CODE_REPLY_FORGOTTEN)
				assert_int_equal(then[i], first[i]);
			if (complete)
				assert_int_equal(then[i], i == 3       ? CODE_CANCELLED
							  : i % 4 == 0 ? CODE_CONFLICT
								       : CODE_OK);
		}
		judge_effects(rig, first, then, false);
		assert_true(rig_look(rig, "opened") == 1 ||
			    (!complete && rig_look(rig, "opened") == INT64_MIN));
		uint64_t digest = rig_digest(rig);

		compose_commands(rig, session);
		rig_round(rig);
		take_codes(rig, session, again);
		assert_memory_equal(again, then, sizeof then);
		assert_true(rig_digest(rig) == digest);
		rig_free(rig);
	}
	printf("# %ld allocations\n", succeed - 1);
	assert_true(succeed > 30);
}

static void a_failed_allocation_halves_no_command(void **state)
{
	(void)state;
	run_rounds_out_of_memory(false);
}

static void memory_that_is_gone_for_good_halves_no_command(void **state)
{
	(void)state;
	run_rounds_out_of_memory(true);
}

static void an_owner_without_memory_does_not_start_and_says_why(void **state)
{
	(void)state;
	struct rig *rig = rig_new();
	long succeed = 0;

	for (bool complete = false; !complete; succeed++) {
		scarce_begin(succeed, true);
		bool started = rig_start(rig, &table_behaviour, 1);
		complete = scarce_end() == 0;
		assert_int_equal(started, complete);
		if (!complete)
			assert_null(rig->service);
	}
	assert_true(succeed > 5);
	rig_free(rig);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_same_messages_make_the_same_state_and_replies),
	cmocka_unit_test(a_failed_allocation_halves_no_command),
	cmocka_unit_test(memory_that_is_gone_for_good_halves_no_command),
	cmocka_unit_test(an_owner_without_memory_does_not_start_and_says_why),
};

UNIT_MAIN(tests)
