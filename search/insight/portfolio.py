"""Configurations to begin with, learnt from what the same ones reached on several benchmarks.

Each benchmark ranks them, so that it does not matter what it measures them by. The first of the
portfolio has the best ranks on average; each further one is the one that adds most to those before
it, where every benchmark counts the best that the portfolio has for it.

Reference:
    Wistuba, Schilling and Schmidt-Thieme, "Sequential model-free hyperparameter tuning", ICDM 2015;
    Feurer et al., "Auto-sklearn 2.0: hands-free AutoML via meta-learning", JMLR 2022, section 3,
    for greedy portfolios; theirs scale losses where this takes ranks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.stats import rankdata

from search.motion.starting_points import ANY_TASK, Point

SAME_TASK = 3.0
"""How much more a benchmark of the task in question counts than one of another task."""


@dataclass(frozen=True)
class Evaluations:
    """What the same configurations of each family reached on every benchmark.

    Args:
        benchmarks: Names, each with its task.
        points: By family, the configurations, as values by path; the first is empty: the default.
        losses: By family, (configurations, benchmarks); infinite where the training diverged.
    """

    benchmarks: Mapping[str, str]
    points: Mapping[str, Sequence[Point]]
    losses: Mapping[str, np.ndarray]

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Self:
        """What `perf.starting_points` wrote; a loss of null is infinite."""
        return cls(
            benchmarks={each["name"]: each["task"] for each in tree["made"]["benchmarks"]},
            points={name: each["points"] for name, each in tree["families"].items()},
            losses={
                name: np.array(
                    [[np.inf if loss is None else loss for loss in row] for row in each["losses"]]
                )
                for name, each in tree["families"].items()
            },
        )

    def tasks(self) -> list[str]:
        """The tasks that the benchmarks have."""
        return sorted(set(self.benchmarks.values()))

    def first(self, family: str, task: str, count: int, *, without: str = "") -> list[int]:
        """The places of the configurations to begin with, in a family and for a task.

        Args:
            without: A benchmark that must not be looked at.
        """
        kept = [place for place, name in enumerate(self.benchmarks) if name != without]
        tasks = list(self.benchmarks.values())
        weights = [SAME_TASK if tasks[place] == task else 1.0 for place in kept]
        return portfolio(self.losses[family][:, kept], weights, count)

    def rank_left_out(self, family: str, benchmark: str) -> int:
        """The `rank` of the first point on a benchmark that it was not learnt from."""
        (first,) = self.first(family, self.benchmarks[benchmark], 1, without=benchmark)
        return self.rank(family, benchmark, first)

    def rank(self, family: str, benchmark: str, place: int = 0) -> int:
        """Where a configuration stands among the random draws, which are all but the default.

        Rank 1 is the best; of equal ones, the middle.
        """
        losses = self.losses[family][:, list(self.benchmarks).index(benchmark)]
        others = np.delete(losses, [0, place] if place else [0])
        better = np.sum(others < losses[place])
        return 1 + int(better + np.sum(others == losses[place]) // 2)

    def table(self, count: int) -> dict[str, Any]:
        """By family, some of the points and, by task, which to begin with; `any` is for others."""
        found = {}
        for family, points in self.points.items():
            chosen = {task: self.first(family, task, count) for task in [ANY_TASK, *self.tasks()]}
            kept = sorted({place for places in chosen.values() for place in places})
            found[family] = {
                "points": [points[place] for place in kept],
                "first": {task: list(map(kept.index, each)) for task, each in chosen.items()},
            }
        return found


def portfolio(losses: np.ndarray, weights: Sequence[float], count: int) -> list[int]:
    """Greedily the rows that together leave the least to be desired, in the order of choice.

    Args:
        losses: (configurations, benchmarks), smaller is better.
        weights: How much each benchmark counts.
    """
    regrets = (rankdata(losses, axis=0) - 1) / max(len(losses) - 1, 1)
    reached = np.ones(losses.shape[1])
    chosen: list[int] = []
    for _ in range(min(count, len(losses))):
        gains = np.minimum(regrets, reached) @ np.asarray(weights)
        gains[chosen] = np.inf
        chosen.append(int(np.argmin(gains)))
        reached = np.minimum(reached, regrets[chosen[-1]])
    return chosen
