/*
 * worker.c - the life of a worker: read request_loop() first.
 */
#include "process/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "api/dispatch.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/migrate.h"
#include "http/fcgi.h"
#include "http/problem.h"
#include "process/appstart.h"
#include "process/connections.h"
#include "process/listener.h"
#include "process/shed.h"
#include "process/sweep.h"

#define REQUEST_STACK (512 * 1024)
#define TICK_MS       200 /* heartbeat, sweep, schema check */
#define PAUSE_MS      5   /* before the socket is looked at again */
#define BALANCE_SLACK 8   /* connections above the least loaded worker */
#define DRAIN_POLL_MS 5
#define ACCEPT_MAX    16
#define WAITING_MAX   4096 /* connections taken at once when a drain begins */

struct worker {
	const struct worker_seat *seat;
	struct scoreboard_row *row;
	struct app app;
	struct connections *connections;
	struct shed shed;
	size_t body_max;
	int epoll_fd;
	int stop_fd;  /* eventfd: readable for good once threads must end */
	int pause_fd; /* timerfd: when to listen again */
	pthread_t *threads;
	size_t thread_count;
	pthread_mutex_t listen_lock; /* guards listening and draining */
	bool listening;              /* the socket is in the epoll */
	bool draining;
	bool schema_ok;
	int exit_code;
};

static void
watch(struct worker *worker, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	/* The members of struct worker that hold special descriptors are
	 * told from links by their address: see request_loop(). */
	if (fd == worker->seat->listen_fd)
		event.data.ptr = &worker->listening;
	else if (fd == worker->seat->handover[1])
		event.data.ptr = &worker->seat;
	else if (fd == worker->stop_fd)
		event.data.ptr = &worker->stop_fd;
	else
		event.data.ptr = &worker->pause_fd;
	if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		log_warn_errno("epoll: cannot watch descriptor %d", fd);
}

static void
pause_listening(struct worker *worker)
{
	struct itimerspec when = { .it_value.tv_nsec = PAUSE_MS * 1000000L };

	pthread_mutex_lock(&worker->listen_lock);
	if (worker->listening) {
		(void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL,
		    worker->seat->listen_fd, NULL); /* it is in there */
		worker->listening = false;
	}
	if (!worker->draining)
		(void)timerfd_settime(worker->pause_fd, 0, &when, NULL);
	pthread_mutex_unlock(&worker->listen_lock);
}

static bool
is_full(const struct worker *worker)
{
	return (int64_t)connections_open(worker->connections) >=
	       worker->app.config->connections_max;
}

static bool
has_its_share(const struct worker *worker)
{
	int open = (int)connections_open(worker->connections);
	int least = scoreboard_least(worker->seat->board);

	return open >= least + BALANCE_SLACK + least / 8 || is_full(worker);
}

/*
 * EPOLLEXCLUSIVE tells one worker of a connection.  When that one takes the
 * socket out of its epoll before it has accepted, nobody is told again until
 * the next connection comes: whoever lets go of the socket looks again.
 */
static bool
somebody_waits(const struct worker *worker)
{
	struct pollfd listener = { .fd = worker->seat->listen_fd,
		.events = POLLIN };

	return poll(&listener, 1, 0) > 0;
}

static void
resume_listening(struct worker *worker)
{
	uint64_t expirations;

	(void)!read(worker->pause_fd, &expirations, sizeof(expirations));
	if (is_full(worker) ||
	    (has_its_share(worker) && !somebody_waits(worker))) {
		pause_listening(worker);
		return;
	}
	pthread_mutex_lock(&worker->listen_lock);
	if (!worker->listening && !worker->draining) {
		watch(worker, worker->seat->listen_fd,
		    EPOLLIN | EPOLLEXCLUSIVE);
		worker->listening = true;
	}
	pthread_mutex_unlock(&worker->listen_lock);
}

static void
count_connections(struct worker *worker)
{
	atomic_store(&worker->row->connections,
	    (int)connections_open(worker->connections));
}

