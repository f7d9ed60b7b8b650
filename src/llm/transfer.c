/*
 * transfer.c - libcurl: curl_multi_socket_action over the relay's epoll.
 *
 * Every request has a handle made afresh, so that nothing of one call can be
 * in another; what is shared is the pool of connections.  HTTP/1.1 only: there
 * a paused transfer holds its connection and nothing else.
 */
#include "llm/transfer.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "llm/address.h"

/* A read of a stream is an event or a few; each handle has such a buffer. */
#define READ_STREAM 2048L
#define READ_WHOLE  16384L
/* Below what servers commonly close idle connections after. */
#define CONNECTION_AGE_S 50L
#define RETRY_US         10000 /* after memory was short */

/*
 * A kept connection can be closed by the provider while it is written to.  Then
 * libcurl asks again over others, but a provider that had the request may have
 * done it: once only, soon, and for a tenth of the requests.
 */
#define AGAIN_WITHIN_US 1000000
#define AGAIN_COST      10  /* in requests */
#define AGAIN_SAVED_MAX 100 /* of them */

/*
 * A connection that is kept stays in the epoll between its requests: libcurl
 * takes its socket out after each and puts it back for the next.  Where nobody
 * has asked, what comes is no answer: libcurl would take it for the next one's.
 */
struct kept {
	struct watch *watch; /* NULL: not in the epoll */
	uint32_t events;
	bool ours; /* opened by open_socket(), closed by close_socket() */
	bool idle; /* libcurl does not want to hear of it */
	const struct transfer *asked; /* NULL: its request is over */
};

struct transfers {
	CURLM *multi;
	struct loop *loop;
	int64_t due_us;
	int64_t retry_us; /* some sockets are not watched; INT64_MAX: all are */
	struct kept *kept; /* by descriptor */
	size_t kept_count;
	int saved; /* requests since one was sent again, see AGAIN_COST */
};

struct transfer {
	CURL *easy;
	struct curl_slist *headers;
	struct transfers *owner; /* NULL: not started, or over */
	const struct transfer_events *events;
	void *arg;
	bool allow_local;
	bool refused;    /* an address that is not allowed */
	bool stopped;    /* bytes() wanted no more */
	int64_t sent_us; /* when the request was to be sent; 0: not yet */
	bool again;      /* it was sent twice */
	int fd;          /* of its connection; -1: none yet */
	char detail[CURL_ERROR_SIZE];
};

/* NULL for a descriptor that is not a connection's. */
static struct kept *
kept_of(const struct transfers *transfers, int fd)
{
	if ((size_t)fd >= transfers->kept_count || !transfers->kept[fd].ours)
		return NULL;
	return &transfers->kept[fd];
}

static void
unwatch(const struct transfers *transfers, struct kept *kept)
{
	loop_remove(transfers->loop, kept->watch);
	kept->watch = NULL;
}

/* A socket was opened. */
static bool
keep_socket(struct transfers *transfers, int fd)
{
	size_t count = transfers->kept_count;

	if ((size_t)fd >= count) {
		struct kept *kept;

		while ((size_t)fd >= count)
			count = count == 0 ? 64 : count * 2;
		kept = reallocarray(transfers->kept, count, sizeof(*kept));
		if (kept == NULL)
			return false;
		memset(kept + transfers->kept_count, 0,
		    (count - transfers->kept_count) * sizeof(*kept));
		transfers->kept = kept;
		transfers->kept_count = count;
	}
	transfers->kept[fd] = (struct kept){ .ours = true };
	return true;
}

static int
close_socket(void *arg, curl_socket_t fd)
{
	struct transfers *transfers = arg;
	struct kept *kept = kept_of(transfers, fd);

	if (kept != NULL) {
		unwatch(transfers, kept);
		kept->ours = false;
	}
	return close(fd);
}

