/* SPDX-License-Identifier: MIT
 *
 * print.c - values as text, as a field of a line, and as JSON.
 */
#include "clients/print.h"
#include "common/json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void print_list(struct sole_value list, const char *between, void (*print)(struct sole_value))
{
	struct sole_value item;

	for (bool first = true; sole_next(&list, &item); first = false) {
		if (!first)
			fputs(between, stdout);
		print(item);
	}
}

void print_raw(struct sole_value value)
{
	switch (value.type) {
	case SOLE_INTEGER:
		printf("%lld", (long long)value.integer);
		break;
	case SOLE_BYTES:
		fwrite(value.bytes, 1, value.size, stdout);
		break;
	case SOLE_LIST:
		print_list(value, "\t", print_raw);
		break;
	case SOLE_NONE:
		break;
	}
}

static void print_escaped(unsigned char byte)
{
	static const char plain[] = "\t\n\r\\", letters[] = "tnr\\";
	const char *found = byte != 0 ? strchr(plain, byte) : NULL;

	if (found != NULL)
		printf("\\%c", letters[found - plain]);
	else if (byte < 0x20 || byte == 0x7f)
		printf("\\x%02x", byte);
	else
		putchar(byte);
}

void print_field(struct sole_value value)
{
	const unsigned char *bytes = value.bytes;

	if (value.type == SOLE_LIST)
		print_list(value, "\t", print_field);
	else if (value.type != SOLE_BYTES)
		print_raw(value);
	else
		for (uint32_t i = 0; i < value.size; i++)
			print_escaped(bytes[i]);
}

/* ---- JSON ---- */

void print_json(struct sole_value value)
{
	switch (value.type) {
	case SOLE_NONE:
		fputs("null", stdout);
		break;
	case SOLE_INTEGER:
		printf("%lld", (long long)value.integer);
		break;
	case SOLE_BYTES:
		json_bytes(stdout, value.bytes, value.size);
		break;
	case SOLE_LIST:
		putchar('[');
		print_list(value, ",", print_json);
		putchar(']');
		break;
	}
}

void print_json_list(const struct sole_list *list)
{
	putchar('[');
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			putchar(',');
		print_json(list->values[i]);
	}
	putchar(']');
}

void print_json_text(const char *text)
{
	print_json(sole_text(text));
}

/* ---- for people ---- */

void print_format_bytes(uint64_t bytes, char *text, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
		value /= 1024;
		unit++;
	}
	snprintf(text, size, value < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
