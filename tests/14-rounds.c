/* SPDX-License-Identifier: MIT
 *
 * Rounds of chance: the same messages make the same state and the same replies, a command
 * is answered once and for all, and memory that runs out leaves nothing half done.
 */
#include "tests/lib/rig.h"
#include "tests/lib/scarce.h"

/* ---- chance ---- */

enum { CLIENTS = 6, RECORDS = 1 << 16 };
static const uint64_t query_sequences = 1ULL << 40; /* tells queries of a session from its commands */

struct chance {
	struct unit_random random;
	uint64_t sessions[CLIENTS], next[CLIENTS];
	/* The first answer to each command, by session and sequence. */
	struct record {
		uint64_t session, sequence, answer;
	} * records;
	size_t answered, repeated;
};

static size_t draw(struct chance *chance, size_t limit)
{
	return unit_below(&chance->random, limit);
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
		switch (draw(chance, query && draw(chance, 20) ? 2 : 7)) {
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
		default:
			rig_operation(rig, (uint16_t)draw(chance, 9), &value, draw(chance, 2));
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
	rig_item(rig, &header);
	compose_operations(chance, rig, false);
}

static void compose_item(struct chance *chance, struct rig *rig)
{
	uint64_t session = chance->sessions[draw(chance, CLIENTS)];

	switch (draw(chance, 20)) {
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
	struct record *record = &chance->records[at];
	if (record->session == 0) {
		*record = (struct record){ name[0], name[1], sum };
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
	rig->limits.entries = 20;
	rig->limits.value_bytes = 200;
	rig->limits.sessions = 5;
	rig->limits.session_replies_bytes = 500;
	rig->limits.outbox_total_bytes = 65536;
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

static void the_same_messages_make_the_same_state_and_replies(void **state)
{
	(void)state;
	struct chance *chance = calloc(1, sizeof *chance);
	assert_non_null(chance);
	chance->records = calloc(RECORDS, sizeof *chance->records);
	assert_non_null(chance->records);
	chance->random.state = unit_seed();
	struct rig *one = small_rig(unit_draw(&chance->random)), *two = small_rig(unit_draw(&chance->random));
	int64_t next_ns;

	for (int round = 0; round < 3000; round++) {
		compose_round(chance, one);
		copy_round(two, one);
		rig_raw_round(one);
		rig_raw_round(two);
		assert_same_replies(one, two);
		assert_true(rig_digest(one) == rig_digest(two));
		assert_true(rig_revision(one) == rig_revision(two));
		assert_memory_equal(&one->counters, &two->counters, sizeof one->counters);
		learn(chance, one);
		one->now_ns += (int64_t)draw(chance, 200) * NS_PER_MS;
		one->wall_us += (int64_t)draw(chance, 2000) - 500;
		if (draw(chance, 10) == 0) {
			service_expire(one->service, one->now_ns, one->wall_us, &next_ns);
			service_expire(two->service, one->now_ns, one->wall_us, &next_ns);
		}
	}
	/* It was worth the while: each of these came about. */
	printf("# %zu commands, %zu repeated\n", chance->answered, chance->repeated);
	assert_true(chance->answered > 1000 && chance->repeated > 100);
	assert_true(one->counters.requests_cancelled > 0 && one->counters.requests_expired > 0);
	assert_true(one->counters.limit_state > 0 && one->counters.limit_value > 0);
	assert_true(one->counters.limit_operations > 0 && one->counters.limit_sessions > 0);
	assert_true(one->counters.sessions_silent > 0 && one->counters.sessions_denied > 0);
	assert_true(one->counters.requests_unknown > 0 && one->counters.replies_trimmed > 0);
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
	assert_true(succeed > 40);
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
