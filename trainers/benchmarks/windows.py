"""Series as windows for forecasting: overlapping, in one array, and blind to what comes later."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from trainers.benchmarks.scaling import Scaler
from trainers.data.dataset import Sequences, Split


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What the train part of a series says of the sizes of its values.

    Attributes:
        scaler: Mean and deviation of each channel.
        naive_error: (channels,) the mean absolute change over a season, in deviations.
    """

    scaler: Scaler
    naive_error: np.ndarray

    @classmethod
    def fit(cls, train: np.ndarray, season: int) -> "Yardstick":
        """Measure (steps, channels).

        Where the part is no longer than a season, changes are from step to step. A channel without
        any naive error is measured by its deviation.

        Raises:
            ValueError: There are fewer than two steps.
        """
        if len(train) < 2:
            raise ValueError(f"the train part must have at least 2 steps, got {len(train)}")
        scaler = Scaler.fit(train)
        lag = season if len(train) > season else 1
        change = np.abs(train[lag:] - train[:-lag]).mean(axis=0) / scaler.std
        return cls(scaler, np.where(change > 0, change, 1.0))


@dataclass(frozen=True, slots=True)
class Series:
    """One series, cut in time into train, valid and test.

    Attributes:
        values: (steps, channels), not scaled.
        past: (steps, size) covariates known up to each step, scaled.
        known: (steps, size) covariates known ahead, scaled.
        valid_from: Steps before valid begins.
        test_from: Steps before test begins.
        yardstick: Of the train part.
    """

    values: np.ndarray
    past: np.ndarray
    known: np.ndarray
    valid_from: int
    test_from: int
    yardstick: Yardstick

    def inputs(self, horizon: int) -> np.ndarray:
        """(steps, size) float32, in the order that `Forecasting` states."""
        ahead = np.zeros_like(self.known)
        ahead[:-horizon] = self.known[horizon:]  # the last rows are in no window
        scaled = self.yardstick.scaler.apply(self.values)
        return np.concatenate([scaled, self.past, self.known, ahead], axis=1, dtype=np.float32)

    def targets(self) -> np.ndarray:
        """(steps, 3 * channels) float32, in the order that `Forecasting` states."""
        scaler = self.yardstick.scaler
        constants = np.concatenate([scaler.mean / scaler.std, self.yardstick.naive_error])
        rows = np.broadcast_to(constants, (len(self.values), len(constants)))
        return np.concatenate([scaler.apply(self.values), rows], axis=1, dtype=np.float32)

    def first_targets(self, look_back: int, horizon: int) -> list[np.ndarray]:
        """For train, valid and test, the steps at which the targets of a window begin.

        The targets of a window lie in one split; its look-back may reach into the part before.
        """
        borders = [0, self.valid_from, self.test_from, len(self.values)]
        return [
            np.arange(max(start, look_back), stop - horizon + 1, dtype=np.int64)
            for start, stop in pairwise(borders)
        ]


def cut_windows(
    series: Sequence[Series], *, look_back: int, horizon: int
) -> tuple[Split, Split, Split]:
    """Every window of every series, with stride 1: train, valid and test over the same arrays.

    Raises:
        ValueError: A split is left without a window.
    """
    inputs = np.concatenate([each.inputs(horizon) for each in series])
    targets = np.concatenate([each.targets() for each in series])
    begins = np.cumsum([0, *(len(each.values) for each in series)])
    firsts = [each.first_targets(look_back, horizon) for each in series]

    def split(name: str, number: int) -> Split:
        places = np.concatenate(
            [begin + first[number] for begin, first in zip(begins, firsts, strict=False)]
        )
        if not len(places):
            raise ValueError(
                f"{name} must have room for a window of {look_back} + {horizon} steps, got none"
            )
        return Split(
            Sequences(inputs, places - look_back, np.full_like(places, look_back)),
            Sequences(targets, places, np.full_like(places, horizon)),
        )

    return split("train", 0), split("valid", 1), split("test", 2)
