/* SPDX-License-Identifier: MIT
 *
 * Looking back at a state: which replies say that they are on disk, what became of a command, and
 * backups, part by part. What is on disk is the test's own.
 */
#include "tests/lib/outlet.h"

#include <errno.h>

enum { C1 = 1, C2 = 2, C3 = 3 }; /* connections */

static const struct caller root = { .uid = 0, .gid = 0, .pid = 13, .known = true };
static const struct caller owner = { .uid = 77, .gid = 77, .pid = 14, .known = true };
static const struct caller relayed = { .known = false };

/* What the storage is to answer next, and what it was asked. */
static struct {
	enum storage_result result;
	struct fate fate;
	int error;
	unsigned asked;
	uint64_t session, sequence;

	struct backup_part part;
	uint64_t connection, id, offset;
	size_t room;
} disk;

static enum storage_result disk_outcome(void *context, uint64_t session, uint64_t sequence, struct fate *fate, int *error)
{
	assert_ptr_equal(context, &disk);
	disk.asked++;
	disk.session = session;
	disk.sequence = sequence;
	*fate = disk.fate;
	*error = disk.error;
	return disk.result;
}

static enum storage_result disk_backup(void *context, struct core *core, uint64_t connection, uint64_t id, uint64_t offset,
				       uint8_t *bytes, size_t room, struct backup_part *part, int *error)
{
	assert_ptr_equal(context, &disk);
	assert_non_null(core);
	disk.asked++;
	disk.connection = connection;
	disk.id = id;
	disk.offset = offset;
	disk.room = room;
	memset(bytes, 'x', room); /* all of it is there */
	*part = disk.part;
	*error = disk.error;
	return disk.result;
}

static const struct storage storage = { .context = &disk, .outcome = disk_outcome, .backup = disk_backup };
static const struct storage memory_only = { .context = &disk, .backup = disk_backup };

static int set_up(void **state)
{
	struct rig *rig = rig_new();

	memset(&disk, 0, sizeof disk);
	rig->uid = owner.uid;
	rig->storage = &storage;
	*state = rig;
	return rig_start(rig, &table_behaviour, 1) ? 0 : -1;
}

#define WITH_DISK(name) cmocka_unit_test_setup_teardown(name, set_up, rig_tear_down)

static void with_durability(struct rig *rig, enum durability durability)
{
	rig->durability = durability;
	rig_restart(rig);
}

static void put(struct rig *rig, uint64_t session, uint64_t sequence, int64_t number)
{
	rig_message(rig, &alice, true);
	rig_command(rig, session, sequence);
	rig_put(rig, "k", value_integer(number));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
}

/* A query's reply: does it say that it is on disk? */
static bool query_is_durable(struct rig *rig)
{
	rig_message(rig, &alice, true);
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	return rig_answer(rig, 0)->durable;
}

/* ---- the mark ---- */

static void hello_tells_what_the_state_survives(void **state)
{
	struct rig *rig = *state;

	for (int level = DURABILITY_MEMORY; level <= DURABILITY_INTERVAL; level++) {
		with_durability(rig, (enum durability)level);
		rig_message(rig, &alice, true);
		rig_hello(rig, 1, 1, true);
		rig_simple(rig, ITEM_STATUS);
		rig_round(rig);
		assert_int_equal(rig_integer(rig, 0, 0, 7), level);
		static const char *const names[] = { "memory", "sync", "interval" };
		assert_true(is_text(rig_value(rig, 1, 0, 14), "durability"));
		assert_true(is_text(rig_value(rig, 1, 0, 15), names[level]));
	}
}

static void in_memory_no_reply_is_marked(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	service_set_synced(rig->service, 1000);
	put(rig, session, 1, 1);
	assert_false(rig_answer(rig, 0)->durable);
	assert_false(query_is_durable(rig));
}

