/* SPDX-License-Identifier: MIT
 *
 * terminal.c - asks the database of terminals.
 */
#include "clients/terminal.h"

#include <curses.h>
/* curses.h first: term.h needs it. */
#include <term.h>

/* newterm(3) would say so, too, and never free what it took for a terminal that it does not know. */
bool terminal_is_known(int descriptor)
{
	int error;

	if (setupterm(NULL, descriptor, &error) != OK)
		return false;
	del_curterm(cur_term);
	return true;
}
