/* SPDX-License-Identifier: MIT
 *
 * The client's engine, step by step: requests that wait for their turn, the session's news,
 * and watches. No socket and no clock; libzmq is not on the link line.
 */
#include "tests/lib/engine_kit.h"

static int setup(void **state)
{
	struct kit *kit = kit_new();

	kit->owner.parks = true;
	*state = kit;
	return 0;
}

static int teardown(void **state)
{
	kit_destroy(*state);
	return 0;
}

/* Number 7 waits, as KIT_WAIT_EACH says; `limit_ms` 0: for ever. */
static uint64_t wait_in_line(struct kit *kit, int64_t limit_ms)
{
	uint64_t id = kit_submit(kit, 7, false, limit_ms);

	kit_connect(kit);
	kit_pump(kit);
	assert_untold(kit, 7);
	assert_int_equal(kit->owner.parked_count, 1);
	assert_int_equal(kit->engine.parked.count, 1);
	assert_int_equal(kit->engine.under_way.count, 0);
	return id;
}

/* Its turn has come. */
static void grant(struct kit *kit, bool heard)
{
	assert_true(kit_resolve(&kit->owner, 0, CODE_OK, &kit->in));
	if (heard)
		kit_hear(kit);
}

static void what_waits_leaves_the_window_and_is_told_by_a_notice(void **state)
{
	struct kit *kit = *state;

	kit->owner.window = 1;
	wait_in_line(kit, 0);
	for (unsigned i = 1; i <= 6; i++)
		kit_submit(kit, i, false, 0);
	kit_pump(kit);
	for (unsigned i = 1; i <= 6; i++)
		assert_told(kit, i, CODE_OK);
	grant(kit, true);
	assert_told(kit, 7, CODE_OK);
	assert_int_equal(kit->told[7].value, 8);
	assert_int_equal(kit->told[7].sequence, 1);
	assert_int_equal(kit->engine.pending, 0);
}

static void a_late_answer_is_acknowledged_with_the_next_message_or_alone(void **state)
{
	struct kit *kit = *state;

	wait_in_line(kit, 0);
	grant(kit, true);
	assert_false(kit_next(kit));
	assert_int_equal(engine_deadline(&kit->engine), kit->now_ns + ENGINE_RECEIVED_NS);
	size_t before = kit->owner.messages;
	kit_wait(kit, 101);
	assert_int_equal(kit->owner.received, 1);
	assert_int_equal(kit->owner.messages, before + 1);
	kit_submit(kit, 14, false, 0);
	kit_pump(kit);
	grant(kit, true);
	kit_submit(kit, 1, false, 0);
	before = kit->owner.messages;
	kit_pump(kit);
	assert_int_equal(kit->owner.received, 2);
	assert_int_equal(kit->owner.messages, before + 1);
}

static void what_waits_is_asked_for_every_ten_seconds_and_not_before(void **state)
{
	struct kit *kit = *state;

	wait_in_line(kit, 0);
	grant(kit, false); /* and the notice is lost */
	size_t before = kit->owner.messages;
	kit_wait(kit, 9000);
	assert_int_equal(kit->owner.messages, before);
	assert_untold(kit, 7);
	kit_wait(kit, 1100);
	assert_told(kit, 7, CODE_OK);
	assert_int_equal(kit->owner.runs[7], 1);
	assert_int_equal(kit->owner.received, 1);
}

static void after_a_cut_what_waits_is_asked_for_at_once(void **state)
{
	struct kit *kit = *state;

	wait_in_line(kit, 0);
	engine_disconnected(&kit->engine);
	grant(kit, false);
	kit_restart(&kit->owner, true);
	kit_connect(kit);
	kit_pump(kit);
	assert_told(kit, 7, CODE_OK);
	assert_int_equal(kit->owner.runs[7], 1);
	/* ... and goes on to wait if it has to */
	kit_submit(kit, 14, false, 0);
	kit_submit(kit, 1, false, 0); /* behind it, and answered before it */
	kit_pump(kit);
	engine_disconnected(&kit->engine);
	kit_connect(kit);
	assert_true(kit_next(kit));
	kit_serve(kit);
	kit_hear(kit);
	assert_true(kit_next(kit));
	struct wire_reader reader = wire_reader(kit->out.data, kit->out.size);
	struct message_header message;
	struct request_header again;
	assert_true(wire_read_message_header(&reader, &message) && wire_read_request_header(&reader, &again));
	assert_int_equal(again.kind, ITEM_RUN);
	assert_int_equal(again.window, 0);
	kit_serve(kit);
	kit_hear(kit);
	kit_pump(kit);
	assert_untold(kit, 14);
	assert_int_equal(kit->engine.parked.count, 1);
	grant(kit, true);
	assert_told(kit, 14, CODE_OK);
	assert_int_equal(kit->owner.opens, 1);
}

