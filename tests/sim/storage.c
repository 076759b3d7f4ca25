/* SPDX-License-Identifier: MIT
 *
 * storage.c - commits, crashes and recoveries over a disk in memory.
 */
#include "tests/sim/storage.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const int64_t CLOCK_AHEAD_US = 3600000000; /* later than any clock of a run */

static const struct disk *seam(struct world *world)
{
	return memory_disk_seam(world->storage.disk);
}

void storage_init(struct world *world)
{
	struct random *random = &world->random;
	struct medium *storage = &world->storage;

	storage->disk = memory_disk_new(random_draw(random));
	storage->level = random_chance(random, 850) ? DURABILITY_SYNC : DURABILITY_INTERVAL;
	storage->segment_bytes = JOURNAL_SEGMENT_LEAST;
	storage->snapshots_kept = 1 + random_below(random, 3);
}

void storage_clear(struct world *world)
{
	struct medium *storage = &world->storage;

	durability_destroy(&storage->durability);
	if (storage->disk != NULL)
		memory_disk_free(storage->disk);
	buffer_clear(&storage->image);
}

/* ---- starting ---- */

/* What durability_start itself has recorded, read back: the model needs to know. */
static void note_start(struct world *world, struct era *era, const struct recovery *recovery)
{
	struct journal_fault fault;
	struct journal_end end;
	struct round round;
	struct journal_reader *reader = journal_reader_new(seam(world), recovery->history, recovery->end.round, &fault);

	if (reader != NULL && journal_read(reader, &round, &end, &fault) == JOURNAL_ROUND) {
		const struct buffer records = { .data = (uint8_t *)(uintptr_t)round.records, .size = round.size };
		history_round(era, round.number, round.time_us, round.revision, &records);
	} else {
		world_violated(world, "the round of a start cannot be read back: %s", fault.text);
	}
	journal_reader_destroy(&reader);
}

bool storage_start(struct world *world, struct core *core, struct recovery *recovery)
{
	static const struct recovery_options options;
	struct medium *storage = &world->storage;
	const struct durability_settings settings = {
		.disk = seam(world),
		.level = storage->level,
		.interval_ns = 20 * NS_PER_MS,
		.segment_bytes = storage->segment_bytes,
		.snapshot_after = 8192 + random_below(&world->random, 65536),
		.snapshots_kept = storage->snapshots_kept,
		.history = random_draw(&world->random) | 1,
	};

	storage->durability = durability_new(&settings);
	enum recovery_result result =
		durability_start(storage->durability, core, world_wall_us(world), &options, recovery);
	if (result != RECOVERED) {
		world_violated(world, "the owner does not start again: %s", recovery->why);
		return false;
	}
	if (recovery->end.round <= storage->committed) {
		world_violated(world, "round %" PRIu64 " was made durable, and the journal ends before round %" PRIu64,
			       storage->committed, recovery->end.round);
		return false;
	}
	struct era *era = history_era(&world->history, recovery->history);
	history_forget_rounds(era, recovery->end.round);
	uint64_t revision = era->count > 0 ? era->rounds[era->count - 1].revision : 0;
	if (era->heard > revision)
		world_violated(world, "clients were told of revision %" PRIu64 ", and the owner is back at %" PRIu64,
			       era->heard, revision);
	note_start(world, era, recovery);
	storage->next_round = recovery->end.round + 1;
	storage->committed = recovery->end.round;
	return true;
}

/* ---- rounds ---- */

/* Now and then the disk fails, or the process dies, in the middle of it. */
static void draw_fault(struct world *world, bool *dies)
{
	struct random *random = &world->random;
	struct memory_fault fault = { .error = EIO, .effect = (enum memory_effect)random_below(random, 3) };

	*dies = false;
	if (!world->chaos || !random_chance(random, 25))
		return;
	*dies = random_chance(random, 700);
	fault.call = *dies ? MEMORY_CHANGE : random_chance(random, 500) ? MEMORY_SYNC : MEMORY_WRITE;
	fault.nth = 1 + (*dies ? random_below(random, 5) : 0);
	fault.dead = *dies;
	/* Of the level interval those would be rounds that were only promised to outlive the owner, not its disk. */
	fault.drops = random_chance(random, 500) && world->storage.level == DURABILITY_SYNC;
	fault.for_ever = random_chance(random, 500);
	memory_disk_fail(world->storage.disk, &fault);
}

