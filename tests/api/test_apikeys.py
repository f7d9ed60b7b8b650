"""test_apikeys.py - /api/apikeys, and what a key opens."""

import datetime
import hashlib
import re
import time
import uuid

import pytest

from instance import wait_until

KEY = {"id", "key", "name", "prefix", "scopes", "is_active", "created_at", "expires_at",
       "last_used_at"}


def make(instance, user, **body):
    got = user.post("/api/apikeys", {"name": "a key", **body})
    assert got.status == 201, got
    instance.secrets.append(got.json()["key"])
    return got.json()


def fields(answer):
    assert answer.status == 400, answer
    return {fault["field"] for fault in answer.json()["errors"]}


def soon(seconds):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.isoformat().replace("+00:00", "Z")


@pytest.fixture(scope="module")
def user(instance):
    return instance.user()


def test_a_key_is_shown_once(instance, user):
    got = user.post("/api/apikeys", {"name": "mine"})
    assert got.status == 201
    assert got.headers["Cache-Control"] == "no-store"
    made = got.json()
    instance.secrets.append(made["key"])
    assert set(made) == KEY
    assert re.fullmatch(r"mnt_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}", made["key"])
    assert made["key"].startswith(made["prefix"]) and len(made["prefix"]) == 12
    assert made["is_active"] is True and made["expires_at"] is None and made["scopes"] == []
    shown = user.get("/api/apikeys/" + made["id"]).json()
    assert set(shown) == KEY
    assert shown["key"] == made["prefix"] + "…"
    assert {**shown, "key": 0} == {**made, "key": 0}
    assert shown in user.get("/api/apikeys").json()


def test_the_database_has_the_hash_only(instance, user):
    made = make(instance, user)
    rows = instance.psql(f"select key_hash, k::text from minuted.api_keys k where id = '{made['id']}'")
    assert rows[0][0] == hashlib.sha256(made["key"].encode()).hexdigest()
    assert made["key"][13:] not in rows[0][1]


def test_a_key_opens_what_a_token_opens(instance, user):
    key = make(instance, user)["key"]
    assert instance.http.as_user(key).get("/auth/profile").json()["id"] == user.id
    assert instance.http.get("/auth/profile", headers={"X-Api-Key": key}).status == 200
    # but it makes no keys and changes no account
    client = instance.http.as_user(key)
    for method, path in (("GET", "/api/apikeys"), ("POST", "/api/apikeys"),
                         ("POST", "/auth/password"), ("PATCH", "/user")):
        assert client.request(method, path, {} if method != "GET" else None).status == 403


def test_mistyped_and_foreign_keys_are_refused(instance, user):
    key = make(instance, user)["key"]
    for wrong in (key[:-1], key + "0", key[:20] + ("A" if key[20] != "A" else "B") + key[21:],
                  "mnt_", "sk-something", ""):
        assert instance.http.get("/auth/profile", headers={"X-Api-Key": wrong}).status == 401
    other = make(instance, user)["key"]
    assert instance.http.as_user(other).get(
        "/auth/profile", headers={"X-Api-Key": key}).status == 401


def test_faults_are_named_together(instance, user):
    got = user.post("/api/apikeys", {"is_active": "yes", "expires_at": "tomorrow",
                                     "scopes": ["everything"]})
    assert fields(got) == {"name", "is_active", "expires_at", "scopes"}
    assert fields(user.post("/api/apikeys", {"name": ""})) == {"name"}
    assert fields(user.post("/api/apikeys", {"name": "x" * 101})) == {"name"}
    assert fields(user.post("/api/apikeys", {"name": "x", "expires_at": soon(-5)})) == {
        "expires_at"}
    assert fields(user.post("/api/apikeys", {"name": "x", "scopes": "calls"})) == {"scopes"}
    assert user.post("/api/apikeys", {"name": "ü" * 100}).status == 201


def test_a_key_is_renamed_switched_off_and_on(instance, user):
    made = make(instance, user)
    path = "/api/apikeys/" + made["id"]
    client = instance.http.as_user(made["key"])
    assert client.get("/auth/profile").status == 200
    got = user.request("PATCH", path, {"name": "renamed", "is_active": False})
    assert got.status == 200
    assert got.json()["name"] == "renamed" and got.json()["is_active"] is False
    wait_until(lambda: client.get("/auth/profile").status == 401, 1)
    assert user.request("PUT", path, {"is_active": True}).json()["name"] == "renamed"
    wait_until(lambda: client.get("/auth/profile").status == 200, 2)
    assert fields(user.request("PATCH", path, {"name": ""})) == {"name"}


def test_a_revoked_key_is_dead_in_every_worker_within_a_second(instance, user):
    made = make(instance, user)
    client = instance.http.as_user(made["key"])
    for _ in range(20):
        assert client.get("/auth/profile").status == 200
    got = user.delete("/api/apikeys/" + made["id"])
    assert got.status == 204 and got.body == b""
    start = time.monotonic()
    wait_until(lambda: all(client.get("/auth/profile").status == 401 for _ in range(20)), 1)
    assert time.monotonic() - start < 1
    assert user.get("/api/apikeys/" + made["id"]).status == 404
    assert user.delete("/api/apikeys/" + made["id"]).status == 404


