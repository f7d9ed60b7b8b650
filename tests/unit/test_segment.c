/*
 * test_segment.c - the spool's files: what was written is read, what was torn
 * is cut, what was damaged is found.
 */
#include "journal/segment.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define RECORDS 20
#define LINE    "a line of some length, of a record\n"

struct seen {
	size_t count;
	bool there[RECORDS];
	size_t corrupt_bytes;
	size_t ends;
	enum err answer;
};

static enum err
see(void *arg, const struct record_view *record)
{
	struct seen *seen = arg;

	cr_assert_lt(record->id.bytes[0], RECORDS);
	cr_assert_eq(record->len, sizeof(LINE) - 1);
	cr_assert_eq(memcmp(record->line, LINE, record->len), 0);
	seen->there[record->id.bytes[0]] = true;
	seen->count++;
	return seen->answer;
}

static enum err
see_corrupt(void *arg, const char *bytes, size_t len)
{
	struct seen *seen = arg;

	(void)bytes;
	seen->corrupt_bytes += len;
	return OK;
}

static enum err
see_end(void *arg)
{
	struct seen *seen = arg;

	seen->ends++;
	return OK;
}

static void
fill(struct buf *out, size_t records)
{
	const struct uuid id = { { 7 } };

	buf_init(out, 1 << 20);
	segment_add_header(out, &id);
	for (size_t i = 0; i < records; i++) {
		struct record_view record = { .kind = RECORD_EVENT,
			.id = { { (uint8_t)i } },
			.line = LINE,
			.len = sizeof(LINE) - 1 };

		segment_add_record(out, &record);
	}
	cr_assert(buf_ok(out));
}

static enum err
scan(const char *bytes, size_t len, struct seen *seen,
    struct segment_report *report)
{
	const struct segment_visitor visitor = { .record = see,
		.corrupt = see_corrupt,
		.end = see_end,
		.arg = seen };

	*seen = (struct seen){ .answer = seen->answer };
	return segment_scan(bytes, len, &visitor, report);
}

Test(segment, what_was_written_is_read)
{
	struct seen seen = { 0 };
	struct segment_report report;
	struct buf file;

	fill(&file, RECORDS);
	cr_expect_eq(file.len,
	    SEGMENT_HEADER_SIZE +
		RECORDS * (SEGMENT_RECORD_SIZE + sizeof(LINE) - 1));
	cr_expect_eq(scan(file.data, file.len, &seen, &report), OK);
	cr_expect_eq(seen.count, RECORDS);
	cr_expect_eq(seen.ends, 1);
	cr_expect_eq(report.records, RECORDS);
	cr_expect_eq(report.corrupt + report.torn_bytes, 0);
	buf_fini(&file);
}

Test(segment, cut_anywhere_it_gives_every_whole_record)
{
	const size_t size = SEGMENT_RECORD_SIZE + sizeof(LINE) - 1;
	struct seen seen = { 0 };
	struct segment_report report;
	struct buf file;

	fill(&file, 4);
	for (size_t len = 0; len <= file.len; len++) {
		size_t whole = len < SEGMENT_HEADER_SIZE
				   ? 0
				   : (len - SEGMENT_HEADER_SIZE) / size;
		char *copy = malloc(len + 1); /* so that ASan sees its end */

		memcpy(copy, file.data, len);
		cr_assert_eq(scan(copy, len, &seen, &report), OK);
		cr_assert_eq(seen.count, whole);
		cr_assert_eq(report.corrupt, 0, "cut at %zu", len);
		free(copy);
	}
	buf_fini(&file);
}

Test(segment, a_tail_of_zeros_is_torn)
{
	static const char zeros[100];
	struct seen seen = { 0 };
	struct segment_report report;
	struct buf file;

	fill(&file, 2);
	buf_add(&file, zeros, sizeof(zeros));
	cr_expect_eq(scan(file.data, file.len, &seen, &report), OK);
	cr_expect_eq(seen.count, 2);
	cr_expect_eq(report.torn_bytes, sizeof(zeros));
	cr_expect_eq(report.corrupt, 0);
	buf_fini(&file);
}

