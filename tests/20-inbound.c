/* SPDX-License-Identifier: MIT
 *
 * 20-inbound.c - a client's end of ZMTP, byte by byte: however the bytes are cut, the same
 * messages come out; what breaks the framing ends the connection and nothing else.
 */
#include "clients/inbound.h"
#include "common/protocol.h"
#include "tests/lib/unit.h"

#include <stdlib.h>
#include <string.h>

/* As libzmq 4.3.4's ROUTER sends them. */
static const uint8_t greeting[64] = { 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'N', 'U', 'L', 'L' };
static const char ready[] = "\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0";

struct bytes {
	uint8_t data[8192];
	size_t size;
};

static void add(struct bytes *bytes, const void *data, size_t size)
{
	assert_true(size <= sizeof bytes->data - bytes->size);
	memcpy(bytes->data + bytes->size, data, size);
	bytes->size += size;
}

static void add_frame(struct bytes *bytes, uint8_t flags, const void *data, size_t size)
{
	uint8_t head[9] = { flags, (uint8_t)size };

	if (flags & 2)
		for (int i = 0; i < 8; i++)
			head[1 + i] = (uint8_t)((uint64_t)size >> (56 - 8 * i));
	add(bytes, head, flags & 2 ? 9 : 2);
	add(bytes, data, size);
}

static void add_message(struct bytes *bytes, const char *text)
{
	add_frame(bytes, 1, "", 0);
	add_frame(bytes, 0, text, strlen(text));
}

static void add_opening(struct bytes *bytes)
{
	add(bytes, greeting, sizeof greeting);
	add(bytes, ready, sizeof ready - 1);
}

/* Gives `size` bytes in one piece. */
static void give(struct inbound *inbound, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		size_t room;
		uint8_t *to = inbound_room(inbound, &room);
		assert_non_null(to);
		assert_true(room > 0);
		size_t part = size < room ? size : room;
		memcpy(to, bytes, part);
		inbound_filled(inbound, part);
		bytes += part;
		size -= part;
	}
}

/* What came out, a letter each: R ready, M misshapen, F fault, P(context) ping, [body]. */
static void take(struct inbound *inbound, char *told)
{
	const uint8_t *bytes;
	size_t size;

	for (;;) {
		char *at = told + strlen(told);
		switch (inbound_next(inbound, &bytes, &size)) {
		case INBOUND_NOTHING:
			return;
		case INBOUND_READY:
			strcpy(at, "R");
			break;
		case INBOUND_MISSHAPEN:
			strcpy(at, "M");
			break;
		case INBOUND_FAULT:
			strcpy(at, "F");
			return;
		case INBOUND_PING:
			sprintf(at, "P(%.*s)", (int)size, (const char *)bytes);
			break;
		case INBOUND_BODY:
			sprintf(at, "[%.*s]", (int)size, (const char *)bytes);
			break;
		}
	}
}

/* The same story, cut in two at each place and in pieces of each size, is `expected`. */
static void tells(const struct bytes *story, const char *expected)
{
	for (size_t step = 1; step <= story->size; step++) {
		struct inbound inbound = { 0 };
		char told[4096] = "";
		for (size_t at = 0; at < story->size; at += step) {
			give(&inbound, story->data + at, story->size - at < step ? story->size - at : step);
			take(&inbound, told);
			if (strchr(told, 'F') != NULL)
				break;
		}
		if (strcmp(told, expected) != 0)
			fail_msg("in pieces of %zu: %s instead of %s", step, told, expected);
		inbound_clear(&inbound);
	}
}

static void messages_come_out_however_the_bytes_are_cut(void **state)
{
	struct bytes story = { .size = 0 };

	(void)state;
	add_opening(&story);
	add_message(&story, "one");
	add_message(&story, "");
	add_frame(&story, 1, "", 0);
	add_frame(&story, 2, "long", 4);
	tells(&story, "R[one][][long]");
}

static void another_shape_is_skipped_to_its_end(void **state)
{
	struct bytes story = { .size = 0 };

	(void)state;
	add_opening(&story);
	add_frame(&story, 0, "no delimiter", 12);
	add_message(&story, "a");
	add_frame(&story, 1, "no delimiter", 12);
	add_frame(&story, 0, "body", 4);
	add_message(&story, "b");
	add_frame(&story, 1, "", 0);
	add_frame(&story, 1, "body", 4);
	add_frame(&story, 1, "more", 4);
	add_frame(&story, 0, "last", 4);
	add_message(&story, "c");
	add_frame(&story, 0, "", 0);
	add_message(&story, "d");
	tells(&story, "RM[a]M[b]M[c]M[d]");
}