def test_an_expiry_holds_and_can_be_taken_away(instance, user):
    made = make(instance, user, expires_at=soon(1.5))
    client = instance.http.as_user(made["key"])
    assert client.get("/auth/profile").status == 200
    wait_until(lambda: client.get("/auth/profile").status == 401, 4)
    path = "/api/apikeys/" + made["id"]
    assert user.request("PATCH", path, {"expires_at": None}).json()["expires_at"] is None
    wait_until(lambda: client.get("/auth/profile").status == 200, 2)
    assert user.request("PATCH", path, {"name": "n"}).json()["expires_at"] is None


def test_scopes_narrow_a_key(instance, user):
    calls = make(instance, user, scopes=["calls"])
    assert calls["scopes"] == ["calls"]
    client = instance.http.as_user(calls["key"])
    assert client.get("/v1/models").status == 200
    assert client.get("/auth/profile").status == 403
    data = instance.http.as_user(make(instance, user, scopes=["data", "ingest"])["key"])
    assert data.get("/auth/profile").status == 200
    assert data.get("/v1/models").status == 403
    path = "/api/apikeys/" + calls["id"]
    assert user.request("PATCH", path, {"scopes": []}).json()["scopes"] == []
    wait_until(lambda: client.get("/auth/profile").status == 200, 2)


def test_other_users_keys_are_not_there(instance, user):
    made = make(instance, user)
    other = instance.user()
    path = "/api/apikeys/" + made["id"]
    unknown = other.get("/api/apikeys/" + str(uuid.uuid4())).json()
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("PUT", {"name": "x"}),
                         ("DELETE", None)):
        got = other.request(method, path, body)
        assert got.status == 404
        assert {**got.json(), "request_id": 0} == {**unknown, "request_id": 0}
    for malformed in ("x", "00000000", made["id"] + "0"):
        assert other.get("/api/apikeys/" + malformed).status == 404
    assert other.get("/api/apikeys").json() == []
    assert user.get(path).json()["name"] == "a key"


def walk(user, meanwhile=lambda: None):
    """The ids on all pages, page by page."""
    pages, path = [], "/api/apikeys?limit=2"
    while path:
        got = user.get(path)
        pages.append([key["id"] for key in got.json()])
        link = re.search(r"<([^>]*)>; rel=\"next\"", got.headers["Link"] or "")
        path = link and re.sub(r"^https?://[^/]+", "", link.group(1))
        meanwhile()
    return pages


def test_the_list_has_pages(instance):
    user = instance.user()
    ids = [make(instance, user, name=f"k{i}")["id"] for i in range(5)]
    assert [key["id"] for key in user.get("/api/apikeys").json()] == ids[::-1]
    assert walk(user) == [ids[:2:-1], ids[2:0:-1], ids[:1]]
    assert fields(user.get("/api/apikeys?limit=0&cursor=!")) == {"limit", "cursor"}


def test_the_last_page_is_full_or_the_list_empty(instance):
    user = instance.user()
    assert walk(user) == [[]]
    ids = [make(instance, user)["id"] for _ in range(4)]
    assert walk(user) == [ids[:1:-1], ids[1::-1]]


def test_no_gap_and_no_duplicate_while_keys_are_made(instance):
    user = instance.user()
    ids = [make(instance, user)["id"] for _ in range(5)]
    assert sum(walk(user, lambda: make(instance, user)), []) == ids[::-1]


def test_no_gap_when_the_key_that_a_page_ended_with_goes(instance):
    user = instance.user()
    ids = [make(instance, user)["id"] for _ in range(6)]
    gone = iter([ids[4], ids[2], ids[0]])
    pages = walk(user, lambda: user.delete("/api/apikeys/" + next(gone)))
    assert sum(pages, []) == ids[::-1]


def test_the_use_of_a_key_is_noted(instance, user):
    made = make(instance, user)
    assert user.get("/api/apikeys/" + made["id"]).json()["last_used_at"] is None
    instance.http.as_user(made["key"]).get("/auth/profile")
    wait_until(lambda: user.get("/api/apikeys/" + made["id"]).json()["last_used_at"], 5)


def test_keys_are_audited(instance):
    user = instance.user()
    made = make(instance, user)
    user.request("PATCH", "/api/apikeys/" + made["id"], {"is_active": False})
    user.delete("/api/apikeys/" + made["id"])
    rows = instance.psql("select action, detail->>'object' from minuted.audit_log"
                         f" where user_id = '{user.id}' and action like 'key%' order by id")
    assert rows == [["key_create", made["id"]], ["key_revoke", made["id"]],
                    ["key_delete", made["id"]]]


def test_keys_by_command(instance, user):
    got = instance.command("key", "add", user.email, "--name", "cli", "--expires", "30d")
    assert got.returncode == 0, got.stderr
    key = got.stdout.strip()
    instance.secrets.append(key)
    assert re.fullmatch(r"mnt_\w{8}_\w{38}", key) and key not in got.stderr
    client = instance.http.as_user(key)
    assert client.get("/auth/profile").status == 200
    listed = instance.command("key", "list", user.email)
    assert key[:12] in listed.stdout and "cli" in listed.stdout and key not in listed.stdout
    got = instance.command("key", "revoke", key[:12])
    assert got.returncode == 0 and key[:12] in got.stdout
    wait_until(lambda: client.get("/auth/profile").status == 401, 1)


def test_a_key_for_scripts(instance):
    name = "s" + uuid.uuid4().hex[:10]
    got = instance.command("user", "add", name, "--key")
    assert got.returncode == 0, got.stderr
    assert re.fullmatch(r"mnt_\w{8}_\w{38}\n", got.stdout)
    instance.secrets.append(got.stdout.strip())
    assert instance.http.as_user(got.stdout.strip()).get("/user/me").json()["username"] == name
