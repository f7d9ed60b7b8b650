/*
 * rand.c - randomness from getrandom(2).
 */
#include "base/rand.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

enum err
rand_bytes(void *out, size_t len)
{
	unsigned char *at = out;
	ssize_t got;

	while (len > 0) {
		got = getrandom(at, len, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return ERR_SYSTEM;
		at += got;
		len -= (size_t)got;
	}
	return OK;
}
