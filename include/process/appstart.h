/*
 * appstart.h - bringing up and taking down what handlers use (struct app):
 * the same for a worker and for a single CGI request.
 */
#ifndef PROCESS_APPSTART_H
#define PROCESS_APPSTART_H

#include "api/app.h"
#include "api/scoreboard.h"

/*
 * Starts journal, catalogue, caches, relay and pools for worker slot of board.
 * On failure what was started is stopped again and the cause is logged.
 */
enum err app_start(const struct config *config, struct scoreboard *board,
    int slot, struct app *app) MUST_CHECK;

/*
 * Ends model calls (at the latest at deadline_us, monotonic), then the pools,
 * then the journal, so that every record has a place before the last one goes.
 */
void app_stop(struct app *app, int64_t deadline_us);

#endif /* PROCESS_APPSTART_H */
