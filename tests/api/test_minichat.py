"""test_minichat.py - one question, one answer, with the chat so far."""

import concurrent.futures
import json
import socket
import time
import urllib.parse
import uuid

import pytest

from instance import wait_until

NOBODY = str(uuid.UUID(int=7 << 76))
SSE = {"Accept": "text/event-stream"}
JSON = {"Accept": "application/json"}


def tag():
    return uuid.uuid4().hex


def ask(user, question="chunks=2", headers=None, **more):
    return user.post("/openai/question", {"question": question, "model": "fake", **more},
                     headers=headers)


def target(question="chunks=2", model="fake", **more):
    return "/openai/stream?" + urllib.parse.urlencode(
        {"question": question, "model": model, **more})


def events(user, place):
    with user.stream(place, method="GET") as stream:
        assert stream.status == 200, stream.answer.read()
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        return [event.json() for event in stream.events()]


def chat_of(instance, user):
    """What is stored: (role, content, model, tokens, call) in order."""
    return instance.psql(
        "select role, content, model, tokens, call_id from minuted.messages"
        f" where user_id = '{user.id}' and chat_id = '{user.id}' order by id")


def roles(provider, mark):
    return [(m["role"], m["content"]) for m in provider.seen(mark)[0]["body"]["messages"]]


def test_an_answer_is_text(user, provider):
    mark = tag()
    got = ask(user, f"chunks=3 tag={mark}")
    assert got.status == 201, got
    assert got.headers["Content-Type"].startswith("text/plain")
    assert got.text == "word0 word1 word2 "
    sent = provider.seen(mark)[0]["body"]
    assert sent["messages"] == [{"role": "user", "content": f"chunks=3 tag={mark}"}]
    assert sent["model"] == "fake" and not sent.get("stream")


