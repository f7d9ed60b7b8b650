"""conftest.py - the fixtures of tests/support, and those of fault tests."""

import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fixtures import *  # noqa: E402,F401,F403 pytest finds them here
from harness import ROOT, FaultInstance, Mount, Net, postmaster  # noqa: E402
from instance import USER, Postgres  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left to make test-faults")


@contextlib.contextmanager
def new_cluster(fast):
    cluster = Postgres(fast)
    yield cluster
    cluster.remove()


def revive(cluster):
    """Started again, when a test left it down."""
    if postmaster(cluster) is None:
        (cluster.dir / "postgres/postmaster.pid").unlink(missing_ok=True)
        cluster.start()


@pytest.fixture(scope="session")
def disturbed():
    with new_cluster(True) as cluster:
        yield cluster


@pytest.fixture
def cluster(disturbed):
    """A PostgreSQL to disturb; asked for before make_instance, so that it is
    whole again after it."""
    yield disturbed
    revive(disturbed)


@pytest.fixture
def own_cluster():
    """A new one to disturb, that no other test has used."""
    with new_cluster(True) as cluster:
        yield cluster


@pytest.fixture
def synced_cluster():
    """One that works with fsync."""
    with new_cluster(False) as cluster:
        yield cluster


@pytest.fixture
def mount():
    """mount(kind, megabytes): a small filesystem; skips where there can be
    none."""
    with contextlib.ExitStack() as made:

        def make(kind, megabytes, owner=USER):
            if not ROOT:
                pytest.skip("mounting needs root")
            try:
                mounted = Mount(kind, megabytes, owner)
            except OSError as error:
                pytest.skip(f"cannot mount here: {error}")
            made.callback(mounted.remove)
            return mounted

        yield make


@pytest.fixture
def net():
    """A network that can be cut; skips where there can be none."""
    if not ROOT:
        pytest.skip("a network namespace needs root")
    try:
        made = Net()
    except OSError as error:
        pytest.skip(f"cannot make a network here: {error}")
    yield made
    made.remove()


@pytest.fixture
def make_fault_instance(postgres, provider):
    """make_fault_instance(extra={...}): an instance with more in the
    environment of minuted."""
    with contextlib.ExitStack() as made:

        def make(start=True, cluster=postgres, extra=None, prepare=None, **more):
            instance = FaultInstance(cluster, provider=provider, **more)
            instance.extra = extra or {}
            made.callback(instance.stop)
            if prepare:
                prepare(instance)
            return instance.start() if start else instance

        yield make
