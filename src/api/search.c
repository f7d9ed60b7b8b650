/*
 * search.c - lists that look for a text: which rows to look at.
 */
#include "api/search.h"

#include <string.h>

#include "journal/grams.h"

/* NULL when memory is short. */
static const char *
array(struct arena *arena, const int32_t b[GRAMS_WANTED])
{
	_Static_assert(GRAMS_WANTED == 8, "all are written");
	return arena_printf(arena, "{%d,%d,%d,%d,%d,%d,%d,%d}", b[0], b[1],
	    b[2], b[3], b[4], b[5], b[6], b[7]);
}

/* Its last parameter is in the place of the ids, too. */
enum err
search_ids(struct http_request *req, enum db_stmt stmt, const char *q,
    const char **args, size_t place)
{
	int32_t bits[GRAMS_WANTED];
	struct db_rows *rows = NULL;
	const char *found;
	enum err err;

	args[place] = NULL;
	if (!grams_wanted(q, strlen(q), bits))
		return OK;
	args[place] = array(req->arena, bits);
	if (args[place] == NULL)
		return ERR_MEMORY;
	err = db_query(req->db, stmt, args, &rows);
	args[place] = NULL;
	if (err != OK)
		return err;
	found = rows_text(rows, 0, 0);
	if (found != NULL) {
		args[place] = arena_strdup(req->arena, found);
		err = args[place] == NULL ? ERR_MEMORY : OK;
	}
	rows_free(rows);
	return err;
}
