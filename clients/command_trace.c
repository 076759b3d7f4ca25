/* SPDX-License-Identifier: MIT
 *
 * command_trace.c - `sole trace`: requests as they run; `sole slow`: the slowest of them.
 */
#include "clients/command.h"
#include "clients/print.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/quantity.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* ---- a request, in a line ---- */

static void write_time(int64_t wall_us, char text[32])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	size_t used = strftime(text, 32, "%H:%M:%S", &tm);
	snprintf(text + used, 32 - used, ".%06d", (int)(wall_us % 1000000));
}

static void print_name(struct sole_value name)
{
	if (name.type == SOLE_BYTES)
		print_field(name);
	else
		putchar('?');
}

/* "get", or "put+3" of a request of four; the key, cut where the owner has cut it. */
static void print_what(const struct sole_traced *t)
{
	print_name(t->operation);
	if (t->operation_count > 1)
		printf("+%u", t->operation_count - 1);
	putchar('\t');
	if (t->key.type == SOLE_BYTES) {
		print_field(t->key);
		if (t->key_bytes > t->key.size)
			fputs("...", stdout);
	}
}

static void print_traced(const struct sole_traced *t)
{
	char when[32], took[32], ran[32];

	write_time(t->wall_us, when);
	quantity_format_duration(t->took_ns, took, sizeof took);
	quantity_format_duration(t->run_ns, ran, sizeof ran);
	printf("%s\t%d\t%s\t%s\t%s\t", when, t->pid, took, ran, sole_name_of(t->answered));
	print_what(t);
	putchar('\n');
}

static void print_traced_json(const struct sole_traced *t)
{
	printf("{\"wall_us\":%lld,\"took_ns\":%lld,\"run_ns\":%lld,\"together\":%u,\"pid\":%d,\"uid\":%lld,\"session\":%llu,"
	       "\"sequence\":%llu,\"revision\":%llu,\"code\":\"%s\",\"operation\":",
	       (long long)t->wall_us, (long long)t->took_ns, (long long)t->run_ns, t->together, t->pid, (long long)t->uid,
	       (unsigned long long)t->session, (unsigned long long)t->sequence, (unsigned long long)t->revision,
	       sole_name_of(t->answered));
	print_json(t->operation);
	printf(",\"operations\":%u,\"key\":", t->operation_count);
	print_json(t->key);
	printf(",\"key_bytes\":%u}\n", t->key_bytes);
}

/* ---- trace ---- */

struct tracer {
	struct sole *handle;
	bool over;
	int status;
	int64_t told;
	uint64_t dropped;
	unsigned begun;
};

static void end(struct tracer *tracer, int status)
{
	tracer->over = true;
	tracer->status = status;
}

/* Nobody reads any more: that is how a pipeline's reader ends it, so it is no error. */
static void flush_line(struct tracer *tracer)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return;
	if (errno != EPIPE) {
		end(tracer, EX_IOERR);
		return;
	}
	end(tracer, STATUS_DONE);
	clearerr(stdout);
	if (freopen("/dev/null", "w", stdout) == NULL)
		_exit(STATUS_DONE);
}

static void tell_begun(struct tracer *tracer)
{
	if (tracer->begun++ > 0)
		log_warn("the connection was lost: what happened meanwhile is not here");
	else if (settings.verbose)
		log_info("tracing");
}

