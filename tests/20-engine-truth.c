/* SPDX-License-Identifier: MIT
 *
 * Whatever the network and the owners do, a client's engine tells the truth: done
 * ran once, refused never ran, unknown ran at most once, and everybody is told
 * once; a watch hears every event of its history once and in order. A simulated hour of
 * cuts, losses, late copies, restarts with and without the state, forgotten sessions,
 * busy and leaving owners, requests that wait for their turn.
 *
 * The seed is printed; SEED=n replays one run, RUNS=n does more of them.
 */
#include "tests/lib/engine_kit.h"

#include <stdio.h>

enum { FLIGHT_MAX = 64, STEPS = 3000, DEFAULT_RUNS = 60 };

/* Bodies on their way, in one direction, in order. */
struct flight {
	struct buffer bodies[FLIGHT_MAX];
	size_t count;
};

struct world {
	struct kit *kit;
	struct flight there, back;
	bool up;
	bool waits; /* the latest message, kit->out, has no way out yet */
	unsigned submitted;
	uint64_t ids[KIT_NUMBERS];
	bool query[KIT_NUMBERS];
	struct watcher {
		uint64_t watch;
		bool begun;
		size_t next;      /* of the owner's events: the one to be heard next */
		unsigned events, over, again;
	} watcher;
};

static unsigned chance(unsigned in)
{
	return (unsigned)rand() % in;
}

static void put(struct flight *flight, const struct buffer *body)
{
	if (flight->count == FLIGHT_MAX)
		return; /* a high-water mark: lost */
	struct buffer *at = &flight->bodies[flight->count++];
	*at = (struct buffer){ 0 };
	buffer_append(at, body->data, body->size);
}

static struct buffer take(struct flight *flight)
{
	struct buffer first = flight->bodies[0];

	memmove(flight->bodies, flight->bodies + 1, --flight->count * sizeof *flight->bodies);
	return first;
}

/* Events are lost with their connection and not otherwise: an owner sends none that might be. */
static void lose_replies(struct flight *flight)
{
	enum { KIND = 5, ITEM_KIND = PROTOCOL_MESSAGE_HEADER_BYTES + 4 };
	size_t count = flight->count;

	while (count-- > 0) {
		struct buffer body = take(flight);
		if (body.data[KIND] == MESSAGE_NOTICE && body.data[ITEM_KIND] == ITEM_EVENTS)
			flight->bodies[flight->count++] = body;
		else
			buffer_clear(&body);
	}
}

static void lose(struct flight *flight)
{
	while (flight->count > 0) {
		struct buffer body = take(flight);
		buffer_clear(&body);
	}
}

static void serve_one(struct world *w)
{
	struct buffer body = take(&w->there);

	w->kit->owner.now_ns = w->kit->now_ns;
	kit_take(&w->kit->owner, body.data, body.size, &w->kit->in);
	buffer_clear(&body);
	if (chance(40) != 0)
		put(&w->back, &w->kit->in);
}

/* What an owner tells unasked: the turn of somebody has come, or his time is up; events. */
static void tell_unasked(struct world *w)
{
	struct kit_owner *owner = &w->kit->owner;
	struct buffer *out = &w->kit->in;

	for (size_t i = 0; i < owner->parked_count; i++) {
		uint64_t deadline = owner->parked[i].deadline;
		bool late = deadline != 0 && (int64_t)deadline <= w->kit->now_ns, turn = chance(30) == 0;
		if ((late || turn) && kit_resolve(owner, i, late ? CODE_EXPIRED : CODE_OK, out) && w->up)
			put(&w->back, out);
	}
	for (size_t i = 0; i < owner->watch_count; i++)
		if (w->up && w->back.count < FLIGHT_MAX && chance(2) == 0 && kit_events(owner, i, out))
			put(&w->back, out);
}

static void hear_event(struct sole *handle, const struct sole_event *event, void *context);

static void watch(struct world *w)
{
	w->watcher.begun = false;
	w->watcher.again++;
	assert_int_equal(engine_watch(&w->kit->engine, (struct sole_value){ .type = SOLE_BYTES }, 0, 0, 0,
				      hear_event, w, &w->watcher.watch),
			 SOLE_OK);
}

