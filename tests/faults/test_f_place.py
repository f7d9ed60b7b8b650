"""test_f_place.py - no place, no call: what the provider sees when neither
PostgreSQL nor the spool takes records any more."""

import concurrent.futures
import os
import signal
import subprocess
import threading
import time

import pytest

from harness import build_shim, frozen, note, postmaster, settle
from instance import wait_until

# from the moment that both are gone to the one at which no call is made any
# more: PostgreSQL closes its connections, and the thread that watches one wakes
NOTICED = 0.25
# a PostgreSQL that answers nothing is left after so long (JOURNAL_TAKE_MS and
# a second for the connection)
TAKEN = 5


class Shimmed:
    """A disk of which each sync, or each write, fails."""

    def __init__(self, what, make_fault_instance, cluster):
        def prepare(instance):
            self.file = instance.dir / "run/fault"
            instance.extra = {"LD_PRELOAD": str(build_shim()), "FAULT_FILE": str(self.file)}

        self.what = what
        self.instance = make_fault_instance(cluster=cluster, prepare=prepare)

    def fail(self):
        spool = self.instance.settings["SPOOL_DIR"]
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{self.what} {spool}\n")
        fresh.rename(self.file)

    def mend(self):
        self.file.unlink()
        return True


class Mounted:
    """A filesystem of the spool's own: read-only after an error, or full."""

    def __init__(self, what, make_instance, cluster, mount):
        self.what = what
        self.disk = mount("ext4", 24)
        self.instance = make_instance(cluster=cluster, env={"SPOOL_DIR": self.disk.at / "spool"})

    def fail(self):
        if self.what == "full":
            self.disk.fill()
            return
        # as after an error of the disk: a plain remount minds open descriptors
        done = subprocess.run(["mount", "-o", "remount,abort", self.disk.at],
                              stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            pytest.skip("cannot be made read-only: " + done.stderr)

    def mend(self):
        if self.what == "full":
            self.disk.free()
        return self.what == "full"


DISKS = {"EIO": "fsync", "ENOSPC": "write", "EROFS": "read-only", "full": "full"}


@pytest.fixture(params=DISKS)
def broken(request, cluster, make_instance, make_fault_instance, mount):
    """An instance whose workers know .user, and whose spool's disk can fail()."""
    what = DISKS[request.param]
    if what in ("fsync", "write"):
        made = Shimmed(what, make_fault_instance, cluster)
    else:
        made = Mounted(what, make_instance, cluster, mount)
    made.user = made.instance.user()
    made.instance.know(made.user)
    return made


class Callers:
    """Calls without a pause, until stopped."""

    def __init__(self, user, tag, hands=8):
        self.user = user
        self.tag = tag
        self.answers = []
        self.over = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(hands)
        self.hands = [self.pool.submit(self.call) for _ in range(hands)]

    def call(self):
        while not self.over.is_set():
            self.answers.append(self.user.chat(f"tag={self.tag}"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.pool.shutdown()
        for hand in self.hands:
            hand.result()


def in_vain(provider, tag, answers):
    """Calls that the provider saw, less those that were answered and recorded."""
    assert {a.status for a in answers} <= {200, 503}, answers
    assert all(int(a.headers["Retry-After"]) > 0 for a in answers if a.status == 503)
    return len(provider.seen(tag)) - sum(a.status == 200 for a in answers)


def completed(instance, answers):
    ids = ",".join("'%s'" % a.headers["X-Call-Id"] for a in answers)
    sql = "select count(*) from minuted.calls where status = 'completed' and id in"
    return int(instance.psql(f"{sql} ({ids})")[0][0])


def calls_at_once(user, tag, count=16):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: user.chat(f"tag={tag}"), range(count)))


@pytest.fixture
def tag():
    """What the provider knows this test's calls by."""
    return f"t{time.monotonic_ns()}"


@pytest.mark.parametrize("first", ["PostgreSQL", "the disk"])
def test_f11_a_disk_that_fails_makes_no_call_in_vain(broken, cluster, provider, tag, first):
    instance, user = broken.instance, broken.user
    good = []
    if first == "PostgreSQL":
        cluster.stop("immediate")
        good += [user.chat() for _ in range(4)]
        broken.fail()
    else:
        broken.fail()
        good += [user.chat()]
        cluster.stop("immediate")
    assert [a.status for a in good] == [200] * len(good)
    began = time.monotonic()
    answers = calls_at_once(user, tag)
    answers += [user.chat(f"tag={tag}") for _ in range(8)]
    took = time.monotonic() - began
    assert in_vain(provider, tag, answers) == 0
    if broken.what != "full":  # room was taken while there was some
        assert provider.seen(tag) == []
    assert answers[-1].status == 503
    assert took < TAKEN
    if broken.mend():
        wait_until(lambda: user.chat().status == 200)
    cluster.start()
    good += [a for a in answers if a.status == 200]
    wait_until(lambda: completed(instance, good) == len(good), 30)
    wait_until(lambda: user.chat().status == 200)
    note("F-11 place", "spool's disk full, read-only or failing, before or after PostgreSQL is "
         "down", 2 * len(DISKS), None, "503 before the provider is asked, from the first call on")


@pytest.mark.slow
def test_f11_both_at_once_under_load_end_calls_within_a_moment(broken, cluster, provider, tag):
    with Callers(broken.user, tag) as callers:
        wait_until(lambda: len(callers.answers) > 50)
        broken.fail()
        os.kill(postmaster(cluster), signal.SIGQUIT)  # as in an immediate stop
        wait_until(lambda: postmaster(cluster) is None)
        gone = time.monotonic()
        # those that were under way wait for their records
        count = len(callers.answers) + len(callers.hands)
        wait_until(lambda: len(callers.answers) > count + 50, 30)
    assert callers.answers[-1].status == 503
    assert in_vain(provider, tag, callers.answers) <= len(callers.hands)
    if broken.what != "full":  # room was taken while there was some
        assert [row for row in provider.seen(tag) if row["began"] > gone + NOTICED] == []
    broken.mend()
    cluster.start()
    wait_until(lambda: broken.user.chat().status == 200, 20)


@pytest.mark.slow
@pytest.mark.parametrize("known", ["found out by calls", "failed in a quiet hour"])
def test_f11_a_frozen_postgresql_and_a_failed_disk_make_no_call(broken, cluster, provider, tag,
                                                                known):
    instance, user = broken.instance, broken.user
    if broken.what == "full":
        pytest.skip("room was taken while there was some")
    broken.fail()
    if known == "found out by calls":
        wait_until(lambda: user.chat().status == 200
                   and "the spool cannot be written" in instance.log())
    else:
        time.sleep(3)  # without a call: what was known is old
    with frozen(cluster):
        began = time.monotonic()
        answers = calls_at_once(user, tag, 4)
        took = time.monotonic() - began
        answers += [user.chat(f"tag={tag}") for _ in range(2)]
    assert provider.seen(tag) == []
    assert [a.status for a in answers] == [503] * len(answers)
    assert took < 2 * TAKEN
    wait_until(lambda: user.chat().status == 200, 20)


@pytest.mark.slow
def test_f12_a_hanging_disk_makes_no_call_in_vain_and_holds_nobody(cluster, mount, make_instance,
                                                                   provider, tag):
    """Tried while PostgreSQL is there, it holds one thread that nobody needs."""
    disk = mount("ext4", 24)
    instance = make_instance(cluster=cluster, env={"SPOOL_DIR": disk.at / "spool"})
    user = instance.user()
    instance.know(user)
    subprocess.run(["fsfreeze", "-f", disk.at], check=True)
    try:
        until = time.monotonic() + 8
        while time.monotonic() < until:
            began = time.monotonic()
            assert user.chat().status == 200
            assert user.get("/v1/calls").status == 200
            assert time.monotonic() - began < 1
        assert instance.http.get("/health").json()["details"]["spool"] == {"status": "down"}
        cluster.stop("immediate")
        began = time.monotonic()
        answers = calls_at_once(user, tag)
        assert time.monotonic() - began < 1
        assert [a.status for a in answers] == [503] * len(answers)
        assert provider.seen(tag) == []
    finally:
        subprocess.run(["fsfreeze", "-u", disk.at], check=True)
    wait_until(lambda: user.chat().status == 200)
    cluster.start()
    settle(instance)


def test_f11_a_call_made_on_a_kept_start_is_one_row(cluster, make_instance):
    """While PostgreSQL is away the start is in the spool before the end."""
    instance = make_instance(cluster=cluster)
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    answers = calls_at_once(user, "x")
    assert [a.status for a in answers] == [200] * len(answers)
    cluster.start()
    settle(instance)
    assert completed(instance, answers) == len(answers)
