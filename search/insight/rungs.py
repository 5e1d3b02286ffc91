"""How well the early epochs of a search foretold the later ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import rankdata

from search.insight.observations import at_epoch


@dataclass(frozen=True, slots=True)
class Foresight:
    """The ranks of a family's trials at one rung against those at a later one.

    Only trials that reached the later rung count. They were chosen by the earlier one, which makes
    a correlation smaller than among all trials.

    Attributes:
        correlation: Spearman's, from -1 to 1; None if all trials are equal at one of the rungs.
    """

    family: str
    from_epoch: int
    to_epoch: int
    trials: int
    correlation: float | None


def foresight(family: str, curves: Mapping[int, Mapping[int, float]]) -> list[Foresight]:
    """From each rung to the next, and from the first to the last if there are more than two.

    Rungs are the epochs at which two trials or more ended.

    Args:
        curves: By trial, its best loss so far by epoch.

    Reference:
        Spearman, "The proof and measurement of association between two things", American Journal
        of Psychology 15, 1904.
    """
    ends = [max(curve) for curve in curves.values() if curve]
    rungs = sorted({epoch for epoch in ends if ends.count(epoch) > 1 or epoch == max(ends)})
    steps = list(pairwise(rungs))
    if len(rungs) > 2:
        steps.append((rungs[0], rungs[-1]))
    return [_foresight(family, curves, *step) for step in steps]


def _foresight(
    family: str, curves: Mapping[int, Mapping[int, float]], from_epoch: int, to_epoch: int
) -> Foresight:
    pairs = [(at_epoch(curve, from_epoch), at_epoch(curve, to_epoch)) for curve in curves.values()]
    both = np.array([pair for pair in pairs if None not in pair], dtype=float)
    correlation = None
    if len(both) > 1:
        early, late = rankdata(both[:, 0]), rankdata(both[:, 1])
        if early.std() > 0 and late.std() > 0:
            correlation = float(np.corrcoef(early, late)[0, 1])
    return Foresight(family, from_epoch, to_epoch, len(both), correlation)
