/* SPDX-License-Identifier: MIT
 *
 * The table's operations by message bodies: conditions, both halves of a request, scans, expiry
 * by the recorded clock, and entries that go with a session.
 */
#include "tests/lib/outlet.h"

enum {
	INSERT = 7,
	REPLACE = 8,
	GET_MANY = 9,
	SCAN = 10,
	CAS_REVISION = 11,
	PUT_FOR = 12,
	EXPIRE = 13,
	TTL = 14,
	BIND = 15,
	CHECK = 16,
	CHECK_REVISION = 17,
	REVISION = 18,
};

static const struct value none = { .type = VALUE_NONE };

#define OPERATION(rig, number, ...)                                                                          \
	rig_operation(rig, number, (const struct value[]){ __VA_ARGS__ },                                    \
		      sizeof((const struct value[]){ __VA_ARGS__ }) / sizeof(struct value))

static struct value text(const char *key)
{
	return value_text(key);
}

static struct value number(int64_t n)
{
	return value_integer(n);
}

/* A request of its own message, of no session. */
static void ask(struct rig *rig, uint8_t flags)
{
	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN, .flags = flags });
}

static void put(struct rig *rig, const char *key, int64_t n)
{
	ask(rig, 0);
	rig_put(rig, key, number(n));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
}

static int64_t tend(struct rig *rig)
{
	int64_t next_ns;

	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	return next_ns;
}

static int check_and_tear_down(void **state)
{
	assert_sound(*state);
	return rig_tear_down(state);
}

/* ---- conditions ---- */

static void insert_and_replace_look_before_they_write(void **state)
{
	struct rig *rig = *state;

	ask(rig, 0);
	OPERATION(rig, REPLACE, text("k"), number(1));
	ask(rig, 0);
	OPERATION(rig, INSERT, text("k"), number(2));
	ask(rig, 0);
	OPERATION(rig, INSERT, text("k"), number(3));
	ask(rig, 0);
	OPERATION(rig, REPLACE, text("k"), text("new"));
	rig_round(rig);
	rig_refused(rig, 0, CODE_CONFLICT, 0, "replace: the key is not there");
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	rig_refused(rig, 2, CODE_CONFLICT, 0, "insert: the key is there");
	assert_int_equal(rig_integer(rig, 2, 0, 2), 2); /* what is there */
	rig_is(rig, 3, ITEM_RUN, CODE_OK);
	ask(rig, REQUEST_FLAG_QUERY);
	rig_get(rig, "k");
	rig_round(rig);
	assert_true(is_text(rig_value(rig, 0, 0, 0), "new"));
}

static void an_entry_has_the_revision_of_its_last_change(void **state)
{
	struct rig *rig = *state;

	put(rig, "k", 1);
	uint64_t first = rig_answer(rig, 0)->header.revision;
	put(rig, "other", 1);
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, REVISION, text("k"));
	OPERATION(rig, REVISION, text("absent"));
	OPERATION(rig, CHECK_REVISION, text("k"), number((int64_t)first));
	OPERATION(rig, CHECK_REVISION, text("absent"), number(0));
	OPERATION(rig, CHECK, text("k"), number(1));
	OPERATION(rig, CHECK, text("absent"), none);
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, CHECK, text("k"), text("1"));
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, CHECK_REVISION, text("k"), number((int64_t)first + 1));
	ask(rig, 0);
	OPERATION(rig, CAS_REVISION, text("k"), number((int64_t)first + 1), number(2));
	ask(rig, 0);
	OPERATION(rig, CAS_REVISION, text("k"), number((int64_t)first), number(2));
	ask(rig, 0);
	OPERATION(rig, CAS_REVISION, text("k"), number((int64_t)first), number(3));
	ask(rig, 0);
	OPERATION(rig, CAS_REVISION, text("fresh"), number(0), number(4));
	ask(rig, 0);
	OPERATION(rig, CAS_REVISION, text("other"), number((int64_t)first + 1), none); /* removes */
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 1);
	assert_true(rig_integer(rig, 0, 0, 1) == (int64_t)first);
	assert_int_equal(rig_value(rig, 0, 1, 0).type, VALUE_NONE);
	assert_int_equal(rig_integer(rig, 0, 1, 1), 0);
	rig_refused(rig, 1, CODE_CONFLICT, 0, "check: the value");
	assert_int_equal(rig_integer(rig, 1, 0, 2), 1);
	rig_refused(rig, 2, CODE_CONFLICT, 0, "changed since");
	assert_true(rig_integer(rig, 2, 0, 2) == (int64_t)first);
	rig_refused(rig, 3, CODE_CONFLICT, 0, "changed since");
	rig_is(rig, 4, ITEM_RUN, CODE_OK);
	rig_refused(rig, 5, CODE_CONFLICT, 0, "changed since");
	rig_is(rig, 6, ITEM_RUN, CODE_OK);
	rig_is(rig, 7, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_look(rig, "k"), 2);
	assert_int_equal(rig_look(rig, "fresh"), 4);
	assert_int_equal(rig_look(rig, "other"), INT64_MIN);
	/* All of a request are of one revision, also one that it changes twice. */
	ask(rig, 0);
	rig_add(rig, "k", 1);
	rig_add(rig, "j", 1);
	rig_add(rig, "k", 1);
	rig_round(rig);
	uint64_t all = rig_answer(rig, 0)->header.revision;
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, CHECK_REVISION, text("k"), number((int64_t)all));
	OPERATION(rig, CHECK_REVISION, text("j"), number((int64_t)all));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
}

