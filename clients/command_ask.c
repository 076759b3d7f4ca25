/* SPDX-License-Identifier: MIT
 *
 * command_ask.c - asking an owner, for every subcommand that does: operands become values,
 * and an answer that is not what was asked for becomes one line and an exit status.
 */
#include "clients/command.h"
#include "clients/print.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/quantity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { VALUE_MAX_BYTES = 1 << 20 };

/* ---- values ---- */

/* A value that is wholly an integer's canonical decimal is that integer, so that what
 * was put is what get prints: 007 and +7 stay bytes. */
bool is_integer(const char *text, int64_t *integer)
{
	char canonical[24];

	if (quantity_integer(text, INT64_MIN, INT64_MAX, integer) != NULL)
		return false;
	snprintf(canonical, sizeof canonical, "%lld", (long long)*integer);
	return strcmp(canonical, text) == 0;
}

struct sole_value read_standard_input(void)
{
	static char bytes[VALUE_MAX_BYTES + 1];
	static bool done;
	size_t size = 0;

	if (in_shell())
		fatal(EX_USAGE, "'-' is standard input, from which the shell reads its commands: give the value itself");
	if (done)
		fatal(EX_USAGE, "'-' stands twice: standard input can be read once");
	done = true;
	while (size < sizeof bytes) {
		ssize_t got = read(STDIN_FILENO, bytes + size, sizeof bytes - size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			fatal(EX_IOERR, "cannot read standard input: %s", log_cause(errno));
		if (got == 0)
			return sole_bytes(bytes, (uint32_t)size);
		size += (size_t)got;
	}
	fatal(EX_DATAERR, "standard input is larger than %d bytes, the most a message can carry: put it in parts, under several keys",
	      VALUE_MAX_BYTES);
}

struct sole_value value_of(const char *text)
{
	int64_t integer;

