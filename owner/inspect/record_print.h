/* SPDX-License-Identifier: MIT
 *
 * record_print.h - a record as a person or a program reads it: one line.
 */
#ifndef SOLE_OWNER_RECORD_PRINT_H
#define SOLE_OWNER_RECORD_PRINT_H

#include "owner/state/journal.h"
#include "owner/core/record.h"

#include <stdio.h>

struct record_printer;

/* `behaviour` words the operations while it is the one that records are of (told by START records, and from
 * the beginning by `name`; its end is told by `name_size`). NULL: no memory. */
struct record_printer *record_printer_new(const struct sole_behaviour *behaviour, bool json);
void record_printer_destroy(struct record_printer **printer);

/* The behaviour of the records that follow, until a START record tells it. */
void record_printer_set_name(struct record_printer *printer, const void *name, size_t size);

/* Takes notice of what a record says about those behind it; to be called for each, in order. */
void record_printer_follow(struct record_printer *printer, const struct record *record);

/* Prints a line for it, in text or JSON. */
void record_print(struct record_printer *printer, FILE *out, const struct round *round,
		  const struct record *record);

#endif
