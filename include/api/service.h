/*
 * service.h - what the service says of itself.
 */
#ifndef API_SERVICE_H
#define API_SERVICE_H

#include "http/request.h"

enum handled service_root(struct http_request *req);
/* 200 while PostgreSQL answers, else 503, with the same members. */
enum handled service_health(struct http_request *req);
/* Prometheus text format 0.0.4. */
enum handled service_metrics(struct http_request *req);

/* "0.1.0" */
const char *service_version(void);

#endif /* API_SERVICE_H */
