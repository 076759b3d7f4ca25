/* SPDX-License-Identifier: MIT
 *
 * notify_socket.c - receives what children say about themselves.
 */
#include "supervisor/notify_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 64 };

int notify_socket_open(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int on = 1, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	unlink(path);
	mode_t old = umask(0177);
	int failed = bind(fd, (const struct sockaddr *)&address, sizeof address);
	int saved = errno;
	umask(old);
	if (failed != 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
		if (failed == 0)
			saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static void look_at_ancillary(struct msghdr *message, pid_t *sender)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len >= CMSG_LEN(sizeof(struct ucred))) {
			struct ucred credentials;
			memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
			*sender = credentials.pid;
		} else if (c->cmsg_type == SCM_RIGHTS) {
			size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			for (size_t i = 0; i < count; i++) {
				int received;
				memcpy(&received, CMSG_DATA(c) + i * sizeof received, sizeof received);
				close(received);
			}
		}
	}
}

int notify_socket_receive(int fd, char text[NOTICE_BYTES + 1], pid_t *sender)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
	} control;
	struct iovec part = { .iov_base = text, .iov_len = NOTICE_BYTES };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
	};
	ssize_t got;

	*sender = 0;
	do
		got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? 0 : -1;
	look_at_ancillary(&message, sender);
	text[got] = '\0';
	return 1;
}

char *notice_next(char **text, char **value)
{
	while (**text != '\0') {
		char *line = *text, *end = strchrnul(line, '\n'), *equals;
		*text = end + (*end == '\n');
		*end = '\0';
		equals = strchr(line, '=');
		if (equals == NULL)
			continue;
		*equals = '\0';
		*value = equals + 1;
		return line;
	}
	return NULL;
}
