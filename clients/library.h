/* SPDX-License-Identifier: MIT
 *
 * library.h - what the library's own files ask of a handle beside sole.h; for nobody else.
 */
#ifndef SOLE_CLIENTS_LIBRARY_H
#define SOLE_CLIENTS_LIBRARY_H

#include "clients/engine.h"

/* As sole_call and sole_submit, for what is asked about an owner. `list` is the item's payload. */
int library_ask(struct sole *handle, enum item_kind kind, const struct value *list, size_t count, int64_t timeout_ns,
		struct sole_reply *reply);
int library_submit(struct sole *handle, enum item_kind kind, const struct value *list, size_t count,
		   int64_t timeout_ns, sole_callback *callback, void *context, uint64_t *request);

/* A reply that no owner gave. */
struct sole_reply library_reply(int code);

void library_random(void *bytes, size_t size);

#endif
