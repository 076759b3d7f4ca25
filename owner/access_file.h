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

/* All add to `access`, which access_init has made. `behaviour` has the operations. False: there were mistakes, and each
 * has been told; `access` holds nothing then. A file that others than root and the owner's own user could write is a
 * mistake. */

/* The rules of a file of their own, where they stand at its top. */
bool access_file_load(struct access *access, const char *path, const struct sole_behaviour *behaviour);

/* Those of `zpl`, read from the file `path`, below a line 'access' among other settings. */
bool access_file_section(struct access *access, const struct zpl *zpl, const char *path, const struct sole_behaviour *behaviour);

#endif
