/* SPDX-License-Identifier: MIT
 *
 * A state as a stream of bytes, and back: nothing is lost, nothing that is not sound is taken for a state.
 *
 * WRITE_FIXTURE=path in the environment writes the state of tests/fixtures/README.md there.
 */
#include "tests/lib/outlet.h"
#include "tests/lib/scarce.h"

#include "owner/state/snapshot.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <unistd.h>

enum { BLOCK_HEADER = 16, BLOCK_MOST = 65536 };

/* ---- streams ---- */

struct stream {
	struct buffer bytes;
	size_t at;
	long writes_left; /* before one fails; negative: none fails */
	size_t writes;
	size_t error_at;  /* reading fails from here on; 0: it does not */
};

static bool stream_write(void *context, const void *bytes, size_t size)
{
	struct stream *stream = context;

	stream->writes++;
	if (stream->writes_left == 0)
		return false;
	stream->writes_left -= stream->writes_left > 0;
	assert_true(size <= BLOCK_MOST);
	buffer_append(&stream->bytes, bytes, size);
	return true;
}

static ssize_t stream_read(void *context, void *bytes, size_t size)
{
	struct stream *stream = context;
	size_t left = stream->bytes.size - stream->at, part = size < left ? size : left;

	if (stream->error_at != 0 && stream->at + part > stream->error_at)
		return -EIO;
	memcpy(bytes, stream->bytes.data + stream->at, part);
	stream->at += part;
	return (ssize_t)part;
}

static const struct snapshot_head told = { .history = 0x5678, .incarnation = 3, .round = 77, .written_us = 123456,
					   .segment_bytes = 1 << 20 };

static bool write_core(struct core *core, struct stream *to)
{
	const struct snapshot_sink sink = { .context = to, .write = stream_write };

	return snapshot_write(core, &told, &sink);
}

/* The bytes of a core: to be freed. Memory for them is there before, so that nothing is allocated. */
static struct stream snapshot_of(struct core *core)
{
	struct stream stream = { .writes_left = -1 };

	assert_true(buffer_reserve(&stream.bytes, 4 << 20));
	scarce_begin(0, true);
	bool written = write_core(core, &stream);
	assert_int_equal(scarce_end(), 0);
	assert_true(written);
	return stream;
}

static char why[512];
static struct snapshot_head head;

static bool read_stream(struct stream *stream, struct core *core)
{
	const struct snapshot_source source = { .context = stream, .read = stream_read };

	stream->at = 0;
	why[0] = '\0';
	return snapshot_read(&source, &head, core, NULL, NULL, why, sizeof why);
}

static struct core *core_of(const struct rig *rig)
{
	return service_core(rig->service);
}

static void assert_reads(struct stream *stream, struct core *core)
{
	if (!read_stream(stream, core))
		fail_msg("refused: %s", why);
}

/* Neither looked at nor restored. */
static void assert_refused(struct stream *stream, const char *words)
{
	assert_false(read_stream(stream, NULL));
	if (strstr(why, words) == NULL)
		fail_msg("'%s' is not in '%s'", words, why);
	struct rig *rig = rig_new();
	assert_true(rig_start(rig, &table_behaviour, 3));
	assert_false(read_stream(stream, core_of(rig)));
	assert_non_null(strstr(why, words));
	rig_free(rig);
}

static void assert_same_bytes(const struct stream *a, const struct stream *b)
{
	assert_int_equal(a->bytes.size, b->bytes.size);
	assert_memory_equal(a->bytes.data, b->bytes.data, a->bytes.size);
}

/* A rig on what a stream tells: to be freed. */
static struct rig *rig_on(struct stream *stream, const struct rig *limits_of)
{
	struct rig *rig = rig_new();

	rig->limits = limits_of->limits;
	rig->now_ns = limits_of->now_ns;
	rig->wall_us = limits_of->wall_us;
	assert_true(rig_start(rig, &table_behaviour, 0xabcdef));
	assert_reads(stream, core_of(rig));
	return rig;
}

/* ---- a rich state ---- */

static const struct caller carol = { .uid = 1002, .gid = 77, .pid = 4000, .known = true, .born = 0x1122334455667788 };
static const struct caller relayed = { .uid = 0, .known = false };

enum { A = 1, B, C, D, E, F, CONNECTIONS };

struct rich {
	struct rig *rig;
	uint64_t sessions[CONNECTIONS], next[CONNECTIONS];
};

/* The next command of a session: operations follow, and nothing is acknowledged. */
static void command(struct rich *rich, int who)
{
	rig_by(rich->rig, who == D ? &carol : &alice, (uint64_t)who);
	rig_command(rich->rig, rich->sessions[who], ++rich->next[who]);
}

static const struct answer *done(struct rich *rich, enum code code)
{
	rig_round(rich->rig);
	rig_is(rich->rig, 0, ITEM_RUN, code);
	return rig_answer(rich->rig, 0);
}

static void put(struct rich *rich, int who, const char *key, struct value value)
{
	command(rich, who);
	rig_put(rich->rig, key, value);
	done(rich, CODE_OK);
}

static void lock(struct rich *rich, int who, const char *name, enum code code)
{
	command(rich, who);
	rig_lock(rich->rig, name);
	done(rich, code);
}

static void put_for(struct rich *rich, int who, uint16_t operation, const char *key, int64_t ms)
{
	const struct value arguments[] = { value_text(key), value_integer(7), value_integer(ms) };

	command(rich, who);
	rig_operation(rich->rig, operation, arguments, operation == 12 ? 3 : 2);
	done(rich, CODE_OK);
}

static void end_session(struct rich *rich, int who)
{
	rig_by(rich->rig, &alice, (uint64_t)who);
	rig_item(rich->rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = rich->sessions[who] });
	rig_round(rich->rig);
	rig_is(rich->rig, 0, ITEM_GOODBYE, CODE_OK);
	rich->sessions[who] = 0;
}

/* Locks held and waited for, entries that expire and that are bound, more replies than may be kept, late answers that
 * were not fetched, a refusal, a session whose replies are acknowledged in part, sessions that have ended. */
static void rich_make(struct rich *rich)
{
	struct rig *rig = rich->rig = rig_new();

	rig->limits.session_replies_bytes = 4096;
	rig->limits.events_bytes = 16 * KIB;
	assert_true(rig_start(rig, &table_behaviour, 1));
	for (int who = A; who <= F; who++)
		rich->sessions[who] = rig_session_by(rig, who == D ? &carol : &alice, (uint64_t)who);
	rig_session_by(rig, &relayed, 50);
	put(rich, A, "", value_integer(INT64_MIN));
	put(rich, A, "bytes", value_bytes("\0\xff", 2));
	put(rich, A, "empty", value_bytes("", 0));
	put(rich, B, "large", *rig_big(200 * KIB));
	put(rich, B, "gone", value_integer(1));
	command(rich, B);
	rig_delete(rig, "gone");
	done(rich, CODE_OK);
	put_for(rich, A, 12, "brief", 1000);
	put_for(rich, B, 12, "longer", 100000);
	put_for(rich, C, 15, "bound", 0);
	command(rich, A);
	rig_cas(rig, "bytes", value_integer(1), value_integer(2));
	done(rich, CODE_CONFLICT);
	for (int i = 0; i < 5; i++) { /* 5 replies of 1500 bytes: those of the first are dropped */
		put(rich, A, "medium", *rig_big(1500));
		command(rich, A);
		rig_get(rig, "medium");
		done(rich, CODE_OK);
	}
	lock(rich, A, "one", CODE_OK);
	lock(rich, A, "two", CODE_OK);
	lock(rich, B, "one", CODE_WAITING);
	lock(rich, C, "one", CODE_WAITING);
	lock(rich, C, "two", CODE_WAITING);
	lock(rich, B, "two", CODE_WAITING);
	command(rich, A);
	rig_unlock(rig, "two"); /* C's, and not fetched */
	done(rich, CODE_OK);
	put(rich, C, "behind", value_integer(3));
	for (int i = 0; i < 400; i++) { /* more events than the ring has room for */
		rig_by(rig, &alice, E);
		rig_item(rig, &(struct request_header){ .kind = ITEM_RUN, .session = rich->sessions[E],
							.sequence = ++rich->next[E], .window = 3 });
		rig_add(rig, "sum", i);
		rig_add(rig, "other", -i);
		done(rich, CODE_OK);
	}
	uint64_t gone;
	uint32_t index = 0;
	for (int i = 0; index == 0; i++) { /* until the ring begins in the middle of a revision */
		assert_true(i < 100);
		put(rich, D, "d", value_integer(i));
		events_gone(core_events(core_of(rig)), &gone, &index);
	}
	end_session(rich, F);
	rich->sessions[F] = rig_session_by(rig, &alice, 20 + F);
	end_session(rich, F); /* the last id that was given out is nobody's */
	assert_sound(rig);
}

