"""fixtures.py - what tests ask pytest for."""

import contextlib

import pytest

from instance import Instance, Postgres, Provider


@pytest.fixture(scope="session")
def postgres():
    """A cluster for the whole run."""
    cluster = Postgres()
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def provider():
    """The fake provider; .seen(tag) is what it saw."""
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def instance(postgres, provider):
    """A running minuted that tests share: they may not disturb it."""
    instance = Instance(postgres, provider=provider).start()
    yield instance
    instance.stop()


@pytest.fixture
def user(instance):
    """A client logged in as a new user of the shared instance."""
    return instance.user()


@pytest.fixture
def make_instance(postgres, provider):
    """make_instance(env={...}, nginx={...}): one of the test's own, to disturb
    at will."""
    with contextlib.ExitStack() as made:

        def make(start=True, cluster=postgres, **more):
            instance = Instance(cluster, provider=provider, **more)
            made.callback(instance.stop)
            return instance.start() if start else instance

        yield make
