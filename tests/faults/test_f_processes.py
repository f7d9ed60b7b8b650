"""test_f_processes.py - processes of ours that die, hang, or are told to begin
anew, while clients keep their ledgers."""

import concurrent.futures
import os
import random
import re
import signal
import subprocess
import time

import pytest

from harness import Load, build_shim, no_loss, note, settle
from instance import BINARY, wait_until
from killloop import Injector, enough_for, make_plan


def stopped(load):
    load.stop()
    figures = load.audit()
    no_loss(figures)
    return figures


def test_f01_killed_workers_lose_nothing_acknowledged(make_instance):
    instance = make_instance(env={"WORKERS": 3})
    with Load(instance, instance.user(), keys=True) as load:
        injector = Injector(instance)
        injector.run(make_plan(20, enough_for(30), ["worker"]), 30)
    assert injector.kills() == 30
    figures = stopped(load)
    assert not load.unanswered(), load.counts
    note("F-01", "SIGKILL of a random worker, 5 a second", injector.done["worker"], figures,
         "502, or a stream without [DONE], for what it held; it is replaced at once")


def replace_workers(instance, which):
    """SIGKILL of these; waits for as many new ones."""
    before = set(instance.workers())
    for pid in which:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(instance.workers()) - before) == len(which))


def test_f01_a_worker_that_dies_in_an_outage_leaves_its_users_to_the_others(
        cluster, make_instance):
    """Its successor would know nobody, and refuse them."""
    instance = make_instance(cluster=cluster)
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    for _ in range(3):
        replace_workers(instance, instance.workers()[-1:])
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda _: user.chat(), range(40)))
        assert {each.status for each in got} == {200}
    cluster.start()
    instance.wait_healthy()
    instance.know(user)  # both serve
    settle(instance)
    for each in got:
        assert user.get("/v1/calls/" + each.headers["X-Call-Id"]).json()["status"] == "completed"


def test_f01_when_all_workers_die_in_an_outage_the_new_ones_answer(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    replace_workers(instance, instance.workers())
    wait_until(lambda: instance.http.get("/health").status != 502)
    got = user.chat()
    assert got.status == 503 and got.headers["Retry-After"], got
    cluster.start()
    instance.wait_healthy()
    instance.know(user)


def outage(instance, user):
    """SIGKILL of the supervisor, and its start at once, as a service manager does;
    seconds from the start to the end of the last call that was refused or hung."""
    instance.process.kill()
    instance.process.wait()
    began = last = time.monotonic()
    instance.start_minuted()
    while (now := time.monotonic()) < began + 2.5:
        if user.chat().status != 200 or time.monotonic() > now + 0.3:
            last = time.monotonic()
    return last - began


@pytest.mark.slow
def test_f02_a_killed_supervisor_is_replaced_within_a_second(make_instance):
    instance = make_instance()
    user = instance.user()
    user.check = False
    took, old = [], set()
    with Load(instance, user) as load:
        for _ in range(5):
            time.sleep(0.7)
            old.update(instance.workers())
            took.append(outage(instance, user))
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in old), 20)
    figures = stopped(load)
    assert max(took) < 1, took
    note("F-02", "SIGKILL of the supervisor under load, started again at once", len(took), figures,
         "workers drain and end, new ones take socket and calls over: from the start on 502 "
         f"for {max(took):.2f} s at most")


@pytest.mark.parametrize("hard", [False, True])
def test_f02_all_processes_killed_at_once(make_instance, hard):
    """The machine's end as processes see it: nobody sweeps; the next life
    does."""
    instance = make_instance()
    with Load(instance, instance.user(), prompt="chunks=8 delay=0.02") as load:
        time.sleep(1)
        os.killpg(instance.process.pid, signal.SIGSTOP if hard else signal.SIGKILL)
        os.killpg(instance.process.pid, signal.SIGKILL)
        instance.process.wait()
        instance.start_minuted()
        instance.wait_healthy()
    figures = stopped(load)
    note("F-02 all", "SIGKILL of supervisor and workers together", 2, figures,
         "calls in hand are `interrupted` after the next start")