static void commands_are_answered_or_passed_over(void **state)
{
	static const uint8_t ping[] = "\x04PING\x00\x0a" "ctx";
	struct bytes story = { .size = 0 };
	uint8_t pong[ZMTP_PONG_BYTES];

	(void)state;
	add_opening(&story);
	add_frame(&story, 4, ping, sizeof ping - 1);
	add_frame(&story, 4, "\x05OTHERthings", 12);
	add_frame(&story, 4, "\x04PING\x00", 6); /* too short for one */
	add_frame(&story, 1, "", 0);
	add_frame(&story, 4, ping, sizeof ping - 1); /* between the frames of a message */
	add_frame(&story, 0, "a", 1);
	tells(&story, "RP(ctx)P(ctx)[a]");
	assert_int_equal(zmtp_pong(pong, (const uint8_t *)"ctx", 3), 10);
	assert_memory_equal(pong, "\x04\x08\x04PONGctx", 10);
	assert_int_equal(zmtp_pong(pong, (const uint8_t *)"0123456789abcdefghij", 20), 2 + 5 + 16);
}

static void no_peer_of_ours_is_told_at_its_first_wrong_byte(void **state)
{
	const struct {
		size_t at;
		uint8_t byte;
	} cases[] = {
		{ 0, 'H' },                   /* HTTP, say */
		{ 9, 0x7e },                  /* no signature */
		{ 10, 2 },                    /* ZMTP 2 */
		{ 12, 'P' }, { 16, 'X' },     /* another mechanism */
		{ 64, 0 },                    /* a message before READY */
		{ 67, 'X' },                  /* XEADY */
		{ 88, 'D' },                  /* DOUTER: no ROUTER */
		{ 84, 1 },                    /* a property longer than its command */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes story = { .size = 0 };
		add_opening(&story);
		add_message(&story, "never");
		story.data[cases[i].at] = cases[i].byte;
		tells(&story, "F");
	}
	struct bytes error = { .size = 0 };
	add(&error, greeting, sizeof greeting);
	add_frame(&error, 4, "\x05" "ERROR\x03" "why", 10);
	tells(&error, "F");
}

