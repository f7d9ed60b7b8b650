"""test_chats.py - the family "Chats": conversations, their messages in both
layouts and under both prefixes, and completions in a chat."""

import json
import re
import statistics
import threading
import time
import urllib.parse
import uuid

import pytest

from instance import Postgres, wait_until

CHAT = {"id", "_id", "userId", "title", "source", "tags", "metadata", "isActive",
        "createdAt", "updatedAt"}
MESSAGE = {"id", "_id", "chatId", "role", "content", "name", "functionCall", "toolCalls",
           "metadata", "tokens", "promptTokens", "completionTokens", "latency",
           "createdAt", "updatedAt"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NOBODY = str(uuid.UUID(int=7 << 76))
LAYOUTS = ["/api/{}/messages", "/api/messages/{}", "/api/v1/{}/messages", "/api/v1/messages/{}"]


def make_chat(user, title="A chat", **more):
    got = user.post("/api/chats", {"title": title, **more})
    assert got.status == 201, got
    return got.json()["chat"]


def add(user, chat, content="hello", role="user", **more):
    got = user.post(f"/api/{chat['id']}/messages", {"role": role, "content": content, **more})
    assert got.status == 201, got
    return got.json()["data"]


def add_many(user, chat, count):
    body = {"messages": [{"role": "user", "content": f"m{n}"} for n in range(count)]}
    got = user.post(f"/api/{chat['id']}/messages/batch", body)
    assert got.status == 201, got
    return got.json()["messages"]


def messages_of(user, chat, query="limit=100"):
    got = user.get(f"/api/{chat['id']}/messages?{query}")
    assert got.status == 200, got
    return got.json()["messages"]


def fields_of(got):
    assert got.status == 400, got
    assert got.headers["Content-Type"].startswith("application/problem+json")
    problem = got.json()
    assert problem["message"] == problem["detail"]
    return [error["field"] for error in problem["errors"]]


def put(user, path, body):
    return user.request("PUT", path, body)


def next_path(got):
    link = got.headers.get("Link")
    return link and re.fullmatch(r'<([^>]*)>; rel="next"', link).group(1)


def walk(user, path, between=lambda: None):
    """All pages of a list by its links."""
    pages = []
    while path:
        got = user.get(path)
        assert got.status == 200, got
        pages.append(got.json())
        between()
        path = next_path(got)
    return pages


def ids(items):
    return [item["id"] for item in items]


# Chats.


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
def test_a_chat_is_made_read_changed_and_deleted(user, prefix):
    got = user.post(prefix + "/chats", {"title": "First", "source": "mobile",
                                        "tags": ["a", "b"], "metadata": {"k": [1, None]}})
    assert got.status == 201, got
    assert got.json()["message"] == "Chat session created successfully"
    chat = got.json()["chat"]
    assert set(chat) == CHAT
    assert chat["_id"] == chat["id"] and uuid.UUID(chat["id"]).version == 7
    assert chat["userId"] == user.id and chat["title"] == "First"
    assert chat["source"] == "mobile" and chat["tags"] == ["a", "b"]
    assert chat["metadata"] == {"k": [1, None]} and chat["isActive"] is True
    assert TIME.fullmatch(chat["createdAt"]) and TIME.fullmatch(chat["updatedAt"])
    path = f"{prefix}/chats/{chat['id']}"
    assert user.get(path).json() == {"chat": chat}
    got = put(user, path, {"title": "Second", "tags": [], "metadata": {"n": 2}, "isActive": False})
    assert got.status == 200 and got.json()["message"] == "Chat updated successfully"
    changed = got.json()["chat"]
    assert changed["title"] == "Second" and changed["tags"] == []
    assert changed["metadata"] == {"n": 2} and changed["isActive"] is False
    assert changed["createdAt"] == chat["createdAt"] <= changed["updatedAt"]
    assert user.get(path + "/").json() == {"chat": changed}
    message = add(user, chat)
    got = user.delete(path)
    assert got.status == 200
    assert got.json() == {"message": "Chat and associated messages deleted successfully"}
    assert user.get(path).status == 404
    assert user.get(f"/api/{chat['id']}/messages/{message['id']}").status == 404
    assert user.delete(path).status == 404


def test_a_chat_has_defaults_and_ignores_what_is_not_writable(user):
    got = user.post("/api/chats", {"title": "x", "id": NOBODY, "userId": NOBODY,
                                   "createdAt": "2001-01-01T00:00:00Z", "isActive": False,
                                   "unknown": 1, "tags": None})
    chat = got.json()["chat"]
    assert chat["source"] == "web" and chat["tags"] == [] and chat["metadata"] == {}
    assert chat["isActive"] is True and chat["id"] != NOBODY and chat["userId"] == user.id
    assert chat["createdAt"] > "2020"


def test_a_change_leaves_what_was_not_sent(user):
    chat = make_chat(user, "Kept", tags=["t"], metadata={"m": 1})
    got = put(user, f"/api/chats/{chat['id']}", {"title": "New"}).json()["chat"]
    assert (got["title"], got["tags"], got["metadata"]) == ("New", ["t"], {"m": 1})
    got = put(user, f"/api/chats/{chat['id']}", {"isActive": False}).json()["chat"]
    assert got["title"] == "New" and got["isActive"] is False
    assert put(user, f"/api/chats/{chat['id']}", {}).status == 200


@pytest.mark.parametrize("body, fields", [
    ({}, ["title"]),
    ({"title": ""}, ["title"]),
    ({"title": "x" * 101}, ["title"]),
    ({"title": 5}, ["title"]),
    ({"title": "x", "source": "tv"}, ["source"]),
    ({"title": "x", "tags": "a"}, ["tags"]),
    ({"title": "x", "tags": ["ok", 1, "", "y" * 101]}, ["tags[1]", "tags[2]", "tags[3]"]),
    ({"title": "x", "tags": ["t"] * 51}, ["tags"]),
    ({"title": "x", "metadata": {"k": "x" * 65536}}, ["metadata"]),
    ({"title": None, "source": 1, "tags": {}}, ["title", "source", "tags"]),
])
def test_every_wrong_field_of_a_chat_is_named(user, body, fields):
    assert fields_of(user.post("/api/chats", body)) == fields
    chat = make_chat(user)
    changed = {key: value for key, value in body.items() if key != "source"}
    wrong = [name for name in fields if name != "source" and body.get("title", "") is not None
             or name == "tags"]
    if changed and body.get("title") is not None and wrong:
        assert fields_of(put(user, f"/api/chats/{chat['id']}", changed)) == wrong
    assert user.get(f"/api/chats/{chat['id']}").json()["chat"] == chat


def test_isactive_has_to_be_a_boolean(user):
    chat = make_chat(user)
    got = put(user, f"/api/chats/{chat['id']}", {"isActive": "false", "title": ""})
    assert fields_of(got) == ["title", "isActive"]


def test_characters_are_counted_not_bytes(user):
    assert make_chat(user, "\U0001f600" * 100)["title"] == "\U0001f600" * 100
    assert fields_of(user.post("/api/chats", {"title": "\U0001f600" * 101})) == ["title"]


METADATA = [
    '{"a": 1.50, "b":12345678901234567890.5, "e":1e3,"deep":[[],{"x":null}]}',
    '[1.0, "two"]', '"text"', "0.10", "true", '{"z":1,"a":2}', "null", "false", "0", "-0", '""',
    "[]", "{}", "1.0", "1e2", "12345678901234567890", '"\\u00e9\\/ \\ud83d\\ude00"',
]


def raw_metadata(text):
    """The metadata of the chat in an answer, letter by letter."""
    begin = text.index('"metadata" : ') + len('"metadata" : ')
    return text[begin:text.index(', "isActive"', begin)]


@pytest.mark.parametrize("value", METADATA)
def test_metadata_of_a_chat_keeps_its_text(user, value):
    body = '{"title":"x","metadata":%s}' % value
    head = {"Content-Type": "application/json"}
    got = user.request("POST", "/api/chats", body=body, headers=head)
    assert got.status == 201, got
    assert raw_metadata(got.text) == value
    assert raw_metadata(user.get(f"/api/chats/{got.json()['chat']['id']}").text) == value


@pytest.mark.parametrize("value", METADATA)
def test_metadata_of_a_chat_is_changed_to_any_json(user, value):
    path = f"/api/chats/{make_chat(user, metadata={'old': 1})['id']}"
    got = user.request("PUT", path, body='{"metadata":%s}' % value,
                       headers={"Content-Type": "application/json"})
    assert got.status == 200, got
    assert raw_metadata(got.text) == raw_metadata(user.get(path).text) == value
    assert raw_metadata(user.get("/api/chats?limit=1").text) == value


def test_bodies_are_checked_before_anything_else(user):
    head = {"Content-Type": "text/plain"}
    assert user.request("POST", "/api/chats", body='{"title":"x"}', headers=head).status == 415
    head = {"Content-Type": "application/json"}
    assert user.request("POST", "/api/chats", body='{"title":', headers=head).status == 400
    assert user.request("POST", "/api/chats", body='["title"]', headers=head).status == 400
    big = {"title": "x", "metadata": "x" * 300_000}
    assert user.post("/api/chats", big).status == 413


# Who may.


def routes(chat, message):
    """Every row of the family: method, path, body."""
    chats = [("POST", "/chats", {"title": "x"}), ("GET", "/chats", None),
             ("GET", "/chats/search?query=x", None), ("GET", f"/chats/{chat}", None),
             ("PUT", f"/chats/{chat}", {"title": "stolen"}), ("DELETE", f"/chats/{chat}", None),
             ("POST", f"/chats/{chat}/completions", {"content": "x", "model": "echo"})]
    one = {"role": "user", "content": "x"}
    for base in (f"/{chat}/messages", f"/messages/{chat}"):
        chats += [("POST", base, one), ("GET", base, None),
                  ("POST", base + "/batch", {"messages": [one]}),
                  ("GET", f"{base}/{message}", None),
                  ("PUT", f"{base}/{message}", {"content": "stolen"}),
                  ("DELETE", f"{base}/{message}", None)]
    return [(method, prefix + path, body) for prefix in ("/api", "/api/v1")
            for method, path, body in chats]


def test_without_a_credential_every_route_is_401(instance):
    for method, path, body in routes(NOBODY, NOBODY):
        got = instance.http.request(method, path, body)
        assert got.status == 401, (method, path, got)
        assert got.headers["WWW-Authenticate"]


def test_anothers_objects_are_as_missing_as_unknown_ones(instance, user):
    chat = make_chat(user)
    message = add(user, chat)
    other = instance.user()
    for mine, unknown in zip(routes(chat["id"], message["id"]), routes(NOBODY, NOBODY)):
        method, path, body = mine
        if chat["id"] not in path:
            continue
        theirs = other.request(method, path, body)
        nothing = other.request(*unknown)
        assert theirs.status == nothing.status == 404, (method, path, theirs, nothing)
        ignore = {"request_id"}
        assert {k: v for k, v in theirs.json().items() if k not in ignore} == {
            k: v for k, v in nothing.json().items() if k not in ignore}
    assert user.get(f"/api/chats/{chat['id']}").json()["chat"]["title"] == "A chat"
    assert ids(messages_of(user, chat)) == [message["id"]]


def test_a_message_is_only_in_its_own_chat(user):
    one, two = make_chat(user), make_chat(user)
    message = add(user, one)
    path = f"/api/{two['id']}/messages/{message['id']}"
    assert user.get(path).status == 404
    assert put(user, path, {"content": "x"}).status == 404
    assert put(user, path, {"metadata": {"x": 1}}).status == 404
    assert user.delete(path).status == 404
    assert user.get(f"/api/{one['id']}/messages/{message['id']}").status == 200


@pytest.mark.parametrize("bad", ["1", "search2", "x" * 36, "00000000-0000-7000-8000-00000000000",
                                 "%00", "..%2f"])
def test_a_malformed_id_is_missing(user, bad):
    chat = make_chat(user)
    for path in (f"/api/chats/{bad}", f"/api/{bad}/messages", f"/api/messages/{bad}",
                 f"/api/{chat['id']}/messages/{bad}", f"/api/messages/{chat['id']}/{bad}"):
        assert user.get(path).status in ((400, 404) if "%" in bad else (404,)), path


def test_an_api_key_works_as_a_token_does(instance, user):
    key = user.post("/api/apikeys", {"name": "k"}).json()["key"]
    instance.secrets.append(key)
    chat = make_chat(instance.http.as_user(key))
    assert user.get(f"/api/chats/{chat['id']}").status == 200


def test_head_works_where_get_does(user):
    chat = make_chat(user)
    message = add(user, chat)
    for method, path, _ in routes(chat["id"], message["id"]):
        if method == "GET":
            got = user.request("HEAD", path)
            assert got.status == 200 and got.body == b"", (path, got)
    assert user.request("HEAD", f"/api/chats/{NOBODY}").status == 404
    got = user.request("HEAD", f"/api/chats/{chat['id']}/completions")
    assert got.status == 405
    assert len(messages_of(user, chat)) == 1


def test_other_methods_are_405_with_allow(user):
    chat = make_chat(user)
    for path, allow in ((f"/api/chats/{chat['id']}", {"GET", "PUT", "DELETE"}),
                        ("/api/chats", {"GET", "POST"}),
                        (f"/api/chats/{chat['id']}/completions", {"POST"}),
                        (f"/api/{chat['id']}/messages/batch", {"POST"}),
                        (f"/api/messages/{chat['id']}", {"GET", "POST"}),
                        (f"/api/v1/messages/{chat['id']}/{NOBODY}", {"GET", "PUT", "DELETE"})):
        got = user.request("PATCH", path, {})
        assert got.status == 405, (path, got)
        allowed = set(got.headers["Allow"].split(", "))
        assert allowed >= allow and "PATCH" not in allowed
    assert user.get(f"/api/{chat['id']}/messages/batch").status == 405


# Lists of chats.


def test_a_list_has_both_names_and_totals(user):
    chats = [make_chat(user, f"c{n}") for n in range(12)]
    got = user.get("/api/chats").json()
    assert set(got) == {"results", "chats", "totalPages", "currentPage", "totalItems",
                        "totalChats"}
    assert got["results"] == got["chats"]
    assert ids(got["chats"]) == ids(chats)[:1:-1]
    assert got["chats"][0] == chats[-1]
    assert (got["totalPages"], got["currentPage"]) == (2, 1)
    assert got["totalItems"] == got["totalChats"] == 12
    last = user.get("/api/chats?page=2")
    assert ids(last.json()["chats"]) == ids(chats)[1::-1]
    assert last.json()["currentPage"] == 2 and "Link" not in last.headers
    beyond = user.get("/api/chats?page=3")
    assert beyond.status == 200 and beyond.json()["chats"] == []
    assert beyond.json()["totalChats"] == 12 and "Link" not in beyond.headers


def test_a_link_that_fits_no_header_is_left_out(user):
    for n in range(2):
        make_chat(user, f"c{n}")
    user.check = False
    short = user.get("/api/chats?limit=1&more=" + 100 * "/")
    long = user.get("/api/chats?limit=1&more=" + 3000 * "/")
    assert next_path(short) and "Link" not in long.headers
    assert (short.status, long.status) == (200, 200)


def test_an_empty_list_is_one(user):
    got = user.get("/api/chats").json()
    assert got == {"results": [], "chats": [], "totalPages": 0, "currentPage": 1,
                   "totalItems": 0, "totalChats": 0}
    assert user.get("/api/chats/search?query=x").json() == got


@pytest.mark.parametrize("query, field", [
    *[(f"limit={v}", "limit") for v in ("0", "101", "-1", "1e1", "", "x", 2**63, 2**64)],
    *[(f"page={v}", "page") for v in ("0", "-1", "1.5", "", 2**63)],
    ("sortBy=name", "sortBy"), ("sortOrder=up", "sortOrder"), ("isActive=1", "isActive"),
    ("cursor=", "cursor"), ("cursor=abc", "cursor"), ("cursor=%21", "cursor"),
])
def test_wrong_parameters_are_refused_not_clamped(user, query, field):
    assert fields_of(user.get(f"/api/chats?{query}")) == [field]


def test_all_wrong_parameters_are_named_at_once(user):
    got = user.get("/api/chats?limit=0&page=0&sortBy=x&sortOrder=x&isActive=x&cursor=!")
    assert sorted(fields_of(got)) == ["cursor", "isActive", "limit", "page", "sortBy", "sortOrder"]


ORDERS = [(key, order) for key in ("createdAt", "updatedAt", "title") for order in ("asc", "desc")]


@pytest.mark.parametrize("key, order", ORDERS)
def test_chats_are_sorted_by_page_and_by_cursor(user, key, order):
    for n in range(11):  # titles twice, so that ids decide
        make_chat(user, f"t{n * 7 % 6}")
    chats = user.get("/api/chats?limit=100").json()["chats"]
    for chat in chats[::3]:
        put(user, f"/api/chats/{chat['id']}", {"metadata": 1})
    chats = user.get("/api/chats?limit=100").json()["chats"]
    wanted = sorted(chats, key=lambda c: (c[key], c["id"]), reverse=order == "desc")
    query = f"sortBy={key}&sortOrder={order}&limit=4"
    numbered = [user.get(f"/api/chats?{query}&page={n}").json() for n in (1, 2, 3)]
    linked = walk(user, f"/api/chats?{query}")
    assert [c[key] for p in linked for c in p["chats"]] == [c[key] for c in wanted]
    assert numbered == linked
    if key != "title":
        return
    assert ids(c for p in linked for c in p["chats"]) == ids(wanted)


@pytest.mark.parametrize("key, order", ORDERS)
@pytest.mark.parametrize("more", ["", "&isActive=true"])
def test_no_gap_and_no_duplicate_while_chats_are_added(user, key, order, more):
    before = [make_chat(user, f"t{n % 4}")["id"] for n in range(9)]
    added = []

    def grow():
        if len(added) < 10:
            added.append(make_chat(user, "t2"))

    pages = walk(user, f"/api/chats?sortBy={key}&sortOrder={order}&limit=2{more}", grow)
    seen = ids(c for page in pages for c in page["chats"])
    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)


