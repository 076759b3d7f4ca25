/* SPDX-License-Identifier: MIT
 *
 * The table of sessions: who may use which, and what is remembered for retries.
 */
#include "tests/lib/unit.h"

#include "owner/core/session.h"

#include <string.h>

enum { MANY = 5000, KILOBYTE = 1024 };

static const struct caller alice = { .uid = 1000, .gid = 1000, .pid = 10, .known = true };
static const struct caller alice_again = { .uid = 1000, .gid = 7, .pid = 11, .known = true };
static const struct caller bob = { .uid = 1001, .gid = 1000, .pid = 12, .known = true };
static const struct caller key = { .uid = (uid_t)-1, .gid = (gid_t)-1, .known = true, .keyed = true, .born = 17 };
static const struct caller key_read = { .uid = (uid_t)-1, .gid = (gid_t)-1, .known = true, .born = 17 };
static const struct caller key_other = { .uid = (uid_t)-1, .gid = (gid_t)-1, .known = true, .keyed = true, .born = 18 };
static const struct caller nobody = { .uid = 1000, .gid = 1000, .pid = 0, .known = false };

static struct sessions *new_sessions(size_t most, uint64_t bytes)
{
	struct sessions *sessions = sessions_new(0x123456789abcdef0, most, bytes);

	assert_non_null(sessions);
	return sessions;
}

static void make_nonce(uint64_t number, uint8_t nonce[PROTOCOL_NONCE_BYTES])
{
	memset(nonce, 0, PROTOCOL_NONCE_BYTES);
	/* Behind the bytes that are hashed, so that many are in one place of the table. */
	memcpy(nonce + 8, &number, sizeof number);
	nonce[0] = (uint8_t)number;
}

static struct session *open_session(struct sessions *sessions, uint64_t number)
{
	uint8_t nonce[PROTOCOL_NONCE_BYTES];
	struct session *session = NULL;
	bool new = false;

	make_nonce(number, nonce);
	assert_int_equal(sessions_open(sessions, &alice, nonce, &session, &new), CODE_OK);
	assert_true(new);
	return session;
}

/* Stores a reply of `size` bytes that say which one it is. */
static unsigned answer(struct sessions *sessions, struct session *session, size_t size)
{
	uint8_t payload[8 * KILOBYTE];

	assert_true(size <= sizeof payload);
	memset(payload, (int)(session->last + 1), size);
	assert_int_equal(session_reserve(session, 0), CODE_OK);
	return session_store(sessions, session, (uint16_t)((session->last + 1) % 7), 100 + session->last + 1,
			     payload, size);
}

static void assert_stored(const struct session *session, uint64_t sequence, size_t size)
{
	const struct stored_reply *reply = session_stored(session, sequence);

	assert_non_null(reply);
	assert_int_equal(reply->size, size);
	assert_int_equal(reply->code, sequence % 7);
	assert_int_equal(reply->revision, 100 + sequence);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(stored_payload(reply)[i], (uint8_t)sequence);
}

static void a_session_is_found_by_its_id_until_it_ends(void **state)
{
	(void)state;
	struct sessions *sessions = new_sessions(10, KILOBYTE);
	struct session *one = open_session(sessions, 1), *two = open_session(sessions, 2);
	uint64_t id = one->id;

	assert_true(one->id != two->id);
	assert_ptr_equal(sessions_find(sessions, one->id), one);
	assert_ptr_equal(sessions_find(sessions, two->id), two);
	assert_null(sessions_find(sessions, 0));
	assert_null(sessions_find(sessions, UINT64_MAX));
	assert_null(sessions_find(sessions, SESSION_OPENED));
	assert_null(sessions_find(sessions, id ^ (1ULL << 40)));
	assert_null(sessions_find(sessions, id ^ 1));
	assert_int_equal(sessions_count(sessions), 2);
	sessions_end(sessions, &one);
	assert_null(one);
	assert_null(sessions_find(sessions, id));
	assert_int_equal(sessions_count(sessions), 1);
	struct session *three = open_session(sessions, 3); /* takes the slot, not the id */
	assert_true(three->id != id);
	assert_null(sessions_find(sessions, id));
	sessions_destroy(&sessions);
	assert_null(sessions);
	sessions_destroy(&sessions);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void ids_never_repeat(void **state)
{
	(void)state;
	static uint64_t ids[MANY];
	static const uint64_t seeds[] = { 0, 1, UINT64_MAX, 0x8000000000000000 };

	for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
		struct sessions *sessions = sessions_new(seeds[s], 10, KILOBYTE);
		struct session *open[10] = { 0 };
		for (size_t i = 0; i < MANY; i++) {
			if (open[i % 10] != NULL)
				sessions_end(sessions, &open[i % 10]);
			open[i % 10] = open_session(sessions, i);
			ids[i] = open[i % 10]->id;
			assert_true(ids[i] != 0);
			assert_true(ids[i] != SESSION_OPENED);
		}
		qsort(ids, MANY, sizeof *ids, by_size);
		for (size_t i = 1; i < MANY; i++)
			assert_true(ids[i] != ids[i - 1]);
		sessions_destroy(&sessions);
	}
}

