/* SPDX-License-Identifier: MIT
 *
 * storage.h - what the items OUTCOME and BACKUP want of the disk: a seam between the service, which
 * knows of no files, and the shell, or a test.
 *
 * Nothing here blocks: what takes long goes on elsewhere, and the answer is "not yet" until it is done.
 */
#ifndef SOLE_OWNER_STORAGE_H
#define SOLE_OWNER_STORAGE_H

#include "owner/core/core.h"

/* What the record of a state's life says of a command. */
struct fate {
	enum command_fate fate;
	enum code code;          /* of its reply; of FATE_UNKNOWN: why */
	uint64_t revision;       /* with its reply */
	const uint8_t *reply;    /* the reply's payload, valid until the next round; NULL: not kept */
	size_t reply_size;
	struct caller opener;    /* whose session it was */
	bool opener_told;        /* false: that is not known */
};

/* A part of a backup. */
struct backup_part {
	int64_t size;  /* of the whole; -1: it is still being written */
	size_t bytes;  /* that were stored: fewer than asked for only as far as it has been written */
};

enum storage_result {
	STORAGE_DONE,
	STORAGE_NOT_YET, /* it is being looked for, or written: ask again */
	STORAGE_FULL,    /* as many at once as are allowed: ask again */
	STORAGE_NONE,    /* BACKUP: there is none of this id that reaches there (any more) */
	STORAGE_FAILED,  /* *error is an errno */
};

struct storage {
	void *context;
	/* What the journal knows of a command. */
	enum storage_result (*outcome)(void *context, uint64_t session, uint64_t sequence, struct fate *fate,
				       int *error);
	/* Bytes from `offset` on of the backup that `connection` calls `id`; offset 0 begins one where there is none.
	 * Stores at most `room` bytes in `bytes`. */
	enum storage_result (*backup)(void *context, struct core *core, uint64_t connection, uint64_t id, uint64_t offset,
				      uint8_t *bytes, size_t room, struct backup_part *part, int *error);
};

#endif
