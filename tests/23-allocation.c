/* SPDX-License-Identifier: MIT
 *
 * An owner that records, and runs out of memory at any allocation of a round, once or for good: each request is
 * applied whole or not at all, its record is there if and only if it was applied, what is answered agrees with the
 * record, and replaying the records comes to the same state. With memory again, what is asked again is done once.
 */
#include "tests/lib/outlet.h"
#include "tests/lib/scarce.h"

#include "owner/state/snapshot.h"

enum { ROUNDS = 3, PUT_FOR = 12, BIND = 15 };

struct life {
	struct rig *rig;
	struct buffer records;
	struct core *replayed;
	struct counters counters; /* of that */
	size_t replayed_bytes;
	uint64_t one, two, three;
};

static struct core *live(const struct life *life)
{
	return service_core(life->rig->service);
}

static struct life *life_new(void)
{
	struct life *life = calloc(1, sizeof *life);
	const char *why;

	assert_non_null(life);
	struct rig *rig = life->rig = rig_new();
	rig->limits.events_bytes = 65536;
	assert_true(rig_start(rig, &table_behaviour, 1));
	const struct core_settings settings = { .behaviour = &table_behaviour,
						.limits = &rig->limits,
						.counters = &life->counters,
						.hash_seed = 9,
						.session_seed = 0x5eed5eed5eed5eed };
	life->replayed = core_new(&settings, &why);
	assert_non_null(life->replayed);
	store_keep_digest(core_store(life->replayed));
	core_record_to(live(life), &life->records);
	life->one = rig_session(rig, &alice, 1);
	life->two = rig_session(rig, &bob, 2);
	life->three = rig_session(rig, &alice_again, 3);
	rig_message(rig, &bob, true);
	rig_command(rig, life->two, 1);
	rig_lock(rig, "gate");
	rig_message(rig, &alice, true);
	rig_command(rig, life->one, 1);
	rig_lock(rig, "gate"); /* waits */
	rig_round(rig);
	rig_is(rig, 1, ITEM_RUN, CODE_WAITING);
	return life;
}

static void life_free(struct life *life)
{
	core_destroy(&life->replayed);
	buffer_clear(&life->records);
	rig_free(life->rig);
	free(life);
}

/* Commands of every kind of effect: entries, large replies, refusals, what waits and what ends waiting. */
static void compose(const struct life *life)
{
	struct rig *rig = life->rig;
	const struct value bound[] = { value_text("here"), value_integer(1) };
	const struct value passing[] = { value_text("soon"), value_integer(1), value_integer(20) };

	rig_message(rig, &alice, true);
	rig_command(rig, life->one, 2);
	rig_add(rig, "n2", 1);
	rig_put(rig, "large", *rig_big(3000));
	rig_get(rig, "large");
	rig_add(rig, "m2", 1);
	rig_command(rig, life->one, 3);
	rig_add(rig, "n3", 1);
	rig_cas(rig, "n3", value_integer(7), value_integer(8)); /* refused, and undone */
	rig_command(rig, life->one, 4);
	rig_add(rig, "n4", 1);
	rig_operation(rig, BIND, bound, 2);
	rig_operation(rig, PUT_FOR, passing, 3);
	rig_add(rig, "m4", 1);
	rig_cancel(rig, life->one, 5, false);
	rig_command(rig, life->one, 5);
	rig_add(rig, "n5", 1);

	rig_message(rig, &bob, true);
	rig_command(rig, life->two, 2);
	rig_unlock(rig, "gate"); /* the one that waits has it now */
	rig_add(rig, "n6", 1);
	rig_command(rig, life->two, 3);
	rig_lock(rig, "gate"); /* waits */
	rig_command(rig, life->two, 4);
	rig_get(rig, "large");
	rig_add(rig, "n7", 1);
	rig_command(rig, 0, 1);
	rig_add(rig, "nobody", 1);

	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_RECEIVED, .session = life->one, .sequence = 1 });
	rig_open(rig, 9, 0);
	rig_command(rig, SESSION_OPENED, 1);
	rig_add(rig, "opened", 1);

	rig_message(rig, &alice_again, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = life->three });
}

