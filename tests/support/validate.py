"""validate.py - every answer of the API tests against the OpenAPI document.

document() is the document as it is served; check() fails when an answer is not
as documented: its status, its content type, its body, its headers; and when a
request that was taken is not.  Only what the document uses of JSON Schema is
known, anything else in a schema is an error.
"""

import functools
import json
import pathlib
import re
import subprocess
import urllib.parse

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "src/api"
TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool,
    "number": (int, float), "integer": int, "null": type(None),
}
FORMATS = {
    "uuid": r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "date-time": r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)",
    "email": r"\s*[^@\s]+@[^@\s]+\s*",
    "password": r"(?s).*",
}
NOTES = {"description", "examples", "default", "title"}


@functools.cache
def document():
    text = subprocess.run(
        ["awk", "-f", SOURCE / "openapi.awk", SOURCE / "openapi.json"],
        check=True, stdout=subprocess.PIPE,
    ).stdout
    return json.loads(text)


def resolved(thing):
    """What a $ref stands for."""
    while isinstance(thing, dict) and "$ref" in thing:
        target = document()
        for part in thing["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        thing = target
    return thing


# Schemas.


def faults(schema, value, at="$"):
    """What is wrong with a value, as a list of texts."""
    schema = resolved(schema)
    found = []
    for keyword, want in schema.items():
        if keyword in NOTES:
            continue
        found += KEYWORDS[keyword](schema, want, value, at)
    return found


def is_type(name, value):
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, TYPES[name])


def check_type(_, want, value, at):
    names = want if isinstance(want, list) else [want]
    if any(is_type(name, value) for name in names):
        return []
    return [f"{at}: {value!r:.80} is no {' or '.join(names)}"]


def check_const(_, want, value, at):
    same = value == want and isinstance(value, bool) == isinstance(want, bool)
    return [] if same else [f"{at}: {value!r:.80} is not {want!r}"]


def check_enum(_, want, value, at):
    return [] if value in want else [f"{at}: {value!r:.80} is none of {want}"]


def check_properties(_, want, value, at):
    if not isinstance(value, dict):
        return []
    return [
        fault for name, schema in want.items() if name in value
        for fault in faults(schema, value[name], f"{at}.{name}")
    ]


def check_required(_, want, value, at):
    if not isinstance(value, dict):
        return []
    return [f"{at}: no {name}" for name in want if name not in value]


def known_names(schema):
    """Names that a schema and what it is made of have."""
    schema = resolved(schema)
    names = set(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        names |= known_names(part)
    return names


def check_closed(schema, want, value, at):
    assert want is False, "only false is known"
    if not isinstance(value, dict):
        return []
    return [f"{at}: {name} is not documented"
            for name in value if name not in known_names(schema)]


def check_items(_, want, value, at):
    if not isinstance(value, list):
        return []
    return [fault for index, item in enumerate(value)
            for fault in faults(want, item, f"{at}[{index}]")]


def check_all(_, want, value, at):
    return [fault for schema in want for fault in faults(schema, value, at)]


def check_any(_, want, value, at):
    tries = [faults(schema, value, at) for schema in want]
    return [] if not all(tries) else [f"{at}: {value!r:.200} is none of: {tries}"]


def check_one(_, want, value, at):
    tries = [faults(schema, value, at) for schema in want]
    fit = tries.count([])
    return [] if fit == 1 else [f"{at}: {value!r:.200} is {fit} of: {tries}"]


def check_format(_, want, value, at):
    if not isinstance(value, str) or re.fullmatch(FORMATS[want], value):
        return []
    return [f"{at}: {value!r:.80} is no {want}"]


def check_pattern(_, want, value, at):
    if not isinstance(value, str) or re.search(want, value):
        return []
    return [f"{at}: {value!r:.80} is not like {want}"]


def bound(kind, measure, fits):
    def check(_, want, value, at):
        if isinstance(value, bool) or not isinstance(value, kind):
            return []
        if fits(measure(value), want):
            return []
        return [f"{at}: {value!r:.80} is beyond {want}"]
    return check


def at_least(a, b):
    return a >= b


def at_most(a, b):
    return a <= b


KEYWORDS = {
    "type": check_type, "const": check_const, "enum": check_enum,
    "properties": check_properties, "required": check_required,
    "additionalProperties": check_closed, "unevaluatedProperties": check_closed,
    "items": check_items, "allOf": check_all, "anyOf": check_any,
    "oneOf": check_one, "format": check_format, "pattern": check_pattern,
    "minimum": bound((int, float), float, at_least),
    "maximum": bound((int, float), float, at_most),
    "minLength": bound(str, len, at_least),
    "maxLength": bound(str, len, at_most),
    "minItems": bound(list, len, at_least),
    "maxItems": bound(list, len, at_most),
}


# Paths.


@functools.cache
def templates():
    """(pattern, template), literal segments before parameters."""
    order = sorted(document()["paths"],
                   key=lambda path: [part.startswith("{") for part in path.split("/")])
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path)
            for path in order]


