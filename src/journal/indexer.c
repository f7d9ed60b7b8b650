/*
 * indexer.c - pages of grams of what was written, made behind the writers.
 */
#include "journal/indexer.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "journal/grams.h"
#include "journal/late.h"

#define PAGE_ROWS   1000
#define PAGE_BYTES  65536
#define WORTH_ROWS  100 /* fewer rows are no page, however long they are */
#define LOOK_US     (10 * INT64_C(1000000))
#define TEXT_OF(n)  TEXT_OF_(n)
#define TEXT_OF_(n) #n
#define EVERYONE_US (600 * INT64_C(1000000))
#define LOWEST      "00000000-0000-0000-0000-000000000000"
#define IDS_MAX     ((size_t)(PAGE_ROWS + 1) * UUID_TEXT_SIZE + 2)

/* Whose page is to be made; a row of search/due.sql. */
struct due {
	const char *what, *user;
	const char *mark; /* NULL: of late rows */
};

/* The columns of search/events.sql and its like. */
enum column { COL_ID, COL_OLDEST, COL_NEWEST, COL_FIRST, COL_SECOND };

void
indexer_init(struct indexer *indexer, struct db *db, const atomic_bool *stop)
{
	*indexer = (struct indexer){ .db = db, .stop = stop };
}

/* --- one page --------------------------------------------------------- */

static enum err
fetch(struct db *db, const struct due *due, struct db_rows **rows)
{
	bool events = strcmp(due->what, "events") == 0;
	char now[CLOCK_TEXT_SIZE];
	const char *args[] = { due->user, due->mark, TEXT_OF(PAGE_ROWS),
		LATE_PATIENCE_S, TEXT_OF(PAGE_BYTES), now };
	const char *late_args[] = { due->user, TEXT_OF(PAGE_ROWS),
		LATE_PATIENCE_S, TEXT_OF(PAGE_BYTES) };

	if (due->mark == NULL)
		return db_query(db,
		    events ? DB_SEARCH_LATE_EVENTS : DB_SEARCH_LATE_TEXTS,
		    late_args, rows);
	clock_text(clock_wall_us(), now);
	return db_query(db, events ? DB_SEARCH_EVENTS : DB_SEARCH_TEXTS, args,
	    rows);
}

/* How many bytes of text there are. */
static size_t
add_grams(const struct db_rows *rows, struct grams *grams)
{
	size_t bytes = 0;

	grams_init(grams);
	for (size_t row = 0; row < rows_count(rows); row++) {
		for (size_t col = COL_FIRST; col <= COL_SECOND; col++) {
			if (rows_is_null(rows, row, col))
				continue;
			grams_add(grams, rows_text(rows, row, col),
			    rows_len(rows, row, col));
			bytes += rows_len(rows, row, col);
		}
	}
	return bytes;
}

/* As an array. */
static void
add_ids(const struct db_rows *rows, struct buf *out)
{
	for (size_t row = 0; row < rows_count(rows); row++) {
		buf_addc(out, row == 0 ? '{' : ',');
		buf_adds(out, rows_text(rows, row, COL_ID));
	}
	buf_addc(out, '}');
}

static enum err
add_page(struct db *db, const struct due *due, const struct db_rows *rows,
    const struct grams *grams)
{
	size_t last = rows_count(rows) - 1;
	char bits[GRAMS_TEXT_SIZE];
	struct buf ids;
	enum err err = OK;

	grams_text(grams, bits);
	buf_init(&ids, IDS_MAX);
	if (due->mark == NULL)
		add_ids(rows, &ids);
	const char *args[] = { due->user, due->what, rows_text(rows, 0, COL_ID),
		rows_text(rows, last, COL_ID), rows_text(rows, 0, COL_OLDEST),
		rows_text(rows, 0, COL_NEWEST), bits,
		due->mark == NULL ? buf_str(&ids) : due->mark,
		LATE_PATIENCE_S };
	if (!buf_ok(&ids))
		err = ERR_MEMORY;
	else
		err = db_query(db,
		    due->mark == NULL ? DB_SEARCH_ADD_LATE : DB_SEARCH_ADD,
		    args, NULL);
	buf_fini(&ids);
	return err;
}

