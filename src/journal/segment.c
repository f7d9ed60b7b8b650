/*
 * segment.c - the format of the spool's files.
 */
#include "journal/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"

#define WHOLE (SIZE_MAX - 1) /* of a file */

static const char segment_magic[8] = "MINSPOOL";
static const char record_magic[4] = "MREC";

static void
put32(char *at, uint32_t value)
{
	unsigned char bytes[4] = { (unsigned char)(value & 0xff),
		(unsigned char)(value >> 8 & 0xff),
		(unsigned char)(value >> 16 & 0xff),
		(unsigned char)(value >> 24) };

	memcpy(at, bytes, sizeof(bytes));
}

static uint32_t
get32(const char *at)
{
	unsigned char bytes[4];

	memcpy(bytes, at, sizeof(bytes));
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
	       (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void
segment_add_header(struct buf *out, const struct uuid *id)
{
	char header[SEGMENT_HEADER_SIZE] = { 0 };

	memcpy(header, segment_magic, sizeof(segment_magic));
	put32(header + 8, SEGMENT_FORMAT);
	put32(header + 12, RECORD_LINES_VERSION);
	memcpy(header + 16, id->bytes, sizeof(id->bytes));
	put32(header + 36, codec_crc32c(0, header, 36));
	buf_add(out, header, sizeof(header));
}

void
segment_add_record(struct buf *out, const struct record_view *record)
{
	char header[SEGMENT_RECORD_SIZE];

	memcpy(header, record_magic, sizeof(record_magic));
	put32(header + 4, (uint32_t)record->len);
	put32(header + 8, codec_crc32c(0, record->line, record->len));
	put32(header + 12, (uint32_t)record->kind);
	memcpy(header + 16, record->id.bytes, sizeof(record->id.bytes));
	put32(header + 32, codec_crc32c(0, header, 32));
	buf_add(out, header, sizeof(header));
	buf_add(out, record->line, record->len);
}

enum parsed {
	PARSED_RECORD,
	PARSED_CUT, /* a good header whose line goes past the end */
	PARSED_NONE
};

static enum parsed
parse_record(const char *bytes, size_t len, struct record_view *record)
{
	size_t line_len;

	if (len < SEGMENT_RECORD_SIZE ||
	    memcmp(bytes, record_magic, sizeof(record_magic)) != 0 ||
	    get32(bytes + 32) != codec_crc32c(0, bytes, 32))
		return PARSED_NONE;
	line_len = get32(bytes + 4);
	if (line_len > len - SEGMENT_RECORD_SIZE)
		return PARSED_CUT;
	record->kind = (enum record_kind)get32(bytes + 12);
	if (record->kind != RECORD_CALL && record->kind != RECORD_EVENT)
		return PARSED_NONE;
	record->line = bytes + SEGMENT_RECORD_SIZE;
	record->len = line_len;
	record->is_new = false; /* it may have been written already */
	memcpy(record->id.bytes, bytes + 16, sizeof(record->id.bytes));
	if (get32(bytes + 8) != codec_crc32c(0, record->line, line_len))
		return PARSED_NONE;
	return PARSED_RECORD;
}

/* Where the next record is that can be read; len when there is none. */
static size_t
next_record(const char *bytes, size_t len, size_t from)
{
	struct record_view record;

	while (from < len) {
		const char *at = memmem(bytes + from, len - from, record_magic,
		    sizeof(record_magic));

		if (at == NULL)
			return len;
		from = (size_t)(at - bytes);
		if (parse_record(at, len - from, &record) == PARSED_RECORD)
			return from;
		from++;
	}
	return len;
}

static bool
all_zero(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* Nothing after these bytes can be read: are they what a write left that was
 * cut?  A shorter piece than a header with its magic, a line that is missing
 * its end, or zeros, which a file system may leave there. */
static bool
is_torn(const char *bytes, size_t len)
{
	struct record_view record;
	size_t head = len < sizeof(record_magic) ? len : sizeof(record_magic);

	if (all_zero(bytes, len))
		return true;
	if (len < SEGMENT_RECORD_SIZE)
		return memcmp(bytes, record_magic, head) == 0;
	return parse_record(bytes, len, &record) == PARSED_CUT;
}

static enum err
meet_corrupt(const char *bytes, size_t len,
    const struct segment_visitor *visitor, struct segment_report *report)
{
	report->corrupt++;
	report->corrupt_bytes += len;
	if (visitor->corrupt == NULL)
		return OK;
	return visitor->corrupt(visitor->arg, bytes, len);
}

/* Bytes that are no record, up to the next one; *at moves there. */
static enum err
skip(const char *bytes, size_t len, size_t *at,
    const struct segment_visitor *visitor, struct segment_report *report)
{
	size_t from = *at;

	*at = next_record(bytes, len, from + 1);
	if (*at == len && is_torn(bytes + from, len - from)) {
		report->torn_bytes += len - from;
		return OK;
	}
	return meet_corrupt(bytes + from, *at - from, visitor, report);
}

enum header { HEADER_GOOD, HEADER_NEWER, HEADER_CUT, HEADER_CORRUPT };

static enum header
parse_header(const char *bytes, size_t len)
{
	if (len < SEGMENT_HEADER_SIZE)
		return HEADER_CUT;
	if (memcmp(bytes, segment_magic, sizeof(segment_magic)) != 0)
		return HEADER_CORRUPT;
	if (get32(bytes + 36) != codec_crc32c(0, bytes, 36))
		return HEADER_CORRUPT;
	if (get32(bytes + 8) > SEGMENT_FORMAT ||
	    get32(bytes + 12) > RECORD_LINES_VERSION)
		return HEADER_NEWER;
	return HEADER_GOOD;
}

static enum err
scan_records(const char *bytes, size_t len, size_t at,
    const struct segment_visitor *visitor, struct segment_report *report)
{
	enum err err = OK;

	while (at < len && err == OK) {
		struct record_view record;

		if (parse_record(bytes + at, len - at, &record) ==
		    PARSED_RECORD) {
			report->records++;
			err = visitor->record(visitor->arg, &record);
			at += SEGMENT_RECORD_SIZE + record.len;
		} else {
			err = skip(bytes, len, &at, visitor, report);
		}
	}
	if (err != OK || visitor->end == NULL)
		return err;
	return visitor->end(visitor->arg);
}

enum err
segment_scan(const char *bytes, size_t len,
    const struct segment_visitor *visitor, struct segment_report *report)
{
	size_t at = SEGMENT_HEADER_SIZE;
	enum err err;

	*report = (struct segment_report){ 0 };
	switch (parse_header(bytes, len)) {
	case HEADER_NEWER:
		return ERR_INPUT;
	case HEADER_CUT:
		report->torn_bytes = len;
		return OK;
	case HEADER_CORRUPT:
		/* The records have their own checks: they may be good. */
		at = next_record(bytes, len, 0);
		err = meet_corrupt(bytes, at, visitor, report);
		if (err != OK)
			return err;
		break;
	case HEADER_GOOD:
	default:
		break;
	}
	return scan_records(bytes, len, at, visitor, report);
}

static enum err
read_all(int fd, char *bytes, size_t len, size_t *got)
{
	*got = 0;
	while (*got < len) {
		ssize_t n = read(fd, bytes + *got, len - *got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_SYSTEM;
		if (n == 0)
			return OK;
		*got += (size_t)n;
	}
	return OK;
}

/* A link or a pipe of that name is foreign, and nothing waits for it. */
static enum err
open_file(int dir_fd, const char *name, int *out, struct stat *st)
{
	int fd = openat(dir_fd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? ERR_MISSING : ERR_SYSTEM;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode)) {
		*out = fd;
		return OK;
	}
	(void)close(fd); /* only read */
	errno = EINVAL;
	return ERR_SYSTEM;
}

/* The first max bytes of the file, owned by the caller. */
static enum err
load(int dir_fd, const char *name, size_t max, char **out, size_t *len)
{
	struct stat st;
	char *bytes = NULL;
	enum err err;
	int fd;

	err = open_file(dir_fd, name, &fd, &st);
	if (err != OK)
		return err;
	if ((uint64_t)st.st_size < max)
		max = (size_t)st.st_size;
	bytes = malloc(max + 1);
	err = bytes == NULL ? ERR_MEMORY : read_all(fd, bytes, max, len);
	if (err == OK) {
		*out = bytes;
		bytes = NULL;
	}
	free(bytes);
	(void)close(fd); /* only read */
	return err;
}

enum err
segment_read(int dir_fd, const char *name,
    const struct segment_visitor *visitor, struct segment_report *report)
{
	char *bytes;
	size_t len;
	enum err err;

	err = load(dir_fd, name, WHOLE, &bytes, &len);
	if (err != OK)
		return err;
	err = segment_scan(bytes, len, visitor, report);
	free(bytes);
	return err;
}

/* Of the first max bytes. */
static enum err
check(int dir_fd, const char *name, size_t max)
{
	char *bytes;
	size_t len;
	enum err err;

	err = load(dir_fd, name, max, &bytes, &len);
	if (err != OK)
		return err;
	err = parse_header(bytes, len) == HEADER_NEWER ? ERR_INPUT : OK;
	free(bytes);
	return err;
}

enum err
segment_check(int dir_fd, const char *name)
{
	return check(dir_fd, name, SEGMENT_HEADER_SIZE);
}

enum err
segment_check_whole(int dir_fd, const char *name)
{
	return check(dir_fd, name, WHOLE);
}
