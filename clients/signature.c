/* SPDX-License-Identifier: MIT
 *
 * signature.c - reads an owner's description of its operations, and fits words to it.
 */
#include "clients/signature.h"

#include "clients/command.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/quantity.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- what the owner says that it can do ---- */

static bool copy_text(char *text, size_t room, const char *from, size_t size)
{
	if (size >= room || memchr(from, 0, size) != NULL)
		return false;
	memcpy(text, from, size);
	text[size] = '\0';
	return true;
}

/* A field's type may itself have a comma in it: the next field begins where a word with a colon does. */
static const char *next_field(const char *at, const char *end)
{
	for (; at + 2 <= end; at++) {
		if (at[0] != ',' || at[1] != ' ')
			continue;
		const char *word = at + 2;
		while (word < end && *word != ' ' && *word != ',' && *word != ':')
			word++;
		if (word < end && *word == ':')
			return at;
	}
	return end;
}

/* "key:key, value:integer or bytes" */
static bool read_fields(struct fields *fields, struct sole_value text)
{
	const char *at = text.bytes, *end;

	fields->count = 0;
	if (text.type != SOLE_BYTES)
		return false;
	for (end = at + text.size; at < end;) {
		const char *colon = memchr(at, ':', (size_t)(end - at)), *next = next_field(at, end);
		struct field *field = &fields->list[fields->count];
		if (colon == NULL || colon > next || fields->count == SIGNATURE_FIELDS_MAX)
			return false;
		if (!copy_text(field->name, sizeof field->name, at, (size_t)(colon - at)) ||
		    !copy_text(field->type, sizeof field->type, colon + 1, (size_t)(next - colon - 1)))
			return false;
		fields->count++;
		at = next < end ? next + 2 : end;
	}
	return true;
}

bool signature_read(struct signature *signature, const struct sole_list *list)
{
	enum { NUMBER, NAME, KIND, ARGUMENTS, RESULTS, HELP, COLUMNS };
	const struct sole_value *values = list->values;

	if (list->count != COLUMNS || values[NUMBER].type != SOLE_INTEGER || values[NAME].type != SOLE_BYTES ||
	    values[KIND].type != SOLE_BYTES || values[NUMBER].integer < 0 || values[NUMBER].integer > UINT16_MAX)
		return false;
	signature->number = (uint16_t)values[NUMBER].integer;
	signature->query = values[KIND].size == strlen("query") && memcmp(values[KIND].bytes, "query", 5) == 0;
	signature->help = values[HELP];
	return copy_text(signature->name, sizeof signature->name, values[NAME].bytes, values[NAME].size) &&
	       read_fields(&signature->arguments, values[ARGUMENTS]) &&
	       read_fields(&signature->results, values[RESULTS]);
}

static bool is_named(const struct sole_list *list, const char *name)
{
	return list->count > 1 && list->values[1].type == SOLE_BYTES && list->values[1].size == strlen(name) &&
	       memcmp(list->values[1].bytes, name, strlen(name)) == 0;
}

int signature_find(const struct sole_reply *description, const char *name, unsigned line,
		   struct signature *signature)
{
	char where[24] = "", text[160];

	for (size_t i = 0; i < description->result_count; i++)
		if (is_named(&description->results[i], name))
			return signature_read(signature, &description->results[i]) ? STATUS_DONE : bad_answer();
	if (line > 0)
		snprintf(where, sizeof where, "line %u: ", line);
	snprintf(text, sizeof text, "the owner has no operation '%.60s'", name);
	log_error("refused: %s: %s%s: `sole ops` lists them", sole_name_of(SOLE_NO_OPERATION), where, text);
	if (json_failure(SOLE_NO_OPERATION, text, line))
		puts("}");
	return STATUS_REFUSED;
}

bool signature_warn_of_session(uint16_t number, const char *name)
{
	static const struct {
		uint16_t number;
		const char *name, *what;
	} known[] = {
		{ SOLE_TABLE_LOCK, "lock", "the lock is let go: `sole lock NAME -- COMMAND` holds one" },
		{ SOLE_TABLE_TRY_LOCK, "try-lock", "the lock is let go: `sole lock --try NAME -- COMMAND` holds one" },
		{ SOLE_TABLE_BIND, "bind", "the key is gone: `sole put KEY VALUE --for TIME` keeps one for a time" },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (number != known[i].number || strcmp(name, known[i].name) != 0)
			continue;
		if (!settings.quiet && !in_shell())
			log_warn("%s: the session ends with this command, and %s", name, known[i].what);
		return true;
	}
	return false;
}

