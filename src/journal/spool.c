/*
 * spool.c - where records wait on the local disk while PostgreSQL is away.
 *
 * The lock covers the segment being written and the list of the others; it is
 * held during fsync, so only the journal's own threads take it.  The probe is
 * the prober's alone, and so is putting another slot in the place of one that
 * was removed: the descriptors stay the same numbers, so who uses them without
 * the lock meets the one or the other.
 */
#include "journal/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/uuid.h"
#include "journal/probe.h"
#include "journal/segment.h"
#include "journal/skipped.h"

/* of a group: a batch of the journal; more is a bug */
#define GROUP_MAX ((size_t)1024 * 1024 * 1024)
/* a worker that adopts holds a slot for milliseconds only */
#define TAKE_WAIT_MS 3000
/* When to read what is passed over takes longer than this, on a disk that fails
 * slowly, it is done for a tenth of the time only. */
#define AGAIN_SLOW_US 500000

struct spool {
	pthread_mutex_t lock;
	char *dir;    /* SPOOL_DIR */
	int spool_fd; /* of it */
	bool named;   /* the slot's name is on the disk */
	struct slot slot;
	char slot_name[SLOT_NAME_SIZE];
	int fd;                    /* the segment being written, or -1 */
	char name[SLOT_NAME_SIZE]; /* its name; "" without one */
	size_t segment_bytes;
	int next_fd; /* SLOT_NEXT, or -1 */
	struct probe probe;
	struct skipped skipped;
	bool looked;      /* at each segment of this slot, once */
	int64_t again_us; /* what is passed over in it is read, not before */
	uint64_t bytes_max;
	atomic_ullong other_bytes; /* of slots that no living worker counts */
	atomic_bool failing;
	atomic_bool tight; /* no room on the disk for what comes next */
	struct spool_board *board;
	struct spool_board own_board; /* without one that is shared */
	int number;                   /* of this slot */
	unsigned long long bit;       /* the slot's, in it */
	atomic_ullong *own_bytes;     /* the same */
};

/* Where the board has what is said of a slot. */
static int
place_of(long slot)
{
	return (int)(slot & (SPOOL_SLOTS - 1));
}

static unsigned long long
bit_of(long slot)
{
	return 1ULL << place_of(slot);
}

static long
number_of(const char *slot)
{
	return strtol(slot, NULL, 10);
}

void
spool_board_clear(struct spool_board *board, int slot)
{
	atomic_fetch_and(&board->failing, ~bit_of(slot));
	atomic_fetch_and(&board->stalled, ~bit_of(slot));
	atomic_store(&board->bytes[place_of(slot)], 0); /* now measured */
	if (atomic_load(&board->prober) == slot + 1) {
		atomic_store(&board->probing_us, 0);
		atomic_store(&board->prober, 0);
	}
}

/* What cannot be read may be records, until somebody passes it over; what is
 * no directory is none. */
static bool
has_segments(int spool_fd, const char *name)
{
	struct slot_names segments;
	bool any = true;
	int fd;

	if (slot_directory(spool_fd, name, &fd) != OK)
		return errno != ENOTDIR;
	if (slot_segments(fd, &segments) == OK) {
		any = segments.count > 0;
		slot_names_fini(&segments);
	}
	(void)close(fd); /* only read */
	return any;
}

void
spool_board_look(struct spool_board *board, const char *dir)
{
	struct slot_names slots;
	int fd;

	if (slot_directory(AT_FDCWD, dir, &fd) != OK)
		return; /* no worker can start */
	if (slot_list(fd, &slots) == OK) {
		for (size_t i = 0; i < slots.count; i++) {
			if (has_segments(fd, slots.names[i]))
				atomic_fetch_or(&board->waiting,
				    bit_of(number_of(slots.names[i])));
		}
		slot_names_fini(&slots);
	}
	(void)close(fd); /* only read */
}

static void
tell(atomic_ullong *board, unsigned long long bit, bool yes)
{
	if (yes)
		atomic_fetch_or(board, bit);
	else
		atomic_fetch_and(board, ~bit);
}

static void
tell_failing(struct spool *spool)
{
	tell(&spool->board->failing, spool->bit,
	    atomic_load(&spool->failing) || atomic_load(&spool->tight));
}

