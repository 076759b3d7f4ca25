/* SPDX-License-Identifier: MIT
 *
 * The ring of events: every one once and in order, found again by (revision, index), and no
 * silence about what is gone. Against a model that keeps them all.
 */
#include "tests/lib/unit.h"
#include "tests/lib/scarce.h"

#include "owner/core/events.h"

#include <string.h>

enum { SMALLEST = 4096 };

static struct events *new_events(uint64_t bytes_max)
{
	struct events *events = events_new(bytes_max);

	assert_non_null(events);
	return events;
}

/* One event of which the key is `key_size` bytes that say which one it is. */
static void encode(struct buffer *out, uint64_t number, size_t key_size)
{
	static uint8_t key[EVENT_MAX_BYTES + 100];

	assert_true(key_size <= sizeof key);
	memset(key, (int)(number % 251), key_size);
	const struct value name = value_bytes(key, key_size), value = value_integer((int64_t)number);
	events_encode(out, "put", &name, &value);
}

static void append_one(struct events *events, uint64_t revision, uint64_t number, size_t key_size)
{
	struct buffer encoded = { 0 };

	encode(&encoded, number, key_size);
	events_append(events, revision, &encoded, 1);
	buffer_clear(&encoded);
}

static void assert_event(const struct event *event, uint64_t revision, uint32_t index, uint64_t number,
			 size_t key_size)
{
	assert_true(event->revision == revision);
	assert_int_equal(event->index, index);
	assert_int_equal(event->kind.size, 3);
	assert_memory_equal(event->kind.bytes, "put", 3);
	assert_int_equal(event->key.size, key_size);
	for (size_t i = 0; i < key_size; i += 1 + key_size / 50)
		assert_int_equal(event->key.bytes[i], number % 251);
	assert_true(event->value.integer == (int64_t)number);
	/* What is sent on as it is kept: three values and nothing behind them. */
	struct wire_reader values = event->values;
	struct value value;
	for (int i = 0; i < 3; i++)
		assert_true(wire_read_value(&values, &value));
	assert_int_equal(values.left, 0);
}

static void an_empty_ring_begins_where_one_likes(void **state)
{
	(void)state;
	struct events *events = new_events(SMALLEST);
	uint64_t revision = 1, place = 77;

	assert_true(events_first(events) == events_next(events));
	assert_true(events_seek(events, &revision, 0, &place));
	assert_true(place == events_next(events));
	revision = 12345;
	assert_true(events_seek(events, &revision, 3, &place));
	assert_true(place == events_next(events) && revision == 12345);
	assert_int_equal(events_bytes(events), 0);
	events_destroy(&events);
	assert_null(events);
	events_destroy(&events);
}

static void events_of_one_revision_are_told_apart_by_index(void **state)
{
	(void)state;
	struct events *events = new_events(SMALLEST);
	struct buffer encoded = { 0 };

	for (uint64_t i = 0; i < 3; i++)
		encode(&encoded, 10 + i, 4);
	events_append(events, 7, &encoded, 3);
	append_one(events, 9, 20, 4);
	uint64_t at = events_first(events);
	for (uint32_t i = 0; i < 3; i++) {
		struct event event = events_get(events, at);
		assert_event(&event, 7, i, 10 + i, 4);
		at = event.next;
	}
	struct event last = events_get(events, at);
	assert_event(&last, 9, 0, 20, 4);
	assert_true(last.next == events_next(events));

	static const struct {
		uint64_t revision;
		uint32_t index;
		uint64_t number; /* of the event that it finds; 0: the next to come */
	} cases[] = { { 1, 0, 10 }, { 7, 0, 10 }, { 7, 1, 11 }, { 7, 2, 12 }, { 7, 3, 20 },
		      { 8, 0, 20 }, { 9, 0, 20 }, { 9, 1, 0 },	{ 10, 0, 0 } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t revision = cases[i].revision, place = 1;
		assert_true(events_seek(events, &revision, cases[i].index, &place));
		if (cases[i].number == 0) {
			assert_true(place == events_next(events));
			continue;
		}
		struct event event = events_get(events, place);
		assert_true(event.value.integer == (int64_t)cases[i].number);
	}
	buffer_clear(&encoded);
	events_destroy(&events);
}

