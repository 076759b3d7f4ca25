/* SPDX-License-Identifier: MIT
 *
 * access.h - who may do what: rules, of which the first that fits a caller decides.
 *
 * Pure: who a caller is comes with struct caller, by the kernel's word or a key's; names of users, groups and
 * operations have become numbers before they come here (access_file.h). Whom no rule fits may do nothing, but root and
 * the owner's own user, who may do everything unless a rule names them: they could stop the owner and read its files
 * anyway, and a rule for "anyone" is not meant to lock them out.
 */
#ifndef SOLE_OWNER_ACCESS_H
#define SOLE_OWNER_ACCESS_H

#include "owner/core/operations.h"

/* Each holds those before it. */
enum right {
	RIGHT_NONE,
	RIGHT_QUERY,   /* reads: queries, events, what the owner tells of itself */
	RIGHT_COMMAND, /* opens sessions and changes the state */
	RIGHT_ADMIN,   /* sees and ends what is others', and takes copies of everything */
};

enum access_who {
	WHO_USER,    /* by uid */
	WHO_GROUP,   /* by the gid of the process, or as one of `members` */
	WHO_KEY,     /* by the name of the key's certificate */
	WHO_ANY_KEY,
	WHO_RELAYED, /* behind a broker: nobody tells who it is */
	WHO_CLEAR,   /* on tcp, in the clear: nobody tells either */
	WHO_ANYONE,  /* of this machine: whomever the kernel names */
};

enum {
	ACCESS_RULES_MAX = 256,
	/* A name this long may have been cut to fit into struct caller, and be another's: it fits no rule. */
	ACCESS_KEY_BYTES = KEY_NAME_MAX - 2,
	ACCESS_WATCH = 0, /* in place of an operation's number, which is from 1 on: WATCH */
};

struct access_rule {
	enum access_who who;
	uint32_t number; /* uid or gid */
	char key[KEY_NAME_MAX];
	uid_t *members;  /* of a group, by the group database when the rule was read */
	size_t member_count, member_room;
	enum right right;
	uint8_t *operations; /* one bit a number: these only; NULL: all that the right gives */
};

struct access {
	uid_t owner; /* the user that the owner runs as */
	struct access_rule *rules;
	size_t count, room;
};

/* Without rules. */
void access_init(struct access *access, uid_t owner);
void access_clear(struct access *access);

/* One more rule, behind the others: nothing but its place. NULL: no memory, or ACCESS_RULES_MAX. Valid until the next. */
struct access_rule *access_add(struct access *access);

/* False: no memory. From the first operation on only those that were given are allowed. */
bool access_rule_member(struct access_rule *rule, uid_t uid);
bool access_rule_operation(struct access_rule *rule, uint16_t number);

/* The rule that decides about the caller; never NULL. Valid as long as `access` is not changed. */
const struct access_rule *access_find(const struct access *access, const struct caller *caller);

/* What the rule gives. An operation that is no query needs the right to command. */
static inline bool access_gives(const struct access_rule *rule, enum right right)
{
	return rule->right >= right;
}
bool access_allows(const struct access_rule *rule, uint16_t operation, bool query);

/* Both in one, for who asks once. */
enum right access_right(const struct access *access, const struct caller *caller);

/* "none", "query", "command", "admin". */
const char *right_name(enum right right);

#endif