static void with_sync_every_answer_to_run_is_marked(void **state)
{
	struct rig *rig = *state;

	with_durability(rig, DURABILITY_SYNC);
	uint64_t session = rig_session(rig, &alice, 1);
	assert_false(rig_answer(rig, 0)->durable);
	put(rig, session, 1, 1);
	assert_true(rig_answer(rig, 0)->durable);
	assert_true(query_is_durable(rig));

	rig_message(rig, &alice, true);
	rig_command(rig, session, 2);
	rig_cas(rig, "k", value_integer(7), value_integer(8));
	rig_command(rig, session, 1); /* repeated */
	rig_put(rig, "k", value_integer(1));
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_CONFLICT);
	assert_true(rig_answer(rig, 0)->durable && rig_answer(rig, 1)->durable);
	rig_message(rig, &alice, true);
	rig_cancel(rig, session, 2, false); /* with its answer as an item more */
	rig_simple(rig, ITEM_PING);
	rig_round(rig);
	rig_is(rig, 0, ITEM_CANCEL, CODE_OK);
	rig_is(rig, 1, ITEM_RUN, CODE_CONFLICT);
	assert_true(!rig_answer(rig, 0)->durable && rig_answer(rig, 1)->durable && !rig_answer(rig, 2)->durable);
}

/* Alice has the lock, Bob waits, and gets it. Is the answer that comes late marked? */
static bool late_is_durable(struct rig *rig, uint64_t synced)
{
	struct bench_outlet *outlet = outlet_new();
	uint64_t holder = rig_session_by(rig, &alice, C1), waiter = rig_session_by(rig, &bob, C2);

	rig_by(rig, &alice, C1);
	rig_command(rig, holder, 1);
	rig_lock(rig, "door");
	rig_by(rig, &bob, C2);
	rig_command(rig, waiter, 1);
	rig_lock(rig, "door");
	rig_by(rig, &alice, C1);
	rig_command(rig, holder, 2);
	rig_unlock(rig, "door");
	rig_round(rig);
	rig_is(rig, 1, ITEM_RUN, CODE_WAITING);
	service_set_synced(rig->service, synced);
	outlet_deliver(outlet, rig);
	assert_int_equal(outlet->count, 1);
	assert_int_equal(outlet->notices[0].header.kind, ITEM_RUN);
	bool durable = outlet->notices[0].durable;
	outlet_free(outlet);
	return durable;
}

static void late_answers_are_marked_too(void **state)
{
	struct rig *rig = *state;

	assert_false(late_is_durable(rig, 1000));
	with_durability(rig, DURABILITY_SYNC);
	assert_true(late_is_durable(rig, 0));
	with_durability(rig, DURABILITY_INTERVAL);
	assert_false(late_is_durable(rig, 0));
	with_durability(rig, DURABILITY_INTERVAL);
	assert_true(late_is_durable(rig, 1000));
}

static void with_an_interval_the_mark_goes_by_what_is_synced(void **state)
{
	struct rig *rig = *state;

	with_durability(rig, DURABILITY_INTERVAL);
	uint64_t session = rig_session(rig, &alice, 1);
	put(rig, session, 1, 1);
	assert_false(rig_answer(rig, 0)->durable);
	uint64_t revision = rig_answer(rig, 0)->header.revision;
	assert_false(query_is_durable(rig));
	service_set_synced(rig->service, revision - 1);
	assert_false(query_is_durable(rig));
	service_set_synced(rig->service, revision);
	assert_true(query_is_durable(rig));
	put(rig, session, 1, 1);
	assert_true(rig_answer(rig, 0)->durable); /* repeated */
	put(rig, session, 2, 2);
	assert_false(rig_answer(rig, 0)->durable);
	assert_false(query_is_durable(rig));
}

static void with_an_interval_what_was_just_admitted_is_not_marked(void **state)
{
	struct rig *rig = *state;

	with_durability(rig, DURABILITY_INTERVAL);
	uint64_t session = rig_session(rig, &alice, 1);
	service_set_synced(rig->service, 1000);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1); /* changes nothing, and so has a revision that is synced */
	rig_delete(rig, "nothing");
	rig_command(rig, session, 2);
	rig_cas(rig, "k", value_integer(7), value_integer(8));
	rig_round(rig);
	rig_is(rig, 1, ITEM_RUN, CODE_CONFLICT);
	assert_false(rig_answer(rig, 0)->durable || rig_answer(rig, 1)->durable);
}

