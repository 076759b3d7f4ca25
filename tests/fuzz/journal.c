/* SPDX-License-Identifier: MIT
 *
 * A journal's reader, over a disk in memory: whatever the segments hold, it reads rounds in order and comes to an end, or
 * tells damage with a reason. Behind an end a journal can be gone on with, and then reads as before with
 * the new round behind it; damage can be cut, and what is before it stays.
 *
 * An input is what is to be changed in a sound journal of two segments, or the bytes that a segment begins with. Where
 * it asks for it, the harness sets all checksums right afterwards, so that the fuzzer gets behind them; where
 * not, each round that is read must be one that was written.
 */
#include "tests/fuzz/life.h"
#include "tests/lib/memory_disk.h"

#include "owner/state/crc32c.h"
#include "owner/state/frame.h"
#include "owner/state/journal.h"
#include "owner/state/segment.h"

enum { CHANGES_MAX = 30, ROUNDS_MAX = 64, HISTORY = 0x5678, CUTS_MAX = 20, FILLER_BYTES = 20000 };

static struct memory_disk *whole;
static struct life *life;
static struct buffer copies; /* of the rounds, as they were written */
static struct told_round {
	uint64_t number, revision;
	int64_t time_us;
	uint32_t count;
	size_t start, size;
} written[ROUNDS_MAX], found[ROUNDS_MAX];
static size_t written_count;
static struct buffer found_bytes;

static void append(struct journal *journal, uint64_t revision, int64_t time_us, uint32_t count, const uint8_t *records,
		   size_t size)
{
	const struct round round = { .number = written_count + 1,
				     .time_us = time_us,
				     .revision = revision,
				     .count = count,
				     .records = records,
				     .size = size };
	struct journal_fault fault;

	require(journal_append(journal, &round, &fault) == 0);
	require(journal_sync(journal, &fault) == 0);
	written[written_count++] = (struct told_round){ round.number, revision, time_us, count, copies.size, size };
	buffer_append(&copies, records, size);
}

static struct journal *open_journal(struct memory_disk *disk, const struct journal_end *end)
{
	const struct journal_settings settings = { .disk = memory_disk_seam(disk),
						   .history = end->history != 0 ? end->history : HISTORY,
						   .segment_bytes = JOURNAL_SEGMENT_LEAST };
	struct journal_fault fault;
	struct journal *journal = journal_open(&settings, end, &fault);

	if (journal == NULL)
		fprintf(stderr, "%s\n", fault.text);
	require(journal != NULL);
	return journal;
}

static void begin(void)
{
	static uint8_t filler[FILLER_BYTES];
	const struct journal_end nothing = { .round = 1 };
	uint64_t revision = 0;

	life = life_new();
	memset(filler, 0xab, sizeof filler);
	whole = memory_disk_new(1);
	struct journal *journal = open_journal(whole, &nothing);
	for (size_t i = 0; i < life->count; i++) {
		const struct life_round *round = &life->rounds[i];
		if (i == 3) /* over several sectors, and to the end of the first segment */
			for (int n = 0; n < 3; n++)
				append(journal, revision, round->time_us, 1, filler, sizeof filler);
		revision = round->revision;
		append(journal, revision, round->time_us, round->records, life->records.data + round->start, round->size);
	}
	journal_close(&journal);
	memory_disk_settle(whole);
}

/* ---- changes ---- */

static void set_u32(struct memory_disk *disk, const char *name, uint64_t at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		memory_disk_poke(disk, name, at + (uint64_t)i, (uint8_t)(v >> (8 * i)));
}

