/*
 * uuid.c - UUIDs (RFC 9562).
 *
 * The first 60 bits that are not the version, milliseconds and their fraction
 * of 1/4096, form one number that only ever grows within a thread.
 */
#include "base/uuid.h"

#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/rand.h"

#define POOL_SIZE 512 /* random bytes fetched at once: 64 ids */
#define TAIL      8   /* random bytes of an id */

struct maker {
	uint64_t last; /* the 60 bits of the newest id */
	pid_t pid;     /* whose pool it is: a child must not repeat ours */
	size_t left;   /* bytes of the pool not used yet */
	uint8_t pool[POOL_SIZE];
};

static enum err
take_random(struct maker *maker, uint8_t out[TAIL])
{
	pid_t pid = getpid();
	enum err err;

	if (maker->pid != pid || maker->left < TAIL) {
		maker->left = 0;
		err = rand_bytes(maker->pool, sizeof(maker->pool));
		if (err != OK)
			return err;
		maker->left = sizeof(maker->pool);
		maker->pid = pid;
	}
	maker->left -= TAIL;
	memcpy(out, maker->pool + maker->left, TAIL);
	return OK;
}

static uint64_t
next_stamp(struct maker *maker)
{
	struct timespec now;
	uint64_t ms;
	uint64_t stamp;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	stamp = ms << 12 | ((uint64_t)now.tv_nsec % 1000000) * 4096 / 1000000;
	if (stamp <= maker->last)
		stamp = maker->last + 1;
	maker->last = stamp;
	return stamp;
}

enum err
uuid_make(struct uuid *out)
{
	static _Thread_local struct maker maker;
	uint64_t stamp;
	enum err err;

	err = take_random(&maker, out->bytes + 8);
	if (err != OK)
		return err;
	stamp = next_stamp(&maker);
	for (int i = 0; i < 6; i++)
		out->bytes[i] = (uint8_t)(stamp >> (52 - 8 * i));
	out->bytes[6] = (uint8_t)(0x70 | (stamp >> 8 & 0x0f));
	out->bytes[7] = (uint8_t)stamp;
	out->bytes[8] = (uint8_t)(0x80 | (out->bytes[8] & 0x3f));
	return OK;
}

static bool
dash_before(int byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void
uuid_text(const struct uuid *id, char out[UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *at = out;

	for (int i = 0; i < 16; i++) {
		if (dash_before(i))
			*at++ = '-';
		*at++ = digits[id->bytes[i] >> 4];
		*at++ = digits[id->bytes[i] & 0x0f];
	}
	*at = '\0';
}

enum err
uuid_parse(const char *text, struct uuid *out)
{
	struct uuid id;
	int high;
	int low;

	if (text == NULL)
		return ERR_INPUT;
	for (int i = 0; i < 16; i++) {
		if (dash_before(i) && *text++ != '-')
			return ERR_INPUT;
		high = codec_hex_value(text[0]);
		if (high < 0)
			return ERR_INPUT;
		low = codec_hex_value(text[1]);
		if (low < 0)
			return ERR_INPUT;
		id.bytes[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	if (*text != '\0')
		return ERR_INPUT;
	*out = id;
	return OK;
}

bool
uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool
uuid_is_zero(const struct uuid *id)
{
	static const struct uuid zero;

	return uuid_equal(id, &zero);
}

int64_t
uuid_time_ms(const struct uuid *id)
{
	int64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id->bytes[i];
	return ms;
}
