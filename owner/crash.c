/* SPDX-License-Identifier: MIT
 *
 * crash.c - one line when the process crashes, and a note, written by a signal handler: no memory, no stdio.
 *
 * Under a sanitizer the signals of bad accesses are its own: it tells more.
 */
#include "owner/crash.h"
#include "owner/crash_notes.h"
#include "owner/core/execution.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const struct core *volatile watched;
static volatile sig_atomic_t serving, folder = -1;

struct line {
	char text[512];
	size_t size;
};

static void add(struct line *line, const char *text)
{
	while (*text != '\0' && line->size < sizeof line->text - 1)
		line->text[line->size++] = *text++;
}

static void add_number(struct line *line, uint64_t number)
{
	char digits[24], *at = digits + sizeof digits - 1;

	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	add(line, at);
}

static void add_asker(struct line *line, const struct running *running)
{
	if (running->caller != NULL && running->caller->known) {
		add(line, ", asked for by process ");
		add_number(line, (uint64_t)running->caller->pid);
		add(line, " of user ");
		add_number(line, running->caller->uid);
	}
	if (running->session != 0) {
		add(line, ", session ");
		add_number(line, running->session);
	}
	if (running->sequence != 0) {
		add(line, ", sequence ");
		add_number(line, running->sequence);
	}
}

/* For the next owner, see crash_notes.h. Not synced: what a process has written outlives it. */
static bool note(const struct execution_request *request)
{
	const struct crashed_request crashed = crashed_request_of(request);
	const uint64_t numbers[] = { crashed.session, crashed.sequence, (uint64_t)crashed.pid, crashed.digest };
	struct line line = { .size = 0 };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		add(&line, i > 0 ? " " : "");
		add_number(&line, numbers[i]);
	}
	add(&line, "\n");
	int file = openat((int)folder, CRASH_NOTES_NAME, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool noted = file >= 0 && write(file, line.text, line.size) == (ssize_t)line.size;
	if (file >= 0)
		close(file);
	return noted;
}

static const char *end_of(const struct running *running)
{
	if (!serving)
		return ": while what the journal holds was run again; nothing was changed";
	if (folder < 0)
		return ": the state ends with the owner";
	if (running->request != NULL && note(running->request))
		return ": it is not in the journal, nobody was told that it ran, and it is refused when it is asked for again";
	return ": it is not in the journal, and nobody was told that it ran";
}

static void tell(int signal)
{
	const struct running *running = core_running(watched);
	const char *name = sigabbrev_np(signal);
	struct line line = { .size = 0 };

	add(&line, "sole-owner: SIG");
	add(&line, name != NULL ? name : "?");
	if (running->what != NULL) {
		add(&line, " in ");
		add(&line, running->what);
		add(&line, " of ");
		add(&line, core_behaviour(watched)->name);
		add_asker(&line, running);
		add(&line, end_of(running));
	} else {
		add(&line, " outside the operations of ");
		add(&line, core_behaviour(watched)->name);
	}
	line.text[line.size++] = '\n';
	(void)!write(STDERR_FILENO, line.text, line.size);
	/* The action was reset when this one was taken: now it kills. */
	raise(signal);
}

void crash_watch(const struct core *core)
{
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	/* An endless recursion has no stack left. */
	static char space[65536];
	const stack_t stack = { .ss_sp = space, .ss_size = sizeof space };
	struct sigaction action = { .sa_handler = tell, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK | SA_NODEFER) };

	watched = core;
	sigaltstack(&stack, NULL);
	for (size_t i = 0; i < (SANITIZED ? 1 : sizeof signals / sizeof *signals); i++)
		sigaction(signals[i], &action, NULL);
}

void crash_serving(int folder_of_state)
{
	folder = folder_of_state;
	serving = 1;
}
