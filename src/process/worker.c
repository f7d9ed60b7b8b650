/*
 * worker.c - the life of a worker: read request_loop() first.
 */
#include "process/worker.h"

#include <errno.h>
#include <fcntl.h>
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
#include "db/crowd.h"
#include "db/migrate.h"
#include "http/fcgi.h"
#include "http/problem.h"
#include "process/appstart.h"
#include "process/balance.h"
#include "process/connections.h"
#include "process/listener.h"
#include "process/pulse.h"
#include "process/shed.h"
#include "process/stacks.h"
#include "process/sweep.h"
#include "process/waiting.h"

#define REQUEST_STACK (512 * 1024)
#define TICK_MS       200      /* heartbeat, schema check */
#define PAUSE_MS      5        /* before the socket is looked at again */
#define STALL_US      5000000  /* a thread that works longer is looked at */
#define HANG_US       15000000 /* ... and longer than this, told of */
#define TASKS         "/proc/self/task"
#define DRAIN_POLL_MS 5
#define ASK_US        2000000 /* for PostgreSQL, where others serve */
#define ASK_PAUSE_MS  50
#define ACCEPT_MAX    16
#define LOOK_MS       20 /* an overload may be over */
#define TOO_MANY      "too many requests wait"
#define WAITING_MAX   4096 /* connections taken at once when a drain begins */

struct worker {
	const struct worker_seat *seat;
	struct scoreboard_row *row;
	struct app app;
	struct connections *connections;
	struct shed shed;
	struct waiting waiting; /* taken out of epoll by the refuser */
	struct crowd crowd;     /* threads that wait for PostgreSQL */
	size_t body_max;
	int epoll_fd;
	int stop_fd;  /* eventfd: readable for good once threads must end */
	int pause_fd; /* timerfd: when to listen again */
	int wake_fd;  /* eventfd: a thread is to look at who waits */
	int alarm_fd; /* eventfd: the refuser is to look */
	pthread_t refuser;
	bool has_refuser;
	struct sweeping *sweeping; /* what dead workers leave */
	pthread_t *threads;
	struct pulse *pulses; /* of the threads */
	size_t thread_count;
	atomic_size_t pulses_taken;
	pthread_mutex_t listen_lock; /* guards listening and draining */
	bool listening;              /* the socket is in the epoll */
	bool draining;
	bool schema_ok;
	bool hangs; /* and has told where */
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
	else if (fd == worker->wake_fd)
		event.data.ptr = &worker->wake_fd;
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

	return balance_has_share(open, least) || is_full(worker);
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
	if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR ||
	    errno == EINVAL)
		return; /* another was faster, nginx gave up, or we drain */
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

/* The socket has its turn only when every connection that is ready had one:
 * with a queue, new ones would wait for that before they wait in it. */
static void
accept_beside(struct worker *worker)
{
	bool listening;

	pthread_mutex_lock(&worker->listen_lock);
	listening = worker->listening;
	pthread_mutex_unlock(&worker->listen_lock);
	if (listening && !has_its_share(worker))
		accept_connections(worker);
}

/* Without a time, nobody knows how long it has waited. */
static bool
has_no_time(struct worker *worker, const struct http_request *req)
{
	int64_t age_us = clock_wall_us() - req->arrived_us;

	if (req->arrived_us == 0)
		return false;
	if (age_us >= SHED_FRESH_US)
		accept_beside(worker);
	return shed_refuses(&worker->shed, clock_mono_us(), age_us);
}

/* Of a claimed connection; NULL: it is closed. */
static struct http_request *
read_request(struct worker *worker, struct link *link)
{
	struct http_request *req;

	if (connections_read(worker->connections, link, worker->body_max,
		&req) != OK) {
		count_connections(worker);
		return NULL;
	}
	req->app = &worker->app;
	return req;
}

static void
serve(struct worker *worker, struct db *db, struct link *link)
{
	struct http_request *req = read_request(worker, link);

	if (req == NULL)
		return;
	req->db = db;
	if (has_no_time(worker, req))
		(void)problem_reply(req, ERR_BUSY, TOO_MANY);
	else if (dispatch(req) == PARKED)
		return;      /* the relay, the journal or a pool answers it */
	request_finish(req); /* answers, logs, frees, arms the connection */
}

/* What epoll told.  NULL: it was no request, and was seen to; a link is
 * claimed.  False: the threads are to end. */
