/*
 * limit.c - counters in shared memory.
 *
 * A shard is a lock and some places; a name's hash says which shard, and where
 * in it the search begins.  A counter is within PROBE places of there.  The
 * lock is robust: when its holder died, the next one takes it over, and what
 * was half-written is at worst one count that is wrong, or a place that is
 * free, because a place's kind is set last.
 */
#include "limit/limit.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/rand.h"

#define SHARDS 64
#define PROBE  128 /* places that are looked at for a name */

enum kind {
	KIND_FREE = 0,
	KIND_WINDOW, /* until ends_us */
	KIND_HOLD    /* while used is not 0 */
};

struct place {
	enum kind kind;
	int owner; /* of a hold */
	uint64_t hash;
	int64_t used;
	int64_t ends_us; /* of a window, monotonic */
	uint8_t name_len;
	char name[LIMIT_NAME_MAX];
};

struct shard {
	pthread_mutex_t lock;
	bool holds; /* there was one: others need not be looked through */
};

struct limits {
	size_t bytes;  /* of the mapping */
	size_t places; /* of a shard */
	uint64_t key[2];
	struct shard shards[SHARDS];
	struct place table[]; /* SHARDS times places */
};

/* A name as it is looked for. */
struct wanted {
	const char *name;
	size_t len;
	uint64_t hash;
	enum kind kind;
	int owner;
};

/* --- hashing ---------------------------------------------------------- */

static uint64_t
rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void
sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

/* SipHash-2-4 (Aumasson, Bernstein): names hold what clients send, and they
 * must not be able to choose which ones meet. */
static uint64_t
sip_hash(const uint64_t key[2], const char *data, size_t len)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575ULL,
		key[1] ^ 0x646f72616e646f6dULL, key[0] ^ 0x6c7967656e657261ULL,
		key[1] ^ 0x7465646279746573ULL };
	uint64_t word;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, data + i, 8);
		sip_word(v, word);
	}
	word = 0;
	memcpy(&word, data + i, len - i);
	sip_word(v, word | (uint64_t)len << 56);
	v[2] ^= 0xff;
	for (int round = 0; round < 4; round++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* --- the table -------------------------------------------------------- */

static enum err
init_locks(struct limits *limits)
{
	pthread_mutexattr_t attr;
	enum err err = OK;

	if (pthread_mutexattr_init(&attr) != 0)
		return ERR_SYSTEM;
	if (pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) != 0 ||
	    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) != 0)
		err = ERR_SYSTEM;
	for (size_t i = 0; err == OK && i < SHARDS; i++)
		if (pthread_mutex_init(&limits->shards[i].lock, &attr) != 0)
			err = ERR_SYSTEM;
	(void)pthread_mutexattr_destroy(&attr); /* cannot fail on Linux */
	return err;
}

struct limits *
limits_map(size_t counters)
{
	size_t places = counters / SHARDS + 1;
	size_t bytes =
	    sizeof(struct limits) + SHARDS * places * sizeof(struct place);
	struct limits *limits;

	if (counters > SIZE_MAX / 2 / sizeof(struct place))
		return NULL;
	limits = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (limits == MAP_FAILED)
		return NULL;
	limits->bytes = bytes;
	limits->places = places;
	if (rand_bytes(limits->key, sizeof(limits->key)) == OK &&
	    init_locks(limits) == OK)
		return limits;
	limits_unmap(limits);
	return NULL;
}

void
limits_unmap(struct limits *limits)
{
	if (limits != NULL)
		(void)munmap(limits, limits->bytes); /* it was mapped */
}

static void
lock(struct limits *limits, size_t shard)
{
	pthread_mutex_t *mutex = &limits->shards[shard].lock;

	if (pthread_mutex_lock(mutex) == EOWNERDEAD)
		(void)pthread_mutex_consistent(mutex); /* it is robust */
}

static void
unlock(struct limits *limits, size_t shard)
{
	(void)pthread_mutex_unlock(&limits->shards[shard].lock); /* ours */
}

static size_t
shard_of(const struct wanted *wanted)
{
	return wanted->hash % SHARDS;
}

/* The i-th place to look at; NULL when all were. */
static struct place *
probe(struct limits *limits, const struct wanted *wanted, size_t i)
{
	size_t start = (wanted->hash / SHARDS) % limits->places;

	if (i >= PROBE || i >= limits->places)
		return NULL;
	return &limits->table[shard_of(wanted) * limits->places +
			      (start + i) % limits->places];
}

static bool
is_over(const struct place *place, int64_t now_us)
{
	switch (place->kind) {
	case KIND_WINDOW:
		return place->ends_us <= now_us;
	case KIND_HOLD:
		return place->used <= 0;
	case KIND_FREE:
	default:
		return true;
	}
}