/* ERR_MISSING when there is not enough for one; then last is as it was. */
static enum err
make_page(struct db *db, const struct due *due, char last[UUID_TEXT_SIZE])
{
	struct db_rows *rows = NULL;
	struct grams grams;
	size_t count, bytes;
	enum err err;

	err = fetch(db, due, &rows);
	if (err != OK)
		return err;
	count = rows_count(rows);
	bytes = add_grams(rows, &grams);
	if (count == 0 ||
	    (due->mark != NULL && count < PAGE_ROWS && bytes < PAGE_BYTES)) {
		err = ERR_MISSING;
	} else {
		err = add_page(db, due, rows, &grams);
		memcpy(last, rows_text(rows, count - 1, COL_ID),
		    UUID_TEXT_SIZE);
	}
	rows_free(rows);
	return err;
}

/* --- all -------------------------------------------------------------- */

static bool
is_time_left(const struct indexer *indexer, int64_t until_us)
{
	return !atomic_load(indexer->stop) && clock_mono_us() < until_us;
}

static enum err
make_pages(struct indexer *indexer, struct due due, int64_t until_us)
{
	char last[UUID_TEXT_SIZE];
	enum err err = OK;

	while (err == OK && is_time_left(indexer, until_us)) {
		err = make_page(indexer->db, &due, last);
		if (err == OK && due.mark != NULL)
			due.mark = last;
	}
	return err == ERR_MISSING ? OK : err;
}

/* after: of the users from there, NULL of those who write now. */
static enum err
look(struct indexer *indexer, const char *after, int64_t until_us,
    char last[UUID_TEXT_SIZE])
{
	char now[CLOCK_TEXT_SIZE];
	const char *args[] = { after, TEXT_OF(WORTH_ROWS), LATE_PATIENCE_S,
		now };
	struct db_rows *rows = NULL;
	enum err err;

	clock_text(clock_wall_us(), now);
	err = db_query(indexer->db, DB_SEARCH_DUE, args, &rows);
	last[0] = '\0';
	for (size_t row = 0; err == OK && row < rows_count(rows); row++) {
		struct due due = { rows_text(rows, row, 0),
			rows_text(rows, row, 1), rows_text(rows, row, 2) };

		if (due.what == NULL)
			memcpy(last, due.user, UUID_TEXT_SIZE);
		else
			err = make_pages(indexer, due, until_us);
	}
	rows_free(rows);
	return err;
}

/* Some of all users, from where it ended, which is kept when time is short. */
static enum err
look_at_everyone(struct indexer *indexer, int64_t until_us)
{
	char last[UUID_TEXT_SIZE];
	enum err err = OK;

	if (clock_mono_us() >= indexer->everyone_at_us) {
		indexer->everyone_at_us = clock_mono_us() + EVERYONE_US;
		memcpy(indexer->after, LOWEST, UUID_TEXT_SIZE);
	}
	while (err == OK && indexer->after[0] != '\0' &&
	       is_time_left(indexer, until_us)) {
		err = look(indexer, indexer->after, until_us, last);
		if (err == OK && is_time_left(indexer, until_us))
			memcpy(indexer->after, last, UUID_TEXT_SIZE);
	}
	return err;
}

static bool
is_leader(struct indexer *indexer)
{
	struct db_rows *rows = NULL;

	if (indexer->leads != 0 && indexer->leads == db_generation(indexer->db))
		return true;
	indexer->leads = 0;
	if (db_query(indexer->db, DB_SEARCH_LEAD, NULL, &rows) == OK &&
	    rows_bool(rows, 0, 0))
		indexer->leads = db_generation(indexer->db);
	rows_free(rows);
	return indexer->leads != 0;
}

enum err
indexer_run(struct indexer *indexer, int64_t us)
{
	int64_t until_us = clock_mono_us() + us;
	char last[UUID_TEXT_SIZE];
	enum err err;

	if (clock_mono_us() < indexer->look_at_us || !is_leader(indexer))
		return OK;
	err = look(indexer, NULL, until_us, last);
	if (err == OK)
		err = look_at_everyone(indexer, until_us);
	if (is_time_left(indexer, until_us))
		indexer->look_at_us = clock_mono_us() + LOOK_US;
	return err;
}