/* In want of memory libcurl may have left a socket out: it is asked again. */
static void
act(struct transfers *transfers, int fd, int mask)
{
	int running;

	if (curl_multi_socket_action(transfers->multi, fd, mask, &running) !=
	    CURLM_OK)
		transfers->retry_us = clock_mono_us() + RETRY_US;
}

/* libcurl finds out at its use that it has ended; bytes or an error that wait
 * there it would take for life. */
static void
cut_off(const struct transfers *transfers, struct kept *kept, int fd)
{
	char bytes[4096];
	int reset;
	socklen_t len = sizeof(reset);

	unwatch(transfers, kept);
	(void)shutdown(fd, SHUT_RDWR);
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &reset, &len);
}

/* The transfer is over: has its connection more than its answer? */
static void
release(const struct transfers *transfers, const struct transfer *transfer)
{
	struct kept *kept = kept_of(transfers, transfer->fd);
	char byte;

	if (kept == NULL || kept->asked != transfer)
		return;
	kept->asked = NULL;
	if (recv(transfer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		cut_off(transfers, kept, transfer->fd);
}

static void
on_socket(void *arg, int fd, uint32_t events)
{
	struct transfers *transfers = arg;
	struct kept *kept = kept_of(transfers, fd);
	int mask = 0;

	if (kept != NULL && kept->idle) {
		if (kept->asked == NULL)
			cut_off(transfers, kept, fd);
		else
			unwatch(transfers, kept); /* its transfer is paused */
		return;
	}

	if ((events & EPOLLIN) != 0)
		mask |= CURL_CSELECT_IN;
	if ((events & EPOLLOUT) != 0)
		mask |= CURL_CSELECT_OUT;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		mask |= CURL_CSELECT_IN | CURL_CSELECT_ERR;
	act(transfers, fd, mask);
	transfers_reap(transfers);
}

static void
watch_kept(struct transfers *transfers, struct kept *kept, int fd,
    uint32_t events)
{
	kept->idle = false;
	if (kept->watch == NULL)
		kept->watch =
		    loop_add(transfers->loop, fd, events, on_socket, transfers);
	else if (kept->events != events)
		loop_change(transfers->loop, kept->watch, events);
	kept->events = events;
	if (kept->watch == NULL)
		transfers->retry_us = clock_mono_us() + RETRY_US;
}

static struct transfer *
transfer_of(CURL *easy)
{
	char *private = NULL;

	if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) != CURLE_OK)
		return NULL;
	return (struct transfer *)(void *)private;
}

static void
note_asked(struct kept *kept, int fd, CURL *easy)
{
	struct transfer *transfer = transfer_of(easy);

	kept->asked = transfer;
	if (transfer != NULL)
		transfer->fd = fd;
}

/* Never fails: libcurl would give up every transfer there is.  What is not
 * watched for want of memory is later; the resolver looks for itself. */
static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *assigned)
{
	struct transfers *transfers = arg;
	struct kept *kept = kept_of(transfers, fd);
	struct watch *watch = assigned;
	uint32_t events = 0;

	if (kept != NULL && what == CURL_POLL_REMOVE) {
		kept->idle = true;
		return 0;
	}
	if (what == CURL_POLL_REMOVE) {
		loop_remove(transfers->loop, watch);
		(void)curl_multi_assign(transfers->multi, fd, NULL);
		return 0;
	}
	if ((what & CURL_POLL_IN) != 0)
		events |= EPOLLIN;
	if ((what & CURL_POLL_OUT) != 0)
		events |= EPOLLOUT;
	if (kept != NULL) {
		note_asked(kept, fd, easy);
		watch_kept(transfers, kept, fd, events);
		return 0;
	}
	if (watch != NULL) {
		loop_change(transfers->loop, watch, events);
		return 0;
	}
	watch = loop_add(transfers->loop, fd, events, on_socket, transfers);
	if (watch != NULL)
		(void)curl_multi_assign(transfers->multi, fd, watch);
	return 0;
}

