/*
 * gateway.c - POST /v1/chat/completions and GET /v1/models.
 *
 * What the provider sends reaches the client as it came; ours are the
 * terminator, which follows the committed record, and X-Call-Id.
 */
#include "api/gateway.h"

#include <string.h>

#include "api/app.h"
#include "api/llm_common.h"
#include "http/body.h"
#include "http/problem.h"
#include "http/response.h"
#include "http/sse.h"
#include "json/read.h"
#include "json/write.h"

#define MODEL_MAX 200  /* characters of a model's name */
#define ERROR_MAX 4096 /* bytes of an error event */

static struct http_request *
request_of(struct call *call)
{
	return outlet_request(call->outlet);
}

void
gateway_begin(struct call *call)
{
	if (!call->stream || outlet_begun(call->outlet))
		return;
	response_header(request_of(call), "X-Call-Id", call->id_text);
	outlet_begin(call->outlet, 200, "text/event-stream");
}

void
gateway_event(struct call *call, const struct call_event *event)
{
	if (event->done || (event->usage_only && !call->usage_asked))
		return;
	outlet_write(call->outlet, event->raw, event->raw_len);
}

static void
end_stream(struct call *call)
{
	static const char done[] = "data: [DONE]\n\n";

	gateway_begin(call);
	outlet_write(call->outlet, done, sizeof(done) - 1);
}

/* Cut in the middle: the client learns why, and gets no terminator. */
static void
break_stream(struct call *call)
{
	struct buf json, event;

	buf_init(&json, ERROR_MAX);
	buf_init(&event, ERROR_MAX);
	call_error_json(call, &json);
	if (buf_ok(&json))
		sse_data(&event, json.data, json.len);
	if (buf_ok(&event))
		outlet_write(call->outlet, event.data, event.len);
	buf_fini(&json);
	buf_fini(&event);
}

static void
end_whole(struct call *call)
{
	struct http_request *req = request_of(call);

	response_header(req, "X-Call-Id", call->id_text);
	if (call->end == CALL_COMPLETED)
		(void)response_json_text(req, 200, buf_str(&call->body),
		    call->body.len);
	else
		(void)call_problem(call);
}

void
gateway_end(struct call *call)
{
	if (call->end == CALL_COMPLETED && call->stream)
		end_stream(call);
	else if (outlet_begun(call->outlet))
		break_stream(call);
	else
		end_whole(call);
	outlet_finish(call->outlet);
}

static const struct call_sink sink = { gateway_begin, gateway_event,
	gateway_end };

/* What a client may send, as far as this server has to know. */
struct fields {
	const char *model;
	bool stream;
	bool usage_asked;
	struct llm_notes notes;
};

static void
check_messages(struct problem_fields *bad, const struct jsonr *body)
{
	const struct jsonr *messages = jsonr_get(body, "messages");

	if (jsonr_kind(messages) != JSONR_ARRAY || jsonr_count(messages) == 0) {
		problem_field(bad, "messages", "must be a non-empty array");
		return;
	}
	for (size_t i = 0; i < jsonr_count(messages); i++) {
		if (jsonr_kind(jsonr_at(messages, i)) == JSONR_OBJECT)
			continue;
		problem_field(bad, "messages", "must hold objects only");
		return;
	}
}

static void
read_options(struct problem_fields *bad, const struct jsonr *body,
    struct fields *out)
{
	const struct jsonr *options = jsonr_get(body, "stream_options");

	if (options == NULL || jsonr_kind(options) == JSONR_NULL)
		return;
	if (jsonr_kind(options) != JSONR_OBJECT)
		problem_field(bad, "stream_options", "must be an object");
	else
		body_bool(bad, options, "include_usage", OPTIONAL,
		    &out->usage_asked);
}

static bool
read_fields(struct http_request *req, const struct jsonr *body,
    struct fields *out)
{
	struct problem_fields *bad = problem_fields(req);

