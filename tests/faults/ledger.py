"""ledger.py - clients that remember what was acknowledged.

    ledger.py PORT --token TOKEN --file FILE [--hands N] [--seconds S] [--keys]

Each of the hands asks again and again: whole answers, streams, single logs and
batches.  The id of a record is appended to FILE, and FILE is fsynced, only once
its complete answer is here: a call's JSON, a stream's [DONE], an ingest's 201.
So every line of FILE is a promise of the server: "call ID", "event ID" or
"log ID".

With --keys every third thing has an Idempotency-Key and a content of its own,
but no id, and is sent again, the same, until there is an answer that is final.
That is a line "once-event TEXT", and so on: there is to be exactly one of it.

SIGTERM, or the time, ends it; what it counted is printed as JSON.
"""

import argparse
import asyncio
import collections
import itertools
import json
import os
import signal
import time
import uuid

TIMEOUT = 20
BATCH = 20
PATIENCE = 120  # with a key, until the answer: PostgreSQL may be killed again and again
PAUSE = 0.02  # after a failure


class Ledger:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, kind, ids):
        lines = "".join(f"{kind} {each}\n" for each in ids).encode()
        assert os.write(self.fd, lines) == len(lines)
        os.fdatasync(self.fd)


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def outcome(self):
        """The status, and of a refusal its code."""
        if self.status < 400 or not self.body.startswith(b"{"):
            return self.status
        value = json.loads(self.body)
        error = value.get("error")
        return f"{self.status} {(error or value).get('code')}"


async def ask(port, token, path, value, key=None):
    """A whole answer; raises when it is not whole."""
    more = b"Idempotency-Key: %s\r\n" % key.encode() if key else b""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    data = json.dumps(value).encode()
    writer.write(
        b"POST %s HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\n%sContent-Length: %d\r\n\r\n%s"
        % (path.encode(), token.encode(), more, len(data), data)
    )
    try:
        words = (await reader.readline()).split()
        if len(words) < 2:
            raise ConnectionError("no answer")
        headers = {}
        while (line := await reader.readline()) not in (b"\r\n", b""):
            name, _, text = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = text.strip()
        return Answer(int(words[1]), headers, await reader.read())
    finally:
        writer.close()


