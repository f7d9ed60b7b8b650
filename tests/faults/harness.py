"""harness.py - what the fault tests share: load that keeps a ledger, audits, and
a note of the result for the table in README.
"""

import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "support"))

from audit import audit  # noqa: E402
from client import chat_body  # noqa: E402
from ledger import PATIENCE, TIMEOUT  # noqa: E402
from instance import BINARY, ROOT, Instance, folder, free_port, wait_until  # noqa: E402

RESULTS = TOP / "build/faults"
PYTHON = ["/usr/bin/python3", "-B"]
CLONE_NEWNET = 0x40000000


class FaultInstance(Instance):
    """An instance whose minuted has more in its environment (preload)."""

    extra = {}

    def environment(self):
        return {**super().environment(), **self.extra}


class Load:
    """Ledger clients of one user, as processes of their own."""

    def __init__(self, instance, user, clients=2, hands=8, prompt=None, keys=False):
        self.instance = instance
        self.dir = folder()
        self.files = [self.dir / f"ledger.{n}" for n in range(clients)]
        more = ["--prompt", prompt] if prompt else []
        more += ["--keys"] if keys else []
        self.processes = [
            subprocess.Popen(
                [*PYTHON, HERE / "ledger.py", str(instance.port), "--token", user.token,
                 "--file", path, "--hands", str(hands), *more],
                stdout=subprocess.PIPE, text=True)
            for path in self.files
        ]
        self.counts = {}
        wait_until(lambda: all(path.exists() for path in self.files))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """What the clients counted, by kind and outcome."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            text = process.communicate(timeout=PATIENCE + 2 * TIMEOUT)[0]
            for name, count in json.loads(text).items():
                self.counts[name] = self.counts.get(name, 0) + count
        self.processes = []
        return self.counts

    def failed(self):
        return {name: count for name, count in self.counts.items()
                if name != "seconds" and name.split()[1] not in ("200", "201")}

    def unanswered(self):
        """Things with a key that were sent again in vain."""
        return {name: count for name, count in self.counts.items()
                if name.startswith("once_") and name.split()[1] not in ("200", "201")}

    def acknowledged(self):
        return sum(path.read_text().count("\n") for path in self.files)

    def audit(self, seconds=60):
        """Waits until all is in the tables; then the figures."""
        settle(self.instance, seconds)
        figures = audit(self.instance.psql, self.files, "0 seconds")
        shutil.rmtree(self.dir)
        return figures


def spool_figures(instance):
    """`minuted spool status` as numbers by name."""
    done = instance.command("spool", "status")
    rows = re.findall(r"^([a-z]+(?: [a-z]+)?) {2,}(\d+)", done.stdout, re.M)
    return {name: int(value) for name, value in rows}


def settle(instance, seconds=60, running=0):
    """The spool empty, no call running, or at most so many."""
    instance.wait_healthy(seconds)
    wait_until(lambda: spool_figures(instance)["segments"] == 0, seconds, 0.2)
    sql = "select count(*) from minuted.calls where status = 'running'"
    wait_until(lambda: int(instance.psql(sql)[0][0]) <= running, seconds, 0.2)


def note(row, what, injections, figures, happens):
    """Keeps a result for table.py; figures None: nothing was counted there."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    figures = figures or {}
    value = {"row": row, "what": what, "injections": injections, "happens": happens,
             "acknowledged": figures.get("acknowledged"), "lost": figures.get("missing"),
             "duplicated": figures.get("duplicate")}
    (RESULTS / f"{row}.json").write_text(json.dumps(value) + "\n")


def no_loss(figures):
    """Nothing lost, nothing twice, nothing left running."""
    bad = {name: figures[name] for name in
           ("missing", "duplicate", "uncounted", "running", "dead_letters")
           if figures[name]}
    assert not bad, figures
    assert figures["acknowledged"] > 0


