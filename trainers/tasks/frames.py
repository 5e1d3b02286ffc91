"""Sets of labels, one for every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from spaces import SearchSpace
from trainers.data.batch import Batch
from trainers.heads import PerStep
from trainers.tasks.task import Metric, Task, check_at_least


@dataclass(frozen=True, kw_only=True)
class MultilabelFrames(Task):
    """A set of labels for every step, such as the keys that sound next; labels are independent.

    Attributes:
        labels: Number of labels that may be on.

    Reference:
        Bai et al., "An empirical evaluation of generic convolutional and recurrent networks for
        sequence modeling", 2018: nats summed over the labels, the total divided by the number of
        frames of the split.
    """

    name: ClassVar[str] = "multilabel_frames"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("nats_per_frame", maximize=False, unit="nats per frame"),
    )

    labels: int
    causal: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("labels", self.labels, 1)

    def head_space(self) -> SearchSpace:
        """Nothing to choose."""
        return PerStep.space()

    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """Outputs are logits, (batch, time, labels)."""
        return PerStep(size, self.labels, **settings)

    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """Binary cross-entropy summed over the labels, (batch, time)."""
        return _binary_cross_entropy(outputs, batch.targets)

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Nats of every frame, (batch, time)."""
        return {"nats_per_frame": _binary_cross_entropy(outputs, batch.targets)}


def _binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """As torch's from logits, in a third of the time where several models are called as one."""
    return (F.softplus(logits) - logits * targets.to(logits.dtype)).sum(-1)
