import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import Choice, Float, Int


@pytest.mark.parametrize(
    ("leaf", "arguments", "message"),
    [
        (Float, {"low": 2.0, "high": 1.0}, r"`low <= high` must hold, got low=2.0 and high=1.0"),
        (Float, {"low": 0.0, "high": 1.0, "log": True}, "must start above 0, got low=0.0"),
        (Float, {"low": 0.0, "high": math.inf}, "finite numbers, got inf"),
        (Float, {"low": 0.0, "high": 1.0, "default": 2.0}, "default must lie in 0 .. 1, got 2.0"),
        (Float, {"low": True, "high": 2.0}, "finite numbers, got True"),
        (Int, {"low": 3, "high": 1}, r"`low <= high` must hold, got low=3 and high=1"),
        (Int, {"low": 1.5, "high": 2}, "whole ends, got 1.5"),
        (Int, {"low": 1, "high": 4, "default": 9}, r"must lie in 1 .. 4, got 9"),
        (Choice, {"options": ()}, "at least one option"),
        (Choice, {"options": ("a", "a")}, "'a' twice"),
        (Choice, {"options": (None,)}, "string, number or bool, got None"),
        (Choice, {"options": ("a", "b"), "default": "c"}, "one of a | b, got 'c'"),
    ],
)
def test_refuses_what_cannot_be_a_range(leaf: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        leaf(**arguments)


def test_defaults_are_the_middle() -> None:
    assert Float(1.0, 100.0, log=True).default == pytest.approx(10.0)
    assert Float(1.0, 3.0).default == 2.0
    assert Int(16, 256, log=True).default == 64
    assert Choice(("a", "b")).default == "a"


def test_true_is_not_one() -> None:
    assert not Choice((1, 2)).contains(True)
    assert Choice((1, True)).contains(True)
    assert not Float(0.0, 1.0).contains(True)
    assert not Int(0, 1).contains(False)
    assert not Int(0, 4).contains(2.0)


@given(st.integers(1, 1000), st.integers(0, 1000), st.booleans(), st.integers(0, 2**32))
def test_draws_of_int_stay_inside(low: int, width: int, log: bool, seed: int) -> None:
    leaf = Int(low, low + width, log=log)
    assert leaf.contains(leaf.sample(Random(seed)))


@given(st.floats(1e-9, 1e3), st.floats(1.0, 1e6), st.booleans(), st.integers(0, 2**32))
def test_draws_of_float_stay_inside(low: float, factor: float, log: bool, seed: int) -> None:
    leaf = Float(low, low * factor, log=log)
    assert leaf.contains(leaf.sample(Random(seed)))


def test_log_draws_are_uniform_in_the_logarithm() -> None:
    """Half of the draws lie under the geometric middle: 4,000 draws, 5 standard deviations."""
    rng = Random(0)
    for leaf, middle in ((Float(1e-4, 1.0, log=True), 1e-2), (Int(1, 10_000, log=True), 70)):
        share = sum(leaf.sample(rng) < middle for _ in range(4000)) / 4000
        assert abs(share - 0.5) < 5 * 0.5 / math.sqrt(4000)


def test_every_whole_number_and_option_is_drawn() -> None:
    rng = Random(0)
    assert {Int(1, 4, log=True).sample(rng) for _ in range(200)} == {1, 2, 3, 4}
    assert {Choice(("a", "b", 3)).sample(rng) for _ in range(200)} == {"a", "b", 3}