static bool
take_event(struct worker *worker, void *what, struct link **link)
{
	*link = NULL;
	if (what == &worker->stop_fd)
		return false;
	if (what == &worker->listening)
		accept_connections(worker);
	else if (what == &worker->seat)
		(void)take_handed_over(worker); /* or another did */
	else if (what == &worker->pause_fd)
		resume_listening(worker);
	else if (what == &worker->wake_fd)
		return true; /* its edge was all */
	else if (connections_claim(worker->connections, what))
		*link = what;
	else
		count_connections(worker);
	return true;
}

/* False: the threads are to end. */
static bool
next_link(struct worker *worker, struct link **link)
{
	struct epoll_event event;

	*link = waiting_take(&worker->waiting, INT64_MAX);
	if (*link != NULL || epoll_wait(worker->epoll_fd, &event, 1, -1) != 1)
		return true; /* EINTR */
	return take_event(worker, event.data.ptr, link);
}

static void
ring(int event_fd)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then it is readable. */
	(void)!write(event_fd, &one, sizeof(one));
}

/* Several edges may wake one thread only: each wakes the next. */
static void
wake_another(struct worker *worker)
{
	if (waiting_any(&worker->waiting) && shed_has_idle(&worker->shed))
		ring(worker->wake_fd);
}

static void
request_loop(struct worker *worker, struct db *db, struct pulse *pulse)
{
	struct link *link;
	bool goes_on;

	do {
		shed_wait(&worker->shed);
		pulse_wait(pulse);
		goes_on = next_link(worker, &link);
		pulse_work(pulse, clock_mono_us());
		shed_work(&worker->shed);
		wake_another(worker);
		if (link != NULL)
			serve(worker, db, link);
	} while (goes_on);
	pulse_wait(pulse);
}

/* One that waited unread, so that nothing was done for it. */
static void
refuse(struct worker *worker, struct link *link)
{
	struct http_request *req;

	shed_refused(&worker->shed, clock_mono_us());
	req = read_request(worker, link);
	if (req == NULL)
		return;
	(void)problem_reply(req, ERR_BUSY, TOO_MANY);
	request_finish(req);
}

static void
refuse_late(struct worker *worker, int64_t until_us)
{
	struct link *link = waiting_take(&worker->waiting, until_us);

	if (link != NULL)
		refuse(worker, link);
}

static void
keep_waiting(struct worker *worker, struct link *link)
{
	while (!waiting_put(&worker->waiting, link, clock_mono_us()))
		refuse_late(worker, INT64_MAX); /* the oldest makes room */
	wake_another(worker);
}

/* Until the oldest has waited too long. */
static int
patience_ms(struct worker *worker)
{
	int64_t since_us = waiting_since_us(&worker->waiting);
	int64_t left_us;

	if (since_us == INT64_MAX)
		return LOOK_MS;
	left_us = since_us + worker->shed.timeout_us - clock_mono_us();
	if (left_us <= 0)
		return 0;
	return left_us / 1000 + 1 < LOOK_MS ? (int)(left_us / 1000 + 1)
					    : LOOK_MS;
}

/* False: the threads are to end. */
static bool
take_one(struct worker *worker)
{
	struct epoll_event event;
	struct link *link = NULL;

	if (epoll_wait(worker->epoll_fd, &event, 1, patience_ms(worker)) != 1)
		return true;
	if (!take_event(worker, event.data.ptr, &link))
		return false;
	if (link != NULL)
		keep_waiting(worker, link);
	else
		wake_another(worker); /* whose edge it may have been */
	return true;
}

/* The same. */
static bool
refuse_while_overloaded(struct worker *worker)
{
	while (shed_is_overloaded(&worker->shed)) {
		if (!take_one(worker))
			return false;
		refuse_late(worker, clock_mono_us() - worker->shed.timeout_us);
	}
	wake_another(worker);
	return true;
}

/* Looks at all that comes while too much does; the others serve what it keeps
 * waiting, and it refuses what they do not get to in time. */
static void *
refuser_thread(void *arg)
{
	struct worker *worker = arg;
	struct pollfd calls[] = { { .fd = worker->alarm_fd, .events = POLLIN },
		{ .fd = worker->stop_fd, .events = POLLIN } };
	uint64_t times;

	while (poll(calls, 2, -1) >= 0 && calls[1].revents == 0) {
		(void)!read(worker->alarm_fd, &times, sizeof(times));
		if (!refuse_while_overloaded(worker))
			break;
	}
	return NULL;
}

static void
look_for_overload(struct worker *worker)
{
	if (shed_look(&worker->shed, clock_mono_us()))
		ring(worker->alarm_fd);
}

