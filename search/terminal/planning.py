"""What a study would take, told to a person before it is started."""

import os
from pathlib import Path

from cluster.bucket import url_of
from cluster.machine import Machine
from search.earlier import earlier_trials
from search.plan import FamilyPlan, Plan, Shapes, dry_runs
from search.problem import Problem
from search.results.cells import count, seconds
from search.results.planned import plan_path
from search.results.tables import Block, to_terminal
from search.runner.meter import data_bytes, gpu_of, need_of
from search.runner.packing import Gpu, Packing, pack
from search.study import AUTO, Study
from trainers.device import accelerator, device_sizes, use_threads, usual_device


def plan_text(study: Study, directory: Path) -> str:
    """Make a plan, keep it for later beside where the study's folder will be, and show it.

    Beside a study in an object store none is kept.

    Raises:
        OSError: The data cannot be had, or the plan cannot be written.
        ValueError: The study is wrong.
    """
    problem = Problem.of(study)
    earlier_trials(study, problem)
    use_threads(study.resources.cpus_per_trial)
    device = "cpu" if study.resources.gpus_per_trial == 0 else usual_device()
    shapes = dry_runs(study, problem, device=device)
    slots, packing = slots_here(study), ""
    if device == "cuda" and study.resources.gpus_per_trial == AUTO:
        arrays = problem.dataset.to_parts()[1]
        here = Machine(os.cpu_count() or 1, len(device_sizes()))
        packed = packed_here(study, shapes, gpu_of(accelerator()), here, data_bytes(arrays))
        slots, packing = packed.slots, packed.reason
    plan = Plan.from_shapes(study, shapes, slots=slots, device=device, packing=packing)
    if url_of(directory) is None:
        plan.write(plan_path(directory))
    return to_terminal([_block(study, plan)])


def slots_here(study: Study) -> int:
    """Trials at a time by the CPUs of this machine; at least one."""
    room = (os.cpu_count() or 1) // study.resources.cpus_per_trial
    return max(min(room, study.resources.max_concurrent or room), 1)


def packed_here(
    study: Study, shapes: Shapes, gpu: Gpu, machine: Machine, data_bytes: int
) -> Packing:
    """How trials will share the GPUs of this machine."""
    needs = [need_of(cost, data_bytes) for costs in shapes.values() for cost in costs]
    resources = study.resources
    return pack(needs, gpu, [machine], cpus=resources.cpus_per_trial, most=resources.max_concurrent)


def _block(study: Study, plan: Plan) -> Block:
    headings = ["family", "trials", "search", "finalists", "parameters", "an epoch", "memory"]
    return Block(
        title=f"{study.name}: about {seconds(plan.wall_seconds)}, {plan.slots} trials at a time",
        headings=headings,
        words=frozenset({"family", "parameters", "an epoch"}),
        cells=[_row(name, family) for name, family in plan.families.items()],
        notes=_notes(study, plan),
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


def _notes(study: Study, plan: Plan) -> list[str]:
    arrays = study.resources.array_size != 1
    return [
        *([f"GPUs: {plan.packing}."] if plan.packing else []),
        f"{seconds(plan.device_seconds)} of training in all, from short runs on {plan.device} of "
        "the smallest, the middle and the largest model of some draws.",
        *(["Trials count one by one; where arrays of them pay, they take less."] * arrays),
        f"Checkpoints: {size(plan.kept_bytes)} at the end, at most {size(plan.peak_bytes)} before.",
        "Memory is that of one trial's tensors; a worker holds Python, torch and the data besides.",
    ]


def size(value: int) -> str:
    """Bytes as `12.3 MB`."""
    return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"