@pytest.mark.slow
def test_f03_a_storm_of_crashes_backs_off_and_heals(make_instance):
    instance = make_instance()
    killed = set()
    with Load(instance, instance.user()) as load:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for pid in instance.workers():
                os.kill(pid, signal.SIGSEGV)
                killed.add(pid)
            time.sleep(0.01)
        instance.wait_healthy()
        time.sleep(0.5)
    assert len(killed) < 110  # a start waits longer each time
    assert "crash loop" in instance.log()
    figures = stopped(load)
    note("F-03", "SIGSEGV of every worker as soon as it lives", len(killed), figures,
         "restarts are spaced out to 5 s, then it heals")


@pytest.mark.slow
def test_f04_a_worker_that_hangs_is_killed_and_replaced(make_instance):
    instance = make_instance(env={"WORKERS": 3})
    with Load(instance, instance.user()) as load:
        time.sleep(0.5)
        victim = random.Random(4).choice(instance.workers())
        os.kill(victim, signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: victim not in instance.workers(), 50)
        assert 20 < time.monotonic() - began < 40
        time.sleep(0.5)
    assert "does not answer" in instance.log()
    figures = stopped(load)
    note("F-04", "SIGSTOP of a worker", 1, figures,
         "the watchdog kills it after 30 s, the others serve")


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def status_of(user):
    """None: no answer in time."""
    try:
        return user.get("/auth/profile").status
    except OSError:
        return None


@pytest.mark.slow
def test_f04_a_worker_that_is_stopped_with_a_lock_holds_up_nobody(make_fault_instance):
    """The lock is that of a limit, which all workers and the supervisor need."""
    instance = make_fault_instance(env={"WORKERS": 3}, start=False)
    fault = instance.dir / "run/fault"
    instance.extra = {"LD_PRELOAD": str(build_shim()), "FAULT_FILE": str(fault)}
    instance.start()
    limited, other = instance.user(), instance.user()
    limited.check = other.check = False
    limited.timeout = other.timeout = 2
    instance.psql(f"select admin.set_limit('{limited.email}', 'requests', 100000, null, 3600)")
    wait_until(lambda: "RateLimit-Limit" in limited.get("/auth/profile").headers)
    fault.write_text("stop-with-lock\n")
    wait_until(lambda: status_of(limited) is None)
    wait_until(lambda: any(is_stopped(pid) for pid in instance.workers()))
    stopped_one = next(pid for pid in instance.workers() if is_stopped(pid))
    killed = next(pid for pid in instance.workers() if not is_stopped(pid))
    before = set(instance.workers())
    os.kill(killed, signal.SIGKILL)
    # the supervisor, who gives back what it held, does not wait for the lock
    wait_until(lambda: len(set(instance.workers()) - before) == 1, 10)
    wait_until(lambda: status_of(limited) == 503, 20)
    wait_until(lambda: status_of(other) == 200, 20)
    wait_until(lambda: stopped_one not in instance.workers(), 50)
    wait_until(lambda: len(instance.workers()) == 3 and status_of(limited) == 200, 10)
    assert "does not answer" in instance.log()
    note("F-04 lock", "SIGSTOP of a worker inside a shared lock, SIGKILL of another", 1, None,
         "the other is replaced at once, whom the lock counts gets 503, others are served")


