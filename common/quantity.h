/* SPDX-License-Identifier: MIT
 *
 * quantity.h - numbers as people write them: times, sizes, counts.
 *
 * Each function returns NULL and stores the number, or returns a sentence that
 * says what was expected; nothing is stored then. Nothing is rounded and
 * nothing wraps: what does not fit is an error.
 */
#ifndef SOLE_COMMON_QUANTITY_H
#define SOLE_COMMON_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

/* "250us" "1ms" "1.5s" "2min" "1h", "0"; a bare number is seconds, as in sleep(1).
 * Result in nanoseconds, 0 to about 292 years. */
const char *quantity_duration(const char *text, int64_t *ns);

/* "4096" "64KiB" "1MiB" "2GiB"; K, M and G alone mean the same powers of 1024. */
const char *quantity_size(const char *text, int64_t *bytes);

/* A decimal whole number from `least` to `most`, with an optional sign. */
const char *quantity_integer(const char *text, int64_t least, int64_t most, int64_t *number);

/* Writes `ns` in its largest fitting unit, three digits at the most: "1.24ms". */
void quantity_format_duration(int64_t ns, char *text, size_t size);

/* The same for bytes: "7.68MiB". */
void quantity_format_size(int64_t bytes, char *text, size_t size);

#endif
