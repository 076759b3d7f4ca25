/* SPDX-License-Identifier: MIT
 *
 * Access: which rule fits a caller, what it gives, and what an owner does to those who have not the right: refuses, in
 * the order of their session, tells nobody's secrets, and lets go of what they held.
 */
#include "tests/lib/outlet.h"

#include "common/log.h"
#include "owner/denial_log.h"
#include "owner/service/access.h"
#include "owner/service/denials.h"

enum { OWNER = 77, GET = 1, PUT = 2, DELETE = 3, LOCK = 20, STAFF = 50 };

static const struct caller root = { .uid = 0, .gid = 0, .pid = 1, .known = true };
static const struct caller master = { .uid = OWNER, .gid = OWNER, .pid = 2, .known = true };
static const struct caller behind_broker = { .uid = 1000, .gid = 1000, .pid = 0 }; /* what stands there is nobody's */
static const struct caller in_the_clear = { .clear = true };
static const struct caller key_north = { .uid = (uid_t)-1, .gid = (gid_t)-1, .known = true, .keyed = true,
					 .key_name = "north", .born = 11 };
static const struct caller key_south = { .uid = (uid_t)-1, .gid = (gid_t)-1, .known = true, .keyed = true,
					 .key_name = "south", .born = 12 };

static struct access_rule *rule(struct access *access, enum access_who who, uint32_t number, enum right right)
{
	struct access_rule *rule = access_add(access);

	assert_non_null(rule);
	rule->who = who;
	rule->number = number;
	rule->right = right;
	return rule;
}

/* ---- rules ---- */

static void without_rules_root_and_the_owners_user_may_everything_and_others_nothing(void **state)
{
	struct access access;

	(void)state;
	access_init(&access, OWNER);
	assert_int_equal(access_right(&access, &root), RIGHT_ADMIN);
	assert_int_equal(access_right(&access, &master), RIGHT_ADMIN);
	const struct caller *others[] = { &alice, &bob, &behind_broker, &in_the_clear, &key_north };
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_int_equal(access_right(&access, others[i]), RIGHT_NONE);
	access_clear(&access);
}

/* What the transport leaves in fields that it does not fill is not believed. */
static void who_is_not_known_is_nobody_whatever_uid_stands_there(void **state)
{
	const struct caller unknown_root = { .uid = 0 }, unknown_owner = { .uid = OWNER };
	struct access access;

	(void)state;
	access_init(&access, OWNER);
	assert_int_equal(access_right(&access, &unknown_root), RIGHT_NONE);
	assert_int_equal(access_right(&access, &unknown_owner), RIGHT_NONE);
	rule(&access, WHO_USER, 1000, RIGHT_ADMIN);
	rule(&access, WHO_USER, 0, RIGHT_ADMIN);
	rule(&access, WHO_GROUP, 1000, RIGHT_ADMIN);
	rule(&access, WHO_ANYONE, 0, RIGHT_COMMAND);
	assert_int_equal(access_right(&access, &behind_broker), RIGHT_NONE);
	assert_int_equal(access_right(&access, &unknown_root), RIGHT_NONE);
	assert_int_equal(access_right(&access, &in_the_clear), RIGHT_NONE);
	access_clear(&access);
}

static void the_first_rule_that_fits_decides(void **state)
{
	struct access access;

	(void)state;
	access_init(&access, OWNER);
	rule(&access, WHO_USER, 1000, RIGHT_NONE);
	rule(&access, WHO_GROUP, 1001, RIGHT_ADMIN);
	rule(&access, WHO_ANYONE, 0, RIGHT_QUERY);
	assert_int_equal(access_right(&access, &alice), RIGHT_NONE);
	assert_int_equal(access_right(&access, &bob), RIGHT_ADMIN);
	const struct caller carol = { .uid = 1002, .gid = 1002, .pid = 5, .known = true };
	assert_int_equal(access_right(&access, &carol), RIGHT_QUERY);
	access_clear(&access);
}

static void root_and_the_owners_user_lose_a_right_only_by_their_names(void **state)
{
	struct access access;

	(void)state;
	access_init(&access, OWNER);
	rule(&access, WHO_ANYONE, 0, RIGHT_NONE);
	rule(&access, WHO_GROUP, OWNER, RIGHT_QUERY);
	assert_int_equal(access_right(&access, &root), RIGHT_ADMIN);
	assert_int_equal(access_right(&access, &master), RIGHT_ADMIN);
	rule(&access, WHO_USER, OWNER, RIGHT_QUERY);
	assert_int_equal(access_right(&access, &master), RIGHT_QUERY);
	assert_int_equal(access_right(&access, &root), RIGHT_ADMIN);
	access_clear(&access);
}

