"""What can be had without a model where answers are sequences: the same for all, or a copy."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch

from trainers.data.batch import Batch
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Transduction, Translation
from trainers.tasks.transduction import Labels

VOCABULARIES: Final = {"vocabulary", "target_vocabulary"}

# From a split to what `Transduction.measure` and `measure_answers` say of each of its examples.
Measure = Callable[[Split], dict[str, np.ndarray]]


def trivial_answers(dataset: Dataset) -> Iterator[tuple[str, Measure]]:
    """The most frequent sequence of train for all, and in translation the words as they are.

    Surprise is by the frequencies of the labels in train, as if they were drawn one by one; an end
    is one more of them where the task has none of its own. Of sequences that are equally frequent,
    the first counts.
    """
    task = dataset.task
    assert isinstance(task, Transduction)
    nats = _surprise(dataset)
    targets = dataset.train.targets
    found = Counter(tuple(targets.example(row).tolist()) for row in range(len(targets)))
    usual = list(found.most_common(1)[0][0])
    answer = task.without_end(usual)

    def constant(split: Split) -> dict[str, np.ndarray]:
        return _measure(task, split, [answer] * len(split)) | nats(split)

    yield "most frequent sequence, label frequencies", constant
    named = dataset.preprocessing.keys() >= VOCABULARIES
    if not (named and isinstance(task, Translation)):
        return
    numbers = _as_they_are(dataset.preprocessing)

    def copied(split: Split) -> dict[str, np.ndarray]:
        rows = [numbers[split.inputs.example(row)].tolist() for row in range(len(split))]
        return _measure(task, split, rows) | nats(split)

    yield "words as they are, label frequencies", copied


def _as_they_are(preprocessing: dict[str, Any]) -> np.ndarray:
    """The number in the target's vocabulary of each word in the source's; unknown is 0."""
    numbers = {word: number for number, word in enumerate(preprocessing["target_vocabulary"])}
    return np.array([numbers.get(word, 0) for word in preprocessing["vocabulary"]])


def _measure(task: Transduction, split: Split, answers: list[Labels]) -> dict[str, np.ndarray]:
    measured = task.measure_answers(answers, _targets_of(split.targets))
    return {name: values.numpy() for name, values in measured.items()}


def _targets_of(targets: Sequences) -> Batch:
    """All examples in one batch; of inputs, nothing."""
    mask = torch.arange(int(targets.lengths.max())) < torch.from_numpy(targets.lengths)[:, None]
    padded = torch.zeros(mask.shape, dtype=torch.int64)
    rows = [targets.example(row) for row in range(len(targets))]
    padded[mask] = torch.from_numpy(np.concatenate(rows).astype(np.int64))
    return Batch(padded, mask, padded, mask, torch.arange(len(mask)))


def _surprise(dataset: Dataset) -> Measure:
    task = dataset.task
    assert isinstance(task, Transduction)

    def steps(split: Split) -> list[np.ndarray]:
        rows = [split.targets.example(row).astype(np.int64) for row in range(len(split))]
        return rows if task.has_end else [np.append(row, task.classes) for row in rows]

    classes = task.classes + (not task.has_end)
    labels = np.concatenate(steps(dataset.train))
    shares = (np.bincount(labels, minlength=classes) + 1 / classes) / (len(labels) + 1)

    def measure(split: Split) -> dict[str, np.ndarray]:
        nats = np.array([-np.log(shares[row]).sum() for row in steps(split)])
        return {task.surprise: nats, "count": split.targets.lengths.astype(np.float64)}

    return measure
