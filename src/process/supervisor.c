/*
 * supervisor.c - keeps the workers; single-threaded, talks to nobody but them.
 */
#include "process/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/scoreboard.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "journal/slot.h"
#include "journal/spool.h"
#include "process/listener.h"
#include "process/orphans.h"
#include "process/restarts.h"
#include "process/settings.h"
#include "process/sweep.h"
#include "process/worker.h"

#define TICK_MS       100
#define MEMORY_DIR    "/dev/shm"
#define HOME_MAX      4096
#define LOCK_WAIT_US  2000000 /* for what a killed supervisor leaves */
#define LOCK_POLL_MS  10
#define PROBLEMS_MAX  ((size_t)64 * 1024)
#define HANG_US       30000000 /* a heartbeat this old: the worker hangs */
#define RETRY_US      100000   /* after a fork that failed */
#define UNSERVED_US   2000000  /* in a crash loop, before clients are told */
#define TURN_AWAY_MAX 1000     /* connections a tick */
#define READY_WAIT_US 10000000 /* for new workers, in a reload */
#define KILL_GRACE_US 5000000  /* after the drain deadline, before SIGKILL */

/* A worker process; index is its slot in the scoreboard. */
struct child {
	pid_t pid; /* 0: none */
	int generation;
	bool of_reload; /* started while others serve */
	int64_t started_us;
	int64_t kill_at_us; /* 0: not asked to end */
};

struct supervisor {
	struct config *config;
	struct config *config_old; /* of workers that still drain */
	struct scoreboard *board;
	struct child children[SCOREBOARD_SLOTS];
	/* path of listen_fd, whatever a reload says; listener_open() has seen
	 * that it fits */
	char socket[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	pid_t pid; /* of this process */
	int listen_fd;
	int lock_fd;     /* of SPOOL_DIR */
	struct buf home; /* of the calls in hand */
	int handover[2];
	int generation;
	bool stopping;
	int64_t reload_at_us;      /* when the running reload began; 0: none */
	bool reload_settled;       /* it holds, and old workers only drain */
	bool reload_asked;         /* while it runs: for another after it */
	const char *reload_failed; /* why it is to be undone; NULL: it is not */
	struct restarts restarts;
	int64_t spawn_after_us; /* not before this time */
	int64_t served_us;      /* when a worker was ready, or no crash loop */
	int exit_code;
};

static long
worker_target(const struct config *config)
{
	long count = (long)config->workers;

	if (count <= 0)
		count = sysconf(_SC_NPROCESSORS_ONLN);
	if (count < 1)
		count = 1;
	return count > SCOREBOARD_WORKERS_MAX ? SCOREBOARD_WORKERS_MAX : count;
}

/* Do workers of the old settings still take requests? */
static bool
may_undo(const struct supervisor *sup)
{
	return sup->reload_at_us != 0 && !sup->reload_settled;
}

static int
run_child(struct supervisor *sup, int slot)
{
	struct worker_seat seat = { .config = sup->config,
		.board = sup->board,
		.slot = slot,
		.listen_fd = sup->listen_fd,
		.others_serve = may_undo(sup),
		.supervisor = sup->pid,
		.handover = { sup->handover[0], sup->handover[1] } };
	struct buf role;
	int code;

	buf_init(&role, 64);
	buf_addf(&role, "worker %d", slot);
	log_setup((enum log_level)sup->config->log_level, buf_str(&role));
	buf_fini(&role);
	(void)close(sup->lock_fd); /* it ends with the supervisor */
	code = worker_run(&seat);
	return code;
}

static enum err
spawn(struct supervisor *sup)
{
	int slot = scoreboard_claim(sup->board);
	pid_t pid;

	if (slot < 0) {
		log_error("no free slot for a worker");
		return ERR_BUSY;
	}
	pid = fork();
	if (pid == 0)
		_exit(run_child(sup, slot));
	if (pid < 0) {
		log_warn_errno("fork");
		atomic_store(&sup->board->rows[slot].state, WORKER_NONE);
		return ERR_SYSTEM;
	}
	atomic_store(&sup->board->rows[slot].pid, pid);
	sup->children[slot] = (struct child){ .pid = pid,
		.generation = sup->generation,
		.of_reload = may_undo(sup),
		.started_us = clock_mono_us() };
	return OK;
}

/* Children of the current generation that are not asked to end. */
static long
serving(const struct supervisor *sup, bool ready_only)
{
	long count = 0;

	for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
		const struct child *child = &sup->children[i];

		if (child->pid == 0 || child->kill_at_us != 0 ||
		    child->generation != sup->generation)
			continue;
		if (!ready_only ||
		    atomic_load(&sup->board->rows[i].state) == WORKER_READY)
			count++;
	}
	return count;
}

