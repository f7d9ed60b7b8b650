"""test_f_clients.py - clients that leave, do not read, or never finish asking."""

import contextlib
import json
import select
import socket
import statistics
import struct
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import chat_body
from harness import (HERE, PYTHON, WINDOW, add_tls, also_listen, calls_were, latencies,
                     not_disturbed, note)
from http2 import Http2, tls_context, tls_socket
from instance import Instance, wait_until


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


def by_half_close(sock):
    sock.shutdown(socket.SHUT_WR)


LEAVE = {"a reset": by_reset, "a close": by_fin, "a half-close": by_half_close}
OFTEN = 5  # each is done, and the median of the times counts


def gone(provider, mark):
    rows = provider.seen(mark)
    return rows and rows[0]["gone"] is not None and rows[0]


def status_of(instance, mark):
    got = instance.psql("select c.status from minuted.calls c join minuted.call_texts t "
                        f"using (user_id, id) where t.request like '%{mark}%'")
    return got and got[0][0] != "running" and got[0][0]


def leaves(instance, provider, begin, leave, early):
    """Seconds from leaving to the end of the provider's call."""
    mark = uuid.uuid4().hex
    plan = "first=5" if early else "endless=1 delay=0.02"
    sock = begin(chat_body(f"{plan} tag={mark}", stream=True))
    wait_until(lambda: provider.seen(mark))
    seen = b""
    while not early and b"word3" not in seen:
        seen += sock.recv(65536)
    left = time.monotonic()
    leave(sock)
    row = wait_until(lambda: gone(provider, mark), 5)
    sock.close()
    assert wait_until(lambda: status_of(instance, mark)) == "cancelled"
    return row["gone"] - left


def median_of_leaving(*args):
    return statistics.median(leaves(*args) for _ in range(OFTEN))


WHEN = ["before the first byte", "in the middle"]


@pytest.mark.parametrize("how", LEAVE)
@pytest.mark.parametrize("when", WHEN)
def test_f18_a_client_that_leaves_cancels_the_provider(instance, user, provider, how, when):
    took = median_of_leaving(
        instance, provider, lambda body: send_call(instance.port, user.token, body),
        LEAVE[how], when == WHEN[0])
    assert took < 0.1, took


@pytest.fixture(scope="module")
def tls(postgres, provider):
    """An instance whose nginx speaks TLS and HTTP/2, at .tls_port."""
    instance = Instance(postgres, provider=provider).start()
    add_tls(instance)
    yield instance
    instance.stop()


@pytest.mark.parametrize("when", WHEN)
def test_f18_a_stream_of_http2_that_is_reset_cancels_the_provider(tls, provider, when):
    user = tls.user()

    def begin(body):
        return Http2(tls.tls_port).ask("/v1/chat/completions", user.token, body)

    took = median_of_leaving(tls, provider, begin, Http2.reset, when == WHEN[0])
    assert took < 0.1, took
    note("F-18", "the client leaves by reset, close, half-close, or RST_STREAM of HTTP/2, "
         "early or in the middle", 8 * OFTEN, None,
         "the provider's call is cut within 100 ms, the record ends as cancelled")


def nginx_workers(instance):
    pid = instance.nginx.pid
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(word) for word in children.read().split()]