static void what_waits_ends_at_its_limit_by_the_word_of_the_owner_or_by_its_own(void **state)
{
	struct kit *kit = *state;

	wait_in_line(kit, 50);
	assert_true(kit_resolve(&kit->owner, 0, CODE_EXPIRED, &kit->in));
	kit_hear(kit);
	assert_told(kit, 7, CODE_EXPIRED);
	kit_submit(kit, 14, false, 50); /* of this one the owner says nothing: it is withdrawn */
	kit_pump(kit);
	kit_wait(kit, 51);
	assert_told(kit, 14, CODE_EXPIRED);
	assert_int_equal(kit->owner.cancels, 1);
	assert_int_equal(kit->owner.parked_count, 0);
	assert_int_equal(kit->owner.runs[14], 0);
	kit_wait(kit, 200);
	assert_int_equal(kit->owner.received, 2);
}

static void what_waits_at_a_silent_owner_is_unknown_and_is_withdrawn_in_the_end(void **state)
{
	struct kit *kit = *state;

	wait_in_line(kit, 50);
	kit->owner.drop = true;
	kit_wait(kit, 100); /* the withdrawal arrives, its answer does not */
	assert_untold(kit, 7);
	kit_wait(kit, 100);
	assert_told(kit, 7, CODE_TIMED_OUT);
	assert_int_equal(kit->engine.pending, 0);
	assert_int_equal(kit->engine.parked.count, 1); /* a ghost: nobody may come to hold it unseen */
	kit->owner.drop = false;
	kit_wait(kit, 5000);
	assert_int_equal(kit->engine.parked.count, 0);
	assert_int_equal(kit->owner.parked_count, 0);
	assert_int_equal(kit->told[7].times, 1);
}

static void what_waits_can_be_cancelled_unless_its_turn_has_come(void **state)
{
	struct kit *kit = *state;
	uint64_t id = wait_in_line(kit, 0);

	assert_int_equal(engine_cancel(&kit->engine, id), SOLE_OK);
	kit_pump(kit);
	assert_told(kit, 7, CODE_CANCELLED);
	assert_int_equal(kit->owner.runs[7], 0);
	id = kit_submit(kit, 14, false, 0);
	kit_pump(kit);
	grant(kit, false);
	assert_int_equal(engine_cancel(&kit->engine, id), SOLE_OK);
	kit_pump(kit);
	assert_told(kit, 14, CODE_OK);
	kit_hear(kit);
	assert_int_equal(kit->told[14].times, 1);
}

static void what_waits_is_unknown_when_the_state_or_the_session_is_gone(void **state)
{
	struct kit *kit = *state;

	wait_in_line(kit, 0);
	engine_disconnected(&kit->engine);
	kit_restart(&kit->owner, false);
	kit_connect(kit);
	kit_pump(kit);
	assert_told(kit, 7, CODE_OWNER_DIED);
	kit_submit(kit, 14, false, 0);
	kit_pump(kit);
	kit->owner.session_count = 0;
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	assert_told(kit, 14, CODE_SESSION_FORGOTTEN);
	assert_int_equal(kit->told[14].outcome, SOLE_UNKNOWN);
	assert_told(kit, 1, CODE_OK);
	assert_int_equal(kit->engine.parked.count, 0);
}

/* ---- bytes that no owner sends ---- */

