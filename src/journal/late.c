/*
 * late.c - records that are written long after the time of their id.
 */
#include "journal/late.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/uuid.h"

#define LINES_MAX ((size_t)64 * 1024 * 1024)
#define IDS_LEN   ((size_t)2 * UUID_TEXT_SIZE) /* user, tab, id, tab */

static enum err
read_id(const char *line, struct uuid *id)
{
	char text[UUID_TEXT_SIZE];

	memcpy(text, line, UUID_TEXT_SIZE - 1);
	text[UUID_TEXT_SIZE - 1] = '\0';
	return uuid_parse(text, id);
}

/* A line begins with the ids of the user and of the record. */
static void
note(struct buf *lines, const struct record_view *record, int64_t before_ms)
{
	struct uuid user, id;

	if (record->len < IDS_LEN || read_id(record->line, &user) != OK ||
	    read_id(record->line + UUID_TEXT_SIZE, &id) != OK ||
	    uuid_time_ms(&id) >= before_ms)
		return;
	buf_adds(lines, record->kind == RECORD_EVENT ? "events\t" : "texts\t");
	buf_add(lines, record->line, IDS_LEN - 1);
	buf_addc(lines, '\n');
}

enum err
late_note(struct db *db, const struct record_view *records, size_t count)
{
	int64_t before_ms = clock_wall_us() / 1000 - INT64_C(1000) * LATE_S;
	enum err err = OK;
	struct buf lines;

	buf_init(&lines, LINES_MAX);
	for (size_t i = 0; i < count; i++)
		note(&lines, &records[i], before_ms);
	if (!buf_ok(&lines))
		err = ERR_MEMORY;
	else if (lines.len > 0)
		err = db_query(db, DB_SEARCH_NOTE,
		    (const char *const[]){ buf_str(&lines) }, NULL);
	buf_fini(&lines);
	return err;
}
