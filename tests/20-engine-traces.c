/* SPDX-License-Identifier: MIT
 *
 * A client's trace: asked for, begun, told, replaced, asked for again on the next connection, ended;
 * and what an owner may say of it that cannot be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above before it. */
#include <cmocka.h>

#include "clients/engine.h"

#include <string.h>

enum { HISTORY = 0x77, NUMBERS = 32 };

struct bench {
	struct engine engine;
	struct buffer out, in;
	int64_t now_ns;
	uint64_t incarnation;
	/* what the owner heard */
	unsigned traces, untraces;
	uint64_t number; /* of the last TRACE */
	struct value filter[4];
	uint8_t bytes[256]; /* of it */
	enum code refusal; /* of the next TRACE; CODE_OK: none */
	/* what the client was told */
	unsigned begun, told;
	uint64_t dropped;
	int code;
	int64_t took_ns[NUMBERS];
};

static void on_traced(struct sole *handle, const struct sole_traced *traced, void *context)
{
	struct bench *bench = context;

	(void)handle;
	bench->code = traced->code;
	assert_non_null(traced->text);
	if (traced->code != SOLE_OK)
		return;
	bench->begun += traced->begun != 0;
	bench->dropped += traced->dropped;
	if (!traced->begun && traced->dropped == 0)
		bench->took_ns[bench->told++ % NUMBERS] = traced->took_ns;
}

static void head(struct bench *bench, enum message_kind kind, uint64_t tag)
{
	buffer_reset(&bench->in);
	wire_write_message_header(&bench->in, &(struct message_header){ .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION,
									.kind = (uint8_t)kind, .tag = tag,
									.incarnation = bench->incarnation, .history = HISTORY });
}

static void answer(struct bench *bench, const struct request_header *request, enum code code, const struct value *list,
		   size_t count)
{
	size_t start = bench->in.size;

	wire_write_reply_header(&bench->in, &(struct reply_header){ .kind = request->kind, .outcome = (uint8_t)code_outcome(code),
								    .code = (uint16_t)code, .sequence = request->sequence });
	wire_write_list(&bench->in, list, count);
	wire_finish_item(&bench->in, start);
}

static void answer_item(struct bench *bench, const struct request_header *request, struct wire_reader payload)
{
	const struct value hello[] = { value_integer(1),     value_text("unit"), value_text("table"), value_integer(1),
				       value_integer(65536), value_integer(64),  value_integer(256) };
	const struct value refusal[] = { value_integer(-1), value_text("no") };
	size_t count;

	if (request->kind == ITEM_HELLO) {
		answer(bench, request, CODE_OK, hello, sizeof hello / sizeof *hello);
		return;
	}
	bench->untraces += request->kind == ITEM_UNTRACE;
	if (request->kind == ITEM_TRACE) {
		assert_true(payload.left < sizeof bench->bytes);
		memcpy(bench->bytes, payload.at, payload.left);
		struct wire_reader reader = wire_reader(bench->bytes, payload.left);
		assert_true(wire_read_list(&reader, bench->filter, 4, &count) && count == 4);
		bench->traces++;
		bench->number = request->sequence;
		if (bench->refusal != CODE_OK) {
			answer(bench, request, bench->refusal, refusal, 2);
			bench->refusal = CODE_OK;
			return;
		}
	}
	answer(bench, request, CODE_OK, NULL, 0);
}

/* What the client has to say is heard and, unless `mute`, answered. */
static void talk(struct bench *bench, bool mute)
{
	struct request_header request;
	struct message_header message;
	struct wire_reader payload;

	while (engine_next_message(&bench->engine, bench->now_ns, &bench->out)) {
		struct wire_reader reader = wire_reader(bench->out.data, bench->out.size);
		assert_true(wire_read_message_header(&reader, &message));
		head(bench, MESSAGE_REPLY, message.tag);
		for (unsigned i = 0; i < message.count; i++) {
			assert_true(wire_read_request_header(&reader, &request));
			assert_true(wire_read_payload(&reader, request.size, &payload));
			answer_item(bench, &request, payload);
		}
		wire_finish_message(&bench->in, message.count);
		if (!mute)
			engine_receive(&bench->engine, bench->in.data, bench->in.size, bench->now_ns);
	}
}

