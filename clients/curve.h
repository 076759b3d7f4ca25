/* SPDX-License-Identifier: MIT
 *
 * curve.h - a client's keys, and what it means when a connection on tcp does not come about.
 */
#ifndef SOLE_CLIENTS_CURVE_H
#define SOLE_CLIENTS_CURVE_H

#include "clients/sole.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For a socket that is not connected yet: sets the keys of the options, or of the environment where those name none.
 * SOLE_OK, also where there are none: it speaks in the clear then. SOLE_USAGE, with a sentence in `why`: a file that
 * is no such certificate, or one of the two without the other. SOLE_SYSTEM: no CURVE here. */
int curve_apply(void *dealer, const struct sole_options *options, char *why, size_t size);

/* libzmq's events that tell why a handshake failed. */
extern const int curve_failures;

/* Words one of those for the user: what is likely wrong, and what to do. Returns whether libzmq gives up, and does not
 * connect again by itself. */
bool curve_failed(void *dealer, uint16_t event, uint32_t value, char *text, size_t size);

#endif
