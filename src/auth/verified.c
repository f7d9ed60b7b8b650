/*
 * verified.c - a table of tokens by their hash; a newer one takes the place of
 * an older one.
 */
#include "auth/verified.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"
#include "base/clock.h"
#include "base/codec.h"

#define PLACES 4096 /* half a megabyte if all are used */
#define LOCKS  16   /* each for every 16th place */

struct place {
	char hash[SECRET_HASH_SIZE]; /* "": free */
	struct token_claims claims;
};

struct verified {
	const struct token_keys *keys;
	pthread_mutex_t locks[LOCKS];
	struct place places[PLACES];
};

struct verified *
verified_new(const struct token_keys *keys)
{
	struct verified *verified = calloc(1, sizeof(*verified));

	if (verified == NULL)
		return NULL;
	verified->keys = keys;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&verified->locks[i], NULL);
	return verified;
}

void
verified_free(struct verified *verified)
{
	if (verified == NULL)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&verified->locks[i]);
	free(verified);
}

/* Every digit of a hash is as good as random. */
static size_t
place_of(const char hash[SECRET_HASH_SIZE])
{
	size_t place = 0;

	for (size_t i = 0; i < 3; i++)
		place = place << 4 | (size_t)codec_hex_value(hash[i]);
	return place % PLACES;
}

/* What of a token can change. */
static bool
is_current(const struct token_claims *claims)
{
	int64_t now = clock_wall_us() / 1000000;

	return claims->issued_s <= now + TOKEN_LEEWAY_S &&
	       claims->expires_s > now;
}

static bool
recall(struct verified *verified, const char hash[SECRET_HASH_SIZE],
    struct token_claims *out)
{
	size_t index = place_of(hash);
	struct place *place = &verified->places[index];
	bool found;

	pthread_mutex_lock(&verified->locks[index % LOCKS]);
	found = secret_equal(place->hash, hash) && is_current(&place->claims);
	if (found)
		*out = place->claims;
	pthread_mutex_unlock(&verified->locks[index % LOCKS]);
	return found;
}

static void
keep(struct verified *verified, const char hash[SECRET_HASH_SIZE],
    const struct token_claims *claims)
{
	size_t index = place_of(hash);
	struct place *place = &verified->places[index];

	pthread_mutex_lock(&verified->locks[index % LOCKS]);
	memcpy(place->hash, hash, SECRET_HASH_SIZE);
	place->claims = *claims;
	pthread_mutex_unlock(&verified->locks[index % LOCKS]);
}

enum err
verified_token(struct verified *verified, const char *token,
    struct token_claims *out)
{
	char hash[SECRET_HASH_SIZE];
	enum err err;

	secret_hash(token, hash);
	if (recall(verified, hash, out))
		return OK;
	err = token_verify(verified->keys, token, out);
	if (err == OK)
		keep(verified, hash, out);
	return err;
}