/* ---- what became of a command ---- */

static void ask(struct rig *rig, const struct caller *caller, uint64_t session, uint64_t sequence)
{
	const struct value list[] = { value_integer((int64_t)session), value_integer((int64_t)sequence) };

	rig_message(rig, caller, true);
	rig_simple(rig, ITEM_OUTCOME);
	rig_list(rig, list, 2);
	rig_round(rig);
}

static void assert_fate(const struct rig *rig, enum command_fate fate, enum code code)
{
	rig_is(rig, 0, ITEM_OUTCOME, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 0, 0), fate);
	assert_int_equal(rig_integer(rig, 0, 0, 1), code);
}

/* Lists in the answer. */
static size_t lists(const struct rig *rig)
{
	struct wire_reader payload = rig_answer(rig, 0)->payload;
	struct value values[WIRE_LIST_MAX];
	size_t count, found = 0;

	for (; payload.left > 0; found++)
		assert_true(wire_read_list(&payload, values, WIRE_LIST_MAX, &count));
	return found;
}

static void a_command_that_ran_is_told_with_its_results(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	put(rig, session, 1, 5);
	uint64_t revision = rig_answer(rig, 0)->header.revision, digest = rig_digest(rig);
	put(rig, session, 2, 6);
	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN, .session = session, .sequence = 3, .window = 2 });
	rig_add(rig, "k", 4);
	rig_add(rig, "k", 5);
	rig_round(rig);
	ask(rig, &alice_again, session, 1);
	assert_fate(rig, FATE_RAN, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 0, 2), revision);
	assert_int_equal(rig_integer(rig, 0, 1, 0), 0);
	assert_int_equal(lists(rig), 2);
	ask(rig, &alice_again, session, 3);
	assert_fate(rig, FATE_RAN, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 1, 0), 10);
	assert_int_equal(rig_integer(rig, 0, 2, 0), 15);
	assert_int_equal(lists(rig), 3);
	assert_int_equal(disk.asked, 0);
	assert_int_not_equal(digest, 0);
	assert_int_equal(rig->counters.outcomes, 2);
}

static void a_question_changes_nothing(void **state)
{
	struct rig *rig = *state;
	struct buffer records = { 0 };
	uint64_t session = rig_session(rig, &alice, 1);

	put(rig, session, 1, 5);
	uint64_t revision = rig_revision(rig), digest = rig_digest(rig);
	core_record_to(service_core(rig->service), &records);
	ask(rig, &alice, session, 1);
	ask(rig, &alice, session, 2);
	ask(rig, &alice, 12345, 1);
	assert_int_equal(rig_revision(rig), revision);
	assert_int_equal(rig_digest(rig), digest);
	assert_int_equal(records.size, 0);
	core_record_to(service_core(rig->service), NULL);
	buffer_clear(&records);
	put(rig, session, 2, 6); /* nor was the sequence used */
}

static void one_that_was_refused_is_told_with_the_reason(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	put(rig, session, 1, 5);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 2);
	rig_cas(rig, "k", value_integer(7), value_integer(8));
	rig_cancel(rig, session, 3, false); /* before it comes */
	rig_round(rig);
	ask(rig, &alice, session, 2);
	assert_fate(rig, FATE_REFUSED, CODE_CONFLICT);
	assert_int_equal(rig_integer(rig, 0, 1, 0), 0);
	assert_int_equal(rig_integer(rig, 0, 1, 2), 5);
	ask(rig, &alice, session, 3);
	assert_fate(rig, FATE_REFUSED, CODE_CANCELLED);
	assert_int_equal(rig_integer(rig, 0, 1, 0), -1);
}

