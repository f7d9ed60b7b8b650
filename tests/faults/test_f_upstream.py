"""test_f_upstream.py - providers that fail in every way there is, and networks
that are cut.  Every call has an end in the log, and an honest one for its client.
"""

import contextlib
import os
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from faultproxy import FaultProxy
from harness import (calls_were, certificate, descriptors, latencies, not_disturbed, note,
                     settle)
from instance import wait_until

DEADLINES = {"PROVIDER_CONNECT_TIMEOUT": "1s", "PROVIDER_FIRST_BYTE_TIMEOUT": "2s",
             "PROVIDER_IDLE_TIMEOUT": "1s", "PROVIDER_TOTAL_TIMEOUT": "6s"}
WITHIN = 9  # seconds: the longest deadline and some


def took(what, *args):
    began = time.monotonic()
    return what(*args), time.monotonic() - began


@pytest.fixture(scope="module")
def spoiled(postgres, provider):
    """An instance that reaches its provider through a proxy."""
    from instance import Instance

    proxy = FaultProxy(("127.0.0.1", provider.port))
    env = {"OPENAI_BASE_URL": f"http://127.0.0.1:{proxy.port}/v1", **DEADLINES}
    instance = Instance(postgres, provider=provider, env=env).start()
    instance.proxy = proxy
    yield instance
    instance.stop()
    proxy.stop()


@pytest.fixture
def proxy(spoiled):
    proxy = spoiled.proxy
    yield proxy
    proxy.latency, proxy.drip, proxy.cut, proxy.how = 0.0, 0.0, -1, "rst"
    proxy.hole = proxy.refuse = False
    proxy.cut_all()


@pytest.fixture
def client(spoiled):
    return spoiled.user()


# what the proxy does (to a stream after some bytes), and what the provider is told
FAULTS = {
    "refused": ({"refuse": True}, ""),
    "reset at once": ({"cut": 0}, ""),
    "reset in the middle": ({"cut": 700}, "chunks=50"),
    "half closed in the middle": ({"cut": 700, "how": "fin"}, "chunks=50"),
    "closed in the middle": ({"cut": 700, "how": "close"}, "chunks=50"),
    "garbage in the middle": ({"cut": 700, "how": "garbage"}, "chunks=50"),
    "garbage at once": ({"cut": 0, "how": "garbage"}, ""),
    "nothing": ({"hole": True}, ""),
    "a byte now and then": ({"drip": 0.3}, "chunks=50"),
    "an answer without end": ({}, "endless=1 delay=0.05"),
    "silence before": ({}, "stall=0"),
    "silence within": ({}, "chunks=9 stall=2"),
    "a huge line": ({}, "chunks=3 huge=1"),
    "no JSON": ({}, "garbage=1"),
    "no UTF-8": ({}, "badutf8=1"),
    "an error event": ({}, "errorevent=1"),
    "no end": ({}, "unterminated=1"),
    "429": ({}, "status=429 retry_after=7"),
    "500": ({}, "status=500"),
    "503": ({}, "status=503"),
}
GOES_ON = {"no JSON", "no UTF-8", "a huge line"}  # what may be passed over
ENDS = {"completed", "failed", "cancelled", "interrupted"}


def record_of(spoiled, call_id):
    rows = spoiled.psql("select status, coalesce(error, '') from minuted.calls "
                        f"where id = '{call_id}'")
    return rows[0] if rows and rows[0][0] != "running" else None


# faults of streams that a whole answer of this provider does not have
ONLY_STREAMS = {"an answer without end", "silence within"}
CASES = [(fault, stream) for fault in FAULTS for stream in (False, True)
         if stream or fault not in ONLY_STREAMS]


@pytest.mark.parametrize("fault, stream", CASES)
def test_f16_a_provider_that_fails(spoiled, proxy, client, provider, fault, stream):
    settings, plan = FAULTS[fault]
    mark = f"f{time.monotonic_ns()}"
    if not stream and plan in ("garbage=1", "badutf8=1", "errorevent=1", "unterminated=1",
                               "chunks=3 huge=1"):
        plan = "nonsense=1"
    plan += f" tag={mark}"
    for name, value in settings.items():
        setattr(proxy, name, value)
    client.check = False
    began = time.monotonic()
    texts = []
    if stream:
        with client.chat_stream(plan) as answer:
            texts = [event.data for event in answer.events()]
            status = answer.status
    else:
        answer = client.chat(plan)
        status = answer.status
    assert time.monotonic() - began < WITHIN
    assert len(provider.seen(mark)) == (fault not in ("refused", "nothing")), answer
    record = wait_until(lambda: record_of(spoiled, answer.headers["X-Call-Id"]), 5)
    done = bool(texts) and texts[-1] == "[DONE]"
    if fault in GOES_ON and stream and done:
        assert record[0] == "completed"
        return
    assert not done
    assert record[0] == "failed" and record[1], record
    if stream and status == 200:
        assert '"error"' in texts[-1], texts[-1:]
    else:
        assert status in (429, 500, 502, 503, 504), status
        if status in (429, 503):
            assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.slow
