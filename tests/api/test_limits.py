"""test_limits.py - limits hold over four workers, under concurrency, and when
a worker dies."""

import concurrent.futures
import decimal
import os
import signal
import subprocess
import time
import uuid

import pytest

from client import chat_body, flows
from instance import Instance, Postgres, wait_until

HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


@pytest.fixture(scope="module")
def four(postgres, provider):
    """Four workers, login limits as they are by default, and a model whose
    answers cost a dollar a token and whose prompts cost nothing."""
    instance = Instance(postgres, provider=provider, env={
        "WORKERS": 4, "LOGIN_FAILURES_MAX": None, "OPENAI_MODELS": "fake,dear,unpriced"})
    instance.start()
    instance.psql("select admin.set_price('openai', 'dear', 0, 1000000, 0)")
    yield instance
    instance.stop()


@pytest.fixture
def user(four):
    return four.user()


def limit(instance, user, what, amount, key=None, window=None):
    def text(value):
        return "null" if value is None else f"'{value}'"
    instance.psql(f"select admin.set_limit('{user.email}', '{what}', "
                  f"{text(amount)}::numeric, {text(key)}, {text(window)}::bigint)")
    time.sleep(0.3)  # workers are told


def many(count, work):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return [f.result() for f in [pool.submit(work, i) for i in range(count)]]


def key_of(user, four):
    made = user.post("/api/apikeys", {"name": "k"}).json()
    four.secrets.append(made["key"])
    client = user.as_user(made["key"])
    client.prefix = made["prefix"]
    return client


def dear(user, tokens=1, **more):
    more.setdefault("max_tokens", tokens)
    tag = more.pop("tag", "none")
    return user.chat(f"chunks={tokens} tag={tag}", model="dear", **more)


# Requests.


def test_requests_are_exact_under_concurrency(four, user):
    limit(four, user, "requests", 20, window=60)
    got = many(50, lambda _: user.get("/auth/profile"))
    assert sorted(g.status for g in got) == [200] * 20 + [429] * 30
    for answer in got:
        assert all(answer.headers[name] for name in HEADERS), answer.headers
        assert answer.headers["RateLimit-Limit"] == "20"
        assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60
    left = sorted(int(g.headers["RateLimit-Remaining"]) for g in got if g.status == 200)
    assert left == list(range(20))
    late = [g for g in got if g.status == 429][0]
    assert late.headers["Retry-After"] == late.headers["RateLimit-Reset"]
    assert late.json()["code"] == "rate_limit_exceeded"
    got = user.get("/v1/models")
    assert got.status == 429 and got.json()["error"]["code"] == "rate_limit_exceeded"


def test_a_window_ends(four, user):
    limit(four, user, "requests", 1, window=1)
    assert user.get("/auth/profile").status == 200
    got = user.get("/auth/profile")
    assert got.status == 429 and got.headers["Retry-After"] == "1"
    time.sleep(1.1)
    assert user.get("/auth/profile").status == 200


def test_the_limits_of_a_key_and_of_its_user_both_apply(four, user):
    one, two = key_of(user, four), key_of(user, four)
    limit(four, user, "requests", 6, window=60)
    limit(four, user, "requests", 3, key=one.prefix, window=60)
    got = many(10, lambda _: one.get("/v1/models"))
    assert sorted(g.status for g in got) == [200] * 3 + [429] * 7
    # what the key's limit refused took nothing from the user's
    got = many(10, lambda _: two.get("/v1/models"))
    assert sorted(g.status for g in got) == [200] * 3 + [429] * 7


def test_a_key_in_the_body_is_limited_as_one_in_a_header(four, user):
    key = key_of(user, four)
    limit(four, user, "requests", 2, window=60)
    log = {"user_id": "u", "message": "m", "api_key": key.token}
    got = [four.http.post("/api/event-log", log).status for _ in range(3)]
    assert got == [201, 201, 429]


def test_others_are_not_limited(four, user):
    limit(four, user, "requests", 1, window=60)
    other = four.user()
    got = many(10, lambda _: other.get("/auth/profile"))
    assert [g.status for g in got] == [200] * 10
    assert "RateLimit-Limit" not in got[0].headers


