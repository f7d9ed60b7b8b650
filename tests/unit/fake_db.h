/*
 * fake_db.h - db.h as a test wants it: rows that the test sets, outages and
 * notifications when it says so.  Included by one test file each.
 */
#ifndef TESTS_UNIT_FAKE_DB_H
#define TESTS_UNIT_FAKE_DB_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "db/db.h"

struct fake_user {
	char id[37];
	int64_t version;
	bool disabled, admin;
};

struct fake_key {
	char hash[65], id[37], user_id[37];
	bool active;
	int64_t expires_us;
	char scopes[64];
};

struct fake_note {
	char channel[32], payload[80];
};

static struct {
	pthread_mutex_t lock;
	bool away;          /* every call is ERR_BUSY */
	uint64_t connects;  /* generations handed out */
	uint64_t cut_below; /* connections up to this one are lost */
	struct fake_user users[16];
	size_t user_count;
	struct fake_key keys[16];
	size_t key_count;
	struct fake_note notes[64];
	size_t note_count, notes_taken;
	int note_fd;
	int user_queries, key_queries, used_updates;
	char used_ids[2048];
	/* called, without the lock, after a row was read */
	void (*after_read)(void);
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .note_fd = -1 };

struct db {
	uint64_t generation;
	bool listens;
};

struct db_rows {
	size_t count;
	const char *cells[8];
	char text[8][80];
};

static void
fake_setup(void)
{
	fake.note_fd = eventfd(0, EFD_NONBLOCK);
}

__attribute__((unused)) static void
fake_notify(const char *channel, const char *payload)
{
	uint64_t one = 1;

	pthread_mutex_lock(&fake.lock);
	struct fake_note *note = &fake.notes[fake.note_count++ % 64];
	memcpy(note->channel, channel, strlen(channel) + 1);
	memcpy(note->payload, payload, strlen(payload) + 1);
	pthread_mutex_unlock(&fake.lock);
	cr_assert_eq(write(fake.note_fd, &one, sizeof(one)), sizeof(one));
}

/* Every connection made so far is lost; new ones work unless away. */
__attribute__((unused)) static void
fake_cut(bool away)
{
	pthread_mutex_lock(&fake.lock);
	fake.cut_below = fake.connects;
	fake.away = away;
	pthread_mutex_unlock(&fake.lock);
}

struct db *
db_new(const struct db_options *options)
{
	(void)options;
	return calloc(1, sizeof(struct db));
}

void
db_free(struct db *db)
{
	free(db);
}

/* With the lock held: as db.c does, a lost connection is made again. */
static enum err
ready(struct db *db)
{
	if (fake.away)
		return ERR_BUSY;
	if (db->generation <= fake.cut_below) {
		db->generation = fake.connects + 1;
		fake.connects = db->generation;
		db->listens = false;
	}
	return OK;
}

enum err
db_connect(struct db *db)
{
	enum err err;

	pthread_mutex_lock(&fake.lock);
	err = ready(db);
	pthread_mutex_unlock(&fake.lock);
	return err;
}

uint64_t
db_generation(const struct db *db)
{
	return db->generation;
}

int
db_fd(const struct db *db)
{
	(void)db;
	return fake.note_fd;
}

enum err
db_script(struct db *db, const char *sql)
{
	enum err err;

	(void)sql;
	pthread_mutex_lock(&fake.lock);
	err = ready(db);
	if (err == OK && !db->listens) {
		db->listens = true;
		fake.notes_taken = fake.note_count; /* nobody heard them */
	}
	pthread_mutex_unlock(&fake.lock);
	return err;
}

