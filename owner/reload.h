/* SPDX-License-Identifier: MIT
 *
 * reload.h - what of an owner's settings is read at its start and, by SIGHUP, again: rules of access and limits.
 */
#ifndef SOLE_OWNER_RELOAD_H
#define SOLE_OWNER_RELOAD_H

#include "owner/config.h"
#include "owner/service/access.h"

/* The rules that the settings name, into *access. `owner` is the user that the owner runs as. False: they have mistakes,
 * which have been told, and *access holds nothing. access_clear when it is done with. */
bool access_of_config(const struct config *config, uid_t owner, const struct sole_behaviour *behaviour, struct access *access);

/* Reads everything again. True: *config has taken what it can, and *access are the new rules, to replace what the caller
 * has. False: something in the files is wrong and has been told; *config is as it was, and *access is nothing. */
bool reload(struct config *config, uid_t owner, const struct sole_behaviour *behaviour, struct access *access);

#endif
