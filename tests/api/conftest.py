"""conftest.py - the fixtures, and the marks."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))

from fixtures import *  # noqa: E402,F401,F403 pytest finds them here


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out under sanitizers")
