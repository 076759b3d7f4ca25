/* SPDX-License-Identifier: MIT
 *
 * access_file.c - from the items of a ZPL file to rules of access.
 *
 * Reading goes on after a mistake, so that all of them are told at once; rules with a mistake anywhere are never used.
 */
#include "owner/access_file.h"
#include "common/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WORDS_MAX = 256, WORDS_BYTES = 4096 };

/* Where reading is. */
struct reader {
	struct access *access;
	const struct sole_behaviour *behaviour;
	struct mistakes *mistakes;
	struct access_rule *rule;      /* whose settings come, or NULL */
	unsigned rule_line;
	bool who_known;                /* and there was nothing wrong with it */
	unsigned who_line, right_line, operations_line; /* where each was given, or 0 */
	unsigned lines[ACCESS_RULES_MAX];               /* where each rule begins */
};

/* ---- who ---- */

static bool number_of(const char *text, uint32_t *number)
{
	char *end = NULL;

	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value >= UINT32_MAX)
		return false;
	*number = (uint32_t)value;
	return true;
}

static const char *take_user(struct reader *r, const char *name)
{
	errno = 0;
	/* cppcheck-suppress getpwnamCalled ; one thread looks names up */
	const struct passwd *user = getpwnam(name);
	if (user == NULL)
		return errno == 0 || errno == ENOENT ? "there is no user of that name: 'uid N' needs none" :
						       "the user database cannot be read: 'uid N' needs none";
	r->rule->who = WHO_USER;
	r->rule->number = user->pw_uid;
	return NULL;
}

/* Who is listed as a member; whose first group it is, is known by the gid of his processes. */
static const char *take_members(struct reader *r, const struct group *group)
{
	for (char **member = group->gr_mem; *member != NULL; member++) {
		/* cppcheck-suppress getpwnamCalled ; one thread looks names up */
		const struct passwd *user = getpwnam(*member);
		if (user != NULL && !access_rule_member(r->rule, user->pw_uid))
			return "there is no memory for the members of the group";
	}
	return NULL;
}

static const char *take_group(struct reader *r, const char *name)
{
	errno = 0;
	/* cppcheck-suppress getgrnamCalled ; one thread looks names up */
	const struct group *group = getgrnam(name);
	if (group == NULL)
		return errno == 0 || errno == ENOENT ? "there is no group of that name: 'gid N' needs none" :
						       "the group database cannot be read: 'gid N' needs none";
	r->rule->who = WHO_GROUP;
	r->rule->number = group->gr_gid;
	return take_members(r, group);
}

static const char *take_uid(struct reader *r, const char *text)
{
	r->rule->who = WHO_USER;
	return number_of(text, &r->rule->number) ? NULL : "a uid is a number";
}

static const char *take_gid(struct reader *r, const char *text)
{
	r->rule->who = WHO_GROUP;
	if (!number_of(text, &r->rule->number))
		return "a gid is a number";
	/* cppcheck-suppress getgrgidCalled ; one thread looks names up */
	const struct group *group = getgrgid(r->rule->number);
	return group != NULL ? take_members(r, group) : NULL;
}

static const char *take_key(struct reader *r, const char *name)
{
	static char text[96];

	r->rule->who = WHO_KEY;
	if (strlen(name) > ACCESS_KEY_BYTES) {
		snprintf(text, sizeof text, "the name of a key has no more than %d characters here", ACCESS_KEY_BYTES);
		return text;
	}
	snprintf(r->rule->key, sizeof r->rule->key, "%s", name);
	return NULL;
}

static const char who_help[] = "it is one of: user NAME, uid N, group NAME, gid N, key NAME, any key, relayed, clear, anyone";

