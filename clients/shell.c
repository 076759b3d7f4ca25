/* SPDX-License-Identifier: MIT
 *
 * shell.c - `sole shell`: subcommands and the owner's operations, line by line, on one connection and in one
 * session.
 *
 * A line is what would stand behind `sole` on a command line, split into words as `sole txn` splits them; a first
 * word that is no subcommand is an operation of the owner. What would end the program (a mistake in
 * the line, above all) ends the line: fatal() comes back to run_line. ^C withdraws the request under way, see
 * command_wait.c. None of this may be left by a jump from inside the library, so no callback may call fatal().
 */
#include "clients/command.h"
#include "clients/command_run.h"
#include "clients/command_script.h"
#include "clients/shell_line.h"

#include "common/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { STATUS_INTERRUPTED = 130 }; /* 128 and SIGINT, as shells have it */

struct shell {
	struct settings start; /* what the shell itself was given */
	struct sole *handle;
	struct shell_line *line;
	struct script script;
	bool has_session;
	bool over;
	int status;            /* of the last line that did not succeed */
};

static struct shell shell;
static jmp_buf back;

/* ---- one line ---- */

/* The status goes through setjmp, where 0 means something else. */
static _Noreturn void leave_line(int status)
{
	longjmp(back, status + 1);
}

static void close_line(void)
{
	script_clear(&shell.script);
}

static bool asks_for_help(const struct script_line *line)
{
	return line->word_count > 1 && strncmp(line->words[line->word_count - 1].text, "--help", 6) == 0;
}

/* A subcommand; a lock without a command to run is the operation of that name. */
static bool is_subcommand(const struct script_line *line)
{
	const struct command *command = command_named(line->words[0].text);
	bool dashes = false;

	for (size_t i = 1; i < line->word_count; i++)
		dashes = dashes || strcmp(line->words[i].text, "--") == 0 || strcmp(line->words[i].text, "--help") == 0;
	return line->words[0].text[0] == '-' || (command != NULL && (command->run != command_lock || dashes));
}

/* Until it has ended; the session lives on meanwhile. */
static int run_apart(const struct script_line *line)
{
	char **words = calloc(line->word_count, sizeof *words);
	int status = 0;

	for (size_t i = 0; words != NULL && i < line->word_count; i++)
		words[i] = (char *)(uintptr_t)line->words[i].text;
	pid_t pid = words != NULL ? run_again("shell", words, (int)line->word_count) : -1;
	int saved = errno, ended = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	free(words);
	if (pid < 0)
		fatal(EX_OSERR, "cannot start it: %s", log_cause(saved));
	while (ended >= 0 && wait_readable(ended, INT64_MAX) < 0 && errno == EINTR)
		;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ended >= 0)
		close(ended);
	return run_status(status);
}

static int run_words(const struct script_line *line)
{
	static char name[] = "sole", call[] = "call";
	bool operation = !is_subcommand(line);
	const struct command *command = operation ? NULL : command_named(line->words[0].text);
	size_t count = line->word_count + 1 + operation, used = 0;
	static char **arguments;

	if (command != NULL && command_is_apart(command) && !asks_for_help(line))
		return run_apart(line);
	free(arguments); /* of the line before: this one may be left from anywhere */
	arguments = calloc(count + 1, sizeof *arguments);
	if (arguments == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	arguments[used++] = name;
	if (operation)
		arguments[used++] = call;
	for (size_t i = 0; i < line->word_count; i++) {
		const struct script_word *word = &line->words[i];
		if (strlen(word->text) != word->size)
			fatal(EX_USAGE, "a zero byte can stand in a line of txn, or in standard input of sole put, and not here");
		arguments[used++] = (char *)(uintptr_t)word->text; /* it lies in the script's own memory */
	}
	return run_command((int)count, arguments);
}

static int run_line(const char *text)
{
	int left = setjmp(back);

	if (left != 0)
		return left - 1;
	const char *problem = script_read(&shell.script, text, strlen(text));
	if (problem != NULL)
		fatal(EX_USAGE, "%s", strchr(problem, ':') != NULL ? strchr(problem, ':') + 2 : problem);
	if (shell.script.line_count == 0)
		return STATUS_DONE;
	const struct script_line *line = &shell.script.lines[0];
	if (strcmp(line->words[0].text, "exit") == 0 || strcmp(line->words[0].text, "quit") == 0) {
		if (line->word_count > 1)
			fatal(EX_USAGE, "that is too much: %s stands alone", line->words[0].text);
		shell.over = true;
		return STATUS_DONE;
	}
	return run_words(line);
}

static void do_line(const char *text)
{
	settings = shell.start;
	int status = run_line(text);
	close_line();
	settings = shell.start;
	errno = 0;
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (status != EX_IOERR)
			log_error("cannot write to standard output: %s", errno != 0 ? strerror(errno) : "it failed before");
		status = EX_IOERR;
		shell.over = true;
	}
	if (interrupted() && status != STATUS_DONE)
		status = STATUS_INTERRUPTED;
	shell.status = status != STATUS_DONE ? status : shell.status;
}

