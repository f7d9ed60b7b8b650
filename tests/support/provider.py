"""provider.py - a fake model provider that does what the prompt says.

Speaks OpenAI's POST /v1/chat/completions (JSON and SSE) on 127.0.0.1, prints
its port, and runs until its standard input closes.  The last message's text
may hold words like chunks=20 delay=0.05; see Plan.  It knows every model but
those that begin with no-.  What it saw, with monotonic times, is at GET
/__seen?tag=..., the tag being the prompt's tag=.
"""

import asyncio
import contextlib
import json
import re
import sys
import time
import urllib.parse

DONE = b"data: [DONE]\n\n"


class Plan:
    """What to do; numbers of chunks count from the first."""

    defaults = {
        "chunks": 3,  # words of the answer
        "into": "content",  # member that they are in; arguments: of a tool's call
        "second": 0,  # words of choice 1, which begins when choice 0 has ended
        "obey": 0,  # 1: not more words than the request's ceiling
        "delay": 0.0,  # seconds between two
        "first": 0.0,  # seconds before the answer begins
        "stall": -1,  # say nothing more after so many; 0: not even headers
        "cut": -1,  # close the connection after so many
        "garbage": -1,  # an event that is no JSON after so many
        "badutf8": -1,  # an event that is no UTF-8
        "huge": -1,  # an event of 3 MB
        "errorevent": -1,  # an event that is an error object
        "endless": 0,  # 1: chunks without end
        "unterminated": 0,  # 1: ends without finish_reason and [DONE]
        "last": "",  # cut, stall: what comes after finish_reason
        "size": 0,  # bytes a word, 0: short ones
        "status": 200,  # anything else is an error answer
        "retry_after": 0,
        "usage": 1,  # 0: never reports it
        "tool": 0,  # 1: calls the first tool of the request
        "drip": 0.0,  # seconds between two bytes of an event
        "nonsense": 0,  # 1: a JSON answer that is none
        "tag": "",
    }

    def __init__(self, text):
        for name, value in self.defaults.items():
            setattr(self, name, value)
        for name, value in re.findall(r"(\w+)=(\S+)", text[:500]):
            if name in self.defaults:
                setattr(self, name, type(self.defaults[name])(value))

    def word(self, index):
        word = f"word{index} "
        return word.ljust(self.size, "x") if self.size else word


def prompt_of(body):
    for message in reversed(body.get("messages") or []):
        content = message.get("content")
        if isinstance(content, str):
            return content
        if isinstance(content, list):
            return " ".join(part.get("text", "") for part in content)
    return ""