static void rich_free(struct rich *rich)
{
	rig_free(rich->rig);
}

/* What the last round was answered. */
static void assert_same_answers(const struct rig *a, const struct rig *b)
{
	assert_int_equal(a->answer_count, b->answer_count);
	for (size_t i = 0; i < a->answer_count; i++) {
		const struct answer *x = &a->answers[i], *y = &b->answers[i];
		assert_memory_equal(&x->header, &y->header, sizeof x->header);
		assert_int_equal(x->payload.left, y->payload.left);
		assert_memory_equal(x->payload.at, y->payload.at, x->payload.left);
	}
}

static void assert_same_state(const struct rig *a, const struct rig *b)
{
	struct stream x = snapshot_of(core_of(a)), y = snapshot_of(core_of(b));

	assert_int_equal(rig_digest(a), rig_digest(b));
	assert_same_bytes(&x, &y);
	buffer_clear(&x.bytes);
	buffer_clear(&y.bytes);
}

static void a_state_that_was_restored_is_the_same_to_the_last_bit(void **state)
{
	struct rich rich = { 0 };
	(void)state;

	rich_make(&rich);
	struct stream stream = snapshot_of(core_of(rich.rig));
	struct rig *again = rig_on(&stream, rich.rig);
	assert_same_state(rich.rig, again);
	assert_sound(again);
	assert_int_equal(rig_revision(again), rig_revision(rich.rig));
	assert_int_equal(store_bytes(core_store(core_of(again))), store_bytes(core_store(core_of(rich.rig))));
	assert_int_equal(events_bytes(core_events(core_of(again))), events_bytes(core_events(core_of(rich.rig))));
	/* Who opened a session, beyond what equal bytes show. */
	const struct session *opened = sessions_find(core_sessions(core_of(again)), rich.sessions[D]);
	assert_non_null(opened);
	assert_int_equal(opened->opener.uid, carol.uid);
	assert_int_equal(opened->opener.gid, carol.gid);
	assert_int_equal(opened->opener.pid, carol.pid);
	assert_int_equal(opened->opener.born, carol.born);
	assert_true(opened->opener.known);
	assert_int_equal(head.history, told.history);
	assert_int_equal(head.incarnation, told.incarnation);
	assert_int_equal(head.round, told.round);
	assert_int_equal(head.written_us, told.written_us);
	assert_int_equal(head.segment_bytes, told.segment_bytes);
	assert_int_equal(head.revision, rig_revision(rich.rig));
	assert_int_equal(head.version, table_behaviour.version);
	assert_string_equal(head.behaviour, "table");
	assert_int_equal(head.sessions, 6);
	assert_int_equal(head.digest, rig_digest(rich.rig));

	/* The head alone tells the same. */
	struct snapshot_head alone;
	const struct snapshot_source source = { .context = &stream, .read = stream_read };
	stream.at = 0;
	assert_true(snapshot_read_head(&source, &alone, why, sizeof why));
	assert_memory_equal(&alone, &head, sizeof alone);
	rig_free(again);
	buffer_clear(&stream.bytes);
	rich_free(&rich);
}

static void retry(struct rig *rig, int who, uint64_t session, uint64_t sequence)
{
	rig_by(rig, who == D ? &carol : &alice, (uint64_t)who);
	rig_command(rig, session, sequence);
	rig_add(rig, "not to be run", 1);
	rig_round(rig);
}

static void every_retry_is_answered_as_before(void **state)
{
	struct rich rich = { 0 };
	unsigned repeated = 0, forgotten = 0, waiting = 0;
	(void)state;

	rich_make(&rich);
	struct stream stream = snapshot_of(core_of(rich.rig));
	struct rig *again = rig_on(&stream, rich.rig);
	for (int who = A; who < F; who++)
		for (uint64_t sequence = 1; sequence <= rich.next[who]; sequence++) {
			retry(rich.rig, who, rich.sessions[who], sequence);
			retry(again, who, rich.sessions[who], sequence);
			assert_same_answers(rich.rig, again);
			enum code code = (enum code)again->answers[0].header.code;
			forgotten += code == CODE_REPLY_FORGOTTEN;
			waiting += code == CODE_WAITING;
			repeated += code != CODE_REPLY_FORGOTTEN && code != CODE_WAITING;
		}
	printf("# %u repeated, %u forgotten, %u waiting\n", repeated, forgotten, waiting);
	assert_true(repeated > 10);
	assert_true(forgotten > 300); /* acknowledged, or trimmed */
	assert_int_equal(waiting, 3);
	/* Until when they may wait is for their clients to say again. */
	struct session *session = sessions_find(core_sessions(core_of(again)), rich.sessions[B]);
	uint64_t sequence = session_first_waiting(session);
	int64_t next_ns = INT64_MAX;
	assert_int_not_equal(sequence, 0);
	assert_int_equal(session_overdue(session, INT64_MAX - 1, &next_ns), 0);
	session_limit_wait(session, sequence, 5);
	assert_int_equal(session_overdue(session, 10, &next_ns), sequence);
	assert_int_equal(rig_look(again, "not to be run"), INT64_MIN);
	assert_same_state(rich.rig, again);
	rig_free(again);
	buffer_clear(&stream.bytes);
	rich_free(&rich);
}

/* What happens to a state from then on: the same to both. */
static void go_on(struct rig *rig, struct bench_outlet *outlet, const struct rich *rich)
{
	uint64_t next_a = rich->next[A], next_d = rich->next[D];

	rig_by(rig, &alice, B); /* it is where its answers are sent to */
	rig_command(rig, rich->sessions[B], 1);
	rig_add(rig, "retry", 1);
	rig_by(rig, &alice, A);
	rig_command(rig, rich->sessions[A], ++next_a);
	rig_unlock(rig, "one"); /* to B */
	rig_round(rig);
	outlet_deliver(outlet, rig);
	rig_by(rig, &carol, D);
	rig_command(rig, rich->sessions[D], ++next_d);
	rig_lock(rig, "three"); /* a token */
	rig_command(rig, rich->sessions[D], ++next_d + 1); /* out of order */
	rig_add(rig, "x", 1);
	rig_round(rig);
	rig->wall_us += 2000000; /* "brief" goes */
	rig_by(rig, &alice, A);
	rig_simple(rig, ITEM_PING);
	rig_round(rig);
	rig_by(rig, &alice, C); /* what is bound to it goes; what it holds is let go, and B's */
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = rich->sessions[C] });
	rig_round(rig);
	outlet_deliver(outlet, rig);
	rig_by(rig, &alice, A);
	rig_command(rig, rich->sessions[A], ++next_a);
	rig_add(rig, "sum", 1);
	rig_add(rig, "other", 1);
	for (int i = 0; i < 2; i++) { /* older replies go for these */
		rig_command(rig, rich->sessions[A], ++next_a);
		rig_get(rig, "medium");
	}
	rig_round(rig);
}

static void what_happens_then_is_the_same(void **state)
{
	struct rich rich = { 0 };
	struct bench_outlet *one = outlet_new(), *two = outlet_new();
	(void)state;

	rich_make(&rich);
	struct stream stream = snapshot_of(core_of(rich.rig));
	struct rig *again = rig_on(&stream, rich.rig);
	outlet_deliver(one, rich.rig);
	outlet_clear(one);
	go_on(rich.rig, one, &rich);
	go_on(again, two, &rich);
	assert_same_answers(rich.rig, again);
	assert_true(two->count >= 2);
	assert_int_equal(one->count, two->count);
	for (size_t i = 0; i < one->count; i++) {
		assert_memory_equal(&one->notices[i].header, &two->notices[i].header, sizeof one->notices[i].header);
		assert_int_equal(one->notices[i].payload.left, two->notices[i].payload.left);
		assert_memory_equal(one->notices[i].payload.at, two->notices[i].payload.at,
				    one->notices[i].payload.left);
	}
	assert_int_equal(rig_look(again, "brief"), INT64_MIN);
	assert_int_equal(rig_look(again, "bound"), INT64_MIN);
	assert_same_state(rich.rig, again);

	/* Ids are made of a count that went on; which of the free slots they name is not part of the state. */
	uint64_t id = rig_session(rich.rig, &alice, 99), id_again = rig_session(again, &alice, 99);
	assert_int_equal(id >> SESSION_SLOT_BITS, id_again >> SESSION_SLOT_BITS);
	assert_true(id >> SESSION_SLOT_BITS > rich.sessions[E] >> SESSION_SLOT_BITS);
	outlet_free(one);
	outlet_free(two);
	rig_free(again);
	buffer_clear(&stream.bytes);
	rich_free(&rich);
}

