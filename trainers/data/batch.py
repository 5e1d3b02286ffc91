"""The batch: what a model, a head and a task are given at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from torch import Tensor

SEEN: Final = ("inputs", "mask", "targets", "target_mask", "indices")
"""What models, heads and tasks see of a batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some examples of a split, padded to the longest of them.

    Of several trainings at once, where each has its own examples, all shapes have an axis of
    members in front.

    Attributes:
        inputs: (batch, time, size) features, or (batch, time) int64 tokens.
        mask: (batch, time) bool, True where a step is real.
        targets: (batch, steps) or (batch, steps, size); one step if it is of the whole sequence.
        target_mask: (batch, steps) bool, True where a target is real.
        indices: (batch,) int64, the examples' places in their split.
        continues: (batch,) bool, on the CPU: rows whose stream goes on from the row of the same
            place in the batch before; None where examples are no windows of streams.
        state: What a model's rows begin with; see `trainers.training.carrying`.
    """

    inputs: Tensor
    mask: Tensor
    targets: Tensor
    target_mask: Tensor
    indices: Tensor
    continues: Tensor | None = None
    state: dict[str, Tensor] | None = None

    def rows(self, parts: int, number: int) -> slice:
        """The examples of part `number` of the batch cut into at most `parts` even parts."""
        examples = self.indices.shape[-1]
        count = min(parts, examples)
        return slice(examples * number // count, examples * (number + 1) // count)

    def part(self, parts: int, number: int) -> "Batch":
        """Part `number` of the batch cut into at most `parts` even parts; keeps its padding."""
        if parts == 1:
            return self
        rows = self.rows(parts, number)
        return Batch(
            self.inputs[rows],
            self.mask[rows],
            self.targets[rows],
            self.target_mask[rows],
            self.indices[rows],
            None if self.continues is None else self.continues[rows],
            self.state and {name: value[rows] for name, value in self.state.items()},
        )

    def members(self, which: int | slice) -> Self:
        """The batch of one member, or of some."""
        return self.with_own({name: getattr(self, name)[which] for name in SEEN})

    def to_own(self) -> dict[str, Tensor]:
        """What is seen of it, by name."""
        return {name: getattr(self, name) for name in SEEN}

    def with_own(self, own: Mapping[str, Tensor]) -> Self:
        """The batch with what there is of it in `own`."""
        seen = {name: own[name] for name in SEEN if name in own}
        return replace(self, **seen) if seen else self  # type: ignore[arg-type] # none is the state

    def __len__(self) -> int:
        return int(self.indices.shape[0])
