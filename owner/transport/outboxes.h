/* SPDX-License-Identifier: MIT
 *
 * outboxes.h - replies that wait for peers that do not read.
 *
 * What a peer does not take at once is kept in its outbox, in order, in bytes that
 * are bounded for it (max-outbox) and for all (max-outboxes); beyond that it is
 * dropped and counted: a command's reply is stored in its session, and a query is
 * asked again. Whatever leaves the owner leaves through here. Never blocks.
 */
#ifndef SOLE_OWNER_OUTBOXES_H
#define SOLE_OWNER_OUTBOXES_H

#include "common/buffer.h"
#include "owner/core/counters.h"
#include "owner/transport/envelope.h"
#include "owner/core/limits.h"
#include "owner/transport/routing_id.h"

struct outboxes;

/* NULL when there is no memory. Both must outlive the outboxes, as must the sockets that paths lead to. */
struct outboxes *outboxes_new(const struct limits *limits, struct counters *counters);
void outboxes_destroy(struct outboxes **outboxes);

/* Sends `body` along `path` (of at least one frame), behind what waits for that peer. False: it was
 * dropped, because the peer does not read and nothing more may be kept for it. */
bool outboxes_send(struct outboxes *outboxes, struct return_path *path, const struct buffer *body,
		   int64_t now_ns);

/* Sends what waits as far as peers take it, when that is due. Returns when it is due again,
 * INT64_MAX when nothing waits. */
int64_t outboxes_retry(struct outboxes *outboxes, int64_t now_ns);

/* Whether anything waits for the peer that `router` knows by that routing id. */
bool outboxes_waiting(const struct outboxes *outboxes, void *router, const void *id, size_t id_size);

/* What waits for all of them, with what keeping it takes. */
uint64_t outboxes_bytes(const struct outboxes *outboxes);

#endif
