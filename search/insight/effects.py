"""Single settings of a search: at an end of their range, or without any effect."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc
from scipy.stats import rankdata

from search.insight.observations import Evidence, Observation
from spaces import Choice, Float, Int, Parameter, Value

EDGE = 0.05  # of the range, where its end begins
EDGE_OF_BEST = 0.2  # where the best quarter of the trials must lie in the middle
EDGE_TRIALS = 8
FINE = 6  # fewer values than these have an end too often to be worth a word
IDLE_TRIALS = 20
IDLE_P_VALUE = 0.5  # half of the settings without effect are above, few of those with one


@dataclass(frozen=True, slots=True)
class Edge:
    """A setting whose best values lie at an end of its range."""

    setting: str
    best: float
    end: str
    described: str


def settings_at_an_end(known: Evidence) -> list[Edge]:
    """Settings of which the best trial is at an end, and the best quarter of trials near it.

    An end beyond which there is nothing (a dropout of 0, a single layer) is no such end.
    """
    found = []
    best = known.observations[: max(len(known.observations) // 4, 3)]
    if len(known.observations) < EDGE_TRIALS:
        return []
    for path, parameter in best[0].ranges.items():
        if isinstance(parameter, Choice) or not _is_fine(parameter):
            continue
        places = [_place(parameter, each.settings[path]) for each in best if path in each.settings]
        middle = float(np.median(places))
        natural = parameter.low == (0 if isinstance(parameter, Float) else 1)
        end = None
        if places[0] >= 1 - EDGE and middle >= 1 - EDGE_OF_BEST:
            end = "upper"
        elif places[0] <= EDGE and middle <= EDGE_OF_BEST and not natural:
            end = "lower"
        if end:
            value = float(best[0].settings[path])
            found.append(Edge(path, value, end, parameter.describe()))
    return found


def idle_settings(known: Evidence) -> list[str]:
    """Settings of which the results show no trace.

    The ranks of the losses are explained by all settings together, numbers by a parabola each, and
    a setting is idle if they are explained as well without it (F-test). That takes many trials: of
    twice as few as settings have coefficients, nothing is said. Effects that are small, or that
    depend on other settings, may leave no trace either.

    Reference:
        Conover and Iman, "Rank transformations as a bridge between parametric and nonparametric
        statistics", The American Statistician 35, 1981.
    """
    trials = known.observations
    if len(trials) < IDLE_TRIALS:
        return []
    columns = {path: _columns(path, trials) for path in common_settings(trials)}
    columns = {path: found for path, found in columns.items() if found.shape[1]}
    coefficients = 1 + sum(found.shape[1] for found in columns.values())
    if len(trials) < 2 * coefficients:
        return []
    ranks = rankdata([trial.loss for trial in trials])
    whole = _unexplained(ranks, list(columns.values()))
    freedom = len(trials) - coefficients
    idle = []
    for path, own in columns.items():
        others = [found for name, found in columns.items() if name != path]
        gain = (_unexplained(ranks, others) - whole) / own.shape[1]
        if whole > 0 and fdtrc(own.shape[1], freedom, gain / (whole / freedom)) > IDLE_P_VALUE:
            idle.append(path)
    return idle


def common_settings(trials: Sequence[Observation]) -> list[str]:
    """Settings that all trials have, in one range; those of single branches do not count."""
    ranges: dict[str, list[Parameter]] = {}
    for trial in trials:
        for path, parameter in trial.ranges.items():
            ranges.setdefault(path, []).append(parameter)
    return [
        path
        for path, found in ranges.items()
        if len(found) == len(trials) and all(parameter == found[0] for parameter in found)
    ]


def _columns(path: str, trials: Sequence[Observation]) -> np.ndarray:
    """(trials, coefficients): a parabola over the range, or one column an option but the first."""
    values = [trial.settings[path] for trial in trials]
    parameter = trials[0].ranges[path]
    if isinstance(parameter, Choice):
        seen = [option for option in parameter.options if option in values]
        return np.array([[value == option for option in seen[1:]] for value in values], dtype=float)
    places = np.array([_place(parameter, value) for value in values])
    powers = np.arange(1, min(len(set(values)), 3))  # none where all have the same value
    return places[:, None] ** powers


def _unexplained(ranks: np.ndarray, columns: Sequence[np.ndarray]) -> float:
    """The sum of squares that a linear model of these columns leaves."""
    design = np.concatenate([np.ones((len(ranks), 1)), *columns], axis=1)
    fitted = design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    return float(((ranks - fitted) ** 2).sum())


def _is_fine(parameter: Float | Int) -> bool:
    """Whether a range has so many values that one of them is seldom at an end by chance."""
    return isinstance(parameter, Float) or parameter.high - parameter.low >= FINE


def _place(parameter: Parameter, value: Value) -> float:
    """Where in its range a value lies, from 0 to 1."""
    assert not isinstance(parameter, Choice)
    assert not isinstance(value, str)
    low, high, at = float(parameter.low), float(parameter.high), float(value)
    if parameter.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low)
