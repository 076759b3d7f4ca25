/* SPDX-License-Identifier: MIT
 *
 * config.h - what an owner was told: options, and the same names in a ZPL file.
 */
#ifndef SOLE_OWNER_CONFIG_H
#define SOLE_OWNER_CONFIG_H

#include "common/protocol.h"
#include "common/zpl.h"
#include "owner/inspect/inspect.h"
#include "owner/core/limits.h"

#include <stdbool.h>

struct config {
	const char *name;     /* the operand */
	const char *endpoint; /* "ipc://PATH", or NULL */
	const char *file;
	const char *behaviour; /* a shared object, or NULL */
	const char *state;     /* the folder that keeps the state, or NULL: memory only */
	const char *durability_word;
	enum durability durability;
	int64_t sync_interval_ns, snapshot_after, segment_bytes, snapshots_kept;
	struct zpl settings;  /* what the file holds: text settings point into it */
	int64_t socket_mode;
	int64_t metrics_port; /* -1: none */
	int64_t slow_after_ns; /* requests that run for longer are kept */
	int64_t drain_ns;     /* how long clients may take to leave */
	bool check, quiet;
	struct limits limits;
	struct inspection inspection; /* instead of owning */
};

/* Reads argv, then the file it names, options winning. Ends the program with one line and
 * EX_USAGE or EX_CONFIG when something is wrong, all mistakes of the file told first. */
void config_read(struct config *config, int argc, char **argv);

/* Prints the configuration in force and the memory it allows at the worst. */
void config_print(const struct config *config);

#endif