static void incarnations_with_other_seeds_have_other_ids(void **state)
{
	(void)state;
	struct sessions *sessions = sessions_new(0x1111111111111111, 10, KILOBYTE);
	struct sessions *later = sessions_new(0x2222222222222222, 10, KILOBYTE);

	for (uint64_t i = 0; i < 10; i++) {
		assert_null(sessions_find(later, open_session(sessions, i)->id));
		open_session(later, i);
	}
	size_t cursor = 0;
	for (struct session *session; (session = sessions_next(sessions, &cursor)) != NULL;)
		assert_null(sessions_find(later, session->id));
	sessions_destroy(&sessions);
	sessions_destroy(&later);
}

static void a_nonce_opens_once(void **state)
{
	(void)state;
	struct sessions *sessions = new_sessions(2, KILOBYTE);
	uint8_t nonce[PROTOCOL_NONCE_BYTES];
	struct session *first = open_session(sessions, 7), *again = NULL, *full = NULL;
	bool new = true;

	make_nonce(7, nonce);
	assert_int_equal(sessions_open(sessions, &alice_again, nonce, &again, &new), CODE_OK);
	assert_false(new);
	assert_ptr_equal(again, first);
	assert_int_equal(sessions_open(sessions, &bob, nonce, &again, &new), CODE_DENIED);
	assert_int_equal(sessions_count(sessions), 1);
	open_session(sessions, 8);
	make_nonce(9, nonce);
	assert_int_equal(sessions_open(sessions, &alice, nonce, &full, &new), CODE_BUSY);
	assert_null(full);
	make_nonce(7, nonce); /* the retry of one that is open is served at the limit too */
	assert_int_equal(sessions_open(sessions, &alice, nonce, &again, &new), CODE_OK);
	uint64_t id = first->id;
	sessions_end(sessions, &first);
	assert_int_equal(sessions_open(sessions, &alice, nonce, &again, &new), CODE_OK);
	assert_true(new);
	assert_true(again->id != id);
	sessions_destroy(&sessions);
}

static void a_session_is_of_the_user_or_key_that_opened_it(void **state)
{
	(void)state;
	struct sessions *sessions = new_sessions(3, KILOBYTE);
	struct session *session = open_session(sessions, 1), *unknown = NULL;
	uint8_t nonce[PROTOCOL_NONCE_BYTES];
	bool new;

	assert_true(session_belongs(session, &alice));
	assert_true(session_belongs(session, &alice_again));
	assert_false(session_belongs(session, &bob));
	assert_false(session_belongs(session, &nobody)); /* the same number, but nobody's word for it */
	make_nonce(2, nonce);
	assert_int_equal(sessions_open(sessions, &nobody, nonce, &unknown, &new), CODE_OK);
	assert_true(session_belongs(unknown, &nobody));

	struct session *keyed;
	const uint8_t nonce_of_key[PROTOCOL_NONCE_BYTES] = { 99 };
	assert_int_equal(sessions_open(sessions, &key, nonce_of_key, &keyed, &new), CODE_OK);
	assert_true(session_belongs(keyed, &key_read)); /* as a record or a snapshot has it */
	assert_false(session_belongs(keyed, &key_other));
	assert_false(session_belongs(keyed, &alice));
	assert_false(session_belongs(keyed, &nobody));
	assert_false(session_belongs(session, &key));
	assert_int_equal(sessions_open(sessions, &key_other, nonce_of_key, &keyed, &new), CODE_DENIED);
	assert_false(session_belongs(unknown, &alice));
	sessions_destroy(&sessions);
}

