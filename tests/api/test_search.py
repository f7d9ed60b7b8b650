"""test_search.py - lists with filters and texts: what they are read by, and
that they find what is there whatever its id and its age."""

import re
import time
import uuid

import pytest

from instance import TOP, Instance, wait_until

ROWS = 20000  # of each kind: enough for an index to pay

LOAD = """
insert into minuted.calls (user_id, id, kind, model, status, end_user, environment,
    source, error, started_at)
select '{user}', minuted.uuid_floor(at), case n % 2 when 0 then 'ingest' else 'chat' end,
    case n % 2 when 1 then 'm' || n % 7 end, case n % 1000 when 1 then 'failed'
        when 3 then 'interrupted' when 5 then 'cancelled' when 7 then 'running'
        else 'completed' end, 'u' || n % 1000,
    case when n % 2 = 1 then case n % 1000 when 1 then 'testing' else 'production' end end,
    case n % 2 when 0 then case n % 1000 when 0 then 'rare' else 'web' end end,
    case n % 1000 when 1 then 'upstream_failed' end, at
from (select n, now() - interval '1 hour' - n * interval '10 ms'
    from generate_series(1, {rows}) n) rows (n, at);
insert into minuted.call_texts (user_id, id, request, response)
select user_id, id, 'the request of ' || id, 'the response' from minuted.calls
where user_id = '{user}';
insert into minuted.events (user_id, id, subject, level, message, logged_at)
select '{user}', minuted.uuid_floor(at), 'u' || n % 1000,
    case n % 1000 when 1 then 'error' when 2 then 'debug' else 'info' end,
    'entry number ' || n, at
from (select n, now() - interval '1 hour' - n * interval '10 ms'
    from generate_series(1, {rows}) n) rows (n, at);
analyze minuted.calls; analyze minuted.call_texts; analyze minuted.events;
"""

FORTY_YEARS = 40 * 365 * 86400


@pytest.fixture(scope="module")
def full(postgres, provider):
    """An instance whose .owner has many rows, in pages."""
    instance = Instance(postgres, provider=provider).start()
    yield fill(instance)
    instance.stop()


