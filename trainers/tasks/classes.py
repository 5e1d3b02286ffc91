"""Tasks whose targets are classes: one for the sequence, or one for every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spaces import SearchSpace
from trainers.batch import Batch
from trainers.heads import PerStep, Pooled
from trainers.tasks.task import Metric, Task, check_at_least


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """One class for the whole sequence.

    Attributes:
        classes: Number of classes.
        class_weights: How much an example of each class counts in training, not in metrics.
    """

    name: ClassVar[str] = "classification"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", maximize=True, unit="fraction"),
        Metric("log_loss", maximize=False, unit="nats"),
    )
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

    def weights(self, batch: Batch) -> Tensor:
        """The weight of every example's class, (batch, 1)."""
        if self.class_weights is None:
            return super().weights(batch)
        return _constant(self.class_weights, batch.targets.device)[batch.targets]

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Whether the class was met and its surprise, (batch, 1) each."""
        return _class_scores(outputs.unsqueeze(1), batch.targets)


@dataclass(frozen=True, kw_only=True)
class Tagging(Task):
    """One class for every step."""

    name: ClassVar[str] = "tagging"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("log_loss", maximize=False, unit="nats per step"),
        Metric("accuracy", maximize=True, unit="fraction"),
    )
    has_classes: ClassVar[bool] = True

    classes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("classes", self.classes, 2)

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
