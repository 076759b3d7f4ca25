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
	const char *listen;   /* "tcp://HOST:PORT" beside that, or NULL */
	const char *key, *client_keys; /* with `listen`: the owner's certificate, the folder of theirs; or NULL, and */
	bool in_the_clear;
	const char *file;
	const char *behaviour; /* a shared object, or NULL */
	const char *state;     /* the folder that keeps the state, or NULL: memory only */
	const char *durability_word;
	enum durability durability;
	int64_t sync_interval_ns, snapshot_after, segment_bytes, snapshots_kept;
	struct zpl settings;  /* what the file holds: text settings point into it */
	const char *access;      /* a file of rules of access, or NULL */
	bool access_section;     /* the settings have such rules among them */
	bool read_only;          /* at the start */
	int64_t disk_warning_bytes; /* warn when less is left where the state is; 0: never */
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

/* Reads the same again, into *fresh, after config_read. False: its file has mistakes, which have been told, and *fresh
 * is nothing. config_clear when it is done with; texts of *fresh point into it. */
bool config_read_again(struct config *fresh);
void config_clear(struct config *config);

/* Takes over from *fresh what can change while the owner runs: limits and times, but not texts. Tells by name which
 * settings are others and wait for the next start. */
void config_take(struct config *config, const struct config *fresh);

/* The name of the file of settings, for words. */
const char *config_file(const struct config *config);

/* Prints the configuration in force and the memory it allows at the worst. */
void config_print(const struct config *config);

#endif
