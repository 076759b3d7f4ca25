/* SPDX-License-Identifier: MIT
 *
 * command_run.h - starts the command that `sole lock` and `sole watch` are given.
 *
 * The command begins as `sole` itself began: with the signals' mask and handling that it was
 * started with, and with no descriptor that it opened.
 */
#ifndef SOLE_CLIENTS_COMMAND_RUN_H
#define SOLE_CLIENTS_COMMAND_RUN_H

#include <signal.h>
#include <sys/types.h>

/* Call first in main, before anything changes a signal: keeps what the command gets back. */
void run_remember_signals(void);

/* The same for the words of the command line. run_again starts this program once more: with all of its words but the
 * operand `instead_of`, and `words` behind them. Returns its pid, or -1 and errno. */
void run_remember_arguments(int argc, char **argv);
pid_t run_again(const char *instead_of, char *const words[], int count);

/* True: SIGHUP and the like came ignored, as nohup(1) leaves it, and stay so. */
int run_is_ignored(int signal_number);

/* Starts argv[0], found along $PATH, with `death_signal` for when this process dies, and
 * `input` as standard input (-1: that of this process). Returns its pid, or -1 and errno. In the child, a
 * command that cannot be run is told in a line, and ends with status 127 (not found) or 126. */
pid_t run_start(char *const argv[], int death_signal, int input);

/* The exit status of a shell: the command's own, or 128 and the signal's number. */
int run_status(int wait_status);

#endif
