"""test_edge.py - what is refused at the door, and how it is said."""

import base64
import hashlib
import hmac
import json
import time
import uuid

import pytest

JSON = {"Content-Type": "application/json"}


def chat(user, raw):
    return user.post("/v1/chat/completions", body=raw, headers=JSON)


def with_content(text):
    return (b'{"model":"fake","messages":[{"role":"user","content":"' + text + b'"}]}')


BAD_JSON = {
    "empty": (b"", "no JSON"),
    "white space": (b" \n ", "no JSON"),
    "cut": (b'{"model":"fake"', "not valid JSON"),
    "NaN": (b'{"model":"fake","temperature":NaN}', "not valid JSON"),
    "Infinity": (b'{"model":"fake","temperature":-Infinity}', "not valid JSON"),
    "single quotes": (b"{'model':'fake'}", "not valid JSON"),
    "comment": (b'{"model":"fake"/* x */}', "not valid JSON"),
    "trailing comma": (b'{"model":"fake",}', "not valid JSON"),
    "leading zero": (b'{"n":01}', "not valid JSON"),
    "plus": (b'{"n":+1}', "not valid JSON"),
    "bare word": (b"{model:1}", "not valid JSON"),
    "two values": (b'{"model":"fake"}{"model":"fake"}', "follows"),
    "NUL byte after": (b'{"model":"fake"}\0', ""),
    "escaped NUL": (with_content(rb"a\u0000b"), "u0000"),
    "escaped NUL in a key": (rb'{"role\u0000x":1}', "u0000"),
    "lone high surrogate": (with_content(rb"\ud800"), "surrogate"),
    "lone low surrogate": (with_content(rb"\udc00"), "surrogate"),
    "overlong": (with_content(b"\xc0\x80"), "UTF-8"),
    "surrogate bytes": (with_content(b"\xed\xa0\x80"), "UTF-8"),
    "above U+10FFFF": (with_content(b"\xf4\x90\x80\x80"), "UTF-8"),
    "cut sequence": (with_content(b"\xe2\x82"), "UTF-8"),
    "latin-1": (with_content(b"caf\xe9"), "UTF-8"),
    "raw newline in a string": (with_content(b"a\nb"), "control character"),
    "raw escape in a string": (with_content(b"a\x1bb"), "control character"),
    "duplicate key": (b'{"model":"fake","model":"echo"}', "twice"),
    "duplicate key by escape": (rb'{"model":"fake","mode\u006c":"echo"}', "twice"),
    "duplicate key, deep": (b'{"a":[{"b":1,"b":2}]}', "twice"),
    "too deep": (b'{"a":' * 200 + b"1" + b"}" * 200, "deep"),
    "huge number": (b'{"n":1e999}', "number"),
    "long number": (b'{"n":' + b"1" * 400 + b"}", "number"),
    "an array": (b"[]", ""),
    "a string": (b'"x"', ""),
    "null": (b"null", ""),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_400_and_says_which(user, name):
    raw, said = BAD_JSON[name]
    got = chat(user, raw)
    assert got.status == 400, got
    error = got.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert said in error["message"], error


def test_what_is_refused_never_reaches_postgresql(instance):
    """No 22021, 22P05, 22P02, 22003 or 54001 in PostgreSQL's log."""
    log = instance.postgres.log()
    for words in ("invalid byte sequence", "unsupported Unicode escape",
                  "invalid input syntax", "out of range", "stack depth"):
        assert words not in log, words


@pytest.mark.parametrize("body, param", [
    ({"messages": [{"role": "user", "content": "x"}]}, "model"),
    ({"model": "fake"}, "messages"),
    ({"model": "fake", "messages": []}, "messages"),
    ({"model": "fake", "messages": "hello"}, "messages"),
    ({"model": 7, "messages": [{"role": "user", "content": "x"}]}, "model"),
    ({"model": "fake", "messages": [{"role": "user", "content": "x"}], "stream": "yes"}, "stream"),
])
def test_wrong_fields_are_named(user, body, param):
    got = user.post("/v1/chat/completions", body)
    assert got.status == 400, got
    error = got.json()["error"]
    assert param in (error["param"] or "") or param in error["message"]


def test_validation_outside_v1_names_every_field_at_once(instance):
    got = instance.http.post("/auth/register", {"email": "no", "password": "short"})
    assert got.status == 400
    assert got.headers["Content-Type"].startswith("application/problem+json")
    problem = got.json()
    assert {"type", "title", "status", "detail", "code", "message", "request_id"} <= set(problem)
    assert {"email", "password"} <= {error["field"] for error in problem["errors"]}
    assert problem["detail"] == problem["message"]


def test_a_prompt_of_10_mb_is_413_in_the_api_shape(user):
    got = user.chat("x" * 10_000_000)
    assert got.status == 413
    assert set(got.json()["error"]) == {"message", "type", "param", "code"}
    assert user.chat().status == 200


def test_above_nginx_own_ceiling_the_shape_is_the_same(user):
    got = user.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                   b"Content-Type: application/json\r\nContent-Length: 99999999\r\n\r\n", 1)
    head, _, body = got.partition(b"\r\n\r\n")
    assert b" 413 " in head.splitlines()[0]
    assert json.loads(body)["error"]["code"] == "too_large"


