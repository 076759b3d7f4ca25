/* SPDX-License-Identifier: MIT
 *
 * An owner's disk fails at its nth call, of each kind, and its memory at the nth allocation: in the middle of its life, while
 * it starts, while a damaged journal is cut or salvaged. It stops with a reason; then, with a disk that works, it starts
 * with everything that was acknowledged, and in a state that it was in. And what is damaged is refused, by the byte.
 */
#include "tests/lib/memory_disk.h"
#include "tests/lib/outlet.h"
#include "tests/lib/plenty.h"
#include "tests/lib/scarce.h"

#include "owner/state/crc32c.h"
#include "owner/state/durability.h"
#include "owner/state/frame.h"
#include "owner/state/journal_salvage.h"
#include "owner/state/segment.h"
#include "owner/state/snapshot_file.h"

#include <endian.h>
#include <errno.h>

enum { REVISIONS_MAX = 200, ROUNDS = 17, SWEEP_MAX = 3000, WALL_US = 5000000 };

/* What an owner was, revision by revision; its digests are those of every life, which are all alike. */
static uint64_t digests[REVISIONS_MAX];
static bool known[REVISIONS_MAX];

struct life {
	struct memory_disk *disk;
	struct disk seam; /* to it, with memory of its own */
	struct rig *rig;
	struct durable *durable;
	uint64_t acknowledged; /* the last revision whose round was synced */
	int error;
	bool started;
	enum recovery_result result;
	struct recovery recovery;
};

static struct core *core_of(const struct life *life)
{
	return service_core(life->rig->service);
}

/* How many allocations of a start succeed before one fails; negative: all of them. */
static long start_ration = -1;

/* Without memory there may be no life at all: false. */
static bool begin(struct life *life, struct memory_disk *disk)
{
	static const struct recovery_options options = { .context = NULL };

	memset(life, 0, sizeof *life);
	life->disk = disk;
	life->seam = plenty(memory_disk_seam(disk));
	const struct durability_settings settings = { .disk = &life->seam,
						      .level = DURABILITY_SYNC,
						      .segment_bytes = JOURNAL_SEGMENT_LEAST,
						      .snapshot_after = 1 << 20,
						      .snapshots_kept = 2,
						      .history = 0x5678 };

	life->rig = rig_new();
	life->rig->limits.events_bytes = 65536;
	if (!rig_start(life->rig, &table_behaviour, 1))
		return false;
	scarce_begin(start_ration, false);
	life->durable = durability_new(&settings);
	if (life->durable != NULL)
		life->result = durability_start(life->durable, core_of(life), WALL_US, &options, &life->recovery);
	if (start_ration >= 0)
		start_ration = scarce_end() > 0 ? 0 : 1;
	scarce_end();
	if (life->durable == NULL)
		return false;
	life->started = life->result == RECOVERED;
	if (!life->started)
		assert_true(life->recovery.why[0] != '\0');
	else
		life->acknowledged = core_revision(core_of(life));
	return life->started;
}

static void end(struct life *life)
{
	durability_destroy(&life->durable);
	rig_free(life->rig);
}

/* What memory is left to the rounds, and only to them; negative: any. */
static long ration = -1;

static void spend(void)
{
	scarce_left = ration;
}

static void save_up(void)
{
	ration = scarce_left;
	scarce_left = -1;
}

/* A round of one put. */
static bool put(struct life *life, int n, size_t size)
{
	struct rig *rig = life->rig;
	char key[16];

	snprintf(key, sizeof key, "k%d", n % 5);
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, key, size > 0 ? *rig_big(size) : value_integer(n));
	rig_finish(rig);
	rig_lay_out(rig);
	spend();
	service_round(rig->service, rig->messages, rig->count, rig->now_ns, rig->wall_us);
	uint64_t revision = core_revision(core_of(life));
	life->error = durability_commit(life->durable, rig->now_ns);
	save_up();
	assert_true(revision < REVISIONS_MAX);
	if (life->error == 0)
		life->acknowledged = revision;
	for (size_t i = 0; i < rig->count; i++)
		free((void *)(uintptr_t)rig->messages[i].body);
	rig->ran = true;
	return life->error == 0;
}

static bool save(struct life *life)
{
	struct snapshot_head head;
	int error = durability_snapshot_begin(life->durable, WALL_US, &head);

	if (error == 0)
		durability_snapshot_done(life->durable, &head,
					 snapshot_save(memory_disk_seam(life->disk), core_of(life), &head));
	life->error = error;
	return error == 0;
}

/* Rounds small and large, over several segments, with snapshots between; then it ends well. */
static bool live(struct life *life)
{
	for (int n = 1; n <= ROUNDS; n++) {
		if (!put(life, n, n % 3 == 0 ? 12000 + (size_t)n : 0))
			return false;
		if (n % 5 == 0 && !save(life))
			return false;
		if (journal_spare_wanted(durability_journal(life->durable)))
			journal_make_spare(durability_journal(life->durable));
	}
	life->error = durability_finish(life->durable, WALL_US);
	return life->error == 0;
}

/* Revisions and digests of a life without a fault. What a faulty one reaches is among them. */
static struct memory_disk *reference(void)
{
	struct memory_disk *disk = memory_disk_new(1);
	struct life life;

	assert_true(begin(&life, disk));
	for (int n = 1; n <= ROUNDS; n++) {
		known[core_revision(core_of(&life))] = true;
		digests[core_revision(core_of(&life))] = rig_digest(life.rig);
		assert_true(put(&life, n, n % 3 == 0 ? 12000 + (size_t)n : 0));
		if (n % 5 == 0)
			assert_true(save(&life));
	}
	known[core_revision(core_of(&life))] = true;
	digests[core_revision(core_of(&life))] = rig_digest(life.rig);
	assert_int_equal(durability_finish(life.durable, WALL_US), 0);
	end(&life);
	return disk;
}

static bool struck_now; /* the fault of the sweep */

static void heal(struct memory_disk *disk)
{
	struck_now = memory_disk_failed(disk);
	memory_disk_fail(disk, NULL);
	memory_disk_crash(disk);
}

/* The disk works again: everything acknowledged is there. */
static void starts_again(struct memory_disk *disk, uint64_t acknowledged)
{
	struct life life;

	heal(disk);
	if (!begin(&life, disk))
		fail_msg("%s", life.recovery.why);
	uint64_t revision = core_revision(core_of(&life));
	assert_true(revision >= acknowledged && revision < REVISIONS_MAX && known[revision]);
	assert_true(rig_digest(life.rig) == digests[revision]);
	assert_true(put(&life, 1, 0));
	end(&life);
	assert_int_equal(memory_disk_open_files(disk), 0);
}

static const int errors[] = { EIO, ENOSPC };
static const enum memory_effect effects[] = { MEMORY_NOTHING, MEMORY_PART, MEMORY_ALL };

/* Returns how many faults struck. */
static unsigned sweep(const struct memory_disk *from, enum memory_call call, unsigned variant,
		      void (*one)(struct memory_disk *disk))
{
	unsigned struck = 0;

	for (uint64_t nth = 1; nth < SWEEP_MAX; nth++) {
		struct memory_disk *disk = from != NULL ? memory_disk_clone(from, 1) : memory_disk_new(nth);
		const struct memory_fault fault = { .call = call,
						    .nth = nth,
						    .error = errors[variant % 2],
						    .for_ever = (variant & 2) != 0,
						    .effect = effects[variant % 3] };
		memory_disk_fail(disk, &fault);
		one(disk);
		memory_disk_free(disk);
		if (!struck_now)
			break;
		struck++;
	}
	return struck;
}

static void one_life(struct memory_disk *disk)
{
	struct life life;
	uint64_t acknowledged = 0;

	if (begin(&life, disk)) {
		bool well = live(&life);
		assert_true(well || durability_problem(life.durable)[0] != '\0' || life.error < 0);
		acknowledged = life.acknowledged;
	} else if (life.durable != NULL)
		assert_true(life.result == RECOVERY_FAILED && life.recovery.error > 0);
	end(&life);
	starts_again(disk, acknowledged);
}

