"""killloop.py - faults at random moments under a mixed load, then the audit.

    killloop.py [--injections N] [--seed S] [--kinds worker,backend,...]

The plan is made from the seed before it begins: the same seed gives the same
faults, in the same order, with the same pauses, each kind first once.  It goes on
until N were SIGKILLs that a living process has died of and each kind has hit; what
found nobody, or changed nothing, does not count, and what is no SIGKILL comes on
top.  A third of the load has Idempotency-Keys, and is sent again until it is
answered.  The cluster works with fsync.  Fails when a record that was acknowledged is
missing, one is there twice, or one is left running, and when fewer than N hit.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import re
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
    "backend": 5,  # SIGKILL of a backend: all of PostgreSQL recovers
    "postmaster": 2,  # SIGKILL of PostgreSQL's first process
    "immediate": 1,  # PostgreSQL stopped without a checkpoint
    "terminate": 10,  # a connection ended by the administrator
    "freeze": 4,  # SIGSTOP of a backend, SIGCONT later
    "nginx": 5,  # its reload
    "reload": 5,  # SIGHUP of minuted
}
KILLS = ("worker", "backend", "postmaster")
PAUSE = (0.02, 0.35)  # between two faults, seconds
CLIENTS = 3
HANDS = 8
LONG = {"JWT_EXPIRES_IN": "2h"}  # a load that is refused shows little
SOON = 5  # seconds within which what was hit shows it

Fault = collections.namedtuple("Fault", "kind pause which length")


def make_plan(seed, count, kinds=None):
    """A kind that is named twice comes twice as often."""
    dice = random.Random(seed)
    names = kinds or list(WEIGHTS)
    drawn = dice.sample(names, len(names))
    drawn += dice.choices(names, [WEIGHTS[name] for name in names], k=count)
    return [Fault(kind, dice.uniform(*PAUSE), dice.random(), dice.random())
            for kind in drawn[:count]]


def enough_for(kills):
    """Faults of a plan: some hit nobody, others are no kills."""
    return 5 * kills + 100


def state(pid):
    """Of a process, as /proc calls it; of one that is gone, Z too."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "Z"
    return stat.rpartition(")")[2].split()[0]


def lives(pid):
    """Neither gone nor waiting for its parent to notice."""
    return state(pid) != "Z"


def children(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def soon(what):
    """Does it become true?"""
    try:
        return wait_until(what, SOON, 0.002)
    except AssertionError:
        return False


class Injector:
    def __init__(self, instance):
        self.instance = instance
        self.cluster = instance.postgres
        self.done = collections.Counter()
        self.skipped = collections.Counter()

    def run(self, plan, count=None):
        """The plan, or as much of it as kills count times and has each of its
        kinds hit."""
        kinds = {fault.kind for fault in plan}
        for fault in plan:
            if count is not None and self.kills() >= count and kinds <= set(self.done):
                return
            time.sleep(fault.pause)
            worked = getattr(self, fault.kind)(fault)
            (self.done if worked else self.skipped)[fault.kind] += 1

    def kills(self):
        return sum(self.done[kind] for kind in KILLS)

    def told(self):
        """How often each kind has hit, for the table."""
        return ", ".join(f"{kind} {self.done[kind]}" for kind in WEIGHTS if self.done[kind])

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
        found = []
        for pid in children(postmaster(self.cluster)):
            with contextlib.suppress(OSError):
                title = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                if f" {self.instance.database} ".encode() in title:
                    found.append(pid)
        return found

    def ends(self, pids, fault, number):
        """Sends it to one of them; has that one ended of it?"""
        pid = self.signal(pids, fault, number)
        return pid and soon(lambda: not lives(pid))

    # The faults; true when there was somebody to hit, and it shows.

    def worker(self, fault):
        return self.ends(self.instance.workers(), fault, signal.SIGKILL)

    def terminate(self, fault):
        return self.ends(self.backends(), fault, signal.SIGTERM)

    def backend(self, fault):
        return self.ends(self.backends(), fault, signal.SIGKILL)

    def freeze(self, fault):
        pid = self.signal(self.backends(), fault, signal.SIGSTOP)
        if not pid:
            return False
        stopped = soon(lambda: state(pid) in "TtZ") and lives(pid)
        time.sleep(fault.length)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return stopped

    def nginx(self, _):
        before = set(children(self.instance.nginx.pid))
        self.instance.nginx.send_signal(signal.SIGHUP)
        return soon(lambda: set(children(self.instance.nginx.pid)) - before)

    def reload(self, _):
        """Not while another one runs, and not one that is refused."""
        with open(self.instance.dir / "log/minuted.log", "rb") as log:
            log.seek(0, os.SEEK_END)
            at = log.tell()

            def answer():
                log.seek(at)
                return re.search(rb"reload: starting|reload is running|reload refused", log.read())

            self.instance.reload()
            found = soon(answer)
        return found and found[0] == b"reload: starting"

    def postmaster(self, fault):
        pid = postmaster(self.cluster)
        if pid is None:
            return False
        left = children(pid)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: postmaster(self.cluster) is None)
        if not soon(lambda: not any(map(lives, left))):
            self.end_left(left)
        return self.restart(fault)

    @staticmethod
    def end_left(pids):
        """Who waits for a lock of the dead does so for ever; a service manager
        ends what is left."""
        for pid in filter(lives, pids):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def immediate(self, fault):
        if postmaster(self.cluster) is None:
            return False
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
    loads = [Load(instance, user, (CLIENTS + 1) // 2, HANDS, keys=True)
             for user in users]
    injector = Injector(instance)
    began = time.monotonic()
    try:
        injector.run(plan, count)
        took = time.monotonic() - began
        time.sleep(1)
    finally:
        counts = [load.stop() for load in loads]
    unanswered = [load.unanswered() for load in loads]
    assert not any(unanswered), unanswered
    loads[0].files += loads[1].files
    figures = loads[0].audit(120)
    figures.update(
        injections=injector.kills(), told=injector.told(), done=dict(injector.done),
        never=[kind for kind in WEIGHTS if kind in injector.skipped and not injector.done[kind]],
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
    print(f"seed {args.seed}: {args.injections} kills", flush=True)
    cluster = Postgres(fast=False)
    provider = Provider()
    instance = Instance(cluster, env={"WORKERS": 3, **LONG}, provider=provider)
    try:
        instance.start()
        plan = make_plan(args.seed, enough_for(args.injections), kinds)
        figures = loop(instance, plan, args.injections)
        print(json.dumps(figures, indent=1))
        if not clean(figures) or figures["injections"] < args.injections or figures["never"]:
            print(f"failed; again with --seed {args.seed}")
            return 1
        note("kill loop", "SIGKILL of workers, backends and postmaster at random moments, "
             "between other faults, PostgreSQL with fsync", figures["injections"], figures,
             "what was in the hands of the dead fails, everything acknowledged is there once; "
             f"seed {args.seed}, hits: " + figures["told"])
        return 0
    finally:
        instance.stop()
        provider.stop()
        cluster.remove()


if __name__ == "__main__":
    sys.exit(main())