static void one_that_waits_or_has_not_come_is_told_so(void **state)
{
	struct rig *rig = *state;
	uint64_t holder = rig_session_by(rig, &alice, C1), waiter = rig_session_by(rig, &alice, C2);

	rig_by(rig, &alice, C1);
	rig_command(rig, holder, 1);
	rig_lock(rig, "door");
	rig_command(rig, waiter, 1);
	rig_lock(rig, "door");
	rig_round(rig);
	ask(rig, &alice, waiter, 1);
	assert_fate(rig, FATE_WAITING, CODE_WAITING);
	assert_int_equal(lists(rig), 1);
	ask(rig, &alice, waiter, 2);
	assert_fate(rig, FATE_NOT_COME, CODE_OK);

	rig_by(rig, &alice, C1);
	rig_command(rig, holder, 2);
	rig_unlock(rig, "door");
	rig_round(rig);
	ask(rig, &alice, waiter, 1);
	assert_fate(rig, FATE_RAN, CODE_OK);
	assert_int_equal(rig_value(rig, 0, 1, 0).type, VALUE_INTEGER); /* the token */
	assert_int_equal(disk.asked, 0);
}

static void one_withdrawn_while_it_waited_is_refused(void **state)
{
	struct rig *rig = *state;
	uint64_t holder = rig_session_by(rig, &alice, C1), waiter = rig_session_by(rig, &alice, C2);

	rig_by(rig, &alice, C1);
	rig_command(rig, holder, 1);
	rig_lock(rig, "door");
	rig_command(rig, waiter, 1);
	rig_lock(rig, "door");
	rig_round(rig);
	rig_by(rig, &alice, C2);
	rig_cancel(rig, waiter, 1, false);
	rig_round(rig);
	ask(rig, &alice, waiter, 1);
	assert_fate(rig, FATE_REFUSED, CODE_CANCELLED);
	assert_true(is_text(rig_value(rig, 0, 1, 1), code_text(CODE_CANCELLED)));
}

static void what_a_session_forgot_is_asked_of_the_disk(void **state)
{
	static const uint8_t reply[] = { 1, VALUE_INTEGER, 9, 0, 0, 0, 0, 0, 0, 0 };
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	put(rig, session, 1, 5);
	rig_message(rig, &alice, true); /* acknowledges it */
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN, .session = session, .sequence = 2 });
	rig_put(rig, "k", value_integer(6));
	rig_round(rig);
	disk.result = STORAGE_NOT_YET;
	ask(rig, &alice, session, 1);
	rig_refused(rig, 0, CODE_BUSY, -1, "being searched");
	assert_int_equal(disk.session, session);
	assert_int_equal(disk.sequence, 1);
	disk.result = STORAGE_DONE;
	disk.fate = (struct fate){ .fate = FATE_RAN, .revision = 2, .reply = reply, .reply_size = sizeof reply,
				   .opener = alice, .opener_told = true };
	ask(rig, &alice, session, 1);
	assert_fate(rig, FATE_RAN, CODE_OK);
	assert_int_equal(rig_integer(rig, 0, 0, 2), 2);
	assert_int_equal(rig_integer(rig, 0, 1, 0), 9);
	/* The journal may be behind: of a session that lives it cannot say that a command never came. */
	disk.fate = (struct fate){ .fate = FATE_NEVER_CAME, .opener = alice, .opener_told = true };
	ask(rig, &alice, session, 1);
	assert_fate(rig, FATE_UNKNOWN, CODE_REPLY_FORGOTTEN);
}

static void without_a_disk_what_is_forgotten_is_unknown(void **state)
{
	struct rig *rig = *state;

	for (int i = 0; i < 2; i++) {
		rig->storage = i == 0 ? NULL : &memory_only;
		rig_restart(rig);
		uint64_t session = rig_session(rig, &alice, 1);
		put(rig, session, 1, 5);
		rig_message(rig, &alice, true);
		rig_item(rig, &(struct request_header){ .kind = ITEM_RUN, .session = session, .sequence = 2 });
		rig_put(rig, "k", value_integer(6));
		rig_round(rig);
		ask(rig, &alice, session, 1);
		assert_fate(rig, FATE_UNKNOWN, CODE_REPLY_FORGOTTEN);
		assert_int_equal(lists(rig), 1);
		ask(rig, &alice, 4711, 1);
		assert_fate(rig, FATE_UNKNOWN, CODE_SESSION_FORGOTTEN);
	}
}

