/* SPDX-License-Identifier: MIT
 *
 * Watches: every event once and in order to whoever watches, from where they say, and plain words
 * to those who are too late. Nothing leaves before the end of the round.
 */
#include "tests/lib/outlet.h"

struct bench {
	struct rig *rig;
	struct bench_outlet *outlet;
};

enum { HISTORY = 0x5678 };

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof *bench);

	assert_non_null(bench);
	bench->rig = rig_new();
	bench->rig->limits.watches = 8;
	bench->rig->limits.events_bytes = 64 * KIB;
	bench->outlet = outlet_new();
	assert_true(rig_start(bench->rig, &table_behaviour, 1));
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	assert_sound(bench->rig);
	outlet_free(bench->outlet);
	rig_free(bench->rig);
	free(bench);
	return 0;
}

/* Adds the item to the message that is being written. */
static void watch_item(struct rig *rig, uint64_t id, const char *prefix, int64_t history, int64_t revision,
		       int64_t index)
{
	const struct value list[] = { value_text(prefix), value_integer(history), value_integer(revision),
				      value_integer(index) };

	rig_item(rig, &(struct request_header){ .kind = ITEM_WATCH, .sequence = id });
	rig_list(rig, list, 4);
}

static enum code watch(struct bench *bench, uint64_t connection, uint64_t id, const char *prefix,
		       int64_t revision, int64_t index)
{
	rig_by(bench->rig, &alice, connection);
	watch_item(bench->rig, id, prefix, HISTORY, revision, index);
	rig_round(bench->rig);
	assert_int_equal(rig_answer(bench->rig, 0)->header.kind, ITEM_WATCH);
	return (enum code)rig_answer(bench->rig, 0)->header.code;
}

static void put(struct bench *bench, const char *key, int64_t n)
{
	rig_message(bench->rig, &alice, true);
	rig_simple(bench->rig, ITEM_RUN);
	rig_put(bench->rig, key, value_integer(n));
	rig_round(bench->rig);
	rig_is(bench->rig, 0, ITEM_RUN, CODE_OK);
}

struct heard {
	uint64_t connection, id, revision;
	int64_t index;
	struct value kind, key, value;
};

/* Everything that was delivered to a watch, event by event, in order. */
static size_t hear(struct bench *bench, uint64_t connection, uint64_t id, struct heard *heard, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; i < bench->outlet->count; i++) {
		const struct notice *notice = &bench->outlet->notices[i];
		struct wire_reader payload = notice->payload;
		if (notice->connection != connection || notice->header.kind != ITEM_EVENTS ||
		    notice->header.sequence != id || notice->header.code != CODE_OK)
			continue;
		while (payload.left > 0) {
			struct value list[5];
			size_t length;
			assert_true(wire_read_list(&payload, list, 5, &length));
			if (length == 2)
				continue; /* a place without an event */
			assert_int_equal(length, 5);
			assert_true(count < room);
			heard[count++] = (struct heard){ connection, id, (uint64_t)list[0].integer,
							 list[1].integer, list[2], list[3], list[4] };
		}
	}
	return count;
}

static void deliver(struct bench *bench)
{
	outlet_deliver(bench->outlet, bench->rig);
}

