/*
 * scoreboard.c - the shared memory that supervisor and workers see.
 */
#include "api/scoreboard.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "api/budget.h"
#include "base/clock.h"
#include "llm/usage.h"

/*
 * Enough counters for every user and key seen within a window, and for those
 * with a budget, which take two for 32 days; two thirds of them can be had at
 * least.  A table costs no memory before its first counter, and 32 MiB after
 * some thousands.
 */
#define LIMIT_COUNTERS 262144
/* A wrong password takes six at most, two of them for four LOGIN_WINDOW. */
#define LOGIN_COUNTERS 262144

static void
unmap_members(struct scoreboard *board)
{
	for (size_t i = 0; i < SCOREBOARD_SLOTS; i++)
		inflight_unmap(board->inflight[i]);
	limits_unmap(board->logins);
	limits_unmap(board->limits);
}

struct scoreboard *
scoreboard_map(const char *dir, size_t calls_max)
{
	struct scoreboard *board = mmap(NULL, sizeof(*board),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (board == MAP_FAILED)
		return NULL;
	board->started_us = clock_mono_us();
	board->limits = limits_map(LIMIT_COUNTERS);
	board->logins = limits_map(LOGIN_COUNTERS);
	if (board->limits == NULL || board->logins == NULL)
		goto fail;
	for (size_t i = 0; i < SCOREBOARD_SLOTS; i++) {
		board->inflight[i] = inflight_map(dir, i, calls_max);
		if (board->inflight[i] == NULL)
			goto fail;
		/* left by a minuted that was killed together with its workers */
		if (inflight_is_left(board->inflight[i]))
			atomic_store(&board->rows[i].state, WORKER_DEAD);
	}
	return board;
fail:
	scoreboard_unmap(board);
	return NULL;
}

void
scoreboard_unmap(struct scoreboard *board)
{
	if (board == NULL)
		return;
	unmap_members(board);
	(void)munmap(board, sizeof(*board)); /* cannot fail on our own map */
}

int
scoreboard_least(const struct scoreboard *board)
{
	int least = INT_MAX;

	for (size_t i = 0; i < SCOREBOARD_SLOTS; i++) {
		const struct scoreboard_row *row = &board->rows[i];
		int open;

		if (atomic_load(&row->state) != WORKER_READY)
			continue;
		open = atomic_load(&row->connections);
		if (open < least)
			least = open;
	}
	return least == INT_MAX ? 0 : least;
}

static bool
is_counted(const struct scoreboard_row *row)
{
	int state = atomic_load(&row->state);

	return state == WORKER_READY || state == WORKER_DRAINING;
}

unsigned long long
scoreboard_count(const struct scoreboard *board, enum board_count count)
{
	unsigned long long sum = 0;

	if (count < COUNT_SUMS)
		sum = atomic_load(&board->past[count]);
	for (size_t i = 0; i < SCOREBOARD_SLOTS; i++) {
		if (is_counted(&board->rows[i]))
			sum += atomic_load(&board->rows[i].counts[count]);
	}
	return sum;
}

int
scoreboard_ready(const struct scoreboard *board)
{
	int ready = 0;

	for (size_t i = 0; i < SCOREBOARD_SLOTS; i++) {
		if (atomic_load(&board->rows[i].state) == WORKER_READY)
			ready++;
	}
	return ready;
}

int
scoreboard_database_up(const struct scoreboard *board)
{
	int up = 0;

	for (size_t i = 0; i < SCOREBOARD_SLOTS; i++) {
		if (atomic_load(&board->rows[i].state) == WORKER_READY)
			up += atomic_load(&board->rows[i].database_up);
	}
	return up;
}

bool
scoreboard_is_behind(const struct scoreboard *board)
{
	if (atomic_load(&board->spool.waiting) != 0)
		return true;
	for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
		int state = atomic_load(&board->rows[i].state);

		if ((state == WORKER_GONE || state == WORKER_DEAD ||
			state == WORKER_SWEEPING) &&
		    inflight_count(board->inflight[i]) > 0)
			return true;
	}
	/* a sweep puts them into the spool before it clears its slot */
	return atomic_load(&board->spool.waiting) != 0;
}