# Processes.


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def postmaster(cluster):
    """Process id, or None when it is not running."""
    try:
        pid = int((cluster.dir / "postgres/postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    return pid


@contextlib.contextmanager
def frozen(cluster, pids=None):
    """A PostgreSQL, or these processes of it, that answers nothing and closes
    nothing."""
    if pids is None:
        master = postmaster(cluster)
        children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        pids = [master, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Transaction:
    """Of somebody in psql who has done this, and has not ended it yet."""

    def __init__(self, instance, sql):
        self.psql = subprocess.Popen(
            ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d",
             instance.postgres.url("postgres", instance.database)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.psql.stdin.write(f"begin; {sql} \\g /dev/null\nselect 'done';\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline() == "done\n"

    def end(self):
        self.psql.communicate("commit;\n")


def certificate(where):
    """A new one that nobody has signed, for localhost, and its key: paths."""
    pem, key = where / "tls.pem", where / "tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", key, "-out", pem],
                   check=True, stderr=subprocess.DEVNULL)
    return pem, key


def also_listen(instance, how):
    """Has the instance's nginx listen at another port too; which."""
    port = free_port()
    conf = instance.dir / "nginx/nginx.conf"
    plain = f"listen 127.0.0.1:{instance.port} backlog=4096;"
    text = conf.read_text()
    assert plain in text
    conf.write_text(text.replace(plain, f"{plain} listen 127.0.0.1:{port} {how}"))
    instance.nginx.send_signal(signal.SIGHUP)

    def listens():
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens)
    return port


def add_tls(instance):
    """Has the instance's nginx speak TLS, with HTTP/2, at .tls_port too."""
    pem, key = certificate(instance.dir / "nginx")
    instance.tls_port = also_listen(
        instance, "ssl http2 backlog=4096;"
        f"ssl_certificate '{pem}'; ssl_certificate_key '{key}';")


# A network that can be cut.


class Net:
    """Another network namespace behind a pair of interfaces: HERE is our end,
    THERE the other."""

    HERE, THERE = "10.213.77.1", "10.213.77.2"

    def __init__(self):
        self.name = f"mf{os.getpid()}"
        self.near, self.far = self.name + "a", self.name + "b"
        try:
            self.ip("netns", "add", self.name)
            self.ip("link", "add", self.near, "type", "veth", "peer", "name", self.far,
                    "netns", self.name)
            self.ip("addr", "add", self.HERE + "/30", "dev", self.near)
            self.ip("link", "set", self.near, "up")
            self.ip("-n", self.name, "addr", "add", self.THERE + "/30", "dev", self.far)
            self.up()
        except OSError:
            self.remove()
            raise

    @staticmethod
    def ip(*words):
        done = subprocess.run(["ip", *words], stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise OSError(done.stderr.strip())

    def listener(self):
        """A socket that is bound there; what it accepts is there too."""
        made = []

        def make():
            with open(f"/run/netns/{self.name}") as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
                    return  # of this thread only, which ends
            sock = socket.socket()
            sock.bind((self.THERE, 0))
            made.append(sock)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise OSError("cannot enter a network namespace")
        return made[0]

    def program(self, resolv_conf):
        """The command that begins a program there, with that for its DNS."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount", "sh", "-c",
                f"mount --bind {resolv_conf} /etc/resolv.conf && exec \"$@\"", "there"]

    def down(self):
        """What is sent vanishes, nobody is told."""
        self.ip("-n", self.name, "link", "set", self.far, "down")

    def up(self):
        self.ip("-n", self.name, "link", "set", self.far, "up")

    def remove(self):
        for words in (("link", "del", self.near), ("netns", "del", self.name)):
            with contextlib.suppress(OSError):
                self.ip(*words)


# How long calls take.

WINDOW = 100  # calls
# seconds: of 60 samples of 300 calls that nothing disturbed, on two busy cores,
# the p99 was 0.5 to 6.8 ms, of five in six it was below this
NOISE = 0.003


def latencies(instance, user, count):
    """Seconds of each of so many calls, one after the other over a connection
    that stays; every one has to be 200."""
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=30)
    data = json.dumps(chat_body("a word", model="echo"))
    took = []
    for _ in range(count):
        began = time.monotonic()
        connection.request("POST", "/v1/chat/completions", data, {
            "Authorization": "Bearer " + user.token, "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        took.append(time.monotonic() - began)
        assert answer.status == 200, (answer.status, text)
    connection.close()
    return took


def sampled(instance, user, windows, seconds):
    """The same of so many windows, spread over that time."""
    began = time.monotonic()
    took = []
    for number in range(1, windows + 1):
        took += latencies(instance, user, WINDOW)
        time.sleep(max(0, began + seconds * number / windows - time.monotonic()))
    return took


def of_windows(took, rank):
    """The median of what rank takes of each window: what else the machine does
    for a moment is in few of them."""
    windows = [sorted(took[at : at + WINDOW]) for at in range(0, len(took), WINDOW)]
    return statistics.median(map(rank, windows))


def p50(took):
    return of_windows(took, statistics.median)


def p99(took):
    return of_windows(took, lambda window: window[-1 - len(window) // 100])


def not_disturbed(usual, within, times=2):
    assert p99(within) <= max(times * p99(usual), NOISE), (p99(usual), p99(within))


def calls_were(when, usual, within, usually="before"):
    return (f"calls took {1000 * p50(usual):.1f} ms (p50) and {1000 * p99(usual):.1f} ms (p99) "
            f"{usually}, {1000 * p50(within):.1f} ms and {1000 * p99(within):.1f} ms {when}: "
            f"{p50(within) / p50(usual):.2f} and {p99(within) / p99(usual):.2f} times")


# Preloading, and filesystems of our own.


def build_shim():
    """shim.c as a shared object."""
    out = RESULTS / "shim.so"
    source = HERE / "shim.c"
    if not out.exists() or out.stat().st_mtime < source.stat().st_mtime:
        RESULTS.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-O1", "-fPIC", "-shared",
                        "-o", out, source, "-ldl"], check=True)
    return out


class Mount:
    """A small filesystem: size in MB; kind ext4 (a loop device) or tmpfs."""

    def __init__(self, kind, megabytes, owner=None):
        self.base = folder()
        self.at = self.base / "at"
        self.at.mkdir()
        if kind == "ext4":
            image = self.base / "image"
            with open(image, "wb") as out:
                out.truncate(megabytes << 20)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
            command = ["mount", "-o", "loop", image, self.at]
        else:
            command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", self.at]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            shutil.rmtree(self.base)
            raise OSError(done.stderr.strip())
        if owner:
            shutil.chown(self.at, owner, owner)
            self.at.chmod(0o700)

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.at], check=True)

    def fill(self, leave=0):
        """Leaves no byte, or so many, free."""
        with open(self.at / "filler", "ab", buffering=0) as out:
            size = 1 << 20
            while size >= 512:
                try:
                    while out.write(b"\1" * size) == size:
                        pass
                    size //= 2
                except OSError:
                    size //= 2
            if leave:
                out.truncate(max(0, out.tell() - leave))

    def free(self):
        (self.at / "filler").unlink()

    def remove(self):
        subprocess.run(["umount", "-l", self.at], check=False)
        shutil.rmtree(self.base)


# CRC32C, to write a segment of the spool as it is documented.


def _table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def u32(value):
    return ctypes.c_uint32(value).value.to_bytes(4, "little")


def segment_records(data):
    """[offset, id, line] of the good records of a segment's bytes."""
    at, found = 40, []
    while data[at : at + 4] == b"MREC":
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((at, data[at + 16 : at + 32], data[at + 36 : at + 36 + length]))
        at += 36 + length
    return found


def segment_record(kind, each, line):
    head = b"MREC" + u32(len(line)) + u32(crc32c(line)) + u32(kind) + each
    return head + u32(crc32c(head)) + line


def segments(instance):
    return sorted(pathlib.Path(instance.settings["SPOOL_DIR"]).glob("*/*.spool"))