def fill(instance):
    owner = instance.owner = instance.user()
    instance.psql(LOAD.format(user=owner.id, rows=ROWS))
    instance.stop_minuted()
    instance.start_minuted()
    instance.wait_healthy()
    wait_until(lambda: instance.psql(
        f"select count(*) from minuted.search_pages where user_id = '{owner.id}'"
    ) == [[str(2 * ROWS // 1000)]], 30)
    made = owner.post("/api/apikeys", {"name": "ingest"})
    instance.secrets.append(made.json()["key"])
    return instance


# What the statements are planned to read.


def indexes(instance, query, *args):
    """The names of the indexes, as their partitioned tables have them, that a
    statement of sql/queries uses with these parameters."""
    text = (TOP / "sql/queries" / query).read_text()
    values = ["null" if arg is None else f"'{arg}'" for arg in args]
    text = re.sub(r"\$(\d+)", lambda found: (
        values[int(found[1]) - 1] if int(found[1]) <= len(values) else "null"), text)
    plan = "\n".join(row[0] for row in instance.psql("explain (format json) " + text))
    used = set(re.findall(r'"Index Name": "([^"]+)"', plan))
    assert used, plan
    names = ", ".join(f"'{name}'" for name in used)
    return {row[0] for row in instance.psql(
        "select distinct p.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        f" join pg_class p on p.oid = i.inhparent where c.relname in ({names})")}


@pytest.mark.parametrize("query, args, index", [
    ("calls/list.sql", [None, "m3"], "calls_by_model"),
    ("calls/list.sql", [None, None, "failed"], "calls_by_status"),
    ("calls/list.sql", [None, None, "interrupted"], "calls_by_status"),
    ("calls/list.sql", [None, None, "cancelled"], "calls_by_status"),
    ("calls/list.sql", [None, None, "running"], "calls_running"),
    ("calls/rows.sql", [None, None, "interrupted"], "calls_by_status"),
    ("promptlog/records.sql", [None, None, "m3"], "calls_by_model"),
    ("promptlog/records.sql", [None, None, None, "failed"], "calls_with_error"),
    ("promptlog/records.sql", [None, None, None, None, "U77"], "calls_by_end_user"),
    ("promptlog/records.sql", [None, None, None, None, None, "testing"],
     "calls_by_environment"),
    ("logger/llm_logs.sql", [None, None, "rare"], "calls_ingested_by_source"),
    ("logger/llm_logs.sql", [None, None, None, "u78"], "calls_ingested_by_end_user"),
    ("logger/llm_logs.sql", [], "calls_ingested_by_time"),
    ("logger/events.sql", [None, None, "error"], "events_by_level"),
    ("logger/events.sql", [None, None, "debug"], "events_by_level"),
    ("logger/events.sql", [None, None, None, "u77"], "events_by_subject"),
    ("logger/events.sql", [], "events_by_time"),
])
def test_a_filter_is_read_by_its_index(full, query, args, index):
    assert index in indexes(full, query, full.owner.id, 51, *args)


def test_few_calls_among_many_ingested_logs_are_read_by_their_index(full):
    user = full.user()
    full.psql(LOAD.format(user=user.id, rows=ROWS).replace("n % 2", "n % 5000 / 4999"))
    used = indexes(full, "calls/list.sql", user.id, 51)
    assert used & {"calls_made", "calls_by_status"}, used
    used = indexes(full, "promptlog/totals.sql", user.id)
    assert "calls_made" in used


# Texts.


@pytest.mark.parametrize("path, word, count", [
    ("/api/event-logs", "number 12345", 1),
    ("/api/event-logs", "NUMBER 1234", 11),
    ("/api/event-logs", "entry", 50),
    ("/api/event-logs", "zeppelin", 0),
    ("/api/event-logs", "zz", 0),
    ("/api/event-logs", "number 12%", 0),
    ("/api/llm-logs", "The Request", 50),
    ("/api/llm-logs", "zeppelin", 0),
    ("/v1/calls", "the response", 50),
    ("/v1/calls", "zeppelin", 0),
])
def test_a_text_is_found(full, path, word, count):
    got = full.owner.get(path + "?limit=50&q=" + word.replace(" ", "+").replace("%", "%25"))
    assert got.status == 200, got
    found = got.json()
    assert len(found["data"] if path == "/v1/calls" else found) == count


@pytest.mark.parametrize("more, count", [
    ("level=info", 11), ("level=error", 0), ("user_id=u345", 1), ("user_id=u1", 0),
    ("until=2001-01-01", 0), ("since=2001-01-01", 11), ("since=2099-01-01", 0),
])
def test_a_text_is_found_together_with_other_filters(full, more, count):
    got = full.owner.get("/api/event-logs?limit=50&q=number+1234&" + more)
    assert got.status == 200, got
    assert len(got.json()) == count


@pytest.mark.parametrize("more", ["", "&q=the+request", "&format=csv"])
@pytest.mark.parametrize("since", ["1969-12-31", "1970-01-01"])
def test_all_calls_are_since_the_first_day_of_clocks(full, since, more):
    got = full.owner.get(f"/v1/calls?limit=1&since={since}{more}")
    assert got.status == 200, got
    assert len(got.text.splitlines()) == 2 if "csv" in more else len(got.json()["data"]) == 1


def test_pages_of_what_was_found_have_no_gap(full):
    seen, path = [], "/api/event-logs?limit=4&q=number+1234"
    while path:
        got = full.owner.get(path)
        seen += [row["message"] for row in got.json()]
        link = re.search(r'<([^>]+)>; rel="next"', got.headers.get("Link", ""))
        path = link and re.sub(r"^https?://[^/]+", "", link[1])
    assert seen == ["entry number 1234"] + [f"entry number {n}" for n in range(12340, 12350)]


def test_an_export_has_what_was_found(full):
    got = full.owner.get("/api/event-logs?format=ndjson&q=number+123")
    assert len(got.text.splitlines()) == 1 + 10 + 100


def with_id(ms, version="7"):
    text = uuid.uuid4().hex
    return str(uuid.UUID(f"{ms:012x}{version}{text[13:]}"))


@pytest.mark.parametrize("path", ["/api/event-log", "/api/llm-log"])
@pytest.mark.parametrize("at", ["now", "an hour ago", "forty years ago", "in forty years",
                                "version 4", "lowest", "highest"])
def test_a_log_with_any_id_is_in_the_list_and_found_at_once(full, path, at):
    now = int(time.time() * 1000)
    word = "w" + uuid.uuid4().hex
    own = {
        "now": with_id(now),
        "an hour ago": with_id(now - 3700000),
        "forty years ago": with_id(now - FORTY_YEARS * 1000),
        "in forty years": with_id(now + FORTY_YEARS * 1000),
        "version 4": str(uuid.uuid4()),
        "lowest": f"00000000-0000-0000-0000-{uuid.uuid4().hex[:12]}",
        "highest": f"ffffffff-ffff-ffff-ffff-{uuid.uuid4().hex[:12]}",
    }[at]
    body = {"id": own, "user_id": "x", "source": "any", "message": word, "query": word}
    for _ in range(2):
        assert full.owner.post(path, body).json()["id"] == own
    assert full.owner.get(f"{path}s/{own}").status == 200
    assert full.owner.get(f"{path}s?limit=1").json()[0]["id"] == own
    found = full.owner.get(f"{path}s?q={word}").json()
    assert [log["id"] for log in found] == [own]


# What ids that clients made do to the rest.


def test_totals_do_not_begin_with_a_log_whose_id_a_client_made(full):
    user = full.user()
    full.psql(
        "insert into minuted.usage_hourly (user_id, hour, key_id, kind, calls, prompt_tokens)"
        f" values ('{user.id}', '2001-02-03', '{uuid.UUID(int=0)}', 'chat', 1, 7000)")
    assert user.chat("one").status == 200
    user.post("/api/llm-log", {"id": str(uuid.UUID(int=5)), "user_id": "x", "source": "y"})
    wait_until(lambda: user.get("/proxy-api/metric").json()["data"]["data"][0]["Status"] == "successful")
    got = user.get("/proxy-api/metric").json()
    assert 0 < got["Total_Input_Tokens"] < 7000


def test_retention_goes_by_the_time_of_rows_with_ids_of_no_month(full):
    user = full.user()
    ids = {}
    for path in ("/api/event-log", "/api/llm-log"):
        for name, own, at in (
                ("low", f"00000000-0000-4000-8000-{uuid.uuid4().hex[:12]}", None),
                ("high", f"ffffffff-ffff-4fff-8fff-{uuid.uuid4().hex[:12]}", None),
                ("old", f"ffffffff-ffff-4fff-8fff-{uuid.uuid4().hex[:12]}", "2001-02-03T04:05:06Z")):
            body = {"id": own, "user_id": "x", "source": "s", "message": "m", "query": "q"}
            if at:
                body["timestamp"] = at
            assert user.post(path, body).status == 201
            ids[path, name] = own
    full.psql("select minuted.content_expire(90)")
    full.psql("select minuted.partitions_drop(90)")
    for (path, name), own in ids.items():
        got = user.get(f"{path}s/{own}")
        assert got.status == (404 if name == "old" else 200), (path, name)
        if got.status == 200 and path == "/api/llm-log":
            assert got.json()["query"] == "q"
