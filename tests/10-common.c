/* SPDX-License-Identifier: MIT
 *
 * What every program stands on: bytes, the wire, numbers as people write them,
 * latencies, folders, options, and the notices to a supervisor.
 */
#include "tests/lib/unit.h"

#include "common/buffer.h"
#include "common/histogram.h"
#include "common/notify.h"
#include "common/options.h"
#include "common/quantity.h"
#include "common/rundir.h"
#include "common/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

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

/* ---- quantity ---- */

static void durations_are_read_in_every_unit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{ "0", 0 },
		{ "1", 1000000000 },
		{ "2s", 2000000000 },
		{ "7ns", 7 },
		{ "250us", 250000 },
		{ "1ms", 1000000 },
		{ "1.5s", 1500000000 },
		{ "0.5", 500000000 },
		{ "2min", 120000000000 },
		{ "2m", 120000000000 },
		{ "1h", 3600000000000 },
		{ "1d", 86400000000000 },
		{ "0.000000001", 1 },
		{ "1.25us", 1250 },
		{ "9223372036854775807ns", INT64_MAX },
		{ "9223372036.854775807", INT64_MAX },
		{ "106751d", 9223286400000000000 },
		{ "00012ms", 12000000 },
	};
	static const char *const bad[] = {
		"",
		"s",
		"-1",
		"+1",
		" 1",
		"1 ",
		"1 s",
		"1e3",
		"0x10",
		"1.",
		".5",
		"1.5.5",
		"1S",
		"1sec",
		"1ms ",
		"ms1",
		"1.5ns",
		"1.0000000001",
		"9223372036854775808ns",
		"9223372036.854775808",
		"106752d",
		"99999999999999999999",
		"1\n",
		"NaN",
		"inf",
	};
	int64_t ns;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ns = -7;
		const char *problem = quantity_duration(good[i].text, &ns);
		if (problem != NULL || ns != good[i].ns)
			fail_msg("'%s': %s, %lld", good[i].text, problem, (long long)ns);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ns = -7;
		if (quantity_duration(bad[i], &ns) == NULL || ns != -7)
			fail_msg("'%s' was taken for a time, %lld", bad[i], (long long)ns);
	}
}

static void sizes_are_read_in_every_unit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "10B", 10 },
		{ "1K", 1024 },
		{ "64KiB", 65536 },
		{ "1.5MiB", 1572864 },
		{ "3M", 3145728 },
		{ "2GiB", 2147483648 },
		{ "8589934591G", 9223372035781033984 },
		{ "0.5K", 512 },
		{ "9223372036854775807", INT64_MAX },
	};
	static const char *const bad[] = { "",	     "K",    "-1",	    "1k",
					   "1KB",    "1kib", "1TiB",	    "0.3K",
					   "1.5",    "1 K",  "8589934592G", "9223372036854775808",
					   "0x1000", "1K1" };
	int64_t bytes;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		bytes = -7;
		const char *problem = quantity_size(good[i].text, &bytes);
		if (problem != NULL || bytes != good[i].bytes)
			fail_msg("'%s': %s, %lld", good[i].text, problem, (long long)bytes);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		bytes = -7;
		if (quantity_size(bad[i], &bytes) == NULL || bytes != -7)
			fail_msg("'%s' was taken for a size, %lld", bad[i], (long long)bytes);
	}
}

