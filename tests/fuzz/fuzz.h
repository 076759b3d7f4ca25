/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - what the fuzz targets share: the input as a list of steps, and what a target requires.
 *
 * A target includes this, and says LLVMFuzzerTestOneInput. An input is read from the front; at its
 * end everything reads as zero, so that any bytes at all are an input. Whatever a target judges, it judges
 * with `require`, which ends the process where libFuzzer keeps the input. cmocka's assertions, in the
 * kits of tests/lib, do the same here.
 */
#ifndef SOLE_TESTS_FUZZ_H
#define SOLE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define require(condition)                                                                             \
	do {                                                                                           \
		if (!(condition)) {                                                                    \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);        \
			abort();                                                                       \
		}                                                                                      \
	} while (0)

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

static inline struct fuzz_input fuzz_input(const uint8_t *bytes, size_t size)
{
	return (struct fuzz_input){ .at = bytes, .left = size };
}

static inline uint64_t fuzz_number(struct fuzz_input *input, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes && input->left > 0; i++, input->left--)
		v |= (uint64_t)*input->at++ << (8 * i);
	return v;
}

static inline uint8_t fuzz_u8(struct fuzz_input *input)
{
	return (uint8_t)fuzz_number(input, 1);
}

static inline uint16_t fuzz_u16(struct fuzz_input *input)
{
	return (uint16_t)fuzz_number(input, 2);
}

static inline uint64_t fuzz_u64(struct fuzz_input *input)
{
	return fuzz_number(input, 8);
}

/* The next bytes, as many as asked for or are left: they stay where they are. */
static inline const uint8_t *fuzz_bytes(struct fuzz_input *input, size_t *size)
{
	const uint8_t *at = input->at;

	if (*size > input->left)
		*size = input->left;
	if (*size > 0) /* else it may be NULL */
		input->at += *size;
	input->left -= *size;
	return at;
}

/* A copy in memory of just its size, so that the sanitizer sees a step beyond; free() it. */
static inline uint8_t *fuzz_copy(const void *bytes, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	require(copy != NULL);
	if (size > 0)
		memcpy(copy, bytes, size);
	return copy;
}

/* cmocka's assertions abort, as ours do. */
static inline void fuzz_init(void)
{
	setenv("CMOCKA_TEST_ABORT", "1", 1);
}

#endif
