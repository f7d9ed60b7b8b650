"""test_gateway.py - /v1 against a provider that behaves, and one that does
not."""

import json
import socket
import time
import uuid

import pytest

from client import chat_body
from instance import Instance, wait_until

TOOLS = [{"type": "function", "function": {
    "name": "weather", "parameters": {"type": "object", "properties": {
        "city": {"type": "string"}}}}}]


def tag():
    return uuid.uuid4().hex


def ended(user, answer):
    """The record once it is over."""
    return wait_until(lambda: (r := user.call(answer))["status"] != "running" and r)


def test_json_answer_and_its_record(instance, user, provider):
    mark = tag()
    got = user.chat(f"hi chunks=4 tag={mark}", temperature=0.5, user="someone")
    assert got.status == 200, got
    assert got.json()["choices"][0]["message"]["content"] == "word0 word1 word2 word3 "
    sent = provider.seen(mark)[0]
    assert sent["body"]["temperature"] == 0.5
    assert sent["headers"]["authorization"] == "Bearer sk-canary-provider-key"
    record = user.call(got)
    assert record["status"] == "completed"
    assert record["model"] == "fake" and record["provider"] == "openai"
    flat = json.dumps(record)
    assert "word0 word1 word2 word3" in flat and mark in flat
    rows = instance.psql(
        "select status, prompt_tokens, completion_tokens, cached_tokens,"
        " reasoning_tokens, estimated, end_user from minuted.calls"
        f" where id = '{got.headers['X-Call-Id']}'")
    assert rows == [["completed", "11", "4", "4", "1", "f", "someone"]]


def test_stream_arrives_as_it_was_sent_and_ends_with_done(user, provider):
    with user.chat_stream("chunks=3 delay=0.1") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        events = list(stream.events())
    assert events[-1].data == "[DONE]"
    chunks = [event.json() for event in events[:-1]]
    words = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert words == "word0 word1 word2 "
    for event, chunk in zip(events, chunks):
        assert event.at - chunk["sent_at"] < 0.05
    assert all("usage" not in c or c["usage"] is None for c in chunks)
    record = ended(user, stream)
    assert record["status"] == "completed"


def test_usage_is_asked_for_and_kept_from_who_did_not_ask(instance, user, provider):
    mark = tag()
    with user.chat_stream(f"tag={mark}", stream_options={"include_usage": True}) as asked:
        last = [json.loads(text) for text in asked.texts()[:-1]][-1]
    assert last["usage"]["prompt_tokens"] == 11 and last["choices"] == []
    with user.chat_stream(f"tag={mark}") as silent:
        assert not any('"usage": {' in text for text in silent.texts())
    assert all(s["body"]["stream_options"]["include_usage"] for s in provider.seen(mark))
    ids = f"'{asked.headers['X-Call-Id']}', '{silent.headers['X-Call-Id']}'"
    rows = instance.psql("select prompt_tokens, estimated from minuted.calls"
                         f" where id in ({ids})")
    assert rows == [["11", "f"]] * 2


def test_unreported_usage_is_estimated_and_marked(instance, user):
    got = user.chat("usage=0 chunks=8")
    rows = instance.psql("select estimated, completion_tokens > 0 from minuted.calls"
                         f" where id = '{got.headers['X-Call-Id']}'")
    assert rows == [["t", "t"]]


def test_the_tools_and_pictures_of_a_prompt_count_in_its_estimate(instance, user):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 500_000}}
    tools = [dict(TOOLS[0], function=dict(TOOLS[0]["function"], description="d" * 4000))]

    def tokens(**more):
        got = user.chat("usage=0 chunks=1", **more)
        return int(instance.psql("select prompt_tokens from minuted.calls"
                                 f" where id = '{got.headers['X-Call-Id']}'")[0][0])

    assert tokens() == 4
    assert tokens(tools=tools) == (16 + len(json.dumps(tools))) // 4
    parts = [{"type": "text", "text": "usage=0 chunks=1"}, picture]
    assert tokens(messages=[{"role": "user", "content": parts}]) == 1004


