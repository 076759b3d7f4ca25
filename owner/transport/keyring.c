/* SPDX-License-Identifier: MIT
 *
 * keyring.c - a folder of certificates as a hash of keys, read as a whole each time.
 *
 * Whoever may write into the folder lets others in, so a folder that everybody may write
 * to is refused, as sshd does with a home.
 */
#include "owner/transport/keyring.h"
#include "common/log.h"
#include "common/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <zmq.h>

#define uthash_malloc(size) malloc(size)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* gcc 12 loses sight of what hangs in such a hash, and takes it for leaked. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

enum {
	KEYS_MAX = 10000,
	NAME_BYTES = KEY_NAME_MAX - 2, /* the longest that a rule of access can name */
};

struct entry {
	struct known_key key;
	UT_hash_handle hh;
};

struct keyring {
	const char *folder;
	struct entry *entries; /* by text */
	int inotify, watch;    /* -1: none */
};

/* ---- reading ---- */

/* Two different keys have the same number in one of 2^64 cases, or when somebody tried so many. */
static uint64_t number_of(const char *text)
{
	uint8_t key[CERTIFICATE_KEY_BYTES];
	uint64_t number = 0;

	zmq_z85_decode(key, text);
	for (size_t i = 0; i < sizeof number; i++)
		number = number << 8 | key[i];
	return number != 0 ? number : 1;
}

static void entries_free(struct entry **entries)
{
	while (*entries != NULL) {
		struct entry *first = *entries;
		HASH_DEL(*entries, first);
		free(first);
	}
}

static struct entry *find(struct entry *entries, const char *text)
{
	struct entry *found = NULL;

	if (entries != NULL && strlen(text) == CERTIFICATE_TEXT_BYTES - 1)
		HASH_FIND(hh, entries, text, CERTIFICATE_TEXT_BYTES - 1, found);
	return found;
}

/* False: no memory. */
static bool add(struct entry **entries, const struct certificate *certificate, const char *name)
{
	struct entry *there = find(*entries, certificate->public_key), *entry;

	if (there != NULL) {
		log_warn("client keys: %s and %s hold the same key: it is called %s", there->key.name, name, there->key.name);
		return true;
	}
	entry = calloc(1, sizeof *entry);
	if (entry == NULL)
		return false;
	memcpy(entry->key.text, certificate->public_key, sizeof entry->key.text);
	snprintf(entry->key.name, sizeof entry->key.name, "%s", name);
	entry->key.number = number_of(entry->key.text);
	HASH_ADD(hh, *entries, key.text, CERTIFICATE_TEXT_BYTES - 1, entry);
	if (entry->hh.tbl == NULL) { /* no memory for the hash */
		free(entry);
		return false;
	}
	return true;
}

static bool is_secret(const char *name)
{
	const size_t suffix = sizeof CERTIFICATE_SECRET_SUFFIX - 1;
	size_t length = strlen(name);

	return length > suffix && strcmp(name + length - suffix, CERTIFICATE_SECRET_SUFFIX) == 0;
}

/* Was it for want of something that has nothing to do with this file? Then it must not look as if the key were gone. */
static bool is_want(int status, int problem)
{
	return status == EX_IOERR ||
	       (status == EX_NOINPUT && (problem == EMFILE || problem == ENFILE || problem == ENOMEM || problem == EIO));
}

/* One file of the folder. 0, or errno's number where none of them can be read. */
static int take_file(struct entry **entries, const char *folder, const char *name)
{
	struct certificate certificate;
	char path[PATH_MAX], why[CERTIFICATE_WHY_MAX];
	struct stat st;

	if (name[0] == '.')
		return 0;
	if (is_secret(name)) {
		log_warn("client keys: %.64s is a secret key and of no use to an owner: leave it with its client", name);
		return 0;
	}
	if (strlen(name) > NAME_BYTES || rundir_name_problem(name) != NULL) {
		log_error("client keys: '%.64s' is not taken: name a key's file with at most %d letters, digits, '-', '_' and '.'",
			  name, NAME_BYTES);
		return 0;
	}
	if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
		return ENAMETOOLONG;
	/* Created a moment ago, and written to a moment from now: that is told, too. */
	if (stat(path, &st) != 0 || S_ISDIR(st.st_mode) || st.st_size == 0)
		return 0;
	int status = certificate_read(&certificate, path, why), problem = errno;
	if (status == 0)
		return add(entries, &certificate, name) ? 0 : ENOMEM;
	if (is_want(status, problem))
		return problem;
	log_error("client keys: not taken: %s", why);
	return 0;
}

