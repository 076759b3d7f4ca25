/* SPDX-License-Identifier: MIT
 *
 * Answers and notices into a client's engine: whatever an owner says, each request's callback is
 * called once, what the engine says itself is sound (the kit's owner asserts it), and with a sound
 * owner afterwards everything comes to rest.
 *
 * An input is a list of steps. What the kit's owner answers can be told as it is, with some bytes
 * changed, cut, or twice; raw bytes come between.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/lib/engine_kit.h"

enum { STEPS_MAX = 500, REQUESTS = 200, WATCHES = 12, CHANGES = 3 };

enum step {
	STEP_END,
	STEP_SUBMIT,
	STEP_QUERY,
	STEP_ASK,
	STEP_CANCEL,
	STEP_WATCH,
	STEP_UNWATCH,
	STEP_TIME,
	STEP_SERVE,   /* a message of the engine's is answered, and the answer is heard */
	STEP_SPOILED, /* the same, with changes */
	STEP_LOST,    /* the same, and nothing is heard */
	STEP_RAW,     /* a body: size, bytes */
	STEP_RESOLVE, /* what waits is answered */
	STEP_EVENTS,
	STEP_CONNECT,
	STEP_DISCONNECT,
	STEP_MOOD,    /* of the owner */
	STEP_RESTART,
	STEP_GOODBYE,
	STEPS,
};

static struct kit *kit; /* kept from input to input: it is large */
static struct told untold[KIT_NUMBERS];
static uint64_t ids[REQUESTS], watches[WATCHES];
static unsigned submitted, watched, hears;

static void random_bytes(void *bytes, size_t size)
{
	static const uint8_t zeros[64];
	static uint64_t n;

	n++;
	memcpy(bytes, zeros, size < sizeof zeros ? size : sizeof zeros);
	memcpy(bytes, &n, size < sizeof n ? size : sizeof n);
}

static void begin(void)
{
	const struct engine_options options = {
		.program = "fuzz", .window = 40, .silence_ms = 30000, .random = random_bytes
	};

	if (kit == NULL) {
		kit = kit_new();
		engine_clear(&kit->engine);
	}
	struct kit_owner *owner = &kit->owner;
	owner->incarnation = 100;
	owner->history = 900;
	owner->next_session = 50;
	owner->session_count = owner->parked_count = owner->watch_count = 0;
	owner->event_count = owner->events_first = 0;
	owner->revision = 0;
	owner->window = PROTOCOL_WINDOW;
	owner->message_max = PROTOCOL_MESSAGE_MAX_BYTES;
	owner->leaving = owner->busy = owner->deny_open = owner->watch_busy = false;
	owner->parks = owner->lies = true;
	memcpy(kit->told, untold, (REQUESTS + 2) * sizeof *untold);
	memset(owner->runs, 0, (REQUESTS + 2) * sizeof *owner->runs);
	kit->told_count = submitted = watched = hears = 0;
	kit->now_ns = 1000 * NS_PER_S;
	srand(1);
	require(engine_init(&kit->engine, &options));
	kit_connect(kit);
}

static void hear(const void *bytes, size_t size)
{
	uint8_t *copy = fuzz_copy(bytes, size);

	engine_receive(&kit->engine, copy, size, kit->now_ns);
	free(copy);
	hears++;
}

/* Changes few bytes of kit->in, or cuts it. The places are near the front more often than not. */
static void spoil(struct fuzz_input *input)
{
	for (unsigned changes = 1 + fuzz_u8(input) % CHANGES; changes > 0; changes--) {
		size_t place = fuzz_u8(input);
		uint8_t how = fuzz_u8(input);
		if (kit->in.size == 0)
			return;
		place = how & 1 ? kit->in.size - 1 - place % kit->in.size : place % kit->in.size;
		if ((how & 0xfe) == 0xfe)
			kit->in.size = place;
		else if (how & 2)
			kit->in.data[place] = (uint8_t)(kit->in.data[place] + (how >> 2));
		else
			kit->in.data[place] ^= (uint8_t)(1 << (how >> 5));
	}
}

static void serve(struct fuzz_input *input, enum step step)
{
	struct kit_owner *owner = &kit->owner;

	if (owner->session_count > KIT_SESSIONS - 2)
		owner->session_count = owner->parked_count = 0;
	if (owner->watch_count > KIT_WATCHES - 2)
		owner->watch_count = 0;
	if (owner->event_count > KIT_EVENTS - 2 * PROTOCOL_WINDOW || owner->parked_count > KIT_NUMBERS - PROTOCOL_WINDOW)
		return;
	if (!kit_next(kit))
		return;
	kit_serve(kit);
	if (step == STEP_SPOILED) {
		uint8_t twice = fuzz_u8(input);
		if (twice & 1)
			kit_hear(kit);
		spoil(input);
	}
	if (step != STEP_LOST)
		hear(kit->in.data, kit->in.size);
}

/* Touches all of it, for the sanitizer. */
static void hear_event(struct sole *handle, const struct sole_event *event, void *context)
{
	unsigned sum = 0;

	(void)handle;
	for (uint32_t i = 0; event->key.type == SOLE_BYTES && i < event->key.size; i++)
		sum += ((const uint8_t *)event->key.bytes)[i];
	if (sum == 17)
		engine_unwatch(&kit->engine, watches[(uintptr_t)context]);
}

