/* SPDX-License-Identifier: MIT
 *
 * json.c - strings, and base64 for what no JSON string can hold.
 */
#include "common/json.h"

#include <stdbool.h>
#include <string.h>

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
		if (length > left || (length > 1 && (at[1] < forms[i].second_least || at[1] > forms[i].second_most)))
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

static void print_string(FILE *out, const unsigned char *bytes, size_t size)
{
	static const char plain[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";

	putc('"', out);
	for (size_t i = 0; i < size; i++) {
		const char *found = bytes[i] != 0 ? strchr(plain, bytes[i]) : NULL;
		if (found != NULL)
			fprintf(out, "\\%c", letters[found - plain]);
		else if (bytes[i] < 0x20 || bytes[i] == 0x7f)
			fprintf(out, "\\u%04x", bytes[i]);
		else
			putc(bytes[i], out);
	}
	putc('"', out);
}

/* RFC 4648, section 4. */
static void print_base64(FILE *out, const unsigned char *bytes, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t at = 0; at < size; at += 3) {
		size_t there = size - at < 3 ? size - at : 3;
		unsigned bits = 0;
		for (size_t i = 0; i < 3; i++)
			bits = bits << 8 | (i < there ? bytes[at + i] : 0);
		for (size_t i = 0; i < 4; i++)
			putc(i <= there ? digits[bits >> (18 - 6 * i) & 63] : '=', out);
	}
}

void json_bytes(FILE *out, const void *bytes, size_t size)
{
	if (is_utf8(bytes, size)) {
		print_string(out, bytes, size);
		return;
	}
	fputs("{\"base64\":\"", out);
	print_base64(out, bytes, size);
	fputs("\"}", out);
}
