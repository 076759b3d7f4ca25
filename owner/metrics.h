/* SPDX-License-Identifier: MIT
 *
 * metrics.h - GET /metrics on a port of 127.0.0.1, for Prometheus and whoever reads as it does.
 *
 * HTTP is libmicrohttpd's, without a thread of its own: its descriptor belongs into the caller's
 * epoll, and everything happens in metrics_tend, which never blocks. So the numbers are those between
 * two rounds. Few connections at once, each with a time limit: a scraper that does not read holds up
 * nobody, and costs one answer of memory.
 */
#ifndef SOLE_OWNER_METRICS_H
#define SOLE_OWNER_METRICS_H

#include "common/buffer.h"

#include <stddef.h>
#include <stdint.h>

struct metrics;

struct metrics_settings {
	int64_t port;  /* 0: any that is free */
	/* Replaces `out` by the text to answer with. */
	void (*write)(void *context, struct buffer *out);
	void *context;
};

/* NULL with a sentence in `error`. */
struct metrics *metrics_open(const struct metrics_settings *settings, char *error, size_t error_size);
void metrics_close(struct metrics **metrics);

/* For epoll, readable when there is something to do. */
int metrics_descriptor(const struct metrics *metrics);
int metrics_port(const struct metrics *metrics);

/* Does what can be done now. *next_ns: when to call again at the latest, on the clock of `now_ns`. */
void metrics_tend(struct metrics *metrics, int64_t now_ns, int64_t *next_ns);

#endif
