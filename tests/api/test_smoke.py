"""test_smoke.py - what `make run` prints works when pasted, and the commands
of the program do what README says."""

import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).parents[2]


def welcome(address):
    """The commands that deploy/local prints."""
    text = (TOP / "deploy/local").read_text()
    body = re.search(r"cat <<-END\n(.*?)\n\tEND\n", text, re.S).group(1)
    script = f'address={address}\ncat <<-END\n{body}\n\tEND\n'
    return subprocess.run(["sh", "-c", script], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def test_the_printed_commands_work_when_pasted(instance):
    text = welcome(f"http://127.0.0.1:{instance.port}")
    commands = text[text.index("# register"):]
    out = subprocess.run(["sh", "-eu", "-c", commands], text=True, check=True,
                         stdout=subprocess.PIPE).stdout
    assert '"email":"me@example.com"' in out.replace(" ", "")
    assert out.rstrip().endswith("data: [DONE]")
    assert out.count("data: {") > 3


def test_root_names_the_service(instance):
    assert "minuted" in instance.http.get("/").text
    got = instance.http.get("/", headers={"Accept": "application/json"}).json()
    assert set(got) == {"message", "docs"}


def test_health_has_the_documented_shape(instance):
    got = instance.http.get("/health")
    assert got.status == 200
    health = got.json()
    assert health["status"] == "ok"
    assert health["info"] == {"database": {"status": "up"}}
    assert health["error"] == {}
    assert {"details", "uptime", "timestamp", "version"} <= set(health)


def test_metrics_are_prometheus_text(instance):
    got = instance.http.get("/metrics")
    assert got.status == 200
    assert got.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in got.text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \S+ .+|[a-z_]+(\{.*\})? \S+", line)


def test_users_and_keys_from_the_command_line(instance):
    got = instance.command("user", "add", "cli@example.org", "--key",
                           input="a fairly long phrase\n")
    assert got.returncode == 0, got.stderr
    key = re.search(r"mnt_\w+", got.stdout).group()
    instance.secrets.append(key)
    client = instance.http.as_user(key)
    assert client.get("/v1/models").status == 200
    assert "cli@example.org" in instance.command("user", "list").stdout
    assert instance.command("user", "disable", "cli@example.org").returncode == 0


def test_version_names_the_libraries(instance):
    out = instance.command("version").stdout.lower()
    for library in ("curl", "json-c", "libpq", "jwt", "argon2", "fcgi"):
        assert library in out, out


def test_check_masks_secrets(instance):
    got = instance.command("check")
    assert got.returncode == 0, got.stdout + got.stderr
    out = got.stdout
    assert "ECHO_PACE" in out and "1ms" in out
    for secret in instance.secrets:
        assert secret not in out


@pytest.mark.parametrize("line, name", [
    ("THREADS=eight", "THREADS"),
    ("JWT_SECRET=short", "JWT_SECRET"),
    ("DRAIN_TIMEOUT=-1s", "DRAIN_TIMEOUT"),
    ("DATABASE_URL=", "DATABASE_URL"),
    ("OPENAI_BASE_URL=ftp://x", "OPENAI_BASE_URL"),
    ("WROKERS=2", "WROKERS"),
])
def test_every_wrong_setting_is_named_and_ends_the_start(instance, tmp_path, line, name):
    path = tmp_path / "env"
    kept = [old for old in (instance.dir / "minuted.env").read_text().splitlines()
            if not old.startswith(name)]
    path.write_text("\n".join([*kept, line, "LOG_LEVEL=loud"]) + "\n")
    path.chmod(0o600)
    for command in ("check", "serve"):
        got = subprocess.run([instance.dir / "bin/minuted", "--config", path, command],
                             env=instance.environment(), text=True, timeout=10,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert got.returncode == 1, got.stdout
        assert name in got.stdout and "LOG_LEVEL" in got.stdout


def test_plain_cgi_answers_one_request(instance):
    env = dict(instance.environment(), REQUEST_METHOD="GET", PATH_INFO="/health")
    for line in (instance.dir / "minuted.env").read_text().splitlines():
        name, _, value = line.partition("=")
        env[name] = value
    out = subprocess.run([instance.dir / "bin/minuted"], env=env, text=True,
                         stdout=subprocess.PIPE, timeout=10).stdout
    head, _, body = out.partition("\n\n")
    assert head.startswith("Status: 200")
    assert '"status":"ok"' in body


def test_routes_lists_the_table(instance):
    out = instance.command("routes").stdout
    assert re.search(r"POST\s+/v1/chat/completions", out)
