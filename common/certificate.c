/* SPDX-License-Identifier: MIT
 *
 * certificate.c - certificates of CURVE: read, made, written.
 *
 * The files are ZPL: of a section `curve` the items public-key and secret-key, quoted.
 * They are read here rather than with CZMQ, which the client library does without;
 * what else a file holds is nobody's business here.
 */
#include "common/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <zmq.h>

enum {
	FILE_BYTES_MAX = 64 * 1024,
	KEY_CHARACTERS = CERTIFICATE_TEXT_BYTES - 1,
	PATH_BYTES_MAX = 4096,
	OTHERS = S_IWGRP | S_IRWXO, /* who must not get at a secret */
};

static int refuse(char why[CERTIFICATE_WHY_MAX], int status, const char *path, const char *what)
{
	snprintf(why, CERTIFICATE_WHY_MAX, "the key in %.120s: %s", path, what);
	return status;
}

/* ---- the text ---- */

static bool is_key(const char *text, size_t size)
{
	uint8_t key[CERTIFICATE_KEY_BYTES];
	char copy[CERTIFICATE_TEXT_BYTES];

	if (size != KEY_CHARACTERS)
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	bool sound = zmq_z85_decode(key, copy) != NULL;
	explicit_bzero(key, sizeof key);
	explicit_bzero(copy, sizeof copy);
	return sound;
}

/* What stands behind "NAME =" in a line, without its quotes. False: the line is not of that name. */
static bool item_of(const char *line, size_t size, const char *name, const char **value, size_t *value_size)
{
	const char *end = line + size;
	size_t length = strlen(name);

	if ((size_t)(end - line) < length || memcmp(line, name, length) != 0)
		return false;
	for (line += length; line < end && (*line == ' ' || *line == '\t'); line++)
		;
	if (line == end || *line++ != '=')
		return false;
	for (; line < end && (*line == ' ' || *line == '\t'); line++)
		;
	const char *quote = line < end && (*line == '"' || *line == '\'') ? line++ : NULL;
	const char *stop = line;
	while (stop < end && (quote != NULL ? *stop != *quote : *stop != ' ' && *stop != '\t' && *stop != '\r'))
		stop++;
	*value = line;
	*value_size = (size_t)(stop - line);
	return true;
}