def test_a_change_counts_within_a_second_and_none_lifts_it(four, user):
    limit(four, user, "requests", 1, window=60)
    assert user.get("/auth/profile").status == 200
    assert user.get("/auth/profile").status == 429
    began = time.monotonic()
    four.psql(f"select admin.set_limit('{user.email}', 'requests', null)")
    wait_until(lambda: user.get("/auth/profile").status == 200, 1)
    assert time.monotonic() - began < 1


def test_a_changed_window_is_no_longer_than_it_says(four, user):
    limit(four, user, "requests", 2, window=86400)
    assert [user.get("/auth/profile").status for _ in range(3)] == [200, 200, 429]
    limit(four, user, "requests", 2, window=1)
    for _ in range(2):
        wait_until(lambda: user.get("/auth/profile").status == 429, 3)
        time.sleep(1.1)
        assert user.get("/auth/profile").status == 200


def test_the_playground_keeps_its_own_headers(four, user):
    limit(four, user, "requests", 20, window=60)
    path = "/playground/stream?prompt=x&models=fake"
    got = user.request("HEAD", path)
    assert got.status == 200 and got.headers.get_all("RateLimit-Limit") == ["50"]


# Calls at once.


def test_calls_at_once_are_exact_and_come_back(four, user, provider):
    limit(four, user, "calls", 3)
    tag = uuid.uuid4().hex
    body = chat_body(f"tag={tag} first=1.0")
    got = flows(four.port, user.token, [body] * 12)
    assert sorted(f.status for f in got) == [200] * 3 + [429] * 9
    assert len(provider.seen(tag)) == 3
    got = user.chat("status=500")
    assert got.status == 502, got  # failed calls give back, too
    got = flows(four.port, user.token, [body] * 3)
    assert [f.status for f in got] == [200] * 3


def test_calls_of_a_killed_worker_are_given_back(make_instance, provider):
    instance = make_instance(env={"WORKERS": 4})
    user = instance.user()
    limit(instance, user, "calls", 2)
    streams = [user.chat_stream("chunks=2 delay=30") for _ in range(2)]
    for stream in streams:
        next(stream.events())
    assert user.chat("x").status == 429
    for pid in instance.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: user.chat("x").status == 200, 10, every=0.1)
    for stream in streams:
        stream.close()


# Tokens.