/* ---- events ---- */

static void assert_same_events(const struct events *a, uint64_t place_a, const struct events *b, uint64_t place_b)
{
	while (place_a < events_next(a)) {
		assert_true(place_b < events_next(b));
		struct event x = events_get(a, place_a), y = events_get(b, place_b);
		assert_int_equal(x.revision, y.revision);
		assert_int_equal(x.index, y.index);
		assert_true(value_equal(&x.kind, &y.kind) && value_equal(&x.key, &y.key) && value_equal(&x.value, &y.value));
		place_a = x.next;
		place_b = y.next;
	}
	assert_int_equal(place_b, events_next(b));
}

static void events_are_watched_from_the_same_places(void **state)
{
	struct rich rich = { 0 };
	unsigned found = 0, late = 0;
	(void)state;

	rich_make(&rich);
	struct stream stream = snapshot_of(core_of(rich.rig));
	struct rig *again = rig_on(&stream, rich.rig);
	const struct events *a = core_events(core_of(rich.rig)), *b = core_events(core_of(again));
	for (uint64_t revision = 0; revision <= rig_revision(again) + 1; revision++)
		for (uint32_t index = 0; index < 3; index++) {
			uint64_t from_a = revision, from_b = revision, place_a, place_b;
			bool there = events_seek(a, &from_a, index, &place_a);
			assert_int_equal(events_seek(b, &from_b, index, &place_b), there);
			assert_int_equal(from_a, from_b);
			if (there)
				assert_same_events(a, place_a, b, place_b);
			found += there;
			late += !there;
		}
	assert_true(found > 100);
	assert_true(late > 100);
	rig_free(again);
	buffer_clear(&stream.bytes);
	rich_free(&rich);
}

static void a_smaller_ring_keeps_the_newest_events_and_tells_what_is_gone(void **state)
{
	struct rich rich = { 0 };
	(void)state;

	rich_make(&rich);
	struct stream stream = snapshot_of(core_of(rich.rig));
	rich.rig->limits.events_bytes = 4096;
	struct rig *again = rig_on(&stream, rich.rig);
	const struct events *a = core_events(core_of(rich.rig)), *b = core_events(core_of(again));
	uint64_t first = events_get(b, events_first(b)).revision, place;
	assert_true(events_bytes(b) <= 4096 && events_bytes(b) > 3000);
	assert_true(events_seek(a, &(uint64_t){ first + 1 }, 0, &place));
	uint64_t from = first + 1, place_b;
	assert_true(events_seek(b, &from, 0, &place_b));
	assert_same_events(a, place, b, place_b);
	from = first - 1;
	assert_false(events_seek(b, &from, 0, &place_b));
	assert_true(from == first || from == first + 1);
	/* A larger one keeps them all. */
	rig_free(again);
	rich.rig->limits.events_bytes = 1 << 20;
	again = rig_on(&stream, rich.rig);
	assert_same_state(rich.rig, again);
	rig_free(again);
	buffer_clear(&stream.bytes);
	rich_free(&rich);
}

static void limits_of_now_do_not_keep_what_is_there_out(void **state)
{
	struct rich rich = { 0 };
	(void)state;

	rich_make(&rich);
	struct stream stream = snapshot_of(core_of(rich.rig));
	struct limits limits = rich.rig->limits;
	rich.rig->limits.entries = 1;
	rich.rig->limits.state_bytes = 4096;
	rich.rig->limits.sessions = 1;
	rich.rig->limits.session_replies_bytes = 16;
	rich.rig->limits.value_bytes = 1;
	rich.rig->limits.key_bytes = 1;
	struct rig *again = rig_on(&stream, rich.rig);
	rich.rig->limits = limits;
	assert_same_state(rich.rig, again);
	/* They hold for what comes. */
	rig_by(again, &alice, A);
	rig_open(again, 77, 0);
	rig_round(again);
	rig_is(again, 0, ITEM_OPEN, CODE_BUSY);
	rig_free(again);
	buffer_clear(&stream.bytes);
	rich_free(&rich);
}

/* ---- equal states ---- */

static void the_bytes_do_not_tell_how_a_state_came_about(void **state)
{
	struct rig *rig = *state;
	struct rig *other = rig_new();

	assert_true(rig_start(other, &table_behaviour, 0xfeed));
	struct store *stores[] = { core_store(core_of(rig)), core_store(core_of(other)) };
	for (int i = 0; i < 1000; i++)
		for (int side = 0; side < 2; side++) {
			char key[16];
			struct value value = value_integer(i);
			int number = side == 0 ? i : 999 - i;
			snprintf(key, sizeof key, "%d", number);
			value = value_integer(number);
			store_set_revision(stores[side], 0);
			assert_int_equal(map_put(store_map(stores[side], "table"), key, strlen(key), &value), CODE_OK);
		}
	/* One has had more, and has a map that holds nothing. */
	struct value one = value_integer(1);
	assert_int_equal(map_put(store_map(stores[1], "a"), "k", 1, &one), CODE_OK);
	store_commit(stores[1]);
	assert_int_equal(map_remove(store_map(stores[1], "a"), "k", 1, NULL), CODE_OK);
	store_commit(stores[0]);
	store_commit(stores[1]);
	assert_same_state(rig, other);
	rig_free(other);
}

/* ---- maps that are not asked for, and other versions ---- */

struct pair {
	struct sole_map *left, *right;
};

static int nothing(struct sole_call *call)
{
	(void)call;
	return SOLE_OK;
}

static void *create_first(struct sole_store *store)
{
	struct pair *pair = calloc(1, sizeof *pair);

	if (pair != NULL)
		*pair = (struct pair){ sole_store_map(store, "left"), sole_store_map(store, "right") };
	return pair;
}

static void *create_second(struct sole_store *store)
{
	struct pair *pair = calloc(1, sizeof *pair);

	if (pair != NULL)
		*pair = (struct pair){ sole_store_map(store, "both"), NULL };
	return pair;
}

static int take_over(struct sole_call *call, unsigned from_version)
{
	struct pair *pair = sole_call_context(call);
	struct sole_map *left = sole_store_map(sole_call_store(call), "left");
	struct sole_value key = sole_none(), value;

	if (from_version != 1)
		return sole_refuse(call, SOLE_INVALID, "not from %u", from_version);
	if (sole_map_get(left, sole_text("refuse"), &value))
		return sole_refuse(call, SOLE_INVALID, "it says refuse");
	while (sole_map_seek(left, sole_none(), 0, &key, &value)) {
		sole_map_put(pair->left, key, value);
		sole_map_remove(left, key);
		for (int i = 0; i < 3; i++)
			if (sole_checkpoint(call) != SOLE_OK)
				return SOLE_TOO_LARGE;
	}
	return SOLE_OK;
}

static const struct sole_operation_entry no_operations[] = {
	{ 1, SOLE_IS_QUERY, "nothing", "does nothing", { { 0 } }, { { 0 } }, nothing },
};
static const struct sole_behaviour first_pair = { .abi = SOLE_BEHAVIOUR_ABI, .name = "pair", .version = 1,
						  .operations = no_operations, .operation_count = 1,
						  .create = create_first, .destroy = free };
static const struct sole_behaviour second_pair = { .abi = SOLE_BEHAVIOUR_ABI, .name = "pair", .version = 2,
						   .operations = no_operations, .operation_count = 1,
						   .create = create_second, .destroy = free, .migrate = take_over };

static struct rig *rig_of(const struct sole_behaviour *behaviour)
{
	struct rig *rig = rig_new();

	rig->limits.checkpoints = 1;
	assert_true(rig_start(rig, behaviour, 1));
	return rig;
}

