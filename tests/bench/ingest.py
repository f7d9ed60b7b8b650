"""ingest.py - records that clients send, one and a thousand at a time, counted
in PostgreSQL afterwards.
"""

import json

from stage import CONNECTIONS, alternating

EVENT = {"user_id": "ada", "level": "info", "message": "the door was opened",
         "metadata": {"door": 7, "by": "key"}}
MANY = 1000
SENDERS = 8


class Ingest:
    def __init__(self, stage):
        self.stage = stage
        made = stage.user.post("/api/api-keys", {"name": "bench"})
        assert made.status == 201, made
        self.key = made.json()["key"]
        self.accepted = 0

    def empty(self):
        return self.stage.wrk("/")[1]

    def send(self, path, body, connections, records):
        """Records a second, each in its table."""
        script = self.stage.script(json.dumps(body))
        before = self.stage.count("minuted.events")
        answers, rate, _ = self.stage.wrk(path, None, connections, script, self.key)
        found = self.stage.count("minuted.events") - before
        assert answers * records <= found <= (answers + connections) * records, (
            answers, records, found)
        self.accepted += answers * records
        return rate * records

    def single(self):
        return self.send("/api/event-log", EVENT, CONNECTIONS, 1)

    def batch(self):
        return self.send("/api/event-log/batch", {"logs": [EVENT] * MANY}, SENDERS, MANY)


def run(stage):
    ingest = Ingest(stage)
    stage.report.ratio(
        "ingest: one record a request, committed before its 201",
        alternating(**{"GET /": ingest.empty, "minuted": ingest.single}),
        "0.45 of an empty route")
    rate = alternating(minuted=ingest.batch)["minuted"]
    stage.report.row(f"ingest: batches of {MANY:,}", f"{rate:,.0f} records/s",
                     goal="50,000 records/s")
    stage.report.row("ingest: records accepted, and those in PostgreSQL",
                     f"{ingest.accepted:,}", "0 lost", "none lost")
