/* SPDX-License-Identifier: MIT
 *
 * shell_line.c - lines from a terminal, through libedit, or from a pipe.
 *
 * libedit reads its characters through read_character below, so that the program waits in one place, for the
 * keyboard and the owner at once: a session whose process falls silent would end, and its locks with it.
 */
#include "clients/shell_line.h"

#include "clients/command.h"
#include "clients/complete.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <wchar.h>

enum {
	BUFFER_BYTES = 4096,  /* at first */
	LINE_MOST = 2 << 20,  /* bytes: two of the largest values, quoted */
	HISTORY_MOST = 1000,  /* lines that are offered again */
	HISTORY_FILE_MOST = 4 * HISTORY_MOST, /* lines of the file, before it is written anew */
	SHOWN_MOST = 200,     /* candidates that are listed */
};

struct shell_line {
	const char *prompt;
	EditLine *editor; /* NULL: not a terminal */
	History *history;
	char history_path[PATH_MAX]; /* "": none is kept */
	char *buffer;     /* of a pipe: what has been read and not yet handed out */
	size_t size, used, taken;
	bool over, skipping;
};

/* ---- the history's file ---- */

static bool find_history(char path[PATH_MAX])
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int length;

	if (state != NULL && *state == '/')
		length = snprintf(path, PATH_MAX, "%s/sole/history", state);
	else if (home != NULL && *home == '/')
		length = snprintf(path, PATH_MAX, "%s/.local/state/sole/history", home);
	else
		length = 0;
	return length > 0 && length < PATH_MAX;
}

/* Its folders, where they are missing; of mode 0700, as the base directory specification has it. */
static void make_folders(const char *path)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof folder, "%s", path);
	for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(folder, 0700);
		*slash = '/';
	}
}

/* As vis(3) writes it and libedit reads it back, on a line of its own. */
static void write_kept(FILE *file, const char *text)
{
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
		fprintf(file, *at <= ' ' || *at == '\\' || *at >= 0x7f ? "\\%03o" : "%c", *at);
	putc('\n', file);
}

