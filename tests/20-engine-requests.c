/* SPDX-License-Identifier: MIT
 *
 * The client's engine, step by step: what it says to an owner, when, and what it
 * tells its callers. No socket and no clock; libzmq is not on the link line.
 */
#include "tests/lib/engine_kit.h"

static int setup(void **state)
{
	*state = kit_new();
	return 0;
}

static int teardown(void **state)
{
	kit_destroy(*state);
	return 0;
}

/* The kinds of the items of the message in kit->out, as letters: H(ello) O(pen) R(un) C(ancel) P(ing). */
static const char *items_of(struct kit *kit)
{
	static char letters[PROTOCOL_ITEMS_MAX + 1];
	struct wire_reader reader = wire_reader(kit->out.data, kit->out.size), payload;
	struct message_header message;
	struct request_header header;
	size_t n = 0;

	assert_true(wire_read_message_header(&reader, &message));
	for (; n < message.count; n++) {
		assert_true(wire_read_request_header(&reader, &header));
		assert_true(wire_read_payload(&reader, header.size, &payload));
		letters[n] = "?HOGRCPSTD"[header.kind < 10 ? header.kind : 0];
	}
	letters[n] = '\0';
	return letters;
}

/* The header of the nth item of the message in kit->out. */
static struct request_header item_of(struct kit *kit, size_t n)
{
	struct wire_reader reader = wire_reader(kit->out.data, kit->out.size), payload;
	struct message_header message;
	struct request_header header = { 0 };

	assert_true(wire_read_message_header(&reader, &message));
	for (size_t i = 0; i <= n; i++) {
		assert_true(wire_read_request_header(&reader, &header));
		assert_true(wire_read_payload(&reader, header.size, &payload));
	}
	return header;
}

#define assert_next(kit, letters)                                                                  \
	do {                                                                                       \
		assert_true(kit_next(kit));                                                        \
		assert_string_equal(items_of(kit), letters);                                       \
	} while (0)

static void nothing_is_said_before_there_is_a_connection(void **state)
{
	struct kit *kit = *state;

	kit_submit(kit, 1, true, 0);
	assert_false(kit_next(kit));
	assert_untold(kit, 1);
}

static void the_first_query_costs_one_round_trip(void **state)
{
	struct kit *kit = *state;

	kit_submit(kit, 1, true, 0);
	kit_connect(kit);
	assert_next(kit, "HR");
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 1, CODE_OK);
	assert_int_equal(kit->told[1].value, 2);
	assert_int_equal(kit->owner.opens, 0);
	assert_false(kit_next(kit));
}

static void commands_open_a_session_and_are_numbered_from_1(void **state)
{
	struct kit *kit = *state;

	kit_submit(kit, 1, false, 0);
	kit_submit(kit, 2, false, 0);
	kit_connect(kit);
	assert_next(kit, "HO");
	kit_serve(kit);
	assert_false(kit_next(kit)); /* commands wait for its answer */
	kit_hear(kit);
	assert_next(kit, "RR");
	assert_int_equal(item_of(kit, 0).session, 50);
	assert_int_equal(item_of(kit, 0).sequence, 1);
	assert_int_equal(item_of(kit, 0).window, 0);
	assert_int_equal(item_of(kit, 1).sequence, 2);
	assert_int_equal(item_of(kit, 1).window, 1);
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 1, CODE_OK);
	assert_told(kit, 2, CODE_OK);
	assert_int_equal(kit->told[2].value, 3);
	assert_int_equal(kit->told[2].sequence, 2);
	assert_int_equal(kit->engine.pending, 0);
}

static void what_is_submitted_meanwhile_travels_together(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_pump(kit);
	kit_submit(kit, 1, true, 0);
	assert_next(kit, "R");
	kit_serve(kit);
	struct buffer first = kit->in;
	kit->in = (struct buffer){ 0 };
	kit_submit(kit, 2, true, 0);
	assert_next(kit, "R");
	for (unsigned i = 3; i < 10; i++)
		kit_submit(kit, i, true, 0);
	assert_false(kit_next(kit)); /* two are under way */
	engine_receive(&kit->engine, first.data, first.size, kit->now_ns);
	buffer_clear(&first);
	assert_next(kit, "RRRRRRR");
}

