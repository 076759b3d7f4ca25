/* SPDX-License-Identifier: MIT
 *
 * log.h - what a program tells people: one line an event, on standard error.
 *
 * Standard output is for data. Where standard error is systemd's journal each line
 * carries its level as "<N>", see sd-daemon(3), in place of the program's name.
 * Messages name the thing and the cause; what the user can do about it stands
 * in the same line.
 */
#ifndef SOLE_COMMON_LOG_H
#define SOLE_COMMON_LOG_H

#include <stdarg.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Call once, first thing in main: it also keeps standard descriptors that the caller
 * closed from becoming sockets. `name` must live as long as the process.
 * Lines less important than `level` are dropped; default LOG_LEVEL_INFO. */
void log_init(const char *name);
void log_set_level(enum log_level level);

/* Hands each finished line, newline included, to `write_line` instead of standard
 * error; NULL goes back. For a program that must not block there. */
void log_redirect(void (*write_line)(const char *line, size_t bytes));

/* Each writes one line with a single write(2); none changes errno. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An errno in words, and what to do about it where that is plain: "Too many open files: raise the limit (ulimit -n, ...)".
 * Valid in this thread until the next call. */
const char *log_cause(int error);

/* Ends the program with `status`; where log_on_leave was given a function, calls that in place of exit(3):
 * for a program that goes on after what would have ended another one. It must not return. */
_Noreturn void leave_program(int status);
void log_on_leave(void (*function)(int status));

/* For start-up only: logs at error level and leaves with `status`, one of
 * <sysexits.h>. Not for anything a peer can cause. */
void fatal(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