static void whatever_call_of_the_disk_fails_what_was_acknowledged_is_there(void **state)
{
	unsigned struck = 0;

	(void)state;
	memory_disk_free(reference());
	for (enum memory_call call = MEMORY_LIST; call < MEMORY_CALLS; call++)
		for (unsigned variant = 0; variant < 6; variant++)
			struck += sweep(NULL, call, variant, one_life);
	printf("# %u faults\n", struck);
	assert_true(struck > 300);
}

static void one_start(struct memory_disk *disk)
{
	struct life life;

	if (!begin(&life, disk)) /* and is not taken for damage */
		assert_true(life.result == RECOVERY_FAILED && life.recovery.error > 0);
	uint64_t acknowledged = life.acknowledged;
	end(&life);
	starts_again(disk, acknowledged);
}

/* A journal that ends in the middle, with something torn behind it, and a snapshot. */
static struct memory_disk *interrupted(void)
{
	struct memory_disk *disk = memory_disk_new(3);
	struct life life;

	assert_true(begin(&life, disk));
	for (int n = 1; n <= 7; n++) {
		assert_true(put(&life, n, n % 3 == 0 ? 12000 + (size_t)n : 0));
		if (n % 5 == 0)
			assert_true(save(&life));
	}
	memory_disk_fail(disk, &(struct memory_fault){ .call = MEMORY_SYNC, .nth = 1, .error = EIO, .dead = true });
	put(&life, 8, 0);
	end(&life);
	memory_disk_fail(disk, NULL);
	memory_disk_lose_power(disk, 4);
	return disk;
}

static void a_start_that_fails_changes_nothing_that_counts(void **state)
{
	struct memory_disk *disk = interrupted();
	unsigned struck = 0;

	(void)state;
	for (enum memory_call call = MEMORY_LIST; call < MEMORY_CALLS; call++)
		for (unsigned variant = 0; variant < 6; variant++)
			struck += sweep(disk, call, variant, one_start);
	printf("# %u faults\n", struck);
	assert_true(struck > 50);
	memory_disk_free(disk);
}

static void a_life_without_memory_stops_and_loses_nothing(void **state)
{
	(void)state;
	for (unsigned for_good = 0; for_good < 2; for_good++) {
		bool complete = false;
		for (long succeed = 0; !complete; succeed++) {
			struct memory_disk *disk = memory_disk_new(1);
			struct life life;
			int n = 0;
			assert_true(begin(&life, disk));
			scarce_begin(-1, for_good);
			ration = succeed;
			while (n < 4 && put(&life, n + 1, n == 2 ? 20000 : 0))
				n++;
			complete = scarce_end() == 0;
			ration = -1;
			uint64_t acknowledged = life.acknowledged;
			end(&life);
			memory_disk_crash(disk);
			assert_true(begin(&life, disk));
			assert_true(core_revision(core_of(&life)) >= acknowledged);
			end(&life);
			memory_disk_free(disk);
			if (succeed > SWEEP_MAX)
				fail_msg("it does not end");
		}
	}
}

/* Recovery while allocations fail; the disk in memory allocates as well, and ends the program where it cannot: so
 * everything is read from one that has been read before. */
static void a_recovery_without_memory_says_so(void **state)
{
	struct memory_disk *disk = interrupted();
	const struct recovery_options options = { .at_revision = 0 };
	bool complete = false;

	(void)state;
	for (long succeed = 0; !complete && succeed < SWEEP_MAX; succeed++) {
		struct rig *rig = rig_new();
		struct recovery recovery;
		assert_true(rig_start(rig, &table_behaviour, 1));
		scarce_begin(succeed, false);
		const struct disk seam = plenty(memory_disk_seam(disk));
		enum recovery_result result = recovery_run(&seam, service_core(rig->service), &options, &recovery);
		complete = scarce_end() == 0;
		if (result != RECOVERED && (result != RECOVERY_FAILED || recovery.error != ENOMEM))
			fail_msg("%d: %s", (int)result, recovery.why);
		assert_true(result == RECOVERED || recovery.why[0] != '\0');
		assert_true(result == RECOVERED || !complete);
		if (result == RECOVERED)
			assert_true(known[core_revision(service_core(rig->service))]);
		rig_free(rig);
	}
	assert_true(complete);
	memory_disk_free(disk);
}

/* ---- a rotation that was cut off, and a snapshot that reaches to its beginning ---- */

enum { LAST_THAT_FITS = 14 };

static bool put_nth(struct life *life, int n)
{
	return put(life, n, n % 3 == 0 ? 12000 + (size_t)n : 0);
}

/* The next round is the first of another segment, and everything before it is in a snapshot: a start reads from
 * that segment on. The machine dies at the nth change of the disk from there on. */
static struct memory_disk *rotating(uint64_t nth, bool *died, uint64_t *acknowledged)
{
	struct memory_disk *disk = memory_disk_new(nth);
	struct life life;

	assert_true(begin(&life, disk));
	for (int n = 1; n <= LAST_THAT_FITS; n++)
		assert_true(put_nth(&life, n));
	assert_true(save(&life));
	memory_disk_fail(disk, &(struct memory_fault){ .call = MEMORY_CHANGE, .nth = nth, .error = EIO, .dead = true,
						       .effect = effects[nth % 2 * 2] });
	put_nth(&life, LAST_THAT_FITS + 1);
	*died = memory_disk_failed(disk);
	*acknowledged = life.acknowledged;
	end(&life);
	memory_disk_fail(disk, NULL);
	return disk;
}

static size_t segments_of(struct memory_disk *disk, struct segment_list *list)
{
	assert_int_equal(segment_list(memory_disk_seam(disk), list), 0);
	return list->count;
}

/* What a start does when the second of two segments is empty; the first one's seal may be there or not. */
static void a_rotation_that_was_cut_off_is_gone_on_with_whatever_fails(void **state)
{
	unsigned deaths = 0, struck = 0, empty = 0;
	bool died = true;

	(void)state;
	memory_disk_free(reference());
	for (uint64_t nth = 1; died; nth++)
		for (int power = 0; power < 2; power++) {
			struct segment_list list;
			uint64_t acknowledged;
			struct memory_disk *disk = rotating(nth, &died, &acknowledged);
			if (power == 0)
				memory_disk_crash(disk);
			else
				memory_disk_lose_power(disk, nth);
			struct memory_disk *copy = memory_disk_clone(disk, 1);
			starts_again(copy, acknowledged);
			memory_disk_free(copy);
			empty += died && segments_of(disk, &list) == 2;
			segment_list_clear(&list);
			for (enum memory_call call = MEMORY_LIST; call < MEMORY_CALLS; call++)
				for (unsigned variant = 0; variant < 3; variant++)
					struck += sweep(disk, call, variant, one_start);
			memory_disk_free(disk);
			deaths += died;
		}
	printf("# %u deaths, %u of them with an empty segment, %u starts that failed\n", deaths, empty, struck);
	assert_true(deaths > 8 && empty > 3 && struck > 300);
}

/* A disk with an empty segment behind one that is full, and which that is. */
static struct memory_disk *rotated(char name[JOURNAL_NAME_BYTES], uint64_t *next)
{
	struct segment_list list = { 0 };
	struct memory_disk *disk = NULL;
	uint64_t acknowledged;
	bool died = true;

	for (uint64_t nth = 1; died && list.count < 2; nth++) {
		segment_list_clear(&list);
		memory_disk_free(disk);
		disk = rotating(nth, &died, &acknowledged);
		memory_disk_crash(disk);
		segments_of(disk, &list);
	}
	assert_true(died && list.count == 2);
	segment_name(name, list.firsts[0]);
	*next = list.firsts[1];
	segment_list_clear(&list);
	return disk;
}

