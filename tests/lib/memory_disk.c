/* SPDX-License-Identifier: MIT
 *
 * memory_disk.c - a disk in memory: files, their names, and what of both would survive.
 *
 * A file (struct node) has two contents, `cached` and `stored`, and the sectors written since the
 * last sync in the order of the writes, each as it was after its write. Names are a table of the same kind: two
 * tables, and the changes between them.
 */
#include "tests/lib/memory_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512, NAME_MAX_BYTES = 64 };

struct content {
	uint8_t *data;
	uint64_t size, room;
};

/* A sector after a write that was not synced, and the size of the file then. */
struct pending {
	uint64_t sector, file_size;
	uint8_t bytes[SECTOR];
};

struct node {
	struct content cached, stored;
	struct pending *pending;
	size_t count, room;
};

struct entry {
	char name[NAME_MAX_BYTES];
	struct node *node;
};

struct table {
	struct entry *entries;
	size_t count, room;
};

/* from empty: a creation; to empty: a removal. */
struct change {
	char from[NAME_MAX_BYTES], to[NAME_MAX_BYTES];
	struct node *node;
};

struct memory_disk {
	struct disk seam;
	struct node **nodes;
	size_t nodes_count, nodes_room;
	struct table cached, stored;
	struct change *changes;
	size_t changes_count, changes_room;
	struct node **open; /* by file number; NULL: closed */
	size_t open_count, open_room;
	struct memory_fault fault;
	uint64_t until; /* the fault: calls that still succeed */
	bool struck;
	uint64_t calls[MEMORY_CALLS], creations;
	uint64_t random;
};