static void order_is_kept_between_commands_and_queries(void **state)
{
	struct kit *kit = *state;

	kit_submit(kit, 1, false, 0);
	kit_submit(kit, 2, true, 0);
	kit_submit(kit, 3, false, 0);
	kit_connect(kit);
	kit_pump(kit);
	for (unsigned i = 1; i <= 3; i++) {
		assert_told(kit, i, CODE_OK);
		assert_int_equal(kit->order[i - 1], i);
	}
}

static void no_more_than_the_window_is_under_way(void **state)
{
	struct kit *kit = *state;

	kit->owner.window = 5;
	kit_connect(kit);
	kit_pump(kit);
	for (unsigned i = 1; i <= 12; i++)
		kit_submit(kit, i, true, 0);
	assert_next(kit, "RRRRR");
	kit_serve(kit);
	assert_false(kit_next(kit));
	kit_hear(kit);
	assert_next(kit, "RRRRR");
	kit_serve(kit);
	kit_hear(kit);
	kit_pump(kit);
	assert_told(kit, 12, CODE_OK);
}

static void a_message_is_no_larger_than_the_owner_takes(void **state)
{
	struct kit *kit = *state;
	static char big[3000];
	const struct sole_value arguments[] = { { .type = SOLE_INTEGER },
						{ .type = SOLE_BYTES, .size = sizeof big, .bytes = big } };
	const struct sole_operation operation = { KIT_GET, 2, arguments };

	kit->owner.message_max = 7000;
	kit_connect(kit);
	kit_pump(kit);
	for (int i = 0; i < 5; i++)
		assert_int_equal(engine_submit(&kit->engine, &operation, 1, SOLE_QUERY, kit->now_ns,
					       INT64_MAX, kit_told, NULL, NULL),
				 SOLE_OK);
	assert_next(kit, "RR");
	assert_true(kit->out.size <= 7000);
	const struct sole_operation three[] = { operation, operation, operation };
	assert_int_equal(engine_submit(&kit->engine, three, 3, SOLE_QUERY, kit->now_ns, INT64_MAX, kit_told,
				       NULL, NULL),
			 SOLE_TOO_LARGE);
}

static void a_lost_answer_is_asked_for_again_and_the_command_runs_once(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_submit(kit, 2, true, 0);
	assert_next(kit, "HO");
	kit_serve(kit);
	kit_hear(kit);
	assert_next(kit, "RR");
	kit_serve(kit); /* and the answer is lost */
	assert_int_equal(engine_deadline(&kit->engine), kit->now_ns + ENGINE_RESEND_NS);
	kit_wait(kit, 1100);
	assert_told(kit, 1, CODE_OK);
	assert_told(kit, 2, CODE_OK);
	assert_int_equal(kit->owner.runs[1], 1);
	assert_int_equal(kit->engine.counters.sent_again, 2);
}

static void an_owner_that_is_only_slow_runs_a_query_once(void **state)
{
	struct kit *kit = *state;
	struct buffer held = { 0 };

	kit_connect(kit);
	kit_pump(kit);
	kit_submit(kit, 1, true, 0);
	kit_submit(kit, 2, true, 0);
	assert_next(kit, "RR");
	buffer_append(&held, kit->out.data, kit->out.size);
	for (int i = 0; i < 3; i++) { /* it asks what has become of it, ever more patiently */
		kit->now_ns = engine_deadline(&kit->engine);
		engine_expire(&kit->engine, kit->now_ns);
		assert_next(kit, "P");
	}
	struct buffer ping = kit->out;
	kit->out = held;
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 1, CODE_OK);
	assert_told(kit, 2, CODE_OK);
	buffer_clear(&kit->out);
	kit->out = ping;
	kit_serve(kit);
	kit_hear(kit);
	kit_wait(kit, 10000);
	assert_int_equal(kit->owner.reads, 2);
	assert_int_equal(kit->engine.counters.sent_again, 0);
}

static void patience_doubles_while_the_owner_is_silent(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_pump(kit);
	kit->owner.drop = true;
	kit_submit(kit, 1, true, 0);
	size_t before = kit->owner.messages;
	kit_wait(kit, 60000); /* at 0, 1, 3, 7, 15, 23, 31, 39, 47, 55 s */
	assert_int_equal(kit->owner.messages - before, 10);
	kit->owner.drop = false;
	kit_wait(kit, 8000);
	assert_told(kit, 1, CODE_OK);
}

