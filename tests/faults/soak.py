"""soak.py - mixed load for a long time: memory and descriptors stay flat.

    SECONDS=1800 soak.py     make soak SECONDS=1800

Looks at every worker each second.  The slope of memory, and of the descriptors
of all workers together (nginx opens its connections now to one, now to the
other), over the last three quarters of the time is the median of the slopes
between all pairs of looks (Theil-Sen), which a few jumps do not move.  Fails
when a worker grows by more than GROWTH of itself, and ALLOWED, in that time, or
when the ledgers find a record missing.
"""

import json
import os
import statistics
import sys
import time

from audit import clean
from harness import Load, descriptors
from instance import Instance, Postgres, Provider, wait_until

SECONDS = int(os.environ.get("SECONDS", 1800))
GROWTH = 0.03
ALLOWED = {"memory": 1024, "descriptors": 3}  # KB, count
POINTS = 400  # of a series at most: its pairs are counted
WARM = 15  # seconds before the first look


def resident(pid):
    """KB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def theil_sen(points):
    """The median slope of (x, y) points."""
    step = max(1, len(points) // POINTS)
    points = points[::step]
    return statistics.median(
        (b[1] - a[1]) / (b[0] - a[0])
        for at, a in enumerate(points) for b in points[at + 1 :])


def watch(instance, seconds):
    """Series of (time, value) by who and what."""
    series = {}
    began = time.monotonic()
    while (at := time.monotonic() - began) < seconds:
        workers = instance.workers()
        for pid in workers:
            series.setdefault((f"worker {pid}", "memory"), []).append((at, resident(pid)))
        series.setdefault(("all workers", "descriptors"), []).append(
            (at, sum(map(descriptors, workers))))
        time.sleep(1)
    return series


def quarters(points):
    """The median of each quarter of the time, for the eye."""
    size = max(1, len(points) // 4)
    parts = [points[at : at + size] for at in range(0, 4 * size, size)]
    return ", ".join(f"{statistics.median(value for _, value in part):.0f}"
                     for part in parts if part)


def verdict(series, seconds):
    """Prints each slope; is all flat?"""
    flat = True
    for (who, what), points in series.items():
        late = [point for point in points if point[0] >= seconds / 4]
        usual = statistics.median(value for _, value in late)
        grown = theil_sen(late) * seconds * 0.75
        well = grown <= max(ALLOWED[what], usual * GROWTH)
        flat = flat and well
        print(f"{who} {what}: quarters {quarters(points)}, slope {grown / seconds / 0.75 * 3600:+.1f}"
              f" an hour, {grown:+.1f} in the run{'' if well else ': GROWS'}")
    return flat


def main():
    cluster, provider = Postgres(), Provider()
    instance = Instance(cluster, provider=provider,
                        env={"JWT_EXPIRES_IN": f"{SECONDS + 600}s"})
    try:
        instance.start()
        user = instance.user()
        workers = instance.workers()
        with Load(instance, user, clients=2, hands=6) as load:
            time.sleep(min(WARM, SECONDS / 4))
            series = watch(instance, SECONDS)
        figures = load.audit(120)
        print(json.dumps({**load.counts, **figures}))
        assert not load.failed(), "a load that is refused shows little"
        wait_until(lambda: instance.workers() == workers, 1)  # nobody died
        return 0 if verdict(series, SECONDS) and clean(figures) else 1
    finally:
        instance.stop()
        provider.stop()
        cluster.remove()


if __name__ == "__main__":
    sys.exit(main())
