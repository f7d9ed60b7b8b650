"""test_soak.py - what make soak says of a worker that grows."""

import random

from soak import verdict

SECONDS = 400


def series(what, value):
    return {("worker 1", what): [(at, value(at)) for at in range(SECONDS)]}


def test_flat_and_noisy_is_flat():
    dice = random.Random(1)
    assert verdict(series("memory", lambda _: 20000 + dice.randint(-300, 300)), SECONDS)


def test_growth_at_the_start_and_a_few_jumps_are_flat():
    assert verdict(series("memory", lambda at: 20000 + min(at, 90) * 50
                          + 9000 * (at % 50 == 0)), SECONDS)


def test_memory_that_grows_is_found(capsys):
    assert not verdict(series("memory", lambda at: 20000 + at * 10), SECONDS)
    assert "GROWS" in capsys.readouterr().out


def test_descriptors_that_grow_are_found():
    assert not verdict(series("descriptors", lambda at: 60 + at // 50), SECONDS)