static uint64_t draw(struct memory_disk *disk)
{
	uint64_t z = disk->random += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t below(struct memory_disk *disk, uint64_t limit)
{
	return draw(disk) % limit;
}

static void *must(void *block)
{
	if (block == NULL) {
		fputs("memory_disk: out of memory\n", stderr);
		abort();
	}
	return block;
}

/* Room for one more in an array of `*room` of `size` bytes each. */
static void *grow(void *array, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return array;
	*room = *room ? *room * 2 : 8;
	return must(realloc(array, *room * size));
}

/* ---- contents ---- */

static void content_resize(struct content *content, uint64_t size)
{
	if (size > content->room) {
		uint64_t room = content->room ? content->room : SECTOR;
		while (room < size)
			room *= 2;
		content->data = must(realloc(content->data, room));
		content->room = room;
	}
	if (size > content->size)
		memset(content->data + content->size, 0, size - content->size);
	content->size = size;
}

static void content_put(struct content *content, const void *bytes, size_t size, uint64_t offset)
{
	if (offset + size > content->size)
		content_resize(content, offset + size);
	if (size > 0)
		memcpy(content->data + offset, bytes, size);
}

static void content_copy(struct content *to, const struct content *from)
{
	content_resize(to, 0);
	content_put(to, from->data, from->size, 0);
}

/* A sector of at most the file's size: `file_size` is what the write made it. */
static void content_put_sector(struct content *content, const struct pending *pending)
{
	uint64_t offset = pending->sector * SECTOR, left = pending->file_size - offset;

	content_put(content, pending->bytes, left < SECTOR ? left : SECTOR, offset);
}

static void node_note(struct node *node, uint64_t sector)
{
	node->pending = grow(node->pending, node->count, &node->room, sizeof *node->pending);
	struct pending *pending = &node->pending[node->count++];
	uint64_t offset = sector * SECTOR, left = node->cached.size - offset;

	*pending = (struct pending){ .sector = sector, .file_size = node->cached.size };
	memcpy(pending->bytes, node->cached.data + offset, left < SECTOR ? left : SECTOR);
}

static void node_write(struct node *node, const void *bytes, size_t size, uint64_t offset)
{
	if (size == 0)
		return;
	content_put(&node->cached, bytes, size, offset);
	for (uint64_t sector = offset / SECTOR; sector <= (offset + size - 1) / SECTOR; sector++)
		node_note(node, sector);
}

static void node_sync(struct node *node)
{
	for (size_t i = 0; i < node->count; i++)
		content_put_sector(&node->stored, &node->pending[i]);
	node->count = 0;
}

static int by_sector(const void *a, const void *b)
{
	const struct pending *const *x = a, *const *y = b;

	if ((*x)->sector != (*y)->sector)
		return (*x)->sector < (*y)->sector ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

/* What the disk has of what it was not told to have: each sector as it was after any of its writes. */
static void node_settle_by_chance(struct memory_disk *disk, struct node *node)
{
	if (node->count == 0)
		return;
	const struct pending **order = must(malloc(node->count * sizeof(const struct pending *)));
	uint64_t mood = below(disk, 4), size = node->stored.size;

	/* The size is another thing that is lost or kept: sectors behind it are gone. */
	for (size_t i = 0; i < node->count; i++) {
		order[i] = &node->pending[i];
		if (node->pending[i].file_size > size && below(disk, 2) == 0)
			size = node->pending[i].file_size;
	}
	qsort(order, node->count, sizeof(const struct pending *), by_sector);
	for (size_t i = 0, next; i < node->count; i = next) {
		for (next = i; next < node->count && order[next]->sector == order[i]->sector;)
			next++;
		uint64_t kept = below(disk, next - i + 1);
		/* Not always half and half: the one sector that is missing, or that is there, is as likely. */
		if (mood == 0 && below(disk, 16) != 0)
			kept = next - i;
		else if (mood == 1 && below(disk, 16) != 0)
			kept = 0;
		if (kept > 0)
			content_put_sector(&node->stored, order[i + kept - 1]);
	}
	content_resize(&node->stored, size);
	node->count = 0;
	free(order);
}

/* A sync that failed: what is not on the disk is no longer waiting to be written, and it depends on what else the
 * cache is needed for how long it is still seen. */
static void node_drop(struct memory_disk *disk, struct node *node)
{
	node_settle_by_chance(disk, node);
	uint64_t evict = below(disk, 3);
	for (uint64_t offset = 0; evict != 0 && offset < node->cached.size; offset += SECTOR) {
		uint64_t left = node->cached.size - offset, size = left < SECTOR ? left : SECTOR;
		if (offset + size <= node->stored.size && (evict == 1 || below(disk, 2) == 0))
			memcpy(node->cached.data + offset, node->stored.data + offset, size);
	}
}

/* ---- names ---- */

static struct entry *table_find(const struct table *table, const char *name)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->entries[i].name, name) == 0)
			return &table->entries[i];
	return NULL;
}

static void table_put(struct table *table, const char *name, struct node *node)
{
	struct entry *entry = table_find(table, name);

	if (entry == NULL) {
		table->entries = grow(table->entries, table->count, &table->room, sizeof *table->entries);
		entry = &table->entries[table->count++];
		snprintf(entry->name, sizeof entry->name, "%s", name);
	}
	entry->node = node;
}

static void table_remove(struct table *table, const char *name)
{
	struct entry *entry = table_find(table, name);

	if (entry != NULL)
		*entry = table->entries[--table->count];
}

static void table_copy(struct table *to, const struct table *from)
{
	to->count = 0;
	for (size_t i = 0; i < from->count; i++)
		table_put(to, from->entries[i].name, from->entries[i].node);
}

static void table_change(struct table *table, const struct change *change)
{
	if (*change->from != '\0')
		table_remove(table, change->from);
	if (*change->to != '\0')
		table_put(table, change->to, change->node);
}

static void note_change(struct memory_disk *disk, const char *from, const char *to, struct node *node)
{
	disk->changes = grow(disk->changes, disk->changes_count, &disk->changes_room, sizeof *disk->changes);
	struct change *change = &disk->changes[disk->changes_count++];

	*change = (struct change){ .node = node };
	snprintf(change->from, sizeof change->from, "%s", from);
	snprintf(change->to, sizeof change->to, "%s", to);
	table_change(&disk->cached, change);
}

