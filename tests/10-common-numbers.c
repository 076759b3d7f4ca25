/* SPDX-License-Identifier: MIT
 *
 * Numbers as people write them, and latencies.
 */
#include "tests/lib/unit.h"

#include "common/histogram.h"
#include "common/quantity.h"

#include <string.h>

/* ---- quantity ---- */

static void durations_are_read_in_every_unit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{ "0", 0 },
		{ "1", 1000000000 },
		{ "2s", 2000000000 },
		{ "7ns", 7 },
		{ "250us", 250000 },
		{ "1ms", 1000000 },
		{ "1.5s", 1500000000 },
		{ "0.5", 500000000 },
		{ "2min", 120000000000 },
		{ "2m", 120000000000 },
		{ "1h", 3600000000000 },
		{ "1d", 86400000000000 },
		{ "0.000000001", 1 },
		{ "1.25us", 1250 },
		{ "9223372036854775807ns", INT64_MAX },
		{ "9223372036.854775807", INT64_MAX },
		{ "106751d", 9223286400000000000 },
		{ "00012ms", 12000000 },
	};
	static const char *const bad[] = {
		"",
		"s",
		"-1",
		"+1",
		" 1",
		"1 ",
		"1 s",
		"1e3",
		"0x10",
		"1.",
		".5",
		"1.5.5",
		"1S",
		"1sec",
		"1ms ",
		"ms1",
		"1.5ns",
		"1.0000000001",
		"9223372036854775808ns",
		"9223372036.854775808",
		"106752d",
		"99999999999999999999",
		"1\n",
		"NaN",
		"inf",
	};
	int64_t ns;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ns = -7;
		const char *problem = quantity_duration(good[i].text, &ns);
		if (problem != NULL || ns != good[i].ns)
			fail_msg("'%s': %s, %lld", good[i].text, problem, (long long)ns);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ns = -7;
		if (quantity_duration(bad[i], &ns) == NULL || ns != -7)
			fail_msg("'%s' was taken for a time, %lld", bad[i], (long long)ns);
	}
}

static void sizes_are_read_in_every_unit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "10B", 10 },
		{ "1K", 1024 },
		{ "64KiB", 65536 },
		{ "1.5MiB", 1572864 },
		{ "3M", 3145728 },
		{ "2GiB", 2147483648 },
		{ "8589934591G", 9223372035781033984 },
		{ "0.5K", 512 },
		{ "9223372036854775807", INT64_MAX },
	};
	static const char *const bad[] = { "",	     "K",    "-1",	    "1k",
					   "1KB",    "1kib", "1TiB",	    "0.3K",
					   "1.5",    "1 K",  "8589934592G", "9223372036854775808",
					   "0x1000", "1K1" };
	int64_t bytes;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		bytes = -7;
		const char *problem = quantity_size(good[i].text, &bytes);
		if (problem != NULL || bytes != good[i].bytes)
			fail_msg("'%s': %s, %lld", good[i].text, problem, (long long)bytes);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		bytes = -7;
		if (quantity_size(bad[i], &bytes) == NULL || bytes != -7)
			fail_msg("'%s' was taken for a size, %lld", bad[i], (long long)bytes);
	}
}

static void whole_numbers_are_read_within_their_range(void **state)
{
	(void)state;
	int64_t number = -7;

	assert_null(quantity_integer("42", 0, 100, &number));
	assert_int_equal(number, 42);
	assert_null(quantity_integer("+5", 5, 5, &number));
	assert_int_equal(number, 5);
	assert_null(quantity_integer("-9223372036854775808", INT64_MIN, INT64_MAX, &number));
	assert_true(number == INT64_MIN);
	assert_null(quantity_integer("9223372036854775807", INT64_MIN, INT64_MAX, &number));
	assert_true(number == INT64_MAX);
	static const char *const bad[] = { "",
					   " 1",
					   "1 ",
					   "1.0",
					   "0x1",
					   "a",
					   "--1",
					   "101",
					   "-1",
					   "9223372036854775808",
					   "-9223372036854775809",
					   "\t1" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		number = -7;
		const char *problem = quantity_integer(bad[i], 0, 100, &number);
		assert_non_null(problem);
		assert_string_equal(problem, "a whole number from 0 to 100");
		assert_int_equal(number, -7);
	}
}

