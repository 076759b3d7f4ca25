/* SPDX-License-Identifier: MIT
 *
 * The owner without a socket: messages that are none, what it tells about itself, how much a
 * reply may hold, and leaving.
 */
#include "tests/lib/rig.h"

/* ---- messages that are none ---- */

static void a_broken_message_runs_nothing_and_is_answered(void **state)
{
	struct rig *rig = *state;

	/* Every way to cut it, and every lie about its count. */
	rig_message(rig, &alice, false);
	rig_simple(rig, ITEM_RUN);
	rig_add(rig, "k", 1);
	rig_simple(rig, ITEM_PING);
	rig_cancel(rig, 0, 1, true);
	rig_finish(rig);
	struct buffer whole = { 0 };
	buffer_append(&whole, rig->bodies[0].data, rig->bodies[0].size);
	rig->ran = true; /* as far as the rig is concerned */
	for (size_t size = 0; size < whole.size; size++) {
		rig_message(rig, &alice, false);
		buffer_reset(rig_body(rig));
		buffer_append(rig_body(rig), whole.data, size);
		rig_raw_round(rig);
		bool header = size >= PROTOCOL_MESSAGE_HEADER_BYTES;
		assert_int_equal(rig->messages[0].verdict, header ? MESSAGE_BROKEN : MESSAGE_UNREADABLE);
		assert_int_equal(rig->answer_count, header);
		if (header)
			rig_refused(rig, 0, CODE_MALFORMED, -1, "nothing of it was run");
	}
	static const uint16_t counts[] = { 0, 1, 2, 4, 1024, 1025, 65535 };
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		rig_message(rig, &alice, false);
		buffer_reset(rig_body(rig));
		buffer_append(rig_body(rig), whole.data, whole.size);
		wire_finish_message(rig_body(rig), counts[i]);
		rig_raw_round(rig);
		rig_refused(rig, 0, CODE_MALFORMED, -1, "");
	}
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
	assert_int_equal(rig->counters.messages, whole.size + 7);
	assert_int_equal(rig->counters.messages_malformed, whole.size + 7);
	buffer_clear(&whole);
}

