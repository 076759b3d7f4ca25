/* SPDX-License-Identifier: MIT
 *
 * command_call.c - operations by name: `sole ops` and `sole call`.
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

/* ---- sole ops ---- */

static void print_json_fields(const char *name, const struct fields *fields)
{
	printf(",\"%s\":[", name);
	for (size_t i = 0; i < fields->count; i++) {
		fputs(i == 0 ? "{\"name\":" : ",{\"name\":", stdout);
		print_json_text(fields->list[i].name);
		fputs(",\"type\":", stdout);
		print_json_text(fields->list[i].type);
		putchar('}');
	}
	putchar(']');
}

static void print_signature_json(const struct signature *signature)
{
	printf("{\"number\":%u,\"name\":", signature->number);
	print_json_text(signature->name);
	printf(",\"kind\":\"%s\"", signature->query ? "query" : "command");
	print_json_fields("arguments", &signature->arguments);
	print_json_fields("results", &signature->results);
	fputs(",\"help\":", stdout);
	print_json(signature->help);
	puts("}");
}

static void print_fields(const struct fields *fields)
{
	for (size_t i = 0; i < fields->count; i++) {
		fputs(i > 0 ? ", " : "", stdout);
		print_field(sole_text(fields->list[i].name));
		putchar(':');
		print_field(sole_text(fields->list[i].type));
	}
}

static void print_signature(const struct signature *signature, int width)
{
	printf("%-7s  ", signature->query ? "query" : "command");
	print_field(sole_text(signature->name));
	printf("%*s", width - (int)strlen(signature->name) + 2, "");
	print_fields(&signature->arguments);
	fputs(signature->results.count > 0 ? signature->arguments.count > 0 ? " -> " : "-> " : "", stdout);
	print_fields(&signature->results);
	printf("\n%*s", 7 + 2 + width + 2, "");
	print_field(signature->help);
	putchar('\n');
}

static int print_operations(const struct sole_reply *reply, const char *only)
{
	struct signature signature;
	int width = 0, status = only != NULL ? STATUS_NO : STATUS_DONE;

	for (size_t i = 0; i < reply->result_count; i++) {
		if (!signature_read(&signature, &reply->results[i]))
			return bad_answer();
		int length = (int)strlen(signature.name);
		width = length > width && (only == NULL || strcmp(only, signature.name) == 0) ? length : width;
	}
	for (size_t i = 0; i < reply->result_count; i++) {
		signature_read(&signature, &reply->results[i]);
		if (only != NULL && strcmp(only, signature.name) != 0)
			continue;
		status = STATUS_DONE;
		if (settings.json)
			print_signature_json(&signature);
		else
			print_signature(&signature, width);
	}
	if (status == STATUS_NO)
		no_line("not found: the owner has no operation '%.60s'", only);
	return status;
}

int command_ops(int count, char **operands)
{
	struct sole *handle = open_handle();
	struct sole_reply reply;
	int status = ask_owner(handle, sole_describe, &reply) == SOLE_OK
			     ? print_operations(&reply, count > 0 ? operands[0] : NULL)
			     : tell_failure(handle, &reply);

	close_handle(&handle);
	return status;
}

/* ---- sole call ---- */

/* A result alone is printed as it is; several get a line each, with the name before them. */
static void print_results(const struct fields *fields, const struct sole_list *list)
{
	bool alone = fields->count == 1 && list->count == 1 && list->values[0].type != SOLE_LIST;

	if (settings.json) {
		print_json_list(list);
		putchar('\n');
		return;
	}
	for (size_t i = 0; i < list->count; i++) {
		if (fields->count > 1)
			printf("%s\t", fields->list[i < fields->count ? i : fields->count - 1].name);
		if (alone)
			print_raw(list->values[i]);
		else
			print_field(list->values[i]);
		putchar('\n');
	}
}

/* Conflicts are told like other refusals, with their own status: the condition does not hold. */
static int tell_call_failure(const struct sole *handle, const struct sole_reply *reply)
{
	bool found = reply->result_count > 0 && reply->results[0].count > 0;

	if (reply->code != SOLE_CONFLICT)
		return tell_failure(handle, reply);
	no_line("conflict: %.300s", reply->text);
	if (json_failure(reply->code, reply->text, 0)) {
		fputs(",\"found\":", stdout);
		print_json(found ? reply->results[0].values[0] : sole_none());
		puts("}");
	} else if (found) {
		print_raw(reply->results[0].values[0]);
		putchar('\n');
	}
	return STATUS_NO;
}

/* What the arguments of a call were written as. */
struct operands {
	size_t count;
	struct script_word *words;
	bool *is_none;
	struct sole_value *arguments; /* room for what they become */
};

static void operands_read(struct operands *o, size_t count, char **operands)
{
	*o = (struct operands){
		.count = count,
		.words = calloc(count + 1, sizeof *o->words),
		.is_none = calloc(count + 1, sizeof *o->is_none),
		.arguments = calloc(count + 1, sizeof *o->arguments),
	};
	if (o->words == NULL || o->is_none == NULL || o->arguments == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	for (size_t i = 0; i < count; i++) {
		o->words[i] = (struct script_word){ .text = operands[i], .size = (uint32_t)strlen(operands[i]) };
		o->is_none[i] = operands[i] == none_operand;
		if (strcmp(operands[i], "-") != 0)
			continue;
		struct sole_value input = read_standard_input();
		o->words[i] = (struct script_word){ .text = input.bytes, .size = input.size, .quoted = true };
	}
}

static void operands_clear(struct operands *o)
{
	free(o->words);
	free(o->is_none);
	free(o->arguments);
}

static int run_call(struct sole *handle, const struct signature *signature, struct operands *o)
{
	char what[SIGNATURE_WHAT_BYTES];
	struct sole_reply reply;

	if (signature_arguments(signature, o->words, o->is_none, o->count, o->arguments, what) != NULL) {
		log_error("%s; see sole ops", what);
		return EX_USAGE;
	}
	const struct sole_operation operation = { signature->number, (uint16_t)o->count, o->arguments };
	call_owner(handle, &operation, 1, signature->query ? SOLE_QUERY : 0, &reply);
	tell_revision(&reply);
	if (reply.outcome != SOLE_DONE)
		return tell_call_failure(handle, &reply);
	if (reply.result_count != 1)
		return bad_answer();
	print_results(&signature->results, &reply.results[0]);
	signature_warn_of_session(signature->number, signature->name);
	return STATUS_DONE;
}

int command_call(int count, char **operands)
{
	struct operands o;
	struct signature signature;
	struct sole_reply reply;

	operands_read(&o, (size_t)count - 1, operands + 1);
	struct sole *handle = open_handle();
	int status = ask_owner(handle, sole_describe, &reply) == SOLE_OK ? signature_find(&reply, operands[0], 0, &signature)
								 : tell_failure(handle, &reply);
	if (status == STATUS_DONE)
		status = run_call(handle, &signature, &o);
	close_handle(&handle);
	operands_clear(&o);
	return status;
}
