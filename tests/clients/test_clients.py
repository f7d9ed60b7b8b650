"""test_clients.py - the official clients, unchanged."""

import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent


def test_the_openai_package_of_npm(instance, user):
    subprocess.run(["npm", "ci", "--silent"], cwd=HERE, check=True)
    key = user.post("/api/apikeys", {"name": "openai"}).json()["key"]
    instance.secrets.append(key)
    env = dict(os.environ, MINUTED_KEY=key,
               MINUTED_URL=f"http://127.0.0.1:{instance.port}")
    done = subprocess.run(["node", "--test", "openai.test.mjs"], cwd=HERE, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
