"""test_logger.py - event logs and LLM logs: taken, listed, exported, counted."""

import csv
import io
import json
import threading
import urllib.parse
import uuid

import pytest

from client import Client
from instance import Postgres, wait_until

EVENT = {"id", "user_id", "message", "level", "timestamp", "metadata"}
LLM = {"id", "user_id", "source", "query", "response", "timestamp", "metadata"}
LOGS = ["/api/event-log", "/api/llm-log"]


def new_key(instance, user, **body):
    got = user.post("/api/apikeys", {"name": "ingest", **body})
    assert got.status == 201, got
    instance.secrets.append(got.json()["key"])
    return got.json()


@pytest.fixture(scope="module")
def owner(instance):
    """A user with an API key, .key and .key_id."""
    return with_key(instance)


def with_key(instance):
    user = instance.user()
    made = new_key(instance, user)
    user.key, user.key_id = made["key"], made["id"]
    return user


def event(**more):
    return {"user_id": "u1", "message": "hello", **more}


def llm(**more):
    return {"user_id": "u1", "source": "web", "query": "q", "response": "r", **more}


def body_of(path, **more):
    return event(**more) if "event" in path else llm(**more)


def keep(user, path, **more):
    got = user.post(path, body_of(path, **more))
    assert got.status == 201, got
    return got.json()["id"]


def faults(got):
    assert got.status == 400, got
    problem = got.json()
    assert got.headers["Content-Type"].startswith("application/problem+json")
    assert problem["message"] == problem["detail"]
    return {fault["field"] for fault in problem["errors"]}


def uuid7(ms, tail):
    text = f"{ms:012x}7000800000000000{tail:04x}"
    return str(uuid.UUID(text[:32]))


# Taking one.


@pytest.mark.parametrize("path", LOGS)
@pytest.mark.parametrize("where", ["body", "x-api-key", "bearer", "token"])
def test_a_record_is_kept_before_its_201(instance, owner, path, where):
    body = body_of(path, metadata={"a": 1})
    headers = {}
    if where == "body":
        body["api_key"] = owner.key
    elif where == "x-api-key":
        headers["X-Api-Key"] = owner.key
    else:
        secret = owner.key if where == "bearer" else owner.token
        headers["Authorization"] = f"Bearer {secret}"
    got = instance.http.post(path + "/", body, headers=headers)
    assert got.status == 201, got
    assert got.headers["X-Durable"] == "db"
    assert set(got.json()) == {"status", "id"} and got.json()["status"] == "success"
    table = "events" if "event" in path else "calls"
    rows = instance.psql(f"select user_id, key_id from minuted.{table}"
                         f" where id = '{got.json()['id']}'")
    assert rows == [[owner.id, "" if where == "token" else owner.key_id]]


@pytest.mark.parametrize("path", LOGS + [p + "/batch" for p in LOGS])
def test_without_a_good_key_it_is_401(instance, owner, path):
    other = new_key(instance, owner, is_active=False)
    past = new_key(instance, owner)
    instance.psql("update minuted.api_keys set expires_at = now() - interval '1 s'"
                  f" where id = '{past['id']}'")
    good = {"logs": [body_of(path)]} if "batch" in path else body_of(path)
    for key in (None, "", 7, "nonsense", owner.key[:-1] + "0", other["key"], past["key"]):
        got = instance.http.post(path, {**good, "api_key": key})
        assert got.status == 401, (key, got)
        assert "WWW-Authenticate" in got.headers
    assert instance.http.post(path, good).status == 401
    assert instance.http.post(path).status == 401
    assert instance.http.post(path, body="{", headers={
        "Content-Type": "application/x-ndjson"}).status in (401, 400, 415)


def test_a_key_without_the_scope_is_403(instance, owner):
    key = new_key(instance, owner, scopes=["calls"])["key"]
    assert instance.http.post("/api/event-log", event(api_key=key)).status == 403
    key = new_key(instance, owner, scopes=["ingest"])["key"]
    assert instance.http.post("/api/event-log", event(api_key=key)).status == 201
    assert instance.http.get("/api/event-logs", headers={"X-Api-Key": key}).status == 403


