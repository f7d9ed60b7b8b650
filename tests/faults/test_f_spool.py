"""test_f_spool.py - the disk of the spool: full, failing, hanging, cut off by a
power failure, damaged, or not ours."""

import functools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time
import uuid

import pytest

from audit import COUNTED
from harness import (ROOT, Load, Transaction, build_shim, crc32c, no_loss, note,
                     segment_record, segment_records, segments, settle, spool_figures, u32)
from instance import BINARY, USER, wait_until


def spool_on(disk):
    return {"SPOOL_DIR": disk.at / "spool", "STREAMS_MAX": 50}


def completed(instance, answers):
    ids = ",".join("'%s'" % a.headers["X-Call-Id"] for a in answers)
    sql = "select count(*) from minuted.calls where status = 'completed' and id in"
    return int(instance.psql(f"{sql} ({ids})")[0][0])


def figures_of(instance, answers):
    """As of an audit, for answers that were acknowledged."""
    ids = ",".join("'%s'" % a.headers["X-Call-Id"] for a in answers)
    rows = instance.psql("select count(*) - count(distinct id) from minuted.calls "
                         f"where id in ({ids})")
    return {"acknowledged": len(answers), "duplicate": int(rows[0][0]),
            "missing": len(answers) - completed(instance, answers)}


def refused(user, provider):
    """A call gets its 503, and no provider was asked; False: it was taken."""
    mark = f"m{time.monotonic_ns()}"
    got = user.chat(f"tag={mark}")
    if got.status == 200:
        return False
    assert got.status == 503 and int(got.headers["Retry-After"]) > 0, got
    assert provider.seen(mark) == []
    return True


def always_refused(user, provider):
    return all(refused(user, provider) for _ in range(6))


def none_in_vain(user, provider, answers):
    """Calls until one is refused; until then each was recorded.  No provider
    was asked for nothing."""
    while not refused(user, provider):
        answers.append(user.chat())
        assert answers[-1].status in (200, 503), answers[-1]
    return True


def nothing_open(instance):
    return "minuted_calls_open 0\n" in instance.http.get("/metrics").text


@pytest.mark.slow
def test_f11_a_full_disk_refuses_before_the_provider(cluster, mount, make_instance, provider):
    disk = mount("ext4", 24)
    instance = make_instance(cluster=cluster, env=spool_on(disk))
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    answers = [user.chat("before") for _ in range(5)]
    assert all(a.status == 200 for a in answers)
    disk.fill()
    assert none_in_vain(user, provider, answers)
    workers = instance.workers()
    for _ in range(3):  # what one worker has found, all know
        assert always_refused(user, provider)
    assert user.post("/api/event-log", {"user_id": "u", "message": "m"}).status == 503
    assert instance.workers() == workers  # nobody died of it
    disk.free()
    wait_until(lambda: user.chat().status == 200, 10)
    cluster.start()
    settle(instance)
    good = [a for a in answers if a.status == 200]
    assert completed(instance, good) == len(good)
    note("F-11", "spool's disk full, PostgreSQL down", 1, figures_of(instance, good),
         "503 before the provider is asked; existing records stay intact")
    instance.stop_minuted()


