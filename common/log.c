/* SPDX-License-Identifier: MIT
 *
 * log.c - one line an event, on standard error, written whole.
 */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static const char *program = "sole";
static enum log_level threshold = LOG_LEVEL_INFO;
static bool to_journal;
static void (*redirected)(const char *line, size_t bytes);
static void (*on_leave)(int status);

/* $JOURNAL_STREAM is "DEVICE:INODE" of the journal's end. A shell below a service hands
 * it on to programs whose standard error is a terminal or a file. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char ours[64];

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return strcmp(stream, ours) == 0;
}

/* A standard descriptor that the caller closed would be the next socket's, and what is
 * printed would go to the peer. Filled the wrong way round, so that its use still fails. */
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

void log_init(const char *name)
{
	program = name;
	to_journal = stderr_is_journal();
	fill_standard_descriptors();
}

void log_set_level(enum log_level level)
{
	threshold = level;
}

void log_redirect(void (*write_line)(const char *line, size_t bytes))
{
	redirected = write_line;
}

static void log_line(enum log_level level, const char *format, va_list arguments)
{
	if (level > threshold)
		return;
	int saved = errno;
	char line[LINE_MAX_BYTES];
	int head = to_journal ? snprintf(line, sizeof line, "<%d>", level)
			      : snprintf(line, sizeof line, "%s: ", program);
	size_t used = (size_t)head;
	int body = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
	if (body > 0)
		used += (size_t)body;
	if (used > sizeof line - 2)
		used = sizeof line - 2;
	/* A message is one line whatever its arguments hold. */
	for (size_t i = (size_t)head; i < used; i++)
		if ((unsigned char)line[i] < ' ' && line[i] != '\t')
			line[i] = '?';
	line[used++] = '\n';
	/* Nothing sensible can be done when even standard error is gone. */
	if (redirected != NULL)
		redirected(line, used);
	else if (write(STDERR_FILENO, line, used) < 0)
		errno = 0;
	errno = saved;
}

#define LOG_FUNCTION(name, level)                                                                  \
	void name(const char *format, ...)                                                         \
	{                                                                                          \
		va_list arguments;                                                                 \
		va_start(arguments, format);                                                       \
		log_line(level, format, arguments);                                                \
		va_end(arguments);                                                                 \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

const char *log_cause(int error)
{
	static _Thread_local char text[160];
	static const struct {
		int error;
		const char *what_to_do;
	} known[] = {
		{ EMFILE, "raise the limit of descriptors (ulimit -n, LimitNOFILE=)" },
		{ ENFILE, "the whole system has no descriptor left: raise fs.file-max, or end other programs" },
		{ ENOMEM, "end other programs, or raise the limit (ulimit -v, MemoryMax=)" },
		{ EAGAIN, "end other programs, or raise the limit of processes (ulimit -u, TasksMax=)" },
		{ ENOSPC, "make room on that disk" },
		{ EDQUOT, "make room, or have the quota raised" },
		{ EROFS, "it is mounted read-only: name another place" },
		{ EACCES, "do it as a user who may, or name another place" },
		{ EPERM, "do it as a user who may" },
		{ ENOENT, "check the name, and that the folder it stands in is there" },
		{ ENOTDIR, "name a folder, and not a file" },
		{ EISDIR, "name a file, and not a folder" },
		{ EADDRINUSE, "another process is there: end it, or name another place" },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (known[i].error != error)
			continue;
		snprintf(text, sizeof text, "%s: %s", strerror(error), known[i].what_to_do);
		return text;
	}
	snprintf(text, sizeof text, "%s", strerror(error));
	return text;
}

void log_on_leave(void (*function)(int status))
{
	on_leave = function;
}

void leave_program(int status)
{
	if (on_leave != NULL)
		on_leave(status);
	exit(status);
}

void fatal(int status, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	log_line(LOG_LEVEL_ERROR, format, arguments);
	va_end(arguments);
	leave_program(status);
}
