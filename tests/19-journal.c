/* SPDX-License-Identifier: MIT
 *
 * The journal on a disk in memory: what is read back, what is refused, and what is left after a crash
 * at any call, power or no power, and after any call that fails.
 *
 * Rounds have contents that follow from their number and from how often that number was written, so that each
 * reading can be checked without keeping what was written.
 */
#include "owner/state/crc32c.h"
#include "owner/state/frame.h"
#include "owner/state/journal.h"
#include "owner/state/journal_salvage.h"
#include "tests/lib/memory_disk.h"
#include "tests/lib/plenty.h"
#include "tests/lib/scarce.h"
#include "tests/lib/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { SEGMENT = JOURNAL_SEGMENT_LEAST, HISTORY = 0x1157, ROUNDS_MAX = 4096, LARGEST = 100000 };

/* A journal's life as its owner sees it. */
struct life {
	struct memory_disk *disk;
	const struct disk *seam;
	struct journal *journal;
	uint64_t next, synced, floor; /* next round; last that is durable; first that must still be there */
	uint8_t edition[ROUNDS_MAX];  /* of each number: how often it was lost and written again */
	uint64_t segment_bytes, bias; /* bias: of the revisions */
};

static uint8_t bytes[LARGEST], expected[LARGEST];

/* A number that is written again has a round of another size: a small one may fit where the large did not. */
static size_t size_of(uint64_t number, uint8_t edition)
{
	static const size_t sizes[] = { 40, 456, 457, 3000, 960, 961, 9000, 20000, 100, 1, 5000, 16000 };

	return number % 23 == edition ? LARGEST : sizes[(number + 5 * edition) % (sizeof sizes / sizeof *sizes)];
}

static void content(uint64_t number, uint8_t edition, uint8_t *to, size_t size)
{
	struct unit_random random = { number * 256 + edition };

	for (size_t i = 0; i < size; i += 8) {
		/* Zeros in plenty, as records have them. */
		uint64_t v = (i / 512) % 3 == 1 ? 0 : unit_draw(&random);
		memcpy(to + i, &v, size - i < 8 ? size - i : 8);
	}
}

static struct round round_of(struct life *life, uint64_t number)
{
	assert_true(number < ROUNDS_MAX);
	size_t size = size_of(number, life->edition[number]);
	content(number, life->edition[number], bytes, size);
	return (struct round){ .number = number,
			       .time_us = (int64_t)number * 1000,
			       .revision = number * 3 + life->bias,
			       .count = (uint32_t)(number % 7),
			       .records = bytes,
			       .size = size };
}

static void round_is(struct life *life, const struct round *round, uint64_t number)
{
	size_t size = size_of(number, life->edition[number]);

	assert_int_equal(round->number, number);
	assert_int_equal(round->size, size);
	assert_int_equal(round->revision, number * 3 + life->bias);
	assert_int_equal(round->time_us, (int64_t)number * 1000);
	assert_int_equal(round->count, number % 7);
	content(number, life->edition[number], expected, size);
	assert_memory_equal(round->records, expected, size);
}

static struct life *life_new(uint64_t seed)
{
	struct life *life = calloc(1, sizeof *life);

	assert_non_null(life);
	life->disk = memory_disk_new(seed);
	life->seam = memory_disk_seam(life->disk);
	life->next = life->floor = 1;
	life->segment_bytes = SEGMENT;
	return life;
}

/* The same on a copy of the disk; its owner has died. */
static struct life *life_copy(const struct life *life, uint64_t seed)
{
	struct life *copy = calloc(1, sizeof *copy);

	assert_non_null(copy);
	*copy = *life;
	copy->disk = memory_disk_clone(life->disk, seed);
	copy->seam = memory_disk_seam(copy->disk);
	copy->journal = NULL;
	return copy;
}

static void life_free(struct life *life)
{
	journal_close(&life->journal);
	assert_int_equal(memory_disk_open_files(life->disk), 0);
	memory_disk_free(life->disk);
	free(life);
}

/* Reads everything from `from` on and checks each round. */
static enum journal_result read_all(struct life *life, uint64_t from, struct journal_end *end,
				    struct journal_fault *fault)
{
	uint64_t first = from, done, all;
	enum journal_result result;
	struct round round;

	memset(end, 0, sizeof *end);
	memset(fault, 0, sizeof *fault);
	struct journal_reader *reader = journal_reader_new(life->seam, HISTORY, from, fault);
	if (reader == NULL)
		return JOURNAL_FAILED;
	while ((result = journal_read(reader, &round, end, fault)) == JOURNAL_ROUND) {
		if (first == 0)
			first = round.number;
		round_is(life, &round, first++);
	}
	if (result == JOURNAL_ENDED) {
		journal_progress(reader, &done, &all);
		assert_int_equal(done, all);
		if (from != 0 || end->first != 0)
			assert_int_equal(end->round, first == 0 ? 1 : first);
	} else {
		assert_true(strlen(fault->text) > 0 && strchr(fault->text, '\n') == NULL);
		assert_true((result == JOURNAL_FAILED) == (fault->error != 0));
	}
	/* Whatever it said it says again. */
	assert_int_equal(journal_read(reader, &round, end, fault), result);
	journal_reader_destroy(&reader);
	return result;
}

#define ASSERT_ENDS(life, from, end)                                                                    \
	do {                                                                                            \
		struct journal_fault ends_fault;                                                        \
		if (read_all(life, from, end, &ends_fault) != JOURNAL_ENDED)                            \
			fail_msg("refused: %s (round %" PRIu64 ")", ends_fault.text, ends_fault.round); \
	} while (0)

/* Reads what is there, checks that nothing is missing, and goes on with it. False: the disk failed. */
static bool recover(struct life *life)
{
	const struct journal_settings settings = {
		.disk = life->seam, .history = HISTORY, .segment_bytes = life->segment_bytes
	};
	struct journal_fault fault;
	struct journal_end end;

	if (life->journal != NULL)
		journal_close(&life->journal);
	enum journal_result result = read_all(life, life->floor, &end, &fault);
	if (result == JOURNAL_FAILED)
		return false;
	if (result == JOURNAL_DAMAGED)
		fail_msg("refused: %s", fault.text);
	if (end.round <= life->synced || end.round > life->next)
		fail_msg("rounds to %" PRIu64 " are there; %" PRIu64 " were synced and %" PRIu64 " written", end.round - 1,
			 life->synced, life->next - 1);
	if (end.name[0] != '\0' && life->floor < end.round)
		assert_in_range(end.first, 1, life->floor);
	/* From the beginning too, and not only from where it is needed. */
	struct journal_end whole;
	result = read_all(life, 0, &whole, &fault);
	if (result == JOURNAL_DAMAGED)
		fail_msg("refused from its beginning: %s", fault.text);
	for (uint64_t lost = end.round; lost < life->next; lost++)
		life->edition[lost]++;
	life->next = end.round;
	life->journal = journal_open(&settings, &end, &fault);
	if (life->journal == NULL) {
		assert_true(fault.error != 0 && strlen(fault.text) > 0);
		return false;
	}
	/* What was read is durable from here on. */
	life->synced = end.round - 1;
	assert_false(memory_disk_has(life->disk, "spare"));
	assert_false(memory_disk_has(life->disk, "segment.tmp"));
	return true;
}

