/*
 * memory.c - the transport of tests.
 */
#include "http/memory.h"

#define ANSWER_MAX (RESPONSE_BODY_MAX + RESPONSE_HEADERS_MAX + 1024)

static enum err
memory_write(struct http_request *req, const void *data, size_t len)
{
	struct memory_answer *answer = req->transport_data;

	if (answer->gone)
		return ERR_GONE;
	buf_add(&answer->bytes, data, len);
	return buf_ok(&answer->bytes) ? OK : ERR_GONE;
}

static enum err
memory_flush(struct http_request *req)
{
	const struct memory_answer *answer = req->transport_data;

	return answer->gone ? ERR_GONE : OK;
}

static bool
memory_writable(struct http_request *req)
{
	const struct memory_answer *answer = req->transport_data;

	return !answer->stuck;
}

static int
memory_fd(struct http_request *req)
{
	(void)req;
	return -1;
}

static void
memory_finish(struct http_request *req)
{
	struct memory_answer *answer = req->transport_data;

	request_free(req);
	answer->finished = true;
}

static const struct http_transport memory_transport = {
	.name = "memory",
	.write = memory_write,
	.flush = memory_flush,
	.writable = memory_writable,
	.fd = memory_fd,
	.finish = memory_finish,
};

enum err
memory_request(const char *const *envp, const char *body, size_t len,
    struct memory_answer *answer, struct http_request **out)
{
	struct http_request *req = request_new();
	enum err err;

	if (req == NULL)
		return ERR_MEMORY;
	*answer = (struct memory_answer){ .finished = false };
	buf_init(&answer->bytes, ANSWER_MAX);
	req->transport = &memory_transport;
	req->transport_data = answer;
	err = request_from_cgi(req, envp);
	if (err != OK && err != ERR_INPUT)
		goto out;
	err = OK;
	if (body == NULL)
		goto out;
	req->body = arena_strndup(req->arena, body, len);
	req->body_len = len;
	if (req->body == NULL)
		err = ERR_MEMORY;
out:
	if (err == OK)
		*out = req;
	else
		request_free(req);
	return err;
}

void
memory_answer_fini(struct memory_answer *answer)
{
	buf_fini(&answer->bytes);
}