static bool refers(const struct change *change, const char *name)
{
	return *name != '\0' && (strcmp(change->from, name) == 0 || strcmp(change->to, name) == 0);
}

/* Names as they may be found after a loss of power. */
static void names_settle_by_chance(struct memory_disk *disk)
{
	bool ordered = below(disk, 2) == 0;
	size_t kept = below(disk, disk->changes_count + 1);
	bool *lost = must(calloc(disk->changes_count + 1, sizeof *lost));

	for (size_t i = 0; i < disk->changes_count; i++) {
		const struct change *change = &disk->changes[i];
		lost[i] = ordered ? i >= kept : below(disk, 2) == 0;
		for (size_t j = 0; j < i && !lost[i]; j++)
			lost[i] = lost[j] &&
				  (refers(&disk->changes[j], change->from) || refers(&disk->changes[j], change->to));
		if (!lost[i])
			table_change(&disk->stored, change);
	}
	disk->changes_count = 0;
	free(lost);
}

static struct node *node_new(struct memory_disk *disk)
{
	disk->nodes = grow(disk->nodes, disk->nodes_count, &disk->nodes_room, sizeof(struct node *));
	return disk->nodes[disk->nodes_count++] = must(calloc(1, sizeof(struct node)));
}

static void node_free(struct node *node)
{
	free(node->cached.data);
	free(node->stored.data);
	free(node->pending);
	free(node);
}

static bool node_used(const struct memory_disk *disk, const struct node *node)
{
	for (size_t i = 0; i < disk->cached.count; i++)
		if (disk->cached.entries[i].node == node)
			return true;
	for (size_t i = 0; i < disk->stored.count; i++)
		if (disk->stored.entries[i].node == node)
			return true;
	for (size_t i = 0; i < disk->changes_count; i++)
		if (disk->changes[i].node == node)
			return true;
	for (size_t i = 0; i < disk->open_count; i++)
		if (disk->open[i] == node)
			return true;
	return false;
}

/* Files that no name leads to any more, whatever happens. */
static void sweep(struct memory_disk *disk)
{
	size_t kept = 0;

	for (size_t i = 0; i < disk->nodes_count; i++)
		if (node_used(disk, disk->nodes[i]))
			disk->nodes[kept++] = disk->nodes[i];
		else
			node_free(disk->nodes[i]);
	disk->nodes_count = kept;
}

/* ---- the calls ---- */

static bool meant(const struct memory_fault *fault, enum memory_call call, bool creates)
{
	if (fault->call == MEMORY_CHANGE)
		return call >= MEMORY_WRITE || creates;
	return fault->call == MEMORY_ANY || fault->call == call;
}

/* Counts the call. True: it is to fail. */
static bool strikes(struct memory_disk *disk, enum memory_call call, bool creates)
{
	disk->calls[call]++;
	disk->creations += creates;
	if (disk->fault.nth == 0)
		return false;
	if (disk->struck && disk->fault.dead)
		return true;
	if (!meant(&disk->fault, call, creates))
		return false;
	if (disk->until > 0 && --disk->until > 0)
		return false;
	if (disk->struck && !disk->fault.for_ever)
		return false;
	disk->struck = true;
	return true;
}

/* Of the first call that fails only: what comes after the end has no effect. */
static enum memory_effect effect_of(struct memory_disk *disk, bool again)
{
	return again && disk->fault.dead ? MEMORY_NOTHING : disk->fault.effect;
}

static int error_of(const struct memory_disk *disk)
{
	return disk->fault.error != 0 ? -disk->fault.error : -EIO;
}

