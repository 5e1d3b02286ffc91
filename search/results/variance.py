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
        mean = float(losses.mean())
        of_seeds, of_examples = losses.mean(axis=1), losses.mean(axis=0)
        between_seeds = examples * float(of_seeds.var(ddof=1))
        excess = 0.0
        if examples > 1:
            rest = losses - of_seeds[:, None] - of_examples[None, :] + mean
            residual = float((rest**2).sum()) / ((seeds - 1) * (examples - 1))
            excess = max(seeds * float(of_examples.var(ddof=1)) - residual, 0.0)
        total = between_seeds + excess
        if total == 0:
            return cls(mean, 0.0, math.inf)
        shares = (between_seeds / total) ** 2 / (seeds - 1)
        shares += (excess / total) ** 2 / max(examples - 1, 1)
        return cls(mean, math.sqrt(total / losses.size), 1 / shares)