static void a_watch_from_now_hears_what_comes(void **state)
{
	struct bench *bench = *state;
	struct heard heard[8];

	put(bench, "a", 1);
	/* What stands before it in its own round it does not hear, what stands behind it does. */
	rig_by(bench->rig, &alice, 7);
	rig_simple(bench->rig, ITEM_RUN);
	rig_put(bench->rig, "a", value_integer(2));
	watch_item(bench->rig, 33, "", 0, 0, 0);
	rig_simple(bench->rig, ITEM_RUN);
	rig_put(bench->rig, "a", value_text("three"));
	rig_simple(bench->rig, ITEM_RUN);
	rig_delete(bench->rig, "a");
	rig_simple(bench->rig, ITEM_RUN); /* changes nothing */
	rig_delete(bench->rig, "a");
	rig_round(bench->rig);
	rig_is(bench->rig, 1, ITEM_WATCH, CODE_OK);
	assert_int_equal(rig_integer(bench->rig, 1, 0, 0), 2); /* the revision that it begins behind */
	assert_int_equal(bench->outlet->count, 0); /* nothing leaves before the round is durable */
	deliver(bench);
	assert_int_equal(hear(bench, 7, 33, heard, 8), 2);
	assert_int_equal(bench->outlet->count, 1); /* in one message */
	assert_true(heard[0].revision == 3 && heard[0].index == 0);
	assert_true(is_text(heard[0].kind, "put") && is_text(heard[0].key, "a") &&
		    is_text(heard[0].value, "three"));
	assert_true(heard[1].revision == 4 && is_text(heard[1].kind, "delete"));
	assert_int_equal(heard[1].value.type, VALUE_NONE);
	outlet_clear(bench->outlet);
	deliver(bench);
	assert_int_equal(bench->outlet->count, 0);
}

static void each_event_of_a_request_has_its_index(void **state)
{
	struct bench *bench = *state;
	struct heard heard[8];

	watch(bench, 1, 1, "", 0, 0);
	rig_message(bench->rig, &alice, true);
	rig_simple(bench->rig, ITEM_RUN);
	rig_add(bench->rig, "a", 1);
	rig_add(bench->rig, "b", 2);
	rig_add(bench->rig, "a", 3);
	rig_simple(bench->rig, ITEM_RUN); /* refused: it tells nothing */
	rig_add(bench->rig, "a", 4);
	rig_cas(bench->rig, "a", value_none(), value_none());
	rig_round(bench->rig);
	deliver(bench);
	assert_int_equal(hear(bench, 1, 1, heard, 8), 3);
	for (int64_t i = 0; i < 3; i++)
		assert_true(heard[i].revision == 1 && heard[i].index == i);
	assert_int_equal(heard[2].value.integer, 4);
	/* From within the revision on. */
	assert_int_equal(watch(bench, 2, 1, "", 1, 1), CODE_OK);
	assert_int_equal(watch(bench, 3, 1, "", 1, 3), CODE_OK);
	deliver(bench);
	assert_int_equal(hear(bench, 2, 1, heard, 8), 2);
	assert_true(is_text(heard[0].key, "b"));
	assert_int_equal(hear(bench, 3, 1, heard, 8), 0);
}

static void a_notice_that_is_dropped_is_sent_again(void **state)
{
	struct bench *bench = *state;
	struct heard heard[8];

	assert_int_equal(watch(bench, 7, 1, "", 0, 0), CODE_OK);
	put(bench, "a", 1);
	bench->outlet->drops = 1;
	/* It keeps its place, and nobody runs in circles for it. */
	assert_false(outlet_deliver_once(bench->outlet, bench->rig));
	assert_int_equal(bench->outlet->count, 0);
	put(bench, "b", 2);
	deliver(bench);
	assert_int_equal(hear(bench, 7, 1, heard, 8), 2);
	assert_memory_equal(heard[0].key.bytes, "a", 1);
	assert_memory_equal(heard[1].key.bytes, "b", 1);
}

