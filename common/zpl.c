/* SPDX-License-Identifier: MIT
 *
 * zpl.c - zconfig with line numbers and with all mistakes instead of the first.
 *
 * Two facts of CZMQ 4.2.1 carry this. zconfig makes exactly one item for each
 * line that is neither blank nor a comment, in the order of the lines, so the
 * nth item of a walk through the tree belongs to the nth such line. And on a
 * mistake it prints "... (LINE) TEXT" to standard output and returns NULL: that
 * text is caught, the line replaced by a harmless one, and the text read again.
 */
#include "common/zpl.h"
#include "common/log.h"

#include <ctype.h>
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* What zconfig needs for a file of the largest size, generously. */
enum { ROOM_BYTES = 16 * 1024 * 1024, INDENT = 4 };

/* What zconfig says, and what it means to whoever wrote the line. */
static const struct wording {
	const char *said, *meant;
} wordings[] = {
	{ "indent 4 spaces", "is not indented by 4 spaces a level" },
	{ "indentation error", "is indented below nothing it could belong to" },
	{ "missing", "has a quote that is not closed" },
	{ "'/' not valid", "has a name that starts or ends with '/'" },
	{ "invalid syntax", "is not NAME = VALUE, NAME or a #comment" },
};

static int read_file(const char *path, char **text, struct mistakes *mistakes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		mistakes_add(mistakes, 0, "cannot be read: %s", log_cause(errno));
		return errno == EACCES ? EX_NOPERM : EX_NOINPUT;
	}
	char *buffer = malloc(ZPL_BYTES_MAX + 1);
	size_t used = 0;
	ssize_t got = 0;
	int status = 0;

	while (buffer != NULL && used <= ZPL_BYTES_MAX &&
	       (got = read(fd, buffer + used, ZPL_BYTES_MAX + 1 - used)) > 0)
		used += (size_t)got;
	if (buffer == NULL) {
		mistakes_add(mistakes, 0, "cannot be read: out of memory");
		status = EX_OSERR;
	} else if (got < 0) {
		mistakes_add(mistakes, 0, "cannot be read: %s", log_cause(errno));
		status = EX_NOINPUT;
	} else if (used > ZPL_BYTES_MAX) {
		mistakes_add(mistakes, 0, "is larger than %d KiB", ZPL_BYTES_MAX / 1024);
		status = EX_CONFIG;
	} else {
		buffer[used] = '\0';
		for (size_t i = 0, line = 1; i < used; i++) {
			if (buffer[i] == '\0') {
				mistakes_add(mistakes, (unsigned)line, "has a NUL byte: this is not a text");
				buffer[i] = ' ';
			}
			line += buffer[i] == '\n';
		}
	}
	close(fd);
	if (status != 0)
		free(buffer);
	else
		*text = buffer;
	return status;
}

