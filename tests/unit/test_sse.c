/*
 * test_sse.c - server-sent events, written and parsed.
 */
#include "http/sse.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "failing.h"

static struct sse_parser parser;
static struct buf seen; /* "type|data|raw;" an event, line ends as N and R */

static void
setup(void)
{
	sse_parser_init(&parser);
	buf_init(&seen, 1 << 20);
}

static void
teardown(void)
{
	sse_parser_fini(&parser);
	buf_fini(&seen);
}

TestSuite(sse, .init = setup, .fini = teardown);

static void
add_visible(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			buf_addc(&seen, 'N');
		else
			buf_addc(&seen, text[i] == '\r' ? 'R' : text[i]);
	}
}

static enum err
note(void *arg, const struct sse_event *event)
{
	(void)arg;
	cr_expect_eq(strlen(event->data), event->data_len);
	add_visible(event->type, strlen(event->type));
	buf_addc(&seen, '|');
	add_visible(event->data, event->data_len);
	buf_addc(&seen, '|');
	add_visible(event->raw, event->raw_len);
	buf_addc(&seen, ';');
	return OK;
}

/* Feeds text in parts of size bytes and wants the same events. */
static void
expect_split(const char *text, size_t len, size_t size, const char *expected)
{
	buf_reset(&seen);
	sse_parser_fini(&parser);
	sse_parser_init(&parser);
	for (size_t at = 0; at < len; at += size) {
		size_t part = len - at < size ? len - at : size;
		char *copy = malloc(part);

		cr_assert_not_null(copy);
		memcpy(copy, text + at, part);
		cr_expect_eq(sse_parser_feed(&parser, copy, part, note, NULL),
		    OK);
		free(copy);
	}
	cr_expect_str_eq(buf_str(&seen), expected, "by %zu: %s", size,
	    buf_str(&seen));
}

static void
expect(const char *text, const char *expected)
{
	size_t len = strlen(text);

	for (size_t size = 1; size <= len; size++)
		expect_split(text, len, size, expected);
}

Test(sse, reads_an_event)
{
	expect("data: {\"a\":1}\n\n", "|{\"a\":1}|data: {\"a\":1}NN;");
	expect("data:x\n\ndata:y\n\n", "|x|data:xNN;|y|data:yNN;");
}

Test(sse, joins_the_lines_of_data)
{
	expect("data: a\ndata:\ndata:  b\n\n",
	    "|aNN b|data: aNdata:Ndata:  bNN;");
}

Test(sse, reads_the_type)
{
	expect("event: ping\ndata: {}\n\n", "ping|{}|event: pingNdata: {}NN;");
	expect("event: a\nevent: b\ndata: {}\n\ndata: x\n\n",
	    "b|{}|event: aNevent: bNdata: {}NN;|x|data: xNN;");
}

Test(sse, skips_comments_ids_and_unknown_fields)
{
	expect(": hi\nid: 1\nretry: 5\nfoo\ndat: y\ndatax: z\ndata: x\n\n",
	    "|x|: hiNid: 1Nretry: 5NfooNdat: yNdatax: zNdata: xNN;");
}

Test(sse, what_has_no_data_is_dropped)
{
	expect(": ping\n\nevent: e\n\n\n\ndata: x\n\n: ping\n\n",
	    "|x|data: xNN;");
}

Test(sse, empty_data_is_an_event)
{
	expect("data\n\n", "||dataNN;");
	expect("data:\n\ndata: \n\n", "||data:NN;||data: NN;");
	expect("data\ndata\n\n", "|N|dataNdataNN;");
}

Test(sse, takes_any_line_end)
{
	expect("data: x\r\n\r\ndata: y\r\n\r\n",
	    "|x|data: xRNRN;|y|data: yRNRN;");
	expect("data: x\r\rdata: y\r\r", "|x|data: xRR;|y|data: yRR;");
	expect("data: x\ndata: z\r\ndata: y\r\n\r\n",
	    "|xNzNy|data: xNdata: zRNdata: yRNRN;");
	expect("data: x\r\r\ndata: y\r\n\n", "|x|data: xRR;|y|data: yRNN;");
	expect("data: x\n\r\ndata: y\n\n", "|x|data: xNR;|y|data: yNN;");
	expect("\r\n\r\n\n\rdata: x\r\n\r\n\r\n", "|x|data: xRNRN;");
}

Test(sse, skips_a_bom_at_the_start_only)
{
	expect("\xef\xbb\xbf"
	       "data: x\n\n\xef\xbb\xbf"
	       "data: y\n\n",
	    "|x|data: xNN;");
	expect("\xef\xbb"
	       "data: x\n\ndata: y\n\n",
	    "|y|data: yNN;");
	expect("\xef\xbb\xbf\n\xef\xbb\xbf"
	       "data: y\n\ndata: z\n\n",
	    "|z|data: zNN;");
}

Test(sse, an_unfinished_event_is_not_reported)
{
	expect("data: x", "");
	expect("data: x\n", "");
	expect("data: x\r\n", "");
	expect("", "");
}

Test(sse, a_crlf_event_is_reported_with_its_last_byte)
{
	static const char text[] = "data: x\r\n\r\n";
	size_t len = strlen(text);

	cr_expect_eq(sse_parser_feed(&parser, text, len - 1, note, NULL), OK);
	cr_expect_str_eq(buf_str(&seen), "");
	cr_expect_eq(sse_parser_feed(&parser, "\n", 1, note, NULL), OK);
	cr_expect_str_eq(buf_str(&seen), "|x|data: xRNRN;");
}

