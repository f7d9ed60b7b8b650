"""test_lifecycle.py - workers that die, reloads, restarts, a database that is
away: what is lost is only what was in the hands of the dead."""

import asyncio
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

from client import chat_body, flow
from instance import Postgres, wait_until

HANDS = 20  # clients at once


class Load:
    """HANDS clients that ask again and again, until stop()."""

    def __init__(self, instance, user, prompt="chunks=3 delay=0.01"):
        self.instance = instance
        self.user = user
        self.prompt = prompt
        self.done = []  # (began, ended, Flow)
        self.stopping = False
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))
        self.thread.start()

    async def run(self):
        await asyncio.gather(*(self.hand(n) for n in range(HANDS)))

    async def hand(self, number):
        body = chat_body(self.prompt, stream=number % 2 == 0)
        while not self.stopping:
            began = time.monotonic()
            result = await flow(self.instance.port, self.user.token, body, 15)
            self.done.append((began, time.monotonic(), result))
            if not result.done:
                await asyncio.sleep(0.01)

    def stop(self):
        self.stopping = True
        self.thread.join()

    def finished(self):
        return [r for _, _, r in self.done if r.done and not r.error]

    def failed(self):
        return [d for d in self.done if not d[2].done or d[2].error]


def statuses(instance):
    """Records by status, once none is running."""
    def counts():
        rows = instance.psql("select status, count(*) from minuted.calls group by 1")
        found = {status: int(count) for status, count in rows}
        return None if "running" in found else found
    return wait_until(counts, 15)


def check_ledger(instance, load):
    """Every finished answer has its record; what is recorded beyond them was
    in the hands of a request that failed."""
    counts = statuses(instance)
    ids = {r.call_id for r in load.finished()}
    rows = instance.psql("select id from minuted.calls where status = 'completed'")
    recorded = {row[0] for row in rows}
    assert ids <= recorded
    assert len(recorded - ids) <= len(load.failed())
    assert sum(counts.values()) <= len(load.done)
    return counts


def test_killed_workers_lose_only_what_is_in_their_hands(make_instance):
    instance = make_instance()
    load = Load(instance, instance.user())
    kills = []
    for _ in range(10):
        time.sleep(0.4)
        victims = wait_until(lambda: len(w := instance.workers()) == 2 and w)
        kills.append(time.monotonic())
        os.kill(random.choice(victims), signal.SIGKILL)
    time.sleep(0.4)
    load.stop()
    assert len(load.finished()) > 200
    check_ledger(instance, load)
    failed = load.failed()
    assert len(failed) <= 10 * HANDS
    for began, ended, result in failed:
        assert any(began - 0.2 <= kill <= ended for kill in kills), vars(result)


def test_a_dead_worker_is_replaced_within_100_ms(make_instance):
    instance = make_instance()
    for _ in range(3):
        old = instance.workers()
        os.kill(old[0], signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda: len(set(instance.workers()) - {old[0]}) == 2, every=0.001)
        assert time.monotonic() - killed < 0.1
        time.sleep(0.3)


def test_the_calls_of_a_dead_worker_end_as_interrupted(make_instance):
    instance = make_instance()
    user = instance.user()
    with user.chat_stream("chunks=9 stall=2") as stream:
        events = stream.events()
        texts = [next(events).data, next(events).data]
        for pid in instance.workers():
            os.kill(pid, signal.SIGKILL)
        texts += [event.data for event in events]
    assert "[DONE]" not in texts
    instance.wait_healthy()
    path = "/v1/calls/" + stream.headers["X-Call-Id"]
    record = wait_until(lambda: (g := user.get(path)).status == 200
                        and g.json()["status"] != "running" and g.json())
    assert record["status"] == "interrupted"
    assert "word0 word1" in json.dumps(record)


def test_a_crash_loop_backs_off_and_heals(make_instance):
    instance = make_instance()
    killed = set()
    end = time.monotonic() + 4
    while time.monotonic() < end:
        for pid in instance.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.01)
    assert len(killed) < 100  # not as fast as they die
    instance.wait_healthy()
    assert instance.user().chat().status == 200