static void what_is_undone_has_the_revision_that_it_had(void **state)
{
	struct rig *rig = *state;

	put(rig, "k", 1);
	int64_t first = (int64_t)rig_answer(rig, 0)->header.revision;
	put(rig, "j", 1);
	ask(rig, 0);
	rig_add(rig, "k", 1);
	rig_delete(rig, "k");
	rig_put(rig, "k", number(7));
	OPERATION(rig, CHECK, text("j"), number(2));
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, CHECK_REVISION, text("k"), number(first));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_CONFLICT);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
}

/* ---- both halves ---- */

static void otherwise(struct rig *rig)
{
	rig_operation(rig, OPERATION_OTHERWISE, NULL, 0);
}

static void the_first_half_runs_when_it_holds_and_else_the_second(void **state)
{
	struct rig *rig = *state;

	for (int64_t there = 0; there < 2; there++) {
		ask(rig, REQUEST_FLAG_OTHERWISE);
		rig_add(rig, "tried", 1);
		OPERATION(rig, CHECK, text("k"), none);
		rig_put(rig, "k", number(1));
		otherwise(rig);
		rig_get(rig, "k");
		rig_get(rig, "tried");
		rig_add(rig, "k", 10);
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_OK);
		assert_int_equal(rig_integer(rig, 0, 0, 0), there ? 2 : 1);
		if (there) {
			assert_int_equal(rig_integer(rig, 0, 1, 0), 1);
			assert_int_equal(rig_integer(rig, 0, 2, 0),
					 1); /* as if the first had not been tried */
			assert_int_equal(rig_integer(rig, 0, 3, 0), 11);
		} else {
			assert_int_equal(rig_integer(rig, 0, 1, 0), 1);
			assert_int_equal(rig_integer(rig, 0, 3, 0), 0);
		}
	}
	assert_int_equal(rig_look(rig, "tried"), 1);
	assert_int_equal(rig->counters.reads, 3);
	assert_int_equal(rig->counters.writes, 3);
}

static void a_second_half_that_does_not_hold_is_refused_with_its_place(void **state)
{
	struct rig *rig = *state;

	put(rig, "k", 1);
	ask(rig, REQUEST_FLAG_OTHERWISE);
	rig_put(rig, "k", number(5));
	OPERATION(rig, CHECK, text("k"), none);
	otherwise(rig);
	rig_put(rig, "k", number(6));
	OPERATION(rig, INSERT, text("k"), number(7));
	ask(rig, REQUEST_FLAG_OTHERWISE); /* not twice */
	OPERATION(rig, CHECK, text("k"), none);
	otherwise(rig);
	rig_put(rig, "k", number(6));
	otherwise(rig);
	rig_put(rig, "k", number(7));
	rig_round(rig);
	rig_refused(rig, 0, CODE_CONFLICT, 4, "insert");
	assert_int_equal(rig_integer(rig, 0, 0, 2), 6);
	rig_refused(rig, 1, CODE_NO_OPERATION, 3, "no operation number 65535");
	assert_int_equal(rig_look(rig, "k"), 1);
}

