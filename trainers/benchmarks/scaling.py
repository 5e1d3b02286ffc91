"""Bring inputs to mean 0 and standard deviation 1, by what the train split says alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

PART_STEPS = 1 << 20


@dataclass(frozen=True, slots=True)
class Scaler:
    """Mean and standard deviation, one for all features or one each.

    Attributes:
        mean: (size,) or (1,).
        std: The same shape, never 0.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, steps: np.ndarray) -> "Scaler":
        """Measure (steps, size); a feature that never changes is only shifted."""
        mean = steps.mean(axis=0, dtype=np.float64)
        # part by part: of MNIST alone a copy in float64 would take 345 MB
        parts = np.array_split(steps, 1 + len(steps) // PART_STEPS)
        squares = sum(np.square(part - mean).sum(axis=0) for part in parts)
        std = np.sqrt(squares / len(steps))
        return cls(mean, np.where(std > 0, std, 1.0))

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Self:
        """The scaler that `to_json` wrote."""
        return cls(np.array(tree["mean"]), np.array(tree["std"]))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The scaled values, float32, of the same shape (..., size)."""
        scaled: np.ndarray = ((values - self.mean) / self.std).astype(np.float32)
        return scaled

    def restore(self, scaled: np.ndarray) -> np.ndarray:
        """The values that were scaled, float64: the inverse of `apply`."""
        values: np.ndarray = scaled.astype(np.float64) * self.std + self.mean
        return values

    def repeated(self, times: int) -> "Scaler":
        """For features that are so many copies of those measured, side by side."""
        return Scaler(np.tile(self.mean, times), np.tile(self.std, times))

    def to_json(self) -> dict[str, Any]:
        """For `Dataset.preprocessing`."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}
