/*
 * test_codec.c - encodings and checksums.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/codec.h"

Test(codec, hex_is_lower_case)
{
	char text[9];

	codec_hex("\x00\x7f\xff\xa5", 4, text);
	cr_expect_str_eq(text, "007fffa5");
	codec_hex("", 0, text);
	cr_expect_str_eq(text, "");
	cr_expect_eq(codec_hex_value('9'), 9);
	cr_expect_eq(codec_hex_value('f'), 15);
	cr_expect_eq(codec_hex_value('A'), 10);
	cr_expect_eq(codec_hex_value('g'), -1);
	cr_expect_eq(codec_hex_value('\0'), -1);
}

static void
expect_base64(const char *plain, const char *encoded)
{
	char back[16];
	struct buf buf;
	size_t len;

	buf_init(&buf, 100);
	codec_base64url(plain, strlen(plain), &buf);
	cr_expect_str_eq(buf_str(&buf), encoded);
	cr_assert_eq(codec_base64url_decode(encoded, strlen(encoded), back,
			 sizeof(back), &len),
	    OK);
	cr_expect_eq(len, strlen(plain));
	cr_expect_eq(memcmp(back, plain, len), 0);
	buf_fini(&buf);
}

Test(codec, base64url_goes_there_and_back)
{
	expect_base64("", "");
	expect_base64("f", "Zg");
	expect_base64("fo", "Zm8");
	expect_base64("foo", "Zm9v");
	expect_base64("foob", "Zm9vYg");
	expect_base64("foobar", "Zm9vYmFy");
	expect_base64("\xff\xef\xbe", "_---");
}

Test(codec, broken_base64url_is_refused)
{
	static const char *const bad[] = { "Z", "Zm9vY", "Zg==", "Zm8=", "Zm+v",
		"Zm/v", "Zm 9", "Zm9\n", "Zh", "Zm9", "Z\xc3\xa9w" };
	char out[16];
	size_t len = 42;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(codec_base64url_decode(bad[i], strlen(bad[i]), out,
				 sizeof(out), &len),
		    ERR_INPUT, "%s", bad[i]);
	cr_expect_eq(codec_base64url_decode("Zm9v", 4, out, 2, &len), ERR_INPUT,
	    "more than there is room for");
	cr_expect_eq(codec_base64url_decode("Zm8", 3, out, 1, &len), ERR_INPUT);
	cr_expect_eq(len, 42);
}

Test(codec, base62_has_a_fixed_width)
{
	char text[12] = { 0 };

	codec_base62(0, text, 4);
	cr_expect_str_eq(text, "0000");
	codec_base62(61, text, 4);
	cr_expect_str_eq(text, "000z");
	codec_base62(62, text, 4);
	cr_expect_str_eq(text, "0010");
	codec_base62(UINT64_MAX, text, 11);
	cr_expect_str_eq(text, "LygHa16AHYF");
	codec_base62(1, text, 0);
	cr_expect_str_eq(text, "LygHa16AHYF", "no digit, nothing written");
}

static void
expect_crc(const void *data, size_t len, uint32_t crc)
{
	cr_expect_eq(codec_crc32c(0, data, len), crc);
	cr_expect_eq(codec_crc32c_portable(0, data, len), crc);
}

Test(codec, crc32c_gives_the_known_vectors)
{
	unsigned char data[32];

	expect_crc("", 0, 0);
	expect_crc("123456789", 9, 0xe3069283);
	memset(data, 0, sizeof(data));
	expect_crc(data, sizeof(data), 0x8a9136aa); /* RFC 3720 B.4 */
	memset(data, 0xff, sizeof(data));
	expect_crc(data, sizeof(data), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)i;
	expect_crc(data, sizeof(data), 0x46dd794e);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(31 - i);
	expect_crc(data, sizeof(data), 0x113fdb5c);
}

