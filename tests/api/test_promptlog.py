"""test_promptlog.py - /proxy-api, its dashboard and its metric."""

import time
import urllib.parse
import uuid

import pytest

from client import Client
from instance import wait_until

RECORD = {"Created_At", "Status", "Request", "Model", "Total_Tokens", "Input_Tokens",
          "Output_Tokens", "Response", "User", "Environment"}
PAGES = ["/proxy-api/dashboard", "/proxy-api/metric"]


def ask(user, prompt="chunks=3", name="Ann", environment="production", model="fake"):
    return user.post("/proxy-api", {"prompt": prompt, "metadata": {
        "user": name, "environment": environment, "model": model}})


def dashboard(user, path=PAGES[0], **query):
    names = {"Model", "Status", "User", "Environment"}
    pairs = {(f"filters[{k}]" if k in names else k): v for k, v in query.items()}
    got = user.get(path + "?" + urllib.parse.urlencode(pairs))
    assert got.status == 200, got
    return got.json()["data"] if path == PAGES[0] else got.json()


def faults(got):
    assert got.status == 400, got
    return {fault["field"]: fault["message"] for fault in got.json()["errors"]}


def test_a_prompt_is_answered_and_recorded(instance, user, provider):
    mark = uuid.uuid4().hex
    before = time.time() * 1000
    got = ask(user, f"chunks=4 tag={mark}", "Ann", "testing")
    assert got.status == 201, got
    assert got.json() == {"data": "word0 word1 word2 word3 "}
    sent = provider.seen(mark)[0]["body"]
    assert sent["messages"] == [{"role": "user", "content": f"chunks=4 tag={mark}"}]
    assert sent["model"] == "fake"
    record, = dashboard(user)
    assert set(record) == RECORD
    at = record.pop("Created_At")
    assert isinstance(at, int) and before - 1000 < at < time.time() * 1000 + 1000
    assert record == {
        "Status": "successful", "Request": f"chunks=4 tag={mark}", "Model": "fake",
        "Total_Tokens": 15, "Input_Tokens": 11, "Output_Tokens": 4,
        "Response": "word0 word1 word2 word3 ", "User": "Ann", "Environment": "testing"}
    call = user.call(got)
    assert call["kind"] == "prompt" and call["status"] == "completed"
    assert call["user"] == "Ann" and call["environment"] == "testing"
    assert at % 1000 == int(call["started_at"][-4:-1])
    assert call["metadata"] == {"user": "Ann", "environment": "testing", "model": "fake"}


@pytest.mark.parametrize("plan", ["status=500", "status=429", "cut=0", "status=400"])
def test_a_provider_that_fails_is_an_empty_201_and_a_failed_record(user, plan):
    got = ask(user, plan)
    assert got.status == 201, got
    assert got.json() == {"data": ""}
    record, = dashboard(user)
    assert record["Status"] == "failed" and record["Response"] == ""
    assert record["Request"] == plan and record["User"] == "Ann"
    assert user.call(got)["error"]


def test_the_prompt_may_be_anything(user):
    prompt = "é \U0001f600 \"quoted\" \\ \n\t end"
    got = ask(user, prompt, model="echo")
    assert got.status == 201 and "quoted" in got.json()["data"]
    assert dashboard(user)[0]["Request"] == prompt


def test_every_wrong_field_is_named_at_once(user):
    def post(**body):
        return set(faults(user.post("/proxy-api", body)))

    assert post() == {"prompt", "metadata"}
    assert post(prompt="", metadata=7) == {"prompt", "metadata"}
    all_three = {"metadata.user", "metadata.environment", "metadata.model"}
    assert post(prompt=1, metadata={}) == {"prompt"} | all_three
    assert post(prompt="x", metadata={
        "user": [], "environment": "Production", "model": None}) == all_three
    assert post(prompt="x", metadata={
        "user": "u" * 201, "environment": "staging", "model": ""}) == all_three
    assert user.post("/proxy-api", body="x", headers={
        "Content-Type": "text/plain"}).status == 415
    assert dashboard(user) == []