def test_f11_a_read_only_disk_refuses_and_heals(cluster, mount, make_instance, provider):
    disk = mount("ext4", 24)
    instance = make_instance(cluster=cluster, env=spool_on(disk))
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    before = user.chat("before")
    assert before.status == 200
    # as after an error of the disk: a plain remount minds open descriptors
    done = subprocess.run(["mount", "-o", "remount,abort", disk.at],
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        pytest.skip("cannot be made read-only: " + done.stderr)
    wait_until(lambda: always_refused(user, provider), 20)
    wait_until(lambda: nothing_open(instance))
    cluster.start()
    wait_until(lambda: user.get("/v1/calls").status == 200)
    assert wait_until(lambda: user.chat().status == 200)
    # delivered, though its segment cannot be removed
    wait_until(lambda: completed(instance, [before]) == 1)
    assert figures_of(instance, [before])["duplicate"] == 0
    instance.stop_minuted()


def shimmed(make_fault_instance, cluster, **more):
    """An instance with shim.c, and the file that tells it what fails."""
    def prepare(instance):
        instance.fault = instance.dir / "run/fault"
        instance.extra = {"LD_PRELOAD": str(build_shim()), "FAULT_FILE": str(instance.fault)}
    return make_fault_instance(cluster=cluster, prepare=prepare, **more)


@pytest.mark.slow
def test_f11_a_failed_fsync_seals_and_goes_on(cluster, make_fault_instance, provider):
    instance = shimmed(make_fault_instance, cluster)
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    answers = [user.chat("before") for _ in range(4)]
    instance.fault.write_text(f"fsync-once {instance.dir}/spool\n")
    answers += [user.chat("across") for _ in range(8)]
    assert [a.status for a in answers] == [200] * 12
    assert not instance.fault.exists()
    assert "is sealed" in instance.log()
    for what in ("fsync", "write"):
        instance.fault.write_text(f"{what} {instance.dir}/spool\n")
        wait_until(lambda: user.chat().status == 503, 20)
        for _ in range(3):  # what one worker has found, all know
            assert always_refused(user, provider)
        wait_until(lambda: nothing_open(instance))
        instance.fault.unlink()
        wait_until(lambda: user.chat().status == 200, 10)
    cluster.start()
    settle(instance)
    assert completed(instance, answers) == 12
    note("F-11 fsync", "fsync or write of the spool fails, PostgreSQL down", 3,
         figures_of(instance, answers),
         "the segment is sealed and another begun; failing on, 503 until it is over")
    assert instance.psql("select count(*) from minuted.dead_letters") == [["0"]]


def failing_disk(cluster, make_fault_instance):
    """An instance whose disk is about to fail, with a segment that waits and
    another that is being written, and the answers of both."""
    instance = shimmed(make_fault_instance, cluster, env={"WORKERS": 1})
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    first = [user.chat(f"first {n}") for n in range(3)]
    instance.fault.write_text(f"fsync-once {instance.dir}/spool\n")
    rest = [user.chat(f"rest {n}") for n in range(3)]
    assert [a.status for a in first + rest] == [200] * 6
    assert len(segments(instance)) == 2
    return instance, first, rest


def set_aside(instance):
    return list(pathlib.Path(instance.settings["SPOOL_DIR"]).glob("*/*.bad"))


def test_f14_a_read_that_fails_once_costs_nothing(cluster, make_fault_instance):
    instance, first, rest = failing_disk(cluster, make_fault_instance)
    bad = segments(instance)[0]
    instance.fault.write_text(f"read-once {bad}\n")
    cluster.start()
    wait_until(lambda: not instance.fault.exists())
    settle(instance)
    assert completed(instance, first + rest) == 6
    assert figures_of(instance, first + rest)["duplicate"] == 0
    assert told(instance, bad) == 1 and not set_aside(instance)


def passed_over(instance):
    return instance.http.get("/health").json()["details"]["journal"]["passed_over"]


def test_f14_what_the_disk_does_not_give_back_waits_until_it_does(
        cluster, make_fault_instance):
    instance, first, rest = failing_disk(cluster, make_fault_instance)
    bad = segments(instance)[0]
    data = bad.read_bytes()
    instance.fault.write_text(f"read {bad}\n")
    workers = instance.workers()
    cluster.start()
    instance.wait_healthy()
    wait_until(lambda: completed(instance, rest) >= 2, 20)  # one may begin in the other
    wait_until(lambda: passed_over(instance) == 1)
    time.sleep(11)  # two rounds that meet it again
    assert told(instance, bad) == 1
    assert bad.read_bytes() == data and not set_aside(instance)
    assert completed(instance, first) == 0
    figures = spool_figures(instance)
    assert (figures["unreadable"], figures["segments"]) == (1, 1)
    verified = instance.command("spool", "verify")
    assert verified.returncode == 1
    assert f"0/{bad.name}: cannot be read" in verified.stdout, verified
    assert f"{bad}: Input/output error" in verified.stderr, verified
    instance.fault.unlink()
    settle(instance)
    assert completed(instance, first + rest) == 6
    assert passed_over(instance) == 0 and told(instance, bad) == 1
    assert instance.workers() == workers
    note("F-14 read", "the disk does not give a segment back, and then it does", 1,
         figures_of(instance, first + rest),
         "it is told, passed over and left as it is; the others are delivered, and it is too "
         "once it can be read")


def bytes_read(pid):
    text = pathlib.Path(f"/proc/{pid}/io").read_text()
    return int(re.search(r"rchar: (\d+)", text)[1])


def go_away(instance):
    instance.postgres.stop("immediate")


def come_back(instance):
    instance.postgres.start()


def be_full(instance):
    instance.psql("create function public.full() returns trigger language plpgsql as "
                  "$$ begin raise sqlstate '53100'; end $$; "
                  "create trigger full_disk before insert on minuted.calls "
                  "for each statement execute function public.full()")


def be_as_before(instance):
    instance.psql("drop trigger full_disk on minuted.calls")


@pytest.mark.parametrize("how, mend, times", [(go_away, come_back, 0),
                                              (be_full, be_as_before, 4)])
def test_f10_an_outage_reads_no_segment_again_and_again(
        cluster, make_instance, how, mend, times):
    instance = make_instance(cluster=cluster, env={"WORKERS": 1})
    user = instance.user()
    instance.know(user)
    how(instance)
    answers = [user.chat(f"away {n}") for n in range(3)]
    assert all(a.status == 200 for a in answers)
    written = wait_until(lambda: segments(instance))[0]
    data = written.read_bytes()
    # one that is full: the same records, over and over
    full = written.with_name("0" * 8 + written.name[8:])
    full.write_bytes(data[:40] + data[40:] * (8_000_000 // len(data)))
    if ROOT:
        shutil.chown(full, USER, USER)
    worker, = instance.workers()
    time.sleep(1)
    before = bytes_read(worker)
    time.sleep(3)
    assert bytes_read(worker) - before < (times + 1) * full.stat().st_size
    mend(instance)
    settle(instance)
    assert completed(instance, answers) == len(answers)


def hangs(disk):
    done = subprocess.run(["fsfreeze", "-f", disk.at], stderr=subprocess.PIPE)
    if done.returncode != 0:
        pytest.skip("cannot freeze here")


def goes_on(disk):
    subprocess.run(["fsfreeze", "-u", disk.at], check=True)


def test_f12_a_spool_disk_that_hangs_loses_nothing(cluster, mount, make_instance):
    disk = mount("ext4", 24)
    instance = make_instance(cluster=cluster, env=spool_on(disk))
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    with Load(instance, user) as load:
        time.sleep(0.5)
        hangs(disk)
        try:
            for _ in range(20):  # what needs no record goes on
                began = time.monotonic()
                assert instance.http.get("/").status == 200
                assert time.monotonic() - began < 1
                time.sleep(0.1)
        finally:
            goes_on(disk)
        wait_until(lambda: user.chat().status == 200)
        time.sleep(0.5)
    cluster.start()
    figures = load.audit()
    no_loss(figures)
    note("F-12", "spool's disk hangs for two seconds, PostgreSQL down", 1, figures,
         "calls wait for the disk, everything else goes on; nothing is lost")
    instance.stop_minuted()


def test_f12_streams_go_on_while_the_disk_hangs(mount, make_instance):
    disk = mount("ext4", 24)
    instance = make_instance(env=spool_on(disk))
    user = instance.user()
    instance.know(user)
    user.timeout = 3
    with user.chat_stream("chunks=60 delay=0.1") as stream:
        events = stream.events()
        next(events)
        hangs(disk)
        try:
            times = [next(events).at for _ in range(20)]
        finally:
            goes_on(disk)
        rest = list(events)
    assert max(b - a for a, b in zip(times, times[1:])) < 1
    assert rest[-1].data == "[DONE]"


@pytest.mark.slow
def test_f12_while_the_disk_hangs_records_are_refused_in_time(cluster, mount, make_instance):
    disk = mount("ext4", 48)
    instance = make_instance(cluster=cluster, env=spool_on(disk))
    user = instance.user()
    key = user.post("/api/apikeys", {"name": "k"}).json()["key"]
    log = {"api_key": key, "user_id": "u", "message": "m"}
    instance.know(user, instance.http.as_user(key))
    cluster.stop("immediate")
    wait_until(lambda: user.chat().status == 200)
    hangs(disk)
    try:
        began = time.monotonic()
        got = instance.http.post("/api/event-log", log)
        assert got.status == 503 and got.headers["Retry-After"], got
        assert time.monotonic() - began < 15
        health = instance.http.get("/health").json()
        assert health["details"]["spool"] == {"status": "down"}
        for _ in range(12):  # nobody waits any more
            began = time.monotonic()
            assert user.chat().status == 503
            assert time.monotonic() - began < 1
    finally:
        goes_on(disk)
    wait_until(lambda: user.chat().status == 200)
    cluster.start()
    settle(instance)
    instance.stop_minuted()


def lose_power(instance, dice):
    """Kills all, and takes away some of what no fsync has confirmed."""
    os.killpg(instance.process.pid, signal.SIGKILL)
    instance.process.wait()
    for path in segments(instance):
        note_of = pathlib.Path(f"{path}.synced")
        synced = int(note_of.read_text()) if note_of.exists() else 0
        size = path.stat().st_size
        if not synced and dice.random() < 0.5:
            path.unlink()
            continue
        keep = dice.randint(synced, size)
        with open(path, "r+b") as out:
            out.truncate(keep)
            if dice.random() < 0.5:  # blocks that were never written
                out.seek(keep)
                out.write(bytes(size - keep))
            elif size > keep:
                out.seek(keep)
                out.write(dice.randbytes(size - keep))
    for path in pathlib.Path(instance.settings["SPOOL_DIR"]).glob("*/*.synced"):
        path.unlink()


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_f13_power_loss_keeps_what_was_acknowledged(cluster, make_fault_instance, rounds):
    def prepare(instance):
        instance.extra = {"LD_PRELOAD": str(build_shim()),
                          "SYNCED_UNDER": str(instance.dir / "spool")}

    instance = make_fault_instance(cluster=cluster, prepare=prepare)
    user = instance.user()
    load = None
    for seed in range(rounds):
        instance.know(user)
        cluster.stop("immediate")
        more = Load(instance, user)
        time.sleep(1)
        lose_power(instance, random.Random(seed))
        more.stop()
        if load:
            load.files += more.files
        else:
            load = more
        cluster.start()
        instance.start_minuted()
        instance.wait_healthy()
        settle(instance)  # what was synced is known of this life's segments only
    figures = load.audit()
    for name in ("missing", "duplicate", "uncounted", "running", "dead_letters"):
        assert figures[name] == 0, figures
    assert figures["acknowledged"] > 50
    note("F-13", "power loss: what was not synced is lost, zeros or garbage", rounds, figures,
         "the torn tail is cut, everything acknowledged is delivered")


SECTOR = 512  # what a disk writes whole or not at all


class Disk:
    """A disk after some steps of a trace: the sizes of files as written and as
    synced, by the name that each has, and the names of each on the disk.

    It has one after a sync of its directory only, and the new one after another;
    and its directory has one only after a sync of the spool's.  Of a file that
    went to another directory the old name is there until that one is synced.
    Nothing says that such a rename is whole: when its process goes on in that
    slot before either is synced, there may be no name at all."""

    def __init__(self):
        self.written, self.synced, self.named, self.folders = {}, {}, {}, set()

    def write(self, path, size):
        self.written[path] = size
        if path.suffix == ".spool":
            self.goes_on(path.parent)

    def rename(self, old, new):
        for of_each in (self.written, self.synced, self.named):
            if old in of_each:
                of_each[new] = of_each.pop(old)

    def sync(self, path, size):
        if path in self.written or path.name == "next":  # made with room, empty
            self.written.setdefault(path, size)
            self.synced[path] = size
            return
        self.folders.add(path)
        for file in self.written:
            names = [name for name in self.named.get(file, []) if name.parent != path]
            self.named[file] = names + [file] * (file.parent == path)

    def goes_on(self, slot):
        for file, names in self.named.items():
            if file.parent == slot and all(name.parent != slot for name in names):
                self.named[file] = []

    def has_both_names(self):
        return any(len(self.names(path)) > 1 for path in self.synced)

    def names(self, path):
        return [name for name in self.named.get(path, []) if name.parent.parent in self.folders]


class Trace:
    """What a running spool wrote, synced and renamed, and the bytes."""

    def __init__(self, path):
        self.steps = []
        self.files = {}
        for line in path.read_text().splitlines():
            what, size, name = line.split(" ", 2)
            if what == "to":
                self.steps[-1] = ("rename", int(size), (self.steps[-1][2], pathlib.Path(name)))
            else:
                self.steps.append((what, int(size), pathlib.Path(name)))
        for what, _, name in reversed(self.steps):  # its last name is the one it has
            old, file = name if what == "rename" else (None, name)
            if file.suffix == ".spool" and file not in self.files and file.exists():
                self.files[file] = file.read_bytes()
            if old and old.suffix == ".spool" and file in self.files:
                self.files[old] = self.files[file]

    def first_groups(self):
        """The moments when the first records of a segment that was renamed are
        synced: what follows may rely on its name."""
        waiting, moments = set(), []
        for at, (what, size, path) in enumerate(self.steps):
            if what == "rename":
                waiting.add(path[1])
            elif what == "sync" and size > 40 and path in waiting:
                waiting.remove(path)
                moments.append(at + 1)
        return moments

    def adoptions(self):
        """The moments from when segments went from slot to slot until the one
        who took them has written again."""
        taken, moments = set(), []
        for at, (what, _, path) in enumerate(self.steps):
            if what == "rename" and path[0].parent != path[1].parent:
                taken.add(path[1].parent)
            if taken:
                moments.append(at + 1)
            if what == "write" and path.suffix == ".spool":
                taken.discard(path.parent)
        return moments

    @functools.cached_property
    def both_names(self):
        """The moments when a segment that went from slot to slot is on the disk
        in both: it is delivered twice, and is to be there once."""
        return [at for at in self.adoptions() if self.until(at).has_both_names()]

    def until(self, count):
        """The disk after so many steps."""
        disk = Disk()
        for what, size, path in self.steps[:count]:
            if what == "write":
                disk.write(path, size)
            elif what == "rename":
                disk.rename(*path)
            else:
                disk.sync(path, size)
        return disk

    def promised(self, sizes):
        """Of the records that are in so much of the segments: is it an end, by
        id.  The spool says of each that was synced that it is kept."""
        found = {}
        for path, size in sizes.items():
            for at, each, line in segment_records(self.files.get(path, b"")):
                if at + 36 + len(line) <= size:
                    name = str(uuid.UUID(bytes=each))
                    found[name] = found.get(name) or b"\trunning\t" not in line
        return found


def after_power_loss(data, synced, dice):
    """Bytes of which those from synced on are there, zeros, garbage or cut off,
    sector by sector."""
    data = bytearray(data)
    at = synced
    while at < len(data):
        end = min(len(data), (at // SECTOR + 1) * SECTOR)
        fate = dice.choice(["kept", "kept", "zeros", "garbage"])
        if fate != "kept":
            data[at:end] = bytes(end - at) if fate == "zeros" else dice.randbytes(end - at)
        at = end
    return data[: dice.choice([len(data), dice.randint(synced, len(data))])]


def moment(trace, dice):
    """Any, or one when a name that is not on the disk, or is there twice, would
    cost the most."""
    luck = dice.random()
    if luck < 0.15:
        return dice.choice(trace.both_names)
    if luck < 0.35:
        return trace.adoptions()[-1]
    if luck < 0.45:
        return dice.choice(trace.adoptions())
    if luck < 0.7:
        return dice.choice(trace.first_groups())
    return dice.randint(1, len(trace.steps))


def lay_out(trace, seed, spool):
    """The spool as a power loss at such a moment left it; what it had promised
    by then.  A file without a name on the disk may be gone, or be there; one
    whose last name is not, or not alone, is as the disk has it most of the
    time."""
    dice = random.Random(seed)
    disk = trace.until(moment(trace, dice))
    for path, size in disk.written.items():
        if path not in trace.files:
            continue
        names = [path]
        if disk.names(path) != names and dice.random() < 0.8:
            names = disk.names(path)
        data = after_power_loss(trace.files[path][:size], disk.synced.get(path, 0), dice)
        for name in names:
            slot = spool / name.parent.name
            slot.mkdir(mode=0o700, exist_ok=True)
            (slot / name.name).write_bytes(data)
    return trace.promised(disk.synced)


TAKE = ("delete from minuted.usage_deltas; delete from minuted.usage_hourly; "
        "delete from minuted.calls returning id, status <> 'running'; "
        "delete from minuted.events returning id, true")


ADOPTED = re.compile(r"^from 0 (.*)/[^/]*\.spool\nto \d+ (?!\1/).*\n", re.M)


def has_open(pid, path):
    files = pathlib.Path(f"/proc/{pid}/fd").iterdir()
    return any(os.readlink(file) == str(path) for file in files)


def have_one_adopted(instance):
    """Kills a worker that has segments and that nobody replaces; back when
    another has taken them."""
    slot = max((path.parent for path in segments(instance)),
               key=lambda each: sum(path.stat().st_size for path in each.glob("*.spool")))
    owner, = [pid for pid in instance.workers() if has_open(pid, slot)]
    instance.process.send_signal(signal.SIGSTOP)
    os.kill(owner, signal.SIGKILL)
    wait_until(lambda: ADOPTED.search(instance.trace.read_text()), 15, 0.05)


def traced(cluster, make_fault_instance):
    """A trace of a spool under load, and its instance, which has ended."""
    def prepare(instance):
        instance.trace = instance.dir / "run/trace"
        instance.fault = instance.dir / "run/fault"
        instance.extra = {"LD_PRELOAD": str(build_shim()), "SYNC_TRACE": str(instance.trace),
                          "SYNCED_UNDER": str(instance.dir / "spool"),
                          "FAULT_FILE": str(instance.fault)}

    instance = make_fault_instance(cluster=cluster, prepare=prepare)
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    with Load(instance, user, clients=1, hands=4):
        for _ in range(4):  # each seals a segment
            time.sleep(0.2)
            instance.fault.write_text(f"fsync-once {instance.dir}/spool\n")
            wait_until(lambda: not instance.fault.exists())
        time.sleep(0.2)
    have_one_adopted(instance)
    with Load(instance, user, clients=1, hands=4):
        time.sleep(0.2)
    os.killpg(instance.process.pid, signal.SIGKILL)
    instance.process.wait()
    cluster.start()
    return Trace(instance.trace), instance


@pytest.mark.parametrize("seeds", [10, pytest.param(1000, marks=pytest.mark.slow)])
def test_f13_any_moment_of_power_loss_keeps_what_was_synced(cluster, make_fault_instance, seeds):
    """The states of a disk that a power loss may leave, made from one trace: a
    record counts as acknowledged as soon as its sync was over."""
    trace, instance = traced(cluster, make_fault_instance)
    assert len(trace.steps) > 100 and len(trace.files) > 2
    assert trace.first_groups() and trace.adoptions() and trace.both_names
    instance.extra = {}
    use_spool(instance, instance.dir / "after")
    everything = trace.promised({path: len(data) for path, data in trace.files.items()})
    instance.psql(TAKE)
    figures = {"acknowledged": 0, "missing": 0, "duplicate": 0}
    for seed in range(seeds):
        shutil.rmtree(instance.dir / "after", ignore_errors=True)
        (instance.dir / "after").mkdir(mode=0o700)
        promised = lay_out(trace, seed, instance.dir / "after")
        done = instance.command("spool", "replay")
        assert done.returncode == 0, (seed, done)
        counted, *got = instance.psql(COUNTED.strip() + ";" + TAKE)
        assert counted == ["0", "0"], seed  # neither twice nor not at all
        there = {name: ended == "t" for name, ended in got}
        missing = [name for name, ended in promised.items()
                   if name not in there or (ended and not there[name])]
        assert not missing, (seed, missing[:3])
        assert there.keys() <= everything.keys(), seed
        assert len(got) == len(there), seed
        figures["acknowledged"] += len(promised)
        figures["duplicate"] += len(got) - len(there)
    assert instance.psql("select count(*) from minuted.dead_letters") == [["0"]]
    note("F-13 states", "power loss at any moment: unsynced sectors there, zeros, garbage or cut "
         "off, names of new or adopted files gone", seeds, figures,
         "every record that was synced is delivered, once")


def left_in_spool(instance, cluster, user, count=6, events=0):
    """Answers whose records are in the spool of an instance that has stopped."""
    instance.know(user)
    cluster.stop("immediate")
    answers = [user.chat(f"away {n}") for n in range(count)]
    assert all(a.status == 200 for a in answers)
    for _ in range(events):
        assert user.post("/api/event-log", {"user_id": "u", "message": "m"}).status == 201
    os.killpg(instance.process.pid, signal.SIGKILL)
    instance.process.wait()
    cluster.start()
    return answers


def rewrite(path, data):
    path.write_bytes(data)


def test_f14_a_segment_of_any_damage_gives_only_what_was_written():
    count, seed = 100000, random.SystemRandom().randrange(10**9)
    done = subprocess.run([BINARY.parent / "faults/mutate", str(seed), str(count)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, (seed, done)
    told = json.loads(done.stdout)
    assert told["mutations"] == count and told["changed"] == 0
    share = told["found"] / (count * told["written"])
    assert share > 0.8, told
    note("F-14 fuzz", "a segment with bits flipped, and blocks cut out, put in, zeroed or copied",
         count, None, f"never a changed record, {share:.0%} of the others found")


def test_f14_damage_costs_what_it_hit_and_is_kept(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    answers = left_in_spool(instance, cluster, instance.user())
    dice = random.Random(14)
    path = max(segments(instance), key=lambda each: each.stat().st_size)
    good = path.read_bytes()
    whole = len(segment_records(good))
    for _ in range(40):
        bad = bytearray(good)
        bad[dice.randrange(40, len(bad))] ^= 1 << dice.randrange(8)
        rewrite(path, bad)
        done = instance.command("spool", "verify")
        assert done.returncode in (0, 1), done
        line = next(line for line in done.stdout.splitlines() if path.name in line)
        assert f" {whole} records" in line or f" {whole - 1} records" in line, line
    at, _, line = segment_records(good)[-1]
    bad = bytearray(good)
    bad[at + 40] ^= 1
    rewrite(path, bad)
    instance.start_minuted()
    settle(instance, running=1)
    assert completed(instance, answers) >= len(answers) - 1
    assert list(pathlib.Path(instance.settings["SPOOL_DIR"]).glob("*/*.bad"))
    note("F-14", "a flipped bit in a segment on the disk", 1, figures_of(instance, answers),
         "at most the record that was hit is set aside in a .bad file, the rest is delivered; "
         "a call whose end it was ends by its age")


# of a client's text, in each of these records: no log may hold it
MARK = b"a-word-of-a-prompt"
# what PostgreSQL cannot take, by the number of the field (journal/fields.h) that
# it is put in
POISON = {
    "a NUL": (5, MARK + b"\\000"),
    "a status that is none": (7, MARK),
    "a number without end": (9, b"1e400000"),
    "a boolean that is none": (8, b"perhaps"),
    "no JSON": (25, b'{"a":"' + MARK),
    "no UTF-8": (28, MARK + b"\\377\\376"),
    "a time that is none": (26, b"2026-02-30T25:00:00Z"),
    "a field too many": (29, MARK + b"\tb"),
}
# what it has to take, however odd
ODD = {
    "a NUL as JSON writes it": (25, b'{"a":"\\\\u0000"}'),
    "a number of JSON without end": (25, b'{"n":1e400000}'),
    "3 MB of words": (29, " ".join(f"w{n}" for n in range(430000)).encode()),
}


def spoil(line, field, value):
    fields = line.rstrip(b"\n").split(b"\t")
    assert len(fields) == 30
    fields[29] = MARK
    fields[field] = value
    return b"\t".join(fields) + b"\n"


def put_into_spool(instance, changes):
    """Changes as many records of the segments; their ids by what was done."""
    todo = iter(changes.items())
    done = {}
    for path in segments(instance):
        data = path.read_bytes()
        fresh = data[:40]
        for at, each, line in segment_records(data):
            kind = int.from_bytes(data[at + 12 : at + 16], "little")
            what, change = None, None
            if b"\tcompleted\t" in line:
                what, change = next(todo, (None, None))
            if what:
                done[what] = str(uuid.UUID(bytes=each))
                line = spoil(line, *change)
            fresh += segment_record(kind, each, line)
        rewrite(path, fresh)
    assert len(done) == len(changes)
    return done


def test_f15_poison_is_set_aside_and_blocks_nobody(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    instance.secrets.append(MARK.decode())  # looked for in all logs at the end
    user = instance.user()
    answers = left_in_spool(instance, cluster, user, 16)
    put = put_into_spool(instance, {**POISON, **ODD})
    instance.start_minuted()
    buried = "select count(*), count(distinct record) from minuted.dead_letters"
    once = [[str(len(POISON))] * 2]
    wait_until(lambda: instance.psql(buried) == once)
    settle(instance)
    assert instance.psql(buried) == once
    rows = instance.psql("select split_part(convert_from(record, 'utf8'), E'\\t', 2) "
                         "from minuted.dead_letters")
    assert {row[0] for row in rows} == {put[what] for what in POISON}
    letters = instance.psql("select sqlstate, reason <> '' from minuted.dead_letters")
    assert all(len(state) == 5 and reason == "t" for state, reason in letters), letters
    assert completed(instance, answers) == len(answers) - len(POISON)
    sql = "select count(*) from minuted.calls where (status, error) = ('interrupted', 'owner_gone')"
    assert instance.psql(sql) == [[str(len(POISON))]]
    sizes = instance.psql("select length(response) from minuted.call_texts "
                          f"where id = '{put['3 MB of words']}'")
    assert int(sizes[0][0]) > 3_000_000
    user.check = False  # an odd answer is one
    for path in ("/v1/calls", "/api/llm-logs", "/proxy-api/dashboard", "/api/user/stats",
                 *(f"/v1/calls/{put[what]}" for what in ODD)):
        assert user.get(path).status == 200, path
    figures = figures_of(instance, answers)
    figures["missing"] -= len(letters)  # kept there
    note("F-15", "records that PostgreSQL refuses, and odd ones that it has to take",
         len(put), figures, "they go to dead_letters with the reason, the others go in")


def test_f15_what_was_buried_before_a_timeout_is_buried_once(cluster, make_instance):
    """Events come after calls: a lock on theirs begins the batch again."""
    instance = make_instance(cluster=cluster)
    user = instance.user()
    answers = left_in_spool(instance, cluster, user, 16, events=16)
    put_into_spool(instance, POISON)
    holder = Transaction(instance, "lock table minuted.events")
    instance.start_minuted()
    buried = "select count(*), count(distinct record) from minuted.dead_letters"
    wait_until(lambda: instance.psql(buried) != [["0", "0"]])
    time.sleep(8)  # some timeouts; a segment behind another one waits for it
    (total, different), = instance.psql(buried)
    assert total == different
    holder.end()
    settle(instance)
    assert instance.psql(buried) == [[str(len(POISON))] * 2]
    assert instance.psql("select count(*) from minuted.events") == [["16"]]
    assert completed(instance, answers) == len(answers) - len(POISON)


def test_f15_a_copy_that_is_refused_shows_no_text_in_any_log(cluster, make_instance):
    """New records go in by COPY, of which PostgreSQL quotes the row."""
    instance = make_instance(cluster=cluster)
    instance.secrets.append(MARK.decode())
    user = instance.user()
    instance.psql("alter table minuted.calls add constraint picky "
                  "check (source <> 'refused') not valid")
    logs = [{"user_id": MARK.decode(), "source": source, "query": MARK.decode(),
             "response": MARK.decode()} for source in ("good", "refused", "good", "good")]
    assert user.post("/api/llm-log/batch", {"logs": logs}).status == 201
    wait_until(lambda: instance.psql("select count(*) from minuted.dead_letters") == [["1"]])
    wait_until(lambda: instance.psql("select count(*) from minuted.calls") == [["3"]])
    assert "copy minuted.calls" in instance.postgres.log()  # it was refused
    assert "23514" in instance.log()


# A spool that cannot be used.


def starts_not(instance, seconds=15):
    """Ends with code 1 by itself; its log."""
    instance.start_minuted()
    try:
        code = instance.process.wait(seconds)
    except subprocess.TimeoutExpired:
        code = None
    log = instance.log()
    assert code == 1, (code, log[-2000:])
    errors = [line for line in log.splitlines() if '"level":"error"' in line
              or '"level":"warn"' in line]
    assert len(errors) == 1, log
    return errors[0]


@pytest.fixture
def prepared(make_instance):
    return make_instance(start=False).prepare()


def use_spool(instance, path):
    instance.settings["SPOOL_DIR"] = path
    instance.write_settings()


def test_spool_parent_missing_ends_the_start(prepared):
    use_spool(prepared, prepared.dir / "nowhere/spool")
    assert "nowhere/spool" in starts_not(prepared)


def test_spool_that_is_a_file_ends_the_start(prepared):
    (prepared.dir / "file").write_text("precious")
    use_spool(prepared, prepared.dir / "file")
    assert "/file" in starts_not(prepared)
    assert (prepared.dir / "file").read_text() == "precious"


def test_spool_of_another_owner_ends_the_start(prepared):
    if not ROOT:
        pytest.skip("needs root")
    theirs = prepared.dir / "theirs"
    theirs.mkdir(mode=0o700)
    use_spool(prepared, theirs)
    assert "/theirs" in starts_not(prepared)
    assert list(theirs.iterdir()) == []


def test_spool_on_a_full_disk_is_told_and_refuses_during_an_outage(
        cluster, mount, make_instance, provider):
    disk = mount("tmpfs", 1)
    disk.fill()
    instance = make_instance(cluster=cluster, env={"SPOOL_DIR": disk.at / "spool"})
    assert "the spool's disk has no room" in instance.log()
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    assert always_refused(user, provider)


def test_spool_on_a_read_only_disk_ends_the_start(prepared, mount):
    disk = mount("tmpfs", 1)
    disk.remount("ro")
    use_spool(prepared, disk.at / "spool")
    assert str(disk.at) in starts_not(prepared)


def test_spool_of_another_instance_ends_the_start(make_instance):
    first = make_instance()
    second = make_instance(start=False).prepare()
    use_spool(second, first.settings["SPOOL_DIR"])
    assert "two SPOOL_DIR" in starts_not(second)
    assert first.user().chat().status == 200


def test_spool_of_a_newer_version_ends_the_start_untouched(prepared):
    slot = pathlib.Path(prepared.settings["SPOOL_DIR"]) / "0"
    slot.mkdir()
    each = bytes(range(16))
    name = each.hex()
    name = "-".join((name[:8], name[8:12], name[12:16], name[16:20], name[20:])) + ".spool"
    head = b"MINSPOOL" + u32(2) + u32(1) + each + u32(0)
    data = head + u32(crc32c(head)) + b"what nobody here can read"
    (slot / name).write_bytes(data)
    if ROOT:
        shutil.chown(slot, USER, USER)
        shutil.chown(slot / name, USER, USER)
    assert "newer" in starts_not(prepared)
    assert (slot / name).read_bytes() == data
    done = prepared.command("spool", "replay")
    assert "newer" in done.stdout
    assert (slot / name).read_bytes() == data
    assert spool_figures(prepared)["newer"] == 1


# What happens to the spool while it is in use.


def told(instance, path):
    """How often the log has a line of it."""
    return sum(f"spool {path} " in line for line in instance.log().splitlines())


def spool_command(instance, what):
    """As the workers' user: root can read everything."""
    return subprocess.run(
        ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups",
         instance.dir / "bin/minuted", "--config", instance.dir / "minuted.env", "spool", what],
        env=instance.environment(), text=True, cwd="/", timeout=30,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def foreign(spool, name, mode=0o700):
    """A slot of root's."""
    (spool / name).mkdir(mode=mode)
    return spool / name


def test_spool_things_that_cannot_be_used_are_told_once_and_hold_up_nobody(
        cluster, make_instance):
    if not ROOT:
        pytest.skip("needs root")
    instance = make_instance(cluster=cluster, env={"WORKERS": 2})
    spool = pathlib.Path(instance.settings["SPOOL_DIR"])
    user = instance.user()
    answers = left_in_spool(instance, cluster, user)
    kept = [(path.name, path.read_bytes()) for path in segments(instance)]
    for path in segments(instance):
        path.unlink()
    instance.start_minuted()
    instance.wait_healthy()

    foreign(spool, "10", 0o755)
    (spool / "10" / kept[0][0]).write_bytes(b"precious")
    for slot in ("7", "12"):
        (spool / slot).mkdir(mode=0o700)
    unreadable = [spool / "7" / kept[0][0], spool / "0" / ("0" * 8 + ".spool")]
    for path in unreadable:
        path.write_bytes(b"precious")
    for name, data in kept:
        (spool / "12" / name).write_bytes(data)
    for path in (spool / "7", spool / "12", *unreadable, *(spool / "12").iterdir()):
        shutil.chown(path, USER, USER)
    for path in unreadable:
        path.chmod(0)
    bad = [foreign(spool, "9"), spool / "10", *unreadable]
    for pid in instance.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(told(instance, path) for path in bad), 20)
    instance.wait_healthy()
    wait_until(lambda: completed(instance, answers) == len(answers), 20)

    instance.know(user)
    cluster.stop("immediate")
    answers = [user.chat(f"away {n}") for n in range(4)]
    assert all(a.status == 200 for a in answers)
    cluster.start()
    wait_until(lambda: completed(instance, answers) == len(answers), 20)
    for late in ("11", "13"):  # found in rounds that met the others again
        bad.append(foreign(spool, late))
        wait_until(lambda: told(instance, bad[-1]), 20)
    assert [told(instance, path) for path in bad] == [1] * len(bad)

    done = spool_command(instance, "verify")
    assert done.returncode == 1
    assert all(f"{path.relative_to(spool)}" in done.stdout + done.stderr for path in bad), done
    assert f"spool {bad[0]}: Permission denied" in done.stderr
    assert "unreadable  5\n" in spool_command(instance, "status").stdout
    assert all(path.read_bytes() == b"precious" for path in unreadable)
    assert (spool / "10" / kept[0][0]).read_bytes() == b"precious"


def test_spool_slot_of_a_worker_that_is_foreign_ends_the_start(prepared):
    if not ROOT:
        pytest.skip("needs root")
    slot = foreign(pathlib.Path(prepared.settings["SPOOL_DIR"]), "0")
    assert f"spool {slot} cannot be used" in starts_not(prepared)


@pytest.mark.parametrize("lock", ["a directory", "root's"])
def test_spool_lock_of_a_worker_that_cannot_be_opened_ends_the_start(prepared, lock):
    if not ROOT:
        pytest.skip("needs root")
    slot = pathlib.Path(prepared.settings["SPOOL_DIR"]) / "0"
    slot.mkdir(mode=0o700)
    shutil.chown(slot, USER, USER)
    if lock == "root's":
        (slot / "lock").touch(mode=0o600)
    else:
        (slot / "lock").mkdir()
    assert f"spool {slot}/lock cannot be used: " in starts_not(prepared)


@pytest.mark.parametrize("inodes, missing", [(1, "0"), (2, "0/lock"), (3, "1"), (4, "1/lock")])
def test_spool_without_room_for_the_slots_of_workers_ends_the_start(
        prepared, mount, inodes, missing):
    disk = mount("tmpfs", 1)
    disk.remount(f"nr_inodes={inodes}")  # one is the mount's
    prepared.settings["WORKERS"] = 2
    use_spool(prepared, disk.at)
    assert f"spool {disk.at}/{missing} cannot be used: No space left" in starts_not(prepared)


def test_spool_replay_by_root_leaves_the_slot_to_its_worker(cluster, make_instance):
    if not ROOT:
        pytest.skip("needs root")
    instance = make_instance(cluster=cluster, env={"WORKERS": 1})
    answers = left_in_spool(instance, cluster, instance.user())
    lock = pathlib.Path(instance.settings["SPOOL_DIR"]) / "0/lock"
    lock.unlink()  # as of records that were saved elsewhere and brought back
    done = instance.command("spool", "replay")
    assert done.returncode == 0 and lock.exists(), done
    assert completed(instance, answers) == len(answers)
    assert (lock.owner(), lock.group()) == (USER, USER)
    instance.start_minuted()
    instance.wait_healthy()


def spool_is(instance, status):
    return instance.http.get("/health").json()["details"]["spool"] == {"status": status}


def spool_in(make_instance, cluster, owner):
    """An instance whose spool is in a folder of owner's, and a user known to its
    workers."""
    instance = make_instance(start=False, cluster=cluster, env={"WORKERS": 2}).prepare()
    folder = instance.dir / "folder"
    folder.mkdir(mode=0o755)
    use_spool(instance, folder / "spool")
    (folder / "spool").mkdir(mode=0o700)
    if ROOT:
        shutil.chown(folder, owner, owner)
        shutil.chown(folder / "spool", USER, USER)
    instance.start()
    user = instance.user()
    instance.http.check = False
    instance.know(user)
    return instance, user, folder / "spool"


def remove_slots(spool):
    for slot in spool.iterdir():
        shutil.rmtree(slot)


def move_away(spool):
    spool.rename(spool.parent / "away")


@pytest.mark.parametrize("how", [remove_slots, shutil.rmtree, move_away])
def test_spool_that_goes_away_is_made_again_before_it_is_needed(
        cluster, make_instance, how):
    instance, user, spool = spool_in(make_instance, cluster, USER)
    how(spool)
    wait_until(lambda: all(told(instance, spool / slot) for slot in "01"), 5)
    wait_until(lambda: spool_is(instance, "up"), 5)
    other = make_instance(start=False).prepare()
    use_spool(other, spool)
    assert "two SPOOL_DIR" in starts_not(other)
    cluster.stop("immediate")
    answers = [user.chat(f"away {n}") for n in range(6)]
    assert all(a.status == 200 for a in answers)
    os.killpg(instance.process.pid, signal.SIGKILL)
    instance.process.wait()
    cluster.start()
    instance.start_minuted()
    settle(instance)
    assert completed(instance, answers) == len(answers)


def chown_slots(spool, owner):
    for slot in spool.iterdir():
        shutil.chown(slot, owner, owner)


def take_slots(spool):
    chown_slots(spool, "root")


def give_slots(spool):
    chown_slots(spool, USER)


def give_spool(spool):
    spool.mkdir(mode=0o700)
    shutil.chown(spool, USER, USER)


def root_s_instead(spool):
    shutil.rmtree(spool)
    spool.mkdir(mode=0o700)


def give_root_s(spool):
    shutil.chown(spool, USER, USER)


@pytest.mark.parametrize("how, mend", [(shutil.rmtree, give_spool), (take_slots, give_slots),
                                       (root_s_instead, give_root_s)])
def test_spool_that_is_lost_while_postgresql_is_up_is_told_and_costs_no_call(
        cluster, make_instance, provider, how, mend):
    if not ROOT:
        pytest.skip("needs root")
    instance, user, spool = spool_in(make_instance, cluster, "root")
    how(spool)
    wait_until(lambda: spool_is(instance, "down"), 5)
    wait_until(lambda: all(f"cannot be written ({spool}/{slot})" in instance.log()
                           for slot in "01"), 5)
    assert user.chat("while PostgreSQL is up").status == 200
    cluster.stop("immediate")
    for _ in range(10):  # from the first one on
        began = time.monotonic()
        assert refused(user, provider)
        assert time.monotonic() - began < 5
    mend(spool)
    wait_until(lambda: spool_is(instance, "up"), 10)
    answers = [user.chat(f"away {n}") for n in range(6)]
    assert all(a.status == 200 for a in answers)
    cluster.start()
    settle(instance)
    assert completed(instance, answers) == len(answers)
    assert instance.log().count("cannot be written") == 2  # once a worker
