/* SPDX-License-Identifier: MIT
 *
 * What an owner measures: how often and for how long operations ran, which keys are hot, which
 * requests were slow, who asks, and what a trace is told; and that it stays within its bounds.
 */
#include "tests/lib/outlet.h"

#include "common/histogram.h"
#include "owner/service/clients.h"
#include "owner/service/latency.h"
#include "owner/service/sketch.h"
#include "owner/service/slow.h"
#include "owner/service/trace.h"

/* ---- usage and latencies ---- */

static void only_what_is_done_counts(void **state)
{
	struct usage usage;

	(void)state;
	assert_true(usage_init(&usage, 3));
	usage_begin(&usage);
	usage_note(&usage, 2);
	usage_note(&usage, 0);
	usage_begin(&usage); /* the request was refused */
	assert_int_equal(usage.touched_count, 0);
	usage_note(&usage, 1);
	usage_note(&usage, 1);
	usage_commit(&usage);
	usage_begin(&usage);
	usage_note(&usage, 0);
	usage_commit(&usage);
	assert_int_equal(usage.counts[0], 1);
	assert_int_equal(usage.counts[1], 2);
	assert_int_equal(usage.counts[2], 0);
	assert_int_equal(usage.touched_count, 2);
	usage_reset(&usage);
	assert_int_equal(usage.counts[0] + usage.counts[1] + usage.touched_count, 0);
	usage_begin(&usage);
	for (int i = 0; i < USAGE_REQUEST_MAX + 5; i++)
		usage_note(&usage, 0);
	usage_commit(&usage);
	assert_int_equal(usage.counts[0], USAGE_REQUEST_MAX);
	usage_clear(&usage);
}

struct sums {
	uint64_t count, last_top;
	bool in_order;
};

static void add_bucket(void *context, uint64_t top, uint64_t count)
{
	struct sums *sums = context;

	sums->in_order &= sums->count == 0 || top > sums->last_top;
	sums->last_top = top;
	sums->count += count;
}

static void a_round_is_the_latency_of_all_that_ran_in_it(void **state)
{
	struct latencies *latencies = latencies_new(LATENCY_OPERATIONS_MAX + 3);
	struct sums sums = { .in_order = true };
	struct usage usage;

	(void)state;
	assert_non_null(latencies);
	assert_true(usage_init(&usage, LATENCY_OPERATIONS_MAX + 3));
	usage_begin(&usage);
	usage_note(&usage, 1);
	usage_note(&usage, 1);
	usage_note(&usage, LATENCY_OPERATIONS_MAX + 1);
	usage_note(&usage, LATENCY_OPERATIONS_MAX + 2);
	usage_commit(&usage);
	latencies_take(latencies, &usage, 1000);
	usage_begin(&usage);
	usage_note(&usage, 1);
	usage_commit(&usage);
	latencies_take(latencies, &usage, 5000000);
	assert_int_equal(latencies->operations[1].values.total, 3);
	assert_int_equal(latencies->operations[1].sum, 5002000);
	assert_int_equal(latencies->operations[1].values.maximum, 5000000);
	assert_int_equal(latencies->operations[0].values.total, 0);
	assert_int_equal(latencies->operations[LATENCY_OPERATIONS_MAX - 1].values.total, 2); /* those beyond, together */
	assert_int_equal(usage.touched_count, 0);
	for (uint64_t value = 1; value < UINT64_MAX / 3; value *= 3)
		latency_add(&latencies->operations[1], value, 2);
	latency_each(&latencies->operations[1], add_bucket, &sums);
	assert_true(sums.in_order);
	assert_int_equal(sums.count, latencies->operations[1].values.total);
	usage_clear(&usage);
	latencies_destroy(&latencies);
}

/* ---- hot keys ---- */

static uint32_t random_state = 12345;

static uint32_t next_random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

static size_t place_of_key(const struct sketch *sketch, const char *key)
{
	for (size_t i = 0; i < SKETCH_KEYS; i++)
		if (sketch->tags[i] != 0 && sketch->keys[i].size == strlen(key) &&
		    memcmp(sketch->keys[i].bytes, key, strlen(key)) == 0)
			return i;
	return SKETCH_KEYS;
}

