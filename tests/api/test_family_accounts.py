"""test_family_accounts.py - registration, login and profile as the logger's and
the chats' clients know them."""

import uuid

import pytest

from client import Client
from instance import wait_until

PHRASE = "a fairly long phrase"


def fresh():
    return "f" + uuid.uuid4().hex[:12]


def fields(answer):
    assert answer.status == 400, answer
    return {fault["field"] for fault in answer.json()["errors"]}


# --- logger -----------------------------------------------------------------


def logger_user(instance, name):
    got = instance.http.post("/api/auth/register/", {
        "username": name, "email": f"{name}@example.org", "password": PHRASE,
        "password_confirm": PHRASE})
    assert got.status == 201, got
    assert got.json() == {"username": name, "email": f"{name}@example.org"}
    got = instance.http.post("/api/auth/login/", {"username": name, "password": PHRASE})
    assert got.status == 200, got
    assert set(got.json()) == {"refresh", "access"}
    instance.secrets += list(got.json().values())
    client = instance.http.as_user(got.json()["access"])
    client.refresh = got.json()["refresh"]
    return client


@pytest.mark.parametrize("path", ["/api/register", "/api/auth/register"])
def test_logger_register_needs_a_name_only(instance, path):
    name = fresh()
    generous = Client(instance.port, check=False)  # forms send what is empty
    got = generous.post(path, {"username": name, "password": PHRASE, "email": ""})
    assert got.status == 201
    assert got.json() == {"username": name, "email": None}
    assert instance.http.post(path, {"username": name, "password": PHRASE}).status == 409
    assert fields(instance.http.post(path, {"password_confirm": "x"})) == {"username", "password"}
    assert fields(instance.http.post(path, {
        "username": fresh(), "password": PHRASE, "password_confirm": PHRASE + "x"})) == {
            "password_confirm"}
    assert fields(instance.http.post(path, {
        "username": f"{name}@example.org", "password": PHRASE})) == {"username"}


def test_logger_login_and_refresh_on_every_path(instance):
    name = fresh()
    client = logger_user(instance, name)
    for path in ("/api/auth/login", "/api/token", "/api/auth/token/"):
        for login in (name, f"{name}@example.org"):
            got = instance.http.post(path, {"username": login, "password": PHRASE})
            assert got.status == 200 and got.headers["Cache-Control"] == "no-store"
        assert instance.http.post(path, {"username": name, "password": "x"}).status == 401
    for path in ("/api/auth/refresh", "/api/token/refresh", "/api/auth/token/refresh"):
        got = instance.http.post(path, {"refresh": client.refresh})
        assert got.status == 200 and set(got.json()) == {"access", "refresh"}
        client.refresh = got.json()["refresh"]
    assert instance.http.post("/api/token/refresh", {"refresh": "x"}).status == 401


@pytest.mark.parametrize("path, names", [
    ("/auth/login", {"email", "password"}), ("/auth/refresh", {"refreshToken"}),
    ("/auth/logout", {"refreshToken"}), ("/api/users/login", {"email", "password"}),
    ("/api/token", {"username", "password"}), ("/api/token/refresh", {"refresh"}),
])
def test_what_is_missing_has_the_name_that_the_family_gives_it(instance, path, names):
    got = instance.http.post(path, {})
    assert got.status == 400 and {error["field"] for error in got.json()["errors"]} == names


def test_logger_profile(instance):
    name = fresh()
    client = logger_user(instance, name)
    profile = client.get("/api/user/profile").json()
    assert set(profile) == {"id", "username", "email"}
    for path in ("/api/auth/user/profile", "/api/user", "/api/auth/user"):
        assert client.get(path).json() == profile
        assert instance.http.get(path).status == 401
    renamed = fresh()
    got = client.request("PUT", "/api/user/profile", {"username": renamed, "id": "x"})
    assert got.status == 200
    assert got.json() == {**profile, "username": renamed}
    got = client.request("PATCH", "/api/user/profile", {"email": f"{renamed}@Example.org"})
    assert got.json()["email"] == f"{renamed}@example.org"
    assert client.request("PATCH", "/api/user/profile", {}).json()["username"] == renamed
    logger_user(instance, name)
    assert client.request("PUT", "/api/user/profile", {"username": name}).status == 409
    assert fields(client.request("PUT", "/api/user/profile", {
        "username": " ", "email": "x", "new_password": "y"})) == {
            "username", "email", "current_password", "new_password"}