static void hear_event(struct sole *handle, const struct sole_event *event, void *context)
{
	struct world *w = context;
	struct watcher *watcher = &w->watcher;
	const struct kit_owner *owner = &w->kit->owner;

	(void)handle;
	if (event->code != SOLE_OK) {
		assert_int_equal(event->code, SOLE_TOO_OLD);
		watcher->over++;
		watch(w);
		return;
	}
	if (event->kind.type == SOLE_NONE) {
		assert_false(watcher->begun);
		watcher->begun = true;
		watcher->next = 0;
		while (watcher->next < owner->event_count &&
		       (owner->events[watcher->next].history < event->history ||
			(owner->events[watcher->next].history == event->history &&
			 owner->events[watcher->next].revision <= event->revision)))
			watcher->next++;
		return;
	}
	assert_true(watcher->begun && watcher->next < owner->event_count);
	const struct kit_event *expected = &owner->events[watcher->next++];
	if (expected->history != event->history || expected->revision != event->revision ||
	    expected->index != event->index || expected->number != event->value.integer)
		fail_msg("heard %u.%u (%d), expected %u.%u (%d)", (unsigned)event->revision, event->index,
			 (int)event->value.integer, (unsigned)expected->revision, expected->index,
			 (int)expected->number);
	watcher->events++;
	if (chance(200) == 0) {
		assert_int_equal(engine_unwatch(&w->kit->engine, watcher->watch), SOLE_OK);
		watch(w);
	}
}

static void hear_one(struct world *w)
{
	struct buffer body = take(&w->back);

	engine_receive(&w->kit->engine, body.data, body.size, w->kit->now_ns);
	buffer_clear(&body);
}

static void say_all(struct world *w)
{
	if (w->waits && chance(10) != 0)
		return;
	if (w->waits)
		put(&w->there, &w->kit->out);
	w->waits = false;
	while (!w->waits && kit_next(w->kit)) {
		w->waits = chance(20) == 0;
		if (!w->waits)
			put(&w->there, &w->kit->out);
	}
}

static void cut(struct world *w)
{
	if (chance(2) == 0) /* what was sent may still arrive */
		while (w->there.count > 0)
			serve_one(w);
	lose(&w->there);
	if (chance(2) == 0) /* and what was answered may still be read */
		while (w->back.count > 0)
			hear_one(w);
	lose(&w->back);
	w->up = false;
	if (w->waits)
		engine_unsent(&w->kit->engine);
	w->waits = false;
	engine_disconnected(&w->kit->engine);
}

static void submit(struct world *w)
{
	static const int64_t limits_ms[] = { 0, 5, 50, 500, 5000 };
	unsigned number = ++w->submitted;

	w->query[number] = chance(3) == 0;
	w->ids[number] = kit_submit(w->kit, number, w->query[number], limits_ms[chance(5)]);
}

/* Something goes wrong, or right again. */
static void event(struct world *w)
{
	struct kit_owner *owner = &w->kit->owner;

	switch (chance(14)) {
	case 0:
		cut(w);
		break;
	case 1: /* dies with its state */
		cut(w);
		kit_restart(owner, false);
		break;
	case 2: /* dies, and comes back with it */
		cut(w);
		kit_restart(owner, true);
		break;
	case 3: /* replaced, and the client is not told */
		lose(&w->back);
		kit_restart(owner, chance(2) == 0);
		break;
	case 4: /* all sessions end by silence */
		owner->session_count = 0;
		owner->parked_count = 0;
		break;
	case 5:
		owner->busy = !owner->busy;
		break;
	case 6:
		owner->leaving = true;
		break;
	case 7:
		owner->leaving = owner->busy = owner->deny_open = false;
		break;
	case 8:
		owner->deny_open = chance(4) == 0;
		break;
	case 9:
		lose_replies(chance(2) == 0 ? &w->there : &w->back);
		break;
	case 10:
		owner->parks = chance(4) != 0;
		owner->watch_busy = chance(4) == 0;
		break;
	case 11: /* the ring of events moves on */
		if (chance(4) == 0)
			owner->events_first = owner->event_count;
		break;
	default:
		w->kit->now_ns += chance(3000) * NS_PER_MS;
	}
}