static int
set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct transfers *transfers = arg;

	(void)multi;
	transfers->due_us = timeout_ms < 0
				? INT64_MAX
				: clock_mono_us() + (int64_t)timeout_ms * 1000;
	return 0;
}

static bool
set_up_multi(struct transfers *transfers, int64_t connections_max)
{
	CURLM *multi = transfers->multi;
	long most =
	    connections_max > LONG_MAX ? LONG_MAX : (long)connections_max;
	int bad = 0;

	bad |= curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	bad |= curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, transfers);
	bad |= curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	bad |= curl_multi_setopt(multi, CURLMOPT_TIMERDATA, transfers);
	bad |= curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	bad |= curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, 0L);
	bad |= curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 0L);
	bad |= curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, most);
	return bad == 0;
}

struct transfers *
transfers_new(struct loop *loop, int64_t connections_max)
{
	struct transfers *transfers = calloc(1, sizeof(*transfers));

	if (transfers == NULL)
		return NULL;
	transfers->loop = loop;
	transfers->due_us = INT64_MAX;
	transfers->retry_us = INT64_MAX;
	transfers->saved = AGAIN_COST;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(transfers);
		return NULL;
	}
	transfers->multi = curl_multi_init();
	if (transfers->multi == NULL ||
	    !set_up_multi(transfers, connections_max)) {
		transfers_free(transfers);
		return NULL;
	}
	return transfers;
}

void
transfers_free(struct transfers *transfers)
{
	if (transfers == NULL)
		return;
	if (transfers->multi != NULL)
		(void)curl_multi_cleanup(transfers->multi);
	curl_global_cleanup();
	free(transfers->kept);
	free(transfers);
}

int64_t
transfers_due(const struct transfers *transfers)
{
	return transfers->retry_us < transfers->due_us ? transfers->retry_us
						       : transfers->due_us;
}

/* curl_multi_socket_all() is what tells of all sockets anew; no other does. */
static void
watch_all(struct transfers *transfers)
{
	int running;
	CURLMcode rc;

	transfers->retry_us = INT64_MAX;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	rc = curl_multi_socket_all(transfers->multi, &running);
#pragma GCC diagnostic pop
	if (rc != CURLM_OK)
		transfers->retry_us = clock_mono_us() + RETRY_US;
	for (size_t fd = 0; fd < transfers->kept_count; fd++) {
		struct kept *kept = &transfers->kept[fd];

		if (kept->ours && !kept->idle && kept->watch == NULL &&
		    kept->events != 0)
			watch_kept(transfers, kept, (int)fd, kept->events);
	}
}

void
transfers_tick(struct transfers *transfers)
{
	if (clock_mono_us() >= transfers->due_us) {
		transfers->due_us = INT64_MAX;
		act(transfers, CURL_SOCKET_TIMEOUT, 0);
	}
	if (clock_mono_us() >= transfers->retry_us)
		watch_all(transfers);
	transfers_reap(transfers);
}

/* What is not listed means that what came is not HTTP as it should be. */
static const struct {
	CURLcode code;
	enum transfer_result result;
} results[] = {
	{ CURLE_OK, TRANSFER_OK },
	{ CURLE_COULDNT_RESOLVE_HOST, TRANSFER_UNREACHABLE },
	{ CURLE_COULDNT_CONNECT, TRANSFER_UNREACHABLE },
	{ CURLE_URL_MALFORMAT, TRANSFER_UNREACHABLE },
	{ CURLE_OPERATION_TIMEDOUT, TRANSFER_TIMEOUT },
	{ CURLE_SSL_CONNECT_ERROR, TRANSFER_TLS },
	{ CURLE_PEER_FAILED_VERIFICATION, TRANSFER_TLS },
	{ CURLE_SSL_CACERT_BADFILE, TRANSFER_TLS },
	{ CURLE_SSL_CIPHER, TRANSFER_TLS },
	{ CURLE_SSL_ISSUER_ERROR, TRANSFER_TLS },
	{ CURLE_GOT_NOTHING, TRANSFER_CUT },
	{ CURLE_ABORTED_BY_CALLBACK, TRANSFER_CUT }, /* see may_send() */
	{ CURLE_PARTIAL_FILE, TRANSFER_CUT },
	{ CURLE_RECV_ERROR, TRANSFER_CUT },
	{ CURLE_SEND_ERROR, TRANSFER_CUT },
	{ CURLE_OUT_OF_MEMORY, TRANSFER_MEMORY },
};

