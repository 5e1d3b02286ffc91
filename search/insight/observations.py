"""What the trials of a search say about its settings: values that may be held against each other.

Trials end at different epochs. They are compared by their best value up to one epoch, the furthest
that half of a family's trials reached; those that did not reach it say nothing.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from search.results.history import History
from search.results.summary import TrialSummary
from search.trial import USELESS
from spaces import Choice, Parameter, SearchSpace, Value, flatten, parameters


@dataclass(frozen=True, slots=True)
class Observation:
    """One trial of the search.

    Attributes:
        settings: By path, the values of those that could have had another.
        ranges: By path, what they could have been.
        loss: The best up to the epoch of the evidence.
    """

    trial: int
    settings: dict[str, Value]
    ranges: dict[str, Parameter]
    loss: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All trials of a family that reached one epoch, the best first.

    Attributes:
        outside: Trials that reached it but do not lie in today's ranges, and are left out.
    """

    family: str
    epoch: int
    observations: list[Observation]
    outside: int


def evidence(history: History, spaces: Mapping[str, SearchSpace]) -> dict[str, Evidence]:
    """The evidence on each family whose ranges are known and which has any."""
    found = {}
    for family, space in spaces.items():
        curves = search_curves(history, family)
        if curves:
            found[family] = _weigh(history, family, space, curves)
    return found


def search_curves(history: History, family: str) -> dict[int, dict[int, float]]:
    """By trial of a family's search, its best loss so far by epoch.

    Trials that failed are left out, and copies, whose values are not due to their settings alone.
    """
    return {
        trial.trial: best_so_far(history, trial.trial)
        for trial in history.summary.trials.values()
        if trial.family == family
        and trial.finalist_of is None
        and trial.copied_from is None
        and trial.state not in USELESS
        and history.curves.get(trial.trial)
    }


def best_so_far(history: History, trial: int) -> dict[int, float]:
    """By epoch, the best loss until then; what a copy began with belongs to it."""
    best, curve = math.inf, {}
    for epoch, value in sorted(_with_ancestors(history, trial).items()):
        curve[epoch] = best = min(best, history.summary.loss(value))
    return curve


def _with_ancestors(history: History, number: int) -> dict[int, float]:
    """The values of a trial, and those of the trials that it descends from before it was copied."""
    values = dict(history.curves.get(number, {}))
    trial = history.summary.trials[number]
    while trial.copied_from is not None:
        before = history.curves.get(trial.copied_from, {})
        values |= {epoch: value for epoch, value in before.items() if epoch <= trial.copied_at}
        trial = history.summary.trials[trial.copied_from]
    return values


def at_epoch(curve: Mapping[int, float], epoch: int) -> float | None:
    """The best loss up to `epoch`; None if the curve does not reach it."""
    if not curve or max(curve) < epoch:
        return None
    return min((loss for at, loss in curve.items() if at <= epoch), default=None)


def varies(parameter: Parameter) -> bool:
    """Whether a parameter has more than one value, and was searched; a fitted width was not."""
    if parameter.held:
        return False
    if isinstance(parameter, Choice):
        return len(parameter.options) > 1
    return parameter.low < parameter.high


def _weigh(
    history: History, family: str, space: SearchSpace, curves: Mapping[int, Mapping[int, float]]
) -> Evidence:
    furthest = sorted((max(curve) for curve in curves.values()), reverse=True)
    epoch = furthest[(len(furthest) - 1) // 2]
    losses = {number: at_epoch(curve, epoch) for number, curve in curves.items()}
    reached = {number: loss for number, loss in losses.items() if loss is not None}
    trials = [history.summary.trials[number] for number in sorted(reached, key=reached.__getitem__)]
    seen = [_observe(space, trial, reached[trial.trial]) for trial in trials]
    known = [each for each in seen if each is not None]
    return Evidence(family, epoch, known, outside=len(seen) - len(known))


def _observe(space: SearchSpace, trial: TrialSummary, loss: float) -> Observation | None:
    config = json.loads(trial.config)
    try:
        values, ranges = flatten(space, config), parameters(space, config)
    except ValueError:  # the ranges were changed since
        return None
    free = {path: parameter for path, parameter in ranges.items() if varies(parameter)}
    return Observation(trial.trial, {path: values[path] for path in free}, free, loss)