def test_tokens_a_minute(four, user, provider):
    limit(four, user, "tokens", 1000)
    tag = uuid.uuid4().hex
    # each reserves its ceiling and its prompt, and is settled to 11 + 3
    got = flows(four.port, user.token, [
        chat_body(f"chunks=3 first=0.7 tag={tag}", max_tokens=280)] * 10)
    passed = len([f for f in got if f.status == 200])
    assert passed == 3 and len(provider.seen(tag)) == 3
    got = user.chat("chunks=3", max_tokens=700)
    assert got.status == 200, got
    # used: what a provider answers beyond the ceiling counts afterwards
    got = user.chat("chunks=2000", max_tokens=700)
    assert got.status == 200
    got = user.chat("chunks=3")
    assert got.status == 429 and got.json()["error"]["code"] == "tokens_exceeded"
    assert 1 <= int(got.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("what, amount", [("tokens", 40), ("calls", 1)])
def test_a_limit_of_calls_alone_is_told_on_every_answer(four, user, what, amount):
    limit(four, user, what, amount)
    with user.chat_stream("chunks=3 delay=1.5") as stream:
        assert [stream.headers[name] for name in HEADERS][0] == str(amount)
        assert int(stream.headers["RateLimit-Remaining"]) < amount
        got = user.chat("chunks=3", max_tokens=35)
        assert got.status == 429
        assert [got.headers.get_all(name) for name in HEADERS][0] == [str(amount)]
        assert got.headers["RateLimit-Reset"] == got.headers["Retry-After"]
        assert sum(1 for _ in stream.events())
    assert "RateLimit-Limit" not in user.get("/auth/profile").headers


def test_tokens_a_minute_hold_without_a_ceiling(four, user, provider):
    limit(four, user, "tokens", 10_000)
    tag = uuid.uuid4().hex
    # each takes 4,096 and its prompt, and is settled to 11 + 300
    got = flows(four.port, user.token, [chat_body(f"chunks=300 first=0.7 tag={tag}")] * 30)
    # or what is left, as the third
    assert sorted(f.status for f in got) == [200] * 3 + [429] * 27
    assert len(provider.seen(tag)) == 3
    got = user.chat("chunks=300")
    assert got.status == 200, got


def test_a_call_without_a_ceiling_takes_no_more_than_the_limit(four, user, provider):
    limit(four, user, "tokens", 1000)
    tag = uuid.uuid4().hex
    got = flows(four.port, user.token, [chat_body(f"chunks=300 first=0.7 tag={tag}")] * 30)
    assert sorted(f.status for f in got) == [200] + [429] * 29
    assert len(provider.seen(tag)) == 1
    # what it gave back is there for others, one after the other
    for _ in range(5):
        assert user.chat("chunks=3").status == 200


@pytest.mark.parametrize("amount", [300, 8000])
def test_the_models_of_a_prompt_share_what_is_left(four, user, provider, amount):
    limit(four, user, "tokens", amount)
    tag = uuid.uuid4().hex
    path = f"/playground/stream?prompt=tag%3D{tag}&models=fake,dear,unpriced"
    for _ in range(3):
        assert user.get(path).status == 200
    assert len(provider.seen(tag)) == 9


def test_a_ceiling_above_the_limit_is_not_refused_for_ever(four, user):
    limit(four, user, "tokens", 500)
    assert user.chat("chunks=3", max_tokens=5000).status == 200
    assert user.chat("chunks=3", max_tokens=200).status == 200


# Budget.


def test_fifty_parallel_calls_on_a_budget_for_five(four, user, provider):
    limit(four, user, "budget", 5)
    tag = uuid.uuid4().hex
    body = chat_body(f"chunks=1 first=0.3 tag={tag}", model="dear", max_tokens=1)
    got = flows(four.port, user.token, [body] * 50)
    assert sorted(f.status for f in got) == [200] * 5 + [429] * 45
    assert len(provider.seen(tag)) == 5
    got = dear(user)
    assert got.status == 429 and got.json()["error"]["code"] == "insufficient_quota"
    assert int(got.headers["Retry-After"]) > 60


def test_without_a_ceiling_an_answer_costs_no_more_than_was_reserved(four, user, provider):
    tag = uuid.uuid4().hex
    limit(four, user, "budget", 5000)
    body = {"model": "dear", "max_tokens": None,
            "messages": [{"role": "user", "content": f"tag={tag} chunks=9000 obey=1"}]}
    assert user.post("/v1/chat/completions", body).status == 200
    assert user.post("/v1/chat/completions", body).status == 429
    assert [row["body"]["max_tokens"] for row in provider.seen(tag)] == [4096]
    assert spent(four, user) == 4096


def test_the_larger_of_two_ceilings_is_reserved(four, user, provider):
    tag = uuid.uuid4().hex
    limit(four, user, "budget", 5)
    for names in ({"max_completion_tokens": 1, "max_tokens": 6},
                  {"max_completion_tokens": 6, "max_tokens": 1}):
        assert dear(user, 1, tag=tag, **names).status == 429
    assert dear(user, 1, n=3, max_tokens=2).status == 429
    assert provider.seen(tag) == []


@pytest.mark.parametrize("what", ["budget", "tokens"])
@pytest.mark.parametrize("name, value", [
    ("max_tokens", 0), ("max_tokens", "5"), ("max_tokens", 5.0), ("max_tokens", -1),
    ("max_completion_tokens", True), ("max_completion_tokens", 2 ** 31),
    ("n", 0), ("n", 129), ("n", "2"), ("n", [1])])
def test_a_ceiling_that_cannot_be_read_is_a_400(four, user, provider, what, name, value):
    tag = uuid.uuid4().hex
    limit(four, user, what, 5000)
    got = dear(user, tag=tag, **{"max_tokens": None, name: value})
    assert got.status == 400 and got.json()["error"]["param"] == name, got
    assert provider.seen(tag) == []
    assert dear(user).status == 200  # nothing is held


def test_without_a_budget_a_request_is_forwarded_as_it_came(four, user, provider):
    tag = uuid.uuid4().hex
    sent = [{"max_tokens": None}, {"max_tokens": -1, "n": "2"},
            {"max_completion_tokens": 7, "max_tokens": 9}, {}]
    limit(four, user, "calls", 5)
    for more in sent:
        assert user.chat(f"tag={tag}", **more).status == 200
    names = ("max_tokens", "max_completion_tokens", "n")
    assert [{n: row["body"][n] for n in names if n in row["body"]}
            for row in provider.seen(tag)] == sent


def test_a_call_is_settled_by_what_it_cost(four, user):
    limit(four, user, "budget", 10)
    # reserves 8, costs 2: the fifth has no room for 8, and 2 fit
    statuses = [dear(user, 2, max_tokens=8).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert dear(user, 2).status == 200
    assert [dear(user, 2).status for _ in range(3)] == [200, 200, 429]


def test_failed_calls_and_clients_that_leave_give_back(four, user):
    limit(four, user, "budget", 5)
    assert user.chat("status=500", model="dear", max_tokens=5).status == 502
    stream = user.chat_stream("chunks=2 delay=20", model="dear", max_tokens=5)
    next(stream.events())
    assert dear(user, 1, max_tokens=4).status == 429
    stream.close()  # one word was paid for
    wait_until(lambda: dear(user, 1, max_tokens=4).status == 200, 5, every=0.1)


# Twenty pieces of 400 characters, a hundred tokens each, of thirty.
PIECES = "chunks=30 stall=20 size=400"
EVERYTHING = ["into=content", "into=arguments", "into=function_call", "into=refusal",
              "into=reasoning_content", "chunks=1 second=30"]


def left_early(user, words):
    """A stream of which twenty pieces came, still open."""
    stream = user.chat_stream(f"{PIECES} {words}", model="dear", max_tokens=9)
    assert stream.status == 200
    events = stream.events()
    for _ in range(20):
        next(events)
    return stream


@pytest.mark.parametrize("words", EVERYTHING)
def test_who_leaves_before_the_usage_pays_for_what_came(four, user, words):
    limit(four, user, "budget", 1000)
    stream = left_early(user, words)
    stream.close()
    status, tokens, estimated, dollars = wait_until(lambda: ends_of(four, stream))
    assert (status, estimated) == ("cancelled", "t")
    assert 1800 <= int(tokens) == int(dollars) <= 2000
    assert dear(user).status == 429


@pytest.mark.parametrize("words", EVERYTHING)
def test_a_whole_answer_without_usage_is_paid_for(four, user, words):
    got = user.chat(f"chunks=20 size=400 usage=0 {words}", model="dear")
    assert got.status == 200
    _, tokens, estimated, dollars = ends_of(four, got)
    assert estimated == "t" and 2000 <= int(tokens) == int(dollars) <= 3100


def test_what_a_prompt_reserves_is_what_it_costs_by_estimate(four, user):
    four.psql("select admin.set_price('openai', 'long', 1000000, 0, 0)")
    body = {"tools": [{"type": "function", "function": {
        "name": "look", "parameters": {"type": "object", "description": "d" * 4000}}}]}
    limit(four, user, "budget", 5000)
    stream = user.chat_stream("chunks=2 delay=5", model="long", **body)
    next(stream.events())
    stream.close()
    cost = int(wait_until(lambda: ends_of(four, stream))[3])
    assert 1000 < cost < 1100
    limit(four, user, "budget", 2 * cost - 1)
    assert user.chat("chunks=2 delay=5", model="long", stream=True, **body).status == 429
    limit(four, user, "budget", 2 * cost)
    assert user.chat("chunks=2 delay=0", model="long", stream=True, **body).status == 200


def with_dear_model(make_instance, **env):
    instance = make_instance(env={"OPENAI_MODELS": "dear", **env})
    instance.psql("select admin.set_price('openai', 'dear', 0, 1000000, 0)")
    return instance


def kill_workers(instance):
    for pid in instance.workers():
        os.kill(pid, signal.SIGKILL)


def ends_of(instance, stream):
    """Status, tokens, whether by estimate, and dollars of a stream's call."""
    rows = instance.psql(
        "select status, completion_tokens, estimated, cost_pico / 1000000000000"
        f" from minuted.calls where id = '{stream.headers['X-Call-Id']}'")
    return rows[0] if rows and rows[0][0] != "running" else None


def spent(instance, user):
    return float(instance.psql("select spent_usd from admin.limits where email = "
                               f"'{user.email}' and key is null")[0][0])


def test_a_killed_worker_gives_back_what_it_reserved(make_instance):
    instance = with_dear_model(make_instance, WORKERS=4)
    user = instance.user()
    limit(instance, user, "budget", 10)
    stream = user.chat_stream("chunks=3 first=0.1 delay=30", model="dear", max_tokens=10)
    next(stream.events())
    assert dear(user, 1).status == 429
    kill_workers(instance)
    # of the ten, what the words so far cost is gone
    wait_until(lambda: dear(user, 1, max_tokens=8).status == 200, 10, every=0.1)
    stream.close()


def test_what_a_killed_worker_had_answered_is_paid_for(make_instance):
    instance = with_dear_model(make_instance, WORKERS=2)
    user = instance.user()
    key = key_of(user, instance)
    limit(instance, user, "budget", 60)
    limit(instance, user, "budget", 60, key=key.prefix)
    # from here on the sum is memory's: it is read, and compared for a minute
    assert [dear(key).status for _ in range(2)] == [200, 200]
    streams = [key.chat_stream("chunks=40 delay=0.1", model="dear", max_tokens=8)
               for _ in range(5)]
    for stream in streams:
        events = stream.events()
        for _ in range(4):
            next(events)
    kill_workers(instance)
    ends = [wait_until(lambda s=s: ends_of(instance, s), 20) for s in streams]
    for status, tokens, estimated, dollars in ends:
        assert (status, estimated) == ("interrupted", "t")
        assert int(tokens) == int(dollars) >= 1
    paid = 2 + sum(int(dollars) for *_, dollars in ends)
    assert spent(instance, user) == paid
    left = 60 - paid
    wait_until(lambda: dear(key, 1, max_tokens=left).status == 200, 10, every=0.1)
    assert dear(key, 1, max_tokens=left).status == 429
    assert dear(user, 1, max_tokens=left).status == 429
    assert dear(user, 1, max_tokens=left - 1).status == 200
    for stream in streams:
        stream.close()


def test_everything_that_a_killed_worker_had_answered_is_paid_for(make_instance):
    instance = with_dear_model(make_instance, WORKERS=2)
    user = instance.user()
    limit(instance, user, "budget", 100_000)
    streams = [left_early(user, words) for words in EVERYTHING]
    kill_workers(instance)
    ends = [wait_until(lambda s=s: ends_of(instance, s), 20) for s in streams]
    for words, (status, tokens, estimated, dollars) in zip(EVERYTHING, ends):
        assert (words, status, estimated) == (words, "interrupted", "t")
        assert 1800 <= int(tokens) == int(dollars) <= 2000, words
    assert spent(instance, user) == sum(int(dollars) for *_, dollars in ends)
    for stream in streams:
        stream.close()


def test_the_budget_holds_over_workers_that_are_killed(make_instance, provider):
    instance = with_dear_model(make_instance, WORKERS=2)
    user = instance.user()
    user.check = False
    limit(instance, user, "budget", 10)
    tag = uuid.uuid4().hex
    for _ in range(10):
        streams = [user.chat_stream(f"tag={tag} chunks=3 delay=0.3", model="dear", max_tokens=2)
                   for _ in range(5)]
        open_ones = [s for s in streams if s.status == 200]
        for stream in open_ones:
            next(stream.events())
        kill_workers(instance)
        for stream in streams:
            stream.close()
        instance.wait_healthy()
        if not open_ones:
            break
        # until then they hold what they reserved
        wait_until(lambda: instance.psql(
            "select count(*) from minuted.calls where status = 'interrupted'")
            == [[str(len(provider.seen(tag)))]])
    assert not open_ones
    assert len(provider.seen(tag)) <= 10
    assert 9 <= spent(instance, user) <= 10


def test_what_was_spent_without_a_budget_counts(four, user):
    for _ in range(3):
        assert dear(user, 2).status == 200
    limit(four, user, "budget", 8)
    assert dear(user, 3).status == 429
    assert dear(user, 2).status == 200
    assert dear(user, 1).status == 429


def test_the_budget_of_a_key_and_of_its_user_both_apply(four, user):
    one, two = key_of(user, four), key_of(user, four)
    limit(four, user, "budget", 4)
    limit(four, user, "budget", 2, key=one.prefix)
    assert [dear(one).status for _ in range(3)] == [200, 200, 429]
    assert [dear(two).status for _ in range(3)] == [200, 200, 429]


def test_an_unknown_price_is_a_503_and_no_free_call(four, user, provider):
    limit(four, user, "budget", 5)
    tag = uuid.uuid4().hex
    got = user.chat(f"tag={tag}", model="unpriced")
    assert got.status == 503 and got.json()["error"]["code"] == "spend_unknown"
    assert got.headers["Retry-After"]
    assert provider.seen(tag) == []


def test_spend_that_was_never_read_is_a_503(postgres, provider):
    cluster = Postgres()
    instance = Instance(cluster, provider=provider,
                        env={"OPENAI_MODELS": "fake,dear", "WORKERS": 1})  # one cache
    try:
        instance.start()
        instance.psql("select admin.set_price('openai', 'dear', 0, 1000000, 0)")
        known, unknown = instance.user(), instance.user()
        for user in (known, unknown):
            limit(instance, user, "budget", 50)
            user.get("/v1/models")
        dear(known)
        cluster.stop("immediate")
        got = dear(unknown)
        assert got.status == 503 and got.json()["error"]["code"] == "spend_unknown"
        assert dear(known).status == 200
        cluster.start()
        wait_until(lambda: dear(unknown).status == 200, 10, every=0.1)
    finally:
        instance.stop()
        cluster.remove()


def test_a_limit_that_nobody_asked_under_holds_while_postgresql_is_away(provider):
    cluster = Postgres()
    instance = Instance(cluster, provider=provider, env={"WORKERS": 1})
    try:
        instance.start()
        user = instance.user()
        assert user.chat("x").status == 200
        limit(instance, user, "requests", 2, window=600)
        cluster.stop("immediate")
        assert [user.chat("x").status for _ in range(3)] == [200, 200, 429]
    finally:
        instance.stop()
        cluster.remove()


@pytest.fixture
def dear_alone(provider):
    """An instance with the dear model and one worker, and its own PostgreSQL."""
    cluster = Postgres()
    instance = Instance(cluster, provider=provider, env={"OPENAI_MODELS": "dear", "WORKERS": 1})
    try:
        instance.start()
        instance.psql("select admin.set_price('openai', 'dear', 0, 1000000, 0)")
        yield cluster, instance
    finally:
        instance.stop()
        cluster.remove()


def test_a_budget_that_nobody_asked_under_is_no_free_call(dear_alone, provider):
    cluster, instance = dear_alone
    user, tag = instance.user(), uuid.uuid4().hex
    assert dear(user).status == 200
    limit(instance, user, "budget", 50)
    cluster.stop("immediate")
    got = [dear(user, tag=tag) for _ in range(5)]
    assert [g.status for g in got] == [503] * 5
    assert all(g.headers["Retry-After"] for g in got)
    assert provider.seen(tag) == []
    cluster.start()
    wait_until(lambda: dear(user, tag=tag).status == 200, 10, every=0.1)


def test_spend_that_waits_in_the_spool_is_a_503_and_no_free_call(dear_alone):
    cluster, instance = dear_alone
    user = instance.user()
    key = key_of(user, instance)
    limit(instance, user, "budget", 6)
    assert dear(key).status == 200
    cluster.stop("immediate")
    assert [dear(key).status for _ in range(4)] == [200] * 4
    instance.stop_minuted()
    cluster.start()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        # what the spool has is not taken yet; what was spent can be read
        held = pool.submit(instance.psql, "begin; lock table minuted.calls in"
                           " share row exclusive mode; select pg_sleep(60)")
        holder = ("from pg_locks where mode = 'ShareRowExclusiveLock' and granted"
                  " and relation = 'minuted.calls'::regclass")
        wait_until(lambda: instance.psql(f"select count(*) {holder}") == [["1"]])
        try:
            instance.start_minuted()
            instance.wait_healthy()
            got = dear(key)
        finally:
            instance.psql(f"select pg_terminate_backend(pid) {holder}")
        assert isinstance(held.exception(), subprocess.CalledProcessError)
    assert got.status == 503 and got.json()["error"]["code"] == "spend_unknown"
    assert got.headers["Retry-After"]
    wait_until(lambda: dear(key).status == 200, 20, every=0.1)
    wait_until(lambda: spent(instance, user) == 6)
    assert dear(key).status == 429


# The administrator.


def test_the_command_sets_and_lists(four, user):
    done = four.command("limit", "set", user.email, "requests", "100", "--window", "15m")
    assert done.returncode == 0, done.stderr
    assert four.command("limit", "set", user.email, "budget", "12.5").returncode == 0
    key = key_of(user, four)
    assert four.command("limit", "set", user.email, "calls", "2", "--key", key.prefix).returncode == 0
    listed = four.command("limit", "list", user.email).stdout.splitlines()
    assert len(listed) == 3
    assert listed[1].split()[1:] == ["100", "900", "12.5", "0"]
    assert key.prefix in listed[2]
    wait_until(lambda: user.get("/auth/profile").headers["RateLimit-Limit"] == "100", 1)
    assert four.command("limit", "set", user.email, "requests", "none").returncode == 0
    assert user.email[:10] in four.command("limit", "list").stdout


@pytest.mark.parametrize("arguments, code", [
    (["set"], 2), (["set", "x", "calls"], 2), (["set", "x", "calls", "-1"], 2),
    (["set", "x", "bananas", "1"], 2), (["set", "x", "requests", "1", "--window", "0"], 2),
    (["set", "x", "calls", "1", "--window", "5s"], 2), (["drop"], 2), ([], 2),
    (["set", "nobody-at-all", "calls", "1"], 1), (["list", "a", "b"], 2)])
def test_the_command_says_what_is_wrong(four, arguments, code):
    done = four.command("limit", *arguments)
    assert done.returncode == code and done.stderr and not done.stdout


@pytest.mark.parametrize("what, amount, window", [
    ("calls", "0", None), ("requests", "0", None), ("tokens", "0", None), ("calls", "-1", None),
    ("calls", "2.7", None), ("tokens", "1.5", None), ("requests", "NaN", None),
    ("requests", "99999999999999999999", None), ("calls", "Infinity", None),
    ("budget", "-1", None), ("budget", "Infinity", None), ("budget", "NaN", None),
    ("budget", "99999999999", None), ("budget", "0.0000000000001", None),
    ("requests", "5", 90000), ("requests", "5", 0)])
def test_an_amount_that_is_none_is_refused_in_a_line(four, user, capfd, what, amount, window):
    with pytest.raises(subprocess.CalledProcessError):
        limit(four, user, what, amount, window=window)
    text = capfd.readouterr().err
    said = str(window) if window is not None else amount
    assert f", not {said}" in text and "constraint" not in text, text
    assert four.psql(f"select * from admin.limits where email = '{user.email}'") == []
    if window is None and amount[0].isdigit():
        done = four.command("limit", "set", user.email, what, amount)
        assert done.returncode == 1 and not done.stdout
        assert len(done.stderr.splitlines()) == 1 and f", not {amount}" in done.stderr


@pytest.mark.parametrize("what", ["null", "''", "'call'"])
def test_what_is_no_limit_is_refused_in_a_line(four, user, capfd, what):
    with pytest.raises(subprocess.CalledProcessError):
        four.psql(f"select admin.set_limit('{user.email}', {what}, 5)")
    said = capfd.readouterr().err.splitlines()[0]
    assert "what is requests, calls, tokens or budget, not " in said
    assert four.psql(f"select * from admin.limits where email = '{user.email}'") == []


@pytest.mark.parametrize("what, amount", [
    ("calls", "1"), ("tokens", "9223372036854775807"), ("budget", "0"),
    ("budget", "9223372"), ("budget", "0.000000000001"), ("requests", "2.0"), ("budget", None)])
def test_an_amount_that_is_one_is_kept_as_it_is(four, user, what, amount):
    limit(four, user, what, amount)
    column = {"tokens": "tokens_per_minute", "budget": "monthly_usd"}.get(what, what)
    kept = four.psql(f"select {column} from admin.limits where email = '{user.email}'")[0][0]
    assert (decimal.Decimal(kept) == decimal.Decimal(amount)) if amount else kept == ""


# Logins.


def login(four, email, password, path="/auth/login"):
    return four.http.post(path, {"email": email, "username": email, "password": password})


def test_ten_wrong_passwords_are_tried_and_no_more(four, user):
    got = many(30, lambda _: login(four, user.email, "no, not this one"))
    assert sorted(g.status for g in got) == [401] * 10 + [429] * 20
    got = login(four, user.email, user.password, "/api/token")
    assert got.status == 429 and got.json()["code"] == "too_many_failures"
    assert 60 < int(got.headers["Retry-After"]) <= 900
    # a name that nobody has is answered in the same way
    nobody = f"nobody-{uuid.uuid4().hex}@example.org"
    got = [login(four, nobody if i % 2 else nobody.upper(), "no, not this one").status
           for i in range(12)]
    assert got == [401] * 10 + [429] * 2
    # others log in
    assert login(four, four.user().email, "a fairly long phrase").status == 200


def test_a_right_password_starts_anew(four, user):
    for _ in range(2):
        for _ in range(9):
            assert login(four, user.email, "no, not this one").status == 401
        assert login(four, user.email, user.password).status == 200


def test_right_passwords_are_not_counted(four, user):
    assert [login(four, user.email, user.password).status for _ in range(12)] == [200] * 12


def test_guessing_the_current_password_is_a_guess_too(four, user):
    body = {"currentPassword": "no, not this one", "newPassword": "another long phrase"}
    got = [user.post("/auth/password", body).status for _ in range(11)]
    assert got == [400] * 10 + [429]
    body = {"current_password": "no, not this one", "new_password": "another long phrase"}
    assert user.request("PUT", "/api/user/profile", body).status == 429
    assert login(four, user.email, user.password).status == 429


def test_an_address_has_a_hundred(make_instance):
    instance = make_instance(env={"WORKERS": 4, "LOGIN_FAILURES_MAX": 2})
    got = many(20, lambda i: login(instance, f"nobody-{i}", "no, not this one"))
    more = [login(instance, f"nobody-{i}", "no, not this one") for i in range(20, 25)]
    statuses = sorted(g.status for g in [*got, *more])
    assert statuses == [401] * 20 + [429] * 5


def test_so_many_accounts_are_made_from_an_address_whatever_the_path(make_instance):
    instance = make_instance(env={"WORKERS": 4, "REGISTRATIONS_MAX": 6})
    paths = ["/auth/register", "/api/users/register", "/api/auth/register", "/api/register"]

    def register(i):
        name = f"many{i}"
        return instance.http.as_user(None).post(
            paths[i % 4], {"username": name, "email": f"{name}@example.org",
                           "password": "a fairly long phrase"},
            headers={"X-Forwarded-For": f"192.0.2.{i}", "Forwarded": f"for=192.0.2.{i}",
                     "X-Real-IP": f"192.0.2.{i}"})

    got = many(20, register)
    assert sorted(g.status for g in got) == [201] * 6 + [429] * 14
    refused = [g for g in got if g.status == 429]
    assert {g.json()["code"] for g in refused} == {"too_many_registrations"}
    assert all(0 < int(g.headers["Retry-After"]) <= 900 for g in refused)
    assert instance.psql("select count(*) from minuted.users") == [["6"]]


@pytest.mark.slow
def test_five_hundred_logins_do_not_hold_up_the_others(four, user):
    """Each is hashed, or refused at once; other routes go on."""
    took = []

    def one(i):
        began = time.monotonic()
        got = four.http.as_user(None).post(
            "/auth/login", {"email": f"n{i}", "password": "no, not this one"})
        return got.status, time.monotonic() - began, got.headers["Retry-After"]

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        logins = [pool.submit(one, i) for i in range(500)]
        while not all(l.done() for l in logins):
            began = time.monotonic()
            assert user.get("/auth/profile").status == 200
            took.append(time.monotonic() - began)
    got = [l.result() for l in logins]
    assert {status for status, _, _ in got} <= {401, 429, 503}
    assert all(retry for status, _, retry in got if status != 401)
    took.sort()
    assert took[int(len(took) * 0.99)] < 1