static void whole_numbers_are_read_within_their_range(void **state)
{
	(void)state;
	int64_t number = -7;

	assert_null(quantity_integer("42", 0, 100, &number));
	assert_int_equal(number, 42);
	assert_null(quantity_integer("+5", 5, 5, &number));
	assert_int_equal(number, 5);
	assert_null(quantity_integer("-9223372036854775808", INT64_MIN, INT64_MAX, &number));
	assert_true(number == INT64_MIN);
	assert_null(quantity_integer("9223372036854775807", INT64_MIN, INT64_MAX, &number));
	assert_true(number == INT64_MAX);
	static const char *const bad[] = { "",
					   " 1",
					   "1 ",
					   "1.0",
					   "0x1",
					   "a",
					   "--1",
					   "101",
					   "-1",
					   "9223372036854775808",
					   "-9223372036854775809",
					   "\t1" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		number = -7;
		const char *problem = quantity_integer(bad[i], 0, 100, &number);
		assert_non_null(problem);
		assert_string_equal(problem, "a whole number from 0 to 100");
		assert_int_equal(number, -7);
	}
}

static void durations_are_written_in_three_digits(void **state)
{
	(void)state;
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0ns" },
		{ 999, "999ns" },
		{ 1000, "1.00us" },
		{ 1240000, "1.24ms" },
		{ 12400000, "12.4ms" },
		{ 124000000, "124ms" },
		{ 1240000000, "1.24s" },
		{ 9994, "9.99us" },
		{ 9999, "10.0us" },
		{ 99960, "100us" },
		{ 999400, "999us" },
		{ 999600, "1.00ms" },
		{ 999999999, "1.00s" },
		{ 3600000000000, "3600s" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[32];
		quantity_format_duration(cases[i].ns, text, sizeof text);
		assert_string_equal(text, cases[i].text);
	}
}

/* ---- histogram ---- */

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void a_quantile_is_told_within_a_thirtysecond(void **state)
{
	(void)state;
	enum { COUNT = 20000 };
	static const uint32_t points[] = { 0, 1, 500000, 900000, 990000, 999000, 999900, 1000000 };
	static uint64_t values[COUNT];
	static struct histogram whole, halves[2];
	struct unit_random random = { unit_seed() };

	for (size_t i = 0; i < COUNT; i++) {
		values[i] = unit_draw(&random) >> unit_below(&random, 64);
		histogram_add(&whole, values[i]);
		histogram_add(&halves[i % 2], values[i]);
	}
	qsort(values, COUNT, sizeof *values, by_size);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		uint64_t rank = ((uint64_t)COUNT * points[i] + 999999) / 1000000;
		uint64_t exact = values[rank > 0 ? rank - 1 : 0],
			 told = histogram_quantile(&whole, points[i]);
		assert_true(told >= exact);
		assert_true(told - exact <= exact / 32);
	}
	assert_true(histogram_quantile(&whole, 1000000) == values[COUNT - 1]);
	histogram_merge(&halves[0], &halves[1]);
	assert_memory_equal(&halves[0], &whole, sizeof whole);
}

static void a_histogram_takes_the_smallest_and_the_largest(void **state)
{
	(void)state;
	static struct histogram h;

	assert_int_equal(histogram_quantile(&h, 500000), 0);
	histogram_add(&h, 0);
	assert_int_equal(histogram_quantile(&h, 1000000), 0);
	histogram_add(&h, UINT64_MAX);
	assert_true(histogram_quantile(&h, 1000000) == UINT64_MAX);
	assert_int_equal(histogram_quantile(&h, 500000), 0);
	for (unsigned power = 0; power < 64; power++) {
		static struct histogram one;
		memset(&one, 0, sizeof one);
		histogram_add(&one, 1ULL << power);
		assert_true(histogram_quantile(&one, 500000) == 1ULL << power);
	}
}

/* ---- rundir ---- */

struct folder {
	char path[64];
};

static int enter_folder(void **state)
{
	static struct folder folder;

	snprintf(folder.path, sizeof folder.path, "/tmp/sole-unit-XXXXXX");
	if (mkdtemp(folder.path) == NULL)
		return -1;
	unsetenv("SOLE_RUNTIME_DIR");
	unsetenv("XDG_RUNTIME_DIR");
	*state = &folder;
	return 0;
}

