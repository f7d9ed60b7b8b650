/*
 * balance.c - how many connections a worker takes.
 */
#include "process/balance.h"

bool
balance_has_share(int open, int least)
{
	return open >= least + BALANCE_SLACK + least / 8;
}
