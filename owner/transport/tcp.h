/* SPDX-License-Identifier: MIT
 *
 * tcp.h - the door for other hosts: libzmq's ROUTER on tcp, with CURVE or in the clear.
 *
 * All of libzmq in the owner is behind here. The functions are the transport's of these names, for this door; `index`
 * counts the messages of the last tcp_receive.
 */
#ifndef SOLE_OWNER_TCP_H
#define SOLE_OWNER_TCP_H

#include "common/buffer.h"
#include "owner/core/counters.h"
#include "owner/core/limits.h"
#include "owner/transport/keyring.h"
#include "owner/transport/message.h"

struct tcp;

struct tcp_settings {
	const char *endpoint; /* "tcp://HOST:PORT"; the port may be '*' */
	const struct certificate *certificate; /* the owner's pair of keys, and */
	const struct keyring *keyring;         /* who may come; NULL: everybody, in the clear. Must outlive the door */
	uint64_t most; /* connections */
	const struct limits *limits;
	struct counters *counters;
};

/* 0, or -1 with a sentence in `error`. Starts libzmq's I/O thread: block signals before. */
int tcp_open(struct tcp **tcp, const struct tcp_settings *settings, char *error, size_t error_size);
void tcp_close(struct tcp **tcp, int linger_ms);

/* Where it listens, with the port that the system chose. */
void tcp_endpoint(const struct tcp *tcp, char *endpoint, size_t size);

/* Puts what tells that there is something to do into an epoll set, with `data`. Descriptors tell of changes only: ask
 * tcp_has_input before each wait. False with errno. */
bool tcp_watch(const struct tcp *tcp, int epoll, uint64_t data);
bool tcp_has_input(const struct tcp *tcp);

size_t tcp_receive(struct tcp *tcp, int64_t now_ns, struct intake *left, struct transport_message *messages);
void tcp_reply(struct tcp *tcp, size_t index, const struct buffer *body);
void tcp_release(struct tcp *tcp);
void tcp_subscribe(struct tcp *tcp, uint64_t connection, bool wanted);
bool tcp_ready(const struct tcp *tcp, uint64_t connection);
bool tcp_send(struct tcp *tcp, uint64_t connection, const struct buffer *body);
void tcp_broadcast(struct tcp *tcp, const struct buffer *body);
void tcp_tend(struct tcp *tcp, int64_t now_ns, int64_t *next_ns);
bool tcp_ended(struct tcp *tcp, uint64_t *connection);
unsigned tcp_cut_silent(struct tcp *tcp, int64_t since_ns, bool filling);
unsigned tcp_cut_revoked(struct tcp *tcp);
void tcp_set_most(struct tcp *tcp, uint64_t most);
uint64_t tcp_connections(const struct tcp *tcp);
uint64_t tcp_outbox_bytes(const struct tcp *tcp);

#endif