static void after_a_cut_the_same_session_goes_on_in_order(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 0);
	kit_submit(kit, 3, true, 0);
	kit_submit(kit, 4, false, 0);
	assert_next(kit, "RRR");
	kit_serve(kit); /* ran, unheard */
	engine_disconnected(&kit->engine);
	kit_submit(kit, 5, false, 0);
	assert_false(kit_next(kit));
	kit_restart(&kit->owner, true);
	kit_connect(kit);
	assert_next(kit, "H"); /* nothing before it is known whose state this is */
	kit_serve(kit);
	kit_hear(kit);
	assert_next(kit, "RRRR");
	assert_int_equal(item_of(kit, 0).sequence, 2);
	assert_int_equal(item_of(kit, 3).sequence, 4);
	kit_serve(kit);
	kit_hear(kit);
	for (unsigned i = 1; i <= 5; i++)
		assert_told(kit, i, CODE_OK);
	for (unsigned i = 1; i <= 5; i++)
		assert_int_equal(kit->owner.runs[i], i == 3 ? 0 : 1);
	assert_int_equal(kit->owner.opens, 1);
}

static void when_the_state_died_sent_commands_are_unknown_and_the_rest_goes_on(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 0);
	kit_submit(kit, 3, true, 0);
	assert_next(kit, "RR");
	kit_submit(kit, 4, false, 0);
	engine_disconnected(&kit->engine);
	kit_restart(&kit->owner, false);
	kit_connect(kit);
	kit_pump(kit);
	assert_told(kit, 2, CODE_OWNER_DIED);
	assert_int_equal(kit->told[2].outcome, SOLE_UNKNOWN);
	assert_told(kit, 3, CODE_OK);
	assert_told(kit, 4, CODE_OK);
	assert_int_equal(kit->owner.runs[2], 0);
	assert_int_equal(kit->told[4].sequence, 1);
}

static void what_was_never_sent_is_not_unknown_when_the_state_died(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 0);
	assert_next(kit, "R");
	engine_unsent(&kit->engine);
	engine_disconnected(&kit->engine);
	kit_restart(&kit->owner, false);
	kit_connect(kit);
	kit_pump(kit);
	assert_told(kit, 2, CODE_OK);
	assert_int_equal(kit->owner.runs[2], 1);
}

/* The first copy may have run, and so may its command when the second one was not sent. */
static void what_was_sent_once_stays_unknown_when_its_second_copy_was_not(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 0);
	assert_next(kit, "R");
	engine_disconnected(&kit->engine);
	kit_connect(kit);
	assert_next(kit, "H");
	kit_serve(kit);
	kit_hear(kit);
	assert_next(kit, "R");
	engine_unsent(&kit->engine);
	engine_disconnected(&kit->engine);
	kit_restart(&kit->owner, false);
	kit_connect(kit);
	kit_pump(kit);
	assert_told(kit, 2, CODE_OWNER_DIED);
	assert_int_equal(kit->owner.runs[2], 0);
}

static void a_forgotten_session_is_replaced_and_what_did_not_run_runs(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit->owner.session_count = 0; /* ended by silence, say */
	kit_submit(kit, 2, false, 0);
	kit_submit(kit, 3, false, 0);
	kit_pump(kit);
	assert_told(kit, 2, CODE_OK);
	assert_told(kit, 3, CODE_OK);
	assert_int_equal(kit->owner.runs[2], 1);
	assert_int_equal(kit->order[1], 2);
	assert_int_equal(kit->order[2], 3);
	assert_int_equal(kit->owner.opens, 2);
}

static void a_forgotten_session_is_unknown_for_what_was_sent_twice(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 0);
	assert_next(kit, "R");
	kit_serve(kit); /* ran; the answer is lost, and the session ends */
	engine_disconnected(&kit->engine);
	kit->owner.session_count = 0;
	kit_connect(kit);
	kit_submit(kit, 3, false, 0);
	kit_pump(kit);
	assert_told(kit, 2, CODE_SESSION_FORGOTTEN);
	assert_told(kit, 3, CODE_OK);
	assert_int_equal(kit->owner.runs[2], 1);
}