static void say_run(struct kit *kit, enum message_kind kind, uint64_t tag, const struct reply_header *item)
{
	buffer_reset(&kit->in);
	wire_write_message_header(&kit->in, &(struct message_header){ .magic = PROTOCOL_MAGIC,
								     .version = PROTOCOL_VERSION,
								     .kind = (uint8_t)kind,
								     .tag = tag,
								     .incarnation = kit->owner.incarnation,
								     .history = kit->owner.history });
	wire_write_reply_header(&kit->in, item);
	wire_finish_item(&kit->in, PROTOCOL_MESSAGE_HEADER_BYTES);
	wire_finish_message(&kit->in, 1);
	kit_hear(kit);
}

static void waiting_is_never_the_last_word(void **state)
{
	struct kit *kit = *state;
	uint64_t id = kit_submit(kit, 7, false, 0);

	kit_connect(kit);
	kit_pump(kit);
	uint64_t query = kit_submit(kit, 1, true, 0);
	assert_true(kit_next(kit));
	const struct reply_header lies[] = {
		{ .kind = ITEM_RUN, .outcome = OUTCOME_WAITING, .code = CODE_WAITING, .sequence = query },
		{ .kind = ITEM_RUN,
		  .outcome = OUTCOME_REFUSED,
		  .code = CODE_WAITING,
		  .session = kit->engine.session,
		  .sequence = 1 },
		{ .kind = ITEM_RUN,
		  .outcome = OUTCOME_WAITING,
		  .code = CODE_CONFLICT,
		  .session = kit->engine.session,
		  .sequence = 1 },
		{ .kind = ITEM_RUN,
		  .outcome = OUTCOME_WAITING,
		  .code = CODE_WAITING,
		  .session = kit->engine.session,
		  .sequence = 1 },
		{ .kind = ITEM_PING, .outcome = OUTCOME_WAITING, .code = CODE_WAITING },
		{ .kind = ITEM_RUN,
		  .outcome = 4,
		  .code = CODE_WAITING,
		  .session = kit->engine.session,
		  .sequence = 1 },
	};
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		say_run(kit, MESSAGE_NOTICE, 0, &lies[i]);
		say_run(kit, MESSAGE_REPLY, 0, &lies[i]);
	}
	assert_untold(kit, 7);
	assert_untold(kit, 1);
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 1, CODE_OK);
	grant(kit, true);
	assert_told(kit, 7, CODE_OK);
	(void)id;
}

/* ---- an `otherwise` ---- */

static void the_halves_of_a_request_are_told_apart(void **state)
{
	struct kit *kit = *state;
	const struct sole_value argument = { .type = SOLE_INTEGER, .integer = 1 };
	const struct sole_operation operations[] = { { KIT_GET, 1, &argument },
						     { SOLE_OPERATION_OTHERWISE, 0, NULL },
						     { KIT_GET, 1, &argument },
						     { KIT_GET, 1, &argument } };
	const struct {
		int64_t half;
		size_t lists;
		unsigned code;
	} cases[] = { { 1, 1, SOLE_OK }, { 2, 2, SOLE_OK }, { 1, 2, SOLE_PROTOCOL }, { 2, 1, SOLE_PROTOCOL },
		      { 3, 1, SOLE_PROTOCOL } };

	kit_connect(kit);
	kit_pump(kit);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct wire_reader reader, payload;
		struct message_header message;
		struct request_header header;
		assert_int_equal(engine_submit(&kit->engine, operations, 4, SOLE_QUERY | SOLE_OTHERWISE,
					       kit->now_ns, INT64_MAX, kit_told, (void *)(uintptr_t)(i + 1),
					       NULL),
				 SOLE_OK);
		assert_true(kit_next(kit));
		reader = wire_reader(kit->out.data, kit->out.size);
		assert_true(wire_read_message_header(&reader, &message));
		assert_true(wire_read_request_header(&reader, &header));
		assert_true(wire_read_payload(&reader, header.size, &payload));
		assert_int_equal(header.flags, REQUEST_FLAG_QUERY | REQUEST_FLAG_OTHERWISE);
		buffer_reset(&kit->in);
		message.kind = MESSAGE_REPLY;
		message.incarnation = kit->owner.incarnation;
		message.history = kit->owner.history;
		wire_write_message_header(&kit->in, &message);
		size_t start = kit_reply(&kit->in, &header, ITEM_RUN, CODE_OK, 0);
		const struct value half = value_integer(cases[i].half);
		wire_write_list(&kit->in, &half, 1);
		for (size_t k = 0; k < cases[i].lists; k++)
			wire_write_list(&kit->in, &half, 1);
		wire_finish_item(&kit->in, start);
		wire_finish_message(&kit->in, 1);
		kit_hear(kit);
		assert_told(kit, i + 1, cases[i].code);
	}
}