def test_isactive_filters_list_and_totals(user):
    chats = [make_chat(user, f"c{n}") for n in range(5)]
    for chat in chats[:2]:
        put(user, f"/api/chats/{chat['id']}", {"isActive": False})
    off = user.get("/api/chats?isActive=false").json()
    on = user.get("/api/chats?isActive=true&limit=2").json()
    assert set(ids(off["chats"])) == set(ids(chats[:2])) and off["totalChats"] == 2
    assert on["totalChats"] == 3 and on["totalPages"] == 2 and len(on["chats"]) == 2


def test_a_cursor_is_good_for_its_own_order_only(user):
    for n in range(3):
        make_chat(user, f"c{n}")
    link = next_path(user.get("/api/chats?limit=1"))
    assert fields_of(user.get(link + "&sortBy=title")) == ["cursor"]
    cursor = urllib.parse.parse_qs(urllib.parse.urlsplit(link).query)["cursor"][0]
    assert fields_of(user.get(f"/api/{NOBODY}/messages?cursor={cursor}")) == ["cursor"]


def test_a_cursor_of_another_user_shows_nothing_of_theirs(instance, user):
    for n in range(3):
        make_chat(user, f"c{n}")
    link = next_path(user.get("/api/chats?limit=1"))
    assert instance.user().get(link).json()["chats"] == []