static void durations_are_written_in_three_digits(void **state)
{
	(void)state;
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0ns" },
		{ 999, "999ns" },
		{ 1000, "1.00us" },
		{ 1240000, "1.24ms" },
		{ 12400000, "12.4ms" },
		{ 124000000, "124ms" },
		{ 1240000000, "1.24s" },
		{ 9994, "9.99us" },
		{ 9999, "10.0us" },
		{ 99960, "100us" },
		{ 999400, "999us" },
		{ 999600, "1.00ms" },
		{ 999999999, "1.00s" },
		{ 3600000000000, "3600s" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[32];
		quantity_format_duration(cases[i].ns, text, sizeof text);
		assert_string_equal(text, cases[i].text);
	}
}

static void sizes_are_written_in_three_digits(void **state)
{
	(void)state;
	static const struct {
		int64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0B" },
		{ 1023, "1023B" },
		{ 1048575, "1.00MiB" }, /* rounded up to the next unit */
		{ 1000, "1000B" },
		{ 1536, "1.50KiB" },
		{ 8053064, "7.68MiB" },
		{ INT64_C(10) << 30, "10.0GiB" },
		{ INT64_C(3) << 40, "3.00TiB" },
		{ INT64_C(5000) << 40, "5000TiB" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[32];
		quantity_format_size(cases[i].bytes, text, sizeof text);
		assert_string_equal(text, cases[i].text);
	}
}

/* ---- histogram ---- */

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void a_quantile_is_told_within_a_thirtysecond(void **state)
{
	(void)state;
	enum { COUNT = 20011 };
	static const uint32_t points[] = { 0, 1, 500000, 900000, 990000, 999000, 999900, 1000000 };
	static uint64_t values[COUNT];
	static struct histogram whole, halves[2];
	struct unit_random random = { unit_seed() };

	for (size_t i = 0; i < COUNT; i++) {
		values[i] = unit_draw(&random) >> unit_below(&random, 64);
		histogram_add(&whole, values[i]);
		histogram_add(&halves[i % 2], values[i]);
	}
	qsort(values, COUNT, sizeof *values, by_size);
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		uint64_t rank = ((uint64_t)COUNT * points[i] + 999999) / 1000000;
		uint64_t exact = values[rank > 0 ? rank - 1 : 0],
			 told = histogram_quantile(&whole, points[i]);
		assert_true(told >= exact);
		assert_true(told - exact <= exact / 32);
	}
	assert_true(histogram_quantile(&whole, 1000000) == values[COUNT - 1]);
	histogram_merge(&halves[0], &halves[1]);
	assert_memory_equal(&halves[0], &whole, sizeof whole);
}

static void a_histogram_takes_the_smallest_and_the_largest(void **state)
{
	(void)state;
	static struct histogram h;

	assert_int_equal(histogram_quantile(&h, 500000), 0);
	histogram_add(&h, 0);
	assert_int_equal(histogram_quantile(&h, 1000000), 0);
	histogram_add(&h, UINT64_MAX);
	assert_true(histogram_quantile(&h, 1000000) == UINT64_MAX);
	assert_int_equal(histogram_quantile(&h, 500000), 0);
	for (unsigned power = 0; power < 64; power++) {
		static struct histogram one;
		memset(&one, 0, sizeof one);
		histogram_add(&one, 1ULL << power);
		assert_true(histogram_quantile(&one, 500000) == 1ULL << power);
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(durations_are_read_in_every_unit),
	cmocka_unit_test(sizes_are_read_in_every_unit),
	cmocka_unit_test(whole_numbers_are_read_within_their_range),
	cmocka_unit_test(durations_are_written_in_three_digits),
	cmocka_unit_test(sizes_are_written_in_three_digits),
	cmocka_unit_test(a_quantile_is_told_within_a_thirtysecond),
	cmocka_unit_test(a_histogram_takes_the_smallest_and_the_largest),
};

UNIT_MAIN(tests)
