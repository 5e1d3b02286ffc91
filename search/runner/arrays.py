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

    What is only for finalists is found out when the search is over, with their own settings and
    while nothing is in flight. On GPUs all is found out at first, as workers hold them later.

    Args:
        device: Where trials are trained, in torch's words.
        slots: Workers at a time, which share the memory of this machine.
        record: Told of each decision, as an event.
        config_of: The configuration of the trial of that number.

    Attributes:
        sizes: By family, as far as they are known.
    """

    def __init__(
        self,
        study: Study,
        problem: Problem,
        *,
        device: str,
        slots: int,
        record: Callable[[Event], None],
        config_of: Callable[[int], Config],
    ) -> None:
        self._config_of = config_of
        self.sizes: dict[str, ArraySize] = {}
        self._study = study
        self._problem = problem
        self._device = device
        self._slots = slots
        self._record = record
        self._asked = study.resources.array_size

    def begin(self, log: Iterable[Event]) -> None:
        """Take those of the log that the study still asks for; find out what the search needs."""
        searched = None
        for event in log:
            if event["event"] == "arrays" and event["asked"] == self._asked:
                self._know(event["sizes"])
            elif event["event"] == "searched":
                searched = event
        at_once = self._asked != AUTO or self._device == "cuda"
        if at_once or self._most_in_search(MOST_MEMBERS) > 1:
            self._find(dict.fromkeys(self._study.families))
        if searched is not None:
            self.see(searched)

    def see(self, event: Event) -> None:
        """At the end of the search, find out what its finalists lack."""
        if event["event"] == "searched":
            finalists = {each["family"]: each["trial"] for each in event["finalists"]}
            self._find({family: self._config_of(trial) for family, trial in finalists.items()})

    def _know(self, sizes: Mapping[str, Mapping[str, int]]) -> None:
        self.sizes |= {family: ArraySize(**size) for family, size in sizes.items()}

    def _find(self, models: Mapping[str, Config | None]) -> None:
        """Of families that are not known; by a configuration, or by a middle one of some draws."""
        new = {family: config for family, config in models.items() if family not in self.sizes}
        choices = {family: choice for family, choice in self._choose(new).items() if choice}
        if choices:
            sizes = {family: asdict(self._size(choice)) for family, choice in choices.items()}
            reasons = {family: choice.reason for family, choice in choices.items()}
            self._know(sizes)
            self._record(
                {"event": "arrays", "asked": self._asked, "sizes": sizes, "reasons": reasons}
            )

    def _choose(self, families: Mapping[str, Config | None]) -> Mapping[str, ArrayChoice | None]:
        if self._asked != AUTO:
            size = int(self._asked)
            choice = ArrayChoice(size, "`resources.array_size` says so") if size > 1 else None
            return dict.fromkeys(families, choice)
        most = max(self._most_in_search(MOST_MEMBERS), self._most_finalists())
        if most < 2 or not families:
            return {}
        description, arrays = self._problem.dataset.to_parts()
        ask = partial(
            measure_arrays,
            description,
            self._problem.sources,
            [(family, config or self._middle(family)) for family, config in families.items()],
            device=self._device,
            most=most,
            cpus=self._study.resources.cpus_per_trial,
            sharing=self._slots,
        )
        if self._device == "cuda":
            return on_gpu(ask, arrays, labels=self._study.resources.labels)
        return ask(arrays)

    def _middle(self, family: str) -> Config:
        return shapes_of(self._problem, family, self._study)[1]

    def _size(self, choice: ArrayChoice) -> ArraySize:
        if self._asked != AUTO:
            return ArraySize(choice.size, choice.size)
        seeds = self._most_finalists()
        # seeds that nearly fit are one array: what is left over would be slow by itself
        whole = choice.size > 1 and seeds < 2 * choice.size
        return ArraySize(self._most_in_search(choice.size), seeds if whole else choice.size)

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
