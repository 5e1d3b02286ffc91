"""What the charts of a report show, as plain records; `drawing` draws them."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.results.cells import number
from search.results.history import History, Point
from search.results.standing import Standing, best_first
from search.results.statistics import Interval
from search.results.summary import StudySummary, TrialSummary
from search.trial import State

MOST_CURVES = 40  # of a family; more lines are a thicket
MOST_POINTS = 200
SETTLED = 0.05  # of a family's spending; what is found before is far off and soon overtaken
LOG_RATIO = 30.0  # from here on a positive setting was most likely searched by its logarithm


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Panel:
    """The learning curves of one family: (epoch, value) for each trial."""

    family: str
    search: list[Line]
    finalists: list[Line]


@dataclass(frozen=True, slots=True)
class Spread:
    """A finalist's values on the test split, one for each seed, and what they amount to."""

    family: str
    values: list[float]
    interval: Interval


@dataclass(frozen=True, slots=True)
class Size:
    """One trial, trained to the end, by its parameters and its best validation value.

    Attributes:
        on_front: No trial is both smaller and better.
    """

    family: str
    trial: int
    parameters: int
    value: float
    on_front: bool


@dataclass(frozen=True, slots=True)
class Axis:
    """One setting of a family's trials.

    Attributes:
        heights: By trial, where its value lies between 0 and 1; None where it has no such setting.
        texts: By trial, the value.
        ticks: Heights with their words.
    """

    name: str
    heights: list[float | None]
    texts: list[str]
    ticks: list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Parallel:
    """The trials of one family, best first, and every setting that varied among them."""

    family: str
    trials: list[int]
    axes: list[Axis]


def best_by_spending(history: History, places: Sequence[Standing]) -> list[Line]:
    """By family, best first: seconds of training and the best validation value until then."""
    points = history.best_by_spending
    return [
        Line(place.family, points[place.family]) for place in places if points.get(place.family)
    ]


def settled_range(lines: Sequence[Line], summary: StudySummary) -> Point:
    """The least and the largest best value, from a twentieth of each family's spending on."""
    losses = [
        summary.loss(value)
        for line in lines
        for at, (_, value) in enumerate(line.points)
        if at + 1 == len(line.points) or line.points[at + 1][0] > SETTLED * line.points[-1][0]
    ]
    worst, best = max(losses), min(losses)
    return (-worst, -best) if summary.maximize else (best, worst)


def learning_curves(history: History, places: Sequence[Standing]) -> list[Panel]:
    """By family, best first: its finalists' curves and those of its best search trials."""
    curves: dict[str, tuple[list[Line], list[Line]]] = defaultdict(lambda: ([], []))
    for trial in best_first(history.summary):
        if points := history.curves.get(trial.trial):
            lines = curves[trial.family][trial.finalist_of is not None]
            if len(lines) < MOST_CURVES:
                lines.append(Line(f"trial {trial.trial}", sorted(points.items())))
    return [
        Panel(place.family, *curves[place.family]) for place in places if place.family in curves
    ]


def usual_range(panels: Sequence[Panel], summary: StudySummary) -> Point:
    """The least and the largest value of the curves, the worst tenth of all left out."""
    losses = sorted(
        summary.loss(value)
        for panel in panels
        for line in (*panel.search, *panel.finalists)
        for _, value in line.points
    )
    best, worst = losses[0], losses[(len(losses) - 1) * 9 // 10]
    return (-worst, -best) if summary.maximize else (best, worst)


def spreads(places: Sequence[Standing]) -> list[Spread]:
    """The families that have finalists, best first, without the trivial predictor."""
    return [
        Spread(place.family, list(place.tests.values()), place.test)
        for place in places
        if place.test is not None and not place.is_baseline
    ]


def sizes(summary: StudySummary) -> list[Size]:
    """The complete search trials, and which of them are on the front of small and good."""
    drawn: list[TrialSummary] = []
    by_family: dict[str, int] = defaultdict(int)
    for trial in best_first(summary):
        known = trial.best is not None and trial.parameters
        if known and trial.finalist_of is None and trial.state == State.complete:
            by_family[trial.family] += 1
            if by_family[trial.family] <= MOST_POINTS:
                drawn.append(trial)
    smallest = math.inf
    front = set()
    for trial in drawn:  # best first
        if (trial.parameters or 0) < smallest:
            smallest = trial.parameters or 0
            front.add(trial.trial)
    return [
        Size(
            family=trial.family,
            trial=trial.trial,
            parameters=trial.parameters or 0,
            value=trial.best or 0.0,
            on_front=trial.trial in front,
        )
        for trial in drawn
    ]


def parallels(summary: StudySummary, places: Sequence[Standing]) -> list[Parallel]:
    """By family, best first; families without two measured trials are left out."""
    by_family = defaultdict(list)
    for trial in best_first(summary):
        if trial.finalist_of is None and trial.best is not None:
            by_family[trial.family].append(trial)
    return [
        _parallel(summary, place.family, by_family[place.family][:MOST_POINTS])
        for place in places
        if len(by_family[place.family]) > 1
    ]


def settings(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf of a configuration under its path, the model's own name left out."""
    for name, value in config.items():
        here = f"{path}{name}"
        if isinstance(value, Mapping):
            yield from settings(value, f"{here}/")
        elif isinstance(value, list):
            yield from settings({str(index): item for index, item in enumerate(value)}, f"{here}/")
        elif here != "model/name":
            yield here, value


def _parallel(summary: StudySummary, family: str, trials: list[TrialSummary]) -> Parallel:
    rows = [dict(settings(json.loads(trial.config))) for trial in trials]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    axes = [
        _axis(name, values) for name, values in columns.items() if len(set(map(str, values))) > 1
    ]
    reached = _axis(summary.metric or "value", [trial.best for trial in trials])
    if not summary.maximize:  # the best on top
        turned = [None if height is None else 1 - height for height in reached.heights]
        ticks = [(1 - height, text) for height, text in reached.ticks]
        reached = Axis(reached.name, turned, reached.texts, ticks)
    return Parallel(family, [trial.trial for trial in trials], [*axes, reached])


def _axis(name: str, values: list[Any]) -> Axis:
    """A setting's values on a scale from 0 to 1, words and switches evenly spread."""
    present = [value for value in values if value is not None]
    if any(isinstance(value, bool | str) for value in present):
        words = sorted({word(value) for value in present})
        scale = {text: index / max(len(words) - 1, 1) for index, text in enumerate(words)}
        heights = [None if value is None else scale[word(value)] for value in values]
        ticks = [(height, text) for text, height in scale.items()]
    else:
        low, high = min(present), max(present)
        logarithmic = low > 0 and high / low >= LOG_RATIO
        heights = [None if v is None else _height(v, low, high, logarithmic) for v in values]
        ticks = [(0.0, f"{low:.3g}"), (1.0, f"{high:.3g}")] if high > low else [(0.5, f"{low:.3g}")]
    return Axis(name, heights, [word(value) for value in values], ticks)


def _height(value: float, low: float, high: float, logarithmic: bool) -> float:
    if high == low:
        return 0.5
    if logarithmic:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def word(value: Any) -> str:
    """A setting's value for people; a dash where there is none."""
    match value:
        case None:
            return "—"
        case bool():
            return "yes" if value else "no"
        case float():
            return number(value)
        case _:
            return str(value)