static void replay(struct life *life)
{
	struct wire_reader reader = wire_reader(life->records.data + life->replayed_bytes,
						life->records.size - life->replayed_bytes);
	const int64_t now_us = core_scalars(live(life)).now_us;
	struct record record;
	char why[256];
	size_t late;

	assert_false(life->records.failed);
	while (record_read(&reader, &record))
		if (core_replay(life->replayed, &record, now_us, true, why, sizeof why) != CODE_OK)
			fail_msg("%s: %s", record_name(record.kind), why);
	assert_false(reader.bad);
	life->replayed_bytes = life->records.size;
	core_take_late(life->replayed, &late);
}

static void same_reply(const struct stored_reply *a, const struct stored_reply *b)
{
	assert_int_equal(a->code, b->code);
	assert_true(a->revision == b->revision);
	if (a->kept && b->kept) { /* kept or not: a matter of memory */
		assert_int_equal(a->size, b->size);
		assert_memory_equal(stored_payload(a), stored_payload(b), a->size);
	}
}

static void same_session(const struct session *a, const struct session *b)
{
	assert_true(a->id == b->id && a->last == b->last && a->oldest == b->oldest);
	assert_int_equal(a->silence_ms, b->silence_ms);
	for (uint64_t sequence = a->oldest; sequence <= a->last; sequence++)
		same_reply(session_reply(a, sequence), session_reply(b, sequence));
	assert_int_equal(a->parked_count, b->parked_count);
	for (uint32_t i = 0; i < a->parked_count; i++) {
		assert_true(a->parked[i].sequence == b->parked[i].sequence);
		assert_int_equal(a->parked[i].waiting, b->parked[i].waiting);
		if (!a->parked[i].waiting)
			same_reply(&a->parked[i].reply, &b->parked[i].reply);
	}
}

static void same_state(const struct life *life)
{
	const struct sessions *sessions[2] = { core_sessions(live(life)), core_sessions(life->replayed) };
	const struct session *session;
	size_t cursor = 0;

	assert_true(core_revision(live(life)) == core_revision(life->replayed));
	assert_true(rig_digest(life->rig) == store_digest(core_store(life->replayed)));
	assert_true(store_digest_is_true(core_store(live(life))));
	assert_int_equal(sessions_count(sessions[0]), sessions_count(sessions[1]));
	while ((session = sessions_next(sessions[0], &cursor)) != NULL) {
		const struct session *other = sessions_find(sessions[1], session->id);
		assert_non_null(other);
		same_session(session, other);
	}
	assert_sound(life->rig);
}

/* The record of a command, from the byte on; false: there is none. */
static bool find_record(const struct life *life, size_t from, uint64_t session, uint64_t sequence, struct record *found)
{
	struct wire_reader reader = wire_reader(life->records.data + from, life->records.size - from);

	while (record_read(&reader, found))
		if (found->session == session && found->sequence == sequence &&
		    (found->kind == RECORD_RUN || found->kind == RECORD_REFUSED))
			return true;
	return false;
}

/* Each answer to a command that names one of the round's sequences. */
static void answers_agree(const struct life *life)
{
	struct record record;

	for (size_t i = 0; i < life->rig->answer_count; i++) {
		const struct reply_header *header = &life->rig->answers[i].header;
		if (header->kind != ITEM_RUN || header->session == 0)
			continue;
		bool recorded = find_record(life, 0, header->session, header->sequence, &record);
		bool unused = header->code == CODE_BUSY || header->code == CODE_OUT_OF_ORDER ||
			      header->code == CODE_SESSION_FORGOTTEN;
		if (unused)
			assert_false(recorded);
		else if (header->code == CODE_REPLY_FORGOTTEN || header->session == SESSION_OPENED)
			continue;
		else {
			assert_true(recorded);
			/* What waited is answered by what came later. */
			assert_true(record.code == header->code || record.code == CODE_WAITING);
		}
	}
}

static int64_t value_of(const struct life *life, const char *key)
{
	int64_t value = rig_look(life->rig, key);

	return value == INT64_MIN ? 0 : value;
}

static void halves_nothing(const struct life *life)
{
	assert_true(value_of(life, "n2") == value_of(life, "m2") && value_of(life, "n2") <= 1);
	assert_true(value_of(life, "n4") == value_of(life, "m4") && value_of(life, "n4") <= 1);
	assert_int_equal(value_of(life, "n3"), 0);
	assert_int_equal(value_of(life, "n5"), 0);
	assert_true(value_of(life, "n6") <= 1 && value_of(life, "n7") <= 1 && value_of(life, "opened") <= 1);
}

