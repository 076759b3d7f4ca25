/* SPDX-License-Identifier: MIT
 *
 * access_file.h - rules of access as people write them, in ZPL.
 *
 *	rule
 *	    who = group staff
 *	    right = command
 *	    operations = get put
 *
 * Names of users, groups and operations become numbers here, by the user and group databases of this moment.
 */
#ifndef SOLE_OWNER_ACCESS_FILE_H
#define SOLE_OWNER_ACCESS_FILE_H

#include "common/zpl.h"
#include "owner/service/access.h"

/* The rules of a file, which stand at its top, or, `section`, below a line 'access' among other settings. They are added
 * to `access`, which access_init has made; each mistake is added to `mistakes`. `behaviour` has the operations. */
void access_file_read(struct access *access, const struct zpl *zpl, bool section, const struct sole_behaviour *behaviour,
		      struct mistakes *mistakes);

/* Loads the file and reads it so. A file that others than root and the owner's own user could write is a mistake. False:
 * there were mistakes, and they have been told; `access` holds nothing then. */
bool access_file_load(struct access *access, const char *path, bool section, const struct sole_behaviour *behaviour);

#endif