static void a_group_is_that_of_the_process_or_of_a_listed_member(void **state)
{
	const struct caller staff = { .uid = 5, .gid = STAFF, .pid = 9, .known = true };
	struct access access;

	(void)state;
	access_init(&access, OWNER);
	struct access_rule *group = rule(&access, WHO_GROUP, STAFF, RIGHT_COMMAND);
	for (uid_t uid = 2000; uid < 2100; uid++)
		assert_true(access_rule_member(group, uid));
	assert_true(access_rule_member(group, alice.uid));
	assert_int_equal(access_right(&access, &staff), RIGHT_COMMAND);
	assert_int_equal(access_right(&access, &alice), RIGHT_COMMAND);
	assert_int_equal(access_right(&access, &bob), RIGHT_NONE);
	access_clear(&access);
}

static void keys_and_classes_are_told_apart(void **state)
{
	struct access access;

	(void)state;
	access_init(&access, OWNER);
	strcpy(rule(&access, WHO_KEY, 0, RIGHT_COMMAND)->key, "north");
	assert_int_equal(access_right(&access, &key_north), RIGHT_COMMAND);
	assert_int_equal(access_right(&access, &key_south), RIGHT_NONE);
	rule(&access, WHO_ANY_KEY, 0, RIGHT_QUERY);
	assert_int_equal(access_right(&access, &key_south), RIGHT_QUERY);
	assert_int_equal(access_right(&access, &alice), RIGHT_NONE);
	rule(&access, WHO_RELAYED, 0, RIGHT_QUERY);
	assert_int_equal(access_right(&access, &behind_broker), RIGHT_QUERY);
	assert_int_equal(access_right(&access, &in_the_clear), RIGHT_NONE);
	rule(&access, WHO_CLEAR, 0, RIGHT_COMMAND);
	assert_int_equal(access_right(&access, &in_the_clear), RIGHT_COMMAND);
	assert_int_equal(access_right(&access, &behind_broker), RIGHT_QUERY);
	access_clear(&access);
}

/* Its name may have been cut to that of another; and one that was read from a disk has none. */
static void a_key_whose_name_is_not_known_for_sure_fits_no_name(void **state)
{
	struct caller key = key_north;
	struct access access;

	(void)state;
	access_init(&access, OWNER);
	struct access_rule *long_name = rule(&access, WHO_KEY, 0, RIGHT_ADMIN);
	memset(long_name->key, 'k', KEY_NAME_MAX - 1);
	memset(key.key_name, 'k', KEY_NAME_MAX - 1);
	key.key_name[KEY_NAME_MAX - 1] = '\0';
	assert_int_equal(access_right(&access, &key), RIGHT_NONE);
	key.key_name[ACCESS_KEY_BYTES] = long_name->key[ACCESS_KEY_BYTES] = '\0';
	assert_int_equal(access_right(&access, &key), RIGHT_ADMIN);
	memset(key.key_name, 0, sizeof key.key_name);
	memset(long_name->key, 0, sizeof long_name->key);
	assert_int_equal(access_right(&access, &key), RIGHT_NONE);
	access_clear(&access);
}

static void operations_that_are_listed_are_all_that_is_allowed(void **state)
{
	struct access access;

	(void)state;
	access_init(&access, OWNER);
	struct access_rule *some = rule(&access, WHO_ANYONE, 0, RIGHT_COMMAND);
	assert_true(access_allows(some, DELETE, false));
	assert_true(access_allows(some, ACCESS_WATCH, true));
	assert_true(access_rule_operation(some, GET));
	assert_true(access_rule_operation(some, UINT16_MAX));
	assert_true(access_allows(some, GET, true));
	assert_true(access_allows(some, UINT16_MAX, false));
	assert_false(access_allows(some, PUT, false));
	assert_false(access_allows(some, ACCESS_WATCH, true));
	some->right = RIGHT_QUERY;
	assert_true(access_allows(some, GET, true));
	assert_false(access_allows(some, UINT16_MAX, false));
	access_clear(&access);
}

