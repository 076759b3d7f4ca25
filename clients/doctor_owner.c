/* SPDX-License-Identifier: MIT
 *
 * doctor_owner.c - an owner that answers: what it says of itself, and what /proc and the disk say.
 */
#include "clients/doctor.h"

#include "clients/command.h"
#include "common/clock.h"
#include "common/options.h"
#include "common/quantity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#define ANSWER_NS   (2 * NS_PER_S) /* an owner that takes longer is not well */
#define SLOW_NS     (250 * NS_PER_MS)
#define DISK_NS     (2 * NS_PER_S) /* how long --disk may measure */

enum {
	SYNCS_MOST = 200,
	SYNC_BYTES = 4096,
	FREE_LEAST_PERCENT = 10,
	DESCRIPTORS_BESIDE = 64, /* those that are not connections */
	CLOCK_AHEAD_MS = 1000,
};

/* ---- /proc ---- */

const char *proc_line(pid_t pid, const char *file, const char *key)
{
	static char line[4096];
	char path[64];
	bool there = false;

	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
	FILE *in = fopen(path, "re");
	while (in != NULL && !there && fgets(line, sizeof line, in) != NULL)
		there = strncmp(line, key, strlen(key)) == 0;
	if (in != NULL)
		fclose(in);
	if (!there)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	const char *rest = line + strlen(key);
	return rest + strspn(rest, " \t");
}

const char *name_of_process(pid_t pid)
{
	static char text[64];
	const char *name = proc_line(pid, "comm", "");

	snprintf(text, sizeof text, "%.32s (pid %ld)", name != NULL ? name : "a process", (long)pid);
	return text;
}

/* ---- this process and the system ---- */