static char *line_start(char *text, unsigned line)
{
	for (; line > 1 && text != NULL; line--) {
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	return text;
}

/* Puts "$" at the same level in place of a line that cannot be read, or blanks
 * it where its level is what is wrong. */
static void replace_line(char *text, unsigned line, bool blank)
{
	char *start = line_start(text, line);
	if (start == NULL)
		return;
	size_t length = strcspn(start, "\n"), indent = strspn(start, " ");

	memset(start, ' ', length);
	indent -= indent % INDENT;
	if (!blank && indent < length)
		start[indent] = '$';
}

/* One attempt. On a mistake returns NULL with what zconfig said in `said`. */
static zconfig_t *parse(const char *text, char *said, size_t size)
{
	char *caught = NULL;
	size_t caught_size = 0;
	FILE *stream = open_memstream(&caught, &caught_size);
	said[0] = '\0';
	if (stream == NULL)
		return NULL;
	/* glibc documents stdout as a variable that may be assigned to. */
	FILE *real = stdout;
	stdout = stream;
	zconfig_t *tree = zconfig_str_load(text);
	stdout = real;
	fclose(stream);
	snprintf(said, size, "%s", caught != NULL ? caught : "");
	free(caught);
	return tree;
}

/* Finds the line in "... (LINE) TEXT"; 0 when there is none. */
static unsigned told_line(const char *said, const char **text)
{
	const char *at = strstr(said, "(zconfig): (");
	char *end;
	if (at == NULL)
		return 0;
	unsigned long line = strtoul(at + strlen("(zconfig): ("), &end, 10);
	if (line == 0 || line > ZPL_BYTES_MAX || strncmp(end, ") ", 2) != 0)
		return 0;
	*text = end + 2;
	return (unsigned)line;
}

static zconfig_t *parse_all(char *text, struct mistakes *mistakes)
{
	char said[512];
	const char *what = "";

	/* Each turn takes one line out, and a file has a bounded number. */
	for (int turns = 0; turns <= ZPL_BYTES_MAX; turns++) {
		zconfig_t *tree = parse(text, said, sizeof said);
		if (tree != NULL)
			return tree;
		unsigned line = told_line(said, &what);
		if (line == 0 || mistakes->untold > 0)
			break;
		const char *meant = "is not allowed";
		for (size_t i = 0; i < sizeof wordings / sizeof *wordings; i++)
			if (strncmp(what, wordings[i].said, strlen(wordings[i].said)) == 0)
				meant = wordings[i].meant;
		const char *start = line_start(text, line);
		if (start != NULL && start[strspn(start, " ")] == '\t')
			meant = "is indented by a tab: use 4 spaces a level";
		mistakes_add(mistakes, line, "the line %s", meant);
		replace_line(text, line, strncmp(what, "indentation", 11) == 0);
	}
	mistakes_add(mistakes, 0, "cannot be parsed to its end");
	return NULL;
}

/* The next line from *at on that makes an item; counts *line along. */
static bool next_item_line(const char **at, unsigned *line)
{
	while (**at != '\0') {
		const char *c = *at;
		size_t length = strcspn(c, "\n");
		*at += length + (c[length] == '\n');
		(*line)++;
		while (*c != '\n' && isspace((unsigned char)*c))
			c++;
		if (*c != '\n' && *c != '\0' && *c != '#')
			return true;
	}
	return false;
}

struct walk {
	struct zpl *zpl;
	size_t room;
	const char *at;
	unsigned line;
};

/* Called by zconfig for each item, parents first; level 0 is its root. */
static int take_item(zconfig_t *item, void *argument, int level)
{
	struct walk *walk = argument;

	if (level == 0)
		return 0;
	if (walk->zpl->count == walk->room || !next_item_line(&walk->at, &walk->line))
		return -1;
	const char *value = zconfig_value(item);
	walk->zpl->items[walk->zpl->count++] = (struct zpl_item){
		.line = walk->line,
		.level = (unsigned)level - 1,
		.name = zconfig_name(item),
		.value = value == NULL ? "" : value,
	};
	return 0;
}

int zpl_load(struct zpl *zpl, const char *path, struct mistakes *mistakes)
{
	char *text = NULL;

	*zpl = (struct zpl){ 0 };
	int status = read_file(path, &text, mistakes);
	if (status != 0)
		return status;
	/* zconfig asserts that it gets its memory. A program that reads its
	 * file again must not die of that: see first whether there is enough. */
	void *volatile room = malloc(ROOM_BYTES); /* volatile: or the pair is optimised away */
	free(room);
	size_t lines = 1;
	for (const char *c = text; *c != '\0'; c++)
		lines += *c == '\n';
	zpl->items = calloc(lines, sizeof *zpl->items);
	if (room == NULL || zpl->items == NULL) {
		mistakes_add(mistakes, 0, "cannot be read: out of memory");
		free(text);
		return EX_OSERR;
	}
	zconfig_t *tree = parse_all(text, mistakes);
	struct walk walk = { .zpl = zpl, .room = lines, .at = text };
	if (tree == NULL)
		status = EX_CONFIG;
	else if (zconfig_execute(tree, take_item, &walk) != 0) {
		mistakes_add(mistakes, 0, "is read differently by CZMQ than by us: please report it");
		status = EX_SOFTWARE;
	}
	zpl->tree = tree;
	free(text);
	return status;
}

void zpl_clear(struct zpl *zpl)
{
	zconfig_t *tree = zpl->tree;

	zconfig_destroy(&tree);
	free(zpl->items);
	*zpl = (struct zpl){ 0 };
}
