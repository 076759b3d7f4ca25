/* SPDX-License-Identifier: MIT
 *
 * 16-parcel.c - messages among the bytes of a connection: what is one, what is none, what has no end.
 */
#include "common/protocol.h"
#include "owner/transport/parcel.h"
#include "tests/lib/unit.h"

#include <string.h>

struct bytes {
	uint8_t data[PROTOCOL_MESSAGE_MAX_BYTES + 200 * 1024];
	size_t size;
};

static struct bytes story; /* too large for a stack */

static void add_frame(uint8_t flags, const char *text, size_t size)
{
	uint8_t head[ZMTP_HEAD_BYTES];
	size_t head_size = zmtp_head(head, (flags & ZMTP_MORE) != 0, size);

	head[0] |= flags & ZMTP_COMMAND;
	assert_true(story.size + head_size + size <= sizeof story.data);
	memcpy(story.data + story.size, head, head_size);
	memcpy(story.data + story.size + head_size, text, size);
	story.size += head_size + size;
}

static void add(uint8_t flags, const char *text)
{
	add_frame(flags, text, strlen(text));
}

/* Whatever is cut off at the end, it is PARTIAL, and says that it needs more than is there. */
static void assert_partial_before_its_end(void)
{
	struct parcel parcel;

	for (size_t size = 0; size < story.size; size++) {
		assert_int_equal(parcel_find(story.data, size, &parcel), PARCEL_PARTIAL);
		assert_true(parcel.whole > size);
		assert_true(parcel.whole <= story.size + ZMTP_HEAD_BYTES);
	}
}

static void a_message_is_a_path_a_delimiter_and_a_body(void **state)
{
	struct parcel parcel;

	(void)state;
	for (int frames = 0; frames < PROTOCOL_RETURN_PATH_MAX; frames++) {
		story.size = 0;
		for (int i = 0; i < frames; i++)
			add(ZMTP_MORE, "broker");
		add(ZMTP_MORE, "");
		size_t path_size = story.size;
		add(0, "body");
		assert_partial_before_its_end();
		assert_int_equal(parcel_find(story.data, story.size, &parcel), PARCEL_MESSAGE);
		assert_int_equal(parcel.whole, story.size);
		assert_ptr_equal(parcel.path, story.data);
		assert_int_equal(parcel.path_size, path_size);
		assert_int_equal(parcel.relayed, frames > 0);
		assert_int_equal(parcel.size, 4);
		assert_memory_equal(parcel.body, "body", 4);
		assert_false(parcel.overlong);
	}
}

static void frames_behind_the_body_are_seen_and_passed_over(void **state)
{
	struct parcel parcel;

	(void)state;
	story.size = 0;
	add(ZMTP_MORE, "");
	add(ZMTP_MORE, "body");
	add(ZMTP_MORE, "");
	add(0, "last");
	assert_partial_before_its_end();
	size_t whole = story.size;
	add(ZMTP_MORE, "");
	assert_int_equal(parcel_find(story.data, story.size, &parcel), PARCEL_MESSAGE);
	assert_true(parcel.overlong && !parcel.relayed);
	assert_int_equal(parcel.whole, whole);
	assert_memory_equal(parcel.body, "body", parcel.size);
}

static void what_is_framed_otherwise_is_garbage_to_its_end(void **state)
{
	struct parcel parcel;

	(void)state;
	for (int i = 0; i < 4; i++) {
		story.size = 0;
		switch (i) {
		case 0: /* nothing but a body */
			add(0, "body");
			break;
		case 1: /* a delimiter at the end */
			add(ZMTP_MORE, "path");
			add(0, "");
			break;
		case 2: /* no delimiter */
			add(ZMTP_MORE, "path");
			add(0, "body");
			break;
		case 3: /* too long a path */
			for (int frames = 0; frames < PROTOCOL_RETURN_PATH_MAX; frames++)
				add(ZMTP_MORE, "broker");
			add(ZMTP_MORE, "");
			add(0, "body");
			break;
		}
		assert_partial_before_its_end();
		assert_int_equal(parcel_find(story.data, story.size, &parcel), PARCEL_GARBAGE);
		assert_int_equal(parcel.whole, story.size);
	}
}