static void an_owner_that_was_replaced_unnoticed_runs_nothing_of_the_old_session(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_restart(&kit->owner, false);
	kit_submit(kit, 2, false, 0);
	kit_pump(kit); /* the engine was not told of any new connection */
	assert_int_equal(kit->told[2].times, 1);
	assert_int_equal(kit->owner.runs[2], kit->told[2].code == SOLE_OK);
	assert_int_equal(kit->owner.hellos, 2); /* another incarnation: who are you? */
	kit_submit(kit, 3, false, 0);
	kit_pump(kit);
	assert_told(kit, 3, CODE_OK);
}

static void a_leaving_owner_is_waited_out(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit->owner.leaving = true;
	kit_submit(kit, 2, false, 0);
	kit_submit(kit, 3, true, 0);
	kit_pump(kit);
	assert_untold(kit, 2);
	assert_untold(kit, 3);
	size_t items = kit->owner.items;
	kit_submit(kit, 4, true, 0);
	kit_wait(kit, 500);
	assert_int_equal(kit->owner.items, items); /* nothing more is sent to it */
	engine_disconnected(&kit->engine);
	kit_restart(&kit->owner, false);
	kit_connect(kit);
	kit_pump(kit);
	for (unsigned i = 2; i <= 4; i++)
		assert_told(kit, i, CODE_OK);
	assert_int_equal(kit->owner.runs[2], 1);
}

static void a_leaving_owner_that_has_no_successor_is_told_at_the_deadline(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_pump(kit);
	kit->owner.leaving = true;
	kit_submit(kit, 1, true, 300);
	kit_pump(kit);
	engine_disconnected(&kit->engine);
	kit_wait(kit, 299);
	assert_untold(kit, 1);
	kit_wait(kit, 1);
	assert_told(kit, 1, CODE_LEAVING);
	assert_int_equal(kit->told[1].outcome, SOLE_REFUSED);
}

static void busy_is_tried_again_with_growing_pauses_until_the_deadline(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit->owner.busy = true;
	kit_submit(kit, 2, false, 100);
	kit_submit(kit, 3, false, 0);
	kit_submit(kit, 4, true, 0);
	size_t before = kit->owner.messages;
	kit_wait(kit, 99);
	assert_untold(kit, 2);
	assert_in_range(kit->owner.messages - before, 6, 9); /* at 0, 1, 3, 7, 15, 31, 63 ms */
	kit_wait(kit, 1);
	assert_told(kit, 2, CODE_BUSY);
	assert_int_equal(kit->told[2].outcome, SOLE_REFUSED);
	kit->owner.busy = false;
	kit_wait(kit, 300);
	assert_told(kit, 3, CODE_OK);
	assert_told(kit, 4, CODE_OK);
	assert_int_equal(kit->owner.runs[2], 0);
	assert_int_equal(kit->owner.cancels, 1); /* the ghost of 2 */
}

static void a_busy_session_limit_is_tried_again_with_the_same_nonce(void **state)
{
	struct kit *kit = *state;

	kit->owner.busy = true;
	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_wait(kit, 20);
	assert_true(kit->owner.opens > 2);
	kit->owner.busy = false;
	kit_wait(kit, 300);
	assert_told(kit, 1, CODE_OK);
	assert_int_equal(kit->owner.session_count, 1);
}

static void a_lost_answer_to_open_leaves_one_session(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	assert_next(kit, "HO");
	kit_serve(kit); /* the answer is lost */
	kit_wait(kit, 1100);
	assert_told(kit, 1, CODE_OK);
	assert_int_equal(kit->owner.opens, 2);
	assert_int_equal(kit->owner.session_count, 1);
}

/* Its owner's rules may be others by the time that something is asked again: not before, and without end. */
static void a_hello_that_is_denied_is_said_again_with_the_next_request(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_wait(kit, 100);
	assert_told(kit, 1, CODE_OK);
	kit->owner.deny = true;
	engine_disconnected(&kit->engine);
	kit_connect(kit);
	kit_wait(kit, 5000);
	assert_int_equal(kit->owner.hellos, 2);
	assert_int_equal(kit->engine.session_state, SESSION_NONE);
	kit_submit(kit, 2, false, 0);
	kit_wait(kit, 5000);
	assert_told(kit, 2, CODE_DENIED);
	assert_int_equal(kit->owner.hellos, 3);
	assert_int_equal(kit->engine.pending, 0);
	kit->owner.deny = false;
	kit_submit(kit, 3, false, 0);
	kit_wait(kit, 100);
	assert_told(kit, 3, CODE_OK);
	assert_int_equal(kit->owner.hellos, 4);
}

