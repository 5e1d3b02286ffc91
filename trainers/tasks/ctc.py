"""Labels in the order of the steps, though nobody says which step has which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from spaces import SearchSpace
from trainers.data.batch import Batch
from trainers.decoding.ctc import ctc_losses
from trainers.heads import Aligned
from trainers.tasks.task import Metric
from trainers.tasks.transduction import Labels, Transduction, edit_scores


@dataclass(frozen=True, kw_only=True)
class CTC(Transduction):
    """Connectionist temporal classification: labels without an alignment to the steps.

    The loss of an example is the negative log probability of its labels, over all alignments; that
    of a batch is divided by its labels. `label_error_rate` is the number of edits by the number of
    labels asked for.

    Attributes:
        classes: Number of labels; the blank is one more.

    Reference:
        Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data
        with recurrent neural networks", ICML 2006.
    """

    name: ClassVar[str] = "ctc"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("label_error_rate", maximize=False, unit="edits per label"),
        Metric("sequence_accuracy", maximize=True, unit="fraction"),
        Metric("nats_per_label", maximize=False, unit="nats per label"),
    )
    smooths_labels: ClassVar[bool] = False
    surprise: ClassVar[str] = "nats_per_label"
    counts: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"sequence_accuracy": "sequences", "label_error_rate": "labels"}
    )

    def head_space(self) -> SearchSpace:
        """Nothing to choose."""
        return Aligned.space()

    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """Outputs are logits, (batch, time, classes + 1), the blank last."""
        return Aligned(size, self.classes + 1, **settings)

    def weights(self, batch: Batch) -> Tensor:
        """Labels of every sequence, (batch, 1)."""
        return batch.target_mask.sum(1, keepdim=True).float()

    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """Nats per label of every sequence, (batch, 1)."""
        nats = ctc_losses(outputs, batch.mask, batch.targets, batch.target_mask)
        return nats.unsqueeze(1) / self.weights(batch)

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Nats per label of every sequence, (batch, 1)."""
        return {"nats_per_label": self.losses(outputs, batch)}

    def measure(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """(batch,) nats and labels."""
        labels = self.weights(batch)
        nats = self.losses(outputs, batch) * labels
        return {"nats_per_label": nats.squeeze(1), "count": labels.squeeze(1)}

    def measure_answers(self, answers: Sequence[Labels], batch: Batch) -> dict[str, Tensor]:
        """(batch,) edits and whether there are none, and what they are divided by."""
        scores = edit_scores(answers, self.references(batch))
        return {"label_error_rate": scores.pop("edits"), **scores}


def steps_needed(labels: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(examples,) the fewest steps that can say the labels: equal neighbours need a blank between.

    Args:
        labels: (places,) of all examples.
        starts: (examples,) where each example begins.
        lengths: (examples,) its labels.
    """
    repeats = np.concatenate([[0], np.cumsum(labels[1:] == labels[:-1])])
    needed: np.ndarray = lengths + repeats[starts + lengths - 1] - repeats[starts]
    return needed