def test_a_model_that_nobody_has_is_a_wrong_field(make_instance):
    instance = make_instance(env=dict.fromkeys(
        ["OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODELS"]))
    wrong = faults(ask(instance.user(), name="", model="nobody"))
    assert set(wrong) == {"metadata.user", "metadata.model"}
    assert "echo" in wrong["metadata.model"]


@pytest.fixture(scope="module")
def reader(instance):
    """A user with calls of this family and of another, oldest first."""
    user = instance.user()
    for prompt, name, environment, model in (
            ("one chunks=1", "Ann", "production", "fake"),
            ("two chunks=2", "ann", "development", "fake-2"),
            ("status=500", "Bob", "testing", "fake"),
            ("four chunks=4", "Bob", "production", "fake-2")):
        assert ask(user, prompt, name, environment, model).status == 201
    assert user.chat("five chunks=5", user="Cy").status == 200
    return user


def requests(records):
    return [record["Request"] for record in records]


def test_the_calls_of_every_family_are_there_newest_first(instance, reader):
    records = dashboard(reader)
    assert len(records) == 5
    assert "five chunks=5" in records[0]["Request"]
    assert records[0]["User"] == "Cy" and records[0]["Environment"] == ""
    assert requests(records[1:]) == [
        "four chunks=4", "status=500", "two chunks=2", "one chunks=1"]
    calls = reader.get("/v1/calls").json()["data"]
    assert [c["usage"]["completion_tokens"] or 0 for c in calls] == [
        r["Output_Tokens"] for r in records]
    stats = reader.get("/api/user/stats").json()["calls"]
    assert stats["total"] == 5 and stats["failed"] == 1
    metric = dashboard(reader, PAGES[1])
    assert metric["Total_Input_Tokens"] == stats["prompt_tokens"]
    assert metric["Total_Output_Tokens"] == stats["completion_tokens"] == 12
    reader.post("/api/llm-log", {"user_id": "x", "source": "s"})
    assert dashboard(reader) == records, "logs of calls made elsewhere are no calls"


def test_what_failed_is_the_same_on_the_dashboard_and_in_the_statistics(instance, provider):
    user = instance.user()
    for plan in ("chunks=1", "status=500", "cut=0"):
        ask(user, plan)
    mark = uuid.uuid4().hex
    stream = user.chat_stream(f"endless=1 delay=0.02 tag={mark}")
    next(stream.events())
    stream.close()
    wait_until(lambda: provider.seen(mark)[0]["gone"])
    wait_until(lambda: user.call(stream)["status"] == "cancelled")
    assert len(dashboard(user, Status="failed")) == 3
    stats = user.get("/api/user/stats").json()["calls"]
    assert stats["total"] == 4 and stats["failed"] == 3
    assert instance.psql("select sum(failed) from admin.spend"
                         f" where username = '{user.email.split('@')[0]}'") == [["3"]]


FILTERS = [
    ({"User": "ANN"}, [1, 0]), ({"User": "Bob"}, [3, 2]), ({"User": "nobody"}, []),
    ({"Environment": "Production"}, [3, 0]), ({"Environment": "TESTING"}, [2]),
    ({"Status": "failed"}, [2]), ({"Status": "Successful"}, [4, 3, 1, 0]),
    ({"Model": "fake-2"}, [3, 1]), ({"Model": "FAKE"}, [4, 2, 0]), ({"Model": "none"}, []),
    ({"Model": "fake", "Status": "successful", "User": "ann", "Environment": "production"}, [0]),
    ({"Model": "fake-2", "Status": "successful"}, [3, 1]),
    ({"Status": ""}, [4, 3, 2, 1, 0]), ({"timePeriod": "last5minutes"}, [4, 3, 2, 1, 0]),
    ({"timePeriod": "last30days", "Status": "successful"}, [4, 3, 1, 0]),
    ({"timePeriod": "last1hours", "Model": "fake", "Status": "failed"}, [2]),
]


