/* SPDX-License-Identifier: MIT
 *
 * command.h - what the parts of the `sole` command share; for nobody else.
 *
 *	command.c        the subcommands and their options, main
 *	command_wait.c   waiting for the answer: in one go, or in the shell until ^C
 *	command_ask.c    asking an owner; what is told when it does not do what was asked
 *	command_table.c  get put del add cas mget scan count ttl expire
 *	command_call.c   ops call: any operation of any behaviour, by name
 *	command_txn.c    txn; command_script.c splits its text into words
 *	signature.c      what an owner says that its operations take, for call and txn
 *	command_lock.c   lock
 *	command_watch.c  watch
 *	command_owner.c  ping status
 *	command_stats.c  stats; series.c reads latencies
 *	command_trace.c  trace slow
 *	command_top.c    top; reading.c asks, frame.c makes lines of it
 *	command_keygen.c keygen
 *	command_admin.c  sessions read-only
 *	command_lookback.c  outcome backup
 *	command_run.c    starts the command that lock and watch are given
 *	doctor.c         doctor; doctor.h names its parts
 *	shell.c          shell; shell_line.c reads its lines, complete.c knows how words may go on
 *	children.c       status start stop restart, of a supervisor's children
 *
 * A subcommand is a function that asks, prints what it got to standard output, and returns the
 * exit status. Talk goes to standard error. The statuses are those of sole(1) and never change.
 */
#ifndef SOLE_CLIENTS_COMMAND_H
#define SOLE_CLIENTS_COMMAND_H

#include "clients/sole.h"
#include "common/options.h"

#include <stdbool.h>

enum {
	STATUS_DONE = 0,    /* and found, where something was looked for */
	STATUS_NO = 1,      /* not found; the condition does not hold; the lock is held */
	STATUS_REFUSED = 2, /* did not run and will not */
	STATUS_UNKNOWN = 3, /* may have run */
	STATUS_TOO_OLD = 4, /* watch: events are missing */
	STATUS_NOT_YET = 5, /* outcome: not decided yet */
};

struct settings {
	const char *owner, *endpoint, *supervisor;
	const char *server_key, *client_key;
	int64_t timeout_ns; /* 0: for ever */
	bool timeout_given;
	bool verbose, quiet, json, bytes;
	bool no_newline, with_revision;     /* get */
	bool absent, remove;                /* cas */
	bool if_absent, if_present;         /* put */
	int64_t for_ns, revision;           /* put; 0 and -1: not given */
	int64_t limit;                      /* scan, slow; 0: all */
	bool try;                           /* lock */
	int64_t conflict_status;            /* lock */
	const char *from, *exec;            /* watch */
	int64_t event_count;                /* watch, trace; 0: no end */
	const char *operation, *key;        /* trace */
	int64_t pid, slower_ns;
	bool prometheus;                    /* stats */
	bool reset;                         /* slow */
	bool once;                          /* top */
	int64_t every_ns;
	bool disk;                          /* doctor */
	int behind_dashes;                  /* operands that stand behind "--" */
};
extern struct settings settings;

/* A subcommand's operand that was written --none: told from the text by its address. */
extern char none_operand[];

/* ---- words ---- */

/* Ends with one line that says what the subcommand takes. */
_Noreturn void usage_error(const char *what);

const char *current_name(void);

/* Tells on standard error that the answer is no, unless --quiet. */
void no_line(const char *format, const char *text);

/* ---- values ---- */

/* The integer that `text` is the canonical decimal of. */
bool is_integer(const char *text, int64_t *integer);

/* All of standard input, as bytes; once. Ends the program when it cannot be read or is too large. */
struct sole_value read_standard_input(void);

/* What an operand says: "-" is standard input, an integer's canonical decimal that integer (unless
 * --bytes), and all else bytes. */
struct sole_value value_of(const char *text);

/* A number from 1 on; ends the program with EX_USAGE otherwise: "'x' is not a WHAT". */
uint64_t number_of(const char *text, const char *what);

/* Whole milliseconds, from 1 on; ends the program with EX_USAGE otherwise. */
int64_t milliseconds_of(int64_t ns, const char *what);

/* ---- asking ---- */

/* The shell's where that runs, else a new one. Ends the program when there can be none. */
struct sole *open_handle(void);

/* A new one in any case. */
struct sole *open_own_handle(void);

/* Closes it, unless it is the shell's, and stores NULL. */
void close_handle(struct sole **handle);

