"""test_accounts.py - /auth and /user: register, log in, refresh, log out,
change the password, and who is shut out when."""

import base64
import concurrent.futures
import hashlib
import hmac
import json
import statistics
import time
import uuid

import pytest

from client import Client
from instance import wait_until

PHRASE = "a fairly long phrase"
USER = {"id", "email", "username", "firstName", "lastName", "name", "role",
        "createdAt", "updatedAt"}


def fresh():
    return f"u{uuid.uuid4().hex[:12]}@example.org"


def login(instance, email, password=PHRASE):
    return instance.http.post("/auth/login", {"email": email, "password": password})


def refresh(instance, token):
    return instance.http.post("/auth/refresh", {"refreshToken": token})


def fields(answer):
    assert answer.status == 400, answer
    return {fault["field"] for fault in answer.json()["errors"]}


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


# --- registration ---------------------------------------------------------


def test_register_answers_both_families(instance):
    email = fresh()
    generous = Client(instance.port, check=False)  # more than is documented
    got = generous.post("/auth/register", {
        "email": f"  {email.upper()} ", "password": PHRASE, "firstName": "Ada",
        "lastName": "Byron", "terms": True, "role": "admin", "id": "x",
    })
    assert got.status == 201, got
    assert got.headers["Cache-Control"] == "no-store"
    body = got.json()
    assert body["status"] == 200 and body["code"] == "SUCCESS"
    assert body["message"] == "Registration successful"
    assert body["data"]["accessToken"] == body["access_token"]
    assert body["data"]["refreshToken"] == body["refresh_token"]
    assert body["data"]["user"] == body["user"]
    assert body["token_type"] == "Bearer" and body["expires_in"] > 0
    user = body["user"]
    assert set(user) == USER
    assert user["email"] == email and user["role"] == "user"
    assert user["username"] == email.split("@")[0]
    assert (user["firstName"], user["lastName"], user["name"]) == ("Ada", "Byron", "Ada Byron")
    assert user["createdAt"].endswith("Z")
    assert instance.http.as_user(body["access_token"]).get("/auth/profile").json() == user


def test_register_names_every_fault_at_once(instance):
    got = instance.http.post("/auth/register", {
        "email": "no address", "password": "short", "firstName": 5,
        "username": "a\u0007b",
    })
    assert fields(got) == {"email", "password", "firstName", "username"}
    assert fields(instance.http.post("/auth/register", {})) == {"email", "password"}
    assert fields(instance.http.post("/auth/register", {"email": None, "password": None})) == {
        "email", "password"}


@pytest.mark.parametrize("email", [
    "x", "@example.org", "x@", "x@y", "x@.org", "x@org.", "x@a..b", "a@b@c.d",
    "a b@c.de", "a@b .de", "x\u0001@b.de", "<a@b.de>", "a@b.de,c@d.ef",
    "ü@example.org", "a" * 320 + "@b.de",
])
def test_what_is_no_address_is_refused(instance, email):
    got = instance.http.post("/auth/register", {"email": email, "password": PHRASE})
    assert fields(got) == {"email"}


@pytest.mark.parametrize("password", [
    "1234567", "password", "Password123", "qwertyuiop", "aaaaaaaaaa", "12345678",
    "x" * 1025, 12345678, ["a fairly long phrase"],
])
def test_weak_passwords_are_refused(instance, password):
    got = instance.http.post("/auth/register", {"email": fresh(), "password": password})
    assert fields(got) == {"password"}


@pytest.mark.parametrize("password", [
    "  blanks around are kept  ", "ünïcödé-wörd", "密码很长很长", "\"quotes\\and\n lines",
    "q7!" + "y" * 1021,
])
def test_passwords_are_taken_as_they_are(instance, password):
    email = fresh()
    assert instance.http.post(
        "/auth/register", {"email": email, "password": password}).status == 201
    assert login(instance, email, password).status == 200
    assert login(instance, email, password.strip() + "x").status == 401
    assert login(instance, email, password[:-1]).status == 401


def test_own_name_is_no_password(instance):
    got = instance.http.post("/auth/register", {
        "email": "long.enough@example.org", "password": "long.enough@example.org"})
    assert fields(got) == {"password"}


