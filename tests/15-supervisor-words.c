/* SPDX-License-Identifier: MIT
 *
 * How a command in the supervisor's file becomes an argument vector, and how a
 * notice becomes names and values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above before it. */
#include <cmocka.h>

#include "supervisor/notify_socket.h"
#include "supervisor/words.h"

#include <stdlib.h>
#include <string.h>

/* The words joined by '|', or '!' and the problem. */
static const char *split(const char *text)
{
	static char joined[4096];
	char **words = NULL;
	const char *problem = words_split(text, &words);

	joined[0] = '\0';
	if (problem != NULL) {
		strcat(strcpy(joined, "!"), problem);
		return joined;
	}
	for (size_t i = 0; words[i] != NULL; i++) {
		if (i > 0)
			strcat(joined, "|");
		strcat(joined, words[i]);
	}
	free(words);
	return joined;
}

static void blanks_separate(void **state)
{
	(void)state;
	assert_string_equal(split("a"), "a");
	assert_string_equal(split("  a \t b  c "), "a|b|c");
}

static void quotes_keep_blanks_and_may_stand_inside_a_word(void **state)
{
	(void)state;
	assert_string_equal(split("sh -c 'echo a;  exit 1'"), "sh|-c|echo a;  exit 1");
	assert_string_equal(split("a\"b c\"d'e f'"), "ab cde f");
	assert_string_equal(split("a '' \"\" b"), "a|||b");
	assert_string_equal(split("\"it's\" 'say \"x\"'"), "it's|say \"x\"");
}

static void a_backslash_takes_the_next_character_as_it_is(void **state)
{
	(void)state;
	assert_string_equal(split("a\\ b \\' \\\" \\\\"), "a b|'|\"|\\");
	assert_string_equal(split("\"a\\\"b\\\\c\\n\""), "a\"b\\c\\n");
	assert_string_equal(split("'a\\b'"), "a\\b");
}

static void nothing_is_expanded(void **state)
{
	(void)state;
	assert_string_equal(split("a $HOME *.c ~ `x` a;b >c"), "a|$HOME|*.c|~|`x`|a;b|>c");
}

static void what_cannot_be_split_is_told(void **state)
{
	(void)state;
	assert_string_equal(split(""), "!is empty");
	assert_string_equal(split(" \t "), "!is empty");
	assert_string_equal(split("'' a"), "!has an empty first word");
	assert_string_equal(split("a 'b"), "!has a ' that is not closed");
	assert_string_equal(split("a \"b'"), "!has a \" that is not closed");
	assert_string_equal(split("a \"b\\"), "!has a \" that is not closed");
	assert_string_equal(split("a b\\"), "!ends in a backslash: write it twice to mean one");
}

static void words_are_bounded(void **state)
{
	(void)state;
	char text[2 * 257 + 1];
	for (size_t i = 0; i < sizeof text - 1; i++)
		text[i] = i % 2 == 0 ? 'x' : ' ';
	text[sizeof text - 1] = '\0';
	assert_string_equal(split(text), "!has more than 256 words");
	text[2 * 256] = '\0';
	assert_int_equal(strlen(split(text)), 511);
}

static void a_notice_is_cut_into_names_and_values(void **state)
{
	(void)state;
	char text[] = "READY=1\nno equals sign\nSTATUS=a=b\n\nEMPTY=\nLAST=x";
	char *at = text, *value;
	assert_string_equal(notice_next(&at, &value), "READY");
	assert_string_equal(value, "1");
	assert_string_equal(notice_next(&at, &value), "STATUS");
	assert_string_equal(value, "a=b");
	assert_string_equal(notice_next(&at, &value), "EMPTY");
	assert_string_equal(value, "");
	assert_string_equal(notice_next(&at, &value), "LAST");
	assert_string_equal(value, "x");
	assert_null(notice_next(&at, &value));
	assert_null(notice_next(&at, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blanks_separate),
		cmocka_unit_test(quotes_keep_blanks_and_may_stand_inside_a_word),
		cmocka_unit_test(a_backslash_takes_the_next_character_as_it_is),
		cmocka_unit_test(nothing_is_expanded),
		cmocka_unit_test(what_cannot_be_split_is_told),
		cmocka_unit_test(words_are_bounded),
		cmocka_unit_test(a_notice_is_cut_into_names_and_values),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("supervisor: words", tests, NULL, NULL);
}