static void
fill_up(struct supervisor *sup)
{
	long missing = worker_target(sup->config) - serving(sup, false);

	if (sup->stopping || clock_mono_us() < sup->spawn_after_us)
		return;
	for (; missing > 0; missing--) {
		if (spawn(sup) != OK) {
			sup->spawn_after_us = clock_mono_us() + RETRY_US;
			return;
		}
	}
}

static void
back_off(struct supervisor *sup, bool could_not_start)
{
	int64_t now = clock_mono_us();
	int64_t pause_us =
	    restarts_pause_us(&sup->restarts, now, could_not_start);

	if (pause_us == 0)
		return;
	sup->spawn_after_us = now + pause_us;
	log_warn("crash loop: the next worker starts in %lld ms",
	    (long long)(pause_us / 1000));
}

/* In a crash loop nobody answers: closed, a connection is a 502 of nginx's or
 * goes to another server of its list. */
static void
turn_away(struct supervisor *sup)
{
	int64_t now = clock_mono_us();

	if (sup->stopping || sup->restarts.pause_us == 0 ||
	    scoreboard_ready(sup->board) > 0)
		sup->served_us = now;
	if (now - sup->served_us < UNSERVED_US)
		return;
	for (int i = 0; i < TURN_AWAY_MAX; i++) {
		int fd = accept4(sup->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return;  /* nobody waits */
		(void)close(fd); /* nothing was read or written */
	}
}

static void
log_death(pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		log_error("worker %d died of signal %d", (int)pid,
		    WTERMSIG(status));
	else
		log_error("worker %d ended with code %d", (int)pid,
		    WEXITSTATUS(status));
}

/* A worker that has not served: of the running reload, or of one undone. */
static void
bury_unserved(struct supervisor *sup, const struct child *child,
    const char *why)
{
	if (child->generation == sup->generation && may_undo(sup))
		sup->reload_failed = why;
}

static void
bury(struct supervisor *sup, int slot, int status)
{
	struct child child = sup->children[slot];
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	bool ended_well = code == WORKER_EXIT_OK && child.kill_at_us != 0;

	memset(&sup->children[slot], 0, sizeof(sup->children[slot]));
	sweep_abandon(sup->board, child.pid);
	scoreboard_retire(sup->board, slot);
	if (ended_well)
		return;
	if (code == WORKER_EXIT_AWAY) {
		bury_unserved(sup, &child,
		    "new workers cannot reach PostgreSQL, without which the "
		    "old ones serve whom they know");
		return;
	}
	log_death(child.pid, status);
	atomic_fetch_add(&sup->board->restarts, 1);
	if (code == WORKER_EXIT_SCHEMA && child.of_reload) {
		bury_unserved(sup, &child, "the schema does not fit");
	} else if (code == WORKER_EXIT_SCHEMA) {
		sup->exit_code = 1;
		sup->stopping = true;
	} else {
		back_off(sup, code == WORKER_EXIT_START);
	}
}

/* -1: not a worker of ours. */
static int
slot_of(const struct supervisor *sup, pid_t pid)
{
	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		if (sup->children[slot].pid == pid)
			return slot;
	}
	return -1;
}