static int do_list(void *context, void (*found)(void *argument, const char *name), void *argument)
{
	struct memory_disk *disk = context;

	if (strikes(disk, MEMORY_LIST, false))
		return error_of(disk);
	/* In no order that anybody should count on. */
	size_t first = disk->cached.count > 0 ? below(disk, disk->cached.count) : 0;
	for (size_t i = 0; i < disk->cached.count; i++)
		found(argument, disk->cached.entries[(first + i) % disk->cached.count].name);
	return 0;
}

static int do_open(void *context, const char *name, enum disk_mode mode)
{
	struct memory_disk *disk = context;
	struct entry *entry = table_find(&disk->cached, name);

	bool again = disk->struck, strike = strikes(disk, MEMORY_OPEN, mode == DISK_CREATE);
	if (strike && effect_of(disk, again) != MEMORY_ALL)
		return error_of(disk);
	if (strlen(name) >= NAME_MAX_BYTES)
		return -ENAMETOOLONG;
	if (mode == DISK_CREATE && entry != NULL)
		return -EEXIST;
	if (mode != DISK_CREATE && entry == NULL)
		return -ENOENT;
	struct node *node = entry != NULL ? entry->node : node_new(disk);
	if (entry == NULL)
		note_change(disk, "", name, node);
	if (strike)
		return error_of(disk);
	for (size_t i = 0; i < disk->open_count; i++)
		if (disk->open[i] == NULL) {
			disk->open[i] = node;
			return (int)i;
		}
	disk->open = grow(disk->open, disk->open_count, &disk->open_room, sizeof(struct node *));
	disk->open[disk->open_count] = node;
	return (int)disk->open_count++;
}

static struct node *opened(const struct memory_disk *disk, int file)
{
	if (file < 0 || (size_t)file >= disk->open_count || disk->open[file] == NULL) {
		fprintf(stderr, "memory_disk: file %d is not open\n", file);
		abort();
	}
	return disk->open[file];
}

static void do_close(void *context, int file)
{
	struct memory_disk *disk = context;

	opened(disk, file);
	disk->open[file] = NULL;
	sweep(disk);
}

static int64_t do_size(void *context, int file)
{
	struct memory_disk *disk = context;
	const struct node *node = opened(disk, file);

	return strikes(disk, MEMORY_SIZE, false) ? error_of(disk) : (int64_t)node->cached.size;
}

static ssize_t do_read(void *context, int file, void *bytes, size_t size, uint64_t offset)
{
	struct memory_disk *disk = context;
	const struct node *node = opened(disk, file);

	bool strike = strikes(disk, MEMORY_READ, false);
	if (strike && disk->fault.error != 0)
		return error_of(disk);
	if (offset >= node->cached.size)
		return 0;
	if (size > node->cached.size - offset)
		size = node->cached.size - offset;
	if (strike && size > 1)
		size = 1 + below(disk, size - 1);
	if (size > 0)
		memcpy(bytes, node->cached.data + offset, size);
	return (ssize_t)size;
}

static ssize_t do_write(void *context, int file, const void *bytes, size_t size, uint64_t offset)
{
	struct memory_disk *disk = context;
	struct node *node = opened(disk, file);

	bool again = disk->struck;
	if (!strikes(disk, MEMORY_WRITE, false)) {
		node_write(node, bytes, size, offset);
		return (ssize_t)size;
	}
	/* The system copies whole pages, and pages are whole sectors: nothing ends in the middle of one. */
	uint64_t sectors = size > 0 ? (offset + size - 1) / SECTOR - offset / SECTOR : 0;
	size_t cut = sectors > 0 ? (size_t)((offset / SECTOR + 1 + below(disk, sectors)) * SECTOR - offset) : 0;
	if (disk->fault.error == 0) {
		cut = cut > 0 ? cut : size;
		node_write(node, bytes, cut, offset);
		return (ssize_t)cut;
	}
	enum memory_effect effect = effect_of(disk, again);
	if (effect != MEMORY_NOTHING)
		node_write(node, bytes, effect == MEMORY_ALL ? size : cut, offset);
	return error_of(disk);
}

