/* SPDX-License-Identifier: MIT
 *
 * command_lookback.c - outcome, backup: what became of a command, and the whole state in a file.
 */
#include "clients/command.h"

#include "clients/print.h"
#include "common/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- outcome ---- */

uint64_t number_of(const char *text, const char *what)
{
	char *end = NULL;

	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end != '\0' || errno != 0 || number == 0)
		fatal(EX_USAGE, "'%.40s' is not a %s", text, what);
	return number;
}

static const struct {
	const char *name, *words;
	int status;
} fates[] = {
	[SOLE_FATE_RAN] = { "ran", "it ran, once", STATUS_DONE },
	[SOLE_FATE_REFUSED] = { "refused", "it did not run and will not", STATUS_NO },
	[SOLE_FATE_WAITING] = { "waiting", "it waits at the owner for its turn", STATUS_NOT_YET },
	[SOLE_FATE_NOT_COME] = { "not-come", "it has not run so far: it has not come to the owner, and may still", STATUS_NOT_YET },
	[SOLE_FATE_NEVER_CAME] = { "never-came", "it did not run and will not: its session ended without it", STATUS_NO },
	[SOLE_FATE_UNKNOWN] = { "unknown", NULL, STATUS_UNKNOWN },
};

/* Why it was refused, in the owner's words where they were kept: [operation, text, ...]. */
static struct sole_value reason_of(const struct sole_fate *fate)
{
	if (fate->result_count > 0 && fate->results[0].count > 1 && fate->results[0].values[1].type == SOLE_BYTES)
		return fate->results[0].values[1];
	return sole_text(fate->text);
}

static bool has_reason(const struct sole_fate *fate)
{
	return fate->fate == SOLE_FATE_REFUSED || fate->fate == SOLE_FATE_UNKNOWN;
}

static void print_fate_json(const struct sole_fate *fate)
{
	printf("{\"fate\":\"%s\",\"code\":\"%s\"", fates[fate->fate].name, sole_name_of(fate->code));
	if (has_reason(fate)) {
		fputs(",\"text\":", stdout);
		print_json(reason_of(fate));
	}
	if (fate->revision != 0)
		printf(",\"revision\":%llu,\"history\":\"%016llx\"", (unsigned long long)fate->revision,
		       (unsigned long long)fate->history);
	if (fate->fate == SOLE_FATE_RAN && fate->result_count > 0) {
		fputs(",\"results\":[", stdout);
		for (size_t i = 0; i < fate->result_count; i++) {
			fputs(i > 0 ? "," : "", stdout);
			print_json_list(&fate->results[i]);
		}
		putchar(']');
	}
	puts("}");
}

static void print_fate(const struct sole_fate *fate)
{
	fputs(fates[fate->fate].name, stdout);
	if (fates[fate->fate].words != NULL)
		printf(": %s", fates[fate->fate].words);
	if (fate->fate == SOLE_FATE_RAN)
		printf(", at revision %llu", (unsigned long long)fate->revision);
	if (has_reason(fate)) {
		printf(": %s: ", sole_name_of(fate->code));
		print_field(reason_of(fate));
	}
	putchar('\n');
	for (size_t i = 0; fate->fate == SOLE_FATE_RAN && i < fate->result_count; i++) {
		for (size_t k = 0; k < fate->results[i].count; k++) {
			fputs(k > 0 ? "\t" : "", stdout);
			print_field(fate->results[i].values[k]);
		}
		putchar('\n');
	}
}

int command_outcome(int count, char **operands)
{
	uint64_t session = number_of(operands[0], "session: a number from 1 on, as --verbose prints it"),
		 sequence = number_of(operands[1], "sequence: a number from 1 on, as --verbose prints it");
	struct sole *handle = open_handle();
	struct sole_reply answer;
	struct sole_fate fate;
	int status;

	(void)count;
	call_outcome(handle, session, sequence, &answer);
	int code = sole_fate_of(&answer, &fate);
	if (code == SOLE_OK) {
		settings.json ? print_fate_json(&fate) : print_fate(&fate);
		status = fates[fate.fate].status;
	} else {
		/* It is the question that was refused, or not answered: of the command nothing is known. */
		const struct sole_reply reply = { .outcome = sole_outcome_of(code), .code = code, .text = fate.text };
		status = tell_failure(handle, &reply);
	}
	close_handle(&handle);
	return status;
}

