"""What a study would take: dry runs of a few shapes, and its own scheduling on virtual time."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Self

from search.motion.randomness import key
from search.motion.rehearsal import rehearse
from search.problem import Problem
from search.runner.retention import KEPT_PER_FAMILY
from search.study import Study
from spaces import Config, default, sample
from trainers.training.dry_run import Cost, dry_run

DRAWS = 9  # configurations of a family, of which the smallest, the middle and the largest are run

Shapes = Mapping[str, tuple[Cost, ...]]
"""What the smallest, the middle and the largest model of some draws take, by family."""


@dataclass(frozen=True, slots=True)
class FamilyPlan:
    """What one family would take.

    Args:
        shapes: What a trial takes: of the smallest, the middle and the largest of some draws.
        trials: Of the search.
        search_seconds: Device seconds of the search.
        confirm_seconds: Device seconds of the finalists.
    """

    shapes: tuple[Cost, Cost, Cost]
    trials: int
    search_seconds: float
    confirm_seconds: float

    @property
    def memory_bytes(self) -> int:
        """What the largest of the shapes needs."""
        return max(shape.memory_bytes for shape in self.shapes)

    @property
    def checkpoint_bytes(self) -> int:
        """What the largest of the shapes needs."""
        return max(shape.checkpoint_bytes for shape in self.shapes)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a study would take.

    Args:
        slots: Trials at a time.
        packing: How they share GPUs, in words; empty where there are none.
        device: Where the dry runs were made.
        wall_seconds: From the first lease to the last.
        kept_bytes: Of the checkpoints that are left at the end.
        peak_bytes: Of the checkpoints while all trials that wait still may go on.
    """

    slots: int
    device: str
    families: dict[str, FamilyPlan]
    wall_seconds: float
    kept_bytes: int
    peak_bytes: int
    packing: str = ""

    @classmethod
    def from_shapes(
        cls, study: Study, shapes: Shapes, *, slots: int, device: str, packing: str = ""
    ) -> Self:
        """The plan that follows from what the shapes of each family take."""
        means = {family: _mean_seconds(costs) for family, costs in shapes.items()}
        rehearsal = rehearse(study, means, slots=slots)
        families = {
            family: FamilyPlan((costs[0], costs[1], costs[2]), **asdict(rehearsal.families[family]))
            for family, costs in shapes.items()
        }
        confirm = study.confirm
        kept = KEPT_PER_FAMILY + confirm.top_per_family * confirm.seeds * (1 + confirm.refit)
        return cls(
            slots=slots,
            device=device,
            packing=packing,
            families=families,
            wall_seconds=rehearsal.wall_seconds,
            kept_bytes=sum(kept * family.checkpoint_bytes for family in families.values()),
            peak_bytes=sum(
                max(family.trials, kept) * family.checkpoint_bytes for family in families.values()
            ),
        )

    @property
    def device_seconds(self) -> float:
        """Of all families, finalists included."""
        return sum(each.search_seconds + each.confirm_seconds for each in self.families.values())

    def write(self, path: Path) -> None:
        """Write the plan as JSON.

        Raises:
            OSError: It cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def dry_runs(study: Study, problem: Problem, *, device: str) -> Shapes:
    """Have models of each family trained for two steps; a second or two per family.

    Raises:
        ValueError: A configuration cannot be built.
        MemoryError, RuntimeError: One does not fit into the memory.
    """

    def measure(family: str, config: Config) -> Cost:
        return dry_run(problem.families[family], config, problem.dataset, device=device)

    return {
        family: tuple(measure(family, config) for config in shapes_of(problem, family, study))
        for family in study.families
    }


def shapes_of(problem: Problem, family: str, study: Study) -> list[Config]:
    """The smallest, the middle and the largest of some draws, by their epochs' likely cost."""
    space, sizing = problem.spaces[family], problem.sizings.get(family)
    drawn = sizing.drawn if sizing else space
    found: list[Config] = []
    for draw in range(100 * DRAWS):
        rng = Random(key(study.seed, "plan", family, draw))
        config = sample(drawn, rng) if draw else default(drawn)
        fitted = sizing.fit(config) if sizing else config
        found += [] if fitted is None else [fitted]
        if len(found) == DRAWS:
            break
    ranked = sorted(
        found or [default(space)], key=lambda config: problem.parameters(family, config)
    )
    return [ranked[0], ranked[len(ranked) // 2], ranked[-1]]


def _mean_seconds(shapes: tuple[Cost, ...]) -> float:
    """Of an epoch, the middle shape counting twice."""
    small, middle, large = (shape.epoch_seconds for shape in shapes)
    return (small + 2 * middle + large) / 4