def test_the_longest_titles_have_a_cursor(user):
    for n in range(3):
        make_chat(user, "\U0001f600" * 99 + str(n))
    pages = walk(user, "/api/chats?sortBy=title&sortOrder=asc&limit=1")
    assert [p["chats"][0]["title"][-1] for p in pages] == ["0", "1", "2"]


# Search.


def search(user, text, more=""):
    got = user.get("/api/chats/search?query=" + urllib.parse.quote(text) + more)
    assert got.status == 200, got
    return got.json()


def test_search_finds_titles_and_tags_in_any_case(user):
    make_chat(user, "Weather in Oslo", tags=["Norway", "travel tips"])
    make_chat(user, "Grüße aus KÖLN", tags=["50%_off"])
    make_chat(user, "nothing here")
    for text, title in (("OSLO", "Weather in Oslo"), ("er in o", "Weather in Oslo"),
                        ("norw", "Weather in Oslo"), ("TIPS", "Weather in Oslo"),
                        ("köln", "Grüße aus KÖLN"), ("GRÜSSE"[:3], "Grüße aus KÖLN"),
                        ("50%_OFF", "Grüße aus KÖLN"), ("%", "Grüße aus KÖLN"),
                        ("_", "Grüße aus KÖLN")):
        assert [c["title"] for c in search(user, text)["chats"]] == [title], text
    for text in ("oslo%", "o_lo", "Oslonorway", "Oslo Norway", "norwaytravel", "\\", "zzz", "50%off"):
        assert search(user, text)["chats"] == [], text


