/* SPDX-License-Identifier: MIT
 *
 * Messages into an owner's service, with the table behind it: every reply and notice is sound, the
 * state is sound after each round, and a second owner with another hash seed, told the same, says and records the
 * same. A third core replays what was recorded: it comes to the same state, to the byte of its snapshot.
 *
 * An input is a list of steps. Raw messages are bytes as they are; composed ones have sizes
 * and counts that are right, and name sessions by the order in which they were opened, so that the
 * fuzzer need not guess what the owner made up.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/lib/outlet.h"

#include "owner/state/snapshot.h"

enum { STEPS_MAX = 2000, SESSIONS = 8, BYTES_MAX = 1 << 16, CONNECTIONS = 3 };

enum step {
	STEP_END,
	STEP_RAW,       /* a message: who, size, bytes */
	STEP_MESSAGE,   /* a message: who; items follow */
	STEP_ITEM,
	STEP_OPERATION, /* of the last item */
	STEP_LIST,      /* of the last item */
	STEP_BYTES,     /* of the last item: size, bytes */
	STEP_ROUND,
	STEP_TIME,
	STEP_TEND,
	STEP_DELIVER,
	STEP_CONNECTION_ENDED,
	STEP_PROCESS_ENDED,
	STEP_LEAVE,
	STEPS,
};

struct bench {
	struct rig *rigs[2];
	struct bench_outlet *outlets[2];
	struct buffer records[2];
	struct core *replayed;
	struct counters replayed_counters;
	uint64_t sessions[SESSIONS], next[SESSIONS];
	size_t session_count;
	size_t open_bytes; /* of the round to be */
	bool item;         /* there is one to append to */
};

static struct bench *bench; /* kept from input to input: it is large */

static void set_limits(struct rig *rig, uint8_t kind)
{
	rig->limits = limits_default();
	rig->limits.events_bytes = 32768; /* allocated at once: the most of an input's time, else */
	if ((kind & 1) == 0)
		return;
	rig->limits.operations = 3;
	rig->limits.entries = 10;
	rig->limits.value_bytes = 50;
	rig->limits.sessions = 3;
	rig->limits.session_replies_bytes = 200;
	rig->limits.outbox_total_bytes = 65536;
	rig->limits.watches = 3;
	rig->limits.events_bytes = 512;
}

static void begin(uint8_t kind)
{
	if (bench == NULL) {
		bench = calloc(1, sizeof *bench);
		require(bench != NULL);
		for (int i = 0; i < 2; i++) {
			bench->rigs[i] = rig_new();
			bench->outlets[i] = outlet_new();
		}
	}
	bench->session_count = bench->open_bytes = 0;
	bench->item = false;
	for (uint64_t i = 0; i < 2; i++) {
		struct rig *rig = bench->rigs[i];
		memset(&rig->counters, 0, sizeof rig->counters);
		set_limits(rig, kind);
		rig->now_ns = 1000 * NS_PER_S;
		rig->wall_us = 5000000;
		rig->count = 0;
		rig->ran = false;
		rig->answer_count = 0;
		require(rig_start(rig, &table_behaviour, i + 1));
		buffer_reset(&bench->records[i]);
		core_record_to(service_core(rig->service), &bench->records[i]);
	}
	const struct core_settings settings = { .behaviour = &table_behaviour,
						.limits = &bench->rigs[0]->limits,
						.counters = &bench->replayed_counters,
						.hash_seed = 3,
						.session_seed = 0x5eed5eed5eed5eed };
	const char *why;
	bench->replayed = core_new(&settings, &why);
	require(bench->replayed != NULL);
	store_keep_digest(core_store(bench->replayed));
}

static const struct caller *caller(uint8_t who)
{
	static const struct caller *const callers[] = { &alice, &alice_again, &bob };
	static const struct caller relayed = { 0 };

	return who % 4 == 3 ? &relayed : callers[who % 4];
}