def test_seven_megabytes_go_through(user):
    assert user.chat("x" * 7_000_000, model="fake").status == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_415(user, kind):
    got = user.post("/v1/chat/completions", body=b"{}", headers={"Content-Type": kind})
    assert got.status == 415, got


def test_json_with_a_charset_is_taken(user):
    got = user.post("/v1/chat/completions", body=with_content(b"x"),
                    headers={"Content-Type": "application/json; charset=utf-8"})
    assert got.status == 200


def test_unknown_path_is_404_in_the_shape_of_its_family(user):
    assert user.get("/nowhere").json()["code"] == "not_found"
    assert user.get("/v1/nowhere").json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("method, path, allow", [
    ("DELETE", "/health", {"GET", "HEAD"}),
    ("GET", "/auth/login", {"POST"}),
    ("PUT", "/v1/chat/completions", {"POST"}),
    ("FOO", "/v1/models", {"GET", "HEAD"}),
])
def test_another_method_is_405_with_allow(user, method, path, allow):
    got = user.request(method, path)
    assert got.status == 405, got
    assert allow <= set(got.headers["Allow"].replace(" ", "").split(","))


@pytest.mark.parametrize("path", ["/health", "/", "/v1/models", "/auth/profile"])
def test_head_is_get_without_a_body(user, path):
    get, head = user.get(path), user.request("HEAD", path)
    assert head.status == get.status == 200
    assert head.body == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


def test_head_needs_the_credential_too(instance):
    assert instance.http.request("HEAD", "/v1/models").status == 401


@pytest.mark.parametrize("path", ["/health/", "/v1/models/", "/auth/profile/"])
def test_a_trailing_slash_is_optional_and_never_redirects(user, path):
    assert user.get(path).status == 200


@pytest.mark.parametrize("path", ["/v1/models/%00", "/v1/calls/%2e%2e%2f", "/v1/calls/../calls/x",
                                  "/%ff%fe", "/v1//models", "/v1/calls/%zz"])
def test_odd_paths_are_400_or_404(user, path):
    assert user.get(path).status in (400, 404)


@pytest.mark.parametrize("limit", ["-1", "0", "201", "2147483648", "9223372036854775808",
                                   "18446744073709551616", "1e3", "NaN", "", "1;", "%201"])
def test_a_limit_out_of_range_is_400(user, limit):
    assert user.get(f"/v1/calls?limit={limit}").status == 400


@pytest.mark.parametrize("cursor", ["x", "", "%00", "AAAA", "A" * 5000])
def test_a_forged_cursor_is_400(user, cursor):
    assert user.get(f"/v1/calls?cursor={cursor}").status == 400


# CORS

def test_preflight_of_a_listed_origin(instance):
    got = instance.http.request("OPTIONS", "/v1/chat/completions", headers={
        "Origin": "https://app.example.org", "Access-Control-Request-Method": "POST"})
    assert got.status == 204
    assert got.headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert "POST" in got.headers["Access-Control-Allow-Methods"]
    allowed = got.headers["Access-Control-Allow-Headers"].lower()
    for name in ("authorization", "content-type", "x-api-key", "idempotency-key"):
        assert name in allowed
    assert "Origin" in got.headers["Vary"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.org.evil",
                                    "http://app.example.org", "https://APP.example.org.", "*"])
def test_other_origins_get_no_permission(user, origin):
    got = user.get("/v1/models", headers={"Origin": origin})
    assert got.headers["Access-Control-Allow-Origin"] is None
    assert "Origin" in got.headers["Vary"]


def test_an_error_can_be_read_by_a_listed_origin(instance):
    got = instance.http.get("/v1/models", headers={"Origin": "https://app.example.org"})
    assert got.status == 401
    assert got.headers["Access-Control-Allow-Origin"] == "https://app.example.org"


# Request ids and headers