static void start_is_refused(struct memory_disk *disk, int error)
{
	struct life life;

	assert_false(begin(&life, disk));
	assert_int_equal(life.result, RECOVERY_FAILED);
	assert_int_equal(life.recovery.error, error);
	end(&life);
}

/* The rounds of the full segment are not needed any more, and still nothing is put behind what cannot be theirs. */
static void a_full_segment_with_another_end_is_not_sealed(void **state)
{
	char name[JOURNAL_NAME_BYTES];
	uint64_t next;
	struct memory_disk *whole = rotated(name, &next), *disk;
	uint64_t size = memory_disk_size(whole, name), at = size - JOURNAL_SECTOR_BYTES;
	uint8_t sector[FRAME_SECTOR];

	(void)state;
	/* Nothing in it at all. */
	disk = memory_disk_clone(whole, 1);
	memory_disk_resize(disk, name, JOURNAL_SECTOR_BYTES);
	memory_disk_resize(disk, name, size);
	start_is_refused(disk, EUCLEAN);
	memory_disk_free(disk);
	/* Something that is no frame; a round; the seal of another round; one of this. */
	const struct frame frames[] = {
		{ .kind = FRAME_ROUND, .lag = 1, .number = next },
		{ .kind = FRAME_SEAL, .lag = 1, .number = next + 1 },
		{ .kind = FRAME_SEAL, .lag = 1, .number = next },
	};
	for (size_t i = 0; i < 4; i++) {
		disk = memory_disk_clone(whole, 1);
		memset(sector, 0x5a, sizeof sector);
		if (i > 0)
			frame_write(sector, &frames[i - 1], NULL);
		for (size_t byte = 0; byte < sizeof sector; byte++)
			memory_disk_poke(disk, name, at + byte, sector[byte]);
		if (i < 3)
			start_is_refused(disk, EUCLEAN);
		else
			starts_again(disk, 0);
		memory_disk_free(disk);
	}
	memory_disk_free(whole);
}

static void without_memory_to_look_for_its_end_it_is_not_sealed(void **state)
{
	char name[JOURNAL_NAME_BYTES];
	uint64_t next;
	struct memory_disk *whole = rotated(name, &next);
	bool complete = false;

	(void)state;
	for (long succeed = 0; !complete && succeed < SWEEP_MAX; succeed++) {
		struct memory_disk *disk = memory_disk_clone(whole, 1);
		struct life life;
		start_ration = succeed;
		bool began = begin(&life, disk);
		complete = start_ration != 0;
		start_ration = -1;
		assert_true(began || life.durable == NULL || life.recovery.error == ENOMEM);
		end(&life);
		starts_again(disk, 0);
		memory_disk_free(disk);
	}
	assert_true(complete);
	memory_disk_free(whole);
}

/* ---- ways to recover ---- */

static bool count_records(void *context, const struct round *round, const struct record *record)
{
	(void)round, (void)record;
	return ++*(unsigned *)context < 10;
}

static void told_progress(void *context, const char *what, uint64_t done, uint64_t all)
{
	(void)context;
	assert_non_null(what);
	assert_true(done <= all);
}

static void a_state_is_brought_back_as_it_was_at_any_revision(void **state)
{
	struct memory_disk *disk = interrupted();
	struct recovery recovery;
	unsigned records = 0;

	(void)state;
	for (uint64_t revision = 1; revision <= 7; revision++)
		for (int kind = 0; kind < 4; kind++) {
			const struct recovery_options options = { .at_revision = revision,
								  .from_oldest = kind & 1,
								  .no_digests = kind & 2,
								  .any_version = kind & 1,
								  .progress = told_progress };
			struct rig *rig = rig_new();
			assert_true(rig_start(rig, &table_behaviour, 1));
			assert_int_equal(recovery_run(memory_disk_seam(disk), service_core(rig->service), &options, &recovery),
					 RECOVERED);
			assert_true(rig_revision(rig) == revision && known[revision]);
			assert_true(rig_digest(rig) == digests[revision]);
			rig_free(rig);
		}
	const struct recovery_options sound = { .sound_only = true, .progress = told_progress };
	assert_int_equal(recovery_run(memory_disk_seam(disk), NULL, &sound, &recovery), RECOVERED);
	const struct recovery_options some = { .from_oldest = true, .context = &records, .record = count_records };
	struct rig *rig = rig_new();
	assert_true(rig_start(rig, &table_behaviour, 1));
	recovery_run(memory_disk_seam(disk), service_core(rig->service), &some, &recovery);
	assert_true(records > 0 && records <= 10);
	rig_free(rig);
	memory_disk_free(disk);
}

static enum recovery_result recover(struct memory_disk *disk, struct recovery *recovery)
{
	const struct recovery_options options = { .at_revision = 0 };
	struct rig *rig = rig_new();

	assert_true(rig_start(rig, &table_behaviour, 1));
	enum recovery_result result = recovery_run(memory_disk_seam(disk), service_core(rig->service), &options, recovery);
	rig_free(rig);
	return result;
}

static void no_byte_of_a_snapshot_can_be_another(void **state)
{
	struct memory_disk *whole = interrupted();
	char name[SNAPSHOT_NAME_BYTES];
	uint64_t rounds[4];
	struct recovery recovery;

	(void)state;
	assert_true(snapshots_list(memory_disk_seam(whole), rounds, 4) >= 1);
	snapshot_name(name, rounds[0]);
	uint64_t size = memory_disk_size(whole, name);
	for (uint64_t at = 0; at < size; at += at < 400 || size - at < 400 ? 1 : 97) {
		struct memory_disk *disk = memory_disk_clone(whole, 1);
		memory_disk_poke(disk, name, at, (uint8_t)~memory_disk_bytes(disk, name)[at]);
		assert_int_equal(recover(disk, &recovery), RECOVERY_DAMAGED);
		assert_non_null(strstr(recovery.why, name));
		memory_disk_resize(disk, name, at);
		assert_int_equal(recover(disk, &recovery), RECOVERY_DAMAGED);
		memory_disk_free(disk);
	}
	memory_disk_free(whole);
}

/* ---- damage that is cut or salvaged, while the disk fails ---- */

static bool take_round(void *context, const struct round *round)
{
	(void)round;
	++*(unsigned *)context;
	return true;
}

static struct memory_disk *damaged(void)
{
	struct memory_disk *disk = interrupted();
	struct segment_list list = { 0 };
	char name[JOURNAL_NAME_BYTES];

	assert_int_equal(segment_list(memory_disk_seam(disk), &list), 0);
	segment_name(name, list.firsts[0]);
	memory_disk_poke(disk, name, 3 * JOURNAL_SECTOR_BYTES + 100, 0x55);
	segment_list_clear(&list);
	return disk;
}

static enum journal_result read_through(struct memory_disk *disk, struct journal_fault *fault)
{
	struct journal_end ended;
	struct round round;
	struct journal_reader *reader = journal_reader_new(memory_disk_seam(disk), 0, 0, fault);
	enum journal_result result = JOURNAL_FAILED;

	if (reader == NULL)
		return fault->error != 0 ? JOURNAL_FAILED : JOURNAL_DAMAGED;
	do
		result = journal_read(reader, &round, &ended, fault);
	while (result == JOURNAL_ROUND);
	journal_reader_destroy(&reader);
	return result;
}

static void one_cut(struct memory_disk *disk)
{
	struct journal_fault fault, problem = { .text = "" };
	enum journal_result result;
	unsigned rounds = 0;
	struct journal_salvage salvage;

	journal_salvage(memory_disk_seam(disk), 1, take_round, &rounds, &salvage);
	result = read_through(disk, &fault);
	if (result == JOURNAL_DAMAGED && journal_cut(memory_disk_seam(disk), &fault, &problem) != 0)
		assert_true(problem.text[0] != '\0');
	heal(disk);
	for (int turn = 0; (result = read_through(disk, &fault)) == JOURNAL_DAMAGED; turn++) {
		assert_true(turn < 10);
		assert_int_equal(journal_cut(memory_disk_seam(disk), &fault, &problem), 0);
	}
	assert_int_equal(result, JOURNAL_ENDED);
}