static void several_watches_each_hear_their_prefix(void **state)
{
	struct bench *bench = *state;
	struct heard heard[8];

	watch(bench, 1, 1, "a", 0, 0);
	watch(bench, 1, 2, "ab", 0, 0);
	watch(bench, 1, 3, "", 0, 0);
	watch(bench, 2, 1, "b", 0, 0);
	put(bench, "a", 1);
	put(bench, "abc", 2);
	put(bench, "b", 3);
	deliver(bench);
	assert_int_equal(hear(bench, 1, 1, heard, 8), 2);
	assert_int_equal(hear(bench, 1, 2, heard, 8), 1);
	assert_int_equal(hear(bench, 1, 3, heard, 8), 3);
	assert_int_equal(hear(bench, 2, 1, heard, 8), 1);
	outlet_clear(bench->outlet);
	/* One is ended, one is replaced; the same number on another connection is another watch. */
	rig_by(bench->rig, &alice, 1);
	rig_item(bench->rig, &(struct request_header){ .kind = ITEM_UNWATCH, .sequence = 3 });
	rig_item(bench->rig, &(struct request_header){ .kind = ITEM_UNWATCH, .sequence = 99 });
	watch_item(bench->rig, 1, "b", 0, 0, 0);
	rig_round(bench->rig);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(rig_answer(bench->rig, i)->header.code, CODE_OK);
	put(bench, "b", 4);
	put(bench, "a", 5);
	deliver(bench);
	assert_int_equal(hear(bench, 1, 1, heard, 8), 1);
	assert_int_equal(hear(bench, 1, 3, heard, 8), 0);
	assert_int_equal(hear(bench, 2, 1, heard, 8), 1);
	outlet_clear(bench->outlet);
	service_connection_ended(bench->rig->service, 1);
	put(bench, "b", 5);
	deliver(bench);
	assert_int_equal(bench->outlet->count, 1);
	assert_int_equal(bench->outlet->notices[0].connection, 2);
}

static void a_watch_may_begin_in_the_past(void **state)
{
	struct bench *bench = *state;
	struct heard heard[64];

	for (int64_t i = 1; i <= 20; i++)
		put(bench, "k", i);
	for (int64_t from = 1; from <= 21; from++) {
		assert_int_equal(watch(bench, 1, 5, "k", from, 0), CODE_OK);
		deliver(bench);
		assert_int_equal(hear(bench, 1, 5, heard, 64), 21 - from);
		if (from <= 20)
			assert_true(heard[0].revision == (uint64_t)from && heard[0].value.integer == from);
		outlet_clear(bench->outlet);
	}
	/* A place that has not come yet is none. */
	static const int64_t bad[][2] = { { 22, 0 }, { 21, 1 }, { INT64_MAX, 0 },
					  { -1, 0 }, { 1, -1 }, { 1, 1LL << 32 } };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(watch(bench, 1, 5, "k", bad[i][0], bad[i][1]), CODE_INVALID);
	put(bench, "k", 21);
	deliver(bench);
	assert_int_equal(bench->outlet->count, 0); /* and the watch of that number is no more */
}

static void another_history_is_too_old(void **state)
{
	struct bench *bench = *state;

	put(bench, "k", 1);
	rig_by(bench->rig, &alice, 1);
	watch_item(bench->rig, 1, "", HISTORY + 1, 1, 0);
	watch_item(bench->rig, 2, "", HISTORY + 1, 0, 0); /* from now: of whatever history */
	rig_round(bench->rig);
	rig_refused(bench->rig, 0, CODE_TOO_OLD, -1, "start again");
	assert_int_equal(rig_integer(bench->rig, 0, 0, 2), 2);
	rig_is(bench->rig, 1, ITEM_WATCH, CODE_OK);
}

static void what_is_no_watch_is_refused(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	const struct value three[] = { value_text(""), value_integer(0), value_integer(0) };
	const struct value longer[] = { *rig_big(1025), value_integer(0), value_integer(0),
					value_integer(0) };

	rig_by(rig, &alice, 1);
	rig_simple(rig, ITEM_WATCH);
	rig_simple(rig, ITEM_WATCH);
	rig_list(rig, three, 3);
	rig_simple(rig, ITEM_WATCH);
	rig_list(rig, longer, 4);
	rig_message(rig, &alice, true); /* relayed: no connection */
	watch_item(rig, 1, "", 0, 0, 0);
	rig_message(rig, &alice, false); /* takes no notices */
	rig->messages[rig->count - 1].connection = 5;
	watch_item(rig, 1, "", 0, 0, 0);
	rig_round(rig);
	rig_refused(rig, 0, CODE_INVALID, -1, "a prefix, a history");
	rig_refused(rig, 1, CODE_INVALID, -1, "a prefix, a history");
	rig_refused(rig, 2, CODE_TOO_LARGE, -1, "max-key");
	rig_refused(rig, 3, CODE_INVALID, -1, "takes notices");
	rig_refused(rig, 4, CODE_INVALID, -1, "takes notices");
	assert_int_equal(rig->counters.watches_opened, 0);
}