static int do_sync(void *context, int file)
{
	struct memory_disk *disk = context;
	struct node *node = opened(disk, file);

	bool again = disk->struck;
	if (!strikes(disk, MEMORY_SYNC, false)) {
		node_sync(node);
		return 0;
	}
	enum memory_effect effect = effect_of(disk, again);
	if (effect == MEMORY_ALL)
		node_sync(node);
	else if (disk->fault.drops && !(again && disk->fault.dead))
		node_drop(disk, node);
	return error_of(disk);
}

static int do_rename(void *context, const char *from, const char *to)
{
	struct memory_disk *disk = context;
	const struct entry *entry = table_find(&disk->cached, from);

	bool again = disk->struck, strike = strikes(disk, MEMORY_RENAME, false);
	if (!strike || effect_of(disk, again) == MEMORY_ALL) {
		if (entry == NULL)
			return -ENOENT;
		if (strlen(to) >= NAME_MAX_BYTES)
			return -ENAMETOOLONG;
		note_change(disk, from, to, entry->node);
	}
	return strike ? error_of(disk) : 0;
}

static int do_remove(void *context, const char *name)
{
	struct memory_disk *disk = context;

	bool again = disk->struck, strike = strikes(disk, MEMORY_REMOVE, false);
	if (!strike || effect_of(disk, again) == MEMORY_ALL) {
		if (table_find(&disk->cached, name) == NULL)
			return -ENOENT;
		note_change(disk, name, "", NULL);
	}
	return strike ? error_of(disk) : 0;
}

static int do_sync_folder(void *context)
{
	struct memory_disk *disk = context;

	bool again = disk->struck, strike = strikes(disk, MEMORY_SYNC_FOLDER, false);
	if (!strike || effect_of(disk, again) == MEMORY_ALL) {
		table_copy(&disk->stored, &disk->cached);
		disk->changes_count = 0;
		sweep(disk);
	}
	return strike ? error_of(disk) : 0;
}

/* ---- what tests do with it ---- */

struct memory_disk *memory_disk_new(uint64_t seed)
{
	struct memory_disk *disk = must(calloc(1, sizeof *disk));

	disk->random = seed;
	disk->seam = (struct disk){ .context = disk,
				    .list = do_list,
				    .open = do_open,
				    .close = do_close,
				    .size = do_size,
				    .read = do_read,
				    .write = do_write,
				    .sync = do_sync,
				    .rename = do_rename,
				    .remove = do_remove,
				    .sync_folder = do_sync_folder };
	return disk;
}

void memory_disk_free(struct memory_disk *disk)
{
	if (disk == NULL)
		return;
	for (size_t i = 0; i < disk->nodes_count; i++)
		node_free(disk->nodes[i]);
	free(disk->nodes);
	free(disk->cached.entries);
	free(disk->stored.entries);
	free(disk->changes);
	free(disk->open);
	free(disk);
}

static struct node *twin(struct memory_disk *disk, const struct memory_disk *of, const struct node *node)
{
	for (size_t i = 0; i < of->nodes_count; i++)
		if (of->nodes[i] == node)
			return disk->nodes[i];
	return NULL;
}

struct memory_disk *memory_disk_clone(const struct memory_disk *disk, uint64_t seed)
{
	struct memory_disk *clone = memory_disk_new(seed);

	for (size_t i = 0; i < disk->nodes_count; i++) {
		const struct node *from = disk->nodes[i];
		struct node *to = node_new(clone);
		content_copy(&to->cached, &from->cached);
		content_copy(&to->stored, &from->stored);
		if (from->count > 0) {
			to->pending = must(malloc(from->count * sizeof *to->pending));
			memcpy(to->pending, from->pending, from->count * sizeof *to->pending);
			to->count = to->room = from->count;
		}
	}
	for (size_t i = 0; i < disk->stored.count; i++)
		table_put(&clone->stored, disk->stored.entries[i].name, twin(clone, disk, disk->stored.entries[i].node));
	table_copy(&clone->cached, &clone->stored);
	for (size_t i = 0; i < disk->changes_count; i++)
		note_change(clone, disk->changes[i].from, disk->changes[i].to, twin(clone, disk, disk->changes[i].node));
	sweep(clone);
	return clone;
}

