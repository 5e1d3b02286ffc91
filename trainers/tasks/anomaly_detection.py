"""Anomalies of streams, told by the errors of forecasts of their next values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from spaces import SearchSpace
from trainers.data.batch import Batch
from trainers.heads import NextValue
from trainers.tasks.anomalies import (
    Shares,
    Watch,
    best_for_profile,
    best_for_windows,
    nab_shares,
    watch,
    window_shares,
)
from trainers.tasks.nab_score import PROFILES
from trainers.tasks.task import Metric, Task, check_at_least

FITS: dict[str, Callable[[Watch], float]] = {
    "window_f1": best_for_windows,
    **{name: partial(best_for_profile, profile=profile) for name, profile in PROFILES.items()},
}
"""What a threshold is fitted to; precision and recall are at that of the F1."""


@dataclass(frozen=True, kw_only=True)
class AnomalyDetection(Task):
    """The next value at every step of a stream, and an alarm where forecasts fail.

    A model is trained on the forecasts alone and never sees a window. A step is detected where its
    alarm reaches a threshold, see `anomalies.alarm`; thresholds are fitted on the validation split,
    one to the F1 and one to each profile of the Numenta benchmark.

    A window counts as found if any of its steps is detected. Detections outside of windows count
    once for every passage that holds any. So precision is windows found of these and such passages,
    recall is windows found of all.

    A target step has the next values, one or more, and three numbers besides: the number of the
    window it lies in, from 1 through the whole split, 0 for none; whether it is judged, which the
    first steps of a stream are not; and the number of its stream.

    Attributes:
        passage: Steps of an example, the last of a stream excepted.
        thresholds: The fitted ones, for F1 and each profile; without any they are fitted to the
            split that is measured.
    """

    name: ClassVar[str] = "anomaly_detection"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("window_f1", maximize=True, unit="fraction"),
        Metric("window_precision", maximize=True, unit="fraction"),
        Metric("window_recall", maximize=True, unit="fraction"),
        Metric("nab_standard", maximize=True, unit="points, 0 for no detection, at most 100"),
        Metric("nab_low_fp", maximize=True, unit="points, 0 for no detection, at most 100"),
        Metric("nab_low_fn", maximize=True, unit="points, 0 for no detection, at most 100"),
        Metric("mse", maximize=False, unit="squared deviations of the train part"),
    )
    head_reads_inputs: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    fits_on_valid: ClassVar[bool] = True

    causal: bool = True
    passage: int = 128
    thresholds: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("passage", self.passage, 1)
        if not self.causal or self.vocabulary is not None:
            raise ValueError("anomaly detection must be causal and of features, not of tokens")
        if self.thresholds is None:
            return
        object.__setattr__(self, "thresholds", tuple(self.thresholds))
        if len(self.thresholds) != len(FITS):
            names = ", ".join(FITS)
            raise ValueError(f"`thresholds` must be one for each of {names}, got {self.thresholds}")

    def head_space(self) -> SearchSpace:
        """Where forecasts begin."""
        return NextValue.space()

    def head(self, size: int, settings: Mapping[str, Any]) -> nn.Module:
        """Outputs are scaled values, (batch, time, input_size)."""
        return NextValue(size, self.input_size, **settings)

    def losses(
        self, outputs: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
    ) -> Tensor:
        """Squared error of every forecast, mean over the values of a step, (batch, time)."""
        return (outputs - batch.targets[..., : self.input_size]).square().mean(2)

    def scores(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Squared error of every forecast, (batch, time)."""
        return {"mse": self.losses(outputs, batch)}

    def measure(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """As of every task, and `steps`, (batch, passage, 4), that `anomalies.watch` takes."""
        values, about = torch.split(batch.targets, [self.input_size, 3], dim=2)
        errors = (outputs - values).abs().mean(2, keepdim=True)
        steps = torch.cat([errors, about], dim=2)
        missing = self.passage - steps.shape[1]
        assert missing >= 0, "an example is longer than a passage"
        steps = steps.masked_fill(~batch.target_mask.unsqueeze(2), -1.0)
        steps = nn.functional.pad(steps, (0, 0, 0, missing), value=-1.0)
        return super().measure(outputs, batch) | {"steps": steps}

    def fitted(self, examples: Mapping[str, np.ndarray]) -> Self:
        """With the thresholds that are best for these examples."""
        seen = watch(examples["steps"])
        return replace(self, thresholds=tuple(fit(seen) for fit in FITS.values()))

    def summarize(self, examples: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The metrics of a split; a ratio of nothing to nothing, such as of no windows, is 0."""
        shares = self._shares(examples)
        return {metric.name: _ratio(shares[metric.name]) for metric in self.metrics}

    def example_losses(self, examples: Mapping[str, np.ndarray], metric: str) -> np.ndarray:
        """(passages,): their mean is the loss of the split's `metric`, their spread its doubt.

        All metrics are ratios of sums over passages, and a passage counts by how far it moves the
        ratio. A window belongs to the passage it begins in. See `Task.example_losses`.
        """
        above, below = self._shares(examples)[self.metric(metric).name]
        ratio, mean = _ratio((above, below)), below.mean()
        values: np.ndarray = ratio + (above - ratio * below) / (mean if mean > 0 else 1.0)
        return -values if self.metric(metric).maximize else values

    def _shares(self, examples: Mapping[str, np.ndarray]) -> dict[str, Shares]:
        seen = watch(examples["steps"])
        thresholds = self.thresholds or [fit(seen) for fit in FITS.values()]
        by_name = dict(zip(FITS, thresholds, strict=True))
        squares, count = (examples[name].astype(np.float64) for name in ("mse", "count"))
        return {
            **window_shares(seen, by_name["window_f1"]),
            **{n: nab_shares(seen, by_name[n], profile) for n, profile in PROFILES.items()},
            "mse": (squares, count),
        }


def _ratio(shares: Shares) -> float:
    above, below = (float(part.sum()) for part in shares)
    return above / below if below else 0.0
