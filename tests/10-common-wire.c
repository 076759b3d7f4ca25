/* SPDX-License-Identifier: MIT
 *
 * What every message stands on: bytes that grow, the wire, the codes.
 */
#include "tests/lib/unit.h"

#include "common/buffer.h"
#include "common/wire.h"

#include <string.h>

/* ---- buffer ---- */

static void a_buffer_keeps_what_is_appended_little_endian(void **state)
{
	(void)state;
	static const uint8_t expected[] = { 0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f, 0x0e,
					    0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08, 'e',  'n',  'd' };
	struct buffer b = { 0 };

	buffer_u8(&b, 0x01);
	buffer_u16(&b, 0x0203);
	buffer_u32(&b, 0x04050607);
	buffer_u64(&b, 0x08090a0b0c0d0e0f);
	buffer_append(&b, "end", 3);
	buffer_append(&b, NULL, 0);
	assert_int_equal(b.size, sizeof expected);
	assert_memory_equal(b.data, expected, sizeof expected);
	buffer_patch_u32(&b, 3, 0xaabbccdd);
	assert_memory_equal(b.data + 3, "\xdd\xcc\xbb\xaa", 4);
	assert_int_equal(b.size, sizeof expected);
	buffer_clear(&b);
	assert_null(b.data);
	assert_int_equal(b.capacity, 0);
}

static void a_buffer_grows_and_keeps_its_memory_when_reset(void **state)
{
	(void)state;
	struct buffer b = { 0 };

	for (uint32_t i = 0; i < 100000; i++)
		buffer_u32(&b, i);
	assert_false(b.failed);
	assert_int_equal(b.size, 400000);
	for (uint32_t i = 0; i < 100000; i += 977)
		assert_int_equal(b.data[4 * i] | b.data[4 * i + 1] << 8 | b.data[4 * i + 2] << 16, i);
	size_t capacity = b.capacity;
	buffer_reset(&b);
	assert_int_equal(b.size, 0);
	assert_int_equal(b.capacity, capacity);
	buffer_clear(&b);
}

static void a_buffer_that_failed_keeps_what_it_has_and_drops_the_rest(void **state)
{
	(void)state;
	struct buffer b = { 0 };

	buffer_append(&b, "kept", 4);
	assert_false(buffer_reserve(&b, SIZE_MAX - 2));
	assert_true(b.failed);
	buffer_append(&b, "dropped", 7);
	buffer_patch_u32(&b, 0, 0);
	assert_int_equal(b.size, 4);
	assert_memory_equal(b.data, "kept", 4);
	buffer_reset(&b);
	buffer_append(&b, "again", 5);
	assert_false(b.failed);
	assert_memory_equal(b.data, "again", 5);
	buffer_clear(&b);
}

/* ---- wire ---- */

static void headers_come_back_as_they_were_written(void **state)
{
	(void)state;
	const struct message_header message = { .magic = PROTOCOL_MAGIC,
						.version = 1,
						.kind = MESSAGE_REQUEST,
						.count = 0x0102,
						.tag = 0x1122334455667788,
						.incarnation = UINT64_MAX,
						.history = 3 };
	const struct request_header request = { .size = 77,
						.kind = ITEM_RUN,
						.flags = 5,
						.window = 65535,
						.session = SESSION_OPENED,
						.sequence = 1,
						.deadline = 1ULL << 63 };
	const struct reply_header reply = { .size = 78,
					    .kind = ITEM_RUN,
					    .outcome = OUTCOME_UNKNOWN,
					    .code = 101,
					    .session = 9,
					    .sequence = 8,
					    .revision = 7 };
	struct buffer out = { 0 };

	wire_write_message_header(&out, &message);
	wire_write_request_header(&out, &request);
	wire_write_reply_header(&out, &reply);
	assert_int_equal(out.size, PROTOCOL_MESSAGE_HEADER_BYTES + 2 * PROTOCOL_ITEM_HEADER_BYTES);
	assert_memory_equal(out.data, "SOLE\x01\x01\x02\x01\x88\x77\x66\x55\x44\x33\x22\x11", 16);

	struct wire_reader reader = wire_reader(out.data, out.size);
	struct message_header m;
	struct request_header q;
	struct reply_header p;
	assert_true(wire_read_message_header(&reader, &m));
	assert_true(wire_read_request_header(&reader, &q));
	assert_true(wire_read_reply_header(&reader, &p));
	assert_int_equal(reader.left, 0);
#define SAME(type, name) assert_true(message.name == m.name);
	PROTOCOL_MESSAGE_FIELDS(SAME)
#undef SAME
#define SAME(type, name) assert_true(request.name == q.name);
	PROTOCOL_REQUEST_FIELDS(SAME)
#undef SAME
#define SAME(type, name) assert_true(reply.name == p.name);
	PROTOCOL_REPLY_FIELDS(SAME)
#undef SAME
	buffer_clear(&out);
}