	body_string(bad, body, "model", REQUIRED, 1, MODEL_MAX, &out->model);
	check_messages(bad, body);
	body_bool(bad, body, "stream", OPTIONAL, &out->stream);
	read_options(bad, body, out);
	llm_notes_read(body, &out->notes);
	if (!problem_fields_any(bad))
		return true;
	(void)problem_fields_reply(bad);
	return false;
}

/* What the call keeps of the body is its text and copies: body itself is gone
 * once this returns. */
static enum handled
start_call(struct http_request *req, const struct jsonr *body)
{
	const struct catalog_target *target;
	struct fields fields = { .stream = false };
	struct snapshot *snapshot;
	struct call *call;

	if (!read_fields(req, body, &fields))
		return ANSWERED;
	target = llm_target_or_reply(req, fields.model, &snapshot);
	if (target == NULL)
		return ANSWERED;
	call = llm_call_new(req, &sink, NULL, target, snapshot);
	if (call == NULL)
		return problem_of(req, ERR_MEMORY);
	call->stream = fields.stream;
	call->usage_asked = fields.usage_asked;
	call->request_json = req->body;
	call->request_len = req->body_len;
	call->request = body;
	call->end_user = arena_strdup(req->arena, fields.notes.user);
	call->metadata = arena_strdup(req->arena, fields.notes.metadata);
	return llm_start_or_reply(req, call);
}

/* The body, in arena where it can be; NULL when the client was answered. */
static struct jsonr *
read_body(struct http_request *req, struct arena *arena)
{
	struct jsonr *body = NULL;

	if (strcmp(req->content_type, "application/json") == 0 &&
	    jsonr_parse(arena, req->body, req->body_len, &body, NULL) == OK &&
	    jsonr_kind(body) == JSONR_OBJECT)
		return body;
	return body_object_or_reply(req, &body) == OK ? body : NULL;
}

/*
 * Parsed, a body takes several times its size, and a stream may last for
 * minutes: so it is in an arena of its own, which ends here.
 */
enum handled
gateway_chat_completions(struct http_request *req)
{
	struct arena *arena = arena_new();
	enum handled handled = ANSWERED;
	struct jsonr *body;

	if (arena == NULL)
		return problem_of(req, ERR_MEMORY);
	body = read_body(req, arena);
	if (body != NULL)
		handled = start_call(req, body);
	arena_free(arena);
	return handled;
}

static void
write_model(struct jsonw *w, const struct catalog_target *target)
{
	jsonw_object(w);
	jsonw_kv(w, "id", target->model);
	jsonw_kv(w, "object", "model");
	jsonw_kv_int(w, "created", target->created_s);
	jsonw_kv(w, "owned_by", target->provider->name);
	jsonw_end_object(w);
}

enum handled
gateway_models_list(struct http_request *req)
{
	const struct catalog_target *target;
	struct snapshot *snapshot;
	struct jsonw w;
	enum err err = catalog_snapshot(req->app->catalog, req->db, &snapshot);

	if (err != OK)
		return problem_of(req, err);
	jsonw_init(&w, &req->out);
	jsonw_object(&w);
	jsonw_kv(&w, "object", "list");
	jsonw_key(&w, "data");
	jsonw_array(&w);
	for (size_t i = 0; i < snapshot_count(snapshot); i++) {
		target = snapshot_at(snapshot, i);
		/* One that a preferred provider has as well is not reached. */
		if (snapshot_find(snapshot, req->arena, target->model) ==
		    target)
			write_model(&w, target);
	}
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	snapshot_release(snapshot);
	return response_json(req, 200);
}

enum handled
gateway_model_get(struct http_request *req)
{
	const struct catalog_target *target;
	struct snapshot *snapshot;
	struct jsonw w;

	target = llm_target_or_reply(req, request_param(req, "id"), &snapshot);
	if (target == NULL)
		return ANSWERED;
	jsonw_init(&w, &req->out);
	write_model(&w, target);
	snapshot_release(snapshot);
	return response_json(req, 200);
}