def test_where_no_worker_can_start_nobody_waits_for_one(make_instance):
    instance = make_instance()
    instance.http.check = False
    spool = pathlib.Path(instance.settings["SPOOL_DIR"])
    spool.rename(spool.with_suffix(".away"))
    spool.write_text("no directory")
    for pid in instance.workers():
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    for _ in range(10):
        assert instance.http.get("/health").status == 502
    assert time.monotonic() - began < 6
    spool.unlink()
    spool.with_suffix(".away").rename(spool)
    instance.wait_healthy()
    assert instance.user().chat().status == 200


def test_reloads_lose_no_request(make_instance):
    instance = make_instance()
    load = Load(instance, instance.user())
    for _ in range(5):
        time.sleep(0.6)
        old = set(instance.workers())
        instance.reload()
        wait_until(lambda: not old & set(instance.workers()))
    load.stop()
    assert load.failed() == []
    counts = check_ledger(instance, load)
    assert counts == {"completed": len(load.done)}


def test_a_reload_takes_the_new_settings(make_instance):
    instance = make_instance()
    user = instance.user()
    assert user.chat("x" * 5000).status == 200
    instance.settings["BODY_MAX"] = "4k"
    instance.write_settings()
    instance.reload()
    wait_until(lambda: user.chat("x" * 5000).status == 413)


def test_a_reload_asked_for_while_old_workers_drain_follows(make_instance):
    instance = make_instance()
    user = instance.user()
    assert user.chat("x" * 5000).status == 200
    old = set(instance.workers())
    with user.chat_stream("chunks=300 delay=0.1") as stream:
        next(stream.events())
        instance.reload()
        wait_until(lambda: len(old & set(instance.workers())) == 1)  # it has the stream
        instance.settings["BODY_MAX"] = "4k"
        instance.write_settings()
        for _ in range(3):
            instance.reload()
            wait_until(lambda: "read again when it is done" in instance.log())
        assert user.chat("x" * 5000).status == 200
    wait_until(lambda: user.chat("x" * 5000).status == 413)
    wait_until(lambda: instance.log().count("reload done") == 2)
    assert instance.log().count("read again when it is done") == 1
    assert instance.log().count("starting new workers") == 2


def test_a_reload_with_bad_settings_keeps_the_old(make_instance):
    instance = make_instance()
    instance.settings["THREADS"] = "many"
    instance.write_settings()
    workers = instance.workers()
    instance.reload()
    wait_until(lambda: "THREADS" in instance.log())
    assert instance.workers() == workers
    assert instance.http.get("/health").status == 200


@pytest.mark.parametrize("name, value", [
    ("SOCKET", "/tmp/elsewhere.sock"), ("SPOOL_DIR", "/tmp"), ("STREAMS_MAX", "7"),
])
def test_a_reload_of_what_needs_a_restart_is_refused(make_instance, name, value):
    instance = make_instance()
    workers = instance.workers()
    instance.settings[name] = value
    instance.write_settings()
    instance.reload()
    wait_until(lambda: f"{name}: a change of it needs a restart" in instance.log())
    assert instance.workers() == workers
    assert instance.http.get("/health").status == 200


def test_the_socket_is_removed_at_the_end_also_after_a_reload(make_instance):
    instance = make_instance()
    path = instance.settings["SOCKET"]
    for _ in range(2):
        old = set(instance.workers())
        instance.reload()
        wait_until(lambda: not old & set(instance.workers()))
        wait_until(lambda: "reload done" in instance.log())
    time.sleep(0.3)
    instance.process.terminate()
    assert instance.process.wait(10) == 0
    assert not os.path.exists(path)


def test_two_instances_do_not_share_a_spool(make_instance):
    instance = make_instance()
    socket = instance.settings["SOCKET"]
    instance.settings["SOCKET"] = f"{socket}.2"
    instance.write_settings()
    got = instance.command("serve")
    instance.settings["SOCKET"] = socket
    instance.write_settings()
    assert got.returncode == 1
    assert "SPOOL_DIR" in got.stderr and "two instances need two SPOOL_DIR" in got.stderr
    assert not os.path.exists(f"{socket}.2")
    assert instance.user().chat().status == 200


def test_a_stream_outlives_the_reload(make_instance):
    instance = make_instance()
    user = instance.user()
    with user.chat_stream("chunks=20 delay=0.1") as stream:
        events = stream.events()
        next(events)
        instance.reload()
        assert [event.data for event in events][-1] == "[DONE]"


