"""Tasks whose answer is a sequence with a length of its own, which a model has to decode."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from trainers.data.batch import Batch
from trainers.tasks.edits import edit_distance
from trainers.tasks.task import Task, check_at_least

Labels = list[int]
"""An answer, or what was asked for: labels without blanks, and without what marks an end."""


@dataclass(frozen=True, kw_only=True)
class Transduction(Task):
    """A sequence of labels, of any length, for each sequence.

    Some metrics are of the outputs (`measure`), others of what `SequenceModel.decode` makes of them
    (`measure_answers`).

    Attributes:
        classes: Number of different values in targets.
        beam_width: How many hypotheses are kept in decoding when a trained model is judged. While
            it trains, there is one: every step takes what is most probable.
    """

    has_classes: ClassVar[bool] = True
    counts: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The count that a metric is divided by, where it is not the `count` of `measure`."""
    has_end: ClassVar[bool] = False
    """The last label of every target only marks its end."""
    surprise: ClassVar[str]
    """The metric that is the negative log probability of the targets, by `count`."""

    classes: int
    beam_width: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("classes", self.classes, 2)
        check_at_least("beam_width", self.beam_width, 1)

    @abstractmethod
    def measure_answers(self, answers: Sequence[Labels], batch: Batch) -> dict[str, Tensor]:
        """(batch, ...) of every metric of answers, and the counts that these are divided by."""

    def references(self, batch: Batch) -> list[Labels]:
        """What was asked for."""
        lengths = batch.target_mask.sum(1).tolist()
        rows: list[Labels] = batch.targets.tolist()
        return [self.without_end(row[:length]) for row, length in zip(rows, lengths, strict=True)]

    def without_end(self, target: Labels) -> Labels:
        """A target without what marks its end, where something does."""
        return target[:-1] if self.has_end else target

    def summarize(self, examples: Mapping[str, np.ndarray]) -> dict[str, float]:
        """See `Task.summarize`; every metric is divided by its own count."""
        values = {}
        for metric in self.metrics:
            count = examples[self._count(metric.name)].sum(dtype=np.float64)
            values[metric.name] = float(examples[metric.name].sum(dtype=np.float64) / count)
        return values

    def example_losses(self, examples: Mapping[str, np.ndarray], metric: str) -> np.ndarray:
        """See `Task.example_losses`."""
        own = {"count": examples[self._count(metric)], metric: examples[metric]}
        return super().example_losses(own, metric)

    def _count(self, metric: str) -> str:
        return self.counts.get(metric, "count")


def edit_scores(answers: Sequence[Labels], references: Sequence[Labels]) -> dict[str, Tensor]:
    """Edits, the labels they are divided by, whether nothing is wrong, and 1 for each: (batch,)."""
    pairs = list(zip(answers, references, strict=True))
    edits = torch.tensor([float(edit_distance(*pair)) for pair in pairs])
    return {
        "edits": edits,
        "labels": torch.tensor([float(len(reference)) for reference in references]),
        "sequence_accuracy": (edits == 0).float(),
        "sequences": torch.ones(len(pairs)),
    }
