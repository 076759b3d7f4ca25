/* SPDX-License-Identifier: MIT
 *
 * command_keygen.c - makes a pair of keys for an owner or for a client. Asks nobody.
 */
#include "clients/command.h"

#include "clients/print.h"
#include "common/certificate.h"
#include "common/log.h"

#include <stdio.h>

int command_keygen(int count, char **operands)
{
	struct certificate certificate;
	char why[CERTIFICATE_WHY_MAX];

	(void)count;
	int status = certificate_make(&certificate, why);
	if (status == 0)
		status = certificate_write(&certificate, operands[0], why);
	if (status != 0)
		log_error("%s", why);
	else if (settings.json) {
		fputs("{\"public\":", stdout);
		print_json_text(operands[0]);
		printf(",\"public-key\":");
		print_json_text(certificate.public_key);
		puts("}");
	} else {
		printf("%s: the public key, for those who are to know this one\n%s%s: the secret key, which stays here\n", operands[0],
		       operands[0], CERTIFICATE_SECRET_SUFFIX);
	}
	certificate_clear(&certificate);
	return status;
}