enum err
db_notification(struct db *db, char *channel, size_t channel_size,
    char *payload, size_t payload_size)
{
	enum err err = ERR_MISSING;
	uint64_t count;

	pthread_mutex_lock(&fake.lock);
	if (fake.away || db->generation <= fake.cut_below) {
		err = ERR_BUSY;
	} else if (db->listens && fake.notes_taken < fake.note_count) {
		struct fake_note *note = &fake.notes[fake.notes_taken++ % 64];

		cr_assert_lt(strlen(note->channel), channel_size);
		cr_assert_lt(strlen(note->payload), payload_size);
		memcpy(channel, note->channel, strlen(note->channel) + 1);
		memcpy(payload, note->payload, strlen(note->payload) + 1);
		err = OK;
	} else if (read(fake.note_fd, &count, sizeof(count)) < 0) {
		err = ERR_MISSING;
	}
	pthread_mutex_unlock(&fake.lock);
	return err;
}

static void
cell(struct db_rows *rows, size_t col, const char *text)
{
	memcpy(rows->text[col], text, strlen(text) + 1);
	rows->cells[col] = rows->text[col];
}

static void
cell_int(struct db_rows *rows, size_t col, int64_t value)
{
	char text[24];
	char *at = text + sizeof(text) - 1;
	bool negative = value < 0;

	*at = '\0';
	do {
		*--at = (char)('0' + (negative ? -(value % 10) : value % 10));
		value /= 10;
	} while (value != 0);
	if (negative)
		*--at = '-';
	cell(rows, col, at);
}

static void
select_user(const char *id, struct db_rows *rows)
{
	fake.user_queries++;
	for (size_t i = 0; i < fake.user_count; i++) {
		struct fake_user *user = &fake.users[i];

		if (strcmp(user->id, id) != 0)
			continue;
		rows->count = 1;
		cell_int(rows, 0, user->version);
		cell(rows, 1, user->disabled ? "t" : "f");
		cell(rows, 2, user->admin ? "t" : "f");
	}
}

static void
select_key(const char *hash, struct db_rows *rows)
{
	fake.key_queries++;
	for (size_t i = 0; i < fake.key_count; i++) {
		struct fake_key *key = &fake.keys[i];

		if (strcmp(key->hash, hash) != 0)
			continue;
		rows->count = 1;
		cell(rows, 0, key->id);
		cell(rows, 1, key->user_id);
		cell(rows, 2, key->active ? "t" : "f");
		cell_int(rows, 3, key->expires_us);
		cell(rows, 4, key->scopes);
	}
}

static void
answer(enum db_stmt stmt, const char *const *args, struct db_rows *rows)
{
	if (stmt == DB_AUTH_USER)
		select_user(args[0], rows);
	else if (stmt == DB_AUTH_KEY)
		select_key(args[0], rows);
	if (stmt == DB_AUTH_USED) {
		fake.used_updates++;
		cr_assert_lt(strlen(args[1]), sizeof(fake.used_ids));
		memcpy(fake.used_ids, args[1], strlen(args[1]) + 1);
	}
}

enum err
db_query(struct db *db, enum db_stmt stmt, const char *const *args,
    struct db_rows **rows)
{
	struct db_rows *made = calloc(1, sizeof(*made));
	enum err err;

	cr_assert_not_null(made);
	pthread_mutex_lock(&fake.lock);
	err = ready(db);
	if (err == OK)
		answer(stmt, args, made);
	pthread_mutex_unlock(&fake.lock);
	if (err == OK && stmt != DB_AUTH_ALIVE && fake.after_read != NULL)
		fake.after_read();
	if (rows != NULL)
		*rows = err == OK ? made : NULL;
	if (rows == NULL || err != OK)
		free(made);
	return err;
}

size_t
rows_count(const struct db_rows *rows)
{
	return rows->count;
}

const char *
rows_text(const struct db_rows *rows, size_t row, size_t col)
{
	(void)row;
	return rows->cells[col];
}

int64_t
rows_int64(const struct db_rows *rows, size_t row, size_t col)
{
	return strtoll(rows_text(rows, row, col), NULL, 10);
}

bool
rows_bool(const struct db_rows *rows, size_t row, size_t col)
{
	return rows_text(rows, row, col)[0] == 't';
}

void
rows_free(struct db_rows *rows)
{
	free(rows);
}

#endif /* TESTS_UNIT_FAKE_DB_H */
