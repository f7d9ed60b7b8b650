/*
 * llm_common.c - what every family needs to start a model call.
 */
#include "api/llm_common.h"

#include <string.h>

#include "api/admit.h"
#include "api/app.h"
#include "http/problem.h"
#include "llm/price.h"
#include "json/write.h"

#define USER_MAX     200   /* bytes of the end user's name in the log */
#define METADATA_MAX 16384 /* bytes that the log keeps of it */
#define NAMES_MAX    20    /* models that an error names */
#define NAME_CUT     100   /* bytes of a client's model name in an error */
#define MESSAGES_MAX ((size_t)64 * 1024 * 1024)
#define OWN_CONTEXT  8000 /* tokens of context where none is known */

static enum handled
reply_unknown(struct http_request *req, const struct snapshot *snapshot,
    const char *model)
{
	size_t count = snapshot_count(snapshot);
	struct problem problem = {
		.err = ERR_MISSING, .code = "model_not_found", .param = "model"
	};
	enum handled handled;
	struct buf text;

	buf_init(&text, NAMES_MAX * 256 + 1024);
	buf_addf(&text, "The model '%.*s' does not exist. ", NAME_CUT, model);
	buf_adds(&text, count == 0 ? "There are none." : "These do: ");
	for (size_t i = 0; i < count && i < NAMES_MAX; i++)
		buf_addf(&text, "%s%s", i == 0 ? "" : ", ",
		    snapshot_at(snapshot, i)->model);
	if (count > NAMES_MAX)
		buf_addf(&text, " and %zu more", count - NAMES_MAX);
	problem.detail = buf_ok(&text) ? text.data : NULL;
	handled = problem_send(req, &problem);
	buf_fini(&text);
	return handled;
}

const struct catalog_target *
llm_target_or_reply(struct http_request *req, const char *model,
    struct snapshot **snapshot)
{
	const struct catalog_target *target;
	enum err err = catalog_snapshot(req->app->catalog, req->db, snapshot);

	if (err != OK) {
		(void)request_fail(req, err, "the catalogue is not loaded");
		(void)problem_of(req, err);
		return NULL;
	}
	if (model == NULL || *model == '\0') {
		model = "";
		target = snapshot_default(*snapshot);
	} else {
		target = snapshot_find(*snapshot, req->arena, model);
	}
	if (target == NULL) {
		(void)reply_unknown(req, *snapshot, model);
		snapshot_release(*snapshot);
		*snapshot = NULL;
	}
	return target;
}

void
llm_notes_read(const struct jsonr *body, struct llm_notes *out)
{
	const struct jsonr *metadata = jsonr_get(body, "metadata");
	const char *text;
	size_t len;

	*out = (struct llm_notes){ .user = NULL };
	if (jsonr_kind(metadata) == JSONR_OBJECT) {
		jsonr_raw(metadata, &text, &len);
		if (len <= METADATA_MAX)
			out->metadata = jsonr_text(metadata);
	}
	if (jsonr_string(jsonr_get(body, "user"), &text, &len) == OK &&
	    len <= USER_MAX)
		out->user = text;
}

struct call *
llm_call_new(struct http_request *req, const struct call_sink *sink,
    void *sink_data, const struct catalog_target *target,
    struct snapshot *snapshot)
{
	struct call *call = call_new(req, sink, sink_data);

	if (call == NULL) {
		snapshot_release(snapshot);
		return NULL;
	}
	call->target = target;
	call->snapshot = snapshot;
	return call;
}

enum err
llm_request_json(struct http_request *req, struct call *call,
    const struct llm_message *messages, size_t count)
{
	struct buf json;
	struct jsonw w;

	buf_init(&json, MESSAGES_MAX);
	jsonw_init(&w, &json);
	jsonw_object(&w);
	jsonw_kv(&w, "model", call->target->model);
	jsonw_key(&w, "messages");
	jsonw_array(&w);
	for (size_t i = 0; i < count; i++) {
		jsonw_object(&w);
		jsonw_kv(&w, "role", messages[i].role);
		jsonw_kv(&w, "content", messages[i].content);
		jsonw_end_object(&w);
	}
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	call->request_len = json.len;
	call->request_json =
	    buf_ok(&json) ? arena_strndup(req->arena, json.data, json.len)
			  : NULL;
	buf_fini(&json);
	return call->request_json == NULL ? ERR_MEMORY : OK;
}

size_t
llm_context_from(const struct catalog_target *target,
    const struct llm_message *messages, size_t count)
{
	int64_t room = target->context > 0 ? target->context / 2 : OWN_CONTEXT;
	size_t from = count;
	const char *text;

	while (from > 0) {
		text = messages[from - 1].content;
		room -= price_estimate_tokens(text, strlen(text));
		if (room < 0 && from < count)
			break;
		from--;
	}
	return from;
}

static void
release_snapshots(struct call *calls)
{
	for (struct call *call = calls; call != NULL; call = call->next) {
		snapshot_release(call->snapshot);
		call->snapshot = NULL;
	}
}

enum handled
llm_start_or_reply(struct http_request *req, struct call *calls)
{
	struct outlet *outlet;
	enum err err = ERR_MEMORY;

	if (admit_calls_or_reply(req, calls) != OK) {
		release_snapshots(calls);
		return ANSWERED;
	}
	outlet = outlet_new(req);
	if (outlet != NULL)
		err = relay_start(req->app->relay, outlet, calls);
	if (err == OK)
		return PARKED;
	admit_undo(calls);
	release_snapshots(calls);
	(void)request_fail(req, err, "the relay does not take the call");
	return problem_of(req, err);
}
