"""test_idempotency.py - a POST that is sent again is done once."""

import concurrent.futures
import fcntl
import json
import os
import pathlib
import shutil
import signal
import time
import uuid

import pytest

from client import chat_body
from instance import Instance, Postgres, wait_until


def tag():
    return uuid.uuid4().hex


def post(user, path, body, key, **headers):
    return user.post(path, body, headers={"Idempotency-Key": key, **headers})


def chat(user, key, prompt, **more):
    return post(user, "/v1/chat/completions", chat_body(prompt, **more), key)


def stream(user, key, prompt, **more):
    return user.stream("/v1/chat/completions", chat_body(prompt, stream=True, **more),
                       headers={"Idempotency-Key": key})


def same(first, again):
    assert again.status == first.status, again
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert again.body == first.body
    for name in ("Content-Type", "X-Call-Id", "X-Durable"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]


def test_a_call_is_made_once(user, provider):
    mark, key = tag(), tag()
    first = chat(user, key, f"hi tag={mark}")
    assert first.status == 200
    same(first, chat(user, key, f"hi tag={mark}"))
    assert len(provider.seen(mark)) == 1
    assert chat(user, tag(), f"hi tag={mark}").status == 200
    assert len(provider.seen(mark)) == 2


def test_a_large_answer_too(user, provider):
    mark, key = tag(), tag()
    first = chat(user, key, f"chunks=20 size=20000 tag={mark}")
    assert len(first.body) > 400_000
    same(first, chat(user, key, f"chunks=20 size=20000 tag={mark}"))
    assert len(provider.seen(mark)) == 1


def test_a_stream_is_given_again_byte_by_byte(user, provider):
    mark, key = tag(), tag()

    def read():
        got = stream(user, key, f"chunks=5 tag={mark}")
        body = got.answer.read()
        got.close()
        return got, body

    first, body = read()
    assert first.status == 200 and body.endswith(b"data: [DONE]\n\n")
    wait_until(lambda: read()[0].status == 200)
    again, replayed = read()
    assert replayed == body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert again.headers["X-Call-Id"] == first.headers["X-Call-Id"]
    assert len(provider.seen(mark)) == 1


@pytest.mark.parametrize("path, body, table", [
    ("/api/event-log", {"user_id": "u", "message": "m"}, "events"),
    ("/api/event-log/batch", {"logs": [{"user_id": "u", "message": "m"}]}, "events"),
    ("/api/chats", {"title": "t"}, "chats"),
])
def test_a_thing_is_made_once(instance, user, path, body, table):
    key = tag()
    first = post(user, path, body, key)
    assert first.status == 201, first
    for _ in range(3):
        same(first, post(user, path, body, key))
    rows = instance.psql(f"select count(*) from minuted.{table} where user_id = '{user.id}'")
    assert rows == [["1"]]


def test_a_key_in_the_body_counts_as_one_in_a_header(instance, user):
    made = user.post("/api/apikeys", {"name": "k"}).json()["key"]
    instance.secrets.append(made)
    body, key = {"user_id": "u", "message": "m", "api_key": made}, tag()
    first = post(instance.http, "/api/event-log", body, key)
    same(first, post(instance.http, "/api/event-log", body, key))


def test_twenty_at_once_make_one_call(user, provider):
    mark, key = tag(), tag()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        got = list(pool.map(lambda _: chat(user, key, f"first=0.5 tag={mark}"), range(20)))
    assert len(provider.seen(mark)) == 1
    assert {g.status for g in got} <= {200, 409}
    assert len([g for g in got if g.status == 200 and
                "Idempotency-Replayed" not in g.headers]) == 1
    late = [g for g in got if g.status == 409]
    for answer in late:
        assert answer.json()["error"]["code"] == "idempotency_running"
        assert answer.headers["Retry-After"] == "1"
    same([g for g in got if g.status == 200][0], chat(user, key, f"first=0.5 tag={mark}"))


def test_another_body_or_route_is_a_conflict(user):
    key = tag()
    assert post(user, "/api/chats", {"title": "one"}, key).status == 201
    for path, body in (("/api/chats", {"title": "two"}), ("/api/v1/chats", {"title": "one"}),
                       ("/api/chats?x=1", {"title": "one"})):
        got = post(user, path, body, key)
        assert got.status == 409 and got.json()["code"] == "idempotency_mismatch"
        assert "Retry-After" not in got.headers  # it stays so