static const char *take_who(struct reader *r, const char *value)
{
	static const struct {
		const char *word;
		const char *(*take)(struct reader *, const char *);
	} named[] = { { "user ", take_user }, { "uid ", take_uid }, { "group ", take_group }, { "gid ", take_gid },
		      { "key ", take_key } };
	static const struct {
		const char *word;
		enum access_who who;
	} alone[] = { { "any key", WHO_ANY_KEY }, { "relayed", WHO_RELAYED }, { "clear", WHO_CLEAR }, { "anyone", WHO_ANYONE } };

	for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
		if (strcmp(value, alone[i].word) == 0) {
			r->rule->who = alone[i].who;
			return NULL;
		}
	for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
		size_t length = strlen(named[i].word);
		if (strncmp(value, named[i].word, length) != 0)
			continue;
		const char *name = value + length + strspn(value + length, " ");
		return *name != '\0' ? named[i].take(r, name) : who_help;
	}
	return who_help;
}

/* ---- what ---- */

static const char *take_right(struct reader *r, const char *value)
{
	for (enum right right = RIGHT_NONE; right <= RIGHT_ADMIN; right++)
		if (strcmp(value, right_name(right)) == 0) {
			r->rule->right = right;
			return NULL;
		}
	return "it is one of: none, query, command, admin";
}

static const struct sole_operation_entry *operation_named(const struct sole_behaviour *behaviour, const char *name)
{
	for (size_t i = 0; i < behaviour->operation_count; i++)
		if (strcmp(behaviour->operations[i].name, name) == 0)
			return &behaviour->operations[i];
	return NULL;
}

static void take_operations(struct reader *r, unsigned line, const char *value)
{
	char words[WORDS_BYTES], *rest = NULL;
	unsigned count = 0;

	if (strlen(value) >= sizeof words) {
		mistakes_add(r->mistakes, line, "operations: the line is too long");
		return;
	}
	snprintf(words, sizeof words, "%s", value);
	for (char *word = strtok_r(words, " ,", &rest); word != NULL; word = strtok_r(NULL, " ,", &rest)) {
		const struct sole_operation_entry *entry = operation_named(r->behaviour, word);
		bool watch = strcmp(word, "watch") == 0;
		count++;
		if (entry == NULL && !watch)
			mistakes_add(r->mistakes, line, "operations: %s has no operation '%.60s'", r->behaviour->name, word);
		if ((watch && !access_rule_operation(r->rule, ACCESS_WATCH)) ||
		    (entry != NULL && !access_rule_operation(r->rule, entry->number)))
			mistakes_add(r->mistakes, line, "operations: there is no memory for them");
	}
	if (count == 0)
		mistakes_add(r->mistakes, line, "operations: names at least one; without the line there are all that the right gives");
}

/* ---- rules ---- */

static bool same_who(const struct access_rule *a, const struct access_rule *b)
{
	return a->who == b->who && a->number == b->number && strcmp(a->key, b->key) == 0;
}

/* What only shows when all of a rule has been read. */
static void finish_rule(struct reader *r)
{
	const struct access *access = r->access;
	struct access_rule *rule = r->rule;

	if (rule == NULL)
		return;
	if (r->who_line == 0)
		mistakes_add(r->mistakes, r->rule_line, "the rule does not say who: add a line 'who = ...'; %s", who_help);
	if (r->right_line == 0)
		mistakes_add(r->mistakes, r->rule_line, "the rule gives no right: add a line 'right = ...', of none, query, command, admin");
	if (r->operations_line != 0 && r->right_line != 0 && rule->right != RIGHT_QUERY && rule->right != RIGHT_COMMAND)
		mistakes_add(r->mistakes, r->operations_line, "operations go with the rights query and command only");
	for (size_t i = 0; r->who_known && i + 1 < access->count; i++)
		if (same_who(&access->rules[i], rule)) {
			mistakes_add(r->mistakes, r->who_line, "the rule of line %u is for the same, and the first that fits decides",
				     r->lines[i]);
			break;
		}
	r->rule = NULL;
}

static void begin_rule(struct reader *r, const struct zpl_item *item)
{
	finish_rule(r);
	if (strcmp(item->name, "rule") != 0 || *item->value != '\0') {
		mistakes_add(r->mistakes, item->line, "'%.60s' is not a line 'rule', below which 'who' and 'right' stand", item->name);
		return;
	}
	r->rule = access_add(r->access);
	if (r->rule == NULL) {
		mistakes_add(r->mistakes, item->line, "there are more than %d rules, or there is no memory for them", ACCESS_RULES_MAX);
		return;
	}
	r->lines[r->access->count - 1] = r->rule_line = item->line;
	r->who_known = false;
	r->who_line = r->right_line = r->operations_line = 0;
}