def test_a_taken_address_or_name_is_a_conflict(instance):
    email = fresh()
    name = email.split("@")[0]
    body = {"email": email, "password": PHRASE}
    assert instance.http.post("/auth/register", body).status == 201
    again = instance.http.post("/auth/register", dict(body, email=email.upper()))
    assert again.status == 409 and "e-mail" in again.json()["detail"]
    named = instance.http.post(
        "/auth/register", {"email": fresh(), "password": PHRASE, "username": name.upper()})
    assert named.status == 409 and "name" in named.json()["detail"]


def test_a_made_username_is_made_unique(instance):
    local = "n" + uuid.uuid4().hex[:10]
    names = set()
    for domain in ("a.org", "b.org", "c.org"):
        got = instance.http.post(
            "/auth/register", {"email": f"{local}@{domain}", "password": PHRASE})
        assert got.status == 201, got
        names.add(got.json()["user"]["username"])
    assert len(names) == 3 and local in names


def test_an_at_in_the_username_has_to_be_the_address(instance):
    email = fresh()
    body = {"email": email, "password": PHRASE, "username": fresh()}
    assert fields(instance.http.post("/auth/register", body)) == {"username"}
    assert instance.http.post("/auth/register", dict(body, username=email)).status == 201


def test_of_twenty_registrations_at_once_one_wins(instance):
    email = fresh()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        got = list(pool.map(lambda _: instance.http.post(
            "/auth/register", {"email": email, "password": PHRASE}).status, range(10)))
    assert sorted(got) == [201] + [409] * 9


# --- login ------------------------------------------------------------------


def test_login_by_address_or_name_in_any_case(instance):
    user = instance.user()
    got = login(instance, user.email.upper())
    assert got.status == 200 and got.json()["message"] == "Login successful"
    assert got.json()["user"]["id"] == user.id
    name = got.json()["user"]["username"]
    for body in ({"username": name}, {"email": name}, {"username": user.email}):
        assert instance.http.post("/auth/login", dict(body, password=PHRASE)).status == 200


def test_every_failed_login_looks_the_same(instance):
    user = instance.user()
    name = instance.http.as_user(user.token).get("/auth/profile").json()["username"]
    disabled = instance.user()
    assert instance.command("user", "disable", disabled.email).returncode == 0
    answers = [login(instance, fresh()), login(instance, user.email, "wrong one"),
               login(instance, disabled.email), login(instance, user.email, ""),
               login(instance, name, PHRASE + " "), login(instance, "", PHRASE),
               login(instance, user.email, "x" * 5000)]
    seen = set()
    for got in answers:
        assert got.status == 401, got
        body = got.json()
        del body["request_id"]
        seen.add(json.dumps(body))
    assert len(seen) == 1


def test_login_without_a_password_is_a_validation_error(instance):
    assert fields(instance.http.post("/auth/login", {})) == {"email", "password"}
    assert fields(instance.http.post("/auth/login", {"email": 1, "password": True})) == {
        "email", "password"}


@pytest.mark.slow
def test_an_unknown_user_costs_what_a_known_one_costs(instance):
    user = instance.user()
    known, unknown = [], []
    for _ in range(25):
        for email, times in ((user.email, known), (fresh(), unknown)):
            start = time.monotonic()
            assert login(instance, email, "not the one").status == 401
            times.append(time.monotonic() - start)
    a, b = statistics.median(known), statistics.median(unknown)
    assert abs(a - b) < 0.25 * a


# --- who am I ---------------------------------------------------------------


def test_profile_in_its_three_places(instance):
    user = instance.user()
    profile = user.get("/auth/profile").json()
    assert set(profile) == USER
    assert user.get("/user/me").json() == profile
    assert user.get("/user").json() == {"data": {"user": profile}, "ok": True}
    for path in ("/auth/profile", "/user", "/user/me"):
        assert instance.http.get(path).status == 401


def test_patch_user_changes_names_only(instance):
    user = instance.user()
    got = user.request("PATCH", "/user", {"firstName": "Grace", "role": "admin",
                                          "email": "x@y.z", "id": "1"})
    assert got.status == 200 and got.json()["ok"] is True
    profile = got.json()["data"]["user"]
    assert profile["firstName"] == "Grace" and profile["role"] == "user"
    assert profile["email"] == user.email
    got = user.request("PATCH", "/user", {"lastName": "Hopper", "firstName": None})
    assert got.json()["data"]["user"]["name"] == "Grace Hopper"
    got = user.request("PATCH", "/user", {"firstName": ""})
    assert got.json()["data"]["user"]["firstName"] is None
    assert fields(user.request("PATCH", "/user", {"firstName": 1, "lastName": "x" * 201})) == {
        "firstName", "lastName"}