def test_sigterm_drains(make_instance):
    instance = make_instance()
    user = instance.user()
    with user.chat_stream("chunks=20 delay=0.1") as stream:
        events = stream.events()
        next(events)
        instance.process.terminate()
        assert [event.data for event in events][-1] == "[DONE]"
    assert instance.process.wait(10) == 0
    instance.start_minuted()
    instance.wait_healthy()
    assert user.call(stream)["status"] == "completed"


def test_the_drain_has_a_deadline_and_an_honest_end(make_instance):
    instance = make_instance(env={"DRAIN_TIMEOUT": "1s"})
    user = instance.user()
    with user.chat_stream("chunks=2 stall=1") as stream:
        events = stream.events()
        next(events)
        began = time.monotonic()
        instance.process.terminate()
        rest = [event.data for event in events]
    assert "[DONE]" not in rest
    assert instance.process.wait(10) == 0
    assert time.monotonic() - began < 5
    instance.start_minuted()
    instance.wait_healthy()
    assert user.call(stream)["status"] in ("failed", "interrupted")


def test_workers_do_not_outlive_the_supervisor(make_instance):
    instance = make_instance()
    workers = instance.workers()
    instance.process.kill()
    instance.process.wait()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
    instance.start_minuted()
    instance.wait_healthy()


def test_nginx_reloads_lose_no_request(make_instance):
    instance = make_instance()
    load = Load(instance, instance.user())
    for _ in range(5):
        time.sleep(0.3)
        instance.nginx.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    load.stop()
    assert load.failed() == []


@pytest.fixture
def cluster():
    cluster = Postgres()
    yield cluster
    cluster.remove()


def test_no_database_at_start_is_503_and_heals(cluster, make_instance):
    instance = make_instance(start=False, cluster=cluster).prepare()
    cluster.stop()
    instance.start_minuted()
    instance.start_nginx()
    wait_until(lambda: instance.http.get("/health").status == 503)
    got = wait_until(lambda: (g := instance.http.get("/health").json()).get("error") and g)
    assert got["status"] == "error" and got["error"]["database"]["status"] == "down"
    assert instance.http.post("/auth/login", {"email": "a@b.c", "password": "12345678"}
                              ).status == 503
    workers = instance.workers()
    cluster.start()
    instance.wait_healthy(5)
    assert instance.workers() == workers
    assert instance.user().chat().status == 200


def test_a_database_that_restarts_is_found_again(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    user = instance.user()
    for mode in ("fast", "immediate"):
        cluster.stop(mode)
        wait_until(lambda: instance.http.get("/health").status == 503)
        cluster.start()
        instance.wait_healthy(5)
        assert wait_until(lambda: (g := user.chat()).status == 200 and g)
    assert instance.process.poll() is None


def test_a_schema_that_is_missing_ends_the_start(make_instance):
    instance = make_instance()
    instance.stop_minuted()
    instance.psql("drop schema minuted cascade")
    got = instance.command("serve")
    assert got.returncode == 1
    assert "minuted migrate" in got.stderr
    assert len(got.stderr.strip().splitlines()) == 1
    assert instance.command("migrate").returncode == 0


def test_migrating_twice_is_harmless(make_instance):
    instance = make_instance()
    assert instance.command("migrate").returncode == 0


def test_a_disabled_user_is_out_on_every_worker_within_5_s(instance):
    user = instance.user()
    key = user.post("/api/apikeys", {"name": "k"}).json()["key"]
    instance.secrets.append(key)
    clients = [user, instance.http.as_user(key)]
    for client in clients:
        assert all(client.get("/auth/profile").status == 200 for _ in range(10))
    assert instance.command("user", "disable", user.email).returncode == 0
    for client in clients:
        wait_until(lambda: client.get("/auth/profile").status == 401, 5)
    time.sleep(0.1)
    for client in clients:
        assert all(client.get("/auth/profile").status == 401 for _ in range(20))


def test_the_socket_is_for_nginx_only(instance):
    path = instance.settings["SOCKET"]
    assert os.stat(path).st_mode & 0o777 == 0o660
    if os.geteuid() == 0:
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
        got = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                              "/usr/bin/python3", "-c", code], stderr=subprocess.PIPE, text=True)
        assert "PermissionError" in got.stderr