static int append(struct life *life)
{
	struct round round = round_of(life, life->next);
	struct journal_fault fault = { 0 };

	life->next++;
	int rc = journal_append(life->journal, &round, &fault);
	assert_true((rc != 0) == (fault.error != 0));
	assert_true(rc == 0 || strlen(fault.text) > 0);
	return rc;
}

static int sync_it(struct life *life)
{
	struct journal_fault fault = { 0 };
	int rc = journal_sync(life->journal, &fault);

	assert_true((rc != 0) == (fault.error != 0));
	if (rc == 0)
		life->synced = life->next - 1;
	return rc;
}

static void add(struct life *life, unsigned rounds)
{
	while (rounds-- > 0) {
		assert_int_equal(append(life), 0);
		assert_int_equal(sync_it(life), 0);
	}
}

/* The name of a segment, in a place that lasts for three more. */
static const char *segment(uint64_t first)
{
	static char names[4][JOURNAL_NAME_BYTES];
	static unsigned last;
	char *name = names[last++ % 4];

	snprintf(name, sizeof names[0], "journal-%016" PRIx64, first);
	return name;
}

/* ---- what it does ---- */

static void a_folder_without_a_journal_ends_before_its_first_round(void **state)
{
	struct life *life = life_new(1);
	struct journal_end end;

	(void)state;
	ASSERT_ENDS(life, 0, &end);
	assert_string_equal(end.name, "");
	assert_int_equal(end.round, 1);
	assert_int_equal(end.first, 0);
	ASSERT_ENDS(life, 77, &end);
	assert_int_equal(end.round, 77);
	life->next = life->floor = 77;
	life->synced = 76;
	assert_true(recover(life));
	assert_true(memory_disk_has(life->disk, "journal-000000000000004d"));
	add(life, 3);
	ASSERT_ENDS(life, 77, &end);
	assert_int_equal(end.first, 77);
	assert_int_equal(end.round, 80);
	assert_int_equal(end.bytes, SEGMENT);
	assert_int_equal(end.history, HISTORY);
	assert_int_equal(end.revision, 79 * 3);
	life_free(life);
}

static void rounds_are_read_back_over_segments_spares_and_oversized_ones(void **state)
{
	struct life *life = life_new(2);
	struct journal_end end;
	unsigned spares = 0;

	(void)state;
	assert_true(recover(life));
	for (unsigned i = 0; i < 100; i++) {
		add(life, 1);
		if (i % 2 == 0 && journal_spare_wanted(life->journal)) {
			assert_int_equal(journal_make_spare(life->journal), 0);
			assert_false(journal_spare_wanted(life->journal));
			spares++;
		}
	}
	assert_true(spares > 3);
	for (uint64_t from = 0; from < 101; from++) {
		ASSERT_ENDS(life, from, &end);
		assert_int_equal(end.round, 101);
		assert_int_equal(end.first, 1);
		assert_int_equal(end.torn, 0);
		assert_int_equal(end.bytes, journal_bytes(life->journal));
	}
	ASSERT_ENDS(life, 101, &end);
	assert_true(recover(life));
	add(life, 30);
	ASSERT_ENDS(life, 0, &end);
	assert_int_equal(end.bytes, journal_bytes(life->journal));
	life_free(life);
}

static void a_small_round_is_one_write_and_one_sync(void **state)
{
	struct life *life = life_new(3);

	(void)state;
	assert_true(recover(life));
	add(life, 2);
	uint64_t before = memory_disk_calls(life->disk, MEMORY_ANY), appended = journal_appended(life->journal);
	uint64_t writes = memory_disk_calls(life->disk, MEMORY_WRITE), syncs = memory_disk_calls(life->disk, MEMORY_SYNC);
	add(life, 1);
	assert_int_equal(memory_disk_calls(life->disk, MEMORY_WRITE), writes + 1);
	assert_int_equal(memory_disk_calls(life->disk, MEMORY_SYNC), syncs + 1);
	assert_int_equal(memory_disk_calls(life->disk, MEMORY_ANY), before + 2);
	assert_int_equal(journal_appended(life->journal), appended + frame_bytes(size_of(3, 0)));
	/* And a sync without anything new is none. */
	assert_int_equal(sync_it(life), 0);
	assert_int_equal(memory_disk_calls(life->disk, MEMORY_ANY), before + 2);
	life_free(life);
}

static void an_oversized_first_round_takes_the_place_of_an_empty_segment(void **state)
{
	struct life *life = life_new(4);
	struct journal_end end;

	(void)state;
	life->next = life->floor = 23;
	life->synced = 22;
	assert_true(recover(life));
	add(life, 1);
	assert_true(memory_disk_size(life->disk, segment(23)) > LARGEST);
	assert_int_equal(journal_bytes(life->journal), memory_disk_size(life->disk, segment(23)));
	add(life, 1);
	assert_int_equal(memory_disk_size(life->disk, segment(24)), SEGMENT);
	ASSERT_ENDS(life, 23, &end);
	assert_int_equal(end.bytes, journal_bytes(life->journal));
	life_free(life);
}

static void old_segments_go_when_all_their_rounds_are_forgotten(void **state)
{
	struct life *life = life_new(5);
	struct journal_fault fault;
	struct journal_end end;

	(void)state;
	assert_true(recover(life));
	add(life, 40);
	ASSERT_ENDS(life, 0, &end);
	assert_int_equal(journal_forget(life->journal, 1), 0);
	assert_true(memory_disk_has(life->disk, segment(1)));
	assert_int_equal(journal_forget(life->journal, 30), 0);
	assert_false(memory_disk_has(life->disk, segment(1)));
	ASSERT_ENDS(life, 30, &end);
	assert_in_range(end.first, 2, 30);
	assert_int_equal(end.bytes, journal_bytes(life->journal));
	assert_int_equal(read_all(life, end.first - 1, &end, &fault), JOURNAL_DAMAGED);
	assert_string_equal(fault.name, "");
	/* The one that is written stays. */
	assert_int_equal(journal_forget(life->journal, 1000), 0);
	add(life, 3);
	ASSERT_ENDS(life, 43, &end);
	assert_int_equal(end.first <= 43, 1);
	life->floor = 43;
	assert_true(recover(life));
	life_free(life);
}

