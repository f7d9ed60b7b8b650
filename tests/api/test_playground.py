"""test_playground.py - several models over one event stream, and the sessions
that are kept of it."""

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import threading
import time
import urllib.parse
import uuid

import pytest

from instance import Instance, Postgres, wait_until

NOBODY = str(uuid.UUID(int=7 << 76))
LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


class HalfAnswer:
    """A provider that begins an answer and breaks off."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                with peer:
                    peer.recv(65536)
                    chunk = {"choices": [{"index": 0, "delta": {"content": "half"}}]}
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                 b"Content-Length: 9999\r\n\r\ndata: %s\n\n"
                                 % json.dumps(chunk).encode())

    def close(self):
        self.socket.close()


@pytest.fixture(scope="module")
def instance(postgres, provider):
    """With a price, and with models whose providers are broken."""
    half = HalfAnswer()
    instance = Instance(postgres, provider=provider, env={"ECHO_PACE": "1ms"}).start()
    instance.psql(f"""
        insert into minuted.providers (name, kind, base_url, allow_local) values
            ('nowhere', 'openai', 'http://127.0.0.1:9/v1', true),
            ('half', 'openai', 'http://127.0.0.1:{half.port}/v1', true);
        insert into minuted.models (provider, name, upstream_name, context_tokens) values
            ('nowhere', 'broken', 'broken', null),
            ('half', 'half', 'half', null);
        insert into minuted.prices (provider, model, valid_from, input, output, cache_read)
            values ('openai', 'fake', '2020-01-01', 1500000, 2000000, 500000)""")
    anyone = instance.user()
    wait_until(lambda: all(anyone.get(f"/v1/models/{name}").status == 200
                           for name in ("broken", "half") for _ in range(20)))
    yield instance
    instance.stop()
    half.close()


def query(prompt="chunks=2", models="fake", **more):
    return urllib.parse.urlencode({"prompt": prompt, "models": models, **more})


def path(*args, **more):
    return "/playground/stream?" + query(*args, **more)


def run(user, *args, **more):
    """The events of a run as objects."""
    with user.stream(path(*args, **more), method="GET") as stream:
        assert stream.status == 200, stream.answer.read()
        return [event.json() for event in stream.events()]


def of(events, model):
    return [e for e in events if e.get("model") == model]


def session_of(events):
    assert events[0]["type"] == "session"
    assert all(e["type"] != "session" for e in events[1:])
    return events[0]["sessionId"]


def text_of(events):
    return "".join(e["content"] for e in events if e["type"] == "chunk")


def test_a_run_has_its_events_in_order(user):
    before = time.time() * 1000
    events = run(user, "chunks=3")
    assert set(events[0]) == {"type", "sessionId"}
    assert uuid.UUID(session_of(events)).version == 7
    assert [e["type"] for e in events] == [
        "session", "status", "chunk", "chunk", "chunk", "metrics", "status"]
    assert events[1] == {"type": "status", "model": "fake", "status": "streaming"}
    assert events[-1] == {"type": "status", "model": "fake", "status": "complete"}
    for chunk in events[2:5]:
        assert set(chunk) == {"type", "model", "content", "timestamp"}
        assert before - 1000 < chunk["timestamp"] < time.time() * 1000 + 1000
        assert isinstance(chunk["timestamp"], int)
    assert text_of(events) == "word0 word1 word2 "
    metrics = events[-2]
    assert set(metrics) == {"type", "model", "tokensUsed", "cost", "responseTime"}
    assert metrics["tokensUsed"] == 14
    # 7 tokens in, 4 of the cache, 3 out
    assert metrics["cost"] == pytest.approx((7 * 1.5 + 4 * 0.5 + 3 * 2) * 1e-6, rel=1e-12)
    assert 0 <= metrics["responseTime"] < 5000


def test_the_stream_has_the_headers_of_one(user):
    with user.stream(path(), method="GET") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert stream.headers["Cache-Control"] == "no-store"
        assert [stream.headers[name] for name in LIMITS[:2]] == ["50", "49"]
        assert 0 < int(stream.headers["RateLimit-Reset"]) <= 3600
        raw = stream.answer.read().decode()
    for line in raw.splitlines():
        assert line == "" or line.startswith("data: {") or line.startswith(":")


def test_the_session_is_told_before_a_model_answers(user):
    began = time.monotonic()
    with user.stream(path("first=1 chunks=1"), method="GET") as stream:
        events = stream.events()
        session_of([next(events).json()])
        assert time.monotonic() - began < 0.5
        rest = [e.json() for e in events]
    assert time.monotonic() - began > 1
    assert rest[-1]["status"] == "complete"


def test_models_answer_at_the_same_time(user):
    began = time.monotonic()
    events = run(user, "chunks=4 delay=0.1", "fake, fake-2 ,echo")
    assert time.monotonic() - began < 1.5
    order = [e["model"] for e in events if e["type"] == "chunk"]
    fakes = [m for m in order if m != "echo"]
    assert fakes != sorted(fakes), "one after the other"
    for model in ("fake", "fake-2"):
        assert text_of(of(events, model)) == "word0 word1 word2 word3 "
        assert [e["type"] for e in of(events, model)] == [
            "status", "chunk", "chunk", "chunk", "chunk", "metrics", "status"]
    assert text_of(of(events, "echo")).strip() == "chunks=4 delay=0.1"
    assert of(events, "fake-2")[-2]["cost"] is None


@pytest.mark.parametrize("broken, partial", [("broken", ""), ("half", "half")])
def test_a_broken_provider_leaves_the_others_complete(user, broken, partial):
    events = run(user, "chunks=3 delay=0.05", f"fake,{broken},fake-2")
    for model in ("fake", "fake-2"):
        mine = of(events, model)
        assert mine[-1]["status"] == "complete" and mine[-2]["type"] == "metrics"
        assert text_of(mine) == "word0 word1 word2 "
    bad = of(events, broken)
    assert set(bad[-1]) == {"type", "model", "status", "message"}
    assert bad[-1]["status"] == "error" and bad[-1]["message"]
    assert "127.0.0.1" not in bad[-1]["message"]
    assert [e["status"] for e in bad if e["type"] == "status"][:-1] == (
        ["streaming"] if partial else [])
    assert text_of(bad) == partial
    assert not [e for e in bad if e["type"] == "metrics"]
    got = user.get("/playground/sessions/" + session_of(events)).json()
    assert got["status"] == "COMPLETED"
    assert [(c["modelName"], c["status"]) for c in got["conversations"]] == [
        ("fake", "COMPLETED"), (broken, "ERROR"), ("fake-2", "COMPLETED")]
    assert got["conversations"][1]["response"] == partial


def test_a_session_whose_models_all_failed_is_in_error(user):
    events = run(user, "hello", "broken")
    assert [e["type"] for e in events] == ["session", "status"]
    got = user.get("/playground/sessions/" + session_of(events)).json()
    assert got["status"] == "ERROR" and got["totalCost"] == 0
    events = run(user, "chunks=1", "fake", sessionId=got["id"])
    assert user.get("/playground/sessions/" + got["id"]).json()["status"] == "COMPLETED"


def test_a_session_and_the_log_have_the_same_figures(user):
    events = run(user, "chunks=5", "fake,fake-2")
    got = user.get("/playground/sessions/" + session_of(events)).json()
    assert set(got) == {"id", "prompt", "models", "createdAt", "updatedAt", "totalCost",
                        "totalTokens", "status", "responseTime", "conversations"}
    assert got["prompt"] == "chunks=5" and got["models"] == ["fake", "fake-2"]
    assert got["status"] == "COMPLETED" and got["totalTokens"] == 32
    calls = {c["id"]: c for c in user.get("/v1/calls").json()["data"]}
    assert len(calls) == 2
    times = []
    for conversation in got["conversations"]:
        assert set(conversation) == {
            "id", "sessionId", "modelName", "userPrompt", "response", "inputTokens",
            "outputTokens", "cost", "responseTime", "status", "createdAt", "updatedAt"}
        call = calls[conversation["id"]]
        metrics = of(events, conversation["modelName"])[-2]
        assert call["kind"] == "playground" and call["status"] == "completed"
        assert call["session_id"] == got["id"] == conversation["sessionId"]
        assert call["usage"]["prompt_tokens"] == conversation["inputTokens"] == 11
        assert call["usage"]["completion_tokens"] == conversation["outputTokens"] == 5
        assert call["usage"]["total_tokens"] == metrics["tokensUsed"]
        assert call["cost"] == conversation["cost"] == metrics["cost"]
        assert int(call["latency_ms"]) == conversation["responseTime"] == metrics["responseTime"]
        assert conversation["response"] == "word0 word1 word2 word3 word4 "
        assert conversation["userPrompt"] == "chunks=5"
        assert conversation["createdAt"].endswith("Z")
        whole = user.get("/v1/calls/" + conversation["id"]).json()
        assert whole["request"] == "chunks=5"
        assert whole["response"] == conversation["response"]
        times.append(conversation["responseTime"])
    assert got["responseTime"] == max(times)
    assert got["totalCost"] == pytest.approx(calls[got["conversations"][0]["id"]]["cost"])


def test_a_continued_session_sends_what_was_said(user, provider):
    mark = uuid.uuid4().hex
    session = session_of(run(user, "one chunks=1", "fake,fake-2"))
    run(user, "two chunks=2", "fake", sessionId=session)
    run(user, "bad status=500", "fake", sessionId=session)
    events = run(user, f"three tag={mark}", "fake-2,echo", sessionId=session)
    assert session_of(events) == session
    seen, = provider.seen(mark)
    assert seen["body"]["messages"] == [
        {"role": "user", "content": "one chunks=1"},
        {"role": "assistant", "content": "word0 "},
        {"role": "user", "content": "two chunks=2"},
        {"role": "assistant", "content": "word0 word1 "},
        {"role": "user", "content": f"three tag={mark}"}]
    got = user.get("/playground/sessions/" + session).json()
    assert [c["userPrompt"].split()[0] for c in got["conversations"]] == [
        "one", "one", "two", "bad", "three", "three"]
    assert got["prompt"] == "one chunks=1"
    assert got["models"] == ["fake", "fake-2", "echo"]
    assert got["totalTokens"] == sum(
        (c["inputTokens"] or 0) + (c["outputTokens"] or 0) for c in got["conversations"])
    assert got["updatedAt"] > got["createdAt"]


def test_a_model_gets_its_own_earlier_answer(user, provider):
    mark = uuid.uuid4().hex
    session = session_of(run(user, "first words", "echo,fake"))
    run(user, f"tag={mark}", "fake", sessionId=session)
    assert provider.seen(mark)[0]["body"]["messages"][1]["content"] == "word0 word1 word2 "


def test_the_context_is_cut_from_the_oldest(instance, user, provider):
    mark = uuid.uuid4().hex
    session = session_of(run(user, "chunks=1 size=20000", "fake"))
    for _ in range(2):
        run(user, "chunks=1 size=12000", "fake", sessionId=session)
    run(user, f"tag={mark}", "fake", sessionId=session)
    messages = provider.seen(mark)[0]["body"]["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"] * 2 + ["user"]
    assert [len(m["content"]) for m in messages[1:4:2]] == [12000, 12000]


@pytest.mark.parametrize("more, fields", [
    ("", ["prompt", "models"]),
    ("prompt=&models=", ["prompt", "models"]),
    ("prompt=x", ["models"]),
    ("models=fake", ["prompt"]),
    ("prompt=x&models=fake,,echo", ["models"]),
    ("prompt=x&models=fake,fake", ["models"]),
    ("prompt=x&models=fake,%20fake", ["models"]),
    ("prompt=x&models=" + ",".join("abcdefghi"), ["models"]),
    ("prompt=x&models=" + "m" * 201, ["models"]),
    ("prompt=&models=fake,fake,,", ["prompt", "models"]),
])
def test_every_wrong_field_is_named(user, more, fields):
    got = user.get("/playground/stream?" + more)
    assert got.status == 400, got
    assert got.headers["Content-Type"].startswith("application/problem+json")
    named = [e["field"] for e in got.json()["errors"]]
    assert sorted(set(named)) == sorted(fields)
    assert [got.headers[name] for name in LIMITS[:2]] == ["50", "50"]


def test_an_unknown_model_is_named_and_nothing_is_started(make_instance):
    instance = make_instance(env=dict.fromkeys(
        ["OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODELS"]))
    user = instance.user()
    got = user.get(path("hello", "echo,no-such-model"))
    assert got.status == 404, got
    body = got.json()
    assert body["code"] == "model_not_found"
    assert "no-such-model" in body["detail"] and "echo" in body["detail"]
    assert got.headers["RateLimit-Remaining"] == "50"
    assert user.get("/playground/sessions").json()["total"] == 0
    assert user.get("/v1/calls").json()["data"] == []


@pytest.mark.parametrize("session", [NOBODY, "no-uuid", "1", "x" * 300])
def test_an_unknown_session_is_missing(user, session):
    got = user.get(path(sessionId=session))
    assert got.status == 404, got
    assert got.headers["RateLimit-Remaining"] == "50"


def test_sessions_of_others_are_missing(instance, user):
    other = instance.user()
    session = session_of(run(user))
    place = "/playground/sessions/" + session
    assert user.get(place).status == 200
    unknown = other.get("/playground/sessions/" + NOBODY)
    for got in (other.get(place), other.delete(place), other.get(path(sessionId=session)),
                other.get("/playground/sessions/nonsense")):
        assert got.status == 404
        assert got.json()["detail"] == unknown.json()["detail"]
    assert other.get("/playground/sessions").json()["items"] == []
    assert user.get(place).json()["status"] == "COMPLETED"


@pytest.mark.parametrize("place", [
    "/playground/stream?prompt=x&models=fake", "/playground/sessions",
    "/playground/sessions/" + NOBODY])
def test_nobody_is_401(instance, place):
    assert instance.http.get(place).status == 401
    assert instance.http.request("HEAD", place).status == 401


def test_other_methods_are_405(user):
    for place, allow in (("/playground/stream", "GET, HEAD"),
                         ("/playground/sessions", "GET, HEAD"),
                         ("/playground/sessions/" + NOBODY, "GET, HEAD, DELETE")):
        got = user.request("POST", place)
        assert got.status == 405
        assert set(allow.split(", ")) <= set(got.headers["Allow"].split(", "))
    assert user.get("/playground/sessions/").status == 200


def test_a_token_in_the_query_is_for_the_stream_alone(instance, user):
    token = urllib.parse.quote(user.token)
    with instance.http.stream(path("chunks=1") + "&token=" + token, method="GET") as stream:
        assert stream.status == 200
        assert stream.texts()
    assert instance.http.get(path() + "&token=wrong").status == 401
    for place in ("/playground/sessions", "/playground/sessions/" + NOBODY, "/v1/models"):
        assert instance.http.get(f"{place}?token={token}").status == 401


def test_an_api_key_is_as_good(instance, user):
    key = user.post("/api/apikeys", {"name": "k"}).json()["key"]
    instance.secrets.append(key)
    assert run(instance.http.as_user(key), "chunks=1")[-1]["status"] == "complete"


# The limit.


def head(user, *args, **more):
    return user.request("HEAD", path(*args, **more))


def test_head_starts_and_counts_nothing(user, provider):
    mark = uuid.uuid4().hex
    for _ in range(3):
        got = head(user, f"tag={mark}", "fake,fake-2")
        assert got.status == 200 and got.body == b""
        assert [got.headers[name] for name in LIMITS[:2]] == ["50", "50"]
    assert user.request("HEAD", "/playground/stream").status == 200
    assert provider.seen(mark) == []
    assert user.get("/playground/sessions").json()["total"] == 0
    assert user.get("/v1/calls").json()["data"] == []


def test_fifty_calls_and_not_one_more(user):
    for n in range(6):
        with user.stream(path("hi", "echo,fake,fake-2,broken,half,openai/fake,openai/fake-2,echo/echo"),
                         method="GET") as stream:
            assert stream.status == 200
            assert stream.headers["RateLimit-Remaining"] == str(50 - 8 * (n + 1))
            stream.answer.read()
    assert head(user, "x", "echo,fake").status == 200
    assert head(user, "x", "echo,fake,fake-2").status == 429
    got = user.get(path("x", "echo,fake,fake-2"))
    assert got.status == 429 and got.json()["code"]
    assert got.headers["RateLimit-Remaining"] == "2"
    assert run(user, "x", "echo,fake")[-1]["status"] == "complete"
    for got in (user.get(path()), head(user)):
        assert got.status == 429
        assert [got.headers[name] for name in LIMITS[:2]] == ["50", "0"]
        assert 0 < int(got.headers["Retry-After"]) <= 3600
        assert got.headers["Retry-After"] == got.headers["RateLimit-Reset"]
    assert "text/event-stream" not in user.get(path()).headers["Content-Type"]
    sessions = user.get("/playground/sessions").json()
    assert sessions["total"] == 7


def test_the_limit_is_exact_with_parallel_clients(instance, user):
    assert len(instance.workers()) == 2

    def ask(_):
        with user.stream(path("a b", "echo"), method="GET") as stream:
            last = stream.texts()[-1] if stream.status == 200 else ""
            return stream.status, "complete" in last

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        results = list(pool.map(ask, range(120)))
    assert results.count((200, True)) == 50
    assert results.count((429, False)) == 70
    calls = instance.psql(f"select count(*) from minuted.calls where user_id = '{user.id}'")
    assert calls == [["50"]]


def test_the_limit_is_set_by_its_settings(make_instance):
    instance = make_instance(env={"RATE_LIMIT_MAX_REQUESTS": 3, "RATE_LIMIT_WINDOW": "2s"})
    user = instance.user()
    assert user.get(path("x", "echo,fake")).status == 200
    got = user.get(path("x", "echo,fake"))
    assert got.status == 429 and int(got.headers["Retry-After"]) <= 2
    wait_until(lambda: head(user, "x", "echo,fake").status == 200, 4)
    assert user.get(path("x", "echo,fake")).status == 200


def test_a_window_that_a_reload_shortens_begins_anew(make_instance):
    instance = make_instance(env={"RATE_LIMIT_MAX_REQUESTS": 2})
    user = instance.user()
    assert user.get(path("x", "echo,fake")).status == 200
    assert user.get(path("x", "echo,fake")).status == 429
    instance.settings["RATE_LIMIT_WINDOW"] = "2s"
    instance.write_settings()
    instance.reload()
    wait_until(lambda: user.get(path("x", "echo,fake")).status == 200)
    assert int(head(user).headers["RateLimit-Reset"]) <= 2


# Leaving, dying.


def open_stream(instance, user, target):
    sock = socket.create_connection(("127.0.0.1", instance.port))
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n"
                 f"Authorization: Bearer {user.token}\r\n\r\n".encode())
    return sock


def test_a_client_that_leaves_ends_every_call(instance, user, provider):
    mark = uuid.uuid4().hex
    prompt = f"endless=1 delay=0.02 tag={mark}"
    sock = open_stream(instance, user, path(prompt, "fake,fake-2"))
    wait_until(lambda: len(s := provider.seen(mark)) == 2 and all(r["sent"] > 2 for r in s))
    left = time.monotonic()
    sock.close()
    wait_until(lambda: all(row["gone"] for row in provider.seen(mark)))
    gone = provider.seen(mark)
    assert max(row["gone"] for row in gone) - left < 0.1
    session = user.get("/playground/sessions").json()["items"][0]["id"]
    got = wait_until(lambda: (s := user.get("/playground/sessions/" + session).json())
                     ["status"] == "ERROR" and s)
    calls = {c["id"]: c for c in user.get("/v1/calls").json()["data"]}
    for conversation in got["conversations"]:
        assert conversation["status"] == "ERROR"
        assert conversation["response"].startswith("word0 word1 ")
        assert calls[conversation["id"]]["status"] == "cancelled"
        assert conversation["outputTokens"] == calls[conversation["id"]]["usage"]["completion_tokens"]


def test_a_client_that_leaves_before_the_first_byte(instance, user, provider):
    mark = uuid.uuid4().hex
    sock = open_stream(instance, user, path(f"stall=0 tag={mark}", "fake,fake-2"))
    wait_until(lambda: len(provider.seen(mark)) == 2)
    sock.close()
    wait_until(lambda: all(r["gone"] for r in provider.seen(mark)))
    wait_until(lambda: user.get("/playground/sessions").json()["items"][0]["status"] == "ERROR")


def test_a_session_is_active_while_it_runs(user):
    with user.stream(path("chunks=2 delay=1.5", "fake,echo"), method="GET") as stream:
        events = stream.events()
        session = next(events).json()["sessionId"]
        place = "/playground/sessions/" + session
        got = user.get(place).json()
        assert got["status"] == "ACTIVE"
        assert {c["status"] for c in got["conversations"]} <= {"PENDING", "STREAMING", "COMPLETED"}
        wait_until(lambda: user.get(place).json()["conversations"][0]["status"] == "STREAMING")
        assert user.get("/playground/sessions").json()["items"][0]["status"] == "ACTIVE"
        list(events)
    assert user.get(place).json()["status"] == "COMPLETED"


def test_a_session_whose_worker_died_is_read_in_error(make_instance, provider):
    instance = make_instance()
    user = instance.user()
    mark = uuid.uuid4().hex
    sock = open_stream(instance, user, path(f"endless=1 delay=0.02 tag={mark}", "fake,fake-2"))
    wait_until(lambda: len(s := provider.seen(mark)) == 2 and all(r["sent"] > 40 for r in s))
    for pid in instance.workers():
        os.kill(pid, signal.SIGKILL)
    data = b""
    with sock:
        sock.settimeout(10)
        while piece := sock.recv(65536):
            data += piece
            if b"0\r\n\r\n" in piece:
                break
    assert b'"complete"' not in data and b'"metrics"' not in data
    instance.wait_healthy()
    session = user.get("/playground/sessions").json()["items"][0]["id"]
    got = wait_until(lambda: (s := user.get("/playground/sessions/" + session).json())
                     ["status"] == "ERROR" and s)
    for conversation in got["conversations"]:
        assert conversation["status"] == "ERROR"
        assert conversation["response"].startswith("word0 word1 ")
        call = user.get("/v1/calls/" + conversation["id"]).json()
        assert call["status"] == "interrupted"
        assert call["usage"]["completion_tokens"] == conversation["outputTokens"]
        assert call["response"] == conversation["response"]
    assert got["totalTokens"] == sum(
        (c["inputTokens"] or 0) + (c["outputTokens"] or 0) for c in got["conversations"])
    listed = user.get("/playground/sessions").json()["items"][0]
    assert listed["status"] == "ERROR" and listed["totalTokens"] == got["totalTokens"]
    # and it can be gone on with
    assert run(user, "chunks=1", "fake", sessionId=session)[-1]["status"] == "complete"
    turns = user.get("/playground/sessions/" + session).json()["conversations"]
    assert [t["status"] for t in turns] == ["ERROR", "ERROR", "COMPLETED"]


@pytest.fixture
def own_cluster():
    cluster = Postgres()
    yield cluster
    cluster.remove()


def test_postgresql_goes_away_and_comes_back(own_cluster, make_instance):
    instance = make_instance(cluster=own_cluster)
    user = instance.user()
    with user.stream(path("chunks=3 delay=0.3", "fake,fake-2"), method="GET") as stream:
        events = stream.events()
        session = next(events).json()["sessionId"]
        own_cluster.stop("immediate")
        rest = [event.json() for event in events]
    # what is not stored is not told as complete
    assert [e["status"] for e in rest[-2:]] == ["error", "error"]
    assert not [e for e in rest if e["type"] == "metrics"]
    got = user.get(path())
    assert got.status == 503 and got.headers["Retry-After"]
    own_cluster.start()
    instance.wait_healthy()
    # a worker that was not asked yet may notice a little later
    wait_until(lambda: head(user).headers.get("RateLimit-Remaining") == "48", 5)
    place = "/playground/sessions/" + session
    got = wait_until(lambda: (s := user.get(place)).status == 200
                     and s.json()["status"] == "COMPLETED" and s.json(), 20)
    # the log knows what became of the calls
    assert [(c["status"], c["response"], c["outputTokens"]) for c in got["conversations"]] == [
        ("COMPLETED", "word0 word1 word2 ", 3)] * 2
    assert got["totalTokens"] == 28
    assert run(user, "chunks=1", sessionId=session)[-1]["status"] == "complete"


def test_a_session_that_is_deleted_meanwhile_disturbs_nobody(user):
    with user.stream(path("chunks=3 delay=0.3"), method="GET") as stream:
        events = stream.events()
        session = next(events).json()["sessionId"]
        assert user.delete("/playground/sessions/" + session).status == 204
        assert list(events)[-1].json()["status"] == "complete"
    assert user.get("/playground/sessions/" + session).status == 404


def test_two_runs_of_a_session_at_once(user):
    session = session_of(run(user, "chunks=1"))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda n: run(user, f"chunks={n} delay=0.05", "fake,fake-2",
                                           sessionId=session), range(2, 6)))
    assert all(r[-1]["status"] == "complete" for r in runs)
    got = user.get("/playground/sessions/" + session).json()
    assert got["status"] == "COMPLETED" and len(got["conversations"]) == 9
    assert got["totalTokens"] == sum(
        c["inputTokens"] + c["outputTokens"] for c in got["conversations"])


# Sessions.


def test_sessions_are_listed_newest_first(user):
    ids = [session_of(run(user, f"chunks=1 n={n}", "fake,echo")) for n in range(5)]
    got = user.get("/playground/sessions").json()
    assert set(got) == {"items", "total", "page", "pageSize"}
    assert (got["total"], got["page"], got["pageSize"]) == (5, 1, 20)
    assert [s["id"] for s in got["items"]] == ids[::-1]
    item = got["items"][0]
    assert set(item) == {"id", "prompt", "models", "createdAt", "updatedAt", "totalCost",
                         "totalTokens", "status"}
    assert item["prompt"] == "chunks=1 n=4" and item["models"] == ["fake", "echo"]
    assert item["totalTokens"] > 12 and item["totalCost"] > 0
    second = user.get("/playground/sessions?page=2&pageSize=2").json()
    assert [s["id"] for s in second["items"]] == ids[2:0:-1]
    assert (second["total"], second["page"], second["pageSize"]) == (5, 2, 2)
    assert user.get("/playground/sessions?page=9").json()["items"] == []


@pytest.mark.parametrize("asked, used", [
    ("0", 1), ("-7", 1), ("1", 1), ("100", 100), ("101", 100), ("9" * 40, 100),
    ("-" + "9" * 40, 1)])
def test_the_page_size_is_clamped(user, asked, used):
    assert user.get("/playground/sessions?pageSize=" + asked).json()["pageSize"] == used


@pytest.mark.parametrize("more", [
    "page=0", "page=-1", "page=x", "pageSize=x", "pageSize=", "pageSize=1.5", "limit=0",
    "limit=201", "cursor=x", "cursor=MXx4", "cursor="])
def test_wrong_page_parameters_are_named(user, more):
    got = user.get("/playground/sessions?" + more)
    assert got.status == 400, got
    assert [e["field"] for e in got.json()["errors"]] == [more.split("=")[0]]


def test_pages_by_cursor_have_no_gaps_while_sessions_are_added(user):
    ids = [session_of(run(user, "hi", "echo")) for _ in range(7)]
    seen, target = [], "/playground/sessions?limit=3"
    while target:
        got = user.get(target)
        assert got.status == 200, got
        seen += [s["id"] for s in got.json()["items"]]
        link = got.headers["Link"]
        target = link and link.split(";")[0].strip("<>")
        session_of(run(user, "hi", "echo"))
    assert seen == ids[::-1]


def test_a_deleted_session_is_gone_with_its_turns(instance, user):
    session = session_of(run(user))
    got = user.delete("/playground/sessions/" + session)
    assert got.status == 204 and got.body == b""
    assert user.get("/playground/sessions/" + session).status == 404
    assert user.delete("/playground/sessions/" + session).status == 404
    assert instance.psql("select count(*) from minuted.session_turns"
                         f" where session_id = '{session}'") == [["0"]]
    # what it cost is in the log still
    assert user.get("/v1/calls").json()["data"][0]["session_id"] == session


def test_head_of_the_lists(user):
    session = session_of(run(user))
    for place in ("/playground/sessions", "/playground/sessions/" + session):
        got = user.request("HEAD", place)
        assert got.status == 200 and got.body == b""
