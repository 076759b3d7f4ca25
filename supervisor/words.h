/* SPDX-License-Identifier: MIT
 *
 * words.h - splits a command into the words of an argument vector.
 *
 * Blanks separate words. Between '...' everything is itself; between "..." a
 * backslash takes the next character as it is when that is " or \; outside
 * quotes a backslash takes any next character as it is. Quotes may stand inside
 * a word. There are no variables, no patterns and no operators: whoever wants a
 * shell runs one.
 */
#ifndef SOLE_SUPERVISOR_WORDS_H
#define SOLE_SUPERVISOR_WORDS_H

/* Stores a NULL-terminated vector, at least one word long, in *words: one
 * allocation, free() it. Returns NULL, or what is wrong; nothing is stored then. */
const char *words_split(const char *text, char ***words);

#endif