static void fix_checksums(struct memory_disk *disk, const char *name)
{
	uint64_t size = memory_disk_size(disk, name);

	if (size < SEGMENT_HEAD)
		return;
	/* The head's word is taken for how long a segment was, and cutting makes one as long: not exabytes here. */
	for (uint64_t at = 16 + 3; at < 16 + 8; at++)
		memory_disk_poke(disk, name, at, 0);
	set_u32(disk, name, 8, crc32c(0, memory_disk_bytes(disk, name) + 12, SEGMENT_HEAD - 12));
	for (uint64_t at = SEGMENT_HEAD; at + FRAME_SECTOR <= size;) {
		const uint8_t *sector = memory_disk_bytes(disk, name) + at;
		uint64_t records, bytes;
		if (frame_zero(sector))
			break;
		memcpy(&records, sector + 40, sizeof records);
		set_u32(disk, name, at + 12, crc32c(crc32c(0, sector, FRAME_MARK), sector + 16, FRAME_HEAD - 16));
		bytes = frame_bytes(records);
		if (bytes > size - at)
			break;
		sector = memory_disk_bytes(disk, name) + at;
		set_u32(disk, name, at + 8, crc32c(0, sector + 12, (size_t)bytes - 12));
		at += bytes;
	}
}

static void change(struct fuzz_input *input, struct memory_disk *disk, const char *name)
{
	uint8_t sector = fuzz_u8(input), how = fuzz_u8(input), other;
	uint64_t at = (uint64_t)sector * FRAME_SECTOR, size = memory_disk_size(disk, name), v;

	switch (how % 8) {
	case 0: /* a sector of zeros */
		for (uint64_t i = at; i < at + FRAME_SECTOR && i < size; i++)
			memory_disk_poke(disk, name, i, 0);
		break;
	case 1: /* a copy of another sector */
		other = fuzz_u8(input);
		for (uint64_t i = 0; i < FRAME_SECTOR && at + i < size && (uint64_t)other * FRAME_SECTOR + i < size; i++)
			memory_disk_poke(disk, name, at + i,
					 memory_disk_bytes(disk, name)[(uint64_t)other * FRAME_SECTOR + i]);
		break;
	case 2: /* another length */
		at += fuzz_u16(input) % FRAME_SECTOR;
		memory_disk_resize(disk, name, at);
		break;
	case 3: /* a number of the head */
	case 4:
		other = fuzz_u8(input) % 8;
		v = fuzz_u64(input);
		for (uint64_t i = 0; i < 8; i++)
			if (at + 8U * other + i < size)
				memory_disk_poke(disk, name, at + 8U * other + i, (uint8_t)(v >> (8 * i)));
		break;
	default:
		at += fuzz_u16(input) % FRAME_SECTOR;
		other = fuzz_u8(input);
		if (at < size)
			memory_disk_poke(disk, name, at, other);
		break;
	}
}

static struct memory_disk *compose(struct fuzz_input *input, uint8_t how)
{
	char names[2][JOURNAL_NAME_BYTES];
	struct segment_list list = { 0 };

	if (how & 1) {
		uint8_t segment[JOURNAL_SEGMENT_LEAST] = { 0 };
		size_t size = sizeof segment;
		struct memory_disk *disk = memory_disk_new(1);
		const uint8_t *bytes = fuzz_bytes(input, &size);
		if (size > 0)
			memcpy(segment, bytes, size);
		segment_name(names[0], 1);
		memory_disk_put(disk, names[0], segment, sizeof segment);
		if (how & 2)
			fix_checksums(disk, names[0]);
		return disk;
	}
	struct memory_disk *disk = memory_disk_clone(whole, 2);
	require(segment_list(memory_disk_seam(disk), &list) == 0 && list.count == 2);
	for (int i = 0; i < 2; i++)
		segment_name(names[i], list.firsts[i]);
	segment_list_clear(&list);
	if (how & 4)
		memory_disk_remove(disk, names[(how >> 3) & 1]);
	for (unsigned changes = 0; changes < CHANGES_MAX && input->left > 0; changes++) {
		const char *name = names[fuzz_u8(input) & 1];
		if (memory_disk_has(disk, name))
			change(input, disk, name);
	}
	for (int i = 0; i < 2; i++)
		if ((how & 2) != 0 && memory_disk_has(disk, names[i]))
			fix_checksums(disk, names[i]);
	return disk;
}

/* ---- reading ---- */

static size_t read_all(struct memory_disk *disk, uint64_t from, enum journal_result *result, struct journal_end *end,
		       struct journal_fault *fault)
{
	struct journal_reader *reader;
	size_t count = 0;
	uint64_t done, all;
	struct round round;

