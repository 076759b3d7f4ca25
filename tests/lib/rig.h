/* SPDX-License-Identifier: MIT
 *
 * rig.h - an owner's service on a bench: rounds of messages in, every reply read and judged.
 *
 * rig_round fails the test when a reply is not a sound message of the protocol: too long, a
 * part for a peer that takes none, a count that lies. What the items say is the test's.
 */
#ifndef SOLE_TESTS_RIG_H
#define SOLE_TESTS_RIG_H

#include "tests/lib/unit.h"

#include "common/clock.h"
#include "owner/service/service.h"
#include "tests/lib/open_access.h"

#include <string.h>

enum { RIG_MESSAGES = 64, RIG_ANSWERS = 8192 };

struct answer {
	size_t message; /* of the round */
	unsigned part;	/* which of the reply messages to it */
	bool durable;   /* it says that what it shows is on disk */
	struct reply_header header;
	struct wire_reader payload;
};

struct rig {
	struct counters counters;
	struct limits limits;
	struct gauges gauges;
	struct service *service;
	int64_t now_ns, wall_us;
	enum durability durability;    /* for rig_start, as are these */
	const struct storage *storage;
	uid_t uid;                     /* of the owner */
	int64_t (*clock_ns)(void);     /* NULL: how long requests run is not measured */
	uint64_t slow_after_ns;

	struct service_message messages[RIG_MESSAGES];
	struct buffer bodies[RIG_MESSAGES];
	const struct access *access; /* NULL: anybody may command */
	unsigned items[RIG_MESSAGES];
	size_t count, item_start; /* messages of the round to be */
	bool ran;

	struct answer answers[RIG_ANSWERS];
	size_t answer_count;
	unsigned reply_counts[RIG_MESSAGES]; /* reply messages to each message */
};

static const struct caller alice = { .uid = 1000, .gid = 1000, .pid = 10, .known = true };
static const struct caller alice_again = { .uid = 1000, .gid = 1000, .pid = 11, .known = true };
static const struct caller bob = { .uid = 1001, .gid = 1001, .pid = 12, .known = true };

static inline bool rig_start(struct rig *rig, const struct sole_behaviour *behaviour, uint64_t hash_seed)
{
	const struct service_settings settings = {
		.core = { .behaviour = behaviour,
			  .limits = &rig->limits,
			  .counters = &rig->counters,
			  .hash_seed = hash_seed,
			  .session_seed = 0x5eed5eed5eed5eed },
		.identity = { .name = "unit", .incarnation = 0x1234, .history = 0x5678, .pid = 42, .uid = rig->uid },
		.gauges = &rig->gauges,
		.durability = rig->durability,
		.access = rig->access != NULL ? rig->access : open_access(rig->uid),
		.clock_ns = rig->clock_ns,
		.slow_after_ns = rig->slow_after_ns,
	};
	const char *why = NULL;

	rig->service = service_new(&settings, &why);
	assert_non_null(why);
	if (rig->service != NULL)
		service_set_storage(rig->service, rig->storage);
	return rig->service != NULL;
}

/* With the default limits, which may be changed before rig_start. */
static inline struct rig *rig_new(void)
{
	struct rig *rig = calloc(1, sizeof *rig);

	assert_non_null(rig);
	rig->limits = limits_default();
	rig->now_ns = 1000 * NS_PER_S;
	rig->wall_us = 5000000;
	return rig;
}

static inline void rig_free(struct rig *rig)
{
	service_destroy(&rig->service);
	for (size_t i = 0; i < RIG_MESSAGES; i++)
		buffer_clear(&rig->bodies[i]);
	free(rig);
}

/* ---- messages in ---- */

static inline struct buffer *rig_body(struct rig *rig)
{
	return &rig->bodies[rig->count - 1];
}