def memory(pid):
    """KB; the most that it had."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def open_still(socks):
    """How many were not closed by the other side."""
    ended = select.poll()
    for sock in socks:
        ended.register(sock, select.POLLRDHUP)
    return len(socks) - len(ended.poll(0))


class Readers:
    """Clients that read a byte a second, or none, until they are closed."""

    def __init__(self, port, token):
        self.port, self.token = port, token
        self.socks, self.drip = [], []
        self.ended = False
        self.thread = ThreadPoolExecutor(1).submit(self.run)

    def add(self, count, body, reads):
        new = [send_call(self.port, self.token, body, rcvbuf=4096) for _ in range(count)]
        self.socks += new
        self.drip += new if reads else []

    def run(self):
        while not self.ended:
            began = time.monotonic()
            for sock in list(self.drip):
                with contextlib.suppress(OSError):  # nothing yet, or it is cut
                    sock.recv(1, socket.MSG_DONTWAIT)
            time.sleep(max(0, began + 1 - time.monotonic()))

    def close(self):
        self.ended = True
        self.thread.result()
        for sock in self.socks:
            sock.close()


STREAM = chat_body("endless=1 size=60000 delay=0.5", stream=True)
BODY = chat_body("chunks=20 size=100000")  # JSON of 2 MB
SMALL = "backlog=4096 sndbuf=64k;"  # the kernel would hold megabytes of an answer
EACH = {"minuted": 4096, "nginx": 1024}  # KB that a slow reader may cost
STALLED = "select count(*) from minuted.calls where error = 'client_stalled'"


def test_f19_readers_that_stop_are_cut(make_instance):
    instance = make_instance(env={"CLIENT_STALL_TIMEOUT": "1s"})
    user = instance.user()
    port = also_listen(instance, SMALL)
    socks = [send_call(port, user.token, STREAM, rcvbuf=4096) for _ in range(20)]
    wait_until(lambda: instance.psql(STALLED) == [["20"]], 20, 0.2)
    assert user.chat().status == 200
    for sock in socks:
        sock.close()


@pytest.mark.slow
def test_f19_five_hundred_slow_readers_cost_little_and_are_cut(make_instance):
    """Of streams and of whole answers, a byte a second or none."""
    instance = make_instance(env={"CLIENT_STALL_TIMEOUT": "5s"})
    user = instance.user()
    before = nginx_workers(instance)
    port = also_listen(instance, SMALL)
    wait_until(lambda: not set(before) & set(nginx_workers(instance)))
    usual = latencies(instance, user, 1000)
    pids = {"minuted": instance.workers(), "nginx": nginx_workers(instance)}
    before = {name: sum(map(memory, of)) for name, of in pids.items()}
    readers = Readers(port, user.token)
    readers.add(200, STREAM, False)
    readers.add(200, STREAM, True)
    readers.add(50, BODY, False)
    readers.add(50, BODY, True)
    count = len(readers.socks)
    began = time.monotonic()
    within = latencies(instance, user, 1000)
    held = open_still(readers.socks)
    wait_until(lambda: not open_still(readers.socks), 90, 0.1)
    cut = time.monotonic() - began
    readers.close()
    running = "select count(*) from minuted.calls where status = 'running'"
    wait_until(lambda: instance.psql(running) == [["0"]], 20, 0.2)
    cost = {name: (sum(map(memory, of)) - before[name]) // count for name, of in pids.items()}
    print(held, cost, cut, instance.psql(STALLED))
    assert held == count
    assert instance.psql(STALLED) == [["400"]]  # a whole answer was there, its call is completed
    assert instance.workers() == pids["minuted"] and nginx_workers(instance) == pids["nginx"]
    assert all(cost[name] < most for name, most in EACH.items()), cost
    not_disturbed(usual, within, 4)  # the provider fills all of them here meanwhile
    note("F-19", "readers of a byte a second or none, of streams and of 2 MB of JSON", count, None,
         f"at most {cost['minuted']} KB of minuted and {cost['nginx']} KB of nginx for each; all "
         f"are cut within {cut:.0f} s, of CLIENT_STALL_TIMEOUT=5s and nginx's 10 s; "
         + calls_were("meanwhile", usual, within))


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
    usual, within, count = [], [], 700
    for _ in range(5):  # taking turns: what else the machine does is in both
        usual += latencies(instance, user, WINDOW)
        socks = open_sockets(instance.port, count, SLOW[how])
        try:
            within += latencies(instance, user, WINDOW)
            assert instance.http.get("/health").status == 200
        finally:
            for sock in socks:
                sock.close()
    not_disturbed(usual, within)
    note("F-20", f"{count} connections each that are idle, send half a header, or half "
         "a body", len(SLOW) * count, None, calls_were("with the last", usual, within))


def storms(port, rate, seconds):
    """Two processes that share the rate."""
    return [subprocess.Popen([*PYTHON, HERE / "storm.py", str(port), str(rate / 2),
                              str(seconds)], stdout=subprocess.PIPE, text=True)
            for _ in range(2)]


def storm_is_answered(instance, user, rate, seconds, count):
    """Latencies of calls before and within, and the connections made."""
    usual = latencies(instance, user, count)
    processes = storms(instance.port, rate, seconds)
    time.sleep(0.3)  # they have begun
    within = latencies(instance, user, count)
    running = [process.poll() is None for process in processes]
    told = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert all(running), "the storm was over first"
    begun = sum(each["begun"] for each in told)
    assert begun >= 0.9 * rate * seconds, told
    for each in told:
        assert set(each["answers"]) == {"200"}, told
    return usual, within, begun


def test_f20_a_storm_of_connections_is_served(instance, user):
    usual, within, _ = storm_is_answered(instance, user, 500, 2, 100)
    assert statistics.median(within) < max(3 * statistics.median(usual), 0.1)


@pytest.mark.slow
def test_f20_two_thousand_connections_a_second_are_served(instance, user):
    usual, within, begun = storm_is_answered(instance, user, 2000, 8, 1000)
    not_disturbed(usual, within)
    note("F-20 storm", "a storm of 2,000 new connections a second", begun, None,
         "every one is answered; " + calls_were("within", usual, within))


@pytest.mark.slow
def test_f20_five_thousand_idle_connections_of_tls_hold_nobody(tls):
    user = tls.user()
    usual = latencies(tls, user, 1000)
    context = tls_context("http/1.1")
    with ThreadPoolExecutor(8) as pool:
        socks = list(pool.map(lambda _: tls_socket(tls.tls_port, context), range(5000)))
    try:
        within = latencies(tls, user, 500)
        assert open_still(socks) == len(socks)
        not_disturbed(usual, within)
        assert tls.http.get("/health").status == 200
    finally:
        for sock in socks:
            sock.close()
    note("F-20 TLS", "5,000 idle connections of TLS", len(socks), None,
         "nginx holds them; " + calls_were("with them", usual, within))
