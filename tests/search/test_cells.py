"""Numbers as people read them."""

import pytest

from search.results import cells


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.97312, "0.9731"), (1.2e-5, "1.2e-05"), (12.345, "12.35"), (0.0, "0")],
)
def test_numbers_have_four_digits(value: float | None, text: str) -> None:
    assert cells.number(value) == text


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.9731, 0.0042, "0.973 ± 0.004"),
        (0.9731, 0.0014, "0.9731 ± 0.0014"),
        (8.43, 0.21, "8.4 ± 0.2"),
        (123.4, 17.0, "123 ± 17"),
        (123.4, 56.0, "123 ± 56"),
        (5.0, 0.0, "5"),
    ],
)
def test_intervals(mean: float, half: float, text: str) -> None:
    assert cells.interval(mean, mean - half, mean + half) == text


def test_an_interval_of_one_value_is_the_value() -> None:
    assert cells.interval(0.97312) == "0.9731"
    assert cells.interval(None) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.4234, "0.423 s"),
        (59.97, "1 min 00 s"),
        (245.0, "4 min 05 s"),
        (119.9, "2 min 00 s"),
        (11220.0, "3 h 07 min"),
        (7199.9, "2 h 00 min"),
        (3600.0 * 1234, "1,234 h 00 min"),
    ],
)
def test_times(value: float | None, text: str) -> None:
    assert cells.seconds(value) == text
