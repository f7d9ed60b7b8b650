"""gateway.py - what the gateway costs: minuted beside nginx's proxy_pass, to
the same instant provider.  After every round the records in PostgreSQL are
counted against the answers that the load generator got.
"""

import asyncio
import re
import statistics
import time

from stage import BODY, CONNECTIONS, PATH, ROUNDS, SECONDS, wait_until


async def open_loop(port, token, rate, seconds, connections=64):
    """Latencies in ms of requests that start at their time, whatever became of
    those before."""
    request = (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               f"Authorization: Bearer {token}\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
               ).encode()
    free = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    latencies = []

    async def one(due):
        reader, writer = await free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0], head
        if length := re.search(rb"(?i)content-length: (\d+)", head):
            await reader.readexactly(int(length.group(1)))
        else:
            await reader.readuntil(b"0\r\n\r\n")
        latencies.append((time.perf_counter() - due) * 1000)
        free.put_nowait((reader, writer))

    began = time.perf_counter()
    tasks = []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        while (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(max(0, left - 0.0005))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    return latencies


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


class Gateway:
    def __init__(self, stage):
        self.stage = stage
        self.ports = {"nginx": stage.baseline.port, "minuted": stage.port}
        self.script = stage.script(BODY)
        self.answers = self.records = 0

    def completed(self):
        calls = "minuted.calls where status = "
        wait_until(lambda: self.stage.count(calls + "'running'") == 0, 30)
        return self.stage.count(calls + "'completed'")

    def counted(self, connections, run):
        """run() against minuted, and a record for every answer: at most the
        requests that the end of the run cut off have one beyond."""
        before = self.completed()
        answers, rate, quantiles = run()
        records = self.completed() - before
        assert answers <= records <= answers + connections, (answers, records)
        self.answers += answers
        self.records += records
        return rate, quantiles

    def rounds(self, connections):
        found = {"nginx": [], "minuted": []}
        for _ in range(ROUNDS):
            for name, port in self.ports.items():
                def run(port=port):
                    return self.stage.wrk(PATH, port, connections, self.script)
                if name == "minuted":
                    found[name].append(self.counted(connections, run))
                else:
                    found[name].append(run()[1:])
        return found

    def rate(self):
        found = self.rounds(CONNECTIONS)
        self.stage.report.ratio(
            f"gateway: model calls, {CONNECTIONS} connections",
            {name: statistics.median(rate for rate, _ in runs)
             for name, runs in found.items()}, "0.30 of nginx alone")

    def one_at_a_time(self):
        found = self.rounds(1)
        for q, goal in ((50, 0.3), (99, 2)):
            self.added(f"gateway: latency p{q}, one call at a time", {
                name: statistics.median(quantiles[q] for _, quantiles in runs)
                for name, runs in found.items()}, goal)

    def at_a_rate(self, rate=1000):
        found = {"nginx": [], "minuted": []}
        for _ in range(ROUNDS):
            for name, port in self.ports.items():
                found[name].append(asyncio.run(
                    open_loop(port, self.stage.user.token, rate, SECONDS)))
        for q, goal in ((50, 0.3), (99, 2)):
            self.added(f"gateway: latency p{q}, {rate:,} calls/s (open loop)", {
                name: statistics.median(quantile(run, q / 100) for run in runs)
                for name, runs in found.items()}, goal)

    def added(self, what, medians, goal):
        self.stage.report.row(
            what, f"{medians['minuted']:.2f} ms",
            f"{medians['minuted'] - medians['nginx']:+.2f} ms",
            f"+{goal} ms", f"nginx {medians['nginx']:.2f} ms")


def run(stage):
    gateway = Gateway(stage)
    gateway.rate()
    gateway.one_at_a_time()
    gateway.at_a_rate()
    stage.report.row("gateway: answers, and their records in PostgreSQL",
                     f"{gateway.answers:,}",
                     f"{max(0, gateway.answers - gateway.records)} lost", "none lost")