/* A notice with a request that took so long, or with how many are missing. */
static void notice(struct bench *bench, uint64_t number, int64_t took_ns, int64_t dropped)
{
	const struct request_header request = { .kind = ITEM_TRACED, .sequence = number };
	struct value list[14] = { value_integer(dropped) };

	for (size_t i = 0; dropped == 0 && i < 14; i++)
		list[i] = value_integer(i == 1 ? took_ns : 0);
	if (dropped == 0)
		list[10] = value_text("put");
	head(bench, MESSAGE_NOTICE, 0);
	answer(bench, &request, CODE_OK, list, dropped == 0 ? 14 : 1);
	wire_finish_message(&bench->in, 1);
	engine_receive(&bench->engine, bench->in.data, bench->in.size, bench->now_ns);
}

static const struct sole_value none = { .type = SOLE_NONE };

static struct sole_value bytes_of(const char *bytes, uint32_t size)
{
	return (struct sole_value){ .type = SOLE_BYTES, .size = size, .bytes = bytes };
}

static void no_random(void *bytes, size_t size)
{
	memset(bytes, 7, size);
}

static int set_up(void **state)
{
	static struct bench bench;
	const struct engine_options options = { .program = "unit", .window = 256, .silence_ms = 30000, .random = no_random };

	bench = (struct bench){ .now_ns = 1000 * NS_PER_S, .incarnation = 5 };
	assert_true(engine_init(&bench.engine, &options));
	engine_connected(&bench.engine, bench.now_ns);
	*state = &bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	engine_clear(&bench->engine);
	buffer_clear(&bench->out);
	buffer_clear(&bench->in);
	return 0;
}

static int trace(struct bench *bench, const char *operation, struct sole_value key)
{
	const struct sole_trace_filter filter = { .operation = operation, .key = key, .pid = 9, .slower_ns = 17 };

	return engine_trace(&bench->engine, &filter, on_traced, bench, bench->now_ns);
}

static void a_trace_is_asked_for_begins_and_is_told(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(trace(bench, "put", bytes_of("user/", 5)), SOLE_OK);
	talk(bench, false);
	assert_int_equal(bench->traces, 1);
	assert_int_equal(bench->begun, 1);
	assert_memory_equal(bench->filter[0].bytes, "put", 3);
	assert_memory_equal(bench->filter[1].bytes, "user/", 5);
	assert_int_equal(bench->filter[2].integer, 9);
	assert_int_equal(bench->filter[3].integer, 17);
	notice(bench, bench->number, 111, 0);
	notice(bench, bench->number, 0, 42);
	notice(bench, bench->number, 112, 0);
	assert_int_equal(bench->told, 2);
	assert_int_equal(bench->took_ns[0], 111);
	assert_int_equal(bench->took_ns[1], 112);
	assert_int_equal(bench->dropped, 42);
	assert_int_equal(engine_trace(&bench->engine, NULL, NULL, NULL, bench->now_ns), SOLE_OK);
	talk(bench, false);
	assert_int_equal(bench->untraces, 1);
	notice(bench, bench->number, 113, 0);
	assert_int_equal(bench->told, 2);
	assert_int_equal(engine_trace(&bench->engine, NULL, NULL, NULL, bench->now_ns), SOLE_USAGE);
}

