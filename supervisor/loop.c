/* SPDX-License-Identifier: MIT
 *
 * loop.c - epoll(7) over sources.
 */
#include "supervisor/loop.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BATCH = 128 };

static int epoll_fd = -1;

int loop_open(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -1 : 0;
}

void loop_close(void)
{
	close(epoll_fd);
	epoll_fd = -1;
}

int source_open(struct source *source, int fd, uint32_t events, void (*serve)(void *owner), void *owner)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return -1;
	*source = (struct source){ .fd = fd, .serve = serve, .owner = owner };
	return 0;
}

void source_close(struct source *source)
{
	if (source->fd < 0)
		return;
	/* Taken out by hand: a copy of the descriptor in another process would
	 * otherwise keep the entry alive. */
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	close(source->fd);
	source->fd = -1;
}

int source_watch(struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

void loop_wait(int timeout_ms, int64_t *now_ns)
{
	struct epoll_event batch[BATCH];
	int count = epoll_wait(epoll_fd, batch, BATCH, timeout_ms);

	if (count < 0 && errno != EINTR) {
		/* Cannot happen with a sound descriptor; must not spin if it does. */
		log_error("cannot wait for events: %s", strerror(errno));
		usleep(100000);
	}
	*now_ns = clock_monotonic_ns();
	/* One that was served may have closed another of the batch. */
	for (int i = 0; i < count; i++) {
		struct source *source = batch[i].data.ptr;
		if (source->fd >= 0)
			source->serve(source->owner);
	}
}
