/* SPDX-License-Identifier: MIT
 *
 * The readers of common/wire.h: whatever the bytes, they end at the end, and what they read and the
 * writers write again is the same bytes.
 */
#include "tests/fuzz/fuzz.h"

#include "common/wire.h"

static void same(const struct buffer *written, const uint8_t *from, const struct wire_reader *reader)
{
	require(!written->failed);
	require(written->size == (size_t)(reader->at - from));
	require(written->size == 0 || memcmp(written->data, from, written->size) == 0);
}

static void read_lists(struct wire_reader reader)
{
	struct buffer written = { 0 };
	struct value values[WIRE_LIST_MAX];
	size_t count;

	for (;;) {
		const uint8_t *from = reader.at;
		struct wire_reader few = reader;
		size_t few_count, left = reader.left;
		bool good = wire_read_list(&reader, values, WIRE_LIST_MAX, &count);
		require(good == !reader.bad && reader.left <= left);
		require(wire_read_list(&few, values, 2, &few_count) == good);
		if (!good)
			break;
		require(few_count == count && few.left == reader.left && reader.left < left);
		for (size_t i = 0; i < count; i++)
			require(value_equal(&values[i], &values[i]));
		buffer_reset(&written);
		wire_write_list(&written, values, count);
		same(&written, from, &reader);
	}
	require(!wire_read_u8(&reader, &(uint8_t){ 0 }) && !wire_read_u16(&reader, &(uint16_t){ 0 }));
	buffer_clear(&written);
}

#define READ_HEADER(noun, reader)                                         \
	do {                                                              \
		struct noun##_header header;                              \
		const uint8_t *from = (reader)->at;                       \
		buffer_reset(&written);                                   \
		if (wire_read_##noun##_header((reader), &header)) {       \
			wire_write_##noun##_header(&written, &header);    \
			same(&written, from, (reader));                   \
		} else                                                    \
			require((reader)->bad);                           \
	} while (0)

static void read_message(struct wire_reader reader)
{
	struct buffer written = { 0 };
	struct wire_reader items, payload;
	uint8_t kind;

	READ_HEADER(message, &reader);
	items = reader;
	while (wire_skip_item(&items, &kind, &payload)) {
		struct wire_reader request = reader, reply = reader;
		uint32_t size = 0;
		require(kind == reader.at[4]);
		READ_HEADER(request, &request);
		READ_HEADER(reply, &reply);
		memcpy(&size, reader.at, sizeof size);
		require(wire_read_payload(&request, size, &payload));
		require(request.at == items.at && request.left == items.left);
		read_lists(payload);
		reader = items;
	}
	require(items.bad);
	buffer_clear(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = fuzz_input(bytes, size);
	bool message = fuzz_u8(&input) & 1;
	uint8_t *copy = fuzz_copy(input.at, input.left);

	if (message)
		read_message(wire_reader(copy, input.left));
	else
		read_lists(wire_reader(copy, input.left));
	for (unsigned code = 0; code < 300; code++)
		require(code_name(code) != NULL && code_text(code) != NULL);
	free(copy);
	return 0;
}