void
spool_tell_stalled(struct spool *spool, bool stalled)
{
	tell(&spool->board->stalled, spool->bit, stalled);
}

static void
fail(struct spool *spool)
{
	if (!atomic_exchange(&spool->failing, true))
		log_warn_errno("the spool cannot be written (%s/%s): no new "
			       "calls are taken while PostgreSQL is away too",
		    spool->dir, spool->slot_name);
	tell_failing(spool);
}

static void
set_tight(struct spool *spool, bool tight)
{
	if (atomic_exchange(&spool->tight, tight) == tight)
		return;
	if (tight)
		log_warn_errno("the spool's disk has no room: no new calls are "
			       "taken while PostgreSQL is away too");
	else
		log_info("the spool's disk has room again");
	tell_failing(spool);
}

/* With the lock held; a segment of "" is the slot, a slot of "" SPOOL_DIR. */
static void
pass_over(struct spool *spool, const char *slot, const char *segment,
    enum err why)
{
	const char *slash = *segment == '\0' ? "" : "/";

	if (!skipped_add(&spool->skipped, slot, segment))
		return;
	if (why == ERR_INPUT)
		log_warn("spool %s/%s%s%s is from a newer minuted: passed "
			 "over and left untouched",
		    spool->dir, slot, slash, segment);
	else
		log_warn_errno("spool %s/%s%s%s cannot be used: passed over, "
			       "what is in it stays",
		    spool->dir, slot, slash, segment);
}

/* With the lock held: no record is safe in a slot that a power loss takes. */
static enum err
keep_slot_name(struct spool *spool)
{
	if (!spool->named && fsync(spool->spool_fd) != 0)
		return ERR_SYSTEM;
	spool->named = true;
	return OK;
}

/* With the lock held.  Gives back the room behind its end, and is best effort
 * for a torn tail: a reader finds it otherwise. */
static void
end_segment(struct spool *spool)
{
	(void)!ftruncate(spool->fd, (off_t)spool->segment_bytes);
	(void)close(spool->fd); /* what counts was fsynced */
	spool->fd = -1;
	spool->name[0] = '\0';
	spool->segment_bytes = 0;
}

void
spool_seal(struct spool *spool)
{
	pthread_mutex_lock(&spool->lock);
	if (spool->fd >= 0)
		end_segment(spool);
	pthread_mutex_unlock(&spool->lock);
}

/* --- opening ---------------------------------------------------------- */

static enum err
name_slot(int number, char name[SLOT_NAME_SIZE])
{
	struct buf text;
	enum err err = ERR_MEMORY;

	buf_init(&text, SLOT_NAME_SIZE - 1);
	buf_addf(&text, "%d", number);
	if (buf_ok(&text)) {
		memcpy(name, text.data, text.len + 1);
		err = OK;
	}
	buf_fini(&text);
	return err;
}

/* Slot slot of directory dir: ERR_INPUT when a segment is of a newer version.
 * What cannot be read is passed over, and told when it is (adopt). */
static enum err
check_segments(int slot_fd, const char *dir, const char *slot)
{
	struct slot_names names;
	enum err err;

	err = slot_segments(slot_fd, &names);
	for (size_t i = 0; err == OK && i < names.count; i++) {
		err = segment_check(slot_fd, names.names[i]);
		if (err == ERR_INPUT)
			log_error("spool %s/%s/%s is from a newer minuted and "
				  "was left untouched: start that version, or "
				  "move the file away",
			    dir, slot, names.names[i]);
		else if (err != ERR_MEMORY)
			err = OK;
	}
	slot_names_fini(&names);
	return err;
}

/* Of a slot of no worker to come, what cannot be read is passed over. */
static enum err
check_slot(int spool_fd, const char *dir, const char *slot)
{
	enum err err;
	int fd;

	err = slot_directory(spool_fd, slot, &fd);
	if (err == OK) {
		err = check_segments(fd, dir, slot);
		(void)close(fd); /* only read */
	}
	return err == ERR_SYSTEM ? OK : err;
}

/* The lock is opened here, and held by nobody. */
static enum err
check_lock(int slot_fd, const char *dir, const char *slot)
{
	int fd;

	if (slot_open_lock(slot_fd, &fd) != OK) {
		log_warn_errno("spool %s/%s/" SLOT_LOCK " cannot be used", dir,
		    slot);
		return ERR_SYSTEM;
	}
	(void)close(fd); /* only opened */
	return OK;
}