static void a_message_of_another_kind_or_version_is_told_apart(void **state)
{
	struct rig *rig = *state;
	static const struct {
		size_t offset;
		uint8_t byte;
		enum service_verdict verdict;
	} cases[] = {
		{ 0, 'X', MESSAGE_UNREADABLE },
		{ 3, 'e', MESSAGE_UNREADABLE },
		{ 4, 0, MESSAGE_VERSION },
		{ 4, 2, MESSAGE_VERSION },
		{ 4, 255, MESSAGE_VERSION },
		{ 5, 0, MESSAGE_BROKEN },
		{ 5, MESSAGE_REPLY, MESSAGE_BROKEN },
		{ 5, 255, MESSAGE_BROKEN },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		rig_message(rig, &alice, false);
		rig_simple(rig, ITEM_RUN);
		rig_add(rig, "k", 1);
		rig_finish(rig);
		rig->bodies[0].data[cases[i].offset] = cases[i].byte;
		rig_raw_round(rig);
		assert_int_equal(rig->messages[0].verdict, cases[i].verdict);
		assert_int_equal(rig->answer_count, cases[i].verdict != MESSAGE_UNREADABLE);
		if (cases[i].verdict == MESSAGE_VERSION) {
			rig_refused(rig, 0, CODE_VERSION, -1, "version");
			assert_int_equal(rig_integer(rig, 0, 0, 2), PROTOCOL_VERSION_LEAST);
			assert_int_equal(rig_integer(rig, 0, 0, 3), PROTOCOL_VERSION);
		}
	}
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

static void frames_behind_the_body_make_it_broken(void **state)
{
	struct rig *rig = *state;

	rig_message(rig, &alice, false);
	rig->messages[0].overlong = true;
	rig_simple(rig, ITEM_RUN);
	rig_add(rig, "k", 1);
	rig_round(rig);
	rig_refused(rig, 0, CODE_MALFORMED, -1, "frames follow the body");
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

static void a_cancel_in_a_broken_message_withdraws_nothing(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	rig_message(rig, &alice, false);
	rig_cancel(rig, session, 1, false);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_finish(rig);
	wire_finish_message(&rig->bodies[0], 2);
	rig_raw_round(rig);
	rig_is(rig, 0, ITEM_HELLO - 1, CODE_MALFORMED); /* it names no item */
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
}

static void items_of_no_kind_and_notices_are_refused_by_themselves(void **state)
{
	struct rig *rig = *state;
	static const uint8_t kinds[] = { 0, ITEM_LEAVING - 1, ITEM_LEAVING, 255 };

	rig_message(rig, &alice, true);
	for (size_t i = 0; i < 4; i++)
		rig_item(rig, &(struct request_header){ .kind = kinds[i], .sequence = i });
	rig_simple(rig, ITEM_PING);
	rig_round(rig);
	for (size_t i = 0; i < 4; i++) {
		rig_is(rig, i, kinds[i], CODE_MALFORMED);
		assert_int_equal(rig->answers[i].header.sequence, i);
	}
	rig_is(rig, 4, ITEM_PING, CODE_OK);
}

/* ---- who it is ---- */

static void hello_agrees_on_a_version_or_says_why_not(void **state)
{
	struct rig *rig = *state;

	rig_message(rig, &alice, false);
	rig_hello(rig, 1, 1, true);
	rig_round(rig);
	rig_is(rig, 0, ITEM_HELLO, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 0, 0), PROTOCOL_VERSION);
	assert_int_equal(rig_value(rig, 0, 0, 1).size, 4);
	assert_int_equal(rig_integer(rig, 0, 0, 8), 42);
	assert_true(rig->messages[0].notices);
	rig_message(rig, &alice, true);
	rig_hello(rig, 0, 9, false);
	rig_round(rig);
	assert_false(rig->messages[0].notices);
	rig_message(rig, &alice, false);
	rig_hello(rig, 2, 9, true);
	rig_hello(rig, -5, 0, true);
	rig_hello(rig, 9, 1, true);
	rig_simple(rig, ITEM_HELLO);
	rig_round(rig);
	rig_is(rig, 0, ITEM_HELLO, CODE_VERSION);
	rig_is(rig, 1, ITEM_HELLO, CODE_VERSION);
	rig_refused(rig, 2, CODE_INVALID, -1, "lowest and the highest");
	rig_refused(rig, 3, CODE_INVALID, -1, "lowest and the highest");
	assert_false(rig->messages[0].notices);
}

static void status_stats_and_describe_are_lists_that_can_be_read(void **state)
{
	struct rig *rig = *state;
	static const struct {
		enum item_kind kind;
		size_t values; /* in each list; 0: pairs in one */
	} items[] = { { ITEM_STATUS, 0 }, { ITEM_STATS, 6 }, { ITEM_DESCRIBE, 6 } };

	/* Every counter, every gauge, and every code that says no. */
	size_t numbers = offsetof(struct counters, answers) / 8 + sizeof(struct gauges) / 8;
	for (unsigned code = 1; code < COUNTED_CODES; code++)
		numbers += strcmp(code_name(code), "other") != 0 && code != CODE_WAITING;

	rig_message(rig, &alice, false);
	for (size_t i = 0; i < 3; i++)
		rig_simple(rig, items[i].kind);
	rig_round(rig);
	for (size_t i = 0; i < 3; i++) {
		struct wire_reader payload = rig_answer(rig, i)->payload;
		rig_is(rig, i, items[i].kind, CODE_OK);
		size_t lists = 0;
		for (; payload.left > 0; lists++) {
			struct value values[WIRE_LIST_MAX];
			size_t count;
			assert_true(wire_read_list(&payload, values, WIRE_LIST_MAX, &count));
			assert_int_equal(items[i].values == 0 ? count % 2 : count - items[i].values, 0);
		}
		assert_int_equal(lists, i == 0	 ? 1
					: i == 1 ? numbers
						 : table_behaviour.operation_count);
	}
	struct value first = rig_value(rig, 2, 0, 3), text = value_text("key:key");
	assert_true(value_equal(&first, &text));
}

/* ---- room ---- */

static void put_big(struct rig *rig, const char *key, size_t size)
{
	rig_message(rig, &bob, true);
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, key, *rig_big(size));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
}

