/*
 * call.c - a model call: made, failed, logged, answered for.
 */
#include "llm/call.h"

#include <string.h>

#include "base/codec.h"
#include "http/problem.h"
#include "llm/price.h"
#include "llm/progress.h"
#include "json/read.h"
#include "json/write.h"

/* How a call can fail, and what its client is told. */
struct failure {
	const char *code;
	int status;
	enum err err;
	const char *type; /* in OpenAI's error object */
	const char *detail;
};

/* clang-format off */
static const struct failure failures[] = {
	{ "busy",                  503, ERR_BUSY,     "server_error",
	  "Too many model calls are under way: try again later." },
	{ "client_left",           499, ERR_GONE,     "server_error",
	  "The client left." },
	{ "client_stalled",        499, ERR_GONE,     "server_error",
	  "The client did not read the answer." },
	{ "context_length_exceeded", 400, ERR_INPUT,  "invalid_request_error",
	  "The messages are longer than the model's context." },
	{ "invalid_request",       400, ERR_INPUT,    "invalid_request_error",
	  "The model provider refused the request." },
	{ "log_unavailable",       503, ERR_BUSY,     "server_error",
	  "The call could not be recorded: try again later." },
	{ "model_not_found",       404, ERR_MISSING,  "invalid_request_error",
	  "The model provider does not have this model." },
	{ "out_of_memory",         503, ERR_MEMORY,   "server_error",
	  "The service is busy: try again later." },
	{ "rate_limit_exceeded",   429, ERR_LIMIT,    "rate_limit_error",
	  "The model provider's rate limit is reached: try again later." },
	{ "shutting_down",         503, ERR_BUSY,     "server_error",
	  "The service is restarting: try again." },
	{ "too_large",             413, ERR_TOO_LARGE, "invalid_request_error",
	  "The request is larger than the model provider takes." },
	{ "upstream_auth",         502, ERR_UPSTREAM, "server_error",
	  "The model provider refused this server's credentials." },
	{ "upstream_error",        502, ERR_UPSTREAM, "server_error",
	  "The model provider failed." },
	{ "upstream_invalid",      502, ERR_UPSTREAM, "server_error",
	  "The model provider's answer is not valid." },
	{ "upstream_not_found",    502, ERR_UPSTREAM, "server_error",
	  "The model provider does not serve this interface." },
	{ "upstream_overloaded",   503, ERR_BUSY,     "server_error",
	  "The model provider is overloaded: try again later." },
	{ "upstream_timeout",      504, ERR_TIMEOUT,  "server_error",
	  "The model provider took too long." },
	{ "upstream_tls",          502, ERR_UPSTREAM, "server_error",
	  "There is no trusted connection to the model provider." },
	{ "upstream_too_large",    502, ERR_UPSTREAM, "server_error",
	  "The model provider's answer is too large." },
	{ "upstream_truncated",    502, ERR_UPSTREAM, "server_error",
	  "The model provider's answer ended too early." },
	{ "upstream_unreachable",  502, ERR_UPSTREAM, "server_error",
	  "The model provider cannot be reached." },
	/* the last one: for a code that is not listed */
	{ "internal_error",        500, ERR_BUG,      "server_error",
	  "Something failed on the server." },
};
/* clang-format on */

#define FAILURES (sizeof(failures) / sizeof(failures[0]))

static void
fini(void *arg)
{
	struct call *call = arg;

	buf_fini(&call->body);
	buf_fini(&call->text);
	if (call->progress != NULL && call->progress->taken)
		snapshot_release(call->snapshot);
}

/* The first call of a request may have its id already. */
static enum err
give_id(struct http_request *req, struct uuid *out)
{
	if (uuid_is_zero(&req->call_id))
		return uuid_make(out);
	*out = req->call_id;
	memset(&req->call_id, 0, sizeof(req->call_id));
	return OK;
}

struct call *
call_new(struct http_request *req, const struct call_sink *sink,
    void *sink_data)
{
	struct call *call = arena_alloc(req->arena, sizeof(*call));

	if (call == NULL || give_id(req, &call->id) != OK)
		return NULL;
	uuid_text(&call->id, call->id_text);
	call->sink = sink;
	call->sink_data = sink_data;
	call->kind = "chat.completion";
	call->usage = (struct call_usage){ -1, -1, -1, -1, false };
	call->choices = 1;
	call->prompt_estimate = -1;
	call->cost_pico = -1;
	call->durable = DURABLE_NONE;
	buf_init(&call->body, CALL_BODY_MAX);
	/* The event that passes the ceiling is still handed on whole. */
	buf_init(&call->text, CALL_TEXT_MAX + SSE_EVENT_MAX);
	if (arena_on_free(req->arena, fini, call) != OK)
		return NULL;
	return call;
}

enum err
call_request(const struct call *call, struct arena *arena,
    const struct jsonr **out)
{
	struct jsonr *parsed;
	enum err err;

	*out = call->request;
	if (*out != NULL)
		return OK;
	err = jsonr_parse(arena, call->request_json, call->request_len, &parsed,
	    NULL);
	if (err == OK)
		*out = parsed;
	return err;
}