# --- tokens -----------------------------------------------------------------


def sign(instance, header, body, secret=None):
    def part(value):
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=")

    text = part(header) + b"." + part(body)
    key = (secret or instance.settings["JWT_SECRET"]).encode()
    mac = hmac.new(key, text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


HEADER = '{"alg":"HS256","typ":"JWT"}'


def test_forged_tokens_are_refused(instance):
    user = instance.user()
    good = claims(user.token)

    def ask(token):
        return instance.http.as_user(token).get("/auth/profile").status

    assert ask(sign(instance, HEADER, good)) == 200
    assert ask(sign(instance, HEADER, good, "x" * 40)) == 401
    for alg in ("none", "None", "HS384", "HS512", "RS256", "hs256"):
        forged = sign(instance, {"alg": alg, "typ": "JWT"}, good)
        assert ask(forged) == 401
        assert ask(forged.rsplit(".", 1)[0] + ".") == 401
    for header in ('{"typ":"JWT"}', '{"alg":"none","alg":"HS256","typ":"JWT"}',
                   '{"alg":"HS256","typ":"JWT","kid":"1"}'):
        assert ask(sign(instance, header, good)) == 401
    now = int(time.time())
    for change in ({"exp": now - 1}, {"exp": now + 10**9}, {"exp": str(now + 60)},
                   {"iat": now + 600}, {"nbf": now + 600}, {"aud": "other"},
                   {"iss": "other"}, {"typ": "refresh"}, {"sub": str(uuid.uuid4())},
                   {"sub": 1}, {"ver": 0}, {"ver": good["ver"] + 1}, {"ver": "1"},
                   {"jti": None}, {"exp": None}, {"fam": 1}):
        assert ask(sign(instance, HEADER, dict(good, **change))) == 401, change
    for claim in ("exp", "iat", "nbf", "iss", "aud", "sub", "jti", "typ", "ver"):
        less = {k: v for k, v in good.items() if k != claim}
        assert ask(sign(instance, HEADER, less)) == 401, claim
    for token in ("..", "a.b", "x" * 4000):
        assert ask(token) == 401
    assert user.get("/auth/profile").status == 200


def test_refresh_gives_new_tokens_under_every_name(instance):
    user = instance.user()
    for path, name in (("/auth/refresh", "refreshToken"), ("/auth/token/refresh", "refresh"),
                       ("/auth/refresh", "refresh_token")):
        got = instance.http.post(path, {name: user.refresh})
        assert got.status == 200, got
        assert got.headers["Cache-Control"] == "no-store"
        body = got.json()
        assert body["status"] == 200 and body["code"] == "SUCCESS"
        assert body["message"] == "Token refreshed successfully"
        assert body["data"]["accessToken"] == body["access_token"] == body["access"]
        assert body["data"]["refreshToken"] == body["refresh_token"] == body["refresh"]
        assert body["refresh"] != user.refresh
        user.refresh = body["refresh"]
        assert instance.http.as_user(body["access"]).get("/user/me").json()["id"] == user.id
    assert fields(instance.http.post("/auth/refresh", {})) == {"refreshToken"}
    assert fields(instance.http.post("/auth/refresh", {"refreshToken": 1})) == {"refreshToken"}
    both = {"refreshToken": 1, "refresh_token": user.refresh}
    assert fields(instance.http.post("/auth/refresh", both)) == {"refreshToken"}


@pytest.mark.parametrize("token", ["x", "mrt_" + "A" * 43, "é", "x" * 4000])
def test_unknown_refresh_tokens_are_refused(instance, token):
    assert refresh(instance, token).status == 401


def test_an_access_token_does_not_refresh_nor_the_other_way_round(instance):
    user = instance.user()
    assert refresh(instance, user.token).status == 401
    assert instance.http.as_user(user.refresh).get("/auth/profile").status == 401


def test_of_twenty_refreshes_at_once_one_wins_and_goes_on(instance):
    user = instance.user()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        got = list(pool.map(lambda _: refresh(instance, user.refresh), range(20)))
    winners = [answer for answer in got if answer.status == 200]
    assert len(winners) == 1
    assert {answer.status for answer in got} == {200, 401}
    assert refresh(instance, winners[0].json()["refresh"]).status == 200


def test_a_used_refresh_token_ends_its_family(instance):
    user = instance.user()
    other = login(instance, user.email).json()
    following = refresh(instance, user.refresh).json()["refresh"]
    time.sleep(1.2)  # a race is not a theft
    assert refresh(instance, user.refresh).status == 401
    assert refresh(instance, following).status == 401
    # the other login has nothing to do with it
    assert refresh(instance, other["refresh_token"]).status == 200
    rows = instance.psql(
        f"select count(*) from minuted.audit_log where user_id = '{user.id}'"
        " and action = 'refresh_reuse'")
    assert rows == [["1"]]


def test_refreshing_does_not_prolong_the_login(instance):
    user = instance.user()
    before = instance.psql(
        f"select max(expires_at) from minuted.refresh_tokens where user_id = '{user.id}'")
    assert refresh(instance, user.refresh).status == 200
    after = instance.psql(
        f"select max(expires_at) from minuted.refresh_tokens where user_id = '{user.id}'")
    assert before == after


def test_an_expired_refresh_token_is_refused(instance):
    user = instance.user()
    instance.psql("update minuted.refresh_tokens set expires_at = now() - interval '1 second'"
                  f" where user_id = '{user.id}'")
    assert refresh(instance, user.refresh).status == 401


def test_logout_ends_the_family(instance):
    user = instance.user()
    following = refresh(instance, user.refresh).json()["refresh"]
    got = instance.http.post("/auth/logout", {"refreshToken": user.refresh})
    assert got.status == 204 and got.body == b""
    assert refresh(instance, following).status == 401
    assert instance.http.post("/auth/logout", {"refreshToken": user.refresh}).status == 204
    assert instance.http.post("/auth/logout", {"refreshToken": "unknown"}).status == 204
    assert fields(instance.http.post("/auth/logout", {})) == {"refreshToken"}


# --- password change and disabling -----------------------------------------


def test_a_password_change_ends_every_other_login(instance):
    user = instance.user()
    other = login(instance, user.email).json()
    got = user.post("/auth/password", {"currentPassword": PHRASE,
                                       "newPassword": "another long phrase"})
    assert got.status == 204, got
    instance.secrets.append("another long phrase")
    stranger = instance.http.as_user(other["access_token"])
    wait_until(lambda: stranger.get("/auth/profile").status == 401, 5)
    assert refresh(instance, other["refresh_token"]).status == 401
    mine = refresh(instance, user.refresh)
    assert mine.status == 200, mine
    assert instance.http.as_user(mine.json()["access"]).get("/auth/profile").status == 200
    assert login(instance, user.email).status == 401
    assert login(instance, user.email, "another long phrase").status == 200


def test_a_password_change_wants_the_current_one(instance):
    user = instance.user()
    got = user.post("/auth/password", {"currentPassword": "not this one",
                                       "newPassword": "another long phrase"})
    assert fields(got) == {"currentPassword"}
    assert fields(user.post("/auth/password", {"currentPassword": PHRASE,
                                               "newPassword": "password"})) == {"newPassword"}
    assert fields(user.post("/auth/password", {})) == {"currentPassword", "newPassword"}
    assert fields(user.post("/auth/password", {"currentPassword": PHRASE,
                                               "newPassword": user.email})) == {"newPassword"}
    assert login(instance, user.email).status == 200
    assert instance.http.post("/auth/password", {}).status == 401


def test_a_disabled_user_is_out_within_five_seconds_and_back_when_enabled(instance):
    user = instance.user()
    key = user.post("/api/apikeys", {"name": "k"}).json()["key"]
    instance.secrets.append(key)
    clients = [user, instance.http.as_user(key)]
    for _ in range(20):  # every worker has both in its cache
        assert [c.get("/v1/models").status for c in clients] == [200, 200]
    assert instance.command("user", "disable", user.email).returncode == 0
    start = time.monotonic()
    for client in clients:
        wait_until(lambda: all(client.get("/v1/models").status == 401 for _ in range(20)), 5)
    assert time.monotonic() - start < 5
    assert refresh(instance, user.refresh).status == 401
    assert instance.command("user", "enable", user.email).returncode == 0
    assert refresh(instance, user.refresh).status == 401
    assert login(instance, user.email).status == 200
    wait_until(lambda: instance.http.as_user(key).get("/v1/models").status == 200, 5)


def test_a_lost_listener_hides_no_revocation(instance):
    user = instance.user()
    for _ in range(20):
        assert user.get("/v1/models").status == 200
    instance.psql("select pg_terminate_backend(pid) from pg_stat_activity"
                  " where application_name = 'minuted listener' and datname = current_database()")
    assert instance.command("user", "disable", user.email).returncode == 0
    wait_until(lambda: all(user.get("/v1/models").status == 401 for _ in range(20)), 5)


def test_the_table_knows_no_plain_secret(instance):
    user = instance.user()
    hashes = instance.psql("select count(*) from minuted.users where password_hash !~ "
                           r"'^\$argon2id\$v=19\$m=(19456|[2-9][0-9]{4}|1[0-9]{5}),"
                           r"t=[2-9],p=1\$'")
    assert hashes == [["0"]]
    stored = instance.psql("select token_hash from minuted.refresh_tokens"
                           f" where user_id = '{user.id}'")
    assert stored == [[hashlib.sha256(user.refresh.encode()).hexdigest()]]


def test_security_events_are_logged_and_kept(instance):
    user = instance.user()
    login(instance, user.email, "wrong password here")
    login(instance, user.email)
    instance.http.post("/auth/logout", {"refreshToken": user.refresh})
    rows = instance.psql(
        f"select action from minuted.audit_log where user_id = '{user.id}' order by id")
    assert [row[0] for row in rows] == ["register", "login_failed", "login", "logout"]
    events = [line["event"] for line in instance.log_lines()
              if line.get("message") == "security" and line.get("user") == user.id]
    assert events == ["register", "login_failed", "login", "logout"]


# --- the commands -----------------------------------------------------------


def test_user_commands(instance):
    name = "c" + uuid.uuid4().hex[:10]
    got = instance.command("user", "add", name, "--email", f"{name}@Example.ORG",
                           "--password-stdin", "--admin", input=PHRASE + "\n")
    assert got.returncode == 0, got.stderr
    assert got.stdout == ""
    logged = login(instance, name)
    assert logged.status == 200 and logged.json()["user"]["role"] == "admin"
    assert logged.json()["user"]["email"] == f"{name}@example.org"
    again = instance.command("user", "add", name)
    assert again.returncode == 1 and "taken" in again.stderr
    made = instance.command("user", "passwd", name)
    assert made.returncode == 0, made.stderr
    password = made.stdout.strip()
    instance.secrets.append(password)
    assert login(instance, name).status == 401
    assert login(instance, name, password).status == 200
    weak = instance.command("user", "passwd", name, "--password-stdin", input="password\n")
    assert weak.returncode == 1 and "password" in weak.stderr
    assert login(instance, name, password).status == 200
    assert name in instance.command("user", "list").stdout


@pytest.mark.parametrize("args, code", [
    (["user"], 2), (["user", "frob"], 2), (["user", "add"], 2),
    (["user", "add", "x", "--frob"], 2), (["user", "add", "x", "y"], 2),
    (["user", "list", "x"], 2), (["user", "disable"], 2),
    (["user", "add", "a@b"], 1), (["user", "add", "a@b.de", "--email", "c@d.ef"], 1),
    (["user", "disable", "nobody-here"], 1), (["user", "passwd", "nobody-here"], 1),
    (["key"], 2), (["key", "add"], 2), (["key", "add", "nobody-here"], 1),
    (["key", "list", "nobody-here"], 1), (["key", "revoke"], 2),
    (["key", "revoke", "mnt_AAAAAAAA"], 1), (["key", "add", "x", "--expires", "soon"], 2),
])
def test_commands_say_what_is_wrong(instance, args, code):
    got = instance.command(*args)
    assert got.returncode == code, (got.stdout, got.stderr)
    assert got.stderr and not got.stdout


def test_commands_have_help(instance):
    tells = {"user": "first line of standard input", "key": "--expires 30d",
             "limit": "tokens     of model calls, a minute", "spool": "replay     delivers to",
             "serve": "in the foreground", "routes": "print every route"}
    for command, words in tells.items():
        for args in (["--help"], ["add", "--help"]):
            got = instance.command(command, *args, env={"JWT_SECRET": "", "THREADS": "many"})
            assert got.returncode == 0 and "usage: minuted" in got.stdout
            assert words in got.stdout and not got.stderr
