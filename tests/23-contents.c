/* SPDX-License-Identifier: MIT
 *
 * What a checksum cannot tell: records and snapshots whose checksums are right and whose contents are not. Cut at each byte,
 * with each byte another, and of another order, they are refused with a reason, or read and used.
 */
#include "tests/fuzz/life.h"
#include "tests/lib/snapshot_blocks.h"

enum { RECORDS_MAX = 256 };

static struct fuzz_input input;

static ssize_t from_input(void *context, void *bytes, size_t size)
{
	const uint8_t *from = fuzz_bytes(context, &size);

	if (size > 0)
		memcpy(bytes, from, size);
	return (ssize_t)size;
}

static bool read_stream(const struct buffer *stream, struct core *core)
{
	const struct snapshot_source source = { .context = &input, .read = from_input };
	struct snapshot_head head;
	char why[256] = "";

	input = fuzz_input(stream->data, stream->size);
	bool sound = snapshot_read(&source, &head, core, NULL, NULL, why, sizeof why);
	assert_true(sound || (why[0] != '\0' && head.error == 0));
	return sound;
}

static bool read_blocks(struct life *life, const struct buffer *from, size_t cut, uint64_t events)
{
	struct buffer stream = { 0 };
	struct core *core = life_core(life);

	put_blocks(&stream, from, cut, events);
	bool sound = read_stream(&stream, core);
	assert_true(read_stream(&stream, NULL) || !sound);
	core_destroy(&core);
	buffer_clear(&stream);
	return sound;
}

static void a_snapshot_that_ends_too_soon_or_too_late_is_refused(void **state)
{
	struct life *life = life_new();
	struct buffer whole = { 0 }, part;
	uint64_t events = take_blocks(service_core(life->rig->service), &whole);

	(void)state;
	assert_true(read_blocks(life, &whole, 65520, events) && read_blocks(life, &whole, 100, events));
	for (size_t size = 1; size < whole.size; size++) {
		part = whole;
		part.size = size;
		assert_false(read_blocks(life, &part, size % 2 == 0 ? 65520 : 200, events));
	}
	for (uint64_t other = 0; other < 2 * events; other++)
		assert_true(read_blocks(life, &whole, 65520, other) == (other == events));
	buffer_u8(&whole, 0);
	assert_false(read_blocks(life, &whole, 65520, events));
	buffer_clear(&whole);
	life_free(life);
}

static void a_snapshot_with_another_byte_is_refused_or_read(void **state)
{
	static const uint8_t changes[] = { 0x01, 0x02, 0x80, 0xff };
	struct life *life = life_new();
	struct buffer whole = { 0 };
	uint64_t events = take_blocks(service_core(life->rig->service), &whole);
	unsigned refused = 0, taken = 0;

	(void)state;
	for (size_t at = 0; at < whole.size; at++)
		for (size_t i = 0; i < sizeof changes; i++) {
			whole.data[at] ^= changes[i];
			bool sound = read_blocks(life, &whole, 65520, events);
			refused += !sound;
			taken += sound;
			whole.data[at] ^= changes[i];
		}
	printf("# %u refused, %u taken\n", refused, taken);
	assert_true(refused > 4000 && taken > 0);
	buffer_clear(&whole);
	life_free(life);
}

/* ---- states that no requests lead to ---- */

/* An entry that the behaviour would not have made. */
struct odd {
	const char *map;
	const void *key;
	size_t key_size;
	struct value value;
};

static void put_odd(struct core *core, const struct odd *odd)
{
	struct store *store = core_store(core);

	assert_int_equal(map_put(store_map(store, odd->map), odd->key, odd->key_size, &odd->value), CODE_OK);
	store_commit(store);
}