static void add_message(uint8_t who, const uint8_t *bytes, size_t size)
{
	struct rig *rig = bench->rigs[0];

	if (!rig->ran && rig->count == RIG_MESSAGES)
		return;
	rig_message(rig, caller(who), (who & 4) != 0);
	rig->messages[rig->count - 1].connection = (who >> 3) % (CONNECTIONS + 1);
	rig->messages[rig->count - 1].peer = (who >> 5) & 1;
	rig->messages[rig->count - 1].overlong = (who & 0xc0) == 0xc0;
	bench->item = false;
	if (bytes == NULL)
		return;
	rig->items[rig->count - 1] = UINT32_MAX; /* raw: its count is its own */
	buffer_reset(rig_body(rig));
	buffer_append(rig_body(rig), bytes, size);
}

static void add_item(struct fuzz_input *input)
{
	struct rig *rig = bench->rigs[0];
	struct request_header header = { .kind = fuzz_u8(input), .flags = fuzz_u8(input), .window = fuzz_u8(input) };
	uint8_t session = fuzz_u8(input), sequence = fuzz_u8(input), deadline = fuzz_u8(input);

	bench->item = false;
	if (rig->ran || rig->count == 0 || rig->items[rig->count - 1] >= PROTOCOL_ITEMS_MAX)
		return;
	if (session == 0xff)
		header.session = SESSION_OPENED;
	else if (session == 0xfe)
		header.session = fuzz_u64(input);
	else if (session > 0 && bench->session_count > 0) {
		size_t place = (session - 1U) % bench->session_count;
		header.session = bench->sessions[place];
		header.sequence = sequence > 0 || (header.flags & REQUEST_FLAG_QUERY) != 0 ? 0 : bench->next[place]++;
	}
	if (header.sequence == 0)
		header.sequence = sequence == 0xff ? fuzz_u64(input) : sequence;
	if (deadline == 0xff)
		header.deadline = fuzz_u64(input);
	else if (deadline > 0)
		header.deadline = (uint64_t)(((header.flags & REQUEST_FLAG_RELATIVE) != 0 ? 0 : rig->now_ns) +
					     ((int64_t)deadline - 20) * NS_PER_MS);
	rig_item(rig, &header);
	bench->item = true;
}

/* Keys of one letter and short values meet often; what is longer comes along in raw bytes. */
static void add_list(struct fuzz_input *input, int operation)
{
	static const char texts[] = "abcdefghijklmnop";
	struct rig *rig = bench->rigs[0];
	struct value values[8];
	uint8_t shape = fuzz_u8(input);
	size_t count = shape % 8;

	for (size_t i = 0; i < count; i++) {
		uint8_t type = fuzz_u8(input), v = fuzz_u8(input);
		size_t size;
		switch (type % 6) {
		case 0:
			values[i] = value_none();
			break;
		case 1:
			values[i] = value_integer((int8_t)v);
			break;
		case 2:
			values[i] = value_bytes(texts + v % 8, 1 + v % 3);
			break;
		case 3:
			values[i] = value_integer((int64_t)(fuzz_u64(input)));
			break;
		case 4:
			size = v;
			values[i].bytes = fuzz_bytes(input, &size);
			values[i] = value_bytes(values[i].bytes, size);
			break;
		default:
			values[i] = *rig_big((size_t)v << 8);
			bench->open_bytes += (size_t)v << 8;
			break;
		}
	}
	if (!bench->item)
		return;
	if (operation >= 0)
		rig_operation(rig, (uint16_t)operation, values, count);
	else
		rig_list(rig, values, count);
}

static void learn_sessions(const struct rig *rig)
{
	for (size_t i = 0; i < rig->answer_count; i++) {
		const struct reply_header *header = &rig->answers[i].header;
		size_t place = 0;
		while (place < bench->session_count && bench->sessions[place] != header->session)
			place++;
		if (header->code == CODE_OUT_OF_ORDER && place < bench->session_count)
			bench->next[place] = (uint64_t)rig_integer(rig, i, 0, 2);
		if (header->kind != ITEM_OPEN || header->code != CODE_OK || place < bench->session_count ||
		    bench->session_count == SESSIONS)
			continue;
		bench->sessions[bench->session_count] = header->session;
		bench->next[bench->session_count++] = 1;
	}
}