static void put_into(struct rig *rig, const char *map, const char *key, int64_t integer)
{
	const struct value value = value_integer(integer);

	assert_int_equal(map_put(store_map(core_store(core_of(rig)), map), key, strlen(key), &value), CODE_OK);
	store_commit(core_store(core_of(rig)));
}

static int64_t look_into(struct rig *rig, const char *map, const char *key)
{
	const struct value *value = map_get(store_map(core_store(core_of(rig)), map), key, strlen(key));

	return value != NULL ? value->integer : -1;
}

static bool holds(const struct stream *stream, const char *text)
{
	return memmem(stream->bytes.data, stream->bytes.size, text, strlen(text)) != NULL;
}

static void an_older_version_is_taken_over_with_the_maps_that_it_alone_had(void **state)
{
	struct rig *first = rig_of(&first_pair);
	(void)state;

	put_into(first, "left", "a", 1);
	put_into(first, "left", "b", 2);
	put_into(first, "right", "c", 3);
	struct stream stream = snapshot_of(core_of(first));
	assert_true(holds(&stream, "left") && holds(&stream, "right"));

	struct rig *second = rig_of(&second_pair);
	assert_reads(&stream, core_of(second));
	assert_int_equal(head.version, 1);
	assert_int_equal(rig_digest(second), rig_digest(first));
	uint64_t revision = rig_revision(second);
	assert_int_equal(core_migrate(core_of(second), head.version, why, sizeof why), CODE_OK);
	assert_int_equal(rig_revision(second), revision + 1);
	assert_int_equal(look_into(second, "both", "a"), 1);
	assert_int_equal(look_into(second, "both", "b"), 2);
	assert_int_equal(look_into(second, "left", "a"), -1);
	/* What is emptied is gone from the next; what nobody has touched is not. */
	struct stream after = snapshot_of(core_of(second));
	assert_false(holds(&after, "left"));
	assert_true(holds(&after, "both") && holds(&after, "right"));
	struct rig *third = rig_of(&second_pair);
	assert_reads(&after, core_of(third));
	assert_int_equal(head.version, 2);
	assert_int_equal(look_into(third, "right", "c"), 3);
	assert_same_state(second, third);
	buffer_clear(&stream.bytes);
	buffer_clear(&after.bytes);
	rig_free(first);
	rig_free(second);
	rig_free(third);
}

static void what_a_migration_refuses_is_undone_and_told(void **state)
{
	struct rig *first = rig_of(&first_pair), *second = rig_of(&second_pair), *third = rig_of(&first_pair);
	(void)state;

	put_into(first, "left", "refuse", 1);
	struct stream stream = snapshot_of(core_of(first));
	assert_reads(&stream, core_of(second));
	assert_int_equal(core_migrate(core_of(second), 1, why, sizeof why), CODE_INVALID);
	assert_string_equal(why, "it says refuse");
	assert_int_equal(rig_digest(second), rig_digest(first));
	assert_int_equal(rig_revision(second), rig_revision(first));
	/* One without the function takes no other version. */
	assert_reads(&stream, core_of(third));
	assert_int_equal(core_migrate(core_of(third), 0, why, sizeof why), CODE_INVALID);
	assert_non_null(strstr(why, "version"));
	buffer_clear(&stream.bytes);
	rig_free(first);
	rig_free(second);
	rig_free(third);
}

static void a_state_of_another_behaviour_is_refused_by_name(void **state)
{
	struct rig *rig = *state, *other = rig_of(&first_pair);

	struct stream stream = snapshot_of(core_of(other));
	assert_false(read_stream(&stream, core_of(rig)));
	assert_string_equal(why, "the state is of the behaviour 'pair', and this is 'table'");
	buffer_clear(&stream.bytes);
	rig_free(other);
}

/* As many maps as the old version and the new one can have together, and no more. */
static void maps_of_two_versions_have_room_beside_each_other(void **state)
{
	struct rig *first = rig_of(&first_pair), *second = rig_of(&second_pair);
	(void)state;

	for (int i = 2; i < STORE_MAPS_MAX; i++) {
		char name[16];
		snprintf(name, sizeof name, "old %d", i);
		put_into(first, name, "k", i);
		snprintf(name, sizeof name, "new %d", i);
		assert_non_null(store_map(core_store(core_of(second)), name));
	}
	put_into(first, "left", "k", 1);
	put_into(first, "right", "k", 2);
	assert_null(store_map(core_store(core_of(first)), "one more"));
	struct stream stream = snapshot_of(core_of(first));
	assert_reads(&stream, core_of(second));
	assert_int_equal(rig_digest(first), rig_digest(second));
	buffer_clear(&stream.bytes);
	rig_free(first);
	rig_free(second);
}

/* ---- bytes that are not a snapshot ---- */

/* A small one, with something of everything. */
static struct stream small_snapshot(void)
{
	struct rich rich = { .rig = rig_new() };

	rich.rig->limits.session_replies_bytes = 40;
	assert_true(rig_start(rich.rig, &table_behaviour, 1));
	rich.sessions[A] = rig_session_by(rich.rig, &alice, A);
	rich.sessions[B] = rig_session_by(rich.rig, &alice, B);
	put(&rich, A, "k", value_bytes("value", 5));
	put_for(&rich, A, 12, "brief", 1000);
	lock(&rich, A, "l", CODE_OK);
	lock(&rich, A, "m", CODE_OK);
	lock(&rich, B, "l", CODE_WAITING);
	lock(&rich, B, "m", CODE_WAITING);
	command(&rich, A);
	rig_unlock(rich.rig, "l");
	done(&rich, CODE_OK);
	struct stream stream = snapshot_of(core_of(rich.rig));
	assert_true(stream.bytes.size < 4096);
	rich_free(&rich);
	return stream;
}

static void no_bit_can_be_changed(void **state)
{
	struct stream stream = small_snapshot();
	(void)state;

	assert_reads(&stream, NULL);
	for (size_t i = 0; i < stream.bytes.size; i++)
		for (int bit = 0; bit < 8; bit++) {
			stream.bytes.data[i] ^= (uint8_t)(1 << bit);
			if (read_stream(&stream, NULL))
				fail_msg("bit %d of byte %zu", bit, i);
			assert_non_null(strstr(why, "byte "));
			stream.bytes.data[i] ^= (uint8_t)(1 << bit);
		}
	for (size_t i = 0; i < stream.bytes.size; i++) {
		stream.bytes.data[i] ^= 0xff;
		assert_refused(&stream, "byte ");
		stream.bytes.data[i] ^= 0xff;
	}
	assert_reads(&stream, NULL);
	buffer_clear(&stream.bytes);
}

static void no_byte_can_be_missing_or_too_many(void **state)
{
	struct stream stream = small_snapshot();
	size_t size = stream.bytes.size;
	(void)state;

	for (stream.bytes.size = 0; stream.bytes.size < size; stream.bytes.size++)
		assert_refused(&stream, "not complete");
	buffer_u8(&stream.bytes, 0);
	assert_refused(&stream, "bytes follow behind the end");
	stream.bytes.size = size;
	stream.error_at = size / 2;
	assert_refused(&stream, "cannot be read: Input/output error");
	buffer_clear(&stream.bytes);
}

/* Where each block begins, and at the end where the last ends. Returns how many there are. */
static size_t blocks_of(const struct stream *stream, size_t *starts, size_t room)
{
	size_t count = 0, at = 0;

	for (; at < stream->bytes.size; count++) {
		assert_true(count + 1 < room);
		starts[count] = at;
		at += BLOCK_HEADER + (size_t)(stream->bytes.data[at + 6] | stream->bytes.data[at + 7] << 8);
	}
	assert_int_equal(at, stream->bytes.size);
	starts[count] = at;
	return count;
}

