"""The Mackey-Glass series: a delay equation whose future soon escapes every forecast."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.benchmarks.benchmark import Benchmark, check_range
from trainers.benchmarks.scaling import Scaler
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Regression

TRAIN, VALID, TEST = 6_000, 2_000, 2_000
TRANSIENT = 1_000
STEPS_PER_UNIT = 10


@dataclass(frozen=True, kw_only=True)
class MackeyGlass(Benchmark):
    """The value `horizon` steps after the last of `length` values; tau = 17, one value per unit.

    The mean squared error is on values of variance 1, so its root is the customary NRMSE. Causal.

    Attributes:
        length: Values seen.
        horizon: Steps from the last value seen to the one asked for.

    Reference:
        Mackey & Glass, "Oscillation and chaos in physiological control systems", Science 197, 1977.
    """

    name = "mackey_glass"
    summary = "a chaotic series 84 steps ahead, from its last 100 values"
    task = "regression"
    metric = "mse"
    splits = (
        "of 10,000 consecutive values, generated without randomness, the first 6,000 are train, "
        "the next 2,000 valid, the last 2,000 test; no window crosses a border: "
        "5,817 / 1,817 / 1,817 windows unless set"
    )
    licence = "none needed: generated"
    published = (
        "none on these values; Jaeger & Haas (Science 304, 2004) report echo state networks 2,400 "
        "times more exact than earlier methods at horizon 84"
    )

    length: int = 100
    horizon: int = 84

    def __post_init__(self) -> None:
        longest = min(TRAIN, VALID, TEST)
        check_range("length", self.length, 1, longest // 2)
        check_range("horizon", self.horizon, 1, longest // 2)

    def prepare(self, folder: Path) -> Dataset:
        """Windows overlap in one array, whose mean is 0 and variance 1 over the train part."""
        series = mackey_glass(TRANSIENT + TRAIN + VALID + TEST)[TRANSIENT:, None]
        scaler = Scaler.fit(series[:TRAIN])
        values = scaler.apply(series)
        return Dataset(
            name=self.name,
            task=Regression(input_size=1, causal=True),
            train=self._windows(values, 0, TRAIN),
            valid=self._windows(values, TRAIN, TRAIN + VALID),
            test=self._windows(values, TRAIN + VALID, TRAIN + VALID + TEST),
            preprocessing={"scaler": scaler.to_json(), "target_scaler": scaler.to_json()},
        )

    def _windows(self, values: np.ndarray, start: int, stop: int) -> Split:
        starts = np.arange(start, stop - self.length - self.horizon + 1, dtype=np.int64)
        return Split(
            Sequences(values, starts, np.full_like(starts, self.length)),
            Sequences(values, starts + self.length + self.horizon - 1, np.ones_like(starts)),
        )


def mackey_glass(
    units: int, *, delay: int = 17, steps_per_unit: int = STEPS_PER_UNIT
) -> np.ndarray:
    """x(1), ..., x(units) of x' = 0.2 y / (1 + y^10) - 0.1 x with y(t) = x(t - delay).

    Before the beginning x is 1.2. Runge-Kutta's classical method, with the delayed value between
    two steps from the cubic through values and slopes. Plain sums and products of Python floats
    alone, so that a chaotic series comes out the same, to the last bit, on every machine.
    """
    size = 1.0 / steps_per_unit
    lag = delay * steps_per_unit
    values, slopes = [1.2] * (lag + 1), [0.0] * lag
    for step in range(units * steps_per_unit):
        x, old, new = values[-1], values[step], values[step + 1]
        slopes.append(_slope(x, old))
        bend = slopes[step] - slopes[step + 1] if step >= lag else 0.0  # constant before 0
        middle = (old + new) / 2 + size / 8 * bend
        first = slopes[-1]
        second = _slope(x + size / 2 * first, middle)
        third = _slope(x + size / 2 * second, middle)
        fourth = _slope(x + size * third, new)
        values.append(x + size / 6 * (first + 2 * second + 2 * third + fourth))
    return np.array(values[lag + steps_per_unit :: steps_per_unit])


def _slope(x: float, delayed: float) -> float:
    square = delayed * delayed
    fourth = square * square
    return 0.2 * delayed / (1.0 + fourth * fourth * square) - 0.1 * x