def test_failures_are_tried_again(user, provider):
    mark, key = tag(), tag()
    for count in (1, 2):
        got = chat(user, key, f"status=500 tag={mark}")
        assert got.status == 502
        assert len(provider.seen(mark)) == count
    got = chat(user, key, f"status=429 tag={mark}")
    assert got.status == 429
    # mistakes are answers
    key = tag()
    first = post(user, "/api/chats", {"title": ""}, key)
    assert first.status == 400
    again = post(user, "/api/chats", {"title": ""}, key)
    assert again.status == 400 and again.headers["Idempotency-Replayed"] == "true"


def test_a_stream_that_was_cut_is_tried_again(user, provider):
    mark, key = tag(), tag()
    for count in (1, 2):
        def cut():
            got = stream(user, key, f"chunks=5 cut=2 tag={mark}")
            got.answer.read()
            return got.status == 200
        wait_until(cut)
        assert len(provider.seen(mark)) == count
    left = stream(user, tag_key := tag(), f"chunks=2 delay=5 tag={tag_key}")
    next(left.events())
    left.close()

    def again():
        got = chat(user, tag_key, "hello")  # the key is free again
        return got.status == 200
    wait_until(again)


def test_keys_are_each_users_own(instance, user):
    key, other = tag(), instance.user()
    one = post(user, "/api/chats", {"title": "t"}, key)
    two = post(other, "/api/chats", {"title": "t"}, key)
    assert (one.status, two.status) == (201, 201)
    assert one.json()["chat"]["id"] != two.json()["chat"]["id"]
    assert "Idempotency-Replayed" not in two.headers


@pytest.mark.parametrize("key, status", [
    ("", 400), ("a b", 400), ("x" * 256, 400), ("\x7f", 400), ("caf\xe9", 400),
    ("x" * 255, 201), ("!~", 201)])
def test_a_key_is_visible_ascii(user, key, status):
    got = post(user, "/api/chats", {"title": "t"}, key)
    assert got.status == status, got


def test_a_secret_is_shown_once_and_made_once(instance, user):
    key = tag()
    first = post(user, "/api/apikeys", {"name": "k"}, key)
    assert first.status == 201
    secret = first.json()["key"]
    instance.secrets.append(secret)
    again = post(user, "/api/apikeys", {"name": "k"}, key)
    assert again.status == 409 and again.json()["code"] == "idempotency_not_kept"
    assert "Retry-After" not in again.headers
    assert len(user.get("/api/apikeys").json()) == 1
    rows = instance.psql("select * from minuted.idempotency_keys")
    assert secret not in str(rows) and secret.encode().hex() not in str(rows)
    assert key not in str(rows)


def test_logins_and_reads_take_no_keys(instance, user):
    key = tag()
    body = {"email": user.email, "password": user.password}
    got = [post(instance.http, "/auth/login", body, key) for _ in range(2)]
    assert [g.status for g in got] == [200, 200]
    assert got[0].body != got[1].body
    got = user.get("/auth/profile", headers={"Idempotency-Key": key})
    assert got.status == 200 and "Idempotency-Replayed" not in got.headers


def running_keys(instance):
    sql = ("select count(*) from minuted.idempotency_keys"
           " where state = 'running' and freed is distinct from attempt")
    return int(instance.psql(sql)[0][0])


def test_a_worker_that_dies_frees_its_keys(make_instance, provider):
    instance = make_instance()
    user, mark, key = instance.user(), tag(), tag()
    left = stream(user, key, f"chunks=2 delay=30 tag={mark}")
    next(left.events())
    assert running_keys(instance) == 1
    for pid in instance.workers():
        os.kill(pid, signal.SIGKILL)
    left.close()
    wait_until(lambda: running_keys(instance) == 0)
    wait_until(instance.healthy)
    assert chat(user, key, f"tag={mark}").status == 200
    assert len(provider.seen(mark)) == 2


def unanswered(instance, more=""):
    """The answers that are kept are forgotten, as by a worker that died."""
    instance.psql("update minuted.idempotency_keys set state = 'running', status = null,"
                  " headers = null, body = null" + more)


def test_a_key_that_nobody_frees_is_free_when_it_is_old(make_instance):
    instance = make_instance()
    user, key, body = instance.user(), tag(), {"title": "t"}
    assert post(user, "/api/chats", body, key).status == 201
    unanswered(instance, ", owner = gen_random_uuid()")
    got = post(user, "/api/chats", body, key)
    assert got.status == 409 and got.json()["code"] == "idempotency_running"
    instance.psql("update minuted.idempotency_keys set created_at = created_at"
                  " - interval '31 minutes 1 second'")
    got = post(user, "/api/chats", body, key)
    assert got.status == 201 and "Idempotency-Replayed" not in got.headers