static void watch(struct fuzz_input *input)
{
	uint8_t from = fuzz_u8(input);
	const struct sole_value prefix = { .type = SOLE_BYTES, .size = from & 3, .bytes = "kkk" };

	if (watched == WATCHES)
		return;
	engine_watch(&kit->engine, prefix, 900, from >> 4, (from >> 2) & 3, hear_event,
		     (void *)(uintptr_t)watched, &watches[watched]);
	watched++;
}

static void ask(struct fuzz_input *input)
{
	static const enum item_kind kinds[] = { ITEM_PING, ITEM_STATUS, ITEM_STATS, ITEM_DESCRIBE };
	uint8_t kind = fuzz_u8(input);

	if (submitted == REQUESTS)
		return;
	submitted++;
	require(engine_ask(&kit->engine, kinds[kind % 4], NULL, 0, kit->now_ns, kit->now_ns + (1 + kind) * 100 * NS_PER_MS,
			   kit_told, (void *)(uintptr_t)submitted, &ids[submitted - 1]) == SOLE_OK);
}

static void submit(struct fuzz_input *input, bool query)
{
	uint8_t limit = fuzz_u8(input);

	if (submitted == REQUESTS)
		return;
	submitted++;
	ids[submitted - 1] = kit_submit(kit, submitted, query, limit * 20);
}

static void tell_unasked(struct fuzz_input *input, enum step step)
{
	struct kit_owner *owner = &kit->owner;
	uint8_t which = fuzz_u8(input);
	bool told = false;

	if (step == STEP_RESOLVE && owner->parked_count > 0)
		told = kit_resolve(owner, which % owner->parked_count, which & 0x80 ? CODE_EXPIRED : CODE_OK, &kit->in);
	else if (step == STEP_EVENTS && owner->watch_count > 0)
		told = kit_events(owner, which % owner->watch_count, &kit->in);
	if (!told)
		return;
	if (which & 0x40)
		spoil(input);
	hear(kit->in.data, kit->in.size);
}

static bool take_step(struct fuzz_input *input)
{
	struct buffer goodbye = { 0 };
	enum step step = (enum step)(fuzz_u8(input) % STEPS);
	const uint8_t *bytes;
	size_t size;
	uint8_t v;

	switch (step) {
	case STEP_SUBMIT:
	case STEP_QUERY:
		submit(input, step == STEP_QUERY);
		break;
	case STEP_ASK:
		ask(input);
		break;
	case STEP_CANCEL:
		v = fuzz_u8(input);
		if (submitted > 0)
			engine_cancel(&kit->engine, ids[v % submitted]);
		break;
	case STEP_WATCH:
		watch(input);
		break;
	case STEP_UNWATCH:
		v = fuzz_u8(input);
		if (watched > 0)
			engine_unwatch(&kit->engine, watches[v % watched]);
		break;
	case STEP_TIME:
		v = fuzz_u8(input);
		kit->now_ns += (int64_t)v * v * NS_PER_MS;
		engine_expire(&kit->engine, kit->now_ns);
		break;
	case STEP_SERVE:
	case STEP_SPOILED:
	case STEP_LOST:
		serve(input, step);
		break;
	case STEP_RAW:
		size = fuzz_u16(input);
		bytes = fuzz_bytes(input, &size);
		hear(bytes, size);
		break;
	case STEP_RESOLVE:
	case STEP_EVENTS:
		tell_unasked(input, step);
		break;
	case STEP_CONNECT:
		kit_connect(kit);
		break;
	case STEP_DISCONNECT:
		engine_disconnected(&kit->engine);
		break;
	case STEP_MOOD:
		v = fuzz_u8(input);
		kit->owner.leaving = v & 1;
		kit->owner.busy = v & 2;
		kit->owner.deny_open = v & 4;
		kit->owner.watch_busy = v & 8;
		kit->owner.parks = v & 16;
		kit->owner.window = v & 32 ? 3 : PROTOCOL_WINDOW;
		kit->owner.message_max = v & 64 ? 200 : PROTOCOL_MESSAGE_MAX_BYTES;
		break;
	case STEP_RESTART:
		kit_restart(&kit->owner, fuzz_u8(input) & 1);
		kit_connect(kit);
		break;
	case STEP_GOODBYE:
		engine_goodbye(&kit->engine, &goodbye);
		buffer_clear(&goodbye);
		break;
	case STEP_END:
	case STEPS:
		return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = fuzz_input(bytes, size);

	begin();
	for (int steps = 0; steps < STEPS_MAX && input.left > 0 && take_step(&input); steps++)
		for (unsigned i = 1; i <= submitted; i++)
			require(kit->told[i].times <= 1);
	/* An owner in a good mood, of another history, and time enough for every limit. */
	kit->owner.leaving = kit->owner.busy = kit->owner.deny_open = kit->owner.watch_busy = false;
	kit->owner.parks = false;
	kit->owner.window = PROTOCOL_WINDOW;
	kit->owner.message_max = PROTOCOL_MESSAGE_MAX_BYTES;
	if (kit->owner.event_count < KIT_EVENTS - 4 * REQUESTS) {
		kit->now_ns += 30 * NS_PER_S;
		kit_restart(&kit->owner, false);
		kit_connect(kit);
		kit_wait(kit, 60000);
		kit_submit(kit, submitted + 1, false, 5000);
		kit_wait(kit, 6000);
		assert_told(kit, submitted + 1, CODE_OK);
		require(kit->engine.pending == 0);
	}
	engine_clear(&kit->engine);
	for (unsigned i = 1; i <= submitted; i++)
		require(kit->told[i].times == 1);
	return 0;
}