class Provider:
    def __init__(self):
        self.seen = []
        self.open = 0

    # One connection.

    async def serve(self, reader, writer):
        self.open += 1
        try:
            while await self.one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def one(self, reader, writer):
        line = await reader.readline()
        if not line:
            return False
        method, target, version = line.decode("latin-1").split()
        headers = {}
        while (line := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        url = urllib.parse.urlsplit(target)
        if url.path == "/__seen":
            tag = urllib.parse.parse_qs(url.query).get("tag", [None])[0]
            rows = [s for s in self.seen if tag is None or s["tag"] == tag]
            await self.answer(writer, 200, {"open": self.open, "seen": rows})
            return True
        if method != "POST" or not url.path.endswith("/chat/completions"):
            await self.error(writer, 404, "no such path")
            return True
        kept = await self.complete(reader, writer, url.path, headers, raw)
        return kept and version == "HTTP/1.1"

    async def complete(self, reader, writer, path, headers, raw):
        body = json.loads(raw)
        plan = Plan(prompt_of(body))
        ceiling = body.get("max_tokens")
        if plan.obey and ceiling is not None:
            plan.chunks = min(plan.chunks, ceiling)
        row = {
            "tag": plan.tag,
            "path": path,
            "headers": headers,
            "raw": raw.decode("utf-8", "replace"),
            "body": body,
            "began": time.monotonic(),
            "sent": 0,  # chunks
            "ended": None,
            "gone": None,  # when the client closed before the end
        }
        self.seen.append(row)
        work = asyncio.create_task(self.act(writer, plan, body, row))
        work.add_done_callback(lambda t: t.cancelled() or t.exception())  # seen
        watch = asyncio.create_task(self.end_of(reader))
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():  # the client left, or talks out of turn
            row["gone"] = time.monotonic()
            work.cancel()
            return False
        if watch.done():
            if row["ended"] is None or work.exception():
                row["gone"] = time.monotonic()
            return False
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        return work.result()

    @staticmethod
    async def end_of(reader):
        with contextlib.suppress(ConnectionError):
            await reader.read(1)

    # The answer; False: the connection is not used again.

    async def act(self, writer, plan, body, row):
        await asyncio.sleep(plan.first)
        if plan.stall == 0:
            await asyncio.sleep(3600)
        if plan.cut == 0:
            return False
        if str(body.get("model")).startswith("no-"):
            error = {"message": "The model does not exist", "code": "model_not_found"}
            await self.answer(writer, 404, {"error": error})
        elif plan.status != 200:
            await self.error(writer, plan.status, "as asked", plan.retry_after)
        elif body.get("stream"):
            return await self.stream(writer, plan, body, row)
        elif plan.nonsense:
            await self.send(writer, 200, "application/json", b"<html>{")
        else:
            await self.whole(writer, plan, body)
        row["ended"] = time.monotonic()
        return True

    async def whole(self, writer, plan, body):
        text = ""
        for index in range(plan.chunks):
            text += plan.word(index)
            await asyncio.sleep(plan.delay)
        message = {"role": "assistant", "content": "", **self.added(plan, text)}
        reason = "stop"
        if plan.tool:
            reason = "tool_calls"
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [self.tool(body)],
            }
        answer = self.envelope(body, "chat.completion")
        answer["choices"] = [
            {"index": 0, "message": message, "finish_reason": reason}
        ]
        if plan.second:
            text = "".join(map(plan.word, range(plan.second)))
            message = {"role": "assistant", "content": text}
            answer["choices"].append(
                {"index": 1, "message": message, "finish_reason": "stop"}
            )
        if plan.usage:
            answer["usage"] = self.usage(plan)
        await self.answer(writer, 200, answer)

    async def stream(self, writer, plan, body, row):
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        index = 0
        while index < plan.chunks + plan.second or plan.endless:
            choice = int(plan.second > 0 and index >= plan.chunks)
            if choice and index == plan.chunks:
                await self.event(writer, plan, self.chunk(body, {}, "stop"))
            if index == plan.stall:
                await writer.drain()
                await asyncio.sleep(3600)
            if index == plan.cut:
                await writer.drain()
                return False
            await self.odd_event(writer, plan, index)
            delta = self.added(plan, plan.word(index))
            if index == 0:
                delta["role"] = "assistant"
            await self.event(writer, plan, self.chunk(body, delta, None, choice))
            row["sent"] = index = index + 1
            if plan.delay:
                await asyncio.sleep(plan.delay)
        if plan.tool:
            delta = {"tool_calls": [dict(self.tool(body), index=0)]}
            if index == 0:
                delta["role"] = "assistant"
            await self.event(writer, plan, self.chunk(body, delta))
        if not plan.unterminated:
            reason = "tool_calls" if plan.tool else "stop"
            choice = int(plan.second > 0)
            await self.event(writer, plan, self.chunk(body, {}, reason, choice))
            if plan.last == "stall":
                await asyncio.sleep(3600)
            if plan.last == "cut":
                return False
            await self.finish(writer, plan, body)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        row["ended"] = time.monotonic()
        return True

    async def finish(self, writer, plan, body):
        options = body.get("stream_options") or {}
        if plan.usage and options.get("include_usage"):
            last = self.envelope(body, "chat.completion.chunk")
            last.update(choices=[], usage=self.usage(plan))
            await self.event(writer, plan, last)
        self.piece(writer, DONE)

    async def odd_event(self, writer, plan, index):
        if index == plan.garbage:
            self.piece(writer, b"data: {this is no json\n\n")
        if index == plan.badutf8:
            self.piece(writer, b'data: {"choices":[{"delta":{"content":"\xff\xc0\x80"}}]}\n\n')
        if index == plan.huge:
            self.piece(writer, b"data: " + b"x" * 3_000_000 + b"\n\n")
        if index == plan.errorevent:
            self.piece(writer, b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n')
        await writer.drain()

    async def event(self, writer, plan, payload):
        data = b"data: " + json.dumps(payload).encode() + b"\n\n"
        if plan.drip:
            for at in range(len(data)):
                self.piece(writer, data[at : at + 1])
                await writer.drain()
                await asyncio.sleep(plan.drip)
        else:
            self.piece(writer, data)
            await writer.drain()

    # Shapes.

    @staticmethod
    def envelope(body, kind):
        return {
            "id": f"chatcmpl-{time.monotonic_ns()}",
            "object": kind,
            "created": int(time.time()),
            "model": body.get("model"),
        }

    def chunk(self, body, delta, reason=None, choice=0):
        chunk = self.envelope(body, "chat.completion.chunk")
        chunk["choices"] = [
            {"index": choice, "delta": delta, "finish_reason": reason}
        ]
        chunk["sent_at"] = time.monotonic()
        return chunk

    @staticmethod
    def added(plan, text):
        if plan.into == "arguments":
            return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        if plan.into == "function_call":
            return {"function_call": {"arguments": text}}
        return {plan.into: text}

    @staticmethod
    def tool(body):
        name = body["tools"][0]["function"]["name"]
        return {
            "id": "call_1",
            "type": "function",
            "function": {"name": name, "arguments": '{"city":"Oslo"}'},
        }

    @staticmethod
    def usage(plan):
        return {
            "prompt_tokens": 11,
            "completion_tokens": plan.chunks,
            "total_tokens": 11 + plan.chunks,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 1},
        }

    # Bytes.

    @staticmethod
    def piece(writer, data):
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def answer(self, writer, status, value, more=""):
        data = json.dumps(value).encode()
        await self.send(writer, status, "application/json", data, more)

    async def error(self, writer, status, message, retry_after=0):
        more = f"Retry-After: {retry_after}\r\n" if retry_after else ""
        value = {"error": {"message": message, "type": "fake", "code": None}}
        await self.answer(writer, status, value, more)

    @staticmethod
    async def send(writer, status, kind, data, more=""):
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(data)}\r\n{more}\r\n"
        )
        writer.write(head.encode() + data)
        await writer.drain()


async def main():
    provider = Provider()
    server = await asyncio.start_server(
        provider.serve, "127.0.0.1", 0, backlog=4096, limit=2**26
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
