/*
 * rules.c - the limits that are set, sorted by user and key.
 */
#include "api/rules.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define FRESH_US 30000000 /* between two readings without a notification */
#define RETRY_US 1000000  /* after one that failed */

struct rules {
	pthread_rwlock_t lock; /* guards rows and count */
	struct rule *rows;
	size_t count;
	pthread_mutex_t reading; /* one thread reads */
	atomic_uint changes;     /* heard of */
	atomic_uint seen;        /* in rows */
	atomic_llong due_us;     /* monotonic: to be read again */
	atomic_llong retry_us;   /* monotonic: not before, after a failure */
	atomic_bool known;       /* they were read once */
};

struct rules *
rules_new(void)
{
	struct rules *rules = calloc(1, sizeof(*rules));

	if (rules == NULL)
		return NULL;
	pthread_rwlock_init(&rules->lock, NULL);
	pthread_mutex_init(&rules->reading, NULL);
	return rules;
}

void
rules_free(struct rules *rules)
{
	if (rules == NULL)
		return;
	pthread_mutex_destroy(&rules->reading);
	pthread_rwlock_destroy(&rules->lock);
	free(rules->rows);
	free(rules);
}

void
rules_changed(struct rules *rules)
{
	atomic_fetch_add(&rules->changes, 1);
}

void
rules_missed(struct rules *rules)
{
	atomic_store(&rules->due_us, 0);
}

static enum err
read_row(const struct db_rows *rows, size_t i, struct rule *out)
{
	enum err err = uuid_parse(rows_text(rows, i, 0), &out->user_id);

	if (err == OK)
		err = uuid_parse(rows_text(rows, i, 1), &out->key_id);
	out->requests = rows_int64(rows, i, 2);
	out->window_ms = rows_int64(rows, i, 3);
	out->calls = rows_int64(rows, i, 4);
	out->tokens_per_minute = rows_int64(rows, i, 5);
	out->budget_pico = rows_int64(rows, i, 6);
	return err;
}

static enum err
read_rows(struct db *db, struct rule **out, size_t *count)
{
	struct db_rows *rows = NULL;
	struct rule *list = NULL;
	enum err err = db_query(db, DB_LIMITS_ALL, NULL, &rows);

	if (err != OK)
		goto out;
	*count = rows_count(rows);
	list = calloc(*count + 1, sizeof(*list));
	if (list == NULL)
		err = ERR_MEMORY;
	for (size_t i = 0; err == OK && i < *count; i++)
		err = read_row(rows, i, &list[i]);
out:
	rows_free(rows);
	if (err != OK) {
		free(list);
		list = NULL;
	}
	*out = list;
	return err;
}

static enum err
read_again(struct rules *rules, struct db *db)
{
	/* before the reading, so that a change during it is not missed */
	unsigned changes = atomic_load(&rules->changes);
	struct rule *fresh = NULL;
	size_t count = 0;
	enum err err = read_rows(db, &fresh, &count);

	if (err != OK) {
		atomic_store(&rules->retry_us, clock_mono_us() + RETRY_US);
		return err;
	}
	pthread_rwlock_wrlock(&rules->lock);
	free(rules->rows);
	rules->rows = fresh;
	rules->count = count;
	pthread_rwlock_unlock(&rules->lock);
	atomic_store(&rules->due_us, clock_mono_us() + FRESH_US);
	atomic_store(&rules->seen, changes);
	atomic_store(&rules->known, true);
	return OK;
}

static bool
is_changed(struct rules *rules)
{
	return !atomic_load(&rules->known) ||
	       atomic_load(&rules->seen) != atomic_load(&rules->changes);
}

static bool
is_due(struct rules *rules)
{
	return is_changed(rules) ||
	       clock_mono_us() >= atomic_load(&rules->due_us);
}

/* A reading that could not be done is not tried at every request. */
static bool
is_to_wait(struct rules *rules)
{
	return atomic_load(&rules->known) &&
	       clock_mono_us() < atomic_load(&rules->retry_us);
}

/* With reading locked.  Of what is changed the old rows say nothing. */
static enum err
read_if_due(struct rules *rules, struct db *db)
{
	if (!is_due(rules))
		return OK;
	if (!is_to_wait(rules) && read_again(rules, db) == OK)
		return OK;
	return is_changed(rules) ? ERR_BUSY : OK;
}

/* What is changed is waited for; at the regular reading by one thread, others
 * use what is there. */
static enum err
refresh(struct rules *rules, struct db *db)
{
	enum err err;

	if (!is_due(rules))
		return OK;
	if (is_to_wait(rules))
		return is_changed(rules) ? ERR_BUSY : OK;
	if (is_changed(rules))
		pthread_mutex_lock(&rules->reading);
	else if (pthread_mutex_trylock(&rules->reading) != 0)
		return OK;
	err = read_if_due(rules, db);
	pthread_mutex_unlock(&rules->reading);
	return err;
}

void
rules_catch_up(struct rules *rules, struct db *db)
{
	if (!is_due(rules) || pthread_mutex_trylock(&rules->reading) != 0)
		return;
	(void)!read_if_due(rules, db); /* otherwise at next use */
	pthread_mutex_unlock(&rules->reading);
}

static int
order(const void *left, const void *right)
{
	const struct rule *a = left;
	const struct rule *b = right;
	int by_user = memcmp(&a->user_id, &b->user_id, sizeof(a->user_id));

	return by_user != 0 ? by_user
			    : memcmp(&a->key_id, &b->key_id, sizeof(a->key_id));
}

static void
look_up(const struct rules *rules, const struct rule *wanted,
    struct rule out[RULES_APPLY], size_t *count)
{
	const struct rule *found =
	    bsearch(wanted, rules->rows, rules->count, sizeof(*wanted), order);

	if (found != NULL)
		out[(*count)++] = *found;
}

enum err
rules_find(struct rules *rules, struct db *db, const struct identity *who,
    struct rule out[RULES_APPLY], size_t *count)
{
	struct rule wanted = { .user_id = who->user_id };
	enum err err = refresh(rules, db);

	*count = 0;
	if (err != OK)
		return err;
	pthread_rwlock_rdlock(&rules->lock);
	if (rules->count > 0) {
		look_up(rules, &wanted, out, count);
		wanted.key_id = who->key_id;
		if (!uuid_is_zero(&who->key_id))
			look_up(rules, &wanted, out, count);
	}
	pthread_rwlock_unlock(&rules->lock);
	return OK;
}
