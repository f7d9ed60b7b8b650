"""test_streams.py - many at once."""

import threading

import pytest

from client import chat_body, flows


def completed(instance, results):
    ids = ",".join(f"'{r.call_id}'" for r in results)
    sql = "select count(*) from minuted.calls where status = 'completed'"
    return int(instance.psql(f"{sql} and id in ({ids})")[0][0])


def all_well(results, chunks):
    odd = [vars(r) for r in results if not r.done or r.error or r.chunks < chunks]
    assert not odd, (len(odd), odd[:2])


@pytest.mark.slow
def test_a_thousand_streams_at_once_and_a_record_of_each(instance, user):
    body = chat_body("chunks=10 delay=0.3", stream=True)
    results = flows(instance.port, user.token, [body] * 1000)
    all_well(results, 10)
    assert completed(instance, results) == 1000
    lags = sorted(lag for r in results for lag in r.lags)
    assert lags[len(lags) // 2] < 0.1


def test_fifty_streams_of_a_thousand_events_each_in_order(instance, user):
    body = chat_body("chunks=1000", stream=True)
    results = flows(instance.port, user.token, [body] * 50)
    all_well(results, 1000)
    assert completed(instance, results) == 50


def test_streams_and_whole_answers_side_by_side(instance, user):
    bodies = [chat_body("chunks=20 delay=0.02", stream=n % 2 == 0) for n in range(200)]
    results = flows(instance.port, user.token, bodies)
    assert all(r.done and not r.error for r in results)
    assert completed(instance, results) == 200


def test_open_calls_are_counted_over_all_workers(instance, user):
    body = chat_body("chunks=4 delay=0.5", stream=True)
    rows = []

    def look():
        text = instance.http.get("/metrics").text
        rows.append(text)

    timer = threading.Timer(1.0, look)
    timer.start()
    results = flows(instance.port, user.token, [body] * 200)
    timer.join()
    all_well(results, 4)
    open_calls = [line for line in rows[0].splitlines()
                  if line.startswith("minuted_calls_open ")]
    assert open_calls == ["minuted_calls_open 200"]
