/*
 * ingest.h - POST /api/event-log, /api/llm-log and their batches.
 *
 * The answer, 201, comes after the record is kept; X-Durable says where: "db"
 * or "spool".  A record with an id that is there already is answered alike and
 * changes nothing, so that a client may send again.
 */
#ifndef API_INGEST_H
#define API_INGEST_H

#include "http/request.h"

/* Ceilings of fields: characters, metadata in bytes of its JSON. */
#define INGEST_USER_MAX     100
#define INGEST_SOURCE_MAX   255
#define INGEST_MESSAGE_MAX  (64 * 1024)   /* of an event */
#define INGEST_TEXT_MAX     (1024 * 1024) /* query, response */
#define INGEST_METADATA_MAX (64 * 1024)
#define INGEST_BATCH_MAX    1000 /* records */

/* Ceilings of bodies, in bytes. */
#define INGEST_EVENT_BODY ((size_t)1024 * 1024)
#define INGEST_LLM_BODY   ((size_t)8 * 1024 * 1024)
#define INGEST_BATCH_BODY ((size_t)8 * 1024 * 1024)

/* {user_id, message, level?, metadata?, id?, timestamp?, api_key?} */
enum handled ingest_event(struct http_request *req);
/* {user_id, source, query?, response?, metadata?, id?, timestamp?, api_key?} */
enum handled ingest_llm(struct http_request *req);

/* {api_key?, logs: [...]}, or a line a record (application/x-ndjson); all of
 * them are kept, or none. */
enum handled ingest_event_batch(struct http_request *req);
enum handled ingest_llm_batch(struct http_request *req);

#endif /* API_INGEST_H */
