"""What a study would take, told to a person before it is started."""

import os
from pathlib import Path

from search.earlier import earlier_trials
from search.plan import FamilyPlan, Plan
from search.problem import Problem
from search.results.cells import count, seconds
from search.results.planned import plan_path
from search.results.tables import Block, to_terminal
from search.study import Study
from trainers.device import use_threads, usual_device


def plan_text(study: Study, directory: Path) -> str:
    """Make a plan, keep it for later beside where the study's folder will be, and show it.

    Raises:
        OSError: The data cannot be had, or the plan cannot be written.
        ValueError: The study is wrong.
    """
    problem = Problem.of(study)
    earlier_trials(study, problem)
    use_threads(study.resources.cpus_per_trial)
    device = "cpu" if study.resources.gpus_per_trial == 0 else usual_device()
    plan = Plan.of(study, problem, slots=slots_here(study), device=device)
    plan.write(plan_path(directory))
    return to_terminal([_block(study, plan)])


def slots_here(study: Study) -> int:
    """Trials at a time by the CPUs of this machine; at least one."""
    room = (os.cpu_count() or 1) // study.resources.cpus_per_trial
    return max(min(room, study.resources.max_concurrent or room), 1)


def _block(study: Study, plan: Plan) -> Block:
    headings = ["family", "trials", "search", "finalists", "parameters", "an epoch", "memory"]
    return Block(
        title=f"{study.name}: about {seconds(plan.wall_seconds)}, {plan.slots} trials at a time",
        headings=headings,
        words=frozenset({"family", "parameters", "an epoch"}),
        cells=[_row(name, family) for name, family in plan.families.items()],
        notes=_notes(plan),
    )


def _row(name: str, family: FamilyPlan) -> list[str]:
    shapes = family.shapes
    return [
        name,
        count(family.trials),
        seconds(family.search_seconds),
        seconds(family.confirm_seconds),
        " / ".join(count(shape.parameters) for shape in shapes),
        " / ".join(seconds(shape.epoch_seconds) for shape in shapes),
        size(family.memory_bytes),
    ]


def _notes(plan: Plan) -> list[str]:
    return [
        f"{seconds(plan.device_seconds)} of training in all, from short runs on {plan.device} of "
        "the smallest, the middle and the largest model of some draws.",
        f"Checkpoints: {size(plan.kept_bytes)} at the end, at most {size(plan.peak_bytes)} before.",
        "Memory is that of one trial's tensors; a worker holds Python, torch and the data besides.",
    ]


def size(value: int) -> str:
    """Bytes as `12.3 MB`."""
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"