def test_a_request_id_is_given_back_when_it_is_one(user):
    got = user.get("/health", headers={"X-Request-Id": "abc-DEF_123"})
    assert got.headers["X-Request-Id"] == "abc-DEF_123"
    for bad in ("a b", "x" * 65, "a\tb", "é", '"><script>'):
        got = user.get("/health", headers={"X-Request-Id": bad.encode("utf-8")})
        assert got.headers["X-Request-Id"] != bad and got.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/v1/models", "/auth/profile"])
def test_every_answer_has_the_security_headers_once(user, path):
    got = user.get(path)
    for name in ("X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy"):
        assert len(got.headers.get_all(name)) == 1, name
    assert got.headers["Server"] == "nginx"


def test_nginx_own_errors_have_them_too(make_instance):
    instance = make_instance(nginx={"RATE": 1})
    got = [instance.http.get("/health") for _ in range(10)]
    limited = [answer for answer in got if answer.status == 429]
    assert limited
    assert limited[0].headers["X-Content-Type-Options"] == "nosniff"
    assert limited[0].headers["Retry-After"] == "1"
    assert limited[0].json()["code"] == "rate_limited"
    v1 = [instance.http.get("/v1/models") for _ in range(5)][-1]
    assert v1.status == 429 and v1.json()["error"]["code"] == "rate_limit_exceeded"


def test_no_worker_is_502_in_the_api_shape(make_instance):
    instance = make_instance()
    instance.stop_minuted()
    assert instance.http.get("/health").json()["status"] == 502
    got = instance.http.get("/v1/models")
    assert got.status == 502 and got.json()["error"]["type"] == "server_error"


# Credentials

def encode(value):
    if not isinstance(value, bytes):
        value = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def sign(head, claims, secret, digest="sha256"):
    text = f"{encode(head)}.{encode(claims)}"
    mac = hmac.new(secret.encode(), text.encode(), getattr(hashlib, digest)).digest()
    return f"{text}.{encode(mac)}"


def parts(token):
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def forged(instance, user):
    secret = instance.settings["JWT_SECRET"]
    head, claims = parts(user.token)
    now = int(time.time())
    yield "none", f"{encode(dict(head, alg='none'))}.{encode(claims)}."
    yield "None", f"{encode(dict(head, alg='None'))}.{encode(claims)}."
    yield "unsigned", user.token.rsplit(".", 1)[0] + "."
    yield "HS384", sign(dict(head, alg="HS384"), claims, secret, "sha384")
    yield "HS512", sign(dict(head, alg="HS512"), claims, secret, "sha512")
    yield "hs256", sign(dict(head, alg="hs256"), claims, secret)
    yield "RS256", sign(dict(head, alg="RS256"), claims, secret)
    yield "kid", sign(dict(head, kid="../../dev/null"), claims, secret)
    yield "other secret", sign(head, claims, "x" * 64)
    yield "empty secret", sign(head, claims, "")
    yield "expired", sign(head, dict(claims, iat=now - 7200, exp=now - 3600), secret)
    yield "not yet", sign(head, dict(claims, nbf=now + 3600), secret)
    for name in ("exp", "sub", "iss", "aud"):
        if name in claims:
            yield f"no {name}", sign(head, {k: v for k, v in claims.items() if k != name}, secret)
            yield f"{name} of another type", sign(head, dict(claims, **{name: [1]}), secret)
    yield "somebody else", sign(head, dict(claims, sub=str(uuid.uuid4())), secret)
    changed = encode(dict(claims, admin=True))
    yield "changed claims", ".".join([user.token.split(".")[0], changed, user.token.split(".")[2]])
    yield "cut", user.token[:-4]
    yield "longer", user.token + "A"
    yield "fourth part", user.token + ".A"
    yield "one part", "abc"
    yield "two parts", "a.b"
    yield "dots", ".."
    yield "4097 bytes", "a" * 4097
    yield "a refresh token", user.refresh


def test_forged_tokens_are_401(instance, user):
    for name, token in forged(instance, user):
        got = instance.http.as_user(token).get("/v1/models")
        assert got.status == 401, (name, got)
        assert instance.http.get("/auth/profile", headers={
            "Authorization": f"Bearer {token}"}).status == 401, name


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dXNlcjpwdw==", "bearer\tx",
                                   "Bearer mnt_", "Bearer mnt_AAAAAAAA_" + "A" * 40])
def test_other_credentials_are_401(instance, value):
    got = instance.http.get("/v1/models", headers={"Authorization": value})
    assert got.status == 401
    assert "WWW-Authenticate" in got.headers


