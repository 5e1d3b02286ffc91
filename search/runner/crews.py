"""Who carries the leases of a study: how many workers, and what each of them has."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from cluster.connect import Session
from cluster.machine import Machine, room
from search.motion.events import Event
from search.plan import shapes_of
from search.problem import Problem
from search.runner.leases import Crew, on_gpu
from search.runner.meter import Reading, data_bytes, measure
from search.runner.packing import Need, Packing, pack, share
from search.runner.worker import Duty, Worker
from search.study import AUTO, Study

ACCELERATOR = "ray.io/accelerator-type"
ARRAYS = "a GPU each, for arrays of trials"
RELIEF = "a GPU each for a while, for trials that a share of one was too small for"


class Meter(Protocol):
    """Finds out what models take of the GPUs of a cluster."""

    def __call__(self, study: Study, problem: Problem, session: Session) -> Reading:
        """The smallest of its GPUs, and what models that stand for all take of it."""


def meter_on_ray(study: Study, problem: Problem, session: Session) -> Reading:
    """Measure on one GPU of each kind that trials may run on; the reading of the smallest.

    Raises:
        ValueError: Torch sees no GPU where Ray has one.
    """
    description, arrays = problem.dataset.to_parts()
    models = [
        (family, config)
        for family in study.families
        for config in shapes_of(problem, family, study)
    ]
    kinds = {
        machine.labels.get(ACCELERATOR) for machine in eligible(study, session) if machine.gpus >= 1
    }
    readings = [
        on_gpu(
            partial(measure, description, problem.sources, models),
            arrays,
            labels={**study.resources.labels, **({ACCELERATOR: kind} if kind else {})},
        )
        for kind in sorted(kinds, key=str)
    ]
    return min(readings, key=lambda reading: reading.gpu.memory_bytes)


def eligible(study: Study, session: Session) -> list[Machine]:
    """The machines on which trials may run.

    Raises:
        ValueError: None has the labels that the study asks for.
    """
    labels = study.resources.labels
    found = [machine for machine in session.machines if machine.has(labels)]
    if not found:
        asked = ", ".join(f"{name} = {value}" for name, value in labels.items())
        known = {pair for machine in session.machines for pair in machine.labels.items()}
        there = ", ".join(f"{name} = {value}" for name, value in sorted(known))
        raise ValueError(
            f"`resources.labels` must be those of a machine, got {asked}; "
            f"there are {there or 'none'}"
        )
    return found


@dataclass(slots=True)
class Measured:
    """What one trial has been seen to take."""

    peak_bytes: int = 0
    seconds: float = 0.0
    epochs: int = 0


class Crews:
    """Says, before each `Tuner`, who carries the next leases; what it decides is an event.

    Where trials are packed onto GPUs, what they are seen to take while they train counts as well.

    Args:
        record: Called with each event.
        meter: Finds out what models take of a GPU, where that must be known.
        url: The study's, if it is in an object store.

    Attributes:
        slots: Workers at a time, before any share a GPU.
        arrays: Whether trials are trained as arrays, which are not packed onto GPUs.

    Raises:
        ValueError: The cluster does not hold a single trial, or not the data set.
    """

    def __init__(
        self,
        study: Study,
        problem: Problem,
        session: Session,
        *,
        record: Callable[[Event], None],
        meter: Meter = meter_on_ray,
        url: str | None = None,
    ) -> None:
        self._study = study
        self._machines = eligible(study, session)
        self._record = record
        self._said: Event | None = None
        self._seen: defaultdict[int, Measured] = defaultdict(Measured)
        self._reading: Reading | None = None
        description, arrays = problem.dataset.to_parts()
        check_store(data_bytes(arrays), session.object_store_bytes)
        self._gpus = self._asked_gpus()
        self._duty = Duty(
            description=description,
            sources=problem.sources,
            metric=problem.metric.name,
            epochs=study.budget.epochs,
            patience=study.budget.patience,
            device="cuda" if self._gpus else "cpu",
            threads=study.resources.cpus_per_trial,
            refit=study.confirm.refit,
            url=url,
        )
        self._plain = Crew(
            hire=partial(Worker, self._duty),
            arrays=arrays,
            slots=self._slots(self._gpus),
            cpus=study.resources.cpus_per_trial,
            gpus=self._gpus,
            labels=study.resources.labels,
            watchdog_seconds=study.resources.watchdog_seconds,
            started_workers=session.local,
        )
        self.slots = self._plain.slots
        self.arrays = False
        if self._gpus and study.resources.gpus_per_trial == AUTO:
            self._reading = meter(study, problem, session)

    @property
    def device(self) -> str:
        """Where trials are trained, in torch's words."""
        return self._duty.device

    def __call__(self, alone: bool) -> Crew:
        """Who carries the next leases; with `alone`, workers that have a GPU each."""
        if alone or (self.arrays and self._reading is not None):
            slots = self._slots(1.0)
            self._say(1.0, slots, None, RELIEF if alone else ARRAYS)
            return self._crew(1.0, slots, None)
        if self._reading is None:
            if self._plain.shares:
                said = f"`resources.gpus_per_trial` is {self._gpus:g}"
                self._say(self._gpus, self._plain.slots, None, said)
            return self._crew(self._gpus, self._plain.slots, None)
        packing = self._pack(self._reading)
        gpus = share(packing.per_gpu)
        self._say(gpus, packing.slots, packing.tensor_bytes, packing.reason)
        return self._crew(gpus, packing.slots, packing.tensor_bytes)

    def see(self, event: Event) -> None:
        """Take in what a trial was seen to take, from its reports."""
        peak = event.get("peak_memory_bytes")
        if event["event"] == "reported" and peak is not None:
            seen = self._seen[event["trial"]]
            seen.peak_bytes = max(seen.peak_bytes, peak)
            seen.seconds += event["seconds"]
            seen.epochs += 1

    def _pack(self, reading: Reading) -> Packing:
        busy = [need.busy for need in reading.needs if need.epoch_seconds]
        usual = sum(busy) / len(busy) if busy else 0.0
        seen = [
            Need(each.peak_bytes, each.seconds / each.epochs, usual) for each in self._seen.values()
        ]
        resources = self._study.resources
        return pack(
            [*reading.needs, *seen],
            reading.gpu,
            self._machines,
            cpus=resources.cpus_per_trial,
            most=resources.max_concurrent,
        )

    def _crew(self, gpus: float, slots: int, tensor_bytes: int | None) -> Crew:
        duty = replace(self._duty, gpu_share=min(gpus, 1.0) or 1.0, tensor_bytes=tensor_bytes)
        return replace(self._plain, hire=partial(Worker, duty), slots=slots, gpus=gpus)

    def _say(self, gpus: float, slots: int, tensor_bytes: int | None, reason: str) -> None:
        """Log a decision, unless it is the last one again."""
        event = {"gpus": gpus, "slots": slots, "tensor_bytes": tensor_bytes, "reason": reason}
        if event != self._said:
            self._said = event
            self._record({"event": "packed", **event})

    def _asked_gpus(self) -> float:
        """GPUs of one trial, before any are packed."""
        asked = self._study.resources.gpus_per_trial
        if isinstance(asked, str):  # "auto"
            return 1.0 if any(machine.gpus >= 1 for machine in self._machines) else 0.0
        return float(asked)

    def _slots(self, gpus: float) -> int:
        """Trials at a time, each with so many GPUs."""
        resources, machines = self._study.resources, self._machines
        if not room(machines, resources.cpus_per_trial):
            most = max(machine.cpus for machine in machines)
            raise ValueError(
                f"`resources.cpus_per_trial` must be at most the {most:g} CPUs of a machine, "
                f"got {resources.cpus_per_trial}"
            )
        per_gpu = None if not gpus else float(int(1 / gpus)) if gpus <= 1 else 1 / gpus
        slots = room(machines, resources.cpus_per_trial, per_gpu)
        if not slots:
            most = max(machine.gpus for machine in machines)
            raise ValueError(
                f"`resources.gpus_per_trial` must be at most the {most:g} GPUs of a machine with "
                f"CPUs, got {resources.gpus_per_trial}"
            )
        return min(slots, resources.max_concurrent or slots)


def check_store(needed: int, there: float) -> None:
    """Refuse a data set that Ray could not share among the trials.

    Raises:
        ValueError: It does not fit.
    """
    if needed > there:
        raise ValueError(
            f"the data set's arrays must fit into Ray's object store, got {needed / 1e6:,.1f} MB "
            f"of arrays and a store of {there / 1e6:,.1f} MB; give the machine more memory, or the "
            f"study less data"
        )