def test_search_has_the_shape_and_pages_of_the_list(user):
    chats = [make_chat(user, f"Needle {n}") for n in range(5)]
    make_chat(user, "hay")
    got = search(user, "needle", "&limit=2")
    assert got["results"] == got["chats"] and ids(got["chats"]) == ids(chats)[:2:-1]
    assert got["totalItems"] == got["totalChats"] == 5 and got["totalPages"] == 3
    assert ids(search(user, "needle", "&limit=2&page=3")["chats"]) == [chats[0]["id"]]
    beyond = search(user, "needle", "&limit=2&page=4")
    assert beyond["chats"] == [] and beyond["totalChats"] == 5
    added = []

    def grow():
        added.append(make_chat(user, "needle too"))

    pages = walk(user, "/api/chats/search?query=needle&limit=2", grow)
    assert ids(c for p in pages for c in p["chats"]) == ids(chats)[::-1]
    assert search(user, "needle")["totalChats"] == 5 + len(added)


def test_search_sees_no_chat_of_others(instance, user):
    make_chat(user, "secret plan")
    assert search(instance.user(), "secret")["chats"] == []


@pytest.mark.parametrize("query, fields", [
    ("", ["query"]), ("query=", ["query"]), ("query=" + "x" * 257, ["query"]),
    ("query=a%1fb", ["query"]), ("limit=0&page=x", ["query", "page", "limit"]),
    ("query=x&limit=101", ["limit"]),
])
def test_search_names_wrong_parameters(user, query, fields):
    assert fields_of(user.get("/api/chats/search?" + query)) == fields


# Messages.


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_message_is_added_read_changed_and_deleted(user, layout):
    chat = make_chat(user)
    base = layout.format(chat["id"])
    sent = {"role": "assistant", "content": "Hi", "name": "bot", "metadata": {"a": 1},
            "functionCall": {"name": "f", "arguments": "{}"},
            "toolCalls": [{"id": "c1", "type": "function"}], "tokens": 3, "promptTokens": 1,
            "completionTokens": 2, "latency": 250}
    got = user.post(base, sent)
    assert got.status == 201, got
    assert set(got.json()) == {"message", "data", "messageObj"}
    assert got.json()["message"] == "Message added successfully"
    message = got.json()["data"]
    assert got.json()["messageObj"] == message
    assert set(message) == MESSAGE
    assert {key: message[key] for key in sent} == sent
    assert message["_id"] == message["id"] and message["chatId"] == chat["id"]
    assert TIME.fullmatch(message["createdAt"]) and TIME.fullmatch(message["updatedAt"])
    path = f"{base}/{message['id']}"
    assert user.get(path).json() == {"message": message}
    listed = user.get(base).json()
    assert set(listed) == {"results", "messages", "totalPages", "currentPage", "totalItems",
                           "totalMessages"}
    assert listed["results"] == listed["messages"] == [message]
    assert listed["totalItems"] == listed["totalMessages"] == listed["totalPages"] == 1
    got = put(user, path, {"content": "Ho", "metadata": {"b": 2}, "tokens": 9, "latency": 0})
    assert got.status == 200, got
    assert set(got.json()) == {"message", "data", "updatedMessage"}
    assert got.json()["message"] == "Message updated successfully"
    changed = got.json()["data"]
    assert got.json()["updatedMessage"] == changed
    assert changed["metadata"] == {"a": 1, "b": 2} and changed["content"] == "Ho"
    assert (changed["tokens"], changed["promptTokens"], changed["latency"]) == (9, 1, 0)
    assert changed["toolCalls"] == sent["toolCalls"]
    assert user.get(path).json() == {"message": changed}
    got = user.delete(path)
    assert got.status == 200 and got.json() == {"message": "Message deleted successfully"}
    assert user.get(path).status == 404 and user.delete(path).status == 404
    assert user.get(base).json()["totalMessages"] == 0


