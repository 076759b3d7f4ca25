/* SPDX-License-Identifier: MIT
 *
 * accept_gate.c - accept and accept4 for libzmq's I/O thread.
 *
 * A program's own definition of a C library function is used by the shared
 * libraries that it loads, too. These two run in an I/O thread: they touch only
 * atomics.
 */
#include "owner/transport/accept_gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int mark = INT_MAX;
static _Atomic uint64_t refused;

/* Those who came by tcp: the I/O thread writes at `came`, the owner's reads at `asked`. */
enum { ARRIVALS = 1024 };
static struct arrival {
	int descriptor;
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} from;
} arrivals[ARRIVALS];
static atomic_uint came, asked;

static void note_arrival(int descriptor, const struct sockaddr *address, socklen_t size)
{
	unsigned at = atomic_load_explicit(&came, memory_order_relaxed);

	if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
		return;
	if (size > sizeof arrivals[0].from || at - atomic_load_explicit(&asked, memory_order_acquire) >= ARRIVALS)
		return;
	arrivals[at % ARRIVALS].descriptor = descriptor;
	memcpy(&arrivals[at % ARRIVALS].from, address, size);
	atomic_store_explicit(&came, at + 1, memory_order_release);
}

static int gated(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
	int fd = (int)syscall(SYS_accept4, listener, address, size, flags);

	if (fd >= atomic_load_explicit(&mark, memory_order_relaxed)) {
		close(fd);
	} else if (fd >= 0 || errno != EMFILE) {
		if (fd >= 0 && address != NULL)
			note_arrival(fd, address, *size);
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

static void write_peer(const struct arrival *arrival, char peer[ACCEPT_GATE_PEER_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (arrival->from.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&arrival->from.six.sin6_addr)) {
		inet_ntop(AF_INET, &arrival->from.six.sin6_addr.s6_addr[12], host, sizeof host);
		snprintf(peer, ACCEPT_GATE_PEER_MAX, "%s:%u", host, ntohs(arrival->from.six.sin6_port));
	} else if (arrival->from.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &arrival->from.six.sin6_addr, host, sizeof host);
		snprintf(peer, ACCEPT_GATE_PEER_MAX, "[%s]:%u", host, ntohs(arrival->from.six.sin6_port));
	} else {
		inet_ntop(AF_INET, &arrival->from.four.sin_addr, host, sizeof host);
		snprintf(peer, ACCEPT_GATE_PEER_MAX, "%s:%u", host, ntohs(arrival->from.four.sin_port));
	}
}

/* Of some that came libzmq does not tell: they had gone before it had looked at them. */
bool accept_gate_peer(int descriptor, char peer[ACCEPT_GATE_PEER_MAX])
{
	unsigned end = atomic_load_explicit(&came, memory_order_acquire);

	for (unsigned at = atomic_load_explicit(&asked, memory_order_relaxed); at != end; at++) {
		if (arrivals[at % ARRIVALS].descriptor != descriptor)
			continue;
		write_peer(&arrivals[at % ARRIVALS], peer);
		atomic_store_explicit(&asked, at + 1, memory_order_release);
		return true;
	}
	peer[0] = '\0';
	return false;
}