/* ---- backup ---- */

enum { PATH_BYTES = 4096, TRIES = 3 };

struct target {
	const char *path; /* NULL: standard output */
	char unfinished[PATH_BYTES];
	int file;
	int error;        /* errno of a write that failed */
	unsigned long long bytes;
};

static int write_part(void *context, const void *bytes, size_t size)
{
	struct target *target = context;
	const char *at = bytes;

	if (interrupted())
		return -1;
	target->bytes += size;
	while (size > 0) {
		ssize_t written = write(target->file, at, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			target->error = written < 0 ? errno : EIO;
			return -1;
		}
		at += written;
		size -= (size_t)written;
	}
	return 0;
}

static bool is_still_named(const struct target *target)
{
	struct stat named, open;

	return stat(target->unfinished, &named) == 0 && fstat(target->file, &open) == 0 && named.st_dev == open.st_dev &&
	       named.st_ino == open.st_ino;
}

/* FILE.tmp, for this process alone. One that was left behind is written over. */
static void open_unfinished(struct target *target, const char *path)
{
	int length = snprintf(target->unfinished, sizeof target->unfinished, "%s.tmp", path);

	if (length >= (int)sizeof target->unfinished)
		fatal(EX_USAGE, "the name of the file is too long: give a shorter one");
	target->path = path;
	target->file = open(target->unfinished, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (target->file < 0)
		fatal(EX_CANTCREAT, "cannot write %s: %s", target->unfinished, log_cause(errno));
	if (flock(target->file, LOCK_EX | LOCK_NB) != 0 || !is_still_named(target))
		fatal(EX_CANTCREAT, "another backup is being written to %s: wait for it, or name another file",
		      target->unfinished);
}

static bool begin_again(struct target *target)
{
	target->bytes = 0;
	return ftruncate(target->file, 0) == 0 && lseek(target->file, 0, SEEK_SET) == 0;
}

/* On disk under its name, or not at all. */
static bool finish(const struct target *target)
{
	char folder[PATH_BYTES];
	struct stat st;

	if (fstat(target->file, &st) != 0 || (unsigned long long)st.st_size != target->bytes ||
	    fsync(target->file) != 0 || rename(target->unfinished, target->path) != 0)
		return false;
	snprintf(folder, sizeof folder, "%s", target->path);
	char *slash = strrchr(folder, '/');
	snprintf(slash != NULL ? slash + 1 : folder, 2, ".");
	int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = at >= 0 && fsync(at) == 0;
	if (at >= 0)
		close(at);
	return synced;
}

/* A connection that is lost takes the backup with it: where what was written can be taken back, another one
 * begins. */
static int fetch(struct sole *handle, struct target *target, struct sole_reply *reply)
{
	for (int i = 1; sole_backup(handle, write_part, target, 0, reply) == SOLE_CONFLICT && i < TRIES; i++)
		if (target->path == NULL || !begin_again(target))
			break;
	return reply->code;
}

static int tell_unwritten(const struct target *target, int error)
{
	log_error("cannot write %s: %s", target->path != NULL ? target->unfinished : "to standard output", strerror(error));
	return EX_IOERR;
}

int command_backup(int count, char **operands)
{
	struct target target = { .file = STDOUT_FILENO };
	struct sole_reply reply;
	int status = STATUS_DONE;

	(void)count;
	if (strcmp(operands[0], "-") != 0)
		open_unfinished(&target, operands[0]);
	else if (isatty(STDOUT_FILENO))
		fatal(EX_USAGE, "a backup is not for a terminal: name a file, or send standard output elsewhere");
	struct sole *handle = open_handle();
	if (target.path != NULL && !begin_again(&target))
		status = tell_unwritten(&target, errno);
	else if (fetch(handle, &target, &reply) == SOLE_CANCELLED && target.error != 0)
		status = tell_unwritten(&target, target.error);
	else if (reply.code != SOLE_OK)
		status = tell_failure(handle, &reply);
	else if (target.path != NULL && !finish(&target))
		status = tell_unwritten(&target, errno);
	if (status != STATUS_DONE && target.path != NULL)
		unlink(target.unfinished);
	if (status == STATUS_DONE && settings.verbose)
		log_info("%llu bytes", target.bytes);
	close_handle(&handle);
	return status;
}
