"""Numbers for the whole sequence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from spaces import SearchSpace
from trainers.data.batch import Batch
from trainers.heads import Pooled
from trainers.tasks.task import Metric, Task, check_at_least


@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """Some numbers for the whole sequence.

    Attributes:
        outputs: How many numbers.
    """

    name: ClassVar[str] = "regression"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mse", maximize=False, unit="squared units of the target"),
        Metric("mae", maximize=False, unit="units of the target"),
    )

    outputs: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("outputs", self.outputs, 1)

    def head_space(self) -> SearchSpace:
        """How steps are pooled."""
        return Pooled.space()

    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """Outputs are (batch, outputs)."""
        return Pooled(size, self.outputs, **settings)

    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """Mean squared error over the outputs, (batch, 1)."""
        return self._errors(outputs, batch).square().mean(1, keepdim=True)

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Mean squared and mean absolute error over the outputs, (batch, 1) each."""
        errors = self._errors(outputs, batch)
        return {
            "mse": errors.square().mean(1, keepdim=True),
            "mae": errors.abs().mean(1, keepdim=True),
        }

    def _errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        return outputs - batch.targets.flatten(1)
