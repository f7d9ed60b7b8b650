/*
 * test_hmac.c - HMAC-SHA256 by the vectors of RFC 4231, and against libcrypto.
 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "auth/hmac.h"
#include "base/codec.h"

static void
expect(const char *key, const char *text, const char *hex)
{
	char got[2 * HMAC_SIZE + 1];
	uint8_t mac[HMAC_SIZE];

	hmac_make(key, text, strlen(text), mac);
	codec_hex(mac, sizeof(mac), got);
	cr_expect_str_eq(got, hex);
}

/* Its test cases 1, 2, 6 and 7, whose keys hold no NUL and texts no binary. */
Test(hmac, what_the_rfc_says)
{
	char key[132];

	memset(key, 0x0b, 20);
	key[20] = '\0';
	expect(key, "Hi There",
	    "b0344c61d8db38535ca8afceaf0bf12b"
	    "881dc200c9833da726e9376c2e32cff7");
	expect("Jefe", "what do ya want for nothing?",
	    "5bdcc146bf60754e6a042426089575c7"
	    "5a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, 131);
	key[131] = '\0';
	expect(key, "Test Using Larger Than Block-Size Key - Hash Key First",
	    "60e431591ee0b67f0d8a26aacbf5b77f"
	    "8e0bc6213728c5140546040f0ee37f54");
	expect(key,
	    "This is a test using a larger than block-size key and a larger "
	    "than block-size data. The key needs to be hashed before being "
	    "used by the HMAC algorithm.",
	    "9b09ffa71b942fcb27635fbcd5b0e944"
	    "bfdc63644f0713938a7f51535c3a35e2");
}

Test(hmac, every_length_of_key_and_text_is_as_in_libcrypto)
{
	char key[131] = "", text[200];
	unsigned char theirs[EVP_MAX_MD_SIZE];
	uint8_t ours[HMAC_SIZE];

	memset(text, 'x', sizeof(text));
	for (size_t len = 1; len < sizeof(key) - 1; len++) {
		key[len - 1] = (char)(' ' + len % 90);
		HMAC(EVP_sha256(), key, (int)len, (unsigned char *)text, len,
		    theirs, NULL);
		hmac_make(key, text, len, ours);
		cr_expect_arr_eq(ours, theirs, HMAC_SIZE, "length %zu", len);
	}
}

Test(hmac, one_bit_of_another_is_not_it)
{
	uint8_t mac[HMAC_SIZE];

	hmac_make("key", "text", 4, mac);
	cr_expect(hmac_is("key", "text", 4, mac));
	cr_expect_not(hmac_is("kez", "text", 4, mac));
	cr_expect_not(hmac_is("key", "texu", 4, mac));
	cr_expect_not(hmac_is("key", "text", 3, mac));
	for (size_t bit = 0; bit < sizeof(mac) * 8; bit++) {
		mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_expect_not(hmac_is("key", "text", 4, mac), "bit %zu", bit);
		mac[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
