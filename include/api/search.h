/*
 * search.h - lists that look for a text: which rows to look at.
 */
#ifndef API_SEARCH_H
#define API_SEARCH_H

#include "base/err.h"
#include "db/db.h"
#include "http/request.h"

/*
 * Asks stmt, one of search/find_*.sql, where q is.  args are those of the list,
 * which has the ids in its last parameter, args[place]: they are put there as
 * an array in the arena, or NULL when the list is to look everywhere.
 */
enum err search_ids(struct http_request *req, enum db_stmt stmt, const char *q,
    const char **args, size_t place) MUST_CHECK;

#endif /* API_SEARCH_H */
