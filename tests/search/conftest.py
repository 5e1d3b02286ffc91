"""What the tests of the conductor share."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from search.conductor import Conductor
from search.study import Study
from search.trial import Outcome
from spaces import Float, Int, SearchSpace

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