	buffer_reset(&found_bytes);
	memset(fault, 0, sizeof *fault);
	memset(end, 0, sizeof *end);
	reader = journal_reader_new(memory_disk_seam(disk), 0, from, fault);
	if (reader == NULL) {
		require(fault->text[0] != '\0');
		*result = fault->error != 0 ? JOURNAL_FAILED : JOURNAL_DAMAGED;
		return 0;
	}
	while ((*result = journal_read(reader, &round, end, fault)) == JOURNAL_ROUND) {
		require(round.size == 0 || round.records != NULL);
		require(count == 0 || round.number == found[count - 1].number + 1);
		require(count > 0 || from == 0 || round.number == from);
		journal_progress(reader, &done, &all);
		require(done <= all);
		if (count == ROUNDS_MAX)
			break;
		found[count++] = (struct told_round){ round.number, round.revision, round.time_us, round.count,
						      found_bytes.size, round.size };
		buffer_append(&found_bytes, round.records, round.size);
	}
	if (*result == JOURNAL_DAMAGED || *result == JOURNAL_FAILED) {
		require(fault->text[0] != '\0' && memchr(fault->text, '\0', sizeof fault->text) != NULL);
		require((fault->error != 0) == (*result == JOURNAL_FAILED));
	}
	journal_reader_destroy(&reader);
	require(memory_disk_open_files(disk) == 0 && !found_bytes.failed);
	return count;
}

/* What no checksum was forged for is what was written. */
static void as_written(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		require(found[i].number >= 1 && found[i].number <= written_count);
		const struct told_round *was = &written[found[i].number - 1];
		require(was->revision == found[i].revision && was->time_us == found[i].time_us);
		require(was->count == found[i].count && was->size == found[i].size);
		require(memcmp(copies.data + was->start, found_bytes.data + found[i].start, was->size) == 0);
	}
}

static void go_on(struct memory_disk *disk, const struct journal_end *end, size_t count)
{
	static const uint8_t records[] = "some records";
	struct journal_end then;
	struct journal_fault fault;
	enum journal_result result;

	/* Forged: nothing comes behind such a number, and no history is 0. */
	if (end->round == UINT64_MAX || end->round == 0 || (end->name[0] != '\0' && end->history == 0))
		return;
	struct journal *journal = open_journal(disk, end);
	const struct round round = { .number = end->round,
				     .time_us = 1,
				     .revision = end->revision,
				     .count = 1,
				     .records = records,
				     .size = sizeof records };
	require(journal_append(journal, &round, &fault) == 0 && journal_sync(journal, &fault) == 0);
	journal_close(&journal);
	size_t again = read_all(disk, 0, &result, &then, &fault);
	require(result == JOURNAL_ENDED && again == count + 1 && then.torn == 0 && then.round == end->round + 1);
	require(found[count].number == end->round && found[count].size == sizeof records);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = fuzz_input(bytes, size);
	struct journal_end end;
	struct journal_fault fault, problem;
	enum journal_result result;
	size_t count, before;

	if (whole == NULL)
		begin();
	uint8_t how = fuzz_u8(&input), from = how >> 4;
	struct memory_disk *disk = compose(&input, how);
	if (from > 0)
		read_all(disk, from, &result, &end, &fault);
	count = read_all(disk, 0, &result, &end, &fault);
	if ((how & 2) == 0)
		as_written(count);
	for (int cuts = 0; result == JOURNAL_DAMAGED; cuts++) {
		require(cuts < CUTS_MAX);
		before = count;
		if (journal_cut(memory_disk_seam(disk), &fault, &problem) != 0) {
			require(problem.text[0] != '\0');
			break;
		}
		count = read_all(disk, 0, &result, &end, &fault);
		require(count <= ROUNDS_MAX && (count == before || fault.text[0] != '\0' || result == JOURNAL_ENDED));
		if ((how & 2) == 0)
			as_written(count);
	}
	if (result == JOURNAL_ENDED && count < ROUNDS_MAX)
		go_on(disk, &end, count);
	memory_disk_free(disk);
	return 0;
}
