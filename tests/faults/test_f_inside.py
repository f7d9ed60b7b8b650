"""test_f_inside.py - memory that is refused, and clocks that jump."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import threading
import time

import pytest

from harness import Load, build_shim, descriptors, no_loss, note
from instance import wait_until

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
NEVER = 1000000  # allocations
# Where a process may end in want of memory.  libfcgi asserts that it has some.
# libcurl 7.88 empties the table of a socket that it could not enter a transfer
# in, and divides by its size when the socket is next asked for.
GIVES_UP = ("libfcgi.so", "libcurl.so.4 curl_multi_socket_action",
            "libcurl.so.4 curl_multi_socket_all")


# The program as a CGI program: one request a process, so that each of its
# allocations can be the one that fails.


def cgi(instance, fails_at, method, path, body=b"", token=None):
    env = {"PATH": os.environ["PATH"], "REQUEST_METHOD": method, "PATH_INFO": path,
           "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "",
           "REMOTE_ADDR": "127.0.0.1", "HOME": "/", "LD_PRELOAD": str(build_shim()),
           "MALLOC_FAILS": str(fails_at)}
    env.update({name: str(value) for name, value in instance.settings.items()
                if value not in (None, "")})
    if body:
        env.update(CONTENT_TYPE="application/json", CONTENT_LENGTH=str(len(body)))
    if token:
        env["HTTP_AUTHORIZATION"] = "Bearer " + token
    return subprocess.run([instance.dir / "bin/minuted"], env=env, input=body,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)


def status_of(done):
    """None when there was no answer."""
    for line in done.stdout.split(b"\r\n"):
        if line.lower().startswith(b"status:"):
            return int(line.split()[1])
    return 200 if done.stdout else None


def crashes(log):
    """Where processes died: "libx.so.1 function"."""
    return [line.rpartition("/")[2] for line in log.splitlines() if "shim: killed in" in line]


def fault_of(done, usual):
    """What is wrong with how a request ended: neither the usual answer, nor an
    error of the server, nor an end where a library gives up."""
    if done.returncode < 0:
        where = crashes(done.stderr.decode())
        if where and all(each.startswith(GIVES_UP) for each in where):
            return None
        return where or f"killed by {-done.returncode}"
    status = status_of(done)
    if status is None:
        return None if done.returncode else "no answer"
    return None if status == usual or status >= 500 else status


def forged(token):
    """With another signature, and as "none"."""
    head, body, _ = token.split(".")
    sign = hashlib.sha256(token.encode()).hexdigest()[:43]
    return [f"{head}.{body}.{sign}",
            f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}."]


CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
RELAYED = {"model": "fake", "messages": [{"role": "user", "content": "chunks=3"}]}
TEXT = {"user_id": "u", "message": "it happened"}
LOG = {"user_id": "u", "source": "s", "query": "q", "response": "r"}


def requests_of(user):
    """Method, path, body and token of a request of every kind, and what it
    answers when nothing fails."""
    good, none = forged(user.token)
    login = {"email": user.email, "password": user.password}
    return {
        "health": ("GET", "/health", None, None, 200),
        "login": ("POST", "/auth/login", login, None, 200),
        "profile": ("GET", "/auth/profile", None, user.token, 200),
        "forged": ("GET", "/auth/profile", None, good, 401),
        "alg none": ("GET", "/auth/profile", None, none, 401),
        "forged call": ("POST", "/v1/chat/completions", CHAT, good, 401),
        "call": ("POST", "/v1/chat/completions", CHAT, user.token, 200),
        "stream": ("POST", "/v1/chat/completions", {**CHAT, "stream": True}, user.token, 200),
        "relayed": ("POST", "/v1/chat/completions", RELAYED, user.token, 200),
        "relayed stream": ("POST", "/v1/chat/completions", {**RELAYED, "stream": True},
                           user.token, 200),
        "event": ("POST", "/api/event-log", TEXT, user.token, 201),
        "log": ("POST", "/api/llm-log", LOG, user.token, 201),
        "batch": ("POST", "/api/event-log/batch", {"logs": [TEXT] * 20}, user.token, 201),
        "new chat": ("POST", "/api/chats", {"title": "a chat"}, user.token, 201),
        "chats": ("GET", "/api/chats", None, user.token, 200),
    }


KINDS = ["health", "login", "profile", "forged", "alg none", "forged call", "call", "stream",
         "relayed", "relayed stream", "event", "log", "batch", "new chat", "chats"]


LAST = 500  # allocations: more than a request takes once the process is up


def tried(kind, count):
    """Some of those of the start, and of the request each third, other ones for
    each kind; the last is beyond all that are made."""
    return [*range(1 + kind, count - LAST, 150), *range(count - LAST + kind % 3, count, 3),
            count + 1000]


@pytest.mark.slow
@pytest.mark.parametrize("what", KINDS)
def test_f05_any_allocation_may_fail(instance, user, what):
    """An answer is the usual one or an error of the server: a good token is no
    bad one (401) for want of memory, and a forged one is never good."""
    method, path, value, token, usual = requests_of(user)[what]
    body = b"" if value is None else json.dumps(value).encode()
    done = cgi(instance, NEVER, method, path, body, token)
    count = int(re.search(rb"shim: (\d+) allocations", done.stderr)[1])
    odd = []
    numbers = tried(KINDS.index(what), count)
    for fails_at in numbers:
        done = cgi(instance, fails_at, method, path, body, token)
        fault = fault_of(done, usual)
        if fault:
            odd.append((fails_at, fault, done.stderr[-300:]))
    assert not odd, odd[:5]
    assert status_of(done) == usual
    note("F-05", "the n-th allocation of a request of any kind fails, n to its last",
         len(KINDS) * len(numbers), None,
         "an error answer, the usual one, or an end in libcurl: never 401 for a good token, "
         "never a way in")


class Rate:
    """Allocations of an instance that fail at random."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        path.chmod(0o666)
        self.file = open(path, "r+b", buffering=0)

    def set(self, one_in):
        self.file.seek(0)
        self.file.write(one_in.to_bytes(4, "little"))

    def failed(self):
        self.file.seek(4)
        return int.from_bytes(self.file.read(4), "little")