/* ---- words and arguments ---- */

static bool takes_bytes(const struct field *field)
{
	return strcmp(field->type, "integer") != 0;
}

static bool takes_integer(const struct field *field)
{
	return strstr(field->type, "integer") != NULL;
}

static bool takes_none(const struct field *field)
{
	return strstr(field->type, "none") != NULL;
}

/* Milliseconds, as the owner takes them; with a unit, as all times of sole(1). */
static const char *milliseconds_of_word(const char *text, int64_t *ms)
{
	size_t size = strlen(text);
	int64_t ns;

	if (quantity_integer(text, INT64_MIN, INT64_MAX, ms) == NULL)
		return NULL;
	if (size == 0 || !isalpha((unsigned char)text[size - 1]) || quantity_duration(text, &ns) != NULL ||
	    ns % NS_PER_MS != 0)
		return "whole milliseconds, or a time with its unit such as 1500ms or 30s";
	*ms = ns / NS_PER_MS;
	return NULL;
}

/* NULL, or what the word should have been. */
static const char *argument_of_word(const struct script_word *word, bool is_none, const struct field *field,
				    struct sole_value *value)
{
	bool whole = strlen(word->text) == word->size;
	int64_t integer;

	if (is_none) {
		*value = sole_none();
		return takes_none(field) ? NULL : field->type;
	}
	if (strcmp(field->name, "ms") == 0 && takes_integer(field) && whole) {
		*value = sole_integer(0);
		return milliseconds_of_word(word->text, &value->integer);
	}
	*value = sole_bytes(word->text, word->size);
	if (!takes_bytes(field)) {
		*value = sole_integer(0);
		return whole ? quantity_integer(word->text, INT64_MIN, INT64_MAX, &value->integer) : "a whole number";
	}
	if (takes_integer(field) && !word->quoted && !settings.bytes && whole && is_integer(word->text, &integer))
		*value = sole_integer(integer);
	return NULL;
}

/* The field of an argument: the last one stands for all behind it where it is "keys". NULL: too many. */
static const struct field *field_at(const struct fields *fields, size_t position)
{
	if (position < fields->count)
		return &fields->list[position];
	if (fields->count == 0 || strcmp(fields->list[fields->count - 1].type, "keys") != 0)
		return NULL;
	return &fields->list[fields->count - 1];
}

/* "cas KEY EXPECTED NEW", into a static text. */
static const char *usage_of(const struct signature *signature)
{
	static char text[SIGNATURE_NAME_BYTES * (SIGNATURE_FIELDS_MAX + 1) + 8];
	size_t used = (size_t)snprintf(text, sizeof text, "%s", signature->name);

	for (size_t i = 0; i < signature->arguments.count; i++) {
		const struct field *field = &signature->arguments.list[i];
		size_t start = used + 1;
		used += (size_t)snprintf(text + used, sizeof text - used, " %s%s", field->name,
					 strcmp(field->type, "keys") == 0 ? "..." : "");
		for (size_t k = start; k < used; k++)
			text[k] = (char)toupper((unsigned char)text[k]);
	}
	return text;
}

const char *signature_arguments(const struct signature *signature, const struct script_word *words,
				      const bool *is_none, size_t count, struct sole_value *arguments,
				      char what[SIGNATURE_WHAT_BYTES])
{
	if (count < signature->arguments.count ||
	    (count > 0 && field_at(&signature->arguments, count - 1) == NULL)) {
		snprintf(what, SIGNATURE_WHAT_BYTES, "%s: usage: %.400s",
			 count < signature->arguments.count ? "something is missing" : "that is too much",
			 usage_of(signature));
		return what;
	}
	for (size_t i = 0; i < count; i++) {
		const struct field *field = field_at(&signature->arguments, i);
		const char *expected = argument_of_word(&words[i], is_none[i], field, &arguments[i]);
		if (expected == NULL)
			continue;
		snprintf(what, SIGNATURE_WHAT_BYTES, "%s: %s is '%.60s', and takes %s", signature->name, field->name,
			 is_none[i] ? none_operand : words[i].text, expected);
		return what;
	}
	return NULL;
}
