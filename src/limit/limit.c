/*
 * limit.c - counters in shared memory.
 *
 * A shard is a lock and some places; a name's hash says which shard, and where
 * in it the search begins.  A counter is within PROBE places of there.  The
 * lock is robust: when its holder died, the next one takes it over, and what
 * was half-written is at worst one count that is wrong, or a place that is
 * free, because a place's kind is set last.
 *
 * When its holder was stopped, the others do without: who would take something
 * is told that it is busy, and what cannot be refused (something is given back,
 * or was used) is owed by this process until the lock can be had.
 */
#include "limit/limit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"

#define SHARDS   64
#define PROBE    128     /* places that are looked at for a name */
#define WAIT_US  100000  /* for a lock */
#define SHORT_US 1000    /* for one that was not to be had just now */
#define AGAIN_US 1000000 /* how long that is */
#define PAUSE_NS 10000   /* it is held for less */

enum kind {
	KIND_FREE = 0,
	KIND_WINDOW, /* until ends_us */
	KIND_HOLD    /* while used is not 0, and until ends_us if that is set */
};

struct place {
	enum kind kind;
	int owner; /* of a hold */
	uint64_t hash;
	int64_t used;
	int64_t sure;    /* of used, by a hold: not only reserved */
	int64_t ends_us; /* monotonic */
	uint8_t name_len;
	char name[LIMIT_NAME_MAX];
};

struct shard {
	pthread_mutex_t lock;
	bool holds; /* there was one: others need not be looked through */
};

struct shared {
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

/* What cannot be refused. */
struct change {
	struct change *next; /* of what is owed */
	enum err (*apply)(struct limits *limits, const struct change *change);
	struct wanted wanted;
	char name[LIMIT_NAME_MAX + 1]; /* of what is owed */
	int64_t amount;
	int64_t window_us; /* or which window it was; or how long it lasts */
	int64_t reserved, used;
	int to;
};

struct limits { /* of this process */
	struct shared *at;
	pthread_mutex_t lock; /* guards owed */
	struct change *owed, **owed_end;
	atomic_size_t owes;
	atomic_llong again_us[SHARDS]; /* until then SHORT_US are enough */
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
init_locks(struct shared *at)
{
	pthread_mutexattr_t attr;
	enum err err = OK;

	if (pthread_mutexattr_init(&attr) != 0)
		return ERR_SYSTEM;
	if (pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) != 0 ||
	    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) != 0)
		err = ERR_SYSTEM;
	for (size_t i = 0; err == OK && i < SHARDS; i++)
		if (pthread_mutex_init(&at->shards[i].lock, &attr) != 0)
			err = ERR_SYSTEM;
	(void)pthread_mutexattr_destroy(&attr); /* cannot fail on Linux */
	return err;
}

static struct shared *
map_shared(size_t counters)
{
	size_t places = counters / SHARDS + 1;
	size_t bytes =
	    sizeof(struct shared) + SHARDS * places * sizeof(struct place);
	struct shared *at;

	if (counters > SIZE_MAX / 2 / sizeof(struct place))
		return NULL;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	at->bytes = bytes;
	at->places = places;
	return at;
}

struct limits *
limits_map(size_t counters)
{
	struct limits *limits = calloc(1, sizeof(*limits));

	if (limits == NULL)
		return NULL;
	pthread_mutex_init(&limits->lock, NULL);
	limits->owed_end = &limits->owed;
	limits->at = map_shared(counters);
	if (limits->at != NULL &&
	    rand_bytes(limits->at->key, sizeof(limits->at->key)) == OK &&
	    init_locks(limits->at) == OK)
		return limits;
	limits_unmap(limits);
	return NULL;
}

void
limits_unmap(struct limits *limits)
{
	struct change *next;

	if (limits == NULL)
		return;
	for (struct change *owed = limits->owed; owed != NULL; owed = next) {
		next = owed->next;
		free(owed);
	}
	if (limits->at != NULL)
		(void)munmap(limits->at, limits->at->bytes); /* was mapped */
	pthread_mutex_destroy(&limits->lock);
	free(limits);
}