static void replies_come_in_parts_to_those_who_take_parts(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	rig_restart(rig);
	put_big(rig, "k", 400 * KIB);
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_PING);
	for (uint64_t i = 1; i <= 5; i++) {
		rig_query(rig, 0, i);
		rig_get(rig, "k");
	}
	rig_simple(rig, ITEM_PING);
	rig_message(rig, &bob, true);
	rig_simple(rig, ITEM_PING);
	rig_round(rig);
	static const unsigned parts[] = { 0, 0, 0, 1, 1, 2, 2, 0 };
	assert_int_equal(rig->answer_count, 8);
	assert_int_equal(rig->reply_counts[0], 3);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(rig->answers[i].header.code, CODE_OK);
		assert_int_equal(rig->answers[i].part, parts[i]);
	}
	for (size_t i = 1; i <= 5; i++) {
		struct value value = rig_value(rig, i, 0, 0);
		assert_int_equal(rig->answers[i].header.sequence, i);
		assert_true(value_equal(&value, rig_big(400 * KIB)));
	}
	/* A single reply that fits into no message is refused, and what it did is undone. */
	uint64_t digest = rig_digest(rig);
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, "other", value_integer(1));
	for (int i = 0; i < 3; i++)
		rig_get(rig, "k");
	rig_round(rig);
	rig_refused(rig, 0, CODE_TOO_LARGE, 3, "would not fit");
	assert_true(rig_digest(rig) == digest);
	assert_int_equal(rig->counters.limit_reply, 1);
}

static void others_get_one_message_whatever_they_ask_for(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	rig_restart(rig);
	put_big(rig, "k", 400 * KIB);
	rig_message(rig, &alice, false);
	for (uint64_t i = 1; i <= 5; i++) {
		rig_query(rig, 0, i);
		rig_get(rig, "k");
	}
	rig_simple(rig, ITEM_STATS);
	rig_round(rig);
	assert_int_equal(rig->reply_counts[0], 1);
	assert_int_equal(rig->answer_count, 6);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(rig->answers[i].header.code, i < 2 || i == 5 ? CODE_OK : CODE_TOO_LARGE);
	/* As many items as a message may have, the first taking what it can. */
	rig_message(rig, &alice, false);
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	for (unsigned i = 2; i < PROTOCOL_ITEMS_MAX; i++)
		rig_simple(rig, i % 2 ? ITEM_STATS : ITEM_DESCRIBE);
	rig_round(rig);
	assert_int_equal(rig->answer_count, PROTOCOL_ITEMS_MAX);
	assert_int_equal(rig->reply_counts[0], 1);
	assert_int_equal(rig->answers[PROTOCOL_ITEMS_MAX - 1].header.code, CODE_TOO_LARGE);
}

