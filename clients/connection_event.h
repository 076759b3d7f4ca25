/* SPDX-License-Identifier: MIT
 *
 * connection_event.h - what can happen to the connection with an owner, whichever way it goes.
 */
#ifndef SOLE_CLIENTS_CONNECTION_EVENT_H
#define SOLE_CLIENTS_CONNECTION_EVENT_H

enum connection_event {
	CONNECTION_NOTHING,
	CONNECTION_UP,   /* messages may be sent, and none were before over this one */
	CONNECTION_DOWN, /* what was under way is lost; what had arrived was handed out before */
};

#endif