static void replies_are_kept_until_acknowledged(void **state)
{
	(void)state;
	struct sessions *sessions = new_sessions(1, 64 * KILOBYTE);
	struct session *session = open_session(sessions, 1);
	static const size_t sizes[] = { 0, 1, 32, 33, 500 };

	assert_null(session_stored(session, 0));
	assert_null(session_stored(session, 1));
	session_acknowledge(session, 0);
	session_acknowledge(session, 1);
	session_acknowledge(session, UINT64_MAX); /* nothing was answered yet */
	assert_int_equal(session->oldest, 1);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(answer(sessions, session, sizes[i]), 0);
	assert_int_equal(session->last, 5);
	assert_int_equal(session->replies_bytes, 566);
	for (size_t i = 0; i < 5; i++)
		assert_stored(session, i + 1, sizes[i]);
	assert_null(session_stored(session, 6));
	session_acknowledge(session, 3);
	assert_null(session_stored(session, 2));
	assert_stored(session, 3, 32);
	session_acknowledge(session, 1); /* an old message that came late takes nothing back */
	assert_int_equal(session->oldest, 3);
	assert_stored(session, 3, 32);
	session_acknowledge(session, UINT64_MAX);
	assert_int_equal(session->oldest, 6);
	assert_int_equal(session->replies_bytes, 0);
	for (uint64_t i = 0; i <= 6; i++)
		assert_null(session_stored(session, i));
	assert_int_equal(answer(sessions, session, 40), 0);
	assert_stored(session, 6, 40);
	sessions_destroy(&sessions);
}

static void the_ring_of_replies_grows_around_what_it_holds(void **state)
{
	(void)state;
	/* Whatever part of the ring is in use when it must grow. */
	for (uint64_t before = 0; before < 20; before++) {
		struct sessions *sessions = new_sessions(1, 1 << 20);
		struct session *session = open_session(sessions, 1);
		for (uint64_t i = 0; i < before; i++) {
			session_acknowledge(session, session->last + 1);
			answer(sessions, session, i % 2 ? 10 : 100);
		}
		session_acknowledge(session, session->last + 1);
		for (uint64_t i = 0; i < PROTOCOL_WINDOW; i++)
			assert_int_equal(answer(sessions, session, i % 3 ? 20 : 200), 0);
		for (uint64_t i = 0; i < PROTOCOL_WINDOW; i++)
			assert_stored(session, before + 1 + i, i % 3 ? 20 : 200);
		sessions_destroy(&sessions);
	}
}

static void a_window_of_replies_is_the_most(void **state)
{
	(void)state;
	struct sessions *sessions = new_sessions(1, 1 << 20);
	struct session *session = open_session(sessions, 1);

	for (unsigned i = 0; i < PROTOCOL_WINDOW; i++)
		answer(sessions, session, 5);
	assert_int_equal(session_reserve(session, 0), CODE_BUSY);
	assert_int_equal(session->last, PROTOCOL_WINDOW);
	session_acknowledge(session, 2);
	assert_int_equal(answer(sessions, session, 5), 0);
	assert_stored(session, PROTOCOL_WINDOW + 1, 5);
	assert_stored(session, 2, 5);
	assert_int_equal(session_reserve(session, 0), CODE_BUSY);
	sessions_destroy(&sessions);
}

static void beyond_the_bytes_allowed_the_oldest_replies_go(void **state)
{
	(void)state;
	struct sessions *sessions = new_sessions(1, KILOBYTE);
	struct session *session = open_session(sessions, 1);

	assert_int_equal(answer(sessions, session, 400), 0);
	assert_int_equal(answer(sessions, session, 600), 0);
	assert_int_equal(answer(sessions, session, 24), 0);
	assert_int_equal(session->replies_bytes, KILOBYTE);
	assert_int_equal(answer(sessions, session, 1), 1);
	assert_null(session_stored(session, 1));
	assert_stored(session, 2, 600);
	assert_stored(session, 3, 24);
	assert_stored(session, 4, 1);
	assert_int_equal(session->replies_bytes, 625);
	assert_int_equal(answer(sessions, session, KILOBYTE + 1), 4); /* more than all may take */
	assert_int_equal(session->replies_bytes, 0);
	assert_int_equal(session->last, 5);
	for (uint64_t i = 1; i <= 5; i++)
		assert_null(session_stored(session, i));
	assert_int_equal(answer(sessions, session, 5), 0); /* its dropped replies do not stand in the way */
	assert_stored(session, 6, 5);
	session_acknowledge(session, 7);
	assert_int_equal(session->replies_bytes, 0);
	sessions_destroy(&sessions);
}