/* An event of raw_len bytes in all, fed in parts of size. */
static enum err
feed_large(size_t raw_len, size_t size)
{
	char *text = malloc(raw_len);
	enum err err = OK;

	cr_assert_not_null(text);
	memset(text, 'x', raw_len);
	memcpy(text, "data:", 5);
	memcpy(text + raw_len - 2, "\n\n", 2);
	sse_parser_fini(&parser);
	sse_parser_init(&parser);
	buf_fini(&seen);
	buf_init(&seen, 4 << 20);
	for (size_t at = 0; at < raw_len && err == OK; at += size)
		err = sse_parser_feed(&parser, text + at,
		    raw_len - at < size ? raw_len - at : size, note, NULL);
	free(text);
	return err;
}

Test(sse, the_ceiling_is_the_same_for_every_split)
{
	static const size_t sizes[] = { 1, 1000, 4096, 65536, 4 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		cr_expect_eq(feed_large(SSE_EVENT_MAX, sizes[i]), OK);
		cr_expect_gt(seen.len, SSE_EVENT_MAX);
		cr_expect_eq(feed_large(SSE_EVENT_MAX + 1, sizes[i]),
		    ERR_TOO_LARGE);
		cr_expect_eq(seen.len, 0);
		cr_expect_eq(feed_large(SSE_EVENT_MAX + 9999, sizes[i]),
		    ERR_TOO_LARGE);
	}
}

Test(sse, what_is_too_large_stays_refused)
{
	cr_expect_eq(feed_large(SSE_EVENT_MAX + 1, 4096), ERR_TOO_LARGE);
	cr_expect_eq(sse_parser_feed(&parser, "\n\ndata: x\n\n", 11, note,
			 NULL),
	    ERR_TOO_LARGE);
	cr_expect_eq(seen.len, 0);
}

Test(sse, endless_heartbeats_are_no_event)
{
	for (int i = 0; i < 300000; i++)
		cr_assert_eq(sse_parser_feed(&parser, ": ping\n\n", 8, note,
				 NULL),
		    OK);
	cr_expect_eq(seen.len, 0);
	cr_expect_leq(parser.line_buf.cap, 8192);
}

static enum err
refuse_second(void *arg, const struct sse_event *event)
{
	int *count = arg;

	(void)event;
	return ++*count == 2 ? ERR_UPSTREAM : OK;
}

Test(sse, an_error_of_each_stops_and_stays)
{
	int count = 0;

	cr_expect_eq(sse_parser_feed(&parser,
			 "data: a\n\ndata: b\n\ndata: c\n\n", 27, refuse_second,
			 &count),
	    ERR_UPSTREAM);
	cr_expect_eq(count, 2);
	cr_expect_eq(sse_parser_feed(&parser, "data: d\n\n", 9, refuse_second,
			 &count),
	    ERR_UPSTREAM);
	cr_expect_eq(count, 2);
}

Test(sse, many_events_in_one_feed)
{
	struct buf text;

	buf_init(&text, 8 << 20);
	for (int i = 0; i < 10000; i++)
		buf_addf(&text, "event: e%d\ndata: %d\r\ndata: x\n\n", i, i);
	buf_fini(&seen);
	buf_init(&seen, 8 << 20);
	cr_expect_eq(sse_parser_feed(&parser, text.data, text.len, note, NULL),
	    OK);
	cr_expect(buf_ok(&seen));
	cr_expect_not_null(strstr(seen.data,
	    "e9999|9999Nx|event: e9999Ndata: 9999RNdata: xNN;"));
	buf_fini(&text);
}

Test(sse, out_of_memory_is_an_error)
{
	static const char text[] = "event: e\ndata: a\n\ndata: b\n\n";
	enum err err = ERR_MEMORY;
	long passes;

	buf_add(&seen, "", 0); /* its memory is there before */
	for (passes = 0; err != OK; passes++) {
		buf_reset(&seen);
		sse_parser_fini(&parser);
		sse_parser_init(&parser);
		failing_after(passes);
		err = sse_parser_feed(&parser, text, strlen(text), note, NULL);
		cr_expect_eq(err, failing_stop() ? ERR_MEMORY : OK);
		cr_assert_lt(passes, 100);
	}
	cr_expect_geq(passes, 3);
	cr_expect_str_eq(buf_str(&seen),
	    "e|a|event: eNdata: aNN;|b|data: bNN;");
}

static void
expect_data(const char *text, const char *expected)
{
	struct buf out;

	buf_init(&out, 4096);
	sse_data(&out, text, strlen(text));
	cr_expect_str_eq(buf_str(&out), expected);
	buf_fini(&out);
}

Test(sse, writes_a_data_line_for_each_line)
{
	expect_data("{}", "data: {}\n\n");
	expect_data("", "data: \n\n");
	expect_data("a\nb", "data: a\ndata: b\n\n");
	expect_data("a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n");
	expect_data("\n\n", "data: \ndata: \ndata: \n\n");
	expect_data("long line without an end\nx",
	    "data: long line without an end\ndata: x\n\n");
}

Test(sse, reads_what_it_writes)
{
	struct buf out;

	buf_init(&out, 4096);
	sse_data(&out, "a\n b\n\nc", 7);
	expect(out.data, "|aN bNNc|data: aNdata:  bNdata: Ndata: cNN;");
	buf_fini(&out);
}