@pytest.mark.parametrize("path, body", [
    ("/v1/chat/completions", chat_body("tag={}")),
    ("/openai/question", {"question": "tag={}", "model": "fake"}),
])
def test_a_completed_call_whose_answer_was_lost_is_not_paid_again(
        make_instance, provider, path, body):
    instance = make_instance()
    user, mark, key = instance.user(), tag(), tag()
    body = json.loads(json.dumps(body).replace("{}", mark))
    first = post(user, path, body, key)
    assert first.status in (200, 201), first
    unanswered(instance, ", freed = attempt")
    got = post(user, path, body, key)
    assert got.status == 409, got
    assert "idempotency_not_kept" in got.body.decode()
    assert got.headers["X-Call-Id"] == first.headers["X-Call-Id"]
    assert "Retry-After" not in got.headers
    assert len(provider.seen(mark)) == 1
    # its end may be on its way still
    instance.psql("update minuted.calls set status = 'running'")
    instance.psql("update minuted.idempotency_keys set in_doubt = true")
    got = post(user, path, body, key)
    assert got.status == 409 and "idempotency_running" in got.body.decode()
    instance.psql("update minuted.calls set status = 'interrupted'")
    assert post(user, path, body, key).status in (200, 201)
    assert len(provider.seen(mark)) == 2


