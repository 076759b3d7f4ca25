/* SPDX-License-Identifier: MIT
 *
 * remote.h - what an owner needs that other hosts may ask: its own keys, and the client keys.
 */
#ifndef SOLE_OWNER_REMOTE_H
#define SOLE_OWNER_REMOTE_H

#include "owner/config.h"
#include "owner/service/service.h"
#include "owner/transport/transport.h"

struct remote {
	struct certificate certificate; /* cleared when the transport has it */
	struct keyring *keyring;        /* NULL: not on tcp, or in the clear */
};

/* For an owner that is to listen on tcp (else nothing happens): reads its keys and the folder of client keys; ends the
 * program with one line when something is wrong with either. `wake`: an epoll set, readable when the folder may have
 * changed; -1: the configuration is to be checked only. */
void remote_open(struct remote *remote, const struct config *config, int wake);
void remote_close(struct remote *remote);

/* Fills in what the transport is to know, and forgets the secret key afterwards. */
void remote_settings(const struct remote *remote, const struct config *config, struct transport_settings *settings);
void remote_forget(struct remote *remote);

/* One line: where it listens and who may come. `rules`: whether there are any of access. Sessions of an earlier owner end
 * whose keys may not come any more. */
void remote_begin(const struct remote *remote, const struct transport *transport, struct service *service, bool rules);

/* Reads the client keys anew if they have changed, or anyway when `again`; connections and sessions of keys that are gone
 * end. */
void remote_tend(struct remote *remote, struct transport *transport, struct service *service, bool again);

#endif
