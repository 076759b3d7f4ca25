/* SPDX-License-Identifier: MIT
 *
 * disk_space.c - looks how much room is left where the state is.
 */
#include "owner/disk_space.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

enum {
	LOOK_EVERY_MS = 2000,
	FILES_LEAST = 16, /* a journal makes files, too */
	ENOUGH_PART = 8,  /* enough is this part more than the mark: else each write could say so again */
};

void disk_space_init(struct disk_space *space, int folder, const char *path)
{
	*space = (struct disk_space){ .folder = folder, .path = path };
}

/* What is kept back for root counts as gone, whoever the owner runs as: it is not there for this. */
static bool room_left(const struct disk_space *space, uint64_t *bytes)
{
	struct statvfs fs;

	if (fstatvfs(space->folder, &fs) != 0)
		return false;
	*bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (fs.f_files > 0 && fs.f_favail < FILES_LEAST) /* 0: a filesystem that does not count them */
		*bytes = 0;
	return true;
}

int64_t disk_space_look(struct disk_space *space, uint64_t warning_bytes, struct gauges *gauges, struct counters *counters,
			int64_t now_ns)
{
	uint64_t bytes;

	if (now_ns < space->look_ns)
		return space->look_ns;
	space->look_ns = now_ns + LOOK_EVERY_MS * NS_PER_MS;
	if (!room_left(space, &bytes)) {
		if (!space->unknown_told)
			log_warn("cannot tell how much room is left in %s: %s", space->path, strerror(errno));
		space->unknown_told = true;
		return space->look_ns;
	}
	bool low = bytes < warning_bytes, enough = bytes >= warning_bytes + warning_bytes / ENOUGH_PART;
	gauges->disk_free_bytes = bytes;
	if (low && (!gauges->disk_low || bytes < space->told_free_bytes / 2)) {
		log_warn("%" PRIu64 " KiB are left on the disk of %s, less than disk-warning: make room, or the owner ends when there is none",
			 bytes >> 10, space->path);
		counters->disk_warnings += !gauges->disk_low;
		space->told_free_bytes = bytes;
	} else if (gauges->disk_low && enough) {
		log_info("%" PRIu64 " MiB are left on the disk of %s: enough again", bytes >> 20, space->path);
	}
	gauges->disk_low = low || (gauges->disk_low && !enough);
	return space->look_ns;
}