static void
reap(struct supervisor *sup)
{
	int status;
	pid_t pid;

	for (pid = waitpid(-1, &status, WNOHANG); pid > 0;
	     pid = waitpid(-1, &status, WNOHANG)) {
		int slot = slot_of(sup, pid);

		if (slot >= 0)
			bury(sup, slot, status);
	}
}

/* Each worker drains by the settings that it was started with. */
static int64_t
drain_us(const struct supervisor *sup)
{
	int64_t ms = sup->config->drain_ms;

	if (sup->config_old != NULL && sup->config_old->drain_ms > ms)
		ms = sup->config_old->drain_ms;
	return ms * 1000;
}

static void
ask_to_end(struct supervisor *sup, int slot, int signal_number)
{
	struct child *child = &sup->children[slot];

	if (child->pid == 0 || child->kill_at_us != 0)
		return;
	child->kill_at_us = clock_mono_us() + drain_us(sup) + KILL_GRACE_US;
	(void)kill(child->pid, signal_number); /* not reaped: it exists */
}

/* Workers that hang, or do not end in time, are killed. */
static void
watchdog(struct supervisor *sup)
{
	int64_t now = clock_mono_us();

	for (int slot = 0; slot < SCOREBOARD_SLOTS; slot++) {
		struct child *child = &sup->children[slot];
		int64_t beat =
		    (int64_t)atomic_load(&sup->board->rows[slot].heartbeat_us);
		bool late = child->kill_at_us != 0 && now > child->kill_at_us;

		if (child->pid == 0 || (!late && now - beat < HANG_US))
			continue;
		log_error("worker %d %s: killed", (int)child->pid,
		    late ? "does not end" : "does not answer");
		(void)kill(child->pid, SIGKILL); /* not reaped: it exists */
		atomic_store(&sup->board->rows[slot].heartbeat_us,
		    (unsigned long long)now);
	}
}

/* What is made once, before the first worker: NULL, or the setting's name. */
static const char *
needs_restart(const struct config *now, const struct config *fresh)
{
	if (strcmp(now->socket, fresh->socket) != 0)
		return "SOCKET";
	if (strcmp(now->spool_dir, fresh->spool_dir) != 0)
		return "SPOOL_DIR";
	return now->streams_max != fresh->streams_max ? "STREAMS_MAX" : NULL;
}

static enum err
load_again(const struct supervisor *sup, struct config **out)
{
	struct buf problems;
	const char *name;
	enum err err;

	buf_init(&problems, PROBLEMS_MAX);
	err = settings_load(sup->config->path, &problems, out);
	name = err == OK ? needs_restart(sup->config, *out) : NULL;
	if (name != NULL) {
		buf_addf(&problems, "%s: a change of it needs a restart", name);
		config_free(*out);
		err = ERR_INPUT;
	}
	if (err != OK)
		log_error("reload refused, the old settings stay: %s",
		    buf_str(&problems));
	buf_fini(&problems);
	return err;
}

static void
reload_begin(struct supervisor *sup)
{
	struct config *fresh = NULL;

	if (sup->reload_at_us != 0) {
		if (!sup->reload_asked)
			log_info("a reload is running: the settings are read "
				 "again when it is done");
		sup->reload_asked = true;
		return;
	}
	sup->reload_asked = false;
	if (load_again(sup, &fresh) != OK)
		return;
	log_info("reload: starting new workers");
	sup->config_old = sup->config;
	sup->config = fresh;
	sup->generation++;
	restarts_forget(&sup->restarts);
	sup->spawn_after_us = 0;
	sup->reload_at_us = clock_mono_us();
	log_setup((enum log_level)fresh->log_level, "supervisor");
}

static bool
old_ones_left(const struct supervisor *sup)
{
	for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
		if (sup->children[i].pid != 0 &&
		    sup->children[i].generation != sup->generation)
			return true;
	}
	return false;
}