static void only_a_conflict_turns_to_the_second_half(void **state)
{
	struct rig *rig = *state;

	ask(rig, 0);
	rig_put(rig, "k", text("bytes"));
	rig_round(rig);
	ask(rig, REQUEST_FLAG_OTHERWISE);
	rig_add(rig, "k", 1);
	otherwise(rig);
	rig_put(rig, "j", number(1));
	ask(rig, REQUEST_FLAG_OTHERWISE);
	rig_operation(rig, 999, NULL, 0);
	otherwise(rig);
	rig_put(rig, "j", number(1));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_WRONG_TYPE);
	rig_is(rig, 1, ITEM_RUN, CODE_NO_OPERATION);
	assert_int_equal(rig_look(rig, "j"), INT64_MIN);
}

static void marker_and_mark_go_together(void **state)
{
	struct rig *rig = *state;

	for (int conflict = 0; conflict < 2; conflict++) {
		ask(rig, REQUEST_FLAG_OTHERWISE);
		rig_put(rig, "k", number(1));
		if (conflict)
			OPERATION(rig, CHECK, text("j"), number(1));
		rig_round(rig);
		rig_refused(rig, 0, CODE_INVALID, -1, "has none");
	}
	ask(rig, 0);
	rig_put(rig, "k", number(1));
	otherwise(rig);
	ask(rig, REQUEST_FLAG_OTHERWISE);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_NO_OPERATION);
	rig_refused(rig, 1, CODE_INVALID, 0, "at least one operation");
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
	ask(rig, REQUEST_FLAG_OTHERWISE); /* either half may be empty */
	otherwise(rig);
	rig_put(rig, "k", number(1));
	ask(rig, REQUEST_FLAG_OTHERWISE);
	OPERATION(rig, CHECK, text("k"), number(1));
	otherwise(rig);
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 1);
	assert_int_equal(rig_integer(rig, 1, 0, 0), 2);
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

static void a_half_that_cannot_be_read_spoils_the_whole(void **state)
{
	struct rig *rig = *state;

	for (int half = 0; half < 2; half++) {
		ask(rig, REQUEST_FLAG_OTHERWISE);
		rig_put(rig, "k", number(1));
		if (half == 1)
			otherwise(rig);
		buffer_u16(rig_body(rig), 1);
		buffer_u8(rig_body(rig), 3);
		rig_end_item(rig);
		rig_round(rig);
		rig_refused(rig, 0, CODE_MALFORMED, half + 1, "ends in the middle");
	}
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

static void queries_may_have_halves_and_no_commands(void **state)
{
	struct rig *rig = *state;

	ask(rig, REQUEST_FLAG_OTHERWISE | REQUEST_FLAG_QUERY);
	OPERATION(rig, CHECK, text("k"), number(1));
	otherwise(rig);
	rig_get(rig, "k");
	ask(rig, REQUEST_FLAG_OTHERWISE | REQUEST_FLAG_QUERY);
	OPERATION(rig, CHECK, text("k"), number(1));
	otherwise(rig);
	rig_put(rig, "k", number(1));
	rig_round(rig);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 2);
	rig_refused(rig, 1, CODE_INVALID, 2, "put is a command");
}

static void a_retry_of_halves_repeats_the_half_that_ran(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	for (int i = 0; i < 2; i++) {
		rig_message(rig, &alice, true);
		rig_item(rig, &(struct request_header){ .kind = ITEM_RUN,
							.flags = REQUEST_FLAG_OTHERWISE,
							.session = session,
							.sequence = 1 });
		OPERATION(rig, INSERT, text("k"), number(1));
		otherwise(rig);
		rig_add(rig, "k", 1);
		rig_round(rig);
		assert_int_equal(rig_integer(rig, 0, 0, 0), 1); /* though it would not hold any more */
	}
	assert_int_equal(rig_look(rig, "k"), 1);
}

/* ---- many keys ---- */