def test_cost_is_tokens_times_price(instance, user):
    model = "m-" + tag()[:8]
    instance.psql(
        f"insert into minuted.models (provider, name, upstream_name) values ('openai', '{model}', '{model}');"
        "insert into minuted.prices (provider, model, valid_from, input, output, cache_read)"
        f" values ('openai', '{model}', now() - interval '1 day', 1000000, 2000000, 500000)")

    def cost_of(got):
        return instance.psql("select cost_pico from minuted.calls"
                             f" where id = '{got.headers['X-Call-Id']}'")

    # this provider takes any name, so calls succeed before the price is known
    got = wait_until(lambda: cost_of(g := user.chat("chunks=5", model=model)) != [[""]] and g)
    rows = cost_of(got)
    # 7 fresh and 4 cached prompt tokens, 5 of the answer
    assert rows == [[str(7 * 1000000 + 4 * 500000 + 5 * 2000000)]]
    assert float(user.call(got)["cost"]) == pytest.approx(19e-6)


def test_tool_call_goes_through_both_ways(user, provider):
    mark = tag()
    got = user.chat(f"tool=1 tag={mark}", tools=TOOLS)
    call = got.json()["choices"][0]["message"]["tool_calls"][0]
    assert call["function"] == {"name": "weather", "arguments": '{"city":"Oslo"}'}
    assert provider.seen(mark)[0]["body"]["tools"] == TOOLS
    with user.chat_stream("tool=1 chunks=0", tools=TOOLS) as stream:
        deltas = [json.loads(t)["choices"][0] for t in stream.texts()[:-1]]
    assert deltas[0]["delta"]["tool_calls"][0]["function"]["name"] == "weather"
    assert deltas[-1]["finish_reason"] == "tool_calls"


def test_numbers_and_unknown_fields_keep_their_text(user, provider):
    mark = tag()
    body = ('{"model":"fake","messages":[{"role":"user","content":"tag=%s"}],'
            '"seed":12345678901234567890,"x_new":{"a":[1.10,1e2,"\\u00e9"]}}' % mark)
    got = user.post("/v1/chat/completions", body=body,
                    headers={"Content-Type": "application/json"})
    assert got.status == 200, got
    raw = provider.seen(mark)[0]["raw"]
    assert "12345678901234567890" in raw and "1.10" in raw and "1e2" in raw


def test_echo_streams_the_prompt_back(user):
    with user.chat_stream("all of these words", model="echo") as stream:
        texts = stream.texts()
    words = [json.loads(t)["choices"][0]["delta"].get("content", "") for t in texts[:-1]]
    assert "all of these words" in "".join(words)
    assert len([w for w in words if w]) >= 4
    assert texts[-1] == "[DONE]"
    assert "all of these words" in user.chat("all of these words", model="echo").text


def test_models_are_listed_in_openais_shape(user):
    got = user.get("/v1/models").json()
    assert got["object"] == "list"
    names = {model["id"] for model in got["data"]}
    assert {"echo", "fake", "fake-2"} <= names
    assert all(model["object"] == "model" for model in got["data"])
    assert user.get("/v1/models/fake").json()["id"] == "fake"


def test_unknown_model_is_404_and_names_those_that_exist(make_instance):
    """Where the provider's models are known: one at another address may have
    more than are listed."""
    instance = make_instance(env=dict.fromkeys(
        ["OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODELS"]))
    user = instance.user()
    assert user.get("/v1/models/no-such-model").status == 404
    got = user.chat(model="no-such-model")
    assert got.status == 404
    error = got.json()["error"]
    assert error["code"] == "model_not_found" and error["param"] == "model"
    assert "no-such-model" in error["message"] and "echo" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_only_the_provider_can_refuse_is_404_too(user, stream):
    got = user.chat(model="no-such-model", stream=stream)
    assert got.status == 404
    assert got.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("upstream, status", [
    (400, 400), (401, 502), (403, 502), (404, 502), (429, 429), (500, 502), (503, 503),
])
@pytest.mark.parametrize("stream", [False, True])
def test_errors_of_the_provider_are_mapped(user, upstream, status, stream):
    got = user.chat(f"status={upstream} retry_after=7", stream=stream)
    assert got.status == status, got
    error = got.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "sk-canary" not in got.text
    if status == 429:
        assert got.headers["Retry-After"] == "7"
    record = ended(user, got)
    assert record["status"] == "failed" and record["error"]