/* False: see errno. */
static bool
accept_one(struct worker *worker)
{
	int fd = accept4(worker->seat->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	if (connections_add(worker->connections, fd) != OK)
		log_warn("a connection could not be kept");
	count_connections(worker);
	return true;
}

/* Several at once: one for each time that its turn comes would let them wait
 * behind every request while threads are short. */
static void
accept_connections(struct worker *worker)
{
	for (int i = 0; i < ACCEPT_MAX; i++) {
		if (!accept_one(worker))
			break;
		if (has_its_share(worker)) {
			pause_listening(worker);
			return;
		}
		errno = EAGAIN;
	}
	if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
		return; /* another thread was faster, or nginx gave up */
	log_warn_errno("accept");
	pause_listening(worker); /* out of descriptors: others may free some */
}

static bool
take_handed_over(struct worker *worker)
{
	int fd;

	if (listener_receive_fd(worker->seat->handover[1], &fd) != OK)
		return false;
	if (connections_add(worker->connections, fd) != OK)
		log_warn("a connection could not be kept");
	count_connections(worker);
	return true;
}

static void
serve(struct worker *worker, struct db *db, struct link *link)
{
	struct http_request *req;

	if (!connections_claim(worker->connections, link) ||
	    connections_read(worker->connections, link, worker->body_max,
		&req) != OK) {
		count_connections(worker);
		return;
	}
	req->app = &worker->app;
	req->db = db;
	if (shed_refuses(&worker->shed, req))
		(void)problem_reply(req, ERR_BUSY, "too many requests wait");
	else if (dispatch(req) == PARKED)
		return;      /* the relay, the journal or a pool answers it */
	request_finish(req); /* answers, logs, frees, arms the connection */
}

static void
request_loop(struct worker *worker, struct db *db)
{
	struct epoll_event event;

	for (;;) {
		int count;

		shed_wait(&worker->shed);
		count = epoll_wait(worker->epoll_fd, &event, 1, -1);
		shed_work(&worker->shed);
		if (count != 1)
			continue; /* EINTR */
		if (event.data.ptr == &worker->stop_fd)
			return;
		if (event.data.ptr == &worker->listening)
			accept_connections(worker);
		else if (event.data.ptr == &worker->seat)
			(void)take_handed_over(worker); /* or another did */
		else if (event.data.ptr == &worker->pause_fd)
			resume_listening(worker);
		else
			serve(worker, db, event.data.ptr);
	}
}

static void *
request_thread(void *arg)
{
	struct worker *worker = arg;
	const struct config *config = worker->seat->config;
	struct db *db =
	    db_new(&(struct db_options){ .url = config->database_url,
		.application = "minuted worker",
		.statement_ms = config->statement_ms,
		.lock_ms = config->lock_ms });

	if (db != NULL)
		request_loop(worker, db);
	db_free(db);
	return NULL;
}

static enum err
start_threads(struct worker *worker)
{
	size_t count = (size_t)worker->seat->config->threads;
	pthread_attr_t attr;

	worker->threads = calloc(count, sizeof(*worker->threads));
	if (worker->threads == NULL)
		return ERR_MEMORY;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, REQUEST_STACK);
	for (size_t i = 0; i < count; i++) {
		if (pthread_create(&worker->threads[i], &attr, request_thread,
			worker) != 0)
			break;
		worker->thread_count++;
	}
	pthread_attr_destroy(&attr);
	return worker->thread_count > 0 ? OK : ERR_SYSTEM;
}

static void
stop_threads(struct worker *worker)
{
	uint64_t one = 1;

	if (write(worker->stop_fd, &one, sizeof(one)) < 0)
		log_warn_errno("eventfd");
	for (size_t i = 0; i < worker->thread_count; i++)
		pthread_join(worker->threads[i], NULL);
	free(worker->threads);
	worker->threads = NULL;
}

/* Once PostgreSQL can be reached: does its schema fit this program? */
static void
check_schema(struct worker *worker, struct db *db)
{
	enum migrate_state state;

	if (worker->schema_ok || db == NULL || migrate_check(db, &state) != OK)
		return;
	if (state == MIGRATE_CURRENT) {
		worker->schema_ok = true;
		return;
	}
	log_error("%s", migrate_state_text(state));
	worker->exit_code = WORKER_EXIT_SCHEMA;
}

static void
publish(struct worker *worker)
{
	atomic_ullong *counts = worker->row->counts;
	struct relay_stats relay;
	struct journal_stats journal;

	relay_stats(worker->app.relay, &relay);
	journal_stats(worker->app.journal, &journal);
	counts[COUNT_REQUESTS] = connections_answered(worker->connections);
	counts[COUNT_RECORDS] = journal.records;
	counts[COUNT_BATCHES] = journal.batches;
	counts[COUNT_REFUSED] = journal.refused;
	counts[COUNT_SPOOLED] = journal.spooled;
	counts[COUNT_REPLAYED] = journal.replayed;
	counts[COUNT_DEAD_LETTERS] = journal.dead_letters;
	counts[COUNT_CALLS_STARTED] = relay.started;
	counts[COUNT_CALLS_COMPLETED] = relay.completed;
	counts[COUNT_CALLS_FAILED] = relay.failed;
	counts[COUNT_CALLS_CANCELLED] = relay.cancelled;
	counts[COUNT_QUEUED] = journal.queued;
	counts[COUNT_SPOOL_BYTES] = journal.spool_bytes;
	counts[COUNT_CALLS_OPEN] = relay.open;
	counts[COUNT_CONNECTIONS] = connections_open(worker->connections);
	atomic_store(&worker->row->database_up, journal.database_up ? 1 : 0);
	count_connections(worker);
}

static void
tick(struct worker *worker, struct db *db)
{
	atomic_store(&worker->row->heartbeat_us,
	    (unsigned long long)clock_mono_us());
	publish(worker);
	check_schema(worker, db);
	sweep_dead(worker->seat->board, worker->seat->slot,
	    worker->app.journal);
}