def test_an_answer_is_json_when_accept_names_it(instance, user):
    instance.psql("insert into minuted.prices (provider, model, valid_from, input, output)"
                  " values ('openai', 'fake-2', '2020-01-01', 1000000, 2000000)"
                  " on conflict do nothing")
    wait_until(lambda: all(
        ask(user, model="fake-2", headers=JSON).json()["cost"] for _ in range(8)))
    got = ask(user, "chunks=3", model="fake-2", headers=JSON)
    assert got.status == 201, got
    body = got.json()
    assert set(body) == {"id", "question", "answer", "model", "usage", "cost"}
    assert body["question"] == "chunks=3" and body["answer"] == "word0 word1 word2 "
    assert body["model"] == "fake-2"
    assert body["usage"] == {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    assert body["cost"] == pytest.approx(17e-6)
    record = user.call(got)
    assert record["kind"] == "question" and record["chat_id"] == user.id
    assert record["cost"] == body["cost"]
    assert record["usage"]["total_tokens"] == 14
    assert record["request"] == "chunks=3" and record["response"] == body["answer"]
    row = instance.psql("select content, tokens, prompt_tokens, completion_tokens, latency >= 0,"
                        " model, cost_pico, call_id from minuted.messages"
                        f" where id = '{body['id']}'")
    assert row == [["word0 word1 word2 ", "14", "11", "3", "t", "fake-2", "17000000",
                    record["id"]]]


@pytest.mark.parametrize("accept, type", [
    (None, "text/plain"), ("*/*", "text/plain"), ("text/html", "text/plain"),
    ("text/event-stream;q=0.1, application/json", "application/json"),
    ("application/json;q=0.1, text/event-stream;q=0.2", "text/event-stream"),
    ("application/json, text/event-stream", "application/json"),
    ("text/event-stream, application/json", "text/event-stream"),
    ("application/json, text/plain, */*", "application/json"),
    ("application/json;q=0.5, */*;q=0.8", "text/plain"),
    ("text/event-stream;q=0, */*;q=0.1", "text/plain"),
    ("text/plain;q=0, application/*;q=0.5", "application/json"),
])
def test_the_form_of_an_answer_is_what_accept_prefers(user, accept, type):
    got = ask(user, "chunks=1", headers={"Accept": accept})
    assert got.status == (200 if type == "text/event-stream" else 201), got
    assert got.headers["Content-Type"].startswith(type)


def test_a_stream_that_is_asked_for_is_one_whatever_accept_says(user):
    got = ask(user, "chunks=1", stream=True, headers=JSON)
    assert got.status == 200 and got.headers["Content-Type"].startswith("text/event-stream")


def test_an_unknown_price_is_null(user):
    assert ask(user, headers=JSON).json()["cost"] is None


@pytest.mark.parametrize("how", ["get", "accept", "body"])
def test_an_answer_is_streamed(instance, user, how):
    if how == "get":
        got = events(user, target("chunks=3 delay=0.05"))
    else:
        body = {"question": "chunks=3 delay=0.05", "model": "fake", "stream": how == "body"}
        headers = SSE if how == "accept" else None
        with user.stream("/openai/question", body, headers=headers) as stream:
            assert stream.status == 200
            assert stream.headers["X-Call-Id"]
            arrived = [(e.at, e.json()) for e in stream.events()]
        assert arrived[2][0] - arrived[0][0] > 0.08
        got = [event for _, event in arrived]
    assert got[:-1] == [{"type": "chunk", "content": f"word{n} "} for n in range(3)]
    assert set(got[-1]) == {"type", "id"} and got[-1]["type"] == "done"
    assert instance.psql(f"select role, content from minuted.messages where id = '{got[-1]['id']}'"
                         ) == [["assistant", "word0 word1 word2 "]]


def test_the_answer_is_stored_before_its_end_is_told(instance, user):
    with user.stream(target("chunks=1"), method="GET") as stream:
        last = list(stream.events())[-1].json()
        assert instance.psql("select count(*) from minuted.messages"
                             f" where id = '{last['id']}'") == [["1"]]


def test_question_and_answer_are_in_the_users_own_chat(instance, user):
    call = ask(user, "one chunks=1").headers["X-Call-Id"]
    events(user, target("two chunks=2"))
    rows = chat_of(instance, user)
    assert [r[:2] for r in rows] == [
        ["user", "one chunks=1"], ["assistant", "word0 "],
        ["user", "two chunks=2"], ["assistant", "word0 word1 "]]
    assert rows[1][2:] == ["fake", "12", call]
    chat = user.get("/api/chats/" + user.id).json()["chat"]
    assert chat["title"] == "Mini chat" and chat["source"] == "api"
    assert instance.psql("select message_count from minuted.chats"
                         f" where id = '{user.id}'") == [["4"]]


def test_earlier_turns_go_along(user, provider):
    mark = tag()
    ask(user, "one chunks=1")
    ask(user, "bad status=500")
    ask(user, f"two tag={mark}")
    assert roles(provider, mark) == [
        ("user", "one chunks=1"), ("assistant", "word0 "), ("user", "bad status=500"),
        ("user", f"two tag={mark}")]


def test_the_context_is_cut_from_the_oldest(user, provider):
    mark = tag()
    for size in (20000, 12000, 12000):
        ask(user, f"chunks=1 size={size}")
    ask(user, f"tag={mark}")
    got = roles(provider, mark)
    assert [role for role, _ in got] == ["user", "assistant"] * 2 + ["user"]
    assert [len(text) for role, text in got if role == "assistant"] == [12000, 12000]


def test_users_do_not_share_a_chat(instance, user, provider):
    other, mark = instance.user(), tag()
    ask(user, "mine")
    ask(other, f"theirs tag={mark}")
    assert roles(provider, mark) == [("user", f"theirs tag={mark}")]


def new_chat(user):
    got = user.post("/api/chats", {"title": "another"})
    assert got.status == 201, got
    return got.json()["chat"]["id"]


def test_a_named_chat_goes_on(instance, user, provider):
    mark, chat = tag(), new_chat(user)
    ask(user, "in my own chat")
    assert ask(user, "one chunks=1", chatId=chat).status == 201
    got = ask(user, f"two tag={mark}", chatId=chat)
    assert got.status == 201
    assert roles(provider, mark) == [
        ("user", "one chunks=1"), ("assistant", "word0 "), ("user", f"two tag={mark}")]
    assert user.call(got)["chat_id"] == chat
    assert user.get(f"/api/{chat}/messages").json()["totalMessages"] == 4
    assert ask(user, "hi", chatId=user.id).status == 201
    assert len(chat_of(instance, user)) == 4


def test_chats_of_others_are_missing(instance, user, provider):
    other, mark = instance.user(), tag()
    chat = new_chat(other)
    ask(other, "theirs")
    answers = [ask(user, f"tag={mark}", chatId=it)
               for it in (chat, other.id, NOBODY, "no-uuid", "x" * 200)]
    for got in answers:
        assert got.status == 404, got
        assert got.json()["detail"] == answers[0].json()["detail"]
    assert provider.seen(mark) == []
    assert other.get(f"/api/{chat}/messages").json()["totalMessages"] == 0


def test_a_chat_of_tools_can_be_asked_in(user, provider):
    mark, chat = tag(), new_chat(user)
    for message in ({"role": "system", "content": "be short"},
                    {"role": "assistant", "content": "", "toolCalls": [{"id": "1"}]},
                    {"role": "tool", "content": "42"}):
        assert user.post(f"/api/{chat}/messages", message).status == 201
    assert ask(user, f"tag={mark}", chatId=chat).status == 201
    assert roles(provider, mark) == [("system", "be short"), ("user", f"tag={mark}")]


def test_first_questions_at_once_make_one_chat(instance, user, provider):
    marks = [tag() for _ in range(12)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        got = list(pool.map(lambda mark: ask(user, f"chunks=1 tag={mark}"), marks))
    assert [g.status for g in got] == [201] * 12
    rows = chat_of(instance, user)
    assert len(rows) == 24
    assert instance.psql("select message_count from minuted.chats"
                         f" where user_id = '{user.id}'") == [["24"]]
    for mark in marks:  # each was asked its own question
        assert roles(provider, mark)[-1] == ("user", f"chunks=1 tag={mark}")


def test_the_default_model_answers_when_none_is_named(instance, user):
    got = user.post("/openai/question", {"question": "chunks=1"}, headers=JSON)
    assert got.status == 201, got
    assert got.json()["model"] == user.get("/v1/models").json()["data"][0]["id"]
    assert events(user, "/openai/stream?question=chunks%3D1")[-1]["type"] == "done"
    assert events(user, "/openai/stream?question=hello&model=")[-1]["type"] == "done"


# Wrong input.


@pytest.mark.parametrize("body, fields", [
    ({}, ["question"]),
    ({"question": ""}, ["question"]),
    ({"question": "x" * 100001}, ["question"]),
    ({"question": 1, "model": 2, "chatId": 3, "stream": "yes"},
     ["question", "model", "chatId", "stream"]),
    ({"question": None, "model": ""}, ["question", "model"]),
    ({"question": "x", "model": "m" * 201}, ["model"]),
    ({"question": "x", "stream": 1}, ["stream"]),
])
def test_every_wrong_field_is_named(user, body, fields):
    got = user.post("/openai/question", body)
    assert got.status == 400, got
    assert [e["field"] for e in got.json()["errors"]] == fields


@pytest.mark.parametrize("query, fields", [
    ("", ["question"]), ("question=", ["question"]),
    ("question=&model=" + "m" * 201, ["question", "model"])])
def test_every_wrong_parameter_is_named(user, query, fields):
    got = user.get("/openai/stream?" + query)
    assert got.status == 400, got
    assert [e["field"] for e in got.json()["errors"]] == fields


def test_the_longest_question_is_taken(user, provider):
    question = "\U0001f600" * 100000
    got = user.request("POST", "/openai/question", body=json.dumps(
        {"question": question, "model": "echo"}), headers={"Content-Type": "application/json"})
    assert got.status == 201, got
    assert got.text.strip() == question


@pytest.mark.parametrize("body, kind, status", [
    (b"{", "application/json", 400), (b"[]", "application/json", 400),
    (b'{"question":"x"}', "text/plain", 415),
    (b'{"question":"' + b"x" * 1400000 + b'"}', "application/json", 413)])
def test_a_body_that_is_none(user, body, kind, status):
    got = user.request("POST", "/openai/question", body=body, headers={"Content-Type": kind})
    assert got.status == status, got


def test_an_unknown_model_is_named_and_nothing_is_stored(make_instance):
    instance = make_instance(env=dict.fromkeys(
        ["OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODELS"]))
    user = instance.user()
    for got in (ask(user, model="no-such"), user.get(target(model="no-such"))):
        assert got.status == 404 and got.json()["code"] == "model_not_found"
        assert "echo" in got.json()["detail"]
    assert chat_of(instance, user) == []
    # the model that is there on a fresh install
    assert user.post("/openai/question", {"question": "a b"}).text.strip() == "a b"


def test_nobody_is_401_and_other_methods_405(instance, user):
    http = instance.http
    assert http.post("/openai/question", {"question": "x"}).status == 401
    assert http.get("/openai/stream?question=x").status == 401
    assert http.request("HEAD", "/openai/stream?question=x").status == 401
    got = user.get("/openai/question")
    assert got.status == 405 and "POST" in got.headers["Allow"]
    assert user.post("/openai/stream", {}).status == 405


def test_a_token_in_the_query_is_for_the_stream_alone(instance, user):
    token = urllib.parse.quote(user.token)
    got = events(instance.http, target("chunks=1") + "&token=" + token)
    assert got[-1]["type"] == "done"
    assert instance.http.get(target() + "&token=x").status == 401
    assert instance.http.post(f"/openai/question?token={token}", {"question": "x"}).status == 401


def test_head_starts_nothing(instance, user, provider):
    mark = tag()
    got = user.request("HEAD", target(f"tag={mark}"))
    assert got.status == 200 and got.body == b""
    time.sleep(0.1)
    assert provider.seen(mark) == [] and chat_of(instance, user) == []


# A provider that fails.


@pytest.mark.parametrize("prompt, status", [
    ("status=500", 502), ("status=401", 502), ("status=503", 503), ("cut=0", 502)])
@pytest.mark.parametrize("how", ["text", "events", "get"])
def test_failure_before_the_first_byte_is_a_problem(instance, user, prompt, status, how):
    if how == "get":
        got = user.get(target(prompt))
    else:
        got = ask(user, prompt, headers=SSE if how == "events" else None)
    assert got.status == status, got
    assert got.headers["Content-Type"].startswith("application/problem+json")
    assert got.json()["message"]
    assert user.call(got)["status"] == "failed" if "X-Call-Id" in got.headers else True
    assert [r[:2] for r in chat_of(instance, user)] == [["user", prompt]]


def test_silence_is_a_504(make_instance):
    instance = make_instance(env={"PROVIDER_FIRST_BYTE_TIMEOUT": "300ms"})
    user = instance.user()
    assert user.get(target("stall=0")).status == 504
    assert ask(user, "stall=0").status == 504


@pytest.mark.parametrize("trouble", ["cut=2", "errorevent=2", "garbage=2"])
def test_failure_after_the_first_byte_is_an_event(instance, user, trouble):
    got = events(user, target("chunks=4 " + trouble))
    assert got[:2] == [{"type": "chunk", "content": f"word{n} "} for n in range(2)]
    assert set(got[-1]) == {"type", "message"} and got[-1]["type"] == "error"
    assert got[-1]["message"]
    assert all(e["type"] != "done" for e in got)
    assert [r[0] for r in chat_of(instance, user)] == ["user"]


def test_a_client_that_leaves_ends_the_call(instance, user, provider):
    mark = tag()
    with socket.create_connection(("127.0.0.1", instance.port)) as sock:
        sock.sendall(f"GET {target(f'endless=1 delay=0.02 tag={mark}')} HTTP/1.1\r\nHost: x\r\n"
                     f"Authorization: Bearer {user.token}\r\n\r\n".encode())
        wait_until(lambda: (s := provider.seen(mark)) and s[0]["sent"] > 3)
        left = time.monotonic()
    wait_until(lambda: provider.seen(mark)[0]["gone"])
    assert provider.seen(mark)[0]["gone"] - left < 0.1
    rows = wait_until(lambda: len(r := chat_of(instance, user)) == 2 and r)
    assert rows[1][0] == "assistant" and rows[1][1].startswith("word0 word1 ")
    record = user.get("/v1/calls/" + rows[1][4]).json()
    assert record["status"] == "cancelled" and record["response"] == rows[1][1]


def test_a_client_that_leaves_before_the_first_byte(instance, user, provider):
    mark = tag()
    body = json.dumps({"question": f"stall=0 tag={mark}", "model": "fake"})
    with socket.create_connection(("127.0.0.1", instance.port)) as sock:
        sock.sendall(f"POST /openai/question HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                     f"\r\nAuthorization: Bearer {user.token}\r\nContent-Length: {len(body)}"
                     f"\r\n\r\n{body}".encode())
        wait_until(lambda: provider.seen(mark))
    wait_until(lambda: provider.seen(mark)[0]["gone"])
    time.sleep(0.2)
    assert [r[0] for r in chat_of(instance, user)] == ["user"]


def test_a_chat_that_is_deleted_meanwhile_disturbs_nobody(instance, user):
    with user.stream(target("chunks=3 delay=0.3"), method="GET") as stream:
        got = stream.events()
        next(got)
        assert user.delete("/api/chats/" + user.id).status == 200
        assert list(got)[-1].json()["type"] == "done"
    assert chat_of(instance, user) == []
    assert ask(user).status == 201
    assert len(chat_of(instance, user)) == 2


@pytest.mark.parametrize("path", ["/openai/stream?model=fake&question=",
                                  "/playground/stream?models=fake&prompt="])
def test_a_request_line_has_16_kib(user, path):
    room = 16384 - len(f"GET {path} HTTP/1.1\r\n")
    with user.stream(path + "x" * room, method="GET") as stream:
        assert stream.status == 200
        assert len(stream.texts()) > 2
    got = user.get(path + "x" * (room + 1))
    assert got.status == 414 and got.json()["code"] == "uri_too_long"
