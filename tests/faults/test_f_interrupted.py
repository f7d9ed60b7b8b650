"""test_f_interrupted.py - calls that nobody can end any more, what they held, and
a supervisor's successor."""

import os
import pathlib
import shutil
import signal
import time

from audit import audit
from client import chat_body
from harness import TOP, Transaction, note
from instance import wait_until

ABANDONED = (TOP / "sql/queries/maintenance/abandoned.sql").read_text()


def status_of(instance, call):
    rows = instance.psql("select status, coalesce(error, '') from minuted.calls "
                         f"where id = '{call}'")
    return tuple(rows[0]) if rows else None


def running_call(instance, stream):
    """The id of the call of a stream, once the log shows it."""
    call = stream.headers["X-Call-Id"]
    wait_until(lambda: status_of(instance, call) == ("running", ""))
    return call


COUNTED = """
    select coalesce(sum(cost_pico), 0), coalesce(sum(prompt_tokens), 0),
        coalesce(sum(completion_tokens), 0)
    from {}"""
OF_CALLS = COUNTED.format("minuted.calls where status <> 'running'")
OF_USAGE = COUNTED.format("""(
    select cost_pico, prompt_tokens, completion_tokens from minuted.usage_hourly
    union all
    select cost_pico, prompt_tokens, completion_tokens from minuted.usage_deltas) u""")


def counted_exactly(instance):
    """Every call, its tokens and its cost."""
    figures = audit(instance.psql, [], "0 seconds")
    assert figures["duplicate"] == figures["uncounted"] == 0, figures
    assert instance.psql(OF_CALLS) == instance.psql(OF_USAGE)
    return figures


def price(instance):
    """A dollar a token, so that the cost tells the tokens; known at once."""
    instance.psql("select admin.set_price('openai', 'fake', 1000000, 1000000, 0)")


def figures_of(instance, call):
    """Tokens of prompt and answer, whether by estimate, and dollars."""
    return instance.psql("select prompt_tokens, completion_tokens, estimated,"
                         " cost_pico / 1000000000000 from minuted.calls"
                         f" where id = '{call}'")[0]


def kill_all(instance):
    os.killpg(instance.process.pid, signal.SIGKILL)
    instance.process.wait()


def test_calls_in_hand_are_kept_in_memory_that_is_given_back(make_instance):
    instance = make_instance()
    home = instance.calls_in_hand()
    assert home.stat().st_mode & 0o7777 == 0o700
    assert not list(pathlib.Path(instance.settings["SPOOL_DIR"]).glob("inflight*"))
    assert instance.stop_minuted() == 0
    assert not home.exists()


def test_f13_a_machine_that_lost_power_leaves_no_call_running(make_instance):
    """Its memory is gone, and with it what was known of calls in hand."""
    instance = make_instance()
    price(instance)
    user = instance.user()
    with user.chat_stream("chunks=200 delay=0.1") as stream:
        call = running_call(instance, stream)
        kill_all(instance)
    shutil.rmtree(instance.calls_in_hand())
    instance.psql("update minuted.calls set started_at = now() - interval '1 day' "
                  f"where id = '{call}'")
    instance.start_minuted()
    wait_until(lambda: status_of(instance, call) == ("interrupted", "owner_gone"))
    counted_exactly(instance)
    prompt, answer, estimated, dollars = figures_of(instance, call)
    assert int(prompt) == int(dollars) == len("chunks=200 delay=0.1") // 4
    assert (answer, estimated) == ("", "t")  # what came is not known
    got = user.get(f"/v1/calls/{call}").json()
    assert got["status"] == "interrupted"
    note("F-13 calls", "power loss with a call in hand", 1, None,
         "it is `interrupted` after the next start, by its age")


def end_it(instance):
    """As if the calls that run were too old."""
    sql = ABANDONED.replace("$1", "'0'").replace("$2", "null").replace("$3", "null")
    count = instance.psql(sql)[-1][0]
    assert int(count) >= 1


def test_an_end_wins_over_an_interruption_by_age(make_instance):
    instance = make_instance()
    price(instance)
    with instance.user().chat_stream("chunks=20 delay=0.1") as stream:
        call = running_call(instance, stream)
        end_it(instance)
        assert status_of(instance, call) == ("interrupted", "owner_gone")
        counted_exactly(instance)
        assert list(stream.events())[-1].data == "[DONE]"
    wait_until(lambda: status_of(instance, call) == ("completed", ""))
    counted_exactly(instance)


def test_an_end_from_the_spool_wins_over_an_interruption_by_age(cluster, make_instance):
    instance = make_instance(cluster=cluster)
    price(instance)
    with instance.user().chat_stream("chunks=20 delay=0.1") as stream:
        call = running_call(instance, stream)
        end_it(instance)
        cluster.stop("immediate")
        assert list(stream.events())[-1].data == "[DONE]"
    cluster.start()
    wait_until(lambda: status_of(instance, call) == ("completed", ""))
    counted_exactly(instance)


def test_what_a_dead_worker_knew_wins_over_an_interruption_by_age(make_instance):
    instance = make_instance()
    price(instance)
    with instance.user().chat_stream("chunks=200 delay=0.1") as stream:
        call = running_call(instance, stream)
        end_it(instance)
        for pid in instance.workers():
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: status_of(instance, call) == ("interrupted", "worker_died"))
    counted_exactly(instance)
    prompt, answer, estimated, dollars = figures_of(instance, call)
    assert int(prompt) == len("chunks=200 delay=0.1") // 4 and int(answer) > 0
    assert estimated == "t" and int(dollars) == int(prompt) + int(answer)


