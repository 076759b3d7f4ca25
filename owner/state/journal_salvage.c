/* SPDX-License-Identifier: MIT
 *
 * journal_salvage.c - sector by sector, whatever lies between.
 *
 * The mark at the beginning of each sector keeps what is in records from being taken for a round's head.
 */
#include "owner/state/journal_salvage.h"
#include "owner/state/frame.h"
#include "owner/state/segment.h"

#include <errno.h>
#include <stdlib.h>

struct salvaging {
	uint64_t next; /* the round to be given next */
	bool over;     /* one is missing, or no more are wanted */
	bool at_end;   /* of the segment so far: whole, and nothing but zeros behind round next - 1 */
	bool (*visit)(void *context, const struct round *round);
	void *context;
	struct journal_salvage *salvage;
};

static void note_seen(struct journal_salvage *salvage, const struct frame *frame)
{
	if (frame->kind != FRAME_ROUND || frame->number < salvage->seen_round)
		return;
	salvage->seen_round = frame->number;
	salvage->seen_revision = frame->revision;
	salvage->seen_us = frame->time_us;
}

static int give(struct salvaging *it, const struct frame *frame, const uint8_t *sectors)
{
	uint8_t *records = malloc(frame->size > 0 ? (size_t)frame->size : 1);

	if (records == NULL)
		return -ENOMEM;
	frame_records(sectors, frame, records);
	const struct round round = { .number = frame->number, .time_us = frame->time_us,
				     .revision = frame->revision,
				     .count = frame->count, .records = records, .size = (size_t)frame->size };
	it->over = !it->visit(it->context, &round);
	it->next++;
	it->salvage->rounds++;
	free(records);
	return 0;
}

/* The bytes to go on by. */
static int64_t take_sector(struct salvaging *it, const uint8_t *sectors, uint64_t left)
{
	struct frame frame;
	uint64_t at;

	if (frame_zero(sectors))
		return FRAME_SECTOR;
	it->at_end = false;
	if (frame_read(sectors, &frame) != NULL)
		return FRAME_SECTOR;
	note_seen(it->salvage, &frame);
	uint64_t bytes = frame_bytes(frame.size);
	if (bytes > left || frame_check(sectors, &frame, &at) != FRAME_SOUND)
		return FRAME_SECTOR;
	if (frame.kind != FRAME_ROUND || it->visit == NULL || it->over || frame.number < it->next)
		return (int64_t)bytes;
	it->over = frame.number != it->next;
	int error = it->over ? 0 : give(it, &frame, sectors);
	it->at_end = !it->over;
	return error != 0 ? error : (int64_t)bytes;
}

static int take_segment(struct salvaging *it, const struct disk *disk, uint64_t first)
{
	char name[JOURNAL_NAME_BYTES];
	struct segment segment;
	int error = 0;

	segment_name(name, first);
	int file = disk->open(disk->context, name, DISK_READ);
	if (file < 0)
		return file;
	int64_t size = disk->size(disk->context, file);
	uint8_t *bytes = size > 0 ? malloc((size_t)size) : NULL;
	if (size < 0)
		error = (int)size;
	else if (size > 0 && bytes == NULL)
		error = -ENOMEM;
	else if (size > 0)
		error = disk_read_all(disk, file, bytes, (size_t)size, 0);
	bool whole = error == 0 && size >= SEGMENT_HEAD && segment_read(bytes, &segment) == NULL &&
		     segment.bytes == (uint64_t)size;
	it->at_end = whole && first == it->next;
	for (int64_t at = SEGMENT_HEAD, step; error == 0 && size - at >= FRAME_SECTOR; at += step) {
		step = take_sector(it, bytes + at, (uint64_t)(size - at));
		if (step < 0)
			error = (int)step;
	}
	it->at_end = it->at_end && whole;
	free(bytes);
	disk->close(disk->context, file);
	return error;
}

int journal_salvage(const struct disk *disk, uint64_t from,
		    bool (*visit)(void *context, const struct round *round), void *context,
		    struct journal_salvage *salvage)
{
	struct salvaging it = { .next = from, .visit = visit, .context = context, .salvage = salvage };
	struct segment_list list;
	int error = segment_list(disk, &list);

	*salvage = (struct journal_salvage){ 0 };
	if (error != 0)
		return error;
	for (size_t i = 0; error == 0 && i < list.count; i++)
		error = take_segment(&it, disk, list.firsts[i]);
	segment_list_clear(&list);
	salvage->ended = it.at_end && !it.over;
	return error;
}
