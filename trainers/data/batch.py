"""The batch: what a model, a head and a task are given at once."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Some examples of a split, padded to the longest of them.

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

    def part(self, parts: int, number: int) -> "Batch":
        """Part `number` of the batch cut into at most `parts` even parts; keeps its padding."""
        if parts == 1:
            return self
        count = min(parts, len(self))
        rows = slice(len(self) * number // count, len(self) * (number + 1) // count)
        return Batch(
            self.inputs[rows],
            self.mask[rows],
            self.targets[rows],
            self.target_mask[rows],
            self.indices[rows],
            None if self.continues is None else self.continues[rows],
            self.state and {name: value[rows] for name, value in self.state.items()},
        )

    def __len__(self) -> int:
        return int(self.indices.shape[0])