static void there_are_only_so_many_rules(void **state)
{
	struct access access;

	(void)state;
	access_init(&access, OWNER);
	for (int i = 0; i < ACCESS_RULES_MAX; i++)
		assert_non_null(access_add(&access));
	assert_null(access_add(&access));
	access_clear(&access);
}

/* ---- who was refused ---- */

static void a_loud_sender_takes_one_place_and_hides_nobody(void **state)
{
	struct denials denials = { 0 };
	char words[96];

	(void)state;
	for (int i = 0; i < 1000; i++)
		denials_note(&denials, &alice, "put");
	denials_note(&denials, &bob, "get");
	denials_note(&denials, &alice_again, "backup");
	denials_note(&denials, &key_north, "put");
	denials_note(&denials, &key_south, "put");
	denials_note(&denials, &behind_broker, "put");
	denials_note(&denials, &in_the_clear, "put");
	assert_int_equal(denials.count, 6);
	assert_int_equal(denials.list[0].times, 1001);
	assert_string_equal(denials.list[0].what, "put");
	caller_words(&denials.list[0].caller, words, sizeof words);
	assert_string_equal(words, "uid 1000, pid 10");
	caller_words(&key_south, words, sizeof words);
	assert_string_equal(words, "the key 'south'");
	for (uid_t uid = 5000; uid < 5100; uid++)
		denials_note(&denials, &(struct caller){ .uid = uid, .known = true }, "get");
	assert_int_equal(denials.count, DENIALS_MAX);
	assert_int_equal(denials.others, 100 - (DENIALS_MAX - 6));
	denials_forget_first(&denials);
	assert_int_equal(denials.list[0].caller.uid, bob.uid);
}

static size_t lines;
static uint64_t accounted;

static void count_line(const char *line, size_t bytes)
{
	const char *more = strstr(line, ", and ");

	(void)bytes;
	lines++;
	accounted += 1 + (more != NULL ? strtoull(more + 6, NULL, 10) : 0);
}

/* Refused ten times a second for an hour, and then again after a quiet while. */
static void the_log_of_refusals_stays_short_and_accounts_for_all(void **state)
{
	enum { TIMES = 36000, EVERY_MS = 100 };
	struct denials denials = { 0 };
	struct denial_log log;
	int64_t now_ns = 5 * NS_PER_S, due_ns = 0;

	(void)state;
	lines = accounted = 0;
	log_redirect(count_line);
	denial_log_init(&log, now_ns);
	for (int i = 0; i < TIMES; i++, now_ns += EVERY_MS * NS_PER_MS) {
		denials_note(&denials, i % 2 ? &alice : &bob, "put");
		if (now_ns >= due_ns)
			due_ns = denial_log_tell(&log, &denials, now_ns);
		if (due_ns == INT64_MAX)
			due_ns = 0; /* nothing was left: called again with the next */
		if (i == 0)
			assert_int_equal(lines, 1); /* the first at once */
	}
	assert_true(lines >= 360 && lines <= 360 + 2 * 16);
	now_ns += 3600 * NS_PER_S;
	size_t before = lines;
	denial_log_tell(&log, &denials, now_ns);
	denials_note(&denials, &alice, "put");
	assert_int_equal(denial_log_tell(&log, &denials, now_ns + NS_PER_S), INT64_MAX);
	assert_true(lines > before);
	denials_note(&denials, &alice, "put");
	denial_log_end(&denials);
	log_redirect(NULL);
	assert_int_equal(accounted, TIMES + 2);
}

/* ---- an owner with rules ---- */

struct bench {
	struct rig *rig;
	struct bench_outlet *outlet;
	struct access access, other;
};

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof *bench);

	assert_non_null(bench);
	access_init(&bench->access, OWNER);
	access_init(&bench->other, OWNER);
	bench->outlet = outlet_new();
	bench->rig = rig_new();
	bench->rig->uid = OWNER;
	bench->rig->access = &bench->access;
	assert_true(rig_start(bench->rig, &table_behaviour, 1));
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	assert_sound(bench->rig);
	outlet_free(bench->outlet);
	rig_free(bench->rig);
	access_clear(&bench->access);
	access_clear(&bench->other);
	free(bench);
	return 0;
}

