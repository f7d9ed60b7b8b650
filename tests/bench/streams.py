"""streams.py - thousands of slow SSE streams at once: the time from the
provider's send to the client's read, through minuted and through nginx alone.
"""

import json
import os
import re
import subprocess
import time

from stage import BINARY, note, wait_until

STREAMS = int(os.environ.get("STREAMS", 10000))
RATE = int(os.environ.get("STREAM_EVENTS", 20000))
OPENED_A_SECOND = 1000
STEADY_SECONDS = 15
PROGRAM = BINARY.parent / "bench/streams"


class Provider:
    def __init__(self, port):
        ramp = 2 * STREAMS / OPENED_A_SECOND  # on a busy machine
        events = int((ramp + STEADY_SECONDS) * RATE / STREAMS)
        self.process = subprocess.Popen(
            [PROGRAM, "provider", str(port), str(STREAMS), str(RATE), str(events)])
        time.sleep(0.3)
        assert self.process.poll() is None

    def stop(self):
        self.process.terminate()
        self.process.wait()


def clients(port, token, sample):
    """What the clients measured, and sample() when all streams ran and when
    the first ended."""
    process = subprocess.Popen(
        [PROGRAM, "client", str(port), str(STREAMS), str(OPENED_A_SECOND), token],
        stdout=subprocess.PIPE, text=True)
    samples = []
    for line in process.stdout:
        if line.startswith("{"):
            found = json.loads(line)
        else:
            samples.append(sample())
    assert process.wait() == 0
    found["errors"] = STREAMS - found["done"]
    return found, samples


def descriptors():
    out = subprocess.run(["sh", "-c", "ulimit -Hn"], stdout=subprocess.PIPE, text=True)
    return int(re.sub("unlimited", "1000000", out.stdout))


def recorded(stage, before):
    """Streams with a complete record."""
    calls = "minuted.calls where stream and status = "
    wait_until(lambda: stage.count(calls + "'running'") == 0, 60)
    return stage.count(calls + "'completed'") - before


def through_minuted(stage):
    before = recorded(stage, 0)

    def sample():
        return stage.cpu_seconds(), stage.memory_mb()

    found, samples = clients(stage.port, stage.user.token, sample)
    note(f"minuted {found}")
    found["records"] = recorded(stage, before)
    if len(samples) == 2 and found["events"]:
        found["cpu_us"] = (samples[1][0] - samples[0][0]) * 1e6 / found["events"]
        found["memory"] = samples[1][1]
    return found


def show(report, alone, found):
    what = f"streams: {STREAMS:,} at once, {RATE:,} events/s"
    if found["refusal"]:
        what += f" (first refusal: {found['refusal']})"
    report.row(f"{what}: streams that failed", f"{found['errors']:,}",
               goal="none", beside=f"nginx {alone['errors']:,}")
    report.row("streams: those ended well, and their records",
               f"{found['done']:,}", f"{max(0, found['done'] - found['records'])} lost",
               "none lost")
    if "memory" not in found:
        report.row("streams: not all of them ran at once", f"{found['with_event']:,}")
        return
    for q, goal in (("p50", ""), ("p99", "5 ms, then 2")):
        report.row(f"streams: lag {q}", f"{found[q + '_us'] / 1000:.2f} ms",
                   goal=goal, beside=f"nginx {alone[q + '_us'] / 1000:.2f} ms")
    report.row("streams: CPU of the workers", f"{found['cpu_us']:.0f} µs an event",
               goal="25 µs")
    report.row("streams: supervisor and workers", f"{found['memory']:.0f} MB PSS",
               goal="300 MB")


def run(stage):
    if descriptors() < STREAMS + 100:
        stage.report.row(f"streams: {STREAMS:,} at once",
                         f"not run: {descriptors():,} descriptors at most")
        return
    provider = Provider(stage.baseline.streams)
    try:
        alone, _ = clients(stage.baseline.stream_port, "none", lambda: None)
        note(f"nginx {alone}")
        stage.start_with(stage.baseline.streams)
        found = through_minuted(stage)
    finally:
        provider.stop()
    show(stage.report, alone, found)
    stage.start_with(stage.baseline.provider)