static void a_command_amid_a_message_comes_before_it(void **state)
{
	struct parcel parcel;
	const uint8_t *context;
	size_t size;

	(void)state;
	story.size = 0;
	add(ZMTP_MORE, "path");
	add_frame(ZMTP_COMMAND, "\x04PING\0\0ctx", 10);
	add(ZMTP_MORE, "");
	add(0, "body");
	assert_int_equal(parcel_find(story.data, story.size, &parcel), PARCEL_COMMAND);
	assert_true(zmtp_is_ping(&parcel.command, &context, &size));
	assert_memory_equal(context, "ctx", 3);
	size_t at = parcel.whole;
	assert_int_equal(parcel_find(story.data + at, story.size - at, &parcel), PARCEL_MESSAGE);
	assert_int_equal(parcel.path_size, 2 + 4 + 2);
	assert_memory_equal(parcel.path, "\x01\x04path\x01\0", 8);
	assert_memory_equal(parcel.body, "body", parcel.size);
	assert_int_equal(at + parcel.whole, story.size);
}

static void a_message_without_an_end_is_wrong(void **state)
{
	static char large[PROTOCOL_MESSAGE_MAX_BYTES];
	struct parcel parcel;

	(void)state;
	story.size = 0; /* by its frames */
	for (int i = 0; i < 64; i++)
		add(ZMTP_MORE, "");
	assert_int_equal(parcel_find(story.data, story.size, &parcel), PARCEL_PARTIAL);
	add(ZMTP_MORE, "");
	assert_int_equal(parcel_find(story.data, story.size, &parcel), PARCEL_WRONG);

	story.size = 0; /* by its bytes, before they have come */
	add_frame(ZMTP_MORE, large, 60000);
	add(ZMTP_MORE, "");
	add_frame(0, large, sizeof large);
	assert_int_equal(parcel_find(story.data, story.size, &parcel), PARCEL_MESSAGE);
	assert_int_equal(parcel.size, sizeof large);
	story.size = 0;
	add_frame(ZMTP_MORE, large, 70000);
	add(ZMTP_MORE, "");
	add_frame(0, large, sizeof large);
	assert_int_equal(parcel_find(story.data, 70000 + 40, &parcel), PARCEL_WRONG);
}

static void no_bytes_harm(void **state)
{
	struct unit_random random = { unit_seed() };
	struct parcel parcel;

	(void)state;
	for (int run = 0; run < 200000; run++) {
		story.size = unit_draw(&random) % 200;
		for (size_t i = 0; i < story.size; i++)
			story.data[i] = (uint8_t)(unit_draw(&random) % (unit_draw(&random) % 4 == 0 ? 256 : 8));
		uint8_t *exact = malloc(story.size + 1); /* for who watches over memory */
		assert_non_null(exact);
		memcpy(exact + 1, story.data, story.size);
		for (size_t at = 0; at < story.size;) {
			enum parcel_found found = parcel_find(exact + 1 + at, story.size - at, &parcel);
			if (found == PARCEL_WRONG || found == PARCEL_PARTIAL)
				break;
			assert_true(parcel.whole > 0 && parcel.whole <= story.size - at);
			at += parcel.whole;
		}
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_a_path_a_delimiter_and_a_body),
		cmocka_unit_test(frames_behind_the_body_are_seen_and_passed_over),
		cmocka_unit_test(what_is_framed_otherwise_is_garbage_to_its_end),
		cmocka_unit_test(a_command_amid_a_message_comes_before_it),
		cmocka_unit_test(a_message_without_an_end_is_wrong),
		cmocka_unit_test(no_bytes_harm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("parcel", tests, NULL, NULL);
}
