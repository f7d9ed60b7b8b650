/*
 * err.h - the closed set of results that a function can have.
 *
 * Each value says who has to act on it.  The HTTP face of each (status, slug)
 * is one table, in http/problem.c.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

enum err {
	OK = 0,
	ERR_INPUT,     /* the client: what it sent is wrong (400) */
	ERR_AUTH,      /* the client: no valid credential (401) */
	ERR_FORBIDDEN, /* the client: not with this credential (403) */
	ERR_MISSING,   /* the client: not there, or not yours (404) */
	ERR_METHOD,    /* the client: known path, other method (405) */
	ERR_CONFLICT,  /* the client: already there (409) */
	ERR_TOO_LARGE, /* the client: over a ceiling (413) */
	ERR_MEDIA,     /* the client: other Content-Type expected (415) */
	ERR_LIMIT,     /* the client: slow down (429) */
	ERR_BUSY,      /* nobody: a queue is full or PostgreSQL away (503) */
	ERR_UPSTREAM,  /* the provider failed or talked nonsense (502) */
	ERR_TIMEOUT,   /* the provider or PostgreSQL took too long (504) */
	ERR_GONE,      /* nobody: the client left */
	ERR_MEMORY,    /* the administrator: allocation failed (503) */
	ERR_SYSTEM,    /* the administrator: a system call failed, see errno */
	ERR_BUG,       /* us: cannot happen (500) */
	ERR_COUNT
};

/* A short fixed word for logs, "ok" for OK; never NULL. */
const char *err_name(enum err err);

#endif /* BASE_ERR_H */
