"""F scores: no averages of target steps, but ratios of what is counted over a whole split.

An F score is 2 hits / (named by the model + named by the targets), for each class.
"""

import numpy as np
from torch import Tensor

from trainers.tasks.entities import TagTable, entities


def class_counts(
    guesses: Tensor, targets: Tensor, real: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """For each class its hits, and how often model and targets name it, (batch, classes) each.

    Args:
        guesses: (batch, steps), the classes that a model names.
        real: (batch, steps) bool.
    """
    weight = real.float()
    none = weight.new_zeros(len(targets), classes)
    hits = none.scatter_add(1, targets, weight * (guesses == targets))
    named = none.scatter_add(1, targets, weight).scatter_add(1, guesses, weight)
    return hits, named


def entity_counts(
    guesses: Tensor, targets: Tensor, real: Tensor, table: TagTable
) -> tuple[Tensor, Tensor]:
    """Entities met exactly, and entities in guesses and targets together, (batch, 1) each."""
    guessed, met = entities(guesses, real, table), entities(targets, real, table)
    same = guessed.begins & met.begins & (guessed.kinds == met.kinds) & (guessed.ends == met.ends)
    named = guessed.begins.sum(1, keepdim=True) + met.begins.sum(1, keepdim=True)
    return same.sum(1, keepdim=True).float(), named.float()


def f_score(hits: np.ndarray, named: np.ndarray) -> float:
    """The mean F score of the classes that occur or are named at all; 0 where none is.

    Args:
        hits: (examples, classes), as `class_counts` gives them for each example.
        named: Likewise.
    """
    scores, _ = _scores(hits, named)
    return float(scores.mean()) if len(scores) else 0.0


def f_score_shares(hits: np.ndarray, named: np.ndarray) -> np.ndarray:
    """(examples,): their mean is the F score, and each tells how far its example moves it.

    An example counts by the slope of the score in that example's weight, times the number of
    examples (the infinitesimal jackknife). As the score is a ratio of sums, slopes add up to 0.

    Reference:
        Efron, "Nonparametric standard errors and confidence intervals", Canadian Journal of
        Statistics 1981, on the infinitesimal jackknife of Jaeckel, 1972.
    """
    scores, total = _scores(hits, named)
    if not len(scores):
        return np.zeros(len(hits))
    present = named.sum(0) > 0
    slopes = (2 * hits[:, present].astype(np.float64) - scores * named[:, present]) / total
    shares: np.ndarray = scores.mean() + len(hits) * slopes.mean(1)
    return shares


def _scores(hits: np.ndarray, named: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The F score of every class that is named, and how often that is."""
    total = named.sum(0, dtype=np.float64)
    present = total > 0
    return 2 * hits.sum(0, dtype=np.float64)[present] / total[present], total[present]