def template_of(path):
    """The documented path that a request's path is one of; None: there is none."""
    path = urllib.parse.unquote(path.partition("?")[0])
    if len(path) > 1:
        path = path.removesuffix("/")
    for pattern, template in templates():
        if pattern.fullmatch(path):
            return template
    return None


def operation_of(method, path):
    """(path item or None, operation or None)"""
    template = template_of(path)
    if template is None:
        return None, None
    item = document()["paths"][template]
    return item, item.get({"HEAD": "get"}.get(method, method.lower()))


def error_of(path):
    """The answer to what no operation documents."""
    name = "OpenAI" if re.match(r"/v1(/|\?|$)", path) else "Problem"
    return document()["components"]["responses"][name]


def response_of(method, path, status):
    item, operation = operation_of(method, path)
    if operation is None:
        wanted = (404, 400, 414) if item is None else (405, 400)
        assert status in wanted, f"{method} {path}: {status} is not documented"
        return error_of(path)
    responses = operation["responses"]
    if status == 414 or status >= 500:
        return resolved(responses.get(str(status), responses["default"]))
    assert str(status) in responses, f"{method} {path}: {status} is not documented"
    return resolved(responses[str(status)])


# Answers.


def check(method, path, sent, answer):
    """sent is the JSON body of the request, or None; answer has status,
    headers and body, which is None when it was not read."""
    if method == "OPTIONS":
        assert answer.status in (204, 404, 400), answer
        return
    response = response_of(method, path, answer.status)
    found = header_faults(response, answer)
    if method != "HEAD" and answer.body is not None:
        found += body_faults(response, answer)
    if answer.status < 300:
        found += request_faults(method, path, sent)
    assert not found, f"{method} {path}: {answer.status} is not as documented: {found}"


def kind_of(answer):
    return (answer.headers["Content-Type"] or "").partition(";")[0]


def header_faults(response, answer):
    found = [] if answer.headers["X-Request-Id"] or answer.status >= 400 else [
        "no X-Request-Id"]
    for name, header in response.get("headers", {}).items():
        header = resolved(header)
        value = answer.headers[name]
        if value is None:
            continue
        if resolved(header["schema"]).get("type") == "integer":
            value = int(value)
        found += faults(header["schema"], value, name)
    return found


def body_faults(response, answer):
    content = response.get("content", {})
    kind = kind_of(answer)
    if not content:
        return ["a body where none is documented"] if answer.body else []
    if kind not in content:
        return [f"{kind!r} is not documented"]
    media = content[kind]
    if kind == "application/x-ndjson":
        lines = answer.body.splitlines()
        return [fault for line in lines
                for fault in faults(media["x-line"], json.loads(line))]
    if kind.endswith("json"):
        return faults(media["schema"], json.loads(answer.body))
    return []


def check_event(method, path, answer, data):
    """One event of a stream."""
    media = response_of(method, path, answer.status)["content"][kind_of(answer)]
    value = data if data == "[DONE]" else json.loads(data)
    found = faults(media["x-event"], value)
    assert not found, f"{method} {path}: event {data:.300} is not as documented: {found}"


def request_faults(method, path, sent):
    """What was taken has to be documented."""
    item, operation = operation_of(method, path)
    found = query_faults(item, operation, path)
    if sent is not None and "requestBody" in operation:
        content = resolved(operation["requestBody"])["content"]
        found += faults(content["application/json"]["schema"], without_nulls(sent))
    return found


def query_faults(item, operation, path):
    known = {"x"}  # what tests say when they mean nothing
    for parameter in item.get("parameters", []) + operation.get("parameters", []):
        known.add(resolved(parameter)["name"].lower())
    for scheme in operation.get("security", []):
        if "queryToken" in scheme:
            known.add("token")
    query = urllib.parse.parse_qsl(path.partition("?")[2], keep_blank_values=True)
    return [f"?{name}= is not documented" for name, _ in query
            if name.partition("[")[0].lower() not in known]


def without_nulls(sent):
    """null counts as not sent."""
    if isinstance(sent, list):
        return [without_nulls(item) for item in sent]
    if isinstance(sent, dict):
        return {name: without_nulls(value) for name, value in sent.items()
                if value is not None}
    return sent