static void the_table_grows_and_is_walked_whole(void **state)
{
	(void)state;
	static uint64_t ids[MANY];
	struct sessions *sessions = new_sessions(MANY, KILOBYTE);
	struct session *session;
	uint8_t nonce[PROTOCOL_NONCE_BYTES];
	bool new;

	for (size_t i = 0; i < MANY; i++)
		ids[i] = open_session(sessions, i)->id;
	make_nonce(MANY, nonce);
	assert_int_equal(sessions_open(sessions, &alice, nonce, &session, &new), CODE_BUSY);
	for (size_t i = 0; i < MANY; i++) {
		make_nonce(i, nonce);
		assert_int_equal(sessions_open(sessions, &alice, nonce, &session, &new), CODE_OK);
		assert_false(new);
		assert_true(session->id == ids[i]);
		assert_ptr_equal(sessions_find(sessions, ids[i]), session);
	}
	size_t cursor = 0, walked = 0;
	while ((session = sessions_next(sessions, &cursor)) != NULL)
		if (walked++ % 2)
			sessions_end(sessions, &session); /* while walking */
	assert_int_equal(walked, MANY);
	assert_int_equal(sessions_count(sessions), MANY / 2);
	for (cursor = 0, walked = 0; (session = sessions_next(sessions, &cursor)) != NULL; walked++)
		assert_ptr_equal(sessions_find(sessions, session->id), session);
	assert_int_equal(walked, MANY / 2);
	sessions_destroy(&sessions);
}

/* ---- what waits ---- */

static uint64_t park(struct session *session)
{
	assert_int_equal(session_reserve(session, 0), CODE_OK);
	assert_int_equal(session_reserve_parking(session), CODE_OK);
	session_park(session);
	return session->last;
}

static unsigned answer_late(struct sessions *sessions, struct session *session, uint64_t sequence,
			    size_t size)
{
	static uint8_t payload[8 * KILOBYTE];

	memset(payload, (int)sequence, size);
	return session_answer(sessions, session, sequence, (uint16_t)(sequence % 7), 100 + sequence, payload,
			      size);
}

static void one_that_waits_has_no_reply_until_it_is_answered(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, 1, 32, 33, 600 };

	for (size_t i = 0; i < 5; i++) {
		struct sessions *sessions = new_sessions(1, KILOBYTE);
		struct session *session = open_session(sessions, 1);
		answer(sessions, session, 10);
		uint64_t sequence = park(session);
		answer(sessions, session, 10); /* the next goes on */
		assert_int_equal(sequence, 2);
		assert_int_equal(session->last, 3);
		assert_true(session_waits(session, 2));
		assert_false(session_waits(session, 1) || session_waits(session, 3) ||
			     session_waits(session, 4));
		assert_null(session_stored(session, 2));
		assert_false(session_lost_answer(session, 2));
		assert_int_equal(session_first_waiting(session), 2);
		session_acknowledge(session, 4); /* it stands beside the window */
		assert_true(session_waits(session, 2));
		session_received(session, 2); /* not yet */
		assert_true(session_waits(session, 2));
		assert_int_equal(answer_late(sessions, session, 2, sizes[i]), 0);
		assert_false(session_waits(session, 2));
		assert_int_equal(session_first_waiting(session), 0);
		assert_int_equal(session->waiting_count, 0);
		assert_stored(session, 2, sizes[i]);
		session_acknowledge(session, UINT64_MAX);
		assert_stored(session, 2, sizes[i]);
		session_received(session, 1);
		session_received(session, 2);
		session_received(session, 2);
		assert_null(session_stored(session, 2));
		assert_false(session_lost_answer(session, 2));
		assert_int_equal(session->replies_bytes, 0);
		sessions_destroy(&sessions);
	}
}

static void so_many_places_to_wait_and_the_oldest_answer_makes_room(void **state)
{
	(void)state;
	struct sessions *sessions = new_sessions(1, 1 << 20);
	struct session *session = open_session(sessions, 1);

	for (int i = 0; i < SESSION_PARKED_MAX; i++) {
		session_acknowledge(session, UINT64_MAX);
		park(session);
	}
	assert_int_equal(session_reserve_parking(session), CODE_BUSY);
	answer_late(sessions, session, 9, 40);
	answer_late(sessions, session, 5, 40);
	assert_stored(session, 5, 40);
	session_acknowledge(session, UINT64_MAX);
	park(session);
	assert_null(session_stored(session, 5));
	assert_stored(session, 9, 40);
	assert_int_equal(session->replies_bytes, 40);
	session_received(session, 9);
	session_acknowledge(session, UINT64_MAX);
	park(session);
	session_acknowledge(session, UINT64_MAX);
	assert_int_equal(session_reserve_parking(session), CODE_BUSY);
	assert_int_equal(session_first_waiting(session), 1);
	assert_true(session_waits(session, SESSION_PARKED_MAX + 2));
	sessions_destroy(&sessions);
}

