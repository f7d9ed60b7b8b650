"""test_f_database.py - PostgreSQL that dies, hangs, is slow, or has no room."""

import collections
import concurrent.futures
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from faultproxy import FaultProxy
from harness import (Load, calls_were, descriptors, frozen, no_loss, not_disturbed, note,
                     postmaster, sampled, segments, settle, spool_figures)
from instance import ROOT, wait_until
from killloop import LONG, Injector, enough_for, make_plan


@pytest.mark.slow
def test_f06_killed_backends_and_postmasters_lose_nothing(synced_cluster, make_instance):
    kinds = 6 * ["backend"] + 3 * ["postmaster"] + ["immediate", "terminate", "freeze"]
    instance = make_instance(cluster=synced_cluster, env=LONG)
    with Load(instance, instance.user(), keys=True) as load:
        injector = Injector(instance)
        injector.run(make_plan(6, enough_for(200), kinds), 200)
        time.sleep(0.5)
    assert injector.kills() >= 200 and set(injector.done) == set(kinds), injector.done
    figures = load.audit()
    no_loss(figures)
    note("F-06", "SIGKILL of backends and postmaster, between immediate stops, ended and "
         "frozen backends", injector.kills(), figures,
         "calls go on through the spool, reads are 503 until PostgreSQL has recovered; hits: "
         + injector.told())


def key_of(instance, user):
    got = user.post("/api/apikeys", {"name": "k"})
    assert got.status == 201, got
    instance.secrets.append(got.json()["key"])
    return instance.http.as_user(got.json()["key"])