def test_a_message_has_defaults(user):
    message = add(user, make_chat(user))
    assert message["name"] is message["functionCall"] is message["toolCalls"] is None
    assert message["metadata"] == {}
    assert [message[k] for k in ("tokens", "promptTokens", "completionTokens", "latency")] == [0] * 4


@pytest.mark.parametrize("role", ["user", "assistant", "system", "function", "tool"])
def test_every_role_is_taken(user, role):
    assert add(user, make_chat(user), role=role)["role"] == role


@pytest.mark.parametrize("calls", [{"functionCall": {"name": "f"}}, {"toolCalls": [{"id": "1"}]}])
@pytest.mark.parametrize("content", [{}, {"content": ""}, {"content": None}])
def test_content_may_be_empty_beside_calls(user, calls, content):
    chat = make_chat(user)
    got = user.post(f"/api/{chat['id']}/messages", {"role": "assistant", **calls, **content})
    assert got.status == 201, got
    assert got.json()["data"]["content"] == ""


WRONG = [
    ({}, ["role", "content"]),
    ({"role": "bot", "content": "x"}, ["role"]),
    ({"role": "user", "content": ""}, ["content"]),
    ({"role": "user", "content": 1}, ["content"]),
    ({"role": "user", "content": "", "toolCalls": []}, ["content"]),
    ({"role": "user", "content": "x", "name": ""}, ["name"]),
    ({"role": "user", "content": "x", "name": "n" * 201}, ["name"]),
    ({"role": "user", "content": "x", "functionCall": []}, ["functionCall"]),
    ({"role": "user", "content": "x", "toolCalls": {}}, ["toolCalls"]),
    ({"role": "user", "content": "x", "toolCalls": [{}, 1]}, ["toolCalls"]),
    ({"role": "user", "content": "x", "metadata": [1]}, ["metadata"]),
    ({"role": "user", "content": "x", "metadata": {"k": "x" * 65536}}, ["metadata"]),
    ({"role": "user", "content": "x", "tokens": -1, "promptTokens": 1.5,
      "completionTokens": "1", "latency": 2**63},
     ["tokens", "promptTokens", "completionTokens", "latency"]),
    ({"role": 1, "content": [], "name": 2, "functionCall": 1, "toolCalls": 1, "metadata": 1,
      "latency": True},
     ["role", "content", "name", "functionCall", "toolCalls", "metadata", "latency"]),
]


@pytest.mark.parametrize("body, fields", WRONG)
def test_every_wrong_field_of_a_message_is_named(user, body, fields):
    chat = make_chat(user)
    assert fields_of(user.post(f"/api/{chat['id']}/messages", body)) == fields
    got = user.post(f"/api/{chat['id']}/messages/batch",
                    {"messages": [{"role": "user", "content": "good"}, body]})
    assert fields_of(got) == [f"messages[1].{name}" for name in fields]
    assert messages_of(user, chat) == []


@pytest.mark.parametrize("body, fields", [
    ({"content": ""}, ["content"]),
    ({"content": 1, "metadata": "x", "tokens": -1}, ["content", "metadata", "tokens"]),
    ({"promptTokens": "x", "completionTokens": -1, "latency": 1.5},
     ["promptTokens", "completionTokens", "latency"]),
])
def test_every_wrong_field_of_a_change_is_named(user, body, fields):
    chat = make_chat(user)
    message = add(user, chat)
    path = f"/api/{chat['id']}/messages/{message['id']}"
    assert fields_of(put(user, path, body)) == fields
    assert user.get(path).json()["message"] == message


def test_a_change_does_not_touch_role_chat_or_cost(user):
    chat, other = make_chat(user), make_chat(user)
    message = add(user, chat)
    path = f"/api/{chat['id']}/messages/{message['id']}"
    got = put(user, path, {"role": "system", "chatId": other["id"], "cost": 1, "id": NOBODY})
    assert got.json()["data"]["role"] == "user"
    assert got.json()["data"]["chatId"] == chat["id"]


def test_merged_metadata_keeps_the_text_of_what_stays(user):
    chat = make_chat(user)
    head = {"Content-Type": "application/json"}
    body = '{"role":"user","content":"x","metadata":{"a":1.50,"b" : 1e2,"c":[1.0]}}'
    got = user.request("POST", f"/api/{chat['id']}/messages", body=body, headers=head)
    path = f"/api/{chat['id']}/messages/{got.json()['data']['id']}"
    assert '"metadata":{"a":1.50,"b" : 1e2,"c":[1.0]}' in got.text
    got = user.request("PUT", path, body='{"metadata":{"b":2.00,"d":null}}', headers=head)
    assert got.status == 200, got
    assert '"metadata":{"a":1.50,"b":2.00,"c":[1.0],"d":null}' in got.text


@pytest.mark.parametrize("value", METADATA)
def test_what_is_in_the_metadata_of_a_message_keeps_its_text(user, value):
    base = f"/api/{make_chat(user)['id']}/messages"
    head = {"Content-Type": "application/json"}
    body = '{"role":"user","content":"x","metadata":{"v":%s}}' % value
    wanted = '"metadata":{"v":%s},' % value
    got = user.request("POST", base, body=body, headers=head)
    assert got.status == 201 and got.text.count(wanted) == 2, got
    path = f"{base}/{got.json()['data']['id']}"
    assert wanted in user.get(path).text and wanted in user.get(base).text
    got = user.request("PUT", path, body='{"metadata":{"v":1}}', headers=head)
    got = user.request("PUT", path, body='{"metadata":{"v":%s}}' % value, headers=head)
    assert got.status == 200 and got.text.count(wanted) == 2, got
    got = user.request("POST", base + "/batch", body='{"messages":[%s]}' % body, headers=head)
    assert got.status == 201 and wanted in got.text, got


def test_merged_metadata_has_a_ceiling(user):
    chat = make_chat(user)
    message = add(user, chat, metadata={"a": "x" * 40000})
    path = f"/api/{chat['id']}/messages/{message['id']}"
    assert fields_of(put(user, path, {"metadata": {"b": "x" * 40000}})) == ["metadata"]
    assert set(user.get(path).json()["message"]["metadata"]) == {"a"}