static void reading_while_an_owner_writes_goes_to_what_is_there(void **state)
{
	struct life *life = life_new(6);
	struct journal_fault fault;
	struct journal_end end;
	struct round round;

	(void)state;
	assert_true(recover(life));
	add(life, 1);
	struct journal_reader *reader = journal_reader_new(life->seam, HISTORY, 1, &fault);
	assert_non_null(reader);
	for (uint64_t number = 1; number < 60; number++) {
		assert_int_equal(journal_read(reader, &round, &end, &fault), JOURNAL_ROUND);
		round_is(life, &round, number);
		add(life, 1);
	}
	/* A segment that is forgotten under a reader's eyes is no damage. */
	add(life, 60);
	assert_int_equal(journal_forget(life->journal, life->next), 0);
	enum journal_result result;
	while ((result = journal_read(reader, &round, &end, &fault)) == JOURNAL_ROUND)
		;
	assert_int_equal(result, JOURNAL_FAILED);
	assert_int_equal(fault.error, ESTALE);
	journal_reader_destroy(&reader);
	life_free(life);
}

static void unsynced_rounds_are_synced_before_a_mark_could_not_tell_of_them(void **state)
{
	struct life *life = life_new(7);
	struct journal_fault fault;
	struct round round = { .time_us = 1, .count = 1, .records = (const uint8_t *)"x", .size = 1 };

	(void)state;
	life->segment_bytes = 64 << 20;
	assert_true(recover(life));
	uint64_t syncs = memory_disk_calls(life->disk, MEMORY_SYNC);
	for (round.number = 1; round.number <= FRAME_LAG_MAX; round.number++)
		assert_int_equal(journal_append(life->journal, &round, &fault), 0);
	assert_int_equal(memory_disk_calls(life->disk, MEMORY_SYNC), syncs);
	for (; round.number <= FRAME_LAG_MAX + 10; round.number++)
		assert_int_equal(journal_append(life->journal, &round, &fault), 0);
	assert_int_equal(memory_disk_calls(life->disk, MEMORY_SYNC), syncs + 1);
	life_free(life);
}

/* ---- damage ---- */

/* Two segments, the first sealed, with rounds of one and of several sectors. */
static struct life *two_segments(void)
{
	struct life *life = life_new(8);

	assert_true(recover(life));
	add(life, 18);
	journal_close(&life->journal);
	assert_true(memory_disk_has(life->disk, segment(1)));
	memory_disk_settle(life->disk);
	return life;
}

static uint64_t second_of(struct life *life)
{
	struct journal_end end;

	ASSERT_ENDS(life, 0, &end);
	uint64_t second = strtoull(end.name + strlen("journal-"), NULL, 16);
	assert_true(second > 1);
	return second;
}

static void refuse(struct life *life, uint64_t from, const char *name, uint64_t byte, const char *what)
{
	struct journal_fault fault;
	struct journal_end end;
	char at[32];

	enum journal_result result = read_all(life, from, &end, &fault);
	if (result != JOURNAL_DAMAGED)
		fail_msg("%s: byte %" PRIu64 " %s, and that is not refused: %d, torn %" PRIu64, name, byte, what,
			 result, end.torn);
	assert_string_equal(fault.name, name);
	assert_true(fault.offset <= byte && fault.cut <= byte + FRAME_SECTOR);
	assert_true(byte - fault.offset < 20 * 1024);
	snprintf(at, sizeof at, "byte %" PRIu64 ":", fault.offset);
	assert_non_null(strstr(fault.text, at));
	assert_non_null(strstr(fault.text, name));
}

static void no_byte_of_a_journal_can_be_another(void **state)
{
	struct life *life = two_segments();
	uint64_t firsts[] = { 1, second_of(life) }, tried = 0;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const char *name = segment(firsts[i]);
		for (uint64_t byte = 0; byte < SEGMENT; byte++) {
			uint8_t was = memory_disk_bytes(life->disk, name)[byte];
			uint8_t others[] = { was ^ 0xff, was ^ 1, 0 };
			/* One bit in the zeros behind all rounds is one of the many; the others see nothing else. */
			for (size_t j = 0; j < sizeof others; j++) {
				if (others[j] == was)
					continue;
				memory_disk_poke(life->disk, name, byte, others[j]);
				refuse(life, firsts[i], name, byte, "is another");
				tried++;
			}
			memory_disk_poke(life->disk, name, byte, was);
		}
	}
	printf("# %" PRIu64 " changed bytes refused\n", tried);
	struct journal_end end;
	ASSERT_ENDS(life, 0, &end);
	life_free(life);
}

static void no_length_but_its_own_is_taken(void **state)
{
	struct life *life = two_segments();
	uint64_t firsts[] = { 1, second_of(life) };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const char *name = segment(firsts[i]);
		struct life *copy = life_copy(life, 1);
		memory_disk_resize(copy->disk, name, SEGMENT + 1);
		refuse(copy, firsts[i], name, SEGMENT, "is too much");
		memory_disk_resize(copy->disk, name, SEGMENT * 2);
		refuse(copy, firsts[i], name, SEGMENT, "and all behind is too much");
		for (uint64_t length = SEGMENT; length-- > 0;) {
			memory_disk_resize(copy->disk, name, length);
			refuse(copy, firsts[i], name, length, "is where it ends");
		}
		life_free(copy);
	}
	life_free(life);
}

static void zero_sector(struct memory_disk *disk, const char *name, uint64_t offset)
{
	for (unsigned i = 0; i < FRAME_SECTOR; i++)
		memory_disk_poke(disk, name, offset + i, 0);
}

/* Sectors that are zero are what a crash leaves, but not where a later round says that they were synced. */
static void a_lost_sector_is_refused_unless_it_is_of_the_last_round(void **state)
{
	struct life *life = two_segments();
	uint64_t second = second_of(life);
	struct journal_fault fault;
	struct journal_end end, cut;

	(void)state;
	ASSERT_ENDS(life, 0, &end);
	for (size_t i = 0; i < 2; i++) {
		const char *name = segment(i == 0 ? 1 : second);
		uint64_t last = end.offset - frame_bytes(size_of(end.round - 1, 0));
		for (uint64_t offset = 0; offset < SEGMENT; offset += FRAME_SECTOR) {
			struct life *copy = life_copy(life, 1);
			bool nothing = frame_zero(memory_disk_bytes(copy->disk, name) + offset);
			zero_sector(copy->disk, name, offset);
			enum journal_result result = read_all(copy, 1, &cut, &fault);
			if (nothing) {
				assert_int_equal(result, JOURNAL_ENDED);
			} else if (i == 1 && offset >= last) {
				assert_int_equal(result, JOURNAL_ENDED);
				assert_int_equal(cut.round, end.round - 1);
				assert_true(cut.torn > 0 || frame_bytes(size_of(end.round - 1, 0)) == FRAME_SECTOR);
			} else {
				assert_int_equal(result, JOURNAL_DAMAGED);
			}
			life_free(copy);
		}
	}
	life_free(life);
}

