/* SPDX-License-Identifier: MIT
 *
 * A state as text: whatever the lines, each is read or told wrong with a reason, and what was read and is written
 * again reads as the same.
 */
#include "tests/fuzz/fuzz.h"

#include "owner/state/text.h"

static bool same_entry(const struct text_entry *a, const struct text_entry *b)
{
	return a->revision == b->revision && value_equal(&a->key, &b->key) && value_equal(&a->value, &b->value);
}

static bool same_session(const struct text_session *a, const struct text_session *b)
{
	return a->id == b->id && a->last == b->last && a->caller.known == b->caller.known &&
	       a->caller.uid == b->caller.uid && a->caller.gid == b->caller.gid && a->caller.pid == b->caller.pid &&
	       a->waiting_count == b->waiting_count &&
	       memcmp(a->waiting, b->waiting, a->waiting_count * sizeof *a->waiting) == 0;
}

/* The lines of `text`, read by a reader that is where `reader` was. */
static enum text_kind read_again(struct text_reader *reader, struct buffer *text)
{
	enum text_kind kind = TEXT_NOTHING;

	require(!text->failed && text->size > 0 && text->data[text->size - 1] == '\n');
	for (size_t at = 0; at < text->size;) {
		uint8_t *line = text->data + at, *end = memchr(line, '\n', text->size - at);
		require(end != NULL);
		kind = text_read(reader, (char *)line, (size_t)(end - line));
		require(kind != TEXT_WRONG);
		at = (size_t)(end - text->data) + 1;
	}
	return kind;
}

static void write_and_read(const struct text_reader *before, const struct text_reader *after, enum text_kind kind)
{
	static struct text_reader reader;
	struct buffer text = { 0 };

	reader = *before;
	switch (kind) {
	case TEXT_HEAD:
		memset(&reader, 0, sizeof reader);
		text_write_head(&text, &after->head);
		require(read_again(&reader, &text) == kind);
		require(strcmp(reader.head.behaviour, after->head.behaviour) == 0);
		require(reader.head.version == after->head.version && reader.head.history == after->head.history);
		require(reader.head.revision == after->head.revision && reader.head.time_us == after->head.time_us);
		require(reader.head.token == after->head.token);
		break;
	case TEXT_SESSION:
		text_write_session(&text, &after->session);
		require(read_again(&reader, &text) == kind && same_session(&reader.session, &after->session));
		break;
	case TEXT_ENTRY:
		text_write_entry(&text, &after->entry);
		require(read_again(&reader, &text) == kind && same_entry(&reader.entry, &after->entry));
		break;
	case TEXT_END:
		text_write_end(&text);
		require(read_again(&reader, &text) == kind);
		break;
	case TEXT_MAP:
	case TEXT_NOTHING:
	case TEXT_WRONG:
		break;
	}
	buffer_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct text_reader reader, before;
	enum text_kind kind = TEXT_NOTHING;

	memset(&reader, 0, sizeof reader);
	while (size > 0 && kind != TEXT_WRONG) {
		const uint8_t *end = memchr(bytes, '\n', size);
		size_t length = end != NULL ? (size_t)(end - bytes) : size;
		char *line = (char *)fuzz_copy(bytes, length);
		before = reader;
		kind = text_read(&reader, line, length);
		require(kind <= TEXT_WRONG);
		if (kind == TEXT_WRONG)
			require(reader.why[0] != '\0' && memchr(reader.why, '\0', sizeof reader.why) != NULL);
		else
			write_and_read(&before, &reader, kind);
		free(line);
		size -= end != NULL ? length + 1 : size;
		bytes += end != NULL ? length + 1 : 0;
	}
	return 0;
}