/* New settings with which no worker starts are as bad as a bad file. */
static void
reload_undo(struct supervisor *sup, const char *why)
{
	log_error("reload failed, the old settings stay: %s", why);
	for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
		struct child *child = &sup->children[i];

		/* what they have taken already is handed back */
		if (child->pid != 0 && child->generation == sup->generation)
			ask_to_end(sup, i, SIGUSR2);
		else if (child->pid != 0)
			child->generation = sup->generation + 1;
	}
	sup->generation++;
	restarts_forget(&sup->restarts);
	config_free(sup->config);
	sup->config = sup->config_old;
	sup->config_old = NULL;
	sup->reload_at_us = 0;
	sup->reload_failed = NULL;
	sup->spawn_after_us = 0;
	log_setup((enum log_level)sup->config->log_level, "supervisor");
}

/* The new workers serve, so it holds: the old ones end, however long that
 * takes, and whatever happens to a new one meanwhile. */
static void
reload_settle(struct supervisor *sup)
{
	sup->reload_settled = true;
	sup->reload_failed = NULL;
	for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
		if (sup->children[i].generation != sup->generation)
			ask_to_end(sup, i, SIGUSR2);
	}
}

static void
reload_continue(struct supervisor *sup)
{
	if (sup->stopping)
		return;
	if (sup->reload_at_us == 0) {
		if (sup->reload_asked)
			reload_begin(sup);
		return;
	}
	if (may_undo(sup) && serving(sup, true) >= worker_target(sup->config))
		reload_settle(sup);
	else if (may_undo(sup) && sup->reload_failed != NULL)
		reload_undo(sup, sup->reload_failed);
	else if (may_undo(sup) &&
		 clock_mono_us() > sup->reload_at_us + READY_WAIT_US)
		reload_undo(sup, "new workers do not start");
	if (!sup->reload_settled || old_ones_left(sup))
		return;
	config_free(sup->config_old); /* its last reader has ended */
	sup->config_old = NULL;
	sup->reload_at_us = 0;
	sup->reload_settled = false;
	log_info("reload done");
}

static void
stop_begin(struct supervisor *sup)
{
	log_info("stopping: workers finish what they have");
	sup->stopping = true;
}

static bool
stop_continue(struct supervisor *sup)
{
	bool left = false;

	if (!sup->stopping)
		return true;
	for (int i = 0; i < SCOREBOARD_SLOTS; i++) {
		ask_to_end(sup, i, SIGTERM);
		left = left || sup->children[i].pid != 0;
	}
	return left;
}

/* Another directory may have come in the place of the one that is locked. */
static void
keep_spool_locked(struct supervisor *sup)
{
	const char *dir = sup->config->spool_dir;
	int fd;

	if (slot_same(AT_FDCWD, dir, sup->lock_fd) != ERR_MISSING)
		return;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return; /* the workers tell */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)dup3(fd, sup->lock_fd, O_CLOEXEC); /* or next time */
	(void)close(fd); /* a duplicate has the lock */
}

static void
supervise(struct supervisor *sup, const sigset_t *signals)
{
	const struct timespec tick = { .tv_nsec = TICK_MS * 1000000L };

	do {
		int caught = sigtimedwait(signals, NULL, &tick);

		if (caught == SIGTERM || caught == SIGINT)
			stop_begin(sup);
		else if (caught == SIGHUP && !sup->stopping)
			reload_begin(sup);
		reap(sup);
		keep_spool_locked(sup);
		scoreboard_tend(sup->board);
		orphans_bury(sup->board, sup->config->spool_dir);
		fill_up(sup);
		turn_away(sup);
		reload_continue(sup);
		watchdog(sup);
	} while (stop_continue(sup));
}