static void what_the_table_would_not_have_made_breaks_its_invariant(void **state)
{
	static uint8_t long_name[600], pair[16] = { 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2 };
	static uint8_t place[] = "gate\0\0\0\0\0\0\0\0\1", held[] = "\0\0\0\0\0\0\0\1gate", joined[] = "\0\0\0\0\0\0\0\1k";
	const struct value one = value_integer(1), two = value_bytes(pair, 16), some = value_text("some");
	const struct odd odds[][3] = {
		/* an index that is of nothing */
		{ { "due", joined, 9, one } },
		{ { "bound", joined, 9, one } },
		{ { "due", "short", 5, one }, { "expiry", "k", 1, one } },
		{ { "bound", "short", 5, one }, { "binding", "k", 1, one } },
		/* what is no time, and no session */
		{ { "due", joined, 9, one }, { "expiry", "k", 1, some }, { "table", "k", 1, one } },
		{ { "bound", joined, 9, one }, { "binding", "k", 1, some }, { "table", "k", 1, one } },
		/* locks */
		{ { "locks", "gate", 4, two } },
		{ { "locks", "gate", 4, one }, { "held", held, 12, one } },
		{ { "locks", "gate", 4, some }, { "held", held, 12, one } },
		{ { "locks", long_name, 600, two }, { "held", held, 12, one } },
		{ { "locks", "gate", 4, two }, { "held", "short", 5, one } },
		/* lines */
		{ { "line", place, 13, two } },
		{ { "line", "short", 5, two }, { "waiting", pair, 16, value_bytes("short", 5) } },
		{ { "line", long_name, 600, two }, { "waiting", pair, 16, value_bytes(long_name, 600) } },
		{ { "line", place, 13, one }, { "waiting", pair, 16, value_bytes(place, 13) } },
		{ { "line", place, 13, two }, { "waiting", "else", 4, value_bytes(place, 13) } },
		{ { "line", place, 13, two }, { "waiting", pair, 16, one } },
		{ { "line", place, 13, two }, { "waiting", pair, 16, some } },
		{ { "line", place, 13, two }, { "waiting", pair, 16, value_bytes(held, 13) } },
		{ { "line", place, 13, two }, { "waiting", pair, 16, value_bytes(place, 13) } }, /* for a lock that is free */
	};
	struct life *life = life_new();

	(void)state;
	memset(long_name, 'n', sizeof long_name);
	for (size_t i = 0; i < sizeof odds / sizeof *odds; i++) {
		struct core *core = life_core(life);
		assert_null(core_invariant(core));
		for (size_t n = 0; n < 3 && odds[i][n].map != NULL; n++)
			put_odd(core, &odds[i][n]);
		assert_non_null(core_invariant(core));
		core_destroy(&core);
	}
	life_free(life);
}

/* A session that is told to have what it has not, and time that is due for nothing. */
static void a_session_ends_and_a_tick_too_in_a_state_that_no_requests_lead_to(void **state)
{
	struct life *life = life_new();
	struct core *core = life_core(life);
	static const uint8_t nonce[PROTOCOL_NONCE_BYTES] = { 1 };
	struct session *session;

	(void)state;
	assert_int_equal(core_open_session(core, &alice, nonce, 0, &session), CODE_OK);
	uint8_t key[9] = { 0 };
	for (int i = 0; i < 8; i++)
		key[i] = (uint8_t)(session->id >> (56 - 8 * i));
	for (int more = 0; more < 3; more++) {
		key[8] = (uint8_t)more;
		put_odd(core, &(struct odd){ "bound", key, more == 0 ? 8 : 9, value_integer(1) });
		put_odd(core, &(struct odd){ "held", key, more == 0 ? 8 : 9, value_integer(1) });
		put_odd(core, &(struct odd){ "due", "\0\0\0\0\0\0\0\1ab", (size_t)(8 + more), value_integer(1) });
	}
	core_set_clock(core, 1000);
	assert_true(core_tick(core) > 1000);
	assert_int_equal(core_end_session(core, &session), CODE_OK);
	core_destroy(&core);
	life_free(life);
}

/* ---- records ---- */

static struct place {
	const uint8_t *at;
	size_t size;
	int64_t time_us; /* of its round */
} places[RECORDS_MAX];
static size_t place_count;

static void find_places(const struct life *life)
{
	struct wire_reader all = wire_reader(life->records.data, life->records.size);
	struct record record;
	const uint8_t *at = all.at;

	size_t round = 0;

	for (place_count = 0; record_read(&all, &record); at = all.at) {
		while ((size_t)(at - life->records.data) >= life->rounds[round].start + life->rounds[round].size)
			round++;
		places[place_count++] = (struct place){ at, (size_t)(all.at - at), life->rounds[round].time_us };
	}
	assert_true(!all.bad && place_count > 15);
}