static void a_frame_is_bounded_before_it_is_read(void **state)
{
	static const uint8_t large[] = { 2, 0, 0, 0, 0, 0, 0x10, 0, 1 };       /* a byte over the limit */
	static const uint8_t endless[] = { 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t command[] = { 6, 0, 0, 0, 0, 0, 0, 0x10, 0 };
	static const uint8_t reserved[] = { 8, 0 };
	static const uint8_t halves[] = { 5, 0 };                              /* a command has no MORE */
	const struct {
		const uint8_t *bytes;
		size_t size;
	} cases[] = { { large, 9 }, { endless, 9 }, { command, 9 }, { reserved, 2 }, { halves, 2 } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bytes story = { .size = 0 };
		add_opening(&story);
		add_message(&story, "a");
		add(&story, cases[i].bytes, cases[i].size);
		tells(&story, "R[a]F");
	}
}

static void the_largest_body_fits_and_its_memory_goes_again(void **state)
{
	struct inbound inbound = { 0 };
	struct bytes story = { .size = 0 };
	uint8_t head[ZMTP_HEAD_BYTES], *body = malloc(PROTOCOL_MESSAGE_MAX_BYTES);
	char told[64] = "";
	const uint8_t *bytes;
	size_t size, room;

	(void)state;
	assert_non_null(body);
	for (size_t i = 0; i < PROTOCOL_MESSAGE_MAX_BYTES; i++)
		body[i] = (uint8_t)(i * 7);
	add_opening(&story);
	give(&inbound, story.data, story.size);
	take(&inbound, told);
	give(&inbound, head, zmtp_head(head, true, 0));
	give(&inbound, head, zmtp_head(head, false, PROTOCOL_MESSAGE_MAX_BYTES));
	assert_int_equal(inbound_next(&inbound, &bytes, &size), INBOUND_NOTHING);
	give(&inbound, body, PROTOCOL_MESSAGE_MAX_BYTES);
	assert_int_equal(inbound_next(&inbound, &bytes, &size), INBOUND_BODY);
	assert_int_equal(size, PROTOCOL_MESSAGE_MAX_BYTES);
	assert_memory_equal(bytes, body, size);
	assert_int_equal(inbound_next(&inbound, &bytes, &size), INBOUND_NOTHING);
	inbound_room(&inbound, &room);
	assert_true(inbound.room < PROTOCOL_MESSAGE_MAX_BYTES / 4);
	free(body);
	inbound_clear(&inbound);
}

static void what_is_written_reads_back(void **state)
{
	(void)state;
	for (size_t size = 0; size < 600; size++) {
		struct bytes story = { .size = 0 };
		struct inbound inbound = { 0 };
		uint8_t head[ZMTP_HEAD_BYTES], opening[ZMTP_OPENING_BYTES], body[600] = { 0 };
		const uint8_t *bytes;
		size_t got;
		zmtp_opening(opening, ZMTP_ROUTER);
		add(&story, opening, sizeof opening);
		add(&story, head, zmtp_head(head, true, 0));
		add(&story, head, zmtp_head(head, false, size));
		memset(body, (int)size & 0xff, size);
		add(&story, body, size);
		give(&inbound, story.data, story.size);
		while (inbound.phase != INBOUND_TRAFFIC)
			assert_true(inbound_next(&inbound, &bytes, &got) != INBOUND_FAULT);
		assert_int_equal(inbound_next(&inbound, &bytes, &got), INBOUND_BODY);
		assert_int_equal(got, size);
		assert_memory_equal(bytes, body, size);
		inbound_clear(&inbound);
	}
}

/* Whatever the bytes: nothing is read that is not there, and how they are cut changes nothing. */
static void any_bytes_tell_one_story(void **state)
{
	struct unit_random random = { unit_seed() };

	(void)state;
	for (int run = 0; run < 3000; run++) {
		struct bytes story = { .size = 0 };
		char whole[8192] = "", pieces[8192] = "";
		struct inbound inbound = { 0 };
		add_opening(&story);
		for (int i = 0; i < 6; i++) {
			uint8_t text[300];
			size_t size = unit_draw(&random) % (i == 3 ? sizeof text : 20);
			memset(text, 'a' + i, sizeof text);
			add_frame(&story, (uint8_t)(unit_draw(&random) % 6), text, size < 256 ? size : 255);
		}
		for (uint64_t changes = unit_draw(&random) % 4; changes > 0; changes--)
			story.data[unit_draw(&random) % story.size] = (uint8_t)unit_draw(&random);
		give(&inbound, story.data, story.size);
		take(&inbound, whole);
		inbound_clear(&inbound);
		for (size_t at = 0; at < story.size && inbound.phase != INBOUND_BROKEN;) {
			size_t size = 1 + unit_draw(&random) % 40;
			size = size < story.size - at ? size : story.size - at;
			give(&inbound, story.data + at, size);
			take(&inbound, pieces);
			at += size;
		}
		inbound_clear(&inbound);
		if (strcmp(whole, pieces) != 0)
			fail_msg("run %d: %s is %s in pieces", run, whole, pieces);
	}
}

static void a_new_connection_begins_anew(void **state)
{
	struct inbound inbound = { 0 };
	struct bytes story = { .size = 0 };
	char told[64] = "";

	(void)state;
	add_opening(&story);
	add_frame(&story, 1, "", 0);
	give(&inbound, story.data, story.size);
	take(&inbound, told);
	inbound_reset(&inbound);
	add_frame(&story, 0, "a", 1);
	give(&inbound, story.data, story.size);
	take(&inbound, told);
	assert_string_equal(told, "RR[a]");
	inbound_clear(&inbound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_out_however_the_bytes_are_cut),
		cmocka_unit_test(another_shape_is_skipped_to_its_end),
		cmocka_unit_test(commands_are_answered_or_passed_over),
		cmocka_unit_test(no_peer_of_ours_is_told_at_its_first_wrong_byte),
		cmocka_unit_test(a_frame_is_bounded_before_it_is_read),
		cmocka_unit_test(the_largest_body_fits_and_its_memory_goes_again),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(any_bytes_tell_one_story),
		cmocka_unit_test(a_new_connection_begins_anew),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("inbound", tests, NULL, NULL);
}
