/* SPDX-License-Identifier: MIT
 *
 * zap.h - answers libzmq's question whether the owner of a key may come in (27/ZAP).
 *
 * In the owner's own loop, which waits for one descriptor more. CZMQ's zauth was the other
 * way: it is a thread with a context of its own, and what it knows of keys the owner would
 * have to ask it for at each message. Here a key that is taken away is gone at once.
 */
#ifndef SOLE_OWNER_ZAP_H
#define SOLE_OWNER_ZAP_H

#include "owner/core/counters.h"
#include "owner/transport/keyring.h"

struct zap;

#define ZAP_DOMAIN "sole"

/* To be there before anything listens: where nobody answers, libzmq 4.3 lets every key in. NULL with
 * errno's number. The keyring and the counters must outlive it. */
struct zap *zap_open(void *context, const struct keyring *keyring, struct counters *counters);
void zap_close(struct zap **zap);

/* Readable at a change only: zap_serve after each. */
int zap_descriptor(const struct zap *zap);

/* Answers all that has been asked, as far as a bound; true when there may be more. Never blocks. */
bool zap_serve(struct zap *zap, int64_t now_ns);

/* Tells in the log what is due. Returns when it is again; INT64_MAX: not at all. */
int64_t zap_tend(struct zap *zap, int64_t now_ns);

#endif
