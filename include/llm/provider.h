/*
 * provider.h - what differs between kinds of providers: a table of functions
 * each, one const struct in llm_<kind>.c, listed in provider.c.
 */
#ifndef LLM_PROVIDER_H
#define LLM_PROVIDER_H

#include "llm/call.h"

struct llm_request { /* what to send; strings in the request's arena */
	const char *url;
	const char *const *headers; /* NULL-terminated "Name: value" */
	const char *body;
	size_t body_len;
};

struct llm_provider {
	const char *kind; /* providers.kind: "openai", "echo" */
	/* NULL: the provider is built in and the relay paces its answer. */
	enum err (*build)(struct arena *arena, const struct call *call,
	    struct llm_request *out);
	/* Reads one event of a stream into event's flags and usage into call;
	 * the text that it adds is appended to call->text and event's text
	 * points there, and all that it adds is counted (usage_add()).
	 * ERR_UPSTREAM when it is garbage, or an error: then call_fail() was
	 * called. */
	enum err (*read_event)(struct call *call, struct call_event *event);
	/* Reads the text and the usage of a whole answer (call->body), and
	 * counts it (usage_add()). */
	enum err (*read_body)(struct call *call);
	/* Fills error_* of call from upstream_status and body. */
	void (*map_error)(struct call *call);
};

extern const struct llm_provider llm_openai;
extern const struct llm_provider llm_echo; /* speaks OpenAI's formats */

/* OpenAI's formats, for every kind that speaks them. */
enum err openai_read_event(struct call *call,
    struct call_event *event) MUST_CHECK;
enum err openai_read_body(struct call *call) MUST_CHECK;
void openai_map_error(struct call *call);

/* NULL when there is no such kind. */
const struct llm_provider *provider_find(const char *kind);

#endif /* LLM_PROVIDER_H */