static void so_many_watches_and_no_more(void **state)
{
	struct bench *bench = *state;

	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(watch(bench, 1 + i % 3, i, "", 0, 0), CODE_OK);
	assert_int_equal(watch(bench, 1, 100, "", 0, 0), CODE_BUSY);
	rig_refused(bench->rig, 0, CODE_BUSY, -1, "max-watches");
	assert_int_equal(bench->rig->counters.limit_watches, 1);
	assert_int_equal(watch(bench, 1, 0, "", 0, 0), CODE_OK); /* in place of another */
	service_connection_ended(bench->rig->service, 2);
	assert_int_equal(watch(bench, 1, 100, "", 0, 0), CODE_OK);
}

static void who_falls_behind_is_told_where_to_start(void **state)
{
	struct bench *bench = *state;
	static struct heard heard[4096];

	watch(bench, 1, 1, "", 0, 0);
	watch(bench, 2, 1, "", 0, 0);
	bench->outlet->unready = 1;
	for (int64_t i = 1; i <= 3000; i++) {
		put(bench, "k", i);
		if (i % 100 == 0)
			deliver(bench);
	}
	assert_int_equal(hear(bench, 2, 1, heard, 4096), 3000); /* one does not suffer for the other */
	for (int64_t i = 0; i < 3000; i++)
		assert_int_equal(heard[i].value.integer, i + 1);
	outlet_clear(bench->outlet);
	bench->outlet->unready = 0;
	deliver(bench);
	assert_int_equal(bench->outlet->count, 1);
	const struct notice *notice = &bench->outlet->notices[0];
	assert_int_equal(notice->header.kind, ITEM_EVENTS);
	assert_int_equal(notice->header.code, CODE_TOO_OLD);
	assert_true(notice->header.sequence == 1 && notice->connection == 1);
	int64_t start = notice_value(notice, 2).integer;
	assert_true(start > 1 && start <= 3000);
	assert_int_equal(bench->rig->counters.watches_behind, 1);
	outlet_clear(bench->outlet);
	/* From there on everything is kept; from the one before not. */
	assert_int_equal(watch(bench, 1, 2, "", start - 1, 0), CODE_TOO_OLD);
	assert_int_equal(rig_integer(bench->rig, 0, 0, 2), start);
	assert_int_equal(watch(bench, 1, 2, "", start, 0), CODE_OK);
	deliver(bench);
	put(bench, "k", 3001);
	deliver(bench);
	assert_int_equal(hear(bench, 1, 2, heard, 4096), 3002 - start);
	assert_true(heard[0].revision == (uint64_t)start);
	assert_int_equal(hear(bench, 1, 1, heard, 4096), 0); /* that watch is over */
}

/* The places that a watch was told without an event: how many, and the last of them. */
static size_t places(struct bench *bench, uint64_t connection, int64_t place[2])
{
	size_t count = 0;

	for (size_t i = 0; i < bench->outlet->count; i++) {
		struct wire_reader payload = bench->outlet->notices[i].payload;
		struct value list[5];
		size_t length;
		if (bench->outlet->notices[i].connection != connection)
			continue;
		assert_int_equal(bench->outlet->notices[i].header.code, CODE_OK);
		while (payload.left > 0) {
			assert_true(wire_read_list(&payload, list, 5, &length));
			if (length != 2)
				continue;
			place[0] = list[0].integer;
			place[1] = list[1].integer;
			count++;
		}
	}
	return count;
}

