/*
 * sweep.h - the end of the calls that a dead worker had in its hands.
 */
#ifndef PROCESS_SWEEP_H
#define PROCESS_SWEEP_H

#include "api/scoreboard.h"
#include "journal/journal.h"

/*
 * Takes at most one WORKER_DEAD slot and writes the end ("interrupted", with
 * the text so far) of its calls through journal.  Called often by a living
 * worker; returns at once when there is nothing to do.  The slot is free again
 * only when every record is durable, so that our own death changes nothing.
 * own_slot is the sweeping worker's: it is shown to be alive meanwhile.
 */
void sweep_dead(struct scoreboard *board, int own_slot,
    struct journal *journal);

/* For the supervisor: pid is dead; what it swept is to be swept again. */
void sweep_abandon(struct scoreboard *board, int pid);

#endif /* PROCESS_SWEEP_H */