/* Two segments, of which one is damaged: the first in a round, and the second in its head, so that the first one's seal
 * must go, too; or behind the first one's seal. */
static struct memory_disk *damaged_among_two(int kind)
{
	struct memory_disk *disk = memory_disk_new(7);
	struct segment_list list;
	struct life life;
	char name[JOURNAL_NAME_BYTES];

	assert_true(begin(&life, disk));
	for (int n = 1; n <= LAST_THAT_FITS + 2; n++)
		assert_true(put_nth(&life, n));
	end(&life);
	memory_disk_crash(disk);
	assert_int_equal(segments_of(disk, &list), 2);
	segment_name(name, list.firsts[kind == 1]);
	memory_disk_poke(disk, name, kind == 0   ? 3 * JOURNAL_SECTOR_BYTES + 100 :
				     kind == 1 ? 20 :
						 memory_disk_size(disk, name) - 1, 0x55);
	segment_list_clear(&list);
	return disk;
}

static void a_cut_that_fails_can_be_done_again(void **state)
{
	struct memory_disk *disks[] = { damaged(), damaged_among_two(0), damaged_among_two(1), damaged_among_two(2) };

	(void)state;
	for (size_t i = 0; i < sizeof disks / sizeof *disks; i++) {
		unsigned struck = 0;
		for (enum memory_call call = MEMORY_LIST; call < MEMORY_CALLS; call++)
			for (unsigned variant = 0; variant < 6; variant++)
				struck += sweep(disks[i], call, variant, one_cut);
		assert_true(struck > 30);
		memory_disk_free(disks[i]);
	}
}

/* A head with a sum that is right tells of a segment larger than any disk; of the file there is a beginning. */
static void a_cut_makes_no_file_larger_than_the_one_it_is_of(void **state)
{
	static const uint64_t told[] = { 1 << 20, (uint64_t)1 << 62, JOURNAL_SEGMENT_LEAST };

	(void)state;
	for (size_t i = 0; i < sizeof told / sizeof *told; i++)
		for (uint64_t real = 700; real < 40000; real += 1100) {
			struct memory_disk *disk = interrupted();
			struct segment_list list;
			struct journal_fault fault, problem;
			char name[JOURNAL_NAME_BYTES];
			segments_of(disk, &list);
			segment_name(name, list.firsts[0]);
			uint64_t bytes = htole64(told[i]);
			uint8_t head[SEGMENT_HEAD];
			memcpy(head, memory_disk_bytes(disk, name), sizeof head);
			memcpy(head + 16, &bytes, sizeof bytes);
			uint32_t crc = htole32(crc32c(0, head + 12, sizeof head - 12));
			memcpy(head + 8, &crc, sizeof crc);
			for (size_t at = 0; at < sizeof head; at++)
				memory_disk_poke(disk, name, at, head[at]);
			memory_disk_resize(disk, name, real);
			assert_int_equal(read_through(disk, &fault), JOURNAL_DAMAGED);
			for (int turn = 0; read_through(disk, &fault) == JOURNAL_DAMAGED; turn++) {
				assert_true(turn < 3);
				assert_int_equal(journal_cut(memory_disk_seam(disk), &fault, &problem), 0);
			}
			if (memory_disk_has(disk, name))
				assert_true(memory_disk_size(disk, name) <= real + 2 * JOURNAL_SECTOR_BYTES);
			segment_list_clear(&list);
			memory_disk_free(disk);
		}
}

static void what_cannot_be_cut_is_said(void **state)
{
	struct memory_disk *disk = damaged();
	struct journal_fault fault, problem = { .text = "" };
	struct segment_list list;
	char name[JOURNAL_NAME_BYTES], cut[64];

	(void)state;
	segments_of(disk, &list);
	segment_name(name, list.firsts[0]);
	assert_int_equal(read_through(disk, &fault), JOURNAL_DAMAGED);
	struct journal_fault other = fault;
	other.error = EIO; /* not a damage at all */
	assert_int_equal(journal_cut(memory_disk_seam(disk), &other, &problem), -EIO);
	other = fault;
	other.cut = memory_disk_size(disk, name) + JOURNAL_SECTOR_BYTES;
	assert_int_equal(journal_cut(memory_disk_seam(disk), &other, &problem), -EUCLEAN);
	assert_non_null(strstr(problem.text, name));
	/* as many as there can be */
	for (int n = 1; n < 999; n++) {
		snprintf(cut, sizeof cut, n == 1 ? "%s.cut" : "%s.cut%d", name, n);
		memory_disk_put(disk, cut, "x", 1);
	}
	struct memory_disk *almost = memory_disk_clone(disk, 1);
	snprintf(cut, sizeof cut, "%s.cut999", name);
	assert_int_equal(journal_cut(memory_disk_seam(almost), &fault, &problem), 0);
	assert_true(memory_disk_has(almost, cut));
	memory_disk_put(disk, cut, "x", 1);
	assert_int_equal(journal_cut(memory_disk_seam(disk), &fault, &problem), -EEXIST);
	/* whose head is none by now */
	memory_disk_poke(disk, name, 100, 1);
	assert_int_equal(journal_cut(memory_disk_seam(disk), &fault, &problem), -EUCLEAN);
	segment_list_clear(&list);
	memory_disk_free(almost);
	memory_disk_free(disk);
}

static void a_cut_without_memory_says_so_and_can_be_done_again(void **state)
{
	struct memory_disk *whole = damaged();
	bool complete = false;

	(void)state;
	for (long succeed = 0; !complete; succeed++) {
		struct memory_disk *disk = memory_disk_clone(whole, 1);
		const struct disk seam = plenty(memory_disk_seam(disk));
		struct journal_fault fault, problem = { .text = "" };
		struct journal_salvage salvage;
		unsigned rounds = 0;
		assert_int_equal(read_through(disk, &fault), JOURNAL_DAMAGED);
		scarce_begin(succeed, succeed % 2 != 0);
		int error = journal_salvage(&seam, 1, take_round, &rounds, &salvage);
		assert_true(error == 0 || error == -ENOMEM);
		error = journal_cut(&seam, &fault, &problem);
		complete = scarce_end() == 0;
		assert_true(error == 0 || problem.text[0] != '\0');
		assert_true(error == 0 || !complete);
		one_cut(disk);
		memory_disk_free(disk);
	}
	memory_disk_free(whole);
}

static void a_start_without_memory_says_so(void **state)
{
	struct memory_disk *whole[] = { interrupted(), memory_disk_new(9) };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		bool complete = false;
		for (long succeed = 0; !complete && succeed < SWEEP_MAX; succeed++) {
			struct memory_disk *disk = memory_disk_clone(whole[i], 1);
			struct life life;
			start_ration = succeed;
			bool began = begin(&life, disk);
			complete = start_ration != 0;
			start_ration = -1;
			assert_true(began || life.durable == NULL || life.recovery.why[0] != '\0');
			end(&life);
			starts_again(disk, 0);
			memory_disk_free(disk);
		}
		assert_true(complete);
		memory_disk_free(whole[i]);
	}
}

/* ---- a machine that dies, and a disk that fails when the owner starts again ---- */

static void whenever_it_died_a_start_that_fails_can_be_done_again(void **state)
{
	unsigned deaths = 0, struck = 0;

	(void)state;
	memory_disk_free(reference());
	for (uint64_t nth = 1;; nth++) {
		struct memory_disk *disk = memory_disk_new(nth);
		struct life life;
		memory_disk_fail(disk, &(struct memory_fault){ .call = MEMORY_CHANGE,
							       .nth = nth,
							       .error = EIO,
							       .dead = true,
							       .effect = effects[nth % 3] });
		if (begin(&life, disk))
			live(&life);
		end(&life);
		bool died = memory_disk_failed(disk);
		memory_disk_fail(disk, NULL);
		if (nth % 2 == 0)
			memory_disk_lose_power(disk, nth);
		else
			memory_disk_crash(disk);
		for (enum memory_call call = MEMORY_LIST; call < MEMORY_CALLS; call++)
			struck += sweep(disk, call, 0, one_start);
		memory_disk_free(disk);
		if (!died)
			break;
		deaths++;
	}
	printf("# %u deaths, %u starts that failed\n", deaths, struck);
	assert_true(deaths > 50 && struck > 1000);
}