def keyed(user, key, prompt, stream=False):
    """A call with an Idempotency-Key."""
    ask = user.stream if stream else user.post
    return ask("/v1/chat/completions", chat_body(prompt, stream=stream),
               headers={"Idempotency-Key": key})


def test_a_dead_workers_idempotency_key_is_free_at_once(make_instance, provider):
    instance = make_instance()
    user = instance.user()
    mark = f"m{time.monotonic_ns()}"
    with keyed(user, mark, f"tag={mark} chunks=200 delay=0.1", stream=True) as stream:
        running_call(instance, stream)
        for pid in instance.workers():
            os.kill(pid, signal.SIGKILL)
    instance.wait_healthy()
    taken = ("select count(*) from minuted.idempotency_keys"
             " where state = 'running' and freed is distinct from attempt")
    wait_until(lambda: instance.psql(taken) == [["0"]])
    got = keyed(user, mark, f"tag={mark}")
    assert got.status == 200, got
    assert "Idempotency-Replayed" not in got.headers
    again = keyed(user, mark, f"tag={mark}")
    assert again.status == 200 and again.headers["Idempotency-Replayed"] == "true"
    assert len(provider.seen(mark)) == 2


def test_a_key_that_somebody_holds_keeps_those_of_no_other_dead_worker_taken(make_instance):
    instance = make_instance(env={"WORKERS": 1})
    user = instance.user()

    def freed():
        return instance.psql("select count(*) from minuted.idempotency_keys"
                             " where freed = attempt")[0][0]

    for key in ("held", "other"):
        with keyed(user, key, "chunks=200 delay=0.1", stream=True) as stream:
            running_call(instance, stream)
            if key == "held":
                held = Transaction(instance, "select from minuted.idempotency_keys for update")
            for pid in instance.workers():
                os.kill(pid, signal.SIGKILL)
        instance.wait_healthy()
    wait_until(lambda: freed() == "1")
    held.end()
    wait_until(lambda: freed() == "2")


def test_a_call_that_ended_in_an_outage_is_paid_once_though_its_worker_died(
        cluster, make_instance, provider):
    instance = make_instance(cluster=cluster)
    user = instance.user()
    instance.know(user)
    mark = f"m{time.monotonic_ns()}"
    with keyed(user, mark, f"tag={mark} chunks=10 delay=0.1", stream=True) as stream:
        cluster.stop("immediate")
        assert list(stream.events())[-1].data == "[DONE]"
        call = stream.headers["X-Call-Id"]
    for pid in instance.workers():  # with the answer, which waits for PostgreSQL
        os.kill(pid, signal.SIGKILL)
    cluster.start()
    user.check = False

    def final():
        got = keyed(user, mark, f"tag={mark} chunks=10 delay=0.1", stream=True)
        with got:
            text = got.answer.read().decode()
        assert got.status in (401, 409, 502, 503), text
        return "idempotency_not_kept" in text and got

    got = wait_until(final, 30, 0.05)
    assert got.headers["X-Call-Id"] == call
    assert len(provider.seen(mark)) == 1
    assert status_of(instance, call) == ("completed", "")


def test_a_living_workers_idempotency_key_stays_taken(make_instance):
    instance = make_instance(env={"WORKERS": 1})
    user = instance.user()
    key = f"k{time.monotonic_ns()}"
    with keyed(user, key, "chunks=20 delay=0.1", stream=True) as stream:
        running_call(instance, stream)
        instance.reload()  # the old worker drains, nobody sweeps it
        time.sleep(0.5)
        got = keyed(user, key, "chunks=20 delay=0.1", stream=True)
        assert got.status == 409, got
        assert list(stream.events())[-1].data == "[DONE]"


def test_f02_the_next_supervisor_serves_while_old_workers_drain(make_instance):
    instance = make_instance()
    user = instance.user()
    with user.chat_stream("chunks=40 delay=0.1") as stream:
        call = running_call(instance, stream)
        old = instance.workers()
        instance.process.kill()
        instance.process.wait()
        began = time.monotonic()
        instance.start_minuted()  # as a service manager does
        # nginx may still use a connection that an old worker is closing
        wait_until(lambda: user.chat().status == 200)
        assert time.monotonic() - began < 1
        assert any(os.path.exists(f"/proc/{pid}") for pid in old)
        assert list(stream.events())[-1].data == "[DONE]"
    assert status_of(instance, call) == ("completed", "")
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in old))
    note("F-02 successor", "SIGKILL of the supervisor, started again at once", 1, None,
         "new workers serve, old ones end the streams they have")


def test_f02_an_old_worker_that_dies_is_swept_by_the_next_supervisors(make_instance):
    instance = make_instance()
    user = instance.user()
    with user.chat_stream("chunks=200 delay=0.1") as stream:
        call = running_call(instance, stream)
        old = instance.workers()
        instance.process.kill()
        instance.process.wait()
        instance.start_minuted()
        instance.wait_healthy()
        for pid in old:
            if os.path.exists(f"/proc/{pid}"):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: status_of(instance, call) == ("interrupted", "worker_died"))
    counted_exactly(instance)