bool storage_commit(struct world *world)
{
	struct medium *storage = &world->storage;
	const struct buffer *records = durability_pending(storage->durability);
	struct core *core = service_core(world->owner.service);
	bool dies;

	if (records->size == 0)
		return true;
	const struct core_scalars scalars = core_scalars(core);
	struct era *era = history_era(&world->history, world->owner.identity.history);
	history_round(era, storage->next_round, scalars.now_us, scalars.revision, records);
	world_digest(world, records->data, records->size);
	world->tally.rounds++;
	draw_fault(world, &dies);
	int error = durability_commit(storage->durability, world->now_ns);
	bool struck = memory_disk_failed(storage->disk);
	memory_disk_fail(storage->disk, NULL);
	if (error != 0) {
		world_say(world, "owner: round %" PRIu64 " cannot be written (%s): %s", storage->next_round,
			  dies ? "it dies" : "the disk fails", durability_problem(storage->durability));
		world->tally.sync_failures += !dies;
		if (!struck)
			world_violated(world, "a round could not be written, and the disk is well: %s",
				       durability_problem(storage->durability));
		return false;
	}
	if (struck && dies)
		return false;
	storage->committed = storage->next_round++;
	return true;
}

bool storage_tend(struct world *world, int64_t *next_ns)
{
	struct journal *journal = durability_journal(world->storage.durability);

	/* Another thread makes it, sooner or later. */
	if (journal_spare_wanted(journal) && random_chance(&world->random, 100))
		journal_make_spare(journal);
	return durability_tend(world->storage.durability, world->now_ns, next_ns) == 0;
}

void storage_crash(struct world *world, bool power)
{
	struct medium *storage = &world->storage;

	if (storage->level == DURABILITY_INTERVAL)
		power = false; /* which may lose what was told, and says so */
	durability_destroy(&storage->durability);
	storage->forked = false;
	if (power) {
		world->tally.power_losses++;
		memory_disk_lose_power(storage->disk, random_draw(&world->random));
	} else {
		memory_disk_crash(storage->disk);
	}
}

/* ---- snapshots ---- */

static bool image_write(void *context, const void *bytes, size_t size)
{
	buffer_append(context, bytes, size);
	return true;
}

static void take_image(struct core *core, const struct snapshot_head *head, struct buffer *image)
{
	const struct snapshot_sink sink = { image, image_write };

	buffer_reset(image);
	snapshot_write(core, head, &sink);
}

struct image_reader {
	const struct buffer *image;
	size_t at;
};

static ssize_t image_read(void *context, void *bytes, size_t size)
{
	struct image_reader *reader = context;
	size_t left = reader->image->size - reader->at;

	if (size > left)
		size = left;
	memcpy(bytes, reader->image->data + reader->at, size);
	reader->at += size;
	return (ssize_t)size;
}

static struct core *new_core(struct world *world)
{
	static struct counters counters;
	const struct core_settings settings = { .behaviour = &table_behaviour, .limits = &world->owner.limits,
						.counters = &counters, .hash_seed = random_draw(&world->random),
						.session_seed = world->owner.session_seed };
	const char *why;

	return core_new(&settings, &why);
}

static bool fork_child(struct world *world)
{
	struct medium *storage = &world->storage;

	if (durability_snapshot_begin(storage->durability, world_wall_us(world), &storage->head) != 0)
		return false;
	take_image(service_core(world->owner.service), &storage->head, &storage->image);
	storage->forked = true;
	world_say(world, "owner: forks for a snapshot of round %" PRIu64, storage->head.round);
	return true;
}

/* The child writes what was when it was forked. */
static int child_saves(struct world *world)
{
	struct medium *storage = &world->storage;
	struct image_reader reader = { &storage->image, 0 };
	const struct snapshot_source source = { &reader, image_read };
	struct core *core = new_core(world);
	struct snapshot_head head;
	char why[256] = "";

	if (!snapshot_read(&source, &head, core, NULL, NULL, why, sizeof why))
		world_violated(world, "a snapshot cannot be read that was just written: %s", why);
	int error = snapshot_save(seam(world), core, &storage->head);
	core_destroy(&core);
	return error;
}

bool storage_snapshot(struct world *world)
{
	struct random *random = &world->random;
	struct medium *storage = &world->storage;
	bool dies = false;

	if (!storage->forked)
		return fork_child(world);
	storage->forked = false;
	if (world->chaos && random_chance(random, 300)) {
		dies = random_chance(random, 600);
		const struct memory_fault fault = {
			.call = MEMORY_CHANGE, .nth = 1 + random_below(random, 6), .error = EIO, .for_ever = true, .dead = dies,
			.effect = (enum memory_effect)random_below(random, 3),
		};
		memory_disk_fail(storage->disk, &fault);
	}
	int error = child_saves(world);
	bool struck = memory_disk_failed(storage->disk);
	if (!struck)
		memory_disk_fail(storage->disk, NULL);
	if (error != 0 && !struck)
		world_violated(world, "a snapshot cannot be written: %s", strerror(-error));
	world_say(world, "owner: the snapshot of round %" PRIu64 " %s", storage->head.round, error == 0 ? "is there" : "fails");
	world->tally.snapshots += error == 0;
	if (!dies)
		memory_disk_fail(storage->disk, NULL);
	/* Forgetting what is older may be cut short as well: the fault, if there is one, is still there. */
	if (!(dies && struck))
		durability_snapshot_done(storage->durability, &storage->head, error);
	struck = memory_disk_failed(storage->disk);
	memory_disk_fail(storage->disk, NULL);
	return !(dies && struck);
}

