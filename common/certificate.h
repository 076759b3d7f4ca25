/* SPDX-License-Identifier: MIT
 *
 * certificate.h - the keys of a peer in CURVE, as files that CZMQ's zcert and pyzmq write, too.
 *
 * A pair of keys is two files: FILE has the public one and may be given away, FILE_secret
 * has both and may not. Reading and making them is all that is done here; libzmq's
 * functions for keys are used, and none that needs a context.
 */
#ifndef SOLE_COMMON_CERTIFICATE_H
#define SOLE_COMMON_CERTIFICATE_H

#include <stdbool.h>

enum {
	CERTIFICATE_KEY_BYTES = 32,
	CERTIFICATE_TEXT_BYTES = 40 + 1, /* of a key as Z85, with its end */
	CERTIFICATE_WHY_MAX = 256,
};

#define CERTIFICATE_SECRET_SUFFIX "_secret"

struct certificate {
	char public_key[CERTIFICATE_TEXT_BYTES];
	char secret_key[CERTIFICATE_TEXT_BYTES]; /* "" when it is not known */
};

/* Reads FILE for its public key. Returns 0, or a status of <sysexits.h> with a sentence in `why`. Blocks for
 * the disk only: what is no regular file is refused. */
int certificate_read(struct certificate *certificate, const char *path, char why[CERTIFICATE_WHY_MAX]);

/* The same for both keys: FILE itself has them, or FILE_secret does. A file that others may read, or that is
 * no pair, is refused. */
int certificate_read_secret(struct certificate *certificate, const char *path, char why[CERTIFICATE_WHY_MAX]);

/* Makes a new pair. Returns as above: the system may have no CURVE. */
int certificate_make(struct certificate *certificate, char why[CERTIFICATE_WHY_MAX]);

/* Writes FILE_secret (0600), then FILE (0644). A file that is there is never written to: that is EX_CANTCREAT, and
 * then neither was written. */
int certificate_write(const struct certificate *certificate, const char *path, char why[CERTIFICATE_WHY_MAX]);

/* Forgets the secret key: no copy of it stays in the struct. */
void certificate_clear(struct certificate *certificate);

#endif