static void *
request_thread(void *arg)
{
	struct worker *worker = arg;
	const struct config *config = worker->seat->config;
	struct pulse *pulse =
	    &worker->pulses[atomic_fetch_add(&worker->pulses_taken, 1)];
	struct db *db =
	    db_new(&(struct db_options){ .url = config->database_url,
		.application = "minuted worker",
		.statement_ms = config->statement_ms,
		.lock_ms = config->lock_ms,
		.crowd = &worker->crowd });

	if (db != NULL)
		request_loop(worker, db, pulse);
	db_free(db);
	return NULL;
}

static enum err
start_threads(struct worker *worker)
{
	size_t count = (size_t)worker->seat->config->threads;
	pthread_attr_t attr;

	crowd_init(&worker->crowd, (int)count);
	worker->threads = calloc(count, sizeof(*worker->threads));
	worker->pulses = calloc(count, sizeof(*worker->pulses));
	if (worker->threads == NULL || worker->pulses == NULL)
		return ERR_MEMORY;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, REQUEST_STACK);
	for (size_t i = 0; i < count; i++) {
		if (pthread_create(&worker->threads[i], &attr, request_thread,
			worker) != 0)
			break;
		worker->thread_count++;
	}
	worker->has_refuser = pthread_create(&worker->refuser, &attr,
				  refuser_thread, worker) == 0;
	pthread_attr_destroy(&attr);
	return worker->thread_count > 0 ? OK : ERR_SYSTEM;
}

static void
stop_threads(struct worker *worker)
{
	ring(worker->stop_fd);
	for (size_t i = 0; i < worker->thread_count; i++)
		pthread_join(worker->threads[i], NULL);
	if (worker->has_refuser)
		pthread_join(worker->refuser, NULL);
	free(worker->threads);
	free(worker->pulses);
	worker->threads = NULL;
	worker->pulses = NULL;
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

static struct db_options
check_options(const struct worker *worker)
{
	const struct config *config = worker->seat->config;

	return (struct db_options){ .url = config->database_url,
		.application = "minuted check",
		.statement_ms = config->statement_ms,
		.lock_ms = config->lock_ms };
}

static void
sleep_ms(long ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000L };

	(void)nanosleep(&time, NULL); /* signals are blocked */
}

/* False: it does not, or PostgreSQL cannot be asked; exit_code says which. */
static bool
schema_fits(struct worker *worker)
{
	const struct db_options options = check_options(worker);
	int64_t until_us = clock_mono_us() + ASK_US;
	struct db *db = db_new(&options);

	check_schema(worker, db);
	while (!worker->schema_ok && worker->exit_code == 0 &&
	       clock_mono_us() < until_us) {
		sleep_ms(ASK_PAUSE_MS);
		check_schema(worker, db);
	}
	db_free(db);
	if (!worker->schema_ok && worker->exit_code == 0)
		worker->exit_code = WORKER_EXIT_AWAY;
	return worker->schema_ok;
}

static bool
is_asked_to_end(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) ||
						sigismember(&pending, SIGUSR2));
}

/* Who starts while PostgreSQL is away knows nobody, and would refuse whom the
 * others know: it leaves the socket to them as long as they are there. */