/* Of the request, so far. */
static long
bytes_sent(const struct transfer *transfer)
{
	long bytes = 0;

	(void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &bytes);
	return bytes;
}

static enum transfer_result
result_by_code(CURLcode code)
{
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		if (results[i].code == code)
			return results[i].result;
	return TRANSFER_INVALID;
}

/* Nobody knows what became of a request that was sent over a kept connection,
 * also when there is no other connection to send it again. */
static enum transfer_result
result_of(const struct transfer *transfer, CURLcode code)
{
	enum transfer_result result = code != CURLE_OK && transfer->refused
					  ? TRANSFER_UNREACHABLE
					  : result_by_code(code);

	if (code != CURLE_OK && transfer->stopped)
		return TRANSFER_STOPPED;
	if ((result == TRANSFER_UNREACHABLE || result == TRANSFER_TIMEOUT ||
		result == TRANSFER_TLS) &&
	    bytes_sent(transfer) > 0)
		return TRANSFER_CUT;
	return result;
}

static const char *
detail_of(const struct transfer *transfer, CURLcode code)
{
	if (transfer->refused)
		return "the address is not allowed";
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return "a kept connection ended before the answer began";
	return transfer->detail;
}

void
transfers_reap(struct transfers *transfers)
{
	struct transfer *transfer;
	CURLMsg *message;
	CURLcode code;
	int waiting;

	for (;;) {
		message = curl_multi_info_read(transfers->multi, &waiting);
		if (message == NULL)
			return;
		transfer = transfer_of(message->easy_handle);
		if (message->msg != CURLMSG_DONE || transfer == NULL)
			continue;
		code = message->data.result;
		(void)curl_multi_remove_handle(transfers->multi,
		    transfer->easy);
		release(transfers, transfer);
		transfer->owner = NULL;
		transfer->events->done(transfer->arg, result_of(transfer, code),
		    detail_of(transfer, code));
	}
}

static void
tell_head(struct transfer *transfer)
{
	struct transfer_head head = { .content_type = "" };
	curl_off_t retry_after = 0;
	char *content_type = NULL;
	long status = 0;

	(void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE,
	    &status);
	if (status < 200)
		return;
	(void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE,
	    &content_type);
	(void)curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER,
	    &retry_after);
	head.status = (int)status;
	if (content_type != NULL)
		head.content_type = content_type;
	head.retry_after_s = retry_after;
	transfer->events->head(transfer->arg, &head);
}

static bool
is_blank(const char *line, size_t len)
{
	return len <= 2 && (line[0] == '\r' || line[0] == '\n');
}

/* Called for each header line; the empty one ends the head. */
static size_t
take_header(char *line, size_t size, size_t count, void *arg)
{
	size_t len = size * count;

	if (is_blank(line, len))
		tell_head(arg);
	return len;
}

static size_t
take_bytes(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;

	switch (transfer->events->bytes(transfer->arg, data, size * count)) {
	case TRANSFER_TAKEN:
		return size * count;
	case TRANSFER_PAUSE:
		return CURL_WRITEFUNC_PAUSE;
	case TRANSFER_STOP:
		break;
	}
	transfer->stopped = true;
	return CURL_WRITEFUNC_ERROR;
}

/* Whether libcurl may send the request: for the second time too?
 * NOLINTBEGIN(readability-non-const-parameter): its shape is libcurl's */