#define ON_A_BENCH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static enum code put(struct rig *rig, const struct caller *caller, uint64_t session, uint64_t sequence, const char *key)
{
	rig_message(rig, caller, true);
	rig_command(rig, session, sequence);
	rig_put(rig, key, value_integer((int64_t)sequence));
	rig_round(rig);
	return (enum code)rig_answer(rig, 0)->header.code;
}

/* Whatever it is: an item of each kind, well formed or not. */
static void who_has_no_right_hears_nothing_but_that(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	uint64_t revision = rig_revision(rig), session = rig_session(rig, &master, 1);
	const uint8_t kinds[] = { ITEM_HELLO, ITEM_OPEN, ITEM_GOODBYE, ITEM_RUN, ITEM_CANCEL, ITEM_PING, ITEM_STATUS,
				  ITEM_STATS, ITEM_DESCRIBE, ITEM_WATCH, ITEM_UNWATCH, ITEM_RECEIVED, ITEM_OUTCOME,
				  ITEM_BACKUP, ITEM_SESSIONS, ITEM_END_SESSION, ITEM_READ_ONLY };
	enum { KINDS = sizeof kinds };

	revision = rig_revision(rig);
	for (int named = 0; named < 2; named++) {
		rig_message(rig, &alice, true);
		for (size_t i = 0; i < KINDS; i++)
			rig_item(rig, &(struct request_header){ .kind = kinds[i], .session = named ? session : 0, .sequence = 1 });
		rig_message(rig, &alice, false);
		rig_hello(rig, 1, 1, true);
		rig_query(rig, 0, 1);
		rig_get(rig, "k");
		rig_round(rig);
		assert_int_equal(rig->answer_count, KINDS + 2);
		for (size_t i = 0; i < rig->answer_count; i++)
			assert_int_equal(rig_answer(rig, i)->header.code, CODE_DENIED);
		assert_false(rig->messages[1].notices);
	}
	assert_int_equal(rig_revision(rig), revision);
	assert_int_equal(rig->counters.reads + rig->counters.writes, 0);
	assert_true(rig->counters.access_denied >= 2 * (KINDS + 2) - 2); /* a RUN that names a session of somebody else is counted as that */
	assert_int_equal(service_denials(rig->service)->count, 1);
}

static void who_may_query_reads_and_has_no_session(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	rule(&bench->access, WHO_USER, alice.uid, RIGHT_QUERY);
	uint64_t revision = rig_revision(rig);
	rig_message(rig, &alice, true);
	rig_open(rig, 1, 0);
	rig_command(rig, SESSION_OPENED, 1);
	rig_put(rig, "k", value_integer(1));
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	rig_command(rig, 0, 2); /* not marked as a query, and one all the same */
	rig_get(rig, "k");
	rig_command(rig, 0, 3);
	rig_get(rig, "k");
	rig_put(rig, "k", value_integer(1));
	rig_simple(rig, ITEM_STATUS);
	rig_round(rig);
	rig_refused(rig, 0, CODE_DENIED, -1, "right 'command'");
	rig_is(rig, 1, ITEM_RUN, CODE_DENIED);
	rig_is(rig, 2, ITEM_RUN, CODE_OK);
	rig_is(rig, 3, ITEM_RUN, CODE_OK);
	rig_is(rig, 4, ITEM_RUN, CODE_DENIED);
	rig_is(rig, 5, ITEM_STATUS, CODE_OK);
	assert_int_equal(rig_revision(rig), revision);
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

static void a_command_that_is_denied_takes_its_place_and_its_retry_hears_the_same(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	struct access_rule *some = rule(&bench->access, WHO_USER, alice.uid, RIGHT_COMMAND);
	assert_true(access_rule_operation(some, PUT));
	uint64_t session = rig_session(rig, &alice, 1);
	assert_int_equal(put(rig, &alice, session, 1, "k"), CODE_OK);
	for (int times = 0; times < 2; times++) {
		rig_message(rig, &alice, true);
		rig_command(rig, session, 2);
		rig_put(rig, "k", value_integer(100));
		rig_delete(rig, "k");
		rig_command(rig, session, 3);
		rig_put(rig, "k", value_integer(3));
		rig_round(rig);
		rig_is(rig, 0, ITEM_RUN, CODE_DENIED);
		rig_is(rig, 1, ITEM_RUN, CODE_OK);
		assert_int_equal(rig->counters.access_denied, 1);
		/* The rule has changed since: what was refused stays so. */
		if (times == 0)
			assert_true(access_rule_operation(some, DELETE));
	}
	assert_int_equal(rig_look(rig, "k"), 3);
	assert_int_equal(rig->counters.requests_repeated, 2);
}

static void operations_behind_otherwise_are_judged_too(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	const struct value expected[] = { value_text("k"), value_integer(1) };

	struct access_rule *some = rule(&bench->access, WHO_USER, alice.uid, RIGHT_COMMAND);
	assert_true(access_rule_operation(some, PUT));
	assert_true(access_rule_operation(some, 16));
	rig_message(rig, &alice, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_RUN, .flags = REQUEST_FLAG_OTHERWISE });
	rig_operation(rig, 16, expected, 2);
	rig_operation(rig, OPERATION_OTHERWISE, NULL, 0);
	rig_delete(rig, "k");
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_DENIED);
}

