/* SPDX-License-Identifier: MIT
 *
 * backups.h - backups of a state that is being served: each a snapshot that a child writes to a file
 * without a name, and that its client fetches part by part.
 *
 * A backup belongs to the connection that began it and ends with it; also when its client has fetched
 * all of it, or asks for nothing for a while. Nothing here blocks but the reading of what was just written.
 */
#ifndef SOLE_OWNER_BACKUPS_H
#define SOLE_OWNER_BACKUPS_H

#include "owner/service/storage.h"

struct backups;

struct backups_settings {
	int folder;           /* open: their files are there; -1: in /tmp, or in memory where there is none */
	const int64_t *most;  /* at once; read at each use */
	uint64_t history, incarnation;
};

/* NULL: no memory or descriptors. */
struct backups *backups_new(const struct backups_settings *settings);

/* Ends all of them; their children are killed. */
void backups_destroy(struct backups **backups);

/* Readable when a child has ended: for an epoll set, and then backups_tend. */
int backups_descriptor(const struct backups *backups);

/* As storage.backup. *began: it did. */
enum storage_result backups_read(struct backups *backups, struct core *core, uint64_t connection, uint64_t id,
				 uint64_t offset, uint8_t *bytes, size_t room, int64_t now_ns,
				 struct backup_part *part, bool *began, int *error);

void backups_connection_ended(struct backups *backups, uint64_t connection);

/* Reaps children and ends what is idle. *next_ns: when to call again at the latest. */
void backups_tend(struct backups *backups, int64_t now_ns, int64_t *next_ns);

#endif
