/*
 * logfields.h - an event log or an LLM log, from the JSON that a client sent.
 */
#ifndef API_LOGFIELDS_H
#define API_LOGFIELDS_H

#include "http/request.h"
#include "journal/record.h"
#include "json/read.h"

/*
 * The record of object, whose faults go to problem_fields(req).  ERR_INPUT when
 * anything of the request is at fault so far, also what was read before: then
 * only the faults are of use.  The caller owns *out.
 */
enum err logfields_event(struct http_request *req, const struct jsonr *object,
    struct record **out) MUST_CHECK;
enum err logfields_llm(struct http_request *req, const struct jsonr *object,
    struct record **out) MUST_CHECK;

#endif /* API_LOGFIELDS_H */