static void get_many_answers_in_the_order_of_the_keys(void **state)
{
	struct rig *rig = *state;
	static char keys[255][8];
	static struct value list[255];

	put(rig, "k3", 3);
	put(rig, "k250", 250);
	for (int i = 0; i < 255; i++) {
		snprintf(keys[i], sizeof keys[i], "k%d", i);
		list[i] = text(keys[i]);
	}
	ask(rig, REQUEST_FLAG_QUERY);
	rig_operation(rig, GET_MANY, list, 255);
	ask(rig, REQUEST_FLAG_QUERY);
	rig_operation(rig, GET_MANY, NULL, 0);
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, GET_MANY, text("k3"), number(3));
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, GET_MANY, text("k3"), *rig_big(1025));
	rig_round(rig);
	for (size_t i = 0; i < 255; i++)
		assert_int_equal(rig_value(rig, 0, 0, i).type,
				 i == 3 || i == 250 ? VALUE_INTEGER : VALUE_NONE);
	assert_int_equal(rig_integer(rig, 0, 0, 250), 250);
	rig_refused(rig, 1, CODE_INVALID, 0, "takes 1 or more arguments");
	rig_refused(rig, 2, CODE_INVALID, 0, "must be key");
	rig_refused(rig, 3, CODE_TOO_LARGE, 0, "max-key");
	assert_int_equal(rig->counters.limit_key, 1);
}

static void more_than_a_message_holds_is_refused_by_name(void **state)
{
	struct rig *rig = *state;

	ask(rig, 0);
	rig_put(rig, "k", *rig_big(250 * KIB));
	rig_round(rig);
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, GET_MANY, text("k"), text("k"), text("k"), text("k"), text("k"));
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, GET_MANY, text("k"), text("k"), text("k"), text("k"));
	rig_round(rig);
	rig_refused(rig, 0, CODE_TOO_LARGE, 0, "would not fit into a message");
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	assert_int_equal(rig->counters.limit_reply, 1);
}

/* ---- scans ---- */

struct scanned {
	size_t count, first; /* of the entries, and the number in the first key */
	bool more;
	uint8_t cursor[1024];
	uint32_t cursor_size;
	size_t reply_bytes;
};

static struct scanned scan(struct rig *rig, const char *prefix, struct value after, int64_t limit)
{
	struct scanned scanned = { 0 };
	uint8_t last[1024];
	uint32_t last_size = 0;

	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, SCAN, text(prefix), after, number(limit));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	scanned.reply_bytes = rig_answer(rig, 0)->header.size;
	struct value list = rig_value(rig, 0, 0, 0), cursor = rig_value(rig, 0, 0, 1);
	assert_int_equal(list.type, VALUE_LIST);
	struct wire_reader reader = wire_reader(list.bytes, list.size);
	while (reader.left > 0) {
		struct value key, value, revision;
		assert_true(wire_read_value(&reader, &key) && wire_read_value(&reader, &value) &&
			    wire_read_value(&reader, &revision));
		assert_true(key.size >= strlen(prefix) && memcmp(key.bytes, prefix, strlen(prefix)) == 0);
		assert_true(revision.type == VALUE_INTEGER && revision.integer > 0);
		assert_true(value.type != VALUE_NONE);
		uint32_t shorter = key.size < last_size ? key.size : last_size;
		int difference = memcmp(last, key.bytes, shorter);
		assert_true(last_size == 0 || difference < 0 || (difference == 0 && last_size < key.size));
		memcpy(last, key.bytes, key.size);
		last_size = key.size;
		if (scanned.count++ == 0)
			scanned.first = strtoul((const char *)key.bytes + strlen(prefix), NULL, 10);
	}
	scanned.more = cursor.type == VALUE_BYTES;
	if (scanned.more) {
		scanned.cursor_size = cursor.size;
		memcpy(scanned.cursor, cursor.bytes, cursor.size);
		assert_true(cursor.size == last_size && memcmp(cursor.bytes, last, last_size) == 0);
	}
	return scanned;
}

static void fill(struct rig *rig, const char *prefix, int count, struct value value)
{
	char key[32];

	for (int i = 0; i < count; i++) {
		snprintf(key, sizeof key, "%s%05d", prefix, i);
		ask(rig, 0);
		rig_put(rig, key, value);
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_OK);
	}
}