static void a_repeated_reply_has_room_or_is_asked_for_by_itself(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	rig->limits.session_replies_bytes = 8 << 20;
	rig_restart(rig);
	put_big(rig, "k", 500 * KIB);
	uint64_t session = rig_session(rig, &alice, 1);
	/* The largest reply there is, and two that do not fit into one message. */
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_get(rig, "k");
	rig_get(rig, "k");
	rig_command(rig, session, 2);
	rig_get(rig, "k");
	rig_command(rig, session, 3);
	rig_get(rig, "k");
	rig_command(rig, session, 4);
	rig_get(rig, "k");
	rig_round(rig);
	for (size_t i = 0; i < 4; i++)
		rig_is(rig, i, ITEM_RUN, CODE_OK);
	/* A peer that takes no parts asks again. */
	rig_message(rig, &alice, false);
	for (uint64_t sequence = 2; sequence <= 4; sequence++) {
		rig_command(rig, session, sequence);
		rig_get(rig, "k");
	}
	rig_cancel(rig, session, 4, false);
	rig_round(rig);
	assert_int_equal(rig->reply_counts[0], 1);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	rig_refused(rig, 2, CODE_REPLY_FORGOTTEN, -1, "no room to repeat");
	rig_is(rig, 3, ITEM_CANCEL, CODE_OK);
	assert_int_equal(rig_integer(rig, 3, 0, 0), CANCEL_ANSWERED);
	rig_is(rig, 4, ITEM_RUN, CODE_REPLY_FORGOTTEN);
	for (uint64_t sequence = 1; sequence <= 4; sequence++) {
		rig_message(rig, &alice, false);
		rig_command(rig, session, sequence);
		rig_get(rig, "k");
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_OK);
		rig_message(rig, &alice, false);
		rig_cancel(rig, session, sequence, false);
		rig_round(rig);
		rig_is(rig, 1, ITEM_RUN, CODE_OK);
	}
	/* One that does splits where a message is full. */
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_PING);
	for (uint64_t sequence = 1; sequence <= 4; sequence++)
		rig_cancel(rig, session, sequence, false);
	rig_round(rig);
	assert_int_equal(rig->answer_count, 9);
	for (size_t i = 2; i < 9; i += 2)
		rig_is(rig, i, ITEM_RUN, CODE_OK);
}

static void the_largest_reply_and_its_cancel_fit_into_a_message(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	rig->limits.session_replies_bytes = 8 << 20;
	rig_restart(rig);
	uint64_t session = rig_session(rig, &alice, 1), sequence = 0;
	unsigned fit = 0, too_large = 0;

	/* Two values, growing byte by byte over the edge. */
	put_big(rig, "half", 512 * KIB);
	for (size_t size = 512 * KIB - 200; size < 512 * KIB; size++) {
		put_big(rig, "rest", size);
		rig_message(rig, &alice, true);
		rig_item(rig, &(struct request_header){
				      .kind = ITEM_RUN, .session = session, .sequence = ++sequence });
		rig_get(rig, "half");
		rig_get(rig, "rest");
		rig_round(rig);
		if (rig->answers[0].header.code == CODE_TOO_LARGE) {
			too_large++;
			continue;
		}
		fit++;
		for (int ping = 0; ping < 2; ping++) {
			rig_message(rig, &alice, true);
			if (ping)
				rig_simple(rig, ITEM_PING);
			rig_cancel(rig, session, sequence, false);
			rig_round(rig); /* judges the size */
			rig_is(rig, rig->answer_count - 1, ITEM_RUN, CODE_OK);
		}
	}
	assert_true(fit > 0 && too_large > 0);
}

static void hello_and_parts_may_share_a_message(void **state)
{
	struct rig *rig = *state;

	rig->limits.value_bytes = 524288;
	rig_restart(rig);
	put_big(rig, "k", 500 * KIB);
	rig_message(rig, &alice, false);
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	rig_hello(rig, 1, 1, true);
	for (uint64_t i = 2; i <= 4; i++) {
		rig_query(rig, 0, i);
		rig_get(rig, "k");
	}
	rig_round(rig);
	assert_int_equal(rig->answer_count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(rig->answers[i].header.code, CODE_OK);
	assert_int_equal(rig->reply_counts[0], 2);
}

static void a_round_gives_no_more_replies_than_clients_may_leave_unread(void **state)
{
	struct rig *rig = *state;

	rig->limits.outbox_total_bytes = 64 * KIB;
	rig_restart(rig);
	put_big(rig, "k", 40 * KIB);
	uint64_t session = rig_session(rig, &alice, 1);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "n", 1);
	rig_command(rig, session, 2);
	rig_get(rig, "k");
	rig_round(rig);

	rig_message(rig, &alice, true);
	for (uint64_t i = 1; i <= 3; i++) {
		rig_query(rig, 0, i);
		rig_get(rig, "k");
	}
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1); /* ran already: BUSY would say that it did not */
	rig_add(rig, "n", 1);
	rig_command(rig, session, 2);
	rig_get(rig, "k");
	rig_command(rig, session, 3);
	rig_add(rig, "n", 1);
	rig_cancel(rig, session, 2, false);
	rig_simple(rig, ITEM_PING);
	rig_simple(rig, ITEM_STATS);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	rig_refused(rig, 2, CODE_BUSY, -1, "max-outboxes");
	rig_is(rig, 3, ITEM_RUN, CODE_OK);
	rig_is(rig, 4, ITEM_RUN, CODE_REPLY_FORGOTTEN);
	rig_refused(rig, 5, CODE_BUSY, -1, "max-outboxes");
	rig_is(rig, 6, ITEM_CANCEL, CODE_OK);
	rig_is(rig, 7, ITEM_RUN, CODE_REPLY_FORGOTTEN);
	rig_is(rig, 8, ITEM_PING, CODE_OK);
	rig_refused(rig, 9, CODE_BUSY, -1, "max-outboxes");
	assert_int_equal(rig->counters.limit_outboxes, 3);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 3); /* it used no sequence; the next round is another */
	rig_add(rig, "n", 1);
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 2);
}

