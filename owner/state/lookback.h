/* SPDX-License-Identifier: MIT
 *
 * lookback.h - the storage (storage.h) of a real owner: backups, and the outcomes that its journal tells.
 */
#ifndef SOLE_OWNER_LOOKBACK_H
#define SOLE_OWNER_LOOKBACK_H

#include "owner/state/disk.h"
#include "owner/service/storage.h"

struct lookback;

struct lookback_settings {
	const struct limits *limits; /* read at each use */
	struct counters *counters;
	uint64_t history, incarnation;
	int folder;              /* that holds the state, open; -1: it is in memory only */
	const struct disk *disk; /* of the same folder, which a thread reads too; NULL: there is no journal */
};

/* NULL: no memory or descriptors. */
struct lookback *lookback_new(const struct lookback_settings *settings);

/* Children are killed and the thread is waited for: before the disk is closed. */
void lookback_destroy(struct lookback **lookback);

/* For service_settings; lives as long. */
const struct storage *lookback_storage(const struct lookback *lookback);

/* For an epoll set; when it is readable: lookback_tend. */
int lookback_descriptor(const struct lookback *lookback);

/* The journal has every round up to this one: to be told after each append. */
void lookback_recorded(struct lookback *lookback, uint64_t round);

void lookback_connection_ended(struct lookback *lookback, uint64_t connection);

/* *next_ns: when to call again at the latest. */
void lookback_tend(struct lookback *lookback, int64_t now_ns, int64_t *next_ns);

#endif