static void replay(void)
{
	struct core *core = service_core(bench->rigs[0]->service);
	const struct buffer *one = &bench->records[0], *two = &bench->records[1];
	struct wire_reader reader = wire_reader(one->data, one->size);
	struct record record;
	char why[256];
	uint32_t count = 0;

	require(!one->failed && one->size == two->size);
	require(one->size == 0 || memcmp(one->data, two->data, one->size) == 0);
	for (; record_read(&reader, &record); count++)
		if (core_replay(bench->replayed, &record, core_scalars(core).now_us, true, why, sizeof why) != CODE_OK) {
			fprintf(stderr, "a record of kind %s is not replayed: %s\n", record_name(record.kind), why);
			abort();
		}
	require(!reader.bad && count == core_take_record_count(core));
	require(core_take_record_count(service_core(bench->rigs[1]->service)) == count);
	require(core_revision(bench->replayed) == core_revision(core));
	size_t late;
	core_take_late(bench->replayed, &late);
	buffer_reset(&bench->records[0]);
	buffer_reset(&bench->records[1]);
}

static bool to_buffer(void *context, const void *bytes, size_t size)
{
	buffer_append(context, bytes, size);
	return true;
}

/* All of the state, of which the digest is but a part. */
static void same_snapshot(void)
{
	struct core *core = service_core(bench->rigs[0]->service);
	const struct snapshot_head head = { .history = 1, .incarnation = 1, .round = 1 };
	struct buffer bytes[2] = { { 0 }, { 0 } };

	core_set_clock(bench->replayed, core_scalars(core).now_us);
	for (int i = 0; i < 2; i++) {
		const struct snapshot_sink sink = { .context = &bytes[i], .write = to_buffer };
		require(snapshot_write(i == 0 ? core : bench->replayed, &head, &sink));
	}
	require(bytes[0].size == bytes[1].size && memcmp(bytes[0].data, bytes[1].data, bytes[0].size) == 0);
	buffer_clear(&bytes[0]);
	buffer_clear(&bytes[1]);
}

static void same_state(void)
{
	replay();
	require(rig_digest(bench->rigs[0]) == rig_digest(bench->rigs[1]));
	require(rig_revision(bench->rigs[0]) == rig_revision(bench->rigs[1]));
	require(memcmp(&bench->rigs[0]->counters, &bench->rigs[1]->counters, sizeof bench->rigs[0]->counters) == 0);
	assert_sound(bench->rigs[0]);
	assert_sound(bench->rigs[1]);
}

static void run_round(void)
{
	struct rig *one = bench->rigs[0], *two = bench->rigs[1];
	size_t counts[2];

	bench->item = false;
	bench->open_bytes = 0;
	if (one->ran)
		one->count = 0;
	for (size_t i = 0; i < one->count; i++)
		if (one->items[i] != UINT32_MAX)
			wire_finish_message(&one->bodies[i], (uint16_t)one->items[i]);
	two->now_ns = one->now_ns;
	two->wall_us = one->wall_us;
	two->count = one->count;
	for (size_t i = 0; i < one->count; i++) {
		two->messages[i] = one->messages[i];
		buffer_reset(&two->bodies[i]);
		buffer_append(&two->bodies[i], one->bodies[i].data, one->bodies[i].size);
	}
	rig_raw_round(one);
	rig_raw_round(two);
	const struct service_reply *x = service_replies(one->service, &counts[0]),
				   *y = service_replies(two->service, &counts[1]);
	require(counts[0] == counts[1]);
	for (size_t i = 0; i < counts[0]; i++) {
		require(x[i].message == y[i].message && x[i].body.size == y[i].body.size);
		require(memcmp(x[i].body.data, y[i].body.data, x[i].body.size) == 0);
	}
	/* What has our header is answered, and what has not is not. */
	for (size_t i = 0; i < one->count; i++)
		require((one->reply_counts[i] > 0) == (one->messages[i].verdict != MESSAGE_UNREADABLE));
	for (size_t i = 0; i < one->answer_count; i++) {
		struct wire_reader payload = one->answers[i].payload;
		struct value values[WIRE_LIST_MAX];
		size_t count;
		while (payload.left > 0)
			require(wire_read_list(&payload, values, WIRE_LIST_MAX, &count));
	}
	learn_sessions(one);
	same_state();
}