/* A worker that cannot take its slot would end, and so would its successor. */
static enum err
check_slot_of_worker(int spool_fd, const char *dir, int number)
{
	char slot[SLOT_NAME_SIZE];
	enum err err;
	int fd = -1;

	err = name_slot(number, slot);
	if (err != OK)
		return err;
	err = slot_directory(spool_fd, slot, &fd);
	if (err == OK && !slot_is_ours(fd))
		err = ERR_SYSTEM;
	if (err == OK)
		err = check_segments(fd, dir, slot);
	if (err == ERR_SYSTEM)
		log_warn_errno("spool %s/%s cannot be used", dir, slot);
	if (err == OK)
		err = check_lock(fd, dir, slot);
	if (fd >= 0)
		(void)close(fd); /* only read */
	return err;
}

static enum err
check_slots(int spool_fd, const char *dir, long workers)
{
	struct slot_names slots = { 0 };
	enum err err;

	err = slot_is_ours(spool_fd) ? slot_list(spool_fd, &slots) : ERR_SYSTEM;
	if (err == ERR_SYSTEM)
		log_warn_errno("SPOOL_DIR: cannot use %s", dir);
	for (int i = 0; err == OK && i < workers; i++)
		err = check_slot_of_worker(spool_fd, dir, i);
	for (size_t i = 0; err == OK && i < slots.count; i++) {
		if (number_of(slots.names[i]) >= workers)
			err = check_slot(spool_fd, dir, slots.names[i]);
	}
	slot_names_fini(&slots);
	return err;
}

enum err
spool_check(const char *dir, long workers)
{
	enum err err;
	int fd;

	err = slot_directory(AT_FDCWD, dir, &fd);
	if (err != OK) {
		log_warn_errno("SPOOL_DIR: cannot use %s", dir);
		return err;
	}
	err = check_slots(fd, dir, workers);
	(void)close(fd); /* only read */
	return err;
}

/* With the lock held: has the slot a segment that is not passed over?  Of one
 * that cannot be listed: what was said, unless it is passed over itself. */
static bool
slot_waits(const struct spool *spool, int dir_fd, const char *slot)
{
	struct slot_names segments;
	bool waits = false;

	if (slot_segments(dir_fd, &segments) != OK)
		return !skipped_has(&spool->skipped, slot, "") &&
		       (atomic_load(&spool->board->waiting) &
			   bit_of(number_of(slot))) != 0;
	for (size_t i = 0; i < segments.count && !waits; i++)
		waits = !skipped_has(&spool->skipped, slot, segments.names[i]);
	slot_names_fini(&segments);
	return waits;
}

/* With the lock held, as of all that changes the slot. */
static void
tell_waiting(struct spool *spool)
{
	tell(&spool->board->waiting, spool->bit,
	    slot_waits(spool, spool->slot.dir_fd, spool->slot_name));
}

/* In a slot of another; who lives in its place says that himself. */
static void
nothing_waits_in(struct spool *spool, const char *slot)
{
	long number = number_of(slot);

	if (atomic_load(&spool->board->bytes[place_of(number)]) == 0)
		tell(&spool->board->waiting, bit_of(number), false);
}

static enum err
measure_own(struct spool *spool)
{
	uint64_t bytes;
	enum err err;

	err = slot_bytes(spool->slot.dir_fd, &bytes);
	if (err == OK)
		atomic_store(spool->own_bytes, bytes);
	tell_waiting(spool);
	return err;
}

static enum err
open_slot(struct spool *spool, const struct spool_options *options)
{
	enum err err;

	err = slot_directory(AT_FDCWD, options->dir, &spool->spool_fd);
	if (err == OK)
		err = slot_take(spool->spool_fd, spool->slot_name, TAKE_WAIT_MS,
		    &spool->slot);
	if (err == ERR_CONFLICT)
		log_error("spool %s/%s is in use by another minuted: two "
			  "instances need two SPOOL_DIR",
		    options->dir, spool->slot_name);
	else if (err != OK)
		log_warn_errno("spool %s/%s cannot be used", options->dir,
		    spool->slot_name);
	return err;
}