def test_a_query_token_counts_only_where_eventsource_needs_it(instance, user):
    assert instance.http.get(f"/v1/models?token={user.token}").status == 401


# Raw bytes: nginx refuses, or one request is one request.

BODY = b'{"model":"fake","messages":[{"role":"user","content":"x"}]}'


def request(*headers, method=b"POST", path=b"/v1/chat/completions", body=BODY):
    lines = [method + b" " + path + b" HTTP/1.1", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


SMUGGLING = {
    "length and chunks": request(b"Host: x", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "two lengths": request(b"Host: x", b"Content-Length: 5", b"Content-Length: 6"),
    "odd coding": request(b"Host: x", b"Transfer-Encoding: xchunked"),
    "two hosts": request(b"Host: x", b"Host: y", b"Content-Length: %d" % len(BODY)),
    "no host": request(b"Content-Length: %d" % len(BODY)),
    "space before colon": request(b"Host: x", b"Content-Length : 5"),
    "NUL in a header": request(b"Host: x", b"X-A: a\0b"),
    "negative length": request(b"Host: x", b"Content-Length: -5"),
    "length with plus": request(b"Host: x", b"Content-Length: +5"),
    "bad chunk": request(b"Host: x", b"Transfer-Encoding: chunked", body=b"zz\r\n"),
    "two credentials": request(b"Host: x", b"Authorization: Bearer a", b"Authorization: Bearer b"),
    "trace": request(b"Host: x", method=b"TRACE", body=b""),
    "no path": b"POST\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_ambiguous_requests_are_refused(instance, name):
    got = instance.http.raw(SMUGGLING[name], 2)
    status = int(got.split()[1]) if got.startswith(b"HTTP/1.1") else 400
    assert status in (400, 401, 405, 413, 501), got
    assert got.count(b"HTTP/1.1 ") <= 1


def test_a_body_shorter_than_announced_has_no_effect(instance, user, provider):
    mark = uuid.uuid4().hex
    body = b'{"model":"fake","messages":[{"role":"user","content":"tag=%s"}]}' % mark.encode()
    head = request(b"Host: x", b"Content-Type: application/json",
                   b"Authorization: Bearer " + user.token.encode(),
                   b"Content-Length: %d" % (len(body) + 10), body=b"")
    instance.http.raw(head + body, 1)
    assert provider.seen(mark) == []


def test_a_chunked_body_is_read_whole(instance, user):
    head = request(b"Host: x", b"Content-Type: application/json", b"Connection: close",
                   b"Authorization: Bearer " + user.token.encode(),
                   b"Transfer-Encoding: chunked",
                   body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
    assert b"HTTP/1.1 200 " in instance.http.raw(head)


def test_a_proxy_header_does_not_become_a_proxy(user):
    assert user.get("/health", headers={"Proxy": "http://127.0.0.1:9"}).status == 200
    got = user.post("/v1/chat/completions", body=BODY,
                    headers=dict(JSON, Proxy="http://127.0.0.1:9"))
    assert got.status == 200


# Logs

def test_every_line_of_the_log_is_json_and_has_its_request(instance, user):
    mark = "r" + uuid.uuid4().hex
    user.get('/v1/calls/"\n\x1b[31m?q=\r\nfake'.replace("\n", "%0a").replace("\x1b", "%1b")
             .replace("\r", "%0d").replace('"', "%22"), headers={"X-Request-Id": mark})
    lines = instance.log_lines()
    mine = [line for line in lines if mark in json.dumps(line)]
    assert len(mine) == 1
    assert mine[0]["status"] == 400


def test_the_log_holds_no_text_of_calls(instance, user):
    mark = "canary" + uuid.uuid4().hex
    user.chat(f"{mark} chunks=1")
    user.chat(f"{mark} status=500")
    user.chat(f"{mark} garbage=1", stream=True)
    chat(user, b'{"model":"fake","x":"%s","x":1}' % mark.encode())
    user.get(f"/v1/calls?q={mark}")
    time.sleep(1.2)
    assert mark not in instance.log()
    assert mark not in instance.nginx_log()
    assert mark not in instance.postgres.log()


def test_one_line_a_request_with_who_and_how_long(instance, user):
    mark = "r" + uuid.uuid4().hex
    user.request("POST", "/v1/chat/completions", {
        "model": "fake", "messages": [{"role": "user", "content": "chunks=2"}]},
        headers={"X-Request-Id": mark})
    lines = [line for line in instance.log_lines() if mark in json.dumps(line)]
    assert len(lines) == 1
    text = json.dumps(lines[0])
    assert user.id in text and "fake" in text and "/v1/chat/completions" in text
