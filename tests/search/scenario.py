"""Small studies of scripted trials on real Ray, for the tests of the runner."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cluster.connect import Session, connect, environment
from search.motion.conductor import Conductor
from search.runner.interruption import Interruption
from search.runner.leases import Crew, run_leases
from search.runner.packages import ROOT
from search.study import Study
from spaces import Float, SearchSpace
from tests.search.scripted_worker import METRIC, ScriptedWorker


@contextmanager
def ray_session(cpus: int, **variables: str) -> Iterator[Session]:
    """Ray with so many CPUs, started with these variables, for the tests of a file."""
    ours = {"RAY_AUTH_MODE": "disabled"} | variables
    with environment(ours), connect(code=ROOT, cpus=cpus) as session:
        yield session


def small_study(trials: int, *, epochs: int = 4, scheduler: str = "none") -> Study:
    return Study.from_mapping(
        {
            "name": "scripted",
            "benchmark": "none",
            "families": ["lstm"],
            "budget": {"trials_per_family": trials, "epochs": epochs},
            "search": {"sampler": "random", "scheduler": scheduler},
            "confirm": {"top_per_family": 0},
        }
    )


class Scenario:
    """One study of scripted trials, carried by real Ray."""

    def __init__(self, folder: Path, study: Study, script: Mapping[int, str] | None = None) -> None:
        self.folder = folder
        self.script = dict(script or {})
        self.events: list[dict[str, Any]] = []
        self.watch: Callable[[dict[str, Any]], None] = lambda event: None
        self.conductor = Conductor(
            spaces={"lstm": SearchSpace({"x": Float(0.0, 1.0)})},
            maximize=False,
            metric=METRIC,
            study=study,
            record=self.record,
        )

    def record(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self.watch(event)

    def run(
        self,
        slots: int,
        interruption: Interruption | None = None,
        watchdog_seconds: float = 3600.0,
        crews: Callable[[bool], Crew] | None = None,
    ) -> None:
        run_leases(
            self.conductor,
            crews
            or (
                lambda alone: Crew(
                    hire=partial(ScriptedWorker, self.script),
                    arrays={"values": np.zeros(1000)},
                    slots=slots,
                    cpus=1,
                    watchdog_seconds=watchdog_seconds,
                )
            ),
            checkpoint_path=lambda trial: self.folder / str(trial),
            aborted=lambda cause: self.record({"event": "aborted", "time": 0.0, "cause": cause}),
            interruption=interruption or Interruption(),
        )

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    def states(self) -> list[str]:
        return [trial.state.value for trial in self.conductor.state.trials]

    def assert_nothing_was_trained_twice(self) -> None:
        told = [(report["trial"], report["epoch"]) for report in self.of("reported")]
        assert len(told) == len(set(told))