def some_fail(instance, user, bad):
    """Two seconds of load while one allocation in a thousand fails; the figures
    of the audit, and what the tokens that are none were answered.  The time is
    over by itself: where no worker can start, who asks waits for it."""
    seen = set()
    plenty = threading.Timer(2, instance.rate.set, [0])
    with Load(instance, user) as load:
        instance.rate.set(1000)
        plenty.start()
        while plenty.is_alive():
            seen |= {bad_one.get("/auth/profile").status for bad_one in bad}
        wait_until(lambda: user.chat("chunks=1").status == 200, 20)
    return load.audit(), seen


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_f05_allocations_that_fail_at_random_lose_nothing(make_fault_instance, rounds):
    def prepare(instance):
        instance.rate = Rate(instance.dir / "run/rate")
        instance.extra = {"LD_PRELOAD": str(build_shim()),
                          "MALLOC_RATE": str(instance.dir / "run/rate")}

    instance = make_fault_instance(prepare=prepare)
    user = instance.user()
    user.check = False
    bad = [instance.http.as_user(token) for token in forged(user.token)]
    for each in bad:
        each.check = False
    total = {"acknowledged": 0, "missing": 0, "duplicate": 0}
    for times in range(1, 4 * rounds):
        figures, seen = some_fail(instance, user, bad)
        no_loss(figures)
        total["acknowledged"] += figures["acknowledged"]
        assert all(status >= 400 for status in seen), seen
        # a round in which no worker could start for long has few
        if times >= rounds and instance.rate.failed() > 50 * rounds:
            break
    elsewhere = {where for where in crashes(instance.log()) if not where.startswith(GIVES_UP)}
    assert not elsewhere
    assert instance.rate.failed() > 50 * rounds
    for pid in instance.workers():
        wait_until(lambda pid=pid: descriptors(pid) < 250)
    wait_until(lambda: "minuted_calls_open 0\n" in instance.http.get("/metrics").text)
    note("F-05 random", "one allocation in a thousand fails, under load",
         instance.rate.failed(), total,
         "an error answer, or the worker ends where a library has no other way")


@pytest.fixture
def clock(make_fault_instance):
    """An instance, and a function that sets its wall clock off."""
    if not FAKETIME.exists():
        pytest.skip("package faketime is not installed")

    instance = make_fault_instance(start=False).prepare()
    instance.clock = instance.dir / "run/clock"
    instance.clock.write_text("+0\n")
    # only the program itself: its semaphores are of the user who made them
    binary = instance.dir / "bin/minuted"
    binary.rename(instance.dir / "bin/real")
    binary.write_text(
        f"#!/bin/sh\nFAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 "
        f"FAKETIME_TIMESTAMP_FILE={instance.clock} LD_PRELOAD={FAKETIME} "
        f'exec {instance.dir}/bin/real "$@"\n')
    binary.chmod(0o755)
    instance.start()

    def jump(text):
        fresh = instance.clock.with_suffix(".new")
        fresh.write_text(text + "\n")
        fresh.rename(instance.clock)

    return instance, jump


def test_f24_a_clock_that_jumps(clock):
    instance, jump = clock
    user = instance.user()
    with Load(instance, user) as load:
        with user.chat_stream("chunks=30 delay=0.1") as stream:
            texts = []
            offsets = iter(["+1h", "-1h", "+0", "+0.5", "-0.5"])
            for number, event in enumerate(stream.events()):
                texts.append(event.data)
                if number % 5 == 4:
                    jump(next(offsets, "+0"))
        assert texts[-1] == "[DONE]"
        jump("+0")
        time.sleep(0.5)
    figures = load.audit()
    no_loss(figures)
    rows = instance.psql("select count(*) from minuted.calls where latency_us < 0 "
                         "or latency_us > 60000000 or first_token_us < 0")
    assert rows == [["0"]]
    assert user.get("/auth/profile").status == 200  # its token was not used up
    note("F-24", "the wall clock jumps by an hour and back, and by half a second", 5, figures,
         "deadlines and durations do not notice, ids stay unique")


def test_f24_tokens_expire_by_the_wall_clock(clock):
    instance, jump = clock
    user = instance.user()
    assert user.get("/auth/profile").status == 200
    jump("+1h")
    wait_until(lambda: user.get("/auth/profile").status == 401)
    jump("-1h")  # from the future is no token either, or still good: never a 5xx
    assert user.get("/auth/profile").status in (200, 401)
    jump("+0")
    wait_until(lambda: user.get("/auth/profile").status == 200)
