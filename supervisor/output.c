/* SPDX-License-Identifier: MIT
 *
 * output.c - two sinks that never block, and the streams of the children.
 *
 * O_NONBLOCK belongs to the open file, which we share with whoever started us, so
 * it must not be set on what we were given: a pipe or terminal is opened anew
 * through /proc, a socket is written with MSG_DONTWAIT, and a regular file does
 * not block. Where opening anew fails, poll(2) is asked before each small write.
 */
#include "supervisor/output.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIVE_BYTES = 256, DRAIN_BYTES = 64 * 1024, TURN_BYTES = 16 * 1024 };

enum sink_kind { SINK_FILE, SINK_SOCKET, SINK_NONBLOCKING, SINK_POLLED };

struct sink {
	const char *what;
	int fd;
	enum sink_kind kind;
	bool broken;          /* nobody will ever read it */
	struct source room;   /* open while we wait for room */
	size_t used;
	unsigned long dropped;
	char bytes[SINK_BYTES];
};

static struct sink out = { .what = "standard output" }, err = { .what = "standard error" };
static bool terminal;        /* standard error is one */
static bool shared;          /* ... and standard output is the same */
static bool unfinished;      /* the cursor stands behind plain output without a newline */
static bool live_shown;
static char live[LIVE_BYTES];

static void sink_open(struct sink *sink, int fd)
{
	struct stat st;
	char path[64];

	sink->fd = fd;
	sink->room = SOURCE_CLOSED;
	sink->kind = SINK_POLLED;
	if (fstat(fd, &st) != 0) {
		sink->broken = true;
		return;
	}
	if (S_ISREG(st.st_mode)) {
		sink->kind = SINK_FILE;
	} else if (S_ISSOCK(st.st_mode)) {
		sink->kind = SINK_SOCKET;
	} else {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		int fresh = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fresh >= 0) {
			sink->fd = fresh;
			sink->kind = SINK_NONBLOCKING;
		}
	}
}

static ssize_t sink_write_some(struct sink *sink, const char *bytes, size_t size)
{
	if (sink->kind == SINK_SOCKET)
		return send(sink->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sink->kind == SINK_POLLED) {
		struct pollfd p = { .fd = sink->fd, .events = POLLOUT };
		if (poll(&p, 1, 0) != 1) {
			errno = EAGAIN;
			return -1;
		}
		size = size > PIPE_BUF ? PIPE_BUF : size;
	}
	return write(sink->fd, bytes, size);
}

static void sink_flush(void *owner)
{
	struct sink *sink = owner;
	size_t done = 0;

	while (!sink->broken && done < sink->used) {
		ssize_t written = sink_write_some(sink, sink->bytes + done, sink->used - done);
		if (written > 0) {
			done += (size_t)written;
		} else if (written < 0 && errno == EINTR) {
			continue;
		} else if (written < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) {
			break;
		} else if (written < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
			/* A full disk may have room again later; a line is lost until then. */
			sink->dropped++;
			done = sink->used;
		} else {
			sink->broken = true;
		}
	}
	sink->used = sink->broken ? 0 : sink->used - done;
	memmove(sink->bytes, sink->bytes + done, sink->used);
	/* Watched only while something waits: an epoll entry would report the
	 * reader's end for ever. */
	if (sink->used == 0) {
		source_close(&sink->room);
	} else if (sink->room.fd < 0) {
		int copy = fcntl(sink->fd, F_DUPFD_CLOEXEC, 3);
		if (copy >= 0 && source_open(&sink->room, copy, EPOLLOUT, sink_flush, sink) != 0)
			close(copy); /* the next line, or the next turn, tries again */
	}
}

static void sink_put(struct sink *sink, const char *bytes, size_t size)
{
	if (sink->broken)
		return;
	if (size > SINK_BYTES - sink->used) {
		sink->dropped++;
		return;
	}
	memcpy(sink->bytes + sink->used, bytes, size);
	sink->used += size;
}

static void live_erase(void)
{
	if (live_shown)
		sink_put(&err, "\r\033[K", 4);
	live_shown = false;
}

/* What is not plain output begins a line of its own. */
static void finish_line(void)
{
	if (unfinished)
		sink_put(&err, "\n", 1);
	unfinished = false;
}

/* One whole line to standard error, where the live line was. That is drawn again at the
 * end of the turn: once for many lines, and as things stand then. */
static void put_line(const char *line, size_t size)
{
	live_erase();
	finish_line();
	sink_put(&err, line, size);
	sink_flush(&err);
}

/* Bytes to standard output. Where that is the terminal of standard error, they go the way
 * of the lines: two buffers for one screen would mix them up. */
static void put_plain(const char *bytes, size_t size)
{
	struct sink *sink = shared ? &err : &out;

	if (shared) {
		live_erase();
		unfinished = bytes[size - 1] != '\n';
	}
	sink_put(sink, bytes, size);
	sink_flush(sink);
}