static bool
has_name(const struct place *place, const struct wanted *wanted)
{
	return place->kind == wanted->kind && place->hash == wanted->hash &&
	       place->name_len == wanted->len &&
	       memcmp(place->name, wanted->name, wanted->len) == 0;
}

static bool
is_wanted(const struct place *place, const struct wanted *wanted)
{
	return has_name(place, wanted) && place->owner == wanted->owner;
}

static struct place *
find(struct limits *limits, const struct wanted *wanted)
{
	struct place *place;

	for (size_t i = 0; (place = probe(limits, wanted, i)) != NULL; i++)
		if (is_wanted(place, wanted))
			return place;
	return NULL;
}

/* A place whose time is over, now named; NULL when there is none. */
static struct place *
make(struct limits *limits, const struct wanted *wanted, int64_t now_us)
{
	struct place *place;
	size_t i = 0;

	while ((place = probe(limits, wanted, i)) != NULL &&
	       !is_over(place, now_us))
		i++;
	if (place == NULL)
		return NULL;
	place->kind = KIND_FREE;
	place->owner = wanted->owner;
	place->hash = wanted->hash;
	place->used = 0;
	place->ends_us = 0;
	place->name_len = (uint8_t)wanted->len;
	memcpy(place->name, wanted->name, wanted->len);
	return place; /* the caller sets its kind */
}

static enum err
want(const struct limits *limits, const char *name, enum kind kind,
    struct wanted *out)
{
	size_t len = strlen(name);

	if (len > LIMIT_NAME_MAX)
		return ERR_BUG;
	*out = (struct wanted){ .name = name, .len = len, .kind = kind };
	out->hash = sip_hash(limits->key, name, len);
	return OK;
}

/* --- windows ---------------------------------------------------------- */

/* The running window of wanted, started if there is none.  NULL: no place. */
static struct place *
window(struct limits *limits, const struct wanted *wanted, int64_t now_us,
    int64_t window_ms)
{
	struct place *place = find(limits, wanted);

	if (place != NULL && !is_over(place, now_us))
		return place;
	if (place == NULL)
		place = make(limits, wanted, now_us);
	if (place == NULL)
		return NULL;
	place->used = 0;
	place->ends_us = now_us + window_ms * 1000;
	place->kind = KIND_WINDOW;
	return place;
}

static void
fill_state(struct limit_state *state, int64_t max, int64_t used,
    int64_t left_us)
{
	if (state == NULL)
		return;
	state->limit = max;
	state->remaining = used < max ? max - used : 0;
	state->reset_s = (left_us + 999999) / 1000000;
	if (state->reset_s < 1)
		state->reset_s = 1;
	state->ends_us = 0;
}

/* NOLINTBEGIN(readability-function-size): what a window is */
enum err
limit_take(struct limits *limits, const char *name, int64_t cost, int64_t max,
    int64_t window_ms, struct limit_state *state)
{
	int64_t now_us = clock_mono_us();
	struct wanted wanted;
	struct place *place;
	enum err err;

	err = want(limits, name, KIND_WINDOW, &wanted);
	if (err != OK)
		return err;
	lock(limits, shard_of(&wanted));
	place = window(limits, &wanted, now_us, window_ms);
	if (place == NULL) {
		err = ERR_BUSY;
		fill_state(state, max, 0, window_ms * 1000);
	} else {
		if (cost > max - place->used)
			err = ERR_LIMIT;
		else
			place->used += cost;
		fill_state(state, max, place->used, place->ends_us - now_us);
		if (state != NULL)
			state->ends_us = place->ends_us;
	}
	unlock(limits, shard_of(&wanted));
	return err;
}
/* NOLINTEND(readability-function-size) */

enum err
limit_look(struct limits *limits, const char *name, int64_t max,
    int64_t window_ms, struct limit_state *state)
{
	int64_t now_us = clock_mono_us();
	int64_t left_us = window_ms * 1000;
	int64_t used = 0;
	struct wanted wanted;
	struct place *place;
	enum err err;

	err = want(limits, name, KIND_WINDOW, &wanted);
	if (err != OK)
		return err;
	lock(limits, shard_of(&wanted));
	place = find(limits, &wanted);
	if (place != NULL && !is_over(place, now_us)) {
		used = place->used;
		left_us = place->ends_us - now_us;
	}
	unlock(limits, shard_of(&wanted));
	fill_state(state, max, used, left_us);
	return used < max ? OK : ERR_LIMIT;
}

