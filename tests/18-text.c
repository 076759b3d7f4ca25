/* SPDX-License-Identifier: MIT
 *
 * 18-text.c - a state as text: what is written is read back as it was, whatever the bytes; and
 * each line that is not one is refused, with its number.
 */
#include "tests/lib/unit.h"

#include "owner/state/text.h"

#include <string.h>

static struct text_head head_of(const char *behaviour)
{
	struct text_head head = { .version = 3, .history = 0xc0ffee, .revision = 42,
				  .time_us = 1795509785123456, .token = 1795509785000001 };

	snprintf(head.behaviour, sizeof head.behaviour, "%s", behaviour);
	return head;
}

/* Reads the next line of `text` from *at on, which goes behind it. */
static enum text_kind next(struct text_reader *reader, char *text, size_t *at)
{
	char *line = text + *at, *end = strchr(line, '\n');

	assert_non_null(end);
	*at += (size_t)(end - line) + 1;
	return text_read(reader, line, (size_t)(end - line));
}

static enum text_kind skip_to(struct text_reader *reader, char *text, size_t *at)
{
	enum text_kind kind;

	do
		kind = next(reader, text, at);
	while (kind == TEXT_NOTHING);
	return kind;
}

static char *finish(struct buffer *out)
{
	buffer_u8(out, '\0');
	assert_false(out->failed);
	return (char *)out->data;
}

static void as_the_page_shows_it(void **state)
{
	(void)state;
	struct buffer out = { 0 };
	struct text_head head = head_of("table");
	struct text_session session = { .id = 17, .last = 12, .waiting = { 5, 7 }, .waiting_count = 2,
					.caller = { .known = true, .uid = 1000, .gid = 100, .pid = 4711 } };
	struct text_session unknown = { .id = 18 };
	struct text_session keyed = { .id = 19, .last = 1, .caller = { .known = true, .keyed = true, .uid = (uid_t)-1,
								       .gid = (gid_t)-1, .born = 0xfedcba9876543210 } };
	struct text_entry apples = { value_text("apples"), value_integer(-12), 41 };
	struct text_entry note = { value_bytes("a\0b", 3), value_text("two\nlines \"\\\" \xc3\xa4\x7f"), 42 };

	text_write_head(&out, &head);
	text_write_session(&out, &session);
	text_write_session(&out, &unknown);
	text_write_session(&out, &keyed);
	text_write_map(&out, "table");
	text_write_entry(&out, &apples);
	text_write_entry(&out, &note);
	text_write_end(&out);
	assert_string_equal(finish(&out),
			    "sole-text 1\n"
			    "behaviour table 3\n"
			    "history 0000000000c0ffee\n"
			    "revision 42\n"
			    "time 2026-11-24T08:43:05.123456Z\n"
			    "token 1795509785000001\n"
			    "session 17 uid 1000 gid 100 pid 4711 last 12 waiting 5 7\n"
			    "session 18 last 0\n"
			    "session 19 key fedcba9876543210 last 1\n"
			    "map \"table\"\n"
			    "\"apples\" -12 @41\n"
			    "\"a\\x00b\" \"two\\nlines \\\"\\\\\\\" \\xc3\\xa4\\x7f\" @42\n"
			    "end\n");

	struct text_reader reader = { 0 };
	size_t at = 0;
	char *text = (char *)out.data;
	assert_int_equal(skip_to(&reader, text, &at), TEXT_HEAD);
	assert_memory_equal(&reader.head, &head, sizeof head);
	assert_int_equal(next(&reader, text, &at), TEXT_SESSION);
	assert_int_equal(reader.session.id, 17);
	assert_int_equal(reader.session.last, 12);
	assert_int_equal(reader.session.caller.uid, 1000);
	assert_int_equal(reader.session.caller.pid, 4711);
	assert_int_equal(reader.session.waiting_count, 2);
	assert_int_equal(reader.session.waiting[1], 7);
	assert_int_equal(next(&reader, text, &at), TEXT_SESSION);
	assert_false(reader.session.caller.known);
	assert_int_equal(reader.session.waiting_count, 0);
	assert_int_equal(next(&reader, text, &at), TEXT_SESSION);
	assert_true(caller_same(&reader.session.caller, &keyed.caller));
	assert_true(reader.session.caller.keyed);
	assert_int_equal(next(&reader, text, &at), TEXT_MAP);
	assert_true(value_equal(&reader.map, &(struct value){ .type = VALUE_BYTES, .size = 5,
							      .bytes = (const uint8_t *)"table" }));
	assert_int_equal(next(&reader, text, &at), TEXT_ENTRY);
	assert_true(value_equal(&reader.entry.value, &apples.value));
	assert_int_equal(reader.entry.revision, 41);
	assert_int_equal(next(&reader, text, &at), TEXT_ENTRY);
	assert_true(value_equal(&reader.entry.key, &note.key));
	assert_true(value_equal(&reader.entry.value, &note.value));
	assert_int_equal(next(&reader, text, &at), TEXT_END);
	buffer_clear(&out);
}

