"""A sequence of labels for one thing, which need not be a sequence itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor

from trainers.data.batch import Batch
from trainers.tasks.decoded import SURPRISE, Decoded
from trainers.tasks.task import Metric
from trainers.tasks.transduction import Labels, edit_scores


@dataclass(frozen=True, kw_only=True)
class Captioning(Decoded):
    """One to many: of an input, be it a single vector, what it is called, label by label.

    There is one right answer for each input; it is met, or some edits away.

    Reference:
        Vinyals et al., "Show and tell: a neural image caption generator", CVPR 2015.
    """

    name: ClassVar[str] = "captioning"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("sequence_accuracy", maximize=True, unit="fraction"),
        Metric("label_error_rate", maximize=False, unit="edits per label"),
        SURPRISE,
    )
    counts: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"sequence_accuracy": "sequences", "label_error_rate": "labels"}
    )

    beam_width: int = 1

    def measure_answers(self, answers: Sequence[Labels], batch: Batch) -> dict[str, Tensor]:
        """(batch,) edits and whether there are none, and what they are divided by."""
        scores = edit_scores(answers, self.references(batch))
        return {"label_error_rate": scores.pop("edits"), **scores}