enum err
limit_add(struct limits *limits, const char *name, int64_t cost,
    int64_t window_ms)
{
	struct wanted wanted;
	struct place *place;
	enum err err;

	err = want(limits, name, KIND_WINDOW, &wanted);
	if (err != OK)
		return err;
	lock(limits, shard_of(&wanted));
	place = window(limits, &wanted, clock_mono_us(), window_ms);
	if (place == NULL)
		err = ERR_BUSY;
	else if (place->used > INT64_MAX - cost)
		place->used = INT64_MAX;
	else
		place->used += cost;
	unlock(limits, shard_of(&wanted));
	return err;
}

void
limit_give(struct limits *limits, const char *name, int64_t cost,
    const struct limit_state *taken)
{
	struct wanted wanted;
	struct place *place;

	if (want(limits, name, KIND_WINDOW, &wanted) != OK)
		return;
	lock(limits, shard_of(&wanted));
	place = find(limits, &wanted);
	if (place != NULL && place->ends_us == taken->ends_us)
		place->used = cost < place->used ? place->used - cost : 0;
	unlock(limits, shard_of(&wanted));
}

void
limit_forget(struct limits *limits, const char *name)
{
	struct wanted wanted;
	struct place *place;

	if (want(limits, name, KIND_WINDOW, &wanted) != OK)
		return;
	lock(limits, shard_of(&wanted));
	place = find(limits, &wanted);
	if (place != NULL)
		place->kind = KIND_FREE;
	unlock(limits, shard_of(&wanted));
}

/* --- holds ------------------------------------------------------------ */

/* What all owners hold, with the lock held. */
static int64_t
held(struct limits *limits, const struct wanted *wanted)
{
	struct place *place;
	int64_t sum = 0;

	for (size_t i = 0; (place = probe(limits, wanted, i)) != NULL; i++)
		if (has_name(place, wanted))
			sum += place->used;
	return sum;
}

static enum err
hold_more(struct limits *limits, const struct wanted *wanted, int64_t amount)
{
	struct place *place = find(limits, wanted);

	if (place == NULL)
		place = make(limits, wanted, clock_mono_us());
	if (place == NULL)
		return ERR_BUSY;
	limits->shards[shard_of(wanted)].holds = true;
	place->used += amount;
	place->kind = KIND_HOLD;
	return OK;
}

enum err
limit_hold(struct limits *limits, const struct limit_hold *hold)
{
	struct wanted wanted;
	int64_t in_use;
	enum err err;

	if (hold->amount < 0 || hold->taken < 0)
		return ERR_BUG;
	err = want(limits, hold->name, KIND_HOLD, &wanted);
	if (err != OK)
		return err;
	wanted.owner = hold->owner;
	lock(limits, shard_of(&wanted));
	in_use = held(limits, &wanted);
	if (hold->taken > hold->max || in_use > hold->max - hold->taken ||
	    hold->amount > hold->max - hold->taken - in_use)
		err = ERR_LIMIT;
	else
		err = hold_more(limits, &wanted, hold->amount);
	unlock(limits, shard_of(&wanted));
	return err;
}

void
limit_release(struct limits *limits, const char *name, int owner,
    int64_t amount)
{
	struct wanted wanted;
	struct place *place;

	if (want(limits, name, KIND_HOLD, &wanted) != OK)
		return;
	wanted.owner = owner;
	lock(limits, shard_of(&wanted));
	place = find(limits, &wanted);
	if (place != NULL) {
		place->used = amount < place->used ? place->used - amount : 0;
		if (place->used == 0)
			place->kind = KIND_FREE;
	}
	unlock(limits, shard_of(&wanted));
}

enum err
limit_raise(struct limits *limits, const char *name, int owner, int64_t amount)
{
	struct wanted wanted;
	struct place *place;
	int64_t own, all;
	enum err err;

	err = want(limits, name, KIND_HOLD, &wanted);
	if (err != OK)
		return err;
	wanted.owner = owner;
	lock(limits, shard_of(&wanted));
	all = held(limits, &wanted);
	place = find(limits, &wanted);
	own = place == NULL ? 0 : place->used;
	if (all != own)
		err = ERR_LIMIT;
	else if (amount > own)
		err = hold_more(limits, &wanted, amount - own);
	unlock(limits, shard_of(&wanted));
	return err;
}

void
limit_release_owner(struct limits *limits, int owner)
{
	for (size_t shard = 0; shard < SHARDS; shard++) {
		struct place *places = &limits->table[shard * limits->places];

		lock(limits, shard);
		for (size_t i = 0;
		     limits->shards[shard].holds && i < limits->places; i++)
			if (places[i].kind == KIND_HOLD &&
			    places[i].owner == owner)
				places[i].kind = KIND_FREE;
		unlock(limits, shard);
	}
}
