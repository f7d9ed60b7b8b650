"""faultproxy.py - a proxy between two programs that spoils what goes through.

    proxy = FaultProxy(("127.0.0.1", 5432))     or FaultProxy("/path/of/socket",
    proxy.port                                             listen="/other/path")
    proxy.latency = 0.5

What is set counts at once, also for connections that are open.
"""

import contextlib
import os
import socket
import struct
import threading
import time


class FaultProxy:
    def __init__(self, target, listen=None, mode=0o777, listener=None):
        self.target = target
        self.latency = 0.0  # seconds, each piece, from the target
        self.drip = 0.0  # seconds between two bytes from the target
        self.cut = -1  # after so many bytes from the target ...
        self.how = "rst"  # ... rst, fin (half-close), close or garbage
        self.hole = False  # nothing goes through, nothing closes
        self.refuse = False  # who connects is closed at once
        self.opened = 0
        self.pairs = set()
        self.pumps = set()  # threads
        self.ended = False
        if listener:
            self.listener = listener  # is bound
        elif listen:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(os.fspath(listen))
            os.chmod(listen, mode)
        else:
            self.listener = socket.socket()
            self.listener.bind(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(512)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.opened += 1
            threading.Thread(target=self.connect, args=(near,), daemon=True).start()

    def connect(self, near):
        family = socket.AF_INET if isinstance(self.target, tuple) else socket.AF_UNIX
        far = socket.socket(family)
        try:
            if self.refuse:
                raise ConnectionError
            far.connect(self.target)
        except OSError:
            self.reset(near)
            return
        pair = (near, far)
        self.pairs.add(pair)
        threading.Thread(target=self.pump, args=(near, far, pair, False), daemon=True).start()
        self.pump(far, near, pair, True)

    def pump(self, source, sink, pair, from_target):
        self.pumps.add(threading.current_thread())
        try:
            self.pass_on(source, sink, pair, from_target)
        finally:
            self.pumps.discard(threading.current_thread())

    def pass_on(self, source, sink, pair, from_target):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.hole and not self.ended:
                    time.sleep(0.01)
                if from_target:
                    time.sleep(self.latency)
                    if 0 <= self.cut < passed + len(data):
                        sink.sendall(data[: self.cut - passed])
                        self.spoil(sink, pair)
                        return
                passed += len(data)
                self.send(sink, data, from_target)
            while self.hole and not self.ended:
                time.sleep(0.01)
            sink.shutdown(socket.SHUT_WR)
            if not from_target:
                return
        self.close(pair)

    def send(self, sink, data, from_target):
        if not (from_target and self.drip):
            sink.sendall(data)
            return
        for at in range(len(data)):
            sink.sendall(data[at : at + 1])
            time.sleep(self.drip)

    def spoil(self, sink, pair):
        if self.how == "fin":
            sink.shutdown(socket.SHUT_WR)
            return
        if self.how == "garbage":
            sink.sendall(b"\x00\xffno such protocol\r\n\r\n" * 20)
        elif self.how == "rst":
            self.reset(sink)
        self.close(pair)

    @staticmethod
    def reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RD)  # a thread that reads it holds it open
        sock.close()

    def close(self, pair):
        self.pairs.discard(pair)
        for sock in pair:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def cut_all(self):
        """Every open connection is reset, once the threads let go of it."""
        pumps = list(self.pumps)
        for pair in list(self.pairs):
            self.pairs.discard(pair)
            for sock in pair:
                with contextlib.suppress(OSError):
                    self.reset(sock)
        for pump in pumps:
            pump.join(1)

    def stop(self):
        self.ended = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for pair in list(self.pairs):
            self.close(pair)
