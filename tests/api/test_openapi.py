"""test_openapi.py - the OpenAPI document is served, says what the routes table
says, and is consistent in itself.  That answers are as it says is checked on
every answer of every test: tests/support/validate.py."""

import json
import re

import pytest

import validate

ANY = [{"accessToken": []}, {"bearerKey": []}, {"apiKey": []}]
SECURITY = {
    "public": [],
    "user": ANY,
    "login": [{"accessToken": []}],
    "key": [*ANY, {}],
}
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


@pytest.fixture(scope="module")
def routes(instance):
    return json.loads(instance.command("routes", "--json").stdout)


def template(path):
    return re.sub(r":(\w+)", r"{\1}", path)


def operations():
    for path, item in validate.document()["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item, item[method]


def test_every_route_is_documented_and_nothing_else(routes):
    served = {(row["method"].lower(), template(row["path"])) for row in routes}
    documented = {(method, path) for path, method, _, _ in operations()}
    assert served == documented


def test_security_is_what_the_table_says(routes):
    wrong = []
    for row in routes:
        operation = validate.document()["paths"][template(row["path"])][row["method"].lower()]
        said = operation.get("security", validate.document()["security"])
        want = SECURITY[row["role"]]
        if row["role"] == "user" and row["method"] == "GET" and row["streams"]:
            want = [*ANY, {"queryToken": []}]
        if said != want:
            wrong.append((row["method"], row["path"], said))
        refusals = {"401", "403"} & set(operation["responses"])
        assert row["role"] == "public" or refusals == {"401", "403"}, row
    assert not wrong


def test_tags_are_the_families(routes):
    names = {tag["name"] for tag in validate.document()["tags"]}
    assert names == {row["family"] for row in routes}
    for row in routes:
        operation = validate.document()["paths"][template(row["path"])][row["method"].lower()]
        assert operation["tags"] == [row["family"]], row


def test_streams_are_documented_as_streams(routes):
    for row in routes:
        operation = validate.document()["paths"][template(row["path"])][row["method"].lower()]
        response = validate.resolved(operation["responses"].get("200", {}))
        streams = "text/event-stream" in response.get("content", {})
        assert streams == row["streams"], row


def test_what_is_safe_to_send_again_says_so(routes):
    """Every POST that somebody known makes; but no password is kept."""
    key = {"$ref": "#/components/parameters/IdempotencyKey"}
    for row in routes:
        operation = validate.document()["paths"][template(row["path"])][row["method"].lower()]
        wanted = (row["method"] == "POST" and row["role"] != "public"
                  and row["path"] != "/auth/password")
        assert (key in operation.get("parameters", [])) == wanted, row
        assert "409" in operation["responses"] or not wanted, row


def test_parameters_of_the_path_are_declared():
    for path, method, item, operation in operations():
        declared = {
            validate.resolved(parameter)["name"]
            for parameter in item.get("parameters", []) + operation.get("parameters", [])
            if validate.resolved(parameter)["in"] == "path"
        }
        assert declared == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_operation_ids_are_unique():
    ids = [operation["operationId"] for _, _, _, operation in operations()]
    assert len(ids) == len(set(ids))


def test_paths_that_are_the_same_are_served_by_the_same(routes):
    """x-same-as names a documented path with the same methods."""
    paths = validate.document()["paths"]
    for path, item in paths.items():
        other = item.get("x-same-as")
        if other:
            assert METHODS & set(item) == METHODS & set(paths[other]), path


def walk(thing, at="#"):
    yield at, thing
    if isinstance(thing, (dict, list)):
        pairs = thing.items() if isinstance(thing, dict) else enumerate(thing)
        for key, value in pairs:
            yield from walk(value, f"{at}/{key}")


def test_references_lead_somewhere_and_nothing_is_left_over():
    used = set()
    for at, thing in walk(validate.document()):
        if isinstance(thing, dict) and "$ref" in thing:
            validate.resolved(thing)
            used.add(thing["$ref"])
    for kind, parts in validate.document()["components"].items():
        for name in parts:
            known = f"#/components/{kind}/{name}" in used
            assert known or kind == "securitySchemes", f"{kind}/{name} is not used"


def examples(media):
    if "example" in media:
        yield media["example"]
    for example in media.get("examples", {}).values():
        yield example["value"]


def example_faults(kind, media):
    found = []
    for example in examples(media):
        if kind == "text/event-stream":
            for line in example.splitlines():
                data = line.removeprefix("data: ")
                if line:
                    found += validate.faults(
                        media["x-event"], data if data == "[DONE]" else json.loads(data))
        elif kind == "application/x-ndjson":
            assert example.endswith("\n")
        else:
            found += validate.faults(media["schema"], example)
    return found


def test_examples_are_as_their_schemas_say():
    for at, thing in walk(validate.document()):
        if re.search(r"/(requestBody|responses/\w+|requestBodies/\w+)/content$", at):
            for kind, media in thing.items():
                assert not example_faults(kind, media), at
        if isinstance(thing, dict) and re.fullmatch(r"#/components/schemas/\w+", at):
            for example in thing.get("examples", []):
                assert not validate.faults(thing, example), at


def test_every_body_that_is_sent_has_an_example():
    for path, method, _, operation in operations():
        body = validate.resolved(operation.get("requestBody", {"content": {}}))
        for kind, media in body["content"].items():
            assert list(examples(media)), (method, path, kind)


def test_it_is_served_with_the_version_of_the_service(instance):
    got = instance.http.get("/openapi.json")
    assert got.status == 200
    assert got.headers["Content-Type"].startswith("application/json")
    served = got.json()
    assert served["info"]["version"] == instance.http.get("/health").json()["version"]
    served["info"]["version"] = validate.document()["info"]["version"]
    assert served == validate.document()


def test_who_has_it_is_not_sent_it_again(instance):
    etag = instance.http.get("/openapi.json").headers["ETag"]
    again = instance.http.get("/openapi.json", headers={"If-None-Match": etag})
    assert (again.status, again.body) == (304, b"")
    other = instance.http.get("/openapi.json", headers={"If-None-Match": '"other"'})
    assert other.status == 200


@pytest.mark.parametrize("path", ["/api", "/api-docs", "/api/docs", "/api/docs/"])
def test_the_page_may_load_files_of_this_host_only(instance, path):
    got = instance.http.get(path)
    assert got.status == 200
    assert got.headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(got.headers.get_all("Content-Security-Policy")) == 1
    policy = got.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style|javascript:|//", got.text)
    assert 'href="/openapi.json"' in got.text  # all there is without its script


def test_other_answers_may_load_nothing(instance):
    for path in ("/", "/health", "/openapi.json", "/no/such/path"):
        policy = instance.http.get(path).headers.get_all("Content-Security-Policy")
        assert policy == ["default-src 'none'; frame-ancestors 'none'"]


# The validator itself.


@pytest.mark.parametrize("schema, good, bad", [
    ({"type": "integer"}, [0, -1], [True, 1.5, "1", None]),
    ({"type": ["string", "null"]}, ["", None], [0, [], {}]),
    ({"type": "object", "required": ["a"]}, [{"a": 1}], [{}, []]),
    ({"additionalProperties": False, "properties": {"a": {"type": "string"}}},
     [{}, {"a": ""}], [{"b": 1}, {"a": 1}]),
    ({"unevaluatedProperties": False,
      "allOf": [{"properties": {"a": {"type": "boolean"}}}],
      "properties": {"b": {"type": "number"}}},
     [{"a": True, "b": 1.5}], [{"a": 1}, {"b": "1"}, {"c": 1}]),
    ({"const": 200}, [200], [201, "200", None]),
    ({"const": True}, [True], [1, "true"]),
    ({"enum": ["a", "b"]}, ["a"], ["c", None]),
    ({"items": {"type": "string"}, "maxItems": 2}, [[], ["a"]], [[1], ["a", "b", "c"]]),
    ({"format": "uuid"}, ["0192f0c1-7a6b-7c3d-8e4f-5a6b7c8d9e0f"], ["0192f0c1", ""]),
    ({"format": "date-time"}, ["2026-01-01T00:00:00.000Z"], ["2026-01-01", "now"]),
    ({"minimum": 1, "maximum": 3}, [1, 2.5, 3], [0, 4]),
    ({"minLength": 1, "maxLength": 2}, ["a", "äö"], ["", "abc"]),
    ({"pattern": "^[a-z]+$"}, ["a"], ["", "A"]),
    ({"oneOf": [{"type": "integer"}, {"minimum": 3, "type": "number"}]},
     [1, 3.5], [4, 1.5]),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, [1, None], ["1"]),
])
def test_the_validator_takes_what_fits_and_nothing_else(schema, good, bad):
    for value in good:
        assert validate.faults(schema, value) == []
    for value in bad:
        assert validate.faults(schema, value)


def test_the_validator_refuses_keywords_that_it_does_not_know():
    with pytest.raises(KeyError):
        validate.faults({"multipleOf": 2}, 2)


@pytest.mark.parametrize("method, path, want", [
    ("GET", "/api/chats/search", "/api/chats/search"),
    ("GET", "/api/chats/search/", "/api/chats/search"),
    ("GET", "/api/chats/0?x=1", "/api/chats/{id}"),
    ("GET", "/api/messages/1/2", "/api/messages/{chatId}/{id}"),
    ("GET", "/", "/"),
    ("GET", "/v2", None),
])
def test_the_validator_finds_the_path_that_is_served(method, path, want):
    assert validate.template_of(path) == want
