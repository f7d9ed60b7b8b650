/*
 * promptlog.h - the prompt log: /proxy-api, its dashboard and its metric.
 *
 * The dashboard shows every model call of the user that this server made, of
 * any family.  filters[Model], filters[Status], filters[User] and
 * filters[Environment] take any letter case, in name and value; an empty value
 * filters nothing.
 */
#ifndef API_PROMPTLOG_H
#define API_PROMPTLOG_H

#include "http/request.h"

#define PROMPTLOG_PROMPT_MAX   (1024 * 1024) /* characters */
#define PROMPTLOG_NAME_MAX     200
#define PROMPTLOG_METADATA_MAX (16 * 1024)               /* bytes kept */
#define PROMPTLOG_BODY         ((size_t)8 * 1024 * 1024) /* bytes */

/* {prompt, metadata: {user, environment, model}}: 201 {data}, which is "" when
 * the provider failed; its record says so. */
enum handled promptlog_ask(struct http_request *req);

/* {data: [...]}, newest first, at most DASHBOARD_MAX (or limit) records, then
 * Link; fewer when they are large. */
enum handled promptlog_dashboard(struct http_request *req);

/* The same below the sums of tokens over every matching record. */
enum handled promptlog_metric(struct http_request *req);

#endif /* API_PROMPTLOG_H */