/* Runs until a signal asks to end; returns it, 0 when the schema is wrong. */
static int
supervise_self(struct worker *worker, const sigset_t *signals)
{
	const struct timespec tick_time = { .tv_nsec = TICK_MS * 1000000L };
	const struct config *config = worker->seat->config;
	struct db *db =
	    db_new(&(struct db_options){ .url = config->database_url,
		.application = "minuted check",
		.statement_ms = config->statement_ms,
		.lock_ms = config->lock_ms });
	int caught;

	do {
		tick(worker, worker->schema_ok ? NULL : db);
		if (worker->schema_ok && db != NULL) {
			db_free(db); /* a connection less while idle */
			db = NULL;
		}
		caught = sigtimedwait(signals, NULL, &tick_time);
	} while (worker->exit_code == 0 && caught != SIGTERM &&
		 caught != SIGUSR2);
	db_free(db);
	return worker->exit_code == 0 ? caught : 0;
}

static void
stop_listening(struct worker *worker)
{
	pthread_mutex_lock(&worker->listen_lock);
	worker->draining = true;
	pthread_mutex_unlock(&worker->listen_lock);
	pause_listening(worker);
	(void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL,
	    worker->seat->handover[1], NULL); /* may be out already */
	/* what only this worker was told of: see somebody_waits() */
	for (int i = 0; i < WAITING_MAX && accept_one(worker); i++)
		continue;
	for (int i = 0; i < WAITING_MAX && take_handed_over(worker); i++)
		continue;
	atomic_store(&worker->row->state, WORKER_DRAINING);
}

static void
sleep_ms(long ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000L };

	(void)nanosleep(&time, NULL); /* signals are blocked */
}

/* Requests in threads end by themselves; parked calls up to the deadline. */
static void
drain(struct worker *worker, bool hand_over)
{
	const struct worker_seat *seat = worker->seat;
	int64_t deadline = clock_mono_us() + seat->config->drain_ms * 1000;
	struct relay_stats relay;

	stop_listening(worker);
	connections_drain(worker->connections,
	    hand_over ? seat->handover[0] : -1);
	do {
		sleep_ms(DRAIN_POLL_MS);
		relay_stats(worker->app.relay, &relay);
		atomic_store(&worker->row->heartbeat_us,
		    (unsigned long long)clock_mono_us());
		/* the idle ones too: each is handed over or closed */
	} while ((connections_open(worker->connections) > 0 ||
		     relay.open > 0) &&
		 clock_mono_us() < deadline);
	relay_drain(worker->app.relay, deadline);
	publish(worker);
	/* what the relay ended is being written by the journal: wait for it */
	while (connections_busy(worker->connections) > 0 &&
	       clock_mono_us() < deadline + 2000000)
		sleep_ms(DRAIN_POLL_MS);
}

static enum err
open_descriptors(struct worker *worker)
{
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->stop_fd = eventfd(0, EFD_CLOEXEC);
	worker->pause_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (worker->epoll_fd < 0 || worker->stop_fd < 0 || worker->pause_fd < 0)
		return ERR_SYSTEM;
	worker->connections = connections_new(worker->epoll_fd);
	return worker->connections == NULL ? ERR_MEMORY : OK;
}

static enum err
start(struct worker *worker)
{
	const struct worker_seat *seat = worker->seat;
	enum err err = open_descriptors(worker);

	if (err != OK)
		return err;
	err = fcgi_setup();
	if (err != OK)
		return err;
	err = app_start(seat->config, seat->board, seat->slot, &worker->app);
	if (err != OK)
		return err;
	worker->body_max = dispatch_body_max(seat->config);
	worker->shed.timeout_us = seat->config->queue_ms * 1000;
	watch(worker, worker->stop_fd, EPOLLIN);
	watch(worker, worker->pause_fd, EPOLLIN | EPOLLET);
	watch(worker, seat->handover[1], EPOLLIN | EPOLLEXCLUSIVE);
	resume_listening(worker);
	err = start_threads(worker);
	if (err == OK)
		atomic_store(&worker->row->state, WORKER_READY);
	return err;
}

static void
block_signals(sigset_t *signals)
{
	sigfillset(signals);
	sigdelset(signals, SIGSEGV);
	sigdelset(signals, SIGBUS);
	sigdelset(signals, SIGFPE);
	sigdelset(signals, SIGILL);
	sigdelset(signals, SIGABRT);
	pthread_sigmask(SIG_SETMASK, signals, NULL);
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGUSR2);
}

int
worker_run(const struct worker_seat *seat)
{
	struct worker worker = { .seat = seat,
		.row = &seat->board->rows[seat->slot],
		.listen_lock = PTHREAD_MUTEX_INITIALIZER };
	sigset_t signals;
	int caught;

	block_signals(&signals);
	/* the supervisor's death is our SIGTERM: nobody else would restart us
	 * on a new configuration, or write the end of our calls */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)prctl(PR_SET_DUMPABLE, 0); /* no secret in a core file */
	if (start(&worker) != OK) {
		log_error("the worker cannot start");
		return WORKER_EXIT_START;
	}
	caught = supervise_self(&worker, &signals);
	if (worker.exit_code == 0)
		drain(&worker, caught == SIGUSR2);
	stop_threads(&worker);
	app_stop(&worker.app, 0);
	connections_free(worker.connections);
	return worker.exit_code;
}
