/*
 * docs.c - the OpenAPI document and the page that shows it.
 */
#include "api/docs.h"

#include <string.h>

#include "api/service.h"
#include "auth/secret.h"
#include "http/response.h"

#define VERSION_MARK "@VERSION@"
#define ETAG_LEN     18 /* 16 digits of a hash in quotes */

/* Swagger UI sets styles from its script, and shows its icons as data URLs;
 * nothing else that is not a file of this host is run, shown or asked. */
#define PAGE_CSP                                            \
	"default-src 'none'; script-src 'self'; "           \
	"style-src 'self'; img-src 'self' data:; "          \
	"connect-src 'self'; base-uri 'none'; form-action " \
	"'none'; frame-ancestors 'none'"

static const char page[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>minuted: the API</title>\n"
    "<link rel=\"icon\" href=\"data:,\">\n"
    "<link rel=\"stylesheet\" href=\"/docs/swagger-ui.css\">\n"
    "<link rel=\"stylesheet\" href=\"/docs/docs.css\">\n"
    "<script defer src=\"/docs/swagger-ui-bundle.js\"></script>\n"
    "<script defer src=\"/docs/docs.js\"></script>\n"
    "</head>\n"
    "<body>\n"
    "<main id=\"docs\">\n"
    "<h1>minuted</h1>\n"
    "<p>The API is described by <a href=\"/openapi.json\">/openapi.json</a> "
    "(OpenAPI 3.1).</p>\n"
    "<p>To see it here, where calls can be tried, JavaScript has to be on in "
    "the browser, and the page's files have to be on the server: "
    "<code>make docs</code> gets them.</p>\n"
    "</main>\n"
    "</body>\n"
    "</html>\n";

static void
write_document(struct buf *out)
{
	const char *mark = strstr(docs_openapi_text, VERSION_MARK);

	if (mark != NULL) {
		buf_add(out, docs_openapi_text,
		    (size_t)(mark - docs_openapi_text));
		buf_adds(out, service_version());
		buf_adds(out, mark + strlen(VERSION_MARK));
	} else {
		buf_adds(out, docs_openapi_text);
	}
}

/* The quoted tag of text; a client sends it back to ask for a newer one. */
static void
etag_of(const char *text, char etag[ETAG_LEN + 1])
{
	char hash[SECRET_HASH_SIZE];

	secret_hash(text, hash);
	etag[0] = '"';
	memcpy(etag + 1, hash, ETAG_LEN - 2);
	etag[ETAG_LEN - 1] = '"';
	etag[ETAG_LEN] = '\0';
}

enum handled
docs_openapi(struct http_request *req)
{
	const char *known = request_header(req, "if-none-match");
	char etag[ETAG_LEN + 1];

	write_document(&req->out);
	etag_of(buf_str(&req->out), etag);
	response_header(req, "ETag", etag);
	response_header(req, "Cache-Control", "no-cache");
	if (known != NULL && strstr(known, etag) != NULL)
		return response_empty(req, 304);
	return response_json(req, 200);
}

enum handled
docs_page(struct http_request *req)
{
	response_header(req, "Cache-Control", "no-cache");
	response_header(req, "Content-Security-Policy", PAGE_CSP);
	buf_add(&req->out, page, sizeof(page) - 1);
	return response_type(req, 200, "text/html");
}
