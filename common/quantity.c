/* SPDX-License-Identifier: MIT
 *
 * quantity.c - numbers as people write them.
 */
#include "common/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit time_units[] = {
	{ "ns", 1 },           { "us", 1000 },         { "ms", 1000000 },
	{ "s", 1000000000 },   { "", 1000000000 },     { "min", 60000000000 },
	{ "m", 60000000000 },  { "h", 3600000000000 }, { "d", 86400000000000 },
};

static const struct unit size_units[] = {
	{ "", 1 },          { "B", 1 },         { "K", 1 << 10 },   { "KiB", 1 << 10 },
	{ "M", 1 << 20 },   { "MiB", 1 << 20 }, { "G", 1 << 30 },   { "GiB", 1 << 30 },
};

/* number = whole . fraction, times the unit; every step is checked. */
static int scaled(const char *text, const struct unit *units, size_t count, int64_t *result)
{
	const char *at = text;
	int64_t whole = 0, fraction = 0, fraction_scale = 1;

	if (!isdigit((unsigned char)*at))
		return -1;
	for (; isdigit((unsigned char)*at); at++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, *at - '0', &whole))
			return -1;
	if (*at == '.') {
		at++;
		if (!isdigit((unsigned char)*at))
			return -1;
		for (; isdigit((unsigned char)*at); at++) {
			if (fraction_scale >= 1000000000)
				return -1;
			fraction = fraction * 10 + (*at - '0');
			fraction_scale *= 10;
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (strcmp(at, units[i].name) != 0)
			continue;
		int64_t total, part;
		if (__builtin_mul_overflow(whole, units[i].factor, &total))
			return -1;
		/* The fraction has at most nine digits, so split it to stay in range. */
		__int128 scaled_fraction = (__int128)fraction * units[i].factor;
		if (scaled_fraction % fraction_scale != 0)
			return -1;
		part = (int64_t)(scaled_fraction / fraction_scale);
		if (__builtin_add_overflow(total, part, &total))
			return -1;
		*result = total;
		return 0;
	}
	return -1;
}

const char *quantity_duration(const char *text, int64_t *ns)
{
	if (scaled(text, time_units, sizeof time_units / sizeof *time_units, ns) == 0)
		return NULL;
	return "a time such as 250us, 1ms, 1.5s or 2min";
}

const char *quantity_size(const char *text, int64_t *bytes)
{
	if (scaled(text, size_units, sizeof size_units / sizeof *size_units, bytes) == 0)
		return NULL;
	return "a size in bytes such as 4096, 64KiB or 1MiB";
}

const char *quantity_integer(const char *text, int64_t least, int64_t most, int64_t *number)
{
	static _Thread_local char expected[96];
	char *end;

	errno = 0;
	long long parsed = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || errno == ERANGE || isspace((unsigned char)*text) ||
	    parsed < least || parsed > most) {
		snprintf(expected, sizeof expected, "a whole number from %lld to %lld",
			 (long long)least, (long long)most);
		return expected;
	}
	*number = parsed;
	return NULL;
}

/* In the largest of `steps` that fits; false: in none. */
static bool format_in(const struct unit *steps, size_t count, int64_t number, char *text, size_t size)
{
	for (size_t i = 0; i < count; i++) {
		/* What rounds up to a thousand of a unit is one of the next. */
		if (number < steps[i].factor - steps[i].factor / 2000)
			continue;
		double value = (double)number / (double)steps[i].factor;
		int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
		snprintf(text, size, "%.*f%s", decimals, value, steps[i].name);
		return true;
	}
	return false;
}

void quantity_format_duration(int64_t ns, char *text, size_t size)
{
	static const struct unit steps[] = { { "s", 1000000000 }, { "ms", 1000000 }, { "us", 1000 } };

	if (!format_in(steps, sizeof steps / sizeof *steps, ns, text, size))
		snprintf(text, size, "%lldns", (long long)ns);
}

void quantity_format_size(int64_t bytes, char *text, size_t size)
{
	static const struct unit steps[] = { { "TiB", INT64_C(1) << 40 }, { "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 } };

	if (!format_in(steps, sizeof steps / sizeof *steps, bytes, text, size))
		snprintf(text, size, "%lldB", (long long)bytes);
}