static void a_hot_key_is_seen_among_any_number_of_others(void **state)
{
	enum { TIMES = 200000 };
	struct sketch *sketch = malloc(sizeof *sketch);
	uint16_t sorted[SKETCH_KEYS];
	uint64_t hot = 0, warm = 0;
	char key[32];

	(void)state;
	assert_non_null(sketch);
	sketch_init(sketch, 0);
	for (int i = 0; i < TIMES; i++) {
		uint32_t r = next_random() % 100;
		hot += r < 20;
		warm += r >= 20 && r < 25;
		snprintf(key, sizeof key, r < 20 ? "hot" : r < 25 ? "warm" : "cold-%u", next_random());
		sketch_add(sketch, key, strlen(key), r < 20 ? 7 : 3);
	}
	size_t count = sketch_sorted(sketch, sorted);
	assert_int_equal(count, SKETCH_KEYS);
	assert_int_equal(place_of_key(sketch, "hot"), sorted[0]);
	assert_int_equal(place_of_key(sketch, "warm"), sorted[1]);
	assert_int_equal(sketch->keys[sorted[0]].place, 7);
	/* Never too low, and too high by no more than it says. */
	const uint64_t truth[] = { hot, warm };
	for (int i = 0; i < 2; i++) {
		assert_true((uint64_t)sketch->counts[sorted[i]] >= truth[i]);
		assert_true((uint64_t)(sketch->counts[sorted[i]] - sketch->keys[sorted[i]].error) <= truth[i]);
	}
	assert_int_equal(sketch->total, TIMES);
	free(sketch);
}

static void what_was_hot_is_forgotten(void **state)
{
	struct sketch sketch;

	(void)state;
	sketch_init(&sketch, 0);
	for (int i = 0; i < 40; i++)
		sketch_add(&sketch, "old", 3, 0);
	sketch_look(&sketch, SKETCH_HALVE_S * NS_PER_S);
	size_t place = place_of_key(&sketch, "old");
	assert_int_equal(sketch.counts[place], 20);
	sketch_look(&sketch, SKETCH_HALVE_S * NS_PER_S);
	assert_int_equal(sketch.counts[place], 20);
	sketch_look(&sketch, 1000 * SKETCH_HALVE_S * NS_PER_S);
	assert_int_equal(place_of_key(&sketch, "old"), SKETCH_KEYS);
	assert_int_equal(sketch.total, 0);
}

static void one_request_of_many_is_looked_at(void **state)
{
	enum { TIMES = 100000 };
	struct sketch sketch;
	int looks = 0;

	(void)state;
	sketch_init(&sketch, 0);
	for (int i = 0; i < TIMES; i++)
		if (sketch_due(&sketch)) {
			sketch_look(&sketch, 0);
			looks++;
		}
	assert_in_range(looks, TIMES / SKETCH_EVERY * 9 / 10, TIMES / SKETCH_EVERY * 11 / 10);
}

static void long_keys_are_told_apart_and_cut(void **state)
{
	char key[1024];
	struct sketch sketch;

	(void)state;
	sketch_init(&sketch, 0);
	memset(key, 'k', sizeof key);
	sketch_add(&sketch, key, sizeof key, 0);
	key[1023] = 'x';
	sketch_add(&sketch, key, sizeof key, 0);
	uint16_t sorted[SKETCH_KEYS];
	assert_int_equal(sketch_sorted(&sketch, sorted), 2);
	assert_int_equal(sketch.keys[sorted[0]].size, 1024);
}

/* ---- slow requests ---- */