static inline void rig_message(struct rig *rig, const struct caller *caller, bool notices)
{
	if (rig->ran)
		rig->count = 0;
	rig->ran = false;
	assert_true(rig->count < RIG_MESSAGES);
	size_t index = rig->count++;
	rig->messages[index] = (struct service_message){ .caller = *caller, .notices = notices };
	rig->items[index] = 0;
	buffer_reset(&rig->bodies[index]);
	const struct message_header header = { .magic = PROTOCOL_MAGIC,
					       .version = PROTOCOL_VERSION,
					       .kind = MESSAGE_REQUEST,
					       .tag = 1000 + index };
	wire_write_message_header(&rig->bodies[index], &header);
}

static inline void rig_end_item(struct rig *rig)
{
	wire_finish_item(rig_body(rig), rig->item_start);
}

static inline void rig_item(struct rig *rig, const struct request_header *header)
{
	rig->item_start = rig_body(rig)->size;
	rig->items[rig->count - 1]++;
	wire_write_request_header(rig_body(rig), header);
	rig_end_item(rig);
}

/* Adds a list to the last item. */
static inline void rig_list(struct rig *rig, const struct value *values, size_t count)
{
	wire_write_list(rig_body(rig), values, count);
	rig_end_item(rig);
}

/* An operation of the last item. */
static inline void rig_operation(struct rig *rig, uint16_t number, const struct value *arguments,
				 size_t count)
{
	buffer_u16(rig_body(rig), number);
	rig_list(rig, arguments, count);
}

static inline void rig_simple(struct rig *rig, enum item_kind kind)
{
	rig_item(rig, &(struct request_header){ .kind = (uint8_t)kind });
}

/* RUN as a command of the session: operations follow. */
static inline void rig_command(struct rig *rig, uint64_t session, uint64_t sequence)
{
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN,
						.session = session,
						.sequence = sequence,
						.window = (uint16_t)(sequence - 1) });
}

static inline void rig_query(struct rig *rig, uint64_t session, uint64_t sequence)
{
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN,
						.flags = REQUEST_FLAG_QUERY,
						.session = session,
						.sequence = sequence });
}

static inline void rig_cancel(struct rig *rig, uint64_t session, uint64_t sequence, bool query)
{
	rig_item(rig, &(struct request_header){ .kind = ITEM_CANCEL,
						.flags = query ? REQUEST_FLAG_QUERY : 0,
						.session = session,
						.sequence = sequence });
}

static inline void rig_open(struct rig *rig, uint8_t nonce, int64_t silence_ms)
{
	uint8_t bytes[PROTOCOL_NONCE_BYTES] = { nonce };
	const struct value list[] = { value_bytes(bytes, sizeof bytes), value_integer(silence_ms) };

	rig_simple(rig, ITEM_OPEN);
	rig_list(rig, list, 2);
}

static inline void rig_hello(struct rig *rig, int64_t least, int64_t most, bool notices)
{
	const struct value list[] = { value_integer(least), value_integer(most), value_text("unit test") };

	rig_item(rig,
		 &(struct request_header){ .kind = ITEM_HELLO, .flags = notices ? REQUEST_FLAG_NOTICES : 0 });
	rig_list(rig, list, 3);
}

static inline void rig_get(struct rig *rig, const char *key)
{
	rig_operation(rig, 1,
		      &(struct value){ .type = VALUE_BYTES,
				       .size = (uint32_t)strlen(key),
				       .bytes = (const uint8_t *)key },
		      1);
}

static inline void rig_put(struct rig *rig, const char *key, struct value value)
{
	const struct value arguments[] = { value_text(key), value };
	rig_operation(rig, 2, arguments, 2);
}

static inline void rig_delete(struct rig *rig, const char *key)
{
	const struct value argument = value_text(key);
	rig_operation(rig, 3, &argument, 1);
}

static inline void rig_add(struct rig *rig, const char *key, int64_t delta)
{
	const struct value arguments[] = { value_text(key), value_integer(delta) };
	rig_operation(rig, 4, arguments, 2);
}