static void a_watch_takes_the_right_and_its_name_among_operations(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	const struct value list[] = { value_text(""), value_integer(0), value_integer(0), value_integer(0) };

	struct access_rule *some = rule(&bench->access, WHO_USER, alice.uid, RIGHT_QUERY);
	for (int i = 0; i < 3; i++) {
		rig_by(rig, &alice, 7);
		rig_item(rig, &(struct request_header){ .kind = ITEM_WATCH, .sequence = (uint64_t)i + 1 });
		rig_list(rig, list, 4);
		rig_round(rig);
		rig_is(rig, 0, ITEM_WATCH, i == 1 ? CODE_DENIED : CODE_OK);
		assert_true(access_rule_operation(some, i == 0 ? GET : ACCESS_WATCH));
	}
}

static void another_users_session_is_not_to_be_had_whatever_the_right(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	rule(&bench->access, WHO_ANYONE, 0, RIGHT_COMMAND);
	rule(&bench->access, WHO_ANY_KEY, 0, RIGHT_COMMAND);
	rule(&bench->access, WHO_RELAYED, 0, RIGHT_COMMAND);
	uint64_t of_alice = rig_session(rig, &alice, 1), of_north = rig_session(rig, &key_north, 2);
	assert_int_equal(put(rig, &alice, of_alice, 1, "a"), CODE_OK);
	assert_int_equal(put(rig, &key_north, of_north, 1, "n"), CODE_OK);
	const struct caller *strangers[] = { &bob, &behind_broker, &key_north, &key_south, &root };
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
		assert_int_equal(put(rig, strangers[i], of_alice, 1, "a"), CODE_DENIED); /* the same again: its reply is not told */
		assert_int_equal(put(rig, strangers[i], of_alice, 2, "a"), CODE_DENIED);
	}
	const struct caller *keyless[] = { &alice, &behind_broker, &key_south };
	for (size_t i = 0; i < sizeof keyless / sizeof *keyless; i++)
		assert_int_equal(put(rig, keyless[i], of_north, 2, "n"), CODE_DENIED);
	rig_message(rig, &bob, true);
	rig_open(rig, 1, 0); /* with the nonce of alice's */
	rig_cancel(rig, of_alice, 2, false);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = of_alice });
	rig_round(rig);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(rig_answer(rig, i)->header.code, CODE_DENIED);
	assert_int_equal(put(rig, &alice, of_alice, 2, "a"), CODE_OK);
	assert_int_equal(rig_look(rig, "a"), 2);
	assert_true(service_denials(rig->service)->count >= 4);
}

static void cancels_of_who_has_no_right_withdraw_nothing(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	rule(&bench->access, WHO_USER, alice.uid, RIGHT_COMMAND);
	uint64_t session = rig_session(rig, &alice, 1);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_put(rig, "k", value_integer(1));
	rig_message(rig, &bob, true);
	rig_cancel(rig, session, 1, false);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_is(rig, 1, ITEM_CANCEL, CODE_DENIED);
}

/* An owner notes so many cancels ahead: those of strangers do not take the place of others'. */
static void cancels_of_who_has_no_right_keep_no_others_from_overtaking(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	rule(&bench->access, WHO_USER, alice.uid, RIGHT_COMMAND);
	uint64_t session = rig_session(rig, &alice, 1);
	rig_message(rig, &bob, true);
	for (uint64_t i = 1; i <= PROTOCOL_ITEMS_MAX; i++)
		rig_cancel(rig, 1, i, false);
	rig_message(rig, &alice, true);
	rig_command(rig, session, 1);
	rig_put(rig, "k", value_integer(1));
	rig_message(rig, &alice, true);
	rig_cancel(rig, session, 1, false);
	rig_round(rig);
	rig_is(rig, PROTOCOL_ITEMS_MAX, ITEM_RUN, CODE_CANCELLED);
	assert_int_equal(rig_look(rig, "k"), INT64_MIN);
}

