/*
 * pages.h - lists of the chats family: by page number, or by cursor, whose deep
 * pages cost what the first one costs.
 *
 * A cursor says after which row a page begins, and the page's number and the
 * total as the first page found it.
 */
#ifndef API_PAGES_H
#define API_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "db/db.h"
#include "http/problem.h"
#include "http/request.h"
#include "json/write.h"

enum page_value { PAGE_ID, PAGE_TIME, PAGE_TEXT };

struct page_order {
	const char *name;      /* "title asc" */
	enum page_value value; /* what rows are sorted by, before their id */
};

struct page {
	const struct page_order *order;
	int64_t number;    /* from 1 */
	const char *after; /* the id it comes after; NULL: counted by number */
	/* the sort value of that row, one of both */
	const char *time;
	const char *text;
	/* to bind */
	const char *limit; /* one more than asked for: is there a next page? */
	const char *offset;
	const char *total; /* NULL: to be counted */
	int64_t size;      /* rows asked for, 1 to 100 */
};

/*
 * Reads page, limit and cursor for a list in order; what is wrong with them
 * goes to bad.  A cursor of another order is a fault.  ERR_MEMORY.
 */
enum err pages_read(struct http_request *req, struct problem_fields *bad,
    const struct page_order *order, struct page *out) MUST_CHECK;

/* How rows of a list become its answer.  Column 0 of every row is the total. */
struct page_shape {
	const char *items; /* "chats": the second name of the array */
	const char *total; /* "totalChats" */
	size_t id;         /* column; null: no row, there is only a total */
	size_t value;      /* column of the sort value; 0 without one */
	void (*write)(struct jsonw *w, const struct db_rows *rows, size_t row,
	    const char *parent);
	const char *parent; /* for write: the id of what the rows are of */
};

/* {results, <items>, totalPages, currentPage, totalItems, <total>} and, unless
 * it is the last page, Link. */
enum handled pages_reply(struct http_request *req, const struct page *page,
    const struct page_shape *shape, const struct db_rows *rows);

#endif /* API_PAGES_H */