/* ---- folders that are not what an owner left ---- */

static enum recovery_result recover_as(struct memory_disk *disk, const struct sole_behaviour *behaviour,
				       const struct recovery_options *options, struct recovery *recovery)
{
	struct rig *rig = rig_new();

	assert_true(rig_start(rig, behaviour, 1));
	enum recovery_result result = recovery_run(memory_disk_seam(disk), service_core(rig->service), options, recovery);
	assert_true(result == RECOVERED || result == RECOVERY_EMPTY || recovery->why[0] != '\0');
	rig_free(rig);
	return result;
}

static void remove_journal(struct memory_disk *disk)
{
	struct segment_list list;
	char name[JOURNAL_NAME_BYTES];

	assert_int_equal(segment_list(memory_disk_seam(disk), &list), 0);
	for (size_t i = 0; i < list.count; i++) {
		segment_name(name, list.firsts[i]);
		memory_disk_remove(disk, name);
	}
	segment_list_clear(&list);
}

static void a_folder_of_which_a_part_is_missing_or_of_elsewhere_is_refused(void **state)
{
	struct memory_disk *whole = reference(), *disk;
	char name[SNAPSHOT_NAME_BYTES], other[SNAPSHOT_NAME_BYTES];
	uint64_t rounds[4];
	struct recovery recovery;

	(void)state;
	assert_int_equal(snapshots_list(memory_disk_seam(whole), rounds, 4), 2);
	assert_int_equal(snapshots_list(memory_disk_seam(whole), rounds, 1), 2);
	snapshot_name(name, rounds[0]);
	/* under the name of another round */
	disk = memory_disk_clone(whole, 1);
	snapshot_name(other, rounds[0] + 1);
	memory_disk_put(disk, other, memory_disk_bytes(disk, name), (size_t)memory_disk_size(disk, name));
	assert_int_equal(recover(disk, &recovery), RECOVERY_DAMAGED);
	memory_disk_free(disk);
	/* no journal */
	disk = memory_disk_clone(whole, 1);
	remove_journal(disk);
	assert_int_equal(recover(disk, &recovery), RECOVERY_DAMAGED);
	/* nothing at all */
	memory_disk_remove(disk, name);
	snapshots_list(memory_disk_seam(disk), rounds, 4);
	snapshot_name(name, rounds[0]);
	memory_disk_remove(disk, name);
	assert_int_equal(recover(disk, &recovery), RECOVERY_EMPTY);
	memory_disk_free(disk);
	/* the older snapshot is damaged: nobody needs it to start, who looks at all says so */
	disk = memory_disk_clone(whole, 1);
	snapshots_list(memory_disk_seam(disk), rounds, 4);
	snapshot_name(name, rounds[1]);
	memory_disk_poke(disk, name, 30, 0x5a);
	assert_int_equal(recover(disk, &recovery), RECOVERED);
	const struct recovery_options sound = { .sound_only = true };
	assert_int_equal(recovery_run(memory_disk_seam(disk), NULL, &sound, &recovery), RECOVERY_DAMAGED);
	const struct recovery_options oldest = { .from_oldest = true }, early = { .at_revision = 1 };
	assert_int_equal(recover_as(disk, &table_behaviour, &early, &recovery), RECOVERY_DAMAGED);
	memory_disk_free(disk);
	/* whole, and from the oldest snapshot on */
	assert_int_equal(recover_as(whole, &table_behaviour, &oldest, &recovery), RECOVERED);
	assert_int_equal(recovery_run(memory_disk_seam(whole), NULL, &sound, &recovery), RECOVERED);
	memory_disk_free(whole);
}

/* What a folder holds of a life of three rounds that stands in the middle. */
static struct memory_disk *short_life(void)
{
	struct memory_disk *disk = memory_disk_new(5);
	struct life life;

	assert_true(begin(&life, disk));
	for (int n = 1; n <= 3; n++)
		assert_true(put(&life, n, 0));
	end(&life);
	memory_disk_crash(disk);
	return disk;
}

static void a_journal_that_ends_before_the_snapshot_is_refused(void **state)
{
	struct memory_disk *early = short_life(), *late = interrupted();
	struct segment_list list;
	char name[JOURNAL_NAME_BYTES];
	struct recovery recovery;

	(void)state;
	remove_journal(late);
	assert_int_equal(segment_list(memory_disk_seam(early), &list), 0);
	segment_name(name, list.firsts[0]);
	memory_disk_put(late, name, memory_disk_bytes(early, name), (size_t)memory_disk_size(early, name));
	assert_int_equal(recover(late, &recovery), RECOVERY_DAMAGED);
	const struct recovery_options sound = { .sound_only = true }, first = { .at_revision = 1 };
	assert_int_equal(recovery_run(memory_disk_seam(late), NULL, &sound, &recovery), RECOVERY_DAMAGED);
	assert_non_null(strstr(recovery.why, "missing"));
	assert_int_equal(recover_as(late, &table_behaviour, &first, &recovery), RECOVERED);
	segment_list_clear(&list);
	memory_disk_free(early);
	memory_disk_free(late);
}

static int migrate_well(struct sole_call *call, unsigned from_version)
{
	(void)call;
	return from_version == table_behaviour.version ? 0 : SOLE_INVALID;
}

static int migrate_badly(struct sole_call *call, unsigned from_version)
{
	(void)from_version;
	return sole_refuse(call, SOLE_INVALID, "not today");
}

static int migrate_without_memory(struct sole_call *call, unsigned from_version)
{
	(void)call, (void)from_version;
	return SOLE_NO_MEMORY;
}

static const char *never_sound(void *context)
{
	(void)context;
	return "nothing is right";
}

static void start_as(struct memory_disk *disk, const struct sole_behaviour *behaviour, enum recovery_result expected)
{
	static const struct recovery_options options = { .context = NULL };
	const struct durability_settings settings = { .disk = memory_disk_seam(disk),
						      .level = DURABILITY_INTERVAL,
						      .segment_bytes = JOURNAL_SEGMENT_LEAST,
						      .snapshots_kept = 2,
						      .history = 0x5678 };
	struct rig *rig = rig_new();
	struct recovery recovery;
	struct snapshot_head head;
	int64_t next_ns;

	assert_true(rig_start(rig, behaviour, 1));
	struct durable *durable = durability_new(&settings);
	assert_non_null(durable);
	enum recovery_result result = durability_start(durable, service_core(rig->service), WALL_US, &options, &recovery);
	if (result != expected)
		fail_msg("%d: %s", (int)result, recovery.why);
	if (result == RECOVERED) {
		durability_snapshot_wanted(durable);
		assert_int_equal(durability_tend(durable, 0, &next_ns), 0);
		assert_int_equal(durability_snapshot_begin(durable, WALL_US, &head), 0);
		int error = snapshot_save(memory_disk_seam(disk), service_core(rig->service), &head);
		assert_int_equal(durability_snapshot_done(durable, &head, error), 0);
		assert_int_equal(durability_finish(durable, WALL_US), 0);
		assert_int_equal(durability_finish(durable, WALL_US), 0);
	}
	durability_destroy(&durable);
	rig_free(rig);
	memory_disk_free(disk);
}

