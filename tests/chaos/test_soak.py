"""Each fault once, in a random order: the shorter form of `make chaos`."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.chaos.__main__ import soak
from tests.chaos.faults import FAULTS, draw


@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("machines")
def test_a_study_ends_as_without_its_faults() -> None:
    rng = random.Random(0)
    with TemporaryDirectory(prefix="soak-", dir="/tmp") as folder:
        assert soak(Path(folder), draw(len(FAULTS), rng), rng) == []


def test_each_fault_comes_as_often_as_the_others() -> None:
    names = draw(30, random.Random(3))
    assert len(names) == 30
    assert {names.count(name) for name in FAULTS} == {2, 3}
    assert draw(30, random.Random(3)) == names
    assert draw(4, random.Random(3), ["network cut"]) == ["network cut"] * 4