static void a_segment_that_is_missing_is_missed(void **state)
{
	struct life *life = life_new(9);
	uint64_t firsts[16], count = 0;
	struct journal_fault fault;
	struct journal_end end;

	(void)state;
	assert_true(recover(life));
	add(life, 40);
	journal_close(&life->journal);
	for (uint64_t first = 1; first <= 40; first++)
		if (memory_disk_has(life->disk, segment(first)))
			firsts[count++] = first;
	assert_true(count >= 3);
	for (uint64_t i = 0; i < count; i++) {
		struct life *copy = life_copy(life, 1);
		memory_disk_remove(copy->disk, segment(firsts[i]));
		assert_int_equal(read_all(copy, 1, &end, &fault), JOURNAL_DAMAGED);
		assert_string_equal(fault.name, i == 0 ? "" : segment(firsts[i]));
		/* Cut, what is before it is a journal again; where there is nothing before, none. */
		assert_int_equal(journal_cut(copy->seam, &fault, &fault), 0);
		ASSERT_ENDS(copy, 1, &end);
		assert_int_equal(end.round, firsts[i]);
		life_free(copy);
	}
	/* A snapshot knows of more than the journal has. */
	assert_int_equal(read_all(life, 42, &end, &fault), JOURNAL_DAMAGED);
	life_free(life);
}

static void a_seal_that_is_gone_is_missed(void **state)
{
	struct life *life = life_new(15);
	uint64_t firsts[16], count = 0;
	struct journal_fault fault;
	struct journal_end end;

	(void)state;
	assert_true(recover(life));
	add(life, 40);
	journal_close(&life->journal);
	for (uint64_t first = 1; first <= 40; first++)
		if (memory_disk_has(life->disk, segment(first)))
			firsts[count++] = first;
	assert_true(count >= 3);
	uint64_t seal = memory_disk_size(life->disk, segment(1)) - FRAME_SECTOR;
	while (frame_zero(memory_disk_bytes(life->disk, segment(1)) + seal))
		seal -= FRAME_SECTOR;
	zero_sector(life->disk, segment(1), seal);
	assert_int_equal(read_all(life, 1, &end, &fault), JOURNAL_DAMAGED);
	assert_string_equal(fault.name, segment(1));
	assert_int_equal(fault.offset, seal);
	assert_non_null(strstr(fault.text, "the seal behind round"));
	memory_disk_remove(life->disk, segment(firsts[1]));
	assert_int_equal(read_all(life, 1, &end, &fault), JOURNAL_DAMAGED);
	assert_int_equal(fault.offset, seal);
	assert_non_null(strstr(fault.text, "are gone"));
	assert_int_equal(journal_cut(life->seam, &fault, &fault), 0);
	ASSERT_ENDS(life, 1, &end);
	assert_int_equal(end.round, firsts[1]);
	life_free(life);
}

static void a_segment_of_another_place_is_refused(void **state)
{
	struct life *life = two_segments(), *other = life_new(17);
	uint64_t second = second_of(life);
	struct journal_fault fault;
	struct journal_end end;

	(void)state;
	other->bias = 1;
	assert_true(recover(other));
	add(other, 18);
	memory_disk_put(life->disk, segment(second), memory_disk_bytes(other->disk, segment(second)), SEGMENT);
	assert_int_equal(read_all(life, 1, &end, &fault), JOURNAL_DAMAGED);
	assert_string_equal(fault.name, segment(second));
	assert_int_equal(fault.offset, 32);
	memory_disk_put(life->disk, segment(second), memory_disk_bytes(other->disk, segment(1)), SEGMENT);
	assert_int_equal(read_all(life, 1, &end, &fault), JOURNAL_DAMAGED);
	assert_string_equal(fault.name, segment(second));
	assert_int_equal(fault.offset, 24);
	life_free(life);
	life_free(other);
}

static void another_history_is_refused(void **state)
{
	struct life *life = two_segments();
	struct journal_fault fault;
	struct journal_end end;
	struct round round;

	(void)state;
	struct journal_reader *reader = journal_reader_new(life->seam, HISTORY + 1, 1, &fault);
	assert_int_equal(journal_read(reader, &round, &end, &fault), JOURNAL_DAMAGED);
	assert_non_null(strstr(fault.text, "history"));
	journal_reader_destroy(&reader);
	life_free(life);
}

/* ---- crashes ---- */

/* Some rounds with all that an owner does in between. Returns false when the disk no longer did what it was
 * told. */
static bool live(struct life *life, struct unit_random *random, unsigned rounds, unsigned lazy)
{
	for (unsigned i = 0; i < rounds; i++) {
		if (append(life) != 0)
			return false;
		if ((lazy == 0 || unit_below(random, lazy) == 0) && sync_it(life) != 0)
			return false;
		if (i % 3 == 1 && journal_spare_wanted(life->journal))
			journal_make_spare(life->journal);
		if (i % 9 == 8 && life->synced > 10) {
			life->floor = life->synced - 5;
			journal_forget(life->journal, life->floor);
		}
	}
	return true;
}

/* A life that begins with nothing, with one start in the middle of it. */
static bool whole_life(struct life *life, unsigned lazy)
{
	struct unit_random random = { 11 };

	return recover(life) && live(life, &random, 24, lazy) && recover(life) && live(life, &random, 24, lazy);
}

static unsigned seeds(void)
{
	const char *given = getenv("SEEDS");

#ifdef __SANITIZE_ADDRESS__
	enum { USUAL = 40 }; /* it is slower, and looks for other things */
#else
	enum { USUAL = 200 };
#endif
	return given != NULL ? (unsigned)strtoul(given, NULL, 10) : USUAL;
}

/* After the end of a life: everything is there, and it goes on, and is there after another loss of power. */
static void afterwards(struct life *life, struct unit_random *random, uint64_t seed)
{
	assert_true(recover(life));
	if (seed % 4 == 0)
		return;
	live(life, random, 3, seed % 3 == 0 ? 3 : 0);
	journal_close(&life->journal);
	memory_disk_lose_power(life->disk, unit_draw(random));
	assert_true(recover(life));
	add(life, 2);
}