/* ---- news of the session ---- */

struct news {
	unsigned times;
	uint64_t ids[8];
};

static void told_session(struct sole *handle, uint64_t session, void *context)
{
	struct news *news = context;

	(void)handle;
	assert_true(news->times < 8);
	news->ids[news->times++] = session;
}

static void the_session_is_told_when_it_opens_and_when_it_is_lost(void **state)
{
	struct kit *kit = *state;
	struct news news = { 0 };

	engine_on_session(&kit->engine, told_session, &news);
	kit_submit(kit, 1, false, 0);
	kit_connect(kit);
	kit_pump(kit);
	assert_int_equal(news.times, 1);
	assert_int_equal(news.ids[0], 50);
	engine_disconnected(&kit->engine);
	kit_connect(kit);
	kit_pump(kit);
	assert_int_equal(news.times, 1); /* a cut loses nothing */
	kit->owner.session_count = 0;
	kit_submit(kit, 2, false, 0);
	kit_pump(kit);
	assert_int_equal(news.times, 3);
	assert_int_equal(news.ids[1], 0);
	assert_int_equal(news.ids[2], 51);
	kit_wait(kit, 60000); /* signs of life find out by themselves */
	kit->owner.session_count = 0;
	kit_wait(kit, 60000);
	assert_int_equal(news.times, 3); /* the kit's owner answers any ping */
	engine_on_session(&kit->engine, NULL, NULL);
}

/* ---- watches ---- */

struct ear {
	unsigned begun, events, over;
	int code;
	uint64_t revision, id;
	struct kit *unwatch_in;
};

static void hear_watch(struct sole *handle, const struct sole_event *event, void *context)
{
	struct ear *ear = context;

	(void)handle;
	if (event->code != SOLE_OK)
		ear->over++;
	else if (event->kind.type == SOLE_NONE)
		ear->begun++;
	else
		ear->events++;
	ear->code = event->code;
	ear->revision = event->revision;
	if (ear->unwatch_in != NULL && ear->events > 0)
		assert_int_equal(engine_unwatch(&ear->unwatch_in->engine, ear->id), SOLE_OK);
}

static void watch(struct kit *kit, struct ear *ear, uint64_t history, uint64_t revision)
{
	*ear = (struct ear){ 0 };
	assert_int_equal(engine_watch(&kit->engine, (struct sole_value){ .type = SOLE_BYTES }, history,
				      revision, 0, hear_watch, ear, &ear->id),
			 SOLE_OK);
}

/* All that the owner has for the watches of the connection. */
static void deliver(struct kit *kit)
{
	for (size_t i = 0; i < kit->owner.watch_count; i++)
		while (kit_events(&kit->owner, i, &kit->in))
			kit_hear(kit);
}

/* That there has been nothing for the first of them. */
static void tell_place(struct kit *kit)
{
	const struct request_header header = { .sequence = kit->owner.watches[0].id };

	buffer_reset(&kit->in);
	wire_write_message_header(&kit->in, &(struct message_header){ .magic = PROTOCOL_MAGIC,
								      .version = PROTOCOL_VERSION,
								      .kind = MESSAGE_NOTICE,
								      .incarnation = kit->owner.incarnation,
								      .history = kit->owner.history });
	size_t start = kit_reply(&kit->in, &header, ITEM_EVENTS, CODE_OK, 0);
	kit_place(&kit->owner, &kit->owner.watches[0], &kit->in);
	wire_finish_item(&kit->in, start);
	wire_finish_message(&kit->in, 1);
	kit_hear(kit);
}

