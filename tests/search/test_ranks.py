"""Ranks over benchmarks, against the worked example and the tables of Demsar, JMLR 7, 2006."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.insight.ranks import RankTest, critical_difference, friedman, iman_davenport

# Table 6: AUC of C4.5 with and without tuned pruning (m) and confidence (cf) on 14 data sets. In
# the 13th the paper ranks 0.975 before 0.975, whence the fourth digit.
AUC = {
    "C4.5": [
        *(0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661),
        *(0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957),
    ],
    "C4.5+m": [
        *(0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668),
        *(0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978),
    ],
    "C4.5+cf": [
        *(0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609),
        *(0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946),
    ],
    "C4.5+m+cf": [
        *(0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685),
        *(0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970),
    ],
}
LOSSES = {name: [-value for value in values] for name, values in AUC.items()}
# Table 5: critical values of the Nemenyi test for 2 to 10 classifiers.
TABLE_5 = {
    0.05: [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164],
    0.10: [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920],
}


def test_the_worked_example() -> None:
    found = RankTest.of(LOSSES)
    means = {name: round(found.mean_rank(name), 3) for name in AUC}
    assert means == {"C4.5": 3.143, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964}
    assert found.families == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    # the paper's 9.28 has no correction for ties, which scipy's makes
    ranks = np.array(list(found.ranks.values()))
    tied = 1 - sum(count**3 - count for row in ranks.T for count in _ties(row)) / (14 * (4**3 - 4))
    assert found.statistic is not None
    assert found.statistic * tied == pytest.approx(9.28, abs=0.005)
    assert iman_davenport(9.28, 4, 14) == (pytest.approx(3.69, abs=0.005), 3, 39)
    # in the paper the critical value is 2.85, and no difference is rejected
    assert stats.f.sf(2.85, 3, 39) == pytest.approx(0.05, abs=5e-4)
    assert found.p_value is not None
    assert found.p_value < 0.05
    # and yet not even the best and the worst are farther apart than the critical difference
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert set(found.groups.values()) == {"a"}


def _ties(row: np.ndarray) -> list[int]:
    return np.unique(row, return_counts=True)[1].tolist()


@pytest.mark.parametrize("level", TABLE_5)
def test_critical_values_are_those_of_the_table(level: float) -> None:
    for families, value in enumerate(TABLE_5[level], 2):
        unit = math.sqrt(families * (families + 1) / 6)
        found = critical_difference(families, 1, level) / unit
        assert found == pytest.approx(value, abs=0.0011)  # the table's own last digit


def test_families_far_apart_are_told_apart() -> None:
    losses = {name: [float(place)] * 12 for place, name in enumerate("abcd")}
    found = RankTest.of(losses)
    assert found.p_value == 0
    assert found.critical_difference == pytest.approx(2.569 * math.sqrt(20 / 72), abs=1e-3)
    assert found.groups == {"a": "a", "b": "ab", "c": "bc", "d": "c"}


@given(
    st.lists(st.lists(st.integers(0, 3).map(float), min_size=4, max_size=4), min_size=2, max_size=6)
)
def test_letters_say_what_the_difference_says(rows: list[list[float]]) -> None:
    found = RankTest.of({f"f{index}": row for index, row in enumerate(rows)})
    assert found.p_value is not None
    assert found.critical_difference is not None
    for first in found.families:
        for second in found.families:
            near = abs(found.mean_rank(first) - found.mean_rank(second)) < found.critical_difference
            tied = near or found.p_value >= 0.05
            assert bool(set(found.groups[first]) & set(found.groups[second])) == tied
    total = len(rows) * (len(rows) + 1) / 2
    for ranks in zip(*found.ranks.values(), strict=True):
        assert sum(ranks) == total


def test_two_families_are_compared_by_the_sign_test() -> None:
    # Demsar, table 3: with 14 data sets a classifier must win 12 for alpha = 0.05 (11 for 0.10)
    for wins, p_value in ((12, 0.0129), (11, 0.0574)):
        ranks = np.array([[1.0] * wins + [2.0] * (14 - wins), [2.0] * wins + [1.0] * (14 - wins)])
        statistic, found = friedman(ranks)
        assert statistic is None
        assert found == pytest.approx(p_value, abs=1e-4)
    assert friedman(np.full((2, 5), 1.5)) == (None, 1.0)


def test_nothing_but_ties_is_no_difference() -> None:
    assert friedman(np.full((3, 5), 2.0)) == (0.0, 1.0)


def test_one_benchmark_gives_ranks_and_no_test() -> None:
    found = RankTest.of({"a": [2.0], "b": [1.0], "c": [3.0]})
    assert found.families == ["b", "a", "c"]
    assert (found.statistic, found.p_value, found.critical_difference) == (None, None, None)
    assert set(found.groups.values()) == {"a"}
