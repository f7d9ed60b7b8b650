"""test_readme.py - the requests in README's section of the families, as they
are printed there."""

import pathlib
import re
import subprocess

import pytest

from instance import Instance

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
MARK = "--- end of the block of "


def families():
    """(name, {language: its code}) in their order; what comes first has no
    name."""
    text = README.read_text().split("\n## For each family\n")[1].split("\n## ")[0]
    parts = re.split(r"^### (.*)$", "### \n" + text, flags=re.M)[1:]
    return [(name, code_of(body)) for name, body in zip(parts[::2], parts[1::2])]


def code_of(body):
    code = {}
    for language, block in BLOCK.findall(body):
        code[language] = code.get(language, "") + block
    return code


@pytest.fixture(scope="module")
def outputs(postgres):
    """What the commands of each family print without any provider; all of them
    have to succeed."""
    instance = Instance(postgres).start()
    script = "".join(f"{code['sh']}\necho; echo '{MARK}{name}'\n"
                     for name, code in families())
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], text=True, timeout=60,
            env={"PATH": "/usr/bin:/bin", "URL": f"http://127.0.0.1:{instance.port}"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        instance.stop()
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    ends = re.split(f"^{MARK}(.*)\n", done.stdout, flags=re.M)
    return dict(zip(ends[1::2], ends[::2]))


WANTED = {
    "Accounts": ['"firstName":"Grace"', '"message":"Token refreshed successfully"'],
    "Playground": ["HTTP/1.1 200", '"type":"session"', '"status":"complete"', '"items"'],
    "Mini chat": ["Is anybody there?", '"type":"chunk"', '"type":"done"'],
    "Logger": ['"status":"success"', "customer-7,The disk is nearly full.,warning",
               '"total_event_logs" : 1', '"total_llm_logs" : 1'],
    "Chats": ['"message":"Message added successfully"', "Where do I live?",
              '"totalChats":1'],
    "Prompt log": ['"data":"Hello"', '"Environment" : "production"'],
    "Gateway": ["data: [DONE]", '"object":"list"'],
}


def test_every_family_has_its_requests():
    assert [name for name, _ in families()] == ["", *WANTED]
    assert all(code["sh"] for _, code in families())


@pytest.mark.parametrize("name", WANTED)
def test_its_requests_are_answered(outputs, name):
    missing = [text for text in WANTED[name] if text not in outputs[name]]
    assert not missing, (missing, outputs[name])


def test_a_python_program_logs_as_the_example_says(instance):
    user = instance.user()
    key = user.post("/api/apikeys", {"name": "example"}).json()["key"]
    instance.secrets.append(key)
    done = subprocess.run(
        ["/usr/bin/python3", "-c", dict(families())["Logger"]["python"]],
        text=True, timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "KEY": key, "URL": f"http://127.0.0.1:{instance.port}"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(201,") == 2, done.stdout
    event, = user.get("/api/event-logs/").json()
    assert event["user_id"] == "customer-7" and event["metadata"] == {"order": 1729}
    log, = user.get("/api/llm-logs/").json()
    assert log["source"] == "gpt-4o" and log["metadata"] == {"tokens": 9, "latency_ms": 250}