static void a_scan_goes_through_a_prefix_in_order_and_no_further(void **state)
{
	struct rig *rig = *state;

	fill(rig, "b/", 25, number(1));
	put(rig, "b", 1);
	put(rig, "b0", 1); /* behind all of b/ */
	put(rig, "a/z", 1);
	assert_int_equal(scan(rig, "b/", none, 0).count, 25);
	assert_int_equal(scan(rig, "b", none, 0).count, 27);
	assert_int_equal(scan(rig, "", none, 0).count, 28);
	assert_int_equal(scan(rig, "c", none, 0).count, 0);
	assert_int_equal(scan(rig, "b/0000", none, 0).count, 10);

	size_t total = 0;
	struct value after = none;
	struct scanned page;
	do {
		page = scan(rig, "b/", after, 7);
		assert_int_equal(page.count, total + 7 <= 25 ? 7 : 4);
		assert_int_equal(page.first, total);
		total += page.count;
		after = value_bytes(page.cursor, page.cursor_size);
	} while (page.more);
	assert_int_equal(total, 25);
	page = scan(rig, "b/", none, 25);
	assert_false(page.more); /* it ends where the limit does */
	/* Keys that come and go between the pages disturb neither the others nor the cursor. */
	page = scan(rig, "b/", none, 7);
	ask(rig, 0);
	rig_delete(rig, "b/00006");
	rig_delete(rig, "b/00007");
	rig_put(rig, "b/000065", number(1));
	rig_round(rig);
	page = scan(rig, "b/", value_bytes(page.cursor, page.cursor_size), 0);
	assert_int_equal(page.count, 18);
	assert_int_equal(page.first, 65);
	/* A cursor outside the prefix. */
	assert_int_equal(scan(rig, "b/", text("a/z"), 0).count, 24);
	assert_int_equal(scan(rig, "b/", text(""), 0).count, 24);
	assert_int_equal(scan(rig, "b/", text("b0"), 0).count, 0);
}

static void a_scan_refuses_limits_that_are_none(void **state)
{
	struct rig *rig = *state;
	static const int64_t limits[] = { -1, 10001, INT64_MAX, INT64_MIN };

	for (size_t i = 0; i < 4; i++) {
		ask(rig, REQUEST_FLAG_QUERY);
		OPERATION(rig, SCAN, text(""), none, number(limits[i]));
		rig_round(rig);
		rig_refused(rig, 0, CODE_INVALID, 0, "limit 0 to 10000");
	}
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, SCAN, text(""), number(3), number(0));
	rig_round(rig);
	rig_refused(rig, 0, CODE_INVALID, 0, "'after' is a key or none");
}

static void a_scan_of_more_than_a_message_comes_in_pages(void **state)
{
	struct rig *rig = *state;
	size_t total = 0, pages = 0;
	struct value after = none;
	struct scanned page;

	fill(rig, "big/", 30, *rig_big(100 * KIB));
	fill(rig, "small/", 2500, number(1));
	do {
		page = scan(rig, "big/", after, 0);
		assert_true(page.count > 0 && page.first == total);
		assert_true(!page.more || page.reply_bytes > 800 * KIB); /* as many as go into one */
		total += page.count;
		after = value_bytes(page.cursor, page.cursor_size);
		pages++;
	} while (page.more);
	assert_int_equal(total, 30);
	assert_int_equal(pages, 3);
	assert_int_equal(scan(rig, "small/", none, 0).count, 1000);
	assert_int_equal(scan(rig, "small/", none, 10000).count, 2500);
	/* With the largest values there still is one on each page. */
	rig->limits.value_bytes = 524288;
	fill(rig, "huge/", 3, *rig_big(512 * KIB));
	for (total = 0, after = none; total < 3; after = value_bytes(page.cursor, page.cursor_size)) {
		page = scan(rig, "huge/", after, 0);
		assert_int_equal(page.count, 1);
		total++;
	}
	/* Where a reply must share a message, it is shorter. */
	rig_message(rig, &alice, false);
	for (int i = 0; i < 3; i++) {
		rig_query(rig, 0, 1);
		OPERATION(rig, SCAN, text("big/"), none, number(0));
	}
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_refused(rig, 2, CODE_TOO_LARGE, 0, "would not fit");
}

