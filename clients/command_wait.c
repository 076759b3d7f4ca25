/* SPDX-License-Identifier: MIT
 *
 * command_wait.c - waiting for an owner's answer: in one go, or in the shell until ^C.
 *
 * A subcommand that runs alone asks with the library's blocking calls, and ^C ends the process. In the
 * shell ^C must end the request only: there a request is submitted, and withdrawn when SIGINT has come;
 * the owner's answer to that is the truth. What is asked about the owner itself changes nothing, so it is
 * asked in short turns between which SIGINT is looked for.
 */
#include "clients/command.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURN_NS (200 * NS_PER_MS)

/* A reply that outlives its callback, in one piece of memory. */
struct answer {
	bool there;
	struct sole_reply reply;
	void *memory;
};

static _Atomic(struct sole *) shared;
static atomic_bool sigint, begins_line;
static struct answer answer;

/* ---- the shell's handle ---- */

static void on_sigint(int number)
{
	int saved = errno;

	(void)number;
	atomic_store(&sigint, true);
	/* Behind the ^C that the terminal shows. */
	if (atomic_load(&begins_line) && write(STDERR_FILENO, "\n", 1) < 0)
		errno = saved;
	errno = saved;
	sole_interrupt(atomic_load(&shared));
}

void share_handle(struct sole *handle)
{
	/* What stdio writes meanwhile goes on; poll(2) ends whatever this says. */
	const struct sigaction action = { .sa_handler = on_sigint, .sa_flags = SA_RESTART };

	atomic_store(&shared, handle);
	if (handle != NULL)
		sigaction(SIGINT, &action, NULL);
	else
		free(answer.memory);
}

struct sole *shared_handle(void)
{
	return atomic_load(&shared);
}

bool in_shell(void)
{
	return shared_handle() != NULL;
}

void close_handle(struct sole **handle)
{
	if (*handle != shared_handle())
		sole_close(handle);
	*handle = NULL;
}

bool interrupted(void)
{
	return atomic_load(&sigint);
}

void forget_interrupt(void)
{
	atomic_store(&sigint, false);
}

void interrupt_begins_line(bool yes)
{
	atomic_store(&begins_line, yes);
}

/* ---- keeping an answer ---- */

static bool has_content(const struct sole_value *value)
{
	return value->type == SOLE_BYTES || value->type == SOLE_LIST;
}

static size_t size_of_answer(const struct sole_reply *reply)
{
	size_t size = strlen(reply->text) + 1 + reply->result_count * sizeof(struct sole_list);

	for (size_t i = 0; i < reply->result_count; i++) {
		const struct sole_list *list = &reply->results[i];
		size += list->count * sizeof *list->values;
		for (size_t k = 0; k < list->count; k++)
			size += has_content(&list->values[k]) ? list->values[k].size : 0;
	}
	return size;
}

/* Lists first, then their values, then the bytes. */
static void copy_answer(const struct sole_reply *reply, void *memory)
{
	struct sole_list *lists = memory;
	struct sole_value *values = (struct sole_value *)(void *)(lists + reply->result_count);
	char *bytes = (char *)values;

	for (size_t i = 0; i < reply->result_count; i++)
		bytes += reply->results[i].count * sizeof *values;
	answer.reply = *reply;
	answer.reply.results = reply->result_count > 0 ? lists : NULL;
	for (size_t i = 0; i < reply->result_count; i++) {
		lists[i] = (struct sole_list){ values, reply->results[i].count };
		for (size_t k = 0; k < lists[i].count; k++, values++) {
			*values = reply->results[i].values[k];
			if (!has_content(values))
				continue;
			if (values->size > 0)
				memcpy(bytes, values->bytes, values->size);
			values->bytes = bytes;
			bytes += values->size;
		}
	}
	answer.reply.text = strcpy(bytes, reply->text);
}

static void set_answer(int code)
{
	answer.reply = (struct sole_reply){ .outcome = sole_outcome_of(code), .code = code,
					    .text = sole_text_of(code), .failed_operation = -1 };
}

static void on_answer(struct sole *handle, const struct sole_reply *reply, void *context)
{
	(void)handle, (void)context;
	free(answer.memory);
	answer.memory = malloc(size_of_answer(reply));
	if (answer.memory != NULL)
		copy_answer(reply, answer.memory);
	else
		set_answer(SOLE_PROTOCOL); /* it may have run: no code may say that it did not */
	answer.there = true;
}

/* ---- asking ---- */

static int64_t time_limit(void)
{
	return settings.timeout_ns == 0 ? SOLE_FOREVER : settings.timeout_ns;
}

/* Until what was submitted with `code` has its answer. */
static int await(struct sole *handle, int code, uint64_t request, struct sole_reply *reply)
{
	bool withdrawn = false;

	if (code != SOLE_OK)
		set_answer(code);
	while (code == SOLE_OK && !answer.there) {
		if (interrupted() && !withdrawn) {
			sole_cancel(handle, request);
			withdrawn = true;
		}
		sole_run(handle, SOLE_FOREVER, -1);
	}
	*reply = answer.reply;
	return reply->code;
}

int call_owner(struct sole *handle, const struct sole_operation *operations, size_t count, int flags,
	       struct sole_reply *reply)
{
	uint64_t request = 0;

	if (!in_shell())
		return sole_call(handle, operations, count, flags, time_limit(), reply);
	answer.there = false;
	int code = sole_submit(handle, operations, count, flags, time_limit(), on_answer, NULL, &request);
	return await(handle, code, request, reply);
}

int call_outcome(struct sole *handle, uint64_t session, uint64_t sequence, struct sole_reply *reply)
{
	uint64_t request = 0;

	answer.there = false;
	int code = sole_submit_outcome(handle, session, sequence, time_limit(), on_answer, NULL, &request);
	return await(handle, code, request, reply);
}

static bool came_too_late(int code)
{
	return code == SOLE_UNREACHABLE || code == SOLE_TIMED_OUT || code == SOLE_EXPIRED;
}

int ask_owner(struct sole *handle, owner_question *question, struct sole_reply *reply)
{
	int64_t limit_ns = time_limit(), start_ns = clock_monotonic_ns();

	if (!in_shell())
		return question(handle, limit_ns, reply);
	for (;;) {
		int64_t left_ns = limit_ns == SOLE_FOREVER ? TURN_NS : start_ns + limit_ns - clock_monotonic_ns();
		bool last = left_ns <= TURN_NS && limit_ns != SOLE_FOREVER;
		left_ns = left_ns > TURN_NS ? TURN_NS : left_ns > 1 ? left_ns : 1;
		int code = question(handle, left_ns, reply);
		if (!came_too_late(code) || last)
			return code;
		if (interrupted()) {
			set_answer(SOLE_CANCELLED);
			*reply = answer.reply;
			return SOLE_CANCELLED;
		}
	}
}

/* ---- waiting for something else ---- */

int wait_readable(int fd, int64_t until_ns)
{
	struct sole *handle = shared_handle();
	struct pollfd list[] = { { .fd = fd, .events = POLLIN },
				 { .fd = handle != NULL ? sole_descriptor(handle) : -1, .events = POLLIN } };

	for (;;) {
		int found = poll(list, 2, clock_poll_ms(clock_monotonic_ns(), until_ns));
		if (found > 0 && list[1].revents != 0)
			sole_dispatch(handle);
		if (found < 0 || list[0].revents != 0 || clock_monotonic_ns() >= until_ns)
			return found < 0 ? -1 : list[0].revents != 0;
	}
}