static void a_state_of_another_behaviour_or_version_is_refused_or_taken_over(void **state)
{
	struct sole_behaviour other = table_behaviour, newer = table_behaviour, older = table_behaviour,
			      broken = table_behaviour;

	(void)state;
	other.name = "chair";
	newer.version++;
	older.version--;
	broken.invariant = never_sound;
	start_as(interrupted(), &other, RECOVERY_VERSION);
	start_as(short_life(), &other, RECOVERY_DIVERGED);
	start_as(interrupted(), &older, RECOVERY_VERSION);
	newer.migrate = NULL;
	start_as(interrupted(), &newer, RECOVERY_VERSION);
	newer.migrate = migrate_badly;
	start_as(interrupted(), &newer, RECOVERY_VERSION);
	newer.migrate = migrate_well;
	start_as(interrupted(), &newer, RECOVERED);
	start_as(reference(), &newer, RECOVERED);
	start_as(interrupted(), &broken, RECOVERY_DAMAGED);
	start_as(short_life(), &broken, RECOVERY_DAMAGED);
	newer.migrate = migrate_without_memory;
	start_as(interrupted(), &newer, RECOVERY_FAILED);
	broken.version++; /* it may have had another invariant */
	broken.migrate = migrate_well;
	start_as(interrupted(), &broken, RECOVERY_DAMAGED);
	start_as(interrupted(), &table_behaviour, RECOVERED);
	start_as(memory_disk_new(1), &table_behaviour, RECOVERED);
}

/* Nothing is run on the state of a snapshot that is wrong, unless it is a rehearsal. */
static void a_snapshot_of_a_state_that_cannot_be_is_refused_before_anything_is_replayed(void **state)
{
	const struct recovery_options plain = { .at_revision = 0 }, rehearsal = { .any_version = true };
	struct sole_behaviour broken = table_behaviour;
	struct memory_disk *disk = interrupted(), *young = short_life();
	struct recovery recovery;

	(void)state;
	broken.invariant = never_sound;
	assert_int_equal(recover_as(disk, &broken, &plain, &recovery), RECOVERY_DAMAGED);
	assert_true(strncmp(recovery.why, "snapshot-", 9) == 0 && recovery.records == 0);
	assert_non_null(strstr(recovery.why, "nothing is right"));
	assert_int_equal(recover_as(disk, &broken, &rehearsal, &recovery), RECOVERED);
	assert_int_equal(recover_as(young, &broken, &plain, &recovery), RECOVERED); /* there is no snapshot */
	memory_disk_free(disk);
	memory_disk_free(young);
}

/* Rounds with sums that are right, of records that are not. */
static void a_round_of_other_records_than_it_says_is_refused(void **state)
{
	const struct recovery_options plain = { .at_revision = 0 }, rehearsal = { .no_digests = true };
	struct buffer records = { 0 };
	struct record start = { .kind = RECORD_START,
				.incarnation = 1,
				.version = table_behaviour.version,
				.behaviour = (const uint8_t *)"table",
				.behaviour_size = 5,
				.digest = 1 };
	struct recovery recovery;

	(void)state;
	record_write(&records, &start);
	for (int kind = 0; kind < 5; kind++) {
		struct memory_disk *disk = memory_disk_new(1);
		const struct journal_settings settings = { .disk = memory_disk_seam(disk),
							   .history = 1,
							   .segment_bytes = JOURNAL_SEGMENT_LEAST };
		const struct journal_end nothing = { .round = 1 };
		struct journal_fault fault;
		struct journal *journal = journal_open(&settings, &nothing, &fault);
		assert_non_null(journal);
		const struct round round = { .number = 1,
					     .count = kind == 1 ? 2 : 1,
					     .records = kind == 2 ? (const uint8_t *)"no record" : records.data,
					     .size = kind == 2 ? 9 : kind == 3 ? 0 : records.size };
		assert_int_equal(journal_append(journal, &round, &fault), 0);
		assert_int_equal(journal_sync(journal, &fault), 0);
		journal_close(&journal);
		enum recovery_result result = recover_as(disk, &table_behaviour, &plain, &recovery);
		assert_int_not_equal(result, RECOVERED);
		assert_true(result == (kind == 0 || kind == 4 || kind == 1 ? RECOVERY_DIVERGED : RECOVERY_DAMAGED));
		result = recover_as(disk, &table_behaviour, &rehearsal, &recovery);
		assert_true(result == (kind == 0 || kind == 4 ? RECOVERED : RECOVERY_DAMAGED));
		memory_disk_free(disk);
	}
	buffer_clear(&records);
}

/* ---- rounds made by hand ---- */

static void add_record(struct buffer *records, uint32_t *count, const struct record *record)
{
	record_write(records, record);
	(*count)++;
}

/* A journal of one round. */
static struct memory_disk *of_records(const struct buffer *records, uint32_t count)
{
	struct memory_disk *disk = memory_disk_new(1);
	const struct journal_settings settings = { .disk = memory_disk_seam(disk),
						   .history = 1,
						   .segment_bytes = JOURNAL_SEGMENT_LEAST };
	const struct journal_end nothing = { .round = 1 };
	const struct round round = { .number = 1, .count = count, .records = records->data, .size = records->size };
	struct journal_fault fault;
	struct journal *journal = journal_open(&settings, &nothing, &fault);

	assert_non_null(journal);
	assert_int_equal(journal_append(journal, &round, &fault), 0);
	assert_int_equal(journal_sync(journal, &fault), 0);
	journal_close(&journal);
	return disk;
}

static bool first_only(void *context, const struct round *round, const struct record *record)
{
	(void)context, (void)round, (void)record;
	return false;
}

static void a_record_that_comes_out_otherwise_is_told_by_its_operation_and_version(void **state)
{
	static const uint8_t nonce[PROTOCOL_NONCE_BYTES] = { 1 };
	static const uint8_t put[] = { 2, 0, 0 }, gone[] = { 0x0f, 0x27, 0 };
	const struct record start = { .kind = RECORD_START, .incarnation = 1, .version = table_behaviour.version,
				      .behaviour = (const uint8_t *)"table", .behaviour_size = 5 };
	const struct record opened = { .kind = RECORD_OPEN, .session = (uint64_t)5 << SESSION_SLOT_BITS, .revision = 1,
				       .digest = 7, .nonce = nonce };
	const struct record runs[] = {
		{ .kind = RECORD_RUN, .revision = 2, .request = put, .request_size = 3, .reply_max = 1024 },
		{ .kind = RECORD_RUN, .revision = 2, .request = gone, .request_size = 3, .reply_max = 1024 },
		{ .kind = RECORD_RUN, .revision = 2, .request = put, .request_size = 1, .reply_max = 1024 },
		{ .kind = RECORD_RECEIVED, .session = 1 },
	};
	static const char *const words[] = { "run of put)", "run of an operation that is not there", "run of )", "received)" };
	const struct recovery_options plain = { .at_revision = 0 }, rehearsal = { .no_digests = true },
				      short_one = { .record = first_only };
	struct recovery recovery;

	(void)state;
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct buffer records = { 0 };
		uint32_t count = 0;
		add_record(&records, &count, &start);
		add_record(&records, &count, &runs[i]);
		struct memory_disk *disk = of_records(&records, count);
		assert_int_equal(recover_as(disk, &table_behaviour, &plain, &recovery), RECOVERY_DIVERGED);
		if (strstr(recovery.why, words[i]) == NULL)
			fail_msg("%s", recovery.why);
		assert_int_equal(recovery.diverged, runs[i].revision);
		/* of the two only the first is asked for */
		assert_int_equal(recover_as(disk, &table_behaviour, &short_one, &recovery), RECOVERED);
		assert_int_equal(recovery.records, 1);
		memory_disk_free(disk);
		/* Another digest before it: that is the first that differs. */
		buffer_reset(&records);
		count = 0;
		add_record(&records, &count, &start);
		add_record(&records, &count, &opened);
		add_record(&records, &count, &runs[i]);
		disk = of_records(&records, count);
		assert_int_equal(recover_as(disk, &table_behaviour, &rehearsal, &recovery), RECOVERY_DIVERGED);
		assert_int_equal(recovery.diverged, 1);
		memory_disk_free(disk);
		/* Of an older version it is no divergence. */
		struct record older = start;
		older.version--;
		buffer_reset(&records);
		count = 0;
		add_record(&records, &count, &older);
		add_record(&records, &count, &runs[i]);
		disk = of_records(&records, count);
		assert_int_equal(recover_as(disk, &table_behaviour, &plain, &recovery), RECOVERY_VERSION);
		assert_non_null(strstr(recovery.why, "version 1, and this is version 2"));
		memory_disk_free(disk);
		buffer_clear(&records);
	}
}