static int leave_folder(void **state)
{
	const struct folder *folder = *state;
	char command[96];

	unsetenv("SOLE_RUNTIME_DIR");
	unsetenv("XDG_RUNTIME_DIR");
	snprintf(command, sizeof command, "rm -rf %s", folder->path);
	return system(command);
}

static void make_file(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void names_are_letters_digits_and_three_marks(void **state)
{
	(void)state;
	static const char *const good[] = {
		"a",
		"Z9",
		"seed",
		"a.b",
		"a-b_c.d",
		"_",
		"0123456789012345678901234567890123456789012345678901234567890123"
	};
	static const char *const bad[] = {
		"",    ".",	   "..",   ".a",
		"-a",  "a/b",	   "../a", "a b",
		"a\n", "\xc3\xa4", "a*",   "01234567890123456789012345678901234567890123456789012345678901234"
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_null(rundir_name_problem(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_non_null(rundir_name_problem(bad[i]));
}

static void a_folder_that_is_set_is_the_only_one(void **state)
{
	const struct folder *folder = *state;
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX] = "", made[80], expected[RUNDIR_PATH_MAX];
	struct stat st;

	snprintf(made, sizeof made, "%s/run", folder->path);
	setenv("SOLE_RUNTIME_DIR", made, 1);
	setenv("XDG_RUNTIME_DIR", folder->path, 1);
	snprintf(expected, sizeof expected, "%s/seed.sock", made);
	assert_int_equal(rundir_find("seed", ".sock", path, error), EX_UNAVAILABLE);
	assert_string_equal(path, expected);
	assert_non_null(strstr(error, expected));
	mode_t before = umask(0);
	assert_int_equal(rundir_claim("seed", ".sock", path, error), 0);
	umask(before);
	assert_string_equal(path, expected);
	assert_int_equal(stat(made, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	make_file(made, "seed.sock");
	assert_int_equal(rundir_find("seed", ".sock", path, error), 0);
	assert_string_equal(path, expected);
	assert_int_equal(rundir_claim("seed", ".sock", path, error), 0); /* it may be there */
}

static void the_first_folder_that_holds_the_file_is_taken(void **state)
{
	const struct folder *folder = *state;
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX], dir[72], name[24], expected[RUNDIR_PATH_MAX];

	setenv("XDG_RUNTIME_DIR", folder->path, 1);
	snprintf(dir, sizeof dir, "%s/sole", folder->path);
	snprintf(name, sizeof name, "unit-%d", (int)getpid());
	snprintf(expected, sizeof expected, "%s/%s.sock", dir, name);
	/* No folder of this machine holds that: told is the one an owner would take first. */
	assert_int_equal(rundir_find(name, ".sock", path, error), EX_UNAVAILABLE);
	assert_string_equal(path, expected);
	assert_int_equal(mkdir(dir, 0700), 0);
	strcat(strcpy(path, name), ".sock");
	make_file(dir, path);
	assert_int_equal(rundir_find(name, ".sock", path, error), 0);
	assert_string_equal(path, expected);
	setenv("XDG_RUNTIME_DIR", "relative/is-not-valid", 1);
	assert_int_equal(rundir_find(name, ".sock", path, error), EX_UNAVAILABLE);
	assert_null(strstr(path, "relative"));
}

static void a_path_that_is_too_long_is_an_error_and_not_cut(void **state)
{
	(void)state;
	char path[RUNDIR_PATH_MAX] = "", error[RUNDIR_ERROR_MAX], dir[RUNDIR_PATH_MAX];

	/* "DIR/n.sock": 7 bytes behind DIR, 107 is the most. */
	memset(dir, 'd', sizeof dir);
	dir[0] = '/';
	dir[100] = '\0';
	setenv("SOLE_RUNTIME_DIR", dir, 1);
	assert_int_equal(rundir_find("n", ".sock", path, error), EX_UNAVAILABLE);
	assert_int_equal(strlen(path), 107);
	dir[100] = 'd';
	dir[101] = '\0';
	setenv("SOLE_RUNTIME_DIR", dir, 1);
	assert_int_equal(rundir_find("n", ".sock", path, error), EX_CONFIG);
	assert_non_null(strstr(error, "108 bytes and the limit is 107"));
	assert_non_null(strstr(error, "SOLE_RUNTIME_DIR"));
}

static void a_folder_that_cannot_be_made_is_told_with_the_cause(void **state)
{
	const struct folder *folder = *state;
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX], dir[96];

	snprintf(dir, sizeof dir, "%s/not/there", folder->path);
	setenv("SOLE_RUNTIME_DIR", dir, 1);
	assert_int_equal(rundir_claim("seed", ".sock", path, error), EX_CANTCREAT);
	assert_non_null(strstr(error, dir));
	assert_non_null(strstr(error, strerror(ENOENT)));
}

static void the_only_owner_needs_no_name(void **state)
{
	const struct folder *folder = *state;
	char name[RUNDIR_NAME_MAX + 1], error[RUNDIR_ERROR_MAX];

	setenv("SOLE_RUNTIME_DIR", folder->path, 1);
	assert_int_equal(rundir_single(".sock", name, error), EX_UNAVAILABLE);
	make_file(folder->path, "one.sock");
	make_file(folder->path, "one.lock");
	make_file(folder->path, ".sock");
	make_file(folder->path, "..sock");
	make_file(folder->path, "a b.sock");
	make_file(folder->path, "sock");
	assert_int_equal(rundir_single(".sock", name, error), 0);
	assert_string_equal(name, "one");
	make_file(folder->path, "two.sock");
	assert_int_equal(rundir_single(".sock", name, error), EX_USAGE);
	assert_non_null(strstr(error, "one"));
	assert_non_null(strstr(error, "two"));
}

/* As a user of its own, whose folder in /tmp is this test's: 0, or the line that failed. */
#define CHILD_CHECK(condition)                     \
	do {                                       \
		if (!(condition))                  \
			return __LINE__ % 250 + 1; \
	} while (0)

static int distrust_what_stands_in_tmp(const char *mine, const char *elsewhere)
{
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX], expected[RUNDIR_PATH_MAX];
	struct stat st;

	snprintf(expected, sizeof expected, "%s/seed.unit", mine);
	CHILD_CHECK(mkdir(elsewhere, 0700) == 0);
	CHILD_CHECK(symlink(elsewhere, mine) == 0);
	CHILD_CHECK(rundir_claim("seed", ".unit", path, error) == EX_NOPERM);
	CHILD_CHECK(strstr(error, mine) != NULL);
	CHILD_CHECK(rundir_find("seed", ".unit", path, error) == EX_NOPERM);
	CHILD_CHECK(unlink(mine) == 0);

	CHILD_CHECK(mkdir(mine, 0700) == 0 && chmod(mine, 0750) == 0);
	CHILD_CHECK(rundir_claim("seed", ".unit", path, error) == EX_NOPERM);
	CHILD_CHECK(rundir_find("seed", ".unit", path, error) == EX_NOPERM);
	CHILD_CHECK(rmdir(mine) == 0);

	CHILD_CHECK(rundir_claim("seed", ".unit", path, error) == 0);
	CHILD_CHECK(strcmp(path, expected) == 0);
	CHILD_CHECK(lstat(mine, &st) == 0 && (st.st_mode & 07777) == 0700);
	CHILD_CHECK(rundir_find("seed", ".unit", path, error) == EX_UNAVAILABLE);
	return 0;
}

static void a_folder_in_tmp_must_be_ours_and_closed(void **state)
{
	const struct folder *folder = *state;
	char mine[64], elsewhere[96];
	struct stat st;

	if (geteuid() != 0)
		skip(); /* needs another user; the folder in /tmp of this one may be in use */
	uid_t uid = (uid_t)(100000 + getpid());
	snprintf(mine, sizeof mine, "/tmp/sole-%u", (unsigned)uid);
	snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder->path);
	assert_int_equal(chmod(folder->path, 0777), 0);
	assert_int_equal(lstat(mine, &st), -1);
	pid_t pid = fork();
	if (pid == 0)
		_exit(setgid((gid_t)uid) != 0 || setuid(uid) != 0
			      ? 1
			      : distrust_what_stands_in_tmp(mine, elsewhere));
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* What belongs to somebody else, here root, is no better. */
	if (lstat(mine, &st) == 0)
		assert_int_equal(S_ISDIR(st.st_mode) ? chown(mine, 0, 0) : 0, 0);
	pid_t second = fork();
	if (second == 0) {
		char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX];
		_exit(setgid((gid_t)uid) != 0 || setuid(uid) != 0		? 1
		      : rundir_claim("seed", ".unit", path, error) == EX_NOPERM ? 0
										: 2);
	}
	int second_status = -1;
	assert_int_equal(waitpid(second, &second_status, 0), second);
	if (rmdir(mine) != 0)
		unlink(mine);
	assert_int_equal(status, 0);
	assert_int_equal(second_status, 0);
}