def test_f16_after_all_of_it_nothing_is_left(spoiled, proxy, client, provider):
    """Descriptors and open calls are back to where they were, and the next call
    works."""
    assert client.chat().status == 200
    before = sum(descriptors(pid) for pid in spoiled.workers())
    for settings, plan in FAULTS.values():
        if "hole" in settings or "drip" in settings or "stall" in plan or "endless" in plan:
            continue
        for name, value in settings.items():
            setattr(proxy, name, value)
        for _ in range(3):
            client.check = False
            client.chat(plan)
        proxy.cut, proxy.how, proxy.refuse = -1, "rst", False
    wait_until(lambda: client.chat().status == 200)
    settle(spoiled)
    wait_until(lambda: sum(descriptors(p) for p in spoiled.workers()) <= before + 8)
    rows = spoiled.psql("select count(*), count(distinct id) from minuted.calls")
    assert rows[0][0] == rows[0][1]
    note("F-16", "providers that refuse, reset, stall, drip, talk garbage or never end",
         len(CASES), None,
         "a mapped error within the deadline, never a forged end, the text so far is kept")


def test_f16_a_name_that_does_not_exist_is_502(make_instance):
    instance = make_instance(env={"OPENAI_BASE_URL": "http://provider.invalid/v1",
                                  "PROVIDER_ALLOW": "provider.invalid", **DEADLINES})
    user = instance.user()
    began = time.monotonic()
    got = user.chat()
    assert got.status in (502, 504), got
    assert time.monotonic() - began < WITHIN


class TlsProvider:
    """Accepts at .port, and keeps what it was told once TLS was agreed on; with
    no context it speaks none."""

    def __init__(self, context):
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.opened, self.told = 0, b""
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                sock, _ = self.listener.accept()
                self.opened += 1
                sock.settimeout(5)
                with contextlib.suppress(OSError), sock:
                    self.listen_to(sock)

    def listen_to(self, sock):
        if self.context is None:
            self.told += sock.recv(4096)
            sock.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
            return
        with self.context.wrap_socket(sock, server_side=True) as secure:
            while data := secure.recv(4096):
                self.told += data


@pytest.mark.parametrize("speaks", ["a certificate that nobody signed", "no TLS"])
def test_f16_a_provider_without_a_trusted_certificate_is_told_nothing(
        make_instance, tmp_path, speaks):
    context = None
    if speaks != "no TLS":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate(tmp_path))
    provider = TlsProvider(context)
    instance = make_instance(env={
        "OPENAI_BASE_URL": f"https://localhost:{provider.port}/v1", **DEADLINES})
    user = instance.user()
    got, seconds = took(user.chat, "a secret question")
    assert got.status == 502 and got.json()["error"]["code"] == "upstream_tls", got
    assert seconds < 2
    with user.chat_stream("a secret question") as stream:
        assert stream.status == 502
    assert provider.opened == 2  # neither call was tried again
    assert b"secret" not in provider.told and b"sk-canary" not in provider.told
    assert context is None or not provider.told
    record = wait_until(lambda: record_of(instance, got.headers["X-Call-Id"]), 5)
    assert record == ["failed", "upstream_tls"]
    provider.listener.close()


@pytest.fixture
def behind_dns(net, make_instance, tmp_path):
    """An instance whose provider has a name, and a DNS server that takes every
    question and answers none: .questions is its socket."""
    questions = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    questions.bind((net.HERE, 53))
    questions.settimeout(0)
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {net.HERE}\noptions timeout:3 attempts:1\n")
    instance = make_instance(start=False, env={
        "OPENAI_BASE_URL": "http://provider.example.net/v1",
        "PROVIDER_ALLOW": "provider.example.net", **DEADLINES})
    instance.within = net.program(conf)
    instance.questions = questions
    yield instance.start()
    questions.close()


def threads_of(instance):
    return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in instance.workers())


def test_f16_a_dns_that_swallows_holds_only_who_asks_it(behind_dns):
    instance = behind_dns
    user = instance.user()
    usual = latencies(instance, user, 300)
    before = threads_of(instance)
    count = 20
    with ThreadPoolExecutor(count) as pool:
        asking = [pool.submit(took, user.chat) for _ in range(count)]
        wait_until(lambda: threads_of(instance) > before)  # those that resolve
        within = latencies(instance, user, 300)
        got = [each.result() for each in asking]
    assert instance.questions.recv(512)
    assert {answer.status for answer, _ in got} == {504}
    slowest = max(seconds for _, seconds in got)
    assert slowest < 2, slowest  # of PROVIDER_CONNECT_TIMEOUT=1s
    not_disturbed(usual, within)
    wait_until(lambda: threads_of(instance) <= before, 20)
    note("F-16 DNS", "a DNS server that takes every question and answers none", count, None,
         f"504 after {slowest:.1f} s of PROVIDER_CONNECT_TIMEOUT=1s; "
         + calls_were("meanwhile", usual, within))