static void who_hears_nothing_is_told_how_far_the_owner_has_looked(void **state)
{
	struct bench *bench = *state;
	static struct heard heard[4096];
	int64_t place[2] = { 0 }, events_bytes = (int64_t)bench->rig->limits.events_bytes;

	watch(bench, 1, 1, "quiet", 0, 0);
	watch(bench, 2, 1, "", 0, 0);
	watch(bench, 3, 1, "quiet", 0, 0);
	bench->outlet->unready = 3;
	int64_t revision = 0;
	while (++revision, places(bench, 1, place) == 0) {
		put(bench, "k", revision);
		deliver(bench);
		assert_true(revision < events_bytes / 64);
	}
	assert_true(place[0] == revision && place[1] == 0); /* the next to come */
	assert_true(revision > events_bytes / 4 / 128);	    /* a quarter of the ring, and not each time */
	assert_int_equal(places(bench, 2, place), 0);	    /* who hears events knows */
	/* One that could not be told is told with the next event. */
	bench->outlet->unready = 0;
	put(bench, "k", 0);
	deliver(bench);
	assert_int_equal(places(bench, 3, place), 1);
	assert_int_equal(place[0], revision + 1);
	/* An event of its own tells it as well, and it counts from there. */
	outlet_clear(bench->outlet);
	put(bench, "quiet", 0);
	for (int64_t i = 0; i < revision / 2; i++)
		put(bench, "k", i);
	deliver(bench);
	assert_int_equal(places(bench, 1, place), 0);
	assert_int_equal(hear(bench, 1, 1, heard, 4096), 1);
	/* For as long as others make the ring go round, the place it has is one that is kept. */
	for (int64_t i = 0; i < 20 * revision; i++) {
		put(bench, "k", i);
		deliver(bench);
		if (i % 100 == 0)
			outlet_clear(bench->outlet);
		if (places(bench, 1, place) > 0)
			assert_int_equal(watch(bench, 4, 1, "quiet", place[0], place[1]), CODE_OK);
	}
	assert_int_equal(bench->rig->counters.watches_behind, 0);
}

static void one_that_does_not_read_costs_nothing_and_goes_on(void **state)
{
	struct bench *bench = *state;
	struct heard heard[64];

	watch(bench, 1, 1, "", 0, 0);
	bench->outlet->unready = 1;
	for (int64_t i = 0; i < 50; i++) {
		put(bench, "k", i);
		assert_false(outlet_deliver_once(bench->outlet, bench->rig)); /* nothing to hurry for */
	}
	assert_int_equal(bench->outlet->count, 0);
	bench->outlet->unready = 0;
	deliver(bench);
	assert_int_equal(hear(bench, 1, 1, heard, 64), 50);
}

static void a_long_past_comes_in_bounded_messages(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	static struct heard heard[4096];

	rig->limits.events_bytes = 8 << 20;
	rig_restart(rig);
	for (int64_t i = 0; i < 40; i++) {
		rig_message(rig, &alice, true);
		rig_simple(rig, ITEM_RUN);
		rig_put(rig, "big", *rig_big(100 * KIB));
		rig_round(rig);
	}
	watch(bench, 1, 1, "", 1, 0);
	watch(bench, 2, 1, "", 1, 0);
	assert_true(outlet_deliver_once(bench->outlet, rig));
	size_t one = hear(bench, 1, 1, heard, 4096), two = hear(bench, 2, 1, heard, 4096);
	assert_true(one > 0 && one < 40 && two > 0 && two < 40); /* both had a turn */
	deliver(bench);
	for (uint64_t connection = 1; connection <= 2; connection++) {
		assert_int_equal(hear(bench, connection, 1, heard, 4096), 40);
		for (uint64_t i = 0; i < 40; i++)
			assert_true(heard[i].revision == i + 1);
	}
}