static void late_answers_count_in_the_bytes_and_go_last(void **state)
{
	(void)state;
	struct sessions *sessions = new_sessions(1, KILOBYTE);
	struct session *session = open_session(sessions, 1);

	park(session);
	park(session);
	answer(sessions, session, 300);
	assert_int_equal(answer_late(sessions, session, 1, 600), 0);
	assert_int_equal(answer_late(sessions, session, 2, 400), 1);
	assert_null(session_stored(session, 3));
	assert_stored(session, 1, 600);
	assert_int_equal(answer(sessions, session, 100), 1); /* the oldest that waited */
	assert_stored(session, 4, 100);
	assert_null(session_stored(session, 1));
	assert_true(session_lost_answer(session, 1));
	assert_stored(session, 2, 400);
	assert_int_equal(session->replies_bytes, 500);
	assert_int_equal(answer(sessions, session, 1025), 3); /* more than all may take: all go, it too */
	assert_int_equal(session->replies_bytes, 0);
	sessions_destroy(&sessions);
}

static void time_is_up_for_each_at_its_own_limit(void **state)
{
	(void)state;
	struct sessions *sessions = new_sessions(1, KILOBYTE);
	struct session *session = open_session(sessions, 1);
	int64_t next = 1000;

	assert_int_equal(session_overdue(session, INT64_MAX - 1, &next), 0);
	for (int i = 0; i < 4; i++)
		park(session);
	session_limit_wait(session, 1, 300);
	session_limit_wait(session, 2, 200);
	session_limit_wait(session, 3, 400);
	session_limit_wait(session, 2, 900); /* said before */
	session_limit_wait(session, 77, 1);  /* nobody */
	assert_int_equal(session_overdue(session, 199, &next), 0);
	assert_int_equal(next, 200);
	assert_int_equal(session_overdue(session, 200, &next), 2);
	answer_late(sessions, session, 2, 4);
	next = 1000;
	assert_int_equal(session_overdue(session, 200, &next), 0);
	assert_int_equal(next, 300);
	answer_late(sessions, session, 1, 4);
	next = 1000;
	assert_int_equal(session_overdue(session, 350, &next), 0);
	assert_int_equal(next, 400);
	answer_late(sessions, session, 3, 4);
	next = INT64_MAX;
	assert_int_equal(session_overdue(session, INT64_MAX - 1, &next), 0); /* one without a limit is left */
	assert_true(next == INT64_MAX);
	sessions_destroy(&sessions);
}

/* ---- against a model ---- */

static void any_sequence_of_answers_and_acknowledgements_is_as_the_model(void **state)
{
	(void)state;
	enum { STEPS = 20000, MOST = 4 * KILOBYTE };
	static size_t sizes[STEPS + 1]; /* by sequence */
	static bool kept[STEPS + 1];
	struct unit_random random = { unit_seed() };
	struct sessions *sessions = new_sessions(1, MOST);
	struct session *session = open_session(sessions, 1);
	uint64_t oldest = 1, last = 0, bytes = 0;

	for (unsigned step = 0; step < STEPS; step++) {
		if (unit_below(&random, 8) == 0) {
			uint64_t upto = oldest + unit_below(&random, (size_t)(last - oldest + 3));
			session_acknowledge(session, upto);
			for (; oldest < upto && oldest <= last; oldest++)
				bytes -= kept[oldest] ? sizes[oldest] : 0;
		} else if (last + 1 - oldest == PROTOCOL_WINDOW) {
			assert_int_equal(session_reserve(session, 0), CODE_BUSY);
		} else {
			unsigned dropped = 0;
			last++;
			sizes[last] =
				unit_below(&random, 10) ? unit_below(&random, 40) : unit_below(&random, 3000);
			kept[last] = true;
			bytes += sizes[last];
			for (uint64_t old = oldest; bytes > MOST; old++)
				if (kept[old]) {
					kept[old] = false;
					bytes -= sizes[old];
					dropped++;
				}
			assert_int_equal(answer(sessions, session, sizes[last]), dropped);
		}
		assert_true(session->last == last && session->oldest == oldest);
		assert_true(session->replies_bytes == bytes);
		for (uint64_t sequence = oldest > 3 ? oldest - 3 : 0; sequence <= last + 1;
		     sequence += 1 + step % 7)
			if (sequence >= oldest && sequence <= last && kept[sequence])
				assert_stored(session, sequence, sizes[sequence]);
			else
				assert_null(session_stored(session, sequence));
	}
	sessions_destroy(&sessions);
}

