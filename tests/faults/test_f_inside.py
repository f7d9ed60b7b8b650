"""test_f_inside.py - memory that is refused, and clocks that jump."""

import hashlib
import os
import pathlib
import subprocess
import time

import pytest

from harness import Load, build_shim, no_loss, note
from instance import wait_until

FAKETIME = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
SIGNALS_OF_GIVING_UP = {-6}  # abort, by a library that has no other way


# The program as a CGI program: one request a process, so that each of its
# allocations can be the one that fails.


def cgi(instance, fails_at, method, path, body=b"", token=None):
    env = {"PATH": os.environ["PATH"], "REQUEST_METHOD": method, "PATH_INFO": path,
           "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "",
           "REMOTE_ADDR": "127.0.0.1", "LD_PRELOAD": str(build_shim()),
           "MALLOC_FAILS": str(fails_at)}
    env.update({name: str(value) for name, value in instance.settings.items()
                if value not in (None, "")})
    if body:
        env.update(CONTENT_TYPE="application/json", CONTENT_LENGTH=str(len(body)))
    if token:
        env["HTTP_AUTHORIZATION"] = "Bearer " + token
    return subprocess.run([instance.dir / "bin/minuted"], env=env, input=body,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)


def status_of(done):
    for line in done.stdout.split(b"\r\n"):
        if line.lower().startswith(b"status:"):
            return int(line.split()[1])
    return 200 if done.stdout else None


def forged(token):
    """With another signature, and as "none"."""
    head, body, _ = token.split(".")
    sign = hashlib.sha256(token.encode()).hexdigest()[:43]
    return [f"{head}.{body}.{sign}",
            f"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}."]


TRIED = [*range(1, 60), *range(60, 12000, 211)]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["health", "profile", "forged", "alg none", "chat"])
def test_f05_any_allocation_may_fail(instance, user, what):
    good, none = forged(user.token)
    method, path, body, token = {
        "health": ("GET", "/health", b"", None),
        "profile": ("GET", "/auth/profile", b"", user.token),
        "forged": ("GET", "/auth/profile", b"", good),
        "alg none": ("GET", "/auth/profile", b"", none),
        "chat": ("POST", "/v1/chat/completions",
                 b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}', user.token),
    }[what]
    seen, odd = set(), []
    for fails_at in TRIED:
        done = cgi(instance, fails_at, method, path, body, token)
        status = status_of(done)
        seen.add(status)
        if done.returncode < 0 and done.returncode not in SIGNALS_OF_GIVING_UP:
            odd.append((fails_at, done.returncode, done.stderr[-300:]))
        if what in ("forged", "alg none"):
            assert status is None or status >= 400, (fails_at, status, done.stdout)
    assert not odd, odd[:5]
    note("F-05", "the n-th allocation of a request fails, n to 12,000", 5 * len(TRIED), None,
         "an error answer or an end by abort at most, never a way in")


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