static inline void rig_cas(struct rig *rig, const char *key, struct value expected, struct value new)
{
	const struct value arguments[] = { value_text(key), expected, new };
	rig_operation(rig, 5, arguments, 3);
}

/* ---- replies out ---- */

static inline void rig_read_reply(struct rig *rig, const struct service_reply *reply, bool last)
{
	struct wire_reader reader = wire_reader(reply->body.data, reply->body.size);
	struct message_header header;

	assert_false(reply->body.failed);
	assert_true(reply->body.size <= PROTOCOL_MESSAGE_MAX_BYTES);
	assert_true(wire_read_message_header(&reader, &header));
	assert_int_equal(header.magic, PROTOCOL_MAGIC);
	assert_int_equal(header.version, PROTOCOL_VERSION);
	assert_int_equal(header.kind, last ? MESSAGE_REPLY : MESSAGE_REPLY_PART);
	assert_int_equal(header.incarnation, 0x1234);
	assert_int_equal(header.history, 0x5678);
	for (unsigned i = 0; i < header.count; i++) {
		assert_true(rig->answer_count < RIG_ANSWERS);
		struct answer *answer = &rig->answers[rig->answer_count++];
		answer->message = reply->message;
		answer->part = rig->reply_counts[reply->message];
		assert_true(wire_read_reply_header(&reader, &answer->header));
		assert_true(wire_read_payload(&reader, answer->header.size, &answer->payload));
		answer->durable = (answer->header.outcome & REPLY_FLAG_DURABLE) != 0;
		assert_true(!answer->durable || answer->header.kind == ITEM_RUN);
		answer->header.outcome &= (uint8_t)~REPLY_FLAG_DURABLE;
		assert_int_equal(answer->header.outcome, code_outcome(answer->header.code));
	}
	assert_int_equal(reader.left, 0);
	rig->reply_counts[reply->message]++;
}

static inline void rig_lay_out(struct rig *rig)
{
	for (size_t i = 0; i < rig->count; i++) {
		/* In memory of just its size, so that the sanitizer sees a step beyond. */
		uint8_t *body = malloc(rig->bodies[i].size > 0 ? rig->bodies[i].size : 1);
		assert_non_null(body);
		if (rig->bodies[i].size > 0)
			memcpy(body, rig->bodies[i].data, rig->bodies[i].size);
		rig->messages[i].body = body;
		rig->messages[i].size = rig->bodies[i].size;
	}
}

static inline void rig_take_replies(struct rig *rig)
{
	size_t count;
	const struct service_reply *replies = service_replies(rig->service, &count);

	for (size_t i = 0; i < rig->count; i++) {
		free((void *)(uintptr_t)rig->messages[i].body);
		rig->messages[i].body = NULL;
		rig->reply_counts[i] = 0;
	}
	rig->answer_count = 0;
	rig->ran = true;
	for (size_t i = 0; i < count; i++) {
		bool last = i + 1 == count || replies[i + 1].message != replies[i].message;
		assert_true(replies[i].message < rig->count);
		assert_true(i == 0 || replies[i].message >= replies[i - 1].message);
		rig_read_reply(rig, &replies[i], last);
		assert_true(last || rig->messages[replies[i].message].notices);
	}
}

/* Finishes the messages as they are; for one that the test wrote by hand. */
static inline void rig_raw_round(struct rig *rig)
{
	rig_lay_out(rig);
	service_round(rig->service, rig->messages, rig->count, rig->now_ns, rig->wall_us);
	rig_take_replies(rig);
}

static inline void rig_finish(struct rig *rig)
{
	for (size_t i = 0; i < rig->count; i++)
		wire_finish_message(&rig->bodies[i], (uint16_t)rig->items[i]);
}

/* Runs the messages that were written since the last round. */
static inline void rig_round(struct rig *rig)
{
	rig_finish(rig);
	rig_raw_round(rig);
}

