/*
 * docs.h - the API's documentation: the OpenAPI document, and a page on which
 * calls can be tried.
 */
#ifndef API_DOCS_H
#define API_DOCS_H

#include "http/request.h"

/* GET /openapi.json, with an ETag. */
enum handled docs_openapi(struct http_request *req);

/* GET /api-docs: loads its script and style from /docs/, which nginx serves. */
enum handled docs_page(struct http_request *req);

/* Made from src/api/openapi.json; @VERSION@ stands for the version. */
extern const char docs_openapi_text[];

#endif /* API_DOCS_H */