def test_every_wrong_field_is_named_at_once(owner):
    got = owner.post("/api/event-log", {
        "user_id": "x" * 101, "message": "", "level": "fatal", "id": "no",
        "timestamp": "yesterday", "metadata": "x" * 70000})
    assert faults(got) == {"user_id", "message", "level", "id", "timestamp", "metadata"}
    assert faults(owner.post("/api/event-log", {})) == {"user_id", "message"}
    assert faults(owner.post("/api/event-log", {
        "user_id": [], "message": 1, "level": None, "id": 7, "timestamp": 5})) == {
        "user_id", "message", "id", "timestamp"}
    got = owner.post("/api/llm-log", {
        "user_id": "", "source": "", "query": 1, "response": [], "id": "",
        "timestamp": "1969-12-31T23:59:59Z"})
    assert faults(got) == {"user_id", "source", "query", "response", "id", "timestamp"}
    assert faults(owner.post("/api/llm-log", {"query": "x"})) == {"user_id", "source"}
    assert faults(owner.post("/api/llm-log", llm(query="x" * 1048577))) == {"query"}
    assert faults(owner.post("/api/event-log", event(message="x" * 65537))) == {"message"}


@pytest.mark.parametrize("path", LOGS)
def test_what_is_no_json_object_is_refused(owner, path):
    json_type = {"Content-Type": "application/json"}
    assert owner.post(path, body="{", headers=json_type).status == 400
    assert owner.post(path, body="[]", headers=json_type).status == 400
    assert owner.post(path, body='{"a":1,"a":2}', headers=json_type).status == 400
    assert owner.post(path, body="a=b", headers={
        "Content-Type": "application/x-www-form-urlencoded"}).status == 415
    huge = body_of(path, metadata="x" * (9 << 20))
    assert owner.post(path, huge).status == 413


def test_the_ceilings_themselves_are_taken(owner):
    at = keep(owner, "/api/event-log", user_id="é" * 100, message="ü" * 65536,
              metadata="m" * 65534)
    got = owner.get("/api/event-logs/" + at).json()
    assert got["user_id"] == "é" * 100 and got["message"] == "ü" * 65536
    assert len(got["metadata"]) == 65534
    at = keep(owner, "/api/llm-log", query="q" * 1048576, response="é" * 1048576)
    got = owner.get("/api/llm-logs/" + at).json()
    assert len(got["query"]) == 1048576 and got["response"] == "é" * 1048576


@pytest.mark.parametrize("path", LOGS)
@pytest.mark.parametrize("text", [
    "12345678901234567890123456789", "1.10", "-0.0", "1e2", '"x"', "true", "[]",
    "null", "false", "0", "-0", '""', "{}",
    '{"b":1, "a" : [1.0,\n2], "é":"\\u00e9"}', '"\\\\ \\t \\" \\/"',
])
def test_metadata_is_kept_as_it_came(owner, path, text):
    fields = json.dumps(body_of(path))[:-1]
    got = owner.post(path, body=f'{fields},"metadata":{text}}}'.encode(),
                     headers={"Content-Type": "application/json"})
    assert got.status == 201, got
    shown = owner.get(f"{path}s/{got.json()['id']}")
    assert shown.text.rstrip("}\n ").endswith(f'"metadata" : {text}'.rstrip("}"))


@pytest.mark.parametrize("path", LOGS)
def test_defaults_and_what_was_sent_come_back(owner, path):
    odd = Client(owner.port, owner.token, check=False)  # null counts as not sent
    one = owner.get(f"{path}s/{keep(owner, path)}").json()
    assert set(one) == (EVENT if "event" in path else LLM)
    assert one["metadata"] is None and one["timestamp"].endswith("Z")
    if "event" in path:
        assert one["level"] == "info" and one["message"] == "hello"
    else:
        at = keep(odd, path, query=None, response="")
        one = owner.get(f"{path}s/{at}").json()
        assert one["query"] is None and one["response"] == ""
    at = keep(owner, path, user_id=1234567890123)
    assert owner.get(f"{path}s/{at}").json()["user_id"] == "1234567890123"
    at = keep(owner, path, timestamp="2024-02-29T12:00:00.123456+02:00")
    assert owner.get(f"{path}s/{at}").json()["timestamp"] == "2024-02-29T10:00:00.123Z"