static int
may_send(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct transfer *transfer = arg;
	struct transfers *owner = transfer->owner;
	int64_t now_us = clock_mono_us();

	(void)to;
	(void)from;
	(void)to_port;
	(void)from_port;
	if (bytes_sent(transfer) == 0) {
		if (transfer->sent_us == 0 && owner->saved < AGAIN_SAVED_MAX)
			owner->saved++;
		transfer->sent_us = now_us;
		return CURL_PREREQFUNC_OK;
	}
	if (transfer->again || now_us - transfer->sent_us > AGAIN_WITHIN_US ||
	    owner->saved < AGAIN_COST)
		return CURL_PREREQFUNC_ABORT;
	transfer->again = true;
	owner->saved -= AGAIN_COST;
	return CURL_PREREQFUNC_OK;
}
/* NOLINTEND(readability-non-const-parameter) */

static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *transfer = arg;
	int fd;

	(void)purpose;
	if ((address->family != AF_INET && address->family != AF_INET6) ||
	    (!transfer->allow_local && !address_is_public(&address->addr))) {
		transfer->refused = true;
		return CURL_SOCKET_BAD;
	}
	transfer->refused = false;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
	    address->protocol);
	if (fd >= 0 && !keep_socket(transfer->owner, fd)) {
		close(fd);
		return CURL_SOCKET_BAD;
	}
	return fd;
}

/* All of these fail for want of memory only. */
static bool
set_policy(CURL *easy, const struct transfer_spec *spec)
{
	const char *protocols = spec->allow_local ? "http,https" : "https";
	long buffer = spec->stream ? READ_STREAM : READ_WHOLE;
	unsigned bad = 0;

	bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols);
	bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
	    (long)CURL_HTTP_VERSION_1_1);
	bad |= curl_easy_setopt(easy, CURLOPT_SSLVERSION,
	    (long)CURL_SSLVERSION_TLSv1_2);
	bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	bad |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
	bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* Without this the end of a transfer whose name is being resolved
	 * waits for getaddrinfo(), and with it every other stream.  The thread
	 * that resolves frees itself. */
	bad |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, CONNECTION_AGE_S);
	bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)spec->connect_ms);
	bad |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, buffer);
	return bad == 0;
}

static bool
set_request(struct transfer *transfer, const struct transfer_spec *spec)
{
	CURL *easy = transfer->easy;
	curl_off_t len = (curl_off_t)spec->body_len;
	unsigned bad = 0;

	bad |= curl_easy_setopt(easy, CURLOPT_URL, spec->url);
	bad |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
	bad |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, len);
	bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, spec->body);
	bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "minuted");
	bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail);
	bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	bad |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, may_send);
	bad |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	return bad == 0;
}

static bool
is_header(const char *line)
{
	for (; *line != '\0'; line++)
		if ((unsigned char)*line < 0x20 || (unsigned char)*line > 0x7e)
			return false;
	return true;
}

static enum err
add_header(struct transfer *transfer, const char *line)
{
	struct curl_slist *list;

	if (!is_header(line))
		return ERR_INPUT;
	list = curl_slist_append(transfer->headers, line);
	if (list == NULL)
		return ERR_MEMORY;
	transfer->headers = list;
	return OK;
}

static enum err
add_headers(struct transfer *transfer, const char *const *lines)
{
	/* Without this libcurl waits for "100 Continue" with large bodies. */
	enum err err = add_header(transfer, "Expect:");

	for (; err == OK && *lines != NULL; lines++)
		err = add_header(transfer, *lines);
	return err;
}

static enum err
fill(struct transfer *transfer, const struct transfer_spec *spec)
{
	enum err err;

	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL)
		return ERR_MEMORY;
	err = add_headers(transfer, spec->headers);
	if (err == OK &&
	    (!set_policy(transfer->easy, spec) || !set_request(transfer, spec)))
		err = ERR_MEMORY;
	return err;
}