static void of_ended_sessions_the_disk_has_the_word(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	put(rig, session, 1, 5);
	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = session });
	rig_round(rig);
	disk.result = STORAGE_DONE;
	disk.fate = (struct fate){ .fate = FATE_NEVER_CAME, .opener = alice, .opener_told = true };
	ask(rig, &alice, session, 2);
	assert_fate(rig, FATE_NEVER_CAME, CODE_OK);
	disk.fate = (struct fate){ .fate = FATE_REFUSED, .code = CODE_EXPIRED, .opener = alice, .opener_told = true };
	ask(rig, &alice, session, 1);
	assert_fate(rig, FATE_REFUSED, CODE_EXPIRED);
	assert_true(is_text(rig_value(rig, 0, 1, 1), code_text(CODE_EXPIRED)));
	disk.result = STORAGE_FULL;
	ask(rig, &alice, session, 1);
	rig_refused(rig, 0, CODE_BUSY, -1, "ask again");
	disk.result = STORAGE_NONE;
	ask(rig, &alice, session, 1);
	assert_fate(rig, FATE_UNKNOWN, CODE_SESSION_FORGOTTEN);
	disk.result = STORAGE_FAILED;
	disk.error = EIO;
	ask(rig, &alice, session, 1);
	rig_refused(rig, 0, CODE_DISK, -1, "Input/output error");
}

static void commands_of_others_are_told_to_root_and_the_owner_only(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	put(rig, session, 1, 5);
	ask(rig, &bob, session, 1);
	rig_refused(rig, 0, CODE_DENIED, -1, "another user");
	ask(rig, &relayed, session, 1);
	rig_refused(rig, 0, CODE_DENIED, -1, "another user");
	ask(rig, &root, session, 1);
	assert_fate(rig, FATE_RAN, CODE_OK);
	ask(rig, &owner, session, 1);
	assert_fate(rig, FATE_RAN, CODE_OK);

	disk.result = STORAGE_DONE;
	disk.fate = (struct fate){ .fate = FATE_RAN, .opener = alice, .opener_told = true };
	ask(rig, &bob, 4711, 1);
	rig_refused(rig, 0, CODE_DENIED, -1, "another user");
	ask(rig, &owner, 4711, 1);
	assert_fate(rig, FATE_RAN, CODE_OK);
	/* Nobody knows whose it was. */
	disk.fate.opener_told = false;
	ask(rig, &alice, 4711, 1);
	assert_fate(rig, FATE_UNKNOWN, CODE_SESSION_FORGOTTEN);
	ask(rig, &root, 4711, 1);
	assert_fate(rig, FATE_RAN, CODE_OK);
}

static void others_cannot_have_the_disk_searched(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);

	put(rig, session, 1, 5);
	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN, .session = session, .sequence = 2 });
	rig_put(rig, "k", value_integer(6));
	rig_round(rig);
	ask(rig, &bob, session, 1);
	rig_refused(rig, 0, CODE_DENIED, -1, "another user");
	assert_int_equal(disk.asked, 0);
}

static void results_that_do_not_fit_are_left_out(void **state)
{
	struct rig *rig = *state;
	uint64_t session = rig_session(rig, &alice, 1);
	const struct value list[] = { value_integer((int64_t)session), value_integer(1) };

	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	for (int i = 0; i < 3; i++) {
		rig_put(rig, "big", *rig_big(200 * KIB));
		rig_get(rig, "big");
	}
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	/* For a peer that takes one message, twice as much does not fit. */
	rig_message(rig, &alice, false);
	for (int i = 0; i < 2; i++) {
		rig_simple(rig, ITEM_OUTCOME);
		rig_list(rig, list, 2);
	}
	rig_round(rig);
	assert_int_equal(lists(rig), 7);
	rig_is(rig, 1, ITEM_OUTCOME, CODE_OK);
	assert_int_equal(rig_integer(rig, 1, 0, 0), FATE_RAN);
	assert_true(rig_answer(rig, 1)->header.size < 100);
}