struct spending {
	struct scoreboard *board;
	int slot;
	size_t looked_at;
	bool busy;
};

/* Of the user's budget and of the key's; what was counted before is not
 * counted again. */
static void
spend_call(void *arg, const struct call_row *row)
{
	struct spending *spending = arg;
	struct scoreboard *board = spending->board;
	struct scoreboard_row *worker = &board->rows[spending->slot];
	struct call_row ended = *row;

	usage_estimate_end(&ended);
	for (int of_key = 0; of_key < 2 && !spending->busy; of_key++) {
		if (spending->looked_at++ < worker->spent)
			continue;
		if (budget_inherit(board->limits, spending->slot, &ended,
			of_key != 0) == ERR_BUSY)
			spending->busy = true;
		else
			worker->spent++;
	}
}

/* Nobody has the slot before that. */
static void
give_back(struct scoreboard *board, int slot)
{
	struct spending spending = { .board = board, .slot = slot };

	inflight_each(board->inflight[slot], spend_call, &spending);
	if (spending.busy || limit_release_owner(board->limits, slot) != OK)
		return; /* a lock is somebody's who may never let go */
	board->rows[slot].spent = 0;
	atomic_store(&board->rows[slot].state,
	    inflight_is_left(board->inflight[slot]) ? WORKER_DEAD
						    : WORKER_NONE);
}

void
scoreboard_tend(struct scoreboard *board)
{
	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		if (atomic_load(&board->rows[slot].state) == WORKER_GONE)
			give_back(board, slot);
	}
}

void
scoreboard_retire(struct scoreboard *board, int slot)
{
	struct scoreboard_row *row = &board->rows[slot];

	for (int i = 0; i < COUNT_ALL; i++) {
		unsigned long long last = atomic_exchange(&row->counts[i], 0);

		if (i < COUNT_SUMS)
			atomic_fetch_add(&board->past[i], last);
	}
	spool_board_clear(&board->spool, slot);
	atomic_store(&row->pid, 0);
	atomic_store(&row->connections, 0);
	atomic_store(&row->database_up, 0);
	atomic_store(&row->state, WORKER_GONE);
	give_back(board, slot);
}

static bool
take_over(struct scoreboard *board, int slot, int from)
{
	struct scoreboard_row *row = &board->rows[slot];

	if (!atomic_compare_exchange_strong(&row->state, &from,
		WORKER_STARTING))
		return false;
	atomic_store(&row->heartbeat_us, (unsigned long long)clock_mono_us());
	return true;
}

/*
 * The dead slot without calls whose life is the youngest, or -1.  Lives are
 * known by when they began: who came while PostgreSQL was away has taken no key.
 */
static int
youngest_dead(const struct scoreboard *board)
{
	struct uuid life, youngest = { .bytes = { 0 } };
	int slot = -1;

	for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
		if (atomic_load(&board->rows[i].state) != WORKER_DEAD ||
		    inflight_count(board->inflight[i]) > 0)
			continue;
		(void)inflight_life(board->inflight[i], &life); /* zero: old */
		if (slot >= 0 && memcmp(&life, &youngest, sizeof(life)) < 0)
			continue;
		youngest = life;
		slot = i;
	}
	return slot;
}

/* When nobody lives long enough to sweep, slots without calls do: what the
 * dead left there ends by its age. */
int
scoreboard_claim(struct scoreboard *board)
{
	int slot;

	for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
		if (take_over(board, i, WORKER_NONE))
			return i;
	}
	do
		slot = youngest_dead(board);
	while (slot >= 0 && !take_over(board, slot, WORKER_DEAD));
	return slot;
}