static void a_session_that_is_denied_is_told_to_its_command(void **state)
{
	struct kit *kit = *state;

	kit->owner.deny_open = true;
	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_submit(kit, 2, false, 0);
	kit_submit(kit, 3, true, 0);
	kit_pump(kit);
	assert_told(kit, 1, CODE_DENIED);
	assert_told(kit, 2, CODE_DENIED);
	assert_told(kit, 3, CODE_OK);
	assert_int_equal(kit->engine.pending, 0);
}

/* Which may ask about the owner, too: that is written as requests are. */
static void submit_and_look_again(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct kit *kit = context;
	const struct value list[] = { value_integer(1), value_integer(2) };

	(void)handle;
	assert_string_equal(reply->text, code_text(CODE_DENIED));
	kit_submit(kit, 2, true, 0);
	assert_int_equal(engine_ask(&kit->engine, ITEM_OUTCOME, list, 2, kit->now_ns, INT64_MAX, kit_told,
				    (void *)(uintptr_t)3, NULL),
			 SOLE_OK);
	assert_string_equal(reply->text, code_text(CODE_DENIED));
	kit->told_count++;
}

static void a_refusals_text_is_not_touched_by_what_its_callback_submits(void **state)
{
	struct kit *kit = *state;
	const struct sole_operation operation = { KIT_PUT, 1, &(struct sole_value){ .type = SOLE_INTEGER } };

	kit->owner.deny_open = true;
	kit_connect(kit);
	assert_int_equal(engine_submit(&kit->engine, &operation, 1, 0, kit->now_ns, INT64_MAX,
				       submit_and_look_again, kit, NULL),
			 SOLE_OK);
	kit_pump(kit);
	assert_told(kit, 2, CODE_OK);
	assert_int_equal(kit->told_count, 3);
}

static void a_gap_is_filled_when_the_owner_says_where(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 0);
	assert_next(kit, "R"); /* and never arrives */
	kit_submit(kit, 3, false, 0);
	assert_next(kit, "R");
	kit_serve(kit);
	kit_hear(kit); /* out of order: from 2 */
	assert_untold(kit, 3);
	kit_wait(kit, 10);
	assert_told(kit, 2, CODE_OK);
	assert_told(kit, 3, CODE_OK);
	assert_int_equal(kit->owner.runs[2], 1);
	assert_int_equal(kit->owner.runs[3], 1);
}

static void cancel_before_sending_asks_nobody(void **state)
{
	struct kit *kit = *state;

	uint64_t id = kit_submit(kit, 1, false, 0);
	assert_int_equal(engine_cancel(&kit->engine, id), SOLE_OK);
	assert_untold(kit, 1); /* not from within the call */
	assert_true(engine_deadline(&kit->engine) <= kit->now_ns);
	engine_expire(&kit->engine, kit->now_ns);
	assert_told(kit, 1, CODE_CANCELLED);
	assert_int_equal(engine_cancel(&kit->engine, id), SOLE_USAGE);
	kit_connect(kit);
	kit_pump(kit);
	assert_int_equal(kit->owner.items, 1); /* hello */
}

static void cancel_of_what_ran_brings_its_ordinary_answer(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	uint64_t id = kit_submit(kit, 2, false, 0);
	assert_next(kit, "R");
	kit_serve(kit); /* the answer is lost */
	assert_int_equal(engine_cancel(&kit->engine, id), SOLE_OK);
	assert_next(kit, "C"); /* at once, whatever is under way */
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 2, CODE_OK);
	assert_int_equal(kit->told[2].value, 3);
}