/* ---- help ---- */

static const char help[] =
	"A line is a subcommand of sole without its name in front (get KEY, put KEY VALUE,\n"
	"txn 'LINE' 'LINE', watch, status ...) or an operation of the owner with its arguments.\n"
	"All of them ask over one connection, in one session: a lock or what else is taken for\n"
	"the session stays until it is given back, or the shell ends.\n"
	"\n"
	"  help COMMAND   what a subcommand takes        ops [NAME]   the owner's operations\n"
	"  Tab            completes a word or lists what it may become\n"
	"  Up, Ctrl-R     lines from before              Ctrl-C       withdraws a request\n"
	"  exit, Ctrl-D   leaves\n"
	"\n"
	"Words with blanks stand in quotes, as in sole txn. # begins a comment.\n";

/* Behind "sole", or in the shell. */
int command_help(int count, char **operands)
{
	static char name[] = "sole", option[] = "--help";
	char *arguments[] = { name, count > 0 ? operands[0] : option, count > 0 ? option : NULL, NULL };

	if (count == 0 && in_shell()) {
		fputs(help, stdout);
		return STATUS_DONE;
	}
	if (count > 0 && in_shell() && command_named(operands[0]) == NULL)
		return command_ops(count, operands);
	return run_command(count > 0 ? 3 : 2, arguments);
}

/* ---- the session ---- */

static void on_session(struct sole *handle, uint64_t session, void *context)
{
	(void)handle, (void)context;
	bool lost = session == 0 && shell.has_session;
	shell.has_session = session != 0;
	if (!lost && !(settings.verbose && session != 0))
		return;
	if (shell_line_is_edited(shell.line))
		putchar('\n'), fflush(stdout);
	if (lost)
		log_warn("the session is lost, and what it held: the owner died, or took this process for dead");
	else
		log_info("session %llu", (unsigned long long)session);
	shell_line_redraw(shell.line);
}

/* The name in front of the cursor. */
static const char *prompt(void)
{
	static char text[96];
	const char *endpoint = sole_endpoint(shell.handle), *slash = strrchr(endpoint, '/');

	if (shell.start.endpoint == NULL && shell.start.owner != NULL)
		snprintf(text, sizeof text, "%.64s> ", shell.start.owner);
	else
		snprintf(text, sizeof text, "%.80s> ", slash != NULL ? slash + 1 : endpoint);
	char *suffix = strstr(text, ".sock> ");
	if (suffix != NULL)
		snprintf(suffix, sizeof text - (size_t)(suffix - text), "> ");
	return text;
}

/* Nobody there yet is told, and is no reason to leave. */
static void greet(void)
{
	if (reach_owner(shell.handle) == STATUS_DONE)
		puts("help tells what can be asked; ^D leaves");
	forget_interrupt();
}

static void loop(void)
{
	char *text = NULL;

	while (!shell.over) {
		forget_interrupt();
		switch (shell_line_next(shell.line, &text)) {
		case SHELL_LINE:
			/* A ^C right behind the line's end is for its request, so it is not forgotten here. */
			interrupt_begins_line(shell_line_is_edited(shell.line));
			do_line(text);
			interrupt_begins_line(false); /* libedit's line has no ^C on it */
			break;
		case SHELL_INTERRUPTED:
			shell.over = !shell_line_is_edited(shell.line);
			shell.status = shell.over ? STATUS_INTERRUPTED : shell.status;
			break;
		case SHELL_TOO_LONG:
			log_error("a line is too long to be a command: skipped");
			shell.status = EX_DATAERR;
			break;
		case SHELL_FAILED:
			log_error("cannot read standard input: %s", strerror(errno));
			shell.status = EX_IOERR;
			shell.over = true;
			break;
		case SHELL_END:
			shell.over = true;
			break;
		}
	}
}

int command_shell(int count, char **operands)
{
	(void)count, (void)operands;
	if (in_shell())
		fatal(EX_USAGE, "this is a shell already: ask away, or leave it with exit");
	shell.start = settings;
	/* As the shell itself was called: what was not given to it, each line may give. */
	if (!settings.timeout_given)
		shell.start.timeout_ns = -1;
	shell.handle = open_own_handle();
	if (sole_descriptor(shell.handle) < 0)
		fatal(EX_OSERR, "no descriptors are left: raise the limit (ulimit -n)");
	shell.line = shell_line_new(prompt());
	share_handle(shell.handle);
	sole_on_session(shell.handle, on_session, NULL);
	log_on_leave(leave_line);
	if (shell_line_is_edited(shell.line))
		greet();
	loop();
	log_on_leave(NULL);
	share_handle(NULL);
	/* A person has seen what failed; a script has to be told. */
	int status = shell_line_is_edited(shell.line) ? STATUS_DONE : shell.status;
	shell_line_destroy(&shell.line);
	sole_close(&shell.handle);
	return status;
}