static enum err
set_up(struct spool *spool, const struct spool_options *options)
{
	size_t moved = 0;
	enum err err;

	err = name_slot(options->slot, spool->slot_name);
	if (err == OK)
		err = open_slot(spool, options);
	if (err == OK)
		err = check_segments(spool->slot.dir_fd, options->dir,
		    spool->slot_name);
	if (err == OK)
		err = measure_own(spool);
	if (err == OK)
		spool_adopt(spool, &moved);
	return err;
}

enum err
spool_open(const struct spool_options *options, struct spool **out)
{
	struct spool *spool;
	enum err err;

	spool = calloc(1, sizeof(*spool));
	if (spool == NULL)
		return ERR_MEMORY;
	spool->dir = strdup(options->dir);
	if (spool->dir == NULL) {
		free(spool);
		return ERR_MEMORY;
	}
	pthread_mutex_init(&spool->lock, NULL);
	spool->spool_fd = -1;
	spool->slot = (struct slot){ .dir_fd = -1, .lock_fd = -1 };
	spool->fd = -1;
	spool->next_fd = -1;
	probe_init(&spool->probe);
	spool->number = options->slot;
	spool->bytes_max = options->bytes_max;
	spool->board =
	    options->board == NULL ? &spool->own_board : options->board;
	spool->bit = bit_of(options->slot);
	spool->own_bytes = &spool->board->bytes[place_of(options->slot)];
	skipped_init(&spool->skipped, &spool->board->skipped);
	err = set_up(spool, options);
	if (err != OK) {
		spool_close(spool);
		return err;
	}
	(void)!keep_slot_name(spool); /* again before it is needed */
	spool_prepare(spool);
	/* while there is room; what else is wrong the prober finds */
	(void)!probe_try(&spool->probe, spool->slot.dir_fd, true);
	*out = spool;
	return OK;
}

void
spool_close(struct spool *spool)
{
	if (spool == NULL)
		return;
	spool_seal(spool);
	if (spool->next_fd >= 0) {
		(void)unlinkat(spool->slot.dir_fd, SLOT_NEXT, 0); /* empty */
		(void)close(spool->next_fd);
	}
	probe_fini(&spool->probe);
	skipped_fini(&spool->skipped);
	slot_release(&spool->slot);
	if (spool->spool_fd >= 0)
		(void)close(spool->spool_fd); /* only read */
	pthread_mutex_destroy(&spool->lock);
	free(spool->dir);
	free(spool);
}

/* --- writing ---------------------------------------------------------- */

static enum err
make_name(char name[SLOT_NAME_SIZE], struct uuid *id)
{
	enum err err = uuid_make(id);

	if (err != OK)
		return err;
	uuid_text(id, name);
	memcpy(name + UUID_TEXT_SIZE - 1, SEGMENT_SUFFIX,
	    sizeof(SEGMENT_SUFFIX));
	return OK;
}

/* Room for the next records, and at the ceiling a quarter of it. */
static uint64_t
ready_bytes(const struct spool *spool)
{
	uint64_t most = spool->bytes_max / 4;

	return most < SPOOL_READY ? most : SPOOL_READY;
}

static enum err
open_segment(struct spool *spool, const char *name, const struct buf *head)
{
	int next = spool->next_fd;

	spool->next_fd = -1;
	if (next >= 0 &&
	    slot_take_next(spool->slot.dir_fd, next, name, head) == OK) {
		spool->fd = next;
		return OK;
	}
	return slot_create(spool->slot.dir_fd, name, head, &spool->fd);
}

static enum err
begin_segment(struct spool *spool)
{
	char name[SLOT_NAME_SIZE];
	struct uuid id;
	struct buf head;
	enum err err;

	err = keep_slot_name(spool);
	if (err == OK)
		err = make_name(name, &id);
	if (err != OK)
		return err;
	buf_init(&head, SEGMENT_HEADER_SIZE);
	segment_add_header(&head, &id);
	err = buf_ok(&head) ? open_segment(spool, name, &head) : ERR_MEMORY;
	buf_fini(&head);
	if (err != OK)
		return err;
	memcpy(spool->name, name, sizeof(name));
	spool->segment_bytes = SEGMENT_HEADER_SIZE;
	atomic_fetch_add(spool->own_bytes, SEGMENT_HEADER_SIZE);
	return OK;
}

/* After a failed fsync nobody knows what of the segment is on the disk: it is
 * never written or synced again.  Nor is one that somebody has removed: what is
 * in it would not be found. */