static void what_is_gone_is_too_old_and_says_from_where_all_is_kept(void **state)
{
	(void)state;
	struct events *events = new_events(SMALLEST);
	uint64_t place;

	for (uint64_t revision = 1; revision <= 1000; revision++)
		append_one(events, revision, revision, 20);
	struct event first = events_get(events, events_first(events));
	assert_true(first.revision > 800 && first.revision < 1000);
	for (uint64_t asked = 1; asked <= 1001; asked++) {
		uint64_t revision = asked;
		bool kept = events_seek(events, &revision, 0, &place);
		assert_int_equal(kept, asked >= first.revision);
		assert_true(revision == (kept ? asked : first.revision));
	}
	/* Behind the last that is gone there is no gap: a watcher that has heard it goes on. */
	uint64_t revision = first.revision - 1;
	assert_true(events_seek(events, &revision, 1, &place));
	assert_true(place == events_first(events));
	events_destroy(&events);
}

static void a_revision_of_which_some_are_gone_is_gone(void **state)
{
	(void)state;
	struct events *events = new_events(SMALLEST);
	struct buffer encoded = { 0 };
	uint64_t place, revision = 5;

	for (uint64_t i = 0; i < 500; i++)
		encode(&encoded, i, 20);
	events_append(events, 5, &encoded, 500);
	assert_false(events_seek(events, &revision, 0, &place));
	assert_true(revision == 6);
	revision = 5;
	uint32_t index = events_get(events, events_first(events)).index;
	assert_true(index > 300);
	assert_false(events_seek(events, &revision, index - 1, &place));
	revision = 5;
	assert_true(events_seek(events, &revision, index, &place));
	assert_true(place == events_first(events));
	buffer_clear(&encoded);
	events_destroy(&events);
}

static void one_too_large_to_be_kept_is_missed_by_nobody_silently(void **state)
{
	(void)state;
	static const uint64_t rooms[] = { SMALLEST, 8 << 20 };
	static const size_t sizes[] = { SMALLEST, EVENT_MAX_BYTES };

	for (size_t i = 0; i < 2; i++) {
		struct events *events = new_events(rooms[i]);
		append_one(events, 1, 1, 10);
		uint64_t reader = events_next(events), place, revision = 2;
		append_one(events, 2, 2, sizes[i]);
		assert_true(reader < events_first(events)); /* it hears that it is behind */
		assert_true(events_first(events) == events_next(events));
		assert_false(events_seek(events, &revision, 0, &place));
		assert_true(revision == 3);
		append_one(events, 3, 3, 10);
		assert_true(events_seek(events, &revision, 0, &place));
		struct event event = events_get(events, place);
		assert_event(&event, 3, 0, 3, 10);
		events_destroy(&events);
	}
}

static void the_largest_that_may_be_kept_is(void **state)
{
	(void)state;
	struct events *events = new_events(2 << 20);
	struct buffer encoded = { 0 };

	encode(&encoded, 0, 0);
	size_t largest = EVENT_MAX_BYTES - (encoded.size - 4);
	buffer_clear(&encoded);
	for (uint64_t i = 1; i <= 20; i++) { /* in every part of the ring */
		append_one(events, 2 * i, i, largest);
		struct event event;
		for (uint64_t at = events_first(events); at < events_next(events); at = event.next)
			event = events_get(events, at);
		assert_event(&event, 2 * i, 0, i, largest);
		append_one(events, 2 * i + 1, i, 100 * i);
	}
	events_destroy(&events);
}

static void a_list_is_no_value_of_an_event(void **state)
{
	(void)state;
	struct events *events = new_events(SMALLEST);
	struct buffer encoded = { 0 };
	const struct value list = { .type = VALUE_LIST, .size = 1, .bytes = (const uint8_t *)"\xff" },
			   key = value_text("k");

	events_encode(&encoded, "put", &key, &list);
	events_append(events, 1, &encoded, 1);
	struct event event = events_get(events, events_first(events));
	assert_int_equal(event.value.type, VALUE_NONE);
	assert_int_equal(event.key.size, 1);
	buffer_clear(&encoded);
	events_destroy(&events);
}

/* ---- against a model ---- */

struct told {
	uint64_t revision, place;
	uint32_t index;
	size_t key_size;
};

/* The first event at or after (revision, index). */
static size_t find_told(const struct told *told, size_t count, uint64_t revision, uint32_t index)
{
	size_t i = 0;

	while (i < count &&
	       (told[i].revision < revision || (told[i].revision == revision && told[i].index < index)))
		i++;
	return i;
}

