"""test_table.py - what holds for every route, generated from the table that
serves them: a route that is added is tested, or fails for want of a creator."""

import json
import re
import subprocess
import uuid

import pytest

import validate
from instance import BINARY

ROUTES = json.loads(subprocess.run([BINARY, "routes", "--json"], check=True,
                                   stdout=subprocess.PIPE).stdout)
PATHS = sorted({row["path"] for row in ROUTES})
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
ORIGIN = "https://app.example.org"  # instance.py has it in CORS_ORIGIN


def each(rows):
    rows = list(rows)
    return pytest.mark.parametrize(
        "row", rows, ids=[f"{row['method']} {row['path']}" for row in rows])


def document_path(path):
    return re.sub(r":(\w+)", r"{\1}", path)


def same_as(path):
    """The path that this one is another name of, itself when it is none."""
    path = document_path(path)
    return validate.document()["paths"][path].get("x-same-as", path)


def filled(path, ids=None):
    """path with the parameters of ids, the others unknown ones."""
    return re.sub(r":(\w+)", lambda m: (ids or {}).get(m.group(1), str(uuid.uuid4())), path)


def operation(row):
    return validate.document()["paths"][document_path(row["path"])][row["method"].lower()]


def example_body(row):
    """The documented example; None when no body is taken."""
    body = validate.resolved(operation(row).get("requestBody"))
    if body is None:
        return None
    media = body["content"]["application/json"]
    if "example" in media:
        return media["example"]
    return next(iter(media["examples"].values()))["value"]


def example_query(row):
    """The required parameters, with their documented examples."""
    pairs = []
    for parameter in map(validate.resolved, operation(row).get("parameters", [])):
        if parameter.get("required"):
            value = parameter["example"]
            value = ",".join(value) if isinstance(value, list) else value
            pairs.append(f"{parameter['name']}={value.replace(' ', '+')}")
    return "?" + "&".join(pairs) if pairs else ""


def ask(client, row, path=None, **more):
    return client.request(row["method"], path or filled(row["path"]),
                          example_body(row), **more)


# Objects of a user, by the paths that name them.


def make_key(user):
    return {"id": user.post("/api/apikeys", {"name": "table"}).json()["id"]}


def make_chat(user):
    return {"id": user.post("/api/chats", {"title": "table"}).json()["chat"]["id"]}


def make_chat_of_messages(user):
    return {"chatId": make_chat(user)["id"]}


def make_message(user):
    chat = make_chat(user)["id"]
    got = user.post(f"/api/{chat}/messages", {"role": "user", "content": "x"}).json()
    return {"chatId": chat, "id": got["data"]["id"]}


def make_event(user):
    return {"id": user.post("/api/event-log", {"user_id": "u", "message": "x"}).json()["id"]}


def make_llm_log(user):
    return {"id": user.post("/api/llm-log", {"user_id": "u", "source": "x"}).json()["id"]}


def make_call(user):
    return {"id": user.chat("x", model="echo").headers["X-Call-Id"]}


def make_session(user):
    with user.stream("/playground/stream?prompt=x&models=echo", method="GET") as stream:
        events = [event.json() for event in stream.events()]
    return {"id": events[0]["sessionId"]}


CREATORS = {
    "/api/apikeys/{id}": make_key,
    "/api/chats/{id}": make_chat,
    "/api/chats/{id}/completions": make_chat,
    "/api/{chatId}/messages": make_chat_of_messages,
    "/api/{chatId}/messages/batch": make_chat_of_messages,
    "/api/{chatId}/messages/{id}": make_message,
    "/api/event-logs/{id}": make_event,
    "/api/llm-logs/{id}": make_llm_log,
    "/playground/sessions/{id}": make_session,
    "/v1/calls/{id}": make_call,
}
# What has a parameter and is nobody's.
SHARED = {"/v1/models/{id}": {"id": "echo"}}


def make(row, user):
    path = same_as(row["path"])
    return SHARED[path] if path in SHARED else CREATORS[path](user)


@pytest.fixture(scope="module")
def owner(instance):
    return instance.user()


@pytest.fixture(scope="module")
def other(instance):
    return instance.user()


@pytest.fixture(scope="module")
def key(instance, owner):
    """A client with an API key of owner."""
    key = owner.post("/api/apikeys", {"name": "table"}).json()["key"]
    instance.secrets.append(key)
    return owner.as_user(key)


closed = [row for row in ROUTES if row["role"] != "public"]
owned = [row for row in ROUTES if ":" in row["path"] and same_as(row["path"]) not in SHARED]
readable = [row for row in ROUTES if row["method"] == "GET"]


def test_every_route_states_a_role():
    assert {row["role"] for row in ROUTES} <= {"public", "user", "login", "key"}


@each(closed)
def test_no_credential_is_401(instance, row):
    got = ask(instance.http, row)
    assert got.status == 401, got
    assert got.headers["WWW-Authenticate"] == "Bearer"


