/* SPDX-License-Identifier: MIT
 *
 * accept_gate.c - accept and accept4 for libzmq's I/O thread.
 *
 * A program's own definition of a C library function is used by the shared
 * libraries that it loads, too. These two run in an I/O thread: they touch only
 * atomics.
 */
#include "owner/transport/accept_gate.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int mark = INT_MAX;
static _Atomic uint64_t refused;

static int gated(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
	int fd = (int)syscall(SYS_accept4, listener, address, size, flags);

	if (fd >= atomic_load_explicit(&mark, memory_order_relaxed)) {
		close(fd);
	} else if (fd >= 0 || errno != EMFILE) {
		return fd;
	}
	atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
	errno = ECONNABORTED;
	return -1;
}

__attribute__((visibility("default"))) int accept4(int listener, struct sockaddr *restrict address,
						   socklen_t *restrict size, int flags)
{
	return gated(listener, address, size, flags);
}

__attribute__((visibility("default"))) int accept(int listener, struct sockaddr *restrict address,
						  socklen_t *restrict size)
{
	return gated(listener, address, size, 0);
}

int accept_gate_init(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return INT_MAX;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		getrlimit(RLIMIT_NOFILE, &limit);
	int most = limit.rlim_cur > INT_MAX ? INT_MAX : (int)limit.rlim_cur;
	if (most < ACCEPT_GATE_LEAST) {
		errno = EMFILE;
		return -1;
	}
	int room = most - ACCEPT_GATE_RESERVE;
	atomic_store(&mark, room);
	return room;
}

uint64_t accept_gate_refused(void)
{
	return atomic_load_explicit(&refused, memory_order_relaxed);
}
