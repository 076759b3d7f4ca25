/* SPDX-License-Identifier: MIT
 *
 * outlet.h - where a service on the bench hands out what nobody asked for, and what came of it.
 *
 * Everything that is sent is copied and read: late answers and events, in the order in which they
 * left. A connection can be made one that does not read.
 */
#ifndef SOLE_TESTS_OUTLET_H
#define SOLE_TESTS_OUTLET_H

#include "tests/lib/rig.h"

enum { NOTICES_MAX = 4096 };

struct notice {
	uint64_t connection;
	struct reply_header header;
	struct wire_reader payload; /* in `body` */
	uint8_t *body;
	bool durable;
};

struct bench_outlet {
	struct notice notices[NOTICES_MAX];
	size_t count;
	uint64_t unready; /* the connection that does not read; UINT64_MAX: none does */
	unsigned drops; /* notices still to be dropped, as by a connection that does not read */
	size_t room;    /* notices that every connection takes before it is not ready; 0: any number */
};

static inline bool bench_ready(const void *context, uint64_t connection)
{
	const struct bench_outlet *outlet = context;

	return outlet->unready != UINT64_MAX && outlet->unready != connection &&
	       (outlet->room == 0 || outlet->count < outlet->room);
}

static inline bool bench_send(void *context, uint64_t connection, const struct buffer *body)
{
	struct bench_outlet *outlet = context;
	struct message_header message;

	if (outlet->drops > 0) {
		outlet->drops--;
		return false;
	}
	assert_true(outlet->count < NOTICES_MAX);
	struct notice *notice = &outlet->notices[outlet->count++];
	assert_false(body->failed);
	assert_true(body->size <= PROTOCOL_MESSAGE_MAX_BYTES);
	notice->connection = connection;
	notice->body = malloc(body->size);
	assert_non_null(notice->body);
	memcpy(notice->body, body->data, body->size);
	struct wire_reader reader = wire_reader(notice->body, body->size);
	assert_true(wire_read_message_header(&reader, &message));
	assert_int_equal(message.kind, MESSAGE_NOTICE);
	assert_int_equal(message.count, 1);
	assert_int_equal(message.history, 0x5678);
	assert_true(wire_read_reply_header(&reader, &notice->header));
	assert_true(wire_read_payload(&reader, notice->header.size, &notice->payload));
	notice->durable = (notice->header.outcome & REPLY_FLAG_DURABLE) != 0;
	assert_true(!notice->durable || notice->header.kind == ITEM_RUN);
	notice->header.outcome &= (uint8_t)~REPLY_FLAG_DURABLE;
	assert_int_equal(notice->header.outcome, code_outcome(notice->header.code));
	assert_int_equal(reader.left, 0);
	return true;
}

static inline struct bench_outlet *outlet_new(void)
{
	struct bench_outlet *outlet = calloc(1, sizeof *outlet);

	assert_non_null(outlet);
	return outlet;
}

/* Forgets what was sent. */
static inline void outlet_clear(struct bench_outlet *outlet)
{
	for (size_t i = 0; i < outlet->count; i++)
		free(outlet->notices[i].body);
	outlet->count = 0;
}

static inline void outlet_free(struct bench_outlet *outlet)
{
	outlet_clear(outlet);
	free(outlet);
}

/* Once; true: there is more. */
static inline bool outlet_deliver_once(struct bench_outlet *outlet, struct rig *rig)
{
	const struct outlet way = { .context = outlet, .ready = bench_ready, .send = bench_send };

	return service_deliver(rig->service, &way);
}

static inline void outlet_deliver(struct bench_outlet *outlet, struct rig *rig)
{
	for (int times = 0; outlet_deliver_once(outlet, rig); times++)
		assert_true(times < 10000);
}

/* A message by a connection. */
static inline void rig_by(struct rig *rig, const struct caller *caller, uint64_t connection)
{
	rig_message(rig, caller, true);
	rig->messages[rig->count - 1].connection = connection;
}

static inline uint64_t rig_session_by(struct rig *rig, const struct caller *caller, uint64_t connection)
{
	rig_by(rig, caller, connection);
	rig_open(rig, (uint8_t)(100 + connection), 0);
	rig_round(rig);
	rig_is(rig, 0, ITEM_OPEN, CODE_OK);
	return rig_answer(rig, 0)->header.session;
}

/* Value `index` of the first list of a notice. */
static inline struct value notice_value(const struct notice *notice, size_t index)
{
	struct wire_reader payload = notice->payload;
	struct value values[WIRE_LIST_MAX];
	size_t count;

	assert_true(wire_read_list(&payload, values, WIRE_LIST_MAX, &count));
	assert_true(index < count);
	return values[index];
}

static inline bool is_text(struct value value, const char *text)
{
	return value.type == VALUE_BYTES && value.size == strlen(text) &&
	       memcmp(value.bytes, text, value.size) == 0;
}

static inline void assert_sound(const struct rig *rig)
{
	const char *problem = core_invariant(service_core(rig->service));

	if (problem != NULL)
		fail_msg("%s", problem);
}

static inline void rig_lock(struct rig *rig, const char *name)
{
	const struct value value = value_text(name);
	rig_operation(rig, 20, &value, 1);
}

static inline void rig_unlock(struct rig *rig, const char *name)
{
	const struct value value = value_text(name);
	rig_operation(rig, 22, &value, 1);
}

#endif
