/*
 * balance.h - how many connections a worker takes.
 *
 * The kernel tells one worker of a new connection, mostly the same one.  A
 * worker that has clearly more than the least loaded one leaves the socket to
 * the others for a while.
 */
#ifndef PROCESS_BALANCE_H
#define PROCESS_BALANCE_H

#include <stdbool.h>

#define BALANCE_SLACK 8 /* connections above the least loaded worker */

/* A worker with open connections has enough, where the least loaded has
 * least. */
bool balance_has_share(int open, int least);

#endif /* PROCESS_BALANCE_H */
