/* SPDX-License-Identifier: MIT
 *
 * access.c - rules of access: which of them fits, and what it gives.
 */
#include "owner/service/access.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBERS = UINT16_MAX + 1 };

void access_init(struct access *access, uid_t owner)
{
	*access = (struct access){ .owner = owner };
}

void access_clear(struct access *access)
{
	for (size_t i = 0; i < access->count; i++) {
		free(access->rules[i].members);
		free(access->rules[i].operations);
	}
	free(access->rules);
	*access = (struct access){ .owner = access->owner };
}

/* ---- making rules ---- */

struct access_rule *access_add(struct access *access)
{
	enum { FIRST_ROOM = 8 };

	if (access->count == ACCESS_RULES_MAX)
		return NULL;
	if (access->count == access->room) {
		size_t room = access->room ? access->room * 2 : FIRST_ROOM;
		struct access_rule *grown = realloc(access->rules, room * sizeof *grown);
		if (grown == NULL)
			return NULL;
		access->rules = grown;
		access->room = room;
	}
	struct access_rule *rule = &access->rules[access->count++];
	*rule = (struct access_rule){ .right = RIGHT_NONE };
	return rule;
}

bool access_rule_member(struct access_rule *rule, uid_t uid)
{
	enum { FIRST_ROOM = 8 };

	if (rule->member_count == rule->member_room) {
		size_t room = rule->member_room ? rule->member_room * 2 : FIRST_ROOM;
		uid_t *grown = realloc(rule->members, room * sizeof *grown);
		if (grown == NULL)
			return false;
		rule->members = grown;
		rule->member_room = room;
	}
	rule->members[rule->member_count++] = uid;
	return true;
}

bool access_rule_operation(struct access_rule *rule, uint16_t number)
{
	if (rule->operations == NULL)
		rule->operations = calloc(NUMBERS / 8, 1);
	if (rule->operations == NULL)
		return false;
	rule->operations[number / 8] |= (uint8_t)(1U << number % 8);
	return true;
}

/* ---- deciding ---- */

static bool is_member(const struct access_rule *rule, uid_t uid)
{
	for (size_t i = 0; i < rule->member_count; i++)
		if (rule->members[i] == uid)
			return true;
	return false;
}

/* A keyed caller has no uid, whatever stands there, and one that is not known is nobody. */
static bool fits(const struct access_rule *rule, const struct caller *caller)
{
	bool keyed = caller_is_keyed(caller), local = caller->known && !keyed;

	switch (rule->who) {
	case WHO_USER:
		return local && caller->uid == rule->number;
	case WHO_GROUP:
		return local && (caller->gid == rule->number || is_member(rule, caller->uid));
	case WHO_KEY:
		return keyed && caller->key_name[0] != '\0' && strnlen(caller->key_name, KEY_NAME_MAX) <= ACCESS_KEY_BYTES &&
		       strncmp(caller->key_name, rule->key, KEY_NAME_MAX) == 0;
	case WHO_ANY_KEY:
		return keyed;
	case WHO_RELAYED:
		return !caller->known && !caller->clear;
	case WHO_CLEAR:
		return !caller->known && caller->clear;
	case WHO_ANYONE:
		return local;
	}
	return false;
}

const struct access_rule *access_find(const struct access *access, const struct caller *caller)
{
	static const struct access_rule nothing = { .right = RIGHT_NONE }, everything = { .right = RIGHT_ADMIN };
	bool master = caller->known && !caller_is_keyed(caller) && (caller->uid == 0 || caller->uid == access->owner);

	for (size_t i = 0; i < access->count; i++) {
		const struct access_rule *rule = &access->rules[i];
		if (fits(rule, caller) && (!master || rule->who == WHO_USER))
			return rule;
	}
	return master ? &everything : &nothing;
}

bool access_allows(const struct access_rule *rule, uint16_t operation, bool query)
{
	if (!access_gives(rule, query ? RIGHT_QUERY : RIGHT_COMMAND))
		return false;
	return rule->operations == NULL || (rule->operations[operation / 8] & 1U << operation % 8) != 0;
}

enum right access_right(const struct access *access, const struct caller *caller)
{
	return access_find(access, caller)->right;
}

const char *right_name(enum right right)
{
	static const char *const names[] = { [RIGHT_NONE] = "none", [RIGHT_QUERY] = "query", [RIGHT_COMMAND] = "command",
					     [RIGHT_ADMIN] = "admin" };

	return names[right];
}
