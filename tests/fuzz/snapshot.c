/* SPDX-License-Identifier: MIT
 *
 * Snapshots: whatever the bytes, they are read or refused with a reason; a core that was brought back can be used, and
 * what it is written as again is the same each time.
 *
 * An input is what is to be changed in the snapshot of a short life, or a stream as it is. Of the first the harness makes
 * the blocks, with checksums that are right, and numbers at the end that are; and while it reads, every entry's
 * digest is 0 (linked with --wrap=store_digest_entry), so that the fuzzer gets behind all three.
 */
#include "tests/fuzz/life.h"
#include "tests/lib/snapshot_blocks.h"

enum { CHANGES_MAX = 20 };

static struct life *life;
static struct buffer whole; /* the life's: head and body, without blocks */
static uint64_t events;
static bool no_digests;

uint64_t __real_store_digest_entry(const char *map_name, const void *key, size_t key_size, const struct value *value);
uint64_t __wrap_store_digest_entry(const char *map_name, const void *key, size_t key_size, const struct value *value);

uint64_t __wrap_store_digest_entry(const char *map_name, const void *key, size_t key_size, const struct value *value)
{
	return no_digests ? 0 : __real_store_digest_entry(map_name, key, key_size, value);
}

static bool to_buffer(void *context, const void *bytes, size_t size)
{
	buffer_append(context, bytes, size);
	return true;
}

static ssize_t from_input(void *context, void *bytes, size_t size)
{
	struct fuzz_input *input = context;
	const uint8_t *from = fuzz_bytes(input, &size);

	if (size > 0)
		memcpy(bytes, from, size);
	return (ssize_t)size;
}

static void write_core(struct core *core, struct buffer *out)
{
	const struct snapshot_head head = { .history = 1, .incarnation = 2, .round = 3 };
	const struct snapshot_sink sink = { .context = out, .write = to_buffer };

	buffer_reset(out);
	require(snapshot_write(core, &head, &sink) && !out->failed);
}

static void begin(void)
{
	life = life_new();
	events = take_blocks(service_core(life->rig->service), &whole);
	require(events > 0);
	memset(whole.data + DIGEST_AT, 0, 8);
}

static void compose(struct fuzz_input *input, struct buffer *out)
{
	size_t done = 0;

	for (unsigned changes = 0; changes < CHANGES_MAX && input->left > 0; changes++) {
		size_t at = fuzz_u16(input) % whole.size, size;
		uint8_t how = fuzz_u8(input);
		if (at < done)
			at = done;
		buffer_append(out, whole.data + done, at - done);
		done = at;
		if (how & 0x80) /* left out */
			done += how & 0x3f;
		else if (how & 0x40) { /* put in */
			size = how & 0x3f;
			const uint8_t *bytes = fuzz_bytes(input, &size);
			buffer_append(out, bytes, size);
		} else { /* in place of what is there */
			size = 1 + (how & 0xf);
			const uint8_t *bytes = fuzz_bytes(input, &size);
			buffer_append(out, bytes, size);
			done += size;
		}
		if (done > whole.size)
			done = whole.size;
	}
	buffer_append(out, whole.data + done, whole.size - done);
}

static bool read_stream(const uint8_t *bytes, size_t size, struct core *core)
{
	struct fuzz_input input = fuzz_input(bytes, size), again = input;
	const struct snapshot_source source = { .context = &input, .read = from_input },
				     second = { .context = &again, .read = from_input };
	struct snapshot_head head, only;
	char why[256] = "";

	bool sound = snapshot_read(&source, &head, core, NULL, NULL, why, sizeof why);
	require(sound || why[0] != '\0');
	bool head_sound = snapshot_read_head(&second, &only, why, sizeof why);
	require(head_sound || !sound);
	return sound;
}

static void use(struct core *core)
{
	struct buffer one = { 0 }, two = { 0 };
	struct core *other = life_core(life);

	write_core(core, &one);
	require(read_stream(one.data, one.size, other));
	write_core(other, &two);
	require(one.size == two.size && memcmp(one.data, two.data, one.size) == 0);
	/* What breaks the behaviour's invariant no owner serves. */
	if (core_invariant(core) == NULL)
		life_use(core, false);
	core_destroy(&other);
	buffer_clear(&one);
	buffer_clear(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = fuzz_input(bytes, size);
	struct buffer composed = { 0 }, stream = { 0 };

	if (life == NULL)
		begin();
	uint8_t how = fuzz_u8(&input);
	if (how & 1)
		buffer_append(&stream, input.at, input.left);
	else {
		size_t cut = how & 2 ? 100 + (how >> 2) * (size_t)16 : 65520;
		uint64_t count = how & 0x80 ? fuzz_u64(&input) : events;
		compose(&input, &composed);
		put_blocks(&stream, &composed, cut, count);
	}
	struct core *core = life_core(life);
	no_digests = (how & 1) == 0;
	bool sound = read_stream(stream.data, stream.size, core);
	bool sound_alone = read_stream(stream.data, stream.size, NULL);
	no_digests = false;
	require(sound_alone || !sound);
	if (sound)
		use(core);
	core_destroy(&core);
	buffer_clear(&composed);
	buffer_clear(&stream);
	return 0;
}
