/* SPDX-License-Identifier: MIT
 *
 * reload.c - settings read again: all of them or none.
 */
#include "owner/reload.h"
#include "owner/access_file.h"
#include "common/log.h"

bool access_of_config(const struct config *config, uid_t owner, const struct sole_behaviour *behaviour, struct access *access)
{
	access_init(access, owner);
	if (config->access != NULL)
		return access_file_load(access, config->access, behaviour);
	return !config->access_section || access_file_section(access, &config->settings, config_file(config), behaviour);
}

bool reload(struct config *config, uid_t owner, const struct sole_behaviour *behaviour, struct access *access)
{
	struct config fresh;
	bool sound = config_read_again(&fresh);

	access_init(access, owner);
	if (sound) {
		sound = access_of_config(&fresh, owner, behaviour, access);
		if (sound)
			config_take(config, &fresh);
		config_clear(&fresh);
	}
	if (!sound)
		log_error("SIGHUP: settings with mistakes are not taken: access and limits are as they were");
	return sound;
}