def test_a_reload_onto_a_database_that_does_not_fit_loses_no_request(make_instance):
    """It is found before a new worker serves, and the old ones stay."""
    instance = make_instance()
    workers = set(instance.workers())
    instance.postgres.database("unfit")
    good = instance.settings["DATABASE_URL"]
    with_load = Load(instance, instance.user())
    try:
        time.sleep(0.3)
        instance.settings["DATABASE_URL"] = instance.postgres.url("minuted_worker", "unfit")
        instance.write_settings()
        instance.reload()
        wait_until(lambda: "reload failed" in instance.log())
        time.sleep(0.3)
    finally:
        with_load.stop()
    assert set(instance.workers()) == workers
    assert with_load.failed() == []
    assert check_ledger(instance, with_load).keys() == {"completed"}
    instance.settings["DATABASE_URL"] = good
    instance.write_settings()
    instance.reload()
    wait_until(lambda: not workers & set(instance.workers()))
    assert instance.user().chat().status == 200


def connections_of_nginx(instance):
    """By worker.  What was accepted has the path that the socket was bound
    to."""
    with open("/proc/net/unix") as file:
        rows = [line.split() for line in file]
    inodes = {row[6] for row in rows if row[-1].startswith(f"{instance.dir}/run/")
              and row[5] == "03"}  # connected
    counts = []
    for pid in instance.workers():
        counts.append(0)
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                link = os.readlink(f"/proc/{pid}/fd/{name}")
                counts[-1] += link[len("socket:["):-1] in inodes
    return counts


@pytest.mark.parametrize("workers", [2, 4])
def test_connections_of_nginx_are_spread_over_the_workers(make_instance, workers):
    """None has more than its share, an eighth and a few."""
    streams = 240
    instance = make_instance(env={"WORKERS": workers, "ECHO_PACE": "20s"})
    user = instance.user()
    text = json.dumps(chat_body("words that take time", model="echo", stream=True)).encode()
    request = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
               f"Authorization: Bearer {user.token}\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(text)}\r\n\r\n").encode() + text
    with contextlib.ExitStack() as opened:
        for n in range(1, streams + 1):
            sock = opened.enter_context(socket.create_connection(("127.0.0.1", instance.port)))
            sock.sendall(request)
            if n % 8 == 0:
                wait_until(lambda n=n: sum(connections_of_nginx(instance)) >= n, every=0.002)
        counts = connections_of_nginx(instance)
    assert streams <= sum(counts) <= streams + 10, counts
    assert max(counts) <= streams / workers * 9 / 8 + 10, counts


def test_a_reload_while_postgresql_is_away_is_undone(cluster, make_instance):
    """New workers would know nobody, and refuse whom the old ones serve."""
    instance = make_instance(cluster=cluster)
    user = instance.user()
    instance.know(user)
    workers = set(instance.workers())
    cluster.stop("immediate")
    for _ in range(2):
        before = instance.log().count("reload failed")
        instance.reload()
        wait_until(lambda before=before: instance.log().count("reload failed") > before)
        wait_until(lambda: set(instance.workers()) == workers)
        assert all(user.chat().status == 200 for _ in range(20))
    failed = [line for line in instance.log().splitlines() if "reload failed" in line]
    assert len(failed) == 2 and all("PostgreSQL" in line for line in failed), failed
    assert "ended with code" not in instance.log()
    cluster.start()
    instance.wait_healthy(5)
    instance.reload()
    wait_until(lambda: not workers & set(instance.workers()))
    assert user.chat().status == 200


def test_a_reload_that_holds_is_not_undone_when_a_new_worker_dies(cluster, make_instance):
    """Old workers that still drain have left the socket: nobody would serve.
    A reload has 10 s to begin, and all the time of a stream to end."""
    instance = make_instance(cluster=cluster)
    user = instance.user()
    old = set(instance.workers())
    with user.chat_stream("chunks=300 delay=0.1") as stream:
        next(stream.events())
        late = time.monotonic() + 11
        instance.reload()
        new = wait_until(lambda: len(w := set(instance.workers()) - old) == 2 and w)
        wait_until(lambda: len(old & set(instance.workers())) == 1)  # it has the stream
        cluster.stop("immediate")
        wait_until(lambda: time.monotonic() > late, 15)
        os.kill(victim := new.pop(), signal.SIGKILL)
        wait_until(lambda: victim not in (w := instance.workers()) and len(w) == 3)
        now = set(instance.workers())
        assert new < now and len(now & old) == 1
        assert all(instance.http.get("/health").status == 503 for _ in range(20))
        assert set(instance.workers()) == now
    assert "reload failed" not in instance.log()
    cluster.start()
    instance.wait_healthy(5)
