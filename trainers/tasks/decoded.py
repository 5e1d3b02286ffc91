"""What tasks share whose answers are said label by label, by the attention decoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from spaces import SearchSpace
from trainers.data.batch import Batch
from trainers.decoding.decoder import Decoder
from trainers.tasks.classes import cross_entropy
from trainers.tasks.task import Metric, check_at_least
from trainers.tasks.transduction import Transduction

SURPRISE = Metric("nats_per_token", maximize=False, unit="nats per token, the end counted")


@dataclass(frozen=True, kw_only=True)
class Decoded(Transduction):
    """A sequence that a decoder says, told in training what came before each label.

    Attributes:
        classes: Number of different labels; every target ends with the last of them.
        longest: Labels after which an answer is cut off.
    """

    head_reads_targets: ClassVar[bool] = True
    has_end: ClassVar[bool] = True
    surprise: ClassVar[str] = SURPRISE.name

    longest: int
    beam_width: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("longest", self.longest, 1)

    @property
    def widest(self) -> int:
        """See `Task.widest`."""
        return max(super().widest, self.classes)

    def head_space(self) -> SearchSpace:
        """The decoder's own settings."""
        return Decoder.space()

    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """Outputs are logits, (batch, steps, classes)."""
        return Decoder(size, self.classes, longest=self.longest, **settings)

    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """Cross-entropy of every label with smoothing, (batch, steps)."""
        return cross_entropy(outputs, batch.targets, label_smoothing)

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The surprise at every label, told those before it, (batch, steps)."""
        return {self.surprise: cross_entropy(outputs, batch.targets)}
