/*
 * message.h - a message of a chat: from a body, from a row, as JSON.
 *
 * Its JSON is written here and not by PostgreSQL, because a page of messages is
 * the hottest read (measured: twice the rate), and because what a client stores
 * need not come back from the database to be answered.
 */
#ifndef API_MESSAGE_H
#define API_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "db/db.h"
#include "http/problem.h"
#include "json/read.h"
#include "json/write.h"

#define MESSAGE_CONTENT_MAX  1000000      /* characters */
#define MESSAGE_NAME_MAX     200          /* characters */
#define MESSAGE_CALLS_MAX    (256 * 1024) /* bytes of function and tool calls */
#define MESSAGE_METADATA_MAX (64 * 1024)  /* bytes */

struct message {
	const char *id, *chat_id;
	const char *role, *content, *name;
	const char *function_call, *tool_calls, *metadata;         /* JSON */
	int64_t tokens, prompt_tokens, completion_tokens, latency; /* -1: not
	                                                              known */
	/* of an answer that was made here; NULL otherwise */
	const char *model, *call_id;
	int64_t cost_pico; /* -1: not known */
	const char *created, *updated;
};

/* What a client sent as a new message; faults go to bad. */
void message_read(struct problem_fields *bad, const struct jsonr *body,
    struct message *out);

/* What a client sent as a change: only what was sent is set. */
void message_read_change(struct problem_fields *bad, const struct jsonr *body,
    struct message *out);

/* A message of the database: its texts are borrowed from here and from rows. */
struct message_row {
	struct message message;
	char id[UUID_TEXT_SIZE], call_id[UUID_TEXT_SIZE];
	char created[CLOCK_TEXT_SIZE], updated[CLOCK_TEXT_SIZE];
};

/* The columns of sql/queries/messages/get.sql, from column first on; chat_id is
 * borrowed. */
void message_from_row(const struct db_rows *rows, size_t row, size_t first,
    const char *chat_id, struct message_row *out);

/* As the API answers it. */
void message_write(struct jsonw *w, const struct message *message);

/* As sql/queries/messages/add.sql takes it. */
void message_write_record(struct jsonw *w, const struct message *message);

/*
 * old with the members of change put over it: those that it has already keep
 * their place, new ones follow.  Every value keeps its text.  Both are objects.
 * NULL when memory is short.
 */
const char *message_merge(struct arena *arena, const char *old,
    const char *change);

#endif /* API_MESSAGE_H */