@pytest.mark.parametrize("path", LOGS)
@pytest.mark.parametrize("version", [1, 4, 7])
def test_a_retry_with_the_same_id_is_one_row(instance, owner, path, version):
    own = {1: uuid.uuid1(), 4: uuid.uuid4(), 7: uuid7(1790000000000, uuid.uuid4().int % 65536)}
    at = str(own[version])
    odd = Client(owner.port, owner.token, check=False)
    assert keep(odd, path, id=at.upper(), user_id="first") == at
    assert keep(owner, path, id=at, user_id="second") == at
    assert owner.get(f"{path}s/{at}").json()["user_id"] == "first"
    table = "events" if "event" in path else "calls"
    assert instance.psql(f"select count(*) from minuted.{table} where id = '{at}'") == [["1"]]


def test_the_id_of_a_call_cannot_be_taken_over(instance, owner):
    with owner.chat_stream("chunks=6 delay=0.2") as stream:
        at = stream.headers["X-Call-Id"]
        keep(owner, "/api/llm-log", id=at)
        assert stream.texts()[-1] == "[DONE]"
    call = wait_until(lambda: (c := owner.call(stream))["status"] == "completed" and c)
    assert call["kind"] == "chat.completion" and call["model"] == "fake"
    assert call["usage"]["completion_tokens"] == 6
    assert owner.get("/api/llm-logs/" + at).status == 404
    assert owner.delete("/api/llm-logs/" + at).status == 404


def test_the_same_id_of_two_users_is_two_rows(instance, owner):
    other = instance.user()
    at = str(uuid.uuid4())
    keep(owner, "/api/event-log", id=at, message="mine")
    keep(other, "/api/event-log", id=at, message="theirs")
    assert owner.get("/api/event-logs/" + at).json()["message"] == "mine"
    assert other.get("/api/event-logs/" + at).json()["message"] == "theirs"


# Batches.


@pytest.mark.parametrize("path", LOGS)
def test_a_batch_is_taken_whole(instance, path):
    user = with_key(instance)
    logs = [body_of(path, user_id=f"u{i}", metadata={"i": i, "more": [i, {"x": i}]})
            for i in range(1000)]
    got = instance.http.post(path + "/batch", {"api_key": user.key, "logs": logs})
    assert got.status == 201, got
    assert got.json() == {"status": "success", "count": 1000}
    assert got.headers["X-Durable"] == "db"
    shown = user.get(path + "s").json()
    assert {one["user_id"] for one in shown} == {f"u{i}" for i in range(1000)}
    lines = "".join(json.dumps(log) + "\n" for log in logs[:10]) + "\n  \r\n"
    got = instance.http.post(path + "/batch", body=lines, headers={
        "Content-Type": "application/x-ndjson", "X-Api-Key": user.key})
    assert got.status == 201 and got.json()["count"] == 10
    stats = user.get("/api/user/stats").json()
    kind = "total_event_logs" if "event" in path else "total_llm_logs"
    assert stats[kind] == 1010


@pytest.mark.parametrize("path", LOGS)
def test_a_bad_item_is_named_and_nothing_is_kept(instance, path):
    user = instance.user()
    logs = [body_of(path), body_of(path, user_id=""), 7, body_of(path, id="x", timestamp="x")]
    got = user.post(path + "/batch", {"logs": logs})
    assert faults(got) == {"logs[1].user_id", "logs[2]", "logs[3].id", "logs[3].timestamp"}
    lines = "\n".join(map(json.dumps, logs)) + '\n{"a":\n' + json.dumps(body_of(path))
    got = user.post(path + "/batch", body=lines,
                    headers={"Content-Type": "application/x-ndjson"})
    assert faults(got) == {"logs[1].user_id", "logs[2]", "logs[3].id", "logs[3].timestamp",
                           "logs[4]"}
    assert user.get(path + "s").json() == []