const struct disk *memory_disk_seam(struct memory_disk *disk)
{
	return &disk->seam;
}

void memory_disk_fail(struct memory_disk *disk, const struct memory_fault *fault)
{
	disk->fault = fault != NULL ? *fault : (struct memory_fault){ 0 };
	disk->until = disk->fault.nth;
	disk->struck = false;
}

bool memory_disk_failed(const struct memory_disk *disk)
{
	return disk->struck;
}

void memory_disk_crash(struct memory_disk *disk)
{
	memory_disk_fail(disk, NULL);
	disk->open_count = 0;
	sweep(disk);
}

void memory_disk_lose_power(struct memory_disk *disk, uint64_t seed)
{
	disk->random = seed;
	memory_disk_crash(disk);
	for (size_t i = 0; i < disk->nodes_count; i++) {
		node_settle_by_chance(disk, disk->nodes[i]);
		content_copy(&disk->nodes[i]->cached, &disk->nodes[i]->stored);
	}
	names_settle_by_chance(disk);
	table_copy(&disk->cached, &disk->stored);
	sweep(disk);
}

void memory_disk_settle(struct memory_disk *disk)
{
	for (size_t i = 0; i < disk->nodes_count; i++)
		node_sync(disk->nodes[i]);
	table_copy(&disk->stored, &disk->cached);
	disk->changes_count = 0;
	sweep(disk);
}

uint64_t memory_disk_calls(const struct memory_disk *disk, enum memory_call call)
{
	uint64_t sum = call == MEMORY_CHANGE ? disk->creations : 0;

	if (call < MEMORY_CALLS)
		return disk->calls[call];
	for (int each = call == MEMORY_CHANGE ? MEMORY_WRITE : 0; each < MEMORY_CALLS; each++)
		sum += disk->calls[each];
	return sum;
}

uint64_t memory_disk_open_files(const struct memory_disk *disk)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < disk->open_count; i++)
		sum += disk->open[i] != NULL;
	return sum;
}

bool memory_disk_has(const struct memory_disk *disk, const char *name)
{
	return table_find(&disk->cached, name) != NULL;
}

static struct node *named(const struct memory_disk *disk, const char *name)
{
	const struct entry *entry = table_find(&disk->cached, name);

	if (entry == NULL) {
		fprintf(stderr, "memory_disk: there is no %s\n", name);
		abort();
	}
	return entry->node;
}

uint64_t memory_disk_size(const struct memory_disk *disk, const char *name)
{
	return named(disk, name)->cached.size;
}

const uint8_t *memory_disk_bytes(const struct memory_disk *disk, const char *name)
{
	return named(disk, name)->cached.data;
}

void memory_disk_poke(struct memory_disk *disk, const char *name, uint64_t offset, uint8_t byte)
{
	struct node *node = named(disk, name);

	node_sync(node);
	if (offset >= node->cached.size)
		abort();
	node->cached.data[offset] = node->stored.data[offset] = byte;
}

void memory_disk_resize(struct memory_disk *disk, const char *name, uint64_t size)
{
	struct node *node = named(disk, name);

	node_sync(node);
	content_resize(&node->cached, size);
	content_resize(&node->stored, size);
}

void memory_disk_remove(struct memory_disk *disk, const char *name)
{
	named(disk, name);
	note_change(disk, name, "", NULL);
	memory_disk_settle(disk);
}

void memory_disk_put(struct memory_disk *disk, const char *name, const void *bytes, size_t size)
{
	struct node *node = node_new(disk);

	content_put(&node->cached, bytes, size, 0);
	content_put(&node->stored, bytes, size, 0);
	note_change(disk, "", name, node);
	memory_disk_settle(disk);
}
