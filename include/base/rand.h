/*
 * rand.h - randomness from getrandom(2), the only source in this program.
 */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>

#include "base/err.h"

/* Fills out.  ERR_SYSTEM: then nothing may be issued. */
enum err rand_bytes(void *out, size_t len) MUST_CHECK;

#endif /* BASE_RAND_H */
