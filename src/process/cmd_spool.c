/*
 * cmd_spool.c - `minuted spool status|verify|replay`.
 *
 * Slots that a living worker holds are only looked at: it delivers them itself
 * when PostgreSQL is back.
 */
#include "process/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "db/db.h"
#include "journal/replay.h"
#include "journal/segment.h"
#include "journal/slot.h"

static const char help[] =
    "usage: minuted spool status|verify|replay\n"
    "\n"
    "status     counts what waits in SPOOL_DIR: segments, records, bytes, and\n"
    "           what is damaged, was set aside as corrupt (.bad files) or\n"
    "           cannot be read\n"
    "verify     the same, names each segment and .bad file, and exits with 1\n"
    "           when there is one of these, or a segment that is corrupt, of\n"
    "           a newer minuted or cannot be read\n"
    "replay     delivers to PostgreSQL what no running worker holds, and\n"
    "           removes the segments that were delivered\n"
    "\n"
    "A running minuted delivers its records itself once PostgreSQL is back.\n"
    "replay is for those of a minuted that will not start again; a record "
    "that\n"
    "is there already is not written twice.\n";

#define STATEMENT_MS 60000
#define LOCK_MS      5000

struct tour {
	const struct config *config;
	struct db *db; /* of replay; else NULL */
	struct replay replay;
	bool verify; /* name every segment */
	uint64_t slots, segments, records, bytes, torn;
	uint64_t corrupt, newer, set_aside;
	uint64_t unreadable; /* slots, segments and what was set aside */
	uint64_t delivered;  /* segments */
	enum err err;        /* of the database, or all of the directory */
};

static enum err
pass(void *arg, const struct record_view *record)
{
	(void)arg;
	(void)record;
	return OK;
}

static const char *
verdict(enum err err, const struct segment_report *report)
{
	if (err == ERR_INPUT)
		return "from a newer minuted";
	if (err != OK)
		return "cannot be read";
	if (report->corrupt > 0)
		return "corrupt";
	return report->torn_bytes > 0 ? "good, with a torn tail" : "good";
}

/* The rest is gone through all the same. */
static void
tell_unreadable(struct tour *tour, const char *slot, const char *segment,
    enum err err)
{
	tour->unreadable++;
	(void)fprintf(stderr, "minuted: spool %s/%s%s%s: %s\n",
	    tour->config->spool_dir, slot, *segment == '\0' ? "" : "/", segment,
	    err == ERR_SYSTEM ? strerror(errno) : err_name(err));
}

static void
look_at_segment(struct tour *tour, int dir_fd, const char *slot,
    const char *name)
{
	const struct segment_visitor visitor = { .record = pass };
	struct segment_report report = { 0 };
	enum err err;

	err = segment_read(dir_fd, name, &visitor, &report);
	if (err == ERR_MISSING)
		return; /* delivered meanwhile */
	tour->segments++;
	tour->records += report.records;
	tour->torn += report.torn_bytes;
	tour->corrupt += report.corrupt;
	tour->newer += err == ERR_INPUT;
	if (err != OK && err != ERR_INPUT)
		tell_unreadable(tour, slot, name, err);
	if (tour->verify)
		(void)printf("%s/%s: %s, %llu records, %llu corrupt places\n",
		    slot, name, verdict(err, &report),
		    (unsigned long long)report.records,
		    (unsigned long long)report.corrupt);
}

static void
replay_one(struct tour *tour, int dir_fd, const char *slot, const char *name)
{
	uint64_t before = tour->replay.records;
	enum err err;

	if (tour->err != OK)
		return;
	err = replay_segment(&tour->replay, dir_fd, name);
	if (err == ERR_INPUT) {
		tour->newer++;
		(void)printf("%s/%s: from a newer minuted, left untouched\n",
		    slot, name);
		return;
	}
	if (err == OK) {
		err = slot_remove(dir_fd, name);
		if (err == ERR_MISSING)
			err = OK; /* it was set aside */
	}
	if (err == ERR_SYSTEM) {
		tell_unreadable(tour, slot, name, err);
		return;
	}
	if (err != OK) {
		(void)fprintf(stderr, "%s/%s: %s: %s\n", slot, name,
		    err_name(err), db_fault(tour->db)->message);
		tour->err = err;
		return;
	}
	tour->delivered++;
	(void)printf("%s/%s: %llu records delivered\n", slot, name,
	    (unsigned long long)(tour->replay.records - before));
}

static void
look_at_set_aside(struct tour *tour, int dir_fd, const char *slot,
    const char *name)
{
	const struct segment_visitor visitor = { .record = pass };
	struct segment_report report = { 0 };
	enum err err;

	err = segment_read(dir_fd, name, &visitor, &report);
	if (err == ERR_MISSING)
		return; /* somebody took it away */
	tour->set_aside++;
	if (err != OK && err != ERR_INPUT)
		tell_unreadable(tour, slot, name, err);
	if (tour->verify)
		(void)printf("%s/%s: set aside, %llu records can be read\n",
		    slot, name, (unsigned long long)report.records);
}

typedef void (*visit_fn)(struct tour *tour, int dir_fd, const char *slot,
    const char *name);