static void
wait_beside_others(struct worker *worker)
{
	const struct db_options options = check_options(worker);
	struct db *db = db_new(&options);

	check_schema(worker, db);
	while (!worker->schema_ok && worker->exit_code == 0 &&
	       scoreboard_ready(worker->seat->board) > 0 &&
	       !is_asked_to_end()) {
		atomic_store(&worker->row->heartbeat_us,
		    (unsigned long long)clock_mono_us());
		sleep_ms(ASK_PAUSE_MS);
		check_schema(worker, db);
	}
	db_free(db);
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

/* The supervisor will kill us: what is known of the cause is lost then. */
static void
tell_of_hang(struct worker *worker, bool hangs)
{
	if (hangs && !worker->hangs) {
		log_error("threads of this worker do not get on");
		stacks_log();
	}
	worker->hangs = hangs;
}

/* Says to the supervisor that this worker gets on, as far as it does. */
static void
beat(struct worker *worker)
{
	const struct config *config = worker->seat->config;
	const struct pulse_worker all = {
		.relay_since_us = relay_busy_since_us(worker->app.relay),
		.threads = worker->pulses,
		.count = worker->thread_count,
		.patience_us = (config->statement_ms + config->lock_ms) * 1000
	};
	int64_t now_us = clock_mono_us();
	int64_t last_us = pulse_last_us(&all, now_us);

	if (now_us - last_us > STALL_US && pulse_waits_for_disk(TASKS))
		last_us = now_us;
	atomic_store(&worker->row->heartbeat_us, (unsigned long long)last_us);
	tell_of_hang(worker, now_us - last_us > HANG_US);
}

/* db: a connection for the schema's check, or NULL when that is done. */
static void
tick(struct worker *worker, struct db *db)
{
	beat(worker);
	look_for_overload(worker);
	journal_watch(worker->app.journal);
	limits_catch_up(worker->app.limits);
	limits_catch_up(worker->app.logins);
	publish(worker);
	check_schema(worker, db);
}

/* Runs until a signal asks to end; returns it, 0 when the schema is wrong. */
static int
supervise_self(struct worker *worker, const sigset_t *signals)
{
	const struct timespec tick_time = { .tv_nsec = TICK_MS * 1000000L };
	const struct db_options options = check_options(worker);
	struct db *db = db_new(&options);
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

/*
 * Whoever connects is not to wait for a process that accepts no more: once
 * all have left the socket, the next supervisor finds it free.  Another thread
 * may be about to use the descriptor, so something else takes its place.
 */
static void
leave_socket(const struct worker *worker)
{
	int deaf = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (deaf < 0)
		return;
	(void)dup3(deaf, worker->seat->listen_fd, O_CLOEXEC);
	(void)close(deaf); /* the copy is what counts */
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
	leave_socket(worker);
	atomic_store(&worker->row->state, WORKER_DRAINING);
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
		journal_watch(worker->app.journal);
		limits_catch_up(worker->app.limits);
		limits_catch_up(worker->app.logins);
		beat(worker);
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
	worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	worker->alarm_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (worker->epoll_fd < 0 || worker->stop_fd < 0 ||
	    worker->pause_fd < 0 || worker->wake_fd < 0 || worker->alarm_fd < 0)
		return ERR_SYSTEM;
	worker->connections = connections_new(worker->epoll_fd);
	return worker->connections == NULL ? ERR_MEMORY : OK;
}

static size_t
count_waiting(void *connections, size_t enough)
{
	return connections_waiting(connections, enough);
}

static enum err
start_sweeping(struct worker *worker)
{
	const struct db_options options = check_options(worker);

	return sweep_start(&(struct sweeper){ .board = worker->seat->board,
			       .journal = worker->app.journal,
			       .database = &options },
	    &worker->sweeping);
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
	worker->shed.queue_max = (size_t)seat->config->queue_max;
	worker->shed.waiting = count_waiting;
	worker->shed.arg = worker->connections;
	err = waiting_init(&worker->waiting, worker->shed.queue_max);
	if (err != OK)
		return err;
	if (seat->others_serve && !schema_fits(worker))
		return ERR_CONFLICT;
	if (!seat->others_serve && scoreboard_ready(seat->board) > 0)
		wait_beside_others(worker);
	if (worker->exit_code != 0)
		return ERR_CONFLICT;
	watch(worker, worker->stop_fd, EPOLLIN);
	watch(worker, worker->pause_fd, EPOLLIN | EPOLLET);
	watch(worker, worker->wake_fd, EPOLLIN | EPOLLET);
	watch(worker, seat->handover[1], EPOLLIN | EPOLLEXCLUSIVE);
	inflight_begin(seat->board->inflight[seat->slot], &worker->app.life);
	resume_listening(worker);
	err = start_sweeping(worker);
	if (err == OK)
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
	sigdelset(signals, SIGURG); /* stacks.h */
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

	stacks_init();
	block_signals(&signals);
	/* the supervisor's death is our SIGTERM: nobody else would restart us
	 * on a new configuration, or write the end of our calls */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != seat->supervisor)
		return WORKER_EXIT_OK;   /* it died before that */
	(void)prctl(PR_SET_DUMPABLE, 0); /* no secret in a core file */
	if (start(&worker) != OK) {
		free(worker.threads);
		free(worker.pulses);
		waiting_free(&worker.waiting);
		if (worker.exit_code != 0)
			return worker.exit_code; /* which says why */
		log_error("the worker cannot start");
		return WORKER_EXIT_START;
	}
	caught = supervise_self(&worker, &signals);
	if (worker.exit_code == 0)
		drain(&worker, caught == SIGUSR2);
	stop_threads(&worker);
	sweep_stop(worker.sweeping);
	app_stop(&worker.app, 0);
	connections_free(worker.connections);
	waiting_free(&worker.waiting);
	return worker.exit_code;
}