static void a_watch_needs_no_session_and_begins_once(void **state)
{
	struct kit *kit = *state;
	struct ear ear;

	watch(kit, &ear, 0, 0);
	kit_connect(kit);
	kit_pump(kit);
	assert_int_equal(ear.begun, 1);
	assert_int_equal(kit->owner.opens, 0);
	assert_int_equal(kit->engine.pending, 0);
	engine_disconnected(&kit->engine);
	kit_connect(kit);
	kit_pump(kit);
	assert_int_equal(ear.begun, 1);
	assert_int_equal(kit->owner.watch_items, 2);
	kit_submit(kit, 3, false, 0); /* two events of one revision */
	kit_pump(kit);
	deliver(kit);
	assert_int_equal(ear.events, 2);
}

static void a_busy_owner_is_asked_again_and_nothing_else_waits_for_that(void **state)
{
	struct kit *kit = *state;
	struct ear ear;

	kit->owner.watch_busy = true;
	watch(kit, &ear, 0, 0);
	kit_connect(kit);
	kit_submit(kit, 1, true, 0);
	kit_pump(kit);
	assert_told(kit, 1, CODE_OK);
	kit_submit(kit, 2, true, 0);
	kit_pump(kit);
	assert_told(kit, 2, CODE_OK);
	assert_int_equal(kit->owner.watch_items, 1);
	kit_wait(kit, 600);
	assert_int_equal(kit->owner.watch_items, 3);
	assert_int_equal(ear.begun + ear.over, 0);
	kit->owner.watch_busy = false;
	kit_wait(kit, 300);
	assert_int_equal(ear.begun, 1);
}

static void a_lost_answer_moves_the_beginning_and_loses_no_event_behind_it(void **state)
{
	struct kit *kit = *state;
	struct ear ear;

	kit_connect(kit);
	kit_pump(kit);
	watch(kit, &ear, 0, 0);
	assert_true(kit_next(kit));
	kit_serve(kit); /* and the answer is lost */
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	deliver(kit); /* of a watch that has not begun, for all that is known */
	assert_int_equal(ear.events, 0);
	kit_wait(kit, 1100);
	assert_int_equal(ear.begun, 1);
	assert_int_equal(ear.revision, 1);
	kit_submit(kit, 2, false, 0);
	kit_pump(kit);
	deliver(kit);
	assert_int_equal(ear.events, 1);
	assert_int_equal(kit->owner.watch_count, 1); /* the first copy's was given back */
}

static void only_the_latest_copy_of_a_watch_is_heard(void **state)
{
	struct kit *kit = *state;
	struct ear ear;

	kit_connect(kit);
	watch(kit, &ear, 0, 0);
	kit_pump(kit);
	struct kit_watch first = kit->owner.watches[0];
	engine_disconnected(&kit->engine);
	kit_connect(kit);
	kit_pump(kit);
	struct kit_watch second = kit->owner.watches[0];
	assert_int_not_equal(first.id, second.id);
	kit_submit(kit, 1, false, 0);
	kit_submit(kit, 2, false, 0);
	kit_pump(kit);
	/* The first copy's place is behind an event that was lost with its connection. */
	kit->owner.watches[0] = first;
	kit->owner.watches[0].next = 1;
	assert_true(kit_events(&kit->owner, 0, &kit->in));
	kit_hear(kit);
	assert_int_equal(ear.events, 0);
	kit_pump(kit);
	assert_int_equal(kit->owner.unwatch_items, 1);
	kit->owner.watches[0] = second;
	kit->owner.watch_count = 1;
	deliver(kit);
	assert_int_equal(ear.events, 2);
}

static void a_place_without_an_event_is_where_the_watch_is_asked_for_again(void **state)
{
	struct kit *kit = *state;
	struct ear ear;

	kit_connect(kit);
	watch(kit, &ear, 0, 0);
	kit_pump(kit);
	kit->owner.revision = 41; /* of what it does not watch */
	tell_place(kit);
	assert_int_equal(ear.events + ear.over, 0);
	const struct engine_watch *place = kit->engine.watches[0];
	assert_true(place->revision == 42 && place->index == 0);
	/* It never goes back. */
	kit->owner.revision = 7;
	tell_place(kit);
	assert_true(place->revision == 42 && place->index == 0);
	kit->owner.revision = 41;
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	deliver(kit);
	assert_int_equal(ear.events, 1);
	kit->owner.events_first = kit->owner.event_count; /* all that was before is gone */
	engine_disconnected(&kit->engine);
	kit_connect(kit);
	kit_pump(kit);
	assert_int_equal(ear.over, 0);
	assert_int_equal(kit->owner.watch_count, 1);
}

