/* SPDX-License-Identifier: MIT
 *
 * input.h - random input of the types that a behaviour's table asks for.
 *
 * Random, yet likely to mean something: keys come from a few, so that operations meet, and values that
 * the behaviour has answered (ids, receipts, tokens) are given back to it. All of it follows from the seed.
 */
#ifndef SOLE_OWNER_KIT_INPUT_H
#define SOLE_OWNER_KIT_INPUT_H

#include "owner/core/operations.h"

enum { INPUT_LEARNED = 48, INPUT_BYTES_MOST = 64 };

struct input {
	uint64_t state;
	unsigned keys; /* from how many keys most are drawn */
	int64_t integers[INPUT_LEARNED];
	unsigned integer_count;
	struct {
		uint8_t size, bytes[INPUT_BYTES_MOST];
	} texts[INPUT_LEARNED];
	unsigned text_count;
};

void input_init(struct input *input, uint64_t seed);

/* From 0 on, below `limit`; true once in `times`. */
uint64_t input_below(struct input *input, uint64_t limit);
bool input_once_in(struct input *input, unsigned times);

/* Appends one operation of a payload: its number and its arguments. Sometimes they are not what
 * the table says. */
void input_operation(struct input *input, const struct sole_operation_entry *entry, struct buffer *out);

/* A value that the behaviour has answered. */
void input_learn(struct input *input, const struct value *value);

/* The same operation as a person reads it: transfer "a" "b" 10. Reads one off the payload. */
void operation_describe(const struct sole_behaviour *behaviour, struct wire_reader *payload, char *text, size_t size);

#endif
