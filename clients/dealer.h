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
#include "common/buffer.h"

#include <zmq.h>

struct dealer {
	void *socket, *monitor;
	int descriptor, monitor_descriptor; /* readable: see what has happened */
	bool up;
	/* There may be something to receive, or an event, although no descriptor says so: libzmq
	 * writes to one only when its reader has looked and found nothing. */
	bool recheck, recheck_monitor;
	zmq_msg_t body;
};

/* 0, or -1 with errno, EINVAL: `endpoint` is none that libzmq can use. Nothing is left open then. */
int dealer_open(struct dealer *dealer, const char *endpoint);
void dealer_close(struct dealer *dealer);

/* What has happened since; call until CONNECTION_NOTHING, as receiving may until it gives nothing. */
enum connection_event dealer_event(struct dealer *dealer);

/* As stream.h has them. */
bool dealer_send(struct dealer *dealer, const struct buffer *body);
bool dealer_receive(struct dealer *dealer, const uint8_t **body, size_t *size);
enum { DEALER_WAIT_MS = 20 };
bool dealer_wait(struct dealer *dealer, const uint8_t **body, size_t *size);

#endif
