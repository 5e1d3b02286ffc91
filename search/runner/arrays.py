"""How many trials of a family are trained as one: asked for, or measured; told in the log."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import numpy as np

from search.motion.events import Event
from search.motion.mates import ArraySize
from search.plan import shapes_of
from search.problem import Problem
from search.runner.leases import on_gpu
from search.study import AUTO, Study
from spaces import Config
from trainers.catalog import load_family
from trainers.data.dataset import Dataset
from trainers.device import accelerator, threads
from trainers.training.array_size import ArrayChoice, choose_array_size

MOST_MEMBERS: Final = 64
LEAST_SHAPES: Final = 8
"""Shapes that a family is to try at least, before `auto` puts trials of one into an array."""
MEMORY_SHARE: Final = 0.5
"""Of a device's memory that an array may take; batches differ, and other things lie there."""


class ArraySizes:
    """Finds out the sizes once in a study's life; a resumed study keeps them.

    Args:
        device: Where trials are trained, in torch's words.
        slots: Workers at a time, which share the memory of this machine.
        record: Told of the decision, as an event.
    """

    def __init__(
        self,
        study: Study,
        problem: Problem,
        *,
        device: str,
        slots: int,
        record: Callable[[Event], None],
    ) -> None:
        self._study = study
        self._problem = problem
        self._device = device
        self._slots = slots
        self._record = record

    def find(self, log: Iterable[Event]) -> dict[str, ArraySize]:
        """By family; those of the log as they are, as long as the study asks for the same."""
        asked = self._study.resources.array_size
        known: dict[str, Any] = {}
        for event in log:
            if event["event"] == "arrays" and event["asked"] == asked:
                known |= event["sizes"]
        new = [family for family in self._study.families if family not in known]
        choices = {family: choice for family, choice in self._choose(new).items() if choice}
        if choices:
            known |= {family: asdict(self._size(choice)) for family, choice in choices.items()}
            reasons = {family: choice.reason for family, choice in choices.items()}
            self._record({"event": "arrays", "asked": asked, "sizes": known, "reasons": reasons})
        return {family: ArraySize(**size) for family, size in known.items()}

    def _choose(self, families: Iterable[str]) -> Mapping[str, ArrayChoice | None]:
        asked = self._study.resources.array_size
        if asked != AUTO:
            choice = (
                ArrayChoice(int(asked), "`resources.array_size` says so") if asked > 1 else None
            )
            return dict.fromkeys(families, choice)
        most = max(self._most_in_search(MOST_MEMBERS), self._most_finalists())
        models = [(family, shapes_of(self._problem, family, self._study)[1]) for family in families]
        if most < 2 or not models:
            return {}
        description, arrays = self._problem.dataset.to_parts()
        ask = partial(
            measure_arrays,
            description,
            self._problem.sources,
            models,
            device=self._device,
            most=most,
            cpus=self._study.resources.cpus_per_trial,
            sharing=self._slots,
        )
        if self._device == "cuda":
            return on_gpu(ask, arrays, labels=self._study.resources.labels)
        return ask(arrays)

    def _size(self, choice: ArrayChoice) -> ArraySize:
        if self._study.resources.array_size != AUTO:
            return ArraySize(choice.size, choice.size)
        return ArraySize(
            self._most_in_search(choice.size), min(choice.size, self._most_finalists())
        )

    def _most_in_search(self, size: int) -> int:
        trials = self._study.budget.trials_per_family
        return size if trials is None else min(size, max(trials // LEAST_SHAPES, 1))

    def _most_finalists(self) -> int:
        confirm = self._study.confirm
        return confirm.seeds if confirm.top_per_family else 1


def measure_arrays(
    description: dict[str, Any],
    sources: Mapping[str, str],
    models: Iterable[tuple[str, Config]],
    arrays: dict[str, np.ndarray],
    *,
    device: str,
    most: int,
    cpus: int,
    sharing: int,
) -> dict[str, ArrayChoice]:
    """What pays for models of each family, in this process.

    Args:
        description: The data set's; together with the arrays it is the data set.
        sources: Source text of those families that are a user's own.
        models: Family and configuration of each.
        most: Members of an array, at most.
        cpus: Of one trial.
        sharing: Processes that share the memory of a machine without GPUs.
    """
    dataset = Dataset.from_parts(description, arrays)
    gpu = device == "cuda"
    whole = accelerator().memory_bytes if gpu else _machine_bytes() // max(sharing, 1)
    with threads(cpus):
        return {
            family: choose_array_size(
                load_family(family, sources.get(family)),
                config,
                dataset,
                device=device,
                most=most,
                memory_bytes=MEMORY_SHARE * whole,
            )
            for family, config in models
        }


def _machine_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