static void too_old_ends_a_watch_and_says_where_to_start(void **state)
{
	struct kit *kit = *state;
	struct ear ear, other;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	watch(kit, &ear, kit->owner.history + 1, 1);
	kit_pump(kit);
	assert_int_equal(ear.over, 1);
	assert_int_equal(ear.code, SOLE_TOO_OLD);
	assert_int_equal(ear.revision, 2);
	watch(kit, &other, kit->owner.history, 1);
	kit_pump(kit);
	deliver(kit);
	assert_int_equal(other.events, 1);
	engine_disconnected(&kit->engine);
	kit_restart(&kit->owner, false);
	kit->owner.revision = 5; /* it has come that far, and all of it is new */
	kit_connect(kit);
	kit_pump(kit);
	assert_int_equal(other.over, 1);
	assert_int_equal(other.code, SOLE_TOO_OLD);
	assert_int_equal(other.revision, 1);
	assert_int_equal(kit->engine.watch_count, 0);
}

static void an_unwatch_in_the_middle_of_a_message_is_the_end(void **state)
{
	struct kit *kit = *state;
	struct ear ear;

	kit_connect(kit);
	watch(kit, &ear, 0, 0);
	ear.unwatch_in = kit;
	kit_pump(kit);
	kit_submit(kit, 3, false, 0);
	kit_pump(kit);
	deliver(kit);
	assert_int_equal(ear.events, 1);
	kit_pump(kit);
	assert_int_equal(kit->owner.watch_count, 0);
	assert_int_equal(kit->owner.unwatch_items, 1);
	assert_int_equal(engine_unwatch(&kit->engine, ear.id), SOLE_USAGE);
}

static void a_handle_has_so_many_watches_and_no_more(void **state)
{
	struct kit *kit = *state;
	struct ear ear = { 0 };
	const struct sole_value all = { .type = SOLE_BYTES };
	uint64_t ids[2];

	for (unsigned i = 0; i < ENGINE_WATCHES_MAX; i++)
		assert_int_equal(engine_watch(&kit->engine, all, 0, 0, 0, hear_watch, &ear, &ids[i % 2]),
				 SOLE_OK);
	assert_int_equal(engine_watch(&kit->engine, all, 0, 0, 0, hear_watch, &ear, NULL), SOLE_BUSY);
	assert_int_equal(engine_unwatch(&kit->engine, ids[0]), SOLE_OK);
	assert_int_equal(engine_watch(&kit->engine, all, 0, 0, 0, hear_watch, &ear, &ids[0]), SOLE_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_waits_leaves_the_window_and_is_told_by_a_notice),
		TEST(a_late_answer_is_acknowledged_with_the_next_message_or_alone),
		TEST(what_waits_is_asked_for_every_ten_seconds_and_not_before),
		TEST(after_a_cut_what_waits_is_asked_for_at_once),
		TEST(what_waits_ends_at_its_limit_by_the_word_of_the_owner_or_by_its_own),
		TEST(what_waits_at_a_silent_owner_is_unknown_and_is_withdrawn_in_the_end),
		TEST(what_waits_can_be_cancelled_unless_its_turn_has_come),
		TEST(what_waits_is_unknown_when_the_state_or_the_session_is_gone),
		TEST(waiting_is_never_the_last_word),
		TEST(the_halves_of_a_request_are_told_apart),
		TEST(the_session_is_told_when_it_opens_and_when_it_is_lost),
		TEST(a_watch_needs_no_session_and_begins_once),
		TEST(a_busy_owner_is_asked_again_and_nothing_else_waits_for_that),
		TEST(a_lost_answer_moves_the_beginning_and_loses_no_event_behind_it),
		TEST(only_the_latest_copy_of_a_watch_is_heard),
		TEST(a_place_without_an_event_is_where_the_watch_is_asked_for_again),
		TEST(too_old_ends_a_watch_and_says_where_to_start),
		TEST(an_unwatch_in_the_middle_of_a_message_is_the_end),
		TEST(a_handle_has_so_many_watches_and_no_more),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("engine: waiting", tests, NULL, NULL);
}
