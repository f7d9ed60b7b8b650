"""test_f_clients.py - clients that leave, do not read, or never finish asking."""

import json
import socket
import statistics
import struct
import threading
import time
import uuid

import pytest

from client import chat_body
from harness import note
from instance import wait_until


def send_call(port, token, body, rcvbuf=0):
    """A socket with the request sent."""
    data = json.dumps(body).encode()
    sock = socket.socket()
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    sock.connect(("127.0.0.1", port))
    sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n"
                 b"Content-Length: %d\r\n\r\n%s" % (token.encode(), len(data), data))
    return sock


def by_reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def by_fin(sock):
    sock.close()


LEAVE = {"a reset": by_reset, "a close": by_fin}


def gone(provider, mark):
    rows = provider.seen(mark)
    return rows and rows[0]["gone"] is not None and rows[0]


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("when", ["before the first byte", "in the middle"])
def test_f18_a_client_that_leaves_cancels_the_provider(instance, user, provider, how, when):
    mark = uuid.uuid4().hex
    plan = "first=5" if when == "before the first byte" else "endless=1 delay=0.02"
    sock = send_call(instance.port, user.token, chat_body(f"{plan} tag={mark}", stream=True))
    wait_until(lambda: provider.seen(mark))
    if when == "in the middle":
        while b"word3" not in sock.recv(65536):
            pass
    left = time.monotonic()
    LEAVE[how](sock)
    row = wait_until(lambda: gone(provider, mark), 5)
    assert row["gone"] - left < 0.3, row["gone"] - left

    def ended():
        got = instance.psql("select c.status from minuted.calls c join minuted.call_texts t "
                            f"using (user_id, id) where t.request like '%{mark}%'")
        return got and got[0][0] != "running" and got[0][0]

    assert wait_until(ended) == "cancelled"
    note("F-18", "the client leaves, by reset or close, early or in the middle", 4,
         None, "the provider's call is cut within 300 ms, the record ends as cancelled")


def rss(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.slow
def test_f19_slow_readers_cost_little_and_are_cut(make_instance):
    instance = make_instance(env={"CLIENT_STALL_TIMEOUT": "3s"})
    user = instance.user()
    assert user.chat().status == 200
    before = sum(rss(pid) for pid in instance.workers())
    count = 40
    body = chat_body("endless=1 size=8000 delay=0.002", stream=True)
    socks = [send_call(instance.port, user.token, body, rcvbuf=4096) for _ in range(count)]
    time.sleep(2.5)
    assert user.chat().status == 200
    took = []
    for _ in range(20):
        began = time.monotonic()
        assert instance.http.get("/").status == 200
        took.append(time.monotonic() - began)
    assert statistics.median(took) < 0.2
    grown = sum(rss(pid) for pid in instance.workers()) - before
    assert grown < count * 8 * 1024, grown  # KB: the queue's ceiling and the text
    ended = "select count(*) from minuted.calls where status <> 'running'"
    wait_until(lambda: int(instance.psql(ended)[0][0]) >= count + 1, 40, 0.2)
    for sock in socks:
        sock.close()
    wait_until(lambda: "minuted_calls_open 0\n" in instance.http.get("/metrics").text)
    note("F-19", f"{count} streaming clients that do not read", count,
         None, "bounded memory for each, cut at their deadline, the others do not notice")


def median_of_calls(user, count=40):
    took = []
    for _ in range(count):
        began = time.monotonic()
        got = user.chat("chunks=1")
        took.append(time.monotonic() - began)
        assert got.status == 200, got
    return statistics.median(took)


def open_sockets(port, count, data):
    socks = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(data)
        socks.append(sock)
    return socks


SLOW = {
    "idle": b"",
    "half a header": b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-A: b",
    "half a body": b"POST /auth/login HTTP/1.1\r\nHost: x\r\n"
                   b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
}


@pytest.mark.parametrize("how", SLOW)
def test_f20_who_never_finishes_asking_holds_nobody(instance, user, how):
    usual = median_of_calls(user)
    socks = open_sockets(instance.port, 700, SLOW[how])
    try:
        assert median_of_calls(user) < max(3 * usual, 0.15)
        assert instance.http.get("/health").status == 200
    finally:
        for sock in socks:
            sock.close()


def test_f20_a_storm_of_connections_is_served_or_refused(instance, user):
    answers = []
    stopping = threading.Event()

    def storm():
        while not stopping.is_set():
            try:
                with socket.create_connection(("127.0.0.1", instance.port), timeout=5) as sock:
                    sock.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
                    answers.append(sock.recv(12))
            except OSError:
                answers.append(b"")

    threads = [threading.Thread(target=storm) for _ in range(20)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        assert median_of_calls(user, 20) < 1
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert len(answers) > 500
    odd = [answer for answer in answers if not answer.endswith(b" 200")]
    assert len(odd) <= len(answers) / 1000, odd[:5]
    note("F-20", "slow headers and bodies, idle connections, a storm of them",
         3 * 700 + len(answers), None,
         "nginx holds them; no thread of ours waits, others are served as usual")
