/*
 * fcgi.h - the FastCGI transport: connections from nginx, by libfcgi.
 *
 * A connection is read only when its descriptor is readable, so a silent one
 * holds no thread.  fcgi_read() sets FCGX_Request.ipcFd and keepConnection and
 * lets FCGX_Accept_r parse from that descriptor.  Signals must be blocked in
 * the threads that call this: a read with a timeout is not restarted.
 */
#ifndef HTTP_FCGI_H
#define HTTP_FCGI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "http/request.h"

struct fcgi_conn; /* one connection from nginx, owned by the worker */

/* Once a process, before threads: FCGX_Init without its signal handlers;
 * SIGPIPE is ignored after. */
enum err fcgi_setup(void) MUST_CHECK;

const char *fcgi_library_version(void);

/*
 * Takes over fd (accepted, blocking; receive and send timeouts are set here).
 * NULL when memory is short: fd is still the caller's.
 * after(conn, keep, arg) is called when an answer is complete, by the thread
 * that finished it: keep says that nginx will send another request on it (arm
 * it again), otherwise the descriptor is closed already (then free it).
 */
struct fcgi_conn *fcgi_conn_new(int fd,
    void (*after)(struct fcgi_conn *conn, bool keep, void *arg), void *arg);
int fcgi_conn_fd(const struct fcgi_conn *conn);
/* Gives the descriptor away (to another worker): conn no longer closes it. */
int fcgi_conn_take_fd(struct fcgi_conn *conn);
void fcgi_conn_free(struct fcgi_conn *conn); /* closes */

/*
 * Reads one request, with at most body_max bytes of body: a larger one is
 * drained up to a cap and req->fail is ERR_TOO_LARGE.  A body shorter than
 * CONTENT_LENGTH is ERR_INPUT in req->fail.  Return: OK with *out set; ERR_GONE
 * when the peer closed (the usual end) or talked nonsense, ERR_MEMORY or
 * ERR_SYSTEM when this process cannot: free conn in every case but OK.
 */
enum err fcgi_read(struct fcgi_conn *conn, size_t body_max,
    struct http_request **out) MUST_CHECK;

#endif /* HTTP_FCGI_H */