@pytest.mark.parametrize("path", LOGS)
def test_a_batch_has_1_to_1000_records(owner, path):
    for logs in ([], None, {}, "x", [body_of(path)] * 1001):
        assert faults(owner.post(path + "/batch", {"logs": logs})) == {"logs"}
    assert faults(owner.post(path + "/batch", {})) == {"logs"}
    ndjson = {"Content-Type": "application/x-ndjson"}
    line = json.dumps(body_of(path)) + "\n"
    assert faults(owner.post(path + "/batch", body=line * 1001, headers=ndjson)) == {"logs"}
    assert faults(owner.post(path + "/batch", body="\n", headers=ndjson)) == {"logs"}
    assert owner.post(path, body=line, headers=ndjson).status == 415


@pytest.mark.parametrize("path", LOGS)
def test_a_batch_may_be_sent_again(owner, path):
    logs = [body_of(path, id=str(uuid.uuid4())) for _ in range(5)]
    for _ in range(2):
        got = owner.post(path + "/batch", {"logs": logs + logs[:1]})
        assert got.status == 201 and got.json()["count"] == 6
    mine = {one["id"] for one in owner.get(path + "s").json()}
    assert {log["id"] for log in logs} <= mine


# Lists.


@pytest.fixture(scope="module")
def shelf(instance):
    """A user with 30 logs of each kind, a minute apart, oldest first; their ids
    are random, so that only the time can order them."""
    user = instance.user()
    user.ids = {}
    for path in LOGS:
        logs = []
        for i in range(30):
            words = ["alpha 100%", "beta_b", "Gamma\\", '=cmd("x")', "a,b\n\"c\""]
            more = {"message": words[i % 5]} if "event" in path else {
                "query": words[i % 5], "response": f"answer {i}", "source": f"s{i % 3}"}
            logs.append(body_of(path, id=str(uuid.uuid4()), user_id=f"u{i % 4}",
                                timestamp=f"2025-06-01T12:{i:02}:00Z",
                                metadata={"i": i} if i % 2 else None, **more))
            if "event" in path:
                logs[-1]["level"] = ["info", "warning", "error", "debug"][i % 4]
        assert user.post(path + "/batch", {"logs": logs}).status == 201
        user.ids[path] = [log["id"] for log in logs]
    return user


def shown(user, path, **query):
    got = user.get(f"{path}s?" + urllib.parse.urlencode(query))
    assert got.status == 200, got
    return [one["id"] for one in got.json()]


@pytest.mark.parametrize("path", LOGS)
def test_the_list_is_a_bare_array_newest_first(shelf, path):
    got = shelf.get(path + "s/")
    assert [one["id"] for one in got.json()] == shelf.ids[path][::-1]
    assert "Link" not in got.headers
    assert all(set(one) == (EVENT if "event" in path else LLM) for one in got.json())
    assert shelf.get(path + "s/" + shelf.ids[path][3]).json() == got.json()[26]


@pytest.mark.parametrize("path", LOGS)
def test_pages_have_no_gap_while_rows_come(instance, path):
    user = instance.user()
    user.post(path + "/batch", {"logs": [body_of(path, user_id=f"old{i}") for i in range(50)]})
    seen, query = [], "?limit=7"
    while query:
        got = user.get(f"{path}s{query}")
        assert got.status == 200
        seen += [one["user_id"] for one in got.json()]
        keep(user, path, user_id="new")
        link = got.headers["Link"]
        if link:
            assert link.endswith('>; rel="next"') and "limit=7" in link
            query = "?" + link[1:].split(">")[0].split("?")[1]
        else:
            query = None
    old = [name for name in seen if name != "new"]
    assert sorted(old) == sorted(f"old{i}" for i in range(50))