/* A core that has done everything before that record. */
static struct core *core_before(const struct life *life, size_t place)
{
	struct core *core = life_core(life);
	struct record record;
	char why[256];
	size_t late;

	for (size_t i = 0; i < place; i++) {
		struct wire_reader reader = wire_reader(places[i].at, places[i].size);
		assert_true(record_read(&reader, &record));
		if (core_replay(core, &record, places[i].time_us, true, why, sizeof why) != CODE_OK)
			fail_msg("%s", why);
		core_take_late(core, &late);
	}
	return core;
}

static void a_record_that_is_cut_cannot_be_read(void **state)
{
	struct life *life = life_new();
	struct record record;

	(void)state;
	find_places(life);
	for (size_t i = 0; i < place_count; i++)
		for (size_t size = 0; size < places[i].size; size++) {
			uint8_t *copy = fuzz_copy(places[i].at, places[i].size);
			struct wire_reader reader = wire_reader(copy, size);
			assert_false(record_read(&reader, &record));
			assert_true(reader.bad == (size > 0));
			for (int byte = 0; byte < 4 && size >= 4; byte++) /* also where it says that it ends there */
				copy[byte] = (uint8_t)(size >> (8 * byte));
			reader = wire_reader(copy, size);
			assert_false(record_read(&reader, &record));
			free(copy);
		}
	for (unsigned kind = 0; kind < 256; kind++)
		assert_non_null(record_name((enum record_kind)kind));
	life_free(life);
}

/* Each byte of each record is another: it is not replayed, or it comes to a sound state. */
static void a_record_that_says_something_else_is_told_apart(void **state)
{
	static const uint8_t changes[] = { 0x01, 0x02, 0x80, 0xff };
	enum { STATED_BYTES = 40 }; /* what each record says came out */
	struct life *life = life_new();
	unsigned told = 0;

	(void)state;
	find_places(life);
	for (size_t i = 0; i < place_count; i++)
		for (size_t at = 4; at < places[i].size && at < 200; at++)
			for (size_t n = 0; n < sizeof changes; n++) {
				struct core *core = core_before(life, i);
				uint8_t *copy = fuzz_copy(places[i].at, places[i].size);
				struct wire_reader reader = wire_reader(copy, places[i].size);
				struct record record;
				char why[128] = "";
				copy[at] ^= changes[n];
				bool same = record_read(&reader, &record) &&
					    core_replay(core, &record, places[i].time_us, true, why, sizeof why) == CODE_OK;
				assert_true(same || reader.bad || why[0] != '\0');
				assert_true(!same || core_invariant(core) == NULL);
				if (at >= STATED_BYTES - 16 && at < STATED_BYTES) /* revision and digest */
					assert_false(same);
				told += !same;
				core_destroy(&core);
				free(copy);
			}
	printf("# %u told\n", told);
	assert_true(told > 3000);
	life_free(life);
}

static void a_record_left_out_or_done_twice_is_told_apart(void **state)
{
	struct life *life = life_new();
	struct record record;
	char why[256];

	(void)state;
	find_places(life);
	for (size_t i = 0; i + 1 < place_count; i++)
		for (size_t next = 0; next < place_count; next++) {
			struct core *core = core_before(life, i);
			struct wire_reader reader = wire_reader(places[next].at, places[next].size);
			assert_true(record_read(&reader, &record));
			uint64_t revision = core_revision(core);
			bool same = core_replay(core, &record, places[next].time_us, true, why, sizeof why) == CODE_OK;
			assert_true(same == (why[0] == '\0'));
			assert_true(same || next != i);
			assert_true(!same || record.revision >= revision);
			core_destroy(&core);
		}
	life_free(life);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_snapshot_that_ends_too_soon_or_too_late_is_refused),
	cmocka_unit_test(a_snapshot_with_another_byte_is_refused_or_read),
	cmocka_unit_test(what_the_table_would_not_have_made_breaks_its_invariant),
	cmocka_unit_test(a_session_ends_and_a_tick_too_in_a_state_that_no_requests_lead_to),
	cmocka_unit_test(a_record_that_is_cut_cannot_be_read),
	cmocka_unit_test(a_record_that_says_something_else_is_told_apart),
	cmocka_unit_test(a_record_left_out_or_done_twice_is_told_apart),
};

UNIT_MAIN(tests)
