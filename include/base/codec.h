/*
 * codec.h - encodings and checksums: hex, base64url, base62, percent, CRC32.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Lower-case hex of len bytes and a NUL: out has 2 * len + 1 bytes. */
void codec_hex(const void *data, size_t len, char *out);

/* 0 to 15 of a hex digit in either case, -1 of anything else. */
int codec_hex_value(char c);

/*
 * Unpadded base64url (RFC 4648 section 5).  encode appends to out; decode
 * takes at most max bytes and fails with ERR_INPUT on other characters.
 */
void codec_base64url(const void *data, size_t len, struct buf *out);
enum err codec_base64url_decode(const char *text, size_t len, void *out,
    size_t max, size_t *out_len) MUST_CHECK;

/* digits characters of 0-9A-Za-z for value, most significant first. */
void codec_base62(uint64_t value, char *out, size_t digits);

/* CRC32C (Castagnoli, RFC 3720 B.4), seed 0 for a new one, the result so far
 * to go on.  The portable one is what processors without SSE4.2 use. */
uint32_t codec_crc32c(uint32_t seed, const void *data, size_t len);
uint32_t codec_crc32c_portable(uint32_t seed, const void *data, size_t len);

/*
 * Percent-decoding (RFC 3986) of len bytes into out, which has len + 1 bytes;
 * '+' is a space when form is set.  ERR_INPUT on a broken escape, on %00 and
 * on a result that is not UTF-8.
 */
enum err codec_percent_decode(const char *text, size_t len, bool form,
    char *out) MUST_CHECK;

/* Length of the valid UTF-8 prefix of data (RFC 3629: no overlong, no
 * surrogates, nothing above U+10FFFF); len when all of it is valid. */
size_t codec_utf8_valid(const char *data, size_t len);

#endif /* BASE_CODEC_H */