/* ---- leaving ---- */

static void an_owner_that_leaves_runs_nothing_new_and_tells_what_ran(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);
	struct buffer notice = { 0 };

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_add(rig, "k", 1);
	rig_round(rig);
	service_leave(rig->service, &notice);
	struct wire_reader reader = wire_reader(notice.data, notice.size), payload;
	struct message_header header;
	struct reply_header item;
	assert_true(wire_read_message_header(&reader, &header));
	assert_int_equal(header.kind, MESSAGE_NOTICE);
	assert_int_equal(header.count, 1);
	assert_true(wire_read_reply_header(&reader, &item) &&
		    wire_read_payload(&reader, item.size, &payload));
	assert_int_equal(item.kind, ITEM_LEAVING);
	assert_int_equal(reader.left, 0);
	buffer_clear(&notice);

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1); /* its answer was lost on the way: it did run */
	rig_add(rig, "k", 1);
	rig_command(rig, session, 2);
	rig_add(rig, "k", 1);
	rig_query(rig, 0, 5);
	rig_get(rig, "k");
	rig_open(rig, 9, 0);
	rig_command(rig, SESSION_OPENED, 1);
	rig_add(rig, "k", 1);
	rig_simple(rig, ITEM_PING);
	rig_cancel(rig, session, 1, false);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = session });
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	for (size_t i = 1; i < 5; i++)
		assert_int_equal(rig_answer(rig, i)->header.code, CODE_LEAVING);
	rig_is(rig, 5, ITEM_PING, CODE_OK);
	rig_is(rig, 6, ITEM_CANCEL, CODE_OK);
	rig_is(rig, 7, ITEM_RUN, CODE_OK);
	rig_is(rig, 8, ITEM_GOODBYE, CODE_OK);
	assert_int_equal(rig_look(rig, "k"), 1);
}

static const struct CMUnitTest tests[] = {
	ON_A_RIG(a_broken_message_runs_nothing_and_is_answered),
	ON_A_RIG(a_message_of_another_kind_or_version_is_told_apart),
	ON_A_RIG(frames_behind_the_body_make_it_broken),
	ON_A_RIG(a_cancel_in_a_broken_message_withdraws_nothing),
	ON_A_RIG(items_of_no_kind_and_notices_are_refused_by_themselves),
	ON_A_RIG(hello_agrees_on_a_version_or_says_why_not),
	ON_A_RIG(status_stats_and_describe_are_lists_that_can_be_read),
	ON_A_RIG(replies_come_in_parts_to_those_who_take_parts),
	ON_A_RIG(others_get_one_message_whatever_they_ask_for),
	ON_A_RIG(a_repeated_reply_has_room_or_is_asked_for_by_itself),
	ON_A_RIG(the_largest_reply_and_its_cancel_fit_into_a_message),
	ON_A_RIG(hello_and_parts_may_share_a_message),
	ON_A_RIG(a_round_gives_no_more_replies_than_clients_may_leave_unread),
	ON_A_RIG(an_owner_that_leaves_runs_nothing_new_and_tells_what_ran),
};

UNIT_MAIN(tests)
