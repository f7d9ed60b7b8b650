/*
 * test_cache.c - identities in memory: found, forgotten, and what happens while
 * PostgreSQL is away.
 */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <string.h>

#include "auth/cache.h"
#include "base/clock.h"
#include "fake_db.h"

#define USER "0190f3c4-0000-7000-8000-000000000001"
#define KEY  "0190f3c4-0000-7000-8000-00000000000a"
#define HASH                               \
	"00112233445566778899aabbccddeeff" \
	"00112233445566778899aabbccddeeff"

static struct config config = { .database_url = NULL, .auth_stale_ms = 60000 };
static struct auth_cache *cache;
static struct db *db;
static atomic_int catalog_notes, note_ends;

static void
count_note(void *arg, struct db *listening, const char *channel,
    const char *payload)
{
	(void)arg;
	(void)payload;
	if (channel == NULL)
		note_ends += listening != NULL;
	else if (strcmp(channel, "minuted_catalog") == 0)
		catalog_notes++;
}

static bool
is_open(void)
{
	return auth_cache_is_open(cache);
}

static bool
is_closed(void)
{
	return !auth_cache_is_open(cache);
}

/* Waits up to 5 s, in steps that do not load the machine. */
static void
eventually(bool (*done)(void))
{
	for (int i = 0; i < 1000 && !done(); i++)
		usleep(5000);
	cr_assert(done());
}

static void
set_up(void)
{
	fake_setup();
	fake.users[0] = (struct fake_user){ .id = USER, .version = 1 };
	fake.user_count = 1;
	fake.keys[0] = (struct fake_key){ .hash = HASH,
		.id = KEY,
		.user_id = USER,
		.active = true,
		.scopes = "ingest calls" };
	fake.key_count = 1;
	db = db_new(&(struct db_options){ .url = NULL });
	cr_assert_eq(auth_cache_start(&config, count_note, NULL, &cache), OK);
	eventually(is_open);
}

static void
tear_down(void)
{
	auth_cache_stop(cache);
	db_free(db);
	close(fake.note_fd);
}

TestSuite(cache, .init = set_up, .fini = tear_down, .timeout = 30);

static enum err
ask_user(struct auth_user *out)
{
	struct uuid id;

	cr_assert_eq(uuid_parse(USER, &id), OK);
	return auth_cache_user(cache, db, &id, out);
}

static enum err
ask_key(struct auth_key *out)
{
	return auth_cache_key(cache, db, HASH, out);
}

Test(cache, a_user_is_asked_for_once)
{
	struct auth_user user;

	for (int i = 0; i < 10; i++)
		cr_assert_eq(ask_user(&user), OK);
	cr_expect_eq(fake.user_queries, 1);
	cr_expect_eq(user.token_version, 1);
	cr_expect_not(user.disabled);
}

Test(cache, a_key_is_asked_for_once_and_has_its_scopes)
{
	struct auth_key key;

	for (int i = 0; i < 10; i++)
		cr_assert_eq(ask_key(&key), OK);
	cr_expect_eq(fake.key_queries, 1);
	cr_expect(key.active);
	cr_expect_eq(key.scopes, SCOPE_INGEST | SCOPE_CALLS);
	cr_expect_eq(key.expires_us, 0);
}

Test(cache, an_unknown_scope_allows_nothing_here)
{
	struct auth_key key;

	memcpy(fake.keys[0].scopes, "admin", 6);
	cr_assert_eq(ask_key(&key), OK);
	cr_expect_eq(key.scopes, SCOPE_OTHER);
}

Test(cache, who_is_not_there_is_asked_for_each_time)
{
	struct auth_user user;
	struct auth_key key;

	fake.user_count = 0;
	fake.key_count = 0;
	cr_expect_eq(ask_user(&user), ERR_MISSING);
	cr_expect_eq(ask_user(&user), ERR_MISSING);
	cr_expect_eq(fake.user_queries, 2);
	cr_expect_eq(ask_key(&key), ERR_MISSING);
	fake.key_count = 1;
	cr_expect_eq(ask_key(&key), OK);
	cr_expect_eq(auth_cache_key(cache, db, "short", &key), ERR_MISSING);
}

static bool
is_disabled(void)
{
	struct auth_user user;

	return ask_user(&user) == OK && user.disabled;
}

Test(cache, a_notification_makes_it_forget)
{
	struct auth_user user;
	int64_t start;

	cr_assert_eq(ask_user(&user), OK);
	fake.users[0].disabled = true;
	cr_assert_eq(ask_user(&user), OK);
	cr_expect_not(user.disabled, "nobody said so yet");
	start = clock_mono_us();
	fake_notify("minuted_user", USER);
	eventually(is_disabled);
	cr_expect_lt(clock_mono_us() - start, 1000000);
}

static bool
key_is_inactive(void)
{
	struct auth_key key;

	return ask_key(&key) == OK && !key.active;
}

Test(cache, a_revoked_key_is_noticed_within_a_second)
{
	struct auth_key key;
	int64_t start;

	cr_assert_eq(ask_key(&key), OK);
	fake.keys[0].active = false;
	start = clock_mono_us();
	fake_notify("minuted_key", HASH);
	eventually(key_is_inactive);
	cr_expect_lt(clock_mono_us() - start, 1000000);
}

