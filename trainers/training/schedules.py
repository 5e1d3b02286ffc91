"""Learning-rate schedules as pure functions of the step and of what validation said so far."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spaces import Float, Int, OneOf, SearchSpace

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands.

    Attributes:
        total: Steps up to the horizon of the training.
        losses: Validation losses of the epochs done.
    """

    total: int
    losses: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """A kind of schedule.

    Attributes:
        space: Its settings.
        factors: From steps done, progress and settings to what the learning rate is multiplied by,
            for each of the steps.
    """

    space: SearchSpace
    factors: Callable[[range, Progress, Settings], list[float]]


def constant(steps: range, _progress: Progress, _settings: Settings) -> list[float]:
    """The learning rate as it is."""
    return [1.0] * len(steps)


def cosine(steps: range, progress: Progress, settings: Settings) -> list[float]:
    """Linear warm-up, then half a cosine down to 0.

    Reference:
        Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
        without restarts.
    """
    warmup = round(settings["warmup"] * progress.total)
    return [
        _warm(step, warmup) * _half_cosine(_share(step, warmup, progress.total)) for step in steps
    ]


def linear(steps: range, progress: Progress, settings: Settings) -> list[float]:
    """Linear warm-up, then linearly down to 0."""
    warmup = round(settings["warmup"] * progress.total)
    return [_warm(step, warmup) * (1 - _share(step, warmup, progress.total)) for step in steps]


def one_cycle(steps: range, progress: Progress, settings: Settings) -> list[float]:
    """Up from 1/25 by half a cosine, then down to 1/250,000; torch's defaults.

    Reference:
        Smith and Topin, "Super-convergence: very fast training of neural networks using large
        learning rates", 2018.
    """
    first, last = 1 / 25, 1 / 25 / 1e4
    peak = max(settings["warmup"] * progress.total - 1, 0)
    end = max(progress.total - 1, 1)
    return [
        1 + (first - 1) * _half_cosine(step / peak)
        if step < peak
        else last + (1 - last) * _half_cosine(_share(step, peak, end))
        for step in steps
    ]


def plateau(steps: range, progress: Progress, settings: Settings) -> list[float]:
    """Reduced whenever validation has not improved for more than `patience` epochs.

    An improvement is one by more than 0.01 %, as in torch; it starts the count anew.
    """
    best, waited, reductions = math.inf, 0, 0
    for loss in progress.losses:
        improved = loss < best - 1e-4 * abs(best) if math.isfinite(best) else loss < best
        best, waited = (loss, 0) if improved else (best, waited + 1)
        if waited > settings["patience"]:
            reductions, waited = reductions + 1, 0
    return [settings["factor"] ** reductions] * len(steps)


def _warm(step: int, warmup: int) -> float:
    return (step + 1) / warmup if step < warmup else 1.0


def _share(step: int, start: float, end: float) -> float:
    """How much of the way from `start` to `end` is done, in [0, 1]."""
    return min(max((step - start) / max(end - start, 1), 0.0), 1.0)


def _half_cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(SearchSpace({}), constant),
    "cosine": Schedule(SearchSpace({"warmup": Float(0.0, 0.2, default=0.0)}), cosine),
    "one_cycle": Schedule(SearchSpace({"warmup": Float(0.1, 0.5, default=0.3)}), one_cycle),
    "linear": Schedule(SearchSpace({"warmup": Float(0.0, 0.2, default=0.05)}), linear),
    "plateau": Schedule(
        SearchSpace(
            {
                "factor": Float(0.1, 0.7, log=True, default=0.5),
                "patience": Int(1, 10, default=4, kind="scalar"),
            }
        ),
        plateau,
    ),
}


def schedule_space() -> OneOf:
    """Which schedule, with its settings."""
    return OneOf({name: kind.space for name, kind in SCHEDULES.items()}, default="cosine")
