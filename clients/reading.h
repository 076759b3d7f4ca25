/* SPDX-License-Identifier: MIT
 *
 * reading.h - everything that `sole top` shows, asked for once: a reading. Two of them make rates.
 */
#ifndef SOLE_CLIENTS_READING_H
#define SOLE_CLIENTS_READING_H

#include "clients/series.h"

enum {
	READING_NUMBERS = 192,
	READING_KEYS = 32,
	READING_CLIENTS = 4096, /* the busiest of these are shown */
	READING_LINES = 64,     /* of the supervisor's table */
	READING_TEXT = 64,
};

struct reading_number {
	char name[READING_TEXT];
	int64_t value;
};

struct reading_client {
	uint64_t connection;
	int64_t pid, uid;
	char name[READING_TEXT]; /* as the system calls the process, or its hello, or its key */
	int64_t messages, requests, sessions, connected_ms, silent_ms;
};

struct reading_key {
	char key[READING_TEXT + 4];
	char operation[READING_TEXT];
	int64_t count;
};

struct reading {
	int64_t at_ns, wall_us;
	int code;              /* SOLE_OK: an owner answered; else nothing but `why` is there */
	char why[256];
	char name[READING_TEXT], state[READING_TEXT], behaviour[READING_TEXT], durability[READING_TEXT];
	uint64_t incarnation;
	struct reading_number numbers[READING_NUMBERS];
	size_t number_count;
	struct series_list series;
	bool denied;           /* keys and clients are not told to this user */
	struct reading_key keys[READING_KEYS];
	size_t key_count;
	int64_t looked_at;     /* requests that the keys' counts are of */
	struct reading_client *clients;
	size_t client_count, client_total;
	char lines[READING_LINES][192]; /* the supervisor's table, its heading first */
	size_t line_count;
};

/* NULL when there is no memory. */
struct reading *reading_take(struct sole *handle, const char *supervisor);
void reading_free(struct reading **reading);

/* By the name that STATS or STATUS gives it; 0 where there is none. */
int64_t reading_number(const struct reading *reading, const char *name);

const struct reading_client *reading_client(const struct reading *reading, uint64_t connection);

#endif