@each(closed)
@pytest.mark.parametrize("headers", [
    {"Authorization": "Bearer nonsense"},
    {"Authorization": "Basic dXNlcjpwYXNz"},
    {"X-Api-Key": "mnt_00000000_00000000000000000000000000000000000000"},
], ids=["token", "basic", "key"])
def test_a_wrong_credential_is_401(instance, row, headers):
    assert ask(instance.http, row, headers=headers).status == 401


@each(row for row in ROUTES if row["role"] == "login")
def test_a_key_is_403_where_a_login_is_needed(key, row):
    assert ask(key, row).status == 403


@pytest.mark.parametrize("path", PATHS)
def test_another_method_is_405_and_names_those_there_are(owner, path):
    taken = {row["method"] for row in ROUTES if row["path"] == path}
    allow = taken | {"OPTIONS"} | ({"HEAD"} if "GET" in taken else set())
    for method in {*METHODS, "FOO"} - taken:
        got = owner.request(method, filled(path))
        assert got.status == 405, (method, got)
        assert set(got.headers["Allow"].split(", ")) == allow


@each(readable)
def test_head_is_get_without_a_body(owner, row):
    path = filled(row["path"], make(row, owner) if ":" in row["path"] else None)
    path += example_query(row)
    head = owner.request("HEAD", path)
    got = owner.get(path)
    assert (head.status, head.body) == (got.status, b"")
    assert got.status == 200
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


@each(readable)
def test_head_needs_the_credential_too(instance, row):
    head = instance.http.request("HEAD", filled(row["path"]) + example_query(row))
    assert head.status == (200 if row["role"] == "public" else 401)


@each(ROUTES)
def test_a_trailing_slash_is_optional(instance, row):
    path = filled(row["path"])
    if path == "/":
        return
    plain = ask(instance.http, row, path)
    slash = ask(instance.http, row, path + "/")
    assert slash.status == plain.status or {slash.status, plain.status} == {201, 409}
    assert slash.status not in (301, 302, 307, 308, 404)


def without_id(answer):
    body = answer.json()
    body.pop("request_id", None)
    return body


@each(owned)
def test_a_malformed_id_is_404_like_an_unknown_one(owner, row):
    unknown = ask(owner, row)
    assert unknown.status == 404, unknown
    ids = make(row, owner)
    for name in ids:
        for wrong in ("1", "x", "0192f0c1-7a6b-7c3d-8e4f-5a6b7c8d9e0", "%27", "0" * 300):
            got = ask(owner, row, filled(row["path"], {**ids, name: wrong}))
            assert got.status == 404, (wrong, got)
            assert without_id(got) == without_id(unknown)


@each(owned)
def test_an_object_of_another_user_is_404_like_an_unknown_one(owner, other, row):
    ids = make(row, owner)
    unknown = ask(other, row)
    got = ask(other, row, filled(row["path"], ids))
    assert (got.status, unknown.status) == (404, 404), got
    assert without_id(got) == without_id(unknown)
    # and it is as it was
    for reader in readable:
        if reader["path"] == row["path"]:
            assert owner.get(filled(row["path"], ids)).status == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_is_answered(instance, path):
    got = instance.http.request("OPTIONS", filled(path), headers={
        "Origin": ORIGIN, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type"})
    assert (got.status, got.body) == (204, b"")
    assert got.headers["Access-Control-Allow-Origin"] == ORIGIN
    allowed = got.headers["Access-Control-Allow-Headers"].lower()
    assert {"authorization", "content-type", "x-api-key"} <= set(allowed.split(", "))
    served = {row["method"] for row in ROUTES if row["path"] == path}
    assert served <= set(got.headers["Access-Control-Allow-Methods"].split(", "))


# The example has another password than the test's user.
EXAMPLES_REFUSED = {"/auth/password": 400}


@each(row for row in closed)
def test_the_documented_example_works(instance, row):
    user = instance.user()
    path = filled(row["path"], make(row, user) if ":" in row["path"] else None)
    body = example_body(row)
    if row["path"].endswith("/profile") and body:
        body = {"username": user.email.partition("@")[0]}
    got = user.request(row["method"], path + example_query(row), body)
    wanted = EXAMPLES_REFUSED.get(row["path"])
    assert got.status == wanted if wanted else got.status < 300, got


@each(row for row in ROUTES if example_body(row) is not None)
def test_a_body_of_another_type_is_415(owner, row):
    path = filled(row["path"], make(row, owner) if ":" in row["path"] else None)
    got = owner.request(row["method"], path, body="x=1", headers={
        "Content-Type": "application/x-www-form-urlencoded"})
    assert got.status == 415, got


@each(row for row in ROUTES if example_body(row) is not None)
@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"a":1,"a":2}', b'"\xff"'],
                         ids=["cut", "array", "twice", "bytes"])
def test_a_body_that_is_no_object_is_400(owner, row, raw):
    path = filled(row["path"], make(row, owner) if ":" in row["path"] else None)
    got = owner.request(row["method"], path, body=raw,
                        headers={"Content-Type": "application/json"})
    assert got.status == 400, got
