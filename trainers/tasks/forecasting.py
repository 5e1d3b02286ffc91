"""The next steps of some channels, all at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from spaces import SearchSpace
from trainers.data.batch import Batch
from trainers.heads import Forecast
from trainers.tasks.task import Metric, Task, check_at_least


@dataclass(frozen=True, kw_only=True)
class Forecasting(Task):
    """The next `horizon` steps of some channels, all at once, from the steps before them.

    Features of an input step, in this order: the channels, scaled; covariates known up to that
    step; covariates known ahead, as they are at that step; the same ones as they will be `horizon`
    steps later. So no input holds anything that is not known at its own step, and the last
    `horizon` steps hold what is known of the steps asked for.

    A target step has three numbers for every channel, (steps, 3 * channels): the scaled values;
    where zero lies, `mean / std` of the scaling; and the naive error of the series' train part, the
    mean absolute change over a season. By these the last two metrics are those of raw values.

    Attributes:
        horizon: Steps asked for.
        channels: How many values each of them has.
        known: Covariates known ahead.
        season: Steps after which the series tends to repeat itself; 1 for none.

    Reference:
        Hyndman & Koehler, "Another look at measures of forecast accuracy", 2006, for the mean
        absolute scaled error; Makridakis et al., "The M4 competition", 2020, for the symmetric
        error. Mean squared and absolute errors are on scaled values, as in Zhou et al.,
        "Informer", 2021.
    """

    name: ClassVar[str] = "forecasting"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mse", maximize=False, unit="squared deviations of the train part"),
        Metric("mae", maximize=False, unit="deviations of the train part"),
        Metric("mase", maximize=False, unit="naive errors of the train part"),
        Metric("smape", maximize=False, unit="fraction, 0 to 2"),
    )
    head_reads_inputs: ClassVar[bool] = True

    horizon: int
    channels: int = 1
    known: int = 0
    season: int = 1
    causal: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, low in (("horizon", 1), ("channels", 1), ("known", 0), ("season", 1)):
            check_at_least(field, getattr(self, field), low)
        check_at_least("input_size", self.input_size, self.channels + 2 * self.known)
        if not self.causal or self.vocabulary is not None:
            raise ValueError("forecasting must be causal and of features, not of tokens")

    def head_space(self) -> SearchSpace:
        """Where forecasts begin, and how much each step is told besides what is known of it."""
        return Forecast.space(self.known)

    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """Outputs are scaled values, (batch, horizon, channels)."""
        return Forecast(size, self.horizon, self.channels, known=self.known, **settings)

    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """Mean squared error over the channels, (batch, horizon)."""
        return (outputs - self._parts(batch)[0]).square().mean(2)

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Errors of every step, mean over the channels, (batch, horizon) each."""
        values, zero, naive_error = self._parts(batch)
        off = (outputs - values).abs()
        raw_size = (values + zero).abs() + (outputs + zero).abs()  # of both, in deviations
        symmetric = 2 * off / raw_size.where(raw_size > 0, 1.0)  # both 0: no error
        return {
            "mse": off.square().mean(2),
            "mae": off.mean(2),
            "mase": (off / naive_error).mean(2),
            "smape": symmetric.mean(2),
        }

    def _parts(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        values, zero, naive_error = batch.targets.chunk(3, dim=2)
        return values, zero, naive_error