/* 0, and the keys; else errno's number, and none. */
static int read_folder(const char *folder, struct entry **entries)
{
	struct dirent **names;
	int count = scandir(folder, &names, NULL, alphasort), problem = count < 0 ? errno : 0;

	*entries = NULL;
	for (int i = 0; i < count; i++) {
		if (problem == 0 && HASH_COUNT(*entries) >= KEYS_MAX)
			problem = E2BIG;
		if (problem == 0)
			problem = take_file(entries, folder, names[i]->d_name);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	if (problem != 0)
		entries_free(entries);
	return problem;
}

/* ---- watching ---- */

static void watch(struct keyring *keyring)
{
	const uint32_t events = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB |
				IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

	if (keyring->inotify < 0)
		return;
	/* Of a folder that was put in the place of another one, too. */
	int before = keyring->watch;
	keyring->watch = inotify_add_watch(keyring->inotify, keyring->folder, events);
	if (before >= 0 && before != keyring->watch)
		inotify_rm_watch(keyring->inotify, before);
}

int keyring_descriptor(const struct keyring *keyring)
{
	return keyring->inotify;
}

bool keyring_changed(struct keyring *keyring)
{
	char events[4096] __attribute__((aligned(8)));
	bool changed = false;

	while (keyring->inotify >= 0 && read(keyring->inotify, events, sizeof events) > 0)
		changed = true;
	return changed;
}

/* ---- a keyring ---- */

static int check_folder(const char *folder, char why[CERTIFICATE_WHY_MAX])
{
	struct stat st;

	if (stat(folder, &st) != 0) {
		snprintf(why, CERTIFICATE_WHY_MAX, "the folder of client keys, %.120s: %s", folder, strerror(errno));
		return errno == EACCES ? EX_NOPERM : EX_NOINPUT;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(why, CERTIFICATE_WHY_MAX, "%.120s is no folder: --client-keys takes one of public keys, a file each",
			 folder);
		return EX_NOINPUT;
	}
	if ((st.st_mode & S_IWOTH) != 0) {
		snprintf(why, CERTIFICATE_WHY_MAX,
			 "everybody may write to the folder of client keys, %.120s, and so let everybody in: chmod o-w", folder);
		return EX_NOPERM;
	}
	return 0;
}

int keyring_open(struct keyring **keyring, const char *folder, char why[CERTIFICATE_WHY_MAX])
{
	int status = check_folder(folder, why);

	*keyring = NULL;
	if (status != 0)
		return status;
	struct keyring *k = calloc(1, sizeof *k);
	if (k == NULL) {
		snprintf(why, CERTIFICATE_WHY_MAX, "no memory for client keys");
		return EX_OSERR;
	}
	k->folder = folder;
	k->watch = -1;
	k->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	watch(k); /* before it is read: what comes in between is read again */
	if (k->watch < 0)
		log_warn("client keys: the system does not tell of changes (%s): SIGHUP makes me look", strerror(errno));
	int problem = read_folder(folder, &k->entries);
	if (problem != 0) {
		snprintf(why, CERTIFICATE_WHY_MAX, "cannot read the folder of client keys, %.120s: %s", folder, strerror(problem));
		keyring_close(&k);
		return problem == EACCES ? EX_NOPERM : EX_NOINPUT;
	}
	*keyring = k;
	return 0;
}

void keyring_close(struct keyring **keyring)
{
	if (*keyring == NULL)
		return;
	entries_free(&(*keyring)->entries);
	if ((*keyring)->inotify >= 0)
		close((*keyring)->inotify);
	free(*keyring);
	*keyring = NULL;
}

/* Returns whether a key is gone. */
static bool tell_changes(struct entry *before, struct entry *after)
{
	bool gone = false;

	for (const struct entry *entry = after; entry != NULL; entry = entry->hh.next) {
		const struct entry *old = find(before, entry->key.text);
		if (old == NULL)
			log_info("client keys: %s may come now", entry->key.name);
		else if (strcmp(old->key.name, entry->key.name) != 0)
			log_info("client keys: %s is called %s now", old->key.name, entry->key.name);
	}
	for (const struct entry *entry = before; entry != NULL; entry = entry->hh.next)
		if (find(after, entry->key.text) == NULL) {
			log_info("client keys: %s may not come any more", entry->key.name);
			gone = true;
		}
	return gone;
}

bool keyring_reload(struct keyring *keyring)
{
	struct entry *entries;
	char why[CERTIFICATE_WHY_MAX];

	watch(keyring);
	keyring_changed(keyring); /* what was told up to now is about to be read */
	int status = check_folder(keyring->folder, why);
	if (status != 0)
		log_error("%s", why);
	int problem = status == EX_NOPERM ? EACCES : read_folder(keyring->folder, &entries);
	if (problem != 0 && problem != ENOENT && problem != ENOTDIR) {
		if (status == 0)
			log_error("cannot read the folder of client keys, %s: %s", keyring->folder, strerror(problem));
		return false;
	}
	bool gone = tell_changes(keyring->entries, entries);
	entries_free(&keyring->entries);
	keyring->entries = entries;
	return gone;
}

const struct known_key *keyring_find(const struct keyring *keyring, const char *text)
{
	const struct entry *entry = find(keyring->entries, text);

	return entry != NULL ? &entry->key : NULL;
}

bool keyring_has_number(const struct keyring *keyring, uint64_t number)
{
	const struct entry *entry = keyring->entries;

	while (entry != NULL && entry->key.number != number)
		entry = entry->hh.next;
	return entry != NULL;
}

size_t keyring_count(const struct keyring *keyring)
{
	return HASH_COUNT(keyring->entries);
}
