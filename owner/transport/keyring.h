/* SPDX-License-Identifier: MIT
 *
 * keyring.h - the keys of those who may come by tcp: a folder of public certificates.
 *
 * A key is called what its file is called: whoever puts the file there decides that, and
 * not who made the key. The folder is watched: what is put there or taken away counts
 * a moment later. Nothing here blocks but for the disk.
 */
#ifndef SOLE_OWNER_KEYRING_H
#define SOLE_OWNER_KEYRING_H

#include "common/certificate.h"
#include "owner/core/operations.h"

struct keyring;

struct known_key {
	char text[CERTIFICATE_TEXT_BYTES]; /* Z85 */
	char name[KEY_NAME_MAX];
	uint64_t number; /* what stands for it in sessions and records; never 0 */
};

/* Reads the folder. Returns 0, or a status of <sysexits.h> with a sentence in `why`. A file that is no
 * certificate keeps nobody else out: it is told in the log, and passed over. */
int keyring_open(struct keyring **keyring, const char *folder, char why[CERTIFICATE_WHY_MAX]);
void keyring_close(struct keyring **keyring);

/* Readable when the folder may have changed; the same for as long as this lives. -1: the system does not tell, and only
 * keyring_reload helps. */
int keyring_descriptor(const struct keyring *keyring);

/* Takes in that the folder has changed. False: it has not. */
bool keyring_changed(struct keyring *keyring);

/* Reads the folder anew, and tells in the log what is new or gone; returns whether a key is gone. A folder that cannot be
 * read leaves all as it was, but one that is not there any more has no keys. */
bool keyring_reload(struct keyring *keyring);

/* The key of that text, NULL when it is not one of these (any more), or no key. Valid until the next keyring_reload. */
const struct known_key *keyring_find(const struct keyring *keyring, const char *text);

/* The same by its number. */
bool keyring_has_number(const struct keyring *keyring, uint64_t number);

size_t keyring_count(const struct keyring *keyring);

#endif
