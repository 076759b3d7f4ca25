/* SPDX-License-Identifier: MIT
 *
 * print.c - values as text, as a field of a line, and as JSON.
 */
#include "clients/print.h"

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

/* The bytes of the UTF-8 sequence at `at`, or 0 when there is none: as RFC 3629 has it, so without
 * surrogates, overlong forms, or anything above U+10FFFF. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
	static const struct {
		unsigned char first, last, second_least, second_most, length;
	} forms[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		size_t length = forms[i].length;
		if (at[0] < forms[i].first || at[0] > forms[i].last)
			continue;
		if (length > left ||
		    (length > 1 && (at[1] < forms[i].second_least || at[1] > forms[i].second_most)))
			return 0;
		for (size_t k = 2; k < length; k++)
			if ((at[k] & 0xc0) != 0x80)
				return 0;
		return length;
	}
	return 0;
}

static bool is_utf8(const unsigned char *bytes, size_t size)
{
	for (size_t at = 0; at < size;) {
		size_t length = utf8_length(bytes + at, size - at);
		if (length == 0)
			return false;
		at += length;
	}
	return true;
}

static void print_json_string(const unsigned char *bytes, size_t size)
{
	static const char plain[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";

	putchar('"');
	for (size_t i = 0; i < size; i++) {
		const char *found = bytes[i] != 0 ? strchr(plain, bytes[i]) : NULL;
		if (found != NULL)
			printf("\\%c", letters[found - plain]);
		else if (bytes[i] < 0x20 || bytes[i] == 0x7f)
			printf("\\u%04x", bytes[i]);
		else
			putchar(bytes[i]);
	}
	putchar('"');
}

/* RFC 4648, section 4. */
static void print_base64(const unsigned char *bytes, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t at = 0; at < size; at += 3) {
		size_t there = size - at < 3 ? size - at : 3;
		unsigned bits = 0;
		for (size_t i = 0; i < 3; i++)
			bits = bits << 8 | (i < there ? bytes[at + i] : 0);
		for (size_t i = 0; i < 4; i++)
			putchar(i <= there ? digits[bits >> (18 - 6 * i) & 63] : '=');
	}
}

void print_json(struct sole_value value)
{
	const unsigned char *bytes = value.bytes;

	switch (value.type) {
	case SOLE_NONE:
		fputs("null", stdout);
		break;
	case SOLE_INTEGER:
		printf("%lld", (long long)value.integer);
		break;
	case SOLE_BYTES:
		if (is_utf8(bytes, value.size)) {
			print_json_string(bytes, value.size);
		} else {
			fputs("{\"base64\":\"", stdout);
			print_base64(bytes, value.size);
			fputs("\"}", stdout);
		}
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