bool storage_finish(struct world *world)
{
	struct medium *storage = &world->storage;
	int error = durability_finish(storage->durability, world_wall_us(world));

	if (error != 0)
		world_violated(world, "an owner cannot end well: %s", durability_problem(storage->durability));
	return error == 0;
}

/* ---- the end of a run ---- */

/* The state as it comes from the disk, as the bytes of a snapshot under that head. False: it does not come. */
static bool image_of_disk(struct world *world, struct memory_disk *disk, struct snapshot_head *head, struct buffer *image,
			  char why[256])
{
	static const struct recovery_options options;
	struct recovery recovery;
	struct core *core = new_core(world);
	enum recovery_result result = recovery_run(memory_disk_seam(disk), core, &options, &recovery);

	snprintf(why, 256, "%.255s", recovery.why);
	/* The clock went on without a record. */
	core_set_clock(core, world_wall_us(world) + CLOCK_AHEAD_US);
	if (result == RECOVERED)
		take_image(core, head, image);
	core_destroy(&core);
	return result == RECOVERED;
}

static bool same_image(const struct buffer *a, const struct buffer *b)
{
	return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

struct files {
	char names[32][64];
	size_t count;
};

static void found_file(void *argument, const char *name)
{
	struct files *files = argument;

	if (files->count < 32)
		snprintf(files->names[files->count++], sizeof files->names[0], "%.63s", name);
}

/* One byte is changed: that is seen, or it is none that matters. */
static void damage(struct world *world, struct snapshot_head *head, const struct buffer *image)
{
	struct random *random = &world->random;
	struct memory_disk *disk = memory_disk_clone(world->storage.disk, 1);
	const struct disk *disk_seam = memory_disk_seam(disk);
	struct files files = { .count = 0 };
	struct buffer other = { 0 };
	char why[256];

	disk_seam->list(disk_seam->context, found_file, &files);
	for (size_t i = 0; i < files.count; i++)
		world->tally.segments += strncmp(files.names[i], "journal-", 8) == 0;
	for (int tries = 0; tries < 3 && files.count > 0; tries++) {
		const char *name = files.names[random_below(random, (uint32_t)files.count)];
		uint64_t size = memory_disk_size(disk, name);
		if (size == 0)
			continue;
		/* Most of a journal is zeros to come: its beginning is more interesting. */
		uint64_t at = random_below(random, (uint32_t)(random_chance(random, 700) && size > 4096 ? 4096 : size));
		uint8_t before = memory_disk_bytes(disk, name)[at];
		uint8_t after = (uint8_t)(before ^ (1u << random_below(random, 8)));
		memory_disk_poke(disk, name, at, after);
		world->tally.damages++;
		if (image_of_disk(world, disk, head, &other, why) && !same_image(image, &other))
			world_violated(world, "%s: byte %" PRIu64 " was changed from %02x to %02x, and a wrong state came of it", name,
				       at, before, after);
		memory_disk_poke(disk, name, at, before);
	}
	buffer_clear(&other);
	memory_disk_free(disk);
}

void storage_check(struct world *world)
{
	struct medium *storage = &world->storage;
	struct core *core = service_core(world->owner.service);
	struct snapshot_head head = { .history = world->owner.identity.history, .incarnation = 1 };
	struct buffer alive = { 0 }, dead = { 0 };
	char why[256];

	core_set_clock(core, world_wall_us(world) + CLOCK_AHEAD_US);
	take_image(core, &head, &alive);
	struct memory_disk *disk = memory_disk_clone(storage->disk, 1);
	if (!image_of_disk(world, disk, &head, &dead, why))
		world_violated(world, "what is on the disk does not become a state: %s", why);
	else if (!same_image(&alive, &dead))
		world_violated(world, "what comes from the disk is not what the owner has (%zu bytes and %zu)", dead.size,
			       alive.size);
	memory_disk_free(disk);
	if (!world->failed)
		damage(world, &head, &alive);
	buffer_clear(&alive);
	buffer_clear(&dead);
}