def test_without_limit_it_is_the_newest_1000(instance):
    user = instance.user()
    for _ in range(2):
        user.post("/api/event-log/batch", {"logs": [event()] * 600})
    got = user.get("/api/event-logs")
    assert len(got.json()) == 1000
    rest = user.get("/api/event-logs?" + got.headers["Link"].split(">")[0].split("?")[1])
    assert len(rest.json()) == 200 and "Link" not in rest.headers
    ids = {one["id"] for one in got.json() + rest.json()}
    assert len(ids) == 1200


@pytest.mark.parametrize("path", LOGS)
def test_filters_of_both(shelf, path):
    ids = shelf.ids[path]
    assert shown(shelf, path, user_id="u2") == ids[2::4][::-1]
    assert shown(shelf, path, user_id="U2") == []
    assert shown(shelf, path, since="2025-06-01T12:25:00Z") == ids[25:][::-1]
    assert shown(shelf, path, until="2025-06-01T12:02:00Z") == ids[:2][::-1]
    assert shown(shelf, path, since="2025-06-01T14:10:00+02:00",
                 until="2025-06-01T12:12:00Z", limit=1) == [ids[11]]
    assert shown(shelf, path, q="0%") == ids[0::5][::-1]
    assert shown(shelf, path, q="BETA_") == ids[1::5][::-1]
    assert shown(shelf, path, q="a\\") == ids[2::5][::-1]
    assert shown(shelf, path, q="") == ids[::-1]
    assert shown(shelf, path, q="nowhere") == []


def test_filters_of_one(shelf):
    assert shown(shelf, LOGS[0], level="error") == shelf.ids[LOGS[0]][2::4][::-1]
    assert shown(shelf, LOGS[1], source="s1") == shelf.ids[LOGS[1]][1::3][::-1]
    assert shown(shelf, LOGS[1], q="answer 17") == [shelf.ids[LOGS[1]][17]]
    assert faults(shelf.get("/api/llm-logs?level=info")) == {"level"}
    assert faults(shelf.get("/api/event-logs?source=x")) == {"source"}


@pytest.mark.parametrize("path", LOGS)
def test_a_wrong_query_names_each_parameter(shelf, path):
    got = shelf.get(f"{path}s?limit=201&cursor=x&since=x&until=x&format=xml&q=" + "x" * 257)
    assert faults(got) == {"limit", "cursor", "since", "until", "format", "q"}
    for limit in ("0", "-1", "1e3", "NaN", "", "2147483648", "18446744073709551616"):
        assert faults(shelf.get(f"{path}s?limit={limit}")) == {"limit"}
    for cursor in ("MQ", "MS5h", "LTEuMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAw"):
        assert faults(shelf.get(f"{path}s?cursor={cursor}")) == {"cursor"}
    assert faults(shelf.get("/api/event-logs?level=fatal")) == {"level"}


@pytest.mark.parametrize("path", LOGS)
@pytest.mark.parametrize("limit", ["", "&limit=12"])
def test_csv_is_safe_and_complete(shelf, path, limit):
    got = shelf.get(f"{path}s?format=csv{limit}")
    assert got.status == 200
    assert got.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert got.headers["Content-Disposition"] == f'attachment; filename="{path[5:]}s.csv"'
    assert ("Link" in got.headers) == bool(limit)
    assert got.body.count(b"\r\n") == 13 if limit else 31
    rows = list(csv.DictReader(io.StringIO(got.text, newline="")))
    plain = shelf.get(f"{path}s?format=json{limit}").json()
    assert len(rows) == len(plain)
    for row, one in zip(rows, plain):
        assert list(row) == list(one)
        metadata = row.pop("metadata")
        assert (json.loads(metadata) if metadata else None) == one.pop("metadata")
        for name, text in row.items():
            want = one[name]
            assert text == ("'" + want if want.startswith("=") else want)


