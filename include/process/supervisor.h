/*
 * supervisor.h - the parent of the workers (php-fpm's and nginx's model).
 */
#ifndef PROCESS_SUPERVISOR_H
#define PROCESS_SUPERVISOR_H

#include "config/config.h"

/*
 * Binds the socket, starts the workers and keeps them: a dead one is replaced
 * at once (a crash loop with growing pauses), one that hangs is killed.
 *
 *   SIGTERM, SIGINT  drain within DRAIN_TIMEOUT, then end
 *   SIGHUP           read the file of config again; new workers serve, old
 *                    ones hand over their connections and drain; a bad file
 *                    changes nothing
 *
 * Takes config over.  Returns the exit code of the program.
 */
int supervisor_run(struct config *config);

#endif /* PROCESS_SUPERVISOR_H */
