/*
 * record.c - rows as lines of COPY text format.
 */
#include "journal/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void
add_null(struct buf *line)
{
	buf_add(line, "\\N\t", 3);
}

static const char *
escape_of(char byte)
{
	switch (byte) {
	case '\\':
		return "\\\\";
	case '\t':
		return "\\011";
	case '\n':
		return "\\012";
	case '\r':
		return "\\015";
	default:
		return NULL;
	}
}

/* Bytes that are UTF-8, escaped. */
static void
add_escaped(struct buf *line, const char *text, size_t len)
{
	size_t plain = 0;

	for (size_t i = 0; i < len; i++) {
		const char *escape = escape_of(text[i]);

		if (escape == NULL)
			continue;
		buf_add(line, text + plain, i - plain);
		buf_adds(line, escape);
		plain = i + 1;
	}
	buf_add(line, text + plain, len - plain);
}

static void
add_text(struct buf *line, const char *text)
{
	size_t len;

	if (text == NULL) {
		add_null(line);
		return;
	}
	len = strlen(text);
	while (len > 0) {
		size_t valid = codec_utf8_valid(text, len);

		add_escaped(line, text, valid);
		text += valid;
		len -= valid;
		if (len > 0) {
			buf_adds(line, REPLACEMENT);
			text++;
			len--;
		}
	}
	buf_addc(line, '\t');
}

static void
add_optional_id(struct buf *line, const char *id)
{
	add_text(line, id == NULL || *id == '\0' ? NULL : id);
}

static void
add_uuid(struct buf *line, const struct uuid *id)
{
	char text[UUID_TEXT_SIZE];

	uuid_text(id, text);
	add_text(line, text);
}

static void
add_int(struct buf *line, int64_t value)
{
	if (value < 0)
		add_null(line);
	else
		buf_addf(line, "%lld\t", (long long)value);
}

static void
add_bool(struct buf *line, bool value)
{
	buf_add(line, value ? "t\t" : "f\t", 2);
}

static void
add_time(struct buf *line, int64_t wall_us)
{
	char text[CLOCK_TEXT_SIZE];

	if (wall_us <= 0) {
		add_null(line);
		return;
	}
	clock_text(wall_us, text);
	add_text(line, text);
}

static void
add_call_figures(struct buf *line, const struct call_row *row)
{
	add_int(line, row->prompt_tokens);
	add_int(line, row->completion_tokens);
	add_int(line, row->cached_tokens);
	add_int(line, row->reasoning_tokens);
	add_bool(line, row->estimated);
	add_int(line, row->cost_pico);
	add_int(line, row->latency_us);
	add_int(line, row->first_token_us);
	add_int(line, row->http_status == 0 ? -1 : row->http_status);
}

static void
add_call(struct buf *line, const struct call_row *row)
{
	add_uuid(line, &row->user_id);
	add_uuid(line, &row->id);
	add_optional_id(line, row->key_id);
	add_text(line, row->kind);
	add_text(line, row->provider);
	add_text(line, row->model);
	add_text(line, row->upstream_model);
	add_text(line, row->status);
	add_bool(line, row->stream);
	add_call_figures(line, row);
	add_text(line, row->error);
	add_text(line, row->end_user);
	add_text(line, row->environment);
	add_text(line, row->source);
	add_optional_id(line, row->chat_id);
	add_optional_id(line, row->session_id);
	add_text(line, row->request_id);
	add_text(line, row->metadata);
	add_time(line, row->started_us);
	add_time(line, row->finished_us);
	add_text(line, row->request_text);
	add_text(line, row->response_text);
}

static void
add_event(struct buf *line, const struct event_row *row)
{
	add_uuid(line, &row->user_id);
	add_uuid(line, &row->id);
	add_optional_id(line, row->key_id);
	add_text(line, row->subject);
	add_text(line, row->level);
	add_text(line, row->message);
	add_text(line, row->metadata);
	add_time(line, row->logged_us);
}

/* The record that has line, whose last tab becomes the newline. */
static enum err
finish(struct buf *line, enum record_kind kind, struct record **out)
{
	struct record *record;
	enum err err;

	record = calloc(1, sizeof(*record));
	if (record == NULL)
		return ERR_MEMORY;
	err = buf_take(line, &record->line, &record->len);
	if (err != OK) {
		free(record);
		return err;
	}
	record->line[record->len - 1] = '\n';
	record->kind = kind;
	*out = record;
	return OK;
}

enum err
record_call(const struct call_row *row, struct record **out)
{
	struct buf line;
	enum err err;

	buf_init(&line, RECORD_LINE_MAX);
	add_call(&line, row);
	err = finish(&line, RECORD_CALL, out);
	if (err == OK) {
		(*out)->id = row->id;
		(*out)->user_id = row->user_id;
	}
	buf_fini(&line);
	return err;
}

enum err
record_event(const struct event_row *row, struct record **out)
{
	struct buf line;
	enum err err;

	buf_init(&line, RECORD_LINE_MAX);
	add_event(&line, row);
	err = finish(&line, RECORD_EVENT, out);
	if (err == OK) {
		(*out)->id = row->id;
		(*out)->user_id = row->user_id;
	}
	buf_fini(&line);
	return err;
}

void
record_free(struct record *record)
{
	if (record == NULL)
		return;
	free(record->line);
	free(record);
}