static void cancel_of_what_did_not_run_withdraws_it_for_good(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	uint64_t id = kit_submit(kit, 2, false, 0);
	assert_next(kit, "R");
	struct buffer late = kit->out;
	kit->out = (struct buffer){ 0 };
	engine_cancel(&kit->engine, id);
	assert_next(kit, "C");
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 2, CODE_CANCELLED);
	kit->owner.now_ns = kit->now_ns;
	kit_take(&kit->owner, late.data, late.size, &kit->in); /* the copy turns up after all */
	kit_hear(kit);
	buffer_clear(&late);
	assert_int_equal(kit->owner.runs[2], 0);
	assert_int_equal(kit->told[2].times, 1);
	kit_submit(kit, 3, false, 0);
	kit_pump(kit);
	assert_told(kit, 3, CODE_OK);
}

static void a_deadline_without_any_owner_is_unreachable(void **state)
{
	struct kit *kit = *state;

	kit_submit(kit, 1, false, 50);
	kit_wait(kit, 49);
	assert_untold(kit, 1);
	kit_wait(kit, 1);
	assert_told(kit, 1, CODE_UNREACHABLE);
	assert_int_equal(kit->told[1].outcome, SOLE_REFUSED);
}

static void a_deadline_behind_others_is_expired(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_pump(kit);
	kit_submit(kit, 1, true, 0);
	assert_next(kit, "R");
	kit_submit(kit, 2, true, 0);
	assert_next(kit, "R");
	kit_submit(kit, 3, true, 50); /* waits behind two messages */
	kit->now_ns += 10 * NS_PER_MS;
	kit_serve(kit);
	kit_hear(kit);
	engine_disconnected(&kit->engine);
	kit_wait(kit, 50);
	assert_told(kit, 3, CODE_EXPIRED);
}

static void a_deadline_that_passed_on_the_way_is_refused_by_the_owner(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 50);
	assert_next(kit, "R");
	assert_int_equal(item_of(kit, 0).deadline, kit->now_ns + 50 * NS_PER_MS);
	kit->now_ns += 60 * NS_PER_MS;
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 2, CODE_EXPIRED);
	assert_int_equal(kit->owner.runs[2], 0);
}

static void after_its_deadline_a_request_is_withdrawn_and_the_truth_waited_for(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 50);
	kit_submit(kit, 3, false, 50);
	assert_next(kit, "RR");
	kit->now_ns += 50 * NS_PER_MS;
	engine_expire(&kit->engine, kit->now_ns); /* the message was lost */
	assert_untold(kit, 2);
	assert_next(kit, "CC");
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 2, CODE_EXPIRED);
	assert_told(kit, 3, CODE_EXPIRED);
	assert_int_equal(kit->told[2].outcome, SOLE_REFUSED);
}

static void without_the_truth_in_100_ms_it_is_timed_out_and_its_ghost_holds_nobody_up(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 50);
	assert_next(kit, "R");
	engine_disconnected(&kit->engine); /* the message is lost */
	kit_wait(kit, 149);
	assert_untold(kit, 2);
	kit_wait(kit, 1);
	assert_told(kit, 2, CODE_TIMED_OUT);
	assert_int_equal(kit->told[2].outcome, SOLE_UNKNOWN);
	assert_int_equal(kit->engine.pending, 0);
	kit_connect(kit);
	kit_submit(kit, 3, false, 0);
	kit_pump(kit);
	assert_told(kit, 3, CODE_OK);
	assert_int_equal(kit->told[2].times, 1);
	assert_int_equal(kit->owner.runs[2], 0);
	assert_int_equal(kit->told[3].sequence, 3);
	assert_int_equal(kit->engine.under_way.count, 0);
}

static void on_another_host_what_is_left_of_the_time_is_sent(void **state)
{
	struct kit *kit = *state;

	kit->engine.options.relative = true;
	kit_connect(kit);
	kit_submit(kit, 1, true, 50);
	kit->now_ns += 20 * NS_PER_MS;
	assert_next(kit, "HR");
	assert_true(item_of(kit, 1).flags & REQUEST_FLAG_RELATIVE);
	assert_int_equal(item_of(kit, 1).deadline, 30 * NS_PER_MS);
}

static void an_idle_session_is_kept_alive(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_wait(kit, 31000);
	assert_int_equal(kit->owner.pings, 3);
}