Test(codec, crc32c_can_be_taken_in_pieces_of_any_length)
{
	char data[97];
	uint32_t whole;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 37);
	whole = codec_crc32c(0, data, sizeof(data));
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		cr_assert_eq(codec_crc32c(codec_crc32c(0, data, cut),
				 data + cut, sizeof(data) - cut),
		    whole);
		cr_assert_eq(codec_crc32c(0, data + cut, sizeof(data) - cut),
		    codec_crc32c_portable(0, data + cut, sizeof(data) - cut));
	}
}

static void
expect_decoded(const char *text, bool form, const char *decoded)
{
	char out[64];

	cr_assert_eq(codec_percent_decode(text, strlen(text), form, out), OK,
	    "%s", text);
	cr_expect_str_eq(out, decoded);
}

Test(codec, percent_escapes_are_decoded)
{
	expect_decoded("", false, "");
	expect_decoded("plain", false, "plain");
	expect_decoded("%41%2f%2F%25", false, "A//%");
	expect_decoded("a+b", false, "a+b");
	expect_decoded("a+b%2B", true, "a b+");
	expect_decoded("caf%C3%A9 \xe2\x82\xac", false, "café €");
}

Test(codec, broken_percent_escapes_are_refused)
{
	static const char *const bad[] = { "%", "%4", "%4g", "a%", "%%41",
		"%00", "a%00b", "%ff", "%c3", "%c0%80", "%ed%a0%80", "%+1" };
	char out[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(codec_percent_decode(bad[i], strlen(bad[i]), true,
				 out),
		    ERR_INPUT, "%s", bad[i]);
	cr_expect_eq(codec_percent_decode("a\0b", 3, false, out), ERR_INPUT);
	cr_expect_eq(codec_percent_decode("%41", 2, false, out), ERR_INPUT,
	    "it does not read past the end");
}

Test(codec, all_of_a_valid_text_is_utf8)
{
	static const char *const good[] = { "", "ascii", "\x7f", "\xc2\x80",
		"\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
		"\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
		"seven..\xc3\xa9", "eight...\xc3\xa9 and \xf0\x9f\x98\x80 more",
		"a long run of ascii, then \xe2\x82\xac, then more of it" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		cr_expect_eq(codec_utf8_valid(good[i], strlen(good[i])),
		    strlen(good[i]), "row %zu", i);
	cr_expect_eq(codec_utf8_valid("a\0b", 3), 3);
}

Test(codec, what_is_not_utf8_ends_the_valid_prefix)
{
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80",
		"\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xe2\x82",
		"\xe2\x28\xa1", "\xe2\x82\x28", "\xed\xa0\x80", "\xed\xbf\xbf",
		"\xf0\x8f\xbf\xbf", "\xf0\x9f\x98", "\xf0\x9f\x98\x28",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff" };
	char text[64];
	size_t len;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		len = strlen(bad[i]);
		for (size_t at = 0; at < 20; at++) {
			memset(text, 'x', sizeof(text));
			memcpy(text + at, bad[i], len);
			cr_assert_eq(codec_utf8_valid(text, at + len), at,
			    "row %zu at %zu", i, at);
		}
	}
}

Test(codec, every_character_of_unicode_is_valid_and_no_other)
{
	char text[4];

	for (unsigned int code = 0x800; code < 0x10000; code++) {
		bool surrogate = code >= 0xd800 && code <= 0xdfff;

		text[0] = (char)(0xe0 | code >> 12);
		text[1] = (char)(0x80 | (code >> 6 & 0x3f));
		text[2] = (char)(0x80 | (code & 0x3f));
		cr_assert_eq(codec_utf8_valid(text, 3), surrogate ? 0 : 3);
	}
	for (unsigned int code = 0x10000; code < 0x120000; code++) {
		text[0] = (char)(0xf0 | code >> 18);
		text[1] = (char)(0x80 | (code >> 12 & 0x3f));
		text[2] = (char)(0x80 | (code >> 6 & 0x3f));
		text[3] = (char)(0x80 | (code & 0x3f));
		cr_assert_eq(codec_utf8_valid(text, 4),
		    code < 0x110000 ? 4 : 0);
	}
}
