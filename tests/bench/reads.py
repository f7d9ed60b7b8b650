"""reads.py - conversations: one of very many, its messages, lists and search.
"""

import os
import re
import subprocess

from stage import SECONDS, TOP, alternating

CHATS = int(os.environ.get("BENCH_CHATS", 100000))
MESSAGES = int(os.environ.get("BENCH_MESSAGES", 1000000))
PAGE = 50
PGBENCH = "/usr/lib/postgresql/15/bin/pgbench"
CONNECTIONS_OF_WORKERS = 16  # 2 workers of 8 threads

# Titles of four words; one chat in a thousand has a word of its own.
CHATS_SQL = """
insert into minuted.chats (user_id, id, title, tags, message_count, created_at, updated_at)
select '{user}', gen_random_uuid(),
    (array['Question', 'Notes', 'Draft', 'Report'])[1 + n % 4] || ' on '
        || (array['harbours', 'bridges', 'glaciers', 'orchards', 'canals'])[1 + n % 5]
        || ' no. ' || n || case when n % 1000 = 7 then ' zeppelin' else '' end,
    array['t' || n % 50, 'all'], {each}, at, at
from (
    select n, now() - interval '90 days' * n / {chats} as at
    from generate_series(1, {chats}) n
) numbers
"""

MESSAGES_SQL = """
insert into minuted.messages (user_id, id, chat_id, role, content, tokens, created_at, updated_at)
select c.user_id,
    (lpad(to_hex((extract(epoch from c.created_at) * 1000)::bigint + n), 12, '0')
        || '7000' || '8' || substr(md5(c.id::text || n), 1, 15))::uuid,
    c.id, case n % 2 when 1 then 'user' else 'assistant' end,
    'Line ' || n || ' of what was said about ' || c.title
        || ', in a sentence of the length that sentences have.',
    20, c.created_at, c.created_at
from minuted.chats c
cross join generate_series(1, {each}) n
where c.user_id = '{user}'
"""


class Reads:
    def __init__(self, stage):
        self.stage = stage
        self.chat = self.make_page()
        self.fill()

    def make_page(self):
        """A chat with one page of messages."""
        made = self.stage.user.post("/api/chats", {"title": "the chat that is read"})
        assert made.status == 201, made
        chat = made.json()["chat"]["id"]
        sent = self.stage.user.post(f"/api/{chat}/messages/batch", {"messages": [
            {"role": "user" if n % 2 else "assistant",
             "content": f"message {n}: " + "some words of it " * 12}
            for n in range(PAGE)]})
        assert sent.status == 201, sent
        return chat

    def fill(self):
        values = {"user": self.stage.user.id, "chats": CHATS,
                  "each": MESSAGES // CHATS}
        with self.stage.loading():
            self.stage.load(CHATS_SQL.format(**values))
            self.stage.load(MESSAGES_SQL.format(**values))
            self.stage.psql("vacuum analyze minuted.chats, minuted.messages")

    def rate(self, path):
        return self.stage.wrk(path)[1]

    def pgbench(self, query, values):
        """Runs of a statement of sql/queries a second; columns come as text,
        also of a statement that minuted asks for in binary."""
        text = (TOP / "sql/queries" / query).read_text()
        text = re.sub(r"\$(\d+)", lambda found: values[int(found[1]) - 1], text)
        script = self.stage.baseline.dir / "query.sql"
        script.write_text(re.sub(r"(?m)^\s*--.*\n", "", text).rstrip() + ";\n")
        settings = [arg for name, value in self.values().items()
                    for arg in ("-D", f"{name}={value}")]
        out = subprocess.run(
            [PGBENCH, "-n", "-M", "prepared", f"-c{CONNECTIONS_OF_WORKERS}", "-j2",
             f"-T{SECONDS}", *settings, "-f", script,
             self.stage.cluster.url("postgres", self.stage.instance.database)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True).stdout
        return float(re.search(r"tps = ([\d.]+)", out)[1])

    def values(self):
        return {"user": self.stage.user.id, "chat": self.chat}

    def beside(self, what, path, query, values):
        """A path beside an empty route, and beside its bare statement."""
        medians = alternating(**{
            "GET /": lambda: self.rate("/"),
            "pgbench": lambda: self.pgbench(query, values),
            "minuted": lambda: self.rate(path)})
        for name in ("GET /", "pgbench"):
            self.stage.report.ratio(
                what, {name: medians[name], "minuted": medians["minuted"]}, "0.35")

    def time(self, what, path, goal=""):
        status, ms = self.stage.times(path)
        assert status == 200, (path, status)
        self.stage.report.row(what, f"{ms:.1f} ms", goal=goal)


def run(stage):
    reads = Reads(stage)
    reads.beside("reads: one chat", f"/api/chats/{reads.chat}", "chats/get.sql",
                 [":user", ":chat"])
    reads.beside(f"reads: a page of {PAGE} messages",
                 f"/api/{reads.chat}/messages?limit={PAGE}", "messages/list.sql",
                 [":user", ":chat", "null", "null", str(PAGE + 1), "0", "null"])
    among = f"among {CHATS:,} with {MESSAGES:,} messages"
    reads.time(f"reads: first page of chats {among}", "/api/chats")
    reads.time("reads: the same by title", "/api/chats?sortBy=title&sortOrder=asc")
    reads.time(f"search: chats by title and tags, {CHATS // 1000} hits {among}",
               "/api/chats/search?query=zeppelin", "100 ms")
    reads.time(f"search: the same, {CHATS // 5:,} hits",
               "/api/chats/search?query=glaciers", "100 ms")
