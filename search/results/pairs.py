"""The families of a study two by two: who is ahead, by how much, and whether that is sure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from search.results.looks import ALPHA, Look
from search.results.standing import Standing
from search.results.statistics import (
    BEATS_SEEDS,
    Interval,
    pair_differences,
    sequential_p_values,
)


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """Two families, compared by their finalists' test values on the seeds that they share.

    Attributes:
        better: The family that is ahead on these seeds.
        seeds: How many they share.
        examples: Test examples over which, and over seeds, all below holds; None over seeds alone.
        difference: How far ahead, in the metric's unit, with a 95 % interval.
        p_value: Two-sided, of no difference.
        corrected_p_value: The same, corrected for all pairs; None under five seeds.
        probability: That the finalist of `better` is truly the better of the two.
        beats: Whether it may be said that `better` beats `worse`.
    """

    better: str
    worse: str
    seeds: int
    examples: int | None
    difference: Interval
    p_value: float
    corrected_p_value: float | None
    probability: float
    beats: bool

    def to_row(self) -> dict[str, Any]:
        """Flat, the difference as `difference`, `low` and `high`."""
        row = asdict(self)
        interval = row.pop("difference")
        ends = {"difference": interval["mean"], "low": interval["low"], "high": interval["high"]}
        return row | ends


def pair_verdicts(tested: Sequence[Standing], planned: Sequence[Look] = ()) -> list[PairVerdict]:
    """Every pair that shares two seeds, in the order of the families.

    Args:
        tested: The families with finalists, best first.
        planned: The looks of a race, if it was one.
    """
    losses = {place.family: place.losses for place in tested}
    differences = pair_differences(losses)
    corrected = sequential_p_values(losses, planned, differences)
    found = []
    for pair, difference in differences.items():
        interval, probability = difference.interval, difference.probability
        ahead = interval.mean >= 0
        enough = difference.seeds >= BEATS_SEEDS
        found.append(
            PairVerdict(
                better=pair[0] if ahead else pair[1],
                worse=pair[1] if ahead else pair[0],
                seeds=difference.seeds,
                examples=difference.examples if difference.examples > 1 else None,
                difference=interval if ahead else _turned(interval),
                p_value=difference.p_value,
                corrected_p_value=corrected[pair] if enough else None,
                probability=probability if ahead else 1 - probability,
                beats=enough and corrected[pair] < ALPHA,
            )
        )
    return found


def beats_next(places: Sequence[Standing]) -> dict[str, float]:
    """By family, the probability that it is truly better than the family ranked next.

    Args:
        places: The families as they stand, best first; those without finalists are passed over.
    """
    tested = [place for place in places if place.tests and not place.is_baseline]
    chances = {(pair.better, pair.worse): pair.probability for pair in pair_verdicts(tested)}
    found = {}
    for place, after in pairwise(tested):
        ahead = chances.get((place.family, after.family))
        behind = chances.get((after.family, place.family))
        if ahead is not None:
            found[place.family] = ahead
        elif behind is not None:  # by the seeds they share it is the other way round
            found[place.family] = 1 - behind
    return found


def _turned(interval: Interval) -> Interval:
    """The same difference, seen from the other side."""
    if interval.low is None or interval.high is None:
        return Interval(-interval.mean, None, None)
    return Interval(-interval.mean, -interval.high, -interval.low)