static void a_question_that_is_none_is_invalid(void **state)
{
	struct rig *rig = *state;
	const struct value one[] = { value_integer(1) };
	const struct value text[] = { value_text("1"), value_integer(1) };
	const struct value many[] = { value_integer(1), value_integer(1), value_integer(1) };

	ask(rig, &alice, 0, 1);
	rig_refused(rig, 0, CODE_INVALID, -1, "session");
	ask(rig, &alice, 1, 0);
	rig_refused(rig, 0, CODE_INVALID, -1, "sequence");
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_OUTCOME);
	rig_simple(rig, ITEM_OUTCOME);
	rig_list(rig, one, 1);
	rig_simple(rig, ITEM_OUTCOME);
	rig_list(rig, text, 2);
	rig_simple(rig, ITEM_OUTCOME);
	rig_list(rig, many, 3);
	rig_message(rig, &root, true);
	rig_simple(rig, ITEM_BACKUP);
	rig_simple(rig, ITEM_BACKUP);
	rig_list(rig, text, 2);
	rig_round(rig);
	for (size_t i = 0; i < 6; i++)
		rig_refused(rig, i, CODE_INVALID, -1, i < 4 ? "outcome takes" : "backup takes");
	assert_int_equal(disk.asked, 0);
}

/* ---- backups ---- */

static void fetch(struct rig *rig, const struct caller *caller, uint64_t connection, int64_t id, int64_t offset)
{
	const struct value list[] = { value_integer(id), value_integer(offset) };

	rig_by(rig, caller, connection);
	rig_simple(rig, ITEM_BACKUP);
	rig_list(rig, list, 2);
	rig_round(rig);
}

static void a_backup_comes_in_parts(void **state)
{
	struct rig *rig = *state;

	disk.part = (struct backup_part){ .size = -1, .bytes = 1000 };
	fetch(rig, &owner, C3, 5, 0);
	rig_is(rig, 0, ITEM_BACKUP, CODE_OK);
	assert_int_equal(disk.connection, C3);
	assert_int_equal(disk.id, 5);
	assert_int_equal(disk.offset, 0);
	assert_int_equal(disk.room, PROTOCOL_BACKUP_BYTES);
	assert_int_equal(rig_integer(rig, 0, 0, 0), 5);
	assert_int_equal(rig_integer(rig, 0, 0, 1), -1);
	assert_int_equal(rig_value(rig, 0, 0, 2).size, 1000);
	disk.part = (struct backup_part){ .size = 1000, .bytes = 0 };
	fetch(rig, &root, C3, -5, 1000);
	rig_is(rig, 0, ITEM_BACKUP, CODE_OK);
	assert_int_equal((int64_t)disk.id, -5);
	assert_int_equal(disk.offset, 1000);
	assert_int_equal(rig_integer(rig, 0, 0, 1), 1000);
	assert_int_equal(rig_value(rig, 0, 0, 2).size, 0);
}

static void parts_of_one_round_keep_to_its_messages(void **state)
{
	struct rig *rig = *state;
	const struct value list[] = { value_integer(1), value_integer(0) };

	disk.part = (struct backup_part){ .size = -1, .bytes = PROTOCOL_BACKUP_BYTES };
	rig_by(rig, &owner, C1); /* takes parts */
	for (int i = 0; i < 5; i++) {
		rig_simple(rig, ITEM_BACKUP);
		rig_list(rig, list, 2);
	}
	rig_round(rig);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(rig_value(rig, i, 0, 2).size, PROTOCOL_BACKUP_BYTES);

	disk.part.bytes = 4096;
	rig_message(rig, &owner, false);
	rig->messages[0].connection = C1;
	for (int i = 0; i < 1000; i++) {
		rig_simple(rig, ITEM_BACKUP);
		rig_list(rig, list, 2);
	}
	rig_round(rig);
	assert_int_equal(rig->answer_count, 1000);
	rig_is(rig, 0, ITEM_BACKUP, CODE_OK);
	rig_is(rig, 999, ITEM_BACKUP, CODE_BUSY);
}