/* Whatever is looked at and how often the way is full, nobody waits for ever and nothing is told twice. */
static void many_watches_of_many_events_take_turns(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	enum { WATCHES = 60, EVENTS = 20000, AT_ONCE = 500 };
	static struct heard heard[EVENTS];
	char key[16];

	rig->limits.events_bytes = 8 << 20;
	rig->limits.watches = WATCHES;
	rig_restart(rig);
	for (uint64_t i = 0; i < WATCHES; i++) {
		snprintf(key, sizeof key, "%d.", (int)(i % 10));
		watch(bench, i / 3, i, i == 7 ? "none" : key, 0, 0);
		if (i < 3) /* connection 0 is none */
			rig_refused(rig, 0, CODE_INVALID, -1, "notices");
	}
	for (int i = 0; i < EVENTS; i += AT_ONCE) {
		rig_message(rig, &alice, true);
		rig_simple(rig, ITEM_RUN);
		for (int j = i; j < i + AT_ONCE; j++) {
			snprintf(key, sizeof key, "%d.%d", j % 10, j);
			rig_put(rig, key, value_integer(j));
		}
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_OK);
		if (i % 4000 == 0)
			outlet_deliver_once(bench->outlet, rig);
	}
	deliver(bench);
	for (uint64_t i = 3; i < WATCHES; i++) {
		size_t count = hear(bench, i / 3, i, heard, EVENTS);
		assert_int_equal(count, i == 7 ? 0 : EVENTS / 10);
		for (size_t j = 0; j < count; j++)
			assert_int_equal(heard[j].value.integer, (int64_t)j * 10 + (int64_t)(i % 10));
	}
}

/* One call does a bounded part, and the next goes on with those that had no turn. */
static void a_great_many_watches_do_not_hold_up_a_round(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	enum { WATCHES = 64, EVENTS = 5000, AT_ONCE = 1000 };
	bool served[WATCHES + 1] = { false };
	size_t most = 0, all = 0, calls = 0;

	rig->limits.events_bytes = 8 << 20;
	rig->limits.watches = WATCHES;
	rig_restart(rig);
	for (uint64_t i = 1; i <= WATCHES; i++)
		watch(bench, i, 1, "", 0, 0);
	for (int i = 0; i < EVENTS; i += AT_ONCE) {
		rig_message(rig, &alice, true);
		rig_simple(rig, ITEM_RUN);
		for (int j = 0; j < AT_ONCE; j++)
			rig_add(rig, "k", 1);
		rig_round(rig);
	}
	for (; all < WATCHES; calls++) {
		size_t now = 0;
		assert_true(outlet_deliver_once(bench->outlet, rig));
		for (size_t i = 0; i < bench->outlet->count; i++) {
			uint64_t connection = bench->outlet->notices[i].connection;
			now += i == 0 || bench->outlet->notices[i - 1].connection != connection;
			all += !served[connection];
			served[connection] = true;
		}
		most = now > most ? now : most;
		outlet_clear(bench->outlet);
	}
	assert_true(most <= 20 && calls <= 5);
	deliver(bench);
}

static void a_cut_connection_goes_on_where_it_was(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	static struct heard heard[4096];
	struct unit_random random = { unit_seed() };
	uint64_t connection = 1, revision = 0;
	int64_t index = -1, expected = 0;

	rig->limits.events_bytes = 4 << 20;
	rig_restart(rig);
	assert_int_equal(watch(bench, connection, 1, "k", 1, 0), CODE_OK);
	for (int64_t written = 0; written < 3000;) {
		rig_message(rig, &alice, true);
		for (size_t requests = 1 + unit_below(&random, 4); requests > 0; requests--) {
			rig_simple(rig, ITEM_RUN);
			for (size_t i = 1 + unit_below(&random, 5); i > 0; i--) {
				rig_put(rig, unit_below(&random, 3) ? "k" : "k2", value_integer(written++));
				rig_put(rig, "other", value_integer(0));
			}
		}
		rig_round(rig);
		deliver(bench);
		size_t count = hear(bench, connection, 1, heard, 4096);
		if (count > 0 && unit_below(&random, 6) == 0) {
			count = unit_below(&random, count + 1); /* the rest is lost on the way */
			service_connection_ended(rig->service, connection++);
			for (size_t i = 0; i < count; i++)
				assert_int_equal(heard[i].value.integer, expected++);
			if (count > 0) {
				revision = heard[count - 1].revision;
				index = heard[count - 1].index;
			}
			outlet_clear(bench->outlet);
			assert_int_equal(watch(bench, connection, 1, "k",
					       revision == 0 ? 1 : (int64_t)revision, index + 1),
					 CODE_OK);
			deliver(bench);
			count = hear(bench, connection, 1, heard, 4096);
		}
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(heard[i].value.integer, expected++);
			revision = heard[i].revision;
			index = heard[i].index;
		}
		outlet_clear(bench->outlet);
		assert_true(expected == written);
	}
	assert_true(connection > 20);
}

