"""The score of the Numenta Anomaly Benchmark: early detections count more, stray ones cost."""

from dataclasses import dataclass
from typing import Final

import numpy as np

STEEPNESS: Final = 5.0
FAR: Final = 3.0
"""Window lengths behind a window from where on a stray detection costs its full price."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What detections are worth to somebody; a window that is found at its beginning gives 1.

    Attributes:
        stray: What a detection costs that is far behind any window.
        missed: What a window costs that is not found.
    """

    stray: float
    missed: float


PROFILES: Final = {
    "nab_standard": Profile(stray=0.11, missed=1.0),
    "nab_low_fp": Profile(stray=0.22, missed=1.0),
    "nab_low_fn": Profile(stray=0.11, missed=2.0),
}


def worth(windows: np.ndarray) -> np.ndarray:
    """(steps,) what a detection is worth: up to 1 in a window, down to -1 outside of any.

    In a window it falls from 1 at the first step to nearly 0 at the last; behind it goes on to fall
    from 0 to -1, along a sigmoid that is as wide as the window. What lies before the first window
    is far from any. A profile multiplies what is below 0.

    Args:
        windows: (steps,) of one stream, the number of the window that a step lies in; 0 outside.

    Reference:
        Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms - the Numenta Anomaly
        Benchmark", ICMLA 2015, with the weights of version 1.1 of the benchmark.
    """
    values = np.full(len(windows), -1.0)
    for number in np.unique(windows[windows > 0]):
        inside = np.flatnonzero(windows == number)
        first, last = int(inside[0]), int(inside[-1])
        width = last - first + 1
        place = -(last - inside + 1) / width
        values[inside] = _sigmoid(place) / np.tanh(STEEPNESS / 2)
        behind = np.flatnonzero(windows[last + 1 :] > 0)
        stop = last + 1 + int(behind[0]) if len(behind) else len(windows)
        past = np.arange(1, stop - last) / max(width - 1, 1)
        values[last + 1 : stop] = np.where(past < FAR, _sigmoid(past), -1.0)
    return values


def _sigmoid(place: np.ndarray) -> np.ndarray:
    """From 1 to -1, 0 at 0."""
    values: np.ndarray = -np.tanh(STEEPNESS * place / 2)
    return values