/* The oldest that there is: the beginning of the journal while that is there, then a snapshot. */
static void what_is_known_is_replayed_from_its_beginning(void **state)
{
	const struct recovery_options oldest = { .from_oldest = true };
	struct memory_disk *disk = memory_disk_new(1);
	struct recovery recovery;
	struct life life;

	(void)state;
	assert_true(begin(&life, disk));
	for (int n = 1; n <= LAST_THAT_FITS; n++)
		assert_true(put_nth(&life, n));
	assert_true(save(&life));
	assert_int_equal(recover_as(disk, &table_behaviour, &oldest, &recovery), RECOVERED);
	assert_true(recovery.snapshot_round == 0 && recovery.rounds == LAST_THAT_FITS + 1);
	for (int n = LAST_THAT_FITS + 1; n <= LAST_THAT_FITS + 2; n++)
		assert_true(put_nth(&life, n));
	assert_true(save(&life));
	end(&life);
	memory_disk_crash(disk);
	assert_int_equal(recover_as(disk, &table_behaviour, &oldest, &recovery), RECOVERED);
	assert_true(recovery.snapshot_round == LAST_THAT_FITS + 1 && recovery.rounds == 2);
	for (enum memory_call call = MEMORY_LIST; call <= MEMORY_READ; call++)
		for (uint64_t nth = 1;; nth++) {
			memory_disk_fail(disk, &(struct memory_fault){ .call = call, .nth = nth, .error = EIO });
			enum recovery_result result = recover_as(disk, &table_behaviour, &oldest, &recovery);
			assert_true(result == RECOVERED || (result == RECOVERY_FAILED && recovery.error == EIO));
			bool failed = memory_disk_failed(disk);
			memory_disk_fail(disk, NULL);
			if (!failed)
				break;
		}
	memory_disk_free(disk);
}

/* ---- files of snapshots ---- */

static void snapshots_are_told_by_their_names_the_newest_first(void **state)
{
	static const uint64_t orders[][4] = { { 1, 2, 3, 4 }, { 4, 3, 2, 1 }, { 2, 4, 1, 3 } };
	char name[SNAPSHOT_NAME_BYTES];
	uint64_t rounds[4];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct memory_disk *disk = memory_disk_new(1);
		const struct disk *seam = memory_disk_seam(disk);
		for (size_t n = 0; n < 4; n++) {
			snapshot_name(name, orders[i][n]);
			memory_disk_put(disk, name, "x", 1);
		}
		memory_disk_put(disk, "snapshot-000000000000000", "x", 1);
		memory_disk_put(disk, "snapshot-000000000000000F", "x", 1);
		memory_disk_put(disk, "snapshot-0000000000000009.cut", "x", 1);
		memory_disk_put(disk, "snapshot-of something.tmp", "x", 1);
		memory_disk_put(disk, "snapshot-with a name longer than any.tmp", "x", 1);
		memory_disk_put(disk, "else.tmp", "x", 1);
		for (size_t room = 0; room <= 4; room++) {
			memset(rounds, 0, sizeof rounds);
			assert_int_equal(snapshots_list(seam, rounds, room), 4);
			for (size_t n = 0; n < 4; n++)
				assert_int_equal(rounds[n], n < room ? 4 - n : 0);
		}
		assert_int_equal(snapshots_clear(seam), 0);
		assert_false(memory_disk_has(disk, "snapshot-of something.tmp"));
		assert_true(memory_disk_has(disk, "snapshot-with a name longer than any.tmp"));
		assert_true(memory_disk_has(disk, "else.tmp"));
		uint64_t oldest;
		assert_int_equal(snapshots_forget(seam, 5, &oldest), 0);
		assert_int_equal(oldest, 0);
		assert_int_equal(snapshots_forget(seam, 3, &oldest), 0);
		assert_int_equal(oldest, 2);
		assert_true(memory_disk_has(disk, "snapshot-0000000000000009.cut"));
		memory_disk_free(disk);
	}
}

/* More than are looked at: the oldest wait for another time. */
static void however_many_snapshots_there_are_the_newest_stay(void **state)
{
	struct memory_disk *disk = memory_disk_new(1);
	char name[SNAPSHOT_NAME_BYTES];
	uint64_t oldest, rounds[2];
	struct recovery recovery;

	(void)state;
	for (uint64_t n = 1; n <= 1030; n++) {
		snapshot_name(name, n);
		memory_disk_put(disk, name, "x", 1);
	}
	assert_int_equal(recover(disk, &recovery), RECOVERY_DAMAGED);
	assert_non_null(strstr(recovery.why, name));
	assert_int_equal(snapshots_forget(memory_disk_seam(disk), 2, &oldest), 0);
	assert_int_equal(oldest, 1029);
	assert_int_equal(snapshots_list(memory_disk_seam(disk), rounds, 2), 8);
	assert_int_equal(rounds[0], 1030);
	memory_disk_free(disk);
}

static void a_state_that_is_wrong_is_not_saved(void **state)
{
	struct sole_behaviour broken = table_behaviour;
	struct memory_disk *disk = memory_disk_new(1);
	const struct snapshot_head head = { .history = 1, .round = 1 };
	struct rig *rig = rig_new();

	(void)state;
	broken.invariant = never_sound;
	assert_true(rig_start(rig, &broken, 1));
	assert_int_equal(snapshot_save(memory_disk_seam(disk), service_core(rig->service), &head), -EBADMSG);
	assert_int_equal(memory_disk_calls(disk, MEMORY_CHANGE), 0);
	rig_free(rig);
	/* Nor one whose entries have changed by themselves. */
	rig = rig_new();
	assert_true(rig_start(rig, &table_behaviour, 1));
	rig_message(rig, &alice, true);
	rig_simple(rig, ITEM_RUN);
	rig_put(rig, "k", value_text("sound"));
	rig_round(rig);
	struct store *store = core_store(service_core(rig->service));
	store_keep_digest(store);
	*(uint8_t *)(uintptr_t)map_get(store_map(store, "table"), "k", 1)->bytes = 'f';
	assert_int_equal(snapshot_save(memory_disk_seam(disk), service_core(rig->service), &head), -EIO);
	assert_false(memory_disk_has(disk, "snapshot-0000000000000001"));
	assert_false(memory_disk_has(disk, "snapshot-0000000000000001.tmp"));
	rig_free(rig);
	memory_disk_free(disk);
}

/* ---- rounds that are large, and an end that fails ---- */

static void a_large_round_is_taken_and_its_memory_given_back(void **state)
{
	struct memory_disk *disk = memory_disk_new(1);
	struct life life;

	(void)state;
	assert_true(begin(&life, disk));
	struct rig *rig = life.rig;
	for (int n = 0; n < 20; n++) {
		rig_message(rig, &alice, true);
		rig_simple(rig, ITEM_RUN);
		rig_put(rig, "large", *rig_big(250 * KIB));
	}
	rig_finish(rig);
	rig_lay_out(rig);
	service_round(rig->service, rig->messages, rig->count, rig->now_ns, rig->wall_us);
	assert_true(durability_pending(life.durable)->capacity > 4 << 20);
	assert_int_equal(durability_commit(life.durable, rig->now_ns), 0);
	assert_int_equal(durability_pending(life.durable)->capacity, 0);
	for (size_t i = 0; i < rig->count; i++)
		free((void *)(uintptr_t)rig->messages[i].body);
	rig->ran = true;
	uint64_t digest = rig_digest(rig);
	assert_true(put(&life, 1, 0));
	assert_true(digest != rig_digest(rig));
	digest = rig_digest(rig);
	end(&life);
	memory_disk_crash(disk);
	assert_true(begin(&life, disk) && rig_digest(life.rig) == digest);
	end(&life);
	memory_disk_free(disk);
}