void doctor_system(void)
{
	struct timex timex = { 0 };
	struct rlimit limit;

	/* What this process may have counts where it is one of many actors. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 64) {
		found(FINDING_WARNING, "limits", "this shell's programs may have %llu descriptors, and each owner takes one and more",
		      (unsigned long long)limit.rlim_cur);
		advise("ulimit -n 1024");
	}
	if (clock_wall_us() < INT64_C(1577836800000000)) {
		found(FINDING_WRONG, "clock", "the system's clock says it is before 2020: what expires does so at the wrong time");
		advise("set the clock: timedatectl set-ntp true, or date -s TIME");
	} else if (adjtimex(&timex) == TIME_ERROR && (timex.status & STA_UNSYNC) != 0) {
		found(FINDING_NOTE, "clock", "the system's clock is not kept in step by anybody; a state's own clock never goes back");
	}
}

/* ---- what the owner says ---- */

static const struct sole_value *status_value(const struct sole_reply *reply, const char *name)
{
	const struct sole_list *list = reply->results;

	for (size_t i = 0; reply->result_count > 0 && i + 1 < list->count; i += 2)
		if (list->values[i].type == SOLE_BYTES && list->values[i].size == strlen(name) &&
		    memcmp(list->values[i].bytes, name, strlen(name)) == 0)
			return &list->values[i + 1];
	return NULL;
}

static int64_t status_number(const struct sole_reply *reply, const char *name)
{
	const struct sole_value *value = status_value(reply, name);

	return value != NULL && value->type == SOLE_INTEGER ? value->integer : 0;
}

static void status_text(const struct sole_reply *reply, const char *name, char *text, size_t size)
{
	const struct sole_value *value = status_value(reply, name);

	text[0] = '\0';
	if (value != NULL && value->type == SOLE_BYTES)
		snprintf(text, size, "%.*s", (int)value->size, (const char *)value->bytes);
}

static void look_at_state(const char *name, const struct sole_reply *reply)
{
	char state[32];

	status_text(reply, "state", state, sizeof state);
	if (strcmp(state, "leaving") == 0) {
		found(FINDING_WARNING, "owner", "it is leaving: it takes no more requests");
		advise("wait until it is back, or start it again");
	}
	if (status_number(reply, "read-only") != 0) {
		found(FINDING_WARNING, "owner", "it is in read-only mode: commands are refused");
		advise("sole read-only -o %s off", name);
	}
}

static void look_at_version(const struct sole_reply *reply, pid_t pid)
{
	char version[64], path[64], target[4096];

	status_text(reply, "version", version, sizeof version);
	if (version[0] != '\0' && strcmp(version, PROGRAM_VERSION) != 0) {
		found(FINDING_WARNING, "version", "the owner is of version %s, this program of %s", version, PROGRAM_VERSION);
		advise("install one version, and restart the owner: its clients wait for it");
		return;
	}
	snprintf(path, sizeof path, "/proc/%ld/exe", (long)pid);
	ssize_t length = readlink(path, target, sizeof target - 1);
	target[length > 0 ? length : 0] = '\0';
	if (strstr(target, " (deleted)") != NULL) {
		found(FINDING_WARNING, "version", "the owner's program was replaced since it started: the old one still runs");
		advise("restart the owner: its clients wait for it");
		return;
	}
	found(FINDING_OK, "version", "%s, as this program", version[0] != '\0' ? version : "not told");
}

/* ---- locks ---- */

/* Of the endpoint and, where it has one, of the state's folder. */
static void look_at_locks(const struct sole_reply *reply, pid_t pid, pid_t holder)
{
	char folder[4096], path[4200];
	struct stat st;

	status_text(reply, "folder", folder, sizeof folder);
	snprintf(path, sizeof path, "%s/lock", folder);
	bool durable = folder[0] == '/' && stat(path, &st) == 0;
	pid_t state_holder = durable ? lock_holder(path) : pid;
	if (holder != pid || state_holder != pid) {
		found(FINDING_WRONG, "lock", "the lock of the %s is not held by the owner that answers, but by %s",
		      holder != pid ? "endpoint" : "state", holder != pid ? holder > 0 ? name_of_process(holder) : "nobody" :
		      state_holder > 0 ? name_of_process(state_holder) : "nobody");
		advise("somebody removed the lock's file: restart the owner before a second one starts");
	} else {
		found(FINDING_OK, "lock", "%s by %s", durable ? "endpoint and state are held" : "the endpoint is held",
		      name_of_process(pid));
	}
}

/* ---- limits ---- */

static void look_at_descriptors(const struct sole_reply *reply, pid_t pid)
{
	int64_t most = status_number(reply, "max-connections"), now = status_number(reply, "connections");
	const char *line = proc_line(pid, "limits", "Max open files");
	int64_t files = line != NULL ? strtoll(line, NULL, 10) : 0;

	/* Each connection takes a descriptor, and each client process another. */
	if (files > 0 && most > 0 && files < 2 * most + DESCRIPTORS_BESIDE) {
		found(FINDING_WARNING, "limits", "%" PRId64 " descriptors do not do for max-connections %" PRId64
		      ": with a process behind each, %" PRId64 " fit", files, most, (files - DESCRIPTORS_BESIDE) / 2);
		advise("raise the limit to %" PRId64 " (LimitNOFILE= of the unit, ulimit -n), or lower --max-connections",
		       2 * most + DESCRIPTORS_BESIDE);
	} else if (most > 0 && now * 10 >= most * 9) {
		found(FINDING_WARNING, "limits", "%" PRId64 " of at most %" PRId64 " connections are taken", now, most);
		advise("raise --max-connections; clients that come beyond it are cut");
	} else if (most > 0) {
		found(FINDING_OK, "limits", "%" PRId64 " of at most %" PRId64 " connections%s", now, most,
		      files == 0 ? "; its descriptors cannot be seen by this user" : "");
	}
}

/* memory.max of a control group or of one above it, the least; 0: none. */
static int64_t memory_limit(pid_t pid)
{
	const char *group = proc_line(pid, "cgroup", "0::");
	int64_t least = 0;
	char folder[4096], path[4200], text[32];

	if (group == NULL)
		return 0;
	snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", group);
	for (char *slash; strlen(folder) > strlen("/sys/fs/cgroup"); *slash = '\0') {
		snprintf(path, sizeof path, "%s/memory.max", folder);
		FILE *in = fopen(path, "re");
		if (in != NULL && fgets(text, sizeof text, in) != NULL && *text >= '0' && *text <= '9' &&
		    (least == 0 || strtoll(text, NULL, 10) < least))
			least = strtoll(text, NULL, 10);
		if (in != NULL)
			fclose(in);
		slash = strrchr(folder, '/');
	}
	return least;
}

static void look_at_memory(const struct sole_reply *reply, pid_t pid)
{
	int64_t resident = status_number(reply, "resident-bytes"), limit = memory_limit(pid);
	const char *adjustment = proc_line(pid, "oom_score_adj", "");
	char has[32], may[32];

	quantity_format_size(resident, has, sizeof has);
	quantity_format_size(limit, may, sizeof may);
	if (limit > 0 && resident > limit / 5 * 4) {
		found(FINDING_WARNING, "memory", "%s of the %s that its control group may have: beyond it the kernel ends the owner",
		      has, may);
		advise("raise MemoryMax=, or lower --max-state so that the owner refuses before");
	} else if (adjustment != NULL && strtol(adjustment, NULL, 10) > 0) {
		found(FINDING_NOTE, "memory", "%s; when memory is short the kernel ends it before others (oom_score_adj %s)", has,
		      adjustment);
	} else {
		found(FINDING_OK, "memory", "%s%s%s", has, limit > 0 ? " of at most " : "", limit > 0 ? may : "");
	}
}

/* ---- clock ---- */

static void look_at_clock(const struct sole_reply *reply)
{
	int64_t ahead_ms = status_number(reply, "clock-ahead-ms");
	char ahead[32], folder[4096];

	status_text(reply, "folder", folder, sizeof folder);
	if (ahead_ms <= CLOCK_AHEAD_MS) {
		found(FINDING_OK, "clock", "the state's is the system's");
		return;
	}
	quantity_format_duration(ahead_ms * NS_PER_MS, ahead, sizeof ahead);
	found(ahead_ms > 3600000 ? FINDING_WRONG : FINDING_WARNING, "clock",
	      "the system's clock went back: the state's is %s ahead and stands still, and nothing expires until then", ahead);
	advise("set the system's clock right; if it is, the state was written while it was wrong: stop the owner, "
	       "sole-owner --export %s >FILE, set its line `time` right, and --import FILE into a new folder", folder);
}

/* ---- disk ---- */

static int compare_times(const void *left, const void *right)
{
	const int64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* Times syncs of a page, as an owner appends it. False: errno. */
static bool measure_syncs(const char *folder, int64_t *median_ns, int64_t *worst_ns, int *syncs)
{
	static char page[SYNC_BYTES] = { 1 };
	int64_t times[SYNCS_MOST], start_ns = clock_monotonic_ns();
	int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600), count = 0;

	if (fd < 0)
		return false;
	/* The owner's journal is laid out beforehand, too. */
	bool well = posix_fallocate(fd, 0, (off_t)SYNCS_MOST * SYNC_BYTES) == 0 && fsync(fd) == 0;
	while (well && count < SYNCS_MOST && clock_monotonic_ns() - start_ns < DISK_NS) {
		int64_t before_ns = clock_monotonic_ns();
		well = pwrite(fd, page, sizeof page, (off_t)count * SYNC_BYTES) == (ssize_t)sizeof page && fdatasync(fd) == 0;
		times[count++] = clock_monotonic_ns() - before_ns;
	}
	int saved = errno;
	close(fd);
	errno = saved;
	if (!well || count == 0)
		return false;
	qsort(times, (size_t)count, sizeof *times, compare_times);
	*median_ns = times[count / 2];
	*worst_ns = times[count - 1];
	*syncs = count;
	return true;
}

static void look_at_syncs(const char *folder)
{
	int64_t median_ns, worst_ns;
	char median[32], worst[32];
	int count;

	if (!measure_syncs(folder, &median_ns, &worst_ns, &count)) {
		found(FINDING_WARNING, "disk", "%s: cannot measure: %s", folder, strerror(errno));
		advise("ask as the user who runs the owner, or as root");
		return;
	}
	quantity_format_duration(median_ns, median, sizeof median);
	quantity_format_duration(worst_ns, worst, sizeof worst);
	bool slow = median_ns > 20 * NS_PER_MS;
	found(slow ? FINDING_WARNING : FINDING_OK, "disk", "a sync takes %s, the longest of %d took %s: about %lld rounds a second",
	      median, count, worst, (long long)(NS_PER_S / (median_ns > 0 ? median_ns : 1)));
	if (slow)
		advise("put the state on a faster disk, or let --durability interval answer before the sync");
}

static void look_at_disk(const struct sole_reply *reply)
{
	int64_t state_bytes = status_number(reply, "state-bytes");
	char folder[4096], left[32], needed[32];
	struct statvfs fs;
	struct stat st;

	status_text(reply, "folder", folder, sizeof folder);
	if (folder[0] != '/') {
		found(FINDING_NOTE, "disk", "the state is in memory only: it goes with the owner");
		return;
	}
	if (stat(folder, &st) != 0 || statvfs(folder, &fs) != 0) {
		found(FINDING_NOTE, "disk", "%s: this user cannot look there (%s)", folder, strerror(errno));
		return;
	}
	if ((st.st_mode & 0077) != 0) {
		found(FINDING_WARNING, "disk", "%s is open to others (mode %04o): what is in the state can be read there", folder,
		      st.st_mode & 07777);
		advise("chmod 0700 %s", folder);
	}
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize, all = (uint64_t)fs.f_blocks * fs.f_frsize;
	quantity_format_size((int64_t)free_bytes, left, sizeof left);
	/* A snapshot is written beside the one before it, and the journal grows by as much meanwhile. */
	uint64_t wanted = 2 * (uint64_t)state_bytes + (UINT64_C(64) << 20);
	quantity_format_size((int64_t)wanted, needed, sizeof needed);
	if ((fs.f_flag & ST_RDONLY) != 0) {
		found(FINDING_WRONG, "disk", "%s is on a disk that cannot be written", folder);
		advise("see dmesg for what the kernel found wrong with it; mount it anew, then restart the owner");
	} else if (fs.f_files > 0 && fs.f_favail == 0) {
		found(FINDING_WRONG, "disk", "%s: no more files can be made there", folder);
		advise("remove files from that disk: its inodes are used up (df -i)");
	} else if (free_bytes < wanted) {
		found(FINDING_WRONG, "disk", "%s: %s free, and the next snapshot and its journal want %s", folder, left, needed);
		advise("make room: a full disk ends the owner. Fewer --keep-snapshots help, and so does a smaller --snapshot-after");
	} else if (free_bytes < all / 100 * FREE_LEAST_PERCENT) {
		found(FINDING_WARNING, "disk", "%s: %s free, less than %d%%", folder, left, FREE_LEAST_PERCENT);
		advise("make room before it is full");
	} else if (status_number(reply, "disk-low") != 0) {
		found(FINDING_WARNING, "disk", "%s: %s free, less than the owner was told to warn at", folder, left);
		advise("make room before it is full");
	} else {
		found(FINDING_OK, "disk", "%s: %s free", folder, left);
	}
	if (settings.disk)
		look_at_syncs(folder);
}

/* ---- the owner ---- */

static void not_answering(const char *path, const struct sole_reply *reply)
{
	if (reply->code == SOLE_DENIED) {
		found(FINDING_WRONG, "owner", "%s: it does not serve this user", path);
		advise("ask as a user whom its rules of access name, or add one: see sole-owner(8)");
	} else if (reply->code == SOLE_VERSION || reply->code == SOLE_PROTOCOL) {
		found(FINDING_WRONG, "version", "%s: what listens speaks no protocol that this program knows: %s", path, reply->text);
		advise("install one version of owner and clients, and restart the owner");
	} else {
		found(FINDING_WRONG, "owner", "%s: somebody listens, and does not answer: %s", path, reply->text);
		advise("it hangs, or is stopped (Ctrl-Z, SIGSTOP), or recovers a large state: see its log; its watchdog would end it");
	}
}

void doctor_owner(const char *name, const char *path, pid_t holder)
{
	char endpoint[4200], took[32];
	struct sole_options wanted = { .endpoint = endpoint, .program = "sole", .timeout_ns = ANSWER_NS };
	struct sole *handle;
	struct sole_reply reply;
	const char *why;

	snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
	if (sole_open_why(&handle, &wanted, &why) != SOLE_OK) {
		found(FINDING_WRONG, "socket", "%s: %s", path, why);
		advise("see what it says; sole ping -v -e %s tries the same", endpoint);
		return;
	}
	int64_t start_ns = clock_monotonic_ns();
	if (sole_status(handle, 0, &reply) != SOLE_OK) {
		not_answering(path, &reply);
		sole_close(&handle);
		return;
	}
	int64_t took_ns = clock_monotonic_ns() - start_ns;
	pid_t pid = (pid_t)status_number(&reply, "pid");
	quantity_format_duration(took_ns, took, sizeof took);
	found(took_ns > SLOW_NS ? FINDING_WARNING : FINDING_OK, "owner", "%s: %s answered in %s, connecting included", path,
	      name_of_process(pid), took);
	if (took_ns > SLOW_NS)
		advise("something keeps it busy: sole top -o %s shows what, sole stats -o %s how much", name, name);
	look_at_state(name, &reply);
	look_at_version(&reply, pid);
	look_at_locks(&reply, pid, holder);
	look_at_descriptors(&reply, pid);
	look_at_memory(&reply, pid);
	look_at_clock(&reply);
	look_at_disk(&reply);
	sole_close(&handle);
}
