/* SPDX-License-Identifier: MIT
 *
 * reading.c - asks an owner, the system and a supervisor for what `sole top` shows.
 *
 * What the owner sends is copied and made printable: nothing of it reaches a terminal as it came.
 */
#include "clients/reading.h"
#include "clients/children.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void printable(const char *from, size_t length, char *text, size_t size)
{
	length = length < size ? length : size - 1;
	for (size_t i = 0; i < length; i++)
		text[i] = from[i] >= 0x20 && from[i] < 0x7f ? from[i] : '?';
	text[length] = '\0';
}

static void copy_text(const struct sole_value *value, char *text, size_t size)
{
	if (value->type == SOLE_BYTES)
		printable(value->bytes, value->size, text, size);
	else
		text[0] = '\0';
}

static void note_number(struct reading *reading, const struct sole_value *name, const struct sole_value *value)
{
	if (reading->number_count == READING_NUMBERS || value->type != SOLE_INTEGER)
		return;
	struct reading_number *number = &reading->numbers[reading->number_count++];
	copy_text(name, number->name, sizeof number->name);
	number->value = value->integer;
}

int64_t reading_number(const struct reading *reading, const char *name)
{
	for (size_t i = 0; i < reading->number_count; i++)
		if (strcmp(reading->numbers[i].name, name) == 0)
			return reading->numbers[i].value;
	return 0;
}

const struct reading_client *reading_client(const struct reading *reading, uint64_t connection)
{
	for (size_t i = 0; i < reading->client_count; i++)
		if (reading->clients[i].connection == connection)
			return &reading->clients[i];
	return NULL;
}

/* ---- the owner ---- */

static int ask_status(struct reading *reading, struct sole *handle, struct sole_reply *reply)
{
	const struct {
		const char *name;
		char *text;
	} texts[] = { { "name", reading->name }, { "state", reading->state }, { "behaviour", reading->behaviour },
		      { "durability", reading->durability } };

	if (sole_status(handle, 0, reply) != SOLE_OK)
		return reply->code;
	reading->incarnation = reply->incarnation;
	for (size_t i = 0; reply->result_count > 0 && i + 1 < reply->results[0].count; i += 2) {
		char name[READING_TEXT];
		copy_text(&reply->results[0].values[i], name, sizeof name);
		note_number(reading, &reply->results[0].values[i], &reply->results[0].values[i + 1]);
		for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
			if (strcmp(name, texts[t].name) == 0)
				copy_text(&reply->results[0].values[i + 1], texts[t].text, READING_TEXT);
	}
	return SOLE_OK;
}

/* Gauges were told by STATUS. */
static int ask_stats(struct reading *reading, struct sole *handle, struct sole_reply *reply)
{
	enum { NAME, VALUE, KIND = 4 };

	if (sole_stats(handle, 0, reply) != SOLE_OK)
		return reply->code;
	for (size_t i = 0; i < reply->result_count; i++) {
		const struct sole_list *row = &reply->results[i];
		char kind[16] = "";
		if (row->count > KIND)
			copy_text(&row->values[KIND], kind, sizeof kind);
		if (row->count > VALUE && strcmp(kind, "gauge") != 0)
			note_number(reading, &row->values[NAME], &row->values[VALUE]);
	}
	return SOLE_OK;
}

static int ask_hot(struct reading *reading, struct sole *handle, struct sole_reply *reply)
{
	if (sole_hot(handle, 0, reply) != SOLE_OK)
		return reply->code;
	if (reply->result_count > 0 && reply->results[0].count > 0 && reply->results[0].values[0].type == SOLE_INTEGER)
		reading->looked_at = reply->results[0].values[0].integer;
	for (size_t i = 1; i < reply->result_count && reading->key_count < READING_KEYS; i++) {
		const struct sole_value *v = reply->results[i].values;
		if (reply->results[i].count < 4 || v[1].type != SOLE_INTEGER || v[3].type != SOLE_INTEGER)
			continue;
		struct reading_key *key = &reading->keys[reading->key_count++];
		copy_text(&v[0], key->key, READING_TEXT + 1);
		if (v[0].type == SOLE_BYTES && (uint64_t)v[1].integer > v[0].size)
			strcat(key->key, "...");
		copy_text(&v[2], key->operation, sizeof key->operation);
		key->count = v[3].integer;
	}
	return SOLE_OK;
}

/* ---- clients ---- */

