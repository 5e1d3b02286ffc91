"""What the tests of search share: a conductor to play with, and studies written by hand."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.motion.conductor import Conductor
from search.motion.simulation import METRIC, Simulation, StandIn
from search.store.example_losses import write_losses
from search.store.ranges import write_ranges
from search.store.store import Store, checkpoint_path
from search.study import Study
from search.trial import Outcome
from spaces import Float, Int, SearchSpace

Event = dict[str, Any]
Finished = Callable[..., Path]


SPACE = SearchSpace({"x": Float(0, 1), "units": Int(1, 64)})
SPACES = {"a": SPACE, "b": SPACE}


def make_study(families=("a",), **changes: Any) -> Study:
    study = {
        "name": "test",
        "benchmark": "none",
        "families": families,
        "budget": {"trials_per_family": 3, "epochs": 9},
        "search": {"sampler": "random"},
        "confirm": {"top_per_family": 0},
    }
    return Study.from_mapping(study | changes)


class Stage:
    """A conductor with its log and a clock that moves when it is told to."""

    def __init__(self, study=None, spaces=None, maximize=False, log=()):
        self.log = list(log)
        self.now = 1000.0 + len(self.log)
        self.conductor = Conductor(
            spaces=spaces or SPACES,
            maximize=maximize,
            metric="loss",
            study=study or make_study(),
            record=lambda event: self.log.append(json.loads(json.dumps(event, allow_nan=False))),
            clock=lambda: self.now,
        )
        self.conductor.replay(log)

    def lease(self):
        return self.conductor.next_lease()

    def trial(self, number):
        return self.conductor.state.trials[number]

    def report(self, lease, epoch, loss=0.5, seconds=1.0):
        self.now += seconds
        measurement = {"valid": {"loss": loss}, "train_loss": loss, "seconds": seconds}
        self.conductor.report(lease, {"epoch": epoch, **measurement})

    def train(self, lease, loss=0.5, to_epoch=None):
        for epoch in range(lease.from_epoch + 1, (to_epoch or lease.to_epoch) + 1):
            self.report(lease, epoch, loss)

    def finish(self, lease, loss=0.5):
        self.train(lease, loss)
        test = {"loss": loss + 1} if lease.test else None
        self.conductor.end(lease, Outcome.reached(lease.to_epoch, test=test, test_epoch=1))

    def run(self, loss=lambda trial: 0.5):
        leases = []
        while lease := self.lease():
            leases.append(lease)
            self.finish(lease, loss(lease.trial))
        return leases

    def kinds(self):
        return [event["event"] for event in self.log]


@pytest.fixture
def new_study() -> Callable[..., Study]:
    """`new_study(families, **tables)`: a small study without finalists, some tables changed."""
    return make_study


@pytest.fixture
def new_stage() -> type[Stage]:
    """`new_stage(study, spaces, maximize, log)`: a conductor to be played with by hand."""
    return Stage


@pytest.fixture
def finished_study(tmp_path: Path) -> Finished:
    """`finished_study(tests, ...)`: the folder of a study that ended so, see `Author.write`."""
    return Author(tmp_path).write


@pytest.fixture
def simulated_study(tmp_path: Path) -> Finished:
    """`simulated_study(families, ...)`: the folder of a study of stand-ins, see `simulate`."""
    return lambda *args, **changes: simulate(tmp_path, *args, **changes)


@pytest.fixture(scope="session")
def simulate_in() -> Finished:
    """`simulate_in(folder, families, ...)`, for tests with a folder for each example."""
    return simulate


def simulate(
    folder: Path, families: Mapping[str, StandIn], *, name: str = "simulated", **changes: Any
) -> Path:
    """Run a study of stand-ins to its end and write down what a real one would have written.

    Args:
        changes: Tables of the study file.
    """
    study = Study.from_mapping(
        {
            "name": name,
            "benchmark": "none",
            "families": list(families),
            "budget": {"trials_per_family": 24, "epochs": 20},
            "search": {"sampler": "random", "scheduler": "none"},
        }
        | changes
    )
    measured = {"metric": METRIC, "maximize": False}
    with Store.create(folder / name, study) as store:

        def record(event: Event) -> None:
            store.append(event | (measured if event["event"] == "opened" else {}))

        Simulation(study, families, record=record).run()
        store.append({"event": "closed"})
    write_ranges(folder / name, {family: each.space for family, each in families.items()})
    return folder / name


class Author:
    """Writes whole studies, one trial and its finalists per family."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(
        self,
        tests: Mapping[str, Iterable[float | np.ndarray]],
        *,
        name: str = "mine",
        benchmark: str = "digits_rows",
        maximize: bool = False,
        untested: Mapping[str, float] | None = None,
        extra: Iterable[Event] = (),
    ) -> Path:
        """A study in which every family has one trial, with the validation value 1.

        Args:
            tests: By family, for each seed the value on the test split, or (examples,) the
                examples' losses.
            untested: Families without finalists, with their validation value.
            extra: Events at the end.
        """
        values = dict.fromkeys(tests, 1.0) | dict(untested or {})
        description = {"name": name, "benchmark": benchmark, "families": list(values) or ["gru"]}
        study = Study.from_mapping(description | {"budget": {"trials_per_family": 1, "epochs": 2}})
        folder, numbers = self._folder / name, count()
        metric = "accuracy" if maximize else "log_loss"
        with Store.create(folder, study) as store:
            store.append(
                {"event": "opened", "metric": metric, "maximize": maximize}
                | {"families": list(values)}
            )
            for family, value in values.items():
                search = next(numbers)
                for event in _trial(search, family, value):
                    store.append(event)
                for seed, result in enumerate(tests.get(family, ())):
                    number = next(numbers)
                    for event in _trial(number, family, value, seed=seed + 1, of=search):
                        store.append(event)
                    sign = -1 if maximize else 1
                    test = result if isinstance(result, float) else sign * float(result.mean())
                    place = {"trial": number, "attempt": 1, "epoch": 2}
                    store.append({"event": "tested", **place, "test": {metric: test}})
                    if not isinstance(result, float):
                        write_losses(checkpoint_path(folder, number), result)
            for event in extra:
                store.append(event)
        return folder


def _trial(
    number: int, family: str, value: float, *, seed: int = 0, of: int | None = None
) -> list[Event]:
    place = {"trial": number, "attempt": 1}
    config = {"model": {"name": family}, "head": {}, "training": {}}
    proposed = {"event": "proposed", "trial": number, "attempt": 0, "epoch": 0, "family": family}
    return [
        proposed | {"proposal": number, "config": config, "seed": seed, "finalist_of": of},
        {"event": "leased", **place, "epoch": 0, "lease": number, "to_epoch": 2},
        {"event": "reported", **place, "epoch": 1, "value": value, "seconds": 1.0},
        {"event": "ended", **place, "epoch": 2, "state": "complete", "cause": ""},
    ]