/* In the end each command has an answer, which may be that it was refused for want of memory. */
static void done_if_told_so(const struct life *life, uint64_t session, uint64_t sequence, const char *key)
{
	bool told = false;

	for (size_t i = 0; i < life->rig->answer_count; i++) {
		const struct reply_header *header = &life->rig->answers[i].header;
		if (header->kind != ITEM_RUN || header->session != session || header->sequence != sequence)
			continue;
		told = true;
		if (header->code == CODE_NO_MEMORY)
			assert_int_equal(value_of(life, key), 0);
		else if (header->code == CODE_OK)
			assert_int_equal(value_of(life, key), 1);
		else
			assert_int_equal(header->code, CODE_REPLY_FORGOTTEN);
	}
	assert_true(told);
}

/* Returns how many allocations failed. */
static unsigned long starve(struct life *life, long succeed, bool for_good)
{
	struct rig *rig = life->rig;
	int64_t next_ns;

	compose(life);
	rig_finish(rig);
	rig_lay_out(rig);
	scarce_begin(succeed, for_good);
	service_round(rig->service, rig->messages, rig->count, rig->now_ns, rig->wall_us);
	unsigned long denied = scarce_end();
	rig_take_replies(rig);
	answers_agree(life);
	replay(life);
	same_state(life);
	/* what the owner does by itself: an entry is due. */
	rig->now_ns += 2 * NS_PER_S;
	rig->wall_us += 2000000;
	scarce_begin(denied == 0 ? 0 : succeed, for_good);
	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	scarce_end();
	replay(life);
	same_state(life);
	return denied;
}

static void run_out(bool for_good)
{
	long succeed = 0;
	int64_t next_ns;

	for (bool complete = false; !complete; succeed++) {
		struct life *life = life_new();
		complete = starve(life, succeed, for_good) == 0;
		halves_nothing(life);
		/* With memory again everything is asked again, and is done once. */
		for (int i = 0; i < ROUNDS; i++) {
			compose(life);
			if (i == ROUNDS - 1) { /* the one that waits gives up */
				rig_message(life->rig, &bob, true);
				rig_cancel(life->rig, life->two, 3, false);
			}
			rig_round(life->rig);
			answers_agree(life);
			service_tend(life->rig->service, life->rig->now_ns, life->rig->wall_us, &next_ns);
			replay(life);
			same_state(life);
		}
		halves_nothing(life);
		done_if_told_so(life, life->one, 2, "n2");
		done_if_told_so(life, life->one, 4, "n4");
		done_if_told_so(life, life->two, 2, "n6");
		done_if_told_so(life, life->two, 4, "n7");
		assert_null(sessions_find(core_sessions(live(life)), life->three));
		life_free(life);
	}
	printf("# %ld allocations\n", succeed - 1);
	assert_true(succeed > 30);
}

static void one_failed_allocation_leaves_record_and_state_agreeing(void **state)
{
	(void)state;
	run_out(false);
}

static void memory_that_is_gone_for_good_leaves_record_and_state_agreeing(void **state)
{
	(void)state;
	run_out(true);
}

/* A core that cannot record does nothing that it would have to record. */
static void replay_without_memory_says_so(void **state)
{
	(void)state;
	unsigned refused = 0;
	bool complete = false;

	for (long succeed = 0; !complete; succeed++) {
		struct life *life = life_new();
		compose(life);
		rig_round(life->rig);
		struct wire_reader reader = wire_reader(life->records.data, life->records.size);
		struct record record;
		char why[256] = "";
		enum code code = CODE_OK;
		scarce_begin(succeed, true);
		while (code == CODE_OK && record_read(&reader, &record))
			code = core_replay(life->replayed, &record, core_scalars(live(life)).now_us, true, why, sizeof why);
		complete = scarce_end() == 0;
		assert_true((code == CODE_OK) == (why[0] == '\0'));
		assert_true(code == CODE_OK || (code == CODE_NO_MEMORY && !complete));
		refused += code != CODE_OK;
		if (complete)
			assert_true(store_digest(core_store(life->replayed)) == rig_digest(life->rig));
		life_free(life);
	}
	assert_true(refused > 10);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(one_failed_allocation_leaves_record_and_state_agreeing),
	cmocka_unit_test(memory_that_is_gone_for_good_leaves_record_and_state_agreeing),
	cmocka_unit_test(replay_without_memory_says_so),
};

UNIT_MAIN(tests)