static void crash_everywhere(unsigned lazy)
{
	struct life *life = life_new(10);
	uint64_t cuts = 0, seed = unit_seed(), calls;
	struct unit_random random = { seed };

	assert_true(whole_life(life, lazy));
	calls = memory_disk_calls(life->disk, MEMORY_CHANGE);
	life_free(life);
	for (uint64_t n = 1; n <= calls; n++) {
		for (enum memory_effect effect = MEMORY_NOTHING; effect <= MEMORY_ALL; effect++) {
			life = life_new(unit_draw(&random));
			memory_disk_fail(life->disk, &(struct memory_fault){ .call = MEMORY_CHANGE, .nth = n, .error = EIO,
									     .dead = true, .effect = effect });
			assert_false(whole_life(life, lazy) && n < calls);
			assert_true(memory_disk_failed(life->disk));
			journal_close(&life->journal);
			memory_disk_crash(life->disk);
			for (unsigned i = 0; i <= seeds() / 3; i++) {
				struct life *copy = life_copy(life, unit_draw(&random));
				/* The first is the process only. */
				if (i > 0)
					memory_disk_lose_power(copy->disk, unit_draw(&random));
				afterwards(copy, &random, i);
				life_free(copy);
				cuts++;
			}
			life_free(life);
		}
	}
	printf("# %" PRIu64 " calls, %" PRIu64 " crashes\n", calls, cuts);
}

static void a_crash_at_any_call_loses_no_synced_round(void **state)
{
	(void)state;
	crash_everywhere(0);
}

static void a_crash_at_any_call_loses_no_synced_round_when_not_each_is_synced(void **state)
{
	(void)state;
	crash_everywhere(5);
}

/* ---- what bears sums that are right ---- */

static void put_number(uint8_t *at, uint64_t number, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(number >> (8 * i));
}

static void poke_sector(struct life *life, const char *name, uint64_t offset, const uint8_t sector[FRAME_SECTOR])
{
	for (size_t i = 0; i < FRAME_SECTOR; i++)
		memory_disk_poke(life->disk, name, offset + i, sector[i]);
}

static void a_head_that_no_version_writes_is_refused_whatever_its_sum(void **state)
{
	/* Of a frame's head: where, how many bytes, what is there instead. */
	static const struct {
		size_t at, size;
		uint64_t number;
	} others[] = { { 52, 4, 3 }, { 52, 4, 0 }, { 2, 2, 0 }, { 16, 8, 77 }, { 4, 4, 77 }, { 52, 4, 2 } };
	uint8_t sector[FRAME_SECTOR];

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct life *life = life_new(21);
		assert_true(recover(life));
		add(life, 4);
		journal_close(&life->journal);
		memory_disk_settle(life->disk);
		memcpy(sector, memory_disk_bytes(life->disk, segment(1)) + FRAME_SECTOR, sizeof sector);
		put_number(sector + others[i].at, others[i].number, others[i].size);
		put_number(sector + 12, crc32c(crc32c(0, sector, 8), sector + 16, FRAME_HEAD - 16), 4);
		put_number(sector + 8, crc32c(0, sector + 12, sizeof sector - 12), 4);
		poke_sector(life, segment(1), FRAME_SECTOR, sector);
		refuse(life, 1, segment(1), FRAME_SECTOR, "tells of what cannot be");
		life_free(life);
	}
	/* A seal that counts records. */
	struct frame seal = { .kind = FRAME_SEAL, .lag = 1, .number = 1, .count = 1 }, read;
	frame_write(sector, &seal, NULL);
	assert_non_null(frame_read(sector, &read));
	seal.count = 0;
	frame_write(sector, &seal, NULL);
	assert_null(frame_read(sector, &read));
	assert_true(frame_is_of(sector, 1) && !frame_is_of(sector, 2));
	memset(sector, 0, sizeof sector);
	assert_false(frame_is_of(sector, 0));
	assert_true(frame_bytes(UINT64_MAX) == UINT64_MAX);
}

static void a_segment_of_a_size_that_none_has_is_refused(void **state)
{
	static const uint64_t sizes[] = { 0, FRAME_SECTOR, SEGMENT + 1, UINT64_MAX - UINT64_MAX % FRAME_SECTOR };
	uint8_t sector[FRAME_SECTOR];

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct life *life = life_new(22);
		assert_true(recover(life));
		add(life, 2);
		journal_close(&life->journal);
		memcpy(sector, memory_disk_bytes(life->disk, segment(1)), sizeof sector);
		put_number(sector + 16, sizes[i], 8);
		put_number(sector + 8, crc32c(0, sector + 12, sizeof sector - 12), 4);
		poke_sector(life, segment(1), 0, sector);
		refuse(life, 1, segment(1), 0, "tells of a size that cannot be");
		life_free(life);
	}
}

static void files_with_other_names_are_none_of_its(void **state)
{
	static const char *const names[] = { "journal-0000000000000000", "journal-00000000000000FF", "journal-1", "journal-",
					     "journal-0000000000000009.cut", "journals" };
	struct life *life = life_new(23);
	struct journal_end end;

	(void)state;
	assert_true(recover(life));
	add(life, 3);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		memory_disk_put(life->disk, names[i], "nothing", 7);
	ASSERT_ENDS(life, 1, &end);
	assert_int_equal(end.round, 4);
	assert_true(recover(life));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_true(memory_disk_has(life->disk, names[i]));
	life_free(life);
}

/* ---- what is gone on with ---- */

static void assert_not_opened(struct life *life, uint64_t history, const struct journal_end *end, int error)
{
	const struct journal_settings settings = { .disk = life->seam, .history = history, .segment_bytes = SEGMENT };
	struct journal_fault fault = { .error = 0 };

	assert_null(journal_open(&settings, end, &fault));
	assert_int_equal(fault.error, error);
	assert_true(fault.text[0] != '\0');
}

static void what_is_not_as_it_was_read_is_not_gone_on_with(void **state)
{
	struct life *life = life_new(24);
	struct journal_end end, other;

	(void)state;
	assert_true(recover(life));
	add(life, 4);
	journal_close(&life->journal);
	ASSERT_ENDS(life, 1, &end);
	assert_not_opened(life, HISTORY + 1, &end, EUCLEAN);
	other = end;
	other.torn = SEGMENT;
	assert_not_opened(life, HISTORY, &other, EUCLEAN);
	other = (struct journal_end){ .round = 1 };
	assert_not_opened(life, HISTORY, &other, EEXIST); /* there is a journal after all */
	other = end;
	snprintf(other.name, sizeof other.name, "%s", segment(99));
	assert_not_opened(life, HISTORY, &other, ENOENT);
	memory_disk_poke(life->disk, segment(1), 30, 1);
	assert_not_opened(life, HISTORY, &end, EUCLEAN);
	memory_disk_resize(life->disk, segment(1), 100);
	assert_not_opened(life, HISTORY, &end, EIO);
	life_free(life);
}