static void the_slowest_are_kept(void **state)
{
	enum { ROOM = 16, TIMES = 1000 };
	struct slow slow;

	(void)state;
	assert_true(slow_init(&slow, ROOM));
	for (int i = 0; i < TIMES; i++)
		slow_add(&slow, &(struct seen){ .run_ns = (uint64_t)(i * 7919 % TIMES) + 1, .wall_us = i });
	assert_int_equal(slow.count, ROOM);
	assert_int_equal(slow.total, TIMES);
	assert_int_equal(slow.unfinished, ROOM);
	slow_finish(&slow, 5);
	assert_int_equal(slow.unfinished, 0);
	slow_sort(&slow);
	for (size_t i = 0; i < ROOM; i++) {
		assert_int_equal(slow.kept[i].run_ns, TIMES - ROOM + 1 + i);
		assert_int_equal(slow.kept[i].took_ns, 5);
	}
	/* What is sorted is a heap still. */
	slow_add(&slow, &(struct seen){ .run_ns = TIMES * 2 });
	slow_add(&slow, &(struct seen){ .run_ns = 1 });
	slow_finish(&slow, 9);
	slow_sort(&slow);
	assert_int_equal(slow.kept[0].run_ns, TIMES - ROOM + 2);
	assert_int_equal(slow.kept[ROOM - 1].run_ns, TIMES * 2);
	assert_int_equal(slow.kept[ROOM - 1].took_ns, 9);
	slow_reset(&slow);
	assert_int_equal(slow.count + slow.total, 0);
	slow_clear(&slow);
	assert_true(slow_init(&slow, 0));
	slow_add(&slow, &(struct seen){ .run_ns = 1 });
	assert_int_equal(slow.count, 0);
	assert_int_equal(slow.total, 1);
	slow_clear(&slow);
}

/* ---- clients ---- */

static void clients_come_and_go(void **state)
{
	enum { MANY = 3000 };
	struct clients clients = { 0 };
	bool there[MANY] = { false };

	(void)state;
	assert_null(clients_find(&clients, 1));
	for (int i = 0; i < 60000; i++) {
		uint32_t which = next_random() % MANY;
		uint64_t connection = ((uint64_t)(which % 7) << 32) + which + 1;
		if (next_random() % 3 == 0) {
			clients_ended(&clients, connection);
			there[which] = false;
		} else {
			assert_non_null(clients_heard(&clients, connection, &alice, i));
			there[which] = true;
		}
	}
	size_t count = 0;
	for (uint32_t which = 0; which < MANY; which++) {
		uint64_t connection = ((uint64_t)(which % 7) << 32) + which + 1;
		struct client *client = clients_find(&clients, connection);
		assert_int_equal(client != NULL, there[which]);
		if (client != NULL)
			assert_int_equal(client->connection, connection);
		count += there[which];
	}
	assert_int_equal(clients.count, count);
	client_set_name(&clients.list[0], "a b\033[1m and far too much for a name of a program", 46);
	assert_string_equal(clients.list[0].name, "a?b?[1m?and?far?too?much?for?a?");
	clients_clear(&clients);
}

/* ---- traces ---- */

static struct seen seen_of(const struct sole_operation_entry *operation, const char *key, pid_t pid)
{
	struct seen seen = { .first = operation, .has_key = key != NULL, .operations = 1, .caller = { .pid = pid } };

	if (key != NULL) {
		seen.key_size = (uint32_t)strlen(key);
		memcpy(seen.key, key, seen.key_size);
	}
	return seen;
}

static void a_filter_lets_through_what_it_says(void **state)
{
	const struct sole_operation_entry *get = &table_behaviour.operations[0], *put = &table_behaviour.operations[1];
	const struct seen one = seen_of(get, "user/1", 7), two = seen_of(put, "job/1", 8), none = seen_of(get, NULL, 7);
	struct trace_filter filter = { 0 };

	(void)state;
	assert_true(trace_wants(&filter, &one) && trace_wants(&filter, &two) && trace_wants(&filter, &none));
	filter.operation = put;
	assert_true(!trace_wants(&filter, &one) && trace_wants(&filter, &two));
	filter = (struct trace_filter){ .pid = 7 };
	assert_true(trace_wants(&filter, &one) && !trace_wants(&filter, &two));
	filter = (struct trace_filter){ .keyed = true, .prefix_size = 5, .prefix = "user/" };
	assert_true(trace_wants(&filter, &one) && !trace_wants(&filter, &two) && !trace_wants(&filter, &none));
}

static size_t count_lines(const struct trace *trace, uint64_t *took)
{
	size_t size, lines = 0;
	const uint8_t *bytes = trace_next(trace, SIZE_MAX, &size);
	struct wire_reader reader = wire_reader(bytes, size);
	struct value values[14];
	size_t count;

	for (; reader.left > 0; lines++) {
		assert_true(wire_read_list(&reader, values, 14, &count));
		assert_int_equal(count, 14);
		*took = (uint64_t)values[1].integer;
	}
	return lines;
}