enum err
transfer_new(const struct transfer_spec *spec, struct transfer **out)
{
	struct transfer *transfer = calloc(1, sizeof(*transfer));
	enum err err;

	if (transfer == NULL)
		return ERR_MEMORY;
	transfer->fd = -1;
	transfer->events = spec->events;
	transfer->arg = spec->arg;
	transfer->allow_local = spec->allow_local;
	err = fill(transfer, spec);
	if (err != OK) {
		transfer_free(transfer);
		return err;
	}
	*out = transfer;
	return OK;
}

enum err
transfer_start(struct transfers *transfers, struct transfer *transfer)
{
	unsigned bad = 0;

	bad |= curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETFUNCTION,
	    close_socket);
	bad |= curl_easy_setopt(transfer->easy, CURLOPT_CLOSESOCKETDATA,
	    transfers);
	transfer->owner = transfers;
	if (bad == 0 &&
	    curl_multi_add_handle(transfers->multi, transfer->easy) == CURLM_OK)
		return OK;
	transfer->owner = NULL;
	return ERR_MEMORY;
}

void
transfer_resume(struct transfer *transfer)
{
	(void)curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
}

void
transfer_free(struct transfer *transfer)
{
	if (transfer == NULL)
		return;
	if (transfer->owner != NULL)
		(void)curl_multi_remove_handle(transfer->owner->multi,
		    transfer->easy);
	if (transfer->easy != NULL)
		curl_easy_cleanup(transfer->easy);
	if (transfer->headers != NULL) {
		for (struct curl_slist *h = transfer->headers; h != NULL;
		     h = h->next)
			explicit_bzero(h->data, strlen(h->data));
		curl_slist_free_all(transfer->headers);
	}
	free(transfer);
}

const char *
transfer_library_version(void)
{
	return curl_version();
}

/* A part of url in the arena; "" when it has none. */
static enum err
url_part(struct arena *arena, CURLU *url, CURLUPart part, unsigned flags,
    const char **out)
{
	char *text = NULL;
	CURLUcode rc = curl_url_get(url, part, &text, flags);

	*out = rc == CURLUE_OK ? arena_strdup(arena, text) : "";
	curl_free(text);
	if (*out == NULL || rc == CURLUE_OUT_OF_MEMORY)
		return ERR_MEMORY;
	return OK;
}

static enum err
url_read(struct arena *arena, CURLU *url, struct transfer_url *out)
{
	static const CURLUPart unwanted[] = { CURLUPART_USER,
		CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY,
		CURLUPART_FRAGMENT };
	const char *text;
	enum err err;

	for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++) {
		err = url_part(arena, url, unwanted[i], 0, &text);
		if (err != OK || *text != '\0')
			return err != OK ? err : ERR_INPUT;
	}
	err = url_part(arena, url, CURLUPART_SCHEME, 0, &text);
	if (err != OK)
		return err;
	out->https = strcmp(text, "https") == 0;
	if (!out->https && strcmp(text, "http") != 0)
		return ERR_INPUT;
	err = url_part(arena, url, CURLUPART_PORT, CURLU_DEFAULT_PORT, &text);
	if (err != OK)
		return err;
	out->port = (int)strtol(text, NULL, 10);
	err = url_part(arena, url, CURLUPART_HOST, 0, &out->host);
	if (err == OK && *out->host == '\0')
		return ERR_INPUT;
	return err;
}

enum err
transfer_url_parse(struct arena *arena, const char *url,
    struct transfer_url *out)
{
	CURLU *parsed;
	enum err err = ERR_INPUT;
	CURLUcode rc;

	if (!is_header(url) || strpbrk(url, " ?#") != NULL)
		return ERR_INPUT;
	parsed = curl_url();
	if (parsed == NULL)
		return ERR_MEMORY;
	rc = curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER);
	if (rc == CURLUE_OK)
		err = url_read(arena, parsed, out);
	else if (rc == CURLUE_OUT_OF_MEMORY)
		err = ERR_MEMORY;
	curl_url_cleanup(parsed);
	return err;
}
