"""test_f_upgrade.py - a newer program comes, while the one of before serves."""

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import BINARY, Load, Transaction, no_loss, note
from instance import wait_until

# as long as a statement may wait for a lock, and some
WITHIN = {"LOCK_TIMEOUT": "1s"}
MIGRATION = "9999_newer"


@pytest.fixture
def newer(make_instance):
    """An instance, beside which a program lies that has a migration more."""
    instance = make_instance(env=WITHIN)
    shutil.copy(BINARY.parent / "faults/newer", instance.dir / "bin/newer")
    return instance


def migrate(instance):
    """With the newer program."""
    return subprocess.run(
        [instance.dir / "bin/newer", "--config", instance.dir / "minuted.env", "migrate"],
        env=instance.environment(), text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=60)


class Calls:
    """Calls and reads one after the other, and how long each took."""

    def __init__(self, user):
        self.user, self.took, self.reads = user, [], set()
        self.ended = False
        self.thread = ThreadPoolExecutor(1).submit(self.run)

    def run(self):
        while not self.ended:
            assert self.timed(self.user.chat, "chunks=1") == 200
            self.reads.add(self.timed(self.user.get, "/v1/calls"))

    def timed(self, ask, what):
        began = time.monotonic()
        status = ask(what).status
        self.took.append(time.monotonic() - began)
        return status

    def end(self):
        self.ended = True
        self.thread.result()
        assert self.reads <= {200, 503, 504}, self.reads  # of what is locked
        return max(self.took)


def migrated(instance):
    return instance.psql(f"select count(*) from minuted.migrations where name = '{MIGRATION}'")


def new_workers(instance):
    """What a reload does."""
    old = set(instance.workers())
    instance.reload()
    wait_until(lambda: not old & set(instance.workers()), 20)


def test_f27_who_waits_for_a_lock_to_migrate_lets_the_writers_go_on(newer):
    """Behind a migration that waits, every writer waits: so it gives up."""
    user = newer.user()
    newer.know(user)
    with Load(newer, user, clients=1) as load:
        calls = Calls(user)
        holder = Transaction(newer, "select from minuted.calls limit 0")
        began = time.monotonic()
        got = migrate(newer)
        took = time.monotonic() - began
        longest = calls.end()
        holder.end()
    assert got.returncode == 1 and f"failed {MIGRATION}" in got.stdout, got
    assert "lock" in got.stderr and got.stderr.count("\n") == 1, got.stderr
    assert took < 2.5 and longest < 2.5, (took, longest)
    assert migrated(newer) == [["0"]]
    figures = load.audit()
    no_loss(figures)
    assert not load.failed(), load.failed()


def reads_are_answered(user):
    """Over connections that have prepared their statements before."""
    for path in ("/v1/calls", "/api/event-logs", "/api/llm-logs", "/api/user/stats") * 10:
        assert user.get(path).status == 200, path


def replace_program(instance):
    """As an installation does: by a rename."""
    os.rename(instance.dir / "bin/newer", instance.dir / "bin/minuted")


def test_f27_the_program_of_before_serves_while_a_newer_one_migrates(newer):
    user = newer.user()
    newer.know(user)
    with Load(newer, user) as load:
        reads_are_answered(user)
        calls = Calls(user)
        got = migrate(newer)
        longest = calls.end()
        assert got.returncode == 0 and f"applied {MIGRATION}" in got.stdout, got
        reads_are_answered(user)
        new_workers(newer)  # of before still
        assert newer.command("migrate").returncode == 0, "it has nothing to do"
        time.sleep(0.3)
    assert newer.log().count("reload done") == 1 and "schema" not in newer.log()
    assert longest < 2.5, longest
    assert not load.failed(), load.failed()
    figures = load.audit()
    no_loss(figures)
    note("F-27", "a newer program's `migrate` under load: columns of calls and events, "
         "which it locks for 2 s", 1, figures,
         "the program of before serves, also with new workers; no call or log "
         "fails, reads of what is locked are 504 after LOCK_TIMEOUT; "
         f"none took longer than {longest:.1f} s")
    replace_program(newer)
    with Load(newer, user, prompt="chunks=5 delay=0.05") as load:
        time.sleep(0.5)
        assert newer.stop_minuted() == 0
        newer.start_minuted()
        newer.wait_healthy()
        time.sleep(0.5)
    assert all(" 502" in name for name in load.failed()), load.failed()
    figures = load.audit()
    no_loss(figures)
    note("F-27 newer", "the newer program takes its place under load", 1, figures,
         "what was begun ends, new requests are 502 until it is there")
