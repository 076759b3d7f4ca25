/* SPDX-License-Identifier: MIT
 *
 * disk_space.h - looks how much room is left where the state is, and warns before there is none: a full disk ends the
 * owner.
 */
#ifndef SOLE_OWNER_DISK_SPACE_H
#define SOLE_OWNER_DISK_SPACE_H

#include "owner/core/counters.h"
#include "owner/service/service.h"

struct disk_space {
	int folder;        /* descriptor of the state's folder */
	const char *path;  /* for words */
	int64_t look_ns;   /* when to look next */
	uint64_t told_free_bytes; /* at the last warning */
	bool unknown_told; /* that the system does not say */
};

void disk_space_init(struct disk_space *space, int folder, const char *path);

/* Looks, if it is time to, and logs a line when the room falls below `warning_bytes` (0: never), each time that it has
 * halved since, and when there is enough again. Returns when to call again. Blocks as statfs(2) does. */
int64_t disk_space_look(struct disk_space *space, uint64_t warning_bytes, struct gauges *gauges, struct counters *counters,
			int64_t now_ns);

#endif