static void a_budget_of_work_is_for_the_whole_request(void **state)
{
	struct rig *rig = *state;

	fill(rig, "k", 30, number(1));
	rig->limits.checkpoints = 40;
	assert_int_equal(scan(rig, "k", none, 30).count, 30);
	ask(rig, 0);
	rig_put(rig, "j", number(1));
	OPERATION(rig, SCAN, text("k"), none, number(20));
	OPERATION(rig, SCAN, text("k"), none, number(20));
	ask(rig, 0);
	rig_put(rig, "j", number(1));
	OPERATION(rig, SCAN, text("k"), none, number(20));
	OPERATION(rig, SCAN, text("k"), none, number(21));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_refused(rig, 1, CODE_TOO_LARGE, 2, "max-checkpoints");
	assert_int_equal(rig_revision(rig), 31);
}

/* ---- expiry ---- */

static void put_for(struct rig *rig, const char *key, int64_t ms)
{
	ask(rig, 0);
	OPERATION(rig, PUT_FOR, text(key), number(1), number(ms));
	rig_round(rig);
}

static int64_t ttl(struct rig *rig, const char *key)
{
	ask(rig, REQUEST_FLAG_QUERY);
	OPERATION(rig, TTL, text(key));
	rig_round(rig);
	struct value value = rig_value(rig, 0, 0, 0);
	return value.type == VALUE_INTEGER ? value.integer : -1;
}

static void an_entry_expires_at_its_time(void **state)
{
	struct rig *rig = *state;

	put_for(rig, "k", 1000);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	assert_int_equal(ttl(rig, "k"), 1000);
	assert_true(tend(rig) == rig->now_ns + NS_PER_S);
	rig->wall_us += 999001;
	assert_int_equal(ttl(rig, "k"), 1);
	assert_int_equal(rig_look(rig, "k"), 1);
	rig->wall_us += 998;
	tend(rig);
	assert_int_equal(rig_look(rig, "k"), 1);
	uint64_t revision = rig_revision(rig);
	rig->wall_us += 1;
	tend(rig);
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
	assert_true(rig_revision(rig) == revision + 1); /* an input like another */
	assert_int_equal(ttl(rig, "k"), -1);
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 0);
	/* A round finds what is due gone, without anybody tending. */
	put_for(rig, "k", 5);
	rig->wall_us += 5000;
	ask(rig, 0);
	OPERATION(rig, INSERT, text("k"), number(2));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig->wall_us += 3600 * 1000000LL;
	tend(rig);
	assert_int_equal(rig_look(rig, "k"), 2); /* the new one is for good */
}

static void a_clock_that_is_set_does_not_undo_time(void **state)
{
	struct rig *rig = *state;
	int64_t start = rig->wall_us;

	put_for(rig, "k", 1000);
	rig->wall_us = start - 3600 * 1000000LL; /* back by an hour */
	tend(rig);
	assert_int_equal(ttl(rig, "k"), 1000);
	put_for(rig, "j", 2000); /* counts from the recorded time */
	rig->wall_us = start + 500000;
	assert_int_equal(ttl(rig, "k"), 500);
	assert_int_equal(ttl(rig, "j"), 1500);
	rig->wall_us = 0;
	assert_true(tend(rig) > rig->now_ns && tend(rig) < INT64_MAX); /* it looks again by itself */
	assert_int_equal(ttl(rig, "k"), 500);
	rig->wall_us = start + 365 * 86400 * 1000000LL; /* and far ahead */
	tend(rig);
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
	assert_int_equal(rig_look(rig, "j"), INT64_MIN);
	assert_true(tend(rig) == INT64_MAX);
}