/* ---- options ---- */

static void options_are_set_by_name_and_checked(void **state)
{
	(void)state;
	bool flag = false;
	const char *text = "before";
	int64_t wait_ns = 1, size = 2, number = 3, mode = 4, free_number = 5;
	const struct option_spec specs[] = {
		{ "flag", 'f', OPTION_FLAG, &flag, 0, 0, NULL, "a flag" },
		{ "text", 0, OPTION_TEXT, &text, 0, 0, "TEXT", "a text" },
		{ "wait", 0, OPTION_DURATION, &wait_ns, 1000, 5000000000, "TIME", "a time" },
		{ "size", 0, OPTION_SIZE, &size, 4096, 1 << 20, "SIZE", "a size" },
		{ "number", 0, OPTION_INTEGER, &number, 1, 10, "N", "a number" },
		{ "free", 0, OPTION_INTEGER, &free_number, 0, 0, "N", "a number without a range" },
		{ "mode", 0, OPTION_MODE, &mode, 0, 0777, "MODE", "bits" },
	};
	const struct program program = { .name = "unit",
					 .options = specs,
					 .option_count = sizeof specs / sizeof *specs };
	static const struct {
		const char *name, *value;
	} good[] = {
		{ "flag", "yes" },  { "text", "after" }, { "wait", "5s" },   { "size", "4KiB" },
		{ "number", "10" }, { "free", "-5" },	 { "mode", "0640" },
	};
	static const struct {
		const char *name, *value, *told;
	} bad[] = {
		{ "flag", "maybe", "flag: 'maybe' is not yes or no" },
		{ "wait", "soon", "wait: 'soon' is not a time" },
		{ "wait", "999ns", "give 1000 to 5000000000 nanoseconds" },
		{ "wait", "6s", "out of range" },
		{ "size", "4095", "give 4096 to 1048576 bytes" },
		{ "size", "2MiB", "out of range" },
		{ "number", "11", "give 1 to 10" },
		{ "number", "0", "give 1 to 10" },
		{ "number", "ten", "number: 'ten' is not" },
		{ "mode", "0800", "octal" },
		{ "mode", "01000", "octal" },
		{ "mode", "-1", "octal" },
		{ "mode", "", "octal" },
		{ "mode", "0640 ", "octal" },
		{ "nothing", "1", "'nothing' is not a setting of unit" },
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_null(options_set(&program, good[i].name, good[i].value));
	for (int again = 0; again < 2; again++) {
		assert_true(flag);
		assert_string_equal(text, "after");
		assert_true(wait_ns == 5000000000 && size == 4096 && number == 10 && free_number == -5 &&
			    mode == 0640);
		for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
			const char *problem = options_set(&program, bad[i].name, bad[i].value);
			if (problem == NULL || strstr(problem, bad[i].told) == NULL)
				fail_msg("%s = '%s': %s", bad[i].name, bad[i].value, problem);
		}
	}
	assert_null(options_set(&program, "flag", "no"));
	assert_false(flag);
	/* However long the value, the sentence stays one. */
	char longest[5000];
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	assert_true(strlen(options_set(&program, "wait", longest)) < 256);
	assert_true(strlen(options_set(&program, longest, "1")) < 256);
}

