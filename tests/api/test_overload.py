"""test_overload.py - at four times what can be served, as much is served as
ever, and the rest is told so at once."""

import asyncio
import time

import pytest

from instance import wait_until


async def one(port, head, body=b""):
    """(status, seconds, seconds of Retry-After or None)"""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head + body)
        answer = await reader.read()
    finally:
        writer.close()
    lines = answer.split(b"\r\n\r\n")[0].decode().splitlines()
    retry = [line for line in lines if line.lower().startswith("retry-after:")]
    return int(lines[0].split()[1]), time.monotonic() - began, retry


async def at_rate(port, request, rate, seconds):
    """An open loop: what came of each, with when it was sent."""
    tasks = []
    began = time.monotonic()
    for i in range(int(rate * seconds)):
        await asyncio.sleep(max(0, began + i / rate - time.monotonic()))
        tasks.append((i / rate, asyncio.create_task(one(port, *request))))
    return [(at, *await task) for at, task in tasks]


def request(token, method, path, body=b""):
    head = (f"{method} {path} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
    return head.encode(), body


def overload(port, what, peak, settled=1.5, seconds=4.0):
    """Asserts what the file says, from when the queue has been noticed."""
    got = asyncio.run(at_rate(port, what, 4 * peak, seconds))
    got = [g for g in got if g[0] >= settled]
    passed = [g for g in got if g[1] in (200, 201)]
    refused = [g for g in got if g[1] == 503]
    assert len(passed) + len(refused) == len(got), {g[1] for g in got}
    assert len(passed) >= 0.8 * peak * (seconds - settled), (len(passed), peak)
    assert all(retry for _, _, _, retry in refused)
    late = sorted(g[2] for g in refused)
    assert late[int(len(late) * 0.9)] < 0.05, late[:: max(1, len(late) // 20)]
    return late


@pytest.mark.slow
def test_requests_that_wait_for_a_thread(make_instance):
    instance = make_instance(env={"WORKERS": 1, "THREADS": 2})
    user = instance.user()
    chat = user.post("/api/chats", {"title": "t"}).json()["chat"]["id"]
    instance.psql("alter function minuted.chat_json(minuted.chats) rename to plain;"
                  "create function minuted.chat_json(c minuted.chats) returns json"
                  " language plpgsql stable as $$ begin perform pg_sleep(0.02);"
                  " return minuted.plain(c); end $$")
    what = request(user.token, "GET", f"/api/chats/{chat}")

    async def closed(seconds):
        async def client():
            count, end = 0, time.monotonic() + seconds
            while time.monotonic() < end:
                count += (await one(instance.port, *what))[0] == 200
            return count
        return sum(await asyncio.gather(*(client() for _ in range(2)))) / seconds

    peak = asyncio.run(closed(1.5))
    assert 30 < peak < 110
    overload(instance.port, what, peak)
    wait_until(lambda: user.get(f"/api/chats/{chat}").status == 200)


@pytest.mark.slow
def test_calls_above_the_ceiling(make_instance):
    instance = make_instance(env={"WORKERS": 1, "STREAMS_MAX": 10, "OPENAI_MODELS": "fake"})
    user = instance.user()
    assert user.chat("x").status == 200
    body = b'{"model":"fake","messages":[{"role":"user","content":"first=0.25"}]}'
    what = request(user.token, "POST", "/v1/chat/completions", body)
    overload(instance.port, what, 38, settled=0.5, seconds=3)


@pytest.mark.slow
def test_passwords_above_what_can_be_hashed(make_instance):
    instance = make_instance(env={"WORKERS": 1})
    user = instance.user()
    body = f'{{"email":"{user.email}","password":"no, not this one"}}'.encode()
    got = asyncio.run(at_rate(instance.port, request("x", "POST", "/auth/login", body), 150, 2))
    assert {g[1] for g in got} == {401, 503}
    late = sorted(g[2] for g in got if g[1] == 503)
    assert late[int(len(late) * 0.9)] < 0.05