static void any_sequence_of_events_is_as_the_model(void **state)
{
	(void)state;
	enum { MOST = 6000 };
	static struct told told[MOST + 64];
	struct unit_random random = { unit_seed() };
	static const uint64_t rooms[] = { SMALLEST, 5000, 65536, 1 << 20 };

	for (size_t room = 0; room < sizeof rooms / sizeof *rooms; room++) {
		struct events *events = new_events(rooms[room]);
		size_t count = 0, reader = 0;
		uint64_t revision = 0, reader_place = events_next(events);
		while (count < MOST) {
			struct buffer encoded = { 0 };
			size_t some = 1 + unit_below(&random, unit_below(&random, 4) ? 2 : 40);
			revision += 1 + unit_below(&random, 3);
			for (size_t i = 0; i < some; i++) {
				size_t size = unit_below(&random, unit_below(&random, 9) ? 60 : 1500);
				told[count + i] = (struct told){ revision, 0, (uint32_t)i, size };
				encode(&encoded, count + i, size);
			}
			events_append(events, revision, &encoded, some);
			buffer_clear(&encoded);
			count += some;
			assert_true(events_bytes(events) <= rooms[room]);

			/* What is kept are the last ones, each as it was told. */
			size_t kept = 0, first = 0;
			for (uint64_t at = events_first(events); at < events_next(events); kept++)
				at = events_get(events, at).next;
			assert_true(kept <= count);
			first = count - kept;
			size_t number = first;
			for (uint64_t at = events_first(events); at < events_next(events); number++) {
				struct event event = events_get(events, at);
				told[number].place = at;
				if (number % 7 == count % 7)
					assert_event(&event, told[number].revision, told[number].index,
						     number, told[number].key_size);
				at = event.next;
			}
			/* One who reads at leisure misses nothing without being told. */
			if (reader_place < events_first(events)) {
				assert_true(reader < first);
				reader = first;
				reader_place = events_first(events);
			}
			for (size_t i = unit_below(&random, 60); i > 0 && reader_place < events_next(events);
			     i--) {
				struct event event = events_get(events, reader_place);
				assert_true(event.value.integer == (int64_t)reader);
				reader++;
				reader_place = event.next;
			}
			/* And each is found by its name. */
			for (int i = 0; i < 10; i++) {
				uint64_t asked = unit_below(&random, (size_t)revision + 3), place = 0,
					 start = asked;
				uint32_t index =
					(uint32_t)unit_below(&random, unit_below(&random, 2) ? 2 : 40);
				size_t expected = find_told(told, count, asked, index);
				bool found = events_seek(events, &start, index, &place);
				assert_int_equal(found, expected >= first);
				if (found && expected < count)
					assert_true(place == told[expected].place);
				if (found && expected == count)
					assert_true(place == events_next(events));
				if (!found)
					assert_true(
						find_told(told, count, start, 0) >= first &&
						(start == 1 || find_told(told, count, start - 1, 0) < first));
			}
		}
		events_destroy(&events);
	}
}

/* ---- without memory ---- */

static void keeping_an_event_takes_no_memory(void **state)
{
	(void)state;
	struct events *events = new_events(SMALLEST);
	struct buffer encoded = { 0 };

	for (uint64_t i = 0; i < 4; i++)
		encode(&encoded, i, 30);
	scarce_begin(0, true);
	for (uint64_t revision = 1; revision < 1000; revision++)
		events_append(events, revision, &encoded, 4);
	assert_int_equal(scarce_end(), 0);
	buffer_clear(&encoded);
	events_destroy(&events);
}

static void a_ring_without_memory_is_none(void **state)
{
	(void)state;
	for (long succeed = 0; succeed < 2; succeed++) {
		long live = scarce_live;
		scarce_begin(succeed, true);
		struct events *events = events_new(SMALLEST);
		assert_int_equal(scarce_end(), 1);
		assert_null(events);
		assert_int_equal(scarce_live, live);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(an_empty_ring_begins_where_one_likes),
	cmocka_unit_test(events_of_one_revision_are_told_apart_by_index),
	cmocka_unit_test(what_is_gone_is_too_old_and_says_from_where_all_is_kept),
	cmocka_unit_test(a_revision_of_which_some_are_gone_is_gone),
	cmocka_unit_test(one_too_large_to_be_kept_is_missed_by_nobody_silently),
	cmocka_unit_test(the_largest_that_may_be_kept_is),
	cmocka_unit_test(a_list_is_no_value_of_an_event),
	cmocka_unit_test(any_sequence_of_events_is_as_the_model),
	cmocka_unit_test(keeping_an_event_takes_no_memory),
	cmocka_unit_test(a_ring_without_memory_is_none),
};

UNIT_MAIN(tests)