static bool same_file(int a, int b)
{
	struct stat a_is, b_is;

	return fstat(a, &a_is) == 0 && fstat(b, &b_is) == 0 && a_is.st_dev == b_is.st_dev &&
	       a_is.st_ino == b_is.st_ino;
}

int output_open(void)
{
	terminal = isatty(STDERR_FILENO) == 1;
	shared = terminal && same_file(STDOUT_FILENO, STDERR_FILENO);
	sink_open(&out, STDOUT_FILENO);
	sink_open(&err, STDERR_FILENO);
	log_redirect(put_line);
	return 0;
}

static void sink_finish(struct sink *sink, int64_t until_ns)
{
	sink_flush(sink);
	while (sink->used > 0) {
		int64_t now = clock_monotonic_ns();
		struct pollfd p = { .fd = sink->fd, .events = POLLOUT };
		if (now >= until_ns || poll(&p, 1, clock_poll_ms(now, until_ns)) < 0)
			break;
		sink_flush(sink);
	}
	source_close(&sink->room);
	if (sink->kind == SINK_NONBLOCKING)
		close(sink->fd);
}

void output_close(int64_t limit_ns)
{
	int64_t until = clock_monotonic_ns() + limit_ns;

	live_erase();
	sink_finish(&out, until);
	sink_finish(&err, until);
	log_redirect(NULL);
}

bool output_is_terminal(void)
{
	return terminal;
}

void output_live(const char *text)
{
	/* Not over lines that still wait: the terminal is slow enough then. */
	if (!terminal || err.used > 0 || (live_shown && strcmp(live, text) == 0))
		return;
	snprintf(live, sizeof live, "%s", text);
	live_erase();
	finish_line();
	sink_put(&err, live, strlen(live));
	live_shown = true;
	sink_flush(&err);
}

bool output_live_shown(void)
{
	return live_shown;
}

static bool tell_drops(struct sink *sink)
{
	if (sink->dropped == 0)
		return false;
	if (sink->used > SINK_BYTES / 2)
		return true;
	unsigned long dropped = sink->dropped;
	sink->dropped = 0;
	log_warn("%lu lines for %s were dropped: it was not read", dropped, sink->what);
	return false;
}

bool output_tell_drops(void)
{
	bool out_left = tell_drops(&out), err_left = tell_drops(&err);

	return out_left || err_left;
}

static void stream_line(struct stream *stream, const char *line, size_t size)
{
	char text[STREAM_BYTES + 128];

	if (stream->plain) {
		put_plain(line, size);
		return;
	}
	int head = snprintf(text, sizeof text, "%s: ", stream->name);
	memcpy(text + head, line, size);
	size_t length = (size_t)head + size;
	if (size == 0 || line[size - 1] != '\n')
		text[length++] = '\n';
	put_line(text, length);
}

/* Passes on the whole lines of the buffer; one longer than the buffer in parts. */
static void stream_lines(struct stream *stream)
{
	char *start = stream->bytes, *end = stream->bytes + stream->used, *newline;

	while ((newline = memchr(start, '\n', (size_t)(end - start))) != NULL) {
		stream_line(stream, start, (size_t)(newline - start) + 1);
		start = newline + 1;
	}
	if (start == stream->bytes && stream->used == sizeof stream->bytes) {
		stream_line(stream, start, stream->used);
		start = end;
	}
	stream->used = (size_t)(end - start);
	memmove(stream->bytes, start, stream->used);
}

/* Returns false at the end of the stream. */
static bool stream_read(struct stream *stream, size_t most)
{
	while (most > 0) {
		size_t room = sizeof stream->bytes - stream->used;
		ssize_t got = read(stream->source.fd, stream->bytes + stream->used,
				   room < most ? room : most);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return true;
		if (got <= 0)
			return false;
		stream->used += (size_t)got;
		most -= (size_t)got;
		stream_lines(stream);
	}
	return true;
}

static void stream_serve(void *owner)
{
	struct stream *stream = owner;

	if (!stream_read(stream, TURN_BYTES))
		stream_close(stream);
}

int stream_open(struct stream *stream, int fd, const char *name, bool plain)
{
	stream->name = name;
	stream->plain = plain;
	stream->used = 0;
	return source_open(&stream->source, fd, EPOLLIN, stream_serve, stream);
}

void stream_drain(struct stream *stream)
{
	if (stream->source.fd >= 0 && !stream_read(stream, DRAIN_BYTES))
		stream_close(stream);
}

void stream_close(struct stream *stream)
{
	if (stream->source.fd < 0)
		return;
	if (stream->used > 0)
		stream_line(stream, stream->bytes, stream->used);
	stream->used = 0;
	source_close(&stream->source);
}