/* More than fits into one piece is written again, and each call of that may fail. */
static void a_long_unsynced_end_is_written_again_whatever_fails(void **state)
{
	static const enum memory_call calls[] = { MEMORY_READ, MEMORY_WRITE, MEMORY_SYNC };
	struct life *life = life_new(25);
	struct journal_end end;
	unsigned struck = 0;

	(void)state;
	life->segment_bytes = 2 << 20;
	assert_true(recover(life));
	add(life, 1);
	for (int i = 0; i < 90; i++)
		assert_int_equal(append(life), 0);
	journal_close(&life->journal);
	memory_disk_crash(life->disk);
	ASSERT_ENDS(life, 1, &end);
	assert_true(end.offset - end.settled > 600000);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		for (struct memory_fault fault = { .call = calls[i], .nth = 1, .error = EIO };; fault.nth++) {
			struct life *copy = life_copy(life, fault.nth);
			const struct journal_settings settings = { .disk = copy->seam, .history = HISTORY, .segment_bytes = SEGMENT };
			struct journal_fault problem;
			memory_disk_fail(copy->disk, &fault);
			copy->journal = journal_open(&settings, &end, &problem);
			bool failed = memory_disk_failed(copy->disk);
			assert_true((copy->journal == NULL) == failed);
			journal_close(&copy->journal);
			memory_disk_crash(copy->disk);
			ASSERT_ENDS(copy, 1, &end);
			life_free(copy);
			if (!failed)
				break;
			struck++;
		}
	assert_true(struck >= 3 + 3 + 1);
	life_free(life);
}

/* ---- salvage ---- */

static bool count_it(void *context, const struct round *round)
{
	(void)round;
	return ++*(uint64_t *)context < 1000;
}

static void sound_rounds_of_several_segments_are_salvaged(void **state)
{
	struct life *life = two_segments();
	struct journal_salvage salvage;
	struct journal_end end;
	uint64_t rounds = 0;

	(void)state;
	ASSERT_ENDS(life, 1, &end);
	assert_int_equal(journal_salvage(life->seam, 1, count_it, &rounds, &salvage), 0);
	assert_true(rounds == end.round - 1 && salvage.ended && salvage.seen_round == end.round - 1);
	/* From the last on, from behind it, and with a round that cannot be had between. */
	rounds = 0;
	assert_int_equal(journal_salvage(life->seam, end.round - 1, count_it, &rounds, &salvage), 0);
	assert_true(rounds == 1 && salvage.ended);
	assert_int_equal(journal_salvage(life->seam, end.round + 1, count_it, &rounds, &salvage), 0);
	assert_false(salvage.ended);
	memory_disk_poke(life->disk, segment(1), FRAME_SECTOR + 100, 0x55);
	rounds = 0;
	assert_int_equal(journal_salvage(life->seam, 1, count_it, &rounds, &salvage), 0);
	assert_true(rounds == 0 && !salvage.ended && salvage.seen_round == end.round - 1);
	/* An older copy of a round behind a later one does not count as the last seen. */
	const struct frame old = { .kind = FRAME_ROUND, .lag = 1, .number = 1 };
	uint8_t sector[FRAME_SECTOR];
	frame_write(sector, &old, NULL);
	poke_sector(life, end.name, SEGMENT - FRAME_SECTOR, sector);
	assert_int_equal(journal_salvage(life->seam, 2, count_it, &rounds, &salvage), 0);
	assert_int_equal(salvage.seen_round, end.round - 1);
	life_free(life);
	/* A round of no records. */
	life = life_new(26);
	assert_true(recover(life));
	const struct round empty = { .number = 1 };
	struct journal_fault fault;
	assert_int_equal(journal_append(life->journal, &empty, &fault), 0);
	rounds = 0;
	assert_int_equal(journal_salvage(life->seam, 1, count_it, &rounds, &salvage), 0);
	assert_true(rounds == 1 && salvage.ended);
	life_free(life);
}

/* ---- failures ---- */

static void a_call_that_fails_ends_the_journal_and_loses_nothing(void **state)
{
	static const enum memory_call calls[] = { MEMORY_LIST, MEMORY_OPEN, MEMORY_SIZE,   MEMORY_READ,	     MEMORY_WRITE,
						  MEMORY_SYNC, MEMORY_RENAME, MEMORY_REMOVE, MEMORY_SYNC_FOLDER };
	uint64_t seed = unit_seed(), tried = 0, ended = 0;
	struct unit_random random = { seed };

	(void)state;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		for (unsigned kind = 0; kind < 8; kind++) {
			struct memory_fault fault = { .call = calls[i], .nth = 1, .error = kind & 1 ? ENOSPC : EIO,
						      .for_ever = kind & 2, .drops = true,
						      .effect = kind & 4 ? MEMORY_PART : MEMORY_NOTHING };
			for (bool struck = true; struck; fault.nth++) {
				struct life *life = life_new(unit_draw(&random));
				memory_disk_fail(life->disk, &fault);
				bool lived = whole_life(life, kind & 1 ? 4 : 0);
				struck = memory_disk_failed(life->disk);
				/* Nothing but spares and what is forgotten may fail unseen. */
				if (struck && (calls[i] == MEMORY_WRITE || calls[i] == MEMORY_SYNC))
					ended += !lived;
				journal_close(&life->journal);
				memory_disk_crash(life->disk);
				if (unit_below(&random, 2) == 0)
					memory_disk_lose_power(life->disk, unit_draw(&random));
				afterwards(life, &random, fault.nth);
				life_free(life);
				tried++;
			}
		}
	assert_true(ended > 100);
	printf("# %" PRIu64 " failures, %" PRIu64 " writes and syncs that ended it\n", tried, ended);
}

static void a_write_that_is_cut_short_goes_on(void **state)
{
	struct life *life = life_new(12);
	struct journal_end end;

	(void)state;
	for (enum memory_call call = MEMORY_READ; call <= MEMORY_WRITE; call++) {
		memory_disk_fail(life->disk, &(struct memory_fault){ .call = call, .nth = 1, .for_ever = true });
		assert_true(recover(life));
		add(life, 30);
		ASSERT_ENDS(life, 0, &end);
	}
	life_free(life);
}

