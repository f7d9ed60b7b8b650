"""storm.py - a storm of connections: each new, one request, and gone.

    storm.py PORT RATE SECONDS

Begins RATE of them a second, whatever became of those before (open loop), and
prints as JSON how many were begun, how long that took, and the answers.
"""

import asyncio
import collections
import json
import sys
import time

REQUEST = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"
WAIT = 10  # seconds for the last answers


class One(asyncio.Protocol):
    def __init__(self, answers):
        self.answers = answers
        self.answer = b""

    def connection_made(self, transport):
        transport.write(REQUEST)

    def data_received(self, data):
        self.answer = (self.answer + data)[:12]

    def connection_lost(self, _):
        self.answers[self.answer[9:].decode() or "none"] += 1


async def one(loop, port, answers):
    try:
        await loop.create_connection(lambda: One(answers), "127.0.0.1", port)
    except OSError:
        answers["refused"] += 1


async def storm(port, rate, seconds):
    loop = asyncio.get_running_loop()
    answers = collections.Counter()
    began = time.monotonic()
    pending = set()
    count = 0
    while (passed := time.monotonic() - began) < seconds:
        for _ in range(int(passed * rate) - count):
            task = loop.create_task(one(loop, port, answers))
            pending.add(task)
            task.add_done_callback(pending.discard)
            count += 1
        await asyncio.sleep(0.002)
    took = time.monotonic() - began
    end = time.monotonic() + WAIT
    while answers.total() < count and time.monotonic() < end:
        await asyncio.sleep(0.01)
    answers["late"] += count - answers.total()
    return {"begun": count, "seconds": took, "answers": {k: n for k, n in answers.items() if n}}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(storm(int(sys.argv[1]), float(sys.argv[2]),
                                       float(sys.argv[3])))))