def test_f07_postgres_down_calls_go_on_from_cache_and_spool(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    user = instance.user()
    keyed = key_of(instance, user)
    instance.know(user, keyed)
    cluster.stop("immediate")
    ids = []
    for client in (user, keyed) * 5:
        began = time.monotonic()
        got = client.chat("while away")
        assert got.status == 200, got
        ids.append(got.headers["X-Call-Id"])
        with client.chat_stream("chunks=3") as stream:
            assert stream.status == 200
            assert stream.texts()[-1] == "[DONE]"
        ids.append(stream.headers["X-Call-Id"])
        assert time.monotonic() - began < 4
    logged = keyed.post("/api/event-log", {"user_id": "u", "message": "m"})
    assert logged.status == 201 and logged.headers["X-Durable"] == "spool"
    assert spool_figures(instance)["records"] >= len(ids)

    health = instance.http.get("/health")
    assert health.status == 503
    assert health.json()["error"]["database"]["status"] == "down"
    for path in ("/v1/calls", "/api/event-logs", "/api/user/stats"):
        began = time.monotonic()
        got = user.get(path)
        assert got.status == 503 and int(got.headers["Retry-After"]) > 0, (path, got)
        assert time.monotonic() - began < 2, path
    assert instance.http.post("/auth/login", {
        "email": user.email, "password": user.password}).status == 503

    cluster.start()
    began = time.monotonic()
    wait_until(lambda: user.get("/v1/calls").status == 200, 5)
    noticed = time.monotonic() - began
    settle(instance, 10)
    rows = instance.psql("select id from minuted.calls where status = 'completed'")
    assert set(ids) <= {row[0] for row in rows}
    assert noticed < 1, noticed


OUTAGE = 600  # seconds


@pytest.mark.slow
def test_f07_ten_minutes_of_outage_under_load(synced_cluster, make_instance):
    """A call waits for one commit before, and for two fsyncs of the spool
    meanwhile: of its start, which is kept before the provider is asked, and of
    its end."""
    cluster = synced_cluster
    instance = make_instance(cluster=cluster, env={"SPOOL_MAX": "16g", **LONG})
    user = instance.user()
    instance.know(user)
    with Load(instance, user) as load:
        time.sleep(1)
        usual = sampled(instance, user, 30, 20)
        cluster.stop("immediate")
        within = sampled(instance, user, 60, OUTAGE)
        waiting = spool_figures(instance)["records"]
        cluster.start()
        began = time.monotonic()
        wait_until(lambda: spool_figures(instance)["segments"] == 0, 600, 0.2)
        drained = time.monotonic() - began
        usual += sampled(instance, user, 30, 20)
    figures = load.audit()
    no_loss(figures)
    assert waiting > 10000
    assert drained < 5 + waiting / 10000, (waiting, drained)
    calls = sum(n for name, n in load.counts.items() if name in ("whole 200", "stream 200"))
    bad = sum(n for name, n in load.failed().items() if name.startswith(("whole", "stream")))
    assert bad <= calls / 100, load.counts
    not_disturbed(usual, within, 4)  # the load has all of the machine
    note("F-07", "PostgreSQL down for ten minutes under load", 1, figures,
         "calls and ingest go on into the spool, reads are 503; " +
         calls_were("meanwhile", usual, within, "before and after"))


BATCH = 1000  # records of a batch that is ingested


def batch_of(path):
    one = {"user_id": "u", "message": "one of many"}
    if path.startswith("/api/llm-log"):
        one = {"user_id": "u", "source": "s", "query": "what is it", "response": "an answer"}
    return {"logs": [one] * BATCH}


def ingest(client, batches):
    """Events and calls, taking turns; all have to be in the spool then."""
    client.check = False  # of each answer, and of each batch
    for number in range(batches):
        path = ["/api/event-log/batch", "/api/llm-log/batch"][number % 2]
        got = client.post(path, batch_of(path))
        assert got.status == 201 and got.headers["X-Durable"] == "spool", got


@pytest.mark.parametrize("batches", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_f07_what_waits_is_delivered_at_ten_thousand_a_second(cluster, make_instance, batches):
    instance = make_instance(cluster=cluster)
    keyed = key_of(instance, instance.user())
    instance.know(keyed)
    settle(instance)
    cluster.stop("immediate")
    ingest(keyed, batches)
    wanted = batches * BATCH
    assert spool_figures(instance)["records"] == wanted
    cluster.start()
    began = time.monotonic()

    def there():
        rows = instance.psql("select (select count(*) from minuted.events) + (select count(*) "
                             "from minuted.calls where kind = 'ingest')")
        return int(rows[0][0]) == wanted

    wait_until(there, 60)
    rate = wanted / (time.monotonic() - began)  # with the time until it was noticed
    settle(instance)
    assert rate > 10000 if batches > 100 else rate > 5000, rate
    note("F-07 replay", "a spool of so many records, and PostgreSQL back", wanted,
         {"acknowledged": wanted, "missing": 0, "duplicate": 0},
         f"delivered at {rate:,.0f} a second, from its start on")


def size_of_spool(instance):
    return sum(path.stat().st_size for path in segments(instance))


def test_f07_the_spool_has_a_ceiling_and_is_taken_from_again(cluster, make_instance, provider):
    ceiling = 8 << 20
    instance = make_instance(cluster=cluster, env={"SPOOL_MAX": ceiling})
    user = instance.user()
    keyed = key_of(instance, user)
    keyed.check = False
    instance.know(keyed)
    instance.know(user)
    settle(instance)
    cluster.stop("immediate")
    taken = 0
    while (got := keyed.post("/api/event-log/batch", batch_of("/api/event-log"))).status == 201:
        taken += BATCH
    assert got.status == 503 and int(got.headers["Retry-After"]) > 0, got

    def refused():
        mark = f"m{time.monotonic_ns()}"
        got = user.chat(f"tag={mark}")
        return got.status == 503 and not provider.seen(mark)

    wait_until(refused)
    assert ceiling / 4 < size_of_spool(instance) <= ceiling
    cluster.start()
    wait_until(lambda: user.chat().status == 200)
    settle(instance)
    assert int(instance.psql("select count(*) from minuted.events")[0][0]) >= taken


def proxied(cluster, instance):
    """The instance's PostgreSQL behind a proxy."""
    there = instance.dir / "proxy"
    there.mkdir(mode=0o755)
    proxy = FaultProxy(str(cluster.dir / "run/.s.PGSQL.5432"), listen=there / ".s.PGSQL.5432")
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL"):
        url = str(instance.settings[name])
        instance.settings[name] = url.partition("?")[0] + f"?host={there}"
    return proxy


@pytest.fixture
def behind_proxy(cluster, make_instance):
    instance = make_instance(start=False, cluster=cluster)
    proxy = proxied(cluster, instance)
    instance.start()
    yield instance, proxy
    proxy.stop()


def test_f08_a_slow_postgres_sheds_and_streams_go_on(behind_proxy):
    instance, proxy = behind_proxy
    user = instance.user()
    instance.know(user)
    load = Load(instance, user)
    with user.chat_stream("chunks=40 delay=0.1") as stream:
        events = stream.events()
        next(events)
        proxy.latency = 0.5
        gaps, last = [], time.monotonic()
        for event in events:
            gaps.append(event.at - last)
            last = event.at
            if event.data == "[DONE]":
                break
        assert event.data == "[DONE]"
    counts = load.stop()
    proxy.latency = 0
    assert max(gaps[:-1]) < 0.6, max(gaps)
    assert not [name for name in counts if name.endswith(("late", "broken", "cut"))], counts
    figures = load.audit()
    no_loss(figures)
    note("F-08", "every answer of PostgreSQL 500 ms late", 1, figures,
         "records wait for their commit or go to the spool, running streams are not touched")


def test_f06_a_key_whose_taking_was_not_heard_of_is_taken_again(behind_proxy):
    """PostgreSQL has committed it, and the connection dies before it says so."""
    instance, proxy = behind_proxy
    user = instance.user()
    instance.know(user)
    user.check = False

    def post():
        return user.post("/api/chats", {"title": "once"}, headers={"Idempotency-Key": "k"})

    def taken():
        return instance.psql("select count(*) from minuted.idempotency_keys") == [["1"]]

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        proxy.latency = 2  # of what PostgreSQL says
        first = pool.submit(post)
        wait_until(taken)
        proxy.latency = 0
        proxy.cut_all()
        assert first.result().status == 503
    seen = []

    def answered():
        seen.append(post().status)
        return seen[-1] == 201

    wait_until(answered, 10)
    assert set(seen[:-1]) <= {409, 503}, seen
    assert instance.psql("select count(*) from minuted.chats") == [["1"]]


def sessions(instance):
    """Process ids of PostgreSQL's for what is connected."""
    rows = instance.psql("select pid from pg_stat_activity where datname = current_database()"
                         " and application_name like 'minuted%'")
    return [int(row[0]) for row in rows]


def impatient(cluster, make_instance):
    """An instance of one thread that waits for PostgreSQL for a second, and what
    makes a chat with a key."""
    instance = make_instance(cluster=cluster, env={"WORKERS": 1, "THREADS": 1,
                                                   "STATEMENT_TIMEOUT": "1s"})
    user = instance.user()
    user.check = False

    def post(key):
        return user.post("/api/chats", {"title": key}, headers={"Idempotency-Key": key})

    wait_until(lambda: post("warm").status == 201)
    return instance, post


@pytest.mark.parametrize("what", ["all of it", "open sessions"])
def test_f17_a_key_that_a_frozen_postgres_takes_when_it_thaws_is_taken_again(
        cluster, make_instance, what):
    """It was not waited for any more; of sessions only, the key is freed in
    vain before it is taken."""
    instance, post = impatient(cluster, make_instance)
    pids = None if what == "all of it" else sessions(instance)
    with frozen(cluster, pids):
        assert post("k").status == 504
        if pids is not None:
            time.sleep(2)  # in which the key is looked for
            assert instance.psql("select count(*) from minuted.idempotency_keys") == [["1"]]
    wait_until(lambda: instance.psql("select count(*) from minuted.idempotency_keys") == [["2"]])
    seen = []

    def answered():
        seen.append(post("k").status)
        return seen[-1] == 201

    wait_until(answered, 15)
    assert set(seen[:-1]) <= {409, 503, 504}, seen
    assert instance.psql("select count(*) from minuted.chats where title = 'k'") == [["1"]]


def killed(instance):
    worker, = instance.workers()
    os.kill(worker, signal.SIGKILL)


def reloaded(instance):
    worker, = instance.workers()
    instance.reload()
    wait_until(lambda: worker not in instance.workers())


def restarted(instance):
    instance.stop_minuted()
    instance.start_minuted()


@pytest.mark.parametrize("end", [killed, reloaded, restarted])
def test_f17_a_key_that_a_frozen_postgres_takes_for_a_worker_that_ended_is_taken_again(
        cluster, make_instance, end):
    """It is taken after the keys of that worker were freed."""
    instance, post = impatient(cluster, make_instance)
    def taken():
        return instance.psql("select count(*) from minuted.idempotency_keys"
                             " where state = 'running'") == [["1"]]

    with frozen(cluster, sessions(instance)):
        assert post("k").status == 504
        end(instance)
        wait_until(lambda: instance.psql("select life from minuted.ended_lives"))
    wait_until(taken)
    wait_until(lambda: post("k").status == 201, 5)
    assert instance.psql("select count(*) from minuted.chats where title = 'k'") == [["1"]]


def share(seconds, part):
    """What so much of them stays below."""
    return sorted(seconds)[int(len(seconds) * part)]


def test_f08_reads_above_what_a_slow_postgres_answers_are_refused_at_once(behind_proxy):
    """And what does not need it is answered as ever."""
    instance, proxy = behind_proxy
    user = instance.user()
    instance.know(user)
    took = {200: [], 503: [], "/": []}
    began = time.monotonic() + 2.5  # by then it is known to be slow
    end = began + 3

    def ask(get, path, kind=None):
        while (now := time.monotonic()) < end:
            got = get(path)
            if now > began:
                took[kind or got.status].append(time.monotonic() - now)
            time.sleep(0.05)

    proxy.latency = 0.5
    readers = [threading.Thread(target=ask, args=(user.get, "/v1/calls")) for _ in range(30)]
    readers.append(threading.Thread(target=ask, args=(instance.http.get, "/", "/")))
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    proxy.latency = 0
    assert took[200], "some are answered"
    assert share(took[503], 0.5) < 0.05, share(took[503], 0.5)
    assert share(took[503], 0.9) < 0.25, share(took[503], 0.9)
    assert share(took["/"], 0.5) < 0.05, share(took["/"], 0.5)
    assert share(took["/"], 0.9) < 0.25, share(took["/"], 0.9)
    wait_until(lambda: user.get("/v1/calls").status == 200)
    note("F-08 reads", "30 readers while every answer of PostgreSQL is 500 ms late", 1, None,
         f"what it cannot answer is 503, half within {1000 * share(took[503], 0.5):.0f} ms, "
         f"nine in ten within {1000 * share(took[503], 0.9):.0f} ms; "
         "what does not need it is served")


@pytest.mark.slow
def test_f08_retries_with_a_key_write_nothing_twice_while_postgres_is_slow(make_instance):
    instance = make_instance(env={"WORKERS": 1})
    user = instance.user()
    user.check, user.timeout = False, 60
    # less than it takes to go to the spool: whoever is late waits in the queue
    instance.psql("""create function minuted.slow() returns trigger language plpgsql
        security definer as $$ begin perform pg_sleep(1.7); return null; end $$;
        grant execute on function minuted.slow() to public;
        create trigger slow after insert on minuted.events
        for each statement execute function minuted.slow()""")
    answers = collections.Counter()

    def until_kept(number):
        logs = [{"user_id": "u", "message": f"{number} {n}"} for n in range(1000)]
        end = time.monotonic() + 90
        while True:
            got = user.post("/api/event-log/batch", {"logs": logs},
                            headers={"Idempotency-Key": f"batch-{number}"})
            answers[got.status] += 1
            if got.status == 201:
                return
            assert got.status in (409, 503) and time.monotonic() < end, got
            time.sleep(int(got.headers["Retry-After"]))

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(until_kept, range(10)))
    wait_until(lambda: instance.psql("select count(*), count(distinct message)"
                                     " from minuted.events") == [["10000", "10000"]])
    assert answers[201] == 10
    assert answers[503] > 0, "nobody was late"


def test_f08_a_lock_that_is_held_does_not_hold_requests(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    user = instance.user()
    instance.know(user)
    holder = subprocess.Popen(
        ["psql", "-X", "-q", "-d", cluster.url("postgres", instance.database), "-c",
         "begin; lock table minuted.calls, minuted.events; select pg_sleep(6)"],
        stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    began = time.monotonic()
    got = user.chat("while locked")
    assert got.status == 200, got
    assert time.monotonic() - began < 5
    assert instance.http.get("/").status == 200
    holder.wait()
    settle(instance)
    rows = instance.psql("select status from minuted.calls where id = '%s'"
                         % got.headers["X-Call-Id"])
    assert rows == [["completed"]]


@pytest.mark.slow
def test_f17_a_postgres_that_says_nothing_more_is_left_in_time(behind_proxy):
    instance, proxy = behind_proxy
    user = instance.user()
    instance.know(user)
    settle(instance)
    before = [descriptors(pid) for pid in instance.workers()]
    proxy.hole = True
    began = time.monotonic()
    got = user.chat("into the hole")
    assert got.status == 200, got
    assert time.monotonic() - began < 12
    began = time.monotonic()
    assert user.get("/v1/calls").status == 503
    assert time.monotonic() - began < 10
    proxy.hole = False
    proxy.cut_all()
    settle(instance)
    rows = instance.psql("select status from minuted.calls where id = '%s'"
                         % got.headers["X-Call-Id"])
    assert rows == [["completed"]]
    after = wait_until(lambda: [descriptors(pid) for pid in instance.workers()])
    assert sum(after) <= sum(before) + 12, (before, after)


# Full disks of PostgreSQL.


def test_f09_a_full_disk_of_postgres_goes_to_the_spool(cluster, mount, make_instance):
    disk = mount("tmpfs", 60, owner="postgres")
    cluster.psql("postgres", f"create tablespace small location '{disk.at}'")
    instance = make_instance(start=False, cluster=cluster)
    cluster.database(instance.database)
    cluster.psql("postgres", f"alter database {instance.database} set tablespace small")
    instance.start()
    user = instance.user()
    instance.know(user)
    disk.fill()
    with Load(instance, user) as load:
        wait_until(lambda: spool_figures(instance).get("records", 0) > 100, 30, 0.2)
        time.sleep(1)
        assert user.chat().status == 200
    disk.free()
    figures = load.audit()
    no_loss(figures)
    instance.stop_minuted()
    cluster.psql("postgres", f"drop database {instance.database} with (force)")
    cluster.psql("postgres", "drop tablespace small")
    note("F-09", "PostgreSQL's data disk full", 1, figures,
         "records go to the spool, and in as soon as there is room")


def test_f10_a_full_wal_disk_of_postgres(own_cluster, mount, make_instance):
    cluster = own_cluster  # with as little WAL as fits there
    disk = mount("tmpfs", 120, owner="postgres")
    instance = make_instance(cluster=cluster)
    user = instance.user()
    instance.know(user)
    cluster.stop()
    wal = cluster.dir / "postgres/pg_wal"
    shutil.copytree(wal, disk.at / "wal")
    shutil.rmtree(wal)
    wal.symlink_to(disk.at / "wal")
    if ROOT:
        for each in [disk.at / "wal", *(disk.at / "wal").rglob("*")]:
            shutil.chown(each, "postgres", "postgres")
        (disk.at / "wal").chmod(0o700)
    cluster.start()
    instance.wait_healthy()
    disk.fill()
    with Load(instance, user) as load:
        def full():
            if postmaster(cluster) is None:
                return True
            try:
                cluster.psql("postgres", "create table if not exists f (t text); insert into f "
                             "select repeat('x', 1000) from generate_series(1, 20000)")
            except subprocess.CalledProcessError:
                pass
            return postmaster(cluster) is None

        wait_until(full, 60, 0.1)
        time.sleep(1)
        assert user.chat().status == 200
    disk.free()
    (cluster.dir / "postgres/postmaster.pid").unlink(missing_ok=True)
    cluster.start()
    figures = load.audit()
    no_loss(figures)
    note("F-10", "PostgreSQL's WAL disk full: it stops and stays down", 1, figures,
         "calls go on into the spool until somebody makes room and starts it")
    instance.stop_minuted()
    cluster.stop()  # before the disk goes