static void no_block_can_be_moved_doubled_or_left_out(void **state)
{
	struct rich rich = { 0 };
	size_t starts[16];
	(void)state;

	rich_make(&rich);
	struct stream stream = snapshot_of(core_of(rich.rig)), changed = { .writes_left = -1 }, other;
	size_t count = blocks_of(&stream, starts, 16);
	assert_true(count >= 5);
	for (size_t i = 0; i < count; i++)
		for (size_t put_at = 0; put_at <= count; put_at++)
			for (int keep = 0; keep < 2; keep++) {
				buffer_reset(&changed.bytes);
				for (size_t j = 0; j <= count; j++) {
					if (j == put_at)
						buffer_append(&changed.bytes, stream.bytes.data + starts[i],
							      starts[i + 1] - starts[i]);
					if (j < count && (j != i || keep))
						buffer_append(&changed.bytes, stream.bytes.data + starts[j],
							      starts[j + 1] - starts[j]);
				}
				if (!keep && (put_at == i || put_at == i + 1))
					assert_reads(&changed, NULL);
				else
					assert_false(read_stream(&changed, NULL));
			}
	/* A block of another snapshot in the place of one's own. */
	put(&rich, C, "large too", *rig_big(1));
	other = snapshot_of(core_of(rich.rig));
	memcpy(stream.bytes.data + starts[2], other.bytes.data + starts[2], starts[3] - starts[2]);
	assert_refused(&stream, "checksum");
	buffer_clear(&stream.bytes);
	buffer_clear(&other.bytes);
	buffer_clear(&changed.bytes);
	rich_free(&rich);
}

/* Makes the checksums right for what the blocks carry now. */
static void seal(struct stream *stream)
{
	size_t starts[16], count = blocks_of(stream, starts, 16);
	uint32_t crc = 0;

	for (size_t i = 0; i < count; i++) {
		uint8_t *block = stream->bytes.data + starts[i];
		crc = ~crc32_iscsi(block, 12, ~crc);
		crc = ~crc32_iscsi(block + BLOCK_HEADER, (int)(starts[i + 1] - starts[i] - BLOCK_HEADER), ~crc);
		for (int j = 0; j < 4; j++)
			block[12 + j] = (uint8_t)(crc >> (8 * j));
	}
}

/* Every byte of what the blocks carry, changed by somebody who can make checksums: refused, or a state that can be written
 * and read again. */
static void what_is_sealed_but_not_sound_harms_nobody(void **state)
{
	struct stream stream = small_snapshot();
	static const uint8_t changes[] = { 1, 0x80, 0xff };
	size_t starts[16], count = blocks_of(&stream, starts, 16);
	unsigned refused = 0, taken = 0;
	(void)state;

	for (size_t block = 0; block < count; block++)
		for (size_t i = starts[block] + BLOCK_HEADER; i < starts[block + 1]; i++)
			for (size_t c = 0; c < sizeof changes; c++) {
				struct rig *rig = rig_new();
				rig->limits.events_bytes = 4096;
				assert_true(rig_start(rig, &table_behaviour, 1));
				stream.bytes.data[i] ^= changes[c];
				seal(&stream);
				if (read_stream(&stream, core_of(rig))) {
					struct stream again = snapshot_of(core_of(rig));
					assert_reads(&again, NULL);
					buffer_clear(&again.bytes);
					taken++;
				} else {
					assert_int_not_equal(why[0], '\0');
					refused++;
				}
				stream.bytes.data[i] ^= changes[c];
				rig_free(rig);
			}
	seal(&stream);
	assert_reads(&stream, NULL);
	printf("# %u refused, %u taken\n", refused, taken);
	assert_true(refused > taken);
	buffer_clear(&stream.bytes);
}

/* ---- forged by somebody who knows how ---- */

struct forgery {
	struct snapshot_head head;
	struct buffer body;
	uint64_t events;
	long more_entries, more_sessions, more_events, more_bytes; /* than there are, says the end */
};

static void forge_map(struct forgery *f, const char *name, size_t name_size, uint64_t count)
{
	buffer_u8(&f->body, (uint8_t)name_size);
	buffer_append(&f->body, name, name_size);
	buffer_u64(&f->body, count);
}

static void forge_entry(struct forgery *f, const char *map, const char *key, size_t key_size, uint64_t revision)
{
	const struct value value = value_integer(1);

	buffer_u16(&f->body, (uint16_t)key_size);
	buffer_append(&f->body, key, key_size);
	buffer_u64(&f->body, revision);
	buffer_u8(&f->body, VALUE_INTEGER);
	buffer_u64(&f->body, 1);
	f->head.entries++;
	f->head.digest += store_digest_entry(map, key, key_size, &value);
}

/* Up to where its replies begin. */
static void forge_session(struct forgery *f, uint64_t id, uint8_t nonce, uint64_t oldest, uint64_t last)
{
	buffer_u64(&f->body, id);
	for (int i = 0; i < PROTOCOL_NONCE_BYTES; i++)
		buffer_u8(&f->body, nonce);
	for (int i = 0; i < 3; i++)
		buffer_u32(&f->body, 1000);
	buffer_u8(&f->body, 1);
	buffer_u64(&f->body, 0);
	buffer_u32(&f->body, 10000);
	buffer_u64(&f->body, oldest);
	buffer_u64(&f->body, last);
	f->head.sessions++;
}

static void forge_reply(struct forgery *f, uint64_t revision, uint8_t kept, uint32_t size)
{
	buffer_u16(&f->body, CODE_OK);
	buffer_u64(&f->body, revision);
	buffer_u8(&f->body, kept);
	if (kept == 0)
		return;
	buffer_u32(&f->body, size);
	for (uint32_t i = 0; i < size && i < 64; i++)
		buffer_u8(&f->body, 0);
}

static void forge_parked(struct forgery *f, uint64_t sequence, uint8_t waiting)
{
	buffer_u64(&f->body, sequence);
	buffer_u8(&f->body, waiting);
}

static void forge_event(struct forgery *f, uint64_t revision, uint32_t index, const struct value *kind, size_t extra)
{
	struct buffer values = { 0 };
	const struct value key = value_text("k"), none = value_none();

	wire_write_value(&values, kind);
	wire_write_value(&values, &key);
	wire_write_value(&values, &none);
	for (size_t i = 0; i < extra; i++)
		buffer_u8(&values, 0);
	buffer_u64(&f->body, revision);
	buffer_u32(&f->body, index);
	buffer_u32(&f->body, (uint32_t)values.size);
	buffer_append(&f->body, values.data, values.size);
	buffer_clear(&values);
	f->events++;
}

static void forge_block(struct stream *stream, uint16_t kind, const struct buffer *carried)
{
	size_t starts[16];
	size_t number = stream->bytes.size > 0 ? blocks_of(stream, starts, 16) : 0;

	buffer_append(&stream->bytes, "SNAP", 4);
	buffer_u16(&stream->bytes, kind);
	buffer_u16(&stream->bytes, (uint16_t)carried->size);
	buffer_u32(&stream->bytes, (uint32_t)number);
	buffer_u32(&stream->bytes, 0);
	buffer_append(&stream->bytes, carried->data, carried->size);
}

static void forge_head(const struct forgery *f, struct stream *stream)
{
	const struct snapshot_head *h = &f->head;
	const uint64_t numbers[] = { h->history, h->incarnation, h->round, h->revision, (uint64_t)h->time_us,
				     (uint64_t)h->written_us, (uint64_t)h->token, h->version, h->entries, h->sessions,
				     h->digest, h->segment_bytes, h->next_id };
	struct buffer carried = { 0 };

	buffer_u32(&carried, SNAPSHOT_FORMAT);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		buffer_u64(&carried, numbers[i]);
	buffer_u8(&carried, (uint8_t)strlen(h->behaviour));
	buffer_append(&carried, h->behaviour, strlen(h->behaviour));
	forge_block(stream, 1, &carried);
	buffer_clear(&carried);
}

static struct stream forge(const struct forgery *f)
{
	struct stream stream = { .writes_left = -1 };
	struct buffer end = { 0 };

	forge_head(f, &stream);
	forge_block(&stream, 2, &f->body);
	buffer_u64(&end, f->head.entries + (uint64_t)f->more_entries);
	buffer_u64(&end, f->head.sessions + (uint64_t)f->more_sessions);
	buffer_u64(&end, f->events + (uint64_t)f->more_events);
	buffer_u64(&end, f->body.size + (uint64_t)f->more_bytes);
	forge_block(&stream, 3, &end);
	seal(&stream);
	buffer_clear(&end);
	return stream;
}

