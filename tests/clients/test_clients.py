"""test_clients.py - the official clients, unchanged, and a browser."""

import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def packages():
    subprocess.run(["npm", "ci", "--silent"], cwd=HERE, check=True)


def node(instance, test, **env):
    """Runs the tests of a file."""
    env = dict(os.environ, MINUTED_URL=f"http://127.0.0.1:{instance.port}", **env)
    done = subprocess.run(["node", "--test", test], cwd=HERE, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    print(done.stdout)


def test_the_openai_package_of_npm(instance, user, packages):
    key = user.post("/api/apikeys", {"name": "openai"}).json()["key"]
    instance.secrets.append(key)
    node(instance, "openai.test.mjs", MINUTED_KEY=key)


def test_the_openapi_document_passes_redocly(instance, packages):
    node(instance, "openapi.test.mjs")


def test_the_documentation_page_in_chromium(instance, user, packages):
    node(instance, "docs.test.mjs", MINUTED_TOKEN=user.token)


def test_a_javascript_program_logs_as_the_example_in_readme_says(instance):
    user = instance.user()
    key = user.post("/api/apikeys", {"name": "example"}).json()["key"]
    instance.secrets.append(key)
    text = (HERE.parents[1] / "README.md").read_text().split("\n### Logger\n")[1]
    code = re.search(r"^```js\n(.*?)^```$", text, re.M | re.S).group(1)
    done = subprocess.run(
        ["node", "--input-type=module", "-e", code], text=True, timeout=60,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, KEY=key, URL=f"http://127.0.0.1:{instance.port}"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("201,") == 2, done.stdout
    event, = user.get("/api/event-logs/").json()
    assert event["user_id"] == "customer-7" and event["metadata"] == {"order": 1729}
    log, = user.get("/api/llm-logs/").json()
    assert log["source"] == "gpt-4o" and log["metadata"] == {"tokens": 9, "latency_ms": 250}
