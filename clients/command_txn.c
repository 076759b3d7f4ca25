/* SPDX-License-Identifier: MIT
 *
 * command_txn.c - `sole txn`: a script of operations as one request, of which all take effect or
 * none does; with a line `otherwise`, one half or the other.
 */
#include "clients/command.h"
#include "clients/print.h"
#include "clients/signature.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Operations of one request, in the order of the script's lines. */
struct transaction {
	struct script script;
	struct sole_operation *operations; /* one a line */
	struct sole_value *arguments;
	bool *is_none;
	size_t argument_count, otherwise; /* the line that divides it, or line_count */
	bool has_otherwise, query;
	int input_status; /* of a script that is wrong: EX_USAGE or EX_DATAERR */
};

static void transaction_clear(struct transaction *t)
{
	script_clear(&t->script);
	free(t->operations);
	free(t->arguments);
	free(t->is_none);
}

/* Arguments are lines as if they had come from standard input. */
static char *join_lines(int count, char **operands)
{
	size_t size = 0, used = 0;

	for (int i = 0; i < count; i++)
		size += strlen(operands[i]) + 1;
	char *text = malloc(size);
	if (text == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	for (int i = 0; i < count; i++)
		used += (size_t)sprintf(text + used, "%s%s", operands[i], i + 1 < count ? "\n" : "");
	return text;
}

static void transaction_read(struct transaction *t, int count, char **operands)
{
	char *joined = count > 0 ? join_lines(count, operands) : NULL;
	struct sole_value text = joined != NULL ? sole_text(joined) : read_standard_input();
	size_t words = 0;

	t->input_status = count > 0 ? EX_USAGE : EX_DATAERR;
	const char *problem = script_read(&t->script, text.bytes, text.size);
	free(joined);
	if (problem != NULL)
		fatal(t->input_status, "%s", problem);
	if (t->script.line_count == 0)
		fatal(t->input_status,
		      "the script has no operation: give one a line, such as: put apples 12");
	for (size_t i = 0; i < t->script.line_count; i++)
		words += t->script.lines[i].word_count;
	t->operations = calloc(t->script.line_count, sizeof *t->operations);
	t->arguments = calloc(words, sizeof *t->arguments);
	t->is_none = calloc(words, sizeof *t->is_none);
	t->otherwise = t->script.line_count;
	if (t->operations == NULL || t->arguments == NULL || t->is_none == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
}

static bool is_word(const struct script_word *word, const char *text)
{
	return !word->quoted && word->size == strlen(text) && memcmp(word->text, text, word->size) == 0;
}

static int bad_line(const struct transaction *t, const struct script_line *line, const char *what)
{
	log_error("line %u: %s", line->number, what);
	return t->input_status;
}

/* One line becomes the operation at `index`. STATUS_DONE, or the exit status. */
static int compile_line(struct transaction *t, const struct sole_reply *description, size_t index)
{
	const struct script_line *line = &t->script.lines[index];
	struct signature signature;
	char what[SIGNATURE_WHAT_BYTES];

	if (is_word(&line->words[0], "otherwise")) {
		if (line->word_count > 1 || t->has_otherwise)
			return bad_line(t, line, "'otherwise' stands alone on a line, and once");
		t->has_otherwise = true;
		t->otherwise = index;
		t->operations[index] = (struct sole_operation){ .number = SOLE_OPERATION_OTHERWISE };
		return STATUS_DONE;
	}
	int status = signature_find(description, line->words[0].text, line->number, &signature);
	if (status != STATUS_DONE)
		return status;
	size_t count = line->word_count - 1;
	struct sole_value *arguments = &t->arguments[t->argument_count];
	bool *is_none = &t->is_none[t->argument_count];
	for (size_t i = 0; i < count; i++)
		is_none[i] = is_word(&line->words[i + 1], none_operand);
	if (signature_arguments(&signature, line->words + 1, is_none, count, arguments, what) != NULL)
		return bad_line(t, line, what);
	if (count > UINT16_MAX)
		return bad_line(t, line, "that is too much");
	t->argument_count += count;
	t->query = t->query && signature.query;
	t->operations[index] = (struct sole_operation){ signature.number, (uint16_t)count, arguments };
	return STATUS_DONE;
}

static int compile(struct transaction *t, const struct sole_reply *description)
{
	int status = STATUS_DONE;

	t->query = true;
	for (size_t i = 0; i < t->script.line_count && status == STATUS_DONE; i++)
		status = compile_line(t, description, i);
	return status;
}

/* Which half ran, and where its results are. False: the answer is not one of such a request. */
static bool find_half(const struct transaction *t, const struct sole_reply *reply, int64_t *half,
		      size_t *first, size_t *count)
{
	const struct sole_list *mark = reply->results;

	*half = 1;
	if (t->has_otherwise) {
		if (reply->result_count == 0 || mark->count != 1 || mark->values[0].type != SOLE_INTEGER)
			return false;
		*half = mark->values[0].integer;
	}
	*first = *half == 2 ? t->otherwise + 1 : 0;
	*count = *half == 2 ? t->script.line_count - *first : t->otherwise;
	return (*half == 1 || *half == 2) && reply->result_count == *count + t->has_otherwise;
}

/* The lines of the script that ran, each with its results. */
static int print_transaction(const struct transaction *t, const struct sole_reply *reply)
{
	size_t first, count;
	int64_t half;

	if (!find_half(t, reply, &half, &first, &count))
		return bad_answer();
	const struct sole_list *results = reply->results + t->has_otherwise;
	if (settings.json)
		printf("{\"half\":%lld,\"revision\":%llu,\"results\":[", (long long)half,
		       (unsigned long long)reply->revision);
	else if (half == 2)
		puts("otherwise");
	for (size_t i = 0; i < count; i++) {
		if (settings.json) {
			fputs(i > 0 ? "," : "", stdout);
			print_json_list(&results[i]);
			continue;
		}
		fputs(t->script.lines[first + i].words[0].text, stdout);
		for (size_t k = 0; k < results[i].count; k++) {
			putchar('\t');
			print_field(results[i].values[k]);
		}
		putchar('\n');
	}
	if (settings.json)
		puts("]}");
	for (size_t i = first; i < first + count; i++)
		if (signature_warn_of_session(t->operations[i].number, t->script.lines[i].words[0].text))
			break;
	return half == 2 ? STATUS_NO : STATUS_DONE;
}

/* Nothing ran. Without an otherwise a condition that does not hold is a "no", as in `sole cas`. */
static int tell_transaction_failure(const struct transaction *t, const struct sole *handle,
				    const struct sole_reply *reply)
{
	size_t failed = reply->failed_operation >= 0 ? (size_t)reply->failed_operation : SIZE_MAX;

	if (failed >= t->script.line_count)
		return tell_failure(handle, reply);
	unsigned line = t->script.lines[failed].number;
	bool no = reply->code == SOLE_CONFLICT && !t->has_otherwise;
	if (!no)
		log_error("refused: %s: line %u: %s", sole_name_of(reply->code), line, reply->text);
	else if (!settings.quiet)
		log_error("conflict: line %u: %s", line, reply->text);
	if (json_failure(reply->code, reply->text, line))
		puts("}");
	return no ? STATUS_NO : STATUS_REFUSED;
}

int command_txn(int count, char **operands)
{
	struct transaction t = { 0 };
	struct sole_reply reply;

	transaction_read(&t, count, operands);
	struct sole *handle = open_handle();
	int status = ask_owner(handle, sole_describe, &reply) == SOLE_OK ? compile(&t, &reply)
								 : tell_failure(handle, &reply);
	if (status == STATUS_DONE) {
		call_owner(handle, t.operations, t.script.line_count,
			   (t.query ? SOLE_QUERY : 0) | (t.has_otherwise ? SOLE_OTHERWISE : 0), &reply);
		tell_revision(&reply);
		status = reply.outcome == SOLE_DONE ? print_transaction(&t, &reply)
						    : tell_transaction_failure(&t, handle, &reply);
	}
	close_handle(&handle);
	transaction_clear(&t);
	return status;
}