def test_nobody_listening_is_502(make_instance, provider):
    instance = make_instance(env={"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    user = instance.user()
    got = user.chat()
    assert got.status == 502, got
    assert ended(user, got)["status"] == "failed"


@pytest.mark.parametrize("trouble", ["cut=2", "garbage=2", "badutf8=2", "huge=2",
                                     "errorevent=2", "unterminated=1"])
def test_a_stream_that_breaks_never_gets_a_terminator(user, trouble):
    with user.chat_stream(f"chunks=4 {trouble}") as stream:
        assert stream.status == 200
        texts = stream.texts()
    assert "[DONE]" not in texts
    record = ended(user, stream)
    assert record["status"] == "failed", record
    assert "word0 word1 " in json.dumps(record)


@pytest.fixture(scope="module")
def hasty(postgres, provider):
    """An instance that waits half a second for the next word."""
    instance = Instance(postgres, provider=provider, env={"PROVIDER_IDLE_TIMEOUT": "500ms"})
    instance.start()
    yield instance
    instance.stop()


@pytest.mark.parametrize("asked", [{"n": 2}, {"n": "2"}])
@pytest.mark.parametrize("trouble, error", [
    ("cut=3", "upstream_truncated"), ("stall=3", "upstream_timeout")])
def test_a_stream_that_ends_before_all_choices_gets_no_terminator(hasty, trouble, error, asked):
    user = hasty.user()
    user.check = False  # of the n that is a string
    with user.chat_stream(f"chunks=2 second=9 {trouble}", **asked) as stream:
        texts = stream.texts()
    assert "[DONE]" not in texts and error in texts[-1]
    record = ended(user, stream)
    assert (record["status"], record["error"]) == ("failed", error)


@pytest.mark.parametrize("last", ["as it should", "cut", "stall"])
def test_a_stream_of_which_all_choices_are_finished_is_complete(hasty, last):
    user = hasty.user()
    with user.chat_stream(f"chunks=2 second=2 last={last}", n=2) as stream:
        assert stream.texts()[-1] == "[DONE]"
    assert ended(user, stream)["status"] == "completed"


@pytest.mark.parametrize("trouble", ["cut=0", "nonsense=1"])
def test_a_broken_whole_answer_is_502(user, trouble):
    got = user.chat(trouble)
    assert got.status == 502, got
    assert ended(user, got)["status"] == "failed"


@pytest.mark.parametrize("prompt", ["stall=0", "chunks=3 stall=1", "first=30"])
def test_silence_of_the_provider_ends_at_a_deadline(make_instance, prompt):
    instance = make_instance(env={"PROVIDER_FIRST_BYTE_TIMEOUT": "500ms",
                                  "PROVIDER_IDLE_TIMEOUT": "500ms"})
    user = instance.user()
    began = time.monotonic()
    with user.chat_stream(prompt) as stream:
        body = stream.answer.read()
    assert time.monotonic() - began < 3
    assert b"[DONE]" not in body
    assert stream.status == (200 if "chunks" in prompt else 504)
    assert ended(user, stream)["status"] == "failed"


def test_the_call_is_visible_as_running_within_a_second(user):
    with user.chat_stream("chunks=2 delay=2") as stream:
        began = time.monotonic()
        next(stream.events())
        path = "/v1/calls/" + stream.headers["X-Call-Id"]
        got = wait_until(lambda: (g := user.get(path)).status == 200 and g, 1.0)
        assert got.json()["status"] == "running"
        assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("prompt", ["endless=1 delay=0.02", "stall=0", "chunks=9 stall=1"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_provider_is_told_when_the_client_leaves(instance, user, provider, prompt, stream):
    if not stream and "stall=0" not in prompt:
        prompt = "chunks=1000 delay=0.02"
    mark = tag()
    body = json.dumps(chat_body(f"{prompt} tag={mark}", stream=stream)).encode()
    sock = socket.create_connection(("127.0.0.1", instance.port))
    sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n"
                 b"Content-Length: %d\r\n\r\n%s" % (user.token.encode(), len(body), body))
    wait_until(lambda: provider.seen(mark))
    time.sleep(0.2)
    left = time.monotonic()
    sock.close()
    gone = wait_until(lambda: provider.seen(mark)[0]["gone"])
    assert gone - left < 0.1
    rows = wait_until(lambda: instance.psql(
        "select status from minuted.calls c join minuted.call_texts t using (user_id, id)"
        f" where t.request like '%{mark}%' and status <> 'running'"))
    assert rows == [["cancelled"]]


def test_a_client_that_does_not_read_is_cut_and_costs_little(make_instance, provider):
    instance = make_instance(env={"CLIENT_STALL_TIMEOUT": "1s"})
    user = instance.user()
    mark = tag()
    body = json.dumps(chat_body(f"endless=1 size=20000 tag={mark}", stream=True)).encode()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", instance.port))
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                     b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (user.token.encode(), len(body), body))
        began = time.monotonic()
        gone = wait_until(lambda: (s := provider.seen(mark)) and s[0]["gone"], 20)
        assert gone - began < 15
    # others were served meanwhile, and what was sent ahead has a ceiling
    assert user.chat().status == 200
    assert provider.seen(mark)[0]["sent"] * 20000 < 64e6


def test_calls_are_listed_newest_first_with_a_cursor(user):
    ids = [user.chat(f"chunks={n}").headers["X-Call-Id"] for n in range(1, 6)]
    first = user.get("/v1/calls?limit=2").json()
    assert first["object"] == "list" and first["has_more"] is True
    assert [r["id"] for r in first["data"]] == ids[:2:-1]
    second = user.get(f"/v1/calls?limit=3&cursor={first['next_cursor']}").json()
    assert [r["id"] for r in second["data"]] == ids[2::-1]
    assert second["has_more"] is False
    assert [r["id"] for r in user.get("/v1/calls?status=failed").json()["data"]] == []


def test_calls_of_others_are_missing(instance, user):
    other = instance.user()
    got = user.chat()
    path = "/v1/calls/" + got.headers["X-Call-Id"]
    mine, theirs = user.get(path), other.get(path)
    assert mine.status == 200 and theirs.status == 404
    unknown = other.get("/v1/calls/" + str(uuid.UUID(int=7 << 76)))
    assert unknown.status == 404
    assert unknown.json()["error"]["message"] == theirs.json()["error"]["message"]
    assert other.get("/v1/calls").json()["data"] == []


def test_calls_export_as_csv_and_ndjson(user):
    user.chat("chunks=1")
    csv = user.get("/v1/calls?format=csv")
    assert csv.headers["Content-Type"].startswith("text/csv")
    assert len(csv.text.splitlines()) == 2
    lines = user.get("/v1/calls?format=ndjson").text.splitlines()
    assert len(lines) == 1 and json.loads(lines[0])["model"] == "fake"


def test_an_api_key_calls_models_until_it_is_revoked(instance, user):
    made = user.post("/api/apikeys", {"name": "test"})
    assert made.status == 201, made
    key = made.json()["key"]
    instance.secrets.append(key)
    client = instance.http.as_user(key)
    assert client.chat().status == 200
    by_header = instance.http.request(
        "POST", "/v1/chat/completions", chat_body(), headers={"X-Api-Key": key})
    assert by_header.status == 200
    assert user.delete(f"/api/apikeys/{made.json()['id']}").status == 204
    wait_until(lambda: client.chat().status == 401, 1.0)
    time.sleep(0.2)  # on every worker
    assert all(client.get("/v1/models").status == 401 for _ in range(20))