static void lines_wait_for_the_end_of_their_round(void **state)
{
	struct trace trace = { .filter.slower_ns = 100 };
	const struct seen seen = seen_of(&table_behaviour.operations[0], "k", 1);
	uint64_t took = 0;
	size_t size;

	(void)state;
	assert_true(trace_add(&trace, &seen) && trace_add(&trace, &seen));
	trace_next(&trace, SIZE_MAX, &size);
	assert_int_equal(size, 0);
	assert_int_equal(trace_finish(&trace, 99), 0); /* not slow enough */
	assert_int_equal(count_lines(&trace, &took), 0);
	assert_true(trace_add(&trace, &seen) && trace_add(&trace, &seen));
	assert_int_equal(trace_finish(&trace, 0x123456789a), 2);
	assert_int_equal(count_lines(&trace, &took), 2);
	assert_int_equal(took, 0x123456789a);
	/* By whole lines. */
	trace_next(&trace, SIZE_MAX, &size);
	size_t line = size / 2;
	trace_next(&trace, line + 5, &size);
	assert_int_equal(size, line);
	trace_sent(&trace, size);
	assert_int_equal(count_lines(&trace, &took), 1);
	trace_clear(&trace);
}

static void a_trace_has_a_bound_and_tells_what_it_dropped(void **state)
{
	struct trace trace = { 0 };
	const struct seen seen = seen_of(&table_behaviour.operations[0], "some key", 1);
	size_t size, added = 0, in_all = 0;
	uint64_t took;

	(void)state;
	for (int i = 0; i < 10000; i++)
		added += trace_add(&trace, &seen);
	assert_in_range(added, 100, 9999);
	assert_int_equal(trace.dropped, 10000 - added);
	assert_true(trace.lines.size <= TRACE_BYTES && trace.lines.capacity <= TRACE_BYTES);
	trace_finish(&trace, 1);
	/* It goes round: what is sent makes room, whatever the pieces. */
	for (int round = 0; round < 2000; round++) {
		trace_next(&trace, 1 + next_random() % 5000, &size);
		trace_sent(&trace, size);
		if (trace_add(&trace, &seen))
			in_all++;
		trace_finish(&trace, 1);
		assert_true(trace.lines.size <= TRACE_BYTES);
	}
	assert_true(in_all > 1000);
	count_lines(&trace, &took);
	trace_clear(&trace);
}

/* ---- all of it in a service ---- */

static int64_t fake_ns, fake_step_ns;

static int64_t fake_clock(void)
{
	return fake_ns += fake_step_ns;
}

struct bench {
	struct rig *rig;
	struct bench_outlet *outlet;
};

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof *bench);

	assert_non_null(bench);
	fake_ns = 0;
	fake_step_ns = 1;
	bench->rig = rig_new();
	bench->rig->uid = 1000;
	bench->rig->clock_ns = fake_clock;
	bench->rig->slow_after_ns = 1000;
	bench->rig->limits.traces = 2;
	bench->outlet = outlet_new();
	assert_true(rig_start(bench->rig, &table_behaviour, 1));
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	outlet_free(bench->outlet);
	rig_free(bench->rig);
	free(bench);
	return 0;
}

static void put(struct bench *bench, const struct caller *caller, const char *key)
{
	rig_by(bench->rig, caller, 1);
	rig_simple(bench->rig, ITEM_RUN);
	rig_put(bench->rig, key, value_integer(1));
	rig_round(bench->rig);
	service_round_over(bench->rig->service, bench->rig->now_ns + 5000, 700);
}

static enum code ask(struct bench *bench, const struct caller *caller, enum item_kind kind, int64_t number)
{
	const struct value list = value_integer(number);

	rig_by(bench->rig, caller, 1);
	rig_simple(bench->rig, kind);
	if (number >= 0)
		rig_list(bench->rig, &list, 1);
	rig_round(bench->rig);
	return (enum code)rig_answer(bench->rig, 0)->header.code;
}