/* ---- rules that change ---- */

static void who_loses_the_right_loses_what_the_sessions_held_and_the_watches(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	const struct value list[] = { value_text(""), value_integer(0), value_integer(0), value_integer(0) };
	const struct value name = value_text("l");
	int64_t next_ns;

	rule(&bench->access, WHO_ANYONE, 0, RIGHT_COMMAND);
	uint64_t of_alice = rig_session(rig, &alice, 1), of_bob = rig_session(rig, &bob, 2);
	rig_message(rig, &alice, true);
	rig_command(rig, of_alice, 1);
	rig_operation(rig, LOCK, &name, 1);
	rig_message(rig, &bob, true);
	rig_command(rig, of_bob, 1);
	rig_operation(rig, LOCK, &name, 1);
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_is(rig, 1, ITEM_RUN, CODE_WAITING);
	for (int i = 0; i < 2; i++) {
		rig_by(rig, i == 0 ? &alice : &bob, 7 + (uint64_t)i);
		rig_item(rig, &(struct request_header){ .kind = ITEM_WATCH, .sequence = 1 });
		rig_list(rig, list, 4);
		rig_round(rig);
		rig_is(rig, 0, ITEM_WATCH, CODE_OK);
	}
	outlet_deliver(bench->outlet, rig);

	rule(&bench->other, WHO_USER, bob.uid, RIGHT_COMMAND);
	struct revoked revoked = service_set_access(rig->service, &bench->other);
	assert_int_equal(revoked.sessions, 1);
	assert_int_equal(revoked.watches, 1);
	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	assert_null(sessions_find(core_sessions(service_core(rig->service)), of_alice));
	assert_int_equal(rig->counters.sessions_ended, 1);
	assert_int_equal(rig->counters.answers_late, 1); /* bob's lock */
	size_t before = bench->outlet->count;
	assert_int_equal(put(rig, &bob, of_bob, 2, "k"), CODE_OK);
	outlet_deliver(bench->outlet, rig);
	size_t told = 0;
	for (size_t i = before; i < bench->outlet->count; i++) {
		const struct notice *notice = &bench->outlet->notices[i];
		if (notice->connection != 7)
			continue;
		assert_int_equal(notice->header.kind, ITEM_EVENTS);
		assert_int_equal(notice->header.code, CODE_DENIED);
		told++;
	}
	assert_int_equal(told, 1);
	assert_int_equal(put(rig, &alice, of_alice, 2, "k"), CODE_SESSION_FORGOTTEN);
}

static void a_trace_of_who_may_not_administer_any_more_ends_and_shows_nothing(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	const struct value list[] = { value_none(), value_none(), value_integer(0), value_integer(0) };

	rule(&bench->access, WHO_USER, alice.uid, RIGHT_ADMIN);
	rule(&bench->other, WHO_USER, alice.uid, RIGHT_COMMAND);
	rig_by(rig, &alice, 7);
	rig_item(rig, &(struct request_header){ .kind = ITEM_TRACE, .sequence = 1 });
	rig_list(rig, list, 4);
	rig_round(rig);
	rig_is(rig, 0, ITEM_TRACE, CODE_OK);
	assert_int_equal(service_set_access(rig->service, &bench->other).watches, 1);
	assert_int_equal(put(rig, &master, 0, 0, "k"), CODE_OK);
	outlet_deliver(bench->outlet, rig);
	assert_int_equal(bench->outlet->count, 1);
	assert_int_equal(bench->outlet->notices[0].header.kind, ITEM_TRACED);
	assert_int_equal(bench->outlet->notices[0].header.code, CODE_DENIED);
	assert_int_equal(put(rig, &master, 0, 0, "k"), CODE_OK);
	outlet_deliver(bench->outlet, rig);
	assert_int_equal(bench->outlet->count, 1);
}

