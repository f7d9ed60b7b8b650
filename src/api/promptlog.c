/*
 * promptlog.c - POST /proxy-api: a prompt, its completion, its record.
 */
#include "api/promptlog.h"

#include "api/app.h"
#include "api/llm_common.h"
#include "http/body.h"
#include "http/problem.h"
#include "http/response.h"
#include "json/write.h"

#define NAMES_MAX 20 /* models that a fault names */

static const char *const environments[] = { "production", "development",
	"testing", NULL };

struct ask {
	const char *prompt, *user, *environment, *model, *metadata;
	const struct catalog_target *target;
};

/* Relay thread.  Only what is kept is answered for with a 201. */
static void
end(struct call *call)
{
	struct http_request *req = outlet_request(call->outlet);
	struct jsonw w;

	response_header(req, "X-Call-Id", call->id_text);
	if (call->durable == DURABLE_NONE) {
		(void)call_problem(call);
	} else {
		jsonw_init(&w, &req->out);
		jsonw_object(&w);
		jsonw_key(&w, "data");
		if (call->end == CALL_COMPLETED)
			jsonw_string_len(&w, buf_str(&call->text),
			    call->text.len);
		else
			jsonw_string(&w, "");
		jsonw_end_object(&w);
		(void)response_json(req, 201);
	}
	outlet_finish(call->outlet);
}

static const struct call_sink sink = { .end = end };

static void
read_metadata(struct problem_fields *bad, const struct jsonr *body,
    struct ask *ask)
{
	const struct jsonr *metadata = jsonr_get(body, "metadata");
	const char *text;
	size_t len;

	if (jsonr_kind(metadata) == JSONR_NULL) {
		problem_field(bad, "metadata", "is required");
		return;
	}
	if (jsonr_kind(metadata) != JSONR_OBJECT) {
		problem_field(bad, "metadata", "must be an object");
		return;
	}
	bad->prefix = "metadata.";
	body_string(bad, metadata, "user", REQUIRED, 1, PROMPTLOG_NAME_MAX,
	    &ask->user);
	body_word(bad, metadata, "environment", REQUIRED, environments,
	    &ask->environment);
	body_string(bad, metadata, "model", REQUIRED, 1, PROMPTLOG_NAME_MAX,
	    &ask->model);
	bad->prefix = NULL;
	jsonr_raw(metadata, &text, &len);
	if (len <= PROMPTLOG_METADATA_MAX)
		ask->metadata = jsonr_text(metadata);
}

static void
name_models(struct problem_fields *bad, const struct snapshot *snapshot)
{
	size_t count = snapshot_count(snapshot);
	struct buf names;

	buf_init(&names, NAMES_MAX * 256 + 64);
	for (size_t i = 0; i < count && i < NAMES_MAX; i++)
		buf_addf(&names, "%s%s", i == 0 ? "" : ", ",
		    snapshot_at(snapshot, i)->model);
	if (count > NAMES_MAX)
		buf_addf(&names, " and %zu more", count - NAMES_MAX);
	problem_field(bad, "metadata.model", "must be one of these: %s",
	    buf_ok(&names) ? buf_str(&names) : "those of /v1/models");
	buf_fini(&names);
}

/* All faults at once, the model that nobody has among them; then snapshot is
 * held by the caller. */
static bool
read_or_reply(struct http_request *req, const struct jsonr *body,
    struct ask *ask, struct snapshot **snapshot)
{
	struct problem_fields *bad = problem_fields(req);
	enum err err;

	body_string(bad, body, "prompt", REQUIRED, 1, PROMPTLOG_PROMPT_MAX,
	    &ask->prompt);
	read_metadata(bad, body, ask);
	err = catalog_snapshot(req->app->catalog, req->db, snapshot);
	if (err != OK) {
		(void)problem_of(req, err);
		return false;
	}
	if (ask->model != NULL) {
		ask->target = snapshot_find(*snapshot, req->arena, ask->model);
		if (ask->target == NULL)
			name_models(bad, *snapshot);
	}
	if (!problem_fields_any(bad))
		return true;
	snapshot_release(*snapshot);
	(void)problem_fields_reply(bad);
	return false;
}

enum handled
promptlog_ask(struct http_request *req)
{
	struct ask ask = { .prompt = NULL };
	struct snapshot *snapshot;
	struct jsonr *body;
	struct call *call;

	if (body_object_or_reply(req, &body) != OK ||
	    !read_or_reply(req, body, &ask, &snapshot))
		return ANSWERED;
	call = llm_call_new(req, &sink, NULL, ask.target, snapshot);
	if (call == NULL)
		return problem_of(req, ERR_MEMORY);
	call->kind = "prompt";
	call->end_user = ask.user;
	call->environment = ask.environment;
	call->metadata = ask.metadata;
	call->request_text = ask.prompt;
	if (llm_request_json(req, call,
		&(struct llm_message){ "user", ask.prompt }, 1) != OK) {
		snapshot_release(snapshot);
		return problem_of(req, ERR_MEMORY);
	}
	return llm_start_or_reply(req, call);
}