static void options_are_parsed_around_operands(void **state)
{
	(void)state;
	bool flag = false;
	int64_t number = 3;
	const struct option_spec specs[] = {
		{ "flag", 'f', OPTION_FLAG, &flag, 0, 0, NULL, "a flag" },
		{ "number", 'n', OPTION_INTEGER, &number, 1, 10, "N", "a number" },
	};
	const struct program program = { .name = "unit", .options = specs, .option_count = 2 };
	char words[6][16] = { "unit", "operand", "-n", "7", "--flag", "more" };
	char *argv[] = { words[0], words[1], words[2], words[3], words[4], words[5], NULL };

	int first = options_parse(&program, 6, argv, 0);
	assert_int_equal(first, 4);
	assert_string_equal(argv[first], "operand");
	assert_string_equal(argv[first + 1], "more");
	assert_true(flag);
	assert_int_equal(number, 7);

	char *again[] = { words[0], words[1], words[2], words[3], NULL };
	flag = false;
	number = 3;
	assert_int_equal(options_parse(&program, 4, again, 1), 1); /* what stands behind is the operand's */
	assert_int_equal(number, 3);
}

/* ---- notify ---- */

static int listen_at(const struct sockaddr_un *address, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)address, size), 0);
	return fd;
}

static void assert_received(int fd, const char *expected)
{
	char text[2048];
	ssize_t size = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

	assert_int_equal(size, strlen(expected));
	text[size] = '\0';
	assert_string_equal(text, expected);
}

