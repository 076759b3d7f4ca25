/* SPDX-License-Identifier: MIT
 *
 * children.h - the `sole` command's side of a supervisor's control socket:
 * `sole status [CHILD]`, `sole restart CHILD`, `sole stop CHILD`, `sole start CHILD`.
 *
 * The conversation is text over DIR/NAME.supervisor (mode 0600, so the same user
 * or root). One request line, "VERB[ CHILD]\n", then the answer's lines:
 *
 *   +TEXT              data, for standard output
 *   wait               accepted and under way: the outcome follows, no time limit
 *   ok                 the last line: done
 *   error STATUS TEXT  the last line: not done, and why; STATUS is the exit status
 *
 * Nothing of ZeroMQ is used, so these verbs work while an owner is down.
 */
#ifndef SOLE_CLIENTS_CHILDREN_H
#define SOLE_CLIENTS_CHILDREN_H

#include <stdint.h>

/* Does one verb and returns the exit status of the command.
 *
 * `verb`: "status", "restart", "stop" or "start".
 * `child_or_null`: a child's name ("reader": all its instances; "reader.3": that
 *   one). NULL means all children for status; the other verbs need a name.
 * `supervisor_or_null`: the supervisor's name (`name` in its file, or the file's
 *   base name without .zpl). NULL: $SOLE_SUPERVISOR, else the only supervisor
 *   there is; when there are several, an error lists them.
 *
 * Data goes to standard output: for status a table with a heading line, columns
 * CHILD PID STATE UP RESTARTS OPS/S STATUS. Talk goes to standard error, through
 * log_error(), so log_init() has been called. Does not touch signals or options.
 *
 * Blocks: at most 5 s for the first answer; then restart and start wait until
 * the children are ready, stop until they are gone (the supervisor's own limits,
 * start-timeout and stop-timeout, bound that).
 *
 * Returns 0: done.
 *   1                    no such child
 *   EX_USAGE (64)        unknown verb, a bad name, a missing child, several supervisors
 *   EX_UNAVAILABLE (69)  no supervisor is running
 *   EX_SOFTWARE (70)     the child could not be started: it ended before it was ready
 *   EX_IOERR (74)        standard output could not be written
 *   EX_TEMPFAIL (75)     no answer in time, the supervisor is stopping, or it has too
 *                        many clients at once
 *   EX_PROTOCOL (76)     the answer is not one of a supervisor
 *   EX_NOPERM (77)       the socket belongs to somebody else */
int children_command(const char *verb, const char *child_or_null, const char *supervisor_or_null);

/* The same for the status of all children, with another limit, and each line of the table goes to `line`. */
typedef void children_line(const char *text, void *context);
int children_list(const char *supervisor_or_null, int64_t limit_ns, children_line *line, void *context);

#endif
