/* SPDX-License-Identifier: MIT
 *
 * input.c - drawing arguments.
 */
#include "owner/kit/input.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FEW_KEYS = 12, MANY_KEYS = 4000, LONG_BYTES = 700 };

/* splitmix64: any seed will do. */
static uint64_t draw(struct input *input)
{
	uint64_t z = input->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

void input_init(struct input *input, uint64_t seed)
{
	*input = (struct input){ .state = seed };
	input->keys = input_once_in(input, 3) ? MANY_KEYS : FEW_KEYS;
}

uint64_t input_below(struct input *input, uint64_t limit)
{
	return draw(input) % limit;
}

bool input_once_in(struct input *input, unsigned times)
{
	return input_below(input, times) == 0;
}

static int64_t draw_integer(struct input *input)
{
	static const int64_t edges[] = { INT64_MAX, INT64_MIN, INT64_MAX - 1, -1, -2, 1LL << 32, 1LL << 53, UINT32_MAX };
	static const int64_t round[] = { 16, 100, 255, 1000, 1024, 60000, 1000000 };

	switch (input_below(input, 8)) {
	case 0:
		return edges[input_below(input, sizeof edges / sizeof *edges)];
	case 1:
		return round[input_below(input, sizeof round / sizeof *round)];
	case 2:
	case 3:
	case 4:
		if (input->integer_count > 0)
			return input->integers[input_below(input, input->integer_count)];
		return 1;
	default:
		return (int64_t)input_below(input, 12);
	}
}

/* Bytes are drawn into `space`; what is returned may point there. */
static struct value draw_bytes(struct input *input, uint8_t space[LONG_BYTES])
{
	size_t size = input_once_in(input, 24) ? input_below(input, LONG_BYTES) : input_below(input, 20);

	if (input->text_count > 0 && input_once_in(input, 5)) {
		unsigned i = (unsigned)input_below(input, input->text_count);
		return value_bytes(input->texts[i].bytes, input->texts[i].size);
	}
	bool plain = !input_once_in(input, 6);
	for (size_t i = 0; i < size; i++)
		space[i] = (uint8_t)(plain ? 'a' + (int)input_below(input, 26) : (int)input_below(input, 256));
	return value_bytes(space, size);
}

static struct value draw_key(struct input *input, uint8_t space[LONG_BYTES])
{
	if (input_once_in(input, 16))
		return draw_bytes(input, space);
	int size = snprintf((char *)space, LONG_BYTES, "%c%u", "kkkl"[input_below(input, 4)],
			    (unsigned)input_below(input, input->keys));
	return value_bytes(space, (size_t)size);
}

static struct value draw_value(struct input *input, enum sole_field_type type, uint8_t space[LONG_BYTES])
{
	switch (type) {
	case SOLE_FIELD_INTEGER:
		return value_integer(draw_integer(input));
	case SOLE_FIELD_BYTES:
		return draw_bytes(input, space);
	case SOLE_FIELD_KEY:
	case SOLE_FIELD_KEYS:
		return draw_key(input, space);
	case SOLE_FIELD_OPTIONAL:
		if (input_once_in(input, 3))
			return value_none();
		/* fall through */
	case SOLE_FIELD_VALUE:
		if (input_once_in(input, 3))
			return draw_bytes(input, space);
		return input_once_in(input, 4) ? draw_key(input, space) : value_integer(draw_integer(input));
	case SOLE_FIELD_LIST:
	case SOLE_FIELD_END:
		break;
	}
	return value_none();
}

void input_operation(struct input *input, const struct sole_operation_entry *entry, struct buffer *out)
{
	enum { KEYS_MOST = 6 };
	uint8_t space[LONG_BYTES];
	size_t start = out->size + 2;
	uint8_t count = 0;
	bool wrong = input_once_in(input, 40);

	buffer_u16(out, entry->number);
	buffer_u8(out, 0);
	for (size_t i = 0; entry->arguments[i].type != SOLE_FIELD_END; i++) {
		enum sole_field_type type = entry->arguments[i].type;
		uint64_t times = type == SOLE_FIELD_KEYS ? 1 + input_below(input, KEYS_MOST) : 1;
		if (wrong && input_once_in(input, 3))
			type = (enum sole_field_type)(1 + input_below(input, SOLE_FIELD_KEY));
		if (wrong && input_once_in(input, 4))
			times = input_below(input, 3);
		for (; times > 0; times--, count++) {
			const struct value value = draw_value(input, type, space);
			wire_write_value(out, &value);
		}
	}
	if (!out->failed)
		out->data[start] = count;
}

void input_learn(struct input *input, const struct value *value)
{
	if (value->type == VALUE_INTEGER) {
		unsigned place = input->integer_count < INPUT_LEARNED ? input->integer_count++ :
									(unsigned)input_below(input, INPUT_LEARNED);
		input->integers[place] = value->integer;
	} else if (value->type == VALUE_BYTES && value->size > 0 && value->size <= INPUT_BYTES_MOST) {
		unsigned place = input->text_count < INPUT_LEARNED ? input->text_count++ :
								     (unsigned)input_below(input, INPUT_LEARNED);
		input->texts[place].size = (uint8_t)value->size;
		memcpy(input->texts[place].bytes, value->bytes, value->size);
	}
}

/* ---- for a person ---- */

static size_t describe_value(const struct value *value, char *text, size_t size)
{
	enum { SHOWN = 24 };
	size_t used = 0;

	if (value->type == VALUE_INTEGER)
		return (size_t)snprintf(text, size, " %" PRId64, value->integer);
	if (value->type != VALUE_BYTES)
		return (size_t)snprintf(text, size, value->type == VALUE_NONE ? " none" : " (list)");
	used += (size_t)snprintf(text, size, " \"");
	for (uint32_t i = 0; i < value->size && i < SHOWN && used + 8 < size; i++) {
		int byte = value->bytes[i];
		used += (size_t)snprintf(text + used, size - used, isprint(byte) && byte != '"' ? "%c" : "\\x%02x", byte);
	}
	if (value->size > SHOWN && used + 40 < size)
		used += (size_t)snprintf(text + used, size - used, "\" (%u bytes)", value->size);
	else if (used + 2 < size)
		used += (size_t)snprintf(text + used, size - used, "\"");
	return used;
}

void operation_describe(const struct sole_behaviour *behaviour, struct wire_reader *payload, char *text, size_t size)
{
	struct value values[WIRE_LIST_MAX];
	uint16_t number = 0;
	size_t count = 0, used;

	wire_read_u16(payload, &number);
	wire_read_list(payload, values, WIRE_LIST_MAX, &count);
	if (number == OPERATION_OTHERWISE) {
		snprintf(text, size, "otherwise");
		return;
	}
	const char *name = "(unknown)";
	for (size_t i = 0; i < behaviour->operation_count; i++)
		if (behaviour->operations[i].number == number)
			name = behaviour->operations[i].name;
	used = (size_t)snprintf(text, size, "%s", name);
	for (size_t i = 0; i < count && used + 60 < size; i++)
		used += describe_value(&values[i], text + used, size - used);
}
