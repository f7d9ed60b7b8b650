"""killloop.py - faults at random moments under a mixed load, then the audit.

    killloop.py [--injections N] [--seed S] [--kinds worker,backend,...]

The plan is made from the seed before it begins, and printed: the same seed
gives the same faults, in the same order, with the same pauses.  It goes on
until N of them have hit a living process; those that found nobody do not count.
The cluster works with fsync.  Fails when a record that was acknowledged is
missing, one is there twice, or one is left running, and when fewer than N hit.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from audit import clean
from harness import Load, note, postmaster
from instance import Instance, Postgres, Provider, wait_until

# how often each is drawn
WEIGHTS = {
    "worker": 60,  # SIGKILL of a worker
    "terminate": 14,  # a connection ended by the administrator
    "freeze": 8,  # SIGSTOP of a backend, SIGCONT later
    "nginx": 8,  # its reload
    "reload": 6,  # SIGHUP of minuted
    "backend": 2,  # SIGKILL of a backend: all of PostgreSQL recovers
    "postmaster": 1,  # SIGKILL of PostgreSQL's first process
    "immediate": 1,  # PostgreSQL stopped without a checkpoint
}
PAUSE = (0.02, 0.35)  # between two faults, seconds
CLIENTS = 3
HANDS = 8

Fault = collections.namedtuple("Fault", "kind pause which length")


def make_plan(seed, count, kinds=None):
    dice = random.Random(seed)
    names = kinds or list(WEIGHTS)
    weights = [WEIGHTS[name] for name in names]
    return [
        Fault(dice.choices(names, weights)[0], dice.uniform(*PAUSE), dice.random(),
              dice.random())
        for _ in range(count)
    ]


def lives(pid):
    """Neither gone nor waiting for its parent to notice."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Injector:
    def __init__(self, instance):
        self.instance = instance
        self.cluster = instance.postgres
        self.done = collections.Counter()
        self.skipped = collections.Counter()

    def run(self, plan, count=None):
        """The plan, or as much of it as hits somebody count times."""
        for fault in plan:
            if count is not None and self.done.total() >= count:
                return
            time.sleep(fault.pause)
            worked = getattr(self, fault.kind)(fault)
            (self.done if worked else self.skipped)[fault.kind] += 1

    @staticmethod
    def signal(pids, fault, number):
        """Sends it to one of them that lives; which, or None."""
        pids = [pid for pid in pids if lives(pid)]
        if not pids:
            return None
        pid = pids[int(fault.which * len(pids))]
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        return pid

    def backends(self):
        """Process ids of PostgreSQL's for our database."""
        path = f"/proc/{postmaster(self.cluster)}/task/{postmaster(self.cluster)}/children"
        found = []
        try:
            children = pathlib.Path(path).read_text().split()
        except OSError:
            return found
        for pid in children:
            with contextlib.suppress(OSError):
                title = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                if f" {self.instance.database} ".encode() in title:
                    found.append(int(pid))
        return found

    # The faults; true when there was somebody to hit.

    def worker(self, fault):
        return self.signal(self.instance.workers(), fault, signal.SIGKILL)

    def terminate(self, fault):
        return self.signal(self.backends(), fault, signal.SIGTERM)

    def backend(self, fault):
        return self.signal(self.backends(), fault, signal.SIGKILL)

    def freeze(self, fault):
        pid = self.signal(self.backends(), fault, signal.SIGSTOP)
        if pid:
            time.sleep(fault.length)
            os.kill(pid, signal.SIGCONT)
        return pid

    def nginx(self, _):
        self.instance.nginx.send_signal(signal.SIGHUP)
        return True

    def reload(self, _):
        self.instance.reload()
        return True

    def postmaster(self, fault):
        pid = postmaster(self.cluster)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: postmaster(self.cluster) is None)
        return self.restart(fault)

    def immediate(self, fault):
        self.cluster.stop("immediate")
        return self.restart(fault)

    def restart(self, fault):
        time.sleep(fault.length * 2)
        end = time.monotonic() + 30
        while True:  # the old one's children may hold its memory for a moment
            try:
                self.cluster.start()
                return True
            except subprocess.CalledProcessError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)


def loop(instance, plan, count):
    """The figures of the audit, with what was done."""
    users = [instance.user() for _ in range(2)]
    loads = [Load(instance, user, (CLIENTS + 1) // 2, HANDS) for user in users]
    injector = Injector(instance)
    began = time.monotonic()
    try:
        injector.run(plan, count)
        took = time.monotonic() - began
        time.sleep(1)
    finally:
        counts = [load.stop() for load in loads]
    loads[0].files += loads[1].files
    figures = loads[0].audit(120)
    figures.update(
        injections=sum(injector.done.values()), done=dict(injector.done),
        skipped=dict(injector.skipped), seconds=round(took, 1),
        outcomes=dict(sum((collections.Counter(c) for c in counts), collections.Counter())))
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--injections", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--kinds", help="comma list of " + ", ".join(WEIGHTS))
    args = parser.parse_args()
    kinds = args.kinds.split(",") if args.kinds else None
    print(f"seed {args.seed}: {args.injections} faults", flush=True)
    cluster = Postgres(fast=False)
    provider = Provider()
    instance = Instance(cluster, env={"WORKERS": 3}, provider=provider)
    try:
        instance.start()
        plan = make_plan(args.seed, args.injections * 2, kinds)  # some hit nobody
        figures = loop(instance, plan, args.injections)
        print(json.dumps(figures, indent=1))
        if not clean(figures) or figures["injections"] < args.injections:
            print(f"failed; again with --seed {args.seed}")
            return 1
        note("kill loop", "all of these at random moments, PostgreSQL with fsync",
             figures["injections"], figures, "what was in the hands of the dead fails, "
             "everything acknowledged is there once")
        return 0
    finally:
        instance.stop()
        provider.stop()
        cluster.remove()


if __name__ == "__main__":
    sys.exit(main())