Test(segment, any_flipped_bit_costs_one_record_at_most)
{
	struct seen seen = { 0 };
	struct segment_report report;
	struct buf file;

	fill(&file, RECORDS);
	for (size_t bit = SEGMENT_HEADER_SIZE * 8; bit < file.len * 8; bit++) {
		file.data[bit / 8] ^= (char)(1 << bit % 8);
		cr_assert_eq(scan(file.data, file.len, &seen, &report), OK);
		cr_assert_eq(seen.count, RECORDS - 1, "bit %zu", bit);
		cr_assert_eq(report.corrupt, 1, "bit %zu", bit);
		cr_assert_eq(seen.corrupt_bytes,
		    SEGMENT_RECORD_SIZE + sizeof(LINE) - 1);
		file.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	buf_fini(&file);
}

Test(segment, a_damaged_header_does_not_hide_the_records)
{
	struct seen seen = { 0 };
	struct segment_report report;
	struct buf file;

	fill(&file, RECORDS);
	for (size_t bit = 0; bit < SEGMENT_HEADER_SIZE * 8; bit++) {
		file.data[bit / 8] ^= (char)(1 << bit % 8);
		cr_assert_eq(scan(file.data, file.len, &seen, &report), OK);
		cr_assert_eq(seen.count, RECORDS);
		cr_assert_eq(report.corrupt, 1);
		file.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	buf_fini(&file);
}

Test(segment, random_damage_is_survived)
{
	struct seen seen = { 0 };
	struct segment_report report;
	struct buf file, copy;

	fill(&file, RECORDS);
	srand(4711);
	for (int round = 0; round < 20000; round++) {
		buf_init(&copy, 1 << 20);
		buf_add(&copy, file.data,
		    file.len - (size_t)rand() % 3 * ((size_t)rand() % 99));
		for (int i = rand() % 8; i > 0; i--)
			copy.data[(size_t)rand() % copy.len] = (char)rand();
		cr_assert_eq(scan(copy.data, copy.len, &seen, &report), OK);
		cr_assert_geq(seen.count, RECORDS - 8 - 3);
		buf_fini(&copy);
	}
	buf_fini(&file);
}

/* Bytes that a checksum over the first 36 covers: made right again. */
static void
make_newer(struct buf *file, size_t at)
{
	const struct uuid id = { { 7 } };
	struct buf again;
	char *patch = file->data + at;
	uint32_t crc;

	buf_init(&again, SEGMENT_HEADER_SIZE);
	segment_add_header(&again, &id);
	cr_assert_eq(memcmp(again.data, file->data, again.len), 0);
	buf_fini(&again);
	patch[0]++;
	/* CRC-32C bit by bit: not the code that is tested. */
	crc = 0xffffffff;
	for (int i = 0; i < 36 * 8; i++) {
		uint32_t bit = (uint32_t)(file->data[i / 8] >> i % 8) & 1;

		crc = crc >> 1 ^ ((crc ^ bit) & 1 ? 0x82f63b78 : 0);
	}
	crc = ~crc;
	for (int i = 0; i < 4; i++)
		file->data[36 + i] = (char)(crc >> 8 * i);
}

Test(segment, a_newer_version_is_refused_unread)
{
	const size_t versions[] = { 8, 12 };
	struct seen seen = { 0 };
	struct segment_report report;
	struct buf file;

	for (size_t i = 0; i < 2; i++) {
		fill(&file, 2);
		make_newer(&file, versions[i]);
		cr_expect_eq(scan(file.data, file.len, &seen, &report),
		    ERR_INPUT);
		cr_expect_eq(seen.count, 0);
		buf_fini(&file);
	}
}

Test(segment, the_visitor_can_end_the_reading)
{
	struct seen seen = { .answer = ERR_GONE };
	struct segment_report report;
	struct buf file;

	fill(&file, 3);
	cr_expect_eq(scan(file.data, file.len, &seen, &report), ERR_GONE);
	cr_expect_eq(seen.count, 1);
	cr_expect_eq(seen.ends, 0);
	buf_fini(&file);
}

Test(segment, a_missing_file_is_said_so)
{
	const struct segment_visitor visitor = { .record = see };
	struct segment_report report;

	cr_expect_eq(segment_read(AT_FDCWD, "/nonexistent.spool", &visitor,
			 &report),
	    ERR_MISSING);
	cr_expect_eq(segment_check(AT_FDCWD, "/nonexistent.spool"),
	    ERR_MISSING);
	cr_expect_eq(segment_read(AT_FDCWD, "/tmp", &visitor, &report),
	    ERR_SYSTEM);
}

Test(segment, a_file_is_read_like_memory)
{
	char path[] = "/tmp/minuted-segment-XXXXXX";
	struct seen seen = { 0 };
	const struct segment_visitor visitor = { .record = see, .arg = &seen };
	struct segment_report report;
	struct buf file;
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	fill(&file, RECORDS);
	cr_assert_eq(write(fd, file.data, file.len), (ssize_t)file.len);
	cr_expect_eq(segment_check(AT_FDCWD, path), OK);
	cr_expect_eq(segment_check_whole(AT_FDCWD, path), OK);
	cr_expect_eq(segment_read(AT_FDCWD, path, &visitor, &report), OK);
	cr_expect_eq(seen.count, RECORDS);
	make_newer(&file, 8);
	cr_assert_eq(pwrite(fd, file.data, file.len, 0), (ssize_t)file.len);
	cr_expect_eq(segment_check(AT_FDCWD, path), ERR_INPUT);
	cr_expect_eq(segment_check_whole(AT_FDCWD, path), ERR_INPUT);
	(void)close(fd);
	(void)unlink(path);
	buf_fini(&file);
}
