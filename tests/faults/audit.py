"""audit.py - the ledgers against the tables.

    audit.py DATABASE_URL LEDGER...

Once the spool is drained: every line of a ledger has its row (missing 0), no id
is twice in a table, nor anything that was sent again with the same
Idempotency-Key, and usage counts each row once (duplicate 0), and no call is
"running" that began more than a minute ago.  Prints the figures as JSON; fails
when one of these is not 0.
"""

import argparse
import json
import subprocess
import sys

WANTED = {
    "call": "select id from minuted.calls where kind <> 'ingest' and status = 'completed'",
    "log": "select id from minuted.calls where kind = 'ingest'",
    "event": "select id from minuted.events",
}
# what is to be there once, acknowledged or not, by its content
ONCE = {
    "once-event": "select message from minuted.events where message like 'once-%'",
    "once-log": "select source from minuted.calls where source like 'once-%'",
    "once-chat": "select title from minuted.chats where title like 'once-%'",
    "once-message": "select content from minuted.messages where content like 'once-%'",
    "once-call": "select substring(t.request from 'once-[0-9a-f-]{36}')"
                 " from minuted.calls c join minuted.call_texts t"
                 " on t.user_id = c.user_id and t.id = c.id"
                 " where c.kind <> 'ingest' and c.status = 'completed'"
                 " and t.request like '%once-%'",
}
DUPLICATES = """
select (select count(*) - count(distinct id) from minuted.calls)
     + (select count(*) - count(distinct id) from minuted.call_texts)
     + (select count(*) - count(distinct id) from minuted.events)
"""
# counted in usage less the rows: more than 0 counted twice, less not at all
COUNTED = """
with usage as (
    select kind like 'event:%' as event, calls from minuted.usage_deltas
    union all
    select kind like 'event:%', calls from minuted.usage_hourly
)
select coalesce(sum(calls) filter (where not event), 0)
       - (select count(*) from minuted.calls where status <> 'running'),
       coalesce(sum(calls) filter (where event), 0)
       - (select count(*) from minuted.events)
from usage
"""
RUNNING = """
select count(*) from minuted.calls
where status = 'running' and started_at < now() - interval '{}'
"""


def psql_of(url):
    def psql(sql):
        out = subprocess.run(
            ["psql", "-X", "-q", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1",
             "-d", url, "-c", sql],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        return [line.split("\t") for line in out.splitlines()]
    return psql


def promises(paths):
    """The ids of the ledgers by kind."""
    found = {kind: set() for kind in [*WANTED, *ONCE]}
    for path in paths:
        with open(path) as lines:
            for line in lines:
                kind, each = line.split()
                found[kind].add(each)
    return found


def audit(psql, paths, running_for="1 minute"):
    promised = promises(paths)
    missing = 0
    for kind, sql in WANTED.items():
        missing += len(promised[kind] - {row[0] for row in psql(sql)})
    again = 0
    for kind, sql in ONCE.items():
        there = [row[0] for row in psql(sql)]
        missing += len(promised[kind] - set(there))
        again += len(there) - len(set(there))
    calls, events = (int(n) for n in psql(COUNTED)[0])
    return {
        "acknowledged": sum(len(ids) for ids in promised.values()),
        "missing": missing,
        "duplicate": int(psql(DUPLICATES)[0][0]) + max(calls, 0) + max(events, 0) + again,
        "done_again": again,
        "uncounted": max(-calls, 0) + max(-events, 0),
        "running": int(psql(RUNNING.format(running_for))[0][0]),
        "dead_letters": int(psql("select count(*) from minuted.dead_letters")[0][0]),
    }


def clean(figures):
    return all(figures[name] == 0 for name in
               ("missing", "duplicate", "uncounted", "running", "dead_letters"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("ledgers", nargs="+")
    parser.add_argument("--running-for", default="1 minute")
    args = parser.parse_args()
    figures = audit(psql_of(args.url), args.ledgers, args.running_for)
    print(json.dumps(figures))
    return 0 if clean(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