static void any_bytes(void **state)
{
	(void)state;
	struct unit_random random = { unit_seed() };

	for (int round = 0; round < 2000; round++) {
		uint8_t key[40], bytes[300];
		struct text_entry entry = { .revision = unit_draw(&random) };
		struct buffer out = { 0 };
		for (size_t i = 0; i < sizeof key; i++)
			key[i] = (uint8_t)unit_draw(&random);
		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = (uint8_t)(round % 2 ? unit_draw(&random) : 0x20 + unit_below(&random, 0x60));
		entry.key = value_bytes(key, unit_below(&random, sizeof key + 1));
		entry.value = round % 3 ? value_bytes(bytes, unit_below(&random, sizeof bytes + 1)) :
					  value_integer((int64_t)unit_draw(&random));
		text_write_entry(&out, &entry);
		for (size_t i = 0; i + 1 < out.size; i++)
			assert_true(out.data[i] >= 0x20 && out.data[i] < 0x7f);
		struct text_reader reader = { .stage = 7 }; /* within a map */
		assert_int_equal(text_read(&reader, (char *)out.data, out.size - 1), TEXT_ENTRY);
		assert_true(value_equal(&reader.entry.key, &entry.key));
		assert_true(value_equal(&reader.entry.value, &entry.value));
		assert_true(reader.entry.revision == entry.revision);
		buffer_clear(&out);
	}
}

static void integers_and_times_at_their_ends(void **state)
{
	(void)state;
	static const int64_t numbers[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1, 1795509785123456, 253402300799999999,
					   253402300800000000, INT64_MAX };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct buffer out = { 0 };
		struct text_head head = head_of("b");
		struct text_reader reader = { 0 };
		size_t at = 0;
		head.time_us = head.token = numbers[i];
		head.revision = head.history = (uint64_t)numbers[i];
		text_write_head(&out, &head);
		char *text = finish(&out);
		assert_int_equal(skip_to(&reader, text, &at), TEXT_HEAD);
		assert_memory_equal(&reader.head, &head, sizeof head);
		buffer_clear(&out);
	}
}

static void lists_and_none_are_printed(void **state)
{
	(void)state;
	struct buffer out = { 0 }, list = { 0 };
	struct value none = value_none(), apples = value_text("ap\"ples"), twelve = value_integer(12);

	size_t start = wire_begin_value_list(&list);
	wire_write_value(&list, &apples);
	wire_write_value(&list, &none);
	wire_write_value(&list, &twelve);
	wire_finish_value_list(&list, start);
	struct wire_reader reader = wire_reader(list.data, list.size);
	struct value value;
	assert_true(wire_read_value(&reader, &value));
	text_write_value(&out, &value);
	assert_string_equal(finish(&out), "[\"ap\\\"ples\", none, 12]");
	buffer_clear(&out);
	buffer_clear(&list);
}

