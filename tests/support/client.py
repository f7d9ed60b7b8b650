"""client.py - HTTP as the tests speak it: whole answers, SSE, many streams at
once, and raw bytes.  Whole answers and SSE have to be as the OpenAPI document
says."""

import asyncio
import http.client
import json as jsonlib
import socket
import time

import validate


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # http.client.HTTPMessage
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return jsonlib.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Event:
    def __init__(self, data, at):
        self.data = data
        self.at = at  # monotonic

    def json(self):
        return jsonlib.loads(self.data)


class Stream:
    """An SSE answer being read; events() yields until the server ends it."""

    def __init__(self, connection, answer, check=None):
        self.connection = connection
        self.answer = answer
        self.status = answer.status
        self.headers = answer.headers
        self.check = check  # of the data of each event

    def events(self):
        for event in self._events():
            if self.check and self.status == 200:
                self.check(event.data)
            yield event

    def _events(self):
        data = []
        while line := self.answer.readline():
            line = line.rstrip(b"\r\n")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" ").decode())
            elif not line and data:
                yield Event("\n".join(data), time.monotonic())
                data = []

    def texts(self):
        return [event.data for event in self.events()]

    def close(self):
        self.answer.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Client:
    """A client of one server, as one user when it has a token.  check: the
    answers have to be as documented."""

    def __init__(self, port, token=None, timeout=30, check=True):
        self.port = port
        self.token = token
        self.timeout = timeout
        self.check = check

    def as_user(self, token):
        return Client(self.port, token, self.timeout, self.check)

    def _send(self, method, path, json=None, body=None, headers=None):
        head = {}
        if self.token:
            head["Authorization"] = f"Bearer {self.token}"
        if json is not None:
            body = jsonlib.dumps(json)
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        head = {k: v for k, v in head.items() if v is not None}
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=self.timeout
        )
        connection.request(method, path, body=body, headers=head)
        return connection, connection.getresponse()

    def request(self, method, path, json=None, body=None, headers=None):
        connection, answer = self._send(method, path, json, body, headers)
        try:
            got = Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()
        if self.check:
            validate.check(method, path, json, got)
        return got

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, json=None, **more):
        return self.request("POST", path, json, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def stream(self, path, json=None, method="POST", headers=None):
        connection, answer = self._send(method, path, json, headers=headers)
        if not self.check:
            return Stream(connection, answer)
        validate.check(method, path, json, Answer(answer.status, answer.headers, None))
        return Stream(connection, answer, lambda data: validate.check_event(
            method, path, answer, data))

    # Model calls.

    def chat(self, prompt="hello", model="fake", **more):
        return self.post("/v1/chat/completions", chat_body(prompt, model, **more))

    def chat_stream(self, prompt="hello", model="fake", **more):
        body = chat_body(prompt, model, stream=True, **more)
        return self.stream("/v1/chat/completions", body)

    def call(self, answer):
        """The log record of a call's answer or stream."""
        got = self.get("/v1/calls/" + answer.headers["X-Call-Id"])
        assert got.status == 200, got
        return got.json()

    def raw(self, data, seconds=5.0):
        """Sends bytes as they are; what came back until it closed or was
        silent."""
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.settimeout(seconds)
            sock.sendall(data)
            got = b""
            try:
                while piece := sock.recv(65536):
                    got += piece
            except (TimeoutError, ConnectionError):
                pass
            return got


def chat_body(prompt="hello", model="fake", **more):
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    body.update(more)
    return body


class Flow:
    """What one of many concurrent requests came to."""

    def __init__(self):
        self.status = None
        self.call_id = None
        self.chunks = 0
        self.done = False  # [DONE], or a whole JSON answer
        self.lags = []  # seconds from the provider's send to here
        self.error = None


async def flow(port, token, body, timeout=60):
    """One chat completion over a connection of its own."""
    result = Flow()
    try:
        await asyncio.wait_for(_flow(port, token, body, result), timeout)
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as error:
        result.error = repr(error)
    return result


async def _flow(port, token, body, result):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = jsonlib.dumps(body).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.0\r\nHost: x\r\n"
        b"Content-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
        % (token.encode(), len(data), data)
    )
    try:
        result.status = int((await reader.readline()).split()[1])
        while (line := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            if name.lower() == "x-call-id":
                result.call_id = value.strip()
        if body.get("stream") and result.status == 200:
            await _read_events(reader, result)
        else:
            answer = await reader.read()
            jsonlib.loads(answer)
            result.done = result.status == 200
            if not result.done:
                result.error = answer.decode()
    except IndexError:
        result.error = "closed without an answer"
    finally:
        writer.close()


async def _read_events(reader, result):
    while line := await reader.readline():
        if line == b"data: [DONE]\n":
            result.done = True
        elif line.startswith(b"data: "):
            result.chunks += 1
            sent = line.rfind(b'"sent_at": ')
            if sent > 0:
                at = float(line[sent + 11 :].split(b"}")[0].split(b",")[0])
                result.lags.append(time.monotonic() - at)


def flows(port, token, bodies, timeout=60):
    """All at once; their results in order."""

    async def run():
        return await asyncio.gather(
            *(flow(port, token, body, timeout) for body in bodies)
        )

    return asyncio.run(run())
