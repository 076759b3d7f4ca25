/* SPDX-License-Identifier: MIT
 *
 * print.h - values on standard output, in the three forms that sole(1) describes.
 *
 * Nothing here fails: what could not be written shows when standard output is flushed.
 */
#ifndef SOLE_CLIENTS_PRINT_H
#define SOLE_CLIENTS_PRINT_H

#include "clients/sole.h"

/* As it is: bytes byte for byte, integers in decimal, none as nothing; a list's items with tabs between. */
void print_raw(struct sole_value value);

/* For a line that has other things on it: control characters and the backslash as \t \n \r \\ or \xHH,
 * so that a tab ends a field and a newline ends a line. `txn` reads these back. */
void print_field(struct sole_value value);

/* JSON: integers are numbers, none is null, lists are arrays; bytes are a string where they are
 * UTF-8, and else {"base64": "..."}. */
void print_json(struct sole_value value);
void print_json_list(const struct sole_list *list);
void print_json_text(const char *text);

/* "17 B", "1.5 KiB", "30 MiB" into `text`. */
void print_format_bytes(uint64_t bytes, char *text, size_t size);

#endif