@pytest.mark.parametrize("query, want", FILTERS)
@pytest.mark.parametrize("path", PAGES)
def test_filters(reader, query, want, path):
    marks = ["one", "two", "status=500", "four", "five"]
    got = dashboard(reader, path, **query)
    records = got if path == PAGES[0] else got["data"]["data"]
    assert [next(i for i, m in enumerate(marks) if m in r["Request"])
            for r in records] == want
    if path == PAGES[1]:
        assert set(got) == {"Total_Input_Tokens", "Total_Output_Tokens", "data"}
        assert got["Total_Input_Tokens"] == sum(r["Input_Tokens"] for r in records)
        assert got["Total_Output_Tokens"] == sum(r["Output_Tokens"] for r in records)


def test_names_of_filters_take_any_case(reader):
    odd = Client(reader.port, reader.token, check=False)
    for name in ("filters[status]", "FILTERS[STATUS]", "filters%5BStatus%5D"):
        got = odd.get(f"/proxy-api/dashboard?{name}=failed")
        assert requests(got.json()["data"]) == ["status=500"]


@pytest.mark.parametrize("path", PAGES)
def test_unknown_filters_and_values_are_400(reader, path):
    wrong = faults(reader.get(
        path + "?filters[Status]=done&filters[Environment]=staging&filters[Nobody]=1"
        "&filters=x&filters[Model]=a&filters[model]=b&timePeriod=last2days&limit=0&cursor=x"))
    assert set(wrong) == {"filters[Status]", "filters[Environment]", "filters[Nobody]", "filters",
                          "filters[Model]", "timePeriod", "limit", "cursor"}
    assert "successful or failed" in wrong["filters[Status]"]


@pytest.mark.parametrize("words, seconds", [
    ("last5minutes", 300), ("last30minutes", 1800), ("last1hours", 3600),
    ("last6hours", 21600), ("last1days", 86400), ("last7days", 604800),
    ("last30days", 2592000)])
def test_periods(instance, words, seconds):
    user = instance.user()
    for ago in (seconds - 60, seconds + 60):
        add_call(instance, user, f"now() - interval '{ago} s'", tokens=1 if ago < seconds else 100)
    assert [r["Input_Tokens"] for r in dashboard(user, timePeriod=words)] == [1]
    metric = dashboard(user, PAGES[1], timePeriod=words)
    assert metric["Total_Input_Tokens"] == 1 and metric["Total_Output_Tokens"] == 2
    for fold in (False, True):
        if fold:
            instance.psql("select minuted.usage_fold()")
        metric = dashboard(user, PAGES[1])
        assert metric["Total_Input_Tokens"] == 101
        assert dashboard(user, PAGES[1], Status="successful")["Total_Input_Tokens"] == 101
        assert dashboard(user, PAGES[1], Status="failed")["Total_Input_Tokens"] == 0
        assert dashboard(user, PAGES[1], Model="m")["Total_Input_Tokens"] == 101
        assert dashboard(user, PAGES[1], Model="other")["Total_Input_Tokens"] == 0


def add_call(instance, user, at, tokens=1, status="completed"):
    """As the journal writes it."""
    error = "null" if status == "completed" else "'upstream_error'"
    instance.psql(
        f"with at (t) as (values ({at})), made as (insert into minuted.calls (user_id, id, kind,"
        " provider, model, status, error, prompt_tokens, completion_tokens, started_at)"
        f" select '{user.id}', overlay(minuted.uuid_floor(t)::text placing '7' from 15)::uuid,"
        f" 'prompt', 'p', 'm', '{status}', {error}, {tokens}, {2 * tokens}, t from at)"
        " insert into minuted.usage_deltas (user_id, hour, key_id, kind, provider, model, calls,"
        " failed, prompt_tokens, completion_tokens, uncompleted_prompt_tokens)"
        f" select '{user.id}', date_trunc('hour', t, 'UTC'), '{uuid.UUID(int=0)}', 'prompt', 'p',"
        f" 'm', 1, {int(status != 'completed')}, {tokens}, {2 * tokens},"
        f" {0 if status == 'completed' else tokens} from at")


