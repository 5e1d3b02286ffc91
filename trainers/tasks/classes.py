"""Tasks whose targets are classes: one for the sequence, or one for every step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spaces import SearchSpace
from trainers.data.batch import Batch
from trainers.heads import PerStep, Pooled
from trainers.tasks.entities import are_bio, tag_table
from trainers.tasks.f_scores import class_counts, entity_counts, f_score, f_score_shares
from trainers.tasks.task import Metric, Task, check_at_least


@dataclass(frozen=True, kw_only=True)
class ClassTask(Task):
    """What tasks of classes share: their number, their weights, and F scores among the metrics.

    Attributes:
        classes: Number of classes.
        class_weights: How much a target of each class counts in training, not in metrics.
    """

    has_classes: ClassVar[bool] = True

    classes: int
    class_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("classes", self.classes, 2)
        if self.class_weights is None:
            return
        object.__setattr__(self, "class_weights", tuple(self.class_weights))
        if len(self.class_weights) != self.classes or min(self.class_weights) <= 0:
            raise ValueError(
                f"`class_weights` must be {self.classes} positive numbers, one for each class, "
                f"got {list(self.class_weights)}"
            )

    def balanced(self, counts: Sequence[int]) -> Self:
        """The task with weights by which all classes that occur count alike, whatever their counts.

        A class that occurs n_k times among n targets of k classes gets n / (k * n_k); one that does
        not occur has nothing to weigh, and gets 1.

        Reference:
            King and Zeng, "Logistic regression in rare events data", Political Analysis 2001, as in
            scikit-learn.
        """
        share = sum(counts) / max(sum(count > 0 for count in counts), 1)
        return replace(self, class_weights=tuple(share / n if n else 1.0 for n in counts))

    def weights(self, batch: Batch) -> Tensor:
        """The weight of every target's class, (batch, steps); 0 at padding."""
        real = super().weights(batch)
        if self.class_weights is None:
            return real
        return real * _constant(self.class_weights, batch.targets.device)[batch.targets]

    def counts(self, guesses: Tensor, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """For each F score its hits and what is named, (batch, classes) each; see `f_scores`.

        Args:
            guesses: (batch, steps), the likeliest classes.
        """
        return {"macro_f1": class_counts(guesses, batch.targets, batch.target_mask, self.classes)}

    def measure(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """As of every task, and what F scores are made of."""
        guesses = outputs.argmax(-1).reshape(batch.targets.shape)
        examples = super().measure(outputs, batch)
        for name, (hits, named) in self.counts(guesses, batch).items():
            examples |= {f"{name} hits": hits, f"{name} named": named}
        return examples

    def summarize(self, examples: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Means over all targets, and F scores of the whole split."""
        means = super().summarize(examples)
        names = (metric.name for metric in self.metrics)
        return {
            name: means[name] if name in means else f_score(*_counts_of(name, examples))
            for name in names
        }

    def example_losses(self, examples: Mapping[str, np.ndarray], metric: str) -> np.ndarray:
        """As of every task; of an F score, how far every example moves it."""
        if metric in examples:
            return super().example_losses(examples, metric)
        self.metric(metric)
        return -f_score_shares(*_counts_of(metric, examples))


@dataclass(frozen=True, kw_only=True)
class Classification(ClassTask):
    """One class for the whole sequence."""

    name: ClassVar[str] = "classification"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", maximize=True, unit="fraction"),
        Metric("log_loss", maximize=False, unit="nats"),
        Metric("macro_f1", maximize=True, unit="fraction"),
    )

    def head_space(self) -> SearchSpace:
        """How steps are pooled."""
        return Pooled.space()

    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """Outputs are logits, (batch, classes)."""
        return Pooled(size, self.classes, **settings)

    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """Cross-entropy with smoothed labels, (batch, 1)."""
        return cross_entropy(outputs.unsqueeze(1), batch.targets, label_smoothing)

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Whether the class was met and its surprise, (batch, 1) each."""
        return _class_scores(outputs.unsqueeze(1), batch.targets)


@dataclass(frozen=True, kw_only=True)
class Tagging(ClassTask):
    """One class for every step."""

    name: ClassVar[str] = "tagging"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("log_loss", maximize=False, unit="nats per step"),
        Metric("accuracy", maximize=True, unit="fraction"),
        Metric("macro_f1", maximize=True, unit="fraction"),
    )

    def head_space(self) -> SearchSpace:
        """Nothing to choose."""
        return PerStep.space()

    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """Outputs are logits, (batch, time, classes)."""
        return PerStep(size, self.classes, **settings)

    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """Cross-entropy of every step with smoothed labels, (batch, time)."""
        return cross_entropy(outputs, batch.targets, label_smoothing)

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Whether every step's class was met and its surprise, (batch, time) each."""
        return _class_scores(outputs, batch.targets)


@dataclass(frozen=True, kw_only=True)
class EntityTagging(Tagging):
    """Tagging with B-, I- and O tags, judged by the entities that they mark.

    An entity is met where its first step, its last and its kind are; `entity_f1` is over all
    entities alike, as of the CoNLL-2003 shared task and seqeval.

    Attributes:
        tags: What the classes are called, in their order.
    """

    name: ClassVar[str] = "entity_tagging"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("entity_f1", maximize=True, unit="fraction"),
        *Tagging.metrics,
    )

    tags: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "tags", tuple(self.tags))
        if len(self.tags) != self.classes or not are_bio(self.tags):
            raise ValueError(
                f"`tags` must be {self.classes} different ones of O, B-kind and I-kind, and not "
                f"only O, got {', '.join(self.tags)}"
            )

    def counts(self, guesses: Tensor, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """As of `Tagging`, and those of entities, (batch, 1) each."""
        table = tag_table(self.tags, batch.targets.device)
        found = entity_counts(guesses, batch.targets, batch.target_mask, table)
        return {"entity_f1": found, **super().counts(guesses, batch)}


def _counts_of(name: str, examples: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return examples[f"{name} hits"], examples[f"{name} named"]


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float | Tensor = 0.0) -> Tensor:
    """(batch, steps) nats of targets (batch, steps), from logits (batch, steps, classes).

    Written out so that the smoothing may be a tensor: trials that train as one may differ in it.
    """
    log_probabilities = F.log_softmax(logits, -1)
    surprise = -log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    if isinstance(label_smoothing, float) and label_smoothing == 0.0:
        return surprise
    return torch.lerp(surprise, -log_probabilities.mean(-1), label_smoothing)


def _class_scores(logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    return {
        "accuracy": (logits.argmax(-1) == targets).float(),
        "log_loss": cross_entropy(logits, targets),
    }


@lru_cache(maxsize=16)
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)