static void a_handle_that_only_asks_needs_no_session(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, true, 0);
	kit_pump(kit);
	kit_wait(kit, 100000);
	assert_int_equal(kit->owner.opens, 0);
	assert_int_equal(kit->owner.pings, 0);
	assert_int_equal(engine_deadline(&kit->engine), INT64_MAX);
	assert_false(engine_goodbye(&kit->engine, &kit->out));
}

static void status_does_not_wait_behind_requests(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_pump(kit);
	for (unsigned i = 1; i <= 2; i++) {
		kit_submit(kit, i, true, 0);
		assert_next(kit, "R");
	}
	kit_submit(kit, 3, true, 0);
	assert_int_equal(engine_ask(&kit->engine, ITEM_STATUS, NULL, 0, kit->now_ns, INT64_MAX, kit_told,
				    (void *)(uintptr_t)4, NULL), SOLE_OK);
	assert_next(kit, "S");
	kit_serve(kit);
	kit_hear(kit);
	assert_told(kit, 4, CODE_OK);
	assert_untold(kit, 3);
}

static void resubmit(struct kit *kit, unsigned number)
{
	if (number < 100)
		kit_submit(kit, number + 1, number % 3 == 0, 0);
}

static void a_callback_may_submit(void **state)
{
	struct kit *kit = *state;

	kit->on_told = resubmit;
	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	assert_told(kit, 100, CODE_OK);
}

static void at_the_end_everybody_is_told_once_and_truly(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, false, 0);
	kit_pump(kit);
	kit_submit(kit, 2, false, 0);
	assert_next(kit, "R");
	kit_submit(kit, 3, false, 0);
	kit->on_told = NULL;
	engine_clear(&kit->engine);
	assert_told(kit, 2, CODE_CLOSED);
	assert_int_equal(kit->told[2].outcome, SOLE_UNKNOWN);
	assert_told(kit, 3, CODE_CANCELLED);
	assert_int_equal(kit->told[3].outcome, SOLE_REFUSED);
}

static void an_owner_of_another_version_is_told_to_everybody(void **state)
{
	struct kit *kit = *state;

	kit_connect(kit);
	kit_submit(kit, 1, true, 0);
	kit_submit(kit, 2, false, 0);
	assert_next(kit, "HRO");
	struct message_header message = { .magic = PROTOCOL_MAGIC,
					  .version = 1,
					  .kind = MESSAGE_REPLY,
					  .count = 1,
					  .tag = kit->engine.tag,
					  .incarnation = 5,
					  .history = 6 };
	struct request_header none = { 0 };
	buffer_reset(&kit->in);
	wire_write_message_header(&kit->in, &message);
	kit_refuse(&kit->in, &none, ITEM_HELLO, CODE_VERSION, NULL);
	kit_hear(kit);
	assert_false(kit_next(kit));
	engine_expire(&kit->engine, kit->now_ns);
	assert_told(kit, 2, CODE_VERSION);
	kit_submit(kit, 3, false, 0);
	assert_false(kit_next(kit));
	engine_expire(&kit->engine, kit->now_ns);
	assert_told(kit, 3, CODE_VERSION);
}

static void wrong_use_is_refused(void **state)
{
	struct kit *kit = *state;
	const struct sole_value bad_type = { .type = (enum sole_type)9 },
				no_bytes = { .type = SOLE_BYTES, .size = 3 };
	const struct sole_operation bad = { 1, 1, &bad_type }, none = { 1, 1, NULL },
				    empty = { 1, 1, &no_bytes };
	const struct sole_operation many = { 1, 256, &bad_type }, good = { 1, 0, NULL };
	static char huge[PROTOCOL_MESSAGE_MAX_BYTES];
	const struct sole_value large = { .type = SOLE_BYTES, .size = sizeof huge, .bytes = huge };
	const struct sole_operation too_large = { 1, 1, &large };
#define SUBMIT(operations, count, flags, callback)                                                 \
	engine_submit(&kit->engine, operations, count, flags, kit->now_ns, INT64_MAX, callback, NULL, NULL)

	assert_int_equal(SUBMIT(&bad, 1, 0, kit_told), SOLE_USAGE);
	assert_int_equal(SUBMIT(&none, 1, 0, kit_told), SOLE_USAGE);
	assert_int_equal(SUBMIT(&empty, 1, 0, kit_told), SOLE_USAGE);
	assert_int_equal(SUBMIT(&many, 1, 0, kit_told), SOLE_USAGE);
	assert_int_equal(SUBMIT(&good, 0, 0, kit_told), SOLE_USAGE);
	assert_int_equal(SUBMIT(NULL, 1, 0, kit_told), SOLE_USAGE);
	assert_int_equal(SUBMIT(&good, 1, 8, kit_told), SOLE_USAGE);
	assert_int_equal(SUBMIT(&good, 1, 0, NULL), SOLE_USAGE);
	assert_int_equal(SUBMIT(&too_large, 1, 0, kit_told), SOLE_TOO_LARGE);
	assert_int_equal(engine_cancel(&kit->engine, 12345), SOLE_USAGE);
	assert_int_equal(kit->engine.pending, 0);
}

