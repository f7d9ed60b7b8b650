/*
 * segment.h - the format of the spool's files.
 *
 * Integers are little-endian.  A segment is a header and then records; it is
 * written by appending only, never changed, and removed when delivered.
 *
 *	header, 40 bytes                    record, 36 bytes and the line
 *	 0  8  "MINSPOOL"                    0  4  "MREC"
 *	 8  4  SEGMENT_FORMAT                4  4  length of the line
 *	12  4  RECORD_LINES_VERSION          8  4  CRC32C of the line
 *	16 16  UUID, also the file's name   12  4  enum record_kind
 *	32  4  zero                         16 16  the record's id
 *	36  4  CRC32C of bytes 0 to 35      32  4  CRC32C of bytes 0 to 31
 *	                                    36     the line (record.h)
 *
 * A reader that meets bytes that are no record looks for the next one: what
 * is in between is corrupt.  An incomplete record or zeros at the end are a
 * torn tail: their writer died before it could acknowledge them.
 */
#ifndef JOURNAL_SEGMENT_H
#define JOURNAL_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "journal/record.h"

#define SEGMENT_FORMAT      1
#define SEGMENT_HEADER_SIZE 40
#define SEGMENT_RECORD_SIZE 36 /* of a record without its line */
#define SEGMENT_SUFFIX      ".spool"

/* Append a segment's header, a record. */
void segment_add_header(struct buf *out, const struct uuid *id);
void segment_add_record(struct buf *out, const struct record_view *record);

struct segment_report {
	uint64_t records; /* good ones */
	uint64_t corrupt; /* places with bytes that are no record */
	uint64_t corrupt_bytes;
	uint64_t torn_bytes; /* at the end */
};

struct segment_visitor {
	/* A good record, borrowed until the reading ends; not OK ends it. */
	enum err (*record)(void *arg, const struct record_view *record);
	/* Corrupt bytes; may be NULL. */
	enum err (*corrupt)(void *arg, const char *bytes, size_t len);
	/* All were visited and are still there; may be NULL. */
	enum err (*end)(void *arg);
	void *arg;
};

/*
 * Reads the whole segment name of directory dir_fd.  ERR_INPUT: it is of a
 * newer version (nothing was visited).  ERR_MISSING: no such file.
 * ERR_SYSTEM: see errno.  ERR_MEMORY, or what a visitor returned.
 */
enum err segment_read(int dir_fd, const char *name,
    const struct segment_visitor *visitor,
    struct segment_report *report) MUST_CHECK;

/* The same over bytes in memory. */
enum err segment_scan(const char *bytes, size_t len,
    const struct segment_visitor *visitor,
    struct segment_report *report) MUST_CHECK;

/* Only looks at the header: ERR_INPUT when it is of a newer version. */
enum err segment_check(int dir_fd, const char *name) MUST_CHECK;
/* The same, but all of it is read: ERR_SYSTEM when the disk does not give it
 * back. */
enum err segment_check_whole(int dir_fd, const char *name) MUST_CHECK;

#endif /* JOURNAL_SEGMENT_H */
