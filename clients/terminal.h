/* SPDX-License-Identifier: MIT
 *
 * terminal.h - what curses is asked for and term.h declares: a header of its own, since that one
 * defines words such as `lines` and `columns`.
 */
#ifndef SOLE_CLIENTS_TERMINAL_H
#define SOLE_CLIENTS_TERMINAL_H

#include <stdbool.h>

/* Does curses know how to draw on the terminal that $TERM names? */
bool terminal_is_known(int descriptor);

#endif