def test_metadata_merged_at_the_same_time_loses_nothing(instance, user):
    chat = make_chat(user)
    message = add(user, chat)
    path = f"/api/{chat['id']}/messages/{message['id']}"
    threads = [threading.Thread(target=put, args=(user, path, {"metadata": {f"k{n}": n}}))
               for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert user.get(path).json()["message"]["metadata"] == {f"k{n}": n for n in range(12)}


def test_a_message_moves_the_chat(user):
    one, two = make_chat(user, "one"), make_chat(user, "two")
    time.sleep(0.01)
    add(user, one)
    got = user.get("/api/chats?sortBy=updatedAt").json()["chats"]
    assert ids(got) == [one["id"], two["id"]]
    assert got[0]["updatedAt"] > one["updatedAt"] and got[0]["createdAt"] == one["createdAt"]


def test_texts_of_all_kinds_are_kept(user):
    chat = make_chat(user)
    texts = ['"quoted" \\ /', "line\nline\r\n\ttab", "\u2028\u007f\u0001", "\U0001f600 ü 漢字",
             "%_\\", "{}[],", "x" * 200_000]
    for text in texts:
        add(user, chat, text)
    assert [m["content"] for m in messages_of(user, chat)] == texts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_batch_is_stored_in_its_order(user, layout):
    chat = make_chat(user)
    sent = [{"role": "user" if n % 2 else "assistant", "content": f"m{n}", "tokens": n,
             "metadata": {"n": n}} for n in range(1000)]
    got = user.post(layout.format(chat["id"]) + "/batch", {"messages": sent})
    assert got.status == 201, got
    body = got.json()
    assert body["message"] == "1000 messages added successfully" and body["count"] == 1000
    assert [m["content"] for m in body["messages"]] == [m["content"] for m in sent]
    assert all(set(m) == MESSAGE for m in body["messages"])
    listed = user.get(layout.format(chat["id"]) + "?limit=100&page=10").json()
    assert listed["messages"] == body["messages"][900:]
    assert listed["totalMessages"] == 1000 and listed["totalPages"] == 10


@pytest.mark.parametrize("messages", [None, [], {}, "x", [{"role": "user", "content": "x"}] * 1001])
def test_a_batch_has_1_to_1000_messages(user, messages):
    chat = make_chat(user)
    got = user.post(f"/api/{chat['id']}/messages/batch", {"messages": messages})
    assert fields_of(got) == ["messages"]
    assert messages_of(user, chat) == []


def test_every_bad_index_of_a_batch_is_named_and_nothing_is_stored(user):
    chat = make_chat(user)
    good = {"role": "user", "content": "x"}
    batch = [good, {"role": "x", "content": "x"}, good, 5, {"role": "user"}]
    got = user.post(f"/api/{chat['id']}/messages/batch", {"messages": batch})
    assert fields_of(got) == ["messages[1].role", "messages[3]", "messages[4].content"]
    assert messages_of(user, chat) == []
    got = user.post(f"/api/{chat['id']}/messages/batch", {"messages": [{}] * 1000})
    assert len(fields_of(got)) >= 100
    assert user.get(f"/api/chats/{chat['id']}").json()["chat"] == chat


def test_a_large_batch_with_many_keys_is_taken(user):
    chat = make_chat(user)
    one = {"role": "user", "content": "y" * 1000, "metadata": {f"k{n}": n for n in range(30)}}
    got = user.post(f"/api/{chat['id']}/messages/batch", {"messages": [one] * 1000})
    assert got.status == 201, got


def test_messages_are_listed_oldest_first_by_page_and_by_cursor(user):
    chat = make_chat(user)
    stored = ids(add_many(user, chat, 25))
    base = f"/api/{chat['id']}/messages"
    first = user.get(base).json()
    assert ids(first["messages"]) == stored[:10]
    assert (first["totalPages"], first["currentPage"], first["totalItems"]) == (3, 1, 25)
    assert ids(user.get(base + "?page=3").json()["messages"]) == stored[20:]
    assert user.get(base + "?page=4").json()["messages"] == []
    assert ids(user.get(base + "?sortOrder=desc&limit=3").json()["messages"]) == stored[:21:-1]
    for order in ("asc", "desc"):
        linked = walk(user, f"{base}?sortOrder={order}&limit=10")
        assert ids(m for p in linked for m in p["messages"]) == (
            stored if order == "asc" else stored[::-1])
        assert [p["currentPage"] for p in linked] == [1, 2, 3]
        assert {p["totalMessages"] for p in linked} == {25}


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_no_gap_and_no_duplicate_while_messages_are_added(user, order):
    chat = make_chat(user)
    stored = ids(add_many(user, chat, 9))
    added = []

    def grow():
        if len(added) < 8:
            added.append(add(user, chat)["id"])

    pages = walk(user, f"/api/messages/{chat['id']}?sortOrder={order}&limit=2", grow)
    seen = ids(m for p in pages for m in p["messages"])
    if order == "asc":  # what came after the last page is not on it
        assert len(seen) >= 9 + 7 and seen == (stored + added)[: len(seen)]
    else:
        assert seen == stored[::-1]


def test_messages_are_filtered_by_role(user):
    chat = make_chat(user)
    for n in range(7):
        add(user, chat, f"m{n}", role="system" if n % 3 == 0 else "user")
    got = user.get(f"/api/{chat['id']}/messages?role=system&limit=2").json()
    assert [m["content"] for m in got["messages"]] == ["m0", "m3"]
    assert got["totalMessages"] == 3 and got["totalPages"] == 2
    pages = walk(user, f"/api/{chat['id']}/messages?role=user&limit=3&sortOrder=desc")
    assert [m["content"] for p in pages for m in p["messages"]] == ["m5", "m4", "m2", "m1"]
    assert user.get(f"/api/{chat['id']}/messages?role=tool").json()["totalPages"] == 0


@pytest.mark.parametrize("query, fields", [
    ("limit=0", ["limit"]), ("limit=101", ["limit"]), ("page=0", ["page"]),
    ("role=bot", ["role"]), ("sortOrder=x", ["sortOrder"]), ("cursor=x", ["cursor"]),
    ("role=&sortOrder=&page=&limit=", ["role", "sortOrder", "page", "limit"]),
])
def test_wrong_parameters_of_messages_are_named(user, query, fields):
    chat = make_chat(user)
    assert fields_of(user.get(f"/api/{chat['id']}/messages?{query}")) == fields


def test_counts_hold_when_many_write_at_once(user):
    chat = make_chat(user)
    kept = ids(add_many(user, chat, 20))

    def work(n):
        add(user, chat)
        user.delete(f"/api/{chat['id']}/messages/{kept[n]}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = user.get(f"/api/{chat['id']}/messages?limit=100").json()
    assert got["totalMessages"] == len(got["messages"]) == 20


@pytest.mark.slow
def test_appending_to_a_long_chat_costs_what_an_empty_one_costs(instance, user):
    long, short = make_chat(user), make_chat(user)
    instance.psql(
        "insert into minuted.messages (user_id, id, chat_id, role, content)"
        f" select '{user.id}', minuted.uuid_floor('2020-01-01'::timestamptz + n * interval '1 ms'),"
        f" '{long['id']}', 'user', 'message ' || n from generate_series(1, 100000) n;"
        f" update minuted.chats set message_count = 100000 where id = '{long['id']}';"
        " analyze minuted.messages")
    times = {long["id"]: [], short["id"]: []}
    for _ in range(150):
        for chat in (long, short):
            began = time.perf_counter()
            add(user, chat)
            times[chat["id"]].append(time.perf_counter() - began)
    median = {key: statistics.median(value) for key, value in times.items()}
    assert median[long["id"]] < 1.5 * median[short["id"]] + 0.001
    got = user.get(f"/api/{long['id']}/messages?page=10000").json()
    assert got["totalMessages"] == 100150 and len(got["messages"]) == 10


# Completions.


def complete(client, chat, content="hello", model="fake", prefix="/api", **more):
    return client.post(f"{prefix}/chats/{chat['id']}/completions",
                       {"content": content, "model": model, **more})


def complete_stream(user, chat, content, model="fake", **more):
    return user.stream(f"/api/chats/{chat['id']}/completions",
                       {"content": content, "model": model, "stream": True, **more})


def tag():
    return "t" + uuid.uuid4().hex[:10]


@pytest.mark.parametrize("prefix", ["/api", "/api/v1"])
def test_a_completion_stores_question_and_answer(user, provider, prefix):
    chat = make_chat(user)
    got = complete(user, chat, "chunks=3 delay=0.01", prefix=prefix)
    assert got.status == 200, got
    answer = got.json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"] == "word0 word1 word2 "
    question, reply = messages_of(user, chat)
    assert (question["role"], question["content"]) == ("user", "chunks=3 delay=0.01")
    assert set(question) == MESSAGE
    assert set(reply) == MESSAGE | {"model", "cost", "callId"}
    assert (reply["role"], reply["content"]) == ("assistant", "word0 word1 word2 ")
    assert (reply["promptTokens"], reply["completionTokens"], reply["tokens"]) == (11, 3, 14)
    assert reply["latency"] >= 20 and reply["model"] == "fake"
    assert reply["callId"] == got.headers["X-Call-Id"]
    call = user.call(got)
    assert call["kind"] == "chat" and call["chat_id"] == chat["id"]
    assert call["cost"] == reply["cost"] and call["status"] == "completed"


def test_a_streamed_completion_is_stored_before_its_terminator(instance, user):
    chat = make_chat(user)
    with complete_stream(user, chat, "chunks=4") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for event in stream.events():
            if event.data == "[DONE]":
                rows = instance.psql("select content from minuted.messages"
                                     f" where chat_id = '{chat['id']}' and role = 'assistant'")
                assert rows == [["word0 word1 word2 word3 "]]
                break
        else:
            raise AssertionError("no terminator")
    call = user.call(stream)
    reply = messages_of(user, chat)[1]
    assert reply["callId"] == call["id"] and reply["tokens"] == 15


def test_echo_answers_in_a_chat_on_a_fresh_install(user):
    chat = make_chat(user)
    got = complete(user, chat, "say this again", model="echo")
    assert got.status == 200, got
    reply = messages_of(user, chat)[1]
    assert "say this again" in reply["content"] and reply["cost"] == 0


def test_the_chat_goes_along_as_context_with_calls_and_names(user, provider):
    chat = make_chat(user)
    mark = tag()
    calls = [{"id": "call_9", "type": "function", "function": {"name": "f", "arguments": "{}"}},
             {"id": "call_8", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    add(user, chat, "be brief", role="system")
    add(user, chat, "hi", name="ann")
    user.post(f"/api/{chat['id']}/messages", {"role": "assistant", "toolCalls": calls})
    add(user, chat, "42", role="tool")
    add(user, chat, "43", role="tool", metadata={"tool_call_id": "call_8"})
    user.post(f"/api/{chat['id']}/messages",
              {"role": "assistant", "functionCall": {"name": "g", "arguments": "{}"}})
    add(user, chat, "44", role="function", name="g")
    got = complete(user, chat, f"and now? tag={mark}", temperature=0.5, top_p=0.9, max_tokens=7,
                   stop=["x"], seed=3, user="end-user", metadata={"k": "v"},
                   messages=[{"role": "system", "content": "forged"}], role="system",
                   response_format={"type": "text"})
    assert got.status == 200, got
    body = provider.seen(mark)[0]["body"]
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "42", "tool_call_id": "call_9"},
        {"role": "tool", "content": "43", "tool_call_id": "call_8"},
        {"role": "assistant", "content": None, "function_call": {"name": "g", "arguments": "{}"}},
        {"role": "function", "content": "44", "name": "g"},
        {"role": "user", "content": f"and now? tag={mark}"},
    ]
    assert body["temperature"] == 0.5 and body["max_tokens"] == 7 and body["seed"] == 3
    assert body["stop"] == ["x"] and body["top_p"] == 0.9
    assert "content" not in body and "role" not in body
    call = user.call(got)
    assert call["user"] == "end-user" and call["metadata"] == {"k": "v"}
    mark = tag()
    complete(user, chat, f"again tag={mark}")
    assert [m["role"] for m in provider.seen(mark)[0]["body"]["messages"]][-3:] == [
        "user", "assistant", "user"]


def test_the_context_is_cut_from_the_oldest(instance, user, provider):
    chat = make_chat(user)
    for n in range(12):
        add(user, chat, f"{n} " + "x" * 7998)  # 2000 tokens
    mark = tag()
    assert complete(user, chat, f"short tag={mark}").status == 200
    sent = provider.seen(mark)[0]["body"]["messages"]
    assert [m["content"].split()[0] for m in sent] == ["9", "10", "11", "short"]
    for n in range(30):
        add(user, chat, f"s{n}")
    mark = tag()
    assert complete(user, chat, f"short tag={mark}").status == 200
    sent = provider.seen(mark)[0]["body"]["messages"]
    assert 30 < len(sent) < 40 and sent[-1]["content"].startswith("short")


def test_a_question_longer_than_the_context_still_goes(user, provider):
    chat = make_chat(user)
    add(user, chat, "old")
    mark = tag()
    assert complete(user, chat, f"tag={mark} " + "y" * 50_000).status == 200
    assert len(provider.seen(mark)[0]["body"]["messages"]) == 1


def test_a_cut_context_does_not_begin_with_the_answer_of_a_tool(user, provider):
    chat = make_chat(user)
    user.post(f"/api/{chat['id']}/messages",
              {"role": "assistant", "toolCalls": [{"id": "a"}], "content": "x" * 40_000})
    add(user, chat, "answer", role="tool")
    add(user, chat, "after")
    mark = tag()
    assert complete(user, chat, f"tag={mark}").status == 200
    assert [m["role"] for m in provider.seen(mark)[0]["body"]["messages"]] == ["user", "user"]


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_of_an_answer_are_stored(user, stream):
    chat = make_chat(user)
    if stream:
        with complete_stream(user, chat, "tool=1 chunks=0", tools=TOOLS) as answer:
            assert answer.texts()[-1] == "[DONE]"
    else:
        assert complete(user, chat, "tool=1", tools=TOOLS).status == 200
    reply = messages_of(user, chat)[1]
    assert reply["content"] == ""
    assert reply["toolCalls"] == [{"id": "call_1", "type": "function", "function": {
        "name": "weather", "arguments": '{"city":"Oslo"}'}}]


def test_usage_in_the_stream_only_when_asked(user):
    chat = make_chat(user)
    for asked in (False, True):
        more = {"stream_options": {"include_usage": True}} if asked else {}
        with complete_stream(user, chat, "chunks=1", **more) as stream:
            texts = stream.texts()
        assert any('"usage": {' in t or '"usage":{' in t for t in texts) is asked


@pytest.mark.parametrize("body, fields", [
    ({}, ["content", "model"]),
    ({"content": "", "model": "fake"}, ["content"]),
    ({"content": "x", "model": ""}, ["model"]),
    ({"content": "x", "model": "fake", "stream": "yes"}, ["stream"]),
    ({"content": 1, "model": 2, "stream": 3, "stream_options": 4},
     ["content", "model", "stream", "stream_options"]),
    ({"content": "x", "model": "fake", "stream_options": {"include_usage": 1}}, ["include_usage"]),
])
def test_every_wrong_field_of_a_completion_is_named(user, body, fields):
    chat = make_chat(user)
    assert fields_of(user.post(f"/api/chats/{chat['id']}/completions", body)) == fields
    assert messages_of(user, chat) == []


def test_an_unknown_model_stores_nothing(make_instance):
    user = make_instance(env=dict.fromkeys(
        ["OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODELS"])).user()
    chat = make_chat(user)
    got = complete(user, chat, model="no-such-model")
    assert got.status == 404 and got.json()["code"] == "model_not_found"
    assert messages_of(user, chat) == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_call_is_told_and_its_answer_is_not_stored(user, stream):
    chat = make_chat(user)
    got = complete(user, chat, "status=500", stream=stream)
    assert got.status == 502 and got.json()["code"] == "upstream_error", got
    assert got.headers["Content-Type"].startswith("application/problem+json")
    assert [m["role"] for m in messages_of(user, chat)] == ["user"]
    with complete_stream(user, chat, "chunks=5 cut=2") as answer:
        assert "[DONE]" not in answer.texts()
    assert [m["role"] for m in messages_of(user, chat)] == ["user", "user"]


def test_what_came_before_the_client_left_is_stored(instance, user, provider):
    chat = make_chat(user)
    mark = tag()
    stream = complete_stream(user, chat, f"endless=1 delay=0.02 tag={mark}")
    events = stream.events()
    for _ in range(5):
        next(events)
    stream.close()
    wait_until(lambda: provider.seen(mark)[0]["gone"])
    reply = wait_until(lambda: messages_of(user, chat)[1:])[0]
    assert reply["content"].startswith("word0 word1 ")
    assert reply["metadata"] == {"cancelled": True}
    assert user.get("/v1/calls/" + reply["callId"]).json()["status"] == "cancelled"


def test_a_chat_deleted_meanwhile_takes_no_answer_but_its_client_does(user):
    chat = make_chat(user)
    with complete_stream(user, chat, "chunks=5 delay=0.1") as stream:
        events = stream.events()
        next(events)
        assert user.delete(f"/api/chats/{chat['id']}").status == 200
        assert [e.data for e in events][-1] == "[DONE]"
    assert user.get(f"/api/{chat['id']}/messages").status == 404


@pytest.fixture
def cluster():
    """A PostgreSQL that the test may stop."""
    cluster = Postgres()
    yield cluster
    cluster.remove()


@pytest.mark.slow
def test_an_answer_waits_for_postgresql_and_ends_honestly_without_it(cluster, make_instance):
    instance = make_instance(cluster=cluster, env={"WORKERS": 1})
    user = instance.user()
    chat = make_chat(user)
    with complete_stream(user, chat, "chunks=6 delay=0.2") as stream:
        events = stream.events()
        next(events)
        cluster.stop()
        time.sleep(2.2)  # the call is over, its answer waits
        cluster.start()
        assert [e.data for e in events][-1] == "[DONE]"
    assert messages_of(user, chat)[1]["content"] == "word0 word1 word2 word3 word4 word5 "
    began = time.monotonic()
    with complete_stream(user, chat, "chunks=3 delay=0.3") as stream:
        events = stream.events()
        next(events)
        cluster.stop()
        texts = [e.data for e in events]
    assert time.monotonic() - began < 9
    assert "[DONE]" not in texts
    assert json.loads(texts[-1])["error"]["code"] == "log_unavailable"
    cluster.start()
    wait_until(lambda: user.get("/health").status == 200)
    assert [m["role"] for m in messages_of(user, chat)] == ["user", "assistant", "user"]
