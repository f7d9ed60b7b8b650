/*
 * replay.c - segments of the spool into PostgreSQL.
 */
#include "journal/replay.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/log.h"
#include "journal/batch.h"
#include "journal/segment.h"
#include "journal/slot.h"

#define LOCKED "55P03" /* sqlstate: another has it for too long */
/* of a segment: it can be corrupt from end to end */
#define BAD_MAX ((size_t)1024 * 1024 * 1024)

struct run {
	struct replay *replay;
	uint64_t skip, passed; /* of its first records: to go by, gone by */
	uint32_t crc;          /* over the lines of those gone by */
	struct record_view records[REPLAY_BATCH_MAX];
	size_t count;
	size_t refused; /* records that no table takes */
	struct buf bad;
};

void
replay_init(struct replay *replay, struct db *db)
{
	*replay = (struct replay){
		.db = db, .batch = REPLAY_BATCH_MAX, .most = REPLAY_BATCH_MAX
	};
}

/* After count records were sent.  What timed out is not tried in this segment
 * again: PostgreSQL is slow, and each try costs its whole time.  A lock says
 * nothing of their number. */
static void
adapt(struct replay *replay, size_t count, enum err err)
{
	if (err == OK)
		replay->batch *= 2;
	if (err == ERR_TIMEOUT &&
	    strcmp(db_fault(replay->db)->sqlstate, LOCKED) != 0)
		replay->most = count < 2 ? 1 : count / 2;
	if (replay->batch > replay->most)
		replay->batch = replay->most;
}

/* --- where it goes on ------------------------------------------------- */

static void
forget(struct replay *replay)
{
	replay->name[0] = '\0';
	replay->done = 0;
}

static void
begin(struct replay *replay, const char *name)
{
	size_t len = strnlen(name, SLOT_NAME_SIZE - 1);

	if (strcmp(replay->name, name) == 0)
		return;
	memcpy(replay->name, name, len);
	replay->name[len] = '\0';
	replay->done = 0;
	replay->crc = 0;
	replay->most = REPLAY_BATCH_MAX;
}

/* Where the segment is not what it was, as when the disk gave back something
 * else before, all of it is delivered again. */
static enum err
pass_done(struct run *run, const struct record_view *record)
{
	run->passed++;
	run->crc = codec_crc32c(run->crc, record->line, record->len);
	if (run->passed < run->skip || run->crc == run->replay->crc)
		return OK;
	forget(run->replay);
	return ERR_BUSY;
}

/* --- delivery --------------------------------------------------------- */

static void
note_done(struct run *run)
{
	struct replay *replay = run->replay;

	for (size_t i = 0; i < run->count; i++)
		replay->crc = codec_crc32c(replay->crc, run->records[i].line,
		    run->records[i].len);
	replay->records += run->count;
	replay->done += run->count;
	run->count = 0;
}

static void
keep_refused(void *arg, const struct record_view *record)
{
	struct run *run = arg;

	segment_add_record(&run->bad, record);
	run->refused++;
}

static enum err
flush(struct run *run)
{
	const struct batch_aside aside = { .keep = keep_refused, .arg = run };
	struct replay *replay = run->replay;
	enum err err;

	if (run->count == 0)
		return OK;
	err = batch_write_aside(replay->db, run->records, run->count,
	    &replay->buried, &aside);
	adapt(replay, run->count, err);
	if (err != OK)
		return err;
	note_done(run);
	return replay->progress == NULL ? OK : replay->progress(replay->arg);
}

static enum err
meet_record(void *arg, const struct record_view *record)
{
	struct run *run = arg;

	if (run->passed < run->skip)
		return pass_done(run, record);
	run->records[run->count++] = *record;
	return run->count < run->replay->batch ? OK : flush(run);
}

static enum err
meet_end(void *arg)
{
	struct run *run = arg;

	if (run->passed == run->skip)
		return flush(run);
	forget(run->replay); /* it had more records before */
	return ERR_BUSY;
}

static enum err
meet_corrupt(void *arg, const char *bytes, size_t len)
{
	struct run *run = arg;

	buf_add(&run->bad, bytes, len);
	return OK;
}

/* The name is in a directory that only this process changes. */
static enum err
set_aside(int dir_fd, const char *name)
{
	struct buf bad;
	enum err err = ERR_MEMORY;

	buf_init(&bad, SLOT_NAME_SIZE);
	buf_adds(&bad, name);
	buf_adds(&bad, SLOT_BAD_SUFFIX);
	if (buf_ok(&bad))
		err = renameat(dir_fd, name, dir_fd, buf_str(&bad)) == 0
			  ? OK
			  : ERR_SYSTEM;
	buf_fini(&bad);
	return err;
}

/* Where there is no room for a copy, the whole segment is what is kept. */
static enum err
quarantine(struct run *run, int dir_fd, const char *name,
    const struct segment_report *report)
{
	log_error("segment %s of the spool has %llu corrupt bytes in %llu "
		  "places, and %zu records that minuted.dead_letters refuses "
		  "too: kept in %s%s",
	    name, (unsigned long long)report->corrupt_bytes,
	    (unsigned long long)report->corrupt, run->refused, name,
	    SLOT_BAD_SUFFIX);
	run->replay->corrupt += report->corrupt + run->refused;
	if (buf_ok(&run->bad) && slot_quarantine(dir_fd, name,
				     buf_str(&run->bad), run->bad.len) == OK)
		return OK;
	return set_aside(dir_fd, name);
}

static enum err
deliver(struct run *run, int dir_fd, const char *name)
{
	const struct segment_visitor visitor = { .record = meet_record,
		.corrupt = meet_corrupt,
		.end = meet_end,
		.arg = run };
	struct segment_report report;
	enum err err;

	err = segment_read(dir_fd, name, &visitor, &report);
	if (err != OK)
		return err;
	if (report.torn_bytes > 0)
		log_info("segment %s of the spool: %llu bytes of a group that "
			 "was never acknowledged are cut",
		    name, (unsigned long long)report.torn_bytes);
	if (report.corrupt == 0 && run->refused == 0)
		return OK;
	return quarantine(run, dir_fd, name, &report);
}

enum err
replay_segment(struct replay *replay, int dir_fd, const char *name)
{
	struct run run = { .replay = replay, .count = 0 };
	enum err err;

	begin(replay, name);
	run.skip = replay->done;
	buf_init(&run.bad, BAD_MAX);
	err = deliver(&run, dir_fd, name);
	buf_fini(&run.bad);
	if (err != ERR_TIMEOUT || run.refused > 0) /* they would be passed */
		forget(replay);
	return err;
}
