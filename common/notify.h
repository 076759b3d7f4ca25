/* SPDX-License-Identifier: MIT
 *
 * notify.h - telling the supervisor: the sd_notify(3) protocol, one datagram a
 * message to $NOTIFY_SOCKET. Works the same under systemd and sole-supervisor;
 * does nothing when neither is there.
 */
#ifndef SOLE_COMMON_NOTIFY_H
#define SOLE_COMMON_NOTIFY_H

#include <stdint.h>

/* Sends newline-separated NAME=VALUE lines: READY=1, STOPPING=1, STATUS=...,
 * WATCHDOG=1, RELOADING=1, X_SOLE_OPS=<operations since start>.
 * Does not block, but for two seconds at the most with READY=1, and never fails loudly:
 * returns 0 when there is nobody to tell or the message went out, else -1 with errno set. */
int notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The watchdog interval asked for by $WATCHDOG_USEC, in nanoseconds, or 0 when
 * none is (or $WATCHDOG_PID names another process). Beat at half of it. */
int64_t notify_watchdog_ns(void);

/* Number of listening descriptors handed over by $LISTEN_FDS (sd_listen_fds(3)),
 * the first being descriptor 3; 0 when none are for this process. Sets
 * close-on-exec on them and unsets the variables. */
int notify_listen_fds(void);

#endif