/* Where a forgery departs from what is sound. */
enum lie {
	NO_LIE,
	KEY_TWICE, KEY_BELOW, KEY_TOO_LONG, ENTRY_OF_LATER, VALUE_OF_NO_TYPE,
	MAP_TWICE, MAP_BELOW, MAP_WITHOUT_ENTRIES, MAP_OF_MORE_ENTRIES, MAP_NAME_WITH_NUL, MAPS_TOO_MANY,
	DIGEST_OTHERWISE, ENTRIES_OTHERWISE,
	SESSIONS_OTHERWISE, SESSION_SLOT_TWICE, SESSION_SLOT_BELOW, SESSION_ID_TO_COME, SESSION_ID_NONE,
	WINDOW_FROM_0, WINDOW_BACKWARDS, WINDOW_TOO_LONG, WINDOW_AT_THE_END,
	REPLY_OF_LATER, REPLY_TOO_LONG, REPLY_FLAG,
	PARKED_TOO_MANY, PARKED_0, PARKED_TWICE, PARKED_BELOW, PARKED_TO_COME, PARKED_FLAG,
	EVENT_TWICE, EVENT_BELOW, EVENT_GONE, EVENT_OF_LATER, EVENT_KIND_NONE, EVENT_WITH_MORE, EVENTS_GONE_LATER,
	END_ENTRIES, END_SESSIONS, END_EVENTS, END_BYTES, BODY_GOES_ON,
	HEAD_REVISION, HEAD_TIME, HEAD_TOKEN, HEAD_NEXT_ID_0, HEAD_NEXT_ID,
	LIES,
};

static const char *const words[LIES] = {
	[KEY_TWICE] = "a key is not above", [KEY_BELOW] = "a key is not above", [KEY_TOO_LONG] = "a key is longer",
	[ENTRY_OF_LATER] = "an entry is of a revision", [VALUE_OF_NO_TYPE] = "a value of a type",
	[MAP_TWICE] = "the name of a map", [MAP_BELOW] = "the name of a map",
	[MAP_WITHOUT_ENTRIES] = "a number of entries", [MAP_OF_MORE_ENTRIES] = "a number of entries",
	[MAP_NAME_WITH_NUL] = "the name of a map", [MAPS_TOO_MANY] = "more maps",
	[DIGEST_OTHERWISE] = "the entries are not", [ENTRIES_OTHERWISE] = "the entries are not",
	[SESSIONS_OTHERWISE] = "the sessions are not as many", [SESSION_SLOT_TWICE] = "a session with an id",
	[SESSION_SLOT_BELOW] = "a session with an id", [SESSION_ID_TO_COME] = "a session with an id",
	[SESSION_ID_NONE] = "a session with an id", [WINDOW_FROM_0] = "a session with sequences",
	[WINDOW_BACKWARDS] = "a session with sequences", [WINDOW_TOO_LONG] = "a session with sequences",
	[WINDOW_AT_THE_END] = "a session with sequences", [REPLY_OF_LATER] = "a reply is of a revision",
	[REPLY_TOO_LONG] = "a reply is longer", [REPLY_FLAG] = "neither yes nor no",
	[PARKED_TOO_MANY] = "more parked requests", [PARKED_0] = "a parked request with a sequence",
	[PARKED_TWICE] = "a parked request with a sequence", [PARKED_BELOW] = "a parked request with a sequence",
	[PARKED_TO_COME] = "a parked request with a sequence", [PARKED_FLAG] = "neither yes nor no",
	[EVENT_TWICE] = "an event is not behind", [EVENT_BELOW] = "an event is not behind",
	[EVENT_GONE] = "an event is not behind", [EVENT_OF_LATER] = "an event is not behind",
	[EVENT_KIND_NONE] = "an event that cannot be", [EVENT_WITH_MORE] = "an event that cannot be",
	[EVENTS_GONE_LATER] = "an event of a revision", [END_ENTRIES] = "the end of the snapshot does not tell",
	[END_SESSIONS] = "the end of the snapshot does not tell", [END_EVENTS] = "the end of the snapshot does not tell",
	[END_BYTES] = "the end of the snapshot does not tell", [BODY_GOES_ON] = "more follows",
	[HEAD_REVISION] = "a number that cannot be", [HEAD_TIME] = "a number that cannot be",
	[HEAD_TOKEN] = "a number that cannot be", [HEAD_NEXT_ID_0] = "a number that cannot be",
	[HEAD_NEXT_ID] = "a number that cannot be",
};

static void forge_maps(struct forgery *f, enum lie lie)
{
	static const char long_key[STORE_KEY_MAX_BYTES + 1];

	buffer_u8(&f->body, lie == MAPS_TOO_MANY ? STORE_MAPS_ROOM + 1 : 2);
	forge_map(f, lie == MAP_NAME_WITH_NUL ? "tab\0e" : "table", 5, lie == MAP_OF_MORE_ENTRIES ? 4 : 2);
	forge_entry(f, "table", "b", 1, 1);
	forge_entry(f, "table", lie == KEY_TWICE ? "b" : lie == KEY_BELOW ? "a" : "c", 1, lie == ENTRY_OF_LATER ? 10 : 9);
	forge_map(f, lie == MAP_TWICE ? "table" : lie == MAP_BELOW ? "tabld" : "unasked", lie == MAP_TWICE || lie == MAP_BELOW ? 5 : 7,
		  lie == MAP_WITHOUT_ENTRIES ? 0 : 1);
	forge_entry(f, "unasked", long_key, lie == KEY_TOO_LONG ? sizeof long_key : sizeof long_key - 1, 0);
	if (lie == VALUE_OF_NO_TYPE)
		f->body.data[f->body.size - 9] = VALUE_NONE;
	f->head.digest += lie == DIGEST_OTHERWISE;
	f->head.entries += lie == ENTRIES_OTHERWISE;
}

static void forge_sessions(struct forgery *f, enum lie lie)
{
	uint64_t count = (uint64_t)5 << SESSION_SLOT_BITS; /* of ids */

	buffer_u32(&f->body, lie == SESSIONS_OTHERWISE ? 3 : 2);
	forge_session(f, (lie == SESSION_ID_NONE ? 0 : count) + 3, 1, lie == WINDOW_FROM_0 ? 0 : lie == WINDOW_BACKWARDS ? 11 : 8,
		      lie == WINDOW_TOO_LONG ? 264 : lie == WINDOW_AT_THE_END ? UINT64_MAX : 9);
	forge_reply(f, lie == REPLY_OF_LATER ? 10 : 9, lie == REPLY_FLAG ? 2 : 1,
		    lie == REPLY_TOO_LONG ? PROTOCOL_MESSAGE_MAX_BYTES + 1 : 40);
	forge_reply(f, 9, 0, 0);
	buffer_u16(&f->body, lie == PARKED_TOO_MANY ? SESSION_PARKED_MAX + 1 : 2);
	forge_parked(f, lie == PARKED_0 ? 0 : 5, 1);
	forge_parked(f, lie == PARKED_TWICE ? 5 : lie == PARKED_BELOW ? 4 : lie == PARKED_TO_COME ? 10 : 9,
		     lie == PARKED_FLAG ? 2 : 0);
	forge_reply(f, 9, 1, 5);
	forge_session(f, (lie == SESSION_ID_TO_COME ? 2 * count : count) +
			 (lie == SESSION_SLOT_TWICE ? 3 : lie == SESSION_SLOT_BELOW ? 2 : 4), 2, 1, 0);
	buffer_u16(&f->body, 0);
}

static void forge_events(struct forgery *f, enum lie lie)
{
	const struct value kind = value_text("put"), none = value_none();

	buffer_u64(&f->body, lie == EVENT_GONE ? 6 : lie == EVENTS_GONE_LATER ? 10 : 5);
	buffer_u32(&f->body, 1);
	buffer_u64(&f->body, lie == EVENTS_GONE_LATER ? 0 : 2);
	if (lie != EVENTS_GONE_LATER) {
		forge_event(f, 6, 0, lie == EVENT_KIND_NONE ? &none : &kind, lie == EVENT_WITH_MORE ? 1 : 0);
		forge_event(f, lie == EVENT_BELOW ? 5 : lie == EVENT_OF_LATER ? 10 : 6, lie == EVENT_TWICE ? 0 : 1, &kind, 0);
	}
	if (lie == BODY_GOES_ON)
		buffer_u8(&f->body, 0);
}

static struct stream forge_lie(enum lie lie)
{
	struct forgery f = { .head = { .revision = 9, .time_us = 1, .token = 1, .version = 2, .next_id = 6,
				       .behaviour = "table" } };

