"""idle.py - what minuted takes when nobody asks anything, and how long it is
until it answers.
"""

import statistics
import time

from stage import ROUNDS, wait_until


def start_ms(instance):
    """From the start of the program to its first answer."""
    instance.stop_minuted()
    began = time.perf_counter()
    instance.start_minuted()
    while True:
        if instance.http.get("/health").status == 200:
            return (time.perf_counter() - began) * 1000
        time.sleep(0.001)


def run(stage):
    wait_until(lambda: len(stage.instance.workers()) > 0)
    time.sleep(2)
    workers = len(stage.instance.workers())
    stage.report.row(f"idle: supervisor and {workers} workers",
                     f"{stage.memory_mb('Pss'):.1f} MB PSS",
                     f"{stage.memory_mb('Rss'):.1f} MB RSS", "30 MB")
    took = statistics.median(start_ms(stage.instance) for _ in range(ROUNDS))
    stage.report.row("start to first answer", f"{took:.0f} ms", goal="100 ms")
