"""test_calls.py - /v1/calls: the caller's own records."""

import csv
import io
import json
import urllib.parse
import uuid

import pytest

from instance import wait_until


@pytest.fixture(scope="module")
def owner(instance):
    """A user with three completed calls and a failed one, oldest first."""
    user = instance.user()
    user.marks = []
    user.ids = []
    for prompt, model in (("first 100% sure", "fake"), ("second", "fake-2"),
                          ("third", "fake"), ("status=500", "fake")):
        got = user.chat(f"{prompt} chunks=2", model=model, user="=SUM(A1)")
        user.ids.append(got.headers["X-Call-Id"])
    wait_until(lambda: all(
        user.get("/v1/calls/" + i).json()["status"] != "running" for i in user.ids))
    return user


def listed(user, query=""):
    got = user.get("/v1/calls" + query)
    assert got.status == 200, got
    return got.json()


def ids(page):
    return [call["id"] for call in page["data"]]


def test_the_list_is_newest_first_and_has_every_field(owner):
    page = listed(owner)
    assert page["object"] == "list"
    assert page["has_more"] is False and page["next_cursor"] is None
    assert ids(page) == owner.ids[::-1]
    call = page["data"][-1]
    assert call["object"] == "call"
    assert call["kind"] == "chat.completion"
    assert call["provider"] == "openai" and call["model"] == "fake"
    assert call["status"] == "completed" and call["error"] is None
    usage = call["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert set(usage) == {"prompt_tokens", "completion_tokens", "total_tokens",
                          "cached_tokens", "reasoning_tokens", "estimated"}
    assert call["user"] == "=SUM(A1)"
    assert call["latency_ms"] > 0
    assert call["started_at"].endswith("Z") and call["finished_at"].endswith("Z")
    assert "request" not in call and "response" not in call


def test_one_call_has_its_texts(owner):
    got = owner.get("/v1/calls/" + owner.ids[1])
    assert got.status == 200
    call = got.json()
    assert "second" in call["request"]
    assert "word0 word1" in call["response"]


def test_pages_follow_the_cursor_to_the_end(owner):
    seen, query = [], "?limit=3"
    while True:
        got = owner.get("/v1/calls" + query)
        page = got.json()
        seen += ids(page)
        if not page["has_more"]:
            assert "Link" not in got.headers
            break
        assert 'rel="next"' in got.headers["Link"]
        query = "?limit=3&cursor=" + page["next_cursor"]
    assert seen == owner.ids[::-1]


@pytest.mark.parametrize("path, of", [
    ("/v1/calls?limit=2", lambda page: [call["id"] for call in page["data"]]),
    ("/proxy-api/dashboard?limit=2",
     lambda page: [record["Request"][-12:] for record in page["data"]])])
def test_pages_have_no_gap_while_calls_are_made(user, path, of):
    """Of the calls there were at first, each is seen once, in its order."""
    for i in range(7):
        assert user.chat(f"number {i}").status == 200
    want = of(user.get(path.replace("=2", "=7")).json())
    assert len(set(want)) == 7
    seen = []
    while path:
        got = user.get(path)
        seen += of(got.json())
        assert user.chat(f"later {len(seen)}").status == 200
        link = got.headers["Link"]
        path = link and link[1:link.index(">")]
    assert seen == want


@pytest.mark.parametrize("query, which", [
    ("?model=fake-2", [1]),
    ("?status=failed", [3]),
    ("?status=completed&model=fake", [2, 0]),
    ("?q=SECOND", [1]),
    ("?q=100%25+sure", [0]),
    ("?q=100_", []),
    ("?model=nothing", []),
    ("?since=2020-01-01", [3, 2, 1, 0]),
    ("?until=2020-01-01", []),
    ("?since=2100-01-01T00:00:00Z", []),
])
def test_filters(owner, query, which):
    assert ids(listed(owner, query)) == [owner.ids[i] for i in which]


def test_since_and_until_split_at_a_call(owner):
    at = owner.get("/v1/calls/" + owner.ids[2]).json()["started_at"]
    at = urllib.parse.quote(at)
    newer, older = ids(listed(owner, "?since=" + at)), ids(listed(owner, "?until=" + at))
    assert sorted(newer + older) == sorted(owner.ids)
    assert owner.ids[3] in newer and owner.ids[1] in older


@pytest.mark.parametrize("query", [
    "?limit=0", "?limit=201", "?limit=-1", "?limit=1e3", "?limit=", "?limit=2147483648",
    "?limit=18446744073709551616", "?cursor=zzz", "?cursor=Zm9v", "?status=gone",
    "?format=xml", "?since=yesterday", "?until=2026-13-01", "?q=" + "x" * 257,
    "?model=" + "x" * 201,
])
def test_wrong_parameters_are_a_400_in_openais_shape(owner, query):
    got = owner.get("/v1/calls" + query)
    assert got.status == 400
    assert got.json()["error"]["message"]


def test_csv_is_safe_to_open(owner):
    got = owner.get("/v1/calls?format=csv")
    assert got.status == 200
    assert got.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(got.body.decode(), newline="")))
    assert [row["id"] for row in rows] == owner.ids[::-1]
    assert rows[0]["status"] == "failed" and rows[0]["error"]
    assert all(row["user"] == "'=SUM(A1)" for row in rows)
    assert {row["stream"] for row in rows} == {"false"}
    assert {row["estimated"] for row in rows} <= {"true", "false"}
    assert got.body.count(b"\r\n") == 5


def test_ndjson_is_an_object_a_line(owner):
    got = owner.get("/v1/calls?format=ndjson&limit=2")
    assert got.status == 200
    assert got.headers["Content-Type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in got.text.splitlines()]
    assert [line["id"] for line in lines] == owner.ids[:1:-1]
    assert 'rel="next"' in got.headers["Link"]


def test_another_users_calls_are_not_there(owner, instance):
    other = instance.user()
    assert listed(other)["data"] == []
    theirs = other.get("/v1/calls/" + owner.ids[0])
    nobodys = other.get("/v1/calls/" + str(uuid.uuid4()))
    assert theirs.status == nobodys.status == 404
    assert theirs.json() == nobodys.json()
    assert other.get("/v1/calls/no-id").status == 404
    cursor = listed(owner, "?limit=1")["next_cursor"]
    assert listed(other, "?cursor=" + cursor)["data"] == []


def test_without_a_credential_it_is_a_401(instance):
    for path in ("/v1/calls", "/v1/calls/" + str(uuid.uuid4())):
        assert instance.http.get(path).status == 401
