/* SPDX-License-Identifier: MIT
 *
 * message.h - one message of a round, whichever door it came by.
 */
#ifndef SOLE_OWNER_MESSAGE_H
#define SOLE_OWNER_MESSAGE_H

#include "owner/core/operations.h"

struct transport_message {
	struct caller caller;
	uint64_t peer;       /* the same for all messages that came by one return path */
	uint64_t connection; /* what it came by; 0 when that has ended, is not known, or is a broker's */
	const uint8_t *body; /* valid until transport_release */
	size_t size;
	bool overlong;       /* frames followed the body, and were dropped */
	bool subscribed;     /* transport_subscribe was called for its connection */
};

/* How much of a round is still free: each door takes of it. */
struct intake {
	size_t messages, bytes;
};

#endif