def test_f16_a_provider_that_drops_kept_connections_is_hardly_asked_again(
        make_instance, provider):
    """It may have been at work: once more at most, and for a tenth of calls."""
    proxy = FaultProxy(("127.0.0.1", provider.port))
    instance = make_instance(env={"WORKERS": 1, **DEADLINES,
                                  "OPENAI_BASE_URL": f"http://127.0.0.1:{proxy.port}/v1"})
    user = instance.user()
    warm, failing = 20, 40
    with ThreadPoolExecutor(warm) as pool:  # so many connections are kept
        assert {got.status for got in pool.map(lambda _: user.chat("first=0.3"), range(warm))} \
            == {200}
    proxy.cut = 0
    user.check = False
    mark = f"kept{time.monotonic_ns()}"
    asked = []
    for number in range(failing):
        got = user.chat(f"tag={mark}{number}.")
        assert got.status == 502 and got.json()["error"]["code"] == "upstream_truncated", got
        asked.append(len(provider.seen(f"{mark}{number}.")))
    assert set(asked) <= {1, 2}, asked
    assert sum(asked) - failing <= 1 + (warm + failing) / 10, asked
    proxy.cut = -1
    assert user.chat().status == 200
    proxy.stop()
    note("F-16 again", "a provider that resets every kept connection when it is asked", failing,
         None, f"502; asked again {sum(asked) - failing} times: once a call at most, for a "
         "tenth of the calls, never after the first byte")


def test_f16_kept_connections_that_were_reset_are_not_used(proxy, client, provider):
    for number in range(10):
        mark = f"reset{time.monotonic_ns()}"
        assert client.chat(f"tag={mark}").status == 200
        assert len(provider.seen(mark)) == 1
        proxy.cut_all()


def test_f16_no_retry_after_the_first_byte(proxy, client, provider):
    proxy.cut, proxy.how = 700, "rst"
    mark = f"once{time.monotonic_ns()}"
    with client.chat_stream(f"chunks=50 tag={mark}") as stream:
        assert "[DONE]" not in stream.texts()
    assert len(provider.seen(mark)) == 1


def test_f17_a_cut_network_to_the_provider_is_found(spoiled, proxy, client):
    """What is sent vanishes, nothing closes: the idle deadline finds it."""
    before = sum(descriptors(pid) for pid in spoiled.workers())
    with client.chat_stream("chunks=100 delay=0.05") as stream:
        events = stream.events()
        next(events)
        proxy.hole = True
        began = time.monotonic()
        texts = [event.data for event in events]
    assert time.monotonic() - began < 4
    assert "[DONE]" not in texts and '"error"' in texts[-1]
    proxy.hole = False
    wait_until(lambda: sum(descriptors(p) for p in spoiled.workers()) <= before + 4)
    note("F-17", "the network to the provider swallows everything", 1, None,
         "found by the idle deadline; the stream ends with an error, no descriptor leaks")


@pytest.fixture
def over_the_net(cluster, provider, net, make_instance):
    """An instance that reaches provider and PostgreSQL over a network that can
    be cut."""
    proxies = [FaultProxy(("127.0.0.1", provider.port), listener=net.listener()),
               FaultProxy(str(cluster.dir / "run/.s.PGSQL.5432"), listener=net.listener())]
    ports = [proxy.listener.getsockname()[1] for proxy in proxies]
    instance = make_instance(start=False, cluster=cluster, env={
        "OPENAI_BASE_URL": f"http://{net.THERE}:{ports[0]}/v1",
        "PROVIDER_ALLOW": f"{net.THERE}:{ports[0]}", **DEADLINES})
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL"):
        url = str(instance.settings[name])
        instance.settings[name] = url.partition("?")[0] + f"?host={net.THERE}&port={ports[1]}"
    instance.start()
    instance.proxies = proxies
    yield instance
    for proxy in proxies:
        proxy.stop()


def test_f17_a_network_that_is_cut_is_noticed_in_time(over_the_net, net):
    """To the provider and to PostgreSQL at once: nothing arrives, nothing is
    closed."""
    instance = over_the_net
    user = instance.user()
    for _ in range(12):
        assert user.chat().status == 200
    settle(instance)
    before = sum(descriptors(pid) for pid in instance.workers())
    with user.chat_stream("chunks=1000 delay=0.05") as stream:
        events = stream.events()
        next(events)
        net.down()
        texts, cut = took(lambda: [event.data for event in events])
    assert '"error"' in texts[-1]
    call, refused = took(user.chat)
    assert call.status in (502, 503, 504), call
    read, unread = took(user.get, "/v1/calls")
    assert read.status == 503
    net.up()
    for proxy in instance.proxies:
        proxy.cut_all()  # as their hosts would in time
    wait_until(lambda: user.chat().status == 200, 20)
    settle(instance)
    rows = instance.psql("select status from minuted.calls where id = '%s'"
                         % stream.headers["X-Call-Id"])
    assert rows == [["failed"]]
    wait_until(lambda: sum(descriptors(p) for p in instance.workers()) <= before + 8)
    print("cut", cut, refused, unread)
    assert cut < 12 and refused < 12 and unread < 12
    note("F-17 net", "the network to provider and PostgreSQL is cut", 1, None,
         f"a stream ends with an error after {cut:.1f} s, a new call after {refused:.1f} s, "
         f"a read is 503 after {unread:.1f} s; no descriptor leaks")
