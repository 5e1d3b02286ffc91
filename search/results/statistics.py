"""How surely one family is better than another: intervals, paired differences, ties.

All work on losses (smaller is better) of finalists that were trained on the same seeds. Where the
losses of single test examples are known, a difference must hold over seeds and examples: fewer
examples than it takes to tell two families apart are then no proof, however steady the seeds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from scipy.special import stdtr, stdtrit

from search.results.looks import ALPHA, Look
from search.results.variance import Estimate

CONFIDENCE = 1 - ALPHA
BOOTSTRAP_SEEDS = 20  # below, a percentile bootstrap covers too little: 75 % at 3, 90 % at 10 seeds
RESAMPLES = 10_000
BEATS_SEEDS = 5  # fewer are too few to claim that one family beats another

Pair = tuple[str, str]
Losses = Mapping[int, float | np.ndarray]
"""By seed, the mean loss on the test split, or (examples,) the losses of its examples."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its confidence interval, which a single value does not have."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """How much larger the losses of the second are than those of the first, seed by seed.

    Attributes:
        seeds: Seeds that both were trained on.
        examples: Test examples that the difference counts one by one; 1 if only means are known.
        interval: The mean difference; above zero, the first is better.
        p_value: Two-sided, of no difference.
        probability: That the first has the smaller mean loss.
    """

    seeds: int
    examples: int
    interval: Interval
    p_value: float
    probability: float


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean over seeds with its 95 % interval.

    Student's t below 20 values, from there on the percentile bootstrap with a fixed seed.

    Reference:
        Student, "The probable error of a mean", Biometrika 6, 1908. Efron and Tibshirani, "An
        introduction to the bootstrap", 1993, section 13.3.
    """
    data = np.asarray(values, dtype=float)
    mean = float(data.mean())
    if len(data) < 2:
        return Interval(mean, None, None)
    if len(data) >= BOOTSTRAP_SEEDS:
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(_resampled_means(data), [tail, 1 - tail])
        return Interval(mean, float(low), float(high))
    half = float(stdtrit(len(data) - 1, (1 + CONFIDENCE) / 2)) * _standard_error(data)
    return Interval(mean, mean - half, mean + half)


def example_interval(losses: Losses) -> Interval | None:
    """The mean loss with its 95 % interval over seeds and test examples.

    Never narrower than that over seeds alone. None with a single seed, or where the losses of
    single examples are not known.
    """
    table = _table(losses, sorted(losses))
    return _wider_interval(_estimates(table)) if min(table.shape) > 1 else None


def paired_difference(first: Losses, second: Losses) -> Difference | None:
    """Compare two families by their losses on common seeds; None with fewer than two of them.

    Where the losses of single test examples are known, the difference must hold over seeds and
    examples as well as over seeds alone: the larger of the two p-values counts.

    The probability is the posterior of a normal mean under the reference prior, which is one
    minus the one-sided p-value of the paired t-test.

    Reference:
        Student, 1908, section IX, with this very reading of the probability; Gelman et al.,
        "Bayesian data analysis", 3rd edition, section 3.2. For seeds and examples, `Estimate`.
    """
    seeds = sorted(first.keys() & second.keys())
    if len(seeds) < 2:
        return None
    ours, theirs = _table(first, seeds), _table(second, seeds)
    if ours.shape != theirs.shape:
        ours, theirs = ours.mean(axis=1, keepdims=True), theirs.mean(axis=1, keepdims=True)
    data = theirs - ours
    examples = data.shape[1]
    found = _estimates(data)
    p_value = max(map(_p_value, found))
    return Difference(
        seeds=len(seeds),
        examples=examples,
        interval=_wider_interval(found) if examples > 1 else mean_interval(data[:, 0].tolist()),
        p_value=p_value,
        probability=1 - p_value / 2 if found[0].mean > 0 else p_value / 2,
    )


def holm_pairs(p_values: Mapping[Pair, float]) -> dict[Pair, float]:
    """Adjusted p-values: claiming the pairs below 0.05 makes any false claim in at most 5 %.

    Holm's correction, as Shaffer sharpened it for pairs: if one of three families differs, it
    differs from at least one of the others, so after a first rejection fewer hypotheses can still
    be true than are left.

    Args:
        p_values: One for every pair of the families.

    Reference:
        Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6, 1979. Shaffer, "Modified sequentially rejective multiple test procedures",
        Journal of the American Statistical Association 81, 1986, procedure S1.
    """
    possible = _possibly_true(len({family for pair in p_values for family in pair}))
    adjusted = {}
    largest = 0.0
    for step, pair in enumerate(sorted(p_values, key=p_values.__getitem__)):
        factor = max(count for count in possible if count <= len(p_values) - step)
        largest = max(largest, min(1.0, factor * p_values[pair]))
        adjusted[pair] = largest
    return adjusted


def pair_differences(losses: Mapping[str, Losses]) -> dict[Pair, Difference]:
    """Every pair of families that share two seeds or more, in the order of the families."""
    found = {
        pair: paired_difference(losses[pair[0]], losses[pair[1]])
        for pair in combinations(losses, 2)
    }
    return {pair: difference for pair, difference in found.items() if difference is not None}


def corrected_p_values(
    families: Iterable[str], differences: Mapping[Pair, Difference]
) -> dict[Pair, float]:
    """The adjusted p-value of every pair; 1 where there are too few seeds for a claim.

    Each leader is chosen with the same values that it is then tested on, so all pairs count in
    the correction, not only those with the leader. Of five equal families with five seeds any
    pair is told apart in 4 % of studies (8 % if only the pairs with the leader counted); a leader
    five standard deviations ahead of four is told apart from all of them in 85 %.
    """
    p_values = dict.fromkeys(combinations(families, 2), 1.0)
    for pair, found in differences.items():
        if found.seeds >= BEATS_SEEDS:
            p_values[pair] = found.p_value
    return holm_pairs(p_values)


def sequential_p_values(
    losses: Mapping[str, Losses],
    planned: Sequence[Look] = (),
    differences: Mapping[Pair, Difference] | None = None,
) -> dict[Pair, float]:
    """The adjusted p-value of every pair; after a race, corrected for its many looks, too.

    At each look a pair is tested on the seeds known by then, with all pairs in the correction, and
    may be claimed below the level of that look. A family without runs of that round had been left
    out of it: it is not tested again. Over all looks any false claim is made in at most 5 %.

    Args:
        planned: The looks of a race; none where all seeds were planned beforehand.
        differences: The `pair_differences` of these losses, where they are known already.
    """
    if not planned:
        known = pair_differences(losses) if differences is None else differences
        return corrected_p_values(losses, known)
    adjusted = dict.fromkeys(combinations(losses, 2), 1.0)
    for look in planned:
        there = {
            family: {seed: values[seed] for seed in values if seed in look.seeds}
            for family, values in losses.items()
            if not values.keys().isdisjoint(look.new)
        }
        for pair, p_value in corrected_p_values(losses, pair_differences(there)).items():
            adjusted[pair] = min(adjusted[pair], p_value * ALPHA / look.level)
    return adjusted


def open_families(losses: Mapping[str, Losses], planned: Sequence[Look]) -> list[str]:
    """The families that are not told apart from every other one."""
    adjusted = sequential_p_values(losses, planned)
    unsure = {name for pair, p_value in adjusted.items() if p_value >= ALPHA for name in pair}
    return [family for family in losses if family in unsure]


def told_apart(losses: Mapping[str, Losses], planned: Sequence[Look] = ()) -> set[Pair]:
    """The pairs (better, worse) of which it may be said that one beats the other."""
    differences = pair_differences(losses)
    adjusted = sequential_p_values(losses, planned, differences)
    return {
        pair if found.interval.mean > 0 else (pair[1], pair[0])
        for pair, found in differences.items()
        if adjusted[pair] < ALPHA
    }


def tie_groups(losses: Mapping[str, Losses], planned: Sequence[Look] = ()) -> dict[str, str]:
    """Letters by family, best first; two families that share one cannot be told apart.

    Args:
        planned: As for `sequential_p_values`.

    Reference:
        Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons",
        Journal of Computational and Graphical Statistics 13, 2004. The groups are the maximal
        sets without a pair told apart.
    """
    means = {
        family: float(np.mean([np.mean(value) for value in values.values()]))
        for family, values in losses.items()
    }
    order = sorted(losses, key=means.__getitem__)
    apart = told_apart(losses, planned)
    groups: list[set[str]] = [set(order)]
    for pair in sorted(apart, key=lambda pair: [order.index(family) for family in pair]):
        split = [group - {family} for group in groups for family in pair if group.issuperset(pair)]
        groups = [group for group in groups if not group.issuperset(pair)]
        for group in split:
            if not any(group <= other for other in groups):
                groups = [*(other for other in groups if not other < group), group]
    groups.sort(key=lambda group: sorted(order.index(family) for family in group))
    return {
        family: "".join(_letter(i) for i, group in enumerate(groups) if family in group)
        for family in order
    }


def _table(losses: Losses, seeds: Sequence[int]) -> np.ndarray:
    """(seeds, examples), or (seeds, 1) of means where not every seed knows the same examples."""
    rows = [np.atleast_1d(np.asarray(losses[seed], dtype=float)) for seed in seeds]
    if len({len(row) for row in rows}) > 1:
        rows = [row.mean(keepdims=True) for row in rows]
    return np.stack(rows)


def _estimates(table: np.ndarray) -> list[Estimate]:
    """The mean of (seeds, examples) over seeds and, where there are several, over examples too."""
    over_seeds = Estimate.of(table.mean(axis=1, keepdims=True))
    return [over_seeds, Estimate.of(table)] if table.shape[1] > 1 else [over_seeds]


def _wider_interval(found: Sequence[Estimate]) -> Interval:
    mean = found[0].mean
    tail = (1 + CONFIDENCE) / 2
    half = max(float(stdtrit(each.freedom, tail)) * each.error for each in found)
    return Interval(mean, mean - half, mean + half)


def _p_value(found: Estimate) -> float:
    """Two-sided, that the mean is zero."""
    return float(2 * stdtr(found.freedom, -abs(_t_statistic(found))))


def _letter(index: int) -> str:
    """`a` to `z`, then `A` to `Z`."""
    return "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[index]


def _standard_error(data: np.ndarray) -> float:
    return float(data.std(ddof=1)) / math.sqrt(len(data))


def _resampled_means(data: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    means: np.ndarray = rng.choice(data, size=(RESAMPLES, len(data))).mean(axis=1)
    return means


def _t_statistic(found: Estimate) -> float:
    """The mean in standard errors; infinite where all values are equal and not zero."""
    if found.error > 0:
        return found.mean / found.error
    return math.copysign(math.inf, found.mean) if found.mean else 0.0


@cache
def _possibly_true(families: int) -> frozenset[int]:
    """How many of all pairs can be equal at once: families fall into groups of equals."""
    if families < 2:
        return frozenset({0})
    return frozenset(
        size * (size - 1) // 2 + rest
        for size in range(1, families + 1)
        for rest in _possibly_true(families - size)
    )
