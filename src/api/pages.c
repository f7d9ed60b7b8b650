/*
 * pages.c - lists by page number or by cursor.
 */
#include "api/pages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "http/query.h"
#include "http/response.h"

#define SIZE_DEFAULT 10
#define PAGE_MAX     100
#define NUMBER_MAX   1000000000

/* A cursor is "<order>|<page number>|<total>|<id>|<sort value>"; the value is
 * last because it is the only one that may hold the separator. */
#define PARTS 5
enum part { PART_ORDER, PART_NUMBER, PART_TOTAL, PART_ID, PART_VALUE };

static bool
split(char *text, const char *parts[PARTS])
{
	for (size_t i = 0; i < PARTS - 1; i++) {
		char *end = strchr(text, '|');

		if (end == NULL)
			return false;
		*end = '\0';
		parts[i] = text;
		text = end + 1;
	}
	parts[PARTS - 1] = text;
	return true;
}

static bool
is_number(const char *text, int64_t max, int64_t *out)
{
	size_t len = strlen(text);

	if (len == 0 || len > 18 || text[strspn(text, "0123456789")] != '\0')
		return false;
	*out = strtoll(text, NULL, 10);
	return *out <= max;
}

static bool
is_value(enum page_value kind, const char *text)
{
	int64_t wall_us;

	if (kind == PAGE_TIME)
		return clock_parse(text, &wall_us) == OK;
	return kind == PAGE_TEXT || text[0] == '\0';
}

/* False: it is none that this list made. */
static bool
take_cursor(struct http_request *req, const char *cursor, struct page *page)
{
	char *text = arena_strdup(req->arena, cursor);
	const char *parts[PARTS];
	struct uuid id;
	int64_t total;

	if (text == NULL || !split(text, parts))
		return false;
	if (strcmp(parts[PART_ORDER], page->order->name) != 0 ||
	    !is_number(parts[PART_NUMBER], NUMBER_MAX, &page->number) ||
	    !is_number(parts[PART_TOTAL], INT64_MAX, &total) ||
	    uuid_parse(parts[PART_ID], &id) != OK ||
	    !is_value(page->order->value, parts[PART_VALUE]))
		return false;
	page->after = parts[PART_ID];
	page->total = parts[PART_TOTAL];
	if (page->order->value == PAGE_TIME)
		page->time = parts[PART_VALUE];
	else if (page->order->value == PAGE_TEXT)
		page->text = parts[PART_VALUE];
	return true;
}

static const char *
number_text(struct http_request *req, int64_t number)
{
	return arena_printf(req->arena, "%" PRId64, number);
}

enum err
pages_read(struct http_request *req, struct problem_fields *bad,
    const struct page_order *order, struct page *out)
{
	const char *cursor = NULL;

	*out =
	    (struct page){ .order = order, .number = 1, .size = SIZE_DEFAULT };
	query_int(req, bad, "page", 1, NUMBER_MAX, &out->number);
	query_int(req, bad, "limit", 1, PAGE_MAX, &out->size);
	query_cursor(req, bad, &cursor);
	if (cursor != NULL && !take_cursor(req, cursor, out))
		problem_field(bad, "cursor", "must be a cursor of this list");
	out->limit = number_text(req, out->size + 1);
	out->offset = number_text(req,
	    out->after != NULL ? 0 : (out->number - 1) * out->size);
	return out->limit == NULL || out->offset == NULL ? ERR_MEMORY : OK;
}

static size_t
count_items(const struct page_shape *shape, const struct db_rows *rows)
{
	size_t count = rows_count(rows);

	return count == 1 && rows_is_null(rows, 0, shape->id) ? 0 : count;
}

static void
link_next(struct http_request *req, const struct page *page,
    const struct page_shape *shape, const struct db_rows *rows)
{
	size_t last = (size_t)page->size - 1;
	char id_text[UUID_TEXT_SIZE];
	const char *cursor;
	struct uuid id;

	if (!rows_uuid(rows, last, shape->id, &id))
		return;
	uuid_text(&id, id_text);
	cursor = arena_printf(req->arena, "%s|%" PRId64 "|%" PRId64 "|%s|%s",
	    page->order->name, page->number + 1, rows_int64(rows, last, 0),
	    id_text,
	    shape->value == 0 ? "" : rows_text(rows, last, shape->value));
	if (cursor != NULL)
		query_link_next(req, cursor);
}

static int64_t
pages_of(int64_t total, int64_t size)
{
	return size < 1 ? 0 : total / size + (total % size != 0);
}

/* {"results":[...],"<items>":[...] the same, ...}. */
static void
write_page(struct jsonw *w, const struct page *page,
    const struct page_shape *shape, const struct db_rows *rows, size_t count)
{
	int64_t total = rows_int64(rows, 0, 0);
	size_t begin, len;

	jsonw_object(w);
	jsonw_key(w, "results");
	begin = w->buf->len;
	jsonw_array(w);
	for (size_t row = 0; row < count; row++)
		shape->write(w, rows, row, shape->parent);
	jsonw_end_array(w);
	len = w->buf->len - begin;
	jsonw_key(w, shape->items);
	jsonw_again(w, begin, len);
	jsonw_kv_int(w, "totalPages", pages_of(total, page->size));
	jsonw_kv_int(w, "currentPage", page->number);
	jsonw_kv_int(w, "totalItems", total);
	jsonw_kv_int(w, shape->total, total);
	jsonw_end_object(w);
}

enum handled
pages_reply(struct http_request *req, const struct page *page,
    const struct page_shape *shape, const struct db_rows *rows)
{
	size_t count = count_items(shape, rows);
	struct jsonw w;
	bool starved;

	if (count > (size_t)page->size) {
		count = (size_t)page->size;
		link_next(req, page, shape, rows);
	}
	jsonw_init(&w, &req->out);
	write_page(&w, page, shape, rows, count);
	if (buf_ok(&req->out))
		return response_json(req, 200);
	starved = req->out.starved;
	buf_reset(&req->out);
	if (starved)
		return problem_of(req, ERR_MEMORY);
	return problem_reply(req, ERR_TOO_LARGE,
	    "this page is too large: ask for a smaller limit");
}