@pytest.mark.slow
def test_f04_a_worker_whose_thread_hangs_tells_where_before_it_is_killed(make_fault_instance):
    instance = make_fault_instance(start=False, env={
        "WORKERS": 1, "THREADS": 1, "STATEMENT_TIMEOUT": "1s", "LOCK_TIMEOUT": "1s"})
    fault = instance.dir / "run/fault"
    instance.extra = {"LD_PRELOAD": str(build_shim()), "FAULT_FILE": str(fault)}
    instance.start()
    user = instance.user()
    user.check, user.timeout = False, 1
    victim, = instance.workers()
    instance.psql(f"select admin.set_limit('{user.email}', 'requests', 100000, null, 3600)")
    wait_until(lambda: "RateLimit-Limit" in user.get("/auth/profile").headers)
    fault.write_text("hang\n")
    wait_until(lambda: status_of(user) is None)
    # innermost first: pause(), the shim that called it, and us
    stack = r"thread \d+ is at libc\.so\.6\S+ shim\.so\S+ minuted\+(0x[0-9a-f]+) "
    address, = wait_until(lambda: re.findall(stack, instance.log()), 30)
    assert victim in instance.workers()
    where = subprocess.run(["addr2line", "-f", "-e", BINARY, address],
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "limit" in where, where
    wait_until(lambda: victim not in instance.workers(), 30)
    wait_until(lambda: status_of(user) == 200, 10)
    note("F-04 hang", "a thread of the only worker hangs", 1, None,
         "the addresses that its threads are at are in the log before it is killed")


def reloads(instance, count, pause=0.0):
    for _ in range(count):
        old = set(instance.workers())
        instance.reload()
        wait_until(lambda: not old & set(instance.workers()), 20)
        time.sleep(pause)


def all_went_well(load):
    assert not load.failed(), load.failed()


def test_f25_reloads_lose_no_request(make_instance):
    instance = make_instance()
    with Load(instance, instance.user(), hands=5) as load:
        reloads(instance, 10)
    stopped(load)
    all_went_well(load)


@pytest.mark.slow
def test_f25_a_hundred_reloads_lose_no_request(make_instance):
    instance = make_instance()
    with Load(instance, instance.user(), hands=5) as load:
        reloads(instance, 100)
    figures = stopped(load)
    all_went_well(load)
    note("F-25", "SIGHUP of minuted under load", 100, figures,
         "no request fails; streams end on the old workers")


def test_f25_a_restart_drains(make_instance):
    instance = make_instance()
    with Load(instance, instance.user(), prompt="chunks=5 delay=0.05") as load:
        for _ in range(3):
            time.sleep(0.7)
            assert instance.stop_minuted() == 0
            instance.start_minuted()
            instance.wait_healthy()
    figures = stopped(load)
    cut = [name for name in load.failed() if name.endswith(("cut", "late", "broken"))]
    assert not cut, load.failed()  # what was begun has ended
    note("F-25 restart", "SIGTERM and a new start under load", 3, figures,
         "what was begun ends, new requests are 502 until it is back")


def test_f26_nginx_reloads_lose_no_request(make_instance):
    instance = make_instance()
    with Load(instance, instance.user()) as load:
        for _ in range(20):
            time.sleep(0.1)
            instance.nginx.send_signal(signal.SIGHUP)
        time.sleep(0.3)
    figures = stopped(load)
    all_went_well(load)
    note("F-26", "reload of nginx under load", 20, figures, "no request fails")


def nginx_workers(instance):
    pid = instance.nginx.pid
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(word) for word in children.read().split()]


def test_f26_a_killed_nginx_worker_costs_its_connections_only(make_instance):
    instance = make_instance()
    user = instance.user()
    with Load(instance, user, prompt="chunks=8 delay=0.02") as load:
        for _ in range(5):
            time.sleep(0.3)
            os.kill(nginx_workers(instance)[0], signal.SIGKILL)
        time.sleep(0.3)
    figures = stopped(load)
    bad = [name for name in load.failed() if not name.endswith(("broken", "cut"))]
    assert not bad, load.failed()
    assert user.chat().status == 200
    wait_until(lambda: "minuted_calls_open 0\n" in instance.http.get("/metrics").text)
    note("F-26 kill", "SIGKILL of an nginx worker under load", 5, figures,
         "its connections break, their calls end as cancelled or completed")