static enum err
write_group(struct spool *spool, const struct buf *group)
{
	int64_t began_us = clock_mono_us();
	int cause;

	if (spool->fd >= 0 &&
	    spool->segment_bytes + group->len > SPOOL_SEGMENT_MAX)
		end_segment(spool);
	tell(&spool->board->waiting, spool->bit, true);
	if (spool->fd < 0 && begin_segment(spool) != OK)
		return ERR_SYSTEM;
	if (slot_write(spool->fd, group->data, group->len) == OK &&
	    fdatasync(spool->fd) == 0 && slot_has_name(spool->fd)) {
		spool->segment_bytes += group->len;
		atomic_fetch_add(spool->own_bytes, group->len);
		atomic_store(&spool->board->proven_us, began_us);
		return OK;
	}
	cause = errno;
	end_segment(spool);
	errno = cause;
	return ERR_SYSTEM;
}

/* The room that the records written just now have used, again.  The next
 * segment is left to the keeper: it takes two fsyncs. */
static void
prepare_locked(struct spool *spool)
{
	if (spool->fd >= 0)
		set_tight(spool,
		    !slot_reserve(spool->fd,
			spool->segment_bytes + ready_bytes(spool)));
}

void
spool_prepare(struct spool *spool)
{
	enum err err = OK;

	pthread_mutex_lock(&spool->lock);
	if (spool->next_fd < 0)
		err = slot_make_next(spool->slot.dir_fd, ready_bytes(spool),
		    &spool->next_fd);
	if (err != OK)
		set_tight(spool, true);
	else if (spool->fd >= 0)
		prepare_locked(spool);
	else
		set_tight(spool, false);
	pthread_mutex_unlock(&spool->lock);
}

static enum err
write_locked(struct spool *spool, const struct buf *group, bool owed)
{
	enum err err;

	if (atomic_load(&spool->failing))
		return ERR_SYSTEM;
	if (!owed && spool_bytes(spool) + group->len > spool->bytes_max)
		return ERR_BUSY;
	err = write_group(spool, group);
	if (err != OK) {
		log_warn_errno("a spool segment failed and is sealed");
		err = write_group(spool, group); /* in a new one */
	}
	if (err != OK) {
		fail(spool);
		tell_waiting(spool);
	} else {
		prepare_locked(spool);
	}
	return err;
}

enum err
spool_append(struct spool *spool, const struct record_view *records,
    size_t count)
{
	struct buf group;
	enum err err = ERR_MEMORY;
	bool owed = false;

	buf_init(&group, GROUP_MAX);
	for (size_t i = 0; i < count; i++) {
		segment_add_record(&group, &records[i]);
		owed = owed || records[i].owed;
	}
	if (buf_ok(&group)) {
		pthread_mutex_lock(&spool->lock);
		err = write_locked(spool, &group, owed);
		pthread_mutex_unlock(&spool->lock);
	}
	buf_fini(&group);
	return err;
}

/* --- state ------------------------------------------------------------ */

uint64_t
spool_bytes(const struct spool *spool)
{
	uint64_t bytes = atomic_load(&spool->other_bytes);

	for (int i = 0; i < SPOOL_SLOTS; i++)
		bytes += atomic_load(&spool->board->bytes[i]);
	return bytes;
}

bool
spool_is_failing(const struct spool *spool)
{
	return atomic_load(&spool->failing);
}

bool
spool_fits(const struct spool *spool, uint64_t bytes)
{
	return !spool_is_failing(spool) &&
	       spool_bytes(spool) + bytes <= spool->bytes_max;
}

/* Nothing of a try is known before it is over: at first it counts for good. */
static bool
probe_hangs(const struct spool_board *board)
{
	int64_t since_us = atomic_load(&board->probing_us);

	return since_us != 0 &&
	       clock_mono_us() - since_us > SPOOL_HANG_MS * 1000LL;
}

bool
spool_is_writable(const struct spool *spool)
{
	return atomic_load(&spool->board->failing) == 0 &&
	       atomic_load(&spool->board->stalled) == 0 &&
	       !probe_hangs(spool->board);
}

bool
spool_is_proven(const struct spool *spool, int64_t within_ms)
{
	int64_t proven_us = atomic_load(&spool->board->proven_us);

	return proven_us != 0 && clock_mono_us() - proven_us < within_ms * 1000;
}