/* Of one that an owner before this one has opened, the name of the key is not known until it is heard of again. */
static void a_session_ends_when_its_user_is_heard_of_without_the_right(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	int64_t next_ns;

	strcpy(rule(&bench->access, WHO_KEY, 0, RIGHT_COMMAND)->key, "north");
	strcpy(rule(&bench->other, WHO_KEY, 0, RIGHT_QUERY)->key, "north");
	uint64_t session = rig_session(rig, &key_north, 1);
	memset(sessions_find(core_sessions(service_core(rig->service)), session)->opener.key_name, 0, KEY_NAME_MAX);
	assert_int_equal(service_set_access(rig->service, &bench->other).sessions, 0);
	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	assert_non_null(sessions_find(core_sessions(service_core(rig->service)), session));
	assert_int_equal(put(rig, &key_north, session, 1, "k"), CODE_DENIED);
	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	assert_null(sessions_find(core_sessions(service_core(rig->service)), session));
}

/* ---- what administrators ask ---- */

static void sessions_are_listed_once_each_over_pages(void **state)
{
	enum { SESSIONS = 2500 };
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	static uint64_t seen[SESSIONS];
	size_t count = 0, pages = 0;
	struct value cursor = value_integer(0);

	for (size_t i = 0; i < SESSIONS; i++) {
		uint8_t nonce[PROTOCOL_NONCE_BYTES] = { (uint8_t)i, (uint8_t)(i >> 8), 1 };
		struct session *session;
		assert_int_equal(core_open_session(service_core(rig->service), &alice, nonce, 1000, &session), CODE_OK);
	}
	while (cursor.type == VALUE_INTEGER) {
		rig_message(rig, &root, true);
		rig_simple(rig, ITEM_SESSIONS);
		rig_list(rig, &cursor, 1);
		rig_round(rig);
		rig_is(rig, 0, ITEM_SESSIONS, CODE_OK);
		struct wire_reader payload = rig_answer(rig, 0)->payload;
		struct value values[WIRE_LIST_MAX];
		size_t values_count;
		assert_true(wire_read_list(&payload, &cursor, 1, &values_count));
		while (payload.left > 0) {
			assert_true(wire_read_list(&payload, values, WIRE_LIST_MAX, &values_count));
			assert_int_equal(values_count, 10);
			assert_int_equal(values[1].integer, alice.uid);
			assert_int_equal(values[3].integer, alice.pid);
			assert_int_equal(values[4].type, VALUE_NONE);
			assert_true(count < SESSIONS);
			seen[count++] = (uint64_t)values[0].integer;
		}
		pages++;
	}
	assert_int_equal(count, SESSIONS);
	assert_true(pages >= 3);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(seen[i], seen[k]);
}

static void an_administrator_ends_any_session_and_nobody_else_does(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;

	rule(&bench->access, WHO_ANYONE, 0, RIGHT_COMMAND);
	uint64_t session = rig_session(rig, &alice, 1);
	const struct value id = value_integer((int64_t)session), none = value_integer(5);
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_END_SESSION);
	rig_list(rig, &id, 1);
	rig_message(rig, &root, true);
	rig_simple(rig, ITEM_END_SESSION);
	rig_list(rig, &none, 1);
	rig_simple(rig, ITEM_END_SESSION);
	rig_simple(rig, ITEM_END_SESSION);
	rig_list(rig, &id, 1);
	rig_simple(rig, ITEM_END_SESSION);
	rig_list(rig, &id, 1);
	rig_round(rig);
	rig_is(rig, 0, ITEM_END_SESSION, CODE_DENIED);
	rig_is(rig, 1, ITEM_END_SESSION, CODE_CONFLICT);
	rig_is(rig, 2, ITEM_END_SESSION, CODE_INVALID);
	rig_is(rig, 3, ITEM_END_SESSION, CODE_OK);
	rig_is(rig, 4, ITEM_END_SESSION, CODE_CONFLICT);
	assert_int_equal(rig->counters.sessions_ended, 1);
	assert_int_equal(put(rig, &alice, session, 1, "k"), CODE_SESSION_FORGOTTEN);
}

static void read_only(struct rig *rig, const struct caller *caller, int64_t wanted, enum code code, int64_t now)
{
	const struct value list = value_integer(wanted);

	rig_message(rig, caller, true);
	rig_simple(rig, ITEM_READ_ONLY);
	if (wanted >= 0)
		rig_list(rig, &list, 1);
	rig_round(rig);
	rig_is(rig, 0, ITEM_READ_ONLY, code);
	if (code == CODE_OK)
		assert_int_equal(rig_integer(rig, 0, 0, 0), now);
}