class Hands:
    """Clients of one user."""

    def __init__(self, port, token, ledger, prompt, keys=False):
        self.port = port
        self.token = token
        self.ledger = ledger
        self.prompt = prompt
        self.keys = keys
        self.counts = collections.Counter()
        self.stopping = False
        self.chat_id = None  # of the messages that are sent with a key

    def chat(self, stream):
        return {"model": "fake", "stream": stream,
                "messages": [{"role": "user", "content": self.prompt}]}

    async def whole(self):
        got = await ask(self.port, self.token, "/v1/chat/completions", self.chat(False))
        if got.status == 200:
            json.loads(got.body)
            self.ledger.add("call", [got.headers["x-call-id"]])
        return got.outcome()

    async def stream(self):
        got = await ask(self.port, self.token, "/v1/chat/completions", self.chat(True))
        if got.status != 200:
            return got.outcome()
        if not got.body.endswith(b"data: [DONE]\n\n"):
            return "cut"
        self.ledger.add("call", [got.headers["x-call-id"]])
        return 200

    async def single(self, path, kind, fields):
        mine = str(uuid.uuid4())
        got = await ask(self.port, self.token, path, dict(fields, id=mine))
        if got.status == 201:
            self.ledger.add(kind, [mine])
        return got.outcome()

    async def event(self):
        return await self.single("/api/event-log", "event", {
            "user_id": "u", "message": "it happened"})

    async def log(self):
        return await self.single("/api/llm-log", "log", {
            "user_id": "u", "source": "s", "query": "q", "response": "r"})

    async def batch(self):
        ids = [str(uuid.uuid4()) for _ in range(BATCH)]
        logs = [{"id": each, "user_id": "u", "message": "one of many"} for each in ids]
        got = await ask(self.port, self.token, "/api/event-log/batch", {"logs": logs})
        if got.status == 201:
            self.ledger.add("event", ids)
        return got.outcome()

    # With a key, until there is an answer.

    async def until_answered(self, path, value):
        """The answer that is final, None if there was none in time; its status.
        Final are 200 and 201, and that it is not given again."""
        key = str(uuid.uuid4())
        end = time.monotonic() + PATIENCE
        got = None
        while got is None or got.status not in (200, 201):
            if time.monotonic() > end:
                return None, "late"
            try:
                got = await asyncio.wait_for(
                    ask(self.port, self.token, path, value, key), TIMEOUT)
            except (OSError, ValueError, asyncio.TimeoutError,
                    asyncio.IncompleteReadError):
                self.counts["again broken"] += 1
            else:
                if got.status not in (200, 201):
                    self.counts[f"again {got.outcome()}"] += 1
                if "idempotency_not_kept" in str(got.outcome()):
                    break
            if got is None or got.status not in (200, 201):
                await asyncio.sleep(PAUSE)
        return got, got.status

    async def once(self, kind, path, value, text):
        got, status = await self.until_answered(path, value)
        if status in (200, 201):
            self.ledger.add("once-" + kind, [text])
        return status

    async def once_event(self):
        text = "once-" + str(uuid.uuid4())
        return await self.once("event", "/api/event-log", {
            "user_id": "u", "message": text}, text)

    async def once_batch(self):
        texts = ["once-" + str(uuid.uuid4()) for _ in range(BATCH)]
        logs = [{"user_id": "u", "message": text} for text in texts]
        got, status = await self.until_answered("/api/event-log/batch", {"logs": logs})
        if status == 201:
            self.ledger.add("once-event", texts)
        return status

    async def once_log(self):
        text = "once-" + str(uuid.uuid4())
        return await self.once("log", "/api/llm-log", {
            "user_id": "u", "source": text, "query": "q"}, text)

    async def once_chat(self):
        text = "once-" + str(uuid.uuid4())
        got, status = await self.until_answered("/api/chats", {"title": text})
        if status == 201:
            self.ledger.add("once-chat", [text])
            self.chat_id = self.chat_id or json.loads(got.body)["chat"]["id"]
        return status

    async def once_message(self):
        if self.chat_id is None:
            return await self.once_chat()
        text = "once-" + str(uuid.uuid4())
        return await self.once("message", f"/api/{self.chat_id}/messages", {
            "role": "user", "content": text}, text)

    async def once_call(self):
        value = self.chat(False)
        text = "once-" + str(uuid.uuid4())
        value["messages"].append({"role": "user", "content": text})
        got, status = await self.until_answered("/v1/chat/completions", value)
        if got is not None:  # not kept: it is in the log all the same
            self.ledger.add("call", [got.headers["x-call-id"]])
            self.ledger.add("once-call", [text])
        return 200 if status == 409 else status

    async def hand(self, number):
        plain = itertools.cycle([self.whole, self.stream, self.event, self.stream,
                                 self.log, self.whole, self.batch])
        keyed = itertools.cycle([self.once_event, self.once_chat, self.once_call,
                                 self.once_log, self.once_message, self.once_batch])
        for _ in range(number):
            next(plain), next(keyed)
        while not self.stopping:
            number += 1
            work = next(keyed if self.keys and number % 3 == 0 else plain)
            try:
                status = await asyncio.wait_for(work(), PATIENCE + TIMEOUT)
            except asyncio.TimeoutError:
                status = "late"
            except (OSError, ValueError, asyncio.IncompleteReadError):
                status = "broken"
            self.counts[f"{work.__name__} {status}"] += 1
            if status not in (200, 201):
                await asyncio.sleep(PAUSE)

    def stop(self):
        self.stopping = True

    async def run(self, hands, seconds):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        if seconds:
            loop.call_later(seconds, self.stop)
        await asyncio.gather(*(self.hand(number) for number in range(hands)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--token", required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--hands", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--keys", action="store_true")
    parser.add_argument("--prompt", default="chunks=3 delay=0.01")
    args = parser.parse_args()
    hands = Hands(args.port, args.token, Ledger(args.file), args.prompt, args.keys)
    began = time.monotonic()
    asyncio.run(hands.run(args.hands, args.seconds))
    print(json.dumps({"seconds": round(time.monotonic() - began, 1), **hands.counts}))


if __name__ == "__main__":
    main()