static size_t count_lists(const struct answer *answer)
{
	struct wire_reader payload = answer->payload;
	struct value ignored;
	size_t count, lists = 0;

	for (; payload.left > 0; lists++)
		assert_true(wire_read_list(&payload, &ignored, 1, &count));
	return lists;
}

static void latencies_are_those_of_what_was_answered(void **state)
{
	struct bench *bench = *state;

	put(bench, &alice, "a");
	put(bench, &alice, "b");
	rig_by(bench->rig, &alice, 1);
	rig_query(bench->rig, 0, 1);
	rig_get(bench->rig, "a");
	rig_get(bench->rig, "b");
	rig_simple(bench->rig, ITEM_RUN);
	rig_cas(bench->rig, "a", value_integer(5), value_integer(6)); /* refused: not counted */
	rig_round(bench->rig);
	service_round_over(bench->rig->service, bench->rig->now_ns + 900, 0);
	assert_int_equal(ask(bench, &bob, ITEM_LATENCIES, -1), CODE_OK); /* anybody may */
	assert_int_equal(count_lists(rig_answer(bench->rig, 0)), 1 + 3 + 2);
	assert_int_equal(rig_integer(bench->rig, 0, 0, 0), 0); /* that was all */
	assert_true(is_text(rig_value(bench->rig, 0, 1, 0), "round"));
	assert_int_equal(rig_integer(bench->rig, 0, 1, 3), 3);
	assert_int_equal(rig_integer(bench->rig, 0, 1, 4), 10900);
	assert_int_equal(rig_integer(bench->rig, 0, 1, 5), 5000);
	assert_true(is_text(rig_value(bench->rig, 0, 2, 0), "sync"));
	assert_int_equal(rig_integer(bench->rig, 0, 2, 3), 2);
	assert_true(is_text(rig_value(bench->rig, 0, 3, 0), "arrivals"));
	assert_true(is_text(rig_value(bench->rig, 0, 4, 0), "get") && is_text(rig_value(bench->rig, 0, 4, 1), "query"));
	assert_int_equal(rig_integer(bench->rig, 0, 4, 3), 2);
	assert_true(is_text(rig_value(bench->rig, 0, 5, 0), "put"));
	assert_int_equal(rig_integer(bench->rig, 0, 5, 3), 2);
	assert_int_equal(bench->rig->counters.reads, 2);
	assert_int_equal(bench->rig->counters.writes, 2);
	assert_int_equal(ask(bench, &alice, ITEM_LATENCIES, 3), CODE_OK);
	assert_int_equal(count_lists(rig_answer(bench->rig, 0)), 1);
}

static void what_shows_others_takes_the_right_admin(void **state)
{
	static const enum item_kind kinds[] = { ITEM_CLIENTS, ITEM_HOT, ITEM_SLOW, ITEM_TRACE };
	struct bench *bench = *state;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		assert_int_equal(ask(bench, &bob, kinds[i], -1), CODE_DENIED);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ask(bench, &alice, kinds[i], -1), CODE_OK);
	assert_int_equal(ask(bench, &alice, ITEM_SLOW, 2), CODE_INVALID);
	assert_int_equal(ask(bench, &alice, ITEM_CLIENTS, 99), CODE_OK);
}

static void clients_are_told_with_what_they_asked_for(void **state)
{
	struct bench *bench = *state;

	rig_by(bench->rig, &bob, 5);
	rig_hello(bench->rig, 1, 1, true);
	rig_simple(bench->rig, ITEM_RUN);
	rig_get(bench->rig, "a");
	rig_simple(bench->rig, ITEM_RUN);
	rig_get(bench->rig, "a");
	rig_round(bench->rig);
	rig_session_by(bench->rig, &bob, 5);
	assert_int_equal(ask(bench, &alice, ITEM_CLIENTS, -1), CODE_OK);
	assert_int_equal(rig_integer(bench->rig, 0, 0, 1), 2);
	assert_int_equal(rig_integer(bench->rig, 0, 1, 0), 5);
	assert_int_equal(rig_integer(bench->rig, 0, 1, 1), bob.pid);
	assert_int_equal(rig_integer(bench->rig, 0, 1, 2), bob.uid);
	assert_true(is_text(rig_value(bench->rig, 0, 1, 4), "unit?test"));
	assert_int_equal(rig_integer(bench->rig, 0, 1, 5), 2); /* messages */
	assert_int_equal(rig_integer(bench->rig, 0, 1, 6), 2); /* requests */
	assert_int_equal(rig_integer(bench->rig, 0, 1, 7), 1); /* sessions */
	service_connection_ended(bench->rig->service, 5);
	assert_int_equal(ask(bench, &alice, ITEM_CLIENTS, -1), CODE_OK);
	assert_int_equal(rig_integer(bench->rig, 0, 0, 1), 1);
}