static size_t
shard_of(const struct wanted *wanted)
{
	return wanted->hash % SHARDS;
}

/* --- locks ------------------------------------------------------------ */

/* pthread_mutex_clocklock() would do, if the thread sanitizer knew it. */
static int
wait_for(pthread_mutex_t *mutex, int64_t wait_us)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int64_t until_us = clock_mono_us() + wait_us;
	int result = pthread_mutex_trylock(mutex);

	while (result == EBUSY && clock_mono_us() < until_us) {
		(void)nanosleep(&pause, NULL); /* a shorter one is fine */
		result = pthread_mutex_trylock(mutex);
	}
	return result;
}

static bool
is_locked(pthread_mutex_t *mutex, int result)
{
	if (result == EOWNERDEAD)
		(void)pthread_mutex_consistent(mutex); /* it is robust */
	return result == 0 || result == EOWNERDEAD;
}

static bool
try_lock(struct limits *limits, size_t shard)
{
	pthread_mutex_t *mutex = &limits->at->shards[shard].lock;

	return is_locked(mutex, pthread_mutex_trylock(mutex));
}

static void
unlock(struct limits *limits, size_t shard)
{
	(void)pthread_mutex_unlock(&limits->at->shards[shard].lock); /* ours */
}

/* With the lock of shard held: what is owed there, in order. */
static void
pay(struct limits *limits, size_t shard)
{
	struct change **at = &limits->owed;
	struct change *change;

	if (atomic_load(&limits->owes) == 0)
		return;
	pthread_mutex_lock(&limits->lock);
	while ((change = *at) != NULL) {
		if (shard_of(&change->wanted) != shard) {
			at = &change->next;
			continue;
		}
		*at = change->next;
		(void)!change->apply(limits, change); /* no place: as ever */
		free(change);
		atomic_fetch_sub(&limits->owes, 1);
	}
	limits->owed_end = at;
	pthread_mutex_unlock(&limits->lock);
}

/* False when the lock cannot be had in time: nothing is known, nothing can be
 * taken.  Only the first waits for long. */
static bool
lock(struct limits *limits, size_t shard)
{
	pthread_mutex_t *mutex = &limits->at->shards[shard].lock;
	atomic_llong *again_us = &limits->again_us[shard];
	int64_t now_us;

	if (!try_lock(limits, shard)) {
		now_us = clock_mono_us();
		if (!is_locked(mutex,
			wait_for(mutex, now_us < atomic_load(again_us)
					    ? SHORT_US
					    : WAIT_US))) {
			atomic_store(again_us, clock_mono_us() + AGAIN_US);
			return false;
		}
	}
	if (atomic_load(again_us) != 0)
		atomic_store(again_us, 0);
	pay(limits, shard);
	return true;
}

static enum err
owe(struct limits *limits, const struct change *change)
{
	struct change *owed = malloc(sizeof(*owed));

	if (owed == NULL) {
		log_warn("no memory for what a limit is owed");
		return ERR_MEMORY;
	}
	*owed = *change;
	owed->next = NULL;
	memcpy(owed->name, change->wanted.name, change->wanted.len);
	owed->wanted.name = owed->name;
	pthread_mutex_lock(&limits->lock);
	*limits->owed_end = owed;
	limits->owed_end = &owed->next;
	atomic_fetch_add(&limits->owes, 1);
	pthread_mutex_unlock(&limits->lock);
	return OK;
}

/* Now, or as soon as it can be. */
static enum err
do_change(struct limits *limits, const struct change *change)
{
	size_t shard = shard_of(&change->wanted);
	enum err err;

	if (!lock(limits, shard))
		return owe(limits, change);
	err = change->apply(limits, change);
	unlock(limits, shard);
	return err;
}