static void the_next_connection_is_asked_again(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(trace(bench, NULL, none), SOLE_OK);
	talk(bench, false);
	assert_int_equal(bench->filter[0].type, VALUE_NONE);
	assert_int_equal(bench->filter[1].type, VALUE_NONE);
	uint64_t first = bench->number;
	engine_disconnected(&bench->engine);
	bench->incarnation++;
	engine_connected(&bench->engine, bench->now_ns);
	talk(bench, false);
	assert_int_equal(bench->traces, 2);
	assert_int_equal(bench->begun, 2);
	notice(bench, first, 1, 0); /* of the one before */
	assert_int_equal(bench->told, 0);
	notice(bench, bench->number, 2, 0);
	assert_int_equal(bench->told, 1);
	/* The question itself was lost with its connection: it goes out again, and not twice. */
	engine_disconnected(&bench->engine);
	engine_connected(&bench->engine, bench->now_ns);
	talk(bench, true);
	engine_disconnected(&bench->engine);
	engine_connected(&bench->engine, bench->now_ns);
	bench->traces = 0;
	talk(bench, false);
	assert_int_equal(bench->traces, 1);
	assert_int_equal(bench->begun, 3);
}

static void one_that_replaces_another_is_the_one_that_is_told(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(trace(bench, "get", none), SOLE_OK);
	assert_int_equal(trace(bench, "put", none), SOLE_OK); /* before the first was answered */
	talk(bench, false);
	assert_int_equal(bench->traces, 2);
	assert_int_equal(bench->begun, 1);
	assert_memory_equal(bench->filter[0].bytes, "put", 3);
	notice(bench, bench->number, 1, 0);
	assert_int_equal(bench->told, 1);
}

static void a_refusal_ends_it(void **state)
{
	struct bench *bench = *state;

	bench->refusal = CODE_DENIED;
	assert_int_equal(trace(bench, NULL, none), SOLE_OK);
	talk(bench, false);
	assert_int_equal(bench->code, SOLE_DENIED);
	assert_int_equal(bench->begun, 0);
	engine_disconnected(&bench->engine);
	engine_connected(&bench->engine, bench->now_ns);
	talk(bench, false);
	assert_int_equal(bench->traces, 1);
	assert_int_equal(trace(bench, NULL, none), SOLE_OK);
	talk(bench, false);
	assert_int_equal(bench->begun, 1);
}

static void what_cannot_be_is_not_asked(void **state)
{
	struct bench *bench = *state;
	static const char longest[65] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";
	const struct sole_trace_filter negative = { .slower_ns = -1 };

	assert_int_equal(trace(bench, NULL, (struct sole_value){ .type = SOLE_INTEGER, .integer = 5 }), SOLE_USAGE);
	assert_int_equal(trace(bench, longest, none), SOLE_TOO_LARGE);
	assert_int_equal(trace(bench, NULL, bytes_of(longest, 65)), SOLE_TOO_LARGE);
	assert_int_equal(engine_trace(&bench->engine, &negative, on_traced, bench, bench->now_ns), SOLE_USAGE);
	assert_int_equal(trace(bench, NULL, bytes_of(longest, 64)), SOLE_OK);
}

static void what_cannot_be_read_is_counted(void **state)
{
	struct bench *bench = *state;
	const struct request_header request = { .kind = ITEM_TRACED, .sequence = 0 };
	const struct value lists[][2] = { { value_text("no integer") }, { value_integer(1), value_integer(2) } };

	assert_int_equal(trace(bench, NULL, none), SOLE_OK);
	talk(bench, false);
	for (size_t i = 0; i < 3; i++) {
		struct request_header named = request;
		uint64_t malformed = bench->engine.counters.malformed;
		named.sequence = bench->number;
		head(bench, MESSAGE_NOTICE, 0);
		answer(bench, &named, CODE_OK, i < 2 ? lists[i] : NULL, i < 2 ? i + 1 : 0);
		wire_finish_message(&bench->in, 1);
		engine_receive(&bench->engine, bench->in.data, bench->in.size, bench->now_ns);
		assert_int_equal(bench->engine.counters.malformed, malformed + 1);
	}
	notice(bench, bench->number, 3, 0); /* and it goes on */
	assert_int_equal(bench->told, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_trace_is_asked_for_begins_and_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_next_connection_is_asked_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_replaces_another_is_the_one_that_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refusal_ends_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_is_not_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_counted, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("engine: traces", tests, NULL, NULL);
}