def test_logger_password_change_is_all_or_nothing(instance):
    name, renamed = fresh(), fresh()
    client = logger_user(instance, name)
    body = {"username": renamed, "new_password": "another long phrase"}
    wrong = client.request("PUT", "/api/user/profile", dict(body, current_password="no"))
    assert fields(wrong) == {"current_password"}
    assert client.get("/api/user/profile").json()["username"] == name
    got = client.request("PUT", "/api/user/profile", dict(body, current_password=PHRASE))
    assert got.status == 200 and got.json()["username"] == renamed
    instance.secrets.append("another long phrase")
    wait_until(lambda: client.get("/api/user/profile").status == 401, 5)
    got = instance.http.post("/api/token/refresh", {"refresh": client.refresh})
    assert got.status == 200
    assert instance.http.post("/api/token", {
        "username": renamed, "password": "another long phrase"}).status == 200


def test_a_name_that_is_the_address_moves_with_it(instance):
    email = f"{fresh()}@example.org"
    got = instance.http.post("/api/register", {
        "username": email, "email": email, "password": PHRASE})
    assert got.status == 201
    access = instance.http.post("/api/token", {
        "username": email, "password": PHRASE}).json()["access"]
    client = instance.http.as_user(access)
    moved = f"{fresh()}@example.org"
    got = client.request("PATCH", "/api/user/profile", {"email": moved})
    assert got.json()["username"] == moved == got.json()["email"]
    assert fields(client.request("PATCH", "/api/user/profile", {"username": email})) == {
        "username"}


def test_logger_keys_have_a_second_path(instance):
    client = logger_user(instance, fresh())
    made = client.post("/api/api-keys/", {"name": "k"})
    assert made.status == 201
    instance.secrets.append(made.json()["key"])
    path = "/api/api-keys/" + made.json()["id"]
    assert client.get(path).json()["name"] == "k"
    assert client.request("PATCH", path, {"name": "l"}).json()["name"] == "l"
    assert [key["name"] for key in client.get("/api/apikeys").json()] == ["l"]
    assert client.delete(path + "/").status == 204


# --- chats ------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
def test_chats_register_login_and_profile(instance, prefix):
    name = fresh()
    body = {"username": name, "email": f"{name}@example.org", "password": PHRASE,
            "organizationId": "org-1", "role": "admin"}
    got = instance.http.post(f"{prefix}/users/register", body)
    assert got.status == 201, got
    assert got.json()["message"] == "User registered successfully"
    user = got.json()["user"]
    assert set(user) == {"id", "_id", "username", "email", "role"}
    assert user["id"] == user["_id"] and user["role"] == "user"
    got = instance.http.post(f"{prefix}/users/login",
                             {"email": body["email"], "password": PHRASE})
    assert got.status == 200 and got.json()["message"] == "Login successful"
    assert got.json()["user"] == user
    client = instance.http.as_user(got.json()["token"])
    assert client.get(f"{prefix}/users/profile").json() == {"user": user}
    assert instance.http.get(f"{prefix}/users/profile").status == 401
    assert fields(instance.http.post(f"{prefix}/users/register", {})) == {
        "username", "email", "password"}
    assert instance.http.post(f"{prefix}/users/register", body).status == 409


def test_a_generated_key_replaces_the_one_before(instance):
    user = instance.user()
    kept = user.post("/api/apikeys", {"name": "kept"}).json()["key"]
    keys = []
    for _ in range(2):
        got = user.post("/api/users/generate-api-key")
        assert got.status == 200, got
        assert got.json()["message"] == "API key generated successfully"
        keys.append(got.json()["apiKey"])
    instance.secrets += keys + [kept]
    wait_until(lambda: instance.http.as_user(keys[0]).get("/user/me").status == 401, 1)
    assert instance.http.as_user(keys[1]).get("/user/me").status == 200
    assert instance.http.as_user(kept).get("/user/me").status == 200
