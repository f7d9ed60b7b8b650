/*
 * listener.h - the one FastCGI socket, shared by all workers.
 */
#ifndef PROCESS_LISTENER_H
#define PROCESS_LISTENER_H

#include "base/err.h"

/*
 * Binds path: under a temporary name, mode 0660, owned by group ("" leaves
 * it), then renamed, so that nobody ever sees a half-made socket.  ERR_INPUT
 * for a path that does not fit or an unknown group, ERR_CONFLICT when another
 * process answers on it, ERR_SYSTEM otherwise (errno); one log line each.
 */
enum err listener_open(const char *path, const char *group, int *fd) MUST_CHECK;

/* Passing descriptors between processes (unix(7), SCM_RIGHTS). */
enum err listener_send_fd(int socket, int fd) MUST_CHECK;
/* ERR_MISSING when none is waiting. */
enum err listener_receive_fd(int socket, int *fd) MUST_CHECK;

#endif /* PROCESS_LISTENER_H */