static void on_traced(struct sole *handle, const struct sole_traced *traced, void *context)
{
	struct tracer *tracer = context;

	if (tracer->over)
		return;
	if (traced->code != SOLE_OK) {
		const struct sole_reply reply = { .outcome = sole_outcome_of(traced->code), .code = traced->code,
						  .text = traced->text };
		end(tracer, tell_failure(handle, &reply));
	} else if (traced->begun) {
		tell_begun(tracer);
	} else if (traced->dropped > 0) {
		tracer->dropped += traced->dropped;
		if (settings.json)
			printf("{\"dropped\":%llu}\n", (unsigned long long)traced->dropped);
		else
			printf("... %llu requests are missing: they came faster than this reads\n",
			       (unsigned long long)traced->dropped);
		flush_line(tracer);
	} else {
		if (settings.json)
			print_traced_json(traced);
		else
			print_traced(traced);
		if (++tracer->told == settings.event_count)
			end(tracer, STATUS_DONE);
	}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Until it is over, told to stop, or nobody reads what it prints. */
static void listen_on(struct tracer *tracer, int signals)
{
	struct stat stat;
	bool pipe = fstat(STDOUT_FILENO, &stat) == 0 && S_ISFIFO(stat.st_mode);
	struct pollfd list[] = { { .fd = sole_descriptor(tracer->handle), .events = POLLIN },
				 { .fd = signals, .events = POLLIN },
				 { .fd = pipe ? STDOUT_FILENO : -1 } };

	if (list[0].fd < 0 || signals < 0)
		fatal(EX_OSERR, "no descriptors are left");
	while (!tracer->over) {
		if (poll(list, 3, -1) < 0 && errno != EINTR)
			fatal(EX_OSERR, "cannot wait: %s", strerror(errno));
		if (list[0].revents != 0) {
			sole_dispatch(tracer->handle);
			flush_line(tracer);
		}
		if (!tracer->over && (list[1].revents != 0 || list[2].revents != 0))
			end(tracer, STATUS_DONE);
	}
}

int command_trace(int count, char **operands)
{
	struct tracer tracer = { 0 };
	const struct sole_trace_filter filter = {
		.operation = settings.operation,
		.key = settings.key != NULL ? sole_text(settings.key) : sole_none(),
		.pid = (int)settings.pid,
		.slower_ns = settings.slower_ns > 0 ? settings.slower_ns : 0,
	};

	(void)count, (void)operands;
	int signals = open_signals();
	tracer.handle = open_handle();
	int status = reach_owner(tracer.handle);
	if (status == STATUS_DONE) {
		int code = sole_trace(tracer.handle, &filter, on_traced, &tracer);
		if (code == SOLE_OK) {
			if (!settings.json)
				puts("TIME\tPID\tTOOK\tRAN\tCODE\tOPERATION\tKEY");
			listen_on(&tracer, signals);
			status = tracer.status;
		} else {
			const struct sole_reply reply = { .outcome = sole_outcome_of(code), .code = code,
							  .text = code == SOLE_TOO_LARGE ? "an operation's name has 63 bytes "
							  "at the most, and a key to trace 64" : sole_text_of(code) };
			status = tell_failure(tracer.handle, &reply);
		}
	}
	if (tracer.dropped > 0)
		log_warn("%llu requests were not told", (unsigned long long)tracer.dropped);
	sole_close(&tracer.handle);
	return status;
}

/* ---- slow ---- */

/* As TRACED has it, see sole.h. */
static bool read_slow(const struct sole_list *list, struct sole_traced *t)
{
	enum { VALUES = 14, OPERATION = 10, OPERATIONS = 11, KEY = 12, KEY_BYTES = 13 };
	const struct sole_value *v = list->values;

	if (list->count < VALUES || v[OPERATIONS].type != SOLE_INTEGER || v[KEY_BYTES].type != SOLE_INTEGER)
		return false;
	for (int i = 0; i < OPERATION; i++)
		if (v[i].type != SOLE_INTEGER)
			return false;
	*t = (struct sole_traced){
		.wall_us = v[0].integer, .took_ns = v[1].integer, .run_ns = v[2].integer, .together = (uint32_t)v[3].integer,
		.pid = (int)v[4].integer, .uid = v[5].integer, .session = (uint64_t)v[6].integer,
		.sequence = (uint64_t)v[7].integer, .revision = (uint64_t)v[8].integer, .answered = (int)v[9].integer,
		.operation = v[OPERATION], .operation_count = (uint32_t)v[OPERATIONS].integer,
		.key = v[KEY], .key_bytes = (uint32_t)v[KEY_BYTES].integer,
	};
	return true;
}

static void print_slow(const struct sole_traced *t)
{
	char when[32], day[16], took[32], ran[32];
	time_t seconds = (time_t)(t->wall_us / 1000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(day, sizeof day, "%Y-%m-%d", &tm);
	write_time(t->wall_us, when);
	quantity_format_duration(t->took_ns, took, sizeof took);
	quantity_format_duration(t->run_ns, ran, sizeof ran);
	printf("%s\t%s\t%s %s\t%d\t%s\t", ran, t->took_ns > 0 ? took : "-", day, when, t->pid, sole_name_of(t->answered));
	print_what(t);
	if (t->together > 1)
		printf("\t(with %u others)", t->together - 1);
	putchar('\n');
}

static int print_list(const struct sole_reply *reply)
{
	const struct sole_list *head = reply->results;
	struct sole_traced t;
	char after[32];

	if (reply->result_count < 1 || head->count < 3 || head->values[0].type != SOLE_INTEGER ||
	    head->values[1].type != SOLE_INTEGER || head->values[2].type != SOLE_INTEGER)
		return bad_answer();
	quantity_format_duration(head->values[0].integer, after, sizeof after);
	if (settings.json)
		printf("{\"slow_after_ns\":%lld,\"kept_at_most\":%lld,\"total\":%lld}\n", (long long)head->values[0].integer,
		       (long long)head->values[1].integer, (long long)head->values[2].integer);
	else if (head->values[2].integer == 0)
		printf("no request has run for %s or longer\n", after);
	else
		printf("%lld requests have run for %s or longer; the slowest:\nRAN\tTOOK\tWHEN\tPID\tCODE\tOPERATION\tKEY\n",
		       (long long)head->values[2].integer, after);
	for (size_t i = 1; i < reply->result_count && (settings.limit == 0 || (int64_t)i <= settings.limit); i++) {
		if (!read_slow(&reply->results[i], &t))
			return bad_answer();
		if (settings.json)
			print_traced_json(&t);
		else
			print_slow(&t);
	}
	return STATUS_DONE;
}

int command_slow(int count, char **operands)
{
	struct sole *handle = open_handle();
	struct sole_reply reply;

	(void)count, (void)operands;
	int status = sole_slow(handle, settings.reset, 0, &reply) == SOLE_OK ? print_list(&reply) : tell_failure(handle, &reply);
	close_handle(&handle);
	return status;
}
