"""logs.py - statistics, lists, filters and exports over very many records.

The records are put in by SQL: calls of one user over 90 days, their texts and
their hourly counts, and event logs of the same user.  A key is one
application's: it has one environment and makes one kind of calls.
"""

import http.client
import os
import re
import statistics
import time
import urllib.parse

from stage import note, wait_until

CALLS = int(os.environ.get("BENCH_CALLS", 10000000))
EVENTS = int(os.environ.get("BENCH_EVENTS", 1000000))
DAYS = 90
HALVES = 2  # loaded at once

PARTITIONS_SQL = f"""
select minuted.partition_add(parent, date_trunc('month', now()) - make_interval(months => m))
from unnest(array['calls', 'call_texts', 'events']) parent, generate_series(0, {DAYS // 28 + 1}) m
"""

# The time of row n and an id of that time.
NUMBERED = f"""
    select n, at, (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0')
        || '7' || lpad(to_hex(n & 4095), 3, '0') || '8'
        || lpad(to_hex(n), 15, '0'))::uuid as id
    from (
        select n, '{{now}}'::timestamptz
            - interval '{DAYS} days' * ({{count}} - n) / {{count}} as at
        from generate_series({{first}}, {{last}}) n
    ) numbers
"""

CALLS_SQL = """
insert into minuted.calls (user_id, id, key_id, kind, provider, model, upstream_model,
    status, stream, prompt_tokens, completion_tokens, cost_pico, latency_us,
    first_token_us, http_status, error, end_user, environment, source, started_at, finished_at)
select '{user}', id, md5('key' || least(n % 10, 2))::uuid,
    case n % 10 when 0 then 'ingest' when 1 then 'prompt' else 'chat' end, 'openai',
    case when n % 1000000 = 500000 then 'model-rare' else 'model-' || (n * 7 + n / 13) % 8 end,
    'model', case
        when n % 100000 = 50001 then 'interrupted'
        when n % 50 = 3 then 'failed'
        when n % 100 = 7 then 'cancelled'
        else 'completed' end,
    n % 2 = 0, n % 900 + 20, n % 400 + 5, (n % 900 + 20) * 150000 + (n % 400 + 5) * 600000,
    n % 3000000 + 200000, n % 500000 + 100000, 200,
    case when n % 100000 = 50001 then 'worker_died'
        when n % 50 = 3 then 'upstream_failed' when n % 100 = 7 then 'client_left' end,
    case when n % 1000000 = 700000 then 'user-rare' else 'user-' || (n * 31 + n / 7) % 10000 end,
    case when n % 100000 = 50002 then 'testing' when n % 10 = 1 then 'development'
        else 'production' end,
    case when n % 10 = 0 then case when n % 1000000 = 600000 then 'rare' else 'web' end end,
    at, at + interval '1 second'
from ({numbered}) numbered
"""

TEXTS_SQL = """
insert into minuted.call_texts (user_id, id, request, response)
select '{user}', id, 'What is said of number ' || n || '?',
    'Of number ' || n || ' it is said that it comes after the one before.'
from ({numbered}) numbered
"""

EVENTS_SQL = """
insert into minuted.events (user_id, id, subject, level, message, metadata, logged_at)
select '{user}', id, case when n % 250000 = 9 then 'sensor-rare'
        else 'sensor-' || n % 1000 end,
    case when n % 100000 = 5 then 'error' when n % 20 = 1 then 'warning' else 'info' end,
    'reading ' || n || ' was taken' || case when n % 250000 = 77 then ', a zeppelin' else '' end,
    json_build_object('value', n % 977, 'unit', 'mm'), at
from ({numbered}) numbered
"""

COUNTS_SQL = """
insert into minuted.usage_hourly (user_id, hour, key_id, kind, provider, model, environment,
    calls, failed, prompt_tokens, completion_tokens, uncompleted_prompt_tokens,
    uncompleted_completion_tokens, cost_pico, latency_us, latency_counts)
select user_id, date_trunc('hour', started_at, 'UTC'), key_id, kind, provider, model,
    environment, count(*), count(*) filter (where status in ('failed', 'interrupted')),
    sum(prompt_tokens), sum(completion_tokens),
    coalesce(sum(prompt_tokens) filter (where status <> 'completed'), 0),
    coalesce(sum(completion_tokens) filter (where status <> 'completed'), 0),
    sum(cost_pico), sum(latency_us), array_fill(count(*) / 25, array[25])
from minuted.calls
where user_id = '{user}'
group by 1, 2, 3, 4, 5, 6, 7
"""

