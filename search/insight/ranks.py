"""Families over several benchmarks: mean ranks, and which of them differ more than by chance.

All after Demsar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import stats

LEVEL = 0.05
MANY_BENCHMARKS = 10  # with fewer, Demsar (section 3.2.2) asks for exact critical values


@dataclass(frozen=True, slots=True)
class RankTest:
    """Families compared over benchmarks by their ranks.

    Attributes:
        families: Best mean rank first.
        ranks: By family, its rank on each benchmark; families that are equal share the mean rank.
        statistic: Friedman's chi-square, corrected for ties; None for two families or one
            benchmark.
        p_value: That ranks differ so much by chance; None with one benchmark.
        critical_difference: Nemenyi's: mean ranks farther apart than this differ.
        groups: Letters; families that share one cannot be told apart.
    """

    families: list[str]
    ranks: dict[str, list[float]]
    statistic: float | None
    p_value: float | None
    critical_difference: float | None
    groups: dict[str, str]

    @classmethod
    def of(cls, losses: Mapping[str, list[float]]) -> Self:
        """Rank and test families.

        Args:
            losses: By family, its loss on each benchmark; two families or more.
        """
        table = np.array(list(losses.values()))  # (families, benchmarks)
        by_place = stats.rankdata(table, axis=0)
        ranks = {family: row.tolist() for family, row in zip(losses, by_place, strict=True)}
        families = sorted(losses, key=lambda family: float(np.mean(ranks[family])))
        benchmarks = table.shape[1]
        if benchmarks < 2:
            return cls(families, ranks, None, None, None, dict.fromkeys(families, "a"))
        statistic, p_value = friedman(by_place)
        difference = critical_difference(len(families), benchmarks)
        means = [float(np.mean(ranks[family])) for family in families]
        width = difference if p_value < LEVEL else math.inf
        groups = dict(zip(families, _letters(means, width), strict=True))
        return cls(families, ranks, statistic, p_value, difference, groups)

    def mean_rank(self, family: str) -> float:
        """The mean over benchmarks."""
        return float(np.mean(self.ranks[family]))


def friedman(ranks: np.ndarray) -> tuple[float | None, float]:
    """Friedman's statistic, and the p-value of Iman and Davenport's F that follows from it.

    Two families have no such test: theirs is the sign test, and there is no statistic.

    Args:
        ranks: (families, benchmarks), two or more each.

    Reference:
        Demsar, 2006, section 3.2.2: Friedman's chi-square is too conservative, the F of Iman and
        Davenport, "Approximations of the critical region of the Friedman statistic",
        Communications in Statistics 9, 1980, is better. Sign test: section 3.1.4.
    """
    families, benchmarks = ranks.shape
    if families == 2:
        wins, losses = int((ranks[0] < ranks[1]).sum()), int((ranks[0] > ranks[1]).sum())
        if wins + losses == 0:
            return None, 1.0
        return None, float(stats.binomtest(wins, wins + losses).pvalue)
    if np.ptp(ranks, axis=0).max() == 0:  # nothing but ties
        return 0.0, 1.0
    chi_square = float(stats.friedmanchisquare(*ranks).statistic)
    return chi_square, float(stats.f.sf(*iman_davenport(chi_square, families, benchmarks)))


def iman_davenport(chi_square: float, families: int, benchmarks: int) -> tuple[float, int, int]:
    """F and its degrees of freedom; infinite where all benchmarks agree in every rank.

    Reference:
        Demsar, 2006, section 3.2.2.
    """
    most = benchmarks * (families - 1)
    freedom = families - 1, (families - 1) * (benchmarks - 1)
    if math.isclose(chi_square, most):
        return math.inf, *freedom
    return (benchmarks - 1) * chi_square / (most - chi_square), *freedom


def critical_difference(families: int, benchmarks: int, level: float = LEVEL) -> float:
    """How far apart two mean ranks must be for the families to differ, by Nemenyi's test.

    Reference:
        Demsar, 2006, section 3.2.2 and table 5: q sqrt(k (k + 1) / 6 N), where q is the quantile
        of the studentized range divided by the square root of 2.
    """
    quantile = float(stats.studentized_range.ppf(1 - level, families, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(families * (families + 1) / (6 * benchmarks))


def _letters(means: list[float], width: float) -> list[str]:
    """A letter for each longest run of mean ranks (ascending) that lie within `width`."""
    runs: list[range] = []
    for start in range(len(means)):
        end = max(place for place, mean in enumerate(means) if mean - means[start] < width)
        if not runs or end >= runs[-1].stop:
            runs.append(range(start, end + 1))
    return [
        "".join(chr(ord("a") + index) for index, run in enumerate(runs) if place in run)
        for place in range(len(means))
    ]