static size_t
first_owed(struct limits *limits)
{
	size_t shard = SHARDS;

	pthread_mutex_lock(&limits->lock);
	if (limits->owed != NULL)
		shard = shard_of(&limits->owed->wanted);
	pthread_mutex_unlock(&limits->lock);
	return shard;
}

void
limits_catch_up(struct limits *limits)
{
	size_t shard;

	while (atomic_load(&limits->owes) > 0) {
		shard = first_owed(limits);
		if (shard == SHARDS || !try_lock(limits, shard))
			return;
		pay(limits, shard);
		unlock(limits, shard);
	}
}

/* --- places ----------------------------------------------------------- */

/* The i-th place to look at; NULL when all were. */
static struct place *
probe(struct limits *limits, const struct wanted *wanted, size_t i)
{
	struct shared *at = limits->at;
	size_t start = (wanted->hash / SHARDS) % at->places;

	if (i >= PROBE || i >= at->places)
		return NULL;
	return &at->table[shard_of(wanted) * at->places +
			  (start + i) % at->places];
}

static bool
is_over(const struct place *place, int64_t now_us)
{
	switch (place->kind) {
	case KIND_WINDOW:
		return place->ends_us <= now_us;
	case KIND_HOLD:
		return place->used <= 0 ||
		       (place->ends_us != 0 && place->ends_us <= now_us);
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

/* A window of which nothing is used can as well begin later: whoever gives back
 * knows it by its end. */
static bool
is_vacant(const struct place *place, int64_t now_us)
{
	return is_over(place, now_us) ||
	       (place->kind == KIND_WINDOW && place->used == 0);
}

/* A place that is vacant, now named; NULL when there is none. */
static struct place *
make(struct limits *limits, const struct wanted *wanted, int64_t now_us)
{
	struct place *place;
	size_t i = 0;

	while ((place = probe(limits, wanted, i)) != NULL &&
	       !is_vacant(place, now_us))
		i++;
	if (place == NULL)
		return NULL;
	place->kind = KIND_FREE;
	place->owner = wanted->owner;
	place->hash = wanted->hash;
	place->used = 0;
	place->sure = 0;
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
	out->hash = sip_hash(limits->at->key, name, len);
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

/* Of what the window has left. */
static enum err
take_part(struct place *place, const struct limit_part *part, int64_t now_us,
    int64_t *taken)
{
	int64_t left = part->max - place->used;
	int64_t room = left / part->parts;
	enum err err = OK;

	*taken = part->most < room ? part->most : room;
	if (*taken < part->least)
		*taken = part->least;
	if (*taken > left)
		err = ERR_LIMIT;
	else
		place->used += *taken;
	fill_state(part->state, part->max, place->used,
	    place->ends_us - now_us);
	if (part->state != NULL)
		part->state->ends_us = place->ends_us;
	return err;
}

enum err
limit_take_part(struct limits *limits, const struct limit_part *part,
    int64_t *taken)
{
	int64_t now_us = clock_mono_us();
	struct wanted wanted;
	struct place *place;
	enum err err;

	err = want(limits, part->name, KIND_WINDOW, &wanted);
	if (err != OK)
		return err;
	fill_state(part->state, part->max, 0, part->window_ms * 1000);
	if (!lock(limits, shard_of(&wanted)))
		return ERR_BUSY;
	place = window(limits, &wanted, now_us, part->window_ms);
	err = place == NULL ? ERR_BUSY : take_part(place, part, now_us, taken);
	unlock(limits, shard_of(&wanted));
	return err;
}

/* NOLINTBEGIN(readability-function-size): what a window is */
enum err
limit_take(struct limits *limits, const char *name, int64_t cost, int64_t max,
    int64_t window_ms, struct limit_state *state)
{
	int64_t taken;

	return limit_take_part(limits,
	    &(struct limit_part){ .name = name,
		.least = cost,
		.most = cost,
		.parts = 1,
		.max = max,
		.window_ms = window_ms,
		.state = state },
	    &taken);
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
	if (!lock(limits, shard_of(&wanted)))
		return ERR_BUSY;
	place = find(limits, &wanted);
	if (place != NULL && !is_over(place, now_us)) {
		used = place->used;
		left_us = place->ends_us - now_us;
	}
	unlock(limits, shard_of(&wanted));
	fill_state(state, max, used, left_us);
	return used < max ? OK : ERR_LIMIT;
}

static enum err
apply_add(struct limits *limits, const struct change *change)
{
	struct place *place = window(limits, &change->wanted, clock_mono_us(),
	    change->window_us / 1000);

	if (place == NULL)
		return ERR_BUSY;
	if (place->used > INT64_MAX - change->amount)
		place->used = INT64_MAX;
	else
		place->used += change->amount;
	return OK;
}

enum err
limit_add(struct limits *limits, const char *name, int64_t cost,
    int64_t window_ms)
{
	struct change change = { .apply = apply_add,
		.amount = cost,
		.window_us = window_ms * 1000 };
	enum err err;

	err = want(limits, name, KIND_WINDOW, &change.wanted);
	return err == OK ? do_change(limits, &change) : err;
}

static enum err
apply_give(struct limits *limits, const struct change *change)
{
	struct place *place = find(limits, &change->wanted);

	if (place != NULL && place->ends_us == change->window_us)
		place->used = change->amount < place->used
				  ? place->used - change->amount
				  : 0;
	return OK;
}

void
limit_give(struct limits *limits, const char *name, int64_t cost,
    const struct limit_state *taken)
{
	struct change change = {
		.apply = apply_give, .amount = cost, .window_us = taken->ends_us
	};

	if (want(limits, name, KIND_WINDOW, &change.wanted) == OK)
		(void)!do_change(limits, &change); /* what it was is logged */
}

static enum err
apply_forget(struct limits *limits, const struct change *change)
{
	struct place *place = find(limits, &change->wanted);

	if (place != NULL)
		place->kind = KIND_FREE;
	return OK;
}

void
limit_forget(struct limits *limits, const char *name)
{
	struct change change = { .apply = apply_forget };

	if (want(limits, name, KIND_WINDOW, &change.wanted) == OK)
		(void)!do_change(limits, &change); /* what it was is logged */
}

/* --- holds ------------------------------------------------------------ */

struct sums {
	int64_t used;
	int64_t sure; /* of it */
};

static void
add_up(int64_t *sum, int64_t amount)
{
	if (__builtin_add_overflow(*sum, amount, sum))
		*sum = INT64_MAX;
}

/* What all owners hold, with the lock held. */
static struct sums
held(struct limits *limits, const struct wanted *wanted)
{
	int64_t now_us = clock_mono_us();
	struct sums sums = { 0, 0 };
	struct place *place;

	for (size_t i = 0; (place = probe(limits, wanted, i)) != NULL; i++) {
		if (!has_name(place, wanted) || is_over(place, now_us))
			continue;
		add_up(&sums.used, place->used);
		add_up(&sums.sure, place->sure);
	}
	return sums;
}

/* amount more, of which sure is; for lasts_us from now on, unless that is 0. */
static enum err
hold_more(struct limits *limits, const struct wanted *wanted, int64_t amount,
    int64_t sure, int64_t lasts_us)
{
	int64_t now_us = clock_mono_us();
	struct place *place = find(limits, wanted);

	if (place == NULL)
		place = make(limits, wanted, now_us);
	else if (is_over(place, now_us))
		place->used = place->sure = 0;
	if (place == NULL)
		return ERR_BUSY;
	limits->at->shards[shard_of(wanted)].holds = true;
	add_up(&place->used, amount);
	add_up(&place->sure, sure);
	place->ends_us = lasts_us == 0 ? 0 : now_us + lasts_us;
	place->kind = KIND_HOLD;
	return OK;
}

static void
hold_less(struct limits *limits, const struct wanted *wanted, int64_t amount,
    int64_t sure)
{
	struct place *place = find(limits, wanted);

	if (place == NULL)
		return;
	place->used = amount < place->used ? place->used - amount : 0;
	place->sure = sure < place->sure ? place->sure - sure : 0;
	if (place->used == 0)
		place->kind = KIND_FREE;
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
	if (!lock(limits, shard_of(&wanted)))
		return ERR_BUSY;
	in_use = held(limits, &wanted).used;
	if (hold->taken > hold->max || in_use > hold->max - hold->taken ||
	    hold->amount > hold->max - hold->taken - in_use)
		err = ERR_LIMIT;
	else
		err = hold_more(limits, &wanted, hold->amount, 0, 0);
	add_up(&in_use, hold->taken);
	add_up(&in_use, err == OK ? hold->amount : 0);
	fill_state(hold->state, hold->max, in_use, 0);
	unlock(limits, shard_of(&wanted));
	return err;
}

static enum err
apply_move(struct limits *limits, const struct change *change)
{
	struct wanted to = change->wanted;
	enum err err = OK;

	to.owner = change->to;
	if (change->amount > 0)
		err = hold_more(limits, &to, change->amount, change->amount,
		    change->window_us);
	hold_less(limits, &change->wanted, change->reserved + change->used,
	    change->used);
	return err;
}

enum err
limit_move(struct limits *limits, const struct limit_move *move)
{
	struct change change = { .apply = apply_move,
		.amount = move->amount,
		.window_us = move->lasts_ms * 1000,
		.reserved = move->reserved,
		.used = move->used,
		.to = move->to };
	enum err err;

	err = want(limits, move->name, KIND_HOLD, &change.wanted);
	change.wanted.owner = move->owner;
	return err == OK ? do_change(limits, &change) : err;
}

void
limit_release(struct limits *limits, const char *name, int owner,
    int64_t amount)
{
	const struct limit_move move = {
		.name = name, .owner = owner, .reserved = amount
	};

	(void)!limit_move(limits, &move); /* what it was is logged */
}

enum err
limit_raise(struct limits *limits, const char *name, int owner, int64_t amount,
    int64_t lasts_ms)
{
	struct wanted wanted;
	int64_t sure;
	enum err err;

	err = want(limits, name, KIND_HOLD, &wanted);
	if (err != OK)
		return err;
	wanted.owner = owner;
	if (!lock(limits, shard_of(&wanted)))
		return ERR_BUSY;
	sure = held(limits, &wanted).sure;
	if (amount > sure)
		err = hold_more(limits, &wanted, amount - sure, amount - sure,
		    lasts_ms * 1000);
	unlock(limits, shard_of(&wanted));
	return err;
}

enum err
limit_inherit(struct limits *limits, const struct limit_move *move)
{
	struct wanted wanted, to;
	struct place *place;
	enum err err;

	err = want(limits, move->name, KIND_HOLD, &wanted);
	if (err != OK)
		return err;
	wanted.owner = move->owner;
	to = wanted;
	to.owner = move->to;
	if (!try_lock(limits, shard_of(&wanted)))
		return ERR_BUSY;
	place = find(limits, &wanted);
	if (place != NULL && place->used > 0 &&
	    hold_more(limits, &to, move->amount, move->amount,
		move->lasts_ms * 1000) != OK)
		err = ERR_MEMORY;
	unlock(limits, shard_of(&wanted));
	return err;
}

static void
free_places(struct limits *limits, size_t shard, int owner)
{
	struct shared *at = limits->at;
	struct place *places = &at->table[shard * at->places];

	for (size_t i = 0; at->shards[shard].holds && i < at->places; i++)
		if (places[i].kind == KIND_HOLD && places[i].owner == owner)
			places[i].kind = KIND_FREE;
}

enum err
limit_release_owner(struct limits *limits, int owner)
{
	enum err err = OK;

	for (size_t shard = 0; shard < SHARDS; shard++) {
		if (!try_lock(limits, shard)) {
			err = ERR_BUSY;
			continue;
		}
		free_places(limits, shard, owner);
		unlock(limits, shard);
	}
	return err;
}