int64_t
call_choices(const struct jsonr *request)
{
	const struct jsonr *n = jsonr_get(request, "n");
	int64_t choices = 0;

	if (jsonr_kind(n) == JSONR_NULL)
		return 1;
	(void)!jsonr_int(n, 1, CALL_N_MAX, &choices); /* 0 then */
	return choices;
}

static const struct failure *
failure_of(const char *code)
{
	size_t i = 0;

	while (i < FAILURES - 1 && strcmp(failures[i].code, code) != 0)
		i++;
	return &failures[i];
}

void
call_fail(struct call *call, const char *code, const char *detail)
{
	const struct failure *failure = failure_of(code);
	size_t len;

	if (call->error_code != NULL)
		return;
	if (detail == NULL || *detail == '\0')
		detail = failure->detail;
	len = strnlen(detail, sizeof(call->error_detail) - 1);
	len = codec_utf8_valid(detail, len);
	memcpy(call->error_detail, detail, len);
	call->error_detail[len] = '\0';
	call->error_code = failure->code;
	call->error_status = failure->status;
	call->error = failure->err;
}

void
call_error_json(const struct call *call, struct buf *out)
{
	const struct failure *failure =
	    failure_of(call->error_code == NULL ? "internal_error"
						: call->error_code);
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_object(&w);
	jsonw_key(&w, "error");
	jsonw_object(&w);
	jsonw_kv(&w, "message",
	    call->error_code == NULL ? failure->detail : call->error_detail);
	jsonw_kv(&w, "type", failure->type);
	jsonw_kv(&w, "param", NULL);
	jsonw_kv(&w, "code", failure->code);
	jsonw_end_object(&w);
	jsonw_end_object(&w);
}

enum handled
call_problem(struct call *call)
{
	const struct failure *failure =
	    failure_of(call->error_code == NULL ? "internal_error"
						: call->error_code);
	struct problem problem = {
		.err = failure->err,
		.status = failure->status,
		.code = failure->code,
		.type = failure->type,
		.retry_after = call->retry_after,
		.detail = call->error_code == NULL ? failure->detail
						   : call->error_detail,
	};

	return problem_send(outlet_request(call->outlet), &problem);
}

static const char *
status_text(const struct call *call)
{
	switch (call->end) {
	case CALL_OPEN:
		return CALL_STATUS_RUNNING;
	case CALL_COMPLETED:
		return CALL_STATUS_COMPLETED;
	case CALL_CANCELLED:
		return CALL_STATUS_CANCELLED;
	case CALL_FAILED:
		break;
	}
	return CALL_STATUS_FAILED;
}

/* Its prompt is paid for, whatever becomes of it. */
static void
fill_open(const struct call *call, struct call_row *row)
{
	struct call_usage usage = call->usage;

	if (usage.prompt < 0) {
		usage.prompt = call->prompt_estimate;
		row->estimated = true;
	}
	row->prompt_tokens = usage.prompt;
	if (usage.completion < 0)
		usage.completion = 0;
	row->cost_pico = price_cost(&call->target->price, &usage);
}

static void
fill_figures(const struct call *call, struct call_row *row)
{
	row->prompt_tokens = call->usage.prompt;
	row->completion_tokens = call->usage.completion;
	row->cached_tokens = call->usage.cached;
	row->reasoning_tokens = call->usage.reasoning;
	row->estimated = call->usage.estimated;
	row->cost_pico = call->cost_pico;
	row->answer_pico = call->target->price.output;
	if (call->end == CALL_OPEN)
		fill_open(call, row);
	row->http_status =
	    call->upstream_status == 0 ? -1 : call->upstream_status;
	row->started_us = call->started_wall_us;
	row->latency_us = -1;
	row->finished_us = -1;
	if (call->ended_us != 0) {
		row->latency_us = call->ended_us - call->started_us;
		row->finished_us = call->started_wall_us + row->latency_us;
	}
	row->first_token_us = call->first_token_us == 0
				  ? -1
				  : call->first_token_us - call->started_us;
}

void
call_fill_row(const struct call *call, struct call_row *row)
{
	const struct http_request *req = outlet_request(call->outlet);

	*row = (struct call_row){
		.id = call->id,
		.user_id = req->who.user_id,
		.key_id =
		    req->who.key_text[0] == '\0' ? NULL : req->who.key_text,
		.kind = call->kind,
		.provider = call->target->provider->name,
		.model = call->target->model,
		.upstream_model = call->target->upstream_model,
		.status = status_text(call),
		.error = call->error_code,
		.end_user = call->end_user,
		.environment = call->environment,
		.source = call->source,
		.chat_id = call->chat_id,
		.session_id = call->session_id,
		.request_id = req->id,
		.metadata = call->metadata,
		.request_text = call->request_text != NULL ? call->request_text
							   : call->request_json,
		.response_text = buf_str(&call->text),
		.stream = call->stream,
	};
	fill_figures(call, row);
}