static void a_slow_request_is_kept(void **state)
{
	struct bench *bench = *state;

	put(bench, &alice, "quick");
	fake_step_ns = 4000;
	put(bench, &bob, "slow");
	fake_step_ns = 1;
	assert_int_equal(bench->rig->counters.slow, 1);
	assert_int_equal(ask(bench, &alice, ITEM_SLOW, -1), CODE_OK);
	assert_int_equal(count_lists(rig_answer(bench->rig, 0)), 2);
	assert_int_equal(rig_integer(bench->rig, 0, 0, 0), 1000);
	assert_int_equal(rig_integer(bench->rig, 0, 0, 2), 1);
	assert_int_equal(rig_integer(bench->rig, 0, 1, 1), 5000); /* took */
	assert_int_equal(rig_integer(bench->rig, 0, 1, 2), 4000); /* ran */
	assert_int_equal(rig_integer(bench->rig, 0, 1, 4), bob.pid);
	assert_true(is_text(rig_value(bench->rig, 0, 1, 10), "put") && is_text(rig_value(bench->rig, 0, 1, 12), "slow"));
	assert_int_equal(ask(bench, &alice, ITEM_SLOW, 1), CODE_OK);
	assert_int_equal(count_lists(rig_answer(bench->rig, 0)), 2); /* told, and forgotten */
	assert_int_equal(ask(bench, &alice, ITEM_SLOW, -1), CODE_OK);
	assert_int_equal(count_lists(rig_answer(bench->rig, 0)), 1);
}

/* What the first half did is undone, and so it did not run. */
static void of_two_halves_one_counts(void **state)
{
	struct bench *bench = *state;

	rig_by(bench->rig, &alice, 1);
	rig_item(bench->rig, &(struct request_header){ .kind = ITEM_RUN, .flags = REQUEST_FLAG_OTHERWISE });
	rig_put(bench->rig, "k", value_integer(1));
	rig_cas(bench->rig, "k", value_integer(5), value_integer(6)); /* does not hold */
	rig_operation(bench->rig, OPERATION_OTHERWISE, NULL, 0);
	rig_get(bench->rig, "k");
	rig_round(bench->rig);
	rig_is(bench->rig, 0, ITEM_RUN, CODE_OK);
	service_round_over(bench->rig->service, bench->rig->now_ns + 1000, 0);
	ask(bench, &alice, ITEM_LATENCIES, -1);
	assert_int_equal(count_lists(rig_answer(bench->rig, 0)), 1 + 3 + 1);
	assert_true(is_text(rig_value(bench->rig, 0, 4, 0), "get"));
	assert_int_equal(rig_integer(bench->rig, 0, 4, 3), 1);
}

/* Of several that the clock is read once for, the heaviest is blamed, and it is said how many they were. */
static void the_heaviest_of_a_message_is_blamed(void **state)
{
	struct bench *bench = *state;

	fake_step_ns = 4000;
	rig_by(bench->rig, &alice, 1);
	for (int i = 0; i < 3; i++) {
		rig_simple(bench->rig, ITEM_RUN);
		rig_put(bench->rig, i == 1 ? "heavy" : "light", i == 1 ? value_text("much more than the others have") : value_integer(1));
	}
	rig_round(bench->rig);
	service_round_over(bench->rig->service, bench->rig->now_ns + 5000, 0);
	fake_step_ns = 1;
	ask(bench, &alice, ITEM_SLOW, -1);
	assert_int_equal(count_lists(rig_answer(bench->rig, 0)), 2);
	assert_int_equal(rig_integer(bench->rig, 0, 1, 3), 3);
	assert_true(is_text(rig_value(bench->rig, 0, 1, 12), "heavy"));
}