bool
spool_has_place(const struct spool *spool)
{
	uint64_t reserve = spool->bytes_max / 4;

	if (reserve > SPOOL_RESERVE)
		reserve = SPOOL_RESERVE;
	return spool_is_writable(spool) && spool_fits(spool, reserve);
}

/* --- the slot's place ------------------------------------------------- */

/* What was open in the old slot is of no use in this one. */
static enum err
move_to(struct spool *spool, int spool_fd, const struct slot *slot)
{
	enum err err;

	pthread_mutex_lock(&spool->lock);
	if (spool->fd >= 0)
		end_segment(spool);
	if (spool->next_fd >= 0)
		(void)close(spool->next_fd); /* empty */
	spool->next_fd = -1;
	spool->named = false;
	err = slot_move(&spool->slot, slot);
	if (err == OK && dup3(spool_fd, spool->spool_fd, O_CLOEXEC) < 0)
		err = ERR_SYSTEM;
	if (err == OK)
		err = measure_own(spool);
	pthread_mutex_unlock(&spool->lock);
	return err;
}

static enum err
take_again(struct spool *spool)
{
	struct slot slot = { .dir_fd = -1, .lock_fd = -1 };
	enum err err;
	int fd;

	err = slot_directory(AT_FDCWD, spool->dir, &fd);
	if (err != OK)
		return err;
	err = slot_take(fd, spool->slot_name, TAKE_WAIT_MS, &slot);
	if (err == ERR_CONFLICT)
		errno = EBUSY; /* another process has it */
	if (err == OK && !slot_is_ours(slot.dir_fd))
		err = ERR_SYSTEM;
	if (err == OK)
		err = move_to(spool, fd, &slot);
	if (err == OK) { /* what was proven may be of another disk */
		probe_fini(&spool->probe);
		atomic_store(&spool->board->proven_us, 0);
		log_warn("spool %s/%s was removed or replaced: it was made "
			 "again, what was in it is not delivered",
		    spool->dir, spool->slot_name);
	}
	slot_release(&slot);
	(void)close(fd); /* only read */
	return err;
}

enum err
spool_look(struct spool *spool)
{
	enum err err;

	err = slot_same(AT_FDCWD, spool->dir, spool->spool_fd);
	if (err == OK)
		err =
		    slot_look(spool->spool_fd, spool->slot_name, &spool->slot);
	if (err == ERR_MISSING)
		err = take_again(spool);
	if (err != OK)
		fail(spool);
	return err;
}

/* --- trying ----------------------------------------------------------- */

/* The turn to try the disk for all; false: another worker's. */
static bool
take_turn(struct spool_board *board, int slot)
{
	int nobody = 0;

	if (!atomic_compare_exchange_strong(&board->prober, &nobody, slot + 1))
		return false;
	atomic_store(&board->probing_us, clock_mono_us());
	return true;
}

static void
end_turn(struct spool_board *board)
{
	atomic_store(&board->probing_us, 0);
	atomic_store(&board->prober, 0);
}

/* What failed here has to work here before it counts, so that is tried also out
 * of turn, and in a new file.  No room for that is no failure: what is ready for
 * the ends of calls that run is there. */
enum err
spool_probe(struct spool *spool)
{
	bool failing = atomic_load(&spool->failing);
	int64_t began_us = clock_mono_us();
	enum err err;
	bool turn;

	err = spool_look(spool);
	if (err != OK)
		return err;
	if (!failing && spool_is_proven(spool, SPOOL_SURE_MS / 2))
		return OK;
	turn = take_turn(spool->board, spool->number);
	if (!turn && !failing)
		return OK;
	err = probe_try(&spool->probe, spool->slot.dir_fd, failing);
	if (turn)
		end_turn(spool->board);
	if (err == ERR_SYSTEM)
		fail(spool);
	if (err != OK)
		return err;
	atomic_store(&spool->board->proven_us, began_us);
	if (atomic_exchange(&spool->failing, false)) {
		log_info("the spool can be written again");
		tell_failing(spool);
	}
	return OK;
}

/* --- delivering ------------------------------------------------------- */

int
spool_dir_fd(const struct spool *spool)
{
	return spool->slot.dir_fd;
}

