"""test_spool.py - PostgreSQL goes away, calls do not, and nothing is lost."""

import concurrent.futures
import pathlib
import re
import shutil
import uuid

import pytest

from client import chat_body
from instance import Postgres, wait_until


@pytest.fixture
def cluster():
    """A PostgreSQL of the test's own; asked for before make_instance, so that
    it goes last."""
    cluster = Postgres()
    yield cluster
    if not (cluster.dir / "postgres/postmaster.pid").exists():
        cluster.start()
    cluster.remove()


def figures(done):
    return dict(re.findall(r"^([a-z]+(?: [a-z]+)?) {2,}(\S+)", done.stdout, re.M))


def test_an_outage_is_spooled_and_delivered(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    user = instance.user()
    instance.know(user)
    status = figures(instance.command("spool", "status"))
    assert status["records"] == "0" and status["corrupt"] == "0"

    cluster.stop("immediate")
    answers = [user.chat(f"while away {i}") for i in range(5)]
    assert [a.status for a in answers] == [200] * 5
    with user.chat_stream("streamed while away") as stream:
        assert stream.texts()[-1] == "[DONE]"
    status = figures(instance.command("spool", "status"))
    assert int(status["records"]) >= 6
    verified = instance.command("spool", "verify")
    assert verified.returncode == 0, verified
    assert ".spool: good, " in verified.stdout
    held = instance.command("spool", "replay")
    assert held.returncode == 1, "PostgreSQL is away"

    cluster.start()
    ids = [a.headers["X-Call-Id"] for a in answers + [stream]]
    wait_until(lambda: instance.healthy())
    for each in ids:
        call = wait_until(lambda: (
            got := user.get("/v1/calls/" + each)).status == 200 and got.json())
        assert call["status"] == "completed"
    wait_until(lambda: figures(instance.command("spool", "status"))["segments"] == "0")
    assert instance.psql("select count(*) from minuted.dead_letters") == [["0"]]


def test_replay_by_hand_of_what_a_stopped_instance_left(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    answer = user.chat("while away")
    assert answer.status == 200
    instance.stop_minuted()
    cluster.start()
    done = instance.command("spool", "replay")
    assert done.returncode == 0, done
    assert "records delivered" in done.stdout
    rows = instance.psql("select status from minuted.calls where id = '%s'"
                         % answer.headers["X-Call-Id"])
    assert rows == [["completed"]]
    assert figures(instance.command("spool", "status"))["segments"] == "0"


def test_what_was_let_in_is_kept_also_over_the_ceiling(cluster, make_instance, provider):
    instance = make_instance(cluster=cluster, env={"SPOOL_MAX": "1m"})
    user = instance.user()
    user.check = False
    instance.know(user)
    cluster.stop("immediate")
    body = chat_body("tag=large chunks=100 size=1000 first=2")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: user.post("/v1/chat/completions", body), range(20)))
    assert [a.status for a in answers] == [200] * len(provider.seen("large")) == [200] * 20
    assert user.chat("tag=later").status == 503 and not provider.seen("later")
    event = {"user_id": "u", "level": "info", "message": "m"}
    assert user.post("/api/event-log", event).status == 503
    cluster.start()
    ids = ",".join("'%s'" % a.headers["X-Call-Id"] for a in answers)
    count = f"select count(*) from minuted.calls where status = 'completed' and id in ({ids})"
    wait_until(lambda: instance.psql(count) == [["20"]], 20)
    wait_until(lambda: user.chat("tag=later").status == 200, 20)