static void what_is_put_anew_does_not_expire_and_what_is_added_to_does(void **state)
{
	struct rig *rig = *state;

	put_for(rig, "put", 100);
	put_for(rig, "added", 100);
	put_for(rig, "deleted", 100);
	put_for(rig, "cas", 100);
	put_for(rig, "longer", 100);
	put_for(rig, "never", 100);
	put(rig, "put", 2);
	ask(rig, 0);
	rig_add(rig, "added", 1);
	rig_delete(rig, "deleted");
	rig_put(rig, "deleted", number(1));
	rig_cas(rig, "cas", number(1), number(2));
	OPERATION(rig, EXPIRE, text("longer"), number(200));
	OPERATION(rig, EXPIRE, text("never"), none);
	OPERATION(rig, EXPIRE, text("absent"), number(5));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 4, 0), 1);
	assert_int_equal(rig_integer(rig, 0, 6, 0), 0);
	rig->wall_us += 150000;
	tend(rig);
	assert_int_equal(rig_look(rig, "put"), 2);
	assert_int_equal(rig_look(rig, "added"), INT64_MIN);
	assert_int_equal(rig_look(rig, "deleted"), 1);
	assert_int_equal(rig_look(rig, "cas"), 2);
	assert_int_equal(rig_look(rig, "longer"), 1);
	assert_int_equal(rig_look(rig, "never"), 1);
	rig->wall_us += 50000;
	tend(rig);
	assert_int_equal(rig_look(rig, "longer"), INT64_MIN);
	assert_int_equal(rig_look(rig, "never"), 1);
}

static void times_and_keys_that_do_not_do_are_refused(void **state)
{
	struct rig *rig = *state;
	static const int64_t bad[] = { 0, -1, INT64_MIN, INT64_MAX, INT64_MAX / 1000 };

	for (size_t i = 0; i < 5; i++) {
		put_for(rig, "k", bad[i]);
		rig_refused(rig, 0, CODE_INVALID, 0, "positive number of milliseconds");
	}
	ask(rig, 0);
	OPERATION(rig, PUT_FOR, *rig_big(1017), number(1), number(1));
	ask(rig, 0);
	OPERATION(rig, BIND, *rig_big(1017), number(1));
	rig_round(rig);
	rig_refused(rig, 0, CODE_TOO_LARGE, 0, "at most 1016 bytes");
	rig_is(rig, 1, ITEM_RUN, CODE_INVALID); /* no session comes first */
	put(rig, "k", 1);
	ask(rig, 0);
	OPERATION(rig, EXPIRE, text("k"), text("soon"));
	ask(rig, 0);
	OPERATION(rig, EXPIRE, text("not there"), text("soon"));
	ask(rig, 0);
	OPERATION(rig, PUT_FOR, *rig_big(1016), number(1), number(1));
	rig_round(rig);
	rig_refused(rig, 0, CODE_INVALID, 0, "milliseconds, or none");
	rig_refused(rig, 1, CODE_INVALID, 0, "milliseconds, or none");
	rig_is(rig, 2, ITEM_RUN, CODE_OK);
	rig->wall_us += 1000;
	tend(rig);
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 1);
}

static void many_that_are_due_at_once_go_in_bounded_pieces(void **state)
{
	struct rig *rig = *state;
	enum { MANY = 40000, AT_ONCE = 800 };
	char key[16];

	for (int i = 0; i < MANY; i += AT_ONCE) {
		ask(rig, 0);
		for (int j = i; j < i + AT_ONCE; j++) {
			snprintf(key, sizeof key, "%d", j);
			OPERATION(rig, PUT_FOR, text(key), number(1), number(10));
		}
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_OK);
	}
	assert_sound(rig);
	rig->wall_us += 10000;
	int pieces = 0;
	uint64_t before = MANY;
	while (tend(rig) <= rig->now_ns) { /* at once again */
		uint64_t left = map_count(store_map(core_store(service_core(rig->service)), "table"));
		assert_true(left < before && before - left <= 20000);
		before = left;
		pieces++;
		assert_true(pieces < 100);
	}
	assert_true(pieces >= 2);
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 0);
}

/* ---- entries of a session ---- */

static void bind_entry(struct rig *rig, uint64_t session, uint64_t sequence, const char *key)
{
	rig_message(rig, &alice, true);
	rig_command(rig, session, sequence);
	OPERATION(rig, BIND, text(key), number((int64_t)sequence));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
}

static void goodbye(struct rig *rig, uint64_t session)
{
	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = session });
	rig_round(rig);
	rig_is(rig, 0, ITEM_GOODBYE, CODE_OK);
}