@pytest.mark.parametrize("path", LOGS)
@pytest.mark.parametrize("limit", ["", "&limit=12"])
def test_ndjson_is_a_line_a_record(shelf, path, limit):
    got = shelf.get(f"{path}s?format=ndjson{limit}")
    assert got.headers["Content-Type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in got.text.splitlines()]
    assert lines == shelf.get(f"{path}s?format=json{limit}").json()
    some = shelf.get(f"{path}s?format=ndjson&user_id=u2").text.splitlines()
    assert [json.loads(line)["id"] for line in some] == shelf.ids[path][2::4][::-1]


def test_metadata_of_many_lines_is_one_line_of_ndjson(owner):
    got = owner.post("/api/event-log", body='{"user_id":"lines","message":"m","metadata":{"a":\r\n1}}',
                     headers={"Content-Type": "application/json"})
    assert got.status == 201
    text = owner.get("/api/event-logs?format=ndjson&user_id=lines").text
    assert text.count("\n") == 1 and json.loads(text)["metadata"] == {"a": 1}


def test_an_export_of_nothing_is_a_header_or_empty(instance):
    user = instance.user()
    assert user.get("/api/event-logs?format=csv").text == (
        "id,user_id,message,level,timestamp,metadata\r\n")
    assert user.get("/api/llm-logs?format=csv").text == (
        "id,user_id,source,query,response,timestamp,metadata\r\n")
    assert user.get("/api/event-logs?format=ndjson").body == b""
    assert user.get("/api/event-logs").json() == []


def test_an_export_has_every_row_once_while_rows_come(instance):
    user = instance.user()
    for i in range(12):
        logs = [event(user_id=f"{i}-{n}", message="m" * 50) for n in range(1000)]
        assert user.post("/api/event-log/batch", {"logs": logs}).status == 201
    done = threading.Event()

    def write():
        while not done.is_set():
            keep(user, "/api/event-log", user_id="new")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        got = user.get("/api/event-logs?format=ndjson")
    finally:
        done.set()
        writer.join()
    names = [json.loads(line)["user_id"] for line in got.text.splitlines()]
    names = [name for name in names if name != "new"]
    assert len(names) == 12000 and len(set(names)) == 12000


@pytest.mark.slow
def test_an_export_takes_little_memory_and_a_slow_client_waits(instance):
    user = instance.user()
    instance.psql(
        "insert into minuted.events (user_id, id, subject, level, message, logged_at)"
        f" select '{user.id}', ('01900000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid,"
        " 'u' || i % 100, 'info', repeat('m', 200), to_timestamp(1700000000 + i)"
        " from generate_series(1, 200000) i")

    def memory():
        return sum(int(line.split()[1]) for pid in instance.workers()
                   for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))

    user.get("/api/event-logs?format=csv&limit=1")
    before, most, lines = memory(), 0, 0
    with user.stream("/api/event-logs?format=ndjson", method="GET") as stream:
        while piece := stream.answer.read(1 << 20):
            lines += piece.count(b"\n")
            most = max(most, memory())
    assert lines == 200000
    assert most - before < 8 * 1024, f"{most - before} KB more"


@pytest.mark.parametrize("query", ["", "?limit=5", "?format=csv", "?format=ndjson"])
def test_head_has_the_headers_only(shelf, query):
    got = shelf.request("HEAD", "/api/event-logs" + query)
    assert got.status == 200 and got.body == b""
    full = shelf.get("/api/event-logs" + query)
    assert got.headers["Content-Type"] == full.headers["Content-Type"]


# One.


@pytest.mark.parametrize("path", LOGS)
def test_a_log_of_another_user_is_not_there(instance, owner, path):
    at = keep(owner, path)
    other = instance.user()
    missing = other.get(f"{path}s/{uuid.uuid4()}").json()
    for name in (at, "nonsense", at + "0"):
        got = other.get(f"{path}s/{name}")
        assert got.status == 404
        assert {**got.json(), "request_id": 0} == {**missing, "request_id": 0}
        assert other.delete(f"{path}s/{name}").status == 404
    assert owner.get(f"{path}s/{at}").status == 200
    assert at not in {one["id"] for one in other.get(path + "s").json()}


