"""test_f_upstream.py - providers that fail in every way there is, and networks
that are cut.  Every call has an end in the log, and an honest one for its client.
"""

import time

import pytest

from faultproxy import FaultProxy
from harness import descriptors, note, settle
from instance import wait_until

DEADLINES = {"PROVIDER_CONNECT_TIMEOUT": "1s", "PROVIDER_FIRST_BYTE_TIMEOUT": "2s",
             "PROVIDER_IDLE_TIMEOUT": "1s", "PROVIDER_TOTAL_TIMEOUT": "6s"}
WITHIN = 9  # seconds: the longest deadline and some


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
def test_f16_a_provider_that_fails(spoiled, proxy, client, fault, stream):
    settings, plan = FAULTS[fault]
    if not stream and plan in ("garbage=1", "badutf8=1", "errorevent=1", "unterminated=1",
                               "chunks=3 huge=1"):
        plan = "nonsense=1"
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


def took(what, *args):
    began = time.monotonic()
    return what(*args), time.monotonic() - began


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
