"""test_f_spool.py - the disk of the spool: full, failing, hanging, cut off by a
power failure, damaged, or not ours."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

from harness import (ROOT, Load, build_shim, crc32c, no_loss, note, segment_record,
                     segment_records, segments, settle, spool_figures, u32)
from instance import USER, wait_until


def warm(user):
    for _ in range(12):
        assert user.chat().status == 200


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
    """A call gets its 503, and no provider was asked; False: it was taken, or
    was the one by which a worker finds out."""
    mark = f"m{time.monotonic_ns()}"
    got = user.chat(f"tag={mark}")
    if got.status == 200:
        return False
    assert got.status == 503 and int(got.headers["Retry-After"]) > 0, got
    return provider.seen(mark) == []


def always_refused(user, provider):
    return all(refused(user, provider) for _ in range(6))


def nothing_open(instance):
    return "minuted_calls_open 0\n" in instance.http.get("/metrics").text


@pytest.mark.slow
def test_f11_a_full_disk_refuses_before_the_provider(cluster, mount, make_instance, provider):
    disk = mount("ext4", 24)
    instance = make_instance(cluster=cluster, env=spool_on(disk))
    user = instance.user()
    warm(user)
    cluster.stop("immediate")
    answers = [user.chat("before") for _ in range(5)]
    assert all(a.status == 200 for a in answers)
    disk.fill()
    wait_until(lambda: always_refused(user, provider) or answers.append(user.chat()), 30)
    workers = instance.workers()
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
    warm(user)
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
    instance.stop_minuted()


def shimmed(make_fault_instance, cluster, **more):
    """An instance with shim.c, and the file that tells it what fails."""
    def prepare(instance):
        instance.fault = instance.dir / "run/fault"
        instance.extra = {"LD_PRELOAD": str(build_shim()), "FAULT_FILE": str(instance.fault),
                          **more}
    return make_fault_instance(cluster=cluster, prepare=prepare)


@pytest.mark.slow
def test_f11_a_failed_fsync_seals_and_goes_on(cluster, make_fault_instance, provider):
    instance = shimmed(make_fault_instance, cluster)
    user = instance.user()
    warm(user)
    cluster.stop("immediate")
    answers = [user.chat("before") for _ in range(4)]
    instance.fault.write_text(f"fsync-once {instance.dir}/spool\n")
    answers += [user.chat("across") for _ in range(8)]
    assert [a.status for a in answers] == [200] * 12
    assert not instance.fault.exists()
    assert "is sealed" in instance.log()
    for what in ("fsync", "write"):
        instance.fault.write_text(f"{what} {instance.dir}/spool\n")
        wait_until(lambda: always_refused(user, provider), 20)
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
    warm(user)
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


@pytest.mark.slow
@pytest.mark.xfail(strict=True, reason="calls in hand are a mapping of the spool's disk, "
                   "and a page of a disk that hangs cannot be written")
def test_f12_streams_go_on_while_the_disk_hangs(mount, make_instance):
    disk = mount("ext4", 24)
    instance = make_instance(env=spool_on(disk))
    user = instance.user()
    warm(user)
    user.timeout = 3
    with user.chat_stream("chunks=60 delay=0.1") as stream:
        events = stream.events()
        next(events)
        hangs(disk)
        try:
            times = [next(events).at for _ in range(20)]
        finally:
            goes_on(disk)
    assert max(b - a for a, b in zip(times, times[1:])) < 1


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
        warm(user)
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
    figures = load.audit()
    for name in ("missing", "duplicate", "uncounted", "running", "dead_letters"):
        assert figures[name] == 0, figures
    assert figures["acknowledged"] > 50
    note("F-13", "power loss: what was not synced is lost, zeros or garbage", rounds, figures,
         "the torn tail is cut, everything acknowledged is delivered")


def left_in_spool(instance, cluster, user, count=6):
    """Answers whose records are in the spool of an instance that has stopped."""
    warm(user)
    cluster.stop("immediate")
    answers = [user.chat(f"away {n}") for n in range(count)]
    assert all(a.status == 200 for a in answers)
    os.killpg(instance.process.pid, signal.SIGKILL)
    instance.process.wait()
    cluster.start()
    return answers


def rewrite(path, data):
    path.write_bytes(data)


def test_f14_damage_costs_what_it_hit_and_is_kept(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    answers = left_in_spool(instance, cluster, instance.user())
    dice = random.Random(14)
    path = max(segments(instance), key=lambda each: each.stat().st_size)
    good = path.read_bytes()
    whole = len(segment_records(good))
    for _ in range(40):  # a flipped bit costs one record at most
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
    settle(instance)
    assert completed(instance, answers) >= len(answers) - 1
    assert list(pathlib.Path(instance.settings["SPOOL_DIR"]).glob("*/*.bad"))
    note("F-14", "a flipped bit in a segment on the disk", 1, figures_of(instance, answers),
         "at most the record that was hit is set aside in a .bad file, the rest is delivered")


def test_f15_poison_is_set_aside_and_blocks_nobody(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    answers = left_in_spool(instance, cluster, instance.user())
    path = segments(instance)[0]
    data = path.read_bytes()
    poisoned = data[:40]
    bad = 0
    for _, each, line in segment_records(data):
        if b"\tcompleted\t" in line and bad < 2:
            new = (line.replace(b"\tcompleted\t", b"\tbogus\t") if bad
                   else line.replace(b"\tchat.completion\t", b"\tchat\\\\000\t", 1))
            assert new != line
            line = new
            bad += 1
        poisoned += segment_record(1, each, line)
    assert bad == 2
    rewrite(path, poisoned)
    instance.start_minuted()
    wait_until(lambda: instance.psql("select count(*) from minuted.dead_letters") != [["0"]])
    settle(instance)
    assert completed(instance, answers) >= len(answers) - bad
    letters = instance.psql("select sqlstate, reason <> '' from minuted.dead_letters")
    assert 1 <= len(letters) <= bad and all(row[1] == "t" for row in letters)
    figures = figures_of(instance, answers)
    figures["missing"] = max(0, figures["missing"] - len(letters))  # kept there
    note("F-15", "records that PostgreSQL refuses", len(letters), figures,
         "they go to dead_letters with the reason, the others go in")


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


def test_spool_on_a_full_disk_ends_the_start(prepared, mount):
    disk = mount("tmpfs", 1)
    disk.fill()
    use_spool(prepared, disk.at / "spool")
    assert str(disk.at) in starts_not(prepared)


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
