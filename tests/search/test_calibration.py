"""How often the verdict is right; `perf/calibration.py` asks the same of thousands of studies."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from search.insight.calibration import KINDS, SEED_DEVIATION, Examinee, Judged, Kind, Rates, judge
from search.trial import Trial
from spaces import default

FEW = 60
TRIAL = Trial(7, "a", default(Examinee.space), seed=0, finalist_of=3)


def judged(kind: Kind, seeds: Sequence[int]) -> Rates:
    return Rates.of(kind, [judge(kind, seed) for seed in seeds])


def check_equal(rates: Rates) -> None:
    """Rates that a right verdict misses by chance in 1 of 1,100 times or less.

    False claims come in 4.8 % of studies: more than 9 of 60 in 1 of 1,800. The intervals of one
    study share its test examples; if those over examples hit or missed all together, fewer than 51
    of 60 would hit in 1 of 1,300.
    """
    assert rates.claiming == rates.false
    assert rates.studies == FEW
    assert round(rates.false * FEW) <= 9
    assert 0.91 <= rates.over_seeds <= 0.99
    assert round(rates.over_examples * 5 * FEW) >= 51 * 5
    assert rates.share_error == 0


def check_leader(rates: Rates) -> None:
    """Named in 85 % of studies: fewer than 42 of 60 in 1 of 1,100."""
    assert round(rates.named * FEW) >= 42
    assert rates.wrong == 0
    assert rates.share_error <= 1


def test_equal_families_are_called_so() -> None:
    check_equal(judged(KINDS["equal"], range(FEW)))


def test_a_clear_leader_wins() -> None:
    check_leader(judged(KINDS["leader"], range(FEW)))


@pytest.mark.slow
def test_the_same_holds_of_tpe() -> None:
    """Over 60 studies of each kind, within the same bounds."""
    check_equal(judged(KINDS["equal, TPE"], range(FEW)))
    check_leader(judged(KINDS["leader, TPE"], range(FEW)))


def test_the_luck_of_the_search_is_real_and_no_false_claim() -> None:
    kind = replace(KINDS["lucky"], spread=50.0)  # settings matter far more than seeds
    rates = judged(kind, range(10))
    assert rates.claiming > 0.8
    assert rates.false == 0


def test_rates_count_studies() -> None:
    right = Judged(4, 0, "c", [True] * 5, [True] * 5, 0.2)
    wrong = Judged(2, 1, "a", [True] * 4 + [False], [False] * 5, 0.7)
    nobody = Judged(0, 0, None, [True] * 5, [True] * 5, 0.0)
    rates = Rates.of(KINDS["leader"], [right, wrong, nobody, nobody])
    assert (rates.claiming, rates.false, rates.named, rates.wrong) == (0.5, 0.25, 0.25, 0.25)
    assert (rates.over_seeds, rates.over_examples, rates.share_error) == (0.95, 0.75, 0.7)


def test_losses_are_what_they_are_said_to_be() -> None:
    family = Examinee(split=5, examples=2000, noise=0.1)
    shared, losses = family.shared(TRIAL), family.losses(TRIAL)
    rest = losses - shared - family.seed_effect(TRIAL)
    assert shared.std() == pytest.approx(np.hypot(family.hardness, family.taste), rel=0.1)
    assert rest.std() == pytest.approx(family.rest, rel=0.1)
    assert shared.mean() == pytest.approx(family.end(TRIAL.config), abs=0.1)
    assert family.test(TRIAL) == losses.mean()
    twin, other = (replace(TRIAL, number=8, finalist_of=of) for of in (3, 4))
    assert np.array_equal(family.shared(twin), shared)
    assert not np.array_equal(family.shared(other), shared)
    assert not np.array_equal(replace(family, split=6).shared(TRIAL), shared)


def test_the_seed_deviation_is_that_of_test_means() -> None:
    family = Examinee(split=1, noise=0.1)
    runs = [family.test(replace(TRIAL, number=number)) for number in range(500)]
    assert np.std(runs) == pytest.approx(SEED_DEVIATION, rel=0.1)
