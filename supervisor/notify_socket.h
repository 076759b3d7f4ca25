/* SPDX-License-Identifier: MIT
 *
 * notify_socket.h - the receiving side of sd_notify(3): one datagram socket for
 * all children, DIR/NAME.notify, which each finds in $NOTIFY_SOCKET.
 *
 * The kernel tells who sent each message (SO_PASSCRED). A message counts for the
 * child whose main process sent it, or in whose session the sender is; all else
 * is dropped and counted, so that one child cannot speak for another.
 */
#ifndef SOLE_SUPERVISOR_NOTIFY_SOCKET_H
#define SOLE_SUPERVISOR_NOTIFY_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

enum { NOTICE_BYTES = 4096 };

/* Makes and binds the socket; a stale file at `path` is replaced, as the lock of
 * the supervisor's name is held. Returns the descriptor, or -1 with errno set. */
int notify_socket_open(const char *path);

/* Takes one message without blocking: NUL-terminated in `text`, its sender in
 * *sender (0: unknown). Descriptors that came with it are closed, which answers
 * sd_notify_barrier(3). Returns 1, 0 when there is none, -1 with errno set. */
int notify_socket_receive(int fd, char text[NOTICE_BYTES + 1], pid_t *sender);

/* Takes the next NAME=VALUE line out of *text and cuts it in two. Returns the
 * name with *value set, or NULL at the end. Lines without '=' are skipped. */
char *notice_next(char **text, char **value);

#endif