def test_a_damaged_segment_is_found(cluster, make_instance):
    instance = make_instance(cluster=cluster, env={"WORKERS": 1})
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    for i in range(3):
        assert user.chat(f"away {i}").status == 200
    instance.stop_minuted()
    segments = list(pathlib.Path(instance.dir / "spool").glob("*/*.spool"))
    assert segments
    data = bytearray(segments[0].read_bytes())
    data[60] ^= 1  # in the header of the first record
    segments[0].write_bytes(data)
    verified = instance.command("spool", "verify")
    assert verified.returncode == 1
    assert "corrupt" in verified.stdout
    cluster.start()
    done = instance.command("spool", "replay")
    assert "1 corrupt places kept" in done.stdout, done
    bad, = pathlib.Path(instance.dir / "spool").glob("*/*.bad")
    assert bad.owner() == segments[0].parent.owner()
    assert figures(instance.command("spool", "status"))["set aside"] == "1"
    verified = instance.command("spool", "verify")
    assert verified.returncode == 1
    assert f"0/{bad.name}: set aside, 0 records can be read" in verified.stdout, verified
    bad.unlink()
    assert instance.command("spool", "verify").returncode == 0


@pytest.mark.parametrize("by", ["hand", "a worker"])
def test_a_damaged_segment_that_cannot_be_copied_is_delivered_and_kept_whole(
        cluster, make_instance, by):
    instance = make_instance(cluster=cluster, env={"WORKERS": 1})
    user = instance.user()
    instance.know(user)
    cluster.stop("immediate")
    answers = [user.chat(f"away {i}") for i in range(3)]
    assert [a.status for a in answers] == [200] * 3
    instance.stop_minuted()
    segment, = pathlib.Path(instance.dir / "spool").glob("*/*.spool")
    data = bytearray(segment.read_bytes())
    data[60] ^= 1  # in the header of the first record
    segment.write_bytes(data)
    bad = segment.with_name(segment.name + ".bad")
    bad.symlink_to("/nonexistent/directory/file")
    cluster.start()
    if by == "hand":
        done = instance.command("spool", "replay")
        assert done.returncode == 0, done
        told = done.stdout
    else:
        instance.start_minuted()
        wait_until(lambda: f"{segment.name}: " in instance.log()
                   or "cannot be used" in instance.log())
        told = instance.log()
    assert re.search(f"{segment.name}: [1-9][0-9]* records delivered", told), told
    assert "cannot be used" not in told
    assert bad.read_bytes() == data


def test_what_cannot_be_used_holds_up_no_budget_and_no_key(cluster, make_instance):
    instance = make_instance(cluster=cluster, start=False, env={"OPENAI_MODELS": "fake,dear"})
    instance.prepare()
    spool = pathlib.Path(instance.settings["SPOOL_DIR"])
    (spool / "9").mkdir()
    (spool / "9/foreign.spool").symlink_to("/etc/hostname")
    shutil.chown(spool / "9", spool.owner(), spool.group())
    instance.start()
    assert instance.log().count(f"spool {spool}/9/foreign.spool cannot be used: passed over") == 1
    assert figures(instance.command("spool", "status"))["unreadable"] == "1"
    instance.psql("select admin.set_price('openai', 'dear', 0, 1000000, 0)")
    user = instance.user()
    instance.psql(f"select admin.set_limit('{user.email}', 'budget', 50)")
    got = user.chat("chunks=1", model="dear", max_tokens=1)
    assert got.status == 200, got

    instance.psql(f"select admin.set_limit('{user.email}', 'budget', null)")
    key = {"Idempotency-Key": uuid.uuid4().hex}
    for amount, status in (("1", 429), ("null", 200)):  # the first came to nothing
        instance.psql(f"select admin.set_limit('{user.email}', 'tokens', {amount})")
        got = user.post("/v1/chat/completions", chat_body("more than one"), headers=key)
        assert got.status == status, got


def test_wrong_arguments(instance):
    for args in ((), ("frob",), ("status", "more")):
        done = instance.command("spool", *args)
        assert done.returncode == 2 and "usage" in done.stderr


def test_two_instances_cannot_share_a_spool(make_instance, instance):
    other = make_instance(start=False)
    other.settings["SPOOL_DIR"] = instance.settings["SPOOL_DIR"]
    other.prepare()
    other.start_minuted()
    wait_until(lambda: "two SPOOL_DIR" in other.log(), 20)
    assert instance.healthy()
