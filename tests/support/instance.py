"""instance.py - a PostgreSQL, an nginx, a minuted and a provider of our own.

Everything lives in folders under /tmp that are removed afterwards; the
PostgreSQL and nginx are made by the scripts of deploy/, as `make run` does.
"""

import concurrent.futures
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import uuid

from client import Client

TOP = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("MINUTED", TOP / "build/debug/minuted"))
DOCS = TOP / "build/share/docs"
ROOT = os.geteuid() == 0
USER = "www-data" if ROOT else ""
SANITIZED = re.compile(
    r"(AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error)"
)


def wait_until(what, seconds=10.0, every=0.01):
    """The first true value of what(); fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, "waited too long"
        time.sleep(every)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="minuted-", dir="/tmp"))
    path.chmod(0o755)
    return path


class Postgres:
    """A cluster; several instances share it, with a database each."""

    def __init__(self, fast=True):
        self.dir = folder()
        self.fast = "1" if fast else ""  # without fsync
        self.start()

    def _run(self, *args):
        env = dict(os.environ, CLUSTER_FAST=self.fast)
        command = [TOP / "deploy/cluster", *args]
        return subprocess.run(
            command, env=env, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    def start(self):
        self._run("start", self.dir)

    def stop(self, mode="fast"):
        self._run("stop", self.dir, mode)

    def database(self, name):
        self._run("database", self.dir, name)

    def url(self, role, name):
        return self._run("url", self.dir, role, name)

    def psql(self, name, sql):
        """Rows of text, as superuser."""
        out = subprocess.run(
            ["psql", "-X", "-q", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1",
             "-d", self.url("postgres", name), "-c", sql],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        return [line.split("\t") for line in out.splitlines()]

    def log(self):
        return (self.dir / "log/postgres.log").read_text(errors="replace")

    def remove(self):
        self.stop("immediate")
        shutil.rmtree(self.dir)


class Instance:
    """nginx and minuted.  env adds to the settings below, or takes away with
    None; nginx is what deploy/nginx-conf reads (RATE, ...)."""

    def __init__(self, postgres, env=None, nginx=None, provider=None):
        self.postgres = postgres
        self.dir = folder()
        self.port = free_port()
        self.database = "m" + uuid.uuid4().hex[:12]
        self.provider = provider
        self.process = self.nginx = None
        self.within = []  # a command that begins minuted
        self.http = Client(self.port)
        for name, mode in (("run", 0o750), ("spool", 0o700), ("log", 0o755),
                           ("nginx", 0o755), ("bin", 0o755)):
            (self.dir / name).mkdir()
            (self.dir / name).chmod(mode)
            if ROOT and name in ("run", "spool"):
                shutil.chown(self.dir / name, USER, USER)
        self.settings = {
            "SOCKET": self.dir / "run/minuted.sock",
            "SPOOL_DIR": self.dir / "spool",
            "SOCKET_GROUP": USER,
            "JWT_SECRET": "canary-" + uuid.uuid4().hex + uuid.uuid4().hex,
            "DATABASE_URL": postgres.url("minuted_worker", self.database),
            "DATABASE_OWNER_URL": postgres.url("minuted_owner", self.database),
            "WORKERS": 2,
            "ECHO_PACE": "1ms",
            "LOGIN_FAILURES_MAX": 1000,
            "REGISTRATIONS_MAX": 1000000,
            "CORS_ORIGIN": "https://app.example.org",
        }
        if provider:
            self.settings.update({
                "OPENAI_BASE_URL": f"http://127.0.0.1:{provider.port}/v1",
                "OPENAI_API_KEY": "sk-canary-provider-key",
                "OPENAI_MODELS": "fake,fake-2",
            })
        self.settings.update(env or {})
        self.nginx_env = nginx or {}
        # what no log may hold
        self.secrets = ["a fairly long phrase", "sk-canary-provider-key",
                        self.settings["JWT_SECRET"]]

    # Setting up and ending.

    def prepare(self):
        self.postgres.database(self.database)
        self.write_settings()
        shutil.copy(BINARY, self.dir / "bin/minuted")
        done = self.command("migrate")
        assert done.returncode == 0, done.stderr
        return self

    def start(self):
        if not (self.dir / "bin/minuted").exists():
            self.prepare()
        self.start_minuted()
        self.start_nginx()
        self.wait_healthy()
        return self

    def write_settings(self):
        path = self.dir / "minuted.env"
        path.touch(0o600)
        path.chmod(0o600)
        path.write_text("".join(
            f"{name}={value}\n"
            for name, value in self.settings.items()
            if value is not None
        ))
        if ROOT:
            shutil.chown(path, USER, USER)

    def environment(self):
        env = {"PATH": os.environ["PATH"], "TZ": "UTC"}
        env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        return env

    def command(self, *args, input=None, env=None):
        """minuted --config FILE ARGS, as the administrator."""
        return subprocess.run(
            [self.dir / "bin/minuted", "--config", self.dir / "minuted.env", *args],
            env=dict(self.environment(), **(env or {})), input=input, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
        )

    def start_minuted(self):
        command = [self.dir / "bin/minuted", "--config", self.dir / "minuted.env", "serve"]
        if ROOT:
            command = ["setpriv", f"--reuid={USER}", f"--regid={USER}",
                       "--init-groups", *command]
        command = [*self.within, *command]
        with open(self.dir / "log/minuted.log", "ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd="/", start_new_session=True,
            )

    def start_nginx(self):
        env = dict(os.environ, PORT=str(self.port), NGINX_USER=USER)
        env.update({k: str(v) for k, v in self.nginx_env.items()})
        if DOCS.exists():
            shutil.copytree(DOCS, self.dir / "share/docs", dirs_exist_ok=True)
        conf = self.dir / "nginx/nginx.conf"
        with open(conf, "wb") as out:
            subprocess.run([TOP / "deploy/nginx-conf", self.dir, self.settings["SOCKET"]],
                           env=env, stdout=out, check=True)
        self.nginx = subprocess.Popen(
            ["/usr/sbin/nginx", "-p", f"{self.dir}/nginx/", "-c", conf,
             "-e", self.dir / "log/nginx.error.log", "-g", "daemon off;"],
            stdin=subprocess.DEVNULL, start_new_session=True,
        )
        wait_until(self.listening)

    def listening(self):
        assert self.nginx.poll() is None, self.nginx_log()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def healthy(self):
        assert self.process.poll() is None, self.log()[-3000:]
        return self.http.get("/health").status == 200

    def wait_healthy(self, seconds=20):
        wait_until(self.healthy, seconds, every=0.02)

    def stop_minuted(self, seconds=40):
        """SIGTERM; its exit code."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def stop(self):
        """Ends both; fails when a sanitizer had something to say, or when a
        log holds a secret."""
        if self.nginx:
            self.nginx.terminate()
            self.nginx.wait(10)
        if self.process and self.process.poll() is None:
            self.stop_minuted()
        log = self.log()
        logs = log + self.nginx_log() + self.postgres.log()
        if keep := os.environ.get("MINUTED_KEEP_LOGS"):
            shutil.copy(self.dir / "log/minuted.log", f"{keep}/{self.database}.log")
        self.forget_calls_in_hand()
        shutil.rmtree(self.dir)
        for secret in self.secrets:
            at = logs.find(secret)
            assert at < 0, logs[max(0, at - 300) : at + 100]
        found = SANITIZED.search(log)
        assert not found, log[max(0, found.start() - 500) : found.start() + 6000]

    def calls_in_hand(self):
        """The folder in memory where they are; None when there is none."""
        spool = os.path.realpath(self.settings["SPOOL_DIR"])
        for path in pathlib.Path("/dev/shm").glob("minuted-*/of"):
            if os.path.islink(path) and os.readlink(path) == spool:
                return path.parent
        return None

    def forget_calls_in_hand(self):
        """Those of a minuted that was killed."""
        if home := self.calls_in_hand():
            shutil.rmtree(home)

    # Looking in.

    def log(self):
        return self.read_log("minuted.log")

    def log_lines(self):
        return [json.loads(line) for line in self.log().splitlines()]

    def nginx_log(self):
        return self.read_log("nginx.error.log") + self.read_log("nginx.access.log")

    def read_log(self, name):
        path = self.dir / "log" / name
        return path.read_text(errors="replace") if path.exists() else ""

    def psql(self, sql):
        return self.postgres.psql(self.database, sql)

    def workers(self):
        """Process ids of the workers."""
        pid = self.process.pid
        path = f"/proc/{pid}/task/{pid}/children"
        return [int(word) for word in pathlib.Path(path).read_text().split()]

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    # Users.

    def user(self, name=None, password="a fairly long phrase"):
        """A new user's client, logged in; .email, .password and .refresh are
        on it."""
        name = name or "u" + uuid.uuid4().hex[:12]
        email = f"{name}@example.org"
        got = self.http.post("/auth/register", {"email": email, "password": password})
        assert got.status == 201, got
        client = self.http.as_user(got.json()["access_token"])
        client.email = email
        client.password = password
        client.refresh = got.json()["refresh_token"]
        self.secrets += [password, client.token, client.refresh]
        client.id = got.json()["user"]["id"]
        return client

    def know(self, *clients):
        """Each worker has these in its cache: calls at once, until every one
        has answered one of each.  More at once each time, since nginx keeps
        the connections that it has, maybe all of them to one worker."""
        for client in clients:
            workers = set()
            hands = itertools.count(8, 4)

            def call(_):
                got = client.chat()
                assert got.status == 200, got
                return got.headers["X-Request-Id"]

            def all_know():
                count = min(next(hands), 64)
                with concurrent.futures.ThreadPoolExecutor(count) as pool:
                    ids = set(pool.map(call, range(count)))
                workers.update(line["role"] for line in self.log_lines()
                               if line.get("id") in ids)
                return len(workers) >= int(self.settings["WORKERS"])

            wait_until(all_know)


class Provider:
    """provider.py in a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", pathlib.Path(__file__).with_name("provider.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.port = int(self.process.stdout.readline())
        self.http = Client(self.port, check=False)

    def seen(self, tag=None):
        query = "?tag=" + urllib.parse.quote(tag) if tag else ""
        return self.http.get("/__seen" + query).json()["seen"]

    def open(self):
        return self.http.get("/__seen?tag=-").json()["open"]

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait(10)
