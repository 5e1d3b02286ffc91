"""Runs, or resumes, the study of a laboratory: a process of its own, that can be killed.

python -m tests.chaos.driver FOLDER RESULTS ADDRESS KIND TRIALS SLOTS
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search.motion.events import Event
from search.problem import Problem
from search.runner import crews, runner
from search.runner import driver as staff
from search.runner.interruption import Interrupted
from search.runner.leases import Crew
from search.study import Study
from tests.chaos.standin import StandIn

WATCHDOG_SECONDS = 6.0
FAMILIES = ("gru", "lstm")
EPOCHS, SEEDS, TOP = 9, 2, 1


STAND_INS, REAL = "stand-ins", "real"
REAL_EPOCHS = 60


def stand_ins(trials: int) -> Study:
    """Two families, successive halving, finalists on two seeds.

    Args:
        trials: For each family.
    """
    return Study.from_mapping(
        {
            "name": "chaos",
            "benchmark": "digits_rows",
            "families": list(FAMILIES),
            "budget": {"trials_per_family": trials, "epochs": EPOCHS},
            "search": {"sampler": "random", "scheduler": "asha"},
            "confirm": {"top_per_family": TOP, "seeds": SEEDS},
            "resources": {"array_size": 1},
        }
    )


class StandIns:
    """Who carries the leases of a study of stand-ins, instead of `search.runner.crews.Crews`."""

    def __init__(
        self, folder: str, slots: int, study: Study, problem: Problem, *_: Any, **__: Any
    ) -> None:
        self.device, self.slots, self.arrays = "cpu", slots, False
        self._crew = Crew(
            hire=partial(StandIn, folder, problem.metric.name),
            arrays={"nothing": np.zeros(1)},
            slots=slots,
            cpus=1,
            watchdog_seconds=WATCHDOG_SECONDS,
        )

    def __call__(self, alone: bool) -> Crew:
        return self._crew

    def see(self, event: Event) -> None:
        """Nothing is measured."""


def main(folder: str, results: str, address: str, kind: str, trials: str, slots: str) -> int:
    """Carry the study on; the exit code."""

    if kind == STAND_INS:
        study, staff.Crews = stand_ins(int(trials)), partial(StandIns, folder, int(slots))
    else:
        study = Study.load(Path(folder, "study.toml"))
        crews.Duty = partial(crews.Duty, checkpoint_seconds=0.2)
    try:
        runner.run_study(study, results, resume=Path(results).exists(), address=address)
    except Interrupted as interrupted:
        return 128 + interrupted.signum
    except (ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
