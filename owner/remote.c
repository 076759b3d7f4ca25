/* SPDX-License-Identifier: MIT
 *
 * remote.c - keys: read at the start, read again when the folder changes.
 *
 * In the clear is the exception that has to be asked for in as many words, and is told
 * at each start.
 */
#include "owner/remote.h"
#include "common/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>

void remote_open(struct remote *remote, const struct config *config, int wake)
{
	char why[CERTIFICATE_WHY_MAX];
	struct epoll_event event = { .events = EPOLLIN };
	int status;

	*remote = (struct remote){ 0 };
	if (config->listen == NULL || config->in_the_clear)
		return;
	status = certificate_read_secret(&remote->certificate, config->key, why);
	if (status != 0)
		fatal(status, "%s", why);
	status = keyring_open(&remote->keyring, config->client_keys, why);
	if (status != 0)
		fatal(status, "%s", why);
	int descriptor = keyring_descriptor(remote->keyring);
	if (wake >= 0 && descriptor >= 0 && epoll_ctl(wake, EPOLL_CTL_ADD, descriptor, &event) != 0)
		fatal(EX_OSERR, "cannot watch the folder of client keys: %s", strerror(errno));
}

void remote_close(struct remote *remote)
{
	keyring_close(&remote->keyring);
	remote_forget(remote);
}

void remote_settings(const struct remote *remote, const struct config *config, struct transport_settings *settings)
{
	settings->tcp = config->listen;
	settings->certificate = remote->keyring != NULL ? &remote->certificate : NULL;
	settings->keyring = remote->keyring;
}

void remote_forget(struct remote *remote)
{
	certificate_clear(&remote->certificate);
}

static bool is_known(const void *context, uint64_t number)
{
	return keyring_has_number(context, number);
}

void remote_begin(const struct remote *remote, const struct transport *transport, struct service *service, bool rules)
{
	char endpoint[256];

	transport_tcp_endpoint(transport, endpoint, sizeof endpoint);
	if (endpoint[0] == '\0')
		return;
	if (remote->keyring == NULL)
		log_warn("also at %s, in the clear: whoever reaches it can read, change and forge what is said there", endpoint);
	else
		log_info("also at %s, with CURVE: %zu client keys", endpoint, keyring_count(remote->keyring));
	if (!rules)
		log_warn("no rule of access says what those who come by tcp may do, so they may do nothing: see --access");
	if (remote->keyring != NULL)
		service_end_keys(service, is_known, remote->keyring);
}

void remote_tend(struct remote *remote, struct transport *transport, struct service *service, bool again)
{
	if (remote->keyring == NULL || (!keyring_changed(remote->keyring) && !again))
		return;
	if (!keyring_reload(remote->keyring))
		return;
	unsigned cut = transport_cut_revoked(transport);
	size_t sessions = service_end_keys(service, is_known, remote->keyring);
	if (cut > 0 || sessions > 0)
		log_info("client keys: cut %u connections by tcp, ended %zu sessions; who may still come connects again", cut, sessions);
}