static void
block_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGHUP);
	sigaddset(signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Each stream costs two descriptors, of nginx and of the provider. */
static void
raise_descriptor_limit(const struct config *config)
{
	rlim_t wanted = (rlim_t)config->connections_max * 2 + 256;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	if (limit.rlim_max < wanted && geteuid() == 0)
		limit.rlim_max = wanted;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warn_errno("RLIMIT_NOFILE");
}

/*
 * One supervisor a SPOOL_DIR: the slots of another's workers are not to be
 * swept.  The lock ends with it; one that was killed a moment ago may have a
 * child that has just been forked.
 */
static enum err
lock_spool(struct supervisor *sup)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_MS * 1000000L };
	int64_t until_us = clock_mono_us() + LOCK_WAIT_US;
	const char *dir = sup->config->spool_dir;

	sup->lock_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sup->lock_fd < 0) {
		log_warn_errno("SPOOL_DIR: cannot open %s", dir);
		return ERR_SYSTEM;
	}
	while (flock(sup->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		if (clock_mono_us() < until_us) {
			(void)nanosleep(&pause, NULL); /* a shorter one too */
			continue;
		}
		log_error("SPOOL_DIR: %s is in use by another minuted: two "
			  "instances need two SPOOL_DIR",
		    dir);
		return ERR_CONFLICT;
	}
	return OK;
}

static struct inflight_place
place_of(const struct config *config)
{
	return (struct inflight_place){ .spool_dir = config->spool_dir,
		.memory_dir = MEMORY_DIR,
		.tables = SCOREBOARD_SLOTS,
		.calls = (size_t)config->streams_max };
}

static enum err
open_board(struct supervisor *sup)
{
	const struct config *config = sup->config;
	const struct inflight_place place = place_of(config);
	int orphans;

	if (inflight_home(&place, &sup->home) != OK) {
		log_warn_errno("SPOOL_DIR: cannot use %s", config->spool_dir);
		return ERR_SYSTEM;
	}
	sup->board =
	    scoreboard_map(sup->home.data, (size_t)config->streams_max);
	if (sup->board == NULL) {
		log_warn_errno("cannot keep calls in hand under %s",
		    sup->home.data);
		return ERR_SYSTEM;
	}
	spool_board_look(&sup->board->spool, config->spool_dir);
	orphans = orphans_find(sup->board, config->spool_dir);
	if (orphans > 0)
		log_info("%d workers of a supervisor that was killed end what "
			 "they have",
		    orphans);
	return OK;
}

static enum err
open_all(struct supervisor *sup)
{
	const struct config *config = sup->config;
	enum err err;

	err = spool_check(config->spool_dir, worker_target(config));
	if (err == OK)
		err = lock_spool(sup);
	if (err != OK)
		return err;
	err = listener_open(config->socket, config->socket_group,
	    &sup->listen_fd);
	if (err != OK)
		return err;
	memcpy(sup->socket, config->socket, strlen(config->socket) + 1);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
		sup->handover) != 0) {
		log_warn_errno("socketpair");
		return ERR_SYSTEM;
	}
	return open_board(sup);
}

static void
close_all(struct supervisor *sup)
{
	if (sup->listen_fd >= 0)
		(void)close(sup->listen_fd); /* the process ends */
	if (sup->lock_fd >= 0)
		(void)close(sup->lock_fd); /* only read */
	scoreboard_unmap(sup->board);
	buf_fini(&sup->home);
	config_free(sup->config_old);
	config_free(sup->config);
}

int
supervisor_run(struct config *config)
{
	struct supervisor sup = { .config = config,
		.pid = getpid(),
		.listen_fd = -1,
		.lock_fd = -1 };
	struct inflight_place place;
	sigset_t signals;

	log_setup((enum log_level)config->log_level, "supervisor");
	buf_init(&sup.home, HOME_MAX);
	raise_descriptor_limit(config);
	if (open_all(&sup) != OK) {
		close_all(&sup);
		return 1;
	}
	block_signals(&signals);
	log_info("minuted serves %s", config->socket);
	fill_up(&sup);
	supervise(&sup, &signals);
	(void)unlink(sup.socket); /* nobody serves it any more */
	place = place_of(sup.config);
	inflight_leave_home(&place, sup.home.data);
	log_info("minuted has ended");
	close_all(&sup);
	return sup.exit_code;
}
