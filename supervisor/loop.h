/* SPDX-License-Identifier: MIT
 *
 * loop.h - the one place where the supervisor waits: epoll(7) over sources, each
 * a descriptor with the function that serves it.
 *
 * A source is embedded in what owns it and must stay in place while it is open.
 */
#ifndef SOLE_SUPERVISOR_LOOP_H
#define SOLE_SUPERVISOR_LOOP_H

#include <stdint.h>

struct source {
	int fd; /* -1: closed */
	void (*serve)(void *owner);
	void *owner;
};

#define SOURCE_CLOSED ((struct source){ .fd = -1 })

/* Returns 0, or -1 with errno set. Once in a process. */
int loop_open(void);
void loop_close(void);

/* Watches `fd` for `events` (EPOLLIN, EPOLLOUT). The source owns it from then
 * on. Returns 0, or -1 with errno set; the descriptor is not owned then. */
int source_open(struct source *source, int fd, uint32_t events, void (*serve)(void *owner), void *owner);

/* Stops watching and closes the descriptor. Harmless on a closed source. */
void source_close(struct source *source);

/* Changes what is watched; 0 rests. Returns 0, or -1 with errno set. */
int source_watch(struct source *source, uint32_t events);

/* Waits for at most `timeout_ms` (-1: for ever), stores the time in *now_ns, and
 * serves what is ready, each source at most once. Returns after the first batch. */
void loop_wait(int timeout_ms, int64_t *now_ns);

#endif
