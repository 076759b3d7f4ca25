/* SPDX-License-Identifier: MIT
 *
 * context.h - the one ZeroMQ context of the process, shared by all handles, and
 * what became of it in a forked child.
 *
 * libzmq's sockets, threads and context must not be touched in a child of fork(2):
 * it aborts, or waits for threads that are not there. A child has another
 * generation: it leaves what it inherited where it is and makes its own context.
 */
#ifndef SOLE_CLIENTS_CONTEXT_H
#define SOLE_CLIENTS_CONTEXT_H

#include <stdint.h>

/* How many forks lie between this process and the first one that asked. */
uint64_t context_generation(void);

/* The context, one more user of it; NULL with errno when there are no resources for it. A user's
 * first socket starts the I/O thread: it is made here, `type` as for zmq_socket(3), with signals
 * blocked meanwhile, so that the thread takes none even before it blocks them itself. */
void *context_socket(int type);

/* A further socket of the same user: nothing is counted. NULL with errno. */
void *context_extra_socket(int type);

/* One user less; the last one ends the context. Its sockets are closed already. */
void context_release(void);

#endif