/* A text up to where the line in question comes. */
static const char before_head[] = "";
static const char before_behaviour[] = "sole-text 1\n";
static const char before_history[] = "sole-text 1\nbehaviour t 1\n";
static const char before_time[] = "sole-text 1\nbehaviour t 1\nhistory 00c0ffee00c0ffee\nrevision 2\n";
#define HEAD "sole-text 1\nbehaviour t 1\nhistory 00c0ffee00c0ffee\nrevision 2\ntime 2026-11-24T08:43:05.123456Z\ntoken 3\n"
static const char before_sessions[] = HEAD;
static const char before_entries[] = HEAD "map \"m\"\n";
static const char behind_end[] = HEAD "end\n";

static void what_is_no_line_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *before, *line, *says;
	} wrong[] = {
		{ before_head, "sole-text 2", "line 1: expected 'sole-text 1'" },
		{ before_head, "behaviour t 1", "line 1: expected 'sole-text 1'" },
		{ before_behaviour, "behaviour t", "line 2: expected 'behaviour NAME VERSION'" },
		{ before_behaviour, "behaviour t 4294967296", "NAME VERSION" },
		{ before_history, "history c0ffee", "16 hexadecimal digits" },
		{ before_history, "history 00C0FFEE00C0FFEE", "16 hexadecimal digits" },
		{ before_history, "history 00c0ffee00c0ffee0", "16 hexadecimal digits" },
		{ before_time, "time 2026-11-24T08:43:05Z", "line 5: expected 'time'" },
		{ before_time, "time 2026-02-30T08:43:05.000000Z", "line 5: expected 'time'" },
		{ before_time, "time 2026-13-01T08:43:05.000000Z", "line 5: expected 'time'" },
		{ before_time, "time 2026-01-01T24:00:00.000000Z", "line 5: expected 'time'" },
		{ before_time, "time 99999999999999999999us", "line 5: expected 'time'" },
		{ before_sessions, "\"a\" 1 @1", "'session ...', 'map ...' or 'end'" },
		{ before_sessions, "session", "'session ...'" },
		{ before_sessions, "session 1", "'session ID" },
		{ before_sessions, "session 1 last", "'session ID" },
		{ before_sessions, "session 01 last 1", "'session ID" },
		{ before_sessions, "session 1 uid 1 last 1", "'session ID" },
		{ before_sessions, "session 1 uid 1 gid 1 pid -1 last 1", "'session ID" },
		{ before_sessions, "session 1 last 4 waiting", "'session ID" },
		{ before_sessions, "session 1 last 4 waiting 2 2", "'session ID" },
		{ before_sessions, "session 1 last 4 waiting 5", "'session ID" },
		{ before_sessions, "map m", "'map' and its name" },
		{ before_sessions, "map \"m\" ", "'map' and its name" },
		{ before_entries, "session 1 last 1", "an entry, 'map ...' or 'end'" },
		{ before_entries, "\"a\" 1", "line 8: expected '\"KEY\" VALUE @REVISION'" },
		{ before_entries, "\"a\" none @1", "@REVISION'" },
		{ before_entries, "\"a 1 @1", "@REVISION'" },
		{ before_entries, "\"a\\q\" 1 @1", "@REVISION'" },
		{ before_entries, "\"a\\", "@REVISION'" },
		{ before_entries, "\"a\\x4", "@REVISION'" },
		{ before_entries, "\"a\\x4G\" 1 @1", "@REVISION'" },
		{ before_entries, "\"a\\xAA\" 1 @1", "@REVISION'" },
		{ before_entries, "\"\xc3\xa4\" 1 @1", "@REVISION'" },
		{ before_entries, "\"a\tb\" 1 @1", "@REVISION'" },
		{ before_entries, "\"a\" 9223372036854775808 @1", "@REVISION'" },
		{ before_entries, "\"a\" -9223372036854775809 @1", "@REVISION'" },
		{ before_entries, "\"a\" 1 @18446744073709551616", "@REVISION'" },
		{ before_entries, "\"a\" 1 @1 ", "@REVISION'" },
		{ before_entries, "\"a\" \"b @1", "@REVISION'" },
		{ before_entries, "ending", "an entry, 'map ...' or 'end'" },
		{ behind_end, "end", "nothing behind 'end'" },
		{ behind_end, "\"a\" 1 @1", "nothing behind 'end'" },
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char text[1024];
		struct text_reader reader = { 0 };
		size_t at = 0;
		snprintf(text, sizeof text, "%s%s\n", wrong[i].before, wrong[i].line);
		while (text[at] != '\0' && at < strlen(wrong[i].before))
			assert_int_not_equal(next(&reader, text, &at), TEXT_WRONG);
		if (next(&reader, text, &at) != TEXT_WRONG)
			fail_msg("taken for a line: %s", wrong[i].line);
		if (strstr(reader.why, wrong[i].says) == NULL)
			fail_msg("of '%s': %s", wrong[i].line, reader.why);
	}
}