static bool given_once(struct reader *r, const struct zpl_item *item, unsigned *line)
{
	if (*line != 0) {
		mistakes_add(r->mistakes, item->line, "%s was given in line %u already", item->name, *line);
		return false;
	}
	*line = item->line;
	return true;
}

static void take_setting(struct reader *r, const struct zpl_item *item)
{
	const char *problem = NULL;

	if (strcmp(item->name, "who") == 0) {
		if (given_once(r, item, &r->who_line)) {
			problem = take_who(r, item->value);
			r->who_known = problem == NULL;
		}
	} else if (strcmp(item->name, "right") == 0) {
		if (given_once(r, item, &r->right_line))
			problem = take_right(r, item->value);
	} else if (strcmp(item->name, "operations") == 0) {
		if (given_once(r, item, &r->operations_line))
			take_operations(r, item->line, item->value);
	} else {
		mistakes_add(r->mistakes, item->line, "'%.60s' is no setting of a rule: who, right and operations are", item->name);
	}
	if (problem != NULL)
		mistakes_add(r->mistakes, item->line, "%s = %.60s: %s", item->name, item->value, problem);
}

static void read_rules(struct access *access, const struct zpl *zpl, bool section, const struct sole_behaviour *behaviour,
		       struct mistakes *mistakes)
{
	struct reader r = { .access = access, .behaviour = behaviour, .mistakes = mistakes };
	unsigned base = section ? 1 : 0;
	bool inside = !section;

	for (size_t i = 0; i < zpl->count; i++) {
		const struct zpl_item *item = &zpl->items[i];
		if (section && item->level == 0)
			inside = strcmp(item->name, "access") == 0;
		if (!inside || item->level < base || strcmp(item->name, "$") == 0) /* which was told already */
			continue;
		if (item->level == base)
			begin_rule(&r, item);
		else if (item->level == base + 1 && r.rule != NULL)
			take_setting(&r, item);
		else if (item->level > base + 1)
			mistakes_add(mistakes, item->line, "'%.60s' is indented too far", item->name);
	}
	finish_rule(&r);
}

/* Who can write it can give himself any right. */
static void check_writers(const char *path, uid_t owner, struct mistakes *mistakes)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return; /* that it cannot be read is told by who reads it; a pipe is somebody's own */
	if (st.st_uid != 0 && st.st_uid != owner)
		mistakes_add(mistakes, 0, "belongs to uid %u, who could give himself any right: chown it to root", (unsigned)st.st_uid);
	if ((st.st_mode & S_IWOTH) != 0)
		mistakes_add(mistakes, 0, "can be written by anybody, who could give himself any right: chmod o-w");
}

static bool tell(struct access *access, const char *path, struct mistakes *mistakes)
{
	bool sound = mistakes->count == 0;

	mistakes_tell(mistakes, path);
	free(mistakes);
	if (!sound)
		access_clear(access);
	return sound;
}

static struct mistakes *no_mistakes(const char *path)
{
	struct mistakes *mistakes = calloc(1, sizeof *mistakes);

	if (mistakes == NULL)
		log_error("%s: there is no memory to read it", path);
	return mistakes;
}

bool access_file_load(struct access *access, const char *path, const struct sole_behaviour *behaviour)
{
	struct mistakes *mistakes = no_mistakes(path);
	struct zpl zpl;

	if (mistakes == NULL)
		return false;
	if (zpl_load(&zpl, path, mistakes) == 0)
		check_writers(path, access->owner, mistakes);
	read_rules(access, &zpl, false, behaviour, mistakes);
	zpl_clear(&zpl);
	return tell(access, path, mistakes);
}

bool access_file_section(struct access *access, const struct zpl *zpl, const char *path, const struct sole_behaviour *behaviour)
{
	struct mistakes *mistakes = no_mistakes(path);

	if (mistakes == NULL)
		return false;
	check_writers(path, access->owner, mistakes);
	read_rules(access, zpl, true, behaviour, mistakes);
	return tell(access, path, mistakes);
}