static enum code trace(struct bench *bench, uint64_t connection, struct value operation, struct value key, int64_t slower_ns)
{
	const struct value list[] = { operation, key, value_integer(0), value_integer(slower_ns) };

	rig_by(bench->rig, &alice, connection);
	rig_item(bench->rig, &(struct request_header){ .kind = ITEM_TRACE, .sequence = 77 });
	rig_list(bench->rig, list, 4);
	rig_round(bench->rig);
	return (enum code)rig_answer(bench->rig, 0)->header.code;
}

static void a_trace_is_told_of_requests_as_they_run(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(trace(bench, 9, value_text("put"), value_text("user/"), 0), CODE_OK);
	put(bench, &bob, "user/1");
	put(bench, &bob, "job/1");
	rig_by(bench->rig, &bob, 1);
	rig_simple(bench->rig, ITEM_RUN);
	rig_get(bench->rig, "user/1");
	rig_round(bench->rig);
	service_round_over(bench->rig->service, bench->rig->now_ns + 5000, 0);
	bench->outlet->unready = 0;
	outlet_deliver(bench->outlet, bench->rig);
	assert_int_equal(bench->outlet->count, 1);
	const struct notice *notice = &bench->outlet->notices[0];
	assert_int_equal(notice->connection, 9);
	assert_int_equal(notice->header.kind, ITEM_TRACED);
	assert_int_equal(notice->header.sequence, 77);
	assert_int_equal(notice_value(notice, 1).integer, 5000);
	assert_int_equal(notice_value(notice, 4).integer, bob.pid);
	assert_int_equal(notice_value(notice, 9).integer, CODE_OK);
	assert_true(is_text(notice_value(notice, 12), "user/1"));
	assert_int_equal(bench->rig->counters.traced, 1);
	/* It ends with its connection. */
	service_connection_ended(bench->rig->service, 9);
	outlet_clear(bench->outlet);
	put(bench, &bob, "user/2");
	outlet_deliver(bench->outlet, bench->rig);
	assert_int_equal(bench->outlet->count, 0);
}

/* Those before and behind it in its message are not measured with it, nor each by itself. */
static void what_a_trace_wants_is_measured_by_itself(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(trace(bench, 9, value_none(), value_text("user/"), 0), CODE_OK);
	bench->outlet->unready = 0;
	outlet_clear(bench->outlet);
	fake_step_ns = 100;
	int64_t before_ns = fake_clock();
	rig_by(bench->rig, &bob, 1);
	for (int i = 0; i < 9; i++) {
		rig_simple(bench->rig, ITEM_RUN);
		rig_get(bench->rig, i == 4 ? "user/1" : "job/1");
	}
	rig_round(bench->rig);
	/* Before the round, before and behind what is wanted, and behind the message. */
	assert_int_equal(fake_clock() - before_ns, 5 * fake_step_ns);
	fake_step_ns = 1;
	service_round_over(bench->rig->service, bench->rig->now_ns + 5000, 0);
	outlet_deliver(bench->outlet, bench->rig);
	assert_int_equal(bench->outlet->count, 1);
	const struct notice *notice = &bench->outlet->notices[0];
	assert_true(is_text(notice_value(notice, 12), "user/1"));
	assert_int_equal(notice_value(notice, 2).integer, 100);
	assert_int_equal(notice_value(notice, 3).integer, 1);
}

static void a_trace_that_does_not_read_holds_up_nobody(void **state)
{
	struct bench *bench = *state;
	uint64_t told = 0, dropped = 0;

	assert_int_equal(trace(bench, 9, value_none(), value_none(), 0), CODE_OK);
	bench->outlet->unready = UINT64_MAX;
	for (int i = 0; i < 4000; i++) {
		put(bench, &bob, "key");
		assert_false(outlet_deliver_once(bench->outlet, bench->rig));
	}
	assert_int_equal(bench->outlet->count, 0);
	bench->outlet->unready = 0;
	outlet_deliver(bench->outlet, bench->rig);
	for (size_t i = 0; i < bench->outlet->count; i++) {
		struct wire_reader payload = bench->outlet->notices[i].payload;
		struct value values[14];
		size_t count;
		while (payload.left > 0) {
			assert_true(wire_read_list(&payload, values, 14, &count));
			told += count == 14;
			dropped += count == 1 ? (uint64_t)values[0].integer : 0;
		}
	}
	assert_true(dropped > 0 && told > 0);
	assert_int_equal(told + dropped, 4000);
	assert_int_equal(bench->rig->counters.trace_drops, dropped);
}