static void comments_and_empty_lines_are_passed_over(void **state)
{
	(void)state;
	char text[] = "# by hand\n\nsole-text 1\n#\nbehaviour t 1\nhistory 00c0ffee00c0ffee\nrevision 2\n"
		      "time 5us\ntoken 3\n\nmap \"m\"\n# one\n\"a\" 1 @1\nend\n\n# more\n";
	struct text_reader reader = { 0 };
	size_t at = 0;

	assert_int_equal(skip_to(&reader, text, &at), TEXT_HEAD);
	assert_int_equal(reader.head.time_us, 5);
	assert_int_equal(skip_to(&reader, text, &at), TEXT_MAP);
	assert_int_equal(skip_to(&reader, text, &at), TEXT_ENTRY);
	assert_int_equal(skip_to(&reader, text, &at), TEXT_END);
	assert_int_equal(next(&reader, text, &at), TEXT_NOTHING);
	assert_int_equal(next(&reader, text, &at), TEXT_NOTHING);
	assert_int_equal(reader.line, 16);
}

/* Whatever the bytes: read or refused, within the line. */
static void random_changes_are_read_or_refused(void **state)
{
	(void)state;
	struct unit_random random = { unit_seed() };
	static const char whole[] = HEAD "session 17 uid 1 gid 1 pid 1 last 12 waiting 5 7\nmap \"m\"\n"
					 "\"apples\" 12 @41\n\"n\\x00\\n\" \"two\\\\\" @42\nend\n";

	for (int round = 0; round < 20000; round++) {
		struct text_reader reader = { 0 };
		char text[sizeof whole];
		memcpy(text, whole, sizeof whole);
		for (size_t i = unit_below(&random, 4); i > 0; i--)
			text[unit_below(&random, sizeof whole - 1)] = (char)unit_draw(&random);
		for (char *line = text, *end; (end = memchr(line, '\n', (size_t)(text + sizeof text - line))) != NULL;
		     line = end + 1) {
			/* On the heap, so that a sanitizer sees what is read beyond it. */
			size_t size = (size_t)(end - line);
			char *copy = malloc(size > 0 ? size : 1);
			assert_non_null(copy);
			memcpy(copy, line, size);
			enum text_kind kind = text_read(&reader, copy, size);
			free(copy);
			if (kind == TEXT_WRONG)
				break;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "a text is as its page shows it, and reads back", as_the_page_shows_it, NULL, NULL, NULL },
		{ "keys and values of any bytes come back, and stand in printable ASCII", any_bytes, NULL, NULL, NULL },
		{ "integers and times come back at their ends", integers_and_times_at_their_ends, NULL, NULL, NULL },
		{ "lists and none are printed", lists_and_none_are_printed, NULL, NULL, NULL },
		{ "what is no line is refused with its number and what was expected", what_is_no_line_is_refused, NULL,
		  NULL, NULL },
		{ "comments and empty lines are passed over", comments_and_empty_lines_are_passed_over, NULL, NULL, NULL },
		{ "random changes are read or refused", random_changes_are_read_or_refused, NULL, NULL, NULL },
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