@pytest.mark.parametrize("path", LOGS)
def test_delete_takes_the_texts_along_and_counts_less(instance, path):
    user = instance.user()
    kept, gone = keep(user, path), keep(user, path)
    assert user.delete(f"{path}s/{gone}").status == 204
    assert user.delete(f"{path}s/{gone}").status == 404
    assert user.get(f"{path}s/{gone}").status == 404
    assert [one["id"] for one in user.get(path + "s").json()] == [kept]
    assert instance.psql(f"select from minuted.call_texts where id = '{gone}'") == []
    stats = user.get("/api/user/stats").json()
    assert stats["total_event_logs"] + stats["total_llm_logs"] == 1


@pytest.mark.parametrize("method, path, allow", [
    ("GET", "/api/event-log", "POST"), ("POST", "/api/event-logs", "GET, HEAD"),
    ("PUT", "/api/llm-logs/" + str(uuid.uuid4()), "GET, HEAD, DELETE"),
    ("DELETE", "/api/user/stats", "GET, HEAD"), ("GET", "/api/llm-log/batch", "POST")])
def test_other_methods_are_405(owner, method, path, allow):
    got = owner.request(method, path)
    assert got.status == 405
    assert {word.strip() for word in allow.split(",")} <= {
        word.strip() for word in got.headers["Allow"].split(",")}


@pytest.mark.parametrize("path", ["/api/event-logs", "/api/llm-logs", "/api/user/stats",
                                  f"/api/event-logs/{uuid.uuid4()}"])
def test_reading_takes_a_credential(instance, path):
    assert instance.http.get(path).status == 401
    assert instance.http.get(path, headers={"Authorization": "Bearer x.y.z"}).status == 401


# Statistics.


def test_stats_count_logs_calls_and_keys(instance):
    user = with_key(instance)
    empty = user.get("/api/user/stats").json()
    assert empty == {
        "total_event_logs": 0, "total_llm_logs": 0,
        "logs_by_level": {"info": 0, "warning": 0, "error": 0, "debug": 0},
        "api_keys_count": 1,
        "calls": {"total": 0, "failed": 0, "prompt_tokens": 0, "completion_tokens": 0,
                  "cost": 0}}
    for level in ("info", "info", "warning", "error", "error", "error", "debug"):
        keep(user, "/api/event-log", level=level)
    keep(user, "/api/llm-log")
    user.chat("chunks=3", model="fake")
    user.chat("status=500", model="fake")
    for _ in range(2):  # as it comes, and folded into hours
        stats = user.get("/api/user/stats").json()
        assert stats["total_event_logs"] == 7 and stats["total_llm_logs"] == 1
        assert stats["logs_by_level"] == {"info": 2, "warning": 1, "error": 3, "debug": 1}
        assert stats["calls"]["total"] == 2 and stats["calls"]["failed"] == 1
        assert stats["calls"]["completion_tokens"] == 3
        assert stats["calls"]["prompt_tokens"] >= 11
        instance.psql("select minuted.usage_fold()")


# While PostgreSQL is away.


@pytest.fixture
def cluster():
    """A PostgreSQL of the test's own; asked for before make_instance, so that
    it goes last."""
    cluster = Postgres()
    yield cluster
    cluster.start()
    cluster.remove()


def test_records_go_to_the_spool_while_postgresql_is_away(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    user = with_key(instance)
    for _ in range(20):  # until each worker knows the key
        instance.http.post("/api/event-log", event(api_key=user.key))
    unused = new_key(instance, user)["key"]
    cluster.stop("immediate")
    got = wait_until(lambda: (g := instance.http.post(
        "/api/event-log", event(message="spooled", api_key=user.key))).status == 201 and g)
    assert got.headers["X-Durable"] == "spool"
    at = got.json()["id"]
    got = instance.http.post("/api/event-log", event(api_key=unused))
    assert got.status == 503 and got.headers["Retry-After"]
    got = user.get("/api/event-logs")
    assert got.status == 503 and got.headers["Retry-After"]
    cluster.start()
    wait_until(lambda: user.get("/api/event-logs/" + at).status == 200, 20)
    assert user.get("/api/event-logs/" + at).json()["message"] == "spooled"
