"""stage.py - what the benchmarks stand on: minuted, an nginx of its own with
an instant provider, load generators, and the table of what they found.
"""

import contextlib
import http.client
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
from instance import (  # noqa: E402, F401
    BINARY, TOP, Instance, Postgres, folder, free_port, wait_until)

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
TICKS = os.sysconf("SC_CLK_TCK")

NGINX = """
worker_processes auto;
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
daemon off;
events {{ worker_connections 20000; }}
http {{
	access_log off;
	keepalive_requests 1000000;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	proxy_http_version 1.1;
	proxy_set_header Connection "";
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
			proxy_pass http://provider;
		}}
	}}
	server {{
		listen 127.0.0.1:{stream_proxy} backlog=4096;
		location / {{
			proxy_buffering off;
			proxy_pass http://127.0.0.1:{streams};
		}}
	}}
}}
"""


class Baseline:
    """The instant provider, and nginx in front of it and of the provider of
    streams: another nginx than minuted's."""

    def __init__(self):
        self.dir = folder()
        self.provider, self.port = free_port(), free_port()
        self.streams, self.stream_port = free_port(), free_port()
        conf = self.dir / "nginx.conf"
        conf.write_text(NGINX.format(
            dir=self.dir, provider=self.provider, proxy=self.port, answer=ANSWER,
            streams=self.streams, stream_proxy=self.stream_port))
        self.process = subprocess.Popen(
            ["/usr/sbin/nginx", "-p", self.dir, "-c", conf, "-e", self.dir / "error.log"])
        time.sleep(0.5)
        assert self.process.poll() is None, (self.dir / "error.log").read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)


class Stage:
    """One PostgreSQL, as durable as it comes, one minuted, one baseline."""

    def __init__(self, report):
        self.report = report
        self.cluster = Postgres(fast=False)
        self.baseline = Baseline()
        self.instance = None
        self.start_with(self.baseline.provider)

    def start_with(self, provider):
        """A new minuted, with a new user, that asks the provider at a port."""
        self.stop_instance()
        self.instance = Instance(self.cluster, env={
            "OPENAI_BASE_URL": f"http://127.0.0.1:{provider}/v1",
            "OPENAI_API_KEY": "sk-none", "OPENAI_MODELS": "fake",
            "JWT_EXPIRES_IN": "1d", "LOG_LEVEL": "info"}).start()
        self.instance.http.check = False
        self.user = self.instance.user()

    def stop_instance(self):
        if self.instance:
            self.instance.stop()
            self.instance = None

    def stop(self):
        self.stop_instance()
        self.baseline.stop()
        self.cluster.remove()

    @property
    def port(self):
        return self.instance.port

    def psql(self, sql):
        return self.instance.psql(sql)

    def count(self, what):
        return int(self.psql(f"select count(*) from {what}")[0][0])

    @contextlib.contextmanager
    def loading(self):
        """While rows are put in by the million: without fsync."""
        self._settings("set fsync = off", "set full_page_writes = off",
                       "set max_wal_size = '16GB'", "set autovacuum = off")
        yield
        self.psql("checkpoint")
        self._settings("reset all")

    def _settings(self, *changes):
        for change in changes:
            self.psql(f"alter system {change}")
        self.psql("select pg_reload_conf()")
        time.sleep(0.3)

    def load(self, *statements):
        """Each in a session of its own, at once."""
        command = ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d",
                   self.cluster.url("postgres", self.instance.database), "-c"]
        for process in [subprocess.Popen(command + [sql], stdout=subprocess.DEVNULL)
                        for sql in statements]:
            assert process.wait() == 0

    # Load.

    def script(self, body):
        """wrk's script for a POST of body."""
        path = self.baseline.dir / "post.lua"
        path.write_text(f"wrk.method = 'POST'\nwrk.body = [==[{body}]==]\n"
                        "wrk.headers['Content-Type'] = 'application/json'\n")
        return path

    def wrk(self, path, port=None, connections=CONNECTIONS, script=None, token=None):
        """(answers, answers a second, latency quantiles in ms); all 2xx."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency"]
        if script:
            command += ["-s", script]
        out = subprocess.run(
            [*command, "-H", f"Authorization: Bearer {token or self.user.token}",
             f"http://127.0.0.1:{port or self.port}{path}"],
            stdout=subprocess.PIPE, text=True, check=True).stdout
        assert "Non-2xx" not in out and "Socket errors" not in out, out
        unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}
        quantiles = {int(q): float(value) * unit[u] for q, value, u in
                     re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\b", out)}
        answers = int(re.search(r"(\d+) requests in", out).group(1))
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
        return answers, rate, quantiles

    def times(self, path, count=11):
        """(status, median time in ms of one after the other)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        took = []
        for _ in range(count):
            began = time.perf_counter()
            connection.request("GET", path, headers={
                "Authorization": f"Bearer {self.user.token}"})
            answer = connection.getresponse()
            answer.read()
            took.append((time.perf_counter() - began) * 1000)
            if took[-1] > 1000:
                break
        connection.close()
        return answer.status, statistics.median(took)

    # The processes of minuted.

    def memory_mb(self, field="Pss"):
        """Of supervisor and workers."""
        pids = [self.instance.process.pid, *self.instance.workers()]
        total = 0
        for pid in pids:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))
        return total / 1024

    def cpu_seconds(self):
        """Of the workers."""
        total = 0
        for pid in self.instance.workers():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS


def alternating(**runs):
    """Medians of ROUNDS values of each of the functions, which take turns."""
    found = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found[name].append(run())
    return {name: statistics.median(values) for name, values in found.items()}


class Report:
    """A markdown table that is printed as it grows."""

    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)
        print(text, flush=True)

    def begin(self):
        self.line(machine())
        self.line("")
        self.line("| what | beside | minuted | figure | to reach |")
        self.line("| --- | ---: | ---: | ---: | --- |")

    def row(self, what, minuted, figure="", goal="", beside=""):
        self.line(f"| {what} | {beside} | {minuted} | {figure} | {goal} |")

    def ratio(self, what, medians, goal=""):
        """Of two rates: minuted's and that of the other."""
        (name, beside), = ((k, v) for k, v in medians.items() if k != "minuted")
        self.row(what, f"{medians['minuted']:,.0f}/s",
                 f"{medians['minuted'] / beside:.2f}", goal,
                 f"{name} {beside:,.0f}/s")


def machine():
    """What the figures are of, and how busy it was with other things."""
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    version = subprocess.run([BINARY, "version"], stdout=subprocess.PIPE, text=True)
    commit = version.stdout.splitlines()[0] if version.stdout else "minuted"
    load = os.getloadavg()[0]
    busy = ("otherwise idle" if load < 0.5 else
            f"shared with other work (load {load:.1f} before the run)")
    return (f"{commit}; {os.cpu_count()} cores, {int(memory.group(1)) / 2**20:.0f} GB, "
            f"Linux {os.uname().release}, {busy}; PostgreSQL, nginx and the load "
            f"generators on the same machine; medians of {ROUNDS} rounds of {SECONDS} s, "
            "taking turns with what is beside.")


def note(text):
    print(f"  {text}", file=sys.stderr, flush=True)
