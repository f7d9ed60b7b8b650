"""bench.py - what the gateway costs: minuted beside nginx's proxy_pass, to the
same instant provider, in one run, as ratios.

Rounds alternate between the two and medians are shown.  After every round the
records in PostgreSQL are counted against the answers that the load generator
got.  ROUNDS, SECONDS and CONNECTIONS in the environment change the run.
"""

import asyncio
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

from client import chat_body  # noqa: E402
from instance import Instance, Postgres, folder, free_port, wait_until  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", 5))
SECONDS = int(os.environ.get("SECONDS", 4))
CONNECTIONS = int(os.environ.get("CONNECTIONS", 64))
PATH = "/v1/chat/completions"
BODY = json.dumps(chat_body("What is the capital of Norway?"))
ANSWER = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000,
    "model": "fake",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "It is Oslo."}}],
    "usage": {"prompt_tokens": 14, "completion_tokens": 5, "total_tokens": 19},
})

NGINX = """
worker_processes auto;
worker_rlimit_nofile 16384;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
daemon off;
events {{ worker_connections 8192; }}
http {{
	access_log off;
	keepalive_requests 1000000;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	upstream provider {{
		server 127.0.0.1:{provider};
		keepalive 256;
		keepalive_requests 1000000;
	}}
	server {{
		listen 127.0.0.1:{provider} backlog=4096;
		location / {{
			default_type application/json;
			return 200 '{answer}';
		}}
	}}
	server {{
		listen 127.0.0.1:{proxy} backlog=4096;
		location / {{
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_pass http://provider;
		}}
	}}
}}
"""


class Baseline:
    """The instant provider, and nginx in front of it: another nginx than
    minuted's."""

    def __init__(self):
        self.dir = folder()
        self.provider, self.port = free_port(), free_port()
        conf = self.dir / "nginx.conf"
        conf.write_text(NGINX.format(dir=self.dir, provider=self.provider,
                                     proxy=self.port, answer=ANSWER))
        self.process = subprocess.Popen(
            ["/usr/sbin/nginx", "-p", self.dir, "-c", conf, "-e", self.dir / "error.log"])
        time.sleep(0.5)
        assert self.process.poll() is None, (self.dir / "error.log").read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)


def wrk(port, token, connections, seconds, script):
    """(answers, answers a second, latency quantiles in ms); all were 2xx."""
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script,
         "-H", f"Authorization: Bearer {token}", f"http://127.0.0.1:{port}{PATH}"],
        stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    quantiles = {int(q): float(value) * unit[u] for q, value, u in
                 re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\b", out)}
    answers = int(re.search(r"(\d+) requests in", out).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    return answers, rate, quantiles


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


class Bench:
    def __init__(self, instance, baseline, script):
        self.instance = instance
        self.user = instance.user()
        self.ports = {"nginx": baseline.port, "minuted": instance.port}
        self.script = script
        self.rows = []
        self.answers = self.records = 0

    def completed(self):
        wait_until(lambda: self.instance.psql(
            "select count(*) from minuted.calls where status = 'running'") == [["0"]], 30)
        return int(self.instance.psql(
            "select count(*) from minuted.calls where status = 'completed'")[0][0])

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

    def rounds(self, connections, seconds):
        found = {"nginx": [], "minuted": []}
        for _ in range(ROUNDS):
            for name, port in self.ports.items():
                def run(port=port):
                    return wrk(port, self.user.token, connections, seconds, self.script)
                if name == "minuted":
                    found[name].append(self.counted(connections, run))
                else:
                    found[name].append(run()[1:])
        return found

    def row(self, what, nginx, minuted, figure):
        self.rows.append((what, nginx, minuted, figure))
        print(f"{what:<44} {nginx:>12} {minuted:>12} {figure:>22}", flush=True)

    def rate(self):
        found = self.rounds(CONNECTIONS, SECONDS)
        medians = {name: statistics.median(rate for rate, _ in runs)
                   for name, runs in found.items()}
        self.row(f"answers a second, {CONNECTIONS} connections",
                 f"{medians['nginx']:.0f}", f"{medians['minuted']:.0f}",
                 f"ratio {medians['minuted'] / medians['nginx']:.2f}")

    def one_at_a_time(self):
        found = self.rounds(1, SECONDS)
        for q in (50, 99):
            medians = {name: statistics.median(quantiles[q] for _, quantiles in runs)
                       for name, runs in found.items()}
            self.added(f"latency p{q}, one at a time", medians)

    def at_a_rate(self, rate=1000):
        found = {"nginx": [], "minuted": []}
        for _ in range(ROUNDS):
            for name, port in self.ports.items():
                found[name].append(asyncio.run(
                    open_loop(port, self.user.token, rate, SECONDS)))
        for q in (0.5, 0.99):
            medians = {name: statistics.median(quantile(run, q) for run in runs)
                       for name, runs in found.items()}
            self.added(f"latency p{q * 100:.0f}, {rate} a second (open loop)", medians)

    def added(self, what, medians):
        self.row(what, f"{medians['nginx']:.2f} ms", f"{medians['minuted']:.2f} ms",
                 f"adds {medians['minuted'] - medians['nginx']:.2f} ms")


def main():
    cluster = Postgres(fast=False)
    baseline = Baseline()
    instance = Instance(cluster, env={
        "OPENAI_BASE_URL": f"http://127.0.0.1:{baseline.provider}/v1",
        "OPENAI_API_KEY": "sk-none", "OPENAI_MODELS": "fake",
        "JWT_EXPIRES_IN": "1d", "LOG_LEVEL": "info"}).start()
    script = baseline.dir / "post.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = [[{BODY}]]\n"
                      "wrk.headers['Content-Type'] = 'application/json'\n")
    try:
        print(f"{os.cpu_count()} cores, {ROUNDS} rounds of {SECONDS} s each, medians;"
              " minuted commits a record before each answer\n")
        print(f"{'':<44} {'nginx alone':>12} {'minuted':>12}")
        bench = Bench(instance, baseline, script)
        bench.rate()
        bench.one_at_a_time()
        bench.at_a_rate()
        print(f"\nanswers {bench.answers}, records {bench.records}, lost"
              f" {max(0, bench.answers - bench.records)}")
    finally:
        instance.stop()
        baseline.stop()
        cluster.remove()


if __name__ == "__main__":
    main()