static void deliver(uint8_t unready)
{
	for (int i = 0; i < 2; i++) {
		outlet_clear(bench->outlets[i]);
		bench->outlets[i]->unready = unready % (CONNECTIONS + 2);
		outlet_deliver(bench->outlets[i], bench->rigs[i]);
	}
	require(bench->outlets[0]->count == bench->outlets[1]->count);
	for (size_t i = 0; i < bench->outlets[0]->count; i++) {
		const struct notice *a = &bench->outlets[0]->notices[i], *b = &bench->outlets[1]->notices[i];
		require(a->connection == b->connection && a->connection != 0);
		require(memcmp(&a->header, &b->header, sizeof a->header) == 0);
		require(a->payload.left == b->payload.left);
		require(memcmp(a->payload.at, b->payload.at, a->payload.left) == 0);
	}
	same_state();
}

static void on_both(enum step step, uint8_t argument)
{
	struct buffer notices[2] = { { 0 }, { 0 } };
	int64_t next_ns[2] = { 0, 0 };

	for (int i = 0; i < 2; i++) {
		struct rig *rig = bench->rigs[i];
		if (step == STEP_TEND)
			service_tend(rig->service, bench->rigs[0]->now_ns, bench->rigs[0]->wall_us, &next_ns[i]);
		else if (step == STEP_CONNECTION_ENDED)
			service_connection_ended(rig->service, 1 + argument % CONNECTIONS);
		else if (step == STEP_PROCESS_ENDED)
			service_process_ended(rig->service, caller(argument)->pid);
		else
			service_leave(rig->service, &notices[i]);
	}
	require(next_ns[0] == next_ns[1] && notices[0].size == notices[1].size);
	buffer_clear(&notices[0]);
	buffer_clear(&notices[1]);
	same_state();
}

static bool take_step(struct fuzz_input *input)
{
	enum step step = (enum step)(fuzz_u8(input) % STEPS);
	const uint8_t *bytes;
	uint8_t who;
	size_t size;

	switch (step) {
	case STEP_RAW:
		who = fuzz_u8(input);
		size = fuzz_u16(input);
		bytes = fuzz_bytes(input, &size);
		add_message(who, bytes, size);
		return true;
	case STEP_MESSAGE:
		add_message(fuzz_u8(input), NULL, 0);
		return true;
	case STEP_ITEM:
		add_item(input);
		return true;
	case STEP_OPERATION:
		who = fuzz_u8(input);
		add_list(input, who == 0xff ? OPERATION_OTHERWISE : who % 40);
		break;
	case STEP_LIST:
		add_list(input, -1);
		break;
	case STEP_BYTES:
		size = fuzz_u8(input);
		bytes = fuzz_bytes(input, &size);
		if (bench->item) {
			buffer_append(rig_body(bench->rigs[0]), bytes, size);
			rig_end_item(bench->rigs[0]);
		}
		break;
	case STEP_ROUND:
		run_round();
		return true;
	case STEP_TIME:
		who = fuzz_u8(input);
		bench->rigs[0]->now_ns += (int64_t)who * who * NS_PER_MS;
		bench->rigs[0]->wall_us += ((int64_t)who - 10) * who * 1000;
		return true;
	case STEP_DELIVER:
		deliver(fuzz_u8(input));
		return true;
	case STEP_TEND:
	case STEP_CONNECTION_ENDED:
	case STEP_PROCESS_ENDED:
	case STEP_LEAVE:
		on_both(step, step == STEP_TEND || step == STEP_LEAVE ? 0 : fuzz_u8(input));
		return true;
	case STEP_END:
	case STEPS:
		return false;
	}
	if (bench->open_bytes > 4 * BYTES_MAX)
		run_round();
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = fuzz_input(bytes, size);

	begin(fuzz_u8(&input));
	for (int steps = 0; steps < STEPS_MAX && input.left > 0 && take_step(&input); steps++)
		;
	run_round();
	deliver(CONNECTIONS + 1);
	same_snapshot();
	core_destroy(&bench->replayed);
	for (int i = 0; i < 2; i++) {
		outlet_clear(bench->outlets[i]);
		service_destroy(&bench->rigs[i]->service);
	}
	return 0;
}
