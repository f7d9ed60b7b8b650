/*
 * replay.c - segments of the spool into PostgreSQL.
 */
#include "journal/replay.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "journal/batch.h"
#include "journal/segment.h"
#include "journal/slot.h"

/* of a segment: it can be corrupt from end to end */
#define BAD_MAX ((size_t)1024 * 1024 * 1024)

struct run {
	struct replay *replay;
	struct record_view records[REPLAY_BATCH_MAX];
	size_t count;
	struct buf bad;
};

void
replay_init(struct replay *replay, struct db *db)
{
	*replay = (struct replay){ .db = db, .batch = REPLAY_BATCH_MAX };
}

static void
adapt(struct replay *replay, enum err err)
{
	if (err == OK)
		replay->batch *= 2;
	else if (err == ERR_TIMEOUT)
		replay->batch /= 2;
	if (replay->batch > REPLAY_BATCH_MAX)
		replay->batch = REPLAY_BATCH_MAX;
	if (replay->batch < 1)
		replay->batch = 1;
}

static enum err
flush(struct run *run)
{
	struct replay *replay = run->replay;
	enum err err;

	if (run->count == 0)
		return OK;
	err =
	    batch_write(replay->db, run->records, run->count, &replay->buried);
	adapt(replay, err);
	if (err != OK)
		return err;
	replay->records += run->count;
	run->count = 0;
	return replay->progress == NULL ? OK : replay->progress(replay->arg);
}

static enum err
meet_record(void *arg, const struct record_view *record)
{
	struct run *run = arg;

	run->records[run->count++] = *record;
	return run->count < run->replay->batch ? OK : flush(run);
}

static enum err
meet_end(void *arg)
{
	return flush(arg);
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
		  "places: kept in %s%s",
	    name, (unsigned long long)report->corrupt_bytes,
	    (unsigned long long)report->corrupt, name, SLOT_BAD_SUFFIX);
	run->replay->corrupt += report->corrupt;
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
	return report.corrupt > 0 ? quarantine(run, dir_fd, name, &report) : OK;
}

enum err
replay_segment(struct replay *replay, int dir_fd, const char *name)
{
	struct run run = { .replay = replay, .count = 0 };
	enum err err;

	buf_init(&run.bad, BAD_MAX);
	err = deliver(&run, dir_fd, name);
	buf_fini(&run.bad);
	return err;
}