static void traces_have_a_limit_and_a_connection_has_one(void **state)
{
	struct bench *bench = *state;
	char longest[100];

	memset(longest, 'k', sizeof longest);
	assert_int_equal(trace(bench, 1, value_none(), value_none(), 0), CODE_OK);
	assert_int_equal(trace(bench, 1, value_none(), value_none(), 0), CODE_OK); /* instead */
	assert_int_equal(trace(bench, 2, value_none(), value_none(), 0), CODE_OK);
	assert_int_equal(trace(bench, 3, value_none(), value_none(), 0), CODE_BUSY);
	assert_int_equal(bench->rig->counters.limit_traces, 1);
	rig_by(bench->rig, &alice, 2);
	rig_simple(bench->rig, ITEM_UNTRACE);
	rig_round(bench->rig);
	rig_is(bench->rig, 0, ITEM_UNTRACE, CODE_OK);
	assert_int_equal(trace(bench, 3, value_text("nothing"), value_none(), 0), CODE_INVALID);
	assert_int_equal(trace(bench, 3, value_none(), value_bytes(longest, sizeof longest), 0), CODE_INVALID);
	assert_int_equal(trace(bench, 3, value_none(), value_none(), -1), CODE_INVALID);
	assert_int_equal(trace(bench, 0, value_none(), value_none(), 0), CODE_INVALID); /* a broker between */
	assert_int_equal(trace(bench, 3, value_none(), value_none(), 0), CODE_OK);
}

/* What was run to bring the state back was not asked for by anybody. */
static void what_is_resumed_counts_from_nothing(void **state)
{
	struct bench *bench = *state;
	const struct identity identity = { .name = "unit", .incarnation = 0x1234, .history = 0x5678, .uid = 1000 };

	rig_by(bench->rig, &alice, 1);
	rig_simple(bench->rig, ITEM_RUN);
	rig_put(bench->rig, "k", value_integer(1));
	rig_round(bench->rig); /* whose end nobody tells */
	service_resume(bench->rig->service, &identity, bench->rig->now_ns);
	service_round_over(bench->rig->service, bench->rig->now_ns, 0);
	ask(bench, &alice, ITEM_LATENCIES, -1);
	assert_int_equal(count_lists(rig_answer(bench->rig, 0)), 1 + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_done_counts),
		cmocka_unit_test(a_round_is_the_latency_of_all_that_ran_in_it),
		cmocka_unit_test(a_hot_key_is_seen_among_any_number_of_others),
		cmocka_unit_test(what_was_hot_is_forgotten),
		cmocka_unit_test(one_request_of_many_is_looked_at),
		cmocka_unit_test(long_keys_are_told_apart_and_cut),
		cmocka_unit_test(the_slowest_are_kept),
		cmocka_unit_test(clients_come_and_go),
		cmocka_unit_test(a_filter_lets_through_what_it_says),
		cmocka_unit_test(lines_wait_for_the_end_of_their_round),
		cmocka_unit_test(a_trace_has_a_bound_and_tells_what_it_dropped),
		cmocka_unit_test_setup_teardown(latencies_are_those_of_what_was_answered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_shows_others_takes_the_right_admin, set_up, tear_down),
		cmocka_unit_test_setup_teardown(clients_are_told_with_what_they_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_slow_request_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(of_two_halves_one_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_heaviest_of_a_message_is_blamed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_trace_is_told_of_requests_as_they_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_trace_wants_is_measured_by_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_trace_that_does_not_read_holds_up_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(traces_have_a_limit_and_a_connection_has_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_resumed_counts_from_nothing, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("numbers", tests, NULL, NULL);
}
