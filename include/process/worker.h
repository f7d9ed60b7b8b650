/*
 * worker.h - one worker process: request threads on one epoll, and the relay
 * and journal threads beside them.
 */
#ifndef PROCESS_WORKER_H
#define PROCESS_WORKER_H

#include <stdbool.h>

#include "api/scoreboard.h"
#include "config/config.h"

/* What the supervisor gives to a worker it forks; borrowed. */
struct worker_seat {
	const struct config *config;
	struct scoreboard *board;
	int slot;
	int supervisor;  /* its pid: without it a worker ends */
	int listen_fd;   /* the shared socket, non-blocking */
	int handover[2]; /* connections of a draining worker: in [0], out [1] */
	bool others_serve; /* a reload: it need not serve before PostgreSQL
			    * has said that the schema fits */
};

/* Exit codes of a worker that the supervisor acts on. */
enum worker_exit {
	WORKER_EXIT_OK = 0,
	WORKER_EXIT_START = 3,  /* could not start: back off */
	WORKER_EXIT_SCHEMA = 4, /* the schema does not fit: give up */
	WORKER_EXIT_AWAY = 5 /* others serve, and know whom this one could not
			      * ask PostgreSQL for: leave it to them */
};

/*
 * Serves until SIGTERM (finish what is in hand, close the rest) or SIGUSR2
 * (the same, but hand the connections to the other workers, so that nginx
 * does not notice).  Returns the exit code.
 */
int worker_run(const struct worker_seat *seat);

#endif /* PROCESS_WORKER_H */
