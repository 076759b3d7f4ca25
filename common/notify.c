/* SPDX-License-Identifier: MIT
 *
 * notify.c - the sd_notify(3) and sd_listen_fds(3) protocols, without libsystemd.
 */
#include "common/notify.h"
#include "common/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_FDS_START = 3, LISTEN_FDS_MAX = 64 };

int notify(const char *format, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char message[1024];

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return 0;
	size_t length = strlen(path);
	if (length >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';

	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	if (size < 0 || (size_t)size >= sizeof message) {
		errno = EMSGSIZE;
		return -1;
	}

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* A supervisor that does not read must not hang the one it supervises. Only readiness is
	 * worth a wait: it is told once, and the start of others depends on it. */
	bool worth_a_wait = strstr(message, "READY=1") != NULL;
	struct timeval limit = { .tv_sec = 2 };
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	socklen_t address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	ssize_t sent = sendto(fd, message, (size_t)size, MSG_NOSIGNAL | (worth_a_wait ? 0 : MSG_DONTWAIT),
			      (const struct sockaddr *)&address, address_size);
	int saved = errno;
	close(fd);
	errno = saved;
	return sent == size ? 0 : -1;
}

int64_t notify_watchdog_ns(void)
{
	const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	int64_t us, id;

	if (interval == NULL || quantity_integer(interval, 1, INT64_MAX / 1000, &us) != NULL)
		return 0;
	if (pid != NULL &&
	    (quantity_integer(pid, 1, INT32_MAX, &id) != NULL || id != (int64_t)getpid()))
		return 0;
	return us * 1000;
}

int notify_listen_fds(void)
{
	const char *count_text = getenv("LISTEN_FDS"), *pid_text = getenv("LISTEN_PID");
	int64_t count = 0, pid;

	if (count_text == NULL || pid_text == NULL)
		return 0;
	if (quantity_integer(pid_text, 1, INT32_MAX, &pid) != NULL || pid != (int64_t)getpid() ||
	    quantity_integer(count_text, 1, LISTEN_FDS_MAX, &count) != NULL)
		count = 0;
	for (int fd = LISTEN_FDS_START; fd < LISTEN_FDS_START + count; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return (int)count;
}
