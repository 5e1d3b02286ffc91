"""How far a mean over seeds and test examples may lie from that over all seeds and examples."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error.

    Attributes:
        freedom: Degrees of freedom of the error, those of Student's t; infinite where all values
            are equal.
    """

    mean: float
    error: float
    freedom: float

    @classmethod
    def of(cls, losses: np.ndarray) -> Self:
        """Estimate the mean over seeds and examples, both drawn at random, every one with every.

        A loss is taken as the sum of what its seed adds (variance a), what its example adds
        (variance b), and a rest of their own (variance e). The mean of S seeds and N examples has
        the variance a/S + b/N + e/SN, which the mean squares of the two-way analysis of variance
        estimate as (MSa + max(MSb - MSe, 0)) / SN. The degrees of freedom are Satterthwaite's,
        without the residual's, which are many. With one example this is Student's t over seeds,
        and with seeds that differ in nothing it is Student's t over examples.

        Args:
            losses: (seeds, examples), at least two seeds; (seeds, 1) where only means are known.

        Reference:
            Satterthwaite, "An approximate distribution of estimates of variance components",
            Biometrics Bulletin 2, 1946. Hillis, "A comparison of denominator degrees of freedom
            methods for multiple observer ROC analysis", Statistics in Medicine 26, 2007, where
            readers are our seeds and cases our examples.
        """
        seeds, examples = losses.shape
        of_seeds = losses.sum(axis=1) / examples
        mean = float(of_seeds.sum()) / seeds
        by_seed = of_seeds - mean
        between_seeds = examples * float(by_seed @ by_seed) / (seeds - 1)
        excess = 0.0
        if examples > 1:
            by_example = losses.sum(axis=0) / seeds - mean
            rest = losses - of_seeds[:, None] - by_example
            residual = float(np.vdot(rest, rest)) / ((seeds - 1) * (examples - 1))
            excess = seeds * float(by_example @ by_example) / (examples - 1) - residual
            excess = max(excess, 0.0)
        total = between_seeds + excess
        if total == 0:
            return cls(mean, 0.0, math.inf)
        shares = (between_seeds / total) ** 2 / (seeds - 1)
        shares += (excess / total) ** 2 / max(examples - 1, 1)
        return cls(mean, math.sqrt(total / losses.size), 1 / shares)