static void a_notice_reaches_the_socket_it_is_for(void **state)
{
	const struct folder *folder = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[64], many[2000];

	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify("READY=1"), 0); /* nobody to tell */
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify("READY=1"), 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder->path);
	int fd = listen_at(&address, sizeof address);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	assert_int_equal(notify("READY=1\nSTATUS=%s %d", "serving", 7), 0);
	assert_received(fd, "READY=1\nSTATUS=serving 7");
	memset(many, 'x', sizeof many);
	many[sizeof many - 1] = '\0';
	assert_int_equal(notify("STATUS=%s", many), -1); /* never cut in the middle of a line */
	assert_int_equal(errno, EMSGSIZE);
	close(fd);
	assert_int_equal(notify("READY=1"), -1);
	assert_int_equal(errno, ECONNREFUSED);

	struct sockaddr_un abstract = { .sun_family = AF_UNIX };
	int length = snprintf(name, sizeof name, "@sole-unit-%ld", (long)getpid());
	memcpy(abstract.sun_path, name, (size_t)length);
	abstract.sun_path[0] = '\0';
	fd = listen_at(&abstract, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length));
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify("WATCHDOG=1"), 0);
	assert_received(fd, "WATCHDOG=1");
	close(fd);

	many[200] = '\0';
	many[0] = '/';
	setenv("NOTIFY_SOCKET", many, 1);
	assert_int_equal(notify("READY=1"), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	unsetenv("NOTIFY_SOCKET");
}

static void a_supervisor_that_does_not_read_hangs_nobody(void **state)
{
	const struct folder *folder = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timespec before, after;

	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder->path);
	int fd = listen_at(&address, sizeof address);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	int sent = 0;
	clock_gettime(CLOCK_MONOTONIC, &before);
	while (sent < 100000 && notify("WATCHDOG=1") == 0)
		sent++;
	assert_int_equal(errno, EAGAIN);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 30);
	close(fd);
	unsetenv("NOTIFY_SOCKET");
}