static void a_bound_entry_goes_with_the_session_that_bound_it_last(void **state)
{
	struct rig *rig = *state;
	uint64_t one = rig_session(rig, &alice, 1), two = rig_session(rig, &alice, 2);

	bind_entry(rig, one, 1, "mine");
	bind_entry(rig, one, 2, "kept");
	bind_entry(rig, one, 3, "taken");
	bind_entry(rig, two, 1, "taken");
	bind_entry(rig, one, 4, "gone");
	bind_entry(rig, one, 5, "added");
	put_for(rig, "brief", 1000);
	bind_entry(rig, one, 6, "brief"); /* and does not expire */
	put(rig, "kept", 9);
	ask(rig, 0);
	rig_delete(rig, "gone");
	rig_put(rig, "gone", number(8));
	rig_add(rig, "added", 1);
	rig_round(rig);
	rig->wall_us += 1000000;
	tend(rig);
	assert_int_equal(rig_look(rig, "brief"), 6);
	uint64_t revision = rig_revision(rig);
	goodbye(rig, one);
	assert_true(rig_revision(rig) == revision + 1); /* all of it at one revision */
	assert_int_equal(rig_look(rig, "mine"), INT64_MIN);
	assert_int_equal(rig_look(rig, "brief"), INT64_MIN);
	assert_int_equal(rig_look(rig, "added"), INT64_MIN);
	assert_int_equal(rig_look(rig, "kept"), 9);
	assert_int_equal(rig_look(rig, "gone"), 8);
	assert_int_equal(rig_look(rig, "taken"), 1);
	goodbye(rig, two);
	assert_int_equal(rig_look(rig, "taken"), INT64_MIN);
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 2);
}

static void a_bound_entry_may_expire_before(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	bind_entry(rig, session, 1, "k");
	ask(rig, 0);
	OPERATION(rig, EXPIRE, text("k"), number(10));
	rig_round(rig);
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 5);
	rig->wall_us += 10000;
	tend(rig);
	assert_int_equal(store_entries(core_store(service_core(rig->service))), 0);
	goodbye(rig, session);
}

static void a_request_without_a_session_binds_nothing(void **state)
{
	struct rig *rig = *state;

	ask(rig, 0);
	OPERATION(rig, BIND, text("k"), number(1));
	rig_round(rig);
	rig_refused(rig, 0, CODE_INVALID, 0, "the request has none");
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

#define ON_A_TABLE(name) cmocka_unit_test_setup_teardown(name, rig_set_up, check_and_tear_down)

static const struct CMUnitTest tests[] = {
	ON_A_TABLE(insert_and_replace_look_before_they_write),
	ON_A_TABLE(an_entry_has_the_revision_of_its_last_change),
	ON_A_TABLE(what_is_undone_has_the_revision_that_it_had),
	ON_A_TABLE(the_first_half_runs_when_it_holds_and_else_the_second),
	ON_A_TABLE(a_second_half_that_does_not_hold_is_refused_with_its_place),
	ON_A_TABLE(only_a_conflict_turns_to_the_second_half),
	ON_A_TABLE(marker_and_mark_go_together),
	ON_A_TABLE(a_half_that_cannot_be_read_spoils_the_whole),
	ON_A_TABLE(queries_may_have_halves_and_no_commands),
	ON_A_TABLE(a_retry_of_halves_repeats_the_half_that_ran),
	ON_A_TABLE(get_many_answers_in_the_order_of_the_keys),
	ON_A_TABLE(more_than_a_message_holds_is_refused_by_name),
	ON_A_TABLE(a_scan_goes_through_a_prefix_in_order_and_no_further),
	ON_A_TABLE(a_scan_refuses_limits_that_are_none),
	ON_A_TABLE(a_scan_of_more_than_a_message_comes_in_pages),
	ON_A_TABLE(a_budget_of_work_is_for_the_whole_request),
	ON_A_TABLE(an_entry_expires_at_its_time),
	ON_A_TABLE(a_clock_that_is_set_does_not_undo_time),
	ON_A_TABLE(what_is_put_anew_does_not_expire_and_what_is_added_to_does),
	ON_A_TABLE(times_and_keys_that_do_not_do_are_refused),
	ON_A_TABLE(many_that_are_due_at_once_go_in_bounded_pieces),
	ON_A_TABLE(a_bound_entry_goes_with_the_session_that_bound_it_last),
	ON_A_TABLE(a_bound_entry_may_expire_before),
	ON_A_TABLE(a_request_without_a_session_binds_nothing),
};

UNIT_MAIN(tests)
