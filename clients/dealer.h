/* SPDX-License-Identifier: MIT
 *
 * dealer.h - the way to an owner on another host: libzmq's DEALER over TCP, and its monitor.
 *
 * libzmq reconnects, in a thread of its own; this module tells when. Its descriptors tell
 * edges, not levels: `recheck` says where one must look all the same.
 */
#ifndef SOLE_CLIENTS_DEALER_H
#define SOLE_CLIENTS_DEALER_H

#include "clients/connection_event.h"
#include "clients/sole.h"
#include "common/buffer.h"

#include <zmq.h>

enum { DEALER_WHY_MAX = 192 };

struct dealer {
	void *socket, *monitor;
	int descriptor, monitor_descriptor; /* readable: see what has happened */
	bool up;
	/* There may be something to receive, or an event, although no descriptor says so: libzmq
	 * writes to one only when its reader has looked and found nothing. */
	bool recheck, recheck_monitor;
	int64_t again_ns;         /* refused: when to connect anew; INT64_MAX: libzmq does that by itself */
	unsigned failures;        /* handshakes, since one was well */
	bool failure_told;        /* and libzmq said why: the end of that connection is told next */
	char hindrance[DEALER_WHY_MAX]; /* why the last handshake failed; "" after one that did not */
	zmq_msg_t body;
};

/* SOLE_OK, or a code with a sentence in `why`. Nothing is left open then. The options' keys are used, see curve.h. */
int dealer_open(struct dealer *dealer, const char *endpoint, const struct sole_options *options, char *why, size_t why_size);
void dealer_close(struct dealer *dealer);

/* What has happened since; call until CONNECTION_NOTHING, as receiving may until it gives nothing. */
enum connection_event dealer_event(struct dealer *dealer);

/* Connects anew after an owner that refused, once it is time for that. */
void dealer_tend(struct dealer *dealer, const char *endpoint, int64_t now_ns);

/* As stream.h has them. */
bool dealer_send(struct dealer *dealer, const struct buffer *body);
bool dealer_receive(struct dealer *dealer, const uint8_t **body, size_t *size);
enum { DEALER_WAIT_MS = 20 };
bool dealer_wait(struct dealer *dealer, const uint8_t **body, size_t *size);

#endif