/* What the system calls a process is better known than what its client says. False: it is not of this machine, or gone. */
static bool name_of_process(int64_t pid, char *text, size_t size)
{
	char path[64], name[64];

	snprintf(path, sizeof path, "/proc/%lld/comm", (long long)pid);
	FILE *file = pid > 0 ? fopen(path, "re") : NULL;
	if (file == NULL)
		return false;
	bool read = fgets(name, sizeof name, file) != NULL;
	fclose(file);
	if (read)
		printable(name, strcspn(name, "\n"), text, size);
	return read;
}

static bool read_client(const struct sole_list *list, struct reading_client *client)
{
	enum { CONNECTION, PID, UID, KEY, NAME, MESSAGES, REQUESTS, SESSIONS, CONNECTED, SILENT, VALUES };
	const struct sole_value *v = list->values;

	if (list->count < VALUES)
		return false;
	for (int i = 0; i < VALUES; i++)
		if (i != KEY && i != NAME && v[i].type != SOLE_INTEGER)
			return false;
	*client = (struct reading_client){
		.connection = (uint64_t)v[CONNECTION].integer, .pid = v[PID].integer, .uid = v[UID].integer,
		.messages = v[MESSAGES].integer, .requests = v[REQUESTS].integer, .sessions = v[SESSIONS].integer,
		.connected_ms = v[CONNECTED].integer, .silent_ms = v[SILENT].integer,
	};
	copy_text(v[KEY].type == SOLE_BYTES ? &v[KEY] : &v[NAME], client->name, sizeof client->name);
	return true;
}

static int ask_clients(struct reading *reading, struct sole *handle, struct sole_reply *reply)
{
	uint64_t from = 0, last;

	reading->clients = calloc(READING_CLIENTS, sizeof *reading->clients);
	if (reading->clients == NULL)
		return SOLE_LOCAL_MEMORY;
	do {
		last = from;
		if (sole_clients(handle, from, 0, reply) != SOLE_OK)
			return reply->code;
		if (reply->result_count < 1 || reply->results[0].count < 2 ||
		    reply->results[0].values[0].type != SOLE_INTEGER || reply->results[0].values[1].type != SOLE_INTEGER)
			return SOLE_PROTOCOL;
		from = (uint64_t)reply->results[0].values[0].integer;
		reading->client_total = (size_t)reply->results[0].values[1].integer;
		for (size_t i = 1; i < reply->result_count && reading->client_count < READING_CLIENTS; i++)
			reading->client_count += read_client(&reply->results[i], &reading->clients[reading->client_count]);
	} while (from > last && reading->client_count < READING_CLIENTS);
	for (size_t i = 0; i < reading->client_count; i++)
		name_of_process(reading->clients[i].pid, reading->clients[i].name, READING_TEXT);
	return SOLE_OK;
}

/* ---- the supervisor ---- */

/* Of supervisors that are not there nothing is said: this may be one of those machines that have none. */
static void say_nothing(const char *line, size_t bytes)
{
	(void)line, (void)bytes;
}

static void note_line(const char *line, void *context)
{
	struct reading *reading = context;

	if (reading->line_count < READING_LINES)
		snprintf(reading->lines[reading->line_count++], sizeof reading->lines[0], "%s", line);
}

/* ---- all of it ---- */

static int ask_all(struct reading *reading, struct sole *handle)
{
	struct sole_reply reply = { .code = SOLE_OK };

	int code = ask_status(reading, handle, &reply);
	if (code == SOLE_OK)
		code = ask_stats(reading, handle, &reply);
	if (code == SOLE_OK)
		code = series_ask(handle, &reading->series, &reply);
	if (code == SOLE_OK)
		code = ask_hot(reading, handle, &reply);
	reading->denied = code == SOLE_DENIED;
	if (code == SOLE_OK)
		code = ask_clients(reading, handle, &reply);
	if (reading->denied)
		code = SOLE_OK;
	if (code != SOLE_OK)
		snprintf(reading->why, sizeof reading->why, "%s: %s", sole_name_of(code),
			 reply.code == code ? reply.text : sole_text_of(code));
	return code;
}

struct reading *reading_take(struct sole *handle, const char *supervisor)
{
	struct reading *reading = calloc(1, sizeof *reading);

	if (reading == NULL)
		return NULL;
	reading->code = ask_all(reading, handle);
	reading->at_ns = clock_monotonic_ns();
	reading->wall_us = clock_wall_us();
	log_redirect(say_nothing);
	if (children_list(supervisor, NS_PER_S, note_line, reading) != 0)
		reading->line_count = 0;
	log_redirect(NULL);
	return reading;
}

void reading_free(struct reading **reading)
{
	if (*reading == NULL)
		return;
	series_clear(&(*reading)->series);
	free((*reading)->clients);
	free(*reading);
	*reading = NULL;
}
