/* SPDX-License-Identifier: MIT
 *
 * No bytes from an owner harm a client: answers that are cut short, changed, made
 * up or repeated are counted and outlived, and whatever they did to the requests
 * under way and to watches, everybody is told once and the next request to a sound
 * owner works.
 *
 * The seed is printed; SEED=n replays.
 */
#include "tests/lib/engine_kit.h"

#include <stdio.h>

enum { ROUNDS = 20000 };

static unsigned chance(unsigned in)
{
	return (unsigned)rand() % in;
}

static void spoil(struct buffer *body)
{
	unsigned changes = 1 + chance(4);

	switch (chance(5)) {
	case 0:
		body->size = chance((unsigned)body->size + 1);
		return;
	case 1: /* anything at all */
		for (size_t i = 0; i < body->size; i++)
			body->data[i] = (uint8_t)rand();
		return;
	case 2: /* a header that is right and a body that is not */
		for (size_t i = PROTOCOL_MESSAGE_HEADER_BYTES; i < body->size; i++)
			body->data[i] = (uint8_t)rand();
		return;
	default:
		for (unsigned i = 0; i < changes; i++)
			body->data[chance((unsigned)body->size)] =
				(uint8_t)(chance(2) ? rand() : (rand() & 3) * 85);
	}
}

/* An exact copy on the heap, so that reading beyond its end is seen. */
static void hear_exactly(struct kit *kit)
{
	uint8_t *copy = malloc(kit->in.size > 0 ? kit->in.size : 1);

	assert_non_null(copy);
	memcpy(copy, kit->in.data, kit->in.size);
	engine_receive(&kit->engine, copy, kit->in.size, kit->now_ns);
	free(copy);
}

static unsigned events_heard;

static void hear_event(struct sole *handle, const struct sole_event *event, void *context)
{
	unsigned sum = 0;

	(void)handle, (void)context;
	for (uint32_t i = 0; event->key.type == SOLE_BYTES && i < event->key.size; i++)
		sum += ((const uint8_t *)event->key.bytes)[i];
	events_heard += sum > 0;
}

/* Notices: late answers and events, some of them spoiled. */
static void tell_unasked(struct kit *kit)
{
	struct kit_owner *owner = &kit->owner;

	if (owner->parked_count > 0 && chance(3) == 0 &&
	    kit_resolve(owner, chance((unsigned)owner->parked_count), CODE_OK, &kit->in)) {
		if (chance(3) == 0)
			spoil(&kit->in);
		hear_exactly(kit);
	}
	for (size_t i = 0; i < owner->watch_count; i++) {
		if (!kit_events(owner, i, &kit->in))
			continue;
		if (chance(3) == 0)
			spoil(&kit->in);
		hear_exactly(kit);
	}
	if (kit->engine.watch_count < 8 && chance(4) == 0)
		engine_watch(&kit->engine, (struct sole_value){ .type = SOLE_BYTES }, 0, 0, 0, hear_event,
			     NULL, NULL);
}

static void garbage_is_outlived(void **state)
{
	const char *seed_text = getenv("SEED");
	unsigned seed =
		seed_text != NULL ? (unsigned)strtoul(seed_text, NULL, 10) : (unsigned)clock_wall_us();
	struct kit *kit = kit_new();
	unsigned submitted = 0;

	(void)state;
	printf("# SEED=%u\n", seed);
	srand(seed);
	kit->owner.parks = kit->owner.lies = true;
	kit_connect(kit);
	for (int i = 0; i < ROUNDS; i++) {
		tell_unasked(kit);
		kit->now_ns += chance(300) * NS_PER_MS;
		if (submitted < KIT_NUMBERS - 2 && chance(4) == 0) {
			submitted++;
			kit_submit(kit, submitted, chance(2) == 0, 1 + chance(5000));
		}
		engine_expire(&kit->engine, kit->now_ns);
		if (chance(50) == 0)
			kit_connect(kit);
		if (kit->owner.session_count > KIT_SESSIONS - 8)
			kit->owner.session_count = kit->owner.parked_count = 0;
		if (kit->owner.watch_count == KIT_WATCHES) /* lies leave watches behind */
			kit_connect(kit);
		while (kit_next(kit)) {
			kit_serve(kit);
			if (chance(3) == 0)
				spoil(&kit->in);
			hear_exactly(kit);
			if (chance(10) == 0)
				hear_exactly(kit);
		}
	}
	assert_true(kit->engine.counters.malformed > 100);
	assert_true(events_heard > 100);
	kit->owner.parks = false;
	kit->now_ns += 30 * NS_PER_S;
	kit_restart(&kit->owner, false);
	kit_connect(kit);
	kit_wait(kit, 60000);
	kit_submit(kit, submitted + 1, false, 5000);
	kit_wait(kit, 6000);
	assert_told(kit, submitted + 1, CODE_OK);
	for (unsigned n = 1; n <= submitted; n++)
		assert_int_equal(kit->told[n].times, 1);
	assert_int_equal(kit->engine.pending, 0);
	kit_destroy(kit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_is_outlived),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("engine: garbage", tests, NULL, NULL);
}
