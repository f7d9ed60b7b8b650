/*
 * hmac.h - HMAC-SHA256 (RFC 2104) that cannot fail: it asks for no memory.
 */
#ifndef AUTH_HMAC_H
#define AUTH_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HMAC_SIZE 32

/* Of len bytes of text; key is a string of any length. */
void hmac_make(const char *key, const void *text, size_t len,
    uint8_t mac[HMAC_SIZE]);

/* Is mac that of text?  Takes as long whatever the difference. */
bool hmac_is(const char *key, const void *text, size_t len,
    const uint8_t mac[HMAC_SIZE]);

#endif /* AUTH_HMAC_H */
