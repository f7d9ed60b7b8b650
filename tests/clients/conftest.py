"""conftest.py - the fixtures."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))

from fixtures import *  # noqa: E402,F401,F403 pytest finds them here