static void requests_beyond_the_limit_are_busy(void **state)
{
	struct kit *kit = *state;
	const struct sole_operation operation = { 1, 0, NULL };
	int code = SOLE_OK;

	for (size_t i = 0; i < ENGINE_PENDING_MAX && code == SOLE_OK; i++)
		code = SUBMIT(&operation, 1, SOLE_QUERY, kit_told);
	assert_int_equal(code, SOLE_OK);
	assert_int_equal(SUBMIT(&operation, 1, SOLE_QUERY, kit_told), SOLE_BUSY);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(nothing_is_said_before_there_is_a_connection),
		T(the_first_query_costs_one_round_trip),
		T(commands_open_a_session_and_are_numbered_from_1),
		T(what_is_submitted_meanwhile_travels_together),
		T(order_is_kept_between_commands_and_queries),
		T(no_more_than_the_window_is_under_way),
		T(a_message_is_no_larger_than_the_owner_takes),
		T(a_lost_answer_is_asked_for_again_and_the_command_runs_once),
		T(an_owner_that_is_only_slow_runs_a_query_once),
		T(patience_doubles_while_the_owner_is_silent),
		T(after_a_cut_the_same_session_goes_on_in_order),
		T(when_the_state_died_sent_commands_are_unknown_and_the_rest_goes_on),
		T(what_was_never_sent_is_not_unknown_when_the_state_died),
		T(what_was_sent_once_stays_unknown_when_its_second_copy_was_not),
		T(a_forgotten_session_is_replaced_and_what_did_not_run_runs),
		T(a_forgotten_session_is_unknown_for_what_was_sent_twice),
		T(an_owner_that_was_replaced_unnoticed_runs_nothing_of_the_old_session),
		T(a_leaving_owner_is_waited_out),
		T(a_leaving_owner_that_has_no_successor_is_told_at_the_deadline),
		T(busy_is_tried_again_with_growing_pauses_until_the_deadline),
		T(a_busy_session_limit_is_tried_again_with_the_same_nonce),
		T(a_lost_answer_to_open_leaves_one_session),
		T(a_session_that_is_denied_is_told_to_its_command),
		T(a_refusals_text_is_not_touched_by_what_its_callback_submits),
		T(a_hello_that_is_denied_is_said_again_with_the_next_request),
		T(a_gap_is_filled_when_the_owner_says_where),
		T(cancel_before_sending_asks_nobody),
		T(cancel_of_what_ran_brings_its_ordinary_answer),
		T(cancel_of_what_did_not_run_withdraws_it_for_good),
		T(a_deadline_without_any_owner_is_unreachable),
		T(a_deadline_behind_others_is_expired),
		T(a_deadline_that_passed_on_the_way_is_refused_by_the_owner),
		T(after_its_deadline_a_request_is_withdrawn_and_the_truth_waited_for),
		T(without_the_truth_in_100_ms_it_is_timed_out_and_its_ghost_holds_nobody_up),
		T(on_another_host_what_is_left_of_the_time_is_sent),
		T(an_idle_session_is_kept_alive),
		T(a_handle_that_only_asks_needs_no_session),
		T(status_does_not_wait_behind_requests),
		T(a_callback_may_submit),
		T(at_the_end_everybody_is_told_once_and_truly),
		T(an_owner_of_another_version_is_told_to_everybody),
		T(wrong_use_is_refused),
		T(requests_beyond_the_limit_are_busy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("engine: requests", tests, NULL, NULL);
}