	if (strcmp(text, "-") == 0)
		return read_standard_input();
	if (!settings.bytes && is_integer(text, &integer))
		return sole_integer(integer);
	return sole_text(text);
}

int64_t milliseconds_of(int64_t ns, const char *what)
{
	if (ns < NS_PER_MS || ns % NS_PER_MS != 0)
		fatal(EX_USAGE, "%s takes whole milliseconds, from 1ms on", what);
	return ns / NS_PER_MS;
}

/* ---- answers that are not what was asked for ---- */

/* What to do about a code; NULL where its text says enough. */
static const char *advice(int code)
{
	switch (code) {
	case SOLE_NO_OPERATION:
		return "`sole ops` lists what the owner does";
	case SOLE_MALFORMED:
	case SOLE_VERSION:
	case SOLE_PROTOCOL:
		return "use programs of one version";
	case SOLE_INVALID:
		return "`sole ops` lists what each operation takes";
	case SOLE_DENIED:
		return "ask as a user whom they allow it, or see ACCESS in sole-owner(8)";
	case SOLE_READ_ONLY:
		return "`sole read-only off` has it take commands again";
	case SOLE_BUSY:
		return "ask again in a moment";
	case SOLE_EXPIRED:
		return "allow more time with --timeout";
	case SOLE_TOO_LARGE:
		return "`sole-owner --check-config` lists an owner's limits";
	case SOLE_LEAVING:
		return "ask again when it is back";
	case SOLE_WRONG_TYPE:
		return "`sole get` shows it; put replaces it";
	case SOLE_NO_MEMORY:
		return "delete keys, or give the owner more memory";
	case SOLE_DISK:
		return "`sole doctor` looks at the owner's disk";
	case SOLE_LOCAL_MEMORY:
	case SOLE_SYSTEM:
		return "end other programs, or raise the limits (ulimit -a)";
	case SOLE_FULL:
		return "delete keys, or raise the owner's limit";
	case SOLE_SESSION_FORGOTTEN:
	case SOLE_REPLY_FORGOTTEN:
	case SOLE_OWNER_DIED:
	case SOLE_TIMED_OUT:
	case SOLE_CLOSED:
		return "look at the state before asking again";
	default:
		return NULL;
	}
}

int status_of(int code)
{
	switch (code) {
	case SOLE_UNREACHABLE:
		return EX_UNAVAILABLE;
	case SOLE_USAGE:
		return EX_USAGE;
	case SOLE_LOCAL_MEMORY:
	case SOLE_SYSTEM:
		return EX_OSERR;
	case SOLE_TOO_OLD:
		return STATUS_TOO_OLD;
	default:
		break;
	}
	switch (sole_outcome_of(code)) {
	case SOLE_DONE:
		return STATUS_DONE;
	case SOLE_REFUSED:
		return STATUS_REFUSED;
	case SOLE_UNKNOWN:
		break;
	}
	return STATUS_UNKNOWN;
}

/* What to do about it, of a command that may have run. */
static const char *advice_about(const struct sole_reply *reply)
{
	static char text[96];

	if (reply->outcome != SOLE_UNKNOWN || reply->sequence == 0 || reply->code == SOLE_OWNER_DIED)
		return advice(reply->code);
	snprintf(text, sizeof text, "`sole outcome %llu %llu` may tell what became of it",
		 (unsigned long long)reply->session, (unsigned long long)reply->sequence);
	return text;
}

bool json_failure(int code, const char *text, unsigned line)
{
	if (!settings.json)
		return false;
	fputs("{\"error\":", stdout);
	print_json_text(sole_name_of(code));
	printf(",\"outcome\":\"%s\",\"text\":", sole_outcome_of(code) == SOLE_UNKNOWN ? "unknown" : "refused");
	print_json_text(text);
	if (line > 0)
		printf(",\"line\":%u", line);
	return true;
}

int tell_failure(const struct sole *handle, const struct sole_reply *reply)
{
	const char *what_to_do = advice_about(reply);

	if (reply->code == SOLE_UNREACHABLE) {
		char limit[32] = "any time";
		if (settings.timeout_ns > 0)
			quantity_format_duration(settings.timeout_ns, limit, sizeof limit);
		bool told = strcmp(reply->text, sole_text_of(reply->code)) != 0;
		log_error("refused: %s: no owner answered at %s within %s: %s", sole_name_of(reply->code), sole_endpoint(handle),
			  limit, told ? reply->text : "start one with sole-owner, or allow more time with --timeout; `sole doctor` looks for what is wrong");
	} else {
		log_error("%s: %s: %s%s%s", reply->outcome == SOLE_UNKNOWN ? "unknown" : "refused",
			  sole_name_of(reply->code), reply->text, what_to_do ? ": " : "",
			  what_to_do ? what_to_do : "");
	}
	if (json_failure(reply->code, reply->text, 0)) {
		if (reply->sequence != 0)
			printf(",\"session\":%llu,\"sequence\":%llu", (unsigned long long)reply->session,
			       (unsigned long long)reply->sequence);
		puts("}");
	}
	return status_of(reply->code);
}

int bad_answer(void)
{
	log_error("the owner's answer is not one that `%s` gives: use programs of one version, and `sole ops` to "
		  "see what the owner holds", current_name());
	if (json_failure(SOLE_PROTOCOL, sole_text_of(SOLE_PROTOCOL), 0))
		puts("}");
	return EX_PROTOCOL;
}

void no_line(const char *format, const char *text)
{
	if (!settings.quiet)
		log_error(format, text);
}

void tell_revision(const struct sole_reply *reply)
{
	if (settings.verbose && reply->incarnation != 0)
		log_info("revision %llu, incarnation %016llx, history %016llx%s",
			 (unsigned long long)reply->revision, (unsigned long long)reply->incarnation,
			 (unsigned long long)reply->history, reply->durable ? ", durable" : "");
	if (settings.verbose && reply->sequence != 0)
		log_info("session %llu, sequence %llu", (unsigned long long)reply->session,
			 (unsigned long long)reply->sequence);
}

/* Before the first command goes: whoever reads it can ask for its outcome, whatever becomes of this process. */
static void tell_session(struct sole *handle, uint64_t session, void *context)
{
	(void)handle, (void)context;
	if (session != 0)
		log_info("session %llu", (unsigned long long)session);
}

/* ---- asking ---- */

struct sole *open_handle(void)
{
	return shared_handle() != NULL ? shared_handle() : open_own_handle();
}

struct sole *open_own_handle(void)
{
	struct sole *handle;
	const char *why = NULL;
	struct sole_options wanted = {
		.owner = settings.owner,
		.endpoint = settings.endpoint,
		.server_key = settings.server_key,
		.client_key = settings.client_key,
		.program = "sole",
		.timeout_ns = settings.timeout_ns == 0 ? SOLE_FOREVER : settings.timeout_ns,
	};

	int code = sole_open_why(&handle, &wanted, &why);
	if (code != SOLE_OK)
		fatal(status_of(code), "%s", why != NULL ? why : sole_text_of(code));
	if (settings.verbose) {
		log_info("endpoint %s", sole_endpoint(handle));
		sole_on_session(handle, tell_session, NULL);
	}
	return handle;
}

int reach_owner(struct sole *handle)
{
	struct sole_reply reply;

	return ask_owner(handle, sole_ping, &reply) == SOLE_OK ? STATUS_DONE : tell_failure(handle, &reply);
}

int ask(const struct question *question)
{
	struct sole *handle = open_handle();
	const struct sole_value *value = NULL;
	struct sole_reply reply;
	int status;

	call_owner(handle, question->operations, question->count, question->flags | SOLE_TABLE, &reply);
	if (reply.result_count > 0 && reply.results[0].count > 0)
		value = &reply.results[0].values[0];
	tell_revision(&reply);
	if (reply.outcome == SOLE_DONE || (reply.code == SOLE_CONFLICT && question->takes_conflict))
		status = question->answer(question, &reply, value);
	else
		status = tell_failure(handle, &reply);
	close_handle(&handle);
	return status;
}

int ask_one(uint16_t number, uint16_t count, const struct sole_value *arguments, int flags, const char *key,
	    answer_function *answer)
{
	const struct sole_operation operation = { number, count, arguments };

	return ask(&(struct question){ .operations = &operation, .count = 1, .flags = flags, .key = key,
				       .answer = answer });
}