static void a_part_that_is_not_there_is_refused_by_its_reason(void **state)
{
	static const struct {
		enum storage_result result;
		enum code code;
		const char *words;
	} cases[] = {
		{ STORAGE_NOT_YET, CODE_BUSY, "being written" },
		{ STORAGE_FULL, CODE_BUSY, "max-backups" },
		{ STORAGE_NONE, CODE_CONFLICT, "begin again" },
		{ STORAGE_FAILED, CODE_DISK, "No space left" },
	};
	struct rig *rig = *state;

	disk.error = ENOSPC;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		disk.result = cases[i].result;
		fetch(rig, &owner, C1, 1, 0);
		rig_refused(rig, 0, cases[i].code, -1, cases[i].words);
	}
	assert_int_equal(rig->counters.limit_backups, 1);
}

static void who_may_not_have_all_has_no_backup(void **state)
{
	struct rig *rig = *state;

	fetch(rig, &alice, C1, 1, 0);
	rig_refused(rig, 0, CODE_DENIED, -1, "it takes the right 'admin'");
	fetch(rig, &relayed, 0, 1, 0);
	rig_refused(rig, 0, CODE_DENIED, -1, "give this caller 'command'");
	fetch(rig, &owner, 0, 1, 0); /* over a broker, or a connection that has ended */
	rig_refused(rig, 0, CODE_INVALID, -1, "connection");
	fetch(rig, &owner, C1, 0, 0);
	rig_refused(rig, 0, CODE_INVALID, -1, "not 0");
	fetch(rig, &owner, C1, 1, -1);
	rig_refused(rig, 0, CODE_INVALID, -1, "how many bytes");
	assert_int_equal(disk.asked, 0);
}

static void an_owner_that_leaves_begins_none(void **state)
{
	struct rig *rig = *state;
	struct buffer notice = { 0 };

	service_leave(rig->service, &notice);
	buffer_clear(&notice);
	fetch(rig, &owner, C1, 1, 0);
	rig_refused(rig, 0, CODE_LEAVING, -1, "");
	disk.part = (struct backup_part){ .size = 100, .bytes = 50 };
	fetch(rig, &owner, C1, 1, 50);
	rig_is(rig, 0, ITEM_BACKUP, CODE_OK);
}

static const struct CMUnitTest tests[] = {
	WITH_DISK(hello_tells_what_the_state_survives),
	WITH_DISK(in_memory_no_reply_is_marked),
	WITH_DISK(with_sync_every_answer_to_run_is_marked),
	WITH_DISK(late_answers_are_marked_too),
	WITH_DISK(with_an_interval_the_mark_goes_by_what_is_synced),
	WITH_DISK(with_an_interval_what_was_just_admitted_is_not_marked),
	WITH_DISK(a_command_that_ran_is_told_with_its_results),
	WITH_DISK(a_question_changes_nothing),
	WITH_DISK(one_that_was_refused_is_told_with_the_reason),
	WITH_DISK(one_that_waits_or_has_not_come_is_told_so),
	WITH_DISK(one_withdrawn_while_it_waited_is_refused),
	WITH_DISK(what_a_session_forgot_is_asked_of_the_disk),
	WITH_DISK(without_a_disk_what_is_forgotten_is_unknown),
	WITH_DISK(of_ended_sessions_the_disk_has_the_word),
	WITH_DISK(commands_of_others_are_told_to_root_and_the_owner_only),
	WITH_DISK(others_cannot_have_the_disk_searched),
	WITH_DISK(results_that_do_not_fit_are_left_out),
	WITH_DISK(a_question_that_is_none_is_invalid),
	WITH_DISK(a_backup_comes_in_parts),
	WITH_DISK(parts_of_one_round_keep_to_its_messages),
	WITH_DISK(a_part_that_is_not_there_is_refused_by_its_reason),
	WITH_DISK(who_may_not_have_all_has_no_backup),
	WITH_DISK(an_owner_that_leaves_begins_none),
};

UNIT_MAIN(tests)