/* As sole_call, with the limit that --timeout says. In the shell ^C withdraws the request, and the reply is
 * the truth about it. The reply lives until the next question. */
int call_owner(struct sole *handle, const struct sole_operation *operations, size_t count, int flags,
	       struct sole_reply *reply);

/* The same for sole_outcome; sole_fate_of reads the reply. */
int call_outcome(struct sole *handle, uint64_t session, uint64_t sequence, struct sole_reply *reply);

/* The same for what is asked about the owner: sole_ping and its like. */
typedef int owner_question(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply);
int ask_owner(struct sole *handle, owner_question *question, struct sole_reply *reply);

/* ---- in the shell ---- */

/* From here on every subcommand asks with this handle, and ^C ends what is under way and not the program. NULL:
 * no more; it stays the caller's. */
void share_handle(struct sole *handle);
struct sole *shared_handle(void);
bool in_shell(void);

/* SIGINT has come since forget_interrupt. Outside of the shell it never does. */
bool interrupted(void);
void forget_interrupt(void);

/* Whether a newline goes behind the ^C that a terminal shows. */
void interrupt_begins_line(bool yes);

/* Waits until `fd` is readable (1), `until_ns` of CLOCK_MONOTONIC is past (0; INT64_MAX: never), or a signal
 * came (-1, errno). The shell's handle is looked after meanwhile, so that its session lives. */
int wait_readable(int fd, int64_t until_ns);

/* One line of the shell: main's work for a subcommand, whose name is argv[1]. Returns its exit status. */
int run_command(int argc, char **argv);

/* Waits for an owner to answer, as long as --timeout says. STATUS_DONE, or the exit status. */
int reach_owner(struct sole *handle);

/* The exit status that goes with a code. */
int status_of(int code);

/* With --json, begins an object on standard output that tells a failure: error, outcome, text and, of a script,
 * line. The caller may add to it and ends it. False: without --json. */
bool json_failure(int code, const char *text, unsigned line);

/* One line: did it run, the code's name, the sentence, what to do; with --json an object, too. Returns the exit
 * status. */
int tell_failure(const struct sole *handle, const struct sole_reply *reply);

/* With --verbose: where the reply stands, whose it is, and whether it can be lost. */
void tell_revision(const struct sole_reply *reply);

/* An answer that lacks the result which the protocol promises. Returns the exit status. */
int bad_answer(void);

struct question;

/* What to make of the answer. `value`: its first value, NULL when there is none. */
typedef int answer_function(const struct question *question, const struct sole_reply *reply,
			    const struct sole_value *value);

struct question {
	const struct sole_operation *operations;
	size_t count;
	int flags;
	bool takes_conflict; /* a condition that does not hold goes to `answer`, too */
	const char *key;     /* for words */
	answer_function *answer;
};

/* Opens, asks, hands the answer on, closes. Returns the exit status. */
int ask(const struct question *question);

/* The same for one operation. */
int ask_one(uint16_t number, uint16_t count, const struct sole_value *arguments, int flags, const char *key,
	    answer_function *answer);

/* ---- the subcommands ---- */

typedef int command_function(int count, char **operands);

/* Which paragraph of `sole --help` a subcommand stands in. */
enum command_group { GROUP_KEYS, GROUP_OPERATIONS, GROUP_OWNER, GROUP_SUPERVISOR, GROUP_TERMINAL, GROUP_HIDDEN };

struct command {
	const char *name, *operands, *about, *example;
	unsigned options;
	int least, most; /* operands */
	command_function *run;
	enum command_group group;
};

/* The table of them, from 0 on; NULL behind its end. */
const struct command *command_at(size_t index);

/* NULL: there is none. */
const struct command *command_named(const char *name);

/* It takes signals and the terminal over: in the shell it runs as a process of its own. */
bool command_is_apart(const struct command *command);

/* The options of a subcommand, from 0 on; NULL behind their end. */
const struct option_spec *command_option(const struct command *command, size_t index);

command_function command_get, command_put, command_del, command_add, command_cas, command_mget, command_scan,
	command_count, command_ttl, command_expire;
command_function command_ops, command_call, command_txn;
command_function command_lock, command_watch;
command_function command_ping, command_stats, command_status;
command_function command_top, command_trace, command_slow;
command_function command_outcome, command_backup;
command_function command_keygen;
command_function command_sessions, command_read_only;
command_function command_shell, command_complete, command_help, command_doctor;

#endif