static void what_no_session_can_have_come_to_is_not_restored(void **state)
{
	struct sessions *sessions = new_sessions(10, KILOBYTE);
	const struct stored_reply kept = { .revision = 5, .code = CODE_CONFLICT, .kept = true, .size = 40 }, lost = { .code = 1 };
	const uint8_t payload[40] = { 7 };
	struct session *session = open_session(sessions, 1);
	(void)state;

	assert_int_equal(session_restore_window(session, 0, 3), CODE_INVALID);
	assert_int_equal(session_restore_window(session, 5, 3), CODE_INVALID);
	assert_int_equal(session_restore_window(session, 1, PROTOCOL_WINDOW + 1), CODE_INVALID);
	assert_int_equal(session_restore_window(session, 1, (uint64_t)INT64_MAX + 1), CODE_INVALID);
	assert_int_equal(session_restore_window(session, 3, 9), CODE_OK);
	assert_int_equal(session_restore_window(session, 3, 9), CODE_INVALID); /* it has one */
	assert_null(session_stored(session, 3));

	assert_int_equal(session_restore_reply(session, 2, &kept, payload), CODE_INVALID);
	assert_int_equal(session_restore_reply(session, 10, &kept, payload), CODE_INVALID);
	assert_int_equal(session_restore_reply(session, 3, &kept, payload), CODE_OK);
	assert_int_equal(session_restore_reply(session, 3, &kept, payload), CODE_INVALID);
	assert_int_equal(session_restore_reply(session, 4, &lost, NULL), CODE_OK);
	assert_int_equal(session_stored(session, 3)->code, CODE_CONFLICT);
	assert_memory_equal(stored_payload(session_stored(session, 3)), payload, sizeof payload);
	assert_null(session_stored(session, 4));
	assert_int_equal(session->replies_bytes, 40);

	assert_int_equal(session_restore_parked(session, 0, NULL, NULL), CODE_INVALID);
	assert_int_equal(session_restore_parked(session, 10, NULL, NULL), CODE_INVALID);
	assert_int_equal(session_restore_parked(session, 2, NULL, NULL), CODE_OK); /* below the window: it is beside it */
	assert_int_equal(session_restore_parked(session, 2, NULL, NULL), CODE_INVALID);
	assert_int_equal(session_restore_parked(session, 1, NULL, NULL), CODE_INVALID);
	assert_int_equal(session_restore_parked(session, 6, &kept, payload), CODE_OK);
	assert_int_equal(session_restore_parked(session, 7, &lost, NULL), CODE_OK);
	assert_true(session_waits(session, 2));
	assert_int_equal(session->waiting_count, 1);
	assert_non_null(session_stored(session, 6));
	assert_true(session_lost_answer(session, 7));
	assert_int_equal(session->replies_bytes, 80);
	sessions_destroy(&sessions);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_session_is_found_by_its_id_until_it_ends),
	cmocka_unit_test(ids_never_repeat),
	cmocka_unit_test(incarnations_with_other_seeds_have_other_ids),
	cmocka_unit_test(a_nonce_opens_once),
	cmocka_unit_test(a_session_is_of_the_user_or_key_that_opened_it),
	cmocka_unit_test(replies_are_kept_until_acknowledged),
	cmocka_unit_test(the_ring_of_replies_grows_around_what_it_holds),
	cmocka_unit_test(a_window_of_replies_is_the_most),
	cmocka_unit_test(beyond_the_bytes_allowed_the_oldest_replies_go),
	cmocka_unit_test(the_table_grows_and_is_walked_whole),
	cmocka_unit_test(one_that_waits_has_no_reply_until_it_is_answered),
	cmocka_unit_test(so_many_places_to_wait_and_the_oldest_answer_makes_room),
	cmocka_unit_test(late_answers_count_in_the_bytes_and_go_last),
	cmocka_unit_test(time_is_up_for_each_at_its_own_limit),
	cmocka_unit_test(what_no_session_can_have_come_to_is_not_restored),
	cmocka_unit_test(any_sequence_of_answers_and_acknowledgements_is_as_the_model),
};

UNIT_MAIN(tests)
