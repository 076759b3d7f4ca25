/* SPDX-License-Identifier: MIT
 *
 * json.h - bytes as JSON (RFC 8259), for what programs print.
 *
 * Nothing here fails: what could not be written shows when the stream is flushed.
 */
#ifndef SOLE_COMMON_JSON_H
#define SOLE_COMMON_JSON_H

#include <stddef.h>
#include <stdio.h>

/* A string where the bytes are UTF-8, and else {"base64": "..."}. */
void json_bytes(FILE *out, const void *bytes, size_t size);

#endif