/* With the lock held: the first that is neither passed over nor being written,
 * or NULL. */
static const char *
first_sealed(const struct spool *spool, const struct slot_names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->names[i];

		if (strcmp(name, spool->name) == 0)
			return NULL;
		if (!skipped_has(&spool->skipped, spool->slot_name, name))
			return name;
	}
	return NULL;
}

enum err
spool_oldest(struct spool *spool, char name[SLOT_NAME_SIZE])
{
	struct slot_names names;
	enum err err;

	pthread_mutex_lock(&spool->lock);
	err = slot_segments(spool->slot.dir_fd, &names);
	if (err == OK) {
		const char *first = first_sealed(spool, &names);

		err = first == NULL ? ERR_MISSING : OK;
		if (first != NULL)
			memcpy(name, first, SLOT_NAME_SIZE);
		slot_names_fini(&names);
	}
	pthread_mutex_unlock(&spool->lock);
	return err;
}

bool
spool_pass_over(struct spool *spool, const char *name, enum err why)
{
	bool known;

	pthread_mutex_lock(&spool->lock);
	pass_over(spool, spool->slot_name, name, why);
	known = skipped_has(&spool->skipped, spool->slot_name, name);
	tell_waiting(spool);
	pthread_mutex_unlock(&spool->lock);
	return known;
}

size_t
spool_passed_over(const struct spool *spool)
{
	return skipped_count(&spool->board->skipped);
}

bool
spool_is_empty(struct spool *spool)
{
	char name[SLOT_NAME_SIZE];
	bool writing;

	pthread_mutex_lock(&spool->lock);
	writing = spool->fd >= 0;
	pthread_mutex_unlock(&spool->lock);
	return !writing && spool_oldest(spool, name) != OK;
}

enum err
spool_remove(struct spool *spool, const char *name)
{
	enum err err;

	pthread_mutex_lock(&spool->lock);
	err = slot_remove(spool->slot.dir_fd, name);
	if (err == OK || err == ERR_MISSING)
		err = measure_own(spool);
	pthread_mutex_unlock(&spool->lock);
	return err;
}

/* --- what others left ------------------------------------------------- */

static void
adopt_segment(struct spool *spool, int from_fd, const char *slot,
    const char *name, size_t *moved)
{
	enum err err = segment_check(from_fd, name);

	if (err == OK) {
		tell(&spool->board->waiting, spool->bit, true);
		if (renameat(from_fd, name, spool->slot.dir_fd, name) != 0)
			err = ERR_SYSTEM;
	}
	if (err == OK) {
		(*moved)++;
		skipped_usable(&spool->skipped, slot, name);
	} else if (err != ERR_MISSING) {
		pass_over(spool, slot, name, err);
	}
}

static enum err
adopt_slot(struct spool *spool, const char *name, size_t *moved)
{
	struct slot_names segments = { 0 };
	size_t before = *moved;
	struct slot slot;
	enum err err;

	err = slot_take(spool->spool_fd, name, 0, &slot);
	if (err == ERR_CONFLICT) { /* its worker lives */
		skipped_leave(&spool->skipped, name);
		return OK;
	}
	if (err == OK)
		err = keep_slot_name(spool);
	if (err == OK)
		err = slot_segments(slot.dir_fd, &segments);
	for (size_t i = 0; err == OK && i < segments.count; i++)
		adopt_segment(spool, slot.dir_fd, name, segments.names[i],
		    moved);
	if (*moved > before &&
	    (fsync(spool->slot.dir_fd) != 0 || fsync(slot.dir_fd) != 0))
		err = ERR_SYSTEM;
	if (err == OK && !slot_waits(spool, slot.dir_fd, name))
		nothing_waits_in(spool, name);
	slot_names_fini(&segments);
	slot_release(&slot);
	return err;
}

/* What is in a slot of another: its bytes, and whether to look closer. */
static enum err
look_at(struct spool *spool, const char *name, uint64_t *bytes, bool *any)
{
	struct slot_names segments;
	enum err err;
	int fd;

	err = slot_directory(spool->spool_fd, name, &fd);
	if (err != OK)
		return err;
	err = slot_bytes(fd, bytes);
	if (err == OK)
		err = slot_segments(fd, &segments);
	if (err == OK) {
		*any = segments.count > 0;
		slot_names_fini(&segments);
	}
	(void)close(fd); /* only read */
	return err;
}