/* A sync that fails may leave zeros to be read that are not on the disk. */
static void an_unfinished_end_that_could_not_be_overwritten_does_not_come_back(void **state)
{
	struct unit_random random = { unit_seed() };
	unsigned torn = 0;

	(void)state;
	for (unsigned i = 0; i < seeds(); i++) {
		struct life *life = life_new(unit_draw(&random));
		struct journal_fault fault;
		struct journal_end end;

		assert_true(recover(life));
		add(life, 6);
		assert_int_equal(append(life), 0);
		journal_close(&life->journal);
		memory_disk_lose_power(life->disk, unit_draw(&random));
		assert_int_equal(read_all(life, 1, &end, &fault), JOURNAL_ENDED);
		torn += end.torn > 0;
		memory_disk_fail(life->disk,
				 &(struct memory_fault){ .call = MEMORY_SYNC, .nth = 1, .error = EIO, .drops = true });
		assert_false(recover(life));
		memory_disk_crash(life->disk);
		assert_true(recover(life));
		/* Far shorter than what was unfinished. */
		const struct round small = {
			.number = life->next, .revision = life->next * 3, .records = bytes, .size = 1
		};
		assert_int_equal(journal_append(life->journal, &small, &fault), 0);
		assert_int_equal(sync_it(life), 0);
		journal_close(&life->journal);
		memory_disk_lose_power(life->disk, unit_draw(&random));
		struct journal_reader *reader = journal_reader_new(life->seam, HISTORY, small.number, &fault);
		struct round round;
		if (journal_read(reader, &round, &end, &fault) != JOURNAL_ROUND ||
		    journal_read(reader, &round, &end, &fault) != JOURNAL_ENDED)
			fail_msg("%s", fault.text);
		assert_int_equal(end.torn, 0);
		journal_reader_destroy(&reader);
		life_free(life);
	}
	assert_true(torn > seeds() / 4);
}

static void after_a_failed_sync_nothing_is_written_any_more(void **state)
{
	struct life *life = life_new(13);

	(void)state;
	assert_true(recover(life));
	add(life, 1);
	memory_disk_fail(life->disk, &(struct memory_fault){ .call = MEMORY_SYNC, .nth = 1, .error = EIO });
	assert_int_equal(append(life), 0);
	assert_int_equal(sync_it(life), -EIO);
	uint64_t calls = memory_disk_calls(life->disk, MEMORY_ANY);
	assert_int_equal(sync_it(life), -EIO);
	struct round round = round_of(life, 3);
	struct journal_fault fault;
	assert_int_equal(journal_append(life->journal, &round, &fault), -EIO);
	assert_int_equal(memory_disk_calls(life->disk, MEMORY_ANY), calls);
	life_free(life);
}

static void a_spare_that_cannot_be_made_is_made_when_it_is_needed(void **state)
{
	struct life *life = life_new(14);
	struct journal_end end;

	(void)state;
	assert_true(recover(life));
	while (!journal_spare_wanted(life->journal))
		add(life, 1);
	memory_disk_fail(life->disk, &(struct memory_fault){ .call = MEMORY_WRITE, .nth = 1, .error = ENOSPC });
	assert_int_equal(journal_make_spare(life->journal), -ENOSPC);
	assert_false(memory_disk_has(life->disk, "spare"));
	assert_true(journal_spare_wanted(life->journal));
	add(life, 20);
	ASSERT_ENDS(life, 1, &end);
	life_free(life);
}

/* ---- memory ---- */

/* All of it once; what fails says that memory ran out. */
static void with_little_memory(const struct disk *disk, uint64_t *rounds)
{
	const struct journal_settings settings = { .disk = disk, .history = HISTORY, .segment_bytes = SEGMENT };
	static const uint8_t large[400000];
	struct journal_fault fault = { 0 };
	struct journal_end end;
	struct round round;
	enum journal_result result;

	struct journal_reader *reader = journal_reader_new(disk, HISTORY, 1, &fault);
	assert_true(reader != NULL || fault.error == ENOMEM);
	if (reader == NULL)
		return;
	while ((result = journal_read(reader, &round, &end, &fault)) == JOURNAL_ROUND)
		;
	journal_reader_destroy(&reader);
	assert_true(result == JOURNAL_ENDED || fault.error == ENOMEM);
	if (result != JOURNAL_ENDED)
		return;
	struct journal *journal = journal_open(&settings, &end, &fault);
	assert_true(journal != NULL || fault.error == ENOMEM);
	if (journal == NULL)
		return;
	*rounds = end.round - 1;
	round = (struct round){ .number = end.round, .revision = end.revision, .records = large, .size = sizeof large };
	int rc = journal_append(journal, &round, &fault);
	assert_true(rc == 0 || (rc == -ENOMEM && fault.error == ENOMEM));
	if (rc == 0)
		assert_int_equal(journal_sync(journal, &fault), 0);
	rc = journal_forget(journal, end.round);
	assert_true(rc == 0 || rc == -ENOMEM);
	journal_close(&journal);
}

static void memory_that_runs_out_anywhere_is_told(void **state)
{
	struct life *life = two_segments();
	uint64_t rounds, denied = 1, there = 0;

	(void)state;
	struct journal_end end;
	ASSERT_ENDS(life, 1, &end);
	for (long n = 0; denied > 0; n++) {
		struct life *copy = life_copy(life, 1);
		struct disk disk = plenty(copy->seam);
		rounds = end.round - 1;
		scarce_begin(n, n % 2 != 0);
		with_little_memory(&disk, &rounds);
		denied = scarce_end();
		assert_int_equal(rounds, end.round - 1);
		assert_int_equal(memory_disk_open_files(copy->disk), 0);
		there++;
		life_free(copy);
	}
	assert_true(there > 8);
	/* And cutting. */
	denied = 1;
	for (long n = 0; denied > 0; n++) {
		struct life *copy = life_copy(life, 1);
		struct disk disk = plenty(copy->seam);
		struct journal_fault fault, problem;
		memory_disk_poke(copy->disk, segment(1), 600, 1);
		assert_int_equal(read_all(copy, 1, &end, &fault), JOURNAL_DAMAGED);
		scarce_begin(n, false);
		int rc = journal_cut(&disk, &fault, &problem);
		denied = scarce_end();
		assert_true((rc == 0) == (denied == 0));
		assert_true(rc == 0 || problem.error == ENOMEM);
		life_free(copy);
	}
	life_free(life);
}

static void adding_a_round_takes_no_memory(void **state)
{
	struct life *life = life_new(16);
	struct disk disk = plenty(life->seam);
	const struct journal_settings settings = { .disk = &disk, .history = HISTORY, .segment_bytes = SEGMENT };
	const struct journal_end end = { .round = 1 };
	struct journal_fault fault;
	struct round round = { .number = 1, .records = bytes };

	(void)state;
	struct journal *journal = journal_open(&settings, &end, &fault);
	assert_non_null(journal);
	scarce_begin(0, true);
	for (; round.number < 100; round.number++) {
		round.size = 100 * round.number;
		assert_int_equal(journal_append(journal, &round, &fault), 0);
		assert_int_equal(journal_sync(journal, &fault), 0);
	}
	assert_int_equal(scarce_end(), 0);
	journal_close(&journal);
	life_free(life);
}

/* ---- cuts ---- */

static void spoil(struct life *life, const char *name, uint64_t byte)
{
	memory_disk_poke(life->disk, name, byte, memory_disk_bytes(life->disk, name)[byte] ^ 0x10);
}