# What is measured: the slowest of each is shown, and its figure to reach in ms.
STATISTICS = (
    "/api/user/stats",
    "/proxy-api/metric?limit=1",
    "/proxy-api/metric?limit=1&timePeriod=last30days",
    "/proxy-api/metric?limit=1&timePeriod=last7days&filters[Status]=failed",
    "/proxy-api/metric?limit=1&filters[Model]=model-3&filters[Environment]=production",
    "/proxy-api/metric?limit=1&timePeriod=last1days&filters[User]=user-77",
)
# Filters that match many, and few or no rows.
NEWEST = {
    "frequent": (
        "/v1/calls?limit=50",
        "/v1/calls?limit=50&model=model-3",
        "/v1/calls?limit=50&status=completed",
        "/v1/calls?limit=50&status=failed",
        "/v1/calls?limit=50&status=cancelled",
        "/v1/calls?limit=50&until={month_ago}",
        "/v1/calls?limit=50&since={month_ago}",
        "/proxy-api/dashboard?limit=50",
        "/proxy-api/dashboard?limit=50&filters[Model]=model-3",
        "/proxy-api/dashboard?limit=50&timePeriod=last30days",
        "/proxy-api/dashboard?limit=50&filters[Status]=failed",
        "/proxy-api/dashboard?limit=50&filters[Status]=successful",
        "/proxy-api/dashboard?limit=50&filters[User]=user-77",
        "/proxy-api/dashboard?limit=50&filters[Environment]=development",
        "/api/llm-logs?limit=50",
        "/api/llm-logs?limit=50&source=web",
        "/api/llm-logs?limit=50&user_id=user-70",
        "/api/llm-logs?limit=50&until={month_ago}",
        "/api/llm-logs?limit=50&since={month_ago}",
        "/api/event-logs?limit=50",
        "/api/event-logs?limit=50&level=info",
        "/api/event-logs?limit=50&level=warning",
        "/api/event-logs?limit=50&user_id=sensor-7",
        "/api/event-logs?limit=50&until={month_ago}",
        "/api/event-logs?limit=50&since={month_ago}",
    ),
    "rare": (
        "/v1/calls?limit=50&model=model-rare",
        "/v1/calls?limit=50&model=none",
        "/v1/calls?limit=50&status=interrupted",
        "/v1/calls?limit=50&status=running",
        "/v1/calls?limit=50&until=2001-01-01",
        "/v1/calls?limit=50&since={tomorrow}",
        "/proxy-api/dashboard?limit=50&filters[Model]=model-rare",
        "/proxy-api/dashboard?limit=50&filters[Model]=none",
        "/proxy-api/dashboard?limit=50&timePeriod=last5minutes",
        "/proxy-api/dashboard?limit=50&filters[User]=user-rare",
        "/proxy-api/dashboard?limit=50&filters[User]=none",
        "/proxy-api/dashboard?limit=50&filters[Environment]=testing",
        "/api/llm-logs?limit=50&source=rare",
        "/api/llm-logs?limit=50&source=none",
        "/api/llm-logs?limit=50&user_id=user-rare",
        "/api/llm-logs?limit=50&user_id=none",
        "/api/llm-logs?limit=50&until=2001-01-01",
        "/api/llm-logs?limit=50&since={tomorrow}",
        "/api/event-logs?limit=50&level=error",
        "/api/event-logs?limit=50&level=debug",
        "/api/event-logs?limit=50&user_id=sensor-rare",
        "/api/event-logs?limit=50&user_id=none",
        "/api/event-logs?limit=50&until=2001-01-01",
        "/api/event-logs?limit=50&since={tomorrow}",
    ),
}
# Words that are in all texts, in few, and in none.
SEARCH = {
    f"{EVENTS:,} event messages": (
        "/api/event-logs?limit=50&q=taken",
        "/api/event-logs?limit=50&q=zeppelin",
        "/api/event-logs?limit=50&q=reading 123456",
        "/api/event-logs?limit=50&q=airship",
        "/api/event-logs?limit=50&level=info&q=zeppelin",
        "/api/event-logs?limit=50&level=error&q=taken",
    ),
    f"the texts of {CALLS // 10:,} ingested logs among {CALLS:,} calls": (
        "/api/llm-logs?limit=50&q=number",
        "/api/llm-logs?limit=50&q=zeppelin",
        "/api/llm-logs?limit=50&source=web&q=zeppelin",
    ),
    f"the texts of {CALLS:,} calls": (
        "/v1/calls?limit=50&q=number",
        "/v1/calls?limit=50&q=zeppelin",
        "/v1/calls?limit=50&model=model-3&q=zeppelin",
    ),
    f"two letters, which are in none of {EVENTS:,} event messages": (
        "/api/event-logs?limit=50&q=zz",
    ),
}
PAGED_SQL = """
select 1 from minuted.search_marks m where m.user_id = '{user}' and m.what = 'events'
    and not exists (select from minuted.events t where t.user_id = m.user_id
        and t.id > m.upto offset 1000)
union all
select 1 from minuted.search_marks m where m.user_id = '{user}' and m.what = 'texts'
    and not exists (select from minuted.call_texts t where t.user_id = m.user_id
        and t.id > m.upto offset 1000)
"""


def utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def statements(sql, count, user, now):
    """The same for each part of the rows."""
    bounds = [count * part // HALVES for part in range(HALVES + 1)]
    return [sql.format(user=user, numbered=NUMBERED.format(
        now=now, count=count, first=first + 1, last=last))
        for first, last in zip(bounds, bounds[1:])]


def load(stage):
    """How large the database is with it."""
    user, now = stage.user.id, utc(time.time() - 60)
    began = time.perf_counter()
    with stage.loading():
        stage.psql(PARTITIONS_SQL)
        for sql, count in ((CALLS_SQL, CALLS), (TEXTS_SQL, CALLS), (EVENTS_SQL, EVENTS)):
            stage.load(*statements(sql, count, user, now))
            note(f"loaded, {time.perf_counter() - began:.0f} s")
        stage.load(COUNTS_SQL.format(user=user))
        for table in ("calls", "call_texts", "events", "usage_hourly"):
            stage.psql(f"vacuum (analyze) minuted.{table}")
    note(f"loaded, {time.perf_counter() - began:.0f} s")
    return stage.psql("select pg_size_pretty(pg_database_size(current_database()))")[0][0]


def wait_for_pages(stage):
    """A minuted that starts looks for what is in no page of the search yet."""
    began = time.perf_counter()
    stage.instance.stop_minuted()
    stage.instance.start_minuted()
    stage.instance.wait_healthy()
    wait_until(lambda: len(stage.psql(PAGED_SQL.format(user=stage.user.id))) == 2,
               3600, every=2)
    stage.psql("vacuum (analyze) minuted.search_pages")
    return time.perf_counter() - began


def measure(stage, paths):
    """[(milliseconds, text of it, path)], the slowest first."""
    found = []
    for path in paths:
        path = path.format(month_ago=utc(time.time() - 30 * 86400),
                           tomorrow=utc(time.time() + 86400))
        status, ms = stage.times(urllib.parse.quote(path, safe="/?&=:[]"))
        text = f"{ms:.1f} ms" + ("" if status == 200 else f" ({status})")
        note(f"{text:>16}  {path}")
        found.append((ms, text, re.sub(r"limit=\d+&?", "", path).rstrip("?")))
    return sorted(found, reverse=True)


def show(report, what, found, limit_ms):
    """The slowest, and each of the others that is beyond the limit."""
    middle = statistics.median(ms for ms, _, _ in found)
    _, text, path = found[0]
    report.row(f"{what}, the slowest of {len(found)}: `{path}`", text,
               f"median {middle:.1f} ms", f"{limit_ms} ms")
    for ms, text, path in found[1:]:
        if ms > limit_ms:
            report.row(f"{what}, beyond too: `{path}`", text, goal=f"{limit_ms} ms")


def export(stage):
    """(rows, seconds, memory before, highest memory while) of a CSV export."""
    before = highest = stage.memory_mb()
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=60)
    began = looked = time.perf_counter()
    connection.request("GET", "/api/event-logs?format=csv",
                       headers={"Authorization": f"Bearer {stage.user.token}"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    lines = 0
    while data := answer.read(1 << 20):
        lines += data.count(b"\n")
        if time.perf_counter() - looked > 0.1:
            looked = time.perf_counter()
            highest = max(highest, stage.memory_mb())
    connection.close()
    return lines - 1, time.perf_counter() - began, before, max(highest, stage.memory_mb())


def run(stage):
    report = stage.report
    size = load(stage)
    report.row(f"loaded for what follows: {CALLS:,} calls of one user in {DAYS} days,"
               f" with texts and {stage.count('minuted.usage_hourly'):,} hourly counts;"
               f" {EVENTS:,} events", size)
    show(report, "statistics", measure(stage, STATISTICS), 50)
    for name, paths in NEWEST.items():
        show(report, f"newest 50, {name} filters", measure(stage, paths), 20)
    seconds = wait_for_pages(stage)
    pages, pages_size = stage.psql(
        "select count(*), pg_size_pretty(pg_total_relation_size('minuted.search_pages'))"
        " from minuted.search_pages")[0]
    report.row(f"search: pages of all of it, {int(pages):,}, made behind the writers",
               pages_size, f"in {seconds:.0f} s")
    for what, paths in SEARCH.items():
        show(report, f"search in {what}", measure(stage, paths), 100)
    rows, seconds, before, highest = export(stage)
    assert rows == EVENTS, (rows, EVENTS)
    report.row(f"export of {rows:,} events as CSV", f"{rows / seconds:,.0f} rows/s",
               f"{highest - before:+.1f} MB of memory", "constant memory")