BAD_SETTINGS = {
    "no database": ("DATABASE_URL", None),
    "database that is no connection string": ("DATABASE_URL", "no connection string"),
    "a parameter of libpq that is none": ("DATABASE_URL", "postgresql://u:sesame@h/d?sslmoda=x"),
    "a keyword of libpq that is none": ("DATABASE_URL", "host=h password=sesame conect_timeout=3"),
    "a value that libpq does not know": ("DATABASE_URL", "host=h password=sesame sslmode=maybe"),
    "a port that is none": ("DATABASE_URL", "postgresql://u:sesame@h:70000/d"),
    "pairs that are none": ("DATABASE_URL", "host=h password=open sesame"),
    "an owner's URL that is none": ("DATABASE_OWNER_URL", "postgresql://u:sesame@h/d?ssl_mode=x"),
    "a name that nobody reads": ("DATABASSE_URL", "postgresql://u:sesame@h/d"),
    "no secret": ("JWT_SECRET", None),
    "short secret": ("JWT_SECRET", "short"),
    "the example's secret": ("JWT_SECRET", "replace-me-with-the-output-of-openssl-rand-hex-32"),
    "short old secret": ("JWT_SECRET_OLD", "short"),
    "no number": ("WORKERS", "many"),
    "negative": ("WORKERS", "-1"),
    "too many": ("THREADS", "100000"),
    "no threads": ("THREADS", "0"),
    "unit that is none": ("DRAIN_TIMEOUT", "5 parsecs"),
    "size that is none": ("BODY_MAX", "large"),
    "overflow": ("SPOOL_MAX", "99999999999999999999999"),
    "no URL": ("OPENAI_BASE_URL", "api.example.org"),
    "provider in clear": ("OPENAI_BASE_URL", "ftp://api.example.org/v1"),
    "origin that is none": ("CORS_ORIGIN", "app.example.org"),
    "level that is none": ("LOG_LEVEL", "loud"),
    "socket path too long": ("SOCKET", "/tmp/" + "x" * 200),
    "duration too long": ("JWT_EXPIRES_IN", "500000d"),
}


@pytest.fixture(scope="module")
def spare(postgres, provider):
    """An instance that is set up and never started."""
    from instance import Instance

    instance = Instance(postgres, provider=provider).prepare()
    yield instance
    instance.stop()


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize("what", BAD_SETTINGS)
def test_f28_bad_settings_end_the_start_with_a_line(spare, what, command):
    name, value = BAD_SETTINGS[what]
    good = spare.settings.get(name)
    spare.settings[name] = value
    spare.write_settings()
    try:
        got = spare.command(command)
    finally:
        spare.settings[name] = good
    assert got.returncode == 1, got
    lines = got.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert name in lines[0]
    assert "sesame" not in lines[0]
    if value and "SECRET" in name:
        assert value not in lines[0]


def broken_files(instance):
    path = instance.dir / "minuted.env"
    yield "not there", path, path.unlink
    yield "a line without =", path, lambda: path.write_text("WORKERS 2\n")
    yield "a folder", path, lambda: (path.unlink(missing_ok=True), path.mkdir())


def test_f28_files_that_are_no_settings_end_the_start(spare):
    for what, path, spoil in broken_files(spare):
        spare.write_settings()
        spoil()
        try:
            got = spare.command("serve")
        finally:
            if path.is_dir():
                path.rmdir()
        assert got.returncode in (1, 2), (what, got)
        assert got.stderr.count("\n") >= 1, what
        assert str(path) in got.stderr, (what, got.stderr)


def test_f28_bad_settings_at_a_reload_keep_the_old(make_instance):
    instance = make_instance()
    workers = instance.workers()
    with Load(instance, instance.user()) as load:
        for what, (name, value) in list(BAD_SETTINGS.items()):
            good = instance.settings.get(name)
            before = instance.log().count("reload refused")
            instance.settings[name] = value
            instance.write_settings()
            instance.reload()
            wait_until(lambda: instance.log().count("reload refused") > before)
            instance.settings[name] = good
    instance.write_settings()
    assert instance.workers() == workers
    figures = stopped(load)
    all_went_well(load)
    note("F-28", "bad settings at start and at SIGHUP", 3 * len(BAD_SETTINGS) + 3, figures,
         "one line and exit 1; at SIGHUP the old settings stay")


def test_f28_a_socket_that_cannot_be_made_ends_the_start(spare):
    good = spare.settings["SOCKET"]
    spare.settings["SOCKET"] = spare.dir / "nowhere/minuted.sock"
    spare.write_settings()
    try:
        got = subprocess.run(
            [spare.dir / "bin/minuted", "--config", spare.dir / "minuted.env", "serve"],
            env=spare.environment(), stderr=subprocess.PIPE, text=True, timeout=20)
    finally:
        spare.settings["SOCKET"] = good
    assert got.returncode == 1
    assert "nowhere/minuted.sock" in got.stderr