/* Cuts until the journal can be read. */
static void repair(struct life *life, struct journal_end *end)
{
	struct journal_fault fault, problem;

	for (unsigned times = 0; read_all(life, 1, end, &fault) != JOURNAL_ENDED; times++) {
		assert_int_equal(fault.error, 0);
		assert_true(times < 4);
		if (journal_cut(life->seam, &fault, &problem) != 0)
			fail_msg("%s", problem.text);
	}
}

static void a_damaged_journal_is_cut_before_the_damage_at_any_byte(void **state)
{
	struct life *life = two_segments();
	uint64_t firsts[] = { 1, second_of(life) };

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (uint64_t byte = 0; byte < SEGMENT; byte += 101) {
			struct life *copy = life_copy(life, 1);
			struct journal_fault fault, problem;
			struct journal_end end, whole;
			const char *name = segment(firsts[i]);
			ASSERT_ENDS(copy, 1, &whole);
			spoil(copy, name, byte);
			assert_int_equal(read_all(copy, 1, &end, &fault), JOURNAL_DAMAGED);
			bool alone = fault.alone;
			assert_int_equal(journal_cut(copy->seam, &fault, &problem), 0);
			ASSERT_ENDS(copy, 1, &end);
			assert_int_equal(end.round, alone ? whole.round : fault.round);
			char cut[JOURNAL_NAME_BYTES + 8];
			snprintf(cut, sizeof cut, "%s.cut", name);
			assert_true(memory_disk_has(copy->disk, cut));
			/* The byte that was spoiled is kept with the rest. */
			uint64_t lost = memory_disk_size(copy->disk, cut);
			assert_int_equal(lost, SEGMENT - fault.cut);
			assert_int_equal(memory_disk_bytes(copy->disk, cut)[byte - fault.cut],
					 memory_disk_bytes(life->disk, name)[byte] ^ 0x10);
			if (i == 0 && !alone) {
				snprintf(cut, sizeof cut, "%s.cut", segment(firsts[1]));
				assert_true(memory_disk_has(copy->disk, cut));
			}
			copy->synced = end.round - 1;
			assert_true(recover(copy));
			add(copy, 6);
			assert_true(recover(copy));
			/* A second time: another name. */
			journal_close(&copy->journal);
			spoil(copy, segment(1), 600);
			repair(copy, &end);
			assert_int_equal(end.round, 1);
			life_free(copy);
		}
	life_free(life);
}

static void a_cut_that_is_cut_off_itself_is_begun_again(void **state)
{
	struct life *life = two_segments();
	const uint64_t places[][2] = { { 1, 4 }, { 1, 2000 }, { 1, SEGMENT - 1 }, { second_of(life), 10 },
				       { second_of(life), 700 }, { second_of(life), SEGMENT - 9 } };
	struct unit_random random = { unit_seed() };

	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		struct life *spoilt = life_copy(life, 1);
		struct journal_fault fault, problem;
		struct journal_end end;
		uint64_t remain;

		spoil(spoilt, segment(places[i][0]), places[i][1]);
		assert_int_equal(read_all(spoilt, 1, &end, &fault), JOURNAL_DAMAGED);
		struct life *done = life_copy(spoilt, 1);
		assert_int_equal(journal_cut(done->seam, &fault, &problem), 0);
		ASSERT_ENDS(done, 1, &end);
		remain = end.round;
		uint64_t calls = memory_disk_calls(done->disk, MEMORY_CHANGE);
		life_free(done);
		for (uint64_t n = 1; n <= calls; n++)
			for (unsigned seed = 0; seed < seeds(); seed++) {
				struct life *copy = life_copy(spoilt, unit_draw(&random));
				memory_disk_fail(copy->disk,
						 &(struct memory_fault){ .call = MEMORY_CHANGE,
									 .nth = n,
									 .error = EIO,
									 .dead = true,
									 .effect = (enum memory_effect)(seed % 3) });
				assert_int_not_equal(journal_cut(copy->seam, &fault, &problem), 0);
				assert_true(problem.error == EIO && strlen(problem.text) > 0);
				memory_disk_crash(copy->disk);
				if (seed > 2)
					memory_disk_lose_power(copy->disk, unit_draw(&random));
				repair(copy, &end);
				assert_int_equal(end.round, remain);
				life_free(copy);
			}
		life_free(spoilt);
	}
	life_free(life);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_folder_without_a_journal_ends_before_its_first_round),
	cmocka_unit_test(rounds_are_read_back_over_segments_spares_and_oversized_ones),
	cmocka_unit_test(a_small_round_is_one_write_and_one_sync),
	cmocka_unit_test(an_oversized_first_round_takes_the_place_of_an_empty_segment),
	cmocka_unit_test(old_segments_go_when_all_their_rounds_are_forgotten),
	cmocka_unit_test(reading_while_an_owner_writes_goes_to_what_is_there),
	cmocka_unit_test(unsynced_rounds_are_synced_before_a_mark_could_not_tell_of_them),
	cmocka_unit_test(no_byte_of_a_journal_can_be_another),
	cmocka_unit_test(no_length_but_its_own_is_taken),
	cmocka_unit_test(a_lost_sector_is_refused_unless_it_is_of_the_last_round),
	cmocka_unit_test(a_segment_that_is_missing_is_missed),
	cmocka_unit_test(a_seal_that_is_gone_is_missed),
	cmocka_unit_test(a_segment_of_another_place_is_refused),
	cmocka_unit_test(another_history_is_refused),
	cmocka_unit_test(a_crash_at_any_call_loses_no_synced_round),
	cmocka_unit_test(a_crash_at_any_call_loses_no_synced_round_when_not_each_is_synced),
	cmocka_unit_test(a_head_that_no_version_writes_is_refused_whatever_its_sum),
	cmocka_unit_test(a_segment_of_a_size_that_none_has_is_refused),
	cmocka_unit_test(files_with_other_names_are_none_of_its),
	cmocka_unit_test(what_is_not_as_it_was_read_is_not_gone_on_with),
	cmocka_unit_test(a_long_unsynced_end_is_written_again_whatever_fails),
	cmocka_unit_test(sound_rounds_of_several_segments_are_salvaged),
	cmocka_unit_test(a_call_that_fails_ends_the_journal_and_loses_nothing),
	cmocka_unit_test(a_write_that_is_cut_short_goes_on),
	cmocka_unit_test(an_unfinished_end_that_could_not_be_overwritten_does_not_come_back),
	cmocka_unit_test(after_a_failed_sync_nothing_is_written_any_more),
	cmocka_unit_test(a_spare_that_cannot_be_made_is_made_when_it_is_needed),
	cmocka_unit_test(memory_that_runs_out_anywhere_is_told),
	cmocka_unit_test(adding_a_round_takes_no_memory),
	cmocka_unit_test(a_damaged_journal_is_cut_before_the_damage_at_any_byte),
	cmocka_unit_test(a_cut_that_is_cut_off_itself_is_begun_again),
};

UNIT_MAIN(tests)