/* The last sync fails, or the snapshot: nothing that was acknowledged is lost, and it is said. */
static void an_end_that_fails_says_what_is_left(void **state)
{
	struct sole_behaviour later_broken = table_behaviour;
	struct life life;

	(void)state;
	/* of an owner that had not synced */
	struct memory_disk *disk = memory_disk_new(1);
	const struct durability_settings lazy = { .disk = memory_disk_seam(disk), .level = DURABILITY_INTERVAL,
						  .interval_ns = NS_PER_S, .segment_bytes = JOURNAL_SEGMENT_LEAST,
						  .snapshots_kept = 2, .history = 0x5678 };
	const struct recovery_options options = { .context = NULL };
	struct recovery recovery;
	struct snapshot_head head;
	int64_t next_ns;
	life = (struct life){ .disk = disk, .rig = rig_new() };
	life.rig->limits.events_bytes = 65536;
	assert_true(rig_start(life.rig, &table_behaviour, 1));
	life.durable = durability_new(&lazy);
	assert_int_equal(durability_start(life.durable, core_of(&life), WALL_US, &options, &recovery), RECOVERED);
	assert_true(put(&life, 1, 0));
	assert_int_equal(durability_tend(life.durable, life.rig->now_ns, &next_ns), 0);
	assert_true(next_ns > life.rig->now_ns);
	const struct memory_fault no_sync = { .call = MEMORY_SYNC, .nth = 1, .error = EIO };
	memory_disk_fail(disk, &no_sync);
	assert_int_equal(durability_tend(life.durable, life.rig->now_ns + 2 * NS_PER_S, &next_ns), -EIO);
	assert_int_equal(durability_snapshot_begin(life.durable, WALL_US, &head), -EIO);
	assert_int_equal(durability_finish(life.durable, WALL_US), -EIO);
	end(&life);
	memory_disk_free(disk);
	/* a state that breaks the invariant by then */
	disk = memory_disk_new(1);
	life = (struct life){ .disk = disk, .rig = rig_new() };
	life.rig->limits.events_bytes = 65536;
	assert_true(rig_start(life.rig, &later_broken, 1));
	const struct durability_settings prompt = { .disk = memory_disk_seam(disk), .level = DURABILITY_SYNC,
						    .segment_bytes = JOURNAL_SEGMENT_LEAST, .snapshots_kept = 2,
						    .history = 0x5678 };
	life.durable = durability_new(&prompt);
	assert_int_equal(durability_start(life.durable, core_of(&life), WALL_US, &options, &recovery), RECOVERED);
	assert_true(put(&life, 1, 0));
	later_broken.invariant = never_sound;
	assert_int_equal(durability_finish(life.durable, WALL_US), -EBADMSG);
	assert_non_null(strstr(durability_problem(life.durable), "invariant"));
	end(&life);
	memory_disk_free(disk);
}

/* ---- salvage ---- */

static bool take_two(void *context, const struct round *round)
{
	(void)round;
	return ++*(unsigned *)context < 2;
}

static void what_is_sound_is_salvaged_whatever_is_around_it(void **state)
{
	struct memory_disk *whole = interrupted();
	struct segment_list list;
	struct journal_salvage salvage;
	char name[JOURNAL_NAME_BYTES];
	unsigned rounds = 0;

	(void)state;
	assert_int_equal(journal_salvage(memory_disk_seam(whole), 1, take_round, &rounds, &salvage), 0);
	assert_true(rounds > 5 && salvage.rounds == rounds);
	uint64_t all = salvage.rounds;
	assert_int_equal(journal_salvage(memory_disk_seam(whole), 3, take_round, &rounds, &salvage), 0);
	assert_true(salvage.rounds == all - 2);
	assert_int_equal(journal_salvage(memory_disk_seam(whole), all + 5, take_round, &rounds, &salvage), 0);
	assert_true(salvage.rounds == 0 && salvage.seen_round >= all);
	rounds = 0;
	assert_int_equal(journal_salvage(memory_disk_seam(whole), 1, take_two, &rounds, &salvage), 0);
	assert_true(rounds == 2 && !salvage.ended);
	assert_int_equal(journal_salvage(memory_disk_seam(whole), 1, NULL, NULL, &salvage), 0);
	assert_true(salvage.seen_round >= all);
	assert_int_equal(segment_list(memory_disk_seam(whole), &list), 0);
	segment_name(name, list.firsts[0]);
	/* each byte of the first sectors another, and each length */
	for (uint64_t at = 0; at < 6 * JOURNAL_SECTOR_BYTES; at += 7) {
		struct memory_disk *disk = memory_disk_clone(whole, 1);
		memory_disk_poke(disk, name, at, (uint8_t)~memory_disk_bytes(disk, name)[at]);
		rounds = 0;
		assert_int_equal(journal_salvage(memory_disk_seam(disk), 1, take_round, &rounds, &salvage), 0);
		assert_true(rounds <= all);
		memory_disk_resize(disk, name, at);
		assert_int_equal(journal_salvage(memory_disk_seam(disk), 1, take_round, &rounds, &salvage), 0);
		memory_disk_free(disk);
	}
	segment_list_clear(&list);
	memory_disk_free(whole);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(whenever_it_died_a_start_that_fails_can_be_done_again),
	cmocka_unit_test(a_folder_of_which_a_part_is_missing_or_of_elsewhere_is_refused),
	cmocka_unit_test(a_journal_that_ends_before_the_snapshot_is_refused),
	cmocka_unit_test(a_state_of_another_behaviour_or_version_is_refused_or_taken_over),
	cmocka_unit_test(a_snapshot_of_a_state_that_cannot_be_is_refused_before_anything_is_replayed),
	cmocka_unit_test(a_round_of_other_records_than_it_says_is_refused),
	cmocka_unit_test(what_is_sound_is_salvaged_whatever_is_around_it),
	cmocka_unit_test(whatever_call_of_the_disk_fails_what_was_acknowledged_is_there),
	cmocka_unit_test(a_start_that_fails_changes_nothing_that_counts),
	cmocka_unit_test(a_life_without_memory_stops_and_loses_nothing),
	cmocka_unit_test(a_recovery_without_memory_says_so),
	cmocka_unit_test(a_state_is_brought_back_as_it_was_at_any_revision),
	cmocka_unit_test(no_byte_of_a_snapshot_can_be_another),
	cmocka_unit_test(a_cut_that_fails_can_be_done_again),
	cmocka_unit_test(a_cut_without_memory_says_so_and_can_be_done_again),
	cmocka_unit_test(a_start_without_memory_says_so),
	cmocka_unit_test(a_rotation_that_was_cut_off_is_gone_on_with_whatever_fails),
	cmocka_unit_test(a_full_segment_with_another_end_is_not_sealed),
	cmocka_unit_test(without_memory_to_look_for_its_end_it_is_not_sealed),
	cmocka_unit_test(a_cut_makes_no_file_larger_than_the_one_it_is_of),
	cmocka_unit_test(what_cannot_be_cut_is_said),
	cmocka_unit_test(a_record_that_comes_out_otherwise_is_told_by_its_operation_and_version),
	cmocka_unit_test(what_is_known_is_replayed_from_its_beginning),
	cmocka_unit_test(snapshots_are_told_by_their_names_the_newest_first),
	cmocka_unit_test(however_many_snapshots_there_are_the_newest_stay),
	cmocka_unit_test(a_state_that_is_wrong_is_not_saved),
	cmocka_unit_test(a_large_round_is_taken_and_its_memory_given_back),
	cmocka_unit_test(an_end_that_fails_says_what_is_left),
};

UNIT_MAIN(tests)