static void watchers_hear_of_what_the_owner_does_by_itself(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	struct heard heard[16];
	uint64_t session = rig_session_by(rig, &alice, 2);
	const struct value brief[] = { value_text("brief"), value_integer(1), value_integer(10) };
	const struct value bound[] = { value_text("bound"), value_integer(1) };
	int64_t next_ns;

	watch(bench, 1, 1, "", 0, 0);
	rig_by(rig, &alice, 2);
	rig_command(rig, session, 1);
	rig_operation(rig, 12, brief, 3);
	rig_operation(rig, 15, bound, 2);
	rig_lock(rig, "lock");
	rig_round(rig);
	rig->wall_us += 10000;
	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	service_process_ended(rig->service, alice.pid);
	deliver(bench);
	static const char *const kinds[] = { "put", "put", "lock", "expire", "end", "unlock" };
	static const char *const keys[] = { "brief", "bound", "lock", "brief", "bound", "lock" };
	assert_int_equal(hear(bench, 1, 1, heard, 16), 6);
	for (size_t i = 0; i < 6; i++) {
		assert_true(is_text(heard[i].kind, kinds[i]));
		assert_true(is_text(heard[i].key, keys[i]));
		assert_true(i == 0 || heard[i].revision > heard[i - 1].revision ||
			    (heard[i].revision == heard[i - 1].revision &&
			     heard[i].index == heard[i - 1].index + 1));
	}
	assert_true(heard[2].value.integer > 0); /* the token */
}

/* A scan tells its revision; the watch from the next one on has all that the scan has not. */
static void a_scan_and_a_watch_leave_no_gap(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	struct heard heard[16];
	const struct value scan[] = { value_text(""), value_none(), value_integer(0) };

	put(bench, "a", 1);
	put(bench, "b", 2);
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, "c", value_integer(3));
	rig_query(rig, 0, 1);
	rig_operation(rig, 10, scan, 3);
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, "d", value_integer(4));
	rig_round(rig);
	uint64_t revision = rig_answer(rig, 1)->header.revision;
	assert_true(revision == 3);
	assert_int_equal(watch(bench, 1, 1, "", (int64_t)revision + 1, 0), CODE_OK);
	deliver(bench);
	assert_int_equal(hear(bench, 1, 1, heard, 16), 1);
	assert_true(is_text(heard[0].key, "d"));
}

#define ON_A_BENCH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	ON_A_BENCH(a_watch_from_now_hears_what_comes),
	ON_A_BENCH(a_notice_that_is_dropped_is_sent_again),
	ON_A_BENCH(each_event_of_a_request_has_its_index),
	ON_A_BENCH(several_watches_each_hear_their_prefix),
	ON_A_BENCH(a_watch_may_begin_in_the_past),
	ON_A_BENCH(another_history_is_too_old),
	ON_A_BENCH(what_is_no_watch_is_refused),
	ON_A_BENCH(so_many_watches_and_no_more),
	ON_A_BENCH(who_falls_behind_is_told_where_to_start),
	ON_A_BENCH(who_hears_nothing_is_told_how_far_the_owner_has_looked),
	ON_A_BENCH(one_that_does_not_read_costs_nothing_and_goes_on),
	ON_A_BENCH(a_long_past_comes_in_bounded_messages),
	ON_A_BENCH(many_watches_of_many_events_take_turns),
	ON_A_BENCH(a_great_many_watches_do_not_hold_up_a_round),
	ON_A_BENCH(a_cut_connection_goes_on_where_it_was),
	ON_A_BENCH(watchers_hear_of_what_the_owner_does_by_itself),
	ON_A_BENCH(a_scan_and_a_watch_leave_no_gap),
};

UNIT_MAIN(tests)