/* One line. *in_curve: whether the section it stands in is ours. */
static bool take_line(struct certificate *certificate, const char *line, size_t size, bool *in_curve)
{
	const char *value;
	size_t value_size, indent = 0;
	char *key = NULL;

	while (indent < size && (line[indent] == ' ' || line[indent] == '\t'))
		indent++;
	if (indent == size || line[indent] == '#' || line[indent] == '\r')
		return true;
	if (indent == 0) {
		while (size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\t' || line[size - 1] == '\r'))
			size--;
		*in_curve = size == 5 && memcmp(line, "curve", 5) == 0;
		return true;
	}
	if (!*in_curve)
		return true;
	if (item_of(line + indent, size - indent, "public-key", &value, &value_size))
		key = certificate->public_key;
	else if (item_of(line + indent, size - indent, "secret-key", &value, &value_size))
		key = certificate->secret_key;
	else
		return true;
	if (!is_key(value, value_size))
		return false;
	memcpy(key, value, KEY_CHARACTERS);
	key[KEY_CHARACTERS] = '\0';
	return true;
}

static bool take_text(struct certificate *certificate, const char *text, size_t size)
{
	bool in_curve = false;

	while (size > 0) {
		const char *end = memchr(text, '\n', size);
		size_t length = end != NULL ? (size_t)(end - text) : size;
		if (!take_line(certificate, text, length, &in_curve))
			return false;
		length += end != NULL;
		text += length;
		size -= length;
	}
	return true;
}

/* ---- files ---- */

static int status_of_errno(void)
{
	return errno == EACCES || errno == EPERM ? EX_NOPERM : EX_NOINPUT;
}

/* All of a file into `text`. Returns its size, or -1 and a status. */
static ssize_t read_text(int file, char text[FILE_BYTES_MAX], const char *path, int *status, char why[CERTIFICATE_WHY_MAX])
{
	size_t size = 0;

	while (size < FILE_BYTES_MAX) {
		ssize_t got = read(file, text + size, FILE_BYTES_MAX - size);
		if (got == 0)
			return (ssize_t)size;
		if (got < 0 && errno != EINTR) {
			*status = refuse(why, EX_IOERR, path, strerror(errno));
			return -1;
		}
		size += got > 0 ? (size_t)got : 0;
	}
	*status = refuse(why, EX_DATAERR, path, "it is too large for a certificate");
	return -1;
}

/* *mode: the file's. */
static int read_file(struct certificate *certificate, const char *path, mode_t *mode, char why[CERTIFICATE_WHY_MAX])
{
	char text[FILE_BYTES_MAX];
	struct stat st;
	int status = 0;

	memset(certificate, 0, sizeof *certificate);
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file < 0)
		return refuse(why, status_of_errno(), path, strerror(errno));
	if (fstat(file, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(file);
		return refuse(why, EX_NOINPUT, path, "it is no ordinary file");
	}
	*mode = st.st_mode;
	ssize_t size = read_text(file, text, path, &status, why);
	close(file);
	if (size >= 0 && (!take_text(certificate, text, (size_t)size) || certificate->public_key[0] == '\0'))
		status = refuse(why, EX_DATAERR, path,
				"it is no CURVE certificate (sole keygen makes one): under `curve` must stand public-key = \"...\"");
	explicit_bzero(text, sizeof text);
	return status;
}

int certificate_read(struct certificate *certificate, const char *path, char why[CERTIFICATE_WHY_MAX])
{
	mode_t mode;
	int status = read_file(certificate, path, &mode, why);

	certificate->secret_key[0] = '\0';
	return status;
}

static int check_secret(const struct certificate *certificate, const char *path, mode_t mode, char why[CERTIFICATE_WHY_MAX])
{
	char public_key[CERTIFICATE_TEXT_BYTES];

	if ((mode & OTHERS) != 0)
		return refuse(why, EX_NOPERM, path, "others may get at the secret key: chmod 600 the file, and make a new pair if they did");
	if (zmq_curve_public(public_key, certificate->secret_key) != 0)
		return refuse(why, EX_UNAVAILABLE, path, "this system's ZeroMQ has no CURVE");
	if (strcmp(public_key, certificate->public_key) != 0)
		return refuse(why, EX_DATAERR, path, "its public and its secret key are not of one pair");
	return 0;
}

int certificate_read_secret(struct certificate *certificate, const char *path, char why[CERTIFICATE_WHY_MAX])
{
	char beside[PATH_BYTES_MAX];
	mode_t mode;
	int status = read_file(certificate, path, &mode, why);

	if ((status == 0 && certificate->secret_key[0] == '\0') || (status == EX_NOINPUT && errno == ENOENT)) {
		snprintf(beside, sizeof beside, "%s" CERTIFICATE_SECRET_SUFFIX, path);
		bool public_only = status == 0;
		status = read_file(certificate, beside, &mode, why);
		if (status == EX_NOINPUT && public_only)
			refuse(why, status, path, "it is the public one alone, and the secret one is not beside it (FILE_secret)");
		path = beside;
	}
	if (status == 0 && certificate->secret_key[0] == '\0')
		status = refuse(why, EX_DATAERR, path, "there is no secret key in it");
	if (status == 0)
		status = check_secret(certificate, path, mode, why);
	if (status != 0)
		certificate_clear(certificate);
	return status;
}

/* ---- making ---- */

int certificate_make(struct certificate *certificate, char why[CERTIFICATE_WHY_MAX])
{
	if (zmq_curve_keypair(certificate->public_key, certificate->secret_key) == 0)
		return 0;
	snprintf(why, CERTIFICATE_WHY_MAX, "cannot make keys: %s",
		 errno == ENOTSUP ? "this system's ZeroMQ has no CURVE" : strerror(errno));
	return EX_UNAVAILABLE;
}

/* All of it and on disk, or not there. */
static int write_file(const char *path, mode_t mode, const char *text, char why[CERTIFICATE_WHY_MAX])
{
	size_t size = strlen(text), done = 0;
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

	if (file < 0)
		return refuse(why, EX_CANTCREAT, path,
			      errno == EEXIST ? "it is there already, and is not written over" : strerror(errno));
	while (done < size) {
		ssize_t wrote = write(file, text + done, size - done);
		if (wrote < 0 && errno != EINTR)
			break;
		done += wrote > 0 ? (size_t)wrote : 0;
	}
	bool whole = done == size && fchmod(file, mode) == 0 && fsync(file) == 0;
	int problem = errno;
	if (close(file) == 0 && whole)
		return 0;
	unlink(path);
	return refuse(why, EX_CANTCREAT, path, strerror(whole ? errno : problem));
}

int certificate_write(const struct certificate *certificate, const char *path, char why[CERTIFICATE_WHY_MAX])
{
	char text[512], beside[PATH_BYTES_MAX];
	struct stat st;

	if ((size_t)snprintf(beside, sizeof beside, "%s" CERTIFICATE_SECRET_SUFFIX, path) >= sizeof beside)
		return refuse(why, EX_CANTCREAT, path, strerror(ENAMETOOLONG));
	if (lstat(path, &st) == 0)
		return refuse(why, EX_CANTCREAT, path, "it is there already, and is not written over");
	snprintf(text, sizeof text,
		 "# A secret CURVE certificate. Keep it where only its user can read it; never copy it.\n"
		 "metadata\ncurve\n    public-key = \"%s\"\n    secret-key = \"%s\"\n",
		 certificate->public_key, certificate->secret_key);
	int status = write_file(beside, 0600, text, why);
	explicit_bzero(text, sizeof text);
	if (status != 0)
		return status;
	snprintf(text, sizeof text,
		 "# A public CURVE certificate. Give it to whoever is to know its user, by a way that you trust.\n"
		 "metadata\ncurve\n    public-key = \"%s\"\n", certificate->public_key);
	status = write_file(path, 0644, text, why);
	if (status != 0)
		unlink(beside);
	return status;
}

void certificate_clear(struct certificate *certificate)
{
	explicit_bzero(certificate, sizeof *certificate);
}