static void values_come_back_as_they_were_written(void **state)
{
	(void)state;
	static const uint8_t raw[] = { 0, 1, 0xff, 0 };
	const struct value values[] = {
		value_none(),
		value_integer(0),
		value_integer(-1),
		value_integer(INT64_MIN),
		value_integer(INT64_MAX),
		value_bytes(raw, sizeof raw),
		value_bytes("", 0),
		value_bytes(NULL, 0),
		value_text("text"),
	};
	enum { COUNT = sizeof values / sizeof *values };
	struct buffer out = { 0 };
	struct value back[COUNT];
	size_t count = 0;

	wire_write_list(&out, values, COUNT);
	wire_write_list(&out, NULL, 0);
	struct wire_reader reader = wire_reader(out.data, out.size);
	assert_true(wire_read_list(&reader, back, COUNT, &count));
	assert_int_equal(count, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		for (size_t j = 0; j < COUNT; j++) {
			bool same = i == j ||
				    (i >= 6 && i <= 7 && j >= 6 && j <= 7); /* two ways to say no bytes */
			assert_int_equal(value_equal(&back[i], &values[j]), same);
		}
	assert_true(wire_read_list(&reader, back, COUNT, &count));
	assert_int_equal(count, 0);
	assert_int_equal(reader.left, 0);
	buffer_clear(&out);
}

static void a_list_longer_than_the_room_is_read_to_its_end(void **state)
{
	(void)state;
	struct value values[WIRE_LIST_MAX], back[3] = { 0 };
	struct buffer out = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < WIRE_LIST_MAX; i++)
		values[i] = value_integer((int64_t)i);
	wire_write_list(&out, values, WIRE_LIST_MAX);
	buffer_u8(&out, 42);
	struct wire_reader reader = wire_reader(out.data, out.size);
	assert_true(wire_read_list(&reader, back, 2, &count));
	assert_int_equal(count, WIRE_LIST_MAX);
	assert_int_equal(back[1].integer, 1);
	assert_int_equal(back[2].type, VALUE_NONE);
	uint8_t next;
	assert_true(wire_read_u8(&reader, &next));
	assert_int_equal(next, 42);
	buffer_clear(&out);
}

/* Reads a whole message of requests, each a sequence of numbered lists. */
static bool message_is_whole(const uint8_t *bytes, size_t size)
{
	/* Just as large as it is, so that one byte further is somebody else's. */
	uint8_t *copy = malloc(size > 0 ? size : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, size);
	struct wire_reader reader = wire_reader(copy, size), payload;
	struct message_header header;
	bool whole = wire_read_message_header(&reader, &header);

	for (unsigned i = 0; whole && i < header.count; i++) {
		struct request_header request;
		whole = wire_read_request_header(&reader, &request) &&
			wire_read_payload(&reader, request.size, &payload);
		while (whole && payload.left > 0) {
			struct value values[4];
			uint16_t number;
			size_t count;
			whole = wire_read_u16(&payload, &number) &&
				wire_read_list(&payload, values, 4, &count);
			for (size_t v = 0; whole && v < count && v < 4; v++)
				if (values[v].type == VALUE_BYTES && values[v].size > 0)
					whole = values[v].bytes + values[v].size <= copy + size;
		}
	}
	whole = whole && !reader.bad && reader.left == 0;
	free(copy);
	return whole;
}

static void write_random_message(struct unit_random *random, struct buffer *out)
{
	static const uint8_t bytes[300];
	unsigned items = (unsigned)(1 + unit_below(random, 4));

	wire_write_message_header(
		out, &(struct message_header){ .magic = PROTOCOL_MAGIC, .version = 1, .kind = 1 });
	for (unsigned i = 0; i < items; i++) {
		size_t start = out->size;
		wire_write_request_header(out, &(struct request_header){ .kind = ITEM_RUN });
		for (size_t operations = unit_below(random, 4); operations > 0; operations--) {
			struct value values[6];
			size_t count = unit_below(random, 7);
			for (size_t v = 0; v < count; v++)
				values[v] = unit_below(random, 3) == 0
						    ? value_integer((int64_t)unit_draw(random))
					    : unit_below(random, 2) == 0
						    ? value_none()
						    : value_bytes(bytes, unit_below(random, 40));
			buffer_u16(out, (uint16_t)unit_draw(random));
			wire_write_list(out, values, count);
		}
		wire_finish_item(out, start);
	}
	wire_finish_message(out, (uint16_t)items);
}

static void every_truncation_of_a_message_is_seen(void **state)
{
	(void)state;
	struct unit_random random = { unit_seed() };

	for (int round = 0; round < 200; round++) {
		struct buffer out = { 0 };
		write_random_message(&random, &out);
		assert_true(message_is_whole(out.data, out.size));
		for (size_t size = 0; size < out.size; size++)
			assert_false(message_is_whole(out.data, size));
		buffer_u8(&out, 0);
		assert_false(message_is_whole(out.data, out.size));
		buffer_clear(&out);
	}
}

