/* SPDX-License-Identifier: MIT
 *
 * output.h - everything that goes to our standard output and standard error:
 * our own log lines, the children's output, the live line of a terminal.
 * When both are one terminal, plain output and lines come in the order they were put.
 *
 * Nobody who does not read them may stop the supervisor: writes do not block,
 * what cannot be written at once waits in a bounded buffer, and what does not
 * fit there is dropped by whole pieces, counted and told.
 */
#ifndef SOLE_SUPERVISOR_OUTPUT_H
#define SOLE_SUPERVISOR_OUTPUT_H

#include "supervisor/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SINK_BYTES = 256 * 1024, STREAM_BYTES = 4096 };

/* Takes over log.h's lines. Call after loop_open(). Returns 0, or -1 with errno set. */
int output_open(void);

/* Writes what is left, for at most `limit_ns`, and gives log.h its lines back. */
void output_close(int64_t limit_ns);

/* True when standard error is a terminal. */
bool output_is_terminal(void);

/* Shows `text`, which is not empty, as the last line of the terminal, below all else.
 * Whatever is put out erases it, until it is shown again: see output_live_shown(). */
void output_live(const char *text);
bool output_live_shown(void);

/* Tells what was dropped, once there is room. Returns true when something is
 * still waiting to be told. */
bool output_tell_drops(void);

/* One pipe from a child. Lines go to standard error with "NAME: " before them,
 * or as they are to standard output when `plain`. `name` must stay valid. */
struct stream {
	struct source source;
	const char *name;
	bool plain;
	size_t used;
	char bytes[STREAM_BYTES];
};

/* Takes over `fd`, the reading end, which must not block. Returns 0, or -1 with
 * errno set; `fd` is not taken then. */
int stream_open(struct stream *stream, int fd, const char *name, bool plain);

/* Reads what is there, bounded by what a pipe holds, so that a child's last words
 * come before its obituary. */
void stream_drain(struct stream *stream);

/* Passes on an unfinished line and closes. Harmless on a closed stream. */
void stream_close(struct stream *stream);

#endif