static void the_watchdog_is_for_the_process_it_names(void **state)
{
	(void)state;
	char pid[32];

	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_USEC", "1500000", 1);
	assert_int_equal(notify_watchdog_ns(), 1500000000);
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ns(), 1500000000);
	snprintf(pid, sizeof pid, "%ld", (long)getppid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_PID", "junk", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	unsetenv("WATCHDOG_PID");
	static const char *const bad[] = { "", "0", "-1", "1s", "9223372036854775807" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		setenv("WATCHDOG_USEC", bad[i], 1);
		assert_int_equal(notify_watchdog_ns(), 0);
	}
	unsetenv("WATCHDOG_USEC");
}

static int take_listening_descriptors(void)
{
	char pid[32];

	unsetenv("LISTEN_PID");
	setenv("LISTEN_FDS", "2", 1);
	CHILD_CHECK(notify_listen_fds() == 0); /* for whom? */
	setenv("LISTEN_PID", "1", 1);
	CHILD_CHECK(notify_listen_fds() == 0);
	CHILD_CHECK(getenv("LISTEN_FDS") == NULL);

	int ends[2];
	CHILD_CHECK(pipe(ends) == 0);
	for (int fd = 3; fd <= 4; fd++)
		if (ends[0] != fd)
			CHILD_CHECK(dup2(ends[0], fd) == fd);
	CHILD_CHECK(fcntl(3, F_SETFD, 0) == 0 && fcntl(4, F_SETFD, 0) == 0);
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	static const char *const bad[] = { "0", "-1", "65", "2 ", "" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", bad[i], 1);
		CHILD_CHECK(notify_listen_fds() == 0);
		CHILD_CHECK(fcntl(3, F_GETFD) == 0);
	}
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "a:b", 1);
	CHILD_CHECK(notify_listen_fds() == 2);
	CHILD_CHECK(fcntl(3, F_GETFD) == FD_CLOEXEC && fcntl(4, F_GETFD) == FD_CLOEXEC);
	CHILD_CHECK(getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL &&
		    getenv("LISTEN_FDNAMES") == NULL);
	CHILD_CHECK(notify_listen_fds() == 0);
	return 0;
}

static void listening_descriptors_are_taken_once(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0)
		_exit(take_listening_descriptors());
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

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
	cmocka_unit_test(durations_are_read_in_every_unit),
	cmocka_unit_test(sizes_are_read_in_every_unit),
	cmocka_unit_test(whole_numbers_are_read_within_their_range),
	cmocka_unit_test(durations_are_written_in_three_digits),
	cmocka_unit_test(a_quantile_is_told_within_a_thirtysecond),
	cmocka_unit_test(a_histogram_takes_the_smallest_and_the_largest),
	cmocka_unit_test(names_are_letters_digits_and_three_marks),
	IN_FOLDER(a_folder_that_is_set_is_the_only_one),
	IN_FOLDER(the_first_folder_that_holds_the_file_is_taken),
	IN_FOLDER(a_path_that_is_too_long_is_an_error_and_not_cut),
	IN_FOLDER(a_folder_that_cannot_be_made_is_told_with_the_cause),
	IN_FOLDER(the_only_owner_needs_no_name),
	IN_FOLDER(a_folder_in_tmp_must_be_ours_and_closed),
	cmocka_unit_test(options_are_set_by_name_and_checked),
	cmocka_unit_test(options_are_parsed_around_operands),
	IN_FOLDER(a_notice_reaches_the_socket_it_is_for),
	IN_FOLDER(a_supervisor_that_does_not_read_hangs_nobody),
	cmocka_unit_test(the_watchdog_is_for_the_process_it_names),
	cmocka_unit_test(listening_descriptors_are_taken_once),
};

UNIT_MAIN(tests)
