/* SPDX-License-Identifier: MIT
 *
 * restore.c - `sole-owner --restore` from a backup, and `--import` from a text: the whole of it is read
 * before anything is written.
 */
#include "owner/inspect/founding.h"
#include "owner/state/text.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

/* NULL: said. */
static FILE *open_file(const char *path)
{
	struct stat st;
	FILE *file = fopen(path, "r");

	if (file == NULL) {
		log_error("cannot read %s: %s", path, log_cause(errno));
		return NULL;
	}
	if (fstat(fileno(file), &st) == 0 && S_ISDIR(st.st_mode)) {
		log_error("%s is a folder: give the file", path);
		fclose(file);
		return NULL;
	}
	return file;
}

/* ---- a backup ---- */

static ssize_t read_source(void *context, void *bytes, size_t size)
{
	FILE *file = context;
	size_t got = fread(bytes, 1, size, file);

	return got < size && ferror(file) ? -errno : (ssize_t)got;
}

static void progress(void *context, uint64_t done, uint64_t all)
{
	inspect_progress(context, "the backup", done, all);
}

static int read_backup(const struct inspection *inspection, FILE *file, struct core *core,
		       struct origin *origin)
{
	const struct snapshot_source source = { .context = file, .read = read_source };
	struct snapshot_head head = { 0 };
	char why[400];

	if (!snapshot_read(&source, &head, core, progress, NULL, why, sizeof why)) {
		log_error("%s: %s", inspection->restore, why);
		bool named = head.behaviour[0] != '\0';
		bool ours = strcmp(head.behaviour, inspection->behaviour->name) == 0;
		return named && !ours ? EX_CONFIG : EX_DATAERR;
	}
	*origin = (struct origin){ .incarnation = head.incarnation, .round = head.round,
				   .version = head.version };
	return EX_OK;
}

int inspect_restore(const struct inspection *inspection)
{
	struct counters counters = { 0 };
	struct origin origin = { 0 };

	FILE *file = open_file(inspection->restore);
	if (file == NULL)
		return EX_NOINPUT;
	struct core *core = inspect_core(inspection, &counters);
	int status = core != NULL ? read_backup(inspection, file, core, &origin) : EX_OSERR;
	fclose(file);
	if (status == EX_OK)
		status = found_history(inspection, core, &origin);
	core_destroy(&core);
	return status;
}

/* ---- a text ---- */

struct import {
	const struct inspection *inspection;
	struct core *core;
	struct text_reader reader;
	struct map *map;
};

static int refuse(const struct import *import, const char *why)
{
	log_error("%s: line %" PRIu64 ": %s", import->inspection->import, import->reader.line, why);
	return EX_DATAERR;
}

static int take_head(const struct import *import)
{
	const struct text_head *head = &import->reader.head;
	const struct sole_behaviour *behaviour = import->inspection->behaviour;

	if (strcmp(head->behaviour, behaviour->name) == 0)
		return EX_OK;
	log_error("%s: the state is of the behaviour %s, and this one is %s: give the other with --behaviour",
		  import->inspection->import, head->behaviour, behaviour->name);
	return EX_CONFIG;
}

/* As it was when the text was written, so that ending it lets go of what it held. */
static int take_session(const struct import *import)
{
	const struct text_session *line = &import->reader.session;
	uint8_t nonce[PROTOCOL_NONCE_BYTES] = { 0 };
	struct session *session;

	memcpy(nonce, &line->id, sizeof line->id); /* only has to differ from those of the others */
	enum code code = sessions_restore(core_sessions(import->core), line->id, &line->caller, nonce,
					  &session);
	if (code == CODE_OK)
		code = session_restore_window(session, line->last + 1, line->last);
	for (size_t i = 0; code == CODE_OK && i < line->waiting_count; i++)
		code = session_restore_parked(session, line->waiting[i], NULL, NULL);
	if (code == CODE_OK)
		return EX_OK;
	if (code == CODE_NO_MEMORY) {
		log_error("no memory");
		return EX_OSERR;
	}
	return refuse(import, "there is no such session: its id is no session's, or another one's");
}

static int take_map(struct import *import)
{
	const struct value *value = &import->reader.map;
	char name[STORE_NAME_MAX_BYTES + 1];

	if (value->size > STORE_NAME_MAX_BYTES || memchr(value->bytes, '\0', value->size) != NULL)
		return refuse(import, "this is no name of a map");
	memcpy(name, value->bytes, value->size);
	name[value->size] = '\0';
	import->map = store_restore_map(core_store(import->core), name);
	if (import->map == NULL)
		return refuse(import, "there are more maps than a state can have");
	return EX_OK;
}

static int take_entry(const struct import *import)
{
	const struct text_entry *line = &import->reader.entry;
	const struct map_entry entry = { .key = line->key.bytes, .key_size = line->key.size,
					 .value = &line->value,
					 .revision = line->revision };

	if (line->revision > import->reader.head.revision)
		return refuse(import, "its revision is later than that of the state, which the line "
				      "'revision' tells");
	enum code code = map_restore(import->map, &entry);
	if (code == CODE_OK)
		return EX_OK;
	if (code == CODE_NO_MEMORY) {
		log_error("no memory");
		return EX_OSERR;
	}
	return refuse(import, "its key is not above the one before, byte by byte, or is longer than 1024 "
			      "bytes");
}

static int take_line(struct import *import, char *line, size_t size, bool *ended)
{
	switch (text_read(&import->reader, line, size)) {
	case TEXT_NOTHING:
		break;
	case TEXT_HEAD:
		return take_head(import);
	case TEXT_SESSION:
		return take_session(import);
	case TEXT_MAP:
		return take_map(import);
	case TEXT_ENTRY:
		return take_entry(import);
	case TEXT_END:
		*ended = true;
		break;
	case TEXT_WRONG:
		log_error("%s: %s", import->inspection->import, import->reader.why);
		return EX_DATAERR;
	}
	return EX_OK;
}

static int read_text(struct import *import, FILE *file)
{
	bool ended = false;
	char *line = NULL;
	size_t room = 0;
	ssize_t size;
	int status = EX_OK;

	while (status == EX_OK && (size = getline(&line, &room, file)) > 0) {
		if (line[size - 1] == '\n')
			size--;
		status = take_line(import, line, (size_t)size, &ended);
	}
	if (status == EX_OK && ferror(file)) {
		log_error("cannot read %s: %s", import->inspection->import, log_cause(errno));
		status = EX_IOERR;
	}
	if (status == EX_OK && !ended) {
		import->reader.line++;
		status = refuse(import, "the text ends here, and without 'end'");
	}
	free(line);
	return status;
}

int inspect_import(const struct inspection *inspection)
{
	struct counters counters = { 0 };
	struct import *import = calloc(1, sizeof *import);

	FILE *file = open_file(inspection->import);
	if (file == NULL || import == NULL) {
		if (file != NULL)
			fclose(file);
		free(import);
		return file == NULL ? EX_NOINPUT : EX_OSERR;
	}
	import->inspection = inspection;
	import->core = inspect_core(inspection, &counters);
	int status = import->core != NULL ? read_text(import, file) : EX_OSERR;
	fclose(file);
	if (status == EX_OK) {
		const struct text_head *head = &import->reader.head;
		const struct core_scalars scalars = { .revision = head->revision, .now_us = head->time_us,
						      .token = head->token };
		const struct origin origin = { .version = head->version };
		core_set_scalars(import->core, &scalars);
		status = found_history(inspection, import->core, &origin);
	}
	core_destroy(&import->core);
	free(import);
	return status;
}