/* Each shell adds its own lines, so that two at once do not write over each other's. */
static void keep_line(struct shell_line *line, const char *text)
{
	static const char heading[] = "_HiStOrY_V2_\n"; /* without it libedit takes no file for its own */

	if (line->history_path[0] == '\0')
		return;
	int fd = open(line->history_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	FILE *file = fd >= 0 ? fdopen(fd, "a") : NULL;
	if (file != NULL && lseek(fd, 0, SEEK_END) == 0)
		fputs(heading, file);
	if (file != NULL)
		write_kept(file, text);
	if (file == NULL || fclose(file) != 0) {
		log_warn("the history is not kept: cannot write %.400s: %s", line->history_path, strerror(errno));
		line->history_path[0] = '\0';
	}
	if (file == NULL && fd >= 0)
		close(fd);
}

static size_t count_lines(const char *path)
{
	FILE *file = fopen(path, "re");
	size_t lines = 0;

	for (int byte; file != NULL && (byte = getc(file)) != EOF;)
		lines += byte == '\n';
	if (file != NULL)
		fclose(file);
	return lines;
}

static void load_history(struct shell_line *line)
{
	char path[PATH_MAX + 8];
	HistEvent event;

	if (!find_history(line->history_path)) {
		line->history_path[0] = '\0';
		return;
	}
	make_folders(line->history_path);
	history(line->history, &event, H_LOAD, line->history_path);
	if (count_lines(line->history_path) <= HISTORY_FILE_MOST)
		return;
	snprintf(path, sizeof path, "%s.%u", line->history_path, (unsigned)getpid() % 1000000);
	mode_t mask = umask(0077);
	if (history(line->history, &event, H_SAVE, path) < 0 || rename(path, line->history_path) != 0)
		unlink(path);
	umask(mask);
}

/* ---- completing ---- */

/* As the line has to be written so that the word is read back. */
static void quote(const char *word, char *text, size_t room)
{
	size_t used = 0;

	for (const char *at = word; *at != '\0' && used + 2 < room; at++) {
		if (strchr(" '\"\\", *at) != NULL || (*at == '#' && at == word))
			text[used++] = '\\';
		text[used++] = *at;
	}
	text[used] = '\0';
}

static int terminal_width(EditLine *editor)
{
	int columns = 0;

	return el_get(editor, EL_GETTC, "co", &columns) == 0 && columns > 1 ? columns : 80;
}

/* Below the line, in columns as ls(1) has them. */
static void list_candidates(EditLine *editor, const struct candidates *c)
{
	size_t widest = 0, shown = c->count < SHOWN_MOST ? c->count : SHOWN_MOST;

	for (size_t i = 0; i < shown; i++)
		widest = strlen(c->list[i]) > widest ? strlen(c->list[i]) : widest;
	size_t columns = (size_t)terminal_width(editor) / (widest + 2);
	columns = columns > 0 ? columns : 1;
	size_t rows = (shown + columns - 1) / columns;
	putchar('\n');
	for (size_t row = 0; row < rows; row++) {
		for (size_t i = row; i < shown; i += rows)
			printf("%-*s", i + rows < shown ? (int)widest + 2 : 0, c->list[i]);
		putchar('\n');
	}
	if (shown < c->count)
		printf("... and %zu more\n", c->count - shown);
	fflush(stdout);
}

/* Puts `text` in place of the last `bytes` bytes before the cursor. */
static void replace(EditLine *editor, const char *before, size_t bytes, const char *text)
{
	char word[4096];

	snprintf(word, sizeof word, "%.*s", (int)bytes, before);
	size_t characters = mbstowcs(NULL, word, 0);
	if (characters != (size_t)-1 && characters > 0)
		el_deletestr(editor, (int)characters);
	el_insertstr(editor, text);
}

static unsigned char complete(EditLine *editor, int key)
{
	const LineInfo *info = el_line(editor);
	size_t length = (size_t)(info->cursor - info->buffer);
	char line[4096], word[2048], text[4096];
	struct candidates c;
	unsigned char result = CC_ERROR;

	(void)key;
	if (length >= sizeof line)
		return CC_ERROR;
	snprintf(line, sizeof line, "%.*s", (int)length, info->buffer);
	candidates_find(&c, line);
	size_t common = candidates_common(&c);
	if (c.count > 0 && (c.count == 1 || common > strlen(c.word))) {
		snprintf(word, sizeof word, "%.*s", (int)common, c.list[0]);
		quote(word, text, sizeof text - 1);
		if (c.count == 1)
			strcat(text, " ");
		replace(editor, line + c.start, length - c.start, text);
		result = CC_REFRESH;
	} else if (c.count > 1) {
		list_candidates(editor, &c);
		result = CC_REDISPLAY;
	}
	candidates_clear(&c);
	return result;
}

/* ---- a terminal ---- */

static char *give_prompt(EditLine *editor)
{
	static char text[128];
	struct shell_line *line;

	el_get(editor, EL_CLIENTDATA, &line);
	snprintf(text, sizeof text, "%s", line->prompt);
	return text;
}

/* The next byte of the keyboard: 1, 0 at the end, -1. */
static int read_byte(char *byte)
{
	for (;;) {
		int ready = wait_readable(STDIN_FILENO, INT64_MAX);
		if (interrupted() || (ready < 0 && errno != EINTR))
			return -1;
		if (ready <= 0)
			continue;
		ssize_t got = read(STDIN_FILENO, byte, 1);
		if (got >= 0)
			return (int)got;
		if (errno != EINTR && errno != EAGAIN)
			return errno == EIO ? 0 : -1; /* EIO: the terminal is gone */
	}
}

static int read_character(EditLine *editor, wchar_t *character)
{
	mbstate_t state = { 0 };
	char byte;

	(void)editor;
	for (;;) {
		int got = read_byte(&byte);
		if (got <= 0)
			return got;
		size_t taken = mbrtowc(character, &byte, 1, &state);
		if (taken == 0)
			*character = L'\0';
		if (taken == 0 || taken == 1)
			return 1;
		if (taken == (size_t)-1) {
			memset(&state, 0, sizeof state);
			*character = L'?';
			return 1;
		}
	}
}

static void open_editor(struct shell_line *line)
{
	HistEvent event;

	/* Without a locale that knows more than ASCII, what is typed is taken as UTF-8. */
	setlocale(LC_CTYPE, "");
	if (MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	line->editor = el_init("sole", stdin, stdout, stderr);
	line->history = line->editor != NULL ? history_init() : NULL;
	if (line->history == NULL)
		fatal(EX_OSERR, "cannot edit lines on this terminal: give commands from a pipe, or one at a time");
	el_set(line->editor, EL_CLIENTDATA, line);
	el_set(line->editor, EL_PROMPT, give_prompt);
	el_set(line->editor, EL_SIGNAL, 1); /* a signal finds the terminal as it was */
	el_set(line->editor, EL_EDITOR, "emacs");
	el_set(line->editor, EL_GETCFN, read_character);
	el_set(line->editor, EL_HIST, history, line->history);
	/* Not el_set: that keeps copies of the two, which nothing frees. */
	el_wset(line->editor, EL_ADDFN, L"sole-complete", L"Completes the word", complete);
	el_set(line->editor, EL_BIND, "^I", "sole-complete", NULL);
	el_set(line->editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
	el_source(line->editor, NULL); /* ~/.editrc has the last word */
	history(line->history, &event, H_SETSIZE, HISTORY_MOST);
	history(line->history, &event, H_SETUNIQUE, 1);
	load_history(line);
}

static enum shell_line_what edit(struct shell_line *line, char **text)
{
	HistEvent event;
	int count = 0;
	const char *got = el_gets(line->editor, &count);

	if (got == NULL && interrupted()) {
		putchar('\n');
		return SHELL_INTERRUPTED;
	}
	if (got == NULL || count <= 0) {
		putchar('\n');
		return count < 0 ? SHELL_FAILED : SHELL_END;
	}
	size_t length = strcspn(got, "\n");
	char *copy = realloc(line->buffer, length + 1);
	if (copy == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	line->buffer = copy;
	memcpy(copy, got, length);
	copy[length] = '\0';
	*text = copy;
	/* What begins with a blank is not kept, as in bash: a way to type what is secret. */
	if (*copy != '\0' && *copy != ' ') {
		history(line->history, &event, H_ENTER, copy);
		keep_line(line, copy);
	}
	return SHELL_LINE;
}

/* ---- a pipe ---- */

/* False: no more is to be had. */
static bool fill(struct shell_line *line)
{
	if (line->taken > 0)
		memmove(line->buffer, line->buffer + line->taken, line->used - line->taken);
	line->used -= line->taken;
	line->taken = 0;
	if (line->used + 1 >= line->size) {
		line->size *= 2;
		char *grown = realloc(line->buffer, line->size);
		if (grown == NULL)
			fatal(EX_OSERR, "%s", log_cause(ENOMEM));
		line->buffer = grown;
	}
	ssize_t got = read(STDIN_FILENO, line->buffer + line->used, line->size - 1 - line->used);
	if (got > 0)
		line->used += (size_t)got;
	return got > 0;
}

static enum shell_line_what read_line(struct shell_line *line, char **text)
{
	for (;;) {
		char *start = line->buffer + line->taken;
		size_t left = line->used - line->taken;
		char *newline = left > 0 ? memchr(start, '\n', left) : NULL;
		if (newline == NULL && line->over && left > 0)
			newline = start + left; /* the last line may lack it: one byte of room is kept */
		if (newline != NULL) {
			bool skipped = line->skipping, too_long = newline - start > LINE_MOST;
			line->taken += (size_t)(newline - start) + (newline < line->buffer + line->used);
			*newline = '\0';
			*text = start;
			line->skipping = false;
			if (!skipped)
				return too_long ? SHELL_TOO_LONG : SHELL_LINE;
			continue;
		}
		if (line->over)
			return SHELL_END;
		if (left > LINE_MOST) {
			bool told = line->skipping;
			line->taken = line->used;
			line->skipping = true;
			if (!told)
				return SHELL_TOO_LONG;
		}
		int ready = wait_readable(STDIN_FILENO, INT64_MAX);
		if (interrupted())
			return SHELL_INTERRUPTED;
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready < 0)
			return SHELL_FAILED;
		errno = 0;
		if (!fill(line)) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			if (errno != 0)
				return SHELL_FAILED;
			line->over = true;
		}
	}
}

/* ---- both ---- */

struct shell_line *shell_line_new(const char *prompt)
{
	struct shell_line *line = calloc(1, sizeof *line);

	if (line == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	line->prompt = prompt;
	line->size = BUFFER_BYTES;
	line->buffer = malloc(line->size);
	if (line->buffer == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		open_editor(line);
	return line;
}

void shell_line_destroy(struct shell_line **self)
{
	struct shell_line *line = *self;

	if (line->editor != NULL) {
		el_end(line->editor);
		history_end(line->history);
	}
	free(line->buffer);
	free(line);
	*self = NULL;
}

bool shell_line_is_edited(const struct shell_line *line)
{
	return line->editor != NULL;
}

enum shell_line_what shell_line_next(struct shell_line *line, char **text)
{
	return line->editor != NULL ? edit(line, text) : read_line(line, text);
}

void shell_line_redraw(struct shell_line *line)
{
	if (line->editor != NULL)
		el_set(line->editor, EL_REFRESH);
}