static void a_damaged_message_never_reads_past_its_end(void **state)
{
	(void)state;
	struct unit_random random = { unit_seed() };

	for (int round = 0; round < 20000; round++) {
		struct buffer out = { 0 };
		write_random_message(&random, &out);
		for (size_t flips = 1 + unit_below(&random, 8); flips > 0; flips--)
			out.data[unit_below(&random, out.size)] = (uint8_t)unit_draw(&random);
		message_is_whole(out.data,
				 unit_below(&random, out.size + 1)); /* the sanitizer is the judge */
		buffer_clear(&out);
	}
}

static void counts_and_sizes_that_lie_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t size;
	} lists[] = {
		{ "", 0 },
		{ "\x01", 1 },	       /* a value, and none is there */
		{ "\xff\x00\x00", 3 }, /* 255 of them */
		{ "\x01\x03", 2 },     /* of a type there is not */
		{ "\x01\xff", 2 },
		{ "\x01\x01"
		  "1234567",
		  9 },				   /* seven bytes of an integer */
		{ "\x01\x02\x01\x00\x00", 5 },	   /* a size without its end */
		{ "\x01\x02\x01\x00\x00\x00", 6 }, /* one byte, and none is there */
		{ "\x01\x02\xff\xff\xff\xff"
		  "x",
		  7 }, /* four GiB */
		{ "\x01\x02\x00\x00\x00\x80"
		  "x",
		  7 },
	};
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		struct wire_reader reader = wire_reader(lists[i].bytes, lists[i].size);
		struct value values[4];
		size_t count = 77;
		uint8_t more;
		assert_false(wire_read_list(&reader, values, 4, &count));
		assert_true(reader.bad);
		assert_int_equal(count, 77);
		assert_false(wire_read_u8(&reader, &more)); /* bad once, bad for ever */
	}
	static const uint32_t sizes[] = { 0, 1, 31, 32 + 9, 1 << 20, UINT32_MAX, UINT32_MAX - 31 };
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct wire_reader reader = wire_reader("12345678", 8), payload = { 0 };
		assert_false(wire_read_payload(&reader, sizes[i], &payload));
		assert_true(reader.bad);
		assert_null(payload.at);
	}
	struct wire_reader reader = wire_reader("12345678", 8), payload;
	assert_true(wire_read_payload(&reader, 32 + 8, &payload));
	assert_int_equal(payload.left, 8);
	assert_int_equal(reader.left, 0);
}

static void writing_without_memory_marks_and_does_nothing_else(void **state)
{
	(void)state;
	struct buffer out = { .failed = true };

	wire_write_message_header(&out, &(struct message_header){ 0 });
	wire_write_list(&out, &(struct value){ .type = VALUE_INTEGER }, 1);
	wire_finish_item(&out, 0);
	wire_finish_message(&out, 3);
	assert_null(out.data);
	assert_int_equal(out.size, 0);
	assert_true(out.failed);
}

/* ---- codes ---- */

static void every_code_has_a_name_a_text_and_an_outcome(void **state)
{
	(void)state;
	static const struct {
		unsigned code;
		enum outcome outcome;
		const char *name;
	} codes[] = {
#define CODE(number, NAME, outcome, name, text) { number, OUTCOME_##outcome, name },
#include "common/codes.def"
#undef CODE
	};
	enum { COUNT = sizeof codes / sizeof *codes };

	for (size_t i = 0; i < COUNT; i++) {
		assert_string_equal(code_name(codes[i].code), codes[i].name);
		assert_int_equal(code_outcome(codes[i].code), codes[i].outcome);
		assert_true(strlen(code_text(codes[i].code)) > 3);
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(codes[i].code, codes[j].code);
			assert_string_not_equal(codes[i].name, codes[j].name);
		}
	}
	assert_int_equal(code_outcome(CODE_OK), OUTCOME_DONE);
	assert_int_equal(code_outcome(CODE_BUSY), OUTCOME_REFUSED);
	assert_int_equal(code_outcome(CODE_SESSION_FORGOTTEN), OUTCOME_UNKNOWN);
	assert_int_equal(code_outcome(9999), OUTCOME_UNKNOWN); /* of a later version: nothing is known */
	assert_string_equal(code_name(9999), "other");
	assert_non_null(code_text(9999));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_buffer_keeps_what_is_appended_little_endian),
	cmocka_unit_test(a_buffer_grows_and_keeps_its_memory_when_reset),
	cmocka_unit_test(a_buffer_that_failed_keeps_what_it_has_and_drops_the_rest),
	cmocka_unit_test(headers_come_back_as_they_were_written),
	cmocka_unit_test(values_come_back_as_they_were_written),
	cmocka_unit_test(a_list_longer_than_the_room_is_read_to_its_end),
	cmocka_unit_test(every_truncation_of_a_message_is_seen),
	cmocka_unit_test(a_damaged_message_never_reads_past_its_end),
	cmocka_unit_test(counts_and_sizes_that_lie_are_refused),
	cmocka_unit_test(writing_without_memory_marks_and_does_nothing_else),
	cmocka_unit_test(every_code_has_a_name_a_text_and_an_outcome),
};

UNIT_MAIN(tests)
