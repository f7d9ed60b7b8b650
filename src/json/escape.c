/*
 * escape.c - what stands between the quotes of a JSON string.
 */
#include "json/escape.h"

#include <stddef.h>
#include <string.h>

#include "base/codec.h"

int
escape_unit(const char *at, const char *end)
{
	int unit = 0;
	int digit;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		digit = codec_hex_value(at[i]);
		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

bool
escape_is_high(int unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

bool
escape_is_low(int unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

static int
utf8_size(unsigned point)
{
	if (point < 0x80)
		return 1;
	if (point < 0x800)
		return 2;
	return point < 0x10000 ? 3 : 4;
}

static void
push_point(struct escape_decoder *decoder, unsigned point)
{
	static const uint8_t lead[] = { 0, 0x00, 0xc0, 0xe0, 0xf0 };
	uint8_t *out = decoder->pending;
	int len = utf8_size(point);

	for (int i = len - 1; i > 0; i--) {
		out[i] = (uint8_t)(0x80 | (point & 0x3f));
		point >>= 6;
	}
	out[0] = (uint8_t)(lead[len] | point);
	decoder->pending_len = len;
	decoder->pending_at = 0;
}

static void
take_unicode(struct escape_decoder *decoder)
{
	int unit = escape_unit(decoder->at, decoder->end);
	unsigned point = (unsigned)unit;

	decoder->at += 4;
	if (escape_is_high(unit)) {
		unit = escape_unit(decoder->at + 2, decoder->end);
		point = 0x10000 + ((point - 0xd800) << 10) +
			((unsigned)unit - 0xdc00);
		decoder->at += 6;
	}
	push_point(decoder, point);
}

static void
take_escape(struct escape_decoder *decoder)
{
	static const char names[] = "bfnrt";
	static const char bytes[] = "\b\f\n\r\t";
	char name = decoder->at[1];
	const char *found = strchr(names, name);

	decoder->at += 2;
	if (name == 'u')
		take_unicode(decoder);
	else
		push_point(decoder,
		    (unsigned)(found == NULL ? name : bytes[found - names]));
}

int
escape_decode(struct escape_decoder *decoder)
{
	if (decoder->pending_at < decoder->pending_len)
		return decoder->pending[decoder->pending_at++];
	if (decoder->at == decoder->end)
		return -1;
	if (*decoder->at != '\\')
		return (uint8_t)*decoder->at++;
	take_escape(decoder);
	return decoder->pending[decoder->pending_at++];
}