static inline const struct answer *rig_answer(const struct rig *rig, size_t index)
{
	assert_true(index < rig->answer_count);
	return &rig->answers[index];
}

/* Value `index` of list `list` of the answer; the test fails when there is none. */
static inline struct value rig_value(const struct rig *rig, size_t answer, size_t list, size_t index)
{
	struct wire_reader payload = rig_answer(rig, answer)->payload;
	struct value values[WIRE_LIST_MAX];
	size_t count = 0;

	for (size_t i = 0; i <= list; i++)
		assert_true(wire_read_list(&payload, values, WIRE_LIST_MAX, &count));
	assert_true(index < count);
	return values[index];
}

static inline int64_t rig_integer(const struct rig *rig, size_t answer, size_t list, size_t index)
{
	struct value value = rig_value(rig, answer, list, index);

	assert_int_equal(value.type, VALUE_INTEGER);
	return value.integer;
}

static inline void rig_is(const struct rig *rig, size_t answer, enum item_kind kind, enum code code)
{
	const struct reply_header *header = &rig_answer(rig, answer)->header;

	if (header->kind != kind || header->code != code)
		fail_msg("answer %zu is %u/%s, not %u/%s", answer, header->kind, code_name(header->code),
			 kind, code_name(code));
}

/* A refusal: [which operation or -1, a sentence that holds `words`, ...]. */
static inline void rig_refused(const struct rig *rig, size_t answer, enum code code, int64_t failed,
			       const char *words)
{
	char text[512] = "";

	assert_int_equal(rig_answer(rig, answer)->header.code, code);
	assert_int_equal(rig_integer(rig, answer, 0, 0), failed);
	struct value value = rig_value(rig, answer, 0, 1);
	assert_int_equal(value.type, VALUE_BYTES);
	assert_true(value.size > 0 && value.size < sizeof text);
	memcpy(text, value.bytes, value.size);
	if (strstr(text, words) == NULL)
		fail_msg("'%s' is not in '%s'", words, text);
}

/* Opens a session in a round of its own. */
static inline uint64_t rig_session(struct rig *rig, const struct caller *caller, uint8_t nonce)
{
	rig_message(rig, caller, true);
	rig_open(rig, nonce, 0);
	rig_round(rig);
	rig_is(rig, 0, ITEM_OPEN, CODE_OK);
	return rig_answer(rig, 0)->header.session;
}

static inline uint64_t rig_digest(const struct rig *rig)
{
	return store_digest(core_store(service_core(rig->service)));
}

static inline uint64_t rig_revision(const struct rig *rig)
{
	return core_revision(service_core(rig->service));
}

/* What the table holds at `key`: an integer, or INT64_MIN. */
static inline int64_t rig_look(const struct rig *rig, const char *key)
{
	struct map *map = store_map(core_store(service_core(rig->service)), "table");
	const struct value *found = map_get(map, key, strlen(key));

	return found != NULL && found->type == VALUE_INTEGER ? found->integer : INT64_MIN;
}

/* ---- for a test ---- */

enum { KIB = 1024 };

static inline int rig_set_up(void **state)
{
	struct rig *rig = rig_new();

	*state = rig;
	return rig_start(rig, &table_behaviour, 1) ? 0 : -1;
}

static inline int rig_tear_down(void **state)
{
	rig_free(*state);
	return 0;
}

/* Begins again with limits that the test has changed. */
static inline void rig_restart(struct rig *rig)
{
	service_destroy(&rig->service);
	memset(&rig->counters, 0, sizeof rig->counters);
	assert_true(rig_start(rig, &table_behaviour, 1));
}

static inline const struct value *rig_big(size_t size)
{
	static uint8_t bytes[600 * KIB];
	static struct value value;

	assert_true(size <= sizeof bytes);
	memset(bytes, 'b', sizeof bytes);
	value = value_bytes(bytes, size);
	return &value;
}

/* A test with an owner of the table, with the default limits. */
#define ON_A_RIG(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

#endif
