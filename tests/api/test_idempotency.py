"""test_idempotency.py - a POST that is sent again is done once."""

import concurrent.futures
import json
import os
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
    sql = "select count(*) from minuted.idempotency_keys where state = 'running'"
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


def test_a_key_that_nobody_frees_is_free_when_it_is_old(make_instance, provider):
    instance = make_instance()
    user, mark, key = instance.user(), tag(), tag()
    assert chat(user, key, f"tag={mark}").status == 200
    instance.psql("update minuted.idempotency_keys set state = 'running', status = null,"
                  " owner = gen_random_uuid()")
    got = post(user, "/v1/chat/completions", chat_body(f"tag={mark}"), key)
    assert got.status == 409 and got.json()["error"]["code"] == "idempotency_running"
    assert len(provider.seen(mark)) == 1
    instance.psql("update minuted.idempotency_keys set created_at = created_at"
                  " - interval '31 minutes 1 second'")
    assert chat(user, key, f"tag={mark}").status == 200
    assert len(provider.seen(mark)) == 2


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


def test_an_answer_during_an_outage_goes_out_and_is_not_paid_twice(provider):
    cluster = Postgres()
    instance = Instance(cluster, provider=provider)
    try:
        instance.start()
        user, mark, key = instance.user(), tag(), tag()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(chat, user, key, f"first=1 tag={mark}")
            wait_until(lambda: provider.seen(mark))
            cluster.stop("immediate")
            assert call.result().status == 200
        cluster.start()
        wait_until(lambda: user.get("/auth/profile").status == 200, every=0.1)
        got = chat(user, key, f"first=1 tag={mark}")
        assert got.status == 409 and got.json()["error"]["code"] == "idempotency_running"
        assert len(provider.seen(mark)) == 1
    finally:
        instance.stop()
        cluster.remove()
