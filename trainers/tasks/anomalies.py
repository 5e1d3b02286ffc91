"""From forecast errors of streams to alarms, and from alarms to what they are worth."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from trainers.tasks.nab_score import Profile, worth

RECENT: Final = 10
"""Errors that are looked at together: an anomaly that lasts is told from a single odd value."""

LEAST_DEVIATION: Final = 0.01
"""Of errors, in deviations of the train values, so that tiny errors after none raise no alarm."""

NEVER: Final = float(np.finfo(np.float64).max)
"""A threshold that no alarm reaches."""

Shares = tuple[np.ndarray, np.ndarray]
"""A ratio of sums, (passages,) each: what every passage adds above and below the line."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The judged steps of a split, in the order of its streams.

    Attributes:
        alarms: (steps,) how unlikely the recent errors are, in deviations.
        worth: (steps,) what a detection there is worth by the Numenta benchmark, see `worth`.
        passages: (steps,) the passage that a step lies in.
        windows: (steps,) the place of its window among all, -1 outside of any.
        homes: (windows,) the passage in which each window begins.
        size: Number of passages.
    """

    alarms: np.ndarray
    worth: np.ndarray
    passages: np.ndarray
    windows: np.ndarray
    homes: np.ndarray
    size: int

    def found(self, threshold: float) -> np.ndarray:
        """(windows,) bool, whether any step of the window has an alarm as high as that."""
        hits = self.windows[(self.alarms >= threshold) & (self.windows >= 0)]
        return np.bincount(hits, minlength=len(self.homes)) > 0

    def by_passage(self, windows: np.ndarray) -> np.ndarray:
        """(passages,) the sums of something, (windows,), over the windows that begin in each."""
        return np.bincount(self.homes, windows.astype(np.float64), minlength=self.size)

    def strays(self, threshold: float) -> np.ndarray:
        """(passages,) float, 1 where any step outside of windows has an alarm as high as that."""
        stray = self.passages[(self.alarms >= threshold) & (self.windows < 0)]
        return (np.bincount(stray, minlength=self.size) > 0).astype(np.float64)


def watch(steps: np.ndarray) -> Watch:
    """What happens at the judged steps.

    Args:
        steps: (passages, time, 4): forecast error, number of the window, whether the step is
            judged, number of the stream; the last is -1 at padding.
    """
    real = steps[..., 3] >= 0
    errors, numbers, judged, streams = steps[real].astype(np.float64).T
    edges = np.flatnonzero(np.diff(streams)) + 1
    alarms = np.concatenate([alarm(part) for part in np.split(errors, edges)])
    worths = np.concatenate([worth(part) for part in np.split(numbers, edges)])
    keep = judged > 0
    passages, numbers = np.nonzero(real)[0][keep], numbers[keep]
    inside = numbers > 0
    _, first, places = np.unique(numbers[inside], return_index=True, return_inverse=True)
    windows = np.full(len(numbers), -1)
    windows[inside] = places
    homes = passages[inside][first]
    return Watch(alarms[keep], worths[keep], passages, windows, homes, len(steps))


def alarm(errors: np.ndarray) -> np.ndarray:
    """(steps,) how far the mean of the last errors is above that of all before them.

    In deviations of those before. The normal distribution function of it would be the likelihood of
    an anomaly; it rises with it, so that thresholds of both are the same.

    Args:
        errors: (steps,) absolute forecast errors of one stream, from its beginning.

    Reference:
        Ahmad et al., "Unsupervised real-time anomaly detection for streaming data",
        Neurocomputing 2017, on the anomaly likelihood.
    """
    sums, squares = (np.concatenate([[0.0], np.cumsum(x)]) for x in (errors, errors * errors))
    stop = np.arange(1, len(errors) + 1)
    start = np.maximum(stop - RECENT, 0)
    recent = (sums[stop] - sums[start]) / (stop - start)
    count = np.maximum(start, 1)
    mean = sums[start] / count
    deviation = np.sqrt(np.maximum(squares[start] / count - mean * mean, 0.0))
    distance: np.ndarray = (recent - mean) / np.maximum(deviation, LEAST_DEVIATION)
    return distance


def window_shares(seen: Watch, threshold: float) -> dict[str, Shares]:
    """F1, precision and recall: windows that are found, and passages with a stray detection."""
    found = seen.by_passage(seen.found(threshold))
    windows = seen.by_passage(np.ones(len(seen.homes)))
    named = found + seen.strays(threshold)
    return {
        "window_f1": (2 * found, windows + named),
        "window_precision": (found, named),
        "window_recall": (found, windows),
    }


def nab_shares(seen: Watch, threshold: float, profile: Profile) -> Shares:
    """The score by which finding nothing is 0, and all windows at their first steps 100."""
    inside = (seen.alarms >= threshold) & (seen.windows >= 0)
    best = np.full(len(seen.homes), -profile.missed)
    np.maximum.at(best, seen.windows[inside], seen.worth[inside])
    stray = (seen.alarms >= threshold) & (seen.windows < 0)
    costs = np.bincount(seen.passages[stray], seen.worth[stray], minlength=seen.size)
    gains = seen.by_passage(best + profile.missed) + profile.stray * costs
    return 100 * gains, seen.by_passage(np.full(len(seen.homes), 1 + profile.missed))


def best_for_windows(seen: Watch) -> float:
    """The threshold of the highest F1 by window: the alarm at which one more window is found."""
    if not len(seen.homes):
        return NEVER
    peaks = np.full(len(seen.homes), -np.inf)
    inside = seen.windows >= 0
    np.maximum.at(peaks, seen.windows[inside], seen.alarms[inside])
    outside = np.full(seen.size, -np.inf)
    np.maximum.at(outside, seen.passages[~inside], seen.alarms[~inside])
    peaks = -np.sort(-peaks)
    found = np.searchsorted(-peaks, -peaks, side="right")
    stray = np.searchsorted(np.sort(-outside), -peaks, side="right")
    return float(peaks[np.argmax(2 * found / (found + stray + len(peaks)))])


def best_for_profile(seen: Watch, profile: Profile) -> float:
    """The threshold of the highest score; one that no alarm reaches where none is worth it."""
    order = np.argsort(-seen.alarms, kind="stable")
    alarms, values, windows = seen.alarms[order], seen.worth[order], seen.windows[order]
    gains = np.where(windows < 0, profile.stray * values, 0.0)
    for places in _of_each_window(windows, len(seen.homes)):
        best = np.maximum.accumulate(np.concatenate([[-profile.missed], values[places]]))
        gains[places] = np.diff(best)
    totals = np.cumsum(gains)
    last = np.append(alarms[1:] != alarms[:-1], [True] * min(len(alarms), 1))
    totals[~last] = -np.inf  # of equal alarms all are detections, or none
    if not len(totals) or totals.max() <= 0:
        return NEVER
    return float(alarms[np.argmax(totals)])


def _of_each_window(windows: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """The places of each window's steps, in their order."""
    inside = np.flatnonzero(windows >= 0)
    by_window = inside[np.argsort(windows[inside], kind="stable")]
    sizes = np.bincount(windows[inside], minlength=count)
    yield from np.split(by_window, np.cumsum(sizes)[:-1]) if count else ()
