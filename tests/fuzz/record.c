/* SPDX-License-Identifier: MIT
 *
 * Records: whatever the bytes, they are read to their end or refused, what was read and is written again is the
 * same bytes, and replaying them brings about what they say or is refused with a reason. The core that comes of it
 * can be used.
 *
 * An input is either records, or what is to be changed in those of a short life: its sizes are set right
 * where a change moves them, and revisions need not be guessed.
 */
#include "tests/fuzz/life.h"

enum { CHANGES_MAX = 30, RECORDS_MAX = 256 };

static struct life *life;

static void read_and_write(struct wire_reader reader)
{
	struct buffer written = { 0 };
	struct record record;

	for (;;) {
		const uint8_t *from = reader.at;
		size_t left = reader.left;
		if (!record_read(&reader, &record))
			break;
		require(reader.left < left && *record_name(record.kind) != '\0');
		buffer_reset(&written);
		record_write(&written, &record);
		require(!written.failed && written.size == left - reader.left);
		require(memcmp(written.data, from, written.size) == 0);
	}
	require(reader.bad || reader.left == 0);
	buffer_clear(&written);
}

static void replay(struct wire_reader reader, bool exact)
{
	struct core *core = life_core(life);
	struct record record;
	char why[128];
	bool same = true;
	int64_t time_us = life->rounds[0].time_us;
	size_t late;

	for (size_t n = 0; same && n < RECORDS_MAX && record_read(&reader, &record); n++, time_us += 1000) {
		if (!exact) /* a revision is one more than the last, or the same */
			record.revision = core_revision(core) +
					  (record.kind == RECORD_RUN ? record.revision & 1 :
					   record.kind != RECORD_REFUSED && record.kind != RECORD_START &&
						   record.kind != RECORD_ANSWERED);
		same = core_replay(core, &record, time_us, exact, why, sizeof why) == CODE_OK;
		require(same == (why[0] == '\0'));
		core_take_late(core, &late);
	}
	if (same)
		life_use(core, true);
	core_destroy(&core);
}

/* The records of the life, some of them changed, left out, doubled or of another place. */
static void compose(struct fuzz_input *input, struct buffer *out)
{
	struct wire_reader all = wire_reader(life->records.data, life->records.size);
	struct { const uint8_t *at; size_t size; } places[RECORDS_MAX];
	struct record record;
	size_t count = 0;

	for (const uint8_t *at = all.at; count < RECORDS_MAX && record_read(&all, &record); at = all.at)
		places[count++].at = at, places[count - 1].size = (size_t)(all.at - at);
	require(count > 20 && !all.bad);
	size_t next = 0;
	for (unsigned changes = 0; changes < CHANGES_MAX && input->left > 0; changes++) {
		for (uint8_t whole = fuzz_u8(input); whole > 0 && next < count; whole--, next++)
			buffer_append(out, places[next].at, places[next].size);
		uint8_t how = fuzz_u8(input);
		size_t from = how & 0x40 ? fuzz_u8(input) % count : next % count, start = out->size, size;
		if (how & 0x80) {
			next++;
			continue;
		}
		buffer_append(out, places[from].at, places[from].size);
		next += (how & 0x40) == 0;
		for (unsigned bytes = how & 7; bytes > 0; bytes--) {
			size_t at = fuzz_u8(input);
			uint8_t value = fuzz_u8(input);
			if (at < out->size - start)
				out->data[start + at] = value;
		}
		if (how & 0x20) {
			size = fuzz_u8(input);
			const uint8_t *bytes = fuzz_bytes(input, &size);
			buffer_append(out, bytes, size);
			buffer_patch_u32(out, start, (uint32_t)(out->size - start));
		}
	}
	for (; next < count; next++)
		buffer_append(out, places[next].at, places[next].size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = fuzz_input(bytes, size);
	struct buffer records = { 0 };
	uint8_t how = fuzz_u8(&input);

	if (life == NULL)
		life = life_new();
	if (how & 1)
		buffer_append(&records, input.at, input.left);
	else
		compose(&input, &records);
	require(!records.failed);
	uint8_t *copy = fuzz_copy(records.data, records.size);
	read_and_write(wire_reader(copy, records.size));
	replay(wire_reader(copy, records.size), (how & 2) != 0);
	free(copy);
	buffer_clear(&records);
	return 0;
}