def test_what_waits_in_a_spool_holds_a_key_no_longer_than_a_call_may_take(make_instance):
    instance = make_instance(start=False)
    instance.prepare()
    slot = pathlib.Path(instance.settings["SPOOL_DIR"]) / "9"
    slot.mkdir()
    (slot / "others.spool").touch()
    with open(slot / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a worker that does not get on
        for each in (slot, *slot.iterdir()):
            shutil.chown(each, slot.parent.owner(), slot.parent.group())
        instance.start()
        user, key = instance.user(), tag()
        instance.psql(f"select admin.set_limit('{user.email}', 'tokens', 1)")
        assert chat(user, key, "more than one").status == 429
        instance.psql(f"select admin.set_limit('{user.email}', 'tokens', null)")
        got = chat(user, key, "more than one")
        assert got.status == 409 and "idempotency_running" in got.body.decode()
        instance.psql("update minuted.idempotency_keys set created_at = created_at"
                      " - interval '31 minutes 1 second'")
        wait_until(lambda: chat(user, key, "more than one").status == 200)


@pytest.mark.parametrize("path, body, what", [
    ("/api/event-log", {"user_id": "u", "message": "m"},
     "select id, message from minuted.events"),
    ("/api/event-log/batch", {"logs": [{"user_id": "u", "message": str(n)} for n in range(50)]},
     "select id, message from minuted.events"),
    ("/api/llm-log", {"user_id": "u", "source": "s", "query": "q"},
     "select c.id, t.request from minuted.calls c join minuted.call_texts t"
     " on t.user_id = c.user_id and t.id = c.id"),
    ("/api/llm-log/batch", {"logs": [{"user_id": "u", "source": str(n)} for n in range(50)]},
     "select id, source from minuted.calls"),
])
def test_records_that_are_there_are_not_written_again(make_instance, path, body, what):
    instance = make_instance()
    user, key = instance.user(), tag()
    first = post(user, path, body, key)
    assert first.status == 201, first
    rows = sorted(instance.psql(what))
    assert len(rows) == len(body.get("logs", "1"))
    for times in (1, 2):
        unanswered(instance, ", freed = attempt")
        again = post(user, path, body, key)
        assert again.status == 201 and again.body == first.body
        assert "Idempotency-Replayed" not in again.headers
        assert sorted(instance.psql(what)) == rows
    if "logs" in body:  # ids are in their order
        sent = [each.get("message", each.get("source")) for each in body["logs"]]
        assert [row[1] for row in rows] == sent
    # another request may have a key that is free, and is another one
    unanswered(instance, ", freed = attempt")
    other = json.loads(json.dumps(body).replace('"u"', '"v"'))
    assert post(user, path, other, key).status == 201
    assert len(instance.psql(what)) == 2 * len(rows)


def test_a_question_that_is_asked_again_is_in_its_chat_once(instance, user, provider):
    mark = tag()
    chat_id = user.post("/api/chats", {"title": "t"}).json()["chat"]["id"]
    path = f"/api/chats/{chat_id}/completions"
    counted = f"select message_count from minuted.chats where id = '{chat_id}'"

    def messages():
        return [m["role"] for m in user.get(f"/api/{chat_id}/messages").json()["messages"]]

    body = {"content": f"status=500 tag={mark}", "model": "fake"}
    for count in (1, 2, 3):
        assert post(user, path, body, mark).status == 502
        assert len(provider.seen(mark)) == count
        assert messages() == ["user"]
    assert instance.psql(counted) == [["1"]]
    assert post(user, path, {"content": "hello", "model": "fake"}, tag()).status == 200
    assert post(user, path, body, mark).status == 502
    assert messages() == ["user", "assistant", "user"]
    assert instance.psql(counted) == [["3"]]


def test_what_a_request_does_is_undone_when_its_answer_cannot_be_kept(make_instance):
    instance = make_instance()
    user, key = instance.user(), tag()
    instance.psql("""create function minuted.no() returns trigger language plpgsql as
        $$ begin raise exception 'no' using errcode = '53000'; end $$;
        create trigger no before update on minuted.idempotency_keys for each row
        when (new.state = 'done') execute function minuted.no()""")
    for path, body in (("/api/chats", {"title": "t"}), ("/api/apikeys", {"name": "k"})):
        assert post(user, path, body, key + path).status == 503
    assert instance.psql("select count(*) from minuted.chats") == [["0"]]
    assert instance.psql("select count(*) from minuted.api_keys") == [["0"]]
    instance.psql("drop trigger no on minuted.idempotency_keys")
    got = post(user, "/api/chats", {"title": "t"}, key + "/api/chats")
    assert got.status == 201
    same(got, post(user, "/api/chats", {"title": "t"}, key + "/api/chats"))


def test_a_statement_that_a_migration_changed_is_prepared_again(make_instance):
    instance = make_instance(env={"WORKERS": 1, "THREADS": 1})
    user = instance.user()

    def create():
        return post(user, "/api/chats", {"title": "t"}, tag()).status

    assert create() == 201
    instance.psql("""alter function minuted.chat_json rename to old_json;
        create function minuted.chat_json(c minuted.chats) returns jsonb
        language sql stable as 'select minuted.old_json(c)::jsonb'""")
    assert [create(), create()] == [201, 201]
    assert instance.psql("select count(*) from minuted.chats") == [["3"]]


def test_keys_are_kept_for_a_day(make_instance):
    instance = make_instance()
    user, key = instance.user(), tag()
    assert post(user, "/api/chats", {"title": "t"}, key).status == 201
    instance.psql("update minuted.idempotency_keys set created_at = now() - interval '25 hours'")
    got = post(user, "/api/chats", {"title": "other"}, key)
    assert got.status == 201 and "Idempotency-Replayed" not in got.headers
    instance.psql("update minuted.idempotency_keys set created_at = now() - interval '25 hours'")
    instance.stop_minuted()
    instance.start_minuted()
    instance.wait_healthy()
    wait_until(lambda: instance.psql("select count(*) from minuted.idempotency_keys") == [["0"]])


def test_lives_that_ended_are_known_for_as_long_as_keys_name_them(make_instance):
    instance = make_instance()
    instance.psql("insert into minuted.ended_lives (life, ended_at) select gen_random_uuid(),"
                  " now() - hours * interval '1 hour' from unnest(array[25, 47, 49]) as hours")
    instance.stop_minuted()
    instance.start_minuted()
    instance.wait_healthy()
    wait_until(lambda: instance.psql("select count(*) from minuted.ended_lives") == [["2"]])


def test_without_postgresql_a_key_is_a_503(provider):
    cluster = Postgres()
    instance = Instance(cluster, provider=provider)
    try:
        instance.start()
        user, mark = instance.user(), tag()
        instance.know(user)
        cluster.stop("immediate")
        got = chat(user, tag(), f"tag={mark}")
        assert got.status == 503 and got.headers["Retry-After"]
        assert provider.seen(mark) == []
        cluster.start()
        wait_until(lambda: chat(user, tag(), f"tag={mark}").status == 200, every=0.1)
    finally:
        instance.stop()
        cluster.remove()


def test_an_answer_during_an_outage_is_given_again_when_it_is_over(provider):
    cluster = Postgres()
    instance = Instance(cluster, provider=provider)
    try:
        instance.start()
        user, mark, key = instance.user(), tag(), tag()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(chat, user, key, f"first=1 tag={mark}")
            wait_until(lambda: provider.seen(mark))
            cluster.stop("immediate")
            first = call.result()
            assert first.status == 200
        assert chat(user, key, f"first=1 tag={mark}").status == 503
        cluster.start()

        def again():
            got = chat(user, key, f"first=1 tag={mark}")
            assert got.status in (200, 409, 503), got
            if got.status == 409:
                assert got.json()["error"]["code"] == "idempotency_running"
            return got.status == 200 and got

        same(first, wait_until(again, every=0.1))
        assert len(provider.seen(mark)) == 1
    finally:
        instance.stop()
        cluster.remove()