Test(cache, other_channels_are_passed_on)
{
	int before = catalog_notes;

	fake_notify("minuted_catalog", "models");
	for (int i = 0; i < 200 && catalog_notes == before; i++)
		usleep(5000);
	cr_expect_gt(catalog_notes, before);
}

static bool
start_is_told(void)
{
	return note_ends > 0;
}

static bool
news_are_told(void)
{
	return note_ends > 1;
}

Test(cache, the_end_of_what_was_told_is_told)
{
	eventually(start_is_told);
	fake_notify("minuted_limit", "");
	eventually(news_are_told);
}

static bool
notes_are_taken(void)
{
	bool taken;

	pthread_mutex_lock(&fake.lock);
	taken = fake.notes_taken == fake.note_count;
	pthread_mutex_unlock(&fake.lock);
	return taken;
}

/* The change commits and is announced between the read and the keeping. */
static void
change_meanwhile(void)
{
	fake.after_read = NULL;
	fake.users[0].disabled = true;
	fake_notify("minuted_user", USER);
	eventually(notes_are_taken);
	usleep(20000);
}

Test(cache, what_changes_while_it_is_read_is_not_kept)
{
	struct auth_user user;

	fake.after_read = change_meanwhile;
	cr_assert_eq(ask_user(&user), OK);
	cr_expect_not(user.disabled);
	cr_assert_eq(ask_user(&user), OK);
	cr_expect(user.disabled);
}

Test(cache, while_the_listener_is_lost_every_question_goes_to_postgresql)
{
	struct auth_user user;
	int before;

	cr_assert_eq(ask_user(&user), OK);
	fake_cut(true);
	eventually(is_closed);
	pthread_mutex_lock(&fake.lock);
	fake.users[0].disabled = true;
	before = fake.user_queries;
	pthread_mutex_unlock(&fake.lock);
	/* away for everybody: the last known state, within AUTH_STALE */
	cr_expect_eq(ask_user(&user), OK);
	cr_expect_not(user.disabled);
	fake.away = false;
	cr_expect_eq(ask_user(&user), OK);
	cr_expect(user.disabled);
	cr_expect_gt(fake.user_queries, before);
}

Test(cache, a_new_connection_of_the_listener_trusts_nothing_from_before)
{
	struct auth_user user;

	cr_assert_eq(ask_user(&user), OK);
	fake_cut(false);
	fake.users[0].disabled = true; /* not announced to anybody */
	fake.users[0].version = 9;
	eventually(is_disabled);
	eventually(is_open);
	cr_assert_eq(ask_user(&user), OK);
	cr_expect_eq(user.token_version, 9);
}

Test(cache, after_auth_stale_nothing_is_known_any_more)
{
	struct auth_user user;

	auth_cache_stop(cache);
	config.auth_stale_ms = 200;
	cr_assert_eq(auth_cache_start(&config, NULL, NULL, &cache), OK);
	eventually(is_open);
	cr_assert_eq(ask_user(&user), OK);
	fake_cut(true);
	eventually(is_closed);
	usleep(300000);
	cr_expect_eq(ask_user(&user), ERR_BUSY);
}

Test(cache, who_was_never_seen_is_unknown_while_it_is_away)
{
	struct auth_user user;
	struct auth_key key;

	fake_cut(true);
	cr_expect_eq(ask_user(&user), ERR_BUSY);
	cr_expect_eq(ask_key(&key), ERR_BUSY);
	db_free(db);
	db = NULL;
	cr_expect_eq(ask_user(&user), ERR_BUSY);
}

static bool
was_used(void)
{
	bool used;

	pthread_mutex_lock(&fake.lock);
	used = fake.used_updates > 0;
	pthread_mutex_unlock(&fake.lock);
	return used;
}

Test(cache, the_use_of_a_key_is_written_once_a_minute)
{
	struct auth_key key;

	for (int i = 0; i < 1000; i++)
		cr_assert_eq(ask_key(&key), OK);
	eventually(was_used);
	cr_expect_str_eq(fake.used_ids, "{" KEY "}");
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(ask_key(&key), OK);
	usleep(1200000);
	cr_expect_eq(fake.used_updates, 1);
}

/* More names than there is room for: some are asked for again, none is wrong. */
Test(cache, it_never_grows_and_never_mixes_names_up)
{
	struct auth_user user;
	struct uuid id;

	for (int i = 0; i < 20000; i++) {
		cr_assert_eq(uuid_make(&id), OK);
		uuid_text(&id, fake.users[0].id);
		fake.users[0].version = i + 1;
		cr_assert_eq(auth_cache_user(cache, db, &id, &user), OK);
		cr_assert_eq(user.token_version, i + 1);
		cr_assert(uuid_equal(&user.id, &id));
	}
}

static void *
hammer(void *arg)
{
	struct db *own = db_new(&(struct db_options){ .url = NULL });
	struct auth_user user;
	struct uuid id;

	(void)arg;
	cr_assert_eq(uuid_parse(USER, &id), OK);
	for (int i = 0; i < 20000; i++)
		cr_assert_eq(auth_cache_user(cache, own, &id, &user), OK);
	db_free(own);
	return NULL;
}

Test(cache, threads_ask_while_it_is_told_to_forget)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, hammer, NULL),
		    0);
	for (int i = 0; i < 50; i++) {
		fake_notify("minuted_user", USER);
		usleep(1000);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}