static void an_owner_that_is_read_only_refuses_commands_in_their_place(void **state)
{
	struct bench *bench = *state;
	struct rig *rig = bench->rig;
	const struct caller *by;

	rule(&bench->access, WHO_ANYONE, 0, RIGHT_COMMAND);
	uint64_t session = rig_session(rig, &alice, 1);
	assert_int_equal(put(rig, &alice, session, 1, "k"), CODE_OK);
	read_only(rig, &alice, 1, CODE_DENIED, 0);
	read_only(rig, &master, -1, CODE_OK, 0);
	read_only(rig, &master, 2, CODE_INVALID, 0);
	read_only(rig, &master, 1, CODE_OK, 1);
	assert_true(service_is_read_only(rig->service, &by) && by != NULL && by->uid == OWNER);
	assert_int_equal(put(rig, &alice, session, 2, "k"), CODE_READ_ONLY);
	assert_int_equal(put(rig, &root, 0, 0, "k"), CODE_READ_ONLY);
	assert_int_equal(put(rig, &alice, session, 1, "k"), CODE_OK); /* a retry of what ran */
	rig_message(rig, &alice, true);
	rig_query(rig, 0, 1);
	rig_get(rig, "k");
	rig_command(rig, session, 3); /* only queries, whatever it is called */
	rig_get(rig, "k");
	rig_round(rig);
	rig_is(rig, 0, ITEM_RUN, CODE_OK);
	rig_is(rig, 1, ITEM_RUN, CODE_OK);
	read_only(rig, &master, 0, CODE_OK, 0);
	assert_int_equal(put(rig, &alice, session, 2, "k"), CODE_READ_ONLY); /* it was refused, and stays so */
	assert_int_equal(put(rig, &alice, session, 4, "k"), CODE_OK);
	assert_int_equal(rig_look(rig, "k"), 4);
	assert_int_equal(rig->counters.read_only_refused, 2);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(without_rules_root_and_the_owners_user_may_everything_and_others_nothing),
	cmocka_unit_test(who_is_not_known_is_nobody_whatever_uid_stands_there),
	cmocka_unit_test(the_first_rule_that_fits_decides),
	cmocka_unit_test(root_and_the_owners_user_lose_a_right_only_by_their_names),
	cmocka_unit_test(a_group_is_that_of_the_process_or_of_a_listed_member),
	cmocka_unit_test(keys_and_classes_are_told_apart),
	cmocka_unit_test(a_key_whose_name_is_not_known_for_sure_fits_no_name),
	cmocka_unit_test(operations_that_are_listed_are_all_that_is_allowed),
	cmocka_unit_test(there_are_only_so_many_rules),
	cmocka_unit_test(a_loud_sender_takes_one_place_and_hides_nobody),
	cmocka_unit_test(the_log_of_refusals_stays_short_and_accounts_for_all),
	ON_A_BENCH(who_has_no_right_hears_nothing_but_that),
	ON_A_BENCH(who_may_query_reads_and_has_no_session),
	ON_A_BENCH(a_command_that_is_denied_takes_its_place_and_its_retry_hears_the_same),
	ON_A_BENCH(operations_behind_otherwise_are_judged_too),
	ON_A_BENCH(a_watch_takes_the_right_and_its_name_among_operations),
	ON_A_BENCH(another_users_session_is_not_to_be_had_whatever_the_right),
	ON_A_BENCH(cancels_of_who_has_no_right_withdraw_nothing),
	ON_A_BENCH(cancels_of_who_has_no_right_keep_no_others_from_overtaking),
	ON_A_BENCH(who_loses_the_right_loses_what_the_sessions_held_and_the_watches),
	ON_A_BENCH(a_trace_of_who_may_not_administer_any_more_ends_and_shows_nothing),
	ON_A_BENCH(a_session_ends_when_its_user_is_heard_of_without_the_right),
	ON_A_BENCH(sessions_are_listed_once_each_over_pages),
	ON_A_BENCH(an_administrator_ends_any_session_and_nobody_else_does),
	ON_A_BENCH(an_owner_that_is_read_only_refuses_commands_in_their_place),
};

UNIT_MAIN(tests)