static void step(struct world *w)
{
	struct kit *kit = w->kit;

	kit->now_ns += chance(4000) * NS_PER_US;
	if (w->submitted < KIT_NUMBERS - 1 && chance(2) == 0)
		submit(w);
	if (w->submitted > 0 && chance(8) == 0)
		engine_cancel(&kit->engine, w->ids[1 + chance(w->submitted)]);
	if (chance(60) == 0)
		event(w);
	if (!w->up && chance(10) == 0) {
		w->up = true;
		kit_connect(kit);
	}
	engine_expire(&kit->engine, kit->now_ns);
	if (w->up)
		say_all(w);
	if (w->there.count > 0 && chance(3) != 0)
		serve_one(w);
	tell_unasked(w);
	if (w->back.count > 0 && chance(3) != 0)
		hear_one(w);
}

/* The trouble is over: everything comes to its end. */
static void heal(struct world *w)
{
	cut(w);
	w->kit->owner.leaving = w->kit->owner.busy = w->kit->owner.deny_open = false;
	w->kit->owner.parks = w->kit->owner.watch_busy = false;
	w->up = true;
	kit_connect(w->kit);
	kit_wait(w->kit, 20000);
	/* Whoever still waits gets his turn; if he was not told, he asks again by himself. */
	while (w->kit->owner.parked_count > 0)
		kit_resolve(&w->kit->owner, 0, CODE_OK, NULL);
	kit_wait(w->kit, 20000);
	for (size_t i = 0; i < w->kit->owner.watch_count; i++)
		while (kit_events(&w->kit->owner, i, &w->kit->in)) {
			kit_hear(w->kit);
			kit_wait(w->kit, 1000);
		}
	assert_true(w->watcher.begun);
	assert_int_equal(w->watcher.next, w->kit->owner.event_count);
	assert_int_equal(engine_unwatch(&w->kit->engine, w->watcher.watch), SOLE_OK);
	kit_pump(w->kit);
	assert_int_equal(w->kit->owner.watch_count, 0);
	assert_int_equal(w->kit->engine.pending, 0);
	assert_int_equal(w->kit->engine.parked.count, 0);
	assert_int_equal(w->kit->engine.again_count, 0);
	assert_int_equal(w->kit->engine.under_way.count, 0);
	assert_int_equal(w->kit->engine.pool.used, 0);
	assert_int_equal(w->kit->engine.pool.bytes, 0);
}

static void check_truth(const struct world *w, unsigned counts[3])
{
	for (unsigned n = 1; n <= w->submitted; n++) {
		const struct told *told = &w->kit->told[n];
		unsigned runs = w->kit->owner.runs[n];
		if (told->times != 1)
			fail_msg("request %u was told %u times", n, told->times);
		if (told->outcome == SOLE_DONE &&
		    told->value != (w->query[n] ? 2 * (int64_t)n : (int64_t)n + 1))
			fail_msg("request %u got the answer to another", n);
		if (!w->query[n] && ((told->outcome == SOLE_DONE && runs != 1) ||
				     (told->outcome == SOLE_REFUSED && runs != 0) || runs > 1))
			fail_msg("request %u: told %s and ran %u times", n, code_name((unsigned)told->code),
				 runs);
		counts[told->outcome]++;
	}
}

static void run(unsigned seed, unsigned counts[3])
{
	struct world w = { .kit = kit_new() };

	srand(seed);
	w.kit->owner.parks = true;
	watch(&w);
	for (int i = 0; i < STEPS; i++)
		step(&w);
	heal(&w);
	check_truth(&w, counts);
	kit_destroy(w.kit);
}

static void everybody_is_told_the_truth_once(void **state)
{
	const char *seed_text = getenv("SEED"), *runs_text = getenv("RUNS");
	unsigned seed =
		seed_text != NULL ? (unsigned)strtoul(seed_text, NULL, 10) : (unsigned)clock_wall_us();
	unsigned runs = seed_text != NULL ? 1 :
			runs_text != NULL ? (unsigned)strtoul(runs_text, NULL, 10) :
					    DEFAULT_RUNS;
	unsigned counts[3] = { 0 };

	(void)state;
	for (unsigned i = 0; i < runs; i++) {
		printf("# SEED=%u\n", seed + i);
		fflush(stdout);
		run(seed + i, counts);
	}
	printf("# %u done, %u refused, %u unknown\n", counts[0], counts[1], counts[2]);
	/* A run in which nothing went well, or nothing wrong, shows nothing. */
	assert_true(seed_text != NULL || (counts[0] > counts[1] / 4 && counts[1] > 0 && counts[2] > 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_is_told_the_truth_once),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("engine: truth", tests, NULL, NULL);
}