/* Does a worker that shares the board say what is in this slot? */
static bool
is_counted(const struct spool *spool, const char *name)
{
	long number = number_of(name);

	return number < SPOOL_SLOTS &&
	       atomic_load(&spool->board->bytes[number]) > 0;
}

/* Each for itself: what is wrong with one slot is no reason to leave the
 * records of the next. */
static void
adopt_others(struct spool *spool, const struct slot_names *slots, size_t *moved)
{
	uint64_t others = 0;

	for (size_t i = 0; i < slots->count; i++) {
		const char *name = slots->names[i];
		uint64_t bytes = 0;
		size_t before = *moved;
		bool any = false;
		enum err err;

		if (strcmp(name, spool->slot_name) == 0)
			continue;
		err = look_at(spool, name, &bytes, &any);
		/* one that died when it began to write left only the bit */
		if (err == OK && (any || (atomic_load(&spool->board->waiting) &
					     bit_of(number_of(name))) != 0))
			err = adopt_slot(spool, name, moved);
		if (err == OK) {
			skipped_usable(&spool->skipped, name, "");
		} else {
			pass_over(spool, name, "", err);
			nothing_waits_in(spool, name);
		}
		if (*moved == before && !is_counted(spool, name))
			others += bytes;
	}
	atomic_store(&spool->other_bytes, others);
}

bool
spool_any_waits(const struct spool *spool)
{
	return atomic_load(&spool->board->waiting) != 0;
}

/* Can all of it be read?  The lock is let go meanwhile, since a disk that fails
 * takes its time to say so, and is taken again. */
static enum err
read_whole(struct spool *spool, const char *name)
{
	enum err err;

	pthread_mutex_unlock(&spool->lock);
	err = segment_check_whole(spool->slot.dir_fd, name);
	pthread_mutex_lock(&spool->lock);
	return err;
}

/* again: one that was passed over is not left as it is. */
static void
check_own_segment(struct spool *spool, const char *name, bool again)
{
	bool known = skipped_has(&spool->skipped, spool->slot_name, name);
	enum err err = ERR_SYSTEM;

	if (spool->looked && !known)
		return;
	if (!known)
		err = segment_check(spool->slot.dir_fd, name);
	else if (again)
		err = read_whole(spool, name);
	if (err == OK && !slot_is_ours(spool->slot.dir_fd))
		err = ERR_SYSTEM;
	if (err == OK)
		skipped_usable(&spool->skipped, spool->slot_name, name);
	else if (err != ERR_MISSING)
		pass_over(spool, spool->slot_name, name, err);
}

/* Those of this slot that could not be read or removed: are they still so?  The
 * first time all are looked at. */
static void
check_own(struct spool *spool, const struct slot_names *names)
{
	int64_t began_us = clock_mono_us();
	bool again = began_us >= spool->again_us;
	int64_t took_us;

	for (size_t i = 0; i < names->count; i++)
		check_own_segment(spool, names->names[i], again);
	spool->looked = true;
	took_us = clock_mono_us() - began_us;
	if (took_us > AGAIN_SLOW_US)
		spool->again_us = began_us + 10 * took_us;
}

static void
go_round(struct spool *spool, size_t *moved)
{
	struct slot_names names;
	enum err err;

	skipped_begin(&spool->skipped);
	err = slot_segments(spool->slot.dir_fd, &names);
	if (err == OK) {
		check_own(spool, &names);
		slot_names_fini(&names);
	} else {
		pass_over(spool, spool->slot_name, "", err);
	}
	err = slot_list(spool->spool_fd, &names);
	if (err == OK) {
		adopt_others(spool, &names, moved);
		slot_names_fini(&names);
	} else {
		pass_over(spool, "", "", err);
	}
	skipped_end(&spool->skipped);
	tell_waiting(spool);
}

void
spool_adopt(struct spool *spool, size_t *moved)
{
	size_t before = *moved;

	pthread_mutex_lock(&spool->lock);
	go_round(spool, moved);
	if (*moved > before) {
		if (measure_own(spool) != OK)
			pass_over(spool, spool->slot_name, "", ERR_SYSTEM);
		log_info("%zu segments of dead workers were adopted",
		    *moved - before);
	}
	pthread_mutex_unlock(&spool->lock);
}
