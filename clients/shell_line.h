/* SPDX-License-Identifier: MIT
 *
 * shell_line.h - where `sole shell` has its lines from: a person at a terminal, or a pipe.
 *
 * At a terminal libedit edits the line and keeps those before it; they stand in
 * $XDG_STATE_HOME/sole/history, by default ~/.local/state/sole/history. Tab completes. From anything else lines
 * are read as they are, without a prompt. While it waits, the shell's handle is looked after.
 */
#ifndef SOLE_CLIENTS_SHELL_LINE_H
#define SOLE_CLIENTS_SHELL_LINE_H

#include <stdbool.h>

struct shell_line;

enum shell_line_what {
	SHELL_LINE,        /* a line, without its newline */
	SHELL_INTERRUPTED, /* ^C: what was typed is dropped */
	SHELL_TOO_LONG,    /* a line that cannot be a command: skipped */
	SHELL_FAILED,      /* standard input cannot be read: errno */
	SHELL_END,
};

/* Ends the program where there is no memory. `prompt` must live as long as it. */
struct shell_line *shell_line_new(const char *prompt);
void shell_line_destroy(struct shell_line **line);

/* A person sits there. */
bool shell_line_is_edited(const struct shell_line *line);

/* *text lives until the next call. */
enum shell_line_what shell_line_next(struct shell_line *line, char **text);

/* After something was printed while a person types: draws the line anew. */
void shell_line_redraw(struct shell_line *line);

#endif