	forge_maps(&f, lie);
	forge_sessions(&f, lie);
	forge_events(&f, lie);
	f.more_entries = lie == END_ENTRIES;
	f.more_sessions = lie == END_SESSIONS;
	f.more_events = lie == END_EVENTS;
	f.more_bytes = lie == END_BYTES;
	if (lie == HEAD_REVISION)
		f.head.revision = UINT64_MAX;
	if (lie == HEAD_TIME)
		f.head.time_us = -1;
	if (lie == HEAD_TOKEN)
		f.head.token = INT64_MAX;
	if (lie == HEAD_NEXT_ID_0 || lie == HEAD_NEXT_ID)
		f.head.next_id = lie == HEAD_NEXT_ID ? UINT64_MAX >> SESSION_SLOT_BITS : 0;
	struct stream stream = forge(&f);
	buffer_clear(&f.body);
	return stream;
}

static void what_no_state_can_be_is_refused_in_words(void **state)
{
	struct rig *rig = *state;

	struct stream sound = forge_lie(NO_LIE);
	assert_reads(&sound, NULL);
	assert_reads(&sound, core_of(rig));
	buffer_clear(&sound.bytes);
	for (enum lie lie = NO_LIE + 1; lie < LIES; lie++) {
		struct stream stream = forge_lie(lie);
		assert_refused(&stream, words[lie]);
		buffer_clear(&stream.bytes);
	}
}

static void blocks_of_the_wrong_kind_are_refused(void **state)
{
	struct stream stream = forge_lie(NO_LIE);
	size_t starts[16], count = blocks_of(&stream, starts, 16);
	static const char *const expected[3][4] = {
		{ "does not begin with its head", NULL, "does not begin with its head", "does not begin with its head" },
		{ "body of the snapshot should begin", "body of the snapshot should begin", NULL, "body of the snapshot should begin" },
		{ "end of the snapshot should be", "end of the snapshot should be", "end of the snapshot should be", NULL },
	};
	(void)state;

	assert_int_equal(count, 3);
	for (size_t block = 0; block < 3; block++)
		for (uint8_t kind = 0; kind < 4; kind++) {
			uint8_t *at = &stream.bytes.data[starts[block] + 4], before = *at;
			*at = kind;
			seal(&stream);
			if (expected[block][kind] != NULL)
				assert_refused(&stream, expected[block][kind]);
			*at = before;
		}
	/* Numbers that are in nobody's order. */
	stream.bytes.data[starts[1] + 8] = 2;
	seal(&stream);
	assert_refused(&stream, "is not the next one");
	/* What the body lacks is not taken from the block behind it. */
	struct stream cut = { .writes_left = -1 };
	struct buffer half = { 0 };
	buffer_append(&cut.bytes, stream.bytes.data, starts[1]);
	buffer_append(&half, stream.bytes.data + starts[1] + BLOCK_HEADER, 20);
	forge_block(&cut, 2, &half);
	buffer_append(&cut.bytes, stream.bytes.data + starts[2], starts[3] - starts[2]);
	seal(&cut);
	assert_refused(&cut, "more should follow here");
	/* Nor what the head lacks from the body. */
	buffer_reset(&cut.bytes);
	buffer_reset(&half);
	buffer_append(&half, stream.bytes.data + BLOCK_HEADER, 50);
	forge_block(&cut, 1, &half);
	buffer_append(&cut.bytes, stream.bytes.data + starts[1], starts[3] - starts[1]);
	seal(&cut);
	assert_refused(&cut, "more should follow here");
	/* A block that carries nothing is none. */
	buffer_reset(&cut.bytes);
	buffer_reset(&half);
	buffer_append(&cut.bytes, stream.bytes.data, starts[1]);
	forge_block(&cut, 2, &half);
	buffer_append(&cut.bytes, stream.bytes.data + starts[1], starts[3] - starts[1]);
	cut.bytes.data[starts[1] + BLOCK_HEADER + 8] = 2;
	seal(&cut);
	assert_refused(&cut, "is empty");
	buffer_clear(&half);
	buffer_clear(&cut.bytes);
	buffer_clear(&stream.bytes);
}

static void a_later_format_is_told_from_damage(void **state)
{
	struct stream stream = small_snapshot();
	(void)state;

	stream.bytes.data[BLOCK_HEADER] = 2;
	seal(&stream);
	assert_refused(&stream, "of format 2, and this program reads format 1");
	buffer_reset(&stream.bytes);
	buffer_append(&stream.bytes, "#!/bin/sh\necho this is something else\n", 38);
	assert_refused(&stream, "byte 0: this is no snapshot");
	buffer_clear(&stream.bytes);
}

/* ---- what fails ---- */

static void a_sink_that_fails_is_not_asked_again(void **state)
{
	struct rich rich = { 0 };
	(void)state;

	rich_make(&rich);
	struct stream whole = snapshot_of(core_of(rich.rig));
	for (long left = 0; left < (long)whole.writes; left++) {
		struct stream stream = { .writes_left = left };
		assert_false(write_core(core_of(rich.rig), &stream));
		assert_int_equal(stream.writes, left + 1);
		buffer_clear(&stream.bytes);
	}
	buffer_clear(&whole.bytes);
	rich_free(&rich);
}

static void a_block_that_tells_of_more_than_one_can_carry_is_refused(void **state)
{
	struct stream stream = small_snapshot();

	(void)state;
	stream.bytes.data[6] = stream.bytes.data[7] = 0xff;
	assert_refused(&stream, "longer than any");
	buffer_clear(&stream.bytes);
}

static void what_is_wrong_is_said_in_the_room_that_there_is(void **state)
{
	struct stream stream = small_snapshot();
	const struct snapshot_source source = { .context = &stream, .read = stream_read };
	char said[32];

	(void)state;
	stream.bytes.data[60] ^= 1;
	for (size_t room = 1; room <= sizeof said; room++) {
		memset(said, 'x', sizeof said);
		stream.at = 0;
		assert_false(snapshot_read(&source, &head, NULL, NULL, NULL, said, room));
		assert_true(memchr(said, '\0', room) != NULL && (room == sizeof said || said[room] == 'x'));
	}
	buffer_clear(&stream.bytes);
}

/* A snapshot that would be refused when it is read does not take the place of one that is sound. */
static void entries_that_changed_by_themselves_are_not_written(void **state)
{
	struct rig *rig = *state;
	struct store *store = core_store(core_of(rig));
	struct stream stream = { .writes_left = -1 };

	const struct value text = value_text("sound");
	assert_int_equal(map_put(store_map(store, "table"), "k", 1, &text), CODE_OK);
	store_commit(store);
	store_keep_digest(store);
	uint8_t *bytes = (uint8_t *)(uintptr_t)map_get(store_map(store, "table"), "k", 1)->bytes;
	bytes[0] = 'f';
	assert_false(write_core(core_of(rig), &stream));
	bytes[0] = 's';
	buffer_reset(&stream.bytes);
	assert_true(write_core(core_of(rig), &stream));
	buffer_clear(&stream.bytes);
}

static void without_memory_a_state_is_not_restored_and_nothing_leaks(void **state)
{
	struct rich rich = { 0 };
	unsigned failed = 0;
	(void)state;

	rich_make(&rich);
	struct stream stream = snapshot_of(core_of(rich.rig));
	for (long n = 0;; n++) {
		long live = scarce_live;
		struct rig *rig = rig_new();
		rig->limits = rich.rig->limits;
		assert_true(rig_start(rig, &table_behaviour, 1));
		scarce_begin(n, false);
		bool sound = read_stream(&stream, core_of(rig));
		unsigned long denied = scarce_end();
		if (!sound) {
			assert_int_equal(denied, 1);
			assert_non_null(strstr(why, "no memory"));
			failed++;
		} else {
			assert_same_state(rich.rig, rig);
		}
		rig_free(rig);
		assert_int_equal(scarce_live, live);
		if (denied == 0)
			break;
	}
	assert_true(failed > 30);
	buffer_clear(&stream.bytes);
	rich_free(&rich);
}

/* ---- many entries ---- */

enum { MANY = 1000000 };

static unsigned progress_calls;

static void note_progress(void *context, uint64_t done_entries, uint64_t all)
{
	progress_calls++;
	assert_true(done_entries <= all);
	assert_int_equal(all, MANY);
	*(uint64_t *)context = done_entries;
}

static double seconds_since(int64_t start_ns)
{
	return (double)(clock_monotonic_ns() - start_ns) / NS_PER_S;
}