/* Each of what list() finds in a slot. */
static enum err
visit_each(struct tour *tour, int dir_fd, const char *slot,
    enum err (*list)(int dir_fd, struct slot_names *out), visit_fn visit)
{
	struct slot_names names;
	enum err err;

	err = list(dir_fd, &names);
	if (err != OK)
		return err;
	for (size_t i = 0; i < names.count; i++)
		visit(tour, dir_fd, slot, names.names[i]);
	slot_names_fini(&names);
	return OK;
}

static enum err
look_at_slot(struct tour *tour, int spool_fd, const char *name)
{
	uint64_t bytes = 0;
	enum err err;
	int fd;

	err = slot_directory(spool_fd, name, &fd);
	if (err != OK)
		return err;
	err = slot_bytes(fd, &bytes);
	if (err == OK)
		err =
		    visit_each(tour, fd, name, slot_segments, look_at_segment);
	if (err == OK)
		err = visit_each(tour, fd, name, slot_set_aside,
		    look_at_set_aside);
	tour->bytes += bytes;
	(void)close(fd); /* only read */
	return err;
}

static enum err
replay_slot(struct tour *tour, int spool_fd, const char *name)
{
	struct slot slot;
	enum err err;

	err = slot_take(spool_fd, name, 0, &slot);
	if (err == ERR_CONFLICT) {
		(void)printf("%s: held by a running worker, which delivers "
			     "it itself\n",
		    name);
		return OK;
	}
	if (err == OK)
		err = visit_each(tour, slot.dir_fd, name, slot_segments,
		    replay_one);
	slot_release(&slot);
	return err;
}

static int
walk(struct tour *tour)
{
	const char *dir = tour->config->spool_dir;
	struct slot_names slots = { 0 };
	int fd;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tour->err = fd < 0 ? ERR_SYSTEM : slot_list(fd, &slots);
	for (size_t i = 0; tour->err == OK && i < slots.count; i++) {
		const char *slot = slots.names[i];
		enum err err;

		tour->slots++;
		err = tour->db == NULL ? look_at_slot(tour, fd, slot)
				       : replay_slot(tour, fd, slot);
		if (err != OK)
			tell_unreadable(tour, slot, "", err);
	}
	if (tour->err == ERR_SYSTEM)
		(void)fprintf(stderr, "minuted: spool %s: %s\n", dir,
		    strerror(errno));
	slot_names_fini(&slots);
	if (fd >= 0)
		(void)close(fd); /* only read */
	return tour->err == OK ? 0 : 1;
}

static bool
is_faulty(const struct tour *tour)
{
	return tour->corrupt + tour->newer + tour->set_aside +
		   tour->unreadable >
	       0;
}

static int
show(struct tour *tour)
{
	int code = walk(tour);

	(void)printf("directory   %s\n"
		     "slots       %llu\n"
		     "segments    %llu\n"
		     "records     %llu\n"
		     "bytes       %llu of %lld\n"
		     "torn bytes  %llu\n"
		     "corrupt     %llu\n"
		     "newer       %llu\n"
		     "set aside   %llu\n"
		     "unreadable  %llu\n",
	    tour->config->spool_dir, (unsigned long long)tour->slots,
	    (unsigned long long)tour->segments,
	    (unsigned long long)tour->records, (unsigned long long)tour->bytes,
	    (long long)tour->config->spool_max, (unsigned long long)tour->torn,
	    (unsigned long long)tour->corrupt, (unsigned long long)tour->newer,
	    (unsigned long long)tour->set_aside,
	    (unsigned long long)tour->unreadable);
	return tour->verify && is_faulty(tour) ? 1 : code;
}

static int
replay(struct tour *tour)
{
	const struct db_options options = {
		.url = tour->config->database_url,
		.application = "minuted spool",
		.statement_ms = STATEMENT_MS,
		.lock_ms = LOCK_MS,
	};
	int code;

	tour->db = db_new(&options);
	if (tour->db == NULL || db_connect(tour->db) != OK) {
		(void)fprintf(stderr, "minuted: PostgreSQL: %s\n",
		    tour->db == NULL ? "no memory"
				     : db_fault(tour->db)->message);
		db_free(tour->db);
		return 1;
	}
	replay_init(&tour->replay, tour->db);
	code = walk(tour);
	(void)printf("%llu records delivered of %llu segments, %llu to "
		     "minuted.dead_letters, %llu corrupt places kept\n",
	    (unsigned long long)tour->replay.records,
	    (unsigned long long)tour->delivered,
	    (unsigned long long)tour->replay.buried,
	    (unsigned long long)tour->replay.corrupt);
	db_free(tour->db);
	return tour->newer + tour->unreadable > 0 ? 1 : code;
}

int
cmd_spool(const struct config *config, int argc, char **argv)
{
	struct tour tour = { .config = config };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			(void)fputs(help, stdout);
			return 0;
		}
	}
	if (argc == 2 && strcmp(argv[1], "status") == 0)
		return show(&tour);
	if (argc == 2 && strcmp(argv[1], "verify") == 0) {
		tour.verify = true;
		return show(&tour);
	}
	if (argc == 2 && strcmp(argv[1], "replay") == 0)
		return replay(&tour);
	(void)fputs(help, stderr);
	return 2;
}
