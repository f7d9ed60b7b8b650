/*
 * fnv.h - FNV-1a, 64 bits (isthe.com/chongo/tech/comp/fnv): tells names apart
 * and spreads them.  It hides nothing, and whoever chooses the names can make
 * them collide.
 */
#ifndef BASE_FNV_H
#define BASE_FNV_H

#include <stdint.h>

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)

/* The hash of what hash is of, followed by text; of nothing it is FNV_BASIS. */
uint64_t fnv_add(uint64_t hash, const char *text);

#endif /* BASE_FNV_H */