static void a_million_entries_are_restored_in_about_a_second(void **state)
{
	struct rig *rig = *state, *again = rig_new();
	struct map *map = store_map(core_store(core_of(rig)), "table");
	struct stream stream = { .writes_left = -1 };
	uint64_t progress = 0;
	const struct snapshot_source source = { .context = &stream, .read = stream_read };

	for (uint64_t i = 0; i < MANY; i++) {
		char key[32];
		int size = snprintf(key, sizeof key, "key-%016llx", (unsigned long long)(i * 0x9e3779b97f4a7c15));
		struct value value = i % 2 == 0 ? value_integer((int64_t)i) : value_bytes(key, (size_t)size);
		assert_int_equal(map_put(map, key, (size_t)size, &value), CODE_OK);
		if (i % 1024 == 0)
			store_commit(core_store(core_of(rig)));
	}
	store_commit(core_store(core_of(rig)));
	assert_true(buffer_reserve(&stream.bytes, (size_t)128 << 20));
	int64_t start_ns = clock_monotonic_ns();
	assert_true(write_core(core_of(rig), &stream));
	double write_s = seconds_since(start_ns);

	assert_true(rig_start(again, &table_behaviour, 5));
	start_ns = clock_monotonic_ns();
	assert_true(snapshot_read(&source, &head, core_of(again), note_progress, &progress, why, sizeof why));
	double read_s = seconds_since(start_ns);
	assert_int_equal(progress, MANY);
	assert_true(progress_calls >= MANY / 65536);
	assert_int_equal(rig_digest(again), rig_digest(rig));
	assert_int_equal(store_entries(core_store(core_of(again))), MANY);
	start_ns = clock_monotonic_ns();
	assert_reads(&stream, NULL);
	printf("# %d entries, %zu MiB: written in %.2f s, restored in %.2f s, looked through in %.2f s\n", MANY,
	       stream.bytes.size >> 20, write_s, read_s, seconds_since(start_ns));
	/* Ten times as much as an idle machine takes, for a busy one, and more for sanitizers. */
	assert_true(write_s < 20 && read_s < 40);
	buffer_clear(&stream.bytes);
	rig_free(again);
}

/* ---- what was written once ---- */

#define FIXTURE "tests/fixtures/snapshot-format-1"

/* tests/fixtures/README.md says the same in words. */
static void make_fixture(struct rich *rich)
{
	rich->rig = rig_new();
	assert_true(rig_start(rich->rig, &table_behaviour, 1));
	rich->sessions[A] = rig_session_by(rich->rig, &alice, A);
	rich->sessions[B] = rig_session_by(rich->rig, &alice, B);
	put(rich, A, "number", value_integer(-42));
	put(rich, A, "text", value_bytes("some bytes", 10));
	put_for(rich, A, 12, "brief", 60000);
	lock(rich, A, "one", CODE_OK);
	lock(rich, A, "two", CODE_OK);
	lock(rich, B, "one", CODE_WAITING);
	lock(rich, B, "two", CODE_WAITING);
	command(rich, A);
	rig_unlock(rich->rig, "one");
	done(rich, CODE_OK);
}

static struct stream fixture_file(void)
{
	struct stream stream = { .writes_left = -1 };
	uint8_t bytes[4096];
	FILE *file = fopen(FIXTURE, "rb");

	if (file == NULL)
		fail_msg("%s is not there: tests are run from the top of the tree", FIXTURE);
	size_t size = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	buffer_append(&stream.bytes, bytes, size);
	return stream;
}

static void a_snapshot_of_format_1_is_read_by_every_version(void **state)
{
	struct rig *rig = *state;
	struct stream stream = fixture_file();

	assert_reads(&stream, core_of(rig));
	assert_int_equal(head.history, 0x5678);
	assert_int_equal(head.incarnation, 3);
	assert_int_equal(head.round, 77);
	assert_int_equal(head.revision, 10);
	assert_int_equal(head.written_us, 123456);
	assert_int_equal(head.time_us, 5000000);
	assert_int_equal(head.token, 5);
	assert_int_equal(head.version, 2);
	assert_string_equal(head.behaviour, "table");
	assert_int_equal(head.sessions, 2);
	assert_int_equal(rig_revision(rig), 10);
	assert_int_equal(rig_look(rig, "number"), -42);
	assert_int_equal(rig_look(rig, "brief"), 7);
	const struct value *text = map_get(store_map(core_store(core_of(rig)), "table"), "text", 4);
	assert_non_null(text);
	assert_true(is_text(*text, "some bytes"));
	assert_sound(rig);

	/* Its sessions: the lock is B's with its token, and B waits for the other. */
	uint64_t ids[2], place;
	size_t cursor = 0;
	for (int i = 0; i < 2; i++)
		ids[i] = sessions_next(core_sessions(core_of(rig)), &cursor)->id;
	retry(rig, A, ids[0], 6);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_answer(rig, 0)->header.revision, 10);
	retry(rig, B, ids[1], 1);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 5);
	retry(rig, B, ids[1], 2);
	rig_is(rig, 0, ITEM_RUN, CODE_WAITING);
	/* Its events: from the first on. */
	const struct events *events = core_events(core_of(rig));
	assert_true(events_seek(events, &(uint64_t){ 1 }, 0, &place));
	struct event event = events_get(events, place);
	assert_int_equal(event.revision, 3);
	assert_true(is_text(event.kind, "put"));
	assert_true(is_text(event.key, "number"));
	assert_int_equal(event.value.integer, -42);
	buffer_clear(&stream.bytes);
}

/* Were it otherwise, this would be another format. */
static void format_1_is_written_as_it_was(void **state)
{
	struct rich rich = { 0 };
	struct stream stream = fixture_file();
	(void)state;

	make_fixture(&rich);
	struct stream now = snapshot_of(core_of(rich.rig));
	assert_int_equal(SNAPSHOT_FORMAT, 1);
	assert_same_bytes(&stream, &now);
	buffer_clear(&stream.bytes);
	buffer_clear(&now.bytes);
	rich_free(&rich);
}

static int write_fixture(const char *path)
{
	struct rich rich = { 0 };
	FILE *file = fopen(path, "wb");

	if (file == NULL)
		return 1;
	make_fixture(&rich);
	struct stream stream = snapshot_of(core_of(rich.rig));
	fwrite(stream.bytes.data, 1, stream.bytes.size, file);
	buffer_clear(&stream.bytes);
	rich_free(&rich);
	return fclose(file) == 0 ? 0 : 1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_that_was_restored_is_the_same_to_the_last_bit),
		cmocka_unit_test(every_retry_is_answered_as_before),
		cmocka_unit_test(what_happens_then_is_the_same),
		cmocka_unit_test(events_are_watched_from_the_same_places),
		cmocka_unit_test(a_smaller_ring_keeps_the_newest_events_and_tells_what_is_gone),
		cmocka_unit_test(limits_of_now_do_not_keep_what_is_there_out),
		ON_A_RIG(the_bytes_do_not_tell_how_a_state_came_about),
		cmocka_unit_test(an_older_version_is_taken_over_with_the_maps_that_it_alone_had),
		cmocka_unit_test(what_a_migration_refuses_is_undone_and_told),
		ON_A_RIG(a_state_of_another_behaviour_is_refused_by_name),
		cmocka_unit_test(maps_of_two_versions_have_room_beside_each_other),
		cmocka_unit_test(a_block_that_tells_of_more_than_one_can_carry_is_refused),
	cmocka_unit_test(what_is_wrong_is_said_in_the_room_that_there_is),
	cmocka_unit_test(no_bit_can_be_changed),
		cmocka_unit_test(no_byte_can_be_missing_or_too_many),
		cmocka_unit_test(no_block_can_be_moved_doubled_or_left_out),
		cmocka_unit_test(what_is_sealed_but_not_sound_harms_nobody),
		ON_A_RIG(what_no_state_can_be_is_refused_in_words),
		cmocka_unit_test(blocks_of_the_wrong_kind_are_refused),
		cmocka_unit_test(a_later_format_is_told_from_damage),
		cmocka_unit_test(a_sink_that_fails_is_not_asked_again),
		ON_A_RIG(entries_that_changed_by_themselves_are_not_written),
		cmocka_unit_test(without_memory_a_state_is_not_restored_and_nothing_leaks),
		ON_A_RIG(a_million_entries_are_restored_in_about_a_second),
		ON_A_RIG(a_snapshot_of_format_1_is_read_by_every_version),
		cmocka_unit_test(format_1_is_written_as_it_was),
	};

	if (getenv("WRITE_FIXTURE") != NULL)
		return write_fixture(getenv("WRITE_FIXTURE"));
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