def test_totals_cover_every_record_and_pages_go_on(instance, make_instance):
    small = make_instance(env={"DASHBOARD_MAX": 3})
    user = small.user()
    for i in range(8):
        add_call(small, user, f"now() - interval '{i + 1} hours'", 10 ** (i % 3),
                 "failed" if i == 4 else "completed")
    seen, path = [], "/proxy-api/metric"
    while path:
        got = user.get(path)
        page = got.json()
        assert page["Total_Input_Tokens"] == 233
        assert len(page["data"]["data"]) <= 3
        seen += [r["Created_At"] for r in page["data"]["data"]]
        link = got.headers["Link"]
        path = link and "/proxy-api/metric?" + link.split(">")[0].split("?")[1]
    assert len(set(seen)) == 8 and seen == sorted(seen, reverse=True)
    got = user.get("/proxy-api/dashboard?limit=2")
    assert len(got.json()["data"]) == 2 and "limit=2" in got.headers["Link"]
    assert dashboard(user, PAGES[1], Status="successful")["Total_Input_Tokens"] == 233 - 10
    assert dashboard(user, PAGES[1], Status="failed")["Total_Input_Tokens"] == 10


def test_tokens_of_a_call_that_was_left_count_as_failed(instance):
    user = instance.user()
    with user.chat_stream("chunks=50 delay=0.1") as stream:
        next(stream.events())
        at = stream.headers["X-Call-Id"]
    call = wait_until(lambda: (c := user.get("/v1/calls/" + at).json()).get("status") == "cancelled" and c)
    spent = call["usage"]["prompt_tokens"]
    assert spent > 0 and ask(user).status == 201
    for _ in range(2):  # as it comes, and folded into hours
        assert dashboard(user, PAGES[1], Status="failed")["Total_Input_Tokens"] == spent
        assert dashboard(user, PAGES[1], Status="successful")["Total_Input_Tokens"] == 11
        assert dashboard(user, PAGES[1])["Total_Input_Tokens"] == spent + 11
        instance.psql("update minuted.usage_deltas set hour = hour - interval '2 hours'"
                      f" where user_id = '{user.id}'")
        instance.psql("update minuted.calls set started_at = started_at - interval '2 hours',"
                      " id = overlay(minuted.uuid_floor(started_at - interval '2 hours')::text"
                      " placing right(id::text, 20) from 17)::uuid"
                      f" where user_id = '{user.id}'")
        add_call(instance, user, "now() - interval '9 hours'", 0)
        instance.psql("select minuted.usage_fold()")


def test_what_retention_removed_is_not_in_the_totals(instance):
    user = instance.user()
    add_call(instance, user, "now() - interval '40 days'", 1000)
    add_call(instance, user, "now() - interval '1 day'", 1)
    assert dashboard(user, PAGES[1])["Total_Input_Tokens"] == 1001
    instance.psql(f"delete from minuted.calls where user_id = '{user.id}' and prompt_tokens = 1000")
    assert dashboard(user, PAGES[1])["Total_Input_Tokens"] == 1
    instance.psql(f"delete from minuted.calls where user_id = '{user.id}'")
    assert dashboard(user, PAGES[1])["Total_Input_Tokens"] == 0


def test_a_running_call_is_pending(user):
    with user.chat_stream("chunks=8 delay=0.3") as stream:
        record = wait_until(lambda: next(iter(dashboard(user)), None))
        assert record["Status"] == "Pending" and record["Response"] == ""
        assert dashboard(user, Status="failed") == dashboard(user, Status="successful") == []
        stream.texts()
    wait_until(lambda: dashboard(user)[0]["Status"] == "successful")


@pytest.mark.parametrize("path", PAGES)
def test_others_see_nothing_and_nobody_is_401(instance, reader, path):
    other = dashboard(instance.user(), path)
    assert (other if path == PAGES[0] else other["data"]["data"]) == []
    assert instance.http.get(path).status == 401
    got = instance.http.post("/proxy-api", {"prompt": "x", "metadata": {}})
    assert got.status == 401


@pytest.mark.parametrize("path", PAGES)
def test_head_and_other_methods(reader, path):
    got = reader.request("HEAD", path)
    assert got.status == 200 and got.body == b""
    got = reader.post(path, {})
    assert got.status == 405 and "GET" in got.headers["Allow"]
    got = reader.get("/proxy-api")
    assert got.status == 405 and "POST" in got.headers["Allow"]
