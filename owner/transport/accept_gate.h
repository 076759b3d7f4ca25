/* SPDX-License-Identifier: MIT
 *
 * accept_gate.h - keeps libzmq from running into the limit of descriptors.
 *
 * libzmq 4.3.4 aborts the process when accept(2) fails with EMFILE. This module
 * stands between libzmq and the system: accept and accept4 of this program refuse
 * (accept and close at once) a connection whose descriptor is beyond a mark, and
 * report ECONNABORTED, which libzmq takes calmly. The kernel hands out the lowest
 * free number, so a bound on the number is a bound on how many are open.
 *
 * It also remembers who came by tcp: libzmq's events do not tell, and the kernel has
 * forgotten when the connection is gone.
 */
#ifndef SOLE_OWNER_ACCEPT_GATE_H
#define SOLE_OWNER_ACCEPT_GATE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	ACCEPT_GATE_RESERVE = 32, /* descriptors kept for the owner's own use */
	ACCEPT_GATE_LEAST = 2 * ACCEPT_GATE_RESERVE, /* with fewer in all, libzmq may not even start: it aborts */
};

/* Raises the soft limit of descriptors to the hard one and sets the mark below it by
 * the reserve. Returns how many descriptors connections may take; -1 and EMFILE when there
 * are fewer than ACCEPT_GATE_LEAST in all. */
int accept_gate_init(void);

/* Connections refused so far. Any thread. */
uint64_t accept_gate_refused(void);

enum { ACCEPT_GATE_PEER_MAX = 56 }; /* an IPv6 address in brackets, and a port */

/* The address of who came with that descriptor, "HOST:PORT". To be asked once for each connection by tcp, in the
 * order in which they came; of one thread. False, and "": not by tcp, or more than a thousand came since. */
bool accept_gate_peer(int descriptor, char peer[ACCEPT_GATE_PEER_MAX]);

#endif
