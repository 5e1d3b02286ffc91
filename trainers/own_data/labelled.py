"""Classification and regression of a user's own examples: divided, checked, made a data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainers.benchmarks.scaling import Scaler
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.own_data.account import KEY, Account
from trainers.own_data.columns import Numbers, Words
from trainers.own_data.description import OwnData
from trainers.own_data.dividing import NAMES, Division, divide
from trainers.own_data.examples import Examples, Inputs, sorted_classes
from trainers.own_data.leakage import warn_of_duplicates
from trainers.own_data.table import DATA
from trainers.tasks import Classification, Regression, Task, task_from_json


@dataclass(frozen=True, slots=True)
class Answers:
    """What is asked of each example: its class, or some numbers.

    Attributes:
        name: Of the column they are from.
        values: (examples,) codes of classes, or (examples, outputs).
        classes: The classes by their codes; None for numbers.
    """

    name: str
    values: np.ndarray
    classes: list[str] | None = None

    @classmethod
    def of_classes(cls, name: str, codes: np.ndarray, names: Sequence[str]) -> "Answers":
        """Classes, put into order."""
        classes, ordered = sorted_classes(names, codes)
        return cls(name, ordered, classes)


def answer_columns(own: OwnData, targets: tuple[str, ...]) -> list[Words] | list[Numbers]:
    """Collectors of what is asked, empty as yet."""
    if own.task == "classification":
        return [Words(name) for name in targets]
    return [Numbers(name) for name in targets]


def answers_of(columns: list[Words] | list[Numbers], rows: np.ndarray) -> Answers:
    """The answers of some rows, one for each example."""
    first = columns[0]
    if isinstance(first, Words):
        return Answers.of_classes(first.name, first.codes[rows], first.words)
    stacked = [column.values[rows] for column in columns if isinstance(column, Numbers)]
    return Answers(first.name, np.stack(stacked, axis=1))


@dataclass(frozen=True, slots=True)
class Labelled:
    """Examples with their answers.

    Attributes:
        examples: What the answers are about.
        parts: (examples,) what the file of each was given as.
        place: Where an example stands.
        groups: (examples,) codes of groups.
        columns: The columns of the table by role.
    """

    examples: Examples
    answers: Answers
    parts: np.ndarray
    place: Callable[[int], str]
    groups: np.ndarray | None = None
    columns: dict[str, Any] = field(default_factory=dict)

    def dataset(self, own: OwnData, account: Account) -> Dataset:
        """Divided and prepared.

        Raises:
            ValueError: There are too few examples or classes, or a class is not in train.
        """
        classes = self.answers.classes
        account.say(self.examples.summary())
        if classes is not None and len(classes) < 2:
            raise ValueError(
                f"{own.data[0]}: {self.answers.name!r} must hold at least two classes, "
                f"got only {classes[0]!r}"
            )
        stratify = None if classes is None else (self.answers.values, classes)
        division = divide(own, self.parts, classes=stratify, groups=self.groups)
        account.say(f"split: {division.rule}")
        self._check_classes(division)
        inputs = self.examples.inputs(division.is_train)
        task, targets, more = _asked(self.answers, inputs, division, account)
        warn_of_duplicates(self.examples.keys(), division.splits, account)
        everything = Split(inputs.sequences, targets)
        train, valid, test = (
            everything.select(np.flatnonzero(division.splits == part)) for part in range(3)
        )
        account.say(f"sizes: {len(train):,} train / {len(valid):,} valid / {len(test):,} test")
        return Dataset(
            name=own.name,
            task=task,
            train=train,
            valid=valid,
            test=test,
            preprocessing={
                **inputs.preprocessing,
                **more,
                "columns": self.columns,
                KEY: account.to_json(),
            },
        )

    def _check_classes(self, division: Division) -> None:
        if self.answers.classes is None:
            return
        learnt = np.unique(self.answers.values[division.is_train])
        unknown = np.flatnonzero(~np.isin(self.answers.values, learnt))
        if len(unknown):
            example = int(unknown[0])
            name = self.answers.classes[self.answers.values[example]]
            raise ValueError(
                f"{self.place(example)}: every class must be in train, got {name!r}, which is in "
                f"{NAMES[division.splits[example]]} only; leave it out, or divide otherwise "
                f"(another `seed`, other files)"
            )


def _asked(
    answers: Answers, inputs: Inputs, division: Division, account: Account
) -> tuple[Task, Sequences, dict[str, Any]]:
    """The task, its targets, and what has to be kept of them."""
    if answers.classes is not None:
        counts = np.bincount(answers.values, minlength=len(answers.classes))
        shown = [f"{name} ({count:,})" for name, count in zip(answers.classes, counts, strict=True)]
        more = f" and {len(shown) - 20:,} more" if len(shown) > 20 else ""
        account.say(f"classes: {', '.join(shown[:20])}{more}")
        fields = {"classes": len(answers.classes), **inputs.task_fields}
        task = task_from_json({"name": Classification.name, **fields})
        return task, Sequences.from_array(answers.values[:, None]), {"classes": answers.classes}
    scaler = Scaler.fit(answers.values[division.splits == DATA])
    account.say("scaling: targets by the mean and deviation of train, so errors are in deviations")
    fields = {"outputs": answers.values.shape[1], **inputs.task_fields}
    task = task_from_json({"name": Regression.name, **fields})
    targets = Sequences.from_array(scaler.apply(answers.values)[:, None])
    return task, targets, {"target_scaler": scaler.to_json()}
